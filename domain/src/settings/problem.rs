//! What is wrong with settings, row by row.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The codes of what can be wrong with settings; each has a paragraph in `docs/errors.md`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum SettingsCode {
    /// The portal has no property of this name.
    #[serde(rename = "HS-2101")]
    PropertyUnknown,
    /// The property cannot be set.
    #[serde(rename = "HS-2102")]
    PropertyReadOnly,
    /// HubSpot computes the property.
    #[serde(rename = "HS-2103")]
    PropertyCalculated,
    /// The property is in HubSpot's archive.
    #[serde(rename = "HS-2104")]
    PropertyArchived,
    /// Values of the app's field cannot become values of the property.
    #[serde(rename = "HS-2105")]
    TypeMismatch,
    /// The property has no such option.
    #[serde(rename = "HS-2106")]
    OptionUnknown,
    /// Another rule writes the same property.
    #[serde(rename = "HS-2107")]
    WrittenTwice,
    /// An earlier row is about the same thing.
    #[serde(rename = "HS-2108")]
    DuplicateRow,
    /// Neither the catalogue nor the workspace has such a field.
    #[serde(rename = "HS-2109")]
    FieldUnknown,
    /// The portal has no owner of this id.
    #[serde(rename = "HS-2110")]
    OwnerUnknown,
    /// The owner was deactivated in HubSpot.
    #[serde(rename = "HS-2111")]
    OwnerDeactivated,
    /// The workspace has no team member of this id.
    #[serde(rename = "HS-2112")]
    MemberUnknown,
    /// The team member is not active.
    #[serde(rename = "HS-2113")]
    MemberInactive,
    /// The portal has no pipeline of this id.
    #[serde(rename = "HS-2114")]
    PipelineUnknown,
    /// The pipeline has no stage of this id.
    #[serde(rename = "HS-2115")]
    StageUnknown,
    /// The portal has no list of this id.
    #[serde(rename = "HS-2116")]
    ListUnknown,
    /// The list is of neither contacts nor companies.
    #[serde(rename = "HS-2117")]
    ListType,
    /// The property that is to receive the status is no enumeration of one option.
    #[serde(rename = "HS-2118")]
    StatusProperty,
    /// A later status is mapped to an earlier lifecycle stage.
    #[serde(rename = "HS-2119")]
    LifecycleBackward,
    /// The label is too long, or holds a line break or NUL.
    #[serde(rename = "HS-2120")]
    LabelNotValid,
    /// A number is beyond its bounds.
    #[serde(rename = "HS-2121")]
    OutOfBounds,
    /// The e-mail is who a contact is; it cannot be mapped like this.
    #[serde(rename = "HS-2122")]
    EmailTarget,
    /// The property is written by the export itself.
    #[serde(rename = "HS-2123")]
    ReservedProperty,
    /// The chosen owner is not mapped to the member.
    #[serde(rename = "HS-2124")]
    WritingOwner,
    /// What this is checked against was not read from the portal yet.
    #[serde(rename = "HS-2125")]
    NotChecked,
    /// More rows than a document may have.
    #[serde(rename = "HS-2126")]
    TooManyRows,
    /// A name or value is empty, too long, or holds a NUL.
    #[serde(rename = "HS-2127")]
    TextNotValid,
    /// The portal requires a property of new records that no rule writes.
    #[serde(rename = "HS-2128")]
    RequiredNotWritten,
}

impl SettingsCode {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::PropertyUnknown,
        Self::PropertyReadOnly,
        Self::PropertyCalculated,
        Self::PropertyArchived,
        Self::TypeMismatch,
        Self::OptionUnknown,
        Self::WrittenTwice,
        Self::DuplicateRow,
        Self::FieldUnknown,
        Self::OwnerUnknown,
        Self::OwnerDeactivated,
        Self::MemberUnknown,
        Self::MemberInactive,
        Self::PipelineUnknown,
        Self::StageUnknown,
        Self::ListUnknown,
        Self::ListType,
        Self::StatusProperty,
        Self::LifecycleBackward,
        Self::LabelNotValid,
        Self::OutOfBounds,
        Self::EmailTarget,
        Self::ReservedProperty,
        Self::WritingOwner,
        Self::NotChecked,
        Self::TooManyRows,
        Self::TextNotValid,
        Self::RequiredNotWritten,
    ];

    /// The code, as in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PropertyUnknown => "HS-2101",
            Self::PropertyReadOnly => "HS-2102",
            Self::PropertyCalculated => "HS-2103",
            Self::PropertyArchived => "HS-2104",
            Self::TypeMismatch => "HS-2105",
            Self::OptionUnknown => "HS-2106",
            Self::WrittenTwice => "HS-2107",
            Self::DuplicateRow => "HS-2108",
            Self::FieldUnknown => "HS-2109",
            Self::OwnerUnknown => "HS-2110",
            Self::OwnerDeactivated => "HS-2111",
            Self::MemberUnknown => "HS-2112",
            Self::MemberInactive => "HS-2113",
            Self::PipelineUnknown => "HS-2114",
            Self::StageUnknown => "HS-2115",
            Self::ListUnknown => "HS-2116",
            Self::ListType => "HS-2117",
            Self::StatusProperty => "HS-2118",
            Self::LifecycleBackward => "HS-2119",
            Self::LabelNotValid => "HS-2120",
            Self::OutOfBounds => "HS-2121",
            Self::EmailTarget => "HS-2122",
            Self::ReservedProperty => "HS-2123",
            Self::WritingOwner => "HS-2124",
            Self::NotChecked => "HS-2125",
            Self::TooManyRows => "HS-2126",
            Self::TextNotValid => "HS-2127",
            Self::RequiredNotWritten => "HS-2128",
        }
    }

    /// Whether the portal or the team can bring this about after the settings were saved: such a
    /// problem of a row that was saved before is a warning, so that an unrelated change can still be
    /// saved.
    pub const fn may_come_later(&self) -> bool {
        matches!(
            self,
            Self::PropertyUnknown
                | Self::PropertyReadOnly
                | Self::PropertyCalculated
                | Self::PropertyArchived
                | Self::TypeMismatch
                | Self::OptionUnknown
                | Self::FieldUnknown
                | Self::OwnerUnknown
                | Self::MemberUnknown
                | Self::PipelineUnknown
                | Self::StageUnknown
                | Self::ListUnknown
                | Self::ListType
                | Self::StatusProperty
                | Self::WritingOwner
        )
    }
}

/// Whether settings with a problem can be saved.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The settings are refused.
    Error,
    /// The settings can be saved; what the row says is left out, or done by the next best.
    Warning,
}

/// A place in the settings document, as a JSON Pointer (RFC 6901): `/contacts/3/property`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct SettingsPath(String);

impl SettingsPath {
    /// A place.
    pub fn new(pointer: impl Into<String>) -> Self {
        Self(pointer.into())
    }

    /// The pointer.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A place below this one.
    #[must_use]
    pub fn at(&self, part: impl std::fmt::Display) -> Self {
        let part = part.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{part}", self.0))
    }

    /// Whether this is the place of a row, or lies within it.
    pub fn is_within(&self, row: &Self) -> bool {
        self.0
            .strip_prefix(row.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl From<SettingsPath> for String {
    fn from(path: SettingsPath) -> Self {
        path.0
    }
}

impl std::fmt::Display for SettingsPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that is wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsProblem {
    /// Where.
    pub path: SettingsPath,
    /// Which kind of problem.
    pub code: SettingsCode,
    /// Whether the settings can be saved all the same.
    pub severity: Severity,
    /// What is wrong and the way out, naming the row.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_the_same_way_and_has_its_paragraph() {
        let docs = include_str!("../../../docs/errors.md");
        for code in SettingsCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.code());
            assert!(docs.contains(&format!("\n## {} ", code.code())), "{code:?}");
        }
    }

    #[test]
    fn a_place_lies_within_its_row() {
        let row = SettingsPath::new("/contacts/1");
        assert!(row.at("property").is_within(&row) && row.is_within(&row));
        assert!(!SettingsPath::new("/contacts/10").is_within(&row));
        assert_eq!(SettingsPath::new("").at("a/b~").as_str(), "/a~1b~0");
    }
}
