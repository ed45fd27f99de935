//! The composition root: from the command line's wishes and the settings to a running daemon.
//!
//! What each command wants is a value here; `cli/` makes it and puts failures into words. Each function blocks until
//! its command is done and builds its own async runtime, so that `--help` and `--version` never pay for one.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Problem;

/// `codebutler run`.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// `CODEBUTLER_HOME`.
    pub home: PathBuf,
    /// The repositories named on the command line, or the one around the working directory.
    pub repos: Vec<PathBuf>,
}

/// `codebutler chat`.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// `CODEBUTLER_HOME`.
    pub home: PathBuf,
    /// The repository.
    pub repo: PathBuf,
    /// Where the page listens; `None`: a free loopback port.
    pub listen: Option<SocketAddr>,
}

/// Why a command did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { what: problem.to_string(), hint: problem.fix }
    }
}

/// Runs the daemon for Slack until it is told to stop.
pub fn run(_options: RunOptions) -> Result<(), Vec<Failure>> {
    Err(unwired())
}

/// Runs the daemon with the local chat page until it is told to stop.
pub fn chat(_options: ChatOptions) -> Result<(), Vec<Failure>> {
    Err(unwired())
}

/// Stands where a command's body goes.
pub fn unwired() -> Vec<Failure> {
    vec![Failure { what: "this command is not wired yet".into(), hint: "wire it in src/daemon.rs".into() }]
}
