//! Fields of people and companies: their keys and types.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::IdError;

/// The key of a field: one of the catalogue such as `job_title`, or one of the workspace's own such
/// as `custom.favourite_tool`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 71, pattern = "^(custom\\.)?[a-z][a-z0-9_]{0,63}$")]
pub struct FieldKey(String);

impl FieldKey {
    /// What stands before the key of a workspace's own field.
    pub const CUSTOM: &'static str = "custom.";

    /// Reads a key.
    ///
    /// # Errors
    /// [`IdError::Malformed`] when it is not of the form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bare = text.strip_prefix(Self::CUSTOM).unwrap_or(text);
        let well_formed = (1..=64).contains(&bare.len())
            && bare.starts_with(|c: char| c.is_ascii_lowercase())
            && bare
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Malformed {
                kind: "field key",
                expected: "a lower-case key such as job_title, or custom.favourite_tool for a field of the workspace's own",
            })
        }
    }

    /// A key of the catalogue, which is known to be well formed.
    pub(crate) fn of_catalogue(key: &'static str) -> Self {
        Self(key.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a field of the workspace's own.
    pub fn is_custom(&self) -> bool {
        self.0.starts_with(Self::CUSTOM)
    }
}

impl std::borrow::Borrow<str> for FieldKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FieldKey {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl std::str::FromStr for FieldKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl From<FieldKey> for String {
    fn from(key: FieldKey) -> Self {
        key.0
    }
}

/// What kind of value a field holds.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum FieldType {
    /// Any text, at most 65,536 characters.
    Text,
    /// A number; in JSON a number.
    Number,
    /// Yes or no; in JSON `true` or `false`.
    Boolean,
    /// A day; in JSON a text such as `2026-11-24`.
    Date,
    /// A moment; in JSON a text by RFC 3339 such as `2026-11-24T08:30:00Z`.
    Datetime,
    /// An `http` or `https` address, at most 2,048 characters.
    Url,
    /// Texts without order or repetition, at most 500; in JSON an array of texts.
    List,
    /// An e-mail address. Only in the catalogue, never a custom field.
    Email,
}

crate::named::named!(FieldType, "field type");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let long = format!("custom.{}", "a".repeat(65));
        for (text, good) in [
            ("job_title", true),
            ("custom.x1", true),
            ("Job", false),
            ("1x", false),
            ("custom.", false),
            ("custom.custom.x", false),
            ("a b", false),
            ("", false),
            (&long, false),
            (&long[1..], false),
        ] {
            assert_eq!(FieldKey::parse(text).is_ok(), good, "{text}");
        }
        assert!(FieldKey::parse(&long[..long.len() - 1]).is_ok());
    }
}
