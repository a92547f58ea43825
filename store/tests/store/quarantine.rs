//! What Postgres refuses never stops the rest.

use domain::{ObjectType, QuarantineReason, SyncType};
use store::{AssociationRow, PageOutcome};

use crate::support::{Commit as _, Page, World, at, bounded, record, row};

#[tokio::test]
async fn what_is_no_jsonb_is_quarantined_and_the_rest_is_stored() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let bad = [
            (11, r#"{"a":"x\u0000y"}"#, QuarantineReason::NulCharacter),
            (12, "{\"a\":\"x\0y\"}", QuarantineReason::NulCharacter),
            (13, r#"{"a":"#, QuarantineReason::Malformed),
            (14, r#"{"a":"\ud800"}"#, QuarantineReason::Malformed),
            (15, r#"{"a":1e999999}"#, QuarantineReason::Malformed),
            (16, "", QuarantineReason::Malformed),
            (17, deep.as_str(), QuarantineReason::Malformed),
        ];
        let good = [(10, r#"{"a":"b"}"#), (20, r#"{"a":"\\u0000"}"#)];
        let all = good
            .iter()
            .copied()
            .chain(bad.iter().map(|(id, text, _)| (*id, *text)));
        let to_company = |id| AssociationRow {
            from: record(id),
            to_type: ObjectType::Company,
            to: record(1),
            labels: vec!["contact_to_company".to_owned()],
        };
        let page = Page {
            rows: all.clone().map(|(id, text)| row(id, 1, text)).collect(),
            associated_types: vec![ObjectType::Company],
            associations: all.map(|(id, _)| to_company(id)).collect(),
            ..world.page(reader, 0)
        };
        let outcome = world.store.commit_page(page, at(1)).await.unwrap();
        assert_eq!(
            outcome,
            PageOutcome::Committed {
                version: 1,
                refused: 7
            }
        );
        let (workspace, portal) = (world.workspace, world.portal);
        let stored = world
            .store
            .objects_after(workspace, portal, ObjectType::Contact, None, 100)
            .await
            .unwrap();
        assert_eq!(
            stored.iter().map(|o| o.id.get()).collect::<Vec<_>>(),
            [10, 20]
        );
        let associations = world
            .store
            .associations_from(workspace, portal, ObjectType::Contact)
            .await
            .unwrap();
        assert_eq!(associations, [to_company(10), to_company(20)]);
        let kept = world
            .store
            .quarantined(workspace, portal, SyncType::Contacts)
            .await
            .unwrap();
        assert_eq!(kept.len(), bad.len());
        for (row, (id, text, reason)) in kept.iter().zip(bad) {
            assert_eq!(row.key, id.to_string());
            assert_eq!(row.raw, text.as_bytes(), "record {id}");
            assert_eq!(row.reason, reason, "record {id}");
        }
        let cursor = world
            .store
            .cursor(&world.key(reader))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((cursor.done, cursor.quarantined), (2, 7));
        let stats = world.store.mirror_stats(workspace, portal).await.unwrap();
        let contacts: Vec<_> = stats
            .iter()
            .filter(|s| s.sync_type == SyncType::Contacts)
            .map(|s| (s.stored, s.quarantined))
            .collect();
        assert_eq!(contacts, [(2, 7)]);
    })
    .await;
}

#[tokio::test]
async fn a_page_of_nothing_good_still_moves_the_cursor() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let page = Page {
            rows: vec![row(1, 1, "no"), row(2, 1, "no")],
            ..world.page(reader, 0)
        };
        let outcome = world.store.commit_page(page, at(1)).await.unwrap();
        assert_eq!(
            outcome,
            PageOutcome::Committed {
                version: 1,
                refused: 2
            }
        );
        assert_eq!(world.count("select count(*) from hubspot_object").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_label_that_no_text_column_takes_puts_its_record_in_quarantine() {
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Contacts, at(0)).await;
        let associated = |id, label: &str| AssociationRow {
            from: record(id),
            to_type: ObjectType::Company,
            to: record(9),
            labels: vec![label.to_owned()],
        };
        let page = Page {
            rows: vec![row(1, 1, "{}"), row(2, 1, "{}")],
            associated_types: vec![ObjectType::Company],
            associations: vec![associated(1, "boss\0"), associated(2, "boss")],
            ..world.page(reader, 0)
        };
        let outcome = world.store.commit_page(page, at(1)).await.unwrap();
        assert_eq!(
            outcome,
            PageOutcome::Committed {
                version: 1,
                refused: 1
            }
        );
        let kept = world
            .store
            .quarantined(world.workspace, world.portal, SyncType::Contacts)
            .await
            .unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].key, "1");
        assert_eq!(kept[0].reason, QuarantineReason::NulCharacter);
    })
    .await;
}
