//! What a portal says of itself: rules of its admins, and unique properties of ours.

use domain::{
    Epoch, ObjectType,
    export::{RequiredProperty, RequiredWhen},
};
use store::{PortalKey, PortalKeyRow};

use crate::support::{World, at, bounded};

fn required(property: &str, when: Option<(&str, &[&str])>) -> RequiredProperty {
    RequiredProperty {
        property: property.to_owned(),
        when: when.map(|(property, values)| RequiredWhen {
            property: property.to_owned(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        }),
    }
}

#[tokio::test]
async fn rules_of_a_portal_follow_the_latest_reading_of_the_epoch() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let (store, workspace, portal) = (&world.store, world.workspace, world.portal);
        let write = async |epoch, object_type, rules: &[RequiredProperty], read_at| {
            store
                .write_portal_rules(workspace, portal, epoch, object_type, rules, read_at)
                .await
                .unwrap()
        };
        let epoch: Epoch = connected.epoch;
        assert!(
            store
                .portal_rules(workspace, portal)
                .await
                .unwrap()
                .is_empty()
        );
        let rules = [
            required("city", None),
            required("zip", Some(("country", &["DE", "AT"]))),
            required("zip", Some(("phone", &[]))),
        ];
        assert!(write(epoch, ObjectType::Contact, &rules, at(10)).await);
        assert!(write(epoch, ObjectType::Company, &[], at(10)).await);
        // An older reading, and one of an epoch that is over.
        assert!(!write(epoch, ObjectType::Contact, &[], at(9)).await);
        assert!(!write(epoch.next(), ObjectType::Contact, &[], at(11)).await);
        let kept = store.portal_rules(workspace, portal).await.unwrap();
        assert_eq!(kept[&ObjectType::Contact], rules);
        assert_eq!(kept[&ObjectType::Company], []);
        assert_eq!(kept.len(), 2);
        assert!(write(epoch, ObjectType::Contact, &rules[..1], at(12)).await);
        let kept = store.portal_rules(workspace, portal).await.unwrap();
        assert_eq!(kept[&ObjectType::Contact], rules[..1]);
    })
    .await;
}

#[tokio::test]
async fn properties_of_engagements_follow_the_latest_reading_of_the_epoch() {
    bounded(async {
        let (world, connected) = World::connected().await;
        let (store, workspace, portal) = (&world.store, world.workspace, world.portal);
        let write = async |epoch, object_type, definitions: &[&str], read_at| {
            store
                .write_engagement_properties(
                    workspace,
                    portal,
                    epoch,
                    object_type,
                    definitions,
                    read_at,
                )
                .await
                .unwrap()
        };
        let known = async || {
            let facts = store.portal_facts(workspace).await.unwrap();
            let names = facts.engagement_properties.into_iter();
            names
                .map(|(of, all)| (of, all.into_keys().collect::<Vec<_>>()))
                .collect::<Vec<_>>()
        };
        let epoch: Epoch = connected.epoch;
        assert_eq!(known().await, []);
        let (time, odd) = (r#"{"name": "hs_timestamp", "type": "datetime"}"#, "{}");
        let tier = r#"{"name": "tier", "type": "string", "label": "it's"}"#;
        assert!(write(epoch, ObjectType::Call, &[time, odd, tier], at(10)).await);
        assert!(write(epoch, ObjectType::Task, &[time], at(10)).await);
        // An older reading, and one of an epoch that is over.
        assert!(!write(epoch, ObjectType::Call, &[time], at(9)).await);
        assert!(!write(epoch.next(), ObjectType::Call, &[time], at(11)).await);
        let (time, tier) = ("hs_timestamp".to_owned(), "tier".to_owned());
        let of_task = (ObjectType::Task, vec![time.clone()]);
        let of_call = (ObjectType::Call, vec![time.clone(), tier]);
        assert_eq!(known().await, [of_call, of_task.clone()]);
        assert!(
            write(
                epoch,
                ObjectType::Call,
                &[r#"{"name": "hs_timestamp", "type": "datetime"}"#],
                at(12)
            )
            .await
        );
        assert_eq!(known().await, [(ObjectType::Call, vec![time]), of_task]);
    })
    .await;
}

#[tokio::test]
async fn what_a_portal_said_of_a_unique_property_is_kept() {
    bounded(async {
        let (world, _) = World::connected().await;
        let (store, portal) = (&world.store, world.portal);
        let said = async || store.portal_key(portal, ObjectType::Company).await.unwrap();
        let write = async |key: PortalKey, asked_at| {
            store
                .write_portal_key(portal, ObjectType::Company, &key, asked_at)
                .await
                .unwrap();
        };
        let row = |key: &PortalKey, asked_at| {
            Some(PortalKeyRow {
                key: key.clone(),
                asked_at,
            })
        };
        let available = PortalKey::Available("ours".to_owned());
        assert_eq!(said().await, None);
        write(PortalKey::Refused, at(10)).await;
        assert_eq!(said().await, row(&PortalKey::Refused, at(10)));
        write(available.clone(), at(20)).await;
        write(PortalKey::Refused, at(15)).await;
        assert_eq!(said().await, row(&available, at(20)));
        assert_eq!(
            store.portal_key(portal, ObjectType::Contact).await.unwrap(),
            None
        );
    })
    .await;
}
