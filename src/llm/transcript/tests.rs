//! The transcript against random logs, judged by the scripted server's rules, and its exact bytes where they matter.

use axum::http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::Usage;
use crate::agent::compaction::{Kind, MARK, SUMMARY_MARK};
use crate::scripted::rules::Rules;
use crate::thread::context::Change;
use crate::thread::event::{RunOutcome, ToolResult};

const RUN: RunId = RunId(7);

fn opened() -> Event {
    let tools = r#"[{"type":"function","function":{"name":"Read"}}]"#.to_owned();
    Event::ConversationOpened { role: Role::Coder, system: vec!["rules".to_owned(), "plan".to_owned()], tools }
}

fn started() -> Event {
    Event::RunStarted { run: RUN, role: Role::Coder, model: "a/b".to_owned() }
}

fn heard(parts: &[&str]) -> Event {
    let parts = parts.iter().map(|part| (*part).to_owned()).collect();
    Event::Heard { role: Role::Coder, parts, messages: Vec::new() }
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: CallId::new(id), name: "Read".to_owned(), arguments: arguments.to_owned(), fault: None }
}

fn replied(text: &str, calls: Vec<ToolCall>, reasoning: Option<Value>, model: &str) -> Event {
    let (text, model) = (text.to_owned(), model.to_owned());
    Event::ReplyReceived { run: RUN, turn: 1, reply: Reply { text, calls, reasoning, model, ..Reply::default() } }
}

fn finished(id: &str, text: &str) -> Event {
    let result = ToolResult { text: text.to_owned(), error: false, wrote: Vec::new(), exit: None };
    Event::ToolFinished { run: RUN, call: CallId::new(id), result }
}

fn fold(events: &[Event]) -> Transcript {
    let mut transcript = Transcript::new(Role::Coder);
    events.iter().for_each(|event| transcript.apply(event));
    transcript
}

fn text_of(transcript: &Transcript, model: &str) -> String {
    String::from_utf8(transcript.bytes(model).to_vec()).expect("is UTF-8")
}

#[test]
fn a_conversation_has_these_bytes() {
    let transcript = fold(&[
        opened(),
        started(),
        heard(&["Ana: hi\0", " "]),
        heard(&["[codebutler] note"]),
        replied("", vec![call("c1", r#"{"x":1}"#), call("c2", "{broken")], None, "a/b"),
        finished("c2", ""),
        finished("c1", "one \"é\""),
        replied("done", Vec::new(), None, "a/b"),
    ]);
    let expected = concat!(
        r#"[{"role":"system","content":[{"type":"text","text":"rules"},{"type":"text","text":"plan"}]},"#,
        r#"{"role":"user","content":[{"type":"text","text":"Ana: hi"},{"type":"text","text":"[codebutler] note"}]},"#,
        r#"{"role":"assistant","content":null,"tool_calls":["#,
        r#"{"id":"c1","type":"function","function":{"name":"Read","arguments":"{\"x\":1}"}},"#,
        r#"{"id":"c2","type":"function","function":{"name":"Read","arguments":"{}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"one \"é\""}]},"#,
        r#"{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"(empty)"}]},"#,
        r#"{"role":"assistant","content":[{"type":"text","text":"done"}]}]"#,
    );
    assert_eq!(text_of(&transcript, "a/b"), expected);
    assert_eq!(transcript.tools().map(|tools| tools.get().len()), Some(48));
}

#[test]
fn a_request_is_complete_when_something_is_to_be_answered_and_no_result_is_missing() {
    let steps = [
        (started(), false),
        (opened(), false),
        (heard(&["hi"]), true),
        (replied("", vec![call("c1", "{}"), call("c2", "{}")], None, "a/b"), false),
        (finished("c2", "2"), false),
        (finished("c2", "again"), false),
        (finished("c9", "unknown"), false),
        (finished("c1", "1"), true),
        (replied("bye", Vec::new(), None, "a/b"), false),
    ];
    let mut transcript = Transcript::new(Role::Coder);
    for (event, complete) in steps {
        transcript.apply(&event);
        assert_eq!(transcript.is_complete(), complete, "{event:?}");
    }
}

#[test]
fn what_other_roles_hear_and_say_is_not_in_it() {
    let mut transcript = fold(&[opened(), started(), heard(&["hi"])]);
    let before = transcript.bytes("a/b");
    let other = RunId(8);
    let reply = Reply { text: "no".to_owned(), ..Reply::default() };
    for event in [
        Event::ConversationOpened { role: Role::Pm, system: vec!["pm".to_owned()], tools: "[]".to_owned() },
        Event::Heard { role: Role::Pm, parts: vec!["x".to_owned()], messages: Vec::new() },
        Event::RunStarted { run: other, role: Role::Pm, model: "a/b".to_owned() },
        Event::ReplyReceived { run: other, turn: 1, reply },
        Event::RunEnded { run: other, outcome: RunOutcome::Answered { text: "no".to_owned() } },
    ] {
        transcript.apply(&event);
    }
    assert_eq!(transcript.bytes("a/b"), before);
}

#[test]
fn reasoning_goes_back_to_the_model_it_came_from_and_to_no_other() {
    let details = json!([{"type": "reasoning.text", "text": "hm", "signature": "s"}]);
    let transcript = fold(&[
        opened(),
        started(),
        heard(&["hi"]),
        replied("1", Vec::new(), Some(details.clone()), "a/b"),
        heard(&["more"]),
        replied("2", Vec::new(), Some(details.clone()), "c/d"),
        heard(&["more"]),
    ]);
    let reasoning = |model: &str| {
        let messages: Vec<Value> = serde_json::from_str(&text_of(&transcript, model)).expect("is JSON");
        messages.iter().map(|message| message.get("reasoning_details").cloned()).collect::<Vec<_>>()
    };
    let details = Some(details);
    assert_eq!(reasoning("a/b"), [None, None, details.clone(), None, None, None]);
    assert_eq!(reasoning("c/d"), [None, None, None, None, details, None]);
    assert_eq!(reasoning("e/f"), [const { None }; 6]);
}

#[test]
fn cache_marks_stand_where_the_last_request_ended_and_where_this_one_ends() {
    let mut transcript = fold(&[opened(), started(), heard(&["one", "two"])]);
    let marked = |transcript: &Transcript| {
        let messages: Vec<Value> = serde_json::from_str(&text_of(transcript, "anthropic/x")).expect("is JSON");
        let is_marked = |part: &Value| part["cache_control"] == json!({"type": "ephemeral"});
        let parts = |message: &Value| message["content"].as_array().cloned().unwrap_or_default();
        let places = messages.iter().enumerate().flat_map(|(at, message)| {
            let parts = parts(message);
            parts.iter().enumerate().filter(|(_, part)| is_marked(part)).map(|(part, _)| (at, part)).collect::<Vec<_>>()
        });
        places.collect::<Vec<_>>()
    };
    assert_eq!(marked(&transcript), [(0, 1), (1, 1)]);
    transcript.apply(&replied("", vec![call("c1", "{}"), call("c2", "{}")], None, "anthropic/x"));
    transcript.apply(&finished("c1", "1"));
    transcript.apply(&finished("c2", "2"));
    assert_eq!(marked(&transcript), [(0, 1), (1, 1), (4, 0)]);
    transcript.apply(&heard(&["three"]));
    assert_eq!(marked(&transcript), [(0, 1), (1, 1), (5, 0)]);
    transcript.apply(&replied("x", Vec::new(), Some(json!([{}])), "anthropic/x"));
    transcript.apply(&heard(&["four"]));
    assert_eq!(marked(&transcript), [(0, 1), (5, 0), (7, 0)]);
    assert!(!text_of(&transcript, "openai/gpt").contains("cache_control"));
}

#[test]
fn a_turn_adds_its_own_bytes_and_touches_none_before_it() {
    let mut transcript = fold(&[opened(), started(), heard(&["go"])]);
    let mut sizes = Vec::new();
    for turn in 0..200 {
        let before = transcript.body.clone();
        let id = format!("call_{turn:04}");
        transcript.apply(&replied("same", vec![call(&id, "{}")], Some(json!([{"text": "t"}])), "a/b"));
        transcript.apply(&finished(&id, "same"));
        assert!(transcript.body.starts_with(&before));
        sizes.push(transcript.body.len() - before.len());
    }
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
    assert_eq!((transcript.rows.len(), transcript.reasoning.len(), transcript.open.len()), (201, 200, 0));
}

/// One thing that may happen to a conversation.
#[derive(Clone, Debug)]
enum Step {
    Heard(Vec<String>),
    Replied { text: String, arguments: Vec<String>, reasoning: bool, model: bool },
    Finished { which: usize, text: String },
    Other,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = || prop_oneof!["[ a-z\"\\\\\u{0}é\n]{0,12}", Just(String::new())];
    let arguments = prop_oneof![Just("{}".to_owned()), Just("{\"a\":[1]}".to_owned()), "[{}\":a]{0,6}"];
    let step = prop_oneof![
        2 => prop::collection::vec(text(), 0..3).prop_map(Step::Heard),
        3 => (text(), prop::collection::vec(arguments, 0..4), any::<bool>(), any::<bool>()).prop_map(
            |(text, arguments, reasoning, model)| Step::Replied { text, arguments, reasoning, model }
        ),
        6 => (0_usize..4, text()).prop_map(|(which, text)| Step::Finished { which, text }),
        1 => Just(Step::Other),
    ];
    prop::collection::vec(step, 0..40)
}

fn model(first: bool) -> &'static str {
    if first { "anthropic/x" } else { "c/d" }
}

/// The log that the steps make; a result goes to one of the last reply's calls, in any order, also twice.
fn log(steps: &[Step]) -> Vec<Event> {
    let mut log = vec![opened(), started(), heard(&["hi"])];
    let mut calls: Vec<String> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        log.push(match step {
            Step::Heard(parts) => heard(&parts.iter().map(String::as_str).collect::<Vec<_>>()),
            Step::Replied { text, arguments, reasoning, model: first } => {
                calls = (0..arguments.len()).map(|index| format!("c{number}_{index}")).collect();
                let asked = calls.iter().zip(arguments).map(|(id, arguments)| call(id, arguments)).collect();
                let details = reasoning.then(|| json!([{"type": "reasoning.text", "text": "hm"}]));
                replied(text, asked, details, model(*first))
            }
            Step::Finished { which, text } => finished(calls.get(*which).map_or("none", String::as_str), text),
            Step::Other => Event::RunEnded { run: RUN, outcome: RunOutcome::Answered { text: String::new() } },
        });
    }
    log
}

fn body(transcript: &Transcript, model: &str) -> String {
    let tools = transcript.tools().map(|tools| tools.get().to_owned()).unwrap_or_default();
    format!(r#"{{"model":"{model}","messages":{},"tools":{tools},"stream":true}}"#, text_of(transcript, model))
}

fn has_answered(transcript: &Transcript) -> bool {
    transcript.last == Last::Assistant && transcript.open.is_empty()
}

proptest! {
    #[test]
    fn every_log_gives_valid_requests_that_only_grow(steps in steps()) {
        let mut transcript = Transcript::new(Role::Coder);
        let mut rules = Rules::default();
        for (number, event) in log(&steps).iter().enumerate() {
            let before = text_of(&transcript, "c/d");
            let joins = transcript.last == Last::User;
            if matches!(event, Event::ReplyReceived { .. }) && has_answered(&transcript) {
                // A model is asked only when there is something to answer.
                continue;
            }
            transcript.apply(event);
            let after = text_of(&transcript, "c/d");
            let kept = before.strip_suffix(if joins { "]}]" } else { "]" }).unwrap_or(&before);
            prop_assert!(number == 0 || after.starts_with(kept), "{before}\n{after}");
            prop_assert!(serde_json::from_str::<Vec<Value>>(&after).is_ok(), "{after}");
            if transcript.is_complete() {
                let asked = model(number % 5 < 3);
                let checked = rules.check(&HeaderMap::new(), body(&transcript, asked).as_bytes());
                prop_assert_eq!(checked.map(|request| request.conversation), Ok(0));
            }
        }
    }
}

proptest! {
    /// The provider's cache holds over a restart only if every number of its reasoning comes back as it was.
    #[test]
    fn what_was_stored_gives_the_same_bytes(numbers in prop::collection::vec(prop::num::f64::NORMAL, 100)) {
        let details = json!([{ "type": "reasoning.other", "weights": numbers }]);
        let live = replied("so", Vec::new(), Some(details), "c/d");
        let stored: Event = serde_json::from_str(&serde_json::to_string(&live).expect("it is stored")).expect("it is read");
        let told = |event: &Event| {
            let mut transcript = Transcript::new(Role::Coder);
            [&opened(), &started(), &heard(&["go on"]), event].into_iter().for_each(|event| transcript.apply(event));
            text_of(&transcript, "c/d")
        };
        prop_assert!(told(&live).contains("weights"));
        prop_assert_eq!(told(&live), told(&stored));
    }
}

fn changed(change: Change) -> Event {
    Event::ContextChanged { run: RUN, change }
}

fn counted(tokens: u64) -> Usage {
    Usage { prompt_tokens: tokens, ..Usage::default() }
}

/// Eight turns with a call each, the person's word in the middle.
fn long_log() -> Vec<Event> {
    let mut log = vec![opened(), started(), heard(&["Ana: first"])];
    for turn in 0..8 {
        let id = format!("c{turn}");
        let details = json!([{"type": "reasoning.text", "text": format!("because {turn}")}]);
        log.push(replied(&format!("turn {turn}"), vec![call(&id, r#"{"file_path":"a.rs"}"#)], Some(details), "c/d"));
        log.push(finished(&id, &format!("result {turn} {}", "x".repeat(300))));
        if turn == 4 {
            let messages = vec![MessageTs::new("4.0")];
            log.push(Event::Heard { role: Role::Coder, parts: vec!["Ben: and this".to_owned()], messages });
        }
    }
    log
}

#[test]
fn stubs_replace_results_and_all_else_stays_byte_for_byte() {
    let mut transcript = fold(&long_log());
    let before = text_of(&transcript, "c/d");
    let measure = transcript.measure();
    let results: Vec<usize> =
        (0..measure.items.len()).filter(|index| measure.items[*index].kind == Kind::Result).collect();
    let stubs = transcript.stubs(&results[..3], |call, did, size| format!(" {call} {did} {}", size > 90));
    let expected = "[codebutler] This result was removed c0 reading `a.rs` true";
    assert_eq!((stubs.len(), stubs[0].text.as_str()), (3, expected));
    transcript.apply(&changed(Change::Stubbed { stubs: stubs.clone(), before: 9, after: 5 }));
    let mut wanted = before;
    for (turn, stub) in stubs.iter().enumerate() {
        let old = serde_json::to_string(&format!("result {turn} {}", "x".repeat(300))).expect("JSON");
        wanted = wanted.replace(&old, &serde_json::to_string(&stub.text).expect("JSON"));
    }
    assert_eq!(text_of(&transcript, "c/d"), wanted);
    let kinds: Vec<Kind> = transcript.measure().items.iter().map(|item| item.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Stub).count(), 3);
    assert_eq!((transcript.measure().cuts, transcript.is_complete()), (1, true));
}

#[test]
fn a_replaced_conversation_keeps_its_last_turns_and_goes_on_by_appending() {
    let mut transcript = fold(&long_log());
    let before: Vec<Value> = serde_json::from_str(&text_of(&transcript, "c/d")).expect("JSON");
    assert_eq!(transcript.told_from(0), [MessageTs::new("4.0")]);
    assert!(transcript.told_from(12).is_empty());
    let parts = vec!["facts".to_owned(), "summary".to_owned()];
    let compacted = |kept| {
        let (parts, usage) = (parts.clone(), Usage::default());
        changed(Change::Compacted { parts, kept, stubs: vec![], before: 9, after: 5, summary: None, usage })
    };
    transcript.apply(&compacted(4));
    let after: Vec<Value> = serde_json::from_str(&text_of(&transcript, "c/d")).expect("JSON");
    assert_eq!((after.len(), &after[0], &after[2..]), (6, &before[0], &before[before.len() - 4..]));
    assert_eq!(after[1]["content"], json!([{"type": "text", "text": "facts"}, {"type": "text", "text": "summary"}]));
    assert!(transcript.is_complete());
    // What was said after the last turn stays, in one message with what replaced the rest.
    transcript.apply(&replied("done", Vec::new(), None, "c/d"));
    transcript.apply(&heard(&["Ana: more"]));
    transcript.apply(&compacted(1));
    let text = text_of(&transcript, "c/d");
    let messages: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let texts: Vec<&str> =
        messages[1]["content"].as_array().expect("parts").iter().filter_map(|part| part["text"].as_str()).collect();
    assert_eq!((messages.len(), texts), (2, vec!["facts", "summary", "Ana: more"]));
    transcript.apply(&replied("so", Vec::new(), None, "c/d"));
    assert!(text_of(&transcript, "c/d").starts_with(text.strip_suffix(']').expect("an array")));
    assert!(text_of(&transcript, "anthropic/x").contains("cache_control"));
}

#[test]
fn what_the_server_counted_corrects_the_estimate_unless_it_cannot_be() {
    let sized = |tokens: u64| {
        let mut transcript = fold(&[opened(), started(), heard(&[&"word ".repeat(600)])]);
        let estimated = transcript.size();
        let reply =
            Reply { text: "ok".to_owned(), model: "a/b".to_owned(), usage: counted(tokens), ..Reply::default() };
        transcript.apply(&Event::ReplyReceived { run: RUN, turn: 1, reply });
        (estimated, transcript.size())
    };
    let (estimated, unknown) = sized(0);
    assert!((1_000..1_200).contains(&estimated) && unknown > estimated);
    let (_, counted) = sized(700);
    assert!((700..750).contains(&counted), "{counted}");
    assert_eq!(sized(1_000_000).1, unknown, "more tokens than bytes");
    assert_eq!(sized(10).1, unknown, "three hundred bytes a token");
}

#[test]
fn a_summary_is_asked_for_without_what_is_long_or_kept() {
    let mut log = long_log();
    log.insert(3, replied("look", vec![call("c9", "{}")], None, "c/d"));
    log.insert(4, finished("c9", &"long line\n".repeat(2_000)));
    let transcript = fold(&log);
    let request = transcript.summary_request(7, 10_000);
    let messages: Vec<Value> = serde_json::from_slice(&request).expect("JSON");
    assert_eq!((messages.len(), &messages[0]["role"], &messages[1]["role"]), (2, &json!("system"), &json!("user")));
    let text = messages[1]["content"][0]["text"].as_str().expect("a text");
    for wanted in ["Ana: first", "→ Read {\"file_path\":\"a.rs\"}", "result 1 xxx", "left out here"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("result 2") && text.len() < 5_000, "{}", text.len());
    let short = transcript.summary_request(7, 200);
    assert!(String::from_utf8_lossy(&short).contains("earlier messages are left out here"));
    // Of what replaced an earlier part, only the summary is told again.
    let parts = [MARK, "Ana: first", SUMMARY_MARK].map(|part| format!("{part} and more")).to_vec();
    let first = fold(&[opened(), started(), Event::Heard { role: Role::Coder, parts, messages: vec![] }]);
    let text = String::from_utf8(first.summary_request(1, 1_000).to_vec()).expect("text");
    assert!(text.contains(SUMMARY_MARK) && !text.contains(MARK) && !text.contains("Ana: first"));
}

proptest! {
    /// Whatever is cut at whatever time, requests stay valid, and what follows is appended.
    #[test]
    fn a_conversation_that_is_cut_again_and_again_stays_valid(steps in steps(), cuts in prop::collection::vec(0_u8..4, 40)) {
        let mut transcript = Transcript::new(Role::Coder);
        let mut rules = Rules::default();
        for (number, event) in log(&steps).iter().enumerate() {
            if matches!(event, Event::ReplyReceived { .. }) && has_answered(&transcript) {
                continue;
            }
            transcript.apply(event);
            if !transcript.is_complete() {
                continue;
            }
            let cut = cuts[number % cuts.len()];
            let measure = transcript.measure();
            let old: Vec<usize> = (0..measure.items.len())
                .filter(|index| measure.items[*index].kind == Kind::Result && index % 2 == 0)
                .collect();
            let stubs = transcript.stubs(&old, |_, _, _| ".".to_owned());
            let turns: Vec<usize> =
                (0..measure.items.len()).filter(|index| measure.items[*index].kind == Kind::Assistant).collect();
            match (cut, turns.last()) {
                (1, _) if !stubs.is_empty() => {
                    transcript.apply(&changed(Change::Stubbed { stubs, before: 2, after: 1 }));
                }
                (2 | 3, Some(last)) => {
                    let from = turns.get(turns.len().saturating_sub(usize::from(cut - 1))).unwrap_or(last);
                    let kept = u32::try_from(measure.items.len() - from).expect("few");
                    let (parts, usage) = (vec![format!("{MARK} {number}"), "sum".to_owned()], Usage::default());
                    let stubs = stubs.into_iter().take(1).collect();
                    let change = Change::Compacted { parts, kept, stubs, before: 2, after: 1, summary: None, usage };
                    transcript.apply(&changed(change));
                }
                _ => {}
            }
            prop_assert!(transcript.is_complete());
            let asked = model(number % 5 < 3);
            let checked = rules.check(&HeaderMap::new(), body(&transcript, asked).as_bytes());
            prop_assert_eq!(checked.map(|request| request.conversation), Ok(0));
            prop_assert_eq!(transcript.rows.is_empty(), false);
        }
    }
}
