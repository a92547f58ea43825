//! The one read pipeline: source → page → step → batch.
//!
//! A [`Source`] answers the question "what is the page at this place?". The [`driver`] asks it, page
//! after page, and commits each page as a [`store::Batch`] together with the [`store::Step`] of its
//! reader: a cursor, or a range of one. Who reads chooses the sources; nothing here knows of
//! backfills.

mod definitions;
pub(crate) mod driver;
mod job;
mod lists;
mod page;
mod records;
mod source;
mod touches;
mod verify;

pub(crate) use job::{Job, Stop, is_refusal, refusal_of};
pub(crate) use lists::Order;
pub(crate) use page::object_id;
pub(crate) use records::{object_type, record_id};
pub(crate) use source::{Source, direct, in_recycle_bin};
pub(crate) use touches::Touches;
pub(crate) use verify::{ask_again, verify};
