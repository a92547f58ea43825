//! Owners, and the account.

use serde_json::{Value, json};

use crate::portal::{Portal, objects};

const OWNERS: &str = "/crm/owners/2026-09";

#[tokio::test]
async fn archived_owners_are_in_a_list_of_their_own() {
    let portal = Portal::new(json!({"owners": 15})).await;
    let (_, active) = portal.get(OWNERS).await;
    let active = active["results"].as_array().unwrap();
    assert_eq!(active.len(), 13);
    assert!(
        active
            .iter()
            .all(|o| o["archived"] == false && o["userId"].is_u64())
    );
    let (_, archived) = portal.get(&format!("{OWNERS}?archived=true")).await;
    let archived = archived["results"].as_array().unwrap();
    assert_eq!(archived.len(), 2);
    for owner in archived {
        assert_eq!(owner["userId"], Value::Null);
        assert!(owner["userIdIncludingInactive"].is_u64());
        let id = owner["id"].as_str().unwrap();
        assert_eq!(portal.get(&format!("{OWNERS}/{id}")).await.0, 404);
        assert_eq!(
            portal.get(&format!("{OWNERS}/{id}?archived=true")).await.0,
            200
        );
    }
    portal
        .control("PATCH", "", json!({"archived_owners_with_active": true}))
        .await;
    let (_, both) = portal.get(&format!("{OWNERS}?archived=true")).await;
    assert_eq!(both["results"].as_array().unwrap().len(), 15);
    let with_teams = active.iter().find(|o| o["teams"].is_array()).unwrap();
    assert_eq!(with_teams["teams"][0]["primary"], true);
    assert!(with_teams["teams"][0]["id"].is_string());
}

#[tokio::test]
async fn owners_by_page_email_and_user() {
    let portal = Portal::new(json!({"owners": 6})).await;
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let (_, page) = portal.get(&format!("{OWNERS}?limit=4{after}")).await;
        ids.extend(
            page["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|o| o["id"].clone()),
        );
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 6);
    let (_, one) = portal.get(&format!("{OWNERS}/500002")).await;
    let email = one["email"].as_str().unwrap();
    let (_, found) = portal
        .get(&format!("{OWNERS}?email={}", email.to_uppercase()))
        .await;
    assert_eq!(found["results"], json!([one]));
    let user = one["userId"].to_string();
    let (_, by_user) = portal
        .get(&format!("{OWNERS}/{user}?idProperty=userId"))
        .await;
    assert_eq!(by_user, one);
    assert_eq!(portal.get(&format!("{OWNERS}/{user}")).await.0, 404);
    assert_eq!(
        portal
            .get(&format!("{OWNERS}/{user}?idProperty=email"))
            .await
            .0,
        400
    );
    assert_eq!(portal.get(&format!("{OWNERS}?limit=501")).await.0, 400);
    assert_eq!(portal.post(OWNERS, json!({})).await.0, 405);
}

#[tokio::test]
async fn an_owner_is_deactivated() {
    let portal = Portal::new(json!({"owners": 1})).await;
    let assign = json!({"properties": {"email": "a@example.com", "hubspot_owner_id": "500000"}});
    let (status, _) = portal.post(&objects("contacts"), assign.clone()).await;
    assert_eq!(status, 201);
    portal
        .control("PATCH", "owners/500000", json!({"archived": true}))
        .await;
    assert_eq!(portal.get(OWNERS).await.1["results"], json!([]));
    assert_eq!(portal.post(&objects("contacts"), assign).await.0, 400);
}

#[tokio::test]
async fn the_account_is_the_portal() {
    let portal = Portal::new(json!({})).await;
    for path in ["/account-info/2026-09/details", "/account-info/v3/details"] {
        let (status, account) = portal.get(path).await;
        assert_eq!(
            (status, account["portalId"].as_u64()),
            (200, Some(portal.id))
        );
        assert_eq!(account["timeZone"], "US/Eastern");
    }
}

#[tokio::test]
async fn seeds_have_what_is_asked_for() {
    let portal = Portal::new(json!({
        "contacts": 50, "companies": 10, "engagements": 120, "odd_types": true,
    }))
    .await;
    let (_, counts) = portal.control("GET", "", json!(null)).await;
    let live = |kind: &str| counts["objects"][kind]["live"].as_u64().unwrap();
    let engagements = [
        "emails",
        "calls",
        "meetings",
        "notes",
        "tasks",
        "communications",
    ];
    assert_eq!(engagements.iter().map(|k| live(k)).sum::<u64>(), 120);
    assert!(engagements.iter().all(|k| live(k) > 0));
    let (_, notes) = portal
        .get(&format!(
            "{}?associations=contacts&properties=hs_timestamp",
            objects("notes")
        ))
        .await;
    assert!(notes["results"][0]["associations"]["contacts"]["results"][0]["id"].is_string());
    assert!(notes["results"][0]["properties"]["hs_timestamp"].is_string());
    let (_, companies) = portal
        .get(&format!(
            "{}?properties=numberofemployees",
            objects("companies")
        ))
        .await;
    let odd = companies["results"].as_array().unwrap().iter().filter(|c| {
        c["properties"]["numberofemployees"]
            .as_str()
            .is_some_and(|n| n.parse::<f64>().is_err())
    });
    assert!(odd.count() > 0);
}
