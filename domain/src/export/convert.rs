//! The app's values as HubSpot takes them (E4). All values are texts on the wire.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    app::{
        FieldType, FieldValue,
        value::{MAX_TEXT, datetime_text, parse_date, parse_datetime},
    },
    portal::{External, PropertyDefinition, PropertyType, Reference},
};

/// A value of a property, ready to be sent. Never empty: an export clears nothing (E4). `Debug` does
/// not show it (X5).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HubSpotValue(pub(super) String);

impl HubSpotValue {
    /// A value that HubSpot has or had; none where it is empty.
    pub fn stored(text: &str) -> Option<Self> {
        (!trimmed(text).is_empty()).then(|| Self(text.to_owned()))
    }

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

/// Whether a value of a property can be set.
///
/// # Errors
/// [`ConvertError::NotWritable`].
pub fn writable(property: &PropertyDefinition) -> Result<(), ConvertError> {
    if property.archived {
        return Err(ConvertError::NotWritable("HS-2104"));
    }
    if property.calculated {
        return Err(ConvertError::NotWritable("HS-2103"));
    }
    if property.read_only {
        return Err(ConvertError::NotWritable("HS-2102"));
    }
    Ok(())
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
    writable(property)?;
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
    let text = match property.property_type {
        PropertyType::String | PropertyType::PhoneNumber => without_controls(text),
        _ => text,
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

/// A value as a row's table of options says (E4): what the table names becomes the option, all else
/// stays. A text of several options is looked up as a whole first, then part by part.
pub fn by_table(
    field_type: FieldType,
    value: FieldValue,
    table: &BTreeMap<String, String>,
    property: &PropertyDefinition,
) -> (FieldType, FieldValue) {
    if table.is_empty() || property.property_type != PropertyType::Enumeration {
        return (field_type, value);
    }
    let option = |text: &str| -> Option<String> {
        let text = trimmed(text);
        let lower = text.to_lowercase();
        table
            .get(text)
            .or_else(|| {
                table
                    .iter()
                    .find(|(key, _)| trimmed(key).to_lowercase() == lower)
                    .map(|(_, option)| option)
            })
            .cloned()
    };
    let as_option = |text: String| (FieldType::Text, FieldValue::Text(text));
    match value {
        FieldValue::Text(text) => match option(&text) {
            Some(option) => as_option(option),
            None if property.takes_several() => {
                let parts: Vec<String> = text
                    .split(';')
                    .map(|part| option(part).unwrap_or_else(|| part.to_owned()))
                    .collect();
                (field_type, FieldValue::Text(parts.join(";")))
            }
            None => (field_type, FieldValue::Text(text)),
        },
        FieldValue::Number(number) => match option(&decimal(&number)) {
            Some(option) => as_option(option),
            None => (field_type, FieldValue::Number(number)),
        },
        FieldValue::Boolean(yes) => match option(if yes { "true" } else { "false" }) {
            Some(option) => as_option(option),
            None => (field_type, FieldValue::Boolean(yes)),
        },
        FieldValue::List(texts) => {
            let options = texts
                .into_iter()
                .map(|text| option(&text).unwrap_or(text))
                .collect();
            (field_type, FieldValue::List(options))
        }
    }
}

/// Whether a row's values can become values of its property, its table of options included.
pub fn row_fits(field_type: FieldType, has_table: bool, property: &PropertyDefinition) -> bool {
    fits(field_type, property)
        || (has_table
            && field_type == FieldType::Boolean
            && property.property_type == PropertyType::Enumeration)
}

/// Without the control characters that nobody reads and that travel along in what is copied; tabs
/// and line breaks stay.
fn without_controls(text: String) -> String {
    let unwanted = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if text.contains(unwanted) {
        text.replace(unwanted, "")
    } else {
        text
    }
}

/// Without white space around it, and without the invisible characters that telephone numbers bring
/// along when they are copied.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    })
}

/// What is smaller is what calculating with floats leaves over of nothing: `0.1 + 0.2 - 0.3`.
const RESIDUE: f64 = 1e-12;

/// Digits without an exponent, as HubSpot reads them, and no more than the 15 that count there.
pub(super) fn decimal(number: &serde_json::Number) -> String {
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
pub(crate) mod tests;
