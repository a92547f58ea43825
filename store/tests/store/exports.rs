//! What is kept of exports: the journal, reverts, previews, and what goes with a person, a contact, a
//! workspace, or with time (C7, E9, E10).

use domain::{
    HubSpotObjectId, ObjectType, PreviewId, RevertId,
    app::{CustomField, Fields, PersonId, PersonInput, PersonUpsert},
    export::{
        RevertState,
        journal::{EntryId, EntryState},
        revert::NoRevert,
    },
};
use store::{EraseTarget, NewRevert, RefusedRevert, RevertEnd};
use uuid::Uuid;

use crate::support::{World, at, bounded};

const VALUE: &str = "zelda-was-here";

fn person(id: &str) -> PersonUpsert {
    let json = serde_json::json!({"id": id, "version": 1, "email": format!("{id}@example.com")});
    serde_json::from_value::<PersonInput>(json)
        .unwrap()
        .check(&Fields::new(std::iter::empty::<&CustomField>()))
        .unwrap()
}

fn id(text: &str) -> PersonId {
    text.parse().unwrap()
}

/// The n-th entry of a second, in order of time.
fn entry(second: i64, n: u8) -> EntryId {
    let millis = u64::try_from(at(second).timestamp_millis()).unwrap();
    EntryId::new(uuid::Builder::from_unix_timestamp_millis(millis, &[n; 10]).into_uuid())
}

/// A done update of a record, which overwrote one property and filled another.
struct Planted<'a> {
    entry: EntryId,
    person: &'a str,
    subject: (&'a str, &'a str),
    object_type: i16,
    state: &'a str,
    second: i64,
}

async fn plant(world: &World, planted: Planted<'_>) {
    let written = serde_json::json!([
        {"property": "jobtitle", "rule": {"rule": "fixed"}, "old": format!("{VALUE} old"),
            "new": format!("{VALUE} new"), "overwrote": true},
        {"property": "city", "rule": {"rule": "fixed"}, "old": null, "new": format!("{VALUE} city"),
            "overwrote": false},
    ]);
    let record = if planted.object_type == 1 {
        "contact"
    } else {
        "company"
    };
    let operation = serde_json::json!({"update": [record, 70 + i64::from(planted.object_type)]});
    let closed = (planted.state != "open").then(|| at(planted.second + 1));
    sqlx::query(
        "insert into export_journal (workspace_id, entry_id, portal_id, person_id, subject_kind, subject_id,
           cause, operation, object_type, object_id, written, state, opened_at, sent_at, closed_at)
         values ($1, $2, $3, $4, $5, $6, '{\"request\": \"manual\"}', $7::jsonb, $8, $9, $10::jsonb, $11, $12, $12, $13)",
    )
    .bind(world.workspace.as_uuid())
    .bind(planted.entry.as_uuid())
    .bind(world.portal.get())
    .bind(planted.person)
    .bind(planted.subject.0)
    .bind(planted.subject.1)
    .bind(operation.to_string())
    .bind(planted.object_type)
    .bind(70 + i64::from(planted.object_type))
    .bind(written.to_string())
    .bind(planted.state)
    .bind(at(planted.second))
    .bind(closed)
    .execute(&world.raw)
    .await
    .unwrap();
}

async fn plant_done(world: &World, of: EntryId, person: &str) {
    let planted = Planted {
        entry: of,
        person,
        subject: ("person", person),
        object_type: 1,
        state: "done",
        second: 0,
    };
    plant(world, planted).await;
}

async fn with_people(people: &[&str]) -> World {
    let (world, _) = World::connected().await;
    let all: Vec<PersonUpsert> = people.iter().map(|id| person(id)).collect();
    world
        .store
        .upsert_people(world.workspace, &all, at(0))
        .await
        .unwrap();
    world
}

#[tokio::test]
async fn the_journal_of_a_person_comes_newest_first_page_by_page() {
    bounded(async {
        let world = with_people(&["p1", "p2"]).await;
        for n in 0..5 {
            plant_done(&world, entry(n, 1), "p1").await;
        }
        plant_done(&world, entry(9, 1), "p2").await;
        let page = async |after| {
            let rows = world
                .store
                .journal_of_person(world.workspace, &id("p1"), after, 2)
                .await
                .unwrap();
            rows.into_iter()
                .map(|row| row.unwrap().entry.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(page(None).await, [entry(4, 1), entry(3, 1)]);
        assert_eq!(page(Some(entry(3, 1))).await, [entry(2, 1), entry(1, 1)]);
        assert_eq!(page(Some(entry(1, 1))).await, [entry(0, 1)]);
        // Of a record, whoever it was for.
        let contact = HubSpotObjectId::new(71).unwrap();
        let of_record = world
            .store
            .journal_of_record(
                world.workspace,
                world.portal,
                ObjectType::Contact,
                contact,
                None,
                10,
            )
            .await
            .unwrap();
        assert_eq!(of_record.len(), 6);
        let company = world.store.journal_of_record(
            world.workspace,
            world.portal,
            ObjectType::Company,
            contact,
            None,
            10,
        );
        assert!(company.await.unwrap().is_empty());
        // One, and none of another workspace.
        let one = world.store.journal_entry(world.workspace, entry(2, 1));
        let one = one.await.unwrap().unwrap();
        assert_eq!(one.person, Some(id("p1")));
        assert!(matches!(one.entry.state, EntryState::Done { .. }));
        let stranger = domain::WorkspaceId::new(Uuid::from_u128(99));
        let other = world.store.journal_entry(stranger, entry(2, 1)).await;
        assert_eq!(other.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_revert_is_asked_for_once_and_ends_once() {
    bounded(async {
        let world = with_people(&["p1"]).await;
        let store = &world.store;
        plant_done(&world, entry(0, 1), "p1").await;
        let open = Planted {
            entry: entry(1, 1),
            person: "p1",
            subject: ("person", "p1"),
            object_type: 1,
            state: "open",
            second: 1,
        };
        plant(&world, open).await;
        let revert = |n| RevertId::new(Uuid::from_u128(n));
        let ask = async |n, of, property: &str| {
            let new = NewRevert {
                id: revert(n),
                workspace: world.workspace,
                entry: of,
                property,
            };
            store.ask_revert(&new, at(5)).await.unwrap()
        };
        for (of, property, why) in [
            (entry(0, 1), "city", NoRevert::NotAnOverwrite),
            (entry(0, 1), "phone", NoRevert::NotWritten),
            (entry(1, 1), "jobtitle", NoRevert::NotDone),
        ] {
            assert_eq!(ask(1, of, property).await, Err(RefusedRevert::Not(why)));
        }
        let unknown = ask(1, entry(7, 1), "jobtitle").await;
        assert_eq!(unknown, Err(RefusedRevert::UnknownEntry));
        assert_eq!(world.count("select count(*) from export_revert").await, 0);

        let first = ask(1, entry(0, 1), "jobtitle").await.unwrap();
        assert_eq!((first.id, first.state), (revert(1), RevertState::Accepted));
        // As long as it is pending there is no second one.
        assert_eq!(ask(2, entry(0, 1), "jobtitle").await.unwrap(), first);
        let pending = store.pending_reverts(world.workspace, &id("p1")).await;
        assert_eq!(pending.unwrap(), std::slice::from_ref(&first));
        let finish = |n, end| store.finish_revert(world.workspace, revert(n), end, at(6));
        assert!(finish(1, RevertEnd::Refused("HS-2444")).await.unwrap());
        assert!(!finish(1, RevertEnd::Done).await.unwrap(), "it has ended");
        let ended = store.export_revert(world.workspace, revert(1)).await;
        let ended = ended.unwrap().unwrap();
        assert_eq!(ended.state, RevertState::Refused);
        assert_eq!(ended.code.as_deref(), Some("HS-2444"));
        // The same call again hears of it; a new one is a new one.
        assert_eq!(ask(1, entry(0, 1), "jobtitle").await.unwrap(), ended);
        assert_eq!(ask(3, entry(0, 1), "jobtitle").await.unwrap().id, revert(3));
    })
    .await;
}

#[tokio::test]
async fn a_preview_is_fetched_once_or_goes() {
    bounded(async {
        let world = with_people(&["p1"]).await;
        let store = &world.store;
        let preview = |n| PreviewId::new(Uuid::from_u128(n));
        let ask = |n, who: &'static str| {
            let who = id(who);
            async move {
                store
                    .ask_preview(world.workspace, preview(n), &who, at(0))
                    .await
                    .unwrap()
            }
        };
        assert!(!ask(1, "nobody").await);
        assert!(ask(2, "p1").await);
        let whom = store.preview_of(world.workspace, preview(2)).await;
        assert_eq!(whom.unwrap(), Some(id("p1")));
        let answer: domain::api::ExportPreview = serde_json::from_value(serde_json::json!({
            "contact": {"action": "nothing", "hubspot_id": 7, "changes": [], "left_out": [], "others": []},
            "company": null, "may_become_marketing_contact": false,
        }))
        .unwrap();
        assert!(store.answer_preview(world.workspace, preview(2), &answer).await.unwrap());
        let take = |n| store.take_preview(world.workspace, preview(n));
        assert_eq!(take(2).await.unwrap(), Some(answer.clone()));
        assert_eq!(take(2).await.unwrap(), None);
        assert!(!store.answer_preview(world.workspace, preview(2), &answer).await.unwrap());
        assert!(ask(3, "p1").await);
        assert_eq!(store.prune_previews(at(0), 10).await.unwrap(), 0);
        assert_eq!(store.prune_previews(at(1), 10).await.unwrap(), 1);
    })
    .await;
}

/// Everything that is kept of the exports of somebody.
async fn plant_all(world: &World, who: &str) {
    plant_done(world, entry(0, 1), who).await;
    for (n, subject) in [(2, ("company", "acme")), (3, ("company_of", who))] {
        let planted = Planted {
            entry: entry(0, n),
            person: who,
            subject,
            object_type: 2,
            state: "done",
            second: 0,
        };
        plant(world, planted).await;
    }
    for sql in [
        "insert into exported_person (workspace_id, portal_id, person_id, contact_id, status_said, exported_at, last_exported_at)
         values ($1, $2, $3, 71, 'replied', now(), now())",
        "insert into person_writer (workspace_id, person_id, generation, held_until) select $1, $3, 1, now() where $2::bigint > 0",
        "insert into export_recheck (workspace_id, portal_id, person_id, contact_id, company_id, was_primary, due_at)
         values ($1, $2, $3, 71, 72, true, now())",
        "insert into export_preview (id, workspace_id, person_id, asked_at) select gen_random_uuid(), $1, $3, now() where $2::bigint > 0",
        "insert into export_revert (id, workspace_id, person_id, entry_id, property, state, asked_at, changed_at)
         select gen_random_uuid(), $1, $3, gen_random_uuid(), 'jobtitle', 'accepted', now(), now() where $2::bigint > 0",
        "insert into company_claim (portal_id, domain, company_id, entry_workspace, entry_id)
         select $2, 'acme.example', 72, $1, gen_random_uuid() where $3::text <> ''",
        "insert into record_link (workspace_id, portal_id, object_type, app_id, object_id, origin)
         values ($1, $2, 1, $3, 71, 'primary')",
    ] {
        sqlx::query(sql)
            .bind(world.workspace.as_uuid())
            .bind(world.portal.get())
            .bind(who)
            .execute(&world.raw)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_erased_person_leaves_no_trace_of_exports() {
    bounded(async {
        let world = with_people(&["person-zelda"]).await;
        plant_all(&world, "person-zelda").await;
        // Before a connection said which portal it is, nothing would be found there.
        let target = EraseTarget {
            person: Some(id("person-zelda")),
            email: None,
        };
        let before = crate::erasure::traces(&world, &["person-zelda"]).await;
        assert!(before.len() >= 7, "{before:?}");
        world
            .store
            .erase_person(world.workspace, &target, at(2))
            .await
            .unwrap();
        let left = crate::erasure::traces(&world, &["person-zelda"]).await;
        assert_eq!(left, Vec::<String>::new());
        // Companies' entries stay readable; that of a company of the app with its values.
        let kept = async |n| {
            let found = world
                .store
                .journal_entry(world.workspace, entry(0, n))
                .await;
            found.unwrap()
        };
        assert_eq!(kept(1).await, None);
        for (n, values) in [(2, true), (3, false)] {
            let row = kept(n).await.unwrap();
            assert_eq!(row.person, None);
            assert_eq!(row.entry.written.len(), 2);
            assert_eq!(row.entry.written[0].new.is_some(), values, "{n}");
        }
        // Nobody is left to carry a revert out.
        let new = NewRevert {
            id: RevertId::new(Uuid::from_u128(1)),
            workspace: world.workspace,
            entry: entry(0, 2),
            property: "jobtitle",
        };
        let refused = world.store.ask_revert(&new, at(3)).await.unwrap();
        assert_eq!(refused, Err(RefusedRevert::Not(NoRevert::ValuesGone)));
    })
    .await;
}

#[tokio::test]
async fn a_purge_leaves_the_company_to_the_portal() {
    bounded(async {
        let world = with_people(&["p1"]).await;
        plant_all(&world, "p1").await;
        world.disconnect(at(1)).await;
        world.store.request_purge(world.workspace, at(2)).await.unwrap();
        while let Some(step) = world
            .store
            .purge_step(world.workspace, 1, 0, at(3))
            .await
            .unwrap()
        {
            if step.done {
                break;
            }
        }
        assert_eq!(
            world
                .count(
                    "select (select count(*) from export_journal) + (select count(*) from exported_person)
                       + (select count(*) from person_writer) + (select count(*) from export_recheck)
                       + (select count(*) from export_preview) + (select count(*) from export_revert)"
                )
                .await,
            0
        );
        assert_eq!(
            world
                .count(
                    "select count(*) from company_claim
                     where company_id = 72 and entry_workspace is null and entry_id is null"
                )
                .await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_old_loses_its_values_and_keeps_its_names() {
    bounded(async {
        let world = with_people(&["p1"]).await;
        let store = &world.store;
        for second in [0, 100, 200] {
            let planted = Planted {
                entry: entry(second, 1),
                person: "p1",
                subject: ("person", "p1"),
                object_type: 1,
                state: "done",
                second,
            };
            plant(&world, planted).await;
        }
        let open = Planted {
            entry: entry(0, 2),
            person: "p1",
            subject: ("person", "p1"),
            object_type: 1,
            state: "open",
            second: 0,
        };
        plant(&world, open).await;
        let workspaces = store.workspaces_with_journal().await.unwrap();
        assert_eq!(workspaces, [world.workspace]);
        let forget = |from: Option<i64>, before| {
            store.forget_written(world.workspace, from.map(at), at(before), 10)
        };
        assert_eq!(forget(None, 100).await.unwrap(), 1);
        assert_eq!(
            forget(None, 100).await.unwrap(),
            0,
            "nothing is left to take"
        );
        assert_eq!(forget(Some(150), 300).await.unwrap(), 1, "from there on");
        let kept = async |second, n| {
            let row = store.journal_entry(world.workspace, entry(second, n)).await;
            let written = row.unwrap().unwrap().entry.written;
            assert_eq!(written.len(), 2);
            assert_eq!(written[0].property, "jobtitle");
            assert!(written[0].overwrote);
            written.iter().any(|w| w.old.is_some() || w.new.is_some())
        };
        assert!(!kept(0, 1).await);
        assert!(kept(0, 2).await, "nobody knows yet what became of it");
        assert!(kept(100, 1).await);
        assert!(!kept(200, 1).await);
    })
    .await;
}
