//! Portals as files: a small sample of the repository's own, and the public data that may lie beside
//! the checkout.

use std::path::{Path, PathBuf};

/// A folder with `companies.csv` and `crm-sales/`, as the simulator loads it.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The folder.
    pub dir: PathBuf,
    /// What it is, for messages.
    pub name: &'static str,
}

/// The repository's own sample.
pub fn sample() -> DataSet {
    DataSet {
        dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("data"),
        name: "sample",
    }
}

/// The public data beside the checkout. Where it is absent that is said by name, and it is a failure
/// only with `REQUIRE_SHARED_DATA`.
///
/// # Panics
/// When it is required and not there.
pub fn outside() -> Option<DataSet> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if let Ok(dir) = dir.canonicalize() {
        return Some(DataSet {
            dir,
            name: "shared/data",
        });
    }
    assert!(
        std::env::var_os("REQUIRE_SHARED_DATA").is_none(),
        "shared/data is required and not beside the checkout"
    );
    #[allow(
        clippy::print_stdout,
        reason = "for whoever reads the output of a test"
    )]
    {
        println!("absent, adds no cases: shared/data");
    }
    None
}
