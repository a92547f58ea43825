#![doc = include_str!("../README.md")]

mod config;
mod health;
mod memory;
mod rotation;
mod run;
mod telemetry;

use std::{path::Path, process::ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    let args = config::Args::parse();
    if let Some(dir) = args.wants_schemas() {
        return write_schemas(&dir);
    }
    if let Some(database) = args.wants_rotation() {
        return rotation::run(database);
    }
    let config = match args.check() {
        Ok(config) => config,
        Err(error) => {
            report(&error);
            return ExitCode::from(2);
        }
    };
    process::logging::install(config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            report(&error);
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(config)) {
        Ok(run::Ended::Shutdown) => {
            // Activities that ignore cancellation must not hold the process up.
            runtime.shutdown_background();
            ExitCode::SUCCESS
        }
        Ok(run::Ended::Recycle) => {
            runtime.shutdown_background();
            report(&memory::replace_process());
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!(error = %error, "the worker cannot run");
            let misconfigured = error
                .downcast_ref::<store::StoreError>()
                .is_some_and(process::database::is_misconfigured);
            ExitCode::from(if misconfigured { 2 } else { 1 })
        }
    }
}

fn write_schemas(dir: &Path) -> ExitCode {
    let written = std::fs::create_dir_all(dir).and_then(|()| {
        for document in workflows::schemas::all()? {
            let text = format!("{:#}\n", document.schema);
            std::fs::write(dir.join(document.file), text)?;
        }
        Ok(())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(
    clippy::print_stderr,
    reason = "before logging is set up, standard error is all there is"
)]
fn report(error: &dyn std::fmt::Display) {
    eprintln!("hubspot-sync-worker: {error}");
}
