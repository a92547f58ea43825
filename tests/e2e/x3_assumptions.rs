//! X3: what the code assumes of HubSpot, asked of the simulator (`cargo dev conformance`).

use std::sync::atomic::{AtomicU64, Ordering};

use dev::conformance::{self, Kind, Report};
use e2e::shared;
use serde_json::{Value, json};

async fn ask(settings: Value) -> Report {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let portal =
        3_000_000_000 + u64::from(std::process::id()) * 100 + NEXT.fetch_add(1, Ordering::Relaxed);
    let url = shared().addresses().simulator.parse().unwrap();
    let target = conformance::simulator::target(&url, portal, settings)
        .await
        .unwrap();
    conformance::run(target).await.unwrap()
}

#[tokio::test]
async fn the_simulator_is_as_assumed() {
    let report = ask(json!({})).await;
    println!("{report}");
    let differing: Vec<_> = report.facts.iter().filter(|f| !f.holds()).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(
        report
            .facts
            .iter()
            .filter(|f| f.kind != Kind::NotChecked)
            .count()
            > 25
    );
    assert_eq!(report.left, Vec::<String>::new());
}

/// A HubSpot that is otherwise is seen to be so.
#[tokio::test]
async fn another_hubspot_is_noticed() {
    let report = ask(json!({
        "ignore_inline_associations": true, "empty_as_null": false, "trace_ids_in_results": false,
        "first_company_is_primary": false,
    }))
    .await;
    let differing: Vec<&str> = report
        .facts
        .iter()
        .filter(|f| !f.holds())
        .map(|f| f.fact)
        .collect();
    assert_eq!(
        differing,
        [
            "a known but empty property",
            "associations given with a new contact are made",
            "a contact's first company becomes its primary one",
            "results of a batch carry the trace ids of their inputs",
        ],
        "{report}"
    );
    assert!(report.holds(), "none of them is relied upon");
}
