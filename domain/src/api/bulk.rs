//! Bulk exports (E1): who would be taken, the confirmation, how far it is.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ExportPreview;
use crate::{
    BulkId,
    app::PersonId,
    export::{BulkState, FailReason, RequestKind, SkipReason, WaitReason},
};

/// Most people that one call names.
pub const MAX_BULK: usize = 50_000;

/// Begins a bulk export. Nothing is written before it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkStart {
    /// Whom it is about.
    pub whom: BulkWhom,
    /// Whether people who qualified before the policy was in force are taken too. Whoever confirms
    /// confirms this; of `qualified_earlier` it is always so.
    #[serde(default)]
    pub include_earlier: bool,
}

/// Whom a bulk export is about.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "select", deny_unknown_fields)]
pub enum BulkWhom {
    /// These people; who is named twice counts once.
    People {
        /// The app's ids.
        #[schema(min_items = 1, max_items = 50000)]
        people: Vec<PersonId>,
    },
    /// Everybody whose field `campaign` says this.
    Campaign {
        /// The campaign.
        #[schema(min_length = 1)]
        campaign: String,
    },
    /// Everybody who qualified before the policy was in force and was not exported.
    QualifiedEarlier,
    /// Everybody who was exported, to whom what the settings say by now is applied. Whoever was exported
    /// is kept up to date, whatever the policy has become since: nobody is left out by it.
    Exported,
}

impl BulkWhom {
    /// Of which kind the requests are that a bulk export makes.
    pub const fn kind(&self) -> RequestKind {
        match self {
            Self::People { .. } | Self::Campaign { .. } | Self::QualifiedEarlier => {
                RequestKind::Bulk
            }
            Self::Exported => RequestKind::FieldChange,
        }
    }
}

impl fmt::Debug for BulkWhom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::People { .. } => "People",
            Self::Campaign { .. } => "Campaign",
            Self::QualifiedEarlier => "QualifiedEarlier",
            Self::Exported => "Exported",
        })
    }
}

/// Who would be taken, counted before anything is written. What is planned is planned again when it is
/// carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct BulkPreview {
    /// People of whom HubSpot is not known to have a contact: one would be made.
    pub create: u64,
    /// People whose contact is known: it would be written where something changes.
    pub update: u64,
    /// People who would be left out, by the reason.
    pub skipped: BTreeMap<SkipReason, u64>,
}

/// One of the sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkSample {
    /// Whom.
    pub person: PersonId,
    /// What an export would do now.
    pub preview: ExportPreview,
}

/// What became of the people of a bulk export so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct BulkCounts {
    /// People who were begun with: each has a request.
    pub begun: u64,
    /// Of them, those whom HubSpot has.
    pub exported: u64,
    /// Those who were left out, by the reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Those whose export failed, by the reason; it can be retried.
    pub failed: BTreeMap<FailReason, u64>,
    /// Those who wait, by the reason; they go on by themselves.
    pub waiting: BTreeMap<WaitReason, u64>,
    /// Those who go on now.
    pub going_on: u64,
    /// People who were not begun with. Of a bulk export that was cancelled nothing happens about them.
    pub not_begun: u64,
}

impl BulkCounts {
    /// People whose request has ended.
    pub fn ended(&self) -> u64 {
        self.exported + self.skipped.values().sum::<u64>() + self.failed.values().sum::<u64>()
    }
}

/// A bulk export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkAnswer {
    /// Which.
    pub bulk: BulkId,
    /// Where it stands.
    pub state: BulkState,
    /// Whether people who qualified before the policy was in force are taken too.
    pub include_earlier: bool,
    /// People whom it is about; grows while it is being found out.
    pub people: u64,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it goes on, where it waits: for the next day, when the day's ceiling is reached, or for HubSpot.
    pub waits_until: Option<DateTime<Utc>>,
    /// Who would be taken.
    pub preview: BulkPreview,
    /// Some of those who would be taken, in full; empty once it was confirmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<BulkSample>,
    /// What became of the people so far.
    pub counts: BulkCounts,
    /// How long the rest takes at the pace so far, in seconds; null where that is not known.
    pub seconds_left: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_it_is_about_is_named_in_json() {
        for (json, want) in [
            (
                r#"{"whom": {"select": "people", "people": ["lead_1"]}}"#,
                Some(false),
            ),
            (
                r#"{"whom": {"select": "campaign", "campaign": "Spring"}, "include_earlier": true}"#,
                Some(true),
            ),
            (r#"{"whom": {"select": "qualified_earlier"}}"#, Some(false)),
            (r#"{"whom": {"select": "everybody"}}"#, None),
            (r#"{"whom": {"select": "people"}}"#, None),
            (r#"{"people": ["lead_1"]}"#, None),
        ] {
            let read: Result<BulkStart, _> = serde_json::from_str(json);
            assert_eq!(read.ok().map(|r| r.include_earlier), want, "{json}");
        }
    }

    #[test]
    fn what_ended_is_counted_whatever_it_ended_as() {
        let counts = BulkCounts {
            exported: 3,
            skipped: [(SkipReason::NoEmail, 2)].into(),
            failed: [(FailReason::Invalid, 1)].into(),
            going_on: 4,
            ..BulkCounts::default()
        };
        assert_eq!(counts.ended(), 6);
    }
}
