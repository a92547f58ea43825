//! Whom a rule stops: the number of the rule leads to them, page by page (I8).

use e2e::{
    pages::{Pages, between},
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::json;

const DNC: &str = "/settings/hubspot/do-not-contact";

#[tokio::test]
async fn the_number_of_a_rule_leads_to_those_whom_it_stops() {
    const PEOPLE: usize = 52;
    let portal = Planted::new().await;
    for n in 0..PEOPLE {
        let stage = if n == 7 { "lead" } else { "customer" };
        let properties = json!({"email": format!("p{n}@stopped.example"), "lifecyclestage": stage});
        portal.record("contacts", properties, &[]).await;
    }
    let door = portal.connect().await;
    change_settings(&door, |s| {
        s["dnc"]["scopes"]["customer"] = json!("person");
        s["dnc"]["in_hubspot"]["enabled"] = json!(true);
    })
    .await;
    let people: Vec<_> = (0..PEOPLE)
        .map(|n| {
            json!({"id": format!("p{n:02}"), "version": 1, "email": format!("p{n}@stopped.example"),
                "fields": {"first_name": "Number", "last_name": format!("<{n:02}>")}})
        })
        .collect();
    door.people(json!(people)).await;
    let pages = Pages::open(&portal.tenant, "member").await;
    let path = format!("{DNC}/stopped/customer");
    until("all were judged", async || {
        let page = pages.get(DNC).await;
        let door = format!("<a href=\"{path}\">stops {}</a>", PEOPLE - 1);
        page.text.contains(&door)
    })
    .await;
    let names = |text: &str| -> Vec<String> {
        let rows = text.split("<th scope=\"row\">").skip(1);
        rows.filter_map(|row| Some(between(row, "&lt;", "&gt;")?.to_owned()))
            .collect()
    };
    let first = pages.get(&path).await;
    assert!(first.text.contains("Already in HubSpot"), "{}", first.text);
    let mut seen = names(&first.text);
    assert_eq!(seen.len(), 50, "{}", first.text);
    let next = between(&first.text, &format!("{path}?after="), "\"").expect("a next page");
    let last = pages.get(&format!("{path}?after={next}")).await;
    assert!(!last.text.contains("?after="), "{}", last.text);
    seen.extend(names(&last.text));
    let all: Vec<String> = (0..PEOPLE)
        .filter(|n| *n != 7)
        .map(|n| format!("{n:02}"))
        .collect();
    assert_eq!(seen, all);
    let none = pages.get(&format!("{DNC}/stopped/opted_out")).await;
    assert!(none.text.contains("Nobody is stopped by this rule"));
    assert_eq!(
        pages.get(&format!("{DNC}/stopped/no_such")).await.status,
        404
    );
    let odd = pages.get(&format!("{path}?after=%00.x")).await;
    assert_eq!(names(&odd.text).len(), 50);
}
