//! Runs the repository's checks: on the untouched base before the work, and on the Coder's work after it.
//!
//! A check gets no answer of its own: how it ended is told as it is. On the base nothing is claimed that was not seen.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::tool::{restore, thread_work};
use crate::agent::Role;
use crate::ids::{CommitId, RunId};
use crate::process::Exit;
use crate::runtime::project::Project;
use crate::sandbox::{self, Script, terminal};
use crate::thread::checks::{Baseline, CheckEnd, CheckRun};
use crate::thread::event::Workspace;
use crate::thread::{Command, Thread, evidence};

/// How long one check may take: a cold build beside that of the Coder, on a small machine (README).
const CHECK_TIME: Duration = Duration::from_secs(20 * 60);

/// Bytes of a check's output that are kept, from its end.
const KEPT_BYTES: usize = 512 << 10;

/// Runs the checks once on the commit at which the worktree began, in a checkout of its own that is prepared like it.
/// When it is `cancel`led it ends soon, and tidies up all the same.
pub(super) fn baseline(
    project: Arc<Project>,
    thread: &Thread,
    commit: CommitId,
    commands: Vec<String>,
    cancel: CancellationToken,
) -> impl Future<Output = Command> + use<> {
    let workspace = thread.workspace().cloned();
    // Apart from the home of the Coder's commands, which run at the same time.
    let home = project.home_of(&thread.key).join("base");
    async move {
        let taken = match &workspace {
            Some(workspace) => take(&project, workspace, home, &commands, &cancel).await,
            None => Err("the worktree is gone".to_owned()),
        };
        if let Some(workspace) = &workspace
            && let Err(error) = project.repository.remove_base_checkout(workspace).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the checkout of the base stays for now");
        }
        let (checks, missing) = match taken {
            Ok(checks) => (checks, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        Command::BaselineTaken(Baseline { commit, checks, missing })
    }
}

async fn take(
    project: &Project,
    workspace: &Workspace,
    home: PathBuf,
    commands: &[String],
    cancel: &CancellationToken,
) -> Result<Vec<CheckRun>, String> {
    let root = project.repository.checkout_base(workspace).await.map_err(|error| error.what)?;
    let taken = take_in(project, &root, &home, commands, cancel).await;
    // Nobody else is at work there.
    project.shell.end_leftovers(&root, &home).await;
    taken
}

async fn take_in(
    project: &Project,
    root: &Path,
    home: &Path,
    commands: &[String],
    cancel: &CancellationToken,
) -> Result<Vec<CheckRun>, String> {
    let plan = sandbox::init::plan(root, project.settings.init.as_deref());
    let steps = sandbox::init::run(&*project.shell, root, home, &plan, cancel).await;
    if let Some(step) = steps.iter().find(|step| !step.ok) {
        return Err(format!("preparing a checkout of the base failed at `{}`", step.command));
    }
    let mut checks = Vec::with_capacity(commands.len());
    for command in commands {
        if cancel.is_cancelled() {
            break;
        }
        checks.push(run(project, root, home, command, cancel).await);
    }
    Ok(checks)
}

/// Runs one check on the Coder's work, when there is any.
pub(super) fn check(
    project: Arc<Project>,
    thread: &Thread,
    of: RunId,
    command: String,
    cancel: CancellationToken,
) -> impl Future<Output = Command> + use<> {
    let (key, work) = (thread.key.clone(), thread_work(&project, thread, Role::Coder));
    let (workspace, home) = (thread.workspace().cloned(), project.home_of(&thread.key));
    async move {
        let done = |check| Command::CheckDone { run: of, check };
        let (Some(work), Some(workspace)) = (work, workspace) else {
            return done(Some(not_run(&command, "the worktree is gone")));
        };
        if let Err(error) = restore(&project, &key, &workspace).await {
            return done(Some(not_run(&command, error.what)));
        }
        // Not known counts as work: then the check is run.
        let has_commits = work.git.has_commits().await.unwrap_or(true);
        let has_changes = has_commits || work.git.uncommitted().await.map_or(true, |files| !files.is_empty());
        if !has_changes {
            return done(None);
        }
        let root = project.repository.worktree_path(&workspace);
        // What it leaves running ends before the work is published: the next check may need it.
        done(Some(run(&project, &root, &home, &command, &cancel).await))
    }
}

/// A check that could not be run.
pub(super) fn not_run(command: &str, why: impl Into<String>) -> CheckRun {
    let end = CheckEnd::NotRun { why: why.into().trim_end_matches('.').to_owned() };
    CheckRun { command: command.to_owned(), end, millis: 0, counts: None, output: String::new() }
}

async fn run(project: &Project, root: &Path, home: &Path, command: &str, cancel: &CancellationToken) -> CheckRun {
    let script = Script {
        root: root.to_owned(),
        home: home.to_owned(),
        text: command.to_owned(),
        timeout: CHECK_TIME,
        keep: (0, KEPT_BYTES),
        cancel: cancel.clone(),
    };
    let began = project.clock.now();
    let finished = match project.shell.run(script).await {
        Ok(finished) => finished,
        Err(error) => return not_run(command, error.to_string()),
    };
    let millis = project.clock.now().since(began);
    let end = match finished.exit {
        Exit::Code(code) => CheckEnd::Exit { code },
        Exit::Signal(signal) => CheckEnd::Exit { code: 128 + signal },
        Exit::TimedOut => CheckEnd::TimedOut { seconds: CHECK_TIME.as_secs() },
        Exit::Cancelled => CheckEnd::NotRun { why: "it was stopped".to_owned() },
    };
    // The same words wherever it ran, so that two outputs can be compared.
    let text = terminal::plain(&finished.stdout.text()).replace(&*root.to_string_lossy(), ".");
    let green = end == CheckEnd::Exit { code: 0 };
    let output = if green { String::new() } else { evidence::end_of(&text).to_owned() };
    CheckRun { command: command.to_owned(), end, millis, counts: evidence::counts(&text), output }
}
