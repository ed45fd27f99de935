//! A store that is lost under a running daemon: it does not live on, deaf and silent, but ends with a failure, so that
//! a service manager starts it again; and the next life goes on from the log.

use std::time::Duration;

use super::support::fake_slack::{BEN, SHOP};
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_ends_the_daemon_and_the_next_life_takes_up_everything() {
    if !cfg!(debug_assertions) || std::env::var_os("CODEBUTLER_BINARY").is_some() {
        return;
    }
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.says(&ts, "I heard “Ben: hello?”").await;
    world.is_done(&ts).await;
    // No switch of ours breaks the writing thread, but damage from outside does: beside this number the oldest key to
    // keep is beyond what an integer holds, and a debug build panics over that. If nothing can break it any more, then
    // what is left of this is `daemon/life.rs`.
    let outside = rusqlite::Connection::open(world.checkout().join(".codebutler/store.db")).expect("opens");
    outside.busy_timeout(Duration::from_secs(10)).expect("set");
    outside.execute_batch("DELETE FROM seen; INSERT INTO seen VALUES (-9223372036854775808, 'x')").expect("damaged");
    let later = world.slack.say(BEN, SHOP, "are you there?", Some(&ts));
    daemon.mentions("codebutler ends");
    let (status, log) = daemon.ended();
    assert_eq!(status.code(), Some(1), "{log}");
    for part in ["error: the store ", "is lost: its thread `store` ended: ", "hint: start codebutler again"] {
        assert!(log.contains(part), "{part} is not in:\n{log}");
    }
    outside.execute("DELETE FROM seen", []).expect("repaired");
    let daemon = world.start();
    world.slack.redeliver_unacked();
    world.is_done(&later).await;
    world.is_answered_once(&ts, &later, "are you there?");
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    world.no_violations();
}
