//! Makes the thread's worktree from the freshly fetched base, and initialises it for its platform.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::git::GitError;
use crate::runtime::project::Project;
use crate::sandbox;
use crate::thread::event::{Failure, Workspace};
use crate::thread::{Command, Thread};

pub(super) fn prepare(project: Arc<Project>, thread: &Thread, title: String) -> impl Future<Output = Command> + use<> {
    let key = thread.key.clone();
    async move {
        let made: Result<Workspace, GitError> = async {
            let base = project.repository.fetch_base(project.settings.base.as_deref()).await?;
            let prefix = &project.settings.branch_prefix;
            project.repository.create_worktree(&key, &title, &base, prefix).await
        }
        .await;
        Command::WorkspacePrepared(made.map_err(Failure::from))
    }
}

/// The commands with which the thread's worktree is initialised; none when there is no worktree.
pub fn init_commands(project: &Project, thread: &Thread) -> Vec<String> {
    let Some(workspace) = thread.workspace() else { return Vec::new() };
    sandbox::init::plan(&project.repository.worktree_path(workspace), project.settings.init.as_deref()).commands
}

pub(super) fn initialise(
    project: Arc<Project>,
    thread: &Thread,
    cancel: CancellationToken,
) -> impl Future<Output = Command> + use<> {
    let workspace = thread.workspace().cloned();
    let home = project.home_of(&thread.key);
    async move {
        let Some(workspace) = workspace else { return Command::WorkspaceInitialised(Vec::new()) };
        let folder = project.repository.worktree_path(&workspace);
        let plan = sandbox::init::plan(&folder, project.settings.init.as_deref());
        if let Err(error) = project.repository.exclude(&plan.makes) {
            tracing::warn!(error = &error as &dyn std::error::Error, "what the initialisation makes is not excluded");
        }
        Command::WorkspaceInitialised(sandbox::init::run(&*project.shell, &folder, &home, &plan, &cancel).await)
    }
}
