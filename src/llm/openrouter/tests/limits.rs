//! Replies without end are given up, and what an attempt used that brought no reply is known.

use super::*;
use crate::agent::repair;

/// Pieces of which this one comes again and again, after those.
fn for_ever(begin: &'static str, again: impl Fn(usize) -> String + Clone + Send + Sync + 'static) -> Pieces {
    Arc::new(move || {
        let again = again.clone();
        Box::new(std::iter::once(Bytes::from_static(begin.as_bytes())).chain((0..).map(move |n| again(n).into())))
    })
}

fn event(event: &serde_json::Value) -> String {
    format!("data: {event}\n\n")
}

#[test]
fn a_reply_without_end_is_given_up_whatever_it_is_made_of() {
    let delta = |delta: serde_json::Value| event(&json!({"choices": [{"delta": delta}]}));
    let second = Duration::from_secs(1);
    let idle = |reason: &Fault| *reason == Fault::Idle(40 * second);
    let endless = |reason: &Fault| matches!(reason, Fault::Endless { reason } if reason.contains("and went on"));
    type Judge<'a> = &'a dyn Fn(&Fault) -> bool;
    let empty = move |_| delta(json!({}));
    let role = move |_| delta(json!({"role": "assistant", "content": ""}));
    let word = move |_| delta(json!({"content": "word "}));
    let thought = move |_| delta(json!({"reasoning_content": "hm "}));
    let line = |_| "x".repeat(100_000);
    let cases: [(&str, Pieces, Duration, Judge<'_>); 7] = [
        ("empty events", for_ever("", empty), second, &idle),
        ("empty events without a pause", for_ever("", empty), Duration::from_millis(1), &idle),
        ("no more than a role", for_ever("", role), second, &idle),
        (
            "a word, then empty events",
            for_ever("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", empty),
            second,
            &idle,
        ),
        ("word by word", for_ever("", word), second, &endless),
        ("thought by thought", for_ever("", thought), second, &endless),
        ("a line without end", for_ever("data: ", line), Duration::from_millis(1), &endless),
    ];
    for (what, pieces, pause, judge) in cases {
        let (result, used) = read_all(pieces, pause, 4 * second);
        assert!(result.as_ref().is_err_and(judge), "{what}: {result:?}");
        assert_eq!(used, Some(Usage { calls: 1, calls_without_cost: 1, ..Usage::default() }), "{what}");
    }
}

#[test]
fn calls_without_end_are_read_no_further_than_anybody_looks() {
    let call = |number: usize| {
        let function = json!({"name": "Glob", "arguments": format!("{{\"pattern\":\"{number}\"}}")});
        event(
            &json!({"choices": [{"delta": {"tool_calls": [{"index": number, "id": number.to_string(), "function": function}]}}]}),
        )
    };
    let (result, _) = read_all(for_ever("", call), Duration::ZERO, Duration::from_secs(4));
    let reply = result.expect("calls");
    assert_eq!(reply.calls.len(), repair::MOST_KEPT + 1);
    assert!(reply.calls[..repair::MOST_KEPT].iter().all(|call| call.fault.is_none()));
}

#[test]
fn what_an_attempt_used_in_vain_is_known_as_far_as_the_server_said() {
    let text = event(&json!({"choices": [{"delta": {"content": "half"}}]}));
    let usage = event(&json!({"choices": [], "usage": {"prompt_tokens": 9, "cost": 0.5}}));
    let end = |reason: &str| event(&json!({"choices": [{"delta": {}, "finish_reason": reason}]}));
    let refused = |code: u16| event(&json!({"error": {"code": code, "message": "m"}}));
    let known = Some(Usage { calls: 1, prompt_tokens: 9, cost_usd: 0.5, ..Usage::default() });
    let unknown = Some(Usage { calls: 1, calls_without_cost: 1, ..Usage::default() });
    let cases = [
        ("cut", text.clone(), unknown),
        ("cut after the usage", format!("{text}{usage}"), known),
        ("nothing at all", String::new(), unknown),
        ("refused at once", refused(402), None),
        ("broken off", format!("{text}{}", refused(502)), unknown),
        ("broken off after the usage", format!("{usage}{}", refused(502)), known),
        ("filtered", format!("{text}{}{usage}data: [DONE]\n\n", end("content_filter")), known),
        ("filtered without a word", end("content_filter"), unknown),
    ];
    for (what, stream, expected) in cases {
        let stream = Bytes::from(stream);
        let pieces: Pieces = Arc::new(move || Box::new(std::iter::once(stream.clone())));
        let (result, used) = read_all(pieces, Duration::ZERO, Duration::from_secs(9));
        assert!(result.is_err(), "{what}: {result:?}");
        assert_eq!(used, expected, "{what}");
    }
}
