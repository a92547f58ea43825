//! The rows of each source of the feed, in the order of their numbers.

use std::collections::BTreeMap;

use domain::{
    ObjectType, PortalId, WorkspaceId,
    api::{ChangeItem, ChangeKind, ChangeWhat},
    app::RecordKind,
    portal::ListId,
    settings::ListUse,
};

use super::place::{Beyond, parts};
use crate::{
    Store, StoreError,
    mirror::{object_id, type_of_number},
    profiles,
};

/// A row of a source.
pub(super) struct Row {
    pub(super) number: i64,
    /// Where it lies among the rows of its number, in the source's own form.
    pub(super) key: String,
    pub(super) item: ChangeItem,
}

/// What a source is asked for.
pub(super) struct Asked<'a> {
    pub(super) workspace: WorkspaceId,
    pub(super) portal: PortalId,
    pub(super) beyond: Beyond<'a>,
    pub(super) below: i64,
    pub(super) limit: i64,
}

const fn kind_of(object_type: ObjectType) -> Option<ChangeKind> {
    match object_type {
        ObjectType::Contact => Some(ChangeKind::Contact),
        ObjectType::Company => Some(ChangeKind::Company),
        ObjectType::Deal => Some(ChangeKind::Deal),
        _ => None,
    }
}

/// A record of the mirror; none of a type that is not told of.
fn record_item(object_type: i16, id: i64) -> Result<Option<ChangeItem>, StoreError> {
    let id = object_id(id)?.to_string();
    Ok(kind_of(type_of_number(object_type)?)
        .map(|kind| ChangeItem::new(kind, id, ChangeWhat::Changed)))
}

/// What became of a record. No value is left of a contact that is gone, whatever it was before.
const fn fate_of(object_type: ObjectType, archived: bool, merged: bool, gone: bool) -> ChangeWhat {
    match (archived, gone, merged) {
        (false, ..) => ChangeWhat::Changed,
        (true, true, _) if matches!(object_type, ObjectType::Contact) => ChangeWhat::Erased,
        (true, _, true) => ChangeWhat::Merged,
        (true, true, false) => ChangeWhat::Gone,
        (true, false, false) => ChangeWhat::Archived,
    }
}

/// Types are small numbers, and compared as integers by the indexes.
fn type_bound(object_type: i64) -> i32 {
    i32::try_from(object_type).unwrap_or(i32::MAX)
}

impl Store {
    pub(super) async fn changed_records(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([object_type, object_id], _) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, object_type, object_id, archived, merged_into, gone_at is not null as \"gone!\"
             from hubspot_object
             where workspace_id = $1
               and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
               and (changed, object_type + 0, object_id + 0) > ($3, $4::int, $5)
               and changed < $6
             order by changed, object_type + 0, object_id + 0 limit $7",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            type_bound(object_type),
            object_id,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(mut item) = record_item(row.object_type, row.object_id)? else {
                continue;
            };
            let of = type_of_number(row.object_type)?;
            item.change = fate_of(of, row.archived, row.merged_into.is_some(), row.gone);
            item.into = row
                .merged_into
                .filter(|_| item.change == ChangeWhat::Merged)
                .map(|into| into.to_string());
            found.push(Row {
                number: row.changed,
                key: format!("{}.{}", row.object_type, row.object_id),
                item,
            });
        }
        Ok(found)
    }

    pub(super) async fn changed_lists(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([list], _) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, list_id, gone_at is not null as \"gone!\" from hubspot_list
             where workspace_id = $1 and portal_id = $2
               and (changed, list_id) > ($3, $4) and changed < $5
             order by changed, list_id limit $6",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            list,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| {
            let what = if row.gone {
                ChangeWhat::Gone
            } else {
                ChangeWhat::Changed
            };
            let id = row.list_id.to_string();
            Row {
                number: row.changed,
                key: id.clone(),
                item: ChangeItem::new(ChangeKind::List, id, what),
            }
        });
        Ok(rows.collect())
    }

    pub(super) async fn what_is_gone(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([object_type, object_id], app_id) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, object_type, object_id, app_id from change_tombstone
             where workspace_id = $1 and portal_id = $2
               and (changed, object_type, object_id, app_id) > ($3, $4::int, $5, $6) and changed < $7
             order by changed, object_type, object_id, app_id limit $8",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            type_bound(object_type),
            object_id,
            app_id,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let record = format!("{}.{}", row.object_type, row.object_id);
            let (key, item) = if row.app_id.is_empty() {
                (record, record_item(row.object_type, row.object_id)?)
            } else {
                let kind = app_kind(row.object_type)?;
                let key = format!("{record}.{}", row.app_id);
                let item = ChangeItem::new(kind, row.app_id, ChangeWhat::Erased);
                (key, Some(item))
            };
            let Some(item) = item else { continue };
            found.push(Row {
                number: row.changed,
                key,
                item: ChangeItem {
                    change: ChangeWhat::Erased,
                    ..item
                },
            });
        }
        Ok(found)
    }

    pub(super) async fn changed_profiles(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([object_type], app_id) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select p.changed, p.object_type, p.app_id, p.gone, l.adopted_by as \"adopted_by?\"
             from profile p
             left join lateral (select l.adopted_by from record_link l
               where p.gone and l.workspace_id = $1 and l.portal_id = $2
                 and l.object_type = p.object_type and l.app_id = p.app_id limit 1) l on true
             where p.workspace_id = $1
               and uuid_hash(p.workspace_id) = uuid_hash($1) and p.portal_id + 0 = $2
               and (p.changed, p.object_type + 0, p.app_id) > ($3, $4::int, $5)
               and p.changed < $6
             order by p.changed, p.object_type + 0, p.app_id limit $7",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            type_bound(object_type),
            app_id,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let what = match (row.gone, &row.adopted_by) {
                    (false, _) => ChangeWhat::Changed,
                    (true, Some(_)) => ChangeWhat::Merged,
                    (true, None) => ChangeWhat::Gone,
                };
                Ok(Row {
                    number: row.changed,
                    key: format!("{}.{}", row.object_type, row.app_id),
                    item: ChangeItem {
                        into: row.adopted_by.filter(|_| row.gone),
                        ..ChangeItem::new(app_kind(row.object_type)?, row.app_id, what)
                    },
                })
            })
            .collect()
    }

    pub(super) async fn changed_verdicts(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([], person) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, person_id from dnc_verdict
             where workspace_id = $1
               and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
               and (changed, person_id) > ($3, $4) and changed < $5
             order by changed, person_id limit $6",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            person,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| Row {
            number: row.changed,
            key: row.person_id.clone(),
            item: ChangeItem::new(ChangeKind::Verdict, row.person_id, ChangeWhat::Changed),
        });
        Ok(rows.collect())
    }

    pub(super) async fn changed_members(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([list, object_id], _) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, list_id, object_id, removed from hubspot_list_member
             where workspace_id = $1
               and uuid_hash(workspace_id) = uuid_hash($1) and portal_id - 0 = $2
               and (changed, list_id + 0, object_id + 0) > ($3, $4, $5)
               and changed < $6
             order by changed, list_id + 0, object_id + 0 limit $7",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            list,
            object_id,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| {
            let what = if row.removed {
                ChangeWhat::Removed
            } else {
                ChangeWhat::Added
            };
            let member = row.object_id.to_string();
            Row {
                number: row.changed,
                key: format!("{}.{member}", row.list_id),
                item: ChangeItem {
                    list: Some(ListId::new(row.list_id)),
                    ..ChangeItem::new(ChangeKind::ListMember, member, what)
                },
            }
        });
        Ok(rows.collect())
    }

    pub(super) async fn changed_types(&self, asked: &Asked<'_>) -> Result<Vec<Row>, StoreError> {
        let ([], of) = parts(asked.beyond.key)?;
        let rows = sqlx::query!(
            "select changed, sync_type from type_alarm
             where workspace_id = $1 and portal_id = $2
               and (changed, sync_type) > ($3, $4) and changed < $5
             order by changed, sync_type limit $6",
            asked.workspace.as_uuid(),
            asked.portal.get(),
            asked.beyond.number,
            of,
            asked.below,
            asked.limit
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| Row {
            number: row.changed,
            key: row.sync_type.clone(),
            item: ChangeItem::new(ChangeKind::Type, row.sync_type, ChangeWhat::Changed),
        });
        Ok(rows.collect())
    }

    /// Says of members what their lists are used for now. Settings that cannot be read use none, as where
    /// lists are shown.
    pub(super) async fn say_uses(
        &self,
        workspace: WorkspaceId,
        items: &mut [ChangeItem],
    ) -> Result<(), StoreError> {
        if items.iter().all(|item| item.list.is_none()) {
            return Ok(());
        }
        let Some(row) = self.settings(workspace).await? else {
            return Ok(());
        };
        let lists = domain::settings::read(row.document).map(|settings| settings.lists);
        let uses: BTreeMap<ListId, ListUse> = lists
            .unwrap_or_default()
            .iter()
            .map(|followed| (followed.list, followed.list_use))
            .collect();
        for item in items {
            item.list_use = item.list.and_then(|list| uses.get(&list).copied());
        }
        Ok(())
    }
}

fn app_kind(object_type: i16) -> Result<ChangeKind, StoreError> {
    Ok(match profiles::kind_of(object_type)? {
        RecordKind::Person => ChangeKind::Person,
        RecordKind::Company => ChangeKind::AppCompany,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_record_is_told_by_what_is_left_of_it() {
        use ChangeWhat::{Archived, Changed, Erased, Gone, Merged};
        use ObjectType::{Company, Contact};
        for (of, archived, merged, gone, want) in [
            (Contact, false, false, false, Changed),
            (Contact, true, false, false, Archived),
            (Contact, true, true, false, Merged),
            (Contact, true, false, true, Erased),
            (Contact, true, true, true, Erased),
            (Company, true, true, false, Merged),
            (Company, true, true, true, Merged),
            (Company, true, false, true, Gone),
        ] {
            assert_eq!(
                fate_of(of, archived, merged, gone),
                want,
                "{of:?} {archived} {merged} {gone}"
            );
        }
    }
}
