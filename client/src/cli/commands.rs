//! What each command does.

use std::{
    io::{self, Write},
    time::Duration,
};

use client::{Error, Signals, SignalsError};
use domain::{
    ResyncOutcome, WorkspaceId,
    api::{ConnectAnswer, ConnectRequest},
    people_file::RowProblem,
};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{
    args::{ConfigError, DataWork, HttpWork, Job, Service, Temporal, TemporalWork, Work},
    import,
    output::{clean, is_connected, resync_text, status_text, workflow_text},
    settings, team, tokens,
    watch::{self, Polling},
};

/// How long the address that `connect` prints is good for, and then the page that asks to confirm.
const CONSENT_WITHIN: Duration = Duration::from_secs(1_200);

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no answer from HUBSPOT_SYNC_URL {origin}: {error}")]
    Silent { origin: String, error: Error },
    #[error("refused: {0}")]
    Refused(Error),
    #[error("unexpected answer from HUBSPOT_SYNC_URL {origin}: {error}")]
    Unexpected { origin: String, error: Error },
    #[error("TEMPORAL_ADDRESS {origin}: {error}")]
    Temporal { origin: String, error: SignalsError },
    #[error("{0}")]
    NotDone(String),
    #[error("refused: {0}; nothing was sent")]
    Header(RowProblem),
    #[error("{failure}; stopped: {are_in} rows are in, and running it again is harmless")]
    Stopped {
        failure: Box<Failure>,
        are_in: String,
    },
    #[error("FILE cannot be read: {0}")]
    Input(io::Error),
    #[error("--rejects FILE cannot be written: {0}")]
    Rejects(io::Error),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl Failure {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            _ => 1,
        }
    }

    pub(crate) fn of(service: &Service, error: Error) -> Self {
        let origin = service.origin.clone();
        match error {
            Error::Problem { .. } | Error::SettingsRefused(_) | Error::SettingsConflict(_) => {
                Self::Refused(error)
            }
            Error::Unreachable { .. } => Self::Silent { origin, error },
            _ => Self::Unexpected { origin, error },
        }
    }
}

/// Does what was asked for.
pub(crate) async fn run(job: Job) -> Result<(), Failure> {
    match job.work {
        Work::Http(service, work) => by_http(&service, job.workspace, work).await,
        Work::Temporal(temporal, work) => by_temporal(&temporal, job.workspace, work)
            .await
            .map_err(|failure| match failure {
                ByTemporal::Signals(error) => Failure::Temporal {
                    origin: temporal.address.origin().ascii_serialization(),
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
            let status = service
                .client
                .status(workspace)
                .await
                .map_err(|error| Failure::of(service, error))?;
            if json {
                print_json(&status)
            } else {
                print(&status_text(&status))
            }
        }
        HttpWork::Status { watch: true, json } => {
            let mut view = watch::view(json);
            watch::until_over(service, workspace, view.as_mut(), Polling::default()).await
        }
        HttpWork::Resync(request) => {
            let answer = service
                .client
                .resync(workspace, &request)
                .await
                .map_err(|error| Failure::of(service, error))?;
            if answer.outcome == ResyncOutcome::NotConnected {
                return Err(Failure::NotDone(answer.message));
            }
            print(&clean(&answer.message))?;
            match answer.run {
                Some(run) => print(&format!("run {run}")),
                None => Ok(()),
            }
        }
        HttpWork::Disconnect => {
            let answer = service
                .client
                .disconnect(workspace)
                .await
                .map_err(|error| Failure::of(service, error))?;
            print(&clean(&answer.message))
        }
        HttpWork::Data(work) => data(service, workspace, work).await,
    }
}

async fn data(service: &Service, workspace: WorkspaceId, work: DataWork) -> Result<(), Failure> {
    match work {
        DataWork::ImportPeople(import) => import::people(service, workspace, &import).await,
        DataWork::ImportMembers(import) => import::members(service, workspace, &import).await,
        DataWork::ListMembers { json } => team::list_members(service, workspace, json).await,
        DataWork::ListOwners { json } => team::list_owners(service, workspace, json).await,
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
    temporal: &Temporal,
    workspace: WorkspaceId,
    work: TemporalWork,
) -> Result<(), ByTemporal> {
    let signals = Signals::connect(temporal.address.clone(), &temporal.namespace).await?;
    match work {
        TemporalWork::Status { json } => {
            let status = signals.query_status(workspace).await?;
            if json {
                print_json(&status)?;
            } else {
                print(&workflow_text(&status))?;
            }
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

// ---- output ----------------------------------------------------------------------------------

/// What was asked for.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// What helps a person but is not what was asked for.
pub(crate) fn tell(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stderr().lock(), "{text}")?)
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value)?)
}

/// An object a line, for a listing.
pub(crate) fn print_json_line(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use client::HubSpotSync;

    use super::*;

    fn service() -> Service {
        Service {
            client: HubSpotSync::builder("http://localhost:1/secret-path".parse().unwrap())
                .build()
                .unwrap(),
            origin: "http://localhost:1".to_owned(),
        }
    }

    #[test]
    fn failures_say_who_failed_and_have_their_exit_code() {
        let refused = Failure::of(
            &service(),
            Error::Problem {
                code: "HS-1003".to_owned(),
                title: "Unknown workspace".to_owned(),
                detail: "connect it first".to_owned(),
                status: 404,
            },
        );
        assert_eq!(
            refused.to_string(),
            "refused: HS-1003 Unknown workspace: connect it first"
        );
        assert_eq!(refused.exit_code(), 1);
        let unexpected = Failure::of(
            &service(),
            Error::UnexpectedAnswer {
                status: 200,
                reason: client::Unexpected::Body,
            },
        );
        let text = unexpected.to_string();
        assert!(text.contains("HUBSPOT_SYNC_URL http://localhost:1: HTTP status 200"));
        assert!(!text.contains("secret-path"));
    }
}
