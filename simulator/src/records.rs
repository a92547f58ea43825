//! The records of one type, and what the search index knows of them.
//!
//! Every change goes through [`Records`], so that the index and its lag cannot be forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut, RangeBounds},
};

use crate::{ranked::Ranked, rng::Rng};

/// Property values by the place of their name in the portal's table of names, packed into one text:
/// for each a character for the name, two for the length, and the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values(Box<str>);

/// Below the surrogates every number is a character.
const DIGIT: u32 = 0xd800;

fn push(out: &mut String, name: u16, value: &str) {
    let length = value.len() as u32;
    for digit in [u32::from(name) % DIGIT, length % DIGIT, length / DIGIT] {
        out.push(char::from_u32(digit).unwrap_or_default());
    }
    out.push_str(value);
}

impl Values {
    /// Names and values in the order they were set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &str)> {
        let mut rest: &str = &self.0;
        std::iter::from_fn(move || {
            let mut head = rest.chars();
            let name = head.next()? as u32 as u16;
            let low = head.next()? as u32;
            let length = low + head.next()? as u32 * DIGIT;
            let (value, behind) = head.as_str().split_at_checked(length as usize)?;
            rest = behind;
            Some((name, value))
        })
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: u16) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Sets a value, or takes it away.
    pub(crate) fn set(&mut self, name: u16, value: Option<&str>) {
        let mut out = String::with_capacity(self.0.len() + value.map_or(0, str::len) + 12);
        let mut done = false;
        for (n, old) in self.iter() {
            if n != name {
                push(&mut out, n, old);
            } else if let Some(new) = value {
                push(&mut out, n, new);
                done = true;
            }
        }
        if let Some(new) = value.filter(|_| !done) {
            push(&mut out, name, new);
        }
        self.0 = out.into_boxed_str();
    }
}

impl<'a> FromIterator<(u16, &'a str)> for Values {
    fn from_iter<T: IntoIterator<Item = (u16, &'a str)>>(pairs: T) -> Self {
        let mut out = String::new();
        for (name, value) in pairs {
            push(&mut out, name, value);
        }
        Self(out.into_boxed_str())
    }
}

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) values: Values,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) archived_at: Option<i64>,
    /// Served as it is instead, whatever it is.
    pub(crate) raw: Option<Box<str>>,
}

impl Record {
    /// One without values.
    pub(crate) fn new(created: i64, updated: i64) -> Self {
        Self {
            values: Values::default(),
            created,
            updated,
            archived_at: None,
            raw: None,
        }
    }

    const fn searchable(&self) -> bool {
        self.archived_at.is_none() && self.raw.is_none()
    }
}

/// How late the index is.
#[derive(Debug, Clone)]
pub(crate) struct Lag {
    /// Milliseconds, least and most.
    pub(crate) range: (i64, i64),
    /// A fresh record is found, is not found again, and then stays.
    pub(crate) flapping: bool,
    pub(crate) rng: Rng,
}

impl Default for Lag {
    fn default() -> Self {
        Self {
            range: (0, 0),
            flapping: false,
            rng: Rng::new(0),
        }
    }
}

/// A flapping record needs some time to do so, in milliseconds.
const FLAPPING: i64 = 1_500;

impl Lag {
    const fn is_on(&self) -> bool {
        self.flapping || self.range.1 > 0
    }

    fn draw(&mut self) -> i64 {
        let (least, most) = self.range;
        least + self.rng.below((most - least).max(0) as u64 + 1) as i64
    }
}

/// What the index knows of a record that it has not caught up with.
#[derive(Debug)]
struct Behind {
    before: Option<Record>,
    until: i64,
    /// Meanwhile it shows the new state for a while.
    glimpse: (i64, i64),
}

/// All records of one type.
#[derive(Debug, Default)]
pub(crate) struct Records {
    map: BTreeMap<u64, Record>,
    ids: Ranked<u64>,
    created: Ranked<(i64, u64)>,
    updated: Ranked<(i64, u64)>,
    lag: Lag,
    behind: BTreeMap<u64, Behind>,
    due: BTreeSet<(i64, u64)>,
    /// A record whose values were changed, and not yet its time, as it was before.
    begun: Option<(u64, Record)>,
}

impl Records {
    pub(crate) fn get(&self, id: &u64) -> Option<&Record> {
        self.map.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&u64, &Record)> {
        self.map.iter()
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &u64> {
        self.map.keys()
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.map.values()
    }

    pub(crate) fn range(
        &self,
        ids: impl RangeBounds<u64>,
    ) -> impl DoubleEndedIterator<Item = (&u64, &Record)> {
        self.map.range(ids)
    }

    /// A record to change. What follows from the change happens when the guard goes.
    pub(crate) fn get_mut(&mut self, id: &u64) -> Option<Changing<'_>> {
        let record = self.map.get(id)?;
        let keys = Keys::of(record);
        let before = self.lag.is_on().then(|| record.clone());
        Some(Changing {
            id: *id,
            keys,
            before,
            records: self,
        })
    }

    /// A new record, as a write makes it.
    pub(crate) fn insert(&mut self, id: u64, record: Record) {
        let at = record.updated;
        self.put(id, record);
        self.late(id, None, at);
    }

    /// A new record that has been there for long: nobody hears of it, and search knows it.
    pub(crate) fn plant(&mut self, id: u64, record: Record) {
        self.put(id, record);
    }

    fn put(&mut self, id: u64, record: Record) {
        self.unlist(id);
        if record.searchable() {
            self.ids.insert(id);
            self.created.insert((record.created, id));
            self.updated.insert((record.updated, id));
        }
        self.map.insert(id, record);
    }

    fn unlist(&mut self, id: u64) {
        if let Some(keys) = self.map.get(&id).map(Keys::of) {
            self.unlist_keys(id, keys);
        }
    }

    fn unlist_keys(&mut self, id: u64, keys: Keys) {
        if keys.searchable {
            self.ids.remove(&id);
            self.created.remove(&(keys.created, id));
            self.updated.remove(&(keys.updated, id));
        }
    }

    /// Away with it, without a trace.
    #[allow(dead_code, reason = "for erasing and merging")]
    pub(crate) fn remove(&mut self, id: &u64) -> Option<Record> {
        self.unlist(*id);
        self.behind.remove(id);
        self.map.remove(id)
    }

    /// How late the index is from now on.
    pub(crate) fn set_lag(&mut self, lag: Lag) {
        self.lag = lag;
    }

    /// The index goes on showing what was there before, for a while.
    fn late(&mut self, id: u64, before: Option<Record>, now: i64) {
        if !self.lag.is_on() {
            return;
        }
        while let Some((until, done)) = self.due.first().copied().filter(|(u, _)| *u <= now) {
            self.due.remove(&(until, done));
            if self.behind.get(&done).is_some_and(|b| b.until <= now) {
                self.behind.remove(&done);
            }
        }
        // Two changes in a row: it still shows what was before the first.
        let before = match self.behind.remove(&id) {
            Some(older) => older.before,
            None => before.filter(Record::searchable),
        };
        let flaps = self.lag.flapping && before.is_none();
        let mut lag = self.lag.draw();
        if flaps {
            lag = lag.max(FLAPPING);
        }
        if lag == 0 {
            return;
        }
        let glimpse = if flaps {
            (now + lag / 3, now + lag * 2 / 3)
        } else {
            (0, 0)
        };
        let until = now + lag;
        self.behind.insert(
            id,
            Behind {
                before,
                until,
                glimpse,
            },
        );
        self.due.insert((until, id));
    }

    /// Ids that search may find.
    pub(crate) const fn ids(&self) -> &Ranked<u64> {
        &self.ids
    }

    /// The same by when they were created.
    pub(crate) const fn by_created(&self) -> &Ranked<(i64, u64)> {
        &self.created
    }

    /// The same by when they were last changed.
    pub(crate) const fn by_updated(&self) -> &Ranked<(i64, u64)> {
        &self.updated
    }

    /// Whether the index shows every record as it is.
    pub(crate) fn is_caught_up(&self, now: i64) -> bool {
        self.due.last().is_none_or(|(until, _)| *until <= now) || self.behind.is_empty()
    }

    /// Whether the index does not show a record as it is.
    pub(crate) fn shows_old(&self, id: u64, now: i64) -> bool {
        self.behind
            .get(&id)
            .is_some_and(|b| now < b.until && !(b.glimpse.0 <= now && now < b.glimpse.1))
    }

    /// What search sees of a record that is in [`Self::ids`].
    pub(crate) fn shown(&self, id: u64, now: i64) -> Option<&Record> {
        if self.shows_old(id, now) {
            return None;
        }
        self.map.get(&id).filter(|r| r.searchable())
    }

    /// Records that search sees as they were.
    pub(crate) fn shown_as_before(&self, now: i64) -> impl Iterator<Item = (u64, &Record)> {
        self.behind
            .iter()
            .filter(move |(id, _)| self.shows_old(**id, now))
            // Archived ones are gone at once.
            .filter(|(id, _)| self.map.get(id).is_some_and(Record::searchable))
            .filter_map(|(id, b)| Some((*id, b.before.as_ref()?)))
    }
}

/// Where the index has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keys {
    created: i64,
    updated: i64,
    searchable: bool,
}

impl Keys {
    const fn of(record: &Record) -> Self {
        Self {
            created: record.created,
            updated: record.updated,
            searchable: record.searchable(),
        }
    }
}

/// A record that is being changed.
#[derive(Debug)]
pub(crate) struct Changing<'a> {
    id: u64,
    keys: Keys,
    before: Option<Record>,
    records: &'a mut Records,
}

impl Deref for Changing<'_> {
    type Target = Record;

    #[expect(
        clippy::expect_used,
        reason = "the guard has the records alone, and made sure of this one"
    )]
    fn deref(&self) -> &Record {
        self.records.map.get(&self.id).expect("it is there")
    }
}

impl DerefMut for Changing<'_> {
    #[expect(
        clippy::expect_used,
        reason = "the guard has the records alone, and made sure of this one"
    )]
    fn deref_mut(&mut self) -> &mut Record {
        self.records.map.get_mut(&self.id).expect("it is there")
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let Some(record) = self.records.map.get(&self.id) else {
            return;
        };
        let keys = Keys::of(record);
        let (id, at) = (self.id, record.updated);
        if keys != self.keys {
            self.records.unlist_keys(id, self.keys);
            if keys.searchable {
                self.records.ids.insert(id);
                self.records.created.insert((keys.created, id));
                self.records.updated.insert((keys.updated, id));
            }
        }
        let Some(before) = self.before.take() else {
            return;
        };
        // What changes values first and the time in a second step is still one change.
        let before = match self.records.begun.take() {
            Some((begun, older)) if begun == id => older,
            _ => before,
        };
        if keys.updated != self.keys.updated {
            self.records.late(id, Some(before), at);
        } else if self
            .records
            .map
            .get(&id)
            .is_some_and(|r| r.values != before.values)
        {
            self.records.begun = Some((id, before));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(updated: i64) -> Record {
        Record::new(0, updated)
    }

    #[test]
    fn a_change_moves_the_record_in_the_index() {
        let mut records = Records::default();
        records.plant(7, record(10));
        records.get_mut(&7).unwrap().updated = 20;
        assert_eq!(records.by_updated().rank(&(20, 0)), 0);
        assert_eq!(records.by_updated().at(0), Some((20, 7)));
        records.get_mut(&7).unwrap().archived_at = Some(30);
        assert_eq!(records.ids().len(), 0);
        assert!(records.shown(7, 40).is_none());
        records.get_mut(&7).unwrap().archived_at = None;
        assert_eq!(records.ids().len(), 1);
    }

    #[test]
    fn a_late_index_shows_what_was_before() {
        let mut records = Records::default();
        records.set_lag(Lag {
            range: (1_000, 1_000),
            ..Lag::default()
        });
        records.plant(7, record(10));
        {
            let mut changing = records.get_mut(&7).unwrap();
            changing.values.set(1, Some("new"));
        }
        records.get_mut(&7).unwrap().updated = 5_000;
        let before: Vec<_> = records
            .shown_as_before(5_500)
            .map(|(id, r)| (id, r.updated))
            .collect();
        assert_eq!(before, [(7, 10)]);
        assert!(records.shown(7, 5_999).is_none());
        assert_eq!(records.shown(7, 6_000).unwrap().values.get(1), Some("new"));
        assert_eq!(records.shown_as_before(6_000).count(), 0);
        records.insert(8, record(7_000));
        assert!(records.shown(8, 7_999).is_none());
        assert!(records.shown(8, 8_000).is_some());
    }

    #[test]
    fn a_fresh_record_flaps() {
        let mut records = Records::default();
        records.set_lag(Lag {
            range: (3_000, 3_000),
            flapping: true,
            ..Lag::default()
        });
        records.insert(8, record(0));
        let seen: Vec<bool> = [999, 1_000, 1_999, 2_000, 2_999, 3_000]
            .iter()
            .map(|now| records.shown(8, *now).is_some())
            .collect();
        assert_eq!(seen, [false, true, true, false, false, true]);
    }

    proptest! {
        #[test]
        fn values_are_a_map(
            steps in prop::collection::vec((0_u16..40_000, prop::option::of(".{0,20}")), 0..40),
            long in "[a-z]{2}",
        ) {
            let mut values = Values::default();
            let mut map = BTreeMap::new();
            // Longer than one digit can say.
            let long = long.repeat(40_000);
            values.set(1, Some(&long));
            map.insert(1, long);
            for (name, value) in steps {
                values.set(name, value.as_deref());
                match value {
                    Some(value) => { map.insert(name, value); }
                    None => { map.remove(&name); }
                }
            }
            let found: BTreeMap<u16, String> =
                values.iter().map(|(n, v)| (n, v.to_owned())).collect();
            prop_assert_eq!(found, map);
        }
    }
}
