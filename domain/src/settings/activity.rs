//! The fields that activities have, and the engagement properties that they go to (E4, E8).

use super::{ActivityKind, ActivityRow};
use crate::{
    app::{FieldKey, FieldType},
    portal::Properties,
};

/// A field of a kind of activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityField {
    pub kind: ActivityKind,
    /// Its key, which never changes.
    pub key: &'static str,
    /// What a person reads.
    pub label: &'static str,
    /// What it holds.
    pub field_type: FieldType,
    /// HubSpot's own property for it, where there is one; it exists in every portal.
    pub standard_property: Option<&'static str>,
}

const fn field(
    kind: ActivityKind,
    key: &'static str,
    label: &'static str,
    field_type: FieldType,
    standard_property: Option<&'static str>,
) -> ActivityField {
    ActivityField {
        kind,
        key,
        label,
        field_type,
        standard_property,
    }
}

use ActivityKind::{Call, Email, LinkedinConnectionRequest, LinkedinMessage, Meeting, Note, Task};
use FieldType::{Datetime, Number, Text, Url};

/// The fields of activities. The time, the direction, the owner and the like are no fields: the
/// export writes them by itself.
pub const ACTIVITY_FIELDS: &[ActivityField] = &[
    field(Email, "subject", "Subject", Text, Some("hs_email_subject")),
    field(Email, "body", "Body", Text, Some("hs_email_html")),
    field(Email, "campaign", "Campaign", Text, None),
    field(Email, "step", "Step of the sequence", Number, None),
    field(
        LinkedinMessage,
        "body",
        "Message",
        Text,
        Some("hs_communication_body"),
    ),
    field(LinkedinMessage, "campaign", "Campaign", Text, None),
    field(
        LinkedinConnectionRequest,
        "body",
        "Note of the request",
        Text,
        Some("hs_communication_body"),
    ),
    field(
        LinkedinConnectionRequest,
        "campaign",
        "Campaign",
        Text,
        None,
    ),
    field(Call, "title", "Title", Text, Some("hs_call_title")),
    field(Call, "notes", "Notes", Text, Some("hs_call_body")),
    field(
        Call,
        "duration_ms",
        "Duration in milliseconds",
        Number,
        Some("hs_call_duration"),
    ),
    field(
        Call,
        "recording_url",
        "Recording",
        Url,
        Some("hs_call_recording_url"),
    ),
    field(
        Call,
        "from_number",
        "Calling number",
        Text,
        Some("hs_call_from_number"),
    ),
    field(
        Call,
        "to_number",
        "Called number",
        Text,
        Some("hs_call_to_number"),
    ),
    field(Call, "campaign", "Campaign", Text, None),
    field(Meeting, "title", "Title", Text, Some("hs_meeting_title")),
    field(
        Meeting,
        "description",
        "Description",
        Text,
        Some("hs_meeting_body"),
    ),
    field(
        Meeting,
        "location",
        "Location",
        Text,
        Some("hs_meeting_location"),
    ),
    field(Meeting, "url", "Link", Url, Some("hs_meeting_external_url")),
    field(
        Meeting,
        "starts_at",
        "Start",
        Datetime,
        Some("hs_meeting_start_time"),
    ),
    field(
        Meeting,
        "ends_at",
        "End",
        Datetime,
        Some("hs_meeting_end_time"),
    ),
    field(Meeting, "campaign", "Campaign", Text, None),
    field(Note, "body", "Text", Text, Some("hs_note_body")),
    field(Task, "title", "Title", Text, Some("hs_task_subject")),
    field(Task, "notes", "Notes", Text, Some("hs_task_body")),
];

/// The engagement properties that the export writes by itself (E8): no row may name them.
pub const RESERVED_ENGAGEMENT_PROPERTIES: &[&str] = &[
    "hs_timestamp",
    "hubspot_owner_id",
    "hs_attachment_ids",
    "hs_email_direction",
    "hs_email_status",
    "hs_email_headers",
    "hs_call_direction",
    "hs_call_status",
    "hs_communication_channel_type",
    "hs_communication_logged_from",
    "hs_meeting_outcome",
    "hs_task_status",
    "hs_task_type",
    "hs_object_id",
    "hs_unique_creation_key",
];

/// The field of a kind, if it has one of this key.
pub fn activity_field(kind: ActivityKind, key: &str) -> Option<&'static ActivityField> {
    ACTIVITY_FIELDS
        .iter()
        .find(|f| f.kind == kind && f.key == key)
}

/// The rows of a fresh connection: every field to HubSpot's own property for it, which every portal has,
/// whether its listing shows it or not.
pub(super) fn default_rows() -> Vec<ActivityRow> {
    ACTIVITY_FIELDS
        .iter()
        .filter_map(|field| {
            Some(ActivityRow {
                kind: field.kind,
                app_field: FieldKey::of_catalogue(field.key),
                property: field.standard_property?.to_owned(),
                export: true,
            })
        })
        .collect()
}

/// Whether a listing of an engagement's properties can be believed: every engagement has its time, so that
/// one without it is cut short, or is of something else.
pub fn is_whole(properties: &Properties) -> bool {
    properties.contains_key("hs_timestamp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_well_formed_and_there_once_and_no_standard_property_is_reserved() {
        let mut seen = std::collections::BTreeSet::new();
        for field in ACTIVITY_FIELDS {
            FieldKey::parse(field.key).unwrap();
            assert!(seen.insert((field.kind, field.key)));
            if let Some(property) = field.standard_property {
                assert!(!RESERVED_ENGAGEMENT_PROPERTIES.contains(&property));
            }
        }
        for kind in ActivityKind::ALL {
            assert!(seen.iter().any(|(k, _)| *k == kind), "{kind} has no field");
        }
    }
}
