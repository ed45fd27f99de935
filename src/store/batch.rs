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
        let mut batch = Vec::new();
        if !self.begin(durable, queue, &mut batch) {
            return;
        }
        let begun = Instant::now();
        let mut fate = Ok(Ran::Well);
        // What comes while the transaction runs still goes with it; what people did, before the rest.
        while matches!(fate, Ok(Ran::Well)) && batch.len() < MOST && begun.elapsed() < self.limits.longest {
            let Some(mut waiting) = queue.next(batch.len(), durable) else { break };
            fate = self.step(&mut waiting);
            batch.push(waiting);
        }
        let fate = match fate {
            Ok(Ran::Well) => Ok(()),
            Ok(Ran::Half) => self.again(&mut batch, durable, queue),
            Err(error) => Err(error),
        };
        if batch.is_empty() {
            // All have given up waiting for the second transaction.
            return self.roll_back();
        }
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

    /// Begins a transaction for those in the queue and those `taken` off it. While another program holds the lock it
    /// waits, with those that have waited too long told so. `false`: there is nobody left to do it for.
    fn begin(&mut self, durable: bool, queue: &Queue, taken: &mut Vec<Waiting>) -> bool {
        loop {
            let error = match self.try_begin(durable) {
                Ok(()) => {
                    self.told = false;
                    return true;
                }
                Err(error) => error,
            };
            let busy = matches!(error, StoreError::Busy(_));
            let patience = if busy { self.limits.patience } else { Duration::ZERO };
            let overdue = taken.extract_if(.., |waiting| waiting.age() >= patience);
            let overdue: Vec<Waiting> = overdue.chain(queue.overdue(patience)).collect();
            if !self.told || !busy {
                tracing::error!(error = &error as &dyn std::error::Error, hint = error.hint(), "writing has to wait");
                self.told = true;
            }
            for Waiting { operation, job, .. } in overdue {
                tracing::warn!(store.operation = operation.label, "given up");
                job.answer(Err(error.clone()));
            }
            if queue.is_empty() && taken.is_empty() {
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
    fn again(&mut self, batch: &mut Vec<Waiting>, durable: bool, queue: &Queue) -> Result<(), StoreError> {
        self.roll_back();
        // Another program may have been waiting for the lock that was just let go of.
        if !self.begin(durable, queue, batch) {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::store::queue::{Job, Operation};

    const WRITE: Operation = Operation { label: "write", durable: false, first: false };

    /// Keeps a name, and tells its fate.
    struct Keep(&'static str, mpsc::Sender<bool>);

    impl Job for Keep {
        fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
            Ok(connection.execute("INSERT INTO kept VALUES (?1)", [self.0]).map(drop)?)
        }

        fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
            self.1.send(committed.is_ok()).expect("the test listens");
        }
    }

    /// How often a writer was refused the lock, over all tests here.
    static REFUSED: AtomicUsize = AtomicUsize::new(0);

    fn refused(_: i32) -> bool {
        REFUSED.fetch_add(1, Ordering::SeqCst);
        false
    }

    /// A batch that must be run once more while another program holds the lock, which lets go of it when `is_time`, and
    /// at the latest when that was tried. Gives what each was told, and how many are kept.
    fn again(patience: Duration, is_time: impl Fn() -> bool + Send) -> (Vec<bool>, i64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let connection = Connection::open(&path).expect("opens");
        connection.execute_batch("CREATE TABLE kept (name TEXT)").expect("made");
        let other = Connection::open(&path).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
        let mut writer = Writer::new(connection, Limits { patience, longest: Duration::MAX }).expect("a writer");
        writer.connection.busy_handler(Some(refused)).expect("set");
        let (told, fates) = mpsc::channel();
        let queue = Queue::default();
        for name in ["one", "two"] {
            queue.push(WRITE, Box::new(Keep(name, told.clone()))).expect("it is open");
        }
        let mut batch: Vec<Waiting> = (0..2).filter_map(|place| queue.next(place, false)).collect();
        let tried = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let tried = &tried;
            scope.spawn(move || {
                while !is_time() && !tried.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                other.execute_batch("ROLLBACK").expect("released");
                other
            });
            writer.again(&mut batch, false, &queue).expect("it is begun, or nobody waits");
            tried.store(true, Ordering::SeqCst);
        });
        if !batch.is_empty() {
            writer.execute("COMMIT").expect("committed");
        }
        drop(told);
        batch.into_iter().for_each(|waiting| waiting.job.answer(Ok(())));
        let kept = writer.connection.query_one("SELECT count(*) FROM kept", [], |row| row.get(0)).expect("counted");
        (fates.iter().collect(), kept)
    }

    #[test]
    fn a_second_transaction_waits_for_the_lock_as_long_as_the_first_does() {
        let (fates, kept) = again(Duration::from_secs(60), || REFUSED.load(Ordering::SeqCst) >= 3);
        assert_eq!((fates, kept), (vec![true, true], 2));
    }

    #[test]
    fn who_has_waited_too_long_for_a_second_transaction_is_told() {
        let (fates, kept) = again(Duration::ZERO, || false);
        assert_eq!((fates, kept), (vec![false, false], 0));
    }
}
