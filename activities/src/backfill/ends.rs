//! What comes after the last page of a type: what was not answered is asked again, and the members of
//! the lists that have a use are read.

use domain::{HubSpotObjectId, ObjectType, ReadPart};
use workflows::activities::SliceEnd;

use crate::{
    failure,
    read::{
        Job, Order, Source, Stop, ask_again,
        driver::{self, Alone, Read, Reader},
        is_refusal, refusal_of,
    },
};

/// Asks again for what HubSpot's answers did not speak of or a whole listing did not bring, and ends the type: incomplete, if something
/// stays without an answer, or if nothing came although there are records.
pub(super) async fn records(job: &Job<'_>, object_type: ObjectType) -> Result<SliceEnd, Stop> {
    let store = &job.deps.store;
    if !ask_again(job, object_type).await? {
        return Ok(SliceEnd::More);
    }
    let cursor = store.cursor(&job.key).await?.ok_or(Stop::Lost)?;
    store.give_up_unanswered(&job.key).await?;
    let read = cursor.done + cursor.quarantined;
    let whole = cursor.plan == domain::ReadPlan::List;
    let (workspace, portal) = (job.key.workspace, job.key.portal);
    let nothing_came = whole && read == 0 && {
        cursor.total.is_some_and(|total| total > 0) || {
            let (known, archived) = store.known_records(workspace, portal, object_type).await?;
            known > archived
        }
    };
    if nothing_came {
        let expected = cursor.total.unwrap_or(0).max(1);
        store.note_unanswered(&job.key, expected).await?;
    }
    if nothing_came {
        let (known, archived) = store.known_records(workspace, portal, object_type).await?;
        let alive = known.saturating_sub(archived);
        if alive > 0 {
            let of = job.sync_type();
            store.note_none_found(workspace, portal, of, alive).await?;
        }
    } else if read > 0 {
        let of = job.sync_type();
        store.note_some_found(workspace, portal, of).await?;
    }
    store.finish_type(&job.key).await?;
    if nothing_came {
        tracing::warn!(object_type = %job.sync_type(), "nothing was read of records that are known");
        job.note_code(failure::NOTHING_READ).await?;
    }
    Ok(SliceEnd::Finished)
}

/// Reads the members of the lists that have a use, each with a cursor of its own. A list that fails
/// stops no other.
pub(super) async fn members(job: &Job<'_>) -> Result<SliceEnd, Stop> {
    let store = &job.deps.store;
    store.begin_members(&job.key).await?;
    let lists = store.lists(job.key.workspace, job.key.portal).await?;
    let mut trouble = None;
    for list in store.members_to_read(&job.key).await? {
        let key = job.key.members_of(list);
        let Some(cursor) = store.cursor(&key).await? else {
            continue;
        };
        let Ok(id) = HubSpotObjectId::new(list.get()) else {
            continue;
        };
        // While HubSpot computes it, what it gives is no membership: what is stored stays.
        let computed = lists
            .iter()
            .find(|l| l.id == id)
            .is_none_or(|l| l.processing_status != "PROCESSING");
        if !computed {
            store.note_unanswered(&key, 1).await?;
            store.finish_type(&key).await?;
            continue;
        }
        let job = job.of(key, cursor.page_size);
        let reader = Reader::of_cursor(&cursor);
        match driver::drive(&job, Source::Members(id, Order::Ids), reader, &Alone(&job)).await {
            Ok(Read::ToTheEnd(_)) => {}
            Ok(Read::InPart) => return Ok(SliceEnd::More),
            Err(Stop::HubSpot(error)) if is_refusal(&error) => {
                let refusal = refusal_of(ReadPart::Members, &error)?;
                store.refuse_type(&key, &refusal).await?;
            }
            Err(Stop::HubSpot(error @ hubspot::Error::Transient { .. })) => {
                job.note_trouble(&error).await?;
                trouble = Some(error);
            }
            Err(stop) => return Err(stop),
        }
    }
    match trouble {
        Some(error) => Err(error.into()),
        None => Ok(SliceEnd::Finished),
    }
}
