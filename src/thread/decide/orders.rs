//! The commands that people give with `!`: model choice, status, cost, stop, retry, merge, close, help.

use super::Deciding;
use crate::agent::{Role, ToolName};
use crate::ids::{MessageTs, UserId};
use crate::render::progress::call_line;
use crate::thread::event::{Answer, Event, Failure, RunOutcome, ToolResult};
use crate::thread::stalled::Part;
use crate::thread::state::{Stalled, WorkspaceState};
use crate::thread::words::{HELP, Order};

impl Deciding<'_> {
    pub(super) fn order(&mut self, order: Order, ts: MessageTs, by: UserId) {
        match order {
            Order::Pm(Some(name)) => self.choose_pm(&name, by, Some(ts)),
            Order::Pm(None) => {
                let current = self.current_pm();
                let stand_in = self.thread.runs.get(&Role::Pm).and_then(|run| run.stand_in.clone());
                let answer = Answer::ModelPool { pool: self.rules.pm_pool.clone(), current, stand_in };
                self.emit(Event::CommandTaken { ts: Some(ts), by, answer });
            }
            Order::Status => self.answer(ts, by, crate::render::status::status(&self.thread, self.rules.now)),
            Order::Cost => {
                let text = crate::render::budget::cost(&self.thread, self.rules, &by);
                self.answer(ts, by, text);
            }
            Order::Help => {
                let lines: Vec<String> = HELP.iter().map(|(name, what)| format!("- `{name}`: {what}")).collect();
                self.answer(ts, by, format!("In a thread you can say:\n{}", lines.join("\n")));
            }
            Order::Unknown(name) => {
                let text =
                    match HELP.iter().find(|(known, _)| known.trim_start_matches('!').split(' ').next() == Some(&name))
                    {
                        Some((usage, what)) => format!("`{usage}`: {what}. Nothing was done: it takes no other words."),
                        None => format!("I do not know `!{name}`. `!help` lists the commands."),
                    };
                self.answer(ts, by, text);
            }
            Order::Stop => self.stop(by, Some(ts)),
            Order::Retry => self.retry(by, Some(ts), None),
            Order::Merge => self.merge(by, Some(ts)),
            Order::Close => self.close(by, Some(ts)),
        }
    }

    fn answer(&mut self, ts: MessageTs, by: UserId, text: String) {
        self.emit(Event::CommandTaken { ts: Some(ts), by, answer: Answer::Text { text } });
    }

    /// Answers a command; a button's answer goes to the one who pressed only.
    pub(super) fn tell(&mut self, ts: Option<MessageTs>, by: UserId, text: &str) {
        match ts {
            Some(ts) => self.answer(ts, by, text.to_owned()),
            None => self.refuse(None, by, text),
        }
    }

    /// The PM's model by name, or by slug when it has no name in the pool.
    fn current_pm(&self) -> String {
        if let Some((name, _)) = &self.thread.pm_choice {
            return name.clone();
        }
        let model = &self.rules.pm_model;
        self.rules
            .pm_pool
            .iter()
            .find(|(_, slug)| slug == model)
            .map_or_else(|| model.clone(), |(name, _)| name.clone())
    }

    pub(super) fn choose_pm(&mut self, name: &str, by: UserId, ts: Option<MessageTs>) {
        let wanted = name.to_lowercase();
        match self.rules.pm_pool.iter().find(|(known, _)| known.to_lowercase() == wanted).cloned() {
            Some((name, model)) => self.emit(Event::PmModelChosen { by, ts, name, model }),
            None => {
                let names: Vec<&str> = self.rules.pm_pool.iter().map(|(name, _)| name.as_str()).collect();
                let text = format!("There is no `{name}` in the PM's pool. It has: {}.", names.join(", "));
                self.tell(ts, by, &text);
            }
        }
    }

    pub(super) fn stop(&mut self, by: UserId, ts: Option<MessageTs>) {
        let checking = self.stop_checks(&by, ts.as_ref());
        if let Some(part) = self.thread.prepares() {
            self.emit(Event::StopRequested { by: by.clone(), ts: ts.clone() });
            self.stop_preparing(part, &by);
            Role::ALL.into_iter().rev().for_each(|role| self.stop_run(role, &by));
            return;
        }
        if self.thread.runs.is_empty() && checking {
            self.emit(Event::StopRequested { by, ts });
            return;
        }
        if self.thread.runs.is_empty() {
            let text = if self.thread.publishing.is_some() {
                "The run has ended; its work is just being brought to the pull request."
            } else {
                "Nothing is running in this thread."
            };
            self.tell(ts, by, text);
            return;
        }
        self.emit(Event::StopRequested { by: by.clone(), ts });
        // Who waits for the PM first: nobody is to go on with a word that the PM was stopped.
        for role in Role::ALL.into_iter().rev() {
            self.stop_run(role, &by);
        }
    }

    /// Stops what comes before a run, so that none begins of it. `!retry` takes it up like any other thing that stopped.
    fn stop_preparing(&mut self, part: Part, by: &UserId) {
        let name = self.thread.name_of(by);
        let failure = |before: &str, hint: &str| Failure {
            what: format!("{name} stopped this before {before}."),
            hint: hint.to_owned(),
        };
        let event = if part == Part::Base {
            let failure = failure("anything began: nothing was done", "Write again, press Retry or say `!retry`.");
            Event::BaseFailed { failure }
        } else {
            let failure = failure("the Coder began: no file was changed", "Press Retry or say `!retry` to go on.");
            Event::WorkspaceFailed { failure }
        };
        self.emit(event);
    }

    /// Ends the PM's run when the thread ends under it.
    pub(super) fn end_pm_run(&mut self, by: UserId) {
        self.halt(Role::Pm, &by, true);
    }

    pub(super) fn stop_run(&mut self, role: Role, by: &UserId) {
        self.halt(role, by, false);
    }

    /// Ends a run by a person's word; `closing`: the thread ends with it.
    fn halt(&mut self, role: Role, by: &UserId, closing: bool) {
        let Some(run) = self.thread.runs.get(&role) else { return };
        let id = run.id;
        let cut = run.calls.iter().filter(|state| state.started && !state.done);
        let mut doing: Vec<String> = cut.map(|state| call_line(&state.call)).collect();
        if doing.is_empty() && run.asks.is_some() {
            doing.push("waiting for the PM's help".to_owned());
        }
        self.finish_open_calls(role, "a person stopped the run");
        self.end_run(id, RunOutcome::Stopped { by: by.clone(), doing, closing });
    }

    /// Gives every call that has none a result: without it every later request would be invalid.
    pub(super) fn finish_open_calls(&mut self, role: Role, why: &str) {
        let Some(run) = self.thread.runs.get(&role) else { return };
        let id = run.id;
        let open: Vec<_> = run.calls.iter().filter(|state| !state.done).cloned().collect();
        for state in open {
            let text = if matches!(state.tool, Some(ToolName::AskUser | ToolName::AskPm)) {
                format!("Not answered: {why}.")
            } else if state.started {
                format!("Interrupted: {why} while this was running. It may have done part of its work.")
            } else {
                format!("Not run: {why}.")
            };
            let wrote = match state.tool {
                Some(ToolName::Write | ToolName::Edit) if state.started => {
                    crate::render::progress::argument(&state.call.arguments, "file_path").into_iter().collect()
                }
                _ => Vec::new(),
            };
            let result = ToolResult { text, error: true, wrote, exit: None };
            self.emit(Event::ToolFinished { run: id, call: state.call.id.clone(), result });
        }
    }

    pub(super) fn merge(&mut self, by: UserId, ts: Option<MessageTs>) {
        let reason = if self.thread.is_closed() {
            Some("This thread is closed.")
        } else if self.thread.merging.is_some() {
            Some("The merge is under way.")
        } else if self.thread.runs.contains_key(&Role::Coder) || self.thread.publishing.is_some() {
            Some("The Coder is still at work. Wait for its report, or stop it with `!stop`.")
        } else if self.thread.stalled.iter().any(|stalled| matches!(stalled, Stalled::Publish(_))) {
            Some("The Coder's last work could not be pushed, so it is not in the pull request. Say `!retry` first.")
        } else if self.thread.pull.is_none() {
            Some("There is no pull request to merge in this thread.")
        } else if !self.rules.may_approve(&by) {
            Some("Only an approver can merge.")
        } else if self.thread.published.as_ref().is_some_and(|published| !published.can_be_merged()) {
            Some("The pull request is a draft: the work is not done. `!retry` lets the Coder go on.")
        } else {
            self.unseen_work()
        };
        match (reason, self.thread.head.clone()) {
            (Some(reason), _) => self.tell(ts, by, reason),
            (None, Some(head)) => self.emit(Event::MergeRequested { by, ts, head }),
            (None, None) => self.tell(ts, by, "The branch has not been pushed yet. Say `!retry` first."),
        }
    }

    /// Why the pull request's head is not what was reported and checked last, when it is not.
    fn unseen_work(&self) -> Option<&'static str> {
        let published = self.thread.published.as_ref();
        match published.filter(|published| !published.overtaken).map(|published| &published.summary.head) {
            Some(None) => Some(
                "Against the base nothing is changed any more, so there is nothing to merge. `!close` ends the thread.",
            ),
            Some(head) if *head == self.thread.head => None,
            Some(_) | None => Some(
                "The Coder went to work and stopped before it could report, so what it did since is not checked, and not \
                 all of it may be in the pull request. `!retry` lets it go on; then say `merge` again.",
            ),
        }
    }

    pub(super) fn close(&mut self, by: UserId, ts: Option<MessageTs>) {
        if self.thread.is_closed() {
            self.tell(ts, by, "This thread is closed.");
            return;
        }
        if self.thread.merging.is_some() {
            self.tell(ts, by, "The merge is under way; it closes the thread.");
            return;
        }
        if self.thread.in_doubt.is_some() {
            let text = "It is not known yet whether the pull request was merged. `merge` or `!retry` tries again: once it \
                        is merged, the thread closes; if the merge is refused, `!close` works.";
            self.tell(ts, by, text);
            return;
        }
        for role in Role::ALL.into_iter().rev() {
            self.halt(role, &by, true);
        }
        self.emit(Event::CloseRequested { by, ts });
        if self.thread.workspace == WorkspaceState::None {
            self.emit(Event::ThreadClosed { merged: false });
        }
    }
}
