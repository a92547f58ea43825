//! People files: the rows of CSV and JSONL files as updates. One bad row never stops the rest. Team
//! members and activities come by JSONL too.
//!
//! Splitting a file into rows and cells is the reader's work; here is what they mean. An empty cell
//! leaves the field as it is. Emptying a field takes JSONL and `null`.

mod json_lines;

use std::{collections::HashMap, fmt};

use chrono::{DateTime, NaiveTime, Utc};

use crate::app::{
    FieldKey, FieldType, Fields, ItemCode, ItemProblem, Patch, PersonInput, RecordKind, Slot,
    ValueError,
    value::{parse_date, parse_datetime},
};

pub use json_lines::{activity_json_row, json_row, member_json_row};

/// The longest row, in bytes.
pub const MAX_ROW_BYTES: usize = 1_000_000;

/// What a row with a problem says beside it: where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RowProblem {
    /// The line where the row begins, from 1.
    pub line: u64,
    /// What is wrong. It never repeats a value.
    pub problem: ItemProblem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Id,
    Version,
    Email,
    Company,
    Owner,
    Status,
    ContactedAt,
    RepliedAt,
    RepliedPositivelyAt,
    Field(FieldKey, FieldType),
}

/// The columns that are not fields, by their names.
const COLUMNS: [(&str, Column); 9] = [
    ("id", Column::Id),
    ("version", Column::Version),
    ("email", Column::Email),
    ("company", Column::Company),
    ("owner", Column::Owner),
    ("status", Column::Status),
    ("contacted_at", Column::ContactedAt),
    ("replied_at", Column::RepliedAt),
    ("replied_positively_at", Column::RepliedPositivelyAt),
];

impl Column {
    fn slot(&self) -> Slot {
        match self {
            Self::Field(key, _) => Slot::field(key.as_str()),
            other => COLUMNS
                .iter()
                .find(|(_, column)| column == other)
                .map_or(Slot::named("id"), |(name, _)| Slot::named(name)),
        }
    }
}

/// The header of a CSV file, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleHeader(Vec<Column>);

fn header_problem(message: impl fmt::Display) -> ItemProblem {
    ItemProblem::new(ItemCode::HeaderNotValid, Slot::named("header"), message)
}

/// A byte order mark, which spreadsheets put in front.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// A name for a message. What looks like an address is none: the header may be missing, and the
/// first row be a person.
fn bounded(name: &str) -> String {
    if name.contains('@') {
        return "…".to_owned();
    }
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

impl PeopleHeader {
    /// Reads the first row. Names may be written with capitals, spaces and hyphens: `First name` is
    /// `first_name`.
    ///
    /// # Errors
    /// HS-2211 naming the columns in question: a header that is partly understood would lose data
    /// without a word.
    pub fn parse(cells: &[&[u8]], fields: &Fields) -> Result<Self, ItemProblem> {
        let mut columns = Vec::new();
        let mut unknown = Vec::new();
        for (n, cell) in cells.iter().enumerate() {
            let cell = if n == 0 { without_mark(cell) } else { cell };
            let text = std::str::from_utf8(cell)
                .map_err(|_| header_problem(format!("column {} is not UTF-8", n + 1)))?;
            let name = text.trim().to_lowercase().replace([' ', '-'], "_");
            let column = COLUMNS
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, column)| column.clone())
                .or_else(|| {
                    let info = fields.get(RecordKind::Person, &name)?;
                    Some(Column::Field(FieldKey::parse(&name).ok()?, info.field_type))
                });
            match column {
                Some(column) if columns.contains(&column) => {
                    return Err(header_problem(format!(
                        "the column {name} is there twice; remove one"
                    )));
                }
                Some(column) => columns.push(column),
                None => unknown.push(format!("{} (\"{}\")", n + 1, bounded(text))),
            }
        }
        if !unknown.is_empty() {
            let known: Vec<&str> = COLUMNS
                .iter()
                .map(|(name, _)| *name)
                .chain(
                    fields
                        .keys(RecordKind::Person)
                        .map(FieldKey::as_str)
                        .filter(|key| COLUMNS.iter().all(|(name, _)| name != key)),
                )
                .collect();
            let more = unknown.len().saturating_sub(10);
            unknown.truncate(10);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            return Err(header_problem(format!(
                "nobody knows column {}{more}; the columns are: {}",
                unknown.join(", "),
                known.join(", ")
            )));
        }
        if !columns.contains(&Column::Id) {
            return Err(header_problem(
                "there is no column id; it holds the app's own id of each person",
            ));
        }
        Ok(Self(columns))
    }

    /// Reads a row. `version` is for rows without one: the file's own, such as the time of the
    /// import in milliseconds.
    ///
    /// # Errors
    /// What is wrong with this row.
    pub fn row(
        &self,
        cells: &[&[u8]],
        version: u64,
        fields: &Fields,
    ) -> Result<PersonInput, ItemProblem> {
        if cells.iter().map(|cell| cell.len()).sum::<usize>() > MAX_ROW_BYTES {
            return Err(too_long());
        }
        if cells.len() != self.0.len() {
            return Err(ItemProblem::new(
                ItemCode::CellCount,
                Slot::named("row"),
                format!(
                    "{} cells, and the header has {}; a cell that holds the separator needs quotation marks",
                    cells.len(),
                    self.0.len()
                ),
            ));
        }
        let mut input = PersonInput::new("", version);
        for (column, cell) in self.0.iter().zip(cells) {
            let text = std::str::from_utf8(cell).map_err(|_| {
                ItemProblem::new(
                    ItemCode::EncodingNotValid,
                    column.slot(),
                    "the cell is not UTF-8; save the file as UTF-8",
                )
            })?;
            if text.trim().is_empty() {
                continue;
            }
            let trimmed = || Patch::Set(text.trim().to_owned());
            match column {
                Column::Id => input.id = text.trim().to_owned(),
                Column::Version => {
                    input.version = text.trim().parse().map_err(|_| {
                        ItemProblem::new(
                            ItemCode::VersionNotValid,
                            column.slot(),
                            "a version is a whole number from 0 to 9223372036854775807",
                        )
                    })?;
                }
                Column::Email => input.email = trimmed(),
                Column::Company => input.company = trimmed(),
                Column::Owner => input.owner = trimmed(),
                Column::Status => {
                    let name = text.trim().to_lowercase().replace([' ', '-'], "_");
                    input.status = Patch::Set(name);
                }
                Column::ContactedAt => input.contacted_at = time(column, text)?,
                Column::RepliedAt => input.replied_at = time(column, text)?,
                Column::RepliedPositivelyAt => input.replied_positively_at = time(column, text)?,
                Column::Field(key, field_type) => {
                    let value = field_type
                        .parse_text(text)
                        .map_err(|e| ItemProblem::of_value(column.slot(), e))?;
                    if let Some(value) = value {
                        input.fields.insert(key.as_str().to_owned(), Some(value));
                    }
                }
            }
        }
        input.clone().check(fields)?;
        Ok(input)
    }
}

/// A day counts as its midnight in UTC.
fn time(column: &Column, text: &str) -> Result<Patch<DateTime<Utc>>, ItemProblem> {
    let text = text.trim();
    parse_datetime(text)
        .or_else(|| parse_date(text).map(|day| day.and_time(NaiveTime::MIN).and_utc()))
        .map(Patch::Set)
        .ok_or_else(|| {
            ItemProblem::of_value(column.slot(), ValueError::WrongType(FieldType::Datetime))
        })
}

/// What is wrong with a row of more than [`MAX_ROW_BYTES`]: a reader need not hold the whole of it.
pub fn too_long() -> ItemProblem {
    ItemProblem::new(
        ItemCode::RowTooLong,
        Slot::named("row"),
        format!(
            "longer than {MAX_ROW_BYTES} bytes; often a quotation mark near here was never closed"
        ),
    )
}

/// The ids of a file so far, to find one that comes twice.
#[derive(Debug, Default)]
pub struct SeenIds(HashMap<String, u64>);

impl SeenIds {
    /// Notes the id of the row at a line.
    ///
    /// # Errors
    /// HS-2214 where an earlier row has it.
    pub fn note(&mut self, id: &str, line: u64) -> Result<(), ItemProblem> {
        match self.0.get(id) {
            Some(earlier) => Err(ItemProblem::new(
                ItemCode::DuplicateId,
                Slot::named("id"),
                format!("line {earlier} has the same id; keep one row for each person"),
            )),
            None => {
                self.0.insert(id.to_owned(), line);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::CustomField;

    fn fields() -> Fields {
        Fields::new(&[CustomField {
            record: RecordKind::Person,
            key: "custom.since".parse().unwrap(),
            label: "Since".to_owned(),
            field_type: FieldType::Date,
        }])
    }

    fn header(line: &str) -> Result<PeopleHeader, ItemProblem> {
        let cells: Vec<&[u8]> = line.split(',').map(str::as_bytes).collect();
        PeopleHeader::parse(&cells, &fields())
    }

    #[test]
    fn headers() {
        for good in [
            "id",
            "\u{feff}ID,Email,First Name,job-title,custom.since",
            "email,id,version,company,owner,status,contacted_at,replied_at,replied_positively_at",
        ] {
            header(good).unwrap();
        }
        for (bad, text) in [
            ("email,first_name", "no column id"),
            ("", "nobody knows column 1"),
            ("id,Vorname", "\"Vorname\""),
            ("id,custom.nope", "custom.since"),
            ("id,email,E-Mail", "nobody knows column 3"),
            ("id,email,EMAIL", "twice"),
            ("id,fields.city", "nobody knows"),
        ] {
            let problem = header(bad).unwrap_err();
            assert_eq!(problem.code, ItemCode::HeaderNotValid);
            assert!(problem.message.contains(text), "{bad}: {problem}");
        }
        let without = header("p-1,jane@a.example").unwrap_err();
        assert!(!without.message.contains("jane"), "{without}");
        let binary = PeopleHeader::parse(&[b"id", b"\xff\xfe"], &fields()).unwrap_err();
        assert!(binary.message.contains("column 2 is not UTF-8"));
    }

    #[test]
    fn rows() {
        let header = header(
            "id,version,email,status,replied_at,lead_score,email_verified,tags,custom.since",
        )
        .unwrap();
        let read = |line: &str| {
            let cells: Vec<&[u8]> = line.split(',').map(str::as_bytes).collect();
            header.row(&cells, 7, &fields())
        };
        let input = read(" p-1 ,,Jane@A.example,Meeting Booked,2026-01-02,3.5,yes,a; b,2026-02-28")
            .unwrap();
        assert_eq!(
            serde_json::to_value(&input).unwrap(),
            serde_json::json!({
                "id": "p-1", "version": 7, "email": "Jane@A.example", "status": "meeting_booked",
                "replied_at": "2026-01-02T00:00:00Z",
                "fields": {"lead_score": 3.5, "email_verified": true, "tags": ["a", "b"],
                           "custom.since": "2026-02-28"},
            })
        );
        // Nothing said, nothing changed.
        assert_eq!(read("p-2,9,,,,,,,").unwrap(), PersonInput::new("p-2", 9));

        use ItemCode as C;
        for (line, code, field) in [
            (",,,,,,,,", C::IdNotValid, "id"),
            ("jane@a.example,,,,,,,,", C::IdNotValid, "id"),
            ("p,x,,,,,,,", C::VersionNotValid, "version"),
            ("p,-1,,,,,,,", C::VersionNotValid, "version"),
            (
                "p,9999999999999999999,,,,,,,",
                C::VersionNotValid,
                "version",
            ),
            ("p,,jane(at)a.example,,,,,,", C::EmailNotValid, "email"),
            ("p,,,happy,,,,,", C::UnknownStatus, "status"),
            ("p,,,,yesterday,,,,", C::ValueDoesNotFit, "replied_at"),
            ("p,,,,,many,,,", C::ValueDoesNotFit, "fields.lead_score"),
            (
                "p,,,,,,maybe,,",
                C::ValueDoesNotFit,
                "fields.email_verified",
            ),
            (
                "p,,,,,,,,2026-02-30",
                C::ValueDoesNotFit,
                "fields.custom.since",
            ),
            ("p", C::CellCount, "row"),
            ("p,,,,,,,,,", C::CellCount, "row"),
        ] {
            let problem = read(line).unwrap_err();
            assert_eq!(
                (problem.code, problem.field.as_str()),
                (code, field),
                "{line}: {problem}"
            );
        }
        let mut cells: Vec<&[u8]> = vec![b""; 9];
        cells[2] = b"M\xfcller@a.example";
        assert_eq!(
            header.row(&cells, 7, &fields()).unwrap_err().code,
            C::EncodingNotValid
        );
        let long = vec![b'x'; MAX_ROW_BYTES + 1];
        cells[2] = &long;
        assert_eq!(
            header.row(&cells, 7, &fields()).unwrap_err().code,
            C::RowTooLong
        );
    }

    #[test]
    fn an_id_that_comes_twice_names_the_earlier_line() {
        let mut seen = SeenIds::default();
        seen.note("a", 2).unwrap();
        seen.note("b", 3).unwrap();
        let problem = seen.note("a", 9).unwrap_err();
        assert_eq!(problem.code, ItemCode::DuplicateId);
        assert!(problem.message.starts_with("line 2 "));
    }

    proptest! {
        #[test]
        fn no_row_panics_and_what_is_read_is_acceptable(
            cells in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..6),
        ) {
            let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
            let _ = PeopleHeader::parse(&cells, &fields());
            let header = header("id,email,lead_score,tags,replied_at").unwrap();
            if let Ok(input) = header.row(&cells, 1, &fields()) {
                prop_assert!(input.check(&fields()).is_ok());
            }
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..40), text in "\\{\"id\":\\PC{0,20}\\}") {
            let _ = json_row(&line, 1, &fields());
            let _ = json_row(text.as_bytes(), 1, &fields());
        }
    }

    #[test]
    fn a_value_of_white_space_is_no_value() {
        let header = header("id,city").unwrap();
        let input = header.row(&[b"p", b" \t"], 1, &fields()).unwrap();
        assert!(input.fields.is_empty());
        assert!(FieldType::Text.parse_text(" ").unwrap().is_none());
    }
}
