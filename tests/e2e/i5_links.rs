//! I5: which contact a person is.

use std::collections::BTreeMap;

use e2e::profiles::{World, row, until};
use model::profiles::{BrokenProfile, Contact, Mapped, Person, Profile, profiles};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};

fn person(id: &str, version: u64, email: &str) -> Value {
    json!({"id": id, "version": version, "email": email})
}

#[tokio::test]
async fn a_link_outlives_changed_addresses_on_both_sides() {
    let mut world = World::new().await;
    let contact = world
        .contact(json!({"email": "before@acme-moves.com", "firstname": "Ann"}))
        .await;
    world.connect().await;
    world
        .door
        .people(json!([person("ann", 1, "before@acme-moves.com")]))
        .await;
    world
        .profile_when("ann", |p| p["link"]["hubspot_id"] == contact)
        .await;

    world
        .edit(contact, json!({"email": "hubspot@acme-moves.com"}))
        .await;
    world
        .door
        .people(json!([person("ann", 2, "app@acme-moves.com")]))
        .await;
    world.resync(json!({"types": ["contacts"]})).await;
    world.settled().await;
    let profile = world.profile("ann").await;
    assert_eq!(profile["link"]["hubspot_id"], contact, "{profile:#}");
    let email = &profile["fields"]["email"];
    assert_eq!(email["app"], "app@acme-moves.com");
    assert_eq!(email["hubspot"], "hubspot@acme-moves.com");
    assert_eq!(
        email["value"], "hubspot@acme-moves.com",
        "CRM wins by default"
    );
    assert_eq!(
        world.people().await,
        ["ann"],
        "nobody is made a second time"
    );

    // The address that the app has belongs to another contact by now: it claims, and takes nothing.
    let other = world.contact(json!({"email": "app@acme-moves.com"})).await;
    world.resync(json!({"types": ["contacts"]})).await;
    let profile = world
        .profile_when("ann", |p| p["conflicts"] == json!([other]))
        .await;
    assert_eq!(profile["link"]["hubspot_id"], contact);

    // Archived there, it is the other one.
    let path = format!("records/contacts/{contact}");
    world.tenant.control("DELETE", &path, None).await;
    archive_in_mirror(&world, contact).await;
    let profile = world
        .profile_when("ann", |p| p["link"]["hubspot_id"] == other)
        .await;
    assert_eq!(profile["conflicts"], json!([]));
}

/// What the reading of archived records will do.
async fn archive_in_mirror(world: &World, contact: u64) {
    let (client, connection) = tokio_postgres::connect(
        &world.tenant.api.addresses().database_url,
        tokio_postgres::NoTls,
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let done = client
        .execute(
            "update hubspot_object set archived = true, changed = mirror_change()
             where portal_id = $1 and object_type = 1 and object_id = $2",
            &[&world.tenant.portal.get(), &contact.cast_signed()],
        )
        .await
        .unwrap();
    assert_eq!(done, 1);
}

#[tokio::test]
async fn two_people_on_one_contact_are_both_linked_and_one_owns_its_values() {
    let mut world = World::new().await;
    let contact = world
        .contact(json!({
            "email": "one@acme-shared.com", "hs_additional_emails": "two@acme-shared.com",
            "jobtitle": "Boss",
        }))
        .await;
    world.connect().await;
    // The second comes first, and has the lower id.
    world
        .door
        .people(json!([person("a-two", 1, "two@acme-shared.com")]))
        .await;
    world
        .profile_when("a-two", |p| p["fields"]["job_title"]["value"] == "Boss")
        .await;
    world
        .door
        .people(json!([person("b-one", 1, "one@acme-shared.com")]))
        .await;
    let one = world
        .profile_when("b-one", |p| p["fields"]["job_title"]["value"] == "Boss")
        .await;
    assert_eq!(one["link"]["hubspot_id"], contact);
    assert_eq!(one["link"]["shared_with"], json!(["a-two"]));
    assert_eq!(one["link"]["owns_values"], true);
    let two = world.profile("a-two").await;
    assert_eq!(two["link"]["hubspot_id"], contact);
    assert_eq!(two["link"]["origin"], "additional");
    assert_eq!(two["link"]["shared_with"], json!(["b-one"]));
    assert_eq!(two["link"]["owns_values"], false);
    assert_eq!(
        two["fields"]["job_title"]["value"],
        Value::Null,
        "it has no title of its own"
    );
}

#[tokio::test]
async fn people_of_merged_contacts_are_the_one_that_is_left() {
    let mut world = World::new().await;
    let left = world.contact(json!({"email": "left@acme-merge.com"})).await;
    let gone = world.contact(json!({"email": "gone@acme-merge.com"})).await;
    world.connect().await;
    world
        .door
        .people(json!([
            person("left", 1, "left@acme-merge.com"),
            person("gone", 1, "gone@acme-merge.com")
        ]))
        .await;
    for id in ["left", "gone"] {
        world.profile_when(id, |p| p["link"].is_object()).await;
    }
    // As the record that is left says after a merge.
    world
        .edit(left, json!({
            "hs_merged_object_ids": gone.to_string(), "hs_additional_emails": "gone@acme-merge.com",
        }))
        .await;
    world.resync(json!({"types": ["contacts"]})).await;
    let profile = world
        .profile_when("gone", |p| p["link"]["hubspot_id"] == left)
        .await;
    assert_eq!(profile["link"]["shared_with"], json!(["left"]));
    assert_eq!(world.profile("left").await["link"]["owns_values"], true);
}

#[tokio::test]
async fn a_contact_becomes_one_person_and_gives_way_to_the_apps_own() {
    let mut world = World::new().await;
    let contact = world
        .contact(json!({"email": "Zoe@acme-made.com", "firstname": "Zoe"}))
        .await;
    let nameless = world.contact(json!({"firstname": "Nobody"})).await;
    world.connect().await;
    let (made, other) = (world.made_of(contact), world.made_of(nameless));
    let profile = world.profile_when(&made, |p| p["link"].is_object()).await;
    assert_eq!(profile["link"]["origin"], "imported");
    let email = &profile["fields"]["email"];
    assert_eq!(
        (&email["app"], &email["source"]),
        (&Value::Null, &json!("hubspot"))
    );
    world.profile_when(&other, |p| p["link"].is_object()).await;

    // Everything anew, and twice at once, makes nobody a second time.
    rewind(&world).await;
    let due = store::ProjectionDue {
        workspace: world.tenant.workspace,
        portal: world.tenant.portal,
    };
    let (basis, mark) = world
        .store
        .projection_basis(due.workspace, due.portal)
        .await
        .unwrap();
    let before = world.changes(None).await;
    let twice = (0..4).map(|_| world.store.project_profiles(due, &basis, &mark));
    for slice in futures::future::join_all(twice).await {
        slice.unwrap();
    }
    world.settled().await;
    assert_eq!(world.people().await, [made.clone(), other.clone()]);
    assert_eq!(
        world.changes(None).await,
        before,
        "nothing changed, so nothing was noticed"
    );

    // The address follows the contact, as the app has said nothing.
    world
        .edit(contact, json!({"email": "zoe.new@acme-made.com"}))
        .await;
    world.resync(json!({"types": ["contacts"]})).await;
    until("the address follows", async || {
        let path = format!("/people/{made}");
        world.door.ok("GET", &path, None).await["email"] == "zoe.new@acme-made.com"
    })
    .await;

    // The app has her, too: one person, under the app's id.
    world
        .door
        .people(json!([person("zoe", 1, "zoe.new@acme-made.com")]))
        .await;
    let profile = world
        .profile_when("zoe", |p| p["link"]["hubspot_id"] == contact)
        .await;
    assert_eq!(profile["link"]["shared_with"], json!([]));
    assert_eq!(world.people().await, [other.clone(), "zoe".to_owned()]);
    assert_eq!(
        world.profile(&made).await["id"],
        "zoe",
        "the old id leads to her"
    );
    until("that it is gone is noticed", async || {
        let all = world.changes(None).await;
        all.iter().any(|c| c.id == made && c.gone)
    })
    .await;

    // Whom the app took over by the id given here stays under it.
    world
        .door
        .people(json!([{"id": other, "version": 1, "status": "contacted"}]))
        .await;
    world
        .door
        .people(json!([person("nobody", 1, "zoe.new@acme-made.com")]))
        .await;
    world.settled().await;
    assert_eq!(
        world.people().await,
        [other, "nobody".to_owned(), "zoe".to_owned()]
    );
}

#[tokio::test]
async fn who_was_made_gives_way_on_another_contact_too() {
    let mut world = World::new().await;
    let first = world.contact(json!({"email": "first@acme-way.com"})).await;
    let second = world.contact(json!({"email": "second@acme-way.com"})).await;
    world.connect().await;
    world
        .door
        .people(json!([person("two", 1, "second@acme-way.com")]))
        .await;
    let made = world.made_of(first);
    world.profile_when(&made, |p| p["link"].is_object()).await;
    world
        .profile_when("two", |p| p["link"]["hubspot_id"] == second)
        .await;
    // The address that the person was made with is the second contact's by now.
    archive_in_mirror(&world, first).await;
    world
        .edit(
            second,
            json!({"hs_additional_emails": "first@acme-way.com"}),
        )
        .await;
    world.resync(json!({"types": ["contacts"]})).await;
    world.profile_when(&made, |p| p["id"] == "two").await;
    assert_eq!(world.people().await, ["two"]);
}

/// Links and profiles are to be followed from the beginning.
async fn rewind(world: &World) {
    world.settled().await;
    let (client, connection) = tokio_postgres::connect(
        &world.tenant.api.addresses().database_url,
        tokio_postgres::NoTls,
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    client
        .execute(
            "update profile_projection set version = version + 1, mirror_number = 0, people_number = 0
             where workspace_id = $1::text::uuid",
            &[&world.tenant.id()],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn who_was_erased_stays_away() {
    let mut world = World::new().await;
    let contact = world
        .contact(json!({"email": "gone@acme-erased.com"}))
        .await;
    let kept = world
        .contact(json!({"email": "kept@acme-erased.com"}))
        .await;
    world.connect().await;
    world
        .door
        .people(json!([person("gone", 1, "gone@acme-erased.com")]))
        .await;
    world
        .profile_when("gone", |p| p["link"]["hubspot_id"] == contact)
        .await;
    // No address in common any more: the link alone tells that they are the same.
    world
        .edit(contact, json!({"email": "moved@acme-erased.com"}))
        .await;
    world.resync(json!({"types": ["contacts"]})).await;
    world
        .profile_when("gone", |p| {
            p["fields"]["email"]["hubspot"] == "moved@acme-erased.com"
        })
        .await;
    let erased = world
        .door
        .ok("POST", "/erasures", Some(json!({"person": "gone"})))
        .await;
    assert_eq!(erased["removed"]["contacts"], 1, "{erased}");

    world
        .resync(json!({"mode": {"mode": "from_scratch"}}))
        .await;
    rewind(&world).await;
    world.settled().await;
    assert_eq!(world.profile("gone").await, Value::Null);
    assert_eq!(world.people().await, [world.made_of(kept)]);
    let again = world
        .door
        .people(json!([
            person("gone", 9, "other@acme-erased.com"),
            person("new", 1, "moved@acme-erased.com"),
        ]))
        .await;
    assert_eq!(again, ["erased", "erased"]);
}

// ---- compared with a naive recomputation --------------------------------------------------------

const FIELDS: [(&str, &str); 4] = [
    ("email", "email"),
    ("first_name", "firstname"),
    ("job_title", "jobtitle"),
    ("city", "city"),
];

fn address(n: u32) -> String {
    format!("P{n}@Acme-Random.com")
}

fn values(keys: [&'static str; 3]) -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = prop::option::weighted(0.7, 0_u32..50);
    prop::array::uniform3(value).prop_map(move |all| {
        keys.into_iter()
            .zip(all)
            .filter_map(|(key, value)| Some((key.to_owned(), format!("{key} {}", value?))))
            .collect()
    })
}

/// Contacts of sixty addresses, a third with additional ones, some of them another one's.
fn contacts() -> impl Strategy<Value = Vec<Contact>> {
    let one = (
        prop::option::weighted(0.9, 0_u32..60),
        prop::collection::vec(0_u32..60, 0..3),
        any::<bool>(),
        values(["firstname", "jobtitle", "city"]),
    );
    prop::collection::vec(one, 40).prop_map(|all| {
        all.into_iter()
            .map(|(email, additional, has_more, values)| Contact {
                id: 0,
                email: email.map(address),
                additional: if has_more {
                    additional.into_iter().map(address).collect()
                } else {
                    Vec::new()
                },
                values,
            })
            .collect()
    })
}

fn people() -> impl Strategy<Value = Vec<Person>> {
    let one = (
        prop::option::weighted(0.9, 0_u32..60),
        values(["first_name", "job_title", "city"]),
    );
    prop::collection::vec(one, 40).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(n, (email, values))| Person {
                id: format!("p{n:02}"),
                email: email.map(address),
                values,
            })
            .collect()
    })
}

/// A profile of ours as the model has it.
fn as_modelled(profile: &Value) -> Profile {
    let ids = |list: &Value| -> Vec<Value> { list.as_array().cloned().unwrap_or_default() };
    let mut values = BTreeMap::new();
    for (key, field) in profile["fields"].as_object().unwrap() {
        if let Some(text) = field["value"].as_str() {
            values.insert(key.clone(), (text.to_owned(), field["source"] == "hubspot"));
        }
    }
    Profile {
        contact: profile["link"]["hubspot_id"].as_u64(),
        conflicts: ids(&profile["conflicts"])
            .iter()
            .filter_map(Value::as_u64)
            .collect(),
        shared_with: ids(&profile["link"]["shared_with"])
            .iter()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect(),
        values,
    }
}

/// The fields, with these priorities.
fn mapped(crm: [bool; 4]) -> Vec<Mapped> {
    FIELDS
        .iter()
        .zip(crm)
        .map(|((field, property), crm)| Mapped {
            field: (*field).to_owned(),
            property: (*property).to_owned(),
            crm,
        })
        .collect()
}

#[tokio::test]
async fn profiles_are_those_of_a_naive_recomputation() {
    let mut runner = TestRunner::default();
    // Priorities that are the same in all rows would not tell the rules about them apart.
    let priorities = prop::array::uniform4(any::<bool>()).prop_filter("of both kinds", |crm| {
        crm[1..].contains(&true) && crm[1..].contains(&false)
    });
    // Nor would contacts and people about whom a rule says nothing.
    let draw = (contacts(), people(), priorities).prop_filter(
        "of all rules",
        |(contacts, people, crm)| {
            let mut contacts = contacts.clone();
            for (id, contact) in (1..).zip(&mut contacts) {
                contact.id = id;
            }
            let rows = mapped(*crm);
            let modelled = |broken| profiles(1, &contacts, people, &rows, broken);
            let whole = modelled(None);
            BrokenProfile::ALL
                .into_iter()
                .all(|rule| modelled(Some(rule)) != whole)
        },
    );
    let (mut contacts, people, crm) = draw.new_tree(&mut runner).unwrap().current();
    let mut world = World::new().await;
    for contact in &mut contacts {
        let mut properties = json!(contact.values);
        if let Some(email) = &contact.email {
            properties["email"] = json!(email);
        }
        if !contact.additional.is_empty() {
            properties["hs_additional_emails"] = json!(contact.additional.join(";"));
        }
        contact.id = world.contact(properties).await;
    }
    world.connect().await;
    let rows = mapped(crm);
    let priority = |row: &Mapped| if row.crm { "crm" } else { "artisan" };
    let settings: Vec<Value> = rows
        .iter()
        .map(|r| row(&r.field, &r.property, priority(r)))
        .collect();
    world.map(json!(settings)).await;
    let items: Vec<Value> = people
        .iter()
        .map(|p| json!({"id": p.id, "version": 1, "email": p.email, "fields": p.values}))
        .collect();
    world.door.people(json!(items)).await;
    world.settled().await;

    let ids = world.people().await;
    let bulk = world
        .door
        .ok("POST", "/profiles", Some(json!({"people": ids})))
        .await;
    let ours: BTreeMap<String, Profile> = bulk["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["id"].as_str().unwrap().to_owned(), as_modelled(p)))
        .collect();
    let portal = world.tenant.portal.get().unsigned_abs();
    let modelled = |broken| profiles(portal, &contacts, &people, &rows, broken);
    let theirs = modelled(None);
    for (id, profile) in &theirs {
        assert_eq!(ours.get(id), Some(profile), "{id}");
    }
    assert_eq!(ours.len(), theirs.len());
    let unnoticed: Vec<BrokenProfile> = BrokenProfile::ALL
        .into_iter()
        .filter(|rule| modelled(Some(*rule)) == ours)
        .collect();
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}
