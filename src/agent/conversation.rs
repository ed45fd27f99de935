//! What a model has been told and has said: the entries of one role's conversation in a thread.
//!
//! A conversation only grows. Each entry is taken from events as literal text, so that the same log always gives the
//! same bytes. The encoding for the wire is `llm::wire`.

use serde::{Deserialize, Serialize};

use crate::ids::CallId;

/// One tool call as the model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Unique within the conversation; made by us when the model's was missing or repeated.
    pub id: CallId,
    /// The name the model wrote, known or not.
    pub name: String,
    /// The arguments as JSON text. Broken ones are replaced by `{}`, and `fault` says what was wrong.
    pub arguments: String,
    /// Why the call cannot run as written: broken arguments. Told to the model as the call's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// One entry of a conversation, in the model's sense of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// Texts of people and notes of the daemon, as role `user`; one part each.
    User {
        /// The parts, in order.
        parts: &'a [String],
    },
    /// What the model said.
    Assistant {
        /// Its text; may be empty beside calls.
        text: &'a str,
        /// Its calls, in order.
        calls: &'a [ToolCall],
        /// The provider's reasoning array, to be sent back unchanged to the same model.
        reasoning: Option<&'a serde_json::Value>,
        /// The model that said it.
        model: &'a str,
    },
    /// The result of one call.
    ToolResult {
        /// Which call.
        call: &'a CallId,
        /// What the model reads.
        text: &'a str,
    },
}
