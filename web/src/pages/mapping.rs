//! Property mapping: which field of the app is which property of HubSpot, and which way its values go
//! (E4, I5). A field without a property has no row.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use domain::{
    app::{FieldKey, FieldType, RecordKind},
    export::fits,
    portal::{PortalFacts, Properties, PropertyDefinition},
    settings::{
        ExportBehavior, ImportPriority, MappingRow, Settings, SettingsCode, SettingsPath,
        SettingsProblem, required_not_written,
    },
};
use maud::{Markup, html};

use crate::{
    pages::{
        bulk,
        fixed_values::{self, Fixed},
        frame::{AfterDone, Width},
        guard::{Address, Sent, Visit},
        head::Head,
        mapping_behaviors::{BEHAVIORS, meaning},
        mapping_example::{ExampleOf, ShownRow},
        mapping_own::{self, Own},
        mapping_tabs::{Companies, Contacts, Field, Tab, fields_of, tabs},
        parts::{Tone, empty, fold, icon, notice, section},
        picker::{Fit, NEW_ROW, Pick, ROW, Rows, step_button},
        refused::Refused,
        routes,
        settings_form::{
            FieldError, Known, SettingsForm, Values, error_of, row_at, save, show, value,
        },
        value_table::{self, ValueTable},
    },
    state::App,
};

const PROPERTY: &str = "property-";
const PRIORITY: &str = "priority-";
const EXPORT: &str = "export-";
const OPTIONS: &str = "options-";
/// The field of the app that is to fill what the portal requires.
const REQUIRED: &str = "required-";
/// The step that maps it.
const FILL: &str = "fill ";

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
        .route(routes::OWN_PROPERTIES, post(mapping_own::make))
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

/// What the page needs.
struct Mapping<T> {
    fields: Vec<Field>,
    properties: Properties,
    /// What is wrong with rows by now, by field.
    problems: Vec<FieldError>,
    /// What is wrong with the tab as a whole.
    above: Vec<String>,
    /// What the saved settings map.
    mapped: Vec<FieldKey>,
    rows: Rows,
    fixed: Fixed,
    /// The field whose values are open.
    opened: String,
    /// Whether the rows are those of a fresh connection, not saved yet.
    is_reset: bool,
    /// The settings in force, and what they are checked against.
    settings: Settings,
    facts: PortalFacts,
    own: Own,
    example: Option<ExampleOf>,
    tab: std::marker::PhantomData<T>,
}

impl<T: Tab> SettingsForm for Mapping<T> {
    const PATH: &'static str = T::PATH;
    const TITLE: &'static str = "Property mapping";
    const LEAD: &'static str =
        "Which field of the app is which property in HubSpot, and which way its values go.";
    const WIDTH: Width = Width::Wide;
    const PLACE: &'static str = routes::MAPPING_CONTACTS;
    const STEPS: bool = true;

    async fn load(app: &App, visit: &Visit, known: &Known) -> Result<Self, Refused> {
        let rows = T::rows(&known.settings).iter();
        let mut form = Self {
            mapped: rows.map(|row| row.app_field.clone()).collect(),
            rows: Rows::default(),
            fixed: Fixed::of(T::fixed(&known.settings)),
            opened: String::new(),
            is_reset: false,
            fields: fields_of::<T>(known),
            properties: T::properties(known).cloned().unwrap_or_default(),
            problems: Vec::new(),
            above: Vec::new(),
            settings: known.settings.clone(),
            facts: known.facts.clone(),
            own: match T::RECORD {
                RecordKind::Person => Own::of(app, visit, known).await?,
                RecordKind::Company => Own::Nothing,
            },
            example: ExampleOf::of(app, visit, T::RECORD).await?,
            tab: std::marker::PhantomData,
        };
        let within = [SettingsPath::new(T::LIST), SettingsPath::new(T::FIXED)];
        let of_tab = |p: &&SettingsProblem| within.iter().any(|list| p.path.is_within(list));
        for problem in known.problems.iter().filter(of_tab) {
            let SettingsProblem {
                path,
                message,
                code,
                ..
            } = problem;
            // What is required is said of what is on the page, saved or not.
            if *code == SettingsCode::RequiredNotWritten {
                continue;
            }
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
            let options = row.map_or_else(String::new, |r| value_table::text_of(&r.options));
            values.insert(format!("{PROPERTY}{key}"), property);
            values.insert(format!("{PRIORITY}{key}"), priority.to_owned());
            values.insert(
                format!("{EXPORT}{key}"),
                behavior.map_or("", |(name, ..)| name).to_owned(),
            );
            values.insert(format!("{OPTIONS}{key}"), options);
        }
        self.fixed.values(T::fixed(settings), &mut values);
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
                if self.rows.waits(key.as_str()) {
                    let text = "Choose a property, or remove the row.";
                    errors.push((format!("{PROPERTY}{key}"), text.to_owned()));
                }
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
            let Some(options) = value_table::read(value(values, &format!("{OPTIONS}{key}"))) else {
                choose(
                    OPTIONS,
                    "Give each value its option, and each option its value.",
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
        *T::fixed_mut(settings) = self.fixed.apply(values, &mut errors);
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
            .or_else(|| Fixed::label(name))
            .unwrap_or_else(|| name.to_owned())
    }

    fn shown(&self, name: &str, value: &str) -> String {
        if name.starts_with(EXPORT) {
            let known = BEHAVIORS.iter().find(|(n, ..)| *n == value);
            return known.map_or_else(|| value.to_owned(), |(_, text, _)| (*text).to_owned());
        }
        if let Some(shown) = Fixed::shown(name, value) {
            return shown;
        }
        match (name.starts_with(PRIORITY), value) {
            (true, "crm") => "CRM".to_owned(),
            (true, _) => "Artisan".to_owned(),
            (false, value) => value.to_owned(),
        }
    }

    fn field_at(&self, path: &SettingsPath, settings: &Settings) -> Option<String> {
        if let Some((n, _)) = row_at(path, T::FIXED) {
            return Some(Fixed::field_of(T::fixed(settings).get(n)?));
        }
        let (n, of) = row_at(path, T::LIST)?;
        let key = &T::rows(settings).get(n)?.app_field;
        let start = match of.split('/').next() {
            Some("export") => EXPORT,
            Some("options") => OPTIONS,
            _ => PROPERTY,
        };
        Some(format!("{start}{key}"))
    }

    fn composed(&self, name: &str, sent: &Sent) -> Option<String> {
        value_table::sent_text(sent, name.strip_prefix(OPTIONS)?)
    }

    fn came(&mut self, sent: &Sent) {
        self.rows.came(sent);
        self.fixed.came(sent);
    }

    fn step(&mut self, known: &Known, step: &str, sent: &Sent, values: &mut Values) {
        if step == "defaults" {
            let defaults = Settings::defaults(&known.facts);
            let rows = self.values(&defaults);
            let of_rows = |name: &String| !Fixed::is_of(name);
            values.extend(rows.into_iter().filter(|(name, _)| of_rows(name)));
            self.rows = Rows::default();
            self.is_reset = true;
            return;
        }
        if let Some(property) = step.strip_prefix(FILL) {
            let key = sent.text(&format!("{REQUIRED}{property}"));
            if let Some(value) = values.get_mut(&format!("{PROPERTY}{key}")) {
                property.clone_into(value);
                self.rows.put(key);
            }
            return;
        }
        if let Some(key) = step.strip_prefix(value_table::OPEN) {
            key.clone_into(&mut self.opened);
            return;
        }
        self.rows.step(step, sent, PROPERTY, values);
        self.fixed.step(step, sent, values);
    }

    fn on_enter(&self) -> Option<String> {
        self.rows.on_enter()
    }

    fn change_of<'a>(&self, name: &'a str) -> &'a str {
        let starts = [PROPERTY, PRIORITY, EXPORT, OPTIONS];
        let row = starts.iter().find_map(|start| name.strip_prefix(start));
        row.unwrap_or_else(|| Fixed::change_of(name))
    }

    fn above(&self, visit: &Visit, _: &Head) -> Markup {
        html! {
            (tabs(T::PATH))
            (self.own.offered(visit))
            @for text in &self.above { (notice(Tone::Warn, icon::WARN, &html! { p { (text) } }, None)) }
            @if self.is_reset {
                div role="status" { (notice(Tone::Info, icon::CLOCK, &html! { p { "These are the rows of a fresh connection. They hold once they are saved." } }, None)) }
            }
        }
    }

    fn fields(&self, visit: &Visit, head: &Head, values: &Values, errors: &[FieldError]) -> Markup {
        let is_shown = |f: &&Field| {
            self.rows.shows(
                f.key.as_str(),
                value(values, &format!("{PROPERTY}{}", f.key)),
            )
        };
        let (shown, free): (Vec<_>, Vec<_>) = self.fields.iter().partition(is_shown);
        let mut tried = self.settings.clone();
        let _shown_elsewhere = self.apply(values, &mut tried);
        let lacking = required_not_written(&tried, &self.facts, T::RECORD);
        html! {
            @for property in &lacking { (self.required(property, &free)) }
            (section("mapped", "Mapped", "Values of these come from HubSpot, and go there by the behavior of the row. Records that are here already are read again for what is newly mapped; who was exported gets it with the next export.", &html! {
                @if shown.is_empty() {
                    (empty(None, if self.properties.is_empty() { "Nothing is mapped. The usual rows come when HubSpot’s properties were read." } else { "Nothing is mapped. Add a row below, or take the defaults." }, None))
                } @else {
                    (self.table(&shown, values, errors))
                    (fold(false, "What each export behavior does", &html! {
                        dl .facts { @for (_, name, behavior) in BEHAVIORS { dt { (name) } dd { (meaning(behavior)) } } }
                    }))
                }
                @for field in &free {
                    // A row that was removed stays removed.
                    @if self.mapped.contains(&field.key) { input type="hidden" name={ (PROPERTY) (field.key) } value=""; }
                }
                div .row {
                    @if visit.may_change() && head.standing.is_connected() { a .btn href=(bulk::page_for(bulk::EXPORTED)) { "Apply to everybody exported…" } }
                    span .end { (step_button(T::PATH, "mapped", "quiet", "defaults", &html! { "Reset to defaults…" }, None)) }
                }
            }))
            @if !free.is_empty() {
                (section("free", "Not mapped", "Choose a field of the app, then its property.", &html! {
                    div .row {
                        label .sr for=(NEW_ROW) { "Field of the app" }
                        select id=(NEW_ROW) name=(NEW_ROW) {
                            @for field in &free { option value=(field.key) { (field.label) @if let Some(t) = field.field_type { " (" (t.as_str()) ")" } } }
                        }
                        (step_button(T::PATH, "picker", "", "add", &html! { (icon::draw(icon::PLUS)) "Add row" }, None))
                    }
                }))
            }
            (section("fixed", "Fixed values", "Written to every exported record, whatever the app knows of it.", &self.fixed.markup(&fixed_values::Shown {
                path: T::PATH,
                properties: &self.properties,
                all: &T::OF.address(),
                rows: &self.rows,
                values,
                errors,
                problems: &self.problems,
            })))
        }
    }
}

impl<T: Tab> Mapping<T> {
    /// What the portal requires and nothing fills, with the ways to fill it.
    fn required(&self, property: &str, free: &[&Field]) -> Markup {
        let definition = self.properties.get(property);
        let label = definition.map_or(property, |d| d.label.as_str());
        let writable = definition.filter(|d| not_writable(d).is_none());
        let fitting = free.iter().filter(|field| {
            let field_type = field.field_type.zip(writable);
            field_type.is_some_and(|(of, property)| fit_of(of, property).fits)
        });
        let fitting: Vec<&&Field> = fitting.collect();
        let name = format!("{REQUIRED}{property}");
        let text = html! {
            p {
                "HubSpot requires " b { bdi { (label) } } " (" code { (property) } ") of new " (T::NOUN)
                ", and nothing fills it: none are made without it. (" (SettingsCode::RequiredNotWritten.code()) ")"
            }
            @if writable.is_some() {
                div .row {
                    @if !fitting.is_empty() {
                        label .sr for=(name) { "Field of the app for " (label) }
                        select id=(name) name=(name) {
                            @for field in &fitting { option value=(field.key) { (field.label) } }
                        }
                        (step_button(T::PATH, "mapped", "small", &format!("{FILL}{property}"), &html! { "Add a row for " bdi { (label) } }, None))
                    }
                    @if self.fixed.has_room_for(property) {
                        (step_button(T::PATH, "fixed", "small", &format!("{}{property}", fixed_values::ADD), &html! { "Give it a fixed value" }, None))
                    }
                }
            }
        };
        notice(Tone::Warn, icon::WARN, &text, None)
    }

    fn table(&self, fields: &[&Field], values: &Values, errors: &[FieldError]) -> Markup {
        html! {
            table .table .folds {
                caption .sr { "Fields and properties" }
                thead { tr {
                    th scope="col" { "Field of the app" } th scope="col" { "Property in HubSpot" }
                    th scope="col" { "Import priority" } th scope="col" { "Export behavior" }
                    @if let Some(example) = &self.example { th scope="col" { "Example: " bdi { (example.name) } } }
                    th scope="col" { span .sr { "Actions" } }
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
        let said = BEHAVIORS
            .iter()
            .find(|(v, ..)| *v == value(values, &export));
        let behavior = said.map_or(ExportBehavior::default(), |(.., behavior)| *behavior);
        let is_off = behavior == ExportBehavior::DoNotExport;
        let table = value_table::read(written).unwrap_or_default();
        // What was typed and is wrong comes before what went bad since it was saved.
        let wrong = |name: &str| error_of(errors, name).or_else(|| error_of(&self.problems, name));
        let at_export = wrong(&export);
        let pick = Pick {
            path: T::PATH,
            name: &property,
            of: &field.label,
            chosen: typed,
            properties: Some(&self.properties),
            error: wrong(&property),
        };
        let values_of = ValueTable {
            path: T::PATH,
            key: key.as_str(),
            label: &field.label,
            name: &options,
            text: written,
            definition,
            error: wrong(&options),
            opened: self.opened == key.as_str(),
        };
        let columns = 5 + usize::from(self.example.is_some());
        html! {
            tr {
                th scope="row" {
                    (field.label)
                    span .sub { @match field.field_type { Some(t) => { (t.as_str()) } None => { "no field of the app any more" } } }
                    // Without a name: it is not sent.
                    label .unfold {
                        (icon::draw(icon::ARROW)) bdi { (definition.map_or(typed, |d| d.label.as_str())) }
                        input type="checkbox" id={ "unfold-" (key) } aria-label={ "Show how " (field.label) " is mapped" };
                        (icon::draw(icon::DOWN))
                    }
                    input type="hidden" name=(ROW) value=(key);
                }
                td data-l="Property in HubSpot" {
                    (pick.button(&self.rows))
                }
                td data-l="Import priority" { span .flow {
                    (icon::draw(icon::BACK))
                    select name=(priority) id=(priority) aria-label={ "Import priority of " (field.label) } {
                        @for (v, text) in [("crm", "CRM"), ("artisan", "Artisan")] {
                            option value=(v) selected[v == value(values, &priority)] { (text) }
                        }
                    }
                } }
                td data-l="Export behavior" {
                    span .flow .off[is_off] {
                        (icon::draw(icon::ARROW))
                        select name=(export) id=(export) aria-label={ "Export behavior of " (field.label) } aria-invalid=[at_export.map(|_| "true")] {
                            @for (v, text, _) in BEHAVIORS { option value=(v) selected[v == value(values, &export)] { (text) } }
                        }
                    }
                    @if let Some(error) = at_export { p .error-text { (icon::draw(icon::WARN)) span { (error) } } }
                }
                @if let Some(example) = &self.example {
                    td data-l="Example" { (example.cell(&ShownRow { key, property: typed, behavior, options: &table, definition })) }
                }
                td .act {
                    (values_of.button())
                    (step_button(T::PATH, "mapped", "small quiet icon", &format!("remove {key}"), &icon::draw(icon::CROSS), Some(&format!("Remove {}", field.label))))
                }
            }
            @if values_of.is_open() { tr .detail { td colspan=(columns) { (values_of.markup()) } } }
            @if self.rows.is_open(&property) {
                tr .detail { td colspan=(columns) { (pick.picker(&self.rows, &T::OF.address(), |d| self.fit(field, is_off, values, d))) } }
            }
        }
    }

    /// Whether a row of this field can have a property.
    fn fit(
        &self,
        field: &Field,
        is_off: bool,
        values: &Values,
        property: &PropertyDefinition,
    ) -> Fit {
        if is_off {
            return Fit::yes("For import alone");
        }
        if let Some(why) = not_writable(property) {
            return Fit::no(why);
        }
        let other = self.fields.iter().find(|f| {
            let of = |start: &str| value(values, &format!("{start}{}", f.key));
            f.key != field.key && of(PROPERTY) == property.name && of(EXPORT) != "do_not_export"
        });
        if let Some(other) = other {
            return Fit::no(format!("Taken: “{}” writes it already", other.label));
        }
        let Some(field_type) = field.field_type else {
            return Fit::yes("Not checked");
        };
        fit_of(field_type, property)
    }
}

/// Why a property cannot be written.
pub(crate) fn not_writable(property: &PropertyDefinition) -> Option<&'static str> {
    if property.calculated {
        return Some("HubSpot computes it; fits “Do not export” alone");
    }
    property
        .read_only
        .then_some("Read-only in HubSpot; fits “Do not export” alone")
}

/// Whether values of a type can become those of a property.
pub(crate) fn fit_of(field_type: FieldType, property: &PropertyDefinition) -> Fit {
    if !fits(field_type, property) {
        let (from, to) = (field_type.as_str(), property.property_type.as_str());
        return Fit::no(format!("Does not fit: {from} cannot become {to}"));
    }
    if property.options.is_empty() {
        Fit::yes("Fits")
    } else {
        Fit::yes("Fits; values can be mapped to its options")
    }
}
