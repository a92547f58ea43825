//! Big object types: several readers share the ids of one type (design §4.7).
//!
//! Each reader has a range of its own, which nobody else touches while it is read. A reader without
//! one takes a range that waits, else the upper part of the range with most left: it finds the middle
//! by counting searches and asks the range's reader, who splits it at its next page border.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{
    HubSpotObjectId, ObjectType, RangeNo, RangeReader,
    ranges::{SplitAt, SplitSearch, SplitStep},
};
use futures::future::join_all;
use hubspot::search::{Filter, SearchRequest};
use store::{CursorRow, RangeRow};
use tokio::sync::{Notify, oneshot};

use crate::read::{
    Job, Source, Stop,
    driver::{self, Borders, Read, Reader},
    object_type, record_id,
};

/// Whoever waits for work looks again after this long, for the end of the slice.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Reads the ranges of a type until they are read or the time is over. Says whether they are.
pub(super) async fn read(
    job: &Job<'_>,
    object_type: ObjectType,
    cursor: &CursorRow,
) -> Result<bool, Stop> {
    let waiting: Vec<RangeRow> = job
        .deps
        .store
        .begin_ranges(&job.key)
        .await?
        .into_iter()
        .filter(|range| !range.finished)
        .collect();
    let sharing = job.deps.sharing;
    let size = if cursor.alone {
        sharing.crew(None)
    } else {
        sharing.crew(cursor.total)
    };
    let search = size.search || waiting.iter().any(|r| r.reader == RangeReader::Search);
    let crew = Crew {
        job,
        cursor,
        object_type,
        shares: size.list > 1,
        state: Mutex::new(State {
            waiting,
            reading: BTreeMap::new(),
        }),
        changed: Notify::new(),
        halted: AtomicBool::new(false),
        search_busy: Mutex::new(None),
        trouble: Mutex::new(None),
    };
    // The first list reader begins at the bottom; search is the first to take an upper part.
    let kinds = std::iter::once(Kind::List)
        .chain(search.then_some(Kind::Search))
        .chain((1..size.list).map(|_| Kind::List));
    for ended in join_all(kinds.map(|kind| crew.work(kind))).await {
        ended?;
    }
    let ranges = job.deps.store.ranges(&job.key).await?;
    if !ranges.is_empty() && ranges.iter().all(|range| range.finished) {
        return Ok(true);
    }
    // What failed of one range was no reason to stop the others; now it is told.
    if let Some(error) = lock(&crew.trouble).take() {
        return Err(error.into());
    }
    let busy = lock(&crew.search_busy).take();
    match busy {
        // Nothing else is left to read, and search cannot be had: not to be asked again at once.
        Some(error) if !job.is_over() => Err(error.into()),
        _ => Ok(false),
    }
}

/// Whether another page may well come although this one does not.
fn concerns_one_page(error: &hubspot::Error) -> bool {
    matches!(
        error,
        hubspot::Error::Transient { .. }
            | hubspot::Error::UnexpectedResponse { .. }
            | hubspot::Error::Unanswered
    )
}

/// Which endpoint a reader uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Search,
}

/// The readers of one type in one slice.
struct Crew<'a> {
    job: &'a Job<'a>,
    cursor: &'a CursorRow,
    object_type: ObjectType,
    shares: bool,
    state: Mutex<State>,
    changed: Notify,
    halted: AtomicBool,
    /// Why there is no search reader any more.
    search_busy: Mutex<Option<hubspot::Error>>,
    /// What went wrong with a range, which was laid down for this slice.
    trouble: Mutex<Option<hubspot::Error>>,
}

struct State {
    waiting: Vec<RangeRow>,
    reading: BTreeMap<RangeNo, Reading>,
}

/// A range that is being read, as others see it.
struct Reading {
    reader: RangeReader,
    upto: Option<HubSpotObjectId>,
    /// The last id that was committed; none before the first page, when nothing can be split.
    reached: Option<HubSpotObjectId>,
    left: Option<u64>,
    /// Somebody looks for the middle, or there is none.
    asked: bool,
    wish: Option<Wish>,
}

/// A reader without work asks for the upper part of a range.
struct Wish {
    at: SplitAt,
    reader: RangeReader,
    reply: oneshot::Sender<RangeRow>,
}

/// A range that is worth taking a part of.
struct Victim {
    no: RangeNo,
    reader: RangeReader,
    reached: HubSpotObjectId,
    last: HubSpotObjectId,
    left: u64,
}

impl Reading {
    fn of(row: &RangeRow) -> Self {
        Self {
            reader: row.reader,
            upto: row.ids.upto(),
            reached: None,
            left: row.left(),
            asked: false,
            wish: None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew<'_> {
    /// Range after range. One that fails is laid down, and others are read; what concerns the whole type
    /// makes everybody stop at the next page border.
    async fn work(&self, kind: Kind) -> Result<(), Stop> {
        let worked = async {
            while let Some(range) = self.take(kind).await? {
                let no = range.no;
                match self.read_range(range).await {
                    Ok(Read::ToTheEnd(Reader::Range(range))) => self.end(range),
                    Ok(_) => self.lay_down(no),
                    Err(Stop::HubSpot(error)) if concerns_one_page(&error) => {
                        self.lay_down(no);
                        self.job.note_trouble(&error).await?;
                        *lock(&self.trouble) = Some(error);
                    }
                    Err(stop) => {
                        self.lay_down(no);
                        return Err(stop);
                    }
                }
            }
            Ok(())
        }
        .await;
        match worked {
            Err(Stop::HubSpot(error @ hubspot::Error::BudgetWait { .. }))
                if kind == Kind::Search =>
            {
                // Others use search. The list readers have work all the same.
                *lock(&self.search_busy) = Some(error);
                Ok(())
            }
            Err(stop) => {
                self.halted.store(true, Ordering::Relaxed);
                self.changed.notify_waiters();
                Err(stop)
            }
            Ok(()) => Ok(()),
        }
    }

    /// The next range to read; none when there is nothing left to take, or the slice is over.
    async fn take(&self, kind: Kind) -> Result<Option<RangeRow>, Stop> {
        loop {
            if self.is_over() {
                return Ok(None);
            }
            let changed = self.changed.notified();
            if let Some(range) = self.take_waiting(kind, &[RangeReader::List, RangeReader::Search])
            {
                match self.as_kind(kind, range).await? {
                    Some(range) => return Ok(Some(range)),
                    None => continue,
                }
            }
            if let Some(victim) = self.victim(kind, &[RangeReader::List, RangeReader::Search]) {
                match self.share(kind, &victim).await? {
                    Some(range) => return Ok(Some(range)),
                    None => continue,
                }
            }
            // What search has read is listed again when nobody waits for the list endpoint.
            if kind == Kind::List {
                if let Some(range) = self.take_waiting(kind, &[RangeReader::Relist]) {
                    return Ok(Some(range));
                }
                if let Some(victim) = self.victim(kind, &[RangeReader::Relist]) {
                    match self.share(kind, &victim).await? {
                        Some(range) => return Ok(Some(range)),
                        None => continue,
                    }
                }
            }
            if self.is_done(kind) {
                return Ok(None);
            }
            let _looked_again = tokio::time::timeout(LOOK_AGAIN, changed).await;
        }
    }

    /// Whether there will be no work for this kind of reader any more.
    fn is_done(&self, kind: Kind) -> bool {
        let state = lock(&self.state);
        let open = |reader: RangeReader| match kind {
            // A range that is searched now is listed later.
            Kind::List => true,
            Kind::Search => reader != RangeReader::Relist,
        };
        let busy = state.reading.values().any(|r| open(r.reader));
        let waiting = state.waiting.iter().any(|r| match kind {
            Kind::List => r.reader != RangeReader::Search,
            Kind::Search => r.reader == RangeReader::Search,
        });
        !busy && !waiting
    }

    fn take_waiting(&self, kind: Kind, readers: &[RangeReader]) -> Option<RangeRow> {
        let mut state = lock(&self.state);
        let worth = |range: &RangeRow| {
            range.position.is_none()
                && range
                    .left()
                    .is_some_and(|left| self.job.deps.sharing.worth_splitting(left))
        };
        let fits = |range: &RangeRow| {
            readers.contains(&range.reader)
                && match (kind, range.reader) {
                    (Kind::List, RangeReader::Search) => false,
                    (Kind::List, _) | (Kind::Search, RangeReader::Search) => true,
                    (Kind::Search, RangeReader::List) => self.shares && worth(range),
                    (Kind::Search, RangeReader::Relist) => false,
                }
        };
        let place = match kind {
            Kind::List => state.waiting.iter().position(fits),
            // From the top, and what it had begun first.
            Kind::Search => state
                .waiting
                .iter()
                .position(|r| fits(r) && r.reader == RangeReader::Search)
                .or_else(|| state.waiting.iter().rposition(fits)),
        }?;
        let range = state.waiting.remove(place);
        state.reading.insert(range.no, Reading::of(&range));
        Some(range)
    }

    /// A range that waited, read by search from now on if a search reader took it.
    async fn as_kind(&self, kind: Kind, range: RangeRow) -> Result<Option<RangeRow>, Stop> {
        if kind == Kind::List || range.reader == RangeReader::Search {
            return Ok(Some(range));
        }
        let turned = self
            .job
            .deps
            .store
            .turn_range(&self.job.key, &range, RangeReader::Search)
            .await?
            .ok_or(Stop::Lost)?;
        if let Some(reading) = lock(&self.state).reading.get_mut(&turned.no) {
            *reading = Reading::of(&turned);
        }
        Ok(Some(turned))
    }

    /// The range with most left, if that is worth sharing.
    fn victim(&self, kind: Kind, readers: &[RangeReader]) -> Option<Victim> {
        if !self.shares {
            return None;
        }
        let mut state = lock(&self.state);
        let victim = state
            .reading
            .iter()
            .filter(|(_, r)| !r.asked && readers.contains(&r.reader))
            // A part of what search reads is no relief to the one search reader.
            .filter(|(_, r)| kind == Kind::List || r.reader == RangeReader::List)
            .filter_map(|(no, r)| {
                Some(Victim {
                    no: *no,
                    reader: r.reader,
                    reached: r.reached?,
                    last: r.upto.or(self.cursor.last_id)?,
                    left: r.left?,
                })
            })
            .max_by_key(|v| v.left)
            .filter(|v| self.job.deps.sharing.worth_splitting(v.left))?;
        if let Some(reading) = state.reading.get_mut(&victim.no) {
            reading.asked = true;
        }
        Some(victim)
    }

    /// Takes the upper part of a range, if its reader agrees.
    async fn share(&self, kind: Kind, victim: &Victim) -> Result<Option<RangeRow>, Stop> {
        let at = match self.middle(victim).await {
            Ok(Some(at)) => at,
            // It stays asked for: there is no middle, this slice does not look for one again.
            Ok(None) => return Ok(None),
            Err(
                hubspot::Error::BudgetWait { .. }
                | hubspot::Error::RateLimited { .. }
                | hubspot::Error::Transient { .. },
            ) => {
                // Counting is not worth a failure.
                tokio::time::sleep(LOOK_AGAIN * 4).await;
                self.no_longer_asked(victim.no);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let reader = match (kind, victim.reader) {
            (Kind::Search, _) => RangeReader::Search,
            (Kind::List, RangeReader::Relist) => RangeReader::Relist,
            (Kind::List, _) => RangeReader::List,
        };
        let (reply, given) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            let Some(reading) = state.reading.get_mut(&victim.no) else {
                return Ok(None);
            };
            // It became another range meanwhile.
            if reading.reader != victim.reader || reading.wish.is_some() {
                return Ok(None);
            }
            reading.wish = Some(Wish { at, reader, reply });
        }
        // Answered at the next page border, or dropped when the range is read.
        let given = given.await.ok();
        self.no_longer_asked(victim.no);
        Ok(given)
    }

    fn no_longer_asked(&self, no: RangeNo) {
        if let Some(reading) = lock(&self.state).reading.get_mut(&no) {
            reading.asked = false;
        }
    }

    /// The middle of what is left of a range, by counting.
    async fn middle(&self, victim: &Victim) -> Result<Option<SplitAt>, hubspot::Error> {
        let mut search = SplitSearch::new(Some(victim.reached), victim.last, victim.left);
        loop {
            match search.step() {
                SplitStep::Count(upto) => {
                    let request = SearchRequest::new(object_type(self.object_type))
                        .group([
                            Filter::id_after(record_id(victim.reached)),
                            Filter::id_up_to(record_id(upto)),
                        ])
                        .limit(1);
                    let page = self.job.client.search().run(&request).await?;
                    let count = page.total.ok_or(hubspot::Error::UnexpectedResponse {
                        context: "search page without a total",
                    })?;
                    search.counted(count);
                }
                SplitStep::Split(at) => return Ok(Some(at)),
                SplitStep::GiveUp => return Ok(None),
            }
        }
    }

    /// Reads a range to its end, or to the end of the slice.
    async fn read_range(&self, range: RangeRow) -> Result<Read, Stop> {
        let source = Source::of_range(self.object_type, range.reader, self.cursor.began_at);
        match driver::drive(self.job, source, Reader::Range(range), self).await {
            Err(Stop::NotById) => Err(self.walk_alone().await),
            read => read,
        }
    }

    /// Splits the range, if somebody asked for its upper part and none of that was read.
    async fn grant(&self, range: RangeRow) -> Result<RangeRow, Stop> {
        let wish = {
            let mut state = lock(&self.state);
            let reading = state.reading.get_mut(&range.no);
            reading.and_then(|r| r.wish.take().filter(|w| r.reached < Some(w.at.at)))
        };
        let Some(wish) = wish else { return Ok(range) };
        // The reader went on while the middle was looked for.
        let at = SplitAt {
            lower: range.left().unwrap_or(0).saturating_sub(wish.at.upper),
            ..wish.at
        };
        let split = self
            .job
            .deps
            .store
            .split_range(&self.job.key, &range, at, wish.reader)
            .await?;
        // Another attempt is at work.
        let Some((lower, upper)) = split else {
            return Err(Stop::Lost);
        };
        tracing::debug!(
            object_type = %self.job.sync_type(), range = %lower.no, gave = %upper.no, reader = upper.reader.as_str(),
            lower = at.lower, upper = at.upper, "split"
        );
        let mut state = lock(&self.state);
        if let Some(reading) = state.reading.get_mut(&lower.no) {
            reading.upto = lower.ids.upto();
            reading.left = lower.left();
        }
        let no = upper.no;
        state.reading.insert(no, Reading::of(&upper));
        if let Err(upper) = wish.reply.send(upper) {
            // Whoever asked is gone: it waits for the next.
            state.reading.remove(&no);
            state.waiting.push(upper);
        }
        drop(state);
        Ok(lower)
    }

    /// A range whose reader stops before its end. Whoever waits for a part of it waits no more.
    fn lay_down(&self, no: RangeNo) {
        lock(&self.state).reading.remove(&no);
        self.changed.notify_waiters();
    }

    /// A range that came to its end, or to another reader.
    fn end(&self, range: RangeRow) {
        let mut state = lock(&self.state);
        state.reading.remove(&range.no);
        if !range.finished {
            state.waiting.push(range);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The list endpoint does not go by id: what ranges would mean is unknown.
    async fn walk_alone(&self) -> Stop {
        let sync_type = self.job.sync_type();
        tracing::warn!(object_type = %sync_type, "HubSpot does not list by id; one reader walks alone");
        match self.job.deps.store.read_alone(&self.job.key).await {
            Ok(()) => Stop::Lost,
            Err(error) => error.into(),
        }
    }
}

impl Borders for Crew<'_> {
    async fn before(&self, reader: Reader) -> Result<Reader, Stop> {
        match reader {
            Reader::Range(range) => self.grant(range).await.map(Reader::Range),
            cursor @ Reader::Cursor { .. } => Ok(cursor),
        }
    }

    /// Tells the others how far a range is.
    fn passed(&self, reader: &Reader, reached: Option<HubSpotObjectId>) {
        let Reader::Range(range) = reader else {
            return;
        };
        let mut state = lock(&self.state);
        let first = state.reading.get_mut(&range.no).is_some_and(|reading| {
            let first = reading.reached.is_none();
            reading.left = range.left();
            reading.reached = reached.or(reading.reached);
            first
        });
        drop(state);
        if first {
            self.changed.notify_waiters();
        }
    }

    fn is_over(&self) -> bool {
        self.halted.load(Ordering::Relaxed) || self.job.is_over()
    }
}
