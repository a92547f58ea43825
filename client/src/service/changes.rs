//! The feed of changes, page by page or followed.

use std::time::{Duration, Instant};

use domain::{
    WorkspaceId,
    api::{ChangePage, PageCursor, PageLimit, WaitSeconds},
};
use futures::{Stream, stream};
use reqwest::StatusCode;

use super::{Error, HubSpotSync};

/// How long an answer may take beyond the wait that was asked for.
const BEYOND_THE_WAIT: Duration = Duration::from_secs(20);
/// The first pause after the service did not answer, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Who follows bears a service that is away for so long: a restart, an upgrade.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

impl HubSpotSync {
    /// A page of what changed since a cursor; of everything without one. Where nothing changed yet it
    /// waits, and answers as soon as something has. Keep [`ChangePage::next`] once the items are dealt
    /// with: it outlives every restart, and nothing is skipped.
    ///
    /// # Errors
    /// [`Error::Problem`] with HS-4021 where the cursor is no longer good: begin anew without one;
    /// with HS-4022 where too many wait already.
    pub async fn changes(
        &self,
        workspace: WorkspaceId,
        after: Option<&PageCursor>,
        limit: PageLimit,
        wait: WaitSeconds,
    ) -> Result<ChangePage, Error> {
        let answered_within = Duration::from_secs(u64::from(wait.get())) + BEYOND_THE_WAIT;
        self.get(workspace, &["changes"])
            .page(after, limit)
            .query("wait", &wait.get())
            .within(answered_within)
            .answer()
            .await
    }

    /// Follows what changes, page by page, for as long as it is asked: pages have one item at least. A
    /// service that is away is asked again, for five minutes at most. The stream ends with the first
    /// error besides.
    pub fn follow_changes(
        &self,
        workspace: WorkspaceId,
        after: Option<PageCursor>,
    ) -> impl Stream<Item = Result<ChangePage, Error>> + Send + use<> {
        let sync = self.clone();
        // None once it has ended.
        stream::unfold(Some(after), move |at| {
            let sync = sync.clone();
            async move {
                let mut after = at?;
                match sync.next_changes(workspace, &mut after).await {
                    Ok(page) => {
                        let next = Some(page.next.clone());
                        Some((Ok(page), Some(next)))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        })
    }

    /// The next page with an item.
    async fn next_changes(
        &self,
        workspace: WorkspaceId,
        after: &mut Option<PageCursor>,
    ) -> Result<ChangePage, Error> {
        let mut pause = PAUSE;
        let mut silent_since = None::<Instant>;
        loop {
            let asked = self
                .changes(
                    workspace,
                    after.as_ref(),
                    PageLimit::LARGEST,
                    WaitSeconds::LONGEST,
                )
                .await;
            match asked {
                Ok(page) if !page.items.is_empty() => return Ok(page),
                Ok(page) => {
                    *after = Some(page.next);
                    pause = PAUSE;
                    silent_since = None;
                }
                Err(error) => {
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if !may_come_again(&error) || since.elapsed() >= PATIENCE {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Reading does no harm, so it is done again wherever that may help.
fn may_come_again(error: &Error) -> bool {
    let too_many = StatusCode::TOO_MANY_REQUESTS.as_u16();
    error.is_temporary() || matches!(error, Error::Problem { status, .. } if *status == too_many)
}
