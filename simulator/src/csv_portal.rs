//! A portal out of CSV files: companies, and a sales pipeline with accounts, agents and deals.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;

use crate::{
    model::{Data, Kind, Owner, Pipeline, Property, Stage},
    rng::Rng,
};

type Row = BTreeMap<String, String>;

fn rows(path: &Path) -> anyhow::Result<Vec<Row>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    reader
        .deserialize()
        .collect::<Result<Vec<Row>, _>>()
        .with_context(|| format!("{} is not the CSV that was expected", path.display()))
}

fn get<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).map_or("", |v| v.trim())
}

fn define(data: &mut Data, kind: Kind, name: &str, value: &str) {
    let group = data.groups[kind as usize]
        .keys()
        .next()
        .cloned()
        .unwrap_or_default();
    data.properties[kind as usize].insert(name.to_owned(), Property::custom(name, value, &group));
}

/// The host of a website, without `www.`.
fn domain_of(website: &str) -> String {
    let rest = website.split_once("://").map_or(website, |(_, r)| r);
    let host = rest.split(['/', '?', ':']).next().unwrap_or_default();
    host.strip_prefix("www.").unwrap_or(host).to_lowercase()
}

fn day(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{text}T00:00:00.000Z")
    }
}

fn day_ms(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(&day(text))
        .ok()
        .map(|d| d.timestamp_millis())
}

/// 2026-01-01
const EPOCH: i64 = 1_767_225_600_000;

/// Loads `<dir>/companies.csv` and `<dir>/crm-sales/*.csv`, and makes contacts at the companies.
pub(crate) fn load(
    data: &mut Data,
    dir: &Path,
    seed: u64,
    contacts_per_company: u64,
) -> anyhow::Result<()> {
    let mut rng = Rng::new(seed);
    for name in ["sector", "location", "source"] {
        define(data, Kind::Company, name, "string");
    }
    for name in ["year_established", "revenue_millions"] {
        define(data, Kind::Company, name, "number");
    }
    define(data, Kind::Company, "subsidiary_of", "string");
    for name in ["opportunity_id", "product"] {
        define(data, Kind::Deal, name, "string");
    }
    define(data, Kind::Deal, "engage_date", "datetime");
    data.pipelines[Kind::Deal as usize] = vec![Pipeline {
        id: "default".to_owned(),
        label: "Sales Pipeline".to_owned(),
        stages: [
            ("Prospecting", "0.2"),
            ("Engaging", "0.5"),
            ("Won", "1.0"),
            ("Lost", "0.0"),
        ]
        .into_iter()
        .map(|(id, metadata)| Stage {
            id: id.to_lowercase(),
            label: id.to_owned(),
            metadata,
        })
        .collect(),
    }];

    let mut companies: Vec<(u64, String)> = Vec::new();
    for row in rows(&dir.join("companies.csv"))? {
        let id = data.take_id();
        let website = get(&row, "website");
        let domain = domain_of(website);
        let values = [
            ("name", get(&row, "company_name").to_owned()),
            ("domain", domain.clone()),
            ("website", website.to_owned()),
            ("industry", get(&row, "industry").to_owned()),
            ("numberofemployees", get(&row, "employees").to_owned()),
            ("sector", get(&row, "sector").to_owned()),
            ("location", get(&row, "location").to_owned()),
            ("source", "companies".to_owned()),
        ];
        data.insert(Kind::Company, id, &values, EPOCH, EPOCH);
        companies.push((id, domain));
    }
    let mut accounts: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows(&dir.join("crm-sales/accounts.csv"))? {
        let id = data.take_id();
        let name = get(&row, "account").to_owned();
        let values = [
            ("name", name.clone()),
            ("numberofemployees", get(&row, "employees").to_owned()),
            ("sector", get(&row, "sector").to_owned()),
            ("location", get(&row, "office_location").to_owned()),
            ("year_established", get(&row, "year_established").to_owned()),
            ("revenue_millions", get(&row, "revenue").to_owned()),
            ("subsidiary_of", get(&row, "subsidiary_of").to_owned()),
            ("source", "accounts".to_owned()),
        ];
        data.insert(Kind::Company, id, &values, EPOCH, EPOCH);
        accounts.insert(name, id);
    }
    let mut agents: BTreeMap<String, String> = BTreeMap::new();
    for (n, row) in rows(&dir.join("crm-sales/sales_teams.csv"))?
        .iter()
        .enumerate()
    {
        let name = get(row, "sales_agent").to_owned();
        let (first, last) = name.split_once(' ').unwrap_or((name.as_str(), ""));
        let id = 500_000 + n as u64;
        data.owners.insert(
            id,
            Owner {
                id,
                user_id: 900_000 + n as u64,
                email: format!(
                    "{}@seller.example.com",
                    name.to_lowercase().replace(' ', ".")
                ),
                first_name: first.to_owned(),
                last_name: last.to_owned(),
                archived: false,
                teams: Vec::new(),
            },
        );
        agents.insert(name, id.to_string());
    }
    for row in rows(&dir.join("crm-sales/sales_pipeline.csv"))? {
        let id = data.take_id();
        let stage = get(&row, "deal_stage").to_lowercase();
        let engaged = get(&row, "engage_date");
        let created = day_ms(engaged).unwrap_or(EPOCH);
        let account = get(&row, "account");
        let values = [
            (
                "dealname",
                format!("{} {}", get(&row, "product"), get(&row, "opportunity_id")),
            ),
            ("opportunity_id", get(&row, "opportunity_id").to_owned()),
            ("product", get(&row, "product").to_owned()),
            ("amount", get(&row, "close_value").to_owned()),
            ("dealstage", stage),
            ("pipeline", "default".to_owned()),
            ("engage_date", day(engaged)),
            ("closedate", day(get(&row, "close_date"))),
            (
                "hubspot_owner_id",
                agents
                    .get(get(&row, "sales_agent"))
                    .cloned()
                    .unwrap_or_default(),
            ),
        ];
        data.insert(Kind::Deal, id, &values, created, created);
        if let Some(company) = accounts.get(account) {
            data.link((Kind::Deal, id), (Kind::Company, *company), true);
        }
    }
    companies.extend(accounts.into_iter().map(|(name, id)| {
        let slug: String = name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        (id, format!("{slug}.example.com"))
    }));
    for (company, domain) in companies {
        for n in 0..contacts_per_company {
            let id = data.take_id();
            let first = ["Alex", "Sam", "Robin", "Kim"][rng.below(4) as usize];
            let values = [
                ("email", format!("{}{n}@{domain}", first.to_lowercase())),
                ("firstname", first.to_owned()),
                ("lastname", format!("Contact {company}")),
            ];
            data.insert(Kind::Contact, id, &values, EPOCH, EPOCH);
            data.link((Kind::Contact, id), (Kind::Company, company), true);
        }
    }
    Ok(())
}
