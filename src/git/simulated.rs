//! Git in memory, for simulations: commits are maps from path to content, worktrees and snapshots are real folders,
//! because the file tools work on real files.
//!
//! What is in the repository and on its remote outlives a simulated crash: [`SimulatedGit::reborn`] gives the next
//! life's view of the same. Every effect that took place is a line in [`SimulatedGit::deeds`]; a repeat that found
//! its work done is none.

mod branch;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use self::branch::SimulatedBranch;
use self::state::{State, write_files};
use super::{Author, BaseCommit, BranchGit, Condition, Git, GitError, View, slug::slug};
use crate::ids::{CommitId, ThreadKey};
use crate::simulation::probe::Probe;
use crate::thread::event::Workspace;

/// The files of a commit.
pub type Files = BTreeMap<String, String>;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing was done.
    Before,
    /// It fails, although all was done.
    After,
    /// All is done, but the caller never hears of it.
    Unanswered,
}

/// A repository with a remote, in memory. Clones share everything.
#[derive(Clone)]
pub struct SimulatedGit {
    root: PathBuf,
    state: Arc<Mutex<State>>,
    probe: Probe,
}

impl SimulatedGit {
    /// A repository whose remote has one commit with these files on `main`; worktrees are made below `root`.
    pub fn new(root: impl Into<PathBuf>, files: &[(&str, &str)]) -> Self {
        let mut state = State::default();
        let first = state.commit(owned(files), Vec::new(), "First commit");
        state.remote.insert("main".to_owned(), first);
        Self { root: root.into(), state: Arc::new(Mutex::new(state)), probe: Probe::none() }
    }

    /// The same repository for the next life, with the probe that watches it.
    pub fn reborn(&self, probe: Probe) -> Self {
        Self { probe, ..self.clone() }
    }

    /// The next `times` calls of this operation go wrong. Operations have the names of the ports' methods.
    pub fn inject(&self, operation: &'static str, fault: Fault, times: usize) {
        self.lock().faults.entry(operation).or_default().extend(std::iter::repeat_n(fault, times));
    }

    /// Whether the remote can be reached; it can at first.
    pub fn set_online(&self, online: bool) {
        self.lock().offline = !online;
    }

    /// Somebody else commits these files on top of a branch of the remote and pushes: the base moves, or a push of
    /// ours will be rejected.
    pub fn somebody_pushes(&self, branch: &str, files: &[(&str, &str)]) -> CommitId {
        let mut state = self.lock();
        let parent = state.remote.get(branch).cloned();
        let mut tree = parent.as_ref().map(|commit| state.files(commit)).unwrap_or_default();
        tree.extend(owned(files));
        let commit = state.commit(tree, parent.into_iter().collect(), "Somebody else's");
        state.remote.insert(branch.to_owned(), commit.clone());
        commit
    }

    /// Somebody deletes a branch of the remote. Whether it was there.
    pub fn delete_remote_branch(&self, branch: &str) -> bool {
        let mut state = self.lock();
        let gone = state.remote.remove(branch).is_some();
        if gone {
            state.note(format!("delete remote branch {branch}"));
        }
        gone
    }

    /// Somebody deletes a branch of the remote by hand; whether it was there. The record has it by another name than what
    /// a forge does.
    pub fn somebody_deletes(&self, branch: &str) -> bool {
        let mut state = self.lock();
        let gone = state.remote.remove(branch).is_some();
        if gone {
            state.note(format!("somebody deletes {branch}"));
        }
        gone
    }

    /// Somebody deletes a local branch; a worktree that was on it stays.
    pub fn delete_local_branch(&self, branch: &str) -> bool {
        self.lock().local.remove(branch).is_some()
    }

    /// Somebody deletes a worktree's folder by hand.
    pub fn delete_folder(&self, workspace: &Workspace) {
        std::fs::remove_dir_all(self.worktree_path(workspace)).expect("the folder was there");
    }

    /// The owner edits a file in his checkout without committing it.
    pub fn owner_edits(&self, path: &str, text: &str) {
        self.lock().own_edits.insert(path.to_owned(), text.to_owned());
    }

    /// The heads of the remote's branches.
    pub fn remote_heads(&self) -> BTreeMap<String, CommitId> {
        self.lock().remote.clone()
    }

    /// The head of a local branch.
    pub fn local_head(&self, branch: &str) -> Option<CommitId> {
        self.lock().local.get(branch).cloned()
    }

    /// The files of a commit.
    pub fn files(&self, commit: &CommitId) -> Files {
        self.lock().files(commit)
    }

    /// The message of a commit.
    pub fn message(&self, commit: &CommitId) -> String {
        self.lock().commits[commit].message.clone()
    }

    /// Whether `commit` is `later` or one that `later` builds on.
    pub fn is_in(&self, commit: &CommitId, later: &CommitId) -> bool {
        self.lock().is_in(commit, later)
    }

    /// Whether the changes of `head` fit onto the remote's branch `base`.
    pub fn fits(&self, head: &CommitId, base: &str) -> bool {
        let state = self.lock();
        state.remote.get(base).is_some_and(|onto| state.merged(head, onto).is_ok())
    }

    /// What a forge does to merge: puts the changes of `head` as one commit on the remote's branch `base`. `Err` names
    /// the files in conflict.
    pub fn squash(&self, head: &CommitId, base: &str, message: &str) -> Result<CommitId, Vec<String>> {
        let mut state = self.lock();
        let onto = state.remote.get(base).cloned().ok_or_else(Vec::new)?;
        let files = state.merged(head, &onto)?;
        let commit = state.commit(files, vec![onto], message);
        state.remote.insert(base.to_owned(), commit.clone());
        state.note(format!("squash {} onto {base} as {}", head.short(), commit.short()));
        Ok(commit)
    }

    /// The worktree that a thread has, for those who look from outside.
    pub fn workspace(&self, thread: &ThreadKey) -> Option<Workspace> {
        self.lock().workspace_of(thread)
    }

    /// What took place, in order: `commit BRANCH ID SUBJECT`, `push BRANCH ID`, `create worktree SLUG`,
    /// `restore worktree SLUG`, `remove worktree SLUG`, `squash ID onto BASE as ID`, `delete remote branch BRANCH`,
    /// `somebody deletes BRANCH`.
    pub fn deeds(&self) -> Vec<String> {
        self.lock().deeds.clone()
    }

    fn base_folder(&self, workspace: &Workspace) -> PathBuf {
        self.root.join(".codebutler/branches").join(format!("{}.base", workspace.slug))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation: passes the probe, does the work, and goes wrong where it is to.
    async fn operate<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let fault = self.begin(operation).await?;
        let result = work(&mut self.lock());
        self.end(operation, fault).await?;
        result
    }

    async fn begin(&self, operation: &'static str) -> Result<Option<Fault>, GitError> {
        let fault = self.lock().faults.entry(operation).or_default().pop_front();
        let goes_on = self.probe.at(&format!("git.{operation}.start")).await;
        if goes_on && fault != Some(Fault::Before) { Ok(fault) } else { Err(broken(operation)) }
    }

    async fn end(&self, operation: &'static str, fault: Option<Fault>) -> Result<(), GitError> {
        let goes_on = self.probe.at(&format!("git.{operation}.end")).await;
        match fault {
            Some(Fault::Unanswered) => std::future::pending().await,
            None if goes_on => Ok(()),
            _ => Err(broken(operation)),
        }
    }
}

#[async_trait]
impl Git for SimulatedGit {
    async fn fetch_base(&self, base: Option<&str>) -> Result<BaseCommit, GitError> {
        self.operate("fetch_base", |state| {
            let branch = base.unwrap_or("main").to_owned();
            let online = state.fetch(&branch).is_ok();
            let commit = state.fetched.get(&branch).cloned().ok_or_else(unreachable)?;
            let notice = (!online).then(|| format!("Working from the last fetched commit `{}`.", commit.short()));
            Ok(BaseCommit { commit, branch, notice })
        })
        .await
    }

    async fn remote_head(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        self.operate("remote_head", |state| state.fetch(branch)).await
    }

    async fn delete_merged_branch(&self, branch: &str, merged: &CommitId) -> Result<Option<CommitId>, GitError> {
        self.operate("delete_merged_branch", |state| {
            if state.offline {
                return Err(unreachable());
            }
            let there = state.remote.get(branch).cloned();
            if there.as_ref() == Some(merged) {
                state.remote.remove(branch);
                state.note(format!("delete remote branch {branch}"));
            }
            Ok(there.filter(|there| there != merged))
        })
        .await
    }

    async fn branch_has(&self, branch: &str, commit: &CommitId) -> Result<bool, GitError> {
        self.operate("branch_has", |state| {
            let head = state.local.get(branch).cloned();
            Ok(head.is_some_and(|head| state.is_in(commit, &head)))
        })
        .await
    }

    async fn snapshot(&self, commit: &CommitId, home: &Path) -> Result<PathBuf, GitError> {
        let folder = home.join("snapshots/simulated");
        let target = folder.join(commit.as_str());
        self.operate("snapshot", |state| {
            if !target.is_dir() {
                write_files(&folder.join("writing"), &state.files(commit));
                std::fs::rename(folder.join("writing"), &target).expect("a snapshot is moved to its place");
            }
            Ok(target)
        })
        .await
    }

    async fn texts(&self, commit: &CommitId, paths: &[&str]) -> Result<BTreeMap<String, String>, GitError> {
        self.operate("texts", |state| {
            let mut files = state.files(commit);
            let mut text = |path: &&str| state.own_edits.get(*path).cloned().or_else(|| files.remove(*path));
            Ok(paths.iter().filter_map(|path| Some(((*path).to_owned(), text(path)?))).collect())
        })
        .await
    }

    fn exclude(&self, patterns: &[&str]) -> Result<(), GitError> {
        let names = patterns.iter().map(|pattern| pattern.trim_matches('/').to_owned());
        self.lock().excluded.extend(names);
        Ok(())
    }

    async fn create_worktree(
        &self,
        thread: &ThreadKey,
        title: &str,
        base: &BaseCommit,
        branch_prefix: &str,
    ) -> Result<Workspace, GitError> {
        const OPERATION: &str = "create_worktree";
        let fault = self.begin(OPERATION).await?;
        let reserve = |state: &mut State| state.reserve(thread, &slug(title), base, branch_prefix);
        let workspace = reserve(&mut self.lock());
        let folder = self.worktree_path(&workspace);
        if !self.lock().is_complete(thread) || !folder.is_dir() {
            let _ = std::fs::remove_dir_all(&folder);
            // A cut from here on leaves a branch, and a folder that is not whole.
            self.lock().local.entry(workspace.branch.clone()).or_insert_with(|| workspace.base.clone());
            std::fs::create_dir_all(&folder).expect("a folder is made");
            if !self.probe.at("git.create_worktree.half").await {
                return Err(broken(OPERATION));
            }
            let mut state = self.lock();
            write_files(&folder, &state.files(&state.local[&workspace.branch]));
            state.complete(thread);
            state.note(format!("create worktree {}", workspace.slug));
        }
        self.end(OPERATION, fault).await?;
        Ok(workspace)
    }

    fn worktree_path(&self, workspace: &Workspace) -> PathBuf {
        self.root.join(".codebutler/branches").join(&workspace.slug)
    }

    fn is_whole(&self, workspace: &Workspace) -> bool {
        self.worktree_path(workspace).is_dir()
    }

    async fn restore_worktree(&self, thread: &ThreadKey, workspace: &Workspace) -> Result<Condition, GitError> {
        let folder = self.worktree_path(workspace);
        self.operate("restore_worktree", |state| {
            let head = match state.local.get(&workspace.branch).cloned() {
                Some(head) => head,
                None => state.fetch(&workspace.branch)?.ok_or_else(|| {
                    GitError::new(format!("The branch `{}` is gone.", workspace.branch), "`!close` the thread.")
                })?,
            };
            state.local.insert(workspace.branch.clone(), head.clone());
            if folder.is_dir() && state.is_complete(thread) {
                return Ok(Condition::Whole);
            }
            write_files(&folder, &state.files(&head));
            state.complete(thread);
            state.note(format!("restore worktree {}", workspace.slug));
            Ok(Condition::Lost(head))
        })
        .await
    }

    async fn checkout_base(&self, workspace: &Workspace) -> Result<PathBuf, GitError> {
        let folder = self.base_folder(workspace);
        self.operate("checkout_base", |state| {
            let _ = std::fs::remove_dir_all(&folder);
            write_files(&folder, &state.files(&workspace.base));
            Ok(folder)
        })
        .await
    }

    async fn remove_base_checkout(&self, workspace: &Workspace) -> Result<(), GitError> {
        let folder = self.base_folder(workspace);
        self.operate("remove_base_checkout", |_| {
            let _ = std::fs::remove_dir_all(&folder);
            Ok(())
        })
        .await
    }

    async fn workspace_of(&self, thread: &ThreadKey) -> Option<Workspace> {
        self.operate("workspace_of", |state| Ok(state.workspace_of(thread))).await.ok().flatten()
    }

    async fn remove_worktree(&self, workspace: &Workspace, secured: Option<&CommitId>) -> Vec<String> {
        let folder = self.worktree_path(workspace);
        let removed = self.operate("remove_worktree", |state| {
            let _ = std::fs::remove_dir_all(self.base_folder(workspace));
            let had_folder = std::fs::remove_dir_all(&folder).is_ok();
            let left = state.remove(workspace, secured);
            if had_folder {
                state.note(format!("remove worktree {}", workspace.slug));
            }
            Ok(left)
        });
        removed.await.unwrap_or_else(|error| vec![error.what])
    }

    fn at(&self, view: View, author: Author, requested_by: String) -> Arc<dyn BranchGit> {
        let Author { name, mail } = author;
        Arc::new(SimulatedBranch { git: self.clone(), view, author: format!("{name} <{mail}>"), requested_by })
    }
}

fn owned(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

fn broken(operation: &str) -> GitError {
    GitError::new(format!("Simulated trouble in {operation}."), "Try again.")
}

fn unreachable() -> GitError {
    GitError::new("The remote could not be reached.", "Check the network connection; then `!retry`.")
}
