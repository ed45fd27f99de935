//! A thread's story in lines: what each event means in a few words, and what a thread is at just now. Pure.
//!
//! One function serves the log and those who look at a thread later, so that both tell the same story. What people and
//! models said stands only in [`Line::told`]: the log keeps to [`Line::text`], which says who and how much.

mod checks;
mod consult;
mod context;
mod money;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::progress::call_line;
use crate::agent::{Role, ToolCall, ToolName, Usage};
use crate::ids::{MessageTs, Millis, RunId, UserId};
use crate::thread::event::{
    Answer, Base, Event, Failure, InitStep, Message, Publication, PullRequest, Reply, RunOutcome, ToolResult, Workspace,
};
use crate::thread::outside::Outside;
use crate::thread::plan::{Todo, TodoStatus};
use crate::thread::stalled::{Part, Stalled};
use crate::thread::state::{Run, Thread, WorkspaceState};

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

    /// A line, and for those who may read it `lead` and what was said in place of the text.
    fn said(tag: Tag, text: impl Into<String>, lead: &str, said: &str) -> Self {
        let (text, said) = (text.into(), excerpt(said));
        Self { tag, text, told: if said.is_empty() { lead.to_owned() } else { format!("{lead}: {said}") } }
    }

    /// A line, and what was said after it.
    fn and(tag: Tag, text: &str, said: &str) -> Self {
        Self::said(tag, text, text, said)
    }

    fn failed(what: &str, failure: &Failure) -> Self {
        Self::plain(Tag::Warning, format!("{what}: {}", excerpt(&failure.what)))
    }
}

/// What an event means, given the thread before and after it; `None` when nobody would miss it.
pub fn line(before: &Thread, after: &Thread, event: &Event, at: Millis) -> Option<Line> {
    let name = |user: &UserId| who(after, user);
    let info = |text: String| Some(Line::plain(Tag::Info, text));
    let role = |role: Role, text: String| Some(Line::plain(Tag::Role(role), text));
    match event {
        Event::ThreadOpened { by } => info(format!("{} opened the thread", name(by))),
        Event::MessageReceived { message } => Some(message_line(after, message)),
        Event::MessageEdited { ts, text } => Some(edited_line(before, ts, text)),
        Event::MessageDeleted { ts } => Some(deleted_line(before, ts)),
        Event::CommandTaken { by, answer, .. } => Some(command_line(&name(by), answer)),
        Event::Refused { by, reason, .. } => {
            Some(Line::and(Tag::Message, &format!("{} was refused", name(by)), reason))
        }
        Event::BaseReady { base } => Some(base_line(base)),
        Event::BaseFailed { failure } => Some(Line::failed("no base", failure)),
        Event::RunStarted { run, role: of, model, .. } => role(*of, format!("run {run} begins with {model}")),
        Event::ReplyReceived { run, turn, reply } => Some(reply_line(before.run(*run)?.0, *run, *turn, reply)),
        Event::ToolFinished { run, call, result } => {
            let (role, active) = before.run(*run)?;
            let state = active.open_call(call)?;
            let took = state.started.then(|| at.since(state.since));
            Some(tool_line(role, &state.call, took, result))
        }
        Event::TodosWritten { run, todos } => role(before.run(*run)?.0, checklist(todos)),
        Event::NotePosted { role, text } => Some(note_line(*role, text)),
        Event::RunEnded { run, outcome } => {
            let (role, ended) = before.run(*run)?;
            Some(run_end(after, role, ended, outcome, at))
        }
        Event::QuestionAsked { .. }
        | Event::QuestionAnswered { .. }
        | Event::PmAsked { .. }
        | Event::PmAnswered { .. }
        | Event::StuckNoticed { .. } => consult::line(before, after, event),
        Event::Outside { news } => info(outside(after, news)),
        Event::Checks { news } => Some(checks::line(after, news)),
        Event::ContextChanged { run, change } => role(before.run(*run)?.0, context::words(change)),
        Event::Budget { news } => Some(money::line(before, after, news)),
        Event::Spent { spent } => Some(money::spent(spent)),
        Event::RunQueued { run, place, build } => role(before.run(*run)?.0, queued(*run, *place, build.as_deref())),
        Event::PlanProposed { id, plan, .. } => {
            let text = format!("proposes plan {id} with {}", count(plan.steps.len(), "step"));
            Some(Line::and(Tag::Role(Role::Pm), &text, &plan.title))
        }
        Event::PlanChangeAsked { id, by } => info(format!("{} wants plan {id} changed", name(by))),
        Event::PlanApproved { id, by } => info(format!("{} approved plan {id}", name(by))),
        Event::PlanCancelled { id, by } => info(format!("{} cancelled plan {id}", name(by))),
        Event::WorkspaceReady { workspace: Workspace { branch, base_branch, base, .. } } => {
            info(format!("worktree on {branch} from {base_branch}@{}", base.short()))
        }
        Event::WorkspaceFailed { failure } => Some(Line::failed("no worktree", failure)),
        Event::WorkspaceInitialised { steps } => initialised_line(steps),
        Event::Committed { commit } => role(Role::Coder, format!("commit {}", commit.short())),
        Event::Pushed { head } => role(Role::Coder, format!("pushed {}", head.short())),
        Event::PullRequestOpened { pull } => Some(pull_line(pull)),
        Event::WorkPublished { run, summary } => role(Role::Coder, publication(*run, summary)),
        Event::PublishFailed { failure, .. } => Some(Line::failed("the work is not published", failure)),
        Event::MergeRequested { by, head, .. } => info(format!("{} wants {} merged", name(by), head.short())),
        Event::MergeRefused { failure } => Some(Line::failed("not merged", failure)),
        Event::MergeInDoubt { failure } => Some(Line::failed("not known whether it is merged", failure)),
        Event::Merged { commit } => info(format!("merged as {}", commit.short())),
        Event::CloseRequested { by, .. } => info(format!("{} wants the thread closed", name(by))),
        Event::CleanedUp { leftovers } => Some(cleaned_line(leftovers)),
        Event::ThreadClosed { merged } => info(closed(*merged).to_owned()),
        Event::PmModelChosen { by, name: model, model: slug, .. } => {
            info(format!("{} chose {model} ({slug}) as PM", name(by)))
        }
        Event::StopRequested { by, .. } => info(format!("{} stopped what was running", name(by))),
        Event::RetryRequested { by, .. } => info(format!("{} wants it tried again", name(by))),
        Event::TakenUp { by, parts, .. } => info(format!("{} wants it tried again: {}", name(by), names(parts))),
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
        return if closing.closed { closed(closing.merged) } else { "cleaning up" }.to_owned();
    }
    let asks =
        |run: &Run| run.asks.is_some() || thread.question.as_ref().is_some_and(|question| question.run == run.id);
    let at_work = thread.runs.iter().filter(|(_, run)| !asks(run)).map(|(role, run)| at_work(*role, run));
    let mut parts: Vec<String> = at_work.collect();
    if let Some(question) = &thread.question {
        parts.push(format!(
            "the {} waits for an answer to “{}”",
            question.role.title(),
            excerpt(&question.ask.question)
        ));
    }
    for consult in &thread.consults {
        let (role, question) = (consult.role.title(), excerpt(&consult.asked.question));
        parts.push(format!("the {role} waits for the PM's answer to “{question}”"));
    }
    if let Some(doing) = checks::doing(thread) {
        parts.push(doing);
    } else if thread.publishing.is_some() {
        parts.push("bringing the Coder's work to the pull request".to_owned());
    }
    if thread.merging.is_some() {
        parts.push("merging".to_owned());
    }
    if parts.is_empty() && !thread.stalled.is_empty() {
        let reasons: Vec<String> = thread.stalled.iter().rev().map(|stalled| excerpt(&reason(stalled))).collect();
        return format!("stopped: {} (`!retry` goes on)", reasons.join("; "));
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

/// How a thread is closed.
fn closed(merged: bool) -> &'static str {
    if merged { "closed, merged" } else { "closed without a merge" }
}

fn names(parts: &[Part]) -> String {
    parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ")
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
    if let Some(queue) = &run.queue {
        return format!("{} waits {}", role.title(), place(queue.place, queue.build.as_deref()));
    }
    let open: Vec<String> =
        run.calls.iter().filter(|state| state.started && !state.done).map(|state| call_line(&state.call)).collect();
    if run.paused.is_some() {
        return format!("{} is paused at a limit", role.title());
    }
    let what = if open.is_empty() { "thinking".to_owned() } else { open.join(", ") };
    format!("{} at work, turn {}: {what}", role.title(), run.turns + u32::from(run.thinks()))
}

/// `for its turn, place 2`, or `to build`.
fn place(place: u32, build: Option<&str>) -> String {
    match build {
        Some(platform) => format!("to build ({platform}), place {place}"),
        None => format!("for its turn, place {place}"),
    }
}

/// `Ana (U1)`; the id alone when there is no name.
fn who(thread: &Thread, user: &UserId) -> String {
    match thread.name_of(user) {
        name if name == user.as_str() => name.to_owned(),
        name => format!("{name} ({user})"),
    }
}

fn base_line(base: &Base) -> Line {
    let text = format!("stands on {}@{}", base.branch, base.commit.short());
    Line::and(Tag::Info, &text, base.notice.as_deref().unwrap_or_default())
}

fn message_line(after: &Thread, message: &Message) -> Line {
    let Message { from, text, files, .. } = message;
    let name = who(after, from);
    let sent = match files.len() {
        0 => String::new(),
        files => format!(" and sent {}", count(files, "file")),
    };
    let what = format!("{name} wrote {}{sent}", characters(text));
    Line::said(Tag::Message, what, &format!("{name} wrote{sent}"), text)
}

fn edited_line(before: &Thread, ts: &MessageTs, text: &str) -> Line {
    let what = format!("{} message was changed", read_or_not(before, ts));
    Line::said(Tag::Message, format!("{what} to {}", characters(text)), &what, text)
}

fn deleted_line(before: &Thread, ts: &MessageTs) -> Line {
    Line::plain(Tag::Message, format!("{} message was deleted", read_or_not(before, ts)))
}

fn read_or_not(before: &Thread, ts: &MessageTs) -> &'static str {
    if before.readers(ts).is_empty() { "an unread" } else { "a read" }
}

fn command_line(name: &str, answer: &Answer) -> Line {
    match answer {
        Answer::None => Line::plain(Tag::Message, format!("{name} gave a command")),
        Answer::Text { text } => Line::and(Tag::Message, &format!("{name} gave a command and was answered"), text),
        Answer::ModelPool { .. } => Line::plain(Tag::Message, format!("{name} was shown the PM's models")),
    }
}

fn reply_line(role: Role, run: RunId, turn: u32, reply: &Reply) -> Line {
    let Reply { text, calls, model, usage, instead_of, .. } = reply;
    let model = match instead_of {
        Some(meant) => format!("{model} in place of {meant}"),
        None => model.clone(),
    };
    let text = text.trim();
    let calling = if calls.is_empty() { String::new() } else { format!("calls {}", calls_text(calls)) };
    let does = match (text.is_empty(), calls.is_empty()) {
        (true, true) => "says nothing".to_owned(),
        (true, false) => calling.clone(),
        (false, true) => format!("says {}", characters(text)),
        (false, false) => format!("says {} and {calling}", characters(text)),
    };
    let what = format!("run {run}, turn {turn}: {does} · {model} · {}", usage_text(usage));
    let lead = match (text.is_empty(), calls.is_empty()) {
        (true, _) => format!("turn {turn} {does}"),
        (false, true) => format!("turn {turn} says"),
        (false, false) => format!("turn {turn} {calling} and says"),
    };
    Line::said(Tag::Role(role), what, &lead, text)
}

fn note_line(role: Role, text: &str) -> Line {
    Line::said(Tag::Role(role), format!("posts a note of {}", characters(text)), "posts a note", text)
}

fn queued(run: RunId, at: Option<u32>, build: Option<&str>) -> String {
    match at {
        Some(at) => format!("run {run} waits {}", place(at, build)),
        None => format!("run {run} goes on"),
    }
}

fn checklist(todos: &[Todo]) -> String {
    let done = todos.iter().filter(|todo| todo.status == TodoStatus::Completed).count();
    format!("checklist: {done} of {} done", todos.len())
}

fn initialised_line(steps: &[InitStep]) -> Option<Line> {
    let failed = steps.iter().filter(|step| !step.ok).count();
    let text = format!("worktree initialised by {}, {failed} failed", count(steps.len(), "command"));
    let tag = if failed == 0 { Tag::Info } else { Tag::Warning };
    (!steps.is_empty()).then(|| Line::plain(tag, text))
}

fn pull_line(pull: &PullRequest) -> Line {
    let draft = if pull.draft { "draft pull request" } else { "pull request" };
    let text = format!("{draft} #{} is open {}", pull.number, pull.url);
    Line::and(Tag::Role(Role::Coder), text.trim_end(), &pull.title)
}

fn cleaned_line(leftovers: &[String]) -> Line {
    if leftovers.is_empty() {
        return Line::plain(Tag::Info, "cleaned up");
    }
    Line::plain(Tag::Warning, format!("cleaned up but for {}", excerpt(&leftovers.join("; "))))
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
        RunOutcome::Stuck { .. } => (Tag::Warning, format!("of the {} went in circles", role.title())),
        RunOutcome::Stopped { by, .. } => (Tag::Role(role), format!("was stopped by {}", who(after, by))),
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

/// What others did to the pull request outside the chat, or what was asked to be done about it.
fn outside(thread: &Thread, news: &Outside) -> String {
    let by = |by: &Option<String>| by.as_ref().map(|name| format!(" by {}", excerpt(name))).unwrap_or_default();
    match news {
        Outside::Merged { commit, by: who, .. } => format!("merged as {} outside the chat{}", commit.short(), by(who)),
        Outside::Closed { by: who, branch_gone } => {
            let branch = if *branch_gone { ", its branch is gone" } else { "" };
            format!("the pull request was closed outside the chat{}{branch}", by(who))
        }
        Outside::Reopened { by: who } => format!("the pull request was opened again{}", by(who)),
        Outside::Moved { head, by: who } => format!("the branch was moved to {}{}", head.short(), by(who)),
        Outside::Restored { head } => format!("the branch is at {} again, without commits of others", head.short()),
        Outside::TakeOver { by, .. } => format!("{} has the Coder take over commits of others", who(thread, by)),
        Outside::PublishAgain { by, .. } => format!("{} asked to publish the work again", who(thread, by)),
    }
}
