//! Exports of people, and what HubSpot has of them afterwards.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{door::Door, mirrored, planted::Planted, profiles::until};

/// Asks for an export of a person, and waits for its end.
///
/// # Panics
/// When it takes too long.
pub async fn export(door: &Door, person: &str) -> Value {
    let body = json!({"person": person});
    let asked = door.ok("POST", "/exports", Some(body)).await;
    ended(
        door,
        asked["requests"][0]["request"].as_str().expect("an id"),
    )
    .await
}

/// Waits until a request has ended.
///
/// # Panics
/// When it takes too long.
pub async fn ended(door: &Door, request: &str) -> Value {
    let path = format!("/exports/{request}");
    until("the request ends", async || {
        let now = door.ok("GET", &path, None).await;
        is_final(&now["outcome"])
    })
    .await;
    door.ok("GET", &path, None).await["outcome"].clone()
}

/// Whether an outcome is the last one.
pub fn is_final(outcome: &Value) -> bool {
    matches!(
        outcome["state"].as_str(),
        Some("exported" | "skipped" | "failed")
    )
}

/// The live records of a type.
pub async fn live(p: &Planted, plural: &str) -> Vec<Value> {
    mirrored::records_of(&p.tenant, plural)
        .await
        .into_iter()
        .filter(|record| record["archived"] != true)
        .collect()
}

/// Writes that HubSpot was asked for, whatever came of them.
pub async fn writes(p: &Planted) -> usize {
    let all = p.tenant.requests().await;
    all.iter()
        .filter(|r| {
            let path = r["path"].as_str().unwrap_or_default();
            let read = ["/search", "/batch/read"]
                .iter()
                .any(|end| path.ends_with(end));
            let is_record = path.starts_with("/crm/objects/") || path.contains("/associations/");
            r["method"] != "GET" && is_record && !read
        })
        .count()
}

/// The domain of each contact's primary company, by address.
///
/// # Panics
/// When a contact has no address.
pub async fn primary_domains(p: &Planted) -> BTreeMap<String, Option<String>> {
    let companies = live(p, "companies").await;
    let domain_of = |id: &str| {
        let company = companies.iter().find(|c| c["id"] == id)?;
        company["properties"]["domain"].as_str().map(str::to_owned)
    };
    live(p, "contacts")
        .await
        .iter()
        .map(|contact| {
            let email = contact["properties"]["email"].as_str().expect("an address");
            let primary = mirrored::ties_of(contact)
                .into_iter()
                .find(|(_, _, label)| label == "contact_to_company")
                .and_then(|(_, id, _)| domain_of(&id));
            (email.to_owned(), primary)
        })
        .collect()
}

/// Entries of the journal about a person that are in a state.
///
/// # Panics
/// When the door refuses.
pub async fn entries(door: &Door, person: &str, state: &str) -> Vec<Value> {
    let path = format!("/people/{person}/journal?limit=1000");
    let page = door.ok("GET", &path, None).await;
    page["items"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| entry["state"] == state)
        .cloned()
        .collect()
}
