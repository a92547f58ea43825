//! One mistake each, where it shows, by which code and how severely.

use super::{super::super::*, row};

pub(super) type Change = fn(&mut serde_json::Value);

/// What is put wrong, and where, by which code and how severely that shows.
pub(super) fn cases() -> Vec<(Change, &'static str, SettingsCode, Severity)> {
    use SettingsCode as C;
    use Severity::{Error, Warning};
    use serde_json::json;
    vec![
        (
            |d| d["contact_values"] = json!([{"property": "nope", "value": "x"}]),
            "/contact_values/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["contact_values"] = json!([{"property": "firstname", "value": "x"}]),
            "/contact_values/0",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["company_values"] = json!([{"property": "domain", "value": "x.example"}]),
            "/company_values/0/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["contacts"][0]["export"] = json!("append"),
            "/contacts/0/export",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contacts"][0]["options"] = json!({"a": "b"}),
            "/contacts/0/options",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| {
                d["contact_source"] = json!(null);
                d["contacts"][0] = json!({"app_field": "department", "property": "lead_source",
                                          "options": {"R&D": "NO SUCH OPTION"}});
            },
            "/contacts/0/options/R&D",
            C::OptionUnknown,
            Error,
        ),
        (
            |d| d["export"] = json!({"daily_ceiling": 0}),
            "/export/daily_ceiling",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("first_name", "nope"),
            "/contacts/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["companies"][0] = row("name", "nope"),
            "/companies/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["contact_source"]["property"] = json!("nope"),
            "/contact_source/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["status"]["property"] = json!("nope"),
            "/status/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["activity_properties"][0]["property"] = json!("nope"),
            "/activity_properties/0/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            // HubSpot's own, though the listing does not show it, and one that is named in the same way.
            |d| {
                d["activity_properties"] = json!([
                    {"kind": "call", "app_field": "notes", "property": "hs_call_body"},
                    {"kind": "call", "app_field": "title", "property": "hs_call_bodies"},
                ]);
            },
            "/activity_properties/1/property",
            C::PropertyUnknown,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "readonly"),
            "/contacts/0/property",
            C::PropertyReadOnly,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("lead_score", "score"),
            "/contacts/0/property",
            C::PropertyCalculated,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "gone"),
            "/contacts/0/property",
            C::PropertyArchived,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "count"),
            "/contacts/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "place"),
            "/contacts/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("tags", "rating"),
            "/contacts/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["contact_source"] = json!({"property": "count", "value": "many"}),
            "/contact_source/value",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| {
                d["activity_properties"][0] =
                    json!({"kind": "call", "app_field": "title", "property": "hs_call_duration"})
            },
            "/activity_properties/0",
            C::TypeMismatch,
            Error,
        ),
        (
            |d| d["status"]["rows"][0]["value"] = json!("Connected"),
            "/status/rows/0/value",
            C::OptionUnknown,
            Error,
        ),
        (
            |d| d["contact_source"]["value"] = json!("artisan"),
            "/contact_source/value",
            C::OptionUnknown,
            Error,
        ),
        (
            |d| d["contacts"][1] = row("city", "firstname"),
            "/contacts/1",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "lead_source"),
            "/contact_source",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contact_source"] = json!({"property": "hs_lead_status", "value": "new"}),
            "/status/property",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "hubspot_owner_id"),
            "/contacts/0",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| {
                d["activity_properties"] = json!([
            {"kind": "call", "app_field": "title", "property": "hs_call_title"},
            {"kind": "call", "app_field": "notes", "property": "hs_call_title"}])
            },
            "/activity_properties/1",
            C::WrittenTwice,
            Error,
        ),
        (
            |d| d["contacts"][1] = row("first_name", "lastname"),
            "/contacts/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| {
                d["activity_properties"] = json!([
            {"kind": "call", "app_field": "title", "property": "hs_call_title"},
            {"kind": "call", "app_field": "title", "property": "campaign"}])
            },
            "/activity_properties/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["owners"]["rows"][1]["owner"] = json!(3),
            "/owners/rows/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| {
                d["owners"]["writing"] =
                    json!([{"member": "ann", "owner": 3}, {"member": "ann", "owner": 1}])
            },
            "/owners/writing/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["status"]["rows"] = json!([{"status": "replied", "value": "new"}, {"status": "replied", "value": "open"}]),
            "/status/rows/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["lists"][1]["list"] = json!(7),
            "/lists/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| {
                d["dnc"]["open_deal"]["pipelines"] =
                    json!([{"pipeline": "default"}, {"pipeline": "default"}])
            },
            "/dnc/open_deal/pipelines/1",
            C::DuplicateRow,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("custom.nope", "firstname"),
            "/contacts/0/app_field",
            C::FieldUnknown,
            Error,
        ),
        (
            |d| d["companies"][0] = row("first_name", "name"),
            "/companies/0/app_field",
            C::FieldUnknown,
            Error,
        ),
        (
            |d| d["activity_properties"][0]["app_field"] = json!("subject"),
            "/activity_properties/0/app_field",
            C::FieldUnknown,
            Error,
        ),
        (
            |d| d["owners"]["fallback_owner"] = json!(99),
            "/owners/fallback_owner",
            C::OwnerUnknown,
            Error,
        ),
        (
            |d| d["owners"]["rows"][1]["owner"] = json!(99),
            "/owners/rows/1/owner",
            C::OwnerUnknown,
            Error,
        ),
        (
            |d| d["owners"]["writing"][0]["owner"] = json!(99),
            "/owners/writing/0/owner",
            C::OwnerUnknown,
            Error,
        ),
        (
            |d| d["owners"]["fallback_owner"] = json!(2),
            "/owners/fallback_owner",
            C::OwnerDeactivated,
            Warning,
        ),
        (
            |d| d["owners"]["writing"][0]["owner"] = json!(2),
            "/owners/writing/0/owner",
            C::OwnerDeactivated,
            Warning,
        ),
        (
            |d| d["owners"]["rows"][1]["member"] = json!("nobody"),
            "/owners/rows/1/member",
            C::MemberUnknown,
            Error,
        ),
        (
            |d| d["owners"]["unmapped"] = json!({"to": "member", "member": "nobody"}),
            "/owners/unmapped/member",
            C::MemberUnknown,
            Error,
        ),
        (
            |d| d["owners"]["rows"][1]["member"] = json!("old"),
            "/owners/rows/1/member",
            C::MemberInactive,
            Warning,
        ),
        (
            |d| d["owners"]["unmapped"] = json!({"to": "member", "member": "old"}),
            "/owners/unmapped/member",
            C::MemberInactive,
            Warning,
        ),
        (
            |d| d["dnc"]["open_deal"]["pipelines"][0] = json!({"pipeline": "Sales"}),
            "/dnc/open_deal/pipelines/0/pipeline",
            C::PipelineUnknown,
            Error,
        ),
        (
            |d| d["dnc"]["open_deal"]["pipelines"][0]["stages"] = json!(["new", "New"]),
            "/dnc/open_deal/pipelines/0/stages/1",
            C::StageUnknown,
            Error,
        ),
        (
            |d| d["lists"][0]["list"] = json!(99),
            "/lists/0/list",
            C::ListUnknown,
            Error,
        ),
        (
            |d| d["lists"][0]["list"] = json!(8),
            "/lists/0/list",
            C::ListType,
            Error,
        ),
        (
            |d| d["status"] = json!({"property": "interests", "rows": []}),
            "/status/property",
            C::StatusProperty,
            Error,
        ),
        (
            |d| d["status"] = json!({"property": "city", "rows": []}),
            "/status/property",
            C::StatusProperty,
            Error,
        ),
        (
            |d| {
                d["status"] = json!({"property": "lifecyclestage", "rows": [
            {"status": "meeting_booked", "value": "lead"}, {"status": "replied", "value": "opportunity"}]})
            },
            "/status/rows/0",
            C::LifecycleBackward,
            Warning,
        ),
        (
            |d| d["activities"]["label"] = json!("x".repeat(41)),
            "/activities/label",
            C::LabelNotValid,
            Error,
        ),
        (
            |d| d["activities"]["kinds"]["call"]["label"] = json!("a\nb"),
            "/activities/kinds/call/label",
            C::LabelNotValid,
            Error,
        ),
        (
            |d| d["import"] = json!({"interval_minutes": 0}),
            "/import/interval_minutes",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["import"] = json!({"interval_minutes": 1441}),
            "/import/interval_minutes",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["import"] = json!({"reconcile_hours": 0}),
            "/import/reconcile_hours",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["import"] = json!({"reconcile_hours": 721}),
            "/import/reconcile_hours",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["dnc"]["lost_deal"] = json!({"within_days": 0}),
            "/dnc/lost_deal/within_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["dnc"]["recent_touch"] = json!({"within_days": 3651}),
            "/dnc/recent_touch/within_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["activity_context"] = json!({"days": 366}),
            "/activity_context/days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["retention"] = json!({"journal_days": 0}),
            "/retention/journal_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["retention"] = json!({"quarantine_days": 0}),
            "/retention/quarantine_days",
            C::OutOfBounds,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "email"),
            "/contacts/0",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["companies"][0] = row("email", "name"),
            "/companies/0",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["companies"][0] = row("name", "email"),
            "/companies/0",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["contact_source"]["property"] = json!("email"),
            "/contact_source/property",
            C::EmailTarget,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "hs_object_id"),
            "/contacts/0/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["contact_source"]["property"] = json!("createdate"),
            "/contact_source/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["activity_properties"][0]["property"] = json!("hs_timestamp"),
            "/activity_properties/0/property",
            C::ReservedProperty,
            Error,
        ),
        (
            |d| d["owners"]["rows"] = json!([]),
            "/owners/writing/0/owner",
            C::WritingOwner,
            Error,
        ),
        (
            |d| {
                d["activity_properties"][0] =
                    json!({"kind": "note", "app_field": "body", "property": "own"})
            },
            "/activity_properties",
            C::NotChecked,
            Warning,
        ),
        (
            |d| {
                d["contacts"] = (0..501)
                    .map(|n| row(&format!("f{n}"), &format!("p{n}")))
                    .collect()
            },
            "/contacts",
            C::TooManyRows,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", " "),
            "/contacts/0/property",
            C::TextNotValid,
            Error,
        ),
        (
            |d| d["contacts"][0] = row("city", "a\u{0}b"),
            "/contacts/0/property",
            C::TextNotValid,
            Error,
        ),
        (
            |d| d["status"]["rows"][0]["value"] = json!(""),
            "/status/rows/0/value",
            C::TextNotValid,
            Error,
        ),
        (
            |d| d["contact_source"]["value"] = json!(""),
            "/contact_source/value",
            C::TextNotValid,
            Error,
        ),
    ]
}
