//! Blocks of a page.

use maud::{Markup, Render, html};

use super::{Tone, icon, number};

/// A state as icon and word.
pub(crate) fn pill(tone: Tone, path: &str, word: impl Render) -> Markup {
    html! { span class={ "pill " (tone.class()) } { (icon::draw(path)) (word) } }
}

/// The same without ground, for the good, quiet case.
pub(crate) fn bare_pill(tone: Tone, path: &str, word: impl Render) -> Markup {
    html! { span class={ "pill bare " (tone.class()) } { (icon::draw(path)) (word) } }
}

/// What is the matter, and the one thing to do.
pub(crate) fn notice(tone: Tone, path: &str, content: &Markup, action: Option<Markup>) -> Markup {
    html! {
        div class={ "notice " (tone.class()) } {
            (icon::draw(path))
            div { (content) }
            @if let Some(action) = action { (action) }
        }
    }
}

/// The title of a page with a sentence.
pub(crate) fn heading(title: impl Render, lead: impl Render) -> Markup {
    wide_heading(title, lead, &Markup::default())
}

/// The same with something at its end.
pub(crate) fn wide_heading(title: impl Render, lead: impl Render, end: &Markup) -> Markup {
    html! {
        div .section { header { div { h1 { (title) } p { (lead) } } (end) } }
    }
}

/// A part of a page; `id` names it for whoever hears it.
pub(crate) fn section(id: &str, title: &str, lead: impl Render, content: &Markup) -> Markup {
    let lead = lead.render();
    html! {
        section .section aria-labelledby=(id) {
            header { div { h2 id=(id) { (title) } @if !lead.0.is_empty() { p { (lead) } } } }
            (content)
        }
    }
}

/// A number that is a door, or stands for itself where it leads nowhere.
pub(crate) fn stat(
    name: impl Render,
    pill: Option<Markup>,
    n: u64,
    door: Option<&str>,
    note: impl Render,
) -> Markup {
    html! {
        div {
            dt { (name) @if let Some(pill) = pill { (pill) } }
            dd .num {
                @match door {
                    Some(door) => { a href=(door) { (number(n)) } }
                    None => { (number(n)) }
                }
            }
            dd { (note) }
        }
    }
}

/// How far something is. Without a total the bar only moves.
pub(crate) fn meter(
    name: &str,
    tone: Tone,
    done: u64,
    total: Option<u64>,
    value: impl Render,
    note: Option<Markup>,
) -> Markup {
    html! {
        div .meter {
            b { (name) }
            @match total {
                Some(total) => {
                    progress class=(tone.class()) aria-label=(name) value=(done.min(total.max(1))) max=(total.max(1)) {}
                }
                None => { progress class=(tone.class()) aria-label=(name) value="0" max="1" {} }
            }
            span .value { (value) }
            @if let Some(note) = note { span .note { (note) } }
        }
    }
}

/// A step of the checklist. Only the next one has a button.
pub(crate) fn step(done: bool, text: impl Render, button: Option<Markup>) -> Markup {
    html! {
        li .done[done] {
            span .mark {
                @if done { (icon::draw(icon::CHECK)) span .sr { "Done: " } }
                @else { span .sr { "To do: " } }
            }
            span { (text) }
            @match button { Some(button) => { (button) } None => { span {} } }
        }
    }
}

/// Something that is shown when asked for.
pub(crate) fn fold(open: bool, title: impl Render, content: &Markup) -> Markup {
    html! {
        details .fold open[open] {
            summary { (icon::draw(icon::RIGHT)) (title) }
            div { (content) }
        }
    }
}

/// Nothing is here: a sentence, and the next step.
pub(crate) fn empty(pill: Option<Markup>, text: impl Render, next: Option<Markup>) -> Markup {
    html! {
        div .card { div .empty {
            @if let Some(pill) = pill { (pill) }
            p { (text) }
            @if let Some(next) = next { (next) }
        } }
    }
}
