//! What became of writes about activities that somebody began (X2), of many in few requests. What is found is
//! certain; what is not may still land, and is left to the person's own export, which waits for it.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    HubSpotObjectId, ObjectType,
    activities::recognise,
    export::{RecordRead, journal::Operation},
};
use hubspot::{
    InputOutcome, RecordId, engagements,
    objects::{ReadOptions, RecordKey},
};
use store::LoggedActivity;

use super::{
    super::{stop::Stop, timeline::Timeline, wire},
    batch::Batching,
    timelines::Doubt,
};

/// Engagements of one contact that are looked through here, at most.
const LOOKED_AT: usize = 100;

/// By its place among the doubts: the engagement that there is.
type Found = BTreeMap<usize, HubSpotObjectId>;

impl Batching<'_> {
    /// What the portal has of each of these activities, as far as that is certain.
    pub(super) async fn find_out_logged(
        &self,
        timelines: &[Timeline<'_>],
        doubts: &[Doubt],
    ) -> Result<Vec<Option<LoggedActivity>>, Stop> {
        let (mut made, mut edited): (BTreeMap<ObjectType, Vec<usize>>, BTreeMap<_, Vec<usize>>) =
            Default::default();
        for (place, doubt) in doubts.iter().enumerate() {
            match doubt.about() {
                Some((of, None)) => made.entry(of).or_default().push(place),
                Some((of, Some(_))) => edited.entry(of).or_default().push(place),
                None => {}
            }
        }
        let mut found = Found::new();
        for (object_type, places) in made {
            self.made(timelines, doubts, object_type, places, &mut found)
                .await?;
        }
        for (object_type, places) in edited {
            self.edited(doubts, object_type, &places, &mut found)
                .await?;
        }
        Ok(doubts
            .iter()
            .enumerate()
            .map(|(place, doubt)| {
                let (object_type, edits) = doubt.about()?;
                Some(LoggedActivity {
                    object_type,
                    record: *found.get(&place)?,
                    version: timelines
                        .get(doubt.of)?
                        .version_of(&doubt.pending, &doubt.entry),
                    associated: edits.is_some(),
                })
            })
            .collect())
    }

    /// Engagements of one type that were made: by our key, then among those of their contacts.
    async fn made(
        &self,
        timelines: &[Timeline<'_>],
        doubts: &[Doubt],
        object_type: ObjectType,
        mut places: Vec<usize>,
        found: &mut Found,
    ) -> Result<(), Stop> {
        let key = match timelines.first() {
            Some(timeline) => timeline.key(object_type).await?,
            None => None,
        };
        let objects = self.ground.client.objects();
        let of = wire::object_type(object_type);
        if let Some(key) = key {
            let value = |place: &usize| {
                let doubt = doubts.get(*place)?;
                let value = timelines.get(doubt.of)?.key_value(&doubt.pending);
                Some(RecordKey::unique(&key, value))
            };
            let keys: Vec<RecordKey> = places.iter().filter_map(value).collect();
            let options = ReadOptions::new().properties([engagements::TIMESTAMP]);
            self.tick(keys.len());
            let read = objects.read_each(of, &keys, &options).await;
            let mut left = Vec::new();
            for (place, outcome) in places.into_iter().zip(read.outcomes) {
                match outcome {
                    InputOutcome::Done(object) if !object.archived => {
                        found.insert(place, wire::object_id(object.id)?);
                    }
                    InputOutcome::Refused(hubspot::Error::NotFound) => left.push(place),
                    _ => {}
                }
            }
            places = left;
        }
        let contact = |place: &usize| Some(timelines.get(doubts.get(*place)?.of)?.contact);
        let contacts: BTreeSet<RecordId> = places
            .iter()
            .filter_map(contact)
            .map(wire::record_id)
            .collect();
        if contacts.is_empty() {
            return Ok(());
        }
        let contacts: Vec<RecordId> = contacts.into_iter().collect();
        self.tick(1);
        let associations = self.ground.client.associations();
        let of_contacts = match associations
            .batch_read(hubspot::ObjectType::Contact, of, &contacts)
            .await
        {
            Ok(read) => read.answered,
            Err(hubspot::Error::Fenced) => return Err(Stop::Fenced),
            // Nothing is certain.
            Err(_) => return Ok(()),
        };
        let mut engagements: BTreeMap<RecordId, Vec<HubSpotObjectId>> = BTreeMap::new();
        for (contact, all) in of_contacts {
            if all.len() > LOOKED_AT {
                continue;
            }
            let ids = all.iter().map(|one| wire::object_id(one.to));
            engagements.insert(contact, ids.collect::<Result<_, Stop>>()?);
        }
        let all: Vec<HubSpotObjectId> = engagements.values().flatten().copied().collect();
        let store = &self.deps.store;
        let taken = store
            .taken_engagements(self.ground.portal, object_type, &all)
            .await?;
        for ids in engagements.values_mut() {
            ids.retain(|id| !taken.contains(id));
        }
        let reads = self
            .read_engagements(
                doubts,
                &places,
                object_type,
                engagements.values().flatten().copied().collect(),
            )
            .await?;
        let mut ours: BTreeSet<HubSpotObjectId> = BTreeSet::new();
        for place in places {
            let (Some(doubt), Some(contact)) = (doubts.get(place), contact(&place)) else {
                continue;
            };
            let Some(ids) = engagements.get(&wire::record_id(contact)) else {
                continue;
            };
            // What is not told of one of them may be told of the very one that is looked for.
            let candidates: Option<Vec<&RecordRead>> = ids.iter().map(|id| reads.get(id)).collect();
            let candidates = candidates.unwrap_or_default();
            if let Some(record) = recognise::made(&doubt.entry.written, candidates, &ours) {
                ours.insert(record);
                found.insert(place, record);
            }
        }
        Ok(())
    }

    /// Engagements of one type that were edited, and have everything that was written.
    async fn edited(
        &self,
        doubts: &[Doubt],
        object_type: ObjectType,
        places: &[usize],
        found: &mut Found,
    ) -> Result<(), Stop> {
        let record = |place: &usize| doubts.get(*place)?.about()?.1;
        let all: BTreeSet<HubSpotObjectId> = places.iter().filter_map(record).collect();
        let reads = self
            .read_engagements(doubts, places, object_type, all)
            .await?;
        for place in places {
            let (Some(doubt), Some(record)) = (doubts.get(*place), record(place)) else {
                continue;
            };
            let read = reads.get(&record);
            if read.is_some_and(|read| recognise::is_done(&doubt.entry.written, read)) {
                found.insert(*place, record);
            }
        }
        Ok(())
    }

    /// Engagements by id, with what these activities are recognised by.
    async fn read_engagements(
        &self,
        doubts: &[Doubt],
        places: &[usize],
        object_type: ObjectType,
        all: BTreeSet<HubSpotObjectId>,
    ) -> Result<BTreeMap<HubSpotObjectId, RecordRead>, Stop> {
        if all.is_empty() {
            return Ok(BTreeMap::new());
        }
        let written = places.iter().filter_map(|place| doubts.get(*place));
        let asked: BTreeSet<String> = written
            .flat_map(|doubt| match doubt.entry.operation {
                Operation::Update(..) => doubt.entry.properties(),
                _ => recognise::asked(&doubt.entry.written),
            })
            .collect();
        let asked: Vec<String> = asked.into_iter().collect();
        let ids: Vec<RecordId> = all.into_iter().map(wire::record_id).collect();
        self.tick(ids.len());
        let objects = self.ground.client.objects();
        let options = ReadOptions::new().properties(&asked);
        let read = match objects
            .batch_read(wire::object_type(object_type), &ids, &options)
            .await
        {
            Ok(read) => read,
            Err(hubspot::Error::Fenced) => return Err(Stop::Fenced),
            Err(_) => return Ok(BTreeMap::new()),
        };
        read.found
            .iter()
            .filter_map(|found| found.as_ref().ok())
            .filter(|object| !object.archived)
            .map(|object| {
                let id = wire::object_id(object.id)?;
                Ok((id, wire::record_read(id, &asked, object)))
            })
            .collect()
    }
}
