//! The token by which the main app opens the settings pages for a person: what it says, and when it is
//! good. Its signature is looked at where the key is.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{AdminId, IdError, WorkspaceId, api::ShownName, named::named};

/// Whom a token is for. Another one is meant for somebody else's door.
pub const AUDIENCE: &str = "hubspot-sync-settings";

/// The longest that a token may still be good for when it comes.
pub const LONGEST: TimeDelta = TimeDelta::minutes(5);

/// How far the main app's clock may be from ours, where a token is said to begin or ends late.
pub const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);

/// What a person may do on the pages.
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
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PageRole {
    /// Looks.
    Member,
    /// Changes settings, connects, exports.
    Admin,
}

named!(PageRole, "role");

/// What somebody can do on the pages that others want to hear of.
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
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PageEvent {
    /// Went to HubSpot to connect; whether that was approved is told by the connection.
    WentToConnect,
    /// Connected: consented in HubSpot, and confirmed.
    Connected,
    /// Did not consent, in HubSpot or when asked once more.
    ConsentRefused,
    /// Disconnected.
    Disconnected,
    /// Had everything read that changed.
    SyncedNow,
    /// Had records read again.
    Resynced,
    /// Saved settings.
    SavedSettings,
    /// Let requests go on that had failed, were left out or waited.
    Retried,
    /// Exported a person.
    Exported,
    /// Brought a value back in HubSpot.
    Reverted,
    /// Had it found out whom a bulk export would take.
    AskedBulk,
    /// Confirmed a bulk export.
    ConfirmedBulk,
    /// Stopped a bulk export.
    StoppedBulk,
    /// Looked what an export of a person would do.
    Previewed,
    /// Had our group of properties made.
    MadeOwnProperties,
    /// Put the list of what is to be set up away.
    PutSetUpAway,
}

named!(PageEvent, "event");

/// What names one token among all: 16 characters at least, so that nobody meets another's by chance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryId(String);

impl EntryId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EntryId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let good = (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if good {
            Ok(Self(text))
        } else {
            Err(IdError::Malformed {
                kind: "jti",
                expected: "16 to 128 printable characters that no other token has, such as a UUID",
            })
        }
    }
}

impl From<EntryId> for String {
    fn from(id: EntryId) -> Self {
        id.0
    }
}

/// What a token says. Further claims are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryClaims {
    /// [`AUDIENCE`].
    pub aud: String,
    /// Which token it is: it opens the pages once.
    pub jti: EntryId,
    /// From when on it is not good, in seconds since 1970.
    pub exp: i64,
    /// Before when it is not good, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Whose settings.
    pub workspace: WorkspaceId,
    /// Who looks at them.
    pub user: AdminId,
    /// What they may do.
    pub role: PageRole,
    /// What people call them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<ShownName>,
    /// What people call the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<ShownName>,
}

/// Why a token does not open the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryRefused {
    /// Not signed with a key of ours, or not readable.
    #[error("the token is not one of this installation's")]
    Broken,
    /// For another door.
    #[error("the token is for somebody else: aud is not {AUDIENCE}")]
    Audience,
    /// Too old.
    #[error("the token is too old")]
    Expired,
    /// Good for longer than a token may be, or not yet good.
    #[error("the token is good at another time than now, or for longer than five minutes")]
    Times,
    /// It opened the pages before.
    #[error("the token was used before")]
    Used,
}

impl EntryClaims {
    /// Whether a token that says this is good now; whether it was used is for the store to say.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), EntryRefused> {
        if self.aud != AUDIENCE {
            return Err(EntryRefused::Audience);
        }
        if self.exp <= now.timestamp() {
            return Err(EntryRefused::Expired);
        }
        let latest = (now + LONGEST + CLOCKS_APART).timestamp();
        let begins_late = |nbf: i64| nbf > (now + CLOCKS_APART).timestamp();
        if self.exp > latest || self.nbf.is_some_and(begins_late) {
            return Err(EntryRefused::Times);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said() -> serde_json::Value {
        json!({
            "aud": AUDIENCE, "jti": "01890a5d-ac96-774b-bcce-b302099a8057", "exp": 1_000_060,
            "workspace": "0d3f0000-0000-4000-8000-000000000001",
            "user": "0d3f0000-0000-4000-8000-00000000000a", "role": "admin", "iat": 1_000_000,
        })
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000, 0).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_door_and_for_minutes() {
        let checked = |key: &str, value: serde_json::Value| {
            let mut claims = said();
            claims[key] = value;
            serde_json::from_value::<EntryClaims>(claims)
                .unwrap()
                .check(now())
        };
        for (key, value, want) in [
            ("exp", json!(1_000_060), Ok(())),
            ("exp", json!(1_000_001), Ok(())),
            ("exp", json!(1_000_000), Err(EntryRefused::Expired)),
            ("exp", json!(i64::MIN), Err(EntryRefused::Expired)),
            ("exp", json!(1_000_360), Ok(())),
            ("exp", json!(1_000_361), Err(EntryRefused::Times)),
            ("exp", json!(i64::MAX), Err(EntryRefused::Times)),
            ("nbf", json!(1_000_060), Ok(())),
            ("nbf", json!(1_000_061), Err(EntryRefused::Times)),
            ("aud", json!("another door"), Err(EntryRefused::Audience)),
        ] {
            assert_eq!(checked(key, value.clone()), want, "{key} {value}");
        }
    }

    #[test]
    fn what_is_missing_or_odd_is_no_token() {
        for key in ["aud", "jti", "exp", "workspace", "user", "role"] {
            let mut claims = said();
            claims.as_object_mut().unwrap().remove(key);
            assert!(
                serde_json::from_value::<EntryClaims>(claims).is_err(),
                "{key}"
            );
        }
        for (key, value) in [
            ("jti", json!("too short")),
            ("jti", json!("with a space in it, and long")),
            ("role", json!("owner")),
            ("exp", json!("1000060")),
            ("workspace", json!(7)),
            ("user_name", json!("a\nb")),
        ] {
            let mut claims = said();
            claims[key] = value;
            assert!(
                serde_json::from_value::<EntryClaims>(claims).is_err(),
                "{key}"
            );
        }
    }
}
