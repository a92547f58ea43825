//! Settings about reading (I2, I4, I6, I8, I10), the export policy (E1) and retention (C7).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::mapping::yes;
use crate::portal::ListId;

/// Reading from HubSpot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportSettings {
    /// The toggle "Import your HubSpot data" (I4).
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Minutes between two periodic syncs (I2).
    #[serde(default = "default_interval")]
    #[schema(minimum = 1, maximum = 1440)]
    pub interval_minutes: u32,
    /// Hours in which every record is compared with HubSpot once, for what no change tells of:
    /// archived, merged and erased records, and associations (I3).
    #[serde(default = "default_reconcile")]
    #[schema(minimum = 1, maximum = 720)]
    pub reconcile_hours: u32,
}

const fn default_interval() -> u32 {
    10
}

const fn default_reconcile() -> u32 {
    7 * 24
}

impl ImportSettings {
    /// The shortest and the longest interval, in minutes.
    pub const INTERVAL: std::ops::RangeInclusive<u32> = 1..=1_440;

    /// The shortest and the longest time of a reconciliation, in hours.
    pub const RECONCILE: std::ops::RangeInclusive<u32> = 1..=720;
}

impl Default for ImportSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_minutes: default_interval(),
            reconcile_hours: default_reconcile(),
        }
    }
}

/// Whom the app exports by itself (E1).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
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
pub enum ExportPolicy {
    /// All people contacted.
    AllContacted,
    /// Only people who replied.
    #[default]
    Replied,
    /// Only people who replied positively.
    RepliedPositively,
}

crate::named::named!(ExportPolicy, "export policy");

/// Whether exports may make records of a type (E1). It holds for manual exports too.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
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
pub enum RecordCreation {
    /// Makes what HubSpot does not have, and updates what it has.
    #[default]
    CreateAndUpdate,
    /// Updates what HubSpot has, and makes nothing.
    UpdateOnly,
}

crate::named::named!(RecordCreation, "rule for new records");

/// Who is exported.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportSettings {
    /// Whom the app exports by itself.
    #[serde(default)]
    pub policy: ExportPolicy,
    /// Whether contacts may be made.
    #[serde(default)]
    pub contacts: RecordCreation,
    /// Whether companies may be made.
    #[serde(default)]
    pub companies: RecordCreation,
    /// The most records that are written in a day of the portal's time zone, manual exports aside;
    /// null: as many as there are. What lies beyond waits for the next day.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub daily_ceiling: Option<u32>,
}

impl ExportSettings {
    /// The lowest and the highest ceiling, in records a day.
    pub const CEILING: std::ops::RangeInclusive<u32> = 1..=1_000_000;
}

/// What a followed list is used for (I6).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ListUse {
    /// Its members may be written to in campaigns.
    Audience,
    /// Its members must not be contacted.
    Suppression,
}

/// A list that is followed; each at most once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FollowedList {
    /// Which list.
    pub list: ListId,
    /// What for.
    #[serde(rename = "use")]
    pub list_use: ListUse,
}

/// A pipeline and some of its stages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineChoice {
    /// The pipeline's id.
    #[schema(min_length = 1, max_length = 100)]
    pub pipeline: String,
    /// The stages' ids; none: all of them.
    #[serde(default)]
    #[schema(max_items = 500)]
    pub stages: Vec<String>,
}

/// An open deal on the person or their company.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenDealRule {
    /// Whether the rule holds.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The pipelines and stages that count; none: all of them.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub pipelines: Vec<PipelineChoice>,
}

impl Default for OpenDealRule {
    fn default() -> Self {
        Self {
            enabled: true,
            pipelines: Vec::new(),
        }
    }
}

/// A customer: a closed-won deal, or the lifecycle stage `customer`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerRule {
    /// Whether the rule holds.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Default for CustomerRule {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// A deal that was lost not long ago.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LostDealRule {
    /// Whether the rule holds.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How long ago, in days.
    #[serde(default = "default_lost_days")]
    #[schema(minimum = 1, maximum = 3650)]
    pub within_days: u32,
}

const fn default_lost_days() -> u32 {
    90
}

impl Default for LostDealRule {
    fn default() -> Self {
        Self {
            enabled: true,
            within_days: default_lost_days(),
        }
    }
}

/// A meeting or call of a rep not long ago.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecentTouchRule {
    /// Whether the rule holds.
    #[serde(default)]
    pub enabled: bool,
    /// How long ago, in days.
    #[serde(default = "default_touch_days")]
    #[schema(minimum = 1, maximum = 3650)]
    pub within_days: u32,
}

const fn default_touch_days() -> u32 {
    14
}

impl Default for RecentTouchRule {
    fn default() -> Self {
        Self {
            enabled: false,
            within_days: default_touch_days(),
        }
    }
}

/// Whether what a rule finds holds for the person it was found on, or for everybody at the company.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RuleScope {
    /// For the contact alone.
    Person,
    /// For everybody at the company: what is found on the company itself, and what is found on any of
    /// its contacts.
    Company,
}

/// How far each rule reaches (I8). Members of a company that is on a suppression list are suppressed
/// in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DncScopes {
    /// A contact on a suppression list.
    #[serde(default = "person")]
    pub suppression_list: RuleScope,
    /// An open deal.
    #[serde(default = "company")]
    pub open_deal: RuleScope,
    /// A customer.
    #[serde(default = "company")]
    pub customer: RuleScope,
    /// A deal that was lost not long ago.
    #[serde(default = "company")]
    pub lost_deal: RuleScope,
    /// Opted out of e-mail.
    #[serde(default = "person")]
    pub opted_out: RuleScope,
    /// Already in HubSpot: as a contact, or as a contact or company.
    #[serde(default = "company")]
    pub in_hubspot: RuleScope,
    /// Owned by an owner whom no team member stands for.
    #[serde(default = "person")]
    pub unmapped_owner: RuleScope,
    /// A meeting or call of a rep not long ago.
    #[serde(default = "person")]
    pub recent_touch: RuleScope,
}

const fn person() -> RuleScope {
    RuleScope::Person
}

const fn company() -> RuleScope {
    RuleScope::Company
}

impl Default for DncScopes {
    fn default() -> Self {
        Self {
            suppression_list: person(),
            open_deal: company(),
            customer: company(),
            lost_deal: company(),
            opted_out: person(),
            in_hubspot: company(),
            unmapped_owner: person(),
            recent_touch: person(),
        }
    }
}

/// A contact or company that is in HubSpot already.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InHubSpotRule {
    /// Whether the rule holds.
    #[serde(default)]
    pub enabled: bool,
    /// Only records in one of these lifecycle stages, by their values; none: all records.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub lifecycle_stages: Vec<String>,
}

/// When a person must not be contacted (I8). Members of suppression lists never are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DncRules {
    /// An open deal.
    #[serde(default)]
    pub open_deal: OpenDealRule,
    /// A customer.
    #[serde(default)]
    pub customer: CustomerRule,
    /// A deal that was lost not long ago.
    #[serde(default)]
    pub lost_deal: LostDealRule,
    /// Opted out of e-mail in HubSpot.
    #[serde(default = "yes")]
    pub opted_out: bool,
    /// Owned by an owner whom no team member stands for.
    #[serde(default)]
    pub unmapped_owner: bool,
    /// A meeting or call of a rep not long ago.
    #[serde(default)]
    pub recent_touch: RecentTouchRule,
    /// Already in HubSpot.
    #[serde(default)]
    pub in_hubspot: InHubSpotRule,
    /// How far each rule reaches.
    #[serde(default)]
    pub scopes: DncScopes,
}

impl Default for DncRules {
    fn default() -> Self {
        Self {
            open_deal: OpenDealRule::default(),
            customer: CustomerRule::default(),
            lost_deal: LostDealRule::default(),
            opted_out: true,
            unmapped_owner: false,
            recent_touch: RecentTouchRule::default(),
            in_hubspot: InHubSpotRule::default(),
            scopes: DncScopes::default(),
        }
    }
}

/// What comes in of past touches of other reps (I10). The properties of contact and company (last
/// contacted, last activity, next activity, last reply) always do.
///
/// Saving it switched off is what confirms that the engagements that were read are removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityContext {
    /// Whether recent engagements are read: kind, time, owner, title.
    #[serde(default)]
    pub engagements: bool,
    /// How far back, in days.
    #[serde(default = "default_context_days")]
    #[schema(minimum = 1, maximum = 365)]
    pub days: u32,
    /// Whether their texts are read, too, where engagements are. Saving it switched off is what confirms
    /// that those that were read are removed.
    #[serde(default)]
    pub bodies: bool,
}

impl ActivityContext {
    /// The shortest and the longest time back, in days.
    pub const DAYS: std::ops::RangeInclusive<u32> = 1..=365;
}

const fn default_context_days() -> u32 {
    30
}

impl Default for ActivityContext {
    fn default() -> Self {
        Self {
            engagements: false,
            days: default_context_days(),
            bodies: false,
        }
    }
}

/// How long personal data is kept that is not part of a record (C7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days that values in the journal are kept; without them an overwrite cannot be reverted.
    #[serde(default = "default_journal_days")]
    #[schema(minimum = 1, maximum = 3650)]
    pub journal_days: u32,
    /// Days that a quarantined record is kept after it was last seen.
    #[serde(default = "default_quarantine_days")]
    #[schema(minimum = 1, maximum = 3650)]
    pub quarantine_days: u32,
}

const fn default_journal_days() -> u32 {
    365
}

const fn default_quarantine_days() -> u32 {
    90
}

impl RetentionSettings {
    /// The shortest and the longest retention, in days.
    pub const DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            journal_days: default_journal_days(),
            quarantine_days: default_quarantine_days(),
        }
    }
}
