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
    /// `0-49`, an engagement.
    Email,
    /// `0-48`, an engagement.
    Call,
    /// `0-47`, an engagement.
    Meeting,
    /// `0-46`, an engagement.
    Note,
    /// `0-27`, an engagement.
    Task,
    /// `0-18`, an engagement: WhatsApp, LinkedIn and SMS messages.
    Communication,
}

impl ObjectType {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Contact,
        Self::Company,
        Self::Deal,
        Self::Email,
        Self::Call,
        Self::Meeting,
        Self::Note,
        Self::Task,
        Self::Communication,
    ];

    /// The name in paths and in the keys of inline associations.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Contact => "contacts",
            Self::Company => "companies",
            Self::Deal => "deals",
            Self::Email => "emails",
            Self::Call => "calls",
            Self::Meeting => "meetings",
            Self::Note => "notes",
            Self::Task => "tasks",
            Self::Communication => "communications",
        }
    }

    /// The name of one, as in the names of association types and in `associations.contact`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
            Self::Email => "email",
            Self::Call => "call",
            Self::Meeting => "meeting",
            Self::Note => "note",
            Self::Task => "task",
            Self::Communication => "communication",
        }
    }

    /// The type id.
    pub const fn type_id(self) -> &'static str {
        match self {
            Self::Contact => "0-1",
            Self::Company => "0-2",
            Self::Deal => "0-3",
            Self::Email => "0-49",
            Self::Call => "0-48",
            Self::Meeting => "0-47",
            Self::Note => "0-46",
            Self::Task => "0-27",
            Self::Communication => "0-18",
        }
    }

    /// Whether it is an activity on timelines. Engagements cannot be merged.
    pub const fn is_engagement(self) -> bool {
        !matches!(self, Self::Contact | Self::Company | Self::Deal)
    }

    /// The property that holds last-modified.
    pub const fn last_modified(self) -> &'static str {
        match self {
            Self::Contact => "lastmodifieddate",
            _ => "hs_lastmodifieddate",
        }
    }

    /// The property that holds the time of creation.
    pub const fn created(self) -> &'static str {
        if self.is_engagement() {
            "hs_createdate"
        } else {
            "createdate"
        }
    }

    /// The type of a key of inline associations.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.path() == path)
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
