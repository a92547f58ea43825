//! E9, E10 at the front door: previews, the journal and reverts, as far as they can be told without an
//! export.

use e2e::{Tenant, door::Door, shared};
use serde_json::json;
use uuid::Uuid;

/// Puts done updates of a contact into the journal: the newest last.
async fn plant(tenant: &Tenant, person: &str, entries: &[Uuid]) {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let workspace = tenant.workspace.to_string();
    for entry in entries {
        client
            .execute(
                "insert into export_journal (workspace_id, entry_id, portal_id, person_id, subject_kind, subject_id,
                   cause, operation, object_type, object_id, written, state, opened_at, sent_at, closed_at)
                 values ($1::text::uuid, $2::text::uuid, 1, $3, 'person', $3, '{\"request\": \"manual\"}',
                   '{\"update\": [\"contact\", 7]}', 1, 7,
                   '[{\"property\": \"jobtitle\", \"rule\": {\"rule\": \"fixed\"}, \"old\": \"Head\", \"new\": \"Boss\", \"overwrote\": true},
                     {\"property\": \"city\", \"rule\": {\"rule\": \"fixed\"}, \"old\": null, \"new\": \"Ulm\", \"overwrote\": false}]',
                   'done', now(), now(), now())",
                &[&workspace, &entry.to_string(), &person],
            )
            .await
            .unwrap();
    }
}

async fn with_person(person: &str) -> (Tenant, Door) {
    let tenant = Tenant::new(
        &shared(),
        json!({"contacts": 1, "companies": 1, "limits": "off"}),
    )
    .await;
    let door = Door::of(&tenant).await;
    door.ok(
        "POST",
        "/people",
        Some(json!({"items": [{"id": person, "version": 1, "email": format!("{person}@example.com")}]})),
    )
    .await;
    (tenant, door)
}

#[tokio::test]
async fn the_journal_is_read_page_by_page_and_reverted_by_property() {
    let (tenant, door) = with_person("p1").await;
    let nothing = door.ok("GET", "/people/p1/journal", None).await;
    assert_eq!(nothing["items"], json!([]));
    let entries: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    plant(&tenant, "p1", &entries).await;
    let first = door.ok("GET", "/people/p1/journal?limit=2", None).await;
    let shown = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|i| i["entry"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        shown(&first),
        [entries[2].to_string(), entries[1].to_string()]
    );
    let next = first["next"].as_str().unwrap();
    let last = door
        .ok("GET", &format!("/people/p1/journal?after={next}"), None)
        .await;
    assert_eq!(shown(&last), [entries[0].to_string()]);
    assert_eq!(last["next"], json!(null));

    let one = door
        .ok("GET", &format!("/journal/{}", entries[0]), None)
        .await;
    assert_eq!(one["cause"], json!({"why": "request", "kind": "manual"}));
    assert_eq!(one["properties"][0]["old"], "Head");
    assert_eq!(one["properties"][0]["can_revert"], true);
    assert_eq!(one["properties"][1]["can_revert"], false);

    let path = format!("/journal/{}/revert", entries[0]);
    for (property, code) in [("city", "HS-2441"), ("phone", "HS-2441")] {
        let refused = door
            .call("POST", &path, Some(json!({"property": property})))
            .await;
        assert_eq!((refused.status, refused.code()), (409, code));
    }
    let asked = door
        .call("POST", &path, Some(json!({"property": "jobtitle"})))
        .await;
    assert_eq!(asked.status, 202, "{}", asked.body);
    let revert = asked.body["revert"].as_str().unwrap().to_owned();
    let again = door
        .ok("POST", &path, Some(json!({"property": "jobtitle"})))
        .await;
    assert_eq!(again["revert"], asked.body["revert"]);
    let stands = door.ok("GET", &format!("/reverts/{revert}"), None).await;
    assert_eq!(stands["entry"], entries[0].to_string());

    // Another workspace knows nothing of all this.
    let (_other, stranger) = with_person("p2").await;
    let unknown = Uuid::now_v7();
    for (at, method, path, body) in [
        (&stranger, "GET", format!("/journal/{}", entries[0]), None),
        (&stranger, "GET", format!("/reverts/{revert}"), None),
        (&stranger, "GET", "/people/p1/journal".to_owned(), None),
        (
            &stranger,
            "POST",
            path.clone(),
            Some(json!({"property": "jobtitle"})),
        ),
        (&door, "GET", format!("/journal/{unknown}"), None),
        (&door, "GET", format!("/reverts/{unknown}"), None),
        (&door, "GET", "/people/nobody/journal".to_owned(), None),
        (
            &door,
            "POST",
            "/exports/preview".to_owned(),
            Some(json!({"person": "nobody"})),
        ),
    ] {
        let answer = at.call(method, &path, body).await;
        assert_eq!((answer.status, answer.code()), (404, "HS-4009"), "{path}");
    }
}

#[tokio::test]
async fn without_a_connection_there_is_no_preview() {
    let (_tenant, door) = with_person("p1").await;
    let asked = Some(json!({"person": "p1"}));
    let refused = door.call("POST", "/exports/preview", asked).await;
    assert_eq!((refused.status, refused.code()), (409, "HS-1003"));
}
