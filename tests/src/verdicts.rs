//! Verdicts on people (I8), as they are answered and as they are kept.

use std::time::{Duration, Instant};

use domain::app::PersonId;
use serde_json::{Value, json};

use crate::{door::Door, planted::Planted, store_of};

/// The verdict on a person, judged now.
pub async fn verdict(door: &Door, person: &str) -> Value {
    door.ok("GET", &format!("/people/{person}/dnc"), None).await
}

/// Waits until the verdict that is kept on a person is the one that is answered.
///
/// # Panics
/// When it takes too long.
pub async fn kept(planted: &Planted, door: &Door, person: &str) {
    let store = store_of(planted.tenant.api.addresses()).await;
    let id: PersonId = person.parse().expect("a person's id");
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let kept = store
            .kept_verdict(planted.tenant.workspace, planted.tenant.portal, &id)
            .await
            .expect("the store answers");
        let answered = verdict(door, person).await;
        if let Some(kept) = &kept {
            let same = json!(kept.reasons) == answered["reasons"]
                && json!(kept.allowed) == answered["allowed"]
                && kept.stale == (answered["stale"] != json!([]));
            if same {
                return;
            }
        }
        assert!(
            Instant::now() < deadline,
            "kept: {kept:?}, answered: {answered:#}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
