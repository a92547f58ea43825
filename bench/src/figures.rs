//! The figures of a run, and how they are shown.

use std::{fmt, time::Duration};

use crate::{
    backfill::Limits,
    requests::{Requests, share, share_of_search},
};

/// The figures of a run.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Under which limits.
    pub(crate) limits: Limits,
    /// Records in the mirror at the end.
    pub(crate) records: u64,
    /// From the answer of the consent page to the end of the run, by the store's clock.
    pub(crate) took: Duration,
    /// Bytes of a record in the simulator's own listing, associations included, on average.
    pub(crate) record_bytes: u64,
    /// The simulator's count.
    pub(crate) requests: Requests,
    /// The worker's memory.
    pub(crate) memory: Memory,
    /// Events in the history of `Backfill`.
    pub(crate) events: u64,
    /// Who used the processors.
    pub(crate) cpu: Vec<Cpu>,
}

/// The most that the worker had resident until a moment, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Until there was something to do.
    pub(crate) idle: u64,
    /// Until half of the records were stored.
    pub(crate) half: u64,
    /// Until all were.
    pub(crate) peak: u64,
}

/// Processor time of one part.
#[derive(Debug, Clone)]
pub(crate) struct Cpu {
    /// Which part.
    pub(crate) name: &'static str,
    /// Seconds of one processor.
    pub(crate) seconds: f64,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "records and bytes of a run are far from 2^52"
)]
impl Figures {
    fn records_per_second(&self) -> f64 {
        self.records as f64 / self.took.as_secs_f64().max(0.001)
    }

    fn events_per_1000(&self) -> f64 {
        self.events as f64 * 1_000.0 / self.records.max(1) as f64
    }
}

#[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let r = &self.requests;
        let mut line = |name: &str, value: String| writeln!(f, "  {name:34} {value}");
        line("records", self.records.to_string())?;
        line(
            "bytes of a record, with envelope",
            self.record_bytes.to_string(),
        )?;
        line("seconds", format!("{seconds:.1}"))?;
        line(
            "records/s committed",
            format!("{:.0}", self.records_per_second()),
        )?;
        line(
            "requests",
            format!("{} ({} of them counted)", r.total, r.general),
        )?;
        if self.limits == Limits::Hubspot {
            let show = |used: Option<f64>| {
                used.map_or_else(|| "-".to_owned(), |s| format!("{:.0} %", s * 100.0))
            };
            line(
                "share of the rate allowance",
                show(share(r.general, seconds)),
            )?;
            line(
                "… until all records were read",
                format!(
                    "{} of {:.1} s",
                    show(share(r.reading.general, r.reading.seconds)),
                    r.reading.seconds
                ),
            )?;
            line(
                "pauses over 190 ms until then",
                format!("{}, {:.1} s in all", r.pauses.number, r.pauses.seconds),
            )?;
            line(
                "share of our searches until then",
                show(share_of_search(r.reading.search, r.reading.seconds)),
            )?;
            line(
                "… while all three types were read",
                format!(
                    "{} of {:.1} s",
                    show(share(r.together.general, r.together.seconds)),
                    r.together.seconds
                ),
            )?;
        }
        line("429s", r.too_many.to_string())?;
        line("peak ten seconds, requests", r.peak_ten_seconds.to_string())?;
        line(
            "worker's peak memory, MB",
            format!(
                "{:.0} (idle {:.0}, at half {:.0})",
                mb(self.memory.peak),
                mb(self.memory.idle),
                mb(self.memory.half)
            ),
        )?;
        line(
            "history events per 1,000 records",
            format!("{:.2} ({} events)", self.events_per_1000(), self.events),
        )?;
        let cpu: Vec<String> = self
            .cpu
            .iter()
            .map(|c| format!("{} {:.1}", c.name, c.seconds))
            .collect();
        line("processor seconds", cpu.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{Pauses, Reading, Together};

    fn figures(limits: Limits) -> Figures {
        Figures {
            limits,
            records: 20_000,
            took: Duration::from_secs(20),
            record_bytes: 990,
            requests: Requests {
                total: 230,
                general: 220,
                too_many: 3,
                peak_ten_seconds: 108,
                together: Together {
                    general: 99,
                    seconds: 10.0,
                },
                reading: Reading {
                    general: 104,
                    search: 27,
                    seconds: 10.0,
                },
                pauses: Pauses {
                    number: 2,
                    seconds: 0.5,
                },
            },
            memory: Memory {
                idle: 30_000_000,
                half: 40_000_000,
                peak: 50_000_000,
            },
            events: 30,
            cpu: vec![Cpu {
                name: "worker",
                seconds: 4.25,
            }],
        }
    }

    #[test]
    fn figures_are_rates_and_shares() {
        let text = figures(Limits::Hubspot).to_string();
        let value = |name: &str| {
            let line = text.lines().find(|l| l.trim_start().starts_with(name));
            line.unwrap().trim_start()[name.len()..].trim().to_owned()
        };
        assert_eq!(value("records/s committed"), "1000");
        assert_eq!(value("share of the rate allowance"), "100 %");
        assert_eq!(value("… while all three types were read"), "90 % of 10.0 s");
        assert_eq!(value("429s"), "3");
        assert_eq!(
            value("worker's peak memory, MB"),
            "50 (idle 30, at half 40)"
        );
        assert_eq!(
            value("history events per 1,000 records"),
            "1.50 (30 events)"
        );
    }

    #[test]
    fn without_limits_there_is_no_share() {
        assert!(!figures(Limits::Off).to_string().contains("share"));
    }
}
