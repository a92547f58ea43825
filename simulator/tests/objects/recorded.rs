//! Answers that HubSpot gave to others, against the simulator's to the same requests: the same keys
//! and types, values aside. What differs is listed here and in `docs/hubspot-behaviour.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::portal::{Portal, objects};

/// The recordings, if they are there: they only add cases, unless they are required
/// (`REQUIRE_SHARED_DATA`).
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/recorded");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("REQUIRE_SHARED_DATA").is_none(),
        "shared/data is required and not beside the checkout"
    );
    println!("absent, adds no cases: shared/data/recorded");
    None
}

fn load(folder: &Path, name: &str) -> Value {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The types of what is at each place: `results[].id` → text.
fn shape(value: &Value, place: &str, out: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    out.entry(place.to_owned()).or_default().insert(name);
    match value {
        Value::Array(all) => {
            for one in all {
                shape(one, &format!("{place}[]"), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if place.is_empty() { "" } else { "." };
                shape(field, &format!("{place}{dot}{name}"), out);
            }
        }
        _ => {}
    }
}

fn differences(recorded: &Value, ours: &Value) -> Vec<String> {
    let (mut theirs, mut own) = (BTreeMap::new(), BTreeMap::new());
    shape(recorded, "", &mut theirs);
    shape(ours, "", &mut own);
    // Beneath what the other does not have nothing is compared.
    let under = |place: &str, missing: &BTreeSet<String>| {
        missing
            .iter()
            .any(|m| place.starts_with(&format!("{m}.")) || place.starts_with(&format!("{m}[")))
    };
    let absent = |a: &BTreeMap<String, BTreeSet<&str>>, b: &BTreeMap<String, BTreeSet<&str>>| {
        let all: BTreeSet<String> = a.keys().filter(|k| !b.contains_key(*k)).cloned().collect();
        all.iter()
            .filter(|k| !under(k, &all))
            .cloned()
            .collect::<Vec<String>>()
    };
    let mut found = Vec::new();
    found.extend(absent(&theirs, &own).iter().map(|k| format!("-{k}")));
    found.extend(absent(&own, &theirs).iter().map(|k| format!("+{k}")));
    for (place, kinds) in &theirs {
        if let Some(others) = own.get(place) {
            // What may be null may be so in one of the two only.
            let known = |all: &BTreeSet<&'static str>| -> BTreeSet<&'static str> {
                all.iter().filter(|k| **k != "null").copied().collect()
            };
            let (a, b) = (known(kinds), known(others));
            if a != b && !a.is_empty() && !b.is_empty() {
                found.push(format!("~{place}: {a:?} {b:?}"));
            }
        }
    }
    found
}

#[test]
fn shapes_are_compared() {
    assert_eq!(
        differences(
            &json!({"a": [{"b": "x"}], "c": {"d": 1}}),
            &json!({"a": [{"b": 1, "e": 2}]})
        ),
        ["-c", "+a[].e", "~a[].b: {\"text\"} {\"number\"}"]
    );
    assert!(differences(&json!({"a": null}), &json!({"a": "x"})).is_empty());
}

struct Comparison {
    folder: PathBuf,
    found: BTreeMap<String, Vec<String>>,
}

impl Comparison {
    fn compare(&mut self, name: &str, ours: &Value) {
        let recorded = load(&self.folder, name);
        let found = differences(&recorded, ours);
        if !found.is_empty() {
            self.found.insert(name.to_owned(), found);
        }
    }
}

/// What differs, and why:
///
/// - `objectWriteTraceId` in results: the SDKs have it, the recording of a partial success has not
///   (switch `trace_ids_in_results`); it was switched off for the comparison.
/// - `hs_object_id` in a list page: the recording was cut to fewer properties than always come.
/// - A missing scope: HubSpot has an older form with `context`, and a newer one with `errors`.
/// - Recordings with fewer errors than `numErrors` or than the message were cut by hand.
fn expected() -> BTreeMap<String, Vec<String>> {
    let all: &[(&str, &[&str])] = &[
        (
            "read__objects-api__contacts-response.json",
            &["+results[].properties.hs_object_id"],
        ),
        ("metadata-err-schemas-scope.json", &["-context", "+errors"]),
    ];
    all.iter()
        .map(|(name, list)| {
            let list = list.iter().map(|l| (*l).to_owned()).collect();
            ((*name).to_owned(), list)
        })
        .collect()
}

#[tokio::test]
async fn answers_have_the_keys_and_types_that_were_recorded() {
    let Some(folder) = folder() else { return };
    let portal = Portal::new(json!({
        "default_lifecyclestage": "lead", "trace_ids_in_results": false, "owners": 1,
    }))
    .await;
    let mut c = Comparison {
        folder: folder.clone(),
        found: BTreeMap::new(),
    };
    contacts(&portal, &mut c).await;
    associations(&portal, &mut c).await;
    properties(&portal, &mut c).await;
    rest(&portal, &mut c).await;
    assert_eq!(c.found, expected(), "{:#?}", c.found);
}

async fn contacts(portal: &Portal, c: &mut Comparison) {
    let path = objects("contacts");
    let create = format!("{path}/batch/create");
    let person = |email: &str, first: &str, last: &str| json!({"properties": {"email": email, "firstname": first, "lastname": last}});
    let (status, made) = portal
        .post(
            &create,
            json!({"inputs": [
                person("lilyskinner@hubspot.com", "Lily", "Skinner"),
                person("marleyfleming@hubspot.com", "Marley", "Fleming"),
            ]}),
        )
        .await;
    assert_eq!(status, 201);
    c.compare("batch__create__contacts__success.json", &made);
    let ids: Vec<&str> = made["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    let (status, conflict) = portal
        .post(
            &create,
            json!({"inputs": [person("lilyskinner@hubspot.com", "Lily", "Skinner")]}),
        )
        .await;
    assert_eq!(status, 409);
    c.compare("batch__create__contacts__err-conflict.json", &conflict);
    let mut taken = person("lilyskinner@hubspot.com", "Lily", "Skinner");
    taken["objectWriteTraceId"] = json!("0");
    let mut free = person("siena.dyer@hubspot.com", "Siena", "Dyer");
    free["objectWriteTraceId"] = json!("1");
    let (status, partial) = portal.post(&create, json!({"inputs": [taken, free]})).await;
    assert_eq!(status, 207);
    // The recording shows four properties of the one that was made.
    let mut cut = partial.clone();
    let kept = ["createdate", "email", "firstname", "lastname"];
    cut["results"][0]["properties"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| kept.contains(&name.as_str()));
    c.compare("batch__create__contacts__err-partial-success.json", &cut);
    let bad = json!({"first000name": "x", "last000name": "y"});
    let rows = json!({"inputs": [{"properties": bad}, {"properties": bad}]});
    let (status, invalid) = portal.post(&create, rows).await;
    assert_eq!(status, 400);
    c.compare(
        "batch__create__contacts__err-many-invalid-properties.json",
        &invalid,
    );
    // Its message lists each of the four.
    let recorded = load(
        &c.folder,
        "batch__create__contacts__err-many-invalid-properties.json",
    );
    let list = |body: &Value| -> Value {
        let message = body["message"].as_str().unwrap();
        serde_json::from_str(message.split_once(": ").unwrap().1).unwrap()
    };
    assert_eq!(list(&invalid), list(&recorded));

    let update = format!("{path}/batch/update");
    let new_name =
        |id: &str| json!({"id": id, "properties": {"firstname": "Siena", "lastname": "D"}});
    let (status, updated) = portal
        .post(
            &update,
            json!({"inputs": [new_name(ids[0]), new_name(ids[1])]}),
        )
        .await;
    assert_eq!(status, 200);
    c.compare("batch__update__contacts__success.json", &updated);
    let (status, partial) = portal
        .post(
            &update,
            json!({"inputs": [new_name(ids[0]), new_name("unknownIdentifier888")]}),
        )
        .await;
    assert_eq!(status, 207);
    c.compare(
        "batch__update__contacts__err-partial-success.json",
        &partial,
    );
    let (_, duplicates) = portal
        .post(
            &update,
            json!({"inputs": [new_name("123456"), new_name("123456")]}),
        )
        .await;
    c.compare(
        "batch__update__contacts__err-duplicate-ids.json",
        &duplicates,
    );
    let rows =
        json!({"inputs": [{"id": ids[0], "properties": bad}, {"id": ids[1], "properties": bad}]});
    let (_, invalid) = portal.post(&update, rows).await;
    c.compare(
        "batch__update__contacts__err-many-invalid-properties.json",
        &invalid,
    );

    let (_, read) = portal
        .post(
            &format!("{path}/batch/read"),
            json!({"inputs": [{"id": ids[0]}, {"id": ids[1]}]}),
        )
        .await;
    c.compare("read__objects-api__contacts-batch.json", &read);
    // It was recorded on v3, whose pages have links.
    let (_, page) = portal
        .get("/crm/v3/objects/contacts?limit=1&properties=createdate,email,lastmodifieddate")
        .await;
    c.compare("read__objects-api__contacts-response.json", &page);
    // The recorded request, with its limit as text.
    let search = format!("{path}/search");
    let mut payload = load(&c.folder, "read-via-search__contacts-payload.json");
    let asked = json!([
        "company",
        "email",
        "firstname",
        "lastname",
        "phone",
        "website"
    ]);
    payload["properties"] = asked.clone();
    let (status, found) = portal.post(&search, payload).await;
    assert_eq!(status, 200, "{found}");
    c.compare("read-via-search__contacts-response.json", &found);
    for name in ["since", "until", "since-until"] {
        let name = format!("read__objects-api__contacts-req-payload-{name}.json");
        let (status, body) = portal.post(&search, load(&c.folder, &name)).await;
        assert_eq!(status, 200, "{name}: {body}");
    }
    let first = json!({"limit": 1, "properties": asked});
    let (_, page) = portal.post(&search, first).await;
    c.compare("search__contacts__1-first-page.json", &page);
    let second =
        json!({"limit": 100, "after": page["paging"]["next"]["after"], "properties": asked});
    let (_, page) = portal.post(&search, second).await;
    c.compare("search__contacts__2-second-page.json", &page);
    let (_, unknown) = portal
        .post(&format!("{}/search", objects("butterflies")), json!({}))
        .await;
    c.compare("search__error-invalid-object.json", &unknown);
}

async fn associations(portal: &Portal, c: &mut Comparison) {
    let contact = portal
        .create("contacts", json!({"email": "x@hubspot.com"}))
        .await;
    let alone = portal
        .create("contacts", json!({"email": "y@hubspot.com"}))
        .await;
    let mut rows = Vec::new();
    for name in ["One", "Two"] {
        let company = portal.create("companies", json!({"name": name})).await;
        rows.push(json!({
            "from": {"id": contact}, "to": {"id": company},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}],
        }));
    }
    let path = "/crm/associations/2026-09/contacts/companies/batch";
    let (_, made) = portal
        .post(&format!("{path}/create"), json!({"inputs": rows}))
        .await;
    c.compare("associations__test__contact-to-company-resp.json", &made);
    let types = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 449}]);
    let (_, refused) = portal
        .post(
            "/crm/associations/2026-09/contacts/contacts/batch/create",
            json!({"inputs": [
                {"from": {"id": "unknown_id_123456798"}, "to": {"id": contact}, "types": types},
                {"from": {"id": contact}, "to": {"id": contact}, "types": types},
            ]}),
        )
        .await;
    c.compare("associations__test__err-contact-to-contact.json", &refused);
    let (_, read) = portal
        .post(
            &format!("{path}/read"),
            json!({"inputs": [{"id": contact}, {"id": alone}]}),
        )
        .await;
    c.compare("search__contacts__contacts-to-companies.json", &read);
    let (status, schema) = portal.get("/crm/v3/schemas/contacts").await;
    assert_eq!(status, 200, "{schema}");
    let mut cut = schema;
    for field in [
        "properties",
        "requiredProperties",
        "searchableProperties",
        "secondaryDisplayProperties",
    ] {
        // They were emptied in the recording.
        cut[field] = json!([]);
    }
    c.compare("associations__test__contacts-schema-resp.json", &cut);
}

async fn properties(portal: &Portal, c: &mut Comparison) {
    let path = "/crm/properties/2026-09/contacts";
    let folder = c.folder.clone();
    let payload = |name: &str| load(&folder, name);
    let (status, group) = portal
        .post(
            &format!("{path}/groups"),
            payload("custom__create__1-payload-create-property-group.json"),
        )
        .await;
    assert_eq!(status, 201);
    c.compare(
        "custom__create__2-response-create-property-group.json",
        &group,
    );
    let create = format!("{path}/batch/create");
    let (status, made) = portal
        .post(
            &create,
            payload("custom__create__3-payload-batch-create-properties.json"),
        )
        .await;
    assert_eq!(status, 201);
    c.compare(
        "custom__create__4-response-batch-create-properties.json",
        &made,
    );
    let (_, group) = portal
        .get(&format!("{path}/groups/integrationcreatedproperties"))
        .await;
    c.compare("custom__update__1-read-property-group.json", &group);
    let (status, made) = portal
        .post(
            &create,
            payload("custom__update__2-payload-batch-create-properties.json"),
        )
        .await;
    assert_eq!(status, 207);
    c.compare(
        "custom__update__3-response-batch-create-properties.json",
        &made,
    );
    for (name, asked, answered) in [
        (
            "age__c",
            "4-payload-update-property-age",
            "5-response-update-property-age",
        ),
        (
            "interests__c",
            "6-payload-update-property-interests",
            "7-response-update-property-interests",
        ),
    ] {
        let (status, changed) = portal
            .patch(
                &format!("{path}/{name}"),
                payload(&format!("custom__update__{asked}.json")),
            )
            .await;
        assert_eq!(status, 200, "{changed}");
        c.compare(&format!("custom__update__{answered}.json"), &changed);
        // The places that options get are the same too.
        let recorded = load(&folder, &format!("custom__update__{answered}.json"));
        assert_eq!(changed["options"], recorded["options"]);
    }
    // Definitions that both have.
    for kind in ["contacts", "deals"] {
        let name = format!("metadata-{kind}-properties-sampled.json");
        let (_, ours) = portal.get(&format!("/crm/properties/2026-09/{kind}")).await;
        let find = |all: &Value, name: &Value| {
            let all = all["results"].as_array().unwrap();
            all.iter().find(|p| &p["name"] == name).cloned()
        };
        let mut compared = 0;
        for theirs in load(&folder, &name)["results"].as_array().unwrap() {
            let Some(own) = find(&ours, &theirs["name"]) else {
                continue;
            };
            compared += 1;
            for field in [
                "type",
                "fieldType",
                "hidden",
                "calculated",
                "externalOptions",
            ] {
                assert_eq!(own[field], theirs[field], "{} {field}", theirs["name"]);
            }
            assert_eq!(
                own["modificationMetadata"]["readOnlyValue"],
                theirs["modificationMetadata"]["readOnlyValue"],
                "{}",
                theirs["name"]
            );
            let found: Vec<String> = differences(theirs, &own)
                .into_iter()
                .filter(|d| {
                    // Fields that HubSpot gives to some definitions only.
                    ![
                        "-referencedObjectType",
                        "-showCurrencySymbol",
                        "-modificationMetadata.readOnlyOptions",
                    ]
                    .contains(&d.as_str())
                })
                .collect();
            assert!(found.is_empty(), "{}: {found:?}", theirs["name"]);
        }
        assert!(compared >= 2, "{kind}: {compared}");
    }
}

async fn rest(portal: &Portal, c: &mut Comparison) {
    for kind in ["contacts", "deals"] {
        let (_, ours) = portal.get(&format!("/crm/pipelines/2026-09/{kind}")).await;
        c.compare(&format!("metadata-{kind}-external-pipelines.json"), &ours);
    }
    let (_, account) = portal.get("/account-info/2026-09/details").await;
    c.compare("post-auth__account-info.json", &account);
    for (name, kind, processing) in [
        ("Test List", "0-1", "SNAPSHOT"),
        ("Test static company list", "0-2", "SNAPSHOT"),
        ("My static contacts list", "0-1", "MANUAL"),
    ] {
        let (status, made) = portal
            .post(
                "/crm/lists/2026-09",
                json!({"name": name, "objectTypeId": kind, "processingType": processing}),
            )
            .await;
        assert_eq!(status, 200, "{made}");
    }
    let (_, page) = portal.get(&objects("contacts")).await;
    let id = page["results"][0]["id"].clone();
    portal
        .put("/crm/lists/2026-09/1/memberships/add", json!([id]))
        .await;
    for (offset, name) in [
        (0, "read-lists-1-first-page.json"),
        (2, "read-lists-2-second-page.json"),
    ] {
        let (_, lists) = portal
            .post(
                "/crm/lists/2026-09/search",
                json!({"count": 2, "offset": offset}),
            )
            .await;
        c.compare(name, &lists);
    }
    let (_, key) = portal
        .control("POST", "service-keys", json!({"scopes": ["oauth"]}))
        .await;
    let narrow = portal.with_token(key["token"].as_str().unwrap());
    let (status, refused) = narrow.get("/crm/v3/schemas").await;
    assert_eq!(status, 403);
    c.compare("metadata-err-schemas-scope.json", &refused);
}
