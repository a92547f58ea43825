//! Erasing a person, and what keeps an erased one from coming in again (C7).

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType, PortalId, SyncType, WorkspaceId,
    app::{Email, PersonId},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use sqlx::{PgConnection, Postgres, Transaction};

mod forgotten;

pub(crate) use forgotten::forget_contacts;
use forgotten::{remove_bad, remove_former, remove_people, remove_ties};

use crate::{
    Store, StoreError,
    batches::{Batch, QuarantineRow, Rows},
    crypto::KeyRingError,
    journal::forget_contacts_written,
    keys::{self, email_key},
    links,
    mirror::{AssociationRow, MirrorRow, type_number},
    steps::Step,
    verdicts::judge_again,
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
    /// A normalised address that a portal takes no more, as it erased whoever had it. That keeps nobody out.
    Refused(PortalId, &'a str),
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
            Identity::Refused(portal, email) => {
                mac.update(b"r");
                mac.update(&portal.get().to_be_bytes());
                mac.update(email.as_bytes());
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
    if stays(tx, workspace).await? {
        Ok(())
    } else {
        Err(StoreError::NotFound("workspace"))
    }
}

/// Whether no purge takes, or took, the workspace away. What ends a write that HubSpot already has asks this:
/// there is nothing to refuse any more, and nothing may be kept. The caller holds the lock.
pub(crate) async fn stays(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        "select 1 as one from workspace
         where id = $1 and not exists (select 1 from workspace_purge where workspace_id = $1)",
        workspace.as_uuid()
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.is_some())
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

/// The e-mail addresses that a text holds, in their one form, wherever they stand in it.
fn addresses_in(raw: &[u8]) -> BTreeSet<String> {
    fn of_text(text: &str, found: &mut BTreeSet<String>) {
        let apart = |c: char| c.is_whitespace() || c.is_control() || "\"<>,;:()[]\\".contains(c);
        for part in text.split(apart).filter(|part| part.contains('@')) {
            let bare = part.trim_matches(|c: char| !c.is_alphanumeric());
            found.extend([part, bare].into_iter().filter_map(email_key));
        }
    }
    fn of_value(value: &serde_json::Value, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::String(text) => of_text(text, found),
            serde_json::Value::Array(all) => all.iter().for_each(|v| of_value(v, found)),
            serde_json::Value::Object(all) => all.values().for_each(|v| of_value(v, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    match serde_json::from_slice::<serde_json::Value>(raw) {
        Ok(value) => of_value(&value, &mut found),
        Err(_) => of_text(&String::from_utf8_lossy(raw), &mut found),
    }
    found
}

fn hashes_of(
    key: &IdentityKey,
    workspace: WorkspaceId,
    id: Option<HubSpotObjectId>,
    emails: impl IntoIterator<Item = String>,
) -> Vec<Vec<u8>> {
    id.into_iter()
        .map(|id| key.hash(workspace, &Identity::Contact(id)))
        .chain(
            emails
                .into_iter()
                .map(|e| key.hash(workspace, &Identity::Email(&e))),
        )
        .collect()
}

/// Takes what is of erased people out of a batch: contacts, also quarantined ones, associations with
/// them, their places on lists, and engagements with them.
pub(crate) async fn take_out_erased(
    tx: &mut Transaction<'static, Postgres>,
    key: &IdentityKey,
    step: &Step,
    batch: &mut Batch,
) -> Result<(), sqlx::Error> {
    let workspace = step.workspace;
    if !matches!(
        &batch.rows,
        Rows::Records(_) | Rows::Members(_) | Rows::Touches(_)
    ) || !anybody_erased(tx, workspace).await?
    {
        return Ok(());
    }
    match &mut batch.rows {
        Rows::Records(records) => {
            if records.object_type == ObjectType::Contact {
                let of_row = |row: &MirrorRow| {
                    let emails = keys::keys_of(ObjectType::Contact, &row.properties);
                    hashes_of(key, workspace, Some(row.id), emails)
                };
                let rows: Vec<Vec<Vec<u8>>> = records.rows.iter().map(of_row).collect();
                let of_bad = |row: &QuarantineRow| {
                    hashes_of(key, workspace, row.key.parse().ok(), addresses_in(&row.raw))
                };
                let bad: Vec<Vec<Vec<u8>>> = batch.quarantine.iter().map(of_bad).collect();
                let all: Vec<Vec<u8>> = rows.iter().chain(&bad).flatten().cloned().collect();
                let erased = erased_among(tx, workspace, &all).await?;
                let gone = |hashes: &Vec<Vec<u8>>| hashes.iter().any(|h| erased.contains(h));
                let mut each = rows.iter();
                records.rows.retain(|_| !each.next().is_some_and(gone));
                let kept: BTreeSet<HubSpotObjectId> = records.rows.iter().map(|r| r.id).collect();
                records.retain(|id| kept.contains(&id));
                let mut each = bad.iter();
                batch.quarantine.retain(|_| !each.next().is_some_and(gone));
            }
            let is_contact = |a: &&AssociationRow| a.to_type == ObjectType::Contact;
            let ends = records.associations.iter().filter(is_contact);
            let erased = erased_contacts(tx, key, workspace, ends.map(|a| a.to).collect()).await?;
            records
                .associations
                .retain(|a| a.to_type != ObjectType::Contact || !erased.contains(&a.to));
        }
        Rows::Members(page) => {
            // A list that is not known is taken for one of contacts: most are.
            let other = sqlx::query!(
                "select 1 as one from hubspot_list
                 where workspace_id = $1 and portal_id = $2 and list_id = $3 and object_type_id <> '0-1'",
                workspace.as_uuid(),
                step.portal.get(),
                page.list.get()
            )
            .fetch_optional(&mut **tx)
            .await?;
            if other.is_none() {
                let ids = page.members.iter().copied().collect();
                let erased = erased_contacts(tx, key, workspace, ids).await?;
                page.members.retain(|id| !erased.contains(id));
            }
        }
        Rows::Touches(page) => {
            // The title may name them, whoever else was there.
            let ids = page
                .rows
                .iter()
                .flat_map(|r| &r.contacts)
                .copied()
                .collect();
            let erased = erased_contacts(tx, key, workspace, ids).await?;
            page.rows.retain(|row| row.contacts.is_disjoint(&erased));
        }
        _ => {}
    }
    Ok(())
}

/// Which of these contacts are of erased people.
async fn erased_contacts(
    tx: &mut PgConnection,
    key: &IdentityKey,
    workspace: WorkspaceId,
    ids: BTreeSet<HubSpotObjectId>,
) -> Result<BTreeSet<HubSpotObjectId>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let hashed: BTreeMap<Vec<u8>, HubSpotObjectId> = ids
        .into_iter()
        .map(|id| (key.hash(workspace, &Identity::Contact(id)), id))
        .collect();
    let hashes: Vec<Vec<u8>> = hashed.keys().cloned().collect();
    let erased = erased_among(tx, workspace, &hashes).await?;
    Ok(erased
        .iter()
        .filter_map(|hash| hashed.get(hash).copied())
        .collect())
}

/// Everything that is known to be the person.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Found {
    emails: BTreeSet<String>,
    people: BTreeSet<String>,
    contacts: BTreeSet<i64>,
}

/// A row of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BadKey {
    portal: i64,
    sync_type: String,
    key: String,
}

/// Rows of the quarantine that are looked at at once.
const LOOKED_AT: i64 = 500;

impl Found {
    fn of(target: &EraseTarget) -> Self {
        Self {
            emails: target.email.iter().map(|e| e.as_str().to_owned()).collect(),
            people: target
                .person
                .iter()
                .map(|p| p.as_str().to_owned())
                .collect(),
            contacts: BTreeSet::new(),
        }
    }

    /// From one address to the person, from the person to the contact, from the contact to its other
    /// addresses, until nothing new turns up. By indexes alone.
    async fn complete(
        &mut self,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        portals: &[i64],
    ) -> Result<(), StoreError> {
        loop {
            let before = self.clone();
            let emails: Vec<String> = self.emails.iter().cloned().collect();
            let ids: Vec<String> = self.people.iter().cloned().collect();
            let people = sqlx::query!(
                "select person_id, email from app_person where workspace_id = $1 and person_id = any($2)
                 union select person_id, email from app_person where workspace_id = $1 and email = any($3)",
                workspace.as_uuid(),
                &ids,
                &emails
            )
            .fetch_all(&mut *tx)
            .await?;
            for person in people {
                self.people.extend(person.person_id);
                self.emails.extend(person.email);
            }
            let emails: Vec<String> = self.emails.iter().cloned().collect();
            let contacts = sqlx::query_scalar!(
                "select object_id from hubspot_object_key
                 where workspace_id = $1 and uuid_hash(workspace_id) = uuid_hash($1)
                   and lower(key) = any($3) and object_type + 0 = $2::smallint",
                workspace.as_uuid(),
                type_number(ObjectType::Contact),
                &emails
            )
            .fetch_all(&mut *tx)
            .await?;
            self.contacts.extend(contacts);
            let ids: Vec<i64> = self.contacts.iter().copied().collect();
            let emails = sqlx::query_scalar!(
                "select key from hubspot_object_key
                 where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)",
                workspace.as_uuid(),
                portals,
                type_number(ObjectType::Contact),
                &ids
            )
            .fetch_all(&mut *tx)
            .await?;
            self.emails.extend(emails);
            // What was merged into the contact was the same person's.
            let aliases = sqlx::query!(
                "select object_id, living_id from hubspot_alias
                 where workspace_id = $1 and portal_id = any($2) and object_type = $3
                   and (object_id = any($4) or living_id = any($4))",
                workspace.as_uuid(),
                portals,
                type_number(ObjectType::Contact),
                &ids
            )
            .fetch_all(&mut *tx)
            .await?;
            for alias in aliases {
                self.contacts.extend([alias.object_id, alias.living_id]);
            }
            // A link outlives a changed address.
            let people: Vec<String> = self.people.iter().cloned().collect();
            for (person, contact) in
                links::of_the_same(tx, workspace, portals, &people, &ids).await?
            {
                self.people.insert(person);
                self.contacts.insert(contact);
            }
            if *self == before {
                return Ok(());
            }
        }
    }

    /// Rows of the quarantine that are the person's or hold one of the addresses; only those written
    /// at or after a change number.
    async fn in_quarantine(
        &self,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        since: i64,
    ) -> Result<BTreeSet<BadKey>, sqlx::Error> {
        let mut found = BTreeSet::new();
        let (mut portal, mut sync_type, mut key) = (-1, String::new(), String::new());
        loop {
            let rows = sqlx::query!(
                "select portal_id, sync_type, record_key, raw from quarantine
                 where workspace_id = $1 and changed >= $2
                   and (portal_id, sync_type, record_key) > ($3, $4, $5)
                 order by portal_id, sync_type, record_key limit $6",
                workspace.as_uuid(),
                since,
                portal,
                sync_type,
                key,
                LOOKED_AT
            )
            .fetch_all(&mut *tx)
            .await?;
            let Some(last) = rows.last() else {
                return Ok(found);
            };
            (portal, sync_type, key) = (
                last.portal_id,
                last.sync_type.clone(),
                last.record_key.clone(),
            );
            for row in rows {
                let contact = row.sync_type == SyncType::Contacts.as_str()
                    && row
                        .record_key
                        .parse()
                        .is_ok_and(|id: i64| self.contacts.contains(&id));
                if contact || !self.emails.is_disjoint(&addresses_in(&row.raw)) {
                    found.insert(BadKey {
                        portal: row.portal_id,
                        sync_type: row.sync_type,
                        key: row.record_key,
                    });
                }
            }
        }
    }
}

/// All portals that a workspace has anything of: few, found by skipping from one to the next.
async fn portals_of(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "with recursive p (id) as (
           (select portal_id from hubspot_object where workspace_id = $1 order by portal_id limit 1)
           union all
           select (select o.portal_id from hubspot_object o
             where o.workspace_id = $1 and o.portal_id > p.id order by o.portal_id limit 1)
           from p where p.id is not null
         )
         select id as \"id!\" from p where id is not null
         union select portal_id from connection where workspace_id = $1
         union select portal_id from last_read where workspace_id = $1",
        workspace.as_uuid()
    )
    .fetch_all(tx)
    .await
}

impl Store {
    /// A keyed hash that tells whether two calls are the same.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.identities.fingerprint(parts)
    }

    /// The keyed hash that stands for an erased person's id.
    pub(crate) fn person_hash(&self, workspace: WorkspaceId, person: &PersonId) -> Vec<u8> {
        self.identities
            .hash(workspace, &Identity::Person(person.as_str()))
    }

    /// Removes the values of a person from mirror, app data and quarantine, ends what waits to be
    /// exported, and keeps keyed hashes that stop the person from coming in again. A person who is
    /// not known is kept out from now on all the same. Idempotent.
    ///
    /// Who the person is is looked up before the workspace's lock is taken, and again under it, where
    /// only what came in meanwhile is new: so the lock is held for some milliseconds, however much
    /// there is.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub async fn erase_person(
        &self,
        workspace: WorkspaceId,
        target: &EraseTarget,
        now: DateTime<Utc>,
    ) -> Result<Erased, StoreError> {
        let mut found = Found::of(target);
        let mut looking = self.pool.acquire().await?;
        let settled = sqlx::query_scalar!("select mirror_settled() as \"n!\"")
            .fetch_one(&mut *looking)
            .await?;
        let portals = portals_of(&mut looking, workspace).await?;
        found.complete(&mut looking, workspace, &portals).await?;
        let mut bad = found
            .in_quarantine(&mut looking, workspace, i64::MIN)
            .await?;
        drop(looking);

        let mut tx = self.pool.begin().await?;
        hold_alone(&mut tx, workspace).await?;
        let before = found.clone();
        let portals = portals_of(&mut tx, workspace).await?;
        found.complete(&mut tx, workspace, &portals).await?;
        let since = if found == before { settled } else { i64::MIN };
        bad.extend(found.in_quarantine(&mut tx, workspace, since).await?);
        let erased = self
            .remove_found(&mut tx, workspace, &portals, &found, bad, now)
            .await?;
        tx.commit().await?;
        Ok(erased)
    }

    /// Under the workspace's lock.
    async fn remove_found(
        &self,
        tx: &mut PgConnection,
        workspace: WorkspaceId,
        portals: &[i64],
        found: &Found,
        bad: BTreeSet<BadKey>,
        now: DateTime<Utc>,
    ) -> Result<Erased, StoreError> {
        let contacts: Vec<i64> = found.contacts.iter().copied().collect();
        let people: Vec<String> = found.people.iter().cloned().collect();
        let hash = |identity: Identity<'_>| self.identities.hash(workspace, &identity);
        let of_people: Vec<Vec<u8>> = people.iter().map(|p| hash(Identity::Person(p))).collect();
        let hashes: Vec<Vec<u8>> = contacts
            .iter()
            .filter_map(|id| HubSpotObjectId::new(*id).ok())
            .map(|id| hash(Identity::Contact(id)))
            .chain(of_people.iter().cloned())
            .chain(found.emails.iter().map(|e| hash(Identity::Email(e))))
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
        let mut erased = Erased::default();
        judge_again(tx, workspace, portals, &contacts).await?;
        forget_contacts_written(tx, workspace, portals, &contacts).await?;
        (erased.people, erased.exports_ended) =
            remove_people(tx, &self.identities, workspace, portals, &people, now).await?;
        let emails: Vec<String> = found.emails.iter().cloned().collect();
        remove_former(tx, workspace, portals, &emails).await?;
        if !contacts.is_empty() {
            let contact = type_number(ObjectType::Contact);
            // Whoever follows the changes learns that the row is gone, for a while.
            erased.contacts = sqlx::query!(
                "with gone as (
                   delete from hubspot_object
                   where workspace_id = $1 and portal_id = any($2) and object_type = $3 and object_id = any($4)
                   returning portal_id, object_id)
                 insert into change_tombstone as t (workspace_id, portal_id, object_type, object_id)
                 select $1, portal_id, $3, object_id from gone
                 on conflict (workspace_id, portal_id, object_type, object_id) do update set
                   changed = excluded.changed, removed_at = excluded.removed_at",
                workspace.as_uuid(),
                portals,
                contact,
                &contacts
            )
            .execute(&mut *tx)
            .await?
            .rows_affected();
            remove_ties(tx, workspace, portals, &contacts).await?;
        }
        erased.quarantined = remove_bad(tx, workspace, bad).await?;
        Ok(erased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        for (raw, address) in [
            (
                r#"{"properties":{"email":"ZZ@Other.Example"}}"#,
                "zz@other.example",
            ),
            (
                r#"{"note":"ask Zelda <zz@other.example>, please"}"#,
                "zz@other.example",
            ),
            (r#"{"a":["mailto:zz@other.example."]}"#, "zz@other.example"),
            (
                r#"{"e":"z@b\u00fccher.example"}"#,
                "z@xn--bcher-kva.example",
            ),
            (
                r#"{"email":"zz@other.example","broken":"#,
                "zz@other.example",
            ),
        ] {
            let found = addresses_in(raw.as_bytes());
            assert!(found.contains(address), "{raw}: {found:?}");
        }
        assert!(addresses_in(b"{\"a\":\"no address\"}").is_empty());
        let more = addresses_in(br#"{"email":"azz@other.example"}"#);
        assert!(!more.contains("zz@other.example"));
    }
}
