//! Recent engagements of other reps (I10).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Epoch, HubSpotObjectId, ObjectType, ReadPart, ReadPlan, SyncType,
    app::{Email, PersonId},
};
use store::{
    Batch, CursorKey, EraseTarget, FoundTouch, NewPeriodic, PageOutcome, PersonTouch, Refusal,
    Rows, Step, TouchRow, TouchRows, Walked,
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
        body: None,
        redacted: false,
        contacts: contacts.iter().map(|id| record(*id)).collect(),
    }
}

fn page(kind: ObjectType, rows: Vec<TouchRow>) -> TouchRows {
    TouchRows {
        rows,
        ..TouchRows::none(kind)
    }
}

fn found(id: i64, modified_at: DateTime<Utc>) -> FoundTouch {
    FoundTouch {
        id: record(id),
        modified_at,
        owner: false,
        title: false,
        body: false,
        redacted: false,
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
        self.commit_read_at(rows, finished, now()).await
    }

    async fn commit_read_at(
        &self,
        rows: TouchRows,
        finished: bool,
        read_at: DateTime<Utc>,
    ) -> PageOutcome {
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
        let batch = Batch::new(read_at, Rows::Touches(rows), Vec::new());
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
        let covered = self
            .world
            .store
            .touches_covered(self.world.workspace, self.world.portal, ObjectType::Meeting)
            .await
            .unwrap();
        covered.map(|covered| covered.days)
    }

    async fn unread(&self, id: i64, modified_at: DateTime<Utc>) -> BTreeSet<HubSpotObjectId> {
        let found = found(id, modified_at);
        self.unread_of(ObjectType::Meeting, found, false).await
    }

    async fn unread_of(
        &self,
        kind: ObjectType,
        found: FoundTouch,
        bodies: bool,
    ) -> BTreeSet<HubSpotObjectId> {
        self.world
            .store
            .unread_touches(
                self.world.workspace,
                self.world.portal,
                kind,
                &[found],
                bodies,
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

#[tokio::test]
async fn what_was_deleted_in_hubspot_goes_at_its_word_and_may_come_back() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let rows = vec![touch(5, &[1]), touch(6, &[1]), touch(7, &[2])];
        reading
            .commit(page(ObjectType::Meeting, rows.clone()), false)
            .await;
        let ids = async || -> Vec<i64> {
            let found = reading.of("p@x.com").await;
            let mut ids: Vec<i64> = found.iter().map(|t| t.place.id.get()).collect();
            ids.sort_unstable();
            ids
        };
        let of = |archived: &[i64], missing: &[i64]| TouchRows {
            archived: archived.iter().map(|id| record(*id)).collect(),
            missing: missing.iter().map(|id| record(*id)).collect(),
            ..TouchRows::none(ObjectType::Meeting)
        };
        // An answer to an older request changes nothing.
        let before = now() - TimeDelta::minutes(1);
        reading.commit_read_at(of(&[5], &[6]), false, before).await;
        reading
            .commit_read_at(of(&[], &[6]), false, before + TimeDelta::seconds(1))
            .await;
        assert_eq!(ids().await, [5, 6]);

        reading.commit(of(&[5], &[6]), false).await;
        assert_eq!(ids().await, [6], "named as unknown once, it is shown");
        assert_eq!(reading.unread(5, rows[0].modified_at).await.len(), 1);
        assert_eq!(reading.unread(6, rows[1].modified_at).await.len(), 1);
        let count = |sql: &'static str| reading.world.count(sql);
        assert_eq!(count("select count(*) from hubspot_touch").await, 3);
        // It was there meanwhile: the next word is the first again.
        reading
            .commit(page(ObjectType::Meeting, vec![rows[1].clone()]), false)
            .await;
        reading.commit(of(&[], &[6]), false).await;
        assert_eq!(ids().await, [6]);
        reading.commit(of(&[], &[6]), false).await;
        assert!(ids().await.is_empty());
        assert_eq!(count("select count(*) from hubspot_touch").await, 2);
        assert_eq!(count("select count(*) from hubspot_touch_contact").await, 2);

        // Restored, which moves no last-modified. Known contacts stay.
        let restored = TouchRow {
            contacts: BTreeSet::new(),
            ..rows[0].clone()
        };
        reading
            .commit(page(ObjectType::Meeting, vec![restored]), false)
            .await;
        assert_eq!(ids().await, [5]);
        // Out of the recycle bin after its days there.
        reading.commit(of(&[5], &[]), false).await;
        reading.commit(of(&[], &[5]), false).await;
        assert!(ids().await.is_empty());
        assert_eq!(count("select count(*) from hubspot_touch").await, 2);
        reading.commit(of(&[], &[5]), false).await;
        assert_eq!(count("select count(*) from hubspot_touch").await, 1);
    })
    .await;
}

#[tokio::test]
async fn those_that_are_known_are_walked_through_in_parts() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let (store, workspace, portal) = (
            &reading.world.store,
            reading.world.workspace,
            reading.world.portal,
        );
        let rows = vec![touch(5, &[1]), touch(6, &[1]), touch(7, &[1])];
        let whole = TouchRows {
            covered: Some(DAYS),
            ..page(ObjectType::Meeting, rows)
        };
        reading.commit(whole, false).await;
        let after = async |after: Option<i64>| {
            let after = after.map(record);
            let found = store.touches_after(workspace, portal, ObjectType::Meeting, after, 2);
            found.await.unwrap()
        };
        assert_eq!(after(None).await, [record(5), record(6)]);
        assert_eq!(after(Some(6)).await, [record(7)]);
        let walk = async || store.touch_walks(workspace, portal).await.unwrap();
        assert_eq!(walk().await.get(&ObjectType::Meeting), Some(&None));
        assert_eq!(walk().await.len(), 1);
        for (walked, wanted) in [
            (Walked::To(record(6)), Some(record(6))),
            (Walked::ToTheEnd, None),
        ] {
            let page = TouchRows {
                walked: Some(walked),
                ..TouchRows::none(ObjectType::Meeting)
            };
            reading.commit(page, false).await;
            assert_eq!(walk().await.get(&ObjectType::Meeting), Some(&wanted));
        }
    })
    .await;
}

#[tokio::test]
async fn texts_are_kept_while_they_are_wanted_and_what_is_kept_back_is_not_empty() {
    bounded(async {
        let reading = Reading::new().await;
        reading.begin().await;
        let (store, workspace, portal) = (
            &reading.world.store,
            reading.world.workspace,
            reading.world.portal,
        );
        let with_text = |kind, row: TouchRow| TouchRows {
            bodies: true,
            covered: Some(DAYS),
            ..page(kind, vec![row])
        };
        let body = async |kind: ObjectType| {
            let found = reading.of("p@x.com").await;
            let touch = found.into_iter().find(|t| t.place.kind == kind).unwrap();
            assert!(!format!("{touch:?}").contains("Words"));
            (touch.body, touch.redacted)
        };
        // What was asked for without its text is read again for it.
        let bare = touch(5, &[1]);
        reading
            .commit(page(ObjectType::Note, vec![bare.clone()]), false)
            .await;
        let same = found(5, bare.modified_at);
        let unread = async |found: FoundTouch, bodies: bool| {
            !reading
                .unread_of(ObjectType::Note, found, bodies)
                .await
                .is_empty()
        };
        assert!(!unread(same, false).await && unread(same, true).await);
        let worded = TouchRow {
            body: Some("Words".to_owned()),
            ..bare.clone()
        };
        assert!(!format!("{worded:?}").contains("Words"));
        reading
            .commit(with_text(ObjectType::Note, worded.clone()), false)
            .await;
        assert_eq!(body(ObjectType::Note).await.0.as_deref(), Some("Words"));
        assert!(!unread(same, true).await);
        let emptied = TouchRow {
            body: None,
            modified_at: now(),
            ..bare
        };
        reading
            .commit(with_text(ObjectType::Note, emptied), false)
            .await;
        assert_eq!(body(ObjectType::Note).await.0, None);

        // Of an e-mail, what is not told may be kept back.
        let mail = TouchRow {
            redacted: false,
            ..worded
        };
        reading
            .commit(with_text(ObjectType::Email, mail.clone()), false)
            .await;
        let kept_back = TouchRow {
            owner: None,
            title: None,
            body: None,
            redacted: true,
            modified_at: now(),
            ..mail.clone()
        };
        reading
            .commit(with_text(ObjectType::Email, kept_back.clone()), false)
            .await;
        assert_eq!(
            body(ObjectType::Email).await,
            (Some("Words".to_owned()), true)
        );
        let told = FoundTouch {
            redacted: true,
            ..found(5, kept_back.modified_at)
        };
        let unread_mail = async |found: FoundTouch| {
            let unread = reading.unread_of(ObjectType::Email, found, true).await;
            !unread.is_empty()
        };
        assert!(!unread_mail(told).await);
        let now_told = FoundTouch {
            redacted: false,
            ..told
        };
        assert!(unread_mail(now_told).await);

        // Switched off, they go, and the kinds are to be read again with them.
        let covered = async || {
            let of = store.touches_covered(workspace, portal, ObjectType::Email);
            of.await.unwrap().map(|c| (c.days, c.texts))
        };
        assert_eq!(covered().await, Some((DAYS, true)));
        for left in [1, 1, 0, 0] {
            assert_eq!(store.remove_touch_texts(workspace, 1).await.unwrap(), left);
        }
        assert_eq!(covered().await, Some((DAYS, false)));
        assert_eq!(body(ObjectType::Email).await.0, None);
        let left = reading
            .world
            .count("select count(*) from hubspot_touch where body is not null or with_body");
        assert_eq!(left.await, 0);
        assert_eq!(reading.of("p@x.com").await.len(), 2);
        // A page that asked for no text stores none.
        let late = TouchRow {
            modified_at: now(),
            ..mail
        };
        reading
            .commit(page(ObjectType::Email, vec![late]), false)
            .await;
        assert_eq!(body(ObjectType::Email).await.0, None);
    })
    .await;
}
