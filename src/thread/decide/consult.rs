//! Questions of roles to the PM (`AskPM`): the PM's one conversation in the thread gets them one after the other, a run of
//! the PM answers each, and its last text is the asker's. It is not posted as if it were an answer to people.

use super::Deciding;
use crate::agent::Role;
use crate::ids::{CallId, QuestionId, RunId, UserId};
use crate::thread::consult::{Consult, Knew, PmQuestion};
use crate::thread::event::{Event, RunOutcome, ToolResult};

impl Deciding<'_> {
    /// Asks the PM. The run waits, and its call, when it made one, stays open until there is an answer.
    pub(super) fn ask_pm(
        &mut self,
        role: Role,
        run: RunId,
        call: Option<CallId>,
        asked: PmQuestion,
    ) -> Result<(), String> {
        if let Some(fault) = asked.fault() {
            return Err(format!("The PM was not asked: {fault}."));
        }
        if self.thread.is_closed() {
            return Err(
                "This thread is closed; the PM answers no questions about its work. End with what you know.".to_owned()
            );
        }
        if let Some(call) = &call {
            self.emit(Event::ToolsStarted { run, calls: vec![call.clone()] });
        }
        let id = QuestionId::new(format!("q{}", self.thread.seq + 1));
        self.emit(Event::PmAsked { id, role, run, call, asked });
        self.wake_pm();
        Ok(())
    }

    /// Tells the PM what it is to answer in the run that begins now.
    pub(super) fn brief_pm(&mut self) {
        if let Some(consult) = self.thread.consults.first() {
            let text = format!("[codebutler] {}", consult.briefing());
            self.note(Role::Pm, text);
        } else if self.thread.owes_answers {
            self.note(Role::Pm, OWED.to_owned());
        }
    }

    /// Ends a run. Who waited for the PM's words gets them, or is told that there are none; and however a run of the PM
    /// ends, the next question that waits gets a run of its own.
    pub(super) fn end_run(&mut self, id: RunId, outcome: RunOutcome) {
        let told_by = self.thread.run(id).and_then(|(_, run)| run.told_by.clone());
        self.emit(Event::RunEnded { run: id, outcome: outcome.clone() });
        if let Some(consult) = self.thread.consult_of(id).cloned() {
            self.pass_on(consult, outcome, told_by);
        }
        if !self.thread.consults.is_empty() {
            self.wake_pm();
        }
    }

    fn pass_on(&mut self, consult: Consult, outcome: RunOutcome, told_by: Option<UserId>) {
        let (answer, knew) = match outcome {
            RunOutcome::Answered { text } | RunOutcome::LimitReached { text, .. } | RunOutcome::Stuck { text, .. } => {
                let knew = told_by.map_or(Knew::Pm, |by| Knew::Person { by });
                if text.trim().is_empty() { ("It said nothing.".to_owned(), Knew::Nobody) } else { (text, knew) }
            }
            RunOutcome::Failed { failure } => (failure.what, Knew::Nobody),
            RunOutcome::Stopped { .. } => ("A person stopped it.".to_owned(), Knew::Nobody),
        };
        if knew == Knew::Nobody {
            self.note(Role::Pm, OVER.to_owned());
        }
        self.answer_consult(consult, answer, knew);
    }

    fn answer_consult(&mut self, consult: Consult, answer: String, knew: Knew) {
        let Consult { id, role, run, call, .. } = consult;
        let error = knew == Knew::Nobody;
        let text = if error { unanswered(&answer) } else { answer.clone() };
        self.emit(Event::PmAnswered { id, answer, knew });
        match call {
            Some(call) => {
                self.tool_done(run, call, ToolResult { text, error, wrote: Vec::new(), exit: None }, Vec::new());
            }
            None => {
                let lead = if error { "" } else { "The PM was asked about it, and says:\n" };
                self.note(role, format!("[codebutler] {lead}{text}"));
                self.hear(role);
            }
        }
    }

    /// A person wrote to a run that is stuck and waits for the PM's help: it goes on with the person's word.
    pub(super) fn overtake_consult(&mut self, by: &UserId) {
        let Some(consult) = self.thread.consults.iter().find(|consult| consult.call.is_none()).cloned() else { return };
        let Consult { id, role, pm, .. } = consult;
        self.emit(Event::PmAnswered { id, answer: String::new(), knew: Knew::Overtaken { by: by.clone() } });
        if let Some(pm) = pm {
            self.end_void_consult(pm);
        }
        self.hear(role);
        self.wake_pm();
    }

    /// Ends a run of the PM whose answer nobody waits for any more.
    pub(super) fn end_void_consult(&mut self, pm: RunId) {
        let is_void = |run: &crate::thread::state::Run| run.id == pm && run.answers.is_some();
        if self.thread.runs.get(&Role::Pm).is_some_and(is_void) && self.thread.consult_of(pm).is_none() {
            self.finish_open_calls(Role::Pm, "the answer is not needed any more");
            self.end_run(pm, RunOutcome::Answered { text: String::new() });
            self.note(Role::Pm, OVER.to_owned());
        }
    }
}

/// What the PM reads when it wrote nobody an answer while the Coder worked.
const OWED: &str = "[codebutler] The run that asked you is over. If something that people wrote meanwhile still wants an \
                    answer from you, give it now; if not, end with no text.";

/// What the PM reads before anything else when a role went on without its answer.
const OVER: &str = "[codebutler] Nobody waits for your answer to that question any more.";

fn unanswered(why: &str) -> String {
    format!(
        "The PM did not answer: {why} Go on by your own judgement where a careful colleague would, and say in your report \
         what you decided. What you cannot decide, leave undone and say so."
    )
}
