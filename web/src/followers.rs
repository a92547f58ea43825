//! Those who wait for changes: how many may, and one look for all of them.
//!
//! A change may be committed and not yet settled, as an older transaction is still open, so nobody who
//! writes can say when there is something to read. Therefore the store is asked, by one statement for
//! all who wait in this process, and only while somebody waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::WorkspaceId;
use store::Followed;
use tokio::sync::Notify;

use crate::{problem::Refusal, state::App};

/// How often the store is asked: whoever waits hears well within a second.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After the store did not answer.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Who may wait for one workspace at once, in this process.
const MOST_OF_A_WORKSPACE: usize = 8;

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Followers {
    all: Mutex<Waiting>,
    /// Somebody waits.
    came: Notify,
    /// Who may wait at once.
    most: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    by_number: BTreeMap<u64, (Followed, Arc<Notify>)>,
    next: u64,
}

/// A place among those who wait; given back when dropped.
pub(crate) struct Place<'a> {
    followers: &'a Followers,
    number: u64,
    woken: Arc<Notify>,
}

impl Place<'_> {
    /// Until there is something to read.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.followers.locked().by_number.remove(&self.number);
    }
}

impl Followers {
    /// So many may wait at once; each holds the place of a request.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            all: Mutex::default(),
            came: Notify::new(),
            most,
        }
    }

    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place to wait at.
    ///
    /// # Errors
    /// When too many wait already, for this workspace or in all.
    pub(crate) fn join(&self, followed: Followed) -> Result<Place<'_>, Refusal> {
        let mut all = self.locked();
        let of = |workspace: WorkspaceId| {
            let same = all.by_number.values();
            same.filter(|(f, _)| f.workspace == workspace).count()
        };
        if of(followed.workspace) >= MOST_OF_A_WORKSPACE {
            return Err(Refusal::TooManyFollowers);
        }
        if all.by_number.len() >= self.most {
            return Err(Refusal::Busy);
        }
        let woken = Arc::new(Notify::new());
        let number = all.next;
        all.next += 1;
        all.by_number.insert(number, (followed, Arc::clone(&woken)));
        drop(all);
        self.came.notify_one();
        Ok(Place {
            followers: self,
            number,
            woken,
        })
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.locked().by_number.len()
    }

    /// What to ask the store: for each portal of a workspace from the earliest place on, and whom to
    /// wake.
    fn asked(&self) -> (Vec<Followed>, Vec<Vec<Arc<Notify>>>) {
        let mut of: BTreeMap<_, (Followed, Vec<Arc<Notify>>)> = BTreeMap::new();
        for (followed, woken) in self.locked().by_number.values() {
            let (earliest, all) = of
                .entry((followed.workspace, followed.portal))
                .or_insert_with(|| (*followed, Vec::new()));
            earliest.seen = earliest.seen.min(followed.seen);
            all.push(Arc::clone(woken));
        }
        of.into_values().unzip()
    }
}

/// Asks for all who wait, as long as the process runs.
pub(crate) async fn wake(app: App) {
    loop {
        let came = app.followers.came.notified();
        if app.followers.count() == 0 {
            came.await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let (asked, to_wake) = app.followers.asked();
        let Ok(parts) = app.parts() else {
            continue;
        };
        if asked.is_empty() {
            continue;
        }
        match parts.store.has_changes(&asked).await {
            Ok(places) => {
                let woken = places.into_iter().filter_map(|place| to_wake.get(place));
                woken.flatten().for_each(|w| w.notify_one());
            }
            Err(error) => {
                tracing::warn!(code = error.code(), error = %error, "changes could not be looked for");
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::PortalId;
    use uuid::Uuid;

    use super::*;

    fn followed(workspace: u128, seen: i64) -> Followed {
        Followed {
            workspace: WorkspaceId::new(Uuid::from_u128(workspace)),
            portal: PortalId::new(1).unwrap(),
            seen,
        }
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let followers = Followers::new(10);
        let mut held: Vec<_> = (0..8)
            .map(|n| followers.join(followed(1, n)).ok().unwrap())
            .collect();
        assert_eq!(
            followers.join(followed(1, 9)).err(),
            Some(Refusal::TooManyFollowers)
        );
        held.push(followers.join(followed(2, 9)).ok().unwrap());
        held.push(followers.join(followed(3, 9)).ok().unwrap());
        assert_eq!(followers.join(followed(4, 9)).err(), Some(Refusal::Busy));
        assert_eq!(followers.count(), 10);
        drop(held.remove(0));
        assert!(followers.join(followed(4, 9)).is_ok());
    }

    #[tokio::test]
    async fn one_question_serves_all_of_a_workspace() {
        let followers = Followers::new(10);
        let one = followers.join(followed(1, 7)).ok().unwrap();
        let other = followers.join(followed(1, 5)).ok().unwrap();
        let _stranger = followers.join(followed(2, 9)).ok().unwrap();
        let (asked, to_wake) = followers.asked();
        assert_eq!(asked, [followed(1, 5), followed(2, 9)]);
        to_wake[0].iter().for_each(|w| w.notify_one());
        // Both were told, also before they listened.
        one.woken().await;
        other.woken().await;
    }
}
