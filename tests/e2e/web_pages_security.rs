//! Who may use the settings pages: the token of the main app, sessions, roles, tenancy, forms of
//! other sessions, and what is never echoed.

use dev::{entry, stack::DEV_KEY};
use e2e::{
    Tenant,
    door::Door,
    pages::{Got, Pages, claims, cookie_of},
    planted::Planted,
    profiles::until,
    shared, store_of,
};
use serde_json::{Value, json};

#[path = "../../web/src/pages/routes.rs"]
#[allow(dead_code, reason = "the router uses the rest")]
pub(crate) mod routes;

use routes::{ROUTES, Route, Who};

const ENTER: &str = "/settings/hubspot/enter?token=";

fn small() -> Value {
    json!({"contacts": 3, "companies": 1, "deals": 1, "lists": 1, "owners": 1, "limits": "off"})
}

async fn entered(tenant: &Tenant, claims: &Value, key: &str) -> Got {
    let token = entry::token(claims, key).unwrap();
    Pages::stranger(tenant)
        .get(&format!("{ENTER}{token}"))
        .await
}

#[tokio::test]
async fn a_token_of_the_app_opens_the_pages_once_and_for_minutes() {
    let tenant = Tenant::new(&shared(), small()).await;
    let said = claims(&tenant, "admin");
    let first = entered(&tenant, &said, DEV_KEY).await;
    assert_eq!((first.status, first.location()), (303, "/settings/hubspot"));
    let cookie = first.header("set-cookie");
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    // Browsers reach this stack without TLS.
    assert!(!cookie.contains("Secure"), "{cookie}");

    // The same token again, and another one of the same id.
    let mut again = said.clone();
    for _ in 0..2 {
        let used = entered(&tenant, &again, DEV_KEY).await;
        assert_eq!((used.status, used.code()), (403, "HS-1019"));
        assert_eq!(used.header("set-cookie"), "");
        again["exp"] = json!(entry::now() + 90);
    }
    // Another workspace's token may have the same id.
    let other = Tenant::new(&shared(), small()).await;
    let mut theirs = said.clone();
    theirs["workspace"] = json!(other.id());
    assert_eq!(entered(&other, &theirs, DEV_KEY).await.status, 303);

    let with = |change: &dyn Fn(&mut Value)| {
        let mut odd = claims(&tenant, "member");
        change(&mut odd);
        odd
    };
    let day = 24 * 60 * 60;
    for (odd, code) in [
        (with(&|c| c["exp"] = json!(entry::now() - 1)), "HS-1020"),
        (with(&|c| c["exp"] = json!(entry::now() + day)), "HS-1018"),
        (with(&|c| c["nbf"] = json!(entry::now() + day)), "HS-1018"),
        (with(&|c| c["aud"] = json!("another door")), "HS-1018"),
        (with(&|c| c["role"] = json!("owner")), "HS-1018"),
        (with(&|c| c["jti"] = json!("short")), "HS-1018"),
    ] {
        let refused = entered(&tenant, &odd, DEV_KEY).await;
        assert_eq!((refused.status, refused.code()), (403, code), "{odd}");
    }
    let foreign = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let refused = entered(&tenant, &claims(&tenant, "admin"), foreign).await;
    assert_eq!((refused.status, refused.code()), (403, "HS-1018"));
    let nothing = Pages::stranger(&tenant)
        .get("/settings/hubspot/enter")
        .await;
    assert_eq!((nothing.status, nothing.code()), (403, "HS-1018"));

    // A form does it too, which keeps the token out of addresses; and nobody is sent elsewhere.
    let token = entry::token(&claims(&tenant, "admin"), DEV_KEY).unwrap();
    let fields = [("token", token.as_str()), ("to", "//example.com")];
    let posted = Pages::stranger(&tenant)
        .post_with("/settings/hubspot/enter", "", &fields)
        .await;
    assert_eq!(
        (posted.status, posted.location()),
        (303, "/settings/hubspot")
    );

    // The front door's own address leads there with a session, and says what to do without.
    let mut browser = Pages::stranger(&tenant);
    let lost = browser.get("/").await;
    assert_eq!((lost.status, lost.code()), (403, "HS-1017"));
    browser.cookie = cookie_of(&posted);
    let led = browser.get("/").await;
    assert_eq!((led.status, led.location()), (303, "/settings/hubspot"));
}

/// A page's address with this person and this bulk export in it.
fn at(route: &Route, person: &str, bulk: &str) -> String {
    let path = route.path.replace("{person}", person);
    let path = path.replace("{bulk}", bulk).replace("{of}", "contacts");
    path.replace("{rule}", "not_known")
}

/// Begins a bulk export, and waits until it is known whom it takes.
async fn bulk(door: &Door) -> String {
    let body = json!({"whom": {"select": "campaign", "campaign": "Nobody's"}});
    let begun = door.ok("POST", "/bulk-runs", Some(body)).await;
    let id = begun["bulk"].as_str().unwrap().to_owned();
    let path = format!("/bulk-runs/{id}");
    until("it waits", async || {
        door.ok("GET", &path, None).await["state"] == "waiting_for_confirmation"
    })
    .await;
    id
}

async fn sent(
    pages: &Pages,
    route: &Route,
    path: &str,
    csrf: &str,
    fields: &[(&str, &str)],
) -> Got {
    if route.method == "GET" {
        pages.get(path).await
    } else {
        pages.post_with(path, csrf, fields).await
    }
}

/// What must not change, whatever a stranger tries.
async fn state(tenant: &Tenant, door: &Door, bulk: &str) -> Value {
    let status = tenant.status().await;
    let settings = door.ok("GET", "/settings", None).await;
    let exports = door.ok("GET", "/exports", None).await;
    let bulk = door.ok("GET", &format!("/bulk-runs/{bulk}"), None).await;
    json!([
        bulk["state"],
        status["state"],
        status["run"],
        settings["revision"],
        exports["items"]
    ])
}

#[tokio::test]
async fn nobody_does_what_they_may_not_and_no_workspace_sees_another() {
    let portal = Planted::new().await;
    let theirs = &portal.tenant;
    let door = portal.connect().await;
    let secret = "zelda.of.another@example.com";
    door.people(json!([{
        "id": "their-zelda", "version": 1, "email": secret,
        "fields": {"first_name": "Zelda", "last_name": "Zufall"},
    }]))
    .await;
    door.people(json!([{"id": "their-nobody", "version": 1}]))
        .await;
    let exported = e2e::exports::export(&door, "their-zelda").await;
    assert_eq!(exported["state"], "exported", "{exported}");
    let request = e2e::exports::ask(&door, "their-nobody").await;
    let ended = e2e::exports::ended(&door, &request).await;
    assert_eq!(ended["reason"], "no_email");
    let journal = door.ok("GET", "/people/their-zelda/journal", None).await;
    let entry = journal["items"][0]["entry"].as_str().unwrap().to_owned();
    let run = bulk(&door).await;
    let before = state(theirs, &door, &run).await;

    let ours = Tenant::new(&shared(), small()).await;
    let admin = Pages::open(&ours, "admin").await;
    let member = Pages::open(theirs, "member").await;
    let other_session = Pages::open(theirs, "admin").await;
    let their_admin = Pages::open(theirs, "admin").await;
    let stranger = Pages::stranger(theirs);
    let name = theirs.portal.to_string();
    // Whatever any form takes.
    let fields: Vec<(&str, &str)> = vec![
        ("request", &request),
        ("reason", "no_email"),
        ("entry", &entry),
        ("property", "email"),
        ("name", &name),
        ("type", "contacts"),
        ("mode", "from_scratch"),
        ("revision", "0"),
        ("policy", "all_contacted"),
        ("q", secret),
        ("who", "their-zelda"),
        ("workspace", "0d3f0000-0000-4000-8000-000000000001"),
        ("theme", "dark"),
        ("back", "https://example.com/"),
    ];
    for route in ROUTES.iter().filter(|r| r.who != Who::Anyone) {
        let path = at(route, "their-zelda", &run);
        let what = format!("{} {path}", route.method);

        let without = sent(&stranger, route, &path, "", &fields).await;
        assert_eq!((without.status, without.code()), (403, "HS-1017"), "{what}");
        if route.method == "POST" {
            for csrf in ["", "x", other_session.csrf.as_str()] {
                let forged = sent(&their_admin, route, &path, csrf, &fields).await;
                assert_eq!((forged.status, forged.code()), (403, "HS-1022"), "{what}");
            }
        }
        if route.who == Who::Admin {
            let raised = sent(&member, route, &path, &member.csrf, &fields).await;
            assert_eq!((raised.status, raised.code()), (403, "HS-1023"), "{what}");
        }

        // An admin, but of another workspace.
        let seen = sent(&admin, route, &path, &admin.csrf, &fields).await;
        assert!(seen.status < 500, "{what}: {} {}", seen.status, seen.text);
        for trace in [secret, "Zelda", "Zufall", name.as_str(), request.as_str()] {
            let typed = trace == secret || trace == name;
            let echoed = route.method == "POST" && typed;
            assert!(echoed || !seen.text.contains(trace), "{what} shows {trace}");
        }
        let by_id = ["{person}", "{bulk}"]
            .iter()
            .any(|id| route.path.contains(id))
            || route.path.ends_with("/retry");
        if by_id && route.method == "GET" && path.ends_with("/preview") {
            // To the page of the person, which there is none of for them.
            let page = path.trim_end_matches("/preview");
            assert_eq!((seen.status, seen.location()), (303, page), "{what}");
        } else if by_id {
            assert_eq!(seen.status, 404, "{what}");
        }
        assert!(
            !seen.location().contains("example.com"),
            "{what} leads to {}",
            seen.location()
        );
        let policy = seen.header("content-security-policy");
        for part in [
            "default-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert_eq!(seen.header("cache-control"), "no-store", "{what}");
        assert_eq!(seen.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(seen.header("referrer-policy"), "no-referrer", "{what}");
        let inline = ["<style", " style=", "onclick", "<script>", "javascript:"];
        assert!(inline.iter().all(|i| !seen.text.contains(i)), "{what}");
    }
    assert_eq!(state(theirs, &door, &run).await, before);
    // What was looked up stands in no log.
    let log = std::fs::read_to_string(theirs.api.addresses().logs.join("web.log")).unwrap();
    assert!(log.contains("/settings/hubspot/people/{person}"));
    assert!(!log.contains(secret) && !log.contains("their-zelda"));

    // The one whose they are sees them.
    let own = their_admin
        .get("/settings/hubspot/people/their-zelda")
        .await;
    assert!(
        own.status == 200 && own.text.contains("Zelda Zufall"),
        "{}",
        own.text
    );
    let own = member.get("/settings/hubspot/problems").await;
    assert!(
        own.text.contains("The person has no e-mail"),
        "{}",
        own.text
    );
    assert!(!own.text.contains("Retry all"), "a member retries nothing");
    for lost in [
        "/settings/hubspot/nothing",
        "/settings/hubspot/people/a/b/c",
    ] {
        let got = their_admin.get(lost).await;
        assert_eq!((got.status, got.code()), (404, "HS-4003"), "{lost}");
    }
    let got = their_admin.post("/settings/hubspot/problems", &[]).await;
    assert_eq!((got.status, got.code()), (405, "HS-4004"));
}

#[tokio::test]
async fn an_ended_session_and_what_was_made_of_one_open_nothing() {
    let tenant = Tenant::new(&shared(), small()).await;
    let pages = Pages::open(&tenant, "admin").await;
    assert_eq!(pages.get("/settings/hubspot").await.status, 200);
    for cookie in [
        String::new(),
        "hubspot_sync_pages=".to_owned(),
        "hubspot_sync_pages=x.y".to_owned(),
        format!("{}x", pages.cookie),
        pages
            .cookie
            .replace("hubspot_sync_pages", "hubspot_sync_consent"),
    ] {
        let mut odd = pages.clone();
        odd.cookie = cookie;
        let got = odd.get("/settings/hubspot").await;
        assert_eq!((got.status, got.code()), (403, "HS-1017"), "{}", odd.cookie);
    }
    // Its end is in the row, and the cookie cannot put it off.
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let ended = "update page_session set expires_at = now() - interval '1 second' where workspace_id = $1::text::uuid";
    client.execute(ended, &[&tenant.id()]).await.unwrap();
    let got = pages.get("/settings/hubspot").await;
    assert_eq!((got.status, got.code()), (403, "HS-1017"));
}

#[tokio::test]
async fn what_others_named_is_text_and_never_markup() {
    let evil = "</b><script>alert(1)</script>\u{202e}";
    let portal = Planted::new().await;
    let door = portal.connect().await;
    door.people(json!([{
        "id": "evil", "version": 1, "email": "evil@example.com",
        "fields": {"first_name": evil, "last_name": "\"><img src=x onerror=alert(2)>"},
    }]))
    .await;
    let mut said = claims(&portal.tenant, "admin");
    said["workspace_name"] = json!(evil.replace('\u{202e}', ""));
    said["user_name"] = json!("<i>Mara</i>");
    let pages = Pages::open_with(&portal.tenant, &said).await;
    let odd = "\"><script>alert(3)</script>";
    let posted = [
        ("/settings/hubspot/people", "q"),
        ("/settings/hubspot/do-not-contact/ask", "who"),
        ("/settings/hubspot/disconnect", "name"),
        ("/settings/hubspot/basic-sync", "ceiling"),
    ];
    let revision = pages
        .get("/settings/hubspot/basic-sync")
        .await
        .revision()
        .to_owned();
    let mut seen = vec![
        pages.get("/settings/hubspot").await,
        pages.get("/settings/hubspot/people/evil").await,
        pages
            .post("/settings/hubspot/people", &[("q", "evil@example.com")])
            .await,
    ];
    for (path, field) in posted {
        let fields = [(field, odd), ("revision", &revision), ("ceiling-on", "on")];
        seen.push(pages.post(path, &fields).await);
    }
    for got in &seen {
        for raw in ["<script>alert", "<img src=x", "<i>Mara"] {
            assert!(!got.text.contains(raw), "{raw} in {}", got.text);
        }
    }
    assert!(
        seen[1].text.contains("&lt;script&gt;alert(1)"),
        "{}",
        seen[1].text
    );
    assert!(
        seen[3].text.contains("&lt;script&gt;alert(3)"),
        "{}",
        seen[3].text
    );
}

/// The examples of the contract make tokens that open the pages.
#[tokio::test]
async fn the_examples_of_the_contract_open_the_pages() {
    let contract = include_str!("../../docs/contract.md");
    let example = |language: &str| {
        let fence = format!("```{language}\n");
        let found = contract
            .split(&fence)
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .find(|code| code.contains("hubspot-sync-settings"));
        found
            .unwrap_or_else(|| panic!("no example in {language}"))
            .to_owned()
    };
    let python = format!(
        "{}\nimport sys\nprint(settings_link(*sys.argv[1:]))\n",
        example("python")
    );
    // What Node of any version runs is the example without its types.
    let typed = [": \"admin\" | \"member\"", ": string"];
    let plain = typed
        .iter()
        .fold(example("typescript"), |code, t| code.replace(t, ""));
    let node = format!("{plain}\nconsole.log(settingsLink(...process.argv.slice(1)));\n");
    let tenant = Tenant::new(&shared(), small()).await;
    let addresses = tenant.api.addresses();
    let store = store_of(addresses).await;
    for (program, flag, code) in [
        ("python3", vec!["-c"], python),
        ("node", vec!["--input-type=module", "-e"], node),
    ] {
        let id = tenant.id();
        let output = tokio::process::Command::new(program)
            .args(flag)
            .arg(code)
            .args([
                &addresses.web,
                DEV_KEY,
                &id,
                e2e::pages::USER,
                "member",
                "Ann Lee",
                "Brightwater",
            ])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {complained}");
        let mut pages = Pages::stranger(&tenant);
        let got = pages.get(said.trim_start_matches(&addresses.web)).await;
        assert_eq!(got.status, 303, "{program}: {said} {}", got.text);
        pages.cookie = cookie_of(&got);
        let overview = pages.get("/settings/hubspot").await;
        assert!(overview.text.contains("Brightwater"), "{}", overview.text);
        assert!(overview.text.contains("You can look at these settings"));
    }
    assert!(store.workspace_exists(tenant.workspace).await.unwrap());
}

/// Whatever is typed or put into an address, a page answers, and nothing breaks behind it.
#[tokio::test]
async fn odd_input_is_answered_and_breaks_nothing() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    door.people(json!([{"id": "ann", "version": 1, "email": "ann@example.com"}]))
        .await;
    let exported = e2e::exports::export(&door, "ann").await;
    assert_eq!(exported["state"], "exported", "{exported}");
    let journal = door.ok("GET", "/people/ann/journal", None).await;
    let entry = journal["items"][0]["entry"].as_str().unwrap().to_owned();
    let run = bulk(&door).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let long = "x".repeat(20_000);
    let odd = [
        "",
        "\0",
        "a\0b",
        "\u{202e}\u{7}",
        "-1",
        "18446744073709551615",
        "1e9",
        "%00%ff",
        "ŭ💥",
        "../../etc",
        "'; drop table workspace; --",
        "{\"a\":1}",
        "on",
        long.as_str(),
    ];
    let names = [
        "revision",
        "import",
        "policy",
        "contacts",
        "companies",
        "source-property",
        "source-value",
        "source-behavior",
        "ceiling-on",
        "ceiling",
        "open-deal-scope",
        "lost-deal-days",
        "property",
        "backward",
        "status-replied",
        "fallback",
        "unmapped",
        "use-1",
        "label",
        "label-email",
        "property-job_title",
        "priority-job_title",
        "export-job_title",
        "options-job_title",
        "value-job_title",
        "option-job_title",
        "request",
        "reason",
        "q",
        "who",
        "name",
        "type",
        "mode",
        "theme",
        "back",
    ];
    for route in ROUTES.iter().filter(|r| r.who != Who::Anyone) {
        for value in odd {
            if route.path == "/settings/hubspot/connect" || route.path.ends_with("/preview") {
                continue;
            }
            let path = at(route, "ann", &run);
            let mut fields: Vec<(&str, &str)> = names.iter().map(|n| (*n, value)).collect();
            // One time with what leads past the first look.
            for past in [false, true] {
                if past {
                    fields.retain(|(n, _)| *n != "revision");
                    fields.extend([("revision", "0"), ("entry", entry.as_str())]);
                }
                let got = sent(&pages, route, &path, &pages.csrf, &fields).await;
                let what = format!(
                    "{} {path} {:?} {past}",
                    route.method,
                    &value[..value.len().min(20)]
                );
                assert!(got.status < 500, "{what}: {} {}", got.status, got.text);
            }
        }
    }
    for value in odd.iter().filter(|v| !v.is_empty() && v.len() < 100) {
        let text: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
        for path in [
            format!("/settings/hubspot/people/{text}"),
            format!("/settings/hubspot/{text}"),
            format!("/settings/hubspot?done={text}"),
            format!("/settings/hubspot/problems?reason={text}&done={text}"),
            format!("/settings/hubspot/history?version={text}"),
            format!("/settings/hubspot/enter?token={text}&to={text}"),
        ] {
            let got = pages.get(&path).await;
            assert!(got.status < 500, "{path}: {} {}", got.status, got.text);
        }
    }
    assert_eq!(portal.tenant.status().await["state"], "connected");
}
