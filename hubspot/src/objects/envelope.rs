//! The envelope of a batch's answer, and the warnings of HubSpot's writes.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use crate::{
    batch::Reply,
    client::Answer,
    error::{ErrorBody, ItemError, each, lenient, texts},
    page::read_record,
};

/// A value that HubSpot took in another form than it was given (`hubspot-api.md` §15.3).
#[derive(Clone, PartialEq, Eq)]
pub struct NormalizedValue {
    /// The property.
    pub property: String,
    /// The value as it was given.
    pub raw: String,
    /// The value as it is now.
    pub normalized: String,
}

/// Values are personal data: they are not shown.
impl std::fmt::Debug for NormalizedValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NormalizedValue")
            .field("property", &self.property)
            .finish_non_exhaustive()
    }
}

/// A warning of an answer, as HubSpot writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Warning {
    #[serde(deserialize_with = "lenient")]
    category: Option<String>,
    #[serde(deserialize_with = "lenient")]
    context: WarningContext,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WarningContext {
    #[serde(deserialize_with = "texts")]
    property_name: Vec<String>,
    #[serde(deserialize_with = "texts")]
    raw_value: Vec<String>,
    #[serde(deserialize_with = "texts")]
    normalized_value: Vec<String>,
    #[serde(deserialize_with = "texts")]
    object_write_trace_id: Vec<String>,
    #[serde(deserialize_with = "texts")]
    id: Vec<String>,
}

impl Warning {
    /// The values that it says were normalised; other warnings say none.
    pub(crate) fn normalized(&self) -> Vec<NormalizedValue> {
        if self.category.as_deref() != Some("PROPERTY_VALUE_NORMALIZED") {
            return Vec::new();
        }
        let context = &self.context;
        context
            .property_name
            .iter()
            .zip(context.raw_value.iter().zip(&context.normalized_value))
            .map(|(property, (raw, normalized))| NormalizedValue {
                property: property.clone(),
                raw: raw.clone(),
                normalized: normalized.clone(),
            })
            .collect()
    }

    /// Whether it names an input or a record, and not this one.
    pub(crate) fn is_of_another(&self, trace: Option<&str>, id: &str) -> bool {
        let WarningContext {
            object_write_trace_id: traces,
            id: ids,
            ..
        } = &self.context;
        (!traces.is_empty() && !traces.iter().any(|t| Some(t.as_str()) == trace))
            || (!ids.is_empty() && !ids.iter().any(|i| i == id))
    }
}

/// The envelope of a batch's answer: every field optional, every item by itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MultiStatus<'a> {
    #[serde(borrow, default)]
    results: Option<Vec<&'a RawValue>>,
    #[serde(default, deserialize_with = "each")]
    errors: Vec<ErrorBody>,
    #[serde(default, deserialize_with = "count")]
    num_errors: usize,
    #[serde(default, deserialize_with = "each")]
    warnings: Vec<Warning>,
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    Ok(number.and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
}

impl<'a> MultiStatus<'a> {
    /// Out of an answer; none when it is not of the documented shape.
    pub(crate) fn of(answer: &'a Answer) -> Option<Self> {
        serde_json::from_slice(&answer.body).ok()
    }

    pub(crate) fn results(&self) -> &[&'a RawValue] {
        self.results.as_deref().unwrap_or_default()
    }

    pub(crate) fn take_errors(&mut self) -> Vec<ItemError> {
        std::mem::take(&mut self.errors)
            .into_iter()
            .map(ErrorBody::into_item)
            .collect()
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What it says of the inputs.
    pub(crate) fn reply<T: serde::de::DeserializeOwned>(mut self) -> Reply<T> {
        Reply {
            results: self
                .results()
                .iter()
                .enumerate()
                .map(|(place, raw)| read_record(raw, place))
                .collect(),
            refused: self.num_errors.max(self.errors.len()),
            errors: self.take_errors(),
        }
    }
}

/// A reply out of an answer, or `None` when it is not of the documented shape.
pub(crate) fn reply_of<T: serde::de::DeserializeOwned>(answer: &Answer) -> Option<Reply<T>> {
    MultiStatus::of(answer).map(MultiStatus::reply)
}
