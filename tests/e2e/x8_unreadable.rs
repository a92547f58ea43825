//! X8: what is stored reads back; a row that cannot be read all the same harms only itself.

use e2e::{
    Tenant,
    door::{Answer, Door},
    shared,
};
use serde_json::{Value, json};

async fn tenant() -> (Tenant, Door) {
    let tenant = Tenant::new(&shared(), json!({"contacts": 1, "limits": "off"})).await;
    let door = Door::of(&tenant).await;
    (tenant, door)
}

/// Runs a statement on the workspace's rows, as a hand or an older version would have left them.
async fn by_hand(tenant: &Tenant, sql: &str) {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let workspace: uuid::Uuid = tenant.id().parse().unwrap();
    let sql = sql.replace("$1", &format!("'{workspace}'"));
    assert!(client.execute(&sql, &[]).await.unwrap() >= 1, "{sql}");
}

fn of_items<'a>(answer: &'a Answer, what: &str) -> Vec<&'a Value> {
    answer.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item[what])
        .collect()
}

#[tokio::test]
async fn an_address_whose_lower_case_is_none_is_refused_and_the_others_go_in() {
    let (_tenant, door) = tenant().await;
    let odd = "İSMAİL@firma.com.tr";
    for path in ["/people", "/members"] {
        let items = json!([
            {"id": "tr1", "version": 1, "email": odd},
            {"id": "tr2", "version": 1, "email": "ISMAIL@firma.com.tr"},
        ]);
        let answer = door.call("POST", path, Some(json!({"items": items}))).await;
        assert_eq!(of_items(&answer, "outcome"), ["refused", "created"]);
        let problem = &answer.body["items"][0]["problem"];
        assert_eq!(
            (&problem["code"], &problem["field"]),
            (&json!("HS-2202"), &json!("email"))
        );
    }
    for path in ["/people", "/members", "/owners", "/settings", "/people/tr2"] {
        door.ok("GET", path, None).await;
    }
    assert_eq!(
        door.people(json!([{"id": "tr1", "version": 1}])).await,
        ["created"]
    );
    door.ok("POST", "/exports", Some(json!({"person": "tr1"})))
        .await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_harms_only_itself() {
    let (tenant, door) = tenant().await;
    let three = |version: u64| {
        json!([
            {"id": "a", "version": version}, {"id": "odd", "version": version}, {"id": "z", "version": version},
        ])
    };
    for (path, table, column) in [
        ("/people", "app_person", "person_id"),
        ("/companies", "app_company", "company_id"),
        ("/members", "app_member", "member_id"),
    ] {
        door.ok("POST", path, Some(json!({"items": three(1)})))
            .await;
        by_hand(
            &tenant,
            &format!("update {table} set document = '{{\"id\": \"odd\", \"email\": \"i\u{307}smail@firma.com.tr\"}}'
                      where workspace_id = $1 and {column} = 'odd'"),
        )
        .await;
        let named = json!([{"id": "odd", "code": "HS-2217"}]);
        let all = door.call("GET", path, None).await;
        assert_eq!(all.status, 200, "{}", all.body);
        assert_eq!(of_items(&all, "id"), ["a", "z"]);
        assert_eq!(all.body["unreadable"], named);
        // Page by page too; a page without anything odd does not speak of it.
        let mut seen = Vec::new();
        let mut next = String::new();
        for page in 0..3 {
            let page_of = door.ok("GET", &format!("{path}?limit=1{next}"), None).await;
            seen.extend(
                page_of["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|i| i["id"].clone()),
            );
            assert_eq!(page_of["unreadable"] == named, page == 1, "{page_of}");
            next = format!("&after={}", page_of["next"].as_str().unwrap_or_default());
        }
        assert_eq!(seen, ["a", "z"]);
        let alone = door.call("GET", &format!("{path}/odd"), None).await;
        assert_eq!((alone.status, alone.code()), (500, "HS-2217"), "{path}");
        // In a bulk it is refused alone, and stays as it is.
        let again = door
            .call("POST", path, Some(json!({"items": three(2)})))
            .await;
        assert_eq!(
            of_items(&again, "outcome"),
            ["unchanged", "refused", "unchanged"],
            "{path}"
        );
        assert_eq!(again.body["items"][1]["problem"]["code"], "HS-2217");
    }
    for path in ["/owners", "/settings", "/fields", "/hubspot/status"] {
        door.ok("GET", path, None).await;
    }
    let refused = door
        .call("POST", "/exports", Some(json!({"person": "odd"})))
        .await;
    assert_eq!(refused.code(), "HS-2217");
    door.ok("POST", "/exports", Some(json!({"person": "a"})))
        .await;
    door.ok(
        "POST",
        "/bulk-exports",
        Some(json!({"people": ["a", "odd"]})),
    )
    .await;
    by_hand(
        &tenant,
        "update export_request set kind = 'of_a_later_day' where workspace_id = $1 and person_id = 'odd'",
    )
    .await;
    let listed = door.call("GET", "/exports", None).await;
    assert_eq!(
        (listed.status, of_items(&listed, "person")),
        (200, vec![&json!("a"), &json!("a")])
    );
    assert_eq!(listed.body["unreadable"][0]["code"], "HS-2217");
    let id = listed.body["unreadable"][0]["id"].as_str().unwrap();
    let alone = door.call("GET", &format!("/exports/{id}"), None).await;
    assert_eq!((alone.status, alone.code()), (500, "HS-2217"));
}

#[tokio::test]
async fn stored_settings_that_cannot_be_read_can_be_replaced() {
    let (tenant, door) = tenant().await;
    let put =
        |revision: u64| json!({"expected_revision": revision, "settings": {"schema_version": 2}});
    door.ok("PUT", "/settings", Some(put(0))).await;
    by_hand(
        &tenant,
        "update settings_version set document = '{\"schema_version\": 2, \"of_a_later_day\": 1}' where workspace_id = $1",
    )
    .await;
    let unread = door.call("GET", "/settings", None).await;
    assert_eq!((unread.status, unread.code()), (500, "HS-2217"));
    assert!(
        unread.body["detail"]
            .as_str()
            .unwrap()
            .contains("expected_revision 1")
    );
    // Owners are shown by the defaults meanwhile, checking works, and a wrong revision is told.
    door.ok("GET", "/owners", None).await;
    door.ok(
        "POST",
        "/settings/check",
        Some(json!({"settings": {"schema_version": 2}})),
    )
    .await;
    let stale = door.call("PUT", "/settings", Some(put(0))).await;
    assert_eq!((stale.status, stale.code()), (409, "HS-2191"));
    door.ok("PUT", "/settings", Some(put(1))).await;
    assert_eq!(door.ok("GET", "/settings", None).await["revision"], 2);
}

#[tokio::test]
async fn a_custom_field_that_cannot_be_read_is_not_there() {
    let (tenant, door) = tenant().await;
    let field =
        |key: &str| json!({"record": "person", "key": key, "label": "L", "field_type": "text"});
    door.ok(
        "POST",
        "/custom-fields",
        Some(json!({"items": [field("custom.good"), field("custom.odd")]})),
    )
    .await;
    by_hand(
        &tenant,
        "update custom_field set definition = '{\"field_type\": \"colour\"}' where workspace_id = $1 and field_key = 'custom.odd'",
    )
    .await;
    door.ok("GET", "/fields", None).await;
    let items = json!({"items": [
        {"id": "a", "version": 1, "fields": {"custom.good": "x"}},
        {"id": "b", "version": 1, "fields": {"custom.odd": "x"}},
    ]});
    let answer = door.call("POST", "/people", Some(items)).await;
    assert_eq!(of_items(&answer, "outcome"), ["created", "refused"]);
    assert_eq!(answer.body["items"][1]["problem"]["code"], "HS-2203");
}
