//! Properties, fields and settings: what they are called on both sides.

use std::collections::BTreeMap;

use model::exports::{Behavior, Fixed, Holds, Policy, Row, Said, Settings, Statuses};
use serde_json::{Map, Value, json};

pub(super) const STAGES: &[(&str, &str)] = &[
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
];
const LEAD_STATUSES: &[(&str, &str)] = &[
    ("NEW", "New"),
    ("OPEN", "Open"),
    ("IN_PROGRESS", "In Progress"),
    ("CONNECTED", "Connected"),
];
const LEVELS: &[(&str, &str)] = &[
    ("small", "Small fry"),
    ("big", "Big fish"),
    ("exec", "Executive"),
];
const TAGS: &[(&str, &str)] = &[("red", "Red"), ("green", "Green"), ("blue", "Blue")];
const KINDS: &[(&str, &str)] = &[("PROSPECT", "Prospect"), ("PARTNER", "Partner")];
/// Which option a value of the app becomes.
const LEVEL_TABLE: &[(&str, &str)] = &[("The boss", "exec")];

pub(super) fn contact_properties() -> BTreeMap<&'static str, Holds> {
    use Holds::{Address, Day, Moment, Number, One, Several, Text, YesNo};
    BTreeMap::from([
        ("email", Address),
        ("firstname", Text),
        ("lastname", Text),
        ("jobtitle", Text),
        ("city", Text),
        ("phone", Text),
        ("hs_language", Text),
        ("model_score", Number),
        ("model_since", Day),
        ("model_seen", Moment),
        ("model_sure", YesNo),
        ("model_level", One(LEVELS)),
        ("model_tags", Several(TAGS)),
        ("model_source", Text),
        ("model_fixed", Text),
        ("hubspot_owner_id", Text),
        ("lifecyclestage", One(STAGES)),
        ("hs_lead_status", One(LEAD_STATUSES)),
    ])
}

pub(super) fn company_properties() -> BTreeMap<&'static str, Holds> {
    use Holds::{Number, One, Text};
    BTreeMap::from([
        ("name", Text),
        ("domain", Text),
        ("website", Text),
        ("industry", Text),
        ("numberofemployees", Number),
        ("city", Text),
        ("description", Text),
        ("type", One(KINDS)),
        ("hubspot_owner_id", Text),
    ])
}

/// The properties that the portal does not have by itself.
pub(super) fn own_properties() -> Vec<Value> {
    let property = |name: &str, kind: &str, field: &str, options: &[(&str, &str)]| {
        let options: Vec<Value> = options
            .iter()
            .map(|(value, label)| json!({"value": value, "label": label}))
            .collect();
        json!({
            "name": name, "label": name, "groupName": "contactinformation", "type": kind,
            "fieldType": field, "options": options,
        })
    };
    vec![
        property("model_score", "number", "number", &[]),
        property("model_since", "date", "date", &[]),
        property("model_seen", "datetime", "date", &[]),
        property(
            "model_sure",
            "bool",
            "booleancheckbox",
            &[("true", "Yes"), ("false", "No")],
        ),
        property("model_level", "enumeration", "select", LEVELS),
        property("model_tags", "enumeration", "checkbox", TAGS),
        property("model_source", "string", "text", &[]),
        property("model_fixed", "string", "text", &[]),
    ]
}

/// The fields of the app that the catalogue does not have.
pub(super) fn own_fields() -> Value {
    let field = |key: &str, kind: &str| json!({"record": "person", "key": key, "label": key, "field_type": kind});
    json!({"items": [field("custom.since", "date"), field("custom.seen", "datetime")]})
}

/// Rows of contacts: with the behavior that they begin with.
pub(super) fn contact_rows() -> Vec<Row> {
    use Behavior::{Append, CreateOnly, DoNotExport, FillIfEmpty, Overwrite};
    [
        ("email", "email", FillIfEmpty),
        ("first_name", "firstname", Overwrite),
        ("last_name", "lastname", FillIfEmpty),
        ("job_title", "jobtitle", CreateOnly),
        ("city", "city", DoNotExport),
        ("phone", "phone", Overwrite),
        ("language", "hs_language", FillIfEmpty),
        ("lead_score", "model_score", Overwrite),
        ("custom.since", "model_since", FillIfEmpty),
        ("custom.seen", "model_seen", Overwrite),
        ("email_verified", "model_sure", Overwrite),
        ("seniority", "model_level", Overwrite),
        ("tags", "model_tags", Append),
    ]
    .map(|(field, property, behavior)| Row {
        field,
        property,
        behavior,
        table: if field == "seniority" {
            LEVEL_TABLE
        } else {
            &[]
        },
    })
    .into()
}

pub(super) fn company_rows() -> Vec<Row> {
    use Behavior::{CreateOnly, DoNotExport, FillIfEmpty, Overwrite};
    [
        ("name", "name", FillIfEmpty),
        ("domain", "domain", FillIfEmpty),
        ("website", "website", FillIfEmpty),
        ("industry", "industry", Overwrite),
        ("employees", "numberofemployees", Overwrite),
        ("city", "city", CreateOnly),
        ("description", "description", DoNotExport),
    ]
    .map(|(field, property, behavior)| Row {
        field,
        property,
        behavior,
        table: &[],
    })
    .into()
}

/// Settings to begin with.
pub(super) fn settings(fallback: u64) -> Settings {
    let fixed = |property, value, behavior| Fixed {
        property,
        value,
        behavior,
    };
    Settings {
        policy: Policy::Contacted,
        since: 0,
        make_contacts: true,
        make_companies: true,
        contacts: contact_rows(),
        companies: company_rows(),
        source: Some(fixed("model_source", "Artisan", Behavior::FillIfEmpty)),
        contact_values: vec![fixed("model_fixed", "gold", Behavior::Overwrite)],
        company_values: vec![fixed("type", "PROSPECT", Behavior::FillIfEmpty)],
        status: Some(Statuses {
            property: "hs_lead_status",
            rows: vec![
                ("contacted", "OPEN"),
                ("replied", "CONNECTED"),
                ("interested", "IN_PROGRESS"),
            ],
            backward: false,
        }),
        fallback: Some(fallback),
        overwrite_owner: false,
    }
}

/// Statuses that are lifecycle stages.
pub(super) fn stages(backward: bool) -> Statuses {
    Statuses {
        property: "lifecyclestage",
        rows: vec![
            ("contacted", "lead"),
            ("replied", "salesqualifiedlead"),
            ("interested", "opportunity"),
        ],
        backward,
    }
}

pub(super) fn behavior(of: Behavior) -> &'static str {
    match of {
        Behavior::FillIfEmpty => "fill_if_empty",
        Behavior::Overwrite => "overwrite",
        Behavior::CreateOnly => "create_only",
        Behavior::Append => "append",
        Behavior::DoNotExport => "do_not_export",
    }
}

fn fixed_value(of: &Fixed) -> Value {
    json!({"property": of.property, "value": of.value, "behavior": behavior(of.behavior)})
}

/// Writes settings into the document of the workspace.
pub(super) fn into_document(
    settings: &Settings,
    document: &mut Value,
    mut crm: impl FnMut() -> bool,
) {
    let mut rows = |rows: &[Row]| -> Value {
        let all = rows.iter().map(|row| {
            let table: Map<String, Value> = row
                .table
                .iter()
                .map(|(said, option)| ((*said).to_owned(), json!(option)))
                .collect();
            let priority = if crm() { "crm" } else { "artisan" };
            let mut written = json!({
                "app_field": row.field, "property": row.property, "import_priority": priority,
                "export": behavior(row.behavior),
            });
            if !table.is_empty() {
                written["options"] = Value::Object(table);
            }
            written
        });
        all.collect()
    };
    document["contacts"] = rows(&settings.contacts);
    document["companies"] = rows(&settings.companies);
    let made = |makes: bool| {
        if makes {
            "create_and_update"
        } else {
            "update_only"
        }
    };
    document["export"]["policy"] = json!(match settings.policy {
        Policy::Contacted => "all_contacted",
        Policy::Replied => "replied",
        Policy::RepliedPositively => "replied_positively",
    });
    document["export"]["contacts"] = json!(made(settings.make_contacts));
    document["export"]["companies"] = json!(made(settings.make_companies));
    document["contact_source"] = settings.source.as_ref().map_or(Value::Null, fixed_value);
    document["contact_values"] = settings.contact_values.iter().map(fixed_value).collect();
    document["company_values"] = settings.company_values.iter().map(fixed_value).collect();
    document["status"] = settings.status.as_ref().map_or(Value::Null, |statuses| {
        let rows: Vec<Value> = statuses
            .rows
            .iter()
            .map(|(status, value)| json!({"status": status, "value": value}))
            .collect();
        json!({"property": statuses.property, "rows": rows, "allow_backward": statuses.backward})
    });
    document["owners"]["fallback_owner"] = json!(settings.fallback);
    document["owners"]["overwrite"] = json!(settings.overwrite_owner);
}

pub(super) fn said(value: &Said) -> Value {
    match value {
        Said::Text(text) => json!(text),
        Said::Number(number) => json!(number),
        Said::YesNo(yes) => json!(yes),
        Said::List(texts) => json!(texts),
    }
}

pub(super) fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}
