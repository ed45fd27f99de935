//! What a script answers and how it goes over the wire: in pieces, with comments, or broken on purpose.

use std::time::Duration;

use serde_json::{Value, json};

use super::request::{ScriptedCall, ScriptedRequest};

/// The comment by which OpenRouter keeps a connection alive.
const COMMENT: &str = ": OPENROUTER PROCESSING\n\n";

/// A reply of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptedReply {
    /// Its text.
    pub text: String,
    /// Its tool calls.
    pub calls: Vec<ScriptedCall>,
    /// Its reasoning, as items of `reasoning_details`.
    pub reasoning: Vec<Value>,
    /// The finish reason; when empty, the one that fits.
    pub finish: String,
    /// Input tokens, cached ones among them, output tokens.
    pub tokens: (u64, u64, u64),
    /// The cost in US dollars; `None` leaves it out, as most servers do.
    pub cost: Option<f64>,
    /// What goes wrong.
    pub fault: Option<ScriptedFault>,
}

/// What can go wrong with a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum ScriptedFault {
    /// This status with this body in place of the reply.
    Status {
        /// The HTTP status.
        code: u16,
        /// The body.
        body: String,
        /// The `Retry-After` header.
        retry_after: Option<String>,
    },
    /// Anything else, byte for byte: a page, a redirect, a stream as some odd server writes it.
    Raw {
        /// The HTTP status.
        code: u16,
        /// The headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// No answer at all until the log releases it.
    Silent,
    /// An error object with status 200 in place of the reply.
    ErrorInBody {
        /// The error's code.
        code: u16,
        /// The error's message.
        message: String,
    },
    /// Half the reply, then an error object as an event.
    ErrorMidStream {
        /// The error's code.
        code: u16,
        /// The error's message.
        message: String,
    },
    /// Half the reply, then the end of the body.
    CutMidStream,
    /// Half the reply, then a broken connection.
    ResetMidStream,
    /// Half the reply, then nothing until the log releases it.
    Stall,
    /// A stream with nothing in it but its end.
    EmptyStream,
    /// The reply as one JSON object.
    JsonInsteadOfSse,
    /// A pause before each piece.
    SlowChunks(Duration),
    /// This text of a stream again and again, with this pause before each.
    Endless(String, Duration),
}

/// What is sent next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Pause(Duration),
    /// A text again and again, with a pause before each.
    Again(String, Duration),
    Stall,
    Reset,
}

impl ScriptedReply {
    /// A reply of text alone, which ends a run.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A reply that goes wrong.
    pub fn fault(fault: ScriptedFault) -> Self {
        Self { text: "This must never be taken for an answer.".to_owned(), fault: Some(fault), ..Self::default() }
    }

    /// An event stream of these data lines, however odd they are. Nothing is added, not even its end.
    pub fn stream_of(lines: &[&str]) -> Self {
        let body: String = lines.iter().map(|line| format!("data: {line}\n\n")).collect();
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        Self::fault(ScriptedFault::Raw { code: 200, headers, body: body.into_bytes() })
    }

    /// Adds a tool call with these arguments, byte for byte, under an id that may be missing or repeated.
    #[must_use]
    pub fn raw_call(mut self, id: &str, name: &str, arguments: &str) -> Self {
        let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
        self.calls.push(ScriptedCall { id, name, arguments });
        self
    }

    /// Sets the finish reason.
    #[must_use]
    pub fn finish(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.finish);
        self
    }

    /// The same, going wrong.
    #[must_use]
    pub fn with_fault(mut self, fault: ScriptedFault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Adds a tool call.
    #[must_use]
    pub fn call(mut self, name: &str, arguments: &Value) -> Self {
        let (id, name, arguments) = (String::new(), name.to_owned(), arguments.to_string());
        self.calls.push(ScriptedCall { id, name, arguments });
        self
    }

    /// Sets the cost in US dollars.
    #[must_use]
    pub fn cost(mut self, usd: f64) -> Self {
        self.cost = Some(usd);
        self
    }

    /// Sets input tokens, cached ones among them, and output tokens.
    #[must_use]
    pub fn tokens(mut self, input: u64, cached: u64, output: u64) -> Self {
        self.tokens = (input, cached, output);
        self
    }

    /// The whole reply as one JSON object.
    pub(super) fn completion(&self, request: &ScriptedRequest) -> String {
        let calls: Vec<Value> = (self.numbered(request))
            .map(|(_, call)| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}))
            .collect();
        let mut message = json!({"role": "assistant", "content": self.text});
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        if !self.reasoning.is_empty() {
            message["reasoning_details"] = Value::Array(self.reasoning.clone());
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason()});
        json!({"id": "gen-0", "model": request.model, "choices": [choice], "usage": self.usage()}).to_string()
    }

    /// The reply as a stream, with its fault.
    pub(super) fn pieces(&self, request: &ScriptedRequest) -> Vec<Piece> {
        let mut events = self.events(request);
        let half = events.len() / 2;
        let then = match &self.fault {
            Some(ScriptedFault::ErrorMidStream { code, message }) => {
                events.truncate(half);
                let choice = json!({"index": 0, "delta": {"content": ""}, "finish_reason": "error"});
                let error = json!({"code": code, "message": message});
                events.push(event(&json!({"id": "gen-0", "error": error, "choices": [choice]})));
                None
            }
            Some(ScriptedFault::CutMidStream) => {
                events.truncate(half);
                None
            }
            Some(ScriptedFault::ResetMidStream) => {
                events.truncate(half);
                Some(Piece::Reset)
            }
            Some(ScriptedFault::Stall) => Some(Piece::Stall),
            Some(ScriptedFault::EmptyStream) => return vec![Piece::Text(format!("{COMMENT}data: [DONE]\n\n"))],
            Some(ScriptedFault::Endless(text, pause)) => return vec![Piece::Again(text.clone(), *pause)],
            Some(ScriptedFault::SlowChunks(pause)) => {
                let slow = events.into_iter().flat_map(|text| [Piece::Pause(*pause), Piece::Text(text)]);
                return slow.collect();
            }
            Some(
                ScriptedFault::Status { .. }
                | ScriptedFault::Raw { .. }
                | ScriptedFault::Silent
                | ScriptedFault::ErrorInBody { .. }
                | ScriptedFault::JsonInsteadOfSse,
            )
            | None => None,
        };
        let mut pieces: Vec<Piece> = events.into_iter().map(Piece::Text).collect();
        pieces.splice(half.min(pieces.len())..half.min(pieces.len()), then);
        pieces
    }

    fn events(&self, request: &ScriptedRequest) -> Vec<String> {
        let delta = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            event(&json!({"id": "gen-0", "model": request.model, "choices": [choice]}))
        };
        let mut events = vec![COMMENT.to_owned(), delta(json!({"role": "assistant", "content": ""}), Value::Null)];
        for detail in &self.reasoning {
            events.push(delta(json!({"reasoning_details": [detail]}), Value::Null));
        }
        for piece in pieces_of(&self.text) {
            events.push(delta(json!({"content": piece}), Value::Null));
        }
        events.push(COMMENT.to_owned());
        for (index, call) in self.numbered(request) {
            let function = json!({"name": call.name, "arguments": ""});
            let opening = json!({"index": index, "id": call.id, "type": "function", "function": function});
            events.push(delta(json!({"tool_calls": [opening]}), Value::Null));
            for piece in pieces_of(&call.arguments) {
                let more = json!({"index": index, "function": {"arguments": piece}});
                events.push(delta(json!({"tool_calls": [more]}), Value::Null));
            }
        }
        events.push(delta(json!({}), json!(self.finish_reason())));
        events.push(event(&json!({"id": "gen-0", "model": request.model, "choices": [], "usage": self.usage()})));
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    /// The calls with their numbers, and ids where the script gave none.
    fn numbered<'a>(&'a self, request: &'a ScriptedRequest) -> impl Iterator<Item = (usize, ScriptedCall)> + 'a {
        self.calls.iter().cloned().enumerate().map(|(index, mut call)| {
            if call.id.is_empty() {
                call.id = format!("call_{}_{index}", request.number);
            }
            (index, call)
        })
    }

    fn finish_reason(&self) -> &str {
        match self.finish.as_str() {
            "" if self.calls.is_empty() => "stop",
            "" => "tool_calls",
            given => given,
        }
    }

    fn usage(&self) -> Value {
        let (input, cached, output) = self.tokens;
        let mut usage = json!({
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": cached},
        });
        if let Some(cost) = self.cost {
            usage["cost"] = json!(cost);
        }
        usage
    }
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// A text in some twenty pieces, or of a few letters each when it is short.
fn pieces_of(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks((letters.len() / 20).max(7)).map(|piece| piece.iter().collect()).collect()
}
