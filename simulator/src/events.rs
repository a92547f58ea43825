//! What happened to records, for whoever tells others of it; and what HubSpot does later by itself.

use crate::model::{Kind, Property};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Created {
        kind: Kind,
        id: u64,
        at: i64,
    },
    Changed {
        kind: Kind,
        id: u64,
        name: String,
        value: String,
        at: i64,
    },
    Archived {
        kind: Kind,
        id: u64,
        at: i64,
    },
    Restored {
        kind: Kind,
        id: u64,
        at: i64,
    },
    Erased {
        kind: Kind,
        id: u64,
        at: i64,
    },
    Merged {
        kind: Kind,
        primary: u64,
        merged: u64,
        new: u64,
        moved: usize,
        at: i64,
    },
    Associated {
        from: (Kind, u64),
        to: (Kind, u64),
        type_id: u32,
        removed: bool,
        at: i64,
    },
}

/// What is to be done at a time of its own.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// A company for a new contact.
    CompanyFor(u64),
    /// A property can be seen from now on.
    Reveal(Kind, Box<Property>),
    /// A list is processed.
    Processed(u64),
}
