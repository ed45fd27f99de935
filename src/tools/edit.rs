//! `Edit`: replaces an exact text in a file that this conversation knows.
//!
//! Exact means exact: nothing is guessed. What does not fit is answered with the closest place and the difference.

mod closest;
#[cfg(test)]
mod tests;

use std::ops::Range;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{self, switch};
use super::read::{binary_kind, numbered_line};
use super::text::Unified;
use super::workspace::{PlaceError, PlacePath};
use super::write::{MAX_WRITTEN, must_be_known};
use super::{KnownFiles, Place, Tool, ToolContext, ToolError, ToolOutput, blocking, walk};
use crate::agent::ToolName;

/// Unchanged lines shown around a change.
const CONTEXT_LINES: usize = 3;
/// Lines of the result shown at most.
const MAX_RESULT_LINES: usize = 60;

/// The tool.
pub struct Edit;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    file_path: String,
    old_string: String,
    new_string: String,
    /// Every occurrence, not the only one.
    #[serde(default, deserialize_with = "switch")]
    replace_all: Option<bool>,
}

#[async_trait]
impl Tool for Edit {
    fn name(&self) -> ToolName {
        ToolName::Edit
    }

    fn description(&self) -> &'static str {
        include_str!("edit.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let (place, known) = (context.place.clone(), context.known_files.clone());
        blocking(move || edit(&place, &known, &arguments)).await
    }
}

fn edit(place: &Place, known: &KnownFiles, arguments: &Arguments) -> Result<ToolOutput, ToolError> {
    let path = place.path(&arguments.file_path)?;
    let content = match place.read(&path) {
        Ok(content) => content,
        Err(error @ PlaceError::Missing { .. }) if arguments.old_string.is_empty() => {
            return Err(ToolError::ForModel(format!("{error} To make a new file use Write.")));
        }
        Err(error) => return Err(walk::explain(place, &path, error)),
    };
    let text = text_of(&path, &content)?;
    must_be_known(known, &path, &content)?;
    let all = arguments.replace_all.unwrap_or(false);
    let new = replace(text, &arguments.old_string, &arguments.new_string, all)
        .map_err(|fault| ToolError::ForModel(fault.explain(&path)))?;
    if new.text.len() > MAX_WRITTEN.max(content.len()) {
        return Err(ToolError::ForModel(format!(
            "`{path}` would grow to {} bytes; Edit writes at most {} MiB. Nothing was changed.",
            new.text.len(),
            MAX_WRITTEN >> 20
        )));
    }
    place.write(&path, new.text.as_bytes())?;
    known.note(&path, new.text.as_bytes());
    let times = if new.places.len() == 1 { String::new() } else { format!(" in {} places", new.places.len()) };
    let text = match changed_lines(&new) {
        shown if shown.is_empty() => format!("Edited `{path}`{times}. It is empty now."),
        shown => format!("Edited `{path}`{times}. It now reads:\n{shown}"),
    };
    Ok(ToolOutput { text, wrote: vec![path.to_string()], ..ToolOutput::default() })
}

fn text_of<'a>(path: &PlacePath, content: &'a [u8]) -> Result<&'a str, ToolError> {
    if let Some(kind) = binary_kind(content) {
        return Err(ToolError::ForModel(format!("`{path}` is not text: {kind}. Edit changes text only.")));
    }
    std::str::from_utf8(content).map_err(|_| {
        ToolError::ForModel(format!(
            "`{path}` is not valid UTF-8, so Edit cannot change it without harm. Use `sed` or a small script in Bash."
        ))
    })
}

/// A text with its replacements made.
#[derive(Debug, PartialEq, Eq)]
struct Replaced {
    text: String,
    /// Where the new pieces stand in it.
    places: Vec<Range<usize>>,
}

/// Why nothing was replaced.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// There is nothing to look for.
    Empty,
    /// Both texts are the same.
    Same,
    /// It stands at several places, in these lines.
    Several(Vec<usize>),
    /// It stands nowhere; what is there instead.
    Nowhere(String),
}

impl Fault {
    fn explain(&self, path: &PlacePath) -> String {
        match self {
            Self::Empty => format!(
                "`old_string` is empty, and `{path}` exists. Nothing was changed. Give the text to replace; to add \
                 text, take a line next to the place into both strings."
            ),
            Self::Same => {
                "`old_string` and `new_string` are the same, so there is nothing to change. Nothing was changed."
                    .to_owned()
            }
            Self::Several(lines) => {
                const SHOWN: usize = 10;
                let shown: Vec<String> = lines.iter().take(SHOWN).map(ToString::to_string).collect();
                let more = lines.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!(
                    "`old_string` stands in `{path}` {} times, at lines {}{more}. Nothing was changed. Take more of \
                     the lines around the one you mean into both strings, or set `replace_all` to true.",
                    lines.len(),
                    shown.join(", ")
                )
            }
            Self::Nowhere(instead) => {
                format!("`old_string` does not stand in `{path}`. Nothing was changed. {instead}")
            }
        }
    }
}

/// Replaces the only occurrence of `old`, or all. In a file with CRLF line endings `\n` stands for them, and what is
/// put in gets the line ending of the place.
fn replace(text: &str, old: &str, new: &str, all: bool) -> Result<Replaced, Fault> {
    if old.is_empty() {
        return Err(Fault::Empty);
    }
    let unified = Unified::new(text);
    let exact = unified.text.len() == text.len() && text.contains(old);
    let plain = |given: &str| if exact { given.to_owned() } else { given.replace("\r\n", "\n") };
    let (old, new) = (plain(old), plain(new));
    if old == new {
        return Err(Fault::Same);
    }
    let found: Vec<usize> = unified.text.match_indices(&old).map(|(at, _)| at).collect();
    if found.is_empty() {
        return Err(Fault::Nowhere(closest::explain(&unified.text, &old)));
    }
    if found.len() > 1 && !all {
        return Err(Fault::Several(found.iter().map(|at| line_of(&unified.text, *at)).collect()));
    }
    let crlf = new.replace('\n', "\r\n");
    let mut result = String::with_capacity(text.len() + crlf.len());
    let mut places = Vec::with_capacity(found.len());
    let mut from = 0;
    for at in found {
        // What lies between comes from the original, so that what was not asked for stays byte for byte.
        result.push_str(&text[from..unified.original(at)]);
        let begin = result.len();
        result.push_str(if unified.is_crlf_at(at) { &crlf } else { &new });
        places.push(begin..result.len());
        from = unified.original(at + old.len());
    }
    result.push_str(&text[from..]);
    Ok(Replaced { text: result, places })
}

/// The line, from 1, that a position is in.
fn line_of(text: &str, position: usize) -> usize {
    text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The changed lines with their numbers and a few around them.
fn changed_lines(replaced: &Replaced) -> String {
    let lines: Vec<&str> = replaced.text.lines().collect();
    let mut shown: Vec<usize> = Vec::new();
    for place in &replaced.places {
        let first = line_of(&replaced.text, place.start).saturating_sub(CONTEXT_LINES).max(1);
        let last = (line_of(&replaced.text, place.end) + CONTEXT_LINES).min(lines.len());
        shown.extend(first.max(shown.last().map_or(0, |line| line + 1))..=last);
        if shown.len() > MAX_RESULT_LINES {
            break;
        }
    }
    let cut = shown.len() > MAX_RESULT_LINES;
    shown.truncate(MAX_RESULT_LINES);
    let mut text = String::new();
    let mut before = shown.first().map_or(0, |line| line - 1);
    for line in shown {
        if line > before + 1 {
            text.push_str("   ...\n");
        }
        text.push_str(&numbered_line(line, lines[line - 1].trim_start_matches('\u{feff}')));
        text.push('\n');
        before = line;
    }
    text.push_str(if cut { "[more changed lines are not shown]" } else { "" });
    text.truncate(text.trim_end_matches('\n').len());
    text
}
