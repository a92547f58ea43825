//! The activity of `ExportRecheck`. What it promises is said at its declaration.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{
    HubSpotObjectId, PortalId, Urgency, WorkspaceId,
    export::{
        ContactCompany, ExportCause,
        association::{self, AssociationKind, Moment},
        journal::Cause,
    },
};
use store::DueRecheck;
use temporalio_client::{
    WorkflowIdConflictPolicy, WorkflowStartOptions, errors::WorkflowStartError,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::{
    ExportRecheck,
    activities::{WorkspaceInput, declared},
    export_recheck::{ExportRecheckInput, RecheckReport},
    names::{self, TaskQueue},
};

use super::{ground::Ground, reading::Whereabouts, run::Exporting, stop::Stop, wait_after, wire};
use crate::{
    Deps, failure,
    slices::{alive, started},
};

/// Contacts that are looked at together.
const BATCH: u32 = 500;
/// When a contact is looked at again that HubSpot refuses to tell of or to write, at first ([`wait_after`]).
/// It is never given up: what was not answered is no answer.
const AGAIN: Duration = Duration::from_secs(60);
/// As [`AGAIN`] after what often passes at once: trouble, somebody else who writes about the person, an answer
/// without it.
const SOON: Duration = Duration::from_secs(2);

/// The activity of `ExportRecheck`.
pub struct Rechecking {
    deps: Arc<Deps>,
}

impl Rechecking {
    pub(crate) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    async fn all(
        &self,
        ctx: &ActivityContext,
        workspace: WorkspaceId,
        done: &AtomicU64,
    ) -> Result<RecheckReport, Stop> {
        let mut report = RecheckReport::default();
        let Some(ground) = Ground::of(&self.deps, workspace).await? else {
            return Ok(report);
        };
        while !ctx.is_cancelled() {
            let due = self
                .deps
                .store
                .due_rechecks(workspace, ground.portal, BATCH)
                .await?;
            if due.is_empty() {
                break;
            }
            self.batch(&ground, &due, &mut report, done).await?;
        }
        Ok(report)
    }

    async fn batch(
        &self,
        ground: &Ground,
        due: &[DueRecheck],
        report: &mut RecheckReport,
        done: &AtomicU64,
    ) -> Result<(), Stop> {
        let (store, workspace, portal) = (&self.deps.store, ground.workspace, ground.portal);
        let ids: Vec<_> = due.iter().map(|d| wire::record_id(d.contact)).collect();
        let read = ground
            .client
            .associations()
            .batch_read(
                hubspot::ObjectType::Contact,
                hubspot::ObjectType::Company,
                &ids,
            )
            .await?;
        done.fetch_add(1, Ordering::Relaxed);
        self.deps.pulse.progress();
        let mut ended = Vec::new();
        let mut later: BTreeMap<Duration, Vec<HubSpotObjectId>> = BTreeMap::new();
        let mut put_off = |contact, wait: Duration| later.entry(wait).or_default().push(contact);
        for recheck in due {
            let id = wire::record_id(recheck.contact);
            let gone = matches!(
                read.unanswered.get(&id),
                Some(Some(hubspot::Error::NotFound))
            );
            let settled = match read.answered.get(&id) {
                None if gone => {
                    ended.push(recheck.contact);
                    continue;
                }
                // What is not answered again was perhaps merged away, which it is asked for itself.
                None if recheck.attempts == 0 => {
                    put_off(recheck.contact, wait_after(SOON, recheck.attempts));
                    continue;
                }
                None => false,
                Some(found) => decide(recheck, &wire::contact_companies(found)?).is_none(),
            };
            if settled && !recheck.left_open {
                report.unchanged += 1;
                ended.push(recheck.contact);
                continue;
            }
            match self.mend(ground, recheck, settled, done).await {
                Ok(Mended::Restored) => {
                    report.restored += 1;
                    ended.push(recheck.contact);
                }
                Ok(Mended::Nothing) => {
                    report.unchanged += 1;
                    ended.push(recheck.contact);
                }
                Ok(Mended::Not) => put_off(recheck.contact, wait_after(SOON, recheck.attempts)),
                Err(stop @ (Stop::Store(_) | Stop::Fenced)) => return Err(stop),
                Err(stop) => {
                    tracing::info!(stop = stop.name(), "a company is restored later");
                    let wait = match stop {
                        Stop::Waits(_, wait) => wait,
                        stop if stop.passes_soon() => wait_after(SOON, recheck.attempts).min(AGAIN),
                        _ => wait_after(AGAIN, recheck.attempts),
                    };
                    put_off(recheck.contact, wait);
                }
            }
        }
        report.put_off +=
            u32::try_from(later.values().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX);
        store.end_rechecks(workspace, portal, &ended).await?;
        for (wait, contacts) in later {
            store
                .put_off_rechecks(workspace, portal, &contacts, wait)
                .await?;
        }
        Ok(())
    }

    /// Finds out what became of what somebody left open about the person, and associates the contact with
    /// our company where that is still to be done. `settled`: it was not, when it was looked at; then whoever
    /// left something open has closed it since, or it is read again.
    async fn mend(
        &self,
        ground: &Ground,
        recheck: &DueRecheck,
        settled: bool,
        done: &AtomicU64,
    ) -> Result<Mended, Stop> {
        let store = &self.deps.store;
        let hold = store.take_writer(ground.workspace, &recheck.person).await?;
        let Some(hold) = hold else {
            return Ok(Mended::Not);
        };
        let facts = store
            .drain_facts(ground.workspace, ground.portal, &recheck.person)
            .await?;
        let asked = ExportCause::Automatic;
        let mut exporting = Exporting::new(
            &self.deps,
            ground,
            &hold,
            &facts,
            asked,
            Cause::Repair,
            done,
        );
        let mended = restore(&mut exporting, recheck, settled).await;
        store.give_writer_back(&hold).await?;
        mended
    }
}

/// What came of looking closer.
enum Mended {
    /// Our company is associated again.
    Restored,
    /// There was nothing to write.
    Nothing,
    /// Somebody else writes about the person, or one of the two is not there.
    Not,
}

fn decide(recheck: &DueRecheck, companies: &[ContactCompany]) -> Option<AssociationKind> {
    let moment = Moment::AfterCreate {
        was_primary: recheck.was_primary,
    };
    association::decide(companies, recheck.company, moment)
}

async fn restore(
    exporting: &mut Exporting<'_>,
    recheck: &DueRecheck,
    settled: bool,
) -> Result<Mended, Stop> {
    let (workspace, portal) = (exporting.ground.workspace, exporting.ground.portal);
    let store = &exporting.deps.store;
    let open = store
        .open_entries(workspace, portal, &recheck.person)
        .await?;
    if settled && open.is_empty() {
        return Ok(Mended::Nothing);
    }
    for entry in &open {
        exporting.take_over(entry).await?;
    }
    // A contact that somebody merged away meanwhile answers with the one that it is now, if at all, and what
    // was associated under its old id says nothing. The company that stands for it is that person's choice.
    let companies = match exporting.companies_by_id(recheck.contact).await? {
        Whereabouts::There(companies) => companies,
        Whereabouts::Elsewhere => return Ok(Mended::Nothing),
        Whereabouts::Unknown => return Ok(Mended::Not),
    };
    let Some(kind) = decide(recheck, &companies) else {
        return Ok(Mended::Nothing);
    };
    let restored = exporting
        .associate(recheck.contact, recheck.company, kind, Cause::Repair)
        .await?;
    Ok(if restored {
        Mended::Restored
    } else {
        Mended::Not
    })
}

#[activities]
impl Rechecking {
    #[activity(definition = declared::RecheckCompanies)]
    pub async fn recheck_companies(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: WorkspaceInput,
    ) -> Result<RecheckReport, ActivityError> {
        let _in_flight = self.deps.pulse.enter();
        let done = AtomicU64::new(0);
        let looked = alive(&ctx, &done, self.all(&ctx, input.workspace, &done)).await;
        match looked {
            Ok(report) => Ok(report),
            Err(Stop::Store(error)) => Err(failure::of_store(&error)),
            // `Sweep` comes again while any are due.
            Err(stop) => {
                tracing::info!(workspace = %input.workspace, stop = stop.name(), "rechecks go on later");
                Ok(RecheckReport::default())
            }
        }
    }
}

/// Starts to look at what is due. `false` where that goes on already.
pub(crate) async fn start(
    deps: &Deps,
    workspace: WorkspaceId,
    portal: PortalId,
) -> Result<bool, WorkflowStartError> {
    let id = names::export_recheck_id(workspace);
    let options = WorkflowStartOptions::new(TaskQueue::Main.name(), id)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(names::of_portal(workspace, portal))
        .static_summary(format!("companies of new contacts of portal {portal}"))
        .priority(names::priority(Urgency::Activity, Some(portal)))
        .build();
    let input = ExportRecheckInput { workspace, portal };
    started(
        deps.temporal
            .start_workflow(ExportRecheck::run, input, options)
            .await,
    )
}
