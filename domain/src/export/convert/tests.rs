use proptest::prelude::*;

use super::*;
use crate::portal::PropertyOption;

fn property(property_type: PropertyType, field_type: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: "p".to_owned(),
        label: "P".to_owned(),
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

fn enumeration(field_type: &str, options: &[(&str, &str)]) -> PropertyDefinition {
    PropertyDefinition {
        options: options
            .iter()
            .map(|(value, label)| PropertyOption {
                value: (*value).to_owned(),
                label: (*label).to_owned(),
            })
            .collect(),
        ..property(PropertyType::Enumeration, field_type)
    }
}

fn json(value: serde_json::Value) -> FieldValue {
    serde_json::from_value(value).unwrap()
}

fn converted(
    field_type: FieldType,
    value: serde_json::Value,
    property: &PropertyDefinition,
) -> Result<String, ConvertError> {
    let value = field_type.accept(json(value)).unwrap().unwrap();
    to_hubspot(field_type, &value, property, &External::default()).map(|v| v.as_str().to_owned())
}

#[test]
fn values_of_each_type() {
    use FieldType as F;
    use PropertyType as P;
    use serde_json::json;
    let plain = |t| property(t, "text");
    let select = enumeration(
        "select",
        &[("a", "Alpha"), ("A", "Other"), ("beta", "Größe")],
    );
    let several = enumeration("checkbox", &[("x", "X-Ray"), ("y", "Yes"), ("z;z", "Zed")]);
    let yes_no = enumeration("booleancheckbox", &[("true", "Yes"), ("false", "No")]);
    let rating = enumeration("select", &[("1", "One"), ("2.5", "More")]);
    let kept_elsewhere = PropertyDefinition {
        external_options: true,
        ..enumeration("select", &[])
    };
    let long = "x".repeat(70_000);
    let ok = |text: &str| Ok(text.to_owned());
    use ConvertError::{NoOption, TooLong, TypeMismatch};
    for (field_type, value, property, want) in [
        (
            F::Text,
            json!("Head of x"),
            plain(P::String),
            ok("Head of x"),
        ),
        (F::Text, json!("+49 1"), plain(P::PhoneNumber), ok("+49 1")),
        (
            F::Text,
            json!(" \u{a0}\u{202d}+49 1\u{202c} \n"),
            plain(P::PhoneNumber),
            ok("+49 1"),
        ),
        (F::Text, json!("12"), plain(P::Number), Err(TypeMismatch)),
        (F::Text, json!("a"), select.clone(), ok("a")),
        (F::Text, json!("A"), select.clone(), ok("A")),
        (F::Text, json!("Alpha"), select.clone(), ok("a")),
        (F::Text, json!("ALPHA"), select.clone(), ok("a")),
        (F::Text, json!("BETA "), select.clone(), ok("beta")),
        (F::Text, json!("GRÖSSE"), select.clone(), Err(NoOption)),
        (F::Text, json!("GRÖßE"), select.clone(), ok("beta")),
        (F::Text, json!("gamma"), select.clone(), Err(NoOption)),
        (F::Text, json!("123"), kept_elsewhere, ok("123")),
        (F::Text, json!("x"), plain(P::Other), Err(TypeMismatch)),
        (
            F::Url,
            json!("https://a.example/x"),
            plain(P::String),
            ok("https://a.example/x"),
        ),
        (
            F::Url,
            json!("https://a.example/x"),
            select.clone(),
            Err(TypeMismatch),
        ),
        (
            F::Email,
            json!("A@B.example"),
            plain(P::String),
            ok("a@b.example"),
        ),
        (F::Number, json!(12), plain(P::Number), ok("12")),
        (F::Number, json!(12.0), plain(P::Number), ok("12")),
        (F::Number, json!(-0.5), plain(P::Number), ok("-0.5")),
        (
            F::Number,
            json!(1e21),
            plain(P::Number),
            ok("1000000000000000000000"),
        ),
        (F::Number, json!(1e-7), plain(P::Number), ok("0.0000001")),
        (F::Number, json!(12), plain(P::String), ok("12")),
        (F::Number, json!(0.1 + 0.2), plain(P::Number), ok("0.3")),
        (F::Number, json!(0.1 + 0.2 - 0.3), plain(P::Number), ok("0")),
        (F::Number, json!(1.42e-14), plain(P::Number), ok("0")),
        (F::Number, json!(5e-324), plain(P::Number), ok("0")),
        (F::Number, json!(-5e-324), plain(P::String), ok("0")),
        (
            F::Number,
            json!(1.0 / 3.0),
            plain(P::Number),
            ok("0.333333333333333"),
        ),
        (
            F::Number,
            json!(999_999_999_999_999_i64),
            plain(P::Number),
            ok("999999999999999"),
        ),
        (
            F::Number,
            json!(1_234_567_890_123_456_789_i64),
            plain(P::Number),
            ok("1234567890123460000"),
        ),
        (F::Number, json!(2.5), rating.clone(), ok("2.5")),
        (F::Number, json!(3), rating, Err(NoOption)),
        (F::Number, json!(12), plain(P::Bool), Err(TypeMismatch)),
        (F::Boolean, json!(true), plain(P::Bool), ok("true")),
        (F::Boolean, json!(false), yes_no, ok("false")),
        (F::Boolean, json!(true), plain(P::String), ok("true")),
        (F::Boolean, json!(true), select.clone(), Err(TypeMismatch)),
        (
            F::Date,
            json!("2026-02-28"),
            plain(P::Date),
            ok("2026-02-28"),
        ),
        (
            F::Date,
            json!("2026-02-28"),
            plain(P::Datetime),
            ok("2026-02-28T00:00:00.000Z"),
        ),
        (
            F::Date,
            json!("2026-02-28"),
            plain(P::Number),
            Err(TypeMismatch),
        ),
        (
            F::Datetime,
            json!("2026-02-28T23:30:00-02:00"),
            plain(P::Datetime),
            ok("2026-03-01T01:30:00.000Z"),
        ),
        (
            F::Datetime,
            json!("2026-02-28T23:30:00-02:00"),
            plain(P::Date),
            ok("2026-03-01"),
        ),
        (
            F::List,
            json!(["Yes", "x", "y"]),
            several.clone(),
            ok("x;y"),
        ),
        (F::List, json!(["Zed"]), several.clone(), Err(NoOption)),
        (
            F::List,
            json!(["x", "nope"]),
            several.clone(),
            Err(NoOption),
        ),
        (F::List, json!(["b", "a"]), plain(P::String), ok("a; b")),
        (F::List, json!(["a"]), select, Err(TypeMismatch)),
        (F::Text, json!("X-Ray"), several.clone(), ok("x")),
        (F::Text, json!("X-Ray; Yes"), several.clone(), ok("x;y")),
        (F::Text, json!("y;x; y;"), several.clone(), ok("x;y")),
        (F::Text, json!("X-Ray; No"), several, Err(NoOption)),
    ] {
        assert_eq!(
            converted(field_type, value.clone(), &property),
            want,
            "{field_type} {value} → {property:?}"
        );
    }
    let value = FieldValue::Text(long);
    assert_eq!(
        to_hubspot(F::Text, &value, &plain(P::String), &External::default()),
        Err(TooLong)
    );
}

#[test]
fn what_cannot_be_set_is_never_converted() {
    let value = FieldValue::Text("x".to_owned());
    let plain = || property(PropertyType::String, "text");
    for (property, code) in [
        (
            PropertyDefinition {
                read_only: true,
                ..plain()
            },
            "HS-2102",
        ),
        (
            PropertyDefinition {
                calculated: true,
                ..plain()
            },
            "HS-2103",
        ),
        (
            PropertyDefinition {
                archived: true,
                ..plain()
            },
            "HS-2104",
        ),
    ] {
        let error =
            to_hubspot(FieldType::Text, &value, &property, &External::default()).unwrap_err();
        assert_eq!(error.code(), code);
    }
    let error = to_hubspot(
        FieldType::Text,
        &FieldValue::Boolean(true),
        &plain(),
        &External::default(),
    )
    .unwrap_err();
    assert_eq!(error.code(), "HS-2303");
}

#[test]
fn every_code_has_its_paragraph() {
    let docs = include_str!("../../../../docs/errors.md");
    for error in [
        ConvertError::NotWritable("HS-2102"),
        ConvertError::TypeMismatch,
        ConvertError::NoOption,
        ConvertError::NotThere(Reference::Owner),
        ConvertError::TooLong,
        ConvertError::NotOfType,
    ] {
        assert!(
            docs.contains(&format!("\n## {} ", error.code())),
            "{error:?}"
        );
    }
}

#[test]
fn external_options_are_those_that_the_portal_has() {
    use crate::portal::{PortalOwner, PortalPipeline, PortalStage};
    let owner = |id: i64, archived| PortalOwner {
        id: crate::HubSpotOwnerId::new(id).unwrap(),
        email: None,
        archived,
    };
    let stage = |id: &str, archived| PortalStage {
        id: id.to_owned(),
        label: id.to_owned(),
        closed: false,
        won: false,
        archived,
    };
    let owners = [owner(7, false), owner(8, true)];
    let pipelines = [
        PortalPipeline {
            id: "default".to_owned(),
            label: "Sales".to_owned(),
            stages: vec![stage("new", false), stage("old", true)],
            archived: false,
        },
        PortalPipeline {
            id: "gone".to_owned(),
            label: "Gone".to_owned(),
            stages: vec![stage("of-gone", false)],
            archived: true,
        },
    ];
    let read = External {
        owners: Some(&owners),
        pipelines: Some(&pipelines),
    };
    let nothing_read = External::default();
    let kept_elsewhere = |name: &str, referenced: Option<&str>| PropertyDefinition {
        name: name.to_owned(),
        external_options: true,
        referenced_object_type: referenced.map(str::to_owned),
        ..enumeration("select", &[])
    };
    let by_owner = kept_elsewhere("account_manager", Some("OWNER"));
    for (property, value, want) in [
        (&by_owner, "7", Ok("7")),
        (&by_owner, " 7\u{a0}", Ok("7")),
        (
            &by_owner,
            "8",
            Err(ConvertError::NotThere(Reference::Owner)),
        ),
        (
            &by_owner,
            "9",
            Err(ConvertError::NotThere(Reference::Owner)),
        ),
        (
            &by_owner,
            "anna@b.example",
            Err(ConvertError::NotThere(Reference::Owner)),
        ),
        (
            &kept_elsewhere("hubspot_owner_id", None),
            "9",
            Err(ConvertError::NotThere(Reference::Owner)),
        ),
        (&kept_elsewhere("pipeline", None), "default", Ok("default")),
        (
            &kept_elsewhere("pipeline", None),
            "gone",
            Err(ConvertError::NotThere(Reference::Pipeline)),
        ),
        (
            &kept_elsewhere("hs_pipeline", None),
            "contacts-lifecycle-pipeline",
            Ok("contacts-lifecycle-pipeline"),
        ),
        (
            &kept_elsewhere("hs_pipeline", None),
            "not an owner",
            Err(ConvertError::NotThere(Reference::Pipeline)),
        ),
        (&kept_elsewhere("dealstage", None), "new", Ok("new")),
        (
            &kept_elsewhere("dealstage", None),
            "old",
            Err(ConvertError::NotThere(Reference::Stage)),
        ),
        (
            &kept_elsewhere("dealstage", None),
            "of-gone",
            Err(ConvertError::NotThere(Reference::Stage)),
        ),
        (&kept_elsewhere("hs_team", None), " 5 ", Ok("5")),
    ] {
        let text = FieldValue::Text(value.to_owned());
        for made in [
            fixed(value, property, &read),
            to_hubspot(FieldType::Text, &text, property, &read),
        ] {
            let made = made.as_ref().map(HubSpotValue::as_str);
            assert_eq!(made, want.as_ref().copied(), "{} {value:?}", property.name);
        }
        let unchecked = fixed(value, property, &nothing_read).unwrap();
        assert_eq!(unchecked.as_str(), trimmed(value));
    }
    // Nothing is cleared, and nothing is written that cannot be.
    for empty in ["", " ", "\u{a0}", "\u{feff}"] {
        assert!(fixed(empty, &by_owner, &nothing_read).is_err(), "{empty:?}");
        let text = FieldValue::Text(empty.to_owned());
        assert!(to_hubspot(FieldType::Text, &text, &by_owner, &nothing_read).is_err());
    }
    for (closed, code) in [
        (
            PropertyDefinition {
                archived: true,
                ..by_owner.clone()
            },
            "HS-2104",
        ),
        (
            PropertyDefinition {
                calculated: true,
                ..by_owner.clone()
            },
            "HS-2103",
        ),
        (
            PropertyDefinition {
                read_only: true,
                ..by_owner.clone()
            },
            "HS-2102",
        ),
    ] {
        assert_eq!(fixed("7", &closed, &read).unwrap_err().code(), code);
    }
}

#[test]
fn a_fixed_value_is_an_options_value() {
    let select = enumeration("select", &[("a", "Alpha")]);
    assert_eq!(
        fixed("a", &select, &External::default()).unwrap().as_str(),
        "a"
    );
    assert_eq!(
        fixed(" a ", &select, &External::default())
            .unwrap()
            .as_str(),
        "a"
    );
    assert!(fixed(" ", &select, &External::default()).is_err());
    assert_eq!(
        fixed("Alpha", &select, &External::default()),
        Err(ConvertError::NoOption)
    );
    for (text, property_type, want) in [
        ("12", PropertyType::Number, Some("12")),
        ("many", PropertyType::Number, None),
        ("yes", PropertyType::Bool, Some("true")),
        ("2026-01-02", PropertyType::Date, Some("2026-01-02")),
        ("x", PropertyType::String, Some("x")),
        ("x", PropertyType::Other, None),
    ] {
        let value = fixed(text, &property(property_type, "text"), &External::default()).ok();
        assert_eq!(value.as_ref().map(HubSpotValue::as_str), want, "{text}");
    }
}

pub(crate) fn any_property() -> impl Strategy<Value = PropertyDefinition> {
    use PropertyType as P;
    (
        proptest::sample::select(vec![
            P::String,
            P::Number,
            P::Bool,
            P::Enumeration,
            P::Date,
            P::Datetime,
            P::PhoneNumber,
            P::Other,
        ]),
        proptest::sample::select(vec!["text", "select", "checkbox"]),
        proptest::collection::vec("[a-c;]{1,2}", 0..4),
    )
        .prop_map(|(property_type, field_type, values)| {
            let options: Vec<_> = values.iter().map(|v| (v.as_str(), v.as_str())).collect();
            PropertyDefinition {
                property_type,
                ..enumeration(field_type, &options)
            }
        })
}

pub(crate) fn any_value() -> impl Strategy<Value = (FieldType, FieldValue)> {
    (
        proptest::sample::select(FieldType::ALL.to_vec()),
        prop_oneof![
            "\\PC{0,8}".prop_map(FieldValue::Text),
            "[a-c;]{1,2}".prop_map(FieldValue::Text),
            "20[0-9]{2}-[01][0-9]-[0-3][0-9]".prop_map(FieldValue::Text),
            "20[0-9]{2}-0[1-9]-[0-2][0-9]T[0-2][0-9]:00:00[Z+]".prop_map(FieldValue::Text),
            "https://[a-z]{1,5}".prop_map(FieldValue::Text),
            any::<f64>().prop_filter_map("finite", |n| serde_json::Number::from_f64(n)
                .map(FieldValue::Number)),
            any::<i64>().prop_map(|n| FieldValue::Number(n.into())),
            any::<bool>().prop_map(FieldValue::Boolean),
            proptest::collection::vec("[a-c;]{0,2}", 0..4).prop_map(FieldValue::List),
        ],
    )
}

proptest! {
    #[test]
    fn what_fits_is_never_a_mismatch_and_nothing_empty_is_written(
        (field_type, value) in any_value(), property in any_property(),
    ) {
        if let Ok(Some(value)) = field_type.accept(value) {
            match to_hubspot(field_type, &value, &property, &External::default()) {
                Ok(written) => {
                    prop_assert!(fits(field_type, &property));
                    prop_assert!(!written.as_str().trim().is_empty());
                    if property.property_type == PropertyType::Enumeration {
                        prop_assert!(!property.takes_several() || !written.as_str().starts_with(';'));
                        let each: Vec<&str> = if property.takes_several() {
                            written.as_str().split(';').collect()
                        } else { vec![written.as_str()] };
                        prop_assert!(each.iter().all(|v| property.has_option(v)));
                    }
                    if property.property_type == PropertyType::Number {
                        prop_assert!(written.as_str().parse::<f64>().unwrap().is_finite());
                        prop_assert!(!written.as_str().contains(['e', 'E']));
                    }
                }
                Err(ConvertError::TypeMismatch) => prop_assert!(!fits(field_type, &property)),
                // A text of `;` alone names no option at all.
                Err(ConvertError::NotOfType) => prop_assert!(property.takes_several()),
                Err(ConvertError::NoOption) => prop_assert_eq!(property.property_type, PropertyType::Enumeration),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn the_accepted_form_stays((field_type, value) in any_value()) {
        if let Ok(Some(accepted)) = field_type.accept(value) {
            let again = field_type.accept(accepted.clone());
            prop_assert!(again == Ok(Some(accepted)));
        }
    }
}
