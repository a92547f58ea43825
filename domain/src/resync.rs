//! When a resync starts something new, and what it then reads (X7).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ConnectionState, ids::SyncType};

/// How much of each object type a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum ResyncMode {
    /// What changed since the last finished read; everything, where none finished.
    CatchUp,
    /// What was modified at this time or later.
    Since {
        /// The lower bound, by HubSpot's clock.
        since: DateTime<Utc>,
    },
    /// Everything, from the first record on.
    FromScratch,
}

/// A wish to read again: everything, or chosen object types. The JSON input of the `resync` signal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResyncRequest {
    /// The object types; empty means all.
    #[serde(default)]
    pub types: Vec<SyncType>,
    /// How much of each.
    #[serde(default = "catch_up")]
    pub mode: ResyncMode,
}

const fn catch_up() -> ResyncMode {
    ResyncMode::CatchUp
}

impl ResyncRequest {
    /// Everything that changed.
    pub const fn all() -> Self {
        Self {
            types: Vec::new(),
            mode: ResyncMode::CatchUp,
        }
    }

    /// The types it is about, each once, in the order of [`SyncType::ALL`].
    pub fn wanted_types(&self) -> Vec<SyncType> {
        SyncType::ALL
            .into_iter()
            .filter(|t| self.types.is_empty() || self.types.contains(t))
            .collect()
    }
}

/// What came of a resync request. Nobody has to guess whether something was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResyncOutcome {
    /// A new run was made and starts now.
    Started,
    /// A run is under way that reads all of this; nothing new was started.
    AlreadyRunning,
    /// A run is under way that does not cover this; the new one follows it.
    Queued,
    /// The workspace is not connected; nothing was changed.
    NotConnected,
}

/// A run that has not ended, as far as the decision needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// What it reads.
    pub types: Vec<SyncType>,
    /// How much of each.
    pub mode: ResyncMode,
    /// Whether it has begun to read.
    pub begun: bool,
}

/// Decides what a resync request leads to.
///
/// A running run covers a request that asks for no more types and no more of each. A request from
/// scratch is covered only by a run that has not begun yet, for what was read before the request
/// came would not be read again. A run that is queued already and covers the request is enough.
pub fn decide(
    request: &ResyncRequest,
    state: ConnectionState,
    unfinished: &[UnfinishedRun],
) -> ResyncOutcome {
    if !state.may_call_hubspot() {
        return ResyncOutcome::NotConnected;
    }
    if unfinished.iter().any(|run| covers(run, request)) {
        ResyncOutcome::AlreadyRunning
    } else if unfinished.is_empty() {
        ResyncOutcome::Started
    } else {
        ResyncOutcome::Queued
    }
}

fn covers(run: &UnfinishedRun, request: &ResyncRequest) -> bool {
    let types_covered = request.wanted_types().iter().all(|t| run.types.contains(t));
    let reach_covered = match (run.mode, request.mode) {
        (ResyncMode::FromScratch, ResyncMode::FromScratch) => !run.begun,
        (ResyncMode::FromScratch, _) => true,
        (ResyncMode::CatchUp, ResyncMode::CatchUp) => true,
        (ResyncMode::Since { since: a }, ResyncMode::Since { since: b }) => a <= b,
        _ => false,
    };
    types_covered && reach_covered
}

/// Subtracted from the start of the last finished read: larger than the lag of HubSpot's search
/// index (claims go up to 30 s, `hubspot-api.md` §6).
pub const INDEX_LAG_OVERLAP: TimeDelta = TimeDelta::minutes(2);

/// The lower bound from which one object type is read: `None` means from the first record.
///
/// `last_read_began` is when the last read of this type that finished had begun, by HubSpot's
/// clock; what changed while that read went on is thereby read again.
pub fn read_from(
    mode: ResyncMode,
    sync_type: SyncType,
    last_read_began: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    // Owners, property definitions, pipelines and lists have no filter by time, and are small.
    sync_type.object_type()?;
    match mode {
        ResyncMode::FromScratch => None,
        ResyncMode::Since { since } => Some(since),
        ResyncMode::CatchUp => last_read_began.map(|at| at - INDEX_LAG_OVERLAP),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;

    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(secs, 0).unwrap()
    }

    fn run(types: &[SyncType], mode: ResyncMode, begun: bool) -> UnfinishedRun {
        UnfinishedRun {
            types: types.to_vec(),
            mode,
            begun,
        }
    }

    #[test]
    fn a_disconnected_workspace_is_refused() {
        for state in [
            ConnectionState::Disconnected,
            ConnectionState::Disconnecting,
            ConnectionState::NeedsReconnect,
        ] {
            assert_eq!(
                decide(&ResyncRequest::all(), state, &[]),
                ResyncOutcome::NotConnected
            );
        }
    }

    #[test]
    fn decisions() {
        use ResyncMode::{CatchUp, FromScratch, Since};
        let all = SyncType::ALL.to_vec();
        let contacts = vec![SyncType::Contacts];
        let table: Vec<(Vec<SyncType>, ResyncMode, Vec<UnfinishedRun>, ResyncOutcome)> = vec![
            (vec![], CatchUp, vec![], ResyncOutcome::Started),
            (
                vec![],
                CatchUp,
                vec![run(&all, CatchUp, true)],
                ResyncOutcome::AlreadyRunning,
            ),
            (
                contacts.clone(),
                CatchUp,
                vec![run(&all, CatchUp, true)],
                ResyncOutcome::AlreadyRunning,
            ),
            (
                vec![],
                CatchUp,
                vec![run(&contacts, CatchUp, true)],
                ResyncOutcome::Queued,
            ),
            (
                vec![],
                FromScratch,
                vec![run(&all, CatchUp, true)],
                ResyncOutcome::Queued,
            ),
            (
                vec![],
                FromScratch,
                vec![run(&all, FromScratch, true)],
                ResyncOutcome::Queued,
            ),
            (
                vec![],
                FromScratch,
                vec![run(&all, FromScratch, false)],
                ResyncOutcome::AlreadyRunning,
            ),
            (
                vec![],
                FromScratch,
                vec![run(&all, CatchUp, true), run(&all, FromScratch, false)],
                ResyncOutcome::AlreadyRunning,
            ),
            (
                vec![],
                Since { since: at(50) },
                vec![run(&all, Since { since: at(40) }, true)],
                ResyncOutcome::AlreadyRunning,
            ),
            (
                vec![],
                Since { since: at(30) },
                vec![run(&all, Since { since: at(40) }, true)],
                ResyncOutcome::Queued,
            ),
            (
                vec![],
                Since { since: at(30) },
                vec![run(&all, FromScratch, true)],
                ResyncOutcome::AlreadyRunning,
            ),
        ];
        for (types, mode, unfinished, outcome) in table {
            let request = ResyncRequest { types, mode };
            assert_eq!(
                decide(&request, ConnectionState::Connected, &unfinished),
                outcome,
                "{request:?} against {unfinished:?}"
            );
        }
    }

    #[test]
    fn the_signal_input_is_small_json() {
        let request: ResyncRequest = serde_json::from_str(
            r#"{"types":["contacts"],"mode":{"mode":"since","since":"2026-01-02T03:04:05Z"}}"#,
        )
        .unwrap();
        assert_eq!(request.wanted_types(), [SyncType::Contacts]);
        assert_eq!(
            serde_json::from_str::<ResyncRequest>("{}").unwrap(),
            ResyncRequest::all()
        );
        assert!(serde_json::from_str::<ResyncRequest>(r#"{"typos":[]}"#).is_err());
    }

    proptest! {
        #[test]
        fn catching_up_never_starts_after_the_last_read_began(secs in 0i64..4_000_000_000) {
            let from = read_from(ResyncMode::CatchUp, SyncType::Deals, Some(at(secs))).unwrap();
            prop_assert!(from < at(secs));
            prop_assert_eq!(read_from(ResyncMode::CatchUp, SyncType::Deals, None), None);
            prop_assert_eq!(read_from(ResyncMode::CatchUp, SyncType::Owners, Some(at(secs))), None);
        }
    }
}
