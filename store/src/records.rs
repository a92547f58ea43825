//! Versioned upserts of the app's records: what people, companies and members have in common.
//!
//! The rule is `domain`'s. Here a bulk of upserts is read, merged and written in two statements,
//! and only rows that really change are written. Between the two nothing is locked: a row that
//! somebody else wrote meanwhile is not written, and the bulk is done again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    app::{PersonId, Slot, SlotVersions, UpsertOutcome, VersionConflict, Versioned},
};
use sqlx::PgConnection;

use crate::{
    Store, StoreError, activities,
    erasure::{self, Identity},
};

/// Rounds before a bulk that always meets other writers gives up.
const ROUNDS: u32 = 20;

/// What came of one upsert: an outcome, or the reason of a refusal.
pub type Upserted = Result<UpsertOutcome, RefusedUpsert>;

/// Why an upsert was refused; the others of its bulk were not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedUpsert {
    /// The same version was sent before with another value.
    #[error(transparent)]
    Conflict(#[from] VersionConflict),
    /// What is stored of the record cannot be read, and so nothing can be merged with it.
    #[error("what is stored of this record cannot be read")]
    Unreadable,
    /// It is about a person whom the app never sent.
    #[error("nobody knows the person")]
    UnknownPerson,
    /// Of an activity something would change that stays as it is.
    #[error("{0} stays as it is")]
    Keeps(Slot),
}

/// A row of a listing: it, or that it cannot be read.
pub type Listed<T> = Result<T, UnreadableRow>;

/// A row that is stored and cannot be read. It harms only itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// What it is a row of, in words.
    pub kind: &'static str,
    /// Its id, as the table has it.
    pub id: String,
}

impl UnreadableRow {
    /// Says so in the log: whoever runs the service finds the row by this.
    pub(crate) fn found(workspace: WorkspaceId, kind: &'static str, id: impl ToString) -> Self {
        let id = id.to_string();
        tracing::error!(code = "HS-2217", %workspace, kind, id, "a stored row cannot be read");
        Self { kind, id }
    }
}

/// A row as it is stored.
pub(crate) struct StoredRow {
    pub(crate) id: String,
    pub(crate) revision: i64,
    pub(crate) document: String,
    pub(crate) slots: String,
}

/// A row to write.
pub(crate) struct RowToWrite<'a, R> {
    /// The revision that was read; none for a row that was not there.
    pub(crate) expected: Option<i64>,
    pub(crate) id: &'a str,
    pub(crate) record: &'a R,
    pub(crate) document: String,
    pub(crate) slots: String,
}

/// A record that was written.
pub(crate) struct Written<'a, R> {
    /// Counts the writes of its row, this one among them.
    pub(crate) revision: i64,
    /// What was stored before; none for a row that was not there.
    pub(crate) before: Option<&'a R>,
    pub(crate) after: &'a R,
}

/// A kind of record of the app's side.
pub(crate) trait Record:
    Versioned + Clone + serde::Serialize + serde::de::DeserializeOwned
{
    /// What a corrupt row is called.
    const NAME: &'static str;

    fn id_of(upsert: &Self::Upsert) -> &str;

    fn slots(&self) -> &SlotVersions;

    fn set_slots(&mut self, slots: SlotVersions);

    /// Whom it is about, where it is about somebody who has to be known.
    fn person_of(_upsert: &Self::Upsert) -> Option<&PersonId> {
        None
    }

    /// What an update would change that stays as it is.
    fn keeps(&self, _upsert: &Self::Upsert) -> Option<Slot> {
        None
    }

    /// What an erased person is recognised by. Companies and members have nothing of the kind.
    fn identities(_upsert: &Self::Upsert) -> Vec<Identity<'_>> {
        Vec::new()
    }

    async fn load(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        ids: &[&str],
    ) -> Result<Vec<StoredRow>, sqlx::Error>;

    /// Writes rows whose revision is still the expected one. Says which.
    async fn save(
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        rows: &[RowToWrite<'_, Self>],
        now: DateTime<Utc>,
    ) -> Result<u64, sqlx::Error>;

    /// What follows from rows that were written, in the same transaction.
    async fn follow(
        _store: &Store,
        _tx: &mut PgConnection,
        _workspace: WorkspaceId,
        _written: &[Written<'_, Self>],
        _now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) fn record_of<R: Record>(document: &str, slots: &str) -> Result<R, StoreError> {
    let unreadable = |_| StoreError::Unreadable(R::NAME);
    let mut record: R = serde_json::from_str(document).map_err(unreadable)?;
    if slots != "{}" {
        record.set_slots(serde_json::from_str(slots).map_err(unreadable)?);
    }
    Ok(record)
}

/// A row of a listing.
pub(crate) fn listed<R: Record>(
    workspace: WorkspaceId,
    id: &str,
    document: &str,
    slots: &str,
) -> Listed<R> {
    record_of(document, slots).map_err(|_| UnreadableRow::found(workspace, R::NAME, id))
}

fn json_of(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt("record"))
}

/// A record on its way through a bulk.
struct Working<R> {
    revision: Option<i64>,
    record: Option<R>,
    /// What is stored, once `record` is to be written.
    stored: Option<R>,
    unreadable: bool,
    write: bool,
}

impl Store {
    pub(crate) async fn upsert_records<R: Record>(
        &self,
        workspace: WorkspaceId,
        upserts: &[R::Upsert],
        now: DateTime<Utc>,
    ) -> Result<Vec<Upserted>, StoreError> {
        for _ in 0..ROUNDS {
            if let Some(done) = self.try_upsert::<R>(workspace, upserts, now).await? {
                return Ok(done);
            }
        }
        Err(StoreError::Contended)
    }

    /// `None` when another writer came between; nothing is written then.
    async fn try_upsert<R: Record>(
        &self,
        workspace: WorkspaceId,
        upserts: &[R::Upsert],
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<Upserted>>, StoreError> {
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, workspace).await?;
        erasure::must_exist(&mut tx, workspace).await?;
        let ids: BTreeSet<&str> = upserts.iter().map(R::id_of).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        // In the order of ids, so that two bulks never wait for each other in a circle.
        let mut working: BTreeMap<&str, Working<R>> = ids
            .iter()
            .map(|id| {
                let nothing = Working {
                    revision: None,
                    record: None,
                    stored: None,
                    unreadable: false,
                    write: false,
                };
                (*id, nothing)
            })
            .collect();
        for row in R::load(&mut tx, workspace, &ids).await? {
            if let Some(entry) = working.get_mut(row.id.as_str()) {
                entry.revision = Some(row.revision);
                match listed(workspace, &row.id, &row.document, &row.slots) {
                    Ok(record) => entry.record = Some(record),
                    Err(_) => entry.unreadable = true,
                }
            }
        }
        let erased = self
            .erased_upserts::<R>(&mut tx, workspace, upserts)
            .await?;
        let people: BTreeSet<&str> = upserts
            .iter()
            .filter_map(R::person_of)
            .map(PersonId::as_str)
            .collect();
        let people: Vec<&str> = people.into_iter().collect();
        let unknown = if people.is_empty() {
            BTreeSet::new()
        } else {
            activities::unknown_people(&mut tx, workspace, &people).await?
        };
        let mut outcomes = Vec::with_capacity(upserts.len());
        for (upsert, erased) in upserts.iter().zip(erased) {
            let entry = working
                .get_mut(R::id_of(upsert))
                .ok_or(StoreError::Corrupt(R::NAME))?;
            if erased {
                outcomes.push(Ok(UpsertOutcome::Erased));
                continue;
            }
            if entry.unreadable {
                outcomes.push(Err(RefusedUpsert::Unreadable));
                continue;
            }
            if R::person_of(upsert).is_some_and(|person| unknown.contains(person.as_str())) {
                outcomes.push(Err(RefusedUpsert::UnknownPerson));
                continue;
            }
            if let Some(slot) = entry.record.as_ref().and_then(|r| r.keeps(upsert)) {
                outcomes.push(Err(RefusedUpsert::Keeps(slot)));
                continue;
            }
            match R::apply(entry.record.as_ref(), upsert) {
                Ok(merged) => {
                    if merged.write {
                        let before = entry.record.replace(merged.record);
                        if !std::mem::replace(&mut entry.write, true) {
                            entry.stored = before;
                        }
                    }
                    outcomes.push(Ok(merged.outcome));
                }
                Err(conflict) => outcomes.push(Err(conflict.into())),
            }
        }
        let mut rows = Vec::new();
        for (id, entry) in &working {
            if let (true, Some(record)) = (entry.write, &entry.record) {
                rows.push(RowToWrite {
                    expected: entry.revision,
                    id,
                    document: json_of(record)?,
                    slots: json_of(record.slots())?,
                    record,
                });
            }
        }
        if !rows.is_empty() && R::save(&mut tx, workspace, &rows, now).await? != rows.len() as u64 {
            tx.rollback().await?;
            return Ok(None);
        }
        let written: Vec<Written<'_, R>> = working
            .values()
            .filter(|entry| entry.write)
            .filter_map(|entry| {
                Some(Written {
                    revision: entry.revision.unwrap_or_default() + 1,
                    before: entry.stored.as_ref(),
                    after: entry.record.as_ref()?,
                })
            })
            .collect();
        if !written.is_empty() {
            R::follow(self, &mut tx, workspace, &written, now).await?;
        }
        tx.commit().await?;
        Ok(Some(outcomes))
    }

    /// Which of the upserts are about people who were erased.
    async fn erased_upserts<R: Record>(
        &self,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        upserts: &[R::Upsert],
    ) -> Result<Vec<bool>, StoreError> {
        let identities: Vec<Vec<Identity<'_>>> = upserts.iter().map(R::identities).collect();
        if identities.iter().all(Vec::is_empty) || !erasure::anybody_erased(tx, workspace).await? {
            return Ok(vec![false; upserts.len()]);
        }
        let hashes: Vec<Vec<Vec<u8>>> = identities
            .iter()
            .map(|all| {
                all.iter()
                    .map(|identity| self.identities.hash(workspace, identity))
                    .collect()
            })
            .collect();
        let asked: Vec<Vec<u8>> = hashes.iter().flatten().cloned().collect();
        let erased = erasure::erased_among(tx, workspace, &asked).await?;
        Ok(hashes
            .iter()
            .map(|all| all.iter().any(|hash| erased.contains(hash)))
            .collect())
    }
}
