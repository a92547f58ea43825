//! X1, X2, E8: whatever breaks on the way, each activity is one engagement.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{
    activities::{listed, push, settle},
    door::Door,
    exports::{entries, export, live},
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::{Value, json};

use crate::x1_write_faults::faults;

/// Each kind, and the plural of what it becomes.
pub(crate) fn kinds() -> [(&'static str, &'static str, Value); 7] {
    [
        (
            "email",
            "emails",
            json!({"email": {"direction": "outgoing", "subject": "S", "text": "T"}}),
        ),
        (
            "message",
            "communications",
            json!({"linkedin_message": {"direction": "outgoing", "text": "T"}}),
        ),
        (
            "request",
            "communications",
            json!({"linkedin_connection_request": {"note": "N"}}),
        ),
        (
            "call",
            "calls",
            json!({"call": {"direction": "incoming", "title": "C"}}),
        ),
        (
            "meeting",
            "meetings",
            json!({"meeting": {"title": "M", "start": "2030-01-01T10:00:00Z"}}),
        ),
        ("note", "notes", json!({"note": {"text": "T"}})),
        ("task", "tasks", json!({"task": {"title": "T"}})),
    ]
}

/// A portal with people in HubSpot.
async fn ready(setting: Value, people: &[String]) -> (Planted, Door) {
    let p = Planted::new().await;
    p.tenant.control("PATCH", "", Some(setting)).await;
    exported(p, people).await
}

/// Connects a portal, and exports people to it.
pub(crate) async fn exported(p: Planted, people: &[String]) -> (Planted, Door) {
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted")
    })
    .await;
    let items: Vec<Value> = people
        .iter()
        .map(|id| json!({"id": id, "version": 1, "email": format!("{id}@x1-activities.com")}))
        .collect();
    door.people(json!(items)).await;
    for id in people {
        let done = export(&door, id).await;
        assert_eq!(done["state"], "exported", "{done}");
    }
    (p, door)
}

async fn strike(p: &Planted, plural: &str, fault: &Value) {
    let mut rule = fault.clone();
    rule["method"] = json!("POST");
    rule["path"] = json!(format!("/crm/objects/2026-09/{plural}$"));
    rule["times"] = json!(1);
    p.tenant.control("POST", "faults", Some(rule)).await;
}

/// Somebody for each kind, so that none waits for another.
fn people() -> Vec<String> {
    kinds()
        .iter()
        .map(|(kind, ..)| format!("x1-{kind}"))
        .collect()
}

const ENGAGEMENTS: [&str; 6] = [
    "emails",
    "communications",
    "calls",
    "meetings",
    "notes",
    "tasks",
];

/// Waits until what was to land late has.
pub(crate) async fn landed(p: &Planted) {
    until("what comes late has landed", async || {
        p.tenant.control("GET", "counters", None).await["late"] == 0
    })
    .await;
}

async fn settled(door: &Door) -> Vec<Value> {
    let mut all = Vec::new();
    for person in people() {
        all.extend(settle(door, &person).await);
    }
    all
}

pub(crate) async fn count(p: &Planted) -> BTreeMap<&'static str, usize> {
    let mut found = BTreeMap::new();
    for plural in ENGAGEMENTS {
        found.insert(plural, live(p, plural).await.len());
    }
    found
}

pub(crate) fn times(n: usize) -> BTreeMap<&'static str, usize> {
    let mut want = BTreeMap::new();
    for (_, plural, _) in kinds() {
        *want.entry(plural).or_default() += n;
    }
    want
}

/// Each fault strikes the first create of each kind.
async fn once_whatever_breaks(setting: Value) {
    let (p, door) = ready(setting, &people()).await;
    for (n, (what, fault)) in faults(false).iter().enumerate() {
        let mut items = Vec::new();
        for ((kind, plural, content), person) in kinds().iter().zip(people()) {
            // Each of these stops the whole portal for ten seconds.
            if *what != "429" || *kind == "note" {
                strike(&p, plural, fault).await;
            }
            items.push(
                json!({"id": format!("{kind}-{n}"), "version": 1, "person": person,
                "at": format!("2026-01-05T08:30:{n:02}.250Z"), "content": content}),
            );
        }
        push(&door, &items).await;
        let all = settled(&door).await;
        assert!(
            all.iter().all(|a| a["outcome"]["state"] == "exported"),
            "{what}: {all:#?}"
        );
        let rules = p.tenant.control("GET", "faults", None).await;
        p.tenant.control("DELETE", "faults", None).await;
        assert!(
            !rules.to_string().contains("\"struck\":0"),
            "{what}: {rules}"
        );
        for person in people() {
            assert!(entries(&door, &person, "open").await.is_empty(), "{what}");
        }
        landed(&p).await;
        assert_eq!(count(&p).await, times(n + 1), "{what}");
    }
    assert_eq!(count(&p).await, times(faults(false).len()));
}

#[tokio::test]
async fn each_kind_once_where_unique_properties_are_to_be_had() {
    once_whatever_breaks(json!({"search_lag_ms": 1_000})).await;
}

#[tokio::test]
async fn each_kind_once_where_they_are_not() {
    once_whatever_breaks(json!({"search_lag_ms": 1_000, "engagement_unique_keys": "refused"}))
        .await;
}

#[tokio::test]
async fn two_that_say_the_same_stay_two() {
    let setting = json!({"search_lag_ms": 1_000, "engagement_unique_keys": "ignored"});
    let (p, door) = ready(setting, &people()).await;
    let when = [json!("after"), json!({"later_ms": 4_000}), json!("before")];
    for (n, when) in when.iter().enumerate() {
        let mut items = Vec::new();
        for ((kind, plural, content), person) in kinds().iter().zip(people()) {
            strike(&p, plural, &json!({"when": when, "effect": "drop"})).await;
            for twin in ["a", "b"] {
                items.push(
                    json!({"id": format!("{kind}-{n}-{twin}"), "version": 1, "person": person,
                    "at": format!("2026-01-0{}T08:30:00Z", n + 1), "content": content}),
                );
            }
        }
        push(&door, &items).await;
        let all = settled(&door).await;
        assert!(
            all.iter().all(|a| a["outcome"]["state"] == "exported"),
            "{all:#?}"
        );
        p.tenant.control("DELETE", "faults", None).await;
    }
    landed(&p).await;
    assert_eq!(count(&p).await, times(2 * when.len()));
    let all = settled(&door).await;
    let ids: BTreeSet<String> = all
        .iter()
        .map(|a| format!("{} {}", a["kind"], a["engagement"]))
        .collect();
    // Messages and requests are of one type, and no id is there twice in it.
    assert_eq!(ids.len(), all.len(), "each is its own: {all:#?}");
}

#[tokio::test]
async fn a_merge_of_contacts_loses_and_doubles_none() {
    let people = ["one".to_owned(), "two".to_owned()];
    let (p, door) = ready(json!({"engagement_unique_keys": "refused"}), &people).await;
    let note = |id: &str, person: &str, n: u32| {
        json!({"id": format!("{id}-{n}"), "version": 1, "person": person, "at": "2026-01-05T08:30:00Z",
            "content": {"note": {"text": format!("{id} {n}")}}})
    };
    push(&door, &[note("one", "one", 1), note("two", "two", 1)]).await;
    settle(&door, "one").await;
    settle(&door, "two").await;
    let contacts = live(&p, "contacts").await;
    let body = json!({"primaryObjectId": contacts[0]["id"], "objectIdToMerge": contacts[1]["id"]});
    p.hubspot("POST", "/crm/v3/objects/contacts/merge", Some(body))
        .await;
    for fault in [
        json!({"when": "after", "effect": "drop"}),
        json!({"when": "before", "effect": "drop"}),
    ] {
        strike(&p, "notes", &fault).await;
    }
    push(&door, &[note("one", "one", 2), note("two", "two", 2)]).await;
    for person in ["one", "two"] {
        let all = settle(&door, person).await;
        assert!(
            all.iter().all(|a| a["outcome"]["state"] == "exported"),
            "{all:#?}"
        );
    }
    let merged: Vec<Value> = live(&p, "contacts").await;
    assert_eq!(merged.len(), 1);
    let notes = live(&p, "notes").await;
    assert_eq!(notes.len(), 4);
    for note in &notes {
        let to: Vec<String> = e2e::mirrored::ties_of(note)
            .into_iter()
            .filter(|(to, ..)| to == "contacts")
            .map(|(_, id, _)| id)
            .collect();
        assert_eq!(to, [merged[0]["id"].as_str().unwrap()], "{note}");
    }
}

#[tokio::test]
async fn an_edit_whose_answer_is_lost_is_written() {
    let people = ["edit".to_owned()];
    let (p, door) = ready(json!({}), &people).await;
    let note = |version: u32| {
        json!([{"id": "n", "version": version, "person": "edit", "at": "2026-01-05T08:30:00Z",
            "content": {"note": {"text": format!("version {version}")}}}])
    };
    push(&door, note(1).as_array().unwrap()).await;
    settle(&door, "edit").await;
    for (n, when) in [json!("before"), json!("after"), json!({"later_ms": 3_000})]
        .into_iter()
        .enumerate()
    {
        let version = u32::try_from(n).unwrap() + 2;
        let rule = json!({"method": "PATCH", "path": "/crm/objects/2026-09/notes/", "times": 1, "when": when, "effect": "drop"});
        p.tenant.control("POST", "faults", Some(rule)).await;
        push(&door, note(version).as_array().unwrap()).await;
        until("the edit is written", async || {
            let all = listed(&door, "edit").await;
            all[0]["version"] == version && all[0]["outcome"]["state"] == "exported"
        })
        .await;
        let notes = live(&p, "notes").await;
        assert_eq!(notes.len(), 1);
        let body = notes[0]["properties"]["hs_note_body"].as_str().unwrap();
        assert!(
            body.contains(&format!("version {version}")),
            "{when:?}: {body}"
        );
        p.tenant.control("DELETE", "faults", None).await;
    }
}

/// An activity of which two versions say the same at the same time.
struct Detail {
    kind: &'static str,
    plural: &'static str,
    contents: [Value; 2],
    /// What differs in HubSpot, and what it is in the end.
    property: &'static str,
    wanted: &'static str,
}

fn details() -> [Detail; 4] {
    let of = |kind, plural, contents, property, wanted| Detail {
        kind,
        plural,
        contents,
        property,
        wanted,
    };
    let email = |to: &str| json!({"email": {"direction": "outgoing", "subject": "S", "text": "T", "to": [{"email": to}]}});
    let call =
        |notes: &str| json!({"call": {"direction": "incoming", "title": "C", "notes": notes}});
    let meeting = |place: &str| json!({"meeting": {"title": "M", "start": "2030-01-01T10:00:00Z", "location": place}});
    let task = |status: &str| json!({"task": {"title": "T", "status": status}});
    let emails = [email("one@x1-details.com"), email("two@x1-details.com")];
    let calls = [call("Old"), call("New")];
    let meetings = [meeting("Ulm"), meeting("Bonn")];
    let tasks = [task("not_started"), task("completed")];
    [
        of(
            "email",
            "emails",
            emails,
            "hs_email_to_email",
            "two@x1-details.com",
        ),
        of("call", "calls", calls, "hs_call_body", "<p>New</p>"),
        of(
            "meeting",
            "meetings",
            meetings,
            "hs_meeting_location",
            "Bonn",
        ),
        of("task", "tasks", tasks, "hs_task_status", "COMPLETED"),
    ]
}

async fn say_details(door: &Door, version: usize) {
    let items = details().map(|of| {
        json!({"id": of.kind, "version": version, "person": format!("details-{}", of.kind),
            "at": "2026-01-05T08:30:00Z", "content": of.contents[version - 1]})
    });
    push(door, &items).await;
}

async fn assert_details(p: &Planted, door: &Door, what: &str) {
    let mut wrong = Vec::new();
    for of in details() {
        let person = format!("details-{}", of.kind);
        until("it is written", async || {
            let all = listed(door, &person).await;
            all[0]["version"] == 2 && all[0]["outcome"]["state"] == "exported"
        })
        .await;
        let found = live(p, of.plural).await;
        assert_eq!(found.len(), 1, "{what}: {}", of.kind);
        let is = &found[0]["properties"][of.property];
        if is != of.wanted {
            wrong.push(format!("{what}: {} is {is}", of.property));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What an edit changes may be nothing by which one engagement is told from another.
#[tokio::test]
async fn an_edit_of_details_is_written_whatever_breaks() {
    let people = details().map(|of| format!("details-{}", of.kind));
    for (what, version, when) in [
        ("the edit fails before it took effect", 2, "before"),
        ("the edit fails after it took effect", 2, "after"),
        (
            "the create's answer is lost, and the edit comes in",
            1,
            "after",
        ),
    ] {
        let (p, door) = ready(json!({"search_lag_ms": 1_000}), &people).await;
        if version == 2 {
            say_details(&door, 1).await;
            for person in &people {
                settle(&door, person).await;
            }
        }
        for of in details() {
            let (method, end) = if version == 2 {
                ("PATCH", "/")
            } else {
                ("POST", "$")
            };
            let path = format!("/crm/objects/2026-09/{}{end}", of.plural);
            let rule =
                json!({"method": method, "path": path, "times": 1, "when": when, "effect": "drop"});
            p.tenant.control("POST", "faults", Some(rule)).await;
        }
        say_details(&door, version).await;
        until("each was struck", async || {
            let rules = p.tenant.control("GET", "faults", None).await;
            let mut rules = rules["faults"].as_array().unwrap().iter();
            rules.all(|rule| rule["struck"] == 1)
        })
        .await;
        if version == 1 {
            say_details(&door, 2).await;
        }
        assert_details(&p, &door, what).await;
    }
}
