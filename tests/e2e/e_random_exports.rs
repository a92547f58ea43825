//! E1–E7, X1: random exports, from a seed: settings, people, companies, facts, edits on both sides, merges,
//! requests by hand and in bulk, with faults in between. Whenever it is quiet HubSpot has what a naive
//! recomputation has (`tests/model/src/exports`), and each request ended as that says. Each rule of it,
//! left out on purpose, has to be noticed. In the end everybody is exported once more by hand, as the preview
//! says (E9), and then again without a write.
//!
//! `EXPORTS_SEED` repeats a run; `SOAK=full` makes it a long one.
mod portal;
mod random;
mod run;
mod showcase;
mod words;

use std::collections::BTreeSet;

use e2e::{
    exports::entries,
    planted::{Planted, change_settings},
    random::{Random, seed},
    store_of,
};
use model::exports::{ExportRule, Exports, Op, Settings};
use serde_json::json;

use portal::Thought;
use run::Run;
use showcase::{now, owners, plant};

/// Rounds with settings at random, and operations of a wave.
fn size() -> (usize, usize) {
    if std::env::var("SOAK").is_ok_and(|soak| soak == "full") {
        (30, 40)
    } else {
        (1, 14)
    }
}

/// What strikes writes of contacts and companies while it is in force.
async fn strike(p: &Planted, seed: u64) {
    let named = |name: &str| json!({"answer": {"name": name}});
    let faults = [
        ("POST", "companies$", json!("after"), named("internal")),
        ("POST", "contacts$", json!("after"), json!("drop")),
        (
            "POST",
            "contacts$",
            json!({"later_ms": 1_500}),
            json!("drop"),
        ),
        ("PATCH", "contacts/*", json!("before"), named("secondly")),
        ("PATCH", "contacts/*", json!("after"), named("bad_gateway")),
        ("POST", "batch/create", json!("after"), named("unavailable")),
    ];
    for (n, (method, path, when, effect)) in faults.into_iter().enumerate() {
        let rule = json!({
            "method": method, "path": path, "when": when, "effect": effect, "probability": 0.15,
            "seed": seed.wrapping_add(n as u64),
        });
        p.tenant.control("POST", "faults", Some(rule)).await;
    }
}

async fn calm(p: &Planted) {
    p.tenant.control("DELETE", "faults", None).await;
}

fn nothing_exported(owners: [i64; 3]) -> Exports {
    let mut model = Exports::new(
        words::contact_properties(),
        words::company_properties(),
        words::STAGES,
    );
    let ids = owners.map(i64::cast_unsigned);
    model.owners.extend([("m1", ids[0]), ("m2", ids[1])]);
    model.required.push("hs_language");
    model.refused = ".zzq";
    model
}

async fn begin(seed: u64) -> (Run, showcase::Showcase, [i64; 3]) {
    let mut p = Planted::new().await;
    let owners = owners(&p).await;
    for property in words::own_properties() {
        let path = "/crm/properties/2026-09/contacts";
        p.hubspot("POST", path, Some(property)).await;
    }
    p.tenant.control("POST", "settle", None).await;
    let shown = plant(&mut p, owners).await;
    let portal = json!({
        "required_properties": {"contacts": ["hs_language"]},
        "search_lag_ms": {"min": 0, "max": 1_000}, "search_flapping": true,
    });
    p.tenant.control("PATCH", "", Some(portal)).await;
    let door = p.connect().await;
    let store = store_of(p.tenant.api.addresses()).await;
    let members = json!({"items": [
        {"id": "m1", "version": 1, "email": "one@team-ex.com"},
        {"id": "m2", "version": 1, "email": "somebody@team-ex.com"},
        {"id": "m3", "version": 1, "email": "nobody@team-ex.com"},
    ]});
    door.ok("POST", "/members", Some(members)).await;
    let fields = Some(words::own_fields());
    door.ok("POST", "/custom-fields", fields).await;
    let model = nothing_exported(owners);
    let run = Run::new(p, door, store, Random(seed), model);
    (run, shown, owners)
}

#[tokio::test]
async fn whatever_is_exported_is_as_recomputed() {
    let seed = seed("EXPORTS_SEED");
    println!("EXPORTS_SEED={seed}");
    let (rounds, operations) = size();
    let (mut run, shown, owners) = begin(seed).await;
    let fallback = owners[2].cast_unsigned();
    run.arrive().await;
    let ops = showcase::before_settings();
    run.wave(&ops).await;
    let door = run.door().clone();
    change_settings(&door, |document| {
        document["owners"]["rows"] = json!([{"owner": owners[1], "member": "m2"}]);
    })
    .await;
    let first = words::settings(fallback);
    run.save(first.clone()).await;
    let ops = showcase::first_wave();
    let ops = run.beside(ops, operations);
    run.wave(&ops).await;

    showcase::first_edits(&run.model, &mut run.p, &shown).await;
    random_edits(&mut run, operations).await;
    strike(&run.p, seed).await;
    let ops = showcase::second_wave(&run.model);
    let ops = run.beside(ops, operations);
    run.wave(&ops).await;
    calm(&run.p).await;

    showcase::second_edits(&run.model, &mut run.p).await;
    random_edits(&mut run, operations).await;
    run.save(showcase::third_settings(&first)).await;
    let ops = showcase::third_wave(&run.model);
    let ops = run.beside(ops, operations);
    run.wave(&ops).await;

    showcase::third_edits(&run.model, &mut run.p, &shown).await;
    random_edits(&mut run, operations).await;
    run.save(showcase::fourth_settings(&first)).await;
    let ops = showcase::fourth_wave(&run.model);
    let ops = run.beside(ops, operations);
    run.wave(&ops).await;

    for round in 0..rounds {
        random_edits(&mut run, operations).await;
        let settings = run.random_settings(fallback);
        run.save(settings).await;
        strike(&run.p, seed.wrapping_add(100 * round as u64)).await;
        let ops = run.beside(Vec::new(), 2 * operations);
        run.wave(&ops).await;
        calm(&run.p).await;
    }
    random_edits(&mut run, operations).await;
    let settings = run.random_settings(fallback);
    run.save(settings).await;
    run.as_previewed().await;
    for person in run.model.people.keys() {
        let open = entries(run.door(), person, "open").await;
        assert!(open.is_empty(), "{person}: {open:#?}");
    }
    println!("{:?}", run.done);
    assert!(
        run.unnoticed.is_empty(),
        "left out, and nobody notices: {:?}",
        run.unnoticed
    );
}

async fn random_edits(run: &mut Run, operations: usize) {
    let mut touched = BTreeSet::new();
    for _ in 0..operations {
        run.in_hubspot(&mut touched).await;
    }
    run.arrive().await;
    run.check_links().await;
}

/// A workspace whose exports are carried out as the model says, by nobody.
struct Imagined {
    hubspot: Thought,
    model: Exports,
    unnoticed: Vec<ExportRule>,
}

impl Imagined {
    fn wave(&mut self, ops: &[Op]) {
        let before = self.model.clone();
        let outcomes = self.model.wave(ops, None);
        let observed = self.hubspot.observed(&self.model, outcomes.clone());
        let (found, ids) = run::differences(&before, &self.model, &outcomes, &observed);
        assert!(found.is_empty(), "{found:#?}");
        run::unnoticed(&mut self.unnoticed, &before, ops, &observed);
        self.model
            .arrive(observed.contacts, observed.companies, &ids);
        self.model.written.clear();
    }

    /// What was done in HubSpot arrives.
    fn arrive(&mut self) {
        let (contacts, companies) = (&self.hubspot.contacts, &self.hubspot.companies);
        let none = std::collections::BTreeMap::new();
        self.model
            .arrive(contacts.clone(), companies.clone(), &none);
    }

    /// Saves settings whose policy is another one, at a moment of their own.
    fn save(&mut self, settings: &Settings) {
        let before = now();
        let mut since = before;
        while since == before {
            since = now();
        }
        let settings = settings.clone();
        self.model.settings = Some(Settings { since, ..settings });
    }
}

#[tokio::test]
async fn each_rule_of_exports_that_is_left_out_is_noticed() {
    let owners = [71, 72, 73];
    let mut hubspot = Thought::default();
    let shown = plant(&mut hubspot, owners).await;
    let mut of = Imagined {
        hubspot,
        model: nothing_exported(owners),
        unnoticed: ExportRule::ALL.to_vec(),
    };
    of.arrive();
    of.wave(&showcase::before_settings());
    let first = words::settings(73);
    of.save(&first);
    of.wave(&showcase::first_wave());
    showcase::first_edits(&of.model, &mut of.hubspot, &shown).await;
    of.arrive();
    of.wave(&showcase::second_wave(&of.model));
    showcase::second_edits(&of.model, &mut of.hubspot).await;
    of.arrive();
    of.save(&showcase::third_settings(&first));
    of.wave(&showcase::third_wave(&of.model));
    showcase::third_edits(&of.model, &mut of.hubspot, &shown).await;
    of.arrive();
    of.save(&showcase::fourth_settings(&first));
    of.wave(&showcase::fourth_wave(&of.model));
    assert!(
        of.unnoticed.is_empty(),
        "left out, and nobody notices: {:?}",
        of.unnoticed
    );
}
