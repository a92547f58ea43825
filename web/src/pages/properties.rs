//! Properties of the portal: looked for by label or name. Fields that take a property suggest what stands
//! here as one types; without script this page is opened (E4).

use axum::{
    Router,
    extract::{FromRequestParts, Path, State},
    http::request::Parts,
    response::{IntoResponse as _, Response},
    routing::get,
};
use domain::{
    ObjectType,
    portal::{Properties, PropertyDefinition},
    settings::ActivityKind,
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    pages::{
        activities::kind_name,
        frame::{SettingsPage, Width},
        guard::{Address, Visit},
        head::Head,
        parts::{empty, heading, number},
        refused::Refused,
        routes,
    },
    state::App,
};

/// How many are shown: more are found by more letters.
const SHOWN: usize = 50;

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::PROPERTIES, get(show))
}

/// Whose properties an address is about.
pub(crate) enum Of {
    Contacts,
    Companies,
    Activities(ActivityKind),
}

impl Of {
    /// Where they are looked for.
    pub(crate) fn address(&self) -> String {
        let of = match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Activities(kind) => kind.as_str(),
        };
        routes::PROPERTIES.replace("{of}", of)
    }

    const fn object_type(&self) -> ObjectType {
        match self {
            Self::Contacts => ObjectType::Contact,
            Self::Companies => ObjectType::Company,
            Self::Activities(kind) => kind.engagement(),
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Contacts => "Properties of contacts".to_owned(),
            Self::Companies => "Properties of companies".to_owned(),
            Self::Activities(kind) => format!("Properties of activities: {}", kind_name(*kind).0),
        }
    }

    const fn tab(&self) -> &'static str {
        match self {
            Self::Contacts => routes::MAPPING_CONTACTS,
            Self::Companies => routes::MAPPING_COMPANIES,
            Self::Activities(_) => routes::MAPPING_ACTIVITY,
        }
    }
}

impl FromRequestParts<App> for Of {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        let Path(text) = text.map_err(|_| Refused::NotFound)?;
        match text.as_str() {
            "contacts" => Ok(Self::Contacts),
            "companies" => Ok(Self::Companies),
            other => other
                .parse()
                .map(Self::Activities)
                .map_err(|_| Refused::NotFound),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
}

/// How well a property fits what was typed; none where it does not. Less is better.
fn rank(property: &PropertyDefinition, words: &[String]) -> Option<(u8, String)> {
    let (name, label) = (property.name.to_lowercase(), property.label.to_lowercase());
    let all = words
        .iter()
        .all(|word| name.contains(word) || label.contains(word));
    let begins = words
        .first()
        .is_none_or(|word| name.starts_with(word) || label.starts_with(word));
    all.then_some((u8::from(!begins), label))
}

/// Those that are called so, best first.
pub(crate) fn ranked<'a>(
    all: impl Iterator<Item = &'a PropertyDefinition>,
    asked: &str,
) -> Vec<&'a PropertyDefinition> {
    let words: Vec<String> = asked
        .to_lowercase()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let there = all.filter(|property| !property.archived);
    let mut ranked: Vec<_> = there
        .filter_map(|property| Some((rank(property, &words)?, property)))
        .collect();
    ranked.sort_by(|a, b| a.0.cmp(&b.0));
    ranked.into_iter().map(|(_, property)| property).collect()
}

/// The best of them, and how many there are.
fn found<'a>(
    all: impl Iterator<Item = &'a PropertyDefinition>,
    asked: &str,
) -> (Vec<&'a PropertyDefinition>, usize) {
    let mut ranked = ranked(all, asked);
    let total = ranked.len();
    ranked.truncate(SHOWN);
    (ranked, total)
}

async fn show(
    State(app): State<App>,
    visit: Visit,
    of: Of,
    Address(asked): Address<Asked>,
) -> Result<Response, Refused> {
    let head = Head::of(&app, visit.workspace()).await?;
    let store = &app.parts()?.store;
    let known = match head.status.portal {
        Some(portal) => {
            store
                .property_definitions(visit.workspace(), portal, of.object_type())
                .await?
        }
        None => Properties::new(),
    };
    let (shown, total) = found(known.values(), &asked.q);
    let content = html! {
        p { a href=(of.tab()) { "Property mapping" } }
        (heading(of.title(), "Their names are what the mapping takes."))
        form .row action=(of.address()) role="search" {
            label .sr for="q" { "Label or name" }
            input .input type="search" #q name="q" value=(asked.q) placeholder="Label or name" autocomplete="off";
            button .btn { "Search" }
        }
        div role="status" .stack {
            @if known.is_empty() {
                (empty(None, "Properties of this kind were not read from HubSpot yet.", None))
            } @else if shown.is_empty() {
                (empty(None, "No property is called so.", None))
            } @else {
                (table(&shown))
                @if total > shown.len() { p .hint { "The first " (SHOWN) " of " (number(total as u64)) " are shown. Write more of the label or the name." } }
            }
        }
    };
    let page = SettingsPage {
        width: Width::Wide,
        ..SettingsPage::new(
            &visit,
            &head,
            routes::MAPPING_CONTACTS,
            "Properties",
            content,
        )
    };
    Ok(page.into_response())
}

fn table(shown: &[&PropertyDefinition]) -> Markup {
    html! {
        table .table {
            caption .sr { "Properties" }
            thead { tr { th scope="col" { "Label" } th scope="col" { "Name" } th scope="col" { "Type" } th scope="col" { "Can be written" } } }
            tbody { @for property in shown {
                tr data-property=(property.name) data-label=(property.label) {
                    th scope="row" { bdi { (property.label) } }
                    td data-l="Name" { code { (property.name) } }
                    td data-l="Type" { (property.property_type.as_str()) }
                    td data-l="Can be written" { @if property.writable() { "yes" } @else { span .muted { "no: read-only" } } }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, label: &str) -> PropertyDefinition {
        let json =
            format!(r#"{{"name":"{name}","label":"{label}","type":"string","fieldType":"text"}}"#);
        PropertyDefinition::from_hubspot(&json).unwrap()
    }

    #[test]
    fn a_property_is_found_by_label_and_by_name_best_first() {
        let mut all = vec![
            property("hs_job", "Work"),
            property("jobtitle", "Job title"),
            property("x", "The job"),
            property("city", "City"),
        ];
        let names = |asked: &str, all: &[PropertyDefinition]| -> Vec<String> {
            let (shown, _) = found(all.iter(), asked);
            shown.iter().map(|p| p.name.clone()).collect()
        };
        assert_eq!(names("JOB", &all), ["jobtitle", "x", "hs_job"]);
        assert_eq!(names("title job", &all), ["jobtitle"]);
        assert_eq!(names("nothing", &all), [""; 0]);
        assert_eq!(names("", &all).len(), 4);
        all[1].archived = true;
        assert_eq!(names("job", &all), ["x", "hs_job"]);
        let many: Vec<_> = (0..200).map(|n| property(&format!("p{n}"), "P")).collect();
        let (shown, total) = found(many.iter(), "p");
        assert_eq!((shown.len(), total), (SHOWN, 200));
    }
}
