//! What a search found in all files, sorted by path, and how it is told.
//!
//! Files are searched in no order; only as much text is kept as can be shown of the first paths.

use std::collections::BTreeMap;

use super::sink::Found;
use super::{MAX_CHARS, Mode};
use crate::tools::walk::SEARCH_SECONDS;
use crate::tools::workspace::{MAX_SCANNED, PlacePath};

/// Text kept at most, all files together: more than fits into a result.
const MAX_KEPT: usize = 2 * MAX_CHARS;

/// What was found so far.
pub struct Findings {
    mode: Mode,
    limit: usize,
    files: BTreeMap<PlacePath, Found>,
    kept: usize,
    /// From this path on no text is kept.
    cut: Option<PlacePath>,
    searched: usize,
    /// Files over the size that is searched.
    pub too_large: usize,
    /// Files that could not be opened or read.
    pub unreadable: usize,
}

impl Findings {
    pub fn new(mode: Mode, limit: usize) -> Self {
        Self { mode, limit, files: BTreeMap::new(), kept: 0, cut: None, searched: 0, too_large: 0, unreadable: 0 }
    }

    /// Adds what was found in a file.
    pub fn add(&mut self, path: &PlacePath, mut found: Found) {
        self.searched += 1;
        if found.matches == 0 {
            return;
        }
        if self.cut.as_ref().is_some_and(|cut| path >= cut) {
            found.lines.clear();
        }
        self.kept += size(&found);
        self.files.insert(path.clone(), found);
        // What comes last by path is not shown anyway when what comes before it fills the answer.
        while self.kept > MAX_KEPT {
            let last = match &self.cut {
                Some(cut) => self.files.range_mut(..cut.clone()).next_back(),
                None => self.files.iter_mut().next_back(),
            };
            let Some((path, last)) = last else { break };
            self.kept -= size(last);
            last.lines.clear();
            self.cut = Some(path.clone());
        }
    }

    /// The answer to the model.
    pub fn text(&self, pattern: &str, base: &PlacePath, ended: bool) -> String {
        let mut text = match (self.files.is_empty(), self.mode) {
            (true, _) => self.nothing(pattern, base),
            (false, Mode::Content) => self.content(),
            (false, Mode::FilesWithMatches) => {
                let paths = self.files.keys().map(PlacePath::to_string);
                format!("Found {}\n{}", count(self.files.len(), "file"), self.cut(paths, self.files.len(), "file"))
            }
            (false, Mode::Count) => {
                let lines = self.files.iter().map(|(path, found)| format!("{path}:{}", found.matches));
                let total = self.files.values().map(|found| found.matches).sum();
                let shown = self.cut(lines, self.files.len(), "file");
                format!("{shown}\n{} in {}", count(total, "matching line"), count(self.files.len(), "file"))
            }
        };
        if !ended {
            text.push_str(&format!(
                "\n[Stopped after {SEARCH_SECONDS} s, so files are missing. Narrow `path`, `glob` or `type`.]"
            ));
        }
        if self.too_large > 0 {
            let files = count(self.too_large, "file");
            text.push_str(&format!("\n[Not searched: {files} over {} MiB.]", MAX_SCANNED >> 20));
        }
        if self.unreadable > 0 {
            text.push_str(&format!("\n[Could not be read: {}.]", count(self.unreadable, "file")));
        }
        text
    }

    fn nothing(&self, pattern: &str, base: &PlacePath) -> String {
        let place = if base.is_root() { String::new() } else { format!(" in `{base}`") };
        if self.searched == 0 {
            return format!("No matches: no file fits{place}. Check `path`, `glob` and `type`.");
        }
        format!("No matches for `{pattern}`{place} ({} searched).", count(self.searched, "file"))
    }

    fn content(&self) -> String {
        let total = self.files.values().map(|found| found.total).sum();
        self.cut(self.files.values().flat_map(|found| found.lines.iter().cloned()), total, "line")
    }

    /// As many entries as may be shown, and how many more there are.
    fn cut(&self, entries: impl Iterator<Item = String>, total: usize, what: &str) -> String {
        let mut text = String::new();
        let mut shown = 0;
        for entry in entries.take(self.limit) {
            if text.len() + entry.len() > MAX_CHARS {
                break;
            }
            if shown > 0 {
                text.push('\n');
            }
            text.push_str(&entry);
            shown += 1;
        }
        if shown < total {
            let more = count(total - shown, &format!("more {what}"));
            text.push_str(&format!("\n[{more}. Narrow the search, or raise `head_limit`.]"));
        }
        text
    }
}

fn size(found: &Found) -> usize {
    found.lines.iter().map(|line| line.len() + 1).sum()
}

/// `1 file`, `3 files`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
