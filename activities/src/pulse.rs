//! Whether work moves: what the health endpoint asks.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Counts activities in flight and remembers when one last made progress.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    in_flight: AtomicI64,
    last_progress_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            in_flight: AtomicI64::new(0),
            last_progress_ms: AtomicU64::new(0),
        }
    }
}

impl Pulse {
    /// Something moved: an activity began or ended, a page was committed.
    pub fn progress(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_progress_ms.store(ms, Ordering::Relaxed);
    }

    /// Counts an activity in until the guard is dropped.
    pub fn enter(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.progress();
        InFlight(self)
    }

    /// How many activities run.
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.in_flight.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How long nothing moved although work is in flight; `None` when idle.
    pub fn stuck_for(&self) -> Option<Duration> {
        if self.in_flight() == 0 {
            return None;
        }
        let last = Duration::from_millis(self.last_progress_ms.load(Ordering::Relaxed));
        Some(self.began.elapsed().saturating_sub(last))
    }
}

/// An activity in flight.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Pulse);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.progress();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_never_stuck() {
        let pulse = Pulse::default();
        assert_eq!(pulse.stuck_for(), None);
        let guard = pulse.enter();
        assert!(pulse.stuck_for().is_some());
        drop(guard);
        assert_eq!(pulse.stuck_for(), None);
    }
}
