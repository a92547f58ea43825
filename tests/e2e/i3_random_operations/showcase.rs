//! One of each kind, so that every rule has something to say whatever the seed.

use std::collections::BTreeMap;

use e2e::planted::Planted;
use model::profiles::Person;
use serde_json::{Value, json};

use super::run::days_ago;

/// Those of it that something is done to.
pub(super) struct Showcase {
    pub(super) moves: i64,
    pub(super) archived: i64,
    pub(super) merged: [i64; 2],
}

pub(super) async fn showcase(p: &Planted, owners: [i64; 2]) -> (Showcase, [i64; 4]) {
    let deal = async |stage: &str, days: i64, tied: &[(&str, i64)]| {
        let properties = json!({
            "dealname": stage, "pipeline": "default", "dealstage": stage, "closedate": days_ago(days),
        });
        p.record("deals", properties, tied).await
    };
    let company = async |name: &str, domain: &str, more: Value| {
        let mut properties = json!({"name": name, "domain": domain});
        for (name, value) in more.as_object().unwrap() {
            properties[name] = value.clone();
        }
        p.record("companies", properties, &[]).await
    };
    let contact = async |email: &str, more: Value, at: Option<i64>| {
        let mut properties = json!({"email": email});
        for (name, value) in more.as_object().unwrap() {
            properties[name] = value.clone();
        }
        let tied: Vec<(&str, i64)> = at.map(|c| ("companies", c)).into_iter().collect();
        p.record("contacts", properties, &tied).await
    };
    let more = json!({"hs_additional_domains": "more-show-ops.com"});
    let at_domain = company("Domain", "Show-ops.com", more).await;
    deal("appointmentscheduled", 0, &[("companies", at_domain)]).await;
    let mail = company("Mail", "gmail.com", json!({})).await;
    deal("appointmentscheduled", 0, &[("companies", mail)]).await;
    let listed = company("Listed", "listed-ops.com", json!({})).await;
    let targets = company("Targets", "targets-ops.com", json!({})).await;
    let wide = company("Wide", "wide-ops.com", json!({})).await;

    let shared = json!({
        "hs_additional_emails": "Second@show-ops.com", "firstname": "Both", "jobtitle": "Only HubSpot",
        "model_segment": "small",
    });
    contact("Primary@Show-ops.com", shared, None).await;
    contact(
        "first@conflict-ops.com",
        json!({"hs_additional_emails": "Claimed@conflict-ops.com"}),
        None,
    )
    .await;
    contact("claimed@conflict-ops.com", json!({}), None).await;
    let moves = contact(
        "old@moves-ops.com",
        json!({"hs_email_optout": "true"}),
        None,
    )
    .await;
    let archived = contact("bin@bin-ops.com", json!({"hs_email_optout": "true"}), None).await;
    let one = contact("one@merge-ops.com", json!({}), None).await;
    let two = contact("two@merge-ops.com", json!({}), None).await;
    contact("deal@elsewhere-ops.com", json!({}), Some(at_domain)).await;
    contact("on@listed-ops.com", json!({}), Some(listed)).await;
    contact("on@targets-ops.com", json!({}), Some(targets)).await;
    contact(
        "out@wide-ops.com",
        json!({"hs_email_optout": "true"}),
        Some(wide),
    )
    .await;
    contact("colleague@wide-ops.com", json!({}), Some(wide)).await;
    let kept_out = contact("listed@kept-ops.com", json!({}), None).await;
    let lost = contact("lost@deals-ops.com", json!({}), None).await;
    deal("closedlost", 5, &[("contacts", lost)]).await;
    let won = contact("won@deals-ops.com", json!({}), None).await;
    deal("closedwon", 500, &[("contacts", won)]).await;
    let later = contact("later@deals-ops.com", json!({}), None).await;
    deal("contractsent", 0, &[("contacts", later)]).await;
    contact(
        "customer@stages-ops.com",
        json!({"lifecyclestage": "customer"}),
        None,
    )
    .await;
    contact(
        "lead@stages-ops.com",
        json!({"lifecyclestage": "lead"}),
        None,
    )
    .await;
    let owned = json!({"hubspot_owner_id": owners[1].to_string()});
    contact("owned@others-ops.com", owned, None).await;
    let touched = json!({"notes_last_contacted": days_ago(2)});
    contact("touched@others-ops.com", touched, None).await;

    let audience = p.list("Friends", "0-1", &[moves]).await;
    let suppressing = p.list("Never", "0-1", &[kept_out]).await;
    let companies = p.list("Never these", "0-2", &[listed]).await;
    let wanted = p.list("Wanted", "0-2", &[targets]).await;
    let showcase = Showcase {
        moves,
        archived,
        merged: [one, two],
    };
    (showcase, [audience, suppressing, companies, wanted])
}

pub(super) fn own_people() -> Vec<Person> {
    [
        ("primary", "primary@show-ops.com"),
        ("second", "second@show-ops.com"),
        ("claimed", "claimed@conflict-ops.com"),
        ("moves", "old@moves-ops.com"),
        ("bin", "bin@bin-ops.com"),
        ("merge-one", "one@merge-ops.com"),
        ("merge-two", "two@merge-ops.com"),
        ("at-domain", "nobody@show-ops.com"),
        ("at-more", "nobody@more-show-ops.com"),
        ("free", "nobody@gmail.com"),
        ("target", "on@targets-ops.com"),
        ("colleague", "colleague@wide-ops.com"),
    ]
    .into_iter()
    .map(|(id, email)| Person {
        id: id.to_owned(),
        email: Some(email.to_owned()),
        values: BTreeMap::from([("first_name".to_owned(), format!("App {id}"))]),
    })
    .collect()
}
