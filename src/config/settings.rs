//! The validated settings: what the rest of the program sees of the two files. Every value here makes sense.
//!
//! One small struct per area, units in the types. No reading, no checking, no defaults: those are `raw.rs` and `check/`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::agent::Platform;
use crate::ids::{ChannelId, UserId};

pub use super::raw::{JournalPlace, SandboxLevel};

/// What the global file says.
#[derive(Clone, Debug)]
pub struct Global {
    /// The Slack app.
    pub slack: SlackApp,
    /// The server of the chat models.
    pub openrouter: ModelServer,
    /// Who may do what.
    pub access: Access,
    /// What may be spent over all repositories.
    pub limits: GlobalLimits,
    /// How commands are kept apart.
    pub sandbox: Sandbox,
    /// Author and committer of our commits.
    pub author: Author,
    /// Time limits and waiting times.
    pub timing: Timing,
    /// Turns per run.
    pub turns: Turns,
    /// The repositories to serve.
    pub repos: Vec<PathBuf>,
}

/// The Slack app. Both tokens are there when the settings were loaded for Slack.
#[derive(Clone, Debug)]
pub struct SlackApp {
    /// For the Web API.
    pub bot_token: Option<SecretString>,
    /// For Socket Mode.
    pub app_token: Option<SecretString>,
    /// The Web API's address, without a slash at its end.
    pub api_url: String,
}

/// The server of the chat models.
#[derive(Clone, Debug)]
pub struct ModelServer {
    /// Its key; there when the server is openrouter.ai.
    pub api_key: Option<SecretString>,
    /// Its address, without a slash at its end.
    pub base_url: String,
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// People who may use the bot; empty: every member of the channel.
    pub allowed: Vec<UserId>,
    /// People who may approve; empty: everyone who may use the bot.
    pub approvers: Vec<UserId>,
}

/// What may be spent over all repositories.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalLimits {
    /// US dollars per thread.
    pub per_thread_usd: f64,
    /// US dollars per day.
    pub per_day_usd: f64,
    /// Calls that one person may start within an hour.
    pub calls_per_user_per_hour: u32,
    /// Coders at work at the same time.
    pub max_concurrent_threads: u32,
}

/// How commands are kept apart from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The least that must be there.
    pub minimum: SandboxLevel,
    /// Whether commands may run when we are root.
    pub allow_root: bool,
    /// Hosts that commands may reach.
    pub network: Vec<String>,
    /// Absolute paths that commands may read.
    pub read_paths: Vec<PathBuf>,
}

/// An identity in git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}

/// Time limits and waiting times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new thread waits for further messages.
    pub accumulation: Duration,
    /// How long a thread without work stays in memory.
    pub worker_idle: Duration,
    /// How long a model may send nothing.
    pub stall: Duration,
    /// The first wait before a model is asked again.
    pub retry_base: Duration,
    /// How long a failing model is passed over.
    pub breaker: Duration,
    /// How long a graceful stop may take.
    pub stop_grace: Duration,
    /// How often open pull requests are looked at.
    pub poll: Duration,
    /// How long a command may take that names no time itself.
    pub bash_timeout: Duration,
}

/// Turns per run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns {
    /// Of the PM.
    pub pm: u32,
    /// Of the Coder.
    pub coder: u32,
    /// Of the Lead.
    pub lead: u32,
    /// Of a Researcher.
    pub researcher: u32,
}

/// What one repository's file says, tightened by the global one.
#[derive(Clone, Debug)]
pub struct RepoSettings {
    /// The repository, as it was given.
    pub path: PathBuf,
    /// Its channel's id; there when the settings were loaded for Slack.
    pub channel: Option<ChannelId>,
    /// Its channel's name, without `#`.
    pub channel_name: Option<String>,
    /// The models of the roles.
    pub models: Models,
    /// What it may use.
    pub limits: RepoLimits,
    /// Branches and journals.
    pub git: RepoGit,
    /// Shell commands that make a worktree ready; `None`: what the platform needs.
    pub worktree_init: Option<Vec<String>>,
    /// Shell commands whose exit code is the evidence that work is done.
    pub checks: Vec<String>,
}

/// The models of the roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// The PM's default.
    pub pm: String,
    /// The PM's models by name, in the order of the file.
    pub pm_pool: Vec<(String, String)>,
    /// What is tried when the PM's model fails.
    pub pm_fallback: Vec<String>,
    /// The Researcher's.
    pub researcher: String,
    /// The Coder's.
    pub coder: String,
    /// What is tried when the Coder's model fails.
    pub coder_fallback: Vec<String>,
    /// The Lead's.
    pub lead: String,
    /// The Artist's image model.
    pub artist: String,
    /// The chat model that words the Artist's requests.
    pub artist_prompt: String,
}

/// What a repository may use: the smaller of both files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoLimits {
    /// Coders at work at the same time.
    pub max_concurrent_threads: u32,
    /// Calls within an hour.
    pub max_calls_per_hour: u32,
    /// Builds of a platform at the same time.
    pub concurrent_builds: BTreeMap<Platform, u32>,
}

/// Branches and journals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoGit {
    /// The branch that pull requests go to; `None`: the remote's default.
    pub base: Option<String>,
    /// What a thread's branch name begins with.
    pub branch_prefix: String,
    /// Where journals go.
    pub journal: JournalPlace,
}
