//! Light, dark, or as the system has it: a cookie, which script sets too.

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header},
    response::{AppendHeaders, IntoResponse as _, Redirect, Response},
    routing::post,
};

use crate::{
    pages::{
        guard::{Sent, Theme},
        routes,
    },
    state::App,
};

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::THEME, post(choose))
}

async fn choose(State(app): State<App>, sent: Sent) -> Response {
    let (value, seconds) = match sent.text("theme") {
        "light" => ("light", 31_536_000),
        "dark" => ("dark", 31_536_000),
        _ => ("", 0),
    };
    let secure = if app.public_url.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{}={value}; Path=/; SameSite=Lax; Max-Age={seconds}{secure}",
        Theme::COOKIE
    );
    let back = Redirect::to(back_to(sent.text("back")));
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => (AppendHeaders([(header::SET_COOKIE, cookie)]), back).into_response(),
        Err(_) => back.into_response(),
    }
}

/// A page of ours, else the overview.
fn back_to(path: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._:-%".contains(&b);
    let ours = path.starts_with(routes::OVERVIEW) && path.bytes().all(plain);
    if ours { path } else { routes::OVERVIEW }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_on_our_pages() {
        for (path, want) in [
            (
                "/settings/hubspot/people/p-1",
                "/settings/hubspot/people/p-1",
            ),
            ("https://example.com", routes::OVERVIEW),
            ("//example.com/settings/hubspot", routes::OVERVIEW),
            ("/settings/hubspot@example.com", routes::OVERVIEW),
            ("/settings/hubspot\r\nSet-Cookie: a=b", routes::OVERVIEW),
            ("", routes::OVERVIEW),
        ] {
            assert_eq!(back_to(path), want, "{path:?}");
        }
    }
}
