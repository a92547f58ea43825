//! The frame around every settings page: where one is, how the connection stands, where one can go.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use crate::pages::{
    Framing, LeadsToHubSpot, Script, document,
    guard::{Theme, Visit},
    head::{Head, Standing},
    live::Following,
    parts::{Tone, action, count, csrf, icon, notice},
    routes,
};

/// The pages of the navigation, in its order.
const PLACES: &[(&str, &str)] = &[
    (routes::OVERVIEW, "Overview"),
    (routes::BASIC_SYNC, "Basic sync"),
    (routes::MAPPING_CONTACTS, "Property mapping"),
    (routes::ACTIVITIES, "Activities"),
    (routes::OWNERS, "Owners"),
    (routes::STATUSES, "Statuses"),
    (routes::LISTS, "Lists"),
    (routes::DNC, "Do not contact"),
    (routes::PEOPLE, "People"),
    (routes::PROBLEMS, "Problems"),
    (routes::HISTORY, "History"),
];

/// How wide the column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Usual,
    Wide,
    Narrow,
}

/// A settings page.
pub(crate) struct SettingsPage<'a> {
    pub(crate) visit: &'a Visit,
    pub(crate) head: &'a Head,
    pub(crate) status: StatusCode,
    pub(crate) title: &'a str,
    /// The page of the navigation that it belongs to.
    pub(crate) place: &'static str,
    pub(crate) width: Width,
    /// What was done just before, from the address.
    pub(crate) done: Option<Done>,
    /// Where to go on from what was done, and what is done there.
    pub(crate) next: Option<(&'static str, &'static str)>,
    /// How the page follows what goes on; none where nothing does.
    pub(crate) following: Option<Following>,
    pub(crate) content: Markup,
}

/// What was done just before a page is shown. The address says which; nothing else is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Done {
    Saved,
    Unchanged,
    Started,
    AlreadyRunning,
    Queued,
    Disconnected,
    Retried,
    RetriedSome,
    Exported,
    Reverted,
    OwnProperties,
    OwnPropertiesSome,
}

impl Done {
    /// Whether it says that HubSpot is being read, which is not so any more where the connection is gone.
    const fn is_reading(self) -> bool {
        matches!(self, Self::Started | Self::AlreadyRunning | Self::Queued)
    }

    /// What it means, on the page of this place.
    fn text(self, place: &str) -> &'static str {
        match self {
            Self::Saved => match place {
                routes::BASIC_SYNC => "Saved. Import and exports follow it from now on.",
                routes::LISTS | routes::DNC => "Saved. Verdicts follow it from now on.",
                _ => "Saved. Exports follow it from now on.",
            },
            Self::Unchanged => "Nothing was different; nothing was saved.",
            Self::Started => "HubSpot is being read now.",
            Self::AlreadyRunning => "HubSpot is being read already; nothing new was started.",
            Self::Queued => "HubSpot is being read already; what you asked for follows it.",
            Self::Disconnected => {
                "Disconnected: nothing is read from or written to HubSpot any more."
            }
            Self::Retried => "They are tried again now.",
            Self::RetriedSome => {
                "A thousand of them are tried again now. Retry again for the next."
            }
            Self::Exported => "Export started. The result appears below.",
            Self::Reverted => {
                "Asked for. The old value comes back unless HubSpot has another one by then."
            }
            Self::OwnProperties => "The properties are in HubSpot now, and mapped.",
            Self::OwnPropertiesSome => {
                "Not each of the properties could be made and mapped. Those that have a row below are."
            }
        }
    }
}

/// What stands in the address of a page that is shown after something was done.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct AfterDone {
    #[serde(default, deserialize_with = "known")]
    pub(crate) done: Option<Done>,
}

/// What is not known is nothing: an address may be anything.
fn known<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Done>, D::Error> {
    use serde::{Deserialize as _, de::IntoDeserializer as _};
    let text = String::deserialize(from)?;
    let read: Result<Done, serde::de::value::Error> =
        Done::deserialize(text.as_str().into_deserializer());
    Ok(read.ok())
}

/// How the connection stands, on top of every page.
pub(crate) fn state(head: &Head) -> Markup {
    html! {
        div .title { "HubSpot" (head.standing.pill()) }
        (head.line())
    }
}

impl<'a> SettingsPage<'a> {
    /// A usual page.
    pub(crate) fn new(
        visit: &'a Visit,
        head: &'a Head,
        place: &'static str,
        title: &'a str,
        content: Markup,
    ) -> Self {
        Self {
            visit,
            head,
            status: StatusCode::OK,
            title,
            place,
            width: Width::Usual,
            done: None,
            next: None,
            following: None,
            content,
        }
    }

    fn markup(&self) -> Markup {
        let width = match self.width {
            Width::Usual => "",
            Width::Wide => "wide",
            Width::Narrow => "narrow",
        };
        let body = html! {
            header .top { div .frame { (self.crumbs()) (self.theme()) } }
            div .frame {
                div .head role="region" aria-label="Connection" {
                    div #state { (state(self.head)) }
                    @if let Some(main) = self.main_action() { div .actions { (main) } }
                }
                div .layout {
                    (self.navigation())
                    main #main class=(width) tabindex="-1" {
                        @let is_true = |done: &Done| !done.is_reading() || self.head.standing.is_connected();
                        @if let Some(done) = self.done.filter(is_true) {
                            div role="status" { (notice(Tone::Ok, icon::CHECK, &html! { p {
                                (done.text(self.place))
                                @if let Some((path, what)) = self.next { " Next: " a href=(path) { (what) } "." }
                            } }, None)) }
                        }
                        @if !self.visit.may_change() {
                            (notice(Tone::Plain, icon::LOCK, &html! { p { "You can look at these settings. Admins of your workspace change them." } }, None))
                        }
                        @if let Some(following) = &self.following { p #said .sr aria-live="polite" { (following.said) } }
                        @if self.head.standing == Standing::Never && self.place != routes::OVERVIEW {
                            (notice(Tone::Info, icon::KEY, &html! { p {
                                b { "This workspace was never connected to HubSpot." }
                                " There is nothing of it to see here yet; what you set holds once it is. "
                                a href=(routes::OVERVIEW) { "Connect HubSpot" }
                            } }, None))
                        }
                        div #content .stack-form data-live=[self.following.as_ref().map(|f| &f.address)] { (self.content) }
                    }
                }
            }
        };
        let script = if self.following.is_some() {
            Script::Live
        } else {
            Script::Usual
        };
        document(self.title, self.visit.theme, script, &body)
    }

    fn crumbs(&self) -> Markup {
        html! {
            nav .crumbs aria-label="Breadcrumb" { ol {
                @if let Some(name) = &self.visit.visitor.workspace_name { li { bdi { (name) } } }
                li { "Settings" }
                li { "Integrations" }
                li { span aria-current="page" { "HubSpot" } }
            } }
        }
    }

    fn theme(&self) -> Markup {
        let chosen = self.visit.theme.map_or("system", Theme::as_str);
        html! {
            form .segment method="post" action=(routes::THEME) aria-label="Theme" {
                (csrf(self.visit))
                input type="hidden" name="back" value=(self.place);
                @for (value, label, path) in [("light", "Light", icon::SUN), ("dark", "Dark", icon::MOON), ("system", "As the system", icon::HALF)] {
                    button name="theme" value=(value) aria-pressed=(chosen == value) aria-label=(label) { (icon::draw(path)) }
                }
            }
        }
    }

    /// The one thing to do in this state.
    fn main_action(&self) -> Option<Markup> {
        if !self.visit.may_change() {
            return None;
        }
        match self.head.standing {
            Standing::Never | Standing::Importing(_) | Standing::Disconnecting => None,
            Standing::Reconnect => Some(connect_button(self.visit, "Reconnect")),
            Standing::Disconnected => Some(connect_button(self.visit, "Connect again")),
            _ if self.place != routes::OVERVIEW => None,
            _ => Some(action(
                self.visit,
                routes::SYNC_NOW,
                "",
                html! { (icon::draw(icon::SYNC)) "Sync now" },
                &[],
            )),
        }
    }

    fn navigation(&self) -> Markup {
        let here = PLACES.iter().find(|(path, _)| *path == self.place);
        let problems = self.head.problems;
        html! {
            nav .side aria-label="HubSpot settings" { details {
                summary {
                    (here.map_or(self.title, |(_, name)| name))
                    @if problems.open > 0 { span .count { (count(problems.open, problems.more)) span .sr { " problems" } } }
                    (icon::draw(icon::DOWN))
                }
                ul {
                    @for (path, name) in PLACES {
                        li {
                            a href=(path) aria-current=[(*path == self.place).then_some("page")] {
                                (name)
                                @if *path == routes::PROBLEMS && problems.open > 0 {
                                    span .count { (count(problems.open, problems.more)) span .sr { " open" } }
                                }
                            }
                        }
                    }
                }
            } }
        }
    }
}

/// Leads to HubSpot's consent page. It refuses to be shown in a frame, so the whole window goes there.
pub(crate) fn connect_button(visit: &Visit, label: &str) -> Markup {
    html! {
        form method="post" action=(routes::CONNECT) target="_top" {
            (csrf(visit))
            button #connect .btn .primary { (label) }
        }
    }
}

impl IntoResponse for SettingsPage<'_> {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.markup()).into_response();
        response.extensions_mut().insert(Framing::AsConfigured);
        response.extensions_mut().insert(LeadsToHubSpot);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_address_says_was_done_is_known_or_nothing() {
        let of = |query: &str| {
            let uri: axum::http::Uri = format!("/x?{query}").parse().unwrap();
            axum::extract::Query::<AfterDone>::try_from_uri(&uri)
                .unwrap()
                .0
                .done
        };
        assert_eq!(of("done=already-running"), Some(Done::AlreadyRunning));
        assert_eq!(of("done=%3Cscript%3E"), None);
        assert_eq!(of(""), None);
    }
}
