//! Answers of HubSpot itself, recorded by others (`../shared/data/recorded`), read by the client over
//! a socket.

use std::path::{Path, PathBuf};

use axum::{Router, body::Bytes, extract::State, http::StatusCode};
use hubspot::{
    Client, Error, FieldCode, FieldProblem, InputOutcome, ObjectType, RecordId,
    associations::{AssociationSpec, Pair, TypedPair},
    objects::{CreateInput, ListRequest, ReadOptions, RecordKey, UpdateInput},
    properties::{NewProperty, PropertyChange, PropertyGroup},
    search::{Filter, SearchRequest},
};
use url::Url;

use crate::support::client;

/// The folder, or none where the data is not at hand: it only adds cases, unless it is required
/// (`REQUIRE_SHARED_DATA`).
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/recorded");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("REQUIRE_SHARED_DATA").is_none(),
        "shared/data is required and not beside the checkout"
    );
    println!("absent, adds no cases: shared/data/recorded");
    None
}

/// A client to whom every request is answered with this file.
async fn answered(folder: &Path, status: u16, file: &str) -> Client {
    let body = std::fs::read(folder.join(file)).unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let router = Router::new()
        .fallback(async |State((status, body)): State<(StatusCode, Bytes)>| (status, body))
        .with_state((status, Bytes::from(body)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    client(&url, "a-key")
}

fn create(email: &str) -> CreateInput {
    CreateInput::new([("email", email)])
}

#[tokio::test]
async fn pages_of_records() {
    let Some(folder) = folder() else { return };
    let client = answered(&folder, 200, "read__objects-api__contacts-response.json").await;
    let page = client
        .objects()
        .list(&ListRequest::new(ObjectType::Contact))
        .await
        .unwrap();
    let all: Vec<_> = page.results.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        all.iter().map(|o| o.id.get()).collect::<Vec<_>>(),
        [1, 51, 101]
    );
    assert_eq!(all[1].property("email").as_deref(), Some("b@example.com"));
    assert_eq!(
        all[1].updated_at.to_rfc3339(),
        "2023-12-13T22:45:30.353+00:00"
    );
    assert_eq!(page.next.unwrap().as_str(), "394");

    let client = answered(&folder, 200, "read__objects-api__contacts-batch.json").await;
    let ids = [110_338_039_632, 110_323_586_992].map(RecordId::new);
    let keys = ids.map(RecordKey::Id);
    let read = client
        .objects()
        .read_each(ObjectType::Contact, &keys, &ReadOptions::new())
        .await;
    assert!(read.all_done());
    for (outcome, id) in read.outcomes.into_iter().zip(ids) {
        assert_eq!(outcome.done().unwrap().id, id);
    }
    // By e-mail the results are told apart by what they hold.
    let keys = ["EmailMaria@hubspot.com", "nobody@hubspot.com"].map(RecordKey::email);
    let read = client
        .objects()
        .read_each(ObjectType::Contact, &keys, &ReadOptions::new())
        .await;
    assert!(matches!(&read.outcomes[0], InputOutcome::Done(o) if o.id == ids[1]));
    // It is not named as missing either.
    assert!(matches!(
        read.outcomes[1],
        InputOutcome::Refused(Error::Unanswered)
    ));
}

#[tokio::test]
async fn searches() {
    let Some(folder) = folder() else { return };
    let request = SearchRequest::new(ObjectType::Contact).group([Filter::known("email")]);
    let client = answered(&folder, 200, "search__contacts__1-first-page.json").await;
    let page = client.search().run(&request).await.unwrap();
    assert_eq!(page.total, Some(57));
    assert_eq!(page.next.unwrap().as_str(), "54");
    let first = page.results[0].as_ref().unwrap();
    assert_eq!(first.id, RecordId::new(501));
    assert_eq!(first.property("firstname").as_deref(), Some("Johnnie"));
    assert_eq!(first.property("phone"), None);

    let client = answered(&folder, 200, "search__contacts__2-second-page.json").await;
    let page = client.search().run(&request).await.unwrap();
    assert!(page.next.is_none());
    let last = page.results[0].as_ref().unwrap();
    assert_eq!(last.property("phone").as_deref(), Some("9199767082"));

    let client = answered(&folder, 200, "read-via-search__contacts-response.json").await;
    let page = client.search().run(&request).await.unwrap();
    assert_eq!(page.total, Some(115));
    assert_eq!(
        page.results[0].as_ref().unwrap().id,
        RecordId::new(220_006_890_315)
    );

    let client = answered(&folder, 400, "search__error-invalid-object.json").await;
    let error = client.search().run(&request).await.unwrap_err();
    assert!(
        matches!(&error, Error::Invalid { status: 400, problems, .. } if problems.is_empty()),
        "{error:?}"
    );
    assert_eq!(
        error.detail().unwrap().expose(),
        "Unable to infer object type from: butterflies"
    );
}

#[tokio::test]
async fn created_in_batches() {
    let Some(folder) = folder() else { return };
    let file = "batch__create__contacts__success.json";
    let client = answered(&folder, 201, file).await;
    let inputs = ["marleyfleming@hubspot.com", "lilyskinner@hubspot.com"].map(create);
    let made = client
        .objects()
        .batch_create(ObjectType::Contact, &inputs)
        .await;
    assert!(made.all_done(), "{made:?}");
    for (outcome, first) in made.outcomes.into_iter().zip(["Marley", "Lily"]) {
        let object = outcome.done().unwrap();
        assert_eq!(object.property("firstname").as_deref(), Some(first));
    }

    let file = "batch__create__contacts__err-partial-success.json";
    let client = answered(&folder, 207, file).await;
    let inputs = ["markus.blevins@hubspot.com", "siena.dyer@hubspot.com"].map(create);
    let made = client
        .objects()
        .batch_create(ObjectType::Contact, &inputs)
        .await;
    assert_eq!(
        made.outcomes[0].clone().refused(),
        Some(Error::Conflict {
            existing: Some(RecordId::new(171_591_000_198)),
            property: None,
        })
    );
    assert!(
        matches!(&made.outcomes[1], InputOutcome::Done(o) if o.id == RecordId::new(171_596_044_870))
    );

    // The whole batch is refused, and does not say who is to blame: each is asked alone.
    let file = "batch__create__contacts__err-conflict.json";
    let client = answered(&folder, 409, file).await;
    let made = client
        .objects()
        .batch_create(ObjectType::Contact, &inputs)
        .await;
    for outcome in made.outcomes {
        assert_eq!(
            outcome.refused(),
            Some(Error::Conflict {
                existing: None,
                property: None
            })
        );
    }

    let file = "batch__create__contacts__err-many-invalid-properties.json";
    let client = answered(&folder, 400, file).await;
    let inputs = [CreateInput::new([
        ("first000name", "A"),
        ("last000name", "B"),
    ])];
    let made = client
        .objects()
        .batch_create(ObjectType::Contact, &inputs)
        .await;
    let InputOutcome::Refused(Error::Invalid { problems, .. }) = &made.outcomes[0] else {
        panic!("{made:?}");
    };
    let unknown = |name: &str| FieldProblem {
        property: Some(name.to_owned()),
        code: FieldCode::PropertyDoesntExist,
    };
    assert_eq!(problems, &[unknown("first000name"), unknown("last000name")]);
}

#[tokio::test]
async fn updated_in_batches() {
    let Some(folder) = folder() else { return };
    let update = |id: u64| UpdateInput {
        key: RecordKey::Id(RecordId::new(id)),
        properties: [("lastname".to_owned(), "Dyer (updated)".to_owned())].into(),
    };
    let file = "batch__update__contacts__success.json";
    let client = answered(&folder, 200, file).await;
    let inputs = [171_591_000_199, 171_591_000_198].map(update);
    let done = client
        .objects()
        .batch_update(ObjectType::Contact, &inputs)
        .await;
    assert!(done.all_done());
    for (outcome, input) in done.outcomes.into_iter().zip(&inputs) {
        assert_eq!(RecordKey::Id(outcome.done().unwrap().id), input.key);
    }

    let file = "batch__update__contacts__err-partial-success.json";
    let client = answered(&folder, 207, file).await;
    let by_key = |value: &str| UpdateInput {
        key: RecordKey::unique("our_key", value),
        properties: [("lastname".to_owned(), "x".to_owned())].into(),
    };
    let inputs = [update(171_591_000_199)];
    let done = client
        .objects()
        .batch_update(ObjectType::Contact, &inputs)
        .await;
    assert!(done.all_done());
    // The id that HubSpot does not know is named by the error.
    let done = client
        .objects()
        .batch_update(ObjectType::Contact, &[by_key("unknownIdentifier888")])
        .await;
    assert_eq!(done.outcomes[0].clone().refused(), Some(Error::NotFound));

    let file = "batch__update__contacts__err-duplicate-ids.json";
    let client = answered(&folder, 400, file).await;
    let done = client
        .objects()
        .batch_update(ObjectType::Contact, &[update(123_456)])
        .await;
    assert!(matches!(
        &done.outcomes[0],
        InputOutcome::Refused(Error::Invalid { status: 400, .. })
    ));

    let file = "batch__update__contacts__err-many-invalid-properties.json";
    let client = answered(&folder, 400, file).await;
    let done = client
        .objects()
        .batch_update(ObjectType::Contact, &[update(1)])
        .await;
    assert!(
        matches!(&done.outcomes[0], InputOutcome::Refused(Error::Invalid { problems, .. }) if problems.len() == 2)
    );
}

#[tokio::test]
async fn associations() {
    let Some(folder) = folder() else { return };
    use ObjectType::{Company, Contact};
    let pair = |to: u64| TypedPair {
        pair: Pair {
            from: RecordId::new(211_762_804_612),
            to: RecordId::new(to),
        },
        types: vec![AssociationSpec::unlabeled(Contact, Company).unwrap()],
    };
    let file = "associations__test__contact-to-company-resp.json";
    let client = answered(&folder, 201, file).await;
    let inputs = [18_417_469_260, 29_013_756_946].map(pair);
    let made = client
        .associations()
        .batch_create(Contact, Company, &inputs)
        .await;
    assert!(made.all_done());
    for (outcome, input) in made.outcomes.into_iter().zip(&inputs) {
        assert_eq!(outcome.done().unwrap().pair, input.pair);
    }

    // Two errors for two inputs, only one of which is named.
    let file = "associations__test__err-contact-to-contact.json";
    let client = answered(&folder, 207, file).await;
    let inputs = [211_762_804_612, 7].map(pair);
    let made = client
        .associations()
        .batch_create(Contact, Contact, &inputs)
        .await;
    for outcome in &made.outcomes {
        assert!(
            matches!(outcome, InputOutcome::Refused(Error::Invalid { .. })),
            "{outcome:?}"
        );
    }

    let file = "search__contacts__contacts-to-companies.json";
    let client = answered(&folder, 207, file).await;
    let ids = [501, 103_107_104_018].map(RecordId::new);
    let read = client
        .associations()
        .batch_read(Contact, Company, &ids)
        .await
        .unwrap();
    assert_eq!(read.answered[&RecordId::new(103_107_104_018)], []);
    assert_eq!(read.unanswered.len(), 0);
    let found = &read.answered[&RecordId::new(501)][0];
    assert_eq!(found.to, RecordId::new(29_022_297_485));
    assert!(found.types[0].is_primary() && !found.types[1].is_primary());
    let names: Vec<_> = found
        .types
        .iter()
        .map(|t| t.inline_name(Contact, Company))
        .collect();
    assert_eq!(
        names,
        ["contact_to_company", "contact_to_company_unlabeled"]
    );
}

#[tokio::test]
async fn property_definitions() {
    let Some(folder) = folder() else { return };
    for (file, object_type, sample, writable) in [
        (
            "metadata-contacts-properties-sampled.json",
            ObjectType::Contact,
            "hs_associated_target_accounts",
            false,
        ),
        (
            "metadata-deals-properties-sampled.json",
            ObjectType::Deal,
            "pipeline",
            true,
        ),
    ] {
        let client = answered(&folder, 200, file).await;
        let page = client.properties().list(object_type).await.unwrap();
        let all: Vec<_> = page
            .results
            .into_iter()
            .map(|p| p.unwrap().details().unwrap())
            .collect();
        assert!(all.len() > 1);
        let one = all.iter().find(|p| p.name == sample).unwrap();
        assert_eq!(one.is_writable(), writable, "{sample}");
    }

    let file = "custom__create__4-response-batch-create-properties.json";
    let client = answered(&folder, 201, file).await;
    let group = "integrationcreatedproperties";
    let wanted = ["interests__c", "age__c"].map(|name| NewProperty::text(name, name, group));
    let made = client
        .properties()
        .batch_create(ObjectType::Contact, &wanted)
        .await;
    assert!(made.all_done());
    let interests = made.outcomes[0].clone().done().unwrap();
    assert_eq!(interests.name, "interests__c");
    let options: Vec<_> = interests.options.iter().map(|o| o.value.as_str()).collect();
    assert_eq!(options, ["art", "travel", "swimming"]);

    let file = "custom__update__3-response-batch-create-properties.json";
    let client = answered(&folder, 207, file).await;
    let wanted = ["age__c", "hobby__c", "interests__c", "isready__c"]
        .map(|name| NewProperty::text(name, name, group));
    let made = client
        .properties()
        .batch_create(ObjectType::Contact, &wanted)
        .await;
    for (n, taken) in [true, false, true, false].into_iter().enumerate() {
        let outcome = &made.outcomes[n];
        assert_eq!(
            matches!(outcome, InputOutcome::Refused(Error::Conflict { .. })),
            taken,
            "{outcome:?}"
        );
        assert_eq!(matches!(outcome, InputOutcome::Done(_)), !taken);
    }
    assert!(made.outcomes[1].clone().done().unwrap().has_unique_value);

    for (file, name) in [
        (
            "custom__update__5-response-update-property-age.json",
            "age__c",
        ),
        (
            "custom__update__7-response-update-property-interests.json",
            "interests__c",
        ),
    ] {
        let client = answered(&folder, 200, file).await;
        let changed = client
            .properties()
            .update(ObjectType::Contact, name, &PropertyChange::default())
            .await
            .unwrap();
        assert_eq!(changed.name, name);
        assert!(changed.is_writable());
    }

    for file in [
        "custom__create__2-response-create-property-group.json",
        "custom__update__1-read-property-group.json",
    ] {
        let client = answered(&folder, 201, file).await;
        let wanted = PropertyGroup {
            name: group.to_owned(),
            label: "Integration Created Properties".to_owned(),
            display_order: 9,
        };
        let made = client
            .properties()
            .create_group(ObjectType::Contact, &wanted)
            .await
            .unwrap();
        assert_eq!(made, wanted);
    }
}

#[tokio::test]
async fn pipelines() {
    let Some(folder) = folder() else { return };
    let client = answered(&folder, 200, "metadata-deals-external-pipelines.json").await;
    let page = client.pipelines().list(ObjectType::Deal).await.unwrap();
    let first = page.results[0].as_ref().unwrap().details().unwrap();
    assert_eq!((first.id.as_str(), first.stages.len()), ("default", 7));
    let stage = |id: &str| first.stages.iter().find(|s| s.id == id).unwrap();
    assert!(stage("closedwon").is_won() && stage("closedwon").is_closed());
    assert!(stage("closedlost").is_lost() && !stage("closedlost").is_won());
    assert!(!stage("contractsent").is_closed());
    assert_eq!(stage("contractsent").probability(), Some(0.9));

    // Stages of other pipelines have no probability.
    let file = "metadata-contacts-external-pipelines.json";
    let client = answered(&folder, 200, file).await;
    let page = client.pipelines().list(ObjectType::Contact).await.unwrap();
    let first = page.results[0].as_ref().unwrap().details().unwrap();
    assert_eq!(first.id, "contacts-lifecycle-pipeline");
    assert!(first.stages.iter().all(|s| s.probability().is_none()));
}

#[tokio::test]
async fn lists() {
    let Some(folder) = folder() else { return };
    let client = answered(&folder, 200, "read-lists-1-first-page.json").await;
    let page = client.lists().search(None, 2).await.unwrap();
    assert_eq!(page.total, Some(3));
    assert_eq!(page.next.unwrap().as_str(), "2");
    let all: Vec<_> = page.results.into_iter().map(Result::unwrap).collect();
    assert_eq!(all[0].name, "Test List");
    assert_eq!((all[0].size(), all[1].size()), (Some(4_993), Some(3)));
    assert_eq!(all[1].object_type_id, "0-2");
    assert_eq!(all[1].processing_type, "SNAPSHOT");

    let client = answered(&folder, 200, "read-lists-2-second-page.json").await;
    let page = client.lists().search(None, 2).await.unwrap();
    assert!(page.next.is_none());
    assert_eq!(page.results[0].as_ref().unwrap().size(), Some(0));
}

#[tokio::test]
async fn the_account_and_a_missing_scope() {
    let Some(folder) = folder() else { return };
    let client = answered(&folder, 200, "post-auth__account-info.json").await;
    let details = client.account().details().await.unwrap();
    assert_eq!(details.portal_id, hubspot::PortalId::new(12_345_678));
    assert_eq!(details.time_zone.as_deref(), Some("US/Eastern"));
    assert_eq!(details.utc_offset_milliseconds, Some(-14_400_000));
    assert_eq!(details.company_currency.as_deref(), Some("USD"));

    let client = answered(&folder, 403, "metadata-err-schemas-scope.json").await;
    let error = client.account().details().await.unwrap_err();
    assert_eq!(
        error,
        Error::ScopeMissing {
            scopes: vec!["custom-object-read".to_owned()]
        }
    );
}

/// Every recorded answer is read by one of the tests above; requests and the schema, which the
/// client does not ask for, are not.
#[test]
fn nothing_recorded_is_left_out() {
    let Some(folder) = folder() else { return };
    let this = include_str!("recorded.rs");
    let left: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains("payload") && !name.contains("contacts-schema"))
        .filter(|name| !this.contains(&format!("\"{name}\"")))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
