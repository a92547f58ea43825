//! Search: filters, sorts, the cap, the lag of the index.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    ops::Bound,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::Answer,
    filters::{Axis, Filter, Test, mentions, searchable, time},
    model::{Data, Kind, Record},
    objects::{Shown, push_record, wanted},
    ranked::Ranked,
    records::Records,
};

/// Results that a query can be paged through.
const CAP: usize = 10_000;
/// Characters of a body.
const BODY: usize = 3_000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    filter_groups: Vec<Group>,
    /// One group more, as the first generation wrote it.
    filters: Vec<Filter>,
    sorts: Vec<Value>,
    properties: Vec<String>,
    /// A number, as text too.
    limit: Option<Value>,
    after: Option<Value>,
    query: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    filters: Vec<Filter>,
}

/// What results are sorted by.
#[derive(Debug)]
struct Sort {
    by: By,
    descending: bool,
}

#[derive(Debug)]
enum By {
    Axis(Axis),
    Number(String),
    Time(String),
    Text(String),
}

/// The place of a record in the results. What has no value comes last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Up(String),
    Down(Reverse<String>),
    Missing,
}

/// Floats as integers of the same order.
const fn sortable(number: f64) -> i64 {
    let bits = number.to_bits() as i64;
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

impl Sort {
    fn number(&self, number: i64) -> Key {
        // The complement turns the order of integers round.
        Key::Number(if self.descending { !number } else { number })
    }

    fn key(&self, data: &Data, kind: Kind, id: u64, record: &Record) -> Key {
        let value = |name: &str| data.value(kind, id, record, name).filter(|v| !v.is_empty());
        match &self.by {
            By::Axis(axis) => self.number(axis.place(id, record)),
            By::Number(name) => value(name)
                .and_then(|v| v.parse().ok())
                .map_or(Key::Missing, |v| self.number(sortable(v))),
            By::Time(name) => value(name)
                .and_then(|v| time(&v))
                .map_or(Key::Missing, |v| self.number(v)),
            By::Text(name) => match value(name).map(|v| v.to_lowercase()) {
                None => Key::Missing,
                Some(text) if self.descending => Key::Down(Reverse(text)),
                Some(text) => Key::Up(text),
            },
        }
    }
}

fn sort_of(data: &Data, kind: Kind, sorts: &[Value]) -> Result<Sort, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Given {
        property_name: String,
        #[serde(default)]
        direction: Option<String>,
    }
    let given = match sorts {
        [] => {
            return Ok(Sort {
                by: By::Axis(Axis::Created),
                descending: false,
            });
        }
        // Generated clients send text: a name, with a minus for descending, or the object as JSON.
        [Value::String(text)] => serde_json::from_str(text).unwrap_or_else(|_| {
            let name = text.strip_prefix('-');
            Given {
                property_name: name.unwrap_or(text).to_owned(),
                direction: name.map(|_| "DESCENDING".to_owned()),
            }
        }),
        [one] => Given::deserialize(one).map_err(|_| "Invalid input JSON".to_owned())?,
        _ => return Err("Only one sort is allowed".to_owned()),
    };
    let descending = match given.direction.as_deref() {
        None | Some("ASCENDING") => false,
        Some("DESCENDING") => true,
        Some(other) => {
            return Err(format!(
                "Invalid direction {other:?}; there are ASCENDING and DESCENDING"
            ));
        }
    };
    let name = given.property_name;
    let Some(definition) = data.properties[kind as usize].get(&name) else {
        return Err(format!(
            "There was a problem with the request: property {name} does not exist"
        ));
    };
    let by = match (Axis::of(kind, &name), definition.kind.as_str()) {
        (Some(axis), _) => By::Axis(axis),
        (None, "number") => By::Number(name),
        (None, "date" | "datetime") => By::Time(name),
        _ => By::Text(name),
    };
    Ok(Sort { by, descending })
}

/// A group of filters that all have to pass, with the intervals they leave.
struct All {
    tests: Vec<Test>,
    ids: (Bound<i64>, Bound<i64>),
    created: (Bound<i64>, Bound<i64>),
    updated: (Bound<i64>, Bound<i64>),
    only: Option<Vec<u64>>,
}

fn tighter_from(a: Bound<i64>, b: Bound<i64>) -> Bound<i64> {
    use Bound::{Excluded, Included, Unbounded};
    match (a, b) {
        (Unbounded, other) | (other, Unbounded) => other,
        (Included(x) | Excluded(x), Included(y) | Excluded(y)) if x != y => {
            if x > y {
                a
            } else {
                b
            }
        }
        (Excluded(x), _) | (_, Excluded(x)) => Excluded(x),
        (Included(x), Included(_)) => Included(x),
    }
}

fn tighter_to(a: Bound<i64>, b: Bound<i64>) -> Bound<i64> {
    let turn = |bound: Bound<i64>| bound.map(|at| !at);
    turn(tighter_from(turn(a), turn(b)))
}

impl All {
    fn new(data: &Data, kind: Kind, tests: Vec<Test>) -> Self {
        let mut all = Self {
            tests: Vec::new(),
            ids: (Bound::Unbounded, Bound::Unbounded),
            created: (Bound::Unbounded, Bound::Unbounded),
            updated: (Bound::Unbounded, Bound::Unbounded),
            only: None,
        };
        for test in &tests {
            if let Some((axis, from, to)) = test.interval() {
                let bounds = match axis {
                    Axis::Id => &mut all.ids,
                    Axis::Created => &mut all.created,
                    Axis::Updated => &mut all.updated,
                };
                *bounds = (tighter_from(bounds.0, from), tighter_to(bounds.1, to));
            }
            if let Some(ids) = test.only(data, kind) {
                let fewer = all.only.as_ref().is_none_or(|o| ids.len() < o.len());
                if fewer {
                    all.only = Some(ids);
                }
            }
        }
        all.tests = tests;
        all
    }

    fn bounds(&self, axis: Axis) -> (Bound<i64>, Bound<i64>) {
        match axis {
            Axis::Id => self.ids,
            Axis::Created => self.created,
            Axis::Updated => self.updated,
        }
    }

    fn holds(&self, data: &Data, kind: Kind, id: u64, record: &Record) -> bool {
        self.tests.iter().all(|t| t.holds(data, kind, id, record))
    }

    /// Whether intervals of these axes are all that is asked.
    fn asks_only(&self, axes: &[Axis]) -> bool {
        self.tests
            .iter()
            .all(|t| t.interval().is_some_and(|(axis, ..)| axes.contains(&axis)))
    }

    /// Whether places on these axes are all that has to be looked at.
    fn looks_only_at(&self, axes: &[Axis]) -> bool {
        self.tests
            .iter()
            .all(|t| t.axis().is_some_and(|axis| axes.contains(&axis)))
    }

    /// The ranks of an axis that can pass.
    fn span(&self, records: &Records, axis: Axis) -> (usize, usize) {
        let (from, to) = self.bounds(axis);
        // Ids are never negative.
        let id = |bound: Bound<i64>, low: bool| match bound {
            Bound::Included(at) | Bound::Excluded(at) if at < 0 => {
                if low {
                    Bound::Unbounded
                } else {
                    Bound::Excluded(0)
                }
            }
            other => other.map(|at| at as u64),
        };
        // All ids of a millisecond lie between these two.
        let pair = |ranked: &Ranked<(i64, u64)>| {
            let from = match from {
                Bound::Unbounded => Bound::Unbounded,
                Bound::Included(at) => Bound::Included((at, 0)),
                Bound::Excluded(at) => Bound::Excluded((at, u64::MAX)),
            };
            let to = match to {
                Bound::Unbounded => Bound::Unbounded,
                Bound::Included(at) => Bound::Included((at, u64::MAX)),
                Bound::Excluded(at) => Bound::Excluded((at, 0)),
            };
            ranked.span(from, to)
        };
        match axis {
            Axis::Id => records.ids().span(id(from, true), id(to, false)),
            Axis::Created => pair(records.by_created()),
            Axis::Updated => pair(records.by_updated()),
        }
    }
}

/// Results while they are found: how many, and the first of them.
struct Found {
    keep: usize,
    total: usize,
    first: BinaryHeap<(Key, u64)>,
}

impl Found {
    fn add(&mut self, key: impl FnOnce() -> Key, id: u64) {
        self.total += 1;
        if self.keep == 0 {
            return;
        }
        let entry = (key(), id);
        if self.first.len() < self.keep {
            self.first.push(entry);
        } else if let Some(mut last) = self.first.peek_mut()
            && entry < *last
        {
            *last = entry;
        }
    }
}

/// A search made ready.
struct Plan<'a> {
    data: &'a Data,
    kind: Kind,
    now: i64,
    groups: Vec<All>,
    sort: Sort,
    query: Option<String>,
}

impl Plan<'_> {
    fn records(&self) -> &Records {
        &self.data.records[self.kind as usize]
    }

    fn mentions(&self, record: &Record) -> bool {
        self.query.as_deref().is_none_or(|query| {
            let texts: Vec<String> = searchable(self.kind)
                .iter()
                .filter_map(|name| self.data.stored(record, name))
                .map(str::to_lowercase)
                .collect();
            mentions(&texts, query)
        })
    }

    /// The axis that leaves least to do.
    fn axis(&self, group: &All) -> Axis {
        let records = self.records();
        let cost = |axis: Axis| {
            let (first, end) = group.span(records, axis);
            let axes = [Axis::Id, axis];
            let by_keys = self.query.is_none()
                && group.looks_only_at(&axes)
                && matches!(&self.sort.by, By::Axis(by) if axes.contains(by));
            // Records lie in the order of ids; on the other axes each has to be looked up.
            let each = match axis {
                _ if by_keys => 1,
                Axis::Id => 30,
                Axis::Created | Axis::Updated => 90,
            };
            let sorted = matches!(&self.sort.by, By::Axis(by) if *by == axis);
            ((end - first).saturating_mul(each), !sorted)
        };
        [Axis::Id, Axis::Updated, Axis::Created]
            .into_iter()
            .min_by_key(|axis| cost(*axis))
            .unwrap_or(Axis::Id)
    }

    /// One page straight from the index, where it is sorted as asked and nothing else is asked.
    fn straight(&self, after: usize, limit: usize) -> Option<(usize, Vec<u64>)> {
        let ([group], None) = (self.groups.as_slice(), &self.query) else {
            return None;
        };
        let By::Axis(axis) = self.sort.by else {
            return None;
        };
        let records = self.records();
        if !group.asks_only(&[axis]) || !records.is_caught_up(self.now) {
            return None;
        }
        // Backwards, ids of one millisecond would come backwards too.
        if self.sort.descending && axis != Axis::Id {
            return None;
        }
        let (first, end) = group.span(records, axis);
        let total = end - first;
        let (from, to) = if self.sort.descending {
            let to = end - after.min(total);
            (to.saturating_sub(limit).max(first), to)
        } else {
            let from = first + after.min(total);
            (from, (from + limit).min(end))
        };
        let mut ids: Vec<u64> = match axis {
            Axis::Id => records.ids().keys(from, to).collect(),
            Axis::Created => records.by_created().keys(from, to).map(|k| k.1).collect(),
            Axis::Updated => records.by_updated().keys(from, to).map(|k| k.1).collect(),
        };
        if self.sort.descending {
            ids.reverse();
        }
        Some((total, ids))
    }

    /// Goes through what a group leaves.
    fn walk(&self, group: &All, seen: &mut Option<BTreeSet<u64>>, found: &mut Found) {
        let records = self.records();
        let caught_up = records.is_caught_up(self.now);
        let mut look = |id: u64, record: &Record| {
            if group.holds(self.data, self.kind, id, record)
                && self.mentions(record)
                && (caught_up || records.shown(id, self.now).is_some())
                && seen.as_mut().is_none_or(|seen| seen.insert(id))
            {
                found.add(|| self.sort.key(self.data, self.kind, id, record), id);
            }
        };
        if let Some(only) = &group.only {
            let only: BTreeSet<u64> = only.iter().copied().collect();
            for id in only {
                if let Some(record) = records.shown(id, self.now) {
                    look(id, record);
                }
            }
            return;
        }
        let axis = self.axis(group);
        let (first, end) = group.span(records, axis);
        let ranked = match axis {
            Axis::Id => {
                let mut ids = records.ids().keys(first, end);
                if let (Some(least), Some(most)) =
                    (ids.next(), records.ids().at(end.saturating_sub(1)))
                    && first < end
                {
                    for (id, record) in records.range(least..=most) {
                        if record.archived_at.is_none() && record.raw.is_none() {
                            look(*id, record);
                        }
                    }
                }
                return;
            }
            Axis::Created => records.by_created(),
            Axis::Updated => records.by_updated(),
        };
        let axes = [Axis::Id, axis];
        let by_keys = match &self.sort.by {
            By::Axis(by) if self.query.is_none() && group.looks_only_at(&axes) => Some(*by),
            _ => None,
        };
        let Some(by) = by_keys else {
            for (_, id) in ranked.keys(first, end) {
                if let Some(record) = records.get(&id) {
                    look(id, record);
                }
            }
            return;
        };
        // The span keeps its own axis already.
        let (from, to) = group.ids;
        let others: Vec<&Test> = group
            .tests
            .iter()
            .filter(|t| t.interval().is_none())
            .collect();
        for run in ranked.runs(first, end) {
            for (at, id) in run {
                let place = *id as i64;
                if !std::ops::RangeBounds::contains(&(from, to), &place) {
                    continue;
                }
                let passes = others.iter().all(|t| match t.axis() {
                    Some(Axis::Id) => t.holds_at(place),
                    _ => t.holds_at(*at),
                });
                if passes
                    && (caught_up || !records.shows_old(*id, self.now))
                    && seen.as_mut().is_none_or(|seen| seen.insert(*id))
                {
                    let key = if by == Axis::Id { place } else { *at };
                    found.add(|| self.sort.number(key), *id);
                }
            }
        }
    }
}

/// `POST …/{type}/search`
pub(crate) fn search(data: &Data, kind: Kind, body: &[u8], now: i64) -> Answer {
    match answer(data, kind, body, now) {
        Ok(answer) => answer,
        Err(message) => Answer::validation(&message),
    }
}

fn answer(data: &Data, kind: Kind, body: &[u8], now: i64) -> Result<Answer, String> {
    let invalid = || "Invalid input JSON".to_owned();
    let text = std::str::from_utf8(body).map_err(|_| invalid())?;
    let mut body: Body = serde_json::from_str(text).map_err(|_| invalid())?;
    let mut length = text.chars().count();
    if !data.settings.search_counts_properties {
        // With quotes and a comma each.
        let names: usize = body.properties.iter().map(|p| p.chars().count() + 3).sum();
        length = length.saturating_sub(names);
    }
    if length > BODY {
        return Err(format!("The request body is longer than {BODY} characters"));
    }
    if !body.filters.is_empty() {
        let filters = std::mem::take(&mut body.filters);
        body.filter_groups.push(Group { filters });
    }
    let most = data.settings.search_filter_groups;
    if body.filter_groups.len() > most {
        return Err(format!("There are more than {most} filter groups"));
    }
    if body.filter_groups.iter().any(|g| g.filters.len() > 6) {
        return Err("There are more than 6 filters in a group".to_owned());
    }
    if body
        .filter_groups
        .iter()
        .map(|g| g.filters.len())
        .sum::<usize>()
        > 18
    {
        return Err("There are more than 18 filters".to_owned());
    }
    let mut groups = Vec::new();
    for group in &body.filter_groups {
        let tests = group.filters.iter().map(|f| f.ready(data, kind));
        groups.push(All::new(data, kind, tests.collect::<Result<_, _>>()?));
    }
    if groups.is_empty() {
        groups.push(All::new(data, kind, Vec::new()));
    }
    let limit: usize = match &body.limit {
        None | Some(Value::Null) => 10,
        Some(limit) => crate::validate::text_of(limit)
            .unwrap_or_default()
            .parse()
            .map_err(|_| "limit has to be a whole number".to_owned())?,
    };
    if limit > 200 {
        return Err("limit must be less than or equal to 200".to_owned());
    }
    let after: usize = match &body.after {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) if text.is_empty() => 0,
        Some(Value::String(text)) => text
            .parse()
            .map_err(|_| "after has to be a whole number".to_owned())?,
        Some(Value::Number(number)) => number
            .as_u64()
            .map(|n| n as usize)
            .ok_or("after has to be a whole number")?,
        Some(_) => return Err("after has to be a whole number".to_owned()),
    };
    if after.saturating_add(limit) > CAP {
        return Err("The total number of results is capped at 10000".to_owned());
    }
    let plan = Plan {
        data,
        kind,
        now,
        groups,
        sort: sort_of(data, kind, &body.sorts)?,
        query: body
            .query
            .map(|q| q.to_lowercase())
            .filter(|q| !q.trim().is_empty()),
    };
    let asked: Vec<&str> = body.properties.iter().map(String::as_str).collect();
    Ok(page(&plan, after, limit, &wanted(kind, &asked)))
}

fn page(plan: &Plan<'_>, after: usize, limit: usize, properties: &[&str]) -> Answer {
    let records = plan.records();
    let mut before: HashMap<u64, &Record> = HashMap::new();
    let (total, ids) = plan.straight(after, limit).unwrap_or_else(|| {
        let mut found = Found {
            keep: if limit == 0 { 0 } else { after + limit },
            total: 0,
            first: BinaryHeap::new(),
        };
        // A record that two groups find is found once.
        let mut seen = (plan.groups.len() > 1).then(BTreeSet::new);
        for group in &plan.groups {
            plan.walk(group, &mut seen, &mut found);
        }
        for (id, record) in records.shown_as_before(plan.now) {
            let passes = plan
                .groups
                .iter()
                .any(|g| g.holds(plan.data, plan.kind, id, record));
            if passes && plan.mentions(record) {
                before.insert(id, record);
                found.add(|| plan.sort.key(plan.data, plan.kind, id, record), id);
            }
        }
        let total = found.total;
        let first = found.first.into_sorted_vec();
        let ids = first.into_iter().skip(after).map(|(_, id)| id).collect();
        (total, ids)
    });
    let mut out = format!("{{\"total\":{total},\"results\":[");
    let mut first = true;
    for id in ids {
        let Some(record) = before.get(&id).copied().or_else(|| records.get(&id)) else {
            continue;
        };
        if !first {
            out.push(',');
        }
        first = false;
        push_record(
            &mut out,
            plan.data,
            plan.kind,
            id,
            record,
            &Shown::read(properties),
        );
    }
    out.push(']');
    if after + limit < total {
        out.push_str(&format!(
            ",\"paging\":{{\"next\":{{\"after\":\"{}\"}}}}",
            after + limit
        ));
    }
    out.push('}');
    Answer::text(200, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_their_order_as_integers() {
        let numbers = [f64::NEG_INFINITY, -2.5, -0.1, 0.0, 0.1, 3.0, 1e300];
        assert!(numbers.windows(2).all(|w| sortable(w[0]) < sortable(w[1])));
    }

    #[test]
    fn the_tighter_bound_wins() {
        use Bound::{Excluded, Included, Unbounded};
        assert_eq!(tighter_from(Unbounded, Included(3)), Included(3));
        assert_eq!(tighter_from(Excluded(3), Included(3)), Excluded(3));
        assert_eq!(tighter_from(Excluded(2), Included(3)), Included(3));
        assert_eq!(tighter_to(Excluded(2), Included(3)), Excluded(2));
        assert_eq!(tighter_to(Included(3), Excluded(3)), Excluded(3));
    }
}
