//! Pages, records that are not readable, and the guard of all paged reads.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

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
    /// How many of them come before this page.
    pub offset: u64,
    /// When the request was sent, by the clock that its permit brought ([`crate::Permit::at`]).
    pub sent_at: DateTime<Utc>,
    /// When it was answered, by HubSpot's clock (`Date` header; whole seconds).
    pub served_at: Option<DateTime<Utc>>,
}

impl<T> Page<T> {
    /// Whether HubSpot counts more than it gives, though it says that nothing follows. So it is with
    /// an index that is behind (`hubspot-api.md` §15.10): what is missing will come later, and
    /// nothing may be concluded from its absence.
    pub fn contradicts_its_total(&self) -> bool {
        let given = self.offset + self.results.len() as u64;
        let Some(total) = self.total else {
            return false;
        };
        let nothing_follows = self.next.is_none() || self.results.is_empty();
        total > given && nothing_follows && given < u64::from(crate::search::CAP)
    }

    /// The same page of something else.
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            results: self.results.into_iter().map(|r| r.map(&mut f)).collect(),
            next: self.next,
            total: self.total,
            offset: self.offset,
            sent_at: self.sent_at,
            served_at: self.served_at,
        }
    }
}

/// When something was read: the earliest of the requests that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When the request was sent, by the clock that its permit brought ([`crate::Permit::at`]); none
    /// when none was.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was answered, by HubSpot's clock.
    pub served_at: Option<DateTime<Utc>>,
}

impl Times {
    pub(crate) const NONE: Self = Self {
        sent_at: None,
        served_at: None,
    };

    /// Takes in another request.
    pub(crate) fn add(&mut self, sent_at: DateTime<Utc>, served_at: Option<DateTime<Utc>>) {
        self.sent_at = Some(self.sent_at.map_or(sent_at, |at| at.min(sent_at)));
        self.served_at = match (self.served_at, served_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// How often in a row a page may bring nothing new.
const IDLE_PAGES: u32 = 2;

/// Sees to it that a paged read comes to an end: HubSpot's cursors were seen to be ignored, and to
/// stand still (`hubspot-api.md` §15.19). A cursor that was asked for before, or two pages in a row
/// without a new id, are [`Error::PagingStuck`](crate::Error::PagingStuck).
///
/// One guard for each read, from its first page on; or from any later one, as long as it is told
/// where that begins.
#[derive(Debug)]
pub struct PagingGuard {
    context: &'static str,
    cursors: HashSet<u64>,
    ids: Ids,
    idle: u32,
}

/// Ids that came.
#[derive(Debug)]
enum Ids {
    /// In ascending order: the greatest.
    Ascending(Option<u64>),
    /// In any order: all of them.
    Any(HashSet<u64>),
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl PagingGuard {
    /// For a listing in the order of ids; it remembers the last one only. `context` is shown in the
    /// error.
    pub fn ascending(context: &'static str) -> Self {
        Self::new(context, Ids::Ascending(None))
    }

    /// For a listing in any order; it remembers all ids.
    pub fn any_order(context: &'static str) -> Self {
        Self::new(context, Ids::Any(HashSet::new()))
    }

    fn new(context: &'static str, ids: Ids) -> Self {
        Self {
            context,
            cursors: HashSet::new(),
            ids,
            idle: 0,
        }
    }

    /// Looks at the page that began at `after`.
    ///
    /// # Errors
    /// [`Error::PagingStuck`](crate::Error::PagingStuck): the page is good, there is no way on.
    pub fn check<T>(
        &mut self,
        after: Option<&Cursor>,
        page: &Page<T>,
        id: impl Fn(&T) -> u64,
    ) -> Result<(), crate::Error> {
        let ids = page.results.iter().map(|result| match result {
            Ok(item) => id(item),
            Err(bad) => bad.key.parse().unwrap_or_else(|_| hash(&bad.key)),
        });
        self.step(after, page.next.as_ref(), ids)
    }

    /// The same of a page of which only the ids are at hand.
    ///
    /// # Errors
    /// As [`PagingGuard::check`].
    pub fn step(
        &mut self,
        after: Option<&Cursor>,
        next: Option<&Cursor>,
        ids: impl IntoIterator<Item = u64>,
    ) -> Result<(), crate::Error> {
        let mut news = false;
        for id in ids {
            news |= match &mut self.ids {
                Ids::Ascending(last) => {
                    let new = last.is_none_or(|last| id > last);
                    if new {
                        *last = Some(id);
                    }
                    new
                }
                Ids::Any(seen) => seen.insert(id),
            };
        }
        self.idle = if news { 0 } else { self.idle + 1 };
        if let Some(after) = after {
            self.cursors.insert(hash(after.as_str()));
        }
        let Some(next) = next else {
            return Ok(());
        };
        if self.idle >= IDLE_PAGES || self.cursors.contains(&hash(next.as_str())) {
            return Err(crate::Error::PagingStuck {
                context: self.context,
            });
        }
        Ok(())
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
        offset: 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stuck(
        steps: &[(Option<&str>, &[u64], Option<&str>)],
        mut guard: PagingGuard,
    ) -> Option<usize> {
        steps.iter().position(|(after, ids, next)| {
            let cursor = |text: &Option<&str>| text.map(Cursor::new);
            guard
                .step(
                    cursor(after).as_ref(),
                    cursor(next).as_ref(),
                    ids.iter().copied(),
                )
                .is_err()
        })
    }

    #[test]
    fn a_listing_that_does_not_move_is_noticed() {
        let guards = || {
            [
                PagingGuard::ascending("test"),
                PagingGuard::any_order("test"),
            ]
        };
        type Steps<'a> = &'a [(Option<&'a str>, &'a [u64], Option<&'a str>)];
        let table: [(Steps<'_>, Option<usize>); 6] = [
            // As it should be.
            (
                &[
                    (None, &[1, 2], Some("a")),
                    (Some("a"), &[3, 4], Some("b")),
                    (Some("b"), &[5], None),
                ],
                None,
            ),
            // The cursor does not advance.
            (
                &[(None, &[1, 2], Some("a")), (Some("a"), &[3, 4], Some("a"))],
                Some(1),
            ),
            // `after` is ignored, and each page has another cursor.
            (
                &[
                    (None, &[1, 2], Some("a")),
                    (Some("a"), &[1, 2], Some("b")),
                    (Some("b"), &[1, 2], Some("c")),
                ],
                Some(2),
            ),
            // Round in a circle.
            (
                &[
                    (None, &[1], Some("a")),
                    (Some("a"), &[2], Some("b")),
                    (Some("b"), &[3], Some("a")),
                ],
                Some(2),
            ),
            // One page without anything new may be, the end may be.
            (
                &[
                    (None, &[1, 2], Some("a")),
                    (Some("a"), &[], Some("b")),
                    (Some("b"), &[3], Some("c")),
                    (Some("c"), &[], Some("d")),
                    (Some("d"), &[], None),
                ],
                None,
            ),
            // Taken up in the middle.
            (&[(Some("x"), &[7], Some("x"))], Some(0)),
        ];
        for (steps, want) in table {
            for guard in guards() {
                assert_eq!(stuck(steps, guard), want, "{steps:?}");
            }
        }
    }

    #[test]
    fn a_total_that_the_page_contradicts_is_told() {
        let page = |results: usize, offset: u64, next: bool, total: Option<u64>| Page {
            results: (0..results).map(Ok).collect(),
            next: next.then(|| Cursor::new("x")),
            total,
            offset,
            sent_at: DateTime::UNIX_EPOCH,
            served_at: None,
        };
        for (page, want) in [
            (page(0, 0, false, Some(3)), true),
            (page(0, 0, true, Some(3)), true),
            (page(2, 0, false, Some(3)), true),
            (page(2, 0, true, Some(3)), false),
            (page(3, 0, false, Some(3)), false),
            (page(1, 2, false, Some(3)), false),
            (page(4, 0, false, Some(3)), false),
            (page(0, 0, false, Some(0)), false),
            (page(0, 0, false, None), false),
            // Beyond the cap HubSpot gives nothing.
            (page(200, 9_800, false, Some(20_000)), false),
        ] {
            assert_eq!(page.contradicts_its_total(), want, "{page:?}");
        }
    }
}
