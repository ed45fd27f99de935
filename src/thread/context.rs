//! What is done so that a role's conversation fits into what its model can read: as it is wanted, and as events keep it.
//!
//! Stored for years: variants and fields are only added, with a default; nothing is renamed.

use serde::{Deserialize, Serialize};

use super::event::Failure;
use crate::agent::Usage;
use crate::ids::{CallId, CommitId, MessageTs};

/// Something that was done to a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A result was too long to be shown whole; the store keeps all of it.
    OutputKept {
        /// The call.
        call: CallId,
        /// The name of the kept text in the store.
        blob: String,
        /// How long it is, in bytes.
        bytes: u64,
    },
    /// The server refused the conversation as too long.
    Exceeded {
        /// The model.
        model: String,
        /// How many tokens it reads, as far as is known now.
        context: u64,
    },
    /// Old results were replaced by stubs.
    Stubbed {
        /// The stubs.
        stubs: Vec<Stub>,
        /// How long the conversation was, in tokens.
        before: u64,
        /// How long it is now.
        after: u64,
    },
    /// The earlier part was replaced by one message.
    Compacted {
        /// The literal parts of that message, the summary last.
        parts: Vec<String>,
        /// How many of the last messages were kept.
        kept: u32,
        /// Results among those that were replaced by stubs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stubs: Vec<Stub>,
        /// How long the conversation was, in tokens.
        before: u64,
        /// How long it is now.
        after: u64,
        /// What a model wrote of the earlier part; `None`: it could not be had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
        /// What the summary cost.
        #[serde(default)]
        usage: Usage,
    },
}

/// What stands in place of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    /// The call.
    pub call: CallId,
    /// What the model reads now.
    pub text: String,
}

/// What is wanted of a conversation before its model is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// The server refused it as too long.
    Exceeded {
        /// The model.
        model: String,
        /// How many tokens it reads, as far as is known now.
        context: u64,
        /// What people are told when nothing helps.
        failure: Failure,
    },
    /// Stubs in place of old results.
    Stubs {
        /// The stubs.
        stubs: Vec<Stub>,
        /// How long the conversation is, in tokens.
        before: u64,
        /// How long it will be.
        after: u64,
    },
    /// One message in place of the earlier part.
    Replacement {
        /// How many of the last messages are kept.
        kept: u32,
        /// The people's messages among those.
        told: Vec<MessageTs>,
        /// Results among those that are replaced by stubs.
        stubs: Vec<Stub>,
        /// How long the conversation is, in tokens.
        before: u64,
        /// How long what stays is, with system prompt and tools.
        rest: u64,
        /// What a model wrote of the earlier part.
        summary: Option<String>,
        /// What that cost.
        usage: Usage,
        /// What git says of the work; `None`: there is none, or git does not say.
        work: Option<Work>,
    },
}

/// What git says of the thread's work, however it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Files that differ from where the branch began, committed or not, with a word for new and deleted ones.
    pub files: Vec<String>,
    /// The last commit; `None`: there is none yet.
    pub commit: Option<CommitId>,
}
