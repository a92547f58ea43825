//! The settings of a workspace: one typed, versioned document that says how the app and the portal
//! meet.

pub mod diff;
pub mod document;
pub mod mapping;
pub mod problem;
pub mod rules;

pub use diff::{ChangeKind, SettingsChange, changes};
pub use document::{SCHEMA_VERSION, Settings, SettingsRevision};
pub use mapping::{
    ActivityKind, ActivityRow, ActivitySetting, ActivitySettings, ContactSource, ExportBehavior,
    ImportPriority, MappingRow, OwnerRow, OwnerSettings, StampBehavior, StatusMapping, StatusRow,
    UnmappedOwner, WritingOwner,
};
pub use problem::{SettingsCode, SettingsPath, SettingsProblem, Severity};
pub use rules::{
    ActivityContext, CustomerRule, DncRules, ExportPolicy, ExportSettings, FollowedList,
    ImportSettings, ListUse, LostDealRule, OpenDealRule, PipelineChoice, RecentTouchRule,
    RetentionSettings,
};

/// Whether settings with these problems can be saved.
pub fn acceptable(problems: &[SettingsProblem]) -> bool {
    problems.iter().all(|p| p.severity != Severity::Error)
}
