//! What a part of a benchmark has found.

use std::fmt::{self, Write as _};

/// Names and values, one a line.
#[derive(Debug, Default)]
pub(crate) struct Report(String);

impl Report {
    pub(crate) fn line(&mut self, name: &str, value: impl fmt::Display) {
        // Writing to text does not fail.
        let _ = writeln!(self.0, "  {name:52} {value}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
