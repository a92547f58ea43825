//! Deals as context on people and companies (I7).

use std::collections::BTreeMap;

use domain::{
    HubSpotObjectId, HubSpotOwnerId, ObjectType, PortalId, WorkspaceId,
    app::PersonId,
    deals::PipelineLabels,
    dnc::{DealStatus, RecordRef},
};

use crate::{
    Store, StoreError,
    mirror::{object_id, type_number},
};

/// A deal, with what ties it to whom was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealRow {
    /// Which one.
    pub id: HubSpotObjectId,
    /// How it stands.
    pub status: DealStatus,
    /// Its properties as HubSpot sent them.
    pub name: Option<String>,
    /// In the portal's currency, as HubSpot writes it.
    pub amount: Option<String>,
    /// The pipeline's id.
    pub pipeline: Option<String>,
    /// The stage's id.
    pub stage: Option<String>,
    /// When it was closed, or is to be, as HubSpot writes it.
    pub close_date: Option<String>,
    /// Its owner.
    pub owner: Option<HubSpotOwnerId>,
    /// The contacts and companies by which it concerns whom was asked about.
    pub on: Vec<RecordRef>,
}

impl Store {
    /// The deals of these contacts and companies outside of the recycle bin, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deals_on(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        contacts: &[i64],
        companies: &[i64],
    ) -> Result<Vec<DealRow>, StoreError> {
        let pipelines = self.portal_pipelines(workspace, portal).await?;
        let mut ids: Vec<i64> = contacts.to_vec();
        let mut types: Vec<i16> = vec![type_number(ObjectType::Contact); contacts.len()];
        ids.extend(companies);
        types.resize(ids.len(), type_number(ObjectType::Company));
        let rows = sqlx::query!(
            "select e.id as \"anchor!\", e.t as \"anchor_type!\", o.object_id as \"deal!\",
               o.properties->>'dealname' as name, o.properties->>'amount' as amount,
               o.properties->>'pipeline' as pipeline, o.properties->>'dealstage' as stage,
               o.properties->>'closedate' as close, o.properties->>'hubspot_owner_id' as owner,
               o.properties->>'hs_is_closed' as closed, o.properties->>'hs_is_closed_won' as won
             from unnest($3::bigint[], $4::smallint[]) as e (id, t)
             cross join lateral (select a.from_id from hubspot_association a
               where a.workspace_id = $1 and uuid_hash(a.workspace_id) = uuid_hash($1)
                 and a.portal_id + 0 = $2 and a.to_type + 0 = e.t::int and a.to_id + 0 = e.id
                 and a.from_type = 3 and not a.removed offset 0) a
             cross join lateral (select o.* from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = 3
                 and o.object_id = a.from_id and not o.archived limit 1) o
             order by o.object_id, e.t, e.id",
            workspace.as_uuid(),
            portal.get(),
            &ids,
            &types
        )
        .fetch_all(&self.pool)
        .await?;
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let is_true = |text: &Option<String>| {
            text.as_deref()
                .is_some_and(|t| t.eq_ignore_ascii_case("true"))
        };
        let mut deals: BTreeMap<i64, DealRow> = BTreeMap::new();
        for row in rows {
            let anchor = object_id(row.anchor)?;
            let on = if row.anchor_type == type_number(ObjectType::Contact) {
                RecordRef::Contact(anchor)
            } else {
                RecordRef::Company(anchor)
            };
            if let Some(known) = deals.get_mut(&row.deal) {
                known.on.push(on);
                continue;
            }
            let (pipeline, stage) = (filled(row.pipeline), filled(row.stage));
            let deal = DealRow {
                id: object_id(row.deal)?,
                status: DealStatus::of(
                    Some(&pipelines),
                    pipeline.as_deref(),
                    stage.as_deref(),
                    is_true(&row.closed),
                    is_true(&row.won),
                ),
                name: filled(row.name),
                amount: filled(row.amount),
                pipeline,
                stage,
                close_date: filled(row.close),
                owner: row.owner.and_then(|owner| owner.trim().parse().ok()),
                on: vec![on],
            };
            deals.insert(row.deal, deal);
        }
        Ok(deals.into_values().collect())
    }

    /// The deals of a person of the app: on their contacts, and on the companies that they are at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deals_of_person(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        person: &PersonId,
        email: Option<&str>,
    ) -> Result<Vec<DealRow>, StoreError> {
        let (contacts, companies) = self
            .at_hand(workspace, portal, person.as_str(), email)
            .await?;
        self.deals_on(workspace, portal, &contacts, &companies)
            .await
    }

    /// The labels of the portal's pipelines.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pipeline_labels(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
    ) -> Result<Vec<PipelineLabels>, StoreError> {
        let rows = sqlx::query!(
            "select definition::text as \"definition!\" from hubspot_pipeline
             where workspace_id = $1 and portal_id = $2 order by pipeline_id",
            workspace.as_uuid(),
            portal.get()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .iter()
            .filter_map(|row| PipelineLabels::from_hubspot(&row.definition))
            .collect())
    }
}
