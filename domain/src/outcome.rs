//! What a type is read for, how that ended, and what HubSpot refused of it (C2, I1).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::{IdError, ObjectType},
    named::named,
    portal::ListId,
};

/// What a cursor is for. A type of a portal has at most one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Backfill and resync.
    Run,
    /// The periodic sync (I2).
    Periodic,
    /// The members of one list that has a use.
    Members(ListId),
    /// Records of which another one's change tells (I3).
    Reread,
    /// What lies in the recycle bin (I3).
    Archived,
    /// All records that are known, one after the other (I3).
    Walk,
}

impl Purpose {
    /// The name in the store.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Periodic => "periodic",
            Self::Members(_) => "members",
            Self::Reread => "reread",
            Self::Archived => "archived",
            Self::Walk => "walk",
        }
    }

    /// Of members: which list.
    pub const fn list(&self) -> Option<ListId> {
        match self {
            Self::Members(list) => Some(*list),
            Self::Run | Self::Periodic | Self::Reread | Self::Archived | Self::Walk => None,
        }
    }
}

/// How the reading of a type stands.
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
pub enum ReadOutcome {
    /// Not at its end.
    Reading,
    /// Read to the end; parts of it may have been refused.
    Finished,
    /// Read to the end but for what HubSpot's answers did not speak of, which is asked again.
    Incomplete,
    /// Left out: a scope is missing. Read at the next connect that grants it.
    Skipped,
    /// HubSpot refused it. Tried again by the next run.
    Refused,
}

impl ReadOutcome {
    /// Whether the run has nothing left to do for it.
    pub const fn has_ended(&self) -> bool {
        !matches!(self, Self::Reading)
    }
}

named!(ReadOutcome, "outcome of a type");

/// How a type stands, as it is shown.
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
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum TypeOutcome {
    /// Not begun.
    #[default]
    Waiting,
    /// Not at its end.
    Reading,
    /// Read to the end.
    Finished,
    /// Read to the end but for what HubSpot refused; `refusals` names it.
    FinishedWithRefusals,
    /// Read to the end but for what HubSpot did not answer, which is asked again.
    Incomplete,
    /// Left out: a scope is missing. Read at the next connect that grants it.
    Skipped,
    /// HubSpot refused it. Tried again by the next run.
    Refused,
}

named!(TypeOutcome, "outcome of a type");

impl TypeOutcome {
    /// From how its reading stands, and whether a part of it was refused.
    pub const fn of(outcome: ReadOutcome, some_refused: bool) -> Self {
        match outcome {
            ReadOutcome::Reading => Self::Reading,
            ReadOutcome::Finished if some_refused => Self::FinishedWithRefusals,
            ReadOutcome::Finished => Self::Finished,
            ReadOutcome::Incomplete => Self::Incomplete,
            ReadOutcome::Skipped => Self::Skipped,
            ReadOutcome::Refused => Self::Refused,
        }
    }
}

/// Which of the reads that a type consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadPart {
    /// The type itself: without it nothing comes.
    Whole,
    /// The associations of its records with this type; the records come all the same.
    AssociationsWith(ObjectType),
    /// The definitions of this type's properties.
    DefinitionsOf(ObjectType),
    /// The members of lists.
    Members,
    /// The engagements of this type (I10).
    RecordsOf(ObjectType),
}

const RECORDS: &str = "records_of_";
const ASSOCIATIONS: &str = "associations_with_";
const DEFINITIONS: &str = "definitions_of_";

/// The name in the store and in the API.
impl fmt::Display for ReadPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Members => f.write_str("members"),
            Self::AssociationsWith(object_type) => write!(f, "{ASSOCIATIONS}{object_type}"),
            Self::DefinitionsOf(object_type) => write!(f, "{DEFINITIONS}{object_type}"),
            Self::RecordsOf(object_type) => write!(f, "{RECORDS}{object_type}"),
        }
    }
}

impl FromStr for ReadPart {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        const MALFORMED: IdError = IdError::Malformed {
            kind: "part of a read",
            expected: "whole, members, associations_with_, definitions_of_ or records_of_ and a type",
        };
        let object_type = |name: &str| ObjectType::from_str(name).map_err(|_| MALFORMED);
        match text {
            "whole" => Ok(Self::Whole),
            "members" => Ok(Self::Members),
            _ => {
                if let Some(name) = text.strip_prefix(ASSOCIATIONS) {
                    object_type(name).map(Self::AssociationsWith)
                } else if let Some(name) = text.strip_prefix(RECORDS) {
                    object_type(name).map(Self::RecordsOf)
                } else {
                    object_type(text.strip_prefix(DEFINITIONS).ok_or(MALFORMED)?)
                        .map(Self::DefinitionsOf)
                }
            }
        }
    }
}

impl Serialize for ReadPart {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReadPart {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for ReadPart {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "Which of the reads that a type consists of: `whole` is the type itself, `members` those \
                 of lists, `associations_with_…` and `definitions_of_…` name another type, `records_of_…` a \
                 kind of engagements. What is not named came.",
            ))
            .into()
    }
}

impl ToSchema for ReadPart {}

/// A code of `docs/errors.md`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, pattern = "^HS-[0-9]{4}$")]
pub struct ErrorCode(String);

impl ErrorCode {
    /// A type that was not brought up to date for three intervals (X10).
    pub fn stale() -> Self {
        Self("HS-3030".to_owned())
    }

    /// None of the known records of a type is found (X10).
    pub fn nothing_read() -> Self {
        Self("HS-3018".to_owned())
    }

    /// `HS-1234`
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ErrorCode {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.strip_prefix("HS-") {
            Some(digits) if digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(IdError::Malformed {
                kind: "code",
                expected: "HS- and four digits",
            }),
        }
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How a type ends whose reader reached the end: what was not answered leaves it incomplete, so that
/// the next catch-up asks again from where this one began.
pub const fn at_the_end(unanswered: u64) -> ReadOutcome {
    if unanswered == 0 {
        ReadOutcome::Finished
    } else {
        ReadOutcome::Incomplete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for outcome in ReadOutcome::ALL {
            assert_eq!(outcome.as_str().parse::<ReadOutcome>().unwrap(), outcome);
            let json = serde_json::to_value(outcome).unwrap();
            assert_eq!(json, outcome.as_str());
        }
        let of_types = ObjectType::ALL.into_iter().flat_map(|t| {
            [
                ReadPart::AssociationsWith(t),
                ReadPart::DefinitionsOf(t),
                ReadPart::RecordsOf(t),
            ]
        });
        for part in [ReadPart::Whole, ReadPart::Members]
            .into_iter()
            .chain(of_types)
        {
            assert_eq!(part.to_string().parse::<ReadPart>().unwrap(), part);
        }
        for text in ["", "associations_with_", "definitions_of_x", "company"] {
            assert!(text.parse::<ReadPart>().is_err(), "{text}");
        }
        for (text, good) in [
            ("HS-1012", true),
            ("HS-101", false),
            ("HS-10123", false),
            ("XX-1012", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<ErrorCode>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_finished_type_of_which_a_part_was_refused_is_not_just_finished() {
        for outcome in ReadOutcome::ALL {
            for some_refused in [false, true] {
                let shown = TypeOutcome::of(outcome, some_refused);
                if outcome == ReadOutcome::Finished && some_refused {
                    assert_eq!(shown, TypeOutcome::FinishedWithRefusals);
                } else {
                    assert_eq!(shown.as_str(), outcome.as_str());
                }
            }
        }
    }

    #[test]
    fn what_was_not_answered_leaves_a_type_incomplete() {
        assert_eq!(at_the_end(0), ReadOutcome::Finished);
        assert_eq!(at_the_end(1), ReadOutcome::Incomplete);
        assert!(
            ReadOutcome::ALL
                .iter()
                .all(|o| o.has_ended() != (*o == ReadOutcome::Reading))
        );
    }
}
