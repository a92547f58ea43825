//! What came of the rows: each that was refused, and how many had which outcome.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use domain::{
    api::{UpsertAnswer, UpsertCounts},
    app::{ItemProblem, UpsertOutcome},
    people_file::RowProblem,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::{
    failure::Failure,
    output::{clean, count},
    show::Answer,
};

/// How many rows had which outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    #[serde(flatten)]
    pub(crate) counts: UpsertCounts,
}

impl Totals {
    /// Rows whose record is there as the row says, or newer.
    pub(super) fn are_in(&self) -> u64 {
        let counts = self.counts;
        [
            counts.created,
            counts.updated,
            counts.unchanged,
            counts.stale,
        ]
        .map(u64::from)
        .iter()
        .sum()
    }
}

impl Answer for Totals {
    fn text(&self) -> String {
        let counts = self.counts;
        let parts = [
            (counts.created, "created"),
            (counts.updated, "updated"),
            (counts.unchanged, "unchanged"),
            (counts.stale, "stale"),
            (counts.refused, "refused"),
            (counts.erased, "erased"),
        ]
        .map(|(number, name)| format!("{} {name}", count(number.into())));
        format!("{} rows: {}", count(self.rows), parts.join(", "))
    }
}

/// A refused row as JSON.
#[derive(Serialize)]
struct Told<'a> {
    line: u64,
    #[serde(flatten)]
    problem: &'a ItemProblem,
}

/// Tells as it goes.
pub(super) struct Report {
    totals: Totals,
    /// None: standard error.
    rejects: Option<BufWriter<File>>,
    json: bool,
    /// Nothing where standard error is no terminal.
    progress: ProgressBar,
}

impl Report {
    /// Makes the file for refused rows, if there is to be one: before anything is sent.
    pub(super) fn open(rejects: Option<&Path>, json: bool) -> Result<Self, Failure> {
        let rejects = rejects
            .map(File::create)
            .transpose()
            .map_err(Failure::Rejects)?
            .map(BufWriter::new);
        let progress = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            progress.set_style(style);
        }
        Ok(Self {
            totals: Totals::default(),
            rejects,
            json,
            progress,
        })
    }

    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    /// Takes what came of a batch: rows that were not sent, and those that were, by their lines.
    pub(super) fn add(
        &mut self,
        unsent: Vec<RowProblem>,
        lines: &[u64],
        answer: UpsertAnswer,
    ) -> Result<(), Failure> {
        let mut told = unsent;
        for _ in &told {
            self.count(UpsertOutcome::Refused);
        }
        for (line, item) in lines.iter().zip(answer.items) {
            self.count(item.outcome);
            if let Some(problem) = item.problem {
                told.push(RowProblem {
                    line: *line,
                    problem,
                });
            }
        }
        told.sort_by_key(|row| row.line);
        told.iter().try_for_each(|row| self.tell(row))?;
        self.progress
            .set_message(format!("{} rows", count(self.totals.rows)));
        self.progress.tick();
        Ok(())
    }

    fn count(&mut self, outcome: UpsertOutcome) {
        self.totals.rows += 1;
        self.totals.counts.add(outcome);
    }

    fn tell(&mut self, row: &RowProblem) -> Result<(), Failure> {
        let line = if self.json {
            serde_json::to_string(&Told {
                line: row.line,
                problem: &row.problem,
            })?
        } else {
            clean(&row.to_string())
        };
        match &mut self.rejects {
            Some(file) => writeln!(file, "{line}").map_err(Failure::Rejects),
            None => self
                .progress
                .suspend(|| writeln!(io::stderr().lock(), "{line}"))
                .map_err(Failure::Output),
        }
    }

    /// Writes what is still in memory.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.progress.finish_and_clear();
        match &mut self.rejects {
            Some(file) => file.flush().map_err(Failure::Rejects),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::app::{ItemCode, Slot};

    use super::*;

    #[test]
    fn rows_are_told_in_the_order_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let problem = |code| ItemProblem::new(code, Slot::named("id"), "so\nso");
        for json in [false, true] {
            let file = dir.path().join(format!("rejects-{json}"));
            let mut report = Report::open(Some(&file), json).unwrap();
            let answer = UpsertAnswer::new([
                (UpsertOutcome::Created, None),
                (
                    UpsertOutcome::Refused,
                    Some(problem(ItemCode::VersionConflict)),
                ),
                (UpsertOutcome::Erased, Some(problem(ItemCode::Erased))),
            ]);
            let unsent = vec![RowProblem {
                line: 4,
                problem: problem(ItemCode::DuplicateId),
            }];
            report.add(unsent, &[2, 3, 5], answer).unwrap();
            report.flush().unwrap();
            let totals = report.totals();
            assert_eq!((totals.rows, totals.are_in()), (4, 1));
            assert_eq!(
                totals.text(),
                "4 rows: 1 created, 0 updated, 0 unchanged, 0 stale, 2 refused, 1 erased"
            );
            let text = std::fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            if json {
                assert_eq!(
                    lines[0],
                    r#"{"line":3,"code":"HS-2207","field":"id","message":"so\nso"}"#
                );
            } else {
                assert_eq!(
                    lines,
                    [
                        "line 3: HS-2207 id: so so",
                        "line 4: HS-2214 id: so so",
                        "line 5: HS-2209 id: so so",
                    ]
                );
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Report::open(Some(dir.path()), false),
            Err(Failure::Rejects(_))
        ));
    }
}
