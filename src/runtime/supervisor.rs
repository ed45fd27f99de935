//! Routes: wakes the worker of a thread, starts it when there is none. Never reads a message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::project::Project;
use super::tasks::{TaskKind, Tasks};
use super::worker;
use crate::ids::ThreadKey;

/// How long to wait before the store is asked again for the threads that were at work.
const AGAIN: Duration = Duration::from_secs(5);

/// A handle to the one task that knows which workers run.
#[derive(Clone)]
pub struct Supervisor {
    wakes: mpsc::UnboundedSender<Wake>,
}

enum Wake {
    /// This thread has something to do.
    Thread(ThreadKey),
    /// This thread's worker has ended.
    Ended(ThreadKey),
}

/// Tells the supervisor that a worker has ended, also by a panic: a thread that is thought to have one is deaf.
struct Ended {
    thread: ThreadKey,
    supervisor: Supervisor,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.supervisor.wakes.send(Wake::Ended(self.thread.clone()));
    }
}

impl Supervisor {
    /// Starts the supervisor of a project; threads that were at work go on.
    pub fn start(project: Arc<Project>, tasks: &Tasks) -> Self {
        Self::begin(project, tasks, false)
    }

    /// Starts the supervisor of a project in which only what is woken goes on.
    pub fn start_idle(project: Arc<Project>, tasks: &Tasks) -> Self {
        Self::begin(project, tasks, true)
    }

    fn begin(project: Arc<Project>, tasks: &Tasks, idle: bool) -> Self {
        let (wakes, inbox) = mpsc::unbounded_channel();
        let supervisor = Self { wakes };
        let route = route(project, tasks.clone(), supervisor.clone(), inbox, idle);
        tasks.spawn(TaskKind::Supervisor, "supervisor", route);
        supervisor
    }

    /// Wakes a thread. Losing this loses nothing: a worker reads the inbox, which is durable.
    pub fn wake(&self, thread: ThreadKey) {
        let _ = self.wakes.send(Wake::Thread(thread));
    }
}

/// Wakes the threads that were at work. `false`: the store does not say which.
async fn go_on(project: &Project, supervisor: &Supervisor) -> bool {
    match project.store.threads_at_work().await {
        Ok(threads) => {
            threads.into_iter().for_each(|thread| supervisor.wake(thread));
            true
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "which threads were at work cannot be read; trying on");
            false
        }
    }
}

async fn route(
    project: Arc<Project>,
    tasks: Tasks,
    supervisor: Supervisor,
    mut inbox: mpsc::UnboundedReceiver<Wake>,
    idle: bool,
) {
    let mut workers: HashMap<ThreadKey, Arc<Notify>> = HashMap::new();
    let stop = tasks.stop_token();
    let mut gone_on = idle || go_on(&project, &supervisor).await;
    loop {
        let wake = tokio::select! {
            biased;
            wake = inbox.recv() => wake,
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN), if !gone_on => {
                gone_on = go_on(&project, &supervisor).await;
                continue;
            }
        };
        let thread = match wake {
            Some(Wake::Thread(thread)) => thread,
            Some(Wake::Ended(thread)) => {
                workers.remove(&thread);
                // A message may have come between the worker's last look and its end.
                match project.store.waiting(&thread).await {
                    Ok(waiting) if waiting.is_empty() => continue,
                    // Nobody knows: a worker asks again for as long as it takes.
                    Ok(_) | Err(_) => thread,
                }
            }
            None => return,
        };
        let nudge = workers.entry(thread.clone()).or_insert_with(|| {
            let nudge = Arc::new(Notify::new());
            let work = worker::run(Arc::clone(&project), thread.clone(), Arc::clone(&nudge), stop.clone());
            let name = thread.ts.to_string();
            let ended = Ended { thread, supervisor: supervisor.clone() };
            tasks.spawn(TaskKind::Worker, &name, async move {
                let _ended = ended;
                work.await;
            });
            nudge
        });
        nudge.notify_one();
    }
}
