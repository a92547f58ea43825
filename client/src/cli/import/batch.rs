//! Rows become batches that one call can carry.

use std::io::{self, BufRead, Write};

use chrono::{DateTime, Utc};
use domain::{
    activities::ActivityInput,
    api::MAX_ITEMS,
    app::{Fields, ItemProblem, MemberInput, PersonInput},
    people_file::{
        PeopleHeader, RowProblem, SeenIds, activity_json_row, json_row, member_json_row, too_long,
    },
};
use serde::Serialize;

use super::{
    csv_rows::CsvRows,
    lines::{Content, Lines, Row},
};

/// The most JSON of a batch; the service takes 8 MiB. A row alone stays below that too: at most 1 MB
/// that JSON makes six times as long.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// The most refused rows that are kept before they are told.
const MOST_PROBLEMS: usize = 1_000;

/// A row that was understood, or what is wrong with it.
pub(super) type Understood<T> = Row<Result<T, ItemProblem>>;

/// A file of rows of one kind.
pub(super) trait Rows: Send + 'static {
    type Item: Importable;

    /// The next row.
    fn next(&mut self) -> io::Result<Option<Understood<Self::Item>>>;
}

/// What the rows of a file are.
pub(super) trait Importable: Serialize + Send + 'static {
    /// The app's id.
    fn id(&self) -> &str;
}

impl Importable for PersonInput {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Importable for MemberInput {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Importable for ActivityInput {
    fn id(&self) -> &str {
        &self.id
    }
}

// ---- files -----------------------------------------------------------------------------------

/// People by CSV.
pub(super) struct PeopleCsv<R> {
    rows: CsvRows<R>,
    header: PeopleHeader,
    fields: Fields,
    version: u64,
}

impl<R: BufRead> PeopleCsv<R> {
    /// Reads the header. Nothing of a file can be understood without it.
    pub(super) fn open(
        input: R,
        fields: Fields,
        version: u64,
    ) -> io::Result<Result<Self, RowProblem>> {
        let mut rows = CsvRows::new(input);
        let (line, header) = match rows.next()? {
            None => (1, PeopleHeader::parse(&[], &fields)),
            Some(row) => match row.content {
                Content::Read(cells) => (row.line, PeopleHeader::parse(&cells, &fields)),
                Content::TooLong => (row.line, Err(too_long())),
            },
        };
        Ok(header
            .map(|header| Self {
                rows,
                header,
                fields,
                version,
            })
            .map_err(|problem| RowProblem { line, problem }))
    }
}

impl<R: BufRead + Send + 'static> Rows for PeopleCsv<R> {
    type Item = PersonInput;

    fn next(&mut self) -> io::Result<Option<Understood<PersonInput>>> {
        let row = self.rows.next()?;
        Ok(row.map(|row| Row {
            line: row.line,
            content: match row.content {
                Content::Read(cells) => self.header.row(&cells, self.version, &self.fields),
                Content::TooLong => Err(too_long()),
            },
        }))
    }
}

/// Records by JSONL.
pub(super) struct JsonLines<R, F> {
    lines: Lines<R>,
    understand: F,
}

/// People by JSONL.
pub(super) fn people_json_lines<R: BufRead + Send + 'static>(
    input: R,
    fields: Fields,
    version: u64,
) -> impl Rows<Item = PersonInput> {
    JsonLines {
        lines: Lines::new(input),
        understand: move |line: &[u8]| json_row(line, version, &fields),
    }
}

/// Team members by JSONL.
pub(super) fn member_json_lines<R: BufRead + Send + 'static>(
    input: R,
    version: u64,
) -> impl Rows<Item = MemberInput> {
    JsonLines {
        lines: Lines::new(input),
        understand: move |line: &[u8]| member_json_row(line, version),
    }
}

/// Activities by JSONL.
pub(super) fn activity_json_lines<R: BufRead + Send + 'static>(
    input: R,
    version: u64,
    now: DateTime<Utc>,
) -> impl Rows<Item = ActivityInput> {
    JsonLines {
        lines: Lines::new(input),
        understand: move |line: &[u8]| activity_json_row(line, version, now),
    }
}

impl<R, F, T> Rows for JsonLines<R, F>
where
    R: BufRead + Send + 'static,
    F: Fn(&[u8]) -> Result<T, ItemProblem> + Send + 'static,
    T: Importable,
{
    type Item = T;

    fn next(&mut self) -> io::Result<Option<Understood<T>>> {
        let row = self.lines.next()?;
        Ok(row.map(|row| Row {
            line: row.line,
            content: match row.content {
                Content::Read(line) => (self.understand)(line),
                Content::TooLong => Err(too_long()),
            },
        }))
    }
}

// ---- batches ---------------------------------------------------------------------------------

/// What one call carries, and the rows between that it does not.
pub(super) struct Batch<T> {
    pub(super) items: Vec<T>,
    /// The line of each item.
    pub(super) lines: Vec<u64>,
    /// Rows that are not sent, in the order of the file.
    pub(super) problems: Vec<RowProblem>,
}

/// The batches of a file.
pub(super) struct Batches<R: Rows> {
    rows: R,
    /// Grows with the file: that an id came before can only be known by keeping it.
    seen: SeenIds,
    /// What did not go into the batch before, with its size.
    held: Option<(Row<R::Item>, usize)>,
}

impl<R: Rows> Batches<R> {
    pub(super) fn new(rows: R) -> Self {
        Self {
            rows,
            seen: SeenIds::default(),
            held: None,
        }
    }

    /// The next batch; none at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Batch<R::Item>>> {
        let mut batch = Batch {
            items: Vec::new(),
            lines: Vec::new(),
            problems: Vec::new(),
        };
        let mut bytes = 0;
        while batch.items.len() < MAX_ITEMS && batch.problems.len() < MOST_PROBLEMS {
            let (row, size) = match self.held.take() {
                Some(held) => held,
                None => match self.rows.next()? {
                    None => break,
                    Some(row) => match self.admit(row) {
                        Ok(admitted) => admitted,
                        Err(problem) => {
                            batch.problems.push(problem);
                            continue;
                        }
                    },
                },
            };
            if bytes + size > MOST_BYTES && !batch.items.is_empty() {
                self.held = Some((row, size));
                break;
            }
            bytes += size;
            batch.lines.push(row.line);
            batch.items.push(row.content);
        }
        let is_empty = batch.items.is_empty() && batch.problems.is_empty();
        Ok((!is_empty).then_some(batch))
    }

    /// A row that is to be sent, with its size as JSON.
    fn admit(&mut self, row: Understood<R::Item>) -> Result<(Row<R::Item>, usize), RowProblem> {
        let line = row.line;
        row.content
            .and_then(|item| {
                self.seen.note(item.id(), line)?;
                let size = json_bytes(&item);
                let content = item;
                Ok((Row { line, content }, size))
            })
            .map_err(|problem| RowProblem { line, problem })
    }
}

fn json_bytes(item: &impl Serialize) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(1);
    // What cannot be written as JSON fails when it is sent.
    match serde_json::to_writer(&mut count, item) {
        Ok(()) => count.0,
        Err(_) => MOST_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use domain::app::ItemCode;

    use super::*;

    fn batches(file: &str) -> Vec<Batch<PersonInput>> {
        let input = io::Cursor::new(file.to_owned().into_bytes());
        let rows = people_json_lines(input, Fields::new(&[]), 1);
        let mut batches = Batches::new(rows);
        std::iter::from_fn(|| batches.next().unwrap()).collect()
    }

    #[test]
    fn a_batch_has_a_thousand_items_at_most() {
        let file: String = (0..2_500)
            .map(|n| format!("{{\"id\":\"p{n}\"}}\n"))
            .collect();
        let sizes: Vec<usize> = batches(&file).iter().map(|b| b.items.len()).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
    }

    #[test]
    fn a_batch_is_not_too_large_and_nothing_is_lost_between() {
        let text = "x".repeat(60_000);
        let file: String = (0..100)
            .map(|n| format!("{{\"id\":\"p{n}\",\"fields\":{{\"headline\":\"{text}\"}}}}\n"))
            .collect();
        let batches = batches(&file);
        assert!(batches.len() > 2);
        let mut ids = Vec::new();
        for batch in &batches {
            assert!(serde_json::to_string(&batch.items).unwrap().len() <= MOST_BYTES + 2);
            assert_eq!(batch.items.len(), batch.lines.len());
            ids.extend(batch.items.iter().map(|item| item.id.clone()));
        }
        let expected: Vec<String> = (0..100).map(|n| format!("p{n}")).collect();
        assert_eq!(ids, expected);
    }

    #[test]
    fn refused_rows_stand_beside_the_items_of_their_batch() {
        let batches = batches("{\"id\":\"a\"}\n{}\n{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].lines, [1, 4]);
        let told: Vec<(u64, ItemCode)> = batches[0]
            .problems
            .iter()
            .map(|p| (p.line, p.problem.code))
            .collect();
        assert_eq!(
            told,
            [(2, ItemCode::RowNotReadable), (3, ItemCode::DuplicateId)]
        );
        // Many of them do not pile up.
        let file = "{}\n".repeat(2_500);
        let sizes: Vec<usize> = self::batches(&file)
            .iter()
            .map(|b| b.problems.len())
            .collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
    }

    #[test]
    fn a_file_without_a_header_is_no_file_of_people() {
        for (file, line) in [("", 1), ("\n\nname,email\n", 3), ("\u{feff}", 1)] {
            let opened = PeopleCsv::open(file.as_bytes(), Fields::new(&[]), 1).unwrap();
            let problem = opened.err().unwrap();
            assert_eq!(
                (problem.line, problem.problem.code),
                (line, ItemCode::HeaderNotValid),
                "{file:?}"
            );
        }
    }
}
