//! E3: companies that are gone from HubSpot while the mirror still has them.

use domain::{HubSpotObjectId, ObjectType};
use e2e::{
    door::Door,
    exports::{export, live, writes},
    journals::journal,
    mirrored,
    planted::{Planted, number},
    profiles::until,
    store_of,
};
use serde_json::{Value, json};
use store::Fate;

use crate::e1_bulk::{export_in_bulk, people as whom, take_all_contacted};

const DOMAIN: &str = "gone-e3.com";

/// A portal with a company, which is read to the end; then HubSpot loses the company.
async fn lost() -> (Planted, Door, i64) {
    let p = Planted::new().await;
    let there = json!({"name": "Gone", "domain": DOMAIN});
    let company = p.record("companies", there, &[]).await;
    let door = p.connect().await;
    let path = format!("records/companies/{company}");
    p.tenant.control("DELETE", &path, None).await;
    (p, door, company)
}

fn at(person: &str) -> String {
    format!("{person}@{DOMAIN}")
}

/// All at one live company of the domain, which is another one; nothing is left open, and nothing is written
/// when they are exported again.
async fn all_at_another(p: &Planted, door: &Door, people: &[String], gone: i64) {
    let companies = live(p, "companies").await;
    assert_eq!(companies.len(), 1, "{companies:#?}");
    let made = &companies[0];
    assert_ne!(number(&made["id"]), gone);
    assert_eq!(made["properties"]["domain"], DOMAIN);
    let contacts = live(p, "contacts").await;
    assert_eq!(contacts.len(), people.len());
    for contact in &contacts {
        let ties = mirrored::ties_of(contact);
        let primary = ties
            .iter()
            .find(|(_, _, label)| label == "contact_to_company");
        assert_eq!(
            primary.map(|(_, id, _)| json!(id)),
            Some(made["id"].clone())
        );
    }
    for entry in journal(door, people).await {
        assert_ne!(entry["state"], "open", "{entry}");
    }
    // What HubSpot answered is found out about soon, without any sync.
    let store = store_of(p.tenant.api.addresses()).await;
    let (workspace, portal) = (p.tenant.workspace, p.tenant.portal);
    until("the mirror knows that it is gone", async || {
        let gone = HubSpotObjectId::new(gone).unwrap();
        let fate = store
            .fate(workspace, portal, ObjectType::Company, gone)
            .await;
        fate.unwrap() == Some(Fate::Archived)
    })
    .await;
    let before = writes(p).await;
    for person in people {
        export(door, person).await;
    }
    assert_eq!(writes(p).await, before);
}

#[tokio::test]
async fn a_new_contact_of_an_archived_company_gets_another_one() {
    let (p, door, company) = lost().await;
    let people = ["one".to_owned(), "two".to_owned()];
    for person in &people {
        door.people(json!([{"id": person, "version": 1, "email": at(person)}]))
            .await;
        let done = export(&door, person).await;
        assert_eq!(done["state"], "exported", "{done}");
    }
    all_at_another(&p, &door, &people, company).await;
}

#[tokio::test]
async fn many_new_contacts_of_an_archived_company_get_another_one() {
    let (p, door, company) = lost().await;
    let people: Vec<String> = (0..5).map(|n| format!("p{n}")).collect();
    let items: Vec<Value> = people
        .iter()
        .map(|person| {
            json!({"id": person, "version": 1, "email": at(person), "contacted_at": "2026-01-02T00:00:00Z"})
        })
        .collect();
    take_all_contacted(&door).await;
    door.people(json!(items)).await;
    let end = export_in_bulk(&door, whom(&people)).await;
    assert_eq!(end["counts"]["exported"], people.len(), "{end}");
    all_at_another(&p, &door, &people, company).await;
}
