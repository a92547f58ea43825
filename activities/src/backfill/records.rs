//! Contacts, companies and deals, by list or by search.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, QuarantineReason, RangeReader, ReadPlan,
    backfill::{associations_read_with, needed_properties},
};
use hubspot::{
    Cursor, Page, RecordId,
    objects::{CrmObject, ListRequest, ReadOptions},
    search::{Filter, SearchRequest},
};
use store::{AssociationRow, MirrorRow, QuarantineRow, RangeRow};

use super::{
    Slice, Stop,
    reader::{Fetched, Payload, object_id, sort_out},
};

/// Records of a page with their associations.
pub(super) struct Records {
    pub(super) rows: Vec<MirrorRow>,
    pub(super) associated_types: Vec<ObjectType>,
    pub(super) associations: Vec<AssociationRow>,
}

/// A type of ours as one of HubSpot's.
pub(super) const fn object_type(object_type: ObjectType) -> hubspot::ObjectType {
    match object_type {
        ObjectType::Contact => hubspot::ObjectType::Contact,
        ObjectType::Company => hubspot::ObjectType::Company,
        ObjectType::Deal => hubspot::ObjectType::Deal,
        ObjectType::Email => hubspot::ObjectType::Email,
        ObjectType::Call => hubspot::ObjectType::Call,
        ObjectType::Meeting => hubspot::ObjectType::Meeting,
        ObjectType::Note => hubspot::ObjectType::Note,
        ObjectType::Task => hubspot::ObjectType::Task,
        ObjectType::Communication => hubspot::ObjectType::Communication,
    }
}

/// An id of ours as one of HubSpot's.
pub(super) const fn record_id(id: HubSpotObjectId) -> RecordId {
    RecordId::new(id.get().unsigned_abs())
}

/// A type of HubSpot's as one that is mirrored.
const fn ours(object_type: hubspot::ObjectType) -> Option<ObjectType> {
    match object_type {
        hubspot::ObjectType::Contact => Some(ObjectType::Contact),
        hubspot::ObjectType::Company => Some(ObjectType::Company),
        hubspot::ObjectType::Deal => Some(ObjectType::Deal),
        _ => None,
    }
}

/// A page of a range as it was answered: before it is known what of it lies in the range, and without
/// what has to be asked for apart.
pub(super) struct RangePage {
    objects: Vec<CrmObject>,
    quarantine: Vec<QuarantineRow>,
    /// The ids that the page brought, in its order.
    pub(super) ids: Vec<HubSpotObjectId>,
    /// Where it was asked to begin.
    pub(super) asked_from: Option<HubSpotObjectId>,
    /// The place after it; none after the last.
    pub(super) next: Option<String>,
    sent_at: DateTime<Utc>,
}

/// A page of a range, complete.
pub(super) struct FilledPage {
    pub(super) records: Records,
    pub(super) quarantine: Vec<QuarantineRow>,
    /// The ids that the page brought, in its order.
    pub(super) ids: Vec<HubSpotObjectId>,
    /// The place after it; none after the last.
    pub(super) next: Option<String>,
    pub(super) sent_at: DateTime<Utc>,
}

/// What is read of each record of a type.
struct What {
    from: hubspot::ObjectType,
    properties: Vec<String>,
    wanted: Vec<hubspot::ObjectType>,
}

impl What {
    fn of(read: ObjectType) -> Self {
        Self {
            from: object_type(read),
            properties: needed_properties(read)
                .iter()
                .map(|p| (*p).to_owned())
                .collect(),
            wanted: associations_read_with(read)
                .iter()
                .map(|t| object_type(*t))
                .collect(),
        }
    }
}

/// How associations come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Associated {
    /// With the records, where they came whole.
    Inline,
    /// Not at all: they are read apart.
    Apart,
}

/// The next page of what was modified since a time.
pub(super) async fn fetch_modified(
    slice: &Slice<'_>,
    read: ObjectType,
    plan: ReadPlan,
    position: Option<&str>,
) -> Result<Fetched, Stop> {
    let ReadPlan::ModifiedSince { since } = plan else {
        return Err(Stop::Defect("a list is read by ranges"));
    };
    let what = What::of(read);
    let after = position
        .map(str::parse::<RecordId>)
        .transpose()
        .map_err(|_| Stop::Defect("the place of a search reader is no id"))?;
    let page = slice
        .client
        .search()
        .modified_since(
            what.from,
            since,
            after,
            &what.properties,
            hubspot::search::PAGE,
        )
        .await?;
    let position = after_search(&page)?;
    let sent_at = page.sent_at;
    let (objects, quarantine) = readable(page);
    let records = stored(slice, &what, objects, Associated::Apart).await?;
    Ok(Fetched {
        payload: Payload::Records(records),
        quarantine,
        finished: position.is_none(),
        position,
        sent_at,
    })
}

/// The next page of a range, by its reader: one request.
pub(super) async fn fetch_range(
    slice: &Slice<'_>,
    read: ObjectType,
    range: &RangeRow,
) -> Result<RangePage, Stop> {
    let what = What::of(read);
    let place = match &range.position {
        Some(position) => Some(position.clone()),
        None => range.ids.after().map(|id| id.to_string()),
    };
    let asked_from = place.as_deref().and_then(|place| place.parse().ok());
    let (page, next) = match range.reader {
        RangeReader::List => {
            let request = ListRequest::new(what.from)
                .properties(what.properties.iter().cloned())
                .associations(what.wanted.iter().copied())
                .after(place.map(Cursor::new));
            let page = slice.client.objects().list(&request).await?;
            let next = page.next.as_ref().map(|c| c.as_str().to_owned());
            (page, next)
        }
        RangeReader::Search => {
            let after = place
                .as_deref()
                .map(str::parse::<RecordId>)
                .transpose()
                .map_err(|_| Stop::Defect("the place of a search reader is no id"))?;
            let mut request = SearchRequest::new(what.from).properties(&what.properties);
            if let Some(upto) = range.ids.upto() {
                request = request.group([Filter::id_up_to(record_id(upto))]);
            }
            let page = slice.client.search().by_id(&request, after).await?;
            let next = after_search(&page)?;
            (page, next)
        }
        RangeReader::Relist => {
            let request = ListRequest::new(what.from)
                .properties(["hs_object_id"])
                .after(place.map(Cursor::new));
            let page = slice.client.objects().list(&request).await?;
            let next = page.next.as_ref().map(|c| c.as_str().to_owned());
            (page, next)
        }
    };
    let sent_at = page.sent_at;
    let ids: Vec<HubSpotObjectId> = page
        .results
        .iter()
        .flatten()
        .filter_map(|object| object_id(object.id.get()))
        .collect();
    let (objects, quarantine) = readable(page);
    Ok(RangePage {
        objects,
        quarantine,
        ids,
        asked_from,
        next,
        sent_at,
    })
}

/// Asks for what a page of a range lacks: associations that did not come with it, and records that were
/// only listed again and that search did not bring.
pub(super) async fn fill(
    slice: &Slice<'_>,
    read: ObjectType,
    range: &RangeRow,
    page: RangePage,
    began_at: DateTime<Utc>,
) -> Result<FilledPage, Stop> {
    let what = What::of(read);
    let RangePage {
        objects,
        mut quarantine,
        ids,
        next,
        mut sent_at,
        ..
    } = page;
    let records = match range.reader {
        RangeReader::List => stored(slice, &what, objects, Associated::Inline).await?,
        RangeReader::Search => stored(slice, &what, objects, Associated::Apart).await?,
        RangeReader::Relist => {
            let missing = unread(slice, read, range, &objects, began_at).await?;
            if missing.is_empty() {
                stored(slice, &what, Vec::new(), Associated::Apart).await?
            } else {
                let options = ReadOptions::new().properties(what.properties.iter().cloned());
                let mut read = slice
                    .client
                    .objects()
                    .batch_read(what.from, &missing, &options)
                    .await?;
                // Nothing is known of them: the page is read again.
                if let Some((_, error)) = read.unanswered.pop_first() {
                    return Err(error.unwrap_or(hubspot::Error::Unanswered).into());
                }
                sent_at = read.times.sent_at.unwrap_or(sent_at);
                let (objects, bad) = readable(Page {
                    results: read.found,
                    next: None,
                    total: None,
                    offset: 0,
                    sent_at,
                    served_at: None,
                });
                quarantine.extend(bad);
                stored(slice, &what, objects, Associated::Apart).await?
            }
        }
    };
    Ok(FilledPage {
        records,
        quarantine,
        ids,
        next,
        sent_at,
    })
}

/// Of records that were listed again, those that search did not bring.
async fn unread(
    slice: &Slice<'_>,
    read: ObjectType,
    range: &RangeRow,
    listed: &[CrmObject],
    began_at: DateTime<Utc>,
) -> Result<Vec<RecordId>, Stop> {
    let listed: Vec<(HubSpotObjectId, DateTime<Utc>)> = listed
        .iter()
        .filter_map(|object| Some((object_id(object.id.get())?, object.updated_at)))
        .filter(|(id, _)| range.ids.contains(*id))
        .collect();
    let unread = slice
        .deps
        .store
        .unread(
            slice.input.workspace,
            slice.input.portal,
            read,
            &listed,
            began_at,
        )
        .await?;
    Ok(unread.into_iter().map(record_id).collect())
}

/// Takes out what Postgres could not hold.
fn readable(page: Page<CrmObject>) -> (Vec<CrmObject>, Vec<QuarantineRow>) {
    sort_out(page, |object: CrmObject| {
        if domain::quarantine::holds_nul(object.properties.get()) {
            Err(QuarantineRow {
                key: object.id.to_string(),
                reason: QuarantineReason::NulCharacter,
                raw: object.properties.get().as_bytes().to_vec(),
            })
        } else {
            Ok(object)
        }
    })
}

/// Records as they are stored, with their associations.
async fn stored(
    slice: &Slice<'_>,
    what: &What,
    objects: Vec<CrmObject>,
    associated: Associated,
) -> Result<Records, Stop> {
    let associations = associations(slice, what.from, &what.wanted, &objects, associated).await?;
    let rows = objects
        .into_iter()
        .filter_map(|object| {
            Some(MirrorRow {
                id: object_id(object.id.get())?,
                properties: String::from(Box::<str>::from(object.properties)),
                created_at: object.created_at,
                modified_at: object.updated_at,
                archived: object.archived,
            })
        })
        .collect();
    Ok(Records {
        rows,
        associated_types: what.wanted.iter().filter_map(|t| ours(*t)).collect(),
        associations,
    })
}

/// The place after a page of search: its last id. Results come in the order of ids.
fn after_search(page: &Page<CrmObject>) -> Result<Option<String>, Stop> {
    if page.next.is_none() {
        return Ok(None);
    }
    let last: Option<RecordId> = page.results.iter().flatten().map(|o| o.id).max();
    match last {
        Some(id) => Ok(Some(id.to_string())),
        // Without an id there is no place to go on from, and to stop would lose the rest.
        None => Err(hubspot::Error::UnexpectedResponse {
            context: "search page without a readable id",
        }
        .into()),
    }
}

/// The associations of a page's records: inline where they came whole, else read apart. Search
/// brings none.
async fn associations(
    slice: &Slice<'_>,
    from: hubspot::ObjectType,
    wanted: &[hubspot::ObjectType],
    objects: &[CrmObject],
    associated: Associated,
) -> Result<Vec<AssociationRow>, Stop> {
    let mut all: BTreeMap<(HubSpotObjectId, ObjectType, HubSpotObjectId), Vec<String>> =
        BTreeMap::new();
    let mut add = |from: RecordId, to_type: hubspot::ObjectType, to: RecordId, name: String| {
        if let (Some(from), Some(to_type), Some(to)) =
            (object_id(from.get()), ours(to_type), object_id(to.get()))
        {
            let labels = all.entry((from, to_type, to)).or_default();
            if !labels.contains(&name) {
                labels.push(name);
            }
        }
    };
    for object in objects {
        for association in &object.associations {
            if !object.more_associations.contains(&association.to_type) {
                add(
                    object.id,
                    association.to_type,
                    association.to,
                    association.name.clone(),
                );
            }
        }
    }
    for to_type in wanted {
        let ids: Vec<RecordId> = objects
            .iter()
            .filter(|o| associated == Associated::Apart || o.more_associations.contains(to_type))
            .map(|o| o.id)
            .collect();
        if ids.is_empty() {
            continue;
        }
        let mut read = slice
            .client
            .associations()
            .batch_read(from, *to_type, &ids)
            .await?;
        // Nothing is known of them: the page is read again.
        if let Some((_, error)) = read.unanswered.pop_first() {
            return Err(error.unwrap_or(hubspot::Error::Unanswered).into());
        }
        for (id, found) in read.answered {
            for association in found {
                for kind in &association.types {
                    add(
                        id,
                        *to_type,
                        association.to,
                        kind.inline_name(from, *to_type),
                    );
                }
            }
        }
    }
    Ok(all
        .into_iter()
        .map(|((from, to_type, to), mut labels)| {
            labels.sort();
            AssociationRow {
                from,
                to_type,
                to,
                labels,
            }
        })
        .collect())
}
