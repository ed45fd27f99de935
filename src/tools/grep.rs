//! `Grep`: searches file contents with a regular expression, in this process, as ripgrep does.
//!
//! The search itself is `ignore`, `grep-searcher` and `grep-regex`; here are the arguments, the caps and the words.

mod findings;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use async_trait::async_trait;
use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, MmapChoice, Searcher, SearcherBuilder};
use ignore::overrides::{Override, OverrideBuilder};
use ignore::types::{Types, TypesBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{self, number, switch};
use super::walk::{self, Stop};
use super::workspace::{Kind, MAX_SCANNED, PlacePath};
use super::{Place, Tool, ToolContext, ToolError, ToolOutput, blocking};
use crate::agent::ToolName;
use findings::Findings;
use sink::FileSink;

/// Entries shown when the call names no limit.
pub const DEFAULT_ENTRIES: usize = 250;
/// Characters of a result at most; how much of it is shown at once is `agent::output`'s business.
pub const MAX_CHARS: usize = 300_000;
/// Characters shown of one matching line.
pub const MAX_LINE: usize = 500;
/// Memory that a compiled pattern may take.
const REGEX_LIMIT: usize = 10 << 20;

/// The tool.
pub struct Grep;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The regular expression (Rust syntax, as in ripgrep).
    pattern: String,
    /// File or folder to search in; the whole workspace by default.
    path: Option<String>,
    /// Search only files that fit this glob, for example "*.js" or "src/**/*.{ts,tsx}".
    glob: Option<String>,
    /// Search only files of this type, for example "rust", "py", "js", "go".
    r#type: Option<String>,
    /// "content" shows the lines, "files_with_matches" (the default) only paths, "count" matches per file.
    output_mode: Option<Mode>,
    /// Ignore case.
    #[serde(default, rename = "-i", deserialize_with = "switch")]
    ignore_case: Option<bool>,
    /// Show line numbers, true by default. For output_mode "content".
    #[serde(default, rename = "-n", deserialize_with = "switch")]
    line_numbers: Option<bool>,
    /// Lines to show after each match. For output_mode "content".
    #[serde(default, rename = "-A", deserialize_with = "number")]
    after: Option<u64>,
    /// Lines to show before each match. For output_mode "content".
    #[serde(default, rename = "-B", deserialize_with = "number")]
    before: Option<u64>,
    /// Lines to show before and after each match. For output_mode "content".
    #[serde(default, rename = "-C", deserialize_with = "number")]
    around: Option<u64>,
    /// Let `.` match line ends and the pattern span lines.
    #[serde(default, deserialize_with = "switch")]
    multiline: Option<bool>,
    /// Show only the first N lines or files; 250 by default, 0 for as many as fit.
    #[serde(default, deserialize_with = "number")]
    head_limit: Option<u64>,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The matching lines.
    Content,
    /// The paths of files with a match.
    #[default]
    FilesWithMatches,
    /// The number of matching lines per file.
    Count,
}

#[async_trait]
impl Tool for Grep {
    fn name(&self) -> ToolName {
        ToolName::Grep
    }

    fn description(&self) -> &'static str {
        include_str!("grep.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let (place, stop) = (context.place.clone(), Stop::new(context.cancel.clone()));
        blocking(move || grep(&place, &arguments, &stop)).await
    }
}

/// A search, ready to be made.
struct Search<'a> {
    place: &'a Place,
    stop: &'a Stop,
    mode: Mode,
    matcher: RegexMatcher,
    searcher: SearcherBuilder,
    globs: Override,
    numbers: bool,
    findings: Mutex<Findings>,
}

fn grep(place: &Place, arguments: &Arguments, stop: &Stop) -> Result<ToolOutput, ToolError> {
    let base = place.path(given(arguments.path.as_ref()).unwrap_or("."))?;
    let explain = |error| walk::explain(place, &base, error);
    let kind = place.kind(&base).map_err(explain)?;
    let limit = arguments.head_limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let limit = match limit.unwrap_or(DEFAULT_ENTRIES) {
        0 => usize::MAX,
        limit => limit,
    };
    let mode = arguments.output_mode.unwrap_or_default();
    let search = Search {
        place,
        stop,
        mode,
        matcher: matcher(arguments)?,
        searcher: searcher(arguments, mode),
        globs: globs(place, arguments)?,
        numbers: arguments.line_numbers.unwrap_or(true),
        findings: Mutex::new(Findings::new(mode, limit)),
    };
    let ended = match kind {
        Kind::Folder => search.folder(&place.resolve(&base).map_err(explain)?, types(arguments)?),
        Kind::File | Kind::Other => {
            place.open_file(&base)?;
            search.file(&mut search.searcher.build(), &place.resolve(&base).map_err(explain)?);
            true
        }
    };
    let findings = search.findings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(ToolOutput::text(findings.text(&arguments.pattern, &base, ended)))
}

impl Search<'_> {
    /// Searches a folder; says whether it came to the end.
    fn folder(&self, base: &PlacePath, types: Option<Types>) -> bool {
        let mut walk = walk::walk(self.place, base);
        if let Some(types) = types {
            walk.types(types);
        }
        walk::each_file(self.place, &walk, self.stop, || {
            let mut searcher = self.searcher.build();
            move |path, entry| {
                let wanted = entry.file_type().is_some_and(|kind| kind.is_file())
                    && !self.globs.matched(entry.path(), false).is_ignore();
                if wanted {
                    self.file(&mut searcher, &path);
                }
                true
            }
        })
    }

    fn file(&self, searcher: &mut Searcher, path: &PlacePath) {
        let mut sink = FileSink::new(self, path);
        let searched = match self.place.open_listed(path) {
            Ok(file) if file.metadata().is_ok_and(|meta| meta.len() > MAX_SCANNED) => {
                return self.findings().too_large += 1;
            }
            Ok(file) => searcher.search_file(&self.matcher, &file, &mut sink).is_ok(),
            Err(_) => false,
        };
        let found = sink.end();
        let mut findings = self.findings();
        if searched {
            findings.add(path, found);
        } else {
            findings.unreadable += 1;
        }
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An argument that models leave empty when they mean to leave it out.
fn given(argument: Option<&String>) -> Option<&str> {
    argument.map(String::as_str).filter(|text| !text.trim().is_empty())
}

fn matcher(arguments: &Arguments) -> Result<RegexMatcher, ToolError> {
    let multiline = arguments.multiline.unwrap_or(false);
    let mut builder = RegexMatcherBuilder::new();
    builder.case_insensitive(arguments.ignore_case.unwrap_or(false)).multi_line(true).size_limit(REGEX_LIMIT);
    if multiline {
        builder.dot_matches_new_line(true);
    } else {
        builder.line_terminator(Some(b'\n')).crlf(true);
    }
    builder.build(&arguments.pattern).map_err(|error| {
        let error = error.to_string();
        ToolError::ForModel(format!(
            "`pattern` cannot be used: {}\n{}",
            error.trim_end(),
            hint(&arguments.pattern, &error)
        ))
    })
}

/// What to do about a pattern that does not compile.
fn hint(pattern: &str, error: &str) -> &'static str {
    if error.contains("look-around") || error.contains("backreference") {
        "Look-around and backreferences do not exist here. Search for the simpler part, or use `rg -P` in Bash."
    } else if error.contains("\\n") && pattern.contains("\\n") || pattern.contains('\n') {
        "Set `multiline` to true to match across lines."
    } else if error.contains("size limit") {
        "The pattern is too large when compiled. Use smaller repetitions."
    } else {
        "To find a special character itself, put a backslash before it: `\\(`, `\\{`, `\\[`, `\\.`, `\\*`."
    }
}

fn searcher(arguments: &Arguments, mode: Mode) -> SearcherBuilder {
    let multiline = arguments.multiline.unwrap_or(false);
    let lines = |own: Option<u64>| {
        let lines = if mode == Mode::Content { own.or(arguments.around).unwrap_or(0) } else { 0 };
        usize::try_from(lines).unwrap_or(usize::MAX)
    };
    let mut builder = SearcherBuilder::new();
    builder
        .binary_detection(BinaryDetection::quit(0))
        .memory_map(MmapChoice::never())
        .heap_limit(Some(usize::try_from(MAX_SCANNED).unwrap_or(usize::MAX)))
        .line_number(true)
        .multi_line(multiline)
        .after_context(lines(arguments.after))
        .before_context(lines(arguments.before));
    if !multiline {
        builder.line_terminator(LineTerminator::crlf());
    }
    builder
}

/// The glob as ripgrep reads `--glob`: without a slash it fits names in any folder.
fn globs(place: &Place, arguments: &Arguments) -> Result<Override, ToolError> {
    let mut builder = OverrideBuilder::new(place.root());
    if let Some(glob) = given(arguments.glob.as_ref()) {
        builder.add(glob.strip_prefix("./").unwrap_or(glob)).map_err(|error| {
            ToolError::ForModel(format!("`glob` cannot be used: {error}. Examples: `*.rs`, `src/**/*.{{ts,tsx}}`."))
        })?;
    }
    builder.build().map_err(|error| ToolError::ForModel(format!("`glob` cannot be used: {error}.")))
}

fn types(arguments: &Arguments) -> Result<Option<Types>, ToolError> {
    let Some(name) = given(arguments.r#type.as_ref()) else { return Ok(None) };
    let mut builder = TypesBuilder::new();
    builder.add_defaults();
    builder.select(name);
    builder.build().map(Some).map_err(|_| {
        let mut known: Vec<String> = builder.definitions().iter().map(|kind| kind.name().to_owned()).collect();
        known.sort_by(|a, b| strsim::jaro_winkler(name, b).total_cmp(&strsim::jaro_winkler(name, a)));
        known.truncate(3);
        ToolError::ForModel(format!(
            "There is no file type `{name}`. Nearest: {}. Or use `glob`, for example \"*.{name}\".",
            known.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
        ))
    })
}
