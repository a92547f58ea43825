//! E3: real companies from a file, with a person of each.

use std::collections::BTreeSet;

use e2e::{
    data::{DataSet, outside},
    door::Door,
    exports::{export_all, live, primary_domains, writes},
    journals::{assert_true, state},
    planted::Planted,
};
use serde_json::{Value, json};

/// A company as a file names it.
struct Named {
    name: String,
    website: String,
}

fn of_file(set: &DataSet) -> Vec<Named> {
    let mut reader = csv::Reader::from_path(set.dir.join("companies.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap();
    let (name, website) = (column("company_name"), column("website"));
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        Named {
            name: row[name].to_owned(),
            website: row[website].to_owned(),
        }
    });
    rows.collect()
}

/// Whether the whole file is exported: a fifth of it will do while somebody waits.
fn in_full() -> bool {
    std::env::var("SOAK").is_ok_and(|soak| soak == "full")
}

/// Every fifth row, and those that share a website with another one.
fn some_of(named: Vec<Named>) -> Vec<Named> {
    let sites: Vec<String> = named.iter().map(|named| host(&named.website)).collect();
    let shared = |n: usize| sites.iter().filter(|site| **site == sites[n]).count() > 1;
    let rows = named.into_iter().enumerate();
    let some = rows.filter(|(n, _)| n.is_multiple_of(5) || shared(*n));
    some.map(|(_, named)| named).collect()
}

/// Where there is no file; the last two rows share a website.
fn generated() -> Vec<Named> {
    let forms = [
        "http://www.sample-{}-e3.com",
        "https://SAMPLE-{}-e3.co.uk/about?x=1",
        "http://sample-{}-e3.org",
        "https://ir.sample-{}-e3.de:443/",
    ];
    let site = |n: usize| forms[n % forms.len()].replace("{}", &n.to_string());
    let rows = (0..25).map(|n| Named {
        name: format!("Sample {n} \"& Söhne\""),
        website: site(n.min(23)),
    });
    rows.collect()
}

/// The host of a website, for an address there.
fn host(website: &str) -> String {
    let bare = website.split_once("://").map_or(website, |(_, rest)| rest);
    let host = bare.split(['/', ':', '?']).next().unwrap().to_lowercase();
    host.strip_prefix("www.").unwrap_or(&host).to_owned()
}

/// Few enough that others who are tested meanwhile have their turn.
async fn export_some_at_a_time(door: &Door, ids: &[String]) {
    for some in ids.chunks(20) {
        for end in export_all(door, some).await {
            assert_eq!(end["outcome"]["state"], "exported", "{end}");
        }
    }
}

async fn become_companies(named: &[Named]) {
    let p = Planted::new().await;
    let first = state(&p).await;
    let door = p.connect().await;
    let companies: Vec<Value> = named
        .iter()
        .enumerate()
        .map(|(n, named)| {
            let fields = json!({"name": named.name, "website": named.website});
            json!({"id": format!("c{n}"), "version": 1, "fields": fields})
        })
        .collect();
    door.companies(companies).await;
    let ids: Vec<String> = (0..named.len()).map(|n| format!("p{n}")).collect();
    let people: Vec<Value> = named
        .iter()
        .enumerate()
        .map(|(n, named)| {
            let email = format!("lead-{n}@{}", host(&named.website));
            let fields = json!({"first_name": format!("Lead {n}")});
            json!({"id": ids[n], "version": 1, "email": email, "company": format!("c{n}"), "fields": fields})
        })
        .collect();
    door.people(json!(people)).await;
    export_some_at_a_time(&door, &ids).await;
    let sites: BTreeSet<String> = named.iter().map(|named| host(&named.website)).collect();
    assert_eq!(sites.len() + 1, named.len(), "two rows share one website");
    assert_eq!(live(&p, "contacts").await.len(), named.len());
    assert_eq!(live(&p, "companies").await.len(), sites.len());
    for (email, primary) in primary_domains(&p).await {
        let primary = primary.unwrap_or_else(|| panic!("{email} has no primary company"));
        let (_, host) = email.split_once('@').unwrap();
        assert!(host.ends_with(&primary), "{email}: {primary}");
    }
    assert_true(&p, &door, &ids, &first).await;
    let before = writes(&p).await;
    export_some_at_a_time(&door, &ids).await;
    assert_eq!(writes(&p).await, before, "again nothing is written");
}

#[tokio::test]
async fn each_company_of_a_file_is_made_once_and_again_nothing_is_written() {
    become_companies(&generated()).await;
    if let Some(set) = outside() {
        let all = of_file(&set);
        let named = if in_full() { all } else { some_of(all) };
        become_companies(&named).await;
    }
}
