//! Sessions of the settings pages: a token begins one, and they end.

use std::sync::Arc;

use domain::{
    AdminId,
    api::RetryReason,
    entry::{PageEvent, PageRole},
    export::SkipReason,
    settings::SettingsRevision,
};
use store::{NewPageSession, PageVisitor, PortalName};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::support::{World, at, bounded, portal};

fn visitor(world: &World) -> PageVisitor {
    PageVisitor {
        workspace: world.workspace,
        user: AdminId::new(Uuid::from_u128(7)),
        role: PageRole::Member,
        user_name: Some("Mara Quill".to_owned()),
        workspace_name: None,
    }
}

fn session(world: &World, id: u128, token: u8, until: i64) -> NewPageSession {
    NewPageSession {
        id: Uuid::from_u128(id),
        token_hash: [token; 32],
        visitor: visitor(world),
        expires_at: at(until),
    }
}

#[tokio::test]
async fn of_twenty_who_come_with_one_token_one_gets_a_session() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        store
            .ensure_workspace(world.workspace, at(0))
            .await
            .unwrap();
        let barrier = Arc::new(Barrier::new(20));
        let callers: Vec<_> = (0..20)
            .map(|n| {
                let (store, barrier) = (store.clone(), Arc::clone(&barrier));
                let new = session(&world, n, 1, 600);
                tokio::spawn(async move {
                    barrier.wait().await;
                    store.begin_page_session(&new, at(0)).await.unwrap()
                })
            })
            .collect();
        let mut begun = 0;
        for caller in callers {
            begun += u32::from(caller.await.unwrap());
        }
        assert_eq!(begun, 1);
        assert_eq!(world.count("select count(*) from page_session").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_and_is_swept_away() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        store
            .ensure_workspace(world.workspace, at(0))
            .await
            .unwrap();
        let first = session(&world, 1, 1, 600);
        assert!(store.begin_page_session(&first, at(0)).await.unwrap());
        let seen = store.page_visitor(first.id, at(599)).await.unwrap();
        assert_eq!(seen, Some(visitor(&world)));
        assert_eq!(store.page_visitor(first.id, at(600)).await.unwrap(), None);
        let unknown = Uuid::from_u128(9);
        assert_eq!(store.page_visitor(unknown, at(0)).await.unwrap(), None);
        let later = session(&world, 2, 2, 1_200);
        assert!(store.begin_page_session(&later, at(601)).await.unwrap());
        assert_eq!(world.count("select count(*) from page_session").await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_done_and_what_a_portal_is_called_is_known() {
    bounded(async {
        let (world, _) = World::connected().await;
        let (store, workspace) = (&world.store, world.workspace);
        let who = visitor(&world);
        let saved = SettingsRevision::new(3);
        for (event, revision, moment) in [
            (PageEvent::SavedSettings, Some(saved), 1),
            (PageEvent::Disconnected, None, 2),
        ] {
            store
                .note_page_event(&who, event, revision, at(moment))
                .await
                .unwrap();
        }
        let events = store.page_events(workspace, 10).await.unwrap();
        let kinds: Vec<PageEvent> = events.iter().map(|e| e.event).collect();
        assert_eq!(kinds, [PageEvent::Disconnected, PageEvent::SavedSettings]);
        let by = store.who_saved(workspace, saved).await.unwrap();
        assert_eq!(by.as_deref(), Some("Mara Quill"));
        assert_eq!(
            store.who_saved(workspace, saved.next()).await.unwrap(),
            None
        );

        let called = |hub: Option<&str>, ui: Option<&str>| PortalName {
            hub_domain: hub.map(str::to_owned),
            ui_domain: ui.map(str::to_owned),
        };
        let own = store.connection(workspace).await.unwrap().unwrap().portal;
        let name = called(Some("example.com"), None);
        store.note_portal_name(workspace, own, &name).await.unwrap();
        let more = called(None, Some("app-eu1.hubspot.com"));
        store.note_portal_name(workspace, own, &more).await.unwrap();
        let other = called(Some("other.example"), None);
        store
            .note_portal_name(workspace, portal(99), &other)
            .await
            .unwrap();
        let shown = store.portal_shown(workspace).await.unwrap().unwrap();
        let both = called(Some("example.com"), Some("app-eu1.hubspot.com"));
        assert_eq!(shown.name, both);

        let reasons = [RetryReason::Skipped(SkipReason::NoEmail)];
        assert_eq!(
            store
                .count_reasons(workspace, &reasons, None)
                .await
                .unwrap(),
            []
        );
    })
    .await;
}
