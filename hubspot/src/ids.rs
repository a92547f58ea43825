//! Typed ids.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a decimal number")]
pub struct ParseIdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number.
            pub const fn new(id: u64) -> Self {
                Self(id)
            }

            /// The number within.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(ParseIdError);
                }
                text.parse::<i64>()
                    .ok()
                    .and_then(|id| u64::try_from(id).ok())
                    .map(Self)
                    .ok_or(ParseIdError)
            }
        }

        // HubSpot writes most ids as strings, and some as numbers.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id as a string or a number")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<$name, E> {
                        Ok($name(id))
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    };
}

id! {
    /// A HubSpot account (`portalId`, `hub_id`).
    PortalId
}
id! {
    /// A CRM record; unique within its type only, may exceed 2^31.
    RecordId
}
id! {
    /// An owner's `id`, never its `userId`.
    OwnerId
}
id! {
    /// A list.
    ListId
}

/// The kinds of CRM records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectType {
    /// `0-1`
    Contact,
    /// `0-2`
    Company,
    /// `0-3`
    Deal,
}

impl ObjectType {
    /// The name in paths and in the keys of inline associations.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Company => "companies",
            Self::Deal => "deals",
        }
    }

    /// The type id.
    pub const fn type_id(self) -> &'static str {
        match self {
            Self::Contact => "0-1",
            Self::Company => "0-2",
            Self::Deal => "0-3",
        }
    }

    /// The property that holds last-modified.
    pub const fn last_modified(self) -> &'static str {
        match self {
            Self::Contact => "lastmodifieddate",
            Self::Company | Self::Deal => "hs_lastmodifieddate",
        }
    }

    /// The type of a key of inline associations.
    pub fn from_path(path: &str) -> Option<Self> {
        [Self::Contact, Self::Company, Self::Deal]
            .into_iter()
            .find(|t| t.path() == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_strings_and_numbers() {
        let ids: Vec<RecordId> = serde_json::from_str(r#"["874716779721", 7]"#).unwrap();
        assert_eq!(ids, [RecordId::new(874_716_779_721), RecordId::new(7)]);
        for bad in [
            r#""""#,
            r#""x1""#,
            r#""-1""#,
            r#""99999999999999999999""#,
            "1.5",
            "null",
        ] {
            assert!(serde_json::from_str::<RecordId>(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&RecordId::new(7)).unwrap(), r#""7""#);
    }
}
