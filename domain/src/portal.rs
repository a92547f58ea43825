//! What is known of a portal: the facts that settings are checked against.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use strum::VariantArray as _;
use utoipa::ToSchema;

use crate::{
    HubSpotOwnerId, IdError, ObjectType,
    app::{CustomField, Email, Member},
    export::RequiredProperty,
};

/// A HubSpot list's id.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
#[schema(minimum = 0)]
pub struct ListId(i64);

impl ListId {
    /// Wraps a number that HubSpot gave.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    pub const fn get(&self) -> i64 {
        self.0
    }
}

impl fmt::Display for ListId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A property's type, as HubSpot's `type` says.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PropertyType {
    /// A text.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// One option, or several where the field type is `checkbox`.
    Enumeration,
    /// A day.
    Date,
    /// A moment.
    Datetime,
    /// A telephone number.
    PhoneNumber,
    /// `json`, `object_coordinates`, and what HubSpot may add: nothing is written to these.
    Other,
}

impl PropertyType {
    /// HubSpot's name for it.
    pub const fn as_str(&self) -> &'static str {
        self.into_str()
    }
}

impl FromStr for PropertyType {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::VARIANTS.iter().find(|known| known.as_str() == text);
        Ok(known.copied().unwrap_or(Self::Other))
    }
}

/// An option of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PropertyOption {
    /// What is written.
    pub value: String,
    /// What a person reads.
    pub label: String,
}

/// The definition of a property, as far as rules need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PropertyDefinition {
    /// Its name.
    pub name: String,
    /// What a person reads.
    pub label: String,
    /// What it holds.
    pub property_type: PropertyType,
    /// HubSpot's `fieldType`, such as `text`, `select` or `checkbox`.
    pub field_type: String,
    /// What the values refer to, such as `OWNER`, where HubSpot says so.
    pub referenced_object_type: Option<String>,
    /// The options, where HubSpot names them, in HubSpot's order.
    pub options: Vec<PropertyOption>,
    /// Whether the options are kept elsewhere (owners, pipelines, business units): `options` is
    /// empty then though there are some.
    pub external_options: bool,
    /// Whether a value cannot be set.
    pub read_only: bool,
    /// Whether HubSpot computes it.
    pub calculated: bool,
    /// Whether it is in HubSpot's archive.
    pub archived: bool,
}

impl PropertyDefinition {
    /// Reads a definition from the JSON that HubSpot sent.
    ///
    /// # Errors
    /// [`IdError::Malformed`] when it is not of the documented shape.
    pub fn from_hubspot(json: &str) -> Result<Self, IdError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            name: String,
            #[serde(default)]
            label: Option<String>,
            #[serde(rename = "type")]
            property_type: String,
            #[serde(default)]
            field_type: Option<String>,
            #[serde(default)]
            options: Option<Vec<WireOption>>,
            #[serde(default)]
            external_options: Option<bool>,
            #[serde(default)]
            referenced_object_type: Option<String>,
            #[serde(default)]
            calculated: Option<bool>,
            #[serde(default)]
            archived: Option<bool>,
            #[serde(default)]
            modification_metadata: Option<Modification>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct WireOption {
            value: String,
            #[serde(default)]
            label: Option<String>,
            #[serde(default)]
            display_order: Option<i64>,
        }
        /// Those without a place of their own come last, as they came.
        fn in_order(mut options: Vec<WireOption>) -> Vec<WireOption> {
            let place = |o: &WireOption| o.display_order.filter(|n| *n >= 0).unwrap_or(i64::MAX);
            options.sort_by_key(place);
            options
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Modification {
            #[serde(default)]
            read_only_value: bool,
        }
        let wire: Wire = serde_json::from_str(json).map_err(|_| IdError::Malformed {
            kind: "property definition",
            expected: "an object with name and type, as HubSpot's properties endpoint sends",
        })?;
        let Ok(property_type) = wire.property_type.parse();
        let field_type = wire.field_type.unwrap_or_default();
        Ok(Self {
            label: wire.label.unwrap_or_else(|| wire.name.clone()),
            name: wire.name,
            property_type,
            options: in_order(wire.options.unwrap_or_default())
                .into_iter()
                .map(|o| PropertyOption {
                    label: o.label.unwrap_or_else(|| o.value.clone()),
                    value: o.value,
                })
                .collect(),
            external_options: wire.external_options.unwrap_or(false),
            referenced_object_type: wire.referenced_object_type,
            read_only: wire
                .modification_metadata
                .is_some_and(|m| m.read_only_value),
            // Not every computed property says so in `calculated` (hubspot-api.md, recorded answers).
            calculated: wire.calculated.unwrap_or(false) || field_type.starts_with("calculation_"),
            field_type,
            archived: wire.archived.unwrap_or(false),
        })
    }

    /// Whether it takes several options at once, separated by `;`.
    pub fn takes_several(&self) -> bool {
        self.property_type == PropertyType::Enumeration && self.field_type == "checkbox"
    }

    /// Whether a value of ours can be written at all.
    pub const fn writable(&self) -> bool {
        !self.read_only && !self.calculated && !self.archived
    }

    /// Where the options are, if HubSpot keeps them outside of the definition.
    pub fn reference(&self) -> Option<Reference> {
        if !self.external_options {
            return None;
        }
        Some(
            match (self.referenced_object_type.as_deref(), self.name.as_str()) {
                (Some("OWNER"), _) | (_, "hubspot_owner_id") => Reference::Owner,
                (_, "pipeline" | "hs_pipeline") => Reference::Pipeline,
                (_, "dealstage" | "hs_pipeline_stage") => Reference::Stage,
                _ => Reference::Elsewhere,
            },
        )
    }

    /// The option of this value.
    pub fn has_option(&self, value: &str) -> bool {
        self.options.iter().any(|o| o.value == value)
    }
}

/// What the values of a property with external options are the ids of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Owners.
    Owner,
    /// Pipelines.
    Pipeline,
    /// Stages of pipelines.
    Stage,
    /// Something that is not read: teams, business units, ….
    Elsewhere,
}

impl Reference {
    /// One of them, in words.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Pipeline => "pipeline",
            Self::Stage => "pipeline stage",
            Self::Elsewhere => "option",
        }
    }
}

/// What external options are checked against; what was not read yet is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct External<'a> {
    /// Owners, active and archived.
    pub owners: Option<&'a [PortalOwner]>,
    /// Pipelines with their stages.
    pub pipelines: Option<&'a [PortalPipeline]>,
}

/// The pipelines that HubSpot makes in every portal for lifecycle stages; they are not among those
/// of deals.
const LIFECYCLE_PIPELINES: [&str; 2] = [
    "contacts-lifecycle-pipeline",
    "companies-lifecycle-pipeline",
];

impl External<'_> {
    /// Whether there is an active thing of this id; `None` where that is not known.
    pub fn knows(&self, reference: Reference, id: &str) -> Option<bool> {
        match reference {
            Reference::Owner => self
                .owners
                .map(|all| all.iter().any(|o| !o.archived && o.id.to_string() == id)),
            Reference::Pipeline => self.pipelines.map(|all| {
                LIFECYCLE_PIPELINES.contains(&id) || all.iter().any(|p| !p.archived && p.id == id)
            }),
            Reference::Stage => self.pipelines.map(|all| {
                all.iter()
                    .filter(|p| !p.archived)
                    .any(|p| p.stages.iter().any(|s| !s.archived && s.id == id))
            }),
            Reference::Elsewhere => None,
        }
    }
}

/// An owner of the portal.
#[derive(Clone, PartialEq, Eq)]
pub struct PortalOwner {
    /// The id to assign records by.
    pub id: HubSpotOwnerId,
    /// The address, where it is a readable one.
    pub email: Option<Email>,
    /// Whether the user was deactivated.
    pub archived: bool,
}

impl fmt::Debug for PortalOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortalOwner")
            .field("id", &self.id)
            .field("archived", &self.archived)
            .finish_non_exhaustive()
    }
}

/// A stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalStage {
    /// Its id: the value of `dealstage`.
    pub id: String,
    /// What people call it; its id where HubSpot does not say.
    pub label: String,
    /// Whether deals in it are closed.
    pub closed: bool,
    /// Whether deals in it are won; only where closed.
    pub won: bool,
    /// Whether it is in HubSpot's archive.
    pub archived: bool,
}

/// A pipeline of deals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalPipeline {
    /// Its id: the value of `pipeline`.
    pub id: String,
    /// What people call it; its id where HubSpot does not say.
    pub label: String,
    /// Its stages, in HubSpot's order.
    pub stages: Vec<PortalStage>,
    /// Whether it is in HubSpot's archive.
    pub archived: bool,
}

impl PortalPipeline {
    /// Reads a pipeline from the JSON that HubSpot sent.
    ///
    /// # Errors
    /// [`IdError::Malformed`] when it is not of the documented shape.
    pub fn from_hubspot(json: &str) -> Result<Self, IdError> {
        #[derive(Deserialize)]
        struct Wire {
            id: String,
            label: Option<String>,
            #[serde(default)]
            stages: Vec<WireStage>,
            #[serde(default)]
            archived: bool,
        }
        #[derive(Deserialize)]
        struct WireStage {
            id: String,
            label: Option<String>,
            #[serde(default)]
            metadata: BTreeMap<String, serde_json::Value>,
            #[serde(default)]
            archived: bool,
        }
        let wire: Wire = serde_json::from_str(json).map_err(|_| IdError::Malformed {
            kind: "pipeline",
            expected: "an object with id and stages, as HubSpot's pipelines endpoint sends",
        })?;
        // HubSpot writes booleans and numbers of this metadata as texts.
        let text = |stage: &WireStage, key: &str| {
            stage.metadata.get(key).map(|v| match v {
                serde_json::Value::String(text) => text.to_ascii_lowercase(),
                other => other.to_string(),
            })
        };
        Ok(Self {
            stages: wire
                .stages
                .iter()
                .map(|stage| {
                    let closed = text(stage, "isClosed").as_deref() == Some("true");
                    let probability =
                        text(stage, "probability").and_then(|p| p.parse::<f64>().ok());
                    PortalStage {
                        id: stage.id.clone(),
                        label: stage.label.clone().unwrap_or_else(|| stage.id.clone()),
                        closed,
                        won: closed && probability.is_some_and(|p| p >= 1.0),
                        archived: stage.archived,
                    }
                })
                .collect(),
            archived: wire.archived,
            label: wire.label.unwrap_or_else(|| wire.id.clone()),
            id: wire.id,
        })
    }
}

/// A list of the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalList {
    pub id: ListId,
    /// What it is a list of; none for types that are not mirrored.
    pub object_type: Option<ObjectType>,
}

/// Definitions by name.
pub type Properties = BTreeMap<String, PropertyDefinition>;

/// Everything that settings are checked against: what the mirror knows of the portal, and the
/// workspace's team and fields. What was not read yet is `None`, and is not checked, but said.
#[derive(Debug, Clone, Default)]
pub struct PortalFacts {
    /// The properties of contacts.
    pub contact_properties: Option<Properties>,
    /// The properties of companies.
    pub company_properties: Option<Properties>,
    /// What the portal asks of contacts; none where it was not read.
    pub contact_rules: Vec<RequiredProperty>,
    /// What the portal asks of companies; none where it was not read.
    pub company_rules: Vec<RequiredProperty>,
    /// The properties of engagements, as far as they were read.
    pub engagement_properties: BTreeMap<ObjectType, Properties>,
    /// Owners, active and archived.
    pub owners: Option<Vec<PortalOwner>>,
    /// Pipelines of deals.
    pub pipelines: Option<Vec<PortalPipeline>>,
    /// Lists.
    pub lists: Option<Vec<PortalList>>,
    /// The team.
    pub members: Vec<Member>,
    /// The workspace's own fields.
    pub custom_fields: Vec<CustomField>,
}

impl PortalFacts {
    /// What external options are checked against.
    pub fn external(&self) -> External<'_> {
        External {
            owners: self.owners.as_deref(),
            pipelines: self.pipelines.as_deref(),
        }
    }
}

/// Definitions by name, for [`PortalFacts`].
pub fn by_name(definitions: impl IntoIterator<Item = PropertyDefinition>) -> Properties {
    definitions
        .into_iter()
        .map(|definition| (definition.name.clone(), definition))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_as_hubspot_sends_them() {
        let json = r#"{"name":"interests","label":"Interests","type":"enumeration","fieldType":"checkbox",
            "options":[{"value":"b"},{"label":"Wine","value":"w","displayOrder":0,"hidden":false}],
            "calculated":false,"externalOptions":false,
            "modificationMetadata":{"archivable":true,"readOnlyDefinition":false,"readOnlyValue":false}}"#;
        let property = PropertyDefinition::from_hubspot(json).unwrap();
        assert!(property.writable() && property.takes_several());
        assert_eq!(property.options[1].label, "b");
        assert!(property.has_option("w") && !property.has_option("Wine"));

        // Computed, though `calculated` says no: as recorded from a portal.
        let json = r#"{"name":"hubspotscore","type":"number","fieldType":"calculation_score","calculated":false}"#;
        assert!(!PropertyDefinition::from_hubspot(json).unwrap().writable());
        let json = r#"{"name":"x","type":"object_coordinates","fieldType":"text"}"#;
        let property = PropertyDefinition::from_hubspot(json).unwrap();
        assert_eq!(property.property_type, PropertyType::Other);
        for bad in ["", "[]", "{}", r#"{"name":1,"type":"string"}"#] {
            assert!(PropertyDefinition::from_hubspot(bad).is_err());
        }
    }

    #[test]
    fn pipelines_as_hubspot_sends_them() {
        let json = r#"{"id":"default","label":"Sales","stages":[
            {"id":"new","metadata":{"isClosed":"false","probability":"0.1"}},
            {"id":"won","metadata":{"isClosed":"true","probability":"1.0"}},
            {"id":"lost","metadata":{"isClosed":true,"probability":0}},
            {"id":"bare"}]}"#;
        let pipeline = PortalPipeline::from_hubspot(json).unwrap();
        let flags: Vec<_> = pipeline.stages.iter().map(|s| (s.closed, s.won)).collect();
        assert_eq!(
            flags,
            [(false, false), (true, true), (true, false), (false, false)]
        );
    }
}
