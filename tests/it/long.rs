//! Long work fits: long results are paged through, old ones become stubs, and what is still too long is replaced by facts
//! and a summary, whatever the server says or does meanwhile.

use std::time::Duration;

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{CODER, last_calls, status, with_coder};
use super::support::fake_slack::{BEN, SHOP};
use super::world::{Daemon, World};

/// A number that stands in the text after a word.
fn number_after(text: &str, word: &str) -> u64 {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {text}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

/// Runs something with a long output, then reads on from where the result was cut, as it says.
fn pages(request: &ScriptedRequest) -> ScriptedReply {
    match last_calls(request).as_slice() {
        [] => ScriptedReply::text("").call("Bash", &json!({ "command": "seq 1 900000" })),
        ["Bash"] => {
            let shown = request.last_result("Bash").unwrap_or_default();
            assert!(shown.len() < 31_000 && shown.starts_with("1\n2\n") && shown.ends_with("900000\nexit code 0"));
            let path = shown.split('`').nth(1).expect("the path").to_owned();
            let offset = number_after(&shown, "from offset ");
            let before = shown.split("\n…").next().and_then(|head| head.lines().last()).expect("a line");
            assert_eq!(before.parse::<u64>().expect("a number") + 1, offset, "{before}");
            ScriptedReply::text("")
                .call("Read", &json!({ "file_path": path, "offset": offset, "limit": 3 }))
                .call("Write", &json!({ "file_path": path, "content": "x" }))
        }
        ["Read", "Write"] => {
            let page = request.last_result("Read").unwrap_or_default();
            let refused = request.last_result("Write").unwrap_or_default();
            assert!(refused.contains("is the kept result of an earlier call, not a file"), "{refused}");
            ScriptedReply::text(format!("The page: {}", page.replace(['\n', '\t'], " ")))
        }
        other => ScriptedReply::text(format!("lost after {other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_result_is_paged_through_also_after_a_restart() {
    let world = World::with_script(with_coder(|request: &ScriptedRequest| {
        let reply = pages(request);
        // The page is asked for by another life than the one that ran the command.
        if last_calls(request).as_slice() == ["Bash"] { slow(reply) } else { reply }
    }))
    .await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let asked = || world.model.requests().iter().any(|request| last_calls(request).as_slice() == ["Bash"]);
    world.until("the long result", asked).await;
    daemon.kill();
    let _daemon = world.start();
    let told = world.says(&ts, "The page: ").await;
    let text = told.text.clone() + &super::world::blocks_text(&told);
    let words: Vec<&str> = text.split("The page: ").nth(1).expect("told").split_whitespace().take(6).collect();
    let numbers: Vec<u64> = words.iter().map(|word| word.parse().expect("a number")).collect();
    assert!(numbers.chunks(2).all(|pair| pair[0] == pair[1]) && numbers[0] > 2_000, "{numbers:?}");
    let status = world.git_in(&world.checkout(), &["status", "--porcelain"]);
    assert!(!status.contains("output"), "{status}");
    world.no_violations();
}

fn slow(reply: ScriptedReply) -> ScriptedReply {
    ScriptedReply { fault: Some(ScriptedFault::SlowChunks(Duration::from_millis(50))), ..reply }
}

/// What a summariser says in these stories.
const SUMMARY: &str = "All numbers so far were as expected.";
/// How many commands the Coder runs, and from which on their output is longer.
const STEPS: u64 = 22;
const LONGER_FROM: u64 = 16;

/// The step that the last command was.
fn step(request: &ScriptedRequest) -> u64 {
    let last = request.messages.iter().rfind(|message| message.role == "assistant");
    let call = last.and_then(|message| message.calls.iter().find(|call| call.name == "Bash"));
    call.map_or(0, |call| number_after(&call.arguments, "step-"))
}

/// A path of a result that became a stub.
fn stub(request: &ScriptedRequest) -> Option<String> {
    let texts = request.messages.iter().filter(|message| message.role == "tool").map(|message| message.text());
    let stub = texts.into_iter().find(|text| text.starts_with("[codebutler] This result was removed"))?;
    stub.split('`').find(|part| part.starts_with("output://")).map(str::to_owned)
}

/// A Coder that needs many commands with bulky outputs, and forgets nothing of where it is but what it is told.
fn long_work(request: &ScriptedRequest) -> ScriptedReply {
    if request.tools.is_empty() {
        return ScriptedReply::text(SUMMARY).cost(0.25);
    }
    let run = |step: u64| {
        let lines = if step < LONGER_FROM { 600 } else { 2_500 };
        let command = format!("echo step-{step}; seq 1000 {}", 1_000 + lines);
        ScriptedReply::text("").call("Bash", &json!({ "command": command }))
    };
    let told = request.user_text();
    match (last_calls(request).as_slice(), step(request)) {
        (["Bash", ..], step) if step < STEPS => match stub(request) {
            // What became a stub is read again once.
            Some(path) if step == 10 => run(11).call("Read", &json!({ "file_path": path, "limit": 2 })),
            _ => run(step + 1),
        },
        (["Bash", ..], _) => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
        (["Read"], _) => {
            let edit = json!({ "file_path": "greeting.txt", "old_string": "hello", "new_string": "hi" });
            ScriptedReply::text("").call("Edit", &edit)
        }
        (["Edit"], _) => ScriptedReply::text("")
            .call("GitCommit", &json!({ "message": "Say hi" }))
            .call("GHCreatePR", &json!({ "title": "Say hi", "body": "As asked." })),
        (["GitCommit", "GHCreatePR"], _) => ScriptedReply::text("Done."),
        _ if told.contains("approved") => run(1),
        (other, _) => ScriptedReply::text(format!("lost after {other:?}")),
    }
}

/// A company whose Coder's model reads so many tokens, by its list; its Coder is sent to work.
async fn at_work(
    listed: u64,
    coder: impl Fn(&ScriptedRequest) -> ScriptedReply + Send + 'static,
) -> (World, Daemon, String) {
    let listed = json!({ "context_length": listed });
    let world = World::with_server(with_coder(coder), |server| server.list(CODER, listed)).await;
    let daemon = world.start();
    daemon.mentions("the list of models was read");
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    (world, daemon, ts)
}

/// The requests to the Coder's model in its conversation.
fn requests(world: &World) -> Vec<ScriptedRequest> {
    world.model.requests().into_iter().filter(|request| request.model == CODER && !request.tools.is_empty()).collect()
}

/// Tokens of a request, estimated as by the product.
fn tokens(request: &ScriptedRequest) -> usize {
    (request.body["messages"].to_string().len() + request.body["tools"].to_string().len()) / 3
}

/// The first request after the earlier part was replaced carries all that must not be lost.
fn carries_everything(request: &ScriptedRequest, summary: &str) {
    let first = request.messages[1].text();
    for wanted in [
        "[codebutler] The earlier part of this conversation was replaced by this message",
        "Done when:",
        "let `greeting.txt` say \"hi\"",
        "# Commands and how they ended last",
        "step-2; seq 1000 1600` → exit code 0",
        "there is no pull request yet",
        summary,
    ] {
        assert!(first.contains(wanted), "{wanted}: {first}");
    }
    assert_eq!(first.matches("say \"hi\"").count(), 1, "{first}");
    assert!(request.messages[2].role == "assistant" && request.messages[3].role == "tool", "the last turns stay");
}

fn is_replaced(request: &ScriptedRequest) -> bool {
    request.messages[1].text().starts_with("[codebutler] The earlier part")
}

#[tokio::test(flavor = "multi_thread")]
async fn long_work_in_a_small_context_goes_by_stubs_then_a_summary_to_the_pull_request() {
    let (world, _daemon, ts) = at_work(24_000, long_work).await;
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "greeting.txt"), "hi\nworld\n");
    let requests = requests(&world);
    let first_stub = requests.iter().position(|request| stub(request).is_some()).expect("stubs");
    let first_replaced = requests.iter().position(is_replaced).expect("replaced");
    assert!(first_stub < first_replaced, "stubs come first: {first_stub} {first_replaced}");
    assert!(requests[first_stub].shortened && requests[first_replaced].shortened);
    let shortened = requests.iter().filter(|request| request.shortened).count();
    assert!((2..=8).contains(&shortened), "rarely: {shortened} of {}", requests.len());
    // All others only grow: the server refuses what does not.
    let conversations: Vec<usize> = requests.iter().map(|request| request.conversation).collect();
    assert!(conversations.iter().all(|conversation| *conversation == conversations[0]), "{conversations:?}");
    carries_everything(&requests[first_replaced], SUMMARY);
    let most = requests.iter().map(tokens).max().expect("requests");
    assert!(most < 24_000, "{most}");
    let page = requests.iter().find_map(|request| request.last_result("Read")).expect("the stub was read again");
    assert!(page.contains("step-") && page.contains("1000"), "{page}");
    let told = world.says(&ts, "I summarised the earlier part of my work to go on (").await;
    assert!(told.text.contains("*Coder:*") && told.text.contains("k tokens)"), "{}", told.text);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_what_its_list_allows_is_believed() {
    let refusing = |request: &ScriptedRequest| {
        if tokens(request) > 14_000 {
            let words = "This model's maximum context length is 14000 tokens. However, your messages resulted in more.";
            return ScriptedReply::fault(status(400, words));
        }
        long_work(request)
    };
    let (world, _daemon, ts) = at_work(1_000_000, refusing).await;
    world.card(&ts, "pr_merge").await;
    let requests = requests(&world);
    let replaced = requests.iter().position(is_replaced).expect("replaced");
    carries_everything(&requests[replaced], SUMMARY);
    let refused = requests.iter().filter(|request| tokens(request) > 14_000).count();
    assert_eq!(refused, 1, "what it reads is known from then on");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_the_summary_costs_nothing_but_the_summary() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let stalling = move |request: &ScriptedRequest| {
        let reply = long_work(request);
        if request.tools.is_empty() && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            return ScriptedReply { fault: Some(ScriptedFault::Stall), ..reply };
        }
        reply
    };
    let (world, daemon, ts) = at_work(14_000, stalling).await;
    let summaries = || world.model.requests().iter().filter(|request| request.tools.is_empty()).count();
    world.until("the summary", || summaries() == 1).await;
    daemon.kill();
    let _daemon = world.start();
    world.card(&ts, "pr_merge").await;
    assert!(summaries() >= 2);
    let requests = requests(&world);
    let replaced = requests.iter().position(is_replaced).expect("replaced");
    carries_everything(&requests[replaced], SUMMARY);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_summary_it_goes_on_from_the_facts_and_says_so() {
    let silent = |request: &ScriptedRequest| {
        if request.tools.is_empty() {
            return ScriptedReply::fault(status(402, "Insufficient credits"));
        }
        long_work(request)
    };
    let (world, _daemon, ts) = at_work(14_000, silent).await;
    world.card(&ts, "pr_merge").await;
    world.says(&ts, "A summary could not be had, so I go on from the plan, your words").await;
    let requests = requests(&world);
    let replaced = requests.iter().position(is_replaced).expect("replaced");
    carries_everything(&requests[replaced], "There is none: it could not be written");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_fits_is_told_with_the_way_out() {
    let (world, _daemon, ts) = at_work(4_000, long_work).await;
    let told = world.says(&ts, "does not fit into what `test/coder` reads (4k tokens)").await;
    let text = super::world::blocks_text(&told);
    assert!(text.contains("!retry") && super::world::button(&told, "run_retry").is_some(), "{text}");
    assert!(requests(&world).is_empty(), "nothing is sent that cannot be read");
    world.no_violations();
}

/// A Coder that asks the PM first, then works by commands alone, then needs room.
fn by_commands(request: &ScriptedRequest) -> ScriptedReply {
    let told = request.user_text();
    match (last_calls(request).as_slice(), step(request)) {
        _ if request.tools.is_empty() => ScriptedReply::text(SUMMARY),
        (["AskPM"], _) => {
            let command = "echo step-0; sed -i s/hello/hi/ greeting.txt; echo new > made.txt";
            ScriptedReply::text("").call("Bash", &json!({ "command": command }))
        }
        (["Bash"], step) if step < 9 => {
            let command = format!("echo step-{}; seq 1000 1900", step + 1);
            ScriptedReply::text("").call("Bash", &json!({ "command": command }))
        }
        (["Bash"], _) => ScriptedReply::text("Done."),
        ([], _) if told.contains("approved") => {
            ScriptedReply::text("").call("AskPM", &json!({ "question": "Which port?" }))
        }
        (other, _) => ScriptedReply::text(format!("lost after {other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pm_decided_and_what_commands_changed_are_not_forgotten() {
    let mut others = with_coder(by_commands);
    let script = move |request: &ScriptedRequest| {
        let asked = request.last_user_text().contains("Its run waits.");
        if request.model != CODER && asked {
            return ScriptedReply::text("Use port 4711 and never touch legacy.txt");
        }
        others(request)
    };
    let listed = json!({ "context_length": 14_000 });
    let world = World::with_server(script, |server| server.list(CODER, listed)).await;
    let daemon = world.start();
    daemon.mentions("the list of models was read");
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    let requests = requests(&world);
    let replaced = requests.iter().find(|request| is_replaced(request)).expect("replaced");
    let first = replaced.messages[1].text();
    for wanted in [
        "- asked by you: Which port? → the PM: “Use port 4711 and never touch legacy.txt”",
        "# Files that differ from where your branch began, by git\n\n- `greeting.txt`\n- `made.txt new`",
        "- nothing is committed yet",
    ] {
        assert!(first.contains(wanted), "{wanted}: {first}");
    }
    world.no_violations();
}
