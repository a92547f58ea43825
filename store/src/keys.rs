//! What a record is found by: the e-mail addresses of a contact, the domains of a company, in the one
//! form in which they are compared.

use std::collections::BTreeMap;

use domain::{HubSpotObjectId, ObjectType, PortalId, WorkspaceId, app::AddressForms};
use serde::{Deserialize, Deserializer};
use sqlx::PgConnection;

use crate::{
    Store, StoreError,
    batches::RecordRows,
    mirror::{Written, type_number},
    steps::Step,
};

/// The longest e-mail address, and longer than any domain.
const LONGEST: usize = 254;

/// An e-mail address as it is compared: also one that no app would take, as HubSpot may hold it all
/// the same.
pub(crate) fn email_key(text: &str) -> Option<String> {
    let forms = AddressForms::of(text);
    let key = forms.canonical();
    (key.contains('@') && key.len() <= LONGEST && !key.contains('\0')).then(|| key.to_owned())
}

/// A property as it was answered: none where it is not there at all, which says nothing of its value.
type Answered = Option<Option<String>>;

fn answered<'de, D: Deserializer<'de>>(from: D) -> Result<Answered, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The properties that hold the keys of a type: the record's own, and additional ones.
fn holding(object_type: ObjectType, properties: &str) -> (Answered, Answered) {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Properties {
        #[serde(deserialize_with = "answered")]
        email: Answered,
        #[serde(deserialize_with = "answered")]
        hs_additional_emails: Answered,
        #[serde(deserialize_with = "answered")]
        domain: Answered,
        #[serde(deserialize_with = "answered")]
        hs_additional_domains: Answered,
    }
    let all = serde_json::from_str::<Properties>(properties).unwrap_or_default();
    match object_type {
        ObjectType::Contact => (all.email, all.hs_additional_emails),
        ObjectType::Company => (all.domain, all.hs_additional_domains),
        _ => (None, None),
    }
}

/// The addresses of a contact, or the domains of a company, as they are compared.
pub(crate) fn keys_of(object_type: ObjectType, properties: &str) -> Vec<String> {
    let (first, more) = holding(object_type, properties);
    let (first, more) = (first.flatten(), more.flatten());
    let key: fn(&str) -> Option<String> = match object_type {
        ObjectType::Company => domain::company_domain::normalised,
        _ => email_key,
    };
    let mut keys: Vec<String> = first
        .iter()
        .map(String::as_str)
        .chain(more.iter().flat_map(|more| more.split(';')))
        .filter_map(key)
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The records that were merged into one, as it says itself: `1;2`, or `1:1700000000000;2:…`.
fn merged_into(properties: &str) -> Vec<i64> {
    #[derive(Deserialize)]
    struct Properties {
        hs_merged_object_ids: Option<String>,
    }
    let merged = serde_json::from_str::<Properties>(properties)
        .ok()
        .and_then(|all| all.hs_merged_object_ids)
        .unwrap_or_default();
    merged
        .split(';')
        .filter_map(|part| part.split(':').next()?.trim().parse().ok())
        .collect()
}

/// Renews the keys of records that were written. What a record is not found by any more is remembered,
/// and so is what those were found by that were merged into it (I8).
pub(crate) async fn write(
    tx: &mut PgConnection,
    step: &Step,
    records: &RecordRows,
    written: &[Written],
) -> Result<(), sqlx::Error> {
    if written.is_empty()
        || !matches!(
            records.object_type,
            ObjectType::Contact | ObjectType::Company
        )
    {
        return Ok(());
    }
    let properties: BTreeMap<i64, &str> = records
        .rows
        .iter()
        .map(|row| (row.id.get(), row.properties.as_str()))
        .collect();
    let stored = stored_beside(tx, step, records.object_type, &properties, written).await?;
    let mut keys = Vec::new();
    let mut ids = Vec::new();
    for id in written.iter().map(|w| w.id) {
        let whole = stored.get(&id).map(String::as_str);
        let whole = whole.or(properties.get(&id).copied()).unwrap_or_default();
        for key in keys_of(records.object_type, whole) {
            keys.push(key);
            ids.push(id);
        }
    }
    let before: Vec<i64> = written.iter().filter(|w| !w.new).map(|w| w.id).collect();
    if !before.is_empty() {
        sqlx::query!(
            "with gone as (
               delete from hubspot_object_key k
               where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)
                 and not exists (select 1 from unnest($5::text[], $6::bigint[]) as n (key, id)
                   where n.id = k.object_id and n.key = k.key)
               returning key, object_id)
             insert into hubspot_former_key (workspace_id, portal_id, object_type, key, object_id)
             select $1, $2, $3, key, object_id from gone
             on conflict do nothing",
            step.workspace.as_uuid(),
            step.portal.get(),
            type_number(records.object_type),
            &before,
            &keys,
            &ids
        )
        .execute(&mut *tx)
        .await?;
    }
    let (mut merged, mut into) = (Vec::new(), Vec::new());
    for id in written.iter().map(|w| w.id) {
        for gone in merged_into(properties.get(&id).unwrap_or(&"")) {
            merged.push(gone);
            into.push(id);
        }
    }
    if !merged.is_empty() {
        sqlx::query!(
            "insert into hubspot_former_key (workspace_id, portal_id, object_type, key, object_id)
             select distinct $1::uuid, $2::bigint, $3::smallint, k.key, n.survivor
             from unnest($4::bigint[], $5::bigint[]) as n (merged, survivor)
             cross join lateral (
               select key from hubspot_object_key o where o.workspace_id = $1 and o.portal_id = $2
                 and o.object_type = $3 and o.object_id = n.merged
               union
               select key from hubspot_former_key f where f.workspace_id = $1 and f.portal_id = $2
                 and f.object_type = $3 and f.object_id = n.merged
             ) k
             where n.merged <> n.survivor
             on conflict do nothing",
            step.workspace.as_uuid(),
            step.portal.get(),
            type_number(records.object_type),
            &merged,
            &into
        )
        .execute(&mut *tx)
        .await?;
    }
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into hubspot_object_key (workspace_id, portal_id, object_type, key, object_id)
         select $1, $2, $3, key, id from unnest($4::text[], $5::bigint[]) as n (key, id)
         on conflict do nothing",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(records.object_type),
        &keys,
        &ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What is stored by now of those whose keys the answer did not speak of, or not of all: an answer to a
/// write has what was written and little more, and what a record is found by stays.
async fn stored_beside(
    tx: &mut PgConnection,
    step: &Step,
    object_type: ObjectType,
    answers: &BTreeMap<i64, &str>,
    written: &[Written],
) -> Result<BTreeMap<i64, String>, sqlx::Error> {
    let silent = |id: i64| {
        let (first, more) = holding(object_type, answers.get(&id).copied().unwrap_or_default());
        first.is_none() || more.is_none()
    };
    let ids: Vec<i64> = written
        .iter()
        .filter(|w| !w.new && silent(w.id))
        .map(|w| w.id)
        .collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        "select object_id, properties::text as \"properties!\" from hubspot_object
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        step.workspace.as_uuid(),
        step.portal.get(),
        type_number(object_type),
        &ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.object_id, row.properties))
        .collect())
}

impl Store {
    /// The records of a type that have one of these as an e-mail address (contacts) or a domain
    /// (companies), additional ones too; archived ones are left out. Whatever way it is written, an
    /// address is found.
    pub async fn found_by_key(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        object_type: ObjectType,
        texts: &[&str],
    ) -> Result<Vec<HubSpotObjectId>, StoreError> {
        let keys: Vec<String> = texts
            .iter()
            .filter_map(|text| match object_type {
                ObjectType::Company => domain::company_domain::normalised(text),
                _ => email_key(text),
            })
            .collect();
        let rows = sqlx::query_scalar!(
            "select distinct o.object_id as \"object_id!\" from unnest($4::text[]) as e (key)
             cross join lateral (select k.object_id from hubspot_object_key k
               where k.workspace_id = $1 and uuid_hash(k.workspace_id) = uuid_hash($1)
                 and lower(k.key) = e.key and k.portal_id + 0 = $2 and k.object_type + 0 = $3::smallint offset 0) k
             cross join lateral (select o.object_id from hubspot_object o
               where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3
                 and o.object_id = k.object_id and not o.archived limit 1) o
             order by 1",
            workspace.as_uuid(),
            portal.get(),
            type_number(object_type),
            &keys
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|id| HubSpotObjectId::new(id).map_err(|_| StoreError::Corrupt("record id")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_contact_are_keys_in_one_form() {
        let properties = r#"{"email":" Zelda@Exämple.COM ","hs_additional_emails":"z@other.example;;Z@other.example; not one","domain":"x.de"}"#;
        assert_eq!(
            keys_of(ObjectType::Contact, properties),
            ["z@other.example", "zelda@xn--exmple-cua.com"]
        );
        assert_eq!(keys_of(ObjectType::Contact, "[1, 2]"), [""; 0]);
        assert_eq!(keys_of(ObjectType::Contact, r#"{"email":null}"#), [""; 0]);
        assert_eq!(keys_of(ObjectType::Deal, properties), [""; 0]);
    }

    #[test]
    fn a_record_says_what_was_merged_into_it() {
        for (value, ids) in [
            (r#""7;8""#, vec![7, 8]),
            (r#""7:1700000000000; 8:1""#, vec![7, 8]),
            (r#""x;;9""#, vec![9]),
            ("null", vec![]),
        ] {
            let properties = format!(r#"{{"hs_merged_object_ids":{value}}}"#);
            assert_eq!(merged_into(&properties), ids, "{value}");
        }
        assert!(merged_into("[]").is_empty());
    }

    #[test]
    fn all_domains_of_a_company_are_keys_in_one_form() {
        let properties = r#"{"domain":"https://www.Bücher.example/shop","hs_additional_domains":"a.example;WWW.b.example"}"#;
        assert_eq!(
            keys_of(ObjectType::Company, properties),
            ["a.example", "b.example", "xn--bcher-kva.example"]
        );
    }

    #[test]
    fn an_address_that_no_app_would_take_is_a_key_all_the_same() {
        assert_eq!(email_key("A..B@x.de").as_deref(), Some("a..b@x.de"));
        assert_eq!(email_key("nobody"), None);
        assert_eq!(email_key(&"x".repeat(300)), None);
    }
}
