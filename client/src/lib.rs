#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod cause;
mod service;
mod signals;

pub use cause::Cause;
pub use service::{BuildError, Builder, Error, ExportFilter, HubSpotSync, Unexpected};
pub use signals::{ConnectionStatus, Signals, SignalsError};
