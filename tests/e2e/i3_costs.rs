//! I3: what reconciliation costs, as it is set and as it was measured.

use domain::ObjectType;
use e2e::{command_line::CommandLine, door::Door};
use serde_json::json;

use crate::i3_support::{reconcile, world};

#[tokio::test]
async fn the_status_tells_what_comparing_costs_and_what_it_took() {
    let size = json!({"contacts": 250, "companies": 30, "deals": 120, "lists": 0, "owners": 1});
    let (tenant, store) = world(size).await;
    let before = tenant.status().await["reconcile"].clone();
    // Batches of a hundred, associations with one type of contacts and two of deals; seven listings of
    // each recycle bin.
    assert_eq!(
        before,
        json!({"every_hours": 168, "expected": {"general": 3 + 1 + 2 + 3 * 7, "associations": 3 + 2 * 2},
            "measured": {"general": 0, "associations": 0}, "compared": 0, "known": 0})
    );
    let seen = tenant.requests().await.len();
    reconcile(&tenant).await;
    let requests = tenant.requests().await.split_off(seen);
    let of = |associations: bool| {
        let is = |path: &str| path.contains("/associations/") == associations;
        requests
            .iter()
            .filter_map(|r| r["path"].as_str())
            .filter(|path| path.starts_with("/crm/") && is(path))
            .count()
    };
    let after = tenant.status().await["reconcile"].clone();
    assert_eq!(
        (&after["compared"], &after["known"]),
        (&json!(400), &json!(400))
    );
    assert_eq!(
        after["measured"],
        json!({"general": of(false), "associations": of(true)}),
        "{after}"
    );
    assert_eq!(after["measured"]["associations"], 7, "{after}");
    let (known, _) = store
        .known_records(tenant.workspace, tenant.portal, ObjectType::Contact)
        .await
        .unwrap();
    assert_eq!(known, 250);
    let line = CommandLine::new(&tenant, &Door::of_installation(&tenant));
    let ended = line.run(&["status"]).await;
    assert!(
        ended
            .out
            .contains("every record once in 168 h: 27 requests and 7 of associations"),
        "{ended:?}"
    );
}
