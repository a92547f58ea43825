//! The facts of a contact's plan, and the plan of the domain's rules.

use chrono::{DateTime, Utc};
use domain::{
    HubSpotObjectId, ObjectType,
    app::{Person, RecordKind},
    export::{
        Change, ContactFacts, ContactPlan, Decision, Found, History, RecordRead, Rule, ceiling,
        contact,
        journal::{self, Entry, Subject},
        steps,
    },
    linking::{self, Holder, LinkOrigin},
};

use super::{reading::Read, run::Exporting, stop::Stop};

impl Exporting<'_> {
    /// The plan, and whether the contact was made by an export that did not come to its end.
    pub(super) async fn plan(
        &self,
        person: &Person,
        linked: Option<HubSpotObjectId>,
        read: &Read,
    ) -> Result<(ContactPlan, bool), Stop> {
        let subject = Subject::Person(person.id.clone());
        let entries = self.entries(&subject).await?;
        let history = self.history_of(&subject, &entries).await?;
        let plan = self.plan_with(person, linked, read, &history).await?;
        let made_before = self.facts.exported.is_none() && journal::made_contact(&entries);
        let plan = self.without_rejected(plan);
        let plan = match &read.record {
            Some(record) => plan.with_emptied_back(record, &history),
            None => plan,
        };
        Ok((plan, made_before))
    }

    async fn plan_with(
        &self,
        person: &Person,
        linked: Option<HubSpotObjectId>,
        read: &Read,
        history: &History,
    ) -> Result<ContactPlan, Stop> {
        let found = match (
            &read.record,
            steps::reading(linked, read.by_link, read.by_email),
        ) {
            (Some(record), _) => Found::Live(record),
            (None, steps::Reading::Archived(id)) => Found::Archived(id),
            (None, steps::Reading::Gone(id)) => Found::Gone(id),
            (None, _) => Found::Nobody,
        };
        let owns_values = match &read.record {
            Some(record) => self.owns_contact(person, record).await?,
            None => true,
        };
        let rules = self.ground.rules();
        let facts = ContactFacts {
            cause: self.asked,
            person,
            linked,
            found,
            key_taken: self.key_taken(person, read).await?,
            owns_values,
            owner: self.ground.owners().owner_for_member(person.owner.as_ref()),
            status_said: self.status_told(),
            history,
        };
        Ok(contact::plan(&rules, &facts))
    }

    /// What HubSpot refused of this export is not sent again in it.
    fn without_rejected(&self, mut plan: ContactPlan) -> ContactPlan {
        let refused = |change: &Change| self.is_rejected(ObjectType::Contact, &change.property);
        let status = |change: &Change| matches!(change.rule, Rule::Status(_));
        if plan.changes.iter().any(|c| status(c) && refused(c)) {
            plan.status_said = self.status_told();
        }
        plan.changes.retain(|c| !refused(c));
        if let Decision::Update(id) = plan.decision
            && plan.changes.is_empty()
        {
            plan.decision = Decision::Nothing(id);
        }
        plan
    }

    pub(super) fn is_rejected(&self, of: ObjectType, property: &str) -> bool {
        self.said.rejected.contains_key(&(of, property.to_owned()))
    }

    pub(super) async fn history(&self, subject: &Subject) -> Result<History, Stop> {
        let entries = self.entries(subject).await?;
        self.history_of(subject, &entries).await
    }

    async fn history_of(&self, subject: &Subject, entries: &[Entry]) -> Result<History, Stop> {
        let ground = self.ground;
        let resumed = self
            .deps
            .store
            .resumed(ground.workspace, ground.portal, subject)
            .await?;
        Ok(History::of(entries, &resumed))
    }

    /// What was written about somebody before, oldest first.
    pub(super) async fn entries(&self, subject: &Subject) -> Result<Vec<Entry>, Stop> {
        let ground = self.ground;
        Ok(self
            .deps
            .store
            .entries_about(ground.workspace, ground.portal, subject)
            .await?)
    }

    async fn owns_contact(&self, person: &Person, record: &RecordRead) -> Result<bool, Stop> {
        let ground = self.ground;
        let primary = record.value("email").map(str::to_lowercase);
        let mine = person.email.as_ref().map(|e| e.as_str().to_owned());
        let has_primary = |keys: &[String]| primary.as_ref().is_some_and(|p| keys.contains(p));
        let all = self
            .deps
            .store
            .holders_of(
                ground.workspace,
                ground.portal,
                RecordKind::Person,
                &record.ids(),
            )
            .await?;
        let mut holders: Vec<Holder> = all
            .into_iter()
            // Who was made from a contact gives way to those whom the app has.
            .filter(|h| h.said || h.holder.id == person.id.as_str())
            .map(|h| Holder {
                has_primary: has_primary(&h.keys),
                ..h.holder
            })
            .collect();
        if !holders.iter().any(|h| h.id == person.id.as_str()) {
            let has_primary = mine.as_ref() == primary.as_ref();
            holders.push(Holder {
                id: person.id.as_str().to_owned(),
                origin: if has_primary {
                    LinkOrigin::Primary
                } else {
                    LinkOrigin::Additional
                },
                has_primary,
            });
        }
        Ok(linking::owner(&holders) == Some(person.id.as_str()))
    }

    /// Whether another live contact has the address too, as far as is known.
    async fn key_taken(&self, person: &Person, read: &Read) -> Result<bool, Stop> {
        let (Some(email), Some(record)) = (&person.email, &read.record) else {
            return Ok(false);
        };
        let is = record
            .value("email")
            .is_some_and(|e| e.eq_ignore_ascii_case(email.as_str()));
        if is {
            return Ok(false);
        }
        let ground = self.ground;
        let keys = [email.as_str().to_owned()];
        let all = self
            .deps
            .store
            .mirrored_by_keys(ground.workspace, ground.portal, RecordKind::Person, &keys)
            .await?;
        Ok(all.iter().any(|other| other.id != record.id()))
    }

    pub(super) async fn held_until(
        &self,
        plan: &ContactPlan,
    ) -> Result<Option<DateTime<Utc>>, Stop> {
        if self.ground.known.settings.export.daily_ceiling.is_none() {
            return Ok(None);
        }
        let ground = self.ground;
        let day = ground.day(self.facts.now);
        let written = self
            .deps
            .store
            .written_on(ground.workspace, ground.portal, day)
            .await?;
        Ok(ceiling::waits_until(
            &ground.known.settings.export,
            self.asked,
            written,
            u32::from(plan.writes()),
            self.facts.now,
            ground.known.zone,
        ))
    }
}
