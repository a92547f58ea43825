//! E8, E1, E7, X1: a random campaign, from a seed: people and activities of all kinds, edits, deletions,
//! answers, statuses, settings and policies that change, what reps do in HubSpot, faults, workers that are
//! killed. Whenever it is quiet the portal's timelines are those of a naive recomputation
//! (`tests/model/src/timeline`), activity by activity, where unique properties are to be had and where
//! they are not. Each rule of it, left out on purpose, is noticed.
//!
//! `CAMPAIGN_SEED` repeats a run; `SOAK=full` makes it a large one.
mod plan;
mod run;
mod say;

use dev::demo::Api;
use e2e::{random::seed, stacks::OwnStack};
use futures::future::join_all;
use model::timeline::{Portal, SeenContact, SeenEngagement, TimelineRule, Timelines};
use serde_json::json;

use plan::{Plan, Size, Then, lead_status};
use run::World;

/// What is late by a second and a half has landed by then; new contacts are looked at again while it goes on.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("EXPORT_SETTLE_SECONDS", "5"),
    ("EXPORT_RECHECK_SECONDS", "3"),
];

const SMALL: Size = Size {
    people: 30,
    activities: 150,
    rounds: 2,
};

/// How much of it, workers, and how many of them are killed.
fn size() -> (Size, usize, usize) {
    if std::env::var("SOAK").is_ok_and(|soak| soak == "full") {
        let full = Size {
            people: 2_000,
            activities: 20_000,
            rounds: 4,
        };
        (full, 4, 6)
    } else {
        (SMALL, 2, 1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timelines_are_as_recomputed_after_a_campaign() {
    let seed = seed("CAMPAIGN_SEED");
    println!("CAMPAIGN_SEED={seed}");
    let (size, workers, kills) = size();
    let mut stack = OwnStack::start(workers, ENVIRONMENT).await;
    let api = Api::new(stack.addresses()).unwrap();
    let lag = json!({"search_lag_ms": {"min": 0, "max": 1_000}, "search_flapping": true});
    let mut refused = lag.clone();
    refused["engagement_unique_keys"] = json!("refused");
    let worlds = [lag, refused].map(|settings| World::new(&api, settings, seed, size));
    let mut worlds = join_all(worlds).await;
    let (mut nth, mut killed) = (0, 0);
    loop {
        let phases: Vec<_> = worlds.iter_mut().filter_map(World::next).collect();
        let Some(then) = phases.first().map(|phase| phase.then) else {
            break;
        };
        if then != Then::Goes {
            join_all(worlds.iter().map(|world| world.strike(nth))).await;
            nth += 1;
        }
        let half = |phase: &plan::Phase| phase.ops.len() / 2;
        let both = worlds.iter_mut().zip(&phases);
        join_all(both.map(|(world, phase)| world.carry_out(&phase.ops[..half(phase)]))).await;
        // Each in the middle of it; before the settings are saved there is nothing to lose.
        if then != Then::Goes && nth > 1 && killed < kills {
            let worker = killed % workers;
            stack.kill_hard(&format!("worker-{worker}")).unwrap();
            stack.start_worker(worker).unwrap();
            stack.wait_worker(worker).await.unwrap();
            killed += 1;
        }
        let both = worlds.iter_mut().zip(&phases);
        join_all(both.map(|(world, phase)| world.carry_out(&phase.ops[half(phase)..]))).await;
        join_all(worlds.iter().map(|world| world.wait_for(then))).await;
    }
    assert_eq!(killed, kills);
    for (portal, unnoticed) in join_all(worlds.iter().map(World::assert_over)).await {
        let (contacts, engagements) = (portal.contacts.len(), portal.engagements.len());
        println!(
            "{contacts} contacts, {engagements} engagements; makes no difference: {unnoticed:?}"
        );
    }
}

/// A campaign without anybody who carries it out.
fn thought_of(seed: u64) -> Plan {
    let mut clock = 1_790_000_000_000;
    let now = move || {
        clock += 1_000;
        clock
    };
    let mut plan = Plan::new(seed, SMALL, [71, 72, 73], now);
    while plan.next(73).is_some() {}
    plan
}

#[test]
fn each_rule_of_the_timelines_that_is_left_out_is_noticed() {
    let plans: Vec<Plan> = (1..=10).map(thought_of).collect();
    for rule in TimelineRule::ALL {
        let noticed = plans.iter().filter(|plan| {
            let owners = plan.model.owners.clone();
            let broken = Timelines::new(owners, Some(rule)).after(&plan.done);
            let portal = plan.model.as_portal(lead_status);
            assert!(plan.model.differences(&portal, lead_status).is_empty());
            !broken.differences(&portal, lead_status).is_empty()
        });
        assert!(
            noticed.count() > 0,
            "{rule:?} is left out, and nobody notices"
        );
    }
}

/// What is wrong with a portal is told.
#[test]
fn whatever_is_wrong_with_timelines_is_noticed() {
    let plan = thought_of(1);
    let right = plan.model.as_portal(lead_status);
    type Break = fn(&mut Portal);
    fn first(portal: &mut Portal) -> &mut SeenEngagement {
        &mut portal.engagements[0]
    }
    fn somebody(portal: &mut Portal) -> &mut SeenContact {
        &mut portal.contacts[0]
    }
    let breaks: [(&str, Break); 12] = [
        ("one is missing", |p| drop(p.engagements.pop())),
        ("one is there twice", |p| {
            let again = first(p).clone();
            p.engagements.push(again);
        }),
        ("another time", |p| first(p).at = Some(1)),
        ("another owner", |p| first(p).owner = Some(1)),
        ("no owner", |p| {
            let all = &mut p.engagements;
            all.iter_mut().find(|e| e.owner.is_some()).unwrap().owner = None;
        }),
        ("on nobody", |p| first(p).contacts.clear()),
        ("on two", |p| {
            first(p).contacts.push("other@ex.com".to_owned())
        }),
        ("at another company", |p| {
            first(p).companies = vec!["other-ex.com".to_owned()]
        }),
        ("other words", |p| {
            let values = first(p).values.values_mut();
            values.for_each(|value| value.insert_str(0, "Other "));
        }),
        ("a contact is missing", |p| drop(p.contacts.pop())),
        ("a contact is there twice", |p| {
            let again = somebody(p).clone();
            p.contacts.push(again);
        }),
        ("another status", |p| {
            somebody(p).status = Some("OTHER".to_owned())
        }),
    ];
    for (what, change) in breaks {
        let mut portal = right.clone();
        change(&mut portal);
        let found = plan.model.differences(&portal, lead_status);
        assert!(!found.is_empty(), "{what}: nobody notices");
    }
}
