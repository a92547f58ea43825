//! Every behavior of a row by what HubSpot has, whatever the import priority and the type.

use serde_json::{Value, json};

use super::{
    super::{Found, History, contact},
    world::{Stored, World, facts, id, person, told},
};

/// Type by type: the app's field with its value, the property, what is sent, what HubSpot has: another
/// value, the same one, and the same one as HubSpot might write it.
const TYPES: [(&str, &str, &str, &str, [&str; 3]); 9] = [
    (
        "job_title",
        "\"Head\"",
        "jobtitle",
        "Head",
        ["Boss", "Head", "Head "],
    ),
    (
        "phone",
        "\"\u{a0}+49 1\"",
        "phone",
        "+49 1",
        ["+49 2", "+49 1", "+49 1"],
    ),
    (
        "lead_score",
        "12.5",
        "score",
        "12.5",
        ["13", "12.5", "12.50"],
    ),
    (
        "email_verified",
        "true",
        "verified",
        "true",
        ["false", "true", "TRUE"],
    ),
    ("seniority", "\"2\"", "rating", "2", ["1", "2", "2"]),
    (
        "tags",
        "[\"b\", \"a\"]",
        "interests",
        "a;b",
        ["c", "a;b", "b;a;"],
    ),
    (
        "custom.since",
        "\"2026-02-28\"",
        "since",
        "2026-02-28",
        ["2026-02-27", "2026-02-28", "1772236800000"],
    ),
    (
        "custom.at",
        "\"2026-02-28T00:00:00Z\"",
        "at",
        "2026-02-28T00:00:00.000Z",
        [
            "2026-02-28T00:00:01Z",
            "2026-02-28T00:00:00.000Z",
            "1772236800000",
        ],
    ),
    (
        "city",
        "\"Ulm\"",
        "city",
        "Ulm",
        ["Köln", "Ulm", "Ulm\u{a0}"],
    ),
];

const STATES: [&str; 6] = [
    "new",
    "empty",
    "present",
    "equal",
    "normalised",
    "not asked",
];

#[test]
fn every_behavior_by_what_hubspot_has() {
    // What becomes of the row, in the order of the states. `append` differs by type.
    let table = [
        (
            "fill_if_empty",
            ["sent", "sent", "has_value", "same", "same", "not_read"],
        ),
        (
            "overwrite",
            ["sent", "sent", "sent", "same", "same", "not_read"],
        ),
        (
            "create_only",
            [
                "sent",
                "on_create_only",
                "on_create_only",
                "same",
                "same",
                "not_read",
            ],
        ),
        (
            "append",
            ["sent", "sent", "added", "same", "same", "not_read"],
        ),
        ("do_not_export", ["do_not_export"; 6]),
    ];
    let mut seen = 0;
    for priority in ["crm", "artisan"] {
        for (behavior, wants) in table {
            for (field, value, property, sent, [other, equal, normalised]) in TYPES {
                let row = json!({"app_field": field, "property": property,
                                 "import_priority": priority, "export": behavior});
                let world = World::new(json!({"contacts": [row]}));
                let value: Value = serde_json::from_str(value).unwrap();
                let mut fields = json!({});
                fields[field] = value;
                let someone = person(Some("a@b.example"), None, fields);
                for (state, want) in STATES.into_iter().zip(wants) {
                    let mut stored = Stored::of(&[("email", "a@b.example")]);
                    match state {
                        "present" => stored.0.insert(property.to_owned(), other.to_owned()),
                        "equal" => stored.0.insert(property.to_owned(), equal.to_owned()),
                        "normalised" => stored.0.insert(property.to_owned(), normalised.to_owned()),
                        _ => None,
                    };
                    let mut asked = world.contacts.clone();
                    if state == "not asked" {
                        asked.remove(property);
                    }
                    let read = stored.read(id(7), &asked);
                    let history = History::default();
                    let found = match state {
                        "new" => Found::Nobody,
                        _ => Found::Live(&read),
                    };
                    let plan = contact::plan(&world.workspace(), &facts(&someone, found, &history));
                    let want = match (want, property) {
                        ("sent", _) => {
                            let old = if state == "present" { other } else { "-" };
                            format!("{property}: {old} → {sent}")
                        }
                        ("added", "interests") => format!("{property}: c → ;a;b"),
                        // Only several options can be appended to.
                        ("added", _) => format!("{property}: not_converted"),
                        (why, _) => format!("{property}: {why}"),
                    };
                    let told = told(&plan.changes, &plan.left_out);
                    let about: Vec<_> = told
                        .into_iter()
                        .filter(|line| line.starts_with(&format!("{property}:")))
                        .collect();
                    assert_eq!(about, [want], "{priority} {behavior} {field} {state}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 2 * 5 * 9 * 6);
}

#[test]
fn fixed_values_by_their_behavior() {
    for (behavior, wants) in [
        ("fill_if_empty", ["sent", "sent", "has_value", "same"]),
        ("overwrite", ["sent", "sent", "sent", "same"]),
        (
            "create_only",
            ["sent", "on_create_only", "on_create_only", "same"],
        ),
    ] {
        let world = World::new(json!({
            "contact_source": {"property": "lead_source", "value": "Artisan", "behavior": behavior},
            "contact_values": [{"property": "fixed", "value": " Ava ", "behavior": behavior}]}));
        let someone = person(Some("a@b.example"), None, json!({}));
        for (n, want) in wants.into_iter().enumerate() {
            let stored = match n {
                2 => Stored::of(&[("lead_source", "Web"), ("fixed", "Bob")]),
                3 => Stored::of(&[("lead_source", "Artisan"), ("fixed", "Ava")]),
                _ => Stored::default(),
            };
            let read = stored.read(id(7), &world.contacts);
            let history = History::default();
            let found = if n == 0 {
                Found::Nobody
            } else {
                Found::Live(&read)
            };
            let plan = contact::plan(&world.workspace(), &facts(&someone, found, &history));
            let told = told(&plan.changes, &plan.left_out);
            for (property, other, ours) in
                [("lead_source", "Web", "Artisan"), ("fixed", "Bob", "Ava")]
            {
                let line = match want {
                    "sent" if n == 2 => format!("{property}: {other} → {ours}"),
                    "sent" => format!("{property}: - → {ours}"),
                    why => format!("{property}: {why}"),
                };
                assert!(told.contains(&line), "{behavior} {n}: {told:?}");
            }
        }
    }
}

#[test]
fn one_bad_row_is_left_out_and_the_rest_is_written() {
    let row = |field: &str, property: &str| json!({"app_field": field, "property": property});
    let world = World::new(json!({"contacts": [
        row("first_name", "firstname"), row("seniority", "rating"), row("headline", "readonly"),
        row("lead_score", "computed"), row("department", "gone"), row("state", "nowhere"),
        row("country", "jobtitle"), row("time_zone", "jobtitle"), row("language", "hs_object_id"),
        row("custom.never", "city"), row("campaign", "lastname"), row("phone", "phone"),
    ]}));
    let someone = person(
        Some("a@b.example"),
        None,
        json!({"first_name": "“Zoë” 🎉 O'Neil", "seniority": "7", "headline": "x", "lead_score": 1,
               "department": "x", "state": "x", "country": "a", "time_zone": "b", "language": "x",
               "campaign": "x".repeat(70_000), "phone": "\u{1}\u{7f}"}),
    );
    for found in [
        Found::Nobody,
        Found::Live(&Stored::default().read(id(7), &world.contacts)),
    ] {
        let history = History::default();
        let plan = contact::plan(&world.workspace(), &facts(&someone, found, &history));
        let mut told = told(&plan.changes, &plan.left_out);
        told.retain(|line| !line.starts_with("email") && !line.starts_with("hubspot_owner_id"));
        assert_eq!(
            told,
            [
                "firstname: - → “Zoë” 🎉 O'Neil",
                "jobtitle: - → a",
                "rating: not_converted",
                "readonly: not_converted",
                "computed: not_converted",
                "gone: not_converted",
                "nowhere: property_unknown",
                "jobtitle: written_twice",
                "hs_object_id: reserved",
                "city: field_unknown",
                "lastname: not_converted",
                "phone: not_converted",
            ]
        );
        let codes: Vec<_> = plan.left_out.iter().filter_map(|l| l.why.code()).collect();
        let docs = include_str!("../../../../docs/errors.md");
        for code in codes {
            assert!(docs.contains(&format!("\n## {code} ")), "{code}");
        }
    }
}

#[test]
fn control_characters_are_not_sent_and_line_breaks_are() {
    let world =
        World::new(json!({"contacts": [{"app_field": "job_title", "property": "jobtitle"}]}));
    let someone = person(
        Some("a@b.example"),
        None,
        json!({"job_title": "a\u{7}b\u{85}\tc\r\nd"}),
    );
    let plan = super::world::planned(&world, &someone, &[]);
    assert_eq!(plan.changes[0].write.sent().as_str(), "ab\tc\r\nd");
    let again = super::world::planned(&world, &someone, &[("jobtitle", "ab\tc\nd")]);
    assert!(!again.writes());
}

#[test]
fn a_table_of_options_goes_before_values_and_labels() {
    let table = json!({"R&D": "a", "sales ": "b", "true": "c", "3": "c"});
    let row = |field: &str, property: &str| json!({"app_field": field, "property": property, "options": table});
    for (field, value, property, want) in [
        ("department", json!("R&D"), "interests", Some("a")),
        ("department", json!(" Sales"), "interests", Some("b")),
        ("department", json!("R&D; B"), "interests", Some("a;b")),
        ("department", json!("nothing"), "interests", None),
        (
            "tags",
            json!(["R&D", "c", "sales"]),
            "interests",
            Some("a;b;c"),
        ),
        ("email_verified", json!(true), "interests", Some("c")),
        ("email_verified", json!(false), "interests", None),
        ("lead_score", json!(3), "interests", Some("c")),
        ("department", json!("R&D"), "city", Some("R&D")),
    ] {
        let world = World::new(json!({"contacts": [row(field, property)]}));
        let mut fields = json!({});
        fields[field] = value.clone();
        let plan = super::world::planned(&world, &person(Some("a@b.example"), None, fields), &[]);
        let sent = plan.changes.first().map(|c| c.write.sent().as_str());
        assert_eq!(sent, want, "{field} {value} → {property}");
    }
}
