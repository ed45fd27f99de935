//! What a role is doing, in few words: one line per call, and the progress message of a run.

use super::cards;
use super::post::{ButtonStyle, Post};
use super::text::first_line;
use crate::agent::{Role, ToolCall, ToolName};
use crate::ids::Millis;
use crate::thread::command::Action;
use crate::thread::plan::{Todo, TodoStatus};
use crate::thread::state::{Queue, Run};

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
        Some(ToolName::AskUser) => "waiting for an answer".to_owned(),
        Some(ToolName::SlackNotify) => "writing to the thread".to_owned(),
        None => format!("calling `{}`", short(&call.name)),
    }
}

/// The first line of a text, at most 60 characters, without backticks.
fn short(text: &str) -> String {
    first_line(text, 60).replace('`', "'")
}

/// As many items of a checklist, and as many characters of each, as a message that is edited again and again may hold.
const MOST_TODOS: usize = 20;
const MOST_OF_TODO: usize = 120;

/// The checklist, a line each: of a long one the part from shortly before what is not done yet.
fn checklist(todos: &[Todo]) -> Vec<String> {
    let begun = todos.iter().position(|todo| todo.status != TodoStatus::Completed).unwrap_or(todos.len());
    let from = begun.saturating_sub(MOST_TODOS / 4).min(todos.len().saturating_sub(MOST_TODOS));
    let shown = &todos[from..todos.len().min(from + MOST_TODOS)];
    let line = |todo: &Todo| {
        let mark = match todo.status {
            TodoStatus::Completed => "✔",
            TodoStatus::InProgress => "▸",
            TodoStatus::Pending => "·",
        };
        format!("{mark} {}", first_line(&todo.content, MOST_OF_TODO))
    };
    let left_out = |count: usize, what: &str| (count > 0).then(|| format!("_{count} {what}_"));
    let mut lines: Vec<String> = left_out(from, "done before").into_iter().collect();
    lines.extend(shown.iter().map(line));
    lines.extend(left_out(todos.len() - from - shown.len(), "more"));
    lines
}

/// The progress message of a run: what it is doing, and its figures. `None` until it does something worth showing; the
/// Coder shows at once that it is at work and can be stopped.
pub fn progress(role: Role, run: &Run, at: Millis, ended: bool) -> Option<Post> {
    let silent = run.calls_done == 0 && run.calls.is_empty();
    if silent && run.queue.is_none() && role != Role::Coder {
        return None;
    }
    let mut parts = checklist(&run.todos);
    if let Some(queue) = run.queue.as_ref().filter(|_| !ended) {
        parts.push(waiting(role, queue));
    } else if !ended && silent {
        parts.push("thinking …".to_owned());
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

/// `waiting for another Coder to end: place 2 in the queue`.
fn waiting(role: Role, queue: &Queue) -> String {
    let what = match &queue.build {
        Some(platform) => format!("another {platform} build"),
        None => format!("another {}", role.title()),
    };
    format!("waiting for {what} to end: place {} in the queue. It begins by itself.", queue.place)
}

/// `answered by c/d in place of a/b`, when a fallback gave the last reply.
pub fn stand_in(run: &Run) -> String {
    run.stand_in.as_ref().map_or_else(String::new, |model| format!("answered by {model} in place of {}", run.model))
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
        (run.stand_in.is_some(), stand_in(run)),
    ];
    all.into_iter().filter_map(|(shown, text)| shown.then_some(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Role, Run, Todo, TodoStatus, checklist, progress};
    use crate::agent::Usage;
    use crate::ids::{Millis, RunId};
    use crate::render::post::Post;

    fn run(calls_done: u32, read: &[&str], usage: Usage) -> Run {
        Run {
            exceeded: 0,
            spoke: false,
            id: RunId(1),
            model: "m".to_owned(),
            stand_in: None,
            cut: false,
            turns: 0,
            answer: None,
            queue: None,
            calls: Vec::new(),
            started: Millis(0),
            stale: false,
            messages: Vec::new(),
            todos: Vec::new(),
            doing: Vec::new(),
            calls_done,
            read: read.iter().map(|file| (*file).to_owned()).collect(),
            wrote: Default::default(),
            usage,
        }
    }

    #[test]
    fn a_checklist_of_any_size_fits_into_a_message() {
        let todo = |number: usize, status| Todo { content: format!("step {number}"), status };
        let list = |done: usize, all: usize| -> Vec<Todo> {
            let status = |number| if number < done { TodoStatus::Completed } else { TodoStatus::Pending };
            (0..all).map(|number| todo(number, status(number))).collect()
        };
        assert_eq!(checklist(&list(1, 2)), ["✔ step 0", "· step 1"]);
        assert_eq!(checklist(&list(20, 20)).len(), 20);
        let middle = checklist(&list(30, 100));
        assert_eq!([&middle[0], &middle[1], &middle[6]], ["_25 done before_", "✔ step 25", "· step 30"]);
        assert_eq!((middle.len(), middle[21].as_str()), (22, "_55 more_"));
        let end = checklist(&list(100, 100));
        assert_eq!((end[0].as_str(), end[1].as_str(), end.len()), ("_80 done before_", "✔ step 80", 21));
        let long = "| a |\n|---|\n".to_owned() + &"x".repeat(100_000);
        let huge = vec![Todo { content: long, status: TodoStatus::InProgress }; 1_000];
        assert_eq!(checklist(&huge)[0], "▸ | a |");
        let wide = vec![Todo { content: "ä".repeat(100_000), status: TodoStatus::InProgress }; 1_000];
        assert!(checklist(&wide).join("\n").chars().count() < crate::render::text::MESSAGE_CHARS);
    }

    #[test]
    fn progress_says_what_there_is_to_say() {
        let free = Usage { calls: 1, ..Usage::default() };
        let paid = Usage { calls: 1, cost_usd: 0.25, ..Usage::default() };
        let cases = [
            (Role::Pm, run(0, &[], free), 0, false, None),
            (Role::Coder, run(0, &[], free), 0, false, Some("thinking …")),
            (Role::Coder, run(0, &[], paid), 2_000, false, Some("thinking …\n_2 s · $0.25_")),
            (Role::Coder, run(0, &[], free), 0, true, Some("_no calls_")),
            (Role::Pm, run(1, &["a"], free), 999, true, Some("_1 file read · 1 call_")),
            (Role::Pm, run(3, &["a", "b"], paid), 9_000, true, Some("_2 files read · 3 calls · 9 s · $0.25_")),
        ];
        for (role, run, at, ended, expected) in cases {
            let text = progress(role, &run, Millis(at), ended).map(|post| match post {
                Post::Message { text, .. } => text,
                other => panic!("no message: {other:?}"),
            });
            assert_eq!(text.as_deref(), expected);
        }
    }
}
