//! How fast the simulator serves, how long its searches take and what a portal weighs.
//!
//! ```text
//! cargo build --release -p simulator --bin hubspot-simulator
//! cargo run --release -p simulator --example speed -- --contacts 1000000
//! ```
#![allow(clippy::print_stdout, reason = "the figures are for whoever asked")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};

/// Speed of the simulator
#[derive(Parser)]
struct Args {
    /// Contacts in the portal
    #[arg(long, default_value_t = 1_000_000)]
    contacts: u64,
    /// Bytes of text in each besides the usual properties
    #[arg(long, default_value_t = 700)]
    padding: u64,
    /// Pages that are read for the throughput
    #[arg(long, default_value_t = 4_000)]
    pages: u64,
    /// Clients at once
    #[arg(long, default_value_t = 8)]
    clients: u64,
}

/// Ends with us.
struct Simulator(Child);

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Simulator {
    fn memory(&self, name: &str) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text
            .lines()
            .find(|l| l.starts_with(name))
            .context("no such line")?;
        let kilobytes: f64 = line
            .split_whitespace()
            .nth(1)
            .context("no number")?
            .parse()?;
        Ok(kilobytes / 1_048_576.0)
    }

    /// Seconds of processor time so far.
    fn cpu(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let rest = text.rsplit_once(')').context("no name")?.1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        // A tick is a hundredth of a second on Linux.
        Ok(ticks / 100.0)
    }
}

/// The middle and the 99th of a hundred, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!("median {:.2} ms, 99 of 100 under {:.2} ms", at(50), at(99))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is there already"))?;
    let program = std::env::current_exe()?
        .parent()
        .and_then(std::path::Path::parent)
        .context("no folder")?
        .join("hubspot-simulator");
    let mut child = Command::new(&program)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("build it first: {}", program.display()))?;
    let out = child.stdout.take().context("no output")?;
    let simulator = Simulator(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let base = line
        .trim()
        .strip_prefix("listening on ")
        .context("no address")?
        .to_owned();
    let client = reqwest::Client::new();
    let control = |path: String, body: Value| {
        let request = client.post(format!("{base}/_simulator/{path}")).json(&body);
        async move {
            anyhow::Ok(
                request
                    .send()
                    .await?
                    .error_for_status()?
                    .json::<Value>()
                    .await?,
            )
        }
    };
    let begin = Instant::now();
    let portal = control(
        "portals".to_owned(),
        json!({"contacts": args.contacts, "companies": args.contacts / 50, "padding": args.padding, "limits": "off"}),
    )
    .await?;
    let id = portal["portal_id"].as_u64().context("no portal")?;
    println!(
        "{} contacts made in {:.1} s; resident {:.2} GB, at most {:.2} GB",
        args.contacts,
        begin.elapsed().as_secs_f64(),
        simulator.memory("VmRSS")?,
        simulator.memory("VmHWM")?,
    );
    let token = control(format!("portals/{id}/tokens"), json!({})).await?;
    let token = token["access_token"]
        .as_str()
        .context("no token")?
        .to_owned();

    let get = |after: u64| {
        let query = "properties=email,firstname,lastname,jobtitle,phone,city,lifecyclestage,hubspot_owner_id,message";
        let url = format!("{base}/crm/objects/2026-09/contacts?limit=100&after={after}&{query}");
        client.get(url).bearer_auth(&token).send()
    };
    let first: Value = get(0).await?.json().await?;
    let start: u64 = first["results"][0]["id"]
        .as_str()
        .context("no id")?
        .parse()?;
    let size = first["results"].to_string().len() / 100;
    let (begin, cpu) = (Instant::now(), simulator.cpu()?);
    let readers = (0..args.clients).map(|reader| {
        let get = &get;
        async move {
            for page in 0..args.pages / args.clients {
                let place = (reader * args.contacts / args.clients + page * 100) % args.contacts;
                let answer = get(start + place.min(args.contacts - 100)).await?;
                ensure!(answer.status() == 200, "{}", answer.status());
                answer.bytes().await?;
            }
            Ok(())
        }
    });
    for read in futures::future::join_all(readers).await {
        read?;
    }
    let pages = args.pages / args.clients * args.clients;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), simulator.cpu()? - cpu);
    let records = (pages * 100) as f64;
    println!(
        "list pages: {records} records of {size} bytes, {:.0} a second; {:.0} a second per core of the simulator",
        records / seconds,
        records / cpu,
    );

    let window = first["results"][50]["updatedAt"]
        .as_str()
        .context("no time")?
        .to_owned();
    let from = chrono::DateTime::parse_from_rfc3339(&window)?.timestamp_millis();
    let filter = |name: &str, operator: &str, value: i64| json!({"propertyName": name, "operator": operator, "value": value.to_string()});
    let by_id = json!([{"propertyName": "hs_object_id", "direction": "ASCENDING"}]);
    let middle = (start + args.contacts / 2) as i64;
    for (name, body) in [
        (
            "an hour of last-modified, by id",
            json!({"filterGroups": [{"filters": [
                filter("lastmodifieddate", "GTE", from), filter("lastmodifieddate", "LTE", from + 3_600_000),
                filter("hs_object_id", "GT", start as i64)]}], "sorts": by_id, "limit": 200}),
        ),
        (
            "all of last-modified, by id",
            json!({"filterGroups": [{"filters": [
                filter("lastmodifieddate", "GTE", 0), filter("hs_object_id", "GT", middle)]}], "sorts": by_id, "limit": 200}),
        ),
        (
            "ids beyond the middle",
            json!({"filterGroups": [{"filters": [filter("hs_object_id", "GT", middle)]}], "sorts": by_id, "limit": 200}),
        ),
        ("no filter", json!({"limit": 200})),
        (
            "one e-mail",
            json!({"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ",
                "value": first["results"][7]["properties"]["email"]}]}]}),
        ),
    ] {
        let mut times = Vec::new();
        let mut total = Value::Null;
        for _ in 0..200 {
            let begin = Instant::now();
            let url = format!("{base}/crm/objects/2026-09/contacts/search");
            let answer = client
                .post(url)
                .bearer_auth(&token)
                .json(&body)
                .send()
                .await?;
            let text = answer.error_for_status()?.bytes().await?;
            times.push(begin.elapsed());
            if total.is_null() {
                total = serde_json::from_slice::<Value>(&text)?["total"].clone();
            }
        }
        println!("search, {name}: {total} found, {}", spread(times));
    }
    println!("at most {:.2} GB", simulator.memory("VmHWM")?);
    Ok(())
}
