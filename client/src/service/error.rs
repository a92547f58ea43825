//! Why a call failed, or no client could be made.

use std::fmt;

use domain::api::{Problem, SettingsConflict, SettingsRefused};

use crate::Cause;

/// Why a call of `/api/v1` failed. Carries no address and no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There was no answer. Whether the call had an effect, says [`Cause::had_no_effect`].
    #[error("the HubSpot sync service could not be reached: {cause}")]
    Unreachable {
        /// Why.
        cause: Cause,
        /// The error underneath, stripped of its address.
        #[source]
        source: reqwest::Error,
    },
    /// The service said no (RFC 9457); nothing was changed.
    #[error("{code} {title}: {detail}")]
    Problem {
        /// The service's code, such as `HS-1003`; `docs/errors.md` has a paragraph on each.
        code: String,
        /// The same for every problem of this code.
        title: String,
        /// What happened here and the way out.
        detail: String,
        /// HTTP status.
        status: u16,
    },
    /// Settings have rows that are wrong (HS-2190): which, and why. Nothing was saved.
    #[error("{}", told(&.0.problem))]
    SettingsRefused(Box<SettingsRefused>),
    /// Somebody saved other settings meanwhile (HS-2191): what they changed. Nothing was saved.
    #[error("{}", told(&.0.problem))]
    SettingsConflict(Box<SettingsConflict>),
    /// Something answered that does not speak this API, or another version of it.
    #[error("HTTP status {status}: {reason}")]
    UnexpectedAnswer {
        /// HTTP status.
        status: u16,
        /// What is wrong with the answer.
        reason: Unexpected,
    },
}

fn told(problem: &Problem) -> String {
    format!("{} {}: {}", problem.code, problem.title, problem.detail)
}

/// A call with the same idempotency key has not been answered yet: it can be sent again.
const CALL_UNDER_WAY: &str = "HS-4007";

impl Error {
    /// Whether asking the same again later may succeed: nobody there, an error of the server's, or
    /// the same call is still under way.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem { status, code, .. } => *status >= 500 || code == CALL_UNDER_WAY,
            Self::UnexpectedAnswer { status, .. } => *status >= 500,
            Self::SettingsRefused(_) | Self::SettingsConflict(_) => false,
        }
    }

    /// The service's code, where it said no.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem { code, .. } => Some(code),
            Self::SettingsRefused(refused) => Some(&refused.problem.code),
            Self::SettingsConflict(conflict) => Some(&conflict.problem.code),
            Self::Unreachable { .. } | Self::UnexpectedAnswer { .. } => None,
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unexpected {
    /// A success whose body is not the JSON that this call is answered with.
    Body,
    /// No success, and no problem document either.
    NoProblem,
    /// A redirect. It is not followed, for the token is meant for the given address only.
    Redirect,
    /// More than this kind of call is answered with: 32 MiB for listings, 1 MiB for the rest.
    TooLarge,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => {
                "the body is not what this version of the client expects; is the base URL that of \
                 the HubSpot sync service, and of the same version?"
            }
            Self::NoProblem => {
                "an error without a problem document; is the base URL that of the HubSpot sync \
                 service, or of something in front of it?"
            }
            Self::Redirect => {
                "a redirect, which is not followed; give the base URL that it leads to"
            }
            Self::TooLarge => {
                "the body is larger than this call's answers are; ask for smaller pages, or is the \
                 base URL wrong?"
            }
        })
    }
}

/// Why no client could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The base URL is not usable. It is not repeated: it may contain a password.
    #[error(
        "the base URL is not an http(s) address without user, query and fragment, such as \
         https://sync.example.com"
    )]
    BaseUrl,
    /// The token is empty or has characters that no HTTP header can carry.
    #[error("the bearer token is empty or has characters that an HTTP header cannot carry")]
    Token,
    /// There is no TLS on this machine.
    #[error("the HTTP client could not be built")]
    Http,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_again_is_known_by_status_and_code() {
        let problem = |status: u16, code: &str| Error::Problem {
            code: code.to_owned(),
            title: String::new(),
            detail: String::new(),
            status,
        };
        assert!(problem(503, "HS-5001").is_temporary());
        assert!(problem(409, "HS-4007").is_temporary());
        assert!(!problem(409, "HS-1003").is_temporary());
        assert_eq!(problem(409, "HS-1003").code(), Some("HS-1003"));
        let cut = Error::UnexpectedAnswer {
            status: 502,
            reason: Unexpected::NoProblem,
        };
        assert!(cut.is_temporary() && cut.code().is_none());
    }
}
