//! Each resource against the simulator.

use std::{collections::BTreeSet, time::Duration};

use chrono::Utc;
use futures::TryStreamExt as _;
use hubspot::{
    Error, InputOutcome, ObjectType, OwnerId, RecordId,
    associations::{AssociationSpec, Pair, TypedPair},
    engagements::{EmailDirection, TIMESTAMP},
    lists::{ListQuery, ProcessingType},
    oauth::{OAuth, OAuthError},
    objects::{CreateInput, ListRequest, ReadOptions, RecordKey},
    properties::{NewProperty, PropertyChange, PropertyGroup, PropertyOption, UniqueProperty},
    search::{Filter, SearchRequest},
};
use serde_json::json;

use crate::support::{Portal, config};

/// A record of each type that HubSpot accepts.
fn sample(object_type: ObjectType) -> CreateInput {
    match object_type {
        ObjectType::Contact => CreateInput::new([("email", "a@example.com")]),
        ObjectType::Company => CreateInput::new([("domain", "example.com")]),
        ObjectType::Deal => CreateInput::new([
            ("dealname", "A deal"),
            ("pipeline", "default"),
            ("dealstage", "appointmentscheduled"),
        ]),
        ObjectType::Email => CreateInput::engagement(Utc::now())
            .with("hs_email_direction", EmailDirection::Sent.as_str()),
        ObjectType::Communication => CreateInput::engagement(Utc::now())
            .with("hs_communication_channel_type", "SMS")
            .with("hs_communication_logged_from", "CRM"),
        _ => CreateInput::engagement(Utc::now()),
    }
}

/// A property of each type that can be changed.
fn changeable(object_type: ObjectType) -> &'static str {
    match object_type {
        ObjectType::Contact => "firstname",
        ObjectType::Company => "name",
        ObjectType::Deal => "dealname",
        ObjectType::Email => "hs_email_subject",
        ObjectType::Call => "hs_call_title",
        ObjectType::Meeting => "hs_meeting_title",
        ObjectType::Note => "hs_note_body",
        ObjectType::Task => "hs_task_subject",
        ObjectType::Communication => "hs_communication_body",
    }
}

#[tokio::test]
async fn records_of_every_type() {
    let portal = Portal::new(json!({})).await;
    let objects = portal.client.objects();
    for object_type in ObjectType::ALL {
        let made = objects
            .create(object_type, &sample(object_type))
            .await
            .unwrap_or_else(|e| {
                panic!(
                    "{object_type:?}: {e:?} {:?}",
                    e.detail().map(|d| d.expose())
                )
            });
        let name = changeable(object_type);
        let changed = objects
            .update(
                object_type,
                made.id,
                &[(name.to_owned(), "B".to_owned())].into(),
            )
            .await
            .unwrap();
        assert_eq!(changed.property(name).as_deref(), Some("B"));
        assert!(changed.updated_at >= made.updated_at);
        let options = ReadOptions::new().properties([name]).history([name]);
        let read = objects
            .read(object_type, made.id, &options, &[])
            .await
            .unwrap();
        assert_eq!(read.history[name][0].value.as_deref(), Some("B"));
        let listed = objects
            .list(&ListRequest::new(object_type).properties([object_type.created()]))
            .await
            .unwrap();
        let listed: Vec<_> = listed.results.into_iter().map(Result::unwrap).collect();
        assert_eq!(listed.len(), 1, "{object_type:?}");
        assert!(listed[0].property(object_type.created()).is_some());
        objects.archive(object_type, made.id).await.unwrap();
        assert_eq!(
            objects.get(object_type, made.id, &[]).await.unwrap_err(),
            Error::NotFound
        );
        let gone = objects
            .list(&ListRequest::new(object_type).archived())
            .await
            .unwrap();
        // HubSpot's guide says that deleted e-mails are gone for good.
        if object_type == ObjectType::Email {
            assert!(gone.results.is_empty());
            continue;
        }
        let gone = gone.results.into_iter().next().unwrap().unwrap();
        assert!(gone.id == made.id && gone.archived && gone.archived_at.is_some());
    }
}

#[tokio::test]
async fn searches_page_by_id() {
    let portal = Portal::new(json!({})).await;
    let objects = portal.client.objects();
    let inputs: Vec<CreateInput> = (0..230)
        .map(|n| {
            CreateInput::new([
                ("email", format!("p{n}@{}.example.com", ["a", "b"][n % 2])),
                ("firstname", "P".to_owned()),
            ])
        })
        .collect();
    let made = objects.batch_create(ObjectType::Contact, &inputs).await;
    let ids: Vec<RecordId> = made
        .outcomes
        .into_iter()
        .map(|o| o.done().unwrap().id)
        .collect();
    let search = portal.client.search();
    let request = SearchRequest::new(ObjectType::Contact)
        .group([Filter::eq("firstname", "p"), Filter::known("email")])
        .group([Filter::in_texts("email", ["P1@B.example.com"])])
        .properties(["email"])
        .limit(50);
    let pages: Vec<_> = search.pages(request, None).try_collect().await.unwrap();
    assert_eq!(pages.len(), 5);
    let found: Vec<RecordId> = pages
        .into_iter()
        .flat_map(|p| p.results)
        .map(|o| o.unwrap().id)
        .collect();
    let all: BTreeSet<RecordId> = ids.iter().copied().collect();
    assert_eq!(found, all.iter().copied().collect::<Vec<_>>());

    let after = *all.iter().nth(99).unwrap();
    let window = SearchRequest::new(ObjectType::Contact).group([
        Filter::id_after(after),
        Filter::id_up_to(*all.iter().nth(149).unwrap()),
    ]);
    assert_eq!(
        search.run(&window.clone().limit(1)).await.unwrap().total,
        Some(50)
    );
    let offset = search.run(&window.limit(20).after(40)).await.unwrap();
    assert_eq!(offset.results.len(), 10);

    // More properties than a body takes: read apart.
    let names: Vec<String> = (0..200).map(|n| format!("no_such_property_{n}")).collect();
    let many = SearchRequest::new(ObjectType::Contact)
        .group([Filter::eq("hs_object_id", ids[7].to_string())])
        .properties(names.iter().map(String::as_str).chain(["email"]));
    let page = search.run(&many).await.unwrap();
    let one = page.results[0].as_ref().unwrap();
    assert_eq!(one.property("email").as_deref(), Some("p7@b.example.com"));
    let error = search
        .run(&SearchRequest::new(ObjectType::Contact).limit(1_000))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotSendable(_)), "{error:?}");
}

#[tokio::test]
async fn associations_of_a_pair() {
    use ObjectType::{Company, Contact, Note};
    let portal = Portal::new(json!({"inline_association_page": 2, "auto_companies": false}));
    let portal = portal.await;
    let objects = portal.client.objects();
    let company = |n: usize| CreateInput::new([("domain", format!("c{n}.example.com"))]);
    let made = objects
        .batch_create(Company, &(0..5).map(company).collect::<Vec<_>>())
        .await;
    let companies: Vec<RecordId> = made
        .outcomes
        .into_iter()
        .map(|o| o.done().unwrap().id)
        .collect();
    let contact = objects.create(Contact, &sample(Contact)).await.unwrap().id;
    let associations = portal.client.associations();
    let pair = |to: RecordId| Pair { from: contact, to };
    let typed = |to: RecordId| TypedPair {
        pair: pair(to),
        types: vec![
            AssociationSpec::primary(Contact, Company).unwrap(),
            AssociationSpec::unlabeled(Contact, Company).unwrap(),
        ],
    };
    let unknown = RecordId::new(999_999_999_999);
    let made = associations
        .batch_create(Contact, Company, &[typed(companies[0]), typed(unknown)])
        .await;
    assert!(matches!(&made.outcomes[0], InputOutcome::Done(a) if a.pair == pair(companies[0])));
    assert!(
        matches!(&made.outcomes[1], InputOutcome::Refused(_)),
        "{made:?}"
    );
    let rest: Vec<Pair> = companies[1..4].iter().map(|c| pair(*c)).collect();
    let made = associations
        .batch_create_default(Contact, Company, &rest)
        .await;
    assert!(made.all_done(), "{made:?}");
    associations
        .create_default(Contact, Company, pair(companies[4]))
        .await
        .unwrap();

    let read = associations
        .batch_read(Contact, Company, &[contact, unknown, contact])
        .await
        .unwrap();
    let to: BTreeSet<RecordId> = read.answered[&contact].iter().map(|a| a.to).collect();
    assert_eq!(to, companies.iter().copied().collect());
    assert_eq!(read.answered[&contact].len(), 5, "each once");
    let primary: Vec<RecordId> = read.answered[&contact]
        .iter()
        .filter(|a| {
            a.types
                .iter()
                .any(hubspot::associations::AssociationType::is_primary)
        })
        .map(|a| a.to)
        .collect();
    assert_eq!(primary, [companies[0]]);
    let page = associations
        .list(Contact, contact, Company, None, 500)
        .await
        .unwrap();
    assert!(!page.results.is_empty());

    let gone = associations
        .batch_archive(Contact, Company, &[pair(companies[1]), pair(companies[2])])
        .await;
    assert!(gone.all_done());
    associations
        .archive(Contact, Company, pair(companies[3]))
        .await
        .unwrap();
    let read = associations
        .batch_read(Contact, Company, &[contact])
        .await
        .unwrap();
    let to: BTreeSet<RecordId> = read.answered[&contact].iter().map(|a| a.to).collect();
    assert_eq!(to, [companies[0], companies[4]].into());

    let labels = associations.labels(Contact, Company).await.unwrap();
    let ids: BTreeSet<u32> = labels.results.iter().flatten().map(|l| l.type_id).collect();
    assert!(ids.contains(&1) && ids.contains(&279));

    // Made together with the record.
    let note = CreateInput::engagement(Utc::now()).associated(
        contact,
        [AssociationSpec::unlabeled(Note, Contact).unwrap()],
    );
    let note = objects.create(Note, &note).await.unwrap().id;
    let read = associations
        .batch_read(Note, Contact, &[note])
        .await
        .unwrap();
    assert_eq!(read.answered[&note][0].to, contact);
    let read = objects
        .read(Note, note, &ReadOptions::new(), &[Contact])
        .await
        .unwrap();
    assert_eq!(read.associations[0].to, contact);
}

#[tokio::test]
async fn a_unique_property_is_made_once() {
    let portal = Portal::new(json!({})).await;
    let properties = portal.client.properties();
    let group = PropertyGroup {
        name: "ours".to_owned(),
        label: "Ours".to_owned(),
        display_order: -1,
    };
    properties
        .create_group(ObjectType::Contact, &group)
        .await
        .unwrap();
    let groups = properties.groups(ObjectType::Contact).await.unwrap();
    assert!(groups.results.iter().flatten().any(|g| g.name == "ours"));
    let key = NewProperty::text("our_key", "Our key", "ours").unique();
    for _ in 0..2 {
        let ready = properties
            .ensure_unique(ObjectType::Contact, &key, 20, Duration::from_millis(100))
            .await
            .unwrap();
        assert_eq!(ready, UniqueProperty::Ready);
    }
    let plain = NewProperty::text("not_key", "Not a key", "ours");
    properties
        .create(ObjectType::Contact, &plain)
        .await
        .unwrap();
    let there = properties
        .ensure_unique(
            ObjectType::Contact,
            &plain.clone().unique(),
            20,
            Duration::from_millis(100),
        )
        .await
        .unwrap();
    assert_eq!(there, UniqueProperty::NotUnique);
    let taken = properties
        .create(ObjectType::Contact, &plain)
        .await
        .unwrap_err();
    assert!(matches!(taken, Error::Conflict { .. }), "{taken:?}");

    // Records by that key: made once, found by it, not in a URL.
    let objects = portal.client.objects();
    let input = CreateInput::new([("firstname", "A"), ("our_key", "k-1")]);
    let made = objects.create(ObjectType::Contact, &input).await.unwrap();
    let again = objects
        .create(ObjectType::Contact, &input)
        .await
        .unwrap_err();
    assert!(
        matches!(&again, Error::Conflict { property, .. } if property.as_deref() == Some("our_key")),
        "{again:?}"
    );
    let found = objects
        .find(
            ObjectType::Contact,
            &RecordKey::unique("our_key", "k-1"),
            &ReadOptions::new(),
        )
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, made.id);

    let mut choice = NewProperty::text("choice", "Choice", "ours");
    choice.kind = "enumeration".to_owned();
    choice.field_type = "select".to_owned();
    choice.options = ["a", "b"]
        .map(|value| PropertyOption {
            label: value.to_owned(),
            value: value.to_owned(),
            hidden: false,
            display_order: 0,
        })
        .into();
    let made = properties
        .batch_create(ObjectType::Contact, &[choice, plain])
        .await;
    assert!(matches!(&made.outcomes[0], InputOutcome::Done(p) if p.options.len() == 2));
    assert!(
        matches!(
            &made.outcomes[1],
            InputOutcome::Refused(Error::Conflict { .. })
        ),
        "{made:?}"
    );
    let change = PropertyChange {
        label: Some("New label".to_owned()),
        ..PropertyChange::default()
    };
    let changed = properties
        .update(ObjectType::Contact, "not_key", &change)
        .await
        .unwrap();
    assert_eq!(changed.label, "New label");
    properties
        .archive(ObjectType::Contact, "not_key")
        .await
        .unwrap();
    assert_eq!(
        properties
            .get(ObjectType::Contact, "not_key")
            .await
            .unwrap_err(),
        Error::NotFound
    );
}

#[tokio::test]
async fn lists_owners_pipelines_account() {
    let portal =
        Portal::new(json!({"contacts": 300, "companies": 10, "deals": 5, "lists": 4, "owners": 6}))
            .await;
    let lists = portal.client.lists();
    let searched = lists.search(None, 500).await.unwrap();
    let all = lists.all(&ListQuery::default(), None, 2).await.unwrap();
    assert!(all.next.is_some());
    let rest = lists
        .all(&ListQuery::default(), all.next.as_ref(), 500)
        .await
        .unwrap();
    let ids = |page: &hubspot::Page<hubspot::lists::List>| {
        page.results
            .iter()
            .map(|l| l.as_ref().unwrap().list_id.get())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(&ids(&all) | &ids(&rest), ids(&searched));
    let manual = ListQuery {
        processing_types: vec![ProcessingType::Manual],
        ..ListQuery::default()
    };
    let found = lists.find(&manual, None, 500).await.unwrap();
    assert!(
        found
            .results
            .iter()
            .flatten()
            .all(|l| l.processing_type == "MANUAL")
    );
    let mut compared = 0;
    for list in searched.results.iter().flatten() {
        let one = lists.get(list.list_id).await.unwrap();
        assert_eq!(one.name, list.name);
        let mut by_id = BTreeSet::new();
        let mut after = None;
        loop {
            let page = lists
                .members(list.list_id, after.as_ref(), 250)
                .await
                .unwrap();
            by_id.extend(page.results.iter().flatten().map(|m| m.record_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut joined = BTreeSet::new();
        loop {
            let page = lists
                .members_in_join_order(list.list_id, after.as_ref(), 250)
                .await
                .unwrap();
            joined.extend(page.results.iter().flatten().map(|m| m.record_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(joined, by_id);
        if let (Some(member), "0-1") = (by_id.first(), list.object_type_id.as_str()) {
            let of = lists.of_record(ObjectType::Contact, *member).await.unwrap();
            assert!(
                of.results
                    .iter()
                    .flatten()
                    .any(|m| m.list_id == list.list_id)
            );
            compared += 1;
        }
    }
    assert!(compared > 0, "no list of contacts has members");

    let owners = portal.client.owners();
    let active = owners.list(false, None, 100).await.unwrap();
    let first = active.results[0].as_ref().unwrap();
    assert_eq!(owners.get(first.id, false).await.unwrap().id, first.id);
    assert_eq!(
        owners.get(OwnerId::new(1), false).await.unwrap_err(),
        Error::NotFound
    );

    let pipelines = portal.client.pipelines();
    let page = pipelines.list(ObjectType::Deal).await.unwrap();
    let default = page.results[0].as_ref().unwrap().details().unwrap();
    assert!(default.stages.iter().any(hubspot::pipelines::Stage::is_won));
    assert!(
        default
            .stages
            .iter()
            .any(hubspot::pipelines::Stage::is_lost)
    );

    let details = portal.client.account().details().await.unwrap();
    assert_eq!(details.portal_id.get(), 1);
    assert!(details.time_zone.is_some());
}

/// The consent page is passed in the end-to-end tests; here is what needs no person.
#[tokio::test]
async fn tokens_that_are_not_good() {
    let portal = Portal::new(json!({})).await;
    let oauth = OAuth::new(config(portal.url()), Portal::app()).unwrap();
    let unknown = oauth.introspect(&"no-such-token".into()).await.unwrap();
    assert!(!unknown.active);
    assert_eq!(
        oauth.refresh(&"no-such-token".into()).await.unwrap_err(),
        OAuthError::Revoked
    );
    oauth.revoke(&"no-such-token".into()).await.unwrap();
    let mut wrong = Portal::app();
    wrong.client_secret = "wrong".into();
    let oauth = OAuth::new(config(portal.url()), wrong).unwrap();
    assert!(matches!(
        oauth.refresh(&"no-such-token".into()).await.unwrap_err(),
        OAuthError::Misconfigured(_)
    ));
}

/// A service key has no installation to remove.
#[tokio::test]
async fn an_engagement_needs_its_time() {
    let portal = Portal::new(json!({})).await;
    let objects = portal.client.objects();
    let without = CreateInput::new([("hs_note_body", "text")]);
    let error = objects
        .create(ObjectType::Note, &without)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    let with = CreateInput::engagement(Utc::now()).with("hs_note_body", "text");
    assert!(with.properties.contains_key(TIMESTAMP));
    objects.create(ObjectType::Note, &with).await.unwrap();
}
