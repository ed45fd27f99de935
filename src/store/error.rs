//! Why the store did not do what was asked, typed as far as somebody acts on it, with what a person can do.
//!
//! Cheap to clone: when a transaction fails, everyone whose work was in it hears the same.

use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{ErrorCode, ffi};

use crate::lock::Holder;

/// Why the store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process drives this store.
    #[error("another codebutler ({holder}) already drives {path}")]
    InUse {
        /// The lock file's store.
        path: PathBuf,
        /// Who it is.
        holder: Holder,
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
    /// The folder, the lock file or the copy before a migration could not be made.
    #[error("{path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Arc<std::io::Error>,
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
    /// Somebody else has loaded this thread since; the writer is to stop, without a word.
    #[error("thread {thread} was taken over by another worker")]
    Superseded {
        /// The thread.
        thread: String,
    },
    /// Another program holds a lock on the file, and held it for as long as we wait. Nothing was written.
    #[error("another program holds a lock on the store")]
    Busy(#[source] Arc<rusqlite::Error>),
    /// The disk takes nothing any more. Nothing was written.
    #[error("the disk is full")]
    Full(#[source] Arc<rusqlite::Error>),
    /// An event or a post cannot be read or written as JSON.
    #[error("a stored value is not what it should be")]
    Json(#[source] Arc<serde_json::Error>),
    /// SQLite refused.
    #[error("the database refused")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// One of the store's threads has ended, and with it the store: the process is about to end.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { holder: Holder::Other(pid), .. } => format!("stop the other one first: kill {pid}"),
            Self::InUse { holder: Holder::OwnId(_), .. } => {
                "if two entries of `repos` have the same .codebutler by a link, list one of them; else stop the other \
                 one in the container that it runs in"
                    .to_owned()
            }
            Self::InUse { holder: Holder::Unknown, .. } => {
                "start again in a moment: by then the other one says which process it is".to_owned()
            }
            Self::Newer { .. } => "update codebutler".to_owned(),
            Self::Busy(_) => "close what has store.db open for writing: a database browser, a backup; \
                 `fuser -v .codebutler/store.db` names it"
                .to_owned(),
            Self::Full(_) => {
                "free space on the disk that holds .codebutler/store.db; if there is space, check the disk and the quota"
                    .to_owned()
            }
            Self::Io { .. }
            | Self::Conflict { .. }
            | Self::Superseded { .. }
            | Self::Json(_)
            | Self::Sqlite(_) => "check the disk, and the owner of the file".to_owned(),
            Self::Closed => "start codebutler again; everything goes on from the log".to_owned(),
        }
    }
}

/// A full disk, or a quota, is an IO error when it is met while a file or the log's index grows or is flushed.
const WRITING: [c_int; 6] = [
    ffi::SQLITE_IOERR_WRITE,
    ffi::SQLITE_IOERR_FSYNC,
    ffi::SQLITE_IOERR_DIR_FSYNC,
    ffi::SQLITE_IOERR_SHMOPEN,
    ffi::SQLITE_IOERR_SHMSIZE,
    ffi::SQLITE_IOERR_SHMMAP,
];

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let (code, extended) = (error.sqlite_error_code(), error.sqlite_extended_error_code());
        let error = Arc::new(error);
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Busy(error)
            }
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::SystemIoFailure) if extended.is_some_and(|code| WRITING.contains(&code)) => {
                Self::Full(error)
            }
            _ => Self::Sqlite(error),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_is_told_what_can_be_done() {
        let words = |holder| {
            let error = StoreError::InUse { path: "store.db".into(), holder };
            (error.to_string(), error.hint())
        };
        let told = |who: &str| format!("another codebutler ({who}) already drives store.db");
        assert_eq!(words(Holder::Other(12)), (told("process 12"), "stop the other one first: kill 12".to_owned()));
        let (own, hint) = words(Holder::OwnId(12));
        assert_eq!(own, told("process 12, which is this one's id"));
        assert!(!hint.contains("kill") && hint.contains("list one of them"), "{hint}");
        let (unknown, hint) = words(Holder::Unknown);
        assert_eq!(unknown, told("process not known yet"));
        assert!(!hint.contains("kill") && hint.contains("in a moment"), "{hint}");
    }
}
