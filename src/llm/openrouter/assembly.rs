//! Puts a reply together from the pieces in which it arrives. Pure: no clock, no socket.

use serde_json::Value;

use super::chunk::{CallPiece, Choice, Chunk, Piece};
use super::fault::Fault;
use super::halves;
use crate::agent::tool_name::Conduct;
use crate::agent::{ToolCall, ToolName, Usage, repair};
use crate::ids::CallId;
use crate::thread::event::Reply;

/// The largest reply that is taken, in bytes of what the model wrote: far more than any model's output limit.
const LARGEST: usize = 4 << 20;
/// What a detail of reasoning and a call count for beside their texts.
const FRAME: usize = 64;

/// A reply on its way.
pub(super) struct Assembly {
    model: String,
    text: String,
    calls: Vec<Call>,
    /// Whether the model went on making calls after the last that anybody looks at.
    too_many: bool,
    reasoning: Vec<Value>,
    /// How much the model wrote, reasoning included.
    written: usize,
    usage: Option<Value>,
    finish: Option<String>,
    /// Whether half characters may stand in the text, escaped.
    halves: bool,
}

#[derive(Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// Nothing yet of a reply by this model.
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            text: String::new(),
            calls: Vec::new(),
            too_many: false,
            reasoning: Vec::new(),
            written: 0,
            usage: None,
            finish: None,
            halves: false,
        }
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, chunk: Chunk) -> Result<(), Fault> {
        if let Some(usage) = chunk.usage.filter(Value::is_object) {
            self.usage = Some(usage);
        }
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Fault::from_error(&error));
        }
        for choice in chunk.choices.into_iter().flatten().take(1) {
            self.take_choice(choice)?;
        }
        Ok(())
    }

    /// Takes an event whose half characters were escaped.
    pub(super) fn take_halves(&mut self, chunk: Chunk) -> Result<(), Fault> {
        self.halves = true;
        self.take(chunk)
    }

    /// Whether the model has said that it is done; the usage may still follow.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether nothing that may still come is wanted: the model makes calls without end, or writes without end.
    pub(super) fn is_full(&self) -> bool {
        self.too_many || self.written > LARGEST
    }

    /// How much the model wrote so far, in bytes.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// What the server said of the usage so far.
    pub(super) fn stated(&self) -> Option<Usage> {
        self.usage.is_some().then(|| usage(self.usage.as_ref()))
    }

    /// The reply. `done` says that the server marked the end of the stream; without it and without a finish reason the
    /// reply was cut off (`decisions.md` 12).
    pub(super) fn finish(self, done: bool) -> Result<Reply, Fault> {
        let finish = match self.finish.as_deref() {
            None if self.too_many => Some("tool_calls"),
            // Of calls the whole ones count, as at the model's own limit.
            None if self.is_full() && !self.calls.is_empty() => Some("length"),
            None if self.is_full() => {
                let reason = format!("it had written {} MiB and went on", LARGEST >> 20);
                return Err(Fault::Endless { reason });
            }
            finish => finish,
        };
        match finish {
            None if !done => return Err(Fault::lost("the reply was cut off")),
            Some("error") => return Err(Fault::from_error(&Value::from("the provider broke off"))),
            // What came before is not the whole answer, and nobody knows what is missing.
            Some("content_filter") => {
                let message = "the provider's content filter held the answer back".to_owned();
                return Err(Fault::Filtered { message });
            }
            None if self.calls.is_empty() && self.text.trim().is_empty() => return Err(Fault::Empty),
            None | Some(_) => {}
        }
        let cut = finish == Some("length");
        // Without a finish reason nobody knows whether the last call is all that the model wrote.
        let whole = finish.is_some() && !cut && !self.too_many;
        let reasoning = if self.reasoning.is_empty() { None } else { Some(Value::Array(self.reasoning)) };
        Ok(Reply {
            text: if self.halves { halves::joined(&self.text) } else { self.text },
            calls: self.calls.into_iter().map(|call| call.checked(cut, whole)).collect(),
            reasoning,
            cut,
            model: self.model,
            instead_of: None,
            usage: usage(self.usage.as_ref()),
        })
    }

    fn take_choice(&mut self, choice: Choice) -> Result<(), Fault> {
        if let Some(error) = choice.error.filter(|error| !error.is_null()) {
            return Err(Fault::from_error(&error));
        }
        let whole = choice.message.is_some();
        if let Some(piece) = choice.message.or(choice.delta) {
            self.take_piece(piece, whole);
        }
        if let Some(finish) = choice.finish_reason.filter(|finish| !finish.is_empty()) {
            self.finish = Some(finish);
        }
        Ok(())
    }

    fn take_piece(&mut self, piece: Piece, whole: bool) {
        let before = self.text.len();
        match piece.content {
            Some(Value::String(text)) => self.text.push_str(&text),
            Some(Value::Array(parts)) => {
                self.text.extend(parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)));
            }
            Some(_) | None => {}
        }
        if let Some(refusal) = piece.refusal {
            self.text.push_str(&refusal);
        }
        self.written += self.text.len() - before;
        let thought = [piece.reasoning, piece.reasoning_content];
        self.written += thought.iter().flatten().filter_map(Value::as_str).map(str::len).sum::<usize>();
        if let Some(function) = piece.function_call {
            self.take_call(CallPiece { index: Some(0), id: None, function: Some(function) });
        }
        for (position, mut call) in piece.tool_calls.into_iter().flatten().enumerate() {
            if whole {
                // In a whole message each entry is a call of its own, whatever its id says.
                call.index = u64::try_from(position).ok();
            }
            self.take_call(call);
        }
        for detail in piece.reasoning_details.into_iter().flatten() {
            self.take_reasoning(detail);
        }
    }

    fn take_call(&mut self, piece: CallPiece) {
        let id = piece.id.unwrap_or_default();
        let function = piece.function.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let at = match self.call_of(piece.index, &id, &name) {
            Some(at) => at,
            None if self.calls.len() > repair::MOST_KEPT => {
                self.too_many = true;
                return;
            }
            None => {
                self.calls.push(Call { index: piece.index, ..Call::default() });
                self.written += FRAME;
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        let before = call.arguments.len();
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        match function.arguments {
            Some(Value::String(text)) => call.arguments.push_str(&text),
            Some(object @ Value::Object(_)) => call.arguments = object.to_string(),
            Some(_) | None => {}
        }
        self.written += call.arguments.len().saturating_sub(before);
    }

    /// The call that a piece continues; `None` when it begins one. Some servers number all calls 0, some not at all:
    /// then another id, or a name after complete arguments, begins a call.
    fn call_of(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let at = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index)?,
            None if id.is_empty() => self.calls.len().checked_sub(1)?,
            None => self.calls.iter().rposition(|call| call.id == id)?,
        };
        let call = &self.calls[at];
        let other_id = !id.is_empty() && !call.id.is_empty() && id != call.id;
        let another = index.is_none() && !name.is_empty() && repair::is_object(&call.arguments);
        (!(another || other_id && !name.is_empty())).then_some(at)
    }

    /// Pieces of the same text are joined; everything else is kept as it came, in order.
    fn take_reasoning(&mut self, detail: Value) {
        let texts = ["text", "summary", "data"].into_iter().filter_map(|key| detail.get(key)?.as_str());
        self.written += texts.map(str::len).sum::<usize>();
        let Value::Object(piece) = detail else {
            self.written += FRAME;
            self.reasoning.push(detail);
            return;
        };
        if let Some(Value::Object(last)) = self.reasoning.last_mut()
            && continues(last, &piece)
        {
            for (key, value) in piece {
                match (last.get_mut(&key), value) {
                    (Some(Value::String(text)), Value::String(more)) if key == "text" || key == "summary" => {
                        text.push_str(&more);
                    }
                    (Some(Value::Null) | None, value) => {
                        last.insert(key, value);
                    }
                    (Some(_), _) => {}
                }
            }
            return;
        }
        self.written += FRAME;
        self.reasoning.push(Value::Object(piece));
    }
}

type Object = serde_json::Map<String, Value>;

/// Whether a piece of reasoning goes on where the last one stopped: same kind of text, same place, not signed off yet.
fn continues(last: &Object, piece: &Object) -> bool {
    let text = matches!(last.get("type").and_then(Value::as_str), Some("reasoning.text" | "reasoning.summary"));
    let signed = last.get("signature").is_some_and(|signature| !signature.is_null());
    text && !signed && ["type", "index"].iter().all(|key| last.get(*key) == piece.get(*key))
}

impl Call {
    fn checked(self, cut: bool, whole: bool) -> ToolCall {
        let reads = ToolName::parse(&self.name).is_some_and(|tool| tool.conduct() == Conduct::Reads);
        let checked = repair::check(&self.arguments, cut, whole && reads);
        ToolCall { id: CallId::new(self.id), name: self.name, arguments: checked.arguments, fault: checked.fault }
    }
}

/// The usage of one attempt. A cost that is not stated is unknown, not zero.
pub(super) fn usage(stated: Option<&Value>) -> Usage {
    let count = |path: &str| stated.and_then(|usage| usage.pointer(path)).and_then(Value::as_u64).unwrap_or(0);
    let money = |path: &str| {
        let value = stated.and_then(|usage| usage.pointer(path)).and_then(Value::as_f64);
        value.filter(|cost| cost.is_finite() && *cost >= 0.0)
    };
    // With a key of one's own at the provider, OpenRouter's cost is its fee alone.
    let own_key = stated.and_then(|usage| usage.get("is_byok")).and_then(Value::as_bool).unwrap_or(false);
    let upstream = if own_key { money("/cost_details/upstream_inference_cost").unwrap_or(0.0) } else { 0.0 };
    let cost = money("/cost").map(|cost| cost + upstream);
    Usage {
        calls: 1,
        prompt_tokens: count("/prompt_tokens"),
        cached_tokens: count("/prompt_tokens_details/cached_tokens"),
        completion_tokens: count("/completion_tokens"),
        cost_usd: cost.unwrap_or(0.0),
        calls_without_cost: u32::from(cost.is_none()),
        calls_about: 0,
    }
}

#[cfg(test)]
mod tests;
