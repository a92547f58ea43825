//! The mapping shows what its rows do with the values of one real record (E4, I5).

use e2e::{
    pages::{Pages, between},
    planted::Planted,
    profiles::until,
};
use serde_json::json;

const CONTACTS: &str = "/settings/hubspot/mapping/contacts";

#[tokio::test]
async fn rows_show_what_they_do_with_the_values_of_one_record() {
    let portal = Planted::new().await;
    portal
        .record(
            "contacts",
            json!({"email": "ann.lee@example.com", "firstname": "Ann", "jobtitle": "Head of Sales"}),
            &[],
        )
        .await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let none = pages.get(CONTACTS).await;
    assert!(!none.text.contains("Example: "), "{}", none.text);

    // Of two the one who is in HubSpot too.
    door.people(json!([
        {"id": "a-nobody", "version": 1, "email": "nobody@example.com", "fields": {"first_name": "No"}},
        {"id": "ann", "version": 1, "email": "ann.lee@example.com",
         "fields": {"first_name": "Ann", "last_name": "Lee", "job_title": "VP Sales"}},
    ]))
    .await;
    let row = async |field: &str| {
        let page = pages.get(CONTACTS).await;
        let row = between(&page.text, &format!("name=\"property-{field}\""), "</tr>");
        let cell = between(row.unwrap_or_default(), "data-l=\"Example\">", "</td>");
        cell.unwrap_or_default().to_owned()
    };
    until("who is linked is the example", async || {
        let page = pages.get(CONTACTS).await;
        page.text.contains("Example: <bdi>Ann Lee</bdi>")
    })
    .await;
    let title = row("job_title").await;
    assert!(
        title.contains("Head of Sales") && title.contains("Stays as it is"),
        "{title}"
    );
    let same = row("first_name").await;
    assert!(same.contains("Same on both sides"), "{same}");
    let filled = row("last_name").await;
    assert!(
        filled.contains("nothing") && filled.contains("<ins><bdi>Lee</bdi></ins>"),
        "{filled}"
    );

    let fields = [("revision", "0"), ("export-job_title", "overwrite")];
    assert_eq!(pages.post(CONTACTS, &fields).await.status, 303);
    let title = row("job_title").await;
    for shown in [
        "<del><bdi>Head of Sales</bdi></del>",
        "<ins><bdi>VP Sales</bdi></ins>",
    ] {
        assert!(title.contains(shown), "no {shown} in {title}");
    }
}
