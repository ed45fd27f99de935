//! Whatever bytes a server streams, and wherever they end: no panic, no hang, and a reply that can be sent back.
//!
//! A few thousand cases by default; `CODEBUTLER_FUZZ_CASES` says how many.

use proptest::test_runner::Config;
use serde_json::{Map, Value};

use super::*;
use crate::agent::{Entry, Role, repair};
use crate::llm::openrouter::assembly::Assembly;
use crate::llm::openrouter::chunk::Chunk;
use crate::llm::openrouter::halves;
use crate::llm::wire;

fn config() -> Config {
    let cases = std::env::var("CODEBUTLER_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Streams that servers really send, a line per event.
const STREAMS: [&str; 6] = [
    r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}
{"choices":[{"index":0,"delta":{"content":"Grüße \ud83d\ude00"}}]}
{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"cost":0.5}}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"Read","arguments":""}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"file_path\":"}}]}}]}
{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"a\"}"}}]}}]}
{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
    r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","index":0,"text":"hm"}]}}]}
{"choices":[{"delta":{"content":"<tool_call>{\"name\":\"Read\",\"arguments\":{}}</tool_call>"}}]}
{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
    r#"{"choices":[{"message":{"content":[{"type":"text","text":"x"}],"tool_calls":[{"id":7,"function":{"name":"Bash","arguments":{"command":"ls"}}}]},"finish_reason":"stop"}]}"#,
    r#"{"choices":[{"delta":{"content":"half \ud83d"}}]}
{"choices":[{"delta":{"content":"\ude00","tool_calls":[{"index":"1","id":null,"function":{"name":"Write","arguments":"{\"content\":\"\\ud83d"}}]}}]}
{"choices":[{"delta":{"function_call":{"name":"Glob","arguments":"{}"}},"finish_reason":"function_call"}]}"#,
    r#"{"choices":[{"delta":{"content":"a"}}]}
{"error":{"code":502,"message":"upstream"},"choices":[{"delta":{},"finish_reason":"error"}]}"#,
];

const PIECES: [&str; 20] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\\ud800",
    "\\u0000",
    "null",
    "0",
    "-1e400",
    "true",
    "\n",
    "\"index\":0,",
    "\"id\":\"a\",",
    "\"finish_reason\":\"stop\"",
    "content_filter",
    "é",
];

/// A stream with some places changed, doubled, left out, or cut off; or anything at all.
fn stream() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), prop::sample::select(PIECES.to_vec()), 0..5_u8);
    let mutated =
        (prop::sample::select(STREAMS.to_vec()), prop::collection::vec(change, 0..5)).prop_map(|(stream, changes)| {
            let mut text = stream.to_owned();
            for (at, piece, kind) in changes {
                let at = at.index(text.len() + 1);
                let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                match kind {
                    0 => text.insert_str(at, piece),
                    1 => text.truncate(at),
                    2 if at < text.len() => drop(text.remove(at)),
                    3 => text = format!("{}{piece}{}", &text[..at], text[at..].chars().skip(1).collect::<String>()),
                    _ => {
                        let mut lines: Vec<&str> = text.lines().collect();
                        let line = at % lines.len().max(1);
                        if let Some(again) = lines.get(line).copied() {
                            lines.insert(line, again);
                        }
                        text = lines.join("\n");
                    }
                }
            }
            text
        });
    prop_oneof![9 => mutated, 1 => any::<String>()]
}

/// The events of a stream as the adapter takes them.
fn reply(stream: &str, done: bool) -> Result<Reply, Fault> {
    let mut assembly = Assembly::new("a/b");
    for line in stream.lines() {
        match serde_json::from_str::<Chunk>(line) {
            Ok(chunk) => assembly.take(chunk)?,
            Err(_) => match halves::escaped(line).and_then(|line| serde_json::from_str(&line).ok()) {
                Some(chunk) => assembly.take_halves(chunk)?,
                None => return Err(Fault::lost("no JSON")),
            },
        }
    }
    assembly.finish(done)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_stream(stream in stream(), done: bool) {
        let Ok(mut reply) = reply(&stream, done) else { return Ok(()) };
        repair::settle(Role::Coder, &mut reply.text, &mut reply.calls);
        let mut bytes = Vec::new();
        let entry = Entry::Assistant { text: &reply.text, calls: &reply.calls, reasoning: None, model: "a/b" };
        wire::message(&entry, &mut bytes);
        let message: Value = serde_json::from_slice(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(calls.len(), reply.calls.len());
        for call in calls {
            let function = &call["function"];
            let (name, arguments) = (function["name"].as_str(), function["arguments"].as_str());
            prop_assert!(name.is_some_and(|name| (1..=64).contains(&name.len())), "{function}");
            prop_assert!(arguments.is_some_and(|text| serde_json::from_str::<Map<String, Value>>(text).is_ok()), "{function}");
        }
        // Some servers keep text where NUL cannot be stored.
        prop_assert!(!message["content"][0]["text"].as_str().is_some_and(|text| text.contains('\0')), "{message}");
    }

    #[test]
    fn any_half_character(text in "[a\\\\ud8dc0-9]{0,40}") {
        let event = format!("{{\"a\":\"{text}\"}}");
        if let Some(escaped) = halves::escaped(&event) {
            prop_assert!(halves::escaped(&escaped).is_none() , "{escaped}");
        }
        prop_assert!(halves::joined(&text).len() <= text.len());
    }
}
