//! What people see of a question that a role asks the PM: one short line, to which the answer is added. And of a run that
//! was ended because it went in circles, or was stopped: where it stood.

use super::{Keyed, Out};
use crate::agent::Role;
use crate::ids::{MessageTs, QuestionId};
use crate::render::cards;
use crate::render::text::{first_line, first_words};
use crate::thread::consult::{Consult, Knew};
use crate::thread::event::{Event, RunOutcome};
use crate::thread::plan::TodoStatus;
use crate::thread::state::{Run, Thread};

/// Files that are named; of more, the number.
const MOST_FILES: usize = 4;

pub(super) fn asked(thread: &Thread, id: &QuestionId, out: &mut Out) {
    if let Some(consult) = thread.consults.iter().find(|consult| consult.id == *id) {
        out.posts.push(line(consult, None));
    }
}

pub(super) fn answered(before: &Thread, id: &QuestionId, answer: &str, knew: &Knew, out: &mut Out) {
    let Some(consult) = before.consults.iter().find(|consult| consult.id == *id) else { return };
    let answer = match knew {
        Knew::Pm | Knew::Person { .. } => format!("**PM:** {}", first_words(answer)),
        Knew::Nobody => {
            format!("_The PM could not answer: {} The {} goes on without._", first_words(answer), consult.role.title())
        }
        Knew::Overtaken { by } => format!("_{} stepped in._", before.name_of(by)),
    };
    out.posts.push(line(consult, Some(answer)));
}

/// Closes the lines of questions whose run ended before their answer, however it ended.
pub(super) fn settle(before: &Thread, after: &Thread, event: &Event, out: &mut Out) {
    if matches!(event, Event::PmAnswered { .. }) {
        return;
    }
    let is_over = |consult: &&Consult| after.consults.iter().all(|still| still.id != consult.id);
    for consult in before.consults.iter().filter(is_over) {
        out.posts.push(line(consult, Some("_Not answered: the run ended before._".to_owned())));
    }
}

fn line(consult: &Consult, answer: Option<String>) -> Keyed {
    let mut text = match consult.call {
        Some(_) => format!("asked the PM: {}", first_words(&consult.asked.question)),
        None => format!("is stuck, and the PM was asked: {}", first_words(&consult.asked.question)),
    };
    if let Some(answer) = answer {
        text.push('\n');
        text.push_str(&answer);
    }
    (format!("consult/{}", consult.id), cards::message(Some(consult.role), text))
}

/// `Stopped by Ana in turn 4, while running …`: where the run stood and where its work is. Not where the thread ends with
/// it: its clean-up says what is kept.
pub(super) fn stopped(before: &Thread, after: &Thread, role: Role, run: &Run, outcome: &RunOutcome) -> String {
    let RunOutcome::Stopped { by, doing, closing } = outcome else { return String::new() };
    let mut text = format!("Stopped by {} in turn {}", after.name_of(by), run.turns + u32::from(doing.is_empty()));
    let open = run.todos.iter().filter(|todo| todo.status != TodoStatus::Completed);
    let step = open.clone().find(|todo| todo.status == TodoStatus::InProgress).or_else(|| open.clone().next());
    match doing.as_slice() {
        [] => {}
        doing => text.push_str(&format!(", while {}", doing.join(", "))),
    }
    if let Some(step) = step {
        let at = run.todos.iter().position(|todo| std::ptr::eq(todo, step)).unwrap_or_default() + 1;
        text.push_str(&format!(", at step {at} of {}: {}", run.todos.len(), first_line(&step.content, 80)));
    }
    text.push('.');
    if *closing {
        return text;
    }
    if role == Role::Coder {
        text.push_str(&kept(before));
    }
    text.push_str(" `!retry` goes on.");
    text
}

/// Which work there is, and where.
fn kept(thread: &Thread) -> String {
    let Some(workspace) = thread.workspace() else { return String::new() };
    let files: Vec<String> = thread.wrote.iter().take(MOST_FILES).map(|file| format!("`{file}`")).collect();
    let more = thread.wrote.len().saturating_sub(MOST_FILES);
    match files.as_slice() {
        // What commands changed is not known here.
        [] => format!(" What it changed, if anything, is kept on `{}`, as a draft.", workspace.branch),
        files => {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(" Written so far: {}{more}; kept on `{}`, as a draft.", files.join(", "), workspace.branch)
        }
    }
}

/// Messages whose answer another run still owes.
pub(super) fn owed_elsewhere(after: &Thread, ts: &MessageTs) -> bool {
    let unheard = after.conversations.iter().filter(|(role, _)| after.runs.contains_key(role));
    let mut unheard = unheard.flat_map(|(_, conversation)| &conversation.unheard);
    unheard.any(|message| message.ts == *ts) || after.runs.values().any(|run| run.messages.contains(ts))
}
