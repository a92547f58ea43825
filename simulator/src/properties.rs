//! Property definitions, groups' names, pipelines.

use serde_json::{Value, json};

use crate::{
    answer::{Answer, error_body},
    model::{Data, Kind, Property, PropertyOption, Stage},
};

fn property(name: &str, kind: &str, field: &str) -> Property {
    Property {
        name: name.to_owned(),
        label: name.to_owned(),
        kind: kind.to_owned(),
        field_type: field.to_owned(),
        group_name: "information".to_owned(),
        options: Vec::new(),
        has_unique_value: false,
        read_only: false,
    }
}

fn enumeration(name: &str, options: &[(&str, &str)]) -> Property {
    Property {
        options: options
            .iter()
            .map(|(value, label)| PropertyOption {
                label: (*label).to_owned(),
                value: (*value).to_owned(),
            })
            .collect(),
        ..property(name, "enumeration", "select")
    }
}

fn read_only(name: &str, kind: &str) -> Property {
    Property {
        read_only: true,
        ..property(name, kind, "text")
    }
}

const LIFECYCLE: &[(&str, &str)] = &[
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
];

/// What every portal has.
pub(crate) fn standard(kind: Kind) -> Vec<Property> {
    let mut all = vec![
        read_only("hs_object_id", "number"),
        read_only(kind.created(), "datetime"),
        read_only(kind.last_modified(), "datetime"),
        read_only("hs_merged_object_ids", "enumeration"),
        read_only("notes_last_contacted", "datetime"),
        read_only("notes_last_updated", "datetime"),
        read_only("notes_next_activity_date", "datetime"),
        property("hubspot_owner_id", "enumeration", "select"),
    ];
    let text = |all: &mut Vec<Property>, names: &[&str]| {
        all.extend(names.iter().map(|n| property(n, "string", "text")));
    };
    match kind {
        Kind::Contact => {
            text(
                &mut all,
                &[
                    "email",
                    "hs_additional_emails",
                    "firstname",
                    "lastname",
                    "jobtitle",
                    "phone",
                    "company",
                    "website",
                    "city",
                    "country",
                    "message",
                ],
            );
            all.push(enumeration("lifecyclestage", LIFECYCLE));
            all.push(enumeration(
                "hs_lead_status",
                &[
                    ("NEW", "New"),
                    ("OPEN", "Open"),
                    ("IN_PROGRESS", "In progress"),
                    ("UNQUALIFIED", "Unqualified"),
                    ("CONNECTED", "Connected"),
                ],
            ));
            all.push(property("hs_email_optout", "bool", "booleancheckbox"));
            all.push(read_only("hs_sales_email_last_replied", "datetime"));
        }
        Kind::Company => {
            text(
                &mut all,
                &[
                    "name",
                    "domain",
                    "hs_additional_domains",
                    "website",
                    "industry",
                    "city",
                    "state",
                    "country",
                    "phone",
                    "description",
                ],
            );
            all.push(property("numberofemployees", "number", "number"));
            all.push(property("annualrevenue", "number", "number"));
            all.push(enumeration("lifecyclestage", LIFECYCLE));
        }
        Kind::Deal => {
            text(
                &mut all,
                &["dealname", "dealstage", "pipeline", "description"],
            );
            all.push(property("amount", "number", "number"));
            all.push(property("closedate", "datetime", "date"));
            all.push(read_only("hs_is_closed", "bool"));
            all.push(read_only("hs_is_closed_won", "bool"));
        }
        Kind::Ticket => {
            text(
                &mut all,
                &["subject", "content", "hs_pipeline", "hs_pipeline_stage"],
            );
        }
        _ => {
            all.push(property("hs_timestamp", "datetime", "date"));
            text(&mut all, &["hs_attachment_ids"]);
        }
    }
    match kind {
        Kind::Note => text(&mut all, &["hs_note_body"]),
        Kind::Email => text(
            &mut all,
            &[
                "hs_email_direction",
                "hs_email_status",
                "hs_email_subject",
                "hs_email_html",
                "hs_email_text",
                "hs_email_headers",
            ],
        ),
        Kind::Call => text(
            &mut all,
            &[
                "hs_call_title",
                "hs_call_body",
                "hs_call_direction",
                "hs_call_duration",
                "hs_call_status",
            ],
        ),
        Kind::Meeting => text(
            &mut all,
            &["hs_meeting_title", "hs_meeting_body", "hs_meeting_outcome"],
        ),
        Kind::Task => text(
            &mut all,
            &["hs_task_subject", "hs_task_body", "hs_task_status"],
        ),
        Kind::Communication => text(
            &mut all,
            &[
                "hs_communication_channel_type",
                "hs_communication_logged_from",
                "hs_communication_body",
            ],
        ),
        _ => {}
    }
    all
}

/// The stages of the default pipeline.
pub(crate) fn default_stages() -> Vec<Stage> {
    [
        ("appointmentscheduled", "Appointment Scheduled", "0.2"),
        ("qualifiedtobuy", "Qualified To Buy", "0.4"),
        ("presentationscheduled", "Presentation Scheduled", "0.6"),
        ("contractsent", "Contract Sent", "0.9"),
        ("closedwon", "Closed Won", "1.0"),
        ("closedlost", "Closed Lost", "0.0"),
    ]
    .into_iter()
    .map(|(id, label, probability)| Stage {
        id: id.to_owned(),
        label: label.to_owned(),
        probability,
    })
    .collect()
}

fn definition(property: &Property) -> Value {
    json!({
        "name": property.name, "label": property.label, "type": property.kind,
        "fieldType": property.field_type, "groupName": property.group_name, "description": "",
        "options": property.options.iter().enumerate().map(|(i, o)| json!({
            "label": o.label, "value": o.value, "displayOrder": i, "hidden": false,
        })).collect::<Vec<_>>(),
        "displayOrder": -1, "calculated": false, "externalOptions": false, "archived": false,
        "hasUniqueValue": property.has_unique_value, "hidden": false, "formField": true,
        "hubspotDefined": true,
        "modificationMetadata": {
            "archivable": false, "readOnlyDefinition": true, "readOnlyValue": property.read_only,
        },
    })
}

/// `/crm/properties/{version}/{type}[/{name}]`
pub(crate) fn handle(
    data: &mut Data,
    method: &str,
    kind: Kind,
    rest: &[&str],
    body: &[u8],
) -> Answer {
    match (method, rest) {
        ("GET", []) => {
            let all: Vec<_> = data.properties[kind as usize]
                .values()
                .map(definition)
                .collect();
            Answer::json(200, &json!({"results": all}))
        }
        ("GET", [name]) => data.properties[kind as usize].get(*name).map_or_else(
            || Answer::error(404, "OBJECT_NOT_FOUND", "Property does not exist"),
            |p| Answer::json(200, &definition(p)),
        ),
        ("POST", []) => {
            let Ok(new) = serde_json::from_slice::<Property>(body) else {
                return Answer::validation("Invalid input JSON");
            };
            if data.properties[kind as usize].contains_key(&new.name) {
                let mut body = error_body(
                    "OBJECT_ALREADY_EXISTS",
                    &format!("A property named '{}' already exists.", new.name),
                );
                body["subCategory"] = json!("Properties.PROPERTY_WITH_NAME_EXISTS");
                return Answer::json(409, &body);
            }
            let answer = Answer::json(201, &definition(&new));
            data.properties[kind as usize].insert(new.name.clone(), new);
            answer
        }
        _ => Answer::not_found(),
    }
}

/// `/crm/pipelines/{version}/deals`
pub(crate) fn pipelines(data: &Data, kind: Kind) -> Answer {
    if kind != Kind::Deal {
        return Answer::json(200, &json!({"results": []}));
    }
    let stages: Vec<_> = data
        .stages
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let closed = s.probability == "1.0" || s.probability == "0.0";
            json!({
                "id": s.id, "label": s.label, "displayOrder": i, "archived": false,
                "metadata": {"isClosed": closed.to_string(), "probability": s.probability},
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            })
        })
        .collect();
    Answer::json(
        200,
        &json!({"results": [{
            "id": "default", "label": "Sales Pipeline", "displayOrder": 0, "archived": false,
            "stages": stages,
        }]}),
    )
}
