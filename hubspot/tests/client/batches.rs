//! Batch calls against the simulator.

use std::collections::BTreeSet;

use hubspot::{
    Error, InputOutcome, ObjectType, RecordId,
    objects::{CreateInput, MergeInput, ReadOptions, RecordKey, UpdateInput, UpsertInput},
};
use serde_json::json;

use crate::support::Portal;

fn contact(n: usize) -> CreateInput {
    CreateInput::new([
        ("email", format!("person{n}@example.com")),
        ("firstname", format!("Person {n}")),
    ])
}

fn rename(key: RecordKey, name: &str) -> UpdateInput {
    UpdateInput {
        key,
        properties: [("firstname".to_owned(), name.to_owned())].into(),
    }
}

#[tokio::test]
async fn every_input_has_its_own_outcome() {
    // Whether results name their inputs is not established.
    for traced in [true, false] {
        outcomes(traced).await;
    }
}

async fn outcomes(traced: bool) {
    let portal = Portal::new(json!({"trace_ids_in_results": traced})).await;
    let objects = portal.client.objects();
    let mut inputs: Vec<CreateInput> = (0..250).map(contact).collect();
    inputs[17] = CreateInput::new([("email", "not an address")]);
    inputs[101] = CreateInput::new([("no_such_property", "x"), ("firstname", "A")]);
    // The same person again, in other letters: refused, and named.
    inputs[30] = CreateInput::new([("email", "PERSON29@example.com")]);
    let made = objects.batch_create(ObjectType::Contact, &inputs).await;
    assert_eq!(made.stopped, None);
    let mut ids = Vec::new();
    for (n, outcome) in made.outcomes.iter().enumerate() {
        match (n, outcome) {
            (17 | 101, InputOutcome::Refused(Error::Invalid { problems, .. })) => {
                let property = problems[0].property.as_deref();
                assert_eq!(
                    property,
                    Some(if n == 17 { "email" } else { "no_such_property" })
                );
            }
            (30, InputOutcome::Refused(Error::Conflict { existing, .. })) => {
                let InputOutcome::Done(first) = &made.outcomes[29] else {
                    panic!("{:?}", made.outcomes[29]);
                };
                assert_eq!(*existing, Some(first.id));
            }
            (_, InputOutcome::Done(object)) => {
                assert_eq!(
                    object.property("email").as_deref(),
                    inputs[n].properties.get("email").map(String::as_str)
                );
                ids.push(object.id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids.len(), 247);
    assert_eq!(portal.records("contacts").await.len(), 247);

    // Two updates of one record: both are done, in their order.
    let unknown = RecordId::new(999_999_999_999);
    let mut updates: Vec<UpdateInput> = ids
        .iter()
        .map(|id| rename(RecordKey::Id(*id), "first"))
        .collect();
    updates.push(rename(RecordKey::Id(ids[3]), "second"));
    updates.push(rename(RecordKey::Id(unknown), "nobody"));
    let done = objects.batch_update(ObjectType::Contact, &updates).await;
    for (n, outcome) in done.outcomes.iter().enumerate() {
        if n == updates.len() - 1 {
            assert!(
                matches!(
                    outcome,
                    InputOutcome::Refused(Error::NotFound | Error::NotInAnswer)
                ),
                "{outcome:?}"
            );
        } else {
            assert!(matches!(outcome, InputOutcome::Done(_)), "{n}: {outcome:?}");
        }
    }
    let twice = objects
        .get(ObjectType::Contact, ids[3], &["firstname"])
        .await
        .unwrap();
    assert_eq!(twice.property("firstname").as_deref(), Some("second"));

    // By e-mail, without regard to case, each key as often as it is given.
    let keys = [
        "person1@example.com",
        "Nobody@example.com",
        "PERSON1@example.com",
    ]
    .map(RecordKey::email);
    let read = objects
        .read_each(ObjectType::Contact, &keys, &ReadOptions::new())
        .await;
    let found: Vec<Option<RecordId>> = read
        .outcomes
        .into_iter()
        .map(|o| o.done().map(|o| o.id))
        .collect();
    assert_eq!(found, [Some(ids[1]), None, Some(ids[1])]);

    let gone = objects
        .batch_archive(ObjectType::Contact, &ids[..150])
        .await;
    assert!(gone.all_done());
    let left = objects
        .batch_read(
            ObjectType::Contact,
            &ids,
            &ReadOptions::new().properties(["email"]),
        )
        .await
        .unwrap();
    assert_eq!(left.missing, ids[..150].iter().copied().collect());
    assert_eq!(left.unanswered.len(), 0);
    let left: BTreeSet<RecordId> = left.found.into_iter().map(|o| o.unwrap().id).collect();
    assert_eq!(left, ids[150..].iter().copied().collect());
}

#[tokio::test]
async fn an_upsert_says_what_was_created() {
    let portal = Portal::new(json!({})).await;
    let objects = portal.client.objects();
    let there = objects
        .create(ObjectType::Contact, &contact(0))
        .await
        .unwrap();
    let upsert = |n: usize| UpsertInput {
        property: "email".to_owned(),
        value: format!("person{n}@example.com"),
        properties: [("lastname".to_owned(), format!("Name {n}"))].into(),
    };
    let inputs: Vec<UpsertInput> = (0..130).map(upsert).collect();
    let done = objects.batch_upsert(ObjectType::Contact, &inputs).await;
    for (n, outcome) in done.outcomes.into_iter().enumerate() {
        let upserted = outcome.done().unwrap();
        assert_eq!(upserted.created, Some(n > 0));
        assert_eq!(upserted.object.id == there.id, n == 0);
        assert_eq!(
            upserted.object.property("lastname"),
            Some(format!("Name {n}"))
        );
    }
    assert_eq!(portal.records("contacts").await.len(), 130);
}

#[tokio::test]
async fn after_an_ambiguous_failure_it_is_known_what_is_not_known() {
    let portal = Portal::new(json!({})).await;
    portal
        .fault(json!({"path": "/batch/create", "skip": 1, "times": 1, "when": "after", "effect": "drop"}))
        .await;
    let inputs: Vec<CreateInput> = (0..250).map(contact).collect();
    let made = portal
        .client
        .objects()
        .batch_create(ObjectType::Contact, &inputs)
        .await;
    assert_eq!(made.stopped, Some(Error::OutcomeUnknown));
    assert_eq!(made.unknown(), (100..200).collect::<Vec<_>>());
    assert_eq!(made.not_sent(), (200..250).collect::<Vec<_>>());
    // They were created all the same: to send them again would have been wrong.
    let there = portal.records("contacts").await.len();
    assert_eq!(there, 200);
    let keys: Vec<RecordKey> = made
        .unknown()
        .into_iter()
        .map(|n| RecordKey::email(inputs[n].properties["email"].clone()))
        .collect();
    let read = portal
        .client
        .objects()
        .read_each(ObjectType::Contact, &keys, &ReadOptions::new())
        .await;
    assert!(read.all_done());
}

#[tokio::test]
async fn what_was_not_done_for_sure_may_be_sent_again() {
    let portal = Portal::new(json!({})).await;
    let inputs: Vec<CreateInput> = (0..150).map(contact).collect();
    for (status, body) in [
        (423, json!({"status": "error", "message": "locked"})),
        (429, json!({"status": "error", "policyName": "DAILY"})),
    ] {
        portal
            .fault(json!({"path": "/batch/create", "times": 1, "effect": {"status": {"status": status, "body": body.to_string()}}}))
            .await;
        let made = portal
            .client
            .objects()
            .batch_create(ObjectType::Contact, &inputs)
            .await;
        assert_eq!(made.not_sent().len(), 150, "{:?}", made.stopped);
        assert!(made.stopped.is_some());
    }
    assert_eq!(portal.records("contacts").await.len(), 0);
    let made = portal
        .client
        .objects()
        .batch_create(ObjectType::Contact, &inputs)
        .await;
    assert!(made.all_done());
}

#[tokio::test]
async fn an_id_that_was_merged_away_is_no_success() {
    let portal = Portal::new(json!({})).await;
    let objects = portal.client.objects();
    let made = objects
        .batch_create(ObjectType::Contact, &[contact(1), contact(2), contact(3)])
        .await;
    let ids: Vec<RecordId> = made
        .outcomes
        .into_iter()
        .map(|o| o.done().unwrap().id)
        .collect();
    let merged = objects
        .merge(
            ObjectType::Contact,
            MergeInput {
                primary_object_id: ids[0],
                object_id_to_merge: ids[1],
            },
        )
        .await
        .unwrap();
    assert!(!ids.contains(&merged.id), "a new record with a new id");
    for old in &ids[..2] {
        let read = objects.get(ObjectType::Contact, *old, &[]).await.unwrap();
        assert_eq!(read.id, merged.id);
    }
    let updates: Vec<UpdateInput> = ids
        .iter()
        .map(|id| rename(RecordKey::Id(*id), "x"))
        .collect();
    let done = objects.batch_update(ObjectType::Contact, &updates).await;
    for outcome in &done.outcomes[..2] {
        assert_eq!(
            outcome.clone().refused(),
            Some(Error::NotInAnswer),
            "{outcome:?}"
        );
    }
    assert!(matches!(&done.outcomes[2], InputOutcome::Done(_)));
}
