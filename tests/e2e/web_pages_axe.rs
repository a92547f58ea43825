//! Every settings page in every state, in a real browser: axe finds nothing serious, nothing scrolls
//! sideways on a phone, and the page's own policy keeps nothing from it (X5). With `SCREENSHOTS` each is
//! pictured too.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use dev::{demo::Consent, entry};
use e2e::{
    Tenant,
    activities::{push, settle},
    browser::Browser,
    door::Door,
    exports,
    pages::claims,
    planted::change_settings,
    script::Script,
    shared,
};
use serde_json::{Value, json};

const PHONE: u32 = 360;
const DESK: u32 = 1_280;

/// Serious and critical findings of what is on the page now.
const FINDINGS: &str = "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations\
    .filter((v) => ['serious', 'critical'].includes(v.impact))\
    .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary).join(' | ')}`))";

/// Whoever looks at pages.
struct Looker {
    browser: Browser,
    web: String,
    axe: String,
    pictures: Option<PathBuf>,
    /// What was found, where.
    found: Vec<String>,
    looked: usize,
}

impl Looker {
    async fn new() -> Self {
        let said = Script::node("lint/axe.mjs").passes().await;
        let at = said.lines().rev().nth(1).unwrap().to_owned();
        let pictures = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
        if let Some(folder) = &pictures {
            std::fs::create_dir_all(folder).unwrap();
        }
        Self {
            browser: Browser::start().await,
            web: shared().addresses().web.clone(),
            axe: std::fs::read_to_string(at).unwrap(),
            pictures,
            found: Vec::new(),
            looked: 0,
        }
    }

    /// Comes from the app.
    async fn enter(&mut self, tenant: &Tenant, role: &str) {
        let mut said = claims(tenant, role);
        said["user_name"] = json!("Mara Quill");
        said["workspace_name"] = json!("Brightwater");
        let link = entry::link(tenant.api.addresses(), &said).unwrap();
        self.browser.visit(&link).await;
    }

    /// Looks at what is there, wide and narrow, in light and dark.
    async fn look(&mut self, name: &str) {
        for (width, dark) in [(DESK, false), (DESK, true), (PHONE, false), (PHONE, true)] {
            self.browser.looks(width, dark).await;
            let how = format!("{name}-{width}-{}", if dark { "dark" } else { "light" });
            self.browser.evaluate(&self.axe).await;
            let findings = self.browser.evaluate(FINDINGS).await;
            let findings = findings
                .as_array()
                .unwrap_or_else(|| panic!("{how}: axe ran not"));
            self.found
                .extend(findings.iter().map(|f| format!("{how}: {f}")));
            let script = "[document.documentElement.scrollWidth, innerWidth]";
            let widths = self.browser.evaluate(script).await;
            if widths[0].as_u64() > widths[1].as_u64() {
                self.found.push(format!("{how} scrolls sideways: {widths}"));
            }
            if let Some(folder) = &self.pictures {
                self.browser
                    .picture(&folder.join(format!("{how}.png")))
                    .await;
            }
            self.looked += 1;
        }
        self.browser.looks(DESK, false).await;
    }

    async fn page(&mut self, name: &str, path: &str) {
        let url = format!("{}{path}", self.web);
        self.browser.visit(&url).await;
        self.look(name).await;
    }

    async fn form(&mut self, name: &str, path: &str, fields: &[(&str, &str)]) {
        self.browser.send(path, fields).await;
        self.look(name).await;
    }

    async fn ends(mut self, at_least: usize) {
        assert_eq!(self.browser.violations().await, [""; 0]);
        assert!(self.found.is_empty(), "{:#?}", self.found);
        assert!(self.looked >= at_least * 4, "{}", self.looked);
    }
}

const PLACES: [(&str, &str); 16] = [
    ("overview", ""),
    ("basic-sync", "/basic-sync"),
    ("mapping-contacts", "/mapping/contacts"),
    ("mapping-companies", "/mapping/companies"),
    ("mapping-activity", "/mapping/activity"),
    ("properties", "/properties/contacts"),
    ("activities", "/activities"),
    ("owners", "/owners"),
    ("statuses", "/statuses"),
    ("lists", "/lists"),
    ("dnc", "/do-not-contact"),
    ("dnc-stopped", "/do-not-contact/stopped/in_hubspot"),
    ("people", "/people"),
    ("problems", "/problems"),
    ("history", "/history"),
    ("bulk", "/bulk-export"),
];

const AT: &str = "/settings/hubspot";

async fn places(looker: &mut Looker, state: &str) {
    for (name, path) in PLACES {
        looker
            .page(&format!("{name}-{state}"), &format!("{AT}{path}"))
            .await;
    }
}

/// People, exports, activities and settings, so that there is something to see on every page.
async fn filled(tenant: &Tenant) -> Door {
    let door = Door::of(tenant).await;
    let long = "Wolfeschlegelsteinhausenbergerdorff".repeat(14);
    door.people(json!([
        {"id": "ann", "version": 1, "email": "ann.lee@example.com", "status": "replied",
         "contacted_at": "2026-01-02T00:00:00Z",
         "fields": {"first_name": "Ann", "last_name": "Lee", "job_title": "VP Sales", "campaign": "Spring"}},
        {"id": "nobody", "version": 1, "fields": {"first_name": "No", "last_name": "Body", "campaign": "Spring"}},
        {"id": "long", "version": 1, "email": "long@example.com", "fields": {"first_name": long, "campaign": "Spring"}},
        {"id": "rtl", "version": 1, "email": "rtl@example.com",
         "fields": {"first_name": "שלום", "last_name": "\u{202e}עולם", "campaign": "Spring"}},
    ]))
    .await;
    let owners = door.ok("GET", "/owners", None).await;
    let alike = &owners["items"][0]["name"];
    door.ok(
        "POST",
        "/members",
        Some(json!({"items": [
            {"id": "m-1", "version": 1, "name": "Mara Quill", "email": "mara@example.org"},
            {"id": "m-2", "version": 1, "name": alike, "email": "alike@example.org"},
        ]})),
    )
    .await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
    })
    .await;
    exports::export(&door, "ann").await;
    exports::export(&door, "nobody").await;
    let note = |version: u64| {
        json!({"id": "note-1", "version": version, "person": "ann", "at": "2026-01-05T08:30:00Z",
            "content": {"note": {"text": format!("Likes tea {version}")}}})
    };
    push(&door, &[note(1)]).await;
    settle(&door, "ann").await;
    door
}

async fn until_state(door: &Door, bulk: &str, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let now = door.ok("GET", &format!("/bulk-runs/{bulk}"), None).await;
        if now["state"] == state {
            return now;
        }
        assert!(Instant::now() < deadline, "{now}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn axe_finds_nothing_serious_on_any_page_in_step() {
    let size = json!({"contacts": 60, "companies": 10, "deals": 10, "lists": 4, "owners": 5, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    let mut looker = Looker::new().await;
    looker.enter(&tenant, "admin").await;
    places(&mut looker, "fresh").await;
    let door = filled(&tenant).await;
    places(&mut looker, "filled").await;

    // After a failed save, and where two saved at once.
    let wrong = [
        ("revision", "1"),
        ("ceiling-on", "on"),
        ("ceiling", "2.0e3"),
        ("policy", "replied"),
    ];
    looker
        .form("basic-sync-wrong", &format!("{AT}/basic-sync"), &wrong)
        .await;
    let wrong = [("revision", "1"), ("property-department", "no_such")];
    looker
        .form("mapping-wrong", &format!("{AT}/mapping/contacts"), &wrong)
        .await;
    let open = [
        ("revision", "1"),
        ("property-seniority", "hs_lead_status"),
        ("options-seniority", "Boss = OPEN\nOther = NO_SUCH"),
        ("step", "values seniority"),
    ];
    looker
        .form("mapping-values", &format!("{AT}/mapping/contacts"), &open)
        .await;
    let both = [
        ("revision", "0"),
        ("import", "on"),
        ("policy", "replied_positively"),
    ];
    looker
        .form("conflict", &format!("{AT}/basic-sync"), &both)
        .await;

    let people = format!("{AT}/people");
    looker
        .form("people-found", &people, &[("q", "@example.com")])
        .await;
    looker.form("people-named", &people, &[("q", "lee")]).await;
    looker
        .form("people-none", &people, &[("q", "nobody@example.net")])
        .await;
    looker.page("person", &format!("{people}/ann")).await;
    looker
        .form("person-preview", &format!("{people}/rtl/preview"), &[])
        .await;
    looker.page("person-long", &format!("{people}/long")).await;
    looker
        .form(
            "dnc-answer",
            &format!("{AT}/do-not-contact/ask"),
            &[("who", "ann.lee@example.com")],
        )
        .await;
    looker
        .page("problems-one", &format!("{AT}/problems?reason=no_email"))
        .await;
    looker
        .page("history-version", &format!("{AT}/history?version=1"))
        .await;
    looker.page("resync", &format!("{AT}/resync")).await;
    looker.page("disconnect", &format!("{AT}/disconnect")).await;
    looker
        .form(
            "disconnect-wrong",
            &format!("{AT}/disconnect"),
            &[("name", "x")],
        )
        .await;
    looker.page("not-found", &format!("{AT}/nothing")).await;

    // A bulk export from the choice to its end.
    looker
        .page("bulk-choose", &format!("{AT}/bulk-export"))
        .await;
    looker
        .form(
            "bulk-wrong",
            &format!("{AT}/bulk-export"),
            &[("whom", "people"), ("people", "x@example.net")],
        )
        .await;
    let begin = [
        ("whom", "campaign"),
        ("campaign", "Spring"),
        ("earlier", "on"),
    ];
    looker
        .browser
        .send(&format!("{AT}/bulk-export"), &begin)
        .await;
    let address = looker.browser.address().await;
    let bulk = address.rsplit('/').next().unwrap().to_owned();
    until_state(&door, &bulk, "waiting_for_confirmation").await;
    let run = format!("{AT}/bulk-export/{bulk}");
    looker.page("bulk-preview", &run).await;
    looker.browser.send(&format!("{run}/confirm"), &[]).await;
    until_state(&door, &bulk, "done").await;
    looker.page("bulk-done", &run).await;

    looker.enter(&tenant, "member").await;
    places(&mut looker, "member").await;
    looker.ends(60).await;
}

#[tokio::test]
async fn axe_finds_nothing_serious_in_the_other_states() {
    let size = json!({"contacts": 2_000, "companies": 40, "deals": 10, "lists": 2, "limits": "off", "latency_ms": 1500});
    let tenant = Tenant::new(&shared(), size).await;
    let mut looker = Looker::new().await;
    looker.page("no-session", AT).await;
    looker.enter(&tenant, "admin").await;
    places(&mut looker, "never").await;

    // To HubSpot and back: refused, then asked once more, then connected.
    let portal = tenant.portal.get().cast_unsigned();
    let (page, cookie) = tenant.api.begin(&tenant.id()).await.unwrap();
    let back = tenant
        .api
        .decide(&page, portal, Consent::Refuse)
        .await
        .unwrap();
    set_cookie(&mut looker, &cookie).await;
    looker.browser.visit(&back).await;
    looker.look("consent-refused").await;
    let (page, cookie) = tenant.api.begin(&tenant.id()).await.unwrap();
    let back = tenant
        .api
        .decide(&page, portal, Consent::Approve)
        .await
        .unwrap();
    set_cookie(&mut looker, &cookie).await;
    looker.browser.visit(&back).await;
    looker.look("consent-question").await;
    looker.browser.click("#connect", 1).await;
    looker.browser.until_shown("HubSpot is connected").await;
    looker.look("consent-connected").await;
    looker.page("overview-importing", AT).await;
    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 0})))
        .await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;

    tenant.control("POST", "uninstall", None).await;
    tenant.control("POST", "expire-tokens", None).await;
    looker.page("overview-before-revoked", AT).await;
    looker.browser.send(&format!("{AT}/sync-now"), &[]).await;
    tenant
        .wait_for_phase("needs_reconnect", Duration::from_secs(60))
        .await;
    places(&mut looker, "reconnect").await;
    let name = looker
        .browser
        .evaluate("document.querySelector('[data-must-equal]')?.dataset.mustEqual ?? ''")
        .await;
    assert_eq!(name, "");
    looker
        .page("disconnect-reconnect", &format!("{AT}/disconnect"))
        .await;
    let name = looker
        .browser
        .evaluate("document.querySelector('[data-must-equal]').dataset.mustEqual")
        .await;
    let name = name.as_str().unwrap().to_owned();
    looker
        .browser
        .send(&format!("{AT}/disconnect"), &[("name", &name)])
        .await;
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(30))
        .await;
    places(&mut looker, "disconnected").await;
    looker.ends(40).await;
}

/// Gives the browser a cookie that another one got.
async fn set_cookie(looker: &mut Looker, cookie: &str) {
    let (name, value) = cookie.split_once('=').unwrap();
    looker
        .browser
        .keep_cookie(&looker.web.clone(), name, value)
        .await;
}
