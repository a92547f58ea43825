//! Owners: who of the team stands for which of HubSpot's owners (E6).

use std::collections::BTreeMap;

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    HubSpotOwnerId,
    app::{Member, MemberId},
    owner_suggestions::{Likeness, NamedOwner, Suggestion, suggest},
    owners::{MappedBy, OwnerMap},
    portal::PortalOwner,
    settings::{OwnerRow as Row, OwnerSettings, Settings, SettingsPath, UnmappedOwner},
};
use maud::{Markup, html};
use store::OwnerRow;

use crate::{
    pages::{
        frame::{AfterDone, Width},
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{Tone, bare_pill, empty, fold, icon, section, select_field, switch},
        picker::step_button,
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, save, show, ticked, value,
        },
    },
    state::App,
};

const AUTOMATIC: &str = "automatic";
const OVERWRITE: &str = "overwrite";
const FALLBACK: &str = "fallback";
const UNMAPPED: &str = "unmapped";
const OF_OWNER: &str = "owner-";
/// A row that says: nobody, whatever the e-mails say. No member has this id: it holds a space.
const NOBODY: &str = "no body";
/// Steps: what is suggested is chosen, for one owner or for all of them. Nothing is saved by it.
const USE: &str = "use ";
const USE_ALL: &str = "use-all";

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::OWNERS, get(page).post(saved))
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<Owners>(&app, &visit, after.done).await
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<Owners>(&app, &visit, &sent).await
}

/// What the page needs.
struct Owners {
    owners: Vec<OwnerRow>,
    known: Vec<PortalOwner>,
    members: Vec<Member>,
    /// As they are saved.
    saved: OwnerSettings,
}

const fn likeness(of: Likeness) -> &'static str {
    match of {
        Likeness::SameName => "same name",
        Likeness::SameAddress => "same beginning of the address",
        Likeness::NameInAddress => "the name is in the address",
        Likeness::SimilarName => "similar name",
    }
}

fn field(owner: HubSpotOwnerId) -> String {
    format!("{OF_OWNER}{owner}")
}

/// First and last name; empty where HubSpot has neither.
fn full_name(owner: &OwnerRow) -> String {
    let name = [owner.first_name.as_deref(), owner.last_name.as_deref()];
    let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
    name.trim().to_owned()
}

fn owner_name(owner: &OwnerRow) -> String {
    match (full_name(owner).as_str(), &owner.email) {
        ("", Some(email)) => email.clone(),
        ("", None) => format!("Owner {}", owner.id),
        (name, _) => name.to_owned(),
    }
}

fn member_name(member: &Member) -> String {
    let email = member.email.as_ref().map(|e| e.as_str().to_owned());
    let named = member.name.clone().or(email);
    named.unwrap_or_else(|| member.id.to_string())
}

impl SettingsForm for Owners {
    const PATH: &'static str = routes::OWNERS;
    const TITLE: &'static str = "Owners";
    const LEAD: &'static str = "Who of your team stands for which owner in HubSpot.";
    const WIDTH: Width = Width::Wide;
    const STEPS: bool = true;

    async fn load(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused> {
        let store = &app.parts()?.store;
        let owners = match store.connection(visit.workspace()).await? {
            Some(connection) => store.owners(visit.workspace(), connection.portal).await?,
            None => Vec::new(),
        };
        Ok(Self {
            owners,
            known: known.facts.owners.clone().unwrap_or_default(),
            members: known.facts.members.clone(),
            saved: known.settings.owners.clone(),
        })
    }

    fn values(&self, settings: &Settings) -> Values {
        let of = &settings.owners;
        let known = self.owners.iter().map(|o| (field(o.id), String::new()));
        let by_hand = of.rows.iter().map(|row| {
            let member = row.member.as_ref().map_or(NOBODY, |m| m.as_str());
            (field(row.owner), member.to_owned())
        });
        let unmapped = match &of.unmapped {
            UnmappedOwner::Fallback => String::new(),
            UnmappedOwner::Member { member } => member.to_string(),
        };
        let fallback = of
            .fallback_owner
            .map_or_else(String::new, |o| o.to_string());
        let rest = [
            (AUTOMATIC, ticked(of.automatic)),
            (OVERWRITE, ticked(of.overwrite)),
            (FALLBACK, fallback),
            (UNMAPPED, unmapped),
        ];
        known
            .chain(by_hand)
            .chain(rest.into_iter().map(|(n, v)| (n.to_owned(), v)))
            .collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let wrong = |name: &str| (name.to_owned(), "Choose one of them.".to_owned());
        let of = &mut settings.owners;
        of.automatic = !value(values, AUTOMATIC).is_empty();
        of.overwrite = !value(values, OVERWRITE).is_empty();
        match value(values, FALLBACK) {
            "" => of.fallback_owner = None,
            id => match id.parse() {
                Ok(owner) => of.fallback_owner = Some(owner),
                Err(_) => errors.push(wrong(FALLBACK)),
            },
        }
        match value(values, UNMAPPED) {
            "" => of.unmapped = UnmappedOwner::Fallback,
            id => match id.parse() {
                Ok(member) => of.unmapped = UnmappedOwner::Member { member },
                Err(_) => errors.push(wrong(UNMAPPED)),
            },
        }
        // What was there keeps its place.
        let mut rows: Vec<Row> = Vec::new();
        let before = of.rows.iter().map(|row| field(row.owner));
        let names: Vec<String> = before.chain(values.keys().cloned()).collect();
        for name in names {
            let Some(Ok(owner)) = name.strip_prefix(OF_OWNER).map(str::parse) else {
                continue;
            };
            if rows.iter().any(|row| row.owner == owner) {
                continue;
            }
            let member = match value(values, &name) {
                "" => continue,
                NOBODY => None,
                id => match id.parse::<MemberId>() {
                    Ok(member) => Some(member),
                    Err(_) => {
                        errors.push(wrong(&name));
                        continue;
                    }
                },
            };
            rows.push(Row { owner, member });
        }
        of.rows = rows;
        errors
    }

    fn label(&self, name: &str) -> String {
        match name {
            AUTOMATIC => "Match by e-mail".to_owned(),
            OVERWRITE => "Overwrite existing owners".to_owned(),
            FALLBACK => "Fallback owner".to_owned(),
            UNMAPPED => "Records of unmapped owners".to_owned(),
            name => {
                let owner = self.owners.iter().find(|o| field(o.id) == name);
                owner.map_or_else(|| name.to_owned(), owner_name)
            }
        }
    }

    fn shown(&self, name: &str, value: &str) -> String {
        match name {
            AUTOMATIC | OVERWRITE => if value.is_empty() { "off" } else { "on" }.to_owned(),
            FALLBACK => {
                let owner = self.owners.iter().find(|o| o.id.to_string() == value);
                owner.map_or_else(|| value.to_owned(), owner_name)
            }
            _ => match value {
                "" => "by itself".to_owned(),
                NOBODY => "nobody".to_owned(),
                id => {
                    let member = self.members.iter().find(|m| m.id.as_str() == id);
                    member.map_or_else(|| id.to_owned(), member_name)
                }
            },
        }
    }

    fn field_at(&self, path: &SettingsPath, _: &Settings) -> Option<String> {
        let field = match path.as_str() {
            p if p.starts_with("/owners/fallback_owner") => FALLBACK,
            p if p.starts_with("/owners/unmapped") => UNMAPPED,
            _ => return None,
        };
        Some(field.to_owned())
    }

    fn step(&mut self, _: &Known, step: &str, _: &Sent, values: &mut Values) {
        let suggested = self.suggested(values, &self.as_if_saved(values));
        for (owner, suggestion) in suggested {
            let name = field(owner);
            if step == USE_ALL || step.strip_prefix(USE) == Some(name.as_str()) {
                values.insert(name, suggestion.member.to_string());
            }
        }
    }

    fn fields(&self, visit: &Visit, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let typed = self.as_if_saved(values);
        let map = OwnerMap::new(&typed, &self.known, &self.members);
        // Who was matched just now stays where one looks until that is saved.
        let saved = OwnerMap::new(&self.saved, &self.known, &self.members);
        let is_matched = |o: &&OwnerRow| {
            let error = error_of(errors, &field(o.id));
            error.is_none() && saved.mapped(o.id).is_some() && map.mapped(o.id).is_some()
        };
        let (matched, unmatched): (Vec<_>, Vec<_>) = self.owners.iter().partition(is_matched);
        let (active, left): (Vec<_>, Vec<_>) = unmatched.into_iter().partition(|o| !o.archived);
        let suggested = self.suggested(values, &typed);
        let may_change = visit.may_change();
        let table = |owners: &[&OwnerRow]| self.table(owners, values, &map, &suggested, may_change);
        html! {
            (section("unmatched", "Not matched", "", &html! {
                @if self.owners.is_empty() { (empty(None, "HubSpot’s owners were not read yet.", None)) }
                @else if active.is_empty() { (empty(Some(bare_pill(Tone::Ok, icon::CHECK, "All matched")), "Every active owner has a team member.", None)) }
                @else {
                    @if suggested.len() > 1 && may_change {
                        div .row {
                            (step_button(Self::PATH, "unmatched", "", USE_ALL, &html! { "Use all " (suggested.len()) " suggestions" }, None))
                            span .hint { "Nothing is saved before you save." }
                        }
                    }
                    (table(&active))
                }
                @if !left.is_empty() { (fold(false, format!("Deactivated in HubSpot: {}", left.len()), &table(&left))) }
            }))
            @if !matched.is_empty() {
                (section("matched", "Matched", "", &fold(false, format!("{} of {}", matched.len(), self.owners.len()), &table(&matched))))
            }
            (section("rules", "Rules", "", &html! {
                div .card {
                    div { (switch(AUTOMATIC, !value(values, AUTOMATIC).is_empty(), "Match owners and team members by e-mail", "What is chosen above goes before.")) }
                    div { (switch(OVERWRITE, !value(values, OVERWRITE).is_empty(), "Exports replace the owner that a record has", "Off: only records without an owner get one. On: a company whose people have several owners gets that of whoever is exported last.")) }
                    div .fields {
                        (select_field(FALLBACK, "Fallback owner", value(values, FALLBACK), &self.owner_options(value(values, FALLBACK)), error_of(errors, FALLBACK), "Of exports of members without an owner."))
                        (select_field(UNMAPPED, "Imported records of unmapped owners go to", value(values, UNMAPPED), &self.member_options("Whoever the fallback owner is", value(values, UNMAPPED)), error_of(errors, UNMAPPED), ""))
                    }
                }
            }))
        }
    }
}

impl Owners {
    /// The settings of owners as they would be if this was saved.
    fn as_if_saved(&self, values: &Values) -> OwnerSettings {
        let mut settings = Settings::empty();
        let _shown_elsewhere = self.apply(values, &mut settings);
        settings.owners
    }

    /// Who might stand for the owners for whom nobody does, and of whom nothing was chosen.
    fn suggested(
        &self,
        values: &Values,
        typed: &OwnerSettings,
    ) -> BTreeMap<HubSpotOwnerId, Suggestion> {
        let map = OwnerMap::new(typed, &self.known, &self.members);
        let open =
            |o: &&OwnerRow| map.mapped(o.id).is_none() && value(values, &field(o.id)).is_empty();
        let open = self.owners.iter().filter(open);
        let open: Vec<(&OwnerRow, String)> = open.map(|o| (o, full_name(o))).collect();
        let named: Vec<NamedOwner<'_>> = open
            .iter()
            .map(|(owner, name)| NamedOwner {
                id: owner.id,
                name,
                email: owner.email.as_deref(),
            })
            .collect();
        suggest(&named, &self.members)
    }

    /// What is suggested for an owner, for whoever may change that to be chosen with one press.
    fn suggestion(&self, owner: &OwnerRow, of: &Suggestion, may_change: bool) -> Markup {
        let member = self.members.iter().find(|m| m.id == of.member);
        let name = member.map_or_else(|| of.member.to_string(), member_name);
        let said = format!("Use {name} for {}", owner_name(owner));
        let step = format!("{USE}{}", field(owner.id));
        html! {
            span .hint .sub {
                "Suggested: " bdi { (name) }
                @if let Some(email) = member.and_then(|m| m.email.as_ref()) { ", " bdi { (email.as_str()) } }
                " (" (likeness(of.likeness)) ") "
                @if may_change { (step_button(Self::PATH, &field(owner.id), "small", &step, &html! { "Use suggestion" }, Some(&said))) }
            }
        }
    }

    fn owner_options(&self, now: &str) -> Vec<(String, String)> {
        let mut all = vec![(String::new(), "None".to_owned())];
        let active = self
            .owners
            .iter()
            .filter(|o| !o.archived || o.id.to_string() == now);
        all.extend(active.map(|o| (o.id.to_string(), owner_name(o))));
        if !all.iter().any(|(id, _)| id == now) {
            all.push((now.to_owned(), format!("{now} (not known)")));
        }
        all
    }

    fn member_options(&self, none: &str, now: &str) -> Vec<(String, String)> {
        let mut all = vec![(String::new(), none.to_owned())];
        let active = self
            .members
            .iter()
            .filter(|m| m.is_active() || m.id.as_str() == now);
        all.extend(active.map(|m| (m.id.to_string(), member_name(m))));
        if !all.iter().any(|(id, _)| id == now) {
            all.push((now.to_owned(), format!("{now} (not known)")));
        }
        all
    }

    fn table(
        &self,
        owners: &[&OwnerRow],
        values: &Values,
        map: &OwnerMap<'_>,
        suggested: &BTreeMap<HubSpotOwnerId, Suggestion>,
        may_change: bool,
    ) -> Markup {
        html! {
            table .table {
                caption .sr { "Owners" }
                thead { tr { th scope="col" { "Owner in HubSpot" } th scope="col" { "Team member" } } }
                tbody { @for owner in owners {
                    @let name = field(owner.id);
                    @let now = value(values, &name);
                    @let by_email = match map.mapped(owner.id) {
                        Some((member, MappedBy::Email)) => self.members.iter().find(|m| m.id == *member),
                        _ => None,
                    };
                    @let itself = by_email.map_or_else(|| "Nobody yet".to_owned(), |m| format!("{} (same e-mail)", member_name(m)));
                    @let options = if now == NOBODY { self.member_options(&itself, "") } else { self.member_options(&itself, now) };
                    tr {
                        th scope="row" {
                            bdi { (owner_name(owner)) }
                            @if let Some(email) = &owner.email { span .sub { bdi { (email) } } }
                        }
                        td data-l="Team member" {
                            select name=(name) id=(name) aria-label={ "Team member for " (owner_name(owner)) } {
                                @for (value, text) in &options { option value=(value) selected[value == now] { (text) } }
                                option value=(NOBODY) selected[now == NOBODY] { "Nobody, whatever the e-mails say" }
                            }
                            @if let Some(of) = suggested.get(&owner.id) { (self.suggestion(owner, of, may_change)) }
                        }
                    }
                } }
            }
        }
    }
}
