#![doc = include_str!("../README.md")]

pub mod activities;
pub mod backfill;
pub mod connection;
pub mod names;
pub mod ops;
pub mod periodic_sync;
pub mod purge;
pub mod schemas;
pub mod sweep;

pub use backfill::Backfill;
pub use connection::Connection;
pub use periodic_sync::PeriodicSync;
pub use purge::Purge;
pub use sweep::Sweep;
