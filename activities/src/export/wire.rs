//! Where plans and HubSpot's client meet: one place for each pair.

use std::collections::BTreeMap;

use domain::{
    HubSpotObjectId,
    export::{Change, ContactCompany, FailReason, RecordRead, association::AssociationKind},
};
use hubspot::{
    Client, Cursor, FieldProblem, InputOutcome, ObjectType, PagingGuard, RecordId,
    associations::{
        Association, AssociationCategory, AssociationSpec, AssociationType, PAGE, Pair, TypedPair,
    },
    objects::CrmObject,
};
use serde_json::{Map, Value};
use store::MirrorRow;

use super::stop::Stop;
use crate::read;
pub(super) use crate::read::{object_type, record_id};

/// Names of properties that are asked for in a URL, in bytes; more go into a body.
pub(super) const MOST_NAMES: usize = 6_000;

pub(super) fn object_id(id: RecordId) -> Result<HubSpotObjectId, Stop> {
    read::object_id(id.get()).ok_or(Stop::Fails(FailReason::Defect, Vec::new()))
}

pub(super) fn properties(object: &CrmObject) -> Map<String, Value> {
    serde_json::from_str(object.properties.get()).unwrap_or_default()
}

pub(super) fn record_read(id: HubSpotObjectId, asked: &[String], object: &CrmObject) -> RecordRead {
    RecordRead::fresh(id, asked.iter().map(String::as_str), &properties(object))
}

pub(super) fn record_indexed(
    id: HubSpotObjectId,
    asked: &[String],
    object: &CrmObject,
) -> RecordRead {
    RecordRead::indexed(id, asked.iter().map(String::as_str), &properties(object))
}

pub(super) fn mirror_row(object: &CrmObject) -> Result<MirrorRow, Stop> {
    Ok(MirrorRow {
        id: object_id(object.id)?,
        properties: object.properties.get().to_owned(),
        created_at: object.created_at,
        modified_at: object.updated_at,
        archived: object.archived,
    })
}

/// The properties of a write.
pub(super) fn sent(changes: &[Change]) -> BTreeMap<String, String> {
    changes
        .iter()
        .map(|change| {
            let value = change.write.sent().as_str().to_owned();
            (change.property.clone(), value)
        })
        .collect()
}

pub(super) fn names_of(problems: &[FieldProblem]) -> Vec<String> {
    let mut names: Vec<String> = problems.iter().filter_map(|p| p.property.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The companies that came with a contact; none where there are more than came.
pub(super) fn companies(object: &CrmObject) -> Result<Option<Vec<ContactCompany>>, Stop> {
    if object.more_associations.contains(&ObjectType::Company) {
        return Ok(None);
    }
    let primary = AssociationType {
        category: AssociationCategory::HubSpot,
        type_id: AssociationKind::Primary.type_id().into(),
        label: None,
    }
    .inline_name(ObjectType::Contact, ObjectType::Company);
    object
        .associations
        .iter()
        .filter(|a| a.to_type == ObjectType::Company)
        .map(|a| {
            Ok(ContactCompany {
                company: object_id(a.to)?,
                primary: a.name == primary,
            })
        })
        .collect::<Result<Vec<_>, Stop>>()
        .map(Some)
}

/// The company at the other end of a contact's association.
fn contact_company(association: &Association) -> Result<ContactCompany, Stop> {
    Ok(ContactCompany {
        company: object_id(association.to)?,
        primary: association.types.iter().any(AssociationType::is_primary),
    })
}

/// The companies that were answered for a contact.
pub(super) fn contact_companies(answered: &[Association]) -> Result<Vec<ContactCompany>, Stop> {
    answered.iter().map(contact_company).collect()
}

/// All companies of a contact, to the end of the pages.
pub(super) async fn all_companies(
    client: &Client,
    contact: HubSpotObjectId,
) -> Result<Vec<ContactCompany>, Stop> {
    let id = record_id(contact);
    let mut guard = PagingGuard::any_order("companies of a contact");
    let mut all = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = client
            .associations()
            .list(
                ObjectType::Contact,
                id,
                ObjectType::Company,
                after.as_ref(),
                PAGE,
            )
            .await?;
        let moves = guard.check(after.as_ref(), &page, |association| association.to.get());
        for association in page.results {
            let association = association.map_err(|_| hubspot::Error::UnexpectedResponse {
                context: "companies of a contact",
            })?;
            all.push(contact_company(&association)?);
        }
        moves?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

/// Associates a contact with a company, beside the associations that it has: labels that somebody gave
/// stay, as a batch adds and replaces nothing.
pub(super) async fn associate(
    client: &Client,
    contact: HubSpotObjectId,
    company: HubSpotObjectId,
    kind: AssociationKind,
) -> Result<Result<(), hubspot::Error>, Stop> {
    let pair = Pair {
        from: record_id(contact),
        to: record_id(company),
    };
    let types = vec![AssociationSpec::hubspot(kind.type_id().into())];
    let (from, to) = (ObjectType::Contact, ObjectType::Company);
    let mut written = client
        .associations()
        .batch_create(from, to, &[TypedPair { pair, types }])
        .await;
    Ok(match (written.outcomes.pop(), written.stopped) {
        (Some(InputOutcome::Done(_)), _) => Ok(()),
        // Answered with success, and not a word about it: that is no refusal.
        (Some(InputOutcome::Refused(hubspot::Error::NotInAnswer)), _) => {
            Err(hubspot::Error::OutcomeUnknown)
        }
        (Some(InputOutcome::Refused(error)), _) | (_, Some(error)) => Err(error),
        (Some(InputOutcome::OutcomeUnknown), _) => Err(hubspot::Error::OutcomeUnknown),
        // Certainly not acted on.
        (Some(InputOutcome::NotSent) | None, None) => Err(hubspot::Error::Transient {
            status: None,
            retry_after: None,
        }),
    })
}
