//! SIGTERM: nothing new is taken, tools come to their end, model calls are cancelled, the program ends with 0; a second
//! signal ends it at once. Neither loses anything. While it starts, the first one ends it at once.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::with_coder;
use super::support::fake_slack::{BEN, Fault, SHOP, State};
use super::world::World;

/// A grace that no test waits for, in milliseconds, and how long the program may take that does not wait for it: far less,
/// and more than a busy machine needs.
const LONG: u64 = 600_000;
const NO_WAIT: Duration = Duration::from_secs(120);

/// A Coder that runs a command which says when it began, and ends when it may.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    let command = "echo begin >>../../../../log; until [ -e ../../../../go ]; do sleep 0.02; done; echo end";
    match request.last_result("Bash") {
        None => ScriptedReply::text("").call("Bash", &json!({ "command": command })),
        Some(result) => ScriptedReply::text(format!("It said: {result}")),
    }
}

async fn at_work(stop_grace_ms: u64) -> (World, super::world::Daemon, String) {
    let mut world = World::with_script(with_coder(coder)).await;
    world.global["timing"]["stopGraceMs"] = json!(stop_grace_ms);
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let log = world.folder.path().join("log");
    world.until("the command", || log.exists()).await;
    (world, daemon, ts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_under_way_comes_to_its_end() {
    let (world, daemon, ts) = at_work(LONG).await;
    daemon.terminate();
    // Nothing new is taken from here on: what is written now is for the next life.
    std::fs::write(world.folder.path().join("go"), "").expect("written");
    let (status, log) = daemon.ended();
    assert!(status.success(), "{status} {log}");
    let _daemon = world.start();
    world.says(&ts, "It said: end").await;
    assert_eq!(std::fs::read_to_string(world.folder.path().join("log")).expect("a log"), "begin\n", "run once");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_takes_longer_than_the_grace_is_cut_and_told() {
    let (world, daemon, ts) = at_work(200).await;
    let started = Instant::now();
    let (status, log) = daemon.stop();
    assert!(status.success() && started.elapsed() < NO_WAIT, "{status} {log}");
    let _daemon = world.start();
    world.says(&ts, "It said: Interrupted").await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    let (world, daemon, ts) = at_work(LONG).await;
    daemon.terminate();
    daemon.mentions("stopping");
    let later = world.slack.say(BEN, SHOP, "are you there?", Some(&ts));
    // It waits for the command; only a second signal ends that.
    let started = Instant::now();
    let (status, _) = daemon.stop();
    assert!(started.elapsed() < NO_WAIT, "{:?}", started.elapsed());
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    let _daemon = world.start();
    world.slack.redeliver_unacked();
    world.says(&ts, "It said: Interrupted").await;
    world.is_done(&later).await;
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_call_is_cancelled_and_made_again_word_for_word() {
    let mut world = World::new().await;
    world.global["timing"]["stopGraceMs"] = json!(LONG);
    let daemon = world.start();
    world.trouble.next(ScriptedFault::Stall, 1);
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.until("the request", || world.model.requests().len() == 1).await;
    let started = Instant::now();
    let (status, log) = daemon.stop();
    assert!(status.success() && started.elapsed() < NO_WAIT, "{status} {log}");
    world.model.release();
    let _daemon = world.start();
    world.says(&ts, "I heard “Ben: hello?”").await;
    let requests = world.model.requests();
    assert_eq!(format!("{:?}", requests[0].messages), format!("{:?}", requests[1].messages));
    assert_eq!(requests.len(), 2);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_start_ends_it_at_once_and_leaves_nothing_half_started() {
    let world = World::new().await;
    world.slack.fail_next("auth.test", Fault::Silence);
    let daemon = world.spawn();
    let asked = |state: &State| state.transcript.iter().any(|line| line.contains("without an answer")).then_some(());
    world.slack.wait_for("the check of the bot's token", asked).await;
    let (status, log) = daemon.stop();
    // By itself it gives up after 15 seconds, and fails with the word that Slack cannot be reached.
    assert!(status.success(), "{status} {log}");
    assert!(!log.contains("ready ") && !log.contains("error:"), "{log}");
    assert_eq!(world.slack.look(|state| state.sockets.len()), 0);
    // Neither Slack's app nor the store is held by anybody.
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.says(&ts, "I heard “Ben: hello?”").await;
    world.no_violations();
}
