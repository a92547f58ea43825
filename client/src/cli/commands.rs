//! What each command does.

use std::time::Duration;

use client::{Signals, SignalsError};
use domain::{
    ResyncOutcome, ResyncRequest, WorkspaceId,
    api::{ConnectAnswer, ConnectRequest, ResyncAnswer},
};
use process::temporal::TemporalConfig;
use secrecy::ExposeSecret as _;

use super::{
    args::{DataWork, HttpWork, Job, Service, TemporalWork, Work},
    dnc,
    failure::Failure,
    import, lists,
    output::{clean, is_connected, resync_text},
    settings,
    show::{print, show, tell},
    team, tokens,
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
    match work {
        DataWork::ImportPeople(import) => import::people(service, workspace, &import).await,
        DataWork::ImportMembers(import) => import::members(service, workspace, &import).await,
        DataWork::ListMembers { json } => team::list_members(service, workspace, json).await,
        DataWork::ListOwners { json } => team::list_owners(service, workspace, json).await,
        DataWork::Dnc { of, json } => dnc::check(service, workspace, of, json).await,
        DataWork::Lists { list: None, json } => lists::all(service, workspace, json).await,
        DataWork::Lists {
            list: Some(list),
            json,
        } => lists::members(service, workspace, list, json).await,
        DataWork::Deals { of, json } => lists::deals(service, workspace, of, json).await,
        DataWork::GetSettings => settings::get(service, workspace).await,
        DataWork::SetSettings {
            file,
            expected,
            json,
        } => settings::set(service, workspace, &file, expected, json).await,
        DataWork::CheckSettings { file, json } => {
            settings::check(service, workspace, file.as_deref(), json).await
        }
        DataWork::CreateToken { name, json } => {
            tokens::create(service, workspace, name, json).await
        }
        DataWork::ListTokens { json } => tokens::list(service, workspace, json).await,
        DataWork::RevokeToken(id) => tokens::revoke(service, workspace, id).await,
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
