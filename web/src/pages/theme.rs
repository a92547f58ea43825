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
        entry::page_of,
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
    let back = Redirect::to(page_of(sent.text("back")));
    match HeaderValue::from_str(&cookie) {
        Ok(cookie) => (AppendHeaders([(header::SET_COOKIE, cookie)]), back).into_response(),
        Err(_) => back.into_response(),
    }
}
