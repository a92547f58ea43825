//! I5: profiles: both sides' values, which of them wins, and what makes them others.

use domain::ObjectType;
use e2e::{
    command_line::CommandLine,
    profiles::{World, row, until},
};
use serde_json::{Value, json};

fn field<'a>(profile: &'a Value, key: &str) -> &'a Value {
    &profile["fields"][key]
}

/// Thirty contacts with a title, of whom the app knows the first ten, with a title of its own.
async fn thirty() -> (World, Vec<u64>) {
    let mut world = World::new().await;
    let mut contacts = Vec::new();
    for n in 0..30 {
        let properties = json!({
            "email": format!("p{n}@acme-profiles.com"), "firstname": format!("First{n}"),
            "jobtitle": format!("Boss {n}"), "zip": format!("{n:05}"), "salutation": "Dr.",
        });
        contacts.push(world.contact(properties).await);
    }
    world.connect().await;
    let people: Vec<Value> = (0..10)
        .map(|n| {
            json!({
                "id": format!("p{n}"), "version": 1, "email": format!("P{n}@Acme-Profiles.com"),
                "fields": {"job_title": format!("Head {n}"), "city": "Ulm"},
            })
        })
        .collect();
    world.door.people(json!(people)).await;
    world
        .map(json!([
            row("job_title", "jobtitle", "crm"),
            row("first_name", "firstname", "artisan")
        ]))
        .await;
    for n in 0..10 {
        world
            .profile_when(&format!("p{n}"), |p| p["link"].is_object())
            .await;
    }
    (world, contacts)
}

fn all_of(world: &World, contacts: &[u64]) -> Vec<String> {
    (0..10)
        .map(|n| format!("p{n}"))
        .chain(contacts[10..].iter().map(|c| world.made_of(*c)))
        .collect()
}

#[tokio::test]
async fn a_priority_decides_and_changing_it_asks_hubspot_nothing() {
    let (world, contacts) = thirty().await;
    let before = world.settled().await;
    let all = all_of(&world, &contacts);
    assert_eq!(world.people().await.len(), 30, "a person for each contact");

    let profile = world.profile("p3").await;
    assert_eq!(profile["link"]["hubspot_id"], contacts[3]);
    assert_eq!(profile["link"]["origin"], "primary");
    let title = field(&profile, "job_title");
    assert_eq!(title["value"], "Boss 3");
    assert_eq!(
        (&title["app"], &title["hubspot"]),
        (&json!("Head 3"), &json!("Boss 3"))
    );
    assert_eq!(
        (&title["source"], &title["property"]),
        (&json!("hubspot"), &json!("jobtitle"))
    );
    // Only one side has these.
    assert_eq!(field(&profile, "first_name")["source"], "hubspot");
    assert_eq!(field(&profile, "city")["source"], "app");
    let made = world.profile(&world.made_of(contacts[20])).await;
    assert_eq!(made["link"]["origin"], "imported");
    assert_eq!(field(&made, "job_title")["value"], "Boss 20");

    let asked = world.last_request().await;
    world
        .map(json!([
            row("job_title", "jobtitle", "artisan"),
            row("first_name", "firstname", "artisan")
        ]))
        .await;
    // Read at once, whether or not it was noticed yet.
    let bulk = world
        .door
        .ok("POST", "/profiles", Some(json!({"people": all})))
        .await;
    assert_eq!(bulk["items"].as_array().unwrap().len(), 30, "{bulk}");
    for profile in bulk["items"].as_array().unwrap() {
        let id = profile["id"].as_str().unwrap();
        let title = field(profile, "job_title");
        if id.starts_with('p') {
            assert_eq!(title["source"], "app", "{id}");
            assert!(title["value"].as_str().unwrap().starts_with("Head"), "{id}");
        } else {
            assert_eq!(title["source"], "hubspot", "{id}");
        }
    }
    // Those whose winning values are others are noticed; those of whom nothing changed are not.
    world.changed(before.as_ref(), &all[..10]).await;
    world.settled().await;
    let noticed = world.changes(before.as_ref()).await;
    assert_eq!(noticed.len(), 10, "{noticed:?}");
    assert_eq!(world.last_request().await, asked, "HubSpot was asked");

    let command_line = CommandLine::new(&world.tenant, &world.door);
    let text = command_line.run(&["profile", "--person", "p3"]).await;
    assert_eq!(text.code, 0, "{text:?}");
    let line = "job_title\tapp\tHead 3\tBoss 3\tjobtitle";
    assert!(text.out.contains(line), "{text:?}");
    let shown = command_line
        .run(&["profile", "--person", "p3", "--json"])
        .await;
    assert_eq!(shown.json(), world.profile("p3").await);
    let unknown = world.door.call("GET", "/people/nobody/profile", None).await;
    assert_eq!((unknown.status, unknown.code()), (404, "HS-4009"));
}

#[tokio::test]
async fn a_new_row_fetches_its_property_for_the_records_already_there() {
    let (world, contacts) = thirty().await;
    let (tenant, store) = (&world.tenant, &world.store);
    let has = async |name: &str| {
        let rows = store
            .objects_after(
                tenant.workspace,
                tenant.portal,
                ObjectType::Contact,
                None,
                100,
            )
            .await
            .unwrap();
        assert_eq!(rows.len(), 30);
        rows.iter()
            .filter(|r| r.properties[name].is_string())
            .count()
    };
    assert_eq!(has("salutation").await, 0);
    let before = world.settled().await;
    let asked = world.last_request().await;
    let rows = json!([
        row("job_title", "jobtitle", "crm"),
        row("first_name", "firstname", "artisan"),
        row("headline", "salutation", "crm"),
    ]);
    world.map(rows.clone()).await;
    until("the records are read again", async || {
        has("salutation").await == 30
    })
    .await;
    let run = world
        .tenant
        .wait_for_phase("syncing", std::time::Duration::from_secs(60))
        .await;
    assert_eq!(run["run"]["kind"], "mapping", "{run:#}");
    world
        .profile_when("p3", |p| field(p, "headline")["value"] == "Dr.")
        .await;
    world
        .changed(before.as_ref(), &all_of(&world, &contacts))
        .await;

    // Once: saving again, or another row for what is read anyway, reads nothing.
    let after = world.last_request().await;
    assert!(after > asked);
    world.map(rows).await;
    let more = json!([
        row("job_title", "jobtitle", "artisan"),
        row("headline", "salutation", "artisan"),
        row("city", "city", "crm"),
    ]);
    world.map(more).await;
    world.settled().await;
    assert_eq!(world.last_request().await, after, "it was read again");

    // A catch-up keeps the property, and brings its changes.
    world
        .edit(contacts[3], json!({"salutation": "Prof."}))
        .await;
    world.resync(json!({"types": ["contacts"]})).await;
    let now = world
        .profile_when("p3", |p| field(p, "headline")["value"] == "Prof.")
        .await;
    assert_eq!(field(&now, "headline")["source"], "hubspot");
    assert_eq!(has("salutation").await, 30);
    world.edit(contacts[3], json!({"salutation": ""})).await;
    world.resync(json!({"types": ["contacts"]})).await;
    world
        .profile_when("p3", |p| field(p, "headline")["value"].is_null())
        .await;

    // Without the row nothing asks for it any more, and what is stored stays.
    world
        .map(json!([row("job_title", "jobtitle", "crm")]))
        .await;
    world
        .resync(json!({"types": ["contacts"], "mode": {"mode": "from_scratch"}}))
        .await;
    assert_eq!(has("salutation").await, 29);
}

#[tokio::test]
async fn a_value_that_breaks_its_type_is_shown_and_loses() {
    let mut world = World::new().await;
    let odd = world
        .contact(json!({"email": "odd@acme-types.com", "zip": "many", "company": "Acme"}))
        .await;
    world
        .contact(json!({"email": "good@acme-types.com", "zip": "12"}))
        .await;
    world.connect().await;
    world
        .door
        .people(json!([
            {"id": "odd", "version": 1, "email": "odd@acme-types.com", "fields": {"lead_score": 7}},
            {"id": "good", "version": 1, "email": "good@acme-types.com", "fields": {"lead_score": 7}},
        ]))
        .await;
    world
        .map(json!([
            row("lead_score", "zip", "crm"),
            row("company_name", "company", "crm")
        ]))
        .await;
    let good = world
        .profile_when("good", |p| field(p, "lead_score")["value"] == 12)
        .await;
    assert_eq!(field(&good, "lead_score")["source"], "hubspot");
    let profile = world
        .profile_when("odd", |p| field(p, "lead_score")["unreadable"] == true)
        .await;
    let score = field(&profile, "lead_score");
    assert_eq!(
        (&score["value"], &score["source"]),
        (&json!(7), &json!("app")),
        "{profile:#}"
    );
    assert_eq!(
        field(&profile, "company_name")["value"],
        "Acme",
        "the rest is not harmed"
    );

    let before = world.settled().await;
    world.edit(odd, json!({"zip": "99"})).await;
    world.resync(json!({"types": ["contacts"]})).await;
    let mended = world
        .profile_when("odd", |p| field(p, "lead_score")["value"] == 99)
        .await;
    assert_eq!(field(&mended, "lead_score")["unreadable"], false);
    world.changed(before.as_ref(), &["odd".to_owned()]).await;
    let noticed = world.changes(before.as_ref()).await;
    assert_eq!(noticed.len(), 1, "only the one that changed: {noticed:?}");
}

#[tokio::test]
async fn companies_are_linked_by_domain_and_never_by_that_of_a_mail_service() {
    let mut world = World::new().await;
    let acme = world
        .plant(
            "companies",
            json!({"name": "Acme", "domain": "www.acme-links.com", "city": "Ulm"}),
        )
        .await;
    let more = json!({"name": "Beta", "domain": "beta-links.com", "hs_additional_domains": "old-beta.com"});
    let beta = world.plant("companies", more).await;
    world
        .plant("companies", json!({"name": "Mail", "domain": "gmail.com"}))
        .await;
    world.connect().await;
    let companies = json!({"items": [
        {"id": "acme", "version": 1, "fields": {"name": "ACME", "website": "https://acme-links.com/en"}},
        {"id": "beta", "version": 1, "fields": {"domain": "old-beta.com"}},
        {"id": "private", "version": 1, "fields": {"domain": "gmail.com"}},
    ]});
    world.door.ok("POST", "/companies", Some(companies)).await;
    let shown = async |id: &str| {
        let path = format!("/companies/{id}/profile");
        world.door.ok("GET", &path, None).await
    };
    until("both are linked", async || {
        shown("acme").await["link"].is_object() && shown("beta").await["link"].is_object()
    })
    .await;
    let profile = shown("acme").await;
    assert_eq!(profile["link"]["hubspot_id"], acme);
    assert_eq!(profile["link"]["origin"], "primary");
    assert_eq!(
        field(&profile, "name")["value"],
        "Acme",
        "CRM wins by default"
    );
    assert_eq!(field(&profile, "name")["app"], "ACME");
    assert_eq!(field(&profile, "city")["value"], "Ulm");
    let profile = shown("beta").await;
    assert_eq!(profile["link"]["hubspot_id"], beta);
    assert_eq!(profile["link"]["origin"], "additional");
    world.settled().await;
    assert_eq!(shown("private").await["link"], Value::Null);
    let bulk = json!({"companies": ["acme", "nobody"], "people": []});
    let bulk = world.door.ok("POST", "/profiles", Some(bulk)).await;
    assert_eq!(bulk["unknown"], json!(["nobody"]));
    assert_eq!(bulk["items"][0]["record"], "company");
}
