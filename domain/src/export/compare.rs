//! Whether HubSpot has a value already, compared as HubSpot normalises it (E4): otherwise the same
//! value would be written again and again.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    HubSpotValue,
    convert::{decimal, trimmed},
};
use crate::{
    app::{
        AddressForms,
        value::{datetime_text, parse_number},
    },
    company_domain,
    portal::{PropertyDefinition, PropertyType},
    profile::moment,
};

/// Whether what HubSpot has is what would be written.
pub fn same(stored: &str, wanted: &str, property: &PropertyDefinition) -> bool {
    stored == wanted || normal(stored, property) == normal(wanted, property)
}

/// The one form of a value. What does not read as the property's type stands for itself.
fn normal<'t>(text: &'t str, property: &PropertyDefinition) -> Cow<'t, str> {
    let bare = trimmed(text);
    let read = match property.property_type {
        PropertyType::Number => parse_number(bare).map(|number| decimal(&number)),
        PropertyType::Bool => Some(bare.to_lowercase()),
        PropertyType::Date => moment(bare).map(|at| at.format("%Y-%m-%d").to_string()),
        PropertyType::Datetime => moment(bare).map(datetime_text),
        PropertyType::Enumeration if property.takes_several() => {
            let each: BTreeSet<&str> = options(bare).collect();
            Some(each.into_iter().collect::<Vec<_>>().join(";"))
        }
        _ if property.name == "email" => Some(AddressForms::of(bare).canonical().to_owned()),
        _ if property.name == "domain" => company_domain::normalised(bare),
        _ => None,
    };
    match read {
        Some(read) => Cow::Owned(read),
        None if bare.contains('\r') => Cow::Owned(bare.replace("\r\n", "\n").replace('\r', "\n")),
        None => Cow::Borrowed(bare),
    }
}

/// The single options of a value.
fn options(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|o| !o.is_empty())
}

/// What adding options comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addition {
    /// The text to send: it begins with `;`, which adds to what HubSpot has by then.
    pub(super) sent: HubSpotValue,
    /// What stands there afterwards.
    pub(super) result: HubSpotValue,
}

/// Adds options to those that HubSpot has; none where all of them are there.
pub(super) fn addition(stored: &str, wanted: &HubSpotValue) -> Option<Addition> {
    let there: Vec<&str> = options(stored).collect();
    let missing: Vec<&str> = options(wanted.as_str())
        .filter(|option| !there.contains(option))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let all: Vec<&str> = there.iter().chain(&missing).copied().collect();
    Some(Addition {
        sent: HubSpotValue(format!(";{}", missing.join(";"))),
        result: HubSpotValue(all.join(";")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, property_type: PropertyType, field_type: &str) -> PropertyDefinition {
        PropertyDefinition {
            name: name.to_owned(),
            label: name.to_owned(),
            property_type,
            field_type: field_type.to_owned(),
            options: Vec::new(),
            external_options: false,
            referenced_object_type: None,
            read_only: false,
            calculated: false,
            archived: false,
        }
    }

    #[test]
    fn what_hubspot_normalises_is_the_same() {
        use PropertyType as P;
        let plain = |t| property("p", t, "text");
        let several = property("p", P::Enumeration, "checkbox");
        for (property, stored, wanted, is_same) in [
            (plain(P::String), "Head", " Head\n", true),
            (plain(P::String), "a\nb", "a\r\nb", true),
            (plain(P::String), "Head", "head", false),
            (plain(P::PhoneNumber), "+49 1", "\u{202d}+49 1", true),
            (plain(P::Number), "12.50", "12.5", true),
            (plain(P::Number), "12.0", "12", true),
            (plain(P::Number), "1.2E3", "1200", true),
            (plain(P::Number), "0.30000000000000004", "0.3", true),
            (plain(P::Number), "-0", "0", true),
            (plain(P::Number), "12", "13", false),
            (plain(P::Number), "many", "12", false),
            (plain(P::Bool), "True", "true", true),
            (plain(P::Bool), "false", "true", false),
            (plain(P::Date), "1772236800000", "2026-02-28", true),
            (plain(P::Date), "2026-02-28T00:00:00Z", "2026-02-28", true),
            (plain(P::Date), "2026-02-27", "2026-02-28", false),
            (
                plain(P::Datetime),
                "1772236800001",
                "2026-02-28T00:00:00.001Z",
                true,
            ),
            (
                plain(P::Datetime),
                "2026-02-28T01:00:00+01:00",
                "2026-02-28T00:00:00.000Z",
                true,
            ),
            (several.clone(), "b;a", "a;b", true),
            (several.clone(), ";a;b;", "a;b", true),
            (several.clone(), "a;a", "a", true),
            (several.clone(), "a", "a;b", false),
            (several, "A", "a", false),
            (property("p", P::Enumeration, "select"), "a", "A", false),
            (
                property("email", P::String, "text"),
                "Info@Müller.de",
                "info@xn--mller-kva.de",
                true,
            ),
            (
                property("domain", P::String, "text"),
                "https://WWW.Acme.example/",
                "acme.example",
                true,
            ),
        ] {
            assert_eq!(
                same(stored, wanted, &property),
                is_same,
                "{stored:?} and {wanted:?} as {:?}",
                property.property_type
            );
        }
    }

    #[test]
    fn adding_sends_only_what_is_missing() {
        let add = |stored: &str, wanted: &str| {
            addition(stored, &HubSpotValue(wanted.to_owned()))
                .map(|a| (a.sent.as_str().to_owned(), a.result.as_str().to_owned()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(add("b", "a;b;c"), pair(";a;c", "b;a;c"));
        assert_eq!(add(";b;a", "a;b"), None);
        // An option that the portal has no longer stays.
        assert_eq!(add("old", "a"), pair(";a", "old;a"));
    }
}
