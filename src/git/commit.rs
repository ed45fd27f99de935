//! Commits on the thread's branch, made by libgit2: no hook runs, no filter program, and no identity of the user's is
//! needed (`decisions.md` 18b).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use git2::{Status, StatusOptions};

use super::snapshot::holds_secrets;
use super::thread_git::{Opened, ThreadGit};
use super::{GitError, commit_id, internal, leftover};
use crate::ids::CommitId;

/// New files over this size are left out.
const LARGEST: u64 = 5 << 20;

/// In whose name commits are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The mail address.
    pub mail: String,
}

impl Author {
    /// Reads `Name <mail>`; `None` for another shape.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, mail) = text.trim().strip_suffix('>')?.split_once('<')?;
        let (name, mail) = (name.trim(), mail.trim());
        let plain = |text: &str| !text.is_empty() && !text.contains(['<', '>', '\n', '\0']);
        (plain(name) && plain(mail)).then(|| Self { name: name.to_owned(), mail: mail.to_owned() })
    }
}

/// What goes into a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Everything that is not ignored.
    Everything,
    /// What git tracks, and these new files.
    TrackedAnd(BTreeSet<String>),
}

/// What committing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The commit; `None` when there was nothing to commit.
    pub commit: Option<CommitId>,
    /// Files in it.
    pub files: Vec<String>,
    /// New files that were left out, with the reason.
    pub left_out: Vec<String>,
}

impl ThreadGit {
    /// Commits the worktree's changes on the thread's branch.
    pub async fn commit_all(&self, message: &str, selection: Selection) -> Result<Commit, GitError> {
        let slug = &self.workspace()?.slug;
        let message = with_trailer(message, &self.requested_by)?;
        let author = self.author.clone();
        let hold = self.repository.hold(slug).await?;
        self.in_repository(move |opened| {
            // Held to the end even when nobody waits for it any more: the next commit must find this one's.
            let _hold = hold;
            opened.commit(&message, &author, &selection)
        })
        .await
    }

    /// A number that is another one whenever a file of the worktree was changed, as far as names, lengths and times tell.
    pub async fn fingerprint(&self) -> Result<u64, GitError> {
        self.workspace()?;
        self.in_repository(|opened| {
            let folder = opened.git.workdir().unwrap_or(opened.git.path()).to_owned();
            let mut hasher = DefaultHasher::new();
            opened.head.as_bytes().hash(&mut hasher);
            for (path, status) in opened.changes()? {
                let meta = folder.join(&path).symlink_metadata().ok();
                let meta = meta.map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime_nsec()));
                (path, status.bits(), meta).hash(&mut hasher);
            }
            Ok(hasher.finish())
        })
        .await
    }

    /// Files that differ from the last commit, ignored ones aside.
    pub async fn uncommitted(&self) -> Result<Vec<String>, GitError> {
        self.workspace()?;
        self.in_repository(|opened| {
            let changes = opened.changes()?;
            Ok(changes.into_iter().map(|(path, _)| path).collect())
        })
        .await
    }
}

impl Opened {
    fn commit(&self, message: &str, author: &Author, selection: &Selection) -> Result<Commit, GitError> {
        self.check_branch()?;
        if let Some(workspace) = &self.workspace {
            self.repository.clear_stale_locks(workspace);
        }
        let fault = |error: git2::Error| internal("commit", &error);
        let mut index = self.git.index().map_err(fault)?;
        index.read(true).map_err(fault)?;
        let mut left_out = Vec::new();
        for (path, status) in self.all_changes()? {
            if leftover::is_untracked(&path, status) && self.delete_leftover(&path) || status.is_ignored() {
                continue;
            }
            if status.is_conflicted() {
                return Err(GitError::new(
                    format!("`{path}` has an unresolved merge conflict."),
                    "Edit the file until it is right, `git add` it, then commit again.",
                ));
            }
            if let Some(reason) = self.objection(&path, status, selection) {
                if status.is_index_new() {
                    index.remove_path(Path::new(&path)).map_err(fault)?;
                }
                left_out.push(format!("`{path}` {reason}"));
            } else if status.is_wt_deleted() {
                index.remove_path(Path::new(&path)).map_err(fault)?;
            } else if status.intersects(Status::WT_NEW | Status::WT_MODIFIED | Status::WT_TYPECHANGE) {
                index.add_path(Path::new(&path)).map_err(fault)?;
            }
        }
        let tree = index.write_tree().and_then(|id| self.git.find_tree(id)).map_err(fault)?;
        let head = self.head_commit()?;
        let merged = self.merge_heads(&head).map_err(fault)?;
        if tree.id() == head.tree_id() && merged.is_empty() {
            self.complete(&mut index).map_err(fault)?;
            // Ours of an attempt that was cut before it was known: the same message right at the head.
            let own = head.message().ok() == Some(message) && head.parent_count() > 0;
            let parent = own.then(|| head.parent(0)).transpose().map_err(fault)?;
            let Some(parent) = parent else { return Ok(Commit { left_out, ..Commit::default() }) };
            let files = self.files_between(&parent, &tree).map_err(fault)?;
            return Ok(Commit { commit: Some(commit_id(head.id())), files, left_out });
        }
        let files = self.files_between(&head, &tree).map_err(fault)?;
        let signature = git2::Signature::now(&author.name, &author.mail).map_err(fault)?;
        let parents: Vec<&git2::Commit<'_>> = std::iter::once(&head).chain(&merged).collect();
        // The branch by its name, and only if its head is still this parent.
        let branch = self.workspace.as_ref().map(|workspace| format!("refs/heads/{}", workspace.branch));
        let commit = self.git.commit(branch.as_deref(), &signature, &signature, message, &tree, &parents);
        let commit = commit.map_err(fault)?;
        index.write().map_err(fault)?;
        let _ = self.git.cleanup_state();
        Ok(Commit { commit: Some(commit_id(commit)), files, left_out })
    }

    /// The worktree must be on the thread's branch: a commit elsewhere would be lost to the pull request.
    fn check_branch(&self) -> Result<(), GitError> {
        let Some(workspace) = &self.workspace else { return Ok(()) };
        let head = self.git.find_reference("HEAD").map_err(|error| internal("read HEAD", &error))?;
        let on = head.symbolic_target().ok().flatten().unwrap_or("a commit without a branch");
        let on = on.trim_start_matches("refs/heads/");
        if on == workspace.branch {
            return Ok(());
        }
        Err(GitError::new(
            format!("The worktree is on `{on}` instead of its branch `{}`.", workspace.branch),
            format!("Finish or abort a rebase, then `git switch {}`.", workspace.branch),
        ))
    }

    /// Ends what a commit that was cut left open: its index, and the state of the merge that it was.
    fn complete(&self, index: &mut git2::Index) -> Result<(), git2::Error> {
        index.write()?;
        if self.git.state() == git2::RepositoryState::Merge {
            self.git.cleanup_state()?;
        }
        Ok(())
    }

    /// The other parents of a merge that is in progress. What the head has already is not one of them: its commit was
    /// made, and cut before it could say so.
    fn merge_heads(&self, head: &git2::Commit<'_>) -> Result<Vec<git2::Commit<'_>>, git2::Error> {
        let text = std::fs::read_to_string(self.git.path().join("MERGE_HEAD")).unwrap_or_default();
        let ids = text.lines().filter_map(|line| git2::Oid::from_str(line.trim()).ok());
        let mut heads = Vec::new();
        for other in ids.filter_map(|id| self.git.find_commit(id).ok()) {
            if other.id() != head.id() && !self.git.graph_descendant_of(head.id(), other.id())? {
                heads.push(other);
            }
        }
        Ok(heads)
    }

    fn changes(&self) -> Result<Vec<(String, Status)>, GitError> {
        let all = self.all_changes()?;
        Ok(all
            .into_iter()
            .filter(|(path, status)| !status.is_ignored() && !leftover::is_untracked(path, *status))
            .collect())
    }

    /// With what is ignored, ignored folders as one.
    pub(super) fn all_changes(&self) -> Result<Vec<(String, Status)>, GitError> {
        let mut options = StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).exclude_submodules(true).include_ignored(true);
        options.include_unreadable(false).update_index(false);
        let statuses = self.git.statuses(Some(&mut options)).map_err(|error| internal("look at the files", &error))?;
        let path = |entry: &git2::StatusEntry<'_>| String::from_utf8(entry.path_bytes().to_vec()).ok();
        Ok(statuses.iter().filter_map(|entry| Some((path(&entry)?, entry.status()))).collect())
    }

    /// Why a file is not committed.
    fn objection(&self, path: &str, status: Status, selection: &Selection) -> Option<String> {
        if status.is_wt_deleted() || status.is_index_deleted() {
            return None;
        }
        let new = status.is_wt_new() || status.is_index_new();
        if let Some(filter) = self.filter_of(path)
            && status.intersects(Status::WT_NEW | Status::WT_MODIFIED)
        {
            return Some(format!("needs the filter program `{filter}`, which is not run here"));
        }
        if !new {
            return None;
        }
        if leftover::is_one(path) {
            return Some("is what a write of a file left that was cut".to_owned());
        }
        if path.ends_with('/') {
            return Some("is a git repository of its own".to_owned());
        }
        if status.is_wt_new()
            && let Selection::TrackedAnd(named) = selection
            && !named.contains(path)
        {
            return Some("is new and was not written by the Coder's own tools".to_owned());
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if holds_secrets(OsStr::from_bytes(name.as_bytes())) {
            return Some("may hold secrets".to_owned());
        }
        let size = self.git.workdir()?.join(path).symlink_metadata().map_or(0, |meta| meta.len());
        (size > LARGEST).then(|| format!("has {:.1} MB, more than 5", size as f64 / f64::from(1 << 20)))
    }

    /// The filter program without which a file must not be stored, such as `lfs`.
    fn filter_of(&self, path: &str) -> Option<String> {
        let flags = git2::AttrCheckFlags::FILE_THEN_INDEX;
        let value = self.git.get_attr(Path::new(path), "filter", flags).ok()?;
        let git2::AttrValue::String(name) = git2::AttrValue::from_string(value) else { return None };
        let required = || self.git.config().and_then(|config| config.get_bool(&format!("filter.{name}.required")));
        (name == "lfs" || required().unwrap_or(false)).then(|| name.to_owned())
    }

    fn files_between(&self, head: &git2::Commit<'_>, tree: &git2::Tree<'_>) -> Result<Vec<String>, git2::Error> {
        let diff = self.git.diff_tree_to_tree(Some(&head.tree()?), Some(tree), None)?;
        let path = |delta: git2::DiffDelta<'_>| delta.new_file().path().map(|path| path.display().to_string());
        Ok(diff.deltas().filter_map(path).collect())
    }
}

/// The message with `Requested-by` at its end, in the paragraph of trailers if there is one.
fn with_trailer(message: &str, requested_by: &str) -> Result<String, GitError> {
    let message: String = message.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let message = message.trim();
    if message.is_empty() {
        return Err(GitError::new("The commit has no message.", "Say in one line what the commit does."));
    }
    let trailer = format!("Requested-by: {}", requested_by.replace(['\n', '\r'], " "));
    let is_trailer = |line: &str| {
        line.split_once(": ")
            .is_some_and(|(key, _)| key.contains('-') && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
    };
    let last = message.rsplit("\n\n").next().unwrap_or_default();
    let joined = message.contains("\n\n") && last.lines().all(is_trailer);
    Ok(format!("{message}{}{trailer}\n", if joined { "\n" } else { "\n\n" }))
}
