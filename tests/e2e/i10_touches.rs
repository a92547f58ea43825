//! I10: recent engagements of other reps.

use std::time::Duration;

use e2e::{
    activities::{logged, push, settle},
    command_line::CommandLine,
    door::Door,
    exports::export,
    object,
    pages::Pages,
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

async fn sql(p: &Planted, text: &str) -> Vec<tokio_postgres::Row> {
    let url = &p.tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.query(text, &[&p.tenant.id()]).await.unwrap()
}

/// A periodic sync that also asks for what is known.
async fn long_window(p: &Planted) {
    sql(
        p,
        "update sync_freshness set swept_at = '-infinity'
         where workspace_id = $1::text::uuid and sync_type = 'engagements'",
    )
    .await;
    sync(&p.tenant).await;
}

fn ids(touches: &[Value]) -> Vec<i64> {
    let mut ids: Vec<i64> = touches.iter().map(|t| number(&t["engagement"])).collect();
    ids.sort_unstable();
    ids
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
    // It names the field and the way out.
    for part in ["HS-4001", "types[0]", "periodic sync", "leave them out"] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }

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

    // The long window comes after the first reading. Then a reading without a change is one request for each
    // kind, and no more.
    sync(&p.tenant).await;
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

/// What is deleted moves no last-modified, and e-mails are not even in a recycle bin.
#[tokio::test]
async fn what_is_deleted_in_hubspot_is_not_shown_any_more() {
    let (p, door, contact) = ready().await;
    let tied = [("contacts", contact)];
    let binned = meeting(&p, -1, contact).await;
    let stays = meeting(&p, -2, contact).await;
    let mail = json!({"hs_timestamp": days(-1), "hs_email_direction": "EMAIL", "hs_email_subject": "Gone"});
    let gone = p.record("emails", mail, &tied).await;
    switch(&door, true).await;
    sync(&p.tenant).await;
    let all = ids(&of(&door, "zora").await);
    assert_eq!(all.len(), 3);
    let delete = async |plural: &str, id: i64| {
        let path = format!("records/{plural}/{id}");
        p.tenant.control("DELETE", &path, None).await;
    };
    delete("meetings", binned).await;
    delete("emails", gone).await;

    // No answer is no proof, whatever it looks like.
    for effect in [
        json!("empty_batch"),
        json!("empty"),
        json!({"error_per_input": {"category": "INTERNAL_ERROR"}}),
    ] {
        for (id, method, path) in [
            ("batch", "POST", "/objects/*/batch/read"),
            ("one", "GET", "/objects/*/meetings/"),
            ("mail", "GET", "/objects/*/emails/"),
        ] {
            let effect = if method == "GET" {
                json!({"answer": {"name": "internal"}})
            } else {
                effect.clone()
            };
            let fault = json!({"id": id, "method": method, "path": path, "effect": effect});
            p.tenant.control("POST", "faults", Some(fault)).await;
        }
        long_window(&p).await;
        assert_eq!(ids(&of(&door, "zora").await), all, "{effect}");
        p.tenant.control("DELETE", "faults", None).await;
    }

    // What lies in the recycle bin is said to. What is not known at all waits for a second word.
    until("the profile was told of", async || {
        drained(&door, None).await.1.contains("\"zora\"")
    })
    .await;
    let (cursor, _) = drained(&door, None).await;
    long_window(&p).await;
    let mut left = vec![stays, gone];
    left.sort_unstable();
    assert_eq!(ids(&of(&door, "zora").await), left);
    let (cursor, told) = drained(&door, Some(cursor)).await;
    assert!(told.contains("\"zora\""), "{told}");
    let stored = object(&p.tenant.status().await, "engagements")["stored"].clone();
    assert_eq!(stored, 2);
    // Between two long windows nobody is asked for.
    let seen = p.tenant.requests().await.len();
    sync(&p.tenant).await;
    let requests = p.tenant.requests().await.split_off(seen);
    assert_eq!(engagement_requests(&requests), 6, "{requests:?}");
    long_window(&p).await;
    assert_eq!(ids(&of(&door, "zora").await), [stays]);
    let (_, told) = drained(&door, Some(cursor)).await;
    assert!(told.contains("\"zora\""), "{told}");

    // Out of the recycle bin again, which moves no last-modified either.
    let path = format!("records/meetings/{binned}/restore");
    p.tenant.control("POST", &path, None).await;
    long_window(&p).await;
    let mut left = vec![stays, binned];
    left.sort_unstable();
    assert_eq!(ids(&of(&door, "zora").await), left);
    // What is as it was is asked for and not written.
    let stamps = async || {
        let rows = sql(
            &p,
            "select xmin::text from hubspot_touch where workspace_id = $1::text::uuid order by object_id",
        )
        .await;
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let before = stamps().await;
    long_window(&p).await;
    assert_eq!(stamps().await, before);
}

/// Names none of twelve e-mails, and counts none: that is trouble, and not their end.
#[tokio::test]
async fn hubspot_that_forgot_all_engagements_removes_none() {
    let (p, door, contact) = ready().await;
    let mail = json!({"hs_timestamp": days(-1), "hs_email_direction": "EMAIL", "hs_email_subject": "Gone"});
    let mut mails = Vec::new();
    for _ in 0..12 {
        let tied = [("contacts", contact)];
        mails.push(p.record("emails", mail.clone(), &tied).await);
    }
    switch(&door, true).await;
    sync(&p.tenant).await;
    assert_eq!(of(&door, "zora").await.len(), 12);
    let nobody_is_known = json!({"path": "/emails/batch/read", "effect": {"error_per_input": {"category": "OBJECT_NOT_FOUND"}}});
    let none_is_counted = json!({"path": "/emails/search", "effect": "empty"});
    for rule in [nobody_is_known, none_is_counted] {
        p.tenant.control("POST", "faults", Some(rule)).await;
    }
    for _ in 0..3 {
        long_window(&p).await;
        assert_eq!(of(&door, "zora").await.len(), 12);
    }
    p.tenant.control("DELETE", "faults", None).await;

    // All are deleted, and another one is there that nobody took part in: two words are enough.
    p.record("emails", mail, &[]).await;
    for id in mails {
        let path = format!("records/emails/{id}");
        p.tenant.control("DELETE", &path, None).await;
    }
    long_window(&p).await;
    assert_eq!(of(&door, "zora").await.len(), 12);
    long_window(&p).await;
    assert!(of(&door, "zora").await.is_empty());
}

async fn texts(door: &Door, on: bool) {
    change_settings(door, |settings| {
        settings["activity_context"] = json!({"engagements": true, "days": 30, "bodies": on});
    })
    .await;
}

/// The words of each kind's text, in the property that holds it.
fn worded(word: &str) -> [(&'static str, Value); 6] {
    let html = format!("<div><p>About {word} &amp; more</p><script>run()</script></div>");
    let at = days(-1);
    [
        (
            "meetings",
            json!({"hs_timestamp": at, "hs_meeting_body": html}),
        ),
        ("calls", json!({"hs_timestamp": at, "hs_call_body": html})),
        (
            "emails",
            json!({"hs_timestamp": at, "hs_email_direction": "EMAIL", "hs_email_subject": "S", "hs_email_html": html}),
        ),
        ("notes", json!({"hs_timestamp": at, "hs_note_body": html})),
        ("tasks", json!({"hs_timestamp": at, "hs_task_body": html})),
        (
            "communications",
            json!({"hs_timestamp": at, "hs_communication_channel_type": "LINKEDIN_MESSAGE",
            "hs_communication_logged_from": "CRM", "hs_communication_body": html}),
        ),
    ]
}

fn bodies(touches: &[Value]) -> Vec<&str> {
    touches.iter().filter_map(|t| t["body"].as_str()).collect()
}

#[tokio::test]
async fn texts_come_in_only_where_the_workspace_wants_them() {
    let (p, door, contact) = ready().await;
    for (plural, properties) in worded("lilacs") {
        p.record(plural, properties, &[("contacts", contact)]).await;
    }
    let stored = async || {
        let rows = sql(
            &p,
            "select count(*) from hubspot_touch t
             where workspace_id = $1::text::uuid and to_jsonb(t)::text like '%lilacs%'",
        )
        .await;
        rows[0].get::<_, i64>(0)
    };
    texts(&door, false).await;
    sync(&p.tenant).await;
    let touches = of(&door, "zora").await;
    assert_eq!(touches.len(), 6);
    assert!(bodies(&touches).is_empty());
    assert_eq!(stored().await, 0);

    // On: of those that are known already, too, as words without what runs.
    texts(&door, true).await;
    sync(&p.tenant).await;
    let touches = of(&door, "zora").await;
    assert_eq!(bodies(&touches), ["About lilacs & more"; 6], "{touches:?}");
    let pages = Pages::open(&p.tenant, "member").await;
    let path = "/settings/hubspot/people/zora";
    let page = pages.get(path).await.text;
    assert_eq!(page.matches("About lilacs &amp; more").count(), 6, "{page}");
    let line = CommandLine::new(&p.tenant, &door);
    let ended = line.run(&["touches", "zora", "--json"]).await;
    assert!(ended.out.contains("About lilacs & more"), "{ended:?}");
    // A text that was changed, and one that was taken away.
    let notes = touches.iter().find(|t| t["kind"] == "note").unwrap();
    let calls = touches.iter().find(|t| t["kind"] == "call").unwrap();
    p.set(
        "notes",
        number(&notes["engagement"]),
        json!({"hs_note_body": "About lilacs anew"}),
    )
    .await;
    p.set(
        "calls",
        number(&calls["engagement"]),
        json!({"hs_call_body": ""}),
    )
    .await;
    sync(&p.tenant).await;
    let touches = of(&door, "zora").await;
    let mut now = bodies(&touches);
    now.sort_unstable();
    assert_eq!((now.len(), now[4]), (5, "About lilacs anew"));
    // A reading without a change costs no more than it did.
    let seen = p.tenant.requests().await.len();
    sync(&p.tenant).await;
    let requests = p.tenant.requests().await.split_off(seen);
    assert_eq!(engagement_requests(&requests), 6, "{requests:?}");

    // Off: not shown from that moment, and removed; the engagements stay.
    texts(&door, false).await;
    let touches = of(&door, "zora").await;
    assert_eq!((touches.len(), bodies(&touches).len()), (6, 0));
    let page = pages.get(path).await.text;
    assert!(
        page.contains("Recent engagements") && !page.contains("lilacs"),
        "{page}"
    );
    let store = store_of(p.tenant.api.addresses()).await;
    while store
        .remove_touch_texts(p.tenant.workspace, 4)
        .await
        .unwrap()
        > 0
    {}
    assert_eq!(stored().await, 0);
    sync(&p.tenant).await;
    assert_eq!(stored().await, 0);
    texts(&door, true).await;
    sync(&p.tenant).await;
    assert_eq!(bodies(&of(&door, "zora").await).len(), 5);
    door.ok("POST", "/erasures", Some(json!({"person": "zora"})))
        .await;
    assert_eq!(stored().await, 0);
}

/// What an app may not read is kept back without a word, and comes when it may.
#[tokio::test]
async fn a_text_that_hubspot_keeps_back_is_not_an_empty_one() {
    let size = json!({"search_lag_ms": 0, "denied_scopes": ["sales-email-read"]});
    let p = Planted::on(&shared(), size).await;
    let contact = p
        .record("contacts", json!({"email": "zora@i10.com"}), &[])
        .await;
    let mail = json!({"hs_timestamp": days(-1), "hs_email_direction": "EMAIL", "hs_email_subject": "Prices",
        "hs_email_text": "All of them", "hubspot_owner_id": "500000"});
    p.record("emails", mail, &[("contacts", contact)]).await;
    let door = p.connect().await;
    door.people(json!([{"id": "zora", "version": 1, "email": "zora@i10.com"}]))
        .await;
    texts(&door, true).await;
    sync(&p.tenant).await;
    let of_mail = async || of(&door, "zora").await.pop().expect("the e-mail");
    let first = of_mail().await;
    assert_eq!(
        (
            &first["title"],
            &first["owner"],
            &first["body"],
            &first["redacted"]
        ),
        (&Value::Null, &Value::Null, &Value::Null, &json!(true)),
        "{first}"
    );
    let pages = Pages::open(&p.tenant, "member").await;
    let page = pages.get("/settings/hubspot/people/zora").await.text;
    assert!(page.contains("HubSpot does not tell"), "{page}");

    // Granted, it is asked for with all that is known.
    p.tenant
        .control("PATCH", "", Some(json!({"denied_scopes": []})))
        .await;
    let id = p.tenant.id();
    let disconnect = p.tenant.api.call(&id, "disconnect", Some(json!({})));
    let reply = disconnect.await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text);
    p.tenant
        .wait_for_phase("disconnected", Duration::from_secs(60))
        .await;
    p.connect().await;
    long_window(&p).await;
    let then = of_mail().await;
    assert_eq!(
        (
            &then["title"],
            &then["owner"],
            &then["body"],
            &then["redacted"]
        ),
        (
            &json!("Prices"),
            &json!(500_000),
            &json!("All of them"),
            &json!(false)
        ),
        "{then}"
    );
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
async fn titles_and_texts_stay_in_the_store() {
    let (p, door, contact) = ready().await;
    let title = format!("Talk with Zora {}", uuid::Uuid::new_v4());
    let body = format!("What Zora said {}", uuid::Uuid::new_v4());
    let met = json!({"hs_timestamp": days(-1), "hs_meeting_title": title, "hs_meeting_body": body});
    p.record("meetings", met, &[("contacts", contact)]).await;
    texts(&door, true).await;
    let workflow = e2e::periodic::trigger(&p.tenant).await;
    e2e::periodic::result(&p.tenant, &workflow, Duration::from_secs(120)).await;
    assert_eq!(of(&door, "zora").await[0]["title"], title);
    assert_eq!(of(&door, "zora").await[0]["body"], body);
    let program = dev::provision::temporal().unwrap();
    let shown = tokio::process::Command::new(program)
        .args(["workflow", "show", "--workflow-id", &workflow, "-o", "json"])
        .args(["--address", &p.tenant.api.addresses().temporal])
        .output()
        .await
        .unwrap();
    let history = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(history.contains("sync_slice"), "{history}");
    let mut said = vec![history.clone()];
    use base64::Engine as _;
    said.extend(
        history
            .split('"')
            .filter_map(|word| base64::engine::general_purpose::STANDARD.decode(word).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    );
    assert!(said.iter().any(|text| text.contains(&p.tenant.id())));
    for entry in std::fs::read_dir(&p.tenant.api.addresses().logs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".log") && name != "simulator.log" {
            said.push(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
    assert!(
        said.iter()
            .all(|text| !text.contains(&title) && !text.contains(&body))
    );
}
