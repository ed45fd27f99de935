//! The one place that spawns tasks. Each has a kind, a span and an owner that joins it; a panic in one is logged and
//! ends only that one.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// How long those that end last may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

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
    /// Those that end last, and their token: they bring out what the others did at the end.
    last: TaskTracker,
    end: CancellationToken,
}

impl Tasks {
    /// Starts a task.
    pub fn spawn(&self, kind: TaskKind, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        // At error level, so that the thread of a record is known however little is logged.
        let span = match kind {
            TaskKind::Worker => tracing::error_span!("worker", thread.ts = name),
            TaskKind::Chat | TaskKind::Outbox | TaskKind::Supervisor | TaskKind::Watch | TaskKind::ScriptedModel => {
                tracing::error_span!("task", task.kind = ?kind, task.name = name)
            }
        };
        let guarded = AssertUnwindSafe(work).catch_unwind().map(move |ended| {
            if let Err(panic) = ended {
                tracing::error!(task.kind = ?kind, panic = panic_text(&panic), "a task panicked");
            }
        });
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns tasks")]
        match kind {
            TaskKind::Outbox => self.last.spawn(guarded.instrument(span)),
            TaskKind::Chat | TaskKind::Supervisor | TaskKind::Watch | TaskKind::Worker | TaskKind::ScriptedModel => {
                self.tracker.spawn(guarded.instrument(span))
            }
        };
    }

    /// Cancelled when the daemon stops.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Cancelled when everything else has stopped, for those that end last.
    pub fn end_token(&self) -> CancellationToken {
        self.end.clone()
    }

    /// Stops all tasks and waits for them, but no longer than `grace`, and then for those that end last. `false`: some
    /// did not end in time.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let stopped = tokio::time::timeout(grace, self.tracker.wait()).await.is_ok();
        self.end.cancel();
        self.last.close();
        tokio::time::timeout(LAST_WORDS, self.last.wait()).await.is_ok() && stopped
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
