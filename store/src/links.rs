//! Record links as rows, and what links are decided by.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ObjectType, PortalId, WorkspaceId,
    app::{Company, Person, RecordKind},
    linking::{self, Claim, Holder, LinkOrigin},
};
use sqlx::PgConnection;

use crate::{
    StoreError, keys,
    mirror::{object_id, type_number},
    records::{Listed, listed},
};

/// Whose records, and of which kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of {
    pub(crate) workspace: WorkspaceId,
    pub(crate) portal: PortalId,
    pub(crate) record: RecordKind,
}

impl Of {
    pub(crate) const fn object_type(&self) -> ObjectType {
        domain::profiles::object_type_of(self.record)
    }

    pub(crate) const fn number(&self) -> i16 {
        type_number(self.object_type())
    }
}

/// A record of the app's side.
#[derive(Debug, Clone)]
pub(crate) enum Ours {
    Person(Person),
    Company(Company),
}

impl Ours {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Person(person) => person.id.as_str(),
            Self::Company(company) => company.id.as_str(),
        }
    }

    /// What it is found by in HubSpot.
    pub(crate) fn keys(&self) -> Vec<String> {
        match self {
            Self::Person(person) => person
                .email
                .iter()
                .map(|email| email.as_str().to_owned())
                .collect(),
            Self::Company(company) => linking::domains_of(company),
        }
    }
}

/// A record of the mirror.
#[derive(Debug, Clone)]
pub(crate) struct Theirs {
    pub(crate) id: i64,
    pub(crate) properties: serde_json::Value,
    pub(crate) archived: bool,
}

impl Theirs {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(|value| value.as_str())
    }

    /// Its primary e-mail address or domain, as it is compared.
    pub(crate) fn primary_key(&self, object_type: ObjectType) -> Option<String> {
        match object_type {
            ObjectType::Contact => self.text("email").and_then(keys::email_key),
            _ => self
                .text("domain")
                .and_then(domain::company_domain::normalised),
        }
    }

    /// The records that went into it.
    pub(crate) fn merged(&self) -> Vec<i64> {
        self.text("hs_merged_object_ids")
            .into_iter()
            .flat_map(|all| all.split(';'))
            .filter_map(|id| id.trim().parse().ok())
            .collect()
    }
}

/// A link as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct LinkRow {
    pub(crate) app_id: String,
    pub(crate) object_id: i64,
    pub(crate) origin: LinkOrigin,
}

struct RawLink {
    app_id: String,
    object_id: i64,
    origin: String,
}

impl RawLink {
    fn read(self) -> Result<LinkRow, StoreError> {
        Ok(LinkRow {
            origin: self
                .origin
                .parse()
                .map_err(|_| StoreError::Corrupt("origin of a link"))?,
            app_id: self.app_id,
            object_id: self.object_id,
        })
    }
}

/// Records of the app, by id. One that cannot be read harms only itself.
pub(crate) async fn ours(
    tx: &mut PgConnection,
    of: Of,
    ids: &[String],
) -> Result<BTreeMap<String, Listed<Ours>>, StoreError> {
    let workspace = of.workspace;
    let mut found = BTreeMap::new();
    match of.record {
        RecordKind::Person => {
            let rows = sqlx::query!(
                "select person_id, document::text as \"document!\", slots::text as \"slots!\"
                 from app_person where workspace_id = $1 and person_id = any($2)",
                workspace.as_uuid(),
                ids
            )
            .fetch_all(tx)
            .await?;
            for row in rows {
                let read = listed(workspace, &row.person_id, &row.document, &row.slots);
                found.insert(row.person_id, read.map(Ours::Person));
            }
        }
        RecordKind::Company => {
            let rows = sqlx::query!(
                "select company_id, document::text as \"document!\", slots::text as \"slots!\"
                 from app_company where workspace_id = $1 and company_id = any($2)",
                workspace.as_uuid(),
                ids
            )
            .fetch_all(tx)
            .await?;
            for row in rows {
                let read = listed(workspace, &row.company_id, &row.document, &row.slots);
                found.insert(row.company_id, read.map(Ours::Company));
            }
        }
    }
    Ok(found)
}

/// Records of the mirror, by id.
pub(crate) async fn theirs(
    tx: &mut PgConnection,
    of: Of,
    ids: &[i64],
) -> Result<BTreeMap<i64, Theirs>, StoreError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query_as!(
        Theirs,
        "select object_id as id, properties, archived from hubspot_object
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// The links of records of the app.
pub(crate) async fn links_of(
    tx: &mut PgConnection,
    of: Of,
    ids: &[String],
) -> Result<BTreeMap<String, LinkRow>, StoreError> {
    let rows = sqlx::query_as!(
        RawLink,
        "select app_id, object_id, origin from record_link
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and app_id = any($4)
           and adopted_by is null",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        ids
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| row.read().map(|link| (link.app_id.clone(), link)))
        .collect()
}

/// The links to records of HubSpot's.
pub(crate) async fn links_to(
    tx: &mut PgConnection,
    of: Of,
    ids: &[i64],
) -> Result<Vec<LinkRow>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        RawLink,
        "select app_id, object_id, origin from record_link
         where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1) and portal_id + 0 = $2
           and object_type + 0 = $3::int and object_id + 0 = any($4) and adopted_by is null
         order by app_id",
        of.workspace.as_uuid(),
        of.portal.get(),
        i32::from(of.number()),
        ids
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(RawLink::read)
    .collect()
}

/// The live records that have one of these keys, for each key.
pub(crate) async fn claims(
    tx: &mut PgConnection,
    of: Of,
    wanted: &[String],
) -> Result<BTreeMap<String, BTreeSet<i64>>, StoreError> {
    let mut found: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let rows = sqlx::query!(
        "select k.key as \"key!\", k.object_id as \"object_id!\" from unnest($4::text[]) as e (key)
         cross join lateral (select k.key, k.object_id from hubspot_object_key k
           where k.workspace_id = $1 and uuid_hash(k.workspace_id) = uuid_hash($1)
             and lower(k.key) = e.key and k.portal_id + 0 = $2 and k.object_type + 0 = $3::smallint offset 0) k
         cross join lateral (select o.object_id from hubspot_object o
           where o.workspace_id = $1 and o.portal_id = $2 and o.object_type = $3
             and o.object_id = k.object_id and not o.archived limit 1) o",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        wanted
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        found.entry(row.key).or_default().insert(row.object_id);
    }
    Ok(found)
}

/// The keys of records of HubSpot's.
pub(crate) async fn keys_of(
    tx: &mut PgConnection,
    of: Of,
    ids: &[i64],
) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select distinct key from hubspot_object_key
         where workspace_id = $1 and portal_id = $2 and object_type = $3 and object_id = any($4)",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        ids
    )
    .fetch_all(tx)
    .await?)
}

/// Records of the app that have one of these keys.
pub(crate) async fn ours_with(
    tx: &mut PgConnection,
    of: Of,
    wanted: &[String],
) -> Result<Vec<String>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    Ok(match of.record {
        RecordKind::Person => {
            sqlx::query_scalar!(
                "select person_id from app_person where workspace_id = $1 and email = any($2)",
                of.workspace.as_uuid(),
                wanted
            )
            .fetch_all(tx)
            .await?
        }
        RecordKind::Company => {
            sqlx::query_scalar!(
                "select company_id from app_company_key
                 where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1) and key = any($2)",
                of.workspace.as_uuid(),
                wanted
            )
            .fetch_all(tx)
            .await?
        }
    })
}

/// The live records that have a key of one of ours.
pub(crate) fn claims_of(
    ours: &Ours,
    claimed: &BTreeMap<String, BTreeSet<i64>>,
    records: &BTreeMap<i64, Theirs>,
    object_type: ObjectType,
) -> Result<Vec<Claim>, StoreError> {
    let mut claims = Vec::new();
    for key in ours.keys() {
        for id in claimed.get(&key).into_iter().flatten() {
            let primary = records
                .get(id)
                .and_then(|record| record.primary_key(object_type));
            claims.push(Claim {
                record: object_id(*id)?,
                primary: primary.as_ref() == Some(&key),
            });
        }
    }
    Ok(claims)
}

/// Those that are linked to a record, for whoever asks which of them owns its values.
pub(crate) fn holder(link: &LinkRow, ours: Option<&Ours>, primary: Option<&String>) -> Holder {
    Holder {
        id: link.app_id.clone(),
        origin: link.origin,
        has_primary: primary.is_some_and(|key| ours.is_some_and(|o| o.keys().contains(key))),
    }
}

/// The records of HubSpot's that are known to be one of ours, and ours to be one of HubSpot's, in any
/// portal: for erasing.
pub(crate) async fn of_the_same(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    people: &[String],
    contacts: &[i64],
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let contact = type_number(ObjectType::Contact);
    let rows = sqlx::query!(
        "select app_id as \"app_id!\", object_id as \"object_id!\" from record_link
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and app_id = any($4)
         union select app_id, object_id from record_link
         where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1)
           and portal_id + 0 = any($2) and object_type + 0 = ($3 + 0) and object_id + 0 = any($5)",
        workspace.as_uuid(),
        portals,
        contact,
        people,
        contacts
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.app_id, row.object_id))
        .collect())
}

/// Leaves no link of erased people.
pub(crate) async fn erase(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    people: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from record_link
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and app_id = any($4)",
        workspace.as_uuid(),
        portals,
        type_number(ObjectType::Contact),
        people
    )
    .execute(tx)
    .await?;
    Ok(())
}
