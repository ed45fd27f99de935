//! Two repositories, and another program holds the lock of one's store: the other is served as if nothing were.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::support::fake_slack::{ANA, BEN, LOBBY, SHOP, State};
use super::world::World;

/// Puts a second repository beside the first, with its own channel.
fn second_repository(world: &mut World) {
    let second = world.folder.path().join("second");
    #[expect(clippy::disallowed_methods, reason = "a test makes a repository from outside the product")]
    let copied = Command::new("cp").arg("-r").args([&world.checkout(), &second]).status().expect("cp runs");
    assert!(copied.success());
    let own = second.join(".codebutler");
    std::fs::create_dir_all(&own).expect("made");
    let mut repo = world.repo.clone();
    repo["slack"] = json!({ "channelID": LOBBY, "channelName": "lobby" });
    std::fs::write(own.join("config.json"), repo.to_string()).expect("written");
    world.arguments.extend(["--repo".to_owned(), second.display().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_program_holds_delays_nobody_else() {
    let mut world = World::new().await;
    second_repository(&mut world);
    let daemon = world.start();
    let first = world.slack.say(BEN, SHOP, "before?", None);
    world.is_done(&first).await;
    world.slack.wait_until_acked().await;
    let outside = rusqlite::Connection::open(world.checkout().join(".codebutler/store.db")).expect("opens");
    outside.busy_timeout(Duration::from_secs(10)).expect("set");
    outside.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let locked: Vec<String> =
        (0..150).map(|n| world.slack.say(ANA, SHOP, &format!("locked {n}?"), Some(&first))).collect();
    let free = world.slack.say(BEN, LOBBY, "and here?", None);
    world.says(&free, "I heard “Ben: and here?”").await;
    world.is_done(&free).await;
    let acked = |state: &State, ts: &String| {
        let mut of = state.envelopes.iter().filter(|envelope| envelope.payload["event"]["ts"] == *ts);
        of.any(|envelope| envelope.ack.is_some())
    };
    assert!(world.slack.look(|state| acked(state, &free) && !locked.iter().any(|ts| acked(state, ts))));
    outside.execute_batch("ROLLBACK").expect("free again");
    let all = |state: &State| locked.iter().all(|ts| acked(state, ts)).then_some(());
    world.slack.wait_for("the acks of what was locked", all).await;
    world.is_done(&locked[149]).await;
    assert_eq!(world.slack.look(|state| state.opened), 2, "the sockets are the same");
    let (_, log) = daemon.stop();
    assert!(!log.contains("not stored and not acked"), "nothing waited until the store gave up:\n{log}");
    world.no_violations();
}
