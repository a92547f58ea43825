//! The list of what is to be set up, and the stages whose open deals stop outreach (I8).

use e2e::{
    door::Door,
    pages::{Pages, between},
    planted::{Planted, change_settings},
    profiles::until,
};
use serde_json::{Value, json};

const OVERVIEW: &str = "/settings/hubspot";
const DNC: &str = "/settings/hubspot/do-not-contact";

async fn title(pages: &Pages) -> String {
    let page = pages.get(OVERVIEW).await;
    between(&page.text, "<h2 id=\"setup\">", "</h2>")
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn the_list_gets_shorter_with_what_is_done_and_is_put_away_for_all() {
    let portal = Planted::new().await;
    let list = portal.list("Customers", "0-1", &[]).await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(OVERVIEW).await;
    for shown in [
        "Choose who is exported",
        "Check the property mapping",
        "0 of 1",
        "Map statuses",
        "0 of 6",
        "Pick suppression lists",
        "Try one lead",
        "Put this list away",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    let steps = async || -> u8 {
        let title = title(&pages).await;
        let done = between(&title, "Set up: ", " of 8");
        done.map_or(8, |n| n.parse().unwrap())
    };
    let before = steps().await;

    door.people(json!([{"id": "ann", "version": 1, "email": "ann@example.com"}]))
        .await;
    let previewed = pages
        .post("/settings/hubspot/people/ann/preview", &[])
        .await;
    assert_eq!(previewed.status, 200, "{}", previewed.text);
    assert_eq!(steps().await, before + 1);
    change_settings(&door, |s| {
        s["export"]["policy"] = json!("replied");
        s["lists"] = json!([{"list": list, "use": "suppression"}]);
        s["status"] = json!({"property": "hs_lead_status", "rows": [{"status": "replied", "value": "CONNECTED"}]});
    })
    .await;
    assert_eq!(steps().await, before + 4);
    let page = pages.get(OVERVIEW).await;
    assert!(
        page.text.contains("0 of 1"),
        "owners are left: {}",
        page.text
    );

    let member = Pages::open(&portal.tenant, "member").await;
    assert!(
        !member
            .get(OVERVIEW)
            .await
            .text
            .contains("Put this list away")
    );
    let away = "/settings/hubspot/set-up/put-away";
    assert_eq!(member.post(away, &[]).await.status, 403);
    assert_eq!(pages.post(away, &[]).await.location(), OVERVIEW);
    for pages in [&pages, &member] {
        assert_eq!(title(pages).await, "");
    }
}

/// The rule about open deals.
async fn rule(door: &Door) -> Value {
    door.ok("GET", "/settings", None).await["settings"]["dnc"]["open_deal"].clone()
}

#[tokio::test]
async fn stages_are_chosen_and_only_deals_in_them_stop_outreach() {
    let portal = Planted::new().await;
    let contact = portal
        .record("contacts", json!({"email": "deal@example.com"}), &[])
        .await;
    portal
        .record(
            "deals",
            json!({"dealname": "One", "pipeline": "default", "dealstage": "appointmentscheduled"}),
            &[("contacts", contact)],
        )
        .await;
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(DNC).await;
    for shown in [
        "In all pipelines and stages",
        "name=\"stage-default/appointmentscheduled\"",
        "Appointment Scheduled",
    ] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    assert!(
        !page.text.contains("stage-default/closedwon"),
        "a deal there is not open"
    );
    let may = async || {
        let asked = pages
            .post(&format!("{DNC}/ask"), &[("who", "deal@example.com")])
            .await;
        asked.text.contains("</svg>Yes</span>")
    };
    until("the deal stops it", async || !may().await).await;

    let fields = |stage: &'static str, revision: &'static str| {
        [
            ("revision", revision),
            ("open-deal", "on"),
            ("customer", "on"),
            ("lost-deal", "on"),
            ("opted-out", "on"),
            (stage, "on"),
        ]
    };
    let saved = pages
        .post(DNC, &fields("stage-default/contractsent", "0"))
        .await;
    assert_eq!(
        saved.location(),
        format!("{DNC}?done=saved"),
        "{}",
        saved.text
    );
    assert_eq!(
        rule(&door).await,
        json!({"enabled": true, "pipelines": [{"pipeline": "default", "stages": ["contractsent"]}]})
    );
    until("a deal in another stage does not", async || may().await).await;
    let page = pages.get(DNC).await;
    assert!(page.text.contains("In one chosen stage"), "{}", page.text);
    let both = pages
        .post(DNC, &fields("stage-default/appointmentscheduled", "1"))
        .await;
    assert_eq!(both.status, 303, "{}", both.text);
    until("one in the chosen stage does", async || !may().await).await;
    // With none chosen all of them do.
    let none = pages.post(DNC, &fields("x", "2")).await;
    assert_eq!(none.status, 303, "{}", none.text);
    assert_eq!(rule(&door).await, json!({"enabled": true, "pipelines": []}));
}

#[tokio::test]
async fn each_rule_says_how_many_it_stops_now() {
    let portal = Planted::new().await;
    let customer = json!({"email": "customer@example.com", "lifecyclestage": "customer"});
    portal.record("contacts", customer, &[]).await;
    let contact = portal
        .record(
            "contacts",
            json!({"email": "both@example.com", "lifecyclestage": "customer"}),
            &[],
        )
        .await;
    let free = json!({"email": "free@example.com"});
    portal.record("contacts", free, &[]).await;
    let list = portal.list("Never", "0-1", &[contact]).await;
    let door = portal.connect().await;
    change_settings(&door, |s| {
        s["lists"] = json!([{"list": list, "use": "suppression"}]);
    })
    .await;
    let people = ["customer", "both", "free"];
    let people = people
        .map(|name| json!({"id": name, "version": 1, "email": format!("{name}@example.com")}));
    door.people(json!(people)).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    // What stands on the card of a rule.
    let stops = async |rule: &str| -> String {
        let page = pages.get(DNC).await;
        let card = between(&page.text, rule, "</div></div>").unwrap_or_default();
        let stops = between(card, "stops ", "</span>");
        // Where there is somebody, the number leads to whom.
        let stops = stops.unwrap_or("nothing");
        stops.strip_suffix("</a>").unwrap_or(stops).to_owned()
    };
    until("both are stopped", async || {
        pages
            .get(DNC)
            .await
            .text
            .contains("They stop 2 of 3 people now.")
    })
    .await;
    assert_eq!(stops("In a suppression list</b>").await, "1");
    assert_eq!(stops("<b>Customer</b>").await, "2");
    assert_eq!(stops("<b>Open deal</b>").await, "0");
    // A rule that is off stops nobody, and says nothing.
    assert_eq!(stops("<b>Already in HubSpot</b>").await, "nothing");
    change_settings(&door, |s| s["dnc"]["customer"]["enabled"] = json!(false)).await;
    until("the rule is off", async || {
        pages
            .get(DNC)
            .await
            .text
            .contains("They stop 1 of 3 people now.")
    })
    .await;
    assert_eq!(stops("<b>Customer</b>").await, "nothing");
}

#[tokio::test]
async fn a_list_is_found_by_its_name_and_what_was_chosen_meanwhile_is_kept() {
    let path = "/settings/hubspot/lists";
    let portal = Planted::new().await;
    let never = Pages::open(&portal.tenant, "admin").await;
    let page = never.get(path).await;
    assert!(page.text.contains("never connected"), "{}", page.text);
    let mut lists = Vec::new();
    for name in ["Customers of old", "Newsletter", "Customers & friends"] {
        lists.push(portal.list(name, "0-1", &[]).await);
    }
    let door = portal.connect().await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let page = pages.get(path).await;
    assert!(!page.text.contains("never connected"), "{}", page.text);
    let newsletter = format!("use-{}", lists[1]);
    let found = [
        ("revision", page.revision()),
        (&newsletter, "suppression"),
        ("step", "find"),
        ("find", "FRIENDS customers"),
    ];
    let page = pages.post(path, &found).await;
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in ["Customers &amp; friends", "Newsletter", "1 change"] {
        assert!(page.text.contains(shown), "no {shown} in {}", page.text);
    }
    assert!(!page.text.contains("Customers of old"), "{}", page.text);
    let form = page.form(path);
    let fields = form.iter().filter(|(name, _)| name != "csrf");
    let fields: Vec<_> = fields.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let saved = pages.post(path, &fields).await;
    assert_eq!(
        saved.location(),
        format!("{path}?done=saved"),
        "{}",
        saved.text
    );
    let stored = door.ok("GET", "/settings", None).await;
    assert_eq!(
        stored["settings"]["lists"],
        json!([{"list": lists[1], "use": "suppression"}])
    );
}
