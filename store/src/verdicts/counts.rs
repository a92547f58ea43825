//! How many people each rule stops. Verdicts keep the counts themselves, by triggers: what is here reads
//! them, and puts together what came in pieces.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{PortalId, WorkspaceId, app::PersonId, dnc::DncRule};

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

/// Somebody whom a rule stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedPerson {
    /// Where they stand among those whom the rule stops.
    pub place: StoppedPlace,
    /// Everything that stops them.
    pub rules: Vec<DncRule>,
    /// When that was judged.
    pub judged_at: DateTime<Utc>,
}

/// A place in the order of whom a rule stops: by what else does, then by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedPlace {
    /// All rules that stop them, as [`DncRule::bit`]s.
    pub bits: i32,
    /// The person.
    pub person: PersonId,
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

    /// Whom a rule stops, as their verdicts stand, after a place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people_stopped_by(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        rule: DncRule,
        after: Option<&StoppedPlace>,
        limit: u32,
    ) -> Result<Vec<StoppedPerson>, StoreError> {
        let from = after.map_or(0, |after| after.bits);
        let mut bits = rule.bits_with();
        bits.retain(|bits| *bits >= from);
        let rows = sqlx::query!(
            "select m.bits as \"bits!\", v.person_id, v.judged_at from unnest($3::int[]) as m (bits)
             cross join lateral (select d.person_id, d.judged_at from dnc_verdict d
               where d.workspace_id = $1 and uuid_hash(d.workspace_id) = uuid_hash($1) and d.portal_id + 0 = $2
                 and not d.allowed and dnc_rule_mask(d.reasons) = m.bits
                 and d.person_id > case when m.bits = $4 then $5 else '' end
               order by d.person_id limit $6) v
             order by m.bits, v.person_id limit $6",
            workspace.as_uuid(),
            portal.get(),
            &bits,
            from,
            after.map_or("", |after| after.person.as_str()),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let person = row.person_id.parse();
                Ok(StoppedPerson {
                    place: StoppedPlace {
                        bits: row.bits,
                        person: person.map_err(|_| StoreError::Unreadable("person"))?,
                    },
                    rules: DncRule::of_bits(row.bits),
                    judged_at: row.judged_at,
                })
            })
            .collect()
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
