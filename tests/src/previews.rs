//! Previews beside what the export then wrote (E9).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{door::Door, exports::export, journals::journal};

/// Values by property.
type Changes = BTreeMap<String, String>;

/// The unique property of companies that holds our key.
pub const KEY: &str = "artisan_record_key";

/// How long HubSpot may not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A preview of somebody's export, and what was in the journal then.
#[derive(Debug)]
pub struct Previewed {
    person: String,
    preview: Value,
    entries: Vec<Value>,
}

impl Previewed {
    /// Asks for a preview.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn of(door: &Door, person: &str) -> Self {
        let entries = journal(door, &[person.to_owned()]).await;
        let ask = json!({"person": person});
        let deadline = Instant::now() + PATIENCE;
        let preview = loop {
            let answer = door
                .call("POST", "/exports/preview", Some(ask.clone()))
                .await;
            // To be asked again in a while, as it says.
            let is_late = answer.status == 502 && answer.code() == "HS-1009";
            if !is_late || Instant::now() >= deadline {
                assert_eq!(answer.status, 200, "{}", answer.body);
                break answer.body;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        Self {
            person: person.to_owned(),
            preview,
            entries,
        }
    }

    /// What would be written of a record; nothing where it would be left out.
    fn shown(&self, record: &str) -> Changes {
        let changes = self.preview[record]["changes"].as_array();
        let pair = |change: &Value| (text(&change["property"]), text(&change["new"]));
        changes.into_iter().flatten().map(pair).collect()
    }

    /// Checks that an export wrote since then what was shown, no more and no less, to the contact and to the
    /// company. `outcome`, where it is known, is what came of the request. Says how many values were written.
    ///
    /// # Panics
    /// Where that is something else.
    pub async fn was_kept(&self, door: &Door, outcome: Option<&Value>) -> usize {
        let now = journal(door, std::slice::from_ref(&self.person)).await;
        let new: Vec<&Value> = now
            .iter()
            .filter(|entry| !self.entries.contains(entry))
            .collect();
        let (mut count, mut was_refused) = (0, false);
        for record in ["contact", "company"] {
            let of_record: Vec<&&Value> = new
                .iter()
                .filter(|entry| entry["record_type"] == record)
                .filter(|entry| entry["operation"] == "create" || entry["operation"] == "update")
                .collect();
            // What HubSpot refuses when it comes to it no preview can know. Of an odd address it is asked first
            // whether it takes the contact: whose it does not take leaves the company as it was.
            if of_record.iter().any(|entry| entry["state"] == "refused") {
                was_refused = true;
                continue;
            }
            if was_refused && record == "company" && of_record.is_empty() {
                continue;
            }
            let mut written = Changes::new();
            for entry in &of_record {
                assert_eq!(entry["state"], "done", "{entry}");
                for of in entry["properties"].as_array().into_iter().flatten() {
                    written.insert(text(&of["property"]), text(&of["new"]));
                }
            }
            let shown = self.shown(record);
            // Whether a portal takes our key is not known before the first company is made there.
            if record == "company" && !shown.contains_key(KEY) {
                written.remove(KEY);
            }
            let is_made = of_record.iter().any(|entry| entry["operation"] == "create");
            let action = &self.preview[record]["action"];
            assert_eq!(
                (written.clone(), is_made),
                (shown, action == "create"),
                "{record} of {}: {:#}",
                self.person,
                self.preview
            );
            count += written.len();
        }
        if let Some(outcome) = outcome.filter(|_| !was_refused) {
            let contact = &self.preview["contact"];
            if contact["action"] == "skip" {
                let left = (&json!("skipped"), &contact["reason"]["reason"]);
                assert_eq!((&outcome["state"], &outcome["reason"]), left, "{outcome}");
            } else {
                assert_eq!(outcome["state"], "exported", "{outcome}: {contact:#}");
            }
        }
        count
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Looks at a preview, exports somebody by hand, and checks that the one was the other. Says what came of
/// the request.
///
/// # Panics
/// Where they differ.
pub async fn export_as_previewed(door: &Door, person: &str) -> Value {
    let previewed = Previewed::of(door, person).await;
    let outcome = export(door, person).await;
    previewed.was_kept(door, Some(&outcome)).await;
    outcome
}
