#![doc = include_str!("../README.md")]

pub mod activities;
pub mod backfill;
pub mod connection;
pub mod contact_export;
pub mod names;
pub mod ops;
pub mod periodic_sync;
pub mod profiles;
pub mod purge;
pub mod reconcile;
pub mod schemas;
pub mod sweep;
pub mod verdicts;
pub mod webhook_read;

pub use backfill::Backfill;
pub use connection::Connection;
pub use contact_export::ContactExport;
pub use periodic_sync::PeriodicSync;
pub use profiles::Profiles;
pub use purge::Purge;
pub use reconcile::Reconcile;
pub use sweep::Sweep;
pub use verdicts::Verdicts;
pub use webhook_read::WebhookRead;
