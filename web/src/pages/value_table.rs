//! Which option a value of the app becomes (E4): a table that opens under its row. In a form it is pairs of
//! fields, everywhere else a text with a line for each.

use std::collections::BTreeMap;

use domain::portal::PropertyDefinition;
use maud::{Markup, html};

use crate::pages::{guard::Sent, parts::icon, picker::step_button, settings_form::STEP};

const VALUE: &str = "value-";
const OPTION: &str = "option-";
/// Between a value and its option.
const BECOMES: &str = " = ";
/// The step that opens the table of a row; of none it closes.
pub(crate) const OPEN: &str = "values ";

/// The table as a text.
pub(crate) fn text_of(options: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = options
        .iter()
        .map(|(from, to)| format!("{from}{BECOMES}{to}"))
        .collect();
    lines.join("\n")
}

/// The reverse; none where a line is not of the form.
pub(crate) fn read(text: &str) -> Option<BTreeMap<String, String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (from, to) = line.rsplit_once(BECOMES)?;
            let (from, to) = (from.trim(), to.trim());
            (!from.is_empty() && !to.is_empty()).then(|| (from.to_owned(), to.to_owned()))
        })
        .collect()
}

/// The text of what a form sent of a row's table; none where the table was not on the page.
pub(crate) fn sent_text(sent: &Sent, key: &str) -> Option<String> {
    let (values, options) = (format!("{VALUE}{key}"), format!("{OPTION}{key}"));
    composed(sent.all(&values), sent.all(&options))
}

fn composed<'a>(
    values: impl Iterator<Item = &'a str>,
    options: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let mut all = values.zip(options).peekable();
    all.peek()?;
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = all
        .map(|(value, option)| (one_line(value), option.trim()))
        .filter(|(value, option)| !value.is_empty() || !option.is_empty())
        .map(|(value, option)| format!("{value}{BECOMES}{option}"))
        .collect();
    Some(lines.join("\n"))
}

/// The lines of a text, also of one that does not read.
fn lines_of(text: &str) -> Vec<(&str, &str)> {
    let line = |line| match str::rsplit_once(line, BECOMES) {
        Some((from, to)) => (from.trim(), to.trim()),
        None => (line.trim_end_matches(" =").trim(), ""),
    };
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(line)
        .collect()
}

/// The table of a row.
pub(crate) struct ValueTable<'a> {
    /// The page.
    pub(crate) path: &'a str,
    /// The field of the app.
    pub(crate) key: &'a str,
    pub(crate) label: &'a str,
    /// The field that has the whole table as a text.
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) definition: Option<&'a PropertyDefinition>,
    pub(crate) error: Option<&'a str>,
    pub(crate) opened: bool,
}

impl ValueTable<'_> {
    /// Whether there is anything to map: the property has options, or values were mapped before.
    pub(crate) fn is_there(&self) -> bool {
        !self.text.is_empty()
            || self.error.is_some()
            || self.definition.is_some_and(|d| !d.options.is_empty())
    }

    /// What is wrong is always to be seen.
    pub(crate) fn is_open(&self) -> bool {
        self.is_there() && (self.opened || self.error.is_some())
    }

    /// Opens and closes the table. While it is closed the form brings it along as a text.
    pub(crate) fn button(&self) -> Markup {
        if !self.is_there() {
            return Markup::default();
        }
        let (open, mapped) = (self.is_open(), lines_of(self.text).len());
        let step = if open {
            OPEN.to_owned()
        } else {
            format!("{OPEN}{}", self.key)
        };
        html! {
            @if !open { input type="hidden" name=(self.name) value=(self.text); }
            button .btn .small .quiet name=(STEP) value=(step) formaction={ (self.path) "#" (if open { "mapped" } else { "values" }) }
                formnovalidate aria-expanded=(open) aria-label={ "Values of " (self.label) } {
                "Values" @if mapped > 0 { " (" (mapped) ")" }
            }
        }
    }

    /// The table with a row for one more value.
    pub(crate) fn markup(&self) -> Markup {
        let lines = lines_of(self.text);
        let rows = lines.into_iter().chain([("", "")]);
        html! {
            div #values .stack .tight {
                h3 id=(self.name) tabindex="-1" { "Values of " (self.label) }
                @if let Some(error) = self.error { p .error-text { (icon::draw(icon::WARN)) span { (error) } } }
                table .table {
                    caption .sr { "Values of " (self.label) }
                    thead { tr { th scope="col" { "Value in the app" } th scope="col" { "Option in HubSpot" } } }
                    tbody { @for (n, (value, option)) in (1..).zip(rows) {
                        tr {
                            td data-l="Value in the app" {
                                input .input name={ (VALUE) (self.key) } value=(value) autocomplete="off" aria-label={ "Value " (n) " of " (self.label) };
                            }
                            td data-l="Option in HubSpot" { (self.option(n, option)) }
                        }
                    } }
                }
                p .hint { "A value that is not named goes by the option’s value or label. Empty both fields to take a row away." }
                div .row {
                    (step_button(self.path, "values", "small", &format!("{OPEN}{}", self.key), &html! { (icon::draw(icon::PLUS)) "Add a value" }, None))
                    (step_button(self.path, "mapped", "small quiet", OPEN, &html! { "Close" }, Some(&format!("Close the values of {}", self.label))))
                }
            }
        }
    }

    fn option(&self, n: usize, now: &str) -> Markup {
        let (name, said) = (
            format!("{OPTION}{}", self.key),
            format!("Option {n} of {}", self.label),
        );
        let options = self.definition.map_or(&[][..], |d| &d.options[..]);
        if options.is_empty() {
            return html! { input .input name=(name) value=(now) autocomplete="off" aria-label=(said); };
        }
        html! {
            select name=(name) aria-label=(said) {
                option value="" selected[now.is_empty()] { "—" }
                @for option in options { option value=(option.value) selected[option.value == now] { (option.label) } }
                @if !now.is_empty() && !options.iter().any(|o| o.value == now) {
                    option value=(now) selected { (now) " (no option of HubSpot’s)" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_tables_read_back() {
        let of = |text: &str| read(text).map(|o| text_of(&o));
        assert_eq!(
            of("R&D = RESEARCH\n\n a = b = c "),
            Some("R&D = RESEARCH\na = b = c".to_owned())
        );
        assert_eq!(of(""), Some(String::new()));
        assert_eq!(of("R&D: RESEARCH"), None);
        assert_eq!(of(" = x"), None);
    }

    #[test]
    fn what_a_form_sent_becomes_a_text_and_half_a_row_is_no_table() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let values = pairs.iter().map(|(value, _)| *value);
            composed(values, pairs.iter().map(|(_, option)| *option))
        };
        let text = of(&[("R&D", "RESEARCH"), ("", ""), (" a =\r\n b ", "c")]).unwrap();
        assert_eq!(lines_of(&text), [("R&D", "RESEARCH"), ("a = b", "c")]);
        assert_eq!(read(&text).map(|o| o.len()), Some(2));
        assert_eq!(of(&[("", "")]), Some(String::new()));
        assert_eq!(of(&[]), None);
        for (half, lines) in [(("Boss", ""), ("Boss", "")), (("", "OPEN"), ("", "OPEN"))] {
            let text = of(&[half]).unwrap();
            assert_eq!(read(&text), None, "{text}");
            assert_eq!(lines_of(&text), [lines]);
        }
    }
}
