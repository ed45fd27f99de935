//! Projects at work: how each is set up, and the tasks that serve it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::Role;
use crate::config::{Global, RepoSettings};
use crate::ids::{ChannelId, Millis};
use crate::runtime::intake::Routes;
use crate::runtime::project::{Project, ProjectSettings};
use crate::runtime::tasks::TaskKind;
use crate::runtime::{Supervisor, Tasks, outbox, presence, watch};
use crate::store::{self, Store};
use crate::thread::Rules;
use crate::thread::budget::Caps;
use crate::tools;

/// A project that is ready to be served.
pub(super) struct Ready {
    pub(super) channel: ChannelId,
    /// The channel's name.
    pub(super) name: String,
    pub(super) root: PathBuf,
    pub(super) project: Arc<Project>,
}

impl Ready {
    /// Its store, by its path.
    pub(super) fn store(&self) -> (PathBuf, Store) {
        (store::path_in(&self.root), self.project.store.clone())
    }
}

/// How a repository's threads are served. `slash`: commands may begin with a slash, too.
pub(super) fn settings(home: &Path, global: &Global, repo: &RepoSettings, slash: bool) -> ProjectSettings {
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
            caps: Caps {
                thread_usd: Some(global.limits.per_thread_usd),
                day_usd: Some(global.limits.per_day_usd),
                user_runs: Some(global.limits.calls_per_user_per_hour),
                repo_runs: Some(repo.limits.max_calls_per_hour),
            },
            spending: Arc::default(),
            models: Arc::default(),
            similar: Vec::new(),
            checks: repo.checks.clone(),
            tool_lists: lists.into(),
            slash,
            now: Millis::default(),
            unseen: false,
        },
        base: repo.git.base.clone(),
        branch_prefix: repo.git.branch_prefix.clone(),
        author: global.author.to_string(),
        init: repo.worktree_init.clone(),
        pm_fallback: repo.models.pm_fallback.clone(),
        coder_fallback: repo.models.coder_fallback.clone(),
    }
}

/// Serves a project for one thread alone: what else is in its store is left as it is.
pub(super) fn serve_alone(Ready { channel, name, project, .. }: Ready, tasks: &Tasks) -> Routes {
    let supervisor = Supervisor::start_idle(Arc::clone(&project), tasks);
    let keeping = project.models.clone().keep(Arc::clone(&project.model), tasks.stop_token());
    tasks.spawn(TaskKind::Models, "models", keeping);
    let changed = Arc::clone(&project.outbox_changed);
    let sender = outbox::send(project.store.clone(), Arc::clone(&project.chat), changed, tasks.end_token());
    tasks.spawn(TaskKind::Outbox, channel.as_str(), sender);
    Routes::new([(channel, name, project, supervisor)])
}

/// Starts supervisors, watches and senders, and what keeps the list of models.
pub(super) fn serve(projects: Vec<Ready>, tasks: &Tasks) -> Routes {
    // One server and one list for all of them.
    if let Some(Ready { project, .. }) = projects.first() {
        let keeping = project.models.clone().keep(Arc::clone(&project.model), tasks.stop_token());
        tasks.spawn(TaskKind::Models, "models", keeping);
    }
    let started = projects.into_iter().map(|Ready { channel, name, project, .. }| {
        let supervisor = Supervisor::start(Arc::clone(&project), tasks);
        let watching = watch::watch(Arc::clone(&project), supervisor.clone(), tasks.stop_token());
        tasks.spawn(TaskKind::Watch, channel.as_str(), watching);
        let changed = Arc::clone(&project.outbox_changed);
        let sender = outbox::send(project.store.clone(), Arc::clone(&project.chat), changed, tasks.end_token());
        tasks.spawn(TaskKind::Outbox, channel.as_str(), sender);
        let (board, chat) = (Arc::clone(&project.presence), Arc::clone(&project.chat));
        let showing = presence::show(board, project.store.clone(), chat, tasks.stop_token());
        tasks.spawn(TaskKind::Presence, channel.as_str(), showing);
        (channel, name, project, supervisor)
    });
    Routes::new(started.collect::<Vec<_>>())
}
