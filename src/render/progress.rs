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

/// The progress message of a run: what it is doing, and its figures. `None` until it does something worth showing; the
/// Coder shows at once that it is at work and can be stopped.
pub fn progress(role: Role, run: &Run, at: Millis, ended: bool) -> Option<Post> {
    let silent = run.calls_done == 0 && run.calls.is_empty();
    if silent && role != Role::Coder {
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
    if !ended && silent {
        parts.push("reading the plan …".to_owned());
    } else if !ended && !run.doing.is_empty() {
        parts.push(format!("{} …", run.doing.iter().take(4).cloned().collect::<Vec<_>>().join(", ")));
    }
    let figures = figures(run, at);
    if !figures.is_empty() {
        parts.push(format!("_{}_", figures.join(" · ")));
    } else if parts.is_empty() {
        parts.push("_no calls_".to_owned());
    }
    let buttons = if ended || role != Role::Coder {
        Vec::new()
    } else {
        vec![cards::button(Action::RunStop, run.id.to_string(), "Stop", ButtonStyle::Plain)]
    };
    Some(cards::card(role, parts.join("\n"), buttons))
}

/// What a run has done so far, in numbers; those that are nothing are left out.
fn figures(run: &Run, at: Millis) -> Vec<String> {
    let plural = |number: usize| if number == 1 { "" } else { "s" };
    let (read, wrote, calls) = (run.read.len(), run.wrote.len(), run.calls_done as usize);
    let seconds = at.since(run.started) / 1000;
    let all = [
        (read > 0, format!("{read} file{} read", plural(read))),
        (wrote > 0, format!("{wrote} edited")),
        (calls > 0, format!("{calls} call{}", plural(calls))),
        (seconds > 0, format!("{seconds} s")),
        (!run.usage.is_free(), run.usage.cost_text()),
    ];
    all.into_iter().filter_map(|(shown, text)| shown.then_some(text)).collect()
}
