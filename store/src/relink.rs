//! Linking: decides links anew, makes people of contacts that nobody is, and takes those back whom the
//! app has by now. The rule is `domain::linking`.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    app::{Email, Person, PersonId, RecordKind},
    linking::{self, Link, LinkOrigin},
};
use sqlx::PgConnection;

use crate::{
    StoreError,
    erasure::{self, Identity, IdentityKey},
    links::{
        LinkRow, Of, Ours, Theirs, claims, claims_of, keys_of, links_of, links_to, ours, ours_with,
        theirs,
    },
    mirror::object_id,
};

/// Notes the domains of companies of the app, which their rows do not repeat.
async fn write_company_keys(
    tx: &mut PgConnection,
    of: Of,
    ids: &[String],
) -> Result<(), StoreError> {
    let (mut of_keys, mut all) = (Vec::new(), Vec::new());
    for (id, row) in ours(tx, of, ids).await? {
        for key in row.iter().flat_map(Ours::keys) {
            of_keys.push(id.clone());
            all.push(key);
        }
    }
    sqlx::query!(
        "delete from app_company_key k where workspace_id = $1 and company_id = any($2)
           and not exists (select 1 from unnest($3::text[], $4::text[]) as t (id, key)
             where t.id = k.company_id and t.key = k.key)",
        of.workspace.as_uuid(),
        ids,
        &of_keys,
        &all
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into app_company_key (workspace_id, company_id, key)
         select $1, id, key from unnest($2::text[], $3::text[]) as t (id, key) on conflict do nothing",
        of.workspace.as_uuid(),
        &of_keys,
        &all
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What a batch of linking did.
#[derive(Debug, Default)]
pub(crate) struct Relinked {
    /// Records of the app whose profiles may be others now.
    pub(crate) touched: BTreeSet<String>,
    /// People who were made from contacts.
    pub(crate) made: u64,
    /// People who were made from contacts and gave way to the app's own.
    pub(crate) adopted: Vec<String>,
}

/// Merges that are followed at once: aliases lead to the end of their chain, which may move meanwhile.
const LONGEST_CHAIN: usize = 3;

/// Links records anew that changed on either side, makes people of contacts that nobody is, and takes
/// those back that the app has by now. The caller holds the workspace's lock shared.
pub(crate) async fn relink(
    tx: &mut PgConnection,
    identities: &IdentityKey,
    of: Of,
    changed_here: &[String],
    changed_there: &[i64],
    make_people: bool,
) -> Result<Relinked, StoreError> {
    let mut done = Relinked::default();
    if of.record == RecordKind::Company {
        write_company_keys(tx, of, changed_here).await?;
    }
    let there = theirs(tx, of, changed_there).await?;
    follow_merges(tx, of, &there).await?;
    let keys_there = keys_of(tx, of, changed_there).await?;
    let holders = links_to(tx, of, changed_there).await?;
    let mut ids: BTreeSet<String> = changed_here.iter().cloned().collect();
    ids.extend(ours_with(tx, of, &keys_there).await?);
    ids.extend(holders.iter().map(|link| link.app_id.clone()));
    let ids: Vec<String> = ids.into_iter().collect();
    let known = ours(tx, of, &ids).await?;
    let known: BTreeMap<&str, &Ours> = known
        .iter()
        .filter_map(|(id, row)| Some((id.as_str(), row.as_ref().ok()?)))
        .collect();
    let wanted: Vec<String> = known.values().flat_map(|ours| ours.keys()).collect();
    let claimed = claims(tx, of, &wanted).await?;
    let mut current = links_of(tx, of, &ids).await?;
    let mut records = linked_and_claiming(tx, of, &current, &claimed).await?;
    // A merge may be written at any moment, also before this batch comes to what it changed: whoever
    // sees that a record is gone asks whether it was merged, before the link is anybody else's.
    for _ in 0..LONGEST_CHAIN {
        let gone = current.values().filter(|link| !is_live(link, &records));
        let gone: Vec<String> = gone.map(|link| link.app_id.clone()).collect();
        if gone.is_empty() || !follow_aliases(tx, of, &gone).await? {
            break;
        }
        current = links_of(tx, of, &ids).await?;
        records = linked_and_claiming(tx, of, &current, &claimed).await?;
    }
    let mut concerned: BTreeSet<i64> = current.values().map(|link| link.object_id).collect();
    let (mut linked, mut to, mut origins) = (Vec::new(), Vec::new(), Vec::new());
    for (id, ours) in &known {
        let link = current.get(*id);
        let decided = linking::decide(
            link.map(|link| link_of(link, &records)).transpose()?,
            &claims_of(ours, &claimed, &records, of.object_type())?,
        );
        let before = link.map(|link| link.object_id);
        if let Some((record, origin)) = decided.link {
            concerned.insert(record.get());
            if before != Some(record.get()) {
                linked.push((*id).to_owned());
                to.push(record.get());
                origins.push(origin.as_str().to_owned());
            }
        }
    }
    write_links(tx, of, &linked, &to, &origins).await?;
    if of.record == RecordKind::Person && make_people {
        let held = links_to(tx, of, changed_there).await?;
        let held: BTreeSet<i64> = held.iter().map(|link| link.object_id).collect();
        let nobodys: Vec<&Theirs> = there
            .values()
            .filter(|contact| !contact.archived && !held.contains(&contact.id))
            .collect();
        let made = make(tx, identities, of, &nobodys).await?;
        done.made = made.len() as u64;
        done.touched.extend(made);
    }

    let concerned: Vec<i64> = concerned.into_iter().collect();
    let holders = links_to(tx, of, &concerned).await?;
    done.touched.extend(ids);
    done.touched
        .extend(holders.iter().map(|link| link.app_id.clone()));
    if of.record == RecordKind::Person {
        done.adopted = adopt(tx, of, &holders).await?;
        follow_addresses(tx, of, &holders, &there).await?;
    }
    Ok(done)
}

fn link_of(link: &LinkRow, records: &BTreeMap<i64, Theirs>) -> Result<Link, StoreError> {
    Ok(Link {
        record: object_id(link.object_id)?,
        origin: link.origin,
        live: is_live(link, records),
    })
}

fn is_live(link: &LinkRow, records: &BTreeMap<i64, Theirs>) -> bool {
    records.get(&link.object_id).is_some_and(|r| !r.archived)
}

/// The records that ours are linked to, and those that have a key of ours.
async fn linked_and_claiming(
    tx: &mut PgConnection,
    of: Of,
    current: &BTreeMap<String, LinkRow>,
    claimed: &BTreeMap<String, BTreeSet<i64>>,
) -> Result<BTreeMap<i64, Theirs>, StoreError> {
    let objects: BTreeSet<i64> = current
        .values()
        .map(|link| link.object_id)
        .chain(claimed.values().flatten().copied())
        .collect();
    let objects: Vec<i64> = objects.into_iter().collect();
    theirs(tx, of, &objects).await
}

/// What was linked to a record that went into another is linked to that one.
async fn follow_merges(
    tx: &mut PgConnection,
    of: Of,
    there: &BTreeMap<i64, Theirs>,
) -> Result<(), StoreError> {
    let (mut from, mut into) = (Vec::new(), Vec::new());
    for record in there.values().filter(|record| !record.archived) {
        for merged in record.merged() {
            from.push(merged);
            into.push(record.id);
        }
    }
    if from.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update record_link l set object_id = m.into_id, changed = (select mirror_change())
         from (select distinct on (from_id) from_id, into_id
               from unnest($4::bigint[], $5::bigint[]) as t (from_id, into_id)
               order by from_id, into_id) m
         where l.workspace_id = $1 and uuid_hash(l.workspace_id) = uuid_hash($1)
           and l.portal_id + 0 = $2 and l.object_type + 0 = $3::int and l.object_id + 0 = m.from_id
           and l.object_id + 0 = any($4)",
        of.workspace.as_uuid(),
        of.portal.get(),
        i32::from(of.number()),
        &from,
        &into
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Moves links of these records of ours from what was merged away to what lives. Says whether there were
/// any.
async fn follow_aliases(tx: &mut PgConnection, of: Of, ids: &[String]) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "update record_link l set object_id = t.living, changed = (select mirror_change())
         from (select e.id, a.living_id as living from unnest($4::text[]) as e (id)
               cross join lateral (select l.object_id from record_link l
                 where l.workspace_id = $1 and l.portal_id = $2 and l.object_type = $3 and l.app_id = e.id
                 limit 1) l
               cross join lateral (select a.living_id from hubspot_alias a
                 where a.workspace_id = $1 and a.portal_id = $2 and a.object_type = $3
                   and a.object_id = l.object_id limit 1) a) t
         where l.workspace_id = $1 and l.portal_id = $2 and l.object_type = $3 and l.app_id = t.id
           and l.app_id = any($4)",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        ids
    )
    .execute(tx)
    .await?;
    Ok(moved.rows_affected() > 0)
}

/// Makes people of contacts. Their ids follow from the contacts', so that making one again makes none.
async fn make(
    tx: &mut PgConnection,
    identities: &IdentityKey,
    of: Of,
    contacts: &[&Theirs],
) -> Result<Vec<String>, StoreError> {
    let mut people: Vec<(PersonId, i64, Option<Email>)> = Vec::new();
    for contact in contacts {
        let id = linking::imported_person(of.portal, object_id(contact.id)?)
            .map_err(|_| StoreError::Corrupt("id of a person"))?;
        people.push((id, contact.id, contact.text("email").and_then(address)));
    }
    if !people.is_empty() && erasure::anybody_erased(tx, of.workspace).await? {
        let hashes_of = |(id, contact, email): &(PersonId, i64, Option<Email>)| {
            let hash = |identity| identities.hash(of.workspace, &identity);
            let mut hashes = vec![hash(Identity::Person(id.as_str()))];
            hashes.extend(object_id(*contact).map(|id| hash(Identity::Contact(id))));
            hashes.extend(email.iter().map(|e| hash(Identity::Email(e.as_str()))));
            hashes
        };
        let all: Vec<Vec<u8>> = people.iter().flat_map(hashes_of).collect();
        let erased = erasure::erased_among(tx, of.workspace, &all).await?;
        people.retain(|person| !hashes_of(person).iter().any(|hash| erased.contains(hash)));
    }
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = people.iter().map(|(id, ..)| id.to_string()).collect();
    let contacts: Vec<i64> = people.iter().map(|(_, contact, _)| *contact).collect();
    let emails: Vec<Option<String>> = people
        .iter()
        .map(|(.., email)| email.as_ref().map(|e| e.as_str().to_owned()))
        .collect();
    let mut documents = Vec::with_capacity(people.len());
    for (id, _, email) in &people {
        documents.push(document(id, email.as_ref())?);
    }
    sqlx::query!(
        "insert into app_person
           (workspace_id, person_id, version, revision, email, document, slots, created_at, changed_at, changed)
         select $1, id, 0, 1, email, document::json, '{}', now(), now(), (select mirror_change())
         from unnest($2::text[], $3::text[], $4::text[]) as t (id, email, document)
         on conflict do nothing",
        of.workspace.as_uuid(),
        &ids,
        &emails as &[Option<String>],
        &documents
    )
    .execute(&mut *tx)
    .await?;
    let origins = vec![LinkOrigin::Imported.as_str().to_owned(); ids.len()];
    write_links(tx, of, &ids, &contacts, &origins).await?;
    Ok(ids)
}

fn address(text: &str) -> Option<Email> {
    Email::parse(text).ok()
}

/// A person of whom the app has said nothing, as the document that is stored.
fn document(id: &PersonId, email: Option<&Email>) -> Result<String, StoreError> {
    let person = Person {
        id: id.clone(),
        version: domain::app::RecordVersion::MIN,
        email: email.cloned(),
        company: None,
        owner: None,
        status: None,
        outreach: Default::default(),
        fields: BTreeMap::new(),
        slots: Default::default(),
    };
    serde_json::to_string(&person).map_err(|_| StoreError::Corrupt("person"))
}

pub(crate) async fn write_links(
    tx: &mut PgConnection,
    of: Of,
    ids: &[String],
    to: &[i64],
    origins: &[String],
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into record_link as l
           (workspace_id, portal_id, object_type, app_id, object_id, origin, changed)
         select $1, $2, $3, id, record, origin, (select mirror_change())
         from unnest($4::text[], $5::bigint[], $6::text[]) as t (id, record, origin)
         on conflict (workspace_id, portal_id, object_type, app_id) do update set
           object_id = excluded.object_id, origin = excluded.origin, adopted_by = null,
           linked_at = excluded.linked_at, changed = excluded.changed
         where (l.object_id, l.origin, l.adopted_by) is distinct from
           (excluded.object_id, excluded.origin, null)",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        ids,
        to,
        origins
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A person who was made from a contact, and of whom the app has said nothing, gives way to one of the
/// app's own who is the same contact, be it the contact that they were made from or another one.
async fn adopt(
    tx: &mut PgConnection,
    of: Of,
    holders: &[LinkRow],
) -> Result<Vec<String>, StoreError> {
    let ids: Vec<String> = holders
        .iter()
        .map(|link| link.app_id.clone())
        .filter(|id| id.parse().is_ok_and(|id| linking::is_imported(&id)))
        .collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let made: BTreeSet<String> = sqlx::query_scalar!(
        "select person_id from app_person where workspace_id = $1 and person_id = any($2) and version = 0",
        of.workspace.as_uuid(),
        &ids
    )
    .fetch_all(&mut *tx)
    .await?
    .into_iter()
    .collect();
    let (mut imported, mut by) = (Vec::new(), Vec::new());
    for link in holders.iter().filter(|l| made.contains(&l.app_id)) {
        let other = holders
            .iter()
            .find(|l| l.object_id == link.object_id && !made.contains(&l.app_id));
        if let Some(other) = other {
            imported.push(link.app_id.clone());
            by.push(other.app_id.clone());
        }
    }
    if imported.is_empty() {
        return Ok(Vec::new());
    }
    let gone = sqlx::query_scalar!(
        "delete from app_person p where workspace_id = $1 and person_id = any($2) and version = 0
           and not exists (select 1 from export_request e
             where e.workspace_id = $1 and e.person_id = p.person_id)
         returning person_id",
        of.workspace.as_uuid(),
        &imported
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from dnc_verdict where workspace_id = $1 and portal_id = $2 and person_id = any($3)",
        of.workspace.as_uuid(),
        of.portal.get(),
        &gone
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update record_link l set adopted_by = t.other, changed = (select mirror_change())
         from unnest($4::text[], $5::text[]) as t (id, other)
         where l.workspace_id = $1 and l.portal_id = $2 and l.object_type = $3 and l.app_id = t.id
           and l.app_id = any($6)",
        of.workspace.as_uuid(),
        of.portal.get(),
        of.number(),
        &imported,
        &by,
        &gone
    )
    .execute(&mut *tx)
    .await?;
    Ok(gone)
}

/// The address of a person who was made from a contact is the contact's, until the app says something.
async fn follow_addresses(
    tx: &mut PgConnection,
    of: Of,
    holders: &[LinkRow],
    there: &BTreeMap<i64, Theirs>,
) -> Result<(), StoreError> {
    let (mut ids, mut emails, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for link in holders.iter().filter(|l| l.origin == LinkOrigin::Imported) {
        let Some(contact) = there.get(&link.object_id).filter(|c| !c.archived) else {
            continue;
        };
        let id: PersonId = link
            .app_id
            .parse()
            .map_err(|_| StoreError::Corrupt("id of a person"))?;
        // After a merge there are two, and the address is that of one of them.
        if linking::imported_person(of.portal, object_id(contact.id)?).ok() != Some(id.clone()) {
            continue;
        }
        let email = contact.text("email").and_then(address);
        documents.push(document(&id, email.as_ref())?);
        emails.push(email.map(|e| e.as_str().to_owned()));
        ids.push(link.app_id.clone());
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update app_person p set email = t.email, document = t.document::json, revision = revision + 1,
           changed_at = now(), changed = (select mirror_change())
         from unnest($2::text[], $3::text[], $4::text[]) as t (id, email, document)
         where p.workspace_id = $1 and p.person_id = t.id and p.person_id = any($2) and p.version = 0
           and p.email is distinct from t.email",
        of.workspace.as_uuid(),
        &ids,
        &emails as &[Option<String>],
        &documents
    )
    .execute(tx)
    .await?;
    Ok(())
}
