//! Basic sync: what comes in, who goes out, and how much (I4, E1, E5).

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    portal::Properties,
    settings::{
        ExportPolicy, ExportSettings, FixedValue, RecordCreation, Settings, SettingsPath,
        StampBehavior,
    },
};
use maud::{Markup, html};
use store::Qualifying;

use crate::{
    pages::{
        frame::AfterDone,
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{Choice, choices, count, number_field, section, select_field, switch},
        properties::Of,
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, save, show, ticked, value, whole,
        },
    },
    state::App,
};

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::BASIC_SYNC, get(page).post(saved))
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<BasicSync>(&app, &visit, after.done).await
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<BasicSync>(&app, &visit, &sent).await
}

/// What the page needs.
struct BasicSync {
    interval: u32,
    properties: Option<Properties>,
    /// The policy in force.
    in_force: ExportPolicy,
    /// Who would be exported by each policy.
    qualify: Vec<(ExportPolicy, Qualifying)>,
}

const IMPORT: &str = "import";
const POLICY: &str = "policy";
const CONTACTS: &str = "contacts";
const COMPANIES: &str = "companies";
const SOURCE_PROPERTY: &str = "source-property";
const SOURCE_VALUE: &str = "source-value";
const SOURCE_BEHAVIOR: &str = "source-behavior";
const CEILING_ON: &str = "ceiling-on";
const CEILING: &str = "ceiling";

const BEHAVIORS: [(&str, &str, StampBehavior); 3] = [
    ("fill_if_empty", "Fill if empty", StampBehavior::FillIfEmpty),
    ("overwrite", "Overwrite", StampBehavior::Overwrite),
    ("create_only", "On create only", StampBehavior::CreateOnly),
];

/// What people call a policy.
pub(crate) const fn policy_name(policy: ExportPolicy) -> &'static str {
    match policy {
        ExportPolicy::AllContacted => "All people contacted",
        ExportPolicy::Replied => "Only people who replied",
        ExportPolicy::RepliedPositively => "Only people who replied positively",
    }
}

/// What a policy means.
const fn policy_text(policy: ExportPolicy) -> &'static str {
    match policy {
        ExportPolicy::AllContacted => "Would export everybody contacted from now on.",
        ExportPolicy::Replied => {
            "Would export everybody who replies from now on, whatever the reply says."
        }
        ExportPolicy::RepliedPositively => {
            "Would export everybody who replies positively from now on."
        }
    }
}

/// What people call what becomes of new records.
pub(crate) const fn creation_name(creation: RecordCreation) -> &'static str {
    match creation {
        RecordCreation::CreateAndUpdate => "Create and update",
        RecordCreation::UpdateOnly => "Update only",
    }
}

impl SettingsForm for BasicSync {
    const PATH: &'static str = routes::BASIC_SYNC;
    const TITLE: &'static str = "Basic sync";
    const LEAD: &'static str = "What comes in, who goes out, and how much.";
    const BEGINS: bool = true;

    async fn load(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused> {
        let store = &app.parts()?.store;
        let standing = store.export_standing(visit.workspace()).await?;
        let mut qualify = Vec::new();
        for policy in ExportPolicy::ALL {
            let mut standing = standing.clone();
            if standing.settings.export.policy != policy {
                // Another policy acts from its own save on.
                standing.settings.export.policy = policy;
                standing.in_force_since = None;
            }
            let found = store.qualifying(visit.workspace(), &standing).await?;
            qualify.push((policy, found));
        }
        Ok(Self {
            interval: known.settings.import.interval_minutes,
            properties: known.facts.contact_properties.clone(),
            in_force: standing.settings.export.policy,
            qualify,
        })
    }

    fn values(&self, settings: &Settings) -> Values {
        let source = settings.contact_source.as_ref();
        let behavior = source.map_or(StampBehavior::default(), |s| s.behavior);
        let ceiling = settings.export.daily_ceiling;
        let behavior = BEHAVIORS.iter().find(|(_, _, b)| *b == behavior);
        [
            (IMPORT, ticked(settings.import.enabled)),
            (POLICY, settings.export.policy.to_string()),
            (CONTACTS, settings.export.contacts.to_string()),
            (COMPANIES, settings.export.companies.to_string()),
            (
                SOURCE_PROPERTY,
                source.map_or_else(String::new, |s| s.property.clone()),
            ),
            (
                SOURCE_VALUE,
                source.map_or_else(String::new, |s| s.value.clone()),
            ),
            (
                SOURCE_BEHAVIOR,
                behavior.map_or_else(String::new, |(name, ..)| (*name).to_owned()),
            ),
            (CEILING_ON, ticked(ceiling.is_some())),
            (CEILING, ceiling.map_or_else(String::new, |c| c.to_string())),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let choose = |name: &str| (name.to_owned(), "Choose one of them.".to_owned());
        settings.import.enabled = !value(values, IMPORT).is_empty();
        match value(values, POLICY).parse() {
            Ok(policy) => settings.export.policy = policy,
            Err(_) => errors.push(choose(POLICY)),
        }
        match value(values, CONTACTS).parse() {
            Ok(creation) => settings.export.contacts = creation,
            Err(_) => errors.push(choose(CONTACTS)),
        }
        match value(values, COMPANIES).parse() {
            Ok(creation) => settings.export.companies = creation,
            Err(_) => errors.push(choose(COMPANIES)),
        }
        let property = value(values, SOURCE_PROPERTY).trim();
        let said = value(values, SOURCE_BEHAVIOR);
        match BEHAVIORS.iter().find(|(name, ..)| *name == said) {
            _ if property.is_empty() && !value(values, SOURCE_VALUE).is_empty() => {
                let text = "Name the property, or empty the value beside it.";
                errors.push((SOURCE_PROPERTY.to_owned(), text.to_owned()));
            }
            _ if property.is_empty() => settings.contact_source = None,
            Some((.., behavior)) => {
                settings.contact_source = Some(FixedValue {
                    property: property.to_owned(),
                    value: value(values, SOURCE_VALUE).to_owned(),
                    behavior: *behavior,
                });
            }
            None => errors.push(choose(SOURCE_BEHAVIOR)),
        }
        settings.export.daily_ceiling = match value(values, CEILING_ON) {
            "" => None,
            _ => whole(values, CEILING, &mut errors, ExportSettings::CEILING),
        };
        errors
    }

    fn label(&self, name: &str) -> String {
        match name {
            IMPORT => "Import",
            POLICY => "Who is exported",
            CONTACTS => "New contacts",
            COMPANIES => "New companies",
            SOURCE_PROPERTY => "Contact source, property",
            SOURCE_VALUE => "Contact source, value",
            SOURCE_BEHAVIOR => "Contact source, behavior",
            CEILING_ON => "Daily ceiling",
            _ => "Daily ceiling, records per day",
        }
        .to_owned()
    }

    fn shown(&self, name: &str, value: &str) -> String {
        match name {
            IMPORT | CEILING_ON => if value.is_empty() { "off" } else { "on" }.to_owned(),
            POLICY => value
                .parse()
                .map_or_else(|_| value.to_owned(), |p| policy_name(p).to_owned()),
            CONTACTS | COMPANIES => value
                .parse()
                .map_or_else(|_| value.to_owned(), |c| creation_name(c).to_owned()),
            SOURCE_BEHAVIOR => BEHAVIORS
                .iter()
                .find(|(name, ..)| *name == value)
                .map_or_else(|| value.to_owned(), |(_, shown, _)| (*shown).to_owned()),
            _ => value.to_owned(),
        }
    }

    fn field_at(&self, path: &SettingsPath, _: &Settings) -> Option<String> {
        let field = match path.as_str() {
            "/export/daily_ceiling" => CEILING,
            "/contact_source/value" => SOURCE_VALUE,
            p if p.starts_with("/contact_source") => SOURCE_PROPERTY,
            p if p.starts_with("/export/policy") => POLICY,
            _ => return None,
        };
        Some(field.to_owned())
    }

    fn fields(&self, _: &Visit, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        html! {
            (section("import-title", "Import", "", &html! {
                div .card { div { (switch(IMPORT, !value(values, IMPORT).is_empty(), "Import your HubSpot data", html! {
                    "Contacts, companies, deals and lists come in every " (self.interval) " minutes. Off: records stop coming in and verdicts show their age; properties, owners and exports go on."
                })) } }
            }))
            (section("who", "Who is exported", "Acts from the next save on. People who qualified earlier are exported only by a bulk export.", &html! {
                div id=(POLICY) { (choices(POLICY, "Who is exported", false, value(values, POLICY), self.policies())) }
            }))
            (section("new", "New records", "Holds for manual and bulk exports too.", &html! {
                div .fields {
                    (choices(CONTACTS, "Contacts", true, value(values, CONTACTS), creations(
                        "Makes the contacts that HubSpot does not have.",
                        "People without a contact in HubSpot are left out, with that reason.",
                    )))
                    (choices(COMPANIES, "Companies", true, value(values, COMPANIES), creations(
                        "Matched by domain; never made for a free-mail domain.",
                        "Contacts without a matching company stay without one.",
                    )))
                }
            }))
            (section("source", "Contact source", "Stamped on exported contacts, so that you can report on them in HubSpot.", &html! {
                div .card { div .fields { (self.source(values, errors)) } }
            }))
            (section("daily", "Daily ceiling", "", &html! {
                div .card { div .stack {
                    (switch(CEILING_ON, !value(values, CEILING_ON).is_empty(), "Limit how many records are written per day",
                        "What lies beyond waits, visibly, and goes on at the next midnight of the portal’s time zone."))
                    div .under-switch {
                        (number_field(CEILING, "Records per day", value(values, CEILING), error_of(errors, CEILING), ""))
                    }
                } }
            }))
        }
    }
}

fn creations(both: &str, update: &str) -> Vec<Choice> {
    let choice = |creation: RecordCreation, hint: &str| Choice {
        value: match creation {
            RecordCreation::CreateAndUpdate => "create_and_update",
            RecordCreation::UpdateOnly => "update_only",
        },
        title: creation_name(creation),
        hint: html! { (hint) },
    };
    vec![
        choice(RecordCreation::CreateAndUpdate, both),
        choice(RecordCreation::UpdateOnly, update),
    ]
}

impl BasicSync {
    fn policies(&self) -> Vec<Choice> {
        self.qualify
            .iter()
            .map(|(policy, found)| Choice {
                value: match policy {
                    ExportPolicy::AllContacted => "all_contacted",
                    ExportPolicy::Replied => "replied",
                    ExportPolicy::RepliedPositively => "replied_positively",
                },
                title: policy_name(*policy),
                hint: html! {
                    (policy_text(*policy)) " "
                    (count(found.earlier, found.more)) " who qualify already wait for a bulk export."
                    @if found.people > found.earlier {
                        " " (count(found.people - found.earlier, found.more)) " more are ready to export."
                    }
                    // A bulk export takes whom the policy in force takes.
                    @if found.people > 0 && *policy == self.in_force { " " a href=(routes::BULK) { "See who, and export them" } "." }
                },
            })
            .collect()
    }

    fn source(&self, values: &Values, errors: &[FieldError]) -> Markup {
        let typed = value(values, SOURCE_PROPERTY);
        let chosen = self.properties.as_ref().and_then(|p| p.get(typed));
        let error = error_of(errors, SOURCE_PROPERTY);
        let behaviors: Vec<(String, String)> = BEHAVIORS
            .iter()
            .map(|(value, text, _)| ((*value).to_owned(), (*text).to_owned()))
            .collect();
        let value_error = error_of(errors, SOURCE_VALUE);
        html! {
            div .field {
                label for=(SOURCE_PROPERTY) { "Property" }
                input .input id=(SOURCE_PROPERTY) name=(SOURCE_PROPERTY) value=(typed) list="source-properties" data-properties=(Of::Contacts.address())
                    autocomplete="off" autocapitalize="off" spellcheck="false"
                    aria-describedby="source-property-error source-property-hint" aria-invalid=[error.map(|_| "true")];
                datalist #source-properties {}
                @if let Some(error) = error { p .error-text #source-property-error { (error) } }
                p .hint #source-property-hint {
                    @match chosen {
                        Some(property) => { bdi { (property.label) } " · " (property.property_type.as_str()) }
                        None => { "The property’s name in HubSpot; empty: nothing is stamped" }
                    }
                }
            }
            div .field {
                label for=(SOURCE_VALUE) { "Value" }
                input .input id=(SOURCE_VALUE) name=(SOURCE_VALUE) value=(value(values, SOURCE_VALUE))
                    aria-describedby="source-value-error" aria-invalid=[value_error.map(|_| "true")];
                @if let Some(error) = value_error { p .error-text #source-value-error { (error) } }
            }
            (select_field(SOURCE_BEHAVIOR, "Export behavior", value(values, SOURCE_BEHAVIOR), &behaviors,
                error_of(errors, SOURCE_BEHAVIOR), "Whether a value that HubSpot has is kept."))
        }
    }
}
