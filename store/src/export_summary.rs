//! How exports of a workspace stand, in numbers (E1, X10).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    WorkspaceId,
    app::Outreach,
    export::{Automatic, FailReason, RequestState, SkipReason, WaitReason, automatic},
    settings::ExportPolicy,
};

use crate::{ExportStanding, Store, StoreError, cursors::count};

/// The most people who are counted.
const COUNTED: i64 = 10_000;

/// People who qualify by their facts and were not exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Qualifying {
    /// How many.
    pub people: u64,
    /// Of them, those who qualified before the policy was in force.
    pub earlier: u64,
    /// Whether there are more than were counted.
    pub more: bool,
}

/// Requests by what became of them, and who else there is to export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportNumbers {
    pub qualifying: Qualifying,
    /// Requests that go on.
    pub accepted: u64,
    /// Requests that wait.
    pub waiting: BTreeMap<WaitReason, u64>,
    /// Requests that failed.
    pub failed: BTreeMap<FailReason, u64>,
    /// Requests that were left out since the time asked for.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// When the oldest request was made that is due, or becomes it by time alone.
    pub oldest: Option<DateTime<Utc>>,
}

impl Store {
    /// How exports stand. `skipped_for` is how far back requests that were left out count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn export_numbers(
        &self,
        workspace: WorkspaceId,
        standing: &ExportStanding,
        skipped_for: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<ExportNumbers, StoreError> {
        let rows = sqlx::query!(
            "select state, reason, count(*) as \"requests!\" from export_request
             where workspace_id = $1 and state in ('accepted', 'waiting', 'failed')
             group by state, reason
             union all
             select state, reason, count(*) from export_request
             where workspace_id = $1 and state = 'skipped' and changed_at >= $2
             group by state, reason",
            workspace.as_uuid(),
            now - skipped_for
        )
        .fetch_all(&self.pool)
        .await?;
        let mut numbers = ExportNumbers {
            qualifying: self.qualifying(workspace, standing).await?,
            ..ExportNumbers::default()
        };
        for row in rows {
            let (requests, corrupt) = (count(row.requests), |_| {
                StoreError::Unreadable("export request")
            });
            let state = row.state.unwrap_or_default();
            let reason = row.reason.unwrap_or_default();
            match state.parse::<RequestState>().map_err(corrupt)? {
                RequestState::Accepted => numbers.accepted += requests,
                RequestState::Waiting => {
                    numbers
                        .waiting
                        .insert(reason.parse().map_err(corrupt)?, requests);
                }
                RequestState::Failed => {
                    numbers
                        .failed
                        .insert(reason.parse().map_err(corrupt)?, requests);
                }
                RequestState::Skipped => {
                    numbers
                        .skipped
                        .insert(reason.parse().map_err(corrupt)?, requests);
                }
                RequestState::Exported => {}
            }
        }
        numbers.oldest = sqlx::query_scalar!(
            "select requested_at from export_request
             where workspace_id = $1 and due_at is not null and state in ('accepted', 'waiting')
             order by requested_at limit 1",
            workspace.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(numbers)
    }

    /// Who qualifies by the policy and was not exported; ten thousand are counted at most.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn qualifying(
        &self,
        workspace: WorkspaceId,
        standing: &ExportStanding,
    ) -> Result<Qualifying, StoreError> {
        struct Facts {
            contacted_at: Option<DateTime<Utc>>,
            replied_at: Option<DateTime<Utc>>,
            replied_positively_at: Option<DateTime<Utc>>,
        }
        let portal = standing.connection.as_ref().map(|c| c.portal.get());
        // Those whom only a contact takes in are many more than the others; they have an index of their
        // own.
        macro_rules! with_facts {
            ($sql:literal) => {
                sqlx::query_as!(Facts, $sql, workspace.as_uuid(), portal, COUNTED + 1)
                    .fetch_all(&self.pool)
                    .await?
            };
        }
        let people = match standing.settings.export.policy {
            ExportPolicy::AllContacted => with_facts!(
                "select (document ->> 'contacted_at')::timestamptz as contacted_at,
                   (document ->> 'replied_at')::timestamptz as replied_at,
                   (document ->> 'replied_positively_at')::timestamptz as replied_positively_at
                 from app_person p
                 where workspace_id = $1
                   and (document ->> 'contacted_at' is not null or document ->> 'replied_at' is not null
                     or document ->> 'replied_positively_at' is not null)
                   and not exists (select 1 from exported_person x
                     where x.workspace_id = $1 and x.portal_id = $2 and x.person_id = p.person_id offset 0)
                 limit $3"
            ),
            ExportPolicy::Replied => with_facts!(
                "select (document ->> 'contacted_at')::timestamptz as contacted_at,
                   (document ->> 'replied_at')::timestamptz as replied_at,
                   (document ->> 'replied_positively_at')::timestamptz as replied_positively_at
                 from app_person p
                 where workspace_id = $1
                   and (document ->> 'replied_at' is not null or document ->> 'replied_positively_at' is not null)
                   and not exists (select 1 from exported_person x
                     where x.workspace_id = $1 and x.portal_id = $2 and x.person_id = p.person_id offset 0)
                 limit $3"
            ),
            ExportPolicy::RepliedPositively => with_facts!(
                "select (document ->> 'contacted_at')::timestamptz as contacted_at,
                   (document ->> 'replied_at')::timestamptz as replied_at,
                   (document ->> 'replied_positively_at')::timestamptz as replied_positively_at
                 from app_person p
                 where workspace_id = $1
                   and (document ->> 'replied_at' is not null or document ->> 'replied_positively_at' is not null)
                   and document ->> 'replied_positively_at' is not null
                   and not exists (select 1 from exported_person x
                     where x.workspace_id = $1 and x.portal_id = $2 and x.person_id = p.person_id offset 0)
                 limit $3"
            ),
        };
        let mut found = Qualifying {
            more: people.len() as i64 > COUNTED,
            ..Qualifying::default()
        };
        // Before the settings are saved nothing is in force, and whoever qualifies now will have earlier.
        let in_force = standing
            .in_force_since
            .filter(|_| standing.settings_saved)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        for facts in people.into_iter().take(COUNTED as usize) {
            let facts = Outreach {
                contacted_at: facts.contacted_at,
                replied_at: facts.replied_at,
                replied_positively_at: facts.replied_positively_at,
            };
            match automatic(standing.settings.export.policy, in_force, &facts) {
                Automatic::Export => found.people += 1,
                Automatic::QualifiedEarlier => {
                    found.people += 1;
                    found.earlier += 1;
                }
                Automatic::No(_) => {}
            }
        }
        Ok(found)
    }
}
