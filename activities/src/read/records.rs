//! Contacts, companies and deals, by list or by search.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, QuarantineReason, ReadPart,
    backfill::{associations_read_with, with_absent},
};
use hubspot::{
    Cursor, RecordId,
    objects::{CrmObject, ListRequest, ReadOptions},
    search::{Filter, SearchRequest},
};
use store::{AssociationRow, FoundBy, Listing, MirrorRow, QuarantineRow, RecordRows};

use super::{
    Job, Stop,
    job::is_refusal,
    page::{At, Content, Page, missing, object_id, seen, sort_out},
};

/// A type of ours as one of HubSpot's.
pub(crate) const fn object_type(object_type: ObjectType) -> hubspot::ObjectType {
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
pub(crate) const fn record_id(id: HubSpotObjectId) -> RecordId {
    RecordId::new(id.get().unsigned_abs())
}

/// The place of a search reader: an id.
fn after(at: &At) -> Result<Option<RecordId>, Stop> {
    at.after_id()
        .as_deref()
        .map(str::parse::<RecordId>)
        .transpose()
        .map_err(|_| Stop::Defect("the place of a search reader is no id"))
}

/// The next page of the list endpoint, with the associations.
pub(super) async fn list(job: &Job<'_>, read: ObjectType, at: &At) -> Result<Page, Stop> {
    let request = ListRequest::new(object_type(read))
        .properties(job.properties(read))
        .associations(associations_read_with(read).iter().map(|t| object_type(*t)));
    listed(job, request, at).await
}

/// The next page of the list endpoint, ids and times only.
pub(super) async fn list_ids(job: &Job<'_>, read: ObjectType, at: &At) -> Result<Page, Stop> {
    let request = ListRequest::new(object_type(read)).properties(["hs_object_id"]);
    listed(job, request, at).await
}

async fn listed(job: &Job<'_>, request: ListRequest, at: &At) -> Result<Page, Stop> {
    let place = at.after_id();
    let asked_from = place.as_deref().and_then(|place| place.parse().ok());
    let request = request.limit(at.limit).after(place.map(Cursor::new));
    let page = job.client.objects().list(&request).await?;
    let next = page.next.as_ref().map(|c| c.as_str().to_owned());
    Ok(page_of(page, asked_from, next))
}

/// The next page of search, up to the end of the range.
pub(super) async fn search(job: &Job<'_>, read: ObjectType, at: &At) -> Result<Page, Stop> {
    let after = after(at)?;
    let mut request = SearchRequest::new(object_type(read))
        .properties(job.properties(read))
        .limit(at.limit);
    if let Some(upto) = at.ids.upto() {
        request = request.group([Filter::id_up_to(record_id(upto))]);
    }
    let page = job.client.search().by_id(&request, after).await?;
    let next = after_search(&page)?;
    Ok(page_of(
        page,
        after.and_then(|id| object_id(id.get())),
        next,
    ))
}

/// The next page of what was modified since a time.
pub(super) async fn modified_since(
    job: &Job<'_>,
    read: ObjectType,
    since: DateTime<Utc>,
    at: &At,
) -> Result<Page, Stop> {
    let after = after(at)?;
    let page = job
        .client
        .search()
        .modified_since(
            object_type(read),
            since,
            after,
            &job.properties(read),
            at.limit,
        )
        .await?;
    let next = after_search(&page)?;
    Ok(page_of(
        page,
        after.and_then(|id| object_id(id.get())),
        next,
    ))
}

/// The place after a page of search: its last id. Results come in the order of ids.
pub(super) fn after_search(page: &hubspot::Page<CrmObject>) -> Result<Option<String>, Stop> {
    if page.next.is_none() || page.results.is_empty() {
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

fn page_of(
    page: hubspot::Page<CrmObject>,
    asked_from: Option<HubSpotObjectId>,
    next: Option<String>,
) -> Page {
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let newest = page.results.iter().flatten().map(|o| o.updated_at).max();
    let (seen, missing) = (seen(&page, |object| object.id.get()), missing(&page));
    let ids = page
        .results
        .iter()
        .flatten()
        .filter_map(|object| object_id(object.id.get()))
        .collect();
    let (objects, quarantine) = readable(page);
    Page {
        content: Content::Objects(objects),
        quarantine,
        ids,
        seen,
        missing,
        asked_from,
        next,
        listing: Listing::Open,
        sent_at,
        served_at,
        newest,
        tail: None,
    }
}

/// Takes out what Postgres could not hold.
fn readable(page: hubspot::Page<CrmObject>) -> (Vec<CrmObject>, Vec<QuarantineRow>) {
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

/// Records that were read by their ids.
pub(super) struct ById {
    pub(super) objects: Vec<CrmObject>,
    pub(super) quarantine: Vec<QuarantineRow>,
    /// Ids that brought a record with another id.
    pub(super) merged: BTreeMap<HubSpotObjectId, HubSpotObjectId>,
    /// Ids that HubSpot named as unknown.
    pub(super) missing: BTreeSet<HubSpotObjectId>,
    /// Nothing is known of these.
    pub(super) unanswered: Vec<HubSpotObjectId>,
    pub(super) sent_at: DateTime<Utc>,
}

/// Of records that were listed again, those that the mirror lacks.
pub(super) async fn unread(
    job: &Job<'_>,
    read: ObjectType,
    since: DateTime<Utc>,
    at: &At,
    listed: &[CrmObject],
) -> Result<Vec<HubSpotObjectId>, Stop> {
    let listed: Vec<(HubSpotObjectId, DateTime<Utc>)> = listed
        .iter()
        .filter_map(|object| Some((object_id(object.id.get())?, object.updated_at)))
        .filter(|(id, _)| at.ids.contains(*id))
        .collect();
    let store = &job.deps.store;
    Ok(store
        .unread(job.key.workspace, job.key.portal, read, &listed, since)
        .await?)
}

/// Of records that search brought, those that are news: the mirror does not have them as new as that.
pub(super) async fn news(
    job: &Job<'_>,
    read: ObjectType,
    objects: Vec<CrmObject>,
) -> Result<Vec<CrmObject>, Stop> {
    let found: Vec<(HubSpotObjectId, DateTime<Utc>)> = objects
        .iter()
        .filter_map(|object| Some((object_id(object.id.get())?, object.updated_at)))
        .collect();
    if found.is_empty() {
        return Ok(objects);
    }
    let store = &job.deps.store;
    let unread: BTreeSet<HubSpotObjectId> = store
        .unread(
            job.key.workspace,
            job.key.portal,
            read,
            &found,
            DateTime::UNIX_EPOCH,
        )
        .await?
        .into_iter()
        .collect();
    Ok(objects
        .into_iter()
        .filter(|object| object_id(object.id.get()).is_none_or(|id| unread.contains(&id)))
        .collect())
}

/// Records by their ids. Of what the answer does not speak of, nothing is known.
pub(super) async fn by_id(
    job: &Job<'_>,
    read: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<ById, Stop> {
    asked(job, read, ids, ReadOptions::new()).await
}

/// The same among those in the recycle bin.
pub(super) async fn archived_by_id(
    job: &Job<'_>,
    read: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<ById, Stop> {
    asked(job, read, ids, ReadOptions::new().archived()).await
}

async fn asked(
    job: &Job<'_>,
    read: ObjectType,
    ids: &[HubSpotObjectId],
    options: ReadOptions,
) -> Result<ById, Stop> {
    let asked: Vec<RecordId> = ids.iter().copied().map(record_id).collect();
    let options = options.properties(job.properties(read));
    let answer = job
        .client
        .objects()
        .batch_read(object_type(read), &asked, &options)
        .await?;
    let sent_at = answer.times.sent_at.unwrap_or_else(Utc::now);
    let ours = |id: &RecordId| object_id(id.get());
    let unanswered = answer.unanswered.keys().filter_map(ours).collect();
    let missing = answer.missing.iter().filter_map(ours).collect();
    let merged = answer
        .merged
        .iter()
        .filter_map(|(old, into)| Some((ours(old)?, ours(into)?)))
        .collect();
    let (objects, quarantine) = readable_records(answer.found);
    Ok(ById {
        objects,
        quarantine,
        merged,
        missing,
        unanswered,
        sent_at,
    })
}

/// What of records that were read by their ids can be stored, and what not.
pub(super) fn readable_records(
    found: Vec<Result<CrmObject, hubspot::BadRecord>>,
) -> (Vec<CrmObject>, Vec<QuarantineRow>) {
    readable(hubspot::Page {
        results: found,
        next: None,
        total: None,
        offset: 0,
        sent_at: Utc::now(),
        served_at: None,
    })
}

/// The next page of the recycle bin. Of what lies there only what the mirror holds as alive is news.
pub(super) async fn archived(job: &Job<'_>, read: ObjectType, at: &At) -> Result<Page, Stop> {
    let request = ListRequest::new(object_type(read))
        .properties(job.properties(read))
        .archived();
    listed(job, request, at).await
}

/// Of records that lie in the recycle bin, those that the mirror holds as alive. Their associations are
/// not spoken of.
pub(super) async fn newly_archived(
    job: &Job<'_>,
    read: ObjectType,
    objects: Vec<CrmObject>,
) -> Result<RecordRows, Stop> {
    let ids: Vec<HubSpotObjectId> = objects
        .iter()
        // The field of each record decides, whatever listing it is in.
        .filter(|object| object.archived)
        .filter_map(|object| object_id(object.id.get()))
        .collect();
    let store = &job.deps.store;
    let alive: BTreeSet<HubSpotObjectId> = store
        .alive_among(job.key.workspace, job.key.portal, read, &ids)
        .await?
        .into_iter()
        .collect();
    let mut rows = Known::default().rows(job, read, objects).rows;
    rows.retain(|id| alive.contains(&id));
    Ok(rows)
}

/// Records of the recycle bin. Their associations are not asked for: what is stored of them stays.
pub(super) fn alone(job: &Job<'_>, read: ObjectType, objects: Vec<CrmObject>) -> RecordRows {
    Known::default().rows(job, read, objects).rows
}

/// Records whose associations came with them; those that did not come whole are read apart.
pub(super) async fn inline(
    job: &Job<'_>,
    read: ObjectType,
    objects: Vec<CrmObject>,
) -> Result<Filled, Stop> {
    let mut known = Known::default();
    let wanted = associations_read_with(read);
    for object in &objects {
        let Some(id) = object_id(object.id.get()) else {
            continue;
        };
        for to_type in wanted {
            if !object.more_associations.contains(&object_type(*to_type)) {
                known.answered(id, *to_type);
            }
        }
        for association in &object.associations {
            let to_type = wanted
                .iter()
                .find(|t| object_type(**t) == association.to_type);
            if let Some(to_type) = to_type
                && !object.more_associations.contains(&association.to_type)
            {
                known.add(id, *to_type, association.to, association.name.clone());
            }
        }
    }
    for to_type in wanted {
        let cut: Vec<RecordId> = objects
            .iter()
            .filter(|o| o.more_associations.contains(&object_type(*to_type)))
            .map(|o| o.id)
            .collect();
        known.read(job, read, *to_type, &cut).await?;
    }
    Ok(known.rows(job, read, objects))
}

/// Records that came without associations: these are read apart.
pub(super) async fn apart(
    job: &Job<'_>,
    read: ObjectType,
    objects: Vec<CrmObject>,
) -> Result<Filled, Stop> {
    let mut known = Known::default();
    let ids: Vec<RecordId> = objects.iter().map(|o| o.id).collect();
    for to_type in associations_read_with(read) {
        known.read(job, read, *to_type, &ids).await?;
    }
    Ok(known.rows(job, read, objects))
}

/// Records with what is known of their associations.
pub(super) struct Filled {
    pub(super) rows: RecordRows,
    /// Of these, associations are not known.
    pub(super) unanswered: BTreeSet<HubSpotObjectId>,
}

/// What is known of associations.
#[derive(Default)]
struct Known {
    unanswered: BTreeSet<HubSpotObjectId>,
    answered: BTreeMap<ObjectType, BTreeSet<HubSpotObjectId>>,
    labels: BTreeMap<(HubSpotObjectId, ObjectType, HubSpotObjectId), Vec<String>>,
}

impl Known {
    /// All associations of a record to records of this type are known.
    fn answered(&mut self, id: HubSpotObjectId, to_type: ObjectType) {
        self.answered.entry(to_type).or_default().insert(id);
    }

    fn add(&mut self, from: HubSpotObjectId, to_type: ObjectType, to: RecordId, label: String) {
        let Some(to) = object_id(to.get()) else {
            return;
        };
        let labels = self.labels.entry((from, to_type, to)).or_default();
        if !labels.contains(&label) {
            labels.push(label);
        }
    }

    async fn read(
        &mut self,
        job: &Job<'_>,
        from_type: ObjectType,
        to_type: ObjectType,
        ids: &[RecordId],
    ) -> Result<(), Stop> {
        if ids.is_empty() {
            return Ok(());
        }
        let (from, to) = (object_type(from_type), object_type(to_type));
        let read = match job.client.associations().batch_read(from, to, ids).await {
            Ok(read) => read,
            // The records come all the same; what is stored of their associations stays.
            Err(error) if is_refusal(&error) => {
                let part = ReadPart::AssociationsWith(to_type);
                return job.note_refusal(part, &error).await;
            }
            Err(error) => return Err(error.into()),
        };
        let mut refused = None;
        for (id, error) in read.unanswered {
            match error {
                // It is gone; so are its associations, by whatever reads that it is gone.
                Some(hubspot::Error::NotFound) => {}
                Some(error) if is_refusal(&error) => refused = Some(error),
                _ => self.unanswered.extend(object_id(id.get())),
            }
        }
        if let Some(error) = refused {
            let part = ReadPart::AssociationsWith(to_type);
            job.note_refusal(part, &error).await?;
        }
        for (id, found) in read.answered {
            let Some(id) = object_id(id.get()) else {
                continue;
            };
            self.answered(id, to_type);
            for association in found {
                for kind in &association.types {
                    self.add(id, to_type, association.to, kind.inline_name(from, to));
                }
            }
        }
        Ok(())
    }

    /// Records as they are stored, with what is known of their associations.
    fn rows(self, job: &Job<'_>, object_type: ObjectType, objects: Vec<CrmObject>) -> Filled {
        let asked = job.properties(object_type);
        let rows = objects
            .into_iter()
            .filter_map(|object| {
                Some(MirrorRow {
                    id: object_id(object.id.get())?,
                    properties: with_absent(
                        String::from(Box::<str>::from(object.properties)),
                        &asked,
                    ),
                    created_at: object.created_at,
                    modified_at: object.updated_at,
                    archived: object.archived,
                })
            })
            .collect();
        let associations = self
            .labels
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
            .collect();
        Filled {
            rows: RecordRows {
                object_type,
                found_by: FoundBy::Direct,
                rows,
                answered: self.answered,
                associations,
                merged: BTreeMap::new(),
                missing: BTreeSet::new(),
            },
            unanswered: self.unanswered,
        }
    }
}
