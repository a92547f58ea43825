//! Pages that follow what goes on: the pieces of the first render, sent again as they change. Who cannot
//! follow loads the page again now and then; nothing is said here that the page does not say.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use maud::Markup;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    pages::{
        frame::state,
        guard::{Visit, Visitor, visit},
        head::Head,
        refused::Refused,
        session::Session,
    },
    problem::Refusal,
    state::App,
};

/// How often it is looked whether something is different.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After this a stream ends, and the browser asks for another.
const LASTS: Duration = Duration::from_secs(600);
/// Streams of a process: each costs a page a second.
const MOST: usize = 100;
/// Streams of a session: a browser has six connections to us, for everything.
const MOST_OF_A_SESSION: usize = 4;

/// How a page is followed.
#[derive(Debug, Clone)]
pub(crate) struct Following {
    /// Where the stream is.
    pub(crate) address: String,
    /// How far it is, for whoever hears the page.
    pub(crate) said: String,
}

/// A page, in pieces.
pub(crate) struct Shown {
    pub(crate) head: Head,
    pub(crate) content: Markup,
    /// None where nothing goes on any more.
    pub(crate) following: Option<Following>,
}

/// The streams there are, by session.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<BTreeMap<Uuid, usize>>);

impl Streams {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<Uuid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, session: Uuid) -> Result<(), Refusal> {
        let mut all = self.locked();
        let of_session = all.get(&session).copied().unwrap_or_default();
        if of_session >= MOST_OF_A_SESSION || all.values().sum::<usize>() >= MOST {
            return Err(Refusal::Busy);
        }
        all.insert(session, of_session + 1);
        Ok(())
    }

    fn end(&self, session: Uuid) {
        let mut all = self.locked();
        if let Some(open) = all.get_mut(&session) {
            *open -= 1;
            if *open == 0 {
                all.remove(&session);
            }
        }
    }
}

/// A place among the streams; given back when dropped.
struct Place {
    app: App,
    session: Uuid,
}

impl Place {
    fn of(app: &App, headers: &HeaderMap) -> Result<Self, Refused> {
        let session = Session::<Visitor>::of(app, headers).ok_or(Refused::NoSession)?;
        let session = session.caller.session;
        app.streams.begin(session)?;
        Ok(Self {
            app: app.clone(),
            session,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.streams.end(self.session);
    }
}

/// A piece of the page, and the element that it is in.
#[derive(Serialize)]
struct Piece<'a> {
    id: &'a str,
    html: &'a str,
}

struct Stream<F> {
    place: Place,
    headers: HeaderMap,
    render: F,
    sent: BTreeMap<&'static str, String>,
    waiting: VecDeque<Event>,
    until: Instant,
    is_over: bool,
}

impl<F, Fut> Stream<F>
where
    F: Fn(App, Visit) -> Fut + Send,
    Fut: Future<Output = Result<Shown, Refused>> + Send,
{
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let app = self.place.app.clone();
            if self.is_over || app.is_stopping() || Instant::now() >= self.until {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = app.stopping() => return None,
            }
            // A session that ended sees nothing more.
            let Some(visit) = visit(&app, &self.headers).await.ok()? else {
                self.is_over = true;
                return Some(over());
            };
            let shown = (self.render)(app, visit).await.ok()?;
            self.take(shown);
        }
    }

    /// What is different from what was sent last, and the end where nothing goes on any more.
    fn take(&mut self, shown: Shown) {
        self.send("state", state(&shown.head).into_string());
        self.send("content", shown.content.into_string());
        match shown.following {
            Some(following) => self.send("said", following.said),
            None => {
                self.waiting.push_back(over());
                self.is_over = true;
            }
        }
    }

    /// Sends a piece that is different from what was sent last.
    fn send(&mut self, id: &'static str, html: String) {
        if self.sent.get(id) == Some(&html) {
            return;
        }
        let piece = Piece { id, html: &html };
        if let Ok(data) = serde_json::to_string(&piece) {
            let event = Event::default().event("fragment").data(data);
            self.waiting.push_back(event);
        }
        self.sent.insert(id, html);
    }
}

/// Nothing follows: the page is to be loaded once more.
fn over() -> Event {
    Event::default().event("over").data("over")
}

/// Streams what a page shows for as long as something goes on.
///
/// # Errors
/// When there are too many streams, of the session or in all, or there is no such page.
pub(crate) async fn follow<F, Fut>(
    app: App,
    visit: Visit,
    headers: HeaderMap,
    render: F,
) -> Result<Response, Refused>
where
    F: Fn(App, Visit) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Shown, Refused>> + Send + 'static,
{
    let place = Place::of(&app, &headers)?;
    let shown = render(app, visit).await?;
    let mut stream = Stream {
        place,
        headers,
        render,
        sent: BTreeMap::new(),
        waiting: VecDeque::new(),
        until: Instant::now() + LASTS,
        is_over: false,
    };
    stream.take(shown);
    let events = futures::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::default());
    let mut response = sse.into_response();
    // As every page: also no intermediary keeps it.
    let kept = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_by_session_and_in_all_and_come_back() {
        let streams = Streams::default();
        let session = Uuid::from_u128;
        for _ in 0..MOST_OF_A_SESSION {
            streams.begin(session(1)).unwrap();
        }
        assert_eq!(streams.begin(session(1)), Err(Refusal::Busy));
        for n in MOST_OF_A_SESSION..MOST {
            streams.begin(session(n as u128)).unwrap();
        }
        assert_eq!(streams.begin(session(1_000)), Err(Refusal::Busy));
        streams.end(session(1));
        streams.begin(session(1_000)).unwrap();
        streams.end(session(1_000));
        streams.begin(session(1)).unwrap();
        assert!(!streams.locked().contains_key(&session(1_000)));
    }
}
