//! Fixed values: the contact source, and what else is stamped on contacts and companies (E5).

use super::{
    Checker, Target,
    rows::{MAX_NAME, RESERVED, shown, there, writable},
};
use crate::{
    export::{ConvertError, convert},
    portal::{Properties, PropertyDefinition, Reference},
    settings::{FixedValue, Settings, SettingsCode, SettingsPath},
};

/// The longest fixed value, in characters.
pub(super) const MAX_VALUE: usize = 500;

/// The most fixed values of a type of record.
const MAX_STAMPS: usize = 100;

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
    let facts = c.facts;
    let contacts = Stamps {
        target: Target::Contact,
        properties: facts.contact_properties.as_ref(),
        unread: "contact properties",
    };
    if let Some(source) = &settings.contact_source {
        let path = SettingsPath::new("/contact_source");
        contacts.stamp(c, source, &path, "contact source");
    }
    contacts.all(c, &settings.contact_values, "/contact_values", "contact");
    let companies = Stamps {
        target: Target::Company,
        properties: facts.company_properties.as_ref(),
        unread: "company properties",
    };
    companies.all(c, &settings.company_values, "/company_values", "company");
}

/// Where fixed values go.
struct Stamps<'a> {
    target: Target,
    properties: Option<&'a Properties>,
    unread: &'static str,
}

impl Stamps<'_> {
    fn all(&self, c: &mut Checker<'_>, values: &[FixedValue], path: &'static str, noun: &str) {
        let path = SettingsPath::new(path);
        if !c.length(path.clone(), values.len(), MAX_STAMPS) {
            return;
        }
        for (n, value) in values.iter().enumerate() {
            self.stamp(
                c,
                value,
                &path.at(n),
                &format!("fixed {noun} value {}", n + 1),
            );
        }
    }

    fn stamp(&self, c: &mut Checker<'_>, stamp: &FixedValue, path: &SettingsPath, rule: &str) {
        let (at_property, at_value) = (path.at("property"), path.at("value"));
        let words = format!("{rule} ({})", shown(&stamp.property));
        let named = c.text(
            at_property.clone(),
            &words,
            "name of the property",
            &stamp.property,
            MAX_NAME,
        );
        let valued = c.text(at_value.clone(), &words, "value", &stamp.value, MAX_VALUE);
        if !named || !valued {
            return;
        }
        if self.target == Target::Contact && stamp.property == "email" {
            c.error(
                at_property,
                SettingsCode::EmailTarget,
                format!("{words}: the e-mail is who a contact is"),
            );
            return;
        }
        let identity = self.target == Target::Company && stamp.property == "domain";
        if identity || RESERVED.contains(&stamp.property.as_str()) {
            c.error(
                at_property,
                SettingsCode::ReservedProperty,
                format!("{words}: the property identifies the record, or HubSpot writes it"),
            );
            return;
        }
        c.writes(self.target, &stamp.property, path, format!("the {rule}"));
        let Some(properties) = self.properties else {
            c.not_read(path, self.unread);
            return;
        };
        let Some(definition) = there(c, properties, &stamp.property, &at_property, &words) else {
            return;
        };
        if writable(c, definition, &at_property, &words) {
            fixed(c, &stamp.value, definition, &at_value, &words);
        }
    }
}

/// Whether a fixed value can be written to a property.
pub(super) fn fixed(
    c: &mut Checker<'_>,
    value: &str,
    definition: &PropertyDefinition,
    path: &SettingsPath,
    words: &str,
) {
    let external = c.facts.external();
    let (code, why) = match convert::fixed(value, definition, &external) {
        Ok(_) => {
            match definition.reference() {
                Some(Reference::Owner) if external.owners.is_none() => c.not_read(path, "owners"),
                Some(Reference::Pipeline | Reference::Stage) if external.pipelines.is_none() => {
                    c.not_read(path, "pipelines");
                }
                _ => {}
            }
            return;
        }
        Err(ConvertError::NoOption) => (
            SettingsCode::OptionUnknown,
            format!("the value is none of the options: {}", options(definition)),
        ),
        Err(ConvertError::NotThere(reference)) => (
            match reference {
                Reference::Owner => SettingsCode::OwnerUnknown,
                Reference::Pipeline => SettingsCode::PipelineUnknown,
                Reference::Stage => SettingsCode::StageUnknown,
                Reference::Elsewhere => SettingsCode::OptionUnknown,
            },
            format!(
                "the property takes the id of {}, and the portal has no active one of this id; give the id, not the name",
                match reference {
                    Reference::Owner => "an owner",
                    Reference::Pipeline => "a pipeline",
                    Reference::Stage => "a pipeline's stage",
                    Reference::Elsewhere => "an option",
                }
            ),
        ),
        Err(_) => (
            SettingsCode::TypeMismatch,
            format!(
                "the value does not fit a property of the type {}",
                definition.property_type.as_str()
            ),
        ),
    };
    c.error(path.clone(), code, format!("{words}: {why}"));
}

/// The first options, by value.
fn options(definition: &PropertyDefinition) -> String {
    const SHOWN: usize = 20;
    let mut text = definition
        .options
        .iter()
        .take(SHOWN)
        .map(|o| o.value.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    if definition.options.len() > SHOWN {
        text.push_str(", …");
    }
    text
}
