//! Why a command did not do what was asked, and with which exit code it ends.

use std::io;

use client::{Error, SignalsError};
use domain::people_file::RowProblem;

use super::args::{ConfigError, Service};

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
