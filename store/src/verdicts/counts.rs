//! How many people each rule stops. Verdicts keep the counts themselves, by triggers: what is here reads
//! them, and puts together what came in pieces.

use std::collections::BTreeMap;

use domain::{PortalId, WorkspaceId, dnc::DncRule};

use crate::{Store, StoreError, cursors::count};

/// How many are stopped, as their verdicts stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoppedPeople {
    /// Everybody with a verdict.
    pub judged: u64,
    /// Who must not be contacted.
    pub stopped: u64,
    /// By the rule; somebody may be stopped by several.
    pub by_rule: BTreeMap<DncRule, u64>,
}

/// Pieces that are read as they are: beyond so many they are put together.
const PIECES: i64 = 200;

impl Store {
    /// How many people each rule stops.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stopped_people(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<StoppedPeople, StoreError> {
        let rows = sqlx::query!(
            "select rule, sum(people)::bigint as \"people!\" from dnc_rule_count
             where workspace_id = $1 and portal_id = $2 group by rule",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        let mut stopped = StoppedPeople::default();
        for row in rows {
            let people = count(row.people);
            match row.rule.as_str() {
                "*" => stopped.judged = people,
                "" => stopped.stopped = people,
                rule => {
                    let rule: DncRule = rule.parse().map_err(|_| StoreError::Corrupt("rule"))?;
                    stopped.by_rule.insert(rule, people);
                }
            }
        }
        Ok(stopped)
    }

    /// Puts the pieces of the counts together, where there are many.
    pub(super) async fn put_counts_together(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "with pieces as (
               delete from dnc_rule_count where workspace_id = $1 and portal_id = $2
                 and (select count(*) from dnc_rule_count
                   where workspace_id = $1 and portal_id = $2) > $3
               returning rule, people)
             insert into dnc_rule_count (workspace_id, portal_id, rule, people)
             select $1, $2, rule, sum(people)::bigint from pieces group by rule having sum(people) <> 0",
            workspace.as_uuid(),
            portal.get(),
            PIECES
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
