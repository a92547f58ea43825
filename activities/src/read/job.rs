//! What a reader works for, and why it stops.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use chrono::Utc;
use domain::{Epoch, ObjectType, PageSize, ReadPart, SyncType, backfill::needed_properties};
use hubspot::Client;
use store::{Batch, CursorKey, PageOutcome, Refusal, Step};

use crate::{Deps, failure};

/// Why a reader stops before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// HubSpot did not do it.
    HubSpot(hubspot::Error),
    /// The store did not do it.
    Store(store::StoreError),
    /// No attempt mends it.
    Defect(&'static str),
    /// The connection is no longer in its epoch.
    Fenced,
    /// Another attempt is at work, from the place that is in the store.
    Lost,
    /// The source does not go by id, so that ranges of ids mean nothing.
    NotById,
}

impl From<hubspot::Error> for Stop {
    fn from(error: hubspot::Error) -> Self {
        match error {
            hubspot::Error::Fenced => Self::Fenced,
            error => Self::HubSpot(error),
        }
    }
}

impl From<store::StoreError> for Stop {
    fn from(error: store::StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a reader works for: one cursor, in one epoch.
pub(crate) struct Job<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) client: Client,
    pub(crate) key: CursorKey,
    pub(crate) epoch: Epoch,
    /// Whether the time is over, or somebody wants it to end.
    pub(crate) over: &'a (dyn Fn() -> bool + Send + Sync),
    /// Records done, for whoever looks.
    pub(crate) done: &'a AtomicU64,
    /// Whether anything was committed.
    pub(crate) moved: &'a AtomicBool,
    pub(crate) size: Mutex<PageSize>,
    /// Properties to ask for beside those that are always needed.
    pub(crate) mapped: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Job<'a> {
    /// The same for another cursor.
    pub(crate) fn of(&self, key: CursorKey, size: Option<u32>) -> Job<'a> {
        Job {
            deps: self.deps,
            client: self.client.clone(),
            key,
            epoch: self.epoch,
            over: self.over,
            done: self.done,
            moved: self.moved,
            size: Mutex::new(PageSize::new(size)),
            mapped: Mutex::new(lock(&self.mapped).clone()),
        }
    }

    /// How many records a page were asked for when the cursor was left.
    pub(crate) fn remember(&self, size: Option<u32>) {
        *lock(&self.size) = PageSize::new(size);
    }

    /// Which properties are asked for beside those that are always needed, from here on.
    pub(crate) fn ask_for(&self, mapped: &[String]) {
        *lock(&self.mapped) = mapped.to_vec();
    }

    /// The properties that are asked for of records of a type.
    pub(crate) fn properties(&self, read: ObjectType) -> Vec<String> {
        needed_properties(read)
            .iter()
            .map(|name| (*name).to_owned())
            .chain(lock(&self.mapped).iter().cloned())
            .collect()
    }

    pub(crate) const fn sync_type(&self) -> SyncType {
        self.key.sync_type
    }

    /// Whether the time is over, or somebody wants it to end.
    pub(crate) fn is_over(&self) -> bool {
        (self.over)()
    }

    /// Commits what a page brought with the step that it is: the reader's version from now on; none
    /// when a listing shrank, and nothing was written.
    pub(crate) async fn commit(&self, step: &Step, batch: Batch) -> Result<Option<i64>, Stop> {
        let began = Instant::now();
        let records = batch.rows.count();
        let quarantined: Vec<_> = batch.quarantine.iter().map(|q| q.reason).collect();
        match self.deps.store.commit(step, batch, Utc::now()).await? {
            PageOutcome::Committed { version, .. } => {
                self.deps.pulse.progress();
                self.deps
                    .metrics
                    .page(self.sync_type(), records, began.elapsed().as_secs_f64());
                for reason in quarantined {
                    self.deps.metrics.quarantined(self.sync_type(), reason);
                }
                self.done.fetch_add(records, Ordering::Relaxed);
                if !self.moved.swap(true, Ordering::Relaxed) {
                    let CursorKey {
                        workspace,
                        portal,
                        sync_type,
                        ..
                    } = self.key;
                    let store = &self.deps.store;
                    store.clear_trouble(workspace, portal, sync_type).await?;
                }
                Ok(Some(version))
            }
            PageOutcome::Shrunk {
                known,
                brought,
                said,
            } => {
                tracing::warn!(
                    workspace = %self.key.workspace,
                    object_type = %self.sync_type(),
                    known,
                    brought,
                    said,
                    "a listing shrank"
                );
                Ok(None)
            }
            PageOutcome::Fenced => Err(Stop::Fenced),
            PageOutcome::LostCursor => Err(Stop::Lost),
        }
    }

    /// The step from a version of the cursor to a place.
    pub(crate) const fn step(&self, expected_version: i64, position: Option<String>) -> Step {
        Step {
            workspace: self.key.workspace,
            portal: self.key.portal,
            epoch: self.epoch,
            run: self.key.run,
            sync_type: self.key.sync_type,
            purpose: self.key.purpose,
            range: None,
            expected_version,
            position,
            finished: false,
            newest: None,
            served_at: None,
        }
    }

    /// How many records to ask an endpoint for that gives `most`.
    pub(super) fn page_size(&self, most: u32) -> u32 {
        lock(&self.size).of(most)
    }

    /// A page of this size came.
    pub(super) async fn went_well(&self, asked: u32, most: u32) -> Result<(), Stop> {
        let grown = {
            let mut size = lock(&self.size);
            size.went_well(asked, most).then(|| size.remembered())
        };
        if let Some(size) = grown {
            self.deps.store.set_page_size(&self.key, size).await?;
        }
        Ok(())
    }

    /// A page of this size failed as often as the client asks. Whether a smaller one is to be tried.
    pub(super) async fn failed(&self, asked: u32) -> Result<bool, Stop> {
        let (smaller, size) = {
            let mut size = lock(&self.size);
            (size.failed(asked), size.remembered())
        };
        if smaller {
            tracing::info!(object_type = %self.sync_type(), asked, size, "a page fails at this size");
            self.deps.store.set_page_size(&self.key, size).await?;
        }
        Ok(smaller)
    }

    /// Shows that something went wrong, and is tried again.
    pub(crate) async fn note_trouble(&self, error: &hubspot::Error) -> Result<(), Stop> {
        self.note_code(failure::code_of(error)).await
    }

    pub(crate) async fn note_code(&self, code: &str) -> Result<(), Stop> {
        let CursorKey {
            workspace,
            portal,
            sync_type,
            ..
        } = self.key;
        let code = code
            .parse()
            .map_err(|_| Stop::Defect("a code of ours is none"))?;
        self.deps.metrics.trouble(sync_type, &code);
        let store = &self.deps.store;
        store
            .note_trouble(workspace, portal, sync_type, &code)
            .await?;
        Ok(())
    }

    /// Notes that HubSpot refuses a part of the type, which is left out.
    pub(super) async fn note_refusal(
        &self,
        part: ReadPart,
        error: &hubspot::Error,
    ) -> Result<(), Stop> {
        let refusal = refusal_of(part, error)?;
        self.deps.store.note_refusal(&self.key, &refusal).await?;
        Ok(())
    }
}

/// Whether HubSpot refuses this read whoever asks again, so that only a person can help.
pub(crate) fn is_refusal(error: &hubspot::Error) -> bool {
    use hubspot::ErrorClass;
    matches!(
        error.class(),
        ErrorClass::ScopeMissing
            | ErrorClass::Forbidden
            | ErrorClass::Invalid
            | ErrorClass::NotFound
            | ErrorClass::Conflict
            | ErrorClass::PortalRule
            | ErrorClass::PagingStuck
    )
}

/// A refusal with our code, and the scopes or the field that HubSpot named.
pub(crate) fn refusal_of(part: ReadPart, error: &hubspot::Error) -> Result<Refusal, Stop> {
    let scopes = match error {
        hubspot::Error::ScopeMissing { scopes } => scopes.clone(),
        _ => Vec::new(),
    };
    let field = match error {
        hubspot::Error::Invalid { problems, .. } => {
            problems.iter().find_map(|problem| problem.property.clone())
        }
        _ => None,
    };
    Ok(Refusal {
        part,
        code: failure::code_of(error)
            .parse()
            .map_err(|_| Stop::Defect("a code of ours is none"))?,
        scopes,
        field,
    })
}
