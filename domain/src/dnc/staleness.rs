//! Which reads the rules in force stand on, and what is wrong with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ObjectType, ReadOutcome, ReadPart, SyncType,
    portal::ListId,
    settings::{ListUse, RuleScope, Settings},
};

/// What is wrong with a read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StaleCause {
    /// It never came to its end.
    NeverRead,
    /// HubSpot's answers did not speak of all of it.
    Incomplete,
    /// A scope is missing.
    Skipped,
    /// HubSpot refused it, or a part of it.
    Refused,
    /// HubSpot is still computing the list.
    Processing,
    /// Nothing is read, as the workspace is not connected.
    NotConnected,
}

/// A read that the rules stand on, and that is missing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub struct Stale {
    /// Of which type.
    pub object_type: SyncType,
    /// What is wrong with it.
    pub cause: StaleCause,
    /// Of lists: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListId>,
}

/// How the reading of a type stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeState {
    /// Which type.
    pub sync_type: SyncType,
    /// Whether it was ever read to its end.
    pub ever_finished: bool,
    /// How its newest reading stands.
    pub outcome: Option<ReadOutcome>,
    /// What HubSpot refused of that.
    pub refused: Vec<ReadPart>,
    /// Whether that waits for records that no answer spoke of.
    pub unanswered: bool,
}

/// How a list that suppresses stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListState {
    /// Which one.
    pub list: ListId,
    /// Whether HubSpot was computing it when it was last seen.
    pub processing: bool,
    /// Whether HubSpot has it no more.
    pub gone: bool,
    /// Whether its members were ever read to their end.
    pub ever_read: bool,
    /// How the newest reading of its members stands.
    pub outcome: Option<ReadOutcome>,
}

/// The types that the rules in force stand on.
pub fn needed(settings: &Settings) -> Vec<SyncType> {
    let rules = &settings.dnc;
    let lists = settings
        .lists
        .iter()
        .any(|followed| followed.list_use == ListUse::Suppression);
    let deals = rules.open_deal.enabled || rules.customer.enabled || rules.lost_deal.enabled;
    let scopes = &rules.scopes;
    let on_companies = (rules.open_deal.enabled && scopes.open_deal == RuleScope::Company)
        || (rules.customer.enabled && scopes.customer == RuleScope::Company)
        || (rules.lost_deal.enabled && scopes.lost_deal == RuleScope::Company)
        || (rules.opted_out && scopes.opted_out == RuleScope::Company)
        || (rules.in_hubspot.enabled && scopes.in_hubspot == RuleScope::Company)
        || (rules.unmapped_owner && scopes.unmapped_owner == RuleScope::Company)
        || (rules.recent_touch.enabled && scopes.recent_touch == RuleScope::Company);
    let on_contacts = on_companies
        || deals
        || rules.opted_out
        || rules.in_hubspot.enabled
        || rules.unmapped_owner
        || rules.recent_touch.enabled;
    [
        (SyncType::Owners, rules.unmapped_owner),
        (SyncType::Pipelines, deals),
        (SyncType::Contacts, on_contacts || lists),
        (SyncType::Companies, on_companies || lists),
        (SyncType::Deals, deals),
        (SyncType::Lists, lists),
    ]
    .into_iter()
    .filter(|(_, needed)| *needed)
    .map(|(sync_type, _)| sync_type)
    .collect()
}

/// Whether a refused part concerns the rules.
fn matters(part: &ReadPart) -> bool {
    match part {
        ReadPart::Whole | ReadPart::Members => true,
        ReadPart::AssociationsWith(with) => {
            matches!(with, ObjectType::Contact | ObjectType::Company)
        }
        ReadPart::DefinitionsOf(_) | ReadPart::RecordsOf(_) => false,
    }
}

/// What is wrong with the reads that the rules in force stand on; empty when a missing fact means that
/// there is none. A type may be read by several, and one that is missing is not mended by another's.
/// `before` is what was wrong before: while a type is read anew, that is not mended.
pub fn stale_reads(
    settings: &Settings,
    connected: bool,
    types: &[TypeState],
    lists: &[ListState],
    before: &[Stale],
) -> Vec<Stale> {
    let suppressing: Vec<ListId> = settings
        .lists
        .iter()
        .filter(|followed| followed.list_use == ListUse::Suppression)
        .map(|followed| followed.list)
        .collect();
    let mut stale = Vec::new();
    for sync_type in needed(settings) {
        let mut states = types.iter().filter(|t| t.sync_type == sync_type).peekable();
        let was = before
            .iter()
            .find(|s| s.object_type == sync_type && s.list.is_none());
        let cause = match states.peek() {
            None => Some(StaleCause::NeverRead),
            Some(_) => states.find_map(|state| of_type(state, connected, was)),
        };
        if let Some(cause) = cause {
            stale.push(Stale {
                object_type: sync_type,
                cause,
                list: None,
            });
        }
    }
    for list in suppressing {
        let state = lists.iter().find(|l| l.list == list);
        let was = before.iter().find(|s| s.list == Some(list));
        if let Some(cause) = of_list(state, was) {
            stale.push(Stale {
                object_type: SyncType::Lists,
                cause,
                list: Some(list),
            });
        }
    }
    stale
}

fn of_type(state: &TypeState, connected: bool, was: Option<&Stale>) -> Option<StaleCause> {
    match state.outcome {
        Some(ReadOutcome::Skipped) => Some(StaleCause::Skipped),
        Some(ReadOutcome::Refused) => Some(StaleCause::Refused),
        Some(ReadOutcome::Incomplete) => Some(StaleCause::Incomplete),
        _ if state.refused.iter().any(matters) => Some(StaleCause::Refused),
        _ if !state.ever_finished => Some(StaleCause::NeverRead),
        _ if state.unanswered => Some(StaleCause::Incomplete),
        Some(ReadOutcome::Reading) if was.is_some() => was.map(|s| s.cause),
        _ if !connected => Some(StaleCause::NotConnected),
        _ => None,
    }
}

fn of_list(state: Option<&ListState>, was: Option<&Stale>) -> Option<StaleCause> {
    let state = match state {
        Some(state) if state.ever_read => state,
        _ => return Some(StaleCause::NeverRead),
    };
    if state.gone {
        // It will not be read again, and whoever was on it stays suppressed.
        return None;
    }
    match state.outcome {
        _ if state.processing => Some(StaleCause::Processing),
        Some(ReadOutcome::Skipped) => Some(StaleCause::Skipped),
        Some(ReadOutcome::Refused) => Some(StaleCause::Refused),
        Some(ReadOutcome::Incomplete) => Some(StaleCause::Incomplete),
        Some(ReadOutcome::Reading) => was.map(|s| s.cause),
        _ => None,
    }
}
