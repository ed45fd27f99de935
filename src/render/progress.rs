//! What a role is doing, in few words: one line per call, and the progress message of a run.

use crate::agent::{ToolCall, ToolName};

/// A text argument of a call, when it is there.
pub fn argument(arguments: &str, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(arguments).ok()?;
    value.get(name)?.as_str().map(str::to_owned)
}

/// A call in a few words: ``reading `src/a.rs` ``.
pub fn call_line(call: &ToolCall) -> String {
    let text = |name: &str| argument(&call.arguments, name).map(|text| short(&text)).unwrap_or_default();
    match ToolName::parse(&call.name) {
        Some(ToolName::Read) => format!("reading `{}`", text("file_path")),
        Some(ToolName::Grep) => format!("searching `{}`", text("pattern")),
        Some(ToolName::Glob) => format!("looking for `{}`", text("pattern")),
        Some(ToolName::Write) => format!("writing `{}`", text("file_path")),
        Some(ToolName::Edit) => format!("editing `{}`", text("file_path")),
        Some(ToolName::Bash) => format!("running `{}`", text("command")),
        Some(ToolName::TodoWrite) => "updating the checklist".to_owned(),
        Some(ToolName::GitLog) => "reading the history".to_owned(),
        Some(ToolName::GitDiff) => "reading the changes".to_owned(),
        Some(ToolName::GitCommit) => format!("committing “{}”", text("message")),
        Some(ToolName::GitPush) => "pushing the branch".to_owned(),
        Some(ToolName::GhCreatePr) => "opening the pull request".to_owned(),
        Some(ToolName::GhStatus) => "looking at the pull request".to_owned(),
        Some(ToolName::ProposePlan) => "proposing a plan".to_owned(),
        Some(ToolName::SlackNotify) => "writing to the thread".to_owned(),
        None => format!("calling `{}`", short(&call.name)),
    }
}

/// The first line of a text, at most 60 characters, without backticks.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().replace('`', "'");
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
