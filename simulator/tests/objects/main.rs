//! Objects of the simulator, over HTTP: what `hubspot-api.md` says, rule by rule.

#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test that finds something else than it expects may panic"
)]

mod batches;
mod engagements;
mod lists;
mod portal;
mod records;
mod validation;
