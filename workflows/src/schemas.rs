//! JSON Schemas of what a main app sends to the workflows and reads from them (X8), made from the
//! types. `docs/schemas` holds them, for those who write in another language.

use std::collections::BTreeSet;

use domain::{Progress, ResyncRequest, reconcile::Cost};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    activities::{BulkInput, BulkReport, ExportReport, SweepReport},
    backfill::BackfillEnd,
    connection::{ConnectionInput, ConnectionStatus},
    contact_export::ContactExportInput,
    export_preview::PreviewEnd,
    export_recheck::RecheckReport,
    own_properties::OwnPropertiesEnd,
    periodic_sync::PeriodicSyncStatus,
    profiles::ProfilesProgress,
    purge::PurgeProgress,
    reconcile::{ReconcileInput, ReconcileProgress},
    verdicts::VerdictsProgress,
};

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name of its file: workflow, and what of it.
    pub file: &'static str,
    pub schema: Value,
}

#[derive(OpenApi)]
#[openapi(components(schemas(
    BackfillEnd,
    BulkInput,
    BulkReport,
    ConnectionInput,
    ConnectionStatus,
    ContactExportInput,
    Cost,
    ExportReport,
    OwnPropertiesEnd,
    ProfilesProgress,
    PeriodicSyncStatus,
    PreviewEnd,
    Progress,
    PurgeProgress,
    ReconcileInput,
    ReconcileProgress,
    RecheckReport,
    ResyncRequest,
    SweepReport,
    VerdictsProgress,
)))]
struct Types;

/// File, title, name of the type, and whether it is a list of them.
const DOCUMENTS: [(&str, &str, &str, bool); 21] = [
    (
        "bulk-export-input.json",
        "Input of the workflow BulkExport",
        "BulkInput",
        false,
    ),
    (
        "bulk-export-query-progress.json",
        "Answer of BulkExport's query progress, and its result",
        "BulkReport",
        false,
    ),
    (
        "contact-export-input.json",
        "Input of the workflow ContactExport",
        "ContactExportInput",
        false,
    ),
    (
        "contact-export-result.json",
        "Result of the workflow ContactExport",
        "ExportReport",
        false,
    ),
    (
        "export-recheck-result.json",
        "Result of the workflow ExportRecheck",
        "RecheckReport",
        false,
    ),
    (
        "connection-input.json",
        "Input of the workflow Connection",
        "ConnectionInput",
        false,
    ),
    (
        "connection-signal-resync.json",
        "Input of Connection's signal resync",
        "ResyncRequest",
        false,
    ),
    (
        "connection-query-status.json",
        "Answer of Connection's query status",
        "ConnectionStatus",
        false,
    ),
    (
        "profiles-query-progress.json",
        "Answer of Profiles's query progress, and its result",
        "ProfilesProgress",
        false,
    ),
    (
        "purge-query-progress.json",
        "Answer of Purge's query progress, and its result",
        "PurgeProgress",
        false,
    ),
    (
        "connection-result.json",
        "Result of the workflow Connection",
        "ConnectionStatus",
        false,
    ),
    (
        "backfill-query-progress.json",
        "Answer of Backfill's query progress",
        "Progress",
        true,
    ),
    (
        "backfill-result.json",
        "Result of the workflow Backfill",
        "BackfillEnd",
        false,
    ),
    (
        "reconcile-input.json",
        "Input of the workflow Reconcile",
        "ReconcileInput",
        false,
    ),
    (
        "reconcile-query-progress.json",
        "Answer of Reconcile's query progress, and its result",
        "ReconcileProgress",
        false,
    ),
    (
        "verdicts-query-progress.json",
        "Answer of Verdicts' query progress, and its result",
        "VerdictsProgress",
        false,
    ),
    (
        "periodic-sync-query-progress.json",
        "Answer of PeriodicSync's query progress",
        "PeriodicSyncStatus",
        false,
    ),
    (
        "periodic-sync-result.json",
        "Result of the workflow PeriodicSync",
        "PeriodicSyncStatus",
        false,
    ),
    (
        "export-preview-result.json",
        "Result of the workflow ExportPreview",
        "PreviewEnd",
        false,
    ),
    (
        "own-properties-result.json",
        "Result of the workflow OwnProperties",
        "OwnPropertiesEnd",
        false,
    ),
    (
        "sweep-query-last.json",
        "Answer of Sweep's query last",
        "SweepReport",
        false,
    ),
];

/// All documents.
///
/// # Errors
/// When a schema is no JSON, which none is.
pub fn all() -> serde_json::Result<Vec<Document>> {
    let mut types = serde_json::to_value(Types::openapi())?;
    let mut definitions = types["components"]["schemas"].take();
    point_to_definitions(&mut definitions);
    let documents = DOCUMENTS.iter().map(|(file, title, name, list)| {
        let root = if *list {
            json!({"type": "array", "items": {"$ref": format!("#/$defs/{name}")}})
        } else {
            definitions[name].clone()
        };
        Document {
            file,
            schema: document(title, root, &definitions),
        }
    });
    Ok(documents.collect())
}

/// A schema that stands alone: with everything that it refers to.
fn document(title: &str, root: Value, definitions: &Value) -> Value {
    let mut used = Map::new();
    let mut open = references(&root);
    while let Some(name) = open.pop_first() {
        if !used.contains_key(&name) {
            let definition = definitions[&name].clone();
            open.extend(references(&definition));
            used.insert(name, definition);
        }
    }
    let mut whole = Map::new();
    whole.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    whole.insert("title".to_owned(), title.into());
    if let Value::Object(root) = root {
        whole.extend(root);
    }
    if !used.is_empty() {
        whole.insert("$defs".to_owned(), used.into());
    }
    whole.into()
}

/// OpenAPI keeps its schemas elsewhere than JSON Schema; otherwise they are the same.
fn point_to_definitions(value: &mut Value) {
    match value {
        Value::Object(all) => {
            for (key, value) in all {
                if let Value::String(to) = value
                    && key == "$ref"
                {
                    *to = to.replace("#/components/schemas/", "#/$defs/");
                } else {
                    point_to_definitions(value);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(point_to_definitions),
        _ => {}
    }
}

/// The names of the definitions that a schema refers to itself.
fn references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(all) => all
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(to) if key == "$ref" => {
                    BTreeSet::from([to.trim_start_matches("#/$defs/").to_owned()])
                }
                _ => references(value),
            })
            .collect(),
        Value::Array(all) => all.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

// ---- tests -----------------------------------------------------------------------------------

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde::Serialize;

    use super::*;
    use crate::connection::Carried;

    const RENEW: &str = "they differ from the types; renew them and look at the change: an input that \
        was good must stay good, and nothing may vanish from an answer (docs/contract.md). \
        cargo run --bin hubspot-sync-worker -- schemas docs/schemas";

    #[test]
    fn those_in_the_docs_are_those_of_the_types() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
        let mut there: Vec<String> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        let mut names: Vec<&str> = DOCUMENTS.iter().map(|(file, ..)| *file).collect();
        names.sort_unstable();
        assert_eq!(there, names, "files of docs/schemas: {RENEW}");
        for document in all().unwrap() {
            let text = fs::read_to_string(dir.join(document.file)).unwrap();
            let kept: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(kept, document.schema, "{}: {RENEW}", document.file);
        }
    }

    #[test]
    fn every_reference_stays_within_its_document() {
        for document in all().unwrap() {
            for name in references(&document.schema) {
                let definition = &document.schema["$defs"][&name];
                assert!(definition.is_object(), "{}: {name}", document.file);
            }
        }
    }

    /// What serde writes has the properties of the schema, and those that are required.
    #[test]
    fn what_is_sent_has_the_properties_of_the_schema() {
        fn fields(sample: impl Serialize) -> BTreeSet<String> {
            let value = serde_json::to_value(sample).unwrap();
            value.as_object().unwrap().keys().cloned().collect()
        }
        let ids = json!({"workspace": "01890a5d-ac96-774b-bcce-b302099a8057", "portal": 1_000_001});
        let input: ConnectionInput = serde_json::from_value(ids.clone()).unwrap();
        assert_eq!(input.carried, Carried::default());
        let mut status = ids;
        status["phase"] = "connected".into();
        let status: ConnectionStatus = serde_json::from_value(status).unwrap();
        let run = json!({"run": "01890a5d-ac96-774b-bcce-b302099a8058", "finished": true});
        let end: BackfillEnd = serde_json::from_value(run).unwrap();
        let sync = PeriodicSyncStatus {
            end: crate::activities::SyncEnd::Finished,
            left: Vec::new(),
            changed: 0,
        };
        let mut input = fields(input);
        // Of the workflow's own, and of no concern to others.
        assert!(input.remove("carried"));
        let samples = [
            ("connection-input.json", input),
            (
                "connection-signal-resync.json",
                fields(ResyncRequest::all()),
            ),
            ("connection-query-status.json", fields(&status)),
            ("connection-result.json", fields(&status)),
            ("backfill-result.json", fields(end)),
            (
                "profiles-query-progress.json",
                fields(ProfilesProgress::default()),
            ),
            (
                "purge-query-progress.json",
                fields(PurgeProgress::default()),
            ),
            ("periodic-sync-query-progress.json", fields(&sync)),
            ("periodic-sync-result.json", fields(&sync)),
            ("sweep-query-last.json", fields(SweepReport::default())),
        ];
        let documents = all().unwrap();
        for (file, sent) in samples {
            let document = documents.iter().find(|d| d.file == file).unwrap();
            let properties = document.schema["properties"].as_object().unwrap();
            let described: BTreeSet<String> = properties.keys().cloned().collect();
            assert_eq!(sent, described, "{file}");
            for name in document.schema["required"].as_array().into_iter().flatten() {
                assert!(sent.contains(name.as_str().unwrap()), "{file}: {name}");
            }
        }
    }
}
