use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{super::*, *};
use crate::{
    ObjectType,
    app::{
        CustomField, Email, FieldType, LeadStatus, Member, RecordKind, RecordVersion, SlotVersions,
    },
    portal::{
        EngagementType, ListId, PortalList, PortalOwner, PortalPipeline, PortalStage,
        PropertyDefinition, PropertyOption, PropertyType, by_name,
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
    ];
    let company = [text("name"), text("domain"), text("email"), text("city")];
    PortalFacts {
        contact_properties: Some(by_name(contact)),
        company_properties: Some(by_name(company)),
        engagement_properties: [(
            EngagementType::Call,
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
            stages: vec![PortalStage {
                id: "new".to_owned(),
                closed: false,
                won: false,
            }],
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

type Change = fn(&mut serde_json::Value);

/// What is put wrong, and where, by which code and how severely that shows.
fn cases() -> Vec<(Change, &'static str, SettingsCode, Severity)> {
    use SettingsCode as C;
    use Severity::{Error, Warning};
    use serde_json::json;
    vec![
        (
            |d| d["contacts"][0] = row("first_name", "nope"),
            "/contacts/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["companies"][0] = row("name", "nope"),
            "/companies/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["contact_source"]["property"] = json!("nope"),
            "/contact_source/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["status"]["property"] = json!("nope"),
            "/status/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["activity_properties"][0]["property"] = json!("nope"),
            "/activity_properties/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "readonly"),
            "/contacts/0/property",
            C::PropertyReadOnly,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("lead_score", "score"),
            "/contacts/0/property",
            C::PropertyCalculated,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "gone"),
            "/contacts/0/property",
            C::PropertyArchived,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "count"),
            "/contacts/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "place"),
            "/contacts/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("tags", "rating"),
            "/contacts/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contact_source"] = json!({"property": "count", "value": "many"}),
            "/contact_source/value",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| {
                d["activity_properties"][0] =
                    json!({"kind": "call", "app_field": "title", "property": "hs_call_duration"})
            },
            "/activity_properties/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["status"]["rows"][0]["value"] = json!("Connected"),
            "/status/rows/0/value",
            C::OptionUnknown,
            Error,
        ),
        (
            |d| d["contact_source"]["value"] = json!("artisan"),
            "/contact_source/value",
            C::OptionUnknown,
            Error,
        ),
        (
            |d| d["contacts"][1] = row("city", "firstname"),
            "/contacts/1",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "lead_source"),
            "/contact_source",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contact_source"] = json!({"property": "hs_lead_status", "value": "new"}),
            "/status/property",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "hubspot_owner_id"),
            "/contacts/0",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| {
                d["activity_properties"] = json!([
            {"kind": "call", "app_field": "title", "property": "hs_call_title"},
            {"kind": "call", "app_field": "notes", "property": "hs_call_title"}])
            },
            "/activity_properties/1",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contacts"][1] = row("first_name", "lastname"),
            "/contacts/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| {
                d["activity_properties"] = json!([
            {"kind": "call", "app_field": "title", "property": "hs_call_title"},
            {"kind": "call", "app_field": "title", "property": "campaign"}])
            },
            "/activity_properties/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["owners"]["rows"][1]["owner"] = json!(3),
            "/owners/rows/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| {
                d["owners"]["writing"] =
                    json!([{"member": "ann", "owner": 3}, {"member": "ann", "owner": 1}])
            },
            "/owners/writing/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["status"]["rows"] = json!([{"status": "replied", "value": "new"}, {"status": "replied", "value": "open"}]),
            "/status/rows/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["lists"][1]["list"] = json!(7),
            "/lists/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| {
                d["dnc"]["open_deal"]["pipelines"] =
                    json!([{"pipeline": "default"}, {"pipeline": "default"}])
            },
            "/dnc/open_deal/pipelines/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("custom.nope", "firstname"),
            "/contacts/0/app_field",
            C::FieldUnknown,
            Error,
        ),
        (
            |d| d["companies"][0] = row("first_name", "name"),
            "/companies/0/app_field",
            C::FieldUnknown,
            Error,
        ),
        (
            |d| d["activity_properties"][0]["app_field"] = json!("subject"),
            "/activity_properties/0/app_field",
            C::FieldUnknown,
            Error,
        ),
        (
            |d| d["owners"]["fallback_owner"] = json!(99),
            "/owners/fallback_owner",
            C::OwnerUnknown,
            Error,
        ),
        (
            |d| d["owners"]["rows"][1]["owner"] = json!(99),
            "/owners/rows/1/owner",
            C::OwnerUnknown,
            Error,
        ),
        (
            |d| d["owners"]["writing"][0]["owner"] = json!(99),
            "/owners/writing/0/owner",
            C::OwnerUnknown,
            Error,
        ),
        (
            |d| d["owners"]["fallback_owner"] = json!(2),
            "/owners/fallback_owner",
            C::OwnerDeactivated,
            Warning,
        ),
        (
            |d| d["owners"]["writing"][0]["owner"] = json!(2),
            "/owners/writing/0/owner",
            C::OwnerDeactivated,
            Warning,
        ),
        (
            |d| d["owners"]["rows"][1]["member"] = json!("nobody"),
            "/owners/rows/1/member",
            C::MemberUnknown,
            Error,
        ),
        (
            |d| d["owners"]["unmapped"] = json!({"to": "member", "member": "nobody"}),
            "/owners/unmapped/member",
            C::MemberUnknown,
            Error,
        ),
        (
            |d| d["owners"]["rows"][1]["member"] = json!("old"),
            "/owners/rows/1/member",
            C::MemberInactive,
            Warning,
        ),
        (
            |d| d["owners"]["unmapped"] = json!({"to": "member", "member": "old"}),
            "/owners/unmapped/member",
            C::MemberInactive,
            Warning,
        ),
        (
            |d| d["dnc"]["open_deal"]["pipelines"][0] = json!({"pipeline": "Sales"}),
            "/dnc/open_deal/pipelines/0/pipeline",
            C::PipelineUnknown,
            Error,
        ),
        (
            |d| d["dnc"]["open_deal"]["pipelines"][0]["stages"] = json!(["new", "New"]),
            "/dnc/open_deal/pipelines/0/stages/1",
            C::StageUnknown,
            Error,
        ),
        (
            |d| d["lists"][0]["list"] = json!(99),
            "/lists/0/list",
            C::ListUnknown,
            Error,
        ),
        (
            |d| d["lists"][0]["list"] = json!(8),
            "/lists/0/list",
            C::ListType,
            Error,
        ),
        (
            |d| d["status"] = json!({"property": "interests", "rows": []}),
            "/status/property",
            C::StatusProperty,
            Error,
        ),
        (
            |d| d["status"] = json!({"property": "city", "rows": []}),
            "/status/property",
            C::StatusProperty,
            Error,
        ),
        (
            |d| {
                d["status"] = json!({"property": "lifecyclestage", "rows": [
            {"status": "meeting_booked", "value": "lead"}, {"status": "replied", "value": "opportunity"}]})
            },
            "/status/rows/0",
            C::LifecycleBackward,
            Warning,
        ),
        (
            |d| d["activities"]["label"] = json!("x".repeat(41)),
            "/activities/label",
            C::LabelNotValid,
            Error,
        ),
        (
            |d| d["activities"]["kinds"]["call"]["label"] = json!("a\nb"),
            "/activities/kinds/call/label",
            C::LabelNotValid,
            Error,
        ),
        (
            |d| d["import"] = json!({"interval_minutes": 0}),
            "/import/interval_minutes",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["import"] = json!({"interval_minutes": 1441}),
            "/import/interval_minutes",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["dnc"]["lost_deal"] = json!({"within_days": 0}),
            "/dnc/lost_deal/within_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["dnc"]["recent_touch"] = json!({"within_days": 3651}),
            "/dnc/recent_touch/within_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["activity_context"] = json!({"days": 366}),
            "/activity_context/days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["retention"] = json!({"journal_days": 0}),
            "/retention/journal_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["retention"] = json!({"quarantine_days": 0}),
            "/retention/quarantine_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "email"),
            "/contacts/0",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["companies"][0] = row("email", "name"),
            "/companies/0",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["companies"][0] = row("name", "email"),
            "/companies/0",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["contact_source"]["property"] = json!("email"),
            "/contact_source/property",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "hs_object_id"),
            "/contacts/0/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["contact_source"]["property"] = json!("createdate"),
            "/contact_source/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["activity_properties"][0]["property"] = json!("hs_timestamp"),
            "/activity_properties/0/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["owners"]["rows"] = json!([]),
            "/owners/writing/0/owner",
            C::WritingOwner,
            Error,
        ),
        (
            |d| {
                d["activity_properties"][0] =
                    json!({"kind": "note", "app_field": "body", "property": "own"})
            },
            "/activity_properties",
            C::NotChecked,
            Warning,
        ),
        (
            |d| {
                d["contacts"] = (0..501)
                    .map(|n| row(&format!("f{n}"), &format!("p{n}")))
                    .collect()
            },
            "/contacts",
            C::TooManyRows,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", " "),
            "/contacts/0/property",
            C::TextNotValid,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "a\u{0}b"),
            "/contacts/0/property",
            C::TextNotValid,
            Error,
        ),
        (
            |d| d["status"]["rows"][0]["value"] = json!(""),
            "/status/rows/0/value",
            C::TextNotValid,
            Error,
        ),
        (
            |d| d["contact_source"]["value"] = json!(""),
            "/contact_source/value",
            C::TextNotValid,
            Error,
        ),
    ]
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
fn every_code_has_a_case() {
    let shown: BTreeSet<_> = cases().into_iter().map(|(_, _, code, _)| code).collect();
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
    assert_eq!(defaults.activity_properties.iter().filter(calls).count(), 2);
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
