//! I7: deals as context on people and companies, and real deals as a reason not to contact.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use e2e::{
    Tenant, assert_mirrored,
    command_line::CommandLine,
    data::{self, DataSet},
    door::Door,
    object,
    periodic::sync,
    planted::{Planted, reasons},
    shared, store_of,
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

/// Answers about more than one page of associations, on both sides of them.
#[tokio::test]
async fn a_company_of_twelve_hundred_contacts_keeps_each_of_them_out() {
    const CONTACTS: usize = 1_200;
    let size = json!({"search_lag_ms": 0, "inline_association_page": 100});
    let p = Planted::on(&shared(), size).await;
    let huge = json!({"name": "Huge", "domain": "huge-i7.com"});
    let huge = p.record("companies", huge, &[]).await;
    let address = |n: usize| format!("c{n}@people-of-huge-i7.com");
    let mut contacts = Vec::new();
    for n in 0..CONTACTS {
        let contact = json!({"email": address(n)});
        contacts.push(p.record("contacts", contact, &[("companies", huge)]).await);
    }
    let open = |name: &str| json!({"dealname": name, "dealstage": "appointmentscheduled", "pipeline": "default"});
    let of_company = p
        .record("deals", open("Company"), &[("companies", huge)])
        .await;
    let tied: Vec<(&str, i64)> = contacts.iter().map(|id| ("contacts", *id)).collect();
    let of_contacts = p.record("deals", open("Contacts"), &tied).await;
    let door = p.connect().await;
    let store = store_of(p.tenant.api.addresses()).await;
    // HubSpot tells the first hundred with a record, and all of them when it is compared.
    let told = async |associations: u32| {
        let page = json!({"inline_association_page": associations});
        p.tenant.control("PATCH", "", Some(page)).await;
    };
    told(5_000).await;
    assert_mirrored(&p.tenant, &store).await;
    told(100).await;
    let asked = |from: &str| -> Value {
        let all: Vec<String> = (0..CONTACTS).map(address).collect();
        let mut all = json!({"emails": all});
        all["emails"].as_array_mut().unwrap().push(json!(from));
        all
    };
    let both: BTreeSet<String> = [of_company, of_contacts]
        .iter()
        .map(|deal| format!("open_deal deal {deal}"))
        .collect();
    let verdicts = async || -> Vec<BTreeSet<String>> {
        let answer = door
            .ok("POST", "/dnc", Some(asked("new@huge-i7.com")))
            .await;
        let all = answer["emails"].as_array().unwrap();
        all.iter()
            .map(|v| reasons(v).into_iter().collect())
            .collect()
    };
    // The rule is about the company: who is no contact is judged with them.
    assert!(verdicts().await.iter().all(|found| *found == both));

    // The deal leaves the last one, which moves no last-modified; by the company it concerns everybody.
    let last = contacts[CONTACTS - 1];
    let path = "/crm/associations/2026-09/deals/contacts/batch/archive";
    let body = json!({"inputs": [{"from": {"id": of_contacts.to_string()}, "to": [{"id": last.to_string()}]}]});
    p.hubspot("POST", path, Some(body)).await;
    p.resync(json!({"types": ["deals"], "mode": {"mode": "from_scratch"}}))
        .await;
    told(5_000).await;
    assert_mirrored(&p.tenant, &store).await;
    assert!(verdicts().await.iter().all(|found| *found == both));
}

/// A deal is where its stage was: that the stage is gone lets nobody in, and stops nothing.
#[tokio::test]
async fn a_stage_that_vanished_lets_nobody_in() {
    let p = Planted::on(&shared(), json!({"search_lag_ms": 0})).await;
    let firm = json!({"name": "Firm", "domain": "stages-i7.com"});
    let firm = p.record("companies", firm, &[]).await;
    let open = json!({"dealname": "Open", "dealstage": "contractsent", "pipeline": "default"});
    let deal = p.record("deals", open, &[("companies", firm)]).await;
    let door = p.connect().await;
    door.people(json!([{"id": "ann", "version": 1, "email": "ann@stages-i7.com"}]))
        .await;
    let verdict = async || door.ok("GET", "/people/ann/dnc", None).await;
    let wanted = [format!("open_deal deal {deal}")];
    assert_eq!(reasons(&verdict().await), wanted);

    let mut pipelines = p.hubspot("GET", "/crm/pipelines/2026-09/deals", None).await;
    let stages = pipelines["results"][0]["stages"].as_array_mut().unwrap();
    stages.retain(|stage| stage["id"] != "contractsent");
    let gone = json!({"path": "/crm/pipelines/2026-09/deals", "effect": {"status": {"status": 200, "body": pipelines.to_string()}}});
    p.tenant.control("POST", "faults", Some(gone)).await;
    sync(&p.tenant).await;
    p.set("deals", deal, json!({"amount": "7"})).await;
    sync(&p.tenant).await;
    let deals = door.ok("GET", "/people/ann/deals", None).await;
    let shown = &deals["items"][0];
    assert_eq!(
        (&shown["status"], &shown["amount"], &shown["stage"]),
        (
            &json!("open"),
            &json!("7"),
            &json!({"id": "contractsent", "label": null})
        ),
        "{shown}"
    );
    assert_eq!(reasons(&verdict().await), wanted);
    let status = p.tenant.status().await;
    for object_type in ["pipelines", "deals"] {
        let last = &object(&status, object_type)["freshness"]["last"];
        assert_eq!(last, "finished", "{object_type}");
    }
    // A rule that chose it still means it.
    e2e::planted::change_settings(&door, |settings| {
        settings["dnc"]["open_deal"] =
            json!({"enabled": true, "pipelines": [{"pipeline": "default"}]});
    })
    .await;
    assert_eq!(reasons(&verdict().await), wanted);
}

/// Whoever might be meant counts; who has no domain is meant by none.
#[tokio::test]
async fn of_two_companies_with_one_domain_each_counts() {
    let p = Planted::on(&shared(), json!({"search_lag_ms": 0})).await;
    let company = async |name: &str, domain: Value| {
        let properties = json!({"name": name, "domain": domain});
        p.record("companies", properties, &[]).await
    };
    let calm = company("Calm", json!("twin-i7.com")).await;
    let busy = company("Busy", json!("twin-i7.com")).await;
    let nameless = company("None", json!("")).await;
    let open = |name: &str| json!({"dealname": name, "dealstage": "appointmentscheduled", "pipeline": "default"});
    let deal = p
        .record("deals", open("Busy"), &[("companies", busy)])
        .await;
    p.record("deals", open("None"), &[("companies", nameless)])
        .await;
    let door = p.connect().await;
    door.people(json!([
        {"id": "twin", "version": 1, "email": "new@twin-i7.com"},
        {"id": "other", "version": 1, "email": "new@other-i7.com"},
        {"id": "none", "version": 1},
    ]))
    .await;
    let firm =
        json!({"items": [{"id": "twin", "version": 1, "fields": {"domain": "twin-i7.com"}}]});
    door.ok("POST", "/companies", Some(firm)).await;
    let verdict = async |person: &str| door.ok("GET", &format!("/people/{person}/dnc"), None).await;
    let wanted = [format!("open_deal deal {deal}")];
    assert_eq!(reasons(&verdict("twin").await), wanted);
    assert_eq!(verdict("other").await["allowed"], true);
    assert!(
        !reasons(&verdict("none").await)
            .iter()
            .any(|r| r.contains("deal"))
    );
    // Both are shown with the app's company: the one that it is, and the other one.
    e2e::profiles::until("the company is linked", async || {
        let profile = door.ok("GET", "/companies/twin/profile", None).await;
        let link = profile["link"]["hubspot_id"].clone();
        let mut both: Vec<Value> = profile["conflicts"].as_array().cloned().unwrap_or_default();
        both.push(link);
        both.sort_by_key(Value::as_i64);
        both == [json!(calm), json!(busy)]
    })
    .await;
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
