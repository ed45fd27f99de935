//! What a role is doing, in few words: one line per call, and the progress message of a run.

use super::cards;
use super::post::{ButtonStyle, Post};
use crate::agent::{Role, ToolCall, ToolName};
use crate::ids::Millis;
use crate::thread::command::Action;
use crate::thread::plan::TodoStatus;
use crate::thread::state::Run;

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

/// The progress message of a run: what it is doing, and its figures. `None` until it does something worth showing.
pub fn progress(role: Role, run: &Run, at: Millis, ended: bool) -> Option<Post> {
    if run.calls_done == 0 && run.calls.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    for todo in &run.todos {
        let mark = match todo.status {
            TodoStatus::Completed => "✔",
            TodoStatus::InProgress => "▸",
            TodoStatus::Pending => "·",
        };
        parts.push(format!("{mark} {}", todo.content));
    }
    let mut text = parts.join("\n");
    if !ended && !run.doing.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&run.doing.iter().take(4).cloned().collect::<Vec<_>>().join(", "));
        text.push_str(" …");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let mut figures = Vec::new();
    let mut count = |number: usize, what: &str| {
        if number > 0 {
            figures.push(format!("{number} {what}{}", if number == 1 { "" } else { "s" }));
        }
    };
    count(run.read.len(), "file");
    count(run.wrote.len(), "edited file");
    count(run.calls_done as usize, "call");
    figures.push(format!("{} s", at.since(run.started) / 1000));
    figures.push(run.usage.cost_text());
    text.push_str(&format!("_{}_", figures.join(" · ")));
    let buttons = if ended || role != Role::Coder {
        Vec::new()
    } else {
        vec![cards::button(Action::RunStop, run.id.to_string(), "Stop", ButtonStyle::Plain)]
    };
    Some(cards::card(role, text, buttons))
}
