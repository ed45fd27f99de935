//! The request's body as bytes. The conversation and the tool list are copied as they are, never parsed again; the same
//! bytes serve all attempts.

use bytes::Bytes;

use super::endpoint::Dialect;
use crate::llm::ModelRequest;

/// The longest cache key that OpenAI takes.
const CACHE_KEY_BYTES: usize = 64;

/// Encodes a request.
pub(super) fn encode(request: &ModelRequest, dialect: Dialect) -> Bytes {
    let tools = request.tools.as_ref().map_or("", |tools| tools.get());
    let mut out = Vec::with_capacity(request.messages.len() + tools.len() + 512);
    out.extend_from_slice(br#"{"model":"#);
    string(&request.model, &mut out);
    out.extend_from_slice(br#","stream":true,"stream_options":{"include_usage":true}"#);
    if dialect == Dialect::OpenRouter {
        out.extend_from_slice(br#","usage":{"include":true}"#);
    }
    if matches!(dialect, Dialect::OpenRouter | Dialect::OpenAi) {
        out.extend_from_slice(br#","prompt_cache_key":"#);
        string(cache_key(&request.cache_key), &mut out);
    }
    if !tools.is_empty() {
        out.extend_from_slice(br#","tools":"#);
        out.extend_from_slice(tools.as_bytes());
    }
    // What grows comes last: the next request of a conversation begins with the same bytes as this one. What one turn
    // only may have comes behind it.
    out.extend_from_slice(br#","messages":"#);
    out.extend_from_slice(&request.messages);
    if !tools.is_empty() && request.no_tools {
        out.extend_from_slice(br#","tool_choice":"none""#);
    }
    out.push(b'}');
    out.into()
}

/// The key's end, which differs between conversations, when it is too long.
fn cache_key(key: &str) -> &str {
    let from = (key.len().saturating_sub(CACHE_KEY_BYTES)..=key.len()).find(|at| key.is_char_boundary(*at));
    &key[from.unwrap_or(0)..]
}

fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text can be written as JSON to memory");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::value::RawValue;

    use super::*;
    use crate::llm::{Bill, Fallback};

    fn request() -> ModelRequest {
        ModelRequest {
            model: "a/b".to_owned(),
            messages: Bytes::from_static(b"[ 1 ]"),
            tools: None,
            no_tools: true,
            cache_key: format!("{}pm", "é".repeat(40)),
            may_be_empty: false,
            fallback: Fallback::default(),
            bill: Bill::default(),
        }
    }

    #[test]
    fn a_plain_server_gets_only_what_all_servers_know() {
        let expected = r#"{"model":"a/b","stream":true,"stream_options":{"include_usage":true},"messages":[ 1 ]}"#;
        assert_eq!(encode(&request(), Dialect::Plain), expected);
    }

    #[test]
    fn openrouter_is_asked_for_the_cost_and_told_the_conversation() {
        let tools = RawValue::from_string("[ {} ]".to_owned()).expect("is JSON");
        let request = ModelRequest { tools: Some(Arc::from(tools)), ..request() };
        let expected = format!(
            r#"{{"model":"a/b","stream":true,"stream_options":{{"include_usage":true}},"usage":{{"include":true}},"prompt_cache_key":"{}pm","tools":[ {{}} ],"messages":[ 1 ],"tool_choice":"none"}}"#,
            "é".repeat(31)
        );
        assert_eq!(encode(&request, Dialect::OpenRouter), expected);
    }
}
