//! What each command does.

use std::time::Duration;

use client::{ExportFilter, Signals, SignalsError};
use domain::{
    ResyncOutcome, ResyncRequest, WorkspaceId,
    api::{
        ConnectAnswer, ConnectRequest, ManualExport, PreviewRequest, ResyncAnswer, RetryExports,
        RevertRequest,
    },
};
use process::temporal::TemporalConfig;
use secrecy::ExposeSecret as _;

use super::{
    args::{DataWork, HttpWork, Job, Service, TemporalWork, Work},
    bulk, changes, dnc, export, exports,
    failure::Failure,
    import, lists,
    output::{clean, count, is_connected, resync_text},
    profile, settings,
    show::{print, print_json, show, show_rows, tell},
    tokens,
    watch::{self, Polling},
};

/// How long the address that `connect` prints is good for, and then the page that asks to confirm.
const CONSENT_WITHIN: Duration = Duration::from_secs(1_200);

/// Does what was asked for.
pub(crate) async fn run(job: Job) -> Result<(), Failure> {
    match job.work {
        Work::Http(service, work) => by_http(&service, job.workspace, work).await,
        Work::Temporal(temporal, work) => by_temporal(&temporal, job.workspace, work)
            .await
            .map_err(|failure| match failure {
                ByTemporal::Signals(error) => Failure::Temporal {
                    origin: temporal.address(),
                    error,
                },
                ByTemporal::Other(failure) => failure,
            }),
    }
}

// ---- by HTTP ---------------------------------------------------------------------------------

async fn by_http(service: &Service, workspace: WorkspaceId, work: HttpWork) -> Result<(), Failure> {
    match work {
        HttpWork::Connect {
            admin,
            workspace_name,
            admin_name,
            service_key,
            wait,
        } => {
            let request = ConnectRequest {
                admin,
                workspace_name,
                admin_name,
                access_token: service_key.map(|key| key.expose_secret().to_owned()),
            };
            connect(service, workspace, &request, wait).await
        }
        HttpWork::Status { watch: false, json } => {
            let status = service.client.status(workspace).await;
            show(&status.map_err(|error| Failure::of(service, error))?, json)
        }
        HttpWork::Status { watch: true, json } => {
            let mut view = watch::view(json);
            watch::until_over(service, workspace, view.as_mut(), Polling::default()).await
        }
        HttpWork::Resync { request, json } => {
            show(&resync(service, workspace, &request).await?, json)
        }
        HttpWork::Disconnect { json } => {
            let answer = service.client.disconnect(workspace).await;
            show(&answer.map_err(|error| Failure::of(service, error))?, json)
        }
        HttpWork::Changes {
            follow,
            after,
            json,
        } => changes::show(service, workspace, after, follow, json).await,
        HttpWork::Data(work) => data(service, workspace, work).await,
    }
}

async fn resync(
    service: &Service,
    workspace: WorkspaceId,
    request: &ResyncRequest,
) -> Result<ResyncAnswer, Failure> {
    let answer = service
        .client
        .resync(workspace, request)
        .await
        .map_err(|error| Failure::of(service, error))?;
    if answer.outcome == ResyncOutcome::NotConnected {
        return Err(Failure::NotDone(answer.message));
    }
    Ok(answer)
}

async fn data(service: &Service, workspace: WorkspaceId, work: DataWork) -> Result<(), Failure> {
    let failed = |error| Failure::of(service, error);
    let sync = &service.client;
    match work {
        DataWork::ImportPeople(import) => {
            let totals = import::people(service, workspace, &import).await?;
            imported(&totals, import.json)
        }
        DataWork::ImportMembers(import) => {
            let totals = import::members(service, workspace, &import).await?;
            imported(&totals, import.json)
        }
        DataWork::PushActivities(import) => {
            let totals = import::activities(service, workspace, &import).await?;
            imported(&totals, import.json)
        }
        DataWork::ListActivities { person, json } => {
            let rows = sync.all_person_activities(workspace, person);
            show_rows(service, rows, json).await
        }
        DataWork::ListMembers { json } => {
            show_rows(service, sync.all_members(workspace), json).await
        }
        DataWork::ListOwners { json } => show_rows(service, sync.all_owners(workspace), json).await,
        DataWork::ShowProfile {
            person,
            company,
            json,
        } => profile::show(service, workspace, person, company, json).await,
        DataWork::Dnc { of, json } => dnc::check(service, workspace, of, json).await,
        DataWork::Lists { list: None, json } => lists::all(service, workspace, json).await,
        DataWork::Lists {
            list: Some(list),
            json,
        } => lists::members(service, workspace, list, json).await,
        DataWork::Deals { of, json } => lists::deals(service, workspace, of, json).await,
        DataWork::Touches { person, json } => {
            show_rows(service, sync.all_person_touches(workspace, person), json).await
        }
        DataWork::Preview { person, anew, json } => {
            let asked = PreviewRequest { person, anew };
            let preview = sync.preview_export(workspace, &asked).await;
            show(&preview.map_err(failed)?, json)
        }
        DataWork::Export {
            person,
            anew,
            wait,
            json,
        } => {
            let asked = ManualExport { person, anew };
            export::person(service, workspace, &asked, wait, json).await
        }
        DataWork::Journal { person, json } => {
            let entries = sync.all_person_journal(workspace, person);
            show_rows(service, entries, json).await
        }
        DataWork::Revert {
            entry,
            property,
            json,
        } => {
            let asked = RevertRequest { property };
            let revert = sync
                .revert_journal_entry(workspace, entry, &asked, None)
                .await;
            show(&revert.map_err(failed)?, json)
        }
        DataWork::ListExports {
            person,
            state,
            json,
        } => {
            let filter = ExportFilter { person, state };
            show_rows(service, sync.all_exports(workspace, filter), json).await
        }
        DataWork::RetryExport { request, json } => {
            let row = sync.retry_export(workspace, request, None).await;
            exports::show_one(&row.map_err(failed)?, json)
        }
        DataWork::RetryExports { reason, json } => {
            let which = RetryExports { reason };
            let retried = sync.retry_exports(workspace, &which, None).await;
            show(&retried.map_err(failed)?, json)
        }
        DataWork::ResumeRow { row, json } => {
            let request = sync.resume_row(workspace, &row, None).await;
            show(&request.map_err(failed)?, json)
        }
        DataWork::Bulk { work, json } => bulk::run(service, workspace, work, json).await,
        DataWork::SummarizeExports { json } => {
            let summary = sync.summarize_exports(workspace).await;
            show(&summary.map_err(failed)?, json)
        }
        DataWork::GetSettings => print_json(&sync.get_settings(workspace).await.map_err(failed)?),
        DataWork::SetSettings {
            file,
            expected,
            json,
        } => match settings::set(service, workspace, &file, expected).await? {
            Ok(saved) => show(&saved, json),
            Err(error) => {
                match settings::NotSaved::of(&error) {
                    Some(details) if json => print_json(&details)?,
                    Some(details) => details.lines().iter().try_for_each(|line| tell(line))?,
                    None => {}
                }
                Err(failed(error))
            }
        },
        DataWork::MakeOwnProperties { json } => {
            let made = sync.make_own_properties(workspace).await;
            show(&made.map_err(failed)?, json)
        }
        DataWork::CheckSettings { file, json } => {
            let checked = settings::check(service, workspace, file.as_deref()).await?;
            show(&checked, json)?;
            if checked.acceptable {
                return Ok(());
            }
            Err(Failure::NotDone(
                "these settings cannot be saved".to_owned(),
            ))
        }
        DataWork::CreateToken { name, json } => {
            let made = tokens::create(service, workspace, name).await;
            show(&made.map_err(failed)?, json)
        }
        DataWork::ListTokens { json } => {
            let tokens = sync.list_tokens(workspace).await.map_err(failed)?;
            let rows = futures::stream::iter(tokens.into_iter().map(Ok));
            show_rows(service, rows, json).await
        }
        DataWork::RevokeToken(id) => {
            sync.revoke_token(workspace, id).await.map_err(failed)?;
            print(&format!("token {id} is revoked"))
        }
    }
}

/// How many rows had which outcome. Those that were refused were told as they came.
fn imported(totals: &import::Totals, json: bool) -> Result<(), Failure> {
    show(totals, json)?;
    match totals.counts.refused {
        0 => Ok(()),
        refused => Err(Failure::NotDone(format!(
            "{} of {} rows were refused and left out",
            count(refused.into()),
            count(totals.rows)
        ))),
    }
}

async fn connect(
    service: &Service,
    workspace: WorkspaceId,
    request: &ConnectRequest,
    wait: bool,
) -> Result<(), Failure> {
    let answer = service
        .client
        .connect(workspace, request)
        .await
        .map_err(|error| Failure::of(service, error))?;
    match answer {
        ConnectAnswer::Connected { portal } => print(&format!(
            "connected to portal {portal}; the backfill starts"
        )),
        ConnectAnswer::Authorize { url } => {
            tell("open this address in a browser within 10 minutes:")?;
            print(&clean(&url))?;
            if !wait {
                return Ok(());
            }
            tell("waiting for the consent, and for the answer on the page that asks after it")?;
            let polling = Polling::default();
            let consented = watch::until(service, workspace, polling, |status| {
                Ok(is_connected(status))
            });
            match tokio::time::timeout(CONSENT_WITHIN, consented).await {
                Ok(status) => {
                    let status = status?;
                    let portal = status.portal.map(|p| p.to_string()).unwrap_or_default();
                    tell(&format!(
                        "connected to portal {portal}; the backfill starts"
                    ))
                }
                Err(_) => Err(Failure::NotDone(
                    "nobody consented and confirmed within 20 minutes, and the address is no longer good; run \
                     `hubspot-sync connect` again"
                        .to_owned(),
                )),
            }
        }
    }
}

// ---- by Temporal -----------------------------------------------------------------------------

enum ByTemporal {
    Signals(SignalsError),
    Other(Failure),
}

impl From<SignalsError> for ByTemporal {
    fn from(error: SignalsError) -> Self {
        Self::Signals(error)
    }
}

impl From<Failure> for ByTemporal {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

async fn by_temporal(
    temporal: &TemporalConfig,
    workspace: WorkspaceId,
    work: TemporalWork,
) -> Result<(), ByTemporal> {
    let signals = Signals::connect_with(temporal).await?;
    match work {
        TemporalWork::Status { json } => {
            show(&signals.query_status(workspace).await?, json)?;
        }
        TemporalWork::Resync(request) => {
            let words = resync_text(&request);
            signals.signal_resync(workspace, request).await?;
            print(&signalled_resync(&words))?;
        }
        TemporalWork::Disconnect => {
            signals.signal_disconnect(workspace).await?;
            print(
                "the Connection workflow has the signal and takes the connection down; imported \
                 data stays. `hubspot-sync status` shows when it is over",
            )?;
        }
    }
    Ok(())
}

fn signalled_resync(words: &str) -> String {
    format!(
        "the Connection workflow has the request ({words}). `hubspot-sync status` shows whether a \
         run starts or one under way covers it"
    )
}
