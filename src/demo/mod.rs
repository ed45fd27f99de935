//! `codebutler demo`: a sample repository, the real daemon with the local chat page, and a model that is a script.
//!
//! Nothing here is a stand-in for the product: it uses the daemon as the other commands do.

mod sample;

use std::net::SocketAddr;

use secrecy::SecretString;

use crate::config::settings::SandboxLevel;
use crate::daemon::{Failure, unwired};

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

/// Runs the demo until the pull request is merged or the person ends it.
pub fn run(_options: DemoOptions) -> Result<(), Vec<Failure>> {
    Err(unwired())
}
