//! Objects of the simulator, over HTTP: what `hubspot-api.md` says, rule by rule.

#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    clippy::print_stdout,
    reason = "a test that finds something else than it expects may panic"
)]

mod associations;
mod batches;
mod companies;
mod engagements;
mod facts;
mod lists;
mod merges;
mod owners;
mod portal;
mod properties;
mod recorded;
mod records;
mod validation;
