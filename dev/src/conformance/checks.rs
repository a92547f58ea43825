//! The checks, a function for each fact or a few that share records.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use chrono::Utc;
use hubspot::{
    Error, FieldCode, InputOutcome, ObjectType, RatePolicy, RecordId,
    associations::{AssociationSpec, AssociationType, Pair},
    objects::{
        CreateInput, CrmObject, ListRequest, MergeInput, ReadOptions, RecordKey, UpdateInput,
        UpsertInput,
    },
    properties::{NewProperty, UniqueProperty},
    search::{Filter, SearchRequest},
};
use reqwest::Method;
use serde_json::json;

use super::{Kind, Run};

/// All of them, one after the other.
pub(super) async fn all(run: &mut Run) {
    contacts(run).await;
    upserts(run).await;
    updates(run).await;
    lifecycle(run).await;
    merges(run).await;
    archives(run).await;
    inline_associations(run).await;
    first_company(run).await;
    trace_ids(run).await;
    engagement_keys(run).await;
    searches(run).await;
    pages(run).await;
    limits(run).await;
    for (fact, why) in [
        (
            "an access token right after the app was uninstalled",
            "needs an installed app",
        ),
        ("the webhooks journal at an offset too old", "not used"),
    ] {
        run.tell(Kind::NotChecked, fact, "", Ok(why.to_owned()));
    }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn values<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

impl Run {
    async fn create(
        &mut self,
        object_type: ObjectType,
        input: &CreateInput,
    ) -> anyhow::Result<CrmObject> {
        let made = self.client.objects().create(object_type, input).await?;
        self.made.push((object_type, made.id));
        Ok(made)
    }

    async fn contact(&mut self, who: &str) -> anyhow::Result<CrmObject> {
        let email = self.email(who);
        let input = CreateInput::new([("email", email.as_str()), ("firstname", who)]);
        self.create(ObjectType::Contact, &input).await
    }

    /// Looks until search finds the record; how long it took.
    async fn until_found(
        &self,
        object_type: ObjectType,
        id: RecordId,
    ) -> anyhow::Result<(Duration, CrmObject)> {
        let began = Instant::now();
        let request = SearchRequest::new(object_type)
            .group([Filter::eq("hs_object_id", id.to_string())])
            .properties(["hs_object_id", "hs_merged_object_ids", "phone"]);
        loop {
            let page = self.client.search().run(&request).await;
            match page {
                Ok(page) => {
                    if let Some(Ok(found)) = page.results.into_iter().next() {
                        return Ok((began.elapsed(), found));
                    }
                }
                Err(Error::RateLimited { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            ensure!(
                began.elapsed() < self.target.patience,
                "search does not find it within {:?}",
                self.target.patience
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn contacts(run: &mut Run) {
    let seen = async {
        let made = run.contact("conflict").await?;
        let email = run.email("CONFLICT");
        let again = CreateInput::new([("email", email)]);
        let alone = run
            .client
            .objects()
            .create(ObjectType::Contact, &again)
            .await;
        let batch = run
            .client
            .objects()
            .batch_create(ObjectType::Contact, &[again])
            .await;
        let named = |error: Option<Error>| match error {
            Some(Error::Conflict { existing, .. }) => existing == Some(made.id),
            _ => false,
        };
        let alone = named(alone.err());
        let batch = named(
            batch
                .outcomes
                .into_iter()
                .next()
                .and_then(InputOutcome::refused),
        );
        let options = ReadOptions::new().properties(["phone"]);
        let empty = run
            .client
            .objects()
            .read(ObjectType::Contact, made.id, &options, &[])
            .await?;
        let empty = match empty.values().get("phone") {
            None => "left out",
            Some(None) => "null",
            Some(Some(_)) => "a value",
        };
        anyhow::Ok((yes(alone), yes(batch), empty.to_owned()))
    }
    .await;
    let (alone, batch, empty) = split3(seen);
    run.tell(
        Kind::ReliedUpon,
        "an e-mail that is taken, in other case: the conflict names its contact",
        "yes",
        alone,
    );
    run.tell(
        Kind::ReliedUpon,
        "the same in a batch with trace ids",
        "yes",
        batch,
    );
    run.tell(Kind::Open, "a known but empty property", "null", empty);
}

fn split2(
    both: anyhow::Result<(String, String)>,
) -> (anyhow::Result<String>, anyhow::Result<String>) {
    match both {
        Ok((a, b)) => (Ok(a), Ok(b)),
        Err(error) => {
            let text = format!("{error:#}");
            (Err(error), Err(anyhow::anyhow!(text)))
        }
    }
}

type Three = (
    anyhow::Result<String>,
    anyhow::Result<String>,
    anyhow::Result<String>,
);

fn split3(all: anyhow::Result<(String, String, String)>) -> Three {
    match all {
        Ok((a, b, c)) => (Ok(a), Ok(b), Ok(c)),
        Err(error) => {
            let text = format!("{error:#}");
            (
                Err(error),
                Err(anyhow::anyhow!(text.clone())),
                Err(anyhow::anyhow!(text)),
            )
        }
    }
}

async fn upserts(run: &mut Run) {
    let seen = async {
        let good = run.email("upsert");
        let input = |value: &str| UpsertInput {
            property: "email".to_owned(),
            value: value.to_owned(),
            properties: values([("firstname", "Upsert")]),
        };
        run.observer.take();
        let done = run
            .client
            .objects()
            .batch_upsert(
                ObjectType::Contact,
                &[input(&good), input("not an address")],
            )
            .await;
        let statuses = run.observer.statuses();
        for outcome in &done.outcomes {
            if let InputOutcome::Done(upserted) = outcome {
                run.made.push((ObjectType::Contact, upserted.object.id));
            }
        }
        let [first, second] = done.outcomes.as_slice() else {
            bail!("two inputs, {} outcomes", done.outcomes.len());
        };
        let told = matches!(first, InputOutcome::Done(u) if u.created == Some(true))
            && matches!(second, InputOutcome::Refused(Error::Invalid { .. }));
        Ok((
            yes(told),
            format!("{}", statuses.first().copied().unwrap_or(0)),
        ))
    }
    .await;
    let (told, status) = split2(seen);
    run.tell(
        Kind::ReliedUpon,
        "upsert by e-mail: the good row is created, the bad one refused",
        "yes",
        told,
    );
    run.tell(
        Kind::Open,
        "upsert by e-mail with a bad address among good ones: status",
        "207",
        status,
    );
}

async fn updates(run: &mut Run) {
    for (object_type, read_only, unknown) in [
        (
            ObjectType::Contact,
            "a read-only property on update of a contact",
            "an unknown property on update of a contact",
        ),
        (
            ObjectType::Note,
            "a read-only property on update of a note",
            "an unknown property on update of a note",
        ),
    ] {
        let made = match object_type {
            ObjectType::Contact => run.contact("update").await,
            _ => {
                run.create(object_type, &CreateInput::engagement(Utc::now()))
                    .await
            }
        };
        let made = made.map(|o| o.id).map_err(|e| format!("{e:#}"));
        for (fact, name) in [
            (read_only, "hs_object_id"),
            (unknown, "no_such_property_xyz"),
        ] {
            let seen = match &made {
                Ok(id) => answer_of_update(run, object_type, *id, name).await,
                Err(why) => Err(anyhow::anyhow!(why.clone())),
            };
            run.tell(Kind::Open, fact, "refused with its code", seen);
        }
    }
}

async fn answer_of_update(
    run: &Run,
    object_type: ObjectType,
    id: RecordId,
    name: &str,
) -> anyhow::Result<String> {
    let done = run
        .client
        .objects()
        .update(object_type, id, &values([(name, "1")]))
        .await;
    Ok(match done {
        Ok(_) => "ignored".to_owned(),
        Err(Error::Invalid { problems, .. })
            if problems.iter().any(|p| {
                matches!(
                    p.code,
                    FieldCode::ReadOnlyValue | FieldCode::PropertyDoesntExist
                )
            }) =>
        {
            "refused with its code".to_owned()
        }
        Err(error) => format!("{error}"),
    })
}

async fn lifecycle(run: &mut Run) {
    let seen = async {
        let email = run.email("lifecycle");
        let input = CreateInput::new([("email", email.as_str()), ("lifecyclestage", "customer")]);
        let made = run.create(ObjectType::Contact, &input).await?;
        let objects = run.client.objects();
        let done = objects
            .update(
                ObjectType::Contact,
                made.id,
                &values([("lifecyclestage", "lead")]),
            )
            .await;
        let read = objects
            .get(ObjectType::Contact, made.id, &["lifecyclestage"])
            .await?;
        Ok(match (done, read.property("lifecyclestage").as_deref()) {
            (Err(error), _) => format!("{error}"),
            (Ok(_), Some("customer")) => "silently ignored".to_owned(),
            (Ok(_), Some("lead")) => "accepted".to_owned(),
            (Ok(_), other) => format!("{other:?}"),
        })
    }
    .await;
    run.tell(
        Kind::Open,
        "lifecyclestage written backwards",
        "silently ignored",
        seen,
    );
}

async fn merges(run: &mut Run) {
    let seen = async {
        let first = run.contact("merge1").await?.id;
        let second = run.contact("merge2").await?.id;
        let input = MergeInput {
            primary_object_id: first,
            object_id_to_merge: second,
        };
        let merged = run
            .client
            .objects()
            .merge(ObjectType::Contact, input)
            .await?;
        run.made.retain(|(_, id)| *id != first && *id != second);
        run.made.push((ObjectType::Contact, merged.id));
        let objects = run.client.objects();
        let mut leads = merged.id != first && merged.id != second;
        for old in [first, second] {
            let read = objects.get(ObjectType::Contact, old, &[]).await?;
            leads &= read.id == merged.id;
        }
        let updates = [first, merged.id].map(|id| UpdateInput {
            key: RecordKey::Id(id),
            properties: values([("firstname", "Merged")]),
        });
        let done = objects.batch_update(ObjectType::Contact, &updates).await;
        let dropped = done.outcomes[0].clone().refused() == Some(Error::NotInAnswer)
            && matches!(done.outcomes[1], InputOutcome::Done(_));
        let (_, found) = run.until_found(ObjectType::Contact, merged.id).await?;
        let ids = found.merged_ids();
        let named = ids.contains(&first) && ids.contains(&second);
        Ok((yes(leads), yes(dropped), yes(named)))
    }
    .await;
    let (leads, dropped, named) = split3(seen);
    run.tell(
        Kind::ReliedUpon,
        "a merge makes a new id, and both old ones lead to it",
        "yes",
        leads,
    );
    run.tell(
        Kind::ReliedUpon,
        "batch update drops an id that was merged away, without a word",
        "yes",
        dropped,
    );
    run.tell(
        Kind::Open,
        "search returns hs_merged_object_ids of contacts",
        "yes",
        named,
    );
}

async fn archives(run: &mut Run) {
    let seen = async {
        let made = run.contact("archive").await?;
        let objects = run.client.objects();
        objects.archive(ObjectType::Contact, made.id).await?;
        let options = ReadOptions::new().archived();
        let read = objects
            .read(ObjectType::Contact, made.id, &options, &[])
            .await?;
        ensure!(read.archived, "it is not archived");
        let gone = objects.get(ObjectType::Contact, made.id, &[]).await;
        ensure!(
            gone.as_ref().err() == Some(&Error::NotFound),
            "it is read all the same"
        );
        Ok(yes(read.updated_at == made.updated_at))
    }
    .await;
    run.tell(
        Kind::ReliedUpon,
        "archiving leaves last-modified as it was",
        "yes",
        seen,
    );
}

async fn inline_associations(run: &mut Run) {
    let seen = async {
        let domain = format!("{}.example.com", run.target.prefix.replace('_', "-"));
        let company = CreateInput::new([("domain", domain.as_str())]);
        let company = run.create(ObjectType::Company, &company).await?.id;
        let spec = AssociationSpec::unlabeled(ObjectType::Contact, ObjectType::Company)
            .context("no such type")?;
        let email = run.email("inline");
        let input = CreateInput::new([("email", email)]).associated(company, [spec]);
        let contact = run.create(ObjectType::Contact, &input).await?.id;
        let read = run
            .client
            .associations()
            .batch_read(ObjectType::Contact, ObjectType::Company, &[contact])
            .await?;
        Ok(yes(read
            .answered
            .get(&contact)
            .is_some_and(|all| all.iter().any(|a| a.to == company))))
    }
    .await;
    run.tell(
        Kind::Open,
        "associations given with a new contact are made",
        "yes",
        seen,
    );
}

async fn first_company(run: &mut Run) {
    let seen = async {
        let name = run.name("first_company");
        let company = CreateInput::new([("name", name.as_str())]);
        let to = run.create(ObjectType::Company, &company).await?.id;
        // Without an e-mail, so that HubSpot finds no company for it by itself.
        let person = CreateInput::new([("firstname", name.as_str())]);
        let from = run.create(ObjectType::Contact, &person).await?.id;
        let associations = run.client.associations();
        associations
            .create_default(ObjectType::Contact, ObjectType::Company, Pair { from, to })
            .await?;
        let read = associations
            .batch_read(ObjectType::Contact, ObjectType::Company, &[from])
            .await?;
        let all = read.answered.get(&from).context("it is not associated")?;
        Ok(yes(all.iter().any(|a| {
            a.to == to && a.types.iter().any(AssociationType::is_primary)
        })))
    }
    .await;
    run.tell(
        Kind::Open,
        "a contact's first company becomes its primary one",
        "yes",
        seen,
    );
}

async fn trace_ids(run: &mut Run) {
    let seen = async {
        let trace = run.name("trace");
        let path = format!(
            "/crm/objects/{}/contacts/batch/create",
            hubspot::API_VERSION
        );
        let input =
            json!({"objectWriteTraceId": trace, "properties": {"email": run.email("trace")}});
        let (status, body) = run
            .raw(Method::POST, &path, Some(json!({"inputs": [input]})))
            .await?;
        let result = &body["results"][0];
        let id = result["id"].as_str().and_then(|id| id.parse().ok());
        let id = id.with_context(|| format!("nothing was made: {status}"))?;
        run.made.push((ObjectType::Contact, RecordId::new(id)));
        Ok(yes(result["objectWriteTraceId"] == trace.as_str()))
    }
    .await;
    run.tell(
        Kind::Open,
        "results of a batch carry the trace ids of their inputs",
        "yes",
        seen,
    );
}

/// Makes a unique property of engagements of this type.
async fn engagement_key(
    run: &mut Run,
    object_type: ObjectType,
    name: &str,
) -> Result<UniqueProperty, Error> {
    let groups = run.client.properties().groups(object_type).await;
    let group = groups
        .ok()
        .and_then(|page| page.results.into_iter().flatten().next())
        .map_or_else(|| "engagement".to_owned(), |g| g.name);
    let property = NewProperty::text(name, name, group).unique();
    let ready = run
        .client
        .properties()
        .ensure_unique(object_type, &property, 20, Duration::from_millis(250))
        .await;
    if matches!(ready, Ok(UniqueProperty::Ready | UniqueProperty::NotUnique)) {
        run.properties.push((object_type, name.to_owned()));
    }
    ready
}

async fn engagement_keys(run: &mut Run) {
    let name = run.name("key");
    let ready = engagement_key(run, ObjectType::Note, &name).await;
    let seen = match &ready {
        Ok(UniqueProperty::Refused(_)) => Ok("refused".to_owned()),
        Ok(other) => Ok(format!("{other:?}")),
        Err(error) => Err(error.clone().into()),
    };
    run.tell(Kind::Open, "a unique property on notes", "refused", seen);
    let began = Instant::now();
    let ready = engagement_key(run, ObjectType::Call, &name).await;
    let took = began.elapsed();
    let seen = match &ready {
        Ok(UniqueProperty::Ready) => Ok("yes".to_owned()),
        Ok(other) => Ok(format!("{other:?}")),
        Err(error) => Err(error.clone().into()),
    };
    run.tell(
        Kind::Open,
        "a unique property can be made on calls",
        "yes",
        seen,
    );
    if !matches!(ready, Ok(UniqueProperty::Ready)) {
        return;
    }
    run.tell(
        Kind::Open,
        "a new property is to be seen within two seconds",
        "yes",
        Ok(yes(took < Duration::from_secs(2))),
    );
    let seen = async {
        let input = CreateInput::engagement(Utc::now()).with(&name, "k-1");
        let first = run.create(ObjectType::Call, &input).await?;
        let again = run.client.objects().create(ObjectType::Call, &input).await;
        if let Ok(second) = &again {
            run.made.push((ObjectType::Call, second.id));
        }
        let refused = matches!(again, Err(Error::Conflict { .. }));
        let upsert = UpsertInput {
            property: name.clone(),
            value: "k-1".to_owned(),
            properties: values([("hs_call_body", "later")]),
        };
        let done = run
            .client
            .objects()
            .batch_upsert(ObjectType::Call, &[upsert])
            .await;
        let same = matches!(&done.outcomes[0], InputOutcome::Done(u) if u.object.id == first.id);
        Ok((yes(refused), yes(same)))
    }
    .await;
    let (refused, same) = split2(seen);
    run.tell(
        Kind::Open,
        "a second call with the same key is refused as a conflict",
        "yes",
        refused,
    );
    run.tell(
        Kind::Open,
        "an upsert by the key changes the first call",
        "yes",
        same,
    );
}

async fn searches(run: &mut Run) {
    let seen = async {
        let made = run.contact("search").await?;
        let (took, _) = run.until_found(ObjectType::Contact, made.id).await?;
        Ok(yes(took < Duration::from_secs(120)))
    }
    .await;
    run.tell(
        Kind::ReliedUpon,
        "search knows a new contact within two minutes",
        "yes",
        seen,
    );
    let path = format!("/crm/objects/{}/contacts/search", hubspot::API_VERSION);
    let filter = json!({"propertyName": "email", "operator": "HAS_PROPERTY"});
    let groups: Vec<_> = (0..6).map(|_| json!({"filters": [filter]})).collect();
    for (fact, body) in [
        (
            "a search beyond the 10,000th result",
            json!({"limit": 100, "after": "9950", "filterGroups": []}),
        ),
        (
            "a search with six filter groups",
            json!({"limit": 1, "filterGroups": groups}),
        ),
        (
            "a search of more than 3,000 characters",
            json!({"limit": 1, "query": "x".repeat(3_001)}),
        ),
    ] {
        let seen = run
            .raw(Method::POST, &path, Some(body))
            .await
            .map(|(status, body)| {
                format!("{status} {}", body["category"].as_str().unwrap_or_default())
            });
        run.tell(Kind::Open, fact, "400 VALIDATION_ERROR", seen);
        // The search limit is counted by the second.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn pages(run: &mut Run) {
    let path = format!("/crm/owners/{}?limit=500", hubspot::API_VERSION);
    let seen = run
        .raw(Method::GET, &path, None)
        .await
        .map(|(status, _)| status.to_string());
    run.tell(Kind::Open, "owners, 500 a page: status", "200", seen);
    let lists = run.client.lists().search(None, 1).await;
    let list = lists
        .ok()
        .and_then(|page| page.results.into_iter().flatten().next());
    match list {
        Some(list) => {
            let path = format!(
                "/crm/lists/{}/{}/memberships/join-order?limit=500",
                hubspot::API_VERSION,
                list.list_id
            );
            let seen = run
                .raw(Method::GET, &path, None)
                .await
                .map(|(status, _)| status.to_string());
            run.tell(
                Kind::Open,
                "members in join order, 500 a page: status",
                "400",
                seen,
            );
        }
        None => run.tell(
            Kind::NotChecked,
            "members in join order, 500 a page: status",
            "400",
            Ok("the account has no list".to_owned()),
        ),
    }
    let seen = async {
        let objects = run.client.objects();
        let mut request = ListRequest::new(ObjectType::Contact).limit(2);
        let mut last = RecordId::new(0);
        for _ in 0..3 {
            let page = objects.list(&request).await?;
            for record in page.results {
                let record = record.map_err(|bad| anyhow::anyhow!("{:?}", bad.problem))?;
                if record.id <= last {
                    return Ok("no".to_owned());
                }
                last = record.id;
            }
            let Some(next) = page.next else { break };
            let id: u64 = next.as_str().parse().unwrap_or(0);
            if id <= last.get() {
                return Ok("no".to_owned());
            }
            request = request.after(Some(next));
        }
        Ok("yes".to_owned())
    }
    .await;
    run.tell(
        Kind::ReliedUpon,
        "lists come in the order of ids, and `after` is the next id",
        "yes",
        seen,
    );
}

/// Last, because it uses up a second of search.
async fn limits(run: &mut Run) {
    run.observer.take();
    let search = run.client.search();
    let request = SearchRequest::new(ObjectType::Contact).limit(1);
    let all = futures::future::join_all((0..15).map(|_| search.run(&request))).await;
    let observed = run.observer.take();
    let limited: Vec<_> = observed.iter().filter(|o| o.status == 429).collect();
    let retry_after = match limited.as_slice() {
        [] => "no 429 came".to_owned(),
        some => yes(some.iter().any(|o| o.retry_after.is_some())),
    };
    run.tell(Kind::Open, "a 429 has Retry-After", "no", Ok(retry_after));
    let headers = observed
        .iter()
        .any(|o| o.limit.is_some() || o.remaining.is_some());
    run.tell(
        Kind::Open,
        "search answers have rate-limit headers",
        "no",
        Ok(yes(headers)),
    );
    let policy = all.into_iter().find_map(|one| match one {
        Err(Error::RateLimited { policy, .. }) => Some(policy),
        _ => None,
    });
    let seen = match policy {
        None => "no 429 came through".to_owned(),
        Some(RatePolicy::Secondly) => "SECONDLY".to_owned(),
        Some(other) => format!("{other:?}"),
    };
    run.tell(
        Kind::Open,
        "the limit that a 429 of search names",
        "SECONDLY",
        Ok(seen),
    );
}
