//! What can be seen of a workspace from outside, and of the front door in its log.

use serde_json::Value;

use crate::{Tenant, door::Door};

/// Everything that the API shows of a workspace.
///
/// # Panics
/// When the door refuses.
pub async fn everything(door: &Door) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/people",
        "/companies",
        "/members",
        "/exports",
        "/owners",
        "/fields",
        "/settings",
        "/hubspot/status",
    ] {
        all.push(door.ok("GET", path, None).await);
    }
    // How long ago something was read changes by itself.
    for object in all
        .iter_mut()
        .flat_map(|one| one["objects"].as_array_mut())
        .flatten()
    {
        object["freshness"] = Value::Null;
    }
    all
}

/// The lines of the front door's log that hold a text.
///
/// # Panics
/// When there is no log.
pub fn logged(tenant: &Tenant, text: &str) -> usize {
    let log = tenant.api.addresses().logs.join("web.log");
    let log = std::fs::read_to_string(log).expect("a log");
    log.lines().filter(|line| line.contains(text)).count()
}
