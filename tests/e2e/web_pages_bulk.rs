//! Bulk export on the settings pages: chosen, looked at, confirmed by an admin, watched, stopped (E1).

use std::time::Duration;

use e2e::{
    door::Door,
    exports,
    pages::{Got, Pages},
    planted::{Planted, change_settings},
    stacks::until_within,
};
use serde_json::json;

const BULK: &str = "/settings/hubspot/bulk-export";
const LONG: Duration = Duration::from_secs(120);

async fn ready(portal: &Planted) -> Door {
    let door = portal.connect().await;
    change_settings(&door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
    })
    .await;
    let people: Vec<_> = (0..12)
        .map(|n| {
            json!({"id": format!("p-{n}"), "version": 1, "email": format!("p-{n}@example.com"),
                "contacted_at": "2026-01-02T00:00:00Z",
                "fields": {"first_name": format!("First{n}"), "campaign": "Spring & <b>"}})
        })
        .collect();
    door.people(json!(people)).await;
    door.people(
        json!([{"id": "no-address", "version": 1, "contacted_at": "2026-01-02T00:00:00Z",
        "fields": {"campaign": "Spring & <b>"}}]),
    )
    .await;
    door
}

/// Waits until the page of a run says this.
async fn until_page(pages: &Pages, path: &str, part: &str) -> Got {
    until_within(part, LONG, async || {
        pages.get(path).await.text.contains(part)
    })
    .await;
    pages.get(path).await
}

#[tokio::test]
async fn many_are_chosen_looked_at_confirmed_and_exported() {
    let portal = Planted::new().await;
    let door = ready(&portal).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let member = Pages::open(&portal.tenant, "member").await;
    let page = pages.get(BULK).await;
    assert!(
        page.text.contains(" now</span>") && page.text.contains("There was none yet"),
        "{}",
        page.text
    );
    let seen = member.get(BULK).await;
    assert!(
        !seen.text.contains("See whom it takes"),
        "a member chooses nobody"
    );

    // What is wrong is said at its field, and what was typed is still there.
    for (fields, field, said) in [
        (
            vec![("whom", "campaign"), ("campaign", " ")],
            "campaign",
            "Write the name of the campaign.",
        ),
        (
            vec![("whom", "campaign"), ("campaign", "Autumn")],
            "campaign",
            "nobody in a campaign of this name",
        ),
        (
            vec![("whom", "people"), ("people", "")],
            "people",
            "on each line",
        ),
        (
            vec![("whom", "people"), ("people", "p-1\r\n\r\nwho@example.net")],
            "people",
            "Line 3: the app has nobody",
        ),
        (
            vec![("whom", "people"), ("people", "p-1\nnot anybody")],
            "people",
            "Line 2: this is neither",
        ),
        (
            vec![("whom", "everybody")],
            "whom",
            "Choose whom it is about.",
        ),
    ] {
        let wrong = pages.post(BULK, &fields).await;
        assert_eq!(wrong.status, 422, "{fields:?}");
        assert!(
            wrong.text.contains(&format!("href=\"#{field}\"")),
            "{}",
            wrong.text
        );
        assert!(wrong.text.contains(said), "{}", wrong.text);
    }
    let kept = pages
        .post(BULK, &[("whom", "people"), ("people", "who@example.net")])
        .await;
    assert!(
        kept.text.contains(">who@example.net</textarea>"),
        "{}",
        kept.text
    );
    let named = [
        ("whom", "people"),
        ("people", "P-0@Example.com\r\np-1\n"),
        ("earlier", "on"),
    ];
    let begun = pages.post(BULK, &named).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let two = until_page(&pages, begun.location(), "Waits for you").await;
    assert!(two.text.contains("Export 2 people"), "{}", two.text);
    let stopped = pages.post(&format!("{}/stop", begun.location()), &[]).await;
    assert_eq!(stopped.location(), begun.location());
    until_page(
        &pages,
        begun.location(),
        "Stopped: nobody else is begun with.",
    )
    .await;
    let late = pages
        .post(&format!("{}/confirm", begun.location()), &[])
        .await;
    assert_eq!(
        (late.status, late.code()),
        (409, "HS-2451"),
        "{}",
        late.text
    );

    let fields = [
        ("whom", "campaign"),
        ("campaign", "Spring & <b>"),
        ("earlier", "on"),
    ];
    let begun = pages.post(BULK, &fields).await;
    let run = begun.location().to_owned();
    let preview = until_page(&pages, &run, "Waits for you").await;
    for shown in [
        "Export 12 people",
        "Campaign <bdi>Spring &amp; &lt;b&gt;</bdi>",
        "The person has no e-mail",
        "Some of them in full",
        "All people contacted",
    ] {
        assert!(
            preview.text.contains(shown),
            "no {shown} in {}",
            preview.text
        );
    }
    assert!(
        !preview.text.contains("problems?reason="),
        "nothing was asked for that could be listed"
    );
    assert_eq!(
        exports::writes(&portal).await,
        0,
        "nothing is written before it is confirmed"
    );
    // Who is counted as qualifying can be looked at by a bulk export, of the policy in force alone.
    let basic = member.get("/settings/hubspot/basic-sync").await.text;
    assert_eq!(
        basic.matches("See who, and export them</a>").count(),
        1,
        "{basic}"
    );
    // Members look, and neither they nor other workspaces confirm.
    let seen = member.get(&run).await;
    assert!(seen.text.contains("Waits for you") && !seen.text.contains("Export 12 people"));
    let refused = member.post(&format!("{run}/confirm"), &[]).await;
    assert_eq!((refused.status, refused.code()), (403, "HS-1023"));
    let other = Planted::new().await;
    let alien = Pages::open(&other.tenant, "admin").await;
    assert_eq!(alien.get(&run).await.status, 404);
    for what in ["confirm", "stop"] {
        assert_eq!(
            alien.post(&format!("{run}/{what}"), &[]).await.status,
            404,
            "{what}"
        );
    }
    assert!(pages.get(&run).await.text.contains("Waits for you"));

    let confirmed = pages.post(&format!("{run}/confirm"), &[]).await;
    assert_eq!(confirmed.location(), run, "{}", confirmed.text);
    let done = until_page(&pages, &run, "Everybody was taken in hand").await;
    assert!(
        done.text.contains("<dd class=\"num\">12</dd>"),
        "{}",
        done.text
    );
    assert_eq!(exports::live(&portal, "contacts").await.len(), 12);
    let told = pages.get("/settings/hubspot/history").await;
    assert!(
        told.text.contains("Confirmed a bulk export"),
        "{}",
        told.text
    );
    let listed = pages.get(BULK).await;
    assert!(
        listed.text.contains(&format!("href=\"{run}\"")),
        "{}",
        listed.text
    );
    for odd in ["x", "0d3f0000-0000-4000-8000-000000000001", "%00"] {
        assert_eq!(
            pages.get(&format!("{BULK}/{odd}")).await.status,
            404,
            "{odd}"
        );
    }
    drop(door);
}

#[tokio::test]
async fn a_running_one_shows_how_far_it_is_and_is_stopped() {
    let portal = Planted::new().await;
    let door = ready(&portal).await;
    let pages = Pages::open(&portal.tenant, "admin").await;
    let slow = json!({"path": "/contacts/batch/create$", "when": "before", "effect": {"delay": {"ms": 4_000}}});
    portal.tenant.control("POST", "faults", Some(slow)).await;
    let begun = pages.post(BULK, &[("whom", "qualified_earlier")]).await;
    let run = begun.location().to_owned();
    until_page(&pages, &run, "Waits for you").await;
    pages.post(&format!("{run}/confirm"), &[]).await;
    let running = pages.get(&run).await;
    for shown in ["data-live", "<progress", "/stop\""] {
        assert!(
            running.text.contains(shown),
            "no {shown} in {}",
            running.text
        );
    }
    let stopped = pages.post(&format!("{run}/stop"), &[]).await;
    assert_eq!(stopped.location(), run);
    until_page(&pages, &run, "Stopped: nobody else is begun with.").await;
    drop(door);
}
