//! `bench sync`: what it costs to stay in step with HubSpot, and how soon a change is here. Each part
//! has a stack of its own, so that none slows the next.

mod arrival;
mod changes;
mod cost;
mod many;
mod neighbours;
mod verdicts;

use std::path::Path;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Nothing changed; one contact of a hundred; a bulk edit with one timestamp
    Changes,
    /// From an edit in HubSpot to the feed, by webhook and by schedule
    Arrival,
    /// The verdicts on everybody after a change of a rule; ten thousand asked about at once
    Verdicts,
    /// How soon a change of one workspace is here while another one is read for the first time
    Neighbours,
    /// Many workspaces on one worker
    Many,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Changes,
        Self::Arrival,
        Self::Verdicts,
        Self::Neighbours,
        Self::Many,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Arrival => "arrival",
            Self::Verdicts => "verdicts",
            Self::Neighbours => "neighbours",
            Self::Many => "many",
        }
    }
}

/// How large.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    /// Only these parts; all of them if missing
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// changes: contacts of the portal
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=crate::MOST))]
    contacts: u64,
    /// changes: contacts of the bulk edit
    #[arg(long, default_value_t = 25_000, value_parser = clap::value_parser!(u64).range(1..=crate::MOST))]
    bulk: u64,
    /// arrival: edits by each way
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=1_900))]
    edits: u64,
    /// arrival: seconds between two periodic syncs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    schedule_seconds: u64,
    /// verdicts: people, half of them contacts
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(2_000..=crate::MOST))]
    people: u64,
    /// neighbours: contacts of the portal that is read for the first time
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=crate::MOST))]
    backfill: u64,
    /// neighbours: changes that are waited for at least, idle and beside
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=900))]
    samples: u64,
    /// many: workspaces
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    workspaces: u64,
    /// many: contacts of each workspace
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    contacts_each: u64,
    /// many: seconds between two periodic syncs of a workspace
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3_600))]
    every_seconds: u64,
    /// many: how many times that is watched
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    intervals: u64,
}

/// Runs the parts that were asked for, and prints what each has found.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<()> {
    for part in Part::ALL {
        if !plan.only.is_empty() && !plan.only.contains(&part) {
            continue;
        }
        let dir = dir.join(part.as_str());
        let report = match part {
            Part::Changes => changes::run(plan, binaries, &dir).await?,
            Part::Arrival => arrival::run(plan, binaries, &dir).await?,
            Part::Verdicts => verdicts::run(plan, binaries, &dir).await?,
            Part::Neighbours => neighbours::run(plan, binaries, &dir).await?,
            Part::Many => many::run(plan, binaries, &dir).await?,
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

    fn plan(args: &[&str]) -> Result<Plan, String> {
        let line = ["sync"].iter().chain(args);
        Line::try_parse_from(line)
            .map(|line| line.plan)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn parts_can_be_chosen() {
        assert_eq!(plan(&[]).unwrap().only, []);
        let some = plan(&["--only=changes,many", "--workspaces=1000"]).unwrap();
        assert_eq!(some.only, [Part::Changes, Part::Many]);
        assert_eq!(some.workspaces, 1_000);
        for part in Part::ALL {
            assert!(plan(&["--only", part.as_str()]).is_ok());
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        for wrong in ["--only=some", "--people=1", "--workspaces=0"] {
            let name = wrong.split('=').next().unwrap();
            assert!(plan(&[wrong]).unwrap_err().contains(name));
        }
    }
}
