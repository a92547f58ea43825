//! The companies of a batch (E3): each found, or made once, with the others that are. Planned and claimed as
//! in an export of its own; what a batch cannot settle about one is done as in an export of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    app::AppCompanyId,
    export::{
        Change, CompanyPlan, RecordRead,
        bulk::{After, after},
        journal::{Cause, Entry, EntryId, Operation},
    },
};
use futures::future::join_all;
use hubspot::{
    BadRecord, BatchOutcome, InputOutcome, RecordId,
    companies::DOMAINS,
    objects::{CreateInput, CrmObject, ReadOptions, RecordKey, UpdateInput},
};
use store::{ClaimHold, Claimed, CloseEntry, Guard, NewEntry, Opened};
use uuid::Uuid;

use super::{
    super::{
        company::{Search, Step, next_of},
        run::{Exporting, Troubles},
        stop::Stop,
        wire,
    },
    batch::{AT_ONCE, Batching, Fate, Report, Row, answered},
};

/// Looks at all companies of a batch, at most; whatever is not settled then is done one by one.
const ROUNDS: usize = 5;

/// A company of a batch, and the people who need it.
struct Firm<'r> {
    people: Vec<usize>,
    /// The export of the first of them.
    exporting: Exporting<'r>,
    search: Search,
    at: At,
}

/// How far a company is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// With the others.
    Along,
    /// One by one.
    Single,
    /// The company, or that there is to be none.
    Settled(Option<HubSpotObjectId>),
    /// Its people are taken in hand again.
    Later,
}

/// A company that is written.
struct Sending<I> {
    of: usize,
    plan: CompanyPlan,
    /// What the plan writes, and our key.
    changes: Vec<Change>,
    entry: Entry,
    guard: Held,
    input: I,
}

/// What a write of a company stands on.
enum Held {
    Claim(ClaimHold),
    AsOf(DateTime<Utc>),
}

impl Held {
    const fn guard(&self) -> Guard<'_> {
        match self {
            Self::Claim(hold) => Guard::Making(hold),
            Self::AsOf(read_at) => Guard::AsOf(*read_at),
        }
    }
}

impl Firm<'_> {
    fn entry(&self, operation: Operation, changes: &[Change]) -> Result<Entry, Stop> {
        Ok(Entry::open(
            EntryId::new(Uuid::now_v7()),
            self.exporting.company_subject(self.exporting.person()?),
            Cause::Company,
            operation,
            changes,
            self.exporting.facts.now,
        ))
    }

    fn troubles(&self) -> Troubles {
        let mut all = self.exporting.company_troubles.clone();
        all.extend(self.exporting.said.troubles(Some(ObjectType::Company)));
        all
    }
}

impl Batching<'_> {
    /// Finds or makes the companies of those who go along.
    pub(super) async fn ensure_companies(
        &self,
        rows: &mut [Row],
        report: &mut Report,
    ) -> Result<(), Stop> {
        let settled = self.companies_of(rows, report).await?;
        for (people, at, troubles) in settled {
            for of in people {
                let Some(row) = rows.get_mut(of) else {
                    continue;
                };
                match at {
                    At::Settled(company) => row.company = company,
                    At::Along | At::Single | At::Later => row.fate = Fate::Later,
                }
                row.troubles = troubles.clone();
            }
        }
        Ok(())
    }

    async fn companies_of(
        &self,
        rows: &[Row],
        report: &mut Report,
    ) -> Result<Vec<(Vec<usize>, At, Troubles)>, Stop> {
        let mut firms = self.firms(rows).await?;
        for _ in 0..ROUNDS {
            let steps = self.steps(&mut firms).await?;
            if steps.is_empty() || report.trouble.is_some() {
                break;
            }
            let with = |wanted: fn(&Step) -> bool| -> Vec<usize> {
                let those = steps.iter().filter(|(_, (_, step))| wanted(step));
                those.map(|(of, _)| *of).collect()
            };
            self.search_for(&mut firms, &with(|s| *s == Step::Search), report)
                .await?;
            let asked: BTreeMap<usize, HubSpotObjectId> = steps
                .iter()
                .filter_map(|(of, (_, step))| match step {
                    Step::Read(id) => Some((*of, *id)),
                    _ => None,
                })
                .collect();
            self.read_firms(&mut firms, &asked, report).await?;
            let mut plans: BTreeMap<usize, (CompanyPlan, Step)> = steps;
            plans.retain(|_, (_, step)| matches!(step, Step::Make | Step::Update(_)));
            self.write_firms(&mut firms, plans, report).await?;
        }
        for firm in &mut firms {
            if report.trouble.is_some() || !matches!(firm.at, At::Along | At::Single) {
                continue;
            }
            let person = firm.exporting.person()?;
            firm.at = match firm.exporting.ensure_company(person).await {
                Ok(company) => At::Settled(company),
                Err(Stop::Store(error)) => return Err(error.into()),
                Err(Stop::Fenced) => return Err(Stop::Fenced),
                Err(_) => At::Later,
            };
        }
        Ok(firms
            .into_iter()
            .map(|firm| {
                let troubles = firm.troubles();
                (firm.people, firm.at, troubles)
            })
            .collect())
    }

    /// The companies that people need. Two of the app's that have a domain in common go one after the
    /// other: the second one finds what the first one made.
    async fn firms<'r>(&'r self, rows: &'r [Row]) -> Result<Vec<Firm<'r>>, Stop> {
        let mut places: BTreeMap<(Option<&AppCompanyId>, String), usize> = BTreeMap::new();
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut firms: Vec<Firm<'r>> = Vec::new();
        for (of, row) in rows.iter().enumerate().filter(|(_, row)| row.goes_along()) {
            let Some(domains) = row.domains() else {
                continue;
            };
            let company = row.facts.company.as_ref().map(|company| &company.id);
            let key = (company, domains.first().as_str().to_owned());
            if let Some(firm) = places.get(&key).and_then(|place| firms.get_mut(*place)) {
                firm.people.push(of);
                continue;
            }
            let names: Vec<String> = domains
                .all()
                .iter()
                .map(|domain| domain.as_str().to_owned())
                .collect();
            let alone = names.iter().all(|name| !taken.contains(name));
            taken.extend(names);
            let exporting = self.exporting(row);
            let search = exporting.look_for(domains).await?;
            places.insert(key, firms.len());
            firms.push(Firm {
                people: vec![of],
                exporting,
                search,
                at: if alone { At::Along } else { At::Single },
            });
        }
        Ok(firms)
    }

    /// What is next about each that goes along, with its plan. Those that are known are settled.
    async fn steps(
        &self,
        firms: &mut [Firm<'_>],
    ) -> Result<BTreeMap<usize, (CompanyPlan, Step)>, Stop> {
        let mut steps = BTreeMap::new();
        let mut first = 0;
        for some in firms.chunks_mut(AT_ONCE) {
            let planned = join_all(some.iter_mut().map(|firm| step_of(firm))).await;
            for (n, planned) in planned.into_iter().enumerate() {
                if let Some(step) = planned? {
                    steps.insert(first + n, step);
                }
            }
            first += some.len();
        }
        Ok(steps)
    }

    /// Asks HubSpot by the domains of several at once.
    async fn search_for(
        &self,
        firms: &mut [Firm<'_>],
        wanted: &[usize],
        report: &mut Report,
    ) -> Result<(), Stop> {
        let mut domains: BTreeSet<String> = BTreeSet::new();
        for firm in wanted.iter().filter_map(|of| firms.get(*of)) {
            let all = firm.search.domains.all().iter();
            domains.extend(all.map(|domain| domain.as_str().to_owned()));
        }
        if domains.is_empty() {
            return Ok(());
        }
        let domains: Vec<String> = domains.into_iter().collect();
        let names = self.ground.company_properties();
        let found = match self.found(&domains, &names).await {
            Ok(found) => found,
            Err(hubspot::Error::Fenced) => return Err(Stop::Fenced),
            // What HubSpot said contradicts itself about one of them: asked for each by itself.
            Err(hubspot::Error::Unanswered) => {
                for of in wanted {
                    if let Some(firm) = firms.get_mut(*of) {
                        firm.at = At::Single;
                    }
                }
                return Ok(());
            }
            Err(error) => {
                self.note(Some(error), report);
                return Ok(());
            }
        };
        let mut hits: Vec<RecordRead> = Vec::new();
        for object in found.iter().filter(|object| !object.archived) {
            let id = wire::object_id(object.id)?;
            hits.push(wire::record_indexed(id, &names, object));
        }
        for of in wanted {
            let Some(firm) = firms.get_mut(*of) else {
                continue;
            };
            let search = &mut firm.search;
            search.searched = true;
            for hit in &hits {
                let primary = hit.value("domain").is_some_and(|d| search.domains.names(d));
                let mut additional = hit.each("hs_additional_domains");
                if primary || additional.any(|d| search.domains.names(d)) {
                    search.hits.retain(|known| known.id() != hit.id());
                    search.hits.push(hit.clone());
                }
            }
        }
        Ok(())
    }

    async fn found(
        &self,
        domains: &[String],
        names: &[String],
    ) -> Result<Vec<CrmObject>, hubspot::Error> {
        let companies = self.ground.client.companies();
        if self.mirror_is_whole {
            let (found, searches) = companies.by_primary_domains(domains, names).await?;
            for _ in 0..searches {
                self.tick(1);
            }
            return Ok(found);
        }
        // Nobody else knows of additional domains yet.
        let mut found = Vec::new();
        for some in domains.chunks(DOMAINS) {
            self.tick(1);
            found.extend(companies.by_domains(some, names).await?);
        }
        Ok(found)
    }

    /// Reads companies afresh.
    async fn read_firms(
        &self,
        firms: &mut [Firm<'_>],
        asked: &BTreeMap<usize, HubSpotObjectId>,
        report: &mut Report,
    ) -> Result<(), Stop> {
        if asked.is_empty() || report.trouble.is_some() {
            return Ok(());
        }
        let read_at = self.deps.store.clock().await?;
        let names = self.ground.company_properties();
        let ids: BTreeSet<HubSpotObjectId> = asked.values().copied().collect();
        let records: Vec<_> = ids.iter().map(|id| wire::record_id(*id)).collect();
        self.tick(records.len());
        let company = hubspot::ObjectType::Company;
        let options = ReadOptions::new().properties(&names);
        let objects = self.ground.client.objects();
        let read = match objects.batch_read(company, &records, &options).await {
            Ok(read) => read,
            Err(hubspot::Error::Fenced) => return Err(Stop::Fenced),
            Err(error) => {
                self.note(Some(error), report);
                return Ok(());
            }
        };
        for (of, id) in asked {
            let Some(firm) = firms.get_mut(*of) else {
                continue;
            };
            let record = wire::record_id(*id);
            // What cannot be read is there.
            let unreadable = |bad: &BadRecord| bad.key.parse::<RecordId>() == Ok(record);
            let mut bad = read.found.iter().filter_map(|one| one.as_ref().err());
            if read.unanswered.contains_key(&record) || bad.any(unreadable) {
                firm.at = At::Later;
                continue;
            }
            let now = read.merged.get(&record).copied().unwrap_or(record);
            let mut fresh = Vec::new();
            for object in read.found.iter().filter_map(|one| one.as_ref().ok()) {
                if object.id == now && !object.archived {
                    let id = wire::object_id(object.id)?;
                    fresh.push(wire::record_read(id, &names, object));
                }
            }
            let Firm {
                exporting, search, ..
            } = firm;
            exporting.take_fresh(search, *id, read_at, fresh).await?;
        }
        Ok(())
    }

    /// Makes companies under their claims, and writes those that were read.
    async fn write_firms(
        &self,
        firms: &mut [Firm<'_>],
        plans: BTreeMap<usize, (CompanyPlan, Step)>,
        report: &mut Report,
    ) -> Result<(), Stop> {
        if plans.is_empty() || report.trouble.is_some() {
            return Ok(());
        }
        let (mut makes, mut updates) = (Vec::new(), Vec::new());
        for (of, (plan, step)) in plans {
            let Some(firm) = firms.get_mut(of) else {
                continue;
            };
            match step {
                Step::Make => {
                    if let Some(make) = self.claimed(firm, of, plan).await? {
                        makes.push(make);
                    }
                }
                Step::Update(id) => {
                    let now = firm.exporting.facts.now;
                    let read_at = firm.search.read_at.get(&id).copied().unwrap_or(now);
                    let entry =
                        firm.entry(Operation::Update(ObjectType::Company, id), &plan.changes)?;
                    let input = UpdateInput {
                        key: RecordKey::Id(wire::record_id(id)),
                        properties: wire::sent(&plan.changes),
                    };
                    updates.push(Sending {
                        of,
                        changes: plan.changes.clone(),
                        plan,
                        entry,
                        guard: Held::AsOf(read_at),
                        input,
                    });
                }
                Step::Known(_) | Step::Read(_) | Step::Search | Step::None => {}
            }
        }
        let company = hubspot::ObjectType::Company;
        let objects = self.ground.client.objects();
        let makes = self.opened(firms, makes).await?;
        if !makes.is_empty() {
            self.tick(makes.len());
            let inputs: Vec<CreateInput> = makes.iter().map(|one| one.input.clone()).collect();
            let made = objects.batch_create(company, &inputs).await;
            self.close_firms(firms, makes, made, report).await?;
        }
        let updates = self.opened(firms, updates).await?;
        if !updates.is_empty() {
            self.tick(updates.len());
            let inputs: Vec<UpdateInput> = updates.iter().map(|one| one.input.clone()).collect();
            let written = objects.batch_update(company, &inputs).await;
            self.close_firms(firms, updates, written, report).await?;
        }
        Ok(())
    }

    /// A company that is to be made, under its claim; none where somebody else has it, knows it, or left
    /// something open.
    async fn claimed(
        &self,
        firm: &mut Firm<'_>,
        of: usize,
        plan: CompanyPlan,
    ) -> Result<Option<Sending<CreateInput>>, Stop> {
        let (store, portal) = (&self.deps.store, self.ground.portal);
        let hold = match store.claim_company(portal, &firm.search.domains).await? {
            Claimed::Held(hold, None) => hold,
            Claimed::Held(hold, Some(_)) => {
                store.settle_claim(&hold, None).await?;
                firm.at = At::Single;
                return Ok(None);
            }
            Claimed::Known(_) | Claimed::Busy => {
                firm.at = At::Single;
                return Ok(None);
            }
        };
        let mut changes = plan.changes.clone();
        changes.extend(firm.exporting.key_of(&firm.search).await?);
        let entry = firm.entry(Operation::Create(ObjectType::Company), &changes)?;
        Ok(Some(Sending {
            of,
            plan,
            entry,
            guard: Held::Claim(hold),
            input: CreateInput::new(wire::sent(&changes)),
            changes,
        }))
    }

    async fn opened<I>(
        &self,
        firms: &mut [Firm<'_>],
        sending: Vec<Sending<I>>,
    ) -> Result<Vec<Sending<I>>, Stop> {
        let entries: Vec<NewEntry<'_>> = sending
            .iter()
            .filter_map(|one| {
                let firm = firms.get(one.of)?;
                Some(NewEntry {
                    hold: firm.exporting.hold,
                    entry: &one.entry,
                    guard: Some(one.guard.guard()),
                })
            })
            .collect();
        let opened = self.open_all(&entries).await?;
        let mut sent = Vec::new();
        for (one, opened) in sending.into_iter().zip(opened) {
            if opened == Opened::Open {
                sent.push(one);
                continue;
            }
            if let Held::Claim(hold) = &one.guard {
                self.deps.store.settle_claim(hold, None).await?;
            }
            if let Some(firm) = firms.get_mut(one.of) {
                // Somebody else writes the company, or about the first of its people.
                firm.at = match opened {
                    Opened::Lost => At::Later,
                    _ => At::Single,
                };
            }
        }
        Ok(sent)
    }

    async fn close_firms<I>(
        &self,
        firms: &mut [Firm<'_>],
        sent: Vec<Sending<I>>,
        answer: BatchOutcome<CrmObject>,
        report: &mut Report,
    ) -> Result<(), Stop> {
        self.note(answer.stopped, report);
        let mut close: Vec<CloseEntry> = Vec::new();
        for (one, outcome) in sent.into_iter().zip(answer.outcomes) {
            let Some(firm) = firms.get_mut(one.of) else {
                continue;
            };
            let InputOutcome::Done(object) = &outcome else {
                self.not_done(one.entry.id, &outcome).await?;
                if let Held::Claim(hold) = &one.guard {
                    self.deps.store.settle_claim(hold, None).await?;
                }
                firm.at = match after(answered(&outcome)) {
                    After::RefuseAndAlone => At::Single,
                    After::Close | After::ReadBack | After::DropAndAgain => At::Later,
                };
                continue;
            };
            let id = wire::object_id(object.id)?;
            let link = firm.exporting.company_link(&one.plan, id);
            let entry = one.entry.id;
            let of = ObjectType::Company;
            let landed = firm.exporting.landed(of, &one.changes, object)?;
            let closing = match one.guard {
                Held::Claim(_) => firm.exporting.closing_made(entry, id, of, object, link)?,
                Held::AsOf(_) => {
                    let answer = Some((of, object));
                    firm.exporting.closing(entry, id, answer, link)?
                }
            };
            close.push(CloseEntry {
                written: landed.written,
                ..closing
            });
            firm.at = At::Settled(Some(id));
        }
        self.deps.store.close_entries_done(close).await?;
        Ok(())
    }
}

/// The plan of a company and what is next by it; none where it is settled or does not go along.
async fn step_of(firm: &mut Firm<'_>) -> Result<Option<(CompanyPlan, Step)>, Stop> {
    if firm.at != At::Along {
        return Ok(None);
    }
    let plan = firm.exporting.plan_company(&firm.search).await?;
    let step = next_of(&plan, &firm.search);
    match step {
        Step::Known(id) => {
            firm.exporting.link_company(&plan, id).await?;
            firm.at = At::Settled(Some(id));
            Ok(None)
        }
        Step::None => {
            firm.at = At::Settled(None);
            Ok(None)
        }
        Step::Update(_) | Step::Read(_) | Step::Search | Step::Make => Ok(Some((plan, step))),
    }
}
