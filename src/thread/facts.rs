//! What a role is told in place of the earlier part of its conversation: facts of the log, people's words as they stand
//! now, and a model's summary, marked as such. Says nothing that stands in the part that is kept.

use std::fmt::Write as _;
use std::sync::Arc;

use super::checks::{Before, CheckRun, Trace};
use super::consult::Knew;
use super::context::Work;
use super::decide::spoken;
use super::event::{Earlier, Message};
use super::evidence::{is_test_like, last_of, normal, only_reads};
use super::plan::TodoStatus;
use super::record::Decision;
use super::state::{PlanFate, Thread};
use crate::agent::Role;
use crate::agent::compaction::{MARK, SUMMARY_MARK};
use crate::agent::tokens::estimate;
use crate::ids::MessageTs;

/// As many lines as are told of each kind.
const MOST: usize = 60;
/// Characters of a report, and of what was said before us.
const MOST_CHARS: usize = 4_000;
/// Characters of all decisions; the oldest are left out.
const MOST_DECIDED: usize = 16_000;
/// Characters of one command, and of the end of a failed check's output.
const COMMAND: usize = 300;
const OUTPUT: usize = 800;

/// The parts of the message that replaces the earlier part, people's words one part each. `told` are the messages that
/// stand in what is kept; `checks` are the repository's; `work` is what git says of the files.
pub fn facts(thread: &Thread, role: Role, told: &[MessageTs], checks: &[String], work: Option<&Work>) -> Vec<String> {
    let mut head = format!(
        "{MARK}, so that what follows fits into what you can read. What stands here is taken from the thread's record \
         and holds; a summary, if there is one, was written by a model and may miss things. Files and branch are as \
         you left them: read again what you need. The instructions above have not changed."
    );
    match role {
        Role::Coder => coder(thread, checks, work, &mut head),
        Role::Pm | Role::Researcher | Role::Artist | Role::Lead => plan_state(thread, &mut head),
    }
    errand(thread, role, &mut head);
    decisions(thread, role, &mut head);
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
    estimate(facts(thread, role, &[], checks, None).iter().map(|part| part.len() + 40).sum())
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

fn coder(thread: &Thread, checks: &[String], work: Option<&Work>, text: &mut String) {
    if let Some((plan, by)) = &thread.approved {
        let _ = write!(text, "\n\n# The plan approved by {}\n\n{}", thread.name_of(by), plan.to_markdown().trim_end());
    }
    if let Some(work) = work.filter(|work| !work.files.is_empty()) {
        list("Files that differ from where your branch began, by git", &work.files, text);
    }
    if !checks.is_empty() {
        text.push_str("\n\n# The repository's checks\n");
    }
    checks.iter().for_each(|check| check_state(thread, check, checks, text));
    commands(&thread.checks.trace, checks, text);
    text.push_str("\n\n# Branch\n");
    if let Some(work) = work {
        let commit = work.commit.as_ref().map_or("nothing is committed yet".to_owned(), |commit| {
            let pushed = if thread.head.as_ref() == Some(commit) { "pushed" } else { "not pushed" };
            format!("the last commit is `{}`, {pushed}", commit.short())
        });
        let _ = write!(text, "\n- {commit}");
    }
    let _ = write!(text, "\n- {}", pull(thread));
}

/// How a check ended last, whoever ran it, and how it was before the work.
fn check_state(thread: &Thread, check: &str, checks: &[String], text: &mut String) {
    let trace = &thread.checks.trace;
    let last = trace.iter().enumerate().rev().find_map(|(at, trace)| match trace {
        Trace::Ran(ran) if ran.command == normal(check) => Some((at, ended(ran.exit), ran.exit, ran.output.as_str())),
        Trace::Checked(run) if run.command == check => {
            let how = format!("{}, run by CodeButler after your run", run.how());
            Some((at, how, run.is_green().then_some(0), run.output.as_str()))
        }
        _ => None,
    });
    let _ = match &last {
        None => write!(text, "\n- `{check}` → not run yet"),
        Some((at, how, ..)) if trace[at + 1..].iter().any(|later| may_change(later, checks)) => {
            write!(text, "\n- `{check}` → {how}; files were or may have been changed after that")
        }
        Some((_, how, ..)) => write!(text, "\n- `{check}` → {how}; nothing was changed after that"),
    };
    let before = match &thread.checks.baseline {
        Before::Taken(baseline) => baseline.checks.iter().find(|run| run.command == check),
        Before::None | Before::Wanted(_) | Before::Stopped(_) => None,
    };
    if let Some(before) = before {
        let _ = write!(text, "; on the base, before any change of yours: {}", before.how());
    }
    let output = match (&last, before) {
        (Some((_, _, exit, output)), _) if *exit != Some(0) => output,
        (None, Some(before)) if CheckRun::fails(before) => before.output.as_str(),
        _ => "",
    };
    if !output.trim().is_empty() {
        let _ = write!(text, "\n  The end of its output:\n{}", last_of(output.trim(), OUTPUT));
    }
}

/// Whether files may be others after this.
fn may_change(trace: &Trace, checks: &[String]) -> bool {
    match trace {
        Trace::Changed => true,
        Trace::Ran(ran) => {
            let is_check = checks.iter().any(|check| normal(check) == ran.command);
            !is_check && !is_test_like(&ran.command) && !only_reads(&ran.command)
        }
        Trace::Checked(_) | Trace::Began => false,
    }
}

/// The Coder's other commands, each once, the one that was run last at the end.
fn commands(trace: &[Trace], checks: &[String], text: &mut String) {
    let mut last: Vec<(&str, Option<i32>)> = Vec::new();
    for trace in trace.iter().rev() {
        if let Trace::Ran(ran) = trace
            && last.len() < MOST
            && last.iter().all(|(command, _)| *command != ran.command)
            && checks.iter().all(|check| normal(check) != ran.command)
        {
            last.push((&ran.command, ran.exit));
        }
    }
    if !last.is_empty() {
        text.push_str("\n\n# Commands and how they ended last\n");
    }
    for (command, exit) in last.into_iter().rev() {
        let command: String = command.chars().take(COMMAND).collect();
        let _ = write!(text, "\n- `{command}` → {}", ended(exit));
    }
}

fn ended(exit: Option<i32>) -> String {
    exit.map_or("cut before it ended".to_owned(), |code| format!("exit code {code}"))
}

fn plan_state(thread: &Thread, text: &mut String) {
    if let Some(state) = &thread.plan {
        let fate = match &state.fate {
            PlanFate::Waiting if thread.is_closed() => "never approved, and void: this thread is closed".to_owned(),
            PlanFate::Waiting => "it waits for a person's approval".to_owned(),
            PlanFate::Approved { by } => format!("approved by {}", thread.name_of(by)),
            PlanFate::Cancelled => "cancelled".to_owned(),
        };
        let _ = write!(text, "\n\n# The newest plan: {fate}\n\n{}", state.plan.to_markdown().trim_end());
    }
    let _ = write!(text, "\n\n# Pull request\n\n- {}", pull(thread));
    let Some(published) = &thread.published else { return };
    if let Some(draft) = &published.draft {
        let _ = write!(text, "\n- the Coder's last run left a draft: {draft}");
    }
    if !published.report.trim().is_empty() {
        let _ = write!(text, "\n\n# The Coder's last report\n\n{}", shorter(published.report.trim()));
    }
}

fn pull(thread: &Thread) -> String {
    let Some(pull) = &thread.pull else {
        let closed = if thread.is_closed() { "; this thread is closed" } else { "" };
        return format!("there is no pull request yet{closed}");
    };
    let fate = if thread.merged.is_some() {
        "is merged"
    } else if thread.elsewhere.closed {
        "was closed outside this thread, not merged"
    } else if thread.is_closed() {
        "is closed with this thread, not merged"
    } else {
        "is open"
    };
    format!("pull request #{} “{}” {fate}", pull.number, pull.title)
}

/// Whom the words go to with which the PM's run ends.
fn errand(thread: &Thread, role: Role, text: &mut String) {
    let Some(run) = thread.runs.get(&role).filter(|_| role == Role::Pm) else { return };
    text.push_str("\n\n# What this run of yours is for\n\n");
    let Some(consult) = thread.consult_of(run.id) else {
        text.push_str("The text with which you end goes to the people in the thread.");
        if run.spoke {
            text.push_str(" What there was to show is shown: with nothing to add, end with no text.");
        }
        return;
    };
    text.push_str(&consult.briefing());
    if thread.owes_answers {
        text.push_str(
            "\n\nTo what people wrote meanwhile you have given no answer yet: you are asked for it later, in a run of \
             its own.",
        );
    }
}

fn decisions(thread: &Thread, role: Role, text: &mut String) {
    let mut lines: Vec<String> = Vec::new();
    for decision in thread.record.decisions.iter().rev() {
        let line = decided(thread, role, decision);
        if lines.iter().map(String::len).sum::<usize>() + line.len() > MOST_DECIDED {
            break;
        }
        lines.push(line);
    }
    if !lines.is_empty() {
        text.push_str("\n\n# Asked and answered\n");
    }
    lines.iter().rev().for_each(|line| text.push_str(line));
    if let Some(question) = &thread.question {
        let _ = write!(text, "\n\n# Still waits for an answer\n\n- {}", question.ask.question.trim());
    }
}

fn decided(thread: &Thread, role: Role, decision: &Decision) -> String {
    let (question, answer) = (shorter(decision.question.trim()), shorter(decision.answer.trim()));
    let Some((asker, knew)) = &decision.to_pm else {
        return match &decision.ts {
            // The words themselves stand among what people wrote.
            Some(_) => format!("\n- {question} → answered in a message"),
            None => format!("\n- {question} → “{answer}”"),
        };
    };
    let asker = if *asker == role { "you".to_owned() } else { format!("the {}", asker.title()) };
    let answer = match knew {
        Knew::Pm => format!("the PM: “{answer}”"),
        Knew::Person { by } => format!("the PM, by what {} said: “{answer}”", thread.name_of(by)),
        Knew::Nobody => format!("no answer: {answer}"),
        Knew::Overtaken { by } => format!("no answer was waited for, since {} wrote", thread.name_of(by)),
    };
    format!("\n- asked by {asker}: {question} → {answer}")
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

fn list(title: &str, items: &[String], text: &mut String) {
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
