//! What the app's values become in HubSpot, and which of HubSpot's values are one (E4).

use super::ExportRule;

/// What a property holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Holds {
    Text,
    Address,
    Number,
    Day,
    Moment,
    YesNo,
    /// One option: values and labels, in HubSpot's order.
    One(&'static [(&'static str, &'static str)]),
    /// Several options.
    Several(&'static [(&'static str, &'static str)]),
}

/// A value of the app's.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Said {
    Text(String),
    Number(f64),
    YesNo(bool),
    List(Vec<String>),
}

impl Holds {
    /// What HubSpot is given; nothing where that cannot be.
    pub(super) fn given(
        self,
        said: &Said,
        table: &[(&str, &str)],
        without: Option<ExportRule>,
    ) -> Option<String> {
        let text = match (self, said) {
            (Self::Number, Said::Number(number)) => number.to_string(),
            (Self::YesNo, Said::YesNo(yes)) => yes.to_string(),
            (Self::Day, Said::Text(text)) => text[..10].to_owned(),
            (Self::Moment, Said::Text(text)) => text.clone(),
            (Self::One(options), Said::Text(text)) => option(options, text, table, without)?,
            (Self::Several(options), Said::List(texts)) => {
                let mut all = Vec::new();
                for text in texts {
                    all.push(option(options, text, table, without)?);
                }
                all.join(";")
            }
            (_, Said::Text(text)) => text.chars().filter(|c| !c.is_control()).collect(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// Whether HubSpot takes one for the other.
    #[must_use]
    pub fn alike(self, one: &str, other: &str, without: Option<ExportRule>) -> bool {
        if without == Some(ExportRule::Alike) {
            return one == other;
        }
        let (one, other) = (one.trim(), other.trim());
        let number = |text: &str| text.parse::<f64>().ok();
        let start = |text: &str, n: usize| text.get(..n).map(str::to_owned);
        match self {
            Self::Address | Self::YesNo => one.eq_ignore_ascii_case(other),
            Self::Number => number(one) == number(other),
            Self::Day => start(one, 10) == start(other, 10),
            // To the minute.
            Self::Moment => start(one, 16) == start(other, 16),
            Self::Several(_) => parts(one) == parts(other),
            Self::Text | Self::One(_) => one == other,
        }
    }
}

/// The options of a value, sorted.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let mut all: Vec<&str> = text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// By the row's table, by the option's value, or by its label.
fn option(
    options: &[(&str, &str)],
    text: &str,
    table: &[(&str, &str)],
    without: Option<ExportRule>,
) -> Option<String> {
    let is = |other: &str| other.eq_ignore_ascii_case(text);
    let named = table.iter().find(|(said, _)| is(said));
    if let Some((_, option)) = named
        && without != Some(ExportRule::TableOfOptions)
    {
        return Some((*option).to_owned());
    }
    let found = options
        .iter()
        .find(|(value, label)| is(value) || is(label) && without != Some(ExportRule::Labels));
    match found {
        Some((value, _)) => Some((*value).to_owned()),
        None if without == Some(ExportRule::BadValues) => Some(text.to_owned()),
        None => None,
    }
}
