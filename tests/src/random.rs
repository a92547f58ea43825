//! Random numbers from a seed, so that a run can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a bound.
    ///
    /// # Panics
    /// Never, on machines of 64 bits.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("64 bits")
    }

    /// One time in two.
    pub fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    /// One of several.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        (!all.is_empty()).then(|| &all[self.below(all.len())])
    }
}

/// The seed in a variable of the environment, else a new one.
///
/// # Panics
/// When the variable holds no number.
pub fn seed(variable: &str) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or_else(
        || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(0, |now| u64::from(now.subsec_nanos()))
        },
        |text| text.parse().expect("a seed is a number"),
    )
}
