//! What a read brought of one record of HubSpot's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value};

use crate::HubSpotObjectId;

/// The ids of the records that were merged into one.
pub const MERGED_IDS: &str = "hs_merged_object_ids";

/// What is known of a property by one read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// It was not asked for, so nothing is known: it may have a value.
    NotAsked,
    /// HubSpot has no value.
    Empty,
    /// HubSpot's value; more than white space.
    Value(&'a str),
}

/// A record as one read brought it. `Debug` does not show its values (X5).
#[derive(Clone, PartialEq, Eq)]
pub struct RecordRead {
    id: HubSpotObjectId,
    fresh: bool,
    asked: BTreeSet<String>,
    values: BTreeMap<String, String>,
}

impl RecordRead {
    /// From an answer of HubSpot's. `asked` are the properties that the request named: one of them
    /// that the answer left out is empty, one that was not asked for is unknown.
    pub fn fresh<'n>(
        id: HubSpotObjectId,
        asked: impl IntoIterator<Item = &'n str>,
        properties: &Map<String, Value>,
    ) -> Self {
        let mut asked: BTreeSet<String> = asked.into_iter().map(str::to_owned).collect();
        asked.extend(properties.keys().cloned());
        Self {
            id,
            fresh: true,
            asked,
            values: properties
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), text_of(value)?)))
                .filter(|(_, text)| !text.trim().is_empty())
                .collect(),
        }
    }

    /// From the mirror. Only what stands there is known, and it may be old: it may say that nothing
    /// is to be written, but nothing is written by it.
    pub fn mirrored(id: HubSpotObjectId, properties: &Map<String, Value>) -> Self {
        Self {
            fresh: false,
            ..Self::fresh(id, [], properties)
        }
    }

    /// From a search. HubSpot's index lags behind: what it has may be as old as the mirror, and it may say
    /// no more than that.
    pub fn indexed<'n>(
        id: HubSpotObjectId,
        asked: impl IntoIterator<Item = &'n str>,
        properties: &Map<String, Value>,
    ) -> Self {
        Self {
            fresh: false,
            ..Self::fresh(id, asked, properties)
        }
    }

    /// Which record.
    pub const fn id(&self) -> HubSpotObjectId {
        self.id
    }

    /// Its own id and those of the records that were merged into it: whoever is linked to one of them is
    /// this record, though the mirror may not know of the merge yet.
    pub fn ids(&self) -> BTreeSet<HubSpotObjectId> {
        let merged = self.each(MERGED_IDS).filter_map(|id| id.parse().ok());
        merged.chain([self.id]).collect()
    }

    /// Whether HubSpot was asked for it just now.
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// What is known of a property.
    pub fn known(&self, property: &str) -> Known<'_> {
        match self.values.get(property) {
            Some(value) => Known::Value(value),
            None if self.asked.contains(property) => Known::Empty,
            None => Known::NotAsked,
        }
    }

    /// A property's value, if the read brought one.
    pub fn value(&self, property: &str) -> Option<&str> {
        self.values.get(property).map(String::as_str)
    }

    /// The single values of a property that holds several, separated by `;`.
    pub fn each(&self, property: &str) -> impl Iterator<Item = &str> {
        self.value(property)
            .into_iter()
            .flat_map(|all| all.split(';'))
            .map(str::trim)
            .filter(|one| !one.is_empty())
    }
}

/// Values are texts; one that is not has a value all the same, which nothing is filled in over.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl fmt::Debug for RecordRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRead")
            .field("id", &self.id)
            .field("fresh", &self.fresh)
            .field("values", &self.values.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_is_not_empty() {
        let id = HubSpotObjectId::new(7).unwrap();
        let answer = serde_json::json!({"city": "Ulm", "phone": null, "state": " ", "tags": "a; b;", "size": 7, "fit": false});
        let read = RecordRead::fresh(id, ["city", "zip"], answer.as_object().unwrap());
        assert!(read.known("city") == Known::Value("Ulm"));
        for empty in ["phone", "state", "zip"] {
            assert!(read.known(empty) == Known::Empty, "{empty}");
        }
        assert!(read.known("jobtitle") == Known::NotAsked);
        assert!(
            read.known("size") == Known::Value("7") && read.known("fit") == Known::Value("false")
        );
        assert_eq!(read.each("tags").collect::<Vec<_>>(), ["a", "b"]);
        assert!(!format!("{read:?}").contains("Ulm"));
        let mirrored = RecordRead::mirrored(id, answer.as_object().unwrap());
        assert!(mirrored.known("zip") == Known::NotAsked && !mirrored.is_fresh());
        let indexed = RecordRead::indexed(id, ["zip"], answer.as_object().unwrap());
        assert!(indexed.known("zip") == Known::Empty && !indexed.is_fresh());
    }
}
