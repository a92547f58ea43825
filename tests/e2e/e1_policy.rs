//! E1: the policy table, end to end. Each combination of policy, facts, when they came, how an export is
//! asked for, and whether records may be made, with what `product.md` says of it.

use std::collections::BTreeMap;

use e2e::{
    door::Door,
    exports::{is_final, live},
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::{Value, json};

const POLICIES: [&str; 3] = ["all_contacted", "replied", "replied_positively"];
const FACTS: [&str; 4] = ["nothing", "contacted", "replied", "positively"];

/// When a fact came, and how an export is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nobody asks; the fact comes after the settings were saved.
    Nobody,
    /// Nobody asks; the fact came before.
    NobodyEarlier,
    Manual,
    Bulk,
    BulkEarlier,
    /// And an admin confirms that those are taken too.
    BulkEarlierConfirmed,
}

const ASKED: [Asked; 6] = [
    Asked::Nobody,
    Asked::NobodyEarlier,
    Asked::Manual,
    Asked::Bulk,
    Asked::BulkEarlier,
    Asked::BulkEarlierConfirmed,
];

impl Asked {
    fn is_earlier(self) -> bool {
        matches!(
            self,
            Self::NobodyEarlier | Self::BulkEarlier | Self::BulkEarlierConfirmed
        )
    }
}

/// What becomes of somebody, by `product.md` alone: exported, or the reason; nothing where there is no
/// request.
fn wanted(policy: usize, facts: usize, asked: Asked) -> Option<&'static str> {
    // A positive reply is a reply, and a reply means that the person was contacted.
    let qualifies = facts > policy;
    let missing = ["not_contacted", "not_replied", "not_replied_positively"][policy];
    match asked {
        Asked::Manual => Some("exported"),
        Asked::Nobody => qualifies.then_some("exported"),
        Asked::NobodyEarlier => None,
        Asked::Bulk => Some(if qualifies { "exported" } else { missing }),
        Asked::BulkEarlier => Some(if qualifies {
            "qualified_earlier"
        } else {
            missing
        }),
        Asked::BulkEarlierConfirmed => Some(if qualifies { "exported" } else { missing }),
    }
}

fn person(id: &str, version: u64, facts: usize) -> Value {
    let now = chrono::Utc::now();
    let mut person = json!({"id": id, "version": version, "email": format!("{id}@policy-e1.com")});
    let all = ["contacted_at", "replied_at", "replied_positively_at"];
    if facts > 0 {
        person[all[facts - 1]] = json!(now);
    }
    person
}

fn id_of(facts: usize, asked: Asked) -> String {
    format!("{}-{asked:?}", FACTS[facts]).to_lowercase()
}

/// The outcome of each person's only request: its state, or the reason of one that was left out.
async fn outcomes(door: &Door) -> BTreeMap<String, String> {
    let listed = door.ok("GET", "/exports?limit=1000", None).await;
    let items = listed["items"].as_array().unwrap().clone();
    items
        .iter()
        .map(|row| {
            let outcome = &row["outcome"];
            let text = outcome["reason"].as_str().or(outcome["state"].as_str());
            let end = if is_final(outcome) {
                text.unwrap().to_owned()
            } else {
                format!("still {outcome}")
            };
            (row["person"].as_str().unwrap().to_owned(), end)
        })
        .collect()
}

#[tokio::test]
async fn each_policy_exports_whom_it_says() {
    futures::future::join_all((0..POLICIES.len()).map(by_policy)).await;
}

async fn by_policy(policy: usize) {
    let p = Planted::new().await;
    let door = p.connect().await;
    let all = |earlier: bool| -> Vec<(usize, Asked)> {
        (0..FACTS.len())
            .flat_map(|facts| ASKED.map(|asked| (facts, asked)))
            .filter(|(_, asked)| asked.is_earlier() == earlier)
            .collect()
    };
    let people = |of: &[(usize, Asked)]| -> Vec<Value> {
        of.iter()
            .map(|(facts, asked)| person(&id_of(*facts, *asked), 1, *facts))
            .collect()
    };
    door.people(json!(people(&all(true)))).await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!(POLICIES[policy]);
    })
    .await;
    // Whom nobody asks for goes by itself; the others are only known when somebody asks.
    let (by_itself, asked): (Vec<_>, Vec<_>) = all(false)
        .into_iter()
        .partition(|(_, asked)| *asked == Asked::Nobody);
    door.people(json!(people(&by_itself))).await;
    let quiet: Vec<Value> = asked
        .iter()
        .map(|(facts, asked)| person(&id_of(*facts, *asked), 1, *facts))
        .collect();
    // Bulk and manual requests are made together with the facts: whichever comes first, the outcome is one.
    door.people(json!(quiet)).await;
    for facts in 0..FACTS.len() {
        let body = json!({"person": id_of(facts, Asked::Manual)});
        door.ok("POST", "/exports", Some(body)).await;
    }
    for (kind, confirmed) in [
        (Asked::Bulk, false),
        (Asked::BulkEarlier, false),
        (Asked::BulkEarlierConfirmed, true),
    ] {
        let ids: Vec<String> = (0..FACTS.len()).map(|facts| id_of(facts, kind)).collect();
        let body = json!({"people": ids, "include_earlier": confirmed});
        door.ok("POST", "/bulk-exports", Some(body)).await;
    }
    let mut want = BTreeMap::new();
    for facts in 0..FACTS.len() {
        for asked in ASKED {
            if let Some(outcome) = wanted(policy, facts, asked) {
                want.insert(id_of(facts, asked), outcome.to_owned());
            }
        }
    }
    until("all requests end as the policy says", async || {
        outcomes(&door).await == want
    })
    .await;
    let exported = want.values().filter(|end| *end == "exported").count();
    assert_eq!(
        live(&p, "contacts").await.len(),
        exported,
        "policy {policy}"
    );
}

#[tokio::test]
async fn nothing_goes_by_itself_before_the_settings_are_saved_and_update_only_makes_nothing() {
    let p = Planted::new().await;
    let there = json!({"email": "there@only-e1.com"});
    p.record("contacts", there, &[]).await;
    let door = p.connect().await;
    let lead = |id: &str, version: u64| {
        json!([{"id": id, "version": version, "email": format!("{id}@only-e1.com"),
            "replied_at": chrono::Utc::now(), "fields": {"job_title": "Buyer"}}])
    };
    door.people(lead("unsaved", 1)).await;
    assert!(outcomes(&door).await.is_empty());
    change_settings(&door, |settings| {
        settings["export"]["contacts"] = json!("update_only");
        settings["export"]["companies"] = json!("update_only");
    })
    .await;
    door.people(lead("there", 1)).await;
    door.people(lead("absent", 1)).await;
    let body = json!({"person": "unsaved"});
    door.ok("POST", "/exports", Some(body)).await;
    let want: BTreeMap<String, String> = [
        ("there", "exported"),
        ("absent", "update_only"),
        // Also by hand, and it says so.
        ("unsaved", "update_only"),
    ]
    .map(|(id, end)| (id.to_owned(), end.to_owned()))
    .into();
    until("all requests end", async || outcomes(&door).await == want).await;
    assert_eq!(live(&p, "contacts").await.len(), 1);
    assert!(live(&p, "companies").await.is_empty());
    assert_eq!(
        live(&p, "contacts").await[0]["properties"]["jobtitle"],
        "Buyer"
    );
}
