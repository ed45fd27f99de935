//! The composition root: from the command line's wishes and the settings to a running daemon.
//!
//! What each command wants is a value here; `cli/` makes it and puts failures into words. Each function blocks until
//! its command is done and builds its own async runtime, so that `--help` and `--version` never pay for one.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::config::Problem;
use crate::config::settings::SandboxLevel;

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

/// `codebutler demo`.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Plays the user too, prints the conversation, ends after the merge.
    pub auto: bool,
    /// Where the page listens; `None`: a free loopback port.
    pub listen: Option<SocketAddr>,
    /// Keeps the sample repository.
    pub keep: bool,
    /// Who answers.
    pub model: DemoModel,
    /// The sandbox level that a person chose.
    pub sandbox: Option<SandboxLevel>,
}

/// Who answers in the demo.
#[derive(Clone, Debug)]
pub enum DemoModel {
    /// The script.
    Scripted,
    /// OpenRouter.
    OpenRouter {
        /// Its key.
        api_key: SecretString,
        /// The model of every role; `None`: each role's default.
        model: Option<String>,
    },
    /// Another OpenAI-compatible server, without a key.
    Server {
        /// Its address, without a slash at its end.
        base_url: String,
        /// The model of every role.
        model: String,
    },
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

/// Runs the demo until the pull request is merged or the person ends it.
pub fn demo(_options: DemoOptions) -> Result<(), Vec<Failure>> {
    Err(unwired())
}

fn unwired() -> Vec<Failure> {
    vec![Failure { what: "this command is not wired yet".into(), hint: "wire it in src/daemon.rs".into() }]
}
