//! The main path in a real browser, once without any script, once by the keyboard alone: connect, watch
//! the bar to its end, change a setting, preview and export one person, disconnect (C1, C4, E1, E9, X5).

use std::time::{Duration, Instant};

use dev::entry;
use e2e::{Tenant, browser::Browser, door::Door, exports, pages::claims, profiles::until, shared};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(120);

async fn tenant() -> Tenant {
    // Slow enough to see the bar.
    let size = json!({"contacts": 600, "companies": 5, "deals": 2, "lists": 1, "limits": "off", "latency_ms": 400});
    Tenant::new(&shared(), size).await
}

fn link(tenant: &Tenant) -> String {
    let mut said = claims(tenant, "admin");
    said["user_name"] = json!("Mara Quill");
    said["workspace_name"] = json!("Brightwater");
    entry::link(tenant.api.addresses(), &said).unwrap()
}

async fn ann(door: &Door) {
    door.people(
        json!([{"id": "ann", "version": 1, "email": "ann.lee@example.com",
        "fields": {"first_name": "Ann", "last_name": "Lee"}}]),
    )
    .await;
}

async fn contacts(tenant: &Tenant) -> Vec<Value> {
    let page = tenant
        .control("GET", "records/contacts?limit=10000", None)
        .await;
    page["results"].as_array().unwrap().clone()
}

async fn ann_is_in_hubspot(tenant: &Tenant) -> bool {
    let all = contacts(tenant).await;
    all.iter().any(|c| {
        c["properties"]["email"] == "ann.lee@example.com" && c["properties"]["firstname"] == "Ann"
    })
}

/// Loads the page again, as somebody without script would, until it says this.
async fn reload_until(browser: &mut Browser, part: &str) {
    let deadline = Instant::now() + LONG;
    loop {
        let text = browser.text().await;
        if text.contains(part) {
            return;
        }
        assert!(Instant::now() < deadline, "no {part:?} but {text}");
        browser.reload().await;
    }
}

#[tokio::test]
async fn the_main_path_goes_without_script() {
    let tenant = tenant().await;
    let web = tenant.api.addresses().web.clone();
    let mut browser = Browser::start().await;
    browser.without_script().await;
    browser.open(&link(&tenant)).await;
    browser
        .until_shown("What HubSpot will ask you to allow")
        .await;

    browser.connect(tenant.portal).await;
    // The page asks for itself again, and the bar comes to its end.
    browser.until_shown("First import").await;
    let seen = browser.text().await;
    assert!(
        seen.contains("Importing") || seen.contains("In step"),
        "{seen}"
    );
    browser.until_shown("In step").await;
    let ran = browser
        .evaluate("document.querySelector('[data-live]') !== null")
        .await;
    assert_eq!(ran, false);

    browser
        .visit(&format!("{web}/settings/hubspot/basic-sync"))
        .await;
    // Where nothing counts changes, the bar to save is always there.
    assert_ne!(browser.style_of(".savebar", "display").await, "\"none\"");
    browser
        .click("input[name=policy][value=all_contacted]", 1)
        .await;
    browser.click("#save", 1).await;
    browser.until_shown("Saved.").await;
    let door = Door::of(&tenant).await;
    let stored = door.ok("GET", "/settings", None).await;
    assert_eq!(stored["settings"]["export"]["policy"], "all_contacted");

    ann(&door).await;
    // The window is narrow: the navigation is folded.
    browser.click("nav.side summary", 1).await;
    browser.click("nav.side a[href$='/people']", 1).await;
    browser.until_shown("Search, and open the person").await;
    browser.click("#q", 1).await;
    browser.type_in("ann.lee@example.com").await;
    browser.press("Enter").await;
    browser.until_shown("Ann Lee").await;
    browser.click("th a[href$='/people/ann']", 1).await;
    browser.until_shown("May we contact?").await;
    browser.click("form[action$='/preview'] button", 1).await;
    browser.until_shown("Contact would be made").await;
    assert!(
        !ann_is_in_hubspot(&tenant).await,
        "a preview writes nothing"
    );
    browser.click("form[action$='/export'] button", 1).await;
    browser.until_shown("Export started.").await;
    reload_until(&mut browser, "Exported").await;
    until("HubSpot has her", async || ann_is_in_hubspot(&tenant).await).await;

    browser
        .visit(&format!("{web}/settings/hubspot/disconnect"))
        .await;
    let name = browser
        .evaluate("document.querySelector('[data-must-equal]').dataset.mustEqual")
        .await;
    browser.click("#name", 1).await;
    browser.type_in(name.as_str().unwrap()).await;
    browser.click("#disconnect", 1).await;
    browser.until_shown("Disconnected:").await;
    tenant.wait_for_phase("disconnected", LONG).await;
    assert_eq!(browser.violations().await, [""; 0]);
}

#[tokio::test]
async fn everything_is_done_by_the_keyboard_alone() {
    let tenant = tenant().await;
    let web = tenant.api.addresses().web.clone();
    let at = |path: &str| format!("{web}/settings/hubspot{path}");
    let mut browser = Browser::start().await;
    browser.visit(&link(&tenant)).await;
    browser
        .until_shown("What HubSpot will ask you to allow")
        .await;
    // The first key leads to a link past everything else.
    browser.press("Tab").await;
    let first = browser.evaluate("document.activeElement.innerText").await;
    assert_eq!(first, "Skip to content");
    browser.press("Enter").await;
    browser.tab_to("#connect").await;
    browser.press("Enter").await;
    browser.until_shown("The app asks for").await;
    // HubSpot's own page.
    browser.choose("#portal", &tenant.portal.to_string()).await;
    browser.click("#approve", 1).await;
    browser
        .until_shown("Connect this HubSpot account to this workspace?")
        .await;
    browser.tab_to("#connect").await;
    browser.press("Enter").await;
    browser.until_shown("HubSpot is connected").await;
    browser.tab_to("#settings").await;
    browser.press("Enter").await;
    browser.until_shown("In step").await;
    tenant.wait_for_phase("syncing", LONG).await;
    let door = Door::of(&tenant).await;
    ann(&door).await;

    // A setting: the arrows choose, the space bar switches, what is focused is seen.
    browser.visit(&at("/basic-sync")).await;
    browser.tab_to("input[name=policy]").await;
    browser.press("ArrowDown").await;
    let outline = browser
        .evaluate("getComputedStyle(document.activeElement).outlineStyle")
        .await;
    assert_ne!(outline, "none", "the focus is seen");
    let chosen = browser.evaluate("document.activeElement.value").await;
    browser.tab_to("#save").await;
    browser.press("Enter").await;
    browser.until_shown("Saved.").await;
    let stored = door.ok("GET", "/settings", None).await;
    assert_eq!(stored["settings"]["export"]["policy"], chosen);
    // What is wrong has the focus, and leads to its field.
    browser.tab_to("#ceiling-on").await;
    browser.press("Space").await;
    browser.tab_to("#ceiling").await;
    browser.type_in("many").await;
    browser.tab_to("#save").await;
    browser.press("Enter").await;
    browser.until_shown("Nothing was saved yet.").await;
    browser.tab_to("a[href='#ceiling']").await;
    browser.press("Enter").await;
    let on = browser.evaluate("document.activeElement.id").await;
    assert_eq!(on, "ceiling");
    // Leaving what was typed asks, and discarding it does not.
    browser.visit(&at("/people")).await;
    assert_eq!(browser.asked(), ["beforeunload"]);
    browser.visit(&at("/basic-sync")).await;
    browser.tab_to("#ceiling-on").await;
    browser.press("Space").await;
    browser.tab_to("#save").await;
    browser.press("Enter").await;
    browser.until_shown("Nothing was saved yet.").await;
    browser.tab_to("#discard").await;
    browser.press("Enter").await;
    browser.until_gone("Nothing was saved yet.").await;
    browser.visit(&at("/people")).await;
    assert_eq!(browser.asked(), [""; 0]);

    // Somebody: found, previewed, exported.
    browser.tab_to("#q").await;
    browser.type_in("ann.lee@example.com").await;
    browser.press("Enter").await;
    browser.until_shown("Ann Lee").await;
    browser.tab_to("th a[href$='/people/ann']").await;
    browser.press("Enter").await;
    browser.until_shown("May we contact?").await;
    browser.tab_to("form[action$='/preview'] button").await;
    browser.press("Enter").await;
    browser.until_shown("Contact would be made").await;
    browser.tab_to("form[action$='/export'] button").await;
    browser.press("Enter").await;
    browser.until_shown("Export started.").await;
    until("HubSpot has her", async || ann_is_in_hubspot(&tenant).await).await;

    // A problem is retried.
    door.people(json!([{"id": "nobody", "version": 1}])).await;
    exports::export(&door, "nobody").await;
    browser.visit(&at("/problems")).await;
    browser.tab_to("#no_email form button").await;
    browser.press("Enter").await;
    browser.until_shown("They are tried again now.").await;

    // Many at once: chosen, looked at, stopped.
    browser.visit(&at("/bulk-export")).await;
    browser.tab_to("input[name=whom]").await;
    browser.press("ArrowDown").await;
    browser.press("ArrowDown").await;
    browser.tab_to("textarea[name=people]").await;
    browser.type_in("ann").await;
    browser.tab_to("#preview").await;
    browser.press("Enter").await;
    browser.until_shown("Waits for you").await;
    browser.tab_to("form[action$='/stop'] button").await;
    browser.press("Enter").await;
    browser
        .until_shown("Stopped: nobody else is begun with.")
        .await;

    // To the danger zone and through it.
    browser.visit(&at("")).await;
    browser.tab_to("a[href$='/disconnect']").await;
    browser.press("Enter").await;
    browser.until_shown("Type the portal’s name").await;
    let name = browser
        .evaluate("document.querySelector('[data-must-equal]').dataset.mustEqual")
        .await;
    browser.tab_to("#name").await;
    browser.type_in(name.as_str().unwrap()).await;
    browser.tab_to("#disconnect").await;
    browser.press("Enter").await;
    browser.until_shown("Disconnected:").await;
    tenant.wait_for_phase("disconnected", LONG).await;
    assert_eq!(browser.violations().await, [""; 0]);
}
