//! Whom an engagement is on: the contact, its company, and the open deals of both.

use domain::{
    HubSpotObjectId, ObjectType,
    dnc::DealStatus,
    export::{FailReason, WaitReason, association},
};
use hubspot::{
    InputOutcome,
    associations::{AssociationSpec, Pair, TypedPair},
    engagements,
    objects::ReadOptions,
};

use super::Timeline;
use crate::export::{FIRST_LOOK, stop::Stop, wire};

impl Timeline<'_> {
    /// Reads the contact by its id, which leads along merges; whether it is another one by now.
    pub(super) async fn look_at_contact(&mut self) -> Result<bool, Stop> {
        self.tick();
        let read = self
            .client()
            .objects()
            .get(
                hubspot::ObjectType::Contact,
                wire::record_id(self.contact),
                &["email"],
            )
            .await;
        let before = (self.contact, self.company.take());
        match read {
            Ok(object) => self.contact = wire::object_id(object.id)?,
            Err(hubspot::Error::NotFound) => {
                return Err(Stop::Fails(FailReason::RecordGone, Vec::new()));
            }
            Err(error) => return Err(error.into()),
        }
        let company = self.company().await?;
        Ok(before != (self.contact, Some(company)))
    }

    /// The contact's company: the primary one, else the first.
    async fn company(&mut self) -> Result<Option<HubSpotObjectId>, Stop> {
        if let Some(known) = self.company {
            return Ok(known);
        }
        self.tick();
        let all = match wire::all_companies(self.client(), self.contact).await {
            Ok(all) => all,
            Err(Stop::HubSpot(hubspot::Error::NotFound)) => Vec::new(),
            Err(stop) => return Err(stop),
        };
        let company = association::primary(&all);
        self.company = Some(company);
        Ok(company)
    }

    /// The open deals on contact and company, as the mirror has them.
    async fn deals(&mut self) -> Result<Vec<HubSpotObjectId>, Stop> {
        if !self.ground.known.settings.activities.associate_open_deals {
            return Ok(Vec::new());
        }
        if let Some(known) = &self.deals {
            return Ok(known.clone());
        }
        let ground = self.ground;
        let companies: Vec<i64> = self.company().await?.iter().map(|id| id.get()).collect();
        let all = self
            .deps
            .store
            .deals_on(
                ground.workspace,
                ground.portal,
                &[self.contact.get()],
                &companies,
            )
            .await?;
        let open: Vec<HubSpotObjectId> = all
            .iter()
            .filter(|deal| deal.status == DealStatus::Open)
            .map(|deal| deal.id)
            .collect();
        self.deals = Some(open.clone());
        Ok(open)
    }

    /// Leaves out deals that are gone from HubSpot while the mirror has them; all of them where none is, and
    /// HubSpot refuses them all the same. `false` where there are none.
    pub(super) async fn look_at_deals(&mut self) -> Result<bool, Stop> {
        let known = self.deals.clone().unwrap_or_default();
        if known.is_empty() {
            return Ok(false);
        }
        self.tick();
        let ids: Vec<_> = known.iter().map(|id| wire::record_id(*id)).collect();
        let options = ReadOptions::new().properties(["dealname"]);
        let objects = self.client().objects();
        let read = objects
            .batch_read(hubspot::ObjectType::Deal, &ids, &options)
            .await?;
        if !read.unanswered.is_empty() || read.found.iter().any(Result::is_err) {
            return Err(Stop::Waits(WaitReason::TriedAgainLater, FIRST_LOOK));
        }
        let found = read.found.iter().filter_map(|found| found.as_ref().ok());
        let live: Vec<_> = found.filter(|deal| !deal.archived).map(|d| d.id).collect();
        let mut kept = known.clone();
        kept.retain(|id| live.contains(&wire::record_id(*id)));
        if kept == known {
            kept.clear();
        }
        self.deals = Some(kept);
        Ok(true)
    }

    /// The records that an engagement is associated with, and by which type.
    pub(in crate::export) async fn associated_with(
        &mut self,
        object_type: ObjectType,
    ) -> Result<Vec<(HubSpotObjectId, AssociationSpec)>, Stop> {
        let mut all = vec![(self.contact, hubspot::ObjectType::Contact)];
        if let Some(company) = self.company().await? {
            all.push((company, hubspot::ObjectType::Company));
        }
        for deal in self.deals().await? {
            all.push((deal, hubspot::ObjectType::Deal));
        }
        let from = wire::object_type(object_type);
        Ok(all
            .into_iter()
            .filter_map(|(id, to)| Some((id, engagements::association(from, to)?)))
            .collect())
    }

    /// Looks whether the associations are there, as a portal may ignore those of a create, and adds those
    /// that are missing. With deals nothing is added later: they may be closed by then.
    pub(super) async fn associate(
        &mut self,
        object_type: ObjectType,
        record: HubSpotObjectId,
    ) -> Result<(), Stop> {
        use hubspot::ObjectType as T;
        self.tick();
        let from = wire::object_type(object_type);
        let read = self
            .client()
            .objects()
            .read(
                from,
                wire::record_id(record),
                &ReadOptions::new().properties([engagements::TIMESTAMP]),
                &[T::Contact, T::Company],
            )
            .await;
        let object = match read {
            Ok(object) => object,
            // Somebody removed it right away.
            Err(hubspot::Error::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let is_with = |to: T, id: HubSpotObjectId| {
            object.more_associations.contains(&to)
                || object
                    .associations
                    .iter()
                    .any(|a| a.to_type == to && a.to == wire::record_id(id))
        };
        if !is_with(T::Contact, self.contact) {
            // It may have been merged into another one since.
            self.look_at_contact().await?;
        }
        let company = self.company().await?;
        let wanted = [(T::Contact, Some(self.contact)), (T::Company, company)];
        for (to, id) in wanted {
            let Some(id) = id.filter(|id| !is_with(to, *id)) else {
                continue;
            };
            let Some(spec) = engagements::association(from, to) else {
                continue;
            };
            self.tick();
            let pair = Pair {
                from: wire::record_id(record),
                to: wire::record_id(id),
            };
            let types = vec![spec];
            let mut written = self
                .client()
                .associations()
                .batch_create(from, to, &[TypedPair { pair, types }])
                .await;
            match (written.outcomes.pop(), written.stopped) {
                (Some(InputOutcome::Done(_)), _) => {}
                // Answered with success, and not a word about it: that is no refusal.
                (Some(InputOutcome::Refused(hubspot::Error::NotInAnswer)), _) => {
                    return Err(Stop::Waits(WaitReason::TriedAgainLater, FIRST_LOOK));
                }
                // The company may be gone by now; the contact has it all the same.
                (Some(InputOutcome::Refused(_)), _) if to == T::Company => {}
                (Some(InputOutcome::Refused(error)), _) | (_, Some(error)) => {
                    return Err(error.into());
                }
                // Twice is once.
                _ => return Err(Stop::Waits(WaitReason::TriedAgainLater, FIRST_LOOK)),
            }
        }
        Ok(())
    }
}
