//! The app's own ids: opaque texts that the app chooses.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::IdError;

/// What every id of the app looks like.
const EXPECTED: &str = "1 to 128 characters of A-Z a-z 0-9 . _ : - (an opaque id, never an e-mail)";

/// Whether a text may be an id of the app. An `@` is not among the characters: ids stand in paths,
/// logs and workflow ids, where an e-mail must never stand (X5).
fn is_app_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
}

macro_rules! app_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
        pub struct $name(String);

        impl $name {
            /// The text within.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                if is_app_id(&text) {
                    Ok(Self(text))
                } else {
                    Err(IdError::Malformed { kind: $kind, expected: EXPECTED })
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

app_id! {
    /// A person of the app's side, by the app's own id.
    PersonId, "person id"
}
app_id! {
    /// A company of the app's side, by the app's own id. A HubSpot company has a
    /// [`HubSpotObjectId`](crate::HubSpotObjectId).
    AppCompanyId, "company id"
}
app_id! {
    /// An activity of the app's side, by the app's own id. What HubSpot makes of it has a
    /// [`HubSpotObjectId`](crate::HubSpotObjectId).
    ActivityId, "activity id"
}
app_id! {
    /// A team member: somebody who works in the app. A HubSpot owner has a
    /// [`HubSpotOwnerId`](crate::HubSpotOwnerId).
    MemberId, "member id"
}

/// The version that the app gives with each change of a record: any number that only grows, such
/// as a counter or the time of the change in milliseconds. All senders of one record use the same
/// scale.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(try_from = "u64", into = "u64")]
#[schema(value_type = i64, minimum = 0)]
pub struct RecordVersion(u64);

impl RecordVersion {
    /// The lowest.
    pub const MIN: Self = Self(0);
    /// The highest: the store keeps versions as `bigint`.
    pub const MAX: Self = Self(i64::MAX.unsigned_abs());

    /// Wraps a version.
    ///
    /// # Errors
    /// [`IdError::Malformed`] beyond [`RecordVersion::MAX`].
    pub const fn new(version: u64) -> Result<Self, IdError> {
        if version > Self::MAX.0 {
            return Err(IdError::Malformed {
                kind: "version",
                expected: "a whole number from 0 to 9223372036854775807",
            });
        }
        Ok(Self(version))
    }

    /// The number within, at most `i64::MAX`.
    pub const fn get(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for RecordVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u64> for RecordVersion {
    type Error = IdError;

    fn try_from(version: u64) -> Result<Self, IdError> {
        Self::new(version)
    }
}

impl From<RecordVersion> for u64 {
    fn from(version: RecordVersion) -> Self {
        version.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_an_id_and_what_is_none() {
        for good in [
            "1",
            "a",
            "lead_01:x.y-Z",
            "01890a5d-ac96-774b-bcce-b302099a8057",
        ] {
            assert_eq!(good.parse::<PersonId>().unwrap().as_str(), good);
        }
        assert!("x".repeat(128).parse::<PersonId>().is_ok());
        let long = "x".repeat(129);
        for bad in [
            "",
            " ",
            "a b",
            "jane@example.com",
            "a/b",
            "é",
            "a\n",
            "a\0",
            &long,
        ] {
            assert!(bad.parse::<PersonId>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<MemberId>(bad.into()).is_err());
        }
    }

    #[test]
    fn a_refused_id_is_not_repeated() {
        let error = "jane@example.com".parse::<PersonId>().unwrap_err();
        assert!(!error.to_string().contains("jane"));
    }

    #[test]
    fn versions_fit_a_bigint() {
        assert!(RecordVersion::new(i64::MAX as u64).is_ok());
        assert!(RecordVersion::new(i64::MAX as u64 + 1).is_err());
        assert!(serde_json::from_str::<RecordVersion>("9223372036854775808").is_err());
        assert!(serde_json::from_str::<RecordVersion>("-1").is_err());
    }

    proptest! {
        #[test]
        fn every_id_reads_back(text in "[A-Za-z0-9._:-]{1,128}") {
            let id: AppCompanyId = text.parse().unwrap();
            prop_assert_eq!(serde_json::from_str::<AppCompanyId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
    }
}
