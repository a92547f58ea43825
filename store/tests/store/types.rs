//! Types: each ends for itself, with what was refused of it, and its catch-up point moves then.

use domain::{
    ErrorCode, ReadOutcome, ReadPart, ReadPlan, ResyncMode, ResyncOutcome, ResyncRequest, RunKind,
    SyncRunId, SyncType,
    portal::ListId,
    settings::{FollowedList, ListUse, Settings, SettingsRevision},
};
use store::{
    AuthKind, NewConnection, NewCursor, PageOutcome, Refusal, RunState, StoreError, TypeStatus,
};
use uuid::Uuid;

use crate::support::{
    Commit as _, Page, Reader, World, at, bounded, committed, resync, run_id, tokens,
};

fn code(text: &str) -> ErrorCode {
    text.parse().unwrap()
}

fn refusal(part: ReadPart, scopes: &[&str]) -> Refusal {
    Refusal {
        part,
        code: code("HS-3004"),
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        field: None,
    }
}

impl World {
    async fn last_read(&self, sync_type: SyncType) -> Option<chrono::DateTime<chrono::Utc>> {
        self.store
            .last_read_began(self.workspace, self.portal, sync_type)
            .await
            .unwrap()
    }

    async fn of(&self, sync_type: SyncType) -> Option<TypeStatus> {
        let all = self.status().await.types;
        all.into_iter()
            .find(|t| t.progress.object_type == sync_type)
    }

    async fn last_page(&self, reader: Reader, version: i64) -> PageOutcome {
        let page = Page {
            finished: true,
            position: None,
            ..self.page(reader, version)
        };
        self.store.commit_page(page, at(50)).await.unwrap()
    }

    /// Connects again, with these scopes; none where HubSpot does not tell them.
    async fn reconnect(&self, scopes: &[&str], run: SyncRunId) {
        let new = NewConnection {
            workspace: self.workspace,
            portal: self.portal,
            auth_kind: AuthKind::OAuth,
            tokens: tokens("access-2", "refresh-2"),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            admin: domain::AdminId::new(Uuid::from_u128(7)),
            run,
        };
        self.store
            .connect_workspace(&new, at(100))
            .await
            .unwrap()
            .unwrap();
    }

    async fn follow(&self, revision: u64, lists: &[i64], run: u128) {
        let settings = Settings {
            lists: lists
                .iter()
                .map(|id| FollowedList {
                    list: ListId::new(*id),
                    list_use: ListUse::Suppression,
                })
                .collect(),
            ..Settings::empty()
        };
        self.store
            .save_settings(
                self.workspace,
                SettingsRevision::new(revision),
                &settings,
                run_id(run),
                run_id(run + 1_000),
                at(3),
            )
            .await
            .unwrap();
    }
}

const fn sibling(reader: Reader, sync_type: SyncType) -> Reader {
    Reader {
        sync_type,
        ..reader
    }
}

#[tokio::test]
async fn the_catch_up_point_of_a_type_moves_when_the_type_ends_and_not_with_the_run() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let deals = sibling(contacts, SyncType::Deals);
        world.begin(deals, ReadPlan::List, at(11)).await;
        assert_eq!(world.last_page(contacts, 0).await, committed(1));
        assert_eq!(world.last_read(SyncType::Contacts).await, Some(at(10)));
        assert_eq!(world.last_read(SyncType::Deals).await, None);
        let run = world.store.run(contacts.run).await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Running);
        // Once more: nothing is left to commit to.
        assert_eq!(world.last_page(contacts, 1).await, PageOutcome::LostCursor);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_answered_leaves_the_type_incomplete_and_the_catch_up_point_where_it_was() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let key = world.key(contacts);
        world.store.note_unanswered(&key, 2).await.unwrap();
        world.store.note_unanswered(&key, 1).await.unwrap();
        world.last_page(contacts, 0).await;
        assert_eq!(world.last_read(SyncType::Contacts).await, None);
        let status = world.of(SyncType::Contacts).await.unwrap();
        assert_eq!(
            (status.outcome, status.unanswered, status.progress.finished),
            (ReadOutcome::Incomplete, 3, true)
        );
        world.store.finish_run(contacts.run, at(51)).await.unwrap();
        let run = world.store.run(contacts.run).await.unwrap().unwrap();
        assert_eq!((run.state, run.refusals), (RunState::Finished, true));
    })
    .await;
}

#[tokio::test]
async fn a_refused_type_stops_no_other_and_the_run_says_so() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let deals = sibling(contacts, SyncType::Deals);
        let companies = sibling(contacts, SyncType::Companies);
        // Nothing of deals was begun; of companies something was.
        let whole = Refusal {
            code: code("HS-3005"),
            field: Some("amount".to_owned()),
            ..refusal(ReadPart::Whole, &[])
        };
        world
            .store
            .refuse_type(&world.key(deals), &whole)
            .await
            .unwrap();
        world.begin(companies, ReadPlan::List, at(11)).await;
        assert_eq!(
            world
                .store
                .commit_page(world.page(companies, 0), at(12))
                .await
                .unwrap(),
            committed(1)
        );
        world
            .store
            .refuse_type(&world.key(companies), &whole)
            .await
            .unwrap();
        // A page that is late does not bring it back.
        assert_eq!(world.last_page(companies, 1).await, PageOutcome::LostCursor);
        // Of contacts only the associations are refused.
        let part = refusal(
            ReadPart::AssociationsWith(domain::ObjectType::Company),
            &["crm.objects.companies.read"],
        );
        world
            .store
            .note_refusal(&world.key(contacts), &part)
            .await
            .unwrap();
        world.last_page(contacts, 0).await;
        for (sync_type, outcome, refusal) in [
            (SyncType::Deals, ReadOutcome::Refused, &whole),
            (SyncType::Companies, ReadOutcome::Refused, &whole),
            (SyncType::Contacts, ReadOutcome::Finished, &part),
        ] {
            let status = world.of(sync_type).await.unwrap();
            assert_eq!(status.outcome, outcome, "{sync_type}");
            assert_eq!(
                status.refusals,
                std::slice::from_ref(refusal),
                "{sync_type}"
            );
            assert!(status.progress.finished);
        }
        assert_eq!(world.last_read(SyncType::Contacts).await, Some(at(10)));
        assert_eq!(world.last_read(SyncType::Companies).await, None);
        world.store.finish_run(contacts.run, at(51)).await.unwrap();
        let run = world.store.run(contacts.run).await.unwrap().unwrap();
        assert_eq!((run.state, run.refusals), (RunState::Finished, true));
    })
    .await;
}

#[tokio::test]
async fn a_run_without_refusals_says_that_too() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        world.read_to_the_end(contacts, at(20)).await;
        let run = world.store.run(contacts.run).await.unwrap().unwrap();
        assert_eq!((run.state, run.refusals), (RunState::Finished, false));
    })
    .await;
}

#[tokio::test]
async fn a_cursor_is_of_a_type_and_a_late_page_of_another_run_finds_nothing() {
    bounded(async {
        let (world, _) = World::connected().await;
        let first = world.reader(SyncType::Contacts, at(10)).await;
        world
            .store
            .set_page_size(&world.key(first), Some(25))
            .await
            .unwrap();
        world.read_to_the_end(first, at(20)).await;
        let request = resync(&[SyncType::Contacts], ResyncMode::FromScratch);
        world.resync(&request, 2, at(30)).await;
        let second = world.reader(SyncType::Contacts, at(31)).await;
        assert_eq!(second.run, run_id(2));
        assert_eq!(
            world
                .count("select count(*) from sync_cursor where sync_type = 'contacts'")
                .await,
            1
        );
        // How many records a page is remembered, where it was is not.
        let cursor = world
            .store
            .cursor(&world.key(second))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (cursor.page_size, cursor.version, cursor.position),
            (Some(25), 0, None)
        );
        assert_eq!(world.store.cursor(&world.key(first)).await.unwrap(), None);
        assert_eq!(world.last_page(first, 0).await, PageOutcome::LostCursor);
        // Nor does the first one get it back.
        let new = NewCursor {
            key: world.key(first),
            plan: ReadPlan::List,
            total: None,
            last_id: None,
            read_began_at: at(32),
        };
        let refused = world.store.begin_cursor(&new).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotFound("cursor")));
        assert_eq!(world.last_page(second, 0).await, committed(1));
    })
    .await;
}

#[tokio::test]
async fn a_late_page_of_a_range_of_another_run_finds_nothing() {
    bounded(async {
        let (world, _) = World::connected().await;
        let first = world.reader(SyncType::Contacts, at(10)).await;
        let ranges = world.store.begin_ranges(&world.key(first)).await.unwrap();
        let page = |reader: Reader| Page {
            range: Some(store::RangeStep {
                no: ranges[0].no,
                seen: 0,
                next_reader: None,
            }),
            finished: true,
            ..world.page(reader, 0)
        };
        world.store.finish_type(&world.key(first)).await.unwrap();
        world.store.finish_run(first.run, at(11)).await.unwrap();
        let request = resync(&[SyncType::Contacts], ResyncMode::FromScratch);
        world.resync(&request, 2, at(30)).await;
        let second = world.reader(SyncType::Contacts, at(31)).await;
        world.store.begin_ranges(&world.key(second)).await.unwrap();
        let late = world.store.commit_page(page(first), at(32)).await;
        assert_eq!(late.unwrap(), PageOutcome::LostCursor);
        let own = world.store.commit_page(page(second), at(32)).await;
        assert_eq!(own.unwrap(), committed(1));
    })
    .await;
}

#[tokio::test]
async fn what_a_missing_scope_kept_out_is_read_at_the_connect_that_grants_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let deals = sibling(contacts, SyncType::Deals);
        let lists = sibling(contacts, SyncType::Lists);
        for (reader, scope) in [(deals, "crm.objects.deals.read"), (lists, "crm.lists.read")] {
            world
                .store
                .skip_type(&world.key(reader), &code("HS-3004"), &[scope.to_owned()])
                .await
                .unwrap();
        }
        let part = refusal(
            ReadPart::AssociationsWith(domain::ObjectType::Company),
            &["crm.objects.companies.read"],
        );
        world
            .store
            .note_refusal(&world.key(contacts), &part)
            .await
            .unwrap();
        world.last_page(contacts, 0).await;
        // Interrupted while other types are read: the run goes on after the reconnect.
        world.disconnect(at(60)).await;
        let granted = ["crm.objects.deals.read", "crm.objects.companies.read"];
        world.reconnect(&granted, run_id(2)).await;
        let plan = world.store.claim_run(world.workspace, at(101)).await;
        assert_eq!(plan.unwrap().unwrap().run.run, contacts.run);
        // Not begun, as far as the run knows; lists are still out.
        assert_eq!(world.store.cursor(&world.key(deals)).await.unwrap(), None);
        assert_eq!(
            world.store.cursor(&world.key(contacts)).await.unwrap(),
            None
        );
        assert_eq!(
            world.of(SyncType::Lists).await.unwrap().outcome,
            ReadOutcome::Skipped
        );
        // Contacts that did not change have no associations yet.
        assert_eq!(world.last_read(SyncType::Contacts).await, None);
        assert_eq!(world.store.run(run_id(2)).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_run_that_does_not_read_the_type_gets_another_behind_it() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let deals = sibling(contacts, SyncType::Deals);
        world
            .store
            .skip_type(&world.key(deals), &code("HS-3004"), &["x".to_owned()])
            .await
            .unwrap();
        world.read_to_the_end(contacts, at(20)).await;
        let request = resync(&[SyncType::Contacts], ResyncMode::FromScratch);
        world.resync(&request, 2, at(30)).await;
        world.disconnect(at(60)).await;
        // A service key: HubSpot does not tell what it may.
        world.reconnect(&[], run_id(3)).await;
        let made = world.store.run(run_id(3)).await.unwrap().unwrap();
        assert_eq!(
            (made.types, made.state),
            (vec![SyncType::Deals], RunState::Queued)
        );
    })
    .await;
}

#[tokio::test]
async fn a_wish_for_a_type_that_was_begun_is_queued_for_that_type() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        // Deals have yet to begin.
        let request = resync(&[SyncType::Contacts, SyncType::Deals], ResyncMode::CatchUp);
        let asked = world.resync(&request, 2, at(11)).await;
        assert_eq!(
            (asked.outcome, asked.types.as_slice()),
            (ResyncOutcome::Queued, &[SyncType::Contacts][..])
        );
        // The same for a type that has ended.
        let companies = sibling(contacts, SyncType::Companies);
        world.begin(companies, ReadPlan::List, at(12)).await;
        world.last_page(companies, 0).await;
        let asked = world.resync(&ResyncRequest::all(), 3, at(13)).await;
        assert_eq!(
            (asked.outcome, asked.types.as_slice()),
            (ResyncOutcome::Queued, &[SyncType::Companies][..])
        );
        let asked = world.resync(&ResyncRequest::all(), 4, at(14)).await;
        assert_eq!(
            (asked.outcome, asked.run),
            (ResyncOutcome::AlreadyRunning, None)
        );
    })
    .await;
}

#[tokio::test]
async fn trouble_is_told_with_its_code_since_when_and_how_often() {
    bounded(async {
        let (world, _) = World::connected().await;
        let (workspace, portal) = (world.workspace, world.portal);
        let note = |c: &'static str| {
            let store = world.store.clone();
            async move {
                store
                    .note_trouble(workspace, portal, SyncType::Deals, &code(c))
                    .await
                    .unwrap();
            }
        };
        note("HS-3001").await;
        note("HS-3001").await;
        let status = world.status().await;
        let (sync_type, trouble) = &status.troubles[0];
        assert_eq!(*sync_type, SyncType::Deals);
        assert_eq!((trouble.code.as_str(), trouble.times), ("HS-3001", 2));
        assert!(trouble.since < trouble.last_at && trouble.last_at <= status.now);
        note("HS-3005").await;
        let other = world.status().await.troubles[0].1.clone();
        assert_eq!((other.code.as_str(), other.times), ("HS-3005", 1));
        assert!(other.since > trouble.last_at);
        world
            .store
            .clear_trouble(workspace, portal, SyncType::Deals)
            .await
            .unwrap();
        assert_eq!(world.status().await.troubles, []);
        // A type that came to its end has none.
        note("HS-3001").await;
        let deals = world.reader(SyncType::Deals, at(10)).await;
        world.last_page(deals, 0).await;
        assert_eq!(world.status().await.troubles, []);
    })
    .await;
}

#[tokio::test]
async fn a_reading_that_does_not_move_is_counted_after_a_while() {
    bounded(async {
        let (world, _) = World::connected().await;
        let contacts = world.reader(SyncType::Contacts, at(10)).await;
        let deals = sibling(contacts, SyncType::Deals);
        world.begin(deals, ReadPlan::List, at(11)).await;
        let ranges = world.store.begin_ranges(&world.key(deals)).await.unwrap();
        assert_eq!(ranges.len(), 1);
        let (workspace, portal) = (world.workspace, world.portal);
        world
            .store
            .note_trouble(workspace, portal, SyncType::Contacts, &code("HS-3001"))
            .await
            .unwrap();
        let watched = world.store.watched().await.unwrap();
        assert_eq!(watched.without_progress, []);
        assert_eq!(watched.in_trouble, [(SyncType::Contacts, code("HS-3001"), 1)]);
        for (minutes, still) in [(9, 0), (11, 2)] {
            sqlx::query(
                "update sync_cursor set began_at = clock_timestamp() - make_interval(mins => $1::int)",
            )
            .bind(minutes)
            .execute(&world.raw)
            .await
            .unwrap();
            let watched = world.store.watched().await.unwrap();
            assert_eq!(watched.without_progress.len(), still, "{minutes} minutes");
        }
        // A range that moved is progress of its type; what ended or is paused cannot stand still.
        sqlx::query("update sync_range set last_commit_at = clock_timestamp()")
            .execute(&world.raw)
            .await
            .unwrap();
        let watched = world.store.watched().await.unwrap();
        assert_eq!(watched.without_progress, [(SyncType::Contacts, 1)]);
        world.store.raise_fence(workspace, at(20)).await.unwrap();
        let watched = world.store.watched().await.unwrap();
        assert_eq!(watched.without_progress, []);
    })
    .await;
}

/// More may come than HubSpot counted when the type began.
#[tokio::test]
async fn done_is_never_beyond_the_total_that_is_shown() {
    bounded(async {
        let (world, _) = World::connected().await;
        let plan = world.store.claim_run(world.workspace, at(1)).await;
        let plan = plan.unwrap().unwrap();
        let reader = Reader {
            run: plan.run.run,
            epoch: plan.epoch,
            sync_type: SyncType::Contacts,
        };
        let new = NewCursor {
            key: world.key(reader),
            plan: ReadPlan::List,
            total: Some(1),
            last_id: None,
            read_began_at: at(1),
        };
        world.store.begin_cursor(&new).await.unwrap();
        sqlx::query("update sync_cursor set done = 3")
            .execute(&world.raw)
            .await
            .unwrap();
        let status = world.of(SyncType::Contacts).await.unwrap();
        assert_eq!((status.progress.done, status.progress.total), (3, Some(3)));
        let cursor = world.store.cursor(&world.key(reader)).await;
        let progress = cursor.unwrap().unwrap().progress(SyncType::Contacts);
        assert_eq!(progress, status.progress);
    })
    .await;
}

#[tokio::test]
async fn members_are_read_of_lists_with_a_use_only() {
    bounded(async {
        let (world, _) = World::connected().await;
        world.follow(0, &[7, 9], 90).await;
        // The initial run has yet to read the lists, and will read these too.
        assert_eq!(world.store.run(run_id(90)).await.unwrap(), None);
        let lists = world.reader(SyncType::Lists, at(10)).await;
        let key = world.key(lists);
        world.store.finish_type(&key).await.unwrap();
        let read = world.store.begin_members(&key).await.unwrap();
        assert_eq!(read, [ListId::new(7), ListId::new(9)]);
        assert_eq!(
            world.of(SyncType::Lists).await.unwrap().outcome,
            ReadOutcome::Reading
        );
        // Idempotent.
        world.store.begin_members(&key).await.unwrap();
        let seven = key.members_of(ListId::new(7));
        world.store.finish_type(&seven).await.unwrap();
        world.store.begin_members(&key).await.unwrap();
        let left = world.store.members_to_read(&key).await.unwrap();
        assert_eq!(left, [ListId::new(9)]);
        let refused = refusal(ReadPart::Members, &["crm.lists.read"]);
        world
            .store
            .refuse_type(&key.members_of(left[0]), &refused)
            .await
            .unwrap();
        let status = world.of(SyncType::Lists).await.unwrap();
        assert_eq!(
            (status.outcome, status.refusals),
            (ReadOutcome::Refused, vec![refused])
        );
        world.store.finish_run(lists.run, at(20)).await.unwrap();

        // Given a use later: read by a small run.
        world.follow(1, &[8, 9], 91).await;
        let run = world.store.run(run_id(91)).await.unwrap().unwrap();
        assert_eq!(
            (run.kind, run.lists),
            (RunKind::Members, vec![ListId::new(8)])
        );
        let plan = world.store.claim_run(world.workspace, at(31)).await;
        assert_eq!(plan.unwrap().unwrap().run.run, run_id(91));
        let small = store::CursorKey {
            run: Some(run_id(91)),
            ..key
        };
        let read = world.store.begin_members(&small).await.unwrap();
        assert_eq!(read, [ListId::new(8)]);
        world
            .store
            .finish_type(&small.members_of(ListId::new(8)))
            .await
            .unwrap();
        assert_eq!(world.store.members_to_read(&small).await.unwrap(), []);
        // A wish for the lists is another one.
        let asked = world
            .resync(&resync(&[SyncType::Lists], ResyncMode::CatchUp), 4, at(32))
            .await;
        assert_eq!(asked.outcome, ResyncOutcome::Queued);
        world.store.finish_run(run_id(91), at(33)).await.unwrap();
        let shown = world.store.run_to_show(world.workspace, world.portal).await;
        assert_eq!(shown.unwrap().unwrap().run, run_id(4));
    })
    .await;
}
