//! Lists first, then the members of each, in the order of the lists' ids.

use chrono::Utc;
use domain::HubSpotObjectId;
use hubspot::{Cursor, ListId};
use serde::{Deserialize, Serialize};
use store::{ListRow, MembershipPage, QuarantineRow};

use super::{
    Slice, Stop,
    reader::{Fetched, Payload, clean, object_id, sort_out},
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

impl Place {
    fn parse(position: Option<&str>) -> Result<Self, Stop> {
        match position {
            None => Ok(Self::Lists { after: None }),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| Stop::Defect("the place of the list reader is not readable")),
        }
    }

    fn text(&self) -> Result<Option<String>, Stop> {
        serde_json::to_string(self)
            .map(Some)
            .map_err(|_| Stop::Defect("the place of the list reader is not writable"))
    }
}

pub(super) async fn fetch(slice: &Slice<'_>, position: Option<&str>) -> Result<Fetched, Stop> {
    match Place::parse(position)? {
        Place::Lists { after } => definitions(slice, after).await,
        Place::NextList { after } => {
            let next = slice
                .deps
                .store
                .next_list(
                    slice.input.workspace,
                    slice.input.portal,
                    slice.input.run,
                    after,
                )
                .await?;
            match next {
                Some(list) => members(slice, list, None).await,
                None => Ok(Fetched {
                    payload: Payload::Nothing,
                    quarantine: Vec::new(),
                    position: None,
                    finished: true,
                    sent_at: Utc::now(),
                }),
            }
        }
        Place::Members { list, after } => members(slice, list, after).await,
    }
}

async fn definitions(slice: &Slice<'_>, after: Option<String>) -> Result<Fetched, Stop> {
    let after = after.map(Cursor::new);
    let page = slice
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
        clean(
            key,
            &[Some(&name)],
            ListRow {
                id,
                name: list.name,
                object_type_id: list.object_type_id,
                processing_type: list.processing_type,
                processing_status: list.processing_status,
            },
        )
    });
    Ok(Fetched {
        payload: Payload::Lists(lists),
        quarantine,
        position: next.text()?,
        finished: false,
        sent_at,
    })
}

async fn members(
    slice: &Slice<'_>,
    list: HubSpotObjectId,
    after: Option<String>,
) -> Result<Fetched, Stop> {
    let after = after.map(Cursor::new);
    let id = ListId::new(u64::try_from(list.get()).unwrap_or_default());
    let (page, sent_at) = match slice
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
    Ok(Fetched {
        payload: Payload::Members(MembershipPage {
            list,
            members,
            last: matches!(next, Place::NextList { .. }),
        }),
        quarantine,
        position: next.text()?,
        finished: false,
        sent_at,
    })
}
