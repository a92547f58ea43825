//! Pipelines and their stages.

use serde_json::{Value, json};

use crate::{
    answer::Answer,
    model::{Data, Kind, Pipeline, Stage},
};

fn pipeline(id: &str, label: &str, stages: &[(&str, &str, &'static str)]) -> Pipeline {
    Pipeline {
        id: id.to_owned(),
        label: label.to_owned(),
        stages: stages
            .iter()
            .map(|(id, label, metadata)| Stage {
                id: (*id).to_owned(),
                label: (*label).to_owned(),
                metadata,
            })
            .collect(),
    }
}

/// What every portal has: one pipeline of deals, one of tickets, the lifecycle of contacts.
pub(crate) fn defaults() -> [Vec<Pipeline>; Kind::COUNT] {
    let mut all: [Vec<Pipeline>; Kind::COUNT] = Default::default();
    all[Kind::Deal as usize] = vec![pipeline(
        "default",
        "Sales Pipeline",
        &[
            ("appointmentscheduled", "Appointment Scheduled", "0.2"),
            ("qualifiedtobuy", "Qualified To Buy", "0.4"),
            ("presentationscheduled", "Presentation Scheduled", "0.6"),
            ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
            ("contractsent", "Contract Sent", "0.9"),
            ("closedwon", "Closed Won", "1.0"),
            ("closedlost", "Closed Lost", "0.0"),
        ],
    )];
    all[Kind::Ticket as usize] = vec![pipeline(
        "0",
        "Support Pipeline",
        &[
            ("1", "New", "OPEN"),
            ("2", "Waiting on contact", "OPEN"),
            ("3", "Waiting on us", "OPEN"),
            ("4", "Closed", "CLOSED"),
        ],
    )];
    all[Kind::Contact as usize] = vec![pipeline(
        "contacts-lifecycle-pipeline",
        "Lifecycle Stage Pipeline",
        &[
            ("subscriber", "Subscriber", "OPEN"),
            ("lead", "Lead", "OPEN"),
            ("marketingqualifiedlead", "Marketing Qualified Lead", "OPEN"),
            ("salesqualifiedlead", "Sales Qualified Lead", "OPEN"),
            ("opportunity", "Opportunity", "OPEN"),
            ("customer", "Customer", "CLOSED"),
            ("evangelist", "Evangelist", "CLOSED"),
            ("other", "Other", "CLOSED"),
        ],
    )];
    all
}

/// A second pipeline of deals, with closed stages of its own.
pub(crate) fn second() -> Pipeline {
    pipeline(
        "renewals",
        "Renewals",
        &[
            ("renewal_due", "Renewal due", "0.5"),
            ("renewal_sent", "Renewal sent", "0.7"),
            ("renewal_won", "Renewed", "1.0"),
            ("renewal_lost", "Churned", "0.0"),
        ],
    )
}

fn stage(kind: Kind, place: usize, stage: &Stage) -> Value {
    let closed = matches!(stage.metadata, "1.0" | "0.0" | "CLOSED");
    let field = match kind {
        Kind::Deal => "probability",
        Kind::Ticket => "ticketState",
        _ => "state",
    };
    json!({
        "label": stage.label, "displayOrder": place, "id": stage.id, "archived": false,
        "metadata": {"isClosed": closed.to_string(), field: stage.metadata},
        "createdAt": "1970-01-01T00:00:00Z", "updatedAt": "1970-01-01T00:00:00Z",
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
    })
}

fn stages(kind: Kind, pipeline: &Pipeline) -> Vec<Value> {
    pipeline
        .stages
        .iter()
        .enumerate()
        .map(|(place, s)| stage(kind, place, s))
        .collect()
}

fn shape(kind: Kind, place: usize, pipeline: &Pipeline) -> Value {
    json!({
        "label": pipeline.label, "displayOrder": place, "id": pipeline.id, "archived": false,
        "stages": stages(kind, pipeline),
        "createdAt": "1970-01-01T00:00:00Z", "updatedAt": "1970-01-01T00:00:00Z",
    })
}

/// `/crm/pipelines/{version}/{type}[/{id}[/stages[/{id}]]]`
pub(crate) fn handle(data: &Data, method: &str, kind: Kind, rest: &[&str]) -> Answer {
    let all = &data.pipelines[kind as usize];
    let find = |id: &str| all.iter().position(|p| p.id == id).map(|at| (at, &all[at]));
    let found = match (method, rest) {
        ("GET", []) => {
            let all: Vec<_> = all
                .iter()
                .enumerate()
                .map(|(place, p)| shape(kind, place, p))
                .collect();
            Some(json!({"results": all}))
        }
        ("GET", [id]) => find(id).map(|(place, p)| shape(kind, place, p)),
        ("GET", [id, "stages"]) => find(id).map(|(_, p)| json!({"results": stages(kind, p)})),
        ("GET", [id, "stages", wanted]) => find(id).and_then(|(_, p)| {
            let place = p.stages.iter().position(|s| s.id == *wanted)?;
            Some(stage(kind, place, &p.stages[place]))
        }),
        _ => None,
    };
    found.map_or_else(Answer::not_found, |body| Answer::json(200, &body))
}
