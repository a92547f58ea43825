//! `hubspot-sync` with files, settings and tokens, as a process.

use std::path::PathBuf;

use domain::{
    api::{FieldsAnswer, UpsertAnswer},
    app::{ItemCode, ItemProblem, Slot, UpsertOutcome},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::run,
    server::{Answer, Server},
};

fn file(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn fields() -> Answer {
    Answer::json(&FieldsAnswer::new(&[]))
}

fn outcomes(outcomes: &[UpsertOutcome]) -> Answer {
    Answer::json(&UpsertAnswer::new(outcomes.iter().map(|o| {
        let problem = (*o == UpsertOutcome::Refused).then(|| {
            ItemProblem::new(
                ItemCode::VersionConflict,
                Slot::named("email"),
                "sent before",
            )
        });
        (*o, problem)
    })))
}

#[tokio::test]
async fn good_rows_go_in_and_each_refused_one_is_told() {
    use UpsertOutcome as O;
    let dir = tempfile::tempdir().unwrap();
    let file = file(
        &dir,
        "people.csv",
        "id,version,email\np1,1,p1@example.com\np2,1,sekret\np3,1,p3@example.com\np1,2,\n",
    );
    let path = file.to_str().unwrap();
    let server = Server::start([fields(), outcomes(&[O::Created, O::Refused])]).await;
    let ended = run(&server, &["people", "import", path]).await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert_eq!(
        ended.out,
        "4 rows: 1 created, 0 updated, 0 unchanged, 0 stale, 3 refused, 0 erased\n"
    );
    let told: Vec<&str> = ended.err.lines().collect();
    assert_eq!(told.len(), 4, "{}", ended.err);
    assert!(told[0].starts_with("line 3: HS-2202 email: "), "{told:?}");
    assert_eq!(told[1], "line 4: HS-2207 email: sent before");
    assert!(
        told[2].starts_with("line 5: HS-2214 id: line 2 "),
        "{told:?}"
    );
    assert!(told[3].contains("3 of 4 rows were refused"), "{told:?}");
    assert!(!ended.err.contains("sekret") && !ended.err.contains("example.com"));
    let seen = server.seen();
    assert!(seen[1].path.ends_with("/people"));
    assert_eq!(
        seen[1].body.as_ref().unwrap()["items"],
        json!([
            {"id": "p1", "version": 1, "email": "p1@example.com"},
            {"id": "p3", "version": 1, "email": "p3@example.com"},
        ])
    );
    assert!(seen[1].key.as_ref().unwrap().starts_with("import/"));

    // The same to a file, as JSON.
    let rejects = dir.path().join("rejects.jsonl");
    let server = Server::start([fields(), outcomes(&[O::Created, O::Unchanged])]).await;
    let arguments = [
        "people",
        "import",
        path,
        "--json",
        "--rejects",
        rejects.to_str().unwrap(),
    ];
    let ended = run(&server, &arguments).await;
    assert_eq!(ended.code, 1);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    let summary: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        summary,
        json!({"rows": 4, "created": 1, "updated": 0, "unchanged": 1, "stale": 0, "refused": 2,
               "erased": 0})
    );
    let told = std::fs::read_to_string(rejects).unwrap();
    let told: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&told[0]["line"], &told[0]["code"], &told[0]["field"]),
        (&json!(3), &json!("HS-2202"), &json!("email"))
    );
    assert_eq!(told.len(), 2);
}

#[tokio::test]
async fn rows_without_a_version_have_that_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(
        &dir,
        "people.jsonl",
        "{\"id\":\"p1\"}\n\n{\"id\":\"p2\",\"version\":3}\n",
    );
    let path = file.to_str().unwrap();
    use UpsertOutcome::Created;
    let server = Server::start([fields(), outcomes(&[Created, Created])]).await;
    let ended = run(&server, &["people", "import", path, "--row-version", "9"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let versions = |server: &Server| {
        let body = server.seen()[1].body.clone().unwrap();
        [0, 1].map(|n| body["items"][n]["version"].as_u64().unwrap())
    };
    assert_eq!(versions(&server), [9, 3]);
    let server = Server::start([fields(), outcomes(&[Created, Created])]).await;
    run(&server, &["people", "import", path]).await;
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(
        versions(&server),
        [u64::try_from(since.as_millis()).unwrap(), 3]
    );
}

#[tokio::test]
async fn a_call_that_failed_for_now_is_made_again_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(&dir, "members.jsonl", "{\"id\":\"m1\",\"version\":1}\n");
    let server = Server::start([
        Answer::problem(503, "HS-5001", "later"),
        Answer::problem(409, "HS-4007", "under way"),
        outcomes(&[UpsertOutcome::Created]),
    ])
    .await;
    let arguments = ["members", "import", file.to_str().unwrap()];
    let ended = run(&server, &arguments).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[0].path.ends_with("/members"));
    assert!(seen.iter().all(|s| s.key == seen[0].key && s.key.is_some()));
}

#[tokio::test]
async fn a_refusal_ends_the_import_and_says_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..3_000)
        .map(|n| format!("{{\"id\":\"m{n}\",\"version\":1}}\n"))
        .collect();
    let file = file(&dir, "members.jsonl", &lines);
    // Of three calls at once, any may be the one that is refused.
    let thousand = outcomes(&[UpsertOutcome::Created; 1_000]);
    let refused = Answer::problem(401, "HS-4002", "no such token");
    let server = Server::start([thousand.clone(), thousand, refused]).await;
    let ended = run(&server, &["members", "import", file.to_str().unwrap()]).await;
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(
        ended.err.contains("HS-4002") && ended.err.contains("2,000 rows are in"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("harmless"), "{}", ended.err);
}

#[tokio::test]
async fn a_file_that_is_not_understood_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = file(&dir, "people.csv", "id,shoe size\np1,44\n");
    let server = Server::start([fields()]).await;
    let ended = run(&server, &["people", "import", wrong.to_str().unwrap()]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("line 1: HS-2211 header: "),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("nothing was sent"), "{}", ended.err);
    assert_eq!(server.seen().len(), 1);

    let nowhere = dir.path().join("none.csv");
    let ended = run(&server, &["people", "import", nowhere.to_str().unwrap()]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("FILE cannot be read"), "{}", ended.err);
    for arguments in [
        &["people", "import", "people.txt"][..],
        &["members", "import", "members.csv"],
        &[
            "people",
            "import",
            wrong.to_str().unwrap(),
            "--rejects",
            wrong.to_str().unwrap(),
        ],
    ] {
        let ended = run(&server, arguments).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
    assert!(std::fs::read_to_string(&wrong).unwrap().contains("44"));
}

#[tokio::test]
async fn settings_go_out_and_in_as_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let in_force = json!({"revision": 3, "saved_at": null, "settings": {"schema_version": 2},
                          "problems": []});
    let server = Server::start([Answer::json(&in_force)]).await;
    let printed = run(&server, &["settings", "get"]).await;
    assert_eq!(printed.code, 0, "{}", printed.err);
    let file = file(&dir, "settings.json", &printed.out);
    let path = file.to_str().unwrap();
    let set = run(&server, &["settings", "set", path]).await;
    assert_eq!((set.code, set.out.as_str()), (0, "saved as revision 3\n"));
    let body = server.seen()[1].body.clone().unwrap();
    assert_eq!(body["expected_revision"], 3);
    assert_eq!(body["settings"]["schema_version"], 2);
    run(
        &server,
        &["settings", "set", path, "--expected-revision", "7"],
    )
    .await;
    assert_eq!(
        server.seen()[2].body.as_ref().unwrap()["expected_revision"],
        7
    );

    let alone = self::file(&dir, "alone.json", "{\"schema_version\":2}");
    let ended = run(&server, &["settings", "set", alone.to_str().unwrap()]).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains("--expected-revision"), "{}", ended.err);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn settings_that_were_refused_are_told_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(
        &dir,
        "settings.json",
        "{\"revision\":3,\"settings\":{\"schema_version\":2}}",
    );
    let path = file.to_str().unwrap();
    let problem =
        json!({"path": "/lists/0", "code": "HS-2116", "severity": "error", "message": "m"});
    let refused = json!({
        "type": "/docs/errors#hs-2190", "title": "t", "status": 422, "detail": "d",
        "code": "HS-2190", "problems": [problem],
    });
    let media_type = "application/problem+json";
    let server = Server::start([Answer::raw(422, media_type, &refused.to_string())]).await;
    let ended = run(&server, &["settings", "set", path]).await;
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(
        ended.err,
        "error HS-2116 /lists/0: m\nhubspot-sync: refused: HS-2190 t: d\n"
    );
    let ended = run(&server, &["settings", "set", path, "--json"]).await;
    assert_eq!(ended.code, 1);
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), refused);

    let conflict = json!({
        "type": "/docs/errors#hs-2191", "title": "t", "status": 409, "detail": "d",
        "code": "HS-2191", "revision": 4,
        "changes": [{"path": "/lists/0", "change": "removed", "row": "7"}],
    });
    let server = Server::start([Answer::raw(409, media_type, &conflict.to_string())]).await;
    let ended = run(&server, &["settings", "set", path]).await;
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.err,
        "removed /lists/0 (7)\nhubspot-sync: refused: HS-2191 t: d\n"
    );

    let checked = json!({"acceptable": false, "problems": [problem]});
    let server = Server::start([Answer::json(&checked)]).await;
    let ended = run(&server, &["settings", "check", path]).await;
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (1, "error HS-2116 /lists/0: m\n")
    );
    let fine = json!({"revision": 3, "saved_at": null, "settings": {"schema_version": 2},
                      "problems": []});
    let server = Server::start([Answer::json(&fine)]).await;
    let ended = run(&server, &["settings", "check"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "nothing is wrong\n"));
}

#[tokio::test]
async fn listings_are_lines() {
    let page = |items: Value| Answer::json(&json!({"items": items, "next": null}));
    let member = json!({"id": "m1", "version": 4, "email": null, "name": "A\tB", "active": false});
    let server = Server::start([page(json!([member]))]).await;
    let text = run(&server, &["members", "list"]).await;
    assert_eq!(text.out, "id\tstate\temail\tname\nm1\tinactive\t\tA B\n");
    let lines = run(&server, &["members", "list", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&lines.out).unwrap(), member);
    let owner = json!({"owner": 7, "email": "o@example.com", "name": null, "archived": false,
                       "mapping": "hand", "member": "m1", "writes_for": ["m1", "m2"],
                       "fallback": false});
    let server = Server::start([page(json!([owner]))]).await;
    let text = run(&server, &["owners", "list"]).await;
    assert_eq!(
        text.out.lines().nth(1).unwrap(),
        "7\tactive\thand\tm1\tm1,m2\to@example.com\t"
    );
}

#[tokio::test]
async fn a_token_is_printed_once_and_alone() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8058";
    let server = Server::start([Answer::json(&json!({"id": id, "token": "hst_x"}))]).await;
    let made = run(&server, &["token", "create", "main app"]).await;
    assert_eq!((made.code, made.out.as_str()), (0, "hst_x\n"));
    assert!(made.err.contains(id) && !made.err.contains("hst_x"));
    let made = run(&server, &["token", "create", "main app", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&made.out).unwrap(),
        json!({"id": id, "token": "hst_x"})
    );
    let server = Server::start([Answer::raw(204, "text/plain", "")]).await;
    let revoked = run(&server, &["token", "revoke", id]).await;
    assert_eq!(revoked.code, 0, "{}", revoked.err);
    let wrong = run(&server, &["token", "revoke", "sekret"]).await;
    assert_eq!(wrong.code, 2);
    assert_eq!(server.seen().len(), 1);
}
