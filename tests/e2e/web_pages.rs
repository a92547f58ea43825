//! The settings pages without script: each state of the overview, basic sync with two admins,
//! problems, do not contact, people (C1, C4, C5, I4, I8, E1, E9, E10).

use std::time::Duration;

use e2e::{
    Tenant,
    door::Door,
    exports,
    pages::{Got, Pages, between},
    planted::{Planted, change_settings},
    profiles::until,
    shared,
};
use serde_json::json;

const OVERVIEW: &str = "/settings/hubspot";
const BASIC: &str = "/settings/hubspot/basic-sync";

/// The pill of the head.
fn pill(got: &Got) -> String {
    let title = between(&got.text, "<div class=\"title\">HubSpot", "</div>").unwrap_or_default();
    let word = title.rsplit_once("</svg>").map_or("", |(_, rest)| rest);
    word.replace("</span>", "").trim().to_owned()
}

#[tokio::test]
async fn the_overview_tells_each_state_and_does_what_it_offers() {
    let size = json!({"contacts": 2_000, "companies": 40, "deals": 10, "lists": 2, "limits": "off", "latency_ms": 150});
    let tenant = Tenant::new(&shared(), size).await;
    let pages = Pages::open(&tenant, "admin").await;
    let never = pages.get(OVERVIEW).await;
    assert_eq!(pill(&never), "");
    assert!(never.text.contains("Connect HubSpot"), "{}", never.text);
    assert!(
        never
            .text
            .contains("Use lists as audience or suppression list")
    );
    // What the button leads to: HubSpot's consent page, and from the page's own policy too.
    let went = pages.post("/settings/hubspot/connect", &[]).await;
    assert_eq!(went.status, 303);
    assert!(
        went.location().contains("/oauth/hubspot/start?ticket="),
        "{}",
        went.location()
    );
    let simulator = &tenant.api.addresses().simulator;
    let policy = never.header("content-security-policy");
    assert!(
        policy.contains(&format!("form-action 'self' {simulator}")),
        "{policy}"
    );

    tenant.connect().await;
    until("the import shows", async || {
        pill(&pages.get(OVERVIEW).await).starts_with("Importing")
    })
    .await;
    let importing = pages.get(OVERVIEW).await;
    assert!(
        importing.text.contains("id=\"import-rows\""),
        "{}",
        importing.text
    );
    tenant
        .control("PATCH", "", Some(json!({"latency_ms": 0})))
        .await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(120))
        .await;
    let in_step = pages.get(OVERVIEW).await;
    assert_eq!(pill(&in_step), "In step", "{}", in_step.text);
    for shown in [
        "2,000",
        "Choose who is exported",
        "Resync…",
        "Disconnect…",
        &tenant.portal.to_string(),
        // What is counted can be looked at.
        "/objects/0-1/views/all/list\">2,000</a>",
        "/objects/0-3/views/all/list\">10</a>",
        "href=\"/settings/hubspot/lists\">2</a>",
    ] {
        assert!(
            in_step.text.contains(shown),
            "no {shown} in {}",
            in_step.text
        );
    }
    // A member sees the same, and no button.
    let member = Pages::open(&tenant, "member").await;
    let seen = member.get(OVERVIEW).await;
    assert!(
        seen.text.contains("2,000") && seen.text.contains("Admins of your workspace change them")
    );
    assert!(!seen.text.contains("Sync now") && !seen.text.contains("Resync…"));

    let synced = pages.post("/settings/hubspot/sync-now", &[]).await;
    assert_eq!(synced.location(), "/settings/hubspot?done=started");
    let none = pages
        .post("/settings/hubspot/resync", &[("mode", "catch_up")])
        .await;
    assert_eq!(none.status, 422);
    assert!(none.text.contains("Choose at least one kind of record."));
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    let fields = [
        ("type", "lists"),
        ("type", "owners"),
        ("mode", "from_scratch"),
    ];
    let resynced = pages.post("/settings/hubspot/resync", &fields).await;
    assert_eq!(resynced.status, 303, "{}", resynced.text);
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;

    // HubSpot takes the tokens no more.
    tenant.control("POST", "uninstall", None).await;
    tenant.control("POST", "expire-tokens", None).await;
    pages.post("/settings/hubspot/sync-now", &[]).await;
    tenant
        .wait_for_phase("needs_reconnect", Duration::from_secs(60))
        .await;
    let revoked = pages.get(OVERVIEW).await;
    assert_eq!(pill(&revoked), "Reconnect");
    assert!(
        revoked
            .text
            .contains("HubSpot no longer accepts our access")
    );
    assert!(revoked.text.contains("2,000"), "what is kept is counted");
    let started = pages.get(&format!("{OVERVIEW}?done=started")).await;
    assert!(
        !started.text.contains("is being read now"),
        "{}",
        started.text
    );

    let page = pages.get("/settings/hubspot/disconnect").await;
    let name = between(&page.text, "data-must-equal=\"", "\"")
        .unwrap()
        .to_owned();
    let wrong = pages
        .post("/settings/hubspot/disconnect", &[("name", "another")])
        .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("aria-invalid=\"true\"") && wrong.text.contains("value=\"another\"")
    );
    assert_eq!(tenant.status().await["state"], "needs_reconnect");
    let right = pages
        .post("/settings/hubspot/disconnect", &[("name", &name)])
        .await;
    assert_eq!(
        right.location(),
        "/settings/hubspot?done=disconnected",
        "{}",
        right.text
    );
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(30))
        .await;
    let over = pages.get(OVERVIEW).await;
    assert_eq!(pill(&over), "Disconnected");
    assert!(
        over.text.contains("Mara Quill") && over.text.contains("Connect again"),
        "{}",
        over.text
    );
}

/// No run reads engagements: the page does not offer them, and takes them for nothing.
#[tokio::test]
async fn a_resync_offers_what_runs_read() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    change_settings(&door, |settings| {
        settings["activity_context"]["engagements"] = json!(true);
    })
    .await;
    let path = "/settings/hubspot/resync";
    let pages = Pages::open(&portal.tenant, "admin").await;
    let asked = pages.get(path).await.text;
    assert!(asked.contains("value=\"deals\""), "{asked}");
    assert!(!asked.contains("value=\"engagements\""), "{asked}");
    let fields = [("mode", "catch_up"), ("type", "engagements")];
    let none = pages.post(path, &fields).await;
    assert_eq!(none.status, 422);
    assert!(none.text.contains("Choose at least one kind of record."));
}

/// The form of basic sync as it stands, with changes.
fn basic<'a>(revision: &'a str, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("revision", revision),
        ("import", "on"),
        ("policy", "replied"),
        ("contacts", "create_and_update"),
        ("companies", "create_and_update"),
        ("source-property", ""),
        ("source-value", ""),
        ("source-behavior", "fill_if_empty"),
        ("ceiling-on", ""),
        ("ceiling", ""),
    ];
    for (name, value) in changes {
        fields.retain(|(n, _)| n != name);
        fields.push((name, value));
    }
    fields
}

#[tokio::test]
async fn basic_sync_saves_says_what_is_wrong_and_lets_two_admins_pick() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let mara = Pages::open(&portal.tenant, "admin").await;
    let page = mara.get(BASIC).await;
    assert_eq!(page.revision(), "0");
    assert!(
        page.text
            .contains("0 who qualify already wait for a bulk export."),
        "{}",
        page.text
    );

    // What is wrong stands with its field and on top; what was typed is still there.
    let typed = basic(
        "0",
        &[
            ("ceiling-on", "on"),
            ("ceiling", "2.0e3"),
            ("source-property", "no_such_property"),
            ("source-value", "Artisan"),
        ],
    );
    let wrong = mara.post(BASIC, &typed).await;
    assert_eq!(wrong.status, 422);
    for shown in [
        "href=\"#ceiling\"",
        ">Daily ceiling, records per day: Write a whole number from 1 to 1,000,000.</a>",
        "value=\"2.0e3\"",
        "value=\"no_such_property\"",
        "id=\"ceiling-error\"",
        "data-focus",
    ] {
        assert!(wrong.text.contains(shown), "no {shown} in {}", wrong.text);
    }
    let typed = basic(
        "0",
        &[
            ("source-property", "no_such_property"),
            ("source-value", "Artisan"),
        ],
    );
    let wrong = mara.post(BASIC, &typed).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("HS-2101") && wrong.text.contains("href=\"#source-property\""),
        "{}",
        wrong.text
    );
    assert_eq!(door.ok("GET", "/settings", None).await["revision"], 0);

    let saved = mara
        .post(BASIC, &basic("0", &[("policy", "all_contacted")]))
        .await;
    assert_eq!(
        saved.location(),
        format!("{BASIC}?done=saved"),
        "{}",
        saved.text
    );
    let stored = door.ok("GET", "/settings", None).await;
    assert_eq!(
        (&stored["revision"], &stored["settings"]["export"]["policy"]),
        (&json!(1), &json!("all_contacted"))
    );
    let same = mara
        .post(BASIC, &basic("1", &[("policy", "all_contacted")]))
        .await;
    assert_eq!(same.location(), format!("{BASIC}?done=unchanged"));

    // Two began from revision 1. The first changes three fields, the second two of them and another.
    let ivo = Pages::open(&portal.tenant, "admin").await;
    let first = [
        ("policy", "replied"),
        ("ceiling-on", "on"),
        ("ceiling", "5000"),
    ];
    assert_eq!(mara.post(BASIC, &basic("1", &first)).await.status, 303);
    let second = [
        ("policy", "replied_positively"),
        ("ceiling-on", "on"),
        ("ceiling", "2000"),
        ("companies", "update_only"),
    ];
    let asked = ivo.post(BASIC, &basic("1", &second)).await;
    assert_eq!(asked.status, 409, "{}", asked.text);
    assert_eq!(asked.revision(), "2");
    for shown in [
        "Mara Quill",
        "Only people who replied positively",
        "5000",
        "2000",
        "New companies: Update only",
    ] {
        assert!(asked.text.contains(shown), "no {shown} in {}", asked.text);
    }
    assert_eq!(
        door.ok("GET", "/settings", None).await["revision"],
        2,
        "nothing was overwritten"
    );
    // Theirs of one, ours of the other; what only one changed went along.
    let picked = [
        ("policy", "replied"),
        ("ceiling-on", "on"),
        ("ceiling", "2000"),
        ("companies", "update_only"),
    ];
    assert_eq!(ivo.post(BASIC, &basic("2", &picked)).await.status, 303);
    let stored = door.ok("GET", "/settings", None).await;
    let export = json!({
        "policy": "replied", "contacts": "create_and_update", "companies": "update_only", "daily_ceiling": 2000,
    });
    assert_eq!(
        (&stored["revision"], &stored["settings"]["export"]),
        (&json!(3), &export)
    );

    // Who saved something else meanwhile is no reason to ask.
    change_settings(&door, |s| s["dnc"]["lost_deal"]["within_days"] = json!(30)).await;
    let quiet = [
        ("policy", "all_contacted"),
        ("ceiling-on", "on"),
        ("ceiling", "2000"),
        ("companies", "update_only"),
    ];
    assert_eq!(ivo.post(BASIC, &basic("3", &quiet)).await.status, 303);
    let stored = door.ok("GET", "/settings", None).await;
    assert_eq!(stored["settings"]["dnc"]["lost_deal"]["within_days"], 30);
    assert_eq!(stored["settings"]["export"]["policy"], "all_contacted");

    // The import switched off is told by every page.
    let off = [
        ("import", ""),
        ("policy", "all_contacted"),
        ("ceiling-on", "on"),
        ("ceiling", "2000"),
        ("companies", "update_only"),
    ];
    let revision = mara.get(BASIC).await.revision().to_owned();
    assert_eq!(mara.post(BASIC, &basic(&revision, &off)).await.status, 303);
    until("the pill says so", async || {
        pill(&mara.get(OVERVIEW).await) == "Import off"
    })
    .await;
    until("records are off, and owners go on", async || {
        let overview = mara.get(OVERVIEW).await.text;
        let (_, imported) = overview.split_once("Imported from HubSpot").unwrap();
        let (imported, _) = imported.split_once("Exported to HubSpot").unwrap();
        let count = |word: &str| imported.matches(word).count();
        (count("Off<"), count("Fresh<")) == (4, 1)
    })
    .await;
    // An odd revision is no defect.
    for odd in ["", "x", "999", "-1"] {
        let got = mara.post(BASIC, &basic(odd, &[])).await;
        assert_eq!(got.status, 422, "{odd}");
    }
}

async fn somebody(door: &Door) {
    door.people(json!([
        {"id": "ann", "version": 1, "email": "ann.lee@example.com",
         "fields": {"first_name": "Ann", "last_name": "Lee", "job_title": "VP Sales"}},
        {"id": "nobody", "version": 1, "fields": {"first_name": "No", "last_name": "Body"}},
    ]))
    .await;
}

#[tokio::test]
async fn a_person_is_found_previewed_exported_and_reverted() {
    let portal = Planted::new().await;
    let contact = portal
        .record(
            "contacts",
            json!({"email": "ann.lee@example.com", "jobtitle": "Head of Sales"}),
            &[],
        )
        .await;
    let door = portal.connect().await;
    somebody(&door).await;
    change_settings(&door, |s| {
        for row in s["contacts"].as_array_mut().unwrap() {
            if row["app_field"] == "job_title" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let path = "/settings/hubspot/people";
    for q in ["Ann.Lee@example.com", "@example.com", "ann", "LEE", "Ann L"] {
        let found = pages.post(path, &[("q", q)]).await;
        assert!(
            found.text.contains(">Ann Lee<") && found.text.contains("Never asked for"),
            "{q}: {}",
            found.text
        );
    }
    let nobody = pages.post(path, &[("q", "somebody@else.example")]).await;
    assert!(nobody.text.contains("Nobody was found"), "{}", nobody.text);

    let previewed = pages.post(&format!("{path}/ann/preview"), &[]).await;
    assert_eq!(previewed.status, 200, "{}", previewed.text);
    for shown in [
        "What an export would do now",
        "Head of Sales",
        "VP Sales",
        "mapping of Job title",
    ] {
        assert!(
            previewed.text.contains(shown),
            "no {shown} in {}",
            previewed.text
        );
    }
    assert_eq!(
        exports::writes(&portal).await,
        0,
        "a preview writes nothing"
    );
    let loaded = pages.get(&format!("{path}/ann/preview")).await;
    let ann = format!("{path}/ann");
    assert_eq!((loaded.status, loaded.location()), (303, ann.as_str()));
    let before = pages.get(&ann).await;
    assert!(
        before.text.contains("Not exported: ")
            || before
                .text
                .contains("In HubSpot, never exported by the app."),
        "{}",
        before.text
    );

    let asked = pages.post(&format!("{path}/ann/export"), &[]).await;
    assert_eq!(asked.location(), format!("{path}/ann?done=exported"));
    until("it is exported", async || {
        pages
            .get(&format!("{path}/ann"))
            .await
            .text
            .contains(">Exported<")
    })
    .await;
    let person = pages.get(&format!("{path}/ann")).await;
    assert!(
        person.text.contains(">Exported by the app.<"),
        "{}",
        person.text
    );
    let row = person
        .text
        .split("<tr>")
        .find(|row| row.contains("aria-label=\"Revert jobtitle\""))
        .expect("a button to revert");
    let entry = between(row, "name=\"entry\" value=\"", "\"").unwrap();
    let fields = [("entry", entry), ("property", "jobtitle")];
    let reverted = pages.post(&format!("{path}/ann/revert"), &fields).await;
    assert_eq!(
        reverted.location(),
        format!("{path}/ann?done=reverted"),
        "{}",
        reverted.text
    );
    let contact = contact.to_string();
    until("the old value is back", async || {
        let all = exports::live(&portal, "contacts").await;
        all.iter().any(|c| {
            c["id"].as_str() == Some(contact.as_str())
                && c["properties"]["jobtitle"] == "Head of Sales"
        })
    })
    .await;
    // An entry of somebody else's is none of this person's.
    let foreign = pages.post(&format!("{path}/nobody/revert"), &fields).await;
    assert_eq!(foreign.status, 404);
    // A value that was never there has nothing to be brought back.
    let odd = [("entry", entry), ("property", "no_such")];
    let odd = pages.post(&format!("{path}/ann/revert"), &odd).await;
    assert_eq!(odd.status, 409, "{}", odd.text);
}

#[tokio::test]
async fn problems_are_grouped_explained_retried_and_downloaded() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    somebody(&door).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let path = "/settings/hubspot/problems";
    let quiet = pages.get(path).await;
    assert!(quiet.text.contains("No problems"), "{}", quiet.text);

    let request = exports::ask(&door, "nobody").await;
    let ended = exports::ended(&door, &request).await;
    assert_eq!(ended["reason"], "no_email");
    let seen = pages.get(path).await;
    for shown in [
        "The person has no e-mail",
        ">No Body<",
        ">Retry</button>",
        "<details class=\"fold\" open>",
        "Add one in the app",
    ] {
        assert!(seen.text.contains(shown), "no {shown} in {}", seen.text);
    }
    // The numbers of the overview lead to what they count; left out is no problem.
    let overview = pages.get(OVERVIEW).await;
    let doors = [
        ("left-out", "The person has no e-mail"),
        ("failed", "Nothing failed."),
        ("waiting", "Nothing waits."),
    ];
    for (state, shown) in doors {
        let door = format!("{path}?state={state}");
        let link = format!("href=\"{door}\"");
        assert!(overview.text.contains(&link), "no {link}");
        let list = pages.get(&door).await;
        assert!(list.text.contains(shown), "no {shown} in {}", list.text);
    }
    assert!(!seen.text.contains("<span class=\"sr\"> open</span>"));
    let csv = pages.get(&format!("{path}.csv")).await;
    assert_eq!(csv.header("content-type"), "text/csv;charset=utf-8");
    let line = csv.text.lines().nth(1).unwrap();
    assert!(
        line.starts_with(&format!("{request},nobody,manual,no_email,HS-2401,")),
        "{line}"
    );

    // Mended in the app, it goes through; retried before that, it ends the same way.
    let again = pages
        .post(&format!("{path}/retry"), &[("request", &request)])
        .await;
    assert_eq!(again.location(), format!("{path}?done=retried"));
    assert_eq!(exports::ended(&door, &request).await["reason"], "no_email");
    door.people(json!([{"id": "nobody", "version": 2, "email": "nobody@example.com"}]))
        .await;
    let all = pages
        .post(&format!("{path}/retry-all"), &[("reason", "no_email")])
        .await;
    assert_eq!(all.location(), format!("{path}?done=retried"));
    // The next look of Sweep wakes it.
    until("it is exported", async || {
        exports::ended(&door, &request).await["state"] == "exported"
    })
    .await;
    for (what, field, odd) in [("retry", "request", "x"), ("retry-all", "reason", "x")] {
        let got = pages.post(&format!("{path}/{what}"), &[(field, odd)]).await;
        assert_eq!((got.status, got.code()), (404, "HS-4009"), "{what}");
    }
}

#[tokio::test]
async fn rules_are_saved_and_the_question_is_answered_at_once() {
    let portal = Planted::new().await;
    portal
        .record(
            "contacts",
            json!({"email": "won@example.com", "lifecyclestage": "customer", "firstname": "Wanda <b>"}),
            &[],
        )
        .await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "member").await;
    let path = "/settings/hubspot/do-not-contact";
    let ask = |who: &'static str| {
        let pages = pages.clone();
        async move {
            pages
                .post("/settings/hubspot/do-not-contact/ask", &[("who", who)])
                .await
        }
    };
    let no = ask("won@example.com").await;
    assert!(
        no.text.contains("</svg>No</span>") && no.text.contains("<b>Customer.</b>"),
        "{}",
        no.text
    );
    assert!(no.text.contains("/contact/"), "with a link to the record");
    // The record is called by its name.
    let named = "Contact “<bdi>Wanda &lt;b&gt;</bdi>”</a>";
    assert!(no.text.contains(named), "{}", no.text);
    let odd = ask("not an address").await;
    assert!(odd.text.contains("Write an e-mail such as"), "{}", odd.text);

    let admin = Pages::open(&portal.tenant, "admin").await;
    let page = admin.get(path).await;
    let fields = |days: &'static str| {
        [
            ("revision", "0"),
            ("open-deal", "on"),
            ("open-deal-scope", "person"),
            ("customer-scope", "company"),
            ("lost-deal", "on"),
            ("lost-deal-days", days),
            ("lost-deal-scope", "company"),
            ("opted-out", "on"),
            ("in-hubspot-scope", "company"),
            ("recent-touch-days", "14"),
            ("recent-touch-scope", "person"),
            ("suppression-scope", "person"),
        ]
    };
    assert_eq!(page.revision(), "0");
    let wrong = admin.post(path, &fields("0")).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("href=\"#lost-deal-days\""),
        "{}",
        wrong.text
    );
    let saved = admin.post(path, &fields("30")).await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let dnc = door.ok("GET", "/settings", None).await["settings"]["dnc"].clone();
    assert_eq!(dnc["customer"]["enabled"], false);
    assert_eq!(dnc["open_deal"], json!({"enabled": true, "pipelines": []}));
    assert_eq!(dnc["lost_deal"]["within_days"], 30);
    assert_eq!(dnc["scopes"]["open_deal"], "person");
    // The rule is off, and the answer follows at once.
    // Whom the app knows, by now from the contact, is a door.
    until("the contact became a person", async || {
        let yes = ask("won@example.com").await;
        yes.text
            .contains("href=\"/settings/hubspot/people/hubspot.")
    })
    .await;
    let yes = ask("won@example.com").await;
    assert!(yes.text.contains("</svg>Yes</span>"), "{}", yes.text);
    // Nobody has this address: that no rule stops it is no permission.
    let nobody = ask("nobody@nowhere-at-all.com").await;
    assert!(
        nobody.text.contains("</svg>No rule stops it</span>"),
        "{}",
        nobody.text
    );
    // The answer hides no rule, and loading it again asks nothing.
    assert!(yes.text.contains("name=\"lost-deal-days\""), "{}", yes.text);
    let loaded = pages.get(&format!("{path}/ask")).await;
    assert_eq!((loaded.status, loaded.location()), (303, path));
}

#[tokio::test]
async fn owners_statuses_lists_and_history_are_saved_and_told() {
    let portal = Planted::new().await;
    let list = portal.list("Customers <all>", "0-1", &[]).await;
    let door = portal.connect().await;
    door.ok(
        "POST",
        "/members",
        Some(json!({"items": [
            {"id": "m-1", "version": 1, "name": "Mara Quill", "email": "mara@example.org"},
        ]})),
    )
    .await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let owners = door.ok("GET", "/owners", None).await;
    let owner = owners["items"][0]["owner"].to_string();

    let path = "/settings/hubspot/owners";
    let page = pages.get(path).await;
    assert!(
        page.text.contains("Not matched") && page.text.contains("Mara Quill"),
        "{}",
        page.text
    );
    let row = format!("owner-{owner}");
    let fields = [
        ("revision", "0"),
        ("automatic", "on"),
        (row.as_str(), "m-1"),
        ("fallback", owner.as_str()),
        ("unmapped", ""),
    ];
    let saved = pages.post(path, &fields).await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let of = door.ok("GET", "/settings", None).await["settings"]["owners"].clone();
    assert_eq!(
        of["rows"],
        json!([{"owner": owner.parse::<i64>().unwrap(), "member": "m-1"}])
    );
    assert_eq!(
        (&of["automatic"], &of["overwrite"]),
        (&json!(true), &json!(false))
    );

    let path = "/settings/hubspot/statuses";
    let fields = [
        ("revision", "1"),
        ("property", "hs_lead_status"),
        ("status-replied", "CONNECTED"),
    ];
    let saved = pages.post(path, &fields).await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let wrong = [
        ("revision", "2"),
        ("property", "hs_lead_status"),
        ("status-replied", "NO_SUCH"),
    ];
    let wrong = pages.post(path, &wrong).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("HS-2106") && wrong.text.contains("NO_SUCH (no value"),
        "{}",
        wrong.text
    );

    let path = "/settings/hubspot/lists";
    let page = pages.get(path).await;
    assert!(page.text.contains("Customers &lt;all&gt;"), "{}", page.text);
    let of_list = format!("use-{list}");
    let saved = pages
        .post(
            path,
            &[("revision", "2"), (of_list.as_str(), "suppression")],
        )
        .await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let settings = door.ok("GET", "/settings", None).await["settings"].clone();
    assert_eq!(
        settings["lists"],
        json!([{"list": list, "use": "suppression"}])
    );
    assert_eq!(
        settings["status"]["rows"],
        json!([{"status": "replied", "value": "CONNECTED"}])
    );
    // A field that was not on the page stays as it is.
    let same = pages.post(path, &[("revision", "3")]).await;
    assert_eq!(same.location(), format!("{path}?done=unchanged"));

    let path = "/settings/hubspot/activities";
    let fields = [
        ("revision", "3"),
        ("label", "[Ava]"),
        ("log-email", "on"),
        ("label-email", "[Mail]"),
        ("log-call", "on"),
    ];
    let saved = pages.post(path, &fields).await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let of = door.ok("GET", "/settings", None).await["settings"]["activities"].clone();
    assert_eq!(of["label"], "[Ava]");
    assert_eq!(
        of["kinds"]["email"],
        json!({"log": true, "label": "[Mail]"})
    );
    assert_eq!(
        (&of["kinds"]["task"]["log"], &of["kinds"]["call"]),
        (&json!(false), &json!(null))
    );

    let told = pages.get("/settings/hubspot/history?version=3").await;
    for shown in [
        "What version 3 changed",
        "<b>Lists</b> <bdi>Customers &lt;all&gt;</bdi>",
        "use suppression",
        "suppression",
        "Mara Quill",
        "Saved settings",
        "Version 2",
    ] {
        assert!(told.text.contains(shown), "no {shown} in {}", told.text);
    }
    assert_eq!(
        pages
            .get("/settings/hubspot/history?version=99")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn mapping_is_changed_row_by_row_and_says_what_does_not_fit() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let path = "/settings/hubspot/mapping/contacts";
    let page = pages.get(path).await;
    for shown in [
        "Job title",
        "name=\"property-job_title\"",
        "value=\"jobtitle\"",
        "Not mapped",
        "Seniority",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    let before = door.ok("GET", "/settings", None).await["settings"]["contacts"].clone();
    // What is not sent stays as it is.
    let fields = [
        ("revision", "0"),
        ("property-job_title", "jobtitle"),
        ("export-job_title", "overwrite"),
        ("priority-job_title", "artisan"),
        ("property-seniority", "hs_lead_status"),
        ("options-seniority", "Boss = OPEN\r\nOther = CONNECTED"),
        ("property-city", ""),
    ];
    let saved = pages.post(path, &fields).await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let rows = door.ok("GET", "/settings", None).await["settings"]["contacts"].clone();
    let row = |key: &str| {
        let all = rows.as_array().unwrap();
        all.iter().find(|r| r["app_field"] == key).cloned()
    };
    let job = row("job_title").unwrap();
    assert_eq!(
        (&job["export"], &job["import_priority"]),
        (&json!("overwrite"), &json!("artisan"))
    );
    let options = json!({"Boss": "OPEN", "Other": "CONNECTED"});
    assert_eq!(row("seniority").unwrap()["options"], options);
    assert_eq!(row("city"), None);
    assert_eq!(
        rows.as_array().unwrap().len(),
        before.as_array().unwrap().len()
    );

    let wrong = [
        ("revision", "1"),
        ("property-department", "no_such"),
        ("options-seniority", "Boss: OPEN"),
    ];
    let refused = pages.post(path, &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("href=\"#options-seniority\""),
        "{}",
        refused.text
    );
    let refused = pages.post(path, &wrong[..2]).await;
    assert!(
        refused.text.contains("href=\"#property-department\""),
        "{}",
        refused.text
    );
    assert!(refused.text.contains("HS-2101") && refused.text.contains("value=\"no_such\""));
    // A row that goes bad in HubSpot later stays, and says so.
    let companies = "/settings/hubspot/mapping/companies";
    let page = pages.get(companies).await;
    assert!(
        page.text.contains("name=\"property-domain\""),
        "{}",
        page.text
    );
    let saved = pages
        .post(
            companies,
            &[("revision", "1"), ("export-domain", "do_not_export")],
        )
        .await;
    assert_eq!(
        saved.location(),
        format!("{companies}?done=saved"),
        "{}",
        saved.text
    );
}
