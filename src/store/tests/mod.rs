//! The store against a real SQLite file.

mod simulated;

use super::{Append, Session, Store, StoreError};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{ChannelId, MessageTs, Millis, RunId, ThreadKey, UserId};
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
        expected,
        at: Millis(5),
        events,
        posts: posts.iter().map(|(key, post)| ((*key).to_owned(), post.clone())).collect(),
        acked,
        session: Session { phase: "pm".into(), title: "t".into(), works: false },
        durable: true,
    }
}

fn opened() -> Event {
    Event::ThreadOpened { by: UserId::new("ANA") }
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("store.db")).expect("opens")
}

#[tokio::test]
async fn a_message_is_stored_once_under_any_of_its_keys_and_waits_until_it_is_dealt_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder);
    assert!(store.accept(incoming("1.0", &["event:1", "ts:1.0"]), vec![]).await.expect("stored"));
    assert!(!store.accept(incoming("1.0", &["event:1", "ts:1.0"]), vec![]).await.expect("known"));
    assert!(!store.accept(incoming("1.0", &["event:2", "ts:1.0"]), vec![]).await.expect("known by its ts"));
    assert!(!store.accept(incoming("9.0", &["event:2"]), vec![]).await.expect("known by the second event"));
    assert!(store.accept(incoming("2.0", &["event:3"]), vec![]).await.expect("stored"));
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
    let store = open(&folder);
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
    let store = open(&folder);
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
    let store = open(&folder);
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
    let pid = std::process::id().to_string();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { pid: other, .. }) if other == pid));
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
    let store = open(&folder);
    store.accept(incoming("1.0", &["e"]), vec![("eyes".into(), said("seen"))]).await.expect("stored");
    store.set_setting("pm", "claude").await.expect("kept");
    drop(store);
    // The store's thread closes the file after the last handle is gone.
    let store = loop {
        match Store::open(&folder.path().join("store.db")) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            other => break other.expect("opens"),
        }
    };
    assert_eq!(store.waiting(&key("1.0")).await.expect("read").len(), 1);
    assert_eq!(store.due_posts().await.expect("read").len(), 1);
    assert_eq!(store.setting("pm").await.expect("read").as_deref(), Some("claude"));
    assert_eq!(store.written().await.expect("read"), [incoming("1.0", &["e"])]);
}
