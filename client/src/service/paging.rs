//! Listings as streams.

use std::collections::VecDeque;

use domain::api::{Page, PageCursor, PageLimit};
use futures::{Stream, stream};
use utoipa::ToSchema;

use super::{Error, Unexpected};

/// Where a listing stands.
struct Position<T, F> {
    page: F,
    items: VecDeque<T>,
    after: Option<PageCursor>,
    limit: PageLimit,
    is_last: bool,
}

/// All items of a listing: asks for a page when the one before is used up.
pub(super) fn all<T, F, Q>(page: F) -> impl Stream<Item = Result<T, Error>>
where
    T: ToSchema,
    F: Fn(Option<PageCursor>, PageLimit) -> Q,
    Q: Future<Output = Result<Page<T>, Error>>,
{
    let start = Position {
        page,
        items: VecDeque::new(),
        after: None,
        limit: PageLimit::LARGEST,
        is_last: false,
    };
    stream::try_unfold(start, async |mut at| {
        loop {
            if let Some(item) = at.items.pop_front() {
                return Ok(Some((item, at)));
            }
            if at.is_last {
                return Ok(None);
            }
            match (at.page)(at.after.clone(), at.limit).await {
                Ok(page) => {
                    at.items = page.items.into();
                    at.is_last = page.next.is_none();
                    at.after = page.next;
                }
                Err(error) => at.limit = smaller(at.limit, &error).ok_or(error)?,
            }
        }
    })
}

/// Records can be so large that a whole page of them is too much.
fn smaller(limit: PageLimit, error: &Error) -> Option<PageLimit> {
    let too_large = matches!(
        error,
        Error::UnexpectedAnswer {
            status: 200,
            reason: Unexpected::TooLarge,
        }
    );
    // Less than one item is no limit, so this ends.
    too_large
        .then(|| PageLimit::try_from(limit.get() / 10).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::TryStreamExt as _;

    use super::*;

    fn cursor(n: usize) -> PageCursor {
        PageCursor::try_from(n.to_string()).unwrap()
    }

    #[tokio::test]
    async fn all_pages_come_one_after_the_other_and_too_large_ones_in_parts() {
        let asked = Mutex::new(Vec::new());
        let items = all(async |after: Option<PageCursor>, limit: PageLimit| {
            let from = after.map_or(0, |a| a.as_str().parse::<usize>().unwrap());
            asked.lock().unwrap().push((from, limit.get()));
            if limit.get() > 100 {
                return Err(Error::UnexpectedAnswer {
                    status: 200,
                    reason: Unexpected::TooLarge,
                });
            }
            let to = (from + limit.get() as usize).min(250);
            Ok(Page {
                unreadable: Vec::new(),
                items: (from..to).map(|n| n as u64).collect(),
                next: (to < 250).then(|| cursor(to)),
            })
        });
        let items: Vec<u64> = Box::pin(items).try_collect().await.unwrap();
        assert_eq!(items, (0..250).collect::<Vec<u64>>());
        assert_eq!(
            *asked.lock().unwrap(),
            [(0, 1_000), (0, 100), (100, 100), (200, 100)]
        );
    }

    #[tokio::test]
    async fn a_refusal_ends_the_stream() {
        let items = all(async |_, _| {
            Err::<Page<u64>, _>(Error::UnexpectedAnswer {
                status: 502,
                reason: Unexpected::NoProblem,
            })
        });
        let mut items = Box::pin(items);
        assert!(items.try_next().await.is_err());
        assert!(items.try_next().await.unwrap().is_none());
    }
}
