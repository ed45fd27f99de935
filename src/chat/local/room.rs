//! The chat's state behind its lock, and the stream of its changes.
//!
//! The lock is held for single operations only and never across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::state::{Change, State};

/// The state that posts, requests and open pages share.
pub struct Room {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

impl Room {
    pub fn new(state: State) -> Self {
        let version = watch::Sender::new(state.version());
        Self { state: Mutex::new(state), version }
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and wakes those who follow it.
    pub fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let out = change(&mut state);
        // Under the lock, so that versions are told in order.
        self.version.send_if_modified(|version| std::mem::replace(version, state.version()) != state.version());
        out
    }

    /// Every change after a version, from then on until `stop`. A slow reader misses only versions of a message that
    /// a newer one has replaced.
    pub fn changes(self: Arc<Self>, after: u64, stop: CancellationToken) -> impl Stream<Item = Change> {
        let version = self.version.subscribe();
        stream::unfold((self, version, after, stop), async |(room, mut version, after, stop)| {
            loop {
                if let Some(change) = room.read(|state| state.change_after(after)) {
                    let after = change.version;
                    return Some((change, (room, version, after, stop)));
                }
                tokio::select! {
                    changed = version.changed() => changed.ok()?,
                    () = stop.cancelled() => return None,
                }
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves at worst one message out; the page can still show the rest.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Microseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}
