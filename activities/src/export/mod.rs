//! The activities of `ContactExport`. What they promise is said at their declarations.

mod bulk;
mod company;
mod contact;
mod entries;
mod ground;
mod planning;
mod preview;
mod reading;
mod recheck;
mod refusals;
mod revert;
mod run;
mod stop;
mod takeover;
mod timeline;
mod wire;

pub use bulk::BulkExporting;
pub(crate) use bulk::{start as start_bulk, start_due};
pub(crate) use ground::Grounds;
pub use preview::Previewing;
pub use recheck::Rechecking;
pub(crate) use recheck::start as start_recheck;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use domain::{
    Urgency,
    export::{
        ExportCause, FailReason, RequestId, RequestOutcome, SkipReason, WaitReason,
        coalesce::{Pending, Together, together},
        journal::Cause,
        policy::Standing,
    },
};
use store::{DrainFacts, DueExport, ExportEnd, RequestsEnd, WriterHold};
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    ContactExport,
    activities::{ExportInput, ExportReport, declared},
    contact_export::ContactExportInput,
    names::{self, TaskQueue},
};

use self::{
    ground::Ground,
    run::{Exporting, REFUSED, Said, Troubles},
    stop::Stop,
};
use crate::{
    Deps, failure, revoked,
    slices::{alive, started},
};

/// When a write of unknown outcome is looked for first.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// A wait that is no longer is waited for by the next attempt of the activity.
const SHORT: Duration = Duration::from_secs(60);
/// Attempts of the activity before its requests are parked.
const ATTEMPTS: u32 = 5;
/// The longest wait of what HubSpot does not get on with.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The wait after so many tries in vain: twice as long each time, up to [`LONGEST`].
fn wait_after(first: Duration, tries: u32) -> Duration {
    (first * 2u32.saturating_pow(tries.min(10))).min(LONGEST)
}

/// When the right to write about a person is asked for again.
const WRITER_BUSY: Duration = Duration::from_secs(2);

/// How exports go.
#[derive(Debug, Clone, Copy)]
pub struct ExportConfig {
    /// How long a write of unknown outcome may take to land.
    pub settle: TimeDelta,
    /// When the companies of a new contact are looked at again.
    pub recheck_after: Duration,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self {
            settle: TimeDelta::seconds(90),
            recheck_after: Duration::from_secs(60),
        }
    }
}

/// The ground of what is asked for by now, where it is another one.
async fn newer(ground: &Ground, deps: &Deps) -> Result<Option<Ground>, ActivityError> {
    match ground.newer(deps).await {
        Ok(newer) => Ok(newer),
        Err(Stop::Store(error)) => Err(failure::of_store(&error)),
        // The next attempt sees what the connection is now.
        Err(_) => Err(failure::busy(WRITER_BUSY)),
    }
}

/// The activities of `ContactExport`.
pub struct ContactExporting {
    deps: Arc<Deps>,
}

impl ContactExporting {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn drain(
        &self,
        input: &ExportInput,
        attempt: u32,
        done: &AtomicU64,
    ) -> Result<ExportReport, ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let Some(ground) = Ground::of(&self.deps, input.workspace)
            .await
            .map_err(of_store)?
        else {
            // What is pending goes on when the workspace is connected again.
            return Ok(ExportReport::default());
        };
        let hold = store
            .take_writer(input.workspace, &input.person)
            .await
            .map_err(of_store)?
            .ok_or_else(|| failure::busy(WRITER_BUSY))?;
        let mut report = ExportReport::default();
        let drained = self
            .drain_held(&ground, &hold, attempt, done, &mut report)
            .await;
        let drained = match drained {
            Ok(()) => self.revert_held(&ground, &hold, done).await,
            failed => failed,
        };
        let drained = match drained {
            Ok(()) => self.log_held(&ground, &hold, attempt, done).await,
            failed => failed,
        };
        store.give_writer_back(&hold).await.map_err(of_store)?;
        drained?;
        Ok(report)
    }

    async fn drain_held(
        &self,
        ground: &Ground,
        hold: &WriterHold,
        attempt: u32,
        done: &AtomicU64,
        report: &mut ExportReport,
    ) -> Result<(), ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let facts = store
            .drain_facts(ground.workspace, ground.portal, &hold.person)
            .await
            .map_err(of_store)?;
        let newer = newer(ground, &self.deps).await?;
        let ground = newer.as_ref().unwrap_or(ground);
        let Some(together) = pending_together(ground, &facts) else {
            return Ok(());
        };
        for (request, reason) in &together.ended {
            store
                .skip_requests(ground.workspace, &[*request], *reason)
                .await
                .map_err(of_store)?;
            report.skipped += 1;
        }
        if !together.waiting.is_empty() {
            store
                .park_requests(
                    ground.workspace,
                    &together.waiting,
                    WaitReason::PersonNotExported,
                    None,
                    None,
                )
                .await
                .map_err(of_store)?;
        }
        let Some(lead) = together.lead else {
            return Ok(());
        };
        let exported = self.export(ground, hold, &facts, lead, done).await;
        let with = &together.with;
        let count = u32::try_from(with.len()).unwrap_or(u32::MAX);
        match exported {
            Ok(exported) => {
                let again = exported
                    .look_again
                    .map(|company| (company, self.deps.exports.recheck_after));
                let end = ExportEnd {
                    person: hold.person.clone(),
                    contact: exported.contact,
                    status_said: exported.status_said,
                    look_again: again,
                    requests: with.clone(),
                    end: end_with(exported.troubles),
                };
                store
                    .end_exported(ground.workspace, ground.portal, &[end])
                    .await
                    .map_err(of_store)?;
                report.exported += count;
                Ok(())
            }
            Err(stop) => {
                let tries = facts
                    .pending
                    .iter()
                    .find(|row| row.pending.request == lead.request)
                    .map_or(0, |row| row.attempts);
                self.stopped(ground, stop, with, attempt, tries, report)
                    .await
            }
        }
    }

    /// Carries out what is to be reverted about the person.
    async fn revert_held(
        &self,
        ground: &Ground,
        hold: &WriterHold,
        done: &AtomicU64,
    ) -> Result<(), ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let pending = store
            .pending_reverts(ground.workspace, &hold.person)
            .await
            .map_err(of_store)?;
        if pending.is_empty() {
            return Ok(());
        }
        let facts = store
            .drain_facts(ground.workspace, ground.portal, &hold.person)
            .await
            .map_err(of_store)?;
        let asked = ExportCause::Automatic;
        let mut exporting =
            Exporting::new(&self.deps, ground, hold, &facts, asked, Cause::Repair, done);
        match exporting.reverts().await {
            Ok(_) => Ok(()),
            Err(Stop::Store(error)) => Err(failure::of_store(&error)),
            Err(Stop::Waits(reason, wait)) => Err(failure::waits(reason.as_str(), wait)),
            Err(Stop::HubSpot(error)) => Err(failure::of_hubspot(&error)),
            Err(_) => Err(failure::busy(WRITER_BUSY)),
        }
    }

    async fn export(
        &self,
        ground: &Ground,
        hold: &WriterHold,
        facts: &DrainFacts,
        lead: Pending,
        done: &AtomicU64,
    ) -> Result<run::Exported, Stop> {
        let store = &self.deps.store;
        let mut open = store
            .open_entries(ground.workspace, ground.portal, &hold.person)
            .await?;
        let (asked, why) = (lead.cause, Cause::Request(lead.kind));
        let mut said = Said::default();
        let mut again: Option<Ground> = None;
        loop {
            let on = again.as_ref().unwrap_or(ground);
            let mut exporting = Exporting::new(&self.deps, on, hold, facts, asked, why, done);
            exporting.said = said;
            match exporting.run(std::mem::take(&mut open)).await {
                Err(Stop::Redefined) => said = exporting.said,
                ended => return ended,
            }
            let same = |on: &Ground| (on.portal, on.epoch) == (ground.portal, ground.epoch);
            let now = Ground::of(&self.deps, ground.workspace).await?;
            again = Some(now.filter(same).ok_or(Stop::Fenced)?);
        }
    }

    /// What becomes of requests whose export stopped.
    async fn stopped(
        &self,
        ground: &Ground,
        stop: Stop,
        requests: &[RequestId],
        attempt: u32,
        tries: u32,
        report: &mut ExportReport,
    ) -> Result<(), ActivityError> {
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let workspace = ground.workspace;
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        match stop {
            Stop::Store(error) => Err(failure::of_store(&error)),
            Stop::Lost | Stop::Redefined => Err(failure::busy(WRITER_BUSY)),
            // The next attempt sees what the connection is now.
            Stop::Fenced => {
                store
                    .park_requests(workspace, requests, WaitReason::NotConnected, None, None)
                    .await
                    .map_err(of_store)?;
                report.waiting += count;
                Ok(())
            }
            Stop::Waits(reason, wait)
                if wait <= SHORT && attempt < ATTEMPTS && reason != WaitReason::OverCeiling =>
            {
                // Shown meanwhile; the next attempt looks at it all the same.
                store
                    .park_requests(workspace, requests, reason, Some(wait), None)
                    .await
                    .map_err(of_store)?;
                Err(failure::waits(reason.as_str(), wait))
            }
            Stop::Waits(reason, wait) => {
                store
                    .park_requests(workspace, requests, reason, Some(wait), None)
                    .await
                    .map_err(of_store)?;
                report.waiting += count;
                Ok(())
            }
            Stop::Skips(skip) => {
                let end = RequestsEnd {
                    error_code: Some(skip.reason.code()),
                    properties: skip.properties,
                };
                let outcome = RequestOutcome::Skipped {
                    reason: skip.reason,
                };
                store
                    .turn_requests(workspace, requests, outcome, &end)
                    .await
                    .map_err(of_store)?;
                report.skipped += count;
                Ok(())
            }
            Stop::Fails(reason, properties) => {
                let end = RequestsEnd {
                    error_code: Some(reason.code()),
                    properties,
                };
                let outcome = RequestOutcome::Failed { reason };
                store
                    .turn_requests(workspace, requests, outcome, &end)
                    .await
                    .map_err(of_store)?;
                report.failed += count;
                Ok(())
            }
            Stop::HubSpot(error) => {
                self.refused_by_hubspot(ground, error, requests, attempt, tries, report)
                    .await
            }
        }
    }

    async fn refused_by_hubspot(
        &self,
        ground: &Ground,
        error: hubspot::Error,
        requests: &[RequestId],
        attempt: u32,
        tries: u32,
        report: &mut ExportReport,
    ) -> Result<(), ActivityError> {
        use hubspot::ErrorClass;
        let of_store = |e: store::StoreError| failure::of_store(&e);
        let store = &self.deps.store;
        let workspace = ground.workspace;
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        let code = failure::code_of(&error);
        let park = async |reason, wait| {
            store
                .park_requests(workspace, requests, reason, wait, Some(code))
                .await
                .map_err(of_store)
        };
        match error.class() {
            ErrorClass::AuthRevoked => {
                park(WaitReason::NeedsReconnect, None).await?;
                revoked::tell(&self.deps, workspace, ground.epoch).await?;
                report.waiting += count;
                Ok(())
            }
            ErrorClass::ScopeMissing
            | ErrorClass::Forbidden
            | ErrorClass::Invalid
            | ErrorClass::PortalRule
            | ErrorClass::Conflict
            | ErrorClass::NotFound
            | ErrorClass::PagingStuck => {
                let reason = match error.class() {
                    ErrorClass::ScopeMissing | ErrorClass::Forbidden => FailReason::ScopeMissing,
                    ErrorClass::Conflict => FailReason::Conflict,
                    ErrorClass::NotFound => FailReason::RecordGone,
                    _ => FailReason::Invalid,
                };
                let end = RequestsEnd {
                    error_code: Some(code),
                    properties: Vec::new(),
                };
                store
                    .turn_requests(workspace, requests, RequestOutcome::Failed { reason }, &end)
                    .await
                    .map_err(of_store)?;
                report.failed += count;
                Ok(())
            }
            ErrorClass::OutcomeUnknown => {
                park(WaitReason::OutcomeUnknown, Some(FIRST_LOOK)).await?;
                Err(failure::waits("outcome_unknown", FIRST_LOOK))
            }
            ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::Refused
            | ErrorClass::Misconfigured => {
                let asked = error.retry_after();
                if attempt < ATTEMPTS && asked.is_none_or(|wait| wait <= SHORT) {
                    return Err(failure::of_hubspot(&error));
                }
                let wait = asked.unwrap_or_else(|| wait_after(SHORT, tries));
                let wait = wait.clamp(SHORT, LONGEST);
                park(WaitReason::TriedAgainLater, Some(wait)).await?;
                report.waiting += count;
                Ok(())
            }
        }
    }
}

/// What is said of an export that left something out.
fn end_with(troubles: Troubles) -> RequestsEnd {
    let mut codes = troubles.values();
    // What HubSpot refused is told first.
    let refused = codes.clone().find(|code| **code == REFUSED);
    RequestsEnd {
        error_code: refused.or_else(|| codes.next()).copied(),
        properties: troubles.into_keys().collect(),
    }
}

/// What becomes of the pending requests by what holds now; none where it is not yet time for any.
fn pending_together(ground: &Ground, facts: &DrainFacts) -> Option<Together> {
    if !facts.pending.iter().any(|row| row.ready) {
        return None;
    }
    let pending: Vec<Pending> = facts.pending.iter().map(|row| row.pending).collect();
    let Some(person) = &facts.person else {
        return Some(Together {
            ended: pending
                .iter()
                .map(|p| (p.request, SkipReason::UnknownPerson))
                .collect(),
            ..Together::default()
        });
    };
    let standing = Standing {
        settings_saved: ground.known.settings_saved,
        policy: ground.known.settings.export.policy,
        in_force_since: ground.known.in_force_since,
        outreach: &person.outreach,
        has_email: person.email.is_some(),
        erased: false,
        exported: facts.exported.is_some(),
    };
    Some(together(&pending, &standing))
}

#[activities]
impl ContactExporting {
    #[activity(definition = declared::ExportContact)]
    pub async fn export_contact(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ExportInput,
    ) -> Result<ExportReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let attempt = ctx.info().attempt;
        let report = alive(&ctx, &done, self.drain(&input, attempt, &done)).await?;
        tracing::info!(
            workspace = %input.workspace,
            exported = report.exported,
            skipped = report.skipped,
            waiting = report.waiting,
            failed = report.failed,
            requests = done.load(Ordering::Relaxed),
            "a person was exported"
        );
        Ok(report)
    }
}

/// Starts a `ContactExport` that lost its wake-up. `false` where it runs already.
pub(crate) async fn start(deps: &Deps, due: &DueExport) -> Result<bool, WorkflowStartError> {
    let id = names::contact_export_id(due.workspace, &due.person);
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::of_portal(due.workspace, due.portal))
        .static_summary(format!("a person of portal {}", due.portal))
        .priority(names::priority(Urgency::Interactive, Some(due.portal)))
        .build();
    let input = ContactExportInput {
        workspace: due.workspace,
        person: due.person.clone(),
        portal: Some(due.portal),
        report: ExportReport::default(),
    };
    started(
        deps.temporal
            .start_workflow(ContactExport::run, input, options)
            .await,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_as_long_and_none_is_longer_than_an_hour() {
        let waits = [0, 1, 2, 5, 6, 40].map(|tries| wait_after(SHORT, tries).as_secs());
        assert_eq!(waits, [60, 120, 240, 1_920, 3_600, 3_600]);
    }
}
