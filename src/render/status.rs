//! The answers to `!status` and `!cost`.

use std::fmt::Write as _;

use crate::agent::Role;
use crate::ids::Millis;
use crate::thread::Phase;
use crate::thread::state::Thread;

/// What the thread is doing and what it waits for.
pub fn status(thread: &Thread, now: Millis) -> String {
    let mut text = format!("Phase: **{}**", Phase::of(thread));
    for (role, run) in &thread.runs {
        let seconds = now.since(run.started) / 1000;
        let _ = write!(
            text,
            "\n{} at work for {seconds} s, turn {}, {} calls",
            role.title(),
            run.turns + 1,
            run.calls_done
        );
        if run.stand_in.is_some() {
            let _ = write!(text, ", {}", super::progress::stand_in(run));
        }
    }
    if let Some(question) = &thread.question {
        let _ = write!(text, "\nWaiting for an answer to: {}", super::text::first_words(&question.ask.question));
    }
    for consult in &thread.consults {
        let question = super::text::first_words(&consult.asked.question);
        let _ = write!(text, "\nThe {} waits for the PM's answer to: {question}", consult.role.title());
    }
    if let Some(plan) = thread.waiting_plan() {
        let _ = write!(text, "\nWaiting for an approval of the plan “{}”", plan.plan.title);
    }
    if let Some(workspace) = thread.workspace() {
        let _ = write!(text, "\nBranch `{}`", workspace.branch);
    }
    if let Some(pull) = &thread.pull {
        let closed = if thread.elsewhere.closed { " (closed there; `!retry` opens a new one)" } else { "" };
        let _ = write!(text, "\nPull request #{} {}{closed}", pull.number, pull.url);
    }
    if let Some(head) = &thread.elsewhere.head {
        let _ = write!(text, "\nSomeone else pushed `{}`; `!retry` lets the Coder take it over", head.short());
    }
    for stalled in &thread.stalled {
        let _ = write!(text, "\nStopped: {} `!retry` goes on.", super::story::reason(stalled));
    }
    text
}

/// What the thread has cost so far.
pub fn cost(thread: &Thread) -> String {
    let total = thread.total_usage();
    if total.calls == 0 {
        return "No model was called in this thread yet.".to_owned();
    }
    let mut text = format!("**{}** in this thread so far", total.cost_text());
    for role in Role::ALL {
        if let Some(usage) = thread.usage.get(&role) {
            let _ = write!(
                text,
                "\n- {}: {} in {} calls, {} tokens in ({} cached), {} out",
                role.title(),
                usage.cost_text(),
                usage.calls,
                usage.prompt_tokens,
                usage.cached_tokens,
                usage.completion_tokens
            );
        }
    }
    text
}
