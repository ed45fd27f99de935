//! The end of the work: publishing what the Coder did, merging, cleaning up.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use super::tool::{footer, thread_git};
use crate::agent::Role;
use crate::forge::{ForgeError, MergeRequest, NewPullRequest};
use crate::git::{Selection, ThreadGit};
use crate::ids::CommitId;
use crate::runtime::project::Project;
use crate::thread::command::Deed;
use crate::thread::event::{Failure, Publication, PullRequest};
use crate::thread::state::Publishing;
use crate::thread::{Command, Thread};

/// Commits what the Coder left uncommitted, pushes, and opens the pull request (`contract.md` 5).
pub(super) fn publish(
    project: Arc<Project>,
    thread: &Thread,
    publishing: Publishing,
) -> impl Future<Output = Command> + use<> {
    let git = thread_git(&project, thread, Role::Coder);
    let known = thread.pull.clone();
    let text = PullRequestText::of(&project, thread, &publishing);
    async move {
        let mut deeds = Vec::new();
        let run = publishing.run;
        let result = match git {
            Some(git) => bring_out(&project, &git, known, publishing, text, &mut deeds).await,
            None => Err(Failure {
                what: "The worktree is gone.".to_owned(),
                hint: "Open a new thread for the work.".to_owned(),
            }),
        };
        Command::PublishDone { run, result, deeds }
    }
}

/// What a pull request that the Coder did not open itself says.
struct PullRequestText {
    title: String,
    body: String,
}

impl PullRequestText {
    fn of(project: &Project, thread: &Thread, publishing: &Publishing) -> Self {
        let plan = thread.plan.as_ref().map(|plan| &plan.plan);
        let title = plan.map_or_else(|| "Work of a CodeButler thread".to_owned(), |plan| plan.title.clone());
        let mut body = plan.map(|plan| plan.summary.clone()).unwrap_or_default();
        if let Some(draft) = &publishing.draft {
            let criteria = plan.map(|plan| plan.acceptance.join("\n- ")).unwrap_or_default();
            body.push_str(&format!("\n\n**Draft:** {draft}. Still to be shown:\n- {criteria}"));
        }
        if !publishing.report.is_empty() {
            body.push_str(&format!("\n\n## Report\n\n{}", publishing.report));
        }
        body.push_str(&footer(project, thread));
        Self { title, body }
    }
}

async fn bring_out(
    project: &Project,
    git: &ThreadGit,
    known: Option<PullRequest>,
    publishing: Publishing,
    text: PullRequestText,
    deeds: &mut Vec<Deed>,
) -> Result<Publication, Failure> {
    let wrote: BTreeSet<String> = publishing.wrote;
    let committed = git.commit_all(&text.title, Selection::TrackedAnd(wrote)).await?;
    deeds.extend(committed.commit.map(Deed::Committed));
    if !git.has_commits().await? {
        return Ok(Publication { left_out: committed.left_out, ..Publication::default() });
    }
    let pushed = git.push().await?;
    deeds.push(Deed::Pushed(pushed.head.clone()));
    let workspace = git.workspace()?;
    let pull = match known {
        Some(pull) => pull,
        None => {
            let new = NewPullRequest {
                branch: workspace.branch.clone(),
                base: workspace.base_branch.clone(),
                title: text.title,
                body: text.body,
                draft: publishing.draft.is_some(),
            };
            project.forge.open(&new).await?
        }
    };
    // A local pull request has no page of its own to show its diff.
    let diff = if pull.url.is_empty() { Some(git.diff(None, None).await?) } else { None };
    deeds.push(Deed::Opened(pull));
    let stat = git.diff_stat().await?;
    Ok(Publication {
        head: Some(pushed.head),
        files: stat.files,
        added: stat.added,
        removed: stat.removed,
        diff,
        left_out: committed.left_out,
    })
}

/// Squash-merges exactly the head that was reviewed.
pub(super) fn merge(project: Arc<Project>, thread: &Thread, head: CommitId) -> impl Future<Output = Command> + use<> {
    let request = match (&thread.pull, thread.workspace()) {
        (Some(pull), Some(workspace)) => Ok(MergeRequest {
            number: pull.number,
            branch: workspace.branch.clone(),
            base: workspace.base_branch.clone(),
            head,
            title: format!("{} (#{})", pull.title, pull.number),
            message: message(thread),
        }),
        _ => Err(Failure {
            what: "There is no pull request with a branch to merge.".to_owned(),
            hint: "Merge it by hand, then `!close` this thread.".to_owned(),
        }),
    };
    async move {
        let merged = match request {
            Ok(request) => project.forge.merge(&request).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        Command::MergeDone(merged)
    }
}

/// The squash commit's message: what was wanted, and who asked and approved.
fn message(thread: &Thread) -> String {
    let summary = thread.plan.as_ref().map(|plan| plan.plan.summary.trim()).unwrap_or_default();
    let by = |user: &crate::ids::UserId| format!("{} ({user})", thread.name_of(user));
    let mut text = summary.to_owned();
    if let Some(opened_by) = &thread.opened_by {
        text.push_str(&format!("\n\nRequested-by: {}", by(opened_by)));
    }
    if let Some(merging) = &thread.merging {
        text.push_str(&format!("\nMerged-by: {}", by(&merging.by)));
    }
    text.trim().to_owned()
}

/// Removes remote branch, worktree and local branch; closes an unmerged pull request. Names what is left.
pub(super) fn clean_up(project: Arc<Project>, thread: &Thread, merged: bool) -> impl Future<Output = Command> + use<> {
    let workspace = thread.workspace().cloned();
    let (pull, head) = (thread.pull.clone(), thread.head.clone());
    async move {
        let mut leftovers = Vec::new();
        let mut note = |result: Result<(), ForgeError>, what: &str| {
            if let Err(error) = result {
                leftovers.push(format!("{what}: {} {}", error.what, error.hint));
            }
        };
        if let Some(pull) = pull.filter(|_| !merged) {
            note(project.forge.close(pull.number).await, &format!("pull request #{}", pull.number));
        }
        if let Some(workspace) = &workspace {
            // The branch of unmerged work stays on the remote: it is the only copy.
            if merged {
                note(project.forge.delete_branch(&workspace.branch).await, &format!("branch `{}`", workspace.branch));
            }
            leftovers.extend(project.repository.remove_worktree(workspace, head.as_ref()).await);
        }
        Command::CleanUpDone(leftovers)
    }
}
