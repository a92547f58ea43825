//! I9, C7: a privacy deletion that a webhook tells of is acted on at once. No periodic sync and no
//! reconciliation runs in these tests.

use std::time::{Duration, Instant};

use domain::{HubSpotObjectId, ObjectType};
use e2e::{
    hooks::{Hooks, event},
    planted::Planted,
    store_of,
};
use serde_json::json;
use store::Fate;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_privacy_deletion_is_acted_on_at_once_where_hubspot_confirms_it() {
    let p = Planted::new().await;
    let contact = async |name: &str| {
        let properties = json!({"email": format!("{name}@i9-privacy.com")});
        p.record("contacts", properties, &[]).await
    };
    let (gone, lives, binned) = (
        contact("gone").await,
        contact("lives").await,
        contact("binned").await,
    );
    let _door = p.connect().await;
    let hooks = Hooks::of(&p.tenant);
    let store = store_of(p.tenant.api.addresses()).await;
    let fate = async |id: i64| {
        let id = HubSpotObjectId::new(id).unwrap();
        store
            .fate(p.tenant.workspace, p.tenant.portal, ObjectType::Contact, id)
            .await
            .unwrap()
    };
    let body = json!({"objectId": gone.to_string()});
    p.hubspot("POST", "/crm/v3/objects/contacts/gdpr-delete", Some(body))
        .await;
    p.hubspot(
        "DELETE",
        &format!("/crm/v3/objects/contacts/{binned}"),
        None,
    )
    .await;
    let told: Vec<_> = [gone, lives, binned]
        .map(|id| event(p.tenant.portal.get(), "contact.privacyDeletion", id))
        .into();

    // As long as HubSpot does not answer, nothing is forgotten.
    let silent = json!({"id": "silent", "method": "GET", "path": format!("/contacts/{gone}"),
        "effect": {"status": {"status": 503}}});
    p.tenant.control("POST", "faults", Some(silent)).await;
    assert_eq!(hooks.deliver(&told).await.status, 204);
    let deadline = Instant::now() + SOON;
    while fate(binned).await != Some(Fate::Archived) {
        assert!(Instant::now() < deadline, "{:?}", fate(binned).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fate(gone).await, Some(Fate::Alive));
    p.tenant.control("DELETE", "faults/silent", None).await;
    let deadline = Instant::now() + 3 * SOON;
    while fate(gone).await != Some(Fate::Gone) {
        assert!(Instant::now() < deadline, "{:?}", fate(gone).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let before = HubSpotObjectId::new(gone - 1).ok();
    let rows = store
        .objects_after(
            p.tenant.workspace,
            p.tenant.portal,
            ObjectType::Contact,
            before,
            1,
        )
        .await
        .unwrap();
    assert_eq!(rows[0].properties, json!({}));
    // An event alone is no word.
    assert_eq!(fate(lives).await, Some(Fate::Alive));
    assert_eq!(fate(binned).await, Some(Fate::Archived));
}
