//! The one printer: what a command found out, as text or as JSON.

use std::{
    io::{self, Write as _},
    pin::pin,
};

use client::{ConnectionStatus, Error};
use domain::api::{DisconnectAnswer, ResyncAnswer, StatusAnswer};
use futures::{Stream, TryStreamExt as _};
use serde::Serialize;

use super::{
    args::Service,
    failure::Failure,
    output::{clean, status_text, workflow_text},
};

/// What a command found out.
pub(crate) trait Answer: Serialize {
    /// For a person.
    fn text(&self) -> String;

    /// What a person is told besides, and who reads the output is not.
    fn note(&self) -> Option<String> {
        None
    }
}

/// An item of a listing.
pub(crate) trait Row: Serialize {
    /// The names of the columns, with tabs between them.
    const HEAD: &'static str;

    /// The columns, for a person.
    fn cells(&self) -> Vec<String>;
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
        return print_json(answer);
    }
    if let Some(note) = answer.note() {
        tell(&note)?;
    }
    print(&answer.text())
}

/// Prints a listing: a line for each item as it comes, so that a long one begins at once. In JSON each
/// line is an object.
pub(crate) async fn show_rows<T: Row>(
    service: &Service,
    rows: impl Stream<Item = Result<T, Error>>,
    json: bool,
) -> Result<(), Failure> {
    list(service, rows, json, T::HEAD, T::cells).await
}

/// The same of items that have no columns of their own.
pub(crate) async fn list<T: Serialize>(
    service: &Service,
    items: impl Stream<Item = Result<T, Error>>,
    json: bool,
    head: &str,
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    let mut items = pin!(items);
    let mut is_first = true;
    while let Some(item) = items
        .try_next()
        .await
        .map_err(|error| Failure::of(service, error))?
    {
        if json {
            print_json_line(&item)?;
            continue;
        }
        if std::mem::take(&mut is_first) {
            print(head)?;
        }
        let cells: Vec<String> = cells(&item).iter().map(|cell| clean(cell)).collect();
        print(&cells.join("\t"))?;
    }
    Ok(())
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

/// One document of JSON in a line, of several.
pub(crate) fn print_json_line(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value)?)
}
