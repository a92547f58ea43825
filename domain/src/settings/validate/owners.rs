//! Owners and team members.

use std::collections::BTreeSet;

use super::Checker;
use crate::{
    HubSpotOwnerId,
    app::MemberId,
    owners::OwnerMap,
    settings::{Settings, SettingsCode, SettingsPath, UnmappedOwner},
};

pub(super) fn check(settings: &Settings, c: &mut Checker<'_>) {
    let path = SettingsPath::new("/owners");
    let owners = &settings.owners;
    if !c.length(path.at("rows"), owners.rows.len(), 5_000)
        || !c.length(path.at("writing"), owners.writing.len(), 5_000)
    {
        return;
    }

    let mut seen = BTreeSet::new();
    for (n, row) in owners.rows.iter().enumerate() {
        let at = path.at("rows").at(n);
        let words = format!("owner row {} ({})", n + 1, row.owner);
        if !seen.insert(row.owner) {
            c.error(
                at.clone(),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same owner"),
            );
        }
        // A deactivated owner may be handed to a member.
        known_owner(c, row.owner, &at.at("owner"), &words);
        if let Some(member) = &row.member {
            known_member(c, member, &at.at("member"), &words);
        }
    }

    let mut seen = BTreeSet::new();
    let facts = c.facts;
    let map = OwnerMap::new(
        owners,
        facts.owners.as_deref().unwrap_or_default(),
        &facts.members,
    );
    for (n, row) in owners.writing.iter().enumerate() {
        let at = path.at("writing").at(n);
        let words = format!("writing owner {} ({} → {})", n + 1, row.member, row.owner);
        if !seen.insert(&row.member) {
            c.error(
                at.clone(),
                SettingsCode::DuplicateRow,
                format!("{words}: an earlier row is about the same member"),
            );
        }
        let member = known_member(c, &row.member, &at.at("member"), &words);
        let Some(active) = known_owner(c, row.owner, &at.at("owner"), &words) else {
            continue;
        };
        if !active {
            c.warn(
                at.at("owner"),
                SettingsCode::OwnerDeactivated,
                format!(
                    "{words}: the owner was deactivated; the member's exports get another owner"
                ),
            );
        }
        if member && map.mapped(row.owner).is_none_or(|(m, _)| *m != row.member) {
            c.error(
                at.at("owner"),
                SettingsCode::WritingOwner,
                format!("{words}: the owner is not mapped to this member; add a row that maps them first"),
            );
        }
    }

    if let Some(fallback) = owners.fallback_owner {
        let at = path.at("fallback_owner");
        let words = format!("fallback owner ({fallback})");
        if known_owner(c, fallback, &at, &words) == Some(false) {
            c.warn(
                at,
                SettingsCode::OwnerDeactivated,
                format!(
                    "{words}: the owner was deactivated; exports of unmapped members get no owner"
                ),
            );
        }
    }
    if let UnmappedOwner::Member { member } = &owners.unmapped {
        let words = format!("records of unmapped owners ({member})");
        known_member(c, member, &path.at("unmapped").at("member"), &words);
    }
}

/// Whether the owner is active; `None` where that cannot be said.
fn known_owner(
    c: &mut Checker<'_>,
    owner: HubSpotOwnerId,
    path: &SettingsPath,
    words: &str,
) -> Option<bool> {
    let Some(owners) = c.facts.owners.as_ref() else {
        c.not_read(path, "owners");
        return None;
    };
    let found = owners.iter().find(|o| o.id == owner).map(|o| !o.archived);
    if found.is_none() {
        c.error(
            path.clone(),
            SettingsCode::OwnerUnknown,
            format!(
                "{words}: the portal has no owner of this id; it is the owner's id, not the user's"
            ),
        );
    }
    found
}

/// Whether the member is there and active.
fn known_member(c: &mut Checker<'_>, member: &MemberId, path: &SettingsPath, words: &str) -> bool {
    match c.facts.members.iter().find(|m| m.id == *member) {
        None => {
            c.error(
                path.clone(),
                SettingsCode::MemberUnknown,
                format!(
                    "{words}: the workspace has no team member of this id; send the member first"
                ),
            );
            false
        }
        Some(found) if !found.is_active() => {
            c.warn(
                path.clone(),
                SettingsCode::MemberInactive,
                format!("{words}: the team member is not active; nothing is mapped to them"),
            );
            false
        }
        Some(_) => true,
    }
}
