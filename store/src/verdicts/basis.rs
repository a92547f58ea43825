//! What verdicts are judged by: the settings, the definitions of the portal, and how its reads stand.

use chrono::{DateTime, Utc};
use domain::{
    ConnectionState, PortalId, ReadOutcome, SyncType, WorkspaceId,
    app::Member,
    dnc::{Calendar, ListState, Stale, TypeState, stale_reads},
    owners::OwnerMap,
    portal::{ListId, PortalOwner, PortalPipeline},
    settings::{ListUse, Settings},
};
use sha2::{Digest as _, Sha256};

use crate::{Store, StoreError};

/// What the verdicts of a workspace are judged by, at a moment.
#[derive(Debug)]
pub struct DncBasis {
    /// The portal that it is or was connected to.
    pub portal: PortalId,
    /// The settings in force.
    pub settings: Settings,
    /// The pipelines of the portal; none where they were never read.
    pub pipelines: Option<Vec<PortalPipeline>>,
    /// What is wrong with the reads that the rules stand on.
    pub stale: Vec<Stale>,
    /// How days are counted.
    pub calendar: Calendar,
    /// When the oldest of the reads that the rules stand on began; none where one never ended.
    pub as_of: Option<DateTime<Utc>>,
    /// The moment, by the database's clock.
    pub now: DateTime<Utc>,
    gone_lists: Vec<ListId>,
    // Only where a rule asks who stands for an owner.
    owners: Vec<PortalOwner>,
    members: Vec<Member>,
}

impl DncBasis {
    /// The lists that suppress whoever is on them.
    pub(crate) fn suppression_lists(&self) -> Vec<i64> {
        self.settings
            .lists
            .iter()
            .filter(|followed| followed.list_use == ListUse::Suppression)
            .map(|followed| followed.list.get())
            .collect()
    }

    pub(crate) fn is_gone(&self, list: ListId) -> bool {
        self.gone_lists.contains(&list)
    }

    /// Who stands for which owner.
    pub(crate) fn owner_map(&self) -> OwnerMap<'_> {
        OwnerMap::new(&self.settings.owners, &self.owners, &self.members)
    }

    /// Two bases with one fingerprint judge all people alike.
    pub(crate) fn fingerprint(&self) -> Result<String, StoreError> {
        let settings = &self.settings;
        let map = self.owner_map();
        let mapped: Vec<i64> = self
            .owners
            .iter()
            .map(|owner| owner.id)
            .filter(|owner| map.mapped(*owner).is_some())
            .map(|owner| owner.get())
            .collect();
        let pipelines = self.pipelines.as_ref().map(|all| {
            all.iter()
                .flat_map(|p| {
                    p.stages
                        .iter()
                        .map(|s| (p.id.as_str(), s.id.as_str(), s.closed, s.won))
                })
                .collect::<Vec<_>>()
        });
        let gone: Vec<i64> = self.gone_lists.iter().map(ListId::get).collect();
        let all = (
            &settings.dnc,
            self.suppression_lists(),
            &self.stale,
            self.calendar.today(),
            mapped,
            pipelines,
            gone,
        );
        let json = serde_json::to_vec(&all).map_err(|_| StoreError::Corrupt("settings"))?;
        Ok(Sha256::digest(json)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }
}

impl Store {
    /// What the verdicts of a workspace are judged by now; none where it never was connected.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for settings that cannot be read; else when the database fails.
    pub async fn dnc_basis(&self, workspace: WorkspaceId) -> Result<Option<DncBasis>, StoreError> {
        let Some(connection) = self.connection(workspace).await? else {
            return Ok(None);
        };
        let portal = connection.portal;
        let settings = match self.settings(workspace).await? {
            Some(row) => {
                domain::settings::read(row.document).map_err(|_| StoreError::Corrupt("settings"))?
            }
            None => Settings::empty(),
        };
        let types = self.type_states(workspace, portal).await?;
        let lists = self.list_states(workspace, portal).await?;
        let row = sqlx::query!(
            "select now() as \"now!\",
               (select time_zone from hubspot_portal where workspace_id = $1 and portal_id = $2) as time_zone,
               (select stale::text from dnc_projection where workspace_id = $1 and portal_id = $2) as stale",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        let before: Vec<Stale> = row
            .stale
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default();
        let stale = stale_reads(
            &settings,
            connection.state == ConnectionState::Connected,
            &types
                .iter()
                .map(|(state, _)| state.clone())
                .collect::<Vec<_>>(),
            &lists,
            &before,
        );
        let read_at = |needed: SyncType| {
            types
                .iter()
                .find(|(state, _)| state.sync_type == needed)
                .and_then(|(_, at)| *at)
        };
        let needed = domain::dnc::staleness::needed(&settings);
        let as_of = needed
            .into_iter()
            .map(read_at)
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().min());
        let ever = |wanted| read_at(wanted).is_some();
        let pipelines = if ever(SyncType::Pipelines) {
            Some(self.portal_pipelines(workspace, portal).await?)
        } else {
            None
        };
        let (owners, members) = if settings.dnc.unmapped_owner {
            (
                self.portal_owners(workspace, portal).await?,
                self.all_members(workspace).await?,
            )
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Some(DncBasis {
            portal,
            pipelines,
            owners,
            members,
            stale,
            calendar: Calendar::new(row.now, row.time_zone.as_deref()),
            as_of,
            now: row.now,
            gone_lists: lists.iter().filter(|l| l.gone).map(|l| l.list).collect(),
            settings,
        }))
    }

    /// How the types of a portal stand: each by the newest run and by the periodic sync, as the end of one
    /// mends nothing that the other left open. Besides, when the last reading that ended had begun.
    async fn type_states(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<(TypeState, Option<DateTime<Utc>>)>, StoreError> {
        let types: Vec<String> = SyncType::OF_RUNS.map(|t| t.as_str().to_owned()).into();
        let rows = sqlx::query!(
            "select t.sync_type as \"sync_type!\", l.read_began_at as \"read_began_at?\", c.outcome as \"outcome?\",
               (select array_agg(f.part) from sync_refusal f where f.cursor_id = c.id) as \"refused?\",
               exists (select 1 from sync_unanswered u where u.cursor_id = c.id) as \"unanswered!\"
             from unnest($3::text[]) as t (sync_type)
             left join last_read l on l.workspace_id = $1 and l.portal_id = $2 and l.sync_type = t.sync_type
             left join sync_cursor c on c.workspace_id = $1 and c.portal_id = $2 and c.sync_type = t.sync_type
               and c.purpose in ('run', 'periodic')
             order by t.sync_type, c.purpose desc",
            workspace.as_uuid(),
            portal.get(),
            &types
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let state = TypeState {
                    sync_type: row
                        .sync_type
                        .parse()
                        .map_err(|_| StoreError::Corrupt("type of a cursor"))?,
                    ever_finished: row.read_began_at.is_some(),
                    outcome: row.outcome.as_deref().map(outcome_of).transpose()?,
                    refused: row
                        .refused
                        .unwrap_or_default()
                        .iter()
                        .map(|part| part.parse())
                        .collect::<Result<_, _>>()
                        .map_err(|_| StoreError::Corrupt("part of a refusal"))?,
                    unanswered: row.unanswered,
                };
                Ok((state, row.read_began_at))
            })
            .collect()
    }

    async fn list_states(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<ListState>, StoreError> {
        let rows = sqlx::query!(
            "select l.list_id, l.processing_status = 'PROCESSING' as \"processing!\", l.gone_at is not null as \"gone!\",
               l.members_read_at is not null as \"ever_read!\",
               (select c.outcome from sync_cursor c where c.workspace_id = $1 and c.portal_id = $2
                 and c.sync_type = 'lists' and c.purpose = 'members' and c.part = l.list_id) as outcome
             from hubspot_list l where l.workspace_id = $1 and l.portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ListState {
                    list: ListId::new(row.list_id),
                    processing: row.processing,
                    gone: row.gone,
                    ever_read: row.ever_read,
                    outcome: row.outcome.as_deref().map(outcome_of).transpose()?,
                })
            })
            .collect()
    }

    /// Notes the time zone of a portal; a name that nobody knows is as good as none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_time_zone(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        time_zone: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into hubspot_portal (workspace_id, portal_id, time_zone, read_at)
             values ($1, $2, $3, clock_timestamp())
             on conflict (workspace_id, portal_id) do update set
               time_zone = coalesce(excluded.time_zone, hubspot_portal.time_zone), read_at = excluded.read_at",
            workspace.as_uuid(),
            portal.get(),
            time_zone.filter(|name| name.len() <= 100 && !name.contains('\0'))
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The name of the portal's time zone, where it is known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn portal_zone(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            "select time_zone from hubspot_portal where workspace_id = $1 and portal_id = $2",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_optional(&self.pool)
        .await?
        .flatten())
    }

    /// Whether a portal has to be asked for its time zone: it was not within a day.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wants_time_zone(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            "select not exists (select 1 from hubspot_portal where workspace_id = $1 and portal_id = $2
               and read_at > clock_timestamp() - interval '1 day') as \"wants!\"",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.wants)
    }
}

fn outcome_of(text: &str) -> Result<ReadOutcome, StoreError> {
    text.parse()
        .map_err(|_| StoreError::Corrupt("outcome of a cursor"))
}
