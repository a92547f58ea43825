//! `hubspot-simulator`: a HubSpot on loopback. See the README.
#![allow(
    clippy::print_stdout,
    reason = "the address is told to whoever started it"
)]

use std::net::SocketAddr;

use clap::Parser;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

/// A HubSpot that runs on loopback, in memory.
#[derive(Parser)]
#[command(name = "hubspot-simulator", version, about)]
struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Seed of everything that looks random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End when standard input closes
    #[arg(long)]
    exit_with_parent: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Thousands of connections need as many descriptors; with fewer it serves fewer.
    rlimit::increase_nofile_limit(u64::MAX).ok();
    let listener = TcpListener::bind(args.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let ended = async move {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
        let terminated = async {
            match terminate.as_mut() {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        };
        let orphaned = async {
            if !args.exit_with_parent {
                std::future::pending::<()>().await;
            }
            let mut buffer = [0; 64];
            while tokio::io::stdin()
                .read(&mut buffer)
                .await
                .is_ok_and(|n| n > 0)
            {}
        };
        tokio::select! {
            () = terminated => {}
            () = orphaned => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    tokio::select! {
        served = simulator::serve(listener, simulator::Simulator::new(args.seed)) => served?,
        () = ended => {}
    }
    Ok(())
}
