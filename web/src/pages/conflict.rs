//! Two admins at once: what the second one is shown, field by field, and nothing typed is lost.

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use maud::html;

use crate::pages::{
    frame::SettingsPage,
    guard::Visit,
    head::Head,
    parts::{csrf, heading},
    settings_form::{Known, SettingsForm, Values, value},
};

/// What becomes of each field when two changed what both began from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The value of each field; of those that both changed what the second one typed.
    pub(crate) values: Values,
    /// Fields that both changed, to different values.
    pub(crate) both: Vec<String>,
    /// Fields that the first one alone changed.
    pub(crate) theirs: Vec<String>,
    /// Fields that the second one alone changed.
    pub(crate) mine: Vec<String>,
}

impl Merged {
    /// Whether the first one changed something that stands on this page.
    pub(crate) fn is_of_this_page(&self) -> bool {
        !self.both.is_empty() || !self.theirs.is_empty()
    }
}

/// Puts two changes of one document together.
pub(crate) fn merge(base: &Values, theirs: &Values, mine: &Values) -> Merged {
    let mut merged = Merged {
        values: Values::new(),
        both: Vec::new(),
        theirs: Vec::new(),
        mine: Vec::new(),
    };
    for (name, first) in theirs {
        let (before, second) = (value(base, name), value(mine, name));
        let chosen = if first == second || second == before {
            if first != before && first != second {
                merged.theirs.push(name.clone());
            }
            first.as_str()
        } else {
            let of = if first == before {
                &mut merged.mine
            } else {
                &mut merged.both
            };
            of.push(name.clone());
            second
        };
        merged.values.insert(name.clone(), chosen.to_owned());
    }
    merged
}

/// Asks whose value a field is to have. The form is that of the page itself: the rest goes along.
#[allow(clippy::too_many_arguments, reason = "one place calls it")]
pub(crate) fn page<F: SettingsForm>(
    form: &F,
    visit: &Visit,
    head: &Head,
    known: &Known,
    theirs: &Values,
    mine: &Values,
    merged: &Merged,
    who: Option<String>,
) -> Response {
    let who = who.unwrap_or_else(|| "Somebody".to_owned());
    let shown = |name: &str, value: &str| {
        let text = form.shown(name, value);
        if text.is_empty() {
            "nothing".to_owned()
        } else {
            text
        }
    };
    let list = |names: &[String], of: &Values| {
        let all: Vec<String> = names
            .iter()
            .map(|n| format!("{}: {}", form.label(n), shown(n, value(of, n))))
            .collect();
        all.join(" · ")
    };
    let content = html! {
        (heading(html! { bdi { (who) } " saved while you were editing" }, html! {
            "Nothing of yours is lost, and nothing that " bdi { (who) } " saved was overwritten."
            @if !merged.both.is_empty() { " Pick a value for each field that you both changed." }
        }))
        form method="post" action=(F::PATH) .stack-form {
            (csrf(visit))
            input type="hidden" name="revision" value=(known.revision);
            @for (name, value) in &merged.values {
                @if !merged.both.contains(name) { input type="hidden" name=(name) value=(value); }
            }
            div .card {
                @for name in &merged.both {
                    div { fieldset .stack .tight {
                        legend { (form.label(name)) }
                        div .choices .across {
                            @let first = value(theirs, name);
                            @let second = value(mine, name);
                            label .choice {
                                input type="radio" name=(name) value=(first);
                                b { bdi { (shown(name, first)) } }
                                span .hint { bdi { (who) } ", saved" }
                            }
                            label .choice {
                                input type="radio" name=(name) value=(second) checked;
                                b { bdi { (shown(name, second)) } }
                                span .hint { "You, not saved yet" }
                            }
                        }
                    } }
                }
                @if !merged.theirs.is_empty() {
                    div .foot { "Changed by " bdi { (who) } " alone, and kept: " b { (list(&merged.theirs, theirs)) } }
                }
                @if !merged.mine.is_empty() {
                    div .foot { "Changed by you alone, and kept: " b { (list(&merged.mine, mine)) } }
                }
            }
            div .savebar role="region" aria-label="Unsaved changes" data-changes=(merged.both.len() + merged.mine.len()) {
                p { "Version " (known.revision) " is in force" }
                a .btn #discard href=(F::PATH) data-discards { "Take theirs" }
                button .btn .primary #save { "Save my choice" }
            }
        }
    };
    SettingsPage {
        status: StatusCode::CONFLICT,
        ..SettingsPage::new(visit, head, F::PLACE, F::TITLE, content)
    }
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: [&str; 4]) -> Values {
        ["a", "b", "c", "d"]
            .into_iter()
            .zip(of)
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn each_keeps_what_the_other_did_not_touch() {
        let base = values(["1", "1", "1", "1"]);
        let theirs = values(["2", "1", "2", "2"]);
        let mine = values(["1", "3", "3", "2"]);
        let merged = merge(&base, &theirs, &mine);
        assert_eq!(merged.values, values(["2", "3", "3", "2"]));
        assert_eq!(merged.theirs, ["a"]);
        assert_eq!(merged.mine, ["b"]);
        assert_eq!(merged.both, ["c"]);
        assert!(merged.is_of_this_page());
        // What somebody saved elsewhere is no concern of this page.
        let elsewhere = merge(&base, &base, &mine);
        assert!(!elsewhere.is_of_this_page());
        assert_eq!(elsewhere.values, mine);
    }
}
