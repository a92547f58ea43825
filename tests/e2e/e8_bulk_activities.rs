//! E8, E1, X1, X2: activities that waited for their people go with them in bulk: in few requests, each once
//! whatever breaks, on its contact and company, at its real time.

use std::collections::{BTreeMap, BTreeSet};

use dev::demo::Api;
use e2e::{
    activities::{listed, push},
    door::Door,
    exports::{ask, ended, entries, is_final, live},
    mirrored,
    planted::{Planted, change_settings, number},
    profiles::until,
    stacks::{OwnStack, until_within},
};
use futures::{StreamExt as _, future::join_all};
use serde_json::{Value, json};

use crate::{
    e1_bulk::{
        LONG, begin, connect, export_in_bulk, ids, in_the_middle, is_over, last_request, leads,
        people, requests_since, show, shown_when,
    },
    x1_activities::{count, landed},
    x1_write_faults::faults,
};

/// Calls of the front door at a time.
const AT_ONCE: usize = 8;
/// Activities of a call.
const A_CALL: usize = 500;

/// What is said of an activity, and the plural of what it becomes.
fn content(kind: &str, text: &str) -> (&'static str, Value) {
    match kind {
        "email" => (
            "emails",
            json!({"email": {"direction": "outgoing", "subject": "S", "text": text}}),
        ),
        "message" => (
            "communications",
            json!({"linkedin_message": {"direction": "outgoing", "text": text}}),
        ),
        "request" => (
            "communications",
            json!({"linkedin_connection_request": {"note": text}}),
        ),
        "call" => (
            "calls",
            json!({"call": {"direction": "incoming", "title": text}}),
        ),
        "meeting" => (
            "meetings",
            json!({"meeting": {"title": text, "start": "2030-01-01T10:00:00Z"}}),
        ),
        "note" => ("notes", json!({"note": {"text": text}})),
        _ => ("tasks", json!({"task": {"title": text}})),
    }
}

/// Whose an engagement is, as its words say.
fn words(person: &str) -> String {
    format!("Of {person}.")
}

/// Activities that each of these people has, one of each of these kinds in their turn.
pub(crate) fn steps(ids: &[String], kinds: &[&str]) -> Vec<Value> {
    let of = |(n, person): (usize, &String)| -> Vec<Value> {
        kinds
            .iter()
            .enumerate()
            .map(|(step, kind)| {
                let (_, content) = content(kind, &words(person));
                json!({
                    "id": format!("{person}-{step}-{kind}"), "version": 1, "person": person,
                    "at": format!("2026-01-{:02}T08:{:02}:00.250Z", step + 1, n % 60), "content": content,
                })
            })
            .collect()
    };
    ids.iter().enumerate().flat_map(of).collect()
}

pub(crate) async fn push_all(door: &Door, items: &[Value]) {
    for some in items.chunks(A_CALL) {
        push(door, some).await;
    }
}

/// Engagements that there are to be, by plural.
fn times(each: usize, kinds: &[&str]) -> BTreeMap<&'static str, usize> {
    let mut all: BTreeMap<&str, usize> = [
        "emails",
        "communications",
        "calls",
        "meetings",
        "notes",
        "tasks",
    ]
    .map(|plural| (plural, 0))
    .into();
    for kind in kinds {
        *all.entry(content(kind, "").0).or_default() += each;
    }
    all
}

/// Each of people's activities when all have come to an end.
pub(crate) async fn logged(door: &Door, ids: &[String]) -> Vec<Value> {
    let of = futures::stream::iter(ids).map(|person| async move {
        until_within("their activities have ended", LONG, async || {
            let all = listed(door, person).await;
            all.iter().all(|a| is_final(&a["outcome"]))
        })
        .await;
        listed(door, person).await
    });
    of.buffered(AT_ONCE).collect::<Vec<_>>().await.concat()
}

/// Nothing of what is known of these people's writes is left open.
async fn assert_closed(door: &Door, ids: &[String]) {
    let mut of = futures::stream::iter(ids)
        .map(|person| async move { entries(door, person, "open").await })
        .buffered(AT_ONCE);
    while let Some(open) = of.next().await {
        assert!(open.is_empty(), "{open:#?}");
    }
}

/// Each activity is one engagement, at its time, on its contact and that one's company.
pub(crate) async fn assert_logged(p: &Planted, door: &Door, ids: &[String], kinds: &[&str]) {
    let all = logged(door, ids).await;
    assert_eq!(all.len(), ids.len() * kinds.len());
    for activity in &all {
        let state = &activity["outcome"]["state"];
        assert_eq!(state, "exported", "{activity:#}");
    }
    assert_closed(door, ids).await;
    landed(p).await;
    assert_eq!(count(p).await, times(ids.len(), kinds));
    let contacts = by_id(p, "contacts", "lastname").await;
    let companies = by_id(p, "companies", "domain").await;
    let primary: BTreeMap<String, String> = live(p, "contacts")
        .await
        .iter()
        .filter_map(|contact| {
            let ties = mirrored::ties_of(contact);
            let (_, company, _) = ties
                .into_iter()
                .find(|(_, _, label)| label == "contact_to_company")?;
            Some((contact["id"].as_str()?.to_owned(), company))
        })
        .collect();
    let mut seen: BTreeMap<(&str, i64), Value> = BTreeMap::new();
    for plural in times(1, kinds).into_keys() {
        for record in live(p, plural).await {
            seen.insert((plural, number(&record["id"])), record);
        }
    }
    for activity in &all {
        let kind = activity["id"].as_str().unwrap().rsplit('-').next().unwrap();
        let (plural, _) = content(kind, "");
        let record = seen.remove(&(plural, activity["engagement"].as_i64().unwrap()));
        let record = record.unwrap_or_else(|| panic!("none of its own: {activity:#}"));
        let (person, properties) = (activity["person"].as_str().unwrap(), &record["properties"]);
        assert!(
            properties.to_string().contains(&words(person)),
            "{record:#}"
        );
        if !matches!(kind, "meeting" | "task") {
            let at: chrono::DateTime<chrono::Utc> =
                activity["at"].as_str().unwrap().parse().unwrap();
            let is: chrono::DateTime<chrono::Utc> = properties["hs_timestamp"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(is, at, "{record:#}");
        }
        let tied = |to: &str| -> Vec<String> {
            let ties = mirrored::ties_of(&record).into_iter();
            ties.filter(|(of, ..)| of == to)
                .map(|(_, id, _)| id)
                .collect()
        };
        let to = tied("contacts");
        let n = person.rsplit('-').next().unwrap();
        assert_eq!(to.len(), 1, "{record:#}");
        assert_eq!(contacts[&to[0]], format!("Last{n}"), "{record:#}");
        let with = tied("companies");
        let its: Vec<String> = primary.get(&to[0]).cloned().into_iter().collect();
        assert_eq!(with, its, "{record:#}");
        assert!(with.iter().all(|id| companies.contains_key(id)));
    }
    assert!(seen.is_empty(), "of nobody: {seen:?}");
}

async fn by_id(p: &Planted, plural: &str, property: &str) -> BTreeMap<String, String> {
    live(p, plural)
        .await
        .iter()
        .map(|record| {
            let value = record["properties"][property].as_str().unwrap_or_default();
            (record["id"].as_str().unwrap().to_owned(), value.to_owned())
        })
        .collect()
}

/// Three activities, as a campaign has them.
pub(crate) const STEPS: [&str; 3] = ["email", "message", "call"];
const KINDS: [&str; 7] = [
    "email", "message", "request", "call", "meeting", "note", "task",
];

/// Exports people with their steps in bulk. Its requests once somebody confirmed.
async fn counted(p: &Planted, door: &Door, ids: &[String]) -> (Value, BTreeMap<String, usize>) {
    let begun = begin(door, people(ids)).await;
    let seq = last_request(p).await;
    let bulk = begun["bulk"].as_str().unwrap();
    let path = format!("/bulk-runs/{bulk}/confirm");
    door.ok("POST", &path, None).await;
    let over = shown_when(door, bulk, "everybody came to an end", is_over).await;
    assert_logged(p, door, ids, &STEPS).await;
    (over, requests_since(p, seq).await)
}

/// Few requests, of creates and reads alike.
#[tokio::test]
async fn activities_go_along_in_few_requests() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let (count, firms) = (400, 20);
    let all = leads("along", count, firms);
    let ids = ids(&all);
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    let (over, requests) = counted(&p, &door, &ids).await;
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    let sum: usize = requests.values().sum();
    println!("{sum} requests for {count} people with three activities each: {requests:#?}");
    // So few people do not fill the requests that look at a thousand engagements.
    assert!(sum * 10 <= count, "{sum} for {count}: {requests:#?}");
    let singles: Vec<&String> = requests
        .keys()
        .filter(|path| STEPS.iter().any(|k| path.ends_with(content(k, "").0)))
        .collect();
    assert!(singles.is_empty(), "{singles:?}");
}

/// Each kind beside each, a portal that ignores the associations of creates, and one with people of whom it
/// has the contact already.
#[tokio::test]
async fn all_kinds_are_on_their_contacts_and_companies() {
    let p = Planted::new().await;
    let setting = json!({"ignore_inline_associations": true});
    p.tenant.control("PATCH", "", Some(setting)).await;
    let all = leads("kinds", 30, 3);
    let ids = ids(&all);
    for lead in all.iter().step_by(2) {
        let n = lead["id"].as_str().unwrap().rsplit('-').next().unwrap();
        let there = json!({"email": lead["email"], "lastname": format!("Last{n}")});
        p.record("contacts", there, &[]).await;
    }
    let door = connect(&p).await;
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &KINDS)).await;
    let over = export_in_bulk(&door, people(&ids)).await;
    assert_eq!(over["counts"]["exported"], 30, "{over:#}");
    until_within("companies are put right", LONG, async || {
        let contacts = live(&p, "contacts").await;
        contacts.iter().all(|c| {
            let ties = mirrored::ties_of(c);
            ties.iter()
                .any(|(_, _, label)| label == "contact_to_company")
        })
    })
    .await;
    assert_logged(&p, &door, &ids, &KINDS).await;
}

/// A batch to which something happens: whose, and of which kind.
struct Struck {
    what: String,
    kind: &'static str,
    ids: Vec<String>,
}

/// What the people of a struck batch have: two that say the same at the same time, which stay two, and another.
fn twins(ids: &[String], kind: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for person in ids {
        for (twin, day) in [("a", 1), ("b", 1), ("c", 2)] {
            let (_, content) = content(kind, &words(person));
            all.push(json!({
                "id": format!("{person}-{twin}"), "version": 1, "person": person,
                "at": format!("2026-01-0{day}T08:30:00.250Z"), "content": content,
            }));
        }
    }
    all
}

/// Each fault strikes a create of a batch of its own.
async fn once_whatever_breaks(world: &str, setting: Value) {
    let p = Planted::new().await;
    p.tenant.control("PATCH", "", Some(setting)).await;
    let door = connect(&p).await;
    let mut rules: Vec<(&str, Value)> = faults(true);
    rules.push((
        "a row is missing",
        json!({"effect": {"leave_out": {"every": 3}}}),
    ));
    rules.push((
        "a row is refused",
        json!({"effect": {"error_per_input": {"category": "VALIDATION_ERROR", "every": 5}}}),
    ));
    let mut want = times(0, &[]);
    // Whether there are unique properties is found out once, and not by many at a time.
    let mut first: Vec<String> = Vec::new();
    for kind in KINDS {
        let leads = leads(&format!("{world}first{kind}"), 2, 1);
        let ids = ids(&leads);
        door.people(json!(leads)).await;
        push_all(&door, &twins(&ids, kind)).await;
        *want.entry(content(kind, "").0).or_default() += 6;
        first.extend(ids);
    }
    export_in_bulk(&door, people(&first)).await;
    logged(&door, &first).await;
    let mut runs: Vec<Struck> = Vec::new();
    for (n, (what, fault)) in rules.iter().enumerate() {
        for kind in KINDS {
            // All kinds go the same way: one is enough for each fault, as HubSpot's limits are few requests.
            let lost = fault["effect"] == "drop" && fault["when"] == "after";
            if kind != "email" && !lost && !what.contains("row is missing") {
                continue;
            }
            let name = format!("{world}{n}{kind}");
            let leads = leads(&name, 2, 1);
            let ids = ids(&leads);
            door.people(json!(leads)).await;
            push_all(&door, &twins(&ids, kind)).await;
            let plural = content(kind, "").0;
            let mut rule = fault.clone();
            rule["method"] = json!("POST");
            rule["path"] = json!(format!("/crm/objects/2026-09/{plural}/batch/create$"));
            rule["body"] = json!(words(&ids[0]));
            rule["times"] = json!(1);
            p.tenant.control("POST", "faults", Some(rule)).await;
            let what = format!("{what} ({kind})");
            runs.push(Struck { what, kind, ids });
        }
    }
    let over = runs
        .iter()
        .map(|run| export_in_bulk(&door, people(&run.ids)));
    for (run, over) in runs.iter().zip(join_all(over).await) {
        assert_eq!(over["counts"]["exported"], 2, "{}: {over:#}", run.what);
    }
    let mut engagements: BTreeSet<String> = BTreeSet::new();
    for run in &runs {
        let all = logged(&door, &run.ids).await;
        assert_eq!(all.len(), 6, "{}", run.what);
        for activity in all {
            let state = &activity["outcome"]["state"];
            assert_eq!(state, "exported", "{}: {activity:#}", run.what);
            let of = format!("{} {}", content(run.kind, "").0, activity["engagement"]);
            assert!(
                engagements.insert(of),
                "{}: that of two: {activity:#}",
                run.what
            );
        }
        assert_closed(&door, &run.ids).await;
        *want.entry(content(run.kind, "").0).or_default() += 6;
    }
    let struck = p.tenant.control("GET", "faults", None).await;
    let times = struck.to_string().matches("\"struck\":1").count();
    assert_eq!(times, runs.len(), "{struck:#}");
    landed(&p).await;
    assert_eq!(count(&p).await, want);
}

#[tokio::test]
async fn batches_that_break_leave_each_once_where_unique_properties_are_to_be_had() {
    once_whatever_breaks("keys", json!({"search_lag_ms": 1_000})).await;
}

#[tokio::test]
async fn batches_that_break_leave_each_once_where_they_are_not() {
    let refused = json!({"search_lag_ms": 1_000, "engagement_unique_keys": "refused"});
    once_whatever_breaks("nokeys", refused).await;
}

/// A batch whose answer was lost is not sent again, nor are its rows one by one.
#[tokio::test]
async fn what_landed_is_found_in_few_requests() {
    let p = Planted::new().await;
    let setting = json!({"engagement_unique_keys": "refused"});
    p.tenant.control("PATCH", "", Some(setting)).await;
    let door = connect(&p).await;
    let all = leads("lost", 100, 10);
    let ids = ids(&all);
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    let rule = json!({"method": "POST", "path": "/batch/create$", "body": "Of lost-7.", "times": 3,
        "when": "after", "effect": "drop"});
    p.tenant.control("POST", "faults", Some(rule)).await;
    let (over, requests) = counted(&p, &door, &ids).await;
    assert_eq!(over["counts"]["exported"], 100, "{over:#}");
    let sum: usize = requests.values().sum();
    assert!(sum <= 40, "{sum}: {requests:#?}");
}

/// What is logged goes by settings that were saved while the batch was under way, and takes no more requests.
#[tokio::test]
async fn settings_that_are_saved_meanwhile_hold_for_the_rest() {
    let p = Planted::new().await;
    let setting = json!({"engagement_unique_keys": "refused"});
    p.tenant.control("PATCH", "", Some(setting)).await;
    let door = connect(&p).await;
    let all = leads("newer", 100, 10);
    let ids = ids(&all);
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    let slow =
        json!({"path": "/contacts/batch/create$", "times": 1, "effect": {"delay": {"ms": 4_000}}});
    p.tenant.control("POST", "faults", Some(slow)).await;
    let save = async {
        until("a batch is under way", async || {
            let rules = p.tenant.control("GET", "faults", None).await;
            rules["faults"][0]["struck"] == 1
        })
        .await;
        change_settings(&door, |settings| {
            settings["activities"]["label"] = json!("[Newer]");
        })
        .await;
    };
    let ((over, requests), ()) = tokio::join!(counted(&p, &door, &ids), save);
    assert_eq!(over["counts"]["exported"], 100, "{over:#}");
    let mut found = Vec::new();
    for kind in STEPS {
        found.extend(live(&p, content(kind, "").0).await);
    }
    let found = json!(found).to_string();
    assert!(
        found.contains("[Newer]") && !found.contains("[Artisan]"),
        "{found}"
    );
    let sum: usize = requests.values().sum();
    assert!(sum <= 40, "{sum}: {requests:#?}");
}

#[tokio::test]
async fn single_exports_beside_it_leave_each_activity_once() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let (count, firms) = (120, 12);
    let all = leads("both", count, firms);
    let ids = ids(&all);
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    let begun = begin(&door, people(&ids)).await;
    let bulk = begun["bulk"].as_str().unwrap();
    let singles = async {
        let mut asked = Vec::new();
        for id in ids.iter().step_by(3) {
            asked.push(ask(&door, id).await);
        }
        for request in asked {
            assert_eq!(ended(&door, &request).await["state"], "exported");
        }
    };
    let in_bulk = async {
        let path = format!("/bulk-runs/{bulk}/confirm");
        door.ok("POST", &path, None).await;
        shown_when(&door, bulk, "everybody came to an end", is_over).await
    };
    let (over, ()) = tokio::join!(in_bulk, singles);
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    assert_eq!(live(&p, "contacts").await.len(), count);
    assert_logged(&p, &door, &ids, &STEPS).await;
}

/// People and kills; as many kills as the issue asks for with `SOAK=full`.
fn size() -> (usize, u64) {
    match std::env::var("SOAK").as_deref() {
        Ok("full") => (2_000, 20),
        _ => (400, 3),
    }
}

/// As short as in the stack that the others share.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("EXPORT_SETTLE_SECONDS", "8"),
    ("EXPORT_RECHECK_SECONDS", "3"),
];

async fn batches_sent(p: &Planted) -> usize {
    let all = p.tenant.requests().await;
    let is = |r: &&Value| {
        r["path"]
            .as_str()
            .unwrap_or_default()
            .ends_with("/batch/create")
    };
    all.iter().filter(is).count()
}

/// A worker that is killed again and again loses nobody and doubles nothing; one that is cancelled has begun
/// with some and not with others, and there is nothing between.
#[tokio::test(flavor = "multi_thread")]
async fn killed_many_times_and_cancelled_once_the_counts_are_true() {
    let mut stack = OwnStack::start(1, ENVIRONMENT).await;
    let api = Api::new(stack.addresses()).unwrap();
    let p = Planted::on(&api, json!({"engagement_unique_keys": "refused"})).await;
    let door = connect(&p).await;
    let (count, kills) = size();
    let all = leads("kill", count, count / 20);
    let ids = ids(&all);
    for some in all.chunks(A_CALL) {
        door.people(json!(some)).await;
    }
    push_all(&door, &steps(&ids, &STEPS)).await;
    let slow = json!({"path": "/batch/create$", "when": "after", "effect": {"delay": {"ms": 500}}});
    p.tenant.control("POST", "faults", Some(slow)).await;
    let begun = begin(&door, people(&ids)).await;
    let bulk = begun["bulk"].as_str().unwrap().to_owned();
    door.ok("POST", &format!("/bulk-runs/{bulk}/confirm"), None)
        .await;
    for kill in 1..=kills {
        let before = batches_sent(&p).await;
        until_within("more batches are on their way", LONG, async || {
            batches_sent(&p).await >= before + 4 || show(&door, &bulk).await["state"] == "done"
        })
        .await;
        let now = show(&door, &bulk).await;
        println!("kill {kill}: {}", now["counts"]);
        stack.kill_hard("worker-0").unwrap();
        stack.start_worker(0).unwrap();
        stack.wait_worker(0).await.unwrap();
    }
    p.tenant.control("DELETE", "faults", None).await;
    let over = shown_when(&door, &bulk, "everybody came to an end", is_over).await;
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    assert_eq!(over["counts"]["not_begun"], 0);
    assert_one_outcome_each(&door, &ids).await;
    assert_logged(&p, &door, &ids, &STEPS).await;

    let p = Planted::on(&api, json!({})).await;
    let door = connect(&p).await;
    let all = leads("cut", 600, 20);
    let ids = crate::e1_bulk::ids(&all);
    door.people(json!(all)).await;
    push_all(&door, &steps(&ids, &STEPS)).await;
    let bulk = &in_the_middle(&p, &door, &ids).await;
    door.ok("POST", &format!("/bulk-runs/{bulk}/cancel"), None)
        .await;
    let over = shown_when(&door, bulk, "everybody came to an end", is_over).await;
    assert_eq!(over["state"], "cancelled");
    let number = |name: &str| over["counts"][name].as_u64().unwrap();
    assert!(number("not_begun") > 0, "{over:#}");
    assert_eq!(number("begun") + number("not_begun"), 600, "{over:#}");
    assert_eq!(number("exported"), number("begun"), "{over:#}");
    let exported = exported(&door).await;
    assert_eq!(exported.len() as u64, number("exported"));
    let (begun, others): (Vec<String>, Vec<String>) =
        ids.into_iter().partition(|id| exported.contains(id));
    assert_logged(&p, &door, &begun, &STEPS).await;
    for person in &others {
        for activity in listed(&door, person).await {
            let reason = &activity["outcome"]["reason"];
            assert_eq!(reason, "person_not_exported", "{activity:#}");
        }
    }
}

/// The people with a request that ended exported.
async fn exported(door: &Door) -> BTreeSet<String> {
    requests(door)
        .await
        .into_iter()
        .filter(|(_, state)| state == "exported")
        .map(|(person, _)| person)
        .collect()
}

/// Each request's person, and how it stands.
async fn requests(door: &Door) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut path = "/exports?limit=1000".to_owned();
    loop {
        let page = door.ok("GET", &path, None).await;
        for item in page["items"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            all.push((text(&item["person"]), text(&item["outcome"]["state"])));
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/exports?limit=1000&after={next}"),
            None => return all,
        }
    }
}

async fn assert_one_outcome_each(door: &Door, ids: &[String]) {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (person, state) in requests(door).await {
        all.entry(person).or_default().push(state);
    }
    for id in ids {
        assert_eq!(all[id], ["exported"], "{id}");
    }
}
