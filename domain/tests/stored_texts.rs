//! What is stored always reads back: whatever a constructor accepts of all of Unicode, the form that
//! is stored of it is one that the same constructor accepts and leaves as it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use domain::{
    AppKey,
    api::{IdempotencyKey, PageCursor},
    app::{
        AddressForms, AppCompanyId, Company, CompanyInput, CustomField, Email, FieldKey, FieldType,
        FieldValue, Fields, LeadStatus, Member, MemberId, MemberInput, PERSON_FIELDS, Patch,
        Person, PersonId, PersonInput, RecordKind, Versioned,
    },
    portal::PortalFacts,
    quarantine::holds_nul,
    settings::{self, acceptable, validate},
};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

/// Any text at all: also control characters, NUL, combining marks, every plane.
fn text() -> impl Strategy<Value = String> {
    let few = proptest::sample::select(vec![
        'İ', 'ß', 'ẞ', 'Σ', 'ς', 'ſ', 'K', '\u{307}', '\0', ' ', '.', '@', 'a', '-', '\u{a0}', 'ü',
        '。',
    ]);
    proptest::collection::vec(prop_oneof![any::<char>(), few], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

/// The stored form of a record, as the store writes and reads it.
fn stored<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let json = serde_json::to_string(value).unwrap();
    assert!(!holds_nul(&json), "Postgres would refuse it");
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("accepted, and does not read back: {e}"))
}

fn email_reads_back(text: &str) {
    if let Ok(email) = Email::parse(text) {
        assert!(
            Email::parse(email.as_str()) == Ok(email.clone()),
            "{text:?}"
        );
        assert!(stored(&email) == email);
        assert_eq!(
            AddressForms::of(text).canonical(),
            email.as_str(),
            "{text:?}"
        );
    }
}

/// Every character there is, in each place of an address.
#[test]
fn every_character_in_an_address() {
    for c in '\0'..=char::MAX {
        email_reads_back(&format!("a{c}b@firma.com.tr"));
        if c.is_alphanumeric() {
            email_reads_back(&format!("a@x{c}y.com"));
        }
    }
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        text().prop_map(FieldValue::Text),
        text().prop_map(|t| FieldValue::Text(format!("{t}@{t}.example"))),
        text().prop_map(|t| FieldValue::Text(format!("https://{t}"))),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?".prop_map(FieldValue::Text),
        proptest::collection::vec(text(), 0..4).prop_map(FieldValue::List),
        any::<bool>().prop_map(FieldValue::Boolean),
        any::<f64>()
            .prop_filter_map("finite", serde_json::Number::from_f64)
            .prop_map(FieldValue::Number),
        any::<i64>().prop_map(|n| FieldValue::Number(n.into())),
    ]
}

fn patch<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Patch<T>> {
    proptest::option::of(proptest::option::of(value))
        .prop_map(|said| said.map_or(Patch::Keep, Patch::from_option))
}

fn moment() -> impl Strategy<Value = chrono::DateTime<chrono::Utc>> {
    any::<(i64, u32)>().prop_filter_map("within reach", |(seconds, nanos)| {
        chrono::DateTime::from_timestamp(seconds % 400_000_000_000, nanos % 2_000_000_000)
    })
}

fn fields() -> impl Strategy<Value = BTreeMap<String, Option<FieldValue>>> {
    let keys: Vec<String> = PERSON_FIELDS
        .iter()
        .map(|f| f.key.to_owned())
        .chain(["custom.x".to_owned()])
        .collect();
    proptest::collection::btree_map(
        proptest::sample::select(keys),
        proptest::option::of(value()),
        0..4,
    )
}

proptest! {
    #[test]
    fn addresses(local in text(), domain in text(), top in "[a-z]{2,3}|рф|[a-zA-ZßİÄ]{2}") {
        email_reads_back(&local);
        email_reads_back(&format!("{local}@{domain}"));
        email_reads_back(&format!("{local}@{domain}.{top}"));
        email_reads_back(&format!("a@{domain}.{top}"));
        let _ = AddressForms::of(&format!("{local}@{domain}"));
    }

    #[test]
    fn ids_and_keys(text in text(), short in "[A-Za-z0-9._:@ -]{0,6}") {
        for text in [text, short] {
            if let Ok(id) = text.parse::<PersonId>() { prop_assert!(stored(&id) == id); }
            if let Ok(id) = text.parse::<AppCompanyId>() { prop_assert!(stored(&id) == id); }
            if let Ok(id) = text.parse::<MemberId>() { prop_assert!(stored(&id) == id); }
            if let Ok(key) = FieldKey::parse(&text) { prop_assert!(stored(&key) == key); }
            if let Ok(key) = IdempotencyKey::try_from(text.clone()) { prop_assert!(stored(&key) == key); }
            if let Ok(cursor) = PageCursor::try_from(text.clone()) { prop_assert!(stored(&cursor) == cursor); }
            if let Ok(key) = AppKey::new(text.clone()) { prop_assert!(AppKey::new(key.as_str()) == Ok(key)); }
        }
    }

    #[test]
    fn each_type_of_a_field(value in value(), field_type in proptest::sample::select(FieldType::ALL.to_vec())) {
        if let Ok(Some(accepted)) = field_type.accept(value) {
            let back = stored(&accepted);
            prop_assert!(back == accepted);
            prop_assert!(field_type.accept(back) == Ok(Some(accepted)));
        }
    }

    #[test]
    fn people(
        email in patch(prop_oneof![text(), text().prop_map(|t| format!("{t}@firma.com.tr"))]),
        status in patch(proptest::sample::select(LeadStatus::ALL.map(|s| s.to_string()).to_vec())),
        times in (patch(moment()), patch(moment())),
        fields in fields(),
        version in any::<u64>(),
    ) {
        let custom = CustomField {
            record: RecordKind::Person,
            key: "custom.x".parse().unwrap(),
            label: "X".to_owned(),
            field_type: FieldType::Text,
        };
        let known = Fields::new([&custom]);
        let mut input = PersonInput::new("p-1", version);
        input.email = email;
        input.status = status;
        (input.contacted_at, input.replied_at) = times;
        input.fields = fields;
        if let Ok(upsert) = input.check(&known) {
            let person = Person::apply(None, &upsert).unwrap().record;
            let mut back = stored(&person);
            back.slots = stored(&person.slots);
            prop_assert!(back == person);
            // What was sent is what is stored: the same again changes nothing.
            prop_assert!(!Person::apply(Some(&back), &upsert).unwrap().write);
        }
    }

    #[test]
    fn companies(name in value(), domain in value()) {
        let fields = [("name", name), ("domain", domain)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Some(value)))
            .collect();
        let input = CompanyInput { id: "c-1".to_owned(), version: 1, fields };
        if let Ok(upsert) = input.check(&Fields::new([])) {
            let company = Company::apply(None, &upsert).unwrap().record;
            let back = stored(&company);
            prop_assert!(back.fields == company.fields);
        }
    }

    #[test]
    fn members(name in patch(text()), email in patch(text().prop_map(|t| format!("{t}@firma.com.tr"))), active in patch(any::<bool>())) {
        let input = MemberInput { id: "m-1".to_owned(), version: 1, email, name, active };
        if let Ok(upsert) = input.check() {
            let member = Member::apply(None, &upsert).unwrap().record;
            let mut back = stored(&member);
            back.slots = stored(&member.slots);
            prop_assert!(back == member);
            prop_assert!(!Member::apply(Some(&back), &upsert).unwrap().write);
        }
    }

    #[test]
    fn custom_fields(label in text(), field_type in proptest::sample::select(FieldType::ALL.to_vec())) {
        let field = CustomField { record: RecordKind::Company, key: "custom.x".parse().unwrap(), label, field_type };
        if field.check(&[]).is_ok() {
            prop_assert!(stored(&field) == field);
        }
    }

    #[test]
    fn settings_texts(texts in proptest::collection::vec(text(), 8), number in any::<i64>()) {
        let document = serde_json::json!({
            "schema_version": 2,
            "contacts": [{"app_field": "city", "property": texts[0]}],
            "companies": [{"app_field": "name", "property": texts[1]}],
            "activity_properties": [{"kind": "call", "app_field": "title", "property": texts[2]}],
            "contact_source": {"property": texts[3], "value": texts[4]},
            "status": {"property": texts[5], "rows": [{"status": "replied", "value": texts[6]}]},
            "dnc": {"open_deal": {"pipelines": [{"pipeline": texts[7], "stages": [texts[0]]}]}},
            "activities": {"label": texts[1], "kinds": {"call": {"label": texts[2]}}},
            "owners": {"fallback_owner": number},
        });
        if let Ok(settings) = settings::read(document) {
            let facts = PortalFacts::default();
            if acceptable(&validate(&settings, &facts, None)) {
                let json = serde_json::to_string(&settings).unwrap();
                prop_assert!(!holds_nul(&json));
                let back = settings::read(serde_json::from_str(&json).unwrap());
                prop_assert!(back.as_ref() == Ok(&settings));
            }
        }
    }
}
