//! `bench bulk`: what it costs to export a campaign, at HubSpot's limits and without; how long what happens
//! meanwhile takes to HubSpot; and what a plain loop needs for the same.

mod campaign;
mod live;
mod sdk;

use std::path::Path;

use crate::backfill::Limits;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// A campaign, without activities and with three of each person
    Campaign,
    /// From the call to the engagement in HubSpot: idle, beside another workspace's bulk export, beside its own
    Live,
    /// The same people by a plain loop over HubSpot's own SDK
    Sdk,
}

impl Part {
    const ALL: [Self; 3] = [Self::Campaign, Self::Live, Self::Sdk];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Live => "live",
            Self::Sdk => "sdk",
        }
    }
}

/// How large.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Plan {
    /// Only these parts; all of them if missing
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// campaign: people
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=500_000))]
    people: u64,
    /// campaign: 50,000 people
    #[arg(long, conflicts_with = "people")]
    full: bool,
    /// campaign, sdk: HubSpot's rate limits, or none; both one after the other if missing
    #[arg(long)]
    limits: Option<Limits>,
    /// How long HubSpot takes for an answer at its limits, in milliseconds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=5_000))]
    latency_ms: u64,
    /// live: activities, idle and beside each bulk export
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=5_000))]
    samples: u64,
    /// live: people of the bulk export beside it, with three activities each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=500_000))]
    beside: u64,
    /// sdk: people
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
    of_loop: u64,
}

impl Plan {
    const fn people(&self) -> u64 {
        if self.full { 50_000 } else { self.people }
    }

    fn limits(&self) -> Vec<(Limits, u64)> {
        let latency = |limits| match limits {
            Limits::Hubspot => (limits, self.latency_ms),
            Limits::Off => (limits, 0),
        };
        let both = vec![Limits::Hubspot, Limits::Off];
        let chosen = self.limits.map_or(both, |one| vec![one]);
        chosen.into_iter().map(latency).collect()
    }
}

/// Runs the parts that were asked for, and prints what each has found.
pub(crate) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<()> {
    for part in Part::ALL {
        if !plan.only.is_empty() && !plan.only.contains(&part) {
            continue;
        }
        let dir = dir.join(part.as_str());
        // What was cut off has left its database: its workspaces would share their portals with ours.
        if dir.exists() {
            crate::remove(&dir)?;
        }
        match part {
            Part::Campaign => {
                for (limits, latency) in plan.limits() {
                    let of = plan.people();
                    println!(
                        "{}",
                        campaign::run(of, limits, latency, binaries, &dir).await?
                    );
                    crate::remove(&dir)?;
                }
            }
            Part::Live => {
                println!("{}", live::run(plan, binaries, &dir).await?);
                crate::remove(&dir)?;
            }
            Part::Sdk => {
                for (limits, latency) in plan.limits() {
                    let of = plan.of_loop;
                    println!("{}", sdk::run(of, limits, latency, binaries, &dir).await?);
                    crate::remove(&dir)?;
                }
            }
        }
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
    fn size_and_limits_can_be_chosen() {
        let plan =
            |args: &[&str]| Line::try_parse_from(["bulk"].iter().chain(args)).map(|l| l.plan);
        let both = [(Limits::Hubspot, 100), (Limits::Off, 0)];
        assert_eq!(plan(&[]).unwrap().limits(), both);
        assert_eq!(
            plan(&["--limits=off"]).unwrap().limits(),
            [(Limits::Off, 0)]
        );
        assert_eq!(plan(&[]).unwrap().people(), 2_000);
        assert_eq!(plan(&["--full"]).unwrap().people(), 50_000);
        assert_eq!(
            plan(&["--only=sdk,live"]).unwrap().only,
            [Part::Sdk, Part::Live]
        );
        for part in Part::ALL {
            assert!(plan(&["--only", part.as_str()]).is_ok());
        }
        assert!(plan(&["--full", "--people=500"]).is_err());
        assert!(plan(&["--people=1"]).is_err());
    }
}
