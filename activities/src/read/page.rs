//! Pages as sources bring them, sorted into what can be stored and what cannot.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, IdRange, QuarantineReason};
use hubspot::{BadRecord, BadRecordProblem, objects::CrmObject};
use serde::{Deserialize, Serialize};
use store::{Listing, QuarantineRow, Reread, Rows};

use super::{
    Stop,
    touches::{KnownTouches, TouchPage},
};

/// Where a page is asked for.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// The place, in the source's own form; none at the beginning.
    pub(super) position: Option<String>,
    /// The ids that are wanted.
    pub(super) ids: IdRange,
    /// How many to ask for, where the endpoint takes a number.
    pub(super) limit: u32,
}

impl At {
    /// The place as one of records, whose places are ids: where none was reached yet, the beginning
    /// of the range.
    pub(super) fn after_id(&self) -> Option<String> {
        match &self.position {
            Some(position) => Some(position.clone()),
            None => self.ids.after().map(|id| id.to_string()),
        }
    }
}

impl At {
    /// The place as the id of a record.
    pub(super) fn after_object(&self) -> Result<Option<HubSpotObjectId>, Stop> {
        self.after_id()
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|_| Stop::Defect("the place of a reader of ids is no id"))
    }
}

/// A page as it was answered: before it is known what of it is wanted, and without what has to be
/// asked for apart.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) content: Content,
    pub(super) quarantine: Vec<QuarantineRow>,
    /// The ids of records that the page brought, in its order.
    pub(super) ids: Vec<HubSpotObjectId>,
    /// What tells its items from those of other pages: ids, readable or not.
    pub(super) seen: Vec<u64>,
    /// How many are missing although HubSpot counts them.
    pub(super) missing: u64,
    /// The id that it was asked to begin with.
    pub(super) asked_from: Option<HubSpotObjectId>,
    /// The place after it; none after the last.
    pub(super) next: Option<String>,
    /// Whether a whole listing ends with it.
    pub(super) listing: Listing,
    pub(super) sent_at: DateTime<Utc>,
    /// When it was answered, by HubSpot's clock, where the answer tells.
    pub(super) served_at: Option<DateTime<Utc>>,
    /// The newest last-modified of its records, by HubSpot's clock.
    pub(super) newest: Option<DateTime<Utc>>,
    /// Of the last page of members in the order in which they joined: its place.
    pub(super) tail: Option<String>,
}

impl Page {
    /// A page of ids that the store gave, to be asked for. Another follows where it is full.
    pub(super) fn of_ids(content: Content, ids: Vec<HubSpotObjectId>, limit: u32) -> Self {
        let full = ids.len() as u64 >= u64::from(limit);
        Self {
            content,
            next: ids.last().filter(|_| full).map(ToString::to_string),
            ids,
            ..Self::left_out(None)
        }
    }

    /// A page that was not read: the reader only moves on.
    pub(super) fn left_out(next: Option<String>) -> Self {
        Self {
            content: Content::Nothing,
            quarantine: Vec::new(),
            ids: Vec::new(),
            seen: Vec::new(),
            missing: 0,
            asked_from: None,
            next,
            listing: Listing::Open,
            sent_at: Utc::now(),
            served_at: None,
            newest: None,
            tail: None,
        }
    }
}

/// What a page brings.
#[derive(Debug)]
pub(super) enum Content {
    /// Records as HubSpot gave them.
    Objects(Vec<CrmObject>),
    /// Records that the mirror knows, to be asked for.
    Known(Vec<HubSpotObjectId>),
    /// Records that wait to be read again.
    Waiting(Vec<Reread>),
    /// Engagements of one kind as HubSpot gave them (I10).
    Touches(TouchPage),
    /// Engagements of one kind that are known, to be asked for.
    KnownTouches(KnownTouches),
    /// What is stored as it came.
    Rows(Rows),
    /// Nothing was read: the reader only moves on.
    Nothing,
}

/// What tells the items of a page from those of other pages.
pub(super) fn seen<T>(page: &hubspot::Page<T>, id: impl Fn(&T) -> u64) -> Vec<u64> {
    let key = |bad: &BadRecord| {
        let mut hasher = DefaultHasher::new();
        bad.key.hash(&mut hasher);
        bad.key.parse().unwrap_or_else(|_| hasher.finish())
    };
    page.results
        .iter()
        .map(|result| result.as_ref().map_or_else(key, &id))
        .collect()
}

/// How many a page lacks although HubSpot counts them and says that nothing follows.
pub(super) fn missing<T>(page: &hubspot::Page<T>) -> u64 {
    if page.contradicts_its_total() {
        let given = page.offset + page.results.len() as u64;
        page.total.unwrap_or(0).saturating_sub(given)
    } else {
        0
    }
}

/// Sorts a page into what can be stored and what cannot.
pub(super) fn sort_out<T, R>(
    page: hubspot::Page<T>,
    mut convert: impl FnMut(T) -> Result<R, QuarantineRow>,
) -> (Vec<R>, Vec<QuarantineRow>) {
    let mut good = Vec::with_capacity(page.results.len());
    let mut bad = Vec::new();
    for result in page.results {
        match result.map_err(quarantined).and_then(&mut convert) {
            Ok(row) => good.push(row),
            Err(row) => bad.push(row),
        }
    }
    (good, bad)
}

fn quarantined(bad: BadRecord) -> QuarantineRow {
    QuarantineRow {
        key: bad.key,
        reason: match bad.problem {
            BadRecordProblem::Id => QuarantineReason::IdNotANumber,
            BadRecordProblem::Shape => QuarantineReason::Malformed,
        },
        raw: bad.raw,
    }
}

/// What Postgres cannot hold as text.
pub(super) fn check_text<R>(key: &str, json: &str, row: R) -> Result<R, QuarantineRow> {
    if domain::quarantine::holds_nul(json) {
        Err(QuarantineRow {
            key: key.to_owned(),
            reason: QuarantineReason::NulCharacter,
            raw: json.as_bytes().to_vec(),
        })
    } else {
        Ok(row)
    }
}

/// A definition whose texts hold no NUL, else quarantine.
pub(super) fn clean<R>(key: String, texts: &[Option<&str>], row: R) -> Result<R, QuarantineRow> {
    if texts.iter().flatten().any(|text| text.contains('\0')) {
        return Err(QuarantineRow {
            key,
            reason: QuarantineReason::NulCharacter,
            raw: texts
                .iter()
                .flatten()
                .copied()
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes(),
        });
    }
    Ok(row)
}

/// An id of HubSpot's as one of ours.
pub(crate) fn object_id(id: u64) -> Option<HubSpotObjectId> {
    HubSpotObjectId::new(i64::try_from(id).ok()?).ok()
}

/// A place that is more than HubSpot's own cursor.
pub(super) fn read_place<T: for<'de> Deserialize<'de> + Default>(
    position: Option<&str>,
) -> Result<T, Stop> {
    position
        .map(serde_json::from_str)
        .transpose()
        .map(Option::unwrap_or_default)
        .map_err(|_| Stop::Defect("the place of a reader is not readable"))
}

/// The same as text.
pub(super) fn write_place<T: Serialize>(place: &T) -> Result<String, Stop> {
    serde_json::to_string(place).map_err(|_| Stop::Defect("the place of a reader is not writable"))
}
