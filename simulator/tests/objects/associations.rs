//! Associations: types, labels, primaries, limits, pages.

use serde_json::{Value, json};

use crate::portal::{Portal, objects};

const BATCH: &str = "/crm/associations/2026-09/contacts/companies";

fn types(ids: &[u32]) -> Value {
    ids.iter()
        .map(|id| {
            // Labels that a portal makes have ids above all of HubSpot's.
            let category = if *id > 1_000 {
                "USER_DEFINED"
            } else {
                "HUBSPOT_DEFINED"
            };
            json!({"associationCategory": category, "associationTypeId": id})
        })
        .collect()
}

fn row(from: &str, to: &str, ids: &[u32]) -> Value {
    json!({"inputs": [{"from": {"id": from}, "to": {"id": to}, "types": types(ids)}]})
}

/// What a contact is associated with: id, type ids.
async fn read(portal: &Portal, path: &str, from: &str) -> Vec<(String, Vec<u64>)> {
    let body = json!({"inputs": [{"id": from}]});
    let (_, found) = portal.post(&format!("{path}/batch/read"), body).await;
    found["results"][0]["to"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|to| {
            let types = to["associationTypes"].as_array().unwrap();
            (
                to["toObjectId"].to_string(),
                types
                    .iter()
                    .map(|t| t["typeId"].as_u64().unwrap())
                    .collect(),
            )
        })
        .collect()
}

async fn people(portal: &Portal) -> (String, String, String) {
    (
        portal
            .create("contacts", json!({"email": "a@example.com"}))
            .await,
        portal.create("companies", json!({"name": "One"})).await,
        portal.create("companies", json!({"name": "Two"})).await,
    )
}

#[tokio::test]
async fn a_primary_is_unlabelled_too_and_there_is_one() {
    let portal = Portal::new(json!({})).await;
    let (contact, one, two) = people(&portal).await;
    let create = format!("{BATCH}/batch/create");
    let (status, made) = portal.post(&create, row(&contact, &one, &[1])).await;
    assert_eq!(status, 201);
    assert_eq!(
        made["results"][0],
        json!({"fromObjectTypeId": "0-1", "fromObjectId": contact.parse::<u64>().unwrap(),
               "toObjectTypeId": "0-2", "toObjectId": one.parse::<u64>().unwrap(), "labels": []})
    );
    assert_eq!(
        read(&portal, BATCH, &contact).await,
        [(one.clone(), vec![1, 279])]
    );
    portal.post(&create, row(&contact, &two, &[1])).await;
    assert_eq!(
        read(&portal, BATCH, &contact).await,
        [(one.clone(), vec![279]), (two.clone(), vec![1, 279])]
    );
    // From the other side.
    let back = "/crm/associations/2026-09/companies/contacts";
    assert_eq!(
        read(&portal, back, &two).await,
        [(contact.clone(), vec![2, 280])]
    );
    assert_eq!(
        read(&portal, back, &one).await,
        [(contact.clone(), vec![280])]
    );
    // By the type of the other side.
    portal
        .post(&format!("{back}/batch/create"), row(&one, &contact, &[2]))
        .await;
    assert_eq!(
        read(&portal, BATCH, &contact).await,
        [(one, vec![1, 279]), (two, vec![279])]
    );
}

#[tokio::test]
async fn the_first_company_is_the_primary_unless_switched_off() {
    for (on, wanted) in [(true, vec![1, 279]), (false, vec![279])] {
        let portal = Portal::new(json!({"first_company_is_primary": on})).await;
        let (contact, one, _) = people(&portal).await;
        let (status, made) = portal
            .post(
                &format!("{BATCH}/batch/associate/default"),
                json!({"inputs": [{"from": {"id": contact}, "to": {"id": one}}]}),
            )
            .await;
        assert_eq!(status, 200);
        assert_eq!(
            made["results"][0]["associationSpec"]["associationTypeId"],
            279
        );
        assert_eq!(
            made["results"][1]["associationSpec"]["associationTypeId"],
            280
        );
        assert_eq!(read(&portal, BATCH, &contact).await, [(one, wanted)]);
    }
}

#[tokio::test]
async fn labels_are_made_set_replaced_and_taken_away() {
    let portal = Portal::new(json!({})).await;
    let (contact, one, _) = people(&portal).await;
    let labels = format!("{BATCH}/labels");
    let (status, made) = portal
        .post(
            &labels,
            json!({"label": "Adviser", "name": "adviser", "inverseLabel": "Advised"}),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(made["results"].as_array().unwrap().len(), 2);
    let adviser = made["results"][0]["typeId"].as_u64().unwrap() as u32;
    let (_, second) = portal
        .post(&labels, json!({"label": "Buyer", "name": "buyer"}))
        .await;
    let buyer = second["results"][0]["typeId"].as_u64().unwrap() as u32;
    let (_, all) = portal.get(&labels).await;
    assert_eq!(
        all["results"][0],
        json!({"category": "HUBSPOT_DEFINED", "typeId": 279, "label": null})
    );
    assert_eq!(
        all["results"][1],
        json!({"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"})
    );
    assert_eq!(
        all["results"][2],
        json!({"category": "USER_DEFINED", "typeId": adviser, "label": "Adviser"})
    );
    let single = format!("/crm/objects/2026-09/contacts/{contact}/associations/companies/{one}");
    let (status, put) = portal.put(&single, types(&[adviser])).await;
    assert_eq!((status, &put["labels"]), (201, &json!(["Adviser"])));
    let expected = |more: &[u64]| {
        let mut all = vec![279];
        all.extend(more);
        all.sort_unstable();
        vec![(one.clone(), all)]
    };
    // The first company became the primary by it; labels replace what is there.
    assert_eq!(
        read(&portal, BATCH, &contact).await,
        expected(&[1, u64::from(adviser)])
    );
    portal.put(&single, types(&[buyer])).await;
    assert!(
        !read(&portal, BATCH, &contact).await[0]
            .1
            .contains(&u64::from(adviser))
    );
    let (status, _) = portal
        .post(
            &format!("{BATCH}/batch/labels/archive"),
            row(&contact, &one, &[buyer]),
        )
        .await;
    assert_eq!(status, 204);
    assert!(
        !read(&portal, BATCH, &contact).await[0]
            .1
            .contains(&u64::from(buyer))
    );
    // Without the unlabelled one nothing stays.
    portal
        .post(
            &format!("{BATCH}/batch/labels/archive"),
            row(&contact, &one, &[279]),
        )
        .await;
    assert!(read(&portal, BATCH, &contact).await.is_empty());
    assert_eq!(
        portal.put(&single, types(&[4])).await.0,
        400,
        "a type of another pair"
    );
    portal.put(&single, types(&[buyer])).await;
    assert_eq!(portal.delete(&format!("{labels}/{buyer}")).await.0, 204);
    assert!(
        !read(&portal, BATCH, &contact).await[0]
            .1
            .contains(&u64::from(buyer))
    );
}

#[tokio::test]
async fn archiving_takes_all_of_it() {
    let portal = Portal::new(json!({})).await;
    let (contact, one, two) = people(&portal).await;
    for company in [&one, &two] {
        portal
            .post(
                &format!("{BATCH}/batch/create"),
                row(&contact, company, &[1]),
            )
            .await;
    }
    let (status, _) = portal
        .post(
            &format!("{BATCH}/batch/archive"),
            json!({"inputs": [{"from": {"id": contact}, "to": [{"id": one}, {"id": two}]}]}),
        )
        .await;
    assert_eq!(status, 204);
    let (status, none) = portal
        .post(
            &format!("{BATCH}/batch/read"),
            json!({"inputs": [{"id": contact}]}),
        )
        .await;
    assert_eq!(status, 207);
    assert_eq!(
        none["errors"][0]["subCategory"],
        "crm.associations.NO_ASSOCIATIONS_FOUND"
    );
    // Changes of associations do not touch last-modified.
    let (_, found) = portal
        .get(&format!("{}/{contact}", objects("contacts")))
        .await;
    assert_eq!(found["updatedAt"], found["createdAt"]);
}

#[tokio::test]
async fn pages_of_each_input() {
    let portal = Portal::new(json!({"inline_association_page": 2})).await;
    let company = portal.create("companies", json!({"name": "One"})).await;
    let mut contacts = Vec::new();
    for n in 0..5 {
        let id = portal
            .create("contacts", json!({"email": format!("c{n}@example.com")}))
            .await;
        portal
            .post(&format!("{BATCH}/batch/create"), row(&id, &company, &[279]))
            .await;
        contacts.push(id);
    }
    let path = "/crm/associations/2026-09/companies/contacts/batch/read";
    let mut found = Vec::new();
    let mut input = json!({"id": company});
    loop {
        let (status, body) = portal.post(path, json!({"inputs": [input]})).await;
        assert_eq!(status, 200);
        let result = &body["results"][0];
        assert!(result["to"].as_array().unwrap().len() <= 2);
        found.extend(
            result["to"]
                .as_array()
                .unwrap()
                .iter()
                .map(|to| to["toObjectId"].to_string()),
        );
        match result["paging"]["next"]["after"].as_str() {
            Some(after) => input = json!({"id": company, "after": after}),
            None => break,
        }
    }
    assert_eq!(found, contacts);
    let single = format!("{}/{company}/associations/contacts", objects("companies"));
    let (_, page) = portal.get(&format!("{single}?limit=3")).await;
    let after = page["paging"]["next"]["after"].as_str().unwrap();
    let (_, rest) = portal.get(&format!("{single}?limit=3&after={after}")).await;
    assert_eq!(rest["results"].as_array().unwrap().len(), 2);
    assert_eq!(rest["results"][0]["associationTypes"][1]["typeId"], 280);
    let (_, v3) = portal
        .get(&format!(
            "/crm/v3/objects/companies/{company}/associations/contacts"
        ))
        .await;
    assert_eq!(
        v3["results"][0],
        json!({"id": contacts[0], "type": "company_to_contact"})
    );
    // Inline they page as well.
    let (_, found) = portal
        .get(&format!(
            "{}/{company}?associations=contacts",
            objects("companies")
        ))
        .await;
    assert_eq!(
        found["associations"]["contacts"]["paging"]["next"]["after"],
        contacts[2].as_str()
    );
}

#[tokio::test]
async fn what_cannot_be_associated() {
    let portal = Portal::new(json!({"association_limit": 1})).await;
    let (contact, one, two) = people(&portal).await;
    let same = "/crm/associations/2026-09/contacts/contacts/batch/create";
    let (status, body) = portal
        .post(
            same,
            json!({"inputs": [
                {"from": {"id": "unknown_id_123456798"}, "to": {"id": contact}, "types": types(&[449])},
                {"from": {"id": contact}, "to": {"id": contact}, "types": types(&[449])},
            ]}),
        )
        .await;
    assert_eq!(status, 207);
    assert_eq!(body["numErrors"], 2);
    assert_eq!(
        body["errors"][0]["subCategory"],
        "crm.associations.INVALID_IDENTIFIER"
    );
    assert_eq!(
        body["errors"][0]["message"],
        "unknown_id_123456798 is not a valid ID"
    );
    assert_eq!(
        body["errors"][1]["message"],
        format!("Object {contact} cannot be associated to itself ({contact})")
    );
    let create = format!("{BATCH}/batch/create");
    assert_eq!(
        portal.post(&create, row(&contact, &one, &[279])).await.0,
        201
    );
    assert_eq!(
        portal.post(&create, row(&contact, &one, &[1])).await.0,
        201,
        "the same again"
    );
    let (status, body) = portal.post(&create, row(&contact, &two, &[279])).await;
    assert_eq!(status, 207);
    assert_eq!(
        body["errors"][0]["subCategory"],
        "crm.associations.LIMIT_EXCEEDED"
    );
    let notes = "/crm/associations/2026-09/notes/emails/batch/read";
    assert_eq!(
        portal.post(notes, json!({"inputs": []})).await.0,
        400,
        "no such pair"
    );
    let many: Vec<Value> = (0..1_001).map(|n| json!({"id": n.to_string()})).collect();
    let (status, _) = portal
        .post(&format!("{BATCH}/batch/read"), json!({"inputs": many}))
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn engagements_hang_on_people_by_their_type_ids() {
    let portal = Portal::new(json!({})).await;
    let contact = portal
        .create("contacts", json!({"email": "a@example.com"}))
        .await;
    let company = portal.create("companies", json!({"name": "One"})).await;
    let deal = portal
        .create("deals", json!({"dealname": "D", "dealstage": "closedwon"}))
        .await;
    let base = json!({"hs_timestamp": "1767225600000", "hs_email_direction": "EMAIL",
        "hs_communication_channel_type": "SMS", "hs_communication_logged_from": "CRM"});
    for (kind, ids, fields) in [
        ("calls", [194, 182, 206], vec!["hs_timestamp"]),
        (
            "emails",
            [198, 186, 210],
            vec!["hs_timestamp", "hs_email_direction"],
        ),
        ("meetings", [200, 188, 212], vec!["hs_timestamp"]),
        ("notes", [202, 190, 214], vec!["hs_timestamp"]),
        ("tasks", [204, 192, 216], vec!["hs_timestamp"]),
        (
            "communications",
            [81, 87, 85],
            vec![
                "hs_timestamp",
                "hs_communication_channel_type",
                "hs_communication_logged_from",
            ],
        ),
    ] {
        let mut properties = json!({});
        for field in fields {
            properties[field] = base[field].clone();
        }
        let associations: Vec<Value> = [&contact, &company, &deal]
            .iter()
            .zip(ids)
            .map(|(to, id)| json!({"to": {"id": to}, "types": types(&[id])}))
            .collect();
        let (status, made) = portal
            .post(
                &objects(kind),
                json!({"properties": properties, "associations": associations}),
            )
            .await;
        assert_eq!(status, 201, "{kind}: {made}");
        let id = made["id"].as_str().unwrap();
        for (to, type_id) in ["contacts", "companies", "deals"].iter().zip(ids) {
            let path = format!("/crm/associations/2026-09/{kind}/{to}");
            let found = read(&portal, &path, id).await;
            assert_eq!(found.len(), 1, "{kind} {to}");
            assert_eq!(found[0].1, [u64::from(type_id)]);
        }
    }
    let (_, found) = portal
        .get(&format!(
            "{}/{contact}?associations=notes,calls&properties=num_notes,notes_last_updated",
            objects("contacts")
        ))
        .await;
    assert_eq!(
        found["associations"]["notes"]["results"][0]["type"],
        "contact_to_note"
    );
    assert_eq!(
        found["associations"]["calls"]["results"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(found["properties"]["num_notes"], "6");
    assert_eq!(
        found["properties"]["notes_last_updated"],
        "2026-01-01T00:00:00.000Z"
    );
}

#[tokio::test]
async fn the_third_generation_names_its_types() {
    let portal = Portal::new(json!({})).await;
    let (contact, one, two) = people(&portal).await;
    let path = "/crm/v3/associations/contacts/companies";
    let (_, types) = portal.get(&format!("{path}/types")).await;
    assert_eq!(
        types["results"],
        json!([{"id": "279", "name": "contact_to_company_unlabeled"},
               {"id": "1", "name": "contact_to_company"}])
    );
    let row = |to: &str, name: &str| json!({"inputs": [{"from": {"id": contact}, "to": {"id": to}, "type": name}]});
    let create = format!("{path}/batch/create");
    let (status, made) = portal.post(&create, row(&one, "contact_to_company")).await;
    assert_eq!(status, 201);
    assert_eq!(
        made["results"][0],
        json!({"from": {"id": contact}, "to": {"id": one}, "type": "contact_to_company"})
    );
    assert_eq!(portal.post(&create, row(&one, "friends")).await.0, 207);
    let single = format!("/crm/v3/objects/contacts/{contact}/associations/companies/{two}");
    let (status, record) = portal.put(&format!("{single}/279"), json!({})).await;
    assert_eq!(
        (status, record["id"].as_str()),
        (200, Some(contact.as_str()))
    );
    let (_, linked) = portal
        .post(
            &format!("{path}/batch/read"),
            json!({"inputs": [{"id": contact}]}),
        )
        .await;
    assert_eq!(
        linked["results"][0]["to"],
        json!([
            {"id": one, "type": "contact_to_company"},
            {"id": one, "type": "contact_to_company_unlabeled"},
            {"id": two, "type": "contact_to_company_unlabeled"},
        ])
    );
    // A label goes alone; with the unlabelled type all of it.
    let first = format!("/crm/v3/objects/contacts/{contact}/associations/companies/{one}/1");
    assert_eq!(portal.delete(&first).await.0, 204);
    assert_eq!(read(&portal, BATCH, &contact).await[0].1, [279]);
    assert_eq!(portal.delete(&format!("{single}/279")).await.0, 204);
    assert_eq!(read_ids(&portal, &contact).await, [one.clone()]);
    let default =
        format!("/crm/v4/objects/contacts/{contact}/associations/default/companies/{two}");
    let (status, made) = portal.put(&default, json!({})).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(
        made["results"][0]["associationSpec"]["associationTypeId"],
        279
    );
    assert_eq!(read_ids(&portal, &contact).await, [one, two]);
}

async fn read_ids(portal: &Portal, contact: &str) -> Vec<String> {
    read(portal, BATCH, contact)
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect()
}
