//! Pieces of pages, one function each: the same markup everywhere.

mod blocks;
mod form;
pub(crate) mod icon;
mod text;

pub(crate) use blocks::{
    bare_pill, empty, fold, heading, meter, notice, pill, section, stat, step, wide_heading,
};
pub(crate) use form::{
    Choice, Unsaved, action, choices, csrf, error_summary, number_field, savebar, select_field,
    switch, undone_summary,
};
pub(crate) use text::{count, counted, day, number, span, when};

/// What a colour says; a word says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Info,
    Ok,
    Warn,
    Error,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Info => "info",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
