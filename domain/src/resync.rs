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
        /// The lower bound, by HubSpot's clock; a moment of the years 1900 to 2200.
        #[serde(deserialize_with = "bound")]
        since: DateTime<Utc>,
    },
    /// Everything, from the first record on.
    FromScratch,
}

/// Postgres has no year −5000: what cannot be a bound is refused where it is read.
fn bound<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::<Utc>::deserialize(deserializer)
        .ok()
        .filter(|at| crate::times::is_plausible(*at))
        .ok_or_else(|| {
            serde::de::Error::custom(crate::IdError::Malformed {
                kind: "since",
                expected: "a time of the years 1900 to 2200 by RFC 3339, such as 2026-11-24T08:30:00Z",
            })
        })
}

/// A wish to read again: everything, or chosen object types. The JSON input of the `resync` signal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResyncRequest {
    /// The object types; empty means all that runs read. `engagements` are none of them.
    #[serde(default, deserialize_with = "of_runs")]
    pub types: Vec<SyncType>,
    /// How much of each.
    #[serde(default = "catch_up")]
    pub mode: ResyncMode,
}

/// Engagements are the periodic sync's alone: who asks a run for them would wait in vain. One by one, so
/// that a refusal names the place.
fn of_runs<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<SyncType>, D::Error> {
    struct OfRuns(SyncType);

    impl<'de> Deserialize<'de> for OfRuns {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match SyncType::deserialize(deserializer)? {
                SyncType::Engagements => Err(serde::de::Error::custom(crate::IdError::Malformed {
                    kind: "type to resync",
                    expected: "one that runs read; engagements are read by each periodic sync: leave them out",
                })),
                other => Ok(Self(other)),
            }
        }
    }

    let types = Vec::<OfRuns>::deserialize(deserializer)?;
    Ok(types.into_iter().map(|OfRuns(one)| one).collect())
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

    /// The types it is about, each once, in the order of [`SyncType::OF_RUNS`].
    pub fn wanted_types(&self) -> Vec<SyncType> {
        SyncType::OF_RUNS
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
    /// A run is under way, or waits, that has yet to begin all of this; nothing new was started.
    AlreadyRunning,
    /// A run is under way that has begun some of this, or does not read it: a new one follows it and
    /// reads that.
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
    /// Those of them that it has begun to read, or has read.
    pub begun: Vec<SyncType>,
}

/// What a resync request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is answered.
    pub outcome: ResyncOutcome,
    /// What a new run has to read; empty where none is made.
    pub types: Vec<SyncType>,
}

/// Decides what a resync request leads to, type by type.
///
/// A run serves a type that it has not begun and reads no less of. What it has begun it may have
/// passed already: a change that somebody made before asking would not be there when it ends. Such a
/// type goes to a new run, together with all that no run reads.
pub fn decide(
    request: &ResyncRequest,
    state: ConnectionState,
    unfinished: &[UnfinishedRun],
) -> Decision {
    if !state.may_call_hubspot() {
        return Decision {
            outcome: ResyncOutcome::NotConnected,
            types: Vec::new(),
        };
    }
    let types: Vec<SyncType> = request
        .wanted_types()
        .into_iter()
        .filter(|t| !unfinished.iter().any(|run| serves(run, *t, request.mode)))
        .collect();
    let outcome = if types.is_empty() {
        ResyncOutcome::AlreadyRunning
    } else if unfinished.is_empty() {
        ResyncOutcome::Started
    } else {
        ResyncOutcome::Queued
    };
    Decision { outcome, types }
}

fn serves(run: &UnfinishedRun, sync_type: SyncType, mode: ResyncMode) -> bool {
    let reach_is_enough = match (run.mode, mode) {
        (ResyncMode::FromScratch, _) | (ResyncMode::CatchUp, ResyncMode::CatchUp) => true,
        (ResyncMode::Since { since: a }, ResyncMode::Since { since: b }) => a <= b,
        _ => false,
    };
    reach_is_enough && run.types.contains(&sync_type) && !run.begun.contains(&sync_type)
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

    fn run(types: &[SyncType], mode: ResyncMode, begun: &[SyncType]) -> UnfinishedRun {
        UnfinishedRun {
            types: types.to_vec(),
            mode,
            begun: begun.to_vec(),
        }
    }

    #[test]
    fn a_bound_beyond_reason_is_refused_where_it_is_read() {
        let read = |since: &str| {
            let json = serde_json::json!({"mode": {"mode": "since", "since": since}});
            serde_json::from_value::<ResyncRequest>(json)
        };
        for since in [
            "1900-01-01T00:00:00Z",
            "2026-11-28T00:00:00+02:00",
            "2200-12-31T23:59:59Z",
        ] {
            assert!(read(since).is_ok(), "{since}");
        }
        for since in [
            "-5000-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "1899-12-31T23:59:59Z",
            "2201-01-01T00:00:00Z",
            "+262142-12-31T23:59:59Z",
            "",
            "yesterday",
        ] {
            assert!(read(since).is_err(), "{since}");
        }
        let error = read("-5000-01-01T00:00:00Z").unwrap_err().to_string();
        assert!(error.contains("1900 to 2200"), "{error}");
    }

    #[test]
    fn a_disconnected_workspace_is_refused() {
        for state in [
            ConnectionState::Disconnected,
            ConnectionState::Disconnecting,
            ConnectionState::NeedsReconnect,
        ] {
            let decision = decide(&ResyncRequest::all(), state, &[]);
            assert_eq!(decision.outcome, ResyncOutcome::NotConnected);
            assert_eq!(decision.types, []);
        }
    }

    #[test]
    fn decisions() {
        use ResyncMode::{CatchUp, FromScratch, Since};
        use ResyncOutcome::{AlreadyRunning, Queued, Started};
        use SyncType::{Companies, Contacts, Deals};
        const ALL: &[SyncType] = &SyncType::OF_RUNS;
        let since = |secs| Since { since: at(secs) };
        // What is asked for, of what is unfinished: the outcome, and the types of a new run.
        type Row = (
            &'static [SyncType],
            ResyncMode,
            Vec<UnfinishedRun>,
            ResyncOutcome,
            Vec<SyncType>,
        );
        let table: Vec<Row> = vec![
            (&[], CatchUp, vec![], Started, ALL.to_vec()),
            (&[Deals], CatchUp, vec![], Started, vec![Deals]),
            // Nothing of it was begun: it will be read.
            (
                &[],
                CatchUp,
                vec![run(ALL, CatchUp, &[])],
                AlreadyRunning,
                vec![],
            ),
            (
                &[Deals],
                CatchUp,
                vec![run(ALL, CatchUp, &[Contacts])],
                AlreadyRunning,
                vec![],
            ),
            // Begun, maybe passed.
            (
                &[Contacts],
                CatchUp,
                vec![run(ALL, CatchUp, &[Contacts])],
                Queued,
                vec![Contacts],
            ),
            (
                &[Contacts, Companies, Deals],
                CatchUp,
                vec![run(ALL, FromScratch, &[Contacts, Deals])],
                Queued,
                vec![Contacts, Deals],
            ),
            // What waits behind it has not begun.
            (
                &[Contacts, Deals],
                CatchUp,
                vec![
                    run(ALL, CatchUp, &[Contacts]),
                    run(&[Contacts], CatchUp, &[]),
                ],
                AlreadyRunning,
                vec![],
            ),
            (
                &[Contacts, Deals],
                CatchUp,
                vec![run(&[Contacts], CatchUp, &[])],
                Queued,
                vec![Deals],
            ),
            // Reach.
            (
                &[Deals],
                FromScratch,
                vec![run(ALL, CatchUp, &[])],
                Queued,
                vec![Deals],
            ),
            (
                &[Deals],
                FromScratch,
                vec![run(ALL, FromScratch, &[])],
                AlreadyRunning,
                vec![],
            ),
            (
                &[Deals],
                since(50),
                vec![run(ALL, since(40), &[])],
                AlreadyRunning,
                vec![],
            ),
            (
                &[Deals],
                since(30),
                vec![run(ALL, since(40), &[])],
                Queued,
                vec![Deals],
            ),
            (
                &[Deals],
                since(30),
                vec![run(ALL, FromScratch, &[])],
                AlreadyRunning,
                vec![],
            ),
            (
                &[Deals],
                CatchUp,
                vec![run(ALL, since(40), &[])],
                Queued,
                vec![Deals],
            ),
            // It reads nothing of ours, and is waited for.
            (
                &[Deals],
                CatchUp,
                vec![run(&[], FromScratch, &[])],
                Queued,
                vec![Deals],
            ),
        ];
        for (types, mode, unfinished, outcome, new_run) in table {
            let request = ResyncRequest {
                types: types.to_vec(),
                mode,
            };
            let decision = decide(&request, ConnectionState::Connected, &unfinished);
            assert_eq!(
                (decision.outcome, decision.types),
                (outcome, new_run),
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

    fn some_types() -> impl Strategy<Value = Vec<SyncType>> {
        proptest::sample::subsequence(SyncType::OF_RUNS.to_vec(), 0..=SyncType::OF_RUNS.len())
    }

    fn any_mode() -> impl Strategy<Value = ResyncMode> {
        prop_oneof![
            Just(ResyncMode::CatchUp),
            Just(ResyncMode::FromScratch),
            (0i64..100).prop_map(|secs| ResyncMode::Since { since: at(secs) }),
        ]
    }

    proptest! {
        /// Whatever runs: each type that was asked for is read from its beginning after the request
        /// came, either by a run that has yet to begin it or by the new one; and no type by a new run
        /// that another is to read anyway.
        #[test]
        fn no_wish_is_lost(
            types in some_types(),
            mode in any_mode(),
            unfinished in proptest::collection::vec((some_types(), any_mode(), some_types()), 0..4),
        ) {
            let request = ResyncRequest { types, mode };
            let unfinished: Vec<UnfinishedRun> = unfinished
                .iter()
                .map(|(types, mode, begun)| run(types, *mode, begun))
                .collect();
            let decision = decide(&request, ConnectionState::Connected, &unfinished);
            for wanted in request.wanted_types() {
                let by_another = unfinished.iter().any(|r| {
                    r.types.contains(&wanted)
                        && !r.begun.contains(&wanted)
                        && (r.mode == ResyncMode::FromScratch || r.mode == mode
                            || matches!((r.mode, mode), (ResyncMode::Since { since: a }, ResyncMode::Since { since: b }) if a < b))
                });
                prop_assert_eq!(decision.types.contains(&wanted), !by_another, "{}", wanted);
            }
            prop_assert!(decision.types.iter().all(|t| request.wanted_types().contains(t)));
            prop_assert_eq!(
                decision.types.is_empty(),
                decision.outcome == ResyncOutcome::AlreadyRunning
            );
            if decision.outcome == ResyncOutcome::Started {
                prop_assert!(unfinished.is_empty());
            }
        }

        #[test]
        fn catching_up_never_starts_after_the_last_read_began(secs in 0i64..4_000_000_000) {
            let from = read_from(ResyncMode::CatchUp, SyncType::Deals, Some(at(secs))).unwrap();
            prop_assert!(from < at(secs));
            prop_assert_eq!(read_from(ResyncMode::CatchUp, SyncType::Deals, None), None);
            prop_assert_eq!(read_from(ResyncMode::CatchUp, SyncType::Owners, Some(at(secs))), None);
        }
    }
}
