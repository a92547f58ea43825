//! Lines, one at a time and never more than a row's worth of one.

use std::io::{self, BufRead};

use domain::people_file::MAX_ROW_BYTES;

/// A row and where it begins.
pub(super) struct Row<T> {
    /// From 1.
    pub(super) line: u64,
    pub(super) content: T,
}

/// A row's content, where there is not too much of it.
pub(super) enum Content<T> {
    Read(T),
    TooLong,
}

/// The lines of a file. Blank ones are left out.
pub(super) struct Lines<R> {
    input: R,
    text: Vec<u8>,
    /// Lines that were read.
    ended: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            text: Vec::new(),
            ended: 0,
        }
    }

    /// The next line, without its end. Of one that is too long nothing is kept.
    pub(super) fn next(&mut self) -> io::Result<Option<Row<Content<&[u8]>>>> {
        loop {
            let Some(is_too_long) = self.read()? else {
                return Ok(None);
            };
            self.ended += 1;
            let line = self.ended;
            if is_too_long {
                return Ok(Some(Row {
                    line,
                    content: Content::TooLong,
                }));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some(Row {
                    line,
                    content: Content::Read(&self.text),
                }));
            }
        }
    }

    /// Reads a line; whether it is too long. None at the end of the file.
    fn read(&mut self) -> io::Result<Option<bool>> {
        self.text.clear();
        let (mut is_too_long, mut is_empty) = (false, true);
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Ok((!is_empty).then_some(is_too_long));
            }
            is_empty = false;
            let end = input.iter().position(|b| *b == b'\n');
            let taken = end.map_or(input.len(), |at| at + 1);
            let text = &input[..end.unwrap_or(taken)];
            is_too_long |= self.text.len() + text.len() > MAX_ROW_BYTES + 1;
            if is_too_long {
                self.text.clear();
            } else {
                self.text.extend_from_slice(text);
            }
            self.input.consume(taken);
            if end.is_some() {
                if self.text.last() == Some(&b'\r') {
                    self.text.pop();
                }
                return Ok(Some(is_too_long));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &[u8], chunk: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(chunk, file));
        let mut all = Vec::new();
        while let Some(row) = lines.next().unwrap() {
            all.push((
                row.line,
                match row.content {
                    Content::Read(text) => Some(text.to_vec()),
                    Content::TooLong => None,
                },
            ));
        }
        all
    }

    #[test]
    fn lines_of_all_kinds() {
        let text = |text: &[u8]| Some(text.to_vec());
        for chunk in [1, 2, 5, 64] {
            assert_eq!(lines(b"", chunk), []);
            assert_eq!(lines(b"\n \r\n", chunk), []);
            assert_eq!(
                lines(b"{a}\r\n\n{b}\n{c}", chunk),
                [(1, text(b"{a}")), (3, text(b"{b}")), (4, text(b"{c}"))]
            );
        }
        let long = [b"{a}\n", &vec![b'x'; 3 * MAX_ROW_BYTES][..], b"\n{b}\n"].concat();
        assert_eq!(
            lines(&long, 64 * 1024),
            [(1, text(b"{a}")), (2, None), (3, text(b"{b}"))]
        );
        let at = vec![b'x'; MAX_ROW_BYTES];
        assert!(lines(&at, 64 * 1024)[0].1.is_some());
        assert!(
            lines(&vec![b'x'; MAX_ROW_BYTES + 2], 64 * 1024)[0]
                .1
                .is_none()
        );
    }
}
