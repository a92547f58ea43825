//! E8: activities of the app on HubSpot's timeline.

use std::collections::BTreeSet;

use e2e::{
    Tenant,
    activities::{listed, logged, push, settle},
    command_line::CommandLine,
    door::Door,
    exports::{ask, ended, entries, export, live},
    mirrored,
    planted::{Planted, change_settings, number},
    profiles::until,
    shared,
};
use serde_json::{Value, json};

const AT: &str = "2026-01-05T08:30:00.250Z";

/// One of each kind.
fn each_kind(person: &str) -> Vec<Value> {
    let contents = [
        json!({"email": {"direction": "outgoing", "subject": "Hello", "html": "<p>Hi<script>x</script></p>",
            "from": {"email": "rep@e8.com", "name": "Rep One"}, "to": [{"email": "lead@e8.com"}]}}),
        json!({"linkedin_message": {"direction": "incoming", "text": "שלום 👋🏽"}}),
        json!({"linkedin_connection_request": {"note": "Let us meet"}}),
        json!({"call": {"direction": "outgoing", "title": "Intro", "duration_ms": 61000, "outcome": "connected",
            "recording_url": "https://r.example/1", "notes": "They asked for prices"}}),
        json!({"meeting": {"title": "Demo", "start": "2030-01-01T10:00:00Z", "attendees": [{"email": "lead@e8.com"}]}}),
        json!({"note": {"text": "Likes tea"}}),
        json!({"task": {"title": "Send prices", "due": "2030-02-01T10:00:00Z", "priority": "high"}}),
    ];
    contents
        .into_iter()
        .enumerate()
        .map(|(n, content)| {
            json!({"id": format!("{person}-{n}"), "version": 1, "person": person, "member": "rep", "at": AT,
                "content": content})
        })
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

async fn timeline(p: &Planted) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    for plural in ENGAGEMENTS {
        all.extend(live(p, plural).await.into_iter().map(|r| (plural, r)));
    }
    all
}

/// A person in HubSpot, with a company and an owner for the member `rep`; the fallback owner.
async fn ready(p: &Planted) -> (Door, i64, i64) {
    let mut owners = Vec::new();
    for email in ["rep@e8.com", "fallback@e8.com"] {
        let made = p
            .tenant
            .control("POST", "owners", Some(json!({"email": email})))
            .await;
        owners.push(number(&made["id"]));
    }
    let door = p.connect().await;
    door.ok(
        "POST",
        "/members",
        Some(json!({"items": [{"id": "rep", "version": 1, "email": "rep@e8.com"}]})),
    )
    .await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
        settings["owners"]["fallback_owner"] = json!(owners[1]);
    })
    .await;
    door.people(json!([{"id": "lead", "version": 1, "email": "lead@e8.com"}]))
        .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    (door, owners[0], owners[1])
}

#[tokio::test]
async fn they_come_in_whole_and_each_has_an_outcome() {
    let tenant = Tenant::new(&shared(), json!({"contacts": 0})).await;
    let door = Door::of_installation(&tenant);
    door.ok("POST", "/tokens", Some(json!({"name": "x"}))).await;
    door.people(json!([{"id": "lead", "version": 1}])).await;
    let bad = [
        (json!({"id": "jane@x.example"}), "HS-2201", "id"),
        (json!({"person": "nobody"}), "HS-2219", "person"),
        (json!({"at": "1969-12-31T00:00:00Z"}), "HS-2204", "at"),
        (json!({"at": "2999-01-01T00:00:00Z"}), "HS-2204", "at"),
        (
            json!({"content": {"note": {"text": " "}}}),
            "HS-2204",
            "content.note.text",
        ),
        (
            json!({"content": {"call": {"direction": "outgoing", "recording_url": "http://x.example"}}}),
            "HS-2204",
            "content.call.recording_url",
        ),
        (
            json!({"content": {"email": {"direction": "outgoing", "to": [{"email": "secret"}]}}}),
            "HS-2202",
            "content.email.to[0].email",
        ),
        (
            json!({"content": {"email": {"direction": "sideways"}}}),
            "HS-2216",
            "content.email.direction",
        ),
        (json!({"content": {"fax": {}}}), "HS-2216", "content"),
        (
            json!({"content": {"note": {"text": "x", "colour": "red"}}}),
            "HS-2216",
            "content.note.colour",
        ),
        (json!({"deleted": true}), "HS-2221", "content"),
        (json!({"content": null}), "HS-2221", "content"),
    ];
    let good = json!({"id": "a1", "version": 1, "person": "lead", "at": AT, "content": {"note": {"text": "x"}}});
    let mut items: Vec<Value> = bad
        .iter()
        .map(|(over, ..)| {
            let mut item = good.clone();
            for (name, value) in over.as_object().unwrap() {
                item[name] = value.clone();
            }
            item
        })
        .collect();
    items.push(good.clone());
    let answer = door
        .ok("POST", "/activities", Some(json!({"items": items})))
        .await;
    for ((over, code, field), item) in bad.iter().zip(answer["items"].as_array().unwrap()) {
        assert_eq!(item["outcome"], "refused", "{over}: {item}");
        assert_eq!(item["problem"]["code"], *code, "{over}: {item}");
        let place = item["problem"]["field"].as_str().unwrap();
        assert!(place.starts_with(field), "{over}: {item}");
        assert!(!item.to_string().contains("secret"), "{item}");
    }
    assert_eq!(answer["counts"]["created"], 1);
    // Another content of the same version, another kind, an older version, a deletion, and late ones.
    let edit = |over: Value| {
        let mut item = good.clone();
        for (name, value) in over.as_object().unwrap() {
            item[name] = value.clone();
        }
        if over["deleted"] == true {
            item.as_object_mut()
                .unwrap()
                .retain(|name, _| ["id", "version", "person", "deleted"].contains(&name.as_str()));
        }
        item
    };
    for (item, outcome, code) in [
        (edit(json!({})), "unchanged", None),
        (
            edit(json!({"content": {"note": {"text": "y"}}})),
            "refused",
            Some("HS-2207"),
        ),
        (
            edit(json!({"version": 3, "content": {"task": {"title": "y"}}})),
            "refused",
            Some("HS-2220"),
        ),
        (
            edit(json!({"version": 3, "content": {"note": {"text": "y"}}})),
            "updated",
            None,
        ),
        (
            edit(json!({"version": 2, "content": {"note": {"text": "z"}}})),
            "stale",
            None,
        ),
        (
            edit(json!({"version": 4, "deleted": true})),
            "updated",
            None,
        ),
        (edit(json!({"version": 3})), "stale", None),
    ] {
        let answer = push(&door, std::slice::from_ref(&item)).await;
        assert_eq!(answer[0]["outcome"], outcome, "{item}: {answer:?}");
        assert_eq!(answer[0]["problem"]["code"].as_str(), code, "{item}");
    }
    let all = listed(&door, "lead").await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["deleted"], &all[0]["version"]),
        (&json!(true), &json!(4))
    );
    let unknown = door.call("GET", "/people/nobody/activities", None).await;
    assert_eq!((unknown.status, unknown.code()), (404, "HS-4009"));
    // Many, by pages.
    let many: Vec<Value> = (0..150)
        .map(|n| edit(json!({"id": format!("many-{n:03}")})))
        .collect();
    push(&door, &many).await;
    let first = door
        .ok("GET", "/people/lead/activities?limit=100", None)
        .await;
    let next = first["next"].as_str().unwrap();
    let rest = door
        .ok(
            "GET",
            &format!("/people/lead/activities?limit=100&after={next}"),
            None,
        )
        .await;
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&rest)), (100, 51));
    assert_eq!(first["items"][5]["outcome"]["state"], "waiting");
    // From a file.
    let door = Door::of(&tenant).await;
    let line = CommandLine::new(&tenant, &door);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("activities.jsonl");
    let text = format!("{}\n{{\"id\":\"f2\"}}\n", edit(json!({"id": "f1"})));
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let sent = line.run(&["activities", "push", path]).await;
    assert_eq!(sent.code, 1, "{}", sent.err);
    assert!(sent.out.contains("1 created"), "{}", sent.out);
    assert!(sent.err.starts_with("line 2: HS-2216"), "{}", sent.err);
    let shown = line.run(&["activities", "list", "lead"]).await;
    assert_eq!(shown.out.lines().count(), 153, "{}", shown.err);
    assert!(
        shown
            .out
            .contains("f1\t1\tnote\t2026-01-05T08:30:00Z\twaiting\tnot_connected")
    );
    // With the person they go.
    door.ok("POST", "/erasures", Some(json!({"person": "lead"})))
        .await;
    let gone = door.call("GET", "/people/lead/activities", None).await;
    assert_eq!(gone.status, 404);
    let again = push(&door, &[good]).await;
    assert_eq!(again[0]["outcome"], "erased");
}

#[tokio::test]
async fn each_kind_is_on_the_timeline_at_its_time_with_its_owner() {
    let p = Planted::new().await;
    let (door, rep, fallback) = ready(&p).await;
    let mut items = each_kind("lead");
    let last = items.last_mut().unwrap();
    last["member"] = json!("nobody");
    push(&door, &items).await;
    let all = settle(&door, "lead").await;
    assert!(
        all.iter().all(|a| a["outcome"]["state"] == "exported"),
        "{all:#?}"
    );
    let found = timeline(&p).await;
    assert_eq!(found.len(), 7);
    let contact = live(&p, "contacts").await[0]["id"].clone();
    let company = live(&p, "companies").await[0]["id"].clone();
    for (plural, record) in &found {
        let ties: BTreeSet<(String, String)> = mirrored::ties_of(record)
            .into_iter()
            .map(|(to, id, _)| (to, id))
            .collect();
        for (to, id) in [("contacts", &contact), ("companies", &company)] {
            assert!(
                ties.contains(&(to.to_owned(), id.as_str().unwrap().to_owned())),
                "{plural}: {ties:?}"
            );
        }
        let owner = if *plural == "tasks" { fallback } else { rep };
        let properties = &record["properties"];
        assert_eq!(number(&properties["hubspot_owner_id"]), owner, "{plural}");
        let at = match *plural {
            "meetings" => "2030-01-01T10:00:00.000Z",
            "tasks" => "2030-02-01T10:00:00.000Z",
            _ => AT,
        };
        assert_eq!(properties["hs_timestamp"], at, "{plural}");
    }
    let of =
        |plural: &str| found.iter().find(|(p, _)| *p == plural).unwrap().1["properties"].clone();
    assert_eq!(of("emails")["hs_email_subject"], "[Artisan] Hello");
    assert_eq!(of("emails")["hs_email_html"], "<p>Hi</p>");
    assert_eq!(of("emails")["hs_email_to_email"], "lead@e8.com");
    assert!(
        of("calls")["hs_call_body"]
            .as_str()
            .unwrap()
            .contains("https://r.example/1")
    );
    assert_eq!(of("calls")["hs_call_recording_url"], "https://r.example/1");
    assert_eq!(
        of("notes")["hs_note_body"],
        "<p>[Artisan]</p><p>Likes tea</p>"
    );
    let said: BTreeSet<String> = found
        .iter()
        .filter(|(plural, _)| *plural == "communications")
        .map(|(_, r)| {
            r["properties"]["hs_communication_body"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(
        said.iter()
            .any(|b| b.contains("LinkedIn message received") && b.contains("שלום 👋🏽")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|b| b.contains("LinkedIn connection request sent")),
        "{said:?}"
    );
    // The journal has each, and no word of them.
    let done = entries(&door, "lead", "done").await;
    let of_activities: Vec<&Value> = done
        .iter()
        .filter(|e| e["about"]["kind"] == "activity")
        .collect();
    assert_eq!(of_activities.len(), 7, "{done:#?}");
    let journal = json!(of_activities).to_string();
    for word in ["Likes tea", "Hello", "lead@e8.com", "prices"] {
        assert!(!journal.contains(word), "{word}");
    }
    // Sent again nothing is written, and an edit writes the same records.
    let before = e2e::exports::writes(&p).await;
    push(&door, &items).await;
    settle(&door, "lead").await;
    assert_eq!(e2e::exports::writes(&p).await, before);
    for item in &mut items {
        item["version"] = json!(2);
    }
    items[5]["content"] = json!({"note": {"text": "Likes coffee"}});
    items[2]["content"] =
        json!({"linkedin_connection_request": {"note": "Let us meet", "accepted": true}});
    push(&door, &items).await;
    let edited = settle(&door, "lead").await;
    assert!(edited.iter().all(|a| a["version"] == 2), "{edited:#?}");
    let after = timeline(&p).await;
    assert_eq!(after.len(), 7);
    let bodies = json!(after).to_string();
    assert!(bodies.contains("Likes coffee") && !bodies.contains("Likes tea"));
    assert!(bodies.contains("LinkedIn connection request accepted"));
    for (a, b) in all.iter().zip(&edited) {
        assert_eq!(a["engagement"], b["engagement"]);
    }
}

#[tokio::test]
async fn they_wait_for_whom_policy_holds_back_and_follow_at_their_times() {
    let p = Planted::new().await;
    let (door, ..) = ready(&p).await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("replied")
    })
    .await;
    let who = |replied: Option<String>| {
        json!([{"id": "held", "version": if replied.is_some() { 2 } else { 1 }, "email": "held@e8-held.com",
            "contacted_at": "2026-01-01T00:00:00Z", "replied_at": replied}])
    };
    door.people(who(None)).await;
    push(&door, &each_kind("held")).await;
    until("they wait for the person", async || {
        listed(&door, "held").await.iter().all(|a| {
            a["outcome"]["state"] == "waiting" && a["outcome"]["reason"] == "person_not_exported"
        })
    })
    .await;
    assert!(timeline(&p).await.is_empty());
    door.people(who(Some(chrono::Utc::now().to_rfc3339())))
        .await;
    let all = settle(&door, "held").await;
    assert!(
        all.iter().all(|a| a["outcome"]["state"] == "exported"),
        "{all:#?}"
    );
    let found = timeline(&p).await;
    assert_eq!(found.len(), 7);
    let note = found.iter().find(|(plural, _)| *plural == "notes").unwrap();
    assert_eq!(note.1["properties"]["hs_timestamp"], AT);
}

#[tokio::test]
async fn toggles_labels_and_deletions() {
    let p = Planted::new().await;
    let (door, ..) = ready(&p).await;
    change_settings(&door, |settings| {
        settings["activities"]["label"] = json!("[Ours]");
        settings["activities"]["kinds"] =
            json!({"task": {"log": false}, "note": {"log": true, "label": "[Note]"}});
    })
    .await;
    push(&door, &each_kind("lead")).await;
    let all = settle(&door, "lead").await;
    let of = |all: &[Value], kind: &str| all.iter().find(|a| a["kind"] == kind).unwrap().clone();
    assert_eq!(of(&all, "task")["outcome"]["reason"], "activity_off");
    let found = timeline(&p).await;
    assert_eq!(found.len(), 6);
    let text = json!(found).to_string();
    assert!(
        text.contains("[Note]") && text.contains("[Ours] Intro") && !text.contains("[Artisan]")
    );
    let delete = |id: &str| json!({"id": id, "version": 9, "person": "lead", "deleted": true});
    push(&door, &[delete("lead-5"), delete("lead-6")]).await;
    let all = settle(&door, "lead").await;
    assert_eq!(timeline(&p).await.len(), 6, "it stays in HubSpot");
    assert_eq!(all[5]["outcome"]["state"], "exported");
    assert_eq!(all[6]["outcome"]["reason"], "activity_deleted");
    change_settings(&door, |settings| {
        settings["activities"]["archive_deleted"] = json!(true)
    })
    .await;
    push(&door, &[delete("lead-0")]).await;
    let all = settle(&door, "lead").await;
    assert_eq!(
        all[0]["outcome"]["reason"], "activity_deleted",
        "{}",
        all[0]
    );
    assert!(live(&p, "emails").await.is_empty());
    assert_eq!(timeline(&p).await.len(), 5);
    assert!(logged(&door, "lead", "lead-5").await.is_some());
}

#[tokio::test]
async fn what_is_told_after_settings_were_saved_goes_by_them() {
    let p = Planted::new().await;
    let (door, ..) = ready(&p).await;
    let slow = json!({"path": "/contacts/", "times": 1, "effect": {"delay": {"ms": 3_000}}});
    p.tenant.control("POST", "faults", Some(slow)).await;
    let request = ask(&door, "lead").await;
    until("an export is under way", async || {
        let rules = p.tenant.control("GET", "faults", None).await;
        rules["faults"][0]["struck"] == 1
    })
    .await;
    change_settings(&door, |settings| {
        settings["activities"]["label"] = json!("[Newer]");
    })
    .await;
    push(&door, &each_kind("lead")).await;
    let ended = ended(&door, &request).await;
    assert_eq!(ended["state"], "exported", "{ended}");
    settle(&door, "lead").await;
    let found = json!(timeline(&p).await).to_string();
    assert!(
        found.contains("[Newer]") && !found.contains("[Artisan]"),
        "{found}"
    );
}

#[tokio::test]
async fn associations_that_a_portal_ignores_are_added() {
    let p = Planted::new().await;
    let (door, ..) = ready(&p).await;
    p.tenant
        .control(
            "PATCH",
            "",
            Some(json!({"ignore_engagement_associations": true})),
        )
        .await;
    push(&door, &each_kind("lead")).await;
    let all = settle(&door, "lead").await;
    assert!(
        all.iter().all(|a| a["outcome"]["state"] == "exported"),
        "{all:#?}"
    );
    for (plural, record) in timeline(&p).await {
        let ties = mirrored::ties_of(&record);
        for to in ["contacts", "companies"] {
            assert!(ties.iter().any(|(t, ..)| t == to), "{plural}: {ties:?}");
        }
    }
}

/// The deals that an engagement is on.
fn deals_of(record: &Value) -> BTreeSet<i64> {
    mirrored::ties_of(record)
        .iter()
        .filter(|(to, ..)| to == "deals")
        .map(|(_, id, _)| id.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn they_are_on_the_open_deals_where_the_workspace_wants_it() {
    let p = Planted::new().await;
    let company = p
        .record("companies", json!({"domain": "deals-e8.com"}), &[])
        .await;
    let contact = p
        .record(
            "contacts",
            json!({"email": "lead@deals-e8.com"}),
            &[("companies", company)],
        )
        .await;
    let deal = async |stage: &str, tied: (&str, i64)| {
        let properties = json!({"dealname": stage, "dealstage": stage, "pipeline": "default"});
        p.record("deals", properties, &[tied]).await
    };
    let of_contact = deal("appointmentscheduled", ("contacts", contact)).await;
    let of_company = deal("qualifiedtobuy", ("companies", company)).await;
    deal("closedwon", ("contacts", contact)).await;
    let door = p.connect().await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
    })
    .await;
    door.people(json!([{"id": "lead", "version": 1, "email": "lead@deals-e8.com"}]))
        .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["hubspot_id"].as_i64(), Some(contact), "{done}");
    let note = |id: &str| json!({"id": id, "version": 1, "person": "lead", "at": AT, "content": {"note": {"text": id}}});
    let log = async |id: &str| {
        push(&door, &[note(id)]).await;
        settle(&door, "lead").await;
        let record = logged(&door, "lead", id).await.expect("an engagement");
        let notes = live(&p, "notes").await;
        let note = notes.iter().find(|n| number(&n["id"]) == record).unwrap();
        deals_of(note)
    };
    assert_eq!(log("before").await, BTreeSet::new());
    change_settings(&door, |settings| {
        settings["activities"]["associate_open_deals"] = json!(true);
    })
    .await;
    assert_eq!(
        log("wanted").await,
        BTreeSet::from([of_contact, of_company])
    );
    // Gone from HubSpot, and the mirror does not know it yet: no reason to log nothing, or without the other.
    let path = format!("records/deals/{of_contact}");
    p.tenant.control("DELETE", &path, None).await;
    assert_eq!(log("after").await, BTreeSet::from([of_company]));
}
