//! What Slack does to messages before and while they are read, through the binary.

use serde_json::json;

use super::support::fake_slack::{ANA, BEN, LOBBY, SHOP};
use super::world::World;

/// What the PM was told so far, all requests together.
fn heard(world: &World) -> String {
    world.model.requests().last().map(|request| request.user_text()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_edited_or_deleted_before_it_is_read_is_read_so() {
    let mut world = World::new().await;
    world.global["timing"]["accumulationMs"] = json!(1500);
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "where is teh greeting?", None);
    let second = world.slack.say(BEN, SHOP, "never mind this", Some(&ts));
    world.slack.wait_until_acked().await;
    world.slack.edit(&ts, "where is the greeting?");
    world.slack.delete(&second);
    world.slack.share(ANA, SHOP, "the picture", "greeting.png", Some(&ts));
    world.slack.wait_until_acked().await;
    world.is_done(&ts).await;
    let heard = heard(&world);
    assert_eq!(heard, "Ben: where is the greeting?\nAna: the picture\n[attached: greeting.png]");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_sockets_and_deliveries_that_come_again_double_nothing() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "one?", None);
    world.says(&ts, "Ben: one?").await;
    let opened = world.slack.look(|state| state.opened);
    world.slack.disconnect_sockets("refresh_requested");
    world
        .slack
        .wait_for("a new socket", |state| (state.opened > opened && !state.sockets.is_empty()).then_some(()))
        .await;
    let second = world.slack.say(BEN, SHOP, "two?", Some(&ts));
    world.slack.redeliver_unacked();
    world.is_done(&second).await;
    assert_eq!(heard(&world).matches("two?").count(), 1, "{}", heard(&world));
    assert_eq!(world.thread_texts(&ts).iter().filter(|text| text.contains("two?")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_other_peoples_mentions_and_unbound_channels_are_left_alone() {
    let world = World::new().await;
    let _daemon = world.start();
    world.slack.bot_says(SHOP, "deploy finished", None);
    world.slack.say(BEN, SHOP, &format!("<@{ANA}> lunch?"), None);
    let lobby = world.slack.say(BEN, LOBBY, "<@U0BOT> hello?", None);
    world.says(&lobby, "I work in #shop").await;
    world.slack.wait_until_acked().await;
    assert!(world.model.requests().is_empty(), "no model was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_that_is_down_is_told_and_retried_when_it_is_back() {
    let mut world = World::new().await;
    let url = world.global["openrouter"]["baseUrl"].clone();
    world.global["openrouter"]["baseUrl"] = json!("http://127.0.0.1:9/v1");
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.card(&ts, "run_retry").await;
    world.says(&ts, "The model service did not answer after 6 attempts").await;
    daemon.stop();
    world.global["openrouter"]["baseUrl"] = url;
    let _daemon = world.start();
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.says(&ts, "I heard “Ben: hello?”").await;
}
