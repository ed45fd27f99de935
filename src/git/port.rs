//! The git port: what the runtime and the tools need of a repository, whatever is behind it. Its two traits are
//! implemented by [`Repository`] and [`ThreadGit`], and in memory for simulations.
//!
//! What only the daemon needs (opening, the remote's address) is not here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::commit::Commit;
use super::diff::DiffStat;
use super::push::Pushed;
use super::{Author, BaseCommit, Condition, GitError, Repository, Selection, ThreadGit, View};
use crate::ids::{CommitId, ThreadKey};
use crate::thread::event::Workspace;

/// A repository with its remote, its worktrees and snapshots.
#[async_trait]
pub trait Git: Send + Sync {
    /// The head of the base branch, fetched: of `base`, else of the remote's default branch.
    async fn fetch_base(&self, base: Option<&str>) -> Result<BaseCommit, GitError>;

    /// The head of a branch on the remote, fetched; `None` when there is none.
    async fn remote_head(&self, branch: &str) -> Result<Option<CommitId>, GitError>;

    /// Deletes a branch on the remote while its head is the commit that was merged, which the remote itself looks at.
    /// Gives the head for which it stays; `None` when it is gone, by whomever.
    async fn delete_merged_branch(&self, branch: &str, merged: &CommitId) -> Result<Option<CommitId>, GitError>;

    /// Whether a local branch has this commit, as its head or before it.
    async fn branch_has(&self, branch: &str, commit: &CommitId) -> Result<bool, GitError>;

    /// A folder below `home` with the tracked files of a commit, read-only and without secrets.
    async fn snapshot(&self, commit: &CommitId, home: &Path) -> Result<PathBuf, GitError>;

    /// Text files: the owner's uncommitted edit where there is one, else as the commit has it. What is not there, or is
    /// no text, is left out.
    async fn texts(&self, commit: &CommitId, paths: &[&str]) -> Result<BTreeMap<String, String>, GitError>;

    /// Has git overlook these names in this clone.
    fn exclude(&self, patterns: &[&str]) -> Result<(), GitError>;

    /// Makes branch and worktree of a thread, or gives the ones that it already has.
    async fn create_worktree(
        &self,
        thread: &ThreadKey,
        title: &str,
        base: &BaseCommit,
        branch_prefix: &str,
    ) -> Result<Workspace, GitError>;

    /// The folder of a worktree.
    fn worktree_path(&self, workspace: &Workspace) -> PathBuf;

    /// Whether nothing of a worktree is missing, as far as a glance tells. Cheap.
    fn is_whole(&self, workspace: &Workspace) -> bool;

    /// Brings a thread's worktree into order: mends what git needs of it, and makes it again when its files are gone.
    async fn restore_worktree(&self, thread: &ThreadKey, workspace: &Workspace) -> Result<Condition, GitError>;

    /// Makes a checkout of the commit at which a thread's worktree began, untouched and apart from it, anew each time;
    /// gives its folder. It goes with the worktree at the latest.
    async fn checkout_base(&self, workspace: &Workspace) -> Result<PathBuf, GitError>;

    /// Removes that checkout. Gone is done.
    async fn remove_base_checkout(&self, workspace: &Workspace) -> Result<(), GitError>;

    /// The worktree that a thread has by its record, complete or not.
    async fn workspace_of(&self, thread: &ThreadKey) -> Option<Workspace>;

    /// Removes folder and local branch of a worktree; commits that are nowhere else are kept. Gives what is left, one
    /// sentence each.
    async fn remove_worktree(&self, workspace: &Workspace, secured: Option<&CommitId>) -> Vec<String>;

    /// What a thread sees of the repository. Commits are the author's, with a trailer that says who asked for them.
    fn at(&self, view: View, author: Author, requested_by: String) -> Arc<dyn BranchGit>;
}

/// Git as one thread sees it: its branch and worktree, or before there is one, the base commit.
#[async_trait]
pub trait BranchGit: Send + Sync {
    /// The worktree; an error before there is one.
    fn workspace(&self) -> Result<&Arc<Workspace>, GitError>;

    /// The head of the thread's branch.
    async fn head(&self) -> Result<CommitId, GitError>;

    /// Whether the branch has commits that its base branch has not.
    async fn has_commits(&self) -> Result<bool, GitError>;

    /// Commits the worktree's changes. The same message right at the head, with nothing new, counts as done.
    async fn commit_all(&self, message: &str, selection: Selection) -> Result<Commit, GitError>;

    /// Files that differ from the last commit, ignored ones aside.
    async fn uncommitted(&self) -> Result<Vec<String>, GitError>;

    /// A number that is another one whenever a file of the worktree was changed, ignored ones aside.
    async fn fingerprint(&self) -> Result<u64, GitError>;

    /// Files that the thread's work changed since its branch left its base branch, committed or not, ignored ones aside;
    /// as `a`, `a new`, `a deleted` or `a -> b`.
    async fn changed(&self) -> Result<Vec<String>, GitError>;

    /// What was changed since `base`, or since the branch left its base branch, as text for models.
    async fn diff(&self, base: Option<&str>, path: Option<&str>) -> Result<String, GitError>;

    /// What the branch's commits change against where it left its base branch, whatever else is in the worktree.
    async fn diff_commits(&self) -> Result<String, GitError>;

    /// How much the branch's commits change against where it left its base branch.
    async fn diff_stat(&self) -> Result<DiffStat, GitError>;

    /// The newest commits, as text for models.
    async fn log(&self, path: Option<&str>, limit: usize) -> Result<String, GitError>;

    /// Pushes the branch, never by force. Already there is success.
    async fn push(&self) -> Result<Pushed, GitError>;
}

#[async_trait]
impl Git for Repository {
    async fn fetch_base(&self, base: Option<&str>) -> Result<BaseCommit, GitError> {
        self.fetch_base(base).await
    }

    async fn remote_head(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        self.remote_head(branch).await
    }

    async fn delete_merged_branch(&self, branch: &str, merged: &CommitId) -> Result<Option<CommitId>, GitError> {
        self.delete_merged_branch(branch, merged).await
    }

    async fn branch_has(&self, branch: &str, commit: &CommitId) -> Result<bool, GitError> {
        self.branch_has(branch, commit).await
    }

    async fn snapshot(&self, commit: &CommitId, home: &Path) -> Result<PathBuf, GitError> {
        self.snapshot(commit, home).await
    }

    async fn texts(&self, commit: &CommitId, paths: &[&str]) -> Result<BTreeMap<String, String>, GitError> {
        self.texts(commit, paths).await
    }

    fn exclude(&self, patterns: &[&str]) -> Result<(), GitError> {
        self.exclude(patterns)
    }

    async fn create_worktree(
        &self,
        thread: &ThreadKey,
        title: &str,
        base: &BaseCommit,
        branch_prefix: &str,
    ) -> Result<Workspace, GitError> {
        self.create_worktree(thread, title, base, branch_prefix).await
    }

    fn worktree_path(&self, workspace: &Workspace) -> PathBuf {
        self.worktree_path(workspace)
    }

    fn is_whole(&self, workspace: &Workspace) -> bool {
        self.is_whole(workspace)
    }

    async fn restore_worktree(&self, thread: &ThreadKey, workspace: &Workspace) -> Result<Condition, GitError> {
        self.restore_worktree(thread, workspace).await
    }

    async fn checkout_base(&self, workspace: &Workspace) -> Result<PathBuf, GitError> {
        self.checkout_base(workspace).await
    }

    async fn remove_base_checkout(&self, workspace: &Workspace) -> Result<(), GitError> {
        self.remove_base_checkout(workspace).await
    }

    async fn workspace_of(&self, thread: &ThreadKey) -> Option<Workspace> {
        self.workspace_of(thread).await
    }

    async fn remove_worktree(&self, workspace: &Workspace, secured: Option<&CommitId>) -> Vec<String> {
        self.remove_worktree(workspace, secured).await
    }

    fn at(&self, view: View, author: Author, requested_by: String) -> Arc<dyn BranchGit> {
        Arc::new(ThreadGit::new(self.clone(), view, author, requested_by))
    }
}

#[async_trait]
impl BranchGit for ThreadGit {
    fn workspace(&self) -> Result<&Arc<Workspace>, GitError> {
        self.workspace()
    }

    async fn head(&self) -> Result<CommitId, GitError> {
        self.head().await
    }

    async fn has_commits(&self) -> Result<bool, GitError> {
        self.has_commits().await
    }

    async fn commit_all(&self, message: &str, selection: Selection) -> Result<Commit, GitError> {
        self.commit_all(message, selection).await
    }

    async fn uncommitted(&self) -> Result<Vec<String>, GitError> {
        self.uncommitted().await
    }

    async fn fingerprint(&self) -> Result<u64, GitError> {
        self.fingerprint().await
    }

    async fn changed(&self) -> Result<Vec<String>, GitError> {
        self.changed().await
    }

    async fn diff(&self, base: Option<&str>, path: Option<&str>) -> Result<String, GitError> {
        self.diff(base, path).await
    }

    async fn diff_commits(&self) -> Result<String, GitError> {
        self.diff_commits().await
    }

    async fn diff_stat(&self) -> Result<DiffStat, GitError> {
        self.diff_stat().await
    }

    async fn log(&self, path: Option<&str>, limit: usize) -> Result<String, GitError> {
        self.log(path, limit).await
    }

    async fn push(&self) -> Result<Pushed, GitError> {
        self.push().await
    }
}
