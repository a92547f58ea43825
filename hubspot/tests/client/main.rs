//! The client over sockets: against answers of HubSpot that others recorded, and against the
//! simulator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "a test says why it did not run")]

mod batches;
mod companies;
mod odd;
mod patience;
mod recorded;
mod resources;
mod script;
mod support;
mod trouble;
mod unanswered;
mod validations;
