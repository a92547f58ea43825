//! Merged, archived and missing records (I3): what a page tells of them, and what it does not.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{
    HubSpotObjectId, ObjectType, ResyncMode, SyncType,
    reconcile::{Cost, PassKind},
};
use store::{AssociationRow, CursorKey, Fate, FoundBy, Span};

use crate::support::{
    Commit as _, Page, Reader, World, at, bounded, committed, record, resync, row, run_id,
};

fn contact(id: i64, modified: i64, merged: &str) -> store::MirrorRow {
    let properties = serde_json::json!({
        "email": format!("c{id}@x.example"), "hs_merged_object_ids": merged,
    });
    row(id, modified, &properties.to_string())
}

async fn commit(world: &World, page: Page) {
    let version = page.expected_version;
    let outcome = world.store.commit_page(page, at(0)).await.unwrap();
    assert_eq!(outcome, committed(version + 1));
}

async fn fate(world: &World, id: i64) -> Option<Fate> {
    let (workspace, portal) = (world.workspace, world.portal);
    let contact = ObjectType::Contact;
    world
        .store
        .fate(workspace, portal, contact, record(id))
        .await
        .unwrap()
}

async fn living(world: &World, id: i64) -> Option<HubSpotObjectId> {
    world
        .store
        .living_ids(
            world.workspace,
            world.portal,
            ObjectType::Contact,
            &[record(id)],
        )
        .await
        .unwrap()
        .remove(&record(id))
}

/// A reading that begins after all that there was.
async fn next_reading(world: &World, n: u128, before: Reader) -> Reader {
    world.store.finish_type(&world.key(before)).await.unwrap();
    world.store.finish_run(before.run, at(0)).await.unwrap();
    let wish = resync(&[SyncType::Contacts], ResyncMode::FromScratch);
    world.resync(&wish, n, at(0)).await;
    let reader = world.reader(SyncType::Contacts, at(0)).await;
    assert_eq!(reader.run, run_id(n));
    reader
}

#[tokio::test]
async fn what_was_merged_leads_to_the_record_that_lives_and_comes_back_by_no_older_page() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version, read, rows: Vec<store::MirrorRow>| Page {
            read_at: at(read),
            rows,
            ..world.page(reader, version)
        };
        commit(
            &world,
            page(
                0,
                10,
                vec![contact(1, 1, ""), contact(2, 1, ""), contact(3, 1, "")],
            ),
        )
        .await;
        // 1 and 2 become 4; 4 and 3 become 5, which names them all.
        commit(&world, page(1, 20, vec![contact(4, 15, "1;2")])).await;
        assert_eq!(fate(&world, 1).await, Some(Fate::Merged(record(4))));
        commit(&world, page(2, 30, vec![contact(5, 25, "4;3")])).await;
        for old in [1, 2, 3, 4] {
            assert_eq!(living(&world, old).await, Some(record(5)), "{old}");
            assert_eq!(
                fate(&world, old).await,
                Some(Fate::Merged(record(5))),
                "{old}"
            );
        }
        assert_eq!(fate(&world, 5).await, Some(Fate::Alive));
        let found = world
            .store
            .found_by_key(
                world.workspace,
                world.portal,
                ObjectType::Contact,
                &["c1@x.example"],
            )
            .await
            .unwrap();
        assert_eq!(found, [], "a tombstone is found by nothing");

        // A page that was sent before, even of a later state, and an index that lags.
        commit(&world, page(3, 19, vec![contact(1, 18, "")])).await;
        assert_eq!(fate(&world, 1).await, Some(Fate::Merged(record(5))));
        let search = Page {
            found_by: FoundBy::Search,
            ..page(4, 40, vec![contact(2, 26, "")])
        };
        commit(&world, search).await;
        assert_eq!(fate(&world, 2).await, Some(Fate::Merged(record(5))));
        // An old id that was never stored does not come in late either.
        commit(&world, page(5, 41, vec![contact(6, 40, "99")])).await;
        commit(&world, page(6, 39, vec![contact(99, 38, "")])).await;
        assert_eq!(fate(&world, 99).await, None);
        // An answer for another id says the same.
        let told = Page {
            merged: BTreeMap::from([(record(6), record(5))]),
            ..page(7, 50, Vec::new())
        };
        commit(&world, told).await;
        assert_eq!(living(&world, 99).await, Some(record(5)));
        assert_eq!(fate(&world, 6).await, Some(Fate::Merged(record(5))));
    })
    .await;
}

#[tokio::test]
async fn a_record_that_answers_under_its_own_id_lives_whoever_claims_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let circle = |version, read| Page {
            read_at: at(read),
            rows: vec![contact(1, 1, "2"), contact(2, 1, "1")],
            ..world.page(reader, version)
        };
        commit(&world, circle(0, 10)).await;
        for id in [1, 2] {
            assert_eq!(fate(&world, id).await, Some(Fate::Alive), "{id}");
            assert_eq!(living(&world, id).await, None, "{id}");
        }
        // One after the other: whoever was asked last lives, and the next reading of both ends it.
        for (version, rows) in [(1, contact(1, 2, "2")), (2, contact(2, 2, "1"))] {
            let page = Page {
                rows: vec![rows],
                read_at: at(20 + version),
                ..world.page(reader, version)
            };
            commit(&world, page).await;
        }
        assert_eq!(fate(&world, 2).await, Some(Fate::Alive));
        assert_eq!(fate(&world, 1).await, Some(Fate::Merged(record(2))));
        let again = Page {
            read_at: at(40),
            rows: vec![contact(1, 2, "2"), contact(2, 2, "1")],
            ..world.page(reader, 3)
        };
        commit(&world, again).await;
        for id in [1, 2] {
            assert_eq!(fate(&world, id).await, Some(Fate::Alive), "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_whole_listing_did_not_bring_between_its_places_is_asked_for() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let rows = (1..=9).map(|id| contact(id, 1, "")).collect();
        commit(
            &world,
            Page {
                rows,
                ..world.page(reader, 0)
            },
        )
        .await;
        let archived = store::MirrorRow {
            archived: true,
            ..contact(4, 1, "")
        };
        let rows = vec![archived, contact(10, 1, "5")];
        commit(
            &world,
            Page {
                rows,
                ..world.page(reader, 1)
            },
        )
        .await;
        for (version, from, below, brought, unseen) in [
            // 1 lies before the place, 8 behind; 5 was merged away, and is known to lead elsewhere.
            (2, Some(2), Some(8), vec![2, 3], vec![4, 6, 7]),
            // What was noted stays noted; the last page has no end.
            (3, Some(8), None, vec![8], vec![4, 6, 7, 9, 10]),
            (4, None, Some(2), vec![], vec![1, 4, 6, 7, 9, 10]),
        ] {
            let span = Span {
                from: from.map(record),
                below: below.map(record),
                brought: brought.into_iter().map(record).collect(),
            };
            let page = Page {
                span: Some(span),
                ..world.page(reader, version)
            };
            commit(&world, page).await;
            let noted = world
                .store
                .unanswered(&world.key(reader), None, 100)
                .await
                .unwrap();
            let noted: Vec<i64> = noted.iter().map(HubSpotObjectId::get).collect();
            assert_eq!(noted, unseen, "page {version}");
        }
        // What was asked for in vain is not asked for in the next slice, and counts.
        let (key, in_vain) = (world.key(reader), [record(1), record(4)]);
        world.store.asked_in_vain(&key, &in_vain).await.unwrap();
        let left = world.store.unanswered(&key, None, 100).await.unwrap();
        assert_eq!(left, [6, 7, 9, 10].map(record));
        world.store.give_up_unanswered(&key).await.unwrap();
        let cursor = world.store.cursor(&key).await.unwrap().unwrap();
        assert_eq!(cursor.unanswered, 6);
        // Nothing was concluded from it.
        assert_eq!(fate(&world, 6).await, Some(Fate::Alive));
    })
    .await;
}

#[tokio::test]
async fn who_is_named_as_unknown_in_two_readings_is_gone_with_all_values() {
    bounded(async {
        let (world, _) = World::connected().await;
        let mut reader = world.reader(SyncType::Contacts, at(0)).await;
        let rows = vec![contact(1, 1, ""), contact(2, 1, ""), contact(3, 1, "")];
        let associations = vec![AssociationRow {
            from: record(1),
            to_type: ObjectType::Company,
            to: record(7),
            labels: vec!["works at".to_owned()],
        }];
        let first = Page {
            rows,
            associations,
            associated_types: vec![ObjectType::Company],
            ..world.page(reader, 0)
        };
        commit(&world, first).await;
        let missing = |reader: Reader, version, read, ids: &[i64]| Page {
            read_at: at(read),
            missing: ids.iter().copied().map(record).collect(),
            ..world.page(reader, version)
        };
        commit(&world, missing(reader, 1, 20, &[1, 2])).await;
        // The same reading once more is no second word, and an answer from before says nothing.
        commit(&world, missing(reader, 2, 21, &[1, 2])).await;
        commit(&world, missing(reader, 3, 0, &[3])).await;
        assert_eq!(fate(&world, 1).await, Some(Fate::Missing));
        assert_eq!(fate(&world, 2).await, Some(Fate::Missing));
        assert_eq!(fate(&world, 3).await, Some(Fate::Alive));
        assert_eq!(world.count("select count(*) from hubspot_object_key where object_id = 1").await, 1);
        // What others keep of contact 1; of the people one was made from it, and one is the app's own.
        let (workspace, portal) = (world.workspace.as_uuid(), world.portal.get());
        for planted in [
            "insert into hubspot_former_key (workspace_id, portal_id, object_type, key, object_id)
             values ($1, $2, 1, 'old@x.example', 1)",
            "insert into webhook_record (workspace_id, portal_id, object_type, object_id) values ($1, $2, 1, 1)",
            "insert into app_person (workspace_id, person_id, version, revision, document, slots, created_at, changed_at)
             select $1, id, version, 1, '{}', '{}', now(), now()
             from (values ('imported', 0), ('own', 3)) as t (id, version) where $2 > 0",
            "insert into record_link (workspace_id, portal_id, object_type, app_id, object_id, origin)
             values ($1, $2, 1, 'imported', 1, 'imported'), ($1, $2, 1, 'own', 1, 'primary')",
            "insert into dnc_verdict (workspace_id, portal_id, person_id, allowed, reasons, stale, judged_at)
             select $1, $2, id, true, '[]', false, now() from unnest(array['imported', 'own']) as id",
            "insert into export_journal (workspace_id, entry_id, portal_id, person_id, subject_kind, subject_id,
               cause, operation, object_type, object_id, written, state, opened_at, closed_at)
             select $1, gen_random_uuid(), $2, 'own', 'person', 'own', '\"company\"',
               '{\"update\": [\"contact\", 1]}', 1, nullif(n, 0),
               '[{\"property\": \"city\", \"rule\": null, \"old\": \"Ulm\", \"new\": \"Bonn\", \"overwrote\": true}]',
               'dropped', now(), now() from unnest(array[0, 1]) as n",
            "insert into exported_person (workspace_id, portal_id, person_id, contact_id, status_said, exported_at, last_exported_at)
             values ($1, $2, 'own', 1, 'replied', now(), now())",
            "insert into export_recheck (workspace_id, portal_id, person_id, contact_id, company_id, was_primary, due_at)
             values ($1, $2, 'own', 1, 7, true, now())",
        ] {
            sqlx::query(planted)
                .bind(workspace)
                .bind(portal)
                .execute(&world.raw)
                .await
                .unwrap();
        }

        reader = next_reading(&world, 2, reader).await;
        // One of them turns up again.
        let back = Page {
            read_at: at(30),
            rows: vec![contact(2, 1, "")],
            ..world.page(reader, 0)
        };
        commit(&world, back).await;
        assert_eq!(fate(&world, 2).await, Some(Fate::Alive));
        commit(&world, missing(reader, 1, 31, &[1, 2])).await;
        assert_eq!(fate(&world, 1).await, Some(Fate::Gone));
        assert_eq!(fate(&world, 2).await, Some(Fate::Missing), "named once since it was there");
        assert_eq!(
            world
                .count(
                    "select (select count(*) from hubspot_object where object_id = 1 and properties <> '{}')
                       + (select count(*) from hubspot_object_key where object_id = 1)
                       + (select count(*) from hubspot_association)
                       + (select count(*) from hubspot_former_key)
                       + (select count(*) from webhook_record)
                       + (select count(*) from app_person where person_id = 'imported')
                       + (select count(*) from export_journal where written::text like '%Ulm%' or written::text like '%Bonn%')
                       + (select count(*) from exported_person)
                       + (select count(*) from export_recheck)
                       + (select count(*) from record_link where app_id = 'imported')
                       + (select count(*) from dnc_verdict where person_id = 'imported')"
                )
                .await,
            0
        );
        assert_eq!(
            world
                .count(
                    "select (select count(*) from app_person) + (select count(*) from record_link)
                       + (select count(*) from dnc_verdict)"
                )
                .await,
            3,
            "the app's own stays"
        );
        // It comes back by no page, whenever that was sent.
        let late = Page {
            read_at: at(99),
            rows: vec![contact(1, 98, "")],
            ..world.page(reader, 2)
        };
        commit(&world, late).await;
        assert_eq!(fate(&world, 1).await, Some(Fate::Gone));
        assert_eq!(world.count("select count(*) from erased_identity").await, 1);
    })
    .await;
}

#[tokio::test]
async fn records_that_lead_to_one_that_turned_are_noted_until_they_are_read() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let deals = Page {
            rows: vec![row(70, 1, "{}"), row(71, 1, "{}")],
            associations: [(70, 1), (71, 2)]
                .map(|(from, to)| AssociationRow {
                    from: record(from),
                    to_type: ObjectType::Contact,
                    to: record(to),
                    labels: vec!["deal_to_contact".to_owned()],
                })
                .to_vec(),
            associated_types: vec![ObjectType::Contact],
            ..world.page(reader, 0)
        };
        commit(&world, deals).await;
        let contacts = Reader {
            sync_type: SyncType::Contacts,
            ..reader
        };
        world.begin(contacts, domain::ReadPlan::List, at(0)).await;
        let page = |version, rows| Page {
            rows,
            ..world.page(contacts, version)
        };
        commit(&world, page(0, vec![contact(1, 1, ""), contact(2, 1, "")])).await;
        let waiting = async || {
            world
                .store
                .rereads_after(world.workspace, world.portal, ObjectType::Deal, None, 10)
                .await
                .unwrap()
        };
        assert_eq!(waiting().await, [], "a record that is new turned nothing");
        let archived = store::MirrorRow {
            archived: true,
            ..contact(1, 1, "")
        };
        commit(&world, page(1, vec![archived])).await;
        let noted = waiting().await;
        assert_eq!(noted.iter().map(|r| r.id).collect::<Vec<_>>(), [record(70)]);
        // And out of the recycle bin again, while that was being read.
        commit(&world, page(2, vec![contact(1, 2, "")])).await;
        let (step, mut batch) = world.page(reader, 1).split();
        batch.reread = noted;
        world.store.commit(&step, batch, at(0)).await.unwrap();
        let noted = waiting().await;
        assert_eq!(noted.len(), 1, "noted again: the read was too early");
        let (step, mut batch) = world.page(reader, 2).split();
        batch.reread = noted;
        world.store.commit(&step, batch, at(0)).await.unwrap();
        assert_eq!(waiting().await, []);
    })
    .await;
}

#[tokio::test]
async fn a_portal_is_due_an_hour_after_its_first_reading_and_when_somebody_asks() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        world.read_to_the_end(reader, at(0)).await;
        let (workspace, portal) = (world.workspace, world.portal);
        let due = async || {
            let due = world.store.reconciles_due(None, 10).await.unwrap();
            due.into_iter().map(|row| row.workspace).collect::<Vec<_>>()
        };
        assert_eq!(world.count("select count(*) from reconcile_plan").await, 1);
        assert_eq!(due().await, []);
        world.store.ask_reconcile(workspace, portal).await.unwrap();
        assert_eq!(due().await, [workspace]);
        let state = world
            .store
            .reconcile_state(workspace, portal)
            .await
            .unwrap();
        let asked_at = state.asked_at.unwrap();
        let contacts = &state.types[0];
        assert!(
            contacts.ever_read && contacts.read_whole_at.is_some() && contacts.passes.is_empty()
        );
        assert!(!state.types[1].ever_read);

        // A pass has a cursor of its own, which begins anew each time and is no reading of the type.
        let key = CursorKey::of_pass(workspace, portal, ObjectType::Contact, PassKind::Walk);
        world.store.begin_pass(&key).await.unwrap();
        world.store.finish_type(&key).await.unwrap();
        let state = world
            .store
            .reconcile_state(workspace, portal)
            .await
            .unwrap();
        let (kind, pass) = state.types[0].passes[0];
        assert_eq!(
            (kind, pass.ended, pass.incomplete),
            (PassKind::Walk, true, false)
        );
        assert!(pass.began_at > asked_at);
        assert_eq!(world.status().await.types.len(), 1);
        world.store.begin_pass(&key).await.unwrap();
        let state = world
            .store
            .reconcile_state(workspace, portal)
            .await
            .unwrap();
        assert!(!state.types[0].passes[0].1.ended);

        world
            .store
            .answer_reconcile(workspace, portal, asked_at)
            .await
            .unwrap();
        world
            .store
            .plan_reconcile(workspace, portal, TimeDelta::minutes(5))
            .await
            .unwrap();
        assert_eq!(due().await, []);
        world.disconnect(at(0)).await;
        world
            .store
            .plan_reconcile(workspace, portal, TimeDelta::zero())
            .await
            .unwrap();
        assert_eq!(
            due().await,
            [],
            "who is disconnected is not asked for anything"
        );
    })
    .await;
}

#[tokio::test]
async fn an_erased_person_takes_along_what_was_merged_into_them() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let page = |version, read, rows| Page {
            rows,
            read_at: at(read),
            ..world.page(reader, version)
        };
        commit(
            &world,
            page(0, 1, vec![contact(1, 1, ""), contact(3, 1, "")]),
        )
        .await;
        commit(&world, page(1, 2, vec![contact(2, 2, "1")])).await;
        let target = store::EraseTarget {
            email: Some(domain::app::Email::parse("c2@x.example").unwrap()),
            ..store::EraseTarget::default()
        };
        let erased = world
            .store
            .erase_person(world.workspace, &target, at(3))
            .await
            .unwrap();
        assert_eq!(
            erased.contacts, 2,
            "the record and the tombstone of what it took in"
        );
        for (id, want) in [(1, None), (2, None), (3, Some(Fate::Alive))] {
            assert_eq!(fate(&world, id).await, want, "{id}");
        }
        assert_eq!(world.count("select count(*) from hubspot_alias").await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_requests_of_a_pass_are_counted_from_its_beginning() {
    bounded(async {
        let (world, _) = World::connected().await;
        let key = CursorKey::of_pass(
            world.workspace,
            world.portal,
            ObjectType::Contact,
            PassKind::Walk,
        );
        let spent = async || {
            let state = world
                .store
                .reconcile_state(world.workspace, world.portal)
                .await
                .unwrap();
            state.types[0].passes[0].1.spent
        };
        let cost = |general, associations| Cost {
            general,
            associations,
        };
        world.store.begin_pass(&key).await.unwrap();
        assert_eq!(spent().await, Cost::default());
        for _ in 0..2 {
            world.store.count_requests(&key, cost(3, 1)).await.unwrap();
        }
        assert_eq!(spent().await, cost(6, 2));
        world.store.begin_pass(&key).await.unwrap();
        assert_eq!(spent().await, Cost::default());
    })
    .await;
}
