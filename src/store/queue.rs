//! The writes that wait for the store's thread, in two queues: what people did goes before everything else, so that no
//! busy thread delays the chat's acknowledgement. Knows nothing of SQL.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::StoreError;

/// A kind of write: what it is called, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// Its name in logs and in simulations.
    pub(super) label: &'static str,
    /// Whether it must survive a power failure, not only a crash of this process.
    pub(super) durable: bool,
    /// Whether somebody outside waits for it, so that it goes before the others.
    pub(super) first: bool,
}

/// A write that waits.
pub(super) trait Job: Send {
    /// Does it; an error says that what it did must be taken back. May be asked again after that was done.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Answers the caller, when the fate of the transaction is known. A job that failed answers with its own error.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A job in a queue.
pub(super) struct Waiting {
    pub(super) operation: Operation,
    pub(super) job: Box<dyn Job>,
    since: Instant,
}

impl Waiting {
    /// How long it has waited.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// Every so many places of a batch one is for the others, however much intake waits: a flood of messages must not keep
/// the work that they ask for from going on.
const PLACE_FOR_OTHERS: usize = 8;

/// Both queues.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    /// How many transactions were made of what was in it.
    #[cfg(test)]
    pub(super) batches: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct State {
    first: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    /// How many of both are durable.
    durable: usize,
    closed: bool,
}

impl Queue {
    /// Puts a job at the end of its queue.
    pub(super) fn push(&self, operation: Operation, job: Box<dyn Job>) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.durable += usize::from(operation.durable);
        let waiting = Waiting { operation, job, since: Instant::now() };
        if operation.first {
            state.first.push_back(waiting)
        } else {
            state.others.push_back(waiting)
        }
        self.news.notify_one();
        Ok(())
    }

    /// Blocks until something waits. `false`: nothing ever will.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.state();
        while state.is_empty() && !state.closed {
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_empty()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state().is_empty()
    }

    /// Whether something that waits must survive a power failure.
    pub(super) fn wants_durable(&self) -> bool {
        self.state().durable > 0
    }

    /// The next job for this place of a batch, unless it needs more than a batch that is not `durable` gives.
    pub(super) fn next(&self, place: usize, durable: bool) -> Option<Waiting> {
        self.state().pop(place % PLACE_FOR_OTHERS == PLACE_FOR_OTHERS - 1, durable)
    }

    /// Takes all that have waited for `age` or longer, oldest first within each queue.
    pub(super) fn overdue(&self, age: Duration) -> Vec<Waiting> {
        let now = Instant::now();
        let mut state = self.state();
        let mut overdue = Vec::new();
        for others in [false, true] {
            while state.front(others).is_some_and(|waiting| now.duration_since(waiting.since) >= age) {
                overdue.extend(state.take(others));
            }
        }
        overdue
    }

    /// Takes no more. What waits is still done, if there is anybody to do it.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.news.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.others.is_empty()
    }

    fn front(&self, others: bool) -> Option<&Waiting> {
        if others { self.others.front() } else { self.first.front() }
    }

    fn take(&mut self, others: bool) -> Option<Waiting> {
        let waiting = if others { self.others.pop_front() } else { self.first.pop_front() }?;
        self.durable -= usize::from(waiting.operation.durable);
        Some(waiting)
    }

    fn pop(&mut self, others_first: bool, durable: bool) -> Option<Waiting> {
        let others = if others_first { !self.others.is_empty() } else { self.first.is_empty() };
        let fits = self.front(others).is_some_and(|waiting| durable || !waiting.operation.durable);
        if fits { self.take(others) } else { None }
    }
}
