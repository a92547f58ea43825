//! Batches: what a page brings, and the one way into the mirror: a batch together with its step.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, QuarantineReason, SyncType};
use sqlx::PgConnection;

use crate::{
    Store, StoreError, definitions,
    definitions::{OwnerRow, PipelineRow, PropertyRow},
    erasure,
    error::is_data_error,
    lists,
    lists::{ListRow, MembershipPage},
    mirror,
    mirror::{AssociationRow, MirrorRow},
    reconcile::Reread,
    steps::{Counted, PageOutcome, Step, take_step},
    touches,
    touches::TouchRows,
    unanswered,
    unanswered::Span,
};

/// A record in quarantine, without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub sync_type: SyncType,
    /// HubSpot's id of it, where it has a readable one.
    pub key: String,
    /// Why it could not be stored.
    pub reason: QuarantineReason,
    /// When it was read last.
    pub last_seen: DateTime<Utc>,
}

/// A row that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Its id as text, or whatever tells it from others.
    pub key: String,
    pub reason: QuarantineReason,
    /// What came over the wire.
    pub raw: Vec<u8>,
}

/// What a page brings.
#[derive(Debug, Clone)]
pub struct Batch {
    /// When the request that brought it was sent.
    pub read_at: DateTime<Utc>,
    /// What can be stored.
    pub rows: Rows,
    /// What cannot.
    pub quarantine: Vec<QuarantineRow>,
    /// Whether a whole listing ends with it.
    pub listing: Listing,
    /// Records of which the answers did not speak: asked for again at the end of their type.
    pub unanswered: Vec<HubSpotObjectId>,
    /// Records that were asked for again and answered. They were counted before.
    pub settled: Vec<HubSpotObjectId>,
    /// The ids between which a page of a whole listing has brought all that there are.
    pub span: Option<Span>,
    /// Records that waited to be read again, and were answered.
    pub reread: Vec<Reread>,
    /// Of the last page of a list's members in the order in which they joined: its place.
    pub tail: Option<String>,
}

/// What a batch is to the listing that it belongs to: only a whole listing tells of what it did not
/// bring. Records are never removed by a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listing {
    /// More is to come, or what came does not count as whole: nothing is removed.
    #[default]
    Open,
    /// It is a look at what is there, by a reading that is not whole and removes nothing. Rows that did
    /// not change are not written.
    InPassing,
    /// It ends here. What it did not bring is gone, unless it shrank: then nothing is written, and the
    /// caller reads it a second time.
    Ends {
        /// Rows of the whole listing by HubSpot's own count; of members the size of their list is
        /// taken if missing.
        said: Option<u64>,
    },
    /// It ends here for the second time. What neither reading brought is gone, unless HubSpot's own
    /// count still contradicts it.
    EndsAgain {
        /// As above.
        said: Option<u64>,
    },
}

impl Listing {
    /// The same end, for the second time.
    #[must_use]
    pub const fn again(self) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::InPassing => Self::InPassing,
            Self::Ends { said } | Self::EndsAgain { said } => Self::EndsAgain { said },
        }
    }

    /// What this end is, when so many of the rows were brought and so many others would go.
    pub(crate) fn end(self, brought: u64, lost: u64, size: Option<u64>) -> ListingEnd {
        let (again, said) = match self {
            Self::Open | Self::InPassing => return ListingEnd::Nothing,
            Self::Ends { said } => (false, said.or(size)),
            Self::EndsAgain { said } => (true, said.or(size)),
        };
        let contradicted = domain::listing::contradicts(said, brought);
        if contradicted || (!again && domain::listing::shrank(brought + lost, brought)) {
            ListingEnd::Shrunk(PageOutcome::Shrunk {
                known: brought + lost,
                brought,
                said,
            })
        } else {
            ListingEnd::Nothing
        }
    }
}

/// What came of the end of a listing.
pub(crate) enum ListingEnd {
    /// The batch is to be committed.
    Nothing,
    /// The batch is to be thrown away.
    Shrunk(PageOutcome),
}

/// Who brought records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FoundBy {
    /// A read of the records themselves: by list, in a batch or one by one.
    #[default]
    Direct,
    /// Search, whose index may lag: it brings no archived record back.
    Search,
}

impl Batch {
    /// What was read at a moment, everything answered, more to come.
    pub const fn new(read_at: DateTime<Utc>, rows: Rows, quarantine: Vec<QuarantineRow>) -> Self {
        Self {
            read_at,
            rows,
            quarantine,
            listing: Listing::Open,
            unanswered: Vec::new(),
            settled: Vec::new(),
            span: None,
            reread: Vec::new(),
            tail: None,
        }
    }

    /// Takes in a later page of the same listing.
    pub fn append(&mut self, later: Self) {
        match (&mut self.rows, later.rows) {
            (Rows::Owners(all), Rows::Owners(more)) => all.extend(more),
            (Rows::Lists(all), Rows::Lists(more)) => all.extend(more),
            (Rows::Pipelines(all), Rows::Pipelines(more)) => all.extend(more),
            (Rows::Properties(of, all), Rows::Properties(same, more)) if *of == same => {
                all.extend(more);
            }
            (Rows::Members(all), Rows::Members(more)) if all.list == more.list => {
                all.members.extend(more.members);
            }
            (_, Rows::Nothing) => {}
            _ => debug_assert!(false, "pages of one listing bring the same kind of rows"),
        }
        self.quarantine.extend(later.quarantine);
        self.listing = later.listing;
        self.tail = later.tail;
    }
}

/// Rows of one kind.
#[derive(Debug, Clone)]
pub enum Rows {
    /// Records with their associations.
    Records(RecordRows),
    /// A page of owners.
    Owners(Vec<OwnerRow>),
    /// All property definitions of one type: what is not among them is gone.
    Properties(ObjectType, Vec<PropertyRow>),
    /// All pipelines: what is not among them is gone.
    Pipelines(Vec<PipelineRow>),
    /// A page of list definitions.
    Lists(Vec<ListRow>),
    /// A page of the members of one list.
    Members(MembershipPage),
    /// A page of engagements of one kind (I10).
    Touches(TouchRows),
    /// Nothing was read: the reader only moves on.
    Nothing,
}

/// Records of one type with their associations.
#[derive(Debug, Clone)]
pub struct RecordRows {
    pub object_type: ObjectType,
    /// Who brought them.
    pub found_by: FoundBy,
    pub rows: Vec<MirrorRow>,
    /// Whose associations to records of a type are known whole. What is not among `associations` of
    /// these is gone, and stays as a tombstone; of all others nothing was answered, and what is stored about them stays.
    pub answered: BTreeMap<ObjectType, BTreeSet<HubSpotObjectId>>,
    pub associations: Vec<AssociationRow>,
    /// Ids that were asked for and brought another record: they were merged into it.
    pub merged: BTreeMap<HubSpotObjectId, HubSpotObjectId>,
    /// Ids that HubSpot named as unknown, alive and in the recycle bin, whenever it was asked.
    pub missing: BTreeSet<HubSpotObjectId>,
}

impl RecordRows {
    /// No records of this type.
    pub const fn none(object_type: ObjectType) -> Self {
        Self {
            object_type,
            found_by: FoundBy::Direct,
            rows: Vec::new(),
            answered: BTreeMap::new(),
            associations: Vec::new(),
            merged: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Leaves out all records that are not wanted, with their associations.
    pub fn retain(&mut self, wanted: impl Fn(HubSpotObjectId) -> bool) {
        self.rows.retain(|row| wanted(row.id));
        self.associations.retain(|a| wanted(a.from));
        for ids in self.answered.values_mut() {
            ids.retain(|id| wanted(*id));
        }
    }

    /// One statement must not touch a row twice; the newest of equals wins here as in the table.
    fn keep_newest(&mut self) {
        let mut rows: BTreeMap<HubSpotObjectId, MirrorRow> = BTreeMap::new();
        for row in std::mem::take(&mut self.rows) {
            match rows.get(&row.id) {
                Some(known) if known.modified_at > row.modified_at => {}
                _ => {
                    rows.insert(row.id, row);
                }
            }
        }
        self.rows = rows.into_values().collect();
    }
}

impl Rows {
    /// The keys under which such rows would be in quarantine.
    fn quarantine_keys(&self) -> Vec<String> {
        match self {
            Self::Records(records) => records.rows.iter().map(|r| r.id.to_string()).collect(),
            Self::Owners(rows) => rows.iter().map(|r| r.id.to_string()).collect(),
            Self::Properties(object_type, rows) => rows
                .iter()
                .map(|r| format!("{object_type} {}", r.name))
                .collect(),
            Self::Pipelines(rows) => rows.iter().map(|r| r.id.clone()).collect(),
            Self::Lists(rows) => rows.iter().map(|r| r.id.to_string()).collect(),
            Self::Touches(page) => {
                let key = |row: &touches::TouchRow| format!("{} {}", page.kind, row.id);
                page.rows.iter().map(key).collect()
            }
            Self::Members(_) | Self::Nothing => Vec::new(),
        }
    }

    /// How many there are of what a reader counts. Members are not counted: they belong to lists.
    pub fn count(&self) -> u64 {
        let count = match self {
            Self::Records(records) => records.rows.len(),
            Self::Owners(rows) => rows.len(),
            Self::Properties(_, rows) => rows.len(),
            Self::Pipelines(rows) => rows.len(),
            Self::Lists(rows) => rows.len(),
            Self::Touches(page) => page.rows.len(),
            Self::Members(_) | Self::Nothing => 0,
        };
        count as u64
    }
}

/// What Postgres does not take.
enum Refusal {
    Nul,
    NotJson,
}

impl Refusal {
    fn row(self, key: String, raw: String) -> QuarantineRow {
        QuarantineRow {
            key,
            reason: match self {
                Self::Nul => QuarantineReason::NulCharacter,
                Self::NotJson => QuarantineReason::Malformed,
            },
            raw: raw.into_bytes(),
        }
    }
}

impl Store {
    /// Commits what a page brought together with the step of its reader, in one transaction. Records
    /// apply only when newer (design §4.1). What Postgres refuses goes into quarantine, row by row,
    /// the rest goes in. Contacts of people who were erased stay out (C7).
    ///
    /// # Errors
    /// When the database fails; nothing is written then.
    pub async fn commit(
        &self,
        step: &Step,
        mut batch: Batch,
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, StoreError> {
        let read = if batch.settled.is_empty() {
            batch.rows.count()
        } else {
            0
        };
        if let Rows::Records(records) = &mut batch.rows {
            records.keep_newest();
        }
        match self.try_commit(step, &mut batch, read, 0, now).await {
            Err(error) if is_data_error(&error) => {
                let refused = self.quarantine_refused(&mut batch).await?;
                Ok(self
                    .try_commit(step, &mut batch, read.saturating_sub(refused), refused, now)
                    .await?)
            }
            other => Ok(other?),
        }
    }

    async fn try_commit(
        &self,
        step: &Step,
        batch: &mut Batch,
        done: u64,
        refused: u64,
        now: DateTime<Utc>,
    ) -> Result<PageOutcome, sqlx::Error> {
        let mut tx = self.pages.begin().await?;
        // Contacts come as records, as ends of associations, as members of lists and in engagements.
        if matches!(
            &batch.rows,
            Rows::Records(_) | Rows::Members(_) | Rows::Touches(_)
        ) {
            erasure::hold_shared(&mut tx, step.workspace).await?;
        }
        let counted = Counted {
            done,
            quarantined: batch.quarantine.len() as u64,
        };
        if let Some(refusal) = take_step(&mut tx, step, counted).await? {
            return Ok(refusal);
        }
        erasure::take_out_erased(&mut tx, &self.identities, step, batch).await?;
        let (read_at, listing) = (batch.read_at, batch.listing);
        let end = match &mut batch.rows {
            Rows::Records(records) => {
                mirror::write_records(&mut tx, &self.identities, step, records, read_at).await?;
                ListingEnd::Nothing
            }
            Rows::Owners(owners) => {
                definitions::write_owners(&mut tx, step, owners, listing, read_at).await?
            }
            Rows::Properties(object_type, rows) => {
                definitions::write_properties(
                    &mut tx,
                    step,
                    *object_type,
                    rows,
                    &batch.quarantine,
                    listing,
                    read_at,
                )
                .await?
            }
            Rows::Pipelines(rows) => {
                let bad = &batch.quarantine;
                definitions::write_pipelines(&mut tx, step, rows, bad, listing, read_at).await?
            }
            Rows::Lists(rows) => lists::write_lists(&mut tx, step, rows, listing, read_at).await?,
            Rows::Members(members) => {
                if let Some(tail) = &batch.tail {
                    lists::keep_tail(&mut tx, step, members.list, tail).await?;
                }
                lists::write_members(&mut tx, step, members, listing).await?
            }
            Rows::Touches(page) => {
                touches::write(&mut tx, step, page, read_at).await?;
                ListingEnd::Nothing
            }
            Rows::Nothing => ListingEnd::Nothing,
        };
        if let ListingEnd::Shrunk(outcome) = end {
            tx.rollback().await?;
            return Ok(outcome);
        }
        settle_quarantine(&mut tx, step, batch, now).await?;
        unanswered::write_unseen(&mut tx, step, batch).await?;
        unanswered::settle_rereads(&mut tx, step, batch).await?;
        unanswered::write_unanswered(&mut tx, step, batch).await?;
        tx.commit().await?;
        Ok(step.committed(refused))
    }

    /// Moves the rows that Postgres does not take into quarantine. Says how many.
    pub(crate) async fn quarantine_refused(&self, batch: &mut Batch) -> Result<u64, StoreError> {
        let before = batch.quarantine.len();
        match &mut batch.rows {
            Rows::Records(records) => {
                let mut kept = Vec::with_capacity(records.rows.len());
                for row in std::mem::take(&mut records.rows) {
                    let labels = records.associations.iter().filter(|a| a.from == row.id);
                    let nul = labels.flat_map(|a| &a.labels).any(|l| l.contains('\0'));
                    let refusal = if nul {
                        Some(Refusal::Nul)
                    } else {
                        self.refusal(&row.properties).await?
                    };
                    match refusal {
                        None => kept.push(row),
                        Some(refusal) => {
                            let row = refusal.row(row.id.to_string(), row.properties);
                            batch.quarantine.push(row);
                        }
                    }
                }
                let ids: BTreeSet<HubSpotObjectId> = kept.iter().map(|r| r.id).collect();
                records.rows = kept;
                records.retain(|id| ids.contains(&id));
            }
            Rows::Properties(object_type, rows) => {
                let mut kept = Vec::with_capacity(rows.len());
                for row in std::mem::take(rows) {
                    match self.refusal(&row.definition).await? {
                        None => kept.push(row),
                        Some(refusal) => {
                            let key = format!("{object_type} {}", row.name);
                            batch.quarantine.push(refusal.row(key, row.definition));
                        }
                    }
                }
                *rows = kept;
            }
            Rows::Pipelines(rows) => {
                let mut kept = Vec::with_capacity(rows.len());
                for row in std::mem::take(rows) {
                    match self.refusal(&row.definition).await? {
                        None => kept.push(row),
                        Some(refusal) => {
                            batch.quarantine.push(refusal.row(row.id, row.definition));
                        }
                    }
                }
                *rows = kept;
            }
            // Their texts were looked at when they were read.
            Rows::Owners(_)
            | Rows::Lists(_)
            | Rows::Members(_)
            | Rows::Touches(_)
            | Rows::Nothing => {}
        }
        Ok((batch.quarantine.len() - before) as u64)
    }

    async fn refusal(&self, json: &str) -> Result<Option<Refusal>, StoreError> {
        if domain::quarantine::holds_nul(json) {
            return Ok(Some(Refusal::Nul));
        }
        Ok((!self.is_jsonb(json).await?).then_some(Refusal::NotJson))
    }

    /// Asked of one text at a time, as some (nested too deep) are answered with an error.
    async fn is_jsonb(&self, text: &str) -> Result<bool, StoreError> {
        let asked = sqlx::query!("select pg_input_is_valid($1, 'jsonb') as \"valid!\"", text)
            .fetch_one(&self.pool)
            .await;
        match asked {
            Ok(row) => Ok(row.valid),
            Err(error) if is_data_error(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Records of a portal that were set aside last, without their contents.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_aside(
        &self,
        workspace: domain::WorkspaceId,
        portal: domain::PortalId,
        limit: u32,
    ) -> Result<Vec<SetAside>, StoreError> {
        let rows = sqlx::query!(
            "select w.sync_type as \"sync_type!\", q.record_key as \"record_key!\", q.reason as \"reason!\",
               q.last_seen as \"last_seen!\"
             from unnest($3::text[]) as w (sync_type)
             cross join lateral (
               select record_key, reason, last_seen from quarantine q
               where q.workspace_id = $1 and q.portal_id = $2 and q.sync_type = w.sync_type
               order by record_key limit $4) q",
            workspace.as_uuid(),
            portal.get(),
            &SyncType::ALL.map(|t| t.as_str()) as &[&str],
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SetAside {
                    sync_type: row
                        .sync_type
                        .parse()
                        .map_err(|_| StoreError::Corrupt("type in quarantine"))?,
                    key: row.record_key,
                    reason: row
                        .reason
                        .parse()
                        .map_err(|_| StoreError::Corrupt("reason in quarantine"))?,
                    last_seen: row.last_seen,
                })
            })
            .collect()
    }

    /// What waits in quarantine.
    pub async fn quarantined(
        &self,
        workspace: domain::WorkspaceId,
        portal: domain::PortalId,
        sync_type: SyncType,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        let rows = sqlx::query!(
            "select record_key, reason, raw from quarantine
             where workspace_id = $1 and portal_id = $2 and sync_type = $3 order by record_key",
            workspace.as_uuid(),
            portal.get(),
            sync_type.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(QuarantineRow {
                    key: row.record_key,
                    reason: row
                        .reason
                        .parse()
                        .map_err(|_| StoreError::Corrupt("reason in quarantine"))?,
                    raw: row.raw,
                })
            })
            .collect()
    }
}

/// What a batch means for the quarantine: what was stored leaves it, what could not be enters it.
pub(crate) async fn settle_quarantine(
    tx: &mut PgConnection,
    step: &Step,
    batch: &Batch,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    heal(tx, step, &batch.rows.quarantine_keys(), batch.read_at).await?;
    put_in_quarantine(tx, step, &batch.quarantine, batch.read_at, now).await
}

async fn put_in_quarantine(
    tx: &mut PgConnection,
    step: &Step,
    rows: &[QuarantineRow],
    read_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    // Few ever, and of any size: one statement each. A key may come twice in a page.
    for row in rows {
        sqlx::query!(
            "insert into quarantine (workspace_id, portal_id, sync_type, record_key, reason, raw, first_seen, last_seen, read_at)
             values ($1, $2, $3, $4, $5, $6, $7, $7, $8)
             on conflict (workspace_id, portal_id, sync_type, record_key) do update
             set reason = excluded.reason, raw = excluded.raw, last_seen = excluded.last_seen,
               read_at = excluded.read_at, changed = excluded.changed",
            step.workspace.as_uuid(),
            step.portal.get(),
            step.sync_type.as_str(),
            row.key,
            row.reason.as_str(),
            row.raw,
            now,
            read_at
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What was stored by a later read is no longer in quarantine.
async fn heal(
    tx: &mut PgConnection,
    step: &Step,
    keys: &[String],
    read_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from quarantine
         where workspace_id = $1 and portal_id = $2 and sync_type = $3 and record_key = any($4)
           and (read_at is null or read_at <= $5)
           and exists (select 1 from quarantine
             where workspace_id = $1 and portal_id = $2 and sync_type = $3)",
        step.workspace.as_uuid(),
        step.portal.get(),
        step.sync_type.as_str(),
        keys,
        read_at
    )
    .execute(tx)
    .await?;
    Ok(())
}
