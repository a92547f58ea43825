//! E1, E7, X1, X3: a bulk export takes whom the policy takes, after somebody confirmed, in few requests; and
//! whatever breaks on the way, each person is one contact, each domain one company, and the counts are true.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dev::demo::Api;
use e2e::{
    command_line::CommandLine,
    door::Door,
    exports::{ask, ended, live, primary_domains, writes},
    journals::{self, State},
    planted::{Planted, change_settings},
    stacks::{OwnStack, until_within},
};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::x1_exports::faults;

/// As long as a slow machine may take.
pub(crate) const LONG: Duration = Duration::from_secs(240);

/// Before any policy was in force: nobody is exported by itself.
const EARLIER: &str = "2026-01-02T00:00:00Z";

/// Connects, and lets the policy take whoever was contacted.
pub(crate) async fn connect(p: &Planted) -> Door {
    let door = p.connect().await;
    take_all_contacted(&door).await;
    door
}

pub(crate) async fn take_all_contacted(door: &Door) {
    change_settings(door, |settings| {
        settings["export"]["policy"] = json!("all_contacted");
    })
    .await;
}

/// People of a world, who share companies by the domains of their addresses.
pub(crate) fn leads(world: &str, people: usize, firms: usize) -> Vec<Value> {
    (0..people)
        .map(|n| {
            json!({
                "id": format!("{world}-{n}"), "version": 1,
                "email": format!("lead-{n}@{world}-{}.com", n % firms),
                "contacted_at": EARLIER,
                "fields": {"first_name": format!("First{n}"), "last_name": format!("Last{n}"), "campaign": world},
            })
        })
        .collect()
}

pub(crate) fn ids(leads: &[Value]) -> Vec<String> {
    let id = |lead: &Value| lead["id"].as_str().unwrap().to_owned();
    leads.iter().map(id).collect()
}

pub(crate) async fn show(door: &Door, bulk: &str) -> Value {
    door.ok("GET", &format!("/bulk-runs/{bulk}"), None).await
}

pub(crate) async fn shown_when(
    door: &Door,
    bulk: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + LONG;
    loop {
        let now = show(door, bulk).await;
        if wanted(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "{what}: {now:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Begins a bulk export, and waits until it is known who would be taken.
pub(crate) async fn begin(door: &Door, whom: Value) -> Value {
    let body = json!({"whom": whom, "include_earlier": true});
    let begun = door.ok("POST", "/bulk-runs", Some(body)).await;
    let bulk = begun["bulk"].as_str().unwrap();
    shown_when(door, bulk, "it is known who would be taken", |now| {
        now["state"] != "previewing"
    })
    .await
}

/// Begins and confirms a bulk export whose writes take their time, all but the first ones so long that some
/// people of many are not begun with when others are exported, and waits until then. Says which it is.
pub(crate) async fn in_the_middle(p: &Planted, door: &Door, ids: &[String]) -> String {
    for (skip, ms) in [(2, 8_500), (0, 1_500)] {
        let slow = json!({"path": "/contacts/batch/create$", "when": "before", "skip": skip, "effect": {"delay": {"ms": ms}}});
        p.tenant.control("POST", "faults", Some(slow)).await;
    }
    let begun = begin(door, people(ids)).await;
    let bulk = begun["bulk"].as_str().unwrap();
    door.ok("POST", &format!("/bulk-runs/{bulk}/confirm"), None)
        .await;
    shown_when(door, bulk, "somebody is exported", |now| {
        now["counts"]["exported"].as_u64() > Some(0)
    })
    .await;
    bulk.to_owned()
}

/// Whether nobody goes on any more.
pub(crate) fn is_over(now: &Value) -> bool {
    let waits = now["counts"]["waiting"].as_object().unwrap();
    matches!(now["state"].as_str(), Some("done" | "cancelled"))
        && now["counts"]["going_on"] == 0
        && waits.values().all(|n| n == 0)
}

/// Begins, confirms, and waits until all of its people have come to an end.
pub(crate) async fn export_in_bulk(door: &Door, whom: Value) -> Value {
    let begun = begin(door, whom).await;
    let bulk = begun["bulk"].as_str().unwrap();
    let path = format!("/bulk-runs/{bulk}/confirm");
    door.ok("POST", &path, None).await;
    shown_when(door, bulk, "everybody came to an end", is_over).await
}

/// A choice of these people.
pub(crate) fn people(ids: &[String]) -> Value {
    json!({"select": "people", "people": ids})
}

/// Requests to HubSpot's records and associations since one, by path.
pub(crate) async fn requests_since(p: &Planted, seq: u64) -> BTreeMap<String, usize> {
    let mut by_path = BTreeMap::new();
    for request in p.tenant.requests().await {
        let path = request["path"].as_str().unwrap_or_default();
        let counts = path.contains("/objects/") || path.contains("/associations/");
        if counts && request["seq"].as_u64().unwrap_or(0) > seq {
            let method = request["method"].as_str().unwrap_or_default();
            *by_path.entry(format!("{method} {path}")).or_default() += 1;
        }
    }
    by_path
}

pub(crate) async fn last_request(p: &Planted) -> u64 {
    let all = p.tenant.requests().await;
    all.last().and_then(|r| r["seq"].as_u64()).unwrap_or(0)
}

/// One contact for each person, one company for each domain, each contact at its own; and the journal says so.
async fn assert_once(p: &Planted, door: &Door, ids: &[String], firms: usize, first: &State) {
    assert_eq!(live(p, "contacts").await.len(), ids.len());
    let mut by_domain: BTreeMap<String, usize> = BTreeMap::new();
    for company in live(p, "companies").await {
        let domain = company["properties"]["domain"].as_str().unwrap_or_default();
        *by_domain.entry(domain.to_owned()).or_default() += 1;
    }
    assert_eq!(by_domain.len(), firms, "{by_domain:?}");
    assert!(by_domain.values().all(|n| *n == 1), "{by_domain:?}");
    for (email, primary) in primary_domains(p).await {
        let at = email.split_once('@').map(|(_, at)| at.to_owned());
        assert_eq!(primary, at);
    }
    journals::assert_true(p, door, ids, first).await;
}

#[tokio::test]
async fn a_campaign_is_exported_in_few_requests_after_somebody_confirmed() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let (count, firms) = (300, 30);
    let all = leads("few", count, firms);
    let ids = ids(&all);
    door.people(json!(all)).await;
    door.people(json!([
        {"id": "unwritten", "version": 1, "email": "nobody@few-0.com", "fields": {"campaign": "few"}},
        {"id": "addressless", "version": 1, "contacted_at": EARLIER, "fields": {"campaign": "few"}},
        {"id": "elsewhere", "version": 1, "email": "x@few-1.com", "contacted_at": EARLIER},
    ]))
    .await;
    let first = journals::state(&p).await;
    let campaign = json!({"select": "campaign", "campaign": "few"});

    let begun = begin(&door, campaign.clone()).await;
    assert_eq!(begun["state"], "waiting_for_confirmation", "{begun:#}");
    assert_eq!(begun["people"], 302);
    let preview =
        json!({"create": 300, "update": 0, "skipped": {"no_email": 1, "not_contacted": 1}});
    assert_eq!(begun["preview"], preview);
    let sample = begun["sample"].as_array().unwrap();
    assert_eq!(sample.len(), 10);
    assert_eq!(sample[0]["preview"]["contact"]["action"], "create");
    assert_eq!(
        writes(&p).await,
        0,
        "nothing is written before somebody confirms"
    );

    let seq = last_request(&p).await;
    let bulk = begun["bulk"].as_str().unwrap().to_owned();
    door.ok("POST", &format!("/bulk-runs/{bulk}/confirm"), None)
        .await;
    let over = shown_when(&door, &bulk, "everybody came to an end", is_over).await;
    assert_eq!(over["state"], "done");
    assert_eq!(over["counts"]["exported"], 300, "{over:#}");
    let skipped = json!({"no_email": 1, "not_contacted": 1});
    assert_eq!(over["counts"]["skipped"], skipped);
    assert_eq!(over["counts"]["not_begun"], 0);
    assert_eq!(over["sample"], Value::Null);
    let requests = requests_since(&p, seq).await;
    let sum: usize = requests.values().sum();
    assert!(
        sum * 20 <= count,
        "{sum} requests for {count}: {requests:?}"
    );
    assert_once(&p, &door, &ids, firms, &first).await;

    // All that there is to write is written.
    let before = writes(&p).await;
    let again = export_in_bulk(&door, campaign).await;
    assert_eq!(again["preview"]["update"], 300, "{again:#}");
    assert_eq!(again["counts"]["exported"], 300);
    assert_eq!(writes(&p).await, before, "nothing is left to write");

    // Over, it is neither confirmed nor cancelled any more.
    let path = format!("/bulk-runs/{bulk}/confirm");
    let refused = door.call("POST", &path, None).await;
    assert_eq!((refused.status, refused.code()), (409, "HS-2451"));
    let path = format!("/bulk-runs/{bulk}/cancel");
    let cancelled = door.ok("POST", &path, None).await;
    assert_eq!(cancelled["state"], "done");
}

/// Values of contacts and companies that are there are filled in, associations added, and what is there stays.
#[tokio::test]
async fn records_that_are_there_are_updated_and_associated_in_batches() {
    let p = Planted::new().await;
    let (count, firms) = (40, 4);
    let all = leads("there", count, firms);
    let ids = ids(&all);
    for firm in 0..firms {
        let there = json!({"domain": format!("there-{firm}.com"), "name": "Old name"});
        p.record("companies", there, &[]).await;
    }
    for (n, lead) in all.iter().enumerate().take(30) {
        let there = json!({"email": lead["email"], "firstname": format!("Kept{n}")});
        p.record("contacts", there, &[]).await;
    }
    let first = journals::state(&p).await;
    let door = connect(&p).await;
    let sites: Vec<Value> = (0..firms)
        .map(|n| {
            json!({"id": format!("firm-{n}"), "version": 1,
                "fields": {"website": format!("https://there-{n}.com"), "city": "Ulm"}})
        })
        .collect();
    door.companies(sites).await;
    let at: Vec<Value> = all
        .into_iter()
        .enumerate()
        .map(|(n, mut lead)| {
            lead["company"] = json!(format!("firm-{}", n % firms));
            lead
        })
        .collect();
    door.people(json!(at)).await;
    let seq = last_request(&p).await;
    let over = export_in_bulk(&door, people(&ids)).await;
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    let requests = requests_since(&p, seq).await;
    let singles: usize = requests
        .iter()
        .filter(|(path, _)| path.starts_with("PATCH") || path.ends_with("/contacts"))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(singles, 0, "{requests:?}");
    let contacts = live(&p, "contacts").await;
    let kept = contacts
        .iter()
        .filter(|c| {
            c["properties"]["firstname"]
                .as_str()
                .unwrap()
                .starts_with("Kept")
        })
        .count();
    assert_eq!(kept, 30);
    assert!(
        contacts
            .iter()
            .all(|c| c["properties"]["lastname"] != Value::Null)
    );
    let companies = live(&p, "companies").await;
    assert!(companies.iter().all(|c| c["properties"]["city"] == "Ulm"));
    assert_once(&p, &door, &ids, firms, &first).await;
}

/// Each fault strikes a write of a batch of its own.
async fn once_whatever_breaks(world: &str, setting: Value) {
    let p = Planted::new().await;
    p.tenant.control("PATCH", "", Some(setting)).await;
    let door = connect(&p).await;
    let first = journals::state(&p).await;
    let mut faults: Vec<(&str, Value)> = faults();
    faults.push((
        "a row is missing",
        json!({"effect": {"leave_out": {"every": 3}}}),
    ));
    faults.push((
        "all rows are missing",
        json!({"when": "after", "effect": "empty_batch"}),
    ));
    faults.push((
        "a row is refused",
        json!({"effect": {"error_per_input": {"category": "VALIDATION_ERROR", "every": 5}}}),
    ));
    let mut runs: Vec<(String, Vec<String>)> = Vec::new();
    for (n, (what, fault)) in faults.iter().enumerate() {
        for kind in ["contacts", "companies"] {
            let name = format!("{world}{n}{}", &kind[..4]);
            let leads = leads(&name, 12, 3);
            runs.push((format!("{what} ({kind})"), ids(&leads)));
            door.people(json!(leads)).await;
            let mut rule = fault.clone();
            rule["method"] = json!("POST");
            rule["path"] = json!(format!("/crm/objects/2026-09/{kind}/batch/create$"));
            rule["body"] = json!(name);
            rule["times"] = json!(1);
            p.tenant.control("POST", "faults", Some(rule)).await;
        }
    }
    let ended = runs
        .iter()
        .map(|(_, ids)| export_in_bulk(&door, people(ids)));
    for ((what, _), over) in runs.iter().zip(join_all(ended).await) {
        assert_eq!(over["counts"]["exported"], 12, "{what}: {over:#}");
    }
    let rules = p.tenant.control("GET", "faults", None).await;
    let struck = rules.to_string().matches("\"struck\":1").count();
    assert_eq!(struck, runs.len(), "{rules:#}");
    let firms = runs.len() * 3;
    let all_ids: Vec<String> = runs.into_iter().flat_map(|(_, ids)| ids).collect();
    // What was to land late has.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_once(&p, &door, &all_ids, firms, &first).await;
}

#[tokio::test]
async fn batches_that_break_leave_everybody_once_where_a_unique_property_is_to_be_had() {
    once_whatever_breaks("keys", json!({"search_lag_ms": 1_000})).await;
}

#[tokio::test]
async fn batches_that_break_leave_everybody_once_where_it_is_not() {
    let denied = json!({"denied_scopes": ["crm.schemas.companies.write"], "search_lag_ms": 1_000});
    once_whatever_breaks("nokeys", denied).await;
}

/// One of a hundred is refused for good; the others are not held up by it.
#[tokio::test]
async fn one_bad_row_of_a_hundred_ends_by_itself() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let all = leads("bad", 100, 10);
    let ids = ids(&all);
    let erased = all[41]["email"].as_str().unwrap();
    let body = json!({"objectId": erased, "idProperty": "email"});
    let path = "/crm/objects/2026-09/contacts/gdpr-delete";
    p.hubspot("POST", path, Some(body)).await;
    door.people(json!(all)).await;
    let over = export_in_bulk(&door, people(&ids)).await;
    assert_eq!(over["counts"]["exported"], 99, "{over:#}");
    let skipped = over["counts"]["skipped"].as_object().unwrap();
    let failed = over["counts"]["failed"].as_object().unwrap();
    assert_eq!(skipped.len() + failed.len(), 1, "{over:#}");
    assert_eq!(live(&p, "contacts").await.len(), 99);
}

#[tokio::test]
async fn single_exports_beside_it_make_nobody_twice() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let (count, firms) = (120, 12);
    let all = leads("beside", count, firms);
    let ids = ids(&all);
    door.people(json!(all)).await;
    let first = journals::state(&p).await;
    let begun = begin(&door, people(&ids)).await;
    let bulk = begun["bulk"].as_str().unwrap();
    let singles = async {
        let mut asked = Vec::new();
        for id in ids.iter().step_by(3) {
            asked.push(ask(&door, id).await);
        }
        for request in asked {
            assert_eq!(ended(&door, &request).await["state"], "exported");
        }
    };
    let in_bulk = async {
        let path = format!("/bulk-runs/{bulk}/confirm");
        door.ok("POST", &path, None).await;
        shown_when(&door, bulk, "everybody came to an end", is_over).await
    };
    let (over, ()) = tokio::join!(in_bulk, singles);
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    assert_once(&p, &door, &ids, firms, &first).await;
}

#[tokio::test]
async fn two_people_who_are_one_contact_are_both_linked_to_it() {
    let p = Planted::new().await;
    let there = json!({"email": "one@same.com", "hs_additional_emails": "other@same.com"});
    let contact = p.record("contacts", there, &[]).await;
    let door = connect(&p).await;
    door.people(json!([
        {"id": "one", "version": 1, "email": "one@same.com", "contacted_at": EARLIER},
        {"id": "other", "version": 1, "email": "other@same.com", "contacted_at": EARLIER},
        {"id": "new-1", "version": 1, "email": "new@same.com", "contacted_at": EARLIER},
        {"id": "new-2", "version": 1, "email": "NEW@same.com", "contacted_at": EARLIER},
    ]))
    .await;
    let ids = ["one", "other", "new-1", "new-2"].map(str::to_owned);
    let mut twice = ids.to_vec();
    twice.extend(ids.clone());
    let over = export_in_bulk(&door, people(&twice)).await;
    assert_eq!(over["people"], 4);
    assert_eq!(over["counts"]["exported"], 4, "{over:#}");
    assert_eq!(live(&p, "contacts").await.len(), 2);
    let listed = door.ok("GET", "/exports?state=exported", None).await;
    let of = |person: &str| {
        let mut items = listed["items"].as_array().unwrap().iter();
        items.find(|r| r["person"] == person).unwrap()["outcome"]["hubspot_id"].clone()
    };
    assert_eq!((of("one"), of("other")), (json!(contact), json!(contact)));
    assert_eq!(of("new-1"), of("new-2"));
}

/// What was begun comes to its end, and nobody else is begun with.
#[tokio::test]
async fn cancelled_it_leaves_true_counts() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let all = leads("cut", 600, 20);
    let ids = ids(&all);
    door.people(json!(all)).await;
    let first = journals::state(&p).await;
    let bulk = &in_the_middle(&p, &door, &ids).await;
    door.ok("POST", &format!("/bulk-runs/{bulk}/cancel"), None)
        .await;
    let over = shown_when(&door, bulk, "everybody came to an end", is_over).await;
    assert_eq!(over["state"], "cancelled");
    let number = |name: &str| over["counts"][name].as_u64().unwrap();
    assert!(number("not_begun") > 0, "{over:#}");
    assert_eq!(number("begun") + number("not_begun"), 600, "{over:#}");
    assert_eq!(number("exported"), number("begun"), "{over:#}");
    let contacts = live(&p, "contacts").await;
    assert_eq!(contacts.len() as u64, number("exported"));
    journals::assert_true(&p, &door, &ids, &first).await;

    // One that nothing was written of is over at once.
    let begun = begin(&door, people(&ids)).await;
    let path = format!("/bulk-runs/{}/cancel", begun["bulk"].as_str().unwrap());
    let over = door.ok("POST", &path, None).await;
    assert_eq!(over["state"], "cancelled");
    assert_eq!(over["counts"]["not_begun"], 600);
}

#[tokio::test]
async fn the_days_ceiling_holds() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    change_settings(&door, |settings| {
        settings["export"]["daily_ceiling"] = json!(50);
    })
    .await;
    let all = leads("many", 100, 5);
    let ids = ids(&all);
    door.people(json!(all)).await;
    let begun = begin(&door, people(&ids)).await;
    let bulk = begun["bulk"].as_str().unwrap();
    door.ok("POST", &format!("/bulk-runs/{bulk}/confirm"), None)
        .await;
    let now = shown_when(&door, bulk, "it waits for tomorrow", |now| {
        now["waits_until"] != Value::Null
    })
    .await;
    let exported = now["counts"]["exported"].as_u64().unwrap();
    assert_eq!(exported, 45, "{now:#}");
    assert_eq!(live(&p, "contacts").await.len(), 45);
    assert_eq!(live(&p, "companies").await.len(), 5);
}

#[tokio::test]
async fn a_disconnect_stops_it_and_a_reconnect_goes_on() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    let (count, firms) = (900, 10);
    let all = leads("gone", count, firms);
    let ids = ids(&all);
    door.people(json!(all)).await;
    let first = journals::state(&p).await;
    let bulk = &in_the_middle(&p, &door, &ids).await;
    let tenant = &p.tenant;
    let answer = tenant
        .api
        .call(&tenant.id(), "disconnect", Some(json!({})))
        .await;
    assert_eq!(answer.unwrap().status, 200);
    tenant
        .wait_for_phase("disconnected", Duration::from_secs(60))
        .await;
    p.tenant.control("DELETE", "faults", None).await;
    let stopped = show(&door, bulk).await;
    assert_eq!(stopped["state"], "running", "{stopped:#}");
    assert!(
        stopped["counts"]["not_begun"].as_u64() > Some(0),
        "{stopped:#}"
    );
    p.connect().await;
    let over = shown_when(&door, bulk, "everybody came to an end", is_over).await;
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    assert_once(&p, &door, &ids, firms, &first).await;
}

/// As short as in the stack that the others share.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("EXPORT_SETTLE_SECONDS", "8"),
    ("EXPORT_RECHECK_SECONDS", "3"),
];

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_in_the_middle_leave_everybody_once() {
    let mut stack = OwnStack::start(1, ENVIRONMENT).await;
    let api = Api::new(stack.addresses()).unwrap();
    let p = Planted::on(&api, json!({"search_lag_ms": 500})).await;
    let door = connect(&p).await;
    let (count, firms) = (400, 20);
    let all = leads("kill", count, firms);
    let ids = ids(&all);
    door.people(json!(all)).await;
    let first = journals::state(&p).await;
    let slow = json!({"path": "/batch/create$", "when": "after", "effect": {"delay": {"ms": 500}}});
    p.tenant.control("POST", "faults", Some(slow)).await;
    let begun = begin(&door, people(&ids)).await;
    let bulk = begun["bulk"].as_str().unwrap().to_owned();
    door.ok("POST", &format!("/bulk-runs/{bulk}/confirm"), None)
        .await;
    for round in 1..=3u64 {
        until_within("another batch is on its way", LONG, async || {
            let now = show(&door, &bulk).await;
            now["counts"]["begun"].as_u64() >= Some(100 * round) || now["state"] == "done"
        })
        .await;
        stack.kill_hard("worker-0").unwrap();
        stack.start_worker(0).unwrap();
        stack.wait_worker(0).await.unwrap();
    }
    p.tenant.control("DELETE", "faults", None).await;
    let over = shown_when(&door, &bulk, "everybody came to an end", is_over).await;
    assert_eq!(over["counts"]["exported"], count, "{over:#}");
    assert_eq!(over["counts"]["not_begun"], 0);
    assert_once(&p, &door, &ids, firms, &first).await;
}

#[tokio::test]
async fn the_command_line_begins_shows_and_confirms() {
    let p = Planted::new().await;
    let door = connect(&p).await;
    door.people(json!(leads("line", 5, 1))).await;
    let line = CommandLine::new(&p.tenant, &door);
    let started = line
        .run(&[
            "exports",
            "bulk",
            "start",
            "--campaign",
            "line",
            "--include-earlier",
            "--json",
        ])
        .await;
    assert_eq!(started.code, 0, "{started:?}");
    // A line each time that something is new, and the end as a document.
    let from = started.out.rfind("\n{\n").map_or(0, |at| at + 1);
    let answer: Value =
        serde_json::from_str(&started.out[from..]).unwrap_or_else(|e| panic!("{e}: {started:?}"));
    assert_eq!(answer["preview"]["create"], 5);
    let bulk = answer["bulk"].as_str().unwrap();
    let confirmed = line
        .run(&["exports", "bulk", "confirm", bulk, "--watch"])
        .await;
    assert_eq!(confirmed.code, 0, "{confirmed:?}");
    assert!(confirmed.out.contains("done: 5 exported"), "{confirmed:?}");
    let shown = line.run(&["exports", "bulk", "show", bulk]).await;
    assert!(shown.out.contains("not begun\t0"), "{shown:?}");
    let again = line.run(&["exports", "bulk", "confirm", bulk]).await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("HS-2451"), "{again:?}");
}
