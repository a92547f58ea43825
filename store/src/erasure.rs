//! Erasing a person, and what keeps an erased one from coming in again (C7).

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, WorkspaceId,
    app::{Email, PersonId},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    Store, StoreError,
    batches::{Batch, Rows},
    crypto::KeyRingError,
    mirror::{MirrorRow, type_number},
};

/// The key of the hashes that stay of an erased person. It must never change: with another one
/// nobody is recognised any more.
#[derive(Clone)]
pub(crate) struct IdentityKey(Hmac<Sha256>);

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityKey")
    }
}

/// What a person is recognised by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Identity<'a> {
    /// Normalised.
    Email(&'a str),
    /// The app's id.
    Person(&'a str),
    /// The contact's id. Of any portal: an id that two portals share keeps a stranger out at worst
    /// if both were ever connected to one workspace.
    Contact(HubSpotObjectId),
}

impl IdentityKey {
    pub(crate) fn parse(text: &SecretString) -> Result<Self, KeyRingError> {
        let key: [u8; 32] = STANDARD
            .decode(text.expose_secret())
            .ok()
            .and_then(|k| k.try_into().ok())
            .ok_or(KeyRingError::Erasure)?;
        Hmac::new_from_slice(&key)
            .map(Self)
            .map_err(|_| KeyRingError::Erasure)
    }

    pub(crate) fn hash(&self, workspace: WorkspaceId, identity: &Identity<'_>) -> Vec<u8> {
        let mut mac = self.0.clone();
        mac.update(workspace.as_uuid().as_bytes());
        match identity {
            Identity::Email(email) => {
                mac.update(b"e");
                mac.update(email.as_bytes());
            }
            Identity::Person(id) => {
                mac.update(b"p");
                mac.update(id.as_bytes());
            }
            Identity::Contact(id) => {
                mac.update(b"c");
                mac.update(&id.get().to_be_bytes());
            }
        }
        mac.finalize().into_bytes().to_vec()
    }

    /// Tells whether two calls are the same without keeping what they say.
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Who is to be erased. At least one of the two.
#[derive(Debug, Clone, Default)]
pub struct EraseTarget {
    /// By the app's id.
    pub person: Option<PersonId>,
    /// By e-mail address.
    pub email: Option<Email>,
}

/// What an erasure removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// People of the app.
    pub people: u64,
    /// Contacts in the mirror.
    pub contacts: u64,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Waiting exports, which end as skipped.
    pub exports_ended: u64,
}

/// Serialises what comes in with erasing: whoever writes values of people holds it shared until its
/// commit, an erasure holds it alone.
pub(crate) async fn hold_shared(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_advisory_xact_lock_shared($1)", lock(workspace))
        .execute(tx)
        .await?;
    Ok(())
}

pub(crate) async fn hold_alone(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_advisory_xact_lock($1)", lock(workspace))
        .execute(tx)
        .await?;
    Ok(())
}

fn lock(workspace: WorkspaceId) -> i64 {
    let (high, low) = workspace.as_uuid().as_u64_pair();
    (high ^ low.rotate_left(17) ^ 0x6572_6173_6564_3031).cast_signed()
}

/// A purge that came first takes the workspace away. The caller holds the lock.
pub(crate) async fn must_exist(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "select 1 as one from workspace
         where id = $1 and not exists (select 1 from workspace_purge where workspace_id = $1)",
        workspace.as_uuid()
    )
    .fetch_optional(tx)
    .await?
    .map(drop)
    .ok_or(StoreError::NotFound("workspace"))
}

/// Which of these hashes belong to erased people. The caller holds the shared lock.
pub(crate) async fn erased_among(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    hashes: &[Vec<u8>],
) -> Result<BTreeSet<Vec<u8>>, sqlx::Error> {
    let rows = sqlx::query!(
        "select identity_hash from erased_identity where workspace_id = $1 and identity_hash = any($2)",
        workspace.as_uuid(),
        hashes
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|r| r.identity_hash).collect())
}

/// Whether anybody was ever erased here: mostly not, and then nothing needs hashing.
pub(crate) async fn anybody_erased(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        "select exists (select 1 from erased_identity where workspace_id = $1) as \"any!\"",
        workspace.as_uuid()
    )
    .fetch_one(tx)
    .await?;
    Ok(row.any)
}

/// The e-mail addresses of a contact, additional ones too, as far as they are valid.
fn emails_of(email: Option<&str>, additional: Option<&str>) -> Vec<String> {
    email
        .into_iter()
        .chain(additional.into_iter().flat_map(|a| a.split(';')))
        .filter_map(|text| Email::parse(text).ok())
        .map(|e| e.as_str().to_owned())
        .collect()
}

fn emails_of_json(properties: &serde_json::Value) -> Vec<String> {
    let text = |name: &str| properties.get(name).and_then(serde_json::Value::as_str);
    emails_of(text("email"), text("hs_additional_emails"))
}

fn hashes_of(
    key: &IdentityKey,
    workspace: WorkspaceId,
    id: Option<HubSpotObjectId>,
    emails: &[String],
) -> Vec<Vec<u8>> {
    id.into_iter()
        .map(Identity::Contact)
        .chain(emails.iter().map(|e| Identity::Email(e)))
        .map(|identity| key.hash(workspace, &identity))
        .collect()
}

/// Takes contacts of erased people out of a batch, quarantined ones too.
pub(crate) async fn take_out_erased(
    tx: &mut Transaction<'static, Postgres>,
    key: &IdentityKey,
    workspace: WorkspaceId,
    batch: &mut Batch,
) -> Result<(), sqlx::Error> {
    let Rows::Records(records) = &mut batch.rows else {
        return Ok(());
    };
    if !anybody_erased(tx, workspace).await? {
        return Ok(());
    }
    let of_row = |row: &MirrorRow| {
        let properties = serde_json::from_str(&row.properties).unwrap_or_default();
        hashes_of(key, workspace, Some(row.id), &emails_of_json(&properties))
    };
    let rows: Vec<Vec<Vec<u8>>> = records.rows.iter().map(of_row).collect();
    let bad: Vec<Vec<Vec<u8>>> = batch
        .quarantine
        .iter()
        .map(|row| {
            let record: serde_json::Value = serde_json::from_slice(&row.raw).unwrap_or_default();
            let properties = record.get("properties").unwrap_or(&record);
            hashes_of(
                key,
                workspace,
                row.key.parse().ok(),
                &emails_of_json(properties),
            )
        })
        .collect();
    let all: Vec<Vec<u8>> = rows.iter().chain(&bad).flatten().cloned().collect();
    let erased = erased_among(tx, workspace, &all).await?;
    if erased.is_empty() {
        return Ok(());
    }
    let gone = |hashes: &Vec<Vec<u8>>| hashes.iter().any(|h| erased.contains(h));
    let mut each = rows.iter();
    records.rows.retain(|_| !each.next().is_some_and(gone));
    let kept: BTreeSet<HubSpotObjectId> = records.rows.iter().map(|r| r.id).collect();
    records.retain(|id| kept.contains(&id));
    let mut each = bad.iter();
    batch.quarantine.retain(|_| !each.next().is_some_and(gone));
    Ok(())
}

/// Everything that is known to be the person.
#[derive(Debug, Default)]
struct Found {
    emails: BTreeSet<String>,
    people: BTreeSet<String>,
    contacts: BTreeSet<i64>,
}

impl Found {
    fn size(&self) -> usize {
        self.emails.len() + self.people.len() + self.contacts.len()
    }

    /// From one address to the person, from the person to the contact, from the contact to its other
    /// addresses, until nothing new turns up.
    async fn complete(
        &mut self,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
    ) -> Result<(), StoreError> {
        loop {
            let before = self.size();
            let emails: Vec<String> = self.emails.iter().cloned().collect();
            let ids: Vec<String> = self.people.iter().cloned().collect();
            let people = sqlx::query!(
                "select person_id, email from app_person
                 where workspace_id = $1 and (person_id = any($2) or email = any($3))",
                workspace.as_uuid(),
                &ids,
                &emails
            )
            .fetch_all(&mut *tx)
            .await?;
            for person in people {
                self.people.insert(person.person_id);
                self.emails.extend(person.email);
            }
            let emails: Vec<String> = self.emails.iter().cloned().collect();
            let ids: Vec<i64> = self.contacts.iter().copied().collect();
            let contacts = sqlx::query!(
                "select object_id, properties->>'email' as email,
                   properties->>'hs_additional_emails' as additional
                 from hubspot_object
                 where workspace_id = $1 and object_type = $2
                   and (object_id = any($3) or lower(btrim(properties->>'email')) = any($4)
                     or exists (select 1 from unnest(string_to_array(lower(properties->>'hs_additional_emails'), ';')) as e (a)
                       where btrim(e.a) = any($4)))",
                workspace.as_uuid(),
                type_number(ObjectType::Contact),
                &ids,
                &emails
            )
            .fetch_all(&mut *tx)
            .await?;
            for contact in contacts {
                self.contacts.insert(contact.object_id);
                self.emails.extend(emails_of(
                    contact.email.as_deref(),
                    contact.additional.as_deref(),
                ));
            }
            if self.size() == before {
                return Ok(());
            }
        }
    }
}

impl Store {
    /// A keyed hash that tells whether two calls are the same.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.identities.fingerprint(parts)
    }

    /// Removes the values of a person from mirror, app data and quarantine, ends what waits to be
    /// exported, and keeps keyed hashes that stop the person from coming in again. A person who is
    /// not known is kept out from now on all the same. Idempotent.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub async fn erase_person(
        &self,
        workspace: WorkspaceId,
        target: &EraseTarget,
        now: DateTime<Utc>,
    ) -> Result<Erased, StoreError> {
        let mut tx = self.pool.begin().await?;
        hold_alone(&mut tx, workspace).await?;
        let mut found = Found::default();
        found
            .emails
            .extend(target.email.iter().map(|e| e.as_str().to_owned()));
        found
            .people
            .extend(target.person.iter().map(|p| p.as_str().to_owned()));
        found.complete(&mut tx, workspace).await?;

        let contacts: Vec<i64> = found.contacts.iter().copied().collect();
        let people: Vec<String> = found.people.iter().cloned().collect();
        let emails: Vec<String> = found.emails.iter().cloned().collect();
        let hashes: Vec<Vec<u8>> = contacts
            .iter()
            .filter_map(|id| HubSpotObjectId::new(*id).ok())
            .map(Identity::Contact)
            .chain(people.iter().map(|p| Identity::Person(p)))
            .chain(emails.iter().map(|e| Identity::Email(e)))
            .map(|identity| self.identities.hash(workspace, &identity))
            .collect();
        sqlx::query!(
            "insert into erased_identity (workspace_id, identity_hash, erased_at)
             select $1, h, $3 from unnest($2::bytea[]) as t (h) on conflict do nothing",
            workspace.as_uuid(),
            &hashes,
            now
        )
        .execute(&mut *tx)
        .await?;

        let mut erased = Erased {
            people: sqlx::query!(
                "delete from app_person where workspace_id = $1 and person_id = any($2)",
                workspace.as_uuid(),
                &people
            )
            .execute(&mut *tx)
            .await?
            .rows_affected(),
            ..Erased::default()
        };
        erased.exports_ended = sqlx::query!(
            "update export_request set state = 'skipped', reason = 'erased', due_at = null, changed_at = $3
             where workspace_id = $1 and person_id = any($2) and state in ('accepted', 'waiting')",
            workspace.as_uuid(),
            &people,
            now
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        erased.contacts = sqlx::query!(
            "delete from hubspot_object where workspace_id = $1 and object_type = $2 and object_id = any($3)",
            workspace.as_uuid(),
            type_number(ObjectType::Contact),
            &contacts
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        sqlx::query!(
            "delete from hubspot_association
             where workspace_id = $1 and ((from_type = $2 and from_id = any($3)) or (to_type = $2 and to_id = any($3)))",
            workspace.as_uuid(),
            type_number(ObjectType::Contact),
            &contacts
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "delete from hubspot_list_member m using hubspot_list l
             where m.workspace_id = $1 and m.object_id = any($2) and l.workspace_id = m.workspace_id
               and l.portal_id = m.portal_id and l.list_id = m.list_id and l.object_type_id = '0-1'",
            workspace.as_uuid(),
            &contacts
        )
        .execute(&mut *tx)
        .await?;
        // `escape` leaves ASCII as it is, whatever else the bytes are.
        erased.quarantined = sqlx::query!(
            "delete from quarantine q
             where workspace_id = $1
               and ((sync_type = 'contacts' and record_key = any(select i::text from unnest($2::bigint[]) as c (i)))
                 or exists (select 1 from unnest($3::text[]) as t (e)
                   where position(lower(encode(convert_to(t.e, 'UTF8'), 'escape')) in lower(encode(q.raw, 'escape'))) > 0))",
            workspace.as_uuid(),
            &contacts,
            &emails
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(erased)
    }
}
