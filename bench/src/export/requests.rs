//! What one export asks HubSpot for, and how many events its workflow has.

use std::path::Path;

use super::{
    Plan,
    app::{People, export, last_seq, log_since, settled},
};
use crate::{
    history,
    report::Report,
    world::{BY_HAND, Workspace, World},
};

/// Companies of new contacts are looked at once more by a request of their own, for a hundred at once.
const NO_RECHECK: (&str, &str) = ("EXPORT_RECHECK_SECONDS", "3600");
const PORTAL: u64 = 1_000_001;

pub(super) async fn run(plan: &Plan, binaries: &Path, dir: &Path) -> anyhow::Result<Report> {
    let each = plan.each;
    println!("export, requests: no limits; {each} exports of each case, one after the other");
    let world = World::start(World::options(binaries, dir), &[BY_HAND, NO_RECHECK]).await?;
    let size = serde_json::json!({
        "contacts": 10, "companies": 2, "deals": 0, "lists": 0, "owners": 2, "limits": "off",
    });
    let workspace = world.connect(PORTAL, size).await?;
    workspace.until_read().await?;
    overwrite(&workspace).await?;
    let alone = People {
        name: "alone",
        per_company: 1,
    };
    let together = People {
        name: "together",
        per_company: u64::MAX,
    };
    alone.put(&workspace, 0..each + 1, 1).await?;
    together.put(&workspace, 0..each + 1, 1).await?;
    // Whether the portal allows a unique property is asked once, and so is the company of all.
    export(&workspace, &alone.id(each)).await?;
    export(&workspace, &together.id(each)).await?;

    let mut report = Report::default();
    let mut seq = 0;
    let cases: [(&str, usize, &People, u64); 4] = [
        ("new contact, new company", 4, &alone, 1),
        ("new contact, known company", 2, &together, 1),
        ("known contact, nothing to change", 1, &alone, 1),
        ("known contact, two fields", 2, &alone, 2),
    ];
    for (name, aim, people, version) in cases {
        let mut counts = Vec::new();
        for n in 0..each {
            seq = last_seq(&workspace, seq).await?;
            let person = people.id(n);
            if version > 1 {
                // Whoever is in HubSpot by an export is exported as soon as a value changes.
                people.put(&workspace, n..n + 1, version).await?;
                settled(&workspace, &person).await?;
            } else {
                export(&workspace, &person).await?;
            }
            let log = log_since(&workspace, seq).await?;
            counts.push(log.iter().filter(|r| r.path.starts_with("/crm/")).count());
        }
        counts.sort_unstable();
        let median = counts.get(counts.len() / 2).copied().unwrap_or(0);
        let most = counts.last().copied().unwrap_or(0);
        report.line(
            &format!("requests, {name}"),
            format!("median {median}, most {most} (aim {aim})"),
        );
    }
    let workflow = format!("hubspot/{}/contact/{}", workspace.id(), alone.id(0));
    let events = history::events(
        world.temporal_program(),
        &world.api.addresses().temporal,
        &workflow,
    )
    .await?;
    report.line(
        "events of history of one export",
        format!("{events} (aim 25)"),
    );
    Ok(report)
}

/// Rows that write whatever HubSpot has, so that a changed value is a write.
async fn overwrite(workspace: &Workspace) -> anyhow::Result<()> {
    let stored = workspace.ask("GET", "settings", None).await?;
    let mut settings = stored["settings"].clone();
    for row in settings["contacts"].as_array_mut().into_iter().flatten() {
        if row["property"] == "jobtitle" || row["property"] == "city" {
            row["export"] = serde_json::json!("overwrite");
        }
    }
    let body = serde_json::json!({"expected_revision": stored["revision"], "settings": settings});
    workspace.ask("PUT", "settings", Some(body)).await?;
    Ok(())
}
