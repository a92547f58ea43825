//! The app's values as HubSpot takes them (E4). All values are texts on the wire.

use std::fmt;

use crate::{
    app::{
        FieldType, FieldValue,
        value::{MAX_TEXT, datetime_text, parse_date, parse_datetime},
    },
    portal::{External, PropertyDefinition, PropertyType, Reference},
};

/// A value of a property, ready to be sent. Never empty: an export clears nothing (E4). `Debug` does
/// not show it (X5).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HubSpotValue(String);

impl HubSpotValue {
    /// The text to send.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HubSpotValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubSpotValue(…)")
    }
}

/// Why a value cannot be written to a property. The row is skipped and shown; the export goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The property cannot be set by now (HS-2102, HS-2103, HS-2104).
    #[error("the property is read-only, calculated or archived by now")]
    NotWritable(&'static str),
    /// The types do not fit (HS-2105).
    #[error("values of this type cannot become values of the property")]
    TypeMismatch,
    /// The enumeration has no option of this value or label (HS-2301).
    #[error("the property has no option of this value or label")]
    NoOption,
    /// The portal has no active owner, pipeline or stage of this id (HS-2301).
    #[error("the portal has no active {} of this id", .0.noun())]
    NotThere(Reference),
    /// Longer than HubSpot takes (HS-2302).
    #[error("longer than 65536 characters")]
    TooLong,
    /// What is stored is not of the field's type (HS-2303).
    #[error("the stored value is not of the field's type")]
    NotOfType,
}

impl ConvertError {
    /// The paragraph in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotWritable(code) => code,
            Self::TypeMismatch => "HS-2105",
            Self::NoOption | Self::NotThere(_) => "HS-2301",
            Self::TooLong => "HS-2302",
            Self::NotOfType => "HS-2303",
        }
    }
}

/// Whether values of a field's type can become values of a property: the table of
/// `docs/settings.md`.
pub fn fits(field_type: FieldType, property: &PropertyDefinition) -> bool {
    use FieldType as F;
    use PropertyType as P;
    match (field_type, property.property_type) {
        (_, P::Other) => false,
        (_, P::String) => true,
        (F::Text, P::Enumeration | P::PhoneNumber) => true,
        (F::Number, P::Number) => true,
        // Numbers are options of some enumerations: ratings, for example.
        (F::Number, P::Enumeration) => true,
        (F::Boolean, P::Bool) => true,
        (F::Boolean, P::Enumeration) => property.has_option("true") && property.has_option("false"),
        (F::Date | F::Datetime, P::Date | P::Datetime) => true,
        (F::List, P::Enumeration) => property.takes_several(),
        _ => false,
    }
}

/// Converts a value for a property. External options are checked against what the portal is known to
/// have; where that was not read yet, HubSpot is left to say.
///
/// # Errors
/// [`ConvertError`].
pub fn to_hubspot(
    field_type: FieldType,
    value: &FieldValue,
    property: &PropertyDefinition,
    external: &External<'_>,
) -> Result<HubSpotValue, ConvertError> {
    if property.archived {
        return Err(ConvertError::NotWritable("HS-2104"));
    }
    if property.calculated {
        return Err(ConvertError::NotWritable("HS-2103"));
    }
    if property.read_only {
        return Err(ConvertError::NotWritable("HS-2102"));
    }
    if !fits(field_type, property) {
        return Err(ConvertError::TypeMismatch);
    }
    let text = match (field_type, value) {
        (FieldType::Number, FieldValue::Number(number)) => {
            let text = decimal(number);
            match property.property_type {
                PropertyType::Enumeration => option(&text, property, external)?,
                _ => text,
            }
        }
        (FieldType::Boolean, FieldValue::Boolean(yes)) => yes.to_string(),
        (FieldType::Date, FieldValue::Text(text)) => {
            let date = parse_date(text).ok_or(ConvertError::NotOfType)?;
            match property.property_type {
                PropertyType::Datetime => {
                    datetime_text(date.and_time(chrono::NaiveTime::MIN).and_utc())
                }
                _ => date.format("%Y-%m-%d").to_string(),
            }
        }
        (FieldType::Datetime, FieldValue::Text(text)) => {
            let at = parse_datetime(text).ok_or(ConvertError::NotOfType)?;
            match property.property_type {
                PropertyType::Date => at.format("%Y-%m-%d").to_string(),
                _ => datetime_text(at),
            }
        }
        (FieldType::List, FieldValue::List(texts)) => match property.property_type {
            PropertyType::Enumeration => {
                several(texts.iter().map(String::as_str), property, external)?
            }
            _ => texts.join("; "),
        },
        (FieldType::Text | FieldType::Url | FieldType::Email, FieldValue::Text(text)) => {
            match property.property_type {
                // An import joins several options with `; `: here they part again.
                PropertyType::Enumeration if property.takes_several() => {
                    let parts = text.split(';').filter(|part| !trimmed(part).is_empty());
                    match several(parts, property, external) {
                        Err(ConvertError::NoOption) => {
                            several(std::iter::once(text.as_str()), property, external)?
                        }
                        parted => parted?,
                    }
                }
                PropertyType::Enumeration => option(text, property, external)?,
                PropertyType::PhoneNumber => trimmed(text).to_owned(),
                _ => text.clone(),
            }
        }
        _ => return Err(ConvertError::NotOfType),
    };
    if trimmed(&text).is_empty() {
        return Err(ConvertError::NotOfType);
    }
    if text.len() > MAX_TEXT && text.chars().count() > MAX_TEXT {
        return Err(ConvertError::TooLong);
    }
    Ok(HubSpotValue(text))
}

/// A fixed value (contact source, status) for a property: of an enumeration only the option's exact
/// value counts, for it was chosen from the list. White space around it does not.
///
/// # Errors
/// [`ConvertError`].
pub fn fixed(
    value: &str,
    property: &PropertyDefinition,
    external: &External<'_>,
) -> Result<HubSpotValue, ConvertError> {
    let value = trimmed(value);
    let field_type = match property.property_type {
        PropertyType::Enumeration if !property.external_options && !property.has_option(value) => {
            return Err(ConvertError::NoOption);
        }
        PropertyType::String | PropertyType::PhoneNumber | PropertyType::Enumeration => {
            FieldType::Text
        }
        PropertyType::Other => return Err(ConvertError::TypeMismatch),
        PropertyType::Number => FieldType::Number,
        PropertyType::Bool => FieldType::Boolean,
        PropertyType::Date => FieldType::Date,
        PropertyType::Datetime => FieldType::Datetime,
    };
    let value = field_type
        .parse_text(value)
        .ok()
        .flatten()
        .ok_or(ConvertError::TypeMismatch)?;
    to_hubspot(field_type, &value, property, external)
}

/// Without white space around it, and without the invisible characters that telephone numbers bring
/// along when they are copied.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    })
}

/// What is smaller is what calculating with floats leaves over of nothing: `0.1 + 0.2 - 0.3`.
const RESIDUE: f64 = 1e-12;

/// Digits without an exponent, as HubSpot reads them, and no more than the 15 that count there.
fn decimal(number: &serde_json::Number) -> String {
    /// Whole numbers below this have 15 digits at most.
    const FIFTEEN_DIGITS: u64 = 1_000_000_000_000_000;
    if number
        .as_i64()
        .is_some_and(|n| n.unsigned_abs() < FIFTEEN_DIGITS)
    {
        return number.to_string();
    }
    let Some(float) = number.as_f64() else {
        return number.to_string();
    };
    if float.abs() < RESIDUE {
        return "0".to_owned();
    }
    // The shortest text of a float that was rounded to 15 digits has no more; `Display` of a float
    // never uses an exponent.
    format!("{float:.14e}")
        .parse::<f64>()
        .unwrap_or(float)
        .to_string()
}

/// The option's value: exactly, by its label, or either without regard to case, in this order, so
/// that two options that differ in case alone stay apart.
fn option(
    text: &str,
    property: &PropertyDefinition,
    external: &External<'_>,
) -> Result<String, ConvertError> {
    let text = trimmed(text);
    if let Some(reference) = property.reference() {
        return if text.is_empty() {
            Err(ConvertError::NotOfType)
        } else if external.knows(reference, text) == Some(false) {
            Err(ConvertError::NotThere(reference))
        } else {
            Ok(text.to_owned())
        };
    }
    let lower = text.to_lowercase();
    let options = &property.options;
    options
        .iter()
        .find(|o| o.value == text)
        .or_else(|| options.iter().find(|o| o.label == text))
        .or_else(|| options.iter().find(|o| o.value.to_lowercase() == lower))
        .or_else(|| {
            options
                .iter()
                .find(|o| trimmed(&o.label).to_lowercase() == lower)
        })
        .map(|o| o.value.clone())
        .ok_or(ConvertError::NoOption)
}

/// What a person reads of an option: its label where that leads back to the option, else its value.
/// So what was imported can be exported again, also where two options have one label.
pub(crate) fn shown_option(value: &str, property: &PropertyDefinition) -> String {
    let label = property
        .options
        .iter()
        .find(|o| o.value == value)
        .map(|o| o.label.as_str())
        .filter(|label| !trimmed(label).is_empty())
        .filter(|label| !(property.takes_several() && label.contains(';')))
        .filter(|label| {
            option(label, property, &External::default()).is_ok_and(|back| back == value)
        });
    label.unwrap_or(value).to_owned()
}

/// Several options in HubSpot's order, each once. It never begins with `;`, which would add to what
/// HubSpot has instead of replacing it.
fn several<'t>(
    texts: impl Iterator<Item = &'t str>,
    property: &PropertyDefinition,
    external: &External<'_>,
) -> Result<String, ConvertError> {
    let mut values = Vec::new();
    for text in texts {
        let value = option(text, property, external)?;
        if value.contains(';') {
            return Err(ConvertError::NoOption);
        }
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let place = |value: &String| property.options.iter().position(|o| o.value == *value);
    values.sort_by_key(place);
    Ok(values.join(";"))
}

#[cfg(test)]
pub(crate) mod tests {
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
        to_hubspot(field_type, &value, property, &External::default())
            .map(|v| v.as_str().to_owned())
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
        let docs = include_str!("../../../docs/errors.md");
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
            closed: false,
            won: false,
            archived,
        };
        let owners = [owner(7, false), owner(8, true)];
        let pipelines = [
            PortalPipeline {
                id: "default".to_owned(),
                stages: vec![stage("new", false), stage("old", true)],
                archived: false,
            },
            PortalPipeline {
                id: "gone".to_owned(),
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
}
