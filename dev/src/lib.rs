#![doc = include_str!("../README.md")]

pub mod conformance;
pub mod demo;
pub mod entry;
pub mod feed;
pub mod guard;
pub mod hammer;
pub mod provision;
pub mod stack;

/// An HTTP client; TLS by ring, as the rest of the workspace has it.
pub fn http() -> anyhow::Result<reqwest::Client> {
    // Fails when one is installed already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(30))
        // The front door closes what idles for thirty seconds, maybe just when it is used again.
        .pool_idle_timeout(std::time::Duration::from_secs(20))
        .no_proxy()
        .build()?)
}
