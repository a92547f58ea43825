//! Reverts that somebody asked for (E10): each is a row first, and is carried out by whoever writes about
//! the person.

use chrono::{DateTime, Utc};
use domain::{
    RevertId, WorkspaceId,
    app::PersonId,
    export::{
        RevertState,
        journal::EntryId,
        revert::{NoRevert, may_revert},
    },
};
use sqlx::PgConnection;

use crate::{Store, StoreError, erasure};

/// A revert that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct NewRevert<'a> {
    /// The id that it gets.
    pub id: RevertId,
    /// Which workspace.
    pub workspace: WorkspaceId,
    /// Which entry.
    pub entry: EntryId,
    /// Which of its properties.
    pub property: &'a str,
}

/// A revert as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertRow {
    /// Which one.
    pub id: RevertId,
    /// In whose export the entry was written.
    pub person: PersonId,
    /// Which entry.
    pub entry: EntryId,
    /// Which of its properties.
    pub property: String,
    /// How it stands.
    pub state: RevertState,
    /// Why it was refused: the paragraph of `docs/errors.md`.
    pub code: Option<String>,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// When its state last changed.
    pub changed_at: DateTime<Utc>,
}

/// Why there is no revert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedRevert {
    /// The workspace has no such entry.
    #[error("no such entry")]
    UnknownEntry,
    /// It cannot be reverted, whatever HubSpot has by now.
    #[error(transparent)]
    Not(#[from] NoRevert),
}

/// What became of a revert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevertEnd {
    /// HubSpot has the old value again.
    Done,
    /// It was not brought back, for the reason that the paragraph of this code gives.
    Refused(&'static str),
}

struct Raw {
    id: uuid::Uuid,
    person_id: String,
    entry_id: uuid::Uuid,
    property: String,
    state: String,
    code: Option<String>,
    asked_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl TryFrom<Raw> for RevertRow {
    type Error = StoreError;

    fn try_from(raw: Raw) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Unreadable("revert");
        Ok(Self {
            id: RevertId::new(raw.id),
            person: raw.person_id.parse().map_err(corrupt)?,
            entry: EntryId::new(raw.entry_id),
            property: raw.property,
            state: raw.state.parse().map_err(corrupt)?,
            code: raw.code,
            asked_at: raw.asked_at,
            changed_at: raw.changed_at,
        })
    }
}

impl Store {
    /// Writes a revert down. One of the same entry and property that is still to be carried out is
    /// answered instead of a second one, and so is one of the same id.
    ///
    /// # Errors
    /// The outer one when the database fails or the entry cannot be read, the inner one when nothing was
    /// written.
    pub async fn ask_revert(
        &self,
        new: &NewRevert<'_>,
        now: DateTime<Utc>,
    ) -> Result<Result<RevertRow, RefusedRevert>, StoreError> {
        let (workspace, entry) = (new.workspace.as_uuid(), new.entry.as_uuid());
        let mut tx = self.pool.begin().await?;
        erasure::hold_shared(&mut tx, new.workspace).await?;
        erasure::must_exist(&mut tx, new.workspace).await?;
        // Two who ask at the same time come one after the other.
        sqlx::query!(
            "select 1 as one from export_journal where workspace_id = $1 and entry_id = $2 for update",
            workspace,
            entry
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = self.entry_in(&mut tx, new.workspace, new.entry).await? else {
            return Ok(Err(RefusedRevert::UnknownEntry));
        };
        // Nobody is left whose writer would carry it out.
        let Some(person) = row.person else {
            return Ok(Err(RefusedRevert::Not(NoRevert::ValuesGone)));
        };
        let there = sqlx::query_as!(
            Raw,
            "select id, person_id, entry_id, property, state, code, asked_at, changed_at
             from export_revert
             where workspace_id = $1 and person_id = $2
               and (id = $5 or entry_id = $3 and property = $4 and state = 'accepted')
             order by id = $5 desc limit 1",
            workspace,
            person.as_str(),
            entry,
            new.property,
            new.id.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(there) = there {
            return there.try_into().map(Ok);
        }
        if let Err(not) = may_revert(&row.entry, new.property) {
            return Ok(Err(not.into()));
        }
        sqlx::query!(
            "insert into export_revert
               (id, workspace_id, person_id, entry_id, property, state, asked_at, due_at, changed_at)
             values ($1, $2, $3, $4, $5, 'accepted', $6, $6, $6)",
            new.id.as_uuid(),
            workspace,
            person.as_str(),
            entry,
            new.property,
            now
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Ok(RevertRow {
            id: new.id,
            person,
            entry: new.entry,
            property: new.property.to_owned(),
            state: RevertState::Accepted,
            code: None,
            asked_at: now,
            changed_at: now,
        }))
    }

    /// One revert.
    pub async fn export_revert(
        &self,
        workspace: WorkspaceId,
        revert: RevertId,
    ) -> Result<Option<RevertRow>, StoreError> {
        sqlx::query_as!(
            Raw,
            "select id, person_id, entry_id, property, state, code, asked_at, changed_at
             from export_revert where workspace_id = $1 and id = $2",
            workspace.as_uuid(),
            revert.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?
        .map(RevertRow::try_from)
        .transpose()
    }

    /// Reverts about a person that are to be carried out, in the order in which they were asked for.
    pub async fn pending_reverts(
        &self,
        workspace: WorkspaceId,
        person: &PersonId,
    ) -> Result<Vec<RevertRow>, StoreError> {
        sqlx::query_as!(
            Raw,
            "select id, person_id, entry_id, property, state, code, asked_at, changed_at
             from export_revert
             where workspace_id = $1 and person_id = $2 and state = 'accepted'
             order by asked_at, id",
            workspace.as_uuid(),
            person.as_str()
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(RevertRow::try_from)
        .collect()
    }

    /// Ends a revert. `false` when it has ended before, or is not there any more.
    pub async fn finish_revert(
        &self,
        workspace: WorkspaceId,
        revert: RevertId,
        end: RevertEnd,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(finish_revert_in(&mut connection, workspace, revert, end, now).await?)
    }

    /// Has a revert that could not be carried out now looked at again at a later time.
    pub async fn put_off_revert(
        &self,
        workspace: WorkspaceId,
        revert: RevertId,
        due: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update export_revert set due_at = $3
             where workspace_id = $1 and id = $2 and state = 'accepted'",
            workspace.as_uuid(),
            revert.as_uuid(),
            due
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// See [`Store::finish_revert`]; in the transaction that closes the entry.
pub(crate) async fn finish_revert_in(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    revert: RevertId,
    end: RevertEnd,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let (state, code) = match end {
        RevertEnd::Done => (RevertState::Done, None),
        RevertEnd::Refused(code) => (RevertState::Refused, Some(code)),
    };
    let done = sqlx::query!(
        "update export_revert set state = $3, code = $4, due_at = null, changed_at = $5
         where workspace_id = $1 and id = $2 and state = 'accepted'",
        workspace.as_uuid(),
        revert.as_uuid(),
        state.as_str(),
        code,
        now
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
