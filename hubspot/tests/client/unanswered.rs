//! What an answer does not speak of is not known: it is asked again, and at last told.

use std::collections::BTreeSet;

use hubspot::{
    Error, InputOutcome, ObjectType, RecordId,
    objects::{ReadOptions, RecordKey},
};
use serde_json::{Value, json};

use crate::script::{Say, Script, Seen};

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<RecordId> {
    numbers.into_iter().map(RecordId::new).collect()
}

fn company(id: &str) -> Value {
    json!({"toObjectId": format!("9{id}"), "associationTypes": [
        {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": null}]})
}

fn associated(id: &str) -> Value {
    json!({"from": {"id": id}, "to": [company(id)]})
}

fn none_of(id: &str) -> Value {
    json!({"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": "none", "context": {"fromObjectId": [id]}})
}

fn envelope(results: &[Value], errors: &[Value]) -> Value {
    json!({"status": "COMPLETE", "results": results, "errors": errors, "numErrors": errors.len()})
}

async fn read(script: &Script, all: &[RecordId]) -> hubspot::associations::AssociationsRead {
    script
        .client
        .associations()
        .batch_read(ObjectType::Contact, ObjectType::Company, all)
        .await
        .unwrap()
}

/// Empty at first, with an error of each input then; at the third time it is as it should be.
#[tokio::test]
async fn associations_that_were_not_answered_are_asked_again() {
    let script = Script::new(|request, n| {
        let asked = request.ids();
        let failed = |id: &String| {
            json!({"category": if id == "1" { "RATE_LIMITS" } else { "INTERNAL_ERROR" },
                "message": "x", "context": {"fromObjectId": [id]}})
        };
        match n {
            0 => Say::json(200, envelope(&[], &[])),
            1 | 2 => Say::json(
                207,
                envelope(&[], &asked.iter().map(failed).collect::<Vec<_>>()),
            ),
            _ => {
                let (with, without): (Vec<String>, Vec<String>) =
                    asked.into_iter().partition(|id| id != "3");
                let with: Vec<Value> = with.iter().map(|id| associated(id)).collect();
                let without: Vec<Value> = without.iter().map(|id| none_of(id)).collect();
                Say::json(207, envelope(&with, &without))
            }
        }
    })
    .await;
    let all = ids(1..=4);
    let read = read(&script, &all).await;
    assert_eq!(read.unanswered.len(), 0, "{read:?}");
    assert_eq!(read.answered.len(), 4);
    assert_eq!(read.answered[&RecordId::new(3)], []);
    assert_eq!(read.answered[&RecordId::new(2)][0].to, RecordId::new(92));
    assert!(script.seen().iter().all(|r| r.method == "POST"));
}

#[tokio::test]
async fn what_stays_unanswered_is_told_and_an_empty_answer_about_one_record_counts() {
    let script = Script::new(|request, _| match request.method.as_str() {
        // By batch only the first is ever spoken of, and a half of the second.
        "POST" => {
            let mut results: Vec<Value> = request
                .ids()
                .iter()
                .filter(|id| *id == "1")
                .map(|id| associated(id))
                .collect();
            results.push(json!({"from": {"id": "2"}, "to": [company("2"), {"odd": true}]}));
            results.push(json!(7));
            Say::json(
                200,
                json!({"results": results, "errors": null, "numErrors": null}),
            )
        }
        _ if request.path.contains("/3/") => Say::json(200, json!({"results": []})),
        _ if request.path.contains("/4/") => Say::json(404, json!({"message": "no such record"})),
        _ => Say::json(400, json!({"message": "no"})),
    })
    .await;
    let read = read(&script, &ids(1..=4)).await;
    assert_eq!(
        read.answered.keys().copied().collect::<Vec<_>>(),
        ids([1, 3])
    );
    assert_eq!(read.answered[&RecordId::new(3)], []);
    let unanswered = |n| read.unanswered[&RecordId::new(n)].clone().unwrap();
    assert!(matches!(unanswered(2), Error::Invalid { status: 400, .. }));
    assert_eq!(unanswered(4), Error::NotFound);
    assert_eq!(read.unanswered.len(), 2);
}

/// `after` is ignored, as the third generation of the batch read does.
#[tokio::test]
async fn associations_that_go_round_in_circles_are_read_otherwise() {
    let script = Script::new(|request, n| match (request.method.as_str(), n) {
        ("POST", 0..20) => Say::json(
            200,
            json!({"results": [{"from": {"id": "1"}, "to": [company("1")],
                "paging": {"next": {"after": format!("c{n}")}}}]}),
        ),
        ("GET", _) => Say::json(
            200,
            if request.query.contains("after=x%3D") {
                json!({"results": [company("3")]})
            } else {
                json!({"results": [company("1"), company("2")], "paging": {"next": {"after": "x%3D"}}})
            },
        ),
        _ => panic!("{n} requests"),
    })
    .await;
    let found = read(&script, &ids([1])).await;
    let to: Vec<u64> = found.answered[&RecordId::new(1)]
        .iter()
        .map(|a| a.to.get())
        .collect();
    assert_eq!(to, [91, 92, 93]);
    assert!(script.seen().len() <= 6, "{:?}", script.seen());

    let circle = Script::new(|request, _| {
        let page = json!({"results": [company("1")], "paging": {"next": {"after": "1"}}});
        match request.method.as_str() {
            "POST" => Say::json(
                200,
                json!({"results": [{"from": {"id": "1"}, "to": page["results"], "paging": page["paging"]}]}),
            ),
            _ => Say::json(200, page),
        }
    })
    .await;
    let read = read(&circle, &ids([1])).await;
    let error = read.unanswered[&RecordId::new(1)].clone().unwrap();
    assert!(matches!(error, Error::PagingStuck { .. }), "{error:?}");
    assert!(circle.seen().len() <= 6);
}

fn record(id: &str) -> Value {
    json!({"id": id, "properties": {"email": format!("p{id}@example.com")}, "updatedAt": "2026-01-01T00:00:00Z"})
}

fn missing(ids: &[&str]) -> Value {
    json!({"category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ids}})
}

#[tokio::test]
async fn a_record_that_an_answer_leaves_out_is_not_missing() {
    let script = Script::new(|request, n| {
        if request.method == "GET" {
            return match request.path.rsplit('/').next().unwrap() {
                // It was merged away.
                "4" => Say::json(200, record("40")),
                "5" => Say::json(
                    404,
                    json!({"message": "Object not found.  objectId are usually numeric."}),
                ),
                _ => Say::text(404, "<html>not here</html>"),
            };
        }
        match n {
            // An empty answer, then all but some.
            0 => Say::json(200, envelope(&[], &[])),
            _ => {
                let asked = request.ids();
                let found: Vec<Value> = asked
                    .iter()
                    .filter(|id| matches!(id.as_str(), "1" | "2"))
                    .map(|id| record(id))
                    .collect();
                let errors: Vec<Value> = asked
                    .iter()
                    .filter(|id| *id == "3")
                    .map(|_| missing(&["3"]))
                    .collect();
                Say::json(207, envelope(&found, &errors))
            }
        }
    })
    .await;
    let read = script
        .client
        .objects()
        .batch_read(ObjectType::Contact, &ids(1..=6), &ReadOptions::new())
        .await
        .unwrap();
    let found: BTreeSet<u64> = read.found.iter().flatten().map(|o| o.id.get()).collect();
    assert_eq!(found, [1, 2, 40].into());
    assert_eq!(read.merged, [(RecordId::new(4), RecordId::new(40))].into());
    assert_eq!(read.missing, ids([3, 5]).into_iter().collect());
    assert_eq!(
        read.unanswered.keys().copied().collect::<Vec<_>>(),
        ids([6])
    );
    assert!(read.times.sent_at.is_some());
}

async fn find(script: &Script, email: &str) -> Result<Option<RecordId>, Error> {
    let options = ReadOptions::new().properties(["email"]);
    let found = script.client.contacts().by_email(email, &options).await?;
    Ok(found.map(|o| o.id))
}

#[tokio::test]
async fn a_lookup_says_not_there_only_when_hubspot_does() {
    let silent = Script::new(|_, _| Say::json(200, envelope(&[], &[]))).await;
    assert_eq!(find(&silent, "a@example.com").await, Err(Error::Unanswered));
    let refused =
        Script::new(|_, _| Say::json(404, json!({"message": "resource not found"}))).await;
    assert!(matches!(
        find(&refused, "a@example.com").await,
        Err(Error::UnexpectedResponse { .. })
    ));
    // Named in the form in which HubSpot keeps it.
    let named = Script::new(|_, _| {
        Say::json(
            207,
            envelope(&[], &[missing(&["a@xn--mnchen-3ya.example"])]),
        )
    })
    .await;
    assert_eq!(find(&named, "A@münchen.example").await, Ok(None));
}

/// A portal with one contact, who has three addresses, one of them international.
fn one_contact(request: &Seen) -> Say {
    let properties: Vec<&str> = request.body["properties"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_str().unwrap())
        .collect();
    let mut contact = json!({"id": "7", "updatedAt": "2026-01-01T00:00:00Z",
        "properties": {"email": "First@example.com"}});
    // What is not asked for is not shown.
    if properties.contains(&"hs_additional_emails") {
        contact["properties"]["hs_additional_emails"] =
            json!("second@example.com;third@xn--mnchen-3ya.example");
    }
    let theirs = [
        "first@example.com",
        "second@example.com",
        "third@münchen.example",
        "third@xn--mnchen-3ya.example",
    ];
    let (known, unknown): (Vec<String>, Vec<String>) = request
        .ids()
        .into_iter()
        .partition(|id| theirs.contains(&id.to_lowercase().as_str()));
    let results: Vec<Value> = known.first().map(|_| contact).into_iter().collect();
    let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
    let errors: Vec<Value> = (!unknown.is_empty())
        .then(|| missing(&unknown))
        .into_iter()
        .collect();
    Say::json(207, envelope(&results, &errors))
}

#[tokio::test]
async fn a_contact_is_found_by_any_of_its_addresses() {
    let script = Script::new(|request, _| one_contact(request)).await;
    for email in [
        "first@example.com",
        "SECOND@example.com",
        "third@münchen.example",
        "third@xn--mnchen-3ya.example",
    ] {
        assert_eq!(
            find(&script, email).await,
            Ok(Some(RecordId::new(7))),
            "{email}"
        );
    }
    assert_eq!(find(&script, "fourth@example.com").await, Ok(None));
    // Two addresses of one contact in one call, and one of nobody.
    let keys = [
        "second@example.com",
        "nobody@example.com",
        "first@example.com",
        "third@MÜNCHEN.example",
    ]
    .map(RecordKey::email);
    let before = script.seen().len();
    let read = script
        .client
        .objects()
        .read_each(
            ObjectType::Contact,
            &keys,
            &ReadOptions::new().properties(["email"]),
        )
        .await;
    let found: Vec<Option<u64>> = read
        .outcomes
        .iter()
        .map(|o| o.clone().done().map(|o| o.id.get()))
        .collect();
    assert_eq!(found, [Some(7), None, Some(7), Some(7)]);
    assert!(matches!(
        &read.outcomes[1],
        InputOutcome::Refused(Error::NotFound)
    ));
    assert_eq!(script.seen().len(), before + 1, "in one request");
}

/// A listing whose cursor stands still, and a search that ignores where it is to begin.
#[tokio::test]
async fn a_listing_that_does_not_end_is_an_error() {
    use futures::TryStreamExt as _;
    use hubspot::{ErrorClass, objects::ListRequest, search::SearchRequest};

    let script = Script::new(|request, n| {
        assert!(n < 20, "it goes on for ever");
        let next = match request.path.ends_with("/search") {
            true => "200".to_owned(),
            false => "3".to_owned(),
        };
        Say::json(
            200,
            json!({"total": 900, "results": [record("1"), record("2")], "paging": {"next": {"after": next}}}),
        )
    })
    .await;
    let listed: Result<Vec<_>, Error> = script
        .client
        .objects()
        .pages(ListRequest::new(ObjectType::Contact))
        .try_collect()
        .await;
    assert_eq!(listed.unwrap_err().class(), ErrorClass::PagingStuck);
    let found: Result<Vec<_>, Error> = script
        .client
        .search()
        .pages(SearchRequest::new(ObjectType::Contact), None)
        .try_collect()
        .await;
    assert_eq!(found.unwrap_err().class(), ErrorClass::PagingStuck);
    assert_eq!(script.seen().len(), 4);
}

/// An index that counts what it does not give.
#[tokio::test]
async fn a_search_that_contradicts_its_total_is_told() {
    use hubspot::search::SearchRequest;

    let script = Script::new(|request, _| {
        let results = match request.body["after"].as_str() {
            Some("2") => vec![record("3")],
            _ => Vec::new(),
        };
        Say::json(200, json!({"total": 3, "results": results}))
    })
    .await;
    let search = script.client.search();
    let request = SearchRequest::new(ObjectType::Contact);
    assert!(search.run(&request).await.unwrap().contradicts_its_total());
    let last = search.run(&request.after(2)).await.unwrap();
    assert!(!last.contradicts_its_total());
}
