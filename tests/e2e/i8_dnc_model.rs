//! I8: the product's rules on random facts, against a recomputation that was written from the product
//! description alone. With any rule left out of that, the two have to differ.

use std::collections::BTreeMap;

use domain::{
    HubSpotObjectId, HubSpotOwnerId,
    app::Email,
    dnc::{
        Calendar, CompanyFacts, ContactFacts, Day, DealFacts, DealStatus, Findings, Judge,
        ListFacts, RecordRef, Touches,
    },
    owners::OwnerMap,
    portal::{ListId, PortalOwner, PortalPipeline, PortalStage},
    settings::{DncRules, OwnerRow, OwnerSettings, PipelineChoice, RuleScope},
};
use model::dnc::{Company, Contact, Deal, DncPart, Found, Rule, Rules, Stands};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// 2026-11-28T00:00:00Z, in minutes.
const MIDNIGHT: i64 = 1_795_824_000 / 60;

fn id(n: i64) -> HubSpotObjectId {
    HubSpotObjectId::new(n).unwrap()
}

fn day(minutes: i64) -> Day {
    Day::read(&((MIDNIGHT + minutes) * 60_000).to_string()).unwrap()
}

/// The portal's zone is five hours behind UTC.
const ZONE: (&str, i64) = ("Etc/GMT+5", -5 * 60);
const PIPELINES: [&str; 2] = ["default", "partners"];
const STAGES: [&str; 2] = ["new", "late"];

// ---- as the product sees it ------------------------------------------------------------------

fn deal(of: &Deal) -> DealFacts {
    let place = of.place.map_or(("vanished", "vanished"), |(p, s)| {
        (PIPELINES[usize::from(p)], STAGES[usize::from(s)])
    });
    DealFacts {
        id: id(of.id),
        status: match of.stands {
            Stands::Open => DealStatus::Open,
            Stands::Won => DealStatus::Won,
            Stands::Lost => DealStatus::Lost,
        },
        pipeline: Some(place.0.to_owned()),
        stage: Some(place.1.to_owned()),
        close: of.closed.map_or(Day::Unknown, day),
    }
}

fn lists(of: &[i64]) -> Vec<ListFacts> {
    of.iter()
        .map(|list| ListFacts {
            list: ListId::new(*list),
            gone: false,
        })
        .collect()
}

fn touches(at: Option<i64>) -> Touches {
    Touches {
        contacted: at.map(day),
        ..Touches::default()
    }
}

fn owner(of: Option<i64>) -> Option<HubSpotOwnerId> {
    of.map(|n| HubSpotOwnerId::new(n).unwrap())
}

fn contact(of: &Contact) -> ContactFacts {
    ContactFacts {
        archived: of.in_the_bin,
        lifecycle: of.lifecycle.map(str::to_owned),
        opted_out: of.opted_out,
        owner: owner(of.owner),
        touches: touches(of.touched),
        deals: of.deals.iter().map(deal).collect(),
        lists: lists(&of.lists),
        ..ContactFacts::new(id(of.id))
    }
}

fn company(of: &Company) -> CompanyFacts {
    CompanyFacts {
        lifecycle: of.lifecycle.map(str::to_owned),
        owner: owner(of.owner),
        touches: touches(of.touched),
        deals: of.deals.iter().map(deal).collect(),
        lists: lists(&of.lists),
        contacts: of.people.iter().map(contact).collect(),
        ..CompanyFacts::new(id(of.id))
    }
}

fn dnc_rules(of: &Rules) -> DncRules {
    let scope = |rule: Rule| {
        if rule.company {
            RuleScope::Company
        } else {
            RuleScope::Person
        }
    };
    let mut rules = DncRules::default();
    rules.scopes.suppression_list = scope(of.suppression);
    rules.open_deal.enabled = of.open_deal.on;
    rules.scopes.open_deal = scope(of.open_deal);
    rules.open_deal.pipelines = of
        .chosen
        .map(|(p, s)| PipelineChoice {
            pipeline: PIPELINES[usize::from(p)].to_owned(),
            stages: vec![STAGES[usize::from(s)].to_owned()],
        })
        .into_iter()
        .collect();
    rules.customer.enabled = of.customer.on;
    rules.scopes.customer = scope(of.customer);
    rules.lost_deal.enabled = of.lost_deal.on;
    rules.lost_deal.within_days = u32::try_from(of.lost_days).unwrap();
    rules.scopes.lost_deal = scope(of.lost_deal);
    rules.opted_out = of.opted_out.on;
    rules.scopes.opted_out = scope(of.opted_out);
    rules.in_hubspot.enabled = of.in_hubspot.on;
    rules.in_hubspot.lifecycle_stages = of.stages.map(str::to_owned).into_iter().collect();
    rules.scopes.in_hubspot = scope(of.in_hubspot);
    rules.unmapped_owner = of.unmapped_owner.on;
    rules.scopes.unmapped_owner = scope(of.unmapped_owner);
    rules.recent_touch.enabled = of.recent_touch.on;
    rules.recent_touch.within_days = u32::try_from(of.touch_days).unwrap();
    rules.scopes.recent_touch = scope(of.recent_touch);
    rules
}

fn as_the_product_says(case: &Case) -> Vec<Found> {
    let rules = dnc_rules(&case.rules);
    let member = domain::app::Member {
        id: "m1".parse().unwrap(),
        version: domain::app::RecordVersion::MIN,
        email: Some(Email::parse("rep@team.example").unwrap()),
        name: None,
        active: Some(true),
        slots: Default::default(),
    };
    let owners: Vec<PortalOwner> = (1..=3)
        .map(|n| PortalOwner {
            id: HubSpotOwnerId::new(n).unwrap(),
            email: None,
            archived: false,
        })
        .collect();
    let settings = OwnerSettings {
        rows: case
            .rules
            .mapped
            .iter()
            .map(|n| OwnerRow {
                owner: HubSpotOwnerId::new(*n).unwrap(),
                member: Some(member.id.clone()),
            })
            .collect(),
        ..OwnerSettings::default()
    };
    let members = [member];
    let map = OwnerMap::new(&settings, &owners, &members);
    let pipelines = PIPELINES.map(|p| PortalPipeline {
        id: p.to_owned(),
        label: p.to_owned(),
        stages: STAGES
            .map(|s| PortalStage {
                id: s.to_owned(),
                label: s.to_owned(),
                closed: false,
                won: false,
                archived: false,
            })
            .into(),
        archived: false,
    });
    let now = chrono::DateTime::from_timestamp((MIDNIGHT + case.rules.now) * 60, 0).unwrap();
    let judge = Judge {
        rules: &rules,
        pipelines: Some(&pipelines),
        owners: &map,
        calendar: Calendar::new(now, Some(ZONE.0)),
    };
    let contacts: Vec<ContactFacts> = case.contacts.iter().map(contact).collect();
    let findings: Vec<Findings> = case
        .companies
        .iter()
        .map(|c| judge.company(&company(c)))
        .collect();
    let judgement = judge.person(
        &contacts.iter().collect::<Vec<_>>(),
        &findings.iter().collect::<Vec<_>>(),
    );
    let mut found: Vec<Found> = judgement
        .reasons
        .iter()
        .map(|reason| match reason.record.unwrap() {
            RecordRef::Contact(id) => (reason.rule.as_str(), "contact", id.get()),
            RecordRef::Company(id) => (reason.rule.as_str(), "company", id.get()),
            RecordRef::Deal(id) => (reason.rule.as_str(), "deal", id.get()),
            RecordRef::List(id) => (reason.rule.as_str(), "list", id.get()),
        })
        .collect();
    found.sort_unstable();
    found
}

// ---- random facts ----------------------------------------------------------------------------

#[derive(Debug, Clone)]
struct Case {
    rules: Rules,
    contacts: Vec<Contact>,
    companies: Vec<Company>,
}

/// Near the bounds of the rules, which look back ten and five days.
fn minutes() -> impl Strategy<Value = i64> {
    (-12_i64..3, 0_i64..24 * 60).prop_map(|(days, minutes)| days * 24 * 60 + minutes)
}

fn a_deal() -> impl Strategy<Value = Deal> {
    (
        1_i64..30,
        prop::sample::select(vec![Stands::Open, Stands::Won, Stands::Lost]),
        prop::option::weighted(0.9, (0_u8..2, 0_u8..2)),
        prop::option::weighted(0.9, minutes()),
    )
        .prop_map(|(id, stands, place, closed)| Deal {
            id,
            stands,
            place,
            closed,
        })
}

fn lifecycle() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec![
        "customer",
        "lead",
        "opportunity",
    ]))
}

fn a_contact(n: i64) -> impl Strategy<Value = Contact> {
    (
        (
            prop::bool::weighted(0.2),
            lifecycle(),
            prop::bool::weighted(0.3),
        ),
        prop::option::of(1_i64..4),
        prop::option::of(minutes()),
        prop::collection::vec(a_deal(), 0..2),
        prop::collection::vec(1_i64..4, 0..2),
    )
        .prop_map(
            move |((in_the_bin, lifecycle, opted_out), owner, touched, deals, lists)| Contact {
                id: n,
                in_the_bin,
                lifecycle,
                opted_out,
                owner,
                touched,
                deals,
                lists,
            },
        )
}

fn a_company(n: i64) -> impl Strategy<Value = Company> {
    let people = prop::collection::vec(any::<bool>(), 0..3);
    (a_contact(n), a_contact(n + 1), a_contact(n + 2), people).prop_map(
        move |(of, one, two, people)| Company {
            id: n,
            lifecycle: of.lifecycle,
            owner: of.owner,
            touched: of.touched,
            deals: of.deals,
            lists: of.lists,
            people: [one, two]
                .into_iter()
                .take(people.len())
                .map(|contact| Contact {
                    in_the_bin: false,
                    ..contact
                })
                .collect(),
        },
    )
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let rule = || {
        (prop::bool::weighted(0.7), any::<bool>()).prop_map(|(on, company)| Rule { on, company })
    };
    (
        prop::array::uniform8(rule()),
        prop::option::of((0_u8..2, 0_u8..2)),
        prop::option::of(prop::sample::select(vec!["lead", "opportunity"])),
        prop::collection::vec(1_i64..4, 0..2),
        0_i64..24 * 60,
    )
        .prop_map(|(rules, chosen, stages, mapped, now)| Rules {
            // Members of suppression lists never are contacted: that is no rule to switch off.
            suppression: Rule {
                on: true,
                ..rules[0]
            },
            open_deal: rules[1],
            chosen,
            customer: rules[2],
            lost_deal: rules[3],
            lost_days: 10,
            opted_out: rules[4],
            in_hubspot: rules[5],
            stages,
            unmapped_owner: rules[6],
            mapped,
            recent_touch: rules[7],
            touch_days: 5,
            now,
            offset: ZONE.1,
        })
}

fn a_case() -> impl Strategy<Value = Case> {
    (
        some_rules(),
        (a_contact(101), a_contact(102), 0_usize..3),
        (a_company(201), a_company(301), 0_usize..3),
    )
        .prop_map(|(rules, (one, two, contacts), (a, b, companies))| Case {
            rules,
            contacts: [one, two].into_iter().take(contacts).collect(),
            companies: [a, b].into_iter().take(companies).collect(),
        })
}

fn cases(n: usize) -> Vec<Case> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..n)
        .map(|_| a_case().new_tree(&mut runner).unwrap().current())
        .collect()
}

fn how_many() -> usize {
    if std::env::var("SOAK").is_ok_and(|soak| soak == "full") {
        100_000
    } else {
        5_000
    }
}

#[test]
fn the_rules_say_what_the_description_says() {
    let mut allowed = 0;
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases(how_many()) {
        let ours = as_the_product_says(&case);
        let theirs = case.rules.why_not(&case.contacts, &case.companies, None);
        assert_eq!(ours, theirs, "{case:#?}");
        allowed += usize::from(ours.is_empty());
        for (rule, ..) in ours {
            *by_rule.entry(rule).or_default() += 1;
        }
    }
    // The facts are such that every rule is met, and somebody may be contacted.
    assert!(allowed > 0);
    assert_eq!(by_rule.len(), 8, "{by_rule:?}");
}

#[test]
fn each_rule_that_is_left_out_is_noticed() {
    let cases = cases(5_000);
    for part in DncPart::ALL {
        let noticed = cases.iter().any(|case| {
            as_the_product_says(case)
                != case
                    .rules
                    .why_not(&case.contacts, &case.companies, Some(part))
        });
        assert!(noticed, "{part:?} is left out, and nobody notices");
    }
}
