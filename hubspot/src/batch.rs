//! Batch calls over any number of inputs: what goes into one request, and what became of each input.
//!
//! No I/O here. An endpoint asks the [`Plan`] for the next request, sends it, and tells the plan the
//! answer. The rules are in the README under "Batches".

use std::collections::{HashMap, HashSet, VecDeque};

use crate::{
    error::{Error, ErrorClass, FieldProblem, ItemError},
    page::BadRecord,
};

/// What became of one input of a batch call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputOutcome<T> {
    /// HubSpot did it; the record as it is now.
    Done(T),
    /// HubSpot refused it, and nothing was done.
    Refused(Error),
    /// It may have been done: read back before it is sent again.
    OutcomeUnknown,
    /// HubSpot has certainly not acted on it: it may be sent again.
    NotSent,
}

impl<T> InputOutcome<T> {
    /// The record, if it was done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(record) => Some(record),
            _ => None,
        }
    }

    /// Why it was refused, if it was.
    pub fn refused(self) -> Option<Error> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    fn map<U>(self, f: impl FnOnce(T) -> U) -> InputOutcome<U> {
        match self {
            Self::Done(record) => InputOutcome::Done(f(record)),
            Self::Refused(error) => InputOutcome::Refused(error),
            Self::OutcomeUnknown => InputOutcome::OutcomeUnknown,
            Self::NotSent => InputOutcome::NotSent,
        }
    }
}

/// What became of all inputs of a batch call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOutcome<T> {
    /// One for each input, in the order of the inputs.
    pub outcomes: Vec<InputOutcome<T>>,
    /// Why the call ended early, if it did: what to do about it is what its class says.
    pub stopped: Option<Error>,
}

impl<T> BatchOutcome<T> {
    /// Whether every input was done.
    pub fn all_done(&self) -> bool {
        self.outcomes
            .iter()
            .all(|o| matches!(o, InputOutcome::Done(_)))
    }

    /// The places of inputs whose outcome is unknown.
    pub fn unknown(&self) -> Vec<usize> {
        self.places(|o| matches!(o, InputOutcome::OutcomeUnknown))
    }

    /// The places of inputs that may simply be sent again.
    pub fn not_sent(&self) -> Vec<usize> {
        self.places(|o| matches!(o, InputOutcome::NotSent))
    }

    fn places(&self, wanted: impl Fn(&InputOutcome<T>) -> bool) -> Vec<usize> {
        self.outcomes
            .iter()
            .enumerate()
            .filter(|(_, o)| wanted(o))
            .map(|(place, _)| place)
            .collect()
    }

    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> BatchOutcome<U> {
        BatchOutcome {
            outcomes: self.outcomes.into_iter().map(|o| o.map(&mut f)).collect(),
            stopped: self.stopped,
        }
    }
}

/// An answer to one request.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    /// What was done, as far as it can be read.
    pub(crate) results: Vec<Result<T, BadRecord>>,
    /// What was refused.
    pub(crate) errors: Vec<ItemError>,
    /// How many refusals HubSpot counts; it does not always list them all.
    pub(crate) refused: usize,
}

/// What a call does, which decides what an input that its answer does not mention is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Reads: nothing is known of it.
    Read,
    /// Writes records that are there: it is gone or was merged away, unless the answer holds results
    /// that cannot be tied to an input.
    Update,
    /// Makes records: it may have been made.
    Create,
}

/// What the plan has to know of inputs and results.
pub(crate) trait BatchInputs {
    /// A result.
    type Done: Clone;

    /// How many inputs there are.
    fn count(&self) -> usize;

    /// Two inputs with the same key never share a request. A result with this key is the input's.
    fn key(&self, place: usize) -> Option<String>;

    /// The keys of a result.
    fn keys_of(&self, done: &Self::Done) -> Vec<String>;

    /// The trace id that HubSpot echoes in a result: the place of the input, as text.
    fn trace_of<'a>(&self, _done: &'a Self::Done) -> Option<&'a str> {
        None
    }

    /// How much of the input a result shows; none where it shows another value, or nothing
    /// of it. Only asked when nothing better is known.
    fn likeness(&self, _place: usize, _done: &Self::Done) -> Option<usize> {
        None
    }

    /// Whether two inputs are the same in all they say.
    fn same(&self, _one: usize, _other: usize) -> bool {
        false
    }

    /// Whether an error is about this input, by the ids it names.
    fn named_by(&self, place: usize, error: &ItemError) -> bool;

    /// Whether the input writes this property.
    fn writes(&self, _place: usize, _property: &str) -> bool {
        false
    }

    /// What the call does.
    fn doing(&self) -> Doing;

    /// What a request holds only so many different ones of ([`Plan::with_most_groups`]).
    fn group(&self, _place: usize) -> u64 {
        0
    }
}

/// Pieces of at most `most` places with at most `most_groups` different groups; the order is kept.
fn pieces<I: BatchInputs>(
    inputs: &I,
    places: &[usize],
    most: usize,
    most_groups: usize,
) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    let mut groups: HashSet<u64> = HashSet::new();
    for place in places {
        let group = inputs.group(*place);
        let full = match pieces.last() {
            None => true,
            Some(piece) => {
                piece.len() >= most || (groups.len() >= most_groups && !groups.contains(&group))
            }
        };
        if full {
            pieces.push(Vec::new());
            groups.clear();
        }
        groups.insert(group);
        if let Some(piece) = pieces.last_mut() {
            piece.push(*place);
        }
    }
    pieces
}

/// A batch call under way.
#[derive(Debug)]
pub(crate) struct Plan<'a, I: BatchInputs> {
    inputs: &'a I,
    queue: VecDeque<Vec<usize>>,
    outcomes: Vec<Option<InputOutcome<I::Done>>>,
    /// Keys of inputs of unknown outcome.
    unknown: HashSet<String>,
    stopped: Option<Error>,
}

/// Inputs that a result may belong to, and how many of their values it shows.
struct Candidates {
    places: Vec<usize>,
    score: usize,
}

impl<'a, I: BatchInputs> Plan<'a, I> {
    /// `most` inputs a request. Inputs with the same key go one after the other, in their order.
    pub(crate) fn new(inputs: &'a I, most: usize) -> Self {
        Self::with_most_groups(inputs, most, usize::MAX)
    }

    /// The same, and at most so many different [`BatchInputs::group`]s a request.
    pub(crate) fn with_most_groups(inputs: &'a I, most: usize, most_groups: usize) -> Self {
        let count = inputs.count();
        let mut rounds: Vec<Vec<usize>> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for place in 0..count {
            let round = inputs.key(place).map_or(0, |key| {
                let times = seen.entry(key).or_default();
                *times += 1;
                *times - 1
            });
            if rounds.len() <= round {
                rounds.resize_with(round + 1, Vec::new);
            }
            rounds[round].push(place);
        }
        Self {
            inputs,
            queue: rounds
                .iter()
                .flat_map(|round| pieces(inputs, round, most.max(1), most_groups.max(1)))
                .collect(),
            outcomes: (0..count).map(|_| None).collect(),
            unknown: HashSet::new(),
            stopped: None,
        }
    }

    /// The places of the inputs of the next request.
    pub(crate) fn next(&mut self) -> Option<Vec<usize>> {
        while self.stopped.is_none() {
            let mut batch = self.queue.pop_front()?;
            // What may land later must not land over a later input for the same record.
            batch.retain(|place| {
                self.unknown.is_empty()
                    || self
                        .inputs
                        .key(*place)
                        .is_none_or(|key| !self.unknown.contains(&key))
            });
            if !batch.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    /// Takes in what came of a request.
    pub(crate) fn answer(&mut self, batch: &[usize], reply: Result<Reply<I::Done>, Error>) {
        match reply {
            Ok(reply) => self.reconcile(batch, reply),
            Err(error) => self.failed(batch, error),
        }
    }

    /// All inputs of a request were done, of which HubSpot says nothing in particular.
    pub(crate) fn all_done(&mut self, batch: &[usize], done: impl Fn() -> I::Done) {
        for place in batch {
            self.outcomes[*place] = Some(InputOutcome::Done(done()));
        }
    }

    /// What became of each input. One that was never in an answer was not sent.
    pub(crate) fn finish(self) -> BatchOutcome<I::Done> {
        BatchOutcome {
            outcomes: self
                .outcomes
                .into_iter()
                .map(|o| o.unwrap_or(InputOutcome::NotSent))
                .collect(),
            stopped: self.stopped,
        }
    }

    /// A request that was refused as a whole did nothing. If it is one input's fault, that one is
    /// found by halving.
    fn failed(&mut self, batch: &[usize], error: Error) {
        if error.class() == ErrorClass::OutcomeUnknown {
            for place in batch {
                self.outcomes[*place] = Some(InputOutcome::OutcomeUnknown);
            }
            self.stopped = Some(error);
            return;
        }
        let of_an_input = match &error {
            Error::Invalid { status, .. } => matches!(status, 400 | 413 | 414 | 422),
            Error::PortalRule { .. } => true,
            Error::Conflict { .. } | Error::NotFound => true,
            _ => false,
        };
        if !of_an_input {
            self.stopped = Some(error);
            return;
        }
        if let [place] = batch {
            self.outcomes[*place] = Some(InputOutcome::Refused(error));
            return;
        }
        // A property that does not exist spoils every input that writes it: no need to search.
        let bad = self.by_property(batch, &error);
        if !bad.is_empty() {
            for place in &bad {
                self.outcomes[*place] = Some(InputOutcome::Refused(error.clone()));
            }
            let rest: Vec<usize> = batch
                .iter()
                .copied()
                .filter(|place| !bad.contains(place))
                .collect();
            if !rest.is_empty() {
                self.queue.push_front(rest);
            }
            return;
        }
        let (first, second) = batch.split_at(batch.len() / 2);
        self.queue.push_front(second.to_vec());
        self.queue.push_front(first.to_vec());
    }

    fn by_property(&self, batch: &[usize], error: &Error) -> Vec<usize> {
        let Error::Invalid { problems, .. } = error else {
            return Vec::new();
        };
        let names: Vec<&String> = problems
            .iter()
            .filter(|p| p.code.concerns_the_property())
            .filter_map(|p| p.property.as_ref())
            .collect();
        batch
            .iter()
            .copied()
            .filter(|place| names.iter().any(|name| self.inputs.writes(*place, name)))
            .collect()
    }

    /// Ties results and errors to inputs: by trace id, by key, and at last by content where that
    /// leaves no choice.
    fn reconcile(&mut self, batch: &[usize], reply: Reply<I::Done>) {
        let reads = self.inputs.doing() == Doing::Read;
        let mut open: Vec<usize> = batch.to_vec();
        let mut left: Vec<I::Done> = Vec::new();
        let mut unreadable: Vec<BadRecord> = Vec::new();
        let keys: HashMap<String, usize> = batch
            .iter()
            .filter_map(|place| Some((self.inputs.key(*place)?, *place)))
            .collect();
        for result in reply.results {
            let done = match result {
                Ok(done) => done,
                Err(bad) => {
                    unreadable.push(bad);
                    continue;
                }
            };
            let traced = self.inputs.trace_of(&done).and_then(|t| t.parse().ok());
            let mut places: Vec<usize> = match traced.filter(|place| batch.contains(place)) {
                Some(place) => vec![place],
                None => self
                    .inputs
                    .keys_of(&done)
                    .iter()
                    .filter_map(|key| keys.get(key).copied())
                    .collect(),
            };
            if places.is_empty() {
                left.push(done);
                continue;
            }
            // What is read answers every key that leads to it; what is written, one input.
            if !reads {
                places.truncate(1);
            }
            for place in places {
                // Some are told twice: default associations are answered from both ends.
                if open.contains(&place) {
                    self.close(&mut open, place, InputOutcome::Done(done.clone()));
                }
            }
        }
        // The one record that was given for the one key that was asked for, whatever it shows.
        if reads
            && let ([place], 1) = (batch, left.len())
            && open.contains(place)
            && reply.refused == 0
            && unreadable.is_empty()
        {
            let done = left.remove(0);
            self.close(&mut open, *place, InputOutcome::Done(done));
        }
        // It was done, and cannot be read.
        unreadable.retain(|bad| match keys.get(&bad.key).copied() {
            Some(place) if open.contains(&place) => {
                self.close(&mut open, place, InputOutcome::OutcomeUnknown);
                false
            }
            _ => true,
        });
        let mut nameless: Vec<&ItemError> = Vec::new();
        let mut told = 0;
        for item in &reply.errors {
            let traces: Vec<usize> = item.traces.iter().filter_map(|t| t.parse().ok()).collect();
            let named: Vec<usize> = open
                .iter()
                .copied()
                .filter(|place| {
                    traces.contains(place)
                        || (item.traces.is_empty() && self.inputs.named_by(*place, item))
                })
                .collect();
            if named.is_empty() {
                // What names an input that is closed already is no news about another one.
                if item.traces.is_empty() && item.ids.is_empty() {
                    nameless.push(item);
                }
                continue;
            }
            told += named.len();
            for place in named {
                // Trouble within HubSpot: the error tells that it failed, not where.
                let outcome = if !reads && item.error.class() == ErrorClass::Transient {
                    InputOutcome::OutcomeUnknown
                } else {
                    InputOutcome::Refused(item.error.clone())
                };
                self.close(&mut open, place, outcome);
            }
        }
        let untold = reply.refused.saturating_sub(told).max(nameless.len());
        let complete = untold == 0 && unreadable.is_empty() && left.len() == open.len();
        self.by_content(&mut open, &mut left, complete);
        let outcome = match (batch, nameless.as_slice()) {
            ([_], [only]) if reads => InputOutcome::Refused(only.error.clone()),
            _ if reads => InputOutcome::Refused(Error::Unanswered),
            _ => self.of_missing(open.len(), &nameless, untold, left.len() + unreadable.len()),
        };
        for place in open.clone() {
            let outcome = match &outcome {
                InputOutcome::Refused(error) => InputOutcome::Refused(error.clone()),
                _ => InputOutcome::OutcomeUnknown,
            };
            self.close(&mut open, place, outcome);
        }
    }

    fn close(&mut self, open: &mut Vec<usize>, place: usize, outcome: InputOutcome<I::Done>) {
        open.retain(|p| *p != place);
        if matches!(outcome, InputOutcome::OutcomeUnknown) {
            self.unknown.extend(self.inputs.key(place));
        }
        self.outcomes[place] = Some(outcome);
    }

    /// Ties results and inputs that can belong to nothing but each other, as long as there are such.
    /// When every input that is open has a result (`complete`), a result goes to the input that it
    /// shows most of, unless another one shows as much of it, and inputs that are the same may have
    /// each other's results.
    fn by_content(&mut self, open: &mut Vec<usize>, left: &mut Vec<I::Done>, complete: bool) {
        loop {
            let like: Vec<Candidates> = left
                .iter()
                .map(|done| self.candidates(open, done, complete))
                .collect();
            let pair = like.iter().enumerate().find_map(|(n, mine)| {
                let (first, others) = mine.places.split_first()?;
                let one = others
                    .iter()
                    .all(|o| complete && self.inputs.same(*first, *o));
                // Other results may only want it if they show less of it, or want nothing but the
                // same.
                let free = like.iter().enumerate().all(|(m, theirs)| {
                    m == n
                        || !theirs.places.contains(first)
                        || (complete
                            && (theirs.score < mine.score
                                || theirs.places.iter().all(|o| mine.places.contains(o))))
                });
                (one && free).then_some((n, *first))
            });
            let Some((n, place)) = pair else { return };
            let done = left.swap_remove(n);
            self.close(open, place, InputOutcome::Done(done));
        }
    }

    fn candidates(&self, open: &[usize], done: &I::Done, best_only: bool) -> Candidates {
        let scored: Vec<(usize, usize)> = open
            .iter()
            .filter_map(|place| Some((*place, self.inputs.likeness(*place, done)?)))
            .collect();
        let score = scored.iter().map(|(_, score)| *score).max().unwrap_or(0);
        let places = scored
            .into_iter()
            .filter(|(_, one)| !best_only || *one == score)
            .map(|(place, _)| place)
            .collect();
        Candidates { places, score }
    }

    /// What inputs of writes are taken for that nothing in the answer is tied to. `untold` refusals are tied
    /// to none, and `left` results.
    fn of_missing(
        &self,
        open: usize,
        nameless: &[&ItemError],
        untold: usize,
        left: usize,
    ) -> InputOutcome<()> {
        if left > 0 {
            return InputOutcome::OutcomeUnknown;
        }
        if untold >= open && open > 0 {
            if let [only] = nameless
                && open == 1
            {
                return InputOutcome::Refused(only.error.clone());
            }
            let mut problems: Vec<FieldProblem> = Vec::new();
            let mut detail = None;
            for item in nameless {
                if let Error::Invalid {
                    problems: more,
                    detail: text,
                    ..
                } = &item.error
                {
                    problems.extend(more.iter().cloned());
                    detail.get_or_insert_with(|| text.clone());
                }
            }
            return InputOutcome::Refused(Error::Invalid {
                status: 207,
                problems,
                detail: detail.unwrap_or_default(),
            });
        }
        match self.inputs.doing() {
            Doing::Update => InputOutcome::Refused(Error::NotInAnswer),
            Doing::Read | Doing::Create => InputOutcome::OutcomeUnknown,
        }
    }
}

#[cfg(test)]
mod tests;
