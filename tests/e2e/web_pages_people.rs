//! The page of a person: fields and properties are called what people call them (I5, E10).

use e2e::{
    exports,
    pages::{Pages, between},
    planted::{Planted, change_settings},
};
use serde_json::json;

#[tokio::test]
async fn fields_and_properties_are_called_by_their_labels() {
    let portal = Planted::new().await;
    let made = json!({"name": "tea_brand", "label": "Brand of <tea>", "type": "string",
        "fieldType": "text", "groupName": "contactinformation"});
    portal
        .hubspot("POST", "/crm/v3/properties/contacts", Some(made))
        .await;
    let door = portal.connect().await;
    let field = json!({"items": [{"record": "person", "key": "custom.tea", "label": "Favourite tea", "field_type": "text"}]});
    door.ok("POST", "/custom-fields", Some(field)).await;
    change_settings(&door, |s| {
        let rows = s["contacts"].as_array_mut().unwrap();
        rows.push(
            json!({"app_field": "custom.tea", "property": "tea_brand", "export": "overwrite"}),
        );
    })
    .await;
    door.people(
        json!([{"id": "ann", "version": 1, "email": "ann@example.com",
        "fields": {"first_name": "Ann", "custom.tea": "Assam"}}]),
    )
    .await;
    let pages = Pages::open(&portal.tenant, "member").await;
    let path = "/settings/hubspot/people/ann";
    let page = pages.get(path).await;
    let row = |text: &str, caption: &str| -> String {
        let table = between(
            text,
            &format!("<caption class=\"sr\">{caption}</caption>"),
            "</table>",
        );
        let rows = table.unwrap_or_default().split("<tr>");
        let mut rows = rows.filter(|row| row.contains("tea_brand"));
        rows.next().unwrap_or_default().to_owned()
    };
    let profile = row(&page.text, "Fields");
    for shown in [
        "<bdi>Favourite tea</bdi>",
        "custom.tea",
        "<bdi>Brand of &lt;tea&gt;</bdi>",
        "Assam",
    ] {
        assert!(profile.contains(shown), "no {shown} in {}", page.text);
    }
    assert_eq!(exports::export(&door, "ann").await["state"], "exported");
    let page = pages.get(path).await;
    let written = row(&page.text, "Entries");
    for shown in ["<bdi>Brand of &lt;tea&gt;</bdi>", "Assam"] {
        assert!(written.contains(shown), "no {shown} in {}", page.text);
    }
}
