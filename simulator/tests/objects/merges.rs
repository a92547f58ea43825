//! Merging and erasing.

use serde_json::{Value, json};

use crate::portal::{Portal, id_of, objects};

async fn merge(portal: &Portal, kind: &str, primary: &str, other: &str) -> (u16, Value) {
    portal
        .post(
            &format!("{}/merge", objects(kind)),
            json!({"primaryObjectId": primary, "objectIdToMerge": other}),
        )
        .await
}

async fn link(portal: &Portal, contact: &str, company: &str, type_id: u32) {
    let path = format!("/crm/v4/objects/contacts/{contact}/associations/companies/{company}");
    let body = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]);
    let (status, body) = portal.put(&path, body).await;
    assert_eq!(status, 201, "{body}");
}

#[tokio::test]
async fn two_become_a_third() {
    let portal = Portal::new(json!({})).await;
    let a = portal
        .create(
            "contacts",
            json!({"email": "a@example.com", "city": "Oslo"}),
        )
        .await;
    let b = portal
        .create(
            "contacts",
            json!({"email": "b@example.com", "city": "Lima", "jobtitle": "CEO"}),
        )
        .await;
    let one = portal.create("companies", json!({"name": "One"})).await;
    let two = portal.create("companies", json!({"name": "Two"})).await;
    link(&portal, &a, &one, 1).await;
    link(&portal, &b, &two, 1).await;
    let (status, merged) = merge(&portal, "contacts", &a, &b).await;
    assert_eq!(status, 200, "{merged}");
    let new = merged["id"].as_str().unwrap().to_owned();
    assert!(new != a && new != b);
    // Both old ids lead to the new record, in single reads and writes.
    for old in [&a, &b, &new] {
        let path = format!(
            "{}/{old}?properties=city,jobtitle,email,hs_additional_emails,hs_merged_object_ids,hs_calculated_merged_vids",
            objects("contacts")
        );
        let (status, found) = portal.get(&path).await;
        assert_eq!((status, found["id"].as_str()), (200, Some(new.as_str())));
        let p = &found["properties"];
        assert_eq!(p["city"], "Oslo", "the primary wins");
        assert_eq!(p["jobtitle"], "CEO");
        assert_eq!(p["email"], "a@example.com");
        assert_eq!(p["hs_additional_emails"], "b@example.com");
        assert_eq!(p["hs_merged_object_ids"], format!("{a};{b}"));
        assert!(
            p["hs_calculated_merged_vids"]
                .as_str()
                .unwrap()
                .starts_with(&format!("{a}:"))
        );
    }
    let path = format!("{}/{b}", objects("contacts"));
    let (status, updated) = portal
        .patch(&path, json!({"properties": {"city": "Rome"}}))
        .await;
    assert_eq!((status, updated["id"].as_str()), (200, Some(new.as_str())));
    // A batch drops old ids without a word.
    let (status, body) = portal
        .post(
            &format!("{}/batch/update", objects("contacts")),
            json!({"inputs": [{"id": a, "properties": {"city": "x"}}, {"id": new, "properties": {"city": "Bonn"}}]}),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
    assert!(body.get("errors").is_none());
    assert_eq!(portal.value("contacts", &new, "city").await, "Bonn");
    let read = json!({"inputs": [{"id": a}]});
    let batch_read = format!("{}/batch/read", objects("contacts"));
    let (_, body) = portal.post(&batch_read, read.clone()).await;
    assert_eq!(body["results"][0]["id"], new.as_str());
    portal
        .control("PATCH", "", json!({"batch_read_follows_merges": false}))
        .await;
    let (status, body) = portal.post(&batch_read, read).await;
    assert_eq!(
        (status, body["errors"][0]["context"]["ids"].clone()),
        (207, json!([a]))
    );
    // Associations moved; one primary is left.
    let (_, found) = portal
        .get(&format!(
            "{}/{new}?associations=companies",
            objects("contacts")
        ))
        .await;
    assert_eq!(
        found["associations"]["companies"]["results"],
        json!([
            {"id": one, "type": "contact_to_company"},
            {"id": one, "type": "contact_to_company_unlabeled"},
            {"id": two, "type": "contact_to_company_unlabeled"},
        ])
    );
    let (_, company) = portal
        .get(&format!(
            "{}/{two}?associations=contacts",
            objects("companies")
        ))
        .await;
    assert_eq!(
        company["associations"]["contacts"]["results"][0]["id"],
        new.as_str()
    );
    // The address of the other is still taken.
    let (status, _) = portal
        .post(
            &objects("contacts"),
            json!({"properties": {"email": "b@example.com"}}),
        )
        .await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn merges_of_merged_ones() {
    let portal = Portal::new(json!({})).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(portal.create("companies", json!({"name": name})).await);
    }
    let (_, first) = merge(&portal, "companies", &ids[0], &ids[1]).await;
    // By an old id: it stands for the record.
    let (status, second) = merge(&portal, "companies", &ids[2], &ids[1]).await;
    assert_eq!(status, 200, "{second}");
    let new = second["id"].as_str().unwrap();
    for old in &ids {
        let (_, found) = portal.get(&format!("{}/{old}", objects("companies"))).await;
        assert_eq!(found["id"], new);
    }
    let merged = portal.value("companies", new, "hs_merged_object_ids").await;
    let merged: Vec<&str> = merged.as_str().unwrap().split(';').collect();
    assert_eq!(merged.len(), 4);
    assert!(merged.contains(&first["id"].as_str().unwrap()));
    assert_eq!(
        merge(&portal, "companies", new, &ids[0]).await.0,
        400,
        "with itself"
    );
    assert_eq!(merge(&portal, "companies", new, "1").await.0, 404);
    let note = portal
        .create("notes", json!({"hs_timestamp": "1767225600000"}))
        .await;
    assert_eq!(merge(&portal, "notes", &note, &note).await.0, 404);
}

#[tokio::test]
async fn a_record_has_its_limit_of_merges() {
    let portal = Portal::new(json!({"companies": 252})).await;
    let mut ids: Vec<String> = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("{}?limit=100{after}", objects("companies"));
        let (_, page) = portal.get(&path).await;
        ids.extend(page["results"].as_array().unwrap().iter().map(id_of));
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    for other in &ids[1..251] {
        assert_eq!(merge(&portal, "companies", &ids[0], other).await.0, 200);
    }
    assert_eq!(merge(&portal, "companies", &ids[0], &ids[251]).await.0, 414);
}

#[tokio::test]
async fn people_merge_by_the_control_as_well() {
    let portal = Portal::new(json!({})).await;
    let a = portal
        .create("deals", json!({"dealname": "a", "dealstage": "closedwon"}))
        .await;
    let b = portal
        .create("deals", json!({"dealname": "b", "dealstage": "closedwon"}))
        .await;
    let (status, merged) = portal
        .control(
            "POST",
            "merges",
            json!({"type": "deals", "primary": a.parse::<u64>().unwrap(), "other": b.parse::<u64>().unwrap()}),
        )
        .await;
    assert_eq!(status, 201);
    let (_, found) = portal.get(&format!("{}/{b}", objects("deals"))).await;
    assert_eq!(found["id"], merged["id"]);
}

#[tokio::test]
async fn erased_people_do_not_come_back() {
    let portal = Portal::new(json!({})).await;
    let id = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let erase = format!("{}/gdpr-delete", objects("contacts"));
    assert_eq!(portal.post(&erase, json!({"objectId": "1"})).await.0, 404);
    assert_eq!(portal.post(&erase, json!({"objectId": id})).await.0, 204);
    assert_eq!(
        portal.get(&format!("{}/{id}", objects("contacts"))).await.0,
        404
    );
    assert_eq!(
        portal
            .get(&format!("{}?archived=true", objects("contacts")))
            .await
            .1["results"],
        json!([])
    );
    // An address that nobody has is blocked.
    let (status, _) = portal
        .post(
            &erase,
            json!({"objectId": "n@example.com", "idProperty": "email"}),
        )
        .await;
    assert_eq!(status, 204);
    for email in ["a@example.com", "N@example.com"] {
        let new = json!({"properties": {"email": email}});
        assert_eq!(portal.post(&objects("contacts"), new).await.0, 400);
    }
    portal
        .control("PATCH", "", json!({"blocklist_refuses": false}))
        .await;
    portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
}
