//! Properties of our own: offered beside the mapping, made in HubSpot and mapped at once (E5).

use axum::{extract::State, response::Redirect};
use domain::{
    ConnectionState,
    entry::PageEvent,
    own_properties::{GROUP_LABEL, OWN_PROPERTIES, OwnProperty, with_rows},
    settings::SettingsRevision,
};
use maud::{Markup, html};

use crate::{
    api::own_properties,
    pages::{
        guard::Visit,
        parts::{Tone, action, fold, icon, notice},
        refused::Refused,
        routes,
        settings_form::Known,
    },
    state::App,
};

/// What making properties of our own needs.
const SCHEMAS_WRITE: &str = "crm.schemas.contacts.write";

/// Whether properties of our own can be made and mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Own {
    /// There is nothing to be made, or nowhere to map it.
    Nothing,
    /// These can.
    Can(Vec<&'static OwnProperty>),
    /// HubSpot did not grant what it needs.
    NotGranted,
}

impl Own {
    pub(crate) async fn of(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused> {
        let properties = known.facts.contact_properties.as_ref();
        let there = |own: &OwnProperty| properties.and_then(|all| all.get(own.name));
        let free: Vec<&OwnProperty> = OWN_PROPERTIES
            .iter()
            .filter(|own| there(own).is_none())
            .collect();
        if with_rows(&known.settings, &free).is_none() {
            return Ok(Self::Nothing);
        }
        let connection = app.parts()?.store.connection(visit.workspace()).await?;
        Ok(match connection {
            Some(c) if c.state != ConnectionState::Connected => Self::Nothing,
            Some(c) if c.scopes.iter().any(|scope| scope == SCHEMAS_WRITE) => Self::Can(free),
            Some(_) => Self::NotGranted,
            None => Self::Nothing,
        })
    }

    /// Says what can be made, and what it would be before anything is.
    pub(crate) fn offered(&self, visit: &Visit) -> Markup {
        let text = html! { p {
            "HubSpot has no properties yet for the last campaign, when a campaign last contacted somebody, their last reply and its sentiment. "
            @match self {
                Self::Can(_) => { "They can be made in a group of their own, “" (GROUP_LABEL) "”, and mapped." }
                _ => { "Making them needs the scope " code { (SCHEMAS_WRITE) } ": connect again and grant it." }
            }
        } };
        match self {
            Self::Nothing => Markup::default(),
            Self::NotGranted => notice(Tone::Info, icon::PLUS, &text, None),
            Self::Can(free) => {
                let confirm = html! {
                    ul {
                        @for own in free {
                            li { b { (own.label) } " " span .muted { code { (own.name) } ", " (own.property_type.as_str()) } }
                        }
                    }
                    p { "HubSpot gets these properties of contacts at once, and each a row here that writes it. Members of the portal can change them; nothing is made twice." }
                    (action(visit, routes::OWN_PROPERTIES, "", format!("Make {} properties", free.len()), &[]))
                };
                let content = html! {
                    (text)
                    @if visit.may_change() { (fold(false, "Make and map them", &confirm)) }
                };
                notice(Tone::Info, icon::PLUS, &content, None)
            }
        }
    }
}

/// Makes our group of properties in the portal, and maps them (E5).
pub(crate) async fn make(State(app): State<App>, visit: Visit) -> Result<Redirect, Refused> {
    let store = &app.parts()?.store;
    let before = store.settings(visit.workspace()).await?;
    let before = before.map_or(SettingsRevision::NONE, |row| row.revision);
    let answer = own_properties::make(&app, visit.workspace()).await?;
    let saved = (answer.revision > before).then_some(answer.revision);
    visit.note(&app, PageEvent::MadeOwnProperties, saved).await;
    let all = answer.properties.iter().all(|own| own.mapped);
    let done = if all {
        "own-properties"
    } else {
        "own-properties-some"
    };
    Ok(Redirect::to(&format!(
        "{}?done={done}",
        routes::MAPPING_CONTACTS
    )))
}
