//! Sources: where the pages of a type come from.

use chrono::{DateTime, Utc};
use domain::{ObjectType, RangeReader, ReadPlan, SyncType};
use store::{Batch, FoundBy, RecordRows, Rows};

use super::{
    Job, Stop, definitions, lists,
    page::{At, Content, Page},
    records,
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
        /// Of which type.
        object_type: ObjectType,
        /// By our clock.
        since: DateTime<Utc>,
    },
    /// Records that were modified since a time, by search; associations are read apart.
    ModifiedSince {
        /// Of which type.
        object_type: ObjectType,
        /// By HubSpot's clock.
        since: DateTime<Utc>,
    },
    /// Owners, archived ones too.
    Owners,
    /// Property definitions, type after type.
    Properties,
    /// Pipelines of deals.
    Pipelines,
    /// Lists, then the members of each.
    Lists,
}

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

    /// Whether the place after a page is enough to read the next one before the page is committed.
    /// Lists ask the store which one is next; definitions of one type come in one page.
    pub(super) const fn may_look_ahead(self) -> bool {
        !matches!(self, Self::Lists | Self::Properties | Self::Pipelines)
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
            Self::Owners => definitions::owners(job, at).await,
            Self::Properties => definitions::properties(job, at).await,
            Self::Pipelines => definitions::pipelines(job).await,
            Self::Lists => lists::fetch(job, at).await,
        }
    }

    /// Where the listing begins of which a page was asked for at a place.
    pub(super) fn beginning(self, at: &At) -> Result<At, Stop> {
        let position = match self {
            Self::Lists => lists::beginning(at)?,
            Self::Properties => at.position.clone(),
            _ => None,
        };
        Ok(At {
            position,
            ids: at.ids,
        })
    }

    /// What of a page is wanted, with what has to be asked for apart.
    pub(super) async fn fill(self, job: &Job<'_>, at: &At, page: Page) -> Result<Batch, Stop> {
        let Page {
            content,
            mut quarantine,
            mut sent_at,
            listing,
            ..
        } = page;
        let rows = match content {
            Content::Rows(rows) => rows,
            Content::Objects(objects) => {
                let mut rows = match self {
                    Self::Relist { object_type, since } => {
                        let read = records::unread(job, object_type, since, at, &objects).await?;
                        match read {
                            Some(read) => {
                                sent_at = read.sent_at;
                                quarantine.extend(read.quarantine);
                                records::apart(job, object_type, read.objects).await?
                            }
                            None => RecordRows::none(object_type),
                        }
                    }
                    Self::List(object_type) => records::inline(job, object_type, objects).await?,
                    Self::Search(object_type) | Self::ModifiedSince { object_type, .. } => {
                        let rows = records::apart(job, object_type, objects).await?;
                        RecordRows {
                            found_by: FoundBy::Search,
                            ..rows
                        }
                    }
                    _ => return Err(Stop::Defect("records from a source of definitions")),
                };
                rows.retain(|id| at.ids.contains(id));
                quarantine.retain(|row| row.key.parse().map_or(true, |id| at.ids.contains(id)));
                Rows::Records(rows)
            }
        };
        Ok(Batch {
            read_at: sent_at,
            rows,
            quarantine,
            listing,
        })
    }
}
