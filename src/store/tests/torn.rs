//! A power failure in the middle of a write: the end of SQLite's write-ahead log is missing, or is not what was written.

use std::path::Path;

use super::{NOW, append, incoming, key, open, opened, said};
use crate::store::Store;
use crate::thread::Event;
use crate::thread::event::ToolResult;

/// A store whose disk holds `base` and `wal`, with what a reader finds in it: events, posts that are due, rows that wait.
async fn found(base: &[u8], wal: &[u8]) -> (usize, Vec<String>, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("store.db"), base).expect("written");
    std::fs::write(folder.path().join("store.db-wal"), wal).expect("written");
    let store = Store::open(&folder.path().join("store.db")).expect("a torn end is no damage");
    let events = store.load(&key("1.0")).await.expect("read").len();
    let due = store.due_posts().await.expect("read").into_iter().map(|row| row.key).collect();
    let waiting = store.waiting(&key("1.0")).await.expect("read").len();
    assert!(store.accept(incoming("9.0", &["event:9"]), vec![], NOW).await.expect("stored"), "it goes on");
    (events, due, waiting)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("read")
}

#[tokio::test]
async fn a_torn_end_of_the_log_costs_at_most_the_last_decision_and_that_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, log) = (folder.path().join("store.db"), folder.path().join("store.db-wal"));
    let store = open(&folder).await;
    assert!(store.accept(incoming("1.0", &["event:1"]), vec![], NOW).await.expect("stored"));
    assert!(store.accept(incoming("2.0", &["event:2"]), vec![], NOW).await.expect("stored"));
    store.append(append(0, vec![opened(), opened()], &[("a", said("a"))], vec![1])).await.expect("appended");
    let durable = read(&log).len();
    let texts = (0..20).map(|number| format!("{number}: {}", "long ".repeat(1000)));
    let result = |text| ToolResult { text, error: false, wrote: vec![], exit: None };
    let event = |text| Event::ToolFinished {
        run: crate::ids::RunId(1),
        call: crate::ids::CallId::new("c"),
        result: result(text),
    };
    let events: Vec<Event> = texts.map(event).collect();
    let newer = [("a", said("b"))];
    store.append(append(2, events, &newer, vec![2])).await.expect("appended");
    let (base, whole) = (read(&path), read(&log));
    assert!(whole.len() > durable + 20 * 4096, "the last decision has many pages");
    let before = (2, vec!["a".to_owned()], 1);
    let after = (22, vec!["a".to_owned()], 0);
    assert_eq!(found(&base, &whole).await, after);
    assert_eq!(found(&base, &whole[..durable]).await, before);
    for cut in (durable + 1..whole.len()).step_by(3001).chain([whole.len() - 1]) {
        assert_eq!(found(&base, &whole[..cut]).await, before, "cut at {cut}");
        let mut garbled = whole.clone();
        garbled[cut..].fill(0x5a);
        assert_eq!(found(&base, &garbled).await, before, "garbage from {cut}");
    }
    let mut page = whole.clone();
    let end = page.len();
    page[end - 4096..].reverse();
    assert_eq!(found(&base, &page).await, before, "the last page is not what was written");
}
