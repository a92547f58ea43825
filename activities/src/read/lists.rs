//! Lists, and the members of one.

use std::collections::BTreeSet;

use domain::HubSpotObjectId;
use hubspot::{Cursor, ListId};
use serde::{Deserialize, Serialize};
use store::{ListRow, Listing, MembershipPage, QuarantineRow, Rows};

use super::{
    Job, Stop,
    page::{At, Content, Page, clean, missing, object_id, read_place, seen, sort_out, write_place},
};

/// The place in a list of lists. The last two are of programs that read members by the same cursor.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// Definitions, from this offset on.
    Lists { after: Option<String> },
    /// The members of the next list beyond this one.
    NextList { after: Option<HubSpotObjectId> },
    /// The members of this list.
    Members {
        list: HubSpotObjectId,
        after: Option<String>,
    },
}

impl Default for Place {
    fn default() -> Self {
        Self::Lists { after: None }
    }
}

/// A page of list definitions.
pub(super) async fn definitions(job: &Job<'_>, at: &At) -> Result<Page, Stop> {
    let Place::Lists { after } = read_place(at.position.as_deref())? else {
        // Written before members had cursors of their own: the definitions were read by then.
        return Ok(Page::left_out(None));
    };
    let after = after.map(Cursor::new);
    let page = job.client.lists().search(after.as_ref(), at.limit).await?;
    let next = page.next.as_ref().map(|cursor| Place::Lists {
        after: Some(cursor.as_str().to_owned()),
    });
    let listing = match next {
        Some(_) => Listing::Open,
        None => Listing::Ends { said: page.total },
    };
    let (seen, missing) = (seen(&page, |list| list.list_id.get()), missing(&page));
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (lists, quarantine) = sort_out(page, |list| {
        let key = list.list_id.to_string();
        let Some(id) = object_id(list.list_id.get()) else {
            return Err(QuarantineRow {
                key,
                reason: domain::QuarantineReason::IdNotANumber,
                raw: Vec::new(),
            });
        };
        let name = list.name.clone();
        let size = list.size();
        clean(
            key,
            &[Some(&name)],
            ListRow {
                id,
                name: list.name,
                object_type_id: list.object_type_id,
                processing_type: list.processing_type,
                processing_status: list.processing_status,
                size,
            },
        )
    });
    Ok(Page {
        content: Content::Rows(Rows::Lists(lists)),
        quarantine,
        ids: Vec::new(),
        seen,
        missing,
        asked_from: None,
        next: next.as_ref().map(write_place).transpose()?,
        listing,
        sent_at,
        served_at,
        newest: None,
        tail: None,
    })
}

/// A page of list definitions of a reading in passing: a whole listing that lacks nothing that is stored
/// removes nothing, and then rows that did not change are not written.
pub(super) async fn in_passing(job: &Job<'_>, at: &At) -> Result<Page, Stop> {
    let mut page = definitions(job, at).await?;
    let one_page = at.position.is_none() && page.next.is_none();
    if let Content::Rows(Rows::Lists(rows)) = &page.content
        && one_page
    {
        let brought: BTreeSet<i64> = rows.iter().map(|list| list.id.get()).collect();
        let store = &job.deps.store;
        let known = store.list_ids(job.key.workspace, job.key.portal).await?;
        if known.iter().all(|id| brought.contains(id)) {
            page.listing = Listing::InPassing;
        }
    }
    Ok(page)
}

/// In which order the members of a list are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By id.
    Ids,
    /// As they joined, all of them.
    Joined,
    /// As they joined, from where the last page began: who is new. Nobody is gone because of it.
    Tail,
}

/// What a place in the order in which members joined begins with: the other order has places of HubSpot's
/// own.
const JOINED: &str = "joined ";

impl Order {
    /// The order in which a whole reading goes on: where it began, in that.
    pub(crate) fn of_whole(position: Option<&str>, huge: bool) -> Self {
        match position {
            Some(place) if place.starts_with(JOINED) => Self::Joined,
            None if huge => Self::Joined,
            _ => Self::Ids,
        }
    }
}

/// A page of the members of a list.
pub(super) async fn members(
    job: &Job<'_>,
    list: HubSpotObjectId,
    order: Order,
    at: &At,
) -> Result<Page, Stop> {
    let place = at.position.as_deref();
    let after = place
        .map(|place| place.strip_prefix(JOINED).unwrap_or(place))
        .filter(|place| !place.is_empty())
        .map(|place| Cursor::new(place.to_owned()));
    let id = ListId::new(list.get().unsigned_abs());
    let lists = job.client.lists();
    let page = match order {
        Order::Ids => lists.members(id, after.as_ref(), at.limit).await?,
        Order::Joined | Order::Tail => {
            let after = after.as_ref();
            lists.members_in_join_order(id, after, at.limit).await?
        }
    };
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (seen, missing) = (seen(&page, |m| m.record_id.get()), missing(&page));
    let next = page.next.as_ref().map(|cursor| match order {
        Order::Ids => cursor.as_str().to_owned(),
        Order::Joined | Order::Tail => format!("{JOINED}{}", cursor.as_str()),
    });
    let tail = match (order, &next) {
        (Order::Joined | Order::Tail, None) => Some(place.unwrap_or(JOINED).to_owned()),
        _ => None,
    };
    let (members, quarantine) = sort_out(page, |member| {
        object_id(member.record_id.get()).ok_or_else(|| QuarantineRow {
            key: member.record_id.to_string(),
            reason: domain::QuarantineReason::IdNotANumber,
            raw: Vec::new(),
        })
    });
    Ok(Page {
        content: Content::Rows(Rows::Members(MembershipPage { list, members })),
        quarantine,
        ids: Vec::new(),
        seen,
        missing,
        asked_from: None,
        listing: match (order, &next) {
            (Order::Tail, _) | (_, Some(_)) => Listing::Open,
            (_, None) => Listing::Ends { said: None },
        },
        next,
        sent_at,
        served_at,
        newest: None,
        tail,
    })
}
