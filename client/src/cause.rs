//! Why nobody answered, without addresses.

use std::{error::Error, fmt, io};

/// Why there was no answer. Carries no address, so that it can be logged and shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The connection was refused: nothing listens there.
    Refused,
    /// There was no connection: a name that does not resolve, no route, no TLS.
    NoConnection,
    /// No answer within the time-out. A request that changes something may have taken effect.
    TimedOut,
    /// The connection ended before the answer did. A request that changes something may have taken
    /// effect.
    Broken,
}

impl Cause {
    /// Whether the request certainly had no effect.
    pub const fn had_no_effect(&self) -> bool {
        matches!(self, Self::Refused | Self::NoConnection)
    }

    /// `fallback`, unless an I/O error among the sources says that the connection was refused.
    pub(crate) fn of(error: &(dyn Error + 'static), fallback: Self) -> Self {
        let mut current = Some(error);
        while let Some(error) = current {
            if let Some(io) = error.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::ConnectionRefused
            {
                return Self::Refused;
            }
            current = error.source();
        }
        fallback
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the connection was refused",
            Self::NoConnection => "no connection could be made",
            Self::TimedOut => "there was no answer in time",
            Self::Broken => "the connection broke before the answer was complete",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_found_among_the_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let refused = Outer(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(Cause::of(&refused, Cause::NoConnection), Cause::Refused);
        let other = Outer(io::ErrorKind::HostUnreachable.into());
        assert_eq!(Cause::of(&other, Cause::NoConnection), Cause::NoConnection);
    }

    #[test]
    fn only_what_never_arrived_had_no_effect() {
        assert!(Cause::Refused.had_no_effect() && Cause::NoConnection.had_no_effect());
        assert!(!Cause::TimedOut.had_no_effect() && !Cause::Broken.had_no_effect());
    }
}
