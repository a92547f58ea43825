#![doc = include_str!("../README.md")]

pub mod activities;
pub mod backfill;
pub mod connection;
pub mod names;
pub mod ops;
pub mod purge;
pub mod schemas;
pub mod sweep;
pub mod verdicts;

pub use backfill::Backfill;
pub use connection::Connection;
pub use purge::Purge;
pub use sweep::Sweep;
pub use verdicts::Verdicts;
