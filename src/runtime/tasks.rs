//! The one place that spawns tasks. Each has a kind, a span and an owner that joins it; a panic in one is logged and
//! ends only that one.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// What a task is for; the name in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Receives from the chat.
    Chat,
    /// Sends to the chat.
    Outbox,
    /// Wakes workers.
    Supervisor,
    /// Drives one thread.
    Worker,
    /// Watches the pull requests of a project.
    Watch,
    /// Serves the scripted model of the demo.
    ScriptedModel,
}

/// The tasks of one daemon, and the token that stops them.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task.
    pub fn spawn(&self, kind: TaskKind, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::info_span!("task", task.kind = ?kind, task.name = name);
        let guarded = AssertUnwindSafe(work).catch_unwind().map(move |ended| {
            if let Err(panic) = ended {
                tracing::error!(task.kind = ?kind, panic = panic_text(&panic), "a task panicked");
            }
        });
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns tasks")]
        self.tracker.spawn(guarded.instrument(span));
    }

    /// Cancelled when the daemon stops.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Stops all tasks and waits for them, but no longer than `grace`. `false`: some did not end in time.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}
