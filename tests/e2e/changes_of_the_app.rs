//! What the feed tells of the app's people and companies, of verdicts and of lists, as people work in
//! HubSpot and in the app (I3, I5, I6, I8, C7).

use std::time::{Duration, Instant};

use e2e::{
    command_line::CommandLine,
    door::Door,
    planted::{Planted, change_settings, number},
};
use serde_json::{Value, json};

/// Longest wait for what the next sweeps begin.
const SOON: Duration = Duration::from_secs(90);

async fn all(door: &Door, limit: u32) -> Vec<Value> {
    let mut items = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/changes?limit={limit}{after}");
        let page = door.ok("GET", &path, None).await;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        if page["more"] == false {
            return items;
        }
        after = format!("&after={}", page["next"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_follower_hears_what_becomes_of_people_companies_lists_and_verdicts() {
    let p = Planted::new().await;
    let ann = p
        .record(
            "contacts",
            json!({"email": "ann@feed-app.com", "jobtitle": "Clerk"}),
            &[],
        )
        .await;
    let bob = p
        .record("contacts", json!({"email": "bob@feed-app.com"}), &[])
        .await;
    p.record(
        "companies",
        json!({"name": "Feed", "domain": "feed-app.com"}),
        &[],
    )
    .await;
    let list = p.list("Never", "0-1", &[ann]).await;
    let door = p.connect().await;
    let line = CommandLine::new(&p.tenant, &door);
    let follower = line.follow(&["changes", "--follow"]);
    let heard = async |wanted: &[String]| follower.until(wanted, SOON).await;
    let made_of_bob = format!("hubspot.{}.{bob}", p.tenant.portal);
    door.people(json!([{"id": "ann", "version": 1, "email": "ann@feed-app.com"}]))
        .await;
    let company =
        json!({"id": "feed", "version": 1, "fields": {"website": "https://feed-app.com"}});
    door.ok("POST", "/companies", Some(json!({"items": [company]})))
        .await;
    heard(&[
        format!("contact\t{ann}\tchanged"),
        format!("list\t{list}\tchanged"),
        "person\tann\tchanged".to_owned(),
        format!("person\t{made_of_bob}\tchanged"),
        "app_company\tfeed\tchanged".to_owned(),
        "verdict\tann\tchanged".to_owned(),
        format!("verdict\t{made_of_bob}\tchanged"),
    ])
    .await;

    // Somebody edits a contact in HubSpot.
    p.set("contacts", ann, json!({"jobtitle": "Boss of Feed"}))
        .await;
    p.resync(json!({"types": ["contacts"]})).await;
    heard(&[
        format!("contact\t{ann}\tchanged"),
        "person\tann\tchanged".to_owned(),
    ])
    .await;

    // A list gets a use, and somebody is taken off it.
    change_settings(&door, |s| {
        s["lists"] = json!([{"list": list, "use": "suppression"}]);
    })
    .await;
    heard(&[
        format!("list\t{list}\tchanged"),
        format!("list_member\t{ann}\tadded\tlist {list}\tsuppression"),
        "verdict\tann\tchanged".to_owned(),
    ])
    .await;
    let path = format!("/crm/v3/lists/{list}/memberships/add-and-remove");
    let swap = json!({
        "recordIdsToAdd": [bob.to_string()], "recordIdsToRemove": [ann.to_string()],
    });
    p.hubspot("PUT", &path, Some(swap)).await;
    p.resync(json!({"types": ["lists"], "mode": {"mode": "from_scratch"}}))
        .await;
    heard(&[
        format!("list_member\t{ann}\tremoved\tlist {list}\tsuppression"),
        format!("list_member\t{bob}\tadded\tlist {list}\tsuppression"),
        "verdict\tann\tchanged".to_owned(),
        format!("verdict\t{made_of_bob}\tchanged"),
    ])
    .await;
    change_settings(&door, |s| {
        s["lists"] = json!([{"list": list, "use": "audience"}]);
    })
    .await;
    heard(&[
        format!("list\t{list}\tchanged"),
        format!("verdict\t{made_of_bob}\tchanged"),
    ])
    .await;
    let added = json!({
        "kind": "list_member", "id": bob.to_string(), "change": "added", "list": list, "use": "audience",
    });
    assert!(all(&door, 1_000).await.contains(&added));

    // The two become one, under an id of its own or under one of theirs.
    let merge = json!({"type": "contacts", "primary": ann, "other": bob});
    let merged = p.tenant.control("POST", "merges", Some(merge)).await;
    let living = number(&merged["id"]);
    p.resync(json!({"types": ["contacts"]})).await;
    let mut wanted = vec![
        format!("contact\t{living}\tchanged"),
        format!("contact\t{bob}\tmerged\tinto {living}"),
        format!("person\t{made_of_bob}\tmerged\tinto ann"),
    ];
    if living != ann {
        wanted.push(format!("contact\t{ann}\tmerged\tinto {living}"));
    }
    heard(&wanted).await;

    door.ok("POST", "/erasures", Some(json!({"person": "ann"})))
        .await;
    heard(&[
        format!("contact\t{living}\terased"),
        format!("contact\t{bob}\terased"),
        "person\tann\terased".to_owned(),
        format!("person\t{made_of_bob}\terased"),
    ])
    .await;

    // Whoever begins now hears no more of them than that, in pages of any size, and no values.
    let deadline = Instant::now() + SOON;
    let told = loop {
        let (large, small) = (all(&door, 1_000).await, all(&door, 1).await);
        if large == small {
            break large;
        }
        assert!(Instant::now() < deadline, "{large:#?} {small:#?}");
    };
    for item in &told {
        let id = item["id"].as_str().unwrap();
        let is_of = |all: &[String]| all.iter().any(|one| id == one);
        let one = is_of(&[living.to_string(), ann.to_string(), bob.to_string()]);
        if one || is_of(&["ann".to_owned(), made_of_bob.clone()]) {
            assert_eq!(item["change"], "erased", "{item}");
        }
    }
    let text = json!(told).to_string();
    for value in ["@", "Boss", "feed-app.com", "Never"] {
        assert!(!text.contains(value), "{text}");
    }
}
