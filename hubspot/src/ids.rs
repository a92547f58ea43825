//! Typed ids and names.
//!
//! HubSpot's ids are decimal numbers that travel as strings and go beyond 2³¹; they are Java
//! longs, so every number here fits `i64` too, and both [`u64`] and [`i64`] views cannot fail.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text or number is not an id or name of HubSpot's.
///
/// The text itself is never repeated: it may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: expected {expected}")]
pub struct IdError {
    kind: &'static str,
    expected: &'static str,
}

impl IdError {
    pub(crate) const fn new(kind: &'static str, expected: &'static str) -> Self {
        Self { kind, expected }
    }

    /// What was to be read, for example `RecordId`.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }
}

const NUMBER_EXPECTED: &str = "a decimal number from 0 to 9223372036854775807";

/// Reads the canonical form only: digits, no sign, no leading zero, at most `i64::MAX`.
fn parse_number(kind: &'static str, text: &str) -> Result<u64, IdError> {
    let malformed = IdError::new(kind, NUMBER_EXPECTED);
    let bytes = text.as_bytes();
    let canonical = !bytes.is_empty()
        && bytes.len() <= 19
        && bytes.iter().all(u8::is_ascii_digit)
        && (bytes.len() == 1 || bytes[0] != b'0');
    if !canonical {
        return Err(malformed);
    }
    match text.parse::<u64>() {
        Ok(number) if number <= i64::MAX as u64 => Ok(number),
        _ => Err(malformed),
    }
}

struct NumberVisitor(&'static str);

impl de::Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {NUMBER_EXPECTED}", self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse_number(self.0, text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        if number <= i64::MAX as u64 {
            Ok(number)
        } else {
            Err(E::custom(IdError::new(self.0, NUMBER_EXPECTED)))
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::custom(IdError::new(self.0, NUMBER_EXPECTED)))
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number as `i64`, as databases keep it. Cannot fail: HubSpot's ids are longs.
            pub const fn as_i64(self) -> i64 {
                self.0.cast_signed()
            }
        }

        impl TryFrom<u64> for $name {
            type Error = IdError;

            fn try_from(number: u64) -> Result<Self, IdError> {
                if number <= i64::MAX as u64 {
                    Ok(Self(number))
                } else {
                    Err(IdError::new(stringify!($name), NUMBER_EXPECTED))
                }
            }
        }

        impl TryFrom<i64> for $name {
            type Error = IdError;

            fn try_from(number: i64) -> Result<Self, IdError> {
                u64::try_from(number)
                    .map(Self)
                    .map_err(|_| IdError::new(stringify!($name), NUMBER_EXPECTED))
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                Self(u64::from(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_number(stringify!($name), text).map(Self)
            }
        }

        /// A string, as HubSpot sends ids.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        /// A string or a number: HubSpot uses both.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(NumberVisitor(stringify!($name))).map(Self)
            }
        }
    };
}

number_id! {
    /// A HubSpot account (a "portal"), called `hub_id` in OAuth answers.
    PortalId
}
number_id! {
    /// Any CRM record. Unique within one object type only.
    RecordId
}
number_id! {
    /// A contact's record id.
    ContactId
}
number_id! {
    /// A company's record id.
    CompanyId
}
number_id! {
    /// A deal's record id.
    DealId
}
number_id! {
    /// An owner: what `hubspot_owner_id` holds. Never a user id.
    OwnerId
}
number_id! {
    /// A HubSpot user. An owner has one as well, but records refer to the [`OwnerId`].
    UserId
}
number_id! {
    /// A list (a "segment").
    ListId
}
number_id! {
    /// A team of owners.
    TeamId
}
number_id! {
    /// What kind an association is, for example 279: contact to company.
    AssociationTypeId
}

macro_rules! record_id {
    ($($name:ident),*) => {$(
        impl From<$name> for RecordId {
            fn from(id: $name) -> Self {
                Self(id.0)
            }
        }

        impl From<RecordId> for $name {
            fn from(id: RecordId) -> Self {
                Self(id.0)
            }
        }
    )*};
}

record_id!(ContactId, CompanyId, DealId);

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, max $max:literal, $valid:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            #[allow(dead_code, reason = "not every name has well-known values")]
            pub(crate) const fn from_static(text: &'static str) -> Self {
                Self(Cow::Borrowed(text))
            }

            fn check(text: &str) -> Result<(), IdError> {
                let valid: fn(char) -> bool = $valid;
                if text.is_empty() || text.len() > $max || !text.chars().all(valid) {
                    return Err(IdError::new(stringify!($name), $expected));
                }
                Ok(())
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::check(&text)?;
                Ok(Self(Cow::Owned(text)))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::check(text)?;
                Ok(Self(Cow::Owned(text.to_owned())))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// Visible ASCII, without the characters that would make a name look like an address, a list or
/// markup.
const fn is_name_char(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, ',' | '@' | '"' | '\'' | '<' | '>' | '\\' | '&' | '?' | '#')
}

name_type! {
    /// A property's internal name, for example `lastmodifieddate`; in search filters also
    /// `associations.contact`.
    PropertyName, max 250, is_name_char, "1 to 250 visible ASCII characters without , @ or quotes"
}
name_type! {
    /// An OAuth scope, for example `crm.objects.contacts.read`.
    ScopeName, max 150, is_name_char, "1 to 150 visible ASCII characters without , @ or quotes"
}
name_type! {
    /// HubSpot's reason for refusing one value, for example `INVALID_EMAIL`.
    ProblemCode, max 100,
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'),
    "1 to 100 letters, digits, underscores, dots or hyphens"
}
name_type! {
    /// HubSpot's id of one request, to be named to its support.
    CorrelationId, max 100, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'),
    "1 to 100 letters, digits or hyphens"
}
name_type! {
    /// A pipeline's id, for example `default` or a number or UUID.
    PipelineId, max 200, is_name_char, "1 to 200 visible ASCII characters without , @ or quotes"
}
name_type! {
    /// A pipeline stage's id, for example `closedwon` or a number or UUID.
    StageId, max 200, is_name_char, "1 to 200 visible ASCII characters without , @ or quotes"
}

impl PropertyName {
    /// `hs_object_id`: the record id as a property.
    pub const HS_OBJECT_ID: Self = Self::from_static("hs_object_id");
    /// `lastmodifieddate`: when a contact was last modified.
    pub const LASTMODIFIEDDATE: Self = Self::from_static("lastmodifieddate");
    /// `hs_lastmodifieddate`: when any record other than a contact was last modified.
    pub const HS_LASTMODIFIEDDATE: Self = Self::from_static("hs_lastmodifieddate");
    /// `createdate`: when a contact, company or deal was created.
    pub const CREATEDATE: Self = Self::from_static("createdate");
    /// `hs_createdate`: when an engagement was created.
    pub const HS_CREATEDATE: Self = Self::from_static("hs_createdate");
    /// `email`: a contact's primary e-mail address, unique in the portal.
    pub const EMAIL: Self = Self::from_static("email");
    /// `hs_additional_emails`: a contact's other addresses, separated by `;`.
    pub const HS_ADDITIONAL_EMAILS: Self = Self::from_static("hs_additional_emails");
    /// `hs_merged_object_ids`: ids merged into this record, separated by `;`.
    pub const HS_MERGED_OBJECT_IDS: Self = Self::from_static("hs_merged_object_ids");
    /// `hubspot_owner_id`: the record's owner, an [`OwnerId`].
    pub const HUBSPOT_OWNER_ID: Self = Self::from_static("hubspot_owner_id");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_beyond_two_to_the_31_are_read_from_text_and_number() {
        let id: RecordId = "874716779721".parse().unwrap();
        assert_eq!(id.get(), 874_716_779_721);
        assert_eq!(serde_json::from_str::<RecordId>("874716779721").unwrap(), id);
        assert_eq!(serde_json::from_str::<RecordId>("\"874716779721\"").unwrap(), id);
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"874716779721\"");
    }

    #[test]
    fn what_is_no_id_is_refused_without_repeating_it() {
        for text in ["", "-1", "+1", "1.0", "007", "x@example.com", " 1", "9223372036854775808"] {
            let error = text.parse::<RecordId>().unwrap_err();
            assert!(text.len() < 2 || !error.to_string().contains(text), "{error}");
        }
        assert!(RecordId::try_from(u64::MAX).is_err());
        assert!(RecordId::try_from(-1_i64).is_err());
        assert!(serde_json::from_str::<RecordId>("-4").is_err());
        assert!(serde_json::from_str::<RecordId>("1.5").is_err());
    }

    #[test]
    fn names_hold_no_addresses_and_no_separators() {
        for text in ["", "a,b", "ada@example.com", "a b", "é"] {
            assert!(text.parse::<PropertyName>().is_err(), "{text}");
        }
        assert_eq!("associations.contact".parse::<PropertyName>().unwrap().as_str(), "associations.contact");
    }

    proptest! {
        #[test]
        fn every_long_survives_text_and_json(number in 0..=i64::MAX) {
            let id = RecordId::try_from(number).unwrap();
            prop_assert_eq!(id.to_string().parse::<RecordId>().unwrap(), id);
            prop_assert_eq!(id.as_i64(), number);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<RecordId>(&json).unwrap(), id);
        }

        #[test]
        fn a_parsed_id_is_displayed_as_it_was_written(text in "\\PC{0,24}") {
            if let Ok(id) = text.parse::<RecordId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn digits_are_an_id_exactly_when_canonical_and_a_long(text in "[0-9]{1,21}") {
            let canonical = text == "0" || !text.starts_with('0');
            let fits = text.parse::<i64>().is_ok();
            prop_assert_eq!(text.parse::<RecordId>().is_ok(), canonical && fits);
        }
    }
}
