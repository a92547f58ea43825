//! Lists: kinds, filters, memberships, cursors.

use serde_json::{Value, json};

use crate::portal::{Portal, objects};

const LISTS: &str = "/crm/lists/2026-09";

async fn create(portal: &Portal, body: Value) -> String {
    let (status, made) = portal.post(LISTS, body).await;
    assert_eq!(status, 200, "{made}");
    made["list"]["listId"].as_str().unwrap().to_owned()
}

fn filters(filters: Value) -> Value {
    json!({
        "filterBranchType": "OR", "filters": [],
        "filterBranches": [{"filterBranchType": "AND", "filterBranches": [], "filters": filters}],
    })
}

fn property(name: &str, operator: &str, values: Value) -> Value {
    json!({"filterType": "PROPERTY", "property": name,
           "operation": {"operationType": "MULTISTRING", "operator": operator, "values": values}})
}

async fn members(portal: &Portal, list: &str) -> Vec<String> {
    let (status, page) = portal.get(&format!("{LISTS}/{list}/memberships")).await;
    assert_eq!(status, 200, "{page}");
    page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["recordId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn manual_lists_are_edited() {
    let portal = Portal::new(json!({})).await;
    let a = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let b = portal
        .create("contacts", json!({"email": "b@example.com"}))
        .await;
    let list = create(
        &portal,
        json!({"name": "M", "objectTypeId": "0-1", "processingType": "MANUAL"}),
    )
    .await;
    let path = format!("{LISTS}/{list}/memberships");
    let (status, added) = portal.put(&format!("{path}/add"), json!([a, "1"])).await;
    assert_eq!(status, 200);
    assert_eq!(
        added,
        json!({"recordsIdsAdded": [a], "recordIdsRemoved": [], "recordIdsMissing": ["1"]})
    );
    let (_, both) = portal
        .put(
            &format!("{path}/add-and-remove"),
            json!({"recordIdsToAdd": [b], "recordIdsToRemove": [a]}),
        )
        .await;
    assert_eq!(
        both,
        json!({"recordsIdsAdded": [b], "recordIdsRemoved": [a], "recordIdsMissing": []})
    );
    assert_eq!(members(&portal, &list).await, [b.clone()]);
    let (_, of) = portal
        .get(&format!("{LISTS}/records/0-1/{b}/memberships"))
        .await;
    assert_eq!(of["results"][0]["listId"], list.as_str());
    portal.put(&format!("{path}/remove"), json!([b])).await;
    assert!(members(&portal, &list).await.is_empty());
    let (status, body) = portal
        .post(
            LISTS,
            json!({"name": "M", "objectTypeId": "0-1", "processingType": "MANUAL"}),
        )
        .await;
    assert_eq!(
        (status, body["subCategory"].as_str()),
        (400, Some("ILS.DUPLICATE_LIST_NAMES"))
    );
}

#[tokio::test]
async fn dynamic_lists_follow_their_filters() {
    let portal = Portal::new(json!({})).await;
    let a = portal
        .create(
            "contacts",
            json!({"email": "a@example.com", "city": "Oslo"}),
        )
        .await;
    let b = portal
        .create(
            "contacts",
            json!({"email": "b@example.com", "city": "Lima"}),
        )
        .await;
    let body = |name: &str, root: Value| json!({"name": name, "objectTypeId": "0-1", "processingType": "DYNAMIC", "filterBranch": root});
    let oslo = create(
        &portal,
        body(
            "Oslo",
            filters(json!([property("city", "IS_EQUAL_TO", json!(["oslo"]))])),
        ),
    )
    .await;
    assert_eq!(members(&portal, &oslo).await, [a.clone()]);
    portal
        .patch(
            &format!("{}/{b}", objects("contacts")),
            json!({"properties": {"city": "Oslo"}}),
        )
        .await;
    assert_eq!(members(&portal, &oslo).await, [a.clone(), b.clone()]);
    portal.delete(&format!("{}/{a}", objects("contacts"))).await;
    assert_eq!(members(&portal, &oslo).await, [b.clone()]);
    let (status, _) = portal
        .put(&format!("{LISTS}/{oslo}/memberships/add"), json!([b]))
        .await;
    assert_eq!(status, 400, "members of a dynamic list cannot be set");
    // Other filters.
    for (name, filter, wanted) in [
        ("known", property("city", "IS_KNOWN", json!([])), true),
        (
            "unknown",
            property("jobtitle", "IS_UNKNOWN", json!([])),
            true,
        ),
        (
            "not",
            property("city", "IS_NOT_EQUAL_TO", json!(["Oslo"])),
            false,
        ),
        (
            "any",
            property("city", "IS_ANY_OF", json!(["Lima", "Oslo"])),
            true,
        ),
        (
            "starts",
            property("email", "STARTS_WITH", json!(["b@"])),
            true,
        ),
        (
            "list",
            json!({"filterType": "IN_LIST", "operator": "IN_LIST", "listId": oslo}),
            true,
        ),
        (
            "outside",
            json!({"filterType": "IN_LIST", "operator": "NOT_IN_LIST", "listId": oslo}),
            false,
        ),
        (
            "after",
            json!({"filterType": "PROPERTY", "property": "createdate", "operation":
            {"operationType": "TIME_POINT", "operator": "IS_AFTER",
             "timePoint": {"timeType": "DATE", "year": 2020, "month": 1, "day": 1}}}),
            true,
        ),
    ] {
        let list = create(&portal, body(name, filters(json!([filter])))).await;
        assert_eq!(members(&portal, &list).await.contains(&b), wanted, "{name}");
    }
    for root in [
        Value::Null,
        json!({"filterBranchType": "AND", "filters": []}),
        filters(json!([property("nonsense", "IS_KNOWN", json!([]))])),
        filters(json!([property("city", "RHYMES_WITH", json!(["x"]))])),
        filters(json!([{"filterType": "PAGE_VIEW"}])),
    ] {
        assert_eq!(portal.post(LISTS, body("bad", root)).await.0, 400);
    }
    let (_, changed) = portal
        .put(
            &format!("{LISTS}/{oslo}/update-list-filters"),
            json!({"filterBranch": filters(json!([property("city", "IS_EQUAL_TO", json!(["Lima"]))]))}),
        )
        .await;
    assert_eq!(
        changed["updatedList"]["additionalProperties"]["hs_list_size"],
        "0"
    );
}

#[tokio::test]
async fn lists_of_companies_by_association() {
    let portal = Portal::new(json!({})).await;
    let acme = portal.create("companies", json!({"name": "Acme"})).await;
    portal.create("companies", json!({"name": "Other"})).await;
    let (status, _) = portal
        .post(
            &objects("contacts"),
            json!({"properties": {"email": "a@example.com", "city": "Oslo"},
                   "associations": [{"to": {"id": acme}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]}]}),
        )
        .await;
    assert_eq!(status, 201);
    let root = json!({
        "filterBranchType": "OR", "filters": [],
        "filterBranches": [{"filterBranchType": "AND", "filters": [], "filterBranches": [
            {"filterBranchType": "ASSOCIATION", "objectTypeId": "0-1", "operator": "IN_LIST",
             "associationTypeId": 280, "associationCategory": "HUBSPOT_DEFINED", "filterBranches": [],
             "filters": [property("city", "IS_EQUAL_TO", json!(["Oslo"]))]},
        ]}],
    });
    let list = create(
        &portal,
        json!({"name": "C", "objectTypeId": "0-2", "processingType": "DYNAMIC", "filterBranch": root}),
    )
    .await;
    assert_eq!(members(&portal, &list).await, [acme]);
}

#[tokio::test]
async fn snapshots_are_taken_once() {
    let portal = Portal::new(json!({})).await;
    let a = portal
        .create(
            "contacts",
            json!({"email": "a@example.com", "city": "Oslo"}),
        )
        .await;
    let list = create(
        &portal,
        json!({"name": "S", "objectTypeId": "0-1", "processingType": "SNAPSHOT",
               "filterBranch": filters(json!([property("city", "IS_EQUAL_TO", json!(["Oslo"]))]))}),
    )
    .await;
    let b = portal
        .create(
            "contacts",
            json!({"email": "b@example.com", "city": "Oslo"}),
        )
        .await;
    assert_eq!(members(&portal, &list).await, [a.clone()]);
    portal
        .put(&format!("{LISTS}/{list}/memberships/add"), json!([b]))
        .await;
    assert_eq!(members(&portal, &list).await, [a, b]);
}

#[tokio::test]
async fn a_list_that_is_processing_is_incomplete() {
    let portal = Portal::new(json!({"contacts": 20, "list_processing_ms": 3_600_000})).await;
    let list = create(
        &portal,
        json!({"name": "D", "objectTypeId": "0-1", "processingType": "DYNAMIC",
               "filterBranch": filters(json!([property("email", "IS_KNOWN", json!([]))]))}),
    )
    .await;
    let status =
        async || portal.get(&format!("{LISTS}/{list}")).await.1["list"]["processingStatus"].clone();
    assert_eq!(status().await, "PROCESSING");
    assert_eq!(members(&portal, &list).await.len(), 10);
    portal.control("POST", "settle", json!({})).await;
    assert_eq!(status().await, "COMPLETE");
    assert_eq!(members(&portal, &list).await.len(), 20);
    portal
        .control(
            "PATCH",
            &format!("lists/{list}"),
            json!({"processing_status": "PROCESSING"}),
        )
        .await;
    assert_eq!(status().await, "PROCESSING");
}

#[tokio::test]
async fn memberships_page_by_id_and_by_time() {
    let portal = Portal::new(json!({"contacts": 600, "lists": 1, "seed": 3})).await;
    let (_, found) = portal.post(&format!("{LISTS}/search"), json!({})).await;
    let list = found["lists"][0]["listId"].as_str().unwrap().to_owned();
    let size: usize = found["lists"][0]["additionalProperties"]["hs_list_size"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(size > 20, "{size}");
    for order in ["", "/join-order"] {
        let mut all: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("{LISTS}/{list}/memberships{order}?limit=20{after}");
            let (status, page) = portal.get(&path).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["results"].as_array().unwrap().clone());
            match page["paging"]["next"]["after"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(all.len(), size);
        let key = if order.is_empty() {
            "recordId"
        } else {
            "membershipTimestamp"
        };
        let keys: Vec<&str> = all.iter().map(|m| m[key].as_str().unwrap()).collect();
        assert!(keys.is_sorted(), "{order}");
    }
    assert_eq!(
        portal
            .get(&format!("{LISTS}/{list}/memberships?limit=251"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn all_lists_by_a_cursor_that_belongs_to_its_filters() {
    let portal = Portal::new(json!({"contacts": 10, "lists": 9})).await;
    let all = format!("{LISTS}/all");
    let (_, first) = portal.post(&all, json!({"limit": 4})).await;
    let after = first["paging"]["next"]["after"].clone();
    let (status, second) = portal
        .post(&all, json!({"limit": 100, "after": after}))
        .await;
    assert_eq!(status, 200);
    assert_eq!(second["results"].as_array().unwrap().len(), 5);
    let (status, body) = portal
        .post(
            &all,
            json!({"limit": 4, "after": after, "processingTypes": ["MANUAL"]}),
        )
        .await;
    assert_eq!(
        (status, body["category"].as_str()),
        (400, Some("INVALID_CURSOR"))
    );
}

#[tokio::test]
async fn deleted_lists_come_back() {
    let portal = Portal::new(json!({"lists": 1})).await;
    let path = format!("{LISTS}/10");
    assert_eq!(portal.get(&path).await.0, 200);
    assert_eq!(portal.delete(&path).await.0, 204);
    assert_eq!(portal.get(&path).await.0, 404);
    assert_eq!(portal.get(&format!("{path}/memberships")).await.0, 404);
    assert_eq!(
        portal.put(&format!("{path}/restore"), json!({})).await.0,
        204
    );
    let (_, renamed) = portal
        .put(&format!("{path}/update-list-name?listName=New"), json!({}))
        .await;
    assert_eq!(renamed["updatedList"]["name"], "New");
    let (_, found) = portal
        .get(&format!("{LISTS}/object-type-id/0-1/name/New"))
        .await;
    assert_eq!(found["list"]["listId"], "10");
}

#[tokio::test]
async fn lists_take_from_others_are_cleared_and_known_by_old_ids() {
    let portal = Portal::new(json!({"contacts": 3})).await;
    let all = create(
        &portal,
        json!({"name": "All", "objectTypeId": "0-1", "processingType": "DYNAMIC",
               "filterBranch": filters(json!([property("email", "IS_KNOWN", json!([]))]))}),
    )
    .await;
    let some = create(
        &portal,
        json!({"name": "Some", "objectTypeId": "0-1", "processingType": "MANUAL"}),
    )
    .await;
    let path = format!("{LISTS}/{some}/memberships");
    let (status, added) = portal
        .put(&format!("{path}/add-from/{all}"), json!({}))
        .await;
    assert_eq!(status, 204, "{added}");
    assert_eq!(members(&portal, &some).await, members(&portal, &all).await);
    assert_eq!(members(&portal, &some).await.len(), 3);
    assert_eq!(portal.delete(&path).await.0, 204);
    assert!(members(&portal, &some).await.is_empty());
    let (_, mapped) = portal
        .post(&format!("{LISTS}/idmapping"), json!([some, "99"]))
        .await;
    assert_eq!(
        mapped,
        json!({"legacyListIdsToIdsMapping": [{"listId": some, "legacyListId": some}],
               "missingLegacyListIds": ["99"]})
    );
    let (_, both) = portal
        .get(&format!(
            "{LISTS}?listIds={all}&listIds={some}&includeFilters=true"
        ))
        .await;
    assert_eq!(both["lists"].as_array().unwrap().len(), 2);
    assert!(both["lists"][0]["filterBranch"].is_object());
}
