#![doc = include_str!("../README.md")]

mod admit;
mod api;
mod config;
mod consents;
mod counts;
mod followers;
mod oauth;
mod pages;
mod problem;
mod seal;
mod serve;
mod server;
mod state;
mod tally;
mod tasks;
mod webhooks;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = config::Args::parse();
    if args.wants_document() {
        return print_document();
    }
    if args.wants_migration() {
        return match args.check_for_migration() {
            Ok(config) => {
                process::logging::install(config.log);
                run(server::migrate(config))
            }
            Err(error) => refused(&error),
        };
    }
    match args.check() {
        Ok(config) => {
            process::logging::install(config.log);
            run(server::run(config))
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &process::config::ConfigError) -> ExitCode {
    report(error);
    ExitCode::from(2)
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
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
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the front door cannot run");
            let misconfigured = error
                .downcast_ref::<store::StoreError>()
                .is_some_and(process::database::is_misconfigured);
            ExitCode::from(if misconfigured { 2 } else { 1 })
        }
    }
}

#[allow(clippy::print_stdout, reason = "the document is what was asked for")]
fn print_document() -> ExitCode {
    println!("{}", api::document());
    ExitCode::SUCCESS
}

#[allow(
    clippy::print_stderr,
    reason = "before logging is set up, standard error is all there is"
)]
fn report(error: &dyn std::fmt::Display) {
    eprintln!("hubspot-sync-web: {error}");
}
