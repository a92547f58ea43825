//! What has to hold of a portal's records after any sequence of operations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use crate::{
    associations, merge,
    model::{Actor, Data, Kind, Property, Settings, addresses},
    server::Query,
    write,
};

#[derive(Debug, Clone)]
enum Step {
    Create(Kind, u8, bool),
    Batch(u8, u8),
    Update(Kind, usize, u8),
    Archive(Kind, usize),
    Restore(Kind, usize),
    Erase(Kind, usize),
    Merge(Kind, usize, usize),
    Connect((Kind, usize), (Kind, usize), bool),
    Disconnect((Kind, usize), (Kind, usize)),
    Tick,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Contact),
        3 => Just(Kind::Company),
        1 => Just(Kind::Deal),
        1 => Just(Kind::Note),
    ]
}

fn end() -> impl Strategy<Value = (Kind, usize)> {
    (kind(), 0_usize..12)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (kind(), 0_u8..6, any::<bool>()).prop_map(|(k, e, u)| Step::Create(k, e, u)),
        1 => (0_u8..6, 0_u8..6).prop_map(|(a, b)| Step::Batch(a, b)),
        3 => (kind(), 0_usize..12, 0_u8..6).prop_map(|(k, n, e)| Step::Update(k, n, e)),
        1 => end().prop_map(|(k, n)| Step::Archive(k, n)),
        1 => end().prop_map(|(k, n)| Step::Restore(k, n)),
        1 => end().prop_map(|(k, n)| Step::Erase(k, n)),
        2 => (kind(), 0_usize..12, 0_usize..12).prop_map(|(k, a, b)| Step::Merge(k, a, b)),
        4 => (end(), end(), any::<bool>()).prop_map(|(a, b, p)| Step::Connect(a, b, p)),
        1 => (end(), end()).prop_map(|(a, b)| Step::Disconnect(a, b)),
        1 => Just(Step::Tick),
    ]
}

fn portal() -> Data {
    let mut data = Data::new(Settings::default(), 1, 100);
    data.settings.rules.blocklist_refuses = false;
    data.actor = Actor::App(1);
    let mut key = Property::custom("key", "string", "contactinformation");
    key.has_unique_value = true;
    crate::properties::reveal(&mut data, Kind::Contact, key);
    data
}

/// The n-th of the records that ever were, merged ones too.
fn nth(ids: &BTreeMap<Kind, Vec<u64>>, kind: Kind, n: usize) -> u64 {
    let all = ids.get(&kind).map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        1
    } else {
        all[n % all.len()]
    }
}

fn properties(kind: Kind, n: u8, keyed: bool) -> serde_json::Value {
    match kind {
        Kind::Contact => {
            let mut properties = json!({
                "email": format!("p{n}@d{}.example.com", n % 3), "firstname": "A",
                "hs_additional_emails": format!("q{}@example.org", n % 4),
            });
            if keyed {
                properties["key"] = json!(format!("k{}", n % 3));
            }
            properties
        }
        Kind::Company => json!({"name": "C", "domain": format!("d{}.example.com", n % 3)}),
        Kind::Deal => json!({"dealname": "D", "dealstage": "closedwon"}),
        _ => json!({"hs_timestamp": "1767225600000"}),
    }
}

fn run(data: &mut Data, ids: &BTreeMap<Kind, Vec<u64>>, step: &Step, now: i64) {
    let body = |properties| json!({"properties": properties}).to_string().into_bytes();
    match *step {
        Step::Create(kind, n, keyed) => {
            write::create_one(data, kind, &body(properties(kind, n, keyed)), now);
        }
        Step::Batch(a, b) => {
            let inputs = json!({"inputs": [
                {"properties": properties(Kind::Contact, a, true)},
                {"properties": properties(Kind::Contact, b, false)},
            ]});
            let before = data.records[Kind::Contact as usize].len();
            let body = inputs.to_string().into_bytes();
            let answer = crate::batches::batch(data, Kind::Contact, "create", &body, now);
            let made = data.records[Kind::Contact as usize].len() - before;
            assert_eq!(
                made,
                if answer.status == 201 { 2 } else { 0 },
                "all or nothing"
            );
        }
        Step::Update(kind, n, value) => {
            let id = nth(ids, kind, n).to_string();
            let values = properties(kind, value, value % 2 == 0);
            write::update_one(data, kind, &id, &Query::default(), &body(values), now);
        }
        Step::Archive(kind, n) => {
            let id = data.resolve(kind, nth(ids, kind, n));
            let before = data.record(kind, id).map(|r| r.updated);
            merge::archive(data, kind, id, now);
            assert_eq!(data.record(kind, id).map(|r| r.updated), before);
        }
        Step::Restore(kind, n) => {
            merge::restore(data, kind, nth(ids, kind, n), now);
        }
        Step::Erase(kind, n) => merge::erase(data, kind, nth(ids, kind, n), now),
        Step::Merge(kind, a, b) => {
            let (a, b) = (
                data.resolve(kind, nth(ids, kind, a)),
                data.resolve(kind, nth(ids, kind, b)),
            );
            if kind != Kind::Note && data.is_live(kind, a) && data.is_live(kind, b) && a != b {
                let new = merge::merge(data, kind, a, b, now).ok();
                assert_eq!(new, Some(data.resolve(kind, a)));
                assert_eq!(new, Some(data.resolve(kind, b)));
            }
        }
        Step::Connect(a, b, primary) => {
            let (a, b) = ((a.0, nth(ids, a.0, a.1)), (b.0, nth(ids, b.0, b.1)));
            if a != b && data.is_live(a.0, a.1) && data.is_live(b.0, b.1) {
                let types = associations::type_ids(a.0, b.0, primary).0;
                associations::connect(data, a, b, &types, now);
            }
        }
        Step::Disconnect(a, b) => {
            let (a, b) = ((a.0, nth(ids, a.0, a.1)), (b.0, nth(ids, b.0, b.1)));
            associations::disconnect(data, a, b, None, now);
        }
        Step::Tick => data.tick(now + 20_000),
    }
}

fn check(data: &Data) {
    // Addresses and unique values are those of live records, and each of one record.
    let mut emails = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (id, record) in data.records[Kind::Contact as usize].iter() {
        if record.archived_at.is_some() {
            continue;
        }
        for name in ["email", "hs_additional_emails"] {
            for address in addresses(data.stored(record, name).unwrap_or_default()) {
                let other = emails.insert(address, *id);
                assert!(other.is_none_or(|o| o == *id), "an address of two contacts");
            }
        }
        if let Some(key) = data.stored(record, "key") {
            assert!(
                keys.insert(key.to_owned(), *id).is_none(),
                "a key of two contacts"
            );
        }
    }
    let known: BTreeMap<String, u64> = data.emails.iter().map(|(e, id)| (e.clone(), *id)).collect();
    assert_eq!(known, emails);
    let key = data.name_ids["key"];
    let known: BTreeMap<String, u64> = data.unique[&(Kind::Contact, key)]
        .iter()
        .map(|(k, id)| (k.to_string(), *id))
        .collect();
    assert_eq!(known, keys);
    // Associations are the same from both sides, between records that are there.
    for (from, links) in &data.links {
        for (to, types) in links {
            assert_ne!(from, to);
            assert!(data.record(from.0, from.1).is_some(), "{from:?} is gone");
            let plain = associations::pair(from.0, to.0).map(|(plain, _)| plain);
            assert!(
                plain.is_some_and(|plain| types.contains(&plain)),
                "not unlabelled"
            );
            let back: BTreeSet<u32> = types
                .iter()
                .map(|t| associations::inverse(data, from.0, to.0, *t))
                .collect();
            assert_eq!(data.links.get(to).and_then(|l| l.get(from)), Some(&back));
        }
        if from.0 != Kind::Company {
            let primaries = links
                .iter()
                .filter(|(to, types)| {
                    to.0 == Kind::Company && types.iter().any(|t| associations::is_primary(*t))
                })
                .count();
            assert!(primaries <= 1, "{from:?} has {primaries} primaries");
        }
    }
    // An id that was merged away is no record's, and leads to the end of its way at once.
    for ((kind, old), new) in &data.aliases {
        assert!(data.record(*kind, *old).is_none());
        assert!(!data.aliases.contains_key(&(*kind, *new)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        if std::env::var("SOAK").is_ok_and(|s| s == "full") { 20_000 } else { 200 }
    ))]

    #[test]
    fn records_stay_consistent(steps in prop::collection::vec(step(), 1..60)) {
        let mut data = portal();
        let mut ids: BTreeMap<Kind, Vec<u64>> = BTreeMap::new();
        for (place, step) in steps.iter().enumerate() {
            run(&mut data, &ids, step, 1_000_000 + place as i64 * 1_000);
            for kind in Kind::ALL {
                let all = ids.entry(kind).or_default();
                for id in data.records[kind as usize].keys() {
                    if !all.contains(id) {
                        all.push(*id);
                    }
                }
            }
            check(&data);
        }
    }
}
