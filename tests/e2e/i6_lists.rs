//! I6: lists by name, size and kind; audiences and suppression lists as tables; lists of companies count
//! their contacts; a list that is computed or deleted lets nobody in.

use std::time::{Duration, Instant};

use e2e::{
    command_line::CommandLine,
    door::Door,
    periodic::sync,
    planted::{Planted, change_settings, number, reasons},
    shared, store_of,
};
use serde_json::{Value, json};

async fn lists(door: &Door) -> Vec<Value> {
    door.ok("GET", "/lists", None).await["items"]
        .as_array()
        .unwrap()
        .clone()
}

/// Waits until the members of all lists with a use were read.
async fn read(door: &Door) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let all = lists(door).await;
        let waits = |l: &&Value| !l["use"].is_null() && l["members_read_at"].is_null();
        if !all.iter().any(|l| waits(&l)) {
            return;
        }
        assert!(Instant::now() < deadline, "{all:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn verdict(door: &Door, person: &str) -> Value {
    door.ok("GET", &format!("/people/{person}/dnc"), None).await
}

#[tokio::test]
async fn lists_are_known_and_their_members_are_tables() {
    let p = Planted::new().await;
    let company = p
        .record(
            "companies",
            json!({"name": "Target", "domain": "target-list.com"}),
            &[],
        )
        .await;
    let other = p
        .record(
            "companies",
            json!({"name": "Other", "domain": "other-list.com"}),
            &[],
        )
        .await;
    let mut contacts = Vec::new();
    for n in 0..5 {
        let at = if n < 3 { company } else { other };
        let email = format!("c{n}@list-i6.com");
        contacts.push(
            p.record("contacts", json!({"email": email}), &[("companies", at)])
                .await,
        );
    }
    let audience = p.list("Audience", "0-1", &contacts[..4]).await;
    let targets = p.list("Target accounts", "0-2", &[company]).await;
    let unused = p.list("Unused", "0-1", &contacts[..1]).await;
    let door = p.connect().await;
    door.people(json!([
        {"id": "zero", "version": 1, "email": "c0@list-i6.com"},
        {"id": "four", "version": 1, "email": "c4@list-i6.com"},
        {"id": "domain", "version": 1, "email": "new@target-list.com"},
    ]))
    .await;
    change_settings(&door, |s| {
        s["lists"] = json!([
            {"list": audience, "use": "audience"}, {"list": targets, "use": "suppression"},
        ]);
    })
    .await;
    read(&door).await;
    let all = lists(&door).await;
    let of = |id: i64| all.iter().find(|l| l["list"] == id).unwrap().clone();
    assert_eq!(of(audience)["name"], "Audience");
    assert_eq!(
        (&of(audience)["size"], &of(audience)["of"]),
        (&json!(4), &json!("contacts"))
    );
    assert_eq!(
        (&of(targets)["of"], &of(targets)["use"]),
        (&json!("companies"), &json!("suppression"))
    );
    assert_eq!(of(unused)["use"], Value::Null);
    assert_eq!(of(unused)["processing_type"], "MANUAL");

    // The contacts that nobody was have become people, and zero's is zero.
    let listed = format!("/lists/{targets}/members");
    let imported = |n: usize| format!("hubspot.{}.{}", p.tenant.portal, contacts[n]);
    let people = json!([imported(1), imported(2), "zero"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let page = loop {
        let page = door.ok("GET", &listed, None).await;
        if page["items"][0]["people"] == people {
            break page;
        }
        assert!(Instant::now() < deadline, "{page:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(page["items"][0]["member"], company);
    assert_eq!(page["items"][0]["contacts"], json!(contacts[..3]));

    // Page by page.
    let mut seen = Vec::new();
    let mut path = format!("/lists/{audience}/members?limit=3");
    loop {
        let page = door.ok("GET", &path, None).await;
        seen.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => path = format!("/lists/{audience}/members?limit=3&after={next}"),
            None => break,
        }
    }
    let ids: Vec<i64> = seen.iter().map(|m| m["member"].as_i64().unwrap()).collect();
    assert_eq!(ids, contacts[..4]);
    assert_eq!(seen[0]["people"], json!(["zero"]));
    // The contacts of a company count, and who is no contact is judged by the domain.
    for (person, suppressed) in [("zero", true), ("four", false), ("domain", true)] {
        let now = verdict(&door, person).await;
        let wanted: Vec<String> = suppressed
            .then(|| format!("suppression_list list {targets}"))
            .into_iter()
            .collect();
        assert_eq!(reasons(&now), wanted, "{person}: {now:#}");
    }
    assert_eq!(
        door.call("GET", "/lists/999999/members", None).await.code(),
        "HS-4009"
    );
    let line = CommandLine::new(&p.tenant, &door);
    let ended = line.run(&["lists"]).await;
    assert!(
        ended.out.contains(&format!(
            "{targets}\tcompanies\tmanual\tcomplete\tsuppression\t1\tTarget accounts"
        )),
        "{ended:?}"
    );
    let ended = line.run(&["lists", &audience.to_string(), "--json"]).await;
    assert_eq!(ended.out.lines().count(), 4, "{ended:?}");

    // A member that goes is let in, and one that comes is not.
    p.hubspot(
        "PUT",
        &format!("/crm/v3/lists/{targets}/memberships/add-and-remove"),
        Some(json!({
            "recordIdsToAdd": [other.to_string()], "recordIdsToRemove": [company.to_string()],
        })),
    )
    .await;
    p.resync(json!({"types": ["lists"], "mode": {"mode": "from_scratch"}}))
        .await;
    assert_eq!(verdict(&door, "zero").await["allowed"], true);
    assert_eq!(verdict(&door, "four").await["allowed"], false);

    // Who lies in the recycle bin counts for no company.
    let counting = async || {
        let page = door
            .ok("GET", &format!("/lists/{targets}/members"), None)
            .await;
        page["items"][0]["contacts"].clone()
    };
    assert_eq!(counting().await, json!(contacts[3..]));
    let path = format!("records/contacts/{}", contacts[3]);
    p.tenant.control("DELETE", &path, None).await;
    p.resync(json!({"types": ["contacts"], "mode": {"mode": "from_scratch"}}))
        .await;
    assert_eq!(counting().await, json!(contacts[4..]));
}

#[tokio::test]
async fn a_list_that_is_computed_or_deleted_lets_nobody_in() {
    let p = Planted::new().await;
    let mut contacts = Vec::new();
    for n in 0..4 {
        let email = format!("c{n}@kept-i6.com");
        contacts.push(p.record("contacts", json!({"email": email}), &[]).await);
    }
    let list = p.list("Never", "0-1", &contacts[..2]).await;
    let door = p.connect().await;
    door.people(json!([
        {"id": "on", "version": 1, "email": "c0@kept-i6.com"},
        {"id": "off", "version": 1, "email": "c3@kept-i6.com"},
    ]))
    .await;
    change_settings(&door, |s| {
        s["lists"] = json!([{"list": list, "use": "suppression"}])
    })
    .await;
    read(&door).await;
    let on = vec![format!("suppression_list list {list}")];
    assert_eq!(reasons(&verdict(&door, "on").await), on);

    let processing = json!({"processing_status": "PROCESSING"});
    p.tenant
        .control("PATCH", &format!("lists/{list}"), Some(processing))
        .await;
    let again = json!({"types": ["lists"], "mode": {"mode": "from_scratch"}});
    p.resync(again.clone()).await;
    let now = verdict(&door, "on").await;
    assert_eq!(reasons(&now), on, "{now:#}");
    assert_eq!(now["stale"][0]["cause"], "processing", "{now:#}");
    assert_eq!(now["stale"][0]["list"], list);
    let all = lists(&door).await;
    assert_eq!(all[0]["processing"], true);

    let complete = json!({"processing_status": "COMPLETE"});
    p.tenant
        .control("PATCH", &format!("lists/{list}"), Some(complete))
        .await;
    p.resync(again.clone()).await;
    assert_eq!(verdict(&door, "on").await["stale"], json!([]));
    assert_eq!(verdict(&door, "off").await["allowed"], true);

    // Another one stays, so that the listing is not empty.
    p.list("Other", "0-1", &[]).await;
    p.resync(again.clone()).await;
    p.hubspot("DELETE", &format!("/crm/v3/lists/{list}"), None)
        .await;
    p.resync(again).await;
    let now = verdict(&door, "on").await;
    assert_eq!(reasons(&now), on, "{now:#}");
    assert_eq!(now["reasons"][0]["value"], "gone");
    let all = lists(&door).await;
    let gone = all.iter().find(|l| l["list"] == list).unwrap();
    assert!(!gone["gone_at"].is_null(), "{gone}");
    assert_eq!(verdict(&door, "off").await["allowed"], true);
}

/// Between two whole readings, who joins a huge list is found at its end.
#[tokio::test]
async fn who_joins_a_huge_list_is_read_from_its_tail() {
    const MEMBERS: usize = 10_050;
    let size = json!({"contacts": MEMBERS + 5, "search_lag_ms": 0});
    let p = Planted::on(&shared(), size).await;
    let page = p
        .tenant
        .control("GET", "records/contacts?limit=10000", None)
        .await;
    let mut contacts: Vec<i64> = Vec::new();
    let mut page = page;
    loop {
        let results = page["results"].as_array().unwrap();
        contacts.extend(results.iter().map(|r| number(&r["id"])));
        if results.len() < 10_000 {
            break;
        }
        let path = format!(
            "records/contacts?limit=10000&after={}",
            contacts.last().unwrap()
        );
        page = p.tenant.control("GET", &path, None).await;
    }
    // A page begins with the last one of the page before.
    contacts.dedup();
    assert_eq!(contacts.len(), MEMBERS + 5);
    let list = p.list("Huge", "0-1", &contacts[..MEMBERS]).await;
    let door = p.connect().await;
    change_settings(&door, |s| {
        s["lists"] = json!([{"list": list, "use": "suppression"}]);
    })
    .await;
    read(&door).await;
    let store = store_of(p.tenant.api.addresses()).await;
    let members = async || {
        let list = domain::HubSpotObjectId::new(list).unwrap();
        let all = store
            .list_members(p.tenant.workspace, p.tenant.portal, list)
            .await
            .unwrap();
        all.len()
    };
    // All of them once more, as after some hours.
    let hours_later = async || {
        let url = &p.tenant.api.addresses().database_url;
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let sql = "update hubspot_list set members_read_at = members_read_at - interval '7 hours'
            where workspace_id = $1::text::uuid";
        client.execute(sql, &[&p.tenant.id()]).await.unwrap();
    };
    let asked = async |seen: usize| {
        let requests = p.tenant.requests().await.split_off(seen);
        let of_list = |r: &&Value| r["path"].as_str().unwrap().contains("/memberships");
        requests.iter().filter(of_list).count()
    };
    let seen = async || p.tenant.requests().await.len();
    hours_later().await;
    let before = seen().await;
    sync(&p.tenant).await;
    assert_eq!(asked(before).await, MEMBERS.div_ceil(250));
    assert_eq!(members().await, MEMBERS);

    // Some join, one leaves: the tail brings those who joined, and lets nobody go.
    p.listed(list, &contacts[MEMBERS..]).await;
    let leaves = json!([contacts[0].to_string()]);
    let path = format!("/crm/v3/lists/{list}/memberships/remove");
    p.hubspot("PUT", &path, Some(leaves)).await;
    let before = seen().await;
    sync(&p.tenant).await;
    assert!(asked(before).await <= 2, "{}", asked(before).await);
    assert_eq!(members().await, MEMBERS + 5);
    // The next whole reading does.
    hours_later().await;
    sync(&p.tenant).await;
    assert_eq!(members().await, MEMBERS + 4);
}
