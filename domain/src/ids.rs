//! Typed ids. A bare number or string never crosses a crate border.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not of the id's form. The text itself is not repeated: it may be personal data.
    #[error("not a valid {kind}: expected {expected}")]
    Malformed {
        /// Which id was expected.
        kind: &'static str,
        /// What a valid one looks like.
        expected: &'static str,
    },
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID within.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
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
                Uuid::parse_str(text).map(Self).map_err(|_| IdError::Malformed {
                    kind: stringify!($name),
                    expected: "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
                })
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(minimum = 0)]
        pub struct $name(i64);

        impl $name {
            /// Wraps a number that HubSpot gave. Negative numbers are refused.
            ///
            /// # Errors
            /// [`IdError::Malformed`] for a negative number.
            pub fn new(id: i64) -> Result<Self, IdError> {
                if id < 0 {
                    return Err(IdError::Malformed {
                        kind: stringify!($name),
                        expected: "a decimal number from 0 to 9223372036854775807",
                    });
                }
                Ok(Self(id))
            }

            /// The number within; never negative.
            pub const fn get(&self) -> i64 {
                self.0
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
                let malformed = IdError::Malformed {
                    kind: stringify!($name),
                    expected: "a decimal number from 0 to 9223372036854775807",
                };
                if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(malformed);
                }
                text.parse().map(Self).map_err(|_| malformed)
            }
        }
    };
}

uuid_id! {
    /// A customer of the app. Given by the app.
    WorkspaceId
}
uuid_id! {
    /// The person of the app's side who clicks Connect (C1). Given by the app.
    AdminId
}
uuid_id! {
    /// One run of reading: the initial backfill or a resync.
    SyncRunId
}
number_id! {
    /// A HubSpot account (`hub_id`, `portalId`).
    PortalId
}
number_id! {
    /// A CRM record of any type; unique within its type and portal only. May exceed 2^31.
    HubSpotObjectId
}
number_id! {
    /// A HubSpot owner's `id` (never its `userId`).
    HubSpotOwnerId
}

/// Counts the fences of a connection (C4): whatever carries an older epoch is refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// Wraps the number that the store keeps.
    pub const fn new(epoch: i64) -> Self {
        Self(epoch)
    }

    /// The number within.
    pub const fn get(&self) -> i64 {
        self.0
    }

    /// The epoch after this one.
    #[must_use]
    pub const fn next(&self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The CRM record types that are mirrored.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ObjectType {
    /// `0-1`
    Contact,
    /// `0-2`
    Company,
    /// `0-3`
    Deal,
}

impl ObjectType {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Contact, Self::Company, Self::Deal];

    /// The name in the store, in the API and in messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
        }
    }
}

/// What a run reads, one chain of slices each (I1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SyncType {
    /// Owners, active and archived.
    Owners,
    /// Property definitions of contacts, companies and deals.
    Properties,
    /// Deal pipelines and their stages.
    Pipelines,
    /// Contacts with their associations.
    Contacts,
    /// Companies.
    Companies,
    /// Deals with their associations.
    Deals,
    /// Lists of contacts and companies, with their memberships.
    Lists,
}

impl SyncType {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Owners,
        Self::Properties,
        Self::Pipelines,
        Self::Contacts,
        Self::Companies,
        Self::Deals,
        Self::Lists,
    ];

    /// The name in the store, in the API, on the command line and in messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Owners => "owners",
            Self::Properties => "properties",
            Self::Pipelines => "pipelines",
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
            Self::Lists => "lists",
        }
    }

    /// The mirrored record type that this reads, if it reads records.
    pub const fn object_type(&self) -> Option<ObjectType> {
        match self {
            Self::Contacts => Some(ObjectType::Contact),
            Self::Companies => Some(ObjectType::Company),
            Self::Deals => Some(ObjectType::Deal),
            Self::Owners | Self::Properties | Self::Pipelines | Self::Lists => None,
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SyncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ObjectType {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str() == text)
            .ok_or(IdError::Malformed {
                kind: "object type",
                expected: "one of contact, company, deal",
            })
    }
}

impl FromStr for SyncType {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str() == text)
            .ok_or(IdError::Malformed {
                kind: "object type to sync",
                expected: "one of owners, properties, pipelines, contacts, companies, deals, lists",
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_beyond_two_to_the_31_are_kept_whole() {
        let id: HubSpotObjectId = "874716779721".parse().unwrap();
        assert_eq!(id.get(), 874_716_779_721);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "abc",
            "9223372036854775808",
            "١",
        ] {
            assert!(text.parse::<HubSpotObjectId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_of_types_read_back() {
        for t in SyncType::ALL {
            assert_eq!(t.as_str().parse::<SyncType>().unwrap(), t);
        }
        for t in ObjectType::ALL {
            assert_eq!(t.as_str().parse::<ObjectType>().unwrap(), t);
        }
        assert!("Contacts".parse::<SyncType>().is_err());
    }

    proptest! {
        #[test]
        fn every_id_reads_back(id in 0..=i64::MAX) {
            let id = HubSpotObjectId::new(id).unwrap();
            prop_assert_eq!(id.to_string().parse::<HubSpotObjectId>().unwrap(), id);
        }
    }
}
