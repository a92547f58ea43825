//! The journal (E10): entries as rows, and pages of them.

mod pages;
mod row;
mod write;

pub use row::JournalRow;
pub use write::{CloseEntry, LinkWrite, Opened};
