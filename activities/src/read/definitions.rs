//! Owners, property definitions, pipelines.

use std::collections::BTreeSet;

use chrono::Utc;
use domain::{
    HubSpotOwnerId, ObjectType, ReadPart,
    export::{RequiredProperty, RequiredWhen},
    portal::{PropertyDefinition, by_name},
    settings::activity,
};
use hubspot::{
    Cursor,
    validations::{PropertyRule, Required},
};
use serde::{Deserialize, Serialize};
use store::{CursorKey, Listing, OwnerRow, PipelineRow, PropertyRow, QuarantineRow, Rows};

use super::{
    Job, Stop,
    job::is_refusal,
    page::{
        At, Content, Page, check_text, clean, missing, read_place, seen, sort_out, write_place,
    },
    records,
};
use crate::failure;

/// Active owners first, then those who were deactivated: records may still be theirs.
#[derive(Default, Serialize, Deserialize)]
struct OwnersPlace {
    archived: bool,
    after: Option<String>,
}

pub(super) async fn owners(job: &Job<'_>, at: &At) -> Result<Page, Stop> {
    let limit = at.limit;
    let at: OwnersPlace = read_place(at.position.as_deref())?;
    let after = at.after.clone().map(Cursor::new);
    let page = job
        .client
        .owners()
        .list(at.archived, after.as_ref(), limit)
        .await?;
    let next = match (&page.next, at.archived) {
        (Some(cursor), archived) => Some(OwnersPlace {
            archived,
            after: Some(cursor.as_str().to_owned()),
        }),
        (None, false) => Some(OwnersPlace {
            archived: true,
            after: None,
        }),
        (None, true) => None,
    };
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (seen, missing) = (
        // One may be in both listings.
        seen(&page, |owner| {
            owner.id.get().wrapping_mul(2) + u64::from(at.archived)
        }),
        missing(&page),
    );
    let (owners, quarantine) = sort_out(page, |owner| {
        let key = owner.id.to_string();
        let id = i64::try_from(owner.id.get())
            .ok()
            .and_then(|id| HubSpotOwnerId::new(id).ok());
        let Some(id) = id else {
            return Err(QuarantineRow {
                key,
                reason: domain::QuarantineReason::IdNotANumber,
                raw: Vec::new(),
            });
        };
        let row = OwnerRow {
            id,
            user_id: owner.user_id.and_then(|u| i64::try_from(u).ok()),
            email: owner.email,
            first_name: owner.first_name,
            last_name: owner.last_name,
            archived: owner.archived,
        };
        let texts = [
            row.email.clone(),
            row.first_name.clone(),
            row.last_name.clone(),
        ];
        clean(key, &texts.each_ref().map(Option::as_deref), row)
    });
    Ok(Page {
        content: Content::Rows(Rows::Owners(owners)),
        quarantine,
        ids: Vec::new(),
        seen,
        missing,
        asked_from: None,
        listing: match next {
            Some(_) => Listing::Open,
            None => Listing::Ends { said: None },
        },
        next: next.as_ref().map(write_place).transpose()?,
        sent_at,
        served_at,
        newest: None,
        tail: None,
    })
}

/// The active owners, in passing: where one who is stored as active is not among them, the archived
/// ones follow, as somebody was deactivated.
pub(super) async fn active_owners(job: &Job<'_>, at: &At) -> Result<Page, Stop> {
    let place: OwnersPlace = read_place(at.position.as_deref())?;
    let mut page = owners(job, at).await?;
    page.listing = Listing::InPassing;
    let after_the_active = OwnersPlace {
        archived: true,
        after: None,
    };
    let ends_active = !place.archived && page.next == Some(write_place(&after_the_active)?);
    if ends_active {
        let Content::Rows(Rows::Owners(rows)) = &page.content else {
            return Err(Stop::Defect("owners are no owners"));
        };
        let brought: BTreeSet<i64> = rows.iter().map(|owner| owner.id.get()).collect();
        let store = &job.deps.store;
        let known = store
            .active_owner_ids(job.key.workspace, job.key.portal)
            .await?;
        // Of a listing of several pages only the last is at hand: the whole reading sees to it.
        let one_page = place.after.is_none();
        if !one_page || known.iter().all(|id| brought.contains(id)) {
            page.next = None;
        }
    }
    Ok(page)
}

/// The active definitions of one type, in passing.
pub(super) async fn definitions_of(job: &Job<'_>, object_type: ObjectType) -> Result<Page, Stop> {
    let properties = job.client.properties();
    let page = match properties.list(records::object_type(object_type)).await {
        Ok(page) => page,
        Err(error) if is_refusal(&error) => {
            job.note_refusal(ReadPart::DefinitionsOf(object_type), &error)
                .await?;
            return Ok(Page::left_out(None));
        }
        Err(error) => return Err(error.into()),
    };
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (rows, quarantine) = property_rows(object_type, page);
    Ok(Page {
        content: Content::Rows(Rows::Properties(object_type, rows)),
        quarantine,
        ids: Vec::new(),
        seen: Vec::new(),
        missing: 0,
        asked_from: None,
        listing: Listing::InPassing,
        next: None,
        sent_at,
        served_at,
        newest: None,
        tail: None,
    })
}

fn property_rows(
    object_type: ObjectType,
    page: hubspot::Page<hubspot::properties::Property>,
) -> (Vec<PropertyRow>, Vec<QuarantineRow>) {
    sort_out(page, |property| {
        let json = property.definition.get().to_owned();
        let key = format!("{object_type} {}", property.name.replace('\0', ""));
        check_text(
            &key,
            &json,
            PropertyRow {
                object_type,
                name: property.name,
                definition: json.clone(),
            },
        )
    })
}

/// One type after the other; a type's definitions come in one page, the archived ones in another.
#[derive(Serialize, Deserialize)]
struct PropertiesPlace {
    next: ObjectType,
}

impl Default for PropertiesPlace {
    fn default() -> Self {
        Self {
            next: ObjectType::Contact,
        }
    }
}

pub(super) async fn properties(job: &Job<'_>, at: &At) -> Result<Page, Stop> {
    let at: PropertiesPlace = read_place(at.position.as_deref())?;
    let object_type = at.next;
    let next = ObjectType::MIRRORED
        .into_iter()
        .skip_while(|t| *t != object_type)
        .nth(1)
        .map(|next| PropertiesPlace { next });
    let properties = job.client.properties();
    let of_type = records::object_type(object_type);
    // Settings may name one that was archived since: it is there, and can be restored (HS-2104).
    let read = async {
        let active = properties.list(of_type).await?;
        let archived = properties.list_archived(of_type).await?;
        Ok::<_, hubspot::Error>((active, archived))
    };
    let (mut page, archived) = match read.await {
        Ok(read) => read,
        // The definitions of other types come all the same; what is stored of these stays.
        Err(error) if is_refusal(&error) => {
            job.note_refusal(ReadPart::DefinitionsOf(object_type), &error)
                .await?;
            return Ok(Page::left_out(next.as_ref().map(write_place).transpose()?));
        }
        Err(error) => return Err(error.into()),
    };
    note_rules(job, object_type).await?;
    if next.is_none() {
        note_engagements(job).await?;
    }
    let active: BTreeSet<&str> = page
        .results
        .iter()
        .flatten()
        .map(|property| property.name.as_str())
        .collect();
    let archived: Vec<_> = archived
        .results
        .into_iter()
        .filter(|property| !matches!(property, Ok(p) if active.contains(p.name.as_str())))
        .collect();
    page.results.extend(archived);
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (properties, quarantine) = property_rows(object_type, page);
    Ok(Page {
        content: Content::Rows(Rows::Properties(object_type, properties)),
        quarantine,
        ids: Vec::new(),
        seen: Vec::new(),
        missing: 0,
        asked_from: None,
        listing: Listing::Ends { said: None },
        next: next.as_ref().map(write_place).transpose()?,
        sent_at,
        served_at,
        newest: None,
        tail: None,
    })
}

/// Reads what the portal requires of a type's records (E4). Where HubSpot does not tell, what is known
/// stays, and the type is as well read as without: it is an addition, and no part of the listing.
async fn note_rules(job: &Job<'_>, object_type: ObjectType) -> Result<(), Stop> {
    if !matches!(object_type, ObjectType::Contact | ObjectType::Company) {
        return Ok(());
    }
    let read_at = Utc::now();
    let rules = job.client.validations();
    let rules = match rules.required(records::object_type(object_type)).await {
        Ok(rules) => rules,
        Err(error @ (hubspot::Error::Fenced | hubspot::Error::AuthRevoked)) => {
            return Err(error.into());
        }
        Err(error) => {
            tracing::info!(
                %object_type, code = failure::code_of(&error), "the rules of the portal were not read"
            );
            return Ok(());
        }
    };
    let rules: Vec<RequiredProperty> = rules.into_iter().map(required).collect();
    let CursorKey {
        workspace, portal, ..
    } = job.key;
    let store = &job.deps.store;
    store
        .write_portal_rules(workspace, portal, job.epoch, object_type, &rules, read_at)
        .await?;
    Ok(())
}

/// Reads the properties of engagements, which rows of the tab Activity are checked against (E4). Many
/// portals refuse some of them: what is known stays then, as with [`note_rules`].
async fn note_engagements(job: &Job<'_>) -> Result<(), Stop> {
    let CursorKey {
        workspace, portal, ..
    } = job.key;
    for object_type in ObjectType::ALL.into_iter().filter(|t| t.is_engagement()) {
        let read_at = Utc::now();
        let properties = job.client.properties();
        let page = match properties.list(records::object_type(object_type)).await {
            Ok(page) => page,
            Err(error @ (hubspot::Error::Fenced | hubspot::Error::AuthRevoked)) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::info!(
                    %object_type, code = failure::code_of(&error), "the properties of engagements were not read"
                );
                continue;
            }
        };
        let definitions: Vec<&str> = page
            .results
            .iter()
            .flatten()
            .map(|property| property.definition.get())
            // The database takes no such character.
            .filter(|definition| !definition.contains("\\u0000"))
            .collect();
        let read = definitions
            .iter()
            .flat_map(|d| PropertyDefinition::from_hubspot(d));
        if !activity::is_whole(&by_name(read)) {
            tracing::info!(%object_type, "the properties of engagements were not read whole");
            continue;
        }
        job.deps
            .store
            .write_engagement_properties(
                workspace,
                portal,
                job.epoch,
                object_type,
                &definitions,
                read_at,
            )
            .await?;
    }
    Ok(())
}

fn required(rule: PropertyRule) -> RequiredProperty {
    RequiredProperty {
        property: rule.property,
        when: match rule.required {
            Required::Always => None,
            Required::When { property, values } => Some(RequiredWhen { property, values }),
        },
    }
}

pub(super) async fn pipelines(job: &Job<'_>) -> Result<Page, Stop> {
    let page = job
        .client
        .pipelines()
        .list(hubspot::ObjectType::Deal)
        .await?;
    let (sent_at, served_at) = (page.sent_at, page.served_at);
    let (pipelines, quarantine) = sort_out(page, |pipeline| {
        let json = pipeline.definition.get().to_owned();
        let key = pipeline.id.replace('\0', "");
        check_text(
            &key,
            &json,
            PipelineRow {
                id: pipeline.id,
                definition: json.clone(),
            },
        )
    });
    Ok(Page {
        content: Content::Rows(Rows::Pipelines(pipelines)),
        quarantine,
        ids: Vec::new(),
        seen: Vec::new(),
        missing: 0,
        asked_from: None,
        listing: Listing::Ends { said: None },
        next: None,
        sent_at,
        served_at,
        newest: None,
        tail: None,
    })
}
