//! Reading a person's contact afresh: by the link, by the address, and with its companies.

use domain::{
    HubSpotObjectId,
    app::{AddressForms, Person},
    export::{
        ContactCompany, FailReason, RecordRead, SkipReason,
        steps::{Answer, ReadBy},
    },
};
use hubspot::objects::{CrmObject, ReadOptions, RecordKey};

use super::{refusals::of_the_address, run::Exporting, stop::Stop, wire};

/// What is known of the contact so far.
#[derive(Default)]
pub(super) struct Read {
    pub(super) record: Option<RecordRead>,
    pub(super) by_link: Answer,
    pub(super) by_email: Answer,
    /// Its companies, where the read brought all of them.
    pub(super) companies: Option<Vec<ContactCompany>>,
}

/// Where a contact is by now.
pub(super) enum Whereabouts {
    /// There, with all of its companies.
    There(Vec<ContactCompany>),
    /// Archived, erased, or merged into another one.
    Elsewhere,
    /// HubSpot did not answer the question.
    Unknown,
}

impl Exporting<'_> {
    /// Whether a contact is still there under its id, and its companies.
    pub(super) async fn companies_by_id(
        &self,
        contact: HubSpotObjectId,
    ) -> Result<Whereabouts, Stop> {
        self.tick();
        match self.read_by_id(contact, &["email".to_owned()]).await? {
            (Answer::Live, Some(object)) if object.id == wire::record_id(contact) => {
                let companies = match wire::companies(&object)? {
                    Some(companies) => companies,
                    None => self.companies_of(contact).await?,
                };
                Ok(Whereabouts::There(companies))
            }
            (Answer::Doubtful, _) => Ok(Whereabouts::Unknown),
            _ => Ok(Whereabouts::Elsewhere),
        }
    }

    pub(super) async fn read(
        &self,
        person: &Person,
        by: ReadBy,
        read: &mut Read,
    ) -> Result<(), Stop> {
        self.tick();
        let names = self.ground.contact_properties();
        let (answer, found) = match by {
            ReadBy::Id(id) => self.read_by_id(id, &names).await?,
            ReadBy::Email => self.read_by_email(person, &names).await?,
        };
        if let Some(object) = found {
            let id = wire::object_id(object.id)?;
            read.companies = wire::companies(&object)?.filter(|_| matches!(by, ReadBy::Id(_)));
            read.record = Some(wire::record_read(id, &names, &object));
        }
        match by {
            ReadBy::Id(_) => read.by_link = answer,
            ReadBy::Email => read.by_email = answer,
        }
        Ok(())
    }

    /// The linked contact with its companies in one request, where the names of its properties fit.
    async fn read_by_id(
        &self,
        id: HubSpotObjectId,
        names: &[String],
    ) -> Result<(Answer, Option<CrmObject>), Stop> {
        let record = wire::record_id(id);
        let objects = self.ground.client.objects();
        let options = ReadOptions::new().properties(names);
        let (contact, company) = (hubspot::ObjectType::Contact, hubspot::ObjectType::Company);
        let length: usize = names.iter().map(|name| name.len() + 1).sum();
        let found = if length <= wire::MOST_NAMES {
            objects.read(contact, record, &options, &[company]).await
        } else {
            let key = RecordKey::Id(record);
            match objects.find(contact, &key, &options).await {
                Ok(Some(object)) => Ok(object),
                Ok(None) => Err(hubspot::Error::NotFound),
                Err(error) => Err(error),
            }
        };
        match found {
            Ok(object) if object.archived => Ok((Answer::Archived, None)),
            Ok(object) => Ok((Answer::Live, Some(object))),
            Err(hubspot::Error::NotFound) => {
                self.tick();
                let bin = ReadOptions::new().properties(["email"]).archived();
                match objects.read(contact, record, &bin, &[]).await {
                    Ok(_) => Ok((Answer::Archived, None)),
                    Err(hubspot::Error::NotFound) => Ok((Answer::Nobody, None)),
                    Err(error) => doubtful(error),
                }
            }
            Err(error) => doubtful(error),
        }
    }

    async fn read_by_email(
        &self,
        person: &Person,
        names: &[String],
    ) -> Result<(Answer, Option<CrmObject>), Stop> {
        let Some(email) = &person.email else {
            return Ok((Answer::Nobody, None));
        };
        let options = ReadOptions::new().properties(names);
        let contacts = self.ground.client.contacts();
        match contacts.by_email(email.as_str(), &options).await {
            Ok(Some(object)) if object.archived => Ok((Answer::Nobody, None)),
            Ok(Some(object)) => Ok((Answer::Live, Some(object))),
            Ok(None) => match self.said.existing {
                Some(existing) => self.read_existing(person, existing, names).await,
                None => Ok((Answer::Nobody, None)),
            },
            // An address that HubSpot does not look for is one that it does not take.
            Err(hubspot::Error::Invalid {
                status: 400,
                problems,
                ..
            }) => {
                let reason = of_the_address(&problems).unwrap_or(SkipReason::EmailRefused);
                Err(Stop::Skips(reason.into()))
            }
            Err(error) => doubtful(error),
        }
    }

    /// The contact for which HubSpot refused to make another. A batch read by an additional address may not
    /// bring it.
    async fn read_existing(
        &self,
        person: &Person,
        existing: HubSpotObjectId,
        names: &[String],
    ) -> Result<(Answer, Option<CrmObject>), Stop> {
        self.tick();
        let (answer, found) = self.read_by_id(existing, names).await?;
        let has_the_address = |object: &CrmObject| {
            let all = ["email", "hs_additional_emails"].map(|name| object.property(name));
            let mut all = all.iter().flatten().flat_map(|text| text.split(';'));
            let wanted = person.email.as_ref().map(|email| email.as_str());
            all.any(|one| {
                wanted.is_some_and(|wanted| {
                    AddressForms::of(one).canonical() == AddressForms::of(wanted).canonical()
                })
            })
        };
        match (answer, found) {
            (Answer::Live, Some(object)) if has_the_address(&object) => {
                Ok((Answer::Live, Some(object)))
            }
            (Answer::Doubtful, _) => Ok((Answer::Doubtful, None)),
            _ => Err(Stop::Fails(FailReason::Conflict, Vec::new())),
        }
    }

    /// All companies of a contact, to the end of the pages.
    pub(super) async fn companies_of(
        &self,
        contact: HubSpotObjectId,
    ) -> Result<Vec<ContactCompany>, Stop> {
        self.tick();
        wire::all_companies(&self.ground.client, contact).await
    }
}

/// HubSpot did not answer the question; that is not *nobody*.
fn doubtful<T>(error: hubspot::Error) -> Result<(Answer, Option<T>), Stop> {
    match error {
        hubspot::Error::Unanswered | hubspot::Error::UnexpectedResponse { .. } => {
            Ok((Answer::Doubtful, None))
        }
        error => Err(error.into()),
    }
}
