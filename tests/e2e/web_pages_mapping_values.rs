//! The value table of a row of the mapping, without script (E4).

use e2e::{
    pages::{Got, Pages},
    planted::Planted,
};
use serde_json::{Value, json};

const CONTACTS: &str = "/settings/hubspot/mapping/contacts";

/// The form as it stands, with the pairs of the open table instead, and a step or none.
async fn send(pages: &Pages, page: &Got, pairs: &[(&str, &str)], step: Option<&str>) -> Got {
    let mut form = page.form(CONTACTS);
    let of_table = |name: &str| ["value-seniority", "option-seniority"].contains(&name);
    form.retain(|(name, _)| name != "csrf" && !of_table(name));
    let mut fields: Vec<(&str, &str)> = form.iter().map(|(n, v)| (&**n, &**v)).collect();
    for (value, option) in pairs {
        fields.extend([("value-seniority", *value), ("option-seniority", *option)]);
    }
    fields.extend(step.map(|step| ("step", step)));
    pages.post(CONTACTS, &fields).await
}

#[tokio::test]
async fn values_of_a_row_are_mapped_in_a_table_under_it() {
    let portal = Planted::new().await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let saved = [
        ("revision", "0"),
        ("property-seniority", "hs_lead_status"),
        ("options-seniority", "Boss = OPEN"),
    ];
    assert_eq!(pages.post(CONTACTS, &saved).await.status, 303);
    let options = async || -> Value {
        let settings = door.ok("GET", "/settings", None).await;
        let rows = settings["settings"]["contacts"].as_array().unwrap();
        let row = rows.iter().find(|row| row["app_field"] == "seniority");
        row.unwrap()["options"].clone()
    };

    // Closed it is a number, and opens by a button.
    let page = pages.get(CONTACTS).await;
    assert!(page.text.contains("Values (1)"), "{}", page.text);
    assert!(!page.text.contains("value-seniority"), "{}", page.text);
    let open = send(&pages, &page, &[], Some("values seniority")).await;
    let pair = |value: &str, option: &str| {
        [("value-seniority", value), ("option-seniority", option)]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    };
    let form = open.form(CONTACTS);
    let shown: Vec<_> = form
        .iter()
        .filter(|(n, _)| n.ends_with("-seniority"))
        .collect();
    for field in pair("Boss", "OPEN").iter().chain(&pair("", "")) {
        assert!(shown.contains(&field), "no {field:?} in {shown:?}");
    }
    assert!(
        open.text.contains("aria-expanded=\"true\""),
        "{}",
        open.text
    );

    // Half a row is none: it is said, and nothing typed is lost.
    let half = [("Boss", "CONNECTED"), ("Other", "")];
    let wrong = send(&pages, &open, &half, None).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("href=\"#options-seniority\"")
            && wrong.text.contains("Give each value its option"),
        "{}",
        wrong.text
    );
    let form = wrong.form(CONTACTS);
    for field in pair("Boss", "CONNECTED").iter().chain(&pair("Other", "")) {
        assert!(form.contains(field), "no {field:?} in {form:?}");
    }
    assert_eq!(options().await, json!({"Boss": "OPEN"}));

    // Closed in between, it comes along.
    let both = [("Boss", "CONNECTED"), ("R&D = it", "IN_PROGRESS"), ("", "")];
    let closed = send(&pages, &wrong, &both, Some("values ")).await;
    assert!(closed.text.contains("Values (2)"), "{}", closed.text);
    assert_eq!(send(&pages, &closed, &[], None).await.status, 303);
    assert_eq!(
        options().await,
        json!({"Boss": "CONNECTED", "R&D = it": "IN_PROGRESS"})
    );
    // Emptied, a row is gone.
    let page = pages.get(CONTACTS).await;
    let open = send(&pages, &page, &[], Some("values seniority")).await;
    let one = [("", ""), ("R&D = it", "IN_PROGRESS")];
    assert_eq!(send(&pages, &open, &one, None).await.status, 303);
    assert_eq!(options().await, json!({"R&D = it": "IN_PROGRESS"}));
}
