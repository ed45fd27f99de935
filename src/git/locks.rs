//! Lock files that a killed process left in what is ours alone: the registration of a worktree and its branch. Never
//! those of the owner's checkout, of shared refs or of `packed-refs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Repository;
use crate::thread::event::Workspace;

/// No work on a worktree's index or branch holds a lock for so long.
const STALE: Duration = Duration::from_secs(60);

impl Repository {
    /// Removes stale locks of a worktree. For calls that change it: none of the thread's commands runs then, so that
    /// only a person's own git could hold a lock. One that is older than this program was left by a life before it,
    /// whose commands were ended at the start; one that is older than a minute by a command that was killed. The worst
    /// that a person who sits that long in `git commit` meets is that his commit is refused: git notices that the
    /// branch has moved.
    pub(super) fn clear_stale_locks(&self, workspace: &Workspace) {
        for path in self.locks(workspace) {
            let Ok(made) = path.symlink_metadata().and_then(|meta| meta.modified()) else { continue };
            if made < self.0.opened || made.elapsed().is_ok_and(|age| age > STALE) {
                tracing::warn!(path = %path.display(), "a lock that a killed process left is removed");
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn locks(&self, workspace: &Workspace) -> impl Iterator<Item = PathBuf> + use<> {
        let admin = self.admin_dir(&workspace.slug);
        let refs = [Some(format!("refs/heads/{}", workspace.branch)), self.tracking(&workspace.branch)];
        let refs = refs.map(|name| name.map(|name| self.common_dir().join(name)));
        let locked = [Some(admin.join("index")), Some(admin.join("HEAD"))].into_iter().chain(refs).flatten();
        locked.map(|path| lock_of(&path))
    }
}

/// Git's lock of a file.
fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
