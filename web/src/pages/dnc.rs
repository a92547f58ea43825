//! Do not contact: the rules, and a question that is answered at once (I8).

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::State,
    response::{Redirect, Response},
    routing::get,
};
use domain::{
    PortalId,
    app::EmailPlace,
    dnc::{DncReason, DncRule, RecordRef, Verdict},
    portal::PortalPipeline,
    settings::{RuleScope, Settings, SettingsPath},
};
use maud::{Markup, html};
use store::{Asked, DncBasis, StoppedPeople};

use crate::{
    api::dnc::basis,
    pages::{
        dnc_stages::{self, STAGE},
        dnc_stopped,
        frame::AfterDone,
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{
            Tone, counted, csrf, icon, notice, number, number_field, pill, section, select_field,
            switch, when,
        },
        people::{look_up, may},
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, save, show, show_with, ticked,
            value, whole,
        },
    },
    problem::Refusal,
    state::App,
};

/// The longest look back of a rule, in days.
const LOOK_BACK: std::ops::RangeInclusive<u32> = 1..=3_650;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(routes::DNC, get(page).post(saved))
        .route(
            routes::DNC_ASK,
            get(async || Redirect::to(routes::DNC)).post(ask),
        )
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<Dnc>(&app, &visit, after.done).await
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<Dnc>(&app, &visit, &sent).await
}

/// Answered directly, as an e-mail must not stand in an address (X5).
async fn ask(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let who = sent.text("who").trim();
    let answer = answer(&app, &visit, &head, who).await?;
    let who = who.to_owned();
    show_with::<Dnc>(&app, &visit, |dnc| dnc.answered = Some((who, answer))).await
}

fn question(visit: &Visit, who: &str, answer: &Markup) -> Markup {
    section(
        "may",
        "May we contact …?",
        "",
        &html! {
            div .card {
                form .row method="post" action=(routes::DNC_ASK) role="search" {
                    (csrf(visit))
                    label .sr for="asked" { "E-mail, or the app’s id of a person" }
                    input .input type="search" #asked name="who" value=(who) placeholder="E-mail, or the app’s id of a person" autocomplete="off";
                    button .btn { "Ask" }
                }
                div .stack role="status" { (answer) }
            }
        },
    )
}

async fn answer(app: &App, visit: &Visit, head: &Head, who: &str) -> Result<Markup, Refused> {
    let store = &app.parts()?.store;
    let asked = match EmailPlace::parse(who) {
        Some(EmailPlace::Address(email)) => Asked::Email(email.as_str().to_owned()),
        _ => match who.parse() {
            Ok(person) => Asked::Person(person),
            Err(_) => {
                return Ok(
                    html! { p .hint { "Write an e-mail such as ann.lee@example.com, or the app’s id of a person." } },
                );
            }
        },
    };
    let basis: DncBasis = match basis(store, visit.workspace()).await {
        Ok(basis) => basis,
        Err(Refusal::NotConnected) => {
            return Ok(
                html! { p { "Verdicts stand on what HubSpot knows, and this workspace was never connected. " a href=(routes::OVERVIEW) { "Connect HubSpot" } "." } },
            );
        }
        Err(other) => return Err(other.into()),
    };
    let verdict = store
        .check_dnc(visit.workspace(), &basis, &[asked])
        .await?
        .pop()
        .ok_or(Refusal::Defect)?;
    let people = look_up(app, visit, who).await?;
    let names = names_behind(app, visit, basis.portal, &verdict).await?;
    Ok(html! {
        div .row {
            @if verdict.allowed && people.is_empty() {
                (pill(Tone::Plain, icon::CHECK, "No rule stops it"))
            } @else { (may(Some(verdict.allowed))) }
            @match people.first() {
                Some(person) => { a href={ (routes::PEOPLE) "/" (person) } { bdi { (who) } } }
                None => { bdi { (who) } }
            }
            @if let Some(as_of) = basis.as_of { span .small .muted .end { "as of " (when(as_of, head.now)) } }
        }
        @if verdict.allowed && people.is_empty() { p { "The app does not know this address, and nothing in HubSpot stops it." } }
        (reasons_of(head, &verdict, &names))
        @if verdict.stale {
            (notice(Tone::Warn, icon::CLOCK, &html! { p { "A read that the rules stand on is missing. Until it is there the last verdict stands, and whoever has none is not contacted." } }, None))
        }
    })
}

/// What the records behind a verdict are called.
pub(crate) type RecordNames = BTreeMap<RecordRef, String>;

/// The names of the records behind a verdict.
pub(crate) async fn names_behind(
    app: &App,
    visit: &Visit,
    portal: PortalId,
    verdict: &Verdict,
) -> Result<RecordNames, Refused> {
    let behind = |reason: &DncReason| [reason.record, reason.through];
    let records: Vec<RecordRef> = verdict.reasons.iter().flat_map(behind).flatten().collect();
    let store = &app.parts()?.store;
    Ok(store
        .record_names(visit.workspace(), portal, &records)
        .await?)
}

/// Every reason, with a link to the record behind it.
pub(crate) fn reasons_of(head: &Head, verdict: &Verdict, names: &RecordNames) -> Markup {
    html! {
        @if !verdict.reasons.is_empty() {
            ul .stack .tight {
                @for reason in &verdict.reasons { li { (icon::draw(icon::CROSS)) " " (one_reason(head, reason, names)) } }
            }
        }
    }
}

fn one_reason(head: &Head, reason: &DncReason, names: &RecordNames) -> Markup {
    html! {
        b { (rule_name(reason.rule)) "." }
        @if let Some(record) = reason.record { " " (record_link(head, record, names)) }
        @if let Some(value) = &reason.value { " · " bdi { (value) } }
        @if let Some(through) = reason.through { " · through " (record_link(head, through, names)) }
    }
}

fn record_link(head: &Head, record: RecordRef, names: &RecordNames) -> Markup {
    let (path, kind, id) = match record {
        RecordRef::Contact(id) => (format!("/contact/{id}"), "Contact", id.to_string()),
        RecordRef::Company(id) => (format!("/company/{id}"), "Company", id.to_string()),
        RecordRef::Deal(id) => (format!("/deal/{id}"), "Deal", id.to_string()),
        RecordRef::List(id) => (format!("/objectLists/{id}"), "List", id.to_string()),
    };
    let name = html! {
        (kind) " "
        @match names.get(&record) { Some(name) => { "“" bdi { (name) } "”" } None => { (id) } }
    };
    html! {
        @match head.in_portal(&path) {
            Some(link) => { a href=(link) rel="noreferrer" { (name) } }
            None => { (name) }
        }
    }
}

/// What people call a rule, of somebody whom it stops.
pub(crate) const fn rule_name(rule: DncRule) -> &'static str {
    match rule {
        DncRule::SuppressionList => "On a suppression list",
        DncRule::OpenDeal => "Open deal",
        DncRule::Customer => "Customer",
        DncRule::LostDeal => "Deal lost recently",
        DncRule::OptedOut => "Opted out of e-mail in HubSpot",
        DncRule::InHubspot => "Already in HubSpot",
        DncRule::UnmappedOwner => "Owned by a rep outside the mapped team",
        DncRule::RecentTouch => "A rep was in touch recently",
        DncRule::Erased => "Erased",
        DncRule::NotKnown => "The app knows no such person, or the text is no e-mail",
        DncRule::Unknown => "Not known yet: a read that the rules stand on is missing",
    }
}

/// What the page needs besides the settings.
struct Dnc {
    pipelines: Vec<PortalPipeline>,
    /// None where there never was a portal.
    stopped: Option<StoppedPeople>,
    /// Whom somebody asked about, and the answer.
    answered: Option<(String, Markup)>,
}

const OPEN_DEAL: &str = "open-deal";
const OPEN_DEAL_SCOPE: &str = "open-deal-scope";
const CUSTOMER: &str = "customer";
const CUSTOMER_SCOPE: &str = "customer-scope";
const LOST_DEAL: &str = "lost-deal";
const LOST_DEAL_DAYS: &str = "lost-deal-days";
const LOST_DEAL_SCOPE: &str = "lost-deal-scope";
const OPTED_OUT: &str = "opted-out";
const IN_HUBSPOT: &str = "in-hubspot";
const IN_HUBSPOT_SCOPE: &str = "in-hubspot-scope";
const UNMAPPED: &str = "unmapped-owner";
const TOUCH: &str = "recent-touch";
const TOUCH_DAYS: &str = "recent-touch-days";
const TOUCH_SCOPE: &str = "recent-touch-scope";
const SUPPRESSION_SCOPE: &str = "suppression-scope";

fn scope(of: RuleScope) -> String {
    match of {
        RuleScope::Person => "person",
        RuleScope::Company => "company",
    }
    .to_owned()
}

fn scope_name(value: &str) -> &'static str {
    if value == "company" {
        "The whole company"
    } else {
        "The person only"
    }
}

impl SettingsForm for Dnc {
    const PATH: &'static str = routes::DNC;
    const TITLE: &'static str = "Do not contact";
    const LEAD: &'static str =
        "These rules stop outreach in the app. They write nothing to HubSpot.";

    async fn load(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused> {
        let (store, workspace) = (&app.parts()?.store, visit.workspace());
        let stopped = match store.connection(workspace).await? {
            Some(connection) => Some(store.stopped_people(workspace, connection.portal).await?),
            None => None,
        };
        Ok(Self {
            pipelines: known.facts.pipelines.clone().unwrap_or_default(),
            stopped,
            answered: None,
        })
    }

    fn values(&self, settings: &Settings) -> Values {
        let dnc = &settings.dnc;
        [
            (OPEN_DEAL, ticked(dnc.open_deal.enabled)),
            (OPEN_DEAL_SCOPE, scope(dnc.scopes.open_deal)),
            (CUSTOMER, ticked(dnc.customer.enabled)),
            (CUSTOMER_SCOPE, scope(dnc.scopes.customer)),
            (LOST_DEAL, ticked(dnc.lost_deal.enabled)),
            (LOST_DEAL_DAYS, dnc.lost_deal.within_days.to_string()),
            (LOST_DEAL_SCOPE, scope(dnc.scopes.lost_deal)),
            (OPTED_OUT, ticked(dnc.opted_out)),
            (IN_HUBSPOT, ticked(dnc.in_hubspot.enabled)),
            (IN_HUBSPOT_SCOPE, scope(dnc.scopes.in_hubspot)),
            (UNMAPPED, ticked(dnc.unmapped_owner)),
            (TOUCH, ticked(dnc.recent_touch.enabled)),
            (TOUCH_DAYS, dnc.recent_touch.within_days.to_string()),
            (TOUCH_SCOPE, scope(dnc.scopes.recent_touch)),
            (SUPPRESSION_SCOPE, scope(dnc.scopes.suppression_list)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(dnc_stages::values(&self.pipelines, &dnc.open_deal))
        .collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let on = |name: &str| !value(values, name).is_empty();
        let dnc = &mut settings.dnc;
        dnc.open_deal.enabled = on(OPEN_DEAL);
        dnc_stages::apply(&self.pipelines, values, &mut dnc.open_deal);
        dnc.customer.enabled = on(CUSTOMER);
        dnc.lost_deal.enabled = on(LOST_DEAL);
        dnc.opted_out = on(OPTED_OUT);
        dnc.in_hubspot.enabled = on(IN_HUBSPOT);
        dnc.unmapped_owner = on(UNMAPPED);
        dnc.recent_touch.enabled = on(TOUCH);
        for (name, of) in [
            (LOST_DEAL_DAYS, &mut dnc.lost_deal.within_days),
            (TOUCH_DAYS, &mut dnc.recent_touch.within_days),
        ] {
            if let Some(days) = whole(values, name, &mut errors, LOOK_BACK) {
                *of = days;
            }
        }
        let scopes = &mut dnc.scopes;
        for (name, of) in [
            (OPEN_DEAL_SCOPE, &mut scopes.open_deal),
            (CUSTOMER_SCOPE, &mut scopes.customer),
            (LOST_DEAL_SCOPE, &mut scopes.lost_deal),
            (IN_HUBSPOT_SCOPE, &mut scopes.in_hubspot),
            (TOUCH_SCOPE, &mut scopes.recent_touch),
            (SUPPRESSION_SCOPE, &mut scopes.suppression_list),
        ] {
            match value(values, name) {
                "person" => *of = RuleScope::Person,
                "company" => *of = RuleScope::Company,
                _ => errors.push((name.to_owned(), "Choose one of them.".to_owned())),
            }
        }
        errors
    }

    fn label(&self, name: &str) -> String {
        match name {
            OPEN_DEAL => "Open deal",
            OPEN_DEAL_SCOPE => "Open deal, holds for",
            CUSTOMER => "Customer",
            CUSTOMER_SCOPE => "Customer, holds for",
            LOST_DEAL => "Deal lost recently",
            LOST_DEAL_DAYS => "Deal lost within days",
            LOST_DEAL_SCOPE => "Deal lost recently, holds for",
            OPTED_OUT => "Opted out of e-mail",
            IN_HUBSPOT => "Already in HubSpot",
            IN_HUBSPOT_SCOPE => "Already in HubSpot, holds for",
            UNMAPPED => "Owned by a rep outside the mapped team",
            TOUCH => "A rep’s meeting or call",
            TOUCH_DAYS => "Meeting or call within days",
            TOUCH_SCOPE => "Meeting or call, holds for",
            stage if stage.starts_with(STAGE) => return dnc_stages::label(&self.pipelines, stage),
            _ => "Suppression list, holds for",
        }
        .to_owned()
    }

    fn shown(&self, name: &str, value: &str) -> String {
        match name {
            LOST_DEAL_DAYS | TOUCH_DAYS => value.to_owned(),
            n if n.ends_with("-scope") => scope_name(value).to_owned(),
            _ => if value.is_empty() { "off" } else { "on" }.to_owned(),
        }
    }

    fn field_at(&self, path: &SettingsPath, _: &Settings) -> Option<String> {
        let field = match path.as_str() {
            "/dnc/lost_deal/within_days" => LOST_DEAL_DAYS,
            "/dnc/recent_touch/within_days" => TOUCH_DAYS,
            p if p.starts_with("/dnc/open_deal") => OPEN_DEAL,
            p if p.starts_with("/dnc/in_hubspot") => IN_HUBSPOT,
            _ => return None,
        };
        Some(field.to_owned())
    }

    fn above(&self, visit: &Visit, head: &Head) -> Markup {
        html! {
            @match &self.answered {
                Some((who, answer)) => { (question(visit, who, answer)) }
                None => { (question(visit, "", &html! {})) }
            }
            @if !head.standing.is_connected() {
                (notice(Tone::Info, icon::CLOCK, &html! { p {
                    "Verdicts stand as of the last sync, and are stale as long as nothing is read. Whoever has no verdict is not contacted."
                } }, None))
            }
        }
    }

    fn fields(&self, _: &Visit, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let on = |name: &str| !value(values, name).is_empty();
        let reach: Vec<(String, String)> = ["company", "person"]
            .into_iter()
            .map(|s| (s.to_owned(), scope_name(s).to_owned()))
            .collect();
        let holds = |name: &str| {
            select_field(
                name,
                "Holds for",
                value(values, name),
                &reach,
                error_of(errors, name),
                "",
            )
        };
        let days = |name: &str| {
            number_field(
                name,
                "Within days",
                value(values, name),
                error_of(errors, name),
                "",
            )
        };
        let none = html! {};
        let stops = |of: DncRule| self.stops(of);
        let rules = [
            rule(
                OPEN_DEAL,
                on(OPEN_DEAL).then(|| stops(DncRule::OpenDeal)),
                "Open deal",
                "On the person or their company",
                &html! { (holds(OPEN_DEAL_SCOPE)) (dnc_stages::fields(&self.pipelines, values)) },
            ),
            rule(
                CUSTOMER,
                on(CUSTOMER).then(|| stops(DncRule::Customer)),
                "Customer",
                "Closed-won deal, or lifecycle stage “Customer”",
                &holds(CUSTOMER_SCOPE),
            ),
            rule(
                LOST_DEAL,
                on(LOST_DEAL).then(|| stops(DncRule::LostDeal)),
                "Deal lost recently",
                "",
                &html! { (days(LOST_DEAL_DAYS)) (holds(LOST_DEAL_SCOPE)) },
            ),
            rule(
                OPTED_OUT,
                on(OPTED_OUT).then(|| stops(DncRule::OptedOut)),
                "Opted out of e-mail in HubSpot",
                "As set on the contact in HubSpot",
                &none,
            ),
            rule(
                IN_HUBSPOT,
                on(IN_HUBSPOT).then(|| stops(DncRule::InHubspot)),
                "Already in HubSpot",
                "As a contact of the same address; for the whole company also as a company",
                &holds(IN_HUBSPOT_SCOPE),
            ),
            rule(
                UNMAPPED,
                on(UNMAPPED).then(|| stops(DncRule::UnmappedOwner)),
                "Owned by a rep outside the mapped team",
                "An owner in HubSpot whom no team member stands for",
                &none,
            ),
            rule(
                TOUCH,
                on(TOUCH).then(|| stops(DncRule::RecentTouch)),
                "A rep’s meeting or call within some days",
                "",
                &html! { (days(TOUCH_DAYS)) (holds(TOUCH_SCOPE)) },
            ),
        ];
        section(
            "rules",
            "Rules",
            html! {
                @if let Some(stopped) = &self.stopped {
                    "They stop " (number(stopped.stopped)) " of " (counted(stopped.judged, "person", "people")) " now. "
                }
                "A person is stopped if any rule holds."
            },
            &html! {
                div .card {
                    div {
                        div .row {
                            b { "In a suppression list" } (pill(Tone::Plain, icon::LOCK, "Always"))
                            (stops(DncRule::SuppressionList))
                        }
                        div .under-switch .fields { (holds(SUPPRESSION_SCOPE)) }
                    }
                    @for rule in rules { (rule) }
                }
                p .hint { "Days are counted in the portal’s time zone. A person who is no contact yet is judged by the company of their e-mail domain." }
            },
        )
    }
}

impl Dnc {
    /// How many a rule stops now; nothing where nobody was judged.
    fn stops(&self, rule: DncRule) -> Markup {
        let Some(stopped) = &self.stopped else {
            return Markup::default();
        };
        let people = stopped.by_rule.get(&rule).copied().unwrap_or_default();
        html! {
            span .end .small .nowrap {
                @if people > 0 { a href=(dnc_stopped::address(rule)) { "stops " (number(people)) } }
                @else { "stops 0" }
            }
        }
    }
}

/// A rule, and how many it stops where it is on.
fn rule(name: &str, stops: Option<Markup>, title: &str, hint: &str, parameters: &Markup) -> Markup {
    html! {
        div {
            div .row {
                div { (switch(name, stops.is_some(), title, hint)) }
                @if let Some(stops) = stops { (stops) }
            }
            @if !parameters.0.is_empty() { div .under-switch .fields { (parameters) } }
        }
    }
}
