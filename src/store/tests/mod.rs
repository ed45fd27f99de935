//! The store against a real SQLite file.

mod batches;
mod changes;
mod gone;
mod migrations;
mod model;
mod outbox;
mod outputs;
mod simulated;
mod torn;

use std::path::Path;
use std::time::Duration;

use super::batch::Limits;
use super::{Append, Session, Store, StoreError};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{ChannelId, Epoch, MessageTs, Millis, RunId, ThreadKey, UserId};
use crate::lock::Holder;
use crate::render::post::Post;
use crate::thread::Event;
use crate::thread::event::ToolResult;

fn key(ts: &str) -> ThreadKey {
    ThreadKey { workspace: "T1".into(), channel: ChannelId::new("C1"), ts: MessageTs::new(ts) }
}

fn incoming(ts: &str, dedupe: &[&str]) -> Incoming {
    Incoming {
        thread: key("1.0"),
        from: UserId::new("ANA"),
        name: "Ana".into(),
        what: IncomingKind::Message {
            ts: MessageTs::new(ts),
            text: format!("text {ts}"),
            to_bot: false,
            files: vec![],
        },
        dedupe: dedupe.iter().map(ToString::to_string).collect(),
    }
}

fn said(text: &str) -> Post {
    Post::Message { role: None, text: text.into(), buttons: vec![] }
}

fn append(expected: u64, events: Vec<Event>, posts: &[(&str, Post)], acked: Vec<i64>) -> Append {
    Append {
        thread: key("1.0"),
        epoch: Epoch(1),
        expected,
        at: Millis(5),
        events,
        posts: posts.iter().map(|(key, post)| ((*key).to_owned(), post.clone())).collect(),
        acked,
        session: Session { phase: "pm".into(), title: "t".into(), works: false, pull: None },
        durable: true,
    }
}

fn opened() -> Event {
    Event::ThreadOpened { by: UserId::new("ANA") }
}

/// A fresh store in which the thread is leased, with epoch 1.
async fn open(folder: &tempfile::TempDir) -> Store {
    let store = Store::open_for(&folder.path().join("store.db"), waiting(30_000)).expect("opens");
    assert_eq!(store.lease(&key("1.0")).await.expect("leased"), Epoch(1));
    store
}

/// Limits with so many milliseconds of patience. No transaction is too long: which jobs share one must not depend on how
/// fast the machine is.
fn waiting(patience: u64) -> Limits {
    Limits { patience: Duration::from_millis(patience), longest: Duration::MAX }
}

/// Opens a store whose handles are gone: its threads close the file a moment later.
pub(super) fn reopen(path: &Path) -> Store {
    loop {
        match Store::open(path) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            other => return other.expect("opens"),
        }
    }
}

const NOW: Millis = Millis(7);

#[tokio::test]
async fn a_message_is_stored_once_under_any_of_its_keys_and_waits_until_it_is_dealt_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    assert!(store.accept(incoming("1.0", &["event:1", "ts:1.0"]), vec![], NOW).await.expect("stored"));
    assert!(!store.accept(incoming("1.0", &["event:1", "ts:1.0"]), vec![], NOW).await.expect("known"));
    assert!(!store.accept(incoming("1.0", &["event:2", "ts:1.0"]), vec![], NOW).await.expect("known by its ts"));
    assert!(!store.accept(incoming("9.0", &["event:2"]), vec![], NOW).await.expect("known by the second event"));
    assert!(store.accept(incoming("2.0", &["event:3"]), vec![], NOW).await.expect("stored"));
    assert_eq!(store.threads_at_work().await.expect("read"), [key("1.0")]);
    let ids: Vec<i64> = store.waiting(&key("1.0")).await.expect("read").iter().map(|row| row.id).collect();
    assert_eq!(ids, [1, 2]);
    store.append(append(0, vec![opened()], &[], vec![1])).await.expect("appended");
    let waiting = store.waiting(&key("1.0")).await.expect("read");
    assert_eq!(waiting.iter().map(|row| row.id).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_decision_is_committed_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    store.append(append(0, vec![opened()], &[("a", said("one"))], vec![])).await.expect("appended");
    let conflict = store.append(append(0, vec![opened()], &[("b", said("two"))], vec![])).await;
    assert!(matches!(conflict, Err(StoreError::Conflict { expected: 0, found: 1, .. })), "{conflict:?}");
    assert_eq!(store.load(&key("1.0")).await.expect("read"), [(Millis(5), opened())]);
    let due = store.due_posts().await.expect("read");
    assert_eq!(due.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn big_texts_go_to_blobs_and_come_back_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let text = "é".repeat(20_000);
    let result = ToolResult { text, error: false, wrote: vec![], exit: None };
    let event = Event::ToolFinished { run: RunId(1), call: crate::ids::CallId::new("c"), result };
    let look_alike =
        ToolResult { text: r#"{"$blob":"abc","bytes":3}"#.into(), error: false, wrote: vec![], exit: None };
    let second = Event::ToolFinished { run: RunId(1), call: crate::ids::CallId::new("d"), result: look_alike };
    store.append(append(0, vec![event.clone(), second.clone()], &[], vec![])).await.expect("appended");
    assert_eq!(store.load(&key("1.0")).await.expect("read"), [(Millis(5), event), (Millis(5), second)]);
    drop(store);
    let raw = std::fs::read(folder.path().join("store.db-wal")).unwrap_or_default();
    let raw = [raw, std::fs::read(folder.path().join("store.db")).expect("read")].concat();
    let marks = raw.windows(7).filter(|window| window == b"\"$blob\"").count();
    assert!(marks >= 1, "the event holds a reference");
}

#[tokio::test]
async fn a_newer_version_replaces_an_unsent_post_and_edits_a_sent_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    store.append(append(0, vec![], &[("p", said("1"))], vec![])).await.expect("appended");
    store.append(append(0, vec![], &[("p", said("2"))], vec![])).await.expect("appended");
    let due = store.due_posts().await.expect("read");
    assert_eq!((due.len(), &due[0].post, due[0].revision, &due[0].ts), (1, &said("2"), 2, &None));
    store.mark_sent(due[0].id, 2, Some(MessageTs::new("7.0")), None).await.expect("noted");
    store.append(append(0, vec![], &[("p", said("2"))], vec![])).await.expect("appended");
    assert_eq!(store.due_posts().await.expect("read"), [], "the same content again is nothing new");
    store.append(append(0, vec![], &[("p", said("3"))], vec![])).await.expect("appended");
    let due = store.due_posts().await.expect("read");
    assert_eq!((&due[0].post, &due[0].ts), (&said("3"), &Some(MessageTs::new("7.0"))));
}

#[test]
fn a_second_driver_and_an_older_program_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let store = Store::open(&path).expect("opens");
    let pid = std::process::id().cast_signed();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { holder: Holder::OwnId(own), .. }) if own == pid));
    drop(store);
    let newer = folder.path().join("newer.db");
    let connection = rusqlite::Connection::open(&newer).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("set");
    drop(connection);
    assert!(matches!(Store::open(&newer), Err(StoreError::Newer { found: 99, .. })));
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    store.accept(incoming("1.0", &["e"]), vec![("eyes".into(), said("seen"))], NOW).await.expect("stored");
    store.set_setting("pm", "claude").await.expect("kept");
    drop(store);
    let store = reopen(&folder.path().join("store.db"));
    assert_eq!(store.waiting(&key("1.0")).await.expect("read").len(), 1);
    assert_eq!(store.due_posts().await.expect("read").len(), 1);
    assert_eq!(store.setting("pm").await.expect("read").as_deref(), Some("claude"));
    assert_eq!(store.written().await.expect("read"), [incoming("1.0", &["e"])]);
}

#[tokio::test]
async fn a_message_is_known_by_its_place_in_the_channel_whatever_its_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    assert!(store.accept(incoming("1.0", &["event:1"]), vec![], NOW).await.expect("stored"));
    assert!(!store.accept(incoming("1.0", &["event:2"]), vec![], NOW).await.expect("known by its place"));
    assert!(!store.accept(incoming("1.0", &[]), vec![], NOW).await.expect("known without a key"));
    let what = IncomingKind::Edited { ts: MessageTs::new("1.0"), text: "better".into(), at: None };
    let edited = Incoming { what, ..incoming("1.0", &["event:3"]) };
    assert!(store.accept(edited, vec![], NOW).await.expect("an edit has the message's place, and is news"));
    let elsewhere = ThreadKey { channel: ChannelId::new("C2"), ..key("1.0") };
    let other = Incoming { thread: elsewhere, ..incoming("1.0", &["event:4"]) };
    assert!(store.accept(other, vec![], NOW).await.expect("another channel, another message"));
}

#[tokio::test]
async fn a_clock_that_jumps_makes_nothing_come_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let pressed = |key: &str| {
        let what = IncomingKind::Pressed { action: "plan_approve".into(), value: "1".into() };
        Incoming { what, ..incoming("1.0", &[key]) }
    };
    let day = 24 * 60 * 60 * 1000;
    assert!(store.accept(pressed("press:1"), vec![], NOW).await.expect("stored"));
    assert!(store.accept(pressed("press:2"), vec![], Millis(NOW.0 + 2 * day)).await.expect("stored"));
    assert!(!store.accept(pressed("press:1"), vec![], Millis(NOW.0 + 2 * day)).await.expect("known"));
    assert!(!store.accept(pressed("press:1"), vec![], NOW).await.expect("known"));
    assert!(store.accept(pressed("press:3"), vec![], Millis(-day)).await.expect("stored"));
    for known in ["press:1", "press:2", "press:3"] {
        assert!(!store.accept(pressed(known), vec![], NOW).await.expect("known"), "{known}");
    }
}

#[tokio::test]
async fn the_keys_of_what_was_seen_do_not_grow_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
    let sql = "INSERT INTO seen VALUES (1, 'first'), (100002, 'second'), (200000, 'last')";
    connection.execute(sql, []).expect("inserted");
    assert!(store.accept(incoming("1.0", &["event:1"]), vec![], NOW).await.expect("stored"));
    let keys = connection.query_one("SELECT group_concat(key) FROM seen", [], |row| row.get::<_, String>(0));
    assert_eq!(keys.expect("read"), "second,last,event:1", "the newest 100,000 are kept");
}

#[tokio::test]
async fn a_damaged_number_costs_no_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
    connection.execute("INSERT INTO seen VALUES (?1, 'damaged')", [i64::MIN]).expect("inserted");
    assert!(store.accept(incoming("1.0", &["event:1"]), vec![], NOW).await.expect("stored"));
    assert!(!store.accept(incoming("9.0", &["event:1"]), vec![], NOW).await.expect("known"));
}

#[tokio::test]
async fn only_the_newest_lease_of_a_thread_writes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    store.append(append(0, vec![opened()], &[], vec![])).await.expect("appended");
    assert_eq!(store.lease(&key("1.0")).await.expect("leased"), Epoch(2));
    assert_eq!(store.lease(&key("2.0")).await.expect("leased"), Epoch(1), "each thread has its own");
    assert!(store.accept(incoming("1.0", &["e"]), vec![], NOW).await.expect("stored"));
    let late = store.append(append(1, vec![opened()], &[("late", said("late"))], vec![1])).await;
    assert!(matches!(late, Err(StoreError::Superseded { .. })), "{late:?}");
    assert_eq!(store.load(&key("1.0")).await.expect("read").len(), 1);
    assert_eq!(store.waiting(&key("1.0")).await.expect("read").len(), 1, "the row is not taken off the inbox");
    assert_eq!(store.due_posts().await.expect("read"), []);
    let heir = Append { epoch: Epoch(2), ..append(1, vec![opened()], &[], vec![1]) };
    store.append(heir).await.expect("appended");
    let stranger = Append { thread: key("3.0"), ..append(0, vec![opened()], &[], vec![]) };
    let stranger = store.append(stranger).await;
    assert!(matches!(stranger, Err(StoreError::Superseded { .. })), "no lease, no word: {stranger:?}");
}

#[tokio::test]
async fn a_session_knows_its_open_pull_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let pull = || {
        let connection = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
        connection.query_one("SELECT pull FROM sessions", [], |row| row.get::<_, Option<i64>>(0)).expect("a row")
    };
    let session = Session { phase: "review".into(), title: "t".into(), works: false, pull: Some(7) };
    store.append(Append { session, ..append(0, vec![opened()], &[], vec![]) }).await.expect("appended");
    assert_eq!(pull(), Some(7));
    store.append(append(1, vec![opened()], &[], vec![])).await.expect("appended");
    assert_eq!(pull(), None);
}
