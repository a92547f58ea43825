//! E4 to E8: settings by HTTP, checked against the portal that was read.

use std::time::Duration;

use e2e::{
    Tenant,
    command_line::CommandLine,
    data::{self, DataSet},
    door::Door,
    shared,
    wrong_settings::{Named, each_kind, row},
};
use serde_json::{Value, json};

async fn connected() -> (Tenant, Door) {
    let size = json!({"contacts": 20, "companies": 5, "deals": 5, "lists": 2, "owners": 6, "limits": "off"});
    let tenant = Tenant::new(&shared(), size).await;
    let door = Door::of(&tenant).await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    (tenant, door)
}

async fn put(door: &Door, revision: u64, settings: &Value) -> e2e::door::Answer {
    let body = json!({"expected_revision": revision, "settings": settings});
    door.call("PUT", "/settings", Some(body)).await
}

fn codes(problems: &Value) -> Vec<(String, String)> {
    problems
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| {
            let text = |name: &str| p[name].as_str().unwrap_or_default().to_owned();
            (text("code"), text("path"))
        })
        .collect()
}

#[tokio::test]
async fn a_fresh_connection_has_defaults_that_can_be_saved() {
    let (_tenant, door) = connected().await;
    let fresh = door.ok("GET", "/settings", None).await;
    assert_eq!(fresh["revision"], 0);
    let rows = fresh["settings"]["contacts"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|r| r["app_field"] == "first_name" && r["property"] == "firstname"),
        "{rows:?}"
    );
    assert_eq!(door.ok("GET", "/settings/defaults", None).await, fresh);
    let saved = put(&door, 0, &fresh["settings"]).await;
    assert_eq!(
        (saved.status, &saved.body["revision"]),
        (200, &json!(1)),
        "{}",
        saved.body
    );
    let now = door.ok("GET", "/settings", None).await;
    assert_eq!(now["settings"], fresh["settings"]);
    assert!(now["saved_at"].is_string());
}

#[tokio::test]
async fn the_second_of_two_writers_is_told_what_changed() {
    let (_tenant, door) = connected().await;
    let base = door.ok("GET", "/settings", None).await["settings"].clone();
    let mut mine = base.clone();
    mine["import"]["interval_minutes"] = json!(30);
    let mut theirs = base.clone();
    theirs["contacts"].as_array_mut().unwrap().pop();
    theirs["retention"]["quarantine_days"] = json!(7);
    assert_eq!(put(&door, 0, &theirs).await.status, 200);
    let told = put(&door, 0, &mine).await;
    assert_eq!((told.status, told.code()), (409, "HS-2191"));
    assert_eq!(told.body["revision"], 1);
    let places: Vec<&str> = told.body["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["path"].as_str().unwrap())
        .collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(places.contains(&"/retention/quarantine_days"), "{places:?}");
    assert!(
        places.iter().any(|p| p.starts_with("/contacts/")),
        "{places:?}"
    );
    assert_eq!(door.ok("GET", "/settings", None).await["settings"], theirs);

    // Ten at once from one revision: one gets through.
    let writers: Vec<_> = (0..10u32)
        .map(|n| {
            let (door, mut settings) = (door.clone(), theirs.clone());
            settings["retention"]["journal_days"] = json!(100 + n);
            tokio::spawn(async move { put(&door, 1, &settings).await.status })
        })
        .collect();
    let mut saved = 0;
    for writer in writers {
        match writer.await.unwrap() {
            200 => saved += 1,
            other => assert_eq!(other, 409),
        }
    }
    assert_eq!(saved, 1);
}

#[tokio::test]
async fn what_is_wrong_is_named_by_row_and_nothing_is_saved() {
    let (_tenant, door) = connected().await;
    let base = door.ok("GET", "/settings", None).await["settings"].clone();
    let mut wrong = base.clone();
    wrong["contacts"] = json!([
        row("first_name", "firstname"),
        row("last_name", "no_such_property"),
        row("job_title", "firstname"),
        row("first_name", "jobtitle"),
        row("city", "hs_email_domain"),
    ]);
    wrong["owners"]["fallback_owner"] = json!(4_711_000);
    wrong["contact_source"] = json!({"property": "hs_lead_status", "value": "NO SUCH OPTION"});
    let checked = door
        .ok("POST", "/settings/check", Some(json!({"settings": wrong})))
        .await;
    assert_eq!(checked["acceptable"], false);
    let found = codes(&checked["problems"]);
    for (code, path) in [
        ("HS-2101", "/contacts/1"),
        ("HS-2107", "/contacts/2"),
        ("HS-2108", "/contacts/3"),
        ("HS-2102", "/contacts/4"),
        ("HS-2110", "/owners/fallback_owner"),
        ("HS-2106", "/contact_source"),
    ] {
        assert!(
            found.iter().any(|(c, p)| c == code && p.starts_with(path)),
            "{code} at {path} is not among {found:?}"
        );
    }
    let refused = put(&door, 0, &wrong).await;
    assert_eq!((refused.status, refused.code()), (422, "HS-2190"));
    assert_eq!(codes(&refused.body["problems"]), found);
    let mut unknown = base.clone();
    unknown["imports"] = json!({});
    let refused = put(&door, 0, &unknown).await;
    assert_eq!((refused.status, refused.code()), (422, "HS-2192"));
    assert_eq!(door.ok("GET", "/settings", None).await["revision"], 0);
}

#[tokio::test]
async fn owners_are_mapped_by_email_and_by_hand() {
    let (_tenant, door) = connected().await;
    let owners = door.ok("GET", "/owners?limit=1000", None).await["items"].clone();
    let active: Vec<&Value> = owners
        .as_array()
        .unwrap()
        .iter()
        .filter(|o| o["archived"] == false && o["email"].is_string())
        .collect();
    assert!(active.len() >= 2, "{owners}");
    let members = json!({"items": [
        {"id": "m1", "version": 1, "email": active[0]["email"], "name": "One"},
        {"id": "m2", "version": 1, "email": "somebody@else.example"},
    ]});
    door.ok("POST", "/members", Some(members)).await;
    let mut settings = door.ok("GET", "/settings", None).await["settings"].clone();
    settings["owners"]["rows"] = json!([{"owner": active[1]["owner"], "member": "m2"}]);
    settings["owners"]["fallback_owner"] = active[0]["owner"].clone();
    let saved = put(&door, 0, &settings).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    let after = door.ok("GET", "/owners?limit=1000", None).await["items"].clone();
    let of = |id: &Value| {
        after
            .as_array()
            .unwrap()
            .iter()
            .find(|o| o["owner"] == *id)
            .unwrap()
            .clone()
    };
    let (first, second) = (of(&active[0]["owner"]), of(&active[1]["owner"]));
    assert_eq!(
        (&first["mapping"], &first["member"], &first["fallback"]),
        (&json!("email"), &json!("m1"), &json!(true))
    );
    assert_eq!(
        (&second["mapping"], &second["member"], &second["writes_for"]),
        (&json!("hand"), &json!("m2"), &json!(["m2"]))
    );
}

#[tokio::test]
async fn each_kind_of_problem_is_found_on_the_sample_portal() {
    each_kind_of_problem_is_found(&data::sample()).await;
}

#[tokio::test]
async fn each_kind_of_problem_is_found_on_the_real_portal() {
    if let Some(outside) = data::outside() {
        each_kind_of_problem_is_found(&outside).await;
    }
}

/// Each kind of problem that a document can have, against a portal of companies and deals.
async fn each_kind_of_problem_is_found(set: &DataSet) {
    let size = json!({"dir": set.dir, "limits": "off", "property_delay_ms": 0});
    let tenant = Tenant::new(&shared(), size).await;
    // What the files do not have: an owner who left, a property that was archived, a list of deals.
    let left = json!({"email": "left@acme.com", "archived": true});
    tenant.control("POST", "owners", Some(left)).await;
    let key = tenant.control("POST", "service-keys", None).await;
    let http = dev::http().unwrap();
    let hubspot = async |method: &str, path: &str, body: Value| {
        let url = format!("{}{path}", tenant.api.addresses().simulator);
        let answer = http
            .request(method.parse().unwrap(), url)
            .bearer_auth(key["token"].as_str().unwrap())
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    };
    const ARCHIVED: &str = "once_there";
    let property = json!({
        "name": ARCHIVED, "label": "Once there", "type": "string", "fieldType": "text",
        "groupName": "contactinformation",
    });
    hubspot("POST", "/crm/v3/properties/contacts", property).await;
    let path = format!("/crm/v3/properties/contacts/{ARCHIVED}");
    hubspot("DELETE", &path, json!({})).await;
    let list = json!({"name": "Deals", "objectTypeId": "0-3", "processingType": "MANUAL"});
    let made: Value = hubspot("POST", "/crm/v3/lists", list)
        .await
        .parse()
        .unwrap();
    let deals_list: u64 = made["list"]["listId"].as_str().unwrap().parse().unwrap();

    let door = Door::of(&tenant).await;
    let base = door.ok("GET", "/settings", None).await["settings"].clone();
    let check = async |settings: &Value| {
        let body = json!({"settings": settings});
        let checked = door.ok("POST", "/settings/check", Some(body)).await;
        codes(&checked["problems"])
    };
    // Before anything was read, it is said that it was not checked.
    let mut early = base.clone();
    early["contacts"] = json!([row("first_name", "firstname")]);
    assert!(
        check(&early)
            .await
            .iter()
            .any(|(code, _)| code == "HS-2125")
    );

    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(180))
        .await;
    let base = door.ok("GET", "/settings", None).await["settings"].clone();
    assert_eq!(check(&base).await, []);
    let members = json!({"items": [{"id": "gone", "version": 1, "active": false}, {"id": "here", "version": 1}]});
    door.ok("POST", "/members", Some(members)).await;
    let owners = door.ok("GET", "/owners?limit=1000", None).await["items"].clone();
    let of = |archived: bool| {
        let all = owners.as_array().unwrap().iter();
        let mut fitting = all.filter(|o| o["archived"] == archived);
        fitting.next().unwrap()["owner"].clone()
    };
    let named = Named {
        owner: of(false),
        deactivated: of(true),
        archived: ARCHIVED,
        deals_list: json!(deals_list),
    };
    let line = CommandLine::new(&tenant, &door);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.json");
    let mut missing = Vec::new();
    for (code, place, value) in each_kind(&named) {
        let mut wrong = base.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        let found = check(&wrong).await;
        // The command line says the same, a line each.
        std::fs::write(&file, wrong.to_string()).unwrap();
        let told = line
            .run(&["settings", "check", file.to_str().unwrap()])
            .await;
        let lines: Vec<(String, String)> = told
            .out
            .lines()
            .map(|line| {
                let mut words = line.split(' ').skip(1);
                let code = words.next().unwrap().to_owned();
                (code, words.next().unwrap().trim_end_matches(':').to_owned())
            })
            .collect();
        assert_eq!(lines, found, "{}", told.out);
        assert_eq!(
            told.code == 1,
            told.out.lines().any(|line| line.starts_with("error ")),
            "{}",
            told.err
        );
        if !found.iter().any(|(c, p)| c == code && p.starts_with(place)) {
            missing.push((code, place, found));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
