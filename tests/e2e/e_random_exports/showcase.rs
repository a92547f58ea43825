//! One of each kind, so that every rule has something to say whatever the seed.

use std::collections::BTreeMap;

use e2e::planted::{Planted, number};
use model::exports::{Behavior, Company, Exports, Id, Op, Person, Policy, Said, Settings};
use serde_json::{Value, json};

use super::{
    portal::HubSpot,
    words::{stages, text},
};

/// Records of HubSpot's that something is done to.
pub(super) struct Showcase {
    away: i64,
    owned: i64,
}

/// Who stands for whom: the owners of two members, and the fallback.
pub(super) async fn owners(p: &Planted) -> [i64; 3] {
    let mut all = [0; 3];
    for (n, name) in ["one", "two", "fallback"].into_iter().enumerate() {
        let body = json!({"email": format!("{name}@team-ex.com")});
        all[n] = number(&p.tenant.control("POST", "owners", Some(body)).await["id"]);
    }
    all
}

/// What is in HubSpot before anything is exported.
pub(super) async fn plant(hubspot: &mut impl HubSpot, owners: [i64; 3]) -> Showcase {
    let company = |name: &str, domain: &str, more: &str| {
        let mut properties = json!({
            "name": name, "domain": domain, "type": "PARTNER", "hubspot_owner_id": owners[2].to_string(),
        });
        if !more.is_empty() {
            properties["hs_additional_domains"] = json!(more);
        }
        properties
    };
    let other = company("Other", "other-ex.com", "");
    let other = hubspot.plant("companies", other, None).await;
    for company in [
        company("Theirs", "adopt-ex.com", ""),
        company("Additional", "additional-ex.com", "dup-ex.com"),
        company("First", "dup-ex.com", ""),
        company("Second", "dup-ex.com", ""),
        company("Main", "main-ex.com", "extra-ex.com"),
    ] {
        hubspot.plant("companies", company, None).await;
    }

    let mut contact = async |email: &str, more: Value| {
        let mut properties = json!({"email": email});
        for (name, value) in more.as_object().unwrap() {
            properties[name] = value.clone();
        }
        hubspot.plant("contacts", properties, None).await
    };
    let known = json!({
        "email": "Known@adopt-ex.com", "firstname": "Theirs", "lastname": "Theirs", "phone": "+1 555",
        "model_tags": "red",
    });
    contact(
        "prim@share-ex.com",
        json!({"hs_additional_emails": "Add@share-ex.com", "firstname": "Both"}),
    )
    .await;
    contact(
        "else@lone-ex.com",
        json!({"hs_additional_emails": "lone@lone-ex.com"}),
    )
    .await;
    contact("stage@stage-ex.com", json!({"lifecyclestage": "customer"})).await;
    contact("late@late-ex.com", json!({})).await;
    // Somebody of whom HubSpot has everything already, written a little differently.
    contact(
        "same@gmail.com",
        json!({
            "firstname": " Same ", "model_score": "12.50", "model_source": "Artisan", "model_fixed": "gold",
            "hubspot_owner_id": owners[2].to_string(), "model_tags": "blue;red", "hs_language": "en",
        }),
    )
    .await;
    let owned = json!({"hubspot_owner_id": owners[1].to_string()});
    let owned = contact("owned@gmail.com", owned).await;
    let away = contact("away@gmail.com", json!({})).await;
    hubspot.plant("contacts", known, Some(other)).await;
    Showcase { away, owned }
}

pub(super) fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

const LONG_AGO: i64 = 1_600_000_000_000;

fn person(id: &str, email: &str) -> Person {
    Person {
        id: id.to_owned(),
        email: Some(email.to_owned()),
        fields: BTreeMap::from([
            ("first_name", text(&format!("App {id}"))),
            ("language", text("en")),
        ]),
        ..Person::default()
    }
}

/// Somebody who was contacted now.
fn lead(id: &str, email: &str) -> Person {
    Person {
        contacted: Some(now()),
        ..person(id, email)
    }
}

fn with(mut person: Person, fields: &[(&'static str, Said)]) -> Person {
    person.fields.extend(fields.iter().cloned());
    person
}

fn at(company: &str, person: Person) -> Person {
    Person {
        company: Some(company.to_owned()),
        ..person
    }
}

fn company(id: &str, fields: &[(&'static str, &str)]) -> Op {
    Op::Company(Company {
        id: id.to_owned(),
        fields: fields
            .iter()
            .map(|(field, value)| (*field, text(value)))
            .collect(),
    })
}

fn by_hand(person: &str) -> Op {
    Op::Export {
        person: person.to_owned(),
        anew: false,
    }
}

/// Somebody as the app has them, changed.
fn again(model: &Exports, id: &str, change: impl FnOnce(&mut Person)) -> Op {
    let mut person = model.people[id].clone();
    change(&mut person);
    Op::Person(person)
}

/// Before an admin has saved the settings.
pub(super) fn before_settings() -> Vec<Op> {
    ["early", "earlier", "earliest"]
        .map(|id| {
            Op::Person(Person {
                contacted: Some(LONG_AGO),
                replied: Some(LONG_AGO),
                positively: Some(LONG_AGO),
                ..person(id, &format!("{id}@gmail.com"))
            })
        })
        .into()
}

pub(super) fn first_wave() -> Vec<Op> {
    let tags = |all: &[&str]| Said::List(all.iter().map(|t| (*t).to_owned()).collect());
    let mut ops = vec![
        company(
            "co-adopt",
            &[
                ("name", "Ours"),
                ("domain", "adopt-ex.com"),
                ("industry", "Tools"),
                ("city", "Ulm"),
            ],
        ),
        company("co-dup", &[("domain", "dup-ex.com")]),
        company(
            "co-sub",
            &[("website", "https://www.Shop.Sub-ex.co.uk:443/p?utm=1#x")],
        ),
        company(
            "co-burst",
            &[
                ("name", "Burst"),
                ("domain", "BURST-ex.com."),
                ("city", "Bonn"),
                ("description", "None"),
            ],
        ),
        company("co-gone", &[("domain", "gone-ex.com")]),
        company("co-moved", &[("domain", "moved-ex.com")]),
        company("co-one", &[("domain", "twin-ex.com"), ("industry", "Ours")]),
        company("co-page", &[("website", "https://linkedin.com/company/x")]),
    ];
    let known = with(
        lead("known", "known@adopt-ex.com"),
        &[
            ("last_name", text("Ours")),
            ("job_title", text("Buyer")),
            ("city", text("Ulm")),
            ("tags", tags(&["blue"])),
            ("seniority", text("The boss")),
        ],
    );
    let new = with(
        lead("new", "New@page-ex.com"),
        &[
            ("last_name", text("O'Neil \"Q\" 🚀")),
            ("job_title", text("Head\u{7} of Sales")),
            ("city", text("Ulm")),
            ("phone", text("+49 30 1")),
            ("lead_score", Said::Number(12.5)),
            ("custom.since", text("2026-03-04")),
            ("custom.seen", text("2026-03-04T08:30:00Z")),
            ("email_verified", Said::YesNo(true)),
            ("seniority", text("Big fish")),
            ("tags", tags(&["blue", "Red"])),
        ],
    );
    let same = with(
        lead("same", "same@gmail.com"),
        &[
            ("first_name", text("Same")),
            ("lead_score", Said::Number(12.5)),
            ("tags", tags(&["red", "blue"])),
        ],
    );
    let bad = with(
        lead("bad", "bad@gmail.com"),
        &[("seniority", text("Nonsense"))],
    );
    let mut nameless = person("nameless", "");
    nameless.email = None;
    nameless.contacted = Some(now());
    let mut bare = lead("bare", "bare@gmail.com");
    bare.fields.remove("language");
    ops.extend(
        [
            at("co-adopt", known),
            at("co-page", new),
            same,
            bad,
            nameless,
            bare,
            Person {
                status: Some("contacted"),
                ..lead("prim", "prim@share-ex.com")
            },
            lead("lone", "lone@lone-ex.com"),
            lead("stage", "stage@stage-ex.com"),
            at("co-dup", lead("dup", "dup@dup-ex.com")),
            lead("extra", "extra@extra-ex.com"),
            at("co-sub", lead("sub", "sub@mail-ex.com")),
            at("co-gone", lead("gone", "gone@gone-ex.com")),
            at("co-moved", lead("moved", "moved@moved-ex.com")),
            at("co-one", lead("twin-one", "one@twin-ex.com")),
            lead("made", "made@made-ex.com"),
            Person {
                owner: Some("m1"),
                ..lead("owned", "owned@gmail.com")
            },
            Person {
                owner: Some("m2"),
                ..lead("chosen", "chosen@gmail.com")
            },
            Person {
                owner: Some("m3"),
                ..lead("unmapped", "unmapped@gmail.com")
            },
            lead("away", "away@gmail.com"),
            lead("fight", "fight@gmail.com"),
            Person {
                status: Some("contacted"),
                ..person("silent", "silent@gmail.com")
            },
            Person {
                status: Some("contacted"),
                ..lead("told", "told@gmail.com")
            },
        ]
        .map(Op::Person),
    );
    // Many of one new company at once.
    for n in 0..4 {
        let id = format!("burst-{n}");
        let email = format!("{id}@burst-ex.com");
        ops.push(Op::Person(at("co-burst", lead(&id, &email))));
    }
    ops.push(by_hand("early"));
    ops.push(Op::Bulk {
        people: vec!["earlier".to_owned()],
        earlier: false,
    });
    ops
}

async fn edit(model: &Exports, hubspot: &mut impl HubSpot, person: &str, properties: Value) {
    let Some(Id::Known(id)) = model.linked(person) else {
        panic!("{person} is no contact");
    };
    hubspot.set("contacts", id.cast_signed(), properties).await;
}

fn company_named(model: &Exports, property: &str, value: &str) -> i64 {
    let mut all = model.records.iter();
    let found = all.find(|(_, record)| record.values.get(property).is_some_and(|is| is == value));
    match found {
        Some((Id::Known(id), _)) => id.cast_signed(),
        _ => panic!("no company {value}"),
    }
}

pub(super) async fn first_edits(model: &Exports, hubspot: &mut impl HubSpot, shown: &Showcase) {
    for (person, properties) in [
        ("fight", json!({"firstname": "Theirs 1"})),
        ("told", json!({"hs_lead_status": "NEW"})),
        ("prim", json!({"hs_lead_status": "NEW"})),
    ] {
        edit(model, hubspot, person, properties).await;
    }
    hubspot.archive("contacts", shown.away).await;
    let gone = company_named(model, "domain", "gone-ex.com");
    hubspot.archive("companies", gone).await;
    for (domain, to) in [
        ("moved-ex.com", "elsewhere-ex.com"),
        ("made-ex.com", "renamed-ex.com"),
    ] {
        let id = company_named(model, "domain", domain);
        hubspot.set("companies", id, json!({"domain": to})).await;
    }
    let taken = json!({"name": "Another", "domain": "moved-ex.com"});
    hubspot.plant("companies", taken, None).await;
}

pub(super) fn second_wave(model: &Exports) -> Vec<Op> {
    vec![
        by_hand("fight"),
        by_hand("prim"),
        Op::Bulk {
            people: vec!["earlier".to_owned()],
            earlier: true,
        },
        again(model, "told", |p| {
            p.fields.insert("job_title", text("Buyer"));
            p.fields.insert("phone", text("+49 30 2"));
        }),
        again(model, "known", |p| {
            p.fields.insert("city", text("Bonn"));
        }),
        again(model, "new", |p| {
            p.fields.remove("phone");
            p.fields.insert("lead_score", Said::Number(13.0));
        }),
        again(model, "silent", |p| p.status = Some("replied")),
        again(model, "away", |p| {
            p.fields.insert("phone", text("+49 30 3"));
        }),
        Op::Person(at("co-gone", lead("gone-two", "two@gone-ex.com"))),
        Op::Person(at("co-moved", lead("moved-two", "two@moved-ex.com"))),
        Op::Person(lead("made-two", "two@made-ex.com")),
        company(
            "co-two",
            &[
                ("website", "https://www.twin-ex.com"),
                ("industry", "Another"),
            ],
        ),
        Op::Person(at("co-two", lead("twin-two", "two@twin-ex.com"))),
        company("co-refused", &[("domain", "other-ex.com")]),
        Op::Person(at("co-refused", lead("refused", "refused@nowhere-ex.zzq"))),
    ]
}

pub(super) async fn second_edits(model: &Exports, hubspot: &mut impl HubSpot) {
    let theirs = json!({"firstname": "Theirs 2"});
    edit(model, hubspot, "fight", theirs).await;
}

/// Records are only updated, owners overwritten, and statuses are lifecycle stages.
pub(super) fn third_settings(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.policy = Policy::Replied;
    settings.make_contacts = false;
    settings.make_companies = false;
    settings.overwrite_owner = true;
    settings.status = Some(stages(false));
    for row in &mut settings.contacts {
        row.behavior = match row.field {
            "email" => Behavior::Overwrite,
            "last_name" => Behavior::CreateOnly,
            _ => row.behavior,
        };
    }
    settings
}

pub(super) fn third_wave(model: &Exports) -> Vec<Op> {
    vec![
        by_hand("fight"),
        // Whose address is an additional one of somebody's contact.
        by_hand("lone"),
        Op::Person(at("co-adopt", lead("contacted", "contacted@gmail.com"))),
        Op::Person(Person {
            replied: Some(now()),
            ..lead("absent", "absent@gmail.com")
        }),
        Op::Person(Person {
            replied: Some(now()),
            ..lead("late", "late@late-ex.com")
        }),
        again(model, "stage", |p| p.status = Some("replied")),
        again(model, "new", |p| p.status = Some("interested")),
        again(model, "owned", |p| {
            p.fields.insert("phone", text("+49 30 4"));
        }),
        Op::Person(with(
            Person {
                replied: Some(now()),
                ..lead("second", "add@share-ex.com")
            },
            &[("first_name", text("Second"))],
        )),
    ]
}

pub(super) async fn third_edits(model: &Exports, hubspot: &mut impl HubSpot, shown: &Showcase) {
    let theirs = json!({"firstname": "Theirs 3"});
    edit(model, hubspot, "fight", theirs).await;
    let owner = json!({"hubspot_owner_id": ""});
    hubspot.set("contacts", shown.owned, owner).await;
}

/// All is made again, and stages may go back.
pub(super) fn fourth_settings(settings: &Settings) -> Settings {
    let mut settings = third_settings(settings);
    settings.policy = Policy::RepliedPositively;
    settings.make_contacts = true;
    settings.make_companies = true;
    settings.status = Some(stages(true));
    settings
}

pub(super) fn fourth_wave(model: &Exports) -> Vec<Op> {
    vec![
        by_hand("fight"),
        Op::Export {
            person: "away".to_owned(),
            anew: true,
        },
        again(model, "new", |p| p.status = Some("contacted")),
        again(model, "silent", |p| {
            p.contacted = Some(now());
            p.positively = Some(now());
        }),
        by_hand("owned"),
        Op::Bulk {
            people: vec!["earliest".to_owned()],
            earlier: false,
        },
    ]
}
