mod cases;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::cases::cases;
use super::{super::*, *};
use crate::{
    ObjectType,
    app::{
        CustomField, Email, FieldType, LeadStatus, Member, RecordKind, RecordVersion, SlotVersions,
    },
    portal::{
        ListId, PortalList, PortalOwner, PortalPipeline, PortalStage, PropertyDefinition,
        PropertyOption, PropertyType, by_name,
    },
};

fn property(name: &str, property_type: PropertyType, field_type: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: name.to_owned(),
        label: name.to_owned(),
        property_type,
        field_type: field_type.to_owned(),
        options: Vec::new(),
        external_options: false,
        referenced_object_type: None,
        read_only: false,
        calculated: false,
        archived: false,
    }
}

fn text(name: &str) -> PropertyDefinition {
    property(name, PropertyType::String, "text")
}

fn options(name: &str, field_type: &str, values: &[&str]) -> PropertyDefinition {
    PropertyDefinition {
        options: values
            .iter()
            .map(|v| PropertyOption {
                value: (*v).to_owned(),
                label: v.to_uppercase(),
            })
            .collect(),
        ..property(name, PropertyType::Enumeration, field_type)
    }
}

fn member(id: &str, email: &str, active: bool) -> Member {
    Member {
        id: id.parse().unwrap(),
        version: RecordVersion::MIN,
        email: Some(Email::parse(email).unwrap()),
        name: None,
        active: Some(active),
        slots: SlotVersions::default(),
    }
}

fn owner(id: i64, email: &str, archived: bool) -> PortalOwner {
    PortalOwner {
        id: crate::HubSpotOwnerId::new(id).unwrap(),
        email: Some(Email::parse(email).unwrap()),
        archived,
    }
}

pub(crate) fn facts() -> PortalFacts {
    let contact = [
        text("email"),
        text("firstname"),
        text("lastname"),
        text("jobtitle"),
        property("phone", PropertyType::PhoneNumber, "phonenumber"),
        text("city"),
        PropertyDefinition {
            read_only: true,
            ..text("readonly")
        },
        PropertyDefinition {
            calculated: true,
            ..property("score", PropertyType::Number, "calculation_score")
        },
        PropertyDefinition {
            archived: true,
            ..text("gone")
        },
        property("count", PropertyType::Number, "number"),
        property("place", PropertyType::Other, "text"),
        options("hs_lead_status", "radio", &["new", "open", "connected"]),
        options(
            "lifecyclestage",
            "radio",
            &["lead", "opportunity", "customer"],
        ),
        options("interests", "checkbox", &["a", "b"]),
        options("lead_source", "select", &["Artisan", "Web"]),
        options("rating", "select", &["1", "2"]),
        property("since", PropertyType::Date, "date"),
        property("hubspot_owner_id", PropertyType::Enumeration, "select"),
        PropertyDefinition {
            external_options: true,
            referenced_object_type: Some("OWNER".to_owned()),
            ..property("account_manager", PropertyType::Enumeration, "select")
        },
        PropertyDefinition {
            external_options: true,
            ..property("hs_pipeline", PropertyType::Enumeration, "select")
        },
        PropertyDefinition {
            external_options: true,
            ..property("dealstage", PropertyType::Enumeration, "radio")
        },
    ];
    let company = [text("name"), text("domain"), text("email"), text("city")];
    PortalFacts {
        contact_rules: Default::default(),
        company_rules: Default::default(),
        contact_properties: Some(by_name(contact)),
        company_properties: Some(by_name(company)),
        engagement_properties: [(
            ObjectType::Call,
            by_name([
                text("hs_call_title"),
                property("hs_call_duration", PropertyType::Number, "number"),
                text("campaign"),
            ]),
        )]
        .into(),
        owners: Some(vec![
            owner(1, "ann@a.example", false),
            owner(2, "gone@a.example", true),
            owner(3, "other@a.example", false),
        ]),
        pipelines: Some(vec![PortalPipeline {
            id: "default".to_owned(),
            label: "Sales".to_owned(),
            stages: vec![PortalStage {
                id: "new".to_owned(),
                label: "New".to_owned(),
                closed: false,
                won: false,
                archived: false,
            }],
            archived: false,
        }]),
        lists: Some(vec![
            PortalList {
                id: ListId::new(7),
                object_type: Some(ObjectType::Contact),
            },
            PortalList {
                id: ListId::new(8),
                object_type: Some(ObjectType::Deal),
            },
            PortalList {
                id: ListId::new(9),
                object_type: Some(ObjectType::Company),
            },
        ]),
        members: vec![
            member("ann", "ann@a.example", true),
            member("old", "old@a.example", false),
        ],
        custom_fields: vec![CustomField {
            record: RecordKind::Person,
            key: "custom.when".parse().unwrap(),
            label: "When".to_owned(),
            field_type: FieldType::Date,
        }],
    }
}

/// A document with nothing wrong, then changed by the case.
fn settings(change: impl FnOnce(&mut serde_json::Value)) -> Settings {
    let mut document = serde_json::json!({
        "schema_version": 2,
        "contacts": [
            {"app_field": "first_name", "property": "firstname"},
            {"app_field": "custom.when", "property": "since", "export": "overwrite"},
        ],
        "companies": [{"app_field": "name", "property": "name"}],
        "activity_properties": [{"kind": "call", "app_field": "title", "property": "hs_call_title"}],
        "owners": {"rows": [{"owner": 3, "member": "ann"}, {"owner": 2, "member": "ann"}],
                   "writing": [{"member": "ann", "owner": 3}], "fallback_owner": 1},
        "status": {"property": "hs_lead_status", "rows": [{"status": "replied", "value": "connected"}]},
        "contact_source": {"property": "lead_source", "value": "Artisan"},
        "lists": [{"list": 7, "use": "audience"}, {"list": 9, "use": "suppression"}],
        "dnc": {"open_deal": {"pipelines": [{"pipeline": "default", "stages": ["new"]}]}},
        "activities": {"kinds": {"call": {"label": "[Ava]"}}},
    });
    change(&mut document);
    read(document).unwrap()
}

fn row(field: &str, property: &str) -> serde_json::Value {
    serde_json::json!({"app_field": field, "property": property})
}

#[test]
fn nothing_is_wrong_with_what_is_right() {
    assert_eq!(validate(&settings(|_| {}), &facts(), None), []);
}

#[test]
fn each_kind_of_problem_is_found_and_named() {
    for (change, path, code, severity) in cases() {
        let found = validate(&settings(change), &facts(), None);
        let problem = found
            .iter()
            .find(|p| p.path.as_str() == path && p.code == code)
            .unwrap_or_else(|| panic!("no {code:?} at {path}: {found:#?}"));
        assert_eq!(problem.severity, severity, "{problem:?}");
    }
}

#[test]
fn values_of_external_options_are_looked_up() {
    use SettingsCode as C;
    for (property, value, code) in [
        ("account_manager", "1", None),
        ("account_manager", " 1 ", None),
        ("account_manager", "2", Some(C::OwnerUnknown)),
        ("account_manager", "77", Some(C::OwnerUnknown)),
        ("hs_pipeline", "default", None),
        ("hs_pipeline", "not an owner", Some(C::PipelineUnknown)),
        ("dealstage", "new", None),
        ("dealstage", "1", Some(C::StageUnknown)),
    ] {
        let as_source = settings(|d| {
            d["contact_source"] = serde_json::json!({"property": property, "value": value});
        });
        let as_status = settings(|d| {
            d["status"] = serde_json::json!({"property": property, "rows": [{"status": "replied", "value": value}]});
        });
        for (settings, path) in [
            (as_source, "/contact_source/value"),
            (as_status, "/status/rows/0/value"),
        ] {
            let found = validate(&settings, &facts(), None);
            let shown: Vec<_> = found.iter().map(|p| (p.path.as_str(), p.code)).collect();
            let want: Vec<_> = code.map(|code| (path, code)).into_iter().collect();
            assert_eq!(shown, want, "{property} {value}");
            if property != "account_manager" {
                assert!(
                    found.iter().all(|p| !p.message.contains("owner of")),
                    "{found:?}"
                );
                assert!(
                    found.iter().all(|p| p.message.contains("pipeline")),
                    "{found:?}"
                );
            }
            // What was not read yet is said, once.
            let unread = PortalFacts {
                owners: None,
                pipelines: None,
                ..facts()
            };
            let found = validate(&settings, &unread, None);
            assert!(found.iter().all(|p| p.code == C::NotChecked), "{found:?}");
            assert!(found.iter().any(|p| p.path.as_str() == path
                || property == "account_manager"
                || p.message.contains("pipelines")));
        }
    }
}

#[test]
fn every_code_has_a_case() {
    let mut shown: BTreeSet<_> = cases().into_iter().map(|(_, _, code, _)| code).collect();
    // Of rules of the portal, which the cases have none of: beside the rule.
    shown.insert(SettingsCode::RequiredNotWritten);
    assert_eq!(shown, SettingsCode::ALL.into_iter().collect());
}

#[test]
fn only_what_is_wrong_is_named() {
    for (change, path, code, _) in cases() {
        let found = validate(&settings(change), &facts(), None);
        assert_eq!(found.len(), 1, "{code:?} at {path}: {found:#?}");
    }
}

#[test]
fn a_row_for_import_alone_may_read_anything_that_is_there() {
    for (property, good) in [
        ("readonly", true),
        ("score", true),
        ("place", true),
        ("nope", false),
    ] {
        let settings = settings(|d| {
            d["contacts"][0] = serde_json::json!(
                {"app_field": "city", "property": property, "export": "do_not_export"});
        });
        assert_eq!(
            acceptable(&validate(&settings, &facts(), None)),
            good,
            "{property}"
        );
    }
    // And it does not count as a writer.
    let settings = settings(|d| {
        d["contacts"][1] = serde_json::json!(
            {"app_field": "city", "property": "firstname", "export": "do_not_export"});
    });
    assert_eq!(validate(&settings, &facts(), None), []);
}

#[test]
fn what_was_not_read_yet_is_said_once_and_refuses_nothing() {
    let facts = PortalFacts {
        members: facts().members,
        custom_fields: facts().custom_fields,
        ..PortalFacts::default()
    };
    let found = validate(&settings(|_| {}), &facts, None);
    assert!(acceptable(&found), "{found:#?}");
    assert!(found.iter().all(|p| p.code == SettingsCode::NotChecked));
    // Contact and company properties, owners, pipelines, lists; the call's property is standard.
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn a_row_that_went_bad_later_is_a_warning_and_is_skipped() {
    let saved = settings(|_| {});
    let mut facts = facts();
    if let Some(properties) = facts.contact_properties.as_mut() {
        properties.get_mut("firstname").unwrap().archived = true;
        properties.get_mut("hs_lead_status").unwrap().options.pop();
    }
    facts.lists = Some(Vec::new());

    // An unrelated change, and the bad row at another place.
    let next = settings(|d| {
        d["import"] = serde_json::json!({"interval_minutes": 5});
        d["contacts"] = serde_json::json!([
            {"app_field": "custom.when", "property": "since", "export": "overwrite"},
            {"app_field": "first_name", "property": "firstname"}]);
    });
    let found = validate(&next, &facts, Some(&saved));
    assert!(acceptable(&found), "{found:#?}");
    let skipped: Vec<_> = skipped_rows(&found).into_iter().map(String::from).collect();
    assert_eq!(
        skipped,
        ["/contacts/1", "/lists/0", "/lists/1", "/status/rows/0"]
    );

    // Without the saved document, and for a row that was touched, the same is an error.
    assert!(!acceptable(&validate(&next, &facts, None)));
    let touched = settings(|d| d["contacts"][0]["export"] = serde_json::json!("overwrite"));
    let found = validate(&touched, &facts, Some(&saved));
    let errors: Vec<_> = found
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].path.as_str(), "/contacts/0/property");
}

#[test]
fn single_rules_that_went_bad_later_are_warnings_too() {
    let saved = settings(|_| {});
    let mut facts = facts();
    if let Some(properties) = facts.contact_properties.as_mut() {
        properties.remove("lead_source");
        properties.insert("other".to_owned(), options("other", "radio", &["x"]));
    }
    facts.owners.as_mut().unwrap().retain(|o| o.id.get() != 1);
    let found = validate(&saved, &facts, Some(&saved));
    assert!(acceptable(&found), "{found:#?}");
    let skipped: Vec<_> = skipped_rows(&found).into_iter().map(String::from).collect();
    assert_eq!(skipped, ["/contact_source", "/owners/fallback_owner"]);

    let touched = settings(|d| d["contact_source"]["behavior"] = serde_json::json!("overwrite"));
    assert!(!acceptable(&validate(&touched, &facts, Some(&saved))));

    // The same row of the status table, but for another property.
    let moved = settings(|d| d["status"]["property"] = serde_json::json!("other"));
    let found = validate(&moved, &facts, Some(&saved));
    let error = |p: &&SettingsProblem| p.severity == Severity::Error;
    let errors: Vec<_> = found
        .iter()
        .filter(error)
        .map(|p| p.path.as_str())
        .collect();
    assert_eq!(errors, ["/status/rows/0/value"]);
}

#[test]
fn what_was_wrong_from_the_start_stays_an_error() {
    let twice = settings(|d| d["contacts"][1] = row("city", "firstname"));
    assert!(!acceptable(&validate(&twice, &facts(), Some(&twice))));
}

#[test]
fn messages_name_the_row() {
    let found = validate(
        &settings(|d| d["contacts"][1] = row("city", "nope")),
        &facts(),
        None,
    );
    assert!(
        found[0]
            .message
            .starts_with("contacts row 2 (city → nope): "),
        "{found:?}"
    );
}

#[test]
fn defaults_choose_what_is_there() {
    let defaults = Settings::defaults(&facts());
    let rows: Vec<_> = defaults
        .contacts
        .iter()
        .map(|r| (r.app_field.as_str(), r.property.as_str(), r.export))
        .collect();
    let fill = ExportBehavior::FillIfEmpty;
    assert_eq!(
        rows,
        [
            ("email", "email", fill),
            ("first_name", "firstname", fill),
            ("last_name", "lastname", fill),
            ("job_title", "jobtitle", fill),
            ("phone", "phone", fill),
            ("city", "city", fill),
        ]
    );
    let calls = |r: &&ActivityRow| r.kind == ActivityKind::Call;
    let all_of_calls = ACTIVITY_FIELDS
        .iter()
        .filter(|f| f.kind == ActivityKind::Call && f.standard_property.is_some())
        .count();
    assert_eq!(
        defaults.activity_properties.iter().filter(calls).count(),
        all_of_calls
    );
    assert_eq!(defaults.import.interval_minutes, 10);
    assert_eq!(defaults.status, None);
    assert_eq!(validate(&defaults, &facts(), None), []);
    assert_eq!(Settings::defaults(&PortalFacts::default()).contacts, []);
}

fn any_definition(name: &'static str) -> impl Strategy<Value = PropertyDefinition> {
    use PropertyType::{Bool, Date, Datetime, Enumeration, Number, Other, PhoneNumber, String};
    (
        proptest::sample::select(vec![
            Bool,
            Date,
            Datetime,
            Enumeration,
            Number,
            Other,
            PhoneNumber,
            String,
        ]),
        proptest::sample::select(vec!["text", "select", "checkbox", "booleancheckbox"]),
        any::<[bool; 4]>(),
    )
        .prop_map(
            move |(property_type, field_type, [external, read_only, calculated, archived])| {
                PropertyDefinition {
                    property_type,
                    external_options: external,
                    read_only,
                    calculated,
                    archived,
                    ..options(name, field_type, &["a", "b"])
                }
            },
        )
}

proptest! {
    #[test]
    fn defaults_are_acceptable_to_every_portal(
        contact in proptest::sample::subsequence(
            crate::app::PERSON_FIELDS.iter().filter_map(|f| f.default_property).collect::<Vec<_>>(), 0..10,
        ).prop_flat_map(|names| names.into_iter().map(any_definition).collect::<Vec<_>>()),
        company in proptest::sample::subsequence(
            crate::app::COMPANY_FIELDS.iter().filter_map(|f| f.default_property).collect::<Vec<_>>(), 0..10,
        ).prop_flat_map(|names| names.into_iter().map(any_definition).collect::<Vec<_>>()),
    ) {
        let facts = PortalFacts {
            contact_properties: Some(by_name(contact)),
            company_properties: Some(by_name(company)),
            ..PortalFacts::default()
        };
        prop_assert_eq!(validate(&Settings::defaults(&facts), &facts, None), []);
    }

    #[test]
    fn no_document_panics(
        fields in proptest::collection::vec("[a-z]{1,3}|email|custom\\.x", 0..4),
        properties in proptest::collection::vec("\\PC{0,5}|email|firstname|hs_lead_status", 0..4),
        value in "\\PC{0,5}",
        interval: u32,
    ) {
        let settings = settings(|d| {
            d["contacts"] = fields.iter().zip(&properties).map(|(f, p)| row(f, p)).collect();
            d["companies"] = d["contacts"].clone();
            d["contact_source"] = serde_json::json!({"property": properties.first().cloned().unwrap_or_default(), "value": value});
            d["import"] = serde_json::json!({"interval_minutes": interval});
        });
        for saved in [None, Some(&settings)] {
            for problem in validate(&settings, &facts(), saved) {
                let document = serde_json::to_value(&settings).unwrap();
                prop_assert!(document.pointer(problem.path.as_str()).is_some(), "{:?}", problem);
            }
        }
    }

    #[test]
    fn statuses_that_only_go_forward_are_not_warned_about(stages in proptest::collection::vec(0usize..3, 4)) {
        let mut stages = stages;
        stages.sort_unstable();
        let chain = [LeadStatus::Contacted, LeadStatus::Replied, LeadStatus::Interested, LeadStatus::MeetingBooked];
        let names = ["lead", "opportunity", "customer"];
        let settings = settings(|d| {
            d["status"] = serde_json::json!({"property": "lifecyclestage", "rows": chain.iter().zip(&stages)
                .map(|(s, n)| serde_json::json!({"status": s, "value": names[*n]})).collect::<Vec<_>>()});
        });
        prop_assert_eq!(validate(&settings, &facts(), None), []);
    }
}
