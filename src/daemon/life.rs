//! A daemon's life: its start, which a stop may cut short, what ends it, and how it winds down.
//!
//! It ends when it is asked to, and by itself when it has lost a store or a task that nothing goes on without: it would be
//! deaf or mute, and a new process goes on from the log.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::Failure;
use crate::runtime::Tasks;
use crate::store::{Gone, Store};

/// What tasks may take beyond the grace of their tools.
const BEYOND: Duration = Duration::from_secs(1);

/// What to do about a bug that ended us.
const START_AGAIN: &str = "start codebutler again, unless a service manager does: everything goes on from the log; if it \
                           happens again, report what the log says";

/// Starts, unless `shutdown` comes first: then what was opened so far is let go of, and there is nothing to serve.
pub(super) async fn start<T>(
    shutdown: impl Future<Output = ()>,
    starting: impl Future<Output = Result<T, Vec<Failure>>>,
) -> Result<Option<T>, Vec<Failure>> {
    tokio::select! {
        biased;
        () = shutdown => {
            tracing::info!("stopped before it was ready");
            Ok(None)
        }
        started = starting => started.map(Some),
    }
}

/// Serves until `shutdown`, or until a store or a vital task is lost, which is a failure; then stops all tasks.
pub(super) async fn serve(
    tasks: Tasks,
    stores: Vec<(PathBuf, Store)>,
    stop_grace: Duration,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Vec<Failure>> {
    let lost = tokio::select! {
        biased;
        () = shutdown => None,
        lost = first_lost(&stores) => Some(lost),
        task = tasks.lost() => Some(Failure::new(task.to_string(), START_AGAIN)),
    };
    if let Some(Failure { what, hint }) = &lost {
        tracing::error!(hint, "{what}; codebutler ends");
    }
    wind_down(tasks, stop_grace).await;
    lost.map_or(Ok(()), |lost| Err(vec![lost]))
}

/// Stops all tasks.
pub(super) async fn wind_down(tasks: Tasks, stop_grace: Duration) {
    tracing::info!(
        "stopping: nothing new is taken, what is under way comes to its end; a second signal ends it at once"
    );
    // Beyond the grace of the tools, what is left is ended with the process; the log has everything.
    if !tasks.shut_down(stop_grace + BEYOND).await {
        tracing::warn!("some tasks did not end in time");
    }
}

async fn first_lost(stores: &[(PathBuf, Store)]) -> Failure {
    let closed = stores.iter().map(async |(path, store)| (path, store.closed().await));
    let mut closed: FuturesUnordered<_> = closed.collect();
    let Some((path, gone)) = closed.next().await else { return std::future::pending().await };
    lost(path, &gone)
}

/// The end of a daemon in words.
fn lost(path: &Path, gone: &Gone) -> Failure {
    Failure::new(format!("the store {} is lost: {gone}", path.display()), START_AGAIN)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::poll;

    use super::*;
    use crate::runtime::tasks::TaskKind;

    /// A daemon with two stores and a task that ends when it is told to.
    struct Running {
        tasks: Tasks,
        stores: Vec<(PathBuf, Store)>,
        ended: Arc<AtomicBool>,
        _folder: tempfile::TempDir,
    }

    impl Running {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let open = |name: &str| {
                let path = folder.path().join(name);
                let store = Store::open(&path).expect("opens");
                (path, store)
            };
            let (stores, tasks) = (vec![open("one.db"), open("two.db")], Tasks::default());
            let ended = Arc::new(AtomicBool::new(false));
            let (stop, flag) = (tasks.stop_token(), Arc::clone(&ended));
            tasks.spawn(TaskKind::Worker, "1.0", async move {
                stop.cancelled().await;
                flag.store(true, Ordering::Relaxed);
            });
            Self { tasks, stores, ended, _folder: folder }
        }
    }

    #[tokio::test]
    async fn a_lost_store_winds_everything_down_and_is_a_failure_that_says_what_to_do() {
        let Running { tasks, stores, ended, _folder } = Running::new();
        let second = stores[1].1.clone();
        let mut serving = pin!(serve(tasks, stores, Duration::from_secs(5), pending()));
        assert!(poll!(&mut serving).is_pending());
        second.break_writer().await;
        let failures = serving.await.expect_err("it is lost");
        let [Failure { what, hint }] = failures.as_slice() else { panic!("one: {failures:?}") };
        assert!(what.contains("two.db is lost: its thread `store` ended: a bug in a write"), "{what}");
        assert!(hint.contains("start codebutler again"), "{hint}");
        assert!(ended.load(Ordering::Relaxed), "the tasks were stopped first");
    }

    #[tokio::test]
    async fn a_lost_task_winds_everything_down_and_is_a_failure() {
        let Running { tasks, stores, ended, _folder } = Running::new();
        tasks.spawn(TaskKind::Outbox, "C1", async { panic!("a bug in a post") });
        let failures = serve(tasks, stores, Duration::from_secs(5), pending()).await.expect_err("it is lost");
        let [Failure { what, hint }] = failures.as_slice() else { panic!("one: {failures:?}") };
        assert_eq!(what, "what posts to the chat (`C1`) ended: a bug in a post");
        assert!(hint.contains("start codebutler again"), "{hint}");
        assert!(ended.load(Ordering::Relaxed), "the tasks were stopped first");
    }

    #[tokio::test]
    async fn a_stop_that_was_asked_for_is_no_failure_whatever_its_stores_do() {
        let Running { tasks, stores, ended, _folder } = Running::new();
        stores[0].1.break_writer().await;
        assert_eq!(serve(tasks, stores, Duration::from_secs(5), ready(())).await, Ok(()));
        assert!(ended.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_start_is_cut_short_by_a_stop_and_lets_go_of_what_it_has() {
        let held = Arc::new(());
        let opened = Arc::clone(&held);
        let slow = async move {
            let _opened = opened;
            pending::<Result<(), Vec<Failure>>>().await
        };
        assert_eq!(start(ready(()), slow).await, Ok(None));
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(start(pending(), ready(Ok(7))).await, Ok(Some(7)));
    }
}
