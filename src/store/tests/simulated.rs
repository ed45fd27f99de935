//! The simulated store: what its hook is asked, and what its answers do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{NOW, append, incoming, key, opened};
use crate::store::log::Append;
use crate::store::simulated::{Disk, Moment, Verdict};
use crate::store::{Store, StoreError};

/// Whether it never answers; the clock of these tests runs only when nothing else does.
async fn is_dead<T>(call: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_secs(60), call).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_hook_sees_every_write_and_cuts_before_or_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&seen);
    let store = Store::simulated(&Disk::of(&path), move |moment, number, label| {
        if moment != Moment::Reading {
            heard.lock().expect("one thread").push((moment, number, label));
        }
        match (moment, number) {
            (Moment::Before, 3) => Verdict::Fail,
            (Moment::After, 4) => Verdict::Crash,
            _ => Verdict::Go,
        }
    });
    let store = store.expect("opens");
    assert!(store.accept(incoming("1.0", &["a"]), vec![], NOW).await.expect("stored"));
    store.lease(&key("1.0")).await.expect("leased");
    let failed = store.append(append(0, vec![opened()], &[], vec![1])).await;
    assert!(matches!(failed, Err(StoreError::Full(_))), "{failed:?}");
    assert_eq!(store.load(&key("1.0")).await.expect("reads go on"), []);
    assert!(is_dead(store.append(append(0, vec![opened()], &[], vec![1]))).await);
    assert!(is_dead(store.load(&key("1.0"))).await, "the dead read nothing");
    let expected = [
        (Moment::Before, 1, "accept"),
        (Moment::After, 1, "accept"),
        (Moment::Before, 2, "lease"),
        (Moment::After, 2, "lease"),
        (Moment::Before, 3, "append"),
        (Moment::Before, 4, "append"),
        (Moment::After, 4, "append"),
    ];
    assert_eq!(*seen.lock().expect("one thread"), expected);
    // The dead handle is still there; the file is free all the same.
    let again = Store::simulated(&Disk::of(&path), |moment, _, _| match moment {
        Moment::Before => Verdict::Crash,
        Moment::After | Moment::Reading => Verdict::Go,
    });
    let again = again.expect("opens");
    assert_eq!(again.load(&key("1.0")).await.expect("read").len(), 1, "what was committed before the crash is there");
    assert!(is_dead(again.set_setting("pm", "claude")).await);
    drop(again);
    let last = Store::open(&path).expect("opens as a real store");
    assert_eq!(last.setting("pm").await.expect("read"), None);
}

#[tokio::test(start_paused = true)]
async fn a_power_failure_leaves_what_was_flushed_and_a_crash_leaves_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let disk = Disk::of(&path);
    let opened_store = || Store::simulated(&disk, |_, _, _| Verdict::Go).expect("opens");
    let careless = |expected| Append { durable: false, ..append(expected, vec![opened()], &[], vec![]) };
    let found = async |store: &Store| store.load(&key("1.0")).await.expect("read").len();
    let store = opened_store();
    store.lease(&key("1.0")).await.expect("leased");
    store.append(careless(0)).await.expect("appended");
    store.append(append(1, vec![opened()], &[], vec![])).await.expect("appended, and flushed with what was before");
    store.append(careless(2)).await.expect("appended");
    drop(store);
    let store = opened_store();
    assert_eq!(found(&store).await, 3, "a new life finds all that a crash left");
    store.append(careless(3)).await.expect("appended");
    drop(store);
    assert!(disk.fail().expect("the power fails"));
    assert_eq!(found(&opened_store()).await, 3);
    assert!(!disk.fail().expect("it fails again"), "nothing was written since");
    assert_eq!(found(&opened_store()).await, 3);
    let store = opened_store();
    store.append(careless(3)).await.expect("appended");
    store.append(append(4, vec![opened()], &[], vec![])).await.expect("appended");
    store.append(careless(5)).await.expect("appended");
    drop(store);
    assert!(disk.fail().expect("the power fails"));
    assert_eq!(found(&opened_store()).await, 5);
}
