//! Where a thread of `exec` stands, from its state: at work, waiting for the person, done, or failed and why. Pure.

use crate::daemon::Failure;
use crate::render::budget::cap_text;
use crate::render::story;
use crate::thread::budget::Cap;
use crate::thread::event::{Event, Failure as Trouble, RunOutcome};
use crate::thread::pending;
use crate::thread::state::Thread;

/// What a thread waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Somebody is at work.
    Works,
    /// A plan of this id waits.
    Plan(String),
    /// A question waits.
    Question(String),
    /// A run waits at a cap.
    Cap(AtCap),
    /// It is done; the last line to print.
    Done(String),
    /// It will not be done.
    Failed(Failure),
}

/// A run that waits at a cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AtCap {
    /// The value of its card's buttons.
    pub(super) id: String,
    /// Why it waits.
    why: String,
    /// Where the cap is set.
    key: &'static str,
}

impl Stand {
    /// Whether nothing goes on by itself.
    pub(super) fn is_at_rest(&self) -> bool {
        *self != Self::Works
    }
}

/// Where the thread stands; `trouble` is what went wrong last in it.
pub(super) fn of(thread: &Thread, trouble: Option<&Trouble>) -> Stand {
    if let Some(question) = &thread.question {
        return Stand::Question(question.ask.question.clone());
    }
    let works = !pending(thread, |_| u32::MAX).is_empty();
    if let (false, Some((_, run, paused))) = (works, thread.pauses().next()) {
        let key = match paused.used.cap {
            Cap::Thread => "limits.perThreadUsd",
            Cap::Day => "limits.perDayUsd",
            Cap::UserHour => "limits.callsPerUserPerHour",
            Cap::RepoHour => "limits.maxCallsPerHour",
        };
        let why = cap_text(thread, run, &paused.used);
        return Stand::Cap(AtCap { id: paused.id.to_string(), why, key });
    }
    let works = works || !thread.runs.is_empty();
    if works || thread.opened_by.is_none() {
        return Stand::Works;
    }
    if thread.is_closed() {
        return Stand::Failed(failure("the thread is closed", "run it again for new work"));
    }
    if let Some(plan) = thread.waiting_plan() {
        return Stand::Plan(plan.id.to_string());
    }
    if let Some(published) = &thread.published {
        return match (&published.pull, &published.draft) {
            (Some(pull), None) => Stand::Done(last_line(thread, pull)),
            (Some(pull), Some(why)) => {
                let what = format!("pull request #{} is only a draft: {why}", pull.number);
                Stand::Failed(failure(&what, &look(thread)))
            }
            (None, _) => Stand::Failed(failure(
                "nothing was changed, so there is no pull request",
                "the Coder's report above says why",
            )),
        };
    }
    match (thread.stalled.first(), trouble) {
        (Some(stalled), trouble) => {
            let what = trouble.map_or_else(|| story::reason(stalled), |trouble| trouble.what.clone());
            let hint = trouble.map(|trouble| trouble.hint.clone()).filter(|hint| !hint.contains('!'));
            let hint = hint.map(|hint| format!("{} Then run it again.", hint.trim_end()));
            Stand::Failed(kept(thread, failure(what.trim_end_matches('.'), &hint.unwrap_or("run it again".to_owned()))))
        }
        (None, _) if thread.approved.is_some() => {
            let what = format!("it does not go on: {}", story::doing(thread));
            Stand::Failed(kept(thread, failure(&what, "see codebutler threads")))
        }
        (None, _) => Stand::Done(String::new()),
    }
}

/// What went wrong, when this event says so.
pub(super) fn failure_in(event: &Event) -> Option<Trouble> {
    match event {
        Event::RunEnded { outcome: RunOutcome::Failed { failure }, .. }
        | Event::BaseFailed { failure }
        | Event::WorkspaceFailed { failure }
        | Event::PublishFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    }
}

fn last_line(thread: &Thread, pull: &crate::thread::event::PullRequest) -> String {
    let place = if pull.url.is_empty() { String::new() } else { format!(" · {}", pull.url) };
    let branch = thread.workspace().map(|workspace| format!(" · branch {}", workspace.branch)).unwrap_or_default();
    format!("\npull request #{} is open: {}{place}{branch}\n", pull.number, pull.title)
}

/// Where the work is.
fn look(thread: &Thread) -> String {
    match thread.workspace() {
        Some(workspace) => format!("the work is on the branch {}; go on there, or run it again", workspace.branch),
        None => "run it again".to_owned(),
    }
}

/// A failure that says where the work is, when there is some.
pub(super) fn kept(thread: &Thread, ended: Failure) -> Failure {
    match thread.workspace().filter(|_| !thread.is_closed()) {
        Some(workspace) => {
            Failure { hint: format!("{}; the work is kept on the branch {}", ended.hint, workspace.branch), ..ended }
        }
        None => ended,
    }
}

fn failure(what: &str, hint: &str) -> Failure {
    Failure { what: what.to_owned(), hint: hint.to_owned() }
}

/// Nobody can approve.
pub(super) fn nobody_approves() -> Failure {
    failure(
        "a plan waits for an approval, and there is no terminal to ask at",
        "add --approve, or run it at a terminal",
    )
}

/// Nobody can answer.
pub(super) fn nobody_answers(question: &str) -> Failure {
    let what = format!("the PM asks “{}”, and there is no terminal to ask at", story::excerpt(question));
    failure(&what, "say it in the task, or run it at a terminal; --approve answers no questions")
}

/// Nobody raises the limit.
pub(super) fn nobody_raises(cap: &AtCap) -> Failure {
    failure(&cap.why, &format!("raise {} in the configuration, then run it again", cap.key))
}

pub(super) fn not_approved() -> Failure {
    failure("the plan was not approved", "run it again with what should be different in the task")
}

pub(super) fn not_answered() -> Failure {
    failure("the question was not answered", "run it again and say it in the task")
}

pub(super) fn stopped() -> Failure {
    failure("stopped before it was done", "each exec begins anew: run it again")
}

pub(super) fn lost() -> Failure {
    failure("the thread cannot be followed any more", "see codebutler threads")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Role;
    use crate::thread::command::Action;
    use crate::thread::tests::Story;

    #[test]
    fn a_thread_stands_where_its_state_says() {
        let mut story = Story::new();
        assert_eq!(of(&story.thread, None), Stand::Works, "nothing has begun");
        story.say("ANA", "where is it?");
        assert_eq!(of(&story.thread, None), Stand::Works);
        story.base();
        story.reply(Role::Pm, "There.", &[]);
        assert_eq!(of(&story.thread, None), Stand::Done(String::new()));

        let mut story = Story::new();
        let id = story.plan();
        assert_eq!(of(&story.thread, None), Stand::Plan(id.clone()));
        story.press("ANA", Action::PlanApprove, &id);
        assert_eq!(of(&story.thread, None), Stand::Works);
        story.workspace();
        story.reply(Role::Coder, "Done.", &[]);
        assert_eq!(of(&story.thread, None), Stand::Works, "its work is to be published");
        story.published();
        let line = "\npull request #7 is open: Keep · https://x/7 · branch codebutler/row\n";
        assert_eq!(of(&story.thread, None), Stand::Done(line.to_owned()));
    }

    #[test]
    fn what_stopped_says_why_and_where_the_work_is() {
        let mut story = Story::at_work();
        story.say("ANA", "!stop");
        story.published();
        let Stand::Failed(draft) = of(&story.thread, None) else { panic!("a draft") };
        assert!(draft.what.starts_with("pull request #7 is only a draft: ANA stopped the Coder"), "{draft:?}");
        assert!(draft.hint.contains("codebutler/row"), "{draft:?}");

        let mut story = Story::new();
        story.say("ANA", "fix it");
        let trouble = Trouble { what: "The remote is away.".into(), hint: "Check the network.".into() };
        story.act(crate::thread::Command::BasePrepared(Err(trouble.clone())));
        let expected = failure("The remote is away", "Check the network. Then run it again.");
        assert_eq!(of(&story.thread, Some(&trouble)), Stand::Failed(expected));
    }
}
