//! Property mapping: which field of the app is which property of HubSpot, and which way its values go
//! (E4, I5). A field without a property has no row.

use std::collections::BTreeMap;

use axum::{Router, extract::State, response::Response, routing::get};
use domain::{
    app::{COMPANY_FIELDS, CatalogueField, FieldKey, FieldType, PERSON_FIELDS, RecordKind},
    portal::{Properties, PropertyDefinition},
    settings::{
        ExportBehavior, ImportPriority, MappingRow, Settings, SettingsPath, SettingsProblem,
    },
};
use maud::{Markup, html};

use crate::{
    pages::{
        frame::{AfterDone, Width},
        guard::{Address, Sent, Visit},
        head::Head,
        parts::{Tone, fold, icon, notice, section},
        properties::Of,
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, row_at, save, show, value,
        },
    },
    state::App,
};

const PROPERTY: &str = "property-";
const PRIORITY: &str = "priority-";
const EXPORT: &str = "export-";
const OPTIONS: &str = "options-";

const BEHAVIORS: [(&str, &str, ExportBehavior); 5] = [
    (
        "fill_if_empty",
        "Fill if empty",
        ExportBehavior::FillIfEmpty,
    ),
    ("overwrite", "Overwrite", ExportBehavior::Overwrite),
    ("create_only", "On create only", ExportBehavior::CreateOnly),
    ("append", "Append", ExportBehavior::Append),
    (
        "do_not_export",
        "Do not export",
        ExportBehavior::DoNotExport,
    ),
];

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(
            routes::MAPPING_CONTACTS,
            get(page::<Contacts>).post(saved::<Contacts>),
        )
        .route(
            routes::MAPPING_COMPANIES,
            get(page::<Companies>).post(saved::<Companies>),
        )
}

async fn page<T: Tab>(
    State(app): State<App>,
    visit: Visit,
    Address(after): Address<AfterDone>,
) -> Result<Response, Refused> {
    show::<Mapping<T>>(&app, &visit, after.done).await
}

async fn saved<T: Tab>(
    State(app): State<App>,
    visit: Visit,
    sent: Sent,
) -> Result<Response, Refused> {
    save::<Mapping<T>>(&app, &visit, &sent).await
}

/// A tab: whose rows they are.
trait Tab: Send + Sync + 'static {
    const PATH: &'static str;
    const LIST: &'static str;
    const RECORD: RecordKind;
    const OF: Of;
    const FIELDS: &'static [CatalogueField];
    fn rows(settings: &Settings) -> &Vec<MappingRow>;
    fn rows_mut(settings: &mut Settings) -> &mut Vec<MappingRow>;
    fn properties(known: &Known) -> Option<&Properties>;
}

struct Contacts;

impl Tab for Contacts {
    const PATH: &'static str = routes::MAPPING_CONTACTS;
    const LIST: &'static str = "/contacts";
    const RECORD: RecordKind = RecordKind::Person;
    const OF: Of = Of::Contacts;
    const FIELDS: &'static [CatalogueField] = PERSON_FIELDS;

    fn rows(settings: &Settings) -> &Vec<MappingRow> {
        &settings.contacts
    }

    fn rows_mut(settings: &mut Settings) -> &mut Vec<MappingRow> {
        &mut settings.contacts
    }

    fn properties(known: &Known) -> Option<&Properties> {
        known.facts.contact_properties.as_ref()
    }
}

struct Companies;

impl Tab for Companies {
    const PATH: &'static str = routes::MAPPING_COMPANIES;
    const LIST: &'static str = "/companies";
    const RECORD: RecordKind = RecordKind::Company;
    const OF: Of = Of::Companies;
    const FIELDS: &'static [CatalogueField] = COMPANY_FIELDS;

    fn rows(settings: &Settings) -> &Vec<MappingRow> {
        &settings.companies
    }

    fn rows_mut(settings: &mut Settings) -> &mut Vec<MappingRow> {
        &mut settings.companies
    }

    fn properties(known: &Known) -> Option<&Properties> {
        known.facts.company_properties.as_ref()
    }
}

/// A field of the app.
struct Field {
    key: FieldKey,
    label: String,
    /// None of one that neither the catalogue nor the workspace has (any more).
    field_type: Option<FieldType>,
}

/// The tabs of the mapping, with the one that is open.
pub(crate) fn tabs(open: &str) -> Markup {
    let all = [
        (routes::MAPPING_CONTACTS, "Contacts"),
        (routes::MAPPING_COMPANIES, "Companies"),
        (routes::MAPPING_ACTIVITY, "Activity"),
    ];
    html! {
        nav .tabs aria-label="Tabs" { ul {
            @for (path, name) in all {
                li { a href=(path) aria-current=[(path == open).then_some("page")] { (name) } }
            }
        } }
    }
}

/// What the page needs.
struct Mapping<T> {
    fields: Vec<Field>,
    properties: Properties,
    /// What is wrong with rows by now, by field.
    problems: Vec<FieldError>,
    /// What is wrong with the tab as a whole.
    above: Vec<String>,
    tab: std::marker::PhantomData<T>,
}

fn fields_of<T: Tab>(known: &Known) -> Vec<Field> {
    let catalogue = T::FIELDS.iter().filter_map(|field| {
        Some(Field {
            key: FieldKey::parse(field.key).ok()?,
            label: field.label.to_owned(),
            field_type: Some(field.field_type),
        })
    });
    let own = known.facts.custom_fields.iter();
    let own = own.filter(|f| f.record == T::RECORD).map(|f| Field {
        key: f.key.clone(),
        label: f.label.clone(),
        field_type: Some(f.field_type),
    });
    let mut all: Vec<Field> = catalogue.chain(own).collect();
    for row in T::rows(&known.settings) {
        if !all.iter().any(|f| f.key == row.app_field) {
            all.push(Field {
                key: row.app_field.clone(),
                label: row.app_field.to_string(),
                field_type: None,
            });
        }
    }
    all
}

/// Which option a value of the app becomes: a line each.
fn options_text(options: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = options
        .iter()
        .map(|(from, to)| format!("{from} = {to}"))
        .collect();
    lines.join("\n")
}

/// The reverse; none where a line is not of the form.
fn options_of(text: &str) -> Option<BTreeMap<String, String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (from, to) = line.rsplit_once(" = ")?;
            let (from, to) = (from.trim(), to.trim());
            (!from.is_empty() && !to.is_empty()).then(|| (from.to_owned(), to.to_owned()))
        })
        .collect()
}

impl<T: Tab> SettingsForm for Mapping<T> {
    const PATH: &'static str = T::PATH;
    const TITLE: &'static str = "Property mapping";
    const LEAD: &'static str =
        "Which field of the app is which property in HubSpot, and which way its values go.";
    const WIDTH: Width = Width::Wide;
    const PLACE: &'static str = routes::MAPPING_CONTACTS;

    async fn load(_: &App, _: &Visit, known: &Known) -> Result<Self, Refused> {
        let mut form = Self {
            fields: fields_of::<T>(known),
            properties: T::properties(known).cloned().unwrap_or_default(),
            problems: Vec::new(),
            above: Vec::new(),
            tab: std::marker::PhantomData,
        };
        let within = SettingsPath::new(T::LIST);
        for problem in known.problems.iter().filter(|p| p.path.is_within(&within)) {
            let SettingsProblem {
                path,
                message,
                code,
                ..
            } = problem;
            let text = format!("{message} ({})", code.code());
            match form.field_at(path, &known.settings) {
                Some(field) => form.problems.push((field, text)),
                None => form.above.push(text),
            }
        }
        Ok(form)
    }

    fn values(&self, settings: &Settings) -> Values {
        let mut values = Values::new();
        for field in &self.fields {
            let key = &field.key;
            let row = T::rows(settings).iter().find(|r| r.app_field == *key);
            let behavior = row.map_or(ExportBehavior::default(), |r| r.export);
            let behavior = BEHAVIORS.iter().find(|(.., b)| *b == behavior);
            let priority = match row.map_or(ImportPriority::default(), |r| r.import_priority) {
                ImportPriority::Crm => "crm",
                ImportPriority::Artisan => "artisan",
            };
            let property = row.map_or_else(String::new, |r| r.property.clone());
            let options = row.map_or_else(String::new, |r| options_text(&r.options));
            values.insert(format!("{PROPERTY}{key}"), property);
            values.insert(format!("{PRIORITY}{key}"), priority.to_owned());
            values.insert(
                format!("{EXPORT}{key}"),
                behavior.map_or("", |(name, ..)| name).to_owned(),
            );
            values.insert(format!("{OPTIONS}{key}"), options);
        }
        values
    }

    fn apply(&self, values: &Values, settings: &mut Settings) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let before = std::mem::take(T::rows_mut(settings));
        // What was there keeps its place.
        let kept = before.iter().map(|row| &row.app_field);
        let mut keys: Vec<&FieldKey> = kept.collect();
        for field in &self.fields {
            if !keys.contains(&&field.key) {
                keys.push(&field.key);
            }
        }
        let mut rows = Vec::new();
        for key in keys {
            let property = value(values, &format!("{PROPERTY}{key}")).trim();
            if property.is_empty() {
                continue;
            }
            let mut choose = |name: &str, text: &str| {
                errors.push((format!("{name}{key}"), text.to_owned()));
            };
            let said = value(values, &format!("{EXPORT}{key}"));
            let export = match BEHAVIORS.iter().find(|(name, ..)| *name == said) {
                Some((.., behavior)) => *behavior,
                None => {
                    choose(EXPORT, "Choose one of them.");
                    continue;
                }
            };
            let import_priority = match value(values, &format!("{PRIORITY}{key}")) {
                "crm" => ImportPriority::Crm,
                "artisan" => ImportPriority::Artisan,
                _ => {
                    choose(PRIORITY, "Choose one of them.");
                    continue;
                }
            };
            let Some(options) = options_of(value(values, &format!("{OPTIONS}{key}"))) else {
                choose(
                    OPTIONS,
                    "Write a line for each value, such as: R&D = RESEARCH",
                );
                continue;
            };
            rows.push(MappingRow {
                app_field: key.clone(),
                property: property.to_owned(),
                import_priority,
                export,
                options,
            });
        }
        *T::rows_mut(settings) = rows;
        errors
    }

    fn label(&self, name: &str) -> String {
        let of = |start: &str, what: &str| {
            let key = name.strip_prefix(start)?;
            let field = self.fields.iter().find(|f| f.key.as_str() == key);
            let label = field.map_or_else(|| key.to_owned(), |f| f.label.clone());
            Some(format!("{label}, {what}"))
        };
        of(PROPERTY, "property")
            .or_else(|| of(PRIORITY, "import priority"))
            .or_else(|| of(EXPORT, "export behavior"))
            .or_else(|| of(OPTIONS, "values"))
            .unwrap_or_else(|| name.to_owned())
    }

    fn shown(&self, name: &str, value: &str) -> String {
        if name.starts_with(EXPORT) {
            let known = BEHAVIORS.iter().find(|(n, ..)| *n == value);
            return known.map_or_else(|| value.to_owned(), |(_, text, _)| (*text).to_owned());
        }
        match (name.starts_with(PRIORITY), value) {
            (true, "crm") => "CRM".to_owned(),
            (true, _) => "Artisan".to_owned(),
            (false, value) => value.to_owned(),
        }
    }

    fn field_at(&self, path: &SettingsPath, settings: &Settings) -> Option<String> {
        let (n, of) = row_at(path, T::LIST)?;
        let key = &T::rows(settings).get(n)?.app_field;
        let start = match of.split('/').next() {
            Some("export") => EXPORT,
            Some("options") => OPTIONS,
            _ => PROPERTY,
        };
        Some(format!("{start}{key}"))
    }

    fn above(&self, _: &Visit, _: &Head) -> Markup {
        html! {
            (tabs(T::PATH))
            @for text in &self.above { (notice(Tone::Warn, icon::WARN, &html! { p { (text) } }, None)) }
        }
    }

    fn fields(&self, _: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let is_mapped = |f: &&Field| !value(values, &format!("{PROPERTY}{}", f.key)).is_empty();
        let wrong = |f: &&Field| error_of(errors, &format!("{PROPERTY}{}", f.key)).is_some();
        let (mapped, free): (Vec<_>, Vec<_>) =
            self.fields.iter().partition(|f| is_mapped(f) || wrong(f));
        html! {
            datalist #properties {}
            p .hint { "Write a property’s name; it is looked for by label, too. " a href=(T::OF.address()) { "All properties" } }
            (section("mapped", "Mapped", "Values of these come from HubSpot, and go there by the behavior of the row. Records that are here already are read again for what is newly mapped.", &self.table(&mapped, values, errors)))
            (section("free", "Not mapped", "Name a property to map a field.", &fold(mapped.is_empty(), format!("{} fields", free.len()), &self.table(&free, values, errors))))
        }
    }
}

impl<T: Tab> Mapping<T> {
    fn table(&self, fields: &[&Field], values: &Values, errors: &[FieldError]) -> Markup {
        html! {
            table .table {
                caption .sr { "Fields and properties" }
                thead { tr {
                    th scope="col" { "Field of the app" } th scope="col" { "Property in HubSpot" }
                    th scope="col" { "Import priority" } th scope="col" { "Export behavior" }
                } }
                tbody { @for field in fields { (self.row(field, values, errors)) } }
            }
        }
    }

    fn row(&self, field: &Field, values: &Values, errors: &[FieldError]) -> Markup {
        let key = &field.key;
        let [property, priority, export, options] =
            [PROPERTY, PRIORITY, EXPORT, OPTIONS].map(|start| format!("{start}{key}"));
        let typed = value(values, &property);
        let definition = self.properties.get(typed);
        let written = value(values, &options);
        // What was typed and is wrong comes before what went bad since it was saved.
        let wrong = |name: &str| error_of(errors, name).or_else(|| error_of(&self.problems, name));
        let (at_property, at_export) = (wrong(&property), wrong(&export));
        let at_options = wrong(&options);
        html! {
            tr {
                th scope="row" {
                    (field.label)
                    span .sub { @match field.field_type { Some(t) => { (t.as_str()) } None => { "no field of the app any more" } } }
                }
                td data-l="Property in HubSpot" {
                    input .input id=(property) name=(property) value=(typed) list="properties" data-properties=(T::OF.address()) aria-label={ "Property for " (field.label) }
                        autocomplete="off" autocapitalize="off" spellcheck="false"
                        aria-describedby={ (property) "-hint " (property) "-error" } aria-invalid=[at_property.map(|_| "true")];
                    span .sub id={ (property) "-hint" } { (said(definition)) }
                    @if let Some(error) = at_property { p .error-text id={ (property) "-error" } { (error) } }
                    @if !written.is_empty() || at_options.is_some() || definition.is_some_and(|d| !d.options.is_empty()) {
                        (fold(at_options.is_some(), "Values", &html! {
                            textarea .input name=(options) id=(options) rows="4" aria-label={ "Values of " (field.label) } { (written) }
                            @if let Some(error) = at_options { p .error-text { (error) } }
                            p .hint { "Which option a value of the app becomes, a line each: value = option. What is not named goes by the option’s value or label." }
                        }))
                    }
                }
                td data-l="Import priority" {
                    select name=(priority) id=(priority) aria-label={ "Import priority of " (field.label) } {
                        @for (v, text) in [("crm", "CRM"), ("artisan", "Artisan")] {
                            option value=(v) selected[v == value(values, &priority)] { (text) }
                        }
                    }
                }
                td data-l="Export behavior" {
                    select name=(export) id=(export) aria-label={ "Export behavior of " (field.label) } aria-invalid=[at_export.map(|_| "true")] {
                        @for (v, text, _) in BEHAVIORS { option value=(v) selected[v == value(values, &export)] { (text) } }
                    }
                    @if let Some(error) = at_export { p .error-text { (error) } }
                }
            }
        }
    }
}

/// What HubSpot says of a property.
pub(crate) fn said(definition: Option<&PropertyDefinition>) -> Markup {
    html! {
        @if let Some(d) = definition {
            bdi { (d.label) } " · " (d.property_type.as_str())
            @if d.archived { " · archived in HubSpot" }
            @else if !d.writable() { " · read-only" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_tables_read_back() {
        let of = |text: &str| options_of(text).map(|o| options_text(&o));
        assert_eq!(
            of("R&D = RESEARCH\n\n a = b = c "),
            Some("R&D = RESEARCH\na = b = c".to_owned())
        );
        assert_eq!(of(""), Some(String::new()));
        assert_eq!(of("R&D: RESEARCH"), None);
        assert_eq!(of(" = x"), None);
    }
}
