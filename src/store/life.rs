//! The store's threads as far as others must know: each holds the lock file, and when one ends, whoever waits for it is
//! told why.
//!
//! A store that has lost a thread never comes back: the process is to end and be started again, from the log.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::watch;

/// Why a store does nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its thread `{thread}` ended: {reason}")]
pub struct Gone {
    /// The thread that ended.
    pub thread: &'static str,
    /// What its panic said.
    pub reason: String,
}

/// Knows whether a thread of the store has ended.
#[derive(Clone)]
pub(super) struct Life(watch::Sender<Option<Gone>>);

impl Life {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Starts a thread that works until it has nothing left to do. It lets go of `lock` after everything that it worked
    /// with is closed.
    pub(super) fn spawn(
        &self,
        thread: &'static str,
        lock: Arc<File>,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let life = self.clone();
        let run = move || {
            let _held = lock;
            // Nothing of what a panic may have left half changed is used again.
            let reason = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(()) => "it had nothing left to do".to_owned(),
                Err(panic) => match panic.downcast::<String>() {
                    Ok(text) => *text,
                    Err(panic) => panic.downcast::<&str>().map_or("a panic without a text", |text| *text).to_owned(),
                },
            };
            // At an orderly end the last handle is gone, and nobody hears it.
            life.0.send_replace(Some(Gone { thread, reason }));
        };
        std::thread::Builder::new().name(thread.to_owned()).spawn(run).map(drop)
    }

    /// Waits until one of the threads has ended.
    pub(super) async fn ended(&self) -> Gone {
        let mut news = self.0.subscribe();
        loop {
            let gone = news.borrow_and_update().clone();
            if let Some(gone) = gone {
                return gone;
            }
            // Cannot fail: we hold a sender ourselves.
            let _ = news.changed().await;
        }
    }
}
