//! The order of the steps, and requests that are one export.

use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        AssociationKind, ContactCompany, ContactPlan, ExportCause, ExportStep, Found, History,
        Qualified, RequestId, RequestKind, SkipReason, WaitReason,
        coalesce::{Pending, Together, together},
        contact,
        journal::EntryId,
        policy::Standing,
        steps::{Answer, CompanyProgress, End, Known, ReadBy, Reading, next, reading},
    },
    world::{Stored, World, facts, id, person},
};
use crate::{
    app::{LeadStatus, Outreach},
    settings::ExportPolicy,
};

#[test]
fn the_contact_is_read_by_the_link_then_by_the_address() {
    use Answer::{Archived, Doubtful, Live, MergedInto, Nobody, NotAsked};
    let (by_id, by_email) = (
        |n| Reading::Ask(ReadBy::Id(id(n))),
        Reading::Ask(ReadBy::Email),
    );
    let five = Some(id(5));
    for (linked, link, email, want) in [
        (None, NotAsked, NotAsked, by_email),
        (None, NotAsked, Live, Reading::Live),
        (None, NotAsked, Nobody, Reading::Nobody),
        (None, NotAsked, Archived, Reading::Nobody),
        (None, NotAsked, MergedInto(id(9)), by_id(9)),
        (None, NotAsked, Doubtful, Reading::Doubtful),
        (five, NotAsked, NotAsked, by_id(5)),
        (five, Live, NotAsked, Reading::Live),
        (five, MergedInto(id(9)), NotAsked, by_id(9)),
        (five, Doubtful, NotAsked, Reading::Doubtful),
        (five, Archived, NotAsked, by_email),
        (five, Nobody, NotAsked, by_email),
        (five, Archived, Live, Reading::Live),
        (five, Archived, Nobody, Reading::Archived(id(5))),
        (five, Nobody, Nobody, Reading::Gone(id(5))),
        (five, Archived, Doubtful, Reading::Doubtful),
        (five, Nobody, Doubtful, Reading::Doubtful),
    ] {
        assert_eq!(
            reading(linked, link, email),
            want,
            "{linked:?} {link:?} {email:?}"
        );
    }
}

fn nothing_known() -> Known<'static> {
    Known {
        open_entry: None,
        qualified: None,
        linked: None,
        by_link: Answer::NotAsked,
        by_email: Answer::NotAsked,
        plan: None,
        held_until: None,
        company: CompanyProgress::None,
        emptied: false,
        written: None,
        made_before: false,
        companies: None,
        associated: false,
    }
}

/// Carries the steps out by the book: each does what it says, and no more than once.
fn walk(
    plan: &ContactPlan,
    email: Answer,
    linked: bool,
    has_company: bool,
    companies: &[ContactCompany],
) -> Vec<&'static str> {
    let mut known = nothing_known();
    known.linked = linked.then(|| id(7));
    if has_company {
        known.company = CompanyProgress::ToEnsure;
    }
    let mut steps = Vec::new();
    loop {
        let step = next(&known);
        steps.push(match &step {
            ExportStep::TakeOver(_) => "take over",
            ExportStep::Qualify => "qualify",
            ExportStep::Read(ReadBy::Id(_)) => "read by link",
            ExportStep::Read(ReadBy::Email) => "read by address",
            ExportStep::Plan => "plan",
            ExportStep::EnsureCompany => "company",
            ExportStep::Empty(_) => "empty",
            ExportStep::WriteContact { company: Some(_) } => "write with company",
            ExportStep::WriteContact { company: None } => "write",
            ExportStep::ReadCompanies(_) => "read companies",
            ExportStep::Associate {
                kind: AssociationKind::Primary,
                ..
            } => "associate as primary",
            ExportStep::Associate {
                kind: AssociationKind::Plain,
                ..
            } => "associate",
            ExportStep::Done(End::Exported {
                look_again: true, ..
            }) => "done, look again",
            ExportStep::Done(End::Exported { .. }) => "done",
            ExportStep::Done(End::Skipped(_)) => "skipped",
            ExportStep::Done(End::Waits { .. }) => "waits",
        });
        assert!(steps.len() < 12, "{steps:?}");
        match step {
            ExportStep::TakeOver(_) => known.open_entry = None,
            ExportStep::Qualify => known.qualified = Some(Qualified::Yes),
            ExportStep::Read(ReadBy::Id(_)) => known.by_link = Answer::Live,
            ExportStep::Read(ReadBy::Email) => known.by_email = email,
            ExportStep::Plan => known.plan = Some(plan),
            ExportStep::EnsureCompany => known.company = CompanyProgress::Ensured(id(70)),
            ExportStep::Empty(_) => known.emptied = true,
            ExportStep::WriteContact { .. } => known.written = Some(id(7)),
            ExportStep::ReadCompanies(_) => known.companies = Some(companies),
            ExportStep::Associate { .. } => known.associated = true,
            ExportStep::Done(_) => return steps,
        }
    }
}

#[test]
fn the_steps_of_each_kind_of_export() {
    let world = World::new(json!({
        "contacts": [{"app_field": "city", "property": "city"}],
        "status": {"property": "lifecyclestage", "allow_backward": true,
                   "rows": [{"status": "contacted", "value": "lead"}]}}));
    let with_address = |address| {
        let status = Some(LeadStatus::Contacted);
        person(Some(address), status, json!({"city": "Ulm"}))
    };
    let (someone, odd) = (with_address("a@b.com"), with_address("a@b.bad"));
    let history = History::default();
    let plan_of = |someone, found: Found<'_>, linked| {
        let mut facts = facts(someone, found, &history);
        facts.linked = linked;
        contact::plan(&world.workspace(), &facts)
    };
    let plan = |found: Found<'_>, linked| plan_of(&someone, found, linked);
    let read = |stored: &[(&str, &str)]| Stored::of(stored).read(id(7), &world.contacts);
    let (empty, full) = (
        read(&[]),
        read(&[("city", "Ulm"), ("lifecyclestage", "lead")]),
    );
    let later = read(&[("lifecyclestage", "customer")]);
    let new = plan(Found::Nobody, None);
    let ours = [ContactCompany {
        company: id(70),
        primary: true,
    }];
    let others = [ContactCompany {
        company: id(80),
        primary: true,
    }];

    let start = ["qualify", "read by address", "plan"];
    let linked = ["qualify", "read by link", "plan"];
    let with = |start: [&'static str; 3], rest: &[&'static str]| [&start[..], rest].concat();
    assert_eq!(
        walk(&new, Answer::Nobody, false, true, &[]),
        with(
            start,
            &["company", "write with company", "done, look again"]
        )
    );
    assert_eq!(
        walk(&new, Answer::Nobody, false, false, &[]),
        with(start, &["write", "done, look again"])
    );
    // Whether HubSpot takes the address is found out before a company is made.
    let new_and_odd = plan_of(&odd, Found::Nobody, None);
    let odd_start = with(start, &["write", "company", "read companies"]);
    let odd_end = |rest: &[&'static str]| [&odd_start[..], rest].concat();
    assert_eq!(
        walk(&new_and_odd, Answer::Nobody, false, true, &[]),
        odd_end(&["associate as primary", "done, look again"])
    );
    assert_eq!(
        walk(&new_and_odd, Answer::Nobody, false, true, &ours),
        odd_end(&["done, look again"])
    );
    assert_eq!(
        walk(&new_and_odd, Answer::Nobody, false, false, &[]),
        with(start, &["write", "done, look again"])
    );
    let odd_adopt = plan_of(&odd, Found::Live(&empty), None);
    assert_eq!(
        walk(&odd_adopt, Answer::Live, false, true, &ours),
        with(start, &["company", "write", "read companies", "done"])
    );
    let adopt = plan(Found::Live(&empty), None);
    assert_eq!(
        walk(&adopt, Answer::Live, false, true, &[]),
        with(
            start,
            &[
                "company",
                "write",
                "read companies",
                "associate as primary",
                "done"
            ]
        )
    );
    let update = plan(Found::Live(&empty), Some(id(7)));
    assert_eq!(
        walk(&update, Answer::Nobody, true, true, &others),
        with(
            linked,
            &["company", "write", "read companies", "associate", "done"]
        )
    );
    let same = plan(Found::Live(&full), Some(id(7)));
    assert_eq!(
        walk(&same, Answer::Nobody, true, true, &ours),
        with(linked, &["company", "read companies", "done"])
    );
    assert_eq!(
        walk(&same, Answer::Nobody, true, false, &ours),
        with(linked, &["done"])
    );
    let back = plan(Found::Live(&later), Some(id(7)));
    assert_eq!(
        walk(&back, Answer::Nobody, true, false, &[]),
        with(linked, &["empty", "write", "done"])
    );
    let archived = plan(Found::Archived(id(7)), Some(id(7)));
    // No company is made for somebody who is not exported.
    assert_eq!(
        walk(&archived, Answer::Nobody, true, true, &[]),
        with(linked, &["skipped"])
    );
}

#[test]
fn what_an_export_made_that_did_not_end_is_looked_at_again_too() {
    let world = World::new(json!({}));
    let someone = person(Some("a@b.example"), None, json!({}));
    let history = History::default();
    let read = Stored::of(&[("email", "a@b.example")]).read(id(7), &world.contacts);
    let adopt = contact::plan(
        &world.workspace(),
        &facts(&someone, Found::Live(&read), &history),
    );
    let ours = |primary| {
        [ContactCompany {
            company: id(70),
            primary,
        }]
    };
    for (company, companies, associated) in [
        (CompanyProgress::None, None, false),
        (CompanyProgress::Ensured(id(70)), Some(ours(true)), false),
        (CompanyProgress::Ensured(id(70)), Some(ours(false)), true),
    ] {
        for made_before in [false, true] {
            let step = next(&Known {
                qualified: Some(Qualified::Yes),
                by_email: Answer::Live,
                plan: Some(&adopt),
                company,
                companies: companies.as_ref().map(|c| &c[..]),
                associated,
                made_before,
                ..nothing_known()
            });
            let end = End::Exported {
                contact: id(7),
                look_again: made_before,
            };
            assert_eq!(step, ExportStep::Done(end), "{company:?}");
        }
    }
}

#[test]
fn what_keeps_an_export_from_going_on() {
    let world = World::new(json!({"contacts": [{"app_field": "city", "property": "city"}]}));
    let someone = person(Some("a@b.example"), None, json!({"city": "Ulm"}));
    let history = History::default();
    let writes = contact::plan(
        &world.workspace(),
        &facts(&someone, Found::Nobody, &history),
    );
    let read = Stored::of(&[("city", "Ulm")]).read(id(7), &world.contacts);
    let quiet = contact::plan(
        &world.workspace(),
        &facts(&someone, Found::Live(&read), &history),
    );
    let due = chrono::DateTime::from_timestamp(1_800_000_000, 0);
    let waits = |reason, due| ExportStep::Done(End::Waits { reason, due });
    let base = Known {
        qualified: Some(Qualified::Yes),
        by_email: Answer::Nobody,
        plan: Some(&writes),
        ..nothing_known()
    };
    let entry = EntryId::new(Uuid::from_u128(1));
    assert_eq!(
        next(&Known {
            open_entry: Some(entry),
            ..base
        }),
        ExportStep::TakeOver(entry)
    );
    let unqualified = Known {
        qualified: Some(Qualified::Waits),
        ..base
    };
    assert_eq!(
        next(&unqualified),
        waits(WaitReason::PersonNotExported, None)
    );
    let refused = Known {
        qualified: Some(Qualified::No(SkipReason::NotReplied)),
        ..base
    };
    assert_eq!(
        next(&refused),
        ExportStep::Done(End::Skipped(SkipReason::NotReplied.into()))
    );
    let doubtful = Known {
        by_email: Answer::Doubtful,
        ..base
    };
    assert_eq!(next(&doubtful), waits(WaitReason::TriedAgainLater, None));
    let held = Known {
        held_until: due,
        company: CompanyProgress::ToEnsure,
        ..base
    };
    assert_eq!(next(&held), waits(WaitReason::OverCeiling, due));
    // What needs no write, and what was begun, is not held.
    let nothing = Known {
        plan: Some(&quiet),
        by_email: Answer::Live,
        ..held
    };
    assert_eq!(next(&nothing), ExportStep::EnsureCompany);
    let begun = Known {
        written: Some(id(7)),
        company: CompanyProgress::None,
        ..held
    };
    assert!(matches!(
        next(&begun),
        ExportStep::Done(End::Exported { .. })
    ));
}

#[test]
fn requests_about_one_person_are_one_export() {
    let standing = |outreach, exported| Standing {
        settings_saved: true,
        policy: ExportPolicy::Replied,
        in_force_since: chrono::DateTime::UNIX_EPOCH,
        outreach,
        has_email: true,
        erased: false,
        exported,
    };
    let quiet = Outreach::default();
    let replied = Outreach {
        replied_at: chrono::DateTime::from_timestamp(5, 0),
        ..quiet
    };
    let request = |n: u128| RequestId::new(Uuid::from_u128(n));
    let pending = |all: &[(u128, RequestKind)]| -> Vec<Pending> {
        all.iter()
            .map(|(n, kind)| Pending {
                request: request(*n),
                kind: *kind,
                cause: match kind {
                    RequestKind::Manual => ExportCause::Manual { anew: *n == 9 },
                    RequestKind::Bulk => ExportCause::Bulk {
                        include_earlier: false,
                    },
                    _ => ExportCause::Automatic,
                },
            })
            .collect()
    };
    let numbers = |t: &Together| {
        let of = |all: &[RequestId]| {
            all.iter()
                .map(|r| r.as_uuid().as_u128())
                .collect::<Vec<_>>()
        };
        let ended: Vec<_> = t
            .ended
            .iter()
            .map(|(r, why)| (r.as_uuid().as_u128(), why.as_str()))
            .collect();
        (
            t.lead.map(|l| l.request.as_uuid().as_u128()),
            of(&t.with),
            ended,
            of(&t.waiting),
        )
    };
    use RequestKind::{Bulk, FieldChange, Manual, Policy, Status};
    for (what, outreach, exported, requests, want) in [
        (
            "nothing",
            &replied,
            true,
            vec![],
            (None, vec![], vec![], vec![]),
        ),
        (
            "all together",
            &replied,
            true,
            vec![(1, Status), (2, FieldChange), (3, Policy), (4, Status)],
            (Some(3), vec![2, 3, 4], vec![(1, "superseded")], vec![]),
        ),
        (
            "the first of equals",
            &replied,
            true,
            vec![(1, FieldChange), (2, FieldChange)],
            (Some(1), vec![1, 2], vec![], vec![]),
        ),
        (
            "by hand goes before",
            &quiet,
            false,
            vec![(1, Bulk), (2, Manual), (9, Manual), (3, Status)],
            (Some(9), vec![1, 2, 9, 3], vec![], vec![]),
        ),
        (
            "nobody qualifies",
            &quiet,
            false,
            vec![(1, Bulk), (2, Status), (3, Status), (4, FieldChange)],
            (
                None,
                vec![],
                vec![(2, "superseded"), (1, "not_replied"), (4, "not_replied")],
                vec![3],
            ),
        ),
        (
            "kept up to date",
            &quiet,
            true,
            vec![(1, Bulk), (2, Status)],
            (Some(2), vec![1, 2], vec![], vec![]),
        ),
    ] {
        let got = together(&pending(&requests), &standing(outreach, exported));
        assert_eq!(numbers(&got), want, "{what}");
        let all = got.with.len() + got.ended.len() + got.waiting.len();
        assert_eq!(all, requests.len(), "{what}: no request is lost");
    }
}
