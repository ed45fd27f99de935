//! A worktree and a branch per thread, under `.codebutler/branches/` of the owner's checkout.
//!
//! A record in `.git/codebutler/workspaces/` is written before anything is made and marked once all is there. So a
//! repeat after a crash finds its own worktree, and a half-made one is known for what it is.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hold::Hold;
use super::restore::{has_files, write_whole};
use super::slug::slug;
use super::{BaseCommit, GitError, Repository, internal, io_error, leftover, oid};
use crate::ids::{CommitId, ThreadKey};
use crate::thread::event::Workspace;

/// Where worktrees are, from the checkout's root.
pub(super) const BRANCHES: &str = ".codebutler/branches";

/// What the work on a thread's worktree holds: the worktree, if there is one, and the making of worktrees.
type Held = (Option<Hold>, tokio::sync::OwnedMutexGuard<()>);

/// Which thread a worktree belongs to, and whether it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) thread: String,
    pub(super) workspace: Workspace,
    pub(super) complete: bool,
}

impl Repository {
    /// Makes branch and worktree of a thread, or gives the ones that it already has.
    pub async fn create_worktree(
        &self,
        thread: &ThreadKey,
        title: &str,
        base: &BaseCommit,
        branch_prefix: &str,
    ) -> Result<Workspace, GitError> {
        let key = thread.to_text();
        let (found, held) = self.find_and_hold(key.clone()).await?;
        let (record, held) = match found {
            Some(Record { complete: true, workspace, .. }) => {
                let tidy = move |repository: &Self| {
                    let _held = held;
                    repository.delete_leftovers(&workspace);
                    Ok(workspace)
                };
                return self.blocking(tidy).await;
            }
            Some(record) => (record, held),
            None => {
                let slug = slug(title);
                let taken = self.remote_branches(&format!("{branch_prefix}{slug}")).await;
                let (base, prefix) = (base.clone(), branch_prefix.to_owned());
                let reserve =
                    move |repository: &Self| Ok((repository.reserve(key, &slug, &base, &prefix, &taken)?, held));
                self.blocking(reserve).await?
            }
        };
        self.blocking(move |repository| {
            let _held = held;
            repository.make(&record.workspace)?;
            let complete = Record { complete: true, ..record };
            repository.write_record(&complete)?;
            Ok(complete.workspace)
        })
        .await
    }

    /// The folder of a worktree.
    pub fn worktree_path(&self, workspace: &Workspace) -> PathBuf {
        self.root().join(BRANCHES).join(&workspace.slug)
    }

    /// Whether a folder is that of one of our worktrees, or in one.
    pub fn is_of_worktrees(&self, folder: &Path) -> bool {
        folder.starts_with(self.root().join(BRANCHES))
    }

    /// Removes folder, registration and local branch; what is already gone counts as done. The branch stays when it
    /// has commits that are neither in `secured` (what was merged or pushed) nor anywhere on the remote. Gives what is
    /// left, one sentence each.
    pub async fn remove_worktree(&self, workspace: &Workspace, secured: Option<&CommitId>) -> Vec<String> {
        let hold = match self.hold(&workspace.slug).await {
            Ok(hold) => hold,
            Err(error) => return vec![error.what],
        };
        if let Err(error) = self.remove_base_checkout(workspace).await {
            return vec![error.what];
        }
        let one_at_a_time = Arc::clone(&self.0.worktrees).lock_owned().await;
        let (workspace, secured) = (workspace.clone(), secured.cloned());
        let remove = move |repository: &Self| {
            let _held = (hold, one_at_a_time);
            Ok(repository.remove(&workspace, secured.as_ref()))
        };
        self.blocking(remove).await.unwrap_or_else(|error| vec![error.what])
    }

    /// The worktree that a thread has by its record, complete or not.
    pub async fn workspace_of(&self, thread: &ThreadKey) -> Option<Workspace> {
        let (found, _held) = self.find_and_hold(thread.to_text()).await.ok()?;
        found.map(|record| record.workspace)
    }

    /// Takes up a thread's record, and holds what is its own and the making of worktrees. To be moved into every piece
    /// of work that blocks: held to its end even when nobody waits for it any more, so that no clean-up comes in between.
    async fn find_and_hold(&self, thread: String) -> Result<(Option<Record>, Held), GitError> {
        let owner = thread.clone();
        let known = self.blocking(move |repository| Ok(repository.record_of(&owner))).await?;
        let hold = match known {
            Some(record) => Some(self.hold(&record.workspace.slug).await?),
            None => None,
        };
        let held = (hold, Arc::clone(&self.0.worktrees).lock_owned().await);
        self.blocking(move |repository| Ok((repository.take_up(&thread)?, held))).await
    }

    /// Its registration with git.
    pub(super) fn admin_dir(&self, slug: &str) -> PathBuf {
        self.common_dir().join("worktrees").join(slug)
    }

    /// The thread's record. One whose parts have gone is handed back as incomplete, its place cleared: what is left of
    /// a half-made worktree is removed, a folder that may hold work is moved aside.
    fn take_up(&self, thread: &str) -> Result<Option<Record>, GitError> {
        let Some(record) = self.record_of(thread) else { return Ok(None) };
        let workspace = &record.workspace;
        let (folder, admin) = (self.worktree_path(workspace), self.admin_dir(&workspace.slug));
        let branch = self.commit_of_ref(&format!("refs/heads/{}", workspace.branch))?;
        let has_work = record.complete && has_files(&folder);
        if has_work && branch.is_some() {
            self.mend(workspace)?;
            return Ok(Some(record));
        }
        if has_work {
            let aside = (1..).map(|number| folder.with_extension(format!("saved-{number}")));
            let aside = aside.into_iter().find(|path| !path.exists()).expect("numbers do not end");
            std::fs::rename(&folder, &aside).map_err(|error| io_error("move aside", &folder, &error))?;
        }
        for path in [folder, admin] {
            remove_folder(&path).map_err(|error| io_error("clear away", &path, &error))?;
        }
        Ok(Some(Record { complete: false, ..record }))
    }

    /// Chooses a name that nobody has and takes it.
    fn reserve(
        &self,
        thread: String,
        slug: &str,
        base: &BaseCommit,
        prefix: &str,
        taken_on_remote: &BTreeSet<String>,
    ) -> Result<Record, GitError> {
        for number in 1..1000 {
            let slug = if number == 1 { slug.to_owned() } else { format!("{slug}-{number}") };
            let branch = format!("{prefix}{slug}");
            let below = format!("{branch}/");
            let on_remote = |taken: &String| *taken == branch || taken.starts_with(&below);
            if taken_on_remote.iter().any(on_remote) || self.is_taken(&slug, &branch)? {
                continue;
            }
            let (base_branch, base) = (base.branch.clone(), base.commit.clone());
            let workspace = Workspace { slug, branch, base, base_branch };
            let record = Record { thread, workspace, complete: false };
            self.write_record(&record)?;
            return Ok(record);
        }
        Err(GitError::new(
            format!("There are a thousand branches named `{prefix}{slug}` already."),
            "Delete old ones, then `!retry`.",
        ))
    }

    fn is_taken(&self, slug: &str, branch: &str) -> Result<bool, GitError> {
        let paths = [self.root().join(BRANCHES).join(slug), self.admin_dir(slug), self.record_path(slug)];
        if paths.iter().any(|path| path.symlink_metadata().is_ok()) {
            return Ok(true);
        }
        let local = format!("refs/heads/{branch}");
        let git = self.git2()?;
        for name in [Some(local), self.tracking(branch)].into_iter().flatten() {
            let below = format!("{name}/*");
            let list = |error| internal("list the branches", &error);
            if git.find_reference(&name).is_ok() || git.references_glob(&below).map_err(list)?.next().is_some() {
                return Ok(true);
            }
        }
        // A branch named like a folder above this one can never have it below.
        let above = branch.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| &branch[..at]);
        if let Some(above) = above.into_iter().find(|above| git.find_reference(&format!("refs/heads/{above}")).is_ok())
        {
            return Err(GitError::new(
                format!("The branch `{above}` stands in the way of branches named `{above}/…`."),
                format!("Rename it (`git branch -m {above} OTHER`) or set another `git.branchPrefix`; then `!retry`."),
            ));
        }
        Ok(false)
    }

    /// The remote's branches that begin with this name; none when it cannot be reached.
    async fn remote_branches(&self, beginning: &str) -> BTreeSet<String> {
        let Some(remote) = self.remote() else { return BTreeSet::new() };
        let pattern = format!("refs/heads/{beginning}*");
        let args = ["ls-remote", "--upload-pack=git-upload-pack", "--", &remote.push_url, &pattern];
        let listing = self.run_git(Duration::from_secs(45), &args).await.unwrap_or_default();
        listing.lines().filter_map(|line| Some(line.split_once("\trefs/heads/")?.1.to_owned())).collect()
    }

    pub(super) fn make(&self, workspace: &Workspace) -> Result<(), GitError> {
        self.clear_stale_locks(workspace);
        self.exclude_ours()?;
        let mut folder = self.root().to_path_buf();
        for part in BRANCHES.split('/') {
            folder.push(part);
            make_real_folder(&folder)?;
        }
        let git = self.git2()?;
        let name = format!("refs/heads/{}", workspace.branch);
        let reference = match git.find_reference(&name) {
            // Left by an attempt that was cut, or the work of a worktree that someone deleted.
            Ok(reference) => reference,
            Err(_) => git
                .reference(&name, oid(&workspace.base)?, false, "codebutler: thread begins")
                .map_err(|error| internal("make the branch", &error))?,
        };
        let mut options = git2::WorktreeAddOptions::new();
        options.reference(Some(&reference));
        git.worktree(&workspace.slug, &folder.join(&workspace.slug), Some(&options)).map(drop).map_err(|error| {
            match error.message() {
                text if text.contains("already checked out") => GitError::new(
                    format!("The branch `{}` is checked out elsewhere.", workspace.branch),
                    "`git worktree list` names the folder: switch it to another branch there, then `!retry`.",
                ),
                _ => internal("make the worktree", &error),
            }
        })
    }

    fn remove(&self, workspace: &Workspace, secured: Option<&CommitId>) -> Vec<String> {
        let mut leftovers = Vec::new();
        self.clear_stale_locks(workspace);
        for folder in [self.worktree_path(workspace), self.admin_dir(&workspace.slug)] {
            if let Err(error) = remove_folder(&folder) {
                leftovers.push(format!("The folder `{}` could not be removed: {error}.", folder.display()));
            }
        }
        if !leftovers.is_empty() {
            // Git refuses to delete a branch that is checked out somewhere.
            return leftovers;
        }
        match self.remove_branch(workspace, secured) {
            Ok(None) => {}
            Ok(Some(left)) => leftovers.push(left),
            Err(error) => leftovers.push(error.what),
        }
        let record = self.record_path(&workspace.slug);
        for path in [record.with_extension("tmp"), record] {
            if let Err(error) = remove_file(&path) {
                leftovers.push(format!("The record of the worktree could not be removed: {error}."));
            }
        }
        leftovers
    }

    fn remove_branch(&self, workspace: &Workspace, secured: Option<&CommitId>) -> Result<Option<String>, GitError> {
        let git = self.git2()?;
        let branch = &workspace.branch;
        let tracking = self.tracking(branch);
        if let Ok(mut found) = git.find_branch(branch, git2::BranchType::Local) {
            let tip = found.get().peel_to_commit().map_err(|error| internal("read the branch", &error))?.id();
            let known = [tracking.clone(), self.tracking(&workspace.base_branch)].into_iter().flatten();
            let local = Some(format!("refs/heads/{}", workspace.base_branch));
            let mut safe: Vec<git2::Oid> =
                known.chain(local).filter_map(|name| git.refname_to_id(&name).ok()).collect();
            safe.push(oid(&workspace.base)?);
            safe.extend(secured.and_then(|commit| oid(commit).ok()));
            let is_safe = |at: &git2::Oid| *at == tip || git.graph_descendant_of(*at, tip).unwrap_or(false);
            if !safe.iter().any(is_safe) {
                return Ok(Some(format!(
                    "The branch `{branch}` was kept: it has commits that are nowhere else. `git branch -D {branch}` \
                     deletes it."
                )));
            }
            found.delete().map_err(|error| internal(&format!("delete the branch `{branch}`"), &error))?;
        }
        if let Some(mut reference) = tracking.and_then(|name| git.find_reference(&name).ok()) {
            reference.delete().map_err(|error| internal("forget the remote's branch", &error))?;
        }
        Ok(None)
    }

    fn records_dir(&self) -> PathBuf {
        self.common_dir().join("codebutler").join("workspaces")
    }

    fn record_path(&self, slug: &str) -> PathBuf {
        self.records_dir().join(format!("{slug}.json"))
    }

    /// Has git overlook what is ours: the worktrees in the owner's checkout, and what a cut write leaves in them.
    pub(super) fn exclude_ours(&self) -> Result<(), GitError> {
        self.exclude(&[&format!("/{BRANCHES}/"), leftover::PATTERN])
    }

    fn record_of(&self, thread: &str) -> Option<Record> {
        self.records().into_iter().find(|record| record.thread == thread)
    }

    pub(super) fn records(&self) -> Vec<Record> {
        let entries = std::fs::read_dir(self.records_dir()).into_iter().flatten().flatten();
        // Others were not written to their end.
        let paths =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "json"));
        paths.filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).collect()
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<(), GitError> {
        let (folder, path) = (self.records_dir(), self.record_path(&record.workspace.slug));
        let text = serde_json::to_vec(record).expect("a record is plain data");
        let temporary = path.with_extension("tmp");
        let write = || {
            std::fs::create_dir_all(&folder)?;
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(|error| io_error("write", &path, &error))
    }
}

/// Writes the worktree's `.git` file anew when it is not as git made it: commands in the worktree need it.
pub(super) fn restore_link(folder: &Path, admin: &Path) -> std::io::Result<()> {
    let (path, content) = (folder.join(".git"), format!("gitdir: {}/\n", admin.display()));
    let meta = path.symlink_metadata();
    let is_file = meta.as_ref().is_ok_and(std::fs::Metadata::is_file);
    if is_file && std::fs::read_to_string(&path).is_ok_and(|text| text.trim_end() == content.trim_end()) {
        return Ok(());
    }
    if meta.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
        remove_folder(&path)?;
    }
    write_whole(&path, &content)
}

/// Makes a folder, and refuses a link in its place: the repository's files may hold one that leads elsewhere.
pub(super) fn make_real_folder(path: &Path) -> Result<(), GitError> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(io_error("make the folder", path, &error))
        }
        _ if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) => Ok(()),
        _ => Err(GitError::new(
            format!("`{}` is in the way: it is no folder.", path.display()),
            "Move it away, then `!retry`.",
        )),
    }
}

/// Removes a folder with everything in it, also folders that their maker protected (Go's module cache). Gone is done.
pub(super) fn remove_folder(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            std::fs::remove_dir_all(path)
        }
        result => result,
    }
}

/// Makes every folder below writable for its owner.
fn open_up(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if !path.symlink_metadata()?.is_dir() {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    std::fs::read_dir(path)?.try_for_each(|entry| open_up(&entry?.path()))
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
