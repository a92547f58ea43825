//! Filters of a search: what they ask, checked and made ready (`hubspot-api.md` §6).

use std::ops::Bound;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{Data, Kind, Record};

/// A filter as it comes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    #[serde(default)]
    property_name: String,
    #[serde(default)]
    operator: String,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    high_value: Option<Value>,
    #[serde(default)]
    values: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
    Between,
    In,
    NotIn,
    Has,
    HasNot,
    Contains,
    ContainsNot,
}

const OPERATORS: [(&str, Operator); 13] = [
    ("EQ", Operator::Eq),
    ("NEQ", Operator::Neq),
    ("LT", Operator::Lt),
    ("LTE", Operator::Lte),
    ("GT", Operator::Gt),
    ("GTE", Operator::Gte),
    ("BETWEEN", Operator::Between),
    ("IN", Operator::In),
    ("NOT_IN", Operator::NotIn),
    ("HAS_PROPERTY", Operator::Has),
    ("NOT_HAS_PROPERTY", Operator::HasNot),
    ("CONTAINS_TOKEN", Operator::Contains),
    ("NOT_CONTAINS_TOKEN", Operator::ContainsNot),
];

impl Operator {
    const fn is_negative(self) -> bool {
        matches!(self, Self::Neq | Self::NotIn | Self::ContainsNot)
    }
}

/// What the index is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    Id,
    Created,
    Updated,
}

impl Axis {
    /// The axis that a property stands for.
    pub(crate) fn of(kind: Kind, name: &str) -> Option<Self> {
        match name {
            "hs_object_id" => Some(Self::Id),
            _ if name == kind.created() => Some(Self::Created),
            _ if name == kind.last_modified() => Some(Self::Updated),
            _ => None,
        }
    }

    pub(crate) const fn place(self, id: u64, record: &Record) -> i64 {
        match self {
            Self::Id => id as i64,
            Self::Created => record.created,
            Self::Updated => record.updated,
        }
    }
}

/// A filter made ready.
#[derive(Debug)]
pub(crate) struct Test {
    name: String,
    operator: Operator,
    of: Of,
    /// Whether what has no value passes a negation.
    empty_passes: bool,
}

/// By the type of the property.
#[derive(Debug)]
enum Of {
    Axis(Axis, Vec<i64>),
    Number(Vec<f64>),
    Time(Vec<i64>),
    /// Values as they were given, and in lower case.
    Text(Vec<String>, Vec<String>),
    /// Case matters.
    Enumeration(Vec<String>),
    Associated(Kind, Vec<u64>),
}

/// Pictures: HubSpot's search does not take them.
const fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1F000}'..='\u{1FAFF}' | '\u{2600}'..='\u{27BF}')
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Milliseconds, a day or a point in time.
pub(crate) fn time(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let day = text.parse::<chrono::NaiveDate>().ok()?;
    Some(
        day.and_time(chrono::NaiveTime::MIN)
            .and_utc()
            .timestamp_millis(),
    )
}

/// What HubSpot does not filter activities by.
fn is_filterable(kind: Kind, name: &str) -> bool {
    !(kind.is_engagement() && name == "hs_body_preview_html"
        || kind == Kind::Email && matches!(name, "hs_email_html" | "hs_body_preview"))
}

impl Filter {
    /// Checks a filter.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn ready(&self, data: &Data, kind: Kind) -> Result<Test, String> {
        let name = self.property_name.as_str();
        let operator = OPERATORS
            .iter()
            .find(|(name, _)| *name == self.operator)
            .map(|(_, operator)| *operator)
            .ok_or_else(|| {
                let all: Vec<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
                format!(
                    "Invalid operator {:?}; there are {}",
                    self.operator,
                    all.join(", ")
                )
            })?;
        let mut given: Vec<String> = match operator {
            Operator::Has | Operator::HasNot => Vec::new(),
            Operator::In | Operator::NotIn => {
                if self.values.is_empty() {
                    return Err(format!(
                        "Filter on {name} with operator {} needs values",
                        self.operator
                    ));
                }
                self.values.iter().map(text).collect()
            }
            _ => vec![self.value.as_ref().map(text).ok_or_else(|| {
                format!(
                    "Filter on {name} with operator {} needs a value",
                    self.operator
                )
            })?],
        };
        let unbalanced = given.iter().find(|v| v.matches('"').count() % 2 == 1);
        if let Some(value) = unbalanced {
            return Err(format!("{value} has mismatched quotation marks"));
        }
        if let Some(value) = given.iter().find(|v| v.chars().any(is_emoji)) {
            return Err(format!("{value} is not a valid value of {name}"));
        }
        if operator == Operator::Between {
            let high = self.high_value.as_ref().map(text);
            given.push(high.ok_or_else(|| {
                format!("Filter on {name} with operator BETWEEN needs a highValue")
            })?);
        }
        Ok(Test {
            name: name.to_owned(),
            operator,
            of: of(data, kind, name, operator, given)?,
            empty_passes: data.settings.search_negations_find_empty,
        })
    }
}

fn of(
    data: &Data,
    kind: Kind,
    name: &str,
    operator: Operator,
    given: Vec<String>,
) -> Result<Of, String> {
    let wrong = |value: &String| format!("{value} is not a valid value of {name}");
    if let Some(other) = name.strip_prefix("associations.") {
        let to = Kind::ALL
            .into_iter()
            .find(|k| k.singular() == other)
            .ok_or_else(|| format!("There are no associations of type {other}"))?;
        if !matches!(operator, Operator::Eq | Operator::In) {
            return Err(format!("Filter on {name} has to be EQ or IN"));
        }
        let ids = given.iter().map(|v| v.parse().map_err(|_| wrong(v)));
        return Ok(Of::Associated(to, ids.collect::<Result<_, _>>()?));
    }
    let Some(definition) = data.properties[kind as usize].get(name) else {
        return Err(format!(
            "There was a problem with the request: property {name} does not exist"
        ));
    };
    if !is_filterable(kind, name) {
        return Err(format!("Property {name} cannot be filtered by"));
    }
    let times = |given: &[String]| -> Result<Vec<i64>, String> {
        given
            .iter()
            .map(|v| time(v).ok_or_else(|| wrong(v)))
            .collect()
    };
    let token = matches!(operator, Operator::Contains | Operator::ContainsNot);
    if let Some(axis) = Axis::of(kind, name).filter(|_| !token) {
        return Ok(Of::Axis(axis, times(&given)?));
    }
    Ok(match definition.kind.as_str() {
        "number" if !token => {
            let numbers = given.iter().map(|v| v.parse().map_err(|_| wrong(v)));
            Of::Number(numbers.collect::<Result<_, _>>()?)
        }
        "date" | "datetime" if !token => Of::Time(times(&given)?),
        "enumeration" | "bool" if !token => Of::Enumeration(given),
        _ => {
            let lower = given.iter().map(|v| v.to_lowercase()).collect();
            Of::Text(given, lower)
        }
    })
}

fn ordered<T: PartialOrd>(operator: Operator, actual: &T, given: &[T]) -> bool {
    let (Some(first), last) = (given.first(), given.last()) else {
        return operator == Operator::Has;
    };
    match operator {
        Operator::Eq => actual == first,
        Operator::Neq => actual != first,
        Operator::Lt => actual < first,
        Operator::Lte => actual <= first,
        Operator::Gt => actual > first,
        Operator::Gte => actual >= first,
        Operator::Between => actual >= first && last.is_some_and(|l| actual <= l),
        Operator::In => given.contains(actual),
        Operator::NotIn => !given.contains(actual),
        Operator::Has | Operator::HasNot | Operator::Contains | Operator::ContainsNot => false,
    }
}

impl Test {
    /// Whether a record passes.
    pub(crate) fn holds(&self, data: &Data, kind: Kind, id: u64, record: &Record) -> bool {
        match &self.of {
            Of::Axis(axis, given) => return self.on_axis(axis.place(id, record), given),
            Of::Associated(to, ids) => {
                return data.links.get(&(kind, id)).is_some_and(|links| {
                    ids.iter().any(|other| links.contains_key(&(*to, *other)))
                });
            }
            _ => {}
        }
        let actual = data.value(kind, id, record, &self.name);
        let Some(actual) = actual.filter(|v| !v.is_empty()) else {
            return self.operator == Operator::HasNot
                || (self.operator.is_negative() && self.empty_passes);
        };
        match self.operator {
            Operator::Has => return true,
            Operator::HasNot => return false,
            _ => {}
        }
        match &self.of {
            Of::Number(given) => actual
                .parse::<f64>()
                .is_ok_and(|actual| ordered(self.operator, &actual, given)),
            Of::Time(given) => {
                time(&actual).is_some_and(|actual| ordered(self.operator, &actual, given))
            }
            Of::Enumeration(given) => {
                let any = || actual.split(';').any(|v| given.iter().any(|g| g == v));
                match self.operator {
                    Operator::Eq | Operator::In => any() || given.contains(&actual),
                    Operator::Neq | Operator::NotIn => !any() && !given.contains(&actual),
                    operator => ordered(operator, &actual, given),
                }
            }
            Of::Text(given, lower) => {
                let actual = actual.to_lowercase();
                match self.operator {
                    // What is given has to be in lower case already.
                    Operator::In => given.contains(&actual),
                    Operator::NotIn => !given.contains(&actual),
                    Operator::Contains => lower.iter().all(|p| contains_tokens(&actual, p)),
                    Operator::ContainsNot => !lower.iter().all(|p| contains_tokens(&actual, p)),
                    operator => ordered(operator, &actual, lower),
                }
            }
            Of::Axis(..) | Of::Associated(..) => false,
        }
    }

    fn on_axis(&self, place: i64, given: &[i64]) -> bool {
        match self.operator {
            Operator::Has => true,
            Operator::HasNot => false,
            operator => ordered(operator, &place, given),
        }
    }

    /// The axis it looks at, when that is all it does.
    pub(crate) const fn axis(&self) -> Option<Axis> {
        match &self.of {
            Of::Axis(axis, _) => Some(*axis),
            _ => None,
        }
    }

    /// Whether a place on its axis passes.
    pub(crate) fn holds_at(&self, place: i64) -> bool {
        match &self.of {
            Of::Axis(_, given) => self.on_axis(place, given),
            _ => false,
        }
    }

    /// The interval of its axis that it asks for, if it is one.
    pub(crate) fn interval(&self) -> Option<(Axis, Bound<i64>, Bound<i64>)> {
        let Of::Axis(axis, given) = &self.of else {
            return None;
        };
        let first = given.first().copied();
        let (from, to) = match (self.operator, first) {
            (Operator::Has, _) => (Bound::Unbounded, Bound::Unbounded),
            (Operator::Eq, Some(at)) => (Bound::Included(at), Bound::Included(at)),
            (Operator::Lt, Some(at)) => (Bound::Unbounded, Bound::Excluded(at)),
            (Operator::Lte, Some(at)) => (Bound::Unbounded, Bound::Included(at)),
            (Operator::Gt, Some(at)) => (Bound::Excluded(at), Bound::Unbounded),
            (Operator::Gte, Some(at)) => (Bound::Included(at), Bound::Unbounded),
            (Operator::Between, Some(at)) => (
                Bound::Included(at),
                Bound::Included(given.last().copied().unwrap_or(at)),
            ),
            _ => return None,
        };
        Some((*axis, from, to))
    }

    /// The only ids that can pass, where they are known without looking at every record.
    pub(crate) fn only(&self, data: &Data, kind: Kind) -> Option<Vec<u64>> {
        if !matches!(self.operator, Operator::Eq | Operator::In) {
            return None;
        }
        match &self.of {
            Of::Axis(Axis::Id, ids) => Some(ids.iter().map(|id| *id as u64).collect()),
            Of::Associated(to, ids) => Some(
                ids.iter()
                    .filter_map(|id| data.links.get(&(*to, *id)))
                    .flat_map(|links| links.range((kind, 0)..=(kind, u64::MAX)))
                    .map(|((_, id), _)| *id)
                    .collect(),
            ),
            Of::Text(_, lower) if kind == Kind::Contact && self.name == "email" => Some(
                lower
                    .iter()
                    .filter_map(|email| data.emails.get(email).copied())
                    .collect(),
            ),
            _ => None,
        }
    }
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|t| !t.is_empty())
}

/// Whether words stand in a text, one after the other; with `*` as a placeholder within a word or
/// the whole text. Both in lower case.
fn contains_tokens(text: &str, pattern: &str) -> bool {
    if pattern.contains('*') {
        return std::iter::once(text)
            .chain(text.split_whitespace())
            .chain(tokens(text))
            .any(|part| fits(part, pattern));
    }
    let wanted: Vec<&str> = tokens(pattern).collect();
    let words: Vec<&str> = tokens(text).collect();
    !wanted.is_empty() && words.windows(wanted.len()).any(|w| w == wanted)
}

fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether every word of a query begins a word of one of the texts. The query is in lower case.
pub(crate) fn mentions(texts: &[String], query: &str) -> bool {
    query.split_whitespace().all(|term| {
        texts.iter().any(|text| {
            text.starts_with(term)
                || text.split_whitespace().any(|part| part.starts_with(term))
                || tokens(text).any(|token| token.starts_with(term))
        })
    })
}

/// What `query` looks at.
pub(crate) const fn searchable(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Contact => &[
            "firstname",
            "lastname",
            "email",
            "hs_additional_emails",
            "phone",
            "mobilephone",
            "fax",
            "company",
        ],
        Kind::Company => &["name", "domain", "website", "phone"],
        Kind::Deal => &[
            "dealname",
            "pipeline",
            "dealstage",
            "description",
            "dealtype",
        ],
        Kind::Ticket => &[
            "subject",
            "content",
            "hs_pipeline_stage",
            "hs_ticket_category",
        ],
        Kind::Email => &["hs_email_subject"],
        Kind::Call => &["hs_call_title", "hs_body_preview"],
        Kind::Meeting => &["hs_meeting_title", "hs_meeting_body"],
        Kind::Note => &["hs_note_body"],
        Kind::Task => &["hs_task_body", "hs_task_subject"],
        Kind::Communication => &["hs_communication_body"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_placeholders() {
        for (text, pattern, expected) in [
            ("head of sales", "sales", true),
            ("head of sales", "sale", false),
            ("head of sales", "sale*", true),
            ("head of sales", "of sales", true),
            ("head of sales", "head sales", false),
            ("ada@example.com", "*@example.com", true),
            ("ada@example.com", "*@example.org", false),
            ("ada@example.com", "example", true),
            ("ada@example.com", "a*a@*", true),
            ("", "*", true),
        ] {
            assert_eq!(contains_tokens(text, pattern), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn a_query_begins_words() {
        let texts = ["ada".to_owned(), "ada.love@mail.example.org".to_owned()];
        for (query, expected) in [
            ("ad", true),
            ("da", false),
            ("ada love", true),
            ("ada hate", false),
            ("ada.love@mail", true),
            ("example", true),
        ] {
            assert_eq!(mentions(&texts, query), expected, "{query}");
        }
    }

    #[test]
    fn times_are_written_in_three_ways() {
        assert_eq!(time("1767225600000"), Some(1_767_225_600_000));
        assert_eq!(time("2026-01-01T00:00:00.000Z"), Some(1_767_225_600_000));
        assert_eq!(time("2026-01-01"), Some(1_767_225_600_000));
        assert_eq!(time("yesterday"), None);
    }
}
