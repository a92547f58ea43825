//! Pages that follow what goes on: their stream, its bounds, its end, and what happens without one (I1).

use std::time::{Duration, Instant};

use dev::demo::Api;
use e2e::{
    Tenant, browser::Browser, exports, pages::Pages, planted::Planted, profiles::until, shared,
    stacks::OwnStack,
};
use serde_json::{Value, json};

const OVERVIEW: &str = "/settings/hubspot";
const LIVE: &str = "/settings/hubspot/live";
const SOON: Duration = Duration::from_secs(15);

/// One whose import takes as long as somebody wants.
async fn importing(api: &Api) -> Tenant {
    let size = json!({"contacts": 3_000, "companies": 10, "deals": 5, "lists": 1, "limits": "off", "latency_ms": 400});
    let tenant = Tenant::new(api, size).await;
    tenant.connect().await;
    tenant
}

async fn quick(tenant: &Tenant) {
    let change = json!({"latency_ms": 0});
    tenant.control("PATCH", "", Some(change)).await;
}

/// Reads until this comes, or the end.
async fn read_until(stream: &mut reqwest::Response, part: &str, within: Duration) -> String {
    let deadline = Instant::now() + within;
    let mut all = String::new();
    while !all.contains(part) {
        let left = deadline.saturating_duration_since(Instant::now());
        let piece = tokio::time::timeout(left, stream.chunk()).await;
        let piece = piece.unwrap_or_else(|_| panic!("no {part:?} but {all}"));
        match piece.expect("a stream") {
            Some(piece) => all.push_str(&String::from_utf8_lossy(&piece)),
            None => break,
        }
    }
    all
}

/// The pieces that came: which element, and what is in it.
fn pieces(events: &str) -> Vec<(String, String)> {
    let data = events.split("\n\n").filter_map(|event| {
        let data = event.strip_prefix("event: fragment\ndata: ")?;
        serde_json::from_str::<Value>(data).ok()
    });
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    data.map(|p| (text(&p["id"]), text(&p["html"]))).collect()
}

async fn until_importing(pages: &Pages) {
    until("the import shows", async || {
        pages.get(OVERVIEW).await.text.contains("Importing")
    })
    .await;
}

#[tokio::test]
async fn a_page_is_streamed_as_it_changes_to_its_end() {
    let tenant = importing(&shared()).await;
    let pages = Pages::open(&tenant, "member").await;
    until_importing(&pages).await;
    let page = pages.get(OVERVIEW).await;
    assert!(
        page.text.contains("data-live=\"/settings/hubspot/live\""),
        "{}",
        page.text
    );
    let mut stream = pages.stream(LIVE).await;
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["cache-control"], "no-store");
    let first = read_until(&mut stream, "\"id\":\"said\"", SOON).await;
    let shown = pieces(&first);
    let ids: Vec<&str> = shown.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids[..2], ["state", "content"]);
    assert!(shown[1].1.contains("id=\"import-rows\""), "{first}");
    quick(&tenant).await;
    let rest = read_until(&mut stream, "event: over", Duration::from_secs(120)).await;
    let last = pieces(&rest);
    let state = last.iter().rfind(|(id, _)| id == "state");
    assert!(state.unwrap().1.contains("In step"), "{rest}");
    assert!(stream.chunk().await.unwrap().is_none(), "it ended");
}

#[tokio::test]
async fn a_person_is_followed_until_hubspot_has_them() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    door.people(json!([{"id": "ann", "version": 1, "email": "ann.lee@example.com"}]))
        .await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let path = "/settings/hubspot/people/ann";
    let quiet = pages.get(path).await;
    assert!(!quiet.text.contains("data-live"), "{}", quiet.text);
    let slow = json!({"path": "/contacts/batch/create$", "when": "before", "effect": {"delay": {"ms": 4_000}}});
    portal.tenant.control("POST", "faults", Some(slow)).await;
    let asked = pages.post(&format!("{path}/export"), &[]).await;
    let page = pages.get(asked.location()).await;
    for shown in [
        "Export started. The result appears below.",
        "data-live=\"/settings/hubspot/people/ann/live\"",
        "On its way",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    let mut stream = pages.stream(&format!("{path}/live")).await;
    assert_eq!(stream.status(), 200);
    let all = read_until(&mut stream, "event: over", Duration::from_secs(60)).await;
    let content = pieces(&all);
    let (_, last) = content.iter().rfind(|(id, _)| id == "content").unwrap();
    for shown in [">Exported<", ">In HubSpot<"] {
        assert!(last.contains(shown), "no {shown} in {last}");
    }
    assert_eq!(exports::live(&portal, "contacts").await.len(), 1);
    let quiet = pages.get(path).await;
    assert!(!quiet.text.contains("data-live"), "{}", quiet.text);
}

#[tokio::test]
async fn streams_of_a_session_are_bounded_and_end_with_it() {
    let tenant = importing(&shared()).await;
    let pages = Pages::open(&tenant, "admin").await;
    until_importing(&pages).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let stream = pages.stream(LIVE).await;
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
    let refused = pages.stream(LIVE).await;
    assert_eq!(refused.status(), 503);
    // Another session has its own, and a place that was given back is there again.
    let other = Pages::open(&tenant, "admin").await;
    let mut theirs = other.stream(LIVE).await;
    assert_eq!(theirs.status(), 200);
    drop(open.pop());
    until("there is a place again", async || {
        pages.stream(LIVE).await.status() == 200
    })
    .await;

    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let ended = "update page_session set expires_at = now() - interval '1 second' where workspace_id = $1::text::uuid";
    client.execute(ended, &[&tenant.id()]).await.unwrap();
    for stream in open.iter_mut().chain([&mut theirs]) {
        let rest = read_until(stream, "event: over", SOON).await;
        assert!(rest.contains("event: over"), "{rest}");
        assert!(stream.chunk().await.unwrap().is_none(), "it goes on");
    }
    assert_eq!(pages.stream(LIVE).await.status(), 403);
    quick(&tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_hold_up_no_shutdown() {
    let stack = OwnStack::start(1, &[]).await;
    let tenant = importing(&Api::new(stack.addresses()).unwrap()).await;
    let pages = Pages::open(&tenant, "admin").await;
    until_importing(&pages).await;
    let mut stream = pages.stream(LIVE).await;
    assert_eq!(stream.status(), 200);
    stack.signal("web", "-TERM");
    let ended = Instant::now();
    while let Ok(Some(_)) = stream.chunk().await {
        assert!(ended.elapsed() < SOON, "it goes on");
    }
    assert!(ended.elapsed() < SOON, "after {:?}", ended.elapsed());
}

#[tokio::test]
async fn a_browser_follows_by_the_stream_and_without_one_by_asking() {
    for streams in [true, false] {
        let tenant = importing(&shared()).await;
        let pages = Pages::open(&tenant, "admin").await;
        until_importing(&pages).await;
        // Without a place for another stream of its session, the browser has to ask.
        let mut taken = Vec::new();
        for _ in 0..if streams { 0 } else { 4 } {
            taken.push(pages.stream(LIVE).await);
        }
        let mut browser = Browser::start().await;
        let base = &tenant.api.addresses().web;
        let (name, value) = pages.cookie.split_once('=').unwrap();
        browser.keep_cookie(base, name, value).await;
        browser.visit(&format!("{base}{OVERVIEW}")).await;
        browser.until_shown("First import").await;
        let asks = "performance.getEntriesByType('resource').filter((r) => r.initiatorType === 'fetch').length";
        let before = browser.text_of("#import-rows").await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while browser.text_of("#import-rows").await == before {
            assert!(Instant::now() < deadline, "it stands still: {before}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let asked = browser.evaluate(asks).await.as_u64().unwrap();
        assert_eq!(asked > 0, !streams, "{asked}");
        quick(&tenant).await;
        browser.until_shown("Imported from HubSpot").await;
        browser.until_shown("In step").await;
        assert_eq!(browser.violations().await, [""; 0]);
    }
}
