//! How fast pages go in: `DATABASE_URL=… cargo run -p store --example commit_speed [records per type]`.
#![allow(
    clippy::print_stdout,
    reason = "a measurement for the one who started it"
)]

use std::time::Instant;

use chrono::Utc;
use domain::{
    AdminId, HubSpotObjectId, ObjectType, PortalId, ReadPlan, SyncRunId, SyncType, WorkspaceId,
};
use secrecy::SecretString;
use store::{
    AssociationRow, AuthKind, Batch, CursorKey, FoundBy, Listing, MirrorRow, NewConnection,
    NewCursor, NewTokens, PageOutcome, RecordRows, Rows, RunPlan, Step, Store,
    testing::TestDatabase,
};
use uuid::Uuid;

const PER_PAGE: i64 = 100;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let per_type: i64 = std::env::args()
        .nth(1)
        .map_or(Ok(20_000), |text| text.parse())?;
    let store = TestDatabase::create().await.store;
    let (workspace, now) = (WorkspaceId::new(Uuid::from_u128(1)), Utc::now());
    store.ensure_workspace(workspace, now).await?;
    let new = NewConnection {
        workspace,
        portal: PortalId::new(1)?,
        auth_kind: AuthKind::Static,
        tokens: NewTokens {
            access: SecretString::from("none"),
            refresh: None,
            lifetime: None,
        },
        scopes: vec![],
        admin: AdminId::new(Uuid::from_u128(1)),
        run: SyncRunId::new(Uuid::from_u128(1)),
    };
    store
        .connect_workspace(&new, now)
        .await?
        .map_err(|refused| format!("not connected: {refused:?}"))?;
    let plan = store
        .claim_run(workspace, now)
        .await?
        .ok_or("no run to read")?;
    let began = Instant::now();
    let readers: Vec<_> = [SyncType::Contacts, SyncType::Companies, SyncType::Deals]
        .into_iter()
        .map(|sync_type| tokio::spawn(read(store.clone(), plan.clone(), sync_type, per_type)))
        .collect();
    let mut records = 0;
    for reader in readers {
        records += reader.await??;
    }
    let took = began.elapsed();
    println!(
        "{records} records in {:.2} s: {:.0} records/s",
        took.as_secs_f64(),
        records as f64 / took.as_secs_f64()
    );
    Ok(())
}

async fn read(
    store: Store,
    plan: RunPlan,
    sync_type: SyncType,
    records: i64,
) -> Result<i64, Failure> {
    let now = Utc::now();
    let new = NewCursor {
        key: CursorKey::of_run(plan.run.workspace, plan.run.portal, plan.run.run, sync_type),
        plan: ReadPlan::List,
        total: None,
        last_id: None,
        read_began_at: now,
    };
    store.begin_cursor(&new).await?;
    let pages = records / PER_PAGE;
    for version in 0..pages {
        let ids = version * PER_PAGE..(version + 1) * PER_PAGE;
        let records: Vec<MirrorRow> = ids.clone().map(row).collect::<Result<_, _>>()?;
        let step = Step {
            workspace: plan.run.workspace,
            portal: plan.run.portal,
            epoch: plan.epoch,
            run: Some(plan.run.run),
            sync_type,
            purpose: domain::Purpose::Run,
            range: None,
            expected_version: version,
            position: Some(ids.end.to_string()),
            finished: version + 1 == pages,
            newest: None,
            served_at: None,
        };
        let associated = sync_type != SyncType::Companies;
        let batch = Batch {
            read_at: now,
            rows: Rows::Records(RecordRows {
                found_by: FoundBy::Direct,
                object_type: sync_type.object_type().ok_or("a type without records")?,
                answered: associated
                    .then(|| {
                        let read = records.iter().map(|row| row.id).collect();
                        (ObjectType::Company, read)
                    })
                    .into_iter()
                    .collect(),
                associations: if associated {
                    ids.map(association).collect::<Result<_, _>>()?
                } else {
                    vec![]
                },
                rows: records,
                merged: Default::default(),
                missing: Default::default(),
            }),
            quarantine: vec![],
            listing: Listing::Open,
            unanswered: vec![],
            settled: vec![],
            span: None,
            reread: vec![],
            tail: None,
        };
        match store.commit(&step, batch, now).await? {
            PageOutcome::Committed { .. } => {}
            other => return Err(format!("page {version} was not stored: {other:?}").into()),
        }
    }
    Ok(pages * PER_PAGE)
}

/// About 1 kB in 25 properties, as a contact has them.
fn row(id: i64) -> Result<MirrorRow, Failure> {
    let properties: Vec<String> = (0..25)
        .map(|n| format!(r#""property_{n:02}":"value {id:010} {n:02} abcdef""#))
        .collect();
    Ok(MirrorRow {
        id: HubSpotObjectId::new(id)?,
        properties: format!("{{{}}}", properties.join(",")),
        created_at: Some(Utc::now()),
        modified_at: Utc::now(),
        archived: false,
    })
}

fn association(from: i64) -> Result<AssociationRow, Failure> {
    Ok(AssociationRow {
        from: HubSpotObjectId::new(from)?,
        to_type: ObjectType::Company,
        to: HubSpotObjectId::new(from / 5)?,
        labels: vec!["primary".to_owned()],
    })
}
