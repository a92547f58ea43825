#![doc = include_str!("../README.md")]

pub mod config;
#[cfg(feature = "database")]
pub mod database;
pub mod logging;
pub mod shutdown;
pub mod supervise;
pub mod temporal;

use std::time::Duration;

/// Waits longer and longer, from half a second to fifteen.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(500))
    }
}

impl Backoff {
    /// The next wait.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(15));
    }
}
