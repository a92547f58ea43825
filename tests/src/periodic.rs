//! Periodic syncs of a tenant: its schedule in Temporal, and what a run of it did.

use std::time::{Duration, Instant};

use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions,
    schedules::{ScheduleHandle, ScheduleOverlapPolicy},
};
use workflows::{PeriodicSync, names, periodic_sync::PeriodicSyncStatus};

use crate::Tenant;

/// A client of the stack's Temporal.
///
/// # Panics
/// When it does not answer.
pub async fn temporal(address: &str) -> Client {
    let url: url::Url = format!("http://{address}").parse().expect("an address");
    let options = ConnectionOptions::new(url).identity("e2e").build();
    let connection = Connection::connect(options).await.expect("Temporal");
    Client::new(connection, ClientOptions::new("default".to_owned()).build()).expect("a client")
}

/// The schedule of a tenant.
pub async fn schedule(tenant: &Tenant) -> ScheduleHandle<Client> {
    let client = temporal(&tenant.api.addresses().temporal).await;
    client.get_schedule_handle(names::schedule_id(tenant.workspace))
}

/// How a schedule is: none while there is none, else whether it is paused.
pub async fn paused(schedule: &ScheduleHandle<Client>) -> Option<bool> {
    let described = schedule.describe(Default::default()).await;
    described.ok().map(|d| d.paused())
}

/// Waits until the schedule is as wanted: none for gone, else paused or not.
///
/// # Panics
/// When it does not come in time.
pub async fn wait_for_schedule(tenant: &Tenant, wanted: Option<bool>, within: Duration) {
    let schedule = schedule(tenant).await;
    let deadline = Instant::now() + within;
    loop {
        let is = paused(&schedule).await;
        if is == wanted {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the schedule is {is:?} and not {wanted:?} (paused) within {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Triggers the schedule: the id of the workflow that it started.
///
/// # Panics
/// When it starts none.
pub async fn trigger(tenant: &Tenant) -> String {
    wait_for_schedule(tenant, Some(false), Duration::from_secs(30)).await;
    let schedule = schedule(tenant).await;
    let known = schedule.describe(Default::default()).await.expect("it is");
    let known: Vec<String> = known
        .recent_actions()
        .into_iter()
        .map(|a| a.run_id)
        .collect();
    schedule
        .trigger(ScheduleOverlapPolicy::AllowAll, Default::default())
        .await
        .expect("Temporal takes it");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let now = schedule.describe(Default::default()).await.expect("it is");
        let started = now
            .recent_actions()
            .into_iter()
            .find(|a| !known.contains(&a.run_id) && !a.workflow_id.is_empty());
        if let Some(started) = started {
            return started.workflow_id;
        }
        assert!(Instant::now() < deadline, "the schedule started nothing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits for a periodic sync to end.
///
/// # Panics
/// When it does not end in time, or fails.
pub async fn result(tenant: &Tenant, workflow: &str, within: Duration) -> PeriodicSyncStatus {
    let client = temporal(&tenant.api.addresses().temporal).await;
    let handle = client.get_workflow_handle::<PeriodicSync>(workflow);
    tokio::time::timeout(within, handle.get_result(Default::default()))
        .await
        .expect("the sync ends in time")
        .expect("the sync does not fail")
}

/// One periodic sync, from its trigger to its end.
///
/// # Panics
/// When it does not end well.
pub async fn sync(tenant: &Tenant) -> PeriodicSyncStatus {
    let workflow = trigger(tenant).await;
    let status = result(tenant, &workflow, Duration::from_secs(180)).await;
    assert_eq!(
        status.end,
        workflows::activities::SyncEnd::Finished,
        "{status:?}"
    );
    status
}
