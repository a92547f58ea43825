//! X1, E2, E3, E10: each kind of write, and whatever can become of it: it is done once, nothing is left
//! open, and the journal tells the truth.

use std::collections::BTreeMap;

use e2e::{
    door::Door,
    exports::{all_ended, ask, export_all, live, primary_domains},
    journals::{State, assert_true, journal, state},
    mirrored,
    planted::{Planted, change_settings},
    profiles::until,
    shared,
};
use serde_json::{Value, json};

/// The most people whose exports are never taken for a long queue.
const AT_A_TIME: usize = 25;

/// A write of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    MakesContact,
    MakesCompany,
    UpdatesContact,
    UpdatesCompany,
    /// With its primary company.
    Associates,
    /// Beside another primary company.
    AssociatesBeside,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::MakesContact,
        Self::MakesCompany,
        Self::UpdatesContact,
        Self::UpdatesCompany,
        Self::Associates,
        Self::AssociatesBeside,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::MakesContact => "mc",
            Self::MakesCompany => "mf",
            Self::UpdatesContact => "uc",
            Self::UpdatesCompany => "uf",
            Self::Associates => "as",
            Self::AssociatesBeside => "ab",
        }
    }

    const fn is_batch(self) -> bool {
        matches!(self, Self::Associates | Self::AssociatesBeside)
    }
}

/// What is made of the answer to a write, by name, and whether the write had its effect by then.
pub(crate) fn faults(batch: bool) -> Vec<(&'static str, Value)> {
    let answer = |name: &str| json!({"answer": {"name": name}});
    let body = |status: u16, body: &str| json!({"status": {"status": status, "body": body}});
    let (nothing, nulls) = if batch {
        (
            json!("empty_batch"),
            body(
                201,
                r#"{"status":"COMPLETE","results":null,"numErrors":null,"errors":null}"#,
            ),
        )
    } else {
        (
            body(201, "{}"),
            body(200, r#"{"id":null,"properties":null,"errors":null}"#),
        )
    };
    let page = json!({"status": {"status": 200, "html": true}});
    let before = |effect: Value| json!({"when": "before", "effect": effect});
    let after = |effect: Value| json!({"when": "after", "effect": effect});
    vec![
        ("fails before it took effect", before(answer("internal"))),
        ("fails after it took effect", after(answer("internal"))),
        ("a gateway fails after it", after(answer("cloudflare_520"))),
        ("the connection drops before it", before(json!("drop"))),
        ("the connection drops after it", after(json!("drop"))),
        ("the answer is cut", after(json!("cut"))),
        (
            "it lands four seconds later",
            json!({"when": {"later_ms": 4_000}, "effect": "drop"}),
        ),
        // Longer after it was sent than a write has to land, and not so long after its end was lost.
        (
            "nobody answers for six seconds, and it lands after ten",
            json!({"when": {"later_ms": 10_000}, "effect": {"hang": {"ms": 6_000}}}),
        ),
        ("429", before(answer("secondly"))),
        ("423", before(answer("locked"))),
        ("401", before(answer("expired"))),
        (
            "an answer without the row, after it",
            after(nothing.clone()),
        ),
        ("an answer without the row, and without it", before(nothing)),
        ("an answer of nulls", after(nulls)),
        ("a page", after(page)),
    ]
}

/// HubSpot refuses the value of a property.
fn refusal(property: &str) -> Value {
    let body = json!({
        "status": "error", "message": "Property values were not valid", "category": "VALIDATION_ERROR",
        "correlationId": "aeb5f871-7f07-4993-9211-075dc63e7cbf",
        "errors": [{"message": "is not valid", "code": "INVALID_OPTION", "context": {"propertyName": [property]}}],
    });
    json!({"when": "before", "effect": {"status": {"status": 400, "body": body.to_string()}}})
}

/// A person whose export needs one write of a kind, to which something happens.
struct Case {
    kind: Kind,
    what: &'static str,
    id: String,
    domain: String,
    rule: Value,
    /// The property whose value HubSpot refuses.
    refused: Option<&'static str>,
    /// The planted contact.
    contact: Option<i64>,
    /// The planted company.
    company: Option<i64>,
}

impl Case {
    fn all(world: &str) -> Vec<Self> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            let mut of_kind: Vec<_> = faults(kind.is_batch())
                .into_iter()
                .map(|(what, rule)| (what, rule, None))
                .collect();
            let property = match kind {
                Kind::MakesContact | Kind::UpdatesContact => Some("jobtitle"),
                Kind::MakesCompany | Kind::UpdatesCompany => Some("city"),
                Kind::Associates | Kind::AssociatesBeside => None,
            };
            if let Some(property) = property {
                of_kind.push(("a value is refused", refusal(property), Some(property)));
            }
            for (n, (what, rule, refused)) in of_kind.into_iter().enumerate() {
                let id = format!("{}{n}", kind.name());
                all.push(Self {
                    kind,
                    what,
                    domain: format!("{id}-{world}.com"),
                    id,
                    rule,
                    refused,
                    contact: None,
                    company: None,
                });
            }
        }
        all
    }

    fn email(&self) -> String {
        format!("{}@{}", self.id, self.domain)
    }

    fn refused_value(&self) -> String {
        format!("Refused of {}", self.id)
    }

    /// What HubSpot has before.
    async fn plant(&mut self, p: &Planted) {
        if self.kind != Kind::MakesCompany {
            let there = json!({"domain": self.domain, "name": self.id});
            self.company = Some(p.record("companies", there, &[]).await);
        }
        let email = self.email();
        self.contact = match (self.kind, self.company) {
            (Kind::MakesContact | Kind::MakesCompany, _) | (_, None) => None,
            (Kind::UpdatesContact | Kind::UpdatesCompany, Some(company)) => {
                let there = json!({"email": email, "firstname": "Theirs"});
                Some(p.record("contacts", there, &[("companies", company)]).await)
            }
            (Kind::Associates, _) => Some(p.record("contacts", json!({"email": email}), &[]).await),
            (Kind::AssociatesBeside, _) => {
                let other = json!({"domain": format!("other-{}", self.domain)});
                let other = p.record("companies", other, &[]).await;
                let tied = [("companies", other)];
                Some(p.record("contacts", json!({"email": email}), &tied).await)
            }
        };
    }

    /// What the app has.
    fn told(&self) -> (Value, Value) {
        let text = |text: &str, property: &str| {
            if self.refused == Some(property) {
                self.refused_value()
            } else {
                text.to_owned()
            }
        };
        let mut company = json!({"name": self.id, "website": format!("https://{}", self.domain)});
        let mut person = json!({});
        match self.kind {
            Kind::MakesCompany | Kind::UpdatesCompany => {
                company["city"] = json!(text("Ulm", "city"))
            }
            Kind::MakesContact | Kind::UpdatesContact => {
                person["first_name"] = json!("Ours");
                person["job_title"] = json!(text("Buyer", "jobtitle"));
            }
            Kind::Associates | Kind::AssociatesBeside => {}
        }
        (
            json!({"id": self.id, "version": 1, "fields": company}),
            json!({"id": self.id, "version": 1, "email": self.email(), "company": self.id, "fields": person}),
        )
    }

    /// The write to which it happens: the first of its kind, or each that has what is refused.
    async fn strike(&self, p: &Planted) {
        let (method, path, body) = match (self.kind, self.contact, self.company) {
            (Kind::MakesContact, ..) => ("POST", "/contacts$".to_owned(), Some(self.email())),
            (Kind::MakesCompany, ..) => {
                ("POST", "/companies$".to_owned(), Some(self.domain.clone()))
            }
            (Kind::UpdatesContact, Some(id), _) => ("PATCH", format!("/contacts/{id}$"), None),
            (Kind::UpdatesCompany, _, Some(id)) => ("PATCH", format!("/companies/{id}$"), None),
            (_, Some(id), _) => (
                "POST",
                "/associations/*/batch/create$".to_owned(),
                Some(format!("\"{id}\"")),
            ),
            _ => panic!("{} was not planted", self.id),
        };
        let mut rule = self.rule.clone();
        rule["id"] = json!(self.id);
        rule["method"] = json!(method);
        rule["path"] = json!(path);
        rule["body"] = json!(body);
        if self.refused.is_some() {
            // Whenever it is sent: an attempt that is cut short does not know what another one was told.
            rule["method"] = Value::Null;
            rule["path"] = json!("/crm/objects/");
            rule["body"] = json!(self.refused_value());
        } else {
            rule["times"] = json!(1);
        }
        p.tenant.control("POST", "faults", Some(rule)).await;
    }
}

/// The rules that have struck, by id.
async fn struck(p: &Planted) -> BTreeMap<String, u64> {
    let rules = p.tenant.control("GET", "faults", None).await;
    let rules = rules["faults"].as_array().unwrap();
    let times = rules.iter().map(|rule| {
        let id = rule["id"].as_str().unwrap().to_owned();
        (id, rule["struck"].as_u64().unwrap())
    });
    times.collect()
}

async fn overwriting_first_names(door: &Door) {
    change_settings(door, |settings| {
        for row in settings["contacts"].as_array_mut().unwrap() {
            if row["property"] == "firstname" {
                row["export"] = json!("overwrite");
            }
        }
    })
    .await;
}

async fn each_write_is_done_once(world: &str, settings: Value) {
    let p = Planted::on(&shared(), settings).await;
    let mut cases = Case::all(world);
    for case in &mut cases {
        case.plant(&p).await;
    }
    let first: State = state(&p).await;
    let door = p.connect().await;
    overwriting_first_names(&door).await;
    let (companies, people): (Vec<Value>, Vec<Value>) = cases.iter().map(Case::told).unzip();
    door.companies(companies).await;
    door.people(json!(people)).await;
    for case in &cases {
        case.strike(&p).await;
    }
    let ids: Vec<String> = cases.iter().map(|case| case.id.clone()).collect();
    // Few enough at a time never to become a queue, which goes in bulk: it has faults of its own (`e1_bulk`).
    let mut ends = Vec::new();
    for some in ids.chunks(AT_A_TIME) {
        ends.extend(export_all(&door, some).await);
    }
    let struck = struck(&p).await;
    p.tenant.control("DELETE", "faults", None).await;

    for (case, end) in cases.iter().zip(&ends) {
        let what = format!("{world}: {:?}: {}", case.kind, case.what);
        assert_ne!(struck.get(&case.id), Some(&0), "{what} did not happen");
        assert_eq!(end["outcome"]["state"], "exported", "{what}: {end}");
        match case.refused {
            Some(property) => {
                assert_eq!(end["code"], "HS-3005", "{what}: {end}");
                assert_eq!(end["properties"], json!([property]), "{what}: {end}");
            }
            None => assert_eq!(end["code"], Value::Null, "{what}: {end}"),
        }
    }
    // One contact and one company of each.
    let contacts = live(&p, "contacts").await;
    let all_companies = live(&p, "companies").await;
    let beside = cases.iter().filter(|c| c.kind == Kind::AssociatesBeside);
    assert_eq!(contacts.len(), cases.len(), "{world}");
    assert_eq!(all_companies.len(), cases.len() + beside.count(), "{world}");
    let primaries = primary_domains(&p).await;
    for case in &cases {
        let what = format!("{world}: {:?}: {}", case.kind, case.what);
        let is = |record: &&Value, name: &str, text: &str| record["properties"][name] == text;
        let contact = contacts.iter().find(|c| is(c, "email", &case.email()));
        let contact = contact.unwrap_or_else(|| panic!("{what}: no contact"));
        let company = all_companies.iter().find(|c| is(c, "domain", &case.domain));
        let company = company.unwrap_or_else(|| panic!("{what}: no company"));
        let primary = if case.kind == Kind::AssociatesBeside {
            format!("other-{}", case.domain)
        } else {
            case.domain.clone()
        };
        assert_eq!(primaries[&case.email()], Some(primary), "{what}");
        let ties = mirrored::ties_of(contact);
        let company_id = company["id"].as_str().unwrap();
        assert!(ties.iter().any(|(_, to, _)| to == company_id), "{what}");
        let refused = |property| case.refused == Some(property);
        match case.kind {
            Kind::MakesContact | Kind::UpdatesContact => {
                assert_eq!(contact["properties"]["firstname"], "Ours", "{what}");
                let wrote = contact["properties"]["jobtitle"] == "Buyer";
                assert_ne!(wrote, refused("jobtitle"), "{what}");
            }
            Kind::MakesCompany | Kind::UpdatesCompany => {
                let wrote = company["properties"]["city"] == "Ulm";
                assert_ne!(wrote, refused("city"), "{what}");
            }
            Kind::Associates | Kind::AssociatesBeside => {}
        }
    }
    assert_true(&p, &door, &ids, &first).await;
    sent_once(&p, &cases).await;
}

/// What took effect, and whose answer was lost, is found by reading: it is not sent a second time.
async fn sent_once(p: &Planted, cases: &[Case]) {
    let requests = p.tenant.requests().await;
    for case in cases {
        let path = match (case.kind, case.contact, case.company) {
            (Kind::UpdatesContact, Some(id), _) => format!("/contacts/{id}"),
            (Kind::UpdatesCompany, _, Some(id)) => format!("/companies/{id}"),
            _ => continue,
        };
        if case.rule["when"] == "before" {
            continue;
        }
        let sent = requests
            .iter()
            .filter(|r| r["method"] == "PATCH" && r["path"].as_str().unwrap().ends_with(&path))
            .count();
        assert_eq!(sent, 1, "{:?}: {}", case.kind, case.what);
    }
}

#[tokio::test]
async fn each_write_is_done_once_where_a_unique_property_is_to_be_had() {
    each_write_is_done_once("keys", json!({"search_lag_ms": 1_000})).await;
}

#[tokio::test]
async fn each_write_is_done_once_where_it_is_not() {
    let denied = json!({"denied_scopes": ["crm.schemas.companies.write"], "search_lag_ms": 1_000});
    each_write_is_done_once("nokeys", denied).await;
}

/// HubSpot's automation makes a company of the address and puts it in the place of ours.
#[tokio::test]
async fn our_company_comes_back_once_whatever_breaks() {
    let settings = json!({
        "auto_companies": true, "auto_company_max_ms": 200, "auto_company_primary_percent": 100,
    });
    let p = Planted::on(&shared(), settings).await;
    let mut firms = Vec::new();
    for n in 0..faults(true).len() {
        let there = json!({"domain": format!("firm-{n}.com"), "name": format!("Firm {n}")});
        firms.push(p.record("companies", there, &[]).await);
    }
    let first: State = state(&p).await;
    let door = p.connect().await;
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for (n, (what, fault)) in faults(true).into_iter().enumerate() {
        let id = format!("at{n}");
        let fields =
            json!({"name": format!("Firm {n}"), "website": format!("https://firm-{n}.com/")});
        all.0
            .push(json!({"id": id, "version": 1, "fields": fields}));
        let email = format!("lead@mail-{n}.com");
        all.1
            .push(json!({"id": id, "version": 1, "email": email, "company": id}));
        all.2.push(id);
        let mut rule = fault;
        rule["id"] = json!(what);
        rule["path"] = json!("/associations/*/batch/create$");
        rule["body"] = json!(format!("\"{}\"", firms[n]));
        rule["times"] = json!(1);
        p.tenant.control("POST", "faults", Some(rule)).await;
    }
    let (companies, people, ids) = all;
    door.companies(companies).await;
    door.people(json!(people)).await;
    for end in export_all(&door, &ids).await {
        assert_eq!(end["outcome"]["state"], "exported", "{end}");
    }
    until("our companies are the primary ones again", async || {
        let primaries = primary_domains(&p).await;
        let happened = struck(&p).await.values().all(|times| *times == 1);
        let ours = (0..ids.len()).all(|n| {
            let primary = primaries[&format!("lead@mail-{n}.com")].clone();
            primary == Some(format!("firm-{n}.com"))
        });
        happened && ours
    })
    .await;
    until("nothing is left open", async || {
        let all = journal(&door, &ids).await;
        all.iter().all(|entry| entry["state"] != "open")
    })
    .await;
    assert_eq!(live(&p, "contacts").await.len(), ids.len());
    assert_eq!(live(&p, "companies").await.len(), 2 * ids.len());
    assert_true(&p, &door, &ids, &first).await;
}

#[tokio::test]
async fn a_value_is_brought_back_once_whatever_breaks() {
    let p = Planted::on(&shared(), json!({})).await;
    let all = faults(false);
    let ids: Vec<String> = (0..all.len()).map(|n| format!("back{n}")).collect();
    let mut contacts = Vec::new();
    for id in &ids {
        let there = json!({"email": format!("{id}@back-e10.com"), "firstname": "Theirs"});
        contacts.push(p.record("contacts", there, &[]).await);
    }
    let first: State = state(&p).await;
    let door = p.connect().await;
    overwriting_first_names(&door).await;
    let people: Vec<Value> = ids
        .iter()
        .map(|id| {
            let fields = json!({"first_name": "Ours"});
            json!({"id": id, "version": 1, "email": format!("{id}@back-e10.com"), "fields": fields})
        })
        .collect();
    door.people(json!(people)).await;
    for end in export_all(&door, &ids).await {
        assert_eq!(end["outcome"]["state"], "exported", "{end}");
    }
    let mut reverts = Vec::new();
    for (n, (what, fault)) in all.iter().enumerate() {
        let mut rule = fault.clone();
        rule["id"] = json!(what);
        rule["method"] = json!("PATCH");
        rule["path"] = json!(format!("/contacts/{}$", contacts[n]));
        rule["times"] = json!(1);
        p.tenant.control("POST", "faults", Some(rule)).await;
        let entries = journal(&door, &ids[n..=n]).await;
        let wrote = |e: &&Value| e["properties"].to_string().contains("firstname");
        let entry = entries.iter().find(wrote).expect("the overwrite");
        let path = format!("/journal/{}/revert", entry["entry"].as_str().unwrap());
        let body = json!({"property": "firstname"});
        let asked = door.ok("POST", &path, Some(body)).await;
        reverts.push(format!("/reverts/{}", asked["revert"].as_str().unwrap()));
    }
    for (revert, (what, _)) in reverts.iter().zip(&all) {
        until(what, async || {
            door.ok("GET", revert, None).await["state"] != "accepted"
        })
        .await;
        let end = door.ok("GET", revert, None).await;
        assert_eq!(end["state"], "done", "{what}: {end}");
    }
    let struck = struck(&p).await;
    assert!(struck.values().all(|times| *times == 1), "{struck:?}");
    for contact in live(&p, "contacts").await {
        assert_eq!(contact["properties"]["firstname"], "Theirs", "{contact}");
    }
    assert_true(&p, &door, &ids, &first).await;
}

/// Somebody removes the property that holds our key of companies.
#[tokio::test]
async fn companies_are_made_without_the_key_where_it_was_removed() {
    const KEY: &str = "artisan_record_key";
    let p = Planted::on(&shared(), json!({})).await;
    let mut first = State::new();
    let door = p.connect().await;
    let ids = ["before", "after", "later"].map(str::to_owned);
    let people: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "version": 1, "email": format!("lead@{id}-key-x2.com")}))
        .collect();
    door.people(json!(people)).await;
    for (n, id) in ids.iter().enumerate() {
        let request = ask(&door, id).await;
        let end = all_ended(&door, &[request]).await.remove(0);
        assert_eq!(end["outcome"]["state"], "exported", "{end}");
        if n == 0 {
            let path = format!("/crm/properties/2026-09/companies/{KEY}");
            p.hubspot("DELETE", &path, None).await;
            first = state(&p).await;
        }
    }
    assert_eq!(live(&p, "companies").await.len(), ids.len());
    let creates = p.tenant.requests().await;
    let creates = creates
        .iter()
        .filter(|r| r["method"] == "POST" && r["path"] == "/crm/objects/2026-09/companies")
        .count();
    assert_eq!(creates, ids.len() + 1, "one was refused");
    let all = journal(&door, &ids[..1]).await;
    assert!(all[0]["properties"].to_string().contains(KEY), "{all:?}");
    assert_true(&p, &door, &ids[1..], &first).await;
}

/// HubSpot's index still has what a company was before somebody changed it.
#[tokio::test]
async fn what_search_says_of_a_company_is_read_again_before_it_is_written() {
    let p = Planted::on(&shared(), json!({})).await;
    let door = p.connect().await;
    let there = json!({"domain": "indexed-e3.com", "name": "Indexed"});
    let company = p.record("companies", there, &[]).await;
    let first: State = state(&p).await;
    p.tenant
        .control("PATCH", "", Some(json!({"search_lag_ms": 600_000})))
        .await;
    p.set("companies", company, json!({"city": "Theirs"})).await;
    let fields = json!({"name": "Indexed", "website": "https://indexed-e3.com", "city": "Ours"});
    door.companies(vec![json!({"id": "firm", "version": 1, "fields": fields})])
        .await;
    door.people(json!([
        {"id": "lead", "version": 1, "email": "lead@indexed-e3.com", "company": "firm"},
    ]))
    .await;
    let request = ask(&door, "lead").await;
    let end = all_ended(&door, &[request]).await.remove(0);
    assert_eq!(end["outcome"]["state"], "exported", "{end}");
    let companies = live(&p, "companies").await;
    assert_eq!(companies.len(), 1);
    let has = &companies[0]["properties"];
    assert_eq!(has["city"], "Theirs", "only gaps are filled");
    assert_eq!(has["website"], "https://indexed-e3.com");
    assert_true(&p, &door, &["lead".to_owned()], &first).await;
}

/// A company that HubSpot does not take as it is does not keep the person from being exported.
#[tokio::test]
async fn a_company_that_is_refused_leaves_the_contact_without_it() {
    let p = Planted::on(&shared(), json!({})).await;
    let door = p.connect().await;
    door.people(json!([
        {"id": "rule", "version": 1, "email": "lead@rule-x1.com"},
        {"id": "domain", "version": 1, "email": "lead@domain-x1.com"},
    ]))
    .await;
    // A rule of the portal that is newer than those that are known, and a domain that is not taken.
    let rule = json!({
        "status": "error", "message": "required", "category": "VALIDATION_ERROR",
        "errors": [{"code": "MISSING_REQUIRED_PROPERTY", "context": {"propertyName": ["industry"]}}],
    });
    let rule = json!({"status": {"status": 400, "body": rule.to_string()}});
    let domain = refusal("domain")["effect"].clone();
    for (marker, effect) in [("rule-x1.com", rule), ("domain-x1.com", domain)] {
        let strikes =
            json!({"method": "POST", "path": "/companies$", "body": marker, "effect": effect});
        p.tenant.control("POST", "faults", Some(strikes)).await;
    }
    for (person, property) in [("rule", "industry"), ("domain", "domain")] {
        let request = ask(&door, person).await;
        let end = all_ended(&door, &[request]).await.remove(0);
        assert_eq!(end["outcome"]["state"], "exported", "{end}");
        assert_eq!(end["properties"], json!([property]), "{end}");
    }
    assert_eq!(live(&p, "contacts").await.len(), 2);
    assert!(live(&p, "companies").await.is_empty());
}

#[tokio::test]
async fn two_exports_that_share_a_company_do_not_write_over_each_other() {
    let p = Planted::on(&shared(), json!({})).await;
    let door = p.connect().await;
    // Not read yet, so that nobody is linked to it.
    let empty = json!({"domain": "shared-x1.com"});
    let company = p.record("companies", empty, &[]).await;
    let first = state(&p).await;
    let ids = ["left", "right"].map(str::to_owned);
    let site = |id: &str| format!("https://shared-x1.com/{id}");
    let companies = ids.iter().map(
        |id| json!({"id": id, "version": 1, "fields": {"name": "Shared", "website": site(id)}}),
    );
    door.companies(companies.collect()).await;
    let people: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "version": 1, "email": format!("{id}@shared-x1.com"), "company": id}))
        .collect();
    door.people(json!(people)).await;
    // Both have read it before one of them can write.
    let slow = json!({"path": "/companies/batch/read$", "when": "after", "times": 2,
        "effect": {"delay": {"ms": 3_000}}});
    p.tenant.control("POST", "faults", Some(slow)).await;
    for end in export_all(&door, &ids).await {
        assert_eq!(end["outcome"]["state"], "exported", "{end}");
    }
    let rules = p.tenant.control("GET", "faults", None).await;
    // Both, unless the machine is so slow that one is done before the other begins.
    assert!(rules["faults"][0]["struck"].as_u64() >= Some(1), "{rules}");
    let requests = p.tenant.requests().await;
    let wrote = |r: &&Value| {
        let path = r["path"].as_str().unwrap();
        r["method"] == "PATCH" && path.ends_with(&format!("/companies/{company}"))
    };
    assert_eq!(requests.iter().filter(wrote).count(), 1);
    assert_true(&p, &door, &ids, &first).await;
}
