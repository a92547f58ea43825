//! Property mapping of activities: which field of a kind is which property of its engagement (E4, E8). A
//! field without a property has no row.

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    app::{FieldKey, FieldType},
    portal::{Properties, PropertyDefinition},
    settings::{
        ACTIVITY_FIELDS, ActivityKind, ActivityRow, RESERVED_ENGAGEMENT_PROPERTIES, Settings,
        SettingsPath,
    },
};
use maud::{Markup, html};

use crate::{
    pages::{
        activities::kind_name,
        frame::{AfterDone, Width},
        guard::{Address, Sent, Visit},
        head::Head,
        mapping::{fit_of, not_writable},
        mapping_tabs::tabs,
        parts::{Tone, icon, notice, section, switch},
        picker::{Fit, NEW_ROW, Pick, ROW, Rows, step_button},
        properties::Of,
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, row_at, save, show, ticked, value,
        },
    },
    state::App,
};

const LIST: &str = "/activity_properties";
const PROPERTY: &str = "property-";
const EXPORT: &str = "export-";

pub(crate) fn router() -> Router<App> {
    Router::new().route(routes::MAPPING_ACTIVITY, get(page).post(saved))
}

async fn page(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<Mapping>(&app, &visit, after.done).await
}

async fn saved(State(app): State<App>, visit: Visit, sent: Sent) -> Result<Response, Refused> {
    save::<Mapping>(&app, &visit, &sent).await
}

/// A field of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    kind: ActivityKind,
    key: FieldKey,
    label: String,
    /// None of one that activities do not have (any more).
    field_type: Option<FieldType>,
}

impl Field {
    /// The name of one of its inputs.
    fn input(&self, start: &str) -> String {
        format!("{start}{}.{}", self.kind, self.key)
    }

    fn is_of(&self, row: &ActivityRow) -> bool {
        self.kind == row.kind && self.key == row.app_field
    }
}

/// What the page needs.
struct Mapping {
    fields: Vec<Field>,
    /// By kind, as far as the portal's are known.
    properties: Vec<(ActivityKind, Properties)>,
    /// What is wrong with rows by now, by input.
    problems: Vec<FieldError>,
    /// What is wrong with the tab as a whole.
    above: Vec<String>,
    /// What the saved settings map, as inputs name it.
    mapped: Vec<String>,
    rows: Rows,
    /// Whether the rows are those of a fresh connection, not saved yet.
    is_reset: bool,
}

/// Those that activities have, and what else the settings name, each beside its kind.
fn fields_of(settings: &Settings) -> Vec<Field> {
    let mut all: Vec<Field> = ACTIVITY_FIELDS
        .iter()
        .filter_map(|field| {
            Some(Field {
                kind: field.kind,
                key: FieldKey::parse(field.key).ok()?,
                label: field.label.to_owned(),
                field_type: Some(field.field_type),
            })
        })
        .collect();
    for row in &settings.activity_properties {
        if !all.iter().any(|field| field.is_of(row)) {
            all.push(Field {
                kind: row.kind,
                key: row.app_field.clone(),
                label: row.app_field.to_string(),
                field_type: None,
            });
        }
    }
    all.sort_by_key(|field| {
        ActivityKind::ALL
            .iter()
            .position(|kind| *kind == field.kind)
    });
    all
}

impl Mapping {
    fn field(&self, of: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.input("") == of)
    }

    fn properties(&self, kind: ActivityKind) -> Option<&Properties> {
        let of_kind = self.properties.iter().find(|(of, _)| *of == kind);
        of_kind.map(|(_, properties)| properties)
    }
}

impl SettingsForm for Mapping {
    const PATH: &'static str = routes::MAPPING_ACTIVITY;
    const TITLE: &'static str = "Property mapping";
    const LEAD: &'static str = "What an activity carries into its record in HubSpot. Its time, its owner and whom it is about are always set.";
    const WIDTH: Width = Width::Wide;
    const PLACE: &'static str = routes::MAPPING_CONTACTS;
    const STEPS: bool = true;

    async fn load(_: &App, _: &Visit, known: &Known) -> Result<Self, Refused> {
        let of_portal = &known.facts.engagement_properties;
        let rows = known.settings.activity_properties.iter();
        let mut form = Self {
            mapped: rows
                .map(|row| format!("{}.{}", row.kind, row.app_field))
                .collect(),
            rows: Rows::default(),
            is_reset: false,
            fields: fields_of(&known.settings),
            properties: ActivityKind::ALL
                .into_iter()
                .filter_map(|kind| Some((kind, of_portal.get(&kind.engagement())?.clone())))
                .collect(),
            problems: Vec::new(),
            above: Vec::new(),
        };
        let within = SettingsPath::new(LIST);
        for problem in known.problems.iter().filter(|p| p.path.is_within(&within)) {
            let text = format!("{} ({})", problem.message, problem.code.code());
            match form.field_at(&problem.path, &known.settings) {
                Some(field) => form.problems.push((field, text)),
                None => form.above.push(text),
            }
        }
        Ok(form)
    }

    fn values(&self, settings: &Settings) -> Values {
        let inputs = self.fields.iter().flat_map(|field| {
            let row = settings.activity_properties.iter().find(|r| field.is_of(r));
            let property = row.map_or_else(String::new, |r| r.property.clone());
            [
                (field.input(PROPERTY), property),
                (field.input(EXPORT), ticked(row.is_none_or(|r| r.export))),
            ]
        });
        inputs.collect()
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let before = std::mem::take(&mut settings.activity_properties);
        // What was there keeps its place.
        let place = |field: &&Field| before.iter().position(|row| field.is_of(row));
        let mut fields: Vec<&Field> = self.fields.iter().collect();
        fields.sort_by_key(|field| place(field).unwrap_or(usize::MAX));
        let unfinished = fields.iter().filter(|field| {
            let is_empty = value(values, &field.input(PROPERTY)).trim().is_empty();
            is_empty && self.rows.waits(&field.input(""))
        });
        let text = "Choose a property, or remove the row.";
        let errors = unfinished.map(|field| (field.input(PROPERTY), text.to_owned()));
        let errors: Vec<FieldError> = errors.collect();
        let rows = fields.into_iter().filter_map(|field| {
            let property = value(values, &field.input(PROPERTY)).trim();
            (!property.is_empty()).then(|| ActivityRow {
                kind: field.kind,
                app_field: field.key.clone(),
                property: property.to_owned(),
                export: !value(values, &field.input(EXPORT)).is_empty(),
            })
        });
        settings.activity_properties = rows.collect();
        errors
    }

    fn label(&self, name: &str) -> String {
        let of = |start: &str, what: &str| {
            let field = self.field(name.strip_prefix(start)?)?;
            let (kind, _) = kind_name(field.kind);
            Some(format!("{kind}, {}, {what}", field.label))
        };
        of(PROPERTY, "property")
            .or_else(|| of(EXPORT, "exported"))
            .unwrap_or_else(|| name.to_owned())
    }

    fn shown(&self, name: &str, value: &str) -> String {
        match (name.starts_with(EXPORT), value) {
            (true, "") => "no".to_owned(),
            (true, _) => "yes".to_owned(),
            (false, value) => value.to_owned(),
        }
    }

    fn field_at(&self, path: &SettingsPath, settings: &Settings) -> Option<String> {
        let (n, _) = row_at(path, LIST)?;
        let row = settings.activity_properties.get(n)?;
        let field = self.fields.iter().find(|field| field.is_of(row))?;
        Some(field.input(PROPERTY))
    }

    fn came(&mut self, sent: &Sent) {
        self.rows.came(sent);
    }

    fn step(&mut self, known: &Known, step: &str, sent: &Sent, values: &mut Values) {
        if step == "defaults" {
            values.extend(self.values(&Settings::defaults(&known.facts)));
            self.rows = Rows::default();
            self.is_reset = true;
            return;
        }
        self.rows.step(step, sent, PROPERTY, values);
    }

    fn on_enter(&self) -> Option<String> {
        self.rows.on_enter()
    }

    fn change_of<'a>(&self, name: &'a str) -> &'a str {
        let starts = [PROPERTY, EXPORT];
        let row = starts.iter().find_map(|start| name.strip_prefix(start));
        row.unwrap_or(name)
    }

    fn above(&self, _: &Visit, _: &Head) -> Markup {
        html! {
            (tabs(Self::PATH))
            @for text in &self.above { (notice(Tone::Warn, icon::WARN, &html! { p { (text) } }, None)) }
            @if self.is_reset {
                div role="status" { (notice(Tone::Info, icon::CLOCK, &html! { p { "These are the rows of a fresh connection. They hold once they are saved." } }, None)) }
            }
        }
    }

    fn fields(&self, _: &Visit, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let is_shown = |field: &&Field| {
            self.rows
                .shows(&field.input(""), value(values, &field.input(PROPERTY)))
        };
        let (shown, free): (Vec<_>, Vec<_>) = self.fields.iter().partition(is_shown);
        let rows = html! {
            table .table {
                caption .sr { "Fields of activities and properties" }
                thead { tr {
                    th scope="col" { "Field of the app" } th scope="col" { "Activity" }
                    th scope="col" { "Property in HubSpot" } th scope="col" { "Exported" } th scope="col" { span .sr { "Actions" } }
                } }
                tbody { @for field in &shown { (self.row(field, values, errors)) } }
            }
            @for field in &free {
                // A row that was removed stays removed; one that is added begins as exported.
                @if self.mapped.contains(&field.input("")) { input type="hidden" name=(field.input(PROPERTY)) value=""; }
                @if !value(values, &field.input(EXPORT)).is_empty() { input type="hidden" name=(field.input(EXPORT)) value="on"; }
            }
            div .row {
                span .end { (step_button(Self::PATH, "rows", "quiet", "defaults", &html! { "Reset to defaults…" }, None)) }
            }
        };
        html! {
            (section("rows", "Fields", "Activities that are on the timeline already keep what they have until they change.", &rows))
            @if !free.is_empty() {
                (section("free", "Not mapped", "Choose what of an activity to map, then its property.", &html! {
                    div .row {
                        label .sr for=(NEW_ROW) { "Field of an activity" }
                        select id=(NEW_ROW) name=(NEW_ROW) {
                            @for field in &free { option value=(field.input("")) { (kind_name(field.kind).0) ": " (field.label) } }
                        }
                        (step_button(Self::PATH, "picker", "", "add", &html! { (icon::draw(icon::PLUS)) "Add row" }, None))
                    }
                }))
            }
        }
    }
}

impl Mapping {
    fn row(&self, field: &Field, values: &Values, errors: &[FieldError]) -> Markup {
        let (property, export) = (field.input(PROPERTY), field.input(EXPORT));
        let known = self.properties(field.kind);
        // What was typed and is wrong comes before what went bad since it was saved.
        let wrong = error_of(errors, &property).or_else(|| error_of(&self.problems, &property));
        let (kind, _) = kind_name(field.kind);
        let name = format!("{kind}, {}", field.label);
        let pick = Pick {
            path: Self::PATH,
            name: &property,
            of: &name,
            chosen: value(values, &property),
            properties: known,
            error: wrong,
        };
        html! {
            tr {
                th scope="row" {
                    (field.label)
                    span .sub { @match field.field_type { Some(t) => { (t.as_str()) } None => { "no field of activities any more" } } }
                    input type="hidden" name=(ROW) value=(field.input(""));
                }
                td data-l="Activity" { (kind) }
                td data-l="Property in HubSpot" { (pick.button(&self.rows)) }
                td data-l="Exported" {
                    (switch(&export, !value(values, &export).is_empty(), html! { span .sr { (name) ", exported" } }, ""))
                }
                td .act {
                    (step_button(Self::PATH, "rows", "small quiet icon", &format!("remove {}", field.input("")), &icon::draw(icon::CROSS), Some(&format!("Remove {name}"))))
                }
            }
            @if self.rows.is_open(&property) {
                tr .detail { td colspan="5" {
                    (pick.picker(&self.rows, &Of::Activities(field.kind).address(), |d| self.fit(field, values, d)))
                } }
            }
        }
    }

    /// Whether a row of this field can have a property.
    fn fit(&self, field: &Field, values: &Values, property: &PropertyDefinition) -> Fit {
        if RESERVED_ENGAGEMENT_PROPERTIES.contains(&property.name.as_str()) {
            return Fit::no("Always set by the export itself");
        }
        if not_writable(property).is_some() {
            return Fit::no("Read-only in HubSpot");
        }
        let other = self.fields.iter().find(|f| {
            let same = f.kind == field.kind && f.key != field.key;
            same && value(values, &f.input(PROPERTY)) == property.name
        });
        if let Some(other) = other {
            return Fit::no(format!("Taken: “{}” writes it already", other.label));
        }
        match field.field_type {
            Some(field_type) => fit_of(field_type, property),
            None => Fit::yes("Not checked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::portal::PortalFacts;

    use super::*;

    fn form(settings: &Settings) -> Mapping {
        Mapping {
            fields: fields_of(settings),
            properties: Vec::new(),
            problems: Vec::new(),
            above: Vec::new(),
            mapped: Vec::new(),
            rows: Rows::default(),
            is_reset: false,
        }
    }

    #[test]
    fn what_is_shown_saves_as_it_was() {
        let mut settings = Settings::defaults(&PortalFacts::default());
        // Rows in another order than the page has them, one off, and one of a field that is gone.
        settings.activity_properties.reverse();
        settings.activity_properties[0].export = false;
        settings.activity_properties.insert(
            1,
            ActivityRow {
                kind: ActivityKind::Call,
                app_field: FieldKey::parse("mood").unwrap(),
                property: "mood_of_call".to_owned(),
                export: true,
            },
        );
        let form = form(&settings);
        let mut values = form.values(&settings);
        let mut same = settings.clone();
        assert!(form.apply(&values, &mut same).is_empty());
        assert_eq!(same, settings);

        values.insert("property-email.subject".to_owned(), " ".to_owned());
        values.insert("property-call.campaign".to_owned(), " campaign ".to_owned());
        form.apply(&values, &mut same);
        let row = |kind, key: &str| {
            let mut rows = same.activity_properties.iter();
            rows.find(|r: &&ActivityRow| r.kind == kind && r.app_field.as_str() == key)
        };
        assert_eq!(row(ActivityKind::Email, "subject"), None);
        let campaign = row(ActivityKind::Call, "campaign").unwrap();
        assert_eq!(
            (campaign.property.as_str(), campaign.export),
            ("campaign", true)
        );
    }

    #[test]
    fn a_place_is_that_of_its_property() {
        let settings = Settings::defaults(&PortalFacts::default());
        let form = form(&settings);
        let at = |path: &str| form.field_at(&SettingsPath::new(path), &settings);
        let first = &settings.activity_properties[0];
        let want = format!("property-{}.{}", first.kind, first.app_field);
        assert_eq!(at("/activity_properties/0/property"), Some(want.clone()));
        assert_eq!(at("/activity_properties/0"), Some(want));
        assert_eq!(at("/activity_properties"), None);
        assert_eq!(
            form.label("property-email.subject"),
            "E-mail, Subject, property"
        );
    }
}
