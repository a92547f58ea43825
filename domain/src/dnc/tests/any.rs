//! What holds for any facts.

use proptest::prelude::*;

use super::*;

fn any_day() -> impl Strategy<Value = Day> {
    prop_oneof![
        4 => (0_i64..200).prop_map(|days| Day::On(calendar().today() - chrono::TimeDelta::days(days - 20))),
        1 => Just(Day::Unknown),
    ]
}

fn any_deal() -> impl Strategy<Value = DealFacts> {
    let status = prop::sample::select(vec![DealStatus::Open, DealStatus::Won, DealStatus::Lost]);
    let pipeline = prop::option::of(prop::sample::select(vec!["default", "partners", "gone"]));
    let stage = prop::option::of(prop::sample::select(vec![
        "new", "late", "won", "lost", "gone",
    ]));
    (0_i64..20, status, pipeline, stage, any_day()).prop_map(
        |(n, status, pipeline, stage, close)| DealFacts {
            id: id(n),
            status,
            pipeline: pipeline.map(str::to_owned),
            stage: stage.map(str::to_owned),
            close,
        },
    )
}

fn any_contact(n: i64) -> impl Strategy<Value = ContactFacts> {
    let stage = prop::option::of(prop::sample::select(vec![
        "customer",
        "lead",
        "opportunity",
    ]));
    (
        (
            any::<bool>(),
            stage,
            any::<bool>(),
            prop::option::of(1_i64..4),
        ),
        prop::option::of(any_day()),
        prop::collection::vec(any_deal(), 0..3),
        prop::collection::vec((0_i64..4, any::<bool>()), 0..2),
    )
        .prop_map(
            move |((archived, stage, opted_out, owner), contacted, deals, lists)| ContactFacts {
                archived,
                lifecycle: stage.map(str::to_owned),
                opted_out,
                owner: owner.map(|o| HubSpotOwnerId::new(o).unwrap()),
                touches: Touches {
                    contacted,
                    ..Touches::default()
                },
                deals,
                lists: lists
                    .into_iter()
                    .map(|(list, gone)| ListFacts {
                        list: ListId::new(list),
                        gone,
                    })
                    .collect(),
                ..ContactFacts::new(id(n))
            },
        )
}

fn any_company(n: i64) -> impl Strategy<Value = CompanyFacts> {
    let colleagues = (any_contact(n + 1), any_contact(n + 2));
    (any_contact(n), colleagues, 0_usize..3).prop_map(|(of, (a, b), colleagues)| CompanyFacts {
        lifecycle: of.lifecycle,
        owner: of.owner,
        touches: of.touches,
        deals: of.deals,
        lists: of.lists,
        contacts: [a, b]
            .into_iter()
            .map(|contact| ContactFacts {
                archived: false,
                ..contact
            })
            .take(colleagues)
            .collect(),
        ..CompanyFacts::new(of.id)
    })
}

fn any_rules() -> impl Strategy<Value = DncRules> {
    let scope = || {
        prop::bool::ANY.prop_map(|wide| {
            if wide {
                RuleScope::Company
            } else {
                RuleScope::Person
            }
        })
    };
    (
        prop::array::uniform7(any::<bool>()),
        prop::array::uniform8(scope()),
        any::<bool>(),
        any::<bool>(),
        1_u32..200,
    )
        .prop_map(|(on, scopes, chosen, filtered, days)| {
            let mut rules = DncRules::default();
            rules.open_deal.enabled = on[0];
            rules.customer.enabled = on[1];
            rules.lost_deal.enabled = on[2];
            rules.opted_out = on[3];
            rules.unmapped_owner = on[4];
            rules.recent_touch.enabled = on[5];
            rules.in_hubspot.enabled = on[6];
            rules.lost_deal.within_days = days;
            if chosen {
                rules.open_deal.pipelines = vec![PipelineChoice {
                    pipeline: "default".to_owned(),
                    stages: vec!["late".to_owned()],
                }];
            }
            if filtered {
                rules.in_hubspot.lifecycle_stages = vec!["opportunity".to_owned()];
            }
            let [a, b, c, d, e, f, g, h] = scopes;
            rules.scopes.suppression_list = a;
            rules.scopes.open_deal = b;
            rules.scopes.customer = c;
            rules.scopes.lost_deal = d;
            rules.scopes.opted_out = e;
            rules.scopes.in_hubspot = f;
            rules.scopes.unmapped_owner = g;
            rules.scopes.recent_touch = h;
            rules
        })
}

proptest! {
    #[test]
    fn one_fact_more_never_makes_a_verdict_milder(
        rules in any_rules(),
        one in any_contact(1),
        two in any_contact(2),
        company in any_company(10),
        other in any_company(20),
        deal in any_deal(),
        which in 0_usize..6,
    ) {
        let before = found(&rules, std::slice::from_ref(&one), std::slice::from_ref(&company));
        let (mut contacts, mut companies) = (vec![one], vec![company]);
        match which {
            0 => contacts.push(two),
            1 => companies.push(other),
            2 => contacts[0].deals.push(deal),
            3 => companies[0].deals.push(deal),
            4 => companies[0].contacts.push(ContactFacts { archived: false, ..two }),
            _ => contacts[0].opted_out = true,
        }
        let after = found(&rules, &contacts, &companies);
        for reason in before {
            prop_assert!(
                after.iter().any(|r| (r.rule, r.record) == (reason.rule, reason.record)),
                "{reason:?} is gone"
            );
        }
    }

    #[test]
    fn taking_reads_away_never_makes_a_verdict_milder(
        rules in any_rules(),
        contact in any_contact(1),
        company in any_company(10),
        which in 0_usize..5,
    ) {
        let all = found(&rules, std::slice::from_ref(&contact), std::slice::from_ref(&company));
        let complete = Verdict::of(Judgement { reasons: all }, &[], &rules, None);
        let (mut contacts, mut companies) = (vec![contact], vec![company]);
        match which {
            0 => contacts.clear(),
            1 => companies.clear(),
            2 => contacts[0].deals.clear(),
            3 => companies[0].deals.clear(),
            _ => companies[0].contacts.clear(),
        }
        let stale = [Stale { object_type: SyncType::Deals, cause: StaleCause::Refused, list: None }];
        let left = || Judgement { reasons: found(&rules, &contacts, &companies) };
        let later = Verdict::of(left(), &stale, &rules, Some(&complete));
        prop_assert!(later.stale);
        prop_assert!(complete.allowed || !later.allowed);
        for reason in &complete.reasons {
            prop_assert!(later.reasons.iter().any(|r| (r.rule, r.record) == (reason.rule, reason.record)));
        }
        // And again, and again.
        let again = Verdict::of(left(), &stale, &rules, Some(&later));
        prop_assert_eq!(again, later);
        prop_assert!(!Verdict::of(left(), &stale, &rules, None).allowed);
    }

    #[test]
    fn a_verdict_says_why_or_allows(rules in any_rules(), contact in any_contact(1), company in any_company(10)) {
        let reasons = found(&rules, std::slice::from_ref(&contact), std::slice::from_ref(&company));
        prop_assert!(reasons.is_sorted());
        prop_assert!(reasons.iter().all(|r| r.record.is_some() && r.rule.in_force(&rules)));
        let verdict = Verdict::of(Judgement { reasons }, &[], &rules, None);
        prop_assert_eq!(verdict.allowed, verdict.reasons.is_empty());
    }
}
