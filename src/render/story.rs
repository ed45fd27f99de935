//! A thread's story in lines: what each event means in a few words, and what a thread is at just now. Pure.
//!
//! One function serves the log and those who look at a thread later, so that both tell the same story. What people and
//! models said stands only in [`Line::told`]: the log keeps to [`Line::text`], which says who and how much.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::progress::call_line;
use crate::agent::{Role, ToolCall, ToolName, Usage};
use crate::ids::{Millis, RunId, UserId};
use crate::thread::event::{Answer, Event, Failure, Message, Publication, Reply, RunOutcome, ToolResult};
use crate::thread::state::{Run, Stalled, Thread, WorkspaceState};

/// How much of a text is told, in characters.
const EXCERPT: usize = 160;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A person said something.
    Message,
    /// A role did something.
    Role(Role),
    /// The thread moved on.
    Info,
    /// Something went wrong; the thread was told.
    Warning,
}

impl Tag {
    /// The tag as logs have it (section 22 of the specification).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "MSG",
            Self::Role(Role::Pm) => "PM",
            Self::Role(Role::Researcher) => "RSH",
            Self::Role(Role::Coder) => "CLD",
            Self::Role(Role::Artist) => "IMG",
            Self::Role(Role::Lead) => "LED",
            Self::Info => "INF",
            Self::Warning => "WRN",
        }
    }
}

/// One event in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub tag: Tag,
    /// What happened, without what was said: for the log.
    pub text: String,
    /// What happened with the first words of what was said: for those who may read the thread.
    pub told: String,
}

impl Line {
    fn plain(tag: Tag, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { tag, told: text.clone(), text }
    }

    /// A line and what was said, after a colon.
    fn said(tag: Tag, text: impl Into<String>, said: &str) -> Self {
        let text = text.into();
        let said = excerpt(said);
        let told = if said.is_empty() { text.clone() } else { format!("{text}: {said}") };
        Self { tag, text, told }
    }

    fn failed(what: &str, failure: &Failure) -> Self {
        Self::plain(Tag::Warning, format!("{what}: {}", excerpt(&failure.what)))
    }
}

/// What an event means, given the thread before and after it; `None` when nobody would miss it.
pub fn line(before: &Thread, after: &Thread, event: &Event, at: Millis) -> Option<Line> {
    let info = |text: String| Some(Line::plain(Tag::Info, text));
    let name = |user: &UserId| who(after, user);
    match event {
        Event::ThreadOpened { by } => info(format!("{} opened the thread", name(by))),
        Event::MessageReceived { message } => Some(message_line(after, message)),
        Event::MessageEdited { text, .. } => {
            let what = format!("an unread message was changed to {}", characters(text));
            Some(Line::said(Tag::Message, what, text))
        }
        Event::MessageDeleted { .. } => Some(Line::plain(Tag::Message, "an unread message was deleted")),
        Event::CommandTaken { by, answer, .. } => Some(command_line(&name(by), answer)),
        Event::Refused { by, reason, .. } => {
            Some(Line::said(Tag::Message, format!("{} was refused", name(by)), reason))
        }
        Event::BaseReady { base } => {
            let text = format!("stands on {}@{}", base.branch, base.commit.short());
            Some(Line::said(Tag::Info, text, base.notice.as_deref().unwrap_or_default()))
        }
        Event::BaseFailed { failure } => Some(Line::failed("no base", failure)),
        Event::RunStarted { run, role, model } => {
            Some(Line::plain(Tag::Role(*role), format!("run {run} begins with {model}")))
        }
        Event::ReplyReceived { run, turn, reply } => {
            let (role, _) = before.run(*run)?;
            Some(reply_line(role, *run, *turn, reply))
        }
        Event::ToolFinished { run, call, result } => {
            let (role, active) = before.run(*run)?;
            let state = active.open_call(call)?;
            let took = state.started.then(|| at.since(state.since));
            Some(tool_line(role, &state.call, took, result))
        }
        Event::TodosWritten { run, todos } => {
            let (role, _) = before.run(*run)?;
            let done = todos.iter().filter(|todo| todo.status == crate::thread::plan::TodoStatus::Completed).count();
            Some(Line::plain(Tag::Role(role), format!("checklist: {done} of {} done", todos.len())))
        }
        Event::NotePosted { role, text } => {
            Some(Line::said(Tag::Role(*role), format!("posts a note of {}", characters(text)), text))
        }
        Event::RunEnded { run, outcome } => {
            let (role, ended) = before.run(*run)?;
            Some(run_end(after, role, ended, outcome, at))
        }
        Event::PlanProposed { id, plan, .. } => {
            let text = format!("proposes plan {id} with {}", count(plan.steps.len(), "step"));
            Some(Line::said(Tag::Role(Role::Pm), text, &plan.title))
        }
        Event::PlanChangeAsked { id, by } => info(format!("{} wants plan {id} changed", name(by))),
        Event::PlanApproved { id, by } => info(format!("{} approved plan {id}", name(by))),
        Event::PlanCancelled { id, by } => info(format!("{} cancelled plan {id}", name(by))),
        Event::WorkspaceReady { workspace } => {
            info(format!("worktree on {} from {}@{}", workspace.branch, workspace.base_branch, workspace.base.short()))
        }
        Event::WorkspaceFailed { failure } => Some(Line::failed("no worktree", failure)),
        Event::WorkspaceInitialised { steps } => {
            let failed = steps.iter().filter(|step| !step.ok).count();
            let text = format!("worktree initialised by {}, {failed} failed", count(steps.len(), "command"));
            let tag = if failed == 0 { Tag::Info } else { Tag::Warning };
            (!steps.is_empty()).then(|| Line::plain(tag, text))
        }
        Event::Committed { commit } => Some(Line::plain(Tag::Role(Role::Coder), format!("commit {}", commit.short()))),
        Event::Pushed { head } => Some(Line::plain(Tag::Role(Role::Coder), format!("pushed {}", head.short()))),
        Event::PullRequestOpened { pull } => {
            let draft = if pull.draft { "draft pull request" } else { "pull request" };
            let text = format!("{draft} #{} is open {}", pull.number, pull.url);
            Some(Line::said(Tag::Role(Role::Coder), text.trim_end(), &pull.title))
        }
        Event::WorkPublished { run, summary } => Some(Line::plain(Tag::Role(Role::Coder), publication(*run, summary))),
        Event::PublishFailed { failure, .. } => Some(Line::failed("the work is not published", failure)),
        Event::MergeRequested { by, head, .. } => info(format!("{} wants {} merged", name(by), head.short())),
        Event::MergeRefused { failure } => Some(Line::failed("not merged", failure)),
        Event::Merged { commit } => info(format!("merged as {}", commit.short())),
        Event::CloseRequested { by, .. } => info(format!("{} wants the thread closed", name(by))),
        Event::CleanedUp { leftovers } if leftovers.is_empty() => info("cleaned up".to_owned()),
        Event::CleanedUp { leftovers } => {
            Some(Line::plain(Tag::Warning, format!("cleaned up but for {}", excerpt(&leftovers.join("; ")))))
        }
        Event::ThreadClosed { merged: true } => info("closed, merged".to_owned()),
        Event::ThreadClosed { merged: false } => info("closed without a merge".to_owned()),
        Event::PmModelChosen { by, name: model, model: slug, .. } => {
            info(format!("{} chose {model} ({slug}) as PM", name(by)))
        }
        Event::StopRequested { by, .. } => info(format!("{} stopped what was running", name(by))),
        Event::RetryRequested { by, .. } => info(format!("{} wants it tried again", name(by))),
        Event::PersonNamed { .. }
        | Event::ConversationOpened { .. }
        | Event::Heard { .. }
        | Event::Noted { .. }
        | Event::ToolsStarted { .. } => None,
    }
}

/// What a thread is doing, or what it waits for, as a predicate: `waits for …`, `stopped: …`.
pub fn doing(thread: &Thread) -> String {
    if let Some(closing) = &thread.closing {
        return match (closing.closed, closing.merged) {
            (true, true) => "closed, merged".to_owned(),
            (true, false) => "closed without a merge".to_owned(),
            (false, _) => "cleaning up".to_owned(),
        };
    }
    let mut parts: Vec<String> = thread.runs.iter().map(|(role, run)| at_work(*role, run)).collect();
    if thread.publishing.is_some() {
        parts.push("bringing the Coder's work to the pull request".to_owned());
    }
    if thread.merging.is_some() {
        parts.push("merging".to_owned());
    }
    if let Some(stalled) = thread.stalled.last().filter(|_| parts.is_empty()) {
        return format!("stopped: {} (`!retry` goes on)", excerpt(&reason(stalled)));
    }
    if let Some(plan) = thread.waiting_plan() {
        parts.push(format!("waits for an approval of “{}”", excerpt(&plan.plan.title)));
    }
    if !parts.is_empty() {
        return parts.join(", ");
    }
    if thread.opened_by.is_some() && thread.base.is_none() {
        return "fetching the code".to_owned();
    }
    match (&thread.workspace, &thread.pull) {
        (WorkspaceState::Wanted, _) => "making the worktree".to_owned(),
        (WorkspaceState::Ready { initialised: false, .. }, _) => "initialising the worktree".to_owned(),
        (_, Some(pull)) => format!("waits for the merge of pull request #{}", pull.number),
        (WorkspaceState::None | WorkspaceState::Ready { .. } | WorkspaceState::Removed, None) => {
            "waits for a message".to_owned()
        }
    }
}

/// Why a thread does not go on by itself.
pub fn reason(stalled: &Stalled) -> String {
    match stalled {
        Stalled::Base(failure) | Stalled::Workspace(failure) | Stalled::Merge(failure) => failure.what.clone(),
        Stalled::Run(role) => format!("the {} stopped before it was done", role.title()),
        Stalled::Publish(_) => "the work could not be brought to the pull request".to_owned(),
    }
}

/// The first words of a text, in one line.
pub fn excerpt(text: &str) -> String {
    // Not all of a huge text is looked at.
    let start: String = text.chars().take(EXCERPT * 4).collect();
    let words = start.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None if start.len() < text.len() => format!("{words}…"),
        None => words,
    }
}

fn at_work(role: Role, run: &Run) -> String {
    let open: Vec<String> =
        run.calls.iter().filter(|state| state.started && !state.done).map(|state| call_line(&state.call)).collect();
    let what = if open.is_empty() { "thinking".to_owned() } else { open.join(", ") };
    format!("{} at work, turn {}: {what}", role.title(), run.turns + u32::from(run.thinks()))
}

/// `Ana (U1)`; the id alone when there is no name.
fn who(thread: &Thread, user: &UserId) -> String {
    match thread.name_of(user) {
        name if name == user.as_str() => name.to_owned(),
        name => format!("{name} ({user})"),
    }
}

fn message_line(after: &Thread, message: &Message) -> Line {
    let Message { from, text, files, .. } = message;
    let mut what = format!("{} wrote {}", who(after, from), characters(text));
    if !files.is_empty() {
        let _ = write!(what, " and sent {}", count(files.len(), "file"));
    }
    Line::said(Tag::Message, what, text)
}

fn command_line(name: &str, answer: &Answer) -> Line {
    match answer {
        Answer::None => Line::plain(Tag::Message, format!("{name} gave a command")),
        Answer::Text { text } => Line::said(Tag::Message, format!("{name} gave a command and was answered"), text),
        Answer::ModelPool { .. } => Line::plain(Tag::Message, format!("{name} was shown the PM's models")),
    }
}

fn reply_line(role: Role, run: RunId, turn: u32, reply: &Reply) -> Line {
    let Reply { text, calls, model, usage, .. } = reply;
    let mut does = Vec::new();
    if !text.trim().is_empty() {
        does.push(format!("says {}", characters(text.trim())));
    }
    if !calls.is_empty() {
        does.push(format!("calls {}", calls_text(calls)));
    }
    if does.is_empty() {
        does.push("says nothing".to_owned());
    }
    let what = format!("run {run}, turn {turn}: {} · {model} · {}", does.join(" and "), usage_text(usage));
    Line::said(Tag::Role(role), what, text)
}

/// `Read ×2, Bash`.
fn calls_text(calls: &[ToolCall]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for name in calls.iter().map(tool_name) {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let words = counts.into_iter().map(|(name, count)| if count == 1 { name } else { format!("{name} ×{count}") });
    words.collect::<Vec<_>>().join(", ")
}

/// The tool's name. A name that we do not know is the model's own words and is cut short.
fn tool_name(call: &ToolCall) -> String {
    match ToolName::parse(&call.name) {
        Some(tool) => tool.as_str().to_owned(),
        None => format!("“{}”", call.name.chars().take(40).collect::<String>()),
    }
}

fn usage_text(usage: &Usage) -> String {
    let Usage { prompt_tokens, cached_tokens, completion_tokens, .. } = usage;
    format!("{prompt_tokens} tokens in ({cached_tokens} cached), {completion_tokens} out · {}", usage.cost_text())
}

fn tool_line(role: Role, call: &ToolCall, took: Option<i64>, result: &ToolResult) -> Line {
    let mut text = tool_name(call);
    match (result.exit, result.error) {
        (Some(code), _) => {
            let _ = write!(text, " ended with exit code {code}");
        }
        (None, true) => text.push_str(" failed"),
        (None, false) => text.push_str(" done"),
    }
    match took {
        Some(millis) => {
            let _ = write!(text, " in {millis} ms");
        }
        // The daemon itself answers some calls at once; an error of those that it does not is a refusal.
        None if result.error => text.push_str(" without having run"),
        None => {}
    }
    let why = if result.error {
        format!(": {}", excerpt(result.text.lines().next().unwrap_or_default()))
    } else {
        String::new()
    };
    let told = format!("{text} · {}{why}", call_line(call));
    Line { tag: Tag::Role(role), text, told }
}

fn run_end(after: &Thread, role: Role, run: &Run, outcome: &RunOutcome, at: Millis) -> Line {
    let (turns, calls) = (count(run.turns as usize, "turn"), count(run.calls_done as usize, "call"));
    let figures = format!("{turns}, {calls}, {} s, {}", at.since(run.started) / 1000, run.usage.cost_text());
    let (tag, how) = match outcome {
        RunOutcome::Answered { .. } => (Tag::Role(role), "ended".to_owned()),
        RunOutcome::Stopped { by } => (Tag::Role(role), format!("was stopped by {}", who(after, by))),
        RunOutcome::LimitReached { turns, .. } => {
            (Tag::Warning, format!("of the {} used up its {turns} turns", role.title()))
        }
        RunOutcome::Failed { failure } => {
            (Tag::Warning, format!("of the {} failed: {}", role.title(), excerpt(&failure.what)))
        }
    };
    Line::plain(tag, format!("run {} {how} · {figures}", run.id))
}

fn publication(run: RunId, summary: &Publication) -> String {
    let Publication { head, files, added, removed, left_out, .. } = summary;
    match head {
        Some(head) => {
            let left = if left_out.is_empty() { String::new() } else { format!(", {} left out", left_out.len()) };
            format!(
                "work of run {run} published at {}: {}, +{added} −{removed}{left}",
                head.short(),
                count(*files as usize, "file")
            )
        }
        None => format!("run {run} changed nothing"),
    }
}

/// `1 file`, `2 files`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn characters(text: &str) -> String {
    count(text.chars().count(), "character")
}
