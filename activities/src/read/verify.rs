//! Records asked for by their ids, whatever became of them: alive, in the recycle bin, merged into
//! another one, or unknown. What no answer speaks of is not known.

use std::collections::{BTreeMap, BTreeSet};

use domain::{HubSpotObjectId, ObjectType, periodic::NONE_OF};
use hubspot::{
    ErrorClass, RecordId,
    objects::{CrmObject, ReadOptions},
};
use store::{Batch, MirrorRow, QuarantineRow, Reread, Rows};

use super::{
    Job, Stop,
    page::object_id,
    records::{self, object_type, record_id},
};

/// How many records are asked for again at once.
const AGAIN: u32 = 100;
/// How many are asked for one by one at a time; the others stay unanswered.
const SINGLY: usize = 100;

/// What is known of the records.
struct Known {
    alive: Vec<CrmObject>,
    archived: Vec<CrmObject>,
    quarantine: Vec<QuarantineRow>,
    merged: BTreeMap<HubSpotObjectId, HubSpotObjectId>,
    missing: BTreeSet<HubSpotObjectId>,
    unanswered: BTreeSet<HubSpotObjectId>,
}

/// Asks for records by their ids. A record that HubSpot names as unknown is looked for in the recycle
/// bin, and at last by itself, which also follows merges: only who is named unknown each time is
/// missing.
pub(crate) async fn verify(
    job: &Job<'_>,
    of_type: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<Batch, Stop> {
    let (workspace, portal) = (job.key.workspace, job.key.portal);
    let store = &job.deps.store;
    // HubSpot drops old ids from some batches without a word.
    let living = store.living_ids(workspace, portal, of_type, ids).await?;
    let asked: Vec<HubSpotObjectId> = ids
        .iter()
        .map(|id| living.get(id).unwrap_or(id))
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let read = records::by_id(job, of_type, &asked).await?;
    let mut known = Known {
        alive: read.objects,
        archived: Vec::new(),
        quarantine: read.quarantine,
        merged: read.merged,
        missing: BTreeSet::new(),
        unanswered: read.unanswered.into_iter().collect(),
    };
    if !read.missing.is_empty() {
        known.look_further(job, of_type, read.missing).await?;
    }
    let filled = records::apart(job, of_type, known.alive).await?;
    let mut rows = filled.rows;
    rows.rows
        .extend(known.archived.into_iter().filter_map(|object| {
            Some(MirrorRow {
                id: object_id(object.id.get())?,
                properties: String::from(Box::<str>::from(object.properties)),
                created_at: object.created_at,
                modified_at: object.updated_at,
                archived: true,
            })
        }));
    rows.merged = known.merged;
    rows.missing = known.missing;
    let mut open = known.unanswered;
    open.extend(filled.unanswered);
    let (unanswered, settled) = ids
        .iter()
        .copied()
        .partition(|id| open.contains(living.get(id).unwrap_or(id)));
    Ok(Batch {
        unanswered,
        settled,
        ..Batch::new(read.sent_at, Rows::Records(rows), known.quarantine)
    })
}

impl Known {
    async fn look_further(
        &mut self,
        job: &Job<'_>,
        of_type: ObjectType,
        missing: BTreeSet<HubSpotObjectId>,
    ) -> Result<(), Stop> {
        let asked: Vec<RecordId> = missing.iter().copied().map(record_id).collect();
        let options = ReadOptions::new().properties(job.properties(of_type));
        let archived = options.clone().archived();
        let answer = job
            .client
            .objects()
            .batch_read(object_type(of_type), &asked, &archived)
            .await?;
        let ours = |id: &RecordId| object_id(id.get());
        self.unanswered
            .extend(answer.unanswered.keys().filter_map(ours));
        let (found, bad) = records::readable_records(answer.found);
        self.archived.extend(found);
        self.quarantine.extend(bad);
        for (place, id) in answer.missing.into_iter().enumerate() {
            let Some(ours) = object_id(id.get()) else {
                continue;
            };
            if place >= SINGLY {
                self.unanswered.insert(ours);
                continue;
            }
            self.look_singly(job, of_type, ours, &options, &archived)
                .await?;
        }
        Ok(())
    }

    /// A record that neither batch knew.
    async fn look_singly(
        &mut self,
        job: &Job<'_>,
        of_type: ObjectType,
        id: HubSpotObjectId,
        alive: &ReadOptions,
        archived: &ReadOptions,
    ) -> Result<(), Stop> {
        for (options, in_bin) in [(alive, false), (archived, true)] {
            let read = job
                .client
                .objects()
                .read(object_type(of_type), record_id(id), options, &[])
                .await;
            match read {
                Ok(object) => {
                    if domain::quarantine::holds_nul(object.properties.get()) {
                        self.unanswered.insert(id);
                        return Ok(());
                    }
                    if let Some(into) = object_id(object.id.get()).filter(|into| *into != id) {
                        self.merged.insert(id, into);
                    }
                    let found = if in_bin || object.archived {
                        &mut self.archived
                    } else {
                        &mut self.alive
                    };
                    if found.iter().all(|known| known.id != object.id) {
                        found.push(object);
                    }
                    return Ok(());
                }
                Err(error) => match error.class() {
                    ErrorClass::NotFound => {}
                    // Of this record; the client has asked as often as it is worth.
                    ErrorClass::Transient | ErrorClass::Invalid => {
                        self.unanswered.insert(id);
                        return Ok(());
                    }
                    _ => return Err(error.into()),
                },
            }
        }
        self.missing.insert(id);
        Ok(())
    }
}

/// The same for records that are asked for because they are known. Where HubSpot names all of them as unknown,
/// though many were alive, and its index counts none of the type at all, that is taken for trouble of its
/// own and not for the end of all records (X10): it shows, and nothing changes.
pub(super) async fn known(
    job: &Job<'_>,
    of_type: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<Batch, Stop> {
    let mut batch = verify(job, of_type, ids).await?;
    let (workspace, portal, sync_type) = (job.key.workspace, job.key.portal, job.sync_type());
    let store = &job.deps.store;
    let Rows::Records(records) = &mut batch.rows else {
        return Ok(batch);
    };
    if !records.rows.is_empty() {
        store.note_some_found(workspace, portal, sync_type).await?;
        return Ok(batch);
    }
    let missing: Vec<HubSpotObjectId> = records.missing.iter().copied().collect();
    if (missing.len() as u64) < NONE_OF || !records.merged.is_empty() {
        return Ok(batch);
    }
    let alive = store
        .alive_among(workspace, portal, of_type, &missing)
        .await?;
    if (alive.len() as u64) < NONE_OF {
        return Ok(batch);
    }
    let counted = job
        .client
        .search()
        .count(object_type(of_type), None)
        .await?;
    if counted.total.unwrap_or(0) > 0 || !counted.results.is_empty() {
        return Ok(batch);
    }
    tracing::warn!(
        %workspace, object_type = %sync_type, known = alive.len(), "none of the known records is found"
    );
    store
        .note_none_found(workspace, portal, sync_type, alive.len() as u64)
        .await?;
    records.missing.clear();
    batch.settled.retain(|id| !missing.contains(id));
    batch.unanswered.extend(missing);
    Ok(batch)
}

/// The same for records that waited to be read again: what is answered waits no more.
pub(super) async fn reread(
    job: &Job<'_>,
    of_type: ObjectType,
    waiting: Vec<Reread>,
) -> Result<Batch, Stop> {
    let ids: Vec<HubSpotObjectId> = waiting.iter().map(|r| r.id).collect();
    let batch = verify(job, of_type, &ids).await?;
    let open: BTreeSet<HubSpotObjectId> = batch.unanswered.iter().copied().collect();
    Ok(Batch {
        reread: waiting
            .into_iter()
            .filter(|r| !open.contains(&r.id))
            .collect(),
        // The place moves by what was asked for.
        settled: Vec::new(),
        ..batch
    })
}

/// Asks again for what HubSpot's answers did not speak of, and for what a whole listing did not bring
/// although the mirror holds it. Says whether everything was asked for; what stays open is counted then.
pub(crate) async fn ask_again(job: &Job<'_>, of_type: ObjectType) -> Result<bool, Stop> {
    let store = &job.deps.store;
    let Some(cursor) = store.cursor(&job.key).await? else {
        return Err(Stop::Lost);
    };
    let mut version = cursor.version;
    let mut after: Option<HubSpotObjectId> = None;
    loop {
        let ids = store.unanswered(&job.key, after, AGAIN).await?;
        let Some(last) = ids.last().copied() else {
            return Ok(true);
        };
        let batch = known(job, of_type, &ids).await?;
        let in_vain = batch.unanswered.clone();
        if !batch.settled.is_empty() {
            let step = job.step(version, cursor.position.clone());
            let batch = Batch {
                unanswered: Vec::new(),
                ..batch
            };
            version = job
                .commit(&step, batch)
                .await?
                .ok_or(Stop::Defect("records are no listing"))?;
        }
        store.asked_in_vain(&job.key, &in_vain).await?;
        after = Some(last);
        if job.is_over() {
            return Ok(false);
        }
    }
}
