//! The one thread that owns the connection; others hand it work and wait for the answer.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{StoreError, schema};

type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// A handle to the store. Cheap to clone; the store closes when the last one is gone.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
}

/// The connection, and how careful it is at the moment.
pub(super) struct Database {
    pub(super) connection: Connection,
    durable: bool,
    /// Held as long as the store is open; another process sees it and keeps away.
    _lock: File,
}

impl Store {
    /// Opens the store, alone: a second process is refused.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { path: path.to_owned(), source };
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
        Ok(Self { jobs })
    }

    /// Runs `work` on the store's thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |database| {
            // Nobody waits any more when the asking task was cancelled; the work is done all the same.
            let _ = answer.send(work(database));
        });
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Database {
    /// Makes the next transactions survive a power failure, or only a crash of this process, which is cheaper.
    pub(super) fn durable(&mut self, durable: bool) -> Result<(), StoreError> {
        if self.durable != durable {
            self.connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
            self.durable = durable;
        }
        Ok(())
    }
}

/// Takes the lock file beside the store and writes our process id into it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io = |source| StoreError::Io { path: name.clone().into(), source };
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
