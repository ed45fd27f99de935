//! What one file gives to a search: its lines as they are shown, or only how many there are.

use std::io;

use grep_matcher::Matcher as _;
use grep_searcher::{Searcher, Sink, SinkContext, SinkFinish, SinkMatch};

use super::{MAX_CHARS, MAX_LINE, Mode, Search};
use crate::tools::workspace::PlacePath;

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Found {
    /// The lines as they are shown; no more than can be shown at all.
    pub lines: Vec<String>,
    /// How many lines there are to show, separators included.
    pub total: usize,
    /// How many lines match.
    pub matches: usize,
}

/// Takes what the searcher finds in one file.
pub struct FileSink<'a> {
    search: &'a Search<'a>,
    path: &'a PlacePath,
    found: Found,
    chars: usize,
    binary: bool,
}

impl<'a> FileSink<'a> {
    pub fn new(search: &'a Search<'a>, path: &'a PlacePath) -> Self {
        Self { search, path, found: Found::default(), chars: 0, binary: false }
    }

    /// What was found. A binary file gives nothing, whatever stood before its first NUL.
    pub fn end(self) -> Found {
        if self.binary { Found::default() } else { self.found }
    }

    fn push(&mut self, line: String) {
        self.found.total += 1;
        if self.chars <= MAX_CHARS {
            self.chars += line.len() + 1;
            self.found.lines.push(line);
        }
    }

    /// `path:12:text` for a match, `path-12-text` for a line around it.
    fn show(&mut self, number: Option<u64>, bytes: &[u8], separator: char) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        let text = if text.len() > MAX_LINE { self.cut(text) } else { text.to_owned() };
        let number = number.filter(|_| self.search.numbers);
        let number = number.map(|number| format!("{number}{separator}")).unwrap_or_default();
        self.push(format!("{}{separator}{number}{text}", self.path));
    }

    /// The part of a very long line around its first match.
    fn cut(&self, line: &str) -> String {
        let matched = self.search.matcher.find(line.as_bytes()).ok().flatten().map_or(0, |found| found.start());
        let start = if matched > MAX_LINE * 4 / 5 { matched - MAX_LINE / 5 } else { 0 };
        let boundary = |at: usize| (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let start = boundary(start);
        let end = boundary(start.saturating_add(MAX_LINE));
        let (before, after) = (if start > 0 { "… " } else { "" }, if end < line.len() { " …" } else { "" });
        format!("{before}{}{after} [line of {} characters]", &line[start..end], line.chars().count())
    }
}

impl Sink for FileSink<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        match self.search.mode {
            Mode::FilesWithMatches => {
                self.found.matches = 1;
                return Ok(false);
            }
            Mode::Count => self.found.matches += found.lines().count(),
            Mode::Content => {
                for (index, line) in found.lines().enumerate() {
                    self.found.matches += 1;
                    self.show(found.line_number().map(|number| number + index as u64), line, ':');
                }
            }
        }
        Ok(!self.search.stop.now())
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.show(context.line_number(), context.bytes(), '-');
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.push("--".to_owned());
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> io::Result<bool> {
        self.binary = true;
        Ok(false)
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> io::Result<()> {
        self.binary |= finish.binary_byte_offset().is_some();
        Ok(())
    }
}
