//! Whatever a browser sends to the pages, to the way back from HubSpot, or to the door of webhooks: it is
//! answered, nobody does what they may not, and nothing comes back as markup.
//!
//! Requests are real ones that were changed somewhere. `SOAK=full` sends ten thousand and more; the run
//! says its seed, and `FUZZ_SEED` repeats one.

use std::collections::BTreeMap;

use chrono::Utc;
use dev::demo::{Confirm, Consent};
use e2e::{
    Tenant,
    door::Door,
    exports,
    hooks::{Hooks, SECRET, event},
    pages::{Got, Pages},
    planted::Planted,
    random::{Random, seed},
    seen::{everything, logged},
    shared,
};
use serde_json::{Value, json};

use crate::web_pages_security::routes::{ROUTES, Route, Who};

/// Requests of the usual run, and of the long one.
const AT_LEAST: usize = 1_000;
const AT_LEAST_IN_SOAK: usize = 10_000;

/// The name of somebody whom nobody types, and only their own workspace may see.
const HIDDEN: &str = "zufallszelda";

/// What would be markup, an address or a header if somebody let it through; `zq7` tells where it came from.
const MARKS: [&str; 7] = [
    "<zq7 onload=alert(7)>",
    "\"zq7\"=<zq7>",
    "'><zq7>{{7*7}}",
    "javascript:zq7()",
    "//zq7.example.com/zq7",
    "zq7\r\nSet-Cookie: zq7=1\r\n\r\n<zq7>",
    "zq7\u{2028}\u{202e}\u{0}<zq7>",
];

/// Values at the edge of what somebody may have thought of.
const EDGES: [&str; 16] = [
    "",
    " ",
    "0",
    "-1",
    "18446744073709551616",
    "1e309",
    "NaN",
    "null",
    "true",
    "on",
    "\0",
    "\u{feff}",
    "%00%0d%0a",
    "../../../etc/passwd",
    "' or 1=1 --",
    "💥\u{301}\u{200f}",
];

/// A text that comes of another one, or of nothing.
fn changed(random: &mut Random, text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = random.below(chars.len() + 1);
    let (head, tail) = chars.split_at(at);
    let (head, tail): (String, String) = (head.iter().collect(), tail.iter().collect());
    let mark = MARKS[random.below(MARKS.len())];
    match random.below(9) {
        0 => mark.to_owned(),
        1 => EDGES[random.below(EDGES.len())].to_owned(),
        2 => format!("{head}{mark}{tail}"),
        3 => head,
        4 => format!("{text}{text}"),
        5 => format!("{tail}{head}"),
        6 => format!("{head}A{}", tail.chars().skip(1).collect::<String>()),
        7 => text.to_uppercase(),
        _ => mark.repeat(1 + random.below(200)),
    }
}

/// The same, and never what it was, whatever white space around it is worth.
fn other(random: &mut Random, text: &str) -> String {
    loop {
        let changed = changed(random, text);
        if changed.trim() != text.trim() {
            return changed;
        }
    }
}

/// A cookie or a token that was changed within its own alphabet.
fn forged(random: &mut Random, sealed: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    loop {
        let mut bytes = sealed.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            let byte = alphabet[random.below(alphabet.len())];
            match random.below(3) {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, byte),
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        if text != sealed {
            return text;
        }
    }
}

/// Percent-encodes every byte.
fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// Names and values of the fields that stand on a page.
fn fields_of(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        let text = rest.split_once('"')?.0;
        Some(text.replace("&quot;", "\"").replace("&amp;", "&"))
    };
    let tags = page.split('<').filter(|tag| {
        ["input ", "select ", "textarea ", "button "]
            .iter()
            .any(|start| tag.starts_with(start))
    });
    let named = tags.filter_map(|tag| {
        Some((
            attribute(tag, "name")?,
            attribute(tag, "value").unwrap_or_else(|| "on".to_owned()),
        ))
    });
    named.filter(|(name, _)| name != "csrf").collect()
}

/// What holds of every answer.
fn check(what: &str, tenant: &Tenant, got: &Got) {
    let addresses = tenant.api.addresses();
    let text = &got.text;
    let told = format!("{what}: {} {}", got.status, &text[..floor(text, 2_000)]);
    assert!(got.status < 500, "{told}");
    let html = got.header("content-type").starts_with("text/html");
    if html {
        for raw in ["<zq7", "\"zq7\"="] {
            assert!(!text.contains(raw), "{raw} comes back: {told}");
        }
        // In a field's value it is a text; where a click or a form would go it is a script.
        let lower = text.to_ascii_lowercase();
        for attribute in ["href", "src", "action", "formaction"] {
            for quote in ['"', '\''] {
                let raw = format!("{attribute}={quote}javascript:");
                assert!(!lower.contains(&raw), "{raw} comes back: {told}");
            }
        }
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{told}");
        assert!(
            got.header("content-security-policy")
                .contains("default-src 'self'"),
            "{told}"
        );
    }
    if got.status >= 400 {
        // Whoever is refused is told why, with a code.
        let whole = ["text/html", "application/problem+json"];
        let kind = got.header("content-type");
        // A form is shown again, with what is wrong with it.
        let form = ["role=\"alert\"", "id=\"save\""];
        let said = text.contains("HS-") || form.iter().any(|mark| text.contains(mark));
        let said = said && whole.iter().any(|k| kind.starts_with(k));
        assert!(said, "no reason: {told}");
    }
    for (name, value) in &got.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!value.contains("zq7"), "{name}: {value}: {what}");
    }
    let to = got.location();
    let ours = ["/settings/hubspot", "/oauth/hubspot/"];
    let within = ours.iter().any(|start| to.starts_with(start))
        || to.starts_with(&format!("{}/oauth/hubspot/", addresses.web))
        || to.starts_with(&format!("{}/", addresses.simulator));
    assert!(to.is_empty() || within, "{what} leads to {to}");
}

/// The largest length up to a limit that cuts no character.
fn floor(text: &str, limit: usize) -> usize {
    (0..=limit.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// Who sends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// Nobody who is known.
    Stranger,
    /// Somebody with a cookie that was made up.
    Forger,
    /// An admin whose browser sends what another site wrote.
    Misled,
    /// Who may only look.
    Member,
    /// An admin of another workspace, who may do to it what they like.
    Alien,
}

/// Everybody who has a part in it.
struct Cast {
    theirs: Planted,
    their_door: Door,
    ours: Planted,
    our_door: Door,
    member: Pages,
    admin: Pages,
    alien: Pages,
    stranger: Pages,
    /// Ids of theirs, which everybody knows.
    ids: Vec<String>,
    /// What the forms of our own pages bring along, by their path.
    forms: BTreeMap<&'static str, Vec<(String, String)>>,
}

/// The address of a route, with an id in it.
fn at(route: &Route, id: &str) -> String {
    let names = ["{person}", "{bulk}", "{of}", "{rule}"].iter();
    names.fold(route.path.to_owned(), |path, name| path.replace(name, id))
}

impl Cast {
    async fn new() -> Self {
        let (theirs, ours) = (Planted::new().await, Planted::new().await);
        let (their_door, our_door) = (theirs.connect().await, ours.connect().await);
        let mut ids = vec![
            "ann".to_owned(),
            "contacts".to_owned(),
            theirs.tenant.portal.to_string(),
        ];
        for (door, last_name) in [(&their_door, HIDDEN), (&our_door, "Lee")] {
            door.people(json!([
                {"id": "ann", "version": 1, "email": format!("{last_name}@example.com"),
                 "status": "replied", "fields": {"first_name": "Ann", "last_name": last_name}},
                {"id": "nobody", "version": 1},
            ]))
            .await;
            let exported = exports::export(door, "ann").await;
            assert_eq!(exported["state"], "exported", "{exported}");
            let request = exports::ask(door, "nobody").await;
            exports::ended(door, &request).await;
            let journal = door.ok("GET", "/people/ann/journal", None).await;
            let body = json!({"whom": {"select": "people", "people": ["ann"]}});
            let run = door.ok("POST", "/bulk-runs", Some(body)).await;
            ids.extend([
                run["bulk"].as_str().unwrap().to_owned(),
                request,
                journal["items"][0]["entry"].as_str().unwrap().to_owned(),
            ]);
        }
        let alien = Pages::open(&ours.tenant, "admin").await;
        let mut forms = BTreeMap::new();
        for route in ROUTES.iter().filter(|r| r.method == "GET") {
            let page = alien.get(&at(route, "ann")).await;
            forms.insert(route.path, fields_of(&page.text));
        }
        Self {
            member: Pages::open(&theirs.tenant, "member").await,
            admin: Pages::open(&theirs.tenant, "admin").await,
            stranger: Pages::stranger(&theirs.tenant),
            theirs,
            their_door,
            ours,
            our_door,
            alien,
            ids,
            forms,
        }
    }

    /// Fields that a form takes, some of them changed.
    fn fields(&self, random: &mut Random, route: &Route) -> Vec<(String, String)> {
        let of_page = |path: &str| self.forms.get(path).cloned().unwrap_or_default();
        // A form without a page of its own stands on the page above.
        let above = route.path.rsplit_once('/').map_or("", |(above, _)| above);
        let mut fields = of_page(route.path);
        if fields.is_empty() {
            fields = of_page(above);
        }
        for name in ["request", "reason", "entry", "property", "name", "back"] {
            if random.below(3) == 0 {
                let id = random.of(&self.ids).cloned().unwrap_or_default();
                fields.push((name.to_owned(), id));
            }
        }
        let mut sent = Vec::new();
        for (name, value) in fields {
            match random.below(12) {
                0 => {}
                1 => sent.extend([(name.clone(), value), (name, changed(random, "x"))]),
                2 => sent.push((changed(random, &name), value)),
                3 | 4 => sent.push((name, other(random, &value))),
                _ => sent.push((name, value)),
            }
        }
        if random.below(20) == 0 {
            let many = (0..500).map(|n| (format!("property-{n}"), "on".to_owned()));
            sent.extend(many);
        }
        sent
    }

    /// One request to a page or form.
    async fn page(&self, random: &mut Random) {
        let route = loop {
            let route = &ROUTES[random.below(ROUTES.len())];
            // A preview asks HubSpot.
            if !route.path.ends_with("/preview") || random.below(10) == 0 {
                break route;
            }
        };
        let who = [
            As::Stranger,
            As::Forger,
            As::Misled,
            As::Member,
            As::Alien,
            As::Alien,
        ][random.below(6)];
        let id = random.of(&self.ids).cloned().unwrap_or_default();
        let id = if random.below(3) == 0 {
            encoded(&changed(random, &id))
        } else {
            id
        };
        let mut path = at(route, &id);
        if random.below(4) == 0 {
            let query = changed(random, "saved");
            let name = ["done", "reason", "version", "token", "to", "row"][random.below(6)];
            path = format!(
                "{path}?{name}={}&{name}={}",
                encoded(&query),
                random.below(9)
            );
        }
        let mut pages = match who {
            As::Stranger => self.stranger.clone(),
            As::Forger | As::Misled => self.admin.clone(),
            As::Member => self.member.clone(),
            As::Alien => self.alien.clone(),
        };
        if who == As::Forger {
            let (name, value) = pages.cookie.split_once('=').unwrap();
            pages.cookie = format!("{name}={}", forged(random, value));
        }
        let csrf = if who == As::Misled || (who == As::Alien && random.below(20) == 0) {
            match random.below(3) {
                0 => self.member.csrf.clone(),
                _ => other(random, &pages.csrf),
            }
        } else {
            pages.csrf.clone()
        };
        let method = match random.below(12) {
            0 => "PUT",
            1 => "HEAD",
            _ => route.method,
        };
        let fields = self.fields(random, route);
        let what = format!("{who:?} {method} {path} {fields:?}");
        let got = match method {
            "GET" => pages.get(&path).await,
            "POST" => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(n, v)| (n.as_str(), v.as_str()))
                    .collect();
                pages.post_with(&path, &csrf, &fields).await
            }
            other => pages.any(other, &path).await,
        };
        if method == "HEAD" {
            assert!(got.status < 500, "{what}: {}", got.status);
            return;
        }
        check(&what, &self.ours.tenant, &got);
        let may = match who {
            As::Stranger | As::Forger => route.who == Who::Anyone,
            As::Misled => route.method == "GET",
            As::Member => route.who != Who::Admin,
            As::Alien => true,
        };
        assert!(may || got.status >= 400, "{what}: {}", got.status);
        if who == As::Alien {
            assert!(
                !got.text.to_lowercase().contains(HIDDEN),
                "{what}: {}",
                got.text
            );
        }
    }

    /// One delivery that is not HubSpot's, or one of HubSpot's with odd content.
    async fn webhook(&self, random: &mut Random, hooks: &Hooks) {
        let portal = self.theirs.tenant.portal.get();
        let kinds = [
            "contact.privacyDeletion",
            "contact.deletion",
            "object.merge",
        ];
        let told = json!([event(portal, kinds[random.below(3)], 1)]).to_string();
        let now = Utc::now().timestamp_millis();
        let (answer, may) = match random.below(4) {
            0 => {
                let at = [0, -1, i64::MAX, now - 3_600_000, now + 3_600_000][random.below(5)];
                (hooks.send(told, at, SECRET).await, false)
            }
            1 => {
                let secret = other(random, SECRET);
                (hooks.send(told, now, &secret).await, false)
            }
            2 => {
                // Signed for another body.
                let at = now.to_string();
                let signature = hooks.signature(&told, &at, SECRET);
                let headers = [
                    ("X-HubSpot-Request-Timestamp", at.as_str()),
                    ("X-HubSpot-Signature-v3", signature.as_str()),
                ];
                (hooks.request(other(random, &told), &headers).await, false)
            }
            _ => {
                // Of a portal that nobody has.
                let odd = json!([event(1, kinds[random.below(3)], 1)]).to_string();
                (hooks.send(changed(random, &odd), now, SECRET).await, true)
            }
        };
        let what = format!("a webhook: {answer:?}");
        assert!(answer.status < 500, "{what}");
        assert!(may || answer.status >= 400, "{what}");
        let said = !answer.code().is_empty() || answer.status == 204;
        assert!(said && !answer.body.to_string().contains("zq7"), "{what}");
    }
}

/// A consent of a workspace that is not connected, as far as HubSpot's consent page.
struct Begun {
    ticket: String,
    state: String,
    cookie: String,
}

impl Begun {
    async fn new(fresh: &Pages) -> Self {
        let went = fresh.post("/settings/hubspot/connect", &[]).await;
        assert_eq!(went.status, 303, "{}", went.text);
        let link = went.location().to_owned();
        let (_, ticket) = link.split_once("ticket=").unwrap();
        let started = fresh.get(&format!("{START}{ticket}")).await;
        assert_eq!(started.status, 302, "{}", started.text);
        let to = url::Url::parse(started.location()).unwrap();
        let (_, state) = to.query_pairs().find(|(name, _)| name == "state").unwrap();
        Self {
            ticket: ticket.to_owned(),
            state: state.into_owned(),
            cookie: e2e::pages::cookie_of(&started),
        }
    }
}

const START: &str = "/oauth/hubspot/start?ticket=";
const BACK: &str = "/oauth/hubspot/callback?state=";
const CONFIRM: &str = "/oauth/hubspot/confirm";

/// One way back from HubSpot that nobody went. Says whether the consent is still as it was.
async fn way_back(random: &mut Random, tenant: &Tenant, fresh: &Pages, begun: &Begun) -> bool {
    let mut browser = Pages::stranger(tenant);
    browser.cookie.clone_from(&begun.cookie);
    let (path, untouched) = match random.below(6) {
        0 => (format!("{START}{}", forged(random, &begun.ticket)), true),
        1 => (
            format!("{START}{}", encoded(&other(random, &begun.ticket))),
            true,
        ),
        2 => {
            let state = forged(random, &begun.state);
            (format!("{BACK}{state}&code=zq7"), true)
        }
        3 => {
            // The right state in another browser.
            browser.cookie = match random.below(3) {
                0 => String::new(),
                1 => fresh.cookie.clone(),
                _ => "hubspot_sync_connect=0123456789abcdef0123456789abcdef".to_owned(),
            };
            (format!("{BACK}{}&code=zq7", begun.state), true)
        }
        4 => {
            let text = encoded(&changed(random, "access_denied"));
            let twice = format!("{BACK}{}&state={}&code=1&code=2", begun.state, begun.state);
            let refused = format!(
                "{BACK}{}&error={text}&error_description={text}",
                begun.state
            );
            if random.flip() {
                (twice, true)
            } else {
                (refused, false)
            }
        }
        _ => {
            let code = encoded(&changed(random, "zq7"));
            (format!("{BACK}{}&code={code}", begun.state), false)
        }
    };
    let got = browser.get(&path).await;
    check(&path, tenant, &got);
    assert!(got.status >= 400, "{path}: {} {}", got.status, got.text);
    untouched
}

/// Answers to the question whether to connect, none of them from its page.
async fn confirmed_by_nobody(random: &mut Random, tenant: &Tenant, times: usize) {
    let (api, portal) = (&tenant.api, tenant.portal.get().cast_unsigned());
    let (page, cookie) = api.begin(&tenant.id()).await.unwrap();
    let back = api.decide(&page, portal, Consent::Approve).await.unwrap();
    let back = api.come_back(&back, &cookie).await.unwrap();
    let question = api.question(&back).await.unwrap();
    let csrf = question.csrf.clone().unwrap();
    let mut browser = Pages::stranger(tenant);
    for _ in 0..times {
        let decision = changed(random, "connect");
        let (cookie, csrf) = if random.flip() {
            let (name, value) = question.cookie.split_once('=').unwrap();
            (format!("{name}={}", forged(random, value)), csrf.clone())
        } else {
            (question.cookie.clone(), other(random, &csrf))
        };
        browser.cookie = cookie;
        let fields = [("decision", "connect"), ("decision", decision.as_str())];
        let fields = &fields[..=random.below(2)];
        let got = browser.post_with(CONFIRM, &csrf, fields).await;
        let what = format!("{CONFIRM} {fields:?}");
        check(&what, tenant, &got);
        assert!(got.status >= 400, "{what}: {}", got.status);
    }
    assert_eq!(tenant.status().await["state"], Value::Null);
    // And the page itself still does it.
    let connected = api.confirm(&question, Confirm::Connect).await.unwrap();
    assert!(
        connected.text.contains("HubSpot is connected"),
        "{}",
        connected.text
    );
}

#[tokio::test]
async fn whatever_is_sent_it_is_answered_and_nothing_is_done_without_authority() {
    let soak = std::env::var("SOAK").is_ok_and(|soak| soak == "full");
    let wanted = if soak { AT_LEAST_IN_SOAK } else { AT_LEAST };
    let seed = seed("FUZZ_SEED");
    println!("FUZZ_SEED={seed}");
    let mut random = Random(seed);
    let random = &mut random;

    let cast = Cast::new().await;
    let theirs = &cast.theirs.tenant;
    let hooks = Hooks::of(theirs);
    let fresh = Tenant::new(&shared(), json!({"contacts": 1, "limits": "off"})).await;
    let fresh_admin = Pages::open(&fresh, "admin").await;
    let before = everything(&cast.their_door).await;
    let portal_before = exports::live(&cast.theirs, "contacts").await;
    let (panics, requests) = (logged(theirs, "panicked"), logged(theirs, "request"));

    let mut begun = Begun::new(&fresh_admin).await;
    for n in 0..wanted {
        match n % 10 {
            0 => {
                if !way_back(random, &fresh, &fresh_admin, &begun).await {
                    begun = Begun::new(&fresh_admin).await;
                }
            }
            1 => cast.webhook(random, &hooks).await,
            _ => cast.page(random).await,
        }
    }
    // None of the ways back connected.
    assert_eq!(fresh.status().await["state"], Value::Null);
    confirmed_by_nobody(random, &fresh, wanted / 20).await;

    assert!(logged(theirs, "request") - requests >= wanted);
    assert_eq!(logged(theirs, "panicked") - panics, 0);
    assert_eq!(logged(theirs, "zq7"), 0, "what was sent stands in the log");
    assert_eq!(everything(&cast.their_door).await, before);
    let run = cast
        .their_door
        .ok("GET", &format!("/bulk-runs/{}", cast.ids[3]), None)
        .await;
    assert_eq!(run["state"], "waiting_for_confirmation", "{run}");
    assert_eq!(exports::live(&cast.theirs, "contacts").await, portal_before);
    // Whoever may do all of it finds what they did readable.
    for route in ROUTES
        .iter()
        .filter(|r| r.method == "GET" && r.who != Who::Anyone)
    {
        let got = cast.alien.get(&at(route, "ann")).await;
        check(route.path, &cast.ours.tenant, &got);
    }
    everything(&cast.our_door).await;
}
