//! The wire form of messages: entries of a conversation as OpenAI-style JSON, written once and then only copied.
//!
//! Content is always in the form of parts, so that a message never changes its shape. Knows nothing of requests.

use std::borrow::Cow;

use serde::Serialize;

use crate::agent::{Entry, ToolCall};

/// What is put before the end of a part to ask Anthropic's models to cache everything up to it.
pub(super) const CACHE_MARK: &[u8] = br#","cache_control":{"type":"ephemeral"}"#;
/// How far a cache mark's place is from the end of a message that ends with parts: `}]}`.
pub(super) const MARK_FROM_END: usize = 3;
/// How far the place of the reasoning array is from the end of an assistant message: `}`.
pub(super) const REASONING_FROM_END: usize = 1;

/// How a user message begins.
const USER: &[u8] = br#"{"role":"user","content":["#;

/// Stands in for a text that is empty: several providers refuse empty parts.
const EMPTY: &str = "(empty)";

/// Whether a model is one whose cache must be asked for with marks; all others cache by themselves (`decisions.md` 9).
pub(super) fn takes_cache_marks(model: &str) -> bool {
    model.starts_with("anthropic/") || model.to_ascii_lowercase().contains("claude")
}

/// Whether nothing of a text would be sent that a server takes for content.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c == '\0')
}

/// Appends the system message.
pub(super) fn system(parts: &[String], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"role":"system","content":["#);
    texts(parts, out);
    out.extend_from_slice(b"]}");
}

/// Appends one message. An assistant's reasoning is left out: it depends on the model that is asked.
pub(super) fn message(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match entry {
        Entry::User { parts } => {
            out.extend_from_slice(USER);
            texts(parts, out);
        }
        Entry::Assistant { text, calls, .. } => {
            assistant(text, calls, out);
            return;
        }
        Entry::ToolResult { call, text } => {
            out.extend_from_slice(br#"{"role":"tool","tool_call_id":"#);
            string(call.as_str(), out);
            out.extend_from_slice(br#","content":["#);
            texts(std::slice::from_ref(text), out);
        }
    }
    out.extend_from_slice(b"]}");
}

/// Adds parts to the user message at the end of `out`.
pub(super) fn more_parts(parts: &[String], out: &mut Vec<u8>) {
    out.truncate(out.len() - "]}".len());
    out.push(b',');
    texts(parts, out);
    out.extend_from_slice(b"]}");
}

/// Adds the parts of another user message, as it was written, to the user message at the end of `out`.
pub(super) fn more_raw_parts(message: &[u8], out: &mut Vec<u8>) {
    let Some(parts) = message.strip_prefix(USER).and_then(|rest| rest.strip_suffix(b"]}")) else { return };
    out.truncate(out.len() - "]}".len());
    out.push(b',');
    out.extend_from_slice(parts);
    out.extend_from_slice(b"]}");
}

/// The member that carries an assistant's reasoning, with its leading comma.
pub(super) fn reasoning(details: &serde_json::Value) -> Vec<u8> {
    let mut out = br#","reasoning_details":"#.to_vec();
    json(details, &mut out);
    out
}

fn assistant(text: &str, calls: &[ToolCall], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"role":"assistant","content":"#);
    if is_blank(text) {
        out.extend_from_slice(b"null");
    } else {
        out.push(b'[');
        part(text, out);
        out.push(b']');
    }
    for (index, call) in calls.iter().enumerate() {
        out.extend_from_slice(if index == 0 { br#","tool_calls":["# } else { b"," });
        out.extend_from_slice(br#"{"id":"#);
        string(call.id.as_str(), out);
        out.extend_from_slice(br#","type":"function","function":{"name":"#);
        string(&function_name(&call.name), out);
        out.extend_from_slice(br#","arguments":"#);
        string(arguments(&call.arguments), out);
        out.extend_from_slice(b"}}");
    }
    if !calls.is_empty() {
        out.push(b']');
    }
    out.push(b'}');
}

/// A name that every server accepts. Models make names up; the one they get back is only told apart by its call's id.
fn function_name(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    let made: String = name.chars().take(64).map(|c| if plain(c) { c } else { '_' }).collect();
    Cow::Owned(if made.is_empty() { "unknown".to_owned() } else { made })
}

/// The arguments, or `{}` for those that are no JSON object: a server that parses them would refuse the whole request.
fn arguments(text: &str) -> &str {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    if object { text } else { "{}" }
}

fn texts(parts: &[impl AsRef<str>], out: &mut Vec<u8>) {
    let begin = out.len();
    for text in parts.iter().map(AsRef::as_ref).filter(|text| !is_blank(text)) {
        if out.len() > begin {
            out.push(b',');
        }
        part(text, out);
    }
    if out.len() == begin {
        part(EMPTY, out);
    }
}

fn part(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"text","text":"#);
    string(text, out);
    out.push(b'}');
}

/// Appends a text as a JSON string, without NUL: some servers keep text where it cannot be stored.
fn string(text: &str, out: &mut Vec<u8>) {
    if text.contains('\0') {
        json(&text.replace('\0', ""), out);
    } else {
        json(text, out);
    }
}

fn json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and JSON values can be written as JSON to memory");
}
