//! Portals out of a seed: realistic names, companies shared by contacts, odd values.

use serde::Deserialize;

use crate::{
    model::{Data, Kind, List, Owner},
    rng::Rng,
};

const FIRST: &[&str] = &[
    "Ada", "Bruno", "Chiara", "Dmitri", "Élodie", "Farah", "Goran", "Hana", "Ivo", "Jürgen",
    "Kofi", "Lucía", "Mina", "Noor", "Olga", "Paweł", "Quinn", "Rosa", "Søren", "Tariq", "Ursula",
    "Vikram", "Wen", "Ximena", "Yuki", "Zoë",
];
const LAST: &[&str] = &[
    "Abara",
    "Bianchi",
    "Castro",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ivanov",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Müller",
    "Nakamura",
    "O'Brien",
    "Petrov",
    "Quispe",
    "Rossi",
    "Sato",
    "Tanaka",
    "Ueda",
    "Van Dijk",
    "Weber",
    "Xu",
    "Yılmaz",
    "Zhang",
];
const FIRM: &[&str] = &[
    "Alder", "Beacon", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Iris", "Juniper",
    "Krypton", "Lumen", "Meridian", "Nimbus", "Orchard", "Pioneer", "Quartz", "Ridge", "Summit",
    "Tundra",
];
const TRADE: &[&str] = &[
    "Analytics",
    "Biotech",
    "Capital",
    "Dynamics",
    "Energy",
    "Foods",
    "Games",
    "Health",
    "Insurance",
    "Logistics",
    "Media",
    "Networks",
    "Optics",
    "Robotics",
    "Software",
    "Travel",
];
const TITLE: &[&str] = &[
    "CEO",
    "CTO",
    "Head of Sales",
    "Account Executive",
    "Buyer",
    "Engineer",
];
const CITY: &[&str] = &[
    "Berlin", "Boston", "Lagos", "Lima", "Oslo", "Pune", "Quito", "Zürich",
];

/// How large.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Size {
    pub(crate) seed: u64,
    pub(crate) contacts: u64,
    pub(crate) companies: u64,
    pub(crate) deals: u64,
    pub(crate) lists: u64,
    pub(crate) owners: u64,
    /// Emails, calls, meetings, notes, tasks, communications in turn, at contacts.
    pub(crate) engagements: u64,
    /// Some values that break the type of their property, as real portals have them.
    pub(crate) odd_types: bool,
    /// More text in each contact, in bytes.
    pub(crate) padding: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            seed: 1,
            contacts: 0,
            companies: 0,
            deals: 0,
            lists: 0,
            owners: 5,
            engagements: 0,
            odd_types: false,
            padding: 0,
        }
    }
}

/// 2026-01-01
const EPOCH: i64 = 1_767_225_600_000;

/// Fills a portal.
pub(crate) fn fill(data: &mut Data, size: &Size) {
    let mut rng = Rng::new(size.seed);
    let mut owners = Vec::new();
    for n in 0..size.owners {
        let id = 500_000 + n;
        let (first, last) = (*rng.pick(FIRST), *rng.pick(LAST));
        data.owners.insert(
            id,
            Owner {
                id,
                user_id: 900_000 + n,
                email: format!("rep{n}@portal.example.com"),
                first_name: first.to_owned(),
                last_name: last.to_owned(),
                archived: n % 7 == 6,
                teams: match n % 3 {
                    0 => Vec::new(),
                    1 => vec![(41, "Sales".to_owned())],
                    _ => vec![(42, "Success".to_owned()), (41, "Sales".to_owned())],
                },
            },
        );
        owners.push(id.to_string());
    }
    let owner = |rng: &mut Rng| {
        if owners.is_empty() || rng.below(4) == 0 {
            String::new()
        } else {
            rng.pick(&owners).clone()
        }
    };
    let at = |rng: &mut Rng| EPOCH + rng.below(20_000_000_000) as i64;
    let mut companies = Vec::new();
    for n in 0..size.companies {
        let id = data.take_id();
        let name = format!("{} {} {n}", rng.pick(FIRM), rng.pick(TRADE));
        let domain = format!("{}.example.com", name.to_lowercase().replace(' ', "-"));
        let created = at(&mut rng);
        let values = [
            ("name", name),
            ("domain", domain.clone()),
            (
                "website",
                if n % 3 == 0 {
                    format!("https://www.{domain}/")
                } else {
                    String::new()
                },
            ),
            ("industry", rng.pick(TRADE).to_string()),
            (
                "numberofemployees",
                if size.odd_types && n % 7 == 3 {
                    "10;50".to_owned()
                } else {
                    (1 + rng.below(9_999)).to_string()
                },
            ),
            ("city", rng.pick(CITY).to_string()),
            ("hubspot_owner_id", owner(&mut rng)),
        ];
        data.insert(
            Kind::Company,
            id,
            &values,
            created,
            created + rng.below(1_000_000) as i64,
        );
        companies.push((id, domain));
    }
    let padding = "lorem ipsum dolor sit amet ".repeat(size.padding / 27 + 1);
    let mut contacts = Vec::new();
    for n in 0..size.contacts {
        let id = data.take_id();
        let (first, last) = (*rng.pick(FIRST), *rng.pick(LAST));
        let company =
            (!companies.is_empty() && rng.below(10) > 0).then(|| rng.pick(&companies).clone());
        let domain = company
            .as_ref()
            .map_or("mail.example.org", |(_, d)| d.as_str());
        let created = at(&mut rng);
        // Odd values that real portals have: quotes, line breaks, emoji, markup, other scripts.
        let odd = match n % 50 {
            7 => "He said \"no\"\nthen yes 🙂",
            19 => "<script>alert('x')</script>",
            31 => "日本語のメモ",
            _ => "",
        };
        let values = [
            ("email", format!("contact{n}@{domain}")),
            ("firstname", first.to_owned()),
            ("lastname", last.to_owned()),
            (
                "jobtitle",
                if odd.is_empty() {
                    rng.pick(TITLE).to_string()
                } else {
                    odd.to_owned()
                },
            ),
            ("phone", format!("+1 555 {:07}", rng.below(9_999_999))),
            ("city", rng.pick(CITY).to_string()),
            (
                "lifecyclestage",
                if n % 3 == 0 {
                    "lead".to_owned()
                } else {
                    String::new()
                },
            ),
            ("hubspot_owner_id", owner(&mut rng)),
            (
                "message",
                if size.padding > 0 {
                    padding[..size.padding].to_owned()
                } else {
                    String::new()
                },
            ),
        ];
        data.insert(
            Kind::Contact,
            id,
            &values,
            created,
            created + rng.below(1_000_000) as i64,
        );
        if let Some((company, _)) = company {
            data.link((Kind::Contact, id), (Kind::Company, company), true);
        }
        contacts.push(id);
    }
    let stages: Vec<String> = data.pipelines[Kind::Deal as usize]
        .iter()
        .take(1)
        .flat_map(|p| &p.stages)
        .map(|s| s.id.clone())
        .collect();
    for n in 0..size.deals {
        let id = data.take_id();
        let created = at(&mut rng);
        let stage = rng.pick(&stages).clone();
        let values = [
            ("dealname", format!("Deal {n}")),
            (
                "amount",
                if n % 4 == 0 {
                    String::new()
                } else {
                    (rng.below(900_000)).to_string()
                },
            ),
            ("dealstage", stage),
            ("pipeline", "default".to_owned()),
            ("closedate", crate::answer::iso(created + 2_592_000_000)),
            ("hubspot_owner_id", owner(&mut rng)),
        ];
        data.insert(
            Kind::Deal,
            id,
            &values,
            created,
            created + rng.below(1_000_000) as i64,
        );
        if !companies.is_empty() && n % 5 != 0 {
            let company = rng.pick(&companies).0;
            data.link((Kind::Deal, id), (Kind::Company, company), true);
        }
        for _ in 0..rng.below(3) {
            if !contacts.is_empty() {
                let contact = *rng.pick(&contacts);
                data.link((Kind::Deal, id), (Kind::Contact, contact), false);
            }
        }
    }
    engagements(data, size, &contacts, &mut rng);
    for n in 0..size.lists {
        let kind = if n % 5 == 4 {
            Kind::Company
        } else {
            Kind::Contact
        };
        let processing = ["MANUAL", "DYNAMIC", "SNAPSHOT"][(n % 3) as usize];
        let ids: Vec<u64> = data.records[kind as usize].keys().copied().collect();
        let members = if ids.is_empty() {
            Default::default()
        } else {
            (0..rng.below(ids.len() as u64 / 2 + 1))
                .map(|_| (*rng.pick(&ids), at(&mut rng)))
                .collect()
        };
        let id = 10 + n;
        data.lists.insert(
            id,
            List {
                members,
                ..List::new(id, format!("List {n}"), kind, processing)
            },
        );
    }
}

fn engagements(data: &mut Data, size: &Size, contacts: &[u64], rng: &mut Rng) {
    let kinds = [
        Kind::Email,
        Kind::Call,
        Kind::Meeting,
        Kind::Note,
        Kind::Task,
        Kind::Communication,
    ];
    for n in 0..size.engagements {
        let kind = kinds[(n % 6) as usize];
        let at = EPOCH + rng.below(20_000_000_000) as i64;
        let text = format!("About {}", rng.pick(TRADE));
        let more: Vec<(&str, String)> = match kind {
            Kind::Email => vec![
                ("hs_email_direction", "EMAIL".to_owned()),
                ("hs_email_subject", text.clone()),
                ("hs_email_html", format!("<p>{text}</p>")),
            ],
            Kind::Call => vec![
                ("hs_call_title", text),
                ("hs_call_duration", rng.below(900_000).to_string()),
                ("hs_call_status", "COMPLETED".to_owned()),
            ],
            Kind::Meeting => vec![
                ("hs_meeting_title", text),
                ("hs_meeting_outcome", "COMPLETED".to_owned()),
            ],
            Kind::Note => vec![("hs_note_body", text)],
            Kind::Task => vec![
                ("hs_task_subject", text),
                ("hs_task_status", "NOT_STARTED".to_owned()),
            ],
            _ => vec![
                ("hs_communication_channel_type", "SMS".to_owned()),
                ("hs_communication_logged_from", "CRM".to_owned()),
                ("hs_communication_body", text),
            ],
        };
        let mut values = vec![("hs_timestamp", crate::answer::iso(at))];
        values.extend(more);
        let id = data.take_id();
        data.insert(kind, id, &values, at, at);
        if !contacts.is_empty() {
            let contact = *rng.pick(contacts);
            data.link((kind, id), (Kind::Contact, contact), false);
        }
    }
}
