//! X1: random operations through the client and the simulator, each answer judged by a reference
//! model that knows neither (`tests/model`).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::TryStreamExt as _;
use hubspot::{
    Client, ClientConfig, Error, InputOutcome, ObjectType, RecordId, StaticToken, Timeouts,
    Unlimited,
    associations::{AssociationSpec, Pair},
    objects::{
        CreateInput, CrmObject, ListRequest, MergeInput, ReadOptions, RecordKey, UpdateInput,
        UpsertInput,
    },
    properties::{NewProperty, PropertyOption},
    search::{Filter, SearchRequest},
};
use model::{Answer, Broken, Decode, Key, Kind, Link, Mismatch, Model, Op, Raw, Refusal, Seen};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

/// Cases and operations a case; a case has a portal of its own.
fn size() -> (u32, usize) {
    if std::env::var("SOAK").is_ok_and(|s| s == "full") {
        (600, 120)
    } else {
        (10, 60)
    }
}

const fn object_type(kind: Kind) -> ObjectType {
    match kind {
        Kind::Contact => ObjectType::Contact,
        Kind::Company => ObjectType::Company,
        Kind::Deal => ObjectType::Deal,
        Kind::Note => ObjectType::Note,
    }
}

fn simulator() -> Url {
    let url = std::env::var("HUBSPOT_SIMULATOR_URL")
        .expect("HUBSPOT_SIMULATOR_URL is not set: run the tests with `cargo dev test`");
    Url::parse(&url).unwrap()
}

async fn control(method: reqwest::Method, path: &str, body: Value) -> Value {
    let url = simulator().join(&format!("/_simulator/{path}")).unwrap();
    let answer = reqwest::Client::new()
        .request(method, url)
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// A portal of its own, with the properties that the model uses.
async fn portal(switches: u8) -> (Client, u64) {
    // Installs the provider of TLS for the client of the control calls too.
    let nobody = Arc::new(StaticToken::new(SecretString::from("")));
    let config = ClientConfig {
        api_url: simulator(),
        app_url: simulator(),
        timeouts: Timeouts::all(Duration::from_secs(30)),
        ..ClientConfig::default()
    };
    let client = Client::new(config, nobody, Arc::new(Unlimited)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let id = 1_000_000_000 + u64::from(now.subsec_nanos());
    // What HubSpot does is not established: the client has to be right either way.
    let switch = |bit: u8| switches & (1 << bit) != 0;
    let settings = json!({
        "portal_id": id, "limits": "off", "search_lag_ms": 0, "auto_companies": false,
        "property_delay_ms": 0, "trace_ids_in_results": switch(0), "empty_as_null": switch(1),
        "batch_read_follows_merges": switch(2), "first_company_is_primary": switch(3),
        "engagement_custom_properties": true,
    });
    control(reqwest::Method::POST, "portals", settings).await;
    let path = format!("portals/{id}/service-keys");
    let key = control(reqwest::Method::POST, &path, json!({})).await;
    let token = SecretString::from(key["token"].as_str().unwrap());
    let client = client.for_portal(Arc::new(StaticToken::new(token)), Arc::new(Unlimited));
    for kind in Kind::ALL {
        let group = match kind {
            Kind::Contact => "contactinformation",
            Kind::Company => "companyinformation",
            Kind::Deal => "dealinformation",
            Kind::Note => "engagement",
        };
        let key = NewProperty::text("model_key", "Model key", group).unique();
        let mut wanted = vec![key];
        if kind == Kind::Contact {
            let mut choice = NewProperty::text("model_choice", "Model choice", group);
            choice.kind = "enumeration".to_owned();
            choice.field_type = "checkbox".to_owned();
            choice.options = ["red", "green", "blue"]
                .map(|value| PropertyOption {
                    label: value.to_owned(),
                    value: value.to_owned(),
                    hidden: false,
                    display_order: 0,
                })
                .into();
            let mut number = NewProperty::text("model_number", "Model number", group);
            number.kind = "number".to_owned();
            number.field_type = "number".to_owned();
            wanted.extend([choice, number]);
        }
        for property in wanted {
            client
                .properties()
                .create(object_type(kind), &property)
                .await
                .unwrap_or_else(|e| {
                    panic!(
                        "{}: {e:?} {:?}",
                        property.name,
                        e.detail().map(|d| d.expose())
                    )
                });
            visible(&client, object_type(kind), &property.name).await;
        }
    }
    (client, id)
}

/// New properties are to be seen after a while.
async fn visible(client: &Client, object_type: ObjectType, name: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while let Err(error) = client.properties().get(object_type, name).await {
        assert_eq!(error, Error::NotFound);
        assert!(tokio::time::Instant::now() < deadline, "{name} never shows");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn seen(object: &CrmObject) -> Seen {
    Seen {
        id: object.id.get(),
        values: object
            .values()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
        updated: object.updated_at.timestamp_millis(),
        archived: object.archived,
    }
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::NotFound => Refusal::NotFound,
        Error::NotInAnswer => Refusal::NotMentioned,
        Error::Conflict { existing, .. } => Refusal::Conflict(existing.map(RecordId::get)),
        Error::Invalid { problems, .. } => {
            Refusal::Invalid(problems.first().and_then(|p| p.property.clone()))
        }
        other => Refusal::Other(format!("{other:?}")),
    }
}

fn outcome<T, U>(outcome: &InputOutcome<T>, show: impl Fn(&T) -> U) -> Result<U, Refusal> {
    match outcome {
        InputOutcome::Done(done) => Ok(show(done)),
        InputOutcome::Refused(error) => Err(refusal(error)),
        other => Err(Refusal::Other(
            match other {
                InputOutcome::NotSent => "not sent",
                _ => "outcome unknown",
            }
            .to_owned(),
        )),
    }
}

fn key(key: &Key) -> RecordKey {
    match key {
        Key::Id(id) => RecordKey::Id(RecordId::new(*id)),
        Key::Email(email) => RecordKey::email(email.clone()),
        Key::Ours(value) => RecordKey::unique("model_key", value.clone()),
    }
}

/// Links by their types, with their places, so that each is one batch call.
fn by_types(links: &[Link]) -> BTreeMap<(Kind, Kind), Vec<(usize, Pair)>> {
    let mut all: BTreeMap<(Kind, Kind), Vec<(usize, Pair)>> = BTreeMap::new();
    for (place, link) in links.iter().enumerate() {
        let pair = Pair {
            from: RecordId::new(link.from),
            to: RecordId::new(link.to),
        };
        all.entry((link.from_kind, link.to_kind))
            .or_default()
            .push((place, pair));
    }
    all
}

/// Carries out an operation.
async fn perform(client: &Client, op: &Op) -> Result<Answer, Error> {
    let objects = client.objects();
    let full = |kind: Kind| {
        ReadOptions::new().properties(
            Model::properties(kind)
                .iter()
                .copied()
                .chain(["hs_merged_object_ids"]),
        )
    };
    Ok(match op {
        Op::Create {
            kind,
            values,
            company,
        } => {
            let mut input = CreateInput::new(values.clone());
            if let Some(company) = company {
                let spec = AssociationSpec::unlabeled(object_type(*kind), ObjectType::Company);
                input = input.associated(RecordId::new(*company), [spec.unwrap()]);
            }
            let made = objects.create(object_type(*kind), &input).await;
            Answer::Record(made.map(|o| seen(&o)).map_err(|e| refusal(&e)))
        }
        Op::Update { kind, id, values } => {
            let done = objects
                .update(object_type(*kind), RecordId::new(*id), values)
                .await;
            Answer::Record(done.map(|o| seen(&o)).map_err(|e| refusal(&e)))
        }
        Op::Get { kind, id } => {
            let read = objects
                .read(object_type(*kind), RecordId::new(*id), &full(*kind), &[])
                .await;
            Answer::Record(read.map(|o| seen(&o)).map_err(|e| refusal(&e)))
        }
        Op::Archive { kind, id } => {
            let done = objects
                .archive(object_type(*kind), RecordId::new(*id))
                .await;
            Answer::Done(done.map_err(|e| refusal(&e)))
        }
        Op::BatchCreate { kind, inputs } => {
            let inputs: Vec<CreateInput> =
                inputs.iter().map(|v| CreateInput::new(v.clone())).collect();
            let made = objects.batch_create(object_type(*kind), &inputs).await;
            Answer::Records(made.outcomes.iter().map(|o| outcome(o, seen)).collect())
        }
        Op::BatchUpdate { kind, inputs } => {
            let inputs: Vec<UpdateInput> = inputs
                .iter()
                .map(|(id, values)| UpdateInput {
                    key: RecordKey::Id(RecordId::new(*id)),
                    properties: values.clone(),
                })
                .collect();
            let done = objects.batch_update(object_type(*kind), &inputs).await;
            Answer::Records(done.outcomes.iter().map(|o| outcome(o, seen)).collect())
        }
        Op::BatchUpsert {
            kind,
            by_email,
            inputs,
        } => {
            let inputs: Vec<UpsertInput> = inputs
                .iter()
                .map(|(value, values)| UpsertInput {
                    property: if *by_email { "email" } else { "model_key" }.to_owned(),
                    value: value.clone(),
                    properties: values.clone(),
                })
                .collect();
            let done = objects.batch_upsert(object_type(*kind), &inputs).await;
            Answer::Upserts(
                done.outcomes
                    .iter()
                    .map(|o| {
                        outcome(o, |u| model::Upserted {
                            seen: seen(&u.object),
                            created: u.created,
                        })
                    })
                    .collect(),
            )
        }
        Op::BatchRead { kind, keys } => {
            let keys: Vec<RecordKey> = keys.iter().map(key).collect();
            let read = objects
                .read_each(object_type(*kind), &keys, &full(*kind))
                .await;
            Answer::Records(read.outcomes.iter().map(|o| outcome(o, seen)).collect())
        }
        Op::BatchArchive { kind, ids } => {
            let ids: Vec<RecordId> = ids.iter().map(|id| RecordId::new(*id)).collect();
            let done = objects.batch_archive(object_type(*kind), &ids).await;
            Answer::Dones(done.outcomes.iter().map(|o| outcome(o, |()| ())).collect())
        }
        Op::Merge {
            kind,
            primary,
            other,
        } => {
            let input = MergeInput {
                primary_object_id: RecordId::new(*primary),
                object_id_to_merge: RecordId::new(*other),
            };
            let merged = match objects.merge(object_type(*kind), input).await {
                Ok(merged) => {
                    objects
                        .read(object_type(*kind), merged.id, &full(*kind), &[])
                        .await
                }
                Err(error) => Err(error),
            };
            Answer::Record(merged.map(|o| seen(&o)).map_err(|e| refusal(&e)))
        }
        Op::Erase { id } => {
            let done = client.contacts().gdpr_delete(RecordId::new(*id)).await;
            Answer::Done(done.map_err(|e| refusal(&e)))
        }
        Op::Associate { links } | Op::Dissociate { links } => {
            let make = matches!(op, Op::Associate { .. });
            let mut all: Vec<Result<(), Refusal>> = vec![Ok(()); links.len()];
            for ((from, to), placed) in by_types(links) {
                let (from, to) = (object_type(from), object_type(to));
                let pairs: Vec<Pair> = placed.iter().map(|(_, pair)| *pair).collect();
                let outcomes: Vec<Result<(), Refusal>> = if make {
                    let made = client
                        .associations()
                        .batch_create_default(from, to, &pairs)
                        .await;
                    made.outcomes.iter().map(|o| outcome(o, |_| ())).collect()
                } else {
                    let gone = client.associations().batch_archive(from, to, &pairs).await;
                    gone.outcomes.iter().map(|o| outcome(o, |()| ())).collect()
                };
                for ((place, _), one) in placed.iter().zip(outcomes) {
                    all[*place] = one;
                }
            }
            Answer::Dones(all)
        }
        Op::Associations { from, to, ids } => {
            let ids: Vec<RecordId> = ids.iter().map(|id| RecordId::new(*id)).collect();
            let read = client
                .associations()
                .batch_read(object_type(*from), object_type(*to), &ids)
                .await?;
            Answer::Links(
                read.answered
                    .into_iter()
                    .flat_map(|(id, all)| all.into_iter().map(move |a| (id.get(), a.to.get())))
                    .collect(),
            )
        }
        Op::Search { kind, filter } => {
            let filter = match filter {
                model::Filter::Equals(name, value) => Filter::eq(*name, value.clone()),
                model::Filter::OneOf(name, values) => Filter::in_texts(*name, values.clone()),
                model::Filter::Known(name) => Filter::known(*name),
                model::Filter::Unknown(name) => Filter::unknown(*name),
                model::Filter::IdAfter(id) => Filter::id_after(RecordId::new(*id)),
                model::Filter::OfContact(id) => {
                    Filter::associated_with(ObjectType::Contact, RecordId::new(*id))
                }
            };
            let request = SearchRequest::new(object_type(*kind))
                .group([filter])
                .properties(Model::properties(*kind).iter().copied())
                .limit(3);
            let pages: Vec<_> = client.search().pages(request, None).try_collect().await?;
            page(pages)
        }
        Op::List { kind, archived } => {
            let mut request = ListRequest::new(object_type(*kind))
                .properties(Model::properties(*kind).iter().copied())
                .limit(3);
            if *archived {
                request = request.archived();
            }
            let pages: Vec<_> = objects.pages(request).try_collect().await?;
            page(pages)
        }
    })
}

fn page(pages: Vec<hubspot::Page<CrmObject>>) -> Answer {
    Answer::Page(
        pages
            .into_iter()
            .flat_map(|p| p.results)
            .map(|o| seen(&o.expect("a readable record")))
            .collect(),
    )
}

/// Looks at everything that there is.
fn final_look(model: &Model) -> Vec<Op> {
    let mut ops = Vec::new();
    for kind in Kind::ALL {
        ops.push(Op::List {
            kind,
            archived: false,
        });
        ops.push(Op::List {
            kind,
            archived: true,
        });
        ops.extend(
            model
                .merged_away(kind)
                .into_iter()
                .map(|id| Op::Get { kind, id }),
        );
        for to in Kind::ALL {
            let ids = model.live_ids(kind);
            // Notes and deals are associated in other ways than these.
            if kind != to && !ids.is_empty() {
                ops.push(Op::Associations {
                    from: kind,
                    to,
                    ids,
                });
            }
        }
    }
    ops
}

type Log = Vec<(Op, Answer)>;

/// Carries out the operations on a portal of its own, judged as they come.
async fn drive(switches: u8, raws: &[Raw]) -> (Log, Result<(), Mismatch>) {
    let (client, portal) = portal(switches).await;
    let mut model = Model::new(None);
    let mut log: Log = Vec::new();
    let mut verdict = Ok(());
    let mut look: Option<std::vec::IntoIter<Op>> = None;
    let mut raws = raws.iter();
    loop {
        let op = match raws.next() {
            Some(raw) => Decode::op(&model, *raw),
            None => {
                let rest = look.get_or_insert_with(|| final_look(&model).into_iter());
                match rest.next() {
                    Some(op) => op,
                    None => break,
                }
            }
        };
        match perform(&client, &op).await {
            Ok(answer) => {
                let judged = model.check(&op, &answer);
                log.push((op, answer));
                if judged.is_err() {
                    verdict = judged;
                    break;
                }
            }
            Err(error) => {
                verdict = Err(Mismatch(format!("{op:?}: {error:?}")));
                break;
            }
        }
    }
    control(
        reqwest::Method::DELETE,
        &format!("portals/{portal}"),
        Value::Null,
    )
    .await;
    (log, verdict)
}

fn raws(most: usize) -> impl Strategy<Value = Vec<Raw>> {
    let raw = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u64>()).prop_map(
        |(what, kind, many, seed)| Raw {
            what,
            kind,
            many,
            seed,
        },
    );
    prop::collection::vec(raw, most / 2..most)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The last operations of a log, for a person.
fn tail(log: &Log) -> String {
    log.iter()
        .rev()
        .take(6)
        .rev()
        .map(|(op, answer)| format!("{op:?}\n    -> {answer:?}\n"))
        .collect()
}

#[test]
fn client_and_simulator_keep_to_the_model() {
    let runtime = runtime();
    let (cases, most) = size();
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 80,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&(any::<u8>(), raws(most)), |(switches, raws)| {
        let (log, verdict) = runtime.block_on(drive(switches, &raws));
        verdict
            .map_err(|mismatch| TestCaseError::fail(format!("{mismatch}\nafter\n{}", tail(&log))))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, (switches, raws))) => {
            panic!(
                "{why}\nsmallest: {} operations, switches {switches:#b}",
                raws.len()
            )
        }
        Err(other) => panic!("{other}"),
    }
}

/// The same answers, judged by a model with one rule wrong: each wrong rule shows. So the test above
/// looks at every one of them.
#[test]
fn a_model_with_a_rule_broken_on_purpose_objects() {
    let runtime = runtime();
    // The same operations each time: what is shown here is the judge, not the judged.
    let mut runner = TestRunner::deterministic();
    let mut unseen: Vec<Broken> = Broken::ALL.to_vec();
    for switches in 0..30 {
        let raws = raws(160).new_tree(&mut runner).unwrap().current();
        let (log, verdict) = runtime.block_on(drive(switches, &raws));
        assert_eq!(verdict, Ok(()), "{}", tail(&log));
        unseen.retain(|rule| {
            let mut model = Model::new(Some(*rule));
            log.iter()
                .all(|(op, answer)| model.check(op, answer).is_ok())
        });
        if unseen.is_empty() {
            return;
        }
    }
    panic!("not noticed: {unseen:?}");
}
