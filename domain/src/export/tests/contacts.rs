//! Whom a plan is about, the owner, and who owns the values.

use serde_json::json;

use super::{
    super::{
        ContactFacts, ContactPlan, Decision, ExportCause, Found, History, LinkChange, contact,
    },
    rules::with_status,
    world::{Stored, World, facts, id, owner, person, skipped, told},
};
use crate::{
    app::{LeadStatus, Person},
    linking::LinkOrigin,
    owners::OwnerForMember,
};

pub(super) const MANUAL: ExportCause = ExportCause::Manual { anew: false };
const ANEW: ExportCause = ExportCause::Manual { anew: true };

pub(super) fn plan(
    world: &World,
    person: &Person,
    found: Found<'_>,
    change: impl FnOnce(&mut ContactFacts<'_>),
) -> ContactPlan {
    let history = History::default();
    let mut facts = facts(person, found, &history);
    change(&mut facts);
    contact::plan(&world.workspace(), &facts)
}

pub(super) fn about(plan: &ContactPlan, property: &str) -> Vec<String> {
    let start = format!("{property}:");
    let mut told = told(&plan.changes, &plan.left_out);
    told.retain(|line| line.starts_with(&start));
    told
}

#[test]
fn whom_a_plan_is_about() {
    let rows = json!([{"app_field": "city", "property": "city", "export": "overwrite"}]);
    let both = World::new(json!({"contacts": rows}));
    let update_only = World::new(json!({"contacts": rows, "export": {"contacts": "update_only"}}));
    let someone = person(Some("a@b.example"), None, json!({"city": "Ulm"}));
    let nobody = person(None, None, json!({"city": "Ulm"}));
    let new = Stored::of(&[("email", "A@B.example"), ("city", "Köln")]).read(id(7), &both.contacts);
    let same = Stored::of(&[("email", "a@b.example"), ("city", "Ulm")]).read(id(7), &both.contacts);
    let second = Stored::of(&[
        ("email", "x@b.example"),
        ("hs_additional_emails", "y@b.example; A@b.example"),
    ])
    .read(id(7), &both.contacts);
    let (archived, gone) = (Found::Archived(id(5)), Found::Gone(id(5)));
    use LinkOrigin::{Additional, Primary};
    let follow = |origin| LinkChange::Follow {
        from: id(5),
        to: id(7),
        origin,
    };
    let make = |origin| LinkChange::Make(id(7), origin);
    let auto = ExportCause::Automatic;
    for (world, who, found, linked, cause, want, link) in [
        (
            &both,
            &someone,
            Found::Nobody,
            None,
            auto,
            Ok(Decision::Create),
            LinkChange::Keep,
        ),
        (
            &update_only,
            &someone,
            Found::Nobody,
            None,
            auto,
            Err("update_only"),
            LinkChange::Keep,
        ),
        (
            &update_only,
            &someone,
            Found::Nobody,
            None,
            ANEW,
            Err("update_only"),
            LinkChange::Keep,
        ),
        (
            &both,
            &nobody,
            Found::Nobody,
            None,
            MANUAL,
            Err("no_email"),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            Found::Live(&new),
            None,
            auto,
            Ok(Decision::Adopt(id(7))),
            make(Primary),
        ),
        (
            &both,
            &someone,
            Found::Live(&same),
            None,
            auto,
            Ok(Decision::Adopt(id(7))),
            make(Primary),
        ),
        (
            &both,
            &someone,
            Found::Live(&second),
            None,
            auto,
            Ok(Decision::Adopt(id(7))),
            make(Additional),
        ),
        (
            &both,
            &someone,
            Found::Live(&new),
            Some(7),
            auto,
            Ok(Decision::Update(id(7))),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            Found::Live(&same),
            Some(7),
            auto,
            Ok(Decision::Nothing(id(7))),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            Found::Live(&new),
            Some(5),
            auto,
            Ok(Decision::Update(id(7))),
            follow(Primary),
        ),
        (
            &both,
            &someone,
            Found::Live(&second),
            Some(5),
            auto,
            Ok(Decision::Update(id(7))),
            follow(Additional),
        ),
        (
            &update_only,
            &someone,
            Found::Live(&new),
            None,
            auto,
            Ok(Decision::Adopt(id(7))),
            make(Primary),
        ),
        (
            &both,
            &someone,
            archived,
            Some(5),
            auto,
            Err("contact_archived"),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            archived,
            Some(5),
            MANUAL,
            Err("contact_archived"),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            archived,
            Some(5),
            ANEW,
            Ok(Decision::Create),
            LinkChange::Keep,
        ),
        (
            &update_only,
            &someone,
            archived,
            Some(5),
            ANEW,
            Err("update_only"),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            gone,
            Some(5),
            MANUAL,
            Err("contact_gone"),
            LinkChange::Keep,
        ),
        (
            &both,
            &someone,
            gone,
            Some(5),
            ANEW,
            Ok(Decision::Create),
            LinkChange::Keep,
        ),
    ] {
        let plan = plan(world, who, found, |f| {
            f.linked = linked.map(id);
            f.cause = cause;
        });
        let got = match skipped(&plan) {
            Some(reason) => Err(reason),
            None => Ok(plan.decision.clone()),
        };
        assert_eq!(got, want, "{found:?} linked {linked:?} {cause:?}");
        assert_eq!(plan.link, link, "{found:?} linked {linked:?}");
        assert_eq!(
            plan.writes(),
            matches!(want, Ok(Decision::Create)) || !plan.changes.is_empty()
        );
        if want.is_err() {
            assert!(plan.changes.is_empty() && !plan.writes());
        }
    }
}

#[test]
fn the_address_is_written_only_where_it_is_nobodys() {
    let world = |export: &str| {
        World::new(
            json!({"contacts": [{"app_field": "email", "property": "email", "export": export}]}),
        )
    };
    let someone = person(Some("new@b.example"), None, json!({}));
    let old = [("email", "old@b.example")];
    let additional = [
        ("email", "old@b.example"),
        ("hs_additional_emails", "New@B.example;z@b.example"),
    ];
    let international = [("email", "NEW@b.example")];
    for (export, stored, taken, want) in [
        (
            "overwrite",
            &old[..],
            false,
            "email: old@b.example → new@b.example",
        ),
        ("overwrite", &old, true, "email: key_taken"),
        ("overwrite", &additional, false, "email: additional_key"),
        ("overwrite", &international, false, "email: same"),
        ("fill_if_empty", &old, false, "email: has_value"),
        ("fill_if_empty", &additional, false, "email: additional_key"),
        ("fill_if_empty", &[], false, "email: - → new@b.example"),
        ("fill_if_empty", &[], true, "email: key_taken"),
        ("create_only", &old, false, "email: on_create_only"),
        ("do_not_export", &old, false, "email: do_not_export"),
    ] {
        let world = world(export);
        let read = Stored::of(stored).read(id(7), &world.contacts);
        let plan = plan(&world, &someone, Found::Live(&read), |f| {
            f.key_taken = taken
        });
        assert_eq!(about(&plan, "email"), [want], "{export} {stored:?}");
    }
    // A new contact has it, whatever the row says, and once.
    for export in ["overwrite", "do_not_export"] {
        let plan = plan(&world(export), &someone, Found::Nobody, |_| {});
        assert_eq!(about(&plan, "email"), ["email: - → new@b.example"]);
    }
}

#[test]
fn an_owner_is_never_replaced_unless_set() {
    let someone = person(Some("a@b.example"), None, json!({}));
    let fallback = OwnerForMember::Fallback(crate::HubSpotOwnerId::new(3).unwrap());
    for (overwrite, wanted, has, want) in [
        (false, owner(1), None, "hubspot_owner_id: - → 1"),
        (false, owner(1), Some("2"), "hubspot_owner_id: has_owner"),
        (false, owner(1), Some("1"), "hubspot_owner_id: same"),
        (false, fallback, None, "hubspot_owner_id: - → 3"),
        (false, fallback, Some("2"), "hubspot_owner_id: has_owner"),
        (
            false,
            OwnerForMember::None,
            Some("2"),
            "hubspot_owner_id: no_owner",
        ),
        (true, owner(1), Some("2"), "hubspot_owner_id: 2 → 1"),
        (true, fallback, Some("2"), "hubspot_owner_id: 2 → 3"),
        (
            true,
            OwnerForMember::None,
            Some("2"),
            "hubspot_owner_id: no_owner",
        ),
    ] {
        let world = World::new(json!({"owners": {"overwrite": overwrite}}));
        let stored: Vec<_> = has.map(|v| ("hubspot_owner_id", v)).into_iter().collect();
        let read = Stored::of(&stored).read(id(7), &world.contacts);
        let got = plan(&world, &someone, Found::Live(&read), |f| f.owner = wanted);
        assert_eq!(
            about(&got, "hubspot_owner_id"),
            [want],
            "{overwrite} {wanted:?} {has:?}"
        );
    }
    // Its definition need not have been read.
    let mut world = World::new(json!({}));
    world.contacts.remove("hubspot_owner_id");
    let new = plan(&world, &someone, Found::Nobody, |f| f.owner = owner(1));
    assert_eq!(about(&new, "hubspot_owner_id"), ["hubspot_owner_id: - → 1"]);
}

#[test]
fn of_two_people_on_one_contact_one_owns_the_values() {
    let mut world = with_status("hs_lead_status", false);
    world.settings.owners.overwrite = true;
    let rest = World::new(json!({
        "contacts": [{"app_field": "city", "property": "city", "export": "overwrite"}],
        "contact_source": {"property": "lead_source", "value": "Artisan"}}));
    world.settings.contacts = rest.settings.contacts;
    world.settings.contact_source = rest.settings.contact_source;
    let someone = person(
        Some("a@b.example"),
        Some(LeadStatus::Contacted),
        json!({"city": "Ulm"}),
    );
    let stored = [
        ("email", "x@b.example"),
        ("hs_additional_emails", "a@b.example"),
        ("hubspot_owner_id", "2"),
    ];
    let read = Stored::of(&stored).read(id(7), &world.contacts);
    let owning = |owns| {
        let plan = plan(&world, &someone, Found::Live(&read), |f| {
            f.owns_values = owns;
            f.owner = owner(1);
        });
        told(&plan.changes, &plan.left_out)
    };
    assert_eq!(
        owning(true),
        [
            "hs_lead_status: - → OPEN",
            "hubspot_owner_id: 2 → 1",
            "city: - → Ulm",
            "lead_source: - → Artisan"
        ]
    );
    assert_eq!(
        owning(false),
        [
            "lead_source: - → Artisan",
            "hs_lead_status: shared",
            "hubspot_owner_id: has_owner",
            "city: shared"
        ]
    );
}
