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

/// A part of an event that is what it should be, or not.
fn value() -> impl Strategy<Value = Value> {
    let odd = [r"null", "0", "1", "-1", "18446744073709551615", "\"1\"", "true", "[]", "{}", "[[]]", "\"x\"", "\"\""];
    prop::sample::select(odd.to_vec()).prop_map(|text| serde_json::from_str(text).expect("is JSON"))
}

fn piece_of_text() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(PIECES.to_vec()).prop_map(Value::from);
    prop_oneof![6 => text, 2 => ".{0,6}".prop_map(Value::from), 1 => value()]
}

fn call() -> impl Strategy<Value = Value> {
    let index = prop_oneof![6 => (0..3_u8).prop_map(Value::from), 1 => (0..200_u8).prop_map(Value::from), 1 => value()];
    let id = prop_oneof![prop::sample::select(vec!["", "a", "b"]).prop_map(Value::from), value()];
    let name = prop_oneof![prop::sample::select(vec!["", "Read", "Bash", "x"]).prop_map(Value::from), value()];
    (index, id, name, piece_of_text()).prop_map(|(index, id, name, arguments)| {
        json!({ "index": index, "id": id, "function": { "name": name, "arguments": arguments } })
    })
}

/// An event's data: of a stream as it should be, or with anything in the place of anything.
fn data() -> impl Strategy<Value = String> {
    let chunk = |delta: Value| json!({ "choices": [{ "delta": delta }] }).to_string();
    let detail = (value(), piece_of_text(), value()).prop_map(|(index, text, signature)| {
        json!([{ "type": "reasoning.text", "index": index, "text": text, "signature": signature }])
    });
    let finish = prop::sample::select(vec!["stop", "length", "tool_calls", "content_filter", "error", ""]);
    prop_oneof![
        4 => piece_of_text().prop_map(move |text| chunk(json!({ "content": text }))),
        4 => prop::collection::vec(call(), 0..4).prop_map(move |calls| chunk(json!({ "tool_calls": calls }))),
        1 => prop::collection::vec(call(), 0..200).prop_map(|calls| {
            json!({ "choices": [{ "message": { "tool_calls": calls } }] }).to_string()
        }),
        2 => detail.prop_map(move |details| chunk(json!({ "reasoning_details": details }))),
        1 => (prop::sample::select(vec!["delta", "message", "error", "finish_reason", "x"]), value())
            .prop_map(|(name, value)| json!({ "choices": [{ name: value }] }).to_string()),
        1 => (prop::sample::select(vec!["choices", "usage", "error", "x"]), value())
            .prop_map(|(name, value)| json!({ name: value }).to_string()),
        1 => (value(), value()).prop_map(|(tokens, cost)| {
            json!({ "usage": { "prompt_tokens": tokens, "cost": cost, "prompt_tokens_details": tokens } }).to_string()
        }),
        1 => finish.prop_map(|finish| json!({ "choices": [{ "finish_reason": finish }] }).to_string()),
        1 => stream(),
    ]
}

/// The bytes of a stream: events, comments, other fields, its end, noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(vec!["\n\n", "\r\n\r\n", "\r\r", "\n", ""]);
    let event = (data(), end).prop_map(|(data, end)| format!("data: {data}{end}").into_bytes());
    let other =
        [": comment\n\n", "\n", "event: x\n", "id: 1\n", "retry: 9\n", "data\n\n", "data: [DONE]\n\n", ":", "\u{feff}"];
    let other = prop::sample::select(other.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..9);
    prop::collection::vec(prop_oneof![8 => event, 2 => other, 1 => noise], 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(Config { cases: config().cases.div_ceil(8), ..config() })]

    /// Whatever bytes come, and wherever they are cut into pieces, once or for ever: the reader comes to an end.
    #[test]
    fn any_bytes_in_any_pieces(bytes in bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), again: bool) {
        let whole = Bytes::from(bytes);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).chain([0, whole.len()]).collect();
        ends.sort_unstable();
        let pieces: Vec<Bytes> = ends.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
        // Of what comes again and again some hundreds, or an endless page would be as slow to test as to read.
        let times = if again { 300 } else { 1 };
        let pieces: Pieces = Arc::new(move || Box::new(std::iter::repeat_n(pieces.clone(), times).flatten()));
        let begun = std::time::Instant::now();
        let (result, used) = read_all(pieces, Duration::from_millis(1), Duration::from_secs(1));
        prop_assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
        let Ok(reply) = result else { return Ok(()) };
        prop_assert!(used.is_none_or(|used| used.calls == 1));
        prop_assert!(reply.calls.len() <= repair::MOST_KEPT + 1);
        let is_object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).is_ok();
        prop_assert!(reply.calls.iter().all(|call| is_object(&call.arguments)));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_stream(stream in stream(), done: bool) {
        let Ok(mut reply) = reply(&stream, done) else { return Ok(()) };
        repair::settle(Role::Coder, "[]", &mut reply.text, &mut reply.calls);
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
