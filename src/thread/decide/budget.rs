//! The caps, decided: before each request to a model whether it may be made, and what people do about a run that waits at
//! a cap. Only approvers raise one (`contract.md` 3); nothing that waits expires.

use super::Deciding;
use crate::agent::Role;
use crate::ids::{MessageTs, RunId, UserId};
use crate::render::budget::cap_text;
use crate::thread::budget::{Budget, Cap, Used, near, reached};
use crate::thread::event::{Answer, Event};

impl Deciding<'_> {
    /// A run is about to ask its model: it is paused when a cap is reached.
    pub(super) fn call_due(&mut self, id: RunId) {
        let Some((_, run)) = self.thread.run(id) else { return };
        if run.paused.is_some() || !run.thinks() {
            return;
        }
        // Its request is only about to be made.
        self.asked = self.asked.filter(|(asked, _)| *asked != id);
        if let Some(used) = reached(&self.thread, run, self.rules) {
            self.pause(id, used);
        }
    }

    /// Tells the thread once when little is left, and lets its PM be cheaper from then on.
    pub(super) fn mind_budget(&mut self) {
        while let Some(news) = near(&self.thread, self.rules, self.asked) {
            self.emit(Event::Budget { news });
        }
    }

    fn pause(&mut self, run: RunId, used: Used) {
        let Used { cap, spent, limit, raise } = used;
        self.emit(Event::Budget { news: Budget::Reached { run, cap, spent, limit, raise } });
    }

    /// The run whose card this is; tells the person when it waits no more.
    fn paused_by_card(&mut self, value: &str, by: &UserId) -> Option<(Role, RunId, Cap)> {
        let found = self.thread.pauses().find(|(_, _, paused)| paused.id.to_string() == value);
        let found = found.map(|(role, run, paused)| (role, run.id, paused.used.cap));
        if found.is_none() {
            self.refuse(None, by.clone(), "This card is void: the run went on or has ended.");
        }
        found
    }

    pub(super) fn raise_budget(&mut self, value: &str, by: UserId) {
        let Some((role, id, cap)) = self.paused_by_card(value, &by) else { return };
        if !self.rules.may_approve(&by) {
            let reason = format!("Only an approver can raise a limit{}.", self.approver_names());
            self.refuse(None, by, &reason);
            return;
        }
        let Some((_, run)) = self.thread.run(id) else { return };
        match reached(&self.thread, run, self.rules) {
            None => self.go_on(role, Budget::Freed { run: id, by, ts: None }),
            Some(used) if used.cap == cap => {
                self.go_on(role, Budget::Raised { run: id, cap, amount: used.raise, by });
            }
            // Another cap is in the way now, of which the card says nothing.
            Some(other) => self.pause(id, other),
        }
    }

    pub(super) fn stop_at_budget(&mut self, value: &str, by: UserId) {
        let Some((role, ..)) = self.paused_by_card(value, &by) else { return };
        if !self.rules.may_approve(&by) {
            let reason = format!("Only an approver can decide here{}. `!stop` ends the run.", self.approver_names());
            self.refuse(None, by, &reason);
            return;
        }
        self.emit(Event::StopRequested { by: by.clone(), ts: None });
        // Who waits for its answer first: told that there is none, it would go on to the same cap.
        let asked = self.thread.runs.get(&role).and_then(|run| self.thread.consult_of(run.id));
        if let Some(asker) = asked.map(|consult| consult.role) {
            self.stop_run(asker, &by);
        }
        self.stop_run(role, &by);
    }

    /// Lets runs go on that wait at a cap which has room again: the hour has passed, the day is another. Says whether
    /// there was one.
    fn free(&mut self, by: &UserId, ts: Option<&MessageTs>) -> bool {
        let is_free =
            |(_, run, _): &(Role, &crate::thread::state::Run, _)| reached(&self.thread, run, self.rules).is_none();
        let free: Vec<(Role, RunId)> =
            self.thread.pauses().filter(is_free).map(|(role, run, _)| (role, run.id)).collect();
        for (role, run) in &free {
            self.go_on(*role, Budget::Freed { run: *run, by: by.clone(), ts: ts.cloned() });
        }
        !free.is_empty()
    }

    /// The run goes on, and reads first what was said meanwhile.
    fn go_on(&mut self, role: Role, news: Budget) {
        self.emit(Event::Budget { news });
        if self.has_news(role) {
            self.hear(role);
        }
    }

    /// `!retry` while a run waits at a cap. `true`: that was all there is to do.
    pub(super) fn retry_paused(&mut self, by: &UserId, ts: Option<&MessageTs>) -> bool {
        if self.thread.pauses().next().is_none() {
            return false;
        }
        let freed = self.free(by, ts);
        let more = !self.thread.stalled.is_empty();
        if let Some(text) = self.waiting_text().filter(|_| !freed && !more) {
            self.tell(ts.cloned(), by.clone(), &text);
        }
        !more
    }

    /// A person wrote while a run waits at a cap: it goes on when there is room, else the person is told what it waits for.
    pub(super) fn heard_while_paused(&mut self, by: &UserId) {
        if self.thread.pauses().next().is_some()
            && !self.free(by, None)
            && let Some(text) = self.waiting_text()
        {
            let answer = Answer::Text { text: format!("Your message is kept and read when the run goes on. {text}") };
            self.emit(Event::CommandTaken { ts: None, by: by.clone(), answer });
        }
    }

    fn waiting_text(&self) -> Option<String> {
        let (role, run, paused) = self.thread.pauses().next()?;
        let why = cap_text(&self.thread, run, &paused.used);
        Some(format!(
            "The {} is paused: {why}. An approver can raise the limit on its card; `!stop` ends the run and keeps its work.",
            role.title()
        ))
    }
}
