//! Property definitions and their groups.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    batch::{BatchInputs, BatchOutcome, Doing, Plan},
    budget::Bucket,
    client::{API_VERSION, Call, Client, Kind},
    error::{Error, ItemError},
    ids::ObjectType,
    objects::{Inputs, write},
    page::{Envelope, Page, page_of, read_record},
};

/// Most inputs of a batch.
pub const BATCH: usize = 100;

/// A property definition.
#[derive(Debug, Clone)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// All of it, as the JSON object that HubSpot sent.
    pub definition: Box<RawValue>,
}

impl Property {
    /// What is known of it.
    ///
    /// # Errors
    /// When it is not of the documented shape.
    pub fn details(&self) -> Result<PropertyDetails, Error> {
        serde_json::from_str(self.definition.get()).map_err(|_| Error::UnexpectedResponse {
            context: "property",
        })
    }
}

/// What is known of a property.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyDetails {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// `string`, `number`, `date`, `datetime`, `enumeration`, `bool`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// How people fill it in: `text`, `textarea`, `select`, `checkbox`, …
    pub field_type: String,
    /// Its group.
    #[serde(default)]
    pub group_name: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The values that an enumeration takes.
    #[serde(default)]
    pub options: Vec<PropertyOption>,
    /// Whether HubSpot works out its value.
    #[serde(default)]
    pub calculated: bool,
    /// Whether its options are elsewhere, such as owners or pipelines.
    #[serde(default)]
    pub external_options: bool,
    /// Whether two records cannot have the same value.
    #[serde(default)]
    pub has_unique_value: bool,
    /// Whether it is hidden from people.
    #[serde(default)]
    pub hidden: bool,
    /// Whether it is HubSpot's own.
    #[serde(default)]
    pub hubspot_defined: bool,
    /// Whether it is in the recycle bin.
    #[serde(default)]
    pub archived: bool,
    /// What may be changed.
    #[serde(default)]
    modification_metadata: ModificationMetadata,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ModificationMetadata {
    read_only_value: bool,
}

impl PropertyDetails {
    /// Whether values can be written.
    pub const fn is_writable(&self) -> bool {
        !self.calculated && !self.archived && !self.modification_metadata.read_only_value
    }
}

/// A value that an enumeration takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyOption {
    /// What people see.
    pub label: String,
    /// What is stored.
    pub value: String,
    /// Whether it is no longer offered to people; it may still be written.
    #[serde(default)]
    pub hidden: bool,
    /// Its place among the options.
    #[serde(default)]
    pub display_order: i64,
}

/// A property to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewProperty {
    /// Its name: lower case letters, digits and underscores.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// Its group, which has to be there.
    pub group_name: String,
    /// `string`, `number`, `date`, `datetime`, `enumeration`, `bool`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `text`, `textarea`, `select`, `checkbox`, …
    pub field_type: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The values that an enumeration takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PropertyOption>,
    /// Whether two records cannot have the same value; cannot be changed later, and at most ten of a
    /// type can be so.
    pub has_unique_value: bool,
    /// Whether people do not see it.
    pub hidden: bool,
    /// Whether forms offer it.
    pub form_field: bool,
}

impl NewProperty {
    /// A line of text.
    pub fn text(
        name: impl Into<String>,
        label: impl Into<String>,
        group: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            group_name: group.into(),
            kind: "string".to_owned(),
            field_type: "text".to_owned(),
            description: String::new(),
            options: Vec::new(),
            has_unique_value: false,
            hidden: false,
            form_field: false,
        }
    }

    /// The same, of which no two records have the same value.
    #[must_use]
    pub const fn unique(mut self) -> Self {
        self.has_unique_value = true;
        self
    }
}

/// What to change of a property; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyChange {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// All its options: those that are not among them are gone (`hubspot-api.md` §5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<PropertyOption>>,
}

/// A group of properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyGroup {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// Its place; -1 behind the others.
    #[serde(default)]
    pub display_order: i64,
}

/// Whether a unique property is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UniqueProperty {
    /// It is there, and HubSpot says that it is unique.
    Ready,
    /// It was made, and is not to be seen yet: look again.
    NotVisibleYet,
    /// It is there and not unique: made by somebody else, or HubSpot did not take the wish.
    NotUnique,
    /// HubSpot refuses it: no scope, no more than ten, or not for this type.
    Refused(Error),
}

struct News<'a>(&'a [NewProperty]);

impl BatchInputs for News<'_> {
    type Done = NamedDetails;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        Some(self.0[place].name.to_lowercase())
    }

    fn keys_of(&self, done: &NamedDetails) -> Vec<String> {
        vec![done.0.name.to_lowercase()]
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        let name = &self.0[place].name;
        error.ids.contains(name) || error.names.contains(name)
    }

    fn doing(&self) -> Doing {
        Doing::Create
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
struct NamedDetails(PropertyDetails);

/// The endpoints of property definitions.
#[derive(Debug)]
pub struct Properties<'a>(&'a Client);

impl Client {
    /// The endpoints of property definitions.
    pub const fn properties(&self) -> Properties<'_> {
        Properties(self)
    }
}

fn path(object_type: ObjectType, rest: &str) -> String {
    format!("/crm/properties/{API_VERSION}/{}{rest}", object_type.path())
}

impl Properties<'_> {
    /// All definitions of a type that are not archived; HubSpot gives them in one page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, object_type: ObjectType) -> Result<Page<Property>, Error> {
        self.listing(object_type, &[]).await
    }

    /// The definitions of a type that were archived.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_archived(&self, object_type: ObjectType) -> Result<Page<Property>, Error> {
        self.listing(object_type, &[("archived", "true".to_owned())])
            .await
    }

    async fn listing(
        &self,
        object_type: ObjectType,
        query: &[(&'static str, String)],
    ) -> Result<Page<Property>, Error> {
        let answer = self
            .0
            .get(&path(object_type, ""), query, Kind::Page)
            .await?;
        let envelope: Envelope<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
                context: "properties",
            })?;
        #[derive(Deserialize)]
        struct NameOnly {
            name: String,
        }
        Ok(Page {
            results: envelope
                .results
                .iter()
                .enumerate()
                .map(|(place, raw)| {
                    read_record::<NameOnly>(raw, place).map(|named| Property {
                        name: named.name,
                        definition: (*raw).to_owned(),
                    })
                })
                .collect(),
            next: None,
            total: None,
            offset: 0,
            sent_at: answer.sent_at,
            served_at: answer.served_at,
        })
    }

    /// One definition.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown one.
    pub async fn get(&self, object_type: ObjectType, name: &str) -> Result<PropertyDetails, Error> {
        self.read(object_type, name).await?.details()
    }

    /// One definition as HubSpot sent it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown one.
    pub async fn read(&self, object_type: ObjectType, name: &str) -> Result<Property, Error> {
        let answer = self
            .0
            .get(&path(object_type, &format!("/{name}")), &[], Kind::Read)
            .await?;
        let unexpected = |_| Error::UnexpectedResponse {
            context: "property",
        };
        Ok(Property {
            name: name.to_owned(),
            definition: serde_json::from_slice(&answer.body).map_err(unexpected)?,
        })
    }

    /// Creates a property. One that was archived comes back with its old values.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a name that is taken, [`Error::OutcomeUnknown`] when it may have
    /// happened.
    pub async fn create(
        &self,
        object_type: ObjectType,
        property: &NewProperty,
    ) -> Result<PropertyDetails, Error> {
        let answer = self
            .0
            .post(
                &path(object_type, ""),
                property,
                Bucket::General,
                Kind::Write,
            )
            .await?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::OutcomeUnknown)
    }

    /// Creates any number of properties, a hundred a request.
    pub async fn batch_create(
        &self,
        object_type: ObjectType,
        properties: &[NewProperty],
    ) -> BatchOutcome<PropertyDetails> {
        let core = News(properties);
        let path = path(object_type, "/batch/create");
        let mut plan = Plan::new(&core, BATCH);
        while let Some(batch) = plan.next() {
            let body = Inputs {
                inputs: batch.iter().map(|place| &properties[*place]).collect(),
            };
            let reply = write(self.0, &path, &body, Bucket::General).await;
            plan.answer(&batch, reply);
        }
        plan.finish().map(|named| named.0)
    }

    /// Changes a property.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OutcomeUnknown`] when it may have happened.
    pub async fn update(
        &self,
        object_type: ObjectType,
        name: &str,
        change: &PropertyChange,
    ) -> Result<PropertyDetails, Error> {
        let answer = self
            .0
            .send(&Call {
                method: reqwest::Method::PATCH,
                path: &path(object_type, &format!("/{name}")),
                query: &[],
                body: Some(change),
                bucket: Bucket::General,
                kind: Kind::Write,
            })
            .await?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::OutcomeUnknown)
    }

    /// Moves a property to the recycle bin.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it may have happened.
    pub async fn archive(&self, object_type: ObjectType, name: &str) -> Result<(), Error> {
        self.0
            .delete(&path(object_type, &format!("/{name}")), Bucket::General)
            .await
    }

    /// All groups of a type.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn groups(&self, object_type: ObjectType) -> Result<Page<PropertyGroup>, Error> {
        let answer = self
            .0
            .get(&path(object_type, "/groups"), &[], Kind::Page)
            .await?;
        page_of(&answer, "property groups")
    }

    /// Creates a group.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a name that is taken.
    pub async fn create_group(
        &self,
        object_type: ObjectType,
        group: &PropertyGroup,
    ) -> Result<PropertyGroup, Error> {
        let answer = self
            .0
            .post(
                &path(object_type, "/groups"),
                group,
                Bucket::General,
                Kind::Write,
            )
            .await?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::OutcomeUnknown)
    }

    /// Makes sure of a unique property: creates it unless it is there, and reads it back until it is
    /// to be seen, as it is late by up to a second (`hubspot-api.md` §5). What is read back decides,
    /// not the answer to the creation.
    ///
    /// # Errors
    /// What says nothing about the property: [`Error::Transient`] and the like.
    pub async fn ensure_unique(
        &self,
        object_type: ObjectType,
        property: &NewProperty,
        looks: u32,
        between: Duration,
    ) -> Result<UniqueProperty, Error> {
        let created = match self.get(object_type, &property.name).await {
            Ok(there) => return Ok(verdict(&there)),
            Err(Error::NotFound) => self.create(object_type, property).await,
            Err(error) => return Err(error),
        };
        match created {
            // It may be there, or somebody made it meanwhile: what is read back says it.
            Ok(_) | Err(Error::Conflict { .. } | Error::OutcomeUnknown) => {}
            Err(
                error @ (Error::Invalid { .. }
                | Error::ScopeMissing { .. }
                | Error::Forbidden { .. }),
            ) => {
                return Ok(UniqueProperty::Refused(error));
            }
            Err(error) => return Err(error),
        }
        for look in 0..looks {
            if look > 0 {
                tokio::time::sleep(between).await;
            }
            match self.get(object_type, &property.name).await {
                Ok(there) => return Ok(verdict(&there)),
                Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(UniqueProperty::NotVisibleYet)
    }
}

const fn verdict(there: &PropertyDetails) -> UniqueProperty {
    if there.has_unique_value && !there.archived {
        UniqueProperty::Ready
    } else {
        UniqueProperty::NotUnique
    }
}
