//! I7: deals as context on people and companies, and real deals as a reason not to contact.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use e2e::{
    Tenant,
    command_line::CommandLine,
    data::{self, DataSet},
    door::Door,
    planted::Planted,
    shared,
};
use serde_json::{Value, json};

#[tokio::test]
async fn deals_are_context_on_person_and_company() {
    let p = Planted::new().await;
    let company = p
        .record(
            "companies",
            json!({"name": "Ctx", "domain": "ctx-i7.com"}),
            &[],
        )
        .await;
    let contact = p
        .record(
            "contacts",
            json!({"email": "ann@ctx-i7.com"}),
            &[("companies", company)],
        )
        .await;
    let deal = async |name: &str, stage: &str, tied: &[(&str, i64)]| {
        let properties = json!({
            "dealname": name, "dealstage": stage, "pipeline": "default", "amount": "1200.50",
            "hubspot_owner_id": "500000",
        });
        p.record("deals", properties, tied).await
    };
    let both = deal(
        "Both",
        "appointmentscheduled",
        &[("companies", company), ("contacts", contact)],
    )
    .await;
    let won = deal("Won", "closedwon", &[("companies", company)]).await;
    let lost = deal("Lost", "closedlost", &[("contacts", contact)]).await;
    let door = p.connect().await;
    door.people(json!([
        {"id": "ann", "version": 1, "email": "Ann@ctx-i7.com"},
        {"id": "new", "version": 1, "email": "new@ctx-i7.com"},
        {"id": "none", "version": 1},
    ]))
    .await;
    door.ok(
        "POST",
        "/companies",
        Some(json!({"items": [
            {"id": "ctx", "version": 1, "fields": {"domain": "https://www.ctx-i7.com/about"}},
        ]})),
    )
    .await;
    let of = async |path: &str| -> BTreeMap<i64, String> {
        let page = door.ok("GET", path, None).await;
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| {
                (
                    d["deal"].as_i64().unwrap(),
                    d["status"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    };
    let all = BTreeMap::from([
        (both, "open".to_owned()),
        (won, "won".to_owned()),
        (lost, "lost".to_owned()),
    ]);
    assert_eq!(of("/people/ann/deals").await, all);
    let of_company = BTreeMap::from([(both, "open".to_owned()), (won, "won".to_owned())]);
    assert_eq!(of("/people/new/deals").await, of_company);
    assert_eq!(of("/companies/ctx/deals").await, of_company);
    assert!(of("/people/none/deals").await.is_empty());
    let first = door.ok("GET", "/people/ann/deals?limit=1", None).await;
    let d = &first["items"][0];
    assert_eq!(
        d["pipeline"],
        json!({"id": "default", "label": "Sales Pipeline"})
    );
    assert_eq!(d["stage"]["id"], "appointmentscheduled");
    assert!(d["stage"]["label"].is_string(), "{d}");
    assert_eq!(
        (&d["amount"], &d["owner"]),
        (&json!("1200.50"), &json!(500_000))
    );
    assert_eq!(
        d["on"],
        json!([{"type": "contact", "id": contact}, {"type": "company", "id": company}])
    );
    assert_eq!(first["next"], both.to_string());
    assert_eq!(
        door.call("GET", "/people/nobody/deals", None).await.code(),
        "HS-4009"
    );
    let line = CommandLine::new(&p.tenant, &door);
    let ended = line.run(&["deals", "--person", "ann"]).await;
    assert!(
        ended.out.contains(&format!("{won}\twon\tSales Pipeline")),
        "{ended:?}"
    );
    let ended = line.run(&["deals", "--company", "ctx", "--json"]).await;
    assert_eq!(ended.out.lines().count(), 2, "{ended:?}");
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(path)
        .unwrap()
        .deserialize()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn open_deals_of_the_sample_keep_their_companies_people_out() {
    deals_as_in_the_files(&data::sample()).await;
}

#[tokio::test]
async fn real_open_deals_keep_their_companies_people_out() {
    if let Some(outside) = data::outside() {
        deals_as_in_the_files(&outside).await;
    }
}

/// Counts from the files, against what is answered about somebody at each company.
async fn deals_as_in_the_files(set: &DataSet) {
    let accounts = rows(&set.dir.join("crm-sales/accounts.csv"));
    let source = rows(&set.dir.join("crm-sales/sales_pipeline.csv"));
    let mut wanted: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for row in &source {
        let status = match row["deal_stage"].as_str() {
            "Won" => "won",
            "Lost" => "lost",
            _ => "open",
        };
        wanted
            .entry(&row["account"])
            .or_default()
            .entry(status)
            .or_default()
            .insert(&row["opportunity_id"]);
    }
    let tenant = Tenant::new(
        &shared(),
        json!({"dir": set.dir, "limits": "off", "contacts_per_company": 2}),
    )
    .await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(300))
        .await;
    let door = Door::of(&tenant).await;
    // One of the two contacts of each account, and a newcomer who is no contact: their accounts have no
    // domain, so that the newcomer is judged by nothing.
    let page = tenant
        .control("GET", "records/contacts?limit=10000", None)
        .await;
    let mut email_of: BTreeMap<String, String> = BTreeMap::new();
    for record in page["results"].as_array().unwrap() {
        let email = record["properties"]["email"].as_str().unwrap();
        let (_, domain) = email.split_once('@').unwrap();
        email_of.insert(domain.to_owned(), email.to_owned());
    }
    let slug = |name: &str| -> String {
        let slug: String = name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        format!("{slug}.example.com")
    };
    let names: Vec<&str> = accounts.iter().map(|a| a["account"].as_str()).collect();
    let items: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(n, name)| json!({"id": format!("at_{n}"), "version": 1, "email": email_of[&slug(name)]}))
        .collect();
    let outcomes = door.people(json!(items)).await;
    let mut with_open = 0;
    for (n, name) in names.iter().enumerate() {
        // Of an odd name the simulator makes a domain that no app takes.
        if outcomes[n] == "refused" {
            continue;
        }
        let none = BTreeMap::new();
        let theirs = wanted.get(name).unwrap_or(&none);
        // What is answered as context: each deal by its id in the files.
        let mut ours: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut ids: BTreeMap<i64, String> = BTreeMap::new();
        let mut path = format!("/people/at_{n}/deals?limit=1000");
        loop {
            let page = door.ok("GET", &path, None).await;
            for deal in page["items"].as_array().unwrap() {
                let name = deal["name"].as_str().unwrap();
                let opportunity = name.rsplit(' ').next().unwrap().to_owned();
                ids.insert(deal["deal"].as_i64().unwrap(), opportunity.clone());
                ours.entry(deal["status"].as_str().unwrap().to_owned())
                    .or_default()
                    .insert(opportunity);
            }
            match page["next"].as_str() {
                Some(next) => path = format!("/people/at_{n}/deals?limit=1000&after={next}"),
                None => break,
            }
        }
        for status in ["open", "won", "lost"] {
            let ours: BTreeSet<&str> = ours
                .get(status)
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
            let theirs = theirs.get(status).cloned().unwrap_or_default();
            assert_eq!(ours, theirs, "{status} deals of {name}");
        }
        // And as reasons: exactly the open deals, and the won ones as those of a customer.
        let verdict = door.ok("GET", &format!("/people/at_{n}/dnc"), None).await;
        let named = |rule: &str| -> BTreeSet<&str> {
            verdict["reasons"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|r| r["rule"] == rule && r["record"]["type"] == "deal")
                .map(|r| ids[&r["record"]["id"].as_i64().unwrap()].as_str())
                .collect()
        };
        let open = theirs.get("open").cloned().unwrap_or_default();
        assert_eq!(named("open_deal"), open, "{name}");
        assert_eq!(
            named("customer"),
            theirs.get("won").cloned().unwrap_or_default(),
            "{name}"
        );
        let may = open.is_empty() && !theirs.contains_key("won");
        assert_eq!(verdict["allowed"], may, "{name}: {verdict:#}");
        with_open += usize::from(!open.is_empty());
    }
    let taken = outcomes.iter().filter(|o| *o == "created").count();
    assert!(taken * 2 >= names.len(), "{outcomes:?}");
    assert!(with_open > 0, "no account of {} has an open deal", set.name);
}
