//! Recent engagements of other reps (I10).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType, ReadPart, ReadPlan, SyncType,
    app::{Email, PersonId},
};
use store::{
    Batch, CursorKey, EraseTarget, NewPeriodic, PageOutcome, PersonTouch, Refusal, Rows, Step,
    TouchRow, TouchRows,
};

use crate::support::{World, bounded, record};

const DAYS: u32 = 30;

fn now() -> DateTime<Utc> {
    Utc::now()
}

fn touch(id: i64, contacts: &[i64]) -> TouchRow {
    TouchRow {
        id: record(id),
        at: now() - TimeDelta::days(1),
        modified_at: now() - TimeDelta::hours(1),
        owner: "7".parse().ok(),
        title: Some(format!("Meeting {id}")),
        contacts: contacts.iter().map(|id| record(*id)).collect(),
    }
}

fn page(kind: ObjectType, rows: Vec<TouchRow>) -> TouchRows {
    TouchRows {
        kind,
        rows,
        forgotten: Vec::new(),
        covered: None,
    }
}

/// A reading of engagements.
struct Reading {
    world: World,
    epoch: Epoch,
    key: CursorKey,
}

impl Reading {
    /// Of a workspace whose person `p` is contact 1.
    async fn new() -> Self {
        let (world, connected) = World::connected().await;
        sqlx::query(
            "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
             values ($1, $2, 1, 1, '{\"email\": \"p@x.com\"}', now(), now())",
        )
        .bind(world.workspace.as_uuid())
        .bind(world.portal.get())
        .execute(&world.raw)
        .await
        .unwrap();
        sqlx::query(
            "insert into hubspot_object_key (workspace_id, portal_id, object_type, object_id, key)
             values ($1, $2, 1, 1, 'p@x.com')",
        )
        .bind(world.workspace.as_uuid())
        .bind(world.portal.get())
        .execute(&world.raw)
        .await
        .unwrap();
        let key = CursorKey::periodic(world.workspace, world.portal, SyncType::Engagements);
        Self {
            world,
            epoch: connected.epoch,
            key,
        }
    }

    async fn begin(&self) {
        let new = NewPeriodic {
            key: self.key,
            plan: ReadPlan::ModifiedSince { since: now() },
            read_began_at: now(),
            slow: false,
        };
        self.world
            .store
            .begin_periodic(&new)
            .await
            .unwrap()
            .unwrap();
    }

    async fn commit(&self, rows: TouchRows, finished: bool) -> PageOutcome {
        let cursor = self.world.store.cursor(&self.key).await.unwrap().unwrap();
        let step = Step {
            workspace: self.world.workspace,
            portal: self.world.portal,
            epoch: self.epoch,
            run: None,
            sync_type: self.key.sync_type,
            purpose: self.key.purpose,
            range: None,
            expected_version: cursor.version,
            position: None,
            finished,
            newest: None,
            served_at: Some(now()),
        };
        let batch = Batch::new(now(), Rows::Touches(rows), Vec::new());
        self.world.store.commit(&step, batch, now()).await.unwrap()
    }

    async fn of(&self, email: &str) -> Vec<PersonTouch> {
        let person: PersonId = "p".parse().unwrap();
        self.world
            .store
            .touches_of_person(
                self.world.workspace,
                self.world.portal,
                &person,
                Some(email),
                DAYS,
                None,
            )
            .await
            .unwrap()
    }

    async fn covered(&self) -> Option<u32> {
        self.world
            .store
            .touches_covered(self.world.workspace, self.world.portal, ObjectType::Meeting)
            .await
            .unwrap()
    }

    async fn unread(&self, id: i64, modified_at: DateTime<Utc>) -> BTreeSet<HubSpotObjectId> {
        self.world
            .store
            .unread_touches(
                self.world.workspace,
                self.world.portal,
                ObjectType::Meeting,
                &[(record(id), modified_at)],
            )
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn the_newer_state_stays_and_what_is_left_out_changes_nothing() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let first = touch(5, &[1]);
        reading
            .commit(page(ObjectType::Meeting, vec![first.clone()]), false)
            .await;
        assert!(reading.unread(5, first.modified_at).await.is_empty());
        let later = first.modified_at + TimeDelta::seconds(1);
        assert_eq!(reading.unread(5, later).await.len(), 1);

        // Older, and later without a contact.
        let older = TouchRow {
            title: Some("Old".to_owned()),
            modified_at: first.modified_at - TimeDelta::seconds(1),
            ..first.clone()
        };
        reading
            .commit(page(ObjectType::Meeting, vec![older]), false)
            .await;
        let renamed = TouchRow {
            title: None,
            modified_at: later,
            contacts: BTreeSet::new(),
            ..first.clone()
        };
        assert_eq!(
            reading.of("p@x.com").await[0].title.as_deref(),
            Some("Meeting 5")
        );
        reading
            .commit(page(ObjectType::Meeting, vec![renamed]), false)
            .await;
        let found = reading.of("p@x.com").await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].title, None);
        assert_eq!(found[0].contacts, BTreeSet::from([record(1)]));

        // Of an e-mail, what is not told may be redacted. Without a contact it is nobody's.
        let mail = touch(5, &[1]);
        reading
            .commit(page(ObjectType::Email, vec![mail.clone()]), false)
            .await;
        let redacted = TouchRow {
            title: None,
            owner: None,
            modified_at: now(),
            ..mail
        };
        reading
            .commit(
                page(ObjectType::Email, vec![redacted, touch(6, &[])]),
                false,
            )
            .await;
        let found = reading.of("p@x.com").await;
        assert_eq!(found.len(), 2);
        let mail = found
            .iter()
            .find(|t| t.place.kind == ObjectType::Email)
            .unwrap();
        assert!(mail.title.is_some() && mail.owner.is_some());
        assert_eq!(
            reading
                .world
                .count("select count(*) from hubspot_touch")
                .await,
            2
        );
        assert!(!format!("{mail:?}").contains("Meeting"));

        let gone = TouchRows {
            forgotten: vec![record(5)],
            ..page(ObjectType::Email, Vec::new())
        };
        reading.commit(gone, false).await;
        assert_eq!(reading.of("p@x.com").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_we_logged_is_no_news_and_what_was_merged_away_is_the_living_ones() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let rows = vec![touch(5, &[1]), touch(6, &[2]), touch(7, &[1, 2])];
        reading
            .commit(page(ObjectType::Meeting, rows), false)
            .await;
        let ids = |found: &[PersonTouch]| -> Vec<i64> {
            found.iter().map(|t| t.place.id.get()).collect()
        };
        // Newest first: they were made one after the other.
        assert_eq!(ids(&reading.of("p@x.com").await), [7, 5]);
        sqlx::query(
            "insert into hubspot_alias (workspace_id, portal_id, object_type, object_id, living_id, read_at)
             values ($1, $2, 1, 2, 1, now())",
        )
        .bind(reading.world.workspace.as_uuid())
        .bind(reading.world.portal.get())
        .execute(&reading.world.raw)
        .await
        .unwrap();
        let mut all = ids(&reading.of("p@x.com").await);
        all.sort_unstable();
        assert_eq!(all, [5, 6, 7]);
        // The reading came before the write was noted.
        sqlx::query(
            "insert into logged_activity (workspace_id, portal_id, activity_id, person_id, object_type, record_id,
               version, associated, logged_at) values ($1, $2, 'a', 'p', 47, 7, 1, true, now())",
        )
        .bind(reading.world.workspace.as_uuid())
        .bind(reading.world.portal.get())
        .execute(&reading.world.raw)
        .await
        .unwrap();
        let mut all = ids(&reading.of("p@x.com").await);
        all.sort_unstable();
        assert_eq!(all, [5, 6]);
        assert!(reading.of("q@x.com").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_kind_is_covered_when_it_was_read_whole() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let whole = || TouchRows {
            covered: Some(DAYS),
            ..page(ObjectType::Meeting, Vec::new())
        };
        // A part that HubSpot refused, or did not answer.
        let refusal = Refusal {
            part: ReadPart::RecordsOf(ObjectType::Meeting),
            code: "HS-3004".parse().unwrap(),
            scopes: Vec::new(),
            field: None,
        };
        let store = &reading.world.store;
        store.note_refusal(&reading.key, &refusal).await.unwrap();
        reading.commit(whole(), true).await;
        assert_eq!(reading.covered().await, None);
        reading.begin().await;
        store.note_unanswered(&reading.key, 1).await.unwrap();
        reading.commit(whole(), true).await;
        assert_eq!(reading.covered().await, None);
        let fresh = store
            .freshness(reading.world.workspace, reading.world.portal)
            .await
            .unwrap();
        // The reading with a refusal ended; the one without answers moved nothing.
        assert_eq!(fresh.len(), 1);
        let as_of = fresh[0].fresh_to;

        reading.begin().await;
        reading.commit(whole(), true).await;
        assert_eq!(reading.covered().await, Some(DAYS));
        let fresh = store
            .freshness(reading.world.workspace, reading.world.portal)
            .await
            .unwrap();
        assert!(fresh[0].fresh_to > as_of);
        store
            .uncover_touches(
                reading.world.workspace,
                reading.world.portal,
                ObjectType::Meeting,
            )
            .await
            .unwrap();
        assert_eq!(reading.covered().await, None);
    })
    .await;
}

#[tokio::test]
async fn they_leave_with_their_window_and_when_they_are_switched_off() {
    bounded(async {
        let reading = Reading::new().await;
        let (world, workspace) = (&reading.world, reading.world.workspace);
        reading.begin().await;
        let old = TouchRow {
            at: now() - TimeDelta::days(40),
            ..touch(4, &[1])
        };
        let rows = vec![old, touch(5, &[1]), touch(6, &[1, 2])];
        let all = TouchRows {
            covered: Some(DAYS),
            ..page(ObjectType::Meeting, rows)
        };
        reading.commit(all, true).await;
        assert_eq!(reading.of("p@x.com").await.len(), 2);
        assert_eq!(
            world.store.workspaces_with_touches().await.unwrap(),
            [workspace]
        );
        let prune = || world.store.prune_touches(workspace, DAYS, 10);
        assert_eq!(prune().await.unwrap(), 1);
        assert_eq!(prune().await.unwrap(), 0);
        let remove = || world.store.remove_touches(workspace, 1);
        for left in [1, 1, 0, 0] {
            assert_eq!(remove().await.unwrap(), left);
        }
        for table in [
            "select count(*) from hubspot_touch",
            "select count(*) from hubspot_touch_contact",
            "select count(*) from touch_coverage",
            "select count(*) from sync_freshness",
        ] {
            assert_eq!(world.count(table).await, 0, "{table}");
        }
        assert!(
            world
                .store
                .workspaces_with_touches()
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn an_erased_person_takes_them_along_and_keeps_them_out() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let rows = || vec![touch(5, &[1]), touch(6, &[1, 2]), touch(7, &[2])];
        reading
            .commit(page(ObjectType::Meeting, rows()), false)
            .await;
        let target = EraseTarget {
            person: None,
            email: Some(Email::parse("p@x.com").unwrap()),
        };
        let world = &reading.world;
        world
            .store
            .erase_person(world.workspace, &target, now())
            .await
            .unwrap();
        let left = || async {
            (
                world.count("select count(*) from hubspot_touch").await,
                world
                    .count("select count(*) from hubspot_touch_contact")
                    .await,
            )
        };
        assert_eq!(left().await, (1, 1));
        let mut again = rows();
        for row in &mut again {
            row.modified_at = now();
        }
        reading
            .commit(page(ObjectType::Meeting, again), false)
            .await;
        assert_eq!(left().await, (1, 1));
    })
    .await;
}
