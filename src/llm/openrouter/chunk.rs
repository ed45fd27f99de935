//! What servers send: one event of a stream, or a whole completion in place of a stream. Lenient, since only a part is
//! needed and each server has its own idea of the rest.

use serde::Deserialize;
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
    pub(super) finish_reason: Option<String>,
    pub(super) error: Option<Value>,
}

/// A piece of an assistant's message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece {
    /// A text; some servers send an array of parts.
    pub(super) content: Option<Value>,
    pub(super) tool_calls: Option<Vec<CallPiece>>,
    pub(super) reasoning_details: Option<Vec<Value>>,
}

/// A piece of a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallPiece {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<FunctionPiece>,
}

/// A piece of what is called.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionPiece {
    pub(super) name: Option<String>,
    /// A text, in pieces; some servers send the object itself.
    pub(super) arguments: Option<Value>,
}
