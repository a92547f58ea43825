//! The states of a workspace's connection (C1, C4, C5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the store knows of a connection: the truth that workflows follow.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ConnectionState {
    /// Tokens are there and may be used.
    Connected,
    /// HubSpot refused the tokens for good (C5); somebody has to connect again.
    NeedsReconnect,
    /// The fence is up; tokens are being revoked and erased (C4).
    Disconnecting,
    /// Tokens are erased; imported data stays.
    Disconnected,
}

crate::named::named!(ConnectionState, "connection state");

impl ConnectionState {
    /// Whether a request to HubSpot may leave in this state.
    pub const fn may_call_hubspot(&self) -> bool {
        matches!(self, Self::Connected)
    }

    /// Whether a `Connection` workflow has to be running in this state.
    pub const fn wants_workflow(&self) -> bool {
        matches!(self, Self::Connected | Self::Disconnecting)
    }
}

/// Where the `Connection` workflow stands: its `SyncPhase` search attribute and its `status` query.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ConnectionPhase {
    /// Connected, and nothing runs yet.
    Connected,
    /// A backfill or resync runs.
    Backfilling,
    /// Everything was read once; kept in step from now on.
    Syncing,
    /// Waits for somebody to connect again.
    NeedsReconnect,
    /// The fence is up, running work ends.
    Disconnecting,
    /// Over.
    Disconnected,
}

crate::named::named!(ConnectionPhase, "phase of a connection");

impl ConnectionPhase {
    /// The phase that the facts of the store amount to: what a status page shows.
    pub const fn of(state: ConnectionState, run_active: bool, ever_finished: bool) -> Self {
        match state {
            ConnectionState::NeedsReconnect => Self::NeedsReconnect,
            ConnectionState::Disconnecting => Self::Disconnecting,
            ConnectionState::Disconnected => Self::Disconnected,
            ConnectionState::Connected if run_active => Self::Backfilling,
            ConnectionState::Connected if ever_finished => Self::Syncing,
            ConnectionState::Connected => Self::Connected,
        }
    }
}

/// Why a connection was taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectReason {
    /// Somebody asked for it (C4).
    Requested,
    /// HubSpot said `BAD_REFRESH_TOKEN` (C5).
    Revoked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connected_connection_calls_hubspot() {
        for state in ConnectionState::ALL {
            assert_eq!(
                state.may_call_hubspot(),
                state == ConnectionState::Connected,
                "{state}"
            );
            assert_eq!(state.as_str().parse::<ConnectionState>().unwrap(), state);
        }
    }

    #[test]
    fn the_phase_follows_the_facts() {
        use ConnectionState as S;
        let table = [
            (S::Connected, false, false, ConnectionPhase::Connected),
            (S::Connected, true, false, ConnectionPhase::Backfilling),
            (S::Connected, true, true, ConnectionPhase::Backfilling),
            (S::Connected, false, true, ConnectionPhase::Syncing),
            (
                S::NeedsReconnect,
                true,
                true,
                ConnectionPhase::NeedsReconnect,
            ),
            (
                S::Disconnecting,
                true,
                false,
                ConnectionPhase::Disconnecting,
            ),
            (S::Disconnected, false, true, ConnectionPhase::Disconnected),
        ];
        for (state, active, finished, phase) in table {
            assert_eq!(ConnectionPhase::of(state, active, finished), phase);
        }
    }
}
