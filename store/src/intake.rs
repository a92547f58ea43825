//! Requests that changes of the app's side make by themselves (E1, E7), in the transaction of the change.
//!
//! A change of somebody who is being exported makes another request, whoever waits already: the export
//! may have read what was before. While there is no connection nobody exports, and one of a kind is
//! enough; the connection's row is held then, so that none comes up meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, PortalId, WorkspaceId,
    app::{Company, Person},
    export::{RequestId, RequestKind, RequestOutcome, intake::Known},
};
use sqlx::PgConnection;

use crate::{Store, StoreError, connections::state_of, export_standing::Grounds, records::Written};

/// How many people of a company are looked at to find one who was exported.
const LOOKED_AT: i64 = 2_000;

/// A request to write down.
struct Made<'a> {
    person: &'a str,
    kind: RequestKind,
    /// Whose write makes it.
    of: &'a str,
    /// Which write of it.
    revision: i64,
}

/// What is known of people's exports, and how the workspace is connected.
struct Looked {
    known: BTreeMap<String, Known>,
    state: ConnectionState,
}

pub(crate) async fn people_changed(
    store: &Store,
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    written: &[Written<'_, Person>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some((intake, portal)) = Grounds::read(tx, workspace).await?.intake(workspace) else {
        return Ok(());
    };
    let concerned: Vec<&Written<'_, Person>> = written
        .iter()
        .filter(|change| intake.concerns(change.before, change.after))
        .collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let people: Vec<&str> = concerned.iter().map(|c| c.after.id.as_str()).collect();
    let looked = look(tx, workspace, portal, &people).await?;
    let nothing = Known::default();
    let mut made = Vec::new();
    for change in concerned {
        let person = change.after.id.as_str();
        let known = looked.known.get(person).unwrap_or(&nothing);
        let kinds = intake.requests(change.before, change.after, known);
        made.extend(kinds.into_iter().map(|kind| Made {
            person,
            kind,
            of: person,
            revision: change.revision,
        }));
    }
    write_down(store, tx, workspace, &made, looked.state, now).await
}

/// One who was exported, or else one who is being exported, stands for the company: the export of either
/// writes the company too.
pub(crate) async fn companies_changed(
    store: &Store,
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    written: &[Written<'_, Company>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some((intake, portal)) = Grounds::read(tx, workspace).await?.intake(workspace) else {
        return Ok(());
    };
    let concerned: BTreeMap<&str, i64> = written
        .iter()
        .filter(|change| intake.concerns_company(change.before, change.after))
        .map(|change| (change.after.id.as_str(), change.revision))
        .collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let companies: Vec<&str> = concerned.keys().copied().collect();
    let found = sqlx::query!(
        "with held as (
           select state from connection where workspace_id = $1 and state <> 'connected' for share)
         select e.id as \"company!\", p.person_id as \"person!\", (select state from held) as state,
           exists (select 1 from export_request r
             where r.workspace_id = $1 and r.person_id = p.person_id and r.state = 'waiting'
               and r.kind = 'field_change' and r.reason in ('not_connected', 'needs_reconnect')
             offset 0) as \"waits!\"
         from unnest($3::text[]) as e (id)
         cross join lateral (select coalesce(
             (select p.person_id from (
                select person_id from app_person where workspace_id = $1 and company_id = e.id limit $4) p
              where exists (select 1 from exported_person x
                where x.workspace_id = $1 and x.portal_id = $2 and x.person_id = p.person_id offset 0)
              limit 1),
             (select p.person_id from (
                select person_id from app_person where workspace_id = $1 and company_id = e.id limit $4) p
              where exists (select 1 from export_request r
                where r.workspace_id = $1 and r.person_id = p.person_id
                  and r.state in ('accepted', 'waiting') and r.kind in ('policy', 'manual', 'bulk') offset 0)
              limit 1)) as person_id offset 0) p
         where p.person_id is not null",
        workspace.as_uuid(),
        portal.get(),
        &companies as &[&str],
        LOOKED_AT
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut state = ConnectionState::Connected;
    let mut made = Vec::new();
    for row in &found {
        if let Some(held) = &row.state {
            state = state_of(held)?;
        }
        let waits = row.waits && state != ConnectionState::Connected;
        if let (false, Some(revision)) = (waits, concerned.get(row.company.as_str())) {
            made.push(Made {
                person: &row.person,
                kind: RequestKind::FieldChange,
                of: &row.company,
                revision: *revision,
            });
        }
    }
    write_down(store, tx, workspace, &made, state, now).await
}

async fn look(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portal: PortalId,
    people: &[&str],
) -> Result<Looked, StoreError> {
    let rows = sqlx::query!(
        "with held as (
           select state from connection where workspace_id = $1 and state <> 'connected' for share)
         select e.id as \"person!\", (select state from held) as state,
           exists (select 1 from exported_person x
             where x.workspace_id = $1 and x.portal_id = $2 and x.person_id = e.id offset 0) as \"exported!\",
           (select array_agg(distinct r.kind) from export_request r
            where r.workspace_id = $1 and r.person_id = e.id and r.state in ('accepted', 'waiting')) as pending,
           (select array_agg(distinct r.kind) from export_request r
            where r.workspace_id = $1 and r.person_id = e.id and r.state = 'waiting'
              and r.reason in ('not_connected', 'needs_reconnect')) as waiting
         from unnest($3::text[]) as e (id)",
        workspace.as_uuid(),
        portal.get(),
        people as &[&str]
    )
    .fetch_all(tx)
    .await?;
    let mut looked = Looked {
        known: BTreeMap::new(),
        state: ConnectionState::Connected,
    };
    for row in rows {
        if let Some(held) = &row.state {
            looked.state = state_of(held)?;
        }
        let waiting = kinds(row.waiting)?;
        let known = Known {
            exported: row.exported,
            pending: kinds(row.pending)?,
            // With a connection they go on at any moment, and may have read the person.
            waiting_for_connection: if row.state.is_some() {
                waiting
            } else {
                BTreeSet::new()
            },
        };
        looked.known.insert(row.person, known);
    }
    Ok(looked)
}

fn kinds(names: Option<Vec<String>>) -> Result<BTreeSet<RequestKind>, StoreError> {
    names
        .into_iter()
        .flatten()
        .map(|name| {
            name.parse()
                .map_err(|_| StoreError::Unreadable("export request"))
        })
        .collect()
}

/// The request's id follows from the write that makes it, and sorts by its time.
fn id_of(store: &Store, workspace: WorkspaceId, made: &Made<'_>, now: DateTime<Utc>) -> RequestId {
    let hash = store.fingerprint(&[
        workspace.as_uuid().as_bytes(),
        made.person.as_bytes(),
        made.kind.as_str().as_bytes(),
        made.of.as_bytes(),
        &made.revision.to_be_bytes(),
    ]);
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    let mut rest = [0; 10];
    rest.copy_from_slice(&hash[..10]);
    RequestId::new(uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
}

async fn write_down(
    store: &Store,
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    made: &[Made<'_>],
    state: ConnectionState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if made.is_empty() {
        return Ok(());
    }
    let outcome = RequestOutcome::to_go_on(Some(state));
    let ids: Vec<uuid::Uuid> = made
        .iter()
        .map(|made| id_of(store, workspace, made, now).as_uuid())
        .collect();
    let people: Vec<&str> = made.iter().map(|made| made.person).collect();
    let kinds: Vec<&str> = made.iter().map(|made| made.kind.as_str()).collect();
    sqlx::query!(
        "insert into export_request
           (id, workspace_id, person_id, kind, include_earlier, state, reason, due_at, requested_at, changed_at)
         select id, $1, person, kind, false, $2, $3, $4, $5, $5
         from unnest($6::uuid[], $7::text[], $8::text[]) as t (id, person, kind)
         on conflict (id) do nothing",
        workspace.as_uuid(),
        outcome.state().as_str(),
        outcome.reason(),
        (outcome == RequestOutcome::Accepted).then_some(now),
        now,
        &ids,
        &people as &[&str],
        &kinds as &[&str]
    )
    .execute(tx)
    .await?;
    Ok(())
}
