//! Time and chance, injected.

use std::fmt;

use chrono::{DateTime, Utc};

/// Where the client takes wall-clock time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Where the client takes the random part of a back-off from.
pub trait Jitter: Send + Sync + fmt::Debug {
    /// A number from 0 up to, but not including, 1.
    fn unit(&self) -> f64;
}

/// Real chance.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomJitter;

impl Jitter for RandomJitter {
    fn unit(&self) -> f64 {
        rand::random()
    }
}

/// Always the same number: for tests.
#[derive(Debug, Clone, Copy)]
pub struct FixedJitter(f64);

impl FixedJitter {
    /// Clamps `unit` to the range 0 to 1.
    pub const fn new(unit: f64) -> Self {
        Self(unit.clamp(0.0, 1.0))
    }
}

impl Jitter for FixedJitter {
    fn unit(&self) -> f64 {
        self.0
    }
}
