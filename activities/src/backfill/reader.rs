//! Readers: each brings the next page of its type and knows the place after it.

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, QuarantineReason, ReadPlan, SyncType};
use hubspot::{BadRecord, BadRecordProblem, Page};
use store::{ListRow, MembershipPage, OwnerRow, PipelineRow, PropertyRow, QuarantineRow};

use super::{Slice, Stop, definitions, lists, records};

/// A page that was read.
pub(super) struct Fetched {
    pub(super) payload: Payload,
    pub(super) quarantine: Vec<QuarantineRow>,
    /// The place after the page.
    pub(super) position: Option<String>,
    pub(super) finished: bool,
    pub(super) sent_at: DateTime<Utc>,
}

/// What a page brings.
pub(super) enum Payload {
    Records(records::Records),
    Owners(Vec<OwnerRow>),
    Properties(ObjectType, Vec<PropertyRow>),
    Pipelines(Vec<PipelineRow>),
    Lists(Vec<ListRow>),
    Members(MembershipPage),
    Nothing,
}

impl Payload {
    pub(super) fn len(&self) -> u64 {
        let len = match self {
            Self::Records(records) => records.rows.len(),
            Self::Owners(rows) => rows.len(),
            Self::Properties(_, rows) => rows.len(),
            Self::Pipelines(rows) => rows.len(),
            Self::Lists(rows) => rows.len(),
            Self::Members(_) | Self::Nothing => 0,
        };
        len as u64
    }
}

/// Which reader a type has.
pub(super) enum Reader {
    Records(ObjectType, ReadPlan),
    Owners,
    Properties,
    Pipelines,
    Lists,
}

impl Reader {
    pub(super) fn new(sync_type: SyncType, plan: ReadPlan) -> Self {
        match (sync_type, sync_type.object_type()) {
            (_, Some(object_type)) => Self::Records(object_type, plan),
            (SyncType::Owners, _) => Self::Owners,
            (SyncType::Properties, _) => Self::Properties,
            (SyncType::Pipelines, _) => Self::Pipelines,
            _ => Self::Lists,
        }
    }

    /// Whether the place after a page is enough to read the next one before the page is committed.
    /// Lists ask the store which one is next.
    pub(super) const fn may_prefetch(&self) -> bool {
        matches!(self, Self::Records(..) | Self::Owners)
    }

    pub(super) async fn fetch(
        &self,
        slice: &Slice<'_>,
        position: Option<&str>,
    ) -> Result<Fetched, Stop> {
        match self {
            Self::Records(object_type, plan) => {
                records::fetch_modified(slice, *object_type, *plan, position).await
            }
            Self::Owners => definitions::owners(slice, position).await,
            Self::Properties => definitions::properties(slice, position).await,
            Self::Pipelines => definitions::pipelines(slice).await,
            Self::Lists => lists::fetch(slice, position).await,
        }
    }
}

/// Sorts a page into what can be stored and what cannot.
pub(super) fn sort_out<T, R>(
    page: Page<T>,
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

/// An id of HubSpot's as one of ours.
pub(super) fn object_id(id: u64) -> Option<HubSpotObjectId> {
    HubSpotObjectId::new(i64::try_from(id).ok()?).ok()
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
