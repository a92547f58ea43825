//! Associations are replaced per record and type.

use domain::{ObjectType, SyncType};
use store::AssociationRow;

use crate::support::{Commit as _, Page, Reader, World, at, bounded, committed, record, row};

fn association(from: i64, to_type: ObjectType, to: i64, labels: &[&str]) -> AssociationRow {
    AssociationRow {
        from: record(from),
        to_type,
        to: record(to),
        labels: labels.iter().map(|l| (*l).to_owned()).collect(),
    }
}

async fn commit(
    world: &World,
    reader: Reader,
    version: i64,
    records: &[i64],
    types: &[ObjectType],
    associations: &[AssociationRow],
) {
    let page = Page {
        rows: records.iter().map(|id| row(*id, version, "{}")).collect(),
        associated_types: types.to_vec(),
        associations: associations.to_vec(),
        ..world.page(reader, version)
    };
    assert_eq!(
        world.store.commit_page(page, at(0)).await.unwrap(),
        committed(version + 1)
    );
}

async fn stored(world: &World) -> Vec<AssociationRow> {
    world
        .store
        .associations_from(world.workspace, world.portal, ObjectType::Deal)
        .await
        .unwrap()
}

#[tokio::test]
async fn removed_ones_vanish_and_what_was_not_read_stays() {
    use ObjectType::{Company, Contact};
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let first = [
            association(1, Contact, 10, &["deal_to_contact"]),
            association(1, Contact, 11, &["deal_to_contact", "decision maker"]),
            association(1, Company, 20, &[]),
            association(2, Contact, 10, &[]),
        ];
        commit(&world, reader, 0, &[1, 2], &[Contact, Company], &first).await;
        assert_eq!(stored(&world).await, first);

        // Record 1 alone is read again, with contacts alone.
        let second = [
            association(1, Contact, 11, &["deal_to_contact"]),
            association(1, Contact, 12, &[]),
        ];
        commit(&world, reader, 1, &[1], &[Contact], &second).await;
        let expected = [
            second[0].clone(),
            second[1].clone(),
            first[2].clone(),
            first[3].clone(),
        ];
        assert_eq!(stored(&world).await, expected);

        // Nothing was read: nothing is removed.
        commit(&world, reader, 2, &[1], &[], &[]).await;
        assert_eq!(stored(&world).await, expected);

        // All of record 1 are gone.
        commit(&world, reader, 3, &[1], &[Contact, Company], &[]).await;
        assert_eq!(stored(&world).await, [first[3].clone()]);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_was_read_earlier_changes_nothing() {
    use ObjectType::Contact;
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let newest = [association(1, Contact, 10, &["newest"])];
        commit(&world, reader, 0, &[1], &[Contact], &newest).await;
        let page = Page {
            read_at: at(-60),
            rows: vec![row(1, -60, "{}")],
            associated_types: vec![Contact],
            associations: vec![association(1, Contact, 10, &["older"])],
            ..world.page(reader, 1)
        };
        world.store.commit_page(page, at(0)).await.unwrap();
        let page = Page {
            read_at: at(-50),
            rows: vec![row(1, -50, "{}")],
            associated_types: vec![Contact],
            ..world.page(reader, 2)
        };
        world.store.commit_page(page, at(0)).await.unwrap();
        assert_eq!(stored(&world).await, newest);
    })
    .await;
}

#[tokio::test]
async fn one_association_twice_in_a_page_is_stored_once() {
    use ObjectType::Contact;
    bounded(async {
        let (world, _) = World::connected().await;
        let reader = world.reader(SyncType::Deals, at(0)).await;
        let one = association(1, Contact, 10, &["deal_to_contact"]);
        let twice = [one.clone(), one.clone()];
        commit(&world, reader, 0, &[1, 1], &[Contact], &twice).await;
        assert_eq!(stored(&world).await, [one]);
    })
    .await;
}
