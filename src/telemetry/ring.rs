//! The last lines of the log in memory, for those who look while the daemon runs.
//!
//! One per process, as the log itself is. The lock is held to push or copy a few lines, never over anything that waits.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::record::Record;

/// How many records are kept.
const KEEP: usize = 2_000;

/// The memory of this process.
pub(super) static RING: Ring = Ring::new();

/// A record that was kept, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Counts the records since the start, from 1.
    pub seq: u64,
    /// The record.
    pub record: Record,
}

/// Which records to give.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only those of this thread.
    pub thread: Option<String>,
    /// The first ones after this number; `None`: the last ones.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// What the log of this process has kept, oldest first.
pub fn recent(query: &Query) -> Vec<Kept> {
    RING.read(query)
}

/// The last records.
pub(super) struct Ring(Mutex<Records>);

struct Records {
    last: u64,
    kept: VecDeque<Kept>,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Records { last: 0, kept: VecDeque::new() }))
    }

    /// Keeps a record; the oldest goes when there are too many.
    pub(super) fn push(&self, record: Record) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.last += 1;
        let seq = records.last;
        if records.kept.len() == KEEP {
            records.kept.pop_front();
        }
        records.kept.push_back(Kept { seq, record });
    }

    pub(super) fn read(&self, query: &Query) -> Vec<Kept> {
        let Query { thread, after, limit } = query;
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |kept: &&Kept| {
            thread.as_ref().is_none_or(|thread| kept.record.thread.as_ref() == Some(thread))
                && after.is_none_or(|after| kept.seq > after)
        };
        let fitting = records.kept.iter().filter(fits);
        if after.is_some() {
            return fitting.take(*limit).cloned().collect();
        }
        let mut last: Vec<Kept> = fitting.rev().take(*limit).cloned().collect();
        last.reverse();
        last
    }
}

#[cfg(test)]
mod tests {
    use super::{KEEP, Query, Ring};
    use crate::telemetry::record::Record;

    fn numbers(ring: &Ring, thread: Option<&str>, after: Option<u64>, limit: usize) -> Vec<u64> {
        let query = Query { thread: thread.map(str::to_owned), after, limit };
        ring.read(&query).iter().map(|kept| kept.seq).collect()
    }

    #[test]
    fn the_last_records_are_kept_and_read_by_thread_from_either_end() {
        let ring = Ring::new();
        for number in 1..=KEEP + 10 {
            let thread = Some(if number % 2 == 0 { "even" } else { "odd" }.to_owned());
            ring.push(Record { time: String::new(), tag: "INF", severity: 6, thread, text: number.to_string() });
        }
        assert_eq!(numbers(&ring, None, None, 3), [2008, 2009, 2010]);
        assert_eq!(numbers(&ring, Some("even"), None, 2), [2008, 2010]);
        assert_eq!(numbers(&ring, None, Some(0), 2), [11, 12], "the first ten are gone");
        assert_eq!(numbers(&ring, Some("odd"), Some(2005), 9), [2007, 2009]);
        assert_eq!(numbers(&ring, None, Some(2010), 9), [0; 0]);
        assert_eq!(numbers(&ring, Some("other"), None, 9), [0; 0]);
    }
}
