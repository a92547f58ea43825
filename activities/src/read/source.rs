//! Sources: where the pages of a type come from.

use chrono::{DateTime, Utc};
use domain::{HubSpotObjectId, ObjectType, RangeReader, ReadPlan, SyncType};
use hubspot::PagingGuard;
use store::{Batch, CursorKey, FoundBy, RecordRows, Rows};

use super::{
    Job, Stop, definitions,
    lists::{self, Order},
    page::{At, Content, Page},
    records,
    touches::{self, Touches},
    verify,
};

/// What is read, and by which endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Records by the list endpoint, with their associations.
    List(ObjectType),
    /// Records by search, in the order of ids; associations are read apart.
    Search(ObjectType),
    /// Ids by the list endpoint; of those that the mirror does not have as new as that and read since
    /// `since`, the records are read.
    Relist {
        object_type: ObjectType,
        /// By our clock.
        since: DateTime<Utc>,
    },
    /// Records that were modified since a time, by search; associations are read apart.
    ModifiedSince {
        object_type: ObjectType,
        /// By HubSpot's clock.
        since: DateTime<Utc>,
    },
    /// What lies in the recycle bin, by the list endpoint (I3).
    Archived(ObjectType),
    /// Records that the mirror knows, each asked for by its id with its associations (I3).
    Known(ObjectType),
    /// Records that wait to be read again, the same way (I3).
    Waiting(ObjectType),
    /// The same, of which only those are kept that are news.
    News {
        /// Of which type.
        object_type: ObjectType,
        /// By HubSpot's clock.
        since: DateTime<Utc>,
    },
    /// Active owners, in passing.
    ActiveOwners,
    /// The active property definitions of one type, in passing.
    DefinitionsOf(ObjectType),
    /// Lists, in passing.
    ListsInPassing,
    /// Owners, archived ones too.
    Owners,
    /// Property definitions, type after type.
    Properties,
    /// Pipelines of deals.
    Pipelines,
    /// Lists, with their sizes.
    Lists,
    /// The members of one list.
    Members(HubSpotObjectId, Order),
    /// Recent engagements of other reps, by search, kind after kind (I10).
    Touches(Touches),
}

/// What HubSpot's list endpoint gives at most.
const LIST_PAGE: u32 = 100;
const OWNERS_PAGE: u32 = 100;
/// What a batch read takes at most.
const BATCH_READ: u32 = 100;

impl Source {
    /// What reads a type that has one cursor.
    pub(crate) const fn of_type(sync_type: SyncType, plan: ReadPlan) -> Self {
        match (sync_type.object_type(), plan) {
            (Some(object_type), ReadPlan::List) => Self::List(object_type),
            (Some(object_type), ReadPlan::ModifiedSince { since }) => {
                Self::ModifiedSince { object_type, since }
            }
            (None, _) => match sync_type {
                SyncType::Owners => Self::Owners,
                SyncType::Properties => Self::Properties,
                SyncType::Pipelines => Self::Pipelines,
                _ => Self::Lists,
            },
        }
    }

    /// What reads a range of a type that was begun at `began_at`.
    pub(crate) const fn of_range(
        object_type: ObjectType,
        reader: RangeReader,
        began_at: DateTime<Utc>,
    ) -> Self {
        match reader {
            RangeReader::List => Self::List(object_type),
            RangeReader::Search => Self::Search(object_type),
            RangeReader::Relist => Self::Relist {
                object_type,
                since: began_at,
            },
        }
    }

    /// How many a page are asked for at most.
    pub(super) const fn most(self) -> u32 {
        match self {
            Self::List(_) | Self::Relist { .. } | Self::Archived(_) => LIST_PAGE,
            Self::Known(_) | Self::Waiting(_) => BATCH_READ,
            Self::Search(_) | Self::ModifiedSince { .. } | Self::News { .. } | Self::Touches(_) => {
                hubspot::search::PAGE
            }
            Self::Owners | Self::ActiveOwners => OWNERS_PAGE,
            Self::Lists | Self::ListsInPassing => hubspot::lists::PAGE,
            Self::Members(..) => hubspot::lists::MEMBERS,
            // They come whole.
            Self::Properties | Self::DefinitionsOf(_) | Self::Pipelines => u32::MAX,
        }
    }

    /// Whether a smaller page can be asked for.
    pub(super) const fn has_pages(self) -> bool {
        !matches!(
            self,
            Self::Properties | Self::DefinitionsOf(_) | Self::Pipelines
        )
    }

    /// Whether records are read: then the end of the pages is not yet the end of the type, as some
    /// records may have to be asked for again.
    pub(super) const fn is_of_records(self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Search(_)
                | Self::Relist { .. }
                | Self::ModifiedSince { .. }
                | Self::Archived(_)
                | Self::Known(_)
                | Self::Waiting(_)
                | Self::News { .. }
        )
    }

    /// Whether a page, where it goes by id, brings all records between its place and the next one.
    pub(super) const fn is_whole_listing(self) -> bool {
        matches!(self, Self::List(_) | Self::Relist { .. })
    }

    /// Whether what search lacks is found by nobody else.
    pub(super) const fn trusts_the_index(self) -> bool {
        matches!(
            self,
            Self::ModifiedSince { .. }
                | Self::News { .. }
                | Self::Lists
                | Self::ListsInPassing
                | Self::Touches(_)
        )
    }

    /// What sees to it that the pages come to an end; none for what has no pages. Owners and archived
    /// owners are two listings, and an owner may be in both.
    pub(super) fn guard(self) -> Option<PagingGuard> {
        match self {
            // The store's ids ascend.
            Self::Properties
            | Self::DefinitionsOf(_)
            | Self::Pipelines
            | Self::Known(_)
            | Self::Waiting(_) => None,
            // Each kind begins with its first id; that ids ascend is looked at there.
            Self::Touches(_) => None,
            Self::Search(_) | Self::ModifiedSince { .. } | Self::News { .. } => {
                Some(PagingGuard::ascending("search by id"))
            }
            Self::List(_) | Self::Relist { .. } | Self::Archived(_) => {
                Some(PagingGuard::any_order("records"))
            }
            Self::Owners | Self::ActiveOwners => Some(PagingGuard::any_order("owners")),
            Self::Lists | Self::ListsInPassing => Some(PagingGuard::any_order("lists")),
            Self::Members(..) => Some(PagingGuard::any_order("members of a list")),
        }
    }

    /// Whether the place after a page is enough to read the next one before the page is committed.
    /// Definitions of one type come in one page.
    pub(super) const fn may_look_ahead(self) -> bool {
        self.has_pages()
    }

    /// Where the listing begins of which a page was asked for at a place.
    pub(super) fn beginning(self, at: &At) -> At {
        At {
            position: match self {
                Self::Properties => at.position.clone(),
                _ => None,
            },
            ..at.clone()
        }
    }

    /// The page at a place.
    pub(super) async fn fetch(self, job: &Job<'_>, at: &At) -> Result<Page, Stop> {
        match self {
            Self::List(object_type) => records::list(job, object_type, at).await,
            Self::Search(object_type) => records::search(job, object_type, at).await,
            Self::Relist { object_type, .. } => records::list_ids(job, object_type, at).await,
            Self::ModifiedSince { object_type, since } => {
                records::modified_since(job, object_type, since, at).await
            }
            Self::Archived(object_type) => records::archived(job, object_type, at).await,
            Self::Known(object_type) => {
                let CursorKey {
                    workspace, portal, ..
                } = job.key;
                let store = &job.deps.store;
                let ids = store
                    .known_after(workspace, portal, object_type, at.after_object()?, at.limit)
                    .await?;
                Ok(Page::of_ids(Content::Known(ids.clone()), ids, at.limit))
            }
            Self::Waiting(object_type) => {
                let CursorKey {
                    workspace, portal, ..
                } = job.key;
                let store = &job.deps.store;
                let waiting = store
                    .rereads_after(workspace, portal, object_type, at.after_object()?, at.limit)
                    .await?;
                let ids = waiting.iter().map(|r| r.id).collect();
                Ok(Page::of_ids(Content::Waiting(waiting), ids, at.limit))
            }
            Self::News { object_type, since } => {
                records::modified_since(job, object_type, since, at).await
            }
            Self::ActiveOwners => definitions::active_owners(job, at).await,
            Self::DefinitionsOf(object_type) => definitions::definitions_of(job, object_type).await,
            Self::ListsInPassing => lists::in_passing(job, at).await,
            Self::Owners => definitions::owners(job, at).await,
            Self::Properties => definitions::properties(job, at).await,
            Self::Pipelines => definitions::pipelines(job).await,
            Self::Lists => lists::definitions(job, at).await,
            Self::Members(list, order) => lists::members(job, list, order, at).await,
            Self::Touches(of) => touches::page(job, of, at).await,
        }
    }

    /// What of a page is wanted, with what has to be asked for apart. Nothing for a page that was not
    /// read.
    pub(super) async fn fill(self, job: &Job<'_>, at: &At, page: Page) -> Result<Batch, Stop> {
        let Page {
            content,
            mut quarantine,
            mut sent_at,
            listing,
            tail,
            ..
        } = page;
        let mut unanswered = Vec::new();
        let rows = match content {
            Content::Known(ids) => {
                let batch = match self {
                    Self::Known(object_type) => verify::known(job, object_type, &ids).await?,
                    _ => return Err(Stop::Defect("known records from another source")),
                };
                return Ok(Batch {
                    settled: Vec::new(),
                    ..batch
                });
            }
            Content::Waiting(waiting) => {
                return match self {
                    Self::Waiting(object_type) => verify::reread(job, object_type, waiting).await,
                    _ => Err(Stop::Defect("waiting records from another source")),
                };
            }
            Content::Touches(page) => match self {
                Self::Touches(of) => {
                    let (rows, unreadable) = touches::rows(job, of, page).await?;
                    quarantine.extend(unreadable);
                    Rows::Touches(rows)
                }
                _ => return Err(Stop::Defect("engagements from another source")),
            },
            Content::KnownTouches(asked) => match self {
                Self::Touches(of) => {
                    let (rows, unreadable, asked_at) = touches::known(job, of, asked).await?;
                    quarantine.extend(unreadable);
                    sent_at = asked_at;
                    Rows::Touches(rows)
                }
                _ => return Err(Stop::Defect("known engagements from another source")),
            },
            Content::Rows(rows) => rows,
            Content::Nothing => Rows::Nothing,
            Content::Objects(objects) => {
                let filled = match self {
                    Self::Relist { object_type, since } => {
                        let wanted = records::unread(job, object_type, since, at, &objects).await?;
                        let read = if wanted.is_empty() {
                            None
                        } else {
                            Some(records::by_id(job, object_type, &wanted).await?)
                        };
                        match read {
                            Some(read) => {
                                sent_at = read.sent_at;
                                quarantine.extend(read.quarantine);
                                unanswered.extend(read.unanswered);
                                // Listed, and not there a moment later.
                                unanswered.extend(read.missing);
                                records::apart(job, object_type, read.objects).await?
                            }
                            None => records::Filled {
                                rows: RecordRows::none(object_type),
                                unanswered: Default::default(),
                            },
                        }
                    }
                    Self::Archived(object_type) => records::Filled {
                        rows: records::newly_archived(job, object_type, objects).await?,
                        unanswered: Default::default(),
                    },
                    Self::List(object_type) => records::inline(job, object_type, objects).await?,
                    Self::Search(object_type) | Self::ModifiedSince { object_type, .. } => {
                        let mut filled = records::apart(job, object_type, objects).await?;
                        filled.rows.found_by = FoundBy::Search;
                        filled
                    }
                    Self::News { object_type, .. } => {
                        let news = records::news(job, object_type, objects).await?;
                        let mut filled = records::apart(job, object_type, news).await?;
                        filled.rows.found_by = FoundBy::Search;
                        filled
                    }
                    _ => return Err(Stop::Defect("records from a source of definitions")),
                };
                let records::Filled {
                    mut rows,
                    unanswered: more,
                } = filled;
                unanswered.extend(more);
                rows.retain(|id| at.ids.contains(id));
                unanswered.retain(|id| at.ids.contains(*id));
                quarantine.retain(|row| {
                    let id: Result<HubSpotObjectId, _> = row.key.parse();
                    id.map_or(true, |id| at.ids.contains(id))
                });
                Rows::Records(rows)
            }
        };
        Ok(Batch {
            unanswered,
            listing,
            tail,
            ..Batch::new(sent_at, rows, quarantine)
        })
    }
}

/// What is known of records that were read by id.
pub(crate) struct Direct {
    /// What came; what was answered is in `settled`.
    pub(crate) batch: Batch,
    /// Among them, those that HubSpot named as not there.
    pub(crate) missing: Vec<HubSpotObjectId>,
}

/// Reads records by id, with their associations.
pub(crate) async fn direct(
    job: &Job<'_>,
    object_type: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<Direct, Stop> {
    let read = records::by_id(job, object_type, ids).await?;
    let missing = read.missing.into_iter().collect();
    let mut filled = records::apart(job, object_type, read.objects).await?;
    filled.rows.merged = read.merged;
    let open: std::collections::BTreeSet<HubSpotObjectId> = read
        .unanswered
        .into_iter()
        .chain(filled.unanswered)
        .collect();
    let settled = ids
        .iter()
        .copied()
        .filter(|id| !open.contains(id))
        .collect();
    Ok(Direct {
        batch: Batch {
            settled,
            ..Batch::new(read.sent_at, Rows::Records(filled.rows), read.quarantine)
        },
        missing,
    })
}

/// Looks for records in the recycle bin. `missing` are those that are not there either.
pub(crate) async fn in_recycle_bin(
    job: &Job<'_>,
    object_type: ObjectType,
    ids: &[HubSpotObjectId],
) -> Result<Direct, Stop> {
    let read = records::archived_by_id(job, object_type, ids).await?;
    let open: std::collections::BTreeSet<HubSpotObjectId> = read.unanswered.into_iter().collect();
    // What is not said to be archived is no tombstone, wherever it came from.
    let objects = read.objects.into_iter().filter(|o| o.archived).collect();
    let settled = ids
        .iter()
        .copied()
        .filter(|id| !open.contains(id))
        .collect();
    let rows = records::alone(job, object_type, objects);
    Ok(Direct {
        batch: Batch {
            settled,
            ..Batch::new(read.sent_at, Rows::Records(rows), read.quarantine)
        },
        missing: read.missing.into_iter().collect(),
    })
}
