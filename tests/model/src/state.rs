//! What is in a portal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::rules::Broken;

/// Types of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// People.
    Contact,
    /// Companies.
    Company,
    /// Deals.
    Deal,
    /// An engagement.
    Note,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Contact, Self::Company, Self::Deal, Self::Note];
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Live,
    Archived,
}

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Values that are not empty.
    pub(crate) values: BTreeMap<String, String>,
    /// Properties of which the notes do not say what a merge leaves in them.
    pub(crate) open: BTreeSet<String>,
    pub(crate) place: Place,
    /// Milliseconds.
    pub(crate) updated: i64,
    /// Ids that were merged into it.
    pub(crate) merged: BTreeSet<u64>,
    /// E-mails besides the first one.
    pub(crate) more_emails: BTreeSet<String>,
}

/// An association, from either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// From a record of this type.
    pub from_kind: Kind,
    /// From this record.
    pub from: u64,
    /// To a record of this type.
    pub to_kind: Kind,
    /// To this record.
    pub to: u64,
}

impl Link {
    pub(crate) const fn reversed(self) -> Self {
        Self {
            from_kind: self.to_kind,
            from: self.to,
            to_kind: self.from_kind,
            to: self.from,
        }
    }
}

/// An answer that HubSpot would not have given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

/// A portal as it should be.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub(crate) broken: Option<Broken>,
    pub(crate) records: BTreeMap<(Kind, u64), Record>,
    /// Ids that were merged away, and where they lead.
    pub(crate) aliases: BTreeMap<(Kind, u64), u64>,
    /// Ids that are gone for good.
    pub(crate) erased: BTreeSet<(Kind, u64)>,
    pub(crate) links: BTreeSet<Link>,
    /// Records whose associations the notes leave open, until they are read.
    pub(crate) open_links: BTreeSet<(Kind, u64)>,
    /// E-mails and keys of which the notes do not say whether they are free.
    pub(crate) retired: BTreeSet<String>,
}

impl Model {
    /// An empty portal; with a rule broken on purpose if one is given.
    pub fn new(broken: Option<Broken>) -> Self {
        Self {
            broken,
            ..Self::default()
        }
    }

    pub(crate) fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// Where an id leads on single reads and writes.
    pub(crate) fn resolve(&self, kind: Kind, id: u64) -> u64 {
        let mut id = id;
        while let Some(next) = self.aliases.get(&(kind, id)) {
            id = *next;
        }
        id
    }

    pub(crate) fn live(&self, kind: Kind, id: u64) -> Option<&Record> {
        self.records
            .get(&(kind, id))
            .filter(|r| r.place == Place::Live)
    }

    /// Ids of records that are there, in their order.
    pub fn live_ids(&self, kind: Kind) -> Vec<u64> {
        self.ids(kind, Place::Live)
    }

    /// Ids of records in the recycle bin.
    pub fn archived_ids(&self, kind: Kind) -> Vec<u64> {
        self.ids(kind, Place::Archived)
    }

    /// Ids that were merged away.
    pub fn merged_away(&self, kind: Kind) -> Vec<u64> {
        self.aliases
            .keys()
            .filter(|(k, _)| *k == kind)
            .map(|(_, id)| *id)
            .collect()
    }

    fn ids(&self, kind: Kind, place: Place) -> Vec<u64> {
        self.records
            .iter()
            .filter(|((k, _), r)| *k == kind && r.place == place)
            .map(|((_, id), _)| *id)
            .collect()
    }

    /// Whether HubSpot has named this id before.
    pub(crate) fn known(&self, kind: Kind, id: u64) -> bool {
        self.records.contains_key(&(kind, id))
            || self.aliases.contains_key(&(kind, id))
            || self.erased.contains(&(kind, id))
    }
}
