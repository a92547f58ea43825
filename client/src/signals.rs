//! The same by Temporal alone: signals and a query of the workspace's `Connection` workflow.

use std::{collections::HashMap, time::Duration};

use domain::{ResyncRequest, WorkspaceId};
use process::temporal::TemporalConfig;
use prost::Message as _;
use temporalio_client::{
    Client, ClientOptions, Connection, WorkflowHandle,
    errors::{ClientConnectError, WorkflowInteractionError, WorkflowQueryError},
    tonic::{Code, Status},
};
use temporalio_common::protos::google::rpc;
use url::Url;
use workflows::{Connection as ConnectionWorkflow, connection::Lenient, names};

pub use workflows::connection::ConnectionStatus;

use crate::Cause;

/// Longest wait for one answer. A query is answered by a worker, so it covers one that just starts.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Why Temporal did not take or answer something. Carries no address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalsError {
    /// There was no answer.
    #[error("Temporal could not be reached: {cause}")]
    Unreachable {
        /// Why.
        cause: Cause,
    },
    /// No `Connection` workflow of that id runs: the workspace is not connected.
    #[error("the workspace is not connected: it has no running Connection workflow")]
    NotConnected,
    /// Temporal has no such namespace.
    #[error("Temporal has no such namespace")]
    UnknownNamespace,
    /// The workflow is there, but no worker answered for it in time.
    #[error("no worker answered in time; is one running on this namespace?")]
    NoWorker,
    /// Temporal refused: no permission, or an error of its own.
    #[error("Temporal refused with gRPC status {code:?}")]
    Refused {
        /// gRPC status.
        code: Code,
    },
    /// The namespace or the address is not of a form that the SDK takes, or the answer cannot be
    /// read: another version of the workflows is running.
    #[error("the answer could not be understood; is the worker of the same version?")]
    UnexpectedAnswer,
}

/// Control by Temporal, for those who have no way to the HTTP API or want none. Cheap to clone.
#[derive(Clone)]
pub struct Signals {
    client: Client,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

impl Signals {
    /// Connects to Temporal's frontend, such as `http://localhost:7233`, without TLS or, for an
    /// `https://` address, with TLS by the system's certificates.
    ///
    /// # Errors
    /// [`SignalsError::Unreachable`] when nobody answers within ten seconds;
    /// [`SignalsError::UnexpectedAnswer`] for an address or a namespace that is none.
    pub async fn connect(address: Url, namespace: &str) -> Result<Self, SignalsError> {
        let config = TemporalConfig::load(
            Some(address.into()),
            Some(namespace.to_owned()),
            &HashMap::new(),
        );
        let config = config.map_err(|_| SignalsError::UnexpectedAnswer)?;
        Self::connect_with(&config).await
    }

    /// Connects as configured: address, namespace, TLS, API key.
    ///
    /// # Errors
    /// [`SignalsError::Unreachable`] when nobody answers within ten seconds.
    pub async fn connect_with(config: &TemporalConfig) -> Result<Self, SignalsError> {
        let options = config.connection_options("hubspot-sync-client", None);
        let namespace = config.namespace();
        let connection = match within(Connection::connect(options)).await {
            Some(connected) => connected.map_err(connect_error)?,
            None => {
                return Err(SignalsError::Unreachable {
                    cause: Cause::TimedOut,
                });
            }
        };
        let options = ClientOptions::new(namespace.to_owned()).build();
        let client =
            Client::new(connection, options).map_err(|_| SignalsError::UnexpectedAnswer)?;
        Ok(Self { client })
    }

    /// Takes the connection down (C4). Returns when Temporal has the signal; the workflow raises
    /// the fence, ends what runs, and erases the tokens.
    ///
    /// # Errors
    /// [`SignalsError::NotConnected`] when no `Connection` runs.
    pub async fn signal_disconnect(&self, workspace: WorkspaceId) -> Result<(), SignalsError> {
        let handle = self.connection(workspace);
        let sent = within(handle.signal(ConnectionWorkflow::disconnect, (), Default::default()));
        sent.await.ok_or(TIMED_OUT)?.map_err(signal_error)
    }

    /// Asks to read again (X7). Returns when Temporal has the signal; whether a run starts or one
    /// under way covers the request shows in the status.
    ///
    /// # Errors
    /// [`SignalsError::NotConnected`] when no `Connection` runs.
    pub async fn signal_resync(
        &self,
        workspace: WorkspaceId,
        request: ResyncRequest,
    ) -> Result<(), SignalsError> {
        let handle = self.connection(workspace);
        let sent = within(handle.signal(
            ConnectionWorkflow::resync,
            Lenient::from(request),
            Default::default(),
        ));
        sent.await.ok_or(TIMED_OUT)?.map_err(signal_error)
    }

    /// Where the workflow stands. Counts are not in it: those are in the store, behind
    /// [`HubSpotSync::status`](crate::HubSpotSync::status). A workflow that ended not long ago
    /// still answers.
    ///
    /// # Errors
    /// [`SignalsError::NoWorker`] when nobody is there to answer.
    pub async fn query_status(
        &self,
        workspace: WorkspaceId,
    ) -> Result<ConnectionStatus, SignalsError> {
        let handle = self.connection(workspace);
        within(handle.query(ConnectionWorkflow::status, (), Default::default()))
            .await
            .ok_or(SignalsError::NoWorker)?
            .map_err(query_error)
    }

    fn connection(&self, workspace: WorkspaceId) -> WorkflowHandle<Client, ConnectionWorkflow> {
        self.client
            .get_workflow_handle(names::connection_id(workspace))
    }
}

const TIMED_OUT: SignalsError = SignalsError::Unreachable {
    cause: Cause::TimedOut,
};

async fn within<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(ANSWER_WITHIN, work).await.ok()
}

fn connect_error(error: ClientConnectError) -> SignalsError {
    match &error {
        ClientConnectError::SystemInfoCallError(status) => rpc_error(status.code()),
        ClientConnectError::InvalidUri(_)
        | ClientConnectError::InvalidHeaders(_)
        | ClientConnectError::InvalidConfig(_) => SignalsError::UnexpectedAnswer,
        _ => SignalsError::Unreachable {
            cause: Cause::of(&error, Cause::NoConnection),
        },
    }
}

fn signal_error(error: WorkflowInteractionError) -> SignalsError {
    match error {
        WorkflowInteractionError::NotFound(status) => not_found(&status),
        WorkflowInteractionError::Rpc(status) => rpc_error(status.code()),
        _ => SignalsError::UnexpectedAnswer,
    }
}

fn query_error(error: WorkflowQueryError) -> SignalsError {
    match error {
        WorkflowQueryError::NotFound(status) => not_found(&status),
        WorkflowQueryError::Rpc(status) => match status.code() {
            // "no poller seen for task queue recently", or one that did not answer.
            Code::FailedPrecondition | Code::DeadlineExceeded => SignalsError::NoWorker,
            code => rpc_error(code),
        },
        _ => SignalsError::UnexpectedAnswer,
    }
}

/// Temporal says in the details what was not found: the workflow or the namespace.
fn not_found(status: &Status) -> SignalsError {
    let is_namespace = rpc::Status::decode(status.details()).is_ok_and(|details| {
        details
            .details
            .iter()
            .any(|detail| detail.type_url.ends_with(".NamespaceNotFoundFailure"))
    });
    if is_namespace {
        SignalsError::UnknownNamespace
    } else {
        SignalsError::NotConnected
    }
}

const fn rpc_error(code: Code) -> SignalsError {
    match code {
        Code::Unavailable => SignalsError::Unreachable {
            cause: Cause::NoConnection,
        },
        Code::DeadlineExceeded => TIMED_OUT,
        code => SignalsError::Refused { code },
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::{
        temporal::api::errordetails::v1::NamespaceNotFoundFailure, utilities::pack_any,
    };

    use super::*;

    #[test]
    fn a_missing_namespace_is_no_missing_workflow() {
        let failure = pack_any(
            "type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure".to_owned(),
            &NamespaceNotFoundFailure::default(),
        )
        .unwrap();
        let details = rpc::Status {
            details: vec![failure],
            ..Default::default()
        };
        let status = Status::with_details(Code::NotFound, "", details.encode_to_vec().into());
        assert!(matches!(
            query_error(WorkflowQueryError::NotFound(status)),
            SignalsError::UnknownNamespace
        ));
    }

    #[test]
    fn errors_are_told_apart_by_status() {
        let not_found = WorkflowInteractionError::NotFound(Status::not_found("x"));
        assert!(matches!(
            signal_error(not_found),
            SignalsError::NotConnected
        ));
        let table = [
            (Code::FailedPrecondition, "no worker"),
            (Code::DeadlineExceeded, "no worker"),
            (Code::Unavailable, "could not be reached"),
            (Code::PermissionDenied, "PermissionDenied"),
        ];
        for (code, text) in table {
            let error = query_error(WorkflowQueryError::Rpc(Status::new(code, "sekret")));
            assert!(error.to_string().contains(text), "{error}");
            assert!(!error.to_string().contains("sekret"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said_so() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = unused.local_addr().unwrap();
        drop(unused);
        let address = Url::parse(&format!("http://{address}")).unwrap();
        let error = Signals::connect(address, "default").await.unwrap_err();
        assert!(
            matches!(
                error,
                SignalsError::Unreachable {
                    cause: Cause::Refused
                }
            ),
            "{error:?}"
        );
    }
}
