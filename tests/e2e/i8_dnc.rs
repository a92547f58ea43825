//! I8: may we contact them, and if not, why: each rule from HubSpot through the import to the answer,
//! with the record it comes from; and reads that fail, which make no verdict milder.

use std::time::{Duration, Instant};

use e2e::{
    command_line::CommandLine,
    door::Door,
    planted::{Planted, change_settings, reasons},
    profiles::until,
    verdicts::{kept, verdict},
};
use serde_json::{Value, json};

async fn people(door: &Door, emails: &[(&str, &str)]) {
    let items: Vec<Value> = emails
        .iter()
        .map(|(id, email)| json!({"id": id, "version": 1, "email": email}))
        .collect();
    door.people(json!(items)).await;
}

fn days_ago(days: i64) -> String {
    (chrono::Utc::now() - chrono::TimeDelta::days(days)).to_rfc3339()
}

#[tokio::test]
async fn each_rule_names_its_record() {
    let p = Planted::new().await;
    let acme = p
        .record(
            "companies",
            json!({"name": "Acme", "domain": "acme-dnc.com"}),
            &[],
        )
        .await;
    let calm = p
        .record(
            "companies",
            json!({"name": "Calm", "domain": "calm-dnc.com"}),
            &[],
        )
        .await;
    let mail = p
        .record(
            "companies",
            json!({"name": "Mail", "domain": "gmail.com"}),
            &[],
        )
        .await;
    let contact = async |email: &str, more: Value, company: i64| {
        let mut properties = json!({"email": email});
        for (name, value) in more.as_object().unwrap() {
            properties[name] = value.clone();
        }
        p.record("contacts", properties, &[("companies", company)])
            .await
    };
    contact("colleague@acme-dnc.com", json!({}), acme).await;
    let free = contact("free@calm-dnc.com", json!({}), calm).await;
    let out = contact("out@calm-dnc.com", json!({"hs_email_optout": "true"}), calm).await;
    let listed = contact("listed@calm-dnc.com", json!({}), calm).await;
    let won = contact("won@other-dnc.com", json!({}), calm).await;
    let lost = contact("lost@other-dnc.com", json!({}), calm).await;
    let long_ago = contact("longago@other-dnc.com", json!({}), calm).await;
    let touched = contact(
        "touched@calm-dnc.com",
        json!({"notes_last_contacted": days_ago(2), "hubspot_owner_id": "500000"}),
        calm,
    )
    .await;
    let open =
        json!({"dealname": "Open", "dealstage": "appointmentscheduled", "pipeline": "default"});
    let deal = p.record("deals", open, &[("companies", acme)]).await;
    let closed = |stage: &str, days: i64| json!({"dealname": stage, "dealstage": stage, "pipeline": "default", "closedate": days_ago(days)});
    let won_deal = p
        .record("deals", closed("closedwon", 900), &[("contacts", won)])
        .await;
    let lost_deal = p
        .record("deals", closed("closedlost", 5), &[("contacts", lost)])
        .await;
    p.record(
        "deals",
        closed("closedlost", 200),
        &[("contacts", long_ago)],
    )
    .await;
    let mail_deal =
        json!({"dealname": "Mail", "dealstage": "appointmentscheduled", "pipeline": "default"});
    p.record("deals", mail_deal, &[("companies", mail)]).await;
    let list = p.list("Do not contact", "0-1", &[listed]).await;

    let door = p.connect().await;
    people(
        &door,
        &[
            ("colleague", "colleague@acme-dnc.com"),
            ("stranger", "stranger@ACME-dnc.com"),
            ("free", "free@calm-dnc.com"),
            ("out", "out@calm-dnc.com"),
            ("listed", "listed@calm-dnc.com"),
            ("won", "won@other-dnc.com"),
            ("lost", "lost@other-dnc.com"),
            ("longago", "longago@other-dnc.com"),
            ("touched", "touched@calm-dnc.com"),
            ("freemail", "somebody@gmail.com"),
            ("nobody", "nobody@nowhere-dnc.com"),
        ],
    )
    .await;
    // Customers and lost deals hold for the whole company by default: here for the person alone.
    change_settings(&door, |settings| {
        settings["lists"] = json!([{"list": list, "use": "suppression"}]);
        settings["dnc"]["scopes"]["customer"] = json!("person");
        settings["dnc"]["scopes"]["lost_deal"] = json!("person");
        settings["dnc"]["recent_touch"]["enabled"] = json!(true);
        settings["dnc"]["unmapped_owner"] = json!(true);
    })
    .await;
    // Until its members were read, nobody is let in whom it might suppress.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let now = verdict(&door, "free").await;
        if now["stale"] == json!([]) {
            break;
        }
        assert_eq!(now["allowed"], false, "{now:#}");
        assert!(Instant::now() < deadline, "{now:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (person, wanted) in [
        ("colleague", vec![format!("open_deal deal {deal}")]),
        ("stranger", vec![format!("open_deal deal {deal}")]),
        ("free", vec![]),
        ("out", vec![format!("opted_out contact {out}")]),
        ("listed", vec![format!("suppression_list list {list}")]),
        ("won", vec![format!("customer deal {won_deal}")]),
        ("lost", vec![format!("lost_deal deal {lost_deal}")]),
        ("longago", vec![]),
        (
            "touched",
            vec![
                format!("unmapped_owner contact {touched}"),
                format!("recent_touch contact {touched}"),
            ],
        ),
        ("freemail", vec![]),
        ("nobody", vec![]),
    ] {
        let now = verdict(&door, person).await;
        assert_eq!(reasons(&now), wanted, "{person}: {now:#}");
        assert_eq!(now["allowed"], wanted.is_empty(), "{person}");
    }
    let stranger = verdict(&door, "stranger").await;
    assert_eq!(
        stranger["reasons"][0]["through"],
        json!({"type": "company", "id": acme})
    );
    // Each rule by itself, with its switch or its reach.
    type Change = fn(&mut Value);
    let table: [(Change, &str, Vec<String>); 6] = [
        (
            |s| s["dnc"]["open_deal"]["enabled"] = json!(false),
            "colleague",
            vec![],
        ),
        (
            |s| s["dnc"]["open_deal"] = json!({"enabled": true, "pipelines": [{"pipeline": "default", "stages": ["contractsent"]}]}),
            "colleague",
            vec![],
        ),
        (
            |s| {
                s["dnc"]["open_deal"] = json!({"enabled": true});
                s["dnc"]["scopes"]["customer"] = json!("company");
            },
            "free",
            vec![format!("customer deal {won_deal}")],
        ),
        (
            |s| {
                s["dnc"]["scopes"]["customer"] = json!("person");
                s["dnc"]["in_hubspot"] = json!({"enabled": true});
            },
            "free",
            vec![
                format!("in_hubspot contact {free}"),
                format!("in_hubspot company {calm}"),
            ],
        ),
        (
            |s| {
                s["dnc"]["in_hubspot"] =
                    json!({"enabled": true, "lifecycle_stages": ["opportunity"]})
            },
            "free",
            vec![],
        ),
        (
            |s| s["dnc"]["lost_deal"]["within_days"] = json!(3),
            "lost",
            vec![],
        ),
    ];
    for (change, person, wanted) in table {
        change_settings(&door, change).await;
        let now = verdict(&door, person).await;
        assert_eq!(reasons(&now), wanted, "{person}: {now:#}");
    }
    kept(&p, &door, "touched").await;
    kept(&p, &door, "lost").await;

    // From a terminal, in plain words, and never an address.
    let line = CommandLine::new(&p.tenant, &door);
    let ended = line
        .run(&["dnc", "--person", "out", "--email", "x@acme-dnc.com"])
        .await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .contains(&format!("out\tno\topted out of e-mail: contact {out}"))
    );
    assert!(
        ended
            .out
            .contains(&format!("email 1\tno\topen deal {deal}")),
        "{ended:?}"
    );
    assert!(
        !ended.out.contains('@') && !ended.err.contains('@'),
        "{ended:?}"
    );
    let ended = line
        .run(&["dnc", "--list", &list.to_string(), "--json"])
        .await;
    assert_eq!(ended.json()["whom"], "listed", "{ended:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "free\nnobody-known\nstranger2@acme-dnc.com\n").unwrap();
    let ended = line
        .run(&["dnc", "--file", file.path().to_str().unwrap()])
        .await;
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[0], "free\tyes");
    assert!(
        lines[1].starts_with("nobody-known\tno\tnot known"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("line 3\tno\topen deal"), "{lines:?}");
}

#[tokio::test]
async fn an_address_that_was_changed_or_merged_away_stays_suppressed() {
    let p = Planted::new().await;
    let moved = p
        .record(
            "contacts",
            json!({"email": "before@moved-dnc.com", "hs_email_optout": "true"}),
            &[],
        )
        .await;
    let kept_one = p
        .record("contacts", json!({"email": "kept@merged-dnc.com"}), &[])
        .await;
    let merged = p
        .record(
            "contacts",
            json!({"email": "gone@merged-dnc.com", "hs_email_optout": "true"}),
            &[],
        )
        .await;
    let door = p.connect().await;
    people(
        &door,
        &[
            ("before", "before@moved-dnc.com"),
            ("after", "after@moved-dnc.com"),
            ("kept", "kept@merged-dnc.com"),
            ("gone", "gone@merged-dnc.com"),
        ],
    )
    .await;
    assert_eq!(verdict(&door, "before").await["allowed"], false);
    assert_eq!(verdict(&door, "after").await["allowed"], true);
    p.set("contacts", moved, json!({"email": "after@moved-dnc.com"}))
        .await;
    let merge = json!({"type": "contacts", "primary": kept_one, "other": merged});
    p.tenant.control("POST", "merges", Some(merge)).await;
    p.resync(json!({"types": ["contacts"], "mode": {"mode": "from_scratch"}}))
        .await;
    for person in ["before", "after"] {
        let now = verdict(&door, person).await;
        assert_eq!(
            reasons(&now),
            [format!("opted_out contact {moved}")],
            "{person}"
        );
        kept(&p, &door, person).await;
    }
    let now = verdict(&door, "gone").await;
    assert_eq!(now["allowed"], false, "{now:#}");
}

#[tokio::test]
async fn who_is_linked_to_a_contact_is_judged_by_it_whatever_the_addresses() {
    let p = Planted::new().await;
    let contact = p
        .record("contacts", json!({"email": "before@linked-dnc.com"}), &[])
        .await;
    let list = p.list("Friends", "0-1", &[contact]).await;
    let door = p.connect().await;
    people(&door, &[("ann", "before@linked-dnc.com")]).await;
    change_settings(&door, |settings| {
        settings["lists"] = json!([{"list": list, "use": "audience"}]);
    })
    .await;
    until("ann is linked", async || {
        door.ok("GET", "/people/ann/profile", None).await["link"]["hubspot_id"] == contact
    })
    .await;
    p.set(
        "contacts",
        contact,
        json!({"email": "hubspot@linked-dnc.com"}),
    )
    .await;
    let moved = json!([{"id": "ann", "version": 2, "email": "app@elsewhere-dnc.com"}]);
    door.people(moved).await;
    p.resync(json!({"types": ["contacts"]})).await;
    // On the list she is by her link alone.
    until("ann is on the list", async || {
        let members = door
            .ok("GET", &format!("/lists/{list}/members"), None)
            .await;
        members["items"][0]["people"] == json!(["ann"])
    })
    .await;
    kept(&p, &door, "ann").await;
    assert_eq!(verdict(&door, "ann").await["allowed"], true);

    p.set("contacts", contact, json!({"hs_email_optout": "true"}))
        .await;
    p.resync(json!({"types": ["contacts"]})).await;
    let wanted = [format!("opted_out contact {contact}")];
    let now = verdict(&door, "ann").await;
    assert_eq!(reasons(&now), wanted, "{now:#}");
    kept(&p, &door, "ann").await;
    // Her address alone is hers.
    let asked = json!({"emails": ["App@elsewhere-dnc.com", "nobody@elsewhere-dnc.com"]});
    let answer = door.ok("POST", "/dnc", Some(asked)).await;
    assert_eq!(reasons(&answer["emails"][0]), wanted, "{answer:#}");
    assert_eq!(answer["emails"][1]["allowed"], true, "{answer:#}");
}

#[tokio::test]
async fn a_read_that_fails_makes_no_verdict_milder() {
    let p = Planted::new().await;
    let busy = p
        .record(
            "companies",
            json!({"name": "Busy", "domain": "busy-dnc.com"}),
            &[],
        )
        .await;
    let open =
        json!({"dealname": "Open", "dealstage": "appointmentscheduled", "pipeline": "default"});
    let deal = p.record("deals", open, &[("companies", busy)]).await;
    for n in 0..30 {
        let email = format!("c{n}@busy-dnc.com");
        p.record(
            "contacts",
            json!({"email": email}),
            &[("companies", busy), ("deals", deal)],
        )
        .await;
    }
    let door = p.connect().await;
    people(
        &door,
        &[
            ("busy", "c1@busy-dnc.com"),
            ("calm", "calm@nowhere-dnc.com"),
        ],
    )
    .await;
    kept(&p, &door, "busy").await;
    kept(&p, &door, "calm").await;
    assert_eq!(verdict(&door, "calm").await["allowed"], true);
    let again = json!({
        "types": ["deals"], "mode": {"mode": "since", "since": "2000-01-01T00:00:00Z"},
    });
    // Of thirty contacts the first five, and no further page.
    let pages = json!({"inline_association_page": 5});
    p.tenant.control("PATCH", "", Some(pages)).await;
    let first_page_only = json!({
        "path": "/associations/2026-09/deals/", "skip": 1,
        "effect": {"error_per_input": {"category": "INTERNAL_ERROR"}},
    });
    let alone = json!({"method": "GET", "path": "/associations/", "effect": {"answer": {"name": "internal"}}});
    for (n, rule) in [
        json!({"path": "/associations/2026-09/deals/", "effect": "empty"}),
        json!({"path": "/associations/2026-09/deals/", "effect": {"error_per_input": {"category": "INTERNAL_ERROR"}}}),
        first_page_only,
    ]
    .into_iter()
    .enumerate()
    {
        p.tenant.control("POST", "faults", Some(rule.clone())).await;
        p.tenant.control("POST", "faults", Some(alone.clone())).await;
        p.resync(again.clone()).await;
        let busy = verdict(&door, "busy").await;
        assert_eq!(reasons(&busy), [format!("open_deal deal {deal}")], "{rule}");
        let stale = &verdict(&door, "calm").await["stale"];
        assert_eq!(stale[0]["object_type"], "deals", "{rule}: {stale}");
        assert_eq!(stale[0]["cause"], "incomplete", "{rule}");
        // The last verdict stands; who has none is not let in.
        assert_eq!(verdict(&door, "calm").await["allowed"], true, "{rule}");
        let newcomer = format!("newcomer{n}");
        people(&door, &[(&newcomer, &format!("n{n}@nowhere-dnc.com"))]).await;
        let now = verdict(&door, &newcomer).await;
        assert_eq!(now["allowed"], false, "{rule}: {now:#}");
        assert_eq!(now["reasons"][0]["rule"], "unknown", "{rule}");
        kept(&p, &door, &newcomer).await;
        p.tenant.control("DELETE", "faults", None).await;
    }
    p.resync(again).await;
    for person in ["calm", "newcomer0", "newcomer2"] {
        let now = verdict(&door, person).await;
        assert_eq!(
            (&now["allowed"], &now["stale"]),
            (&json!(true), &json!([])),
            "{person}"
        );
        kept(&p, &door, person).await;
    }
}

#[tokio::test]
async fn a_whole_campaign_in_one_call() {
    let p = Planted::new().await;
    let company = p
        .record(
            "companies",
            json!({"name": "Big", "domain": "big-dnc.com"}),
            &[],
        )
        .await;
    let open =
        json!({"dealname": "Open", "dealstage": "appointmentscheduled", "pipeline": "default"});
    p.record("deals", open, &[("companies", company)]).await;
    let door = p.connect().await;
    for chunk in 0..5 {
        let items: Vec<Value> = (0..1_000)
            .map(|n| {
                let domain = if n % 2 == 0 { "big-dnc.com" } else { "small-dnc.com" };
                json!({"id": format!("lead_{chunk}_{n}"), "version": 1, "email": format!("p{chunk}-{n}@{domain}")})
            })
            .collect();
        door.people(json!(items)).await;
    }
    let people: Vec<String> = (0..5)
        .flat_map(|chunk| (0..1_000).map(move |n| format!("lead_{chunk}_{n}")))
        .collect();
    let emails: Vec<String> = (0..4_998)
        .map(|n| format!("e{n}@big-dnc.com"))
        .chain(["not an address".to_owned(), "free@gmail.com".to_owned()])
        .collect();
    let body = json!({"people": people, "emails": emails});
    let began = Instant::now();
    let answer = door.ok("POST", "/dnc", Some(body)).await;
    let took = began.elapsed();
    assert_eq!(
        answer["counts"],
        json!({"allowed": 2_501, "not_allowed": 7_499})
    );
    assert_eq!(answer["people"][0]["reasons"][0]["rule"], "open_deal");
    assert_eq!(answer["people"][1]["allowed"], true);
    assert_eq!(answer["emails"][4_998]["reasons"][0]["rule"], "not_known");
    assert_eq!(answer["emails"][4_999]["allowed"], true);
    // Far above what it takes, as other tests run beside this one.
    assert!(took < Duration::from_secs(10), "{took:?}");
    for (body, code) in [
        (json!({"people": [], "more": 1}), "HS-4001"),
        (json!({"people": ["a b"]}), "HS-4001"),
        (json!({"emails": vec!["x@y.example"; 10_001]}), "HS-4001"),
    ] {
        assert_eq!(door.call("POST", "/dnc", Some(body)).await.code(), code);
    }
    assert_eq!(
        door.call("GET", "/people/nobody/dnc", None).await.code(),
        "HS-4009"
    );
    // A verdict is of its moment: a key brings back no earlier one.
    let one = json!({"people": ["lead_0_1"]});
    let first = door
        .keyed("POST", "/dnc", Some(one.clone()), Some("k1"))
        .await;
    let second = door.keyed("POST", "/dnc", Some(one), Some("k1")).await;
    assert!(!first.replayed && !second.replayed);
}

#[tokio::test]
async fn who_was_never_connected_has_no_verdict() {
    let p = Planted::new().await;
    // A service token makes the workspace known.
    let door = Door::of(&p.tenant).await;
    let refused = door
        .call("POST", "/dnc", Some(json!({"emails": ["x@y.example"]})))
        .await;
    assert_eq!((refused.status, refused.code()), (409, "HS-1003"));
}
