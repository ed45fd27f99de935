//! The commands that people give with `!`: model choice, status, cost, stop, retry, merge, close, help.

use super::Deciding;
use crate::agent::{Role, ToolName};
use crate::ids::{MessageTs, UserId};
use crate::thread::event::{Answer, Event, RunOutcome, ToolResult};
use crate::thread::state::{Stalled, WorkspaceState};
use crate::thread::words::{HELP, Order};

impl Deciding<'_> {
    pub(super) fn order(&mut self, order: Order, ts: MessageTs, by: UserId) {
        match order {
            Order::Pm(Some(name)) => self.choose_pm(&name, by, Some(ts)),
            Order::Pm(None) => {
                let current = self.current_pm();
                let answer = Answer::ModelPool { pool: self.rules.pm_pool.clone(), current };
                self.emit(Event::CommandTaken { ts: Some(ts), by, answer });
            }
            Order::Status => self.answer(ts, by, crate::render::status::status(&self.thread, self.rules.now)),
            Order::Cost => self.answer(ts, by, crate::render::status::cost(&self.thread)),
            Order::Help => {
                let lines: Vec<String> = HELP.iter().map(|(name, what)| format!("- `{name}`: {what}")).collect();
                self.answer(ts, by, format!("In a thread you can say:\n{}", lines.join("\n")));
            }
            Order::Stop => self.stop(by, Some(ts)),
            Order::Retry => self.retry(by, Some(ts)),
            Order::Merge => self.merge(by, Some(ts)),
            Order::Close => self.close(by, Some(ts)),
        }
    }

    fn answer(&mut self, ts: MessageTs, by: UserId, text: String) {
        self.emit(Event::CommandTaken { ts: Some(ts), by, answer: Answer::Text { text } });
    }

    /// Answers a command; a button's answer goes to the one who pressed only.
    fn tell(&mut self, ts: Option<MessageTs>, by: UserId, text: &str) {
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
        if self.thread.runs.is_empty() {
            self.tell(ts, by, "Nothing is running in this thread.");
            return;
        }
        self.emit(Event::StopRequested { by: by.clone(), ts });
        for role in Role::ALL {
            self.stop_run(role, &by);
        }
    }

    /// Ends the PM's run when the thread ends under it.
    pub(super) fn end_pm_run(&mut self, by: UserId) {
        self.stop_run(Role::Pm, &by);
    }

    fn stop_run(&mut self, role: Role, by: &UserId) {
        let Some(run) = self.thread.runs.get(&role) else { return };
        let id = run.id;
        // A call without a result would make every later request invalid.
        let open: Vec<_> = run.calls.iter().filter(|state| !state.done).cloned().collect();
        for state in open {
            let text = if state.started {
                "Interrupted: a person stopped the run while this was running. It may have done part of its work."
            } else {
                "Not run: a person stopped the run."
            };
            let wrote = match state.tool {
                Some(ToolName::Write | ToolName::Edit) if state.started => {
                    crate::render::progress::argument(&state.call.arguments, "file_path").into_iter().collect()
                }
                _ => Vec::new(),
            };
            let result = ToolResult { text: text.to_owned(), error: true, wrote, exit: None };
            self.emit(Event::ToolFinished { run: id, call: state.call.id.clone(), result });
        }
        self.emit(Event::RunEnded { run: id, outcome: RunOutcome::Stopped { by: by.clone() } });
    }

    pub(super) fn retry(&mut self, by: UserId, ts: Option<MessageTs>) {
        let (stalled, pm_cut) = (self.thread.stalled.clone(), self.thread.pm_cut);
        if stalled.is_none() && !pm_cut {
            let text = if self.thread.runs.is_empty() { "There is nothing to try again." } else { "It is running." };
            self.tell(ts, by, text);
            return;
        }
        if self.thread.publishing.is_some() && !pm_cut {
            self.tell(ts, by, "The Coder's work is just being brought to the pull request. Try again in a moment.");
            return;
        }
        // A merge is asked for anew, with its own answer.
        if !matches!(stalled, Some(Stalled::Merge(_))) {
            self.emit(Event::RetryRequested { by: by.clone(), ts: ts.clone() });
        }
        if pm_cut {
            self.start_run(Role::Pm);
        }
        match stalled {
            Some(Stalled::Run(role)) if self.thread.publishing.is_none() => self.start_run(role),
            Some(Stalled::Merge(_)) => self.merge(by, ts),
            Some(Stalled::Base(_) | Stalled::Workspace(_) | Stalled::Publish(_) | Stalled::Run(_)) | None => {}
        }
    }

    pub(super) fn merge(&mut self, by: UserId, ts: Option<MessageTs>) {
        let reason = if self.thread.is_closed() {
            Some("This thread is closed.")
        } else if self.thread.merging.is_some() {
            Some("The merge is under way.")
        } else if self.thread.runs.contains_key(&Role::Coder) || self.thread.publishing.is_some() {
            Some("The Coder is still at work. Wait for its report, or stop it with `!stop`.")
        } else if self.thread.pull.is_none() {
            Some("There is no pull request to merge in this thread.")
        } else if !self.rules.may_approve(&by) {
            Some("Only an approver can merge.")
        } else {
            None
        };
        match (reason, self.thread.head.clone()) {
            (Some(reason), _) => self.tell(ts, by, reason),
            (None, Some(head)) => self.emit(Event::MergeRequested { by, ts, head }),
            (None, None) => self.tell(ts, by, "The branch has not been pushed yet. Say `!retry` first."),
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
        for role in Role::ALL {
            self.stop_run(role, &by);
        }
        self.emit(Event::CloseRequested { by, ts });
        if self.thread.workspace == WorkspaceState::None {
            self.emit(Event::ThreadClosed { merged: false });
        }
    }
}
