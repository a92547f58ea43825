//! Activities of the app, and how they stand.

use serde_json::{Value, json};

use crate::{door::Door, exports::is_final, profiles::until};

/// Sends activities; what came of each.
///
/// # Panics
/// When the call is refused.
pub async fn push(door: &Door, items: &[Value]) -> Vec<Value> {
    let answer = door
        .ok("POST", "/activities", Some(json!({"items": items})))
        .await;
    answer["items"].as_array().expect("outcomes").clone()
}

/// A person's activities, in the order of their ids.
///
/// # Panics
/// When the door refuses.
pub async fn listed(door: &Door, person: &str) -> Vec<Value> {
    let path = format!("/people/{person}/activities?limit=1000");
    let page = door.ok("GET", &path, None).await;
    page["items"].as_array().expect("activities").clone()
}

/// Waits until each of a person's activities has ended.
///
/// # Panics
/// When it takes too long.
pub async fn settle(door: &Door, person: &str) -> Vec<Value> {
    until("the activities have ended", async || {
        listed(door, person)
            .await
            .iter()
            .all(|a| is_final(&a["outcome"]))
    })
    .await;
    listed(door, person).await
}

/// The engagement of an activity, if HubSpot has one of it.
///
/// # Panics
/// When the door refuses.
pub async fn logged(door: &Door, person: &str, id: &str) -> Option<i64> {
    listed(door, person)
        .await
        .iter()
        .find(|a| a["id"] == id)
        .and_then(|a| a["engagement"].as_i64())
}
