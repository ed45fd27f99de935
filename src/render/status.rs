//! The answer to `!status`.

use std::fmt::Write as _;

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
    for (role, run, paused) in thread.pauses() {
        let why = super::budget::cap_text(thread, run, &paused.used);
        let _ = write!(text, "\nThe {} is paused: {why}. Its card has the buttons", role.title());
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
