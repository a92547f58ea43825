//! The settings pages in a real browser: opened from the app, connected, a setting changed and seen
//! saved; with script, and by the pages' own policy.

use std::time::Duration;

use dev::entry;
use e2e::{Tenant, browser::Browser, door::Door, pages::claims, shared};
use serde_json::json;

#[tokio::test]
async fn an_admin_connects_watches_and_changes_a_setting() {
    let size = json!({"contacts": 300, "companies": 5, "deals": 2, "lists": 1, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    let mut said = claims(&tenant, "admin");
    said["user_name"] = json!("Mara Quill");
    said["workspace_name"] = json!("Brightwater");
    let mut browser = Browser::start().await;
    browser
        .open(&entry::link(tenant.api.addresses(), &said).unwrap())
        .await;
    browser
        .until_shown("What HubSpot will ask you to allow")
        .await;
    assert!(
        !browser.address().await.contains("token"),
        "the token is gone from the address"
    );

    browser.connect(tenant.portal).await;
    // The page follows the import by itself.
    browser.until_shown("In step").await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    browser.until_shown("Choose who is exported").await;

    let address = browser.address().await;
    let base = address
        .split("/settings/hubspot")
        .next()
        .unwrap()
        .to_owned();
    browser
        .open(&format!("{base}/settings/hubspot/basic-sync"))
        .await;
    browser.until_shown("Who is exported").await;
    // Before anything was saved, what the page proposes can be saved as it is.
    browser.reload().await;
    browser.until_shown("Not saved yet").await;
    assert_ne!(browser.style_of(".savebar", "display").await, "\"none\"");
    browser
        .click("input[name=policy][value=all_contacted]", 1)
        .await;
    browser.until_shown("1 change").await;
    browser.click("#save", 1).await;
    browser.until_shown("Saved.").await;
    let door = Door::of(&tenant).await;
    let stored = door.ok("GET", "/settings", None).await;
    assert_eq!(stored["settings"]["export"]["policy"], "all_contacted");
    browser.reload().await;
    // From now on the bar is there only while something differs.
    assert_eq!(browser.style_of(".savebar", "display").await, "\"none\"");
    browser
        .run(
            "document.title = String(document.querySelector('input[value=all_contacted]').checked)",
        )
        .await;
    browser
        .run("document.body.insertAdjacentText('beforeend', 'chosen: ' + document.title)")
        .await;
    browser.until_shown("chosen: true").await;

    // Dark by a click, and still so on the next page.
    browser.click("[name=theme][value=dark]", 1).await;
    browser
        .open(&format!("{base}/settings/hubspot/problems"))
        .await;
    browser.until_shown("No problems").await;
    browser.run("document.body.insertAdjacentText('beforeend', 'theme: ' + document.documentElement.dataset.theme)").await;
    browser.until_shown("theme: dark").await;
    assert_eq!(browser.violations().await, [""; 0]);
}
