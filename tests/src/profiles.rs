//! A portal with chosen contacts, and the profiles that come of it.

use std::time::{Duration, Instant};

use domain::app::RecordKind;
use serde_json::{Value, json};
use store::{ProfileChange, ProjectionDue, Store};

use crate::{Tenant, door::Door, object, shared, store_of};

/// A workspace whose portal holds no more than what a test puts there.
#[derive(Debug, Clone)]
pub struct World {
    /// The workspace.
    pub tenant: Tenant,
    /// Its door.
    pub door: Door,
    /// The store.
    pub store: Store,
}

/// Longest wait for what the next sweep begins.
const SOON: Duration = Duration::from_secs(90);

impl World {
    /// Not connected yet.
    pub async fn new() -> Self {
        let tenant = Tenant::new(
            &shared(),
            json!({
                "contacts": 0, "companies": 0, "deals": 0, "lists": 0, "owners": 3, "limits": "off",
                "auto_companies": false, "search_lag_ms": 0,
            }),
        )
        .await;
        let door = Door::of_installation(&tenant);
        let store = store_of(tenant.api.addresses()).await;
        Self {
            tenant,
            door,
            store,
        }
    }

    /// A contact that was there before, whatever its values.
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn contact(&self, properties: Value) -> u64 {
        self.plant("contacts", properties).await
    }

    /// A record that was there before, whatever its values.
    ///
    /// # Panics
    /// When the simulator refuses.
    pub async fn plant(&self, kind: &str, properties: Value) -> u64 {
        let path = format!("records/{kind}");
        let made = self
            .tenant
            .control("POST", &path, Some(json!({"properties": properties})))
            .await;
        made["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a number")
    }

    /// Values of a contact, set by a person in HubSpot.
    pub async fn edit(&self, contact: u64, properties: Value) {
        let path = format!("records/contacts/{contact}");
        let body = json!({"properties": properties});
        self.tenant.control("PATCH", &path, Some(body)).await;
    }

    /// Connects, and waits until the backfill is over. Before it the workspace is not known.
    pub async fn connect(&mut self) {
        self.tenant.connect().await;
        self.tenant.wait_for_phase("syncing", SOON).await;
        self.door = Door::of(&self.tenant).await;
    }

    /// Saves settings with these rows for contacts.
    pub async fn map(&self, rows: Value) {
        let now = self.door.ok("GET", "/settings", None).await;
        let mut settings = now["settings"].clone();
        settings["contacts"] = rows;
        let body = json!({"expected_revision": now["revision"], "settings": settings});
        self.door.ok("PUT", "/settings", Some(body)).await;
    }

    /// Reads again what changed, and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn resync(&self, body: Value) {
        let asked = self.door.ok("POST", "/hubspot/resync", Some(body)).await;
        let deadline = Instant::now() + SOON;
        loop {
            let status = self.tenant.status().await;
            if status["run"]["run"] == asked["run"] && status["run"]["state"] == "finished" {
                return;
            }
            assert!(Instant::now() < deadline, "{status:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The profile of a person; null where there is none.
    pub async fn profile(&self, person: &str) -> Value {
        let path = format!("/people/{person}/profile");
        let answer = self.door.call("GET", &path, None).await;
        if answer.status == 404 {
            Value::Null
        } else {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.body
        }
    }

    /// Waits until the profile is as wanted.
    ///
    /// # Panics
    /// When it does not become so in time.
    pub async fn profile_when(&self, person: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            last = self.profile(person).await;
            if wanted(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the profile of {person} stays {last:#}");
    }

    /// The id of the person who is made of a contact.
    pub fn made_of(&self, contact: u64) -> String {
        format!("hubspot.{}.{contact}", self.tenant.portal)
    }

    /// The ids of all people, the app's and those who were made from contacts.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn people(&self) -> Vec<String> {
        let mut all = Vec::new();
        for listing in ["/people?limit=1000", "/people?limit=1000&imported=true"] {
            let page = self.door.ok("GET", listing, None).await;
            assert_eq!(page["next"], Value::Null, "more than a page");
            for person in page["items"].as_array().into_iter().flatten() {
                all.push(person["id"].as_str().expect("an id").to_owned());
            }
        }
        all.sort();
        all
    }

    /// The changes of profiles after one of them.
    ///
    /// # Panics
    /// When the store does not answer.
    pub async fn changes(&self, after: Option<&ProfileChange>) -> Vec<ProfileChange> {
        self.store
            .profile_changes_after(self.tenant.workspace, self.tenant.portal, after, 10_000)
            .await
            .expect("changes")
    }

    /// Waits until these people's profiles were noticed to have changed after a position.
    ///
    /// # Panics
    /// When they are not in time.
    pub async fn changed(&self, after: Option<&ProfileChange>, people: &[String]) {
        until("profiles are noticed", async || {
            let seen = self.changes(after).await;
            people.iter().all(|id| {
                seen.iter()
                    .any(|c| c.record == RecordKind::Person && c.id == *id && !c.gone)
            })
        })
        .await;
    }

    /// Lets links and profiles follow a step, without waiting for who does it by itself. Whether they
    /// have followed everything.
    ///
    /// # Panics
    /// When the store does not answer.
    pub async fn follow(&self) -> bool {
        let (workspace, portal) = (self.tenant.workspace, self.tenant.portal);
        let basis = self.store.projection_basis(workspace, portal).await;
        let (basis, mark) = basis.expect("what links are made by");
        let due = ProjectionDue { workspace, portal };
        let step = self.store.project_profiles(due, &basis, &mark).await;
        step.expect("a step");
        let behind = self.store.projections_due(None, 10_000).await;
        let behind = behind.expect("what is due");
        behind
            .iter()
            .any(|s| s.workspace == workspace && matches!(s.row, Ok(None)))
    }

    /// Waits until whoever follows changes sees all that was committed so far: transactions of others, that
    /// began before, hold them up.
    ///
    /// # Panics
    /// When they do not end in time.
    pub async fn all_is_seen(&self) {
        let mark = self.store.change_mark().await;
        until("changes are settled", async || {
            self.store.is_settled(mark).await
        })
        .await;
    }

    /// Waits until links and profiles have followed everything. Says the last change.
    ///
    /// # Panics
    /// When they do not in time.
    pub async fn settled(&self) -> Option<ProfileChange> {
        self.all_is_seen().await;
        until("profiles have followed", async || {
            let due = self.store.projections_due(None, 10_000).await;
            due.expect("what is due").iter().any(|swept| {
                swept.workspace == self.tenant.workspace && matches!(swept.row, Ok(None))
            })
        })
        .await;
        self.changes(None).await.pop()
    }

    /// The last request that HubSpot saw.
    pub async fn last_request(&self) -> u64 {
        let all = self.tenant.requests().await;
        all.last().and_then(|r| r["seq"].as_u64()).unwrap_or(0)
    }

    /// How far a type is, as the status shows it.
    pub async fn type_status(&self, name: &str) -> Value {
        object(&self.tenant.status().await, name).clone()
    }
}

/// Waits until something holds.
///
/// # Panics
/// When it does not in time.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A row for import alone.
pub fn row(field: &str, property: &str, priority: &str) -> Value {
    json!({
        "app_field": field, "property": property, "import_priority": priority,
        "export": "do_not_export",
    })
}
