//! What records are asked for by.

use crate::{contacts::normal_email, ids::RecordId};

/// Names a record: by its id, or by the value of a property that is unique.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum RecordKey {
    /// By id.
    Id(RecordId),
    /// By a unique property: one with `hasUniqueValue`, or a contact's `email` for reads and
    /// upserts. HubSpot refuses updates by e-mail.
    Unique {
        /// The property.
        property: String,
        /// Its value.
        value: String,
    },
}

impl RecordKey {
    /// By a contact's e-mail.
    pub fn email(email: impl Into<String>) -> Self {
        Self::unique("email", email)
    }

    /// By a unique property.
    pub fn unique(property: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Unique {
            property: property.into(),
            value: value.into(),
        }
    }

    pub(super) fn property(&self) -> Option<&str> {
        match self {
            Self::Id(_) => None,
            Self::Unique { property, .. } => Some(property),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Unique { value, .. } => value.clone(),
        }
    }

    /// What tells two keys apart within a batch.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Unique { property, value } => unique_key(property, value),
        }
    }
}

/// A value may be an e-mail: it is not shown.
impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => f.debug_tuple("Id").field(id).finish(),
            Self::Unique { property, .. } => f
                .debug_struct("Unique")
                .field("property", property)
                .finish_non_exhaustive(),
        }
    }
}

/// Unique values do not differ by case or blanks around them, and e-mail addresses not by the way in
/// which their domain is written.
pub(super) fn unique_key(property: &str, value: &str) -> String {
    if property == "email" {
        format!("{property}={}", normal_email(value))
    } else {
        format!("{property}={}", value.trim().to_lowercase())
    }
}

/// Whether an error names this key, in any of the ways to write it.
pub(super) fn is_named(key: &RecordKey, ids: &[String]) -> bool {
    ids.contains(&key.text())
        || matches!(key, RecordKey::Unique { property, value }
            if ids.iter().any(|id| unique_key(property, id) == unique_key(property, value)))
}
