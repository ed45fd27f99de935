//! Approval holds: only people, only approvers, only the newest plan, and what was approved is what is done.

use codebutler::scripted::ScriptedRequest;
use serde_json::json;

use super::support::fake_slack::{ANA, BEN, Fault, SHOP};
use super::world::{World, blocks_text, button};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_approver_approves() {
    let mut world = World::new().await;
    world.global["access"] = json!({ "approvers": [ANA] });
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    let (card, value) = world.card(&ts, "plan_approve").await;
    world.slack.press(BEN, "plan_approve", &value, &card.ts);
    world.refused(BEN, "Only an approver can approve a plan").await;
    let typed = world.slack.say(BEN, SHOP, "approve", Some(&ts));
    world.is_done(&typed).await;
    world.slack.bot_says(SHOP, "approve", Some(&ts));
    world.slack.wait_until_acked().await;
    assert!(!world.checkout().join(".codebutler/branches").exists(), "nothing was approved");
    for request in world.model.requests() {
        assert!(!request.user_text().contains("approve"), "an approval word reached a model");
    }
    world.slack.say(ANA, SHOP, "LGTM!", Some(&ts));
    world.card(&ts, "pr_merge").await;
    let merge = world.slack.say(BEN, SHOP, "merge", Some(&ts));
    world.says(&ts, "Only an approver can merge").await;
    world.is_done(&merge).await;
    assert_eq!(world.at_remote("main", "greeting.txt"), "hello\nworld\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changed_twice_voids_both_older_cards() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"one\"", None);
    let mut cards = Vec::new();
    for word in ["one", "two", "three"] {
        if word != "one" {
            world.slack.say(BEN, SHOP, &format!("no, let `greeting.txt` say \"{word}\""), Some(&ts));
        }
        let title = format!("Say {word}");
        let wanted = |message: &super::support::fake_slack::Message| {
            blocks_text(message).contains(&title) && button(message, "plan_approve").is_some()
        };
        let card = world.reply(&ts, &title, wanted).await;
        let value = button(&card, "plan_approve").expect("just seen");
        cards.push((card.ts, value));
    }
    for (card, _) in &cards[..2] {
        world
            .reply(&ts, "a void card", |message| {
                message.ts == *card && button(message, "plan_approve").is_none() && message.text.contains("Void")
            })
            .await;
    }
    // A card on a screen that was not refreshed can still be pressed.
    world.slack.press_stale(ANA, "plan_approve", &cards[0].1, &cards[0].0);
    world.refused(ANA, "void").await;
    world.slack.press(ANA, "plan_approve", &cards[2].1, &cards[2].0);
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-three", "greeting.txt"), "three\nworld\n");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_from_before_the_card_was_shown_approves_nothing() {
    let world = World::new().await;
    let _daemon = world.start();
    for _ in 0..4 {
        world.slack.fail_next("chat.postMessage", Fault::TooFast(1));
    }
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    let is_proposed = |request: &ScriptedRequest| {
        request.last_result("ProposePlan").is_some_and(|result| result.contains("waits for a person's approval"))
    };
    let proposed = || world.model.requests().iter().any(is_proposed);
    world.until("the plan", proposed).await;
    world.slack.say(ANA, SHOP, "LGTM!", Some(&ts));
    world.says(&ts, "You wrote that before the card was shown").await;
    let (_, plan) = world.card(&ts, "plan_approve").await;
    assert!(!plan.is_empty() && !world.checkout().join(".codebutler/branches").exists(), "nothing was approved");
    world.slack.say(ANA, SHOP, "LGTM!", Some(&ts));
    world.card(&ts, "pr_merge").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_plan_ends_the_thread() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    let (card, value) = world.card(&ts, "plan_change").await;
    world.slack.press(BEN, "plan_change", &value, &card.ts);
    world.says(&ts, "What should change?").await;
    world.press(&ts, "plan_cancel").await;
    world.says(&ts, "the thread closed").await;
    world.says(&ts, "Cancelled by Ana").await;
    let more = world.slack.say(BEN, SHOP, "let `other.txt` say \"x\"", Some(&ts));
    world.is_done(&more).await;
    assert!(!world.checkout().join(".codebutler/branches").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_and_otherwise_ignored() {
    let mut world = World::new().await;
    world.global["access"] = json!({ "allowedUsers": [ANA] });
    let _daemon = world.start();
    world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.refused(BEN, "only for the people listed").await;
    assert!(world.model.requests().is_empty(), "no model was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_checkout_of_the_owner_is_neither_shown_nor_touched() {
    let world = World::new().await;
    std::fs::write(world.checkout().join("greeting.txt"), "my own half-done edit\n").expect("written");
    std::fs::write(world.checkout().join("notes.txt"), "private\n").expect("written");
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.press(&ts, "pr_merge").await;
    world.says(&ts, "Merged as").await;
    assert_eq!(
        std::fs::read_to_string(world.checkout().join("greeting.txt")).expect("there"),
        "my own half-done edit\n"
    );
    assert_eq!(world.at_remote("main", "greeting.txt"), "hi\nworld\n");
    assert_eq!(world.at_remote("main", "notes.txt"), "");
    for request in world.model.requests() {
        let body = request.body.to_string();
        assert!(!body.contains("half-done") && !body.contains("notes.txt"), "the checkout was read");
    }
}
