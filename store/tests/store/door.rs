//! What the HTTP door needs: tokens, idempotency keys, settings, custom fields.

use chrono::TimeDelta;
use domain::{
    api::TokenId,
    app::{CustomField, CustomFieldError},
    export::{RequestId, RequestKind},
    settings::{Settings, SettingsRevision},
};
use store::{
    CallBegun, ExportFilter, KeptAnswer, KeyedCall, NewExports, NewServiceToken, SettingsSaved,
};
use uuid::Uuid;

use crate::support::{World, at, bounded, run_id};

#[tokio::test]
async fn a_token_opens_its_workspace_until_it_is_revoked() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        let id = TokenId::new(Uuid::from_u128(1));
        let new = NewServiceToken {
            id,
            workspace: world.workspace,
            name: "main app",
            hash: [7; 32],
        };
        store.create_service_token(&new, at(0)).await.unwrap();
        assert_eq!(
            store.workspace_of_token([7; 32], at(1)).await.unwrap(),
            Some(world.workspace)
        );
        assert_eq!(
            store.workspace_of_token([8; 32], at(1)).await.unwrap(),
            None
        );
        let listed = store.service_tokens(world.workspace).await.unwrap();
        assert_eq!(
            (listed.len(), listed[0].last_used_at, listed[0].revoked_at),
            (1, Some(at(1)), None)
        );
        let other = domain::WorkspaceId::new(Uuid::from_u128(77));
        assert!(!store.revoke_service_token(other, id, at(2)).await.unwrap());
        assert!(
            store
                .revoke_service_token(world.workspace, id, at(3))
                .await
                .unwrap()
        );
        assert!(
            store
                .revoke_service_token(world.workspace, id, at(4))
                .await
                .unwrap()
        );
        assert_eq!(
            store.workspace_of_token([7; 32], at(5)).await.unwrap(),
            None
        );
        let listed = store.service_tokens(world.workspace).await.unwrap();
        assert_eq!(listed[0].revoked_at, Some(at(3)));
    })
    .await;
}

#[tokio::test]
async fn of_equal_calls_at_once_one_is_new_and_the_rest_get_its_answer() {
    bounded(async {
        let world = World::new().await;
        let call = KeyedCall {
            workspace: world.workspace,
            key: "k1",
            request_hash: [1; 32],
        };
        let all: Vec<_> = (0..10)
            .map(|_| {
                let store = world.store.clone();
                tokio::spawn(async move { store.begin_call(call, at(0)).await.unwrap() })
            })
            .collect();
        let mut new = 0;
        for one in all {
            match one.await.unwrap() {
                CallBegun::New { .. } => new += 1,
                other => assert_eq!(other, CallBegun::UnderWay),
            }
        }
        assert_eq!(new, 1);
        let answer = KeptAnswer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: b"{}".to_vec(),
        };
        world.store.finish_call(call, &answer, at(1)).await.unwrap();
        assert_eq!(
            world.store.begin_call(call, at(5)).await.unwrap(),
            CallBegun::Answered(answer)
        );
        let other = KeyedCall {
            request_hash: [2; 32],
            ..call
        };
        assert_eq!(
            world.store.begin_call(other, at(5)).await.unwrap(),
            CallBegun::OtherCall
        );
        let elsewhere = KeyedCall {
            workspace: domain::WorkspaceId::new(Uuid::from_u128(2)),
            ..call
        };
        assert_eq!(
            world.store.begin_call(elsewhere, at(5)).await.unwrap(),
            CallBegun::New { first_at: at(5) }
        );
        // A day later the key is free.
        let later = at(0) + TimeDelta::hours(24);
        assert_eq!(world.store.forget_calls(later, 10).await.unwrap(), 1);
        assert_eq!(
            world.store.begin_call(other, later).await.unwrap(),
            CallBegun::New { first_at: later }
        );
    })
    .await;
}

#[tokio::test]
async fn a_call_that_died_or_gave_up_may_be_sent_again() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        let call = KeyedCall {
            workspace: world.workspace,
            key: "k1",
            request_hash: [1; 32],
        };
        assert_eq!(
            store.begin_call(call, at(0)).await.unwrap(),
            CallBegun::New { first_at: at(0) }
        );
        assert_eq!(
            store.begin_call(call, at(59)).await.unwrap(),
            CallBegun::UnderWay
        );
        // What it made before it died is made again under the same ids.
        assert_eq!(
            store.begin_call(call, at(61)).await.unwrap(),
            CallBegun::New { first_at: at(0) }
        );
        assert_eq!(
            store.begin_call(call, at(120)).await.unwrap(),
            CallBegun::UnderWay
        );
        store.give_up_call(call).await.unwrap();
        assert_eq!(
            store.begin_call(call, at(121)).await.unwrap(),
            CallBegun::New { first_at: at(121) }
        );
    })
    .await;
}

#[tokio::test]
async fn more_keys_are_forgotten_than_come() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        let answer = KeptAnswer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: b"{}".to_vec(),
        };
        let day = 24 * 60 * 60;
        for n in 0..100 {
            let key = format!("k{n}");
            // The first half is over when the second one comes.
            let now = at(if n < 50 { n } else { day + n });
            let call = KeyedCall {
                workspace: world.workspace,
                key: &key,
                request_hash: [1; 32],
            };
            store.begin_call(call, now).await.unwrap();
            store.finish_call(call, &answer, now).await.unwrap();
        }
        assert_eq!(
            world.count("select count(*) from idempotency_key").await,
            50
        );
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_made_again_under_their_ids_are_there_once() {
    bounded(async {
        let world = World::new().await;
        let people: Vec<_> = (1..=3)
            .map(|n| {
                let person = format!("p{n}").parse().unwrap();
                (RequestId::new(Uuid::from_u128(n)), person)
            })
            .collect();
        let new = NewExports {
            workspace: world.workspace,
            kind: RequestKind::Bulk,
            people: &people,
            include_earlier: false,
            anew: false,
            bulk: None,
        };
        let first = world.store.request_exports(&new, at(1)).await.unwrap();
        let again = world.store.request_exports(&new, at(90)).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(world.count("select count(*) from export_request").await, 3);
    })
    .await;
}

#[tokio::test]
async fn of_writers_who_expect_one_revision_one_succeeds() {
    bounded(async {
        let world = World::new().await;
        let writers: Vec<_> = (0..10u32)
            .map(|n| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                tokio::spawn(async move {
                    let mut settings = Settings::empty();
                    settings.retention.quarantine_days = n + 1;
                    store
                        .save_settings(
                            workspace,
                            SettingsRevision::NONE,
                            &settings,
                            run_id(90),
                            run_id(190),
                            at(1),
                        )
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut saved = 0;
        for writer in writers {
            match writer.await.unwrap() {
                SettingsSaved::Saved(revision) => {
                    assert_eq!(revision.get(), 1);
                    saved += 1;
                }
                SettingsSaved::Changed { current } => assert_eq!(current.get(), 1),
            }
        }
        assert_eq!(saved, 1);
        let first = SettingsRevision::NONE.next();
        let done = world
            .store
            .save_settings(
                world.workspace,
                first,
                &Settings::empty(),
                run_id(91),
                run_id(191),
                at(2),
            )
            .await
            .unwrap();
        assert_eq!(done, SettingsSaved::Saved(first.next()));
        let now = world
            .store
            .settings(world.workspace)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(now.revision, first.next());
        let earlier = world
            .store
            .settings_at(world.workspace, first)
            .await
            .unwrap();
        assert_ne!(earlier.unwrap().document, now.document);
    })
    .await;
}

#[tokio::test]
async fn a_custom_field_never_changes_its_type() {
    bounded(async {
        let world = World::new().await;
        let field = |kind: &str| -> CustomField {
            serde_json::from_value(serde_json::json!({
                "record": "person", "key": "custom.tool", "label": "Tool", "field_type": kind,
            }))
            .unwrap()
        };
        let done = world
            .store
            .put_custom_fields(
                world.workspace,
                &[field("text"), field("number"), field("text")],
                at(1),
            )
            .await
            .unwrap();
        assert_eq!(
            done,
            [Ok(true), Err(CustomFieldError::TypeChanged), Ok(false)]
        );
        assert_eq!(
            world.store.custom_fields(world.workspace).await.unwrap(),
            [field("text")]
        );
    })
    .await;
}

#[tokio::test]
async fn requests_are_rows_with_their_state_from_the_first_moment() {
    use domain::{
        app::{Fields, PersonInput},
        export::{RequestOutcome, RequestState, SkipReason, WaitReason},
    };
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        let person = PersonInput::new("p1", 1)
            .check(&Fields::new(std::iter::empty::<&CustomField>()))
            .unwrap();
        store
            .upsert_people(world.workspace, &[person], at(0))
            .await
            .unwrap();
        let ask = |n: u128| {
            let people = [
                (RequestId::new(Uuid::from_u128(n)), "p1".parse().unwrap()),
                (
                    RequestId::new(Uuid::from_u128(n + 1)),
                    "p2".parse().unwrap(),
                ),
            ];
            async move {
                let new = NewExports {
                    workspace: world.workspace,
                    kind: RequestKind::Bulk,
                    people: &people,
                    include_earlier: false,
                    anew: false,
                    bulk: None,
                };
                store.request_exports(&new, at(1)).await.unwrap()
            }
        };
        let unknown = RequestOutcome::Skipped {
            reason: SkipReason::UnknownPerson,
        };
        let waits = RequestOutcome::Waiting {
            reason: WaitReason::NotConnected,
            due: None,
        };
        let outcomes: Vec<_> = ask(1).await.iter().map(|r| r.outcome).collect();
        assert_eq!(outcomes, [waits, unknown]);
        world
            .try_connect(world.portal, crate::support::run_id(1), at(0))
            .await
            .unwrap();
        let rows = ask(3).await;
        assert_eq!(rows[0].outcome, RequestOutcome::Accepted);
        let listed = |filter: ExportFilter, after: Option<RequestId>| async move {
            store
                .export_requests_after(world.workspace, &filter, after, 10)
                .await
                .unwrap()
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
                .unwrap()
        };
        assert_eq!(listed(ExportFilter::default(), None).await.len(), 4);
        assert_eq!(
            listed(
                ExportFilter::default(),
                Some(RequestId::new(Uuid::from_u128(2)))
            )
            .await,
            rows
        );
        let filter = ExportFilter {
            person: Some("p1".parse().unwrap()),
            state: Some(RequestState::Accepted),
        };
        assert_eq!(listed(filter, None).await, rows[..1]);
        let one = store
            .export_request(world.workspace, rows[0].request)
            .await
            .unwrap();
        assert_eq!(one.as_ref(), Some(&rows[0]));
        let elsewhere = domain::WorkspaceId::new(Uuid::from_u128(2));
        assert_eq!(
            store
                .export_request(elsewhere, rows[0].request)
                .await
                .unwrap(),
            None
        );
    })
    .await;
}
