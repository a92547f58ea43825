//! Switches for what is not established about HubSpot, and for what portals have different.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a backward write of `lifecyclestage` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backward {
    /// Success, and nothing changes.
    Silent,
    /// 400.
    Error,
    /// The value is taken.
    Accept,
}

/// What an upsert by e-mail may do ("Partial upserts are not supported when using `email`").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EmailUpsert {
    /// As with any other unique property.
    Partial,
    /// One bad row fails the whole batch, with trace ids as without.
    AllOrNothing,
    /// 400, as batch update does.
    Refused,
}

/// What `hasUniqueValue` does on engagements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EngagementKeys {
    /// It works as on contacts.
    Work,
    /// The property is made and comes back with `hasUniqueValue: false`.
    Ignored,
    /// 400.
    Refused,
}

/// What a batch read says of a record without associations of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissingAssociations {
    /// 207, with an error `crm.associations.NO_ASSOCIATIONS_FOUND` that names it.
    Errors,
    /// Nothing at all.
    LeftOut,
    /// A result whose `to` is empty.
    Empty,
}

/// What an app without `sales-email-read` sees of what it may not read of an e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Redaction {
    /// The properties do not come.
    LeftOut,
    /// They come as null.
    Null,
    /// Nothing is kept from it.
    Off,
}

/// What becomes of a type of association that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownTypes {
    Refused,
    /// The rest is done, and success is answered.
    Ignored,
}

/// The form of cursors of associations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cursors {
    /// The id of the next record.
    Numbers,
    /// Base64 that is percent-encoded already; encoded a second time it leads to the first page.
    Encoded,
}

/// Properties that another one makes required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditional {
    /// The one that decides.
    pub(crate) property: String,
    /// Its values that do; any if there are none.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    pub(crate) required: Vec<String>,
}

/// The switches, each with the default that is thought likeliest or strictest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rules {
    /// HubSpot makes or associates a company for a new contact.
    pub(crate) auto_companies: bool,
    /// It does so within this many milliseconds.
    pub(crate) auto_company_max_ms: u64,
    /// How often, of a hundred, such a company takes the place of a primary that is there.
    pub(crate) auto_company_primary_percent: u64,
    /// Inline associations of a contact create are ignored.
    pub(crate) ignore_inline_associations: bool,
    /// Those of a create of an engagement are.
    pub(crate) ignore_engagement_associations: bool,
    pub(crate) engagement_unique_keys: EngagementKeys,
    /// A new property can be seen and written after this many milliseconds.
    pub(crate) property_delay_ms: i64,
    /// Unknown and read-only properties are ignored in updates of engagements, not refused.
    pub(crate) lenient_engagement_updates: bool,
    pub(crate) lifecycle_backward: Backward,
    /// The stage of a contact that is made without one; empty: none.
    pub(crate) default_lifecyclestage: String,
    pub(crate) email_upsert: EmailUpsert,
    /// A property that was asked for and has no value comes as null, not at all otherwise.
    pub(crate) empty_as_null: bool,
    /// By the plural of a type: properties that the portal's admins require of new records; from
    /// 2026-09 on.
    pub(crate) required_properties: BTreeMap<String, Vec<String>>,
    /// The same: properties that a value of another one makes required.
    pub(crate) conditional_properties: BTreeMap<String, Vec<Conditional>>,
    /// The marketing status of a contact that is made without one; empty: none.
    pub(crate) default_marketable_status: String,
    /// A company needs a name or a domain.
    pub(crate) company_needs_identity: bool,
    /// All engagements can have properties of the portal, not only calls, meetings and tasks.
    pub(crate) engagement_custom_properties: bool,
    /// The definitions of e-mails need `connected-email-data-access`.
    pub(crate) email_definitions_need_scope: bool,
    pub(crate) email_redaction: Redaction,
    /// A merge keeps the id of the primary record, as portals in HubSpot's beta do.
    pub(crate) merge_keeps_primary_id: bool,
    /// Labels that associations of two types may have; more: 437.
    pub(crate) association_label_limit: usize,
    /// How long a deleted label counts.
    pub(crate) association_label_delete_ms: i64,
    pub(crate) unknown_association_types: UnknownTypes,
    pub(crate) association_cursors: Cursors,
    /// `batch/read` of associations by v3 passes `after` over.
    pub(crate) v3_associations_ignore_after: bool,
    /// Ids in answers of associations are text.
    pub(crate) association_ids_as_text: bool,
    /// What a batch archive answers on dated paths: 204 or 200.
    pub(crate) dated_archive_status: u16,
    /// What a batch create answers on dated paths: 201 or 200.
    pub(crate) dated_create_status: u16,
    /// Lists of v3 carry `paging.next.link`.
    pub(crate) v3_paging_links: bool,
    /// `warnings` of a batch stand at the batch, else at its results.
    pub(crate) batch_warnings_at_batch: bool,
    /// The archived listing of owners has active ones too, as it once had.
    pub(crate) archived_owners_with_active: bool,
    /// A contact needs one of e-mail, first name, last name.
    pub(crate) contact_needs_identity: bool,
    /// `batch/read` finds a merged record by its old ids.
    pub(crate) batch_read_follows_merges: bool,
    /// A conflict in a batch without trace ids names the existing contact.
    pub(crate) batch_conflict_names_id: bool,
    /// Results of a batch carry the trace ids of their inputs.
    pub(crate) trace_ids_in_results: bool,
    /// Deleted e-mails (engagements) are gone for good.
    pub(crate) email_delete_permanent: bool,
    /// Addresses that were erased or blocklisted cannot be used again.
    pub(crate) blocklist_refuses: bool,
    /// Records may be given to deactivated owners.
    pub(crate) archived_owners_assignable: bool,
    /// E-mail addresses may have any top-level domain.
    pub(crate) any_email_tld: bool,
    /// The first company of a contact, deal or ticket becomes its primary one.
    pub(crate) first_company_is_primary: bool,
    /// How many records of one type a record other than a company may be associated with.
    pub(crate) association_limit: u64,
    pub(crate) missing_associations: MissingAssociations,
    /// How long a DYNAMIC list is PROCESSING after it was made or its filters changed.
    pub(crate) list_processing_ms: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            auto_companies: true,
            auto_company_max_ms: 10_000,
            auto_company_primary_percent: 50,
            ignore_inline_associations: false,
            ignore_engagement_associations: false,
            engagement_unique_keys: EngagementKeys::Work,
            property_delay_ms: 300,
            lenient_engagement_updates: false,
            lifecycle_backward: Backward::Silent,
            default_lifecyclestage: "lead".to_owned(),
            email_upsert: EmailUpsert::Partial,
            empty_as_null: true,
            required_properties: BTreeMap::new(),
            conditional_properties: BTreeMap::new(),
            default_marketable_status: "false".to_owned(),
            company_needs_identity: false,
            engagement_custom_properties: false,
            email_definitions_need_scope: true,
            email_redaction: Redaction::LeftOut,
            merge_keeps_primary_id: false,
            association_label_limit: 50,
            association_label_delete_ms: 40_000,
            unknown_association_types: UnknownTypes::Refused,
            association_cursors: Cursors::Numbers,
            v3_associations_ignore_after: true,
            association_ids_as_text: false,
            dated_archive_status: 204,
            dated_create_status: 201,
            v3_paging_links: true,
            batch_warnings_at_batch: true,
            archived_owners_with_active: false,
            contact_needs_identity: true,
            batch_read_follows_merges: true,
            batch_conflict_names_id: false,
            trace_ids_in_results: true,
            email_delete_permanent: true,
            blocklist_refuses: true,
            archived_owners_assignable: false,
            any_email_tld: false,
            first_company_is_primary: true,
            association_limit: 10_000,
            missing_associations: MissingAssociations::Errors,
            list_processing_ms: 0,
        }
    }
}

impl Rules {
    fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    /// Takes what it knows out of the changes, and applies it.
    pub(crate) fn take(&mut self, changes: &mut Value) -> Result<(), String> {
        let Some(object) = changes.as_object_mut() else {
            return Ok(());
        };
        let mut fields = self.fields();
        for (name, place) in &mut fields {
            if let Some(value) = object.remove(name) {
                *place = value;
            }
        }
        *self = serde_json::from_value(Value::Object(fields)).map_err(|e| e.to_string())?;
        Ok(())
    }

    /// The names of all switches, for whoever writes one wrongly.
    pub(crate) fn names() -> Vec<String> {
        Self::default()
            .fields()
            .into_iter()
            .map(|(n, _)| n)
            .collect()
    }
}
