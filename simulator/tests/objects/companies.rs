//! Companies that HubSpot makes by itself.

use serde_json::{Value, json};

use crate::portal::{Portal, objects};

async fn links(portal: &Portal, contact: &str) -> Value {
    let path = format!("{}/{contact}?associations=companies", objects("contacts"));
    portal.get(&path).await.1["associations"]["companies"]["results"].clone()
}

async fn companies(portal: &Portal) -> Vec<Value> {
    let path = format!("{}?properties=domain,name&limit=100", objects("companies"));
    portal.get(&path).await.1["results"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn it_comes_later_and_once_for_a_domain() {
    let portal =
        Portal::new(json!({"auto_companies": true, "auto_company_max_ms": 3_600_000})).await;
    let a = portal
        .create("contacts", json!({"email": "a@Acme.example.com"}))
        .await;
    let b = portal
        .create("contacts", json!({"email": "b@acme.example.com"}))
        .await;
    assert!(companies(&portal).await.is_empty(), "not at once");
    portal.control("POST", "settle", json!({})).await;
    let made = companies(&portal).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["properties"]["domain"], "acme.example.com");
    let id = made[0]["id"].clone();
    let primary = json!([
        {"id": id, "type": "contact_to_company"},
        {"id": id, "type": "contact_to_company_unlabeled"},
    ]);
    assert_eq!(links(&portal, &a).await, primary);
    assert_eq!(links(&portal, &b).await, primary);
}

#[tokio::test]
async fn free_mail_is_nobodys_company() {
    let portal = Portal::new(json!({"auto_companies": true})).await;
    let a = portal
        .create("contacts", json!({"email": "a@gmail.com"}))
        .await;
    let b = portal
        .create(
            "contacts",
            json!({"email": "b@gmail.com", "website": "https://www.acme.example.com/x"}),
        )
        .await;
    portal.create("contacts", json!({"firstname": "Ada"})).await;
    portal.control("POST", "settle", json!({})).await;
    let made = companies(&portal).await;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["properties"]["domain"], "acme.example.com");
    assert_eq!(links(&portal, &a).await, Value::Null);
    assert_eq!(links(&portal, &b).await[0]["id"], made[0]["id"]);
}

#[tokio::test]
async fn one_that_is_there_is_taken_by_domain_and_by_additional_domain() {
    let portal = Portal::new(json!({"auto_companies": true})).await;
    let acme = portal
        .create(
            "companies",
            json!({"name": "Acme", "domain": "acme.example.com",
            "hs_additional_domains": "acme.example.org;acme.example.net"}),
        )
        .await;
    let a = portal
        .create("contacts", json!({"email": "a@acme.example.com"}))
        .await;
    let b = portal
        .create("contacts", json!({"email": "b@acme.example.net"}))
        .await;
    portal.control("POST", "settle", json!({})).await;
    assert_eq!(companies(&portal).await.len(), 1);
    for contact in [&a, &b] {
        assert_eq!(links(&portal, contact).await[0]["id"], acme.as_str());
    }
}

#[tokio::test]
async fn it_may_replace_the_primary_that_was_set() {
    for (percent, replaced) in [(0, false), (100, true)] {
        let portal = Portal::new(json!({
            "auto_companies": true, "auto_company_primary_percent": percent,
        }))
        .await;
        let ours = portal.create("companies", json!({"name": "Ours"})).await;
        let (status, contact) = portal
            .post(
                &objects("contacts"),
                json!({"properties": {"email": "a@acme.example.com"},
                       "associations": [{"to": {"id": ours}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]}]}),
            )
            .await;
        assert_eq!(status, 201);
        portal.control("POST", "settle", json!({})).await;
        let links = links(&portal, contact["id"].as_str().unwrap()).await;
        let primaries: Vec<&Value> = links
            .as_array()
            .unwrap()
            .iter()
            .filter(|l| l["type"] == "contact_to_company")
            .collect();
        assert_eq!(primaries.len(), 1, "{links}");
        assert_eq!(primaries[0]["id"] != ours.as_str(), replaced, "{percent}");
        assert_eq!(links.as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn seeds_and_portals_without_the_setting_make_none() {
    let portal = Portal::new(json!({"contacts": 20, "auto_companies": true})).await;
    portal.control("POST", "settle", json!({})).await;
    assert!(companies(&portal).await.is_empty());
    let portal = Portal::new(json!({})).await;
    portal
        .create("contacts", json!({"email": "a@acme.example.com"}))
        .await;
    portal.control("POST", "settle", json!({})).await;
    assert!(companies(&portal).await.is_empty());
}
