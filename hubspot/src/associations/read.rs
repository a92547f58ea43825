//! Reading associations: in batches, and those of one record. What an answer does not speak of is
//! not known; it is asked for again, and at last handed back as unanswered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use futures::future::join_all;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Association, AssociationType, Associations, BATCH, PAGE, path};
use crate::{
    API_VERSION, Bucket, Cursor, Error, ErrorClass, ObjectType, Page, PagingGuard, RecordId, Times,
    client::{Answer, Call, Kind, paged},
    objects::{Inputs, MultiStatus},
    page::{Paging, page_of},
};

/// Most inputs of a request that asks again.
const AGAIN: usize = 100;
/// How often what was not answered is asked again in batches.
const ROUNDS: usize = 2;
/// How many records are asked for one by one in a call, at most; the others stay unanswered.
pub const SINGLE_READS: usize = 100;
/// How many of them at a time.
const AT_ONCE: usize = 4;
const CONTEXT: &str = "associations";

/// What is known of the associations of records. Each record that was asked for is in one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationsRead {
    /// All associations of each record of which HubSpot spoke: with results, or by naming it as one
    /// that has none.
    pub answered: BTreeMap<RecordId, Vec<Association>>,
    /// Records of which nothing is known, with the error that HubSpot gave for them, if it gave one:
    /// what is stored of them has to stay. [`Error::NotFound`] says that there is no such record.
    pub unanswered: BTreeMap<RecordId, Option<Error>>,
    /// When it was read.
    pub times: Times,
}

#[derive(Serialize)]
struct ReadInput<'a> {
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

#[derive(Deserialize)]
struct FromRecord<'a> {
    from: IdOnly,
    #[serde(borrow)]
    to: Vec<&'a RawValue>,
    #[serde(default)]
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct IdOnly {
    id: RecordId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct To {
    to_object_id: RecordId,
    // HubSpot may come to know types that are described otherwise; the association is there.
    #[serde(default, deserialize_with = "readable_types")]
    association_types: Vec<AssociationType>,
}

fn readable_types<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<AssociationType>, D::Error> {
    let types: Option<Vec<serde_json::Value>> = crate::error::lenient(deserializer)?;
    Ok(types
        .unwrap_or_default()
        .into_iter()
        .filter_map(|one| serde_json::from_value(one).ok())
        .collect())
}

impl From<To> for Association {
    fn from(to: To) -> Self {
        Self {
            to: to.to_object_id,
            types: to.association_types,
        }
    }
}

/// The associations of a record as far as they came.
#[derive(Debug)]
struct Partial {
    found: BTreeMap<RecordId, Vec<AssociationType>>,
    guard: PagingGuard,
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            found: BTreeMap::new(),
            guard: PagingGuard::any_order(CONTEXT),
        }
    }
}

impl Partial {
    /// HubSpot writes a row for each association, or for each of its types.
    fn add(&mut self, association: Association) {
        let types = self.found.entry(association.to).or_default();
        for one in association.types {
            if !types.contains(&one) {
                types.push(one);
            }
        }
    }

    fn all(self) -> Vec<Association> {
        self.found
            .into_iter()
            .map(|(to, types)| Association { to, types })
            .collect()
    }
}

/// A read under way.
struct Reading {
    open: BTreeSet<RecordId>,
    answered: BTreeMap<RecordId, Vec<Association>>,
    errors: BTreeMap<RecordId, Error>,
    times: Times,
}

/// A record whose associations go on from here.
type ToDo = (RecordId, Option<Cursor>);

impl Reading {
    fn close(&mut self, id: RecordId, associations: Vec<Association>) {
        if self.open.remove(&id) {
            self.errors.remove(&id);
            self.answered.insert(id, associations);
        }
    }

    /// Takes in an answer to these inputs, and says what is still to be read of them.
    fn take(
        &mut self,
        asked: &[ToDo],
        answer: &Answer,
        partial: &mut BTreeMap<RecordId, Partial>,
    ) -> Result<Vec<ToDo>, Error> {
        let unexpected = || Error::UnexpectedResponse { context: CONTEXT };
        let mut body = MultiStatus::of(answer).ok_or_else(unexpected)?;
        let places: HashMap<RecordId, &Option<Cursor>> =
            asked.iter().map(|(id, after)| (*id, after)).collect();
        let mut more = Vec::new();
        for raw in body.results() {
            let Ok(record) = serde_json::from_str::<FromRecord<'_>>(raw.get()) else {
                continue;
            };
            let id = record.from.id;
            let Some(after) = places.get(&id) else {
                continue;
            };
            let read: Result<Vec<To>, _> = record
                .to
                .iter()
                .map(|to| serde_json::from_str(to.get()))
                .collect();
            let Ok(read) = read else {
                // Not all of it could be read: it is no answer about all of them.
                partial.remove(&id);
                self.errors.insert(id, unexpected());
                continue;
            };
            let mut so_far = partial.remove(&id).unwrap_or_default();
            let next = Paging::cursor(record.paging);
            let ids: Vec<u64> = read.iter().map(|to| to.to_object_id.get()).collect();
            let moves = so_far.guard.step(after.as_ref(), next.as_ref(), ids);
            for to in read {
                so_far.add(to.into());
            }
            match (moves, next) {
                (Err(stuck), _) => {
                    self.errors.insert(id, stuck);
                }
                (Ok(()), Some(next)) => {
                    partial.insert(id, so_far);
                    more.push((id, Some(next)));
                }
                (Ok(()), None) => self.close(id, so_far.all()),
            }
        }
        for item in body.take_errors() {
            let mut named: Vec<RecordId> =
                item.ids.iter().filter_map(|id| id.parse().ok()).collect();
            if named.is_empty()
                && let [(only, _)] = asked
            {
                named.push(*only);
            }
            for id in named {
                // Of a record whose first page brought some it would be a contradiction.
                if item.says_none && places.get(&id).is_some_and(|after| after.is_none()) {
                    self.close(id, Vec::new());
                } else if self.open.contains(&id) {
                    self.errors.insert(id, item.error.clone());
                }
            }
        }
        Ok(more)
    }

    /// A pause before it is asked again: longer when HubSpot was busy.
    fn pause(&self, random: f64) -> Duration {
        let busy = |e: &Error| matches!(e.class(), ErrorClass::RateLimited | ErrorClass::Transient);
        let usual = if self.errors.values().any(busy) {
            1_000.0
        } else {
            200.0
        };
        Duration::from_secs_f64(usual * (0.75 + random / 2.0) / 1_000.0)
    }
}

impl Associations<'_> {
    /// All associations of any number of records to records of one type: a thousand inputs a
    /// request, and each record's further pages. What an answer does not speak of is asked for again
    /// twice, in smaller batches, and then one by one ([`SINGLE_READS`]).
    ///
    /// # Errors
    /// What concerns the whole call: see [`Error`]. What concerns single records is in
    /// [`AssociationsRead::unanswered`].
    pub async fn batch_read(
        &self,
        from: ObjectType,
        to: ObjectType,
        ids: &[RecordId],
    ) -> Result<AssociationsRead, Error> {
        let path = path(from, to, "/batch/read");
        let mut reading = Reading {
            open: ids.iter().copied().collect(),
            answered: BTreeMap::new(),
            errors: BTreeMap::new(),
            times: Times::NONE,
        };
        for round in 0..=ROUNDS {
            // What goes round in circles by batch is read one by one.
            let open: Vec<RecordId> = reading
                .open
                .iter()
                .copied()
                .filter(|id| !matches!(reading.errors.get(id), Some(Error::PagingStuck { .. })))
                .collect();
            if open.is_empty() {
                break;
            }
            let most = if round == 0 {
                BATCH
            } else {
                tokio::time::sleep(reading.pause(self.0.random())).await;
                AGAIN.min(open.len().div_ceil(2))
            };
            self.read_round(&path, &open, most, round == 0, &mut reading)
                .await?;
        }
        self.read_singly(from, to, &mut reading).await?;
        let mut errors = reading.errors;
        Ok(AssociationsRead {
            answered: reading.answered,
            unanswered: reading
                .open
                .into_iter()
                .map(|id| (id, errors.remove(&id)))
                .collect(),
            times: reading.times,
        })
    }

    async fn read_round(
        &self,
        path: &str,
        open: &[RecordId],
        most: usize,
        first: bool,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        let mut partial = BTreeMap::new();
        let mut todo: VecDeque<ToDo> = open.iter().map(|id| (*id, None)).collect();
        while !todo.is_empty() {
            let asked: Vec<ToDo> = todo.drain(..todo.len().min(most)).collect();
            let inputs = Inputs {
                inputs: asked
                    .iter()
                    .map(|(id, after)| ReadInput {
                        id: *id,
                        after: after.as_ref().map(Cursor::as_str),
                    })
                    .collect(),
            };
            let answer = self
                .0
                .post(path, &inputs, Bucket::Associations, Kind::Batch)
                .await;
            let more = answer.and_then(|answer| {
                reading.times.add(answer.sent_at, answer.served_at);
                reading.take(&asked, &answer, &mut partial)
            });
            match more {
                Ok(more) => todo.extend(more),
                // A smaller batch may do, and what is refused for one record is found by asking singly.
                Err(error)
                    if !error.concerns_every_request()
                        && (first || error.class() != ErrorClass::Transient) =>
                {
                    for (id, _) in &asked {
                        reading.errors.insert(*id, error.clone());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks for what is open one by one, as long as that brings answers.
    async fn read_singly(
        &self,
        from: ObjectType,
        to: ObjectType,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        let open: Vec<RecordId> = reading.open.iter().copied().take(SINGLE_READS).collect();
        let mut in_vain = 0;
        for ids in open.chunks(AT_ONCE) {
            let read = join_all(ids.iter().map(|id| self.all_of(from, *id, to))).await;
            let mut answers = 0;
            for (id, read) in ids.iter().zip(read) {
                match read {
                    Ok((associations, times)) => {
                        answers += 1;
                        if let Some(sent_at) = times.sent_at {
                            reading.times.add(sent_at, times.served_at);
                        }
                        reading.close(*id, associations);
                    }
                    Err(error) if error.concerns_every_request() => return Err(error),
                    Err(error) => {
                        answers += usize::from(error.class() != ErrorClass::Transient);
                        reading.errors.insert(*id, error);
                    }
                }
            }
            in_vain = if answers == 0 { in_vain + 1 } else { 0 };
            if in_vain == 2 {
                break;
            }
        }
        Ok(())
    }

    /// All pages of one record.
    async fn all_of(
        &self,
        from: ObjectType,
        id: RecordId,
        to: ObjectType,
    ) -> Result<(Vec<Association>, Times), Error> {
        let mut so_far = Partial::default();
        let mut times = Times::NONE;
        let mut after = None;
        loop {
            let page = self.list(from, id, to, after.as_ref(), PAGE).await?;
            times.add(page.sent_at, page.served_at);
            let moves = so_far
                .guard
                .check(after.as_ref(), &page, |association| association.to.get());
            for association in page.results {
                let association =
                    association.map_err(|_| Error::UnexpectedResponse { context: CONTEXT })?;
                so_far.add(association);
            }
            moves?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((so_far.all(), times)),
            }
        }
    }

    /// A page of the associations of one record, `limit` at most ([`PAGE`]).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(
        &self,
        from: ObjectType,
        id: RecordId,
        to: ObjectType,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Association>, Error> {
        let path = format!(
            "/crm/objects/{API_VERSION}/{}/{id}/associations/{}",
            from.path(),
            to.path()
        );
        let answer = self
            .0
            .send(&Call::<()> {
                method: Method::GET,
                path: &path,
                query: &paged(limit, after),
                body: None,
                bucket: Bucket::Associations,
                kind: Kind::Batch,
            })
            .await?;
        let page: Page<To> = page_of(&answer, "associations of a record")?;
        Ok(page.map(Association::from))
    }
}
