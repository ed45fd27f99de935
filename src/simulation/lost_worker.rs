//! Workers that end by what must not happen: a lost store, a panic where nothing catches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::fate::Fate;
use super::people::CHANNEL;
use super::world::{Reads, Setup, World};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};
use crate::runtime::{Clock, Supervisor, Tasks, worker};
use crate::store::Store;
use crate::store::simulated::{Disk, Moment, Verdict};

/// Longer than all that is waited for here takes, in simulated time.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

fn world() -> World {
    World::new(Setup {
        stories: vec![],
        fate: Fate::new(vec![], None),
        seed: 1,
        unkind: false,
        coders: 1,
        reads: Reads::Enough,
    })
}

fn key() -> ThreadKey {
    ThreadKey { workspace: "T1".into(), channel: ChannelId::new(CHANNEL), ts: MessageTs::new("1.0") }
}

/// Stores a question for the thread.
async fn ask(store: &Store, world: &World) {
    let what = IncomingKind::Message { ts: key().ts, text: "hello?".into(), to_bot: true, files: vec![] };
    let from = UserId::new("U1");
    let incoming = Incoming { thread: key(), from, name: "Ana".into(), what, dedupe: vec!["event:1".into()] };
    assert!(store.accept(incoming, vec![], world.fate.shown()).await.expect("stored"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_lost_its_store_says_nothing_and_waits_for_the_daemon_to_end() {
    let world = world();
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store.db")).expect("opens");
    ask(&store, &world).await;
    let shown = world.fate.shown();
    let project = Arc::new(world.project(store.clone(), Clock::of(move || shown)).await.expect("read"));
    store.break_writer().await;
    store.closed().await;
    let stop = CancellationToken::new();
    let mut work = Box::pin(worker::run(project, key(), Arc::new(Notify::new()), stop.clone()));
    assert!(timeout(LONG, &mut work).await.is_err(), "nobody sends another one");
    assert!(world.chat.room().thread(&key()).is_empty(), "the daemon ends and says why; the next goes on");
    stop.cancel();
    timeout(LONG, work).await.expect("it ends with the daemon");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_where_nothing_catches_it_is_followed_by_another() {
    let world = world();
    let folder = tempfile::tempdir().expect("a folder");
    // The thread's first lease fails, and the time at which it failed cannot be had.
    let failed = AtomicBool::new(false);
    let store = Store::simulated(&Disk::of(&folder.path().join("store.db")), move |moment, _, label| {
        let fails = moment == Moment::Before && label == "lease" && !failed.swap(true, Ordering::SeqCst);
        if fails { Verdict::Fail } else { Verdict::Go }
    });
    let store = store.expect("opens");
    ask(&store, &world).await;
    let (shown, panicked) = (world.fate.shown(), Arc::new(AtomicBool::new(false)));
    let has_panicked = Arc::clone(&panicked);
    let clock = Clock::of(move || {
        assert!(has_panicked.swap(true, Ordering::SeqCst), "a bug in a clock");
        shown
    });
    let project = world.project(store.clone(), clock).await.expect("read");
    let tasks = Tasks::default();
    let _supervisor = Supervisor::start(Arc::new(project), &tasks);
    let taken = async {
        while !store.waiting(&key()).await.expect("read").is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(LONG, taken).await.expect("another worker takes what waits");
    assert!(panicked.load(Ordering::SeqCst));
    assert!(tasks.shut_down(LONG).await);
}
