//! Deals as context on people and companies (I7).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    HubSpotObjectId, HubSpotOwnerId,
    app::MemberId,
    dnc::{DealStatus, RecordRef},
};

/// A pipeline or a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelledId {
    /// Its id.
    pub id: String,
    /// What a person reads; null where the portal does not define it any more.
    pub label: Option<String>,
}

/// A deal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DealAnswer {
    /// Which one.
    pub deal: HubSpotObjectId,
    /// How it stands.
    pub status: DealStatus,
    /// Its name.
    pub name: Option<String>,
    /// As HubSpot writes it: digits, in the portal's currency.
    pub amount: Option<String>,
    /// Its pipeline.
    pub pipeline: Option<LabelledId>,
    /// Its stage.
    pub stage: Option<LabelledId>,
    /// When it was closed, or is to be, as HubSpot writes it.
    pub close_date: Option<String>,
    /// Its owner.
    pub owner: Option<HubSpotOwnerId>,
    /// The team member who stands for the owner, or whom the owner's records are routed to.
    pub member: Option<MemberId>,
    /// The contacts and companies by which it concerns whom was asked about.
    pub on: Vec<RecordRef>,
}
