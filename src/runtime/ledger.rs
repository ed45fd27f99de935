//! What all repositories spent lately, in memory: filled from the stores at start, kept up with every commit after that and
//! with what other processes commit, so that limits per day and hour hold over repositories, processes and restarts.

mod others;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use self::others::Others;
use crate::ids::{Millis, ThreadKey};
use crate::offload::offload;
use crate::store::{Store, StoreError};
use crate::thread::spending::{Entry, LOOK_BACK, Spending};

/// The one ledger of a daemon. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ledger {
    known: Arc<Mutex<Arc<Spending>>>,
    /// Nothing of others is known to one that is for a single store.
    others: Option<Arc<Mutex<Others>>>,
}

impl Ledger {
    /// One that counts what other processes with this `$CODEBUTLER_HOME` spend.
    pub fn beside_others(home: &Path) -> Self {
        Self { others: Some(Arc::new(Mutex::new(Others::new(home)))), ..Self::default() }
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Spending> {
        Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a repository for one of this process, with what its store has from lately.
    pub async fn join(&self, repository: &Path, store: &Store, now: Millis) -> Result<(), StoreError> {
        if let Some(others) = self.others.clone() {
            let repository = repository.to_owned();
            offload(move || others.lock().unwrap_or_else(PoisonError::into_inner).join(&repository)).await;
        }
        self.load(store, now).await
    }

    /// Adds what other processes spent meanwhile; does nothing when it was looked a moment ago.
    pub async fn look_at_others(&self, now: Millis) {
        let Some(others) = self.others.clone() else { return };
        // Who cannot have it finds another one looking.
        if !others.try_lock().is_ok_and(|mut others| others.is_due()) {
            return;
        }
        let since = Millis(now.0 - LOOK_BACK);
        let look = move || others.lock().unwrap_or_else(PoisonError::into_inner).look(since);
        for (thread, at, entry) in offload(look).await.unwrap_or_default() {
            self.record(&thread, at, &[entry]);
        }
    }

    /// Adds what a decision of this thread committed.
    pub fn record(&self, thread: &ThreadKey, at: Millis, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        // A std lock: held for one change, never over an await.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let spending = Arc::make_mut(&mut known);
        entries.iter().for_each(|entry| spending.record(thread, at, entry));
    }

    /// Adds what a store has from lately.
    pub async fn load(&self, store: &Store, now: Millis) -> Result<(), StoreError> {
        for (thread, at, entry) in store.spending_since(Millis(now.0 - LOOK_BACK)).await? {
            self.record(&thread, at, &[entry]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Usage;
    use crate::ids::{ChannelId, MessageTs, UserId};
    use crate::store::{Append, Session};

    const HOUR: i64 = 60 * 60 * 1000;

    fn key(channel: &str) -> ThreadKey {
        ThreadKey { workspace: "T1".into(), channel: ChannelId::new(channel), ts: MessageTs::new("1.0") }
    }

    fn call(usd: f64) -> Entry {
        let usage = Usage { calls: 1, cost_usd: usd, ..Usage::default() };
        Entry::Call { role: None, user: Some(UserId::new("ANA")), model: "m".into(), usage }
    }

    async fn spend(store: &Store, ledger: &Ledger, channel: &str, at: i64, usd: f64) {
        let (thread, at, spent) = (key(channel), Millis(at), vec![call(usd)]);
        let epoch = store.lease(&thread).await.expect("leased");
        ledger.record(&thread, at, &spent);
        let (events, posts, acked, session) = (vec![], vec![], vec![], Session::default());
        let append = Append { thread, epoch, expected: 0, at, events, posts, acked, spent, session, durable: false };
        store.append(append).await.expect("appended");
    }

    #[tokio::test]
    async fn a_day_is_one_over_repositories_and_restarts() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = ["one.db", "two.db"].map(|name| Store::open(&folder.path().join(name)).expect("opens"));
        let ledger = Ledger::default();
        // The evening before, an hour into the day, and at its end.
        let times = [23 * HOUR, 25 * HOUR, 47 * HOUR];
        for (number, store) in (1_u8..).zip(&stores) {
            for at in times {
                spend(store, &ledger, &format!("C{number}"), at, f64::from(number)).await;
            }
        }
        let known = ledger.known();
        assert_eq!((known.on(0).cost_usd, known.on(1).cost_usd, known.on(1).calls), (3.0, 6.0, 4));
        assert_eq!(known.of_user_on(&UserId::new("ANA"), 1).cost_usd, 6.0);
        let again = Ledger::default();
        for store in &stores {
            again.load(store, Millis(47 * HOUR + 1)).await.expect("read");
        }
        assert_eq!(again.known().on(1), known.on(1));
    }
}
