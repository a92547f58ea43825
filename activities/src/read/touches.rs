//! Recent engagements of other reps (I10): by search, one kind after the other, their contacts apart.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, QuarantineReason, ReadPart,
    settings::ActivityContext,
    touches::{KINDS, Reach, Said, after, properties, reach, said},
};
use hubspot::{
    RecordId,
    objects::CrmObject,
    search::{Filter, SearchRequest},
};
use serde::{Deserialize, Serialize};
use store::{Listing, PortalKey, QuarantineRow, TouchRow, TouchRows};

use super::{
    Job, Stop,
    job::is_refusal,
    page::{At, Content, Page, missing, object_id, read_place, sort_out, write_place},
    records::{after_search, object_type, record_id},
};

/// What a reading is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touches {
    /// What was modified since then is read of a kind whose window was read whole, by HubSpot's clock.
    pub(crate) since: DateTime<Utc>,
    /// The window, in days.
    pub(crate) days: u32,
    /// When it is looked at, by the database's clock.
    pub(crate) now: DateTime<Utc>,
}

impl Touches {
    fn context(self) -> ActivityContext {
        ActivityContext {
            engagements: true,
            days: self.days,
            ..ActivityContext::default()
        }
    }
}

/// The place in a reading of all kinds.
#[derive(Serialize, Deserialize)]
struct Place {
    kind: ObjectType,
    /// What is asked for of the kind; decided with its first page.
    reach: Option<Reach>,
    /// The last id that was passed.
    after: Option<HubSpotObjectId>,
}

impl Place {
    const fn begin(kind: ObjectType) -> Self {
        Self {
            kind,
            reach: None,
            after: None,
        }
    }
}

/// A page of one kind, as HubSpot gave it.
#[derive(Debug)]
pub(super) struct TouchPage {
    kind: ObjectType,
    /// The property with our unique key, where the portal has it.
    key: Option<String>,
    objects: Vec<CrmObject>,
    /// Whether the window of the kind ends with it.
    covers: bool,
}

/// The next page. A kind that HubSpot refuses is left out, and stops no other.
pub(super) async fn page(job: &Job<'_>, of: Touches, at: &At) -> Result<Page, Stop> {
    let store = &job.deps.store;
    let (workspace, portal) = (job.key.workspace, job.key.portal);
    let mut place: Place =
        read_place::<Option<Place>>(at.position.as_deref())?.unwrap_or(Place::begin(KINDS[0]));
    loop {
        let kind = place.kind;
        let key = match store.portal_key(portal, kind).await?.map(|row| row.key) {
            Some(PortalKey::Available(name)) => Some(name),
            _ => None,
        };
        let reach = match place.reach {
            Some(reach) => reach,
            None => {
                let covered = store.touches_covered(workspace, portal, kind).await?;
                reach(covered, &of.context(), of.since, of.now)
            }
        };
        let filter = match reach {
            Reach::Whole(from) => Filter::gte(
                hubspot::engagements::TIMESTAMP,
                from.timestamp_millis().to_string(),
            ),
            Reach::Changed(since) => Filter::modified_since(object_type(kind), since),
        };
        let request = SearchRequest::new(object_type(kind))
            .group([filter])
            .properties(properties(kind, key.as_deref()))
            .limit(at.limit);
        let passed = place.after.map(record_id);
        let page = match job.client.search().by_id(&request, passed).await {
            Ok(page) => page,
            Err(error) if is_refusal(&error) => {
                refuse(job, kind, &error).await?;
                match after(kind) {
                    Some(next) => place = Place::begin(next),
                    None => return Ok(Page::left_out(None)),
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let next_id: Option<HubSpotObjectId> = after_search(&page)?
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| Stop::Defect("the id of an engagement is none"))?;
        if next_id.is_some() && next_id <= place.after {
            return Err(hubspot::Error::PagingStuck {
                context: "search of engagements by id",
            }
            .into());
        }
        let next = match next_id {
            Some(id) => Some(Place {
                kind,
                reach: Some(reach),
                after: Some(id),
            }),
            None => after(kind).map(Place::begin),
        };
        let (missing, sent_at, served_at) = (missing(&page), page.sent_at, page.served_at);
        let newest = page.results.iter().flatten().map(|o| o.updated_at).max();
        let (objects, mut quarantine) = sort_out(page, Ok);
        for row in &mut quarantine {
            // What it says of people is not kept beside what can be shown and erased.
            row.key = format!("{kind} {}", row.key);
            row.raw.clear();
        }
        return Ok(Page {
            content: Content::Touches(TouchPage {
                kind,
                key,
                objects,
                covers: next_id.is_none() && matches!(reach, Reach::Whole(_)),
            }),
            quarantine,
            ids: Vec::new(),
            seen: Vec::new(),
            missing,
            asked_from: None,
            next: next.as_ref().map(write_place).transpose()?,
            listing: Listing::Open,
            sent_at,
            served_at,
            newest,
            tail: None,
        });
    }
}

/// HubSpot refuses a kind, or with whom its engagements are: it shows, and the kind is read whole when
/// HubSpot gives it again.
async fn refuse(job: &Job<'_>, kind: ObjectType, error: &hubspot::Error) -> Result<(), Stop> {
    let part = ReadPart::RecordsOf(kind);
    job.note_refusal(part, error).await?;
    let store = &job.deps.store;
    store
        .uncover_touches(job.key.workspace, job.key.portal, kind)
        .await?;
    Ok(())
}

/// What of a page is kept, with the contacts of what is news; and what cannot be read.
pub(super) async fn rows(
    job: &Job<'_>,
    of: Touches,
    page: TouchPage,
) -> Result<(TouchRows, Vec<QuarantineRow>), Stop> {
    let TouchPage {
        kind,
        key,
        objects,
        covers,
    } = page;
    let (workspace, portal) = (job.key.workspace, job.key.portal);
    let store = &job.deps.store;
    let window = domain::touches::window(&of.context(), of.now);
    let mut unreadable = Vec::new();
    let mut forgotten = Vec::new();
    let mut read: BTreeMap<HubSpotObjectId, (Said, DateTime<Utc>)> = BTreeMap::new();
    for object in objects {
        let Some(id) = object_id(object.id.get()) else {
            continue;
        };
        match said(kind, object.properties.get(), key.as_deref()) {
            None => unreadable.push(QuarantineRow {
                key: format!("{kind} {id}"),
                reason: QuarantineReason::Malformed,
                raw: Vec::new(),
            }),
            Some(said) if said.ours || said.at < window => forgotten.push(id),
            Some(said) => {
                read.insert(id, (said, object.updated_at));
            }
        }
    }
    let ids: Vec<HubSpotObjectId> = read.keys().copied().collect();
    for ours in store.taken_engagements(portal, kind, &ids).await? {
        read.remove(&ours);
        forgotten.push(ours);
    }
    let found: Vec<(HubSpotObjectId, DateTime<Utc>)> =
        read.iter().map(|(id, (_, at))| (*id, *at)).collect();
    let news = store
        .unread_touches(workspace, portal, kind, &found)
        .await?;
    let contacts = contacts(job, kind, &news).await?;
    let rows = contacts
        .into_iter()
        .filter_map(|(id, contacts)| {
            let (said, modified_at) = read.remove(&id)?;
            Some(TouchRow {
                id,
                at: said.at,
                modified_at,
                owner: said.owner,
                title: said.title,
                contacts,
            })
        })
        .collect();
    let rows = TouchRows {
        kind,
        rows,
        forgotten,
        covered: covers.then_some(of.days),
    };
    Ok((rows, unreadable))
}

/// The contacts of engagements, as far as HubSpot speaks of them. Of the others nothing changes: the
/// reading ends incomplete, and the next one asks again.
async fn contacts(
    job: &Job<'_>,
    kind: ObjectType,
    news: &BTreeSet<HubSpotObjectId>,
) -> Result<BTreeMap<HubSpotObjectId, BTreeSet<HubSpotObjectId>>, Stop> {
    let mut known = BTreeMap::new();
    if news.is_empty() {
        return Ok(known);
    }
    let ids: Vec<RecordId> = news.iter().copied().map(record_id).collect();
    let (from, to) = (object_type(kind), hubspot::ObjectType::Contact);
    let read = match job.client.associations().batch_read(from, to, &ids).await {
        Ok(read) => read,
        Err(error) if is_refusal(&error) => {
            refuse(job, kind, &error).await?;
            return Ok(known);
        }
        Err(error) => return Err(error.into()),
    };
    let mut unanswered = 0;
    for error in read.unanswered.into_values() {
        match error {
            // It is gone.
            Some(hubspot::Error::NotFound) => {}
            Some(error) if is_refusal(&error) => refuse(job, kind, &error).await?,
            _ => unanswered += 1,
        }
    }
    if unanswered > 0 {
        let store = &job.deps.store;
        store.note_unanswered(&job.key, unanswered).await?;
    }
    for (id, found) in read.answered {
        let contacts = found.iter().filter_map(|a| object_id(a.to.get()));
        if let Some(id) = object_id(id.get()) {
            known.insert(id, contacts.collect());
        }
    }
    Ok(known)
}
