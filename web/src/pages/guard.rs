//! Who may use which page: looked up in [`routes`], once for all, before anything else happens.
//!
//! A form brings along what only a page of the same session knows. The workspace comes from the
//! session and from nowhere else, so another one's ids lead to nothing.

use std::sync::Arc;

use axum::{
    body::to_bytes,
    extract::{FromRequestParts, MatchedPath, Query, Request, State},
    http::{HeaderMap, Method, request::Parts},
    middleware::Next,
    response::Response,
};
use chrono::Utc;
use domain::{
    WorkspaceId,
    entry::{PageEvent, PageRole},
    settings::SettingsRevision,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::PageVisitor;
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    api::USUAL_BYTES,
    pages::{
        refused::Refused,
        routes::{self, Who},
        session::{Caller, Session, cookie},
    },
    problem::Refusal,
    state::App,
};

/// What the cookie says: which session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Visitor {
    pub(crate) session: Uuid,
}

impl Caller for Visitor {
    const COOKIE: &'static str = "hubspot_sync_pages";
    // The front door's `/` leads on to whoever has one.
    const PATH: &'static str = "/";
}

/// How the pages look, where somebody chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Theme {
    /// The cookie that says so; script reads it too.
    pub(crate) const COOKIE: &'static str = "theme";

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        match cookie(headers, Self::COOKIE)? {
            "light" => Some(Self::Light),
            "dark" => Some(Self::Dark),
            _ => None,
        }
    }
}

/// Who looks at a page, and how.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) visitor: PageVisitor,
    pub(crate) theme: Option<Theme>,
    csrf: String,
}

impl Visit {
    pub(crate) const fn workspace(&self) -> WorkspaceId {
        self.visitor.workspace
    }

    pub(crate) const fn may_change(&self) -> bool {
        matches!(self.visitor.role, PageRole::Admin)
    }

    /// What a form of this session has to bring along.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Notes what the visitor did. What was done is done, even where the note is lost.
    pub(crate) async fn note(
        &self,
        app: &App,
        event: PageEvent,
        revision: Option<SettingsRevision>,
    ) {
        let Ok(parts) = app.parts() else { return };
        let noted = parts
            .store
            .note_page_event(&self.visitor, event, revision, Utc::now())
            .await;
        if let Err(error) = noted {
            tracing::warn!(code = error.code(), "what was done is not in the history");
        }
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refused> {
        parts.extensions.get().cloned().ok_or(Refused::NoSession)
    }
}

/// The fields of a form, as they were sent; empty for a page.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<Vec<(String, String)>>);

impl Sent {
    fn read(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body).into_owned().collect();
        Self(Arc::new(pairs))
    }

    /// A field; empty where it was not sent.
    pub(crate) fn text<'a>(&'a self, name: &str) -> &'a str {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(n, _)| n == name);
        of_name.map(|(_, value)| value.as_str())
    }
}

impl FromRequestParts<App> for Sent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// What stands in a page's address behind its path. What cannot be read is nothing: an address may be
/// anything.
pub(crate) struct Address<T>(pub(crate) T);

impl<T: Default + DeserializeOwned> FromRequestParts<App> for Address<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        Ok(Self(read.map(|Query(read)| read).unwrap_or_default()))
    }
}

/// The session of a browser, and who has it; none where there is none, or it ended.
pub(crate) async fn visit(app: &App, headers: &HeaderMap) -> Result<Option<Visit>, Refused> {
    let Some(session) = Session::<Visitor>::of(app, headers) else {
        return Ok(None);
    };
    let store = &app.parts()?.store;
    let visitor = store
        .page_visitor(session.caller.session, Utc::now())
        .await?;
    Ok(visitor.map(|visitor| Visit {
        visitor,
        theme: Theme::of(headers),
        csrf: session.csrf().to_owned(),
    }))
}

/// Lets through who may.
pub(crate) async fn admit(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned())
        .unwrap_or_default();
    let method = match *request.method() {
        Method::HEAD => "GET",
        ref other => other.as_str(),
    };
    let route = route_of(&path, method)?;
    let visit = match route.who {
        Who::Anyone => None,
        Who::Member | Who::Admin => Some(
            visit(&app, request.headers())
                .await?
                .ok_or(Refused::NoSession)?,
        ),
    };
    if route.who == Who::Admin && visit.as_ref().is_none_or(|v| !v.may_change()) {
        return Err(Refused::AdminsOnly);
    }
    if route.method == "POST" {
        let body = std::mem::take(request.body_mut());
        let body = to_bytes(body, USUAL_BYTES)
            .await
            .map_err(|_| Refusal::TooLarge(USUAL_BYTES))?;
        let sent = Sent::read(&body);
        if let Some(visit) = &visit
            && !sent_from(visit, &sent)
        {
            return Err(Refused::OtherSession);
        }
        request.extensions_mut().insert(sent);
    }
    if let Some(visit) = visit {
        request.extensions_mut().insert(visit);
    }
    Ok(next.run(request).await)
}

/// The page or form of an address. What is not in the table is not there.
fn route_of(path: &str, method: &str) -> Result<&'static routes::Route, Refused> {
    let of_path = || routes::ROUTES.iter().filter(|r| r.path == path);
    if of_path().next().is_none() {
        return Err(Refused::NotFound);
    }
    of_path()
        .find(|route| route.method == method)
        .ok_or(Refused::MethodNotAllowed)
}

/// Whether a form came from a page of this session.
fn sent_from(visit: &Visit, sent: &Sent) -> bool {
    use subtle::ConstantTimeEq as _;
    visit
        .csrf
        .as_bytes()
        .ct_eq(sent.text("csrf").as_bytes())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let sent = Sent::read(b"csrf=a&type=Contacts&type=Deals&name=A+%26+B&on=");
        assert_eq!(sent.text("csrf"), "a");
        assert_eq!(sent.all("type").collect::<Vec<_>>(), ["Contacts", "Deals"]);
        assert_eq!(sent.text("name"), "A & B");
        assert!(sent.all("on").next().is_some() && sent.all("off").next().is_none());
        assert_eq!(sent.text("missing"), "");
    }

    #[test]
    fn whatever_changes_something_is_for_admins() {
        for route in routes::ROUTES {
            assert!(route.path.starts_with(routes::OVERVIEW), "{}", route.path);
            let reads_only = [
                routes::ENTER,
                routes::THEME,
                routes::PEOPLE,
                routes::DNC_ASK,
                routes::PERSON_PREVIEW,
            ];
            if route.method == "POST" && !reads_only.contains(&route.path) {
                assert_eq!(route.who, Who::Admin, "{}", route.path);
            }
            let same = |r: &&routes::Route| (r.method, r.path) == (route.method, route.path);
            assert_eq!(
                routes::ROUTES.iter().filter(same).count(),
                1,
                "{}",
                route.path
            );
        }
    }
}
