//! Whether engagements have the associations that they were made with, as a portal may ignore those of a
//! create. A thousand are looked at in one request, so they are gathered from several batches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{HubSpotObjectId, ObjectType, app::PersonId};
use hubspot::{
    InputOutcome, RecordId,
    associations::{self, AssociationsRead, Pair, TypedPair},
    engagements,
};
use store::ActivityTurn;

use super::{
    super::{stop::Stop, wire},
    batch::Batching,
};

/// An engagement that was made and is to be looked at.
pub(super) struct Unchecked {
    pub(super) person: PersonId,
    /// How the activity ends when all is there.
    pub(super) turn: ActivityTurn,
    pub(super) object_type: ObjectType,
    pub(super) record: HubSpotObjectId,
    pub(super) contact: HubSpotObjectId,
    pub(super) company: Option<HubSpotObjectId>,
}

/// Those that a slice made and has not looked at yet.
#[derive(Default)]
pub(super) struct AllUnchecked(Mutex<BTreeMap<ObjectType, Vec<Unchecked>>>);

impl AllUnchecked {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ObjectType, Vec<Unchecked>>> {
        // Each change of it is one push, or takes a whole list: nothing is left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, one: Unchecked) {
        self.all().entry(one.object_type).or_default().push(one);
    }

    /// Takes out as many of each type as fill requests, or all.
    fn take(&self, whatever: bool) -> Vec<(ObjectType, Vec<Unchecked>)> {
        let mut taken = Vec::new();
        for (object_type, some) in self.all().iter_mut() {
            let rest = if whatever {
                0
            } else {
                some.len() % associations::BATCH
            };
            let filled: Vec<Unchecked> = some.drain(..some.len() - rest).collect();
            if !filled.is_empty() {
                taken.push((*object_type, filled));
            }
        }
        taken
    }
}

impl Batching<'_> {
    /// Looks at engagements where there are enough of one type, or at all that are left, adds what is missing,
    /// and ends their activities. Those people whose timelines go on by exports of their own.
    pub(super) async fn check(&self, whatever: bool) -> Result<BTreeSet<PersonId>, Stop> {
        let mut left = BTreeSet::new();
        for (object_type, all) in self.unchecked.take(whatever) {
            for some in all.chunks(associations::BATCH) {
                left.extend(self.check_some(object_type, some).await?);
            }
        }
        Ok(left)
    }

    async fn check_some(
        &self,
        object_type: ObjectType,
        some: &[Unchecked],
    ) -> Result<BTreeSet<PersonId>, Stop> {
        use hubspot::ObjectType as T;
        let from = wire::object_type(object_type);
        let records = some.iter().map(|one| wire::record_id(one.record));
        let Some(contacts) = self.read_ties(from, T::Contact, records.collect()).await? else {
            return Ok(BTreeSet::new());
        };
        let with_company = some.iter().filter(|one| one.company.is_some());
        let records = with_company.map(|one| wire::record_id(one.record));
        let Some(companies) = self.read_ties(from, T::Company, records.collect()).await? else {
            return Ok(BTreeSet::new());
        };
        let mut doubtful: BTreeSet<usize> = BTreeSet::new();
        let (mut without_contact, mut without_company) = (Vec::new(), Vec::new());
        for (place, one) in some.iter().enumerate() {
            let record = wire::record_id(one.record);
            let contact = wire::record_id(one.contact);
            match contacts.answered.get(&record) {
                Some(found) if found.iter().any(|tie| tie.to == contact) => {}
                Some(found) if found.is_empty() => without_contact.push((place, contact)),
                // Another contact may be what ours was merged into.
                _ => {
                    doubtful.insert(place);
                }
            }
            let Some(company) = one.company.map(wire::record_id) else {
                continue;
            };
            match companies.answered.get(&record) {
                Some(found) if found.iter().any(|tie| tie.to == company) => {}
                Some(_) => without_company.push((place, company)),
                None => {
                    doubtful.insert(place);
                }
            }
        }
        for (to, missing) in [(T::Contact, without_contact), (T::Company, without_company)] {
            doubtful.extend(self.add_ties(some, from, to, missing).await?);
        }
        let (mut ends, mut left) = (Vec::new(), BTreeSet::new());
        for (place, one) in some.iter().enumerate() {
            if doubtful.contains(&place) {
                left.insert(one.person.clone());
            } else {
                ends.push(one.turn.clone());
            }
        }
        let ground = self.ground;
        let store = &self.deps.store;
        store
            .end_associated_activities(ground.workspace, ground.portal, &ends)
            .await?;
        Ok(left)
    }

    /// None where HubSpot does not say it now: they are due, and looked at again.
    async fn read_ties(
        &self,
        from: hubspot::ObjectType,
        to: hubspot::ObjectType,
        records: Vec<RecordId>,
    ) -> Result<Option<AssociationsRead>, Stop> {
        if !records.is_empty() {
            self.tick(1);
        }
        let associations = self.ground.client.associations();
        match associations.batch_read(from, to, &records).await {
            Ok(read) => Ok(Some(read)),
            Err(hubspot::Error::Fenced) => Err(Stop::Fenced),
            Err(error) => {
                let code = crate::failure::code_of(&error);
                tracing::warn!(code, "associations of engagements are looked at later");
                Ok(None)
            }
        }
    }

    /// Adds associations that are missing. Those of which it is not certain that they are there now.
    async fn add_ties(
        &self,
        some: &[Unchecked],
        from: hubspot::ObjectType,
        to: hubspot::ObjectType,
        missing: Vec<(usize, RecordId)>,
    ) -> Result<Vec<usize>, Stop> {
        let Some(spec) = engagements::association(from, to).filter(|_| !missing.is_empty()) else {
            return Ok(Vec::new());
        };
        let inputs: Vec<TypedPair> = missing
            .iter()
            .filter_map(|(place, to)| {
                let from = wire::record_id(some.get(*place)?.record);
                let pair = Pair { from, to: *to };
                let types = vec![spec];
                Some(TypedPair { pair, types })
            })
            .collect();
        self.tick(1);
        let associations = self.ground.client.associations();
        let added = associations.batch_create(from, to, &inputs).await;
        if added.stopped == Some(hubspot::Error::Fenced) {
            return Err(Stop::Fenced);
        }
        Ok(missing
            .into_iter()
            .zip(added.outcomes)
            .filter(|(_, outcome)| match outcome {
                InputOutcome::Done(_) => false,
                InputOutcome::Refused(hubspot::Error::NotInAnswer) => true,
                // The company may be gone by now; the contact has it all the same.
                InputOutcome::Refused(_) => to != hubspot::ObjectType::Company,
                InputOutcome::OutcomeUnknown | InputOutcome::NotSent => true,
            })
            .map(|((place, _), _)| place)
            .collect())
    }
}
