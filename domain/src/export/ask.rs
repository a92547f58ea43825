//! What somebody asks for beside an export: a preview (E9), a revert (E10).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a revert stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
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
pub enum RevertState {
    /// The row is there; it is written, or refused, when it is its turn.
    Accepted,
    /// HubSpot has the old value again.
    Done,
    /// It was not brought back, with a code that says why.
    Refused,
}

crate::named::named!(RevertState, "state of a revert");
