//! X8: `hubspot-sync` with settings, team and tokens against a running service.

use std::time::Duration;

use e2e::{Tenant, command_line::CommandLine, door::Door, shared};
use serde_json::{Value, json};

async fn tenant() -> (Tenant, Door, CommandLine) {
    let tenant = Tenant::new(
        &shared(),
        json!({"contacts": 5, "owners": 3, "limits": "off"}),
    )
    .await;
    let door = Door::of(&tenant).await;
    let line = CommandLine::new(&tenant, &door);
    (tenant, door, line)
}

/// The objects of a listing, one a line.
fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn tokens_are_made_used_and_revoked() {
    let (tenant, _door, line) = tenant().await;
    // A workspace's own token makes none.
    let refused = line.run(&["token", "create", "more"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("HS-4006"), "{}", refused.err);

    let operator = CommandLine::new(&tenant, &Door::of_installation(&tenant));
    let made = operator.run(&["token", "create", "main app"]).await;
    assert_eq!(made.code, 0, "{}", made.err);
    let token = made.out.trim_end();
    assert!(token.starts_with("hst_") && !made.err.contains(token));
    let used = line.with_token(token).run(&["members", "list"]).await;
    assert_eq!(used.code, 0, "{}", used.err);

    let listed = operator.run(&["token", "list", "--json"]).await;
    assert!(!listed.out.contains(token));
    let listed = lines(&listed.out);
    let main = listed.iter().find(|t| t["name"] == "main app").unwrap();
    assert!(main["revoked_at"].is_null());
    let id = main["id"].as_str().unwrap();
    let revoked = operator.run(&["token", "revoke", id]).await;
    assert_eq!(revoked.code, 0, "{}", revoked.err);
    let refused = line.with_token(token).run(&["members", "list"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("HS-4002"), "{}", refused.err);
    assert!(!refused.err.contains(token));
    let table = operator.run(&["token", "list"]).await;
    assert_eq!(table.out.lines().count(), 3, "{}", table.out);
}

#[tokio::test]
async fn settings_are_taken_changed_and_put_back() {
    let (tenant, _door, line) = tenant().await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.json");
    let path = file.to_str().unwrap();
    let got = line.run(&["settings", "get"]).await;
    assert_eq!(got.code, 0, "{}", got.err);
    std::fs::write(&file, &got.out).unwrap();
    let saved = line.run(&["settings", "set", path]).await;
    assert_eq!(
        (saved.code, saved.out.as_str()),
        (0, "saved as revision 1\n"),
        "{}",
        saved.err
    );
    let checked = line.run(&["settings", "check"]).await;
    assert_eq!(
        (checked.code, checked.out.as_str()),
        (0, "nothing is wrong\n")
    );

    // Somebody else began from the same revision.
    let mut other = got.json();
    other["settings"]["retention"]["journal_days"] = json!(100);
    std::fs::write(&file, other.to_string()).unwrap();
    let conflict = line.run(&["settings", "set", path]).await;
    assert_eq!(conflict.code, 1);
    assert!(conflict.err.contains("HS-2191"), "{}", conflict.err);
    let saved = line
        .run(&["settings", "set", path, "--expected-revision", "1"])
        .await;
    assert_eq!(saved.code, 0, "{}", saved.err);
    std::fs::write(&file, &got.out).unwrap();
    let conflict = line
        .run(&["settings", "set", path, "--expected-revision", "1"])
        .await;
    assert_eq!(conflict.code, 1);
    assert!(
        conflict
            .err
            .starts_with("changed /retention/journal_days\n"),
        "{}",
        conflict.err
    );

    let mut wrong = got.json();
    wrong["revision"] = json!(2);
    wrong["settings"]["import"]["interval_minutes"] = json!(0);
    std::fs::write(&file, wrong.to_string()).unwrap();
    let refused = line.run(&["settings", "set", path]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .err
            .starts_with("error HS-2121 /import/interval_minutes: "),
        "{}",
        refused.err
    );
    let in_force = line.run(&["settings", "get"]).await.json();
    assert_eq!(in_force["revision"], 2);
    assert_eq!(in_force["settings"], other["settings"]);
}

#[tokio::test]
async fn the_team_comes_from_a_file_and_stands_for_owners() {
    let (tenant, door, line) = tenant().await;
    tenant.connect().await;
    tenant
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    let owners = lines(&line.run(&["owners", "list", "--json"]).await.out);
    let owner = owners
        .iter()
        .find(|o| o["archived"] == false && o["email"].is_string())
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("members.jsonl");
    let member = json!({"id": "m1", "version": 1, "email": owner["email"], "name": "One"});
    let text =
        format!("{member}\n{{\"id\":\"m2\",\"version\":1,\"role\":\"x\"}}\n{{\"id\":\"m3\"}}\n");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let sent = line.run(&["members", "import", path]).await;
    assert_eq!(sent.code, 1);
    assert!(
        sent.err.starts_with("line 2: HS-2203 row: "),
        "{}",
        sent.err
    );
    let listed = line.run(&["members", "list", "--json"]).await;
    let members = lines(&listed.out);
    let ids: Vec<&str> = members.iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["m1", "m3"]);
    // What a listing prints can be sent.
    std::fs::write(&file, listed.out).unwrap();
    let again = line.run(&["members", "import", path, "--json"]).await;
    assert_eq!((again.code, &again.json()["unchanged"]), (0, &json!(2)));
    let owners = lines(&line.run(&["owners", "list", "--json"]).await.out);
    let mapped = owners
        .iter()
        .find(|o| o["owner"] == owner["owner"])
        .unwrap();
    assert_eq!(
        (&mapped["mapping"], &mapped["member"]),
        (&json!("email"), &json!("m1"))
    );
    let table = line.run(&["owners", "list"]).await;
    assert_eq!(table.out.lines().count(), owners.len() + 1);
    assert_eq!(
        door.ok("GET", "/members", None).await["items"],
        json!(members)
    );
}
