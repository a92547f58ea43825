//! I10: recent engagements of other reps.

use std::time::Duration;

use e2e::{
    activities::{logged, push, settle},
    command_line::CommandLine,
    door::Door,
    exports::export,
    object,
    periodic::sync,
    planted::{Planted, change_settings, number},
    profiles::until,
    shared, store_of,
};
use serde_json::{Value, json};

const TITLE: &str = "Quarterly talk with Zora";

/// A time so many days from now, as HubSpot writes it.
fn days(from_now: i64) -> String {
    let at = chrono::Utc::now() + chrono::TimeDelta::days(from_now);
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

async fn switch(door: &Door, on: bool) {
    change_settings(door, |settings| {
        settings["activity_context"]["engagements"] = json!(on);
    })
    .await;
}

async fn of(door: &Door, person: &str) -> Vec<Value> {
    let page = door
        .ok("GET", &format!("/people/{person}/touches"), None)
        .await;
    page["items"].as_array().expect("touches").clone()
}

fn kinds(touches: &[Value]) -> Vec<&str> {
    touches
        .iter()
        .filter_map(|touch| touch["kind"].as_str())
        .collect()
}

/// What the feed has after a cursor, as text, and the cursor behind it.
async fn drained(door: &Door, after: Option<String>) -> (String, String) {
    let (mut after, mut text) = (after, String::new());
    loop {
        let path = match &after {
            Some(after) => format!("/changes?limit=1000&wait=1&after={after}"),
            None => "/changes?limit=1000".to_owned(),
        };
        let page = door.ok("GET", &path, None).await;
        let next = page["next"].as_str().expect("a cursor").to_owned();
        if page["items"].as_array().expect("items").is_empty() {
            return (next, text);
        }
        text.push_str(&page.to_string());
        after = Some(next);
    }
}

async fn meeting(p: &Planted, days_from_now: i64, contact: i64) -> i64 {
    let properties = json!({
        "hs_timestamp": days(days_from_now), "hs_meeting_title": TITLE, "hubspot_owner_id": "500000",
        "hs_meeting_body": "not to be read",
    });
    p.record("meetings", properties, &[("contacts", contact)])
        .await
}

/// An empty portal with a contact who is the app's person `zora`.
async fn ready() -> (Planted, Door, i64) {
    let p = Planted::on(&shared(), json!({"search_lag_ms": 0})).await;
    let contact = p
        .record("contacts", json!({"email": "zora@i10.com"}), &[])
        .await;
    let door = p.connect().await;
    door.people(json!([{"id": "zora", "version": 1, "email": "zora@i10.com"}]))
        .await;
    (p, door, contact)
}

fn engagement_requests(requests: &[Value]) -> usize {
    let kinds = [
        "emails",
        "calls",
        "meetings",
        "notes",
        "tasks",
        "communications",
    ];
    requests
        .iter()
        .filter_map(|r| r["path"].as_str())
        // What properties they have is read for the settings.
        .filter(|path| !path.starts_with("/crm/properties/"))
        .filter(|path| kinds.iter().any(|kind| path.contains(kind)))
        .count()
}

#[tokio::test]
async fn engagements_of_others_come_in_where_the_workspace_reads_them() {
    let (p, door, contact) = ready().await;
    let met = meeting(&p, -1, contact).await;
    // Made long before anybody switched it on, and yet to come.
    let planned = meeting(&p, 3, contact).await;
    let before = meeting(&p, -50, contact).await;
    let note = json!({"hs_timestamp": days(-2), "hs_note_body": "not to be read"});
    p.record("notes", note, &[("contacts", contact)]).await;
    let nobody = json!({"hs_timestamp": days(-2), "hs_call_title": "With nobody"});
    p.record("calls", nobody, &[]).await;

    // Off: nothing is asked for.
    sync(&p.tenant).await;
    assert_eq!(engagement_requests(&p.tenant.requests().await), 0);
    assert!(of(&door, "zora").await.is_empty());
    assert!(object(&p.tenant.status().await, "engagements").is_null());

    switch(&door, true).await;
    sync(&p.tenant).await;
    let touches = of(&door, "zora").await;
    assert_eq!(
        kinds(&touches),
        ["meeting", "meeting", "note"],
        "{touches:?}"
    );
    assert_eq!(number(&touches[0]["engagement"]), planned);
    let second = &touches[1];
    assert_eq!(number(&second["engagement"]), met);
    assert_eq!(
        (&second["title"], &second["owner"], &second["contacts"]),
        (&json!(TITLE), &json!(500_000), &json!([contact]))
    );
    let text = serde_json::to_string(&touches).unwrap();
    assert!(!text.contains("not to be read"), "{text}");
    let status = p.tenant.status().await;
    let engagements = object(&status, "engagements");
    assert_eq!(
        (&engagements["outcome"], &engagements["stored"]),
        (&json!("finished"), &json!(3)),
        "{engagements}"
    );

    // No run reads them.
    let body = json!({"types": ["engagements"]});
    let id = p.tenant.id();
    let resync = p.tenant.api.call(&id, "resync", Some(body));
    let refused = resync.await.expect("an answer");
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("HS-4001"), "{}", refused.text);

    // A page at a time, and from a terminal.
    let first = door.ok("GET", "/people/zora/touches?limit=1", None).await;
    let next = first["next"].as_str().expect("more");
    let rest = door
        .ok("GET", &format!("/people/zora/touches?after={next}"), None)
        .await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 2);
    let refused = door.call("GET", "/people/zora/touches?after=x", None).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let nobody = door.call("GET", "/people/nobody/touches", None).await;
    assert_eq!(nobody.code(), "HS-4009");
    let line = CommandLine::new(&p.tenant, &door);
    let ended = line.run(&["touches", "zora"]).await;
    assert!(
        ended.out.contains(&format!("{met}\tmeeting\t")),
        "{ended:?}"
    );

    // A reading without a change is one request for each kind, and no more.
    let seen = p.tenant.requests().await.len();
    sync(&p.tenant).await;
    let requests = p.tenant.requests().await.split_off(seen);
    let searches = requests.iter().filter(|r| {
        let path = r["path"].as_str().unwrap_or_default();
        path.ends_with("/search") && engagement_requests(std::slice::from_ref(r)) > 0
    });
    assert_eq!(searches.count(), 6, "{requests:?}");
    // Whom the call with nobody is with is asked again.
    assert_eq!(engagement_requests(&requests), 7, "{requests:?}");

    // What changes comes in, and the people's feed says so.
    until("the profile was told of", async || {
        drained(&door, None).await.1.contains("\"zora\"")
    })
    .await;
    let (cursor, _) = drained(&door, None).await;
    p.set("meetings", met, json!({"hs_meeting_title": "Another"}))
        .await;
    p.set("meetings", planned, json!({"hs_timestamp": days(-60)}))
        .await;
    p.set("meetings", before, json!({"hs_timestamp": days(5)}))
        .await;
    sync(&p.tenant).await;
    let touches = of(&door, "zora").await;
    assert_eq!(kinds(&touches), ["meeting", "meeting", "note"]);
    assert_eq!(number(&touches[0]["engagement"]), before);
    assert_eq!(touches[1]["title"], "Another");
    let (_, told) = drained(&door, Some(cursor)).await;
    assert!(told.contains("\"zora\""), "{told}");

    // Off again: they are not shown any more, not read, and removed.
    switch(&door, false).await;
    assert!(of(&door, "zora").await.is_empty());
    let seen = p.tenant.requests().await.len();
    sync(&p.tenant).await;
    let requests = p.tenant.requests().await.split_off(seen);
    assert_eq!(engagement_requests(&requests), 0);
    let store = store_of(p.tenant.api.addresses()).await;
    while store
        .remove_touches(p.tenant.workspace, 10_000)
        .await
        .unwrap()
        > 0
    {}
    switch(&door, true).await;
    assert!(of(&door, "zora").await.is_empty());
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 3);
}

#[tokio::test]
async fn what_we_logged_ourselves_is_no_news() {
    let (p, door, contact) = ready().await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
        settings["activity_context"]["engagements"] = json!(true);
    })
    .await;
    let done = export(&door, "zora").await;
    assert_eq!(done["state"], "exported", "{done}");
    let ours = |id: &str, content: Value| json!({"id": id, "version": 1, "person": "zora", "at": days(-1), "content": content});
    let items = [
        ours("a", json!({"note": {"text": "Ours"}})),
        ours(
            "b",
            json!({"meeting": {"title": "Ours too", "start": days(1)}}),
        ),
    ];
    push(&door, &items).await;
    settle(&door, "zora").await;
    assert!(logged(&door, "zora", "a").await.is_some());
    let theirs = meeting(&p, -1, contact).await;
    sync(&p.tenant).await;
    let touches = of(&door, "zora").await;
    assert_eq!(touches.len(), 1, "{touches:?}");
    assert_eq!(number(&touches[0]["engagement"]), theirs);
}

#[tokio::test]
async fn a_kind_that_hubspot_refuses_shows_and_stops_no_other() {
    let (p, door, contact) = ready().await;
    let mail = |subject: &str| {
        json!({
            "hs_timestamp": days(-1), "hs_email_subject": subject, "hs_email_direction": "EMAIL",
            "hs_email_text": "not to be read",
        })
    };
    let tied = [("contacts", contact)];
    p.record("emails", mail("First"), &tied).await;
    meeting(&p, -1, contact).await;
    let refused = json!({"id": "no", "path": "/objects/*/emails/search", "effect":
        {"answer": {"name": "missing_scopes", "scopes": ["sales-email-read"]}}});
    p.tenant
        .control("POST", "faults", Some(refused.clone()))
        .await;
    switch(&door, true).await;
    sync(&p.tenant).await;
    assert_eq!(kinds(&of(&door, "zora").await), ["meeting"]);
    let status = p.tenant.status().await;
    let fresh = &object(&status, "engagements")["freshness"];
    assert_eq!(fresh["last"], "finished_with_refusals", "{status:#}");
    assert_eq!(
        (
            &fresh["refusals"][0]["part"],
            &fresh["refusals"][0]["scopes"]
        ),
        (&json!("records_of_email"), &json!(["sales-email-read"])),
    );
    assert_eq!(object(&status, "contacts")["freshness"]["last"], "finished");

    // Granted, what came meanwhile is there, too.
    p.tenant.control("DELETE", "faults/no", None).await;
    sync(&p.tenant).await;
    let mut found = of(&door, "zora").await;
    found.sort_by_key(|t| t["kind"].to_string());
    assert_eq!(kinds(&found), ["email", "meeting"]);
    p.tenant.control("POST", "faults", Some(refused)).await;
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 2, "what is stored stays");
    p.record("emails", mail("Second"), &tied).await;
    sync(&p.tenant).await;
    p.tenant.control("DELETE", "faults/no", None).await;
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 3);
}

#[tokio::test]
async fn what_hubspot_leaves_out_changes_nothing_and_is_asked_again() {
    let (p, door, contact) = ready().await;
    let met = meeting(&p, -1, contact).await;
    switch(&door, true).await;
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 1);
    for (n, effect) in [
        json!("empty"),
        json!({"error_per_input": {"category": "INTERNAL_ERROR"}}),
    ]
    .into_iter()
    .enumerate()
    {
        let silent =
            json!({"id": "silent", "path": "/associations/2026-09/meetings/", "effect": effect});
        p.tenant.control("POST", "faults", Some(silent)).await;
        let alone = json!({"id": "alone", "method": "GET", "path": "/associations/",
            "effect": {"answer": {"name": "internal"}}});
        p.tenant.control("POST", "faults", Some(alone)).await;
        p.set(
            "meetings",
            met,
            json!({"hs_meeting_title": format!("T{n}")}),
        )
        .await;
        meeting(&p, -2, contact).await;
        sync(&p.tenant).await;
        assert_eq!(of(&door, "zora").await.len(), n + 1, "{effect}");
        let status = p.tenant.status().await;
        let fresh = &object(&status, "engagements")["freshness"];
        assert_eq!(fresh["last"], "incomplete", "{fresh}");
        for rule in ["faults/silent", "faults/alone"] {
            p.tenant.control("DELETE", rule, None).await;
        }
        sync(&p.tenant).await;
        assert_eq!(of(&door, "zora").await.len(), n + 2, "{effect}");
    }
    // A search that forgets what it knew.
    let hidden = json!({"id": "hidden", "path": "/objects/*/meetings/search", "effect": "empty"});
    p.tenant.control("POST", "faults", Some(hidden)).await;
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 3);
}

#[tokio::test]
async fn an_erased_person_leaves_no_title_behind() {
    let (p, door, contact) = ready().await;
    meeting(&p, -1, contact).await;
    switch(&door, true).await;
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 1);
    door.ok("POST", "/erasures", Some(json!({"person": "zora"})))
        .await;
    sync(&p.tenant).await;
    let url = &p.tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let row = client
        .query_one(
            "select count(*) from hubspot_touch where workspace_id = $1::text::uuid",
            &[&p.tenant.id()],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    p.tenant
        .wait_for_phase("syncing", Duration::from_secs(5))
        .await;
}

#[tokio::test]
async fn titles_stay_in_the_store() {
    let (p, door, contact) = ready().await;
    let title = format!("Talk with Zora {}", uuid::Uuid::new_v4());
    let met = json!({"hs_timestamp": days(-1), "hs_meeting_title": title});
    p.record("meetings", met, &[("contacts", contact)]).await;
    switch(&door, true).await;
    let workflow = e2e::periodic::trigger(&p.tenant).await;
    e2e::periodic::result(&p.tenant, &workflow, Duration::from_secs(120)).await;
    assert_eq!(of(&door, "zora").await[0]["title"], title);
    let program = dev::provision::temporal().unwrap();
    let shown = tokio::process::Command::new(program)
        .args(["workflow", "show", "--workflow-id", &workflow, "-o", "json"])
        .args(["--address", &p.tenant.api.addresses().temporal])
        .output()
        .await
        .unwrap();
    let history = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(history.contains("sync_slice"), "{history}");
    let mut texts = vec![history.clone()];
    use base64::Engine as _;
    texts.extend(
        history
            .split('"')
            .filter_map(|word| base64::engine::general_purpose::STANDARD.decode(word).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    );
    assert!(texts.iter().any(|text| text.contains(&p.tenant.id())));
    for entry in std::fs::read_dir(&p.tenant.api.addresses().logs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".log") && name != "simulator.log" {
            texts.push(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
    assert!(texts.iter().all(|text| !text.contains(&title)));
}
