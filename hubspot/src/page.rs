//! Pages, and records that are not readable.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Where the next page begins; opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor that was kept as text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text, to be kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A page of results.
#[derive(Debug)]
pub struct Page<T> {
    /// The records, each readable or not.
    pub results: Vec<Result<T, BadRecord>>,
    /// Where the next page begins; none after the last.
    pub next: Option<Cursor>,
    /// All there are, where HubSpot says so (search, lists).
    pub total: Option<u64>,
    /// When the request was sent, by our clock.
    pub sent_at: DateTime<Utc>,
    /// When it was answered, by HubSpot's clock (`Date` header; whole seconds).
    pub served_at: Option<DateTime<Utc>>,
}

impl<T> Page<T> {
    /// The same page of something else.
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            results: self.results.into_iter().map(|r| r.map(&mut f)).collect(),
            next: self.next,
            total: self.total,
            sent_at: self.sent_at,
            served_at: self.served_at,
        }
    }
}

/// A record that is not of the documented shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Its id as HubSpot wrote it, else a place in the page.
    pub key: String,
    /// What is wrong.
    pub problem: BadRecordProblem,
    /// What came over the wire. May hold personal data.
    pub raw: Vec<u8>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRecordProblem {
    /// Its id is missing or no number.
    Id,
    /// Anything else.
    Shape,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Paging {
    pub(crate) next: Option<PagingNext>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PagingNext {
    pub(crate) after: String,
}

impl Paging {
    pub(crate) fn cursor(paging: Option<Self>) -> Option<Cursor> {
        paging.and_then(|p| p.next).map(|n| Cursor(n.after))
    }
}

/// A page out of an answer with `results` and `paging`.
pub(crate) fn page_of<T: serde::de::DeserializeOwned>(
    answer: &crate::client::Answer,
    context: &'static str,
) -> Result<Page<T>, crate::Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(&answer.body)
        .map_err(|_| crate::Error::UnexpectedResponse { context })?;
    Ok(Page {
        results: envelope
            .results
            .iter()
            .enumerate()
            .map(|(place, raw)| read_record(raw, place))
            .collect(),
        next: Paging::cursor(envelope.paging),
        total: envelope.total,
        sent_at: answer.sent_at,
        served_at: answer.served_at,
    })
}

/// The envelope of most answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) results: Vec<&'a RawValue>,
    #[serde(default)]
    pub(crate) paging: Option<Paging>,
    #[serde(default)]
    pub(crate) total: Option<u64>,
}

/// Reads one record, or says why it cannot be read.
pub(crate) fn read_record<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    place: usize,
) -> Result<T, BadRecord> {
    #[derive(Deserialize)]
    struct IdOnly {
        #[serde(default)]
        id: serde_json::Value,
    }
    serde_json::from_str(raw.get()).map_err(|_| {
        let id = serde_json::from_str::<IdOnly>(raw.get())
            .map(|i| i.id)
            .unwrap_or_default();
        let text = match &id {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let good_id = text
            .as_deref()
            .is_some_and(|t| t.parse::<crate::RecordId>().is_ok());
        BadRecord {
            // Keys are written to a text column, which takes no NUL.
            key: text
                .filter(|t| !t.contains('\0') && t.len() <= 200)
                .unwrap_or_else(|| format!("record {place} of its page")),
            problem: if good_id {
                BadRecordProblem::Shape
            } else {
                BadRecordProblem::Id
            },
            raw: raw.get().as_bytes().to_vec(),
        }
    })
}
