//! Recycling by memory: the SDK leaks a little with every activity (docs/operations.md).

use std::os::unix::process::CommandExt as _;

/// Resident memory of this process in bytes; `None` where the system does not say.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    parse_resident(&status)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Replaces this process by a fresh image of the same program with the same arguments and
/// environment. Comes back only when that fails.
pub(crate) fn replace_process() -> std::io::Error {
    match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .exec(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read() {
        assert_eq!(
            parse_resident("Name:\tx\nVmRSS:\t   2048 kB\n"),
            Some(2 * 1024 * 1024)
        );
        assert_eq!(parse_resident("Name:\tx\n"), None);
        assert!(resident_bytes().unwrap() > 1024 * 1024);
    }
}
