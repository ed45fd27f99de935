//! From the approved plan to the closed thread: base, worktree, the Coder's work, merge, clean-up.

use super::{Deciding, spoken};
use crate::agent::Role;
use crate::ids::{CommitId, RunId};
use crate::thread::command::{Deed, NotMerged};
use crate::thread::event::{Base, Event, Failure, InitStep, Publication, Workspace};
use crate::thread::plan::code_list;
use crate::thread::state::WorkspaceState;

impl Deciding<'_> {
    pub(super) fn base_prepared(&mut self, result: Result<Base, Failure>) {
        // What a person stopped meanwhile is made again when it is taken up.
        if self.thread.base.is_some() || self.thread.is_stalled_early() {
            return;
        }
        match result {
            Ok(base) => {
                self.emit(Event::BaseReady { base });
                self.wake_pm();
            }
            Err(failure) => self.emit(Event::BaseFailed { failure }),
        }
    }

    pub(super) fn workspace_prepared(&mut self, result: Result<Workspace, Failure>) {
        if self.thread.workspace != WorkspaceState::Wanted || self.thread.is_stalled_early() {
            return;
        }
        match result {
            Ok(workspace) => {
                self.emit(Event::WorkspaceReady { workspace });
                self.want_baseline();
                self.start_coder();
            }
            Err(failure) => self.emit(Event::WorkspaceFailed { failure }),
        }
    }

    /// Sends the Coder to work on the plan that was approved.
    pub(super) fn start_coder(&mut self) {
        let Some((plan, by)) = &self.thread.approved else { return };
        let (approver, by) = (self.thread.name_of(by).to_owned(), by.clone());
        let follow_up = self.thread.conversations.get(&Role::Coder).is_some_and(|coder| coder.open);
        let checks = match self.rules.checks.as_slice() {
            [] => String::new(),
            checks => format!(
                "\n\nThe repository's checks, to be run before you finish: {}. Run each alone and exactly as it stands \
                 here: what you ran counts then, after your last change; the rest is run when you have ended.",
                code_list(checks)
            ),
        };
        let text = if follow_up {
            format!(
                "[codebutler] {approver} approved a further plan for the same branch and pull request. Carry it out.\n\n{}{checks}",
                plan.to_markdown()
            )
        } else {
            let words = self.words_of_people();
            format!(
                "[codebutler] {approver} approved the plan in your instructions. Carry it out in the worktree, which \
                 stands on a fresh branch. What people said in the thread:\n\n{words}{checks}"
            )
        };
        self.note(Role::Coder, text);
        self.start_run(Role::Coder, Some(by));
    }

    /// What people wrote to the PM so far, for the Coder's context.
    fn words_of_people(&self) -> String {
        self.thread.said.iter().map(|message| spoken(message)).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn workspace_initialised(&mut self, steps: Vec<InitStep>) {
        if !matches!(self.thread.workspace, WorkspaceState::Ready { initialised: false, .. }) {
            return;
        }
        for step in steps.iter().filter(|step| !step.ok) {
            let text = format!(
                "[codebutler] Preparing the worktree: `{}` failed. The end of its output:\n{}",
                step.command, step.output
            );
            self.note(Role::Coder, text);
        }
        self.emit(Event::WorkspaceInitialised { steps });
    }

    pub(super) fn publish_done(&mut self, run: RunId, result: Result<Publication, Failure>, deeds: Vec<Deed>) {
        self.record(None, deeds);
        let Some(publishing) = self.thread.publishing.clone().filter(|publishing| publishing.run == run) else {
            return;
        };
        let report = publishing.report.trim();
        match result {
            Ok(summary) => {
                self.emit(Event::WorkPublished { run, summary });
                let place = match &self.thread.pull {
                    Some(pull) => format!("Pull request #{} “{}” is open", pull.number, pull.title),
                    None => format!("There is no pull request, since nothing was changed{}", self.still_failing()),
                };
                let draft = self.thread.published.as_ref().and_then(|published| published.draft.as_ref());
                let draft = draft.map(|why| format!(" It is a draft: {why}.")).unwrap_or_default();
                self.note(
                    Role::Pm,
                    format!("[codebutler] The Coder's run ended. {place}.{draft} Its report:\n{report}"),
                );
                self.note_failing();
            }
            Err(failure) => {
                self.note(Role::Pm, format!("[codebutler] The Coder's work could not be published: {}", failure.what));
                self.emit(Event::PublishFailed { run, failure });
            }
        }
        self.wake_pm();
    }

    pub(super) fn merge_done(&mut self, result: Result<CommitId, NotMerged>) {
        if self.thread.merging.is_none() {
            return;
        }
        match result {
            Ok(commit) => self.emit(Event::Merged { commit }),
            Err(NotMerged::Refused(failure)) => {
                self.note(Role::Pm, format!("[codebutler] The merge was refused: {}", failure.what));
                self.emit(Event::MergeRefused { failure });
            }
            Err(NotMerged::Unknown(failure)) => {
                let text = format!(
                    "[codebutler] It is not known yet whether the pull request was merged: {} It is looked up again.",
                    failure.what
                );
                self.note(Role::Pm, text);
                self.emit(Event::MergeInDoubt { failure });
            }
        }
    }

    pub(super) fn clean_up_done(&mut self, leftovers: Vec<String>) {
        let Some(closing) = self.thread.closing.clone().filter(|closing| !closing.cleaned && !closing.closed) else {
            return;
        };
        self.emit(Event::CleanedUp { leftovers });
        let words = if closing.merged { "merged" } else { "closed without a merge" };
        self.note(
            Role::Pm,
            format!(
                "[codebutler] The pull request was {words} and this thread is closed. You can still answer questions; \
                 for new work tell the person to open a new thread."
            ),
        );
        self.emit(Event::ThreadClosed { merged: closing.merged });
    }
}
