//! Choosing a property: by label or name, with what fits first and why the rest does not (E4). The search
//! and the choice go through the form of the page, so that nothing typed is lost, with script or without.

use std::collections::BTreeSet;

use domain::portal::{Properties, PropertyDefinition};
use maud::{Markup, html};

use crate::pages::{
    guard::Sent,
    parts::{icon, number},
    properties::ranked,
    settings_form::{STEP, Values},
};

/// How many are shown: more are found by more letters.
const SHOWN: usize = 50;
/// The longest text that is looked for.
const LONGEST: usize = 200;
/// A row that is on the page.
pub(crate) const ROW: &str = "row";
/// The field of the app that a new row is for.
pub(crate) const NEW_ROW: &str = "new-row";
const FIND: &str = "find";

/// Whether a property can be chosen, and why not.
pub(crate) struct Fit {
    pub(crate) fits: bool,
    pub(crate) text: String,
}

impl Fit {
    pub(crate) fn yes(text: impl Into<String>) -> Self {
        Self {
            fits: true,
            text: text.into(),
        }
    }

    pub(crate) fn no(text: impl Into<String>) -> Self {
        Self {
            fits: false,
            text: text.into(),
        }
    }
}

/// What goes on in a form between two saves: which rows are there, and which picker is open.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The input whose picker is open.
    pub(crate) open: Option<String>,
    /// What is looked for in it.
    asked: String,
    /// Rows that are on the page; none where the form did not say so.
    pub(crate) shown: Option<BTreeSet<String>>,
}

impl Rows {
    /// What the form says of its rows.
    pub(crate) fn came(&mut self, sent: &Sent) {
        let rows: BTreeSet<String> = sent.all(ROW).map(str::to_owned).collect();
        self.shown = (!rows.is_empty()).then_some(rows);
    }

    /// Whether a row is on the page: it has a property, or one is being chosen for it.
    pub(crate) fn shows(&self, key: &str, property: &str) -> bool {
        !property.is_empty() || self.waits(key)
    }

    /// Whether a row was added, or left without its property.
    pub(crate) fn waits(&self, key: &str) -> bool {
        self.shown.as_ref().is_some_and(|rows| rows.contains(key))
    }

    /// Puts a row on the page.
    pub(crate) fn put(&mut self, key: &str) {
        self.shown.get_or_insert_default().insert(key.to_owned());
    }

    /// Takes a step; `property` begins the name of a row's input.
    pub(crate) fn step(&mut self, step: &str, sent: &Sent, property: &str, values: &mut Values) {
        let (what, of) = step.split_once(' ').unwrap_or((step, ""));
        match what {
            "pick" => self.open = Some(of.to_owned()),
            "find" => {
                self.open = Some(of.to_owned());
                self.asked = sent.text(FIND).chars().take(LONGEST).collect();
            }
            "close" => {
                // What was chosen before stands behind the choices.
                if let (Some(value), Some(before)) = (values.get_mut(of), sent.all(of).last()) {
                    before.clone_into(value);
                }
            }
            "add" => {
                let key = sent.text(NEW_ROW);
                if values.contains_key(&format!("{property}{key}")) {
                    self.put(key);
                    self.open = Some(format!("{property}{key}"));
                }
            }
            "remove" => {
                if let Some(value) = values.get_mut(&format!("{property}{of}")) {
                    value.clear();
                }
                self.shown.get_or_insert_default().remove(of);
            }
            _ => {}
        }
    }

    /// What Enter does: with a picker open it searches, and saves nothing.
    pub(crate) fn on_enter(&self) -> Option<String> {
        self.open.as_ref().map(|name| format!("find {name}"))
    }

    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.open.as_deref() == Some(name)
    }
}

/// A button of a step.
pub(crate) fn step_button(
    path: &str,
    to: &str,
    class: &str,
    step: &str,
    label: &Markup,
    said: Option<&str>,
) -> Markup {
    html! {
        button class={ "btn " (class) } name=(STEP) value=(step) formaction={ (path) "#" (to) } formnovalidate aria-label=[said] { (label) }
    }
}

/// An input that takes a property.
pub(crate) struct Pick<'a> {
    /// The page.
    pub(crate) path: &'a str,
    /// The input.
    pub(crate) name: &'a str,
    /// What it is a property for.
    pub(crate) of: &'a str,
    pub(crate) chosen: &'a str,
    pub(crate) properties: Option<&'a Properties>,
    pub(crate) error: Option<&'a str>,
}

impl Pick<'_> {
    fn definition(&self) -> Option<&PropertyDefinition> {
        self.properties?.get(self.chosen)
    }

    /// What is chosen; a button opens the picker.
    pub(crate) fn button(&self, rows: &Rows) -> Markup {
        let is_open = rows.is_open(self.name);
        let name = self.name;
        let definition = self.definition();
        let shown = match definition {
            Some(definition) => definition.label.as_str(),
            None if self.chosen.is_empty() => "Choose a property",
            None => self.chosen,
        };
        html! {
            // The open picker has it, behind its choices.
            @if !is_open { input type="hidden" name=(name) value=(self.chosen); }
            button .input .pick id=(name) name=(STEP) value={ @if is_open { "close " } @else { "pick " } (name) }
                formaction={ (self.path) "#picker" } formnovalidate aria-expanded=(is_open)
                aria-label={ (self.of) ": change the property, now " (shown) }
                aria-describedby={ (name) "-hint " (name) "-error" } aria-invalid=[self.error.map(|_| "true")] {
                bdi { (shown) } (icon::draw(icon::DOWN))
            }
            span .sub id={ (name) "-hint" } {
                @if !self.chosen.is_empty() { code { (self.chosen) } }
                @if let Some(d) = definition {
                    " · " (d.property_type.as_str())
                    @if d.archived { " · archived in HubSpot" }
                    @else if !d.writable() { " · read-only" }
                }
            }
            @if let Some(error) = self.error { p .error-text id={ (name) "-error" } { (icon::draw(icon::WARN)) span { (error) } } }
        }
    }

    /// The picker itself.
    pub(crate) fn picker(
        &self,
        rows: &Rows,
        all: &str,
        fit: impl Fn(&PropertyDefinition) -> Fit,
    ) -> Markup {
        let none = Properties::new();
        let properties = self.properties.unwrap_or(&none);
        let found = ranked(properties.values(), &rows.asked);
        let total = found.len();
        let mut judged: Vec<(&PropertyDefinition, Fit)> =
            found.into_iter().map(|d| (d, fit(d))).collect();
        // What is chosen can be kept, and what fits comes before what does not.
        judged.sort_by_key(|(d, fit)| (d.name != self.chosen, !fit.fits));
        judged.truncate(SHOWN);
        let is_there = judged.iter().any(|(d, _)| d.name == self.chosen);
        let (name, of) = (self.name, self.of);
        html! {
            div .picker #picker role="group" aria-label={ "HubSpot property for " (of) } {
                header {
                    label .label for="find" { "Property for " bdi { (of) } }
                    input .input type="search" #find name=(FIND) value=(rows.asked) autocomplete="off" spellcheck="false"
                        placeholder={ "Search " (number(properties.len() as u64)) " properties by label or name" } data-find={ "find " (name) };
                    (step_button(self.path, "picker", "small", &format!("find {name}"), &html! { "Search" }, None))
                    span .hint role="status" {
                        @match total {
                            0 => { "No property is called so." }
                            1 => { "1 property" }
                            n if n > SHOWN => { (number(n as u64)) " properties, the first " (SHOWN) " shown" }
                            n => { (n) " properties" }
                        }
                    }
                }
                div .options role="radiogroup" aria-label="Properties" {
                    @if !is_there && !self.chosen.is_empty() {
                        label {
                            input type="radio" name=(name) value=(self.chosen) checked;
                            span { b { bdi { (self.definition().map_or(self.chosen, |d| d.label.as_str())) } } span .sub { code { (self.chosen) } } }
                            span .small .muted { "chosen now" }
                        }
                    }
                    @for (definition, fit) in &judged {
                        @let is_chosen = definition.name == self.chosen;
                        label {
                            input type="radio" name=(name) value=(definition.name) checked[is_chosen] disabled[!fit.fits && !is_chosen];
                            span { b { bdi { (definition.label) } } span .sub { code { (definition.name) } } }
                            span .small .muted { (definition.property_type.as_str()) @if !definition.writable() { span .sub { "read-only" } } }
                            span class={ "fit" @if fit.fits { " yes" } } {
                                (icon::draw(if fit.fits { icon::CHECK } else { icon::CROSS })) span { (fit.text) }
                            }
                        }
                    }
                }
                input type="hidden" name=(name) value=(self.chosen);
                footer {
                    (step_button(self.path, name, "small primary", &format!("use {name}"), &html! { "Use property" }, None))
                    (step_button(self.path, name, "small quiet", &format!("close {name}"), &html! { "Cancel" }, None))
                    a .small href=(all) { "All properties" }
                }
            }
        }
    }
}
