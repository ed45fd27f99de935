//! A question of a role to the people in the thread: what was asked, with which choices, and how an answer is read.
//!
//! It waits in the log, for as long as it takes; nothing here knows how it is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::Role;
use crate::ids::{CallId, QuestionId, RunId};

/// Choices that a question may have: what fits on one card of a chat.
const MOST_OPTIONS: usize = 10;

/// Characters of a question with its choices: one message.
const MOST_CHARS: usize = 2_500;

/// What a role asks: the arguments of `AskUser`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The question, as Markdown, with why it is asked.
    pub question: String,
    /// The likely answers, a few words each, the one to be taken first.
    #[serde(default, deserialize_with = "super::plan::list_or_null", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Ask {
    /// What is wrong with it, as a clause; `None` when it can be shown.
    pub fn fault(&self) -> Option<String> {
        if self.question.trim().is_empty() {
            return Some("`question` is empty".to_owned());
        }
        if self.options.len() > MOST_OPTIONS {
            return Some(format!("there are more than {MOST_OPTIONS} `options`"));
        }
        let chars =
            self.question.chars().count() + self.options.iter().map(|option| option.chars().count()).sum::<usize>();
        if chars > MOST_CHARS {
            return Some(format!("it has {chars} characters; ask it in fewer than {MOST_CHARS}"));
        }
        if self.options.iter().any(|option| option.trim().is_empty()) {
            return Some("one of the `options` is empty".to_owned());
        }
        None
    }

    /// The choice that a typed answer names, by its words or its number from 1.
    pub fn chosen(&self, typed: &str) -> Option<usize> {
        let typed = typed.trim().trim_end_matches(['.', '!']).to_lowercase();
        let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let by_words = self.options.iter().position(|option| option.trim().to_lowercase() == typed);
        by_words.or(number.filter(|index| *index < self.options.len()))
    }
}

/// A question that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// Who asks.
    pub role: Role,
    /// The run that waits for the answer.
    pub run: RunId,
    /// The call whose result the answer is.
    pub call: CallId,
    /// What is asked.
    pub ask: Ask,
}
