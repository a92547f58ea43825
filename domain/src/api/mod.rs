//! The bodies of `/api/v1`: what `web/` answers and `client/` reads. The OpenAPI document and the
//! JSON Schemas are generated from these types.

mod activities;
mod bulk;
mod changes;
mod connection;
mod deals;
mod dnc;
mod journal;
mod lists;
mod own_properties;
mod paging;
mod people;
mod preview;
mod problem;
mod profiles;
mod requests;
mod settings;
mod tokens;
mod touches;

pub use activities::{ActivityAnswer, ActivityUpserts};
pub use bulk::{BulkAnswer, BulkCounts, BulkPreview, BulkSample, BulkStart, BulkWhom, MAX_BULK};
pub use changes::{ChangeItem, ChangeKind, ChangePage, ChangeWhat, WaitSeconds};
pub use connection::{
    ConnectAnswer, ConnectRequest, ConsentAnswer, ConsentDecided, ConsentOutcome, DisconnectAnswer,
    FreshnessStatus, NoneFoundStatus, ObjectStatus, PauseStatus, RefusalStatus, ResyncAnswer,
    RunStatus, ShownName, StatusAnswer, TroubleStatus,
};
pub use deals::{DealAnswer, LabelledId};
pub use dnc::{DncAnswer, DncCheck, DncCheckAnswer, DncCounts, DncItem, MAX_CHECKED};
pub use journal::{
    JournalCause, JournalEntry, JournalOperation, JournalProperty, JournalState, JournalSubject,
    PreviewRequest, RevertAnswer, RevertRequest,
};
pub use lists::{ListAnswer, ListMemberAnswer, ListOf};
pub use own_properties::{OwnPropertiesAnswer, OwnPropertyAnswer};
pub use paging::{IdempotencyKey, Page, PageCursor, PageLimit, UnreadableItem};
pub use people::{
    CompanyUpserts, CustomFieldUpserts, EraseAnswer, EraseRequest, ErasedCounts, FieldAnswer,
    FieldsAnswer, ItemOutcome, MAX_ITEMS, MemberUpserts, OutreachInput, OutreachUpserts,
    PersonUpserts, PurgeAnswer, StatusAnswerRow, StatusInput, StatusUpserts, UpsertAnswer,
    UpsertCounts,
};
pub use preview::{
    ChangePreview, ExportPreview, LeftOutPreview, PreviewAction, RecordPreview, RulePreview,
    WhyPreview,
};
pub use problem::{Problem, SettingsConflict, SettingsRefused};
pub use profiles::{
    ProfileAnswer, ProfileField, ProfileLink, ProfileOwner, ProfilesAnswer, ProfilesRequest,
};
pub use requests::{
    BulkExport, ExportAnswer, ExportSummary, ManualExport, QualifyingCounts, RequestAnswer,
    ResumeRow, RetryAnswer, RetryExports, RetryReason,
};
pub use settings::{
    OwnerAnswer, OwnerMapping, SettingsAnswer, SettingsCheck, SettingsCheckAnswer, SettingsPut,
};
pub use tokens::{TokenAnswer, TokenCreate, TokenCreated, TokenId};
pub use touches::TouchAnswer;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use utoipa::OpenApi;

    use super::*;

    #[derive(OpenApi)]
    #[openapi(components(schemas(
        ActivityUpserts,
        BulkAnswer,
        BulkExport,
        BulkStart,
        ChangePage,
        CompanyUpserts,
        ConnectAnswer,
        ConnectRequest,
        ConsentAnswer,
        ConsentDecided,
        CustomFieldUpserts,
        DisconnectAnswer,
        DncAnswer,
        DncCheck,
        DncCheckAnswer,
        EraseAnswer,
        EraseRequest,
        ExportAnswer,
        ExportPreview,
        ExportSummary,
        FieldsAnswer,
        IdempotencyKey,
        JournalEntry,
        ManualExport,
        MemberUpserts,
        OutreachUpserts,
        OwnPropertiesAnswer,
        OwnerAnswer,
        Page<ActivityAnswer>,
        Page<DealAnswer>,
        Page<JournalEntry>,
        Page<ListAnswer>,
        Page<ListMemberAnswer>,
        Page<RequestAnswer>,
        Page<TouchAnswer>,
        Page<crate::app::Company>,
        Page<crate::app::Member>,
        Page<crate::app::Person>,
        PageLimit,
        PersonUpserts,
        PreviewRequest,
        Problem,
        ProfileAnswer,
        ProfilesAnswer,
        ProfilesRequest,
        PurgeAnswer,
        ResumeRow,
        ResyncAnswer,
        RevertAnswer,
        RevertRequest,
        RetryAnswer,
        RetryExports,
        SettingsAnswer,
        SettingsCheck,
        SettingsCheckAnswer,
        SettingsConflict,
        SettingsPut,
        SettingsRefused,
        StatusAnswer,
        StatusUpserts,
        TokenAnswer,
        TokenCreate,
        TokenCreated,
        UpsertAnswer,
        crate::ResyncRequest,
        crate::profile::ProfileValue,
    )))]
    struct Document;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(target) if key == "$ref" => {
                            found.insert(target.clone());
                        }
                        other => references(other, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_referred_to_is_there() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 30, "{found:?}");
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn schemas_say_what_the_types_accept() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let schema = |name: &str| &document["components"]["schemas"][name];
        for name in [
            "PersonInput",
            "CompanyInput",
            "MemberInput",
            "Settings",
            "SettingsPut",
        ] {
            assert_eq!(schema(name)["additionalProperties"], false, "{name}");
        }
        assert_eq!(
            schema("PersonInput")["required"],
            serde_json::json!(["id", "version"])
        );
        assert_eq!(
            schema("Settings")["required"],
            serde_json::json!(["schema_version"])
        );
        let version = &schema("Settings")["properties"]["schema_version"];
        assert_eq!(version["minimum"], crate::settings::SCHEMA_VERSION);
        assert_eq!(version["maximum"], crate::settings::SCHEMA_VERSION);
        assert_eq!(schema("PersonId")["maxLength"], 128);
        assert_eq!(
            schema("PersonUpserts")["properties"]["items"]["maxItems"],
            1_000
        );
        assert!(schema("Person")["properties"]["slots"].is_null());
        let codes = schema("SettingsCode")["enum"].as_array().unwrap();
        assert_eq!(codes.len(), crate::settings::SettingsCode::ALL.len());
    }

    #[test]
    fn a_reader_of_the_catalogue_knows_what_the_service_knows() {
        use crate::app::{CustomField, FieldType, Fields, RecordKind};
        let custom = [CustomField {
            record: RecordKind::Person,
            key: "custom.tool".parse().unwrap(),
            label: "Tool".to_owned(),
            field_type: FieldType::List,
        }];
        let (ours, theirs) = (FieldsAnswer::new(&custom).known(), Fields::new(&custom));
        for record in [RecordKind::Person, RecordKind::Company] {
            assert!(ours.keys(record).eq(theirs.keys(record)));
            for key in theirs.keys(record) {
                assert_eq!(
                    ours.get(record, key.as_str()),
                    theirs.get(record, key.as_str())
                );
            }
        }
    }
}
