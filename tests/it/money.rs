//! What things cost: stated by the server, taken from its list of prices, or unknown.

use codebutler::scripted::{ScriptedReply, ScriptedRequest, ScriptedServer};
use serde_json::json;

use super::script::PM;
use super::support::fake_slack::{BEN, SHOP};
use super::world::{Daemon, World};

/// A PM that answers with so many tokens and states no cost.
async fn silent_about_cost(tell: impl FnOnce(ScriptedServer) -> ScriptedServer) -> (World, Daemon) {
    let script = |_: &ScriptedRequest| ScriptedReply::text("I heard you.").tokens(1_000_000, 500_000, 100_000);
    let world = World::with_server(script, tell).await;
    let daemon = world.start();
    daemon.mentions("the list of models was read");
    (world, daemon)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_that_is_not_stated_comes_from_the_list_of_prices() {
    let pricing = json!({ "prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002" });
    let listed = json!({ "context_length": 128_000, "pricing": pricing });
    let (world, _daemon) = silent_about_cost(|server| server.list(PM, listed)).await;
    let ts = world.slack.say(BEN, SHOP, "hello there", None);
    world.says(&ts, "I heard you").await;
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    // 0.5 M at $2, 0.5 M at $0.20, 0.1 M at $10.
    world.says(&ts, "about $2.10").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_that_nobody_knows_is_unknown_and_not_nothing() {
    let (world, _daemon) = silent_about_cost(|server| server).await;
    let ts = world.slack.say(BEN, SHOP, "hello there", None);
    world.says(&ts, "I heard you").await;
    world.slack.say(BEN, SHOP, "!cost", Some(&ts));
    let answer = world.says(&ts, "cost unknown").await;
    assert!(!answer.text.contains('$'), "{}", answer.text);
    world.no_violations();
}
