//! Owners on the settings pages: who is suggested for an owner without a team member (E6).

use e2e::{
    pages::{Pages, between},
    planted::Planted,
    shared,
};
use serde_json::json;

const OWNERS: &str = "/settings/hubspot/owners";

#[tokio::test]
async fn who_is_alike_is_suggested_and_stands_for_the_owner_once_that_is_saved() {
    let portal = Planted::on(&shared(), json!({"owners": 2})).await;
    let door = portal.connect().await;
    let owners = door.ok("GET", "/owners", None).await;
    let (one, other) = (&owners["items"][0], &owners["items"][1]);
    door.ok(
        "POST",
        "/members",
        Some(json!({"items": [
            {"id": "m-1", "version": 1, "name": one["name"], "email": "somebody@elsewhere.example"},
            {"id": "m-2", "version": 1, "name": "Somebody", "email": other["email"]},
        ]})),
    )
    .await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(OWNERS).await;
    for shown in [
        "Suggested: ",
        "somebody@elsewhere.example",
        "(same name)",
        "1 of 2",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    let member = Pages::open(&portal.tenant, "member").await;
    let read_only = member.get(OWNERS).await.text;
    assert!(
        read_only.contains("Suggested: ") && !read_only.contains("Use suggestion"),
        "{read_only}"
    );
    let field = format!("owner-{}", one["owner"]);
    let step = format!("use {field}");
    assert!(page.text.contains(&format!("value=\"{step}\"")));

    // Chosen, not saved: it stays where it was, with the bar that saves.
    let mut fields = page.form(OWNERS);
    fields.retain(|(name, _)| name != "csrf");
    fields.push(("step".to_owned(), step));
    let sent: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let chosen = pages.post(OWNERS, &sent).await;
    assert_eq!(chosen.status, 200, "{}", chosen.text);
    let form = chosen.form(OWNERS);
    assert!(
        form.contains(&(field.clone(), "m-1".to_owned())),
        "{form:?}"
    );
    assert!(chosen.text.contains("data-changes=\"1\""));
    assert!(!chosen.text.contains("Suggested: "), "{}", chosen.text);
    let open = between(&chosen.text, "id=\"unmatched\"", "</section>").unwrap();
    assert!(open.contains(&field), "{}", chosen.text);
    let rows =
        async || door.ok("GET", "/settings", None).await["settings"]["owners"]["rows"].clone();
    assert_eq!(rows().await, json!([]));

    let sent: Vec<_> = form
        .iter()
        .filter(|(name, _)| name != "csrf")
        .map(|(n, v)| (&**n, &**v))
        .collect();
    let saved = pages.post(OWNERS, &sent).await;
    assert_eq!(
        saved.location(),
        format!("{OWNERS}?done=saved"),
        "{}",
        saved.text
    );
    assert_eq!(
        rows().await,
        json!([{"owner": one["owner"], "member": "m-1"}])
    );
    let all = pages.get(OWNERS).await;
    for shown in ["All matched", "2 of 2"] {
        assert!(all.text.contains(shown), "no {shown} in {}", all.text);
    }
}
