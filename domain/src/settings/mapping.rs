//! Rows and rules that write to HubSpot: property mapping (E4), contact source (E5), owners (E6),
//! statuses (E7), activities (E8).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    HubSpotOwnerId, ObjectType,
    app::{FieldKey, LeadStatus, MemberId},
};

/// Which value wins on the profile when both sides have one (I5). It decides nothing about export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportPriority {
    /// HubSpot's.
    #[default]
    Crm,
    /// The app's.
    Artisan,
}

/// What an export does with a property (E4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportBehavior {
    /// Writes where HubSpot has no value.
    #[default]
    FillIfEmpty,
    /// Writes whatever HubSpot has.
    Overwrite,
    /// Writes only with a record that is made.
    CreateOnly,
    /// Adds to the options that HubSpot has; for properties of several options.
    Append,
    /// Never writes; the row is for import alone.
    DoNotExport,
}

/// A row of the tabs Contacts and Companies: one field of the app and one property of HubSpot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingRow {
    /// The app's field; each at most once in a tab.
    pub app_field: FieldKey,
    /// The name of the HubSpot property.
    #[schema(min_length = 1, max_length = 100)]
    pub property: String,
    /// Which value wins on the profile.
    #[serde(default)]
    pub import_priority: ImportPriority,
    /// What an export does.
    #[serde(default)]
    pub export: ExportBehavior,
    /// For enumerations: which option a value of the app becomes. A value that is not named here goes
    /// by the option's value or label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// What the app does that is logged in HubSpot (E8).
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
pub enum ActivityKind {
    /// An e-mail that was sent, or a reply to one.
    Email,
    /// A LinkedIn message.
    LinkedinMessage,
    /// A LinkedIn connection request.
    LinkedinConnectionRequest,
    /// A call.
    Call,
    /// A meeting that was booked.
    Meeting,
    /// A note.
    Note,
    /// A task.
    Task,
}

crate::named::named!(ActivityKind, "kind of activity");

impl ActivityKind {
    /// What it becomes in HubSpot.
    pub const fn engagement(&self) -> ObjectType {
        match self {
            Self::Email => ObjectType::Email,
            Self::LinkedinMessage | Self::LinkedinConnectionRequest => ObjectType::Communication,
            Self::Call => ObjectType::Call,
            Self::Meeting => ObjectType::Meeting,
            Self::Note => ObjectType::Note,
            Self::Task => ObjectType::Task,
        }
    }
}

/// A row of the tab Activity: one field of a kind of activity and one property of the engagement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityRow {
    /// The kind of activity.
    pub kind: ActivityKind,
    /// The activity's field; each at most once for a kind.
    pub app_field: FieldKey,
    /// The name of the engagement's property.
    #[schema(min_length = 1, max_length = 100)]
    pub property: String,
    /// Whether it is written.
    #[serde(default = "yes")]
    pub export: bool,
}

pub(super) const fn yes() -> bool {
    true
}

/// How a fixed value is written: there is no "do not export", leaving the rule out is that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StampBehavior {
    /// Writes where HubSpot has no value.
    #[default]
    FillIfEmpty,
    /// Writes whatever HubSpot has.
    Overwrite,
    /// Writes only with a record that is made.
    CreateOnly,
}

/// A value that is stamped on exported records (E5): the contact source, such as Lead Source =
/// Artisan, and any further ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedValue {
    /// The name of the property.
    #[schema(min_length = 1, max_length = 100)]
    pub property: String,
    /// The value; of an enumeration the option's value.
    #[schema(min_length = 1, max_length = 500)]
    pub value: String,
    /// What an export does.
    #[serde(default)]
    pub behavior: StampBehavior,
}

/// A HubSpot owner that was mapped by hand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerRow {
    /// The owner; each at most once.
    pub owner: HubSpotOwnerId,
    /// The member who stands for them; null: nobody, whatever the e-mails say.
    pub member: Option<MemberId>,
}

/// The owner that a member's exports get, where several are mapped to the member.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WritingOwner {
    /// The member; each at most once.
    pub member: MemberId,
    /// One of the owners that are mapped to the member.
    pub owner: HubSpotOwnerId,
}

/// Who gets imported records of an owner whom nobody stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "to", deny_unknown_fields)]
pub enum UnmappedOwner {
    /// The member whom the fallback owner is mapped to; nobody without one.
    #[default]
    Fallback,
    /// This member.
    Member {
        /// Who.
        member: MemberId,
    },
}

/// Owners and team members (E6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerSettings {
    /// Whether owners are mapped to the member of the same e-mail.
    #[serde(default = "yes")]
    pub automatic: bool,
    /// Owners that were mapped by hand; they go before the automatic ones.
    #[serde(default)]
    #[schema(max_items = 5000)]
    pub rows: Vec<OwnerRow>,
    /// The chosen owner of members without one of the same e-mail.
    #[serde(default)]
    #[schema(max_items = 5000)]
    pub writing: Vec<WritingOwner>,
    /// The owner of exports of unmapped members.
    #[serde(default)]
    pub fallback_owner: Option<HubSpotOwnerId>,
    /// Who gets imported records of unmapped and deactivated owners.
    #[serde(default)]
    pub unmapped: UnmappedOwner,
    /// Whether an export replaces the owner that a record has.
    #[serde(default)]
    pub overwrite: bool,
}

impl Default for OwnerSettings {
    fn default() -> Self {
        Self {
            automatic: true,
            rows: Vec::new(),
            writing: Vec::new(),
            fallback_owner: None,
            unmapped: UnmappedOwner::Fallback,
            overwrite: false,
        }
    }
}

/// A row of the status table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusRow {
    /// The app's status; each at most once. A status without a row is not written.
    pub status: LeadStatus,
    /// The option's value that is written.
    #[schema(min_length = 1, max_length = 500)]
    pub value: String,
}

/// Which contact property receives the lead status, and how (E7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusMapping {
    /// The name of the property: `hs_lead_status`, `lifecyclestage`, or any enumeration.
    #[schema(min_length = 1, max_length = 100)]
    pub property: String,
    /// The table status → value.
    #[schema(max_items = 12)]
    pub rows: Vec<StatusRow>,
    /// Whether `lifecyclestage` may also be set back. HubSpot itself only moves it forward: it has
    /// to be emptied first.
    #[serde(default)]
    pub allow_backward: bool,
}

/// One kind of activity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivitySetting {
    /// Whether it is logged.
    #[serde(default = "yes")]
    pub log: bool,
    /// A label of its own; null: that of all activities.
    #[serde(default)]
    #[schema(max_length = 40)]
    pub label: Option<String>,
}

/// Which activities are logged, and how (E8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivitySettings {
    /// What stands in front of each title, such as `[Artisan]`; empty: nothing.
    #[serde(default = "default_label")]
    #[schema(max_length = 40)]
    pub label: String,
    /// Kinds that differ from the default, which is: logged, with the label of all.
    #[serde(default)]
    pub kinds: BTreeMap<ActivityKind, ActivitySetting>,
    /// Whether activities are associated with the person's open deals too.
    #[serde(default)]
    pub associate_open_deals: bool,
    /// Whether what the app deletes is archived in HubSpot too; else it stays there.
    #[serde(default)]
    pub archive_deleted: bool,
}

fn default_label() -> String {
    "[Artisan]".to_owned()
}

impl Default for ActivitySettings {
    fn default() -> Self {
        Self {
            label: default_label(),
            kinds: BTreeMap::new(),
            associate_open_deals: false,
            archive_deleted: false,
        }
    }
}

impl ActivitySettings {
    /// The longest label, in characters.
    pub const MAX_LABEL: usize = 40;

    /// Whether activities of a kind are logged.
    pub fn logs(&self, kind: ActivityKind) -> bool {
        self.kinds.get(&kind).is_none_or(|k| k.log)
    }

    /// What stands in front of the title of a kind; empty: nothing.
    pub fn label(&self, kind: ActivityKind) -> &str {
        self.kinds
            .get(&kind)
            .and_then(|k| k.label.as_deref())
            .unwrap_or(&self.label)
            .trim()
    }
}
