//! The same people, companies and activities by a plain loop over HubSpot's own SDK, which is what an
//! integration begins as.

use std::{fmt, path::Path};

use anyhow::Context as _;
use serde_json::json;

use super::campaign::{ACTIVITIES, Campaign, portal_of, world};
use crate::{backfill::Limits, peers, requests};

const OURS: u64 = 1_000_001;
const THEIRS: u64 = 1_000_002;

/// What each of both needed.
pub(super) struct Both {
    people: u64,
    ours: Needs,
    theirs: Needs,
}

struct Needs {
    requests: u64,
    too_many: u64,
    seconds: f64,
}

impl fmt::Display for Both {
    #[allow(clippy::cast_precision_loss, reason = "far from 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let people = self.people as f64;
        writeln!(
            f,
            "| who exports | requests | a person | 429s | seconds | people/s |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|")?;
        for (name, needs) in [
            ("ours, in bulk", &self.ours),
            ("a loop over HubSpot's SDK", &self.theirs),
        ] {
            writeln!(
                f,
                "| {name} | {} | {:.4} | {} | {:.1} | {:.1} |",
                needs.requests,
                needs.requests as f64 / people,
                needs.too_many,
                needs.seconds,
                people / needs.seconds.max(0.001)
            )?;
        }
        let fewer = self.theirs.requests as f64 / self.ours.requests.max(1) as f64;
        write!(
            f,
            "the loop takes {fewer:.0} times the requests and {:.1} times as long",
            self.theirs.seconds / self.ours.seconds.max(0.001)
        )
    }
}

pub(super) async fn run(
    people: u64,
    limits: Limits,
    latency_ms: u64,
    binaries: &Path,
    dir: &Path,
) -> anyhow::Result<Both> {
    println!(
        "bulk, beside a loop over HubSpot's SDK: {people} people, {ACTIVITIES} activities each; limits {}, \
         {latency_ms} ms an answer",
        limits.as_str()
    );
    let world = world(limits, binaries, dir).await?;
    let workspace = world.connect(OURS, portal_of(limits, latency_ms)).await?;
    workspace.until_read().await?;
    let campaign = Campaign {
        people,
        activities: ACTIVITIES,
    };
    let figures = campaign.export(&world, &workspace).await?;

    let mut size = portal_of(limits, latency_ms);
    size["portal_id"] = json!(THEIRS);
    size["auto_companies"] = json!(false);
    world.api.simulator("POST", "portals", Some(size)).await?;
    let simulator = &world.api.addresses().simulator;
    let script = peers::Script {
        file: "loop_python.py",
        portal: THEIRS,
        records: people,
        env: vec![("LOOP_PEOPLE", people.to_string())],
    };
    let took = script.run(simulator).await.context("the loop")?;
    let counted = requests::of(&world.api, THEIRS).await?;
    Ok(Both {
        people,
        ours: Needs {
            requests: figures.requests + figures.rechecks,
            too_many: figures.too_many,
            seconds: figures.seconds,
        },
        theirs: Needs {
            requests: counted.total,
            too_many: counted.too_many,
            seconds: took.as_secs_f64(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_ratios() {
        let both = Both {
            people: 100,
            ours: Needs {
                requests: 10,
                too_many: 0,
                seconds: 2.0,
            },
            theirs: Needs {
                requests: 500,
                too_many: 3,
                seconds: 50.0,
            },
        };
        let text = both.to_string();
        assert!(
            text.contains("| ours, in bulk | 10 | 0.1000 | 0 | 2.0 | 50.0 |"),
            "{text}"
        );
        assert!(
            text.ends_with("the loop takes 50 times the requests and 25.0 times as long"),
            "{text}"
        );
    }
}
