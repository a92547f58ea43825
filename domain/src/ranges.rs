//! Ranges of ids: how several readers share one big object type (I1, design §4.7).
//!
//! All ids of a type are covered by ranges that do not overlap; the last one is open, so that what is
//! created meanwhile has a place. A range is read from its beginning to its end by one reader at a
//! time. A reader that has nothing to do takes the upper part of the range with most left to read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::HubSpotObjectId;

/// Types with fewer records than this have one reader, unless configured otherwise.
pub const SPLIT_FROM: u64 = 10_000;

/// List readers of a big type, unless configured otherwise: eleven requests a second at 200 ms each
/// and the time of a commit keep three busy; the others are for slower answers and larger allowances.
pub const LIST_READERS: u32 = 6;

/// Numbers the ranges of one type in one run, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RangeNo(u32);

impl RangeNo {
    /// The range that a type begins with.
    pub const FIRST: Self = Self(0);

    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for RangeNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The ids beyond `after`, up to and with `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdRange {
    after: Option<HubSpotObjectId>,
    upto: Option<HubSpotObjectId>,
}

impl IdRange {
    /// All ids.
    pub const WHOLE: Self = Self {
        after: None,
        upto: None,
    };

    /// The ids beyond `after` up to and with `upto`; `None` when that is none.
    pub fn new(after: Option<HubSpotObjectId>, upto: Option<HubSpotObjectId>) -> Option<Self> {
        match (after, upto) {
            (Some(after), Some(upto)) if after >= upto => None,
            _ => Some(Self { after, upto }),
        }
    }

    /// The id before the first one; none from the beginning.
    pub const fn after(&self) -> Option<HubSpotObjectId> {
        self.after
    }

    /// The last id; none when open.
    pub const fn upto(&self) -> Option<HubSpotObjectId> {
        self.upto
    }

    /// Whether it holds all ids.
    pub const fn is_whole(&self) -> bool {
        self.after.is_none() && self.upto.is_none()
    }

    /// Whether an id lies in it.
    pub fn contains(&self, id: HubSpotObjectId) -> bool {
        self.after.is_none_or(|after| id > after) && self.upto.is_none_or(|upto| id <= upto)
    }

    /// The ids up to and with `at`, and those beyond; `None` when one of the two had none.
    pub fn split(self, at: HubSpotObjectId) -> Option<(Self, Self)> {
        let lower = Self::new(self.after, Some(at))?;
        let upper = Self::new(Some(at), self.upto)?;
        (self.contains(at)).then_some((lower, upper))
    }
}

/// What reads a range.
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
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RangeReader {
    /// The list endpoint, all that there is.
    List,
    /// Search, all that its index knows. The range is listed again afterwards.
    Search,
    /// The list endpoint, ids only: what search did not bring is read by id.
    Relist,
}

crate::named::named!(RangeReader, "reader of a range");

impl RangeReader {
    /// What reads the range after this reader came to its end; none when the range is read.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::List | Self::Relist => None,
            Self::Search => Some(Self::Relist),
        }
    }
}

/// How a page lies in its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Whether the page is in the order of ids and begins where it was asked to. A page that is not
    /// says nothing about the ids that are left.
    pub by_id: bool,
    /// Whether the range holds nothing beyond this page.
    pub finished: bool,
}

/// Looks at a page of ids that was asked for from `asked_from` on, and whether another page follows.
///
/// HubSpot's place in a list is a record id, the next one or the last one: the page may begin with
/// `asked_from` itself or behind it. Records outside of the range belong to another.
pub fn cut(
    range: IdRange,
    asked_from: Option<HubSpotObjectId>,
    ids: &[HubSpotObjectId],
    more: bool,
) -> Cut {
    let by_id = ids.windows(2).all(|pair| pair[0] < pair[1])
        && match (asked_from, ids.first()) {
            (Some(from), Some(first)) => *first >= from,
            _ => true,
        };
    let beyond = |id: &HubSpotObjectId| range.upto.is_some_and(|upto| *id >= upto);
    Cut {
        by_id,
        finished: !more || ids.last().is_some_and(beyond),
    }
}

/// How many readers work on a type at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    /// By the list endpoint.
    pub list: u32,
    /// By search: one at most, as search is three requests a second.
    pub search: bool,
}

/// The settings that decide about readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// Types with fewer records have one reader.
    pub split_from: u64,
    /// List readers of the others.
    pub list_readers: u32,
    /// Whether search helps. Where nothing limits the list endpoint it is no help: what it brings has
    /// to be listed again.
    pub search: bool,
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            split_from: SPLIT_FROM,
            list_readers: LIST_READERS,
            search: true,
        }
    }
}

impl Sharing {
    /// The readers of a type with this many records. A type that nobody could count has one.
    pub fn crew(&self, total: Option<u64>) -> Crew {
        if total.is_some_and(|total| total >= self.split_from) {
            Crew {
                list: self.list_readers.max(1),
                search: self.search,
            }
        } else {
            Crew {
                list: 1,
                search: false,
            }
        }
    }

    /// Whether a range with so many records left is worth two readers: some pages for each, more
    /// than the searches that find the middle cost.
    pub fn worth_splitting(&self, left: u64) -> bool {
        left >= (self.split_from / 4).max(400)
    }
}

/// Where to split a range that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitAt {
    /// The last id of the lower part.
    pub at: HubSpotObjectId,
    /// Records that the reader of the lower part has left.
    pub lower: u64,
    /// Records of the upper part.
    pub upper: u64,
}

/// What to do next to find the middle of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitStep {
    /// Count the records beyond the beginning, up to and with this id.
    Count(HubSpotObjectId),
    /// Split here.
    Split(SplitAt),
    /// There is no id to split at.
    GiveUp,
}

/// Finds the middle of a range by counting. Ids are dense here and sparse there; a part of a quarter
/// is good enough, as readers that are done early take from the others again.
#[derive(Debug, Clone)]
pub struct SplitSearch {
    after: i64,
    last: i64,
    lo: i64,
    hi: i64,
    records: u64,
    asked: Option<i64>,
    best: Option<(i64, u64)>,
    probes: u32,
}

impl SplitSearch {
    /// Most counts of one search for a middle.
    pub const MAX_PROBES: u32 = 12;

    /// Between the ids `after` and `last`, with so many records, by the last count.
    pub fn new(after: Option<HubSpotObjectId>, last: HubSpotObjectId, records: u64) -> Self {
        let after = after.map_or(0, |id| id.get());
        let last = last.get().max(after);
        Self {
            after,
            last,
            lo: after,
            hi: last,
            records,
            asked: None,
            best: None,
            probes: 0,
        }
    }

    /// What to do next.
    pub fn step(&mut self) -> SplitStep {
        if let Some((at, lower)) = self.best
            && self.is_balanced(lower)
        {
            return self.split(at, lower);
        }
        let width = self.hi.saturating_sub(self.lo);
        if width <= 1 || self.probes >= Self::MAX_PROBES {
            return match self.best {
                Some((at, lower)) => self.split(at, lower),
                None => SplitStep::GiveUp,
            };
        }
        // Halving does for ids that are spread evenly. Where old, small ids and new, large ones are in
        // one portal, geometric means from either end get there quickly.
        let id = match self.probes % 3 {
            0 => self.lo + width / 2,
            1 => self
                .last
                .saturating_sub(geometric(self.last - self.lo, self.last - self.hi)),
            _ => self
                .after
                .saturating_add(geometric(self.lo - self.after, self.hi - self.after)),
        };
        let id = id.clamp(self.lo + 1, self.hi - 1);
        self.probes += 1;
        self.asked = Some(id);
        match HubSpotObjectId::new(id) {
            Ok(id) => SplitStep::Count(id),
            Err(_) => SplitStep::GiveUp,
        }
    }

    /// The answer to [`SplitStep::Count`].
    pub fn counted(&mut self, lower: u64) {
        let Some(id) = self.asked.take() else { return };
        let half = self.records / 2;
        if lower > 0 && lower < self.records {
            let better = self
                .best
                .is_none_or(|(_, best)| lower.abs_diff(half) < best.abs_diff(half));
            if better {
                self.best = Some((id, lower));
            }
        }
        if lower < half {
            self.lo = id;
        } else {
            self.hi = id;
        }
    }

    const fn is_balanced(&self, lower: u64) -> bool {
        let quarter = self.records / 4;
        lower >= quarter && lower <= self.records - quarter
    }

    fn split(&self, at: i64, lower: u64) -> SplitStep {
        match HubSpotObjectId::new(at) {
            Ok(at) => SplitStep::Split(SplitAt {
                at,
                lower,
                upper: self.records - lower,
            }),
            Err(_) => SplitStep::GiveUp,
        }
    }
}

/// The geometric mean of two distances, of which none counts as less than one.
fn geometric(one: i64, other: i64) -> i64 {
    let wide = |n: i64| u128::from(n.max(1).cast_unsigned());
    i64::try_from((wide(one) * wide(other)).isqrt()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
