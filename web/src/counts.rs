//! Counts of the mirror for `status`. Counting a million rows takes a while, and people watch.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{PortalId, SyncRunId, WorkspaceId};
use store::{MirrorStats, RunState, Store, StoreError};

/// What was counted faster than this is counted each time.
const FAST: Duration = Duration::from_millis(50);
/// A count is good for so many times as long as it took: counting stays a twentieth of one
/// processor, however many people watch.
const TIMES: u32 = 20;
/// The longest that a count is good for.
const MOST: Duration = Duration::from_secs(60);

/// Of what a count was made: it is made anew when a run begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) portal: PortalId,
    pub(crate) run: Option<(SyncRunId, RunState)>,
}

struct Counted {
    moment: Moment,
    until: Instant,
    stats: Vec<MirrorStats>,
}

/// How long a count that took so long is good for; none when it is not kept.
fn good_for(took: Duration) -> Option<Duration> {
    (took >= FAST).then(|| took.saturating_mul(TIMES).min(MOST))
}

/// The counts that were made a short while ago.
#[derive(Default)]
pub(crate) struct Counts(Mutex<HashMap<WorkspaceId, Counted>>);

impl Counts {
    /// The counts of a workspace's mirror.
    pub(crate) async fn of(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        moment: Moment,
    ) -> Result<Vec<MirrorStats>, StoreError> {
        if let Some(stats) = self.kept(workspace, moment, Instant::now()) {
            return Ok(stats);
        }
        let began = Instant::now();
        let stats = store.mirror_stats(workspace, moment.portal).await?;
        self.keep(workspace, moment, &stats, began.elapsed(), Instant::now());
        Ok(stats)
    }

    fn kept(
        &self,
        workspace: WorkspaceId,
        moment: Moment,
        now: Instant,
    ) -> Option<Vec<MirrorStats>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&workspace)
            .filter(|counted| counted.moment == moment && now < counted.until)
            .map(|counted| counted.stats.clone())
    }

    fn keep(
        &self,
        workspace: WorkspaceId,
        moment: Moment,
        stats: &[MirrorStats],
        took: Duration,
        now: Instant,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, counted| now < counted.until);
        if let Some(good_for) = good_for(took) {
            let counted = Counted {
                moment,
                until: now + good_for,
                stats: stats.to_vec(),
            };
            all.insert(workspace, counted);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_slow_count_is_kept_for_a_while_and_until_the_run_ends() {
        let counts = Counts::default();
        let workspace = WorkspaceId::new(Uuid::nil());
        let run = SyncRunId::new(Uuid::nil());
        let reading = Moment {
            portal: PortalId::new(7).unwrap(),
            run: Some((run, RunState::Running)),
        };
        let ended = Moment {
            run: Some((run, RunState::Finished)),
            ..reading
        };
        let now = Instant::now();
        let ms = Duration::from_millis;
        counts.keep(workspace, reading, &[], ms(49), now);
        assert!(counts.kept(workspace, reading, now).is_none());
        counts.keep(workspace, reading, &[], ms(100), now);
        assert!(counts.kept(workspace, reading, now + ms(1_999)).is_some());
        assert!(counts.kept(workspace, reading, now + ms(2_000)).is_none());
        assert!(counts.kept(workspace, ended, now).is_none());
        assert_eq!(good_for(Duration::from_secs(30)), Some(MOST));
    }
}
