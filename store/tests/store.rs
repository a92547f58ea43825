//! The store against a real Postgres, a database for each test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "store/activities.rs"]
mod activities;
#[path = "store/associations.rs"]
mod associations;
#[path = "store/bulk.rs"]
mod bulk;
#[path = "store/connections.rs"]
mod connections;
#[path = "store/consents.rs"]
mod consents;
#[path = "store/definitions.rs"]
mod definitions;
#[path = "store/door.rs"]
mod door;
#[path = "store/erasure.rs"]
mod erasure;
#[path = "store/export_intake.rs"]
mod export_intake;
#[path = "store/export_writes.rs"]
mod export_writes;
#[path = "store/exports.rs"]
mod exports;
#[path = "store/feed.rs"]
mod feed;
#[path = "store/feed_kinds.rs"]
mod feed_kinds;
#[path = "store/fence.rs"]
mod fence;
#[path = "store/lists.rs"]
mod lists;
#[path = "store/mapping.rs"]
mod mapping;
#[path = "store/mirror_keys.rs"]
mod mirror_keys;
#[path = "store/oauth_states.rs"]
mod oauth_states;
#[path = "store/page_sessions.rs"]
mod page_sessions;
#[path = "store/pages.rs"]
mod pages;
#[path = "store/people.rs"]
mod people;
#[path = "store/periodic.rs"]
mod periodic;
#[path = "store/portal_said.rs"]
mod portal_said;
#[path = "store/quarantine.rs"]
mod quarantine;
#[path = "store/ranges.rs"]
mod ranges;
#[path = "store/rate_budget.rs"]
mod rate_budget;
#[path = "store/reconcile.rs"]
mod reconcile;
#[path = "store/runs.rs"]
mod runs;
#[path = "store/support.rs"]
mod support;
#[path = "store/sweeps.rs"]
mod sweeps;
#[path = "store/tokens.rs"]
mod tokens;
#[path = "store/touches.rs"]
mod touches;
#[path = "store/types.rs"]
mod types;
#[path = "store/verdicts.rs"]
mod verdicts;
#[path = "store/webhooks.rs"]
mod webhooks;
