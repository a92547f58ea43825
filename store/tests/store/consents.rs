//! Consents wait to be confirmed, and their tokens go when they are not.

use chrono::TimeDelta;
use domain::{AdminId, ConnectionState, ConsentId, PortalId, SyncRunId};
use secrecy::{ExposeSecret as _, SecretString};
use store::{Confirmed, ConnectNames, ConsentState, NewConsent, NewTokens, RefusedConnect};
use uuid::Uuid;

use crate::support::{World, at, bounded};

fn id(n: u128) -> ConsentId {
    ConsentId::new(Uuid::from_u128(n))
}

fn run(n: u128) -> SyncRunId {
    SyncRunId::new(Uuid::from_u128(1_000 + n))
}

async fn held(world: &World, n: u128, refresh: &str, now: i64) {
    let new = NewConsent {
        id: id(n),
        workspace: world.workspace,
        portal: PortalId::new(7).unwrap(),
        hub_domain: Some("brightwater.example.com".to_owned()),
        ui_domain: None,
        admin: AdminId::new(Uuid::from_u128(7)),
        names: ConnectNames::default(),
        scopes: vec!["oauth".to_owned()],
        tokens: NewTokens {
            access: "acc".into(),
            refresh: Some(refresh.into()),
            lifetime: Some(TimeDelta::seconds(1_800)),
        },
        expires_at: at(now + 600),
    };
    world.store.hold_consent(&new, at(now)).await.unwrap();
}

const WITH_TOKENS: &str = "select count(*) from pending_consent where access_token is not null or refresh_token is not null";

fn exposed(token: Option<&SecretString>) -> Option<&str> {
    token.map(|t| t.expose_secret())
}

#[tokio::test]
async fn of_many_who_confirm_one_connects_and_the_rest_are_told() {
    bounded(async {
        let world = World::new().await;
        held(&world, 1, "ref", 0).await;
        let all: Vec<_> = (0..10)
            .map(|n| {
                let (store, workspace) = (world.store.clone(), world.workspace);
                tokio::spawn(async move {
                    store
                        .confirm_consent(workspace, id(1), run(n), at(1))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut now = 0;
        for one in all {
            match one.await.unwrap() {
                Confirmed::Now(_) => now += 1,
                other => assert!(matches!(other, Confirmed::Before(_)), "{other:?}"),
            }
        }
        assert_eq!(now, 1);
        assert_eq!(world.count("select count(*) from sync_run").await, 1);
        assert_eq!(world.count(WITH_TOKENS).await, 0);
        let connection = world.store.connection(world.workspace).await.unwrap();
        let connection = connection.unwrap();
        assert_eq!(connection.state, ConnectionState::Connected);
        let tokens = world.store.tokens(world.workspace, connection.epoch).await;
        let tokens = tokens.unwrap().unwrap();
        assert_eq!(exposed(tokens.refresh.as_ref()), Some("ref"));
        // Good from now on by the database's clock, whatever the callers' clocks say: theirs is off.
        let left = tokens.life.unwrap().left;
        assert!(
            left > TimeDelta::seconds(1_700) && left <= TimeDelta::seconds(1_800),
            "{left}"
        );
        // Too late to say no.
        let row = world
            .store
            .refuse_consent(world.workspace, id(1), at(2))
            .await
            .unwrap();
        assert_eq!(row.state, ConsentState::Confirmed);
        // A second consent does not take the connection over, and is given back.
        held(&world, 2, "other", 3).await;
        assert_eq!(
            world
                .store
                .confirm_consent(world.workspace, id(2), run(99), at(4))
                .await
                .unwrap(),
            Confirmed::NotConnected(RefusedConnect::AlreadyConnected(PortalId::new(7).unwrap()))
        );
        let ended = world.store.ended_consents(at(4), 10).await.unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!(exposed(ended[0].revoke.as_ref()), Some("other"));
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_or_not_confirmed_in_time_is_revoked_and_erased() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        held(&world, 1, "refused", 0).await;
        held(&world, 2, "expired", 0).await;
        held(&world, 3, "waits", 1).await;
        store
            .refuse_consent(world.workspace, id(1), at(5))
            .await
            .unwrap();
        assert_eq!(
            store
                .confirm_consent(world.workspace, id(1), run(1), at(6))
                .await
                .unwrap(),
            Confirmed::Refused
        );
        assert_eq!(
            store
                .confirm_consent(world.workspace, id(2), run(2), at(600))
                .await
                .unwrap(),
            Confirmed::Expired
        );
        let ended = store.ended_consents(at(600), 10).await.unwrap();
        let tokens: Vec<_> = ended.iter().map(|e| exposed(e.revoke.as_ref())).collect();
        assert_eq!(tokens.len(), 2);
        assert!(tokens.contains(&Some("refused")) && tokens.contains(&Some("expired")));
        for one in ended {
            store.erase_consent(one.id).await.unwrap();
        }
        assert_eq!(world.count(WITH_TOKENS).await, 1);
        assert!(store.ended_consents(at(600), 10).await.unwrap().is_empty());
        // The one that waits is not touched by an erasure that comes by mistake.
        store.erase_consent(id(3)).await.unwrap();
        let confirmed = store.confirm_consent(world.workspace, id(3), run(3), at(600));
        assert!(matches!(confirmed.await.unwrap(), Confirmed::Now(_)));
    })
    .await;
}

/// HubSpot may give the same refresh token again for one portal and app.
#[tokio::test]
async fn a_token_that_a_connection_uses_is_not_revoked() {
    bounded(async {
        let world = World::new().await;
        let store = &world.store;
        held(&world, 1, "same", 0).await;
        held(&world, 2, "same", 0).await;
        store
            .refuse_consent(world.workspace, id(2), at(1))
            .await
            .unwrap();
        // While the first one waits, and when it is a connection.
        for _ in 0..2 {
            let ended = store.ended_consents(at(2), 10).await.unwrap();
            assert_eq!((ended.len(), ended[0].revoke.is_none()), (1, true));
            store
                .confirm_consent(world.workspace, id(1), run(1), at(3))
                .await
                .unwrap();
        }
    })
    .await;
}
