//! How long the client waits, and how often it asks again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use hubspot::{
    AccessToken, AccessTokenSource, Cursor, Error, ErrorClass, ListId, ObjectType, RecordId,
    RequestClass, StaticToken, Timeouts, TokenError,
    objects::{ListRequest, ReadOptions},
    search::SearchRequest,
};
use serde_json::json;

use crate::script::{Say, Script};

fn key() -> Arc<dyn AccessTokenSource> {
    Arc::new(StaticToken::new("a-key".to_owned().into()))
}

/// Short ones, in the proportions of the usual ones.
fn timeouts() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(2),
        idle: Duration::from_secs(5),
        read: Duration::from_millis(300),
        page: Duration::from_millis(600),
        batch: Duration::from_millis(1_800),
        write: Duration::from_millis(600),
        token: Duration::from_millis(300),
    }
}

/// Associations take longer than a read may: the call lives, and is not repeated.
#[tokio::test]
async fn a_slow_answer_about_associations_is_awaited() {
    let script = Script::new(|_, _| {
        let answer = json!({"results": [{"from": {"id": "1"}, "to": []}]});
        Say::json(200, answer).after(Duration::from_millis(1_000))
    })
    .await;
    let client = script.with_timeouts(timeouts(), key());
    let read = client
        .associations()
        .batch_read(
            ObjectType::Contact,
            ObjectType::Company,
            &[RecordId::new(1)],
        )
        .await
        .unwrap();
    assert_eq!(read.answered.len(), 1);
    assert_eq!(script.seen().len(), 1);
    // A read of one record has not so much time; it is tried twice, and not by who waits for it.
    let background = client.clone().with_class(RequestClass::Backfill);
    for (client, tries) in [(&client, 1), (&background, 2)] {
        let before = script.seen().len();
        let error = client
            .objects()
            .get(ObjectType::Contact, RecordId::new(1), &[])
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Transient { status: None, .. }));
        assert_eq!(script.seen().len() - before, tries);
    }
}

/// Each kind of call has its own time: what takes longer than a read may is awaited where pages and
/// batches are read, and asked for once.
#[tokio::test]
async fn each_kind_of_call_is_awaited_as_long_as_it_may_take() {
    let script = Script::new(|request, _| {
        let asked = request.body["inputs"].as_array().cloned();
        let results = asked.unwrap_or_default();
        let of_many = request.path.contains("/associations") || request.path.ends_with("/read");
        let results: Vec<_> = results
            .into_iter()
            .map(|input| {
                json!({"id": input["id"], "from": input, "to": [], "properties": {},
                    "updatedAt": "2026-01-01T00:00:00Z"})
            })
            .collect();
        Say::json(200, json!({"results": results, "lists": []})).after(Duration::from_millis(
            match of_many && !request.path.ends_with("/labels") {
                // Longer than a page may take.
                true => 900,
                // Longer than a read of one record may take.
                false => 450,
            },
        ))
    })
    .await;
    let client = script.with_timeouts(timeouts(), key());
    let (contact, company, id) = (ObjectType::Contact, ObjectType::Company, RecordId::new(1));
    let list = ListRequest::new(contact);
    let search = SearchRequest::new(contact);
    let options = ReadOptions::new();
    let (objects, associations, lists) = (client.objects(), client.associations(), client.lists());
    let owners = client.owners();
    let ended: [(&str, Result<(), Error>); 9] = [
        ("records", objects.list(&list).await.map(drop)),
        ("search", client.search().run(&search).await.map(drop)),
        ("lists", lists.search(None, 50).await.map(drop)),
        (
            "members",
            lists.members(ListId::new(1), None, 50).await.map(drop),
        ),
        ("owners", owners.list(false, None, 50).await.map(drop)),
        (
            "properties",
            client.properties().list(contact).await.map(drop),
        ),
        (
            "records by id",
            objects
                .batch_read(contact, &[id], &options)
                .await
                .map(|read| assert_eq!(read.found.len(), 1)),
        ),
        (
            "associations",
            associations
                .batch_read(contact, company, &[id])
                .await
                .map(|read| assert_eq!(read.answered.len(), 1)),
        ),
        (
            "associations of one record",
            associations
                .list(contact, id, company, None, 100)
                .await
                .map(drop),
        ),
    ];
    for (what, result) in &ended {
        assert_eq!(*result, Ok(()), "{what}");
    }
    let seen = script.seen();
    assert_eq!(
        seen.len(),
        ended.len(),
        "asked for more than once: {seen:?}"
    );
    // The usual times leave room for what HubSpot was seen to take: 40 s.
    let usual = Timeouts::default();
    let seen_of_hubspot = Duration::from_secs(40);
    assert!(usual.page > seen_of_hubspot && usual.batch > seen_of_hubspot);
    assert!(usual.idle > seen_of_hubspot, "before the first byte");
}

/// The second attempt has twice the time.
#[tokio::test]
async fn a_page_that_took_too_long_gets_more_time() {
    let script = Script::new(|_, _| {
        Say::json(200, json!({"results": []})).after(Duration::from_millis(900))
    })
    .await;
    let client = script
        .with_timeouts(timeouts(), key())
        .with_class(RequestClass::Backfill);
    let page = client
        .objects()
        .list(&ListRequest::new(ObjectType::Contact))
        .await
        .unwrap();
    assert!(page.results.is_empty());
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn retry_after_is_honoured_when_it_is_short() {
    let script = Script::new(|_, n| match n {
        0 => Say::json(503, json!({})).with("retry-after", 2),
        1 => Say::json(200, json!({"results": []})),
        _ => Say::json(503, json!({})).with("retry-after", 60),
    })
    .await;
    let began = Instant::now();
    let request = ListRequest::new(ObjectType::Contact);
    script.client.objects().list(&request).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    let error = script.client.objects().list(&request).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(script.seen().len(), 3);
}

/// A service key, and how often it was refused.
struct Counted {
    key: StaticToken,
    refused: AtomicUsize,
}

#[async_trait]
impl AccessTokenSource for Counted {
    async fn access_token(&self) -> Result<AccessToken, TokenError> {
        self.key.access_token().await
    }

    async fn expired(&self, token: &AccessToken) -> Result<(), TokenError> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.key.expired(token).await
    }
}

#[tokio::test]
async fn one_401_of_a_service_key_is_a_hiccup() {
    let refused = json!({"category": "INVALID_AUTHENTICATION"});
    let script = Script::new(move |_, n| match n {
        0 => Say::json(401, refused.clone()),
        1 => Say::json(200, json!({"results": []})),
        _ => Say::json(401, refused.clone()),
    })
    .await;
    let key = Arc::new(Counted {
        key: StaticToken::new("a-key".to_owned().into()),
        refused: AtomicUsize::new(0),
    });
    let client = script
        .with_timeouts(Timeouts::default(), key.clone())
        .with_class(RequestClass::Backfill);
    let request = ListRequest::new(ObjectType::Contact);
    client.objects().list(&request).await.unwrap();
    assert_eq!(key.refused.load(Ordering::Relaxed), 1);
    // Refused again and again: handed up as trouble that passes, to be asked again later.
    let error = client.objects().list(&request).await.unwrap_err();
    assert!(matches!(error, Error::TokenDoubted { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(error.retry_after().is_some());
    assert_eq!(key.refused.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_cursor_goes_back_as_it_came() {
    let script = Script::new(|_, _| Say::json(200, json!({"results": []}))).await;
    script
        .client
        .owners()
        .list(false, Some(&Cursor::new("MC0yLTc1MDI%3D")), 50)
        .await
        .unwrap();
    assert_eq!(
        script.seen()[0].query,
        "limit=50&after=MC0yLTc1MDI%3D&archived=false"
    );
}
