//! The mirror's keys and numbers: unchanged rows cost nothing, tombstones hold, changes are never
//! skipped.

use std::collections::BTreeSet;

use domain::{HubSpotObjectId, ObjectType, QuarantineReason, SyncType};
use store::{AssociationRow, ChangePosition, FoundBy, QuarantineRow};

use crate::support::{Commit as _, Page, Reader, World, at, bounded, committed, record, row};

fn contact(id: i64, modified: i64, email: &str, more: &str) -> store::MirrorRow {
    let properties = serde_json::json!({"email": email, "hs_additional_emails": more});
    row(id, modified, &properties.to_string())
}

fn association(from: i64, to: i64, label: &str) -> AssociationRow {
    AssociationRow {
        from: record(from),
        to_type: ObjectType::Company,
        to: record(to),
        labels: vec![label.to_owned()],
    }
}

async fn commit(world: &World, page: Page) {
    let version = page.expected_version;
    let outcome = world.store.commit_page(page, at(0)).await.unwrap();
    assert_eq!(outcome, committed(version + 1));
}

/// Where each row of the mirror lies, and which transaction wrote it.
async fn places(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "select 'o' || object_id || ' ' || ctid || ' ' || xmin || ' ' || xmax from hubspot_object
         union all select 'a' || from_id || ' ' || ctid || ' ' || xmin || ' ' || xmax from hubspot_association
         union all select 'k' || object_id || ' ' || ctid || ' ' || xmin || ' ' || xmax from hubspot_object_key
         order by 1",
    )
    .fetch_all(&world.raw)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_page_that_brings_nothing_new_writes_no_row() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version: i64, rows| Page {
            rows,
            associated_types: vec![ObjectType::Company],
            associations: vec![association(1, 7, "works at"), association(2, 7, "works at")],
            ..world.page(reader, version)
        };
        let rows = || {
            vec![
                contact(1, 5, "a@x.example", ""),
                contact(2, 5, "b@x.example", ""),
            ]
        };
        commit(&world, page(0, rows())).await;
        let before = places(&world).await;
        assert_eq!(before.len(), 6);
        // Read later; the properties of one in another order.
        let mut again = rows();
        again[1].properties =
            r#"{ "hs_additional_emails" : "" , "email" : "b@x.example" }"#.to_owned();
        commit(&world, page(1, again)).await;
        assert_eq!(places(&world).await, before);
        // One that changed is written, and it alone.
        let changed = vec![
            contact(1, 6, "a@x.example", ""),
            contact(2, 5, "b@x.example", ""),
        ];
        commit(&world, page(2, changed)).await;
        let after = places(&world).await;
        let written: BTreeSet<&str> = after
            .iter()
            .filter(|place| !before.contains(place))
            .map(|place| place.split(' ').next().unwrap())
            .collect();
        assert_eq!(written, BTreeSet::from(["o1"]));
    })
    .await;
}

#[tokio::test]
async fn what_search_brought_of_a_range_is_marked_as_read_and_not_as_changed() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        world.store.begin_ranges(&world.key(reader)).await.unwrap();
        let page = |version| Page {
            found_by: FoundBy::Search,
            range: Some(store::RangeStep {
                no: domain::RangeNo::new(0),
                seen: 1,
                next_reader: None,
            }),
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, version)
        };
        commit(&world, page(0)).await;
        let seen = settled(&world, ChangePosition::default(), 1).await;
        commit(&world, page(1)).await;
        let unread = world
            .store
            .unread(
                world.workspace,
                world.portal,
                ObjectType::Deal,
                &[(record(1), at(1))],
                at(2),
            )
            .await
            .unwrap();
        assert_eq!(unread, []);
        assert_eq!(settled(&world, ChangePosition::default(), 1).await, seen);
    })
    .await;
}

#[tokio::test]
async fn an_older_read_does_not_bring_a_removed_association_back() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version, read, associations: &[AssociationRow]| Page {
            read_at: at(read),
            rows: vec![row(1, 5, "{}")],
            associated_types: vec![ObjectType::Company],
            associations: associations.to_vec(),
            ..world.page(reader, version)
        };
        let stored = async || {
            world
                .store
                .associations_from(world.workspace, world.portal, ObjectType::Contact)
                .await
                .unwrap()
        };
        let one = [association(1, 7, "works at")];
        commit(&world, page(0, 10, &one)).await;
        commit(&world, page(1, 20, &[])).await;
        assert_eq!(stored().await, []);
        // A page that was read before the removal, and comes in after it.
        commit(&world, page(2, 15, &one)).await;
        assert_eq!(stored().await, []);
        commit(&world, page(3, 30, &one)).await;
        assert_eq!(stored().await, one);
    })
    .await;
}

#[tokio::test]
async fn only_a_later_direct_read_brings_an_archived_record_back() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let page = |version, read, modified, archived, found_by| {
            let mut one = row(1, modified, "{}");
            one.archived = archived;
            Page {
                read_at: at(read),
                found_by,
                rows: vec![one],
                ..world.page(reader, version)
            }
        };
        for (version, read, modified, archived, found_by, stays_archived) in [
            (0, 10, 5, true, FoundBy::Direct, true),
            // The index of search has not noticed yet.
            (1, 20, 6, false, FoundBy::Search, true),
            // Read before it was archived, and late.
            (2, 9, 7, false, FoundBy::Direct, true),
            (3, 30, 5, false, FoundBy::Direct, false),
        ] {
            commit(&world, page(version, read, modified, archived, found_by)).await;
            let stored = world
                .store
                .objects_after(world.workspace, world.portal, ObjectType::Deal, None, 10)
                .await
                .unwrap();
            assert_eq!(stored[0].archived, stays_archived, "after page {version}");
        }
    })
    .await;
}

async fn found(world: &World, object_type: ObjectType, texts: &[&str]) -> Vec<i64> {
    world
        .store
        .found_by_key(world.workspace, world.portal, object_type, texts)
        .await
        .unwrap()
        .iter()
        .map(|id| id.get())
        .collect()
}

#[tokio::test]
async fn records_are_found_by_all_their_addresses_and_domains() {
    use ObjectType::{Company, Contact};
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version, rows| Page {
            rows,
            ..world.page(reader, version)
        };
        let first = vec![
            contact(
                1,
                1,
                "Ann@Bücher.example",
                "ann@old.example;ann@older.example",
            ),
            contact(2, 1, "bob@x.example", ""),
        ];
        commit(&world, page(0, first)).await;
        assert_eq!(
            found(&world, Contact, &["ann@xn--bcher-kva.example"]).await,
            [1]
        );
        assert_eq!(
            found(&world, Contact, &["ANN@older.example", "bob@x.example"]).await,
            [1, 2]
        );
        // An address that moved to somebody else.
        let second = vec![
            contact(1, 2, "ann@old.example", ""),
            contact(2, 2, "bob@x.example", "ann@older.example"),
        ];
        commit(&world, page(1, second)).await;
        assert_eq!(
            found(&world, Contact, &["ann@bücher.example"]).await,
            [0; 0]
        );
        assert_eq!(found(&world, Contact, &["ann@old.example"]).await, [1]);
        assert_eq!(found(&world, Contact, &["ann@older.example"]).await, [2]);
        assert_eq!(found(&world, Company, &["old.example"]).await, [0; 0]);

        let companies = Reader {
            sync_type: SyncType::Companies,
            ..reader
        };
        world.begin(companies, domain::ReadPlan::List, at(0)).await;
        let company = row(
            9,
            1,
            r#"{"domain":"Acme.example","hs_additional_domains":"www.acme.test;acme.co.example"}"#,
        );
        let page = Page {
            rows: vec![company],
            ..world.page(companies, 0)
        };
        commit(&world, page).await;
        assert_eq!(found(&world, Company, &["acme.test"]).await, [9]);
        assert_eq!(
            found(&world, Company, &["https://www.acme.example/about"]).await,
            [9]
        );
    })
    .await;
}

/// X1, I8: an answer to a write speaks of what was written; what it does not speak of stays, and with it
/// what the record is found by. What it says is empty is no key any more.
#[tokio::test]
async fn what_an_answer_does_not_speak_of_stays_a_key() {
    use ObjectType::{Company, Contact};
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version, rows| Page {
            rows,
            ..world.page(reader, version)
        };
        let ann = contact(1, 1, "ann@x.example", "ann@old.example");
        commit(&world, page(0, vec![ann])).await;
        let written = row(1, 2, r#"{"jobtitle":"Buyer"}"#);
        commit(&world, page(1, vec![written])).await;
        for key in ["ann@x.example", "ann@old.example"] {
            assert_eq!(found(&world, Contact, &[key]).await, [1], "{key}");
        }
        let moved = row(1, 3, r#"{"email":"ann@new.example"}"#);
        commit(&world, page(2, vec![moved])).await;
        for (key, by) in [
            ("ann@x.example", vec![]),
            ("ann@new.example", vec![1]),
            ("ann@old.example", vec![1]),
        ] {
            assert_eq!(found(&world, Contact, &[key]).await, by, "{key}");
        }
        let emptied = row(1, 4, r#"{"hs_additional_emails":null}"#);
        commit(&world, page(3, vec![emptied])).await;
        assert_eq!(found(&world, Contact, &["ann@old.example"]).await, [0; 0]);
        assert_eq!(found(&world, Contact, &["ann@new.example"]).await, [1]);

        let companies = Reader {
            sync_type: SyncType::Companies,
            ..reader
        };
        world.begin(companies, domain::ReadPlan::List, at(0)).await;
        let page = |version, properties| Page {
            rows: vec![row(9, 1 + version, properties)],
            ..world.page(companies, version)
        };
        let acme = r#"{"domain":"acme.example","hs_additional_domains":"acme.test"}"#;
        commit(&world, page(0, acme)).await;
        commit(&world, page(1, r#"{"city":"Ulm"}"#)).await;
        for key in ["acme.example", "acme.test"] {
            assert_eq!(found(&world, Company, &[key]).await, [9], "{key}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_stored_later_leaves_quarantine() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let bad = |key: &str| QuarantineRow {
            key: key.to_owned(),
            reason: QuarantineReason::Malformed,
            raw: b"{".to_vec(),
        };
        let page = Page {
            quarantine: vec![bad("1"), bad("2")],
            ..world.page(reader, 0)
        };
        commit(&world, page).await;
        // What was read before that heals nothing.
        let page = Page {
            read_at: at(0),
            rows: vec![row(1, 1, "{}")],
            ..world.page(reader, 1)
        };
        commit(&world, page).await;
        assert_eq!(world.count("select count(*) from quarantine").await, 2);
        let page = Page {
            rows: vec![row(1, 2, "{}")],
            ..world.page(reader, 2)
        };
        commit(&world, page).await;
        let left = world
            .store
            .quarantined(world.workspace, world.portal, SyncType::Contacts)
            .await
            .unwrap();
        assert_eq!(
            left.iter().map(|r| r.key.as_str()).collect::<Vec<_>>(),
            ["2"]
        );
    })
    .await;
}

async fn changes(world: &World, after: ChangePosition) -> Vec<(HubSpotObjectId, ChangePosition)> {
    world
        .store
        .changes_after(world.workspace, world.portal, after, 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|change| (change.id, change.position))
        .collect()
}

/// Changes, once there are so many: whatever else the server does may hold them up for a moment.
async fn settled(
    world: &World,
    after: ChangePosition,
    many: usize,
) -> Vec<(HubSpotObjectId, ChangePosition)> {
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        looks.tick().await;
        let seen = changes(world, after).await;
        if seen.len() >= many {
            return seen;
        }
    }
}

fn ids(changes: &[(HubSpotObjectId, ChangePosition)]) -> Vec<i64> {
    changes.iter().map(|(id, _)| id.get()).collect()
}

async fn insert(tx: &mut sqlx::PgConnection, world: &World, id: i64) {
    sqlx::query(
        "insert into hubspot_object (workspace_id, portal_id, object_type, object_id, properties, modified_at, read_at)
         values ($1, $2, 1, $3, '{}', now(), now())",
    )
    .bind(world.workspace.as_uuid())
    .bind(world.portal.get())
    .bind(id)
    .execute(tx)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_reader_of_changes_skips_nothing_that_commits_out_of_order() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let start = ChangePosition::default();
        // The earlier number commits later.
        let mut early = world.raw.begin().await.unwrap();
        insert(&mut early, &world, 1).await;
        let page = Page {
            rows: vec![row(2, 1, "{}")],
            ..world.page(reader, 0)
        };
        commit(&world, page).await;
        assert_eq!(
            changes(&world, start).await,
            [],
            "2 must not come before 1, which is not settled"
        );
        early.commit().await.unwrap();
        let seen = settled(&world, start, 2).await;
        assert_eq!(ids(&seen), [1, 2]);
        // One that is given up holds nothing up for ever.
        let mut given_up = world.raw.begin().await.unwrap();
        insert(&mut given_up, &world, 3).await;
        given_up.rollback().await.unwrap();
        let position = seen.last().unwrap().1;
        assert_eq!(changes(&world, position).await, []);
        // A record that changes again moves to its later place; so does one whose associations change.
        let page = Page {
            rows: vec![row(1, 2_000_000_000, r#"{"a":"b"}"#)],
            ..world.page(reader, 1)
        };
        commit(&world, page).await;
        let page = Page {
            read_at: at(9),
            rows: vec![row(2, 1, "{}")],
            associated_types: vec![ObjectType::Company],
            associations: vec![association(2, 7, "works at")],
            ..world.page(reader, 2)
        };
        commit(&world, page).await;
        assert_eq!(ids(&settled(&world, position, 2).await), [1, 2]);
    })
    .await;
}

/// Many writers that begin and end in whatever order, and one who reads all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_that_was_written_is_read_once_it_is_over() {
    const WRITERS: i64 = 8;
    const EACH: i64 = 12;
    bounded(async {
        let (world, _) = World::connected().await;
        let world = std::sync::Arc::new(world);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let world = std::sync::Arc::clone(&world);
                tokio::spawn(async move {
                    for n in 0..EACH {
                        let mut tx = world.raw.begin().await.unwrap();
                        insert(&mut tx, &world, 1 + writer * EACH + n).await;
                        let millis = u64::try_from((writer * 7 + n * 13) % 23).unwrap();
                        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
                        tx.commit().await.unwrap();
                    }
                })
            })
            .collect();
        let mut position = ChangePosition::default();
        let mut seen = Vec::new();
        loop {
            let over = writers.iter().all(tokio::task::JoinHandle::is_finished);
            let some = changes(&world, position).await;
            assert!(some.is_sorted_by_key(|(_, at)| *at));
            if let Some((_, last)) = some.last() {
                position = *last;
            }
            seen.extend(ids(&some));
            if over && seen.len() >= usize::try_from(WRITERS * EACH).unwrap() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        for writer in writers {
            writer.await.unwrap();
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=WRITERS * EACH).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn in_another_cluster_numbers_go_on_beyond_all_that_are_stored() {
    bounded(async {
        let (world, _) = World::connected().await;
        let mut tx = world.raw.begin().await.unwrap();
        insert(&mut tx, &world, 1).await;
        tx.commit().await.unwrap();
        // As a restored dump is: numbers of another cluster, far ahead of this one's.
        for sql in [
            "update hubspot_object set changed = 1000000000000",
            "update mirror_origin set cluster = 1",
        ] {
            sqlx::query(sql).execute(&world.raw).await.unwrap();
        }
        assert_eq!(changes(&world, ChangePosition::default()).await, []);
        world.store.migrate().await.unwrap();
        let seen = settled(&world, ChangePosition::default(), 1).await;
        assert_eq!(ids(&seen), [1]);
        let mut tx = world.raw.begin().await.unwrap();
        insert(&mut tx, &world, 2).await;
        tx.commit().await.unwrap();
        assert_eq!(ids(&settled(&world, seen[0].1, 1).await), [2]);
    })
    .await;
}

/// What is gathered of them tells of the workspaces that were there then: a new one has no rows (0038).
#[tokio::test]
async fn no_table_gathers_statistics_of_workspaces() {
    bounded(async {
        let (world, _) = World::connected().await;
        let gathering: Vec<String> = sqlx::query_scalar(
            "select format('%s.%s', a.attrelid::regclass, a.attname) from pg_attribute a
             join pg_class c on c.oid = a.attrelid
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
               and a.attname in ('workspace_id', 'portal_id') and not a.attisdropped
               and a.attstattarget is distinct from 0",
        )
        .fetch_all(&world.raw)
        .await
        .unwrap();
        assert_eq!(gathering, Vec::<String>::new());
    })
    .await;
}
