//! The composition root: settings → adapters → projects → chat, and the way down again.
//!
//! Prints nothing; problems at start come back all together, and readiness is told to the caller. Until it is ready a
//! daemon has taken nothing on, so that it can be stopped there at any moment.

mod life;
mod local;
mod open;
mod projects;
mod slack;
pub mod terminal;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::settings::SandboxLevel;
use crate::config::{self, Global, Need, Settings};
use crate::ids::ChannelId;
use crate::llm::ChatModel;
use crate::llm::openrouter::{OpenRouter, OpenRouterOptions};
use crate::lock::slack_app::AppInUse;
use crate::sandbox;
use crate::store::StoreError;

pub use local::{LocalSetup, serve_local};
pub use slack::serve_slack;

/// Why a command does not do what it was asked to, for the one who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl From<config::Problem> for Failure {
    fn from(problem: config::Problem) -> Self {
        Self::new(problem.to_string(), problem.fix)
    }
}

impl From<AppInUse> for Failure {
    fn from(problem: AppInUse) -> Self {
        let hint = problem.hint();
        Self::new(problem.to_string(), hint)
    }
}

impl Failure {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }

    /// Work was not begun any more.
    fn stopping() -> Self {
        Self::new("codebutler is stopping", "start it again")
    }
}

/// A repository that is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its channel.
    pub channel: ChannelId,
    /// Its root.
    pub repository: PathBuf,
}

/// What went beside the start without keeping it back.
pub type Notice = String;

/// What went wrong with a store, for people.
pub fn store_problem(error: &StoreError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(format!("{error}{cause}"), error.hint())
}

fn load(home: &Path, repos: &[PathBuf], need: Need) -> Result<Settings, Vec<Failure>> {
    config::load(home, repos, need, &config::process_env)
        .map_err(|problems| problems.into_iter().map(Failure::from).collect())
}

/// Said as long as the kernel does not hold what the settings ask for. Nothing is refused for it before that level is
/// built.
fn sandbox_notice(global: &Global) -> Option<Notice> {
    let wanted = global.sandbox.minimum;
    let level = sandbox::Level::available();
    let held = match wanted {
        SandboxLevel::None => true,
        SandboxLevel::Reduced => level >= sandbox::Level::Reduced,
        SandboxLevel::Full => level >= sandbox::Level::Full,
    };
    (!held).then(|| format!("warning: sandbox level {level}; sandbox.minimum asks for more and does not hold yet"))
}

fn model(global: &Global) -> Result<Arc<dyn ChatModel>, Vec<Failure>> {
    let server = &global.openrouter;
    let options = OpenRouterOptions {
        stall: global.timing.stall,
        retry_base: global.timing.retry_base,
        breaker: global.timing.breaker,
        ..OpenRouterOptions::new(server.base_url.clone(), server.api_key.clone())
    };
    match OpenRouter::new(options) {
        Ok(model) => Ok(Arc::new(model)),
        Err(error) => {
            let what = format!("no connection to a model service is possible: {error}");
            Err(vec![Failure::new(what, "check openrouter.baseUrl and the system's certificates")])
        }
    }
}
