#![doc = include_str!("../README.md")]

mod answer;
mod associations;
mod companies;
mod computed;
mod control;
mod csv_portal;
mod events;
mod faults;
mod filters;
mod http;
mod legacy;
mod limits;
mod list_filters;
mod lists;
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
mod rng;
mod rules;
mod search;
mod seed;
mod server;
mod standard;
mod tlds;
mod validate;
mod write;

pub use http::{Options, serve, serve_with};
pub use server::Simulator;
