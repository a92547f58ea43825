#![doc = include_str!("../README.md")]

mod answer;
mod association_calls;
mod association_types;
mod associations;
mod batches;
mod companies;
mod computed;
mod control;
mod csv_portal;
mod events;
mod faults;
mod filters;
mod http;
#[cfg(test)]
mod invariants;
mod legacy;
mod limits;
mod list_filters;
mod lists;
mod look;
mod merge;
mod model;
mod oauth;
mod objects;
mod owners;
mod page;
mod pipelines;
mod properties;
mod ranked;
mod records;
mod records_control;
mod rewrites;
mod rng;
mod rules;
mod schemas;
mod search;
mod seed;
mod server;
mod standard;
mod tlds;
mod validate;
mod webhooks;
mod write;

pub use http::{Options, serve, serve_with};
pub use server::Simulator;
