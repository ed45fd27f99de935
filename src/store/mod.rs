//! The store: one SQLite file per repository, driven by threads of its own. Events with an expected sequence, inbox,
//! sessions, outbox, settings.
//!
//! Everything that belongs to one decision is committed in one transaction (`append`). Knows events only as JSON.

mod actor;
mod batch;
mod blobs;
mod catch_up;
mod error;
mod inbox;
mod life;
mod log;
mod outbox;
mod outputs;
mod presence;
mod pulls;
mod queue;
mod reader;
mod schema;
#[cfg(test)]
pub mod simulated;
mod spending;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use actor::Store;
pub use catch_up::Standing;
pub use error::StoreError;
pub use inbox::Waiting;
pub use life::Gone;
pub use log::{Append, Session};
pub use outbox::{Ask, Due, DuePost, Lane, Shown, Turn};
pub use reader::{Reader, StoredEvent, ThreadRow};

/// Where a repository's store lies.
pub fn path_in(repository: &Path) -> PathBuf {
    repository.join(".codebutler").join("store.db")
}
