//! C3: tokens move to another key by a command, while everything goes on.

use std::time::Duration;

use dev::{demo::Api, stack::DEV_KEY};
use e2e::{
    Tenant, binaries,
    planted::Planted,
    stacks::{OwnStack, until_within},
};
use serde_json::json;

use crate::c3_tokens::connect_by_key;

const NEW_KEY: &str = "bmV3IGtleSBmb3IgYSB0ZXN0IG9mIHJvdGF0aW9uISE=";

/// Standard output and error of the command, and its exit code.
async fn rotate(api: &Api, keys: &str) -> (i32, String, String) {
    let ended = tokio::process::Command::new(binaries().join("hubspot-sync-worker"))
        .arg("rotate-keys")
        .env("DATABASE_URL", &api.addresses().database_url)
        .env("TOKEN_ENCRYPTION_KEYS", keys)
        .env("ERASURE_KEY", DEV_KEY)
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = ended.status.code().unwrap_or(-1);
    (code, text(&ended.stdout), text(&ended.stderr))
}

async fn keys_in_use(api: &Api) -> Vec<String> {
    let url = &api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let rows = client
        .query(
            "select distinct convert_from(substr(sealed, 2, get_byte(sealed, 0)), 'UTF8') as key
             from connection_token cross join lateral (values (access_token), (refresh_token)) t (sealed)
             where sealed is not null order by 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get("key")).collect()
}

#[tokio::test]
async fn tokens_move_to_the_first_key_while_everything_goes_on() {
    let (old, new) = (format!("dev:{DEV_KEY}"), format!("new:{NEW_KEY}"));
    let both = format!("{new},{old}");
    // The processes have both, and encrypt under the older one still.
    let env = [("TOKEN_ENCRYPTION_KEYS", format!("{old},{new}"))];
    let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let stack = OwnStack::start(1, &env).await;
    let api = Api::new(stack.addresses()).unwrap();
    // One whose tokens are refreshed every few seconds meanwhile, and one with a service key.
    let refreshed = Planted::on(&api, json!({"token_ttl_seconds": 5})).await;
    refreshed.connect().await;
    let by_key = Tenant::new(&api, json!({"contacts": 3, "limits": "off"})).await;
    connect_by_key(&by_key).await;
    by_key
        .wait_for_phase("syncing", Duration::from_secs(90))
        .await;
    assert_eq!(keys_in_use(&api).await, ["dev"]);

    let (code, out, err) = rotate(&api, &new).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        err.contains("HS-5003: 2 connections are under the key dev"),
        "{err}"
    );
    assert!(!err.contains(DEV_KEY) && !err.contains(NEW_KEY));
    assert_eq!(keys_in_use(&api).await, ["dev"]);

    let (code, out, err) = rotate(&api, &both).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.starts_with("2 connections moved to the first key, 0 were there"),
        "{out}"
    );
    let (_, out, _) = rotate(&api, &both).await;
    assert!(out.contains("were there"), "{out}");

    // Everything goes on with what was moved.
    for tenant in [&refreshed.tenant, &by_key] {
        let contact = json!({"properties": {"email": "after@rotation.com"}, "associations": []});
        tenant
            .control("POST", "records/contacts", Some(contact))
            .await;
        let body = json!({"types": ["contacts"]});
        let asked = api.call(&tenant.id(), "resync", Some(body)).await.unwrap();
        assert_eq!(asked.status, 200, "{}", asked.text);
        let run = asked.json().unwrap()["run"].clone();
        until_within("it is read again", Duration::from_secs(60), async || {
            let now = tenant.status().await["run"].clone();
            now["run"] == run && now["state"] == "finished"
        })
        .await;
    }
}
