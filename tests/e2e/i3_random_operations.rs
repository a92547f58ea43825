//! I3, I5, I6, I8: random operations on both sides, from a seed, with syncs in between. Then the mirror is
//! the portal record by record, and links, profiles, lists and verdicts are those of a naive
//! recomputation (`tests/model/src/whole.rs`). Each rule of that, left out on purpose, has to be noticed.
//!
//! `OPERATIONS_SEED` repeats a run; `SOAK=full` makes it a long one.
mod app;
mod hubspot;
mod portal;
mod run;
mod service;
mod showcase;

use std::collections::{BTreeMap, BTreeSet};

use e2e::{
    mirrored::{self, Everything},
    periodic::sync,
    planted::{Planted, number},
    profiles::{World, until},
    random::{Random, seed},
    store_of,
};
use model::{
    profiles::Person,
    whole::{Listing, Whole, Without},
};
use serde_json::{Value, json};

use run::{OPTIONS, Run, STAGES};
use showcase::{own_people, showcase};

/// Rounds, and operations of a round on each side.
fn size() -> (usize, usize) {
    if std::env::var("SOAK").is_ok_and(|s| s == "full") {
        (15, 160)
    } else {
        (2, 50)
    }
}

/// With any difference put in on purpose the mirror is not the portal any more.
fn differences_of_the_mirror_are_noticed(portal: &Everything) {
    assert!(mirrored::differences(portal, portal).is_empty());
    for (plural, records) in portal {
        let id = *records.keys().next().unwrap();
        let tied = records.iter().find(|(_, (_, ties))| !ties.is_empty());
        let tied = tied.map(|(id, _)| *id);
        type Break = fn(&mut mirrored::Records, i64, Option<i64>);
        let breaks: [(&str, Break); 5] = [
            ("one is missing", |all, id, _| drop(all.remove(&id))),
            ("one is too many", |all, _, _| {
                drop(all.insert(1, Default::default()))
            }),
            ("a value is another one", |all, id, _| {
                all.get_mut(&id).unwrap().0["hs_object_id"] = json!("0");
            }),
            ("a property is missing", |all, id, _| {
                all.get_mut(&id).unwrap().0 = json!({});
            }),
            ("an association is missing", |all, id, tied| {
                all.get_mut(&tied.unwrap_or(id)).unwrap().1.clear();
            }),
        ];
        for (what, change) in breaks {
            if what == "an association is missing" && tied.is_none() {
                continue;
            }
            let mut mirror = portal.clone();
            change(mirror.get_mut(plural).unwrap(), id, tied);
            let found = mirrored::differences(&mirror, portal);
            assert_eq!(found.len(), 1, "{plural}: {what}: {found:?}");
        }
    }
}

#[tokio::test]
async fn after_random_operations_all_is_as_recomputed() {
    let seed = seed("OPERATIONS_SEED");
    println!("OPERATIONS_SEED={seed}");
    let (rounds, operations) = size();
    let p = Planted::new().await;
    let owner = async |email: &str| {
        let made = p
            .tenant
            .control("POST", "owners", Some(json!({"email": email})))
            .await;
        number(&made["id"])
    };
    let owners = [
        owner("mapped@team-ops.com").await,
        owner("other@team-ops.com").await,
    ];
    let options: Vec<Value> = OPTIONS
        .iter()
        .map(|o| json!({"value": o, "label": format!("The {o}")}))
        .collect();
    let segment = json!({
        "name": "model_segment", "label": "Segment", "groupName": "contactinformation",
        "type": "enumeration", "fieldType": "select", "options": options,
    });
    p.hubspot("POST", "/crm/properties/2026-09/contacts", Some(segment))
        .await;
    p.tenant.control("POST", "settle", None).await;
    let (shown, lists) = showcase(&p, owners).await;
    let door = p.connect().await;
    let store = store_of(p.tenant.api.addresses()).await;
    let world = World {
        tenant: p.tenant.clone(),
        door,
        store: store.clone(),
    };
    let members = json!({"items": [{"id": "m1", "version": 1, "email": "mapped@team-ops.com"}]});
    world.door.ok("POST", "/members", Some(members)).await;
    let listing = |of_companies, suppresses| Listing {
        of_companies,
        suppresses,
        members: BTreeSet::new(),
    };
    let kinds = [
        listing(false, false),
        listing(false, true),
        listing(true, true),
        listing(true, false),
    ];
    let whole = Whole {
        portal: p.tenant.portal.get().cast_unsigned(),
        contacts: BTreeMap::new(),
        companies: BTreeMap::new(),
        deals: BTreeMap::new(),
        at: BTreeSet::new(),
        on_contacts: BTreeSet::new(),
        on_companies: BTreeSet::new(),
        merged: BTreeMap::new(),
        former: BTreeSet::new(),
        lists: lists
            .into_iter()
            .map(i64::cast_unsigned)
            .zip(kinds)
            .collect(),
        people: BTreeMap::new(),
        links: BTreeMap::new(),
        labels: BTreeMap::new(),
        rows: Vec::new(),
        rules: Run::all_rules(false, false),
        stages: STAGES
            .iter()
            .map(|(stage, stands, n)| ((*stage).to_owned(), (*stands, (0, *n))))
            .collect(),
        mapped_owners: BTreeSet::new(),
    };
    let mut run = Run {
        p,
        world,
        store,
        random: Random(seed),
        whole,
        touched: BTreeSet::new(),
        kept: BTreeSet::new(),
        kept_people: BTreeSet::new(),
        moved: BTreeSet::new(),
        versions: BTreeMap::new(),
        owners,
        owner_is_archived: false,
        forgotten: BTreeSet::new(),
        counter: 0,
        done: BTreeMap::new(),
        unnoticed: Without::all(),
    };
    run.save(Run::all_rules(false, false), [true, false, true, true])
        .await;
    // The members of the lists and the new property are read by runs of their own.
    until("all is read", async || {
        let lists = run.door().ok("GET", "/lists", None).await;
        let lists = lists["items"].as_array().unwrap();
        let all = lists.iter().all(|l| !l["members_read_at"].is_null());
        all && run.tenant().status().await["run"]["state"] == "finished"
    })
    .await;
    let lag = json!({"search_lag_ms": {"min": 0, "max": 2_000}, "search_flapping": true});
    run.tenant().control("PATCH", "", Some(lag)).await;
    run.look().await;
    for all in [&run.whole.contacts, &run.whole.companies, &run.whole.deals] {
        run.kept.extend(all.keys());
    }
    let before = run.whole.clone();
    for person in own_people() {
        run.kept_people.insert(person.id.clone());
        run.upsert(person).await;
    }
    run.check(&before, true).await;

    for round in 0..rounds {
        run.moved.clear();
        let before = run.whole.clone();
        // The addresses differ on both sides from now on.
        if round == 0 {
            for (id, email) in [
                ("moves", "elsewhere@moves-ops.com"),
                ("merge-two", "elsewhere@merge-ops.com"),
            ] {
                let mut person = run.whole.people[id].clone();
                person.email = Some(email.to_owned());
                run.upsert(person).await;
            }
            for _ in 0..operations / 2 {
                run.in_the_app().await;
            }
            let crm = [true, true, false, false];
            run.save(Run::all_rules(true, true), crm).await;
            run.check(&before, true).await;
            run.p
                .set(
                    "contacts",
                    shown.moves,
                    json!({"email": "new@moves-ops.com"}),
                )
                .await;
            let path = format!("records/contacts/{}", shown.archived);
            assert!(run.control("DELETE", &path, None).await);
            let [primary, other] = shown.merged;
            let body = json!({"type": "contacts", "primary": primary, "other": other});
            let merged = run.tenant().control("POST", "merges", Some(body)).await;
            let id = number(&merged["id"]).cast_unsigned();
            run.kept.insert(id);
            for old in [primary, other].map(i64::cast_unsigned) {
                run.whole.merged.insert(old, id);
            }
        } else {
            for _ in 0..operations / 2 {
                run.in_the_app().await;
            }
            let (rules, crm) = (run.random_rules(), [0; 4].map(|_| run.random.flip()));
            run.save(rules, crm).await;
            run.check(&before, true).await;
        }

        run.touched.clear();
        let before = run.whole.clone();
        let erased = run.done.get("erase").copied();
        for n in 0..operations {
            run.in_hubspot().await;
            if n == operations / 2 {
                sync(run.tenant()).await;
            }
        }
        let erased = run.done.get("erase").copied() != erased;
        let portal = run.arrive(erased).await;
        let mut before = before;
        before.merged.clone_from(&run.whole.merged);
        run.check(&before, false).await;
        if round == 0 {
            differences_of_the_mirror_are_noticed(&portal);
            let before = run.whole.clone();
            let former = Person {
                id: "former".to_owned(),
                email: Some("old@moves-ops.com".to_owned()),
                ..Person::default()
            };
            // Nobody has the address any more; somebody did.
            run.kept_people.insert(former.id.clone());
            run.upsert(former).await;
            run.check(&before, true).await;
        }
    }
    // Each rule by itself, over the same facts.
    for (company, filtered) in [(false, false), (true, false), (false, true), (true, true)] {
        let before = run.whole.clone();
        run.save(
            Run::all_rules(company, filtered),
            [false, true, true, false],
        )
        .await;
        run.check(&before, true).await;
    }
    println!("{:?}", run.done);
    assert!(
        run.unnoticed.is_empty(),
        "left out, and nobody notices: {:?}",
        run.unnoticed
    );
}
