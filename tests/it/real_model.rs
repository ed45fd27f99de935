//! A real model, when there is one: any OpenAI-compatible server, named by `CODEBUTLER_TEST_MODEL_URL` (as in
//! `openrouter.baseUrl`) and `CODEBUTLER_TEST_MODEL`; a key in `CODEBUTLER_TEST_MODEL_KEY`. Without them it says that it
//! was skipped. A model of 1.5 billion parameters on two cores is enough, and slow: hours are allowed.
//!
//! It asserts what the protocol is about and, in one of three tries, the end of a question. How far the model comes with
//! work is told and not asserted: that is the model's doing. The scripted stories say what the product does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::looking::told;
use super::support::fake_slack::{BEN, Message, SHOP};
use super::world::{World, button, came};

/// How often a model may try.
const TRIES: usize = 3;
/// How long one try may take.
const LONG: Duration = Duration::from_secs(3_600);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(200);

/// A repository with a bug and its test, and the model as PM and Coder; `None`, said, when no model is named.
async fn world() -> Option<World> {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(url), Some(model)) = (named("CODEBUTLER_TEST_MODEL_URL"), named("CODEBUTLER_TEST_MODEL")) else {
        say("skipped: CODEBUTLER_TEST_MODEL_URL and CODEBUTLER_TEST_MODEL name no model");
        return None;
    };
    let mut world = World::new().await;
    let key = named("CODEBUTLER_TEST_MODEL_KEY").unwrap_or_else(|| "none".to_owned());
    world.global["openrouter"] = json!({ "apiKey": key, "baseUrl": url });
    world.global["timing"]["stallMs"] = json!(3_600_000);
    world.global["timing"]["retryBaseMs"] = json!(1_000);
    world.repo["models"] = json!({ "pm": { "default": model }, "coder": { "model": model } });
    world.repo["checks"] = json!(["sh test.sh"]);
    let write = |name: &str, text: &str| std::fs::write(world.checkout().join(name), text).expect("written");
    write("add.sh", "#!/bin/sh\n# Prints the sum of two numbers.\necho $(($1 - $2))\n");
    write("test.sh", "#!/bin/sh\n[ \"$(sh add.sh 2 3)\" = 5 ] && echo ok || { echo \"2 + 3 is not 5\"; exit 1; }\n");
    world.git(&["add", "."]);
    world.git(&["commit", "-qm", "Add up"]);
    world.git(&["push", "-q", "origin", "main"]);
    Some(world)
}

#[expect(clippy::print_stdout, reason = "how it went is what this is for; a story that is skipped says so")]
fn say(words: &str) {
    println!("{words}");
}

/// What the log of a thread says of the model.
#[derive(Debug, Default)]
struct Tale {
    replies: usize,
    tokens_in: u64,
    tokens_out: u64,
    /// Calls by tool.
    calls: Vec<String>,
    /// Calls that were mended or refused before they ran, and results that were errors.
    faulty: usize,
    errors: usize,
    ended: Vec<String>,
}

/// Reads the log of a thread and checks what must hold whatever a model says.
fn tale(world: &World, thread: &str) -> Tale {
    let log = told(world, &["show", thread, "--events", "--json"]);
    let mut tale = Tale::default();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let kind = event["type"].as_str().unwrap_or_default();
        match kind {
            "reply_received" => {
                let reply = &event["reply"];
                tale.replies += 1;
                tale.tokens_in += reply["usage"]["prompt_tokens"].as_u64().unwrap_or_default();
                tale.tokens_out += reply["usage"]["completion_tokens"].as_u64().unwrap_or_default();
                for call in reply["calls"].as_array().into_iter().flatten() {
                    asked.push(format!("{} {}", event["run"], call["id"].as_str().expect("an id")));
                    tale.calls.push(call["name"].as_str().unwrap_or_default().to_owned());
                    tale.faulty += usize::from(!call["fault"].is_null());
                }
            }
            "tool_finished" => {
                answered.push(format!("{} {}", event["run"], event["call"].as_str().expect("an id")));
                tale.errors += usize::from(event["result"]["error"] == true);
            }
            "run_ended" => tale.ended.push(event["outcome"].to_string().chars().take(300).collect()),
            _ => {}
        }
    }
    let unique: std::collections::BTreeSet<&String> = asked.iter().collect();
    assert_eq!(unique.len(), asked.len(), "ids of calls are unique in their run");
    answered.sort();
    answered.dedup();
    assert!(answered.iter().all(|id| unique.contains(id)), "results without a call");
    tale
}

/// Waits, however long a small model takes; whether it came.
async fn waits(world: &World, thread: &str, is_it: impl Fn(&[Message]) -> bool) -> bool {
    came(LONG, LOOK, || is_it(&world.thread_messages(thread))).await
}

fn is_done(world: &World, ts: &str) -> bool {
    world.slack.look(|state| {
        let message = state.messages.iter().find(|message| message.ts == ts);
        message.is_some_and(|message| message.reactions.iter().any(|name| name == "white_check_mark"))
    })
}

fn tell(what: &str, begun: Instant, tale: &Tale, texts: &[String]) {
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!("{what} after {seconds:.0} s: {tale:?}\n{}\n", texts.join("\n---\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_looking() {
    let Some(world) = world().await else { return };
    let _daemon = world.start();
    let mut good = false;
    for number in 1..=TRIES {
        let begun = Instant::now();
        let asked = "Which word is on the first line of the file greeting.txt? Read the file, then answer.";
        let ts = world.slack.say(BEN, SHOP, asked, None);
        assert!(came(LONG, LOOK, || is_done(&world, &ts)).await, "no end and no error");
        let (tale, texts) = (tale(&world, &ts), world.thread_texts(&ts));
        tell(&format!("question, try {number}"), begun, &tale, &texts);
        assert!(tale.replies > 0 && tale.tokens_out > 0, "the server streams and counts");
        assert!(!texts.is_empty(), "silence is a defect");
        good = tale.calls.iter().any(|tool| tool == "Read" || tool == "Grep")
            && texts.iter().any(|text| text.to_lowercase().contains("hello"));
        if good {
            break;
        }
    }
    assert!(good, "not once in {TRIES} tries was the file read and its word said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_of_one_file_goes_as_far_as_the_model_comes() {
    let Some(world) = world().await else { return };
    let _daemon = world.start();
    for number in 1..=TRIES {
        let begun = Instant::now();
        let wish = "add.sh subtracts, it must add: line 3 must be `echo $(($1 + $2))`. The test is `sh test.sh`. \
                    Call ProposePlan now.";
        let ts = world.slack.say(BEN, SHOP, wish, None);
        let has = |messages: &[Message], action: &str| messages.iter().any(|message| button(message, action).is_some());
        let came = waits(&world, &ts, |messages| has(messages, "plan_approve") || is_done(&world, &ts)).await;
        assert!(came, "neither a plan nor an end");
        let planned = has(&world.thread_messages(&ts), "plan_approve");
        if !planned {
            tell(&format!("fix, try {number}: no plan"), begun, &tale(&world, &ts), &world.thread_texts(&ts));
            continue;
        }
        world.press(&ts, "plan_approve").await;
        let over = |messages: &[Message]| has(messages, "pr_merge") || has(messages, "run_retry");
        assert!(waits(&world, &ts, over).await, "neither a pull request nor a message that says what to do");
        let opened = has(&world.thread_messages(&ts), "pr_merge");
        let branches = world.remote_branches();
        let fixed = branches.iter().any(|branch| world.at_remote(branch, "add.sh").contains("$1 + $2"));
        let end = format!("fix, try {number}: planned, pull request {opened}, fixed {fixed}");
        tell(&end, begun, &tale(&world, &ts), &world.thread_texts(&ts));
        if opened && fixed {
            return;
        }
    }
    say(&format!("the whole way to a pull request with the fix was beyond this model in {TRIES} tries"));
}
