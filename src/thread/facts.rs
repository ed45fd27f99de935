//! What a role is told in place of the earlier part of its conversation: facts of the log, people's words as they stand
//! now, and a model's summary, marked as such. Says nothing that stands in the part that is kept.

use std::fmt::Write as _;
use std::sync::Arc;

use super::decide::spoken;
use super::event::{Earlier, Message};
use super::plan::TodoStatus;
use super::record::Ran;
use super::state::{PlanFate, Thread};
use crate::agent::Role;
use crate::agent::compaction::{MARK, SUMMARY_MARK};
use crate::agent::tokens::estimate;
use crate::ids::MessageTs;

/// As many lines as are told of each kind.
const MOST: usize = 60;
/// Characters of a report, and of what was said before us.
const MOST_CHARS: usize = 4_000;

/// The parts of the message that replaces the earlier part, people's words one part each. `told` are the messages that
/// stand in what is kept; `checks` are the repository's.
pub fn facts(thread: &Thread, role: Role, told: &[MessageTs], checks: &[String]) -> Vec<String> {
    let mut head = format!(
        "{MARK}, so that what follows fits into what you can read. What stands here is taken from the thread's record \
         and holds; a summary, if there is one, was written by a model and may miss things. Files and branch are as \
         you left them: read again what you need. The instructions above have not changed."
    );
    match role {
        Role::Coder => coder(thread, checks, &mut head),
        Role::Pm | Role::Researcher | Role::Artist | Role::Lead => plan_state(thread, &mut head),
    }
    decisions(thread, &mut head);
    checklist(thread, role, &mut head);
    let mut parts = vec![head];
    let words = words(thread, role, told);
    if let (Role::Pm, Some(base)) = (role, &thread.base) {
        let lines: Vec<String> = base.history.iter().map(Earlier::line).collect();
        if !lines.is_empty() {
            parts.push(format!("Said in this thread before you were asked:\n{}", shorter(&lines.join("\n"))));
        }
    }
    if !words.is_empty() {
        parts.push("What people wrote, in their words:".to_owned());
        parts.extend(words.iter().map(|message| spoken(message)));
    }
    parts
}

/// The last part: what a model wrote of the earlier part, or why nothing did.
pub fn summary(text: Option<&str>) -> String {
    match text {
        Some(text) => format!("{SUMMARY_MARK}\n\n{}", text.trim()),
        None => format!(
            "{SUMMARY_MARK}\n\nThere is none: it could not be written. Look at the state of the work (GitDiff, the \
             files) before you go on."
        ),
    }
}

/// How long the message would be, without the summary.
pub fn size(thread: &Thread, role: Role, checks: &[String]) -> u64 {
    // Each part has some JSON around it.
    estimate(facts(thread, role, &[], checks).iter().map(|part| part.len() + 40).sum())
}

/// What people wrote that the role has read, as it stands now, but for what is kept.
fn words(thread: &Thread, role: Role, told: &[MessageTs]) -> Vec<Arc<Message>> {
    let read = |message: &&Arc<Message>| {
        thread.conversations.get(&role).is_some_and(|conversation| conversation.read.contains(&message.ts))
    };
    // What the Coder was told while it worked, the PM may not have read yet.
    let unheard = thread.conversations.get(&Role::Pm).into_iter().flat_map(|pm| &pm.unheard);
    let mut words: Vec<Arc<Message>> =
        thread.said.iter().chain(unheard.filter(read)).filter(|message| !told.contains(&message.ts)).cloned().collect();
    words.dedup_by(|one, other| one.ts == other.ts);
    words
}

fn coder(thread: &Thread, checks: &[String], text: &mut String) {
    if let Some((plan, by)) = &thread.approved {
        let _ = write!(text, "\n\n# The plan approved by {}\n\n{}", thread.name_of(by), plan.to_markdown().trim_end());
    }
    let record = &thread.record;
    if !record.wrote.is_empty() {
        let files: Vec<&str> = record.wrote.iter().map(String::as_str).collect();
        list("Files you have changed", &files, text);
    }
    if !record.commands.is_empty() || !checks.is_empty() {
        text.push_str("\n\n# Commands and how they ended last\n");
        let from = record.commands.len().saturating_sub(MOST);
        record.commands[from..].iter().for_each(|ran| text.push_str(&format!("\n- {}", ended(ran))));
        for check in checks.iter().filter(|check| !record.commands.iter().any(|ran| ran.command.contains(*check))) {
            let _ = write!(text, "\n- `{check}` → not run yet (one of the repository's checks)");
        }
    }
    let commit = record.commit.as_ref().map_or("nothing is committed yet".to_owned(), |commit| {
        let pushed = if thread.head.as_ref() == Some(commit) { "pushed" } else { "not pushed" };
        format!("the last commit is `{}`, {pushed}", commit.short())
    });
    let _ = write!(text, "\n\n# Branch\n\n- {commit}\n- {}", pull(thread));
}

fn plan_state(thread: &Thread, text: &mut String) {
    if let Some(state) = &thread.plan {
        let fate = match &state.fate {
            PlanFate::Waiting => "it waits for a person's approval".to_owned(),
            PlanFate::Approved { by } => format!("approved by {}", thread.name_of(by)),
            PlanFate::Cancelled => "cancelled".to_owned(),
        };
        let _ = write!(text, "\n\n# The newest plan: {fate}\n\n{}", state.plan.to_markdown().trim_end());
    }
    let _ = write!(text, "\n\n# Pull request\n\n- {}", pull(thread));
    if let Some(published) = thread.published.as_ref().filter(|published| !published.report.trim().is_empty()) {
        let _ = write!(text, "\n\n# The Coder's last report\n\n{}", shorter(published.report.trim()));
    }
}

fn pull(thread: &Thread) -> String {
    match &thread.pull {
        Some(pull) if thread.merged.is_some() => format!("pull request #{} “{}” is merged", pull.number, pull.title),
        Some(pull) => format!("pull request #{} “{}” is open", pull.number, pull.title),
        None => "there is no pull request yet".to_owned(),
    }
}

fn decisions(thread: &Thread, text: &mut String) {
    let decisions = &thread.record.decisions;
    if !decisions.is_empty() {
        text.push_str("\n\n# Asked and answered\n");
    }
    for decision in decisions {
        let answer = match &decision.ts {
            // The words themselves stand among what people wrote.
            Some(_) => "answered in a message".to_owned(),
            None => format!("“{}”", decision.answer),
        };
        let _ = write!(text, "\n- {} → {answer}", decision.question.trim());
    }
    if let Some(question) = &thread.question {
        let _ = write!(text, "\n\n# Still waits for an answer\n\n- {}", question.ask.question.trim());
    }
}

fn checklist(thread: &Thread, role: Role, text: &mut String) {
    let Some(todos) = thread.record.todos.get(&role).filter(|todos| !todos.is_empty()) else { return };
    text.push_str("\n\n# Your checklist\n");
    for todo in todos.iter().take(MOST) {
        let mark = match todo.status {
            TodoStatus::Completed => "done",
            TodoStatus::InProgress => "in progress",
            TodoStatus::Pending => "to do",
        };
        let _ = write!(text, "\n- {mark}: {}", todo.content);
    }
}

fn ended(ran: &Ran) -> String {
    match ran.exit {
        Some(code) => format!("`{}` → exit code {code}", ran.command),
        None => format!("`{}` → cut before it ended", ran.command),
    }
}

fn list(title: &str, items: &[&str], text: &mut String) {
    let _ = write!(text, "\n\n# {title}\n");
    items.iter().take(MOST).for_each(|item| text.push_str(&format!("\n- `{item}`")));
    if items.len() > MOST {
        let _ = write!(text, "\n- and {} more; GitDiff lists them", items.len() - MOST);
    }
}

fn shorter(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
