//! What a role asks the PM in the middle of its run: the question, and what is kept of it until the PM's run that answers
//! it has ended. Nothing but the log waits; the asker's run holds no place meanwhile.
//!
//! Who starts the PM and what becomes of its answer is decided in `decide/consult.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::Thread;
use crate::agent::Role;
use crate::ids::{CallId, QuestionId, RunId, UserId};

/// Characters of a question with its context.
const MOST_CHARS: usize = 12_000;

/// The arguments of `AskPM`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PmQuestion {
    /// The question, in one to three sentences.
    pub question: String,
    /// What you found out about it so far, with `path:line`, and what you would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

impl PmQuestion {
    /// What is wrong with it, as a clause; `None` when it can be asked.
    pub fn fault(&self) -> Option<String> {
        if self.question.trim().is_empty() {
            return Some("`question` is empty".to_owned());
        }
        let chars = self.question.chars().count() + self.context.iter().map(|text| text.chars().count()).sum::<usize>();
        (chars > MOST_CHARS).then(|| format!("it has {chars} characters; ask it in fewer than {MOST_CHARS}"))
    }
}

/// A question to the PM that waits for its answer. The first of a thread is the one that the PM is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consult {
    /// Its id.
    pub id: QuestionId,
    /// Who asks.
    pub role: Role,
    /// The run that waits.
    pub run: RunId,
    /// The call whose result the answer is; `None`: the core asks for a run that is stuck.
    pub call: Option<CallId>,
    /// What is asked.
    pub asked: PmQuestion,
    /// The PM's run that answers it, once it has begun.
    pub pm: Option<RunId>,
}

impl Consult {
    /// What the PM is told of it, when its run begins and again when that part of its conversation is gone.
    pub fn briefing(&self) -> String {
        let (role, asked) = (self.role.title(), &self.asked);
        let context = match asked.context.as_deref().map(str::trim) {
            Some(context) if !context.is_empty() => format!("\n\nWhat it knows:\n{context}"),
            Some(_) | None => String::new(),
        };
        let lead = match self.call {
            Some(_) => "asks you, in the middle of its work",
            None => "goes in circles in its work and needs your help",
        };
        format!(
            "The {role} {lead}:\n{}{context}\n\nIts run waits. The text with which you end goes to the {role}, not to \
             the people: the answer first, then what it rests on. Look up what the code decides; ask the people with \
             `AskUser` only what they alone can decide. If the plan does not hold, say what to do instead. To people \
             who write meanwhile, and who want an answer now, say it with `SlackNotify`.",
            asked.question.trim()
        )
    }
}

/// Who knew the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Knew {
    /// The PM.
    Pm,
    /// A person, whom the PM asked.
    Person {
        /// Who.
        by: UserId,
    },
    /// Nobody: the answer says why there is none.
    Nobody,
    /// A person wrote to the asker meanwhile, and the answer is not waited for any more.
    Overtaken {
        /// Who.
        by: UserId,
    },
}

impl Thread {
    pub(super) fn ask_pm(&mut self, consult: Consult) {
        if let Some(run) = self.runs.get_mut(&consult.role).filter(|run| run.id == consult.run) {
            run.asks = Some(consult.id.clone());
            self.consults.push(consult);
        }
    }

    pub(super) fn end_consult(&mut self, id: &QuestionId) {
        self.consults.retain(|consult| consult.id != *id);
        for run in self.runs.values_mut() {
            run.asks.take_if(|asks| asks == id);
        }
    }

    /// A run of the PM that begins while a question waits is there to answer it.
    pub(super) fn begin_consult(&mut self, pm: RunId) -> Option<QuestionId> {
        let first = self.consults.first_mut()?;
        first.pm = Some(pm);
        Some(first.id.clone())
    }

    /// What was asked by runs that are over waits for nothing.
    pub(super) fn drop_consults(&mut self) {
        let runs: Vec<RunId> = self.runs.values().map(|run| run.id).collect();
        self.consults.retain(|consult| runs.contains(&consult.run));
    }

    /// The question that this run of the PM answers, as long as somebody waits for it.
    pub fn consult_of(&self, pm: RunId) -> Option<&Consult> {
        self.consults.iter().find(|consult| consult.pm == Some(pm))
    }
}
