//! What a plan says of single properties: what is written and why, what is left out and why (E9).

use serde::{Deserialize, Serialize};

use super::{ConvertError, HubSpotValue, NoDomain, compare::Addition};
use crate::{
    app::{FieldKey, LeadStatus},
    owners::OwnerForMember,
    settings::ExportBehavior,
};

/// Which rule is about a property. At most one writes it (E4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule", content = "about")]
pub enum Rule {
    /// What identifies a new record: a contact's address, a company's domain.
    Key,
    /// The name of a new company that no row names: it would be nameless.
    Name,
    /// A row of the property mapping.
    Row(FieldKey),
    /// The status mapping.
    Status(LeadStatus),
    /// The owner mapping.
    Owner(OwnerForMember),
    /// The contact source.
    Source,
    /// Another fixed value.
    Fixed,
}

/// How a value gets to HubSpot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It replaces what is there.
    Set(HubSpotValue),
    /// It is added to the options that are there.
    Add {
        /// The text to send.
        sent: HubSpotValue,
        /// What stands there afterwards.
        result: HubSpotValue,
    },
    /// The property is emptied in a write before this one: HubSpot moves lifecycle stages only
    /// forward otherwise.
    Reset(HubSpotValue),
}

impl From<Addition> for Write {
    fn from(addition: Addition) -> Self {
        Self::Add {
            sent: addition.sent,
            result: addition.result,
        }
    }
}

impl Write {
    /// The text to send.
    pub const fn sent(&self) -> &HubSpotValue {
        match self {
            Self::Set(value) | Self::Reset(value) => value,
            Self::Add { sent, .. } => sent,
        }
    }

    /// What stands in HubSpot afterwards.
    pub const fn result(&self) -> &HubSpotValue {
        match self {
            Self::Set(value) | Self::Reset(value) => value,
            Self::Add { result, .. } => result,
        }
    }

    /// Whether the property has to be emptied first.
    pub const fn empties_first(&self) -> bool {
        matches!(self, Self::Reset(_))
    }
}

/// A property that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The property's name.
    pub property: String,
    /// The rule that wants it.
    pub rule: Rule,
    /// By which behavior.
    pub behavior: ExportBehavior,
    /// What HubSpot has; none where it has nothing.
    pub old: Option<HubSpotValue>,
    /// What is written.
    pub write: Write,
}

impl Change {
    /// What gives a property back what it had before it was emptied.
    pub fn brought_back(&self) -> Option<Self> {
        let old = self.old.clone()?;
        Some(Self {
            write: Write::Set(old),
            ..self.clone()
        })
    }
}

/// A property that a rule is about and that is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The property's name.
    pub property: String,
    /// The rule that is about it.
    pub rule: Rule,
    /// Why it is not written.
    pub why: Why,
}

impl LeftOut {
    /// The paragraph of `docs/errors.md`, where the row cannot be written as it is and somebody has to do
    /// something about it: it is shown with the request. The others are as the settings want it.
    pub const fn trouble(&self) -> Option<&'static str> {
        match &self.why {
            Why::NotConverted(_)
            | Why::PropertyUnknown
            | Why::FieldUnknown
            | Why::PortalRequires(_)
            | Why::SetBack => self.why.code(),
            _ => None,
        }
    }
}

/// Why a property is not written. The rest of the record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// HubSpot has this value already.
    Same,
    /// HubSpot has a value, and the behavior is *fill if empty*.
    HasValue,
    /// The behavior is *on create only*, and the record is there.
    OnCreateOnly,
    /// The row is for import alone.
    DoNotExport,
    /// The app has no value; an export clears nothing.
    NoAppValue,
    /// The person has no status.
    NoStatus,
    /// The status table has no row for the person's status.
    StatusNotMapped,
    /// HubSpot was told of this status already; what it has now was set there.
    StatusSaid,
    /// The record has an owner, and owners are not overwritten.
    HasOwner,
    /// Nobody stands for the member in HubSpot, and there is no fallback owner.
    NoOwner,
    /// Another person of the app is this contact's primary address and owns its values (E2).
    Shared,
    /// The contact or company is known by it already, beside its primary one (E2).
    AdditionalKey,
    /// The value does not become a value of the property.
    NotConverted(ConvertError),
    /// The text names no domain that can be a company's.
    NoDomain(NoDomain),
    /// The portal has no such property.
    PropertyUnknown,
    /// HubSpot writes the property, or it identifies the record.
    Reserved,
    /// The app has no such field any more.
    FieldUnknown,
    /// Another rule writes the property.
    WrittenTwice,
    /// The read did not bring the property, so it may have a value.
    NotRead,
    /// Another live record of HubSpot's has this address or domain.
    KeyTaken,
    /// The stage would go back.
    StageBack,
    /// What HubSpot has is none of the property's stages, so nothing says which way this would go.
    StageUnknown,
    /// A rule of the portal asks for this other property too, which the record lacks.
    PortalRequires(String),
    /// Another system set our value back three times.
    SetBack,
    /// Somebody reverted this value; it is not written again before the app has another one.
    Reverted,
}

impl Why {
    /// The paragraph in `docs/errors.md`, where somebody may want to do something about it.
    pub const fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Same
            | Self::HasValue
            | Self::OnCreateOnly
            | Self::DoNotExport
            | Self::NoAppValue
            | Self::NoStatus
            | Self::StatusSaid
            | Self::HasOwner => return None,
            Self::StatusNotMapped => "HS-2415",
            Self::NoOwner => "HS-2421",
            Self::Shared => "HS-2422",
            Self::AdditionalKey | Self::KeyTaken => "HS-2423",
            Self::NotConverted(error) => error.code(),
            Self::NoDomain(why) => why.code(),
            Self::PropertyUnknown => "HS-2101",
            Self::Reserved => "HS-2123",
            Self::FieldUnknown => "HS-2109",
            Self::WrittenTwice => "HS-2107",
            Self::NotRead => "HS-2424",
            Self::StageBack | Self::StageUnknown => "HS-2425",
            Self::PortalRequires(_) => "HS-3015",
            Self::SetBack => "HS-2426",
            Self::Reverted => "HS-2427",
        })
    }

    /// The name in the API and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::HasValue => "has_value",
            Self::OnCreateOnly => "on_create_only",
            Self::DoNotExport => "do_not_export",
            Self::NoAppValue => "no_app_value",
            Self::NoStatus => "no_status",
            Self::StatusNotMapped => "status_not_mapped",
            Self::StatusSaid => "status_said",
            Self::HasOwner => "has_owner",
            Self::NoOwner => "no_owner",
            Self::Shared => "shared",
            Self::AdditionalKey => "additional_key",
            Self::NotConverted(_) => "not_converted",
            Self::NoDomain(why) => why.as_str(),
            Self::PropertyUnknown => "property_unknown",
            Self::Reserved => "reserved",
            Self::FieldUnknown => "field_unknown",
            Self::WrittenTwice => "written_twice",
            Self::NotRead => "not_read",
            Self::KeyTaken => "key_taken",
            Self::StageBack => "stage_back",
            Self::StageUnknown => "stage_unknown",
            Self::PortalRequires(_) => "portal_requires",
            Self::SetBack => "set_back",
            Self::Reverted => "reverted",
        }
    }
}
