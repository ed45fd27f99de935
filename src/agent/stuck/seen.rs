//! One call and its result, as far as it shows whether a run gets on.

use super::print;
use crate::agent::tool_name::Conduct;
use crate::agent::{ToolCall, ToolName};
use crate::render::progress::argument;
use crate::render::text::first_line;
use crate::thread::event::ToolResult;
use crate::thread::evidence;

/// Commands that look for something, and whose failure without a word is an answer.
const QUESTIONS: [&str; 12] =
    ["grep", "egrep", "rg", "test", "[", "diff", "cmp", "which", "command", "ls", "pgrep", "find"];

/// One call and its result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// The tool and its arguments.
    pub(super) call: u64,
    /// What came of it.
    pub(super) result: u64,
    /// It did not work.
    pub(super) error: bool,
    /// Whether something new can be learned by it.
    pub(super) may_teach: bool,
    /// It is a command that ran.
    pub(super) is_command: bool,
    /// It is a command that failed.
    pub(super) failed: bool,
    /// It is a command that failed and said why.
    pub(super) complains: bool,
    /// It is a command that printed something.
    pub(super) speaks: bool,
    /// It can change no file.
    pub(super) looks: bool,
    /// Doing it again is no sign of anything: it waits for others.
    pub(super) may_repeat: bool,
    pub(super) edit: Option<Edit>,
    /// What was done, as a participle: ``run `make` ``.
    pub(super) did: String,
    /// What it said of a failure, with the punctuation before it.
    pub(super) words: String,
}

/// A change of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    file: u64,
    /// `None`: the whole file was written.
    from: Option<u64>,
    to: u64,
}

impl Edit {
    fn of(tool: Option<ToolName>, arguments: &str) -> Option<Self> {
        let hash = |name| argument(arguments, name).map(|text| print::text(&text));
        let file = print::text(argument(arguments, "file_path")?.trim_start_matches("./"));
        match tool {
            Some(ToolName::Edit) => Some(Self { file, from: Some(hash("old_string")?), to: hash("new_string")? }),
            Some(ToolName::Write) => Some(Self { file, from: None, to: hash("content")? }),
            _ => None,
        }
    }

    /// Whether it puts a file back to what it was before one of the earlier edits.
    pub(super) fn returns(&self, earlier: &[Self]) -> bool {
        let mut of_file = earlier.iter().rev().filter(|edit| edit.file == self.file);
        match self.from {
            Some(_) => of_file.any(|edit| (edit.from, Some(edit.to)) == (Some(self.to), self.from)),
            // What was written last is there still.
            None => of_file.next().is_some_and(|last| last != self) && of_file.any(|edit| edit == self),
        }
    }

    /// The same for an edit and the one that undoes it.
    pub(super) fn pair(&self) -> u64 {
        let both = self.from.map(|from| print::mix(from.min(self.to), from.max(self.to)));
        print::mix(self.file, both.unwrap_or_default())
    }
}

impl Seen {
    /// `None` for a call that was cut from outside: it says nothing about the run.
    pub(super) fn of(call: &ToolCall, tool: Option<ToolName>, result: &ToolResult) -> Option<Self> {
        if ["Interrupted:", "Not run:", "Not answered:"].iter().any(|begin| result.text.starts_with(begin)) {
            return None;
        }
        let is_command = tool == Some(ToolName::Bash) && !result.error;
        let command = argument(&call.arguments, "command").unwrap_or_default();
        let first = command.split_whitespace().next().unwrap_or_default();
        let is_quiet = result.text.starts_with("(no output)");
        let failed = is_command && result.exit != Some(0);
        let asks = is_quiet && QUESTIONS.contains(&first);
        let result_print = match tool {
            // Of what was asked, the answer may be in other words each time.
            Some(ToolName::AskPm | ToolName::AskUser) if !result.error => 0,
            Some(ToolName::Bash) => print::output(&result.text),
            _ => print::text(&result.text),
        };
        let says = result.error || failed && !is_quiet;
        let edit = if result.error { None } else { Edit::of(tool, &call.arguments) };
        let is_remark = matches!(tool, Some(ToolName::TodoWrite | ToolName::SlackNotify));
        Some(Self {
            call: print::call(call),
            result: result_print,
            error: result.error,
            may_teach: !result.error && edit.is_none() && !is_remark,
            is_command,
            failed: failed && !asks,
            complains: failed && !is_quiet,
            speaks: is_command && !is_quiet,
            looks: tool.is_some_and(|tool| tool.conduct() == Conduct::Reads)
                || is_command && evidence::only_reads(&evidence::normal(&command)),
            may_repeat: tool == Some(ToolName::GhStatus) || is_command && first == "sleep",
            edit,
            did: did(call, tool),
            words: if says { format!(": “{}”", telling_line(&result.text)) } else { String::new() },
        })
    }
}

/// A call as something that was done.
fn did(call: &ToolCall, tool: Option<ToolName>) -> String {
    let of = |verb: &str, name: &str| {
        let what = argument(&call.arguments, name).unwrap_or_default();
        format!("{verb} `{}`", first_line(&what, 80).replace('`', "'"))
    };
    match tool {
        Some(ToolName::Read) => of("read", "file_path"),
        Some(ToolName::Grep) => of("searched for", "pattern"),
        Some(ToolName::Glob) => of("looked for", "pattern"),
        Some(ToolName::Write) => of("written", "file_path"),
        Some(ToolName::Edit) => of("edited", "file_path"),
        Some(ToolName::Bash) => of("run", "command"),
        Some(tool) => format!("called `{tool}`"),
        None => format!("called `{}`", first_line(&call.name, 40).replace('`', "'")),
    }
}

/// The line of an output that says most about a failure: the first that speaks of an error, else the last before the exit
/// code.
fn telling_line(text: &str) -> String {
    let signs = ["error", "panicked", "FAIL", "Error", "assert", "Traceback", "not found", "No such"];
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = || lines().rfind(|line| !line.starts_with("exit code") && !line.starts_with("no exit code"));
    let line = lines().find(|line| signs.iter().any(|sign| line.contains(sign))).or_else(last).unwrap_or_default();
    first_line(line, 160)
}
