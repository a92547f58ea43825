//! What `Sweep` mends: rules for what it compares.

use chrono::TimeDelta;

use crate::{ConnectionPhase, ConnectionState, Epoch};

/// The first wait after a backfill that ended before its end; it doubles,
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(30);
/// up to this.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);

/// What a running `Connection` workflow shows to those who list workflows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownConnection {
    /// Its search attribute `SyncPhase`.
    pub phase: Option<String>,
    /// The epoch of its last turn; none from workflows of older versions.
    pub epoch: Option<Epoch>,
}

impl ShownConnection {
    /// Whether the workflow knows of this state and epoch. If not, a signal was lost.
    pub fn knows(&self, state: ConnectionState, epoch: Epoch) -> bool {
        let phases: &[ConnectionPhase] = match state {
            ConnectionState::Connected => &[
                ConnectionPhase::Connected,
                ConnectionPhase::Backfilling,
                ConnectionPhase::Syncing,
            ],
            ConnectionState::NeedsReconnect => &[ConnectionPhase::NeedsReconnect],
            // While it is being taken down it shows so; that nothing comes of it for long is a
            // reason to wake it, too.
            ConnectionState::Disconnecting => &[],
            ConnectionState::Disconnected => &[ConnectionPhase::Disconnected],
        };
        let phase_fits = self
            .phase
            .as_deref()
            .is_some_and(|shown| phases.iter().any(|p| p.as_str() == shown));
        phase_fits && self.epoch.is_none_or(|shown| shown == epoch)
    }
}

/// How long after its last end a backfill is started again that ended before its end so many times
/// in a row: what fails for good must not run hot.
pub fn restart_backfill_after(ends: u32) -> TimeDelta {
    match ends {
        0 => TimeDelta::zero(),
        n => (FIRST_WAIT * (1 << (n - 1).min(10))).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_that_shows_something_else_has_lost_a_signal() {
        use ConnectionState::{Connected, Disconnected, Disconnecting, NeedsReconnect};
        let table = [
            ("connected", Connected, true),
            ("backfilling", Connected, true),
            ("syncing", Connected, true),
            ("needs_reconnect", Connected, false),
            ("syncing", Disconnecting, false),
            ("disconnecting", Disconnecting, false),
            ("syncing", NeedsReconnect, false),
            ("needs_reconnect", NeedsReconnect, true),
            ("syncing", Disconnected, false),
            ("", Connected, false),
        ];
        for (phase, state, knows) in table {
            let shown = |epoch| ShownConnection {
                phase: Some(phase.to_owned()),
                epoch,
            };
            let now = Epoch::new(3);
            assert_eq!(shown(Some(now)).knows(state, now), knows, "{phase} {state}");
            assert_eq!(shown(None).knows(state, now), knows, "{phase} {state}");
            assert!(!shown(Some(Epoch::new(2))).knows(state, now));
        }
        assert!(!ShownConnection::default().knows(Connected, Epoch::new(1)));
    }

    #[test]
    fn a_backfill_that_fails_for_good_is_started_ever_later() {
        let seconds = [0, 1, 2, 3, 8, u32::MAX].map(|n| restart_backfill_after(n).num_seconds());
        assert_eq!(seconds, [0, 30, 60, 120, 3_600, 3_600]);
    }
}
