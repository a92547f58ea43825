//! I3: associations that were added, removed or labelled, which moves no last-modified.

use domain::ObjectType;
use e2e::assert_mirrored;
use serde_json::json;

use crate::i3_support::{Somebody, Way, ids, world};

async fn they_arrive(way: Way) {
    let size = json!({"contacts": 150, "companies": 20, "deals": 30, "lists": 0, "owners": 2});
    let (tenant, store) = world(size).await;
    let contacts = ids(&tenant, &store, ObjectType::Contact).await;
    let companies = ids(&tenant, &store, ObjectType::Company).await;
    let deals = ids(&tenant, &store, ObjectType::Deal).await;
    let somebody = Somebody::of(&tenant).await;
    let links = async |from| {
        store
            .associations_from(tenant.workspace, tenant.portal, from)
            .await
            .unwrap()
    };
    let of_contacts = links(ObjectType::Contact).await;
    let base = "/crm/associations/2026-09/contacts/companies";

    // One is removed, one is added, one gets a label.
    let removed = &of_contacts[0];
    let input =
        json!([{"from": {"id": removed.from.to_string()}, "to": [{"id": removed.to.to_string()}]}]);
    somebody
        .post(&format!("{base}/batch/archive"), json!({"inputs": input}))
        .await;
    let from = contacts[70];
    let to = companies
        .iter()
        .find(|company| {
            of_contacts
                .iter()
                .all(|link| (link.from, link.to) != (from, **company))
        })
        .unwrap();
    let plain = json!({"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279});
    let input = json!([{
        "from": {"id": from.to_string()}, "to": {"id": to.to_string()}, "types": [plain],
    }]);
    somebody
        .post(&format!("{base}/batch/create"), json!({"inputs": input}))
        .await;
    // Lists name it by its name, batches by its label: here they are the same.
    let made = somebody
        .post(
            &format!("{base}/labels"),
            json!({"label": "decides", "name": "decides"}),
        )
        .await;
    let label = made["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["label"] == "decides")
        .unwrap();
    let labelled = of_contacts.last().unwrap();
    assert_ne!(labelled.from, removed.from);
    let typed =
        json!({"associationCategory": label["category"], "associationTypeId": label["typeId"]});
    let input = json!([{
        "from": {"id": labelled.from.to_string()}, "to": {"id": labelled.to.to_string()},
        "types": [plain, typed],
    }]);
    somebody
        .post(&format!("{base}/batch/create"), json!({"inputs": input}))
        .await;
    // And a deal gets a contact.
    let input = json!([{
        "from": {"id": deals[3].to_string()}, "to": {"id": contacts[99].to_string()},
        "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
    }]);
    somebody
        .post(
            "/crm/associations/2026-09/deals/contacts/batch/create",
            json!({"inputs": input}),
        )
        .await;

    way.bring(&tenant).await;
    assert_mirrored(&tenant, &store).await;
    let now = links(ObjectType::Contact).await;
    let link = |from, to| now.iter().find(|link| (link.from, link.to) == (from, to));
    assert_eq!(link(removed.from, removed.to), None);
    assert!(link(from, *to).is_some());
    let labels = &link(labelled.from, labelled.to).unwrap().labels;
    assert!(labels.len() > labelled.labels.len(), "{labels:?}");
    assert!(
        links(ObjectType::Deal)
            .await
            .iter()
            .any(|link| (link.from, link.to) == (deals[3], contacts[99]))
    );
}

#[tokio::test]
async fn a_reading_from_scratch_brings_changes_of_associations_alone() {
    they_arrive(Way::FromScratch).await;
}

#[tokio::test]
async fn a_reconciliation_brings_changes_of_associations_alone() {
    they_arrive(Way::Reconcile).await;
}
