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

/// A page of the members of a list.
pub(super) async fn members(job: &Job<'_>, list: HubSpotObjectId, at: &At) -> Result<Page, Stop> {
    let after = at.position.clone().map(Cursor::new);
    let id = ListId::new(list.get().unsigned_abs());
    let page = job
        .client
        .lists()
        .members(id, after.as_ref(), at.limit)
        .await?;
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (seen, missing) = (seen(&page, |m| m.record_id.get()), missing(&page));
    let next = page.next.as_ref().map(|cursor| cursor.as_str().to_owned());
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
        listing: match next {
            Some(_) => Listing::Open,
            None => Listing::Ends { said: None },
        },
        next,
        sent_at,
        served_at,
        newest: None,
    })
}
