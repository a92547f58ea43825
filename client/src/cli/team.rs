//! Team members, and HubSpot's owners (E6).

use std::pin::pin;

use client::Error;
use domain::{
    WorkspaceId,
    api::{OwnerAnswer, OwnerMapping},
    app::Member,
};
use futures::{Stream, TryStreamExt as _};
use serde::Serialize;

use super::{
    args::Service,
    failure::Failure,
    output::clean,
    show::{print, print_json_line},
};

pub(crate) async fn list_members(
    service: &Service,
    workspace: WorkspaceId,
    json: bool,
) -> Result<(), Failure> {
    let members = service.client.all_members(workspace);
    list(
        service,
        members,
        json,
        "id\tstate\temail\tname",
        |m: &Member| {
            vec![
                m.id.to_string(),
                if m.is_active() { "active" } else { "inactive" }.to_owned(),
                m.email
                    .as_ref()
                    .map(|e| e.as_str().to_owned())
                    .unwrap_or_default(),
                m.name.clone().unwrap_or_default(),
            ]
        },
    )
    .await
}

pub(crate) async fn list_owners(
    service: &Service,
    workspace: WorkspaceId,
    json: bool,
) -> Result<(), Failure> {
    let owners = service.client.all_owners(workspace);
    let head = "owner\tstate\tmapping\tmember\twrites for\temail\tname";
    list(service, owners, json, head, |o: &OwnerAnswer| {
        let writes_for: Vec<&str> = o.writes_for.iter().map(|m| m.as_str()).collect();
        let mapping = match (o.mapping, o.fallback) {
            (_, true) => "fallback",
            (OwnerMapping::Email, _) => "email",
            (OwnerMapping::Hand, _) => "hand",
            (OwnerMapping::None, _) => "none",
        };
        vec![
            o.owner.to_string(),
            if o.archived { "deactivated" } else { "active" }.to_owned(),
            mapping.to_owned(),
            o.member
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            writes_for.join(","),
            o.email.clone().unwrap_or_default(),
            o.name.clone().unwrap_or_default(),
        ]
    })
    .await
}

/// A line for each item as it comes, so that a long listing begins at once.
pub(super) async fn list<T: Serialize>(
    service: &Service,
    items: impl Stream<Item = Result<T, Error>>,
    json: bool,
    head: &str,
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    let mut items = pin!(items);
    let mut is_first = true;
    while let Some(item) = items
        .try_next()
        .await
        .map_err(|error| Failure::of(service, error))?
    {
        if json {
            print_json_line(&item)?;
            continue;
        }
        if std::mem::take(&mut is_first) {
            print(head)?;
        }
        let cells: Vec<String> = cells(&item).iter().map(|cell| clean(cell)).collect();
        print(&cells.join("\t"))?;
    }
    Ok(())
}
