//! The page kit: frame, security headers, assets. Each page is a file beside this one; what a page
//! may do comes from its [`session`].
//!
//! Templates are maud's: checked by the compiler, escaped unless told otherwise, and a piece is a
//! function.

pub(crate) mod consent;
pub(crate) mod outcome;
pub(crate) mod session;

use std::sync::LazyLock;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest as _, Sha256};

use crate::state::App;

const STYLE: &str = include_str!("../../assets/app.css");
/// The address changes with the content, so that browsers may keep it for ever.
static STYLE_PATH: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(STYLE);
    let hex: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("/assets/app-{hex}.css")
});

/// Who may show a page within one of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nobody: a click on it decides something, and must not be stolen.
    Never,
    /// Whoever `WEB_FRAME_ANCESTORS` names.
    AsConfigured,
}

/// A whole page.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    /// Our code, for those who look at a page with a program.
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) framing: Framing,
    /// What stands in `main`, from the heading on.
    pub(crate) content: Markup,
}

impl Page {
    fn markup(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · HubSpot · Integrations" }
                    link rel="stylesheet" href=(*STYLE_PATH);
                }
                body {
                    a .skip href="#main" { "Skip to content" }
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
                }
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.markup()).into_response();
        response.extensions_mut().insert(self.framing);
        response
    }
}

/// An icon of 16 px with the text's colour; a word always stands beside it.
pub(crate) fn icon(path: &'static str) -> Markup {
    html! { svg .i viewBox="0 0 16 16" aria-hidden="true" { path d=(path) {} } }
}

/// A page may load from here only, and nothing within it runs that is not a file of ours.
async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let ancestors = match response.extensions().get::<Framing>() {
        Some(Framing::AsConfigured) => app.frame_ancestors.as_str(),
        Some(Framing::Never) | None => "'none'",
    };
    let policy = format!(
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; \
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

async fn style() -> Response {
    (
        [
            (header::CONTENT_TYPE, "text/css;charset=utf-8"),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ],
        STYLE,
    )
        .into_response()
}

/// All pages, with what they need.
pub(crate) fn router(app: App) -> Router<App> {
    Router::new()
        .route(&STYLE_PATH, get(style))
        .merge(crate::oauth::router())
        .merge(consent::router())
        .layer(axum::middleware::from_fn_with_state(app, secure))
}
