//! The fields that every workspace has, and those of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FieldKey, FieldType};

/// Whose field it is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RecordKind {
    /// A person's; mapped to HubSpot contacts.
    Person,
    /// A company's; mapped to HubSpot companies.
    Company,
}

crate::named::named!(RecordKind, "kind of record");

/// Where the value of a catalogue field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldSource {
    /// Given under `fields`.
    Fields,
    /// Given beside `fields` (`email`, `contacted_at`, …), and only read through this key.
    Record,
}

/// A field of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueField {
    /// Its key, which never changes.
    pub key: &'static str,
    /// What a person reads.
    pub label: &'static str,
    /// What it holds.
    pub field_type: FieldType,
    /// Where its value comes from.
    pub source: FieldSource,
    /// The HubSpot property that a fresh connection maps it to, where the portal has it (E4).
    pub default_property: Option<&'static str>,
}

const fn field(
    key: &'static str,
    label: &'static str,
    field_type: FieldType,
    default_property: Option<&'static str>,
) -> CatalogueField {
    CatalogueField {
        key,
        label,
        field_type,
        source: FieldSource::Fields,
        default_property,
    }
}

const fn of_record(
    key: &'static str,
    label: &'static str,
    field_type: FieldType,
    default_property: Option<&'static str>,
) -> CatalogueField {
    CatalogueField {
        source: FieldSource::Record,
        ..field(key, label, field_type, default_property)
    }
}

use FieldType::{Boolean, Datetime, Email, List, Number, Text, Url};

/// The fields of a person.
pub const PERSON_FIELDS: &[CatalogueField] = &[
    of_record("email", "Email", Email, Some("email")),
    field("first_name", "First name", Text, Some("firstname")),
    field("last_name", "Last name", Text, Some("lastname")),
    field("job_title", "Job title", Text, Some("jobtitle")),
    field("seniority", "Seniority", Text, None),
    field("department", "Department", Text, None),
    field("headline", "Headline", Text, None),
    field("company_name", "Company name", Text, Some("company")),
    field("phone", "Phone", Text, Some("phone")),
    field("mobile_phone", "Mobile phone", Text, Some("mobilephone")),
    field("linkedin_url", "LinkedIn URL", Url, Some("hs_linkedin_url")),
    field("website", "Website", Url, Some("website")),
    field("city", "City", Text, Some("city")),
    field("state", "State or region", Text, Some("state")),
    field("country", "Country", Text, Some("country")),
    field("time_zone", "Time zone", Text, None),
    field("language", "Language", Text, None),
    field("lead_score", "Lead score", Number, None),
    field("campaign", "Campaign", Text, Some("artisan_last_campaign")),
    field(
        "last_contacted_at",
        "Last contacted",
        Datetime,
        Some("artisan_last_contacted"),
    ),
    field(
        "last_replied_at",
        "Last reply",
        Datetime,
        Some("artisan_last_reply"),
    ),
    field(
        "sentiment",
        "Sentiment of the last reply",
        Text,
        Some("artisan_sentiment"),
    ),
    field("tags", "Tags", List, None),
    field("email_verified", "Email verified", Boolean, None),
    of_record("contacted_at", "First contacted", Datetime, None),
    of_record("replied_at", "First replied", Datetime, None),
    of_record(
        "replied_positively_at",
        "First replied positively",
        Datetime,
        None,
    ),
];

/// The fields of a company.
pub const COMPANY_FIELDS: &[CatalogueField] = &[
    field("name", "Name", Text, Some("name")),
    field("domain", "Domain", Text, Some("domain")),
    field("website", "Website", Url, Some("website")),
    field(
        "linkedin_url",
        "LinkedIn URL",
        Url,
        Some("linkedin_company_page"),
    ),
    field("industry", "Industry", Text, Some("industry")),
    field(
        "employees",
        "Number of employees",
        Number,
        Some("numberofemployees"),
    ),
    field(
        "annual_revenue",
        "Annual revenue",
        Number,
        Some("annualrevenue"),
    ),
    field("founded_year", "Year founded", Text, Some("founded_year")),
    field("description", "Description", Text, Some("description")),
    field("phone", "Phone", Text, Some("phone")),
    field("city", "City", Text, Some("city")),
    field("state", "State or region", Text, Some("state")),
    field("country", "Country", Text, Some("country")),
    field("technologies", "Technologies", List, None),
    field("tags", "Tags", List, None),
];

/// A field of the workspace's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomField {
    /// Whose field it is.
    pub record: RecordKind,
    /// Its key, which begins with `custom.` and never changes.
    pub key: FieldKey,
    /// What a person reads; 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub label: String,
    /// What it holds; it never changes.
    pub field_type: FieldType,
}

/// Why a custom field is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CustomFieldError {
    /// The key is one of the catalogue's form.
    #[error("the key of a custom field begins with `custom.`")]
    Key,
    /// The label is empty or too long.
    #[error("the label needs 1 to 100 characters and no NUL")]
    Label,
    /// `email` is no type for a custom field.
    #[error("a custom field is one of text, number, boolean, date, datetime, url, list")]
    Type,
    /// The field exists with another type.
    #[error("the field exists with another type, and a type never changes; choose another key")]
    TypeChanged,
    /// The workspace has as many fields as it may have.
    #[error("a workspace has at most 200 custom fields for each kind of record")]
    TooMany,
}

impl CustomField {
    /// The most custom fields that a workspace has for each kind of record.
    pub const MAX: usize = 200;

    /// Checks one field beside those that exist already.
    ///
    /// # Errors
    /// [`CustomFieldError`].
    pub fn check(&self, existing: &[Self]) -> Result<(), CustomFieldError> {
        if !self.key.is_custom() {
            return Err(CustomFieldError::Key);
        }
        if self.label.trim().is_empty()
            || self.label.chars().count() > 100
            || self.label.contains('\0')
        {
            return Err(CustomFieldError::Label);
        }
        if self.field_type == FieldType::Email {
            return Err(CustomFieldError::Type);
        }
        match existing
            .iter()
            .find(|f| f.record == self.record && f.key == self.key)
        {
            Some(same) if same.field_type != self.field_type => Err(CustomFieldError::TypeChanged),
            Some(_) => Ok(()),
            None if existing.iter().filter(|f| f.record == self.record).count() >= Self::MAX => {
                Err(CustomFieldError::TooMany)
            }
            None => Ok(()),
        }
    }
}

/// What is known of one field, of the catalogue or the workspace's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldInfo {
    /// What it holds.
    pub field_type: FieldType,
    /// Where its value comes from.
    pub source: FieldSource,
}

/// All fields of a workspace: the catalogue and its own.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    person: BTreeMap<FieldKey, FieldInfo>,
    company: BTreeMap<FieldKey, FieldInfo>,
}

impl Fields {
    /// The catalogue with a workspace's own fields.
    pub fn new<'a>(custom: impl IntoIterator<Item = &'a CustomField>) -> Self {
        let catalogue = |fields: &[CatalogueField]| {
            fields
                .iter()
                .map(|f| {
                    (
                        FieldKey::of_catalogue(f.key),
                        FieldInfo {
                            field_type: f.field_type,
                            source: f.source,
                        },
                    )
                })
                .collect::<BTreeMap<_, _>>()
        };
        let mut all = Self {
            person: catalogue(PERSON_FIELDS),
            company: catalogue(COMPANY_FIELDS),
        };
        for field in custom {
            let info = FieldInfo {
                field_type: field.field_type,
                source: FieldSource::Fields,
            };
            match field.record {
                RecordKind::Person => all.person.insert(field.key.clone(), info),
                RecordKind::Company => all.company.insert(field.key.clone(), info),
            };
        }
        all
    }

    /// The fields that somebody else listed, such as the service.
    pub fn of(listed: impl IntoIterator<Item = (RecordKind, FieldKey, FieldInfo)>) -> Self {
        let mut all = Self::default();
        for (record, key, info) in listed {
            match record {
                RecordKind::Person => all.person.insert(key, info),
                RecordKind::Company => all.company.insert(key, info),
            };
        }
        all
    }

    /// One field, if there is one of this key.
    pub fn get(&self, record: RecordKind, key: &str) -> Option<FieldInfo> {
        self.fields_of(record).get(key).copied()
    }

    /// The keys of one kind of record.
    pub fn keys(&self, record: RecordKind) -> impl Iterator<Item = &FieldKey> {
        self.fields_of(record).keys()
    }

    const fn fields_of(&self, record: RecordKind) -> &BTreeMap<FieldKey, FieldInfo> {
        match record {
            RecordKind::Person => &self.person,
            RecordKind::Company => &self.company,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_well_formed_and_there_once() {
        for fields in [PERSON_FIELDS, COMPANY_FIELDS] {
            let mut seen = std::collections::BTreeSet::new();
            for field in fields {
                let key = FieldKey::parse(field.key).unwrap();
                assert!(!key.is_custom());
                assert!(seen.insert(key), "{}", field.key);
            }
        }
    }

    fn custom(key: &str, label: &str, field_type: FieldType) -> CustomField {
        CustomField {
            record: RecordKind::Person,
            key: key.parse().unwrap(),
            label: label.to_owned(),
            field_type,
        }
    }

    #[test]
    fn custom_fields_are_checked() {
        let existing = vec![custom("custom.tool", "Tool", FieldType::Text)];
        let many: Vec<_> = (0..CustomField::MAX)
            .map(|n| custom(&format!("custom.f{n}"), "F", FieldType::Text))
            .collect();
        for (field, beside, want) in [
            (custom("custom.x", "X", FieldType::Date), &existing, Ok(())),
            (
                custom("custom.tool", "Tools", FieldType::Text),
                &existing,
                Ok(()),
            ),
            (
                custom("job_title", "X", FieldType::Text),
                &existing,
                Err(CustomFieldError::Key),
            ),
            (
                custom("custom.x", " ", FieldType::Text),
                &existing,
                Err(CustomFieldError::Label),
            ),
            (
                custom("custom.x", "a\0", FieldType::Text),
                &existing,
                Err(CustomFieldError::Label),
            ),
            (
                custom("custom.x", "X", FieldType::Email),
                &existing,
                Err(CustomFieldError::Type),
            ),
            (
                custom("custom.tool", "Tool", FieldType::List),
                &existing,
                Err(CustomFieldError::TypeChanged),
            ),
            (
                custom("custom.x", "X", FieldType::Text),
                &many,
                Err(CustomFieldError::TooMany),
            ),
            (custom("custom.f1", "X", FieldType::Text), &many, Ok(())),
        ] {
            assert_eq!(field.check(beside), want, "{field:?}");
        }
    }

    #[test]
    fn own_fields_stand_beside_the_catalogue() {
        let fields = Fields::new(&[custom("custom.tool", "Tool", FieldType::List)]);
        assert_eq!(
            fields
                .get(RecordKind::Person, "custom.tool")
                .unwrap()
                .field_type,
            FieldType::List
        );
        assert_eq!(fields.get(RecordKind::Company, "custom.tool"), None);
        assert_eq!(
            fields.get(RecordKind::Person, "email").unwrap().source,
            FieldSource::Record
        );
    }
}
