//! What all pages have in common whose form saves settings: errors tied to their fields, and two admins
//! who edit at once. Rules are those of the settings themselves; here a form becomes a document.
//!
//! A form says from which revision it began. Where somebody saved since, each field that one of the two
//! changed has that one's value; for those that both changed the second one picks.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use domain::{
    entry::PageEvent,
    portal::PortalFacts,
    settings::{Settings, SettingsPath, SettingsProblem, SettingsRevision, Severity, read},
};
use maud::{Markup, html};

use crate::{
    api::settings::{InForce, save as save_settings},
    pages::{
        conflict,
        frame::{Done, SettingsPage, Width},
        guard::{Sent, Visit},
        head::Head,
        overview::set_up,
        parts::{Unsaved, csrf, error_summary, heading, number, savebar},
        refused::Refused,
    },
    problem::Refusal,
    state::App,
};

/// How often a save is tried again where somebody else's came in between.
const TRIES: usize = 3;

/// The values of a form by field, as they are sent: a box is `on` or empty.
pub(crate) type Values = BTreeMap<String, String>;

/// What the button of a step is called: the form goes on without being saved.
pub(crate) const STEP: &str = "step";

/// A field and what is wrong with it.
pub(crate) type FieldError = (String, String);

/// The value of a box.
pub(crate) fn ticked(on: bool) -> String {
    if on { "on".to_owned() } else { String::new() }
}

/// A value; empty where there is none.
pub(crate) fn value<'a>(values: &'a Values, name: &str) -> &'a str {
    values.get(name).map_or("", String::as_str)
}

/// What is wrong with a field.
pub(crate) fn error_of<'a>(errors: &'a [FieldError], name: &str) -> Option<&'a str> {
    let of_field = errors.iter().find(|(field, _)| field == name);
    of_field.map(|(_, text)| text.as_str())
}

/// A whole number, with or without the commas or spaces that part thousands.
fn read_whole(text: &str) -> Option<u32> {
    let mut groups = text.split([',', ' ', '\u{a0}', '\u{202f}']);
    let first = groups.next()?;
    let mut digits = first.to_owned();
    let (mut few, mut parted) = (first.len() <= 3, false);
    for group in groups {
        few &= group.len() == 3;
        parted = true;
        digits.push_str(group);
    }
    let are_digits = !first.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (are_digits && (few || !parted))
        .then(|| digits.parse().ok())
        .flatten()
}

/// A whole number within a text; anything else is said so.
pub(crate) fn whole(
    values: &Values,
    name: &str,
    errors: &mut Vec<FieldError>,
    bounds: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let text = value(values, name).trim();
    let read = read_whole(text).filter(|n| bounds.contains(n));
    if read.is_none() {
        errors.push((
            name.to_owned(),
            format!(
                "Write a whole number from {} to {}.",
                number(u64::from(*bounds.start())),
                number(u64::from(*bounds.end()))
            ),
        ));
    }
    read
}

/// Which row of a list a place belongs to, and what of it.
pub(crate) fn row_at<'a>(path: &'a SettingsPath, list: &str) -> Option<(usize, &'a str)> {
    let rest = path.as_str().strip_prefix(list)?.strip_prefix('/')?;
    let (row, of) = rest.split_once('/').unwrap_or((rest, ""));
    Some((row.parse().ok()?, of))
}

/// The settings in force, and what they are checked against.
pub(crate) struct Known {
    pub(crate) revision: SettingsRevision,
    pub(crate) settings: Settings,
    pub(crate) facts: PortalFacts,
    /// What is wrong with them by now.
    pub(crate) problems: Vec<SettingsProblem>,
}

impl Known {
    pub(crate) async fn of(app: &App, visit: &Visit) -> Result<Self, Refused> {
        let store = &app.parts()?.store;
        let facts = store.portal_facts(visit.workspace()).await?;
        let answer = InForce::of(store, visit.workspace())
            .await?
            .answer(&facts)?;
        Ok(Self {
            revision: answer.revision,
            settings: answer.settings,
            problems: answer.problems,
            facts,
        })
    }

    /// The settings of an earlier revision.
    async fn at(
        &self,
        app: &App,
        visit: &Visit,
        revision: SettingsRevision,
    ) -> Result<Option<Settings>, Refused> {
        if revision == SettingsRevision::NONE {
            return Ok(Some(Settings::defaults(&self.facts)));
        }
        let store = &app.parts()?.store;
        let row = store.settings_at(visit.workspace(), revision).await?;
        Ok(row.and_then(|row| read(row.document).ok()))
    }
}

/// A page whose form saves settings.
pub(crate) trait SettingsForm: Sync + Sized {
    const PATH: &'static str;
    const TITLE: &'static str;
    const LEAD: &'static str;
    const WIDTH: Width = Width::Usual;
    /// The page of the navigation that it belongs to.
    const PLACE: &'static str = Self::PATH;
    /// What the page shows before anything was saved is worth to be saved as it is.
    const BEGINS: bool = false;

    /// What the page needs besides the settings.
    async fn load(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused>;

    /// The fields with their values in these settings.
    fn values(&self, settings: &Settings) -> Values;

    /// Puts values into settings; what cannot be read is said of its field.
    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError>;

    /// What people call a field.
    fn label(&self, name: &str) -> String;

    /// A value, as people read it.
    fn shown(&self, name: &str, value: &str) -> String;

    /// The field that a place of these settings belongs to.
    fn field_at(&self, path: &SettingsPath, settings: &Settings) -> Option<String>;

    /// Whether the form goes on between two saves.
    const STEPS: bool = false;

    /// A field that is several ones on the page; none of another, or where these are not on it.
    fn composed(&self, _name: &str, _sent: &Sent) -> Option<String> {
        None
    }

    /// What the form brings along beside its fields.
    fn came(&mut self, _sent: &Sent) {}

    /// Goes on with the form without saving it: a row more or less, a list opened.
    fn step(&mut self, _known: &Known, _step: &str, _sent: &Sent, _values: &mut Values) {}

    /// The step that Enter takes instead of saving.
    fn on_enter(&self) -> Option<String> {
        None
    }

    /// What counts as one change together with other fields.
    fn change_of<'a>(&self, name: &'a str) -> &'a str {
        name
    }

    /// What stands before the form.
    fn above(&self, _visit: &Visit, _head: &Head) -> Markup {
        Markup::default()
    }

    /// The fields.
    fn fields(&self, visit: &Visit, head: &Head, values: &Values, errors: &[FieldError]) -> Markup;
}

/// How a form is shown: what somebody typed, and what is wrong with it.
struct Typed {
    revision: SettingsRevision,
    values: Values,
    errors: Vec<FieldError>,
    /// How many of the values are not saved yet.
    changes: usize,
}

/// Errors for the top of the page, where each has to say which field it is about.
fn named_errors<F: SettingsForm>(form: &F, errors: &[FieldError]) -> Vec<FieldError> {
    let named = |(field, text): &FieldError| match form.label(field) {
        _ if field == "content" => (field.clone(), text.clone()),
        label if label.is_empty() => (field.clone(), text.clone()),
        label => (field.clone(), format!("{label}: {text}")),
    };
    errors.iter().map(named).collect()
}

fn page<F: SettingsForm>(
    form: &F,
    visit: &Visit,
    head: &Head,
    typed: &Typed,
    done: Option<Done>,
    next: Option<(&'static str, &'static str)>,
) -> Response {
    let fields = form.fields(visit, head, &typed.values, &typed.errors);
    let unsaved = match typed.changes {
        0 if F::BEGINS && typed.revision == SettingsRevision::NONE => Unsaved::All,
        0 => Unsaved::Nothing,
        changes => Unsaved::Fields(changes),
    };
    let content = html! {
        (heading(F::TITLE, F::LEAD))
        (error_summary(&named_errors(form, &typed.errors)))
        (form.above(visit, head))
        form method="post" action=(F::PATH) .stack-form novalidate {
            @if visit.may_change() {
                // What Enter does is what the first button does.
                @if let Some(step) = form.on_enter() { button .sr tabindex="-1" aria-hidden="true" name=(STEP) value=(step) {} }
                @else if F::STEPS { button .sr tabindex="-1" aria-hidden="true" {} }
                (csrf(visit))
                input type="hidden" name="revision" value=(typed.revision);
                (fields)
                (savebar(unsaved, F::PATH))
            } @else {
                fieldset disabled .stack-form { (fields) }
            }
        }
    };
    SettingsPage {
        status: if typed.errors.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        },
        width: F::WIDTH,
        done,
        next: next.filter(|(path, _)| *path != F::PATH),
        ..SettingsPage::new(visit, head, F::PLACE, F::TITLE, content)
    }
    .into_response()
}

/// The page as the settings in force have it, with what somebody asked there besides.
pub(crate) async fn show_with<F: SettingsForm>(
    app: &App,
    visit: &Visit,
    change: impl FnOnce(&mut F) + Send,
) -> Result<Response, Refused> {
    let head = Head::of(app, visit.workspace()).await?;
    let known = Known::of(app, visit).await?;
    let mut form = F::load(app, visit, &known).await?;
    change(&mut form);
    let typed = Typed {
        revision: known.revision,
        values: form.values(&known.settings),
        errors: Vec::new(),
        changes: 0,
    };
    Ok(page(&form, visit, &head, &typed, None, None))
}

/// The page as the settings in force have it.
pub(crate) async fn show<F: SettingsForm>(
    app: &App,
    visit: &Visit,
    done: Option<Done>,
) -> Result<Response, Refused> {
    let head = Head::of(app, visit.workspace()).await?;
    let known = Known::of(app, visit).await?;
    let form = F::load(app, visit, &known).await?;
    let typed = Typed {
        revision: known.revision,
        values: form.values(&known.settings),
        errors: Vec::new(),
        changes: 0,
    };
    let next = match done {
        Some(Done::Saved) => set_up::next(app, visit, &head).await?,
        _ => None,
    };
    Ok(page(&form, visit, &head, &typed, done, next))
}

/// Saves what was sent, shows what is wrong with it, or asks whose value a field is to have.
pub(crate) async fn save<F: SettingsForm>(
    app: &App,
    visit: &Visit,
    sent: &Sent,
) -> Result<Response, Refused> {
    let began: u64 = sent.text("revision").parse().map_err(|_| {
        Refusal::Malformed("revision: the form says which revision it began from".to_owned())
    })?;
    let began = SettingsRevision::new(began);
    if !sent.text(STEP).is_empty() {
        return stepped::<F>(app, visit, sent, began).await;
    }
    for _ in 0..TRIES {
        match try_save::<F>(app, visit, sent, began).await? {
            Some(response) => return Ok(response),
            None => tracing::debug!("settings were saved in between"),
        }
    }
    Err(Refusal::Busy.into())
}

/// The form as it goes on: nothing is saved, and nothing typed is lost.
async fn stepped<F: SettingsForm>(
    app: &App,
    visit: &Visit,
    sent: &Sent,
    began: SettingsRevision,
) -> Result<Response, Refused> {
    let head = Head::of(app, visit.workspace()).await?;
    let known = Known::of(app, visit).await?;
    let mut form = F::load(app, visit, &known).await?;
    form.came(sent);
    let saved = form.values(&known.settings);
    let mut values = as_typed(&form, &saved, sent);
    form.step(&known, sent.text(STEP), sent, &mut values);
    let typed = Typed {
        // Who saved since is found out when this is saved.
        revision: began,
        changes: changes_of(&form, &saved, &values),
        values,
        errors: Vec::new(),
    };
    Ok(page(&form, visit, &head, &typed, None, None))
}

fn as_typed<F: SettingsForm>(form: &F, saved: &Values, sent: &Sent) -> Values {
    let of = |name: &String, now: &String| {
        let composed = form.composed(name, sent);
        composed.unwrap_or_else(|| typed(sent, name, now))
    };
    saved
        .iter()
        .map(|(name, now)| (name.clone(), of(name, now)))
        .collect()
}

/// How many changes are not saved yet.
fn changes_of<F: SettingsForm>(form: &F, saved: &Values, values: &Values) -> usize {
    let changed = values.iter().filter(|(n, v)| saved.get(*n) != Some(v));
    let of: BTreeSet<&str> = changed.map(|(n, _)| form.change_of(n)).collect();
    of.len()
}

/// None: somebody saved in between.
async fn try_save<F: SettingsForm>(
    app: &App,
    visit: &Visit,
    sent: &Sent,
    began: SettingsRevision,
) -> Result<Option<Response>, Refused> {
    let known = Known::of(app, visit).await?;
    let mut form = F::load(app, visit, &known).await?;
    form.came(sent);
    let theirs = form.values(&known.settings);
    let mut mine = as_typed(&form, &theirs, sent);
    if began != known.revision {
        // Without what it began from nobody can tell who changed what: the form is to be filled in anew.
        let base = known.at(app, visit, began).await?.ok_or_else(|| {
            Refusal::Malformed("revision: there is no such revision to begin from".to_owned())
        })?;
        let base = form.values(&base);
        let merged = conflict::merge(&base, &theirs, &mine);
        if merged.is_of_this_page() {
            let head = Head::of(app, visit.workspace()).await?;
            let who = app
                .parts()?
                .store
                .who_saved(visit.workspace(), known.revision)
                .await?;
            let asked = conflict::page(&form, visit, &head, &known, &theirs, &mine, &merged, who);
            return Ok(Some(asked));
        }
        mine = merged.values;
    }
    let mut settings = known.settings.clone();
    let mut errors = form.apply(&mine, &mut settings);
    if errors.is_empty() {
        if settings == known.settings && known.revision != SettingsRevision::NONE {
            return Ok(Some(to::<F>("unchanged")));
        }
        let tried = settings.clone();
        match save_settings(app, visit.workspace(), known.revision, settings).await {
            Ok(saved) => {
                visit
                    .note(app, PageEvent::SavedSettings, Some(saved.revision))
                    .await;
                return Ok(Some(to::<F>("saved")));
            }
            Err(Refusal::SettingsChanged { .. }) => return Ok(None),
            Err(Refusal::SettingsRefused(problems)) => {
                let severe = problems
                    .into_iter()
                    .filter(|p| p.severity == Severity::Error);
                errors.extend(severe.map(|p| {
                    let field = form
                        .field_at(&p.path, &tried)
                        .unwrap_or_else(|| "content".to_owned());
                    (field, format!("{} ({})", p.message, p.code.code()))
                }));
            }
            Err(other) => return Err(other.into()),
        }
    }
    let head = Head::of(app, visit.workspace()).await?;
    let changes = changes_of(&form, &theirs, &mine);
    let typed = Typed {
        revision: known.revision,
        values: mine,
        errors,
        changes,
    };
    Ok(Some(page(&form, visit, &head, &typed, None, None)))
}

/// What was sent of a field. A box that is not ticked is not sent; another field that is not was not
/// on the page, and stays as it is.
fn typed(sent: &Sent, name: &str, now: &str) -> String {
    match sent.all(name).next() {
        // Browsers end the lines of longer texts in their own way.
        Some(text) => text.replace("\r\n", "\n"),
        None if now == "on" => String::new(),
        None => now.to_owned(),
    }
}

fn to<F: SettingsForm>(done: &str) -> Response {
    Redirect::to(&format!("{}?done={done}", F::PATH)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_its_row() {
        let at = |path: &str| {
            let path = SettingsPath::new(path);
            row_at(&path, "/contacts").map(|(n, of)| (n, of.to_owned()))
        };
        assert_eq!(
            at("/contacts/3/options/A"),
            Some((3, "options/A".to_owned()))
        );
        assert_eq!(at("/contacts/3"), Some((3, String::new())));
        assert_eq!(at("/contacts"), None);
        assert_eq!(at("/contact_source/3"), None);
    }

    #[test]
    fn numbers_are_whole_and_within_bounds() {
        let read_to = |text: &str, most: u32| {
            let values = Values::from([("n".to_owned(), text.to_owned())]);
            let mut errors = Vec::new();
            let read = whole(&values, "n", &mut errors, 1..=most);
            assert_eq!(read.is_none(), error_of(&errors, "n").is_some(), "{text}");
            read
        };
        let read = |text: &str| read_to(text, 100);
        let mut errors = Vec::new();
        let words = Values::from([("n".to_owned(), "many".to_owned())]);
        assert_eq!(whole(&words, "n", &mut errors, 1..=1_000_000), None);
        assert_eq!(
            error_of(&errors, "n"),
            Some("Write a whole number from 1 to 1,000,000.")
        );
        for (text, want) in [
            ("1,000,000", Some(1_000_000)),
            ("12 345", Some(12_345)),
            ("1\u{202f}000", Some(1_000)),
            ("1000,000", None),
            ("1,00", None),
            (",100", None),
            ("1,,000", None),
            ("1,000,001", None),
        ] {
            assert_eq!(read_to(text, 1_000_000), want, "{text}");
        }
        for (text, want) in [
            ("7", Some(7)),
            (" 100 ", Some(100)),
            ("0", None),
            ("101", None),
            ("2.0e3", None),
            ("+7", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("", None),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }
}
