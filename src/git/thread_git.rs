//! Git as one thread sees it: its worktree and branch, or before there is one, the base commit.
//!
//! The worktree is opened by its registration in the owner's `.git`, never by the `.git` file in the worktree: what
//! runs there could have changed that file to lead elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Author, GitError, Repository, commit_id, internal, oid};
use crate::ids::CommitId;
use crate::thread::event::Workspace;

/// Git for one thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ThreadGit {
    pub(super) repository: Repository,
    pub(super) view: View,
    pub(super) author: Author,
    /// Who asked for the work, as it stands in commits: `Ana (U123)`.
    pub(super) requested_by: String,
}

/// What a thread stands on.
#[derive(Clone, Debug)]
pub enum View {
    /// Only the base commit.
    Base(CommitId),
    /// A worktree.
    Worktree(Arc<Workspace>),
}

impl ThreadGit {
    /// What a thread sees of the repository.
    pub fn new(repository: Repository, view: View, author: Author, requested_by: String) -> Self {
        Self { repository, view, author, requested_by }
    }

    /// The worktree.
    pub fn workspace(&self) -> Result<&Arc<Workspace>, GitError> {
        match &self.view {
            View::Worktree(workspace) => Ok(workspace),
            View::Base(_) => Err(GitError::new(
                "There is no worktree yet.",
                "One is made when a person approves a plan; then the Coder works in it.",
            )),
        }
    }

    /// The head of the thread's branch.
    pub async fn head(&self) -> Result<CommitId, GitError> {
        let branch = self.workspace()?.branch.clone();
        self.repository
            .blocking(move |repository| {
                repository.commit_of_ref(&format!("refs/heads/{branch}"))?.ok_or_else(|| {
                    GitError::new(
                        format!("The branch `{branch}` is gone."),
                        "Bring it back with `git branch` or `git reflog`, or open a new thread.",
                    )
                })
            })
            .await
    }

    /// Whether the branch has commits that its base branch has not.
    pub async fn has_commits(&self) -> Result<bool, GitError> {
        let (head, workspace) = (self.head().await?, self.workspace()?.clone());
        self.repository
            .blocking(move |repository| {
                let git = repository.git2()?;
                Ok(repository.merge_base(&git, oid(&head)?, &workspace)? != oid(&head)?)
            })
            .await
    }

    /// Runs something on the worktree where blocking is allowed.
    pub(super) async fn in_repository<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let view = self.view.clone();
        self.repository
            .blocking(move |repository| {
                let opened = Opened::new(repository, view)?;
                work(&opened)
            })
            .await
    }
}

/// A thread's git, opened for one piece of work.
pub(super) struct Opened {
    pub(super) repository: Repository,
    pub(super) git: git2::Repository,
    /// The commit that the view stands on: the branch's head, or the base.
    pub(super) head: git2::Oid,
    pub(super) workspace: Option<Arc<Workspace>>,
}

impl Opened {
    fn new(repository: &Repository, view: View) -> Result<Self, GitError> {
        match view {
            View::Base(base) => {
                let git = repository.git2()?;
                Ok(Self { repository: repository.clone(), git, head: oid(&base)?, workspace: None })
            }
            View::Worktree(workspace) => Self::worktree(repository, workspace),
        }
    }

    pub(super) fn worktree(repository: &Repository, workspace: Arc<Workspace>) -> Result<Self, GitError> {
        let git = repository.open_worktree(&workspace)?;
        let head = git.refname_to_id(&format!("refs/heads/{}", workspace.branch));
        let head = head.map_err(|error| internal(&format!("find the branch `{}`", workspace.branch), &error))?;
        Ok(Self { repository: repository.clone(), git, head, workspace: Some(workspace) })
    }

    pub(super) fn head_commit(&self) -> Result<git2::Commit<'_>, GitError> {
        self.git.find_commit(self.head).map_err(|error| internal("read the last commit", &error))
    }

    /// Where the branch left its base branch.
    pub(super) fn merge_base(&self) -> Result<git2::Oid, GitError> {
        match &self.workspace {
            Some(workspace) => self.repository.merge_base(&self.git, self.head, workspace),
            None => Ok(self.head),
        }
    }
}

impl Repository {
    fn open_worktree(&self, workspace: &Workspace) -> Result<git2::Repository, GitError> {
        let (admin, folder) = (self.admin_dir(&workspace.slug), self.worktree_path(workspace));
        if !admin.is_dir() || !folder.is_dir() {
            return Err(GitError::new(
                format!("The worktree `{}` is gone.", folder.display()),
                "Try again: it is made again from its branch.",
            ));
        }
        let git = git2::Repository::open(&admin).map_err(|error| internal("open the worktree", &error))?;
        git.set_workdir(&folder, false).map_err(|error| internal("open the worktree", &error))?;
        Ok(git)
    }

    /// Where a branch left the base branch as we know it: fetched, local, or the commit at which the thread began.
    pub(super) fn merge_base(
        &self,
        git: &git2::Repository,
        head: git2::Oid,
        workspace: &Workspace,
    ) -> Result<git2::Oid, GitError> {
        let began = oid(&workspace.base)?;
        let local = format!("refs/heads/{}", workspace.base_branch);
        let name = self.tracking(&workspace.base_branch).unwrap_or(local);
        let base = git.refname_to_id(&name).unwrap_or(began);
        Ok(git.merge_base(head, base).or_else(|_| git.merge_base(head, began)).unwrap_or(began))
    }
}

/// A commit's hash as people write it.
pub(super) fn short(oid: git2::Oid) -> String {
    commit_id(oid).short().to_owned()
}

/// The path for libgit2; the whole repository for none.
pub(super) fn pathspec(path: Option<&str>) -> Option<PathBuf> {
    path.filter(|path| !matches!(*path, "" | ".")).map(|path| Path::new(path).to_path_buf())
}
