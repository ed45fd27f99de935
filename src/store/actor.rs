//! The one thread that owns the connection; others hand it work and wait for the answer.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, mpsc};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{StoreError, schema};

type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// A handle to the store. Cheap to clone; the store closes when the last one is gone.
#[derive(Clone)]
pub struct Store {
    driver: Driver,
}

/// Who runs the work.
#[derive(Clone)]
enum Driver {
    /// A thread of its own.
    Thread(mpsc::Sender<Job>),
    /// The calling task, step by step under a test's hand.
    #[cfg(test)]
    Simulated(Arc<super::simulated::Simulated>),
}

/// A kind of write: what it is called, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// Its name in logs and in simulations.
    pub(super) label: &'static str,
    /// Whether it must survive a power failure, not only a crash of this process.
    pub(super) durable: bool,
}

/// The connection, and how careful it is at the moment.
pub(super) struct Database {
    connection: Connection,
    durable: bool,
    /// Held as long as the store is open; another process sees it and keeps away.
    _lock: File,
}

impl Store {
    /// Opens the store, alone: a second process is refused.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { path: path.to_owned(), source: Arc::new(source) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let lock = lock(path)?;
        let connection = schema::open(path)?;
        let mut database = Database { connection, durable: false, _lock: lock };
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Ok(job) = inbox.recv() {
                    job(&mut database);
                }
            })
            .map_err(io)?;
        Ok(Self { driver: Driver::Thread(jobs) })
    }

    #[cfg(test)]
    pub(super) fn over(simulated: super::simulated::Simulated) -> Self {
        Self { driver: Driver::Simulated(Arc::new(simulated)) }
    }

    /// Looks something up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.driver {
            Driver::Thread(jobs) => run(jobs, move |database| work(&database.connection)).await,
            #[cfg(test)]
            Driver::Simulated(simulated) => simulated.read(work).await,
        }
    }

    /// Changes something: all that `work` does or, when it fails, nothing.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.driver {
            Driver::Thread(jobs) => run(jobs, move |database| database.write(operation, work)).await,
            #[cfg(test)]
            Driver::Simulated(simulated) => simulated.write(operation, work).await,
        }
    }
}

async fn run<T: Send + 'static>(
    jobs: &mpsc::Sender<Job>,
    work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |database| {
        // Nobody waits any more when the asking task was cancelled; the work is done all the same.
        let _ = answer.send(work(database));
    });
    jobs.send(job).map_err(|_| StoreError::Closed)?;
    answered.await.map_err(|_| StoreError::Closed)?
}

impl Database {
    fn write<T>(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.durable != operation.durable {
            self.connection.pragma_update(None, "synchronous", if operation.durable { "FULL" } else { "NORMAL" })?;
            self.durable = operation.durable;
        }
        let transaction = self.connection.transaction()?;
        let done = work(&transaction)?;
        transaction.commit()?;
        tracing::trace!(store.operation = operation.label, "written");
        Ok(done)
    }
}

/// Takes the lock file beside the store and writes our process id into it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io = |source| StoreError::Io { path: name.clone().into(), source: Arc::new(source) };
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(io)?;
            write!(file, "{}", std::process::id()).map_err(io)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            Err(StoreError::InUse { path: path.to_owned(), pid })
        }
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}
