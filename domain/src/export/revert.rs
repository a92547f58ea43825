//! Reverting an overwrite (E10): a new write that brings the old value back, journaled as any other.

use chrono::{DateTime, Utc};

use super::{
    ConvertError, HubSpotValue, Write,
    compare::same,
    convert,
    journal::{Cause, Entry, EntryId, EntryState, Operation, Written},
    lifecycle::{LIFECYCLE, Way, way},
    record::{Known, RecordRead},
};
use crate::{
    HubSpotObjectId,
    portal::{Properties, PropertyType},
};

/// Why a value is not brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRevert {
    /// The entry did not write the property, or is no write of values of a record.
    #[error("the entry did not write this property")]
    NotWritten,
    /// The entry is open, or was refused.
    #[error("HubSpot does not have what the entry says")]
    NotDone,
    /// HubSpot had no value before; a revert would clear it, and nothing is ever cleared.
    #[error("nothing was overwritten: HubSpot had no value before")]
    NotAnOverwrite,
    /// Retention took the values.
    #[error("the values are no longer kept")]
    ValuesGone,
    /// The read is of another record, or did not bring the property.
    #[error("HubSpot's present value is not known")]
    NotRead,
    /// HubSpot's value is not the one that was written any more.
    #[error("the value was changed in HubSpot since")]
    ChangedSince,
    /// HubSpot has the old value already.
    #[error("HubSpot has the old value already")]
    BackAlready,
    /// The property, or the option, is not there any more, or cannot be set.
    #[error("the old value can no longer be written: {0}")]
    NotWritable(ConvertError),
    /// The portal has no such property any more.
    #[error("the portal has no such property any more")]
    PropertyUnknown,
}

impl NoRevert {
    /// The paragraph in `docs/errors.md`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotWritten | Self::NotAnOverwrite | Self::BackAlready => "HS-2441",
            Self::NotDone => "HS-2442",
            Self::ValuesGone => "HS-2443",
            Self::NotRead => "HS-2424",
            Self::ChangedSince => "HS-2444",
            Self::NotWritable(error) => error.code(),
            Self::PropertyUnknown => "HS-2101",
        }
    }
}

/// What a revert writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// The entry that is reverted.
    pub of: EntryId,
    /// The record.
    pub record: HubSpotObjectId,
    /// The property.
    pub property: String,
    /// What HubSpot has now.
    pub now: HubSpotValue,
    /// What is written.
    pub write: Write,
}

/// What an entry keeps of an overwrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept<'e> {
    /// The record.
    pub record: HubSpotObjectId,
    /// What HubSpot had.
    pub old: &'e HubSpotValue,
    /// What was written.
    pub new: &'e HubSpotValue,
}

/// Whether an entry has what a revert of one of its properties needs. That can be told without HubSpot,
/// and so at once to whoever asks.
///
/// # Errors
/// [`NoRevert`].
pub fn may_revert<'e>(entry: &'e Entry, property: &str) -> Result<Kept<'e>, NoRevert> {
    let written = entry
        .written
        .iter()
        .find(|w| w.property == property)
        .ok_or(NoRevert::NotWritten)?;
    let EntryState::Done { record, .. } = entry.state else {
        return Err(NoRevert::NotDone);
    };
    if !written.overwrote {
        return Err(NoRevert::NotAnOverwrite);
    }
    match (&written.old, &written.new) {
        (Some(old), Some(new)) => Ok(Kept { record, old, new }),
        _ => Err(NoRevert::ValuesGone),
    }
}

/// Decides a revert of one property of an entry, by a fresh read of the record. `emptied` says that the
/// property was emptied for this very revert already, and the value not sent any more.
///
/// # Errors
/// [`NoRevert`].
pub fn revert(
    entry: &Entry,
    property: &str,
    read: &RecordRead,
    definitions: &Properties,
    emptied: bool,
) -> Result<Revert, NoRevert> {
    let kept = may_revert(entry, property)?;
    let (record, old, new) = (kept.record, kept.old, kept.new);
    let definition = definitions.get(property).ok_or(NoRevert::PropertyUnknown)?;
    // A record that was merged meanwhile is another one; what it has is not what was written here.
    if !read.is_fresh() || read.id() != record {
        return Err(NoRevert::NotRead);
    }
    let now = match read.known(property) {
        Known::NotAsked => return Err(NoRevert::NotRead),
        Known::Empty if emptied => new.as_str(),
        Known::Empty => return Err(NoRevert::ChangedSince),
        Known::Value(now) => now,
    };
    if same(now, old.as_str(), definition) {
        return Err(NoRevert::BackAlready);
    }
    if !same(now, new.as_str(), definition) {
        return Err(NoRevert::ChangedSince);
    }
    convert::writable(definition).map_err(NoRevert::NotWritable)?;
    let has = |option: &str| definition.has_option(option.trim());
    let known = match definition.property_type {
        PropertyType::Enumeration if definition.external_options => true,
        PropertyType::Enumeration if definition.takes_several() => old
            .as_str()
            .split(';')
            .filter(|o| !o.trim().is_empty())
            .all(has),
        PropertyType::Enumeration => has(old.as_str()),
        _ => true,
    };
    if !known {
        return Err(NoRevert::NotWritable(ConvertError::NoOption));
    }
    // Somebody asked for it, so a stage goes back too.
    let back = property == LIFECYCLE && way(definition, now, old.as_str()) == Way::Back;
    let write = if back && read.known(property) != Known::Empty {
        Write::Reset(old.clone())
    } else {
        Write::Set(old.clone())
    };
    Ok(Revert {
        of: entry.id,
        record,
        property: property.to_owned(),
        now: HubSpotValue::stored(now).ok_or(NoRevert::ChangedSince)?,
        write,
    })
}

impl Revert {
    /// The entry to commit before the property is emptied, where it has to be.
    pub fn emptying(&self, id: EntryId, reverted: &Entry, now: DateTime<Utc>) -> Entry {
        let mut entry = self.entry(id, reverted, now);
        if let Operation::Update(object_type, record) = entry.operation {
            entry.operation = Operation::Empty(object_type, record);
        }
        for written in &mut entry.written {
            written.new = None;
            written.overwrote = false;
        }
        entry
    }

    /// The entry to commit before the property gets back what it had, where HubSpot refused the revert after
    /// it was emptied.
    pub fn putting_back(&self, id: EntryId, reverted: &Entry, now: DateTime<Utc>) -> Entry {
        let mut entry = self.entry(id, reverted, now);
        entry.cause = Cause::Repair;
        for written in &mut entry.written {
            written.new.clone_from(&written.old);
            written.overwrote = false;
        }
        entry
    }

    /// The entry to commit before the revert is sent.
    pub fn entry(&self, id: EntryId, reverted: &Entry, now: DateTime<Utc>) -> Entry {
        let object_type = match reverted.operation {
            Operation::Create(object_type)
            | Operation::Update(object_type, _)
            | Operation::Empty(object_type, _)
            | Operation::Archive(object_type, _) => object_type,
            Operation::Associate { .. } => crate::ObjectType::Contact,
        };
        Entry {
            id,
            subject: reverted.subject.clone(),
            cause: Cause::Revert(self.of),
            operation: Operation::Update(object_type, self.record),
            written: vec![Written {
                property: self.property.clone(),
                rule: None,
                old: Some(self.now.clone()),
                new: Some(self.write.result().clone()),
                overwrote: true,
                sent: None,
            }],
            opened_at: now,
            state: EntryState::Open { sent_at: None },
        }
    }
}
