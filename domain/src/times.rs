//! Which moments are believed.

use chrono::{DateTime, Datelike as _, Utc};

/// What lies outside of these years is a slip (milliseconds taken for microseconds, a year with a
/// digit too many), not a moment of somebody's work.
pub const YEARS: std::ops::RangeInclusive<i32> = 1900..=2200;

/// Whether a moment lies within [`YEARS`].
pub fn is_plausible(at: DateTime<Utc>) -> bool {
    YEARS.contains(&at.year())
}
