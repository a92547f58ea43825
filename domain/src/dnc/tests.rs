mod any;

use chrono::{DateTime, NaiveDate, Utc};

use super::*;
use crate::{
    HubSpotObjectId, HubSpotOwnerId, ObjectType, ReadOutcome, ReadPart, SyncType,
    owners::OwnerMap,
    portal::{ListId, PortalPipeline, PortalStage},
    settings::{
        DncRules, FollowedList, ListUse, OwnerSettings, PipelineChoice, RuleScope, Settings,
    },
};

fn id(n: i64) -> HubSpotObjectId {
    HubSpotObjectId::new(n).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn calendar() -> Calendar {
    Calendar::new(at("2026-11-28T12:00:00Z"), Some("US/Eastern"))
}

fn pipelines() -> Vec<PortalPipeline> {
    let stage = |id: &str, closed, won| PortalStage {
        id: id.to_owned(),
        label: id.to_owned(),
        closed,
        won,
        archived: false,
    };
    ["default", "partners"]
        .map(|id| PortalPipeline {
            id: id.to_owned(),
            label: id.to_owned(),
            stages: vec![
                stage("new", false, false),
                stage("late", false, false),
                stage("won", true, true),
                stage("lost", true, false),
            ],
            archived: false,
        })
        .into()
}

fn deal(n: i64, status: DealStatus, stage: &str) -> DealFacts {
    DealFacts {
        id: id(n),
        status,
        pipeline: Some("default".to_owned()),
        stage: Some(stage.to_owned()),
        close: Day::read("2026-11-01T10:00:00.000Z").unwrap(),
    }
}

/// What is found on a person with these contacts and companies.
fn found(
    rules: &DncRules,
    contacts: &[ContactFacts],
    companies: &[CompanyFacts],
) -> Vec<DncReason> {
    let owners = OwnerSettings::default();
    let map = OwnerMap::new(&owners, &[], &[]);
    let pipelines = pipelines();
    let judge = Judge {
        rules,
        pipelines: Some(&pipelines),
        owners: &map,
        calendar: calendar(),
    };
    let findings: Vec<Findings> = companies.iter().map(|c| judge.company(c)).collect();
    judge
        .person(
            &contacts.iter().collect::<Vec<_>>(),
            &findings.iter().collect::<Vec<_>>(),
        )
        .reasons
}

fn rules_found(reasons: &[DncReason]) -> Vec<DncRule> {
    reasons.iter().map(|r| r.rule).collect()
}

#[test]
fn each_rule_finds_what_it_is_about_and_names_the_record() {
    let all_on = || {
        let mut rules = DncRules {
            unmapped_owner: true,
            ..DncRules::default()
        };
        rules.recent_touch.enabled = true;
        rules.in_hubspot.enabled = true;
        rules.in_hubspot.lifecycle_stages = vec!["opportunity".to_owned()];
        rules
    };
    let contact = |change: fn(&mut ContactFacts)| {
        let mut contact = ContactFacts::new(id(1));
        change(&mut contact);
        contact
    };
    let deal_of = |n| Some(RecordRef::Deal(id(n)));
    let itself = Some(RecordRef::Contact(id(1)));
    type Found = Option<(DncRule, Option<RecordRef>)>;
    let table: [(ContactFacts, Found); 14] = [
        (contact(|_| {}), None),
        (
            contact(|c| {
                c.lists = vec![ListFacts {
                    list: ListId::new(7),
                    gone: true,
                }]
            }),
            Some((
                DncRule::SuppressionList,
                Some(RecordRef::List(ListId::new(7))),
            )),
        ),
        (
            contact(|c| c.deals = vec![deal(3, DealStatus::Open, "new")]),
            Some((DncRule::OpenDeal, deal_of(3))),
        ),
        (
            contact(|c| c.deals = vec![deal(3, DealStatus::Won, "won")]),
            Some((DncRule::Customer, deal_of(3))),
        ),
        (
            contact(|c| c.deals = vec![deal(3, DealStatus::Lost, "lost")]),
            Some((DncRule::LostDeal, deal_of(3))),
        ),
        (
            contact(|c| {
                let mut lost = deal(3, DealStatus::Lost, "lost");
                lost.close = Day::read("2026-08-01").unwrap();
                c.deals = vec![lost];
            }),
            None,
        ),
        (
            contact(|c| {
                let mut lost = deal(3, DealStatus::Lost, "lost");
                lost.close = Day::Unknown;
                c.deals = vec![lost];
            }),
            Some((DncRule::LostDeal, deal_of(3))),
        ),
        (
            contact(|c| c.lifecycle = Some("customer".to_owned())),
            Some((DncRule::Customer, itself)),
        ),
        (
            contact(|c| c.opted_out = true),
            Some((DncRule::OptedOut, itself)),
        ),
        (
            contact(|c| c.lifecycle = Some("opportunity".to_owned())),
            Some((DncRule::InHubspot, itself)),
        ),
        (
            contact(|c| c.owner = Some(HubSpotOwnerId::new(9).unwrap())),
            Some((DncRule::UnmappedOwner, itself)),
        ),
        (
            contact(|c| c.touches.contacted = Day::read("2026-11-20")),
            Some((DncRule::RecentTouch, itself)),
        ),
        (
            contact(|c| c.touches.next = Day::read("2026-12-20")),
            Some((DncRule::RecentTouch, itself)),
        ),
        (
            // In the bin: only what holds for the address itself.
            contact(|c| {
                c.archived = true;
                c.deals = vec![deal(3, DealStatus::Open, "new")];
                c.lifecycle = Some("customer".to_owned());
            }),
            None,
        ),
    ];
    for (contact, wanted) in table {
        let reasons = found(&all_on(), std::slice::from_ref(&contact), &[]);
        let got: Vec<_> = reasons.iter().map(|r| (r.rule, r.record)).collect();
        assert_eq!(got, wanted.into_iter().collect::<Vec<_>>(), "{contact:?}");
        // Switched off, none of them holds.
        let mut off = all_on();
        off.open_deal.enabled = false;
        off.customer.enabled = false;
        off.lost_deal.enabled = false;
        off.opted_out = false;
        off.unmapped_owner = false;
        off.recent_touch.enabled = false;
        off.in_hubspot.enabled = false;
        let left = rules_found(&found(&off, std::slice::from_ref(&contact), &[]));
        assert!(left.iter().all(|r| *r == DncRule::SuppressionList));
    }
}

#[test]
fn what_is_found_at_the_company_holds_for_everybody_as_far_as_the_rule_reaches() {
    let mut colleague = ContactFacts::new(id(2));
    colleague.deals = vec![deal(3, DealStatus::Open, "new")];
    colleague.opted_out = true;
    let mut company = CompanyFacts::new(id(5));
    company.deals = vec![deal(4, DealStatus::Open, "late")];
    company.lists = vec![ListFacts {
        list: ListId::new(8),
        gone: false,
    }];
    company.contacts = vec![colleague];
    let companies = [company];
    let mut rules = DncRules::default();
    let reasons = found(&rules, &[], &companies);
    let through = Some(RecordRef::Company(id(5)));
    assert!(reasons.iter().all(|r| r.through == through), "{reasons:?}");
    assert_eq!(
        rules_found(&reasons),
        [
            DncRule::SuppressionList,
            DncRule::OpenDeal,
            DncRule::OpenDeal
        ]
    );
    rules.scopes.opted_out = RuleScope::Company;
    assert_eq!(rules_found(&found(&rules, &[], &companies)).len(), 4);
    rules.scopes.opted_out = RuleScope::Person;
    rules.scopes.open_deal = RuleScope::Person;
    // A company on a suppression list counts all the same.
    assert_eq!(
        rules_found(&found(&rules, &[], &companies)),
        [DncRule::SuppressionList]
    );
}

#[test]
fn a_crowd_is_not_named_one_by_one() {
    let mut company = CompanyFacts::new(id(5));
    company.contacts = (0..1_200)
        .map(|n| {
            let mut contact = ContactFacts::new(id(100 + n));
            contact.lifecycle = Some("customer".to_owned());
            contact
        })
        .collect();
    let reasons = found(&DncRules::default(), &[], &[company]);
    assert_eq!(reasons.len(), 25);
}

#[test]
fn a_stage_that_is_not_known_is_among_the_chosen_and_open_unless_hubspot_says_otherwise() {
    let mut rules = DncRules::default();
    rules.open_deal.pipelines = vec![PipelineChoice {
        pipeline: "default".to_owned(),
        stages: vec!["late".to_owned()],
    }];
    for (pipeline, stage, counts) in [
        (Some("default"), Some("late"), true),
        (Some("default"), Some("new"), false),
        (Some("partners"), Some("new"), false),
        (Some("default"), Some("vanished"), true),
        (Some("vanished"), Some("new"), true),
        (None, Some("new"), true),
        (Some("default"), None, true),
    ] {
        let mut contact = ContactFacts::new(id(1));
        let mut open = deal(3, DealStatus::Open, "");
        open.pipeline = pipeline.map(str::to_owned);
        open.stage = stage.map(str::to_owned);
        contact.deals = vec![open];
        let reasons = found(&rules, &[contact], &[]);
        assert_eq!(!reasons.is_empty(), counts, "{pipeline:?} {stage:?}");
    }
    let known = pipelines();
    for (pipelines, stage, closed, won, status) in [
        (Some(known.as_slice()), "new", true, true, DealStatus::Open),
        (Some(known.as_slice()), "won", false, false, DealStatus::Won),
        (
            Some(known.as_slice()),
            "gone",
            false,
            false,
            DealStatus::Open,
        ),
        (
            Some(known.as_slice()),
            "gone",
            true,
            false,
            DealStatus::Lost,
        ),
        (None, "won", false, false, DealStatus::Open),
        (None, "won", true, true, DealStatus::Won),
    ] {
        let got = DealStatus::of(pipelines, Some("default"), Some(stage), closed, won);
        assert_eq!(got, status, "{stage}");
    }
}

#[test]
fn days_are_those_of_the_portal() {
    // Half past two at night in UTC is the evening before in New York.
    let new_york = Calendar::new(at("2026-11-28T02:30:00Z"), Some("US/Eastern"));
    assert_eq!(
        new_york.today(),
        NaiveDate::from_ymd_opt(2026, 11, 27).unwrap()
    );
    assert_eq!(new_york.day_ends(), at("2026-11-28T05:00:00Z"));
    let utc = Calendar::new(at("2026-11-28T02:30:00Z"), Some("Etc/UTC"));
    let ago = Day::read("2026-11-14").unwrap();
    assert!(new_york.within(ago, 13) && !utc.within(ago, 13));
    assert!(utc.within(ago, 14));
    // Where the zone is not known, a day more counts.
    for zone in [None, Some("Nowhere/Land")] {
        let unknown = Calendar::new(at("2026-11-28T02:30:00Z"), zone);
        assert!(unknown.within(ago, 13) && !unknown.within(ago, 12));
    }
    // The same moment is one day at one portal and another at the next.
    let moment = Day::read("1763078400000").unwrap();
    assert_eq!(utc.shown(moment).unwrap(), "2025-11-14");
    assert_eq!(new_york.shown(moment).unwrap(), "2025-11-13");
    for (text, read) in [
        ("", None),
        ("soon", Some(Day::Unknown)),
        ("2300-01-01T00:00:00Z", Some(Day::Unknown)),
    ] {
        assert_eq!(Day::read(text), read);
    }
    assert!(utc.within(Day::Unknown, 1) && utc.shown(Day::Unknown).is_none());
    // Midnight does not exist where the clock is put forward then.
    let santiago = Calendar::new(at("2026-09-05T12:00:00Z"), Some("America/Santiago"));
    assert!(santiago.day_ends() > at("2026-09-05T12:00:00Z"));
}

fn finished(sync_type: SyncType) -> TypeState {
    TypeState {
        sync_type,
        ever_finished: true,
        outcome: Some(ReadOutcome::Finished),
        refused: Vec::new(),
        unanswered: false,
    }
}

#[test]
fn a_read_that_a_rule_stands_on_is_missing_or_not() {
    let all: Vec<TypeState> = SyncType::ALL.into_iter().map(finished).collect();
    let mut settings = Settings::empty();
    assert_eq!(stale_reads(&settings, true, &all, &[], &[]), []);
    let with = |sync_type, change: fn(&mut TypeState)| {
        let mut all = all.clone();
        all.iter_mut()
            .filter(|t| t.sync_type == sync_type)
            .for_each(change);
        all
    };
    type Case = (SyncType, fn(&mut TypeState), Option<StaleCause>);
    let table: [Case; 9] = [
        (
            SyncType::Deals,
            |t| t.ever_finished = false,
            Some(StaleCause::NeverRead),
        ),
        (
            SyncType::Deals,
            |t| t.outcome = Some(ReadOutcome::Reading),
            None,
        ),
        (
            SyncType::Deals,
            |t| t.outcome = Some(ReadOutcome::Incomplete),
            Some(StaleCause::Incomplete),
        ),
        (
            SyncType::Companies,
            |t| t.outcome = Some(ReadOutcome::Skipped),
            Some(StaleCause::Skipped),
        ),
        (
            SyncType::Contacts,
            |t| t.outcome = Some(ReadOutcome::Refused),
            Some(StaleCause::Refused),
        ),
        (
            SyncType::Deals,
            |t| t.refused = vec![ReadPart::AssociationsWith(ObjectType::Company)],
            Some(StaleCause::Refused),
        ),
        (
            SyncType::Deals,
            |t| t.unanswered = true,
            Some(StaleCause::Incomplete),
        ),
        // Nothing stands on these.
        (SyncType::Owners, |t| t.ever_finished = false, None),
        (SyncType::Lists, |t| t.ever_finished = false, None),
    ];
    for (sync_type, change, cause) in table {
        let stale = stale_reads(&settings, true, &with(sync_type, change), &[], &[]);
        let wanted: Vec<Stale> = cause
            .map(|cause| Stale {
                object_type: sync_type,
                cause,
                list: None,
            })
            .into_iter()
            .collect();
        assert_eq!(stale, wanted, "{sync_type}");
    }
    assert_eq!(stale_reads(&settings, false, &all, &[], &[]).len(), 4);
    // What is read anew is not mended before it came to its end.
    let reading = with(SyncType::Deals, |t| {
        t.outcome = Some(ReadOutcome::Reading);
    });
    let before = [Stale {
        object_type: SyncType::Deals,
        cause: StaleCause::Incomplete,
        list: None,
    }];
    assert_eq!(stale_reads(&settings, true, &reading, &[], &before), before);
    assert_eq!(stale_reads(&settings, true, &all, &[], &before), []);
    // Of two who read a type, one that ended well mends nothing that the other left open.
    let left_open = TypeState {
        outcome: Some(ReadOutcome::Incomplete),
        ..finished(SyncType::Deals)
    };
    for place in [0, all.len()] {
        let mut both = all.clone();
        both.insert(place, left_open.clone());
        assert_eq!(stale_reads(&settings, true, &both, &[], &[]), before);
    }

    let list = ListId::new(3);
    settings.lists = vec![FollowedList {
        list,
        list_use: ListUse::Suppression,
    }];
    let read = ListState {
        list,
        processing: false,
        gone: false,
        ever_read: true,
        outcome: Some(ReadOutcome::Finished),
    };
    type ListCase = (fn(&mut ListState), Option<StaleCause>);
    let table: [ListCase; 5] = [
        (|_| {}, None),
        (|l| l.ever_read = false, Some(StaleCause::NeverRead)),
        (|l| l.processing = true, Some(StaleCause::Processing)),
        (|l| l.gone = true, None),
        (
            |l| l.outcome = Some(ReadOutcome::Refused),
            Some(StaleCause::Refused),
        ),
    ];
    for (change, cause) in table {
        let mut state = read.clone();
        change(&mut state);
        let stale = stale_reads(&settings, true, &all, &[state], &[]);
        assert_eq!(stale.first().map(|s| s.cause), cause);
    }
    assert_eq!(
        stale_reads(&settings, true, &all, &[], &[])[0].cause,
        StaleCause::NeverRead
    );
}

#[test]
fn an_unknown_never_becomes_a_yes() {
    let rules = DncRules::default();
    let stale = [Stale {
        object_type: SyncType::Deals,
        cause: StaleCause::Incomplete,
        list: None,
    }];
    let no = |rule| Verdict::no(rule);
    let yes = Verdict {
        allowed: true,
        reasons: Vec::new(),
        stale: false,
    };
    let nothing = Judgement::default;
    let of = |judgement, last: Option<&Verdict>| Verdict::of(judgement, &stale, &rules, last);
    assert!(Verdict::of(nothing(), &[], &rules, Some(&no(DncRule::OpenDeal))).allowed);
    assert_eq!(of(nothing(), None).reasons, no(DncRule::Unknown).reasons);
    let stands = of(nothing(), Some(&yes));
    assert!(stands.allowed && stands.stale);
    let stands = of(nothing(), Some(&no(DncRule::OpenDeal)));
    assert!(!stands.allowed && stands.stale);
    assert_eq!(rules_found(&stands.reasons), [DncRule::OpenDeal]);
    // What a rule said that was switched off since goes; nobody is let in by that alone.
    let touched = no(DncRule::RecentTouch);
    assert_eq!(
        rules_found(&of(nothing(), Some(&touched)).reasons),
        [DncRule::Unknown]
    );
    let found = Judgement {
        reasons: vec![DncReason::bare(DncRule::OptedOut)],
    };
    let both = of(found.clone(), Some(&no(DncRule::OpenDeal)));
    assert_eq!(
        rules_found(&both.reasons),
        [DncRule::OpenDeal, DncRule::OptedOut]
    );
    let both = of(found, Some(&no(DncRule::Unknown)));
    assert_eq!(rules_found(&both.reasons), [DncRule::OptedOut]);
}

#[test]
fn reasons_read_back_as_they_were_written() {
    let reason = DncReason {
        rule: DncRule::OpenDeal,
        record: Some(RecordRef::Deal(id(3))),
        through: Some(RecordRef::Company(id(5))),
        value: Some("new".to_owned()),
    };
    let json = serde_json::to_value(&reason).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"rule": "open_deal", "record": {"type": "deal", "id": 3},
            "through": {"type": "company", "id": 5}, "value": "new"})
    );
    assert_eq!(serde_json::from_value::<DncReason>(json).unwrap(), reason);
    for rule in DncRule::ALL {
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
    }
}
