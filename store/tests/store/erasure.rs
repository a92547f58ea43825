//! Erasing, purging, retention (C7).

use std::collections::BTreeSet;

use domain::{
    ObjectType, QuarantineReason, SyncType,
    app::{CustomField, Fields, PersonId, PersonInput, PersonUpsert, RecordKind, UpsertOutcome},
    export::{
        RequestKind,
        journal::{Cause, Entry, EntryId, Operation, Subject},
    },
    linking::LinkOrigin,
    settings::{Settings, SettingsRevision},
};
use store::{
    Associated, AssociationRow, CloseEntry, EraseTarget, Erased, ExportEnd, LinkWrite,
    MembershipPage, NewServiceToken, Opened, PurgeStatus, QuarantineRow, RefusedPurge, RequestsEnd,
    Rows, StoreError,
};

use crate::support::{Commit as _, Page, World, at, bounded, committed, record, row, run_id};

fn person(id: &str, email: &str) -> PersonUpsert {
    let json = serde_json::json!({
        "id": id, "version": 1, "email": email, "fields": {"first_name": "Zelda", "phone": "+49 1234567"},
    });
    serde_json::from_value::<PersonInput>(json)
        .unwrap()
        .check(&Fields::new(std::iter::empty::<&CustomField>()))
        .unwrap()
}

fn contact(id: i64, modified: i64, email: &str, additional: &str) -> store::MirrorRow {
    let properties = serde_json::json!({
        "email": email, "hs_additional_emails": additional, "firstname": "Zelda", "phone": "+49 1234567",
    });
    row(id, modified, &properties.to_string())
}

fn page_of(world: &World, reader: crate::support::Reader, version: i64) -> Page {
    Page {
        rows: vec![
            contact(
                1,
                version,
                "Zelda@Example.com",
                "z@other.example;zz@other.example",
            ),
            contact(2, version, "someone@example.com", ""),
        ],
        associations: vec![
            AssociationRow {
                from: record(1),
                to_type: domain::ObjectType::Company,
                to: record(9),
                labels: vec!["x".to_owned()],
            },
            AssociationRow {
                from: record(2),
                to_type: domain::ObjectType::Company,
                to: record(9),
                labels: vec!["x".to_owned()],
            },
        ],
        associated_types: vec![domain::ObjectType::Company],
        quarantine: vec![QuarantineRow {
            key: "odd".to_owned(),
            reason: QuarantineReason::NulCharacter,
            raw: br#"{"properties":{"email":"ZZ@other.example","firstname":"Zel\u0000da"}}"#
                .to_vec(),
        }],
        ..world.page(reader, version)
    }
}

/// Every value of every table that holds one of the needles.
pub(crate) async fn traces(world: &World, needles: &[&str]) -> Vec<String> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text from information_schema.columns
         where table_schema = 'public' and data_type not in ('uuid', 'bigint', 'smallint', 'integer', 'boolean')
           and data_type not like 'timestamp%'",
    )
    .fetch_all(&world.raw)
    .await
    .unwrap();
    assert!(columns.len() > 30);
    let mut found = Vec::new();
    for (table, column) in columns {
        for needle in needles {
            let sql = format!(
                "select count(*) from \"{table}\" where position(lower($1) in lower(
                   case when pg_typeof(\"{column}\") = 'bytea'::regtype then encode(\"{column}\"::text::bytea, 'escape') else \"{column}\"::text end)) > 0
                 or (pg_typeof(\"{column}\") = 'bytea'::regtype and position(encode(convert_to(lower($1), 'UTF8'), 'hex') in \"{column}\"::text) > 0)"
            );
            let n: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(needle)
                .fetch_one(&world.raw)
                .await
                .unwrap();
            if n > 0 {
                found.push(format!("{table}.{column}: {needle}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn an_erased_person_is_gone_everywhere_and_stays_out() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = page_of(&world, reader, 0);
        assert_eq!(store.commit_page(page, at(1)).await.unwrap(), committed(1));
        let both = [
            person("p1", "zelda@example.com"),
            person("p2", "other@example.com"),
        ];
        store
            .upsert_people(world.workspace, &both, at(1))
            .await
            .unwrap();
        let needles = ["zelda@example.com", "z@other.example", "zz@other.example"];
        assert!(traces(&world, &needles).await.len() >= 3);

        // Known by the app's id only: the rest is found from there.
        let target = EraseTarget {
            person: Some("p1".parse().unwrap()),
            email: None,
        };
        let erased = store
            .erase_person(world.workspace, &target, at(2))
            .await
            .unwrap();
        assert_eq!(
            erased,
            Erased {
                people: 1,
                contacts: 1,
                quarantined: 1,
                exports_ended: 0
            }
        );
        assert_eq!(traces(&world, &needles).await, Vec::<String>::new());
        assert_eq!(world.count("select count(*) from hubspot_object").await, 1);
        assert_eq!(
            world
                .count("select count(*) from hubspot_association")
                .await,
            1
        );

        // Comes in again neither from HubSpot nor from the app, under whatever id or address.
        let again = page_of(&world, reader, 1);
        assert_eq!(store.commit_page(again, at(3)).await.unwrap(), committed(2));
        assert_eq!(world.count("select count(*) from hubspot_object").await, 1);
        assert_eq!(world.count("select count(*) from quarantine").await, 0);
        let attempts = [
            person("p1", "new@example.com"),
            person("p9", "ZELDA@example.com"),
            person("p8", "zz@other.example"),
            person("p3", "third@example.com"),
        ];
        let outcomes = store
            .upsert_people(world.workspace, &attempts, at(3))
            .await
            .unwrap();
        assert_eq!(
            outcomes,
            [
                Ok(UpsertOutcome::Erased),
                Ok(UpsertOutcome::Erased),
                Ok(UpsertOutcome::Erased),
                Ok(UpsertOutcome::Created)
            ]
        );
        assert_eq!(traces(&world, &needles).await, Vec::<String>::new());
        // Idempotent.
        let again = store
            .erase_person(world.workspace, &target, at(4))
            .await
            .unwrap();
        assert_eq!(again, Erased::default());
    })
    .await;
}

#[tokio::test]
async fn an_erasure_waits_for_a_page_that_is_being_committed() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        // Holds up the page between its check and its end.
        let mut holder = world.raw.begin().await.unwrap();
        sqlx::query("lock table hubspot_association in access exclusive mode")
            .execute(&mut *holder)
            .await
            .unwrap();
        let page = page_of(&world, reader, 0);
        let commit = tokio::spawn({
            let store = world.store.clone();
            async move { store.commit_page(page, at(1)).await.unwrap() }
        });
        world.until_blocked(1).await;
        let erase = tokio::spawn({
            let (store, workspace) = (world.store.clone(), world.workspace);
            async move {
                let target = EraseTarget {
                    person: None,
                    email: Some(domain::app::Email::parse("zelda@example.com").unwrap()),
                };
                store.erase_person(workspace, &target, at(2)).await.unwrap()
            }
        });
        world.until_blocked(2).await;
        holder.rollback().await.unwrap();
        assert_eq!(commit.await.unwrap(), committed(1));
        assert_eq!(erase.await.unwrap().contacts, 1);
        assert_eq!(world.count("select count(*) from hubspot_object").await, 1);
    })
    .await;
}

/// Also in tables that did not exist when this was written: they have a workspace, or refer to something that
/// has one and goes with it.
async fn nothing_left(world: &World) {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
           and not c.relispartition and a.attname = 'workspace_id'",
    )
    .fetch_all(&world.raw)
    .await
    .unwrap();
    let source = include_str!("../../src/purge.rs");
    for table in tables.iter().collect::<BTreeSet<_>>() {
        assert!(
            source.contains(&format!("delete from {table} where workspace_id = $1")),
            "purge_rest forgets the table {table}"
        );
        let left: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
                .fetch_one(&world.raw)
                .await
                .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

/// What HubSpot answered only while the workspace goes, or when it is gone, comes too late to be kept.
#[tokio::test]
async fn a_write_that_ends_during_a_purge_leaves_nothing() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let store = &world.store;
        let all = [person("p1", "zelda@example.com")];
        store
            .upsert_people(world.workspace, &all, at(1))
            .await
            .unwrap();
        let id: PersonId = "p1".parse().unwrap();
        let hold = store.take_writer(world.workspace, &id).await;
        let hold = hold.unwrap().unwrap();
        let entry = Entry::open(
            EntryId::new(uuid::Uuid::from_u128(77)),
            Subject::Person(id.clone()),
            Cause::Request(RequestKind::Manual),
            Operation::Create(ObjectType::Contact),
            &[],
            at(1),
        );
        let opened = store
            .open_entry(&hold, world.portal, connected.epoch, &entry, None)
            .await;
        assert_eq!(opened.unwrap(), Opened::Open);
        world.disconnect(at(2)).await;
        let begun = store.request_purge(world.workspace, at(3)).await.unwrap();
        assert!(matches!(begun, Some(Ok(_))));
        let link = |record, id: &str| LinkWrite {
            record,
            id: id.to_owned(),
            to: crate::support::record(1),
            origin: LinkOrigin::Primary,
        };
        let late = async || {
            store
                .close_entry_done(CloseEntry {
                    workspace: world.workspace,
                    portal: world.portal,
                    epoch: connected.epoch,
                    entry: entry.id,
                    record: record(1),
                    mirror: Some((ObjectType::Contact, contact(1, 1, "zelda@example.com", ""))),
                    associated: Some(Associated {
                        contact: record(1),
                        company: record(2),
                        primary: true,
                    }),
                    read_at: at(4),
                    link: Some(link(RecordKind::Person, "p1")),
                    day: at(4).date_naive(),
                    written: None,
                })
                .await
                .unwrap();
            let end = ExportEnd {
                person: id.clone(),
                contact: record(1),
                status_said: None,
                look_again: Some((record(2), std::time::Duration::from_secs(1))),
                requests: Vec::new(),
                end: RequestsEnd::default(),
            };
            let portal = world.portal;
            store
                .end_exported(world.workspace, portal, &[end])
                .await
                .unwrap();
            let company = link(RecordKind::Company, "c1");
            store
                .write_link(world.workspace, portal, &company)
                .await
                .unwrap();
            store
                .note_refused_address(world.workspace, portal, &id, "zelda@example.com")
                .await
                .unwrap();
        };
        // Everybody is still there.
        late().await;
        assert_eq!(world.count("select count(*) from app_person").await, 1);
        let others =
            "select (select count(*) from hubspot_object) + (select count(*) from record_link)
            + (select count(*) from exported_person) + (select count(*) from erased_identity)";
        assert_eq!(world.count(others).await, 0);
        let mut emptied = 0;
        loop {
            let step = store.purge_step(world.workspace, 10, emptied, at(5));
            let step = step.await.unwrap().expect("the purge is under way");
            late().await;
            emptied = step.emptied;
            if step.done {
                break;
            }
        }
        nothing_left(&world).await;
    })
    .await;
}

#[tokio::test]
async fn a_purge_needs_a_disconnect_and_leaves_nothing() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = page_of(&world, reader, 0);
        store.commit_page(page, at(1)).await.unwrap();
        let all = [person("p1", "zelda@example.com")];
        store
            .upsert_people(world.workspace, &all, at(1))
            .await
            .unwrap();
        store
            .save_settings(
                world.workspace,
                SettingsRevision::NONE,
                &Settings::empty(),
                run_id(90),
                run_id(190),
                at(1),
            )
            .await
            .unwrap();
        store
            .create_service_token(
                &NewServiceToken {
                    id: domain::api::TokenId::new(uuid::Uuid::from_u128(5)),
                    workspace: world.workspace,
                    name: "app",
                    hash: [1; 32],
                },
                at(1),
            )
            .await
            .unwrap();
        let refused = store.request_purge(world.workspace, at(2)).await.unwrap();
        assert_eq!(refused, Some(Err(RefusedPurge::StillConnected)));
        assert_eq!(world.count("select count(*) from app_person").await, 1);
        assert_eq!(
            store.purge_step(world.workspace, 10, 0, at(2)).await.unwrap(),
            None
        );
        world.disconnect(at(2)).await;
        let began = store.request_purge(world.workspace, at(3)).await.unwrap();
        let asked = PurgeStatus {
            requested_at: at(3),
            removed: 0,
        };
        assert_eq!(began, Some(Ok(asked)));
        assert_eq!(
            store.purges_after(None, 10).await.unwrap(),
            [world.workspace]
        );
        // Nothing comes in any more, and nobody connects.
        let late = store.upsert_people(world.workspace, &all, at(4)).await;
        assert!(matches!(late, Err(StoreError::NotFound("workspace"))));
        let mut removed = 0;
        let mut steps = 0;
        let mut emptied = 0;
        let mut is_late = false;
        loop {
            let step = store.purge_step(world.workspace, 1, emptied, at(4));
            let step = step.await.unwrap().expect("the purge is under way");
            emptied = step.emptied;
            if emptied > 7 && !is_late {
                // Somebody who was not to: into a table that was found empty.
                is_late = true;
                let late = sqlx::query(
                    "insert into hubspot_reread (workspace_id, portal_id, object_type, object_id) values ($1, $2, 1, 1)",
                );
                let late = late.bind(world.workspace.as_uuid()).bind(world.portal.get());
                late.execute(&world.raw).await.unwrap();
            }
            removed += step.removed;
            steps += 1;
            if step.done {
                break;
            }
            let status = store.purge_status(world.workspace).await.unwrap();
            assert_eq!(status.map(|s| s.removed), Some(removed));
            // Asked again, it goes on from where it is.
            let again = store.request_purge(world.workspace, at(9)).await.unwrap();
            assert_eq!(again, Some(Ok(PurgeStatus { removed, ..asked })));
        }
        assert!(is_late);
        assert!(removed > 8 && steps > 3, "{removed} rows in {steps} steps");
        nothing_left(&world).await;
        assert_eq!(world.count("select count(*) from workspace").await, 0);
        assert_eq!(
            store.request_purge(world.workspace, at(9)).await.unwrap(),
            None
        );
        assert_eq!(store.purges_after(None, 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn quarantine_is_emptied_by_age() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        store
            .commit_page(page_of(&world, reader, 0), at(100))
            .await
            .unwrap();
        assert_eq!(
            store.workspaces_with_quarantine().await.unwrap(),
            [world.workspace]
        );
        let before = |t| store.empty_quarantine(world.workspace, at(t), 100);
        assert_eq!(before(100).await.unwrap(), 0);
        assert_eq!(before(101).await.unwrap(), 1);
        assert_eq!(store.workspaces_with_quarantine().await.unwrap(), []);
    })
    .await;
}

/// A contact that was erased does not come back as the end of an association, or on a list.
#[tokio::test]
async fn an_erased_contact_comes_back_by_no_path() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let contacts = world.reader(SyncType::Contacts, at(0)).await;
        store
            .commit_page(page_of(&world, contacts, 0), at(1))
            .await
            .unwrap();
        let deals = crate::support::Reader {
            sync_type: SyncType::Deals,
            ..contacts
        };
        let lists = crate::support::Reader {
            sync_type: SyncType::Lists,
            ..contacts
        };
        world.begin(deals, domain::ReadPlan::List, at(0)).await;
        world.begin(lists, domain::ReadPlan::List, at(0)).await;
        let with = |to| AssociationRow {
            from: record(5),
            to_type: domain::ObjectType::Contact,
            to: record(to),
            labels: vec!["x".to_owned()],
        };
        let deal = |version| Page {
            rows: vec![row(5, version, "{}")],
            associated_types: vec![domain::ObjectType::Contact],
            associations: vec![with(1), with(2)],
            ..world.page(deals, version)
        };
        let members = |version| {
            world.page(lists, version).of(Rows::Members(MembershipPage {
                list: record(77),
                members: vec![record(1), record(2)],
            }))
        };
        store.commit_page(deal(0), at(1)).await.unwrap();
        store.commit_page(members(0), at(1)).await.unwrap();
        let one = || async {
            (
                world
                    .count(
                        "select count(*) from hubspot_association where to_type = 1 and to_id = 1",
                    )
                    .await,
                world
                    .count("select count(*) from hubspot_list_member where object_id = 1")
                    .await,
            )
        };
        assert_eq!(one().await, (1, 1));
        let target = EraseTarget {
            person: None,
            email: Some(domain::app::Email::parse("zelda@example.com").unwrap()),
        };
        store
            .erase_person(world.workspace, &target, at(2))
            .await
            .unwrap();
        assert_eq!(one().await, (0, 0));
        store.commit_page(deal(1), at(3)).await.unwrap();
        store.commit_page(members(1), at(3)).await.unwrap();
        assert_eq!(one().await, (0, 0));
        assert_eq!(
            world
                .count("select count(*) from hubspot_association where to_type = 1")
                .await,
            1
        );
        assert_eq!(
            world
                .count("select count(*) from hubspot_list_member")
                .await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn an_international_address_is_erased_however_it_is_written() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = Page {
            rows: vec![
                contact(1, 1, "zelda@b\u{fc}cher.example", ""),
                contact(2, 1, "x@example.com", "Zelda@XN--BCHER-KVA.example"),
                contact(3, 1, "other@b\u{fc}cher.example", ""),
            ],
            quarantine: vec![QuarantineRow {
                key: "odd".to_owned(),
                reason: QuarantineReason::Malformed,
                raw: br#"{"properties":{"email":"zelda@b\u00fccher.example"}}"#.to_vec(),
            }],
            ..world.page(reader, 0)
        };
        store.commit_page(page, at(1)).await.unwrap();
        let target = EraseTarget {
            person: None,
            email: Some(domain::app::Email::parse("Zelda@B\u{dc}CHER.example").unwrap()),
        };
        let erased = store
            .erase_person(world.workspace, &target, at(2))
            .await
            .unwrap();
        assert_eq!((erased.contacts, erased.quarantined), (2, 1));
        assert_eq!(world.count("select object_id from hubspot_object").await, 3);
    })
    .await;
}

#[tokio::test]
async fn requests_of_an_erased_person_stay_without_the_id() {
    bounded(async {
        let (world, _) = World::connected().await;
        let store = &world.store;
        let p1: domain::app::PersonId = "person-zelda".parse().unwrap();
        let all = [person("person-zelda", "zelda@example.com")];
        store
            .upsert_people(world.workspace, &all, at(1))
            .await
            .unwrap();
        let request = |n| domain::export::RequestId::new(uuid::Uuid::from_u128(n));
        let ask = async |n: u128| {
            let people = [(request(n), p1.clone())];
            let new = store::NewExports {
                workspace: world.workspace,
                kind: domain::export::RequestKind::Manual,
                people: &people,
                include_earlier: false,
                anew: false,
                bulk: None,
            };
            store.request_exports(&new, at(1)).await.unwrap()
        };
        ask(1).await;
        let target = EraseTarget {
            person: Some(p1.clone()),
            email: None,
        };
        let erased = store
            .erase_person(world.workspace, &target, at(2))
            .await
            .unwrap();
        assert_eq!(erased.exports_ended, 1);
        // Asked for once more, by an app that has not heard of it.
        ask(2).await;
        assert_eq!(
            traces(&world, &["person-zelda"]).await,
            Vec::<String>::new()
        );
        let filter = store::ExportFilter {
            person: Some(p1.clone()),
            state: None,
        };
        let listed = store
            .export_requests_after(world.workspace, &filter, None, 10)
            .await
            .unwrap();
        let erased = domain::export::RequestOutcome::Skipped {
            reason: domain::export::SkipReason::Erased,
        };
        assert_eq!(listed.len(), 2);
        for row in listed {
            let row = row.unwrap();
            assert_eq!((row.person, row.outcome), (None, erased));
        }
    })
    .await;
}
