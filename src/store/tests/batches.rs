//! Group commit: what shares a transaction, what goes first, what fails alone and what fails with the others; and the
//! troubles that a store outlives: a lock held by another program, a full disk.

use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{FutureExt as _, poll};
use rusqlite::Connection;

use super::{NOW, append, incoming, key, open, opened, said, waiting};
use crate::store::queue::Operation;
use crate::store::{Append, Store, StoreError};
use crate::thread::Event;
use crate::thread::event::ToolResult;

/// Another program that holds the lock on the store until it is dropped.
struct Lock(Connection);

impl Lock {
    fn take(path: &std::path::Path, kind: &str) -> Self {
        let connection = Connection::open(path).expect("opens");
        connection.execute_batch(&format!("BEGIN {kind}")).expect("the lock is free");
        Self(connection)
    }

    fn release(self) {
        self.0.execute_batch("ROLLBACK").expect("released");
    }
}

fn path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("store.db")
}

async fn accept(store: &Store, number: usize) -> bool {
    let (ts, key) = (format!("{number}.5"), format!("event:{number}"));
    store.accept(incoming(&ts, &[&key]), vec![(format!("eyes/{ts}"), said("seen"))], NOW).await.expect("stored")
}

#[tokio::test]
async fn a_burst_of_messages_needs_few_flushes_of_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    let before = store.batches();
    let mut all = pin!(join_all((0..2000).map(|number| accept(&store, number))));
    assert!(poll!(&mut all).is_pending(), "all are in the queue");
    lock.release();
    assert!(all.await.into_iter().all(|fresh| fresh));
    let batches = store.batches() - before;
    assert!((1..=500).contains(&batches), "{batches} transactions for 2000 messages");
    let mut seen: Vec<i64> = store.waiting(&key("1.0")).await.expect("read").iter().map(|row| row.id).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "in the order in which they came");
}

#[tokio::test]
async fn what_people_did_goes_before_everything_else_but_not_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let setting = async |number: usize| {
        store.set_setting(&number.to_string(), "value").await.expect("kept");
        "setting"
    };
    let message = async |number: usize| {
        accept(&store, number).await;
        "message"
    };
    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    let mut jobs: FuturesUnordered<_> = (0..600).map(|number| setting(number).boxed_local()).collect();
    assert!(poll!(jobs.next()).is_pending());
    jobs.push(message(0).boxed_local());
    assert!(poll!(jobs.next()).is_pending());
    lock.release();
    let order: Vec<&str> = jobs.collect().await;
    let place = order.iter().position(|what| *what == "message").expect("it was stored");
    assert!(place <= 64, "600 others were there before it, and it was number {place}");

    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    let mut jobs: FuturesUnordered<_> = (1..=600).map(|number| message(number).boxed_local()).collect();
    (0..10).for_each(|number| jobs.push(setting(number).boxed_local()));
    assert!(poll!(jobs.next()).is_pending());
    lock.release();
    let order: Vec<&str> = jobs.collect().await;
    let last = order.iter().rposition(|what| *what == "setting").expect("they were kept");
    assert!(last < 300, "the last of the ten others waited for {last}");
}

#[tokio::test]
async fn a_write_that_fails_is_taken_back_alone() {
    const HALF: Operation = Operation { label: "half", durable: false, first: false };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    let before = store.batches();
    let half = store.write(HALF, |connection| {
        connection.execute("INSERT INTO settings VALUES ('half', 'done')", [])?;
        Err::<(), _>(StoreError::Closed)
    });
    let bad = store.append(append(7, vec![opened()], &[("bad", said("bad"))], vec![]));
    let good = store.append(append(0, vec![opened()], &[("good", said("good"))], vec![]));
    let mut all = pin!(join(join(bad, good), join(accept(&store, 1), half)));
    assert!(poll!(&mut all).is_pending());
    lock.release();
    let ((bad, good), (fresh, half)) = all.await;
    assert!(matches!(half, Err(StoreError::Closed)), "its own error: {half:?}");
    assert_eq!(store.setting("half").await.expect("read"), None);
    assert!(matches!(bad, Err(StoreError::Conflict { expected: 7, found: 0, .. })), "{bad:?}");
    good.expect("appended");
    assert!(fresh);
    assert_eq!(store.batches() - before, 1, "they shared a transaction");
    let mut shown = Vec::new();
    while let Some(row) = store.due_posts().await.expect("read").pop() {
        store.mark_sent(row.id, row.revision, None, None).await.expect("noted");
        shown.push(row.key);
    }
    assert_eq!(shown, ["eyes/1.5", "good"], "the message went first, and nothing of what failed is there");
}

#[tokio::test]
async fn when_the_commit_fails_everyone_hears_it_and_nothing_is_kept() {
    const BROKEN: Operation = Operation { label: "broken", durable: false, first: false };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    // A violated rule that SQLite looks at only when the transaction ends.
    let broken = store.write(BROKEN, |connection| {
        let sql = "CREATE TABLE a (id INTEGER PRIMARY KEY); \
                   CREATE TABLE b (a REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED); INSERT INTO b VALUES (1)";
        Ok(connection.execute_batch(sql)?)
    });
    let stored = store.accept(incoming("1.5", &["event:1"]), vec![], NOW);
    let mut all = pin!(join(broken, join(stored, store.set_setting("pm", "claude"))));
    assert!(poll!(&mut all).is_pending());
    lock.release();
    let (broken, (stored, kept)) = all.await;
    assert!(matches!(broken, Err(StoreError::Sqlite(_))), "{broken:?}");
    assert!(matches!(stored, Err(StoreError::Sqlite(_))), "{stored:?}");
    assert!(matches!(kept, Err(StoreError::Sqlite(_))), "{kept:?}");
    assert_eq!(store.setting("pm").await.expect("read"), None);
    assert_eq!(store.waiting(&key("1.0")).await.expect("read"), []);
    assert!(accept(&store, 1).await, "its keys are not known either, and the store goes on");
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for_and_then_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_for(&path(&folder), waiting(50)).expect("opens");
    for kind in ["IMMEDIATE", "EXCLUSIVE"] {
        let lock = Lock::take(&path(&folder), kind);
        let begun = Instant::now();
        let refused = store.accept(incoming("1.5", &["event:1"]), vec![], NOW).await;
        assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert!(refused.err().is_some_and(|error| error.hint().contains("fuser")));
        assert_eq!(store.setting("pm").await.expect("who only reads needs no lock"), None);
        lock.release();
    }
    assert!(accept(&store, 1).await, "what was refused left nothing behind");

    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    drop(store);
    let patient = super::reopen(&path(&folder));
    let mut stored = pin!(accept(&patient, 2));
    assert!(poll!(&mut stored).is_pending());
    lock.release();
    assert!(stored.await);
}

#[tokio::test]
async fn a_full_disk_is_told_and_outlived() {
    const LIMIT: Operation = Operation { label: "limit", durable: false, first: false };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let limit = async |pages: Option<i64>| {
        let limit = store.write(LIMIT, move |connection| {
            let now: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            Ok(connection.pragma_update_and_check(None, "max_page_count", pages.unwrap_or(now), |_| Ok(()))?)
        });
        limit.await.expect("set");
    };
    let big = || {
        let text = (0..40_000).map(|number| format!("{number} ")).collect();
        let result = ToolResult { text, error: false, wrote: vec![], exit: None };
        let event = Event::ToolFinished { run: crate::ids::RunId(1), call: crate::ids::CallId::new("c"), result };
        Append { durable: false, ..append(0, vec![event], &[("p", said("done"))], vec![]) }
    };
    limit(None).await;
    let lock = Lock::take(&path(&folder), "IMMEDIATE");
    let small = store.set_setting("pm", "claude");
    let mut both = pin!(join(small, store.append(big())));
    assert!(poll!(&mut both).is_pending());
    lock.release();
    let (small, refused) = both.await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(refused.err().map(|error| error.to_string()).as_deref(), Some("the disk is full"));
    assert_eq!(store.load(&key("1.0")).await.expect("read"), []);
    assert_eq!(store.due_posts().await.expect("read"), []);
    let kept = store.setting("pm").await.expect("read");
    assert_eq!(kept.is_some(), small.is_ok(), "who shared its transaction was told the truth: {small:?}");
    limit(Some(1_000_000)).await;
    store.append(big()).await.expect("there is space again");
    assert_eq!(store.load(&key("1.0")).await.expect("read").len(), 1);
    assert!(accept(&store, 1).await);
}

#[tokio::test]
async fn a_transaction_is_as_careful_as_the_most_careful_in_it() {
    const PROBE: Operation = Operation { label: "probe", durable: false, first: false };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    // With the others waiting beside it: 1 is NORMAL, 2 is FULL.
    let care = async |others: BoxFuture<'_, ()>| {
        let lock = Lock::take(&path(&folder), "IMMEDIATE");
        let probe = store.write(PROBE, |connection| {
            Ok(connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?)
        });
        // The others first: the writer chooses its care when it wakes, which may be before the second is there.
        let mut both = pin!(join(others, probe));
        assert!(poll!(&mut both).is_pending());
        lock.release();
        both.await.1.expect("read")
    };
    let leased = async || {
        store.lease(&key("5.0")).await.expect("leased");
    };
    assert_eq!(care(leased().boxed()).await, 1);
    assert_eq!(care(store.mark_sent(1, 1, None, None).map(drop).boxed()).await, 1);
    assert_eq!(care(store.mark_tried(1).map(drop).boxed()).await, 2, "what others may see is never forgotten");
    assert_eq!(care(accept(&store, 1).map(drop).boxed()).await, 2, "nor is what they were told that we have");
    assert_eq!(care(leased().boxed()).await, 1);
}
