//! The journal (E10): entries as rows, written and read, and what is taken out of them (C7).

mod forget;
mod pages;
mod row;
mod write;

pub(crate) use forget::{forget_contacts_written, remove_people_exported};
pub(crate) use row::EntryRow;
pub use row::JournalRow;
pub(crate) use row::subject_columns;
pub use write::{CloseEntry, ExportEnd, Guard, LinkWrite, NewEntry, Opened};
