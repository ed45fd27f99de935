//! Group commit: everything that waits goes into one transaction and is made durable by one flush of the disk; then all
//! are answered. A job that fails is taken back alone; when the transaction fails, nothing of it is kept and everyone
//! hears of it.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::StoreError;
use super::queue::{Queue, Waiting};

/// Most jobs of one transaction.
const MOST: usize = 64;

/// When a transaction has taken so long it is committed, whatever else waits: the first in it waits for its end.
const LONGEST: Duration = Duration::from_millis(5);

/// How long one try to begin waits for the lock of another program.
const TRY: Duration = Duration::from_millis(500);

/// How long to rest between tries: not every refusal comes from a wait.
const REST: Duration = Duration::from_millis(20);

/// The connection that writes, and how careful it is at the moment.
pub(super) struct Writer {
    connection: Connection,
    durable: bool,
    /// How long a job waits for the lock of another program.
    patience: Duration,
    /// Whether the operator was told that another program holds the lock.
    told: bool,
}

impl Writer {
    /// A writer over a connection that is opened and migrated.
    pub(super) fn new(connection: Connection, patience: Duration) -> Result<Self, StoreError> {
        connection.busy_timeout(TRY.min(patience))?;
        Ok(Self { connection, durable: false, patience, told: false })
    }

    /// Does what waits, one transaction's worth, and answers. Returns only after it did something, or nothing waits.
    pub(super) fn run(&mut self, queue: &Queue) {
        let durable = queue.wants_durable();
        if !self.begin(durable, queue) {
            return;
        }
        let begun = Instant::now();
        let mut done = Vec::new();
        let mut fate = Ok(());
        // What comes while the transaction runs still goes with it; what people did, before the rest.
        while fate.is_ok() && done.len() < MOST && begun.elapsed() < LONGEST {
            let Some(mut waiting) = queue.next(done.len(), durable) else { break };
            fate = self.step(&mut waiting);
            done.push(waiting);
        }
        #[cfg(test)]
        queue.batches.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fate = fate.and_then(|()| Ok(self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)?));
        if let Err(error) = &fate {
            let jobs = done.len();
            tracing::error!(error = error as &dyn std::error::Error, hint = error.hint(), jobs, "nothing was written");
            self.roll_back();
        }
        for Waiting { job, .. } in done {
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
            let overdue = queue.overdue(if busy { self.patience } else { Duration::ZERO });
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
        Ok(self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?)
    }

    /// Runs one job in a savepoint of its own. An error means that the whole transaction is lost.
    fn step(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        self.execute("SAVEPOINT job")?;
        let failed = waiting.job.run(&self.connection).err();
        if let Some(error) = failed {
            if self.connection.is_autocommit() {
                // A full disk or a failing one makes SQLite itself end the transaction.
                return Err(error);
            }
            self.execute("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")
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
