//! The company of a person's export (E3, design §4.4): found, or made once for all who need it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    app::{Person, RecordKind},
    export::{
        Change, CompanyDomains, CompanyFacts, CompanyPlan, Decision, HubSpotValue, LinkChange,
        RecordRead, Rule, WaitReason, Write, company,
        journal::{Cause, Entry, EntryId, Operation, Subject},
        policy::ExportCause,
    },
    linking::{self, Holder, Link, LinkOrigin},
    settings::ExportBehavior,
};
use hubspot::objects::{CreateInput, ReadOptions, RecordKey};
use store::{ClaimHold, Claimed, CloseEntry, Guard, LinkWrite, Opened, PortalKey};
use uuid::Uuid;

use crate::portal_keys::{COMPANY_KEY, PortalKeyError, company_key};

use super::{
    refusals::PORTAL_RULE,
    run::{DOUBT, Exporting, troubles},
    stop::Stop,
    wire,
};

/// How long one waits for another who makes the same company, before giving its place to others.
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(100);
/// When the place is taken again.
const BUSY: Duration = Duration::from_secs(2);
/// Plans of one company, at most.
const PLANS: usize = 5;

/// What is known of the company so far.
pub(super) struct Search {
    pub(super) domains: CompanyDomains,
    pub(super) linked: Option<Link>,
    pub(super) hits: Vec<RecordRead>,
    /// When those that are fresh were read, by the database's clock.
    pub(super) read_at: BTreeMap<HubSpotObjectId, DateTime<Utc>>,
    /// Whether HubSpot was asked by the domains.
    pub(super) searched: bool,
}

/// What is done next about a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is there, and nothing is to be written.
    Known(HubSpotObjectId),
    /// It is written, by a fresh read.
    Update(HubSpotObjectId),
    /// HubSpot is asked for it.
    Read(HubSpotObjectId),
    /// HubSpot is asked by the domains.
    Search,
    /// It is made.
    Make,
    /// There is to be none.
    None,
}

/// What is done next by a plan.
pub(super) fn next_of(plan: &CompanyPlan, search: &Search) -> Step {
    match (&plan.decision, plan.read_first) {
        // What the mirror has may say that nothing is to be written, and nothing more.
        (Ok(Decision::Nothing(id)), false) => Step::Known(*id),
        (Ok(Decision::Adopt(id)), false) if plan.changes.is_empty() => Step::Known(*id),
        (Ok(Decision::Adopt(id) | Decision::Update(id)), false)
            if search.hits.iter().any(|h| h.id() == *id && h.is_fresh()) =>
        {
            Step::Update(*id)
        }
        (Ok(Decision::Adopt(id) | Decision::Update(id) | Decision::Nothing(id)), _) => {
            Step::Read(*id)
        }
        (Ok(Decision::Create) | Err(_), _) if !search.searched => Step::Search,
        (Ok(Decision::Create), _) => Step::Make,
        (Err(_) | Ok(Decision::Skip(_)), _) => Step::None,
    }
}

impl Search {
    /// Takes what was read from this moment on in place of what was known of it.
    pub(super) fn take(&mut self, read_at: DateTime<Utc>, records: Vec<RecordRead>) {
        for record in records {
            let id = record.id();
            self.hits.retain(|hit| hit.id() != id);
            self.hits.push(record);
            self.read_at.insert(id, read_at);
        }
    }
}

/// As what a company counts that one of the domains is known to be.
fn known_by_claim(company: &RecordRead) -> Link {
    Link {
        record: company.id(),
        origin: LinkOrigin::Primary,
        live: true,
    }
}

impl Exporting<'_> {
    /// Finds or makes the person's company. None where there is to be none.
    pub(super) async fn ensure_company(
        &mut self,
        person: &Person,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let Some(domains) = self.domains(person) else {
            return Ok(None);
        };
        let mut search = self.look_for(domains).await?;
        let began = Instant::now();
        for _ in 0..PLANS {
            let plan = self.plan_company(&search).await?;
            match next_of(&plan, &search) {
                Step::Known(id) => {
                    self.link_company(&plan, id).await?;
                    return Ok(Some(id));
                }
                Step::Update(id) => {
                    let read_at = search.read_at.get(&id).copied();
                    let read_at = read_at.unwrap_or(self.facts.now);
                    if let Some(company) = self.update_company(&plan, id, read_at, began).await? {
                        return Ok(Some(company));
                    }
                    search.hits.clear();
                    let (read_at, fresh) = self.fresh(&[id]).await?;
                    search.take(read_at, fresh);
                }
                Step::Read(id) => {
                    let (read_at, fresh) = self.fresh(&[id]).await?;
                    self.take_fresh(&mut search, id, read_at, fresh).await?;
                }
                Step::Search => {
                    search.searched = true;
                    self.search(&mut search).await?;
                }
                Step::None => return Ok(None),
                Step::Make => {
                    if let Some(company) = self.make(&mut search, began).await? {
                        return Ok(Some(company));
                    }
                }
            }
        }
        Err(Stop::Waits(WaitReason::TriedAgainLater, DOUBT))
    }

    /// What is known of a company before HubSpot is asked.
    pub(super) async fn look_for(&self, domains: CompanyDomains) -> Result<Search, Stop> {
        Ok(Search {
            linked: self.facts.company_linked.map(|link| Link {
                live: link.live && !self.said.gone.contains(&link.record),
                ..link
            }),
            hits: self.in_the_mirror(&domains).await?,
            domains,
            read_at: BTreeMap::new(),
            searched: false,
        })
    }

    /// Takes what HubSpot said when it was asked for one company: one that it does not have is gone.
    pub(super) async fn take_fresh(
        &mut self,
        search: &mut Search,
        id: HubSpotObjectId,
        read_at: DateTime<Utc>,
        fresh: Vec<RecordRead>,
    ) -> Result<(), Stop> {
        let live = fresh.iter().any(|hit| hit.id() == id);
        search.hits.retain(|hit| hit.id() != id);
        search.take(read_at, fresh);
        if live {
            return Ok(());
        }
        if let Some(link) = search.linked.as_mut().filter(|link| link.record == id) {
            link.live = false;
        }
        self.said.gone.insert(id);
        let store = &self.deps.store;
        store.doubt_company(self.ground.portal, id).await?;
        Ok(())
    }

    /// The plan of the company, for whoever only looks.
    pub(super) async fn planned_company(
        &mut self,
        domains: CompanyDomains,
    ) -> Result<CompanyPlan, Stop> {
        let mut search = Search {
            linked: self.facts.company_linked,
            hits: self.in_the_mirror(&domains).await?,
            domains,
            read_at: BTreeMap::new(),
            searched: false,
        };
        let mut asked_claim = false;
        for _ in 0..PLANS {
            let plan = self.plan_company(&search).await?;
            let known = plan.company();
            match known {
                Some(id) if plan.read_first => {
                    let (read_at, fresh) = self.fresh(&[id]).await?;
                    search.hits.retain(|hit| hit.id() != id);
                    if fresh.is_empty() {
                        self.said.gone.insert(id);
                        search.linked = search.linked.map(|link| Link {
                            live: link.live && link.record != id,
                            ..link
                        });
                    }
                    search.take(read_at, fresh);
                }
                None if !search.searched => {
                    search.searched = true;
                    self.search(&mut search).await?;
                }
                // It may be known by another domain than those that HubSpot has of it.
                None if plan.decision == Ok(Decision::Create) && !asked_claim => {
                    asked_claim = true;
                    let (store, portal) = (&self.deps.store, self.ground.portal);
                    let claimed = store.claimed_company(portal, &search.domains).await?;
                    if let Some(id) = claimed.filter(|id| !self.said.gone.contains(id)) {
                        let (read_at, fresh) = self.fresh(&[id]).await?;
                        search.linked = fresh.first().map(known_by_claim).or(search.linked);
                        search.take(read_at, fresh);
                    }
                }
                _ => return self.with_known_key(plan, &search).await,
            }
        }
        Err(hubspot::Error::Unanswered.into())
    }

    /// What a company is made with includes our key. Whether a portal allows one is told by making it, which
    /// no preview does: it shows the key of portals that were asked before.
    async fn with_known_key(
        &self,
        mut plan: CompanyPlan,
        search: &Search,
    ) -> Result<CompanyPlan, Stop> {
        if plan.decision == Ok(Decision::Create) {
            let said = self
                .deps
                .store
                .portal_key(self.ground.portal, ObjectType::Company)
                .await?;
            if let Some(PortalKey::Available(property)) = said.map(|said| said.key) {
                plan.changes.extend(self.key_in(search, property));
            }
        }
        Ok(plan)
    }

    async fn in_the_mirror(&self, domains: &CompanyDomains) -> Result<Vec<RecordRead>, Stop> {
        let (store, ground) = (&self.deps.store, self.ground);
        let keys: Vec<String> = domains
            .all()
            .iter()
            .map(|domain| domain.as_str().to_owned())
            .collect();
        let mut found = store
            .mirrored_by_keys(ground.workspace, ground.portal, RecordKind::Company, &keys)
            .await?;
        if let Some(link) = self.facts.company_linked
            && !found.iter().any(|record| record.id == link.record)
        {
            let linked = store
                .mirrored_by_ids(
                    ground.workspace,
                    ground.portal,
                    RecordKind::Company,
                    &[link.record],
                )
                .await?;
            found.extend(linked);
        }
        Ok(found
            .into_iter()
            .filter(|record| !self.said.gone.contains(&record.id))
            .map(|record| RecordRead::mirrored(record.id, &record.properties))
            .collect())
    }

    /// Companies as HubSpot has them now, and the moment before they were read; those that are not there are
    /// left out.
    pub(super) async fn fresh(
        &self,
        ids: &[HubSpotObjectId],
    ) -> Result<(DateTime<Utc>, Vec<RecordRead>), Stop> {
        let read_at = self.deps.store.clock().await?;
        self.tick();
        let names = self.ground.company_properties();
        let records = ids
            .iter()
            .map(|id| wire::record_id(*id))
            .collect::<Vec<_>>();
        let read = self
            .ground
            .client
            .objects()
            .batch_read(
                hubspot::ObjectType::Company,
                &records,
                &ReadOptions::new().properties(&names),
            )
            .await?;
        // What cannot be read is there.
        if !read.unanswered.is_empty() || read.found.iter().any(Result::is_err) {
            return Err(Stop::Waits(WaitReason::TriedAgainLater, DOUBT));
        }
        let live = read
            .found
            .iter()
            .filter_map(|found| found.as_ref().ok())
            .filter(|object| !object.archived);
        let records = live.map(|object| {
            let id = wire::object_id(object.id)?;
            Ok(wire::record_read(id, &names, object))
        });
        Ok((read_at, records.collect::<Result<_, Stop>>()?))
    }

    /// Asks HubSpot by the domains.
    async fn search(&self, search: &mut Search) -> Result<(), Stop> {
        self.tick();
        let names = self.ground.company_properties();
        let mut domains: Vec<String> = Vec::new();
        let first = search.domains.first();
        for domain in std::iter::once(first).chain(search.domains.all()) {
            let domain = domain.as_str().to_owned();
            if !domains.contains(&domain) && domains.len() < hubspot::companies::DOMAINS {
                domains.push(domain);
            }
        }
        let found = self
            .ground
            .client
            .companies()
            .by_domains(&domains, &names)
            .await?;
        for object in found.iter().filter(|object| !object.archived) {
            let id = wire::object_id(object.id)?;
            search.hits.retain(|hit| hit.id() != id);
            search.hits.push(wire::record_indexed(id, &names, object));
        }
        Ok(())
    }

    pub(super) fn company_subject(&self, person: &Person) -> Subject {
        match &self.facts.company {
            Some(company) => Subject::Company(company.id.clone()),
            None => Subject::CompanyOf(person.id.clone()),
        }
    }

    pub(super) async fn plan_company(&mut self, search: &Search) -> Result<CompanyPlan, Stop> {
        let person = self.person()?;
        let history = self.history(&self.company_subject(person)).await?;
        let chosen = company::choose(&search.domains, search.linked, &search.hits);
        let owns_values = match chosen.link {
            Some((record, _)) => self.owns_company(record, &search.hits).await?,
            None => true,
        };
        let facts = CompanyFacts {
            company: self.facts.company.as_ref(),
            domains: &search.domains,
            linked: search.linked,
            hits: &search.hits,
            owns_values,
            anew: matches!(self.asked, ExportCause::Manual { anew: true }),
            owner: self.ground.owners().owner_for_member(person.owner.as_ref()),
            history: &history,
        };
        let plan = company::plan(&self.ground.rules(), &facts);
        self.company_troubles = troubles(&plan.left_out);
        let refused = self.said.rejected.iter();
        // The key comes along with what is planned.
        let refused = refused.map(|(key, _)| key);
        let refused = refused.filter(|(of, n)| *of == ObjectType::Company && n != COMPANY_KEY);
        Ok(plan.without_refused(&refused.map(|(_, name)| name.as_str()).collect()))
    }

    async fn owns_company(
        &self,
        record: HubSpotObjectId,
        hits: &[RecordRead],
    ) -> Result<bool, Stop> {
        let Some(company) = &self.facts.company else {
            return Ok(true);
        };
        let ground = self.ground;
        let hit = hits.iter().find(|hit| hit.id() == record);
        let ids = hit.map_or_else(|| BTreeSet::from([record]), RecordRead::ids);
        let all = self
            .deps
            .store
            .holders_of(ground.workspace, ground.portal, RecordKind::Company, &ids)
            .await?;
        let primary = hit
            .and_then(|hit| hit.value("domain"))
            .and_then(domain::company_domain::normalised);
        let has_primary = |keys: &[String]| primary.as_ref().is_some_and(|p| keys.contains(p));
        let mut holders: Vec<Holder> = all
            .into_iter()
            .map(|h| Holder {
                has_primary: has_primary(&h.keys),
                ..h.holder
            })
            .collect();
        if !holders.iter().any(|h| h.id == company.id.as_str()) {
            let has_primary = has_primary(&linking::domains_of(company));
            holders.push(Holder {
                id: company.id.as_str().to_owned(),
                origin: if has_primary {
                    LinkOrigin::Primary
                } else {
                    LinkOrigin::Additional
                },
                has_primary,
            });
        }
        Ok(linking::owner(&holders) == Some(company.id.as_str()))
    }

    pub(super) fn company_link(
        &self,
        plan: &CompanyPlan,
        to: HubSpotObjectId,
    ) -> Option<LinkWrite> {
        let company = self.facts.company.as_ref()?;
        let origin = match plan.link {
            LinkChange::Make(_, origin) | LinkChange::Follow { origin, .. } => origin,
            LinkChange::Keep if plan.decision == Ok(Decision::Create) => LinkOrigin::Primary,
            LinkChange::Keep => return None,
        };
        Some(LinkWrite {
            record: RecordKind::Company,
            id: company.id.as_str().to_owned(),
            to,
            origin,
        })
    }

    pub(super) async fn link_company(
        &self,
        plan: &CompanyPlan,
        to: HubSpotObjectId,
    ) -> Result<(), Stop> {
        if let Some(link) = self.company_link(plan, to) {
            let ground = self.ground;
            self.deps
                .store
                .write_link(ground.workspace, ground.portal, &link)
                .await?;
        }
        Ok(())
    }

    /// None where another plan is to be made, such as where an export of somebody else wrote the company
    /// after it was read.
    async fn update_company(
        &mut self,
        plan: &CompanyPlan,
        id: HubSpotObjectId,
        read_at: DateTime<Utc>,
        began: Instant,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let subject = self.company_subject(self.person()?);
        let operation = Operation::Update(ObjectType::Company, id);
        let (cause, now) = (Cause::Company, self.facts.now);
        let entry = EntryId::new(Uuid::now_v7());
        let opened = Entry::open(entry, subject, cause, operation, &plan.changes, now);
        loop {
            match self.try_commit(&opened, Some(Guard::AsOf(read_at))).await? {
                Opened::Open => break,
                Opened::Changed => return Ok(None),
                Opened::Busy if began.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                Opened::Busy => return Err(Stop::Waits(WaitReason::TriedAgainLater, BUSY)),
                Opened::Fenced => return Err(Stop::Fenced),
                Opened::Lost => return Err(Stop::Lost),
            }
        }
        self.tick();
        let answer = self
            .ground
            .client
            .objects()
            .update(
                hubspot::ObjectType::Company,
                wire::record_id(id),
                &wire::sent(&plan.changes),
            )
            .await;
        match answer {
            Ok(object) => {
                let now = wire::object_id(object.id)?;
                let link = self.company_link(plan, now);
                let of = ObjectType::Company;
                let close = CloseEntry {
                    written: self.landed(of, &plan.changes, &object)?.written,
                    ..self.closing(entry, now, Some((of, &object)), link)?
                };
                self.deps.store.close_entry_done(close).await?;
                Ok(Some(now))
            }
            Err(error) => {
                self.not_written(entry, error, ObjectType::Company, &plan.changes, false)
                    .await?;
                Ok(None)
            }
        }
    }

    /// Makes the company under its claim. None where something was found out by which another plan is made.
    async fn make(
        &mut self,
        search: &mut Search,
        began: Instant,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        let store = self.deps.store.clone();
        let (hold, left_open) = loop {
            match store
                .claim_company(self.ground.portal, &search.domains)
                .await?
            {
                Claimed::Known(id) => {
                    let (read_at, fresh) = self.fresh(&[id]).await?;
                    if fresh.is_empty() {
                        store
                            .forget_claimed(self.ground.portal, &search.domains, id)
                            .await?;
                        continue;
                    }
                    // It may be known by another domain than those that HubSpot has of it.
                    search.linked = fresh.first().map(known_by_claim);
                    search.take(read_at, fresh);
                    return Ok(None);
                }
                Claimed::Busy if began.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                Claimed::Busy => return Err(Stop::Waits(WaitReason::TriedAgainLater, BUSY)),
                Claimed::Held(hold, left_open) => break (hold, left_open),
            }
        };
        let made = self.make_under(search, &hold, left_open).await;
        if !matches!(made, Ok(Some(_))) {
            store.settle_claim(&hold, None).await?;
        }
        made
    }

    async fn make_under(
        &mut self,
        search: &mut Search,
        hold: &ClaimHold,
        left_open: Option<(domain::WorkspaceId, domain::export::journal::EntryId)>,
    ) -> Result<Option<HubSpotObjectId>, Stop> {
        if let Some((workspace, entry)) = left_open {
            if let Some(row) = self.deps.store.journal_entry(workspace, entry).await? {
                self.take_over_of(workspace, &row.entry).await?;
            }
            // What it made is known by the claim now; else another plan may make it.
            return Ok(None);
        }
        let plan = self.plan_company(search).await?;
        if plan.decision != Ok(Decision::Create) {
            return Ok(None);
        }
        let key = self.key_of(search).await?;
        let mut changes = plan.changes.clone();
        changes.extend(key.clone());
        let subject = self.company_subject(self.person()?);
        let operation = Operation::Create(ObjectType::Company);
        let entry = self
            .open(
                subject,
                Cause::Company,
                operation,
                &changes,
                Some(Guard::Making(hold)),
            )
            .await?;
        self.tick();
        let input = CreateInput::new(wire::sent(&changes));
        let answer = self
            .ground
            .client
            .objects()
            .create(hubspot::ObjectType::Company, &input)
            .await;
        match answer {
            Ok(object) => {
                let id = wire::object_id(object.id)?;
                let link = self.company_link(&plan, id);
                let of = ObjectType::Company;
                let close = CloseEntry {
                    written: self.landed(of, &changes, &object)?.written,
                    ..self.closing_made(entry, id, of, &object, link)?
                };
                self.deps.store.close_entry_done(close).await?;
                Ok(Some(id))
            }
            Err(hubspot::Error::PortalRule { problems, .. }) => {
                // A rule that is newer than those that are known.
                let lacking = wire::names_of(&problems).into_iter();
                self.said
                    .rejected
                    .extend(lacking.map(|name| ((ObjectType::Company, name), PORTAL_RULE)));
                self.deps
                    .store
                    .refuse_entry(self.ground.workspace, entry, "HS-3015")
                    .await?;
                Ok(None)
            }
            Err(error) => {
                // Of our key, unless HubSpot names another property.
                let taken = matches!(&error, hubspot::Error::Conflict { property, .. }
                    if property.as_deref().is_none_or(|name| name == COMPANY_KEY));
                self.not_written(entry, error, ObjectType::Company, &changes, false)
                    .await?;
                if let Some(key) = key {
                    if taken {
                        let value = key.write.sent().as_str();
                        self.adopt_by_key(search, &key.property, value).await?;
                    }
                    if self.is_rejected(ObjectType::Company, &key.property) {
                        self.forget_key().await?;
                    }
                }
                Ok(None)
            }
        }
    }

    /// What makes HubSpot refuse a second company of the same domain.
    pub(super) async fn key_of(&self, search: &Search) -> Result<Option<Change>, Stop> {
        let property = self.company_key().await?;
        Ok(property.and_then(|property| self.key_in(search, property)))
    }

    fn key_in(&self, search: &Search, property: String) -> Option<Change> {
        if self.is_rejected(ObjectType::Company, &property) {
            return None;
        }
        Some(Change {
            property,
            rule: Rule::Key,
            behavior: ExportBehavior::CreateOnly,
            old: None,
            write: Write::Set(HubSpotValue::stored(search.domains.first().as_str())?),
        })
    }

    /// The portal does not take the key any more, such as where somebody removed its property.
    pub(super) async fn forget_key(&self) -> Result<(), Stop> {
        let (portal, now) = (self.ground.portal, self.facts.now);
        let of = ObjectType::Company;
        let store = &self.deps.store;
        store
            .write_portal_key(portal, of, &PortalKey::Refused, now)
            .await?;
        Ok(())
    }

    /// The unique property of companies that holds our key, where the portal allows one (X2).
    pub(super) async fn company_key(&self) -> Result<Option<String>, Stop> {
        let ground = self.ground;
        company_key(
            &self.deps.store,
            &ground.client,
            ground.portal,
            &ground.scopes,
            self.facts.now,
        )
        .await
        .map_err(|error| match error {
            PortalKeyError::HubSpot(error) => error.into(),
            PortalKeyError::Store(error) => error.into(),
        })
    }

    /// Another company has our key: it is the one that was made.
    async fn adopt_by_key(
        &self,
        search: &mut Search,
        property: &str,
        value: &str,
    ) -> Result<(), Stop> {
        let read_at = self.deps.store.clock().await?;
        self.tick();
        let names = self.ground.company_properties();
        let options = ReadOptions::new().properties(&names);
        let key = RecordKey::unique(property, value);
        let found = self
            .ground
            .client
            .objects()
            .find(hubspot::ObjectType::Company, &key, &options)
            .await?;
        if let Some(object) = found.filter(|object| !object.archived) {
            let record = wire::object_id(object.id)?;
            search.linked = Some(Link {
                record,
                origin: LinkOrigin::Primary,
                live: true,
            });
            search.take(read_at, vec![wire::record_read(record, &names, &object)]);
        }
        Ok(())
    }
}
