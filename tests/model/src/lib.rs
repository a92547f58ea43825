#![doc = include_str!("../README.md")]

pub mod dnc;
pub mod exports;
mod ops;
pub mod profiles;
mod rules;
mod state;
pub mod timeline;
pub mod whole;

pub use ops::{Answer, Decode, Filter, Key, Op, Raw, Refusal, Seen, Upserted};
pub use rules::Broken;
pub use state::{Kind, Link, Mismatch, Model};
