//! `rotate-keys`: moves stored tokens to the first key (C3).

use std::process::ExitCode;

use process::{config::ConfigError, database, database::DatabaseConfig};
use store::Rotated;

use crate::report;

/// Moves them, says what became of them, and ends: with 0 where all are under the first key now, with 1 where
/// some stayed as they were.
pub(crate) fn run(database: Result<DatabaseConfig, ConfigError>) -> ExitCode {
    let database = match database {
        Ok(database) => database,
        Err(error) => {
            report(&error);
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&error);
            return ExitCode::FAILURE;
        }
    };
    let rotated =
        runtime.block_on(async { database::open(&database).await?.rotate_tokens().await });
    match rotated {
        Ok(rotated) => tell(&rotated),
        Err(error) => {
            report(&format_args!("{}: {error}", error.code()));
            ExitCode::from(if database::is_misconfigured(&error) {
                2
            } else {
                1
            })
        }
    }
}

#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn tell(rotated: &Rotated) -> ExitCode {
    println!(
        "{} connections moved to the first key, {} were there",
        rotated.moved, rotated.current
    );
    for (id, count) in &rotated.locked {
        report(&format_args!(
            "HS-5003: {count} connections are under the key {id}, which is not in TOKEN_ENCRYPTION_KEYS: add it and try again"
        ));
    }
    if rotated.damaged > 0 {
        report(&format_args!(
            "HS-5003: the tokens of {} connections cannot be read: these connect again",
            rotated.damaged
        ));
    }
    let all = rotated.locked.is_empty() && rotated.damaged == 0;
    if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
