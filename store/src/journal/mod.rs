//! The journal (E10): entries as rows, written and read, and what is taken out of them (C7).

mod close;
mod end;
mod forget;
mod look_back;
mod open;
mod pages;
mod row;

pub use close::CloseEntry;
pub use end::{ExportEnd, LinkWrite};
pub(crate) use forget::{forget_contacts_written, remove_people_exported};
pub use open::{Guard, NewEntry, Opened};
pub(crate) use row::EntryRow;
pub use row::JournalRow;
pub(crate) use row::subject_columns;
