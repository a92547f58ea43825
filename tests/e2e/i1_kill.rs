//! I1: survives the loss of any process at any point, and goes on where it was.

use std::{collections::BTreeMap, time::Duration};

use dev::demo::Api;
use domain::{RangeReader, SyncRunId, SyncType};
use e2e::{Tenant, assert_mirrored, object, stacks::OwnStack, store_of};
use serde_json::json;

/// Kills; ten with `SOAK=full`.
fn kills() -> u64 {
    match std::env::var("SOAK").as_deref() {
        Ok("full") => 10,
        _ => 3,
    }
}

/// List readers of each type.
const LIST_READERS: u64 = 3;

async fn tenant_run(tenant: &Tenant, store: &store::Store) -> SyncRunId {
    let run = store.run_to_show(tenant.workspace, tenant.portal).await;
    run.unwrap().unwrap().run
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_restarts_lose_nothing_and_read_little_twice() {
    let kills = kills();
    let contacts = 1_200 * (kills + 2);
    let readers = LIST_READERS.to_string();
    let environment = [
        ("SLICE_SECONDS", "5"),
        // Each type is large enough to be shared by several list readers and one of search.
        ("BACKFILL_SPLIT_FROM", "1000"),
        ("BACKFILL_LIST_READERS", readers.as_str()),
    ];
    let mut stack = OwnStack::start(1, &environment).await;
    let api = Api::new(stack.addresses()).unwrap();
    let size = json!({
        "contacts": contacts, "companies": contacts / 2, "deals": contacts / 2,
        "limits": "off", "latency_ms": 120,
    });
    let tenant = Tenant::new(&api, size).await;
    tenant.connect().await;

    for n in 0..kills {
        // A place that looks random and is another one each time.
        let at = contacts * (n + 1) / (kills + 3) + (n * 37) % 90;
        tenant.wait_for_contacts(at, Duration::from_secs(180)).await;
        if n == 1 {
            stack.stop("temporal", Duration::from_secs(10)).unwrap();
            stack.start_temporal().await.unwrap();
        }
        if n == 2 {
            stack.stop("postgres", Duration::from_secs(10)).unwrap();
            stack.start_postgres().await.unwrap();
        }
        stack.kill_hard("worker-0").unwrap();
        stack.start_worker(0).unwrap();
        stack.wait_worker(0).await.unwrap();
    }
    let status = tenant
        .wait_for_phase("syncing", Duration::from_secs(300))
        .await;
    assert_eq!(object(&status, "contacts")["stored"], contacts);
    let store = store_of(api.addresses()).await;
    assert_eq!(assert_mirrored(&tenant, &store).await, contacts * 2);

    // Nobody walked alone: each type had several cursors, and search had its part.
    let run = tenant_run(&tenant, &store).await;
    let key = |sync_type| store::CursorKey::of_run(tenant.workspace, tenant.portal, run, sync_type);
    let mut cursors = BTreeMap::new();
    for (path, sync_type) in [
        ("contacts", SyncType::Contacts),
        ("companies", SyncType::Companies),
        ("deals", SyncType::Deals),
    ] {
        let ranges = store.ranges(&key(sync_type)).await.unwrap();
        assert!(ranges.len() > 1, "{path} were not shared");
        assert!(ranges.iter().all(|range| range.finished), "{path}");
        // At one time: as many as there are readers, list or search.
        cursors.insert(path, (LIST_READERS + 1).min(ranges.len() as u64));
    }
    let searched = store.ranges(&key(SyncType::Contacts)).await.unwrap();
    assert!(
        searched.iter().any(|r| r.reader == RangeReader::Relist),
        "search read nothing"
    );

    // Read again: at most the page in flight and the prefetched one, per cursor and loss.
    let losses = kills + 2;
    let mut reads: BTreeMap<(String, String), u64> = BTreeMap::new();
    for request in tenant.requests().await {
        let path = request["path"].as_str().unwrap();
        let listed = ["/contacts", "/companies", "/deals"]
            .iter()
            .any(|p| path.ends_with(p));
        // A search that only counts is no page.
        let searched = path.ends_with("/search") && request["bytes"].as_u64() > Some(10_000);
        let place = match (listed && request["method"] == "GET", searched) {
            (true, _) => &request["query"],
            (_, true) => &request["body_digest"],
            _ => continue,
        };
        let place = place.as_str().unwrap().to_owned();
        *reads.entry((path.to_owned(), place)).or_default() += 1;
    }
    for path in ["contacts", "companies", "deals"] {
        let again: u64 = reads
            .iter()
            .filter(|((p, _), _)| p.trim_end_matches("/search").ends_with(path))
            .map(|(_, n)| n - 1)
            .sum();
        assert!(
            again <= 2 * losses * cursors[path],
            "{path}: {again} pages were read again for {losses} losses of {} cursors",
            cursors[path]
        );
    }
}
