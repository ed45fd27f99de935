//! What people do to the pull request outside the chat (`decisions.md` 19): merged or closed there, opened again, pushed
//! to. Whatever is seen a second time is no news. The way on from it is in `retry.rs`.

use super::Deciding;
use crate::agent::Role;
use crate::ids::CommitId;
use crate::thread::event::Event;
use crate::thread::outside::{Outside, PullFate, Sighting};

impl Deciding<'_> {
    pub(super) fn pull_changed(&mut self, seen: Sighting) {
        let is_ours = self.thread.pull.as_ref().is_some_and(|pull| pull.number == seen.number);
        if !is_ours || self.thread.is_closed() {
            return;
        }
        match seen.fate.clone() {
            // A person asked us for just this; its answer is on the way, or lost.
            PullFate::Merged { commit } if self.was_asked_to_merge(&seen.head) => self.emit(Event::Merged { commit }),
            PullFate::Merged { commit } => {
                self.emit_outside(Outside::Merged { commit, head: seen.head, by: seen.by });
                if let Some(pm) = self.thread.runs.get(&Role::Pm).map(|run| run.id) {
                    self.end_void_consult(pm);
                }
                self.wake_pm();
            }
            PullFate::Closed => self.closed_elsewhere(seen),
            PullFate::Open => self.open_elsewhere(seen),
        }
    }

    /// Whether a merge of this head may be the one that we were asked for. When there is work since, under way, stopped
    /// or pushed, it is told of as one that comes from outside, which it is for that work: it must be kept.
    fn was_asked_to_merge(&self, head: &CommitId) -> bool {
        let thread = &self.thread;
        let working = thread.runs.contains_key(&Role::Coder) || thread.publishing.is_some();
        let stopped = thread.stalled.iter().any(|stalled| stalled.part().is_work());
        let doubted = thread.in_doubt.as_ref().is_some_and(|merging| merging.head == *head);
        thread.merging.is_some() || doubted && !working && !stopped && thread.head.as_ref() == Some(head)
    }

    pub(super) fn emit_outside(&mut self, news: Outside) {
        self.emit(Event::Outside { news });
    }

    fn closed_elsewhere(&mut self, seen: Sighting) {
        if self.thread.elsewhere.closed {
            return;
        }
        self.emit_outside(Outside::Closed { by: seen.by, branch_gone: seen.branch_gone });
        let text = format!(
            "[codebutler] Pull request #{} was closed outside this thread without a merge. The work is kept; further \
             work gets a pull request of its own.",
            seen.number
        );
        self.note(Role::Pm, text);
    }

    fn open_elsewhere(&mut self, seen: Sighting) {
        if self.thread.elsewhere.closed {
            self.emit_outside(Outside::Reopened { by: seen.by.clone().filter(|_| !seen.foreign) });
            self.note(Role::Pm, format!("[codebutler] Pull request #{} is open again.", seen.number));
        }
        if !seen.foreign {
            if self.thread.elsewhere.head.is_some() {
                self.emit_outside(Outside::Restored { head: seen.head });
            }
        } else {
            self.found_foreign(seen.head, seen.by);
        }
    }

    /// Someone else made this commit the branch's head on the remote.
    pub(super) fn found_foreign(&mut self, head: CommitId, by: Option<String>) {
        if self.thread.elsewhere.head.as_ref() == Some(&head) || self.thread.head.as_ref() == Some(&head) {
            return;
        }
        let text = format!(
            "[codebutler] Someone else pushed `{head}` to the thread's branch. It is not part of the thread's own work \
             yet."
        );
        self.note(Role::Pm, text);
        self.note(Role::Coder, take_over(&head));
        self.emit_outside(Outside::Moved { head, by });
    }
}

/// What the Coder is to do about the commits of someone else.
pub(super) fn take_over(head: &CommitId) -> String {
    format!(
        "[codebutler] Someone else pushed to your branch on the remote: its head there is {head}, and is fetched. Your \
         own push is refused until you have it. Take it over: `git merge --no-commit {head}`, keep what both sides \
         mean, run the checks, then GitCommit and GitPush."
    )
}
