//! CSV, a row at a time and never more than a row's worth of it.

use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader};
use domain::people_file::MAX_ROW_BYTES;

use super::lines::{Content, Row};

/// A row's cells.
pub(super) type CsvRow<'a> = Row<Content<Vec<&'a [u8]>>>;

/// What a buffer begins with; most rows need no more.
const FIRST_BYTES: usize = 8 * 1024;
const FIRST_CELLS: usize = 256;

/// The rows of a CSV file (RFC 4180, also with LF or CR alone). Blank lines are none.
pub(super) struct CsvRows<R> {
    input: R,
    csv: Reader,
    cells: Vec<u8>,
    ends: Vec<usize>,
    lines: LineCount,
    is_begun: bool,
}

/// A byte order mark, which spreadsheets put in front.
const MARK: &[u8] = b"\xEF\xBB\xBF";

impl<R: BufRead> CsvRows<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            csv: Reader::new(),
            cells: vec![0; FIRST_BYTES],
            ends: vec![0; FIRST_CELLS],
            lines: LineCount::default(),
            is_begun: false,
        }
    }

    /// The next row. Of one that is too long nothing is kept, and the reader goes on behind it.
    pub(super) fn next(&mut self) -> io::Result<Option<CsvRow<'_>>> {
        self.skip_mark()?;
        self.skip_blank_lines()?;
        let line = self.lines.current();
        let (mut read, mut bytes, mut cells) = (0, 0, 0);
        let mut is_too_long = false;
        loop {
            let input = self.input.fill_buf()?;
            let (result, taken, written, ended) =
                self.csv
                    .read_record(input, &mut self.cells[bytes..], &mut self.ends[cells..]);
            self.lines.count(&input[..taken]);
            self.input.consume(taken);
            (read, bytes, cells) = (read + taken, bytes + written, cells + ended);
            // Line breaks at both ends belong to no row.
            is_too_long |= read > MAX_ROW_BYTES + 2;
            if is_too_long {
                (bytes, cells) = (0, 0);
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull if is_too_long => {}
                ReadRecordResult::OutputFull => grow(&mut self.cells),
                ReadRecordResult::OutputEndsFull => grow(&mut self.ends),
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => break,
            }
        }
        let content = if is_too_long {
            Content::TooLong
        } else {
            Content::Read(self.row(cells))
        };
        Ok(Some(Row { line, content }))
    }

    fn row(&self, cells: usize) -> Vec<&[u8]> {
        let ends = &self.ends[..cells];
        let starts = std::iter::once(&0).chain(ends);
        starts
            .zip(ends)
            .map(|(start, end)| &self.cells[*start..*end])
            .collect()
    }

    fn skip_mark(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_begun, true) && self.input.fill_buf()?.starts_with(MARK)
        {
            self.input.consume(MARK.len());
        }
        Ok(())
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        loop {
            let input = self.input.fill_buf()?;
            let blank = input
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            self.lines.count(&input[..blank]);
            self.input.consume(blank);
            if blank == 0 {
                return Ok(());
            }
        }
    }
}

/// On which line a reader is. A line ends with LF, CR, or both.
#[derive(Default)]
struct LineCount {
    ended: u64,
    is_after_cr: bool,
}

impl LineCount {
    /// From 1.
    const fn current(&self) -> u64 {
        self.ended + 1
    }

    fn count(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.ended += match byte {
                b'\r' => 1,
                b'\n' if !self.is_after_cr => 1,
                _ => 0,
            };
            self.is_after_cr = *byte == b'\r';
        }
    }
}

/// The bound on what is read of a row bounds this too.
fn grow<T: Default + Clone>(buffer: &mut Vec<T>) {
    buffer.resize(buffer.len() * 2, T::default());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and cells, or none where it was too long.
    type Seen = (u64, Option<Vec<String>>);

    /// What a file is read as.
    fn rows(file: &[u8], chunk: usize) -> Vec<Seen> {
        let mut rows = CsvRows::new(io::BufReader::with_capacity(chunk, file));
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cells = match row.content {
                Content::Read(cells) => Some(
                    cells
                        .iter()
                        .map(|cell| String::from_utf8_lossy(cell).into_owned())
                        .collect(),
                ),
                Content::TooLong => None,
            };
            all.push((row.line, cells));
        }
        all
    }

    #[test]
    fn rows_and_their_lines() {
        let cells = |cells: &[&str]| Some(cells.iter().map(|c| (*c).to_owned()).collect());
        let table: [(&[u8], Vec<Seen>); 7] = [
            (b"", vec![]),
            (b"\n\r\n", vec![]),
            (
                b"id,email\n1,a\n2,b",
                vec![
                    (1, cells(&["id", "email"])),
                    (2, cells(&["1", "a"])),
                    (3, cells(&["2", "b"])),
                ],
            ),
            (
                b"\xef\xbb\xbf\"id\",x\r\n\r\n\"a\r\nb\",\"c\"\"d\"\r\n,\r\n",
                vec![
                    (1, cells(&["id", "x"])),
                    (3, cells(&["a\r\nb", "c\"d"])),
                    (5, cells(&["", ""])),
                ],
            ),
            (
                b"a\rb\r\rc\r",
                vec![(1, cells(&["a"])), (2, cells(&["b"])), (4, cells(&["c"]))],
            ),
            (
                b"a\n\"open\nc\nd",
                vec![(1, cells(&["a"])), (2, cells(&["open\nc\nd"]))],
            ),
            (b"\"\"\n", vec![(1, cells(&[""]))]),
        ];
        for (file, expected) in table {
            for chunk in [3, 7, 64] {
                assert_eq!(rows(file, chunk), expected, "{file:?} by {chunk}");
            }
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_passed_over() {
        for long in [
            vec![b'x'; 3 * MAX_ROW_BYTES],
            vec![b','; 3 * MAX_ROW_BYTES],
            [b"\"", &[b'\n'; 3 * MAX_ROW_BYTES][..], b"\""].concat(),
        ] {
            let file = [b"a\n", &long[..], b"\nb,c\n"].concat();
            let mut reader = CsvRows::new(io::BufReader::new(&file[..]));
            assert!(matches!(
                reader.next().unwrap().unwrap().content,
                Content::Read(_)
            ));
            let row = reader.next().unwrap().unwrap();
            assert_eq!(row.line, 2);
            assert!(matches!(row.content, Content::TooLong));
            let row = reader.next().unwrap().unwrap();
            let Content::Read(cells) = row.content else {
                panic!("the row behind it");
            };
            assert_eq!(cells, [b"b", b"c"]);
            assert!(reader.next().unwrap().is_none());
            assert!(reader.cells.len() <= 2 * MAX_ROW_BYTES);
            assert!(reader.ends.len() <= 2 * MAX_ROW_BYTES);
        }
        // At the bound, and just beyond.
        let at = vec![b'x'; MAX_ROW_BYTES];
        assert!(rows(&at, 64 * 1024)[0].1.is_some());
        assert!(
            rows(&vec![b'x'; MAX_ROW_BYTES + 3], 64 * 1024)[0]
                .1
                .is_none()
        );
    }
}
