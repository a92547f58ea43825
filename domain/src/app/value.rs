//! Values of fields: which fit a type, and the one form in which they are stored.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::FieldType;

/// A value as it stands in JSON and in the store. Which texts are dates or addresses is known by the
/// field's [`FieldType`]; [`FieldType::accept`] brings a value into the one form that is stored.
/// `Debug` does not show it (X5).
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// A text, a date, a moment or an address.
    Text(String),
    /// A number.
    Number(Number),
    /// Yes or no.
    Boolean(bool),
    /// Texts.
    List(Vec<String>),
}

/// The shape of [`FieldValue`] for schemas, where `serde_json`'s number has none.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum FieldValueShape {
    Text(String),
    Number(f64),
    Boolean(bool),
    List(Vec<String>),
}

impl utoipa::PartialSchema for FieldValue {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        FieldValueShape::schema()
    }
}

impl ToSchema for FieldValue {}

/// The schema of a value of a partial update: a [`FieldValue`] or null.
#[derive(Debug, Clone, Copy)]
pub struct FieldValueOrNull;

impl utoipa::PartialSchema for FieldValueOrNull {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::OneOfBuilder::new()
            .item(
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::Null),
            )
            .item(utoipa::openapi::Ref::from_schema_name("FieldValue"))
            .into()
    }
}

impl ToSchema for FieldValueOrNull {
    fn schemas(
        schemas: &mut Vec<(
            String,
            utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>,
        )>,
    ) {
        schemas.push((
            FieldValue::name().into_owned(),
            <FieldValue as utoipa::PartialSchema>::schema(),
        ));
    }
}

impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Number(_) => "Number(…)",
            Self::Boolean(_) => "Boolean(…)",
            Self::List(_) => "List(…)",
        })
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = FieldValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false, an array of texts, or null")
            }

            fn visit_str<E>(self, text: &str) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(text))
            }

            fn visit_bool<E>(self, yes: bool) -> Result<FieldValue, E> {
                Ok(FieldValue::Boolean(yes))
            }

            fn visit_i64<E>(self, number: i64) -> Result<FieldValue, E> {
                Ok(FieldValue::Number(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<FieldValue, E> {
                Ok(FieldValue::Number(number.into()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<FieldValue, E> {
                Number::from_f64(number)
                    .map(FieldValue::Number)
                    .ok_or_else(|| E::custom("a number must be finite"))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<FieldValue, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element::<String>()? {
                    texts.push(text);
                }
                Ok(FieldValue::List(texts))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Why a value does not fit a field. The value is not repeated: it may be personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Another kind of value than the field holds.
    #[error("expected {}", wanted(*.0))]
    WrongType(FieldType),
    /// A character that Postgres cannot store.
    #[error("the text holds a NUL character (U+0000); remove it")]
    Nul,
    /// Beyond the limit of the type.
    #[error("longer than {max} {unit}")]
    TooLong {
        /// The limit.
        max: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// The e-mail's own reason.
    #[error(transparent)]
    Email(#[from] super::EmailError),
}

const fn wanted(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Text => "a text",
        FieldType::Number => "a number such as 42 or 3.5",
        FieldType::Boolean => "true or false",
        FieldType::Date => "a date such as 2026-11-24",
        FieldType::Datetime => "a time by RFC 3339 such as 2026-11-24T08:30:00Z",
        FieldType::Url => "an address that begins with http:// or https://",
        FieldType::List => "an array of texts",
        FieldType::Email => "an e-mail address such as name@example.com",
    }
}

/// The longest text, in characters: HubSpot's limit for a property's value.
pub const MAX_TEXT: usize = 65_536;
/// The longest address, in characters.
pub const MAX_URL: usize = 2_048;
/// The most texts in a list.
pub const MAX_LIST: usize = 500;
/// The longest text in a list, in characters.
pub const MAX_LIST_ITEM: usize = 1_000;

impl FieldType {
    /// Brings a value into the one form in which it is stored and compared, or says why it does not
    /// fit. `None` means that the value is empty (a text of white space, an empty list), which is
    /// the same as `null`.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn accept(self, value: FieldValue) -> Result<Option<FieldValue>, ValueError> {
        let value = match value {
            FieldValue::Text(text) if text.trim().is_empty() && !text.contains('\0') => {
                return if matches!(self, Self::Number | Self::Boolean | Self::List) {
                    Err(ValueError::WrongType(self))
                } else {
                    Ok(None)
                };
            }
            other => other,
        };
        match (self, value) {
            (Self::Text, FieldValue::Text(text)) => {
                checked_text(text, MAX_TEXT).map(|t| Some(FieldValue::Text(t)))
            }
            (Self::Url, FieldValue::Text(text)) => {
                let text = checked_text(text.trim().to_owned(), MAX_URL)?;
                let lower = text.get(..8).unwrap_or(&text).to_ascii_lowercase();
                let rest = if lower.starts_with("https://") {
                    text.get(8..)
                } else if lower.starts_with("http://") {
                    text.get(7..)
                } else {
                    None
                };
                let has_host = rest.is_some_and(|r| {
                    !r.is_empty() && !r.starts_with('/') && !text.contains(char::is_whitespace)
                });
                if has_host {
                    Ok(Some(FieldValue::Text(text)))
                } else {
                    Err(ValueError::WrongType(self))
                }
            }
            (Self::Email, FieldValue::Text(text)) => {
                let email = super::Email::parse(&text)?;
                Ok(Some(FieldValue::Text(email.into())))
            }
            (Self::Number, FieldValue::Number(number)) => {
                Ok(Some(FieldValue::Number(one_form(number))))
            }
            (Self::Boolean, FieldValue::Boolean(yes)) => Ok(Some(FieldValue::Boolean(yes))),
            (Self::Date, FieldValue::Text(text)) => parse_date(text.trim())
                .map(|date| Some(FieldValue::Text(date.format("%Y-%m-%d").to_string())))
                .ok_or(ValueError::WrongType(self)),
            (Self::Datetime, FieldValue::Text(text)) => parse_datetime(text.trim())
                .map(|at| Some(FieldValue::Text(datetime_text(at))))
                .ok_or(ValueError::WrongType(self)),
            (Self::List, FieldValue::List(texts)) => {
                if texts.len() > MAX_LIST {
                    return Err(ValueError::TooLong {
                        max: MAX_LIST,
                        unit: "entries",
                    });
                }
                let mut once = BTreeSet::new();
                for text in texts {
                    let text = checked_text(text.trim().to_owned(), MAX_LIST_ITEM)?;
                    if !text.is_empty() {
                        once.insert(text);
                    }
                }
                Ok((!once.is_empty()).then(|| FieldValue::List(once.into_iter().collect())))
            }
            _ => Err(ValueError::WrongType(self)),
        }
    }

    /// Reads a value from the cell of a file. An empty cell is `None`.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn parse_text(self, text: &str) -> Result<Option<FieldValue>, ValueError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        let value = match self {
            Self::Number => {
                FieldValue::Number(parse_number(trimmed).ok_or(ValueError::WrongType(self))?)
            }
            Self::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => FieldValue::Boolean(true),
                "false" | "no" | "0" => FieldValue::Boolean(false),
                _ => return Err(ValueError::WrongType(self)),
            },
            Self::List => FieldValue::List(trimmed.split(';').map(str::to_owned).collect()),
            _ => FieldValue::Text(text.to_owned()),
        };
        self.accept(value)
    }
}

fn checked_text(text: String, max: usize) -> Result<String, ValueError> {
    if text.contains('\0') {
        return Err(ValueError::Nul);
    }
    if text.len() > max && text.chars().count() > max {
        return Err(ValueError::TooLong {
            max,
            unit: "characters",
        });
    }
    Ok(text)
}

/// A whole number in one form, however it was written: `3.0`, `3e0` and `3` are the same value, and
/// what Postgres makes of either reads back as the same.
fn one_form(number: Number) -> Number {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    match number.as_f64() {
        // Whole floats within these bounds are exact as integers.
        Some(float) if number.is_f64() && float.fract() == 0.0 => {
            if (-TWO_TO_63..TWO_TO_63).contains(&float) {
                (float as i64).into()
            } else if (TWO_TO_63..2.0 * TWO_TO_63).contains(&float) {
                (float as u64).into()
            } else {
                number
            }
        }
        _ => number,
    }
}

/// A finite decimal number; nothing that only a program would write, such as `inf` or `nan`.
pub(crate) fn parse_number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole.into());
    }
    let decimal = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if !decimal {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(one_form)
}

/// Years 1 to 9999, so that every stored date is one that others can read.
pub(crate) fn parse_date(text: &str) -> Option<NaiveDate> {
    use chrono::Datelike as _;
    if text.len() != 10 {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|d| (1..=9999).contains(&d.year()))
}

pub(crate) fn parse_datetime(text: &str) -> Option<DateTime<Utc>> {
    use chrono::Datelike as _;
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .filter(|at| (1..=9999).contains(&at.year()))
}

/// Milliseconds are what HubSpot keeps; finer parts are cut off.
pub(crate) fn datetime_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(json: &str) -> FieldValue {
        let value = serde_json::from_str(json).unwrap();
        FieldType::Number.accept(value).unwrap().unwrap()
    }

    #[test]
    fn a_number_has_one_form() {
        for (a, b) in [
            ("3", "3.0"),
            ("3", "3e0"),
            ("0", "-0.0"),
            ("100000000000000000", "1e17"),
            ("10000000000000000000", "1e19"),
            ("1e20", "100000000000000000000"),
            ("0.5", "5e-1"),
        ] {
            assert!(number(a) == number(b), "{a} and {b}");
        }
    }

    #[test]
    fn values_that_do_not_fit() {
        use FieldType as F;
        let text = |t: &str| FieldValue::Text(t.to_owned());
        let list = |items: Vec<String>| FieldValue::List(items);
        for (field_type, value, fits) in [
            (F::Text, text("a\0"), false),
            (F::Text, text("\0"), false),
            (F::Text, text(&"é".repeat(MAX_TEXT)), true),
            (F::Text, text(&"é".repeat(MAX_TEXT + 1)), false),
            (F::Text, FieldValue::Boolean(true), false),
            (F::Number, text("12"), false),
            (F::Number, text(""), false),
            (F::Boolean, text("true"), false),
            (F::Date, text("2026-02-29"), false),
            (F::Date, text("2028-02-29"), true),
            (F::Date, text("2026-2-1"), false),
            (F::Date, text("0000-01-01"), false),
            (F::Datetime, text("2026-02-28"), false),
            (F::Datetime, text("2026-02-28T08:00:00"), false),
            (F::Datetime, text("2026-02-28T08:00:00+25:00"), false),
            (F::Url, text("HTTPS://a.example"), true),
            (F::Url, text("ftp://a.example"), false),
            (F::Url, text("https://"), false),
            (F::Url, text("https:///a"), false),
            (F::Url, text("https://a b"), false),
            (F::Url, text("javascript:alert(1)"), false),
            (F::Url, text("é"), false),
            (
                F::Url,
                text(&format!("https://{}", "a".repeat(MAX_URL))),
                false,
            ),
            (F::List, text("a"), false),
            (F::List, list(vec!["a".to_owned(); MAX_LIST + 1]), false),
            (F::List, list(vec!["a".repeat(MAX_LIST_ITEM + 1)]), false),
            (F::List, list(vec!["a\0".to_owned()]), false),
        ] {
            assert_eq!(field_type.accept(value).is_ok(), fits, "{field_type}");
        }
        assert!(F::Text.accept(text(" \n")).unwrap().is_none());
        assert!(F::Date.accept(text("")).unwrap().is_none());
        assert!(
            F::List
                .accept(list(vec![" ".to_owned()]))
                .unwrap()
                .is_none()
        );
        let once = F::List
            .accept(list(vec!["b".into(), " a ".into(), "b".into()]))
            .unwrap();
        assert!(once == Some(list(vec!["a".into(), "b".into()])));
    }

    #[test]
    fn what_is_no_value_at_all_is_refused_by_its_shape() {
        for json in ["{}", "[1]", "[[]]", "null", "[null]"] {
            assert!(serde_json::from_str::<FieldValue>(json).is_err(), "{json}");
        }
        let error = serde_json::from_str::<FieldValue>("{}").unwrap_err();
        assert!(error.to_string().contains("array of texts"));
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", FieldValue::Text("secret".to_owned()));
        assert_eq!(shown, "Text(…)");
    }

    proptest! {
        /// Postgres writes the numbers of `jsonb` without an exponent.
        #[test]
        fn numbers_come_back_from_json_and_from_postgres(float in any::<f64>(), whole in any::<i64>()) {
            prop_assume!(float.is_finite());
            let fields = [Number::from_f64(float).unwrap(), whole.into(), Number::from_f64(whole as f64).unwrap()];
            for field in fields {
                let value = FieldType::Number.accept(FieldValue::Number(field)).unwrap().unwrap();
                let FieldValue::Number(number) = &value else { unreachable!() };
                let json = number.to_string();
                let plain = if number.is_f64() { number.as_f64().unwrap().to_string() } else { json.clone() };
                prop_assert!(self::number(&json) == value, "{}", json);
                prop_assert!(self::number(&plain) == value, "{}", plain);
            }
        }
    }
}
