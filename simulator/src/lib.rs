#![doc = include_str!("../README.md")]

mod answer;
mod associations;
mod control;
mod csv_portal;
mod faults;
mod filters;
mod legacy;
mod limits;
mod lists;
mod model;
mod oauth;
mod objects;
mod owners;
mod page;
mod properties;
mod ranked;
mod records;
mod rng;
mod search;
mod seed;
mod server;
mod write;

pub use server::{Simulator, serve};
