//! C1: a consent is confirmed once, by whoever gave it or by the main app.

use std::time::{Duration, Instant};

use dev::demo::{ADMIN, ADMIN_NAME, Confirm, Consent, Question, Reply, WORKSPACE_NAME};
use e2e::{Tenant, door::Door, exports::ask, planted::change_settings, shared, store_of};
use serde_json::{Value, json};

async fn tenant() -> Tenant {
    let size = json!({"contacts": 20, "companies": 2, "deals": 2, "lists": 1, "limits": "off"});
    Tenant::new(&shared(), size).await
}

fn portal(tenant: &Tenant) -> u64 {
    tenant.portal.get().cast_unsigned()
}

async fn link(tenant: &Tenant) -> String {
    let request =
        json!({"admin": ADMIN, "workspace_name": WORKSPACE_NAME, "admin_name": ADMIN_NAME});
    tenant.api.link(&tenant.id(), request).await.unwrap()
}

/// Opens the link in a browser of its own, approves, and comes back.
async fn approved(tenant: &Tenant, link: &str) -> Reply {
    let started = tenant.api.open(link, "").await.unwrap();
    let page = started.location.expect("a consent page");
    let cookie = started.cookie.expect("a cookie");
    let back = tenant
        .api
        .decide(&page, portal(tenant), Consent::Approve)
        .await
        .unwrap();
    tenant.api.come_back(&back, &cookie).await.unwrap()
}

async fn asked(tenant: &Tenant) -> Question {
    let back = approved(tenant, &link(tenant).await).await;
    tenant.api.question(&back).await.unwrap()
}

async fn is_connected(tenant: &Tenant) -> bool {
    let store = store_of(tenant.api.addresses()).await;
    let connection = store.connection(tenant.workspace).await.unwrap();
    connection.is_some_and(|c| c.state == domain::ConnectionState::Connected)
}

/// Refresh tokens that live at HubSpot.
async fn living(tenant: &Tenant) -> Value {
    tenant.control("GET", "", None).await["refresh_tokens"].clone()
}

async fn in_database(tenant: &Tenant, sql: &str) -> i64 {
    let url = &tenant.api.addresses().database_url;
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let id = tenant.workspace.as_uuid().to_string();
    client.query_one(sql, &[&id]).await.unwrap().get(0)
}

async fn tokens_that_wait(tenant: &Tenant) -> i64 {
    let sql = "select count(*) from pending_consent where workspace_id::text = $1
               and (access_token is not null or refresh_token is not null)";
    in_database(tenant, sql).await
}

async fn until_given_back(tenant: &Tenant, within: Duration) {
    let deadline = Instant::now() + within;
    while living(tenant).await != 0 || tokens_that_wait(tenant).await != 0 {
        assert!(Instant::now() < deadline, "not given back in {within:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_consent_of_another_company_connects_nothing_before_it_is_confirmed() {
    let tenant = tenant().await;
    let question = asked(&tenant).await;
    let page = &question.page.text;
    assert_eq!(question.page.status, 200, "{page}");
    for shown in [
        tenant.portal.to_string().as_str(),
        WORKSPACE_NAME,
        &tenant.id(),
        ADMIN_NAME,
        "Do not connect",
    ] {
        assert!(page.contains(shown), "{shown} is not on the page: {page}");
    }
    assert!(!is_connected(&tenant).await);
    let status = tenant.status().await;
    assert_eq!(
        (&status["phase"], &status["portal"]),
        (&json!("disconnected"), &Value::Null)
    );

    let refused = tenant
        .api
        .confirm(&question, Confirm::Refuse)
        .await
        .unwrap();
    assert!(refused.text.contains("HS-1014"), "{}", refused.text);
    until_given_back(&tenant, Duration::from_secs(10)).await;
    // The back button and a change of mind find it refused.
    let late = tenant
        .api
        .confirm(&question, Confirm::Connect)
        .await
        .unwrap();
    assert!(late.text.contains("HS-1014"), "{}", late.text);
    assert!(!is_connected(&tenant).await);
}

#[tokio::test]
async fn a_link_is_used_up_by_the_consent_that_comes_back_not_by_being_opened() {
    let tenant = tenant().await;
    let link = link(&tenant).await;
    // A preview of the link, and somebody who may not install apps and sends it on.
    assert_eq!(tenant.api.open(&link, "").await.unwrap().status, 302);
    let started = tenant.api.open(&link, "").await.unwrap();
    let back = tenant
        .api
        .decide(
            &started.location.unwrap(),
            portal(&tenant),
            Consent::NoPermission,
        )
        .await
        .unwrap();
    let no_right = tenant
        .api
        .come_back(&back, &started.cookie.unwrap())
        .await
        .unwrap();
    assert!(no_right.text.contains("HS-1005"), "{}", no_right.text);
    let sent_on = no_right
        .text
        .split_once("<a href=\"http")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(url, _)| format!("http{}", url.replace("&amp;", "&")))
        .expect("a link to send on");

    // Two people open it; the first consent that comes back is the only one.
    let second = tenant.api.open(&link, "").await.unwrap();
    let first = approved(&tenant, &sent_on).await;
    assert_eq!(first.status, 303, "{}", first.text);
    let back = tenant
        .api
        .decide(&second.location.unwrap(), portal(&tenant), Consent::Approve)
        .await
        .unwrap();
    let again = tenant
        .api
        .come_back(&back, &second.cookie.unwrap())
        .await
        .unwrap();
    assert!(again.text.contains("HS-1007"), "{}", again.text);
    // Its code was not even exchanged.
    assert_eq!(living(&tenant).await, 1);
    let opened = tenant.api.open(&link, "").await.unwrap();
    assert!(opened.text.contains("HS-1007"), "{}", opened.text);

    let question = tenant.api.question(&first).await.unwrap();
    tenant
        .api
        .confirm(&question, Confirm::Connect)
        .await
        .unwrap();
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn a_double_click_connects_once_and_the_back_button_shows_how_it_stands() {
    let tenant = tenant().await;
    let link = link(&tenant).await;
    let started = tenant.api.open(&link, "").await.unwrap();
    let cookie = started.cookie.unwrap();
    let back = tenant
        .api
        .decide(
            &started.location.unwrap(),
            portal(&tenant),
            Consent::Approve,
        )
        .await
        .unwrap();
    let came = tenant.api.come_back(&back, &cookie).await.unwrap();
    let question = tenant.api.question(&came).await.unwrap();
    let clicks = (0..5).map(|_| tenant.api.confirm(&question, Confirm::Connect));
    for click in futures::future::join_all(clicks).await {
        let click = click.unwrap();
        assert_eq!(click.status, 200, "{}", click.text);
        assert!(
            click.text.contains("HubSpot is connected"),
            "{}",
            click.text
        );
    }
    // Back to HubSpot's answer, with what this browser has by now.
    let both = format!("{cookie}; {}", question.cookie);
    let again = tenant.api.come_back(&back, &both).await.unwrap();
    assert_eq!(again.status, 303, "{}", again.text);
    let refused = tenant
        .api
        .confirm(&question, Confirm::Refuse)
        .await
        .unwrap();
    assert!(
        refused.text.contains("HubSpot is connected"),
        "{}",
        refused.text
    );
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
    assert_eq!(living(&tenant).await, 1);
    let runs = "select count(*) from sync_run where workspace_id::text = $1";
    assert_eq!(in_database(&tenant, runs).await, 1);
}

#[tokio::test]
async fn only_the_browser_that_came_back_is_asked_and_only_its_form_counts() {
    let tenant = tenant().await;
    let question = asked(&tenant).await;
    let elsewhere = tenant.api.open(&question.at, "").await.unwrap();
    assert!(elsewhere.text.contains("HS-1016"), "{}", elsewhere.text);
    let other = asked(&tenant).await;
    for forged in [
        Question {
            cookie: "hubspot_sync_consent=e30.AAAA".to_owned(),
            ..question.clone()
        },
        Question {
            csrf: Some(String::new()),
            ..question.clone()
        },
        Question {
            csrf: other.csrf.clone(),
            ..question.clone()
        },
    ] {
        let reply = tenant.api.confirm(&forged, Confirm::Connect).await.unwrap();
        assert_eq!(reply.status, 403, "{}", reply.text);
        assert!(reply.text.contains("HS-1016"), "{}", reply.text);
    }
    assert!(!is_connected(&tenant).await);

    let client = dev::http().unwrap();
    let page = client
        .get(&question.at)
        .header("cookie", &question.cookie)
        .send()
        .await
        .unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    let text = page.text().await.unwrap();
    assert!(!text.contains("<style") && !text.contains("style=") && !text.contains("<script"));
    let style = text
        .split_once("rel=\"stylesheet\" href=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(path, _)| format!("{}{path}", tenant.api.addresses().web))
        .unwrap();
    let style = client.get(style).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css;charset=utf-8");

    // Of two consents one connects; the other is told, and given back.
    let good = tenant
        .api
        .confirm(&question, Confirm::Connect)
        .await
        .unwrap();
    assert!(good.text.contains("HubSpot is connected"), "{}", good.text);
    let late = tenant.api.confirm(&other, Confirm::Connect).await.unwrap();
    assert!(late.text.contains("HS-1002"), "{}", late.text);
    let deadline = Instant::now() + Duration::from_secs(10);
    while living(&tenant).await != 1 {
        assert!(
            Instant::now() < deadline,
            "the second one was not given back"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(tokens_that_wait(&tenant).await, 0);
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn the_main_app_may_decide_instead() {
    let tenant = tenant().await;
    let door = Door::of(&tenant).await;
    let waiting = || async {
        let all = door.ok("GET", "/hubspot/consents", None).await;
        all.as_array().unwrap().clone()
    };
    assert!(waiting().await.is_empty());
    let first = asked(&tenant).await;
    let all = waiting().await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["portal"], tenant.portal.get());
    assert_eq!(all[0]["admin"], ADMIN);
    let at = |consent: &Value, what: &str| {
        format!(
            "/hubspot/consents/{}/{what}",
            consent["consent"].as_str().unwrap()
        )
    };
    for _ in 0..2 {
        let refused = door.ok("POST", &at(&all[0], "refuse"), None).await;
        assert_eq!(refused["outcome"], "refused");
    }
    let late = door.call("POST", &at(&all[0], "confirm"), None).await;
    assert_eq!((late.status, late.code()), (409, "HS-1014"));
    let page = tenant.api.confirm(&first, Confirm::Connect).await.unwrap();
    assert!(page.text.contains("HS-1014"), "{}", page.text);
    until_given_back(&tenant, Duration::from_secs(10)).await;

    let _second = asked(&tenant).await;
    let all = waiting().await;
    assert_eq!(all.len(), 1);
    for _ in 0..2 {
        let confirmed = door.ok("POST", &at(&all[0], "confirm"), None).await;
        assert_eq!(
            (&confirmed["outcome"], &confirmed["portal"]),
            (&json!("connected"), &json!(tenant.portal.get()))
        );
    }
    let late = door.call("POST", &at(&all[0], "refuse"), None).await;
    assert_eq!((late.status, late.code()), (409, "HS-1002"));
    tenant
        .wait_for_phase("syncing", Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn what_nobody_confirms_in_time_is_given_back() {
    let tenant = tenant().await;
    let question = asked(&tenant).await;
    assert_eq!(
        (living(&tenant).await, tokens_that_wait(&tenant).await),
        (json!(1), 1)
    );
    let over = "with over as (
                  update pending_consent set expires_at = now() - interval '1 second'
                  where workspace_id::text = $1 returning 1)
                select count(*) from over";
    assert_eq!(in_database(&tenant, over).await, 1);
    let late = tenant
        .api
        .confirm(&question, Confirm::Connect)
        .await
        .unwrap();
    assert!(late.text.contains("HS-1013"), "{}", late.text);
    until_given_back(&tenant, Duration::from_secs(60)).await;
    assert!(!is_connected(&tenant).await);
}

#[tokio::test]
async fn the_question_says_what_will_be_written() {
    let tenant = tenant().await;
    let first = asked(&tenant).await;
    let text = &first.page.text;
    assert!(
        text.contains("Nothing is written to HubSpot before the export settings were saved once."),
        "{text}"
    );
    let confirmed = tenant.api.confirm(&first, Confirm::Connect).await.unwrap();
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let minute = Duration::from_secs(60);
    tenant.wait_for_phase("syncing", minute).await;
    let door = Door::of(&tenant).await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("replied");
    })
    .await;
    let left = tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await
        .unwrap();
    assert_eq!(left.status, 200, "{}", left.text);
    tenant.wait_for_phase("disconnected", minute).await;
    door.people(json!([{"id": "waits", "version": 1, "email": "waits@question.example"}]))
        .await;
    ask(&door, "waits").await;

    let again = asked(&tenant).await;
    let text = &again.page.text;
    for shown in ["exports go on at once; 1 waits.", WORKSPACE_NAME] {
        assert!(text.contains(shown), "no {shown} in {text}");
    }
    assert!(!text.contains("Nothing is written"), "{text}");
    // The account is the same one.
    assert!(!text.contains("Until now"), "{text}");
}

#[tokio::test]
async fn an_account_that_lacks_scopes_is_told_which() {
    let tenant = tenant().await;
    let link = link(&tenant).await;
    let started = tenant.api.open(&link, "").await.unwrap();
    let page = url::Url::parse(&started.location.unwrap()).unwrap();
    let value = |name: &str| {
        let found = page.query_pairs().find(|(n, _)| n == name);
        found.unwrap().1.into_owned()
    };
    let mut back = url::Url::parse(&value("redirect_uri")).unwrap();
    back.query_pairs_mut()
        .append_pair("error", "invalid_scope")
        .append_pair(
            "error_description",
            "Authorization failed because the account lacks access to the required scopes [crm.lists.read, sales-email-read]",
        )
        .append_pair("state", &value("state"));
    let reply = tenant
        .api
        .come_back(back.as_str(), &started.cookie.unwrap())
        .await
        .unwrap();
    assert_eq!(reply.status, 403);
    for shown in [
        "HS-1015",
        "crm.lists.read",
        "sales-email-read",
        "Super Admin",
    ] {
        assert!(reply.text.contains(shown), "{shown}: {}", reply.text);
    }
    // Another account of theirs may do.
    assert_eq!(approved(&tenant, &link).await.status, 303);
}
