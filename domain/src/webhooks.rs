//! What a webhook of HubSpot's means: which records to read now (I9). An event says no more than
//! that: deliveries repeat, overtake each other and may be old.

use std::time::Duration;

use crate::{HubSpotObjectId, ObjectType, backfill::associations_read_with};

/// What an event says, as far as it matters.
#[derive(Debug, Clone, Default)]
pub struct EventFacts<'a> {
    /// Such as `contact.propertyChange` or `object.creation`.
    pub subscription_type: &'a str,
    /// `0-1` and so on, for `object.…`.
    pub object_type_id: Option<&'a str>,
    /// Such as `CONTACT_TO_COMPANY`, for association changes.
    pub association_type: Option<&'a str>,
    /// The record.
    pub object: Option<HubSpotObjectId>,
    /// Of a merge: the record that the others went into, those, and the new one.
    pub merged: Vec<HubSpotObjectId>,
    /// Of an association change: from this record.
    pub from: Option<HubSpotObjectId>,
    /// Of an association change: to this record.
    pub to: Option<HubSpotObjectId>,
}

/// The records that are to be read because of an event: none if it is about a type that is not
/// imported. An association is read with the record from whose side it is kept.
pub fn records_to_read(event: &EventFacts<'_>) -> Vec<(ObjectType, HubSpotObjectId)> {
    let Some((subject, action)) = event.subscription_type.split_once('.') else {
        return Vec::new();
    };
    if action == "associationChange" {
        return end_that_keeps(event).into_iter().collect();
    }
    let object_type = match subject {
        "object" => event.object_type_id.and_then(ObjectType::from_type_id),
        name => mirrored(name),
    };
    let Some(object_type) = object_type.filter(|t| t.is_mirrored()) else {
        return Vec::new();
    };
    let mut ids: Vec<HubSpotObjectId> = event.object.into_iter().collect();
    if action == "merge" {
        ids.extend(&event.merged);
    }
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| (object_type, id)).collect()
}

/// Whether an event says that a contact was deleted for privacy (GDPR). Where HubSpot, asked in every way,
/// names that contact as unknown as well, that is the second word (decision 0031).
pub fn is_privacy_deletion(event: &EventFacts<'_>) -> bool {
    matches!(event.subscription_type.split_once('.'), Some((_, action)) if action == "privacyDeletion")
        && records_to_read(event)
            .iter()
            .all(|(object_type, _)| *object_type == ObjectType::Contact)
}

/// HubSpot's name for one record of a type, in whatever case.
fn mirrored(name: &str) -> Option<ObjectType> {
    match name.to_ascii_lowercase().as_str() {
        "contact" => Some(ObjectType::Contact),
        "company" => Some(ObjectType::Company),
        "deal" => Some(ObjectType::Deal),
        _ => None,
    }
}

fn end_that_keeps(event: &EventFacts<'_>) -> Option<(ObjectType, HubSpotObjectId)> {
    let (from, to) = event.association_type?.split_once("_TO_")?;
    let (from, to) = (mirrored(from)?, mirrored(to)?);
    if associations_read_with(from).contains(&to) {
        Some((from, event.from?))
    } else if associations_read_with(to).contains(&from) {
        Some((to, event.to?))
    } else {
        None
    }
}

/// How long a record waits of which HubSpot's answers did not speak for the n-th time (from 0 on);
/// `None` once it is left to the periodic sync and the reconciliation, after some two hours.
pub fn ask_again_after(times: u32) -> Option<Duration> {
    const FIRST: u64 = 2;
    const LONGEST: u64 = 10 * 60;
    const MOST: u32 = 20;
    (times < MOST).then(|| {
        let seconds = FIRST.saturating_mul(1_u64 << times.min(20));
        Duration::from_secs(seconds.min(LONGEST))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the app has to be told of each type that is imported, besides its properties.
    const ACTIONS: [&str; 5] = [
        "creation",
        "deletion",
        "restore",
        "merge",
        "associationChange",
    ];

    /// Whether a change of a property is worth an event: those that change with every other one, or with a
    /// merge, have an event already.
    fn is_told(property: &str) -> bool {
        !matches!(
            property,
            "createdate" | "lastmodifieddate" | "hs_lastmodifieddate" | "hs_merged_object_ids"
        )
    }

    fn id(n: i64) -> HubSpotObjectId {
        HubSpotObjectId::new(n).unwrap()
    }

    #[test]
    fn every_event_names_what_to_read() {
        use ObjectType::{Company, Contact, Deal};
        let table = [
            ("contact.creation", None, None, vec![(Contact, 1)]),
            ("contact.propertyChange", None, None, vec![(Contact, 1)]),
            ("company.deletion", None, None, vec![(Company, 1)]),
            ("deal.restore", None, None, vec![(Deal, 1)]),
            ("contact.privacyDeletion", None, None, vec![(Contact, 1)]),
            (
                "contact.merge",
                None,
                None,
                vec![(Contact, 1), (Contact, 5), (Contact, 6)],
            ),
            ("object.creation", Some("0-3"), None, vec![(Deal, 1)]),
            (
                "object.merge",
                Some("0-2"),
                None,
                vec![(Company, 1), (Company, 5), (Company, 6)],
            ),
            // Kept from the contact's side, from whichever it is told.
            (
                "contact.associationChange",
                None,
                Some("CONTACT_TO_COMPANY"),
                vec![(Contact, 7)],
            ),
            (
                "company.associationChange",
                None,
                Some("COMPANY_TO_CONTACT"),
                vec![(Contact, 8)],
            ),
            (
                "deal.associationChange",
                None,
                Some("DEAL_TO_CONTACT"),
                vec![(Deal, 7)],
            ),
            (
                "object.associationChange",
                Some("0-1"),
                Some("CONTACT_TO_DEAL"),
                vec![(Deal, 8)],
            ),
            // Of no concern.
            (
                "contact.associationChange",
                None,
                Some("CONTACT_TO_TICKET"),
                vec![],
            ),
            (
                "contact.associationChange",
                None,
                Some("CONTACT_TO_CONTACT"),
                vec![],
            ),
            ("contact.associationChange", None, None, vec![]),
            ("ticket.creation", None, None, vec![]),
            ("object.creation", Some("0-5"), None, vec![]),
            ("object.creation", None, None, vec![]),
            ("object.creation", Some("2-123"), None, vec![]),
            // An engagement is no record of the mirror.
            ("object.creation", Some("0-46"), None, vec![]),
            ("conversation", None, None, vec![]),
            ("", None, None, vec![]),
        ];
        for (subscription_type, object_type_id, association_type, want) in table {
            let event = EventFacts {
                subscription_type,
                object_type_id,
                association_type,
                object: Some(id(1)),
                merged: vec![id(6), id(5), id(1)],
                from: Some(id(7)),
                to: Some(id(8)),
            };
            let want: Vec<_> = want.into_iter().map(|(t, n)| (t, id(n))).collect();
            assert_eq!(
                records_to_read(&event),
                want,
                "{subscription_type} {association_type:?}"
            );
        }
        let nothing = EventFacts {
            subscription_type: "contact.creation",
            ..EventFacts::default()
        };
        assert_eq!(records_to_read(&nothing), []);
    }

    #[test]
    fn a_privacy_deletion_is_told_of_contacts() {
        for (subscription_type, object_type_id, is) in [
            ("contact.privacyDeletion", None, true),
            ("object.privacyDeletion", Some("0-1"), true),
            ("object.privacyDeletion", Some("0-3"), false),
            ("contact.deletion", None, false),
            ("privacyDeletion", None, false),
        ] {
            let event = EventFacts {
                subscription_type,
                object_type_id,
                object: Some(id(1)),
                ..EventFacts::default()
            };
            assert_eq!(is_privacy_deletion(&event), is, "{subscription_type}");
        }
    }

    #[test]
    fn what_is_not_answered_is_asked_ever_more_slowly_and_not_for_ever() {
        let waits: Vec<u64> = (0..)
            .map_while(ask_again_after)
            .map(|w| w.as_secs())
            .collect();
        assert_eq!(waits[..5], [2, 4, 8, 16, 32]);
        assert!(waits.is_sorted());
        let hours = waits.iter().sum::<u64>() / 3_600;
        assert!((1..=3).contains(&hours), "{hours}");
        assert_eq!(ask_again_after(u32::MAX), None);
    }

    #[test]
    fn the_app_is_configured_to_be_told_of_all_that_is_imported() {
        let file = include_str!("../../docs/hubspot-app/src/app/webhooks/webhooks-hsmeta.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let of = |name: &str| {
            file["config"]["subscriptions"][name]
                .as_array()
                .unwrap()
                .clone()
        };
        let subscribed: Vec<(String, String, String)> = of("crmObjects")
            .iter()
            .map(|s| {
                assert_eq!(s["active"], true);
                let text = |name: &str| s[name].as_str().unwrap_or_default().to_owned();
                (
                    text("objectType"),
                    text("subscriptionType"),
                    text("propertyName"),
                )
            })
            .collect();
        let mut wanted = Vec::new();
        for object_type in ObjectType::MIRRORED {
            let name = object_type.as_str();
            for action in ACTIONS {
                wanted.push((name.to_owned(), format!("object.{action}"), String::new()));
            }
            let told = crate::backfill::needed_properties(object_type).iter();
            for property in told.filter(|p| is_told(p)) {
                let kind = "object.propertyChange".to_owned();
                wanted.push((name.to_owned(), kind, (*property).to_owned()));
            }
        }
        assert_eq!(subscribed, wanted);
        assert_eq!(
            of("hubEvents")[0]["subscriptionType"],
            "contact.privacyDeletion"
        );
        // What is told is what is read.
        let event = EventFacts {
            subscription_type: "object.propertyChange",
            object_type_id: Some("0-1"),
            object: Some(id(1)),
            ..EventFacts::default()
        };
        assert_eq!(records_to_read(&event), [(ObjectType::Contact, id(1))]);
    }

    proptest! {
        #[test]
        fn only_records_of_the_mirror_are_named(
            subject in "[a-z]{0,10}", action in "[a-zA-Z]{0,20}", type_id in proptest::option::of("[0-9]-[0-9]{1,2}"),
            association in proptest::option::of("[A-Z]{1,8}_TO_[A-Z]{1,8}"),
        ) {
            let event = EventFacts {
                subscription_type: &format!("{subject}.{action}"),
                object_type_id: type_id.as_deref(),
                association_type: association.as_deref(),
                object: Some(id(1)),
                merged: vec![id(2)],
                from: Some(id(3)),
                to: Some(id(4)),
            };
            for (object_type, _) in records_to_read(&event) {
                prop_assert!(object_type.is_mirrored());
            }
        }
    }
}
