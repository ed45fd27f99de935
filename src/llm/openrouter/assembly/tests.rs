//! Replies from the pieces that servers really send.

use serde_json::json;

use super::*;

/// The reply to events given as JSON; `done` as in [`Assembly::finish`].
fn assemble(events: &[Value], done: bool) -> Result<Reply, Fault> {
    let mut assembly = Assembly::new("a/b");
    for event in events {
        assembly.take(serde_json::from_value(event.clone()).expect("is a chunk"))?;
    }
    assembly.finish(done)
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn end(finish: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
}

/// Id, name, arguments and whether there is a fault, of each call.
fn calls(pieces: &[Value]) -> Vec<(String, String, String, bool)> {
    let mut events: Vec<Value> = pieces.iter().map(|piece| delta(&json!({"tool_calls": [piece]}))).collect();
    events.push(end("tool_calls"));
    let reply = assemble(&events, false).expect("is a reply");
    let parts = |call: ToolCall| (call.id.as_str().to_owned(), call.name, call.arguments, call.fault.is_some());
    reply.calls.into_iter().map(parts).collect()
}

fn piece(index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}})
}

#[test]
fn calls_are_put_together_however_they_are_numbered() {
    let two = [("1", "A", r#"{"x":1}"#), ("2", "B", "{}")];
    let cases = [
        (
            "in pieces by index, interleaved",
            two.to_vec(),
            vec![
                piece(Some(0), Some("1"), Some("A"), ""),
                piece(Some(1), Some("2"), Some("B"), ""),
                piece(Some(0), None, None, r#"{"x""#),
                piece(Some(1), None, None, "{}"),
                piece(Some(0), None, None, ":1}"),
            ],
        ),
        (
            "all numbered 0",
            two.to_vec(),
            vec![
                piece(Some(0), Some("1"), Some("A"), r#"{"x""#),
                piece(Some(0), None, None, ":1}"),
                piece(Some(0), Some("2"), Some("B"), ""),
            ],
        ),
        (
            "not numbered",
            two.to_vec(),
            vec![
                piece(None, Some("1"), Some("A"), r#"{"x""#),
                piece(None, None, None, ":1}"),
                piece(None, Some("2"), Some("B"), ""),
            ],
        ),
        (
            "id and name repeated in each piece",
            two.to_vec(),
            vec![
                piece(Some(0), Some("1"), Some("A"), r#"{"x""#),
                piece(Some(0), Some("1"), Some("A"), ":1}"),
                piece(Some(1), Some("2"), Some("B"), ""),
            ],
        ),
        (
            "the same id twice",
            vec![("1", "A", "{}"), ("1", "A", r#"{"x":1}"#)],
            vec![piece(Some(0), Some("1"), Some("A"), "{}"), piece(Some(1), Some("1"), Some("A"), r#"{"x":1}"#)],
        ),
        (
            "no numbers and no ids",
            vec![("", "A", r#"{"x":1}"#), ("", "B", "{}")],
            vec![piece(None, None, Some("A"), r#"{"x":1}"#), piece(None, None, Some("B"), "")],
        ),
        (
            "an object in place of text",
            vec![("1", "A", r#"{"x":1}"#)],
            vec![json!({"index": 4_000_000_000_u64, "id": "1", "function": {"name": "A", "arguments": {"x": 1}}})],
        ),
    ];
    for (what, expected, pieces) in cases {
        let expected: Vec<_> = (expected.into_iter())
            .map(|(id, name, arguments)| (id.to_owned(), name.to_owned(), arguments.to_owned(), false))
            .collect();
        assert_eq!(calls(&pieces), expected, "{what}");
    }
}

#[test]
fn a_call_cut_off_by_the_output_limit_says_so() {
    let half =
        delta(&json!({"content": "text", "tool_calls": [piece(Some(0), Some("1"), Some("Write"), "{\"a\":\"")]}));
    let reply = assemble(&[half, end("length")], true).expect("is a reply");
    assert_eq!((reply.text.as_str(), reply.calls[0].arguments.as_str()), ("text", "{}"));
    assert!(reply.calls[0].fault.as_ref().is_some_and(|fault| fault.contains("output limit")));
}

#[test]
fn reasoning_is_kept_in_order_and_its_text_joined() {
    let details = |details: Value| delta(&json!({ "reasoning_details": details }));
    let events = [
        details(json!([{"type": "reasoning.text", "index": 0, "text": "I ", "signature": null, "format": "f"}])),
        details(json!([{"type": "reasoning.text", "index": 0, "text": "think"}])),
        details(json!([{"type": "reasoning.text", "index": 0, "signature": "sig"}])),
        details(json!([{"type": "reasoning.text", "index": 0, "text": "second"}])),
        details(json!([{"type": "reasoning.encrypted", "index": 1, "data": "x"},
                       {"type": "reasoning.encrypted", "index": 1, "data": "y"}])),
        delta(&json!({"content": "Answer"})),
        end("stop"),
    ];
    let expected = json!([
        {"type": "reasoning.text", "index": 0, "text": "I think", "signature": "sig", "format": "f"},
        {"type": "reasoning.text", "index": 0, "text": "second"},
        {"type": "reasoning.encrypted", "index": 1, "data": "x"},
        {"type": "reasoning.encrypted", "index": 1, "data": "y"},
    ]);
    assert_eq!(assemble(&events, true).map(|reply| reply.reasoning), Ok(Some(expected)));
}

#[test]
fn usage_is_read_and_a_missing_cost_is_unknown() {
    let tokens = json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 90}});
    let with = |more: Value| {
        let mut usage = tokens.clone();
        let members = more.as_object().cloned().unwrap_or_default();
        usage.as_object_mut().expect("is an object").extend(members);
        usage
    };
    let known = Usage {
        calls: 1,
        prompt_tokens: 100,
        cached_tokens: 90,
        completion_tokens: 5,
        cost_usd: 0.5,
        calls_without_cost: 0,
        calls_about: 0,
    };
    let unknown = Usage { cost_usd: 0.0, calls_without_cost: 1, ..known };
    let upstream = json!({"upstream_inference_cost": 0.25});
    let cases = [
        (with(json!({"cost": 0.5})), known),
        (with(json!({"cost": 0.5, "cost_details": upstream})), known),
        (with(json!({"cost": 0.25, "is_byok": true, "cost_details": upstream})), known),
        (with(json!({"cost": 0})), Usage { cost_usd: 0.0, ..known }),
        (with(json!({})), unknown),
        (with(json!({"cost": -1})), unknown),
        (json!(null), Usage { calls: 1, calls_without_cost: 1, ..Usage::default() }),
    ];
    for (stated, expected) in cases {
        let events = [delta(&json!({"content": "x"})), end("stop"), json!({"choices": [], "usage": stated})];
        assert_eq!(assemble(&events, true).map(|reply| reply.usage), Ok(expected), "{stated}");
    }
}

#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    let text = || delta(&json!({"content": "half"}));
    let refused = |status, message: &str| Fault::Refused { status, message: message.to_owned(), retry_after: None };
    let filtered = || Fault::Filtered { message: "the provider's content filter held the answer back".to_owned() };
    let cases = [
        (vec![text()], false, Fault::lost("the reply was cut off")),
        (vec![], false, Fault::lost("the reply was cut off")),
        (vec![delta(&json!({"content": ""}))], true, Fault::Empty),
        (vec![text(), end("error")], true, refused(502, "the provider broke off")),
        (vec![text(), json!({"error": {"code": 429, "message": "m"}})], true, refused(429, "m")),
        (vec![json!({"choices": [{"error": {"code": 402, "message": "m"}}]})], true, refused(402, "m")),
        (vec![end("content_filter")], true, filtered()),
        (vec![text(), end("content_filter")], true, filtered()),
    ];
    for (events, done, expected) in cases {
        assert_eq!(assemble(&events, done), Err(expected), "{events:?}");
    }
}

#[test]
fn a_reply_is_complete_with_a_finish_reason_or_the_streams_end() {
    let text = delta(&json!({"content": "yes"}));
    let parts = delta(&json!({"content": [{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]}));
    let whole = json!({"choices": [{"message": {"content": "yes", "tool_calls": null}, "finish_reason": "stop"}]});
    for (events, done) in
        [(vec![text.clone(), end("stop")], false), (vec![text], true), (vec![parts], true), (vec![whole], true)]
    {
        assert_eq!(assemble(&events, done).map(|reply| reply.text), Ok("yes".to_owned()), "{events:?}");
    }
    assert_eq!(assemble(&[end("stop")], true).map(|reply| reply.text), Ok(String::new()));
}

/// The events until nothing more is wanted, of a stream that goes on like this for ever.
fn until_full(begin: &[Value], again: &Value) -> Result<Reply, Fault> {
    let mut assembly = Assembly::new("a/b");
    for event in begin.iter().chain(std::iter::repeat_n(again, 100_000)) {
        assembly.take(serde_json::from_value(event.clone()).expect("is a chunk"))?;
        if assembly.is_full() {
            return assembly.finish(false);
        }
    }
    panic!("it reads for ever")
}

#[test]
fn what_has_no_end_is_read_up_to_a_size() {
    let page = "x".repeat(100_000);
    for endless in [
        json!({"content": page}),
        json!({"reasoning": page}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": page}]}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": page}]}),
    ] {
        let result = until_full(&[], &delta(&endless));
        assert!(matches!(result, Err(Fault::Endless { .. })), "{result:?}");
    }
    let calls = |pieces: &[Value]| delta(&json!({ "tool_calls": pieces }));
    let begin =
        calls(&[piece(Some(0), Some("1"), Some("Read"), "{}"), piece(Some(1), Some("2"), Some("Write"), "{\"a\":\"")]);
    let reply = until_full(&[begin], &calls(&[piece(Some(1), None, None, &page)])).expect("calls");
    let faults: Vec<bool> = reply.calls.iter().map(|call| call.fault.is_some()).collect();
    assert_eq!((reply.cut, faults), (true, vec![false, true]), "the whole one is run, the endless one is answered");
}

#[test]
fn of_a_message_with_endless_calls_few_are_kept() {
    let call = |number: usize| piece(None, None, Some("Read"), &format!("{{\"file_path\":\"{number}\"}}"));
    let message = json!({"tool_calls": (0..10_000).map(call).collect::<Vec<_>>()});
    let reply =
        assemble(&[json!({"choices": [{"message": message, "finish_reason": "stop"}]})], true).expect("a reply");
    assert_eq!(reply.calls.len(), repair::MOST_KEPT + 1);
}
