//! The store: one SQLite file per repository, driven by one thread of its own. Events with an expected sequence, inbox,
//! sessions, outbox, settings.
//!
//! Everything that belongs to one decision is committed in one transaction (`append`). Knows events only as JSON.

mod actor;
mod blobs;
mod inbox;
mod log;
mod outbox;
mod pulls;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use actor::Store;
pub use inbox::Waiting;
pub use log::{Append, Session};
pub use outbox::DuePost;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process drives this store.
    #[error("another codebutler (process {pid}) already drives {path}")]
    InUse {
        /// The lock file's store.
        path: PathBuf,
        /// What the other process wrote about itself.
        pid: String,
    },
    /// A newer program wrote this store.
    #[error("{path} was written by a newer codebutler (schema {found}, this program knows {known})")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its schema's number.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The folder or lock file could not be made.
    #[error("{path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The log has other events than the writer thought: somebody else wrote this thread.
    #[error("thread {thread} is at event {found}, not at {expected}")]
    Conflict {
        /// The thread.
        thread: String,
        /// Where the writer thought it was.
        expected: u64,
        /// Where it is.
        found: u64,
    },
    /// An event or a post cannot be read or written as JSON.
    #[error("a stored value is not what it should be")]
    Json(#[from] serde_json::Error),
    /// SQLite refused.
    #[error("the database refused")]
    Sqlite(#[from] rusqlite::Error),
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

/// Where a repository's store lies.
pub fn path_in(repository: &Path) -> PathBuf {
    repository.join(".codebutler").join("store.db")
}
