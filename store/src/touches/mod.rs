//! Recent engagements of other reps (I10): kind, time, owner and title, with the contacts that they are
//! with; their texts where the workspace reads them.

mod prune;
mod read;
mod write;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, HubSpotOwnerId, ObjectType, touches::TouchPlace};

pub(crate) use write::{erase, write};

/// An engagement as it was read. `Debug` shows neither its title nor its text (X5).
#[derive(Clone, PartialEq, Eq)]
pub struct TouchRow {
    /// Which one, of its page's kind.
    pub id: HubSpotObjectId,
    /// When it took place, or is to.
    pub at: DateTime<Utc>,
    /// When it was last modified, by HubSpot's clock.
    pub modified_at: DateTime<Utc>,
    /// Whose it is.
    pub owner: Option<HubSpotOwnerId>,
    /// Its title.
    pub title: Option<String>,
    /// Its text; none where it was not asked for.
    pub body: Option<String>,
    /// Whether HubSpot keeps back what it says.
    pub redacted: bool,
    /// The contacts that it was said to be with. Those that were known before stay.
    pub contacts: BTreeSet<HubSpotObjectId>,
}

impl std::fmt::Debug for TouchRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TouchRow")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A page of engagements of one kind.
#[derive(Debug, Clone)]
pub struct TouchRows {
    /// Which kind.
    pub kind: ObjectType,
    /// Whether the texts were asked for.
    pub bodies: bool,
    /// What is kept. One with no contact is, if it is known already.
    pub rows: Vec<TouchRow>,
    /// Engagements that are to be forgotten: they took place before the window, or are ours.
    pub forgotten: Vec<HubSpotObjectId>,
    /// Engagements that lie in the recycle bin.
    pub archived: Vec<HubSpotObjectId>,
    /// Engagements that HubSpot named as unknown, alive and in the recycle bin.
    pub missing: Vec<HubSpotObjectId>,
    /// So many days of the kind were read to the end, unless HubSpot refused a part of it or left it
    /// unanswered.
    pub covered: Option<u32>,
    /// How far those that are known were asked for.
    pub walked: Option<Walked>,
}

impl TouchRows {
    /// Nothing of a kind.
    pub const fn none(kind: ObjectType) -> Self {
        Self {
            kind,
            bodies: false,
            rows: Vec::new(),
            forgotten: Vec::new(),
            archived: Vec::new(),
            missing: Vec::new(),
            covered: None,
            walked: None,
        }
    }
}

/// How far those of a kind that are known were asked for, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// So far; the next reading goes on.
    To(HubSpotObjectId),
    /// All of them.
    ToTheEnd,
}

/// An engagement that HubSpot has, before it is known whether it is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundTouch {
    /// Which one.
    pub id: HubSpotObjectId,
    /// When it was last modified, by HubSpot's clock.
    pub modified_at: DateTime<Utc>,
    /// Whether its owner is told.
    pub owner: bool,
    /// Whether its title is told.
    pub title: bool,
    /// Whether its text is told.
    pub body: bool,
    /// Whether HubSpot keeps back what it says.
    pub redacted: bool,
}

/// An engagement with a person.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonTouch {
    /// Which one, and when.
    pub place: TouchPlace,
    /// Whose it is.
    pub owner: Option<HubSpotOwnerId>,
    /// Its title.
    pub title: Option<String>,
    /// Its text, where that was read.
    pub body: Option<String>,
    /// Whether HubSpot keeps back what it says.
    pub redacted: bool,
    /// The person's contacts that it is with.
    pub contacts: BTreeSet<HubSpotObjectId>,
}

impl std::fmt::Debug for PersonTouch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonTouch")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn numbers(ids: &[HubSpotObjectId]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}
