//! Answers that are odd in their details, and mean something all the same.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hubspot::{
    BudgetRefused, BudgetRequest, Error, FieldCode, FieldProblem, InputOutcome, ObjectType, Permit,
    RateBudget, RecordId, ResponseObservation, StaticToken,
    associations::Pair,
    objects::{CreateInput, ListRequest, NormalizedValue, ReadOptions, RecordKey, UpdateInput},
};
use serde_json::{Value, json};

use crate::script::{Say, Script};

fn record(id: &str, properties: Value) -> Value {
    json!({"id": id, "properties": properties, "updatedAt": "2026-01-01T00:00:00Z"})
}

fn update(id: u64) -> UpdateInput {
    UpdateInput {
        key: RecordKey::Id(RecordId::new(id)),
        properties: [("p".to_owned(), "v".to_owned())].into(),
    }
}

/// What HubSpot did counts, whatever stands beside it.
#[tokio::test]
async fn a_batch_is_read_item_by_item() {
    for envelope in [
        json!({"errors": null, "numErrors": null}),
        json!({"errors": "none", "numErrors": "0"}),
        json!({"warnings": null, "errors": {}}),
        json!({}),
    ] {
        let script = Script::new({
            let envelope = envelope.clone();
            move |_, _| {
                let mut answer = envelope.clone();
                answer["results"] = json!([record("1", json!({})), record("2", json!({}))]);
                Say::json(200, answer)
            }
        })
        .await;
        let done = script
            .client
            .objects()
            .batch_update(ObjectType::Contact, &[update(1), update(2)])
            .await;
        assert!(done.all_done(), "{envelope}: {done:?}");
    }
    // An odd result beside good ones, and an odd error beside one that says what is wrong.
    let script = Script::new(|_, _| {
        Say::json(
            207,
            json!({"results": [7, record("1", json!({}))], "numErrors": 1, "errors": [null,
                {"category": "VALIDATION_ERROR", "message": "x", "code": "READ_ONLY_VALUE",
                 "context": {"id": "3", "propertyName": "p"}}]}),
        )
    })
    .await;
    let done = script
        .client
        .objects()
        .batch_update(ObjectType::Contact, &[update(1), update(2), update(3)])
        .await;
    assert!(matches!(&done.outcomes[0], InputOutcome::Done(_)));
    assert!(matches!(&done.outcomes[1], InputOutcome::OutcomeUnknown));
    let InputOutcome::Refused(Error::Invalid { problems, .. }) = &done.outcomes[2] else {
        panic!("{:?}", done.outcomes[2]);
    };
    let read_only = FieldProblem {
        property: Some("p".to_owned()),
        code: FieldCode::ReadOnlyValue,
    };
    assert_eq!(problems, &[read_only]);
}

fn warning(extra: Value) -> Value {
    let mut context = json!({"propertyName": ["closedate"], "rawValue": ["1790000000000"],
        "normalizedValue": ["2026-09-21"]});
    for (name, value) in extra.as_object().unwrap() {
        context[name] = value.clone();
    }
    json!({"category": "PROPERTY_VALUE_NORMALIZED", "message": "x", "context": context})
}

/// HubSpot took a value in another form: it was done, and the new form is told.
#[tokio::test]
async fn what_hubspot_normalised_was_done() {
    let shown = json!({"closedate": "2026-09-21", "dealname": "A"});
    let beside = json!({"results": [record("1", shown.clone())], "warnings": [warning(json!({}))]});
    let mut within = record("1", shown.clone());
    within["warnings"] = json!([warning(json!({})), {"category": "OTHER"}]);
    let within = json!({"results": [within]});
    let deal = CreateInput::new([("closedate", "1790000000000")]);
    let normalized = NormalizedValue {
        property: "closedate".to_owned(),
        raw: "1790000000000".to_owned(),
        normalized: "2026-09-21".to_owned(),
    };
    for answer in [beside, within] {
        let script = Script::new({
            let answer = answer.clone();
            move |_, _| Say::json(201, answer.clone())
        })
        .await;
        let made = script
            .client
            .objects()
            .batch_create(ObjectType::Deal, std::slice::from_ref(&deal))
            .await;
        let InputOutcome::Done(object) = &made.outcomes[0] else {
            panic!("{answer}: {made:?}");
        };
        assert_eq!(object.normalized, std::slice::from_ref(&normalized));
    }
    let mut single = record("1", shown);
    single["warnings"] = json!([warning(json!({}))]);
    let script = Script::new(move |_, _| Say::json(201, single.clone())).await;
    let made = script
        .client
        .objects()
        .create(ObjectType::Deal, &deal)
        .await
        .unwrap();
    assert_eq!(made.normalized, [normalized]);
}

#[tokio::test]
async fn associations_are_removed_of_a_hundred_records_a_request() {
    let script = Script::new(|_, _| Say::text(204, "")).await;
    let pairs: Vec<Pair> = (0..500)
        .map(|n| Pair {
            from: RecordId::new(n % 250 + 1),
            to: RecordId::new(n + 1_000),
        })
        .collect();
    let gone = script
        .client
        .associations()
        .batch_archive(ObjectType::Contact, ObjectType::Company, &pairs)
        .await;
    assert!(gone.all_done());
    let mut sent = 0;
    for request in script.seen() {
        let inputs = request.body["inputs"].as_array().unwrap().clone();
        let from: BTreeSet<&str> = inputs
            .iter()
            .map(|i| i["from"]["id"].as_str().unwrap())
            .collect();
        assert!(from.len() <= 100, "{} records", from.len());
        sent += inputs.len();
    }
    assert_eq!(sent, 500);
}

/// A budget that knows what time it is.
struct Clocked(DateTime<Utc>);

#[async_trait]
impl RateBudget for Clocked {
    async fn acquire(&self, _request: &BudgetRequest) -> Result<Permit, BudgetRefused> {
        Ok(Permit {
            at: Some(self.0),
            ..Permit::default()
        })
    }

    fn observe(&self, _: &BudgetRequest, _: Permit, _: &ResponseObservation) {}
}

/// The host's clock does not count where the permit brings a better one.
#[tokio::test]
async fn what_is_read_bears_the_time_of_its_permit() {
    let script = Script::new(|request, _| {
        let mut answer = json!({"results": [record("1", json!({}))], "total": 1});
        if request.path.contains("/associations/") {
            answer["results"] = json!([{"from": {"id": "1"}, "to": []}]);
        }
        Say::json(200, answer)
    })
    .await;
    let then = DateTime::from_timestamp(1_000_000_000, 0).unwrap();
    let key = Arc::new(StaticToken::new("a-key".to_owned().into()));
    let client = script.client.for_portal(key, Arc::new(Clocked(then)));
    let page = client
        .objects()
        .list(&ListRequest::new(ObjectType::Contact))
        .await
        .unwrap();
    assert_eq!(page.sent_at, then);
    let ids = [RecordId::new(1)];
    let read = client
        .objects()
        .batch_read(ObjectType::Contact, &ids, &ReadOptions::new())
        .await
        .unwrap();
    assert_eq!(read.times.sent_at, Some(then));
    let read = client
        .associations()
        .batch_read(ObjectType::Contact, ObjectType::Deal, &ids)
        .await
        .unwrap();
    assert_eq!(read.times.sent_at, Some(then));
}
