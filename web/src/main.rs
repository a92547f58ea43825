#![doc = include_str!("../README.md")]

mod admit;
mod api;
mod config;
mod consents;
mod counts;
mod oauth;
mod pages;
mod problem;
mod seal;
mod serve;
mod server;
mod state;
mod tasks;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = config::Args::parse();
    if args.wants_document() {
        return print_document();
    }
    let migrate = args.wants_migration();
    let config = match args.check() {
        Ok(config) => config,
        Err(error) => {
            report(&error);
            return ExitCode::from(2);
        }
    };
    server::install_logging(config.log_json);
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
    let ran = if migrate {
        runtime.block_on(server::migrate(&config))
    } else {
        runtime.block_on(server::run(config))
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the front door cannot run");
            let misconfigured = error.downcast_ref::<store::StoreError>().is_some_and(|e| {
                matches!(e, store::StoreError::Keys(_) | store::StoreError::Address)
            });
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
