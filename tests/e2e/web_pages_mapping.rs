//! The tabs of the mapping: rows come and go, properties are chosen among many, fixed values are kept; as a
//! browser without script does it, and with script (E4, E5).

use dev::entry;
use e2e::{
    browser::Browser,
    door::Door,
    exports::{export, live},
    pages::{Got, Pages, between, claims},
    planted::{Planted, change_settings},
    profiles::until,
    shared,
};
use serde_json::{Value, json};

const CONTACTS: &str = "/settings/hubspot/mapping/contacts";
const OWN: &str = "/settings/hubspot/mapping/own-properties";
const BULK: &str = "/settings/hubspot/bulk-export";
const ACTIVITY: &str = "/settings/hubspot/mapping/activity";

/// Makes a property of contacts, as a person in HubSpot does.
async fn property(portal: &Planted, name: &str, label: &str, kind: &str) {
    let mut made = json!({
        "name": name, "label": label, "type": kind, "fieldType": "text",
        "groupName": "contactinformation",
    });
    match kind {
        "enumeration" => {
            made["fieldType"] = json!("select");
            made["options"] = json!([
                {"label": "Senior", "value": "senior"}, {"label": "Junior", "value": "junior"},
            ]);
        }
        "number" => made["fieldType"] = json!("number"),
        _ => {}
    }
    portal
        .hubspot("POST", "/crm/v3/properties/contacts", Some(made))
        .await;
}

/// The form of a page, sent back with these fields before the rest, as a browser sends what was chosen.
async fn send(pages: &Pages, path: &str, page: &Got, changes: &[(&str, &str)]) -> Got {
    let form = page.form(path);
    let rest = form.iter().filter(|(name, _)| name != "csrf");
    let rest = rest.map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<(&str, &str)> = changes.iter().copied().chain(rest).collect();
    pages.post(path, &fields).await
}

/// The form goes on by a step.
async fn step(pages: &Pages, path: &str, page: &Got, changes: &[(&str, &str)]) -> Got {
    let next = send(pages, path, page, changes).await;
    assert_eq!(next.status, 200, "{}", next.text);
    next
}

async fn save(pages: &Pages, path: &str, page: &Got, changes: &[(&str, &str)]) -> Got {
    let saved = send(pages, path, page, changes).await;
    let to = format!("{path}?done=saved");
    assert_eq!(saved.location(), to, "{}", saved.text);
    pages.get(path).await
}

async fn settings(door: &Door) -> Value {
    door.ok("GET", "/settings", None).await["settings"].clone()
}

/// A row of the contacts.
async fn row(door: &Door, key: &str) -> Option<Value> {
    let settings = settings(door).await;
    let rows = settings["contacts"].as_array().unwrap();
    rows.iter().find(|r| r["app_field"] == key).cloned()
}

fn shows(page: &Got, parts: &[&str]) {
    for part in parts {
        assert!(page.text.contains(part), "no {part} in {}", page.text);
    }
}

fn changes(page: &Got) -> &str {
    between(&page.text, "data-changes=\"", "\"").unwrap()
}

#[tokio::test]
async fn rows_are_added_removed_and_reset_without_script() {
    let portal = Planted::on(&shared(), json!({"property_delay_ms": 0})).await;
    property(&portal, "rank_zz", "Rank zz & level", "enumeration").await;
    property(&portal, "rank_zz_score", "Score of rank zz", "number").await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let before = settings(&door).await["contacts"].clone();

    // A row is added; what else was changed goes along, and nothing is saved yet.
    let page = pages.get(CONTACTS).await;
    let overwrite = ("export-job_title", "overwrite");
    let added = [overwrite, ("step", "add"), ("new-row", "seniority")];
    let page = step(&pages, CONTACTS, &page, &added).await;
    shows(
        &page,
        &["id=\"picker\"", "Property for <bdi>Seniority</bdi>"],
    );
    assert_eq!(changes(&page), "1");
    let found = [("step", "find property-seniority"), ("find", "RANK zz")];
    let page = step(&pages, CONTACTS, &page, &found).await;
    let picker = between(&page.text, "id=\"picker\"", "</footer>").unwrap();
    for shown in [
        "2 properties",
        "Rank zz &amp; level",
        "<code>rank_zz_score</code>",
        "Does not fit: text cannot become number",
    ] {
        assert!(picker.contains(shown), "no {shown} in {picker}");
    }
    assert!(!picker.contains("jobtitle"), "{picker}");
    let unfit = between(picker, "value=\"rank_zz_score\"", ">").unwrap();
    assert!(unfit.contains("disabled"), "{unfit}");
    // Left without a property it is not saved, and says so.
    let unfinished = send(&pages, CONTACTS, &page, &[]).await;
    assert_eq!(unfinished.status, 422);
    shows(
        &unfinished,
        &[
            "Choose a property, or remove the row.",
            "href=\"#property-seniority\"",
            "id=\"property-seniority-error\"",
        ],
    );
    let used = [
        ("property-seniority", "rank_zz"),
        ("step", "use property-seniority"),
    ];
    let page = step(&pages, CONTACTS, &page, &used).await;
    assert!(!page.text.contains("id=\"picker\""), "{}", page.text);
    assert_eq!(changes(&page), "2");
    assert_eq!(settings(&door).await["contacts"], before);
    let page = save(&pages, CONTACTS, &page, &[]).await;
    assert_eq!(
        row(&door, "seniority").await.unwrap()["property"],
        "rank_zz"
    );
    assert_eq!(
        row(&door, "job_title").await.unwrap()["export"],
        "overwrite"
    );

    // A choice that is cancelled changes nothing.
    let page = step(
        &pages,
        CONTACTS,
        &page,
        &[("step", "pick property-seniority")],
    )
    .await;
    let cancelled = [
        ("property-seniority", "lastname"),
        ("step", "close property-seniority"),
    ];
    let page = step(&pages, CONTACTS, &page, &cancelled).await;
    assert_eq!(changes(&page), "0");

    // Removed, and what comes after it goes along.
    let page = step(&pages, CONTACTS, &page, &[("step", "remove city")]).await;
    assert!(!page.text.contains("id=\"export-city\""), "{}", page.text);
    shows(&page, &["<option value=\"city\">"]);
    let page = step(&pages, CONTACTS, &page, &[("step", "remove phone")]).await;
    assert_eq!(changes(&page), "2");
    assert!(row(&door, "city").await.is_some());
    let page = save(&pages, CONTACTS, &page, &[]).await;
    assert_eq!(row(&door, "city").await, None);
    assert_eq!(row(&door, "phone").await, None);

    // All as a fresh connection has it, once it is saved.
    let page = step(&pages, CONTACTS, &page, &[("step", "defaults")]).await;
    shows(&page, &["rows of a fresh connection"]);
    assert_eq!(changes(&page), "4");
    assert_eq!(row(&door, "city").await, None);
    save(&pages, CONTACTS, &page, &[]).await;
    let mut reset = settings(&door).await["contacts"].clone();
    let by_key = |rows: &mut Value| {
        let rows = rows.as_array_mut().unwrap();
        rows.sort_by_key(|r| r["app_field"].as_str().unwrap().to_owned());
    };
    let mut fresh = before;
    by_key(&mut reset);
    by_key(&mut fresh);
    assert_eq!(reset, fresh);

    // Who goes on from a page that somebody overtook is told when it is saved, and loses nothing.
    let page = pages.get(CONTACTS).await;
    change_settings(&door, |s| {
        let rows = s["contacts"].as_array_mut().unwrap();
        for row in rows.iter_mut().filter(|r| r["app_field"] == "job_title") {
            row["export"] = json!("create_only");
        }
    })
    .await;
    let page = step(
        &pages,
        CONTACTS,
        &page,
        &[overwrite, ("step", "remove city")],
    )
    .await;
    let asked = send(&pages, CONTACTS, &page, &[]).await;
    assert_eq!(asked.status, 409, "{}", asked.text);
    shows(&asked, &["On create only", "Overwrite"]);

    let member = Pages::open(&portal.tenant, "member").await;
    let fields = [("revision", "0"), ("step", "defaults")];
    assert_eq!(member.post(CONTACTS, &fields).await.status, 403);
}

#[tokio::test]
async fn fixed_values_are_added_changed_and_removed_without_script() {
    let portal = Planted::on(&shared(), json!({"property_delay_ms": 0})).await;
    property(&portal, "level", "Level", "enumeration").await;
    property(&portal, "found_by", "Found by", "string").await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let values = async || settings(&door).await["contact_values"].clone();

    let page = pages.get(CONTACTS).await;
    let picked = [("step", "pick new-fixed")];
    let page = step(&pages, CONTACTS, &page, &picked).await;
    shows(&page, &["Property for <bdi>a fixed value</bdi>"]);
    let used = [("new-fixed", "found_by"), ("step", "use new-fixed")];
    let page = step(&pages, CONTACTS, &page, &used).await;
    let empty = send(&pages, CONTACTS, &page, &[]).await;
    assert_eq!(empty.status, 422);
    shows(
        &empty,
        &[
            "Write a value, or remove the row.",
            "href=\"#fixed-value-found_by\"",
        ],
    );
    let written = [("fixed-value-found_by", "Artisan & co")];
    let page = save(&pages, CONTACTS, &page, &written).await;
    assert_eq!(
        values().await,
        json!([{"property": "found_by", "value": "Artisan & co", "behavior": "fill_if_empty"}])
    );
    // Of an enumeration it is one of the options; what is none is said at its field.
    let picked = [("step", "pick new-fixed")];
    let page = step(&pages, CONTACTS, &page, &picked).await;
    let used = [("new-fixed", "level"), ("step", "use new-fixed")];
    let page = step(&pages, CONTACTS, &page, &used).await;
    shows(&page, &["<option value=\"junior\">Junior</option>"]);
    let wrong = send(&pages, CONTACTS, &page, &[("fixed-value-level", "boss")]).await;
    assert_eq!(wrong.status, 422);
    shows(&wrong, &["href=\"#fixed-value-level\"", "HS-2106"]);
    let both = [
        ("fixed-value-level", "senior"),
        ("fixed-behavior-level", "create_only"),
        ("fixed-behavior-found_by", "overwrite"),
    ];
    let page = save(&pages, CONTACTS, &page, &both).await;
    assert_eq!(
        values().await,
        json!([
            {"property": "found_by", "value": "Artisan & co", "behavior": "overwrite"},
            {"property": "level", "value": "senior", "behavior": "create_only"},
        ])
    );
    let removed = [("step", "remove-fixed found_by")];
    let page = step(&pages, CONTACTS, &page, &removed).await;
    assert!(!page.text.contains("id=\"fixed-value-found_by\""));
    assert_eq!(values().await.as_array().unwrap().len(), 2);
    save(&pages, CONTACTS, &page, &[]).await;
    assert_eq!(
        values().await,
        json!([{"property": "level", "value": "senior", "behavior": "create_only"}])
    );
}

#[tokio::test]
async fn rows_of_activities_come_and_go_as_well() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let rows = async || settings(&door).await["activity_properties"].clone();
    let before = rows().await;
    let page = pages.get(ACTIVITY).await;
    let page = step(&pages, ACTIVITY, &page, &[("step", "remove call.notes")]).await;
    assert_eq!(changes(&page), "1");
    let page = save(&pages, ACTIVITY, &page, &[]).await;
    let now = rows().await;
    assert_eq!(
        now.as_array().unwrap().len() + 1,
        before.as_array().unwrap().len()
    );
    // Added again, with the property that was chosen; it is exported.
    let added = [("step", "add"), ("new-row", "call.notes")];
    let page = step(&pages, ACTIVITY, &page, &added).await;
    shows(&page, &["Property for <bdi>Call, Notes</bdi>"]);
    let used = [
        ("property-call.notes", "hs_call_body"),
        ("step", "use property-call.notes"),
    ];
    let page = step(&pages, ACTIVITY, &page, &used).await;
    assert_eq!(changes(&page), "1");
    let page = save(&pages, ACTIVITY, &page, &[]).await;
    let again = rows().await;
    let row =
        json!({"kind": "call", "app_field": "notes", "property": "hs_call_body", "export": true});
    assert!(again.as_array().unwrap().contains(&row), "{again}");
    let page = step(&pages, ACTIVITY, &page, &[("step", "remove note.body")]).await;
    let page = save(&pages, ACTIVITY, &page, &[]).await;
    let page = step(&pages, ACTIVITY, &page, &[("step", "defaults")]).await;
    save(&pages, ACTIVITY, &page, &[]).await;
    let reset = rows().await;
    let all = |rows: &Value| rows.as_array().unwrap().len();
    assert_eq!(all(&reset), all(&before));
}

#[tokio::test]
async fn one_of_a_thousand_properties_is_found_as_one_types() {
    let portal = Planted::on(&shared(), json!({"property_delay_ms": 0})).await;
    for n in 0..1_000 {
        let name = format!("wide_{n}");
        property(&portal, &name, &format!("Wide property {n}"), "string").await;
    }
    let door = portal.connect().await;
    let mut browser = Browser::start().await;
    let addresses = portal.tenant.api.addresses();
    let link = entry::link(addresses, &claims(&portal.tenant, "admin")).unwrap();
    browser.open(&link).await;
    browser.until_shown("In step").await;
    let base = addresses.web.clone();
    browser.visit(&format!("{base}{CONTACTS}")).await;
    browser.run("window.samePage = true").await;

    // With script nothing is loaded anew: it opens in its place, with the cursor in the search.
    browser.click("#property-job_title", 1).await;
    browser.until_shown("Property for Job title").await;
    let focused = browser.evaluate("document.activeElement.id").await;
    assert_eq!(focused, "find");
    browser.type_in("wide 777").await;
    browser.until_shown("1 property").await;
    assert!(
        browser
            .text_of(".picker .options")
            .await
            .contains("wide_777")
    );
    // What is chosen now comes first; from there on as in any list of choices.
    browser.press("ArrowDown").await;
    browser.press("ArrowDown").await;
    browser.click(".picker footer .primary", 1).await;
    browser.until_gone("Property for Job title").await;
    browser.until_shown("1 change").await;
    assert_eq!(
        browser.text_of("#property-job_title").await.trim(),
        "Wide property 777"
    );
    let focused = browser.evaluate("document.activeElement.id").await;
    assert_eq!(focused, "property-job_title", "where one was");

    // Enter opens it as well, and Escape closes it again with what was there.
    browser.press("Enter").await;
    browser.until_shown("Property for Job title").await;
    browser.press("Escape").await;
    browser.until_gone("Property for Job title").await;
    assert_eq!(browser.evaluate("window.samePage").await, true);
    browser.click("#save", 1).await;
    browser.until_shown("Saved.").await;
    assert_eq!(
        row(&door, "job_title").await.unwrap()["property"],
        "wide_777"
    );
    assert_eq!(browser.violations().await, [""; 0]);

    // On a phone a row is its field and its property, and is opened by key as well as by touch.
    browser.looks(360, false).await;
    browser.visit(&format!("{base}{CONTACTS}")).await;
    let shown = "document.getElementById('property-job_title').checkVisibility()";
    assert_eq!(browser.evaluate(shown).await, false);
    let folded = browser.text_of(".unfold:has(#unfold-job_title)").await;
    assert_eq!(folded.trim(), "Wide property 777");
    browser.tab_to("#unfold-job_title").await;
    browser.press("Space").await;
    assert_eq!(browser.evaluate(shown).await, true);
    // It stays open where another property is looked for.
    browser.click("#property-job_title", 1).await;
    browser.until_shown("Property for Job title").await;
    browser.press("Escape").await;
    browser.until_gone("Property for Job title").await;
    assert_eq!(browser.evaluate(shown).await, true);
    assert_eq!(
        browser.evaluate("document.activeElement.id").await,
        "property-job_title"
    );
    assert_eq!(browser.violations().await, [""; 0]);
}

#[tokio::test]
async fn what_hubspot_requires_is_filled_by_a_row_or_a_fixed_value() {
    let rules = json!({
        "required_properties": {"contacts": ["rank", "found_by"]}, "property_delay_ms": 0,
    });
    let portal = Planted::on(&shared(), rules).await;
    property(&portal, "rank", "Rank & level", "enumeration").await;
    property(&portal, "found_by", "Found by", "string").await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(CONTACTS).await;
    shows(
        &page,
        &[
            "HubSpot requires <b><bdi>Rank &amp; level</bdi></b>",
            "Add a row for <bdi>Rank &amp; level</bdi>",
            "HubSpot requires <b><bdi>Found by</bdi></b>",
            "HS-2128",
        ],
    );
    // Only what can become one of its values is offered, and is not mapped elsewhere.
    let offered = between(&page.text, "id=\"required-rank\"", "</select>").unwrap();
    assert!(offered.contains("value=\"seniority\""), "{offered}");
    assert!(!offered.contains("value=\"job_title\""), "{offered}");
    assert!(!offered.contains("value=\"birthday\""), "{offered}");

    let filled = [("required-rank", "seniority"), ("step", "fill rank")];
    let page = step(&pages, CONTACTS, &page, &filled).await;
    assert_eq!(changes(&page), "1");
    assert!(!page.text.contains("HubSpot requires <b><bdi>Rank"));
    let added = [("step", "add-fixed found_by")];
    let page = step(&pages, CONTACTS, &page, &added).await;
    shows(&page, &["id=\"fixed-value-found_by\""]);
    let written = [("fixed-value-found_by", "Artisan")];
    let page = save(&pages, CONTACTS, &page, &written).await;
    assert!(!page.text.contains("HubSpot requires"), "{}", page.text);
    assert_eq!(row(&door, "seniority").await.unwrap()["property"], "rank");
    // What was refused before is made.
    door.people(
        json!([{"id": "lead", "version": 1, "email": "lead@required-e4.com",
        "fields": {"seniority": "senior"}}]),
    )
    .await;
    let done = export(&door, "lead").await;
    assert_eq!(done["state"], "exported", "{done}");
    let made = live(&portal, "contacts").await[0]["properties"].clone();
    assert_eq!(
        (&made["rank"], &made["found_by"]),
        (&json!("senior"), &json!("Artisan"))
    );
}

#[tokio::test]
async fn our_properties_are_made_and_mapped_by_one_click() {
    let denied = Planted::new().await;
    let scopes = json!({"denied_scopes": ["crm.schemas.contacts.write"]});
    denied.tenant.control("PATCH", "", Some(scopes)).await;
    denied.connect().await;
    let page = Pages::open(&denied.tenant, "admin")
        .await
        .get(CONTACTS)
        .await;
    shows(
        &page,
        &["needs the scope <code>crm.schemas.contacts.write</code>"],
    );
    assert!(!page.text.contains("Make and map them"), "{}", page.text);

    let portal = Planted::new().await;
    let door = portal.connect().await;
    change_settings(&door, |_| {}).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let own = format!("method=\"post\" action=\"{OWN}\"");
    // What would be made is told before it is.
    let told = [
        own.as_str(),
        "Make and map them",
        "<code>artisan_sentiment</code>, enumeration",
        "Make 4 properties",
    ];
    shows(&pages.get(CONTACTS).await, &told);
    let companies = pages.get("/settings/hubspot/mapping/companies").await;
    assert!(!companies.text.contains(&own), "they are of contacts");
    let member = Pages::open(&portal.tenant, "member").await;
    assert!(!member.get(CONTACTS).await.text.contains(&own));
    assert_eq!(member.post(OWN, &[]).await.status, 403);

    let made = pages.post(OWN, &[]).await;
    assert_eq!(
        made.location(),
        format!("{CONTACTS}?done=own-properties"),
        "{}",
        made.text
    );
    let page = pages.get(made.location()).await;
    shows(&page, &["The properties are in HubSpot now, and mapped."]);
    assert!(!page.text.contains(&own), "there is nothing left to make");
    assert_eq!(
        row(&door, "sentiment").await.unwrap()["property"],
        "artisan_sentiment"
    );
    let group = portal
        .hubspot(
            "GET",
            "/crm/properties/2026-09/contacts/artisan_sentiment",
            None,
        )
        .await;
    assert_eq!(group["groupName"], "artisan");
    let history = pages.get("/settings/hubspot/history").await;
    shows(&history, &["Had properties of our own made", "Version 2"]);
}

#[tokio::test]
async fn a_new_row_is_applied_to_everybody_exported_whatever_the_policy() {
    let portal = Planted::on(&shared(), json!({"property_delay_ms": 0})).await;
    property(&portal, "rank", "Rank", "string").await;
    let door = portal.connect().await;
    let ids = ["by-hand", "never"];
    let people = ids.map(|id| {
        json!({"id": id, "version": 1, "email": format!("{id}@rows-e4.com"),
            "fields": {"seniority": "senior"}})
    });
    door.people(json!(people)).await;
    // Nobody replied: the policy takes neither of them.
    let done = export(&door, "by-hand").await;
    assert_eq!(done["state"], "exported", "{done}");
    change_settings(&door, |s| {
        let rows = s["contacts"].as_array_mut().unwrap();
        rows.push(json!({"app_field": "seniority", "property": "rank"}));
    })
    .await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(CONTACTS).await;
    let door_to = "/settings/hubspot/bulk-export?whom=exported";
    shows(&page, &[&format!("href=\"{door_to}\"")]);
    let member = Pages::open(&portal.tenant, "member").await;
    let page = member.get(CONTACTS).await;
    assert!(!page.text.contains(door_to), "{}", page.text);
    let page = pages.get(door_to).await;
    let chosen = between(&page.text, "value=\"exported\"", ">").unwrap();
    assert!(chosen.contains("checked"), "{chosen}");
    let begun = pages.post(BULK, &[("whom", "exported")]).await;
    let run = begun.location().to_owned();
    until("it waits for somebody", async || {
        pages.get(&run).await.text.contains("Waits for you")
    })
    .await;
    let shown = pages.get(&run).await;
    shows(&shown, &["Export 1 person", "Everybody exported before"]);
    pages.post(&format!("{run}/confirm"), &[]).await;
    until("everybody came to an end", async || {
        pages
            .get(&run)
            .await
            .text
            .contains("Everybody was taken in hand")
    })
    .await;
    until("the new row is applied", async || {
        live(&portal, "contacts").await[0]["properties"]["rank"] == "senior"
    })
    .await;
    assert_eq!(
        live(&portal, "contacts").await.len(),
        1,
        "nobody else is exported"
    );
}
