//! The shell port: a script runs to its end somewhere and tells its output and how it ended.
//!
//! Today's only implementation runs it with the daemon's own rights; the kernel's layers will stand behind the same port.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::process::{Finished, ProcessError};

/// Where scripts run.
#[async_trait]
pub trait Shell: Send + Sync {
    /// Runs a script to its end, both output streams merged into `stdout`. Its process group ends with it, also when the
    /// future is dropped; what put itself into a session of its own lives on until the daemon's next start.
    async fn run(&self, script: Script) -> Result<Finished, ShellError>;
}

/// A script to be run.
#[derive(Clone, Debug)]
pub struct Script {
    /// The folder that it begins in: a thread's worktree.
    pub root: PathBuf,
    /// The private folder that it sees as its home; made when it is not there.
    pub home: PathBuf,
    /// What is run, for bash where there is one.
    pub text: String,
    /// After this time it is killed with all it started.
    pub timeout: Duration,
    /// How many bytes of its output are kept from the beginning and from the end.
    pub keep: (usize, usize),
    /// When this is cancelled it is killed with all it started.
    pub cancel: CancellationToken,
}

/// Why a script was not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// Its private home could not be made.
    #[error("its home could not be made ({0})")]
    Home(#[source] std::io::Error),
    /// The shell could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Runs scripts with the daemon's own rights.
pub struct HostShell;

#[async_trait]
impl Shell for HostShell {
    async fn run(&self, script: Script) -> Result<Finished, ShellError> {
        let Script { root, home, text, timeout, keep: (head, tail), cancel } = script;
        let program = super::command(&root, &home, &text).map_err(ShellError::Home)?;
        Ok(Box::pin(program.timeout(timeout).keep(head, tail).cancelled_by(cancel).merged()).await?)
    }
}
