//! Record links: rows, and what decides them. The rule is `domain::linking`.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ObjectType, PortalId, WorkspaceId,
    app::{Company, Email, Person, PersonId, RecordKind},
    linking::{self, Claim, Holder, Link, LinkOrigin},
};
use sqlx::PgConnection;

use crate::{
    StoreError,
    erasure::{self, Identity, IdentityKey},
    keys,
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
    fn text(&self, name: &str) -> Option<&str> {
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
    fn merged(&self) -> Vec<i64> {
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
        "select k.key, k.object_id from hubspot_object_key k
         join hubspot_object o on o.workspace_id = k.workspace_id and o.portal_id = k.portal_id
           and o.object_type = k.object_type and o.object_id = k.object_id
         where k.workspace_id = $1 and uuid_hash(k.workspace_id) = uuid_hash($1)
           and lower(k.key) = any($4) and k.portal_id = $2 and k.object_type = $3 and not o.archived",
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
async fn keys_of(tx: &mut PgConnection, of: Of, ids: &[i64]) -> Result<Vec<String>, StoreError> {
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
async fn ours_with(
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
    let current = links_of(tx, of, &ids).await?;
    let wanted: Vec<String> = known.values().flat_map(|ours| ours.keys()).collect();
    let claimed = claims(tx, of, &wanted).await?;
    let objects: BTreeSet<i64> = current
        .values()
        .map(|link| link.object_id)
        .chain(claimed.values().flatten().copied())
        .collect();
    let objects: Vec<i64> = objects.into_iter().collect();
    let records = theirs(tx, of, &objects).await?;
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
        live: records.get(&link.object_id).is_some_and(|r| !r.archived),
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
           and l.portal_id + 0 = $2 and l.object_type + 0 = $3::int and l.object_id + 0 = m.from_id",
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

async fn write_links(
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
/// app's own who is the same contact.
async fn adopt(
    tx: &mut PgConnection,
    of: Of,
    holders: &[LinkRow],
) -> Result<Vec<String>, StoreError> {
    let (mut imported, mut by) = (Vec::new(), Vec::new());
    for link in holders.iter().filter(|l| l.origin == LinkOrigin::Imported) {
        let other = holders
            .iter()
            .find(|l| l.object_id == link.object_id && l.origin != LinkOrigin::Imported);
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
         where p.workspace_id = $1 and p.person_id = t.id and p.version = 0
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

/// Leaves nothing of erased people.
pub(crate) async fn erase(
    tx: &mut PgConnection,
    workspace: WorkspaceId,
    portals: &[i64],
    people: &[String],
) -> Result<(), sqlx::Error> {
    let contact = type_number(ObjectType::Contact);
    sqlx::query!(
        "delete from record_link
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and app_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        people
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from profile
         where workspace_id = $1 and portal_id = any($2) and object_type = $3 and app_id = any($4)",
        workspace.as_uuid(),
        portals,
        contact,
        people
    )
    .execute(tx)
    .await?;
    Ok(())
}
