//! What the journal says of one property of one person or company: whether another system fights with
//! us about it, and whether somebody took our value back (E4, E10).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    HubSpotValue, Rule, Why,
    journal::{Cause, Entry, Operation},
    record::Known,
    sameness::Definitions,
};

/// When somebody let paused rows of one person or company go on, by property.
pub type Resumed = BTreeMap<String, DateTime<Utc>>;

/// How often a value of ours may come back changed before its row is paused.
pub const SET_BACK_MAX: usize = 3;

/// One write of ours that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What HubSpot had; none where it had nothing.
    pub old: Option<HubSpotValue>,
    /// What was written.
    pub new: HubSpotValue,
    /// What was sent, where HubSpot made that of it.
    pub sent: Option<HubSpotValue>,
    /// Whether it was a revert.
    pub reverted: bool,
}

/// What was written by us to each property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Oldest first.
    written: BTreeMap<String, Vec<Past>>,
    /// What stood in properties that were emptied to be set, and were not set since.
    emptied: BTreeMap<String, (HubSpotValue, Option<Rule>)>,
}

impl History {
    /// From the entries about one person or company, in the order in which they were made. What was
    /// written to a property before somebody let its row go on counts no more. Entries whose values
    /// retention took say nothing.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>, resumed: &Resumed) -> Self {
        let mut all = Self::default();
        for entry in entries {
            if !entry.is_done() {
                continue;
            }
            for written in &entry.written {
                let property = written.property.clone();
                match (&entry.operation, &written.old) {
                    (Operation::Empty(..), Some(old)) => {
                        let emptied = (old.clone(), written.rule.clone());
                        all.emptied.insert(property, emptied);
                    }
                    _ => {
                        all.emptied.remove(&property);
                    }
                }
                let resumed = resumed.get(&written.property);
                if let Some(new) = &written.new
                    && resumed.is_none_or(|at| entry.opened_at >= *at)
                {
                    let of_property = all.written.entry(written.property.clone()).or_default();
                    of_property.push(Past {
                        old: written.old.clone(),
                        new: new.clone(),
                        sent: written.sent.clone(),
                        reverted: matches!(entry.cause, Cause::Revert(_)),
                    });
                }
            }
        }
        all
    }

    /// What stood in a property that an export emptied to set it, and came to no end: it is what the value
    /// that is set now takes the place of (E10).
    pub fn emptied(&self, property: &str) -> Option<&HubSpotValue> {
        self.emptied.get(property).map(|(old, _)| old)
    }

    /// All of them, with the rules that wanted them set; none of a revert.
    pub fn all_emptied(&self) -> impl Iterator<Item = (&str, &HubSpotValue, Option<&Rule>)> {
        let all = self.emptied.iter();
        all.map(|(property, (old, rule))| (property.as_str(), old, rule.as_ref()))
    }

    /// Whether HubSpot still has what it made of this very value: it would make the same of it again.
    pub fn is_made_of(&self, property: &str, now: &str, wanted: &HubSpotValue) -> bool {
        let last = self.written.get(property).and_then(|past| past.last());
        last.is_some_and(|last| last.sent.as_ref() == Some(wanted) && last.new.as_str() == now)
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
        let same = |a: &str, b: &HubSpotValue| definitions.same(property, a, b.as_str());
        let (last, earlier) = self.written.get(property)?.split_last()?;
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
        let wrote = |p: &Past| same(p.sent.as_ref().unwrap_or(&p.new).as_str(), wanted);
        if !came_back_now || !wrote(last) {
            return None;
        }
        let times = times_written(earlier, wrote);
        (times >= SET_BACK_MAX).then_some(Why::SetBack)
    }

    /// Whether something that was written holds a row up, or would as soon as HubSpot has another value:
    /// what somebody may let go on.
    pub fn may_hold(&self, property: &str, definitions: Definitions<'_>) -> bool {
        let Some((last, earlier)) = self
            .written
            .get(property)
            .and_then(|past| past.split_last())
        else {
            return false;
        };
        let same = |p: &Past| definitions.same(property, p.new.as_str(), last.new.as_str());
        last.reverted || times_written(earlier, same) >= SET_BACK_MAX
    }
}

/// How often one value was written in a row, the last time included. Each time but the first one followed a
/// change from elsewhere.
fn times_written(earlier: &[Past], same: impl Fn(&Past) -> bool) -> usize {
    let again = earlier.iter().rev();
    1 + again.take_while(|p| !p.reverted && same(p)).count()
}
