//! Exports of people, and what HubSpot has of them afterwards.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{door::Door, mirrored, planted::Planted, profiles::until};

/// Calls of the front door at a time.
const AT_ONCE: usize = 8;
/// The longest wait for many exports.
const LONG: Duration = Duration::from_secs(300);
/// The same for each of hundreds, one by one: HubSpot's limits leave room for one a second and portal.
const EACH: Duration = Duration::from_secs(2);

/// Asks for an export of a person. Says the request's id.
///
/// # Panics
/// When it is refused.
pub async fn ask(door: &Door, person: &str) -> String {
    let body = json!({"person": person});
    let asked = door.ok("POST", "/exports", Some(body)).await;
    let request = asked["requests"][0]["request"].as_str();
    request.expect("an id").to_owned()
}

/// Asks for an export of a person, and waits for its end.
///
/// # Panics
/// When it takes too long.
pub async fn export(door: &Door, person: &str) -> Value {
    ended(door, &ask(door, person).await).await
}

/// Asks for exports of all these people at once, and waits for their ends, as long as a slow machine may
/// take. Says how each ended, in their order.
///
/// # Panics
/// When they take too long.
pub async fn export_all(door: &Door, people: &[String]) -> Vec<Value> {
    let asked: Vec<String> = futures::stream::iter(people)
        .map(|person| ask(door, person))
        .buffered(AT_ONCE)
        .collect()
        .await;
    all_ended(door, &asked).await
}

/// Waits until all requests have ended, as long as a slow machine may take. Says how each ended.
///
/// # Panics
/// When they take too long.
pub async fn all_ended(door: &Door, requests: &[String]) -> Vec<Value> {
    let each = EACH * u32::try_from(requests.len()).unwrap_or(u32::MAX);
    let deadline = Instant::now() + LONG.max(each);
    let mut ends = Vec::new();
    for request in requests {
        let path = format!("/exports/{request}");
        let mut now = door.ok("GET", &path, None).await;
        while !is_final(&now["outcome"]) {
            if Instant::now() >= deadline {
                let ended = ends.len();
                panic!(
                    "the first {ended} of {} have ended, not {now}",
                    requests.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            now = door.ok("GET", &path, None).await;
        }
        ends.push(now);
    }
    ends
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
