//! The one place that spawns tasks. Each has a kind, a span and an owner that joins it; a panic in one is logged and
//! ends only that one. Of a task that the daemon cannot do without, its early end is told to whoever drives the daemon.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::SetOnce;
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
    /// Shows in the chat where we are at work.
    Presence,
    /// Wakes workers.
    Supervisor,
    /// Drives one thread.
    Worker,
    /// Watches the pull requests of a project.
    Watch,
    /// Keeps what is known of the models up to date.
    Models,
    /// Serves the scripted model of the demo.
    ScriptedModel,
}

impl TaskKind {
    /// What it does for the daemon, when nothing goes on without it; a worker is started again when it has ended.
    fn vital(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some("hears the chat"),
            Self::Outbox => Some("posts to the chat"),
            Self::Supervisor => Some("wakes the threads"),
            Self::Watch => Some("watches the pull requests"),
            Self::ScriptedModel => Some("plays the model"),
            Self::Worker | Self::Models | Self::Presence => None,
        }
    }
}

/// A task that ended although nobody had asked it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostTask {
    /// What it did for the daemon.
    does: &'static str,
    /// Whose it was: a channel, for one.
    name: String,
    /// What its panic said; `None` when it just ended.
    panic: Option<String>,
}

impl fmt::Display for LostTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { does, name, panic } = self;
        write!(f, "what {does} (`{name}`) ended")?;
        panic.as_ref().map_or(Ok(()), |panic| write!(f, ": {panic}"))
    }
}

/// The tasks of one daemon, and the token that stops them.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Those that end last, and their token: they bring out what the others did at the end.
    last: TaskTracker,
    end: CancellationToken,
    /// The first that is missing.
    lost: Arc<SetOnce<LostTask>>,
}

impl Tasks {
    /// Starts a task.
    pub fn spawn(&self, kind: TaskKind, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        // At error level, so that the thread of a record is known however little is logged.
        let span = match kind {
            TaskKind::Worker => tracing::error_span!("worker", thread.ts = name),
            TaskKind::Chat
            | TaskKind::Outbox
            | TaskKind::Presence
            | TaskKind::Supervisor
            | TaskKind::Watch
            | TaskKind::Models
            | TaskKind::ScriptedModel => {
                tracing::error_span!("task", task.kind = ?kind, task.name = name)
            }
        };
        let (lost, name) = (Arc::clone(&self.lost), name.to_owned());
        let asked = if kind == TaskKind::Outbox { self.end.clone() } else { self.stop.clone() };
        let guarded = AssertUnwindSafe(work).catch_unwind().map(move |ended| {
            let panic = ended.err().map(|panic| panic_text(&*panic).to_owned());
            if let Some(panic) = &panic {
                tracing::error!(task.kind = ?kind, panic, "a task panicked");
            }
            if let Some(does) = kind.vital().filter(|_| panic.is_some() || !asked.is_cancelled()) {
                // Of several the first is enough: the daemon ends.
                let _ = lost.set(LostTask { does, name, panic });
            }
        });
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns tasks")]
        match kind {
            TaskKind::Outbox => self.last.spawn(guarded.instrument(span)),
            TaskKind::Chat
            | TaskKind::Supervisor
            | TaskKind::Watch
            | TaskKind::Presence
            | TaskKind::Worker
            | TaskKind::Models
            | TaskKind::ScriptedModel => self.tracker.spawn(guarded.instrument(span)),
        };
    }

    /// Waits until a task has ended that the daemon cannot do without, and that nobody had asked to end.
    pub async fn lost(&self) -> LostTask {
        self.lost.wait().await.clone()
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

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    async fn quiet(tasks: &Tasks) -> bool {
        tasks.tracker.close();
        tasks.tracker.wait().await;
        tasks.lost().now_or_never().is_none()
    }

    #[tokio::test]
    async fn a_task_that_nothing_goes_on_without_is_missed_however_it_ends() {
        for kind in [TaskKind::Chat, TaskKind::Outbox, TaskKind::Supervisor, TaskKind::Watch] {
            let tasks = Tasks::default();
            tasks.spawn(kind, "C1", async { panic!("a bug with a number: {}", 7) });
            let lost = tasks.lost().await.to_string();
            assert!(lost.contains("(`C1`) ended: a bug with a number: 7"), "{lost}");
            let tasks = Tasks::default();
            tasks.spawn(kind, "C1", ready(()));
            let lost = tasks.lost().await.to_string();
            assert!(lost.ends_with("(`C1`) ended"), "{lost}");
        }
    }

    #[tokio::test]
    async fn a_worker_may_end_and_so_may_what_was_asked_to() {
        let tasks = Tasks::default();
        tasks.spawn(TaskKind::Worker, "1.0", async { panic!("of one thread only") });
        assert!(quiet(&tasks).await);
        let tasks = Tasks::default();
        let stop = tasks.stop_token();
        tasks.spawn(TaskKind::Chat, "slack", async move { stop.cancelled().await });
        let end = tasks.end_token();
        tasks.spawn(TaskKind::Outbox, "C1", async move { end.cancelled().await });
        assert!(tasks.shut_down(Duration::from_secs(5)).await);
        assert!(quiet(&tasks).await);
    }
}
