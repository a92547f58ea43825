//! Lists on the settings pages: who came and left last (I6).

use e2e::{
    pages::{Pages, between},
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::json;

const LISTS: &str = "/settings/hubspot/lists";

#[tokio::test]
async fn a_list_with_a_use_tells_who_came_and_left_last() {
    let portal = Planted::new().await;
    let mut contacts = Vec::new();
    for n in 0..4 {
        let email = format!("c{n}@lists.example");
        contacts.push(
            portal
                .record("contacts", json!({"email": email}), &[])
                .await,
        );
    }
    let list = portal.list("Customers", "0-1", &contacts[..2]).await;
    portal.list("Of no use", "0-1", &contacts[..1]).await;
    let door = portal.connect().await;
    change_settings(&door, |s| {
        s["lists"] = json!([{"list": list, "use": "suppression"}]);
    })
    .await;
    let pages = Pages::open(&portal.tenant, "member").await;
    // Who may not change them looks for lists all the same.
    let found = pages.get(&format!("{LISTS}?find=NO+of")).await.text;
    let rest = between(&found, "id=\"all\"", "</section>").unwrap_or_default();
    assert!(rest.contains("<bdi>Of no use</bdi>"), "{found}");
    assert!(found.contains("value=\"NO of\""), "{found}");
    let none = pages.get(&format!("{LISTS}?find=nowhere")).await.text;
    assert!(none.contains("No other list is called so."), "{none}");
    let last = async |name: &str| {
        let page = pages.get(LISTS).await;
        let row = between(&page.text, &format!("<bdi>{name}</bdi>"), "</tr>").unwrap_or_default();
        let cell = between(row, "data-l=\"Last change\">", "</td>");
        cell.unwrap_or_default().to_owned()
    };
    until("the members were read", async || {
        last("Customers").await.contains("Members read")
    })
    .await;
    // Being read for the first time is no change.
    assert!(last("Customers").await.contains("None yet"));
    let unread = last("Of no use").await;
    assert!(unread.contains("—") && !unread.contains("read"), "{unread}");

    let body = json!({
        "recordIdsToAdd": [contacts[2].to_string(), contacts[3].to_string()],
        "recordIdsToRemove": [contacts[0].to_string()],
    });
    let path = format!("/crm/v3/lists/{list}/memberships/add-and-remove");
    portal.hubspot("PUT", &path, Some(body)).await;
    portal
        .resync(json!({"types": ["lists"], "mode": {"mode": "from_scratch"}}))
        .await;
    let told = last("Customers").await;
    for shown in ["+2 −1", "2 came, 1 left", ">today</time>"] {
        assert!(told.contains(shown), "no {shown} in {told}");
    }
}
