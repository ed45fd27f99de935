//! The composition root: settings → adapters → projects → chat, and the way down again.
//!
//! Prints nothing; problems at start come back all together, and readiness is told to the caller.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::agent::Role;
use crate::chat::local::{LocalChat, LocalOptions, LogLine, LogQuery, LogReader, Restored};
use crate::chat::slack::{SlackChat, SlackOptions, SlackTiming};
use crate::chat::{Chat, Incoming, IncomingKind};
use crate::config::settings::{Author, SandboxLevel, Timing};
use crate::config::{self, Global, Need, RepoSettings, Settings};
use crate::forge::local::Upstream;
use crate::forge::{Forge, GitHub, Local};
use crate::git::Repository;
use crate::ids::{ChannelId, Millis};
use crate::llm::ChatModel;
use crate::llm::openrouter::{OpenRouter, OpenRouterOptions};
use crate::lock::{self, AppInUse};
use crate::offload::offload;
use crate::runtime::intake::Routes;
use crate::runtime::outbox;
use crate::runtime::project::{ChannelModels, Project, ProjectSettings};
use crate::runtime::slots::Slots;
use crate::runtime::tasks::TaskKind;
use crate::runtime::upstream::GitRemote;
use crate::runtime::watch;
use crate::runtime::{Clock, Supervisor, Tasks};
use crate::store::{self, Store, StoreError};
use crate::thread::Rules;
use crate::{process, sandbox, telemetry, tools};

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

/// Serves every configured repository in Slack until `shutdown`.
pub async fn serve_slack(
    home: &Path,
    repos: &[PathBuf],
    on_notice: impl Fn(&Notice),
    on_ready: impl Fn(&[Served]) + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Vec<Failure>> {
    let Settings { global, repos } = load(home, repos, Need::Slack)?;
    if repos.is_empty() {
        let hint = "list it in `repos` of the global config.json, name it with --repo PATH, or go into it";
        return Err(vec![Failure::new("there is no repository to serve", hint)]);
    }
    let (Some(bot_token), Some(app_token)) = (global.slack.bot_token.clone(), global.slack.app_token.clone()) else {
        return Err(vec![Failure::new("the Slack tokens are missing", "run `codebutler config check`")]);
    };
    // Before anything is opened: beside another daemon nothing else matters.
    let _alone = lock::for_slack_app(home, &global.slack.api_url, &app_token).map_err(|error| vec![error.into()])?;
    let mut problems = Vec::new();
    let mut opened = Vec::new();
    for repo in repos {
        match Opened::open(&repo, &global.author).await {
            Ok(one) => opened.push((repo, one)),
            Err(problem) => problems.push(problem),
        }
    }
    let channels: Vec<(ChannelId, String)> =
        opened.iter().filter_map(|(repo, _)| Some((repo.channel.clone()?, channel_name(repo)))).collect();
    let timing = SlackTiming { retry_base: global.timing.retry_base, ..SlackTiming::default() };
    let options = SlackOptions { bot_token, app_token, api_url: global.slack.api_url.clone(), timing };
    let slack = match SlackChat::start(options, &channels).await {
        Ok(slack) => Some(slack),
        Err(of_slack) => {
            problems.extend(of_slack.into_iter().map(|problem| Failure::new(problem.what, problem.hint)));
            None
        }
    };
    let (Some(slack), true) = (slack, problems.is_empty()) else { return Err(problems) };
    let tasks = Tasks::default();
    let model = model(&global)?;
    sandbox_notice(&global).iter().for_each(&on_notice);
    let chat: Arc<dyn Chat> = Arc::new(slack.clone());
    let slots = Slots::default();
    let mut routes = Vec::new();
    let mut served = Vec::new();
    for (repo, one) in opened {
        let Some(channel) = repo.channel.clone() else { continue };
        served.push(Served { channel: channel.clone(), repository: one.repository.root().to_owned() });
        let name = channel_name(&repo);
        one.notices.iter().for_each(&on_notice);
        let settings = project_settings(home, &global, &repo, false);
        let project = one.project(&channel, Arc::clone(&chat), Arc::clone(&model), settings, slots.clone()).await?;
        routes.push((channel, name, project));
    }
    let routes = start_projects(routes, &tasks);
    let stop = tasks.stop_token();
    tasks.spawn(TaskKind::Chat, "slack", async move {
        slack.run(Arc::new(routes), move || on_ready(&served), stop).await;
    });
    shutdown.await;
    shut_down(tasks, &global.timing).await;
    Ok(())
}

/// What the local chat serves.
#[derive(Clone, Debug)]
pub struct LocalSetup {
    /// Where our own files lie.
    pub home: PathBuf,
    /// The repository.
    pub repository: PathBuf,
    /// Where the page listens.
    pub listen: SocketAddr,
    /// What the page says on top.
    pub notice: Option<String>,
}

/// Serves one repository on the local page until `shutdown`. `on_ready` gets the page's address.
pub async fn serve_local(
    setup: LocalSetup,
    tasks: Tasks,
    on_notice: impl Fn(&Notice),
    on_ready: impl FnOnce(&Served, &str),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Vec<Failure>> {
    let LocalSetup { home, repository, listen, notice } = setup;
    let Settings { global, repos } = load(&home, std::slice::from_ref(&repository), Need::Local)?;
    // The global file may list other repositories; the local page serves the one it was asked for.
    let Some(repo) = repos.into_iter().next() else {
        return Err(vec![Failure::new("there is no repository to serve", "name one with --repo PATH")]);
    };
    let one = Opened::open(&repo, &global.author).await.map_err(|problem| vec![problem])?;
    one.notices.iter().for_each(&on_notice);
    sandbox_notice(&global).iter().for_each(&on_notice);
    let channel = ChannelId::new("local");
    let name = one.repository.root().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let log: Arc<dyn LogReader> = Arc::new(OwnLog);
    let options = LocalOptions { listen, token: None, title: name.clone(), notice, channel: channel.clone(), log };
    let restored = restored(&one.store).await.map_err(|error| vec![store_problem(&error)])?;
    let local = LocalChat::bind(options, restored).map_err(|error| {
        vec![Failure::new(
            format!("the page cannot listen on {listen}: {error}"),
            "choose another address with --listen 127.0.0.1:PORT",
        )]
    })?;
    let local = Arc::new(local);
    let model = model(&global)?;
    let settings = project_settings(&home, &global, &repo, true);
    let chat: Arc<dyn Chat> = Arc::clone(&local) as Arc<dyn Chat>;
    let served = Served { channel: channel.clone(), repository: one.repository.root().to_owned() };
    let project = one.project(&channel, chat, model, settings, Slots::default()).await?;
    let routes = start_projects(vec![(channel, name, project)], &tasks);
    let stop = tasks.stop_token();
    let page = Arc::clone(&local);
    tasks.spawn(TaskKind::Chat, "page", async move {
        if let Err(error) = page.serve(Arc::new(routes), stop).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the page ended");
        }
    });
    on_ready(&served, &local.url());
    shutdown.await;
    shut_down(tasks, &global.timing).await;
    Ok(())
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

fn channel_name(repo: &RepoSettings) -> String {
    repo.channel_name.clone().or_else(|| repo.channel.as_ref().map(ToString::to_string)).unwrap_or_default()
}

/// A repository with its store, before it is known which chat serves it.
struct Opened {
    repository: Repository,
    forge: Arc<dyn Forge>,
    store: Store,
    notices: Vec<Notice>,
}

impl Opened {
    async fn open(repo: &RepoSettings, author: &Author) -> Result<Self, Failure> {
        let path = repo.path.clone();
        let repository = Repository::open(&path).map_err(|error| Failure::new(error.what, error.hint))?;
        let root = repository.root().to_owned();
        let seeded = config::seed::seed(&root).map_err(|error| {
            Failure::new(
                format!("{} cannot be written: {}", error.path.display(), error.source),
                "check the folder's owner and permissions",
            )
        })?;
        let mut notices = Vec::new();
        if !seeded.is_empty() {
            notices.push(format!("wrote {} default files below {}", seeded.len(), root.join(".codebutler").display()));
        }
        let store = Store::open(&store::path_in(&root)).map_err(|error| store_problem(&error))?;
        // Only we drive this repository now: what still works for it was left by one that was killed.
        let left = repository.clone();
        let is_left = move |orphan: &process::Orphan| {
            // In the checkout run git and gh. What they put into a session of its own is to stay, for the user.
            left.is_of_worktrees(&orphan.folder) || (orphan.folder == left.root() && !orphan.own_session)
        };
        let ended = offload(move || process::end_orphans(is_left)).await.unwrap_or_default();
        if ended > 0 {
            notices.push(format!("ended {ended} programs that an earlier run had left behind in {}", root.display()));
        }
        let forge = forge_of(&repository, author);
        Ok(Self { repository, forge, store, notices })
    }

    async fn project(
        self,
        channel: &ChannelId,
        chat: Arc<dyn Chat>,
        model: Arc<dyn ChatModel>,
        settings: ProjectSettings,
        slots: Slots,
    ) -> Result<Arc<Project>, Vec<Failure>> {
        let channel_models = ChannelModels::load(&self.store, channel).await;
        Ok(Arc::new(Project {
            store: self.store,
            outbox_changed: Arc::new(Notify::new()),
            chat,
            model,
            repository: Arc::new(self.repository),
            shell: Arc::new(sandbox::HostShell),
            forge: self.forge,
            pulls_asked: Arc::new(Notify::new()),
            settings,
            clock: Clock::system(),
            channel_models: channel_models.map_err(|error| vec![store_problem(&error)])?,
            slots,
        }))
    }
}

/// GitHub when the remote is there, else our own records.
fn forge_of(repository: &Repository, author: &Author) -> Arc<dyn Forge> {
    let root = repository.root().to_owned();
    if let Some(github) = repository.remote().and_then(|remote| GitHub::detect(&remote.url, root.clone())) {
        return Arc::new(github);
    }
    let upstream = repository.remote().map(|_| Arc::new(GitRemote(repository.clone())) as Arc<dyn Upstream>);
    let author = (author.name.clone(), author.email.clone());
    Arc::new(Local::new(root, repository.common_dir().to_owned(), author, upstream))
}

/// What went wrong with a store, for people.
pub fn store_problem(error: &StoreError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(format!("{error}{cause}"), error.hint())
}

fn model(global: &Global) -> Result<Arc<dyn ChatModel>, Vec<Failure>> {
    let server = &global.openrouter;
    let options = OpenRouterOptions {
        stall: global.timing.stall,
        retry_base: global.timing.retry_base,
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

fn project_settings(home: &Path, global: &Global, repo: &RepoSettings, slash: bool) -> ProjectSettings {
    let lists: Vec<(Role, String)> = Role::ALL.into_iter().map(|role| (role, tools::table::tool_list(role))).collect();
    ProjectSettings {
        home: home.to_owned(),
        accumulation: global.timing.accumulation,
        poll: global.timing.poll,
        worker_idle: global.timing.worker_idle,
        stop_grace: global.timing.stop_grace,
        coders_in_all: global.limits.max_concurrent_threads,
        coders: repo.limits.max_concurrent_threads,
        builds: repo.limits.concurrent_builds.clone(),
        bash_timeout: global.timing.bash_timeout,
        rules: Rules {
            allowed: global.access.allowed.clone(),
            approvers: global.access.approvers.clone(),
            pm_pool: repo.models.pm_pool.clone(),
            pm_model: repo.models.pm.clone(),
            coder_model: repo.models.coder.clone(),
            pm_turns: global.turns.pm,
            coder_turns: global.turns.coder,
            checks: repo.checks.clone(),
            tool_lists: lists.into(),
            slash,
            now: Millis::default(),
        },
        base: repo.git.base.clone(),
        branch_prefix: repo.git.branch_prefix.clone(),
        author: global.author.to_string(),
        init: repo.worktree_init.clone(),
    }
}

/// Starts supervisors, watches and senders.
fn start_projects(projects: Vec<(ChannelId, String, Arc<Project>)>, tasks: &Tasks) -> Routes {
    let started = projects.into_iter().map(|(channel, name, project)| {
        let supervisor = Supervisor::start(Arc::clone(&project), tasks);
        let watching = watch::watch(Arc::clone(&project), supervisor.clone(), tasks.stop_token());
        tasks.spawn(TaskKind::Watch, channel.as_str(), watching);
        let changed = Arc::clone(&project.outbox_changed);
        let sender = outbox::send(project.store.clone(), Arc::clone(&project.chat), changed, tasks.end_token());
        tasks.spawn(TaskKind::Outbox, channel.as_str(), sender);
        (channel, name, project, supervisor)
    });
    Routes::new(started.collect::<Vec<_>>())
}

/// The log of this process, for the page.
#[derive(Debug)]
struct OwnLog;

impl LogReader for OwnLog {
    fn read(&self, query: &LogQuery) -> Vec<LogLine> {
        let LogQuery { thread, after, limit } = query.clone();
        let kept = telemetry::recent(&telemetry::Query { thread, after, limit }).into_iter();
        kept.map(|telemetry::Kept { seq, record }| LogLine {
            seq,
            time: record.time,
            tag: record.tag.to_owned(),
            thread: record.thread,
            text: record.text,
        })
        .collect()
    }
}

/// What the local page showed before it was stopped.
async fn restored(store: &Store) -> Result<Vec<Restored>, StoreError> {
    let mut restored = Vec::new();
    for Incoming { thread, what, .. } in store.written().await? {
        if let IncomingKind::Message { ts, text, .. } = what {
            restored.push(Restored::Said { thread, ts, text });
        }
    }
    for row in store.sent_posts().await? {
        restored.push(Restored::Posted { thread: row.thread, key: row.key, ts: row.ts, post: row.post });
    }
    Ok(restored)
}

async fn shut_down(tasks: Tasks, timing: &Timing) {
    tracing::info!(
        "stopping: nothing new is taken, what is under way comes to its end; a second signal ends it at once"
    );
    // Beyond the grace of the tools, what is left is ended with the process; the log has everything.
    if !tasks.shut_down(timing.stop_grace + Duration::from_secs(1)).await {
        tracing::warn!("some tasks did not end in time");
    }
}
