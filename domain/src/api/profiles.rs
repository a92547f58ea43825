//! Profiles (I5): what both sides say of a person or a company, and which of it wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    HubSpotObjectId, HubSpotOwnerId, PortalId,
    app::{AppCompanyId, FieldKey, FieldValue, MemberId, PersonId, RecordKind},
    linking::LinkOrigin,
    profile::ProfileValue,
};

/// The profile of a person or a company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileAnswer {
    /// Of what kind it is.
    pub record: RecordKind,
    /// The app's id. Asked for a person who was made from a contact and gave way to one of the app's
    /// own, it is that one's.
    pub id: String,
    /// The contact, or the HubSpot company, that it is; null: none.
    pub link: Option<ProfileLink>,
    /// Further records in HubSpot with an address or domain of this one: they claim to be it too.
    pub conflicts: Vec<HubSpotObjectId>,
    /// Who is in charge in HubSpot; null: nobody, or not linked.
    pub hubspot_owner: Option<ProfileOwner>,
    /// The fields: mapped ones, and those that the app has a value for.
    pub fields: BTreeMap<FieldKey, ProfileField>,
}

/// What a person or company is in HubSpot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileLink {
    /// In which portal.
    pub portal: PortalId,
    /// The record.
    pub hubspot_id: HubSpotObjectId,
    /// How the link came to be.
    pub origin: LinkOrigin,
    /// Whether the record is archived, or not known: HubSpot has no values then.
    pub archived: bool,
    /// Others of the app that are the same record in HubSpot, by id.
    pub shared_with: Vec<String>,
    /// Whether the values of the record are this one's: of several that share it, one has them.
    pub owns_values: bool,
}

/// Who is in charge of the record in HubSpot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileOwner {
    /// The owner.
    pub owner: HubSpotOwnerId,
    /// The team member whom that is; null: nobody.
    pub member: Option<MemberId>,
    /// Whether nobody stands for the owner, and the member is who gets what belongs to nobody.
    pub routed: bool,
}

/// A field of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileField {
    /// The value that wins.
    pub value: Option<FieldValue>,
    /// What both sides say, and which of them wins.
    #[serde(flatten)]
    pub of: ProfileValue,
}

/// Asks for many profiles at once: 1,000 at most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilesRequest {
    /// Of these people.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub people: Vec<PersonId>,
    /// Of these companies.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub companies: Vec<AppCompanyId>,
}

/// Many profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfilesAnswer {
    /// People, then companies, each by id.
    pub items: Vec<ProfileAnswer>,
    /// Ids of which nothing is known.
    pub unknown: Vec<String>,
    /// Ids of what is stored and cannot be read (HS-2217).
    pub unreadable: Vec<String>,
}
