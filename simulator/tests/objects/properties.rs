//! Property definitions and groups.

use serde_json::{Value, json};

use crate::portal::{Portal, codes, objects};

const PATH: &str = "/crm/properties/2026-09/contacts";

fn property(name: &str) -> Value {
    json!({"name": name, "label": "L", "type": "string", "fieldType": "text",
           "groupName": "contactinformation"})
}

#[tokio::test]
async fn a_new_property_is_seen_late() {
    let portal = Portal::new(json!({"property_delay_ms": 3_600_000})).await;
    assert_eq!(portal.post(PATH, property("late")).await.0, 201);
    assert_eq!(portal.get(&format!("{PATH}/late")).await.0, 404);
    let new = json!({"properties": {"email": "a@example.com", "late": "x"}});
    let (status, body) = portal.post(&objects("contacts"), new.clone()).await;
    assert_eq!(
        (status, codes(&body)),
        (400, vec!["PROPERTY_DOESNT_EXIST".to_owned()])
    );
    assert_eq!(
        portal.post(PATH, property("late")).await.0,
        409,
        "but its name is taken"
    );
    portal.control("POST", "settle", json!({})).await;
    assert_eq!(portal.get(&format!("{PATH}/late")).await.0, 200);
    assert_eq!(portal.post(&objects("contacts"), new).await.0, 201);
}

#[tokio::test]
async fn a_name_is_taken_until_it_is_archived_and_then_comes_back() {
    let portal = Portal::new(json!({})).await;
    let (_, first) = portal.post(PATH, property("again")).await;
    let id = portal
        .create(
            "contacts",
            json!({"email": "a@example.com", "again": "kept"}),
        )
        .await;
    let (status, body) = portal.post(PATH, property("again")).await;
    assert_eq!(status, 409);
    assert_eq!(body["category"], "OBJECT_ALREADY_EXISTS");
    assert_eq!(body["subCategory"], "Properties.PROPERTY_WITH_NAME_EXISTS");
    assert_eq!(body["message"], "A property named 'again' already exists.");
    assert_eq!(portal.delete(&format!("{PATH}/again")).await.0, 204);
    let (status, body) = portal.get(&format!("{PATH}/again")).await;
    assert_eq!(
        (status, body["category"].as_str()),
        (404, Some("OBJECT_NOT_FOUND"))
    );
    let (_, archived) = portal.get(&format!("{PATH}?archived=true")).await;
    assert_eq!(archived["results"][0]["name"], "again");
    assert_eq!(archived["results"][0]["archived"], true);
    assert_eq!(
        portal
            .patch(
                &format!("{}/{id}", objects("contacts")),
                json!({"properties": {"again": "x"}})
            )
            .await
            .0,
        400
    );
    let (status, second) = portal.post(PATH, property("again")).await;
    assert_eq!(status, 201);
    assert_eq!(second["createdAt"], first["createdAt"]);
    assert_eq!(portal.value("contacts", &id, "again").await, "kept");
}

#[tokio::test]
async fn unique_ones_are_ten_and_stay_so() {
    let portal = Portal::new(json!({})).await;
    let unique = |name: &str| {
        let mut property = property(name);
        property["hasUniqueValue"] = json!(true);
        property
    };
    for n in 0..10 {
        assert_eq!(portal.post(PATH, unique(&format!("u{n}"))).await.0, 201);
    }
    assert_eq!(portal.post(PATH, unique("u10")).await.0, 400);
    let (status, _) = portal
        .patch(&format!("{PATH}/u1"), json!({"hasUniqueValue": false}))
        .await;
    assert_eq!(status, 400);
    portal
        .create("contacts", json!({"email": "a@example.com", "u1": "x"}))
        .await;
    let b = portal
        .create("contacts", json!({"email": "b@example.com", "u1": "y"}))
        .await;
    let path = format!("{}/{b}", objects("contacts"));
    let (status, body) = portal
        .patch(&path, json!({"properties": {"u1": "x"}}))
        .await;
    assert_eq!(
        (status, codes(&body)),
        (400, vec!["CONFLICTING_UNIQUE_VALUE".to_owned()])
    );
    // Its own value is no conflict; one that was given up is free.
    assert_eq!(
        portal
            .patch(&path, json!({"properties": {"u1": "y"}}))
            .await
            .0,
        200
    );
    assert_eq!(
        portal
            .patch(&path, json!({"properties": {"u1": "z"}}))
            .await
            .0,
        200
    );
    portal
        .create("contacts", json!({"email": "c@example.com", "u1": "y"}))
        .await;
}

#[tokio::test]
async fn options_are_replaced_as_a_whole() {
    let portal = Portal::new(json!({})).await;
    let mut one = property("one");
    one["type"] = json!("enumeration");
    one["fieldType"] = json!("select");
    one["options"] = json!([
        {"label": "A", "value": "a"}, {"label": "B", "value": "b", "displayOrder": 1},
    ]);
    let (_, made) = portal.post(PATH, one).await;
    let orders: Vec<i64> = made["options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["displayOrder"].as_i64().unwrap())
        .collect();
    assert_eq!(orders, [2, 1]);
    let (_, changed) = portal
        .patch(
            &format!("{PATH}/one"),
            json!({"options": [{"label": "C", "value": "c"}]}),
        )
        .await;
    assert_eq!(changed["options"].as_array().unwrap().len(), 1);
    let (status, _) = portal
        .post(
            &objects("contacts"),
            json!({"properties": {"email": "a@example.com", "one": "a"}}),
        )
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn definitions_that_are_refused() {
    let portal = Portal::new(json!({})).await;
    for (field, value) in [
        ("name", json!("Upper")),
        ("name", json!("1st")),
        ("type", json!("money")),
        ("fieldType", json!("checkbox")),
        ("groupName", json!("nonsense")),
        ("label", Value::Null),
    ] {
        let mut bad = property("good");
        bad[field] = value.clone();
        assert_eq!(portal.post(PATH, bad).await.0, 400, "{field} {value}");
    }
    // HubSpot's own stay as they are.
    assert_eq!(portal.delete(&format!("{PATH}/email")).await.0, 400);
    assert_eq!(
        portal
            .patch(&format!("{PATH}/email"), json!({"label": "x"}))
            .await
            .0,
        400
    );
    assert_eq!(
        portal
            .patch(&format!("{PATH}/nonsense"), json!({"label": "x"}))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn groups_and_batches() {
    let portal = Portal::new(json!({})).await;
    let groups = format!("{PATH}/groups");
    let new = json!({"name": "app", "label": "App"});
    assert_eq!(portal.post(&groups, new.clone()).await.0, 201);
    assert_eq!(portal.post(&groups, new).await.0, 409);
    let mut a = property("a");
    a["groupName"] = json!("app");
    let (status, made) = portal
        .post(
            &format!("{PATH}/batch/create"),
            json!({"inputs": [a, property("email"), property("b")]}),
        )
        .await;
    assert_eq!(status, 207);
    assert_eq!(made["numErrors"], 1);
    assert_eq!(made["errors"][0]["context"]["name"], json!(["email"]));
    let (_, read) = portal
        .post(
            &format!("{PATH}/batch/read"),
            json!({"archived": false, "inputs": [{"name": "a"}, {"name": "zz"}]}),
        )
        .await;
    assert_eq!(read["results"][0]["groupName"], "app");
    assert_eq!(read["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(
        portal.delete(&format!("{groups}/app")).await.0,
        400,
        "it is used"
    );
    let (status, _) = portal
        .post(
            &format!("{PATH}/batch/archive"),
            json!({"inputs": [{"name": "a"}]}),
        )
        .await;
    assert_eq!(status, 204);
    assert_eq!(portal.delete(&format!("{groups}/app")).await.0, 204);
    assert_eq!(portal.get(&format!("{groups}/app")).await.0, 404);
}
