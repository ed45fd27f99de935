//! What a write of a file leaves in a worktree when the program is killed in the middle of it: a file beside it, under
//! a name of its own. It is excluded from what git sees, never committed, and deleted by the next life.

use std::path::Path;

use git2::Status;

use super::thread_git::Opened;
use super::{GitError, Repository};
use crate::thread::event::Workspace;

/// The names below, for `.git/info/exclude`.
pub(super) const PATTERN: &str = ".codebutler-????????????????.tmp";

const PREFIX: &str = ".codebutler-";
const SUFFIX: &str = ".tmp";

/// The name under which a file is written before it takes its own.
pub fn name(number: u64) -> String {
    format!("{PREFIX}{number:016x}{SUFFIX}")
}

/// Whether a path ends in such a name.
pub(super) fn is_one(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    number.is_some_and(|number| number.len() == 16 && number.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
}

/// Whether a change of the worktree is such a file, and no file of the repository's.
pub(super) fn is_untracked(path: &str, status: Status) -> bool {
    (status.is_wt_new() || status.is_ignored()) && is_one(path)
}

impl Repository {
    /// Deletes what an earlier life left in a worktree, and has git overlook what this one may leave. What cannot be
    /// looked at stays; commits leave it out.
    pub(super) fn delete_leftovers(&self, workspace: &Workspace) {
        let delete = || -> Result<(), GitError> {
            self.exclude_ours()?;
            let opened = Opened::worktree(self, workspace.clone().into())?;
            for (path, _) in opened.all_changes()?.iter().filter(|(path, status)| is_untracked(path, *status)) {
                opened.delete_leftover(path);
            }
            Ok(())
        };
        if let Err(error) = delete() {
            tracing::warn!(slug = workspace.slug, error = error.what, "what cut writes left could not be looked for");
        }
    }
}

impl Opened {
    /// Deletes a file of such a name that git does not track, unless this life may be writing it. Says whether it did.
    pub(super) fn delete_leftover(&self, path: &str) -> bool {
        let Some(path) = self.git.workdir().map(|folder| folder.join(path)) else { return false };
        let made = path.symlink_metadata().and_then(|meta| meta.modified());
        let is_old = made.is_ok_and(|made| made < self.repository.0.opened);
        is_old && delete(&path)
    }
}

fn delete(path: &Path) -> bool {
    tracing::info!(path = %path.display(), "what a write that was cut left is deleted");
    std::fs::remove_file(path).is_ok()
}
