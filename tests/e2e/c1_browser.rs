//! C1: the page that asks once more, in a real browser.

use std::time::{Duration, Instant};

use dev::demo::{ADMIN, ADMIN_NAME, WORKSPACE_NAME};
use domain::Epoch;
use e2e::{Tenant, browser::Browser, shared, store_of};
use serde_json::json;

const ASKED: &str = "Connect this HubSpot account to this workspace?";
const CONNECTED: &str = "HubSpot is connected";

/// Presses twice, loads again, goes back to every page before and even consents once more: one
/// connection comes of all that.
#[tokio::test]
async fn a_person_connects_once_whatever_is_pressed_afterwards() {
    let size = json!({"contacts": 40, "companies": 2, "deals": 2, "lists": 1, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    let store = store_of(tenant.api.addresses()).await;
    let request =
        json!({"admin": ADMIN, "workspace_name": WORKSPACE_NAME, "admin_name": ADMIN_NAME});
    let link = tenant.api.link(&tenant.id(), request).await.unwrap();
    let portal = tenant.portal.to_string();

    let mut browser = Browser::start().await;
    browser.open(&link).await;
    browser.until_shown("The app asks for").await;
    browser.choose("#portal", &portal).await;
    browser.click("#approve", 1).await;

    browser.until_shown(ASKED).await;
    let workspace = tenant.id();
    for (place, shown) in [
        ("#portal", portal.as_str()),
        ("#workspace", WORKSPACE_NAME),
        ("#admin", ADMIN_NAME),
    ] {
        assert_eq!(browser.text_of(place).await, shown, "{place}");
    }
    assert!(browser.text().await.contains(&workspace));
    // The style sheet came past the page's own policy: the two buttons differ.
    let colour = "backgroundColor";
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (connect, refuse) = (
            browser.style_of("#connect", colour).await,
            browser.style_of("#refuse", colour).await,
        );
        if connect != refuse {
            break;
        }
        assert!(Instant::now() < deadline, "both are {connect}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    browser.reload().await;
    browser.until_shown(ASKED).await;
    assert_eq!(store.connection(tenant.workspace).await.unwrap(), None);

    browser.click("#connect", 2).await;
    browser.until_shown(CONNECTED).await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    browser.reload().await;
    browser.until_shown(CONNECTED).await;
    // Back, where the question was: the page says how it stands, and asks nothing.
    let simulator = tenant.api.addresses().simulator.clone();
    loop {
        assert!(browser.back().await, "no way back to HubSpot's own page");
        if browser.address().await.starts_with(&simulator) {
            break;
        }
        browser.until_shown(CONNECTED).await;
        assert_eq!(browser.text_of("#connect").await, "");
    }
    // HubSpot's own page is still there, and may be answered once more.
    browser.until_shown("The app asks for").await;
    browser.choose("#portal", &portal).await;
    browser.click("#approve", 1).await;
    browser.until_shown(CONNECTED).await;

    let fence = store.fence_state(tenant.workspace).await.unwrap().unwrap();
    assert_eq!(fence.epoch, Epoch::new(1), "connected once");
    let at_hubspot = tenant.control("GET", "", None).await;
    assert_eq!(at_hubspot["refresh_tokens"], 1, "one code was exchanged");

    assert_eq!(browser.violations().await, [""; 0]);
    // It would have been heard.
    browser
        .run("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">x</p>')")
        .await;
    assert!(!browser.violations().await.is_empty());
}
