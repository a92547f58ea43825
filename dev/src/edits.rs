//! What people do in HubSpot after the backfill, and how each of it arrives.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use dev::{
    demo::{self, Api},
    feed::{Feed, Item},
};
use serde_json::{Value, json};

/// The periodic sync of the demo runs every five seconds.
const SOON: Duration = Duration::from_secs(120);

/// Edits, merges and removes a few records in the simulator, as people do in HubSpot, and tells how the
/// feed of changes hears of each.
pub(crate) async fn show(api: &Api) -> anyhow::Result<()> {
    let mut feed = Feed::of(api, demo::WORKSPACE);
    let things = feed.to_the_end().await?;
    println!("the feed of changes told of {things} things; what follows is news");
    let hands = Hands { api };
    let contacts = hands.ids("contacts", 6).await?;
    let [edited, one, other, told, archived, erased] = contacts.as_slice() else {
        println!("the portal is too small to edit anything in it");
        return Ok(());
    };

    println!("in HubSpot, of which only the periodic sync hears:");
    let mut awaited = Awaited::by("periodic sync");
    awaited.add("contact", edited, "changed", "edited");
    hands.edit("contacts", "jobtitle", edited).await?;
    for (plural, kind, property) in [
        ("companies", "company", "city"),
        ("deals", "deal", "dealname"),
    ] {
        for id in hands.ids(plural, 1).await? {
            hands.edit(plural, property, &id).await?;
            awaited.add(kind, &id, "changed", "edited");
        }
    }
    let merged = hands.merge(one, other).await?;
    awaited.add("contact", &merged, "changed", "what the two became");
    for old in [one, other] {
        if *old != merged {
            awaited.add("contact", old, "merged", "merged away");
        }
    }
    awaited.arrive(&mut feed).await?;

    println!("in HubSpot, with webhooks:");
    hands.subscribe().await?;
    let mut awaited = Awaited::by("webhook");
    hands.edit("contacts", "jobtitle", told).await?;
    awaited.add("contact", told, "changed", "edited");
    hands.archive("contacts", archived).await?;
    awaited.add("contact", archived, "archived", "in the recycle bin");
    hands.erase(erased).await?;
    awaited.add("contact", erased, "erased", "all its values are removed");
    awaited.arrive(&mut feed).await?;
    Ok(())
}

/// What the feed is to tell next.
struct Awaited {
    way: &'static str,
    began: Instant,
    items: HashMap<Item, &'static str>,
}

impl Awaited {
    fn by(way: &'static str) -> Self {
        Self {
            way,
            began: Instant::now(),
            items: HashMap::new(),
        }
    }

    fn add(&mut self, kind: &str, id: &str, change: &str, what: &'static str) {
        let item = Item {
            kind: kind.to_owned(),
            id: id.to_owned(),
            change: change.to_owned(),
        };
        self.items.insert(item, what);
    }

    /// Follows the feed until it has told everything.
    async fn arrive(mut self, feed: &mut Feed) -> anyhow::Result<()> {
        while !self.items.is_empty() {
            for item in feed.next().await? {
                let Some(what) = self.items.remove(&item) else {
                    continue;
                };
                let Item { kind, id, change } = item;
                println!(
                    "  {change} after {:.1} s, by {}: {kind} {id}, {what}",
                    self.began.elapsed().as_secs_f64(),
                    self.way
                );
            }
            ensure!(
                self.began.elapsed() < SOON,
                "the feed does not tell of {:?}",
                self.items
            );
        }
        Ok(())
    }
}

/// Whoever works in HubSpot's pages, or has its app configured.
struct Hands<'a> {
    api: &'a Api,
}

impl Hands<'_> {
    async fn control(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let path = format!("portals/{}/{path}", demo::PORTAL);
        self.api.simulator(method, &path, body).await
    }

    /// Ids of the first records.
    async fn ids(&self, plural: &str, most: usize) -> anyhow::Result<Vec<String>> {
        let path = format!("records/{plural}?limit={most}");
        let page = self.control("GET", &path, None).await?;
        let results = page["results"].as_array().into_iter().flatten();
        Ok(results
            .filter_map(|record| record["id"].as_str().map(str::to_owned))
            .collect())
    }

    async fn edit(&self, plural: &str, property: &str, id: &str) -> anyhow::Result<()> {
        let value = format!("edited at {}", chrono::Utc::now().format("%H:%M:%S"));
        let body = json!({"properties": {property: value}});
        let path = format!("records/{plural}/{id}");
        self.control("PATCH", &path, Some(body)).await?;
        println!("  edited {property} of {plural} {id}");
        Ok(())
    }

    /// The id of what two contacts became.
    async fn merge(&self, primary: &str, other: &str) -> anyhow::Result<String> {
        let (one, two): (u64, u64) = (primary.parse()?, other.parse()?);
        let body = json!({"type": "contacts", "primary": one, "other": two});
        let merged = self.control("POST", "merges", Some(body)).await?;
        println!("  merged contacts {primary} and {other}");
        Ok(merged["id"]
            .as_str()
            .context("merged into nothing")?
            .to_owned())
    }

    async fn archive(&self, plural: &str, id: &str) -> anyhow::Result<()> {
        self.control("DELETE", &format!("records/{plural}/{id}"), None)
            .await?;
        println!("  deleted {plural} {id}");
        Ok(())
    }

    /// Deletes a contact for good, as its owner may ask by the GDPR.
    async fn erase(&self, contact: &str) -> anyhow::Result<()> {
        let path = format!("records/contacts/{contact}/erase");
        self.control("POST", &path, None).await?;
        println!("  deleted contact {contact} for good");
        Ok(())
    }

    /// As the app's configuration in HubSpot has it (`docs/hubspot-app`).
    async fn subscribe(&self) -> anyhow::Result<()> {
        let to = format!("{}/webhooks/hubspot", self.api.addresses().web);
        let body = json!({"target_url": to, "generic": true});
        self.control("POST", "webhooks", Some(body)).await?;
        Ok(())
    }
}
