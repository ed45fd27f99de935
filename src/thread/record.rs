//! What a thread's log says of its work beyond what decisions need: answers, files, commands, checklists. Folded for those
//! who must go on without having seen it; never judged here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{Event, ToolResult};
use super::plan::Todo;
use super::state::Thread;
use crate::agent::{Role, ToolName};
use crate::ids::{CallId, CommitId, MessageTs, RunId};
use crate::render::progress::argument;

/// As many of each as are kept; the oldest go first.
const MOST_COMMANDS: usize = 40;
const MOST_DECISIONS: usize = 40;
const MOST_FILES: usize = 400;
/// Characters of a command.
const COMMAND: usize = 300;

/// The record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What people decided when they were asked, oldest first.
    pub decisions: Vec<Decision>,
    /// Commands that the Coder ran, each once, the one that was run last at the end.
    pub commands: Vec<Ran>,
    /// Files that the Coder wrote.
    pub wrote: BTreeSet<String>,
    /// The last commit on the thread's branch.
    pub commit: Option<CommitId>,
    /// Each role's checklist as it was last.
    pub todos: BTreeMap<Role, Vec<Todo>>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// The message that was the answer, when it was typed.
    pub ts: Option<MessageTs>,
}

/// A command and how it ended last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The command.
    pub command: String,
    /// Its exit code; `None`: it was cut.
    pub exit: Option<i32>,
}

impl Thread {
    /// Notes what an event says of the work. Comes before the event is applied: it needs the open calls.
    pub(super) fn note_work(&mut self, event: &Event) {
        match event {
            Event::QuestionAnswered { ts, answer, .. } => {
                let Some(question) = &self.question else { return };
                let (question, answer, ts) = (question.ask.question.clone(), answer.clone(), ts.clone());
                let record = Arc::make_mut(&mut self.record);
                record.decisions.push(Decision { question, answer, ts });
                let excess = record.decisions.len().saturating_sub(MOST_DECISIONS);
                record.decisions.drain(..excess);
            }
            Event::ToolFinished { run, call, result } => self.note_result(*run, call, result),
            Event::TodosWritten { run, todos } => {
                if let Some((role, _)) = self.run(*run) {
                    Arc::make_mut(&mut self.record).todos.insert(role, todos.clone());
                }
            }
            Event::Committed { commit } => Arc::make_mut(&mut self.record).commit = Some(commit.clone()),
            _ => {}
        }
    }

    fn note_result(&mut self, run: RunId, call: &CallId, result: &ToolResult) {
        let Some((Role::Coder, run)) = self.run(run) else { return };
        let bash = run.open_call(call).filter(|state| state.tool == Some(ToolName::Bash) && state.started);
        let command = bash.and_then(|state| argument(&state.call.arguments, "command"));
        if command.is_none() && result.wrote.is_empty() {
            return;
        }
        let record = Arc::make_mut(&mut self.record);
        for file in &result.wrote {
            if record.wrote.len() < MOST_FILES {
                record.wrote.insert(file.clone());
            }
        }
        if let Some(command) = command {
            let command: String = command.chars().take(COMMAND).collect();
            record.commands.retain(|ran| ran.command != command);
            record.commands.push(Ran { command, exit: result.exit });
            let excess = record.commands.len().saturating_sub(MOST_COMMANDS);
            record.commands.drain(..excess);
        }
    }
}
