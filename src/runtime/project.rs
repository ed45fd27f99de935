//! Everything that serves one repository: its store, chat, model, git, forge, settings. Built by the daemon, shared by the
//! workers of its threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::Clock;
use super::ledger::Ledger;
use super::models::Models;
use super::presence::Board;
use super::slots::Slots;
use super::witness::Witness;
use crate::agent::{Platform, Role};
use crate::chat::Chat;
use crate::forge::Forge;
use crate::git::Git;
use crate::ids::{ChannelId, ThreadKey};
use crate::llm::ChatModel;
use crate::sandbox::Shell;
use crate::store::{Store, StoreError};
use crate::thread::Rules;

/// One repository at work.
pub struct Project {
    /// Its store.
    pub store: Store,
    /// Notified when the outbox has something new.
    pub outbox_changed: Arc<Notify>,
    /// What goes on in its threads, for the chat to show in a way of its own.
    pub presence: Arc<Board>,
    /// Where its people are.
    pub chat: Arc<dyn Chat>,
    /// Its models.
    pub model: Arc<dyn ChatModel>,
    /// What is known of them; one for all repositories.
    pub models: Models,
    /// What was spent lately; one for all repositories.
    pub ledger: Ledger,
    /// Its git repository.
    pub repository: Arc<dyn Git>,
    /// Where commands in its worktrees run.
    pub shell: Arc<dyn Shell>,
    /// Its pull requests.
    pub forge: Arc<dyn Forge>,
    /// Notified when the pull requests are to be looked at now, not only when it is their time.
    pub pulls_asked: Arc<Notify>,
    /// How it is set up.
    pub settings: ProjectSettings,
    /// The time.
    pub clock: Clock,
    /// The PM's model that people chose for a channel, by its name in the pool.
    pub channel_models: ChannelModels,
    /// Who may work at the same time; one for all repositories.
    pub slots: Slots,
    /// Who is told what is committed.
    pub witness: Witness,
}

/// How a repository is set up, as far as its threads need it.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// Where snapshots and private homes lie.
    pub home: PathBuf,
    /// How long a fresh thread waits for more messages.
    pub accumulation: Duration,
    /// The time between two looks at the pull requests.
    pub poll: Duration,
    /// How long a worker stays without work.
    pub worker_idle: Duration,
    /// How long tools under way may take when the daemon stops.
    pub stop_grace: Duration,
    /// Coders at work at the same time, over all repositories.
    pub coders_in_all: u32,
    /// The same in this repository.
    pub coders: u32,
    /// Builds of a platform at the same time, where the configuration says.
    pub builds: BTreeMap<Platform, u32>,
    /// How long a command may run when the model says nothing.
    pub bash_timeout: Duration,
    /// The rules of decisions, but for the moment and a channel's own model.
    pub rules: Rules,
    /// The branch to work from; `None` = the remote's default.
    pub base: Option<String>,
    /// What the names of our branches begin with.
    pub branch_prefix: String,
    /// Author of our commits, `Name <mail>`.
    pub author: String,
    /// Commands that initialise a worktree; `None` = by platform.
    pub init: Option<Vec<String>>,
    /// What is asked when the PM's model fails.
    pub pm_fallback: Vec<String>,
    /// What is asked when the Coder's model fails.
    pub coder_fallback: Vec<String>,
}

impl ProjectSettings {
    /// What is asked when a role's model fails.
    pub fn fallback(&self, role: Role) -> &[String] {
        match role {
            Role::Pm => &self.pm_fallback,
            Role::Coder => &self.coder_fallback,
            Role::Researcher | Role::Artist | Role::Lead => &[],
        }
    }
}

impl Project {
    /// The private folder that commands of a thread see as their home.
    pub fn home_of(&self, thread: &ThreadKey) -> PathBuf {
        self.settings.home.join("homes").join(thread.to_text().replace(['/', '.'], "-"))
    }

    /// The rules of a decision made now.
    pub fn rules(&self, channel: &ChannelId) -> Rules {
        let (spending, models) = (self.ledger.known(), self.models.known());
        let mut rules = Rules { now: self.clock.now(), spending, models, ..self.settings.rules.clone() };
        if let Some(model) = self.channel_models.get(channel).and_then(|name| self.slug(&name)) {
            rules.pm_model = model;
        }
        rules
    }

    /// The slug of a name in the PM's pool.
    fn slug(&self, name: &str) -> Option<String> {
        let wanted = name.to_lowercase();
        self.settings
            .rules
            .pm_pool
            .iter()
            .find(|(known, _)| known.to_lowercase() == wanted)
            .map(|(_, slug)| slug.clone())
    }

    /// Sets the PM's model for new threads of a channel; answers in words.
    pub async fn choose_channel_model(&self, channel: &ChannelId, name: &str) -> Result<String, StoreError> {
        let names: Vec<&str> = self.settings.rules.pm_pool.iter().map(|(name, _)| name.as_str()).collect();
        let Some(model) = self.slug(name) else {
            return Ok(format!("There is no `{name}` in the PM's pool. It has: {}.", names.join(", ")));
        };
        self.store.set_setting(&ChannelModels::key(channel), name).await?;
        self.channel_models.set(channel, name);
        Ok(format!("The PM uses {name} ({model}) in this channel by default. In a thread, type `!pm {name}`."))
    }
}

/// The PM's default model per channel, read at start and written through to the store.
#[derive(Debug, Default)]
pub struct ChannelModels(Mutex<BTreeMap<ChannelId, String>>);

impl ChannelModels {
    /// Reads what was chosen for a channel.
    pub async fn load(store: &Store, channel: &ChannelId) -> Result<Self, StoreError> {
        let models = Self::default();
        if let Some(name) = store.setting(&Self::key(channel)).await? {
            models.set(channel, &name);
        }
        Ok(models)
    }

    fn key(channel: &ChannelId) -> String {
        format!("pm_model/{channel}")
    }

    fn get(&self, channel: &ChannelId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(channel).cloned()
    }

    fn set(&self, channel: &ChannelId, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(channel.clone(), name.to_owned());
    }
}
