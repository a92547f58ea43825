//! What a portal's admins ask of writes: properties that are required (`hubspot-api.md` §15.2).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    client::{API_VERSION, Client, Kind},
    error::Error,
    ids::ObjectType,
    page::Envelope,
};

/// A rule about one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyRule {
    /// The property that it asks for.
    pub property: String,
    /// When it does.
    pub required: Required,
}

/// When a property is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// Of every new record.
    Always,
    /// Where another property has a value.
    When {
        /// The other property.
        property: String,
        /// The values that count; none: any.
        values: Vec<String>,
    },
}

/// The endpoints of rules about properties.
#[derive(Debug)]
pub struct Validations<'a>(&'a Client);

impl Client {
    /// The endpoints of rules about properties.
    pub const fn validations(&self) -> Validations<'_> {
        Validations(self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfProperty<'a> {
    property_name: String,
    #[serde(borrow, default)]
    property_validation_rules: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    rule_type: String,
    #[serde(default)]
    rule_arguments: Vec<String>,
}

impl Rule {
    /// What it asks for; none for a rule about the form of a value, or of a form that is not known.
    fn required(self) -> Option<Required> {
        match self.rule_type.as_str() {
            "REQUIRED" => Some(Required::Always),
            "CONDITIONAL_REQUIRED" => {
                let mut arguments = self.rule_arguments.into_iter();
                Some(Required::When {
                    property: arguments.next().filter(|name| !name.is_empty())?,
                    values: arguments.collect(),
                })
            }
            _ => None,
        }
    }
}

fn rules(raw: &RawValue) -> Vec<PropertyRule> {
    let Ok(of) = serde_json::from_str::<OfProperty<'_>>(raw.get()) else {
        return Vec::new();
    };
    of.property_validation_rules
        .iter()
        .filter_map(|rule| serde_json::from_str::<Rule>(rule.get()).ok()?.required())
        .map(|required| PropertyRule {
            property: of.property_name.clone(),
            required,
        })
        .collect()
}

impl Validations<'_> {
    /// The rules of a type that ask for a property. One of a form that is not known is left out, and
    /// does the others no harm: HubSpot refuses what breaks it, and says so.
    ///
    /// Wants `crm.schemas.*.read` of the type, or the right to read its records.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`], [`Error::Forbidden`] and [`Error::NotFound`] where the portal does not
    /// tell: then nothing is known, which is something else than no rules.
    pub async fn required(&self, object_type: ObjectType) -> Result<Vec<PropertyRule>, Error> {
        let path = format!(
            "/crm/property-validations/{API_VERSION}/{}",
            object_type.type_id()
        );
        let answer = self.0.get(&path, &[], Kind::Read).await?;
        let envelope: Envelope<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
                context: "property rules",
            })?;
        Ok(envelope.results.iter().flat_map(|raw| rules(raw)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_is_not_known_is_left_out_alone() {
        let read = |json: &str| rules(&RawValue::from_string(json.to_owned()).unwrap());
        let all = read(
            r#"{"propertyName": "zip", "propertyValidationRules": [
                {"ruleType": "REQUIRED"}, {"ruleType": "REGEX", "ruleArguments": ["x"]},
                {"ruleType": "CONDITIONAL_REQUIRED", "ruleArguments": []}, {"ruleType": 7}, "x",
                {"ruleType": "CONDITIONAL_REQUIRED", "ruleArguments": ["country", "DE", "AT"]}]}"#,
        );
        let wanted = [
            Required::Always,
            Required::When {
                property: "country".to_owned(),
                values: vec!["DE".to_owned(), "AT".to_owned()],
            },
        ];
        assert_eq!(
            all.iter().map(|r| &r.required).collect::<Vec<_>>(),
            wanted.iter().collect::<Vec<_>>()
        );
        assert!(all.iter().all(|rule| rule.property == "zip"));
        for other in ["7", "{}", r#"{"propertyName": "a"}"#] {
            assert!(read(other).is_empty(), "{other}");
        }
    }
}
