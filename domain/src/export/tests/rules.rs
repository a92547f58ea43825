//! Status, lifecycle stages, and what the portal requires.

use serde_json::json;

use super::{
    super::{ContactPlan, Decision, ExportCause, Found},
    contacts::{MANUAL, about, plan},
    world::{Stored, World, id, person, planned, required, skipped},
};
use crate::app::LeadStatus;

pub(super) fn with_status(property: &str, backward: bool) -> World {
    let stages = ["subscriber", "lead", "opportunity", "customer"];
    let of_status = ["NEW", "OPEN", "CONNECTED", "CONNECTED"];
    let values = if property == "lifecyclestage" {
        stages
    } else {
        of_status
    };
    let rows: Vec<_> = ["queued", "contacted", "replied", "meeting_booked"]
        .iter()
        .zip(values)
        .map(|(status, value)| json!({"status": status, "value": value}))
        .collect();
    World::new(json!({"status": {"property": property, "rows": rows, "allow_backward": backward}}))
}

#[test]
fn a_status_is_told_once_and_by_hand_again() {
    use LeadStatus::{Contacted, OutOfOffice, Replied};
    let world = with_status("hs_lead_status", false);
    let auto = ExportCause::Automatic;
    let line = "hs_lead_status: NEW → OPEN";
    for (status, has, said, cause, want, says) in [
        (
            Some(Contacted),
            Some("NEW"),
            None,
            auto,
            line,
            Some(Contacted),
        ),
        (
            Some(Contacted),
            Some("NEW"),
            Some(Replied),
            auto,
            line,
            Some(Contacted),
        ),
        (
            Some(Contacted),
            Some("NEW"),
            Some(Contacted),
            auto,
            "hs_lead_status: status_said",
            Some(Contacted),
        ),
        (
            Some(Contacted),
            Some("NEW"),
            Some(Contacted),
            MANUAL,
            line,
            Some(Contacted),
        ),
        (
            Some(Contacted),
            Some("OPEN"),
            None,
            auto,
            "hs_lead_status: same",
            Some(Contacted),
        ),
        (
            Some(Contacted),
            None,
            None,
            auto,
            "hs_lead_status: - → OPEN",
            Some(Contacted),
        ),
        (
            Some(OutOfOffice),
            Some("NEW"),
            Some(Contacted),
            auto,
            "hs_lead_status: status_not_mapped",
            Some(Contacted),
        ),
    ] {
        let someone = person(Some("a@b.example"), status, json!({}));
        let stored: Vec<_> = has.map(|v| ("hs_lead_status", v)).into_iter().collect();
        let read = Stored::of(&stored).read(id(7), &world.contacts);
        let plan = plan(&world, &someone, Found::Live(&read), |f| {
            f.status_said = said;
            f.cause = cause;
        });
        assert_eq!(
            about(&plan, "hs_lead_status"),
            [want],
            "{status:?} {has:?} {said:?}"
        );
        assert_eq!(plan.status_said, says);
    }
    // A new contact gets it with the create, also when an earlier contact was told.
    let someone = person(Some("a@b.example"), Some(Contacted), json!({}));
    let new = plan(&world, &someone, Found::Nobody, |f| {
        f.status_said = Some(Contacted)
    });
    assert_eq!(about(&new, "hs_lead_status"), ["hs_lead_status: - → OPEN"]);
    // Without a status, nothing is said.
    let quiet = planned(&world, &person(Some("a@b.example"), None, json!({})), &[]);
    assert_eq!(about(&quiet, "hs_lead_status"), Vec::<String>::new());
}

#[test]
fn lifecycle_stages_move_forward_only() {
    use LeadStatus::{Contacted, MeetingBooked};
    for (backward, status, has, want) in [
        (
            false,
            Contacted,
            Some("subscriber"),
            "lifecyclestage: subscriber → lead",
        ),
        (false, Contacted, Some("lead"), "lifecyclestage: same"),
        (
            false,
            Contacted,
            Some("customer"),
            "lifecyclestage: stage_back",
        ),
        (
            false,
            MeetingBooked,
            Some("opportunity"),
            "lifecyclestage: opportunity → customer",
        ),
        (
            false,
            Contacted,
            Some("removed"),
            "lifecyclestage: stage_unknown",
        ),
        (false, Contacted, None, "lifecyclestage: - → lead"),
        (
            true,
            Contacted,
            Some("customer"),
            "lifecyclestage: customer → lead (emptied first)",
        ),
        (
            true,
            Contacted,
            Some("removed"),
            "lifecyclestage: stage_unknown",
        ),
        (
            true,
            MeetingBooked,
            Some("lead"),
            "lifecyclestage: lead → customer",
        ),
    ] {
        let world = with_status("lifecyclestage", backward);
        let stored: Vec<_> = has.map(|v| ("lifecyclestage", v)).into_iter().collect();
        let someone = person(Some("a@b.example"), Some(status), json!({}));
        let plan = planned(&world, &someone, &stored);
        assert_eq!(
            about(&plan, "lifecyclestage"),
            [want],
            "{backward} {status} {has:?}"
        );
    }
    // Neither a row nor a fixed value may do what the status may not.
    let row =
        json!([{"app_field": "seniority", "property": "lifecyclestage", "export": "overwrite"}]);
    let fixed = json!([{"property": "lifecyclestage", "value": "lead", "behavior": "overwrite"}]);
    for world in [
        World::new(json!({"contacts": row})),
        World::new(json!({"contact_values": fixed})),
    ] {
        let someone = person(Some("a@b.example"), None, json!({"seniority": "lead"}));
        let plan = planned(&world, &someone, &[("lifecyclestage", "customer")]);
        assert_eq!(
            about(&plan, "lifecyclestage"),
            ["lifecyclestage: stage_back"]
        );
    }
}

#[test]
fn what_the_portal_requires_is_named() {
    let row = |field: &str, property: &str| json!({"app_field": field, "property": property, "export": "overwrite"});
    let mut world =
        World::new(json!({"contacts": [row("city", "city"), row("job_title", "jobtitle")]}));
    let someone = person(
        Some("a@b.example"),
        None,
        json!({"city": "Ulm", "job_title": "Head"}),
    );
    let new = |world: &World| plan(world, &someone, Found::Nobody, |_| {});
    let lacking = |plan: &ContactPlan| match &plan.decision {
        Decision::Skip(skip) => skip.properties.clone(),
        _ => Vec::new(),
    };
    // What is given, or asked for only in a case that is not, is no matter.
    world.required = vec![
        required("city", None),
        required("phone", Some(("city", &["Köln"]))),
    ];
    assert_eq!(new(&world).decision, Decision::Create);
    // Always required, and not given: nothing is made, and each is named.
    world.required = vec![
        required("phone", None),
        required("lastname", None),
        required("city", None),
    ];
    let plan = new(&world);
    assert_eq!(skipped(&plan), Some("portal_rule"));
    assert_eq!(lacking(&plan), ["lastname", "phone"]);
    // Updates are not asked for it.
    assert!(planned(&world, &someone, &[]).writes());
    // Required because of a value of ours: that one is left out, the rest is written.
    world.required = vec![required("phone", Some(("city", &["Ulm"])))];
    for plan in [new(&world), planned(&world, &someone, &[("city", "Köln")])] {
        assert_eq!(about(&plan, "city"), ["city: portal_requires"]);
        assert_eq!(about(&plan, "jobtitle").len(), 1);
        assert!(plan.writes());
    }
    let has_phone = planned(&world, &someone, &[("city", "Köln"), ("phone", "1")]);
    assert_eq!(about(&has_phone, "city"), ["city: Köln → Ulm"]);
    // What was left out may itself be required: a chain ends.
    world.required = vec![
        required("phone", Some(("city", &[]))),
        required("city", Some(("jobtitle", &["Head"]))),
        required("jobtitle", None),
    ];
    assert_eq!(lacking(&new(&world)), ["jobtitle"]);
}
