//! What the records behind verdicts are called, for whoever reads them.

use std::collections::BTreeMap;

use domain::{HubSpotObjectId, ObjectType, PortalId, WorkspaceId, dnc::RecordRef, portal::ListId};

use crate::{Store, StoreError, mirror::type_number};

impl Store {
    /// The names of records of a portal. A record that is not known, or that has no name, is not among them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_names(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        records: &[RecordRef],
    ) -> Result<BTreeMap<RecordRef, String>, StoreError> {
        let (mut types, mut ids, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |of: ObjectType, id: HubSpotObjectId| {
            types.push(type_number(of));
            ids.push(id.get());
        };
        for record in records {
            match record {
                RecordRef::Contact(id) => add(ObjectType::Contact, *id),
                RecordRef::Company(id) => add(ObjectType::Company, *id),
                RecordRef::Deal(id) => add(ObjectType::Deal, *id),
                RecordRef::List(id) => lists.push(id.get()),
            }
        }
        let mut names = BTreeMap::new();
        let rows = sqlx::query!(
            "select e.object_type as \"object_type!\", e.id as \"id!\", o.name as \"name!\"
             from unnest($3::smallint[], $4::bigint[]) as e (object_type, id)
             cross join lateral (select btrim(case e.object_type
                 when 1 then concat_ws(' ', o.properties->>'firstname', o.properties->>'lastname')
                 when 2 then coalesce(o.properties->>'name', '')
                 else coalesce(o.properties->>'dealname', '') end) as name
               from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = e.object_type
                 and o.object_id = e.id limit 1) o
             where o.name <> ''",
            workspace.as_uuid(),
            portal.get(),
            &types,
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let id =
                HubSpotObjectId::new(row.id).map_err(|_| StoreError::Corrupt("id of a record"))?;
            let record = match row.object_type {
                n if n == type_number(ObjectType::Contact) => RecordRef::Contact(id),
                n if n == type_number(ObjectType::Company) => RecordRef::Company(id),
                _ => RecordRef::Deal(id),
            };
            names.insert(record, row.name);
        }
        let rows = sqlx::query!(
            "select list_id, name from hubspot_list
             where workspace_id = $1 and portal_id = $2 and list_id = any($3) and name <> ''",
            workspace.as_uuid(),
            portal.get(),
            &lists
        )
        .fetch_all(&self.pool)
        .await?;
        let lists = rows
            .into_iter()
            .map(|row| (RecordRef::List(ListId::new(row.list_id)), row.name));
        names.extend(lists);
        Ok(names)
    }
}
