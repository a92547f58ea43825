//! How long many of the same took.

use std::{fmt, time::Duration};

/// Seconds: median, 95 of 100, most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// How many.
    pub(crate) number: usize,
    shares: [f64; 3],
}

impl Times {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let share = |percent: usize| {
            let place = (all.len() * percent).div_ceil(100).max(1) - 1;
            all.get(place).map_or(f64::NAN, Duration::as_secs_f64)
        };
        Self {
            number: all.len(),
            shares: [share(50), share(95), share(100)],
        }
    }

    pub(crate) fn median(self) -> f64 {
        self.shares[0]
    }

    pub(crate) fn p95(self) -> f64 {
        self.shares[1]
    }

    /// In seconds, where the usual display is in milliseconds.
    pub(crate) fn seconds(self) -> String {
        let [median, p95, most] = self.shares;
        format!(
            "median {median:.2}, p95 {p95:.2}, most {most:.2} ({})",
            self.number
        )
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p95, most] = self.shares.map(|seconds| seconds * 1_000.0);
        write!(f, "median {median:.1}, p95 {p95:.1}, most {most:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shares_of_sorted_values() {
        let times = Times::of((1..=20).rev().map(Duration::from_millis).collect());
        assert_eq!(times.to_string(), "median 10.0, p95 19.0, most 20.0");
        assert_eq!((times.median(), times.p95()), (0.01, 0.019));
        assert!(Times::of(Vec::new()).p95().is_nan());
    }
}
