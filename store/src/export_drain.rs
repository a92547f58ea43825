//! What a person's export is made from, as it is stored now, and what becomes of the person's requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, PortalId, WorkspaceId,
    app::{Company, LeadStatus, Person, PersonId, RecordKind, RecordVersion},
    export::{
        RequestId, RequestKind, RequestOutcome, SkipReason, WaitReason, coalesce::Pending,
        policy::ExportCause,
    },
    linking::{Holder, Link},
};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    links::{self, LinkRow, Of, Ours},
    mirror::object_id,
};

/// Most requests of a person that are put together at once.
const PENDING: i64 = 1_000;

/// What is stored about one person's export.
#[derive(Debug)]
pub struct DrainFacts {
    /// By the database's clock.
    pub now: DateTime<Utc>,
    /// The person; none of one who is not known.
    pub person: Option<Person>,
    /// The app's company that they are at.
    pub company: Option<Company>,
    /// Requests that are pending, but for activities, in the order in which they were accepted.
    pub pending: Vec<PendingRow>,
    /// The contact that they are linked to.
    pub linked: Option<Link>,
    /// What their company is linked to.
    pub company_linked: Option<Link>,
    /// What HubSpot has of them from us.
    pub exported: Option<ExportedPerson>,
}

/// A request that is pending.
#[derive(Debug, Clone, Copy)]
pub struct PendingRow {
    /// What it is put together by.
    pub pending: Pending,
    /// Whether it is time to go on with it.
    pub ready: bool,
    /// Attempts since it last got somewhere.
    pub attempts: u32,
}

/// A person whom HubSpot has from us.
#[derive(Debug, Clone, Copy)]
pub struct ExportedPerson {
    /// The contact, as it was then.
    pub contact: HubSpotObjectId,
    /// The status that HubSpot was last told of.
    pub status_said: Option<LeadStatus>,
}

/// One of ours that is linked to a record, for whoever asks which of them owns its values.
#[derive(Debug, Clone)]
pub struct RecordHolder {
    /// As far as the link says.
    pub holder: Holder,
    /// What it is found by.
    pub keys: Vec<String>,
    /// Whether the app has said anything of it.
    pub said: bool,
}

/// A record of the mirror that has a key of ours.
#[derive(Debug, Clone)]
pub struct MirroredRecord {
    /// Which.
    pub id: HubSpotObjectId,
    /// Its properties as they were last read.
    pub properties: Map<String, Value>,
}

/// A person whose export is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueExport {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// Who.
    pub person: PersonId,
    /// The portal that the workspace is connected to.
    pub portal: PortalId,
}

/// What becomes of requests.
#[derive(Debug, Clone, Default)]
pub struct RequestsEnd {
    /// What is shown beside the reason.
    pub error_code: Option<&'static str>,
    /// The properties that it is about.
    pub properties: Vec<String>,
}

impl Store {
    /// What is stored about one person's export.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for a person that cannot be read; else when the database fails.
    pub async fn drain_facts(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
    ) -> Result<DrainFacts, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let now = sqlx::query_scalar!("select clock_timestamp() as \"now!\"")
            .fetch_one(&mut *connection)
            .await?;
        let pending = pending_of(&mut connection, workspace, person, now).await?;
        let ids = [person.as_str().to_owned()];
        let people = Of {
            workspace,
            portal,
            record: RecordKind::Person,
        };
        let known = match links::ours(&mut connection, people, &ids)
            .await?
            .remove(person.as_str())
        {
            None => None,
            Some(Ok(Ours::Person(person))) => Some(person),
            Some(_) => return Err(StoreError::Unreadable("person")),
        };
        let linked = link(&mut connection, people, person.as_str()).await?;
        let companies = Of {
            record: RecordKind::Company,
            ..people
        };
        let mut company = None;
        let mut company_linked = None;
        if let Some(id) = known.as_ref().and_then(|p| p.company.as_ref()) {
            let ids = [id.as_str().to_owned()];
            company = match links::ours(&mut connection, companies, &ids)
                .await?
                .remove(id.as_str())
            {
                Some(Ok(Ours::Company(company))) => Some(company),
                // The contact is exported all the same, by the domain of the address.
                _ => None,
            };
            company_linked = link(&mut connection, companies, id.as_str()).await?;
        }
        let exported = sqlx::query!(
            "select contact_id, status_said from exported_person
             where workspace_id = $1 and portal_id = $2 and person_id = $3",
            workspace.as_uuid(),
            portal.get(),
            person.as_str()
        )
        .fetch_optional(&mut *connection)
        .await?
        .map(|row| {
            Ok::<_, StoreError>(ExportedPerson {
                contact: object_id(row.contact_id)?,
                // A status that is no more was another one.
                status_said: row.status_said.and_then(|status| status.parse().ok()),
            })
        })
        .transpose()?;
        Ok(DrainFacts {
            now,
            person: known,
            company,
            pending,
            linked,
            company_linked,
            exported,
        })
    }

    /// Those that are linked to a record by one of its ids: its own, and those that were merged into it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holders_of(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        record: RecordKind,
        ids: &BTreeSet<HubSpotObjectId>,
    ) -> Result<Vec<RecordHolder>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let whose = Of {
            workspace,
            portal,
            record,
        };
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        let rows = links::links_to(&mut connection, whose, &ids).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.app_id.clone()).collect();
        let ours = links::ours(&mut connection, whose, &ids).await?;
        let keys: BTreeMap<&str, Vec<String>> = ours
            .iter()
            .filter_map(|(id, row)| Some((id.as_str(), row.as_ref().ok()?.keys())))
            .collect();
        let made: BTreeSet<&str> = ours
            .iter()
            .filter(
                |(_, row)| matches!(row, Ok(Ours::Person(p)) if p.version == RecordVersion::MIN),
            )
            .map(|(id, _)| id.as_str())
            .collect();
        Ok(rows
            .iter()
            .map(|row| RecordHolder {
                holder: links::holder(row, None, None),
                keys: keys.get(row.app_id.as_str()).cloned().unwrap_or_default(),
                said: !made.contains(row.app_id.as_str()),
            })
            .collect())
    }

    /// The live records of the mirror that have one of these keys: addresses of contacts, domains of
    /// companies, in the form in which they are compared.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mirrored_by_keys(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        record: RecordKind,
        keys: &[String],
    ) -> Result<Vec<MirroredRecord>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let whose = Of {
            workspace,
            portal,
            record,
        };
        let claims = links::claims(&mut connection, whose, keys).await?;
        let ids: Vec<i64> = claims.into_values().flatten().collect();
        read_records(&mut connection, whose, &ids).await
    }

    /// Records of the mirror by id; those that are archived or not there are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mirrored_by_ids(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        record: RecordKind,
        ids: &[HubSpotObjectId],
    ) -> Result<Vec<MirroredRecord>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let whose = Of {
            workspace,
            portal,
            record,
        };
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        read_records(&mut connection, whose, &ids).await
    }

    /// Ends requests, or lets them wait. Those that have ended already stay as they ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn_requests(
        &self,
        workspace: WorkspaceId,
        requests: &[RequestId],
        outcome: RequestOutcome,
        end: &RequestsEnd,
    ) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(turn(&mut connection, workspace, requests, outcome, end).await?)
    }

    /// Ends requests for one reason.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn skip_requests(
        &self,
        workspace: WorkspaceId,
        requests: &[RequestId],
        reason: SkipReason,
    ) -> Result<u64, StoreError> {
        let end = RequestsEnd {
            error_code: Some(reason.code()),
            ..RequestsEnd::default()
        };
        self.turn_requests(
            workspace,
            requests,
            RequestOutcome::Skipped { reason },
            &end,
        )
        .await
    }

    /// Lets pending requests of a person wait: until a time, or until what they wait for happens. An attempt is
    /// counted where trouble has a code; looks for what may have landed come soon after each other, and make no
    /// wait longer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn park_requests(
        &self,
        workspace: WorkspaceId,
        requests: &[RequestId],
        reason: WaitReason,
        wait: Option<Duration>,
        error_code: Option<&'static str>,
    ) -> Result<(), StoreError> {
        let ids: Vec<uuid::Uuid> = requests.iter().map(RequestId::as_uuid).collect();
        sqlx::query!(
            "update export_request set state = 'waiting', reason = $3,
               attempts = attempts + case when $3 = 'tried_again_later' and $5::text is not null then 1 else 0 end,
               error_code = $5, changed_at = clock_timestamp(),
               due_at = clock_timestamp() + make_interval(secs => $4::float8)
             where workspace_id = $1 and id = any($2) and state in ('accepted', 'waiting')",
            workspace.as_uuid(),
            &ids,
            reason.as_str(),
            wait.map(|w| w.as_secs_f64()),
            error_code
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records that were written today, by the day of the portal's time zone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn written_on(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        day: chrono::NaiveDate,
    ) -> Result<u32, StoreError> {
        let records = sqlx::query_scalar!(
            "select records from export_day where workspace_id = $1 and portal_id = $2 and day = $3",
            workspace.as_uuid(),
            portal.get(),
            day
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(records.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// Of these people, those about whom something was accepted and is to be exported.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exports_to_wake(
        &self,
        workspace: WorkspaceId,
        people: &[PersonId],
    ) -> Result<Vec<PersonId>, StoreError> {
        let ids: Vec<&str> = people.iter().map(PersonId::as_str).collect();
        // The first condition is that of the partial index.
        let due = sqlx::query_scalar!(
            "select e.id as \"id!\" from unnest($2::text[]) as e (id)
             where exists (select 1 from export_request r
               where r.workspace_id = $1 and r.person_id = e.id and r.state in ('accepted', 'waiting')
                 and r.state = 'accepted' offset 0)
               or exists (select 1 from app_activity a
                 where a.workspace_id = $1 and a.person_id = e.id and a.state = 'accepted' offset 0)",
            workspace.as_uuid(),
            &ids as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(due.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// People with requests, activities or reverts that are due and that nobody may be looking after, the
    /// longest due first; of some workspaces only those with reverts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_exports(
        &self,
        overdue: Duration,
        limit: u32,
        but_of: &[WorkspaceId],
    ) -> Result<Vec<DueExport>, StoreError> {
        let but_of: Vec<uuid::Uuid> = but_of.iter().map(|w| w.as_uuid()).collect();
        let rows = sqlx::query!(
            "select d.workspace_id as \"workspace!\", d.person_id as \"person!\", c.portal_id as \"portal!\"
             from (
               select workspace_id, person_id, min(due_at) as due_at from (
                 (select workspace_id, person_id, due_at from export_request
                  where due_at < clock_timestamp() - make_interval(secs => $1) and person_id is not null
                    and workspace_id <> all($3)
                  order by due_at limit $2)
                 union all
                 (select workspace_id, person_id, due_at from app_activity
                  where due_at < clock_timestamp() - make_interval(secs => $1)
                    and reason is distinct from 'person_not_exported' and workspace_id <> all($3)
                  order by due_at limit $2)
                 union all
                 (select workspace_id, person_id, due_at from export_revert
                  where due_at < clock_timestamp() - make_interval(secs => $1)
                  order by due_at limit $2)) each
               group by workspace_id, person_id) d
             cross join lateral (select c.portal_id from connection c
               where c.workspace_id = d.workspace_id and c.state = 'connected' limit 1) c
             order by d.due_at limit $2",
            overdue.as_secs_f64(),
            i64::from(limit),
            &but_of
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                Some(DueExport {
                    workspace: WorkspaceId::new(row.workspace),
                    person: row.person.parse().ok()?,
                    portal: PortalId::new(row.portal).ok()?,
                })
            })
            .collect())
    }
}

async fn pending_of(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    person: &PersonId,
    now: DateTime<Utc>,
) -> Result<Vec<PendingRow>, StoreError> {
    let rows = sqlx::query!(
        "select id, kind, state, reason, due_at, anew, include_earlier, attempts from export_request
         where workspace_id = $1 and person_id = $2 and state in ('accepted', 'waiting')
           and kind <> 'activity'
         order by id limit $3",
        workspace.as_uuid(),
        person.as_str(),
        PENDING
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind: RequestKind = row
                .kind
                .parse()
                .map_err(|_| StoreError::Unreadable("export request"))?;
            let cause = match kind {
                RequestKind::Manual => ExportCause::Manual { anew: row.anew },
                RequestKind::Bulk => ExportCause::Bulk {
                    include_earlier: row.include_earlier,
                },
                _ => ExportCause::Automatic,
            };
            // Whose connection is back goes on; what waits for the person goes on with another one.
            let reconnected = ["not_connected", "needs_reconnect"];
            let back = row
                .reason
                .as_deref()
                .is_some_and(|r| reconnected.contains(&r));
            let ready = row.state == "accepted" || back || row.due_at.is_some_and(|due| due <= now);
            Ok(PendingRow {
                pending: Pending {
                    request: RequestId::new(row.id),
                    kind,
                    cause,
                },
                ready,
                attempts: u32::try_from(row.attempts).unwrap_or(0),
            })
        })
        .collect()
}

async fn link(connection: &mut PgConnection, of: Of, id: &str) -> Result<Option<Link>, StoreError> {
    let ids = [id.to_owned()];
    let Some(LinkRow {
        object_id: record,
        origin,
        ..
    }) = links::links_of(connection, of, &ids).await?.remove(id)
    else {
        return Ok(None);
    };
    let live = !read_records(connection, of, &[record]).await?.is_empty();
    Ok(Some(Link {
        record: object_id(record)?,
        origin,
        live,
    }))
}

async fn read_records(
    connection: &mut PgConnection,
    of: Of,
    ids: &[i64],
) -> Result<Vec<MirroredRecord>, StoreError> {
    links::theirs(connection, of, ids)
        .await?
        .into_values()
        .filter(|record| !record.archived)
        .map(|record| {
            let Value::Object(properties) = record.properties else {
                return Err(StoreError::Corrupt("properties of a record"));
            };
            Ok(MirroredRecord {
                id: object_id(record.id)?,
                properties,
            })
        })
        .collect()
}

/// Turns requests that have not ended.
pub(crate) async fn turn(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    requests: &[RequestId],
    outcome: RequestOutcome,
    end: &RequestsEnd,
) -> Result<u64, sqlx::Error> {
    if requests.is_empty() {
        return Ok(0);
    }
    let ids: Vec<uuid::Uuid> = requests.iter().map(RequestId::as_uuid).collect();
    let (due, hubspot_id) = match outcome {
        RequestOutcome::Waiting { due, .. } => (due, None),
        RequestOutcome::Exported { hubspot_id } => (None, Some(hubspot_id.get())),
        _ => (None, None),
    };
    let properties = Some(end.properties.clone()).filter(|p| !p.is_empty());
    let turned = sqlx::query!(
        "update export_request set state = $3, reason = $4, due_at = $5, hubspot_id = $6,
           error_code = $7, properties = $8, attempts = 0, changed_at = clock_timestamp()
         where workspace_id = $1 and id = any($2) and state in ('accepted', 'waiting')",
        workspace.as_uuid(),
        &ids,
        outcome.state().as_str(),
        outcome.reason(),
        due,
        hubspot_id,
        end.error_code,
        properties.as_deref()
    )
    .execute(tx)
    .await?;
    Ok(turned.rows_affected())
}
