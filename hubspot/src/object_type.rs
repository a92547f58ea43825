//! CRM object types.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{IdError, PropertyName};

/// An object type named by id (`2-3465`, `0-5`) or by fully qualified name (`p123_car`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectTypeId(Cow<'static, str>);

impl ObjectTypeId {
    /// The text as it stands in paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectTypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectTypeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let valid = !text.is_empty()
            && text.len() <= 150
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if valid {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(IdError::new("ObjectTypeId", "an object type id such as 2-3465 or a name such as p123_car"))
        }
    }
}

/// A type of CRM record.
///
/// Its text form ([`Display`](fmt::Display), [`FromStr`], serde) is the path name, for example
/// `contacts`; singular names and type ids (`contact`, `0-1`) are read as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ObjectType {
    /// Contacts, `0-1`.
    Contact,
    /// Companies, `0-2`.
    Company,
    /// Deals, `0-3`.
    Deal,
    /// Calls, `0-48`.
    Call,
    /// E-mails, `0-49`.
    Email,
    /// Meetings, `0-47`.
    Meeting,
    /// Notes, `0-46`.
    Note,
    /// Tasks, `0-27`.
    Task,
    /// WhatsApp, LinkedIn and SMS messages, `0-18`.
    Communication,
    /// Any other type, for example tickets (`0-5`) or a custom object.
    Other(ObjectTypeId),
}

const KNOWN: [(ObjectType, &str, &str, &str); 9] = [
    (ObjectType::Contact, "contacts", "contact", "0-1"),
    (ObjectType::Company, "companies", "company", "0-2"),
    (ObjectType::Deal, "deals", "deal", "0-3"),
    (ObjectType::Call, "calls", "call", "0-48"),
    (ObjectType::Email, "emails", "email", "0-49"),
    (ObjectType::Meeting, "meetings", "meeting", "0-47"),
    (ObjectType::Note, "notes", "note", "0-46"),
    (ObjectType::Task, "tasks", "task", "0-27"),
    (ObjectType::Communication, "communications", "communication", "0-18"),
];

impl ObjectType {
    /// All types that have a name of their own here, in no particular order.
    pub fn known() -> impl Iterator<Item = Self> {
        KNOWN.into_iter().map(|(kind, ..)| kind)
    }

    /// The name in paths and as the key of inline associations, for example `companies`.
    pub fn path_name(&self) -> &str {
        match self {
            Self::Other(id) => id.as_str(),
            known => KNOWN.iter().find(|(kind, ..)| kind == known).map_or("", |(_, path, ..)| path),
        }
    }

    /// The object type id, for example `0-2`. For [`ObjectType::Other`] it is whatever names it.
    pub fn type_id(&self) -> &str {
        match self {
            Self::Other(id) => id.as_str(),
            known => KNOWN.iter().find(|(kind, ..)| kind == known).map_or("", |(.., id)| id),
        }
    }

    /// The property that tells when a record was last modified: `lastmodifieddate` for contacts,
    /// `hs_lastmodifieddate` for all others.
    pub const fn last_modified_property(&self) -> PropertyName {
        match self {
            Self::Contact => PropertyName::LASTMODIFIEDDATE,
            _ => PropertyName::HS_LASTMODIFIEDDATE,
        }
    }

    /// The property that tells when a record was created.
    pub const fn created_property(&self) -> PropertyName {
        match self {
            Self::Contact | Self::Company | Self::Deal => PropertyName::CREATEDATE,
            _ => PropertyName::HS_CREATEDATE,
        }
    }

    /// Whether the type is an engagement: something that happened, on a record's timeline.
    pub const fn is_engagement(&self) -> bool {
        matches!(
            self,
            Self::Call | Self::Email | Self::Meeting | Self::Note | Self::Task | Self::Communication
        )
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path_name())
    }
}

impl FromStr for ObjectType {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let known = KNOWN
            .into_iter()
            .find(|(_, path, singular, id)| text.eq_ignore_ascii_case(path) || text.eq_ignore_ascii_case(singular) || text == *id);
        match known {
            Some((kind, ..)) => Ok(kind),
            None => text.parse().map(Self::Other),
        }
    }
}

impl Serialize for ObjectType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.path_name())
    }
}

impl<'de> Deserialize<'de> for ObjectType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_is_read_back_from_each_of_its_names() {
        for kind in ObjectType::known() {
            assert!(!kind.path_name().is_empty());
            assert_eq!(kind.path_name().parse::<ObjectType>().unwrap(), kind);
            assert_eq!(kind.type_id().parse::<ObjectType>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<ObjectType>(&json).unwrap(), kind);
        }
        assert_eq!("CONTACT".parse::<ObjectType>().unwrap(), ObjectType::Contact);
    }

    #[test]
    fn unknown_types_are_kept_and_what_could_leave_a_path_is_refused() {
        assert_eq!("0-5".parse::<ObjectType>().unwrap().path_name(), "0-5");
        assert_eq!("p123_car".parse::<ObjectType>().unwrap().type_id(), "p123_car");
        for text in ["", "a/b", "..", "a?b", "a b"] {
            assert!(text.parse::<ObjectType>().is_err(), "{text}");
        }
    }

    #[test]
    fn last_modified_has_two_names() {
        assert_eq!(ObjectType::Contact.last_modified_property().as_str(), "lastmodifieddate");
        assert_eq!(ObjectType::Deal.last_modified_property().as_str(), "hs_lastmodifieddate");
        assert_eq!(ObjectType::Note.created_property().as_str(), "hs_createdate");
    }
}
