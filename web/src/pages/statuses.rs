//! Statuses: which property receives the lead status, and as which value (E7).

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    app::LeadStatus,
    portal::{Properties, PropertyDefinition, PropertyType},
    settings::{Settings, SettingsPath, StatusMapping, StatusRow},
};
use maud::{Markup, html};

use crate::{
    pages::{
        frame::AfterDone,
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{Tone, fold, icon, notice, section, switch},
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, row_at, save, show, ticked, value,
        },
    },
    state::App,
};

const PROPERTY: &str = "property";
const BACKWARD: &str = "backward";
const OF_STATUS: &str = "status-";

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::STATUSES, get(page).post(saved))
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<Statuses>(&app, &visit, after.done).await
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<Statuses>(&app, &visit, &sent).await
}

/// What the page needs: the enumerations of one option that can be written.
struct Statuses(Properties);

fn field(status: LeadStatus) -> String {
    format!("{OF_STATUS}{status}")
}

impl SettingsForm for Statuses {
    const PATH: &'static str = routes::STATUSES;
    const TITLE: &'static str = "Statuses";
    const LEAD: &'static str = "Which property of the contact receives the lead status, and as which value. A status without a value is not written.";

    async fn load(_: &App, _: &Visit, known: &Known) -> Result<Self, Refused> {
        let all = known.facts.contact_properties.iter().flatten();
        let can = |p: &PropertyDefinition| {
            p.property_type == PropertyType::Enumeration && p.writable() && !p.takes_several()
        };
        let fitting = all.filter(|(_, p)| can(p));
        Ok(Self(fitting.map(|(n, p)| (n.clone(), p.clone())).collect()))
    }

    fn values(&self, settings: &Settings) -> Values {
        let mapping = settings.status.as_ref();
        let of = |status: LeadStatus| {
            let row = mapping.and_then(|m| m.rows.iter().find(|r| r.status == status));
            row.map_or_else(String::new, |r| r.value.clone())
        };
        let property = mapping.map_or_else(String::new, |m| m.property.clone());
        let backward = mapping.is_some_and(|m| m.allow_backward);
        LeadStatus::ALL
            .into_iter()
            .map(|status| (field(status), of(status)))
            .chain([
                (PROPERTY.to_owned(), property),
                (BACKWARD.to_owned(), ticked(backward)),
            ])
            .collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let rows: Vec<StatusRow> = LeadStatus::ALL
            .into_iter()
            .filter_map(|status| {
                let value = value(values, &field(status));
                (!value.is_empty()).then(|| StatusRow {
                    status,
                    value: value.to_owned(),
                })
            })
            .collect();
        let property = value(values, PROPERTY);
        if property.is_empty() {
            if !rows.is_empty() {
                let text = "Choose the property, or take the values away.".to_owned();
                return vec![(PROPERTY.to_owned(), text)];
            }
            settings.status = None;
            return Vec::new();
        }
        settings.status = Some(StatusMapping {
            property: property.to_owned(),
            rows,
            allow_backward: !value(values, BACKWARD).is_empty(),
        });
        Vec::new()
    }

    fn label(&self, name: &str) -> String {
        match name {
            PROPERTY => "Property".to_owned(),
            BACKWARD => "May be set back".to_owned(),
            name => name
                .strip_prefix(OF_STATUS)
                .and_then(|s| s.parse::<LeadStatus>().ok())
                .map_or_else(|| name.to_owned(), |s| s.label().to_owned()),
        }
    }

    fn shown(&self, name: &str, value: &str) -> String {
        match name {
            PROPERTY => self
                .0
                .get(value)
                .map_or_else(|| value.to_owned(), |p| p.label.clone()),
            BACKWARD => if value.is_empty() { "no" } else { "yes" }.to_owned(),
            _ => value.to_owned(),
        }
    }

    fn field_at(&self, path: &SettingsPath, settings: &Settings) -> Option<String> {
        if let Some((n, _)) = row_at(path, "/status/rows") {
            let row = settings.status.as_ref().and_then(|s| s.rows.get(n));
            return row.map(|row| field(row.status));
        }
        path.as_str()
            .starts_with("/status")
            .then(|| PROPERTY.to_owned())
    }

    fn fields(&self, _: &Visit, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let chosen = value(values, PROPERTY);
        let definition = self.0.get(chosen);
        let basic = LeadStatus::ALL.into_iter().filter(LeadStatus::is_basic);
        let advanced: Vec<LeadStatus> = LeadStatus::ALL
            .into_iter()
            .filter(|s| !s.is_basic())
            .collect();
        let some_advanced = advanced
            .iter()
            .any(|s| !value(values, &field(*s)).is_empty());
        html! {
            (section("which", "Property", "Only drop-downs of one choice can receive it.", &html! {
                div .card { div { (self.property(chosen, error_of(errors, PROPERTY))) } }
                @if chosen == "lifecyclestage" {
                    (notice(Tone::Info, icon::WARN, &html! { p { "HubSpot moves lifecycle stages only forward. A status that stands earlier is not written unless you allow it to be set back: the stage is emptied first then." } }, None))
                }
            }))
            (section("table", "Values", "", &html! {
                (table(basic.collect(), values, errors, definition))
                (fold(some_advanced, "Advanced statuses", &table(advanced, values, errors, definition)))
            }))
            (section("back", "Set back", "", &html! {
                div .card { div { (switch(BACKWARD, !value(values, BACKWARD).is_empty(), "Lifecycle stages may be set back", "Acts on the property Lifecycle stage alone.")) } }
            }))
        }
    }
}

impl Statuses {
    fn property(&self, chosen: &str, error: Option<&str>) -> Markup {
        html! {
            div .field {
                label for=(PROPERTY) { "Property" }
                select id=(PROPERTY) name=(PROPERTY) aria-describedby="property-error property-hint" aria-invalid=[error.map(|_| "true")] {
                    option value="" selected[chosen.is_empty()] { "None: statuses are not written" }
                    @if !chosen.is_empty() && !self.0.contains_key(chosen) {
                        option value=(chosen) selected { (chosen) " (not there, or no drop-down)" }
                    }
                    @for (name, property) in &self.0 {
                        option value=(name) selected[name == chosen] { (property.label) }
                    }
                }
                @if let Some(error) = error { p .error-text #property-error { (error) } }
                p .hint #property-hint { "After another property was chosen and saved, its values can be chosen below." }
            }
        }
    }
}

fn table(
    statuses: Vec<LeadStatus>,
    values: &Values,
    errors: &[FieldError],
    definition: Option<&PropertyDefinition>,
) -> Markup {
    html! {
        table .table {
            caption .sr { "Status and value" }
            thead { tr { th scope="col" { "Status" } th scope="col" { "Value in HubSpot" } } }
            tbody { @for status in statuses {
                @let name = field(status);
                @let now = value(values, &name);
                @let error = error_of(errors, &name);
                tr {
                    th scope="row" { (status.label()) }
                    td data-l="Value in HubSpot" {
                        select name=(name) id=(name) aria-label={ "Value for " (status.label()) }
                            aria-describedby={ (name) "-error" } aria-invalid=[error.map(|_| "true")] {
                            option value="" selected[now.is_empty()] { "Not written" }
                            @if !now.is_empty() && definition.is_none_or(|d| !d.has_option(now)) {
                                option value=(now) selected { (now) " (no value of this property)" }
                            }
                            @for option in definition.iter().flat_map(|d| &d.options) {
                                option value=(option.value) selected[option.value == now] { (option.label) }
                            }
                        }
                        @if let Some(error) = error { p .error-text id={ (name) "-error" } { (error) } }
                    }
                }
            } }
        }
    }
}
