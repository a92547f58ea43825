//! The command line: what was asked for, doing it, and how it looks.

pub(crate) mod args;
pub(crate) mod commands;
pub(crate) mod dnc;
pub(crate) mod failure;
pub(crate) mod import;
pub(crate) mod lists;
pub(crate) mod output;
pub(crate) mod settings;
pub(crate) mod show;
pub(crate) mod team;
pub(crate) mod tokens;
pub(crate) mod watch;
