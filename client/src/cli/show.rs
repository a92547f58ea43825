//! The one printer: what a command found out, as text or as JSON.

use std::io::{self, Write as _};

use client::ConnectionStatus;
use domain::api::{DisconnectAnswer, ResyncAnswer, StatusAnswer};
use serde::Serialize;

use super::{
    failure::Failure,
    output::{clean, status_text, workflow_text},
};

/// What a command found out.
pub(crate) trait Answer: Serialize {
    /// For a person.
    fn text(&self) -> String;
}

impl Answer for StatusAnswer {
    fn text(&self) -> String {
        status_text(self)
    }
}

impl Answer for ConnectionStatus {
    fn text(&self) -> String {
        workflow_text(self)
    }
}

impl Answer for ResyncAnswer {
    fn text(&self) -> String {
        let message = clean(&self.message);
        match self.run {
            Some(run) => format!("{message}\nrun {run}"),
            None => message,
        }
    }
}

impl Answer for DisconnectAnswer {
    fn text(&self) -> String {
        clean(&self.message)
    }
}

/// Prints an answer: one document of JSON if asked for, else text.
pub(crate) fn show(answer: &impl Answer, json: bool) -> Result<(), Failure> {
    if json {
        print_json(answer)
    } else {
        print(&answer.text())
    }
}

/// What was asked for.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// What helps a person but is not what was asked for.
pub(crate) fn tell(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stderr().lock(), "{text}")?)
}

pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value)?)
}

/// An object a line, for a listing.
pub(crate) fn print_json_line(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value)?)
}
