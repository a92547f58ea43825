//! The page kit: frame, security headers, assets. Each page is a file beside this one; what a page
//! may do comes from its [`session`].
//!
//! The settings pages have a [`frame`] around them and a [`guard`] before them; what they share is in
//! [`parts`].
//!
//! Templates are maud's: checked by the compiler, escaped unless told otherwise, and a piece is a
//! function.

mod activities;
mod basic_sync;
mod bulk;
mod conflict;
mod connection;
pub(crate) mod consent;
mod dnc;
mod dnc_stages;
mod dnc_stopped;
pub(crate) mod entry;
mod fixed_values;
mod frame;
pub(crate) mod guard;
mod head;
mod history;
mod lists;
pub(crate) mod live;
mod mapping;
mod mapping_activity;
mod mapping_behaviors;
mod mapping_example;
mod mapping_own;
mod mapping_tabs;
pub(crate) mod outcome;
mod overview;
mod owners;
mod parts;
mod people;
mod person;
mod picker;
mod problems;
mod properties;
mod reasons;
mod refused;
mod routes;
pub(crate) mod session;
mod settings_form;
mod statuses;
mod theme;
mod value_table;

use std::sync::LazyLock;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest as _, Sha256};

use crate::{pages::guard::Theme, state::App};

const STYLE: &str = include_str!("../../assets/app.css");
const SCRIPT: &str = include_str!("../../assets/app.js");
static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path_of(STYLE, "css"));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path_of(SCRIPT, "js"));

/// The address changes with the content, so that browsers may keep it for ever.
fn path_of(content: &str, kind: &str) -> String {
    let hash = Sha256::digest(content);
    let hex: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("/assets/app-{hex}.{kind}")
}

/// Who may show a page within one of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nobody: a click on it decides something, and must not be stolen.
    Never,
    /// Whoever `WEB_FRAME_ANCESTORS` names.
    AsConfigured,
}

/// A form on the page leads on to HubSpot's own pages.
#[derive(Debug, Clone, Copy)]
struct LeadsToHubSpot;

/// A whole page without navigation.
pub(crate) struct Page<'a> {
    pub(crate) status: StatusCode,
    /// Our code, for those who look at a page with a program.
    pub(crate) code: &'a str,
    pub(crate) title: &'a str,
    pub(crate) framing: Framing,
    /// What stands in `main`, from the heading on.
    pub(crate) content: Markup,
}

/// What runs on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    None,
    /// Makes the page nicer.
    Usual,
    /// Keeps up with what goes on too. Where no script runs, the page is loaded again now and then.
    Live,
}

/// A document: what is around every page.
fn document(title: &str, theme: Option<Theme>, script: Script, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme.map(Theme::as_str)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · HubSpot · Integrations" }
                link rel="stylesheet" href=(*STYLE_PATH);
                @if script != Script::None { script type="module" src=(*SCRIPT_PATH) {} }
                @if script == Script::Live { noscript { meta http-equiv="refresh" content="5"; } }
            }
            body {
                a .skip href="#main" { "Skip to content" }
                (body)
            }
        }
    }
}

impl Page<'_> {
    fn markup(&self) -> Markup {
        let body = html! {
            header .top { div .frame {
                nav .crumbs aria-label="Breadcrumb" { ol {
                    li { "Settings" }
                    li { "Integrations" }
                    li { span aria-current="page" { "HubSpot" } }
                } }
            } }
            div .frame {
                main #main .narrow .lone tabindex="-1" data-code=(self.code) { (self.content) }
            }
        };
        document(self.title, None, Script::None, &body)
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.markup()).into_response();
        response.extensions_mut().insert(self.framing);
        response
    }
}

/// A page may load from here only, and nothing within it runs that is not a file of ours.
async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let ancestors = match response.extensions().get::<Framing>() {
        Some(Framing::AsConfigured) => app.frame_ancestors.as_str(),
        Some(Framing::Never) | None => "'none'",
    };
    // Browsers look at where a form is sent on to as well.
    let hubspot = match response.extensions().get::<LeadsToHubSpot>() {
        Some(LeadsToHubSpot) => format!(" {}", app.hubspot.app_url.origin().ascii_serialization()),
        None => String::new(),
    };
    let policy = format!(
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'{hubspot}; \
         frame-ancestors {ancestors}"
    );
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().entry(name).or_insert(value);
        }
    };
    set(header::CONTENT_SECURITY_POLICY, &policy);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Addresses hold codes and states.
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    response
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ],
        content,
    )
        .into_response()
}

/// The settings pages, with the guard before them.
fn settings(app: App) -> Router<App> {
    Router::new()
        .merge(entry::router())
        .merge(theme::router())
        .merge(overview::router())
        .merge(connection::router())
        .merge(basic_sync::router())
        .merge(mapping::router())
        .merge(mapping_activity::router())
        .merge(properties::router())
        .merge(activities::router())
        .merge(owners::router())
        .merge(statuses::router())
        .merge(lists::router())
        .merge(problems::router())
        .merge(history::router())
        .merge(dnc::router())
        .merge(dnc_stopped::router())
        .merge(bulk::router())
        .merge(people::router())
        .merge(person::router())
        // What is no page is said as a page.
        .route("/settings/hubspot/{*rest}", any(async || ()))
        .layer(axum::middleware::from_fn_with_state(app, guard::admit))
}

/// All pages, with what they need.
pub(crate) fn router(app: App) -> Router<App> {
    Router::new()
        .route(
            &STYLE_PATH,
            get(async || asset("text/css;charset=utf-8", STYLE)),
        )
        .route(
            &SCRIPT_PATH,
            get(async || asset("text/javascript;charset=utf-8", SCRIPT)),
        )
        .route("/", get(entry::front))
        .merge(crate::oauth::router())
        .merge(consent::router())
        .merge(settings(app.clone()))
        .method_not_allowed_fallback(async || refused::Refused::MethodNotAllowed)
        .layer(axum::middleware::from_fn_with_state(app, secure))
}
