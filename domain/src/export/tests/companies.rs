//! Which company, and what is written to it.

use serde_json::json;

use super::{
    super::{
        CompanyDomains, CompanyFacts, CompanyPlan, Decision, History, LinkChange, NoCompany,
        RecordRead, company,
    },
    world::{self, Stored, World, id, owner, required, told},
};
use crate::{
    app::{Company, Email},
    linking::{Link, LinkOrigin},
    owners::OwnerForMember,
};

fn hit(world: &World, n: i64, domain: &str, additional: &str) -> RecordRead {
    Stored::of(&[
        ("domain", domain),
        ("hs_additional_domains", additional),
        ("name", "Acme"),
    ])
    .read(id(n), &world.companies)
}

fn plan(
    world: &World,
    company: Option<&Company>,
    hits: &[RecordRead],
    change: impl FnOnce(&mut CompanyFacts<'_>),
) -> CompanyPlan {
    let history = History::default();
    let jane = Email::parse("jane@acme.com").unwrap();
    let domains = CompanyDomains::of(company, Some(&jane)).unwrap();
    let mut facts = CompanyFacts {
        company,
        domains: &domains,
        linked: None,
        hits,
        owns_values: true,
        anew: false,
        owner: OwnerForMember::None,
        history: &history,
    };
    change(&mut facts);
    company::plan(&world.workspace(), &facts)
}

fn link(n: i64, live: bool) -> Option<Link> {
    Some(Link {
        record: id(n),
        origin: LinkOrigin::Primary,
        live,
    })
}

#[test]
fn of_several_one_is_chosen_whatever_their_order() {
    let world = World::new(json!({}));
    let h = |n, domain, additional| hit(&world, n, domain, additional);
    for (what, hits, linked, want, others) in [
        ("none", vec![], None, None, vec![]),
        (
            "search says what is not so",
            vec![h(3, "acme.org", ""), h(4, "notacme.com", "")],
            None,
            None,
            vec![],
        ),
        (
            "one",
            vec![h(3, "https://www.ACME.com/", "")],
            None,
            Some(3),
            vec![],
        ),
        (
            "one beside its primary domain",
            vec![h(3, "other.com", "x.com;acme.com")],
            None,
            Some(3),
            vec![],
        ),
        (
            "the primary one goes first",
            vec![h(3, "x.com", "acme.com"), h(5, "acme.com", "")],
            None,
            Some(5),
            vec![3],
        ),
        (
            "the lowest id",
            vec![h(9, "acme.com", ""), h(4, "acme.com", "")],
            None,
            Some(4),
            vec![9],
        ),
        (
            "the linked one stays",
            vec![h(9, "acme.com", ""), h(4, "acme.com", "")],
            link(9, true),
            Some(9),
            vec![4],
        ),
        (
            "also with another domain",
            vec![h(9, "new.com", ""), h(4, "acme.com", "")],
            link(9, true),
            Some(9),
            vec![4],
        ),
        (
            "until it is archived",
            vec![h(4, "acme.com", "")],
            link(9, false),
            Some(4),
            vec![],
        ),
    ] {
        let app = world::company(json!({"domain": "acme.com"}));
        let ids = |plan: &CompanyPlan| {
            let others: Vec<i64> = plan.others.iter().map(|o| o.get()).collect();
            (plan.company().map(|c| c.get()), others)
        };
        let there = plan(&world, Some(&app), &hits, |f| f.linked = linked);
        assert_eq!(ids(&there), (want, others.clone()), "{what}");
        let reversed: Vec<_> = hits.iter().rev().cloned().collect();
        let back = plan(&world, Some(&app), &reversed, |f| f.linked = linked);
        assert_eq!(ids(&back), (want, others), "{what}");
    }
}

#[test]
fn what_hubspot_refused_is_left_out_and_no_company_is_made_without_its_domain() {
    let settings = json!({"companies": [{"app_field": "city", "property": "city"},
        {"app_field": "name", "property": "name", "export": "overwrite"}]});
    let world = World::new(settings);
    let app = world::company(json!({"domain": "acme.com", "name": "Acme Inc", "city": "Ulm"}));
    let there = vec![hit(&world, 3, "acme.com", "")];
    let nothing = Ok(Decision::Nothing(id(3)));
    let lacks = |name: &str| Err(NoCompany::PortalRule(vec![name.to_owned()]));
    for (hits, refused, want, left) in [
        (
            &[][..],
            &["city"][..],
            Ok(Decision::Create),
            &["domain", "name"][..],
        ),
        (&[], &["domain"], lacks("domain"), &[]),
        (&[], &["city", "industry"], lacks("industry"), &[]),
        (&there, &["city"], Ok(Decision::Update(id(3))), &["name"]),
        (
            &there,
            &["industry"],
            Ok(Decision::Update(id(3))),
            &["city", "name"],
        ),
        (&there, &["city", "name"], nothing, &[]),
    ] {
        let linked = link(3, true).filter(|_| !hits.is_empty());
        let planned = plan(&world, Some(&app), hits, |f| f.linked = linked);
        let rest = planned.without_refused(&refused.iter().copied().collect());
        let mut names: Vec<&str> = rest.changes.iter().map(|c| c.property.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            (&rest.decision, names.as_slice()),
            (&want, left),
            "{refused:?}"
        );
    }
}

#[test]
fn made_adopted_updated_or_left() {
    let settings = json!({
        "companies": [{"app_field": "name", "property": "name", "export": "overwrite"},
                      {"app_field": "domain", "property": "domain", "export": "overwrite"},
                      {"app_field": "city", "property": "city"},
                      {"app_field": "industry", "property": "industry", "options": {"Software": "TECH"}}],
        "company_values": [{"property": "type", "value": "PROSPECT"}]});
    let world = World::new(settings.clone());
    let app = world::company(
        json!({"name": "Acme GmbH", "domain": "www.acme.com", "city": "Ulm", "industry": "Software"}),
    );
    let lines = |plan: &CompanyPlan| told(&plan.changes, &plan.left_out);

    let made = plan(&world, Some(&app), &[], |f| f.owner = owner(1));
    assert_eq!(made.decision, Ok(Decision::Create));
    assert_eq!(
        lines(&made),
        [
            "domain: - → acme.com",
            "hubspot_owner_id: - → 1",
            "name: - → Acme GmbH",
            "city: - → Ulm",
            "industry: - → TECH",
            "type: - → PROSPECT"
        ]
    );
    // Of a company that only an address names: never nameless.
    let bare = plan(&world, None, &[], |_| {});
    assert_eq!(
        lines(&bare)[..3],
        [
            "domain: - → acme.com",
            "type: - → PROSPECT",
            "name: - → acme.com"
        ]
    );

    let there = [hit(&world, 3, "acme.com", "")];
    let adopted = plan(&world, Some(&app), &there, |_| {});
    assert_eq!(adopted.decision, Ok(Decision::Adopt(id(3))));
    assert_eq!(adopted.link, LinkChange::Make(id(3), LinkOrigin::Primary));
    assert_eq!(
        lines(&adopted),
        [
            "name: Acme → Acme GmbH",
            "city: - → Ulm",
            "industry: - → TECH",
            "type: - → PROSPECT",
            "hubspot_owner_id: no_owner",
            "domain: same"
        ]
    );
    // A match by an additional domain does not replace the primary one.
    let beside = [hit(&world, 3, "acme.de", "acme.com")];
    let beside = plan(&world, Some(&app), &beside, |_| {});
    assert!(lines(&beside).contains(&"domain: additional_key".to_owned()));
    let shared = plan(&world, Some(&app), &there, |f| f.owns_values = false);
    assert_eq!(lines(&shared)[0], "type: - → PROSPECT");
    assert!(lines(&shared).contains(&"name: shared".to_owned()));

    let followed = plan(&world, Some(&app), &there, |f| f.linked = link(2, false));
    assert_eq!(followed.decision, Ok(Decision::Update(id(3))));
    assert_eq!(
        followed.link,
        LinkChange::Follow {
            from: id(2),
            to: id(3),
            origin: LinkOrigin::Primary
        }
    );

    let archived = plan(&world, Some(&app), &[], |f| f.linked = link(2, false));
    assert_eq!(archived.decision, Err(NoCompany::Archived));
    let anew = plan(&world, Some(&app), &[], |f| {
        f.linked = link(2, false);
        f.anew = true;
    });
    assert_eq!(anew.decision, Ok(Decision::Create));

    // A field that names no company's domain is left out, and whoever has one goes on without it.
    let odd = world::company(json!({"domain": "acme", "city": "Ulm"}));
    let odd = plan(&world, Some(&odd), &there, |_| {});
    assert!(lines(&odd).contains(&"domain: not_a_domain".to_owned()));
    assert!(odd.writes());

    let mut settings = settings;
    settings["export"] = json!({"companies": "update_only"});
    let update_only = World::new(settings);
    assert_eq!(
        plan(&update_only, Some(&app), &[], |_| {}).decision,
        Err(NoCompany::UpdateOnly)
    );
    assert!(plan(&update_only, Some(&app), &there, |_| {}).writes());

    let mut strict = World::new(json!({}));
    strict.required_of_companies = vec![required("city", None)];
    let lacking = plan(&strict, Some(&app), &[], |_| {});
    assert_eq!(
        lacking.decision,
        Err(NoCompany::PortalRule(vec!["city".to_owned()]))
    );
    assert!(!lacking.writes());
}

#[test]
fn the_mirror_may_say_that_nothing_is_to_be_written_and_no_more() {
    let world = World::new(json!({"companies": [{"app_field": "city", "property": "city"}]}));
    let app = world::company(json!({"domain": "acme.com", "city": "Ulm"}));
    let mirrored = |city: serde_json::Value| {
        let properties = json!({"domain": "acme.com", "hs_additional_domains": null, "city": city,
                                "hubspot_owner_id": null});
        [RecordRead::mirrored(id(3), properties.as_object().unwrap())]
    };
    let full = plan(&world, Some(&app), &mirrored(json!("Köln")), |f| {
        f.linked = link(3, true)
    });
    assert!(!full.read_first && full.decision == Ok(Decision::Nothing(id(3))));
    let empty = plan(&world, Some(&app), &mirrored(json!(null)), |f| {
        f.linked = link(3, true)
    });
    assert!(empty.read_first);
    // A linked company that nobody read is not taken for none.
    let unread = plan(&world, Some(&app), &[], |f| f.linked = link(3, true));
    assert!(unread.read_first && unread.company() == Some(id(3)) && !unread.writes());
}
