//! What a thread's log says of its work beyond what decisions need: answers and checklists. Folded for those who must go
//! on without having seen it; never judged here.
//!
//! Commands that were run are the trace of `checks.rs`; what became of the files is git's to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::consult::Knew;
use super::event::Event;
use super::plan::Todo;
use super::state::Thread;
use crate::agent::Role;
use crate::ids::MessageTs;

/// As many decisions are kept; the oldest go first.
const MOST_DECISIONS: usize = 40;

/// The record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What was decided by those who were asked, oldest first.
    pub decisions: Vec<Decision>,
    /// Each role's checklist as it was last.
    pub todos: BTreeMap<Role, Vec<Todo>>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The role that asked the PM, and who knew the answer; `None`: people were asked.
    pub to_pm: Option<(Role, Knew)>,
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// The message that was the answer, when it was typed.
    pub ts: Option<MessageTs>,
}

impl Thread {
    /// Notes what an event says of the work. Comes before the event is applied: it needs the open questions.
    pub(super) fn note_work(&mut self, event: &Event) {
        match event {
            Event::QuestionAnswered { ts, answer, .. } => {
                let Some(question) = &self.question else { return };
                let (question, answer, ts) = (question.ask.question.clone(), answer.clone(), ts.clone());
                self.note_decision(Decision { to_pm: None, question, answer, ts });
            }
            Event::PmAnswered { id, answer, knew } => {
                let Some(consult) = self.consults.iter().find(|consult| consult.id == *id) else { return };
                let (question, to_pm) = (consult.asked.question.clone(), Some((consult.role, knew.clone())));
                self.note_decision(Decision { to_pm, question, answer: answer.clone(), ts: None });
            }
            Event::TodosWritten { run, todos } => {
                if let Some((role, _)) = self.run(*run) {
                    Arc::make_mut(&mut self.record).todos.insert(role, todos.clone());
                }
            }
            _ => {}
        }
    }

    fn note_decision(&mut self, decision: Decision) {
        let decisions = &mut Arc::make_mut(&mut self.record).decisions;
        decisions.push(decision);
        let excess = decisions.len().saturating_sub(MOST_DECISIONS);
        decisions.drain(..excess);
    }
}
