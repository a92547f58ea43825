//! How far a reader of the feed is, and the cursor that says so.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{SyncType, api::PageCursor, app::PersonId};

use crate::StoreError;

/// Where rows of the feed come from, in the order in which they come at one number. The numbers are
/// part of cursors: none is ever changed, and a new one is greater than all there are, so that a
/// cursor from before goes on with all that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Records of the mirror.
    Records = 1,
    /// Lists.
    Lists = 2,
    /// What is gone.
    Tombstones = 3,
    /// Profiles and links of the app's people and companies.
    Profiles = 4,
    /// Verdicts on people.
    Verdicts = 5,
    /// Members of lists.
    Members = 6,
    /// Types of which no known record is found, or some again.
    Types = 7,
}

impl Source {
    pub(super) const ALL: [Self; 7] = [
        Self::Records,
        Self::Lists,
        Self::Tombstones,
        Self::Profiles,
        Self::Verdicts,
        Self::Members,
        Self::Types,
    ];

    /// Whether a row of this source can have this key.
    fn can_have(self, key: &str) -> bool {
        let is_type = |number: i64| i16::try_from(number).is_ok();
        let is_id = |text: &str| text.parse::<PersonId>().is_ok();
        match self {
            Self::Records => {
                parts::<2>(Some(key)).is_ok_and(|([of, _], id)| is_type(of) && id.is_empty())
            }
            Self::Lists => parts::<1>(Some(key)).is_ok_and(|(_, id)| id.is_empty()),
            // Those of before people left some have no id of the app's.
            Self::Tombstones => parts::<2>(Some(key))
                .is_ok_and(|([of, _], id)| is_type(of) && (id.is_empty() || is_id(id))),
            Self::Profiles => {
                parts::<1>(Some(key)).is_ok_and(|([of], id)| is_type(of) && is_id(id))
            }
            Self::Verdicts => is_id(key),
            Self::Members => parts::<2>(Some(key)).is_ok_and(|(_, id)| id.is_empty()),
            Self::Types => key.parse::<SyncType>().is_ok(),
        }
    }
}

/// What a source's key consists of: so many numbers, and behind them the app's id, where it has one.
/// Without a key, what comes before all.
pub(super) fn parts<const N: usize>(key: Option<&str>) -> Result<([i64; N], &str), StoreError> {
    let mut found = [-1; N];
    let Some(key) = key else {
        return Ok((found, ""));
    };
    let mut texts = key.splitn(N + 1, '.');
    for number in &mut found {
        *number = texts
            .next()
            .and_then(|text| text.parse().ok())
            .ok_or(StoreError::Corrupt("place in the feed"))?;
    }
    Ok((found, texts.next().unwrap_or_default()))
}

/// Where a source goes on: beyond `key` at `number`; from the first row of that number on without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beyond<'a> {
    pub(super) number: i64,
    pub(super) key: Option<&'a str>,
}

/// How far a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Whose numbers these are.
    pub(super) cluster: i64,
    pub(super) portal: i64,
    /// The number under which all was settled when the reader began with nothing: what was gone by
    /// then is nothing to it.
    pub(super) since: i64,
    pub(super) number: i64,
    /// Of the last row that was given; 0 before any.
    pub(super) source: u8,
    pub(super) key: String,
}

/// The version of the cursor's form.
const FORM: &str = "1";

impl Place {
    pub(super) fn cursor(&self) -> Result<PageCursor, StoreError> {
        let Self {
            cluster,
            portal,
            since,
            number,
            source,
            key,
        } = self;
        let text = format!("{FORM} {cluster} {portal} {since} {number} {source} {key}");
        PageCursor::try_from(URL_SAFE_NO_PAD.encode(text))
            .map_err(|_| StoreError::Corrupt("place in the feed"))
    }

    pub(super) fn parse(cursor: &PageCursor) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(7, ' ');
        if parts.next()? != FORM {
            return None;
        }
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (cluster, portal, since, at) = (number()?, number()?, number()?, number()?);
        let source = u8::try_from(number()?).ok()?;
        let key = parts.next()?.to_owned();
        let good = match Source::ALL.into_iter().find(|s| *s as u8 == source) {
            Some(known) => known.can_have(&key),
            None => source == 0 && key.is_empty(),
        };
        good.then_some(Self {
            cluster,
            portal,
            since,
            number: at,
            source,
            key,
        })
    }

    /// Whether its reader was never given a tombstone of this number: what was there before it began is
    /// nothing to it.
    pub(super) fn missed(&self, tombstone: i64) -> bool {
        let given = (self.number, self.source) >= (tombstone, Source::Tombstones as u8);
        tombstone >= self.since && !given
    }

    pub(super) fn beyond(&self, source: Source) -> Beyond<'_> {
        match (source as u8).cmp(&self.source) {
            std::cmp::Ordering::Less => Beyond {
                number: self.number.saturating_add(1),
                key: None,
            },
            std::cmp::Ordering::Equal => Beyond {
                number: self.number,
                key: Some(&self.key),
            },
            std::cmp::Ordering::Greater => Beyond {
                number: self.number,
                key: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: i64, source: u8, key: &str) -> Place {
        Place {
            cluster: -7,
            portal: 4711,
            since: 12,
            number,
            source,
            key: key.to_owned(),
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for at in [
            place(0, 0, ""),
            place(i64::MAX, 3, "1.5"),
            place(9, 2, "77"),
            place(9, 3, "1.0.lead.1"),
            place(9, 4, "2.a:b_c-d.e"),
            place(9, 5, "lead.1"),
            place(9, 6, "12.7"),
        ] {
            assert_eq!(Place::parse(&at.cursor().unwrap()), Some(at));
        }
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let of = |text: &str| PageCursor::try_from(URL_SAFE_NO_PAD.encode(text)).unwrap();
        for bad in [
            of("2 1 2 3 4 5 k"),
            of("1 1 2 3 4 5"),
            of("1 1 2 3 x 5 k"),
            of("1 1 2 3 4 300 1"),
            of("1 1 2 3 4 9 1.1"),
            of("1 1 2 3 4 1 70000.1"),
            of("1 1 2 3 4 2 x"),
            of("1 1 2 3 4 0 1"),
            of("1 1 2 3 4 4 lead"),
            of("1 1 2 3 4 1 1.2.3"),
            of("1 1 2 3 4 3 1.0.a b"),
            of("1 1 2 3 4 4 1.\0"),
            of("1 1 2 3 4 5 "),
            of("1 1 2 3 4 6 12"),
            of("1 1 2 3 4 6 12.7.x"),
            PageCursor::try_from("p-1".to_owned()).unwrap(),
        ] {
            assert_eq!(Place::parse(&bad), None, "{}", bad.as_str());
        }
    }

    #[test]
    fn each_source_goes_on_from_the_row_that_was_given_last() {
        let at = place(50, Source::Lists as u8, "8");
        let beyond = |number, key| Beyond { number, key };
        // Its rows of that number were all given before.
        assert_eq!(at.beyond(Source::Records), beyond(51, None));
        assert_eq!(at.beyond(Source::Lists), beyond(50, Some("8")));
        // And of these none was.
        assert_eq!(at.beyond(Source::Tombstones), beyond(50, None));
        assert_eq!(at.beyond(Source::Members), beyond(50, None));
        let begins = place(0, 0, "");
        for source in Source::ALL {
            assert_eq!(begins.beyond(source), beyond(0, None));
        }
    }

    #[test]
    fn a_reader_has_missed_what_it_was_not_given_since_it_began() {
        // It began when all below 12 was settled.
        for (number, source, tombstone, missed) in [
            (0, 0, 11, false),
            (0, 0, 12, true),
            (50, 1, 49, false),
            (50, 1, 50, true),
            (50, 3, 50, false),
            (50, 3, 51, true),
            (50, 6, 50, false),
        ] {
            let at = place(number, source, "1.1");
            assert_eq!(
                at.missed(tombstone),
                missed,
                "{number} {source} {tombstone}"
            );
        }
    }

    #[test]
    fn a_key_has_the_numbers_of_its_source_and_then_the_apps_id() {
        assert_eq!(parts::<2>(Some("1.5")).unwrap(), ([1, 5], ""));
        assert_eq!(parts::<2>(None).unwrap(), ([-1, -1], ""));
        assert_eq!(
            parts::<2>(Some("1.0.hubspot.47.9")).unwrap(),
            ([1, 0], "hubspot.47.9")
        );
        assert_eq!(parts::<1>(Some("2.acme.com")).unwrap(), ([2], "acme.com"));
        assert_eq!(parts::<0>(Some("a.b")).unwrap(), ([], "a.b"));
        for bad in ["", "1", "1.x"] {
            assert!(parts::<2>(Some(bad)).is_err(), "{bad}");
        }
    }
}
