//! The Coder asks the PM in the middle of its work: the PM looks, asks people where only they know, and answers. It may
//! take as long as it takes, whatever happens to the program meanwhile.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{CODER, last_calls, status, with_coder};
use super::support::fake_slack::{ANA, BEN, SHOP};
use super::world::World;

const WISH: &str = "let `greeting.txt` say \"hi\"";

/// What the PM was asked, when that is what it is at.
fn is_consulted(request: &ScriptedRequest) -> bool {
    let told = |text: &str| text.contains("Its run waits.");
    let at = request.messages.iter().rposition(|message| message.role == "user" && told(&message.text()));
    let done = request.messages.iter().rposition(|message| message.role == "assistant" && message.calls.is_empty());
    at.is_some() && at > done
}

/// A Coder that asks which greeting, and writes the one that it is told.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    let asks_again = request.last_result("AskPM").is_some_and(|told| told.starts_with("Not answered"));
    match last_calls(request).as_slice() {
        calls if calls.is_empty() || calls.contains(&"AskPM") && asks_again => ScriptedReply::text("")
            .call("AskPM", &json!({ "question": "Which greeting?", "context": "The plan is vague." }))
            .call("Read", &json!({ "file_path": "greeting.txt" })),
        ["AskPM", "Read"] => {
            let told = request.last_result("AskPM").unwrap_or_default();
            let word = if told.contains("night") { "good night" } else { "good day" };
            let edit = json!({ "file_path": "greeting.txt", "old_string": "hello", "new_string": word });
            ScriptedReply::text("").call("Edit", &edit)
        }
        _ => ScriptedReply::text(format!("Done. The PM said: {}", request.last_result("AskPM").unwrap_or_default())),
    }
}

/// A PM that reads, then asks people, then answers.
fn pm(request: &ScriptedRequest) -> ScriptedReply {
    let at = request.messages.iter().rposition(|message| message.text().contains("Its run waits.")).unwrap_or_default();
    let since = request.messages[at..].iter().flat_map(|message| &message.calls).map(|call| call.name.as_str());
    match since.collect::<Vec<_>>().as_slice() {
        [] => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
        ["Read"] => {
            let ask = json!({ "question": "Day or night?", "options": ["Day", "Night"] });
            ScriptedReply::text("").call("AskUser", &ask)
        }
        _ => {
            let told = request.last_result("AskUser").unwrap_or_default();
            ScriptedReply::text(format!("{} it is.", if told.contains("Night") { "Good night" } else { "Good day" }))
        }
    }
}

async fn world(pm: impl Fn(&ScriptedRequest) -> ScriptedReply + Send + 'static) -> World {
    let mut others = with_coder(coder);
    let script = move |request: &ScriptedRequest| {
        if request.model != CODER && is_consulted(request) { pm(request) } else { others(request) }
    };
    World::with_script(script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_from_people_after_a_kill_and_the_pull_request_is_opened() {
    let world = world(pm).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    let (card, _) = world.card(&ts, "ask_option").await;
    assert!(card.text.contains("*PM:*") && card.text.contains("Day or night?"), "{card:?}");
    daemon.kill();
    let daemon = world.start();
    world.slack.say(BEN, SHOP, "!status", Some(&ts));
    world.says(&ts, "The Coder waits for the PM's answer to: Which greeting?").await;
    let merge = world.slack.say(ANA, SHOP, "!merge", Some(&ts));
    world.says(&ts, "The Coder is still at work").await;
    world.is_done(&merge).await;
    world.slack.press(ANA, "ask_option", &format!("{}1", option_prefix(&world, &ts)), &card.ts);
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "greeting.txt"), "good night\nworld\n");
    world.says(&ts, "The PM said: Good night it is.").await;
    let line = world.says(&ts, "asked the PM: Which greeting?").await;
    assert!(
        line.text.starts_with("*Coder:* asked the PM") && line.text.contains("*PM:* Good night it is."),
        "{line:?}"
    );
    let alone = world.thread_texts(&ts).into_iter().filter(|text| text.starts_with("*PM:* Good night"));
    assert_eq!(alone.count(), 0, "not as an answer to people");
    world.is_done(&ts).await;
    drop(daemon);
    let of_pm: Vec<usize> = (world.model.requests().iter().filter(|request| request.model != CODER))
        .map(|request| request.conversation)
        .collect();
    assert!(of_pm.iter().all(|conversation| *conversation == of_pm[0]), "one conversation of the PM: {of_pm:?}");
    let asked = world.model.requests().into_iter().rfind(|request| request.model != CODER).expect("asked");
    assert!(asked.user_text().contains("What it knows:\nThe plan is vague."), "{}", asked.user_text());
    world.no_violations();
}

/// `q12/` of the question that waits.
fn option_prefix(world: &World, ts: &str) -> String {
    let messages = world.thread_messages(ts);
    let value = messages.iter().rev().find_map(|message| super::world::button(message, "ask_option")).expect("a card");
    value.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pm_that_cannot_answer_is_said_so_and_the_coder_goes_on() {
    let fault = status(402, "Insufficient credits");
    let world = world(move |_| ScriptedReply::fault(fault.clone())).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    world.says(&ts, "The PM did not answer:").await;
    let line = world.says(&ts, "asked the PM: Which greeting?").await;
    assert!(
        line.text.contains("The PM could not answer:") && line.text.contains("The Coder goes on without"),
        "{line:?}"
    );
    assert!(world.thread_texts(&ts).iter().all(|text| !text.contains("I stopped")), "the work goes on");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_pm_is_asked_ends_both_and_a_retry_goes_on() {
    let world = world(pm).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.press(&ts, "plan_approve").await;
    world.card(&ts, "ask_option").await;
    let stop = world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    let stopped = world.says(&ts, "Stopped by Ben").await;
    assert!(
        stopped.text.starts_with("*Coder:*") && stopped.text.contains("while waiting for the PM's answer"),
        "{stopped:?}"
    );
    world.is_done(&stop).await;
    world.says(&ts, "Not answered: the run ended before.").await;
    world.says(&ts, "Nothing was changed").await;
    let said = world.thread_texts(&ts).into_iter().filter(|text| text.contains("Stopped by Ben"));
    assert_eq!(said.count(), 1, "one word about it");
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.press(&ts, "ask_option").await;
    world.card(&ts, "pr_merge").await;
    world.no_violations();
}
