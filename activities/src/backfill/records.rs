//! Contacts, companies and deals, by list or by search.

use std::collections::BTreeMap;

use domain::{
    HubSpotObjectId, ObjectType, ReadPlan,
    backfill::{associations_read_with, needed_properties},
};
use hubspot::{
    Cursor, Page, RecordId,
    objects::{CrmObject, ListRequest},
};
use store::{AssociationRow, MirrorRow};

use super::{
    Slice, Stop,
    reader::{Fetched, Payload, check_text, object_id, sort_out},
};

/// Records of a page with their associations.
pub(super) struct Records {
    pub(super) rows: Vec<MirrorRow>,
    pub(super) associated_types: Vec<ObjectType>,
    pub(super) associations: Vec<AssociationRow>,
}

/// A type of ours as one of HubSpot's.
pub(super) const fn object_type(object_type: ObjectType) -> hubspot::ObjectType {
    match object_type {
        ObjectType::Contact => hubspot::ObjectType::Contact,
        ObjectType::Company => hubspot::ObjectType::Company,
        ObjectType::Deal => hubspot::ObjectType::Deal,
    }
}

/// A type of HubSpot's as one that is mirrored.
const fn ours(object_type: hubspot::ObjectType) -> Option<ObjectType> {
    match object_type {
        hubspot::ObjectType::Contact => Some(ObjectType::Contact),
        hubspot::ObjectType::Company => Some(ObjectType::Company),
        hubspot::ObjectType::Deal => Some(ObjectType::Deal),
        _ => None,
    }
}

pub(super) async fn fetch(
    slice: &Slice<'_>,
    read: ObjectType,
    plan: ReadPlan,
    position: Option<&str>,
) -> Result<Fetched, Stop> {
    let from = object_type(read);
    let properties: Vec<String> = needed_properties(read)
        .iter()
        .map(|p| (*p).to_owned())
        .collect();
    let wanted: Vec<hubspot::ObjectType> = associations_read_with(read)
        .iter()
        .map(|t| object_type(*t))
        .collect();
    let (page, position) = match plan {
        ReadPlan::List => {
            let request = ListRequest::new(from)
                .properties(properties)
                .associations(wanted.iter().copied())
                .after(position.map(Cursor::new));
            let page = slice.client.objects().list(&request).await?;
            let next = page.next.as_ref().map(|c| c.as_str().to_owned());
            (page, next)
        }
        ReadPlan::ModifiedSince { since } => {
            let after = position
                .map(str::parse::<RecordId>)
                .transpose()
                .map_err(|_| Stop::Defect("the place of a search reader is no id"))?;
            let page = slice
                .client
                .search()
                .modified_since(from, since, after, &properties)
                .await?;
            let next = after_search(&page)?;
            (page, next)
        }
    };
    let sent_at = page.sent_at;
    let finished = position.is_none();
    let searched = matches!(plan, ReadPlan::ModifiedSince { .. });
    let (objects, quarantine) = sort_out(page, |object: CrmObject| {
        let key = object.id.to_string();
        let json = object.properties.get().to_owned();
        check_text(&key, &json, object)
    });
    let associations = associations(slice, from, &wanted, &objects, searched).await?;
    let rows = objects
        .into_iter()
        .filter_map(|object| {
            Some(MirrorRow {
                id: object_id(object.id.get())?,
                properties: String::from(Box::<str>::from(object.properties)),
                created_at: object.created_at,
                modified_at: object.updated_at,
                archived: object.archived,
            })
        })
        .collect();
    Ok(Fetched {
        payload: Payload::Records(Records {
            rows,
            associated_types: wanted.iter().filter_map(|t| ours(*t)).collect(),
            associations,
        }),
        quarantine,
        position,
        finished,
        sent_at,
    })
}

/// The place after a page of search: its last id. Results come in the order of ids.
fn after_search(page: &Page<CrmObject>) -> Result<Option<String>, Stop> {
    if page.next.is_none() {
        return Ok(None);
    }
    let last: Option<RecordId> = page.results.iter().flatten().map(|o| o.id).max();
    match last {
        Some(id) => Ok(Some(id.to_string())),
        // Without an id there is no place to go on from, and to stop would lose the rest.
        None => Err(hubspot::Error::UnexpectedResponse {
            context: "search page without a readable id",
        }
        .into()),
    }
}

/// The associations of a page's records: inline where they came whole, else read apart. Search
/// brings none.
async fn associations(
    slice: &Slice<'_>,
    from: hubspot::ObjectType,
    wanted: &[hubspot::ObjectType],
    objects: &[CrmObject],
    searched: bool,
) -> Result<Vec<AssociationRow>, Stop> {
    let mut all: BTreeMap<(HubSpotObjectId, ObjectType, HubSpotObjectId), Vec<String>> =
        BTreeMap::new();
    let mut add = |from: RecordId, to_type: hubspot::ObjectType, to: RecordId, name: String| {
        if let (Some(from), Some(to_type), Some(to)) =
            (object_id(from.get()), ours(to_type), object_id(to.get()))
        {
            let labels = all.entry((from, to_type, to)).or_default();
            if !labels.contains(&name) {
                labels.push(name);
            }
        }
    };
    for object in objects {
        for association in &object.associations {
            if !object.more_associations.contains(&association.to_type) {
                add(
                    object.id,
                    association.to_type,
                    association.to,
                    association.name.clone(),
                );
            }
        }
    }
    for to_type in wanted {
        let ids: Vec<RecordId> = objects
            .iter()
            .filter(|o| searched || o.more_associations.contains(to_type))
            .map(|o| o.id)
            .collect();
        if ids.is_empty() {
            continue;
        }
        let read = slice
            .client
            .associations()
            .batch_read(from, *to_type, &ids)
            .await?;
        for (id, found) in read {
            for association in found {
                for kind in &association.types {
                    add(
                        id,
                        *to_type,
                        association.to,
                        kind.inline_name(from, *to_type),
                    );
                }
            }
        }
    }
    Ok(all
        .into_iter()
        .map(|((from, to_type, to), mut labels)| {
            labels.sort();
            AssociationRow {
                from,
                to_type,
                to,
                labels,
            }
        })
        .collect())
}
