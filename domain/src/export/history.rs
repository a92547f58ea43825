//! What the journal says of one property of one person or company: whether another system fights with
//! us about it, and whether somebody took our value back (E4, E10).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    HubSpotValue, Why,
    journal::{Cause, Entry},
    record::Known,
    sameness::Definitions,
};

/// How often a value of ours may come back changed before its row is paused.
pub const SET_BACK_MAX: usize = 3;

/// One write of ours that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What HubSpot had; none where it had nothing.
    pub old: Option<HubSpotValue>,
    /// What was written.
    pub new: HubSpotValue,
    /// Whether it was a revert.
    pub reverted: bool,
}

/// What was written by us to each property, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(BTreeMap<String, Vec<Past>>);

impl History {
    /// From the entries about one person or company, in the order in which they were made. What was
    /// done before `resumed_at` counts no more for pauses: somebody let the paused rows go on then.
    /// Entries whose values retention took say nothing.
    pub fn of<'e>(
        entries: impl IntoIterator<Item = &'e Entry>,
        resumed_at: Option<DateTime<Utc>>,
    ) -> Self {
        let mut all: BTreeMap<String, Vec<Past>> = BTreeMap::new();
        for entry in entries {
            if !entry.is_done() || resumed_at.is_some_and(|at| entry.opened_at < at) {
                continue;
            }
            for written in &entry.written {
                if let Some(new) = &written.new {
                    all.entry(written.property.clone()).or_default().push(Past {
                        old: written.old.clone(),
                        new: new.clone(),
                        reverted: matches!(entry.cause, Cause::Revert(_)),
                    });
                }
            }
        }
        Self(all)
    }

    /// Why a value is not to be written now, if it is not.
    ///
    /// A value of ours *came back* where, after we wrote it, HubSpot had another one while the app
    /// still wanted the same. The count starts anew with another value of the app's.
    pub fn holds(
        &self,
        property: &str,
        wanted: &HubSpotValue,
        now: Known<'_>,
        definitions: Definitions<'_>,
    ) -> Option<Why> {
        let past = self.0.get(property)?;
        let same = |a: &str, b: &HubSpotValue| definitions.same(property, a, b.as_str());
        let (last, earlier) = past.split_last()?;
        if last.reverted {
            let taken_back = last.old.as_ref();
            return taken_back
                .is_some_and(|ours| same(ours.as_str(), wanted))
                .then_some(Why::Reverted);
        }
        let came_back_now = match now {
            Known::Value(value) => !same(value, &last.new),
            Known::Empty => true,
            Known::NotAsked => false,
        };
        if !came_back_now || !same(last.new.as_str(), wanted) {
            return None;
        }
        // Each write of the same value but the first one followed a change from elsewhere.
        let repeated = earlier
            .iter()
            .rev()
            .take_while(|p| !p.reverted && same(p.new.as_str(), wanted))
            .count();
        (repeated + 1 >= SET_BACK_MAX).then_some(Why::SetBack)
    }
}
