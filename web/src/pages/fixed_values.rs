//! Fixed values: what is written to every exported contact or company, each with its behavior (E5). They
//! stand under the rows of their tab.

use std::collections::BTreeSet;

use domain::{
    portal::{Properties, PropertyDefinition, PropertyType},
    settings::{FixedValue, StampBehavior},
};
use maud::{Markup, html};

use crate::pages::{
    guard::Sent,
    mapping::not_writable,
    parts::icon,
    picker::{Fit, Pick, Rows, step_button},
    settings_form::{FieldError, STEP, Values, error_of, value},
};

/// A property that has one, and stands on the page.
const FIXED: &str = "fixed";
const VALUE: &str = "fixed-value-";
const BEHAVIOR: &str = "fixed-behavior-";
/// The property of one that is added.
const NEW: &str = "new-fixed";
/// The step that adds one for the property behind it.
pub(crate) const ADD: &str = "add-fixed ";
/// As many as settings may have: what a form brings along is bounded by it.
const MOST: usize = 100;
/// The longest name of a property.
const LONGEST: usize = 100;

const BEHAVIORS: [(&str, &str, StampBehavior); 3] = [
    ("fill_if_empty", "Fill if empty", StampBehavior::FillIfEmpty),
    ("overwrite", "Overwrite", StampBehavior::Overwrite),
    ("create_only", "On create only", StampBehavior::CreateOnly),
];

/// The fixed values of a tab, by their properties.
pub(crate) struct Fixed {
    /// All that were saved or added, in their order.
    properties: Vec<String>,
    /// Those that were saved.
    saved: BTreeSet<String>,
    /// Those that stand on the page; none where the form did not say so.
    shown: Option<BTreeSet<String>>,
}

/// What a page shows them with.
pub(crate) struct Shown<'a> {
    pub(crate) path: &'a str,
    pub(crate) properties: &'a Properties,
    pub(crate) all: &'a str,
    pub(crate) rows: &'a Rows,
    pub(crate) values: &'a Values,
    pub(crate) errors: &'a [FieldError],
    pub(crate) problems: &'a [FieldError],
}

impl Fixed {
    pub(crate) fn of(saved: &[FixedValue]) -> Self {
        let properties: Vec<String> = saved.iter().map(|fixed| fixed.property.clone()).collect();
        Self {
            saved: properties.iter().cloned().collect(),
            properties,
            shown: None,
        }
    }

    /// What the form says of them.
    pub(crate) fn came(&mut self, sent: &Sent) {
        let mut shown = BTreeSet::new();
        let added = sent.text(STEP).strip_prefix(ADD);
        let all = sent.all(FIXED).chain(sent.all(NEW).take(1)).chain(added);
        for property in all.filter(|p| !p.is_empty() && p.chars().count() <= LONGEST) {
            if !self.properties.iter().any(|p| p == property) {
                if self.properties.len() >= MOST {
                    continue;
                }
                self.properties.push(property.to_owned());
            }
            shown.insert(property.to_owned());
        }
        self.shown = (!shown.is_empty()).then_some(shown);
    }

    pub(crate) fn step(&mut self, step: &str, sent: &Sent, values: &mut Values) {
        let (what, of) = step.split_once(' ').unwrap_or((step, ""));
        let is_new = of == NEW;
        match what {
            "remove-fixed" => {
                if let Some(value) = values.get_mut(&format!("{VALUE}{of}")) {
                    value.clear();
                }
                self.shown.get_or_insert_default().remove(of);
            }
            // What is chosen in a picker that stays open, or is closed again, is not added yet.
            "find" | "close" if is_new => {
                let chosen = sent.text(NEW);
                let named = sent.all(FIXED).any(|p| p == chosen);
                if let Some(shown) = self.shown.as_mut().filter(|_| !named) {
                    shown.remove(chosen);
                }
            }
            _ => {}
        }
    }

    /// Their fields in these settings.
    pub(crate) fn values(&self, of: &[FixedValue], values: &mut Values) {
        for property in &self.properties {
            let fixed = of.iter().find(|fixed| fixed.property == *property);
            let behavior = fixed.map_or(StampBehavior::default(), |f| f.behavior);
            let behavior = BEHAVIORS.iter().find(|(.., b)| *b == behavior);
            values.insert(
                format!("{VALUE}{property}"),
                fixed.map_or_else(String::new, |f| f.value.clone()),
            );
            values.insert(
                format!("{BEHAVIOR}{property}"),
                behavior.map_or("", |(name, ..)| name).to_owned(),
            );
        }
    }

    pub(crate) fn apply(&self, values: &Values, errors: &mut Vec<FieldError>) -> Vec<FixedValue> {
        let mut all = Vec::new();
        for property in &self.properties {
            let (name, behavior) = (
                format!("{VALUE}{property}"),
                format!("{BEHAVIOR}{property}"),
            );
            let text = value(values, &name);
            let waits = self.shown.as_ref().is_some_and(|s| s.contains(property));
            if text.trim().is_empty() {
                if waits {
                    errors.push((name, "Write a value, or remove the row.".to_owned()));
                }
                continue;
            }
            let said = value(values, &behavior);
            match BEHAVIORS.iter().find(|(name, ..)| *name == said) {
                Some((.., behavior)) => all.push(FixedValue {
                    property: property.clone(),
                    value: text.to_owned(),
                    behavior: *behavior,
                }),
                None => errors.push((behavior, "Choose one of them.".to_owned())),
            }
        }
        all
    }

    /// Whether a field is one of theirs.
    pub(crate) fn is_of(name: &str) -> bool {
        name.starts_with(VALUE) || name.starts_with(BEHAVIOR)
    }

    pub(crate) fn label(name: &str) -> Option<String> {
        let value = name.strip_prefix(VALUE);
        let value = value.map(|property| format!("Fixed value of {property}"));
        value.or_else(|| {
            let property = name.strip_prefix(BEHAVIOR)?;
            Some(format!("Fixed value of {property}, export behavior"))
        })
    }

    pub(crate) fn shown(name: &str, value: &str) -> Option<String> {
        name.starts_with(BEHAVIOR).then(|| {
            let known = BEHAVIORS.iter().find(|(name, ..)| *name == value);
            known.map_or_else(|| value.to_owned(), |(_, shown, _)| (*shown).to_owned())
        })
    }

    pub(crate) fn field_of(fixed: &FixedValue) -> String {
        format!("{VALUE}{}", fixed.property)
    }

    /// Whether one can be added for a property.
    pub(crate) fn has_room_for(&self, property: &str) -> bool {
        self.properties.len() < MOST && !self.properties.iter().any(|p| p == property)
    }

    /// What counts as one change.
    pub(crate) fn change_of(name: &str) -> &str {
        // A property is no field of the app: its name begins as that of its value does.
        name.strip_prefix(BEHAVIOR)
            .or_else(|| name.strip_prefix(VALUE))
            .unwrap_or(name)
    }

    pub(crate) fn markup(&self, shown: &Shown<'_>) -> Markup {
        let of_page = |property: &&String| {
            let text = value(shown.values, &format!("{VALUE}{property}"));
            let waits = self.shown.as_ref().is_some_and(|s| s.contains(*property));
            !text.is_empty() || waits
        };
        let (rows, gone): (Vec<_>, Vec<_>) = self.properties.iter().partition(of_page);
        let pick = Pick {
            path: shown.path,
            name: NEW,
            of: "a fixed value",
            chosen: "",
            properties: Some(shown.properties),
            error: None,
        };
        html! {
            @for property in gone.iter().filter(|p| self.saved.contains(**p)) {
                input type="hidden" name={ (VALUE) (property) } value="";
            }
            @if !rows.is_empty() {
                table .table {
                    caption .sr { "Fixed values" }
                    thead { tr {
                        th scope="col" { "Property in HubSpot" } th scope="col" { "Value" }
                        th scope="col" { "Export behavior" } th scope="col" { span .sr { "Actions" } }
                    } }
                    tbody { @for property in &rows { (row(property, shown)) } }
                }
            }
            @if shown.rows.is_open(NEW) {
                (pick.picker(shown.rows, shown.all, |d| fit(&rows, d)))
            } @else if self.properties.len() < MOST {
                div .row { (step_button(shown.path, "picker", "", "pick new-fixed", &html! { (icon::draw(icon::PLUS)) "Add fixed value" }, None)) }
            }
        }
    }
}

/// Whether a fixed value can be added for a property.
fn fit(rows: &[&String], property: &PropertyDefinition) -> Fit {
    if rows.iter().any(|row| **row == property.name) {
        return Fit::no("Has a fixed value already");
    }
    match not_writable(property) {
        Some(_) => Fit::no("Read-only in HubSpot"),
        None if property.options.is_empty() => Fit::yes("Fits"),
        None => Fit::yes("Fits; one of its options"),
    }
}

fn row(property: &str, shown: &Shown<'_>) -> Markup {
    let (name, behavior) = (
        format!("{VALUE}{property}"),
        format!("{BEHAVIOR}{property}"),
    );
    let wrong =
        |name: &str| error_of(shown.errors, name).or_else(|| error_of(shown.problems, name));
    let error = wrong(&name);
    let definition = shown.properties.get(property);
    let label = definition.map_or(property, |d| d.label.as_str());
    let text = value(shown.values, &name);
    let options = definition
        .filter(|d| d.property_type == PropertyType::Enumeration && !d.takes_several())
        .map_or(&[][..], |d| d.options.as_slice());
    html! {
        tr {
            th scope="row" {
                bdi { (label) } span .sub { code { (property) } @if let Some(d) = definition { " · " (d.property_type.as_str()) } }
                input type="hidden" name=(FIXED) value=(property);
            }
            td data-l="Value" {
                @if options.is_empty() {
                    input .input id=(name) name=(name) value=(text) autocomplete="off" aria-label={ "Value of " (label) }
                        aria-describedby={ (name) "-error" } aria-invalid=[error.map(|_| "true")];
                } @else {
                    select id=(name) name=(name) aria-label={ "Value of " (label) } aria-describedby={ (name) "-error" } aria-invalid=[error.map(|_| "true")] {
                        option value="" selected[text.is_empty()] { "Choose an option" }
                        @if !text.is_empty() && !options.iter().any(|o| o.value == text) { option value=(text) selected { (text) } }
                        @for option in options { option value=(option.value) selected[option.value == text] { (option.label) } }
                    }
                }
                @if let Some(error) = error { p .error-text id={ (name) "-error" } { (icon::draw(icon::WARN)) span { (error) } } }
            }
            td data-l="Export behavior" {
                select id=(behavior) name=(behavior) aria-label={ "Export behavior of " (label) } {
                    @for (v, text, _) in BEHAVIORS { option value=(v) selected[v == value(shown.values, &behavior)] { (text) } }
                }
            }
            td .act {
                (step_button(shown.path, "fixed", "small quiet icon", &format!("remove-fixed {property}"), &icon::draw(icon::CROSS), Some(&format!("Remove {label}"))))
            }
        }
    }
}
