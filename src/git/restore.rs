//! Worktrees that a person, a command or a crash damaged: what git itself needs is written anew, and a folder that is
//! gone is made again from the branch. What is there is never overwritten.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::snapshot::random;
use super::worktree::{Record, remove_folder, restore_link};
use super::{GitError, Repository, internal, io_error, leftover, oid};
use crate::ids::{CommitId, ThreadKey};
use crate::thread::event::Workspace;

/// How a worktree was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its files are there.
    Whole,
    /// Its files were gone. They are there again as in this commit; what was not committed is lost.
    Lost(CommitId),
}

impl Repository {
    /// Whether nothing of a worktree is missing, as far as a glance tells. Cheap enough for every call.
    pub fn is_whole(&self, workspace: &Workspace) -> bool {
        let (folder, admin) = (self.worktree_path(workspace), self.admin_dir(&workspace.slug));
        let link = folder.join(".git").symlink_metadata();
        link.is_ok_and(|meta| meta.is_file() && meta.len() > 0)
            && ["HEAD", "gitdir"].iter().all(|name| has_content(&admin.join(name)))
            && admin.join("index").is_file()
    }

    /// Brings a thread's worktree into order: mends what git needs of it, and makes it again when its files are gone,
    /// from the local branch, else from the remote's.
    pub async fn restore_worktree(&self, thread: &ThreadKey, workspace: &Workspace) -> Result<Condition, GitError> {
        let hold = self.hold(&workspace.slug).await?;
        let one_at_a_time = Arc::clone(&self.0.worktrees).lock_owned().await;
        let (key, workspace) = (thread.to_text(), workspace.clone());
        let name = format!("refs/heads/{}", workspace.branch);
        let known = self.blocking(move |repository| repository.commit_of_ref(&name)).await?;
        let head = match known {
            Some(head) => head,
            None => self.lost_branch(&workspace).await?,
        };
        self.blocking(move |repository| {
            // Held to the end even when nobody waits for it any more: a clean-up must not come in between.
            let _held = (hold, one_at_a_time);
            repository.restore(key, workspace, head)
        })
        .await
    }

    /// The head that a branch without a local ref gets back: the remote's.
    async fn lost_branch(&self, workspace: &Workspace) -> Result<CommitId, GitError> {
        let branch = &workspace.branch;
        let fetched = self.fetch_branch(branch).await;
        let why = match fetched {
            Ok(Some(head)) => return Ok(head),
            Ok(None) if self.remote().is_some() => "the remote does not have it either".to_owned(),
            Ok(None) => "there is no remote that has it".to_owned(),
            Err(fault) => fault.into_error("fetch it").what.trim_end_matches('.').to_owned(),
        };
        Err(GitError::new(
            format!("The branch `{branch}` is gone, and {why}."),
            format!(
                "Find its last commit with `git reflog --all`, then `git branch {branch} COMMIT` and `!retry`; or \
                 `!close` the thread and begin a new one."
            ),
        ))
    }

    fn restore(&self, thread: String, workspace: Workspace, head: CommitId) -> Result<Condition, GitError> {
        self.clear_stale_locks(&workspace);
        let git = self.git2()?;
        let reference = format!("refs/heads/{}", workspace.branch);
        if git.find_reference(&reference).is_err() {
            let made = git.reference(&reference, oid(&head)?, false, "codebutler: branch restored");
            made.map_err(|error| internal("make the branch", &error))?;
        }
        let (folder, admin) = (self.worktree_path(&workspace), self.admin_dir(&workspace.slug));
        let record = self.records().into_iter().find(|record| record.workspace.slug == workspace.slug);
        // Git writes the index when all files are there. Without it, a restoring that was cut is begun anew.
        let half_made = record.is_some_and(|record| !record.complete) && !admin.join("index").is_file();
        let condition = if has_files(&folder) && !half_made {
            self.mend(&workspace)?;
            self.delete_leftovers(&workspace);
            Condition::Whole
        } else {
            self.write_record(&Record { thread: thread.clone(), workspace: workspace.clone(), complete: false })?;
            for path in [folder, admin] {
                remove_folder(&path).map_err(|error| io_error("clear away", &path, &error))?;
            }
            self.make(&workspace)?;
            Condition::Lost(head)
        };
        self.write_record(&Record { thread, workspace, complete: true })?;
        Ok(condition)
    }

    /// Writes anew what is missing of a worktree's registration and of its link to it. The files stay as they are.
    pub(super) fn mend(&self, workspace: &Workspace) -> Result<(), GitError> {
        let (folder, admin) = (self.worktree_path(workspace), self.admin_dir(&workspace.slug));
        let registered = || {
            std::fs::create_dir_all(&admin)?;
            write_missing(&admin.join("commondir"), "../..\n")?;
            write_missing(&admin.join("gitdir"), &format!("{}\n", folder.join(".git").display()))?;
            write_missing(&admin.join("HEAD"), &format!("ref: refs/heads/{}\n", workspace.branch))?;
            restore_link(&folder, &admin)
        };
        registered().map_err(|error| io_error("mend", &folder, &error))?;
        if admin.join("index").is_file() {
            return Ok(());
        }
        // Without an index every file would count as deleted and as new.
        let rebuild = || {
            let git = git2::Repository::open(&admin)?;
            let tree = git.find_reference(&format!("refs/heads/{}", workspace.branch))?.peel_to_tree()?;
            let mut index = git.index()?;
            index.read_tree(&tree)?;
            index.write()
        };
        rebuild().map_err(|error| internal("mend the worktree", &error))
    }
}

/// Whether a folder is there with more in it than the link to git.
pub(super) fn has_files(folder: &Path) -> bool {
    let is_folder = folder.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    is_folder && entries.any(|entry| entry.file_name() != ".git")
}

fn write_missing(path: &Path, content: &str) -> std::io::Result<()> {
    if has_content(path) { Ok(()) } else { write_whole(path, content) }
}

/// Whether a file is there, and not only its beginning: a cut may leave an empty one.
fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0)
}

/// Writes a file whole or not at all. A link in its place is replaced, never written through.
pub(super) fn write_whole(path: &Path, content: &str) -> std::io::Result<()> {
    let temporary = path.with_file_name(leftover::name(random()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = file.write_all(content.as_bytes()).and_then(|()| std::fs::rename(&temporary, path));
    written.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}
