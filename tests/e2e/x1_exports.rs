//! X1, E2, E3: whatever breaks on the way, there is one contact, one company, and no lost request.

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    Tenant,
    exports::{entries, export, export_all, live, primary_domains},
    planted::Planted,
    profiles::until,
};
use serde_json::{Value, json};

/// What happens to the first write of a kind.
pub(crate) fn faults() -> Vec<(&'static str, Value)> {
    let answer = |name: &str| json!({"answer": {"name": name}});
    vec![
        (
            "fails before the write",
            json!({"when": "before", "effect": answer("internal")}),
        ),
        (
            "fails after it took effect",
            json!({"when": "after", "effect": answer("internal")}),
        ),
        (
            "the connection drops before it",
            json!({"when": "before", "effect": "drop"}),
        ),
        (
            "the connection drops after it",
            json!({"when": "after", "effect": "drop"}),
        ),
        (
            "the answer is cut",
            json!({"when": "after", "effect": "cut"}),
        ),
        (
            "it lands four seconds later",
            json!({"when": {"later_ms": 4_000}, "effect": "drop"}),
        ),
        (
            "429",
            json!({"when": "before", "effect": answer("ten_secondly")}),
        ),
        ("423", json!({"when": "before", "effect": answer("locked")})),
        (
            "401",
            json!({"when": "before", "effect": answer("expired")}),
        ),
    ]
}

async fn strike(tenant: &Tenant, plural: &str, fault: &Value) {
    let mut rule = fault.clone();
    rule["method"] = json!("POST");
    rule["path"] = json!(format!("/crm/objects/2026-09/{plural}$"));
    rule["times"] = json!(1);
    tenant.control("POST", "faults", Some(rule)).await;
}

/// Each fault strikes the first create of a company and of a contact.
async fn once_whatever_breaks(world: &str, setting: Value) {
    let p = Planted::new().await;
    p.tenant.control("PATCH", "", Some(setting)).await;
    let door = p.connect().await;
    for (n, (what, fault)) in faults().into_iter().enumerate() {
        let domain = format!("fault-{n}-{world}.com");
        let person = format!("lead-{n}");
        let email = format!("lead@{domain}");
        door.people(json!([{"id": person, "version": 1, "email": email}]))
            .await;
        strike(&p.tenant, "companies", &fault).await;
        strike(&p.tenant, "contacts", &fault).await;
        let done = export(&door, &person).await;
        let rules = p.tenant.control("GET", "faults", None).await;
        p.tenant.control("DELETE", "faults", None).await;
        let struck = rules.to_string().matches("\"struck\":1").count();
        assert_eq!(struck, 2, "{world}: {what}: {rules}");
        assert_eq!(done["state"], "exported", "{world}: {what}: {done}");
        assert!(
            entries(&door, &person, "open").await.is_empty(),
            "{world}: {what}"
        );
    }
    // What was to land late has.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let companies = live(&p, "companies").await;
    let mut by_domain: BTreeMap<String, usize> = BTreeMap::new();
    for company in &companies {
        let domain = company["properties"]["domain"].as_str().unwrap_or_default();
        *by_domain.entry(domain.to_owned()).or_default() += 1;
    }
    let count = faults().len();
    assert_eq!(by_domain.len(), count, "{world}: {by_domain:?}");
    assert!(
        by_domain.values().all(|n| *n == 1),
        "{world}: {by_domain:?}"
    );
    let primaries = primary_domains(&p).await;
    assert_eq!(primaries.len(), count, "{world}");
    for (email, domain) in primaries {
        let (_, at) = email.split_once('@').unwrap();
        assert_eq!(domain.as_deref(), Some(at), "{world}");
    }
}

#[tokio::test]
async fn once_whatever_breaks_where_a_unique_property_is_to_be_had() {
    once_whatever_breaks("keys", json!({"search_lag_ms": 1_000})).await;
}

#[tokio::test]
async fn once_whatever_breaks_where_it_is_not() {
    let denied = json!({"denied_scopes": ["crm.schemas.companies.write"], "search_lag_ms": 1_000});
    once_whatever_breaks("nokeys", denied).await;
}

#[tokio::test]
async fn many_people_of_new_companies_at_once_make_each_company_once() {
    let p = Planted::new().await;
    let settings = json!({
        "search_lag_ms": {"min": 0, "max": 2_000}, "search_flapping": true,
        "ignore_inline_associations": true,
    });
    p.tenant.control("PATCH", "", Some(settings)).await;
    let door = p.connect().await;
    let (companies, people) = (6, 60);
    let forms = [
        "https://www.Many-{}.com/about?x=1",
        "MANY-{}.com.",
        "http://many-{}.com:80",
        "many-{}.com",
    ];
    let items: Vec<Value> = (0..people)
        .map(|n| {
            let site = forms[n % forms.len()].replace("{}", &(n % companies).to_string());
            let key = if site.starts_with("http") { "website" } else { "domain" };
            json!({"id": format!("c{n}"), "version": 1, "fields": {"name": format!("Many {n}"), key: site}})
        })
        .collect();
    door.companies(items).await;
    let leads: Vec<Value> = (0..people)
        .map(|n| {
            let at = n % companies;
            json!({"id": format!("m{n}"), "version": 1, "email": format!("m{n}@many-{at}.com"), "company": format!("c{n}"),
                "contacted_at": "2026-01-01T00:00:00Z"})
        })
        .collect();
    door.people(json!(leads)).await;
    for (plural, seed) in [("companies", 7), ("contacts", 8)] {
        let unreliable = json!({
            "method": "POST", "path": format!("/crm/objects/2026-09/{plural}$"),
            "probability": 0.2, "seed": seed, "when": "after",
            "effect": {"answer": {"name": "bad_gateway"}},
        });
        p.tenant.control("POST", "faults", Some(unreliable)).await;
    }
    let asked: Vec<String> = (0..people).map(|n| format!("m{n}")).collect();
    let ends = export_all(&door, &asked).await;
    p.tenant.control("DELETE", "faults", None).await;
    for end in ends {
        assert_eq!(end["outcome"]["state"], "exported", "{end}");
    }
    assert_eq!(live(&p, "companies").await.len(), companies);
    // Inline associations are ignored here: they are written a little later.
    until("all contacts have their primary company", async || {
        let primaries = primary_domains(&p).await;
        primaries.len() == people
            && primaries
                .iter()
                .all(|(email, domain)| email.split_once('@').map(|(_, at)| at) == domain.as_deref())
    })
    .await;
    for n in 0..people {
        assert!(entries(&door, &format!("m{n}"), "open").await.is_empty());
    }
}
