//! A server that falls silent: comments are life, nothing else is waited for beyond the limit.

use codebutler::scripted::ScriptedFault;

use super::*;

const WELL: &str = "it spoke again";

fn once(fault: ScriptedFault, number: usize) -> ScriptedReply {
    if number == 0 { ScriptedReply::fault(fault) } else { ScriptedReply::text(WELL) }
}

static CASES: &[Case] = &[
    case("silent from the beginning", 2, WELL, |_, n| once(ScriptedFault::Silent, n)),
    case("silent in the middle", 2, WELL, |_, n| once(ScriptedFault::Stall, n)),
    case("slow and alive", 1, WELL, |_, _| {
        // Longer in all than the limit, each pause far shorter.
        ScriptedReply::text(WELL).with_fault(ScriptedFault::SlowChunks(Duration::from_millis(800)))
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_given_up_and_slowness_is_not() {
    let mut world = World::with_script(script(CASES, false)).await;
    world.global["timing"]["stallMs"] = json!(4_000);
    play(&world, CASES, false).await;
}

const EMPTY: &str = "data: {\"choices\":[{\"delta\":{}}]}\n\n";

fn endless(text: &str, pause: u64) -> ScriptedFault {
    ScriptedFault::Endless(text.to_owned(), Duration::from_millis(pause))
}

/// A call, each time another one.
fn calls(count: usize) -> ScriptedReply {
    let line = |number: usize| {
        let function = json!({ "name": "Glob", "arguments": format!("{{\"pattern\":\"{number}*\"}}") });
        json!({ "choices": [{ "delta": { "tool_calls": [{ "index": number, "function": function }] } }] }).to_string()
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    ScriptedReply::stream_of(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

static ENDLESS: &[Case] = &[
    case("comments without end", 2, WELL, |_, n| once(endless(": working\n\n", 50), n)),
    case("empty events without end", 2, WELL, |_, n| once(endless(EMPTY, 50), n)),
    // Of which the end, or that there is none, is not waited for.
    case("calls without end", 2, WELL, |_, n| if n == 0 { calls(10_000) } else { ScriptedReply::text(WELL) })
        .results(&["Not run: more than 64 calls in one reply are too many"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn signs_of_life_are_no_answer_and_calls_without_end_no_work() {
    let mut world = World::with_script(script(ENDLESS, false)).await;
    world.global["timing"]["stallMs"] = json!(1_000);
    play(&world, ENDLESS, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_heard_while_a_stream_comes_as_fast_as_it_can() {
    let world = World::with_script(|_: &ScriptedRequest| ScriptedReply::fault(endless(EMPTY, 0))).await;
    let page = Page::open(&world);
    let thread = page.say(None, "hello").await;
    world.until("the request", || !world.model.requests().is_empty()).await;
    page.say(Some(&thread), "!stop").await;
    assert!(page.shows(&thread, "topped").await, "{}", page.thread(&thread).await);
    page.say(Some(&thread), "!cost").await;
    assert!(page.shows(&thread, "cost unknown").await, "{}", page.thread(&thread).await);
    assert_eq!(world.model.requests().len(), 1);
}
