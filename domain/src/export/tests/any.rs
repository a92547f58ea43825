//! Any settings, any person, any contact.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{
        CompanyDomains, CompanyFacts, Decision, ExportCause, Found, History, Rule, company, contact,
    },
    world::{self, Stored, World, facts, id, owner, person, required},
};
use crate::{
    api::{ExportPreview, PreviewAction},
    app::{Email, LeadStatus},
    owners::OwnerForMember,
};

const FIELDS: [&str; 9] = [
    "email",
    "job_title",
    "city",
    "phone",
    "lead_score",
    "email_verified",
    "tags",
    "custom.since",
    "custom.at",
];
const PROPERTIES: [&str; 16] = [
    "email",
    "jobtitle",
    "city",
    "phone",
    "score",
    "interests",
    "since",
    "at",
    "verified",
    "rating",
    "lifecyclestage",
    "hs_lead_status",
    "readonly",
    "computed",
    "gone",
    "nowhere",
];

fn row() -> impl Strategy<Value = Value> {
    let behaviors = vec![
        "fill_if_empty",
        "overwrite",
        "create_only",
        "append",
        "do_not_export",
    ];
    (
        proptest::sample::select(FIELDS.to_vec()),
        proptest::sample::select(PROPERTIES.to_vec()),
        proptest::sample::select(behaviors),
        proptest::sample::select(vec!["crm", "artisan"]),
    )
        .prop_map(|(field, property, export, priority)| {
            json!({"app_field": field, "property": property, "export": export, "import_priority": priority})
        })
}

fn settings() -> impl Strategy<Value = Value> {
    let stamps = vec!["fill_if_empty", "overwrite", "create_only"];
    (
        proptest::collection::vec(row(), 0..10),
        proptest::sample::select(stamps),
        any::<(bool, bool, bool)>(),
        proptest::sample::select(vec!["hs_lead_status", "lifecyclestage"]),
    )
        .prop_map(|(rows, stamp, (backward, overwrite, update_only), status)| {
            let rules: Vec<Value> = [("contacted", 0), ("replied", 1), ("interested", 2)]
                .iter()
                .map(|(s, n)| {
                    let value = if status == "lifecyclestage" {
                        ["lead", "opportunity", "customer"][*n]
                    } else {
                        ["NEW", "OPEN", "CONNECTED"][*n]
                    };
                    json!({"status": s, "value": value})
                })
                .collect();
            json!({
                "contacts": rows,
                "export": {"contacts": if update_only { "update_only" } else { "create_and_update" }},
                "contact_source": {"property": "lead_source", "value": "Artisan", "behavior": stamp},
                "contact_values": [{"property": "fixed", "value": " x ", "behavior": stamp}],
                "status": {"property": status, "rows": rules, "allow_backward": backward},
                "owners": {"overwrite": overwrite},
            })
        })
}

fn fields() -> impl Strategy<Value = Value> {
    (
        proptest::option::of("[ -~\u{1}\u{a0}é\n\r]{1,6}"),
        proptest::option::of(-1.0e6..1.0e6f64),
        proptest::option::of(any::<bool>()),
        proptest::option::of(proptest::collection::vec("[a-d]", 1..4)),
        proptest::option::of("20[0-2][0-9]-0[1-9]-[0-2][1-9]"),
    )
        .prop_map(|(text, number, flag, list, day)| {
            let mut all = json!({});
            let mut set = |key: &str, value: Option<Value>| {
                if let Some(value) = value {
                    all[key] = value;
                }
            };
            for key in ["job_title", "city", "phone"] {
                set(key, text.clone().map(Value::from));
            }
            set("lead_score", number.map(Value::from));
            set("email_verified", flag.map(Value::from));
            set("tags", list.map(Value::from));
            set(
                "custom.at",
                day.clone().map(|d| format!("{d}T10:11:12.000Z").into()),
            );
            set("custom.since", day.map(Value::from));
            all
        })
}

fn stored() -> impl Strategy<Value = Stored> {
    let some = |name: &'static str, values: Vec<&'static str>| {
        proptest::option::of(proptest::sample::select(values)).prop_map(move |v| (name, v))
    };
    (
        some("email", vec!["a@b.example", "A@b.example", "z@b.example"]),
        some("hs_additional_emails", vec!["a@b.example", "y@b.example"]),
        some("jobtitle", vec!["x", "Boss "]),
        some("city", vec!["Ulm"]),
        some("score", vec!["1.50", "many", "7"]),
        some("interests", vec!["a", "c;a", "old;b"]),
        some("since", vec!["2020-01-01", "1772236800000"]),
        some(
            "lifecyclestage",
            vec!["subscriber", "opportunity", "customer", "removed"],
        ),
        some("hs_lead_status", vec!["NEW", "CONNECTED"]),
        some("hubspot_owner_id", vec!["1", "2"]),
        some("lead_source", vec!["Web", "Artisan"]),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j, k)| {
            let all = [a, b, c, d, e, f, g, h, i, j, k];
            Stored(
                all.into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                    .collect(),
            )
        })
}

fn status() -> impl Strategy<Value = Option<LeadStatus>> {
    proptest::option::of(proptest::sample::select(LeadStatus::ALL.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What was planned and done is not planned again, whatever HubSpot makes of the values; nothing
    /// is written that cannot be, was left out, is nobody's to write, or belongs to an owner.
    #[test]
    fn what_was_done_is_not_done_again(
        document in settings(),
        fields in fields(),
        before in stored(),
        (status, said) in (status(), status()),
        (is_new, is_linked, owns, taken, by_hand) in any::<(bool, bool, bool, bool, bool)>(),
        wants_owner in proptest::option::of(1i64..=3),
        ruled in proptest::sample::select(vec!["jobtitle", "city", "phone", "nothing"]),
    ) {
        let mut world = World::new(document);
        if ruled != "nothing" {
            world.required = vec![required(ruled, None), required("phone", Some(("city", &["Ulm"])))];
        }
        let someone = person(Some("a@b.example"), status, fields);
        let history = History::default();
        let read = before.read(id(7), &world.contacts);
        let mut asked = facts(&someone, if is_new { Found::Nobody } else { Found::Live(&read) }, &history);
        asked.linked = (is_linked && !is_new).then(|| id(7));
        asked.owns_values = owns || is_new;
        asked.key_taken = taken;
        asked.status_said = said;
        asked.owner = wants_owner.map_or(OwnerForMember::None, owner);
        asked.cause = if by_hand { ExportCause::Manual { anew: false } } else { ExportCause::Automatic };
        let plan = contact::plan(&world.workspace(), &asked);
        prop_assert_eq!(&contact::plan(&world.workspace(), &asked), &plan);

        let written: BTreeSet<&str> = plan.changes.iter().map(|c| c.property.as_str()).collect();
        prop_assert_eq!(written.len(), plan.changes.len(), "one rule for a property");
        for change in &plan.changes {
            let definition = &world.contacts[&change.property];
            prop_assert!(definition.writable());
            prop_assert!(change.property != "hs_additional_emails");
            let had = if is_new { None } else { read.value(&change.property) };
            prop_assert_eq!(change.old.as_ref().map(|o| o.as_str()), had);
            let fills = matches!(change.rule, Rule::Row(_))
                && change.behavior == crate::settings::ExportBehavior::FillIfEmpty;
            prop_assert!(!fills || had.is_none());
            if change.property == "hubspot_owner_id" && had.is_some() {
                prop_assert!(world.settings.owners.overwrite && owns);
            }
            if matches!(change.rule, Rule::Row(_) | Rule::Status(_)) {
                prop_assert!(owns || is_new);
            }
        }
        // A rule that was left out wrote nothing, and its property is another rule's then.
        for left in &plan.left_out {
            let same_rule = |c: &&super::super::Change| c.property == left.property && c.rule == left.rule;
            prop_assert!(
                plan.changes.iter().find(same_rule).is_none()
                    || world.settings.contacts.iter().filter(|r| Rule::Row(r.app_field.clone()) == left.rule).count() > 1
            );
        }

        // Shown as it would be written.
        let preview = ExportPreview::new(&plan, Err(super::super::NoDomain::Missing));
        let shown: Vec<_> = preview.contact.changes.iter().map(|c| (c.property.clone(), c.old.clone(), c.new.clone())).collect();
        let planned: Vec<_> = plan.changes.iter().map(|c| (
            c.property.clone(),
            c.old.as_ref().map(|o| o.as_str().to_owned()),
            c.write.result().as_str().to_owned(),
        )).collect();
        prop_assert_eq!(shown, planned);
        prop_assert_eq!(preview.contact.left_out.len(), plan.left_out.len());
        prop_assert_eq!(preview.may_become_marketing_contact, plan.decision == Decision::Create);
        let skipped = matches!(plan.decision, Decision::Skip(_));
        prop_assert_eq!(preview.contact.action == PreviewAction::Skip, skipped);
        prop_assert!(!skipped || (plan.changes.is_empty() && preview.no_company.is_none()));
        if skipped {
            return Ok(());
        }

        // Done, and asked again.
        let mut after = if is_new { Stored::default() } else { before.clone() };
        after.apply(&plan.changes, &world.contacts);
        let read = after.read(id(7), &world.contacts);
        let mut again = facts(&someone, Found::Live(&read), &history);
        again.linked = Some(id(7));
        again.owns_values = asked.owns_values;
        again.key_taken = taken;
        again.status_said = plan.status_said;
        again.owner = asked.owner;
        again.cause = asked.cause;
        let second = contact::plan(&world.workspace(), &again);
        prop_assert_eq!(&second.decision, &Decision::Nothing(id(7)), "{:?} then {:?}", plan, second);
        prop_assert!(second.changes.is_empty());
    }

    /// The same of companies.
    #[test]
    fn a_company_that_was_written_is_not_written_again(
        behavior in proptest::sample::select(vec!["fill_if_empty", "overwrite", "create_only", "append"]),
        (named, in_town, staffed) in any::<(bool, bool, bool)>(),
        domain in proptest::sample::select(vec!["", "acme.com", "www.acme.de", "gmail.com"]),
        hits in proptest::collection::vec((1i64..5, 0usize..4, any::<bool>()), 0..4),
        (overwrite, update_only, owns) in any::<(bool, bool, bool)>(),
    ) {
        let row = |field: &str, property: &str| json!({"app_field": field, "property": property, "export": behavior});
        let world = World::new(json!({
            "companies": [row("name", "name"), row("domain", "domain"), row("city", "city"), row("employees", "numberofemployees")],
            "company_values": [{"property": "type", "value": "PROSPECT", "behavior": "overwrite"}],
            "owners": {"overwrite": overwrite},
            "export": {"companies": if update_only { "update_only" } else { "create_and_update" }},
        }));
        let mut fields = json!({"domain": domain});
        if named { fields["name"] = json!("Acme "); }
        if in_town { fields["city"] = json!("Ulm\r\nB"); }
        if staffed { fields["employees"] = json!(12); }
        let app = world::company(fields);
        let email = Email::parse("jane@acme.com").unwrap();
        let domains = CompanyDomains::of(Some(&app), Some(&email)).unwrap();
        let history = History::default();
        let mut there: std::collections::BTreeMap<i64, Stored> = hits
            .iter()
            .map(|(n, d, city)| {
                let domain = ["acme.com", "WWW.ACME.COM", "acme.de", "other.com"][*d];
                let mut stored = Stored::of(&[("domain", domain), ("hs_additional_domains", "acme.com;x.com")]);
                if *city {
                    stored.0.insert("city".to_owned(), "Köln".to_owned());
                }
                (*n, stored)
            })
            .collect();
        let plan = |there: &std::collections::BTreeMap<i64, Stored>, linked| {
            let reads: Vec<_> = there.iter().map(|(n, s)| s.read(id(*n), &world.companies)).collect();
            company::plan(&world.workspace(), &CompanyFacts {
                company: Some(&app),
                domains: &domains,
                linked,
                hits: &reads,
                owns_values: owns,
                anew: false,
                owner: owner(1),
                history: &history,
            })
        };
        let first = plan(&there, None);
        // All of them are known by acme.com besides.
        let known = if domain == "www.acme.de" {
            hits.iter().any(|(n, d, _)| *d == 2 && there[n].0["domain"] == "acme.de")
        } else {
            !hits.is_empty()
        };
        for change in &first.changes {
            let kept = change.property == "hubspot_owner_id" && change.old.is_some();
            prop_assert!(!kept || (overwrite && owns));
        }
        let chosen = match &first.decision {
            Err(_) => {
                prop_assert!(update_only && !known && !first.writes());
                return Ok(());
            }
            Ok(Decision::Create) => {
                prop_assert!(!known && !update_only);
                there.insert(9, Stored::default());
                9
            }
            Ok(_) => {
                prop_assert!(known);
                first.company().unwrap().get()
            }
        };
        there.get_mut(&chosen).unwrap().apply(&first.changes, &world.companies);
        let link = crate::linking::Link { record: id(chosen), origin: crate::linking::LinkOrigin::Primary, live: true };
        let second = plan(&there, Some(link));
        prop_assert_eq!(second.decision, Ok(Decision::Nothing(id(chosen))), "{:?}", second.changes);
    }
}
