//! What the kernel says of processes: memory and processor time.

use std::fs;

use anyhow::Context as _;

/// Clock ticks per second in `/proc`: Linux shows all architectures the same.
const TICKS: f64 = 100.0;

/// The most memory that a process had resident until now, in bytes.
pub(crate) fn peak_memory(pid: i32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM:")
}

/// The memory that a process has resident now, in bytes.
pub(crate) fn resident_memory(pid: i32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: i32, line: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    bytes_of(&text, line).with_context(|| format!("{path} has no {line}"))
}

fn bytes_of(status: &str, line: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(line))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor seconds of a process and its children, those that ended included: Postgres works in
/// children.
pub(crate) fn cpu_seconds(pid: i32) -> anyhow::Result<f64> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").context("/proc cannot be read")? {
        let path = entry?.path().join("stat");
        // Neither a process, nor one that is still there.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if let Some(stat) = Stat::of(&text) {
            if stat.pid == pid {
                ticks += stat.own + stat.waited_for;
            } else if stat.parent == pid {
                ticks += stat.own;
            }
        }
    }
    Ok(seconds(ticks))
}

/// Processor seconds that the whole machine was busy since it started.
pub(crate) fn machine_seconds() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
    Ok(seconds(
        busy_of(&text).context("/proc/stat has no line cpu")?,
    ))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "ticks of a run are far from 2^52"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS
}

/// A line of `/proc/<pid>/stat`, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    parent: i32,
    own: u64,
    waited_for: u64,
}

impl Stat {
    fn of(text: &str) -> Option<Self> {
        // The name in brackets may hold anything, brackets too.
        let (head, tail) = text.rsplit_once(')')?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let ticks = |n: usize| -> Option<u64> { fields.get(n)?.parse().ok() };
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            waited_for: ticks(13)? + ticks(14)?,
        })
    }
}

/// user, nice, system, irq, softirq of the line `cpu`.
fn busy_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|f| f.parse().ok())
        .collect();
    [0, 1, 2, 5, 6].into_iter().map(|n| fields.get(n)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        let text = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(bytes_of(text, "VmHWM:"), Some(2_097_152));
        assert_eq!(bytes_of(text, "VmRSS:"), Some(1_024));
        assert_eq!(bytes_of("VmRSS: 1 kB", "VmHWM:"), None);
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 5";
        assert_eq!(
            Stat::of(text),
            Some(Stat {
                pid: 7,
                parent: 3,
                own: 30,
                waited_for: 70
            })
        );
    }

    #[test]
    fn idle_and_waiting_is_not_busy() {
        assert_eq!(
            busy_of("cpu  1 2 4 1000 1000 8 16 500 0 0\ncpu0 9"),
            Some(31)
        );
        assert_eq!(busy_of("cpu  1 2"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(peak_memory(pid).unwrap() > 100_000);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
        assert!(machine_seconds().unwrap() > 0.0);
    }
}
