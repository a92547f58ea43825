//! Recent engagements of other reps (I10): by search, one kind after the other, their contacts apart. Those
//! that are known are asked for by their ids with the long window, as nothing else tells that they are gone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, QuarantineReason, ReadPart,
    periodic::NONE_OF,
    settings::ActivityContext,
    touches::{KINDS, Reach, Said, WALK_REQUESTS, after, properties, reach, said},
};
use hubspot::{
    RecordId,
    objects::{CrmObject, ReadOptions},
    search::{Filter, SearchRequest},
};
use serde::{Deserialize, Serialize};
use store::{FoundTouch, Listing, PortalKey, QuarantineRow, TouchRow, TouchRows, Walked};

use crate::failure;

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
    /// Whether the workspace reads their texts.
    pub(crate) bodies: bool,
    /// Whether those that are known are to be asked for from the first one on. Where that is under way, it
    /// goes on in any case.
    pub(crate) slow: bool,
    /// Whether HubSpot keeps back what e-mails say.
    pub(crate) redacted: bool,
}

/// What a batch read takes at most.
const BATCH: u32 = 100;

impl Touches {
    fn context(self) -> ActivityContext {
        ActivityContext {
            engagements: true,
            days: self.days,
            bodies: self.bodies,
        }
    }
}

/// The place in a reading of all kinds.
#[derive(Serialize, Deserialize)]
struct Place {
    kind: ObjectType,
    /// What is asked for of the kind; decided with its first page.
    reach: Option<Reach>,
    /// Whether the texts are asked for of the kind; decided with its first page.
    #[serde(default)]
    texts: bool,
    /// The last id that was passed.
    after: Option<HubSpotObjectId>,
    /// Of those that are known: how many requests may still be spent on the kind.
    #[serde(default)]
    known: Option<u32>,
}

impl Place {
    const fn begin(kind: ObjectType) -> Self {
        Self {
            kind,
            reach: None,
            texts: false,
            after: None,
            known: None,
        }
    }
}

/// Where those that are known begin, from a kind on; none where they are not due.
async fn first_known(
    job: &Job<'_>,
    of: Touches,
    kind: Option<ObjectType>,
) -> Result<Option<Place>, Stop> {
    let Some(mut kind) = kind else {
        return Ok(None);
    };
    let store = &job.deps.store;
    let walks = store.touch_walks(job.key.workspace, job.key.portal).await?;
    loop {
        match walks.get(&kind) {
            Some(walked_to) if of.slow || walked_to.is_some() => {
                return Ok(Some(Place {
                    after: *walked_to,
                    known: Some(WALK_REQUESTS),
                    ..Place::begin(kind)
                }));
            }
            _ => {}
        }
        match after(kind) {
            Some(next) => kind = next,
            None => return Ok(None),
        }
    }
}

/// A page of one kind, as HubSpot gave it.
#[derive(Debug)]
pub(super) struct TouchPage {
    kind: ObjectType,
    /// The property with our unique key, where the portal has it.
    key: Option<String>,
    /// Whether the texts were asked for.
    texts: bool,
    objects: Vec<CrmObject>,
    /// Whether the window of the kind ends with it.
    covers: bool,
}

/// Engagements of one kind that are known, to be asked for.
#[derive(Debug)]
pub(super) struct KnownTouches {
    kind: ObjectType,
    ids: Vec<HubSpotObjectId>,
    walked: Walked,
}

async fn key_of(job: &Job<'_>, kind: ObjectType) -> Result<Option<String>, Stop> {
    let row = job.deps.store.portal_key(job.key.portal, kind).await?;
    Ok(match row.map(|row| row.key) {
        Some(PortalKey::Available(name)) => Some(name),
        _ => None,
    })
}

/// The next ones that are known.
async fn known_page(
    job: &Job<'_>,
    of: Touches,
    place: Place,
    left: u32,
    at: &At,
) -> Result<Page, Stop> {
    let Place {
        kind,
        after: passed,
        ..
    } = place;
    let limit = at.limit.min(BATCH);
    let store = &job.deps.store;
    let ids = store
        .touches_after(job.key.workspace, job.key.portal, kind, passed, limit)
        .await?;
    let last = ids
        .last()
        .copied()
        .filter(|_| ids.len() as u64 >= u64::from(limit));
    let next = match last {
        Some(last) if left > 1 => Some(Place {
            after: Some(last),
            known: Some(left - 1),
            ..Place::begin(kind)
        }),
        _ => first_known(job, of, after(kind)).await?,
    };
    Ok(Page {
        content: Content::KnownTouches(KnownTouches {
            kind,
            ids,
            walked: last.map_or(Walked::ToTheEnd, Walked::To),
        }),
        ..Page::left_out(next.as_ref().map(write_place).transpose()?)
    })
}

/// The next page. A kind that HubSpot refuses is left out, and stops no other.
pub(super) async fn page(job: &Job<'_>, of: Touches, at: &At) -> Result<Page, Stop> {
    let store = &job.deps.store;
    let (workspace, portal) = (job.key.workspace, job.key.portal);
    let mut place: Place =
        read_place::<Option<Place>>(at.position.as_deref())?.unwrap_or(Place::begin(KINDS[0]));
    if let Some(left) = place.known {
        return known_page(job, of, place, left, at).await;
    }
    loop {
        let kind = place.kind;
        let key = key_of(job, kind).await?;
        let (reach, texts) = match place.reach {
            // Switched off meanwhile, they are not asked for any more.
            Some(reach) => (reach, place.texts && of.bodies),
            None => {
                let covered = store.touches_covered(workspace, portal, kind).await?;
                let reach = reach(covered, &of.context(), of.since, of.now);
                (reach, of.bodies)
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
            .properties(properties(kind, key.as_deref(), texts))
            .limit(at.limit);
        let passed = place.after.map(record_id);
        let page = match job.client.search().by_id(&request, passed).await {
            Ok(page) => page,
            Err(error) if is_refusal(&error) => {
                refuse(job, kind, &error).await?;
                match after(kind) {
                    Some(next) => place = Place::begin(next),
                    None => {
                        let known = first_known(job, of, Some(KINDS[0])).await?;
                        return Ok(Page::left_out(known.as_ref().map(write_place).transpose()?));
                    }
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
                reach: Some(reach),
                texts,
                after: Some(id),
                ..Place::begin(kind)
            }),
            None => match after(kind) {
                Some(next) => Some(Place::begin(next)),
                None => first_known(job, of, Some(KINDS[0])).await?,
            },
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
                texts,
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
        texts,
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
            Some(mut said) => {
                said.text = said.text.filter(|_| texts);
                read.insert(id, (said, object.updated_at));
            }
        }
    }
    let ids: Vec<HubSpotObjectId> = read.keys().copied().collect();
    for ours in store.taken_engagements(portal, kind, &ids).await? {
        read.remove(&ours);
        forgotten.push(ours);
    }
    let redacted = of.redacted && kind == ObjectType::Email;
    let found: Vec<FoundTouch> = read
        .iter()
        .map(|(id, (said, modified_at))| FoundTouch {
            id: *id,
            modified_at: *modified_at,
            owner: said.owner.is_some(),
            title: said.title.is_some(),
            body: said.text.is_some(),
            redacted,
        })
        .collect();
    let news = store
        .unread_touches(workspace, portal, kind, &found, texts)
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
                body: said.text,
                redacted,
                contacts,
            })
        })
        .collect();
    let rows = TouchRows {
        bodies: texts,
        rows,
        forgotten,
        covered: covers.then_some(of.days),
        ..TouchRows::none(kind)
    };
    Ok((rows, unreadable))
}

/// What became of engagements that are known, and when that was asked. Only what HubSpot says of one changes
/// anything: that it lies in the recycle bin, or, twice, that there is none. Of the others nothing is known;
/// they are asked for with the next walk.
pub(super) async fn known(
    job: &Job<'_>,
    of: Touches,
    asked: KnownTouches,
) -> Result<(TouchRows, Vec<QuarantineRow>, DateTime<Utc>), Stop> {
    let KnownTouches { kind, ids, walked } = asked;
    let nothing = TouchRows {
        walked: Some(walked),
        ..TouchRows::none(kind)
    };
    let key = key_of(job, kind).await?;
    let options = ReadOptions::new().properties(properties(kind, key.as_deref(), of.bodies));
    let Some(read) = read_known(job, kind, &ids, &options).await? else {
        return Ok((nothing, Vec::new(), Utc::now()));
    };
    let sent_at = read.times.sent_at.unwrap_or_else(Utc::now);
    let mut archived = Vec::new();
    let mut alive = Vec::new();
    let mut quarantine = Vec::new();
    for found in read.found {
        match found {
            Ok(object) if object.archived => archived.extend(object_id(object.id.get())),
            Ok(object) => alive.push(object),
            Err(bad) => quarantine.push(QuarantineRow {
                key: format!("{kind} {}", bad.key),
                reason: QuarantineReason::Malformed,
                raw: Vec::new(),
            }),
        }
    }
    let ours = |id: &RecordId| object_id(id.get());
    let mut missing: Vec<HubSpotObjectId> = read.missing.iter().filter_map(ours).collect();
    if !missing.is_empty() {
        let in_bin = ReadOptions::new().archived();
        match read_known(job, kind, &missing, &in_bin).await? {
            Some(binned) => {
                let objects = binned.found.into_iter().flatten();
                archived.extend(
                    objects
                        .filter(|object| object.archived)
                        .filter_map(|object| object_id(object.id.get())),
                );
                missing = binned.missing.iter().filter_map(ours).collect();
            }
            None => missing.clear(),
        }
    }
    if alive.is_empty() && archived.is_empty() && missing.len() as u64 >= NONE_OF {
        let counted = job.client.search().count(object_type(kind), None).await?;
        if counted.total.unwrap_or(0) == 0 && counted.results.is_empty() {
            tracing::warn!(
                workspace = %job.key.workspace, %kind, known = missing.len(),
                "none of the known engagements is found"
            );
            job.note_code(failure::NOTHING_READ).await?;
            missing.clear();
        }
    }
    let page = TouchPage {
        kind,
        key,
        texts: of.bodies,
        objects: alive,
        covers: false,
    };
    let (rows, unreadable) = rows(job, of, page).await?;
    quarantine.extend(unreadable);
    let rows = TouchRows {
        archived,
        missing,
        walked: Some(walked),
        ..rows
    };
    Ok((rows, quarantine, sent_at))
}

/// Reads engagements by their ids; none where HubSpot does not do it. A refusal shows; what goes wrong for a
/// while holds up no news.
async fn read_known(
    job: &Job<'_>,
    kind: ObjectType,
    ids: &[HubSpotObjectId],
    options: &ReadOptions,
) -> Result<Option<hubspot::objects::BatchRead>, Stop> {
    if ids.is_empty() {
        return Ok(None);
    }
    let ids: Vec<RecordId> = ids.iter().copied().map(record_id).collect();
    let objects = job.client.objects();
    match objects.batch_read(object_type(kind), &ids, options).await {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_refusal(&error) => {
            job.note_refusal(ReadPart::RecordsOf(kind), &error).await?;
            Ok(None)
        }
        Err(error) if error.class() == hubspot::ErrorClass::Transient => {
            tracing::info!(workspace = %job.key.workspace, %kind, "known engagements are not answered");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
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
