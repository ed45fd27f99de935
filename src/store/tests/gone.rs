//! A panic on one of the store's threads: everyone who waits or comes later hears a typed error, and `closed` says why.
//! What fails once is no end.

use std::pin::pin;

use futures_util::future::join;
use futures_util::{FutureExt as _, poll};

use super::{NOW, append, incoming, key, open, opened, reopen};
use crate::store::queue::Operation;
use crate::store::{Gone, Store, StoreError};

const BROKEN: Operation = Operation { label: "broken", durable: false, first: false };

impl Store {
    /// Makes the writing thread panic, as an error of ours in a write would.
    pub(crate) async fn break_writer(&self) {
        let broken = self.write(BROKEN, |connection| {
            connection.execute("INSERT INTO settings VALUES ('half', 'done')", [])?;
            panic!("a bug in a write")
        });
        let broken: Result<(), StoreError> = broken.await;
        assert!(matches!(broken, Err(StoreError::Closed)), "{broken:?}");
    }
}

#[tokio::test]
async fn a_panic_on_the_writing_thread_closes_the_store_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    {
        let mut closed = pin!(store.closed());
        assert!(poll!(&mut closed).is_pending());
        // What waits behind it is refused as well, and not left to wait for ever.
        let ((), behind) = join(store.break_writer(), store.set_setting("pm", "claude")).await;
        assert!(matches!(behind, Err(StoreError::Closed)), "{behind:?}");
        assert_eq!(closed.await, Gone { thread: "store", reason: "a bug in a write".into() });
    }
    let later = store.accept(incoming("1.5", &["event:1"]), vec![], NOW).await;
    assert!(matches!(later, Err(StoreError::Closed)), "{later:?}");
    assert_eq!(store.closed().now_or_never().map(|gone| gone.thread), Some("store"), "also who asks later is told");
    drop(store);
    let store = reopen(&folder.path().join("store.db"));
    assert_eq!(store.setting("half").await.expect("read"), None, "what it was at is taken back");
}

#[tokio::test]
async fn a_panic_on_the_reading_thread_is_told_and_what_was_decided_can_still_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let broken: Result<(), StoreError> = store.read(|_| panic!("a bug in a look at {}", 1)).await;
    assert!(matches!(broken, Err(StoreError::Closed)), "{broken:?}");
    assert_eq!(store.closed().await, Gone { thread: "store-reader", reason: "a bug in a look at 1".into() });
    assert!(matches!(store.setting("pm").await, Err(StoreError::Closed)));
    store.append(append(0, vec![opened()], &[], vec![])).await.expect("appended");
}

#[tokio::test]
async fn what_fails_once_is_no_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let conflict = store.append(append(7, vec![opened()], &[], vec![])).await;
    assert!(matches!(conflict, Err(StoreError::Conflict { .. })), "{conflict:?}");
    store.lease(&key("1.0")).await.expect("leased");
    let superseded = store.append(append(0, vec![opened()], &[], vec![])).await;
    assert!(matches!(superseded, Err(StoreError::Superseded { .. })), "{superseded:?}");
    assert_eq!(store.closed().now_or_never(), None);
}
