//! The Temporal Schedule that starts a workspace's `PeriodicSync` (design §3). What it ought to be
//! follows from the store, whoever asks: nobody hands a wish over.
//!
//! The SDK's own calls leave out search attributes, time-outs and priority, and its update would write
//! an encrypted input back in clear; so the requests are made here.

use std::time::Duration;

use domain::{
    ConnectionPhase, ConnectionState, PortalId, Urgency, WorkspaceId, periodic,
    settings::{ActivityContext, ImportSettings},
};
use futures::StreamExt as _;
use store::StoreError;
use temporalio_client::{
    Client,
    grpc::WorkflowService,
    schedules::{ListSchedulesOptions, ScheduleError},
    tonic::{Code, IntoRequest as _, Status},
};
use temporalio_common::{
    data_converters::{
        PayloadConversionError, SerializationContextData, WorkflowSerializationContext,
    },
    protos::temporal::api::{
        common::v1::{Payloads, WorkflowType},
        enums::v1::ScheduleOverlapPolicy,
        schedule::v1 as proto,
        taskqueue::v1::TaskQueue as ProtoTaskQueue,
        workflow::v1::NewWorkflowExecutionInfo,
        workflowservice::v1::{
            CreateScheduleRequest, DescribeScheduleRequest, PatchScheduleRequest,
            UpdateScheduleRequest,
        },
    },
};
use workflows::{
    activities::ScheduleState,
    names::{self, TaskQueue},
    periodic_sync::PeriodicSyncInput,
};

use crate::Deps;

/// Longer than a run takes that is not a long catch-up; those continue as new before.
const RUN_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);
/// Temporal does not take less.
const SHORTEST_CATCH_UP: Duration = Duration::from_secs(10);
/// What a paused schedule says.
const WAITS: &str = "HubSpot refused the tokens: waits for somebody to connect again";
/// What a running one says.
const RUNS: &str = "kept by hubspot-sync";

/// Why a schedule is not as it ought to be. It is looked at again by `Sweep`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unkept {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Temporal did not do it: {0:?}")]
    Temporal(Code),
    #[error("the input of a workflow cannot be written")]
    Input,
}

impl From<Status> for Unkept {
    fn from(status: Status) -> Self {
        Self::Temporal(status.code())
    }
}

impl From<ScheduleError> for Unkept {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Rpc(status) => status.into(),
            _ => Self::Input,
        }
    }
}

impl From<PayloadConversionError> for Unkept {
    fn from(_: PayloadConversionError) -> Self {
        Self::Input
    }
}

/// A schedule as those who list schedules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) paused: bool,
}

/// The settings about reading that are in force.
pub(crate) async fn import_settings(
    deps: &Deps,
    workspace: WorkspaceId,
) -> Result<ImportSettings, StoreError> {
    Ok(reading_settings(deps, workspace).await?.0)
}

/// The same, with whether engagements of other reps are read (I10).
pub(crate) async fn reading_settings(
    deps: &Deps,
    workspace: WorkspaceId,
) -> Result<(ImportSettings, ActivityContext), StoreError> {
    match deps.store.settings(workspace).await? {
        Some(row) => domain::settings::read(row.document)
            .map(|settings| (settings.import, settings.activity_context))
            .map_err(|_| StoreError::Corrupt("settings")),
        None => Ok((ImportSettings::default(), ActivityContext::default())),
    }
}

/// The time between two runs of a workspace: by its settings, unless this process is told otherwise.
pub(crate) fn interval(deps: &Deps, import: &ImportSettings) -> Duration {
    deps.periodic
        .interval
        .unwrap_or_else(|| periodic::interval(import))
}

/// All schedules of periodic syncs, by workspace.
pub(crate) async fn shown(client: &Client) -> Result<Vec<(WorkspaceId, Shown)>, Unkept> {
    let mut listed = client.list_schedules(ListSchedulesOptions::default());
    let mut all = Vec::new();
    while let Some(schedule) = listed.next().await {
        let schedule = schedule?;
        if let Some(workspace) = names::workspace_of_schedule(schedule.schedule_id()) {
            let paused = schedule.paused();
            all.push((workspace, Shown { paused }));
        }
    }
    Ok(all)
}

/// Makes the schedule of a workspace what it ought to be: there while connected, paused while the
/// connection waits for somebody, gone else. Says what it is now.
pub(crate) async fn keep(deps: &Deps, workspace: WorkspaceId) -> Result<ScheduleState, Unkept> {
    let connection = deps.store.connection(workspace).await?;
    let client = &deps.temporal;
    let (portal, paused) = match connection.map(|c| (c.state, c.portal)) {
        Some((ConnectionState::Connected, portal)) => (portal, false),
        Some((ConnectionState::NeedsReconnect, portal)) => (portal, true),
        _ => {
            remove(client, workspace).await?;
            return Ok(ScheduleState::Gone);
        }
    };
    let (import, context) = reading_settings(deps, workspace).await?;
    let interval = interval(deps, &import);
    let every: Vec<_> = periodic::types(&import, &context)
        .into_iter()
        .map(|t| (t, periodic::every(t, interval)))
        .collect();
    deps.store.note_intervals(workspace, portal, &every).await?;
    let wanted = schedule(client, workspace, portal, interval, paused).await?;
    let state = if paused {
        ScheduleState::Paused
    } else {
        ScheduleState::Running
    };
    match describe(client, workspace).await? {
        None => create(client, workspace, portal, wanted).await?,
        Some((now, _)) if is_as_wanted(&now, &wanted) => {}
        Some((now, token)) => {
            let was_paused = now.state.is_some_and(|s| s.paused);
            update(client, workspace, portal, wanted, token).await?;
            // What changed meanwhile need not wait for another interval.
            if was_paused && !paused {
                trigger(client, workspace).await?;
            }
        }
    }
    Ok(state)
}

/// Whether a schedule is what it ought to be, as far as anybody may have changed it.
fn is_as_wanted(now: &proto::Schedule, wanted: &proto::Schedule) -> bool {
    let paused = |s: &proto::Schedule| s.state.as_ref().is_some_and(|s| s.paused);
    let intervals = |s: &proto::Schedule| {
        let of = |i: &proto::IntervalSpec| {
            let interval = i.interval.as_ref().map_or(0, |d| d.seconds);
            (interval, i.phase.as_ref().map_or(0, |d| d.seconds))
        };
        let spec = s.spec.as_ref()?;
        Some(spec.interval.iter().map(of).collect::<Vec<_>>())
    };
    let input = |s: &proto::Schedule| match s.action.as_ref()?.action.as_ref()? {
        proto::schedule_action::Action::StartWorkflow(start) => {
            Some((start.input.clone(), start.task_queue.as_ref()?.name.clone()))
        }
    };
    paused(now) == paused(wanted)
        && intervals(now) == intervals(wanted)
        && input(now) == input(wanted)
}

async fn schedule(
    client: &Client,
    workspace: WorkspaceId,
    portal: PortalId,
    interval: Duration,
    paused: bool,
) -> Result<proto::Schedule, Unkept> {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let input = PeriodicSyncInput {
        workspace,
        portal,
        left: None,
    };
    let payloads = client
        .options()
        .data_converter
        .to_payloads(&context, &input)
        .await?;
    let action = NewWorkflowExecutionInfo {
        workflow_id: names::periodic_sync_id(workspace),
        workflow_type: Some(WorkflowType {
            name: names::PERIODIC_SYNC.to_owned(),
        }),
        task_queue: Some(ProtoTaskQueue {
            name: TaskQueue::Main.name().to_owned(),
            ..Default::default()
        }),
        input: Some(Payloads { payloads }),
        workflow_run_timeout: Some(seconds(RUN_TIMEOUT)?),
        search_attributes: Some(attributes(workspace, portal)),
        priority: Some(names::priority(Urgency::Sync, Some(portal)).into()),
        ..Default::default()
    };
    Ok(proto::Schedule {
        spec: Some(proto::ScheduleSpec {
            interval: vec![proto::IntervalSpec {
                interval: Some(seconds(interval)?),
                phase: Some(seconds(periodic::phase(workspace, interval))?),
            }],
            ..Default::default()
        }),
        action: Some(proto::ScheduleAction {
            action: Some(proto::schedule_action::Action::StartWorkflow(action)),
        }),
        policies: Some(proto::SchedulePolicies {
            overlap_policy: ScheduleOverlapPolicy::Skip.into(),
            catchup_window: Some(seconds(interval.max(SHORTEST_CATCH_UP))?),
            ..Default::default()
        }),
        state: Some(proto::ScheduleState {
            paused,
            notes: if paused { WAITS } else { RUNS }.to_owned(),
            ..Default::default()
        }),
    })
}

fn attributes(
    workspace: WorkspaceId,
    portal: PortalId,
) -> temporalio_common::protos::temporal::api::common::v1::SearchAttributes {
    names::search_attributes(workspace, portal, ConnectionPhase::Syncing).into_proto()
}

fn seconds<T: TryFrom<Duration>>(duration: Duration) -> Result<T, Unkept> {
    T::try_from(duration).map_err(|_| Unkept::Input)
}

fn request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

async fn describe(
    client: &Client,
    workspace: WorkspaceId,
) -> Result<Option<(proto::Schedule, Vec<u8>)>, Unkept> {
    let request = DescribeScheduleRequest {
        namespace: client.options().namespace.clone(),
        schedule_id: names::schedule_id(workspace),
    };
    match WorkflowService::describe_schedule(&mut client.clone(), request.into_request()).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            Ok(answer
                .schedule
                .map(|schedule| (schedule, answer.conflict_token)))
        }
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

async fn create(
    client: &Client,
    workspace: WorkspaceId,
    portal: PortalId,
    schedule: proto::Schedule,
) -> Result<(), Unkept> {
    let request = CreateScheduleRequest {
        namespace: client.options().namespace.clone(),
        schedule_id: names::schedule_id(workspace),
        schedule: Some(schedule),
        request_id: request_id(),
        search_attributes: Some(attributes(workspace, portal)),
        ..Default::default()
    };
    match WorkflowService::create_schedule(&mut client.clone(), request.into_request()).await {
        Ok(_) => Ok(()),
        // Somebody else did.
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(status.into()),
    }
}

async fn update(
    client: &Client,
    workspace: WorkspaceId,
    portal: PortalId,
    schedule: proto::Schedule,
    conflict_token: Vec<u8>,
) -> Result<(), Unkept> {
    let request = UpdateScheduleRequest {
        namespace: client.options().namespace.clone(),
        schedule_id: names::schedule_id(workspace),
        schedule: Some(schedule),
        conflict_token,
        request_id: request_id(),
        search_attributes: Some(attributes(workspace, portal)),
        ..Default::default()
    };
    WorkflowService::update_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

async fn trigger(client: &Client, workspace: WorkspaceId) -> Result<(), Unkept> {
    let request = PatchScheduleRequest {
        namespace: client.options().namespace.clone(),
        schedule_id: names::schedule_id(workspace),
        patch: Some(proto::SchedulePatch {
            trigger_immediately: Some(proto::TriggerImmediatelyRequest {
                overlap_policy: ScheduleOverlapPolicy::Skip.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        request_id: request_id(),
        ..Default::default()
    };
    WorkflowService::patch_schedule(&mut client.clone(), request.into_request()).await?;
    Ok(())
}

async fn remove(client: &Client, workspace: WorkspaceId) -> Result<(), Unkept> {
    let handle = client.get_schedule_handle(names::schedule_id(workspace));
    match handle.delete(Default::default()).await {
        Ok(()) => Ok(()),
        Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}
