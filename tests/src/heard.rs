//! A follower of the feed of changes, and what it heard of records.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use client::HubSpotSync;
use domain::api::{ChangeKind, ChangePage, ChangeWhat, PageCursor, PageLimit, WaitSeconds};
use futures::StreamExt as _;

use crate::Tenant;

/// What is committed may be held up for so long.
const SOON: Duration = Duration::from_secs(15);

/// A client of the front door of a tenant's stack.
///
/// # Panics
/// When there is no address.
pub fn sync_of(tenant: &Tenant) -> HubSpotSync {
    let addresses = tenant.api.addresses();
    HubSpotSync::builder(addresses.web.parse().expect("an address"))
        .bearer_token(addresses.api_token.clone().into())
        .build()
        .expect("a client")
}

/// Everything that is there was read, which is so much at least: the place from which on only news
/// comes.
///
/// # Panics
/// When it does not come in time.
pub async fn end_of(sync: &HubSpotSync, tenant: &Tenant, at_least: usize) -> PageCursor {
    let mut after = None;
    let mut seen = 0;
    let deadline = Instant::now() + SOON;
    loop {
        let page = sync
            .changes(
                tenant.workspace,
                after.as_ref(),
                PageLimit::LARGEST,
                WaitSeconds::default(),
            )
            .await
            .expect("a page of the feed");
        // What is committed may be held up for a moment by what else the server does.
        seen += page.items.len();
        if page.items.is_empty() && seen >= at_least {
            return page.next;
        }
        assert!(Instant::now() < deadline, "{seen} of {at_least}");
        after = Some(page.next);
    }
}

/// What a follower has heard so far.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<ChangePage>>>);

impl Heard {
    /// Follows from a place on.
    ///
    /// # Panics
    /// When the feed breaks off.
    pub fn follow(sync: &HubSpotSync, tenant: &Tenant, after: PageCursor) -> Self {
        let heard = Self::default();
        let pages = sync.follow_changes(tenant.workspace, Some(after));
        let all = heard.clone();
        tokio::spawn(async move {
            let mut pages = Box::pin(pages);
            while let Some(page) = pages.next().await {
                all.0
                    .lock()
                    .expect("the follower")
                    .push(page.expect("the feed goes on"));
            }
        });
        heard
    }

    /// The records that were told of, as often as they were.
    ///
    /// # Panics
    /// When an id is none.
    pub fn all(&self) -> Vec<(ChangeKind, i64, ChangeWhat)> {
        let pages = self.0.lock().expect("the follower");
        let items = pages.iter().flat_map(|page| &page.items);
        // What the app has of contacts follows them, in its time.
        let records = [ChangeKind::Contact, ChangeKind::Company, ChangeKind::Deal];
        items
            .filter(|item| records.contains(&item.kind))
            .map(|item| (item.kind, item.id.parse().expect("an id"), item.change))
            .collect()
    }

    /// Waits until it is told, and says how long that took.
    ///
    /// # Panics
    /// When it is not told in time.
    pub async fn until(&self, want: (ChangeKind, i64, ChangeWhat), within: Duration) -> Duration {
        let began = Instant::now();
        while !self.all().contains(&want) {
            assert!(
                began.elapsed() < within,
                "{want:?} is not among {:?}",
                self.all()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }

    /// As if nothing had been heard.
    ///
    /// # Panics
    /// When the follower panicked.
    pub fn forget(&self) {
        self.0.lock().expect("the follower").clear();
    }
}
