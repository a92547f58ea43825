//! Companies by domain.

use std::time::{Duration, Instant};

use hubspot::{Error, ObjectType, RecordId, companies::DOMAINS, objects::CreateInput};
use serde_json::json;

use crate::support::Portal;

async fn make(portal: &Portal, properties: &[(&'static str, &'static str)]) -> RecordId {
    let new = CreateInput::new(properties.iter().copied());
    let made = portal
        .client
        .objects()
        .create(ObjectType::Company, &new)
        .await;
    made.unwrap().id
}

async fn find(portal: &Portal, domains: &[&str]) -> Result<Vec<RecordId>, Error> {
    let domains: Vec<String> = domains.iter().map(|d| (*d).to_owned()).collect();
    let found = portal
        .client
        .companies()
        .by_domains(&domains, ["domain", "hs_additional_domains"])
        .await?;
    Ok(found.into_iter().map(|company| company.id).collect())
}

#[tokio::test]
async fn by_the_primary_and_by_additional_domains_in_one_request() {
    let portal = Portal::new(json!({})).await;
    let a = make(&portal, &[("domain", "acme.example.com")]).await;
    let b = make(
        &portal,
        &[
            ("domain", "b.example.com"),
            ("hs_additional_domains", "acme.example.org;acme.example.net"),
        ],
    )
    .await;
    make(&portal, &[("domain", "other.example.com")]).await;
    assert_eq!(find(&portal, &["ACME.example.com"]).await.unwrap(), [a]);
    assert_eq!(find(&portal, &["acme.example.net"]).await.unwrap(), [b]);
    let before = portal.requests("/companies/search").await;
    let all = [
        "acme.example.com",
        "Acme.example.org",
        "c.example.com",
        "d.example.com",
    ];
    assert_eq!(find(&portal, &all).await.unwrap(), [a, b]);
    assert_eq!(portal.requests("/companies/search").await, before + 1);
    assert_eq!(find(&portal, &["nobody.example.com"]).await.unwrap(), []);
    let many = ["x.example.com"; DOMAINS + 1];
    for wrong in [&many[..], &[]] {
        assert!(matches!(
            find(&portal, wrong).await,
            Err(Error::NotSendable(_))
        ));
    }
}

#[tokio::test]
async fn an_answer_that_contradicts_itself_is_not_none() {
    let portal = Portal::new(json!({})).await;
    make(&portal, &[("domain", "acme.example.com")]).await;
    portal
        .fault(json!({"path": "/companies/search", "effect": "empty_with_total", "times": 1}))
        .await;
    let doubtful = find(&portal, &["acme.example.com"]).await;
    assert_eq!(doubtful, Err(Error::Unanswered));
    assert_eq!(find(&portal, &["acme.example.com"]).await.unwrap().len(), 1);
}

/// The index lags: a fresh company is not found, then it is, for a while not, and then it stays.
#[tokio::test]
async fn a_fresh_company_comes_and_goes() {
    let portal = Portal::new(json!({"search_lag_ms": 1500, "search_flapping": true})).await;
    let a = make(&portal, &[("domain", "acme.example.com")]).await;
    assert_eq!(find(&portal, &["acme.example.com"]).await.unwrap(), []);
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut seen = vec![false];
    while seen.len() < 4 {
        assert!(Instant::now() < deadline, "{seen:?}");
        let there = find(&portal, &["acme.example.com"]).await.unwrap() == [a];
        if seen.last() != Some(&there) {
            seen.push(there);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen, [false, true, false, true]);
}

#[tokio::test]
async fn any_number_of_primary_domains_take_few_searches() {
    let portal = Portal::new(json!({})).await;
    let a = make(&portal, &[("domain", "first.example.com")]).await;
    let b = make(&portal, &[("domain", "last.example.com")]).await;
    make(
        &portal,
        &[
            ("domain", "other.example.com"),
            ("hs_additional_domains", "some-7.example.com"),
        ],
    )
    .await;
    let mut domains = vec!["FIRST.example.com".to_owned()];
    domains.extend((0..200).map(|n| format!("some-{n}.example.com")));
    domains.push("last.example.com".to_owned());
    let before = portal.requests("/companies/search").await;
    let (found, searches) = portal
        .client
        .companies()
        .by_primary_domains(&domains, &["domain".to_owned()])
        .await
        .unwrap();
    let ids: Vec<RecordId> = found.iter().map(|company| company.id).collect();
    assert_eq!(ids, [a, b]);
    assert_eq!(
        portal.requests("/companies/search").await,
        before + searches
    );
    assert!((2..=6).contains(&searches), "{searches}");
    let none = portal.client.companies().by_primary_domains(&[], &[]).await;
    assert_eq!(none.unwrap().1, 0);
}
