//! E1: the policy table, end to end. Each combination of policy, facts, when they came, how an export is
//! asked for, and whether records may be made, with what `product.md` says of it. What is asked for by hand is
//! as its preview.

use std::collections::BTreeMap;

use e2e::{
    door::Door,
    exports::{is_final, live},
    planted::{Planted, change_settings},
    previews::export_as_previewed,
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

/// A workspace of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    policy: usize,
    /// Whether an admin saved the settings.
    saved: bool,
    /// Whether no contact may be made.
    update_only: bool,
}

impl Row {
    /// Every one that there can be: nobody chooses a policy, or anything else, without saving it.
    fn all(usual: usize) -> Vec<Self> {
        let row = |policy, saved, update_only| Self {
            policy,
            saved,
            update_only,
        };
        let mut all: Vec<Self> = (0..POLICIES.len())
            .flat_map(|policy| [row(policy, true, false), row(policy, true, true)])
            .collect();
        all.push(row(usual, false, false));
        all
    }

    /// How exports are asked for there: before anything was saved nothing is earlier than that.
    fn asked(self) -> impl Iterator<Item = Asked> {
        ASKED
            .into_iter()
            .filter(move |asked| self.saved || !asked.is_earlier())
    }

    /// Whether the portal has a contact of somebody before.
    fn is_there(self, facts: usize, asked: Asked) -> bool {
        self.update_only && (facts + asked as usize).is_multiple_of(2)
    }

    /// What becomes of somebody.
    fn wanted(self, facts: usize, asked: Asked) -> Option<&'static str> {
        if asked == Asked::Nobody && !self.saved {
            return None;
        }
        wanted(self.policy, facts, asked).map(|end| match end {
            "exported" if self.update_only && !self.is_there(facts, asked) => "update_only",
            end => end,
        })
    }
}

/// What becomes of somebody where records may be made, by `product.md` alone: exported, or the reason;
/// nothing where there is no request.
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

fn email(id: &str) -> String {
    format!("{id}@policy-e1.com")
}

fn person(id: &str, version: u64, facts: usize) -> Value {
    let now = chrono::Utc::now();
    let mut person = json!({"id": id, "version": version, "email": email(id)});
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
    let p = Planted::new().await;
    let door = p.connect().await;
    let settings = door.ok("GET", "/settings", None).await;
    let usual = settings["settings"]["export"]["policy"].as_str();
    let usual = POLICIES.iter().position(|policy| Some(*policy) == usual);
    let rows = Row::all(usual.expect("a policy before anything was saved"));
    futures::future::join_all(rows.into_iter().map(each_of)).await;
}

async fn each_of(row: Row) {
    let p = Planted::new().await;
    let cases: Vec<(usize, Asked)> = (0..FACTS.len())
        .flat_map(|facts| row.asked().map(move |asked| (facts, asked)))
        .collect();
    let mut there = 0;
    for (facts, asked) in &cases {
        if row.is_there(*facts, *asked) {
            let email = email(&id_of(*facts, *asked));
            p.record("contacts", json!({"email": email}), &[]).await;
            there += 1;
        }
    }
    let door = p.connect().await;
    let (earlier, now): (Vec<_>, Vec<_>) = cases
        .iter()
        .partition::<Vec<_>, _>(|(_, asked)| asked.is_earlier());
    let people = |of: &[&(usize, Asked)]| -> Value {
        of.iter()
            .map(|(facts, asked)| person(&id_of(*facts, *asked), 1, *facts))
            .collect()
    };
    if row.saved {
        door.people(people(&earlier)).await;
        change_settings(&door, |settings| {
            settings["export"]["policy"] = json!(POLICIES[row.policy]);
            if row.update_only {
                settings["export"]["contacts"] = json!("update_only");
            }
        })
        .await;
    }
    // As long as nobody goes by itself, a preview is what is written then.
    let (alone, now): (Vec<_>, Vec<_>) = now
        .into_iter()
        .partition(|(facts, asked)| *asked == Asked::Manual && !(row.saved && *facts > row.policy));
    door.people(people(&alone)).await;
    for (facts, asked) in alone {
        export_as_previewed(&door, &id_of(*facts, *asked)).await;
    }
    // Whoever qualifies goes by itself as well; whichever comes first, the outcome is one.
    door.people(people(&now)).await;
    for (facts, _) in now.iter().filter(|(_, asked)| *asked == Asked::Manual) {
        let body = json!({"person": id_of(*facts, Asked::Manual)});
        door.ok("POST", "/exports", Some(body)).await;
    }
    for (kind, confirmed) in [
        (Asked::Bulk, false),
        (Asked::BulkEarlier, false),
        (Asked::BulkEarlierConfirmed, true),
    ] {
        if !row.asked().any(|asked| asked == kind) {
            continue;
        }
        let ids: Vec<String> = (0..FACTS.len()).map(|facts| id_of(facts, kind)).collect();
        let body = json!({"people": ids, "include_earlier": confirmed});
        door.ok("POST", "/bulk-exports", Some(body)).await;
    }
    let want: BTreeMap<String, String> = cases
        .iter()
        .filter_map(|(facts, asked)| {
            let end = row.wanted(*facts, *asked)?;
            Some((id_of(*facts, *asked), end.to_owned()))
        })
        .collect();
    until(
        &format!("all requests end as the policy says: {row:?}"),
        async || outcomes(&door).await == want,
    )
    .await;
    let exported = want.values().filter(|end| *end == "exported").count();
    let made = if row.update_only { 0 } else { exported };
    assert_eq!(live(&p, "contacts").await.len(), there + made, "{row:?}");
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
