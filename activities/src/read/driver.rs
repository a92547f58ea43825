//! The driver: moves one reader, page by page, from its place to its end.

use std::{collections::BTreeSet, time::Duration};

use domain::{HubSpotObjectId, IdRange, ranges::cut};
use hubspot::{Cursor, PagingGuard};
use store::{Batch, CursorRow, Listing, RangeRow, RangeStep, Span, Step};

use super::{
    Job, Source, Stop,
    page::{At, Page},
};

/// Pauses before a page is read again that contradicts its own total, or that goes in circles.
const DOUBT: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// How often a page is halved within one attempt: where HubSpot is away, smaller pages are no help.
const HALVINGS: u32 = 3;

/// What a page moves: the cursor of its type, or a range of it.
#[derive(Debug, Clone)]
pub(crate) enum Reader {
    /// The cursor of a type.
    Cursor {
        /// What the next page has to compare and set.
        version: i64,
        /// The place to go on from.
        position: Option<String>,
    },
    /// One of the ranges of a type.
    Range(RangeRow),
}

/// How far a reader came.
#[derive(Debug)]
pub(crate) enum Read {
    /// There is nothing beyond.
    ToTheEnd(Reader),
    /// The time was over.
    InPart,
}

/// What happens at page borders besides moving on.
pub(crate) trait Borders: Sync {
    /// Before a page is read: the reader that goes on, which may be a smaller one.
    fn before(&self, reader: Reader) -> impl Future<Output = Result<Reader, Stop>> + Send;

    /// After a page was committed, and more is to come: where the reader stands, and the last id that
    /// it passed, if it goes by id.
    fn passed(&self, reader: &Reader, reached: Option<HubSpotObjectId>);

    /// Whether this page shall be the last for now.
    fn is_over(&self) -> bool;
}

/// Nobody else reads the type.
pub(crate) struct Alone<'a, 'b>(pub(crate) &'a Job<'b>);

impl Borders for Alone<'_, '_> {
    async fn before(&self, reader: Reader) -> Result<Reader, Stop> {
        Ok(reader)
    }

    fn passed(&self, _reader: &Reader, _reached: Option<HubSpotObjectId>) {}

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl Reader {
    pub(crate) fn of_cursor(cursor: &CursorRow) -> Self {
        Self::Cursor {
            version: cursor.version,
            position: cursor.position.clone(),
        }
    }

    fn at(&self) -> At {
        let (position, ids) = match self {
            Self::Cursor { position, .. } => (position, IdRange::WHOLE),
            Self::Range(range) => (&range.position, range.ids),
        };
        At {
            position: position.clone(),
            ids,
            limit: 0,
        }
    }

    /// Whether a page is this reader's last, and whether it goes by id.
    fn end_at(&self, page: &Page) -> Result<End, Stop> {
        match self {
            Self::Cursor { .. } => Ok(End {
                finished: page.next.is_none(),
                reached: None,
                by_id: false,
            }),
            Self::Range(range) => {
                let cut = cut(range.ids, page.asked_from, &page.ids, page.next.is_some());
                if !cut.by_id && !range.ids.is_whole() {
                    return Err(Stop::NotById);
                }
                Ok(End {
                    finished: cut.finished,
                    reached: page.ids.last().copied().filter(|_| cut.by_id),
                    by_id: cut.by_id,
                })
            }
        }
    }

    /// The ids between which a page has brought all that there are; none where that cannot be told.
    fn span(&self, source: Source, at: &At, page: &Page, end: &End) -> Option<Span> {
        let Self::Range(range) = self else {
            return None;
        };
        if !source.is_whole_listing() || !end.by_id {
            return None;
        }
        let beyond = |id: HubSpotObjectId| HubSpotObjectId::new(id.get() + 1).ok();
        let from = match at.after_id() {
            // A place that is no id says nothing of where the page begins.
            Some(_) => Some(page.asked_from?),
            None => None,
        };
        let below = if end.finished {
            range.ids.upto().map(|upto| beyond(upto).ok_or(()))
        } else {
            Some(page.next.as_deref()?.parse().map_err(|_| ()))
        };
        Some(Span {
            from: from.max(range.ids.after().and_then(beyond)),
            below: below.transpose().ok()?,
            brought: page.ids.clone(),
        })
    }

    fn step(&self, job: &Job<'_>, source: Source, page: &Page, finished: bool) -> Step {
        let (expected_version, range) = match self {
            Self::Cursor { version, .. } => (*version, None),
            Self::Range(range) => {
                let seen = page.ids.iter().filter(|id| range.ids.contains(**id));
                let step = RangeStep {
                    no: range.no,
                    seen: seen.count() as u64,
                    next_reader: finished.then(|| range.reader.next()).flatten(),
                };
                (range.version, Some(step))
            }
        };
        let range_ends = range.is_some() && finished;
        // Of records, the type ends apart, when what was not answered was asked again. Until then the
        // place behind the last one is where a reader that begins again finds nothing more.
        let type_ends = range.is_none() && finished && !source.is_of_records();
        let last = || match self {
            Self::Cursor { position, .. } => page
                .ids
                .iter()
                .max()
                .map(ToString::to_string)
                .or_else(|| position.clone()),
            Self::Range(_) => None,
        };
        let position = if range_ends || type_ends {
            None
        } else if finished {
            last()
        } else {
            page.next.clone()
        };
        Step {
            range,
            finished: range_ends || type_ends,
            newest: page.newest,
            served_at: page.served_at,
            ..job.step(expected_version, position)
        }
    }

    /// The reader as it stands after a step.
    fn after(self, step: Step, version: i64) -> Self {
        match (self, step.range) {
            (Self::Range(range), Some(moved)) => Self::Range(RangeRow {
                position: step.position,
                version,
                reader: moved.next_reader.unwrap_or(range.reader),
                expected: match moved.next_reader {
                    Some(_) => Some(range.seen + moved.seen),
                    None => range.expected,
                },
                seen: match moved.next_reader {
                    Some(_) => 0,
                    None => range.seen + moved.seen,
                },
                finished: step.finished && moved.next_reader.is_none(),
                ..range
            }),
            _ => Self::Cursor {
                version,
                position: step.position,
            },
        }
    }
}

struct End {
    finished: bool,
    reached: Option<HubSpotObjectId>,
    by_id: bool,
}

/// Pages of a listing that is read a second time: it is held in memory.
const MOST_PAGES: usize = 10_000;

/// A listing that shrank is read a second time, from its beginning, before anything is removed. Where
/// HubSpot's own count contradicts it even then, nothing is.
async fn read_again(job: &Job<'_>, source: Source, at: &At, step: &Step) -> Result<i64, Stop> {
    let mut at = source.beginning(at);
    let mut whole: Option<Batch> = None;
    let mut places = BTreeSet::new();
    let mut whole = loop {
        if !places.insert(at.position.clone()) || places.len() > MOST_PAGES {
            return Err(hubspot::Error::PagingStuck {
                context: "a listing that is read again",
            }
            .into());
        }
        let page = fetch(job, source, &at).await?;
        let next = page.next.clone().filter(|_| page.listing == Listing::Open);
        let batch = source.fill(job, &at, page).await?;
        let all = match whole.take() {
            Some(mut all) => {
                all.append(batch);
                all
            }
            None => batch,
        };
        match next {
            Some(position) => at.position = Some(position),
            None => break all,
        }
        whole = Some(all);
    };
    whole.listing = whole.listing.again();
    if let Some(version) = job.commit(step, whole.clone()).await? {
        return Ok(version);
    }
    // HubSpot's own count contradicts both: nothing is removed, and the type does not count as read.
    whole.listing = Listing::Open;
    job.deps.store.note_unanswered(&job.key, 1).await?;
    job.commit(step, whole)
        .await?
        .ok_or(Stop::Defect("a listing that is open shrank"))
}

/// Moves a reader page by page, each page committed with its step in one transaction, until there is
/// nothing beyond or the time is over.
pub(crate) async fn drive<B: Borders>(
    job: &Job<'_>,
    source: Source,
    mut reader: Reader,
    borders: &B,
) -> Result<Read, Stop> {
    let mut guard = source.guard();
    let mut next: Option<Page> = None;
    loop {
        reader = borders.before(reader).await?;
        let at = reader.at();
        let page = sound(job, source, &at, &mut guard, next.take()).await?;
        let end = reader.end_at(&page)?;
        let last = end.finished || borders.is_over();
        let step = reader.step(job, source, &page, end.finished);
        let span = reader.span(source, &at, &page, &end);
        let ahead = At {
            position: step.position.clone(),
            ..at.clone()
        };
        // The next page is fetched while this one is filled and committed; not at the end, as nobody
        // would commit it.
        let look_ahead = async {
            if last || !source.may_look_ahead() {
                return Ok(None);
            }
            fetch(job, source, &ahead).await.map(Some)
        };
        let keep = async {
            let mut batch = source.fill(job, &at, page).await?;
            batch.span = span;
            match job.commit(&step, batch).await? {
                Some(version) => Ok(version),
                None => read_again(job, source, &at, &step).await,
            }
        };
        let (kept, fetched) = tokio::join!(keep, look_ahead);
        reader = reader.after(step, kept?);
        if end.finished {
            return Ok(Read::ToTheEnd(reader));
        }
        borders.passed(&reader, end.reached);
        if last {
            return Ok(Read::InPart);
        }
        next = fetched?;
    }
}

/// A page that neither goes in circles nor contradicts its own total. One that does is read again
/// after a while, a few times; what it lacks then is noted, and leaves the type incomplete.
async fn sound(
    job: &Job<'_>,
    source: Source,
    at: &At,
    guard: &mut Option<PagingGuard>,
    first: Option<Page>,
) -> Result<Page, Stop> {
    let mut page = match first {
        Some(page) => page,
        None => fetch(job, source, at).await?,
    };
    let after = at.position.clone().map(Cursor::new);
    let mut pauses = DOUBT.iter();
    loop {
        if source.trusts_the_index() && page.missing > 0 {
            if let Some(pause) = pauses.next() {
                tokio::time::sleep(*pause).await;
                page = fetch(job, source, at).await?;
                continue;
            }
            job.note_code(crate::failure::INDEX_BEHIND).await?;
            let store = &job.deps.store;
            store.note_unanswered(&job.key, page.missing).await?;
            page.missing = 0;
        }
        let Some(guard) = guard.as_mut() else {
            return Ok(page);
        };
        let next = page.next.clone().map(Cursor::new);
        let ids = page.seen.iter().copied();
        let Err(stuck) = guard.step(after.as_ref(), next.as_ref(), ids) else {
            return Ok(page);
        };
        let Some(pause) = pauses.next() else {
            return Err(stuck.into());
        };
        tokio::time::sleep(*pause).await;
        page = fetch(job, source, at).await?;
    }
}

/// One page. The client has asked as often as it is worth; what fails then may be too large.
async fn fetch(job: &Job<'_>, source: Source, at: &At) -> Result<Page, Stop> {
    let most = source.most();
    let mut halvings = 0;
    loop {
        let limit = job.page_size(most);
        let at = At {
            limit,
            ..at.clone()
        };
        match source.fetch(job, &at).await {
            Ok(page) => {
                if source.has_pages() {
                    job.went_well(limit, most).await?;
                }
                return Ok(page);
            }
            Err(Stop::HubSpot(error @ hubspot::Error::Transient { .. }))
                if source.has_pages() && halvings < HALVINGS =>
            {
                halvings += 1;
                if !job.failed(limit).await? {
                    return Err(error.into());
                }
            }
            Err(stop) => return Err(stop),
        }
    }
}
