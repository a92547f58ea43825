//! One record's properties, rule by rule: what is written and what is left out. Contacts and companies
//! go through the same decisions.

use std::collections::BTreeSet;

use super::{
    Change, ConvertError, HubSpotValue, LeftOut, Rule, Why, Write,
    compare::{addition, same},
    convert,
    history::History,
    lifecycle::{LIFECYCLE, Way, way},
    portal_rules::{self, RequiredProperty},
    record::{Known, RecordRead},
    sameness::{Definitions, as_text},
};
use crate::{
    app::{FieldInfo, FieldValue},
    portal::{External, Properties, PropertyDefinition},
    settings::{ExportBehavior, FixedValue, MappingRow, RESERVED_PROPERTIES, StampBehavior},
};

/// The property that holds a record's owner.
pub(super) const OWNER: &str = "hubspot_owner_id";

/// What is known of a portal's records of one type.
#[derive(Debug, Clone, Copy)]
pub struct PortalSide<'a> {
    /// Definitions of its properties.
    pub definitions: &'a Properties,
    /// What external options are checked against.
    pub external: External<'a>,
    /// The rules of the portal's admins.
    pub required: &'a [RequiredProperty],
}

/// What identifies a record, primarily and beside that.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyProperty {
    pub(super) primary: &'static str,
    pub(super) additional: &'static str,
    /// The only field of the app that may be mapped to it; none: any.
    pub(super) field: Option<&'static str>,
    /// The form in which it is written, or why a text cannot be one.
    pub(super) form: fn(&str) -> Result<String, Why>,
}

/// A value that a rule wants.
pub(super) struct Wanted<'a> {
    pub(super) property: &'a str,
    pub(super) rule: Rule,
    pub(super) behavior: ExportBehavior,
    /// The value, or why there is none.
    pub(super) value: Result<HubSpotValue, Why>,
    /// Whether a lifecycle stage may go back.
    pub(super) may_go_back: bool,
}

/// A record in the making: rules are put to it one after the other.
pub(super) struct Sheet<'a> {
    portal: PortalSide<'a>,
    key: KeyProperty,
    /// The record as it is; none: it is made.
    read: Option<&'a RecordRead>,
    history: &'a History,
    /// Whether another live record has a key of ours.
    key_taken: bool,
    taken: BTreeSet<String>,
    changes: Vec<Change>,
    left_out: Vec<LeftOut>,
}

impl<'a> Sheet<'a> {
    pub(super) const fn new(
        portal: PortalSide<'a>,
        key: KeyProperty,
        read: Option<&'a RecordRead>,
        history: &'a History,
        key_taken: bool,
    ) -> Self {
        Self {
            portal,
            key,
            read,
            history,
            key_taken,
            taken: BTreeSet::new(),
            changes: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Whether the record is made.
    pub(super) const fn is_new(&self) -> bool {
        self.read.is_none()
    }

    /// Whether a rule put so far writes a property.
    pub(super) fn writes(&self, property: &str) -> bool {
        self.changes.iter().any(|c| c.property == property)
    }

    pub(super) fn leave_out(&mut self, property: &str, rule: Rule, why: Why) {
        self.left_out.push(LeftOut {
            property: property.to_owned(),
            rule,
            why,
        });
    }

    /// The rows of a tab. `app` gives the app's value of a field, `info` what is known of it.
    pub(super) fn rows(
        &mut self,
        rows: &[MappingRow],
        info: impl Fn(&str) -> Option<FieldInfo>,
        app: impl Fn(&str) -> Option<FieldValue>,
        shared: bool,
    ) {
        for row in rows {
            // A new record has its key from whom it is made for.
            if self.is_new() && row.property == self.key.primary && self.writes(&row.property) {
                continue;
            }
            let rule = Rule::Row(row.app_field.clone());
            if row.export == ExportBehavior::DoNotExport {
                self.leave_out(&row.property, rule, Why::DoNotExport);
                continue;
            }
            let value = if shared {
                Err(Why::Shared)
            } else {
                self.value_of_row(row, &info, &app)
            };
            self.put(Wanted {
                property: &row.property,
                rule,
                behavior: row.export,
                value,
                may_go_back: false,
            });
        }
    }

    fn value_of_row(
        &self,
        row: &MappingRow,
        info: impl Fn(&str) -> Option<FieldInfo>,
        app: impl Fn(&str) -> Option<FieldValue>,
    ) -> Result<HubSpotValue, Why> {
        let key = row.app_field.as_str();
        let info = info(key).ok_or(Why::FieldUnknown)?;
        let value = app(key).ok_or(Why::NoAppValue)?;
        let definition = self
            .portal
            .definitions
            .get(&row.property)
            .ok_or(Why::PropertyUnknown)?;
        let (field_type, value) =
            convert::by_table(info.field_type, value, &row.options, definition);
        let value = convert::to_hubspot(field_type, &value, definition, &self.portal.external)
            .map_err(Why::NotConverted)?;
        if row.property != self.key.primary {
            return Ok(value);
        }
        if self.key.field.is_some_and(|field| field != key) {
            return Err(Why::Reserved);
        }
        (self.key.form)(value.as_str()).map(HubSpotValue)
    }

    /// Fixed values (E5).
    pub(super) fn stamps<'v>(&mut self, values: impl IntoIterator<Item = (&'v FixedValue, Rule)>) {
        for (stamp, rule) in values {
            let value = self.fixed(&stamp.property, &stamp.value);
            self.put(Wanted {
                property: &stamp.property,
                rule,
                behavior: match stamp.behavior {
                    StampBehavior::FillIfEmpty => ExportBehavior::FillIfEmpty,
                    StampBehavior::Overwrite => ExportBehavior::Overwrite,
                    StampBehavior::CreateOnly => ExportBehavior::CreateOnly,
                },
                value,
                may_go_back: false,
            });
        }
    }

    /// A value that was chosen in the settings.
    pub(super) fn fixed(&self, property: &str, value: &str) -> Result<HubSpotValue, Why> {
        let definition = self
            .portal
            .definitions
            .get(property)
            .ok_or(Why::PropertyUnknown)?;
        convert::fixed(value, definition, &self.portal.external).map_err(Why::NotConverted)
    }

    /// Puts a rule to the record.
    pub(super) fn put(&mut self, wanted: Wanted<'_>) {
        let (property, rule, behavior) = (wanted.property, wanted.rule.clone(), wanted.behavior);
        match self.decide(wanted) {
            Ok((old, write)) => {
                self.taken.insert(property.to_owned());
                self.changes.push(Change {
                    property: property.to_owned(),
                    rule,
                    behavior,
                    old,
                    write,
                });
            }
            Err(why) => {
                // A rule that has nothing to say leaves the property to others.
                if !matches!(
                    why,
                    Why::NoAppValue | Why::NoStatus | Why::StatusNotMapped | Why::NoOwner
                ) {
                    self.taken.insert(property.to_owned());
                }
                self.leave_out(property, rule, why);
            }
        }
    }

    fn decide(&self, wanted: Wanted<'_>) -> Result<(Option<HubSpotValue>, Write), Why> {
        let property = wanted.property;
        if self.taken.contains(property) {
            return Err(Why::WrittenTwice);
        }
        if RESERVED_PROPERTIES.contains(&property) {
            return Err(Why::Reserved);
        }
        let value = wanted.value?;
        let standard;
        let definition = match self.portal.definitions.get(property) {
            Some(definition) => definition,
            // These are in every portal, whatever was read of it so far.
            None if property == OWNER || property == self.key.primary => {
                standard = as_text(property);
                &standard
            }
            None => return Err(Why::PropertyUnknown),
        };
        convert::writable(definition).map_err(Why::NotConverted)?;
        let Some(read) = self.read else {
            return Ok((None, Write::Set(value)));
        };
        let now = read.known(property);
        let text = match now {
            Known::NotAsked => return Err(Why::NotRead),
            Known::Value(text)
                if same(text, value.as_str(), definition)
                    || self.history.is_made_of(property, text, &value) =>
            {
                return Err(Why::Same);
            }
            Known::Value(text) => Some(text),
            Known::Empty => None,
        };
        if wanted.behavior == ExportBehavior::CreateOnly {
            return Err(Why::OnCreateOnly);
        }
        if property == self.key.primary {
            self.key(read, &value, definition)?;
        }
        let old = match text {
            Some(text) => HubSpotValue::stored(text),
            None => self.history.emptied(property).cloned(),
        };
        let write = match (wanted.behavior, text) {
            (_, None) => Write::Set(value.clone()),
            (ExportBehavior::FillIfEmpty, Some(_)) => {
                return Err(if property == OWNER {
                    Why::HasOwner
                } else {
                    Why::HasValue
                });
            }
            (ExportBehavior::Append, Some(text)) if definition.takes_several() => {
                addition(text, &value).ok_or(Why::Same)?.into()
            }
            // The property turned into one of a single value since the row was saved.
            (ExportBehavior::Append, Some(_)) => {
                return Err(Why::NotConverted(ConvertError::TypeMismatch));
            }
            (_, Some(text)) if property == LIFECYCLE => {
                match way(definition, text, value.as_str()) {
                    Way::Back if wanted.may_go_back => Write::Reset(value.clone()),
                    way => match way.refused() {
                        Some(why) => return Err(why),
                        None => Write::Set(value.clone()),
                    },
                }
            }
            (_, Some(_)) => Write::Set(value.clone()),
        };
        let definitions = Definitions(self.portal.definitions);
        match self
            .history
            .holds(property, write.result(), now, definitions)
        {
            Some(why) => Err(why),
            None => Ok((old, write)),
        }
    }

    /// What identifies a record is not replaced by what it is known by besides (E2), nor by what is
    /// another record's.
    fn key(
        &self,
        read: &RecordRead,
        value: &HubSpotValue,
        definition: &PropertyDefinition,
    ) -> Result<(), Why> {
        if read.known(self.key.additional) == Known::NotAsked {
            return Err(Why::NotRead);
        }
        if read
            .each(self.key.additional)
            .any(|known| same(known, value.as_str(), definition))
        {
            return Err(Why::AdditionalKey);
        }
        if self.key_taken {
            return Err(Why::KeyTaken);
        }
        Ok(())
    }

    /// What is written, what is left out, and what the portal requires of a new record that lacks it.
    pub(super) fn finish(mut self) -> Filled {
        let lacking = portal_rules::enforce(
            self.portal.required,
            self.read,
            &mut self.changes,
            &mut self.left_out,
        );
        Filled {
            changes: self.changes,
            left_out: self.left_out,
            lacking,
        }
    }
}

/// What became of a sheet.
pub(super) struct Filled {
    pub(super) changes: Vec<Change>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) lacking: Vec<String>,
}
