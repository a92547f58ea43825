//! Reading records in batches: by id, and by unique values.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    BATCH, BATCH_WITH_HISTORY, CrmObject, Objects, ReadOptions, RecordKey,
    batch::{Gathered, IdInput, Written, groups},
    envelope::{MultiStatus, reply_of},
    keys::is_named,
    path,
};
use crate::{
    batch::{BatchInputs, BatchOutcome, Doing, InputOutcome, Plan},
    budget::Bucket,
    client::{Answer, Kind, MAX_QUERY},
    error::{Error, ErrorClass, ItemError},
    ids::{ObjectType, RecordId},
    page::{BadRecord, Times, read_record},
};

/// How many inputs are asked for one by one in a call, at most; the others stay unanswered.
pub const SINGLE_READS: usize = 100;
/// So many errors in a row while asking one by one, and it is given up.
const IN_VAIN: usize = 5;
const CONTEXT: &str = "batch read";

/// What is known of records that were asked for by id.
#[derive(Debug)]
pub struct BatchRead {
    /// The records that HubSpot gave, each once, readable or not. An id that was merged away brings
    /// the record that it was merged into.
    pub found: Vec<Result<CrmObject, BadRecord>>,
    /// Ids that brought a record with another id: they were merged away.
    pub merged: BTreeMap<RecordId, RecordId>,
    /// Ids that HubSpot named as such that it does not know.
    pub missing: BTreeSet<RecordId>,
    /// Ids of which nothing is known, with the error that HubSpot gave for them, if it gave one: an
    /// id that is merely absent from an answer is not missing. What is stored of them has to stay.
    pub unanswered: BTreeMap<RecordId, Option<Error>>,
    /// When they were read.
    pub times: Times,
}

struct Reads<'a>(&'a [&'a RecordKey]);

impl BatchInputs for Reads<'_> {
    type Done = Written;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        Some(self.0[place].identity())
    }

    fn keys_of(&self, done: &Written) -> Vec<String> {
        match self.0.first().and_then(|key| key.property()) {
            Some(property) => done.unique_keys(property),
            None => done.ids(),
        }
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        is_named(self.0[place], &error.ids)
    }

    fn doing(&self) -> Doing {
        Doing::Read
    }
}

impl Objects<'_> {
    /// Reads any number of records, a hundred a request, by id or by a unique property: the way to
    /// look up by e-mail, which must not be in a URL. One that HubSpot names as not there is refused
    /// with [`Error::NotFound`], one of which no answer speaks with [`Error::Unanswered`]. A record
    /// answers all keys that lead to it: of a contact, all its addresses.
    pub async fn read_each(
        &self,
        object_type: ObjectType,
        keys: &[RecordKey],
        options: &ReadOptions,
    ) -> BatchOutcome<CrmObject> {
        let mut place_of: BTreeMap<String, usize> = BTreeMap::new();
        let mut distinct: Vec<&RecordKey> = Vec::new();
        let of: Vec<usize> = keys
            .iter()
            .map(|key| {
                *place_of.entry(key.identity()).or_insert_with(|| {
                    distinct.push(key);
                    distinct.len() - 1
                })
            })
            .collect();
        let groups = groups(distinct.iter().map(|k| k.property().map(str::to_owned)));
        let mut all = Gathered::new(distinct.len());
        for places in groups {
            if all.stopped.is_some() {
                break;
            }
            let group: Vec<&RecordKey> = places.iter().map(|p| distinct[*p]).collect();
            let read = self.read_group(object_type, &group, options).await;
            all.take(&places, read.map(|w| w.object));
        }
        let read = all.finish();
        BatchOutcome {
            outcomes: of.iter().map(|p| read.outcomes[*p].clone()).collect(),
            stopped: read.stopped,
        }
    }

    /// Reads what can be asked for together. What an answer does not speak of is asked for again, at
    /// last by itself.
    async fn read_group(
        &self,
        object_type: ObjectType,
        keys: &[&RecordKey],
        options: &ReadOptions,
    ) -> BatchOutcome<Written> {
        let most = most_of(options);
        let property = keys.first().and_then(|k| k.property());
        let mut all = Gathered::new(keys.len());
        let mut open: Vec<usize> = (0..keys.len()).collect();
        for most in [most, open.len().div_ceil(2).min(most), 1] {
            if most == 1 {
                open.truncate(SINGLE_READS);
            }
            let group: Vec<&RecordKey> = open.iter().map(|p| keys[*p]).collect();
            let core = Reads(&group);
            let mut plan = Plan::new(&core, most);
            while let Some(batch) = plan.next() {
                let ids = batch.iter().map(|place| group[*place].text()).collect();
                let reply = self
                    .post_read(object_type, ids, property, options)
                    .await
                    .and_then(|answer| {
                        reply_of(&answer).ok_or(Error::UnexpectedResponse { context: CONTEXT })
                    });
                plan.answer(&batch, reply);
            }
            let read = plan.finish();
            let stopped = read.stopped.is_some();
            let again: Vec<usize> = open
                .iter()
                .zip(&read.outcomes)
                .filter(|(_, outcome)| match outcome {
                    InputOutcome::Refused(error) => matches!(
                        error.class(),
                        ErrorClass::Transient | ErrorClass::RateLimited
                    ),
                    InputOutcome::OutcomeUnknown => true,
                    _ => false,
                })
                .map(|(place, _)| *place)
                .collect();
            all.take(&open, read);
            if stopped || again.is_empty() {
                break;
            }
            open = again;
            self.0.pause_before_asking_again().await;
        }
        all.finish()
    }

    async fn post_read(
        &self,
        object_type: ObjectType,
        ids: Vec<String>,
        property: Option<&str>,
        options: &ReadOptions,
    ) -> Result<Answer, Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            inputs: Vec<IdInput>,
            properties: Vec<&'a str>,
            // HubSpot's own SDKs always send it.
            properties_with_history: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            id_property: Option<&'a str>,
        }
        let mut properties: Vec<&str> = options.properties.iter().map(String::as_str).collect();
        // What the results are told apart by: of a contact all its addresses.
        let more = (property == Some("email")).then_some("hs_additional_emails");
        for name in property.into_iter().chain(more) {
            if !properties.contains(&name) {
                properties.push(name);
            }
        }
        let body = Body {
            inputs: ids.into_iter().map(|id| IdInput { id }).collect(),
            properties,
            properties_with_history: &options.history,
            id_property: property,
        };
        let archived = [("archived", "true".to_owned())];
        let answer = self
            .0
            .send(&crate::client::Call {
                method: reqwest::Method::POST,
                path: &path(object_type, "/batch/read"),
                query: if options.archived { &archived } else { &[] },
                body: Some(&body),
                bucket: Bucket::General,
                kind: Kind::Batch,
            })
            .await;
        match answer {
            // Of the endpoint, not of a record: those are named in a 207.
            Err(Error::NotFound) => Err(Error::UnexpectedResponse { context: CONTEXT }),
            other => other,
        }
    }

    /// The record of this key; none when HubSpot names it as one that it does not know. An id that was
    /// merged away brings the record that it was merged into, also where batch reads do not follow it.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when the answers do not speak of it; see [`Error`].
    pub async fn find(
        &self,
        object_type: ObjectType,
        key: &RecordKey,
        options: &ReadOptions,
    ) -> Result<Option<CrmObject>, Error> {
        let found = self.find_in_batch(object_type, key, options).await;
        let RecordKey::Id(id) = key else {
            return found;
        };
        if options.archived || !matches!(found, Ok(None) | Err(Error::Unanswered)) {
            return found;
        }
        let fits = fit_a_url(options);
        let narrow = ReadOptions::new().properties(["hs_object_id"]);
        let asked = if fits { options } else { &narrow };
        match self.read(object_type, *id, asked, &[]).await {
            Ok(object) if fits => Ok(Some(object)),
            Ok(object) => {
                let now = RecordKey::Id(object.id);
                self.find_in_batch(object_type, &now, options).await
            }
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find_in_batch(
        &self,
        object_type: ObjectType,
        key: &RecordKey,
        options: &ReadOptions,
    ) -> Result<Option<CrmObject>, Error> {
        let mut read = self
            .read_each(object_type, std::slice::from_ref(key), options)
            .await;
        match (read.outcomes.pop(), read.stopped) {
            (Some(InputOutcome::Done(object)), _) => Ok(Some(object)),
            (Some(InputOutcome::Refused(Error::NotFound)), _) => Ok(None),
            (Some(InputOutcome::Refused(error)), _) | (_, Some(error)) => Err(error),
            (_, None) => Err(Error::UnexpectedResponse { context: CONTEXT }),
        }
    }

    /// Reads any number of records by id, a hundred a request (50 with histories). What an answer
    /// does not speak of is asked for again, and then one by one ([`SINGLE_READS`]).
    ///
    /// # Errors
    /// What concerns the whole call: see [`Error`]. What concerns single records is in
    /// [`BatchRead::unanswered`].
    pub async fn batch_read(
        &self,
        object_type: ObjectType,
        ids: &[RecordId],
        options: &ReadOptions,
    ) -> Result<BatchRead, Error> {
        let mut reading = Reading {
            open: ids.iter().copied().collect(),
            given: BTreeSet::new(),
            errors: BTreeMap::new(),
            read: BatchRead {
                found: Vec::new(),
                merged: BTreeMap::new(),
                missing: BTreeSet::new(),
                unanswered: BTreeMap::new(),
                times: Times::NONE,
            },
        };
        let most = most_of(options);
        for first in [true, false] {
            let open: Vec<RecordId> = reading.open.iter().copied().collect();
            if open.is_empty() {
                break;
            }
            let most = if first {
                most
            } else {
                self.0.pause_before_asking_again().await;
                most.min(open.len().div_ceil(2))
            };
            for chunk in open.chunks(most) {
                let texts = chunk.iter().map(ToString::to_string).collect();
                let answer = self.post_read(object_type, texts, None, options).await;
                match answer.and_then(|answer| reading.take(chunk, &answer)) {
                    Ok(()) => {}
                    // A smaller batch may do, and what is refused for one id is found by asking singly.
                    Err(error)
                        if !error.concerns_every_request()
                            && (first || error.class() != ErrorClass::Transient) =>
                    {
                        for id in chunk {
                            reading.errors.insert(*id, error.clone());
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.read_singly(object_type, options, &mut reading).await?;
        let Reading {
            open,
            mut errors,
            mut read,
            ..
        } = reading;
        read.unanswered = open
            .into_iter()
            .map(|id| (id, errors.remove(&id)))
            .collect();
        Ok(read)
    }

    /// Asks for what is open one by one, as long as that brings answers.
    async fn read_singly(
        &self,
        object_type: ObjectType,
        options: &ReadOptions,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        let open: Vec<RecordId> = reading.open.iter().copied().take(SINGLE_READS).collect();
        let fits = fit_a_url(options);
        let mut in_vain = 0;
        for id in open {
            let one = if fits {
                self.read_timed(object_type, id, options, &[]).await
            } else {
                let text = vec![id.to_string()];
                let answer = self.post_read(object_type, text, None, options).await;
                match answer.and_then(|answer| reading.take(&[id], &answer)) {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                }
            };
            match one {
                Ok((object, times)) => {
                    in_vain = 0;
                    if let Some(sent_at) = times.sent_at {
                        reading.read.times.add(sent_at, times.served_at);
                    }
                    reading.close(id, Ok(object));
                }
                Err(Error::NotFound) => {
                    in_vain = 0;
                    reading.open.remove(&id);
                    reading.read.missing.insert(id);
                }
                Err(error) if error.concerns_every_request() => return Err(error),
                Err(error) => {
                    in_vain += 1;
                    reading.errors.insert(id, error);
                    if in_vain == IN_VAIN {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the names of what is asked for fit into a URL.
fn fit_a_url(options: &ReadOptions) -> bool {
    let names = options.properties.iter().chain(&options.history);
    names.map(|n| n.len() + 1).sum::<usize>() <= MAX_QUERY
}

/// Most inputs of a request.
const fn most_of(options: &ReadOptions) -> usize {
    if options.history.is_empty() {
        BATCH
    } else {
        BATCH_WITH_HISTORY
    }
}

/// A read by ids under way.
struct Reading {
    open: BTreeSet<RecordId>,
    /// Ids of the records that were given.
    given: BTreeSet<RecordId>,
    errors: BTreeMap<RecordId, Error>,
    read: BatchRead,
}

impl Reading {
    fn close(&mut self, id: RecordId, record: Result<CrmObject, BadRecord>) {
        self.open.remove(&id);
        let own = match &record {
            Ok(object) => object.id,
            Err(_) => id,
        };
        self.open.remove(&own);
        if own != id {
            self.read.merged.insert(id, own);
        }
        if self.given.insert(own) {
            self.read.found.push(record);
        }
    }

    fn take(&mut self, asked: &[RecordId], answer: &Answer) -> Result<(), Error> {
        self.read.times.add(answer.sent_at, answer.served_at);
        let mut body =
            MultiStatus::of(answer).ok_or(Error::UnexpectedResponse { context: CONTEXT })?;
        for (place, raw) in body.results().iter().enumerate() {
            match read_record::<CrmObject>(raw, place) {
                Ok(object) => {
                    let ids: Vec<RecordId> = std::iter::once(object.id)
                        .chain(object.merged_ids())
                        .filter(|id| asked.contains(id))
                        .collect();
                    // The one record that was given to the one id that was asked for is that one's.
                    let ids = match (asked, body.results().len()) {
                        ([only], 1) if ids.is_empty() => vec![*only],
                        _ => ids,
                    };
                    let Some((first, more)) = ids.split_first() else {
                        continue;
                    };
                    for id in more {
                        self.open.remove(id);
                        self.read.merged.insert(*id, object.id);
                    }
                    self.close(*first, Ok(object));
                }
                Err(bad) => {
                    if let Some(id) = bad.key.parse().ok().filter(|id| asked.contains(id)) {
                        self.close(id, Err(bad));
                    }
                }
            }
        }
        for item in body.take_errors() {
            let mut named: Vec<RecordId> =
                item.ids.iter().filter_map(|id| id.parse().ok()).collect();
            if named.is_empty()
                && let [only] = asked
            {
                named.push(*only);
            }
            for id in named.into_iter().filter(|id| asked.contains(id)) {
                if !self.open.contains(&id) {
                    continue;
                }
                if item.error == Error::NotFound {
                    self.open.remove(&id);
                    self.read.missing.insert(id);
                } else {
                    self.errors.insert(id, item.error.clone());
                }
            }
        }
        Ok(())
    }
}
