//! What servers send: one event of a stream, or a whole completion in place of a stream. Lenient, since only a part is
//! needed and each server has its own idea of the rest.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One event of the stream; also the shape of a completion that was not streamed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    pub(super) choices: Option<Vec<Choice>>,
    pub(super) usage: Option<Value>,
    pub(super) error: Option<Value>,
}

/// One choice; only one is ever asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    /// A piece of the message, in a stream.
    pub(super) delta: Option<Piece>,
    /// The whole message, without a stream.
    pub(super) message: Option<Piece>,
    #[serde(deserialize_with = "text")]
    pub(super) finish_reason: Option<String>,
    pub(super) error: Option<Value>,
}

/// A piece of an assistant's message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece {
    /// A text; some servers send an array of parts.
    pub(super) content: Option<Value>,
    /// What OpenAI's models say in place of content when they refuse.
    #[serde(deserialize_with = "text")]
    pub(super) refusal: Option<String>,
    pub(super) tool_calls: Option<Vec<CallPiece>>,
    /// The one call of servers that speak the protocol of 2023.
    pub(super) function_call: Option<FunctionPiece>,
    pub(super) reasoning_details: Option<Vec<Value>>,
    /// Reasoning as plain text, under either name: it is not kept, but the model is at work.
    pub(super) reasoning: Option<Value>,
    pub(super) reasoning_content: Option<Value>,
}

/// A piece of a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallPiece {
    #[serde(deserialize_with = "index")]
    pub(super) index: Option<u64>,
    #[serde(deserialize_with = "text")]
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionPiece>,
}

/// A piece of what is called.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionPiece {
    #[serde(deserialize_with = "text")]
    pub(super) name: Option<String>,
    /// A text, in pieces; some servers send the object itself.
    pub(super) arguments: Option<Value>,
}

/// A text; a number in its place is taken for one, anything else for none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

/// A number, also as text.
fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    })
}
