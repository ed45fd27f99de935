//! Money for nothing is money: attempts that bring no reply, and calls that are cut, are counted and held to the caps.

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{CLAUDE, PM};
use super::support::fake_slack::{ANA, BEN, SHOP};
use super::world::World;

async fn asked(world: &World, count: usize) {
    world.until("a request", || world.model.requests().len() == count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_attempts_that_bring_nothing_are_counted_and_reach_the_cap() {
    let mut world = World::with_script(|_: &ScriptedRequest| ScriptedReply::text("").cost(0.5)).await;
    world.global["limits"] = json!({ "perThreadUsd": 2.0 });
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello", None);
    world.says(&ts, "gave an empty answer: 6 attempts").await;
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    let cost = world.says(&ts, "*$3.00* in this thread so far").await.text;
    assert!(cost.contains("$3.00 in 6 calls") && cost.contains("in all repositories: $3.00"), "{cost}");
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    let (card, _) = world.card(&ts, "budget_raise").await;
    assert!(card.text.contains("($3.00 spent)"), "{}", card.text);
    assert_eq!(world.model.requests().len(), 6, "no call after the cap");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_counts_as_one_of_unknown_cost() {
    let script = |request: &ScriptedRequest| {
        if request.model == PM {
            return ScriptedReply::fault(ScriptedFault::Stall);
        }
        ScriptedReply::text("I am here.").cost(0.5)
    };
    let world = World::with_script(script).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello", None);
    asked(&world, 1).await;
    world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    world.says(&ts, "Stopped by Ben").await;
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    world.says(&ts, "*cost unknown* in this thread so far").await;
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    asked(&world, 2).await;
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    let _daemon = world.start();
    asked(&world, 3).await;
    world.slack.say(ANA, SHOP, "!pm claude", Some(&ts));
    world.says(&ts, "I am here.").await;
    assert_eq!(world.model.requests().last().map(|request| request.model.clone()).as_deref(), Some(CLAUDE));
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    world.says(&ts, "*$0.50 + 3 calls of unknown cost* in this thread so far").await;
    world.no_violations();
}
