//! The calls about the app's side, over a socket.

use std::{fmt::Debug, pin::pin};

use client::{Error, ExportFilter, HubSpotSync, Unexpected};
use domain::{
    api::{
        BulkExport, CompanyUpserts, CustomFieldUpserts, EraseRequest, FieldsAnswer, IdempotencyKey,
        ManualExport, MemberUpserts, OutreachUpserts, PageCursor, PageLimit, PersonUpserts,
        ProfileAnswer, ProfilesRequest, ResumeRow, RetryExports, SettingsCheck, SettingsPut,
        StatusUpserts, TokenCreate, UpsertAnswer,
    },
    export::{RequestState, WaitReason},
    settings::SettingsRevision,
};
use futures::TryStreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::server::{Answer, Server, TOKEN, WORKSPACE, workspace};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn key() -> IdempotencyKey {
    "key-1".to_owned().try_into().unwrap()
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn sync(server: &Server) -> HubSpotSync {
    HubSpotSync::builder(server.url.parse().unwrap())
        .bearer_token(TOKEN.into())
        .build()
        .unwrap()
}

/// Makes a call that is given this answer, and compares what was asked.
async fn asked<A: Debug>(
    answer: Value,
    call: impl AsyncFnOnce(HubSpotSync) -> Result<A, Error>,
    (method, path, keyed): (&str, &str, bool),
    body: Option<Value>,
) -> A {
    let server = Server::start([Answer::json(&answer)]).await;
    let answer = call(sync(&server)).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, method);
    assert_eq!(
        seen[0].path,
        format!("/api/v1/workspaces/{WORKSPACE}/{path}")
    );
    assert_eq!(seen[0].key.as_deref(), keyed.then_some("key-1"), "{path}");
    assert_eq!(seen[0].authorization, Some(format!("Bearer {TOKEN}")));
    assert_eq!(seen[0].body, body, "{path}");
    answer
}

#[tokio::test]
async fn bulk_calls_carry_their_items_and_their_key() {
    let w = workspace();
    let outcomes = json!({
        "counts": {"created": 1, "updated": 0, "unchanged": 0, "stale": 0, "refused": 1, "erased": 0},
        "items": [
            {"index": 0, "outcome": "created"},
            {"index": 1, "outcome": "refused",
             "problem": {"code": "HS-2202", "field": "email", "message": "m"}},
        ],
    });
    let items = |item: Value| json!({"items": [item]});
    let record = items(json!({"id": "x1", "version": 1}));

    let upserts: PersonUpserts = read(record.clone());
    let call = async |s: HubSpotSync| s.upsert_people(w, &upserts, Some(&key())).await;
    let answer = asked(
        outcomes.clone(),
        call,
        ("POST", "people", true),
        Some(record.clone()),
    )
    .await;
    assert_eq!(answer, read::<UpsertAnswer>(outcomes.clone()));

    let upserts: CompanyUpserts = read(record.clone());
    let call = async |s: HubSpotSync| s.upsert_companies(w, &upserts, Some(&key())).await;
    let at = ("POST", "companies", true);
    asked(outcomes.clone(), call, at, Some(record.clone())).await;

    let upserts: MemberUpserts = read(record.clone());
    let call = async |s: HubSpotSync| s.upsert_members(w, &upserts, None).await;
    let at = ("POST", "members", false);
    asked(outcomes.clone(), call, at, Some(record)).await;

    let body = items(json!({"id": "x1", "version": 1, "status": "replied"}));
    let upserts: StatusUpserts = read(body.clone());
    let call = async |s: HubSpotSync| s.set_statuses(w, &upserts, Some(&key())).await;
    let at = ("POST", "statuses", true);
    asked(outcomes.clone(), call, at, Some(body)).await;

    let body = items(json!({"id": "x1", "version": 1, "replied_at": "2026-11-20T10:00:00Z"}));
    let upserts: OutreachUpserts = read(body.clone());
    let call = async |s: HubSpotSync| s.set_outreach(w, &upserts, Some(&key())).await;
    let at = ("POST", "outreach", true);
    asked(outcomes.clone(), call, at, Some(body)).await;

    let field = json!({"record": "person", "key": "custom.x", "label": "X", "field_type": "text"});
    let upserts: CustomFieldUpserts = read(items(field.clone()));
    let call = async |s: HubSpotSync| s.upsert_custom_fields(w, &upserts, Some(&key())).await;
    let at = ("POST", "custom-fields", true);
    asked(outcomes, call, at, Some(items(field))).await;
}

#[tokio::test]
async fn profiles_are_read_one_and_in_bulk() {
    let w = workspace();
    let profile = json!({
        "record": "person", "id": "x.1", "link": null, "conflicts": [], "hubspot_owner": null,
        "fields": {"city": {"value": "Ulm", "app": "Ulm", "hubspot": null, "source": "app",
            "property": null, "unreadable": false}},
    });
    let person = "x.1".parse().unwrap();
    let call = async |s: HubSpotSync| s.person_profile(w, &person).await;
    let at = ("GET", "people/x.1/profile", false);
    let answer: ProfileAnswer = asked(profile.clone(), call, at, None).await;
    assert_eq!(serde_json::to_value(answer).unwrap(), profile);
    let page = json!({"items": [], "next": null});
    let limit = PageLimit::try_from(7).unwrap();
    let call = async |s: HubSpotSync| s.list_imported_people(w, None, limit).await;
    asked(
        page,
        call,
        ("GET", "people?imported=true&limit=7", false),
        None,
    )
    .await;
    let company = "c1".parse().unwrap();
    let call = async |s: HubSpotSync| s.company_profile(w, &company).await;
    asked(
        profile.clone(),
        call,
        ("GET", "companies/c1/profile", false),
        None,
    )
    .await;
    let body = json!({"people": ["x.1"], "companies": []});
    let request: ProfilesRequest = read(body.clone());
    let call = async |s: HubSpotSync| s.profiles(w, &request).await;
    let many = json!({"items": [profile], "unknown": ["x.2"], "unreadable": []});
    let answer = asked(many, call, ("POST", "profiles", false), Some(body)).await;
    assert_eq!(answer.unknown, ["x.2"]);
}

#[tokio::test]
async fn records_are_read_one_and_page_by_page() {
    let w = workspace();
    let record = json!({"id": "x.1", "version": 1, "fields": {}});
    let page = json!({"items": [record], "next": null});
    let after: PageCursor = read(json!("p:7"));

    let id = read(json!("x.1"));
    let call = async |s: HubSpotSync| s.get_person(w, &id).await;
    let person = asked(record.clone(), call, ("GET", "people/x.1", false), None).await;
    assert_eq!(person.id.as_str(), "x.1");
    let id = read(json!("x.1"));
    let call = async |s: HubSpotSync| s.get_company(w, &id).await;
    asked(record.clone(), call, ("GET", "companies/x.1", false), None).await;
    let id = read(json!("x.1"));
    let call = async |s: HubSpotSync| s.get_member(w, &id).await;
    asked(record, call, ("GET", "members/x.1", false), None).await;

    let call = async |s: HubSpotSync| s.list_people(w, Some(&after), PageLimit::LARGEST).await;
    let at = ("GET", "people?limit=1000&after=p%3A7", false);
    asked(page.clone(), call, at, None).await;
    let call = async |s: HubSpotSync| s.list_companies(w, None, PageLimit::default()).await;
    asked(
        page.clone(),
        call,
        ("GET", "companies?limit=100", false),
        None,
    )
    .await;
    let call = async |s: HubSpotSync| s.list_members(w, None, PageLimit::default()).await;
    asked(page, call, ("GET", "members?limit=100", false), None).await;

    let call = async |s: HubSpotSync| s.list_owners(w, None, PageLimit::default()).await;
    let nobody = json!({"items": [], "next": null});
    asked(nobody, call, ("GET", "owners?limit=100", false), None).await;
    let call = async |s: HubSpotSync| s.list_fields(w).await;
    let fields = serde_json::to_value(FieldsAnswer::new(&[])).unwrap();
    asked(fields, call, ("GET", "fields", false), None).await;
}

#[tokio::test]
async fn a_stream_goes_through_all_pages() {
    let page = |from: u32, to: u32, next: Value| {
        let items: Vec<Value> = (from..to)
            .map(|n| json!({"id": format!("x{n}"), "version": 1, "fields": {}}))
            .collect();
        Answer::json(&json!({"items": items, "next": next}))
    };
    // A full page is larger than other answers may be.
    let full = {
        let long = "x".repeat(3_000);
        let items: Vec<Value> = (0..1_000)
            .map(|n| json!({"id": format!("x{n}"), "version": 1, "fields": {"headline": long}}))
            .collect();
        Answer::json(&json!({"items": items, "next": "x999"}))
    };
    let server = Server::start([full, page(1_000, 1_003, json!(null))]).await;
    let people = sync(&server).all_people(workspace());
    let people: Vec<_> = pin!(people).try_collect().await.unwrap();
    assert_eq!(people.len(), 1_003);
    assert_eq!(people[1_002].id.as_str(), "x1002");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].path.ends_with("/people?limit=1000&after=x999"));
}

#[tokio::test]
async fn exports_erasures_and_tokens() {
    let w = workspace();
    let row = json!({
        "request": ID, "kind": "manual", "person": "x1", "requested_at": "2026-11-20T10:00:00Z",
        "changed_at": "2026-11-20T10:00:00Z", "outcome": {"state": "accepted"},
    });
    let rows = json!({"requests": [row]});
    let body = json!({"person": "x1"});
    let export: ManualExport = read(body.clone());
    let call = async |s: HubSpotSync| s.export_person(w, &export, Some(&key())).await;
    asked(rows.clone(), call, ("POST", "exports", true), Some(body)).await;
    let body = json!({"people": ["x1"], "include_earlier": true});
    let export: BulkExport = read(body.clone());
    let call = async |s: HubSpotSync| s.export_in_bulk(w, &export, Some(&key())).await;
    asked(rows, call, ("POST", "bulk-exports", true), Some(body)).await;
    let filter = ExportFilter {
        person: Some(read(json!("x1"))),
        state: Some(RequestState::Failed),
    };
    let call = async |s: HubSpotSync| s.list_exports(w, &filter, None, PageLimit::default()).await;
    let at = ("GET", "exports?limit=100&person=x1&state=failed", false);
    asked(json!({"items": [row], "next": null}), call, at, None).await;
    let call = async |s: HubSpotSync| s.get_export(w, read(json!(ID))).await;
    let at = format!("exports/{ID}");
    asked(row.clone(), call, ("GET", &at, false), None).await;
    let call = async |s: HubSpotSync| s.retry_export(w, read(json!(ID)), Some(&key())).await;
    let at = format!("exports/{ID}/retry");
    asked(row.clone(), call, ("POST", &at, true), None).await;
    let body = json!({"person": "x1", "property": "jobtitle", "record": "company"});
    let paused: ResumeRow = read(body.clone());
    let call = async |s: HubSpotSync| s.resume_row(w, &paused, Some(&key())).await;
    let at = ("POST", "exports/resume", true);
    asked(row, call, at, Some(body)).await;
    let body = json!({"reason": "no_email"});
    let which: RetryExports = read(body.clone());
    let call = async |s: HubSpotSync| s.retry_exports(w, &which, Some(&key())).await;
    let at = ("POST", "exports/retry", true);
    asked(json!({"retried": 2, "more": false}), call, at, Some(body)).await;
    let call = async |s: HubSpotSync| s.summarize_exports(w).await;
    let summary = json!({
        "settings_saved": true, "policy": "replied", "in_force_since": "2026-11-20T10:00:00Z",
        "qualifying": {"people": 3, "qualified_earlier": 1, "more": false}, "accepted": 1,
        "waiting": {"not_connected": 2}, "failed": {}, "skipped": {"no_email": 1},
        "oldest_pending": null,
    });
    let summary = asked(summary, call, ("GET", "exports/summary", false), None).await;
    assert_eq!(summary.waiting[&WaitReason::NotConnected], 2);

    let body = json!({"email": "x1@example.com"});
    let whom: EraseRequest = read(body.clone());
    let call = async |s: HubSpotSync| s.erase_person(w, &whom, Some(&key())).await;
    let removed = json!({"people": 1, "contacts": 0, "quarantined": 0, "requests": 0});
    let erased = json!({"removed": removed, "message": "m"});
    asked(erased, call, ("POST", "erasures", true), Some(body)).await;
    let call = async |s: HubSpotSync| s.purge_workspace(w).await;
    let purged = json!({"removed": 7, "message": "m"});
    asked(purged, call, ("POST", "purge", false), None).await;

    let body = json!({"name": "main app"});
    let token: TokenCreate = read(body.clone());
    let call = async |s: HubSpotSync| s.create_token(w, &token).await;
    let made = json!({"id": ID, "token": "hst_sekret"});
    let made = asked(made, call, ("POST", "tokens", false), Some(body)).await;
    assert!(!format!("{made:?}").contains("sekret"));
    let call = async |s: HubSpotSync| s.list_tokens(w).await;
    asked(json!([]), call, ("GET", "tokens", false), None).await;
    let server = Server::start([Answer::raw(204, "text/plain", "")]).await;
    sync(&server)
        .revoke_token(w, read(json!(ID)))
        .await
        .unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.method, "DELETE");
    assert!(seen.path.ends_with(&format!("/tokens/{ID}")));
}

#[tokio::test]
async fn settings_and_what_is_wrong_with_them() {
    let w = workspace();
    let document = json!({"schema_version": 2});
    let in_force = json!({"revision": 3, "saved_at": null, "settings": document, "problems": []});
    let call = async |s: HubSpotSync| s.get_settings(w).await;
    asked(in_force.clone(), call, ("GET", "settings", false), None).await;
    let call = async |s: HubSpotSync| s.get_default_settings(w).await;
    let at = ("GET", "settings/defaults", false);
    asked(in_force.clone(), call, at, None).await;
    let body = json!({"settings": document});
    let check: SettingsCheck = read(body.clone());
    let call = async |s: HubSpotSync| s.check_settings(w, &check).await;
    let fine = json!({"acceptable": true, "problems": []});
    asked(fine, call, ("POST", "settings/check", false), Some(body)).await;
    let body = json!({"expected_revision": 2, "settings": document});
    let put: SettingsPut = read(body.clone());
    let call = async |s: HubSpotSync| s.put_settings(w, &put).await;
    let saved = asked(in_force, call, ("PUT", "settings", false), Some(body)).await;
    assert_eq!(saved.revision, SettingsRevision::new(3));

    let refused = async |body: Value| {
        let media_type = "application/problem+json";
        let server = Server::start([Answer::raw(409, media_type, &body.to_string())]).await;
        sync(&server).put_settings(w, &put).await.unwrap_err()
    };
    let mut problem = json!({
        "type": "/docs/errors#hs-2190", "title": "t", "status": 422, "detail": "d", "code": "HS-2190",
        "problems": [{"path": "/lists/0", "code": "HS-2116", "severity": "error", "message": "m"}],
    });
    let error = refused(problem.clone()).await;
    assert_eq!(error.code(), Some("HS-2190"));
    let Error::SettingsRefused(data) = error else {
        panic!("{error:?}");
    };
    assert_eq!(data.problems[0].path.as_str(), "/lists/0");
    problem["code"] = json!("HS-2191");
    problem["revision"] = json!(4);
    problem["changes"] = json!([{"path": "/lists/0", "change": "added", "row": "7"}]);
    let error = refused(problem).await;
    assert!(!error.is_temporary());
    let Error::SettingsConflict(data) = error else {
        panic!("{error:?}");
    };
    assert_eq!(data.revision, SettingsRevision::new(4));
    assert_eq!(data.changes[0].row.as_deref(), Some("7"));
}

#[tokio::test]
async fn what_is_much_larger_than_a_page_is_no_page() {
    let huge = format!("\"{}\"", "x".repeat(33 * 1024 * 1024));
    let server = Server::start([Answer::raw(200, "application/json", &huge)]).await;
    let error = sync(&server)
        .list_people(workspace(), None, PageLimit::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::UnexpectedAnswer {
                reason: Unexpected::TooLarge,
                ..
            }
        ),
        "{error:?}"
    );
}
