//! The settings of a workspace: one typed, versioned document that says how the app and the portal
//! meet.

pub mod activity;
mod defaults;
pub mod diff;
pub mod document;
pub mod mapping;
pub mod migrate;
pub mod problem;
pub mod rules;
pub mod validate;

pub use activity::{
    ACTIVITY_FIELDS, ActivityField, RESERVED_ENGAGEMENT_PROPERTIES, activity_field,
};
pub use diff::{ChangeKind, SettingsChange, changes};
pub use document::{SCHEMA_VERSION, Settings, SettingsRevision};
pub use mapping::{
    ActivityKind, ActivityRow, ActivitySetting, ActivitySettings, ExportBehavior, FixedValue,
    ImportPriority, MappingRow, OwnerRow, OwnerSettings, StampBehavior, StatusMapping, StatusRow,
    UnmappedOwner, WritingOwner,
};
pub use migrate::{ReadError, read};
pub use problem::{SettingsCode, SettingsPath, SettingsProblem, Severity};
pub use rules::{
    ActivityContext, CustomerRule, DncRules, DncScopes, ExportPolicy, ExportSettings, FollowedList,
    ImportSettings, InHubSpotRule, ListUse, LostDealRule, OpenDealRule, PipelineChoice,
    RecentTouchRule, RecordCreation, RetentionSettings, RuleScope,
};

pub(crate) use validate::RESERVED_PROPERTIES;
pub use validate::{required_not_written, skipped_rows, validate};

/// Whether settings with these problems can be saved.
pub fn acceptable(problems: &[SettingsProblem]) -> bool {
    problems.iter().all(|p| p.severity != Severity::Error)
}
