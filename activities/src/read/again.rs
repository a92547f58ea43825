//! What HubSpot's answers did not speak of is asked again at the end of a type.

use domain::{HubSpotObjectId, ObjectType};

use super::{Job, Stop, again};

/// How many records are asked for again at once.
const AGAIN: u32 = 100;

/// Asks again for all that was not answered. What is still not answered stays noted. `false` when the
/// time was over first.
pub(crate) async fn ask_again(job: &Job<'_>, object_type: ObjectType) -> Result<bool, Stop> {
    let store = &job.deps.store;
    let cursor = store.cursor(&job.key).await?.ok_or(Stop::Lost)?;
    let mut version = cursor.version;
    let mut after: Option<HubSpotObjectId> = None;
    loop {
        let ids = store.unanswered(&job.key, after, AGAIN).await?;
        let Some(last) = ids.last().copied() else {
            return Ok(true);
        };
        let batch = again(job, object_type, &ids).await?;
        if !batch.settled.is_empty() {
            let step = job.step(version, cursor.position.clone());
            version = job
                .commit(&step, batch)
                .await?
                .ok_or(Stop::Defect("records are no listing"))?;
        }
        after = Some(last);
        if job.is_over() {
            return Ok(false);
        }
    }
}
