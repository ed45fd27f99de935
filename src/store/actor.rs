//! The handle to the store and the two threads behind it: one writes, in batches; one reads, so that a long look never
//! delays a write and a lock on the file never stops a look.
//!
//! A write is answered after its commit, so that whoever waited for it sees it in every later read.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::batch::{Limits, Writer};
use super::life::{Gone, Life};
use super::queue::{Job, Operation, Queue};
use super::{StoreError, schema};
use crate::lock::{self, Refused};

/// How long work waits for the lock of another program before it fails: longer than a backup of a store takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one transaction may take while more work comes.
const LONGEST: Duration = Duration::from_millis(8);

/// A handle to the store. Cheap to clone; the store closes when the last one is gone.
#[derive(Clone)]
pub struct Store {
    driver: Driver,
}

/// Who runs the work.
#[derive(Clone)]
enum Driver {
    /// Threads of its own.
    Threads(Arc<Threads>),
    /// The calling task, step by step under a test's hand.
    #[cfg(test)]
    Simulated(Arc<super::simulated::Simulated>),
}

/// The ways to both threads; they end when this is gone.
struct Threads {
    writes: Arc<Queue>,
    reads: mpsc::Sender<Look>,
    life: Life,
}

type Look = Box<dyn FnOnce(&Connection) + Send>;

impl Store {
    /// Opens the store, alone: a second process is refused.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_for(path, Limits { patience: PATIENCE, longest: LONGEST })
    }

    /// Opens the store with other limits on what its writes may take.
    pub(super) fn open_for(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { path: path.to_owned(), source: Arc::new(source) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        // Held as long as one of the threads is there; another process sees it and keeps away.
        let lock = Arc::new(lock_file(path)?);
        let mut writer = Writer::new(schema::open(path)?, limits)?;
        let reader = schema::open_to_read(path)?;
        let writes = Arc::new(Queue::default());
        let (reads, looks) = mpsc::channel::<Look>();
        let queue = Closing(Arc::clone(&writes));
        let write = move || {
            while queue.0.wait() {
                writer.run(&queue.0);
            }
        };
        let read = move || {
            while let Ok(look) = looks.recv() {
                look(&reader);
            }
        };
        let life = Life::new();
        life.spawn("store", Arc::clone(&lock), write).map_err(io)?;
        life.spawn("store-reader", lock, read).map_err(io)?;
        Ok(Self { driver: Driver::Threads(Arc::new(Threads { writes, reads, life })) })
    }

    #[cfg(test)]
    pub(super) fn over(simulated: super::simulated::Simulated) -> Self {
        Self { driver: Driver::Simulated(Arc::new(simulated)) }
    }

    /// Waits until one of the store's threads has ended under it: from then on what needs that thread is refused as
    /// closed, for ever. What fails only once, such as on a full disk, is no such end.
    pub async fn closed(&self) -> Gone {
        match &self.driver {
            Driver::Threads(threads) => threads.life.ended().await,
            #[cfg(test)]
            Driver::Simulated(_) => std::future::pending().await,
        }
    }

    /// How many transactions there were.
    #[cfg(test)]
    pub(super) fn batches(&self) -> usize {
        match &self.driver {
            Driver::Threads(threads) => threads.writes.batches.load(std::sync::atomic::Ordering::Relaxed),
            Driver::Simulated(_) => 0,
        }
    }

    /// Looks something up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.driver {
            Driver::Threads(threads) => threads.read(work).await,
            #[cfg(test)]
            Driver::Simulated(simulated) => simulated.read(work).await,
        }
    }

    /// Changes something: all that `work` does or, when it fails, nothing. `work` may be run again after what it did was
    /// taken back.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.driver {
            Driver::Threads(threads) => threads.write(operation, work).await,
            #[cfg(test)]
            Driver::Simulated(simulated) => simulated.write(operation, work).await,
        }
    }
}

impl Threads {
    async fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |connection| {
            let _ = answer.send(patiently(|| work(connection)));
        });
        self.reads.send(look).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writes.push(operation, Box::new(Write { work, result: None, answer }))?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.writes.close();
    }
}

/// Closes the queue also when the thread panics, so that nobody waits for an answer that never comes.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        self.0.overdue(Duration::ZERO);
    }
}

/// A write and the one who waits for it.
struct Write<T, F> {
    work: F,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Connection) -> Result<T, StoreError> + Send> Job for Write<T, F> {
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let result = (self.work)(connection);
        let failed = result.as_ref().map(drop).map_err(StoreError::clone);
        self.result = Some(result);
        failed
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.result, committed) {
            (Some(Err(own)), _) | (_, Err(own)) => Err(own),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // Nobody waits any more when the asking task was cancelled; the work is done all the same.
        let _ = self.answer.send(answer);
    }
}

/// Looks again as long as another program holds the lock: it seldom does so against readers.
fn patiently<T>(mut work: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let begun = Instant::now();
    loop {
        match work() {
            Err(StoreError::Busy(_)) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
}

/// Takes the lock file beside the store.
fn lock_file(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io = |source| StoreError::Io { path: name.clone().into(), source: Arc::new(source) };
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&name).map_err(io)?;
    lock::hold(Path::new(&name), file).map_err(|refused| match refused {
        Refused::Held(holder) => StoreError::InUse { path: path.to_owned(), holder },
        Refused::Io(source) => io(source),
    })
}
