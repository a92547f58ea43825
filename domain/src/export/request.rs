//! Requests are rows: each is accepted, and ends exported, skipped with a reason, or failed with a
//! reason (X1).

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{ConnectionState, HubSpotObjectId, ids::IdError};

/// One request to export one person, or one thing about a person.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Wraps a UUID; version 7, so that requests sort by time.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RequestId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| IdError::Malformed {
                kind: "request id",
                expected: "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
            })
    }
}

/// Why a request exists.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum RequestKind {
    /// The person came to qualify (E1).
    Policy,
    /// A mapped field of an exported person changed (E1).
    FieldChange,
    /// Somebody asked for this one lead: it always exports (E1).
    Manual,
    /// Part of a bulk export, which follows the policy (E1).
    Bulk,
    /// The lead status changed (E7).
    Status,
    /// An activity is to be logged (E8).
    Activity,
}

crate::named::named!(RequestKind, "request kind");

/// Where a request stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum RequestState {
    /// The row is there; nothing is lost from here on.
    Accepted,
    /// Cannot go on now; it does by itself.
    Waiting,
    /// HubSpot has it.
    Exported,
    /// Left out, with a reason. Final, until it is asked for again.
    Skipped,
    /// Failed, with a reason. It can be retried.
    Failed,
}

crate::named::named!(RequestState, "request state");

impl RequestState {
    /// Whether the request has ended.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Exported | Self::Skipped | Self::Failed)
    }
}

/// Why a request waits.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum WaitReason {
    /// The workspace is not connected, or was disconnected (C4).
    NotConnected,
    /// The connection was revoked (C5).
    NeedsReconnect,
    /// The person is not exported yet; activities and statuses wait for that (E8).
    PersonNotExported,
    /// HubSpot did not answer, or its limits were reached; tried again when due.
    TriedAgainLater,
    /// A write of unknown outcome has to have time to land before it is looked for (X2).
    OutcomeUnknown,
    /// The day's ceiling of written records is reached (E1).
    OverCeiling,
}

crate::named::named!(WaitReason, "wait reason");

/// Why a request was left out.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum SkipReason {
    /// The app knows no person of this id.
    UnknownPerson,
    /// The person has no e-mail, and so cannot be matched (E2).
    NoEmail,
    /// The policy wants people who were contacted.
    NotContacted,
    /// The policy wants people who replied.
    NotReplied,
    /// The policy wants people who replied positively.
    NotRepliedPositively,
    /// Qualified before the policy was in force; only a confirmed bulk export takes them (E1).
    QualifiedEarlier,
    /// The person was erased (C7).
    Erased,
    /// The kind of activity is switched off (E8).
    ActivityOff,
    /// No status mapping, or no row for this status (E7).
    StatusNotMapped,
    /// A newer request about the same says it already.
    Superseded,
    /// No admin has saved the settings yet; until then nothing is exported by itself (E1).
    SettingsNotSaved,
    /// HubSpot has no such contact, and the workspace makes none (E1).
    UpdateOnly,
    /// The contact was archived in HubSpot; only a manual export that says so makes another (E2).
    ContactArchived,
    /// HubSpot does not know the linked contact any more, nor one of this address.
    ContactGone,
    /// The portal requires a property of new contacts that this one has no value for.
    PortalRule,
    /// HubSpot does not take the address (E2).
    EmailRefused,
    /// HubSpot erased whoever had this address, and takes it no more (C7).
    ErasedInHubspot,
    /// The app deleted the activity (E8).
    ActivityDeleted,
}

impl SkipReason {
    /// The paragraph in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownPerson => "HS-4009",
            Self::NoEmail => "HS-2401",
            Self::NotContacted | Self::NotReplied | Self::NotRepliedPositively => "HS-2402",
            Self::QualifiedEarlier => "HS-2403",
            Self::SettingsNotSaved => "HS-2404",
            Self::UpdateOnly => "HS-2405",
            Self::ContactArchived => "HS-2406",
            Self::ContactGone => "HS-2407",
            Self::EmailRefused => "HS-2408",
            Self::ErasedInHubspot => "HS-2409",
            Self::Erased => "HS-2209",
            Self::PortalRule => "HS-3015",
            Self::ActivityOff => "HS-2414",
            Self::StatusNotMapped => "HS-2415",
            Self::Superseded => "HS-2416",
            Self::ActivityDeleted => "HS-2417",
        }
    }
}

crate::named::named!(SkipReason, "skip reason");

/// Why a request failed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
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
pub enum FailReason {
    /// HubSpot refuses a value (HS-3005).
    Invalid,
    /// HubSpot refuses for want of a scope (HS-3004).
    ScopeMissing,
    /// The record is gone in HubSpot and could not be made again (HS-3006).
    RecordGone,
    /// Another record has the same unique value, and cannot be adopted (HS-3007).
    Conflict,
    /// A defect (HS-5099).
    Defect,
}

crate::named::named!(FailReason, "fail reason");

impl FailReason {
    /// The paragraph in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "HS-3005",
            Self::ScopeMissing => "HS-3004",
            Self::RecordGone => "HS-3006",
            Self::Conflict => "HS-3007",
            Self::Defect => "HS-5099",
        }
    }
}

/// What became of a request so far, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RequestOutcome {
    /// The row is there; nothing is lost from here on.
    Accepted,
    /// Cannot go on now; it does by itself.
    Waiting {
        /// Why.
        reason: WaitReason,
        /// When it is looked at again; none: when what it waits for happens.
        due: Option<DateTime<Utc>>,
    },
    /// HubSpot has it.
    Exported {
        /// The contact, or the engagement of an activity.
        hubspot_id: HubSpotObjectId,
    },
    /// Left out.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// Failed; it can be retried.
    Failed {
        /// Why.
        reason: FailReason,
    },
}

impl RequestOutcome {
    /// A request that may go on, given how the workspace is connected; none: it never was.
    pub const fn to_go_on(connection: Option<ConnectionState>) -> Self {
        let reason = match connection {
            Some(ConnectionState::Connected) => return Self::Accepted,
            Some(ConnectionState::NeedsReconnect) => WaitReason::NeedsReconnect,
            Some(ConnectionState::Disconnecting | ConnectionState::Disconnected) | None => {
                WaitReason::NotConnected
            }
        };
        Self::Waiting { reason, due: None }
    }

    /// Where the request stands.
    pub const fn state(&self) -> RequestState {
        match self {
            Self::Accepted => RequestState::Accepted,
            Self::Waiting { .. } => RequestState::Waiting,
            Self::Exported { .. } => RequestState::Exported,
            Self::Skipped { .. } => RequestState::Skipped,
            Self::Failed { .. } => RequestState::Failed,
        }
    }

    /// The reason's name, for the store.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Accepted | Self::Exported { .. } => None,
            Self::Waiting { reason, .. } => Some(reason.as_str()),
            Self::Skipped { reason } => Some(reason.as_str()),
            Self::Failed { reason } => Some(reason.as_str()),
        }
    }

    /// Puts together what the store keeps in columns.
    ///
    /// # Errors
    /// [`IdError::Malformed`] when state, reason, due time and id do not belong together.
    pub fn from_parts(
        state: RequestState,
        reason: Option<&str>,
        due: Option<DateTime<Utc>>,
        hubspot_id: Option<HubSpotObjectId>,
    ) -> Result<Self, IdError> {
        let missing = IdError::Malformed {
            kind: "request outcome",
            expected: "a reason beside waiting, skipped and failed, and an id beside exported",
        };
        Ok(match state {
            RequestState::Accepted => Self::Accepted,
            RequestState::Waiting => Self::Waiting {
                reason: reason.ok_or(missing)?.parse()?,
                due,
            },
            RequestState::Exported => Self::Exported {
                hubspot_id: hubspot_id.ok_or(missing)?,
            },
            RequestState::Skipped => Self::Skipped {
                reason: reason.ok_or(missing)?.parse()?,
            },
            RequestState::Failed => Self::Failed {
                reason: reason.ok_or(missing)?.parse()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Vec<RequestOutcome> {
        let hubspot_id = HubSpotObjectId::new(874_716_779_721).unwrap();
        let mut all = vec![
            RequestOutcome::Accepted,
            RequestOutcome::Exported { hubspot_id },
        ];
        let due = DateTime::from_timestamp(1_800_000_000, 0);
        for reason in WaitReason::ALL.iter().copied() {
            all.push(RequestOutcome::Waiting { reason, due });
            all.push(RequestOutcome::Waiting { reason, due: None });
        }
        all.extend(
            SkipReason::ALL
                .iter()
                .map(|&reason| RequestOutcome::Skipped { reason }),
        );
        all.extend(
            FailReason::ALL
                .iter()
                .map(|&reason| RequestOutcome::Failed { reason }),
        );
        all
    }

    #[test]
    fn every_outcome_reads_back_from_columns_and_from_json() {
        for outcome in outcomes() {
            let (due, id) = match outcome {
                RequestOutcome::Waiting { due, .. } => (due, None),
                RequestOutcome::Exported { hubspot_id } => (None, Some(hubspot_id)),
                _ => (None, None),
            };
            let read =
                RequestOutcome::from_parts(outcome.state(), outcome.reason(), due, id).unwrap();
            assert_eq!(read, outcome);
            let json = serde_json::to_value(outcome).unwrap();
            assert_eq!(json["state"], outcome.state().as_str());
            assert_eq!(
                serde_json::from_value::<RequestOutcome>(json).unwrap(),
                outcome
            );
        }
        for state in RequestState::ALL.iter().copied() {
            let bare = RequestOutcome::from_parts(state, None, None, None);
            assert_eq!(bare.is_ok(), state == RequestState::Accepted);
            assert_eq!(state.as_str().parse::<RequestState>().unwrap(), state);
        }
    }

    #[test]
    fn every_failure_and_every_skip_has_a_paragraph() {
        let docs = include_str!("../../../docs/errors.md");
        let failed = FailReason::ALL.map(|r| r.code());
        let skipped = SkipReason::ALL.map(|r| r.code());
        for code in failed.into_iter().chain(skipped) {
            assert!(docs.contains(&format!("\n## {code} ")), "{code}");
        }
    }
}
