//! I3: archived owners, deleted lists, and changed definitions of properties arrive with any reading, as
//! all of these are listed whole.

use std::time::{Duration, Instant};

use e2e::{Tenant, door::Door};
use serde_json::{Value, json};

use crate::i3_support::{MINUTE, Somebody, resync, world};

async fn definition(tenant: &Tenant, name: &str) -> Option<Value> {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let sql = "select definition::text from hubspot_property
               where portal_id = $1 and object_type = 1 and name = $2";
    let row = client
        .query_opt(sql, &[&tenant.portal.get(), &name])
        .await
        .unwrap()?;
    serde_json::from_str(row.get::<_, &str>(0)).ok()
}

async fn they_arrive(mode: &str) {
    let size = json!({"contacts": 60, "companies": 5, "deals": 5, "lists": 4, "owners": 6});
    let (tenant, store) = world(size).await;
    let somebody = Somebody::of(&tenant).await;
    let (workspace, portal) = (tenant.workspace, tenant.portal);
    let base = "/crm/properties/2026-09/contacts";
    let made = json!({
        "name": "segment", "label": "Segment", "groupName": "contactinformation", "type": "enumeration",
        "fieldType": "select",
        "options": [{"label": "Small", "value": "small"}, {"label": "Large", "value": "large"}],
    });
    somebody.post(base, made).await;
    for name in ["typed", "doomed"] {
        let made = json!({
            "name": name, "label": name, "groupName": "contactinformation", "type": "string",
            "fieldType": "text",
        });
        somebody.post(base, made).await;
    }
    // A new property can be read after a moment.
    let deadline = Instant::now() + MINUTE;
    let again = json!({"mode": {"mode": mode}});
    while definition(&tenant, "doomed").await.is_none() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(400)).await;
        resync(&tenant, again.clone()).await;
    }

    // A suppression list, whose members are read.
    let door = Door::of(&tenant).await;
    let lists = store.lists(workspace, portal).await.unwrap();
    let list = lists
        .iter()
        .find(|l| l.object_type_id == "0-1" && l.size > Some(0))
        .unwrap();
    let mut settings = door.ok("GET", "/settings", None).await["settings"].clone();
    settings["lists"] = json!([{"list": list.id, "use": "suppression"}]);
    let body = json!({"expected_revision": 0, "settings": settings});
    assert_eq!(door.call("PUT", "/settings", Some(body)).await.status, 200);
    let members = async || {
        let read = store.list_members(workspace, portal, list.id).await;
        read.unwrap().len() as u64
    };
    while Some(members().await) != list.size {
        assert!(Instant::now() < deadline + MINUTE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let owners = store.owners(workspace, portal).await.unwrap();
    let owner = owners.iter().find(|o| !o.archived).unwrap();
    let archived = json!({"archived": true});
    tenant
        .control("PATCH", &format!("owners/{}", owner.id), Some(archived))
        .await;
    let patch = reqwest::Method::PATCH;
    let renamed = json!({
        "options": [{"label": "Tiny", "value": "small"}, {"label": "Large", "value": "large"}],
    });
    somebody
        .call(patch.clone(), &format!("{base}/segment"), renamed)
        .await;
    let number = json!({"type": "number", "fieldType": "number"});
    somebody.call(patch, &format!("{base}/typed"), number).await;
    let delete = reqwest::Method::DELETE;
    somebody
        .call(delete.clone(), &format!("{base}/doomed"), Value::Null)
        .await;
    somebody
        .call(
            delete,
            &format!("/crm/lists/2026-09/{}", list.id),
            Value::Null,
        )
        .await;

    tokio::time::timeout(2 * MINUTE, async {
        // The run that read the members may not be over.
        loop {
            let status = tenant.status().await;
            if status["run"]["state"] != "running" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    resync(&tenant, again).await;
    let owners = store.owners(workspace, portal).await.unwrap();
    assert!(owners.iter().any(|o| o.id == owner.id && o.archived));
    let segment = definition(&tenant, "segment").await.unwrap();
    assert_eq!(segment["options"][0]["label"], "Tiny", "{segment}");
    assert_eq!(
        definition(&tenant, "typed").await.unwrap()["type"],
        "number"
    );
    let doomed = definition(&tenant, "doomed").await.unwrap();
    assert_eq!(doomed["archived"], true, "{doomed}");
    // The list is no list any more; who was kept out because of it is not let in by its deletion.
    let left = store.lists(workspace, portal).await.unwrap();
    assert!(left.iter().all(|l| l.id != list.id));
    assert_eq!(Some(members().await), list.size);
    let status = tenant.status().await;
    let of_lists = e2e::object(&status, "lists");
    assert_eq!(of_lists["stored"], 3, "{of_lists:#}");
}

#[tokio::test]
async fn catching_up_brings_what_became_of_owners_lists_and_properties() {
    they_arrive("catch_up").await;
}

#[tokio::test]
async fn a_reading_from_scratch_brings_what_became_of_owners_lists_and_properties() {
    they_arrive("from_scratch").await;
}
