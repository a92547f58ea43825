//! Batches of writes, over any number of inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    BATCH, CreateInput, CrmObject, Objects,
    envelope::{MultiStatus, reply_of},
    keys::{RecordKey, is_named, unique_key},
    path,
};
use crate::{
    batch::{BatchInputs, BatchOutcome, Doing, InputOutcome, Plan, Reply},
    budget::Bucket,
    client::{Client, Kind},
    error::{Error, ItemError},
    ids::{ObjectType, RecordId},
};

/// A record to update.
#[derive(Clone)]
pub struct UpdateInput {
    /// Which.
    pub key: RecordKey,
    /// Names to values; an empty value clears.
    pub properties: BTreeMap<String, String>,
}

/// A record to update, or to create where there is none.
#[derive(Clone)]
pub struct UpsertInput {
    /// The unique property to match by; `email` for contacts.
    pub property: String,
    /// Its value.
    pub value: String,
    /// Names to values; an empty value clears.
    pub properties: BTreeMap<String, String>,
}

impl UpsertInput {
    /// The key among the properties, so that the answer shows it and can be tied to the input. Not
    /// an e-mail: the contact may be found by an additional one, which is not to become its first.
    fn with_key(&self) -> Self {
        let mut input = self.clone();
        if input.property != "email" {
            input
                .properties
                .entry(input.property.clone())
                .or_insert_with(|| self.value.clone());
        }
        input
    }
}

macro_rules! without_values {
    ($name:ident, $key:ident) => {
        /// Values are personal data: they are not shown.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field(stringify!($key), &self.$key)
                    .field("properties", &self.properties.keys())
                    .finish_non_exhaustive()
            }
        }
    };
}
without_values!(UpdateInput, key);
without_values!(UpsertInput, property);

/// A record that was updated.
pub type Updated = CrmObject;

/// A record that was updated or created.
#[derive(Debug, Clone)]
pub struct Upserted {
    /// The record.
    pub object: CrmObject,
    /// Whether it was created; none where HubSpot does not say.
    pub created: Option<bool>,
}

/// A result of a batch, before it is tied to its input.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) object: CrmObject,
    values: BTreeMap<String, Option<String>>,
    trace: Option<String>,
    new: Option<bool>,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Marks {
            object_write_trace_id: Option<String>,
            new: Option<bool>,
        }
        let raw = <&RawValue>::deserialize(deserializer)?;
        let object: CrmObject = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        let marks: Marks = serde_json::from_str(raw.get()).unwrap_or_default();
        Ok(Self {
            values: object.values(),
            object,
            trace: marks.object_write_trace_id,
            new: marks.new,
        })
    }
}

/// Whether a value can be what became of the given one; HubSpot trims, and lower-cases some. A
/// leading `;` adds to the choices that are there.
fn same_value(given: &str, shown: &str) -> bool {
    let (given, shown) = (given.trim().to_lowercase(), shown.trim().to_lowercase());
    match given.strip_prefix(';') {
        Some(more) => more
            .split(';')
            .all(|choice| choice.is_empty() || shown.split(';').any(|there| there == choice)),
        None => given == shown,
    }
}

impl Written {
    fn value(&self, property: &str) -> Option<&str> {
        self.values.get(property)?.as_deref()
    }

    /// Ids by which the record may have been asked for.
    pub(super) fn ids(&self) -> Vec<String> {
        std::iter::once(self.object.id)
            .chain(self.object.merged_ids())
            .map(|id| id.to_string())
            .collect()
    }

    /// Keys by which the record may have been asked for with this property.
    pub(super) fn unique_keys(&self, property: &str) -> Vec<String> {
        let more = if property == "email" {
            self.value("hs_additional_emails").unwrap_or_default()
        } else {
            ""
        };
        self.value(property)
            .into_iter()
            .chain(more.split(';'))
            .filter(|v| !v.is_empty())
            .map(|v| unique_key(property, v))
            .collect()
    }

    /// Whether HubSpot says that it made the one value of the other.
    fn is_normalized(&self, property: &str, raw: &str, normalized: &str) -> bool {
        self.object
            .normalized
            .iter()
            .any(|n| n.property == property && n.raw == raw && n.normalized == normalized)
    }

    /// How much of what an input gave it shows, if it shows no other value for any of it: a value as
    /// it was given counts more than one that HubSpot wrote otherwise.
    fn shows(&self, properties: &BTreeMap<String, String>) -> Option<usize> {
        let mut shown = 0;
        for (name, given) in properties {
            let Some(value) = self.values.get(name) else {
                continue;
            };
            let value = value.as_deref().unwrap_or_default();
            if value == given {
                // An empty value is shown, or not, whoever gave it.
                shown += if given.is_empty() { 0 } else { 2 };
            } else if same_value(given, value) || self.is_normalized(name, given, value) {
                shown += 1;
            } else {
                return None;
            }
        }
        (shown > 0).then_some(shown)
    }
}

struct Creates<'a> {
    object_type: ObjectType,
    inputs: &'a [CreateInput],
}

impl BatchInputs for Creates<'_> {
    type Done = Written;

    fn count(&self) -> usize {
        self.inputs.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        if self.object_type != ObjectType::Contact {
            return None;
        }
        let email = self.inputs[place].properties.get("email")?;
        (!email.trim().is_empty()).then(|| unique_key("email", email))
    }

    fn keys_of(&self, done: &Written) -> Vec<String> {
        done.unique_keys("email")
    }

    fn trace_of<'b>(&self, done: &'b Written) -> Option<&'b str> {
        done.trace.as_deref()
    }

    fn likeness(&self, place: usize, done: &Written) -> Option<usize> {
        done.shows(&self.inputs[place].properties)
    }

    fn same(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.inputs[one], &self.inputs[other]);
        // A new record has nothing that an empty value could clear.
        let given = |input: &CreateInput| -> BTreeMap<String, String> {
            let mut given = input.properties.clone();
            given.retain(|_, value| !value.is_empty());
            given
        };
        given(one) == given(other) && one.associations == other.associations
    }

    fn named_by(&self, _place: usize, _error: &ItemError) -> bool {
        false
    }

    fn writes(&self, place: usize, property: &str) -> bool {
        self.inputs[place].properties.contains_key(property)
    }

    fn doing(&self) -> Doing {
        Doing::Create
    }
}

struct Updates<'a>(&'a [UpdateInput]);

impl BatchInputs for Updates<'_> {
    type Done = Written;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        Some(self.0[place].key.identity())
    }

    fn keys_of(&self, done: &Written) -> Vec<String> {
        let mut keys = done.ids();
        if let Some(property) = self.0.first().and_then(|i| i.key.property()) {
            keys.extend(done.unique_keys(property));
        }
        keys
    }

    fn trace_of<'b>(&self, done: &'b Written) -> Option<&'b str> {
        done.trace.as_deref()
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        is_named(&self.0[place].key, &error.ids)
    }

    fn writes(&self, place: usize, property: &str) -> bool {
        self.0[place].properties.contains_key(property)
    }

    fn doing(&self) -> Doing {
        Doing::Update
    }
}

struct Upserts<'a>(&'a [UpsertInput]);

impl BatchInputs for Upserts<'_> {
    type Done = Written;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        Some(unique_key(&self.0[place].property, &self.0[place].value))
    }

    fn keys_of(&self, done: &Written) -> Vec<String> {
        self.0
            .first()
            .map(|input| done.unique_keys(&input.property))
            .unwrap_or_default()
    }

    fn trace_of<'b>(&self, done: &'b Written) -> Option<&'b str> {
        done.trace.as_deref()
    }

    fn likeness(&self, place: usize, done: &Written) -> Option<usize> {
        done.shows(&self.0[place].properties)
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        let UpsertInput {
            property, value, ..
        } = &self.0[place];
        is_named(&RecordKey::unique(property, value), &error.ids)
    }

    fn writes(&self, place: usize, property: &str) -> bool {
        self.0[place].properties.contains_key(property)
    }

    fn doing(&self) -> Doing {
        Doing::Create
    }
}

struct Archives<'a>(&'a [RecordId]);

impl BatchInputs for Archives<'_> {
    type Done = ();

    fn count(&self) -> usize {
        self.0.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        Some(self.0[place].to_string())
    }

    fn keys_of(&self, _done: &()) -> Vec<String> {
        Vec::new()
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        error.ids.contains(&self.0[place].to_string())
    }

    fn doing(&self) -> Doing {
        Doing::Update
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyedInput<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_property: Option<&'a str>,
    properties: &'a BTreeMap<String, String>,
    object_write_trace_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TracedCreate<'a> {
    #[serde(flatten)]
    input: &'a CreateInput,
    object_write_trace_id: String,
}

#[derive(Serialize)]
pub(crate) struct Inputs<T> {
    pub(crate) inputs: Vec<T>,
}

#[derive(Serialize)]
pub(super) struct IdInput {
    pub(super) id: String,
}

/// Sends a batch of writes. It happened, whatever the answer looks like.
pub(crate) async fn write<T: serde::de::DeserializeOwned>(
    client: &Client,
    path: &str,
    body: &(impl Serialize + Sync),
    bucket: Bucket,
) -> Result<Reply<T>, Error> {
    let answer = client.post(path, body, bucket, Kind::Write).await?;
    reply_of(&answer).ok_or(Error::OutcomeUnknown)
}

/// Sends a batch of writes of records.
async fn write_records(
    client: &Client,
    path: &str,
    body: &(impl Serialize + Sync),
) -> Result<Reply<Written>, Error> {
    let answer = client
        .post(path, body, Bucket::General, Kind::Write)
        .await?;
    let body = MultiStatus::of(&answer).ok_or(Error::OutcomeUnknown)?;
    let normalized: Vec<_> = body
        .warnings()
        .iter()
        .flat_map(|w| w.normalized().into_iter().map(move |n| (w, n)))
        .map(|(warning, value)| (warning.clone(), value))
        .collect();
    let mut reply: Reply<Written> = body.reply();
    // Warnings may stand beside the records: each is of those that show the value.
    for written in reply.results.iter_mut().flatten() {
        let id = written.object.id.to_string();
        for (warning, value) in &normalized {
            if written.value(&value.property) == Some(value.normalized.as_str())
                && !warning.is_of_another(written.trace.as_deref(), &id)
                && !written.object.normalized.contains(value)
            {
                written.object.normalized.push(value.clone());
            }
        }
    }
    Ok(reply)
}

impl Objects<'_> {
    /// Creates any number of records, a hundred a request, each with a trace id of its own. Contacts
    /// with the same e-mail go one after the other, so that the later one is refused for the
    /// conflict.
    pub async fn batch_create(
        &self,
        object_type: ObjectType,
        inputs: &[CreateInput],
    ) -> BatchOutcome<CrmObject> {
        let core = Creates {
            object_type,
            inputs,
        };
        let path = path(object_type, "/batch/create");
        let mut plan = Plan::new(&core, BATCH);
        while let Some(batch) = plan.next() {
            let body = Inputs {
                inputs: batch
                    .iter()
                    .map(|place| TracedCreate {
                        input: &inputs[*place],
                        object_write_trace_id: place.to_string(),
                    })
                    .collect(),
            };
            let reply = write_records(self.0, &path, &body).await;
            plan.answer(&batch, reply);
        }
        plan.finish().map(|w| w.object)
    }

    /// Updates any number of records, a hundred a request. Updates of one record go one after the
    /// other, in their order. An id that was merged away is not in the answer
    /// ([`Error::NotInAnswer`]): update the record that it was merged into.
    ///
    /// Inputs by id and inputs by different properties go in requests of their own.
    pub async fn batch_update(
        &self,
        object_type: ObjectType,
        inputs: &[UpdateInput],
    ) -> BatchOutcome<Updated> {
        let path = path(object_type, "/batch/update");
        let groups = groups(inputs.iter().map(|i| i.key.property().map(str::to_owned)));
        let mut all = Gathered::new(inputs.len());
        for places in groups {
            if all.stopped.is_some() {
                break;
            }
            let group: Vec<UpdateInput> = places.iter().map(|p| inputs[*p].clone()).collect();
            let core = Updates(&group);
            let mut plan = Plan::new(&core, BATCH);
            while let Some(batch) = plan.next() {
                let body = Inputs {
                    inputs: batch
                        .iter()
                        .map(|place| KeyedInput {
                            id: group[*place].key.text(),
                            id_property: group[*place].key.property(),
                            properties: &group[*place].properties,
                            object_write_trace_id: place.to_string(),
                        })
                        .collect(),
                };
                let reply = write_records(self.0, &path, &body).await;
                plan.answer(&batch, reply);
            }
            all.take(&places, plan.finish().map(|w: Written| w.object));
        }
        all.finish()
    }

    /// Updates or creates any number of records by a unique property, a hundred a request. Cannot
    /// carry associations.
    pub async fn batch_upsert(
        &self,
        object_type: ObjectType,
        inputs: &[UpsertInput],
    ) -> BatchOutcome<Upserted> {
        let path = path(object_type, "/batch/upsert");
        let groups = groups(inputs.iter().map(|i| Some(i.property.clone())));
        let mut all = Gathered::new(inputs.len());
        for places in groups {
            if all.stopped.is_some() {
                break;
            }
            let group: Vec<UpsertInput> = places.iter().map(|p| inputs[*p].with_key()).collect();
            let core = Upserts(&group);
            let mut plan = Plan::new(&core, BATCH);
            while let Some(batch) = plan.next() {
                let body = Inputs {
                    inputs: batch
                        .iter()
                        .map(|place| KeyedInput {
                            id: group[*place].value.clone(),
                            id_property: Some(&group[*place].property),
                            properties: &group[*place].properties,
                            object_write_trace_id: place.to_string(),
                        })
                        .collect(),
                };
                let reply = write_records(self.0, &path, &body).await;
                plan.answer(&batch, reply);
            }
            let outcome = plan.finish().map(|w: Written| Upserted {
                object: w.object,
                created: w.new,
            });
            all.take(&places, outcome);
        }
        all.finish()
    }

    /// Moves any number of records to the recycle bin, a hundred a request. HubSpot does not say
    /// which of them were there.
    pub async fn batch_archive(
        &self,
        object_type: ObjectType,
        ids: &[RecordId],
    ) -> BatchOutcome<()> {
        let core = Archives(ids);
        let path = path(object_type, "/batch/archive");
        let mut plan = Plan::new(&core, BATCH);
        while let Some(batch) = plan.next() {
            let body = Inputs {
                inputs: batch
                    .iter()
                    .map(|place| IdInput {
                        id: ids[*place].to_string(),
                    })
                    .collect(),
            };
            match self
                .0
                .post(&path, &body, Bucket::General, Kind::Write)
                .await
            {
                // 204, or an envelope that lists what was refused.
                Ok(answer) => match reply_of::<serde_json::Value>(&answer) {
                    Some(reply) if reply.refused > 0 => {
                        let refused = reply.errors;
                        let (bad, good): (Vec<usize>, Vec<usize>) = batch
                            .iter()
                            .partition(|p| refused.iter().any(|e| core.named_by(**p, e)));
                        plan.all_done(&good, || ());
                        let reply = Reply {
                            results: Vec::new(),
                            refused: refused.len(),
                            errors: refused,
                        };
                        plan.answer(&bad, Ok(reply));
                    }
                    _ => plan.all_done(&batch, || ()),
                },
                Err(error) => plan.answer(&batch, Err(error)),
            }
        }
        plan.finish()
    }
}

/// Places of inputs that may share a request, because they are matched by the same property.
pub(super) fn groups(properties: impl Iterator<Item = Option<String>>) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (place, property) in properties.enumerate() {
        groups.entry(property).or_default().push(place);
    }
    groups.into_values().collect()
}

/// Outcomes of several plans in the order of all inputs.
pub(super) struct Gathered<T> {
    outcomes: Vec<InputOutcome<T>>,
    pub(super) stopped: Option<Error>,
}

impl<T> Gathered<T> {
    pub(super) fn new(count: usize) -> Self {
        Self {
            outcomes: (0..count).map(|_| InputOutcome::NotSent).collect(),
            stopped: None,
        }
    }

    pub(super) fn take(&mut self, places: &[usize], outcome: BatchOutcome<T>) {
        for (place, one) in places.iter().zip(outcome.outcomes) {
            self.outcomes[*place] = one;
        }
        self.stopped = self.stopped.take().or(outcome.stopped);
    }

    pub(super) fn finish(self) -> BatchOutcome<T> {
        BatchOutcome {
            outcomes: self.outcomes,
            stopped: self.stopped,
        }
    }
}
