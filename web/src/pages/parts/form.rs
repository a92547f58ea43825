//! Pieces of forms. Errors are tied to their field and stand together on top.

use maud::{Markup, Render, html};

use super::{counted, icon};
use crate::pages::guard::Visit;

/// What proves that a form came from a page of this session.
pub(crate) fn csrf(visit: &Visit) -> Markup {
    html! { input type="hidden" name="csrf" value=(visit.csrf()); }
}

/// A form of one button.
pub(crate) fn action(
    visit: &Visit,
    path: &str,
    class: &str,
    label: impl Render,
    hidden: &[(&str, &str)],
) -> Markup {
    html! {
        form method="post" action=(path) {
            (csrf(visit))
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            button class={ "btn " (class) } { (label) }
        }
    }
}

/// Something on or off, with what it means.
pub(crate) fn switch(name: &str, on: bool, title: impl Render, hint: impl Render) -> Markup {
    html! {
        label .switch {
            input type="checkbox" role="switch" name=(name) id=(name) checked[on];
            b { (title) }
            span .hint { (hint) }
        }
    }
}

/// One of several, as a card.
pub(crate) struct Choice {
    pub(crate) value: &'static str,
    pub(crate) title: &'static str,
    pub(crate) hint: Markup,
}

/// Cards of which one is chosen.
pub(crate) fn choices(
    name: &str,
    legend: &str,
    shown: bool,
    chosen: &str,
    of: Vec<Choice>,
) -> Markup {
    html! {
        fieldset .choices {
            legend .sr[!shown] { (legend) }
            @for choice in of {
                label .choice {
                    input type="radio" name=(name) value=(choice.value) checked[choice.value == chosen];
                    b { (choice.title) }
                    span .hint { (choice.hint) }
                }
            }
        }
    }
}

/// What a field has to say of itself: its error, else its hint.
fn said(id: &str, error: Option<&str>, hint: impl Render) -> Markup {
    let hint = hint.render();
    html! {
        @if let Some(error) = error {
            p .error-text id={ (id) "-error" } { (icon::draw(icon::WARN)) span { (error) } }
        }
        @if !hint.0.is_empty() { p .hint id={ (id) "-hint" } { (hint) } }
    }
}

fn described(id: &str, error: Option<&str>) -> String {
    match error {
        Some(_) => format!("{id}-error {id}-hint"),
        None => format!("{id}-hint"),
    }
}

/// A number, or another short text.
pub(crate) fn number_field(
    id: &str,
    label: &str,
    value: &str,
    error: Option<&str>,
    hint: impl Render,
) -> Markup {
    html! {
        div .field {
            label for=(id) { (label) }
            input .input .short id=(id) name=(id) inputmode="numeric" value=(value)
                autocomplete="off" aria-describedby=(described(id, error))
                aria-invalid=[error.map(|_| "true")];
            (said(id, error, hint))
        }
    }
}

/// One of many: value and label.
pub(crate) fn select_field(
    id: &str,
    label: &str,
    chosen: &str,
    options: &[(String, String)],
    error: Option<&str>,
    hint: impl Render,
) -> Markup {
    html! {
        div .field {
            label for=(id) { (label) }
            select id=(id) name=(id) aria-describedby=(described(id, error))
                aria-invalid=[error.map(|_| "true")] {
                @for (value, text) in options {
                    option value=(value) selected[value == chosen] { (text) }
                }
            }
            (said(id, error, hint))
        }
    }
}

/// What has to be mended before the form can be saved: a link to each field.
pub(crate) fn error_summary(errors: &[(String, String)]) -> Markup {
    summary("Nothing was saved yet.", errors)
}

/// The same of a form that saves nothing.
pub(crate) fn undone_summary(errors: &[(String, String)]) -> Markup {
    summary("Nothing was done yet.", errors)
}

fn summary(title: &str, errors: &[(String, String)]) -> Markup {
    html! {
        @if !errors.is_empty() {
            div .notice .error role="alert" tabindex="-1" data-focus {
                (icon::draw(icon::WARN))
                div {
                    p { b { (title) } " Mend this first:" }
                    ul { @for (field, text) in errors { li { a href={ "#" (field) } { (text) } } } }
                }
            }
        }
    }
}

/// What a bar to save has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsaved {
    /// As the settings in force have it, as far as the server knows.
    Nothing,
    /// No settings were ever saved: what is shown by itself can be saved as it is.
    All,
    /// So many fields differ from the settings in force.
    Fields(usize),
}

/// Saves or discards; `in_force` leads to the page as the settings in force have it.
pub(crate) fn savebar(unsaved: Unsaved, in_force: &str) -> Markup {
    let changes = match unsaved {
        Unsaved::Fields(changes) => changes,
        Unsaved::Nothing | Unsaved::All => 0,
    };
    html! {
        div .savebar role="region" aria-label="Unsaved changes" data-changes=(changes) data-stays[unsaved == Unsaved::All] {
            p aria-live="polite" {
                @match unsaved {
                    Unsaved::Nothing => { "Save changes" }
                    Unsaved::All => { "Not saved yet. Nothing is exported until you save." }
                    Unsaved::Fields(changes) => { (counted(changes as u64, "change", "changes")) }
                }
            }
            @if changes == 0 {
                button .btn #discard type="reset" { "Discard" }
            } @else {
                // A browser would only go back to what was typed before it was sent.
                a .btn #discard href=(in_force) data-discards { "Discard" }
            }
            button .btn .primary #save { "Save" }
        }
    }
}
