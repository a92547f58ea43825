//! The feed of changes: what is new in the mirror, for a main app that follows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PageCursor;
use crate::{ids::IdError, portal::ListId, settings::ListUse};

/// What changed. A reader passes over kinds that it does not know: there will be more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A contact of the mirror, or its associations.
    Contact,
    /// A company of the mirror.
    Company,
    /// A deal of the mirror, or its associations.
    Deal,
    /// A HubSpot list: its definition, its use or its members.
    List,
    /// A member of a list that has, or had, a use.
    ListMember,
    /// A person of the app: the profile or the link.
    Person,
    /// A company of the app: the profile or the link.
    AppCompany,
    /// Whether a person of the app may be contacted, and why not.
    Verdict,
    /// An object type of the status: whether its readings find none of the known records.
    Type,
    /// One of a later version.
    #[serde(other)]
    Other,
}

/// What happened to it. A reader takes what it does not know for `changed`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChangeWhat {
    /// It is new, has other values or other associations, or was restored.
    Changed,
    /// It lies in HubSpot's recycle bin, or was not found in HubSpot once.
    Archived,
    /// It lives on under another id: a record that was merged into another one, or a person who was
    /// made from a contact and gave way to one of the app's own.
    Merged,
    /// HubSpot has it no more.
    Gone,
    /// All its values were removed here, as somebody was erased or HubSpot knows the contact no more:
    /// forget what you have of it, its verdict and its places on lists too.
    Erased,
    /// It is on the list now.
    Added,
    /// It is on the list no more.
    Removed,
    /// One of a later version.
    #[serde(other)]
    Other,
}

/// A change. It says what to look at, and holds no values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ChangeItem {
    /// What.
    pub kind: ChangeKind,
    /// Its id: HubSpot's of records, lists and members of lists; the app's of people, companies of the
    /// app and verdicts.
    pub id: String,
    /// What happened.
    pub change: ChangeWhat,
    /// Of what was `merged`: the id that it lives on under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// Of a member: of which list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListId>,
    /// Of a member: what its list is used for now; left out where for nothing.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub list_use: Option<ListUse>,
}

impl ChangeItem {
    /// A change of which nothing more is to be told.
    pub const fn new(kind: ChangeKind, id: String, change: ChangeWhat) -> Self {
        Self {
            kind,
            id,
            change,
            into: None,
            list: None,
            list_use: None,
        }
    }
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangePage {
    /// What changed, in order; none when the wait was over first.
    pub items: Vec<ChangeItem>,
    /// Where to go on, also after an empty page. Keep it once the items are dealt with.
    pub next: PageCursor,
    /// Whether more is there already.
    pub more: bool,
}

/// For how many seconds a call waits where nothing has changed yet: 0 to 25, 0 by default.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(try_from = "u32", into = "u32")]
#[schema(value_type = i32, minimum = 0, maximum = 25, default = 0)]
pub struct WaitSeconds(u32);

impl WaitSeconds {
    /// The longest: below the half minute after which proxies give up.
    pub const LONGEST: Self = Self(25);

    /// The number within.
    pub const fn get(&self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for WaitSeconds {
    type Error = IdError;

    fn try_from(seconds: u32) -> Result<Self, IdError> {
        if seconds <= Self::LONGEST.0 {
            Ok(Self(seconds))
        } else {
            Err(IdError::Malformed {
                kind: "wait",
                expected: "a whole number of seconds from 0 to 25",
            })
        }
    }
}

impl From<WaitSeconds> for u32 {
    fn from(wait: WaitSeconds) -> Self {
        wait.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_can_be_read() {
        let text = r#"{"kind":"hunch","id":"p1","change":"softened","more":[1]}"#;
        let item: ChangeItem = serde_json::from_str(text).unwrap();
        assert_eq!(item.kind, ChangeKind::Other);
        assert_eq!(item.change, ChangeWhat::Other);
        let text = r#"{"kind":"contact","id":"7","change":"erased"}"#;
        let item: ChangeItem = serde_json::from_str(text).unwrap();
        assert_eq!(
            (item.kind, item.change),
            (ChangeKind::Contact, ChangeWhat::Erased)
        );
        assert_eq!(serde_json::to_string(&item).unwrap(), text);
    }

    #[test]
    fn what_only_some_kinds_tell_is_left_out_of_the_others() {
        let merged = ChangeItem {
            into: Some("8".to_owned()),
            ..ChangeItem::new(ChangeKind::Contact, "7".to_owned(), ChangeWhat::Merged)
        };
        let member = ChangeItem {
            list: Some(ListId::new(12)),
            list_use: Some(ListUse::Audience),
            ..ChangeItem::new(ChangeKind::ListMember, "7".to_owned(), ChangeWhat::Added)
        };
        for (item, text) in [
            (
                merged,
                r#"{"kind":"contact","id":"7","change":"merged","into":"8"}"#,
            ),
            (
                member,
                r#"{"kind":"list_member","id":"7","change":"added","list":12,"use":"audience"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&item).unwrap(), text);
            let back: ChangeItem = serde_json::from_str(text).unwrap();
            assert_eq!(back, item);
        }
    }

    #[test]
    fn a_wait_is_bounded() {
        for (seconds, good) in [(0, true), (25, true), (26, false), (u32::MAX, false)] {
            assert_eq!(WaitSeconds::try_from(seconds).is_ok(), good, "{seconds}");
        }
    }
}
