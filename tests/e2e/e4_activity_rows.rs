//! E4, E8: rows of the tab Activity are checked against what the portal's engagements have.

use e2e::{
    activities::{logged, push, settle},
    door::Door,
    exports::{export, live},
    planted::{Planted, change_settings, number},
};
use serde_json::{Value, json};

async fn with_properties(p: &Planted) {
    for (name, kind, field) in [
        ("sequence_name", "string", "text"),
        ("sequence_length", "number", "number"),
    ] {
        let property = json!({
            "name": name, "label": name, "type": kind, "fieldType": field, "groupName": "engagement",
        });
        let path = "/crm/properties/2026-09/calls";
        p.hubspot("POST", path, Some(property)).await;
    }
}

fn row(kind: &str, field: &str, property: &str) -> Value {
    json!({"kind": kind, "app_field": field, "property": property, "export": true})
}

/// What is said of settings with these rows beside those for calls and e-mails: place and code of each problem.
async fn said(door: &Door, rows: &[Value]) -> Vec<(String, String)> {
    let mut settings = door.ok("GET", "/settings", None).await["settings"].clone();
    settings["activity_properties"] = json!(rows);
    let body = json!({"settings": settings});
    let checked = door.ok("POST", "/settings/check", Some(body)).await;
    let problems = checked["problems"].as_array().cloned().unwrap_or_default();
    let text = |p: &Value, name: &str| p[name].as_str().unwrap_or_default().to_owned();
    problems
        .iter()
        .map(|p| (text(p, "path"), text(p, "code")))
        .filter(|(path, _)| path.starts_with("/activity_properties"))
        .collect()
}

#[tokio::test]
async fn rows_are_checked_against_the_portals_engagements() {
    let p = Planted::new().await;
    with_properties(&p).await;
    let door = p.connect().await;
    let rows = [
        row("call", "title", "hs_call_title"),
        row("call", "campaign", "sequence_name"),
    ];
    assert_eq!(said(&door, &rows).await, []);
    let found = said(
        &door,
        &[
            row("call", "campaign", "sequence_nome"),
            row("call", "title", "sequence_length"),
        ],
    )
    .await;
    let at = |place: &str, code: &str| (place.to_owned(), code.to_owned());
    assert_eq!(
        found,
        [
            at("/activity_properties/0/property", "HS-2101"),
            at("/activity_properties/1", "HS-2105"),
        ]
    );
    // HubSpot does not tell of e-mails what they have: its own properties are known, others are not checked.
    let of_email = [
        row("email", "subject", "hs_email_subject"),
        row("email", "campaign", "sequence_name"),
    ];
    assert_eq!(
        said(&door, &of_email).await,
        [at("/activity_properties", "HS-2125")]
    );
    assert_eq!(said(&door, &of_email[..1]).await, []);

    change_settings(&door, |settings| {
        settings["activity_properties"] = json!(rows);
    })
    .await;
    door.people(json!([{"id": "lead", "version": 1, "email": "lead@rows-e4.com"}]))
        .await;
    export(&door, "lead").await;
    let call = json!({
        "id": "call", "version": 1, "person": "lead", "at": "2026-01-05T08:30:00Z", "campaign": "Spring",
        "content": {"call": {"direction": "outgoing", "title": "Intro"}},
    });
    push(&door, &[call]).await;
    settle(&door, "lead").await;
    let record = logged(&door, "lead", "call").await.expect("an engagement");
    let calls = live(&p, "calls").await;
    let call = calls.iter().find(|c| number(&c["id"]) == record).unwrap();
    assert_eq!(call["properties"]["sequence_name"], "Spring");
    // A property that is gone: the row is shown, and the next reading of the definitions knows.
    p.hubspot(
        "DELETE",
        "/crm/properties/2026-09/calls/sequence_name",
        None,
    )
    .await;
    p.resync(json!({"types": ["properties"], "mode": {"mode": "from_scratch"}}))
        .await;
    assert_eq!(
        said(&door, &rows).await,
        [at("/activity_properties/1/property", "HS-2101")]
    );
}
