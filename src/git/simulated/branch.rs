//! A simulated repository as one thread sees it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::state::{State, changed};
use super::{Files, SimulatedGit, unreachable};
use crate::git::commit::Commit;
use crate::git::diff::DiffStat;
use crate::git::push::Pushed;
use crate::git::{BranchGit, Git as _, GitError, Selection, View};
use crate::ids::CommitId;
use crate::thread::event::Workspace;

pub(super) struct SimulatedBranch {
    pub(super) git: SimulatedGit,
    pub(super) view: View,
    pub(super) author: String,
    pub(super) requested_by: String,
}

impl SimulatedBranch {
    /// The worktree's folder.
    fn folder(&self) -> Result<PathBuf, GitError> {
        let folder = self.git.worktree_path(self.workspace()?);
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(GitError::new(format!("The worktree `{}` is gone.", folder.display()), "`!close` the thread."))
    }

    /// The commit that the thread stands on.
    fn stands_on(&self, state: &State) -> Result<CommitId, GitError> {
        match &self.view {
            View::Base(commit) => Ok(commit.clone()),
            View::Worktree(workspace) => state.local.get(&workspace.branch).cloned().ok_or_else(|| {
                GitError::new(format!("The branch `{}` is gone.", workspace.branch), "Open a new thread.")
            }),
        }
    }

    /// Where the branch left its base branch.
    fn left_base(&self, state: &State) -> Result<CommitId, GitError> {
        let head = self.stands_on(state)?;
        let View::Worktree(workspace) = &self.view else { return Ok(head) };
        let base = state.fetched.get(&workspace.base_branch).unwrap_or(&workspace.base);
        Ok(state.merge_base(&head, base).unwrap_or_else(|| workspace.base.clone()))
    }

    fn commit(&self, state: &mut State, message: &str, selection: &Selection) -> Result<Commit, GitError> {
        let folder = self.folder()?;
        let head = self.stands_on(state)?;
        let message = format!("{}\n\nAuthor: {}\nRequested-by: {}", message.trim(), self.author, self.requested_by);
        let before = state.files(&head);
        let mut files = state.read_folder(&folder);
        let stray = |path: &&String| match selection {
            Selection::Everything => false,
            Selection::TrackedAnd(named) => !before.contains_key(*path) && !named.contains(*path),
        };
        let stray: Vec<String> = files.keys().filter(stray).cloned().collect();
        files.retain(|path, _| !stray.contains(path));
        let left_out = stray.iter().map(|path| format!("`{path}` is new and was not written by the Coder")).collect();
        if files == before {
            // Ours of an attempt that was cut before it was known.
            let Some(parent) = state.commits[&head].parents.first().filter(|_| state.commits[&head].message == message)
            else {
                return Ok(Commit { left_out, ..Commit::default() });
            };
            let files = changed(&state.files(parent), &before);
            return Ok(Commit { commit: Some(head), files, left_out });
        }
        let names = changed(&before, &files);
        let commit = state.commit(files, vec![head], &message);
        let branch = self.workspace()?.branch.clone();
        let subject = message.lines().next().unwrap_or_default();
        state.note(format!("commit {branch} {} {subject}", commit.short()));
        state.local.insert(branch, commit.clone());
        Ok(Commit { commit: Some(commit), files: names, left_out })
    }
}

#[async_trait]
impl BranchGit for SimulatedBranch {
    fn workspace(&self) -> Result<&Arc<Workspace>, GitError> {
        match &self.view {
            View::Worktree(workspace) => Ok(workspace),
            View::Base(_) => Err(GitError::new("There is no worktree yet.", "One is made when a plan is approved.")),
        }
    }

    async fn head(&self) -> Result<CommitId, GitError> {
        self.git.operate("head", |state| self.workspace().and_then(|_| self.stands_on(state))).await
    }

    async fn has_commits(&self) -> Result<bool, GitError> {
        self.git.operate("has_commits", |state| Ok(self.left_base(state)? != self.stands_on(state)?)).await
    }

    async fn commit_all(&self, message: &str, selection: Selection) -> Result<Commit, GitError> {
        self.git.operate("commit_all", |state| self.commit(state, message, &selection)).await
    }

    async fn uncommitted(&self) -> Result<Vec<String>, GitError> {
        self.git
            .operate("uncommitted", |state| {
                let now = state.read_folder(&self.folder()?);
                Ok(changed(&state.files(&self.stands_on(state)?), &now))
            })
            .await
    }

    async fn fingerprint(&self) -> Result<u64, GitError> {
        self.git
            .operate("fingerprint", |state| {
                let mut hasher = DefaultHasher::new();
                state.read_folder(&self.folder()?).hash(&mut hasher);
                Ok(hasher.finish())
            })
            .await
    }

    async fn changed(&self) -> Result<Vec<String>, GitError> {
        self.git
            .operate("changed", |state| {
                let now = state.read_folder(&self.folder()?);
                Ok(changed(&state.files(&self.left_base(state)?), &now))
            })
            .await
    }

    async fn diff(&self, _: Option<&str>, path: Option<&str>) -> Result<String, GitError> {
        self.git
            .operate("diff", |state| {
                let before = state.files(&self.left_base(state)?);
                let now = match &self.view {
                    View::Base(commit) => state.files(commit),
                    View::Worktree(_) => state.read_folder(&self.folder()?),
                };
                let wanted = |changed: &String| path.is_none_or(|path| changed.starts_with(path));
                let shown = |path: String| format!("{path}\n{}", now.get(&path).map_or("gone", String::as_str));
                let shown: Vec<_> = changed(&before, &now).into_iter().filter(wanted).map(shown).collect();
                Ok(shown.join("\n"))
            })
            .await
    }

    async fn diff_commits(&self) -> Result<String, GitError> {
        self.git
            .operate("diff_commits", |state| {
                let (before, now) = (state.files(&self.left_base(state)?), state.files(&self.stands_on(state)?));
                let shown = |path: String| format!("{path}\n{}", now.get(&path).map_or("gone", String::as_str));
                Ok(changed(&before, &now).into_iter().map(shown).collect::<Vec<_>>().join("\n"))
            })
            .await
    }

    async fn diff_stat(&self) -> Result<DiffStat, GitError> {
        self.git
            .operate("diff_stat", |state| {
                let (before, now) = (state.files(&self.left_base(state)?), state.files(&self.stands_on(state)?));
                let files = changed(&before, &now);
                let count = |number: usize| u32::try_from(number).expect("a small number");
                let lines = |of: &Files| {
                    let texts = files.iter().filter_map(|path| of.get(path));
                    count(texts.map(|text| text.lines().count()).sum())
                };
                let (added, removed) = (lines(&now), lines(&before));
                Ok(DiffStat { files: count(files.len()), added, removed })
            })
            .await
    }

    async fn log(&self, _: Option<&str>, limit: usize) -> Result<String, GitError> {
        self.git
            .operate("log", |state| {
                let history = state.history(&self.stands_on(state)?);
                let line = |commit: &CommitId| {
                    let subject = state.commits[commit].message.lines().next().unwrap_or_default();
                    format!("* {} {subject}\n", commit.short())
                };
                Ok(history.iter().take(limit).map(line).collect())
            })
            .await
    }

    async fn push(&self) -> Result<Pushed, GitError> {
        self.git
            .operate("push", |state| {
                let branch = &self.workspace()?.branch;
                let head = self.stands_on(state)?;
                if state.offline {
                    return Err(unreachable());
                }
                let on_remote = state.remote.get(branch).cloned();
                if on_remote.as_ref().is_some_and(|there| !state.is_in(there, &head)) {
                    return Err(GitError::new(
                        format!("The branch `{branch}` on the remote has commits that this worktree has not."),
                        "Someone else pushed to it. Take them over, then `!retry`.",
                    ));
                }
                if on_remote.as_ref() != Some(&head) {
                    state.note(format!("push {branch} {}", head.short()));
                }
                state.remote.insert(branch.clone(), head.clone());
                state.fetched.insert(branch.clone(), head.clone());
                Ok(Pushed { head, remote: Some("origin".to_owned()) })
            })
            .await
    }
}
