//! `hubspot-sync`: connect, watch, resync and disconnect from a terminal.

mod cli;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use cli::{args::Args, commands, failure::Failure, output::clean};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough, as in `hubspot-sync status | head -1`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // Nothing is left to be done where standard error cannot be written.
            let _told = writeln!(
                io::stderr(),
                "hubspot-sync: {}",
                clean(&failure.to_string())
            );
            ExitCode::from(failure.exit_code())
        }
    }
}

fn start() -> Result<(), Failure> {
    let job = Args::parse().check(&|name| std::env::var_os(name), chrono::Utc::now())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Output)?;
    runtime.block_on(commands::run(job))
}
