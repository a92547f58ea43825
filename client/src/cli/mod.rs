//! The command line: what was asked for, doing it, and how it looks.

mod activities;
pub(crate) mod args;
mod bulk;
pub(crate) mod changes;
pub(crate) mod commands;
pub(crate) mod dnc;
mod export;
pub(crate) mod exports;
pub(crate) mod failure;
pub(crate) mod import;
pub(crate) mod lists;
pub(crate) mod output;
pub(crate) mod profile;
pub(crate) mod settings;
pub(crate) mod show;
mod team;
pub(crate) mod tokens;
mod touches;
pub(crate) mod watch;
