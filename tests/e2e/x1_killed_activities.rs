//! X1, X2, E8: activities survive the loss of any worker during their writes, and each is one engagement.

use std::{collections::BTreeMap, time::Duration};

use dev::demo::Api;
use e2e::{
    activities::{listed, push},
    door::Door,
    exports::{entries, is_final, writes},
    planted::Planted,
    stacks::{OwnStack, until_within},
};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::x1_activities::{count, exported, kinds, landed, times};

/// As short as in the stack that the others share.
const ENVIRONMENT: &[(&str, &str)] = &[("EXPORT_SETTLE_SECONDS", "8")];
/// What is lost has to time out, and what is open has to have had its time.
const PATIENCE: Duration = Duration::from_secs(240);

/// A portal with somebody for each kind of activity.
struct World {
    p: Planted,
    door: Door,
}

impl World {
    async fn new(api: &Api, settings: Value) -> Self {
        let people: Vec<String> = kinds()
            .iter()
            .map(|(kind, ..)| (*kind).to_owned())
            .collect();
        let (p, door) = exported(Planted::on(api, settings).await, &people).await;
        Self { p, door }
    }

    /// Sends one activity of each kind, or a newer version of it, and waits until each is being written,
    /// to which this happens.
    async fn at_their_writes(&self, version: u32, when: &str, effect: &Value) {
        let mut items = Vec::new();
        for (kind, plural, content) in kinds() {
            let (method, path) = match version {
                1 => ("POST", format!("/crm/objects/2026-09/{plural}$")),
                _ => ("PATCH", format!("/crm/objects/2026-09/{plural}/")),
            };
            let mut content = content;
            let text = format!("{kind} of version {version}");
            let (_, fields) = content.as_object_mut().unwrap().iter_mut().next().unwrap();
            let field = ["text", "title", "note"]
                .into_iter()
                .find(|f| fields.get(*f).is_some());
            fields[field.unwrap()] = json!(text);
            let rule = json!({
                "method": method, "path": path, "body": text, "times": 1, "when": when, "effect": effect,
            });
            self.p.tenant.control("POST", "faults", Some(rule)).await;
            items.push(json!({
                "id": kind, "version": version, "person": kind, "at": "2026-01-05T08:30:00.250Z",
                "content": content,
            }));
        }
        push(&self.door, &items).await;
        until_within("each write is on its way", PATIENCE, async || {
            let rules = self.p.tenant.control("GET", "faults", None).await;
            let mut rules = rules["faults"].as_array().unwrap().iter();
            rules.all(|rule| rule["struck"] == 1)
        })
        .await;
    }

    async fn all(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (kind, ..) in kinds() {
            all.extend(listed(&self.door, kind).await);
        }
        all
    }

    async fn ended(&self, version: u32) {
        until_within("each has ended", PATIENCE, async || {
            let all = self.all().await;
            all.iter()
                .all(|a| a["version"] == version && is_final(&a["outcome"]))
        })
        .await;
    }

    async fn assert_once(&self, version: u32) {
        self.ended(version).await;
        self.p.tenant.control("DELETE", "faults", None).await;
        landed(&self.p).await;
        until_within("no entry is left open", PATIENCE, async || {
            for (kind, ..) in kinds() {
                if !entries(&self.door, kind, "open").await.is_empty() {
                    return false;
                }
            }
            true
        })
        .await;
        let all = self.all().await;
        assert!(
            all.iter().all(|a| a["outcome"]["state"] == "exported"),
            "{all:#?}"
        );
        assert_eq!(count(&self.p).await, times(1), "{all:#?}");
        let mut said: BTreeMap<&str, bool> = BTreeMap::new();
        for (kind, plural, _) in kinds() {
            let text = format!("{kind} of version {version}");
            let found = e2e::exports::live(&self.p, plural).await;
            said.insert(kind, json!(found).to_string().contains(&text));
        }
        assert!(said.values().all(|newest| *newest), "{said:?}");
        // The app sends them once more, and nothing is left to write.
        let before = writes(&self.p).await;
        for (kind, ..) in kinds() {
            let again = json!({"person": kind});
            self.door.ok("POST", "/exports", Some(again)).await;
        }
        self.ended(version).await;
        assert_eq!(writes(&self.p).await, before, "nothing is left to write");
    }
}

/// A worker is killed after its writes took effect; another one freezes during its writes, is taken for dead,
/// and goes on when all is done. Both happen to creates and to edits.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_or_frozen_while_it_logs_leaves_each_there_once() {
    let mut stack = OwnStack::start(2, ENVIRONMENT).await;
    // Whoever writes is the first one.
    stack.kill_hard("worker-1").unwrap();
    let api = Api::new(stack.addresses()).unwrap();
    let hangs = json!({"hang": {"ms": 60_000}});
    let late = json!({"delay": {"ms": 3_000}});
    for freezes in [false, true] {
        let refused = json!({"engagement_unique_keys": "refused"});
        let worlds = [World::new(&api, json!({})), World::new(&api, refused)];
        let worlds: Vec<World> = join_all(worlds).await;
        for version in [1, 2] {
            let (when, effect) = if freezes {
                ("before", &late)
            } else {
                ("after", &hangs)
            };
            join_all(
                worlds
                    .iter()
                    .map(|w| w.at_their_writes(version, when, effect)),
            )
            .await;
            if freezes {
                stack.signal("worker-0", "-STOP");
                stack.start_worker(1).unwrap();
                stack.wait_worker(1).await.unwrap();
                join_all(worlds.iter().map(|w| w.ended(version))).await;
                stack.signal("worker-0", "-CONT");
                stack.wait_worker(0).await.unwrap();
                stack.kill_hard("worker-1").unwrap();
            } else {
                stack.kill_hard("worker-0").unwrap();
                stack.start_worker(0).unwrap();
                stack.wait_worker(0).await.unwrap();
            }
            join_all(worlds.iter().map(|w| w.assert_once(version))).await;
        }
    }
}
