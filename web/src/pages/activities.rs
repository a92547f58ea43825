//! Activities: what the app does that stands on the contact's timeline in HubSpot, and how (E8).

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    settings::{
        ActivityContext, ActivityKind, ActivitySetting, ActivitySettings, Settings, SettingsPath,
    },
    touches,
};
use maud::{Markup, html};

use crate::{
    pages::{
        frame::AfterDone,
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{icon, number, number_field, section, switch},
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, save, show, ticked, value, whole,
        },
    },
    state::App,
};

const LABEL: &str = "label";
const OPEN_DEALS: &str = "open-deals";
const CONTEXT: &str = "context";
const CONTEXT_DAYS: &str = "context-days";
const CONTEXT_TEXTS: &str = "context-texts";
const LOG: &str = "log-";
const LABEL_OF: &str = "label-";

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::ACTIVITIES, get(page).post(saved))
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<Activities>(&app, &visit, after.done).await
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<Activities>(&app, &visit, &sent).await
}

/// What the page needs.
struct Activities {
    /// Minutes between two syncs: what reading engagements costs goes by it.
    interval: u32,
}

/// What people call a kind, and what it becomes in HubSpot.
pub(crate) const fn kind_name(kind: ActivityKind) -> (&'static str, &'static str) {
    match kind {
        ActivityKind::Email => ("E-mail", "An e-mail on the timeline"),
        ActivityKind::LinkedinMessage => ("LinkedIn message", "A LinkedIn message on the timeline"),
        ActivityKind::LinkedinConnectionRequest => (
            "LinkedIn connection request",
            "A LinkedIn message on the timeline",
        ),
        ActivityKind::Call => ("Call", "A call on the timeline"),
        ActivityKind::Meeting => ("Meeting", "A meeting on the timeline"),
        ActivityKind::Note => ("Note", "A note on the timeline"),
        ActivityKind::Task => ("Task", "A task of the record"),
    }
}

impl SettingsForm for Activities {
    const PATH: &'static str = routes::ACTIVITIES;
    const TITLE: &'static str = "Activities";
    const LEAD: &'static str =
        "What the app does that stands on the contact’s timeline in HubSpot, and how.";

    async fn load(_: &App, _: &Visit, known: &Known) -> Result<Self, Refused> {
        Ok(Self {
            interval: known.settings.import.interval_minutes,
        })
    }

    fn values(&self, settings: &Settings) -> Values {
        let of = &settings.activities;
        let context = &settings.activity_context;
        let kinds = ActivityKind::ALL.into_iter().flat_map(|kind| {
            let own = of.kinds.get(&kind).and_then(|k| k.label.clone());
            [
                (format!("{LOG}{kind}"), ticked(of.logs(kind))),
                (format!("{LABEL_OF}{kind}"), own.unwrap_or_default()),
            ]
        });
        kinds
            .chain([
                (LABEL.to_owned(), of.label.clone()),
                (OPEN_DEALS.to_owned(), ticked(of.associate_open_deals)),
                (CONTEXT.to_owned(), ticked(context.engagements)),
                (CONTEXT_DAYS.to_owned(), context.days.to_string()),
                (CONTEXT_TEXTS.to_owned(), ticked(context.bodies)),
            ])
            .collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let of = &mut settings.activities;
        value(values, LABEL).clone_into(&mut of.label);
        of.associate_open_deals = !value(values, OPEN_DEALS).is_empty();
        for kind in ActivityKind::ALL {
            let log = !value(values, &format!("{LOG}{kind}")).is_empty();
            let typed = value(values, &format!("{LABEL_OF}{kind}"));
            // One that is empty on purpose stays so.
            let before = of.kinds.get(&kind).and_then(|k| k.label.clone());
            let label = match typed {
                "" => before.filter(String::is_empty),
                typed => Some(typed.to_owned()),
            };
            if log && label.is_none() {
                of.kinds.remove(&kind);
            } else {
                of.kinds.insert(kind, ActivitySetting { log, label });
            }
        }
        let mut errors = Vec::new();
        let context = &mut settings.activity_context;
        context.engagements = !value(values, CONTEXT).is_empty();
        context.bodies = !value(values, CONTEXT_TEXTS).is_empty();
        if let Some(days) = whole(values, CONTEXT_DAYS, &mut errors, ActivityContext::DAYS) {
            context.days = days;
        }
        errors
    }

    fn label(&self, name: &str) -> String {
        let kind = |start: &str| name.strip_prefix(start)?.parse::<ActivityKind>().ok();
        match name {
            LABEL => "Label".to_owned(),
            OPEN_DEALS => "Associate with open deals".to_owned(),
            CONTEXT => "Recent engagements".to_owned(),
            CONTEXT_DAYS => "Recent engagements, days back".to_owned(),
            CONTEXT_TEXTS => "Recent engagements, texts".to_owned(),
            _ => match (kind(LOG), kind(LABEL_OF)) {
                (Some(kind), _) => kind_name(kind).0.to_owned(),
                (_, Some(kind)) => format!("{}, label", kind_name(kind).0),
                _ => name.to_owned(),
            },
        }
    }

    fn shown(&self, name: &str, value: &str) -> String {
        if [OPEN_DEALS, CONTEXT, CONTEXT_TEXTS].contains(&name) || name.starts_with(LOG) {
            return if value.is_empty() { "off" } else { "on" }.to_owned();
        }
        value.to_owned()
    }

    fn field_at(&self, path: &SettingsPath, _: &Settings) -> Option<String> {
        if path.as_str().starts_with("/activity_context") {
            return Some(CONTEXT_DAYS.to_owned());
        }
        let rest = path.as_str().strip_prefix("/activities/")?;
        if rest == "label" {
            return Some(LABEL.to_owned());
        }
        let kind = rest.strip_prefix("kinds/")?.split('/').next()?;
        Some(format!("{LABEL_OF}{kind}"))
    }

    fn fields(&self, _: &Visit, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let label = value(values, LABEL);
        html! {
            (section("all", "Label", "Stands in front of each title, so that people see where it comes from.", &html! {
                div .card { div { (text(LABEL, "Label of all", label, error_of(errors, LABEL))) } }
            }))
            (section("kinds", "Kinds", "", &html! {
                div .card { @for kind in ActivityKind::ALL {
                    @let (name, becomes) = kind_name(kind);
                    @let log = format!("{LOG}{kind}");
                    @let own = format!("{LABEL_OF}{kind}");
                    @let typed = value(values, &own);
                    div {
                        (switch(&log, !value(values, &log).is_empty(), name, becomes))
                        div .under-switch .fields {
                            (text(&own, "Label of its own", typed, error_of(errors, &own)))
                            div .entry {
                                (icon::draw(icon::CHECK))
                                b { bdi { (if typed.is_empty() { label } else { typed }) } " " (name) }
                                span .muted { (becomes) }
                            }
                        }
                    }
                } }
            }))
            (section("deals", "Deals", "", &html! {
                div .card { div { (switch(OPEN_DEALS, !value(values, OPEN_DEALS).is_empty(), "Associate activities with the person’s open deals too", "Off: with the contact and the company alone.")) } }
            }))
            (section("others", "What others do", "", &html! { div .card { div { (self.context(values, errors)) } } }))
        }
    }
}

/// A sync looks for each kind of engagements apart.
const SEARCHES: u64 = touches::KINDS.len() as u64;

impl Activities {
    /// Whether engagements of other reps are read, with what that costs and what switching it off does.
    fn context(&self, values: &Values, errors: &[FieldError]) -> Markup {
        let texts = !value(values, CONTEXT_TEXTS).is_empty();
        let hourly = SEARCHES * 60 / u64::from(self.interval.max(1));
        html! {
            (switch(CONTEXT, !value(values, CONTEXT).is_empty(), "Read recent engagements of other reps", html! {
                "Kind, time, owner and title of meetings, calls, e-mails, messages, notes and tasks come in with each sync, so that nobody is written to whom a rep met yesterday. "
                "Costs " (SEARCHES) " searches a sync, at least " (number(hourly)) " an hour, of those that HubSpot allows all your apps together, and some requests for what is new. "
                "Switched off, nothing of it is shown any more, and what was read is removed within the hour."
            }))
            div .under-switch .stack {
                (number_field(CONTEXT_DAYS, "Days back", value(values, CONTEXT_DAYS), error_of(errors, CONTEXT_DAYS), "Older ones are removed. More days: all of the longer time is read once."))
                (switch(CONTEXT_TEXTS, texts, "Their texts, too", "What mails and notes say comes in and is stored. Switched off, the texts are removed within the hour."))
            }
        }
    }
}

fn text(id: &str, label: &str, typed: &str, error: Option<&str>) -> Markup {
    html! {
        div .field {
            label for=(id) { (label) }
            input .input id=(id) name=(id) value=(typed) maxlength=(ActivitySettings::MAX_LABEL)
                aria-describedby={ (id) "-error" } aria-invalid=[error.map(|_| "true")];
            @if let Some(error) = error { p .error-text id={ (id) "-error" } { (icon::draw(icon::WARN)) span { (error) } } }
        }
    }
}
