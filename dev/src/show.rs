//! The demo: a portal of the simulator is connected, read and edited, and what comes of it is told.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use dev::{
    demo::{self, Api, Consent},
    entry,
    stack::Addresses,
};
use serde_json::{Value, json};

use crate::{Up, edits, exports};

async fn wait_for_phase(api: &Api, phase: &str, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let status = api.status(demo::WORKSPACE).await?;
        if status["phase"] == phase {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the workspace is still {}",
            status["phase"]
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Purges the demo workspace, and waits until nothing is left.
async fn purge(api: &Api) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let asked = api.ask("POST", demo::WORKSPACE, "purge", None).await?;
        match asked.status {
            200 | 404 => return Ok(()),
            202 | 409 => {}
            status => bail!("the workspace was not purged: {status} {}", asked.text),
        }
        ensure!(
            Instant::now() < deadline,
            "the workspace was not purged in three minutes: {}",
            asked.text
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Connects the demo workspace to a portal of the simulator, reads it, lets people edit it, and exports some.
/// Whether what was read is what the simulator has.
pub(crate) async fn demo(api: &Api, up: &Up) -> anyhow::Result<bool> {
    let portal = match &up.portal {
        Some(dir) => {
            let dir = dir
                .canonicalize()
                .with_context(|| format!("no such folder: {}", dir.display()))?;
            api.simulator(
                "POST",
                "portals/csv",
                Some(json!({"portal_id": demo::PORTAL, "dir": dir})),
            )
            .await?
        }
        None => {
            let size = json!({
                "portal_id": demo::PORTAL, "contacts": up.contacts, "companies": up.companies,
                "deals": up.deals, "lists": 12, "owners": 20,
            });
            api.simulator("POST", "portals", Some(size)).await?
        }
    };
    // The simulator forgets its portals when it ends, and gives the same ids again: what is known of the
    // last time is of another portal, and goes.
    let before = api.call(demo::WORKSPACE, "status", None).await?;
    if before.status == 200
        && matches!(
            before.json()?["state"].as_str(),
            Some("connected" | "needs_reconnect")
        )
    {
        api.call(demo::WORKSPACE, "disconnect", Some(json!({})))
            .await?;
        wait_for_phase(api, "disconnected", Duration::from_secs(30)).await?;
    }
    if before.status == 200 {
        purge(api).await?;
    }
    let began = Instant::now();
    let reply = api
        .connect(demo::WORKSPACE, demo::PORTAL, Consent::Approve)
        .await?;
    ensure!(
        reply.status == 200,
        "the workspace was not connected: {} {}",
        reply.status,
        reply.text
    );
    println!(
        "connected workspace {} to portal {} through the consent page",
        demo::WORKSPACE,
        demo::PORTAL
    );
    println!(
        "settings      {}\n              (opens once, within five minutes; the import shows there, too)",
        opened_as_admin(api.addresses())?
    );
    let status = watch(api).await?;
    println!("read in {:.1} s", began.elapsed().as_secs_f64());
    println!("{:12} {:>10} {:>10}", "", "stored", "HubSpot");
    let mut equal = true;
    for (name, ours, theirs) in demo::compare(&status, &portal) {
        let mark = if ours == theirs { "" } else { "  differs" };
        equal &= ours == theirs;
        println!("{name:12} {ours:>10} {theirs:>10}{mark}");
    }
    edits::show(api).await?;
    exports::show(api).await?;
    Ok(equal)
}

/// Where to go on from here.
pub(crate) fn what_to_try(addresses: &Addresses, real: bool) -> anyhow::Result<()> {
    println!("\nsettings      {}", opened_as_admin(addresses)?);
    println!(
        "              (opens once, within five minutes; then {} leads there)",
        addresses.web
    );
    if !real {
        println!(
            "HubSpot       {}/contacts/{}",
            addresses.simulator,
            demo::PORTAL
        );
    }
    println!("the command line talks to this demo after:");
    println!("  export HUBSPOT_SYNC_URL={}", addresses.web);
    println!("  export HUBSPOT_SYNC_TOKEN={}", addresses.api_token);
    println!("  export HUBSPOT_SYNC_WORKSPACE={}", demo::WORKSPACE);
    println!("  alias hubspot-sync='cargo run --quiet --bin hubspot-sync --'");
    if real {
        return Ok(());
    }
    println!("what to try first:");
    println!(
        "  in the settings: say who is exported (Basic sync), then look for demo-yours under People,"
    );
    println!("  preview the export, export, and see the contact in HubSpot");
    println!("  hubspot-sync status");
    println!("  hubspot-sync journal demo-new");
    println!("  hubspot-sync dnc --email new@demo-acme.co.uk");
    Ok(())
}

/// The settings pages, for the demo admin. A person needs a while to read what was printed.
pub(crate) fn opened_as_admin(addresses: &Addresses) -> anyhow::Result<String> {
    let id = uuid::Uuid::new_v4().to_string();
    let mut claims = entry::claims(demo::WORKSPACE, demo::ADMIN, "admin", &id);
    claims["exp"] = json!(entry::now() + 300);
    claims["user_name"] = json!(demo::ADMIN_NAME);
    claims["workspace_name"] = json!(demo::WORKSPACE_NAME);
    entry::link(addresses, &claims)
}

/// Shows progress, a line for each type that moved, until everything is read.
async fn watch(api: &Api) -> anyhow::Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(30 * 60);
    let mut shown = String::new();
    loop {
        let status = api.status(demo::WORKSPACE).await?;
        let line: Vec<String> = status["objects"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|o| o["total"].is_u64())
            .map(|o| {
                let (done, total) = (
                    o["done"].as_u64().unwrap_or(0),
                    o["total"].as_u64().unwrap_or(0),
                );
                let bar =
                    "#".repeat(usize::try_from(done.min(total) * 12 / total.max(1)).unwrap_or(0));
                let eta = o["eta_seconds"]
                    .as_u64()
                    .map_or_else(String::new, |s| format!(" {s} s left"));
                format!(
                    "{} [{bar:12}] {done}/{total} {:.0}/s{eta}",
                    o["object_type"].as_str().unwrap_or_default(),
                    o["rate_per_second"].as_f64().unwrap_or(0.0)
                )
            })
            .collect();
        let line = line.join("  ");
        if line != shown {
            println!("{line}");
            shown = line;
        }
        match status["phase"].as_str() {
            Some("syncing") => return Ok(status),
            Some("connected" | "backfilling") => {}
            other => bail!("the workspace is {}", other.unwrap_or("in no phase")),
        }
        ensure!(
            Instant::now() < deadline,
            "not everything was read in 30 minutes"
        );
        tokio::time::sleep(Duration::from_millis(1_000)).await;
    }
}
