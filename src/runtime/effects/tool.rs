//! One tool call: the role's place and context are put together, the tool runs, its result comes back.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context;
use super::outputs::{self, Kept};
use crate::agent::output::Caps;
use crate::agent::{Role, ToolCall, ToolName};
use crate::git::{Author, BranchGit, Condition, GitError, View};
use crate::ids::{CommitId, RunId, ThreadKey};
use crate::render::progress::argument;
use crate::runtime::kit::{Kit, KnownFilesSlot, PlaceSlot};
use crate::runtime::project::Project;
use crate::sandbox;
use crate::thread::command::Deed;
use crate::thread::event::{Event, ToolResult, Workspace};
use crate::thread::plan::code_list;
use crate::thread::{Command, Thread};
use crate::tools::workspace::Access;
use crate::tools::{self, Place, ThreadWork, ToolContext, ToolError, ToolOutput};

/// Which call.
pub(super) struct Call {
    pub(super) run: RunId,
    pub(super) role: Role,
    pub(super) tool: ToolName,
    pub(super) call: ToolCall,
}

pub(super) fn run(
    project: Arc<Project>,
    thread: &Thread,
    kit: &mut Kit,
    call: Call,
    cancel: CancellationToken,
) -> impl Future<Output = Command> + use<> {
    let Call { run, role, tool, call } = call;
    let caps = caps(&project, thread, run);
    let known = thread.conversations.get(&role).map(|state| state.known_files.clone()).unwrap_or_default();
    let bench = Bench {
        thread: thread.key.clone(),
        role,
        place: kit.place(role),
        known_files: kit.known_files(role),
        known,
        work: thread_work(&project, thread, role),
        workspace: thread.workspace().cloned(),
        commit: thread.base.as_ref().map(|base| base.commit.clone()),
        home: project.home_of(&thread.key),
        caps,
    };
    // Only a command of a run that seems to change nothing is worth the look.
    let doubted = tool == ToolName::Bash && thread.run(run).is_some_and(|(_, run)| run.watch.doubts());
    let git = bench.work.as_ref().filter(|_| doubted).map(|work| Arc::clone(&work.git));
    async move {
        let key = bench.thread.clone();
        let before = fingerprint(git.as_deref()).await;
        let ended = bench.run(&project, tool, &call.arguments, cancel).await;
        let (output, error) = match ended {
            Ok(output) => (output, false),
            Err(ToolError::ForModel(text)) => (ToolOutput::text(text), true),
        };
        let ToolOutput { text, wrote, exit, mut deeds } = output;
        let (text, kept) = outputs::fit(&project, &key, (role, tool, &call.id), caps, text).await;
        deeds.extend(kept);
        if before.is_some() && before != fingerprint(git.as_deref()).await {
            deeds.push(Deed::Touched);
        }
        Command::ToolDone { run, call: call.id, result: ToolResult { text, error, wrote, exit }, deeds }
    }
}

async fn fingerprint(git: Option<&dyn BranchGit>) -> Option<u64> {
    git?.fingerprint().await.ok()
}

/// How much of a result this run's model is shown.
fn caps(project: &Project, thread: &Thread, run: RunId) -> Caps {
    let model = thread.run(run).map_or("", |(_, run)| run.model.as_str());
    Caps::for_context(context::context(project, thread, model).tokens)
}

/// What a call needs of its thread.
struct Bench {
    thread: ThreadKey,
    role: Role,
    place: PlaceSlot,
    known_files: KnownFilesSlot,
    /// What the log says that this role knows.
    known: Arc<std::collections::BTreeSet<String>>,
    work: Option<ThreadWork>,
    workspace: Option<Arc<Workspace>>,
    commit: Option<CommitId>,
    home: std::path::PathBuf,
    caps: Caps,
}

impl Bench {
    async fn run(
        self,
        project: &Project,
        tool: ToolName,
        arguments: &str,
        cancel: CancellationToken,
    ) -> Result<ToolOutput, ToolError> {
        let place = self.place(project).await?;
        let known_files = self.known_files.get_or_fill(&place, &self.known);
        let outputs = Arc::new(Kept { store: project.store.clone(), thread: self.thread, role: self.role });
        let work = self.work.ok_or_else(|| ToolError::for_model("The code is not ready yet; try again."))?;
        let context = ToolContext {
            place,
            known_files,
            cancel,
            bash_timeout: project.settings.bash_timeout,
            home: self.home,
            shell: Arc::clone(&project.shell),
            work: Arc::new(work),
            caps: self.caps,
            outputs,
        };
        match tools::table::tool(tool) {
            Some(tool) => tool.run(&context, arguments).await,
            None => Err(ToolError::for_model(format!("`{tool}` cannot be run here."))),
        }
    }

    /// The Coder works in the worktree; everybody else reads the snapshot of the base commit.
    async fn place(&self, project: &Project) -> Result<Arc<Place>, ToolError> {
        let broken = |error: GitError| ToolError::for_model(format!("{} {}", error.what, error.hint));
        if let (Some(workspace), Role::Coder) = (&self.workspace, self.role)
            && let Some(lost) = restore(project, &self.thread, workspace).await.map_err(broken)?
        {
            let commands =
                sandbox::init::plan(&project.repository.worktree_path(workspace), project.settings.init.as_deref())
                    .commands;
            return Err(lost_worktree(&lost, &commands));
        }
        self.place
            .get_or_open(|| async {
                match (&self.workspace, self.role, &self.commit) {
                    (Some(workspace), Role::Coder, _) => {
                        Ok((project.repository.worktree_path(workspace), Access::Write))
                    }
                    (_, _, Some(commit)) => {
                        let snapshot = project.repository.snapshot(commit, &project.settings.home).await;
                        Ok((snapshot.map_err(broken)?, Access::Read))
                    }
                    (_, _, None) => Err(ToolError::for_model("The code is not ready yet; try again.")),
                }
            })
            .await
    }
}

/// Brings a thread's worktree into order when something of it is missing; the commit it was made again from, when its
/// files were gone.
pub(super) async fn restore(
    project: &Project,
    thread: &ThreadKey,
    workspace: &Workspace,
) -> Result<Option<CommitId>, GitError> {
    if project.repository.is_whole(workspace) {
        return Ok(None);
    }
    let condition = project.repository.restore_worktree(thread, workspace).await?;
    tracing::warn!(thread.ts = %thread, ?condition, "something of the worktree was missing");
    Ok(match condition {
        Condition::Whole => None,
        Condition::Lost(head) => Some(head),
    })
}

/// What the Coder reads in place of a result.
fn lost_worktree(head: &CommitId, commands: &[String]) -> ToolError {
    let again = match commands {
        [] => String::new(),
        commands => format!(" Dependencies are gone too; they are installed with {}.", code_list(commands)),
    };
    ToolError::for_model(format!(
        "Nothing was done: the worktree was missing, as if someone had deleted it. It was made again from the branch's \
         last commit, `{}`. Uncommitted changes are gone.{again} Read the files again before you go on.",
        head.short()
    ))
}

/// Gets commands ready whose release is just being written down: they begin only when it is.
pub fn prepare(project: &Project, thread: &Thread, events: &[Event]) {
    let Some(workspace) = thread.workspace() else { return };
    let released = events.iter().filter_map(|event| match event {
        Event::ToolsStarted { run, calls } => Some((thread.run(*run)?.1, calls)),
        _ => None,
    });
    let open = released.flat_map(|(run, calls)| calls.iter().filter_map(|call| run.open_call(call)));
    for call in open.filter(|call| call.tool == Some(ToolName::Bash)) {
        if let Some(command) = argument(&call.call.arguments, "command") {
            let root = project.repository.worktree_path(workspace);
            project.shell.prepare(&root, &project.home_of(&thread.key), &command);
        }
    }
}

/// Git and pull request as this role sees them: the worktree for the Coder once there is one, else the base commit.
pub(super) fn thread_work(project: &Project, thread: &Thread, role: Role) -> Option<ThreadWork> {
    let author = Author::parse(&project.settings.author)?;
    let requested_by = requested_by(thread);
    let view = match (thread.workspace(), role, &thread.base) {
        (Some(workspace), Role::Coder, _) => View::Worktree(Arc::clone(workspace)),
        (_, _, Some(base)) => View::Base(base.commit.clone()),
        (_, _, None) => return None,
    };
    let git = project.repository.at(view, author, requested_by);
    let (forge, pull) = (Arc::clone(&project.forge), thread.pull.clone());
    Some(ThreadWork { git, forge, pull, footer: footer(project, thread) })
}

/// `Ana (U123)`: who opened the thread.
fn requested_by(thread: &Thread) -> String {
    match &thread.opened_by {
        Some(user) => format!("{} ({user})", thread.name_of(user)),
        None => "nobody".to_owned(),
    }
}

/// What stands below the body of every pull request: where it came from and who asked.
fn footer(project: &Project, thread: &Thread) -> String {
    let origin = match project.chat.permalink(&thread.key) {
        Some(link) => format!("[Slack thread]({link})"),
        None => "local thread".to_owned(),
    };
    let approved = match &thread.approved {
        Some((_, by)) => format!(", approved by {}", thread.name_of(by)),
        None => String::new(),
    };
    let asked = thread.opened_by.as_ref().map_or("somebody", |user| thread.name_of(user));
    format!("{origin} · asked for by {asked}{approved} · made by CodeButler")
}
