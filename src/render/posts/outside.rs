//! What people see when others changed the pull request outside the chat: one message each, with the way on.

use super::Out;
use crate::agent::Role;
use crate::ids::{CommitId, Millis};
use crate::thread::outside::{MergedElsewhere, Outside};
use crate::thread::state::Thread;

pub(super) fn outside(before: &Thread, after: &Thread, news: &Outside, at: Millis, out: &mut Out) {
    let number = before.pull.as_ref().map_or(0, |pull| pull.number);
    let place = place(before);
    match news {
        // Told with the clean-up; here only what was cut.
        Outside::Merged { .. } => cut(before, at, out),
        Outside::Closed { by, branch_gone } => {
            card(before, false, out);
            let gone = if *branch_gone { " and its branch deleted" } else { "" };
            let next = if before.runs.contains_key(&Role::Coder) || before.publishing.is_some() {
                "The Coder's work gets a new one when it is done.".to_owned()
            } else {
                format!(
                    "`!retry` opens a new one with the same work, and so does further work; or open #{number} again \
                     there. `!close` ends the thread."
                )
            };
            out.say(
                Some(Role::Lead),
                &format!(
                    "Pull request #{number} was closed {place}{}{gone}, without a merge. The work is kept on {}.\n{next}",
                    who(by.as_ref()),
                    branch(before)
                ),
            );
        }
        Outside::Reopened { by } => {
            card(after, true, out);
            let text = format!("Pull request #{number} was opened again{}. `merge` merges it.", who(by.as_ref()));
            out.say(Some(Role::Lead), &text);
        }
        Outside::Moved { head, by } => moved(before, head, by.as_ref(), out),
        Outside::Restored { head } => {
            let text = format!("{} is at `{}` on the remote, without commits of others.", branch(after), head.short());
            out.say(Some(Role::Lead), &text);
        }
        Outside::TakeOver { ts, .. } | Outside::PublishAgain { ts, .. } => out.done(ts.iter()),
    }
}

fn moved(thread: &Thread, head: &CommitId, by: Option<&String>, out: &mut Out) {
    let made = by.map(|by| format!(", made by {by}")).unwrap_or_default();
    let ours = thread.head.as_ref().map_or("what we pushed", |head| head.short());
    let next = if thread.runs.contains_key(&Role::Coder) {
        "The Coder, who is at work, is told to take it over.".to_owned()
    } else {
        let there = thread.pull.as_ref().map_or_else(String::new, |pull| {
            format!("; or look at pull request #{} and merge it {}", pull.number, place(thread))
        });
        format!("It is not merged unseen. `!retry` lets the Coder take it over into its work{there}.")
    };
    let text = format!(
        "Someone else pushed to {}: its head is `{}`{made}, no longer `{ours}`.\n{next}",
        branch(thread),
        head.short()
    );
    out.say(Some(Role::Lead), &text);
}

/// How the message at the end begins when nobody asked the thread for the merge.
pub(super) fn merged(thread: &Thread, elsewhere: &MergedElsewhere, commit: &CommitId) -> String {
    let number = thread.pull.as_ref().map_or(0, |pull| pull.number);
    let stopped = if elsewhere.cut { "; the Coder, who was at work, was stopped" } else { "" };
    let by = who(elsewhere.by.as_ref());
    format!("Pull request #{number} was merged {}{by} as `{}`{stopped}", place(thread), commit.short())
}

/// What a merge ended in the middle.
fn cut(before: &Thread, at: Millis, out: &mut Out) {
    if let Some(run) = before.runs.get(&Role::Coder) {
        out.progress(before, run.id, at, true);
        out.done(run.messages.iter());
    }
}

/// The newest card of the pull request, with or without its buttons.
fn card(thread: &Thread, open: bool, out: &mut Out) {
    if let Some(published) = &thread.published {
        super::publication(published, open, out);
    }
}

fn who(by: Option<&String>) -> String {
    by.map(|by| format!(" by {by}")).unwrap_or_default()
}

fn branch(thread: &Thread) -> String {
    thread.workspace().map_or_else(|| "its branch".to_owned(), |workspace| format!("`{}`", workspace.branch))
}

/// Where it happened, in words.
fn place(thread: &Thread) -> &'static str {
    if thread.pull.as_ref().is_some_and(|pull| !pull.url.is_empty()) { "on GitHub" } else { "outside this thread" }
}
