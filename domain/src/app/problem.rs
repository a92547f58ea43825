//! Why one item of a call, or one row of a file, is refused. The others go in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EmailError, Slot, ValueError, VersionConflict};

/// The codes of what can be wrong with one item; each has a paragraph in `docs/errors.md`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum ItemCode {
    /// The id, or the id of the company or owner, is not of the form.
    #[serde(rename = "HS-2201")]
    IdNotValid,
    /// The e-mail is none.
    #[serde(rename = "HS-2202")]
    EmailNotValid,
    /// Neither the catalogue nor the workspace has such a field.
    #[serde(rename = "HS-2203")]
    UnknownField,
    /// The value is not of the field's type.
    #[serde(rename = "HS-2204")]
    ValueDoesNotFit,
    /// The field is given beside `fields`, not under it.
    #[serde(rename = "HS-2205")]
    GivenBesideFields,
    /// There is no such lead status.
    #[serde(rename = "HS-2206")]
    UnknownStatus,
    /// The same version was sent before with another value.
    #[serde(rename = "HS-2207")]
    VersionConflict,
    /// The version is beyond what can be kept.
    #[serde(rename = "HS-2208")]
    VersionNotValid,
    /// The person was erased (C7).
    #[serde(rename = "HS-2209")]
    Erased,
    /// A custom field is not of the form, or has another type already.
    #[serde(rename = "HS-2210")]
    CustomFieldNotValid,
    /// The header of a file names columns that nobody knows, one twice, or no `id`.
    #[serde(rename = "HS-2211")]
    HeaderNotValid,
    /// The row is no UTF-8.
    #[serde(rename = "HS-2212")]
    EncodingNotValid,
    /// The row is too long.
    #[serde(rename = "HS-2213")]
    RowTooLong,
    /// The file has this id in an earlier row.
    #[serde(rename = "HS-2214")]
    DuplicateId,
    /// The row has more or fewer cells than the header.
    #[serde(rename = "HS-2215")]
    CellCount,
    /// The row is no JSON of a person.
    #[serde(rename = "HS-2216")]
    RowNotReadable,
    /// What is stored of this record cannot be read.
    #[serde(rename = "HS-2217")]
    StoredNotReadable,
    /// The texts of an activity are too long together.
    #[serde(rename = "HS-2218")]
    ActivityTooLarge,
    /// The app knows no person of this id.
    #[serde(rename = "HS-2219")]
    UnknownPerson,
    /// An activity keeps its person and its kind.
    #[serde(rename = "HS-2220")]
    ActivityKeeps,
    /// An activity lacks what every one has, or has it where it is deleted.
    #[serde(rename = "HS-2221")]
    ActivityNotWhole,
}

impl ItemCode {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::IdNotValid,
        Self::EmailNotValid,
        Self::UnknownField,
        Self::ValueDoesNotFit,
        Self::GivenBesideFields,
        Self::UnknownStatus,
        Self::VersionConflict,
        Self::VersionNotValid,
        Self::Erased,
        Self::CustomFieldNotValid,
        Self::HeaderNotValid,
        Self::EncodingNotValid,
        Self::RowTooLong,
        Self::DuplicateId,
        Self::CellCount,
        Self::RowNotReadable,
        Self::StoredNotReadable,
        Self::ActivityTooLarge,
        Self::UnknownPerson,
        Self::ActivityKeeps,
        Self::ActivityNotWhole,
    ];

    /// The code, as in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IdNotValid => "HS-2201",
            Self::EmailNotValid => "HS-2202",
            Self::UnknownField => "HS-2203",
            Self::ValueDoesNotFit => "HS-2204",
            Self::GivenBesideFields => "HS-2205",
            Self::UnknownStatus => "HS-2206",
            Self::VersionConflict => "HS-2207",
            Self::VersionNotValid => "HS-2208",
            Self::Erased => "HS-2209",
            Self::CustomFieldNotValid => "HS-2210",
            Self::HeaderNotValid => "HS-2211",
            Self::EncodingNotValid => "HS-2212",
            Self::RowTooLong => "HS-2213",
            Self::DuplicateId => "HS-2214",
            Self::CellCount => "HS-2215",
            Self::RowNotReadable => "HS-2216",
            Self::StoredNotReadable => "HS-2217",
            Self::ActivityTooLarge => "HS-2218",
            Self::UnknownPerson => "HS-2219",
            Self::ActivityKeeps => "HS-2220",
            Self::ActivityNotWhole => "HS-2221",
        }
    }
}

/// What is wrong with one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{} {field}: {message}", code.code())]
pub struct ItemProblem {
    /// Which kind of problem.
    pub code: ItemCode,
    /// Which part of the item: `id`, `email`, `fields.job_title`, ….
    pub field: Slot,
    /// What is wrong and the way out. It never repeats the value.
    pub message: String,
}

impl ItemProblem {
    /// A problem with a slot.
    pub fn new(code: ItemCode, field: Slot, message: impl ToString) -> Self {
        Self {
            code,
            field,
            message: message.to_string(),
        }
    }

    pub(crate) fn of_value(field: Slot, error: ValueError) -> Self {
        let code = match error {
            ValueError::Email(_) => ItemCode::EmailNotValid,
            _ => ItemCode::ValueDoesNotFit,
        };
        Self::new(code, field, error)
    }

    pub(crate) fn of_email(field: Slot, error: EmailError) -> Self {
        Self::new(ItemCode::EmailNotValid, field, error)
    }
}

impl From<VersionConflict> for ItemProblem {
    fn from(conflict: VersionConflict) -> Self {
        Self::new(ItemCode::VersionConflict, conflict.slot.clone(), &conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_the_same_way_and_has_its_paragraph() {
        let docs = include_str!("../../../docs/errors.md");
        for code in ItemCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.code());
            assert!(docs.contains(&format!("\n## {} ", code.code())), "{code:?}");
        }
    }
}
