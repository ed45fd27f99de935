//! One piece of work at a time on a worktree: whatever changes its files, its index or its branch through git holds it.
//!
//! A stop drops the future that awaits such work, and the half of it that blocks goes on. So the hold moves into that
//! half, and what comes next waits for the one that nobody awaits any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::{GitError, Repository};

/// How long work on a worktree is waited for. Far more than any takes; a disk that hangs must not hang all that follows.
const WAIT: Duration = Duration::from_secs(300);

/// The locks of the worktrees, by slug. Held by nobody else at once; always taken before the one for making worktrees.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// A worktree, held until this is dropped.
pub(super) type Hold = OwnedMutexGuard<()>;

impl Repository {
    /// Waits until nothing else is at work on the worktree, and holds it. Never taken twice by one piece of work.
    pub(super) async fn hold(&self, slug: &str) -> Result<Hold, GitError> {
        let lock = {
            let mut locks = self.0.holds.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody has or wants those.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(slug.to_owned()).or_default())
        };
        tokio::time::timeout(WAIT, lock.lock_owned()).await.map_err(|_| {
            GitError::new(
                format!("Other work on the worktree `{slug}` does not come to its end."),
                "Look whether its disk answers; then `!retry`, or restart codebutler.",
            )
        })
    }
}
