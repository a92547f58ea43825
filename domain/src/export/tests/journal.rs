//! The journal: taking over what somebody left open, values that another system sets back, reverts.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Found, History, HubSpotValue, RecordRead, RequestKind, Resumed, Rule, Why, Write, contact,
        journal::{
            Cause, Entry, EntryId, EntryState, Landed, Operation, ReadBack, Subject, Taken,
            Written, landed, take_over,
        },
        revert::{NoRevert, revert},
        sameness::Definitions,
    },
    world::{Stored, World, facts, id, person, told},
};
use crate::{ObjectType, app::LeadStatus};

fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs, 0).unwrap()
}

fn value(text: &str) -> Option<HubSpotValue> {
    HubSpotValue::stored(text)
}

fn entry(n: u128, cause: Cause, property: &str, old: &str, new: &str) -> Entry {
    Entry {
        id: EntryId::new(Uuid::from_u128(n)),
        subject: Subject::Person("p1".parse().unwrap()),
        cause,
        operation: Operation::Update(ObjectType::Contact, id(7)),
        written: vec![Written {
            property: property.to_owned(),
            rule: None,
            old: value(old),
            new: value(new),
            overwrote: !old.is_empty(),
            sent: None,
        }],
        opened_at: at(n as i64),
        state: EntryState::Done {
            record: id(7),
            at: at(n as i64),
        },
    }
}

const CHANGED: Cause = Cause::Request(RequestKind::FieldChange);

#[test]
fn an_open_entry_is_taken_over_with_its_wait() {
    let world = World::new(json!({}));
    let settle = TimeDelta::seconds(90);
    let read = |values: &[(&str, &str)]| Stored::of(values).read(id(7), &world.contacts);
    let (new, old) = (
        read(&[("since", "1772236800000")]),
        read(&[("since", "2026-02-27")]),
    );
    let update = Operation::Update(ObjectType::Contact, id(7));
    let empty = Operation::Empty(ObjectType::Contact, id(7));
    let nothing = read(&[]);
    let create = Operation::Create(ObjectType::Contact);
    let pair = Operation::Associate {
        contact: id(7),
        company: id(70),
        primary: true,
    };
    let wait = Taken::Wait(at(1_090));
    for (operation, sent, back, now, want) in [
        (
            &update,
            None,
            ReadBack::Record(&old),
            5_000,
            Taken::PlanAgain,
        ),
        (
            &update,
            Some(1_000),
            ReadBack::Record(&new),
            1_001,
            Taken::Done,
        ),
        (&update, Some(1_000), ReadBack::Record(&old), 1_089, wait),
        (
            &update,
            Some(1_000),
            ReadBack::Record(&old),
            1_090,
            Taken::PlanAgain,
        ),
        (
            &update,
            Some(1_000),
            ReadBack::Doubtful,
            5_000,
            Taken::ReadAgain,
        ),
        (
            &empty,
            Some(1_000),
            ReadBack::Record(&nothing),
            1_001,
            Taken::Done,
        ),
        (&empty, Some(1_000), ReadBack::Record(&old), 1_089, wait),
        (
            &empty,
            Some(1_000),
            ReadBack::Record(&old),
            1_090,
            Taken::PlanAgain,
        ),
        (&create, None, ReadBack::Nothing, 5_000, Taken::PlanAgain),
        (&create, Some(1_000), ReadBack::Nothing, 1_001, wait),
        (
            &create,
            Some(1_000),
            ReadBack::Nothing,
            1_090,
            Taken::PlanAgain,
        ),
        (
            &create,
            Some(1_000),
            ReadBack::Record(&old),
            1_001,
            Taken::Done,
        ),
        (
            &create,
            Some(1_000),
            ReadBack::Doubtful,
            5_000,
            Taken::ReadAgain,
        ),
        (
            &pair,
            Some(1_000),
            ReadBack::Associated(true),
            1_001,
            Taken::Done,
        ),
        (&pair, Some(1_000), ReadBack::Associated(false), 1_001, wait),
        (
            &pair,
            Some(1_000),
            ReadBack::Associated(false),
            1_090,
            Taken::PlanAgain,
        ),
    ] {
        let mut open = entry(1, CHANGED, "since", "2026-02-27", "2026-02-28");
        open.operation = operation.clone();
        if matches!(operation, Operation::Associate { .. }) {
            open.written.clear();
        }
        open.state = EntryState::Open {
            sent_at: sent.map(at),
        };
        let got = take_over(&open, back, Definitions(&world.contacts), settle, at(now));
        assert_eq!(got, want, "{operation:?} sent {sent:?}, now {now}");
        // What is closed stays so.
        let done = EntryState::Done {
            record: id(7),
            at: at(now),
        };
        assert!(open.turn(done).is_ok() && open.is_done());
        assert!(open.turn(EntryState::Dropped { at: at(now) }).is_err());
    }
}

#[test]
fn an_entry_is_what_the_plan_says_and_reads_back() {
    let world = World::new(json!({"contacts": [
        {"app_field": "tags", "property": "interests", "export": "append"},
        {"app_field": "city", "property": "city"}]}));
    let someone = person(
        Some("a@b.example"),
        None,
        json!({"tags": ["a"], "city": "Ulm"}),
    );
    let plan = super::world::planned(&world, &someone, &[("interests", "b")]);
    let subject = Subject::Person(someone.id.clone());
    let operation = Operation::Update(ObjectType::Contact, id(7));
    let id = EntryId::new(Uuid::from_u128(1));
    let entry = Entry::open(id, subject, CHANGED, operation, &plan.changes, at(1));
    // What stands there afterwards, not what is sent.
    assert_eq!(entry.written[0].new, value("b;a"));
    assert_eq!(
        (entry.written[0].overwrote, entry.written[1].overwrote),
        (true, false)
    );
    assert_eq!(entry.state, EntryState::Open { sent_at: None });
    let json = serde_json::to_string(&entry.written).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Written>>(&json).unwrap(),
        entry.written
    );
    assert!(!format!("{entry:?}").contains("Ulm"));
}

#[test]
fn a_status_is_told_by_what_was_written_for_it() {
    let mut told = entry(1, CHANGED, "hs_lead_status", "NEW", "OPEN");
    assert_eq!(told.status_told(), None);
    told.written[0].rule = Some(Rule::Status(LeadStatus::Contacted));
    assert_eq!(told.status_told(), Some(Some(LeadStatus::Contacted)));
    told.operation = Operation::Empty(ObjectType::Contact, id(7));
    assert_eq!(told.status_told(), Some(None));
}

#[test]
fn a_value_that_comes_back_changed_three_times_pauses_its_row() {
    let world = World::new(json!({"contacts": [
        {"app_field": "city", "property": "city", "export": "overwrite"},
        {"app_field": "job_title", "property": "jobtitle", "export": "overwrite"}]}));
    let city = |text: &str| {
        person(
            Some("a@b.example"),
            None,
            json!({"city": text, "job_title": "Head"}),
        )
    };
    let lines = |entries: &[Entry], wanted: &str, now: &str, resumed: Option<(&str, _)>| {
        let resumed = resumed.map(|(property, at)| (property.to_owned(), at));
        let history = History::of(entries, &resumed.into_iter().collect());
        let read = Stored::of(&[("city", now)]).read(id(7), &world.contacts);
        let someone = city(wanted);
        let plan = contact::plan(
            &world.workspace(),
            &facts(&someone, Found::Live(&read), &history),
        );
        told(&plan.changes, &plan.left_out)
            .into_iter()
            .filter(|line| line.starts_with("city") || line.starts_with("jobtitle"))
            .collect::<Vec<_>>()
    };
    let ours = |n, old: &str, new: &str| entry(n, CHANGED, "city", old, new);
    let head = "jobtitle: - → Head".to_owned();
    let writes = |now: &str, new: &str| vec![format!("city: {now} → {new}"), head.clone()];
    let paused = vec![head.clone(), "city: set_back".to_owned()];
    let three = [
        ours(1, "Bonn", "Ulm"),
        ours(2, "Bonn", "Ulm"),
        ours(3, "Köln", "Ulm"),
    ];

    assert_eq!(lines(&[], "Ulm", "Bonn", None), writes("Bonn", "Ulm"));
    assert_eq!(
        lines(&three[..1], "Ulm", "Bonn", None),
        writes("Bonn", "Ulm")
    );
    assert_eq!(
        lines(&three[..2], "Ulm", "Bonn", None),
        writes("Bonn", "Ulm")
    );
    assert_eq!(lines(&three, "Ulm", "Bonn", None), paused);
    // Nothing to fight about; another value; somebody let the row go on.
    assert_eq!(
        lines(&three, "Ulm", "Ulm", None),
        [head.clone(), "city: same".to_owned()]
    );
    assert_eq!(lines(&three, "Jena", "Bonn", None), writes("Bonn", "Jena"));
    assert_eq!(
        lines(&three, "Ulm", "Bonn", Some(("city", at(3)))),
        writes("Bonn", "Ulm")
    );
    assert_eq!(
        lines(&three, "Ulm", "Bonn", Some(("jobtitle", at(3)))),
        paused
    );
    // What there is to let go on, whatever HubSpot has by now.
    let definitions = Definitions(&world.contacts);
    let may_hold = |entries: &[Entry], property| {
        History::of(entries, &Resumed::new()).may_hold(property, definitions)
    };
    assert!(may_hold(&three, "city") && !may_hold(&three, "jobtitle"));
    assert!(!may_hold(&three[..2], "city"));
    // Values of the app that follow one another are no fight.
    let moved = [ours(1, "Bonn", "A"), ours(2, "A", "B"), ours(3, "B", "Ulm")];
    assert_eq!(lines(&moved, "Ulm", "Bonn", None), writes("Bonn", "Ulm"));
    // What HubSpot refused was never there.
    let mut refused = three.clone();
    refused[1].state = EntryState::Refused { at: at(2) };
    assert_eq!(lines(&refused, "Ulm", "Bonn", None), writes("Bonn", "Ulm"));
    // Emptied counts as changed.
    let emptied = vec![head.clone(), "city: set_back".to_owned()];
    assert_eq!(lines(&three, "Ulm", "", None), emptied);
}

#[test]
fn an_overwrite_is_reverted_only_while_nobody_changed_the_value_since() {
    let world = World::new(json!({}));
    let done = |property: &str, old: &str, new: &str| entry(1, CHANGED, property, old, new);
    let read =
        |property: &str, now: &str| Stored::of(&[(property, now)]).read(id(7), &world.contacts);
    for (property, old, new, now, want) in [
        ("city", "Bonn", "Ulm", "Ulm", Ok("Bonn")),
        ("city", "Bonn", "Ulm", " Ulm ", Ok("Bonn")),
        ("city", "Bonn", "Ulm", "Köln", Err(NoRevert::ChangedSince)),
        ("city", "Bonn", "Ulm", "", Err(NoRevert::ChangedSince)),
        ("city", "Bonn", "Ulm", "Bonn", Err(NoRevert::BackAlready)),
        ("city", "", "Ulm", "Ulm", Err(NoRevert::NotAnOverwrite)),
        ("score", "1", "12", "12.00", Ok("1")),
        ("interests", "c", "c;a", "a;c", Ok("c")),
        (
            "interests",
            "gone",
            "gone;a",
            "gone;a",
            Err(NoRevert::NotWritable(super::super::ConvertError::NoOption)),
        ),
        (
            "hs_lead_status",
            "OLD",
            "NEW",
            "NEW",
            Err(NoRevert::NotWritable(super::super::ConvertError::NoOption)),
        ),
        ("lifecyclestage", "lead", "customer", "customer", Ok("lead")),
        ("nowhere", "a", "b", "b", Err(NoRevert::PropertyUnknown)),
        (
            "readonly",
            "a",
            "b",
            "b",
            Err(NoRevert::NotWritable(
                super::super::ConvertError::NotWritable("HS-2102"),
            )),
        ),
    ] {
        let got = revert(
            &done(property, old, new),
            property,
            &read(property, now),
            &world.contacts,
            false,
        );
        let sent = got
            .as_ref()
            .map(|r| r.write.sent().as_str())
            .map_err(|e| *e);
        assert_eq!(sent, want, "{property}: {old} → {new}, now {now}");
        if let Ok(revert) = got {
            assert_eq!(revert.write.empties_first(), property == "lifecyclestage");
        }
    }
    let mut other = done("city", "Bonn", "Ulm");
    let now = read("city", "Ulm");
    let refused = |entry: &Entry, property: &str, read| {
        revert(entry, property, read, &world.contacts, false).unwrap_err()
    };
    // Emptied for this revert, which was not sent any more: it goes on where it was.
    let stage = done("lifecyclestage", "lead", "customer");
    let emptied = read("lifecyclestage", "");
    let goes_on = revert(&stage, "lifecyclestage", &emptied, &world.contacts, true).unwrap();
    assert_eq!(goes_on.write, Write::Set(value("lead").unwrap()));
    assert_eq!(Some(goes_on.now), value("customer"));
    assert_eq!(
        refused(&stage, "lifecyclestage", &emptied),
        NoRevert::ChangedSince
    );
    assert_eq!(refused(&other, "phone", &now), NoRevert::NotWritten);
    let merged = Stored::of(&[("city", "Ulm")]).read(id(8), &world.contacts);
    assert_eq!(refused(&other, "city", &merged), NoRevert::NotRead);
    other.written[0].old = None;
    assert_eq!(refused(&other, "city", &now), NoRevert::ValuesGone);
    other.state = EntryState::Open { sent_at: None };
    assert_eq!(refused(&other, "city", &now), NoRevert::NotDone);
    let docs = include_str!("../../../../docs/errors.md");
    for why in [
        NoRevert::NotWritten,
        NoRevert::NotDone,
        NoRevert::NotAnOverwrite,
        NoRevert::ValuesGone,
        NoRevert::NotRead,
        NoRevert::ChangedSince,
        NoRevert::BackAlready,
        NoRevert::PropertyUnknown,
    ] {
        assert!(docs.contains(&format!("\n## {} ", why.code())), "{why:?}");
    }
}

#[test]
fn what_was_reverted_stays_so_until_the_app_has_another_value() {
    let world = World::new(json!({"contacts": [
        {"app_field": "city", "property": "city", "export": "overwrite"}]}));
    let first = entry(1, CHANGED, "city", "Bonn", "Ulm");
    let stored = Stored::of(&[("city", "Ulm")]).read(id(7), &world.contacts);
    let back = revert(&first, "city", &stored, &world.contacts, false).unwrap();
    let mut second = back.entry(EntryId::new(Uuid::from_u128(2)), &first, at(2));
    assert_eq!(second.cause, Cause::Revert(first.id));
    second
        .turn(EntryState::Done {
            record: id(7),
            at: at(3),
        })
        .unwrap();
    let history = History::of([&first, &second], &Resumed::new());
    for (wanted, now, want) in [
        ("Ulm", "Bonn", "city: reverted"),
        ("Ulm", "Köln", "city: reverted"),
        ("Ulm", "Ulm", "city: same"),
        ("Jena", "Bonn", "city: Bonn → Jena"),
    ] {
        let someone = person(Some("a@b.example"), None, json!({"city": wanted}));
        let read = Stored::of(&[("city", now)]).read(id(7), &world.contacts);
        let plan = contact::plan(
            &world.workspace(),
            &facts(&someone, Found::Live(&read), &history),
        );
        assert!(
            told(&plan.changes, &plan.left_out).contains(&want.to_owned()),
            "{wanted} {now}"
        );
    }
    // And a revert is an overwrite that can be reverted.
    let now = Stored::of(&[("city", "Bonn")]).read(id(7), &world.contacts);
    assert_eq!(
        revert(&second, "city", &now, &world.contacts, false)
            .unwrap()
            .write
            .sent()
            .as_str(),
        "Ulm"
    );
    assert_eq!(Why::Reverted.code(), Some("HS-2427"));
}

#[test]
fn what_was_emptied_and_not_set_is_what_the_next_value_takes_the_place_of() {
    let emptied = Entry {
        operation: Operation::Empty(ObjectType::Contact, id(7)),
        ..entry(1, CHANGED, "city", "Bonn", "")
    };
    let set = entry(2, CHANGED, "city", "Bonn", "Ulm");
    let never = Entry {
        state: EntryState::Dropped { at: at(1) },
        ..emptied.clone()
    };
    for (entries, old) in [
        (vec![&emptied], value("Bonn")),
        (vec![&emptied, &set], None),
        (vec![&set, &emptied], value("Bonn")),
        (vec![&never], None),
        (vec![], None),
    ] {
        let history = History::of(entries, &Resumed::new());
        assert_eq!(history.emptied("city"), old.as_ref());
    }
}

#[test]
fn what_was_emptied_comes_back_where_nothing_else_is_set() {
    let world = World::new(json!({
        "contacts": [{"app_field": "first_name", "property": "firstname", "export": "overwrite"}],
    }));
    let emptied = Entry {
        operation: Operation::Empty(ObjectType::Contact, id(7)),
        ..entry(1, CHANGED, "lifecyclestage", "customer", "")
    };
    let history = History::of([&emptied], &Resumed::new());
    let person = person(Some("a@b.example"), None, json!({"first_name": "Ann"}));
    let planned = |stored: &[(&str, &str)]| {
        let read = Stored::of(stored).read(id(7), &world.contacts);
        let plan = contact::plan(
            &world.workspace(),
            &facts(&person, Found::Live(&read), &history),
        );
        let plan = plan.with_emptied_back(&read, &history);
        let back = told(&plan.changes, &[]);
        (back, plan.writes())
    };
    let back = "lifecyclestage: customer → customer".to_owned();
    let ann = ("firstname", "Ann");
    assert_eq!(planned(&[ann]), (vec![back.clone()], true));
    let both = vec!["firstname: - → Ann".to_owned(), back];
    assert_eq!(planned(&[]), (both, true));
    // Somebody set it meanwhile.
    assert_eq!(planned(&[ann, ("lifecyclestage", "lead")]), (vec![], false));
}

#[test]
fn what_hubspot_makes_of_a_value_is_what_the_journal_says_and_is_not_written_again() {
    let world = World::new(json!({
        "contacts": [{"app_field": "phone", "property": "phone", "export": "overwrite"}],
        "status": {"property": "lifecyclestage", "rows": [{"status": "contacted", "value": "lead"}]},
    }));
    let person = person(
        Some("a@b.example"),
        Some(LeadStatus::Contacted),
        json!({"phone": "(555) 123-4567"}),
    );
    let none = History::default();
    let read = Stored::of(&[("phone", "1")]).read(id(7), &world.contacts);
    let plan = contact::plan(
        &world.workspace(),
        &facts(&person, Found::Live(&read), &none),
    );
    let definitions = Definitions(&world.contacts);
    let shown = |values: &[(&str, &str)]| {
        let answer = values.iter().map(|(k, v)| ((*k).to_owned(), json!(v)));
        RecordRead::fresh(id(7), [], &answer.collect())
    };
    let as_sent = shown(&[("phone", " (555) 123-4567"), ("lifecyclestage", "lead")]);
    assert_eq!(
        landed(&plan.changes, &as_sent, definitions),
        Landed::default()
    );
    assert_eq!(
        landed(&plan.changes, &shown(&[]), definitions),
        Landed::default()
    );

    // The one is written in HubSpot's way, the other was moved on meanwhile.
    let answer = shown(&[("phone", "+1 555-123-4567"), ("lifecyclestage", "customer")]);
    let made = landed(&plan.changes, &answer, definitions);
    assert_eq!(made.kept, ["lifecyclestage"]);
    let written = made.written.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].property, "phone");
    assert_eq!(written[0].old, value("1"));
    assert_eq!(written[0].new, value("+1 555-123-4567"));
    assert_eq!(written[0].sent, value("(555) 123-4567"));

    let done = Entry {
        written,
        ..entry(1, CHANGED, "phone", "1", "")
    };
    let again = |now: &str, times: usize| {
        let history = History::of(vec![&done; times], &Resumed::new());
        let read = Stored::of(&[("phone", now), ("lifecyclestage", "customer")]);
        let read = read.read(id(7), &world.contacts);
        let plan = contact::plan(
            &world.workspace(),
            &facts(&person, Found::Live(&read), &history),
        );
        told(&plan.changes, &plan.left_out)
    };
    let is = |lines: Vec<String>, line: &str| lines.iter().any(|l| l == line);
    assert!(is(again("+1 555-123-4567", 1), "phone: same"));
    assert!(is(again("2", 1), "phone: 2 → (555) 123-4567"));
    assert!(is(again("2", 3), "phone: set_back"));
}

#[test]
fn a_contact_that_somebody_made_by_hand_is_not_the_one_that_a_create_made() {
    let world = World::new(json!({}));
    let create = Entry {
        operation: Operation::Create(ObjectType::Contact),
        state: EntryState::Open {
            sent_at: Some(at(1_000)),
        },
        ..entry(1, CHANGED, "firstname", "", "Ann")
    };
    for (source, want) in [
        (Some("INTEGRATION"), Taken::Done),
        (None, Taken::Done),
        (Some("CRM_UI"), Taken::Wait(at(1_090))),
    ] {
        let answer = json!({"email": "a@b.example", "hs_object_source": source});
        let read = RecordRead::fresh(id(7), [], answer.as_object().unwrap());
        let taken = take_over(
            &create,
            ReadBack::Record(&read),
            Definitions(&world.contacts),
            TimeDelta::seconds(90),
            at(1_001),
        );
        assert_eq!(taken, want, "{source:?}");
    }
}
