//! Which moments are believed.

use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Deserializer, de::Error as _};

/// What lies outside of these years is a slip (milliseconds taken for microseconds, a year with a
/// digit too many), not a moment of somebody's work.
pub const YEARS: std::ops::RangeInclusive<i32> = 1900..=2200;

/// Whether a moment lies within [`YEARS`].
pub fn is_plausible(at: DateTime<Utc>) -> bool {
    YEARS.contains(&at.year())
}

/// Reads a moment within [`YEARS`]; for `#[serde(deserialize_with)]`.
pub(crate) fn plausible<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<DateTime<Utc>, D::Error> {
    let at = DateTime::<Utc>::deserialize(deserializer)?;
    if is_plausible(at) {
        Ok(at)
    } else {
        Err(D::Error::custom(
            "the time has to lie in the years 1900 to 2200",
        ))
    }
}
