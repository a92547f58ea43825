//! `bench export`: what an export of one person costs, and how soon it is in HubSpot. Each part has a
//! stack of its own, so that none slows the next.

mod app;
mod latency;
mod requests;
mod throughput;

use std::path::Path;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Requests to HubSpot and events of history, case by case
    Requests,
    /// From the call to the write in HubSpot: idle, beside another workspace's backfill, beside its own
    Latency,
    /// Exports a second that one worker does without limits, and what each costs among few and many
    Throughput,
}

impl Part {
    const ALL: [Self; 3] = [Self::Requests, Self::Latency, Self::Throughput];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
        }
    }
}

/// How large.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    /// Only these parts; all of them if missing
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// requests: exports of each case
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    each: u64,
    /// latency: exports, idle and beside each backfill
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=5_000))]
    samples: u64,
    /// latency: contacts of the portal that is read for the first time
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=crate::MOST))]
    backfill: u64,
    /// throughput: people in all; the first and the last thousand are compared
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    people: u64,
    /// throughput: contacts that the portal has besides, who are people of the workspace too
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=crate::MOST))]
    others: u64,
    /// throughput: exports under way at once; what waits behind more than 25 others goes in bulk
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=256))]
    at_once: u64,
}

/// Runs the parts that were asked for, and prints what each has found.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<()> {
    for part in Part::ALL {
        if !plan.only.is_empty() && !plan.only.contains(&part) {
            continue;
        }
        let dir = dir.join(part.as_str());
        let report = match part {
            Part::Requests => requests::run(plan, binaries, &dir).await?,
            Part::Latency => latency::run(plan, binaries, &dir).await?,
            Part::Throughput => throughput::run(plan, binaries, &dir).await?,
        };
        println!("{report}");
        crate::remove(&dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        plan: Plan,
    }

    #[test]
    fn parts_and_sizes_can_be_chosen() {
        let plan = |args: &[&str]| Line::try_parse_from(["export"].iter().chain(args));
        let some = plan(&["--only=latency,requests", "--people=100000"]).unwrap();
        assert_eq!(some.plan.only, [Part::Latency, Part::Requests]);
        assert_eq!(some.plan.people, 100_000);
        for part in Part::ALL {
            assert!(plan(&["--only", part.as_str()]).is_ok());
        }
        assert!(plan(&["--people=1"]).is_err());
    }
}
