//! The rules that every request must keep (`contract.md` 4), checked as no real server does: valid messages, the tools
//! of the role, and conversations that only grow, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::request::{ScriptedMessage, ScriptedRequest};
use crate::agent::compaction;

/// The only bytes of a conversation that may come and go.
const CACHE_MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;
/// How many of them Anthropic takes.
const MOST_MARKS: usize = 4;

/// What requests are checked against.
#[derive(Default)]
pub(crate) struct Rules {
    key: Option<String>,
    tools: BTreeMap<String, Vec<Vec<String>>>,
    conversations: Vec<Conversation>,
    good: usize,
}

/// A conversation as its last request had it.
struct Conversation {
    model: String,
    tools: String,
    messages: Vec<Sent>,
    /// Its end may be lost to the client: the next request may go on from any earlier message.
    #[cfg(test)]
    rewound: bool,
}

/// A message as it was sent, without cache marks.
struct Sent {
    raw: String,
    /// What must stay when another model is asked: all but the reasoning.
    plain: Value,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

impl Rules {
    pub(super) fn expect_key(&mut self, key: &str) {
        self.key = Some(key.to_owned());
    }

    pub(super) fn expect_tools(&mut self, model: &str, tools: &[&str]) {
        let names = tools.iter().map(|name| (*name).to_owned()).collect();
        self.tools.entry(model.to_owned()).or_default().push(names);
    }

    /// The models that exist, as far as is known.
    pub(super) fn models(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    pub(super) fn check_key(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(key) = &self.key else { return Ok(()) };
        let given = headers.get("authorization").and_then(|value| value.to_str().ok());
        if given == Some(&format!("Bearer {key}")) { Ok(()) } else { Err("the key is missing or wrong".to_owned()) }
    }

    /// The request as a script sees it, or the rules it breaks.
    pub(crate) fn check(&mut self, headers: &HeaderMap, body: &[u8]) -> Result<ScriptedRequest, Vec<String>> {
        let not_json = |error: serde_json::Error| vec![format!("the body is no chat request: {error}")];
        let value: Value = serde_json::from_slice(body).map_err(not_json)?;
        let raw: Raw<'_> = serde_json::from_slice(body).map_err(not_json)?;
        let request = parse(headers, value);
        let mut broken = Vec::new();
        if request.body.get("stream") != Some(&Value::Bool(true)) {
            broken.push("`stream` is not true".to_owned());
        }
        check_messages(&request, &mut broken);
        self.check_tools(&request, &mut broken);
        if String::from_utf8_lossy(body).matches(CACHE_MARK).count() > MOST_MARKS {
            broken.push(format!("more than {MOST_MARKS} cache marks"));
        }
        if !broken.is_empty() {
            return Err(broken);
        }
        let (conversation, shortened) = self.follow(&request, &raw).map_err(|reason| vec![reason])?;
        self.good += 1;
        Ok(ScriptedRequest { number: self.good - 1, conversation, shortened, ..request })
    }

    /// The client lost the ends of its conversations, as by a power failure: each may go on from an earlier message, once.
    #[cfg(test)]
    pub(crate) fn rewind(&mut self) {
        self.conversations.iter_mut().for_each(|known| known.rewound = true);
    }

    fn check_tools(&self, request: &ScriptedRequest, broken: &mut Vec<String>) {
        let Some(lists) = self.tools.get(&request.model) else {
            if !self.tools.is_empty() {
                broken.push(format!("there is no model `{}`", request.model));
            }
            return;
        };
        if !request.tools.is_empty() && !lists.contains(&request.tools) {
            broken.push(format!("the tools are {:?}, expected {lists:?}", request.tools));
        }
    }

    /// Finds the conversation that the request goes on with, or begins one. The conversation's number, and whether it was
    /// made shorter.
    fn follow(&mut self, request: &ScriptedRequest, raw: &Raw<'_>) -> Result<(usize, bool), String> {
        let messages: Vec<Sent> = raw.messages.iter().map(|message| Sent::new(message.get())).collect();
        let tools = raw.tools.map(|tools| tools.get().to_owned()).unwrap_or_default();
        let known = (self.conversations.iter().enumerate())
            .filter(|(_, known)| known.is_begun_by(&messages, &request.model))
            .max_by_key(|(_, known)| known.messages.len())
            .map(|(index, _)| index);
        let shortened =
            || self.conversations.iter().rposition(|known| known.is_shortened_to(&messages, &request.model));
        let (known, shorter) = match known {
            Some(known) => (Some(known), false),
            None => shortened().map_or((None, false), |known| (Some(known), true)),
        };
        #[cfg(test)]
        let known = known.or_else(|| self.conversations.iter().position(|known| known.may_be_cut_to(&messages)));
        let next = Conversation {
            model: request.model.clone(),
            tools,
            messages,
            #[cfg(test)]
            rewound: false,
        };
        match known {
            Some(index) if self.conversations[index].tools == next.tools => {
                self.conversations[index] = next;
                Ok((index, shorter))
            }
            Some(_) => Err("the tools changed within the conversation".to_owned()),
            None if next.messages.len() == 2 => {
                self.conversations.push(next);
                Ok((self.conversations.len() - 1, false))
            }
            None => Err("the messages neither begin a conversation nor extend a known one byte for byte".to_owned()),
        }
    }
}

impl Conversation {
    /// Whether `messages` are this conversation and perhaps more.
    fn is_begun_by(&self, messages: &[Sent], model: &str) -> bool {
        let same_model = self.model == model;
        let Some((last, before)) = self.messages.split_last() else { return false };
        messages.len() >= self.messages.len()
            && before.iter().zip(messages).all(|(old, new)| old.is_same(new, same_model))
            && (last.is_same(&messages[before.len()], same_model) || last.is_joined_in(&messages[before.len()]))
    }

    /// Whether `messages` are this conversation made shorter, as `contract.md` 4 allows it, and perhaps more: with stubs
    /// in place of results, or with one message in place of all that came before a turn.
    fn is_shortened_to(&self, messages: &[Sent], model: &str) -> bool {
        let same_model = self.model == model;
        let is_same =
            |old: &Sent, new: &Sent| old.is_same(new, same_model) || old.is_joined_in(new) || new.is_stub_of(old);
        let all = |old: &[Sent], new: &[Sent]| {
            old.len() <= new.len() && old.iter().zip(new).all(|(old, new)| is_same(old, new))
        };
        let ([system, before @ ..], [new_system, after @ ..]) = (self.messages.as_slice(), messages) else {
            return false;
        };
        if !system.is_same(new_system, same_model) {
            return false;
        }
        let stubs = before.iter().zip(after).any(|(old, new)| new.is_stub_of(old));
        if stubs && all(before, after) {
            return true;
        }
        let Some((first, rest)) = after.split_first() else { return false };
        // What was kept begins with the model's message; nothing need be kept.
        first.text(0).starts_with(compaction::MARK)
            && rest.first().is_none_or(|sent| sent.role() == "assistant")
            && (1..=before.len()).any(|kept| all(&before[kept..], rest))
    }

    /// Whether `messages` may be this conversation after its end was lost: they begin as it did.
    #[cfg(test)]
    fn may_be_cut_to(&self, messages: &[Sent]) -> bool {
        let first = |sent: &Sent| sent.plain.pointer("/content/0").cloned();
        let [(old_system, system), (old, new)] = [0, 1].map(|at| (self.messages.get(at), messages.get(at)));
        self.rewound
            && old_system.zip(system).is_some_and(|(old, new)| old.plain == new.plain)
            && (old.and_then(first).is_some_and(|part| new.and_then(first) == Some(part))
                // How it began before its earlier part was replaced is not known any more.
                || self.messages.get(1).is_some_and(|sent| sent.text(0).starts_with(compaction::MARK)))
    }
}

impl Sent {
    fn new(raw: &str) -> Self {
        let raw = raw.replace(CACHE_MARK, "");
        let mut plain = serde_json::from_str(&raw).unwrap_or(Value::Null);
        if let Some(message) = plain.as_object_mut() {
            message.remove("reasoning_details");
        }
        Self { raw, plain }
    }

    fn is_same(&self, new: &Self, same_model: bool) -> bool {
        if same_model { self.raw == new.raw } else { self.plain == new.plain }
    }

    fn role(&self) -> &str {
        self.plain.get("role").and_then(Value::as_str).unwrap_or_default()
    }

    /// The text of a part.
    fn text(&self, part: usize) -> &str {
        self.plain.pointer(&format!("/content/{part}/text")).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether this stands in place of the result `old`.
    fn is_stub_of(&self, old: &Self) -> bool {
        let call = |sent: &Self| sent.plain.get("tool_call_id").cloned();
        self.role() == "tool" && call(self) == call(old) && self.text(0).starts_with(compaction::STUB_MARK)
    }

    /// Whether `new` is this user message with further parts.
    fn is_joined_in(&self, new: &Self) -> bool {
        let parts = |message: &Self| match (message.plain.get("role"), message.plain.get("content")) {
            (Some(Value::String(role)), Some(Value::Array(parts))) if role == "user" => Some(parts.clone()),
            _ => None,
        };
        parts(self).zip(parts(new)).is_some_and(|(old, new)| new.starts_with(&old))
    }
}

fn parse(headers: &HeaderMap, body: Value) -> ScriptedRequest {
    let list = |key: &str| body.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text =
        |pointer: &str, value: &Value| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    ScriptedRequest {
        number: 0,
        model: text("/model", &body),
        conversation: 0,
        shortened: false,
        messages: list("messages").iter().map(ScriptedMessage::parse).collect(),
        tools: list("tools").iter().map(|tool| text("/function/name", tool)).collect(),
        no_tools: body.get("tool_choice").and_then(Value::as_str) == Some("none"),
        headers: (headers.iter())
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect(),
        body,
    }
}

fn check_messages(request: &ScriptedRequest, broken: &mut Vec<String>) {
    let raw = request.body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut order = Order::default();
    for (index, (message, raw)) in request.messages.iter().zip(raw).enumerate() {
        let mut faults = Vec::new();
        check_content(message, raw, &mut faults);
        order.next(message, &mut faults);
        broken.extend(faults.into_iter().map(|fault| format!("message {index} ({}): {fault}", message.role)));
    }
    if !order.open.is_empty() {
        broken.push(format!("calls without a result at the end: {:?}", order.open));
    }
    if !matches!(order.before.as_str(), "user" | "tool") {
        broken.push("the last message is neither a user's nor a result".to_owned());
    }
}

/// Where a walk along the messages stands.
#[derive(Default)]
struct Order {
    before: String,
    open: BTreeSet<String>,
    ids: BTreeSet<String>,
}

impl Order {
    fn next(&mut self, message: &ScriptedMessage, faults: &mut Vec<String>) {
        match message.role.as_str() {
            "system" if self.before.is_empty() => {}
            "user" if matches!(self.before.as_str(), "system" | "assistant" | "tool") => {}
            "assistant" if matches!(self.before.as_str(), "user" | "tool") => {}
            "tool" if matches!(self.before.as_str(), "assistant" | "tool") => {}
            _ => faults.push(format!("does not belong after `{}`", self.before)),
        }
        if let Some(id) = &message.call_id
            && !self.open.remove(id)
        {
            faults.push(format!("there is no open call `{id}`"));
        }
        if message.role != "tool" && !self.open.is_empty() {
            faults.push(format!("calls without a result: {:?}", std::mem::take(&mut self.open)));
        }
        for call in &message.calls {
            if call.id.is_empty() || !self.ids.insert(call.id.clone()) {
                faults.push(format!("the call id `{}` is empty or not unique", call.id));
            }
            if serde_json::from_str::<Map<String, Value>>(&call.arguments).is_err() {
                faults.push(format!("the arguments of `{}` are no JSON object", call.id));
            }
            if call.name.is_empty() {
                faults.push("a call without a name".to_owned());
            }
            self.open.insert(call.id.clone());
        }
        self.before.clone_from(&message.role);
    }
}

fn check_content(message: &ScriptedMessage, raw: &Value, faults: &mut Vec<String>) {
    let content = raw.get("content").unwrap_or(&Value::Null);
    let parts = content.as_array().is_some_and(|parts| {
        let is_text = |part: &Value| {
            part.get("type").and_then(Value::as_str) == Some("text")
                && part.get("text").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
        };
        !parts.is_empty() && parts.iter().all(is_text)
    });
    let only_calls = message.role == "assistant" && content.is_null() && !message.calls.is_empty();
    if !parts && !only_calls {
        faults.push("the content is not a list of text parts".to_owned());
    }
    if (message.role == "tool") != message.call_id.is_some() {
        faults.push("`tool_call_id` belongs to results, and to all of them".to_owned());
    }
}
