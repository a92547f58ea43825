//! Errors, classified where they arise.

use crate::crypto::KeyRingError;

/// Why the store could not do it. Never shows values of rows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or gave up on this attempt; another may do better.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Other writers of the same rows were faster, again and again.
    #[error("too many writers of the same records at once")]
    Contended,
    /// Nothing of that id.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// What was written cannot be read back: a wrong key, or a value that the program does not know.
    #[error("stored {0} cannot be read; is its encryption key still configured?")]
    Corrupt(&'static str),
    /// What was encrypted under a key that is not configured any more. Ids of keys are no secret.
    #[error("the encryption key {0} is in use, and is not in TOKEN_ENCRYPTION_KEYS")]
    KeyMissing(String),
    /// One record cannot be read back; the others can. Which one is in the log.
    #[error("a stored {0} cannot be read")]
    Unreadable(&'static str),
    /// Unusable encryption keys.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The address of the database is none.
    #[error("DATABASE_URL is not a valid address")]
    Address,
    /// A migration failed.
    #[error("a migration failed")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A defect: the database refused a statement of ours.
    #[error("the database refused a statement{}", .0.as_deref().map(|c| format!(" ({c})")).unwrap_or_default())]
    Refused(Option<String>),
}

impl StoreError {
    /// Whether another attempt may succeed.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contended)
    }

    /// Whether the database cannot hold a value that was given: SQLSTATE class 22, such as a time
    /// before 4713 BC. No attempt mends that.
    pub fn is_bad_value(&self) -> bool {
        matches!(self, Self::Refused(Some(code)) if code.starts_with("22"))
    }

    /// Our code, see `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Contended => "HS-5001",
            Self::NotFound(_) => "HS-5002",
            Self::Corrupt(_) | Self::KeyMissing(_) => "HS-5003",
            Self::Unreadable(_) => "HS-2217",
            Self::Keys(_) | Self::Address => "HS-5004",
            Self::Migration(_) => "HS-5005",
            Self::Refused(_) => "HS-5006",
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().map(|c| c.into_owned());
                // 55P03: waited too long for a lock; 25P03: idle for too long in a transaction.
                if matches!(code.as_deref(), Some("55P03" | "25P03")) {
                    return Self::Unavailable(error);
                }
                // 08: connection, 40: serialization and deadlock, 53: resources, 57: shutdown, or a
                // statement that took too long.
                match code.as_deref().and_then(|c| c.get(..2)) {
                    Some("08" | "40" | "53" | "57") => Self::Unavailable(error),
                    _ => Self::Refused(code),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::RowNotFound => Self::NotFound("row"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt("row"),
            _ => Self::Refused(None),
        }
    }
}

/// Whether the database refused a value of the data itself: SQLSTATE class 22, or 54 for one that
/// exceeds a limit, such as JSON that is nested too deep.
pub(crate) fn is_data_error(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|e| e.code())
        .is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}
