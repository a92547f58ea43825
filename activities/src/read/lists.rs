//! Lists first, then the members of each, in the order of the lists' ids.

use chrono::Utc;
use domain::HubSpotObjectId;
use hubspot::{Cursor, ListId};
use serde::{Deserialize, Serialize};
use store::{ListRow, Listing, MembershipPage, QuarantineRow, Rows};

use super::{
    Job, Stop,
    page::{At, Content, Page, clean, object_id, read_place, sort_out, write_place},
};

/// Lists a page; HubSpot takes 500 at most.
const LISTS_PER_PAGE: u32 = hubspot::lists::PAGE;

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

pub(super) async fn fetch(job: &Job<'_>, at: &At) -> Result<Page, Stop> {
    match read_place(at.position.as_deref())? {
        Place::Lists { after } => definitions(job, after).await,
        Place::NextList { after } => {
            let next = job
                .deps
                .store
                .next_list(job.workspace, job.portal, job.run, after)
                .await?;
            match next {
                Some(list) => members(job, list, None).await,
                None => Ok(Page {
                    content: Content::Rows(Rows::Lists(Vec::new())),
                    quarantine: Vec::new(),
                    ids: Vec::new(),
                    asked_from: None,
                    next: None,
                    listing: Listing::Open,
                    sent_at: Utc::now(),
                }),
            }
        }
        Place::Members { list, after } => members(job, list, after).await,
    }
}

async fn definitions(job: &Job<'_>, after: Option<String>) -> Result<Page, Stop> {
    let after = after.map(Cursor::new);
    let page = job
        .client
        .lists()
        .search(after.as_ref(), LISTS_PER_PAGE)
        .await?;
    let next = match &page.next {
        Some(cursor) => Place::Lists {
            after: Some(cursor.as_str().to_owned()),
        },
        None => Place::NextList { after: None },
    };
    let listing = match &page.next {
        Some(_) => Listing::Open,
        None => Listing::Ends { said: page.total },
    };
    let sent_at = page.sent_at;
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
        asked_from: None,
        next: Some(write_place(&next)?),
        listing,
        sent_at,
    })
}

/// Where the listing begins of which a page was asked for at a place: all lists, or the members of one.
pub(super) fn beginning(at: &At) -> Result<Option<String>, Stop> {
    match read_place(at.position.as_deref())? {
        Place::Lists { .. } => Ok(None),
        Place::NextList { .. } => Ok(at.position.clone()),
        Place::Members { list, .. } => write_place(&Place::Members { list, after: None }).map(Some),
    }
}

async fn members(
    job: &Job<'_>,
    list: HubSpotObjectId,
    after: Option<String>,
) -> Result<Page, Stop> {
    let after = after.map(Cursor::new);
    let id = ListId::new(u64::try_from(list.get()).unwrap_or_default());
    let (page, sent_at) = match job
        .client
        .lists()
        .members(id, after.as_ref(), hubspot::lists::MEMBERS)
        .await
    {
        Ok(page) => {
            let sent_at = page.sent_at;
            (Some(page), sent_at)
        }
        // Deleted since it was listed: it has no members any more.
        Err(hubspot::Error::NotFound) => (None, Utc::now()),
        Err(error) => return Err(error.into()),
    };
    let next = match page.as_ref().and_then(|p| p.next.as_ref()) {
        Some(cursor) => Place::Members {
            list,
            after: Some(cursor.as_str().to_owned()),
        },
        None => Place::NextList { after: Some(list) },
    };
    let (members, quarantine) = page.map_or_else(
        || (Vec::new(), Vec::new()),
        |page| {
            sort_out(page, |member| {
                object_id(member.record_id.get()).ok_or_else(|| QuarantineRow {
                    key: member.record_id.to_string(),
                    reason: domain::QuarantineReason::IdNotANumber,
                    raw: Vec::new(),
                })
            })
        },
    );
    Ok(Page {
        content: Content::Rows(Rows::Members(MembershipPage { list, members })),
        quarantine,
        ids: Vec::new(),
        asked_from: None,
        next: Some(write_place(&next)?),
        listing: match next {
            Place::NextList { .. } => Listing::Ends { said: None },
            _ => Listing::Open,
        },
        sent_at,
    })
}
