//! Whether people may be contacted (I8).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::PersonId,
    dnc::{DncReason, Stale, Verdict},
};

/// The most that one call asks about: a whole campaign.
pub const MAX_CHECKED: usize = 10_000;

/// Asks about many at once: people of the app by id, and whoever has an address. Together at most
/// 10,000.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DncCheck {
    /// People of the app.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub people: Vec<PersonId>,
    /// E-mail addresses; they go in the body, never in an address of ours.
    #[serde(default)]
    #[schema(max_items = 10000)]
    pub emails: Vec<String>,
}

impl std::fmt::Debug for DncCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DncCheck")
            .field("people", &self.people.len())
            .field("emails", &self.emails.len())
            .finish()
    }
}

/// The verdict on one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DncAnswer {
    /// Whom it is about.
    pub person: PersonId,
    /// Whether they may be contacted.
    pub allowed: bool,
    /// Why not. Empty exactly when they may be.
    pub reasons: Vec<DncReason>,
    /// Which reads the rules stand on are missing. As long as one is, the last verdict stands, and who
    /// has none is not to be contacted.
    pub stale: Vec<Stale>,
    /// When the oldest of the reads that the rules stand on began; null where one never ended.
    pub as_of: Option<DateTime<Utc>>,
}

/// One of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DncItem {
    /// Its place among the people or e-mails of the call, from 0.
    pub index: u32,
    /// Whether they may be contacted.
    pub allowed: bool,
    /// Why not. Empty exactly when they may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<DncReason>,
}

impl DncItem {
    fn all(verdicts: Vec<Verdict>) -> Vec<Self> {
        (0u32..)
            .zip(verdicts)
            .map(|(index, verdict)| Self {
                index,
                allowed: verdict.allowed,
                reasons: verdict.reasons,
            })
            .collect()
    }
}

/// How many may be contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DncCounts {
    /// May be.
    pub allowed: u32,
    /// Must not be.
    pub not_allowed: u32,
}

/// The verdicts on many, judged from what is stored at the moment of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DncCheckAnswer {
    /// How many of them may be contacted.
    pub counts: DncCounts,
    /// One for each person, in the order of the call.
    pub people: Vec<DncItem>,
    /// One for each e-mail, in the order of the call.
    pub emails: Vec<DncItem>,
    /// Which reads the rules stand on are missing. As long as one is, the last verdict stands, and who
    /// has none, as no e-mail has, is not to be contacted.
    pub stale: Vec<Stale>,
    /// When the oldest of the reads that the rules stand on began; null where one never ended.
    pub as_of: Option<DateTime<Utc>>,
}

impl DncCheckAnswer {
    /// The answer for verdicts in the order of the call, the people first.
    pub fn new(
        mut verdicts: Vec<Verdict>,
        people: usize,
        stale: Vec<Stale>,
        as_of: Option<DateTime<Utc>>,
    ) -> Self {
        let mut counts = DncCounts::default();
        for verdict in &verdicts {
            let count = if verdict.allowed {
                &mut counts.allowed
            } else {
                &mut counts.not_allowed
            };
            *count += 1;
        }
        let emails = verdicts.split_off(people.min(verdicts.len()));
        Self {
            counts,
            people: DncItem::all(verdicts),
            emails: DncItem::all(emails),
            stale,
            as_of,
        }
    }
}
