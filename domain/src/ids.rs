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
    /// The text is none of the names that there are.
    #[error("not a valid {kind}: expected one of {}", names.join(", "))]
    NotOneOf {
        /// What was expected.
        kind: &'static str,
        /// All names that there are.
        names: &'static [&'static str],
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
        #[serde(try_from = "i64", into = "i64")]
        #[schema(value_type = i64, minimum = 0)]
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

        impl TryFrom<i64> for $name {
            type Error = IdError;

            fn try_from(id: i64) -> Result<Self, IdError> {
                Self::new(id)
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> Self {
                id.0
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
    /// A preview of an export that was asked for; version 7.
    PreviewId
}
uuid_id! {
    /// A bulk export; version 7, so that they sort by time.
    BulkId
}
uuid_id! {
    /// A revert that was asked for; version 7, so that they sort by time.
    RevertId
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
uuid_id! {
    /// A consent that came back from HubSpot and waits to be confirmed (C1).
    ConsentId
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

/// The kinds of CRM records that this program deals with.
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
    /// `0-18`, an engagement: LinkedIn messages, SMS, WhatsApp.
    Communication,
}

crate::named::named!(ObjectType, "object type");

impl ObjectType {
    /// The types of which every record is kept in the mirror.
    pub const MIRRORED: [Self; 3] = [Self::Contact, Self::Company, Self::Deal];

    /// HubSpot's number of the type, the part of the type id behind `0-`; also the store's.
    pub const fn number(self) -> i16 {
        match self {
            Self::Contact => 1,
            Self::Company => 2,
            Self::Deal => 3,
            Self::Communication => 18,
            Self::Task => 27,
            Self::Note => 46,
            Self::Meeting => 47,
            Self::Call => 48,
            Self::Email => 49,
        }
    }

    /// The type of a number of [`ObjectType::number`].
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.number() == number)
    }

    /// The type of HubSpot's type id, such as `0-1`.
    pub fn from_type_id(type_id: &str) -> Option<Self> {
        Self::from_number(type_id.strip_prefix("0-")?.parse().ok()?)
    }

    /// HubSpot's name of many, as in its paths.
    pub const fn plural(self) -> &'static str {
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

    /// Whether every record of it is kept in the mirror.
    pub const fn is_mirrored(self) -> bool {
        matches!(self, Self::Contact | Self::Company | Self::Deal)
    }

    /// Whether it is an activity on timelines.
    pub const fn is_engagement(self) -> bool {
        !self.is_mirrored()
    }
}

/// What a run reads, one chain of slices each (I1).
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
    /// Recent engagements of other reps, where the workspace reads them (I10). The periodic sync reads
    /// them; no run does.
    Engagements,
}

crate::named::named!(SyncType, "object type to sync");

impl SyncType {
    /// What runs read: backfills and resyncs.
    pub const OF_RUNS: [Self; 7] = [
        Self::Owners,
        Self::Properties,
        Self::Pipelines,
        Self::Contacts,
        Self::Companies,
        Self::Deals,
        Self::Lists,
    ];

    /// The mirrored record type that this reads, if it reads records.
    pub const fn object_type(&self) -> Option<ObjectType> {
        match self {
            Self::Contacts => Some(ObjectType::Contact),
            Self::Companies => Some(ObjectType::Company),
            Self::Deals => Some(ObjectType::Deal),
            Self::Owners | Self::Properties | Self::Pipelines | Self::Lists | Self::Engagements => {
                None
            }
        }
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
        let runs = SyncType::ALL
            .into_iter()
            .filter(|t| *t != SyncType::Engagements);
        assert!(runs.eq(SyncType::OF_RUNS));
        assert_eq!(
            "contacts".parse::<ObjectType>().unwrap_err().to_string(),
            "not a valid object type: expected one of contact, company, deal, email, call, meeting, note, task, communication"
        );
    }

    #[test]
    fn types_have_hubspots_numbers() {
        for t in ObjectType::ALL {
            assert_eq!(ObjectType::from_number(t.number()), Some(t));
            assert_eq!(
                ObjectType::from_type_id(&format!("0-{}", t.number())),
                Some(t)
            );
            assert_eq!(ObjectType::MIRRORED.contains(&t), t.is_mirrored());
        }
        for unknown in ["0-4", "2-1", "0-", "1", ""] {
            assert_eq!(ObjectType::from_type_id(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_negative_number_is_no_id_in_json_either() {
        assert!(serde_json::from_str::<HubSpotOwnerId>("-5").is_err());
        assert!(serde_json::from_str::<PortalId>("-1").is_err());
        let id: HubSpotOwnerId = serde_json::from_str("5").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "5");
    }

    proptest! {
        #[test]
        fn every_id_reads_back(id in 0..=i64::MAX) {
            let id = HubSpotObjectId::new(id).unwrap();
            prop_assert_eq!(id.to_string().parse::<HubSpotObjectId>().unwrap(), id);
        }
    }
}
