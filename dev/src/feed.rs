//! The feed of changes, as a main app follows it.

use anyhow::ensure;
use serde::Deserialize;
use serde_json::Value;

use crate::demo::Api;

/// Seconds that a call waits for changes; the most that it may.
const WAIT: u32 = 25;

/// What the feed tells of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Item {
    /// `contact`, `company`, …
    pub kind: String,
    /// HubSpot's id, for what HubSpot has.
    pub id: String,
    /// `changed`, `archived`, …
    pub change: String,
}

/// One who follows a workspace.
#[derive(Debug)]
pub struct Feed {
    api: Api,
    workspace: String,
    after: Option<String>,
}

impl Feed {
    /// From the beginning: everything that is there comes first.
    pub fn of(api: &Api, workspace: &str) -> Self {
        Self {
            api: api.clone(),
            workspace: workspace.to_owned(),
            after: None,
        }
    }

    async fn page(&mut self, wait: u32) -> anyhow::Result<(Vec<Item>, bool)> {
        let after = self
            .after
            .as_ref()
            .map_or_else(String::new, |after| format!("&after={after}"));
        let path = format!("changes?limit=1000&wait={wait}{after}");
        let reply = self.api.ask("GET", &self.workspace, &path, None).await?;
        ensure!(
            reply.status == 200,
            "changes: {} {}",
            reply.status,
            reply.text
        );
        let mut page: Value = reply.json()?;
        self.after = page["next"].as_str().map(str::to_owned);
        let items = serde_json::from_value(page["items"].take())?;
        Ok((items, page["more"] == true))
    }

    /// Reads to the end, and says how many things there were.
    pub async fn to_the_end(&mut self) -> anyhow::Result<usize> {
        let mut things = 0;
        loop {
            let (items, more) = self.page(0).await?;
            things += items.len();
            if items.is_empty() && !more {
                return Ok(things);
            }
        }
    }

    /// What comes next; nothing where nothing changed for as long as a call may wait.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Item>> {
        Ok(self.page(WAIT).await?.0)
    }
}
