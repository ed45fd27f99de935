//! A store for simulations: the same SQL on a real file, but each job runs on the calling task, and a hook decides before
//! and after each write whether the process lives on.
//!
//! Every call suspends before it answers, as with the real store, and a look is answered later than a write that came
//! after it: what was read may be old when it is heard.
//!
//! It takes no lock file and never flushes the disk, so that thousands of runs are quick; a [`Disk`] knows what a real one
//! would have flushed, and a power failure leaves only that. A store that has crashed is dead: every later call on any of
//! its handles waits for ever, and its file can be opened again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use rusqlite::Connection;

use super::queue::Operation;
use super::{Store, StoreError, schema};

/// When the hook is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is written yet.
    Before,
    /// It is committed, and the caller does not know yet.
    After,
    /// Something is to be read; only [`Verdict::Fail`] counts.
    Reading,
}

/// What the hook answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Go,
    /// The process dies here: the call never returns.
    Crash,
    /// The write fails as if the disk were full, and nothing is written; a read fails as on a bad disk. After the commit:
    /// all is written, and the caller is told that it failed.
    Fail,
}

/// Asked with the moment, the number of the write (from 1 in each opened store), and the operation's label. A read
/// has no number.
pub type Hook = Box<dyn FnMut(Moment, u64, &'static str) -> Verdict + Send>;

/// The disk under a simulated store: how much of the write-ahead log is on it. Clones are the same disk.
///
/// A commit is there when it, or one after it, was durable; so is all that a life finds when it begins.
#[derive(Clone)]
pub struct Disk {
    store: PathBuf,
    flushed: Arc<AtomicU64>,
}

impl Disk {
    /// The disk that the store with this path lies on.
    pub fn of(store: &Path) -> Self {
        Self { store: store.to_owned(), flushed: Arc::default() }
    }

    fn log(&self) -> PathBuf {
        schema::beside(&self.store, "-wal")
    }

    /// The log as it is now is on the disk.
    fn flush(&self) {
        let length = std::fs::metadata(self.log()).map_or(0, |meta| meta.len());
        self.flushed.store(length, Ordering::Relaxed);
    }

    /// Cuts the power: what was not flushed is gone. No handle may be alive; whether anything was lost.
    pub fn fail(&self) -> std::io::Result<bool> {
        let flushed = self.flushed.load(Ordering::Relaxed);
        let log = match std::fs::OpenOptions::new().write(true).open(self.log()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let lost = log.metadata()?.len() > flushed;
        if lost {
            log.set_len(flushed)?;
        }
        Ok(lost)
    }
}

/// What the handles of a simulated store share.
pub(super) struct Simulated(Mutex<State>);

struct State {
    /// `None` after a crash.
    connection: Option<Connection>,
    hook: Hook,
    writes: u64,
    disk: Disk,
}

impl Store {
    /// Opens a store that runs its work on the calling task, under `hook`, which must not call the store itself.
    pub fn simulated(
        disk: &Disk,
        hook: impl FnMut(Moment, u64, &'static str) -> Verdict + Send + 'static,
    ) -> Result<Self, StoreError> {
        let connection = schema::open_carelessly(&disk.store)?;
        disk.flush();
        let state = State { connection: Some(connection), hook: Box::new(hook), writes: 0, disk: disk.clone() };
        Ok(Self::over(Simulated(Mutex::new(state))))
    }
}

impl Simulated {
    pub(super) async fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let found = self.locked(|state| {
            let connection = state.connection.as_ref()?;
            let fails = (state.hook)(Moment::Reading, 0, "read") == Verdict::Fail;
            Some(if fails { Err(unreadable()) } else { work(connection) })
        });
        suspend(2).await;
        alive(found).await
    }

    pub(super) async fn write<T>(
        &self,
        operation: Operation,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.locked(|state| state.write(operation, work));
        suspend(1).await;
        alive(done).await
    }

    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets everything else that is ready go first, so many times.
async fn suspend(mut turns: u8) {
    std::future::poll_fn(|context| {
        if turns == 0 {
            return Poll::Ready(());
        }
        turns -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The answer; none ever comes from the dead.
async fn alive<T>(answer: Option<T>) -> T {
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

impl State {
    /// `None`: the process died before the caller heard of it.
    fn write<T>(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let connection = self.connection.as_mut()?;
        self.writes += 1;
        match (self.hook)(Moment::Before, self.writes, operation.label) {
            Verdict::Go => {}
            Verdict::Fail => return Some(Err(disk_full())),
            Verdict::Crash => {
                self.connection = None;
                return None;
            }
        }
        let done = transact(connection, work);
        if operation.durable {
            self.disk.flush();
        }
        match (self.hook)(Moment::After, self.writes, operation.label) {
            Verdict::Go => Some(done),
            Verdict::Fail => Some(Err(disk_full())),
            Verdict::Crash => {
                self.connection = None;
                None
            }
        }
    }
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction()?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// The error of a disk that cannot be read, as SQLite words it.
fn unreadable() -> StoreError {
    let code = rusqlite::ffi::Error {
        code: rusqlite::ErrorCode::SystemIoFailure,
        extended_code: rusqlite::ffi::SQLITE_IOERR_READ,
    };
    rusqlite::Error::SqliteFailure(code, None).into()
}

/// The error of a full disk, as SQLite words it.
fn disk_full() -> StoreError {
    let code = rusqlite::ffi::Error { code: rusqlite::ErrorCode::DiskFull, extended_code: rusqlite::ffi::SQLITE_FULL };
    StoreError::Full(Arc::new(rusqlite::Error::SqliteFailure(code, None)))
}
