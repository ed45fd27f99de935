//! A question of the PM waits for a person: in the log, whatever happens to the program meanwhile.

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, spoken_to};
use super::support::fake_slack::{ANA, BEN, SHOP};
use super::world::{World, blocks_text, button};

fn asks(request: &ScriptedRequest) -> ScriptedReply {
    if spoken_to(request) && request.last_result("AskUser").is_none() {
        let ask = json!({ "question": "Refuse an empty name?", "options": ["Refuse it", "Use “unknown”"] });
        return ScriptedReply::text("").call("AskUser", &ask);
    }
    match last_calls(request).as_slice() {
        ["AskUser"] => {
            let result = request.last_result("AskUser").unwrap_or_default();
            ScriptedReply::text(format!("Good. {result} {}", request.last_user_text()))
        }
        other => ScriptedReply::text(format!("lost after {other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_through_restarts_and_a_button_answers_it() {
    let world = World::with_script(asks).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "an empty name crashes the export", None);
    let (card, first) = world.card(&ts, "ask_option").await;
    assert!(blocks_text(&card).contains("Refuse an empty name?"), "{card:?}");
    daemon.kill();
    let daemon = world.start();
    world.slack.say(BEN, SHOP, "!status", Some(&ts));
    world.says(&ts, "Waiting for an answer to: Refuse an empty name?").await;
    world.slack.press(ANA, "ask_option", &first, &card.ts);
    world.says(&ts, "Good. Ana chose “Refuse it”.").await;
    let answered =
        world.reply(&ts, "the answer on the card", |message| message.ts == card.ts && message.edits > 0).await;
    assert!(button(&answered, "ask_option").is_none() && answered.text.contains("*Ana:* Refuse it"), "{answered:?}");
    world.slack.press_stale(BEN, "ask_option", &first, &card.ts);
    world.refused(BEN, "does not wait any more").await;
    world.is_done(&ts).await;
    drop(daemon);
    assert_eq!(world.model.requests().len(), 2, "asked once, answered once");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_answer_reaches_the_model_once_as_a_persons_message() {
    let world = World::with_script(asks).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "an empty name crashes the export", None);
    world.card(&ts, "ask_option").await;
    let answer = world.slack.say(ANA, SHOP, "yes", Some(&ts));
    world.says(&ts, "Good. Ana answered; the message follows. Ana: yes").await;
    world.is_done(&answer).await;
    world.is_done(&ts).await;
    let last = world.model.requests().pop().expect("asked");
    assert_eq!(last.user_text().matches("Ana: yes").count(), 1);
    world.no_violations();
}
