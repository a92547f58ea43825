//! Activities on the settings pages: what they carry, how a person's stand, and those that failed
//! (E4, E8, X1).

use e2e::{
    activities::{listed, push, settle},
    door::Door,
    exports,
    pages::Pages,
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::{Value, json};

const MAPPING: &str = "/settings/hubspot/mapping/activity";
const ACTIVITIES: &str = "/settings/hubspot/activities";
const PROBLEMS: &str = "/settings/hubspot/problems";
const AT: &str = "2026-01-05T08:30:00Z";

async fn ann(door: &Door) {
    door.people(
        json!([{"id": "ann", "version": 1, "email": "ann.lee@example.com",
        "fields": {"first_name": "Ann", "last_name": "Lee"}}]),
    )
    .await;
    let exported = exports::export(door, "ann").await;
    assert_eq!(exported["state"], "exported", "{exported}");
}

fn note(version: u64, text: &str) -> Value {
    json!({"id": "note-1", "version": version, "person": "ann", "at": AT, "content": {"note": {"text": text}}})
}

async fn rows(door: &Door) -> Vec<Value> {
    let stored = door.ok("GET", "/settings", None).await;
    let rows = &stored["settings"]["activity_properties"];
    rows.as_array().unwrap().clone()
}

#[tokio::test]
async fn the_mapping_of_activities_is_changed_and_hubspot_gets_what_it_says() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(MAPPING).await;
    for shown in [
        "name=\"property-email.subject\"",
        "value=\"hs_email_subject\"",
        "name=\"export-call.recording_url\"",
        "name=\"property-note.body\"",
        "href=\"/settings/hubspot/mapping/activity\" aria-current=\"page\"",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    let before = rows(&door).await;
    // A box that is not sent was switched off; a property without a name has no row.
    let mut fields = vec![("revision".to_owned(), "0".to_owned())];
    for row in &before {
        let name = format!(
            "{}.{}",
            row["kind"].as_str().unwrap(),
            row["app_field"].as_str().unwrap()
        );
        let property = match name.as_str() {
            "task.notes" => "",
            _ => row["property"].as_str().unwrap(),
        };
        fields.push((format!("property-{name}"), property.to_owned()));
        if name != "call.notes" {
            fields.push((format!("export-{name}"), "on".to_owned()));
        }
    }
    let fields: Vec<_> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let saved = pages.post(MAPPING, &fields).await;
    assert_eq!(
        saved.location(),
        format!("{MAPPING}?done=saved"),
        "{}",
        saved.text
    );
    let after = rows(&door).await;
    assert_eq!(after.len(), before.len() - 1);
    for row in &after {
        let off = row["kind"] == "call" && row["app_field"] == "notes";
        assert_eq!(row["export"], !off, "{row}");
    }

    // What is wrong is said at its field, and nothing is saved.
    let reserved = [
        ("revision", "1"),
        ("property-note.body", "hs_timestamp"),
        ("export-note.body", "on"),
    ];
    let wrong = pages.post(MAPPING, &reserved).await;
    assert_eq!(wrong.status, 422);
    for shown in [
        "href=\"#property-note.body\"",
        "value=\"hs_timestamp\"",
        "id=\"property-note.body-error\"",
    ] {
        assert!(wrong.text.contains(shown), "no {shown} in {}", wrong.text);
    }
    assert_eq!(rows(&door).await, after);

    ann(&door).await;
    push(
        &door,
        &[json!({"id": "call-1", "version": 1, "person": "ann", "at": AT,
            "content": {"call": {"direction": "outgoing", "title": "Intro", "outcome": "connected", "notes": "Secret"}}})],
    )
    .await;
    settle(&door, "ann").await;
    let calls = exports::live(&portal, "calls").await;
    let properties = &calls[0]["properties"];
    assert!(
        properties["hs_call_title"]
            .as_str()
            .unwrap()
            .contains("Intro"),
        "{calls:?}"
    );
    let body = properties["hs_call_body"].as_str().unwrap_or_default();
    assert!(!body.contains("Secret"), "{calls:?}");
}

#[tokio::test]
async fn a_person_shows_their_activities_and_a_failed_one_is_a_problem_that_is_retried() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    // Before an admin saved them nothing goes by itself.
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
    })
    .await;
    ann(&door).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let person = "/settings/hubspot/people/ann";
    let none = pages.get(person).await;
    assert!(
        none.text.contains("did nothing with this person yet"),
        "{}",
        none.text
    );

    push(&door, &[note(1, "Likes tea")]).await;
    let ended = settle(&door, "ann").await;
    let record = ended[0]["engagement"].as_i64().unwrap();
    let seen = pages.get(person).await;
    for shown in ["note-1", ">Note<", &format!("Record {record}")] {
        assert!(seen.text.contains(shown), "no {shown} in {}", seen.text);
    }
    assert!(
        !seen.text.contains("Likes tea"),
        "what it says is the app's"
    );

    // A rep deletes it, the app changes it: it is not made again.
    portal
        .hubspot("DELETE", &format!("/crm/v3/objects/notes/{record}"), None)
        .await;
    push(&door, &[note(2, "Likes coffee")]).await;
    let ended = settle(&door, "ann").await;
    assert_eq!(ended[0]["outcome"]["state"], "failed", "{ended:?}");
    let reason = ended[0]["outcome"]["reason"].as_str().unwrap();
    let problems = pages.get(PROBLEMS).await;
    for shown in [
        "id=\"activities-",
        ">Ann Lee<",
        "note-1",
        ">Retry<",
        "1<span class=\"sr\"> open",
    ] {
        assert!(
            problems.text.contains(shown),
            "no {shown} in {}",
            problems.text
        );
    }
    let only = pages
        .get(&format!("{PROBLEMS}?of=activities&reason={reason}"))
        .await;
    assert!(only.text.contains("note-1"), "{}", only.text);
    let requests = pages.get(&format!("{PROBLEMS}?reason={reason}")).await;
    assert!(!requests.text.contains("note-1"), "{}", requests.text);

    let turned = ended[0]["changed_at"].clone();
    let one = [("activity", "note-1")];
    let all = [("of", "activities"), ("reason", reason)];
    let member = Pages::open(&portal.tenant, "member").await;
    let refused = member.post(&format!("{PROBLEMS}/retry"), &one).await;
    assert_eq!((refused.status, refused.code()), (403, "HS-1023"));
    for (what, fields) in [("retry", &one[..]), ("retry-all", &all[..])] {
        let before = listed(&door, "ann").await[0]["changed_at"].clone();
        let retried = pages.post(&format!("{PROBLEMS}/{what}"), fields).await;
        assert_eq!(
            retried.location(),
            format!("{PROBLEMS}?done=retried"),
            "{}",
            retried.text
        );
        // It goes on, and ends as before.
        until("it was tried again", async || {
            let now = listed(&door, "ann").await;
            now[0]["changed_at"] != before && now[0]["outcome"]["state"] == "failed"
        })
        .await;
    }
    assert_ne!(listed(&door, "ann").await[0]["changed_at"], turned);
    let unknown = pages
        .post(&format!("{PROBLEMS}/retry"), &[("activity", "note-2")])
        .await;
    assert_eq!((unknown.status, unknown.code()), (404, "HS-4009"));
}

#[tokio::test]
async fn what_others_do_is_read_once_an_admin_says_so_and_knows_what_it_costs() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(ACTIVITIES).await;
    for shown in [
        "id=\"context\"",
        "Costs 6 searches a sync, at least 36 an hour",
        "removed within the hour",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    let context = async || -> Value {
        door.ok("GET", "/settings", None).await["settings"]["activity_context"].clone()
    };
    // The form as it stands switches nothing on.
    let form = page.form(ACTIVITIES);
    assert!(!form.iter().any(|(name, _)| name == "context"), "{form:?}");
    let mut fields: Vec<(&str, &str)> = form
        .iter()
        .filter(|(name, _)| name != "csrf" && name != "context-days")
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    fields.push(("context", "on"));
    fields.push(("context-days", "366"));
    let wrong = pages.post(ACTIVITIES, &fields).await;
    assert_eq!(wrong.status, 422);
    for shown in [
        "href=\"#context-days\"",
        "Write a whole number from 1 to 365.",
        "value=\"366\"",
    ] {
        assert!(wrong.text.contains(shown), "no {shown} in {}", wrong.text);
    }
    assert_eq!(context().await["engagements"], json!(false));

    fields.pop();
    fields.push(("context-days", "60"));
    let saved = pages.post(ACTIVITIES, &fields).await;
    assert_eq!(saved.location(), format!("{ACTIVITIES}?done=saved"));
    assert_eq!(
        context().await,
        json!({"engagements": true, "days": 60, "bodies": false})
    );

    // A box that is not sent was switched off.
    let off = [("revision", "1"), ("context-days", "60")];
    pages.post(ACTIVITIES, &off).await;
    assert_eq!(context().await["engagements"], json!(false));
}
