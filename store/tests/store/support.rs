//! What every test starts from.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use domain::{
    AdminId, Epoch, HubSpotObjectId, ObjectType, PortalId, ReadPlan, ResyncMode, ResyncRequest,
    SyncRunId, SyncType, WorkspaceId,
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use store::{
    AssociationRow, AuthKind, Batch, Connected, CursorKey, FoundBy, Listing, MirrorRow,
    NewConnection, NewCursor, NewTokens, PageOutcome, PortalStatus, QuarantineRow, RangeStep,
    RecordRows, RefusedConnect, RequestedResync, Rows, Step, Store, StoreError,
    testing::TestDatabase,
};
use uuid::Uuid;

/// No test takes longer; one that hangs fails.
fn deadline() -> Duration {
    let full = std::env::var("SOAK").is_ok_and(|soak| soak == "full");
    Duration::from_secs(if full { 600 } else { 60 })
}

pub(crate) async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(deadline(), test)
        .await
        .expect("the test ends before its deadline")
}

/// A moment, in seconds after an arbitrary one.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 5, 8, 0, 0).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn run_id(n: u128) -> SyncRunId {
    SyncRunId::new(Uuid::from_u128(n))
}

pub(crate) fn record(n: i64) -> HubSpotObjectId {
    HubSpotObjectId::new(n).unwrap()
}

pub(crate) fn portal(n: i64) -> PortalId {
    PortalId::new(n).unwrap()
}

pub(crate) fn row(id: i64, modified: i64, properties: &str) -> MirrorRow {
    MirrorRow {
        id: record(id),
        properties: properties.to_owned(),
        created_at: Some(at(-1000)),
        modified_at: at(modified),
        archived: false,
    }
}

pub(crate) fn tokens(access: &str, refresh: &str) -> NewTokens {
    NewTokens {
        access: SecretString::from(access),
        refresh: Some(SecretString::from(refresh)),
        lifetime: Some(TimeDelta::seconds(1_800)),
    }
}

pub(crate) fn text(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

pub(crate) fn resync(types: &[SyncType], mode: ResyncMode) -> ResyncRequest {
    ResyncRequest {
        types: types.to_vec(),
        mode,
    }
}

/// A reader of a claimed run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) run: SyncRunId,
    pub(crate) epoch: Epoch,
    pub(crate) sync_type: SyncType,
}

/// A page: the step and the batch of one reader, in one.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) workspace: WorkspaceId,
    pub(crate) portal: PortalId,
    pub(crate) epoch: Epoch,
    pub(crate) run: SyncRunId,
    pub(crate) sync_type: SyncType,
    pub(crate) range: Option<RangeStep>,
    pub(crate) expected_version: i64,
    pub(crate) position: Option<String>,
    pub(crate) finished: bool,
    pub(crate) read_at: DateTime<Utc>,
    pub(crate) rows: Vec<MirrorRow>,
    /// Known whole of all rows.
    pub(crate) associated_types: Vec<ObjectType>,
    pub(crate) associations: Vec<AssociationRow>,
    pub(crate) quarantine: Vec<QuarantineRow>,
    pub(crate) found_by: FoundBy,
    pub(crate) listing: Listing,
    /// What the page brings, if not records.
    pub(crate) other: Option<Rows>,
    pub(crate) merged: std::collections::BTreeMap<HubSpotObjectId, HubSpotObjectId>,
    pub(crate) missing: std::collections::BTreeSet<HubSpotObjectId>,
    pub(crate) span: Option<store::Span>,
}

impl Page {
    pub(crate) fn of(self, rows: Rows) -> Self {
        Self {
            other: Some(rows),
            ..self
        }
    }

    /// The last of a whole listing.
    pub(crate) fn ends(self) -> Self {
        Self {
            listing: Listing::Ends { said: None },
            ..self
        }
    }

    pub(crate) fn split(self) -> (Step, Batch) {
        let ids: std::collections::BTreeSet<_> = self.rows.iter().map(|row| row.id).collect();
        let answered = self
            .associated_types
            .iter()
            .map(|to_type| (*to_type, ids.clone()))
            .collect();
        let rows = match (self.other, self.sync_type) {
            (Some(rows), _) => rows,
            (None, SyncType::Owners) => Rows::Owners(Vec::new()),
            (None, SyncType::Properties) => Rows::Properties(ObjectType::Contact, Vec::new()),
            (None, SyncType::Pipelines) => Rows::Pipelines(Vec::new()),
            (None, SyncType::Lists) => Rows::Lists(Vec::new()),
            (None, records) => Rows::Records(RecordRows {
                object_type: records.object_type().expect("a type of records"),
                found_by: self.found_by,
                rows: self.rows,
                answered,
                associations: self.associations,
                merged: self.merged,
                missing: self.missing,
            }),
        };
        let step = Step {
            workspace: self.workspace,
            portal: self.portal,
            epoch: self.epoch,
            run: Some(self.run),
            sync_type: self.sync_type,
            purpose: domain::Purpose::Run,
            range: self.range,
            expected_version: self.expected_version,
            position: self.position,
            finished: self.finished,
            newest: None,
            served_at: None,
        };
        let batch = Batch {
            read_at: self.read_at,
            rows,
            quarantine: self.quarantine,
            listing: self.listing,
            unanswered: Vec::new(),
            settled: Vec::new(),
            span: self.span,
            reread: Vec::new(),
            tail: None,
        };
        (step, batch)
    }
}

/// Commits a page in one.
pub(crate) trait Commit {
    async fn commit_page(&self, page: Page, now: DateTime<Utc>) -> Result<PageOutcome, StoreError>;
}

impl Commit for Store {
    async fn commit_page(&self, page: Page, now: DateTime<Utc>) -> Result<PageOutcome, StoreError> {
        let (step, batch) = page.split();
        self.commit(&step, batch, now).await
    }
}

/// One workspace in a database of its own.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) url: String,
    /// For looking at tables and for holding locks.
    pub(crate) raw: PgPool,
    pub(crate) workspace: WorkspaceId,
    pub(crate) portal: PortalId,
}

impl World {
    pub(crate) async fn new() -> Self {
        let TestDatabase { store, url } = TestDatabase::create().await;
        let raw = PgPool::connect(&url).await.unwrap();
        let workspace = WorkspaceId::new(Uuid::from_u128(1));
        store.ensure_workspace(workspace, at(0)).await.unwrap();
        Self {
            store,
            url,
            raw,
            workspace,
            portal: portal(4711),
        }
    }

    pub(crate) async fn try_connect(
        &self,
        portal: PortalId,
        run: SyncRunId,
        now: DateTime<Utc>,
    ) -> Result<Connected, RefusedConnect> {
        connect(&self.store, self.workspace, portal, run, now).await
    }

    /// Connects with run 1, access token `access-1` and refresh token `refresh-1`.
    pub(crate) async fn connected() -> (Self, Connected) {
        let world = Self::new().await;
        let connected = world
            .try_connect(world.portal, run_id(1), at(0))
            .await
            .unwrap();
        (world, connected)
    }

    /// Claims the run that waits and begins a reader of it.
    pub(crate) async fn reader(&self, sync_type: SyncType, now: DateTime<Utc>) -> Reader {
        let plan = self
            .store
            .claim_run(self.workspace, now)
            .await
            .unwrap()
            .unwrap();
        let reader = Reader {
            run: plan.run.run,
            epoch: plan.epoch,
            sync_type,
        };
        self.begin(reader, ReadPlan::List, now).await;
        reader
    }

    pub(crate) async fn status(&self) -> PortalStatus {
        let status = self.store.portal_status(self.workspace, self.portal);
        status.await.unwrap()
    }

    /// The cursor of a reader.
    pub(crate) const fn key(&self, reader: Reader) -> CursorKey {
        CursorKey::of_run(self.workspace, self.portal, reader.run, reader.sync_type)
    }

    pub(crate) async fn begin(&self, reader: Reader, plan: ReadPlan, now: DateTime<Utc>) {
        let new = NewCursor {
            key: self.key(reader),
            plan,
            total: None,
            last_id: None,
            read_began_at: now,
        };
        self.store.begin_cursor(&new).await.unwrap();
    }

    /// A page without records, read one second after its version number.
    pub(crate) fn page(&self, reader: Reader, expected_version: i64) -> Page {
        Page {
            workspace: self.workspace,
            portal: self.portal,
            epoch: reader.epoch,
            run: reader.run,
            sync_type: reader.sync_type,
            range: None,
            expected_version,
            position: Some(format!("after-{expected_version}")),
            finished: false,
            read_at: at(expected_version + 1),
            rows: Vec::new(),
            associated_types: Vec::new(),
            associations: Vec::new(),
            quarantine: Vec::new(),
            found_by: FoundBy::Direct,
            listing: Listing::Open,
            other: None,
            merged: Default::default(),
            missing: Default::default(),
            span: None,
        }
    }

    /// Commits the last page of a reader that never committed one, and ends its run.
    pub(crate) async fn read_to_the_end(&self, reader: Reader, now: DateTime<Utc>) {
        let page = Page {
            finished: true,
            position: None,
            ..self.page(reader, 0)
        };
        assert_eq!(
            self.store.commit_page(page, now).await.unwrap(),
            committed(1)
        );
        self.store.finish_run(reader.run, now).await.unwrap();
    }

    pub(crate) async fn resync(
        &self,
        request: &ResyncRequest,
        id: u128,
        now: DateTime<Utc>,
    ) -> RequestedResync {
        self.store
            .request_resync(self.workspace, request, run_id(id), now)
            .await
            .unwrap()
    }

    pub(crate) async fn disconnect(&self, now: DateTime<Utc>) {
        self.store.raise_fence(self.workspace, now).await.unwrap();
        self.store.erase_tokens(self.workspace, now).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.raw).await.unwrap()
    }

    /// Until so many statements of this database wait for locks.
    pub(crate) async fn until_blocked(&self, statements: i64) {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        let blocked = async {
            loop {
                looks.tick().await;
                let now = self
                    .count(
                        "select count(*) from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock'",
                    )
                    .await;
                if now >= statements {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), blocked)
            .await
            .expect("the statements wait for a lock");
    }
}

pub(crate) async fn connect(
    store: &Store,
    workspace: WorkspaceId,
    portal: PortalId,
    run: SyncRunId,
    now: DateTime<Utc>,
) -> Result<Connected, RefusedConnect> {
    let new = NewConnection {
        workspace,
        portal,
        auth_kind: AuthKind::OAuth,
        tokens: tokens("access-1", "refresh-1"),
        scopes: vec!["crm.objects.contacts.read".to_owned()],
        admin: AdminId::new(Uuid::from_u128(7)),
        run,
    };
    store.connect_workspace(&new, now).await.unwrap()
}

pub(crate) const fn committed(version: i64) -> PageOutcome {
    PageOutcome::Committed {
        version,
        refused: 0,
    }
}
