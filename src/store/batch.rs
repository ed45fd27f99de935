//! Group commit: everything that waits goes into one transaction and is made durable by one flush of the disk; then all
//! are answered. A job that fails is taken back alone; when the transaction fails, nothing of it is kept and everyone
//! hears of it.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::StoreError;
use super::queue::{Queue, Waiting};

/// Most jobs of one transaction.
const MOST: usize = 256;

/// How long one try to begin waits for the lock of another program.
const TRY: Duration = Duration::from_millis(500);

/// How long to rest between tries: not every refusal comes from a wait.
const REST: Duration = Duration::from_millis(20);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long a job waits for the lock of another program.
    pub(super) patience: Duration,
    /// When a transaction has taken so long it is committed, whatever else waits: the first in it waits for its end.
    pub(super) longest: Duration,
}

/// The connection that writes, and how careful it is at the moment.
pub(super) struct Writer {
    connection: Connection,
    durable: bool,
    limits: Limits,
    /// Whether the operator was told that another program holds the lock.
    told: bool,
}

/// How a job ran.
enum Ran {
    /// It did what it should, or nothing.
    Well,
    /// It failed and has changed something, which must be taken back.
    Half,
}

impl Writer {
    /// A writer over a connection that is opened and migrated.
    pub(super) fn new(connection: Connection, limits: Limits) -> Result<Self, StoreError> {
        connection.busy_timeout(TRY.min(limits.patience))?;
        Ok(Self { connection, durable: false, limits, told: false })
    }

    /// Does what waits, one transaction's worth, and answers. Returns only after it did something, or nothing waits.
    pub(super) fn run(&mut self, queue: &Queue) {
        let durable = queue.wants_durable();
        if !self.begin(durable, queue) {
            return;
        }
        let begun = Instant::now();
        let mut batch = Vec::new();
        let mut fate = Ok(Ran::Well);
        // What comes while the transaction runs still goes with it; what people did, before the rest.
        while matches!(fate, Ok(Ran::Well)) && batch.len() < MOST && begun.elapsed() < self.limits.longest {
            let Some(mut waiting) = queue.next(batch.len(), durable) else { break };
            fate = self.step(&mut waiting);
            batch.push(waiting);
        }
        let fate = match fate {
            Ok(Ran::Well) => Ok(()),
            Ok(Ran::Half) => self.again(&mut batch),
            Err(error) => Err(error),
        };
        #[cfg(test)]
        queue.batches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let fate = fate.and_then(|()| self.execute("COMMIT"));
        if let Err(error) = &fate {
            let jobs = batch.len();
            tracing::error!(error = error as &dyn std::error::Error, hint = error.hint(), jobs, "nothing was written");
            self.roll_back();
        }
        for Waiting { job, .. } in batch {
            job.answer(fate.clone());
        }
    }

    /// Begins a transaction. While another program holds the lock it waits, with those that have waited too long told
    /// so. `false`: there is nobody left to do it for.
    fn begin(&mut self, durable: bool, queue: &Queue) -> bool {
        loop {
            let error = match self.try_begin(durable) {
                Ok(()) => {
                    self.told = false;
                    return true;
                }
                Err(error) => error,
            };
            let busy = matches!(error, StoreError::Busy(_));
            let overdue = queue.overdue(if busy { self.limits.patience } else { Duration::ZERO });
            if !self.told || !busy {
                tracing::error!(error = &error as &dyn std::error::Error, hint = error.hint(), "writing has to wait");
                self.told = true;
            }
            for Waiting { operation, job, .. } in overdue {
                tracing::warn!(store.operation = operation.label, "given up");
                job.answer(Err(error.clone()));
            }
            if queue.is_empty() {
                return false;
            }
            std::thread::sleep(REST);
        }
    }

    fn try_begin(&mut self, durable: bool) -> Result<(), StoreError> {
        if self.durable != durable {
            // Not possible within a transaction, which is why a batch has one care for all.
            self.connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
            self.durable = durable;
        }
        // The lock is taken here and not by the first write, so that nothing is half done when it cannot be had.
        self.execute("BEGIN IMMEDIATE")
    }

    /// Runs one job. An error means that the whole transaction is lost.
    fn step(&self, waiting: &mut Waiting) -> Result<Ran, StoreError> {
        let before = self.connection.total_changes();
        match waiting.job.run(&self.connection) {
            Ok(()) => Ok(Ran::Well),
            // A full disk or a failing one makes SQLite itself end the transaction.
            Err(error) if self.connection.is_autocommit() => Err(error),
            Err(_) if self.connection.total_changes() == before => Ok(Ran::Well),
            Err(_) => Ok(Ran::Half),
        }
    }

    /// Runs the whole batch once more, each job in a savepoint. Not so from the start: savepoints take as long as the
    /// jobs themselves, and a job that fails nearly always does so before it has changed anything.
    fn again(&self, batch: &mut [Waiting]) -> Result<(), StoreError> {
        self.execute("ROLLBACK")?;
        self.execute("BEGIN IMMEDIATE")?;
        for waiting in batch {
            self.execute("SAVEPOINT job")?;
            if let Ran::Half = self.step(waiting)? {
                self.execute("ROLLBACK TO job")?;
            }
            self.execute("RELEASE job")?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.connection.prepare_cached(sql)?.execute([]).map(drop)?)
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the transaction could not be taken back");
        }
    }
}
