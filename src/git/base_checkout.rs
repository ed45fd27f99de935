//! A checkout of the commit at which a thread's worktree began, beside it: what runs there does not see the work.
//!
//! Its head is that commit itself, on no branch, so that git and whatever asks git work in it as they do in the
//! worktree. Not recorded: it is made anew each time, and removed with the worktree at the latest.

use std::path::PathBuf;

use super::worktree::{BRANCHES, make_real_folder, remove_folder, restore_link};
use super::{GitError, Repository, internal, io_error, oid};
use crate::thread::event::Workspace;

impl Repository {
    /// Makes it anew; gives its folder.
    pub async fn checkout_base(&self, workspace: &Workspace) -> Result<PathBuf, GitError> {
        let slug = slug(workspace);
        let hold = self.hold(&slug).await?;
        let base = workspace.base.clone();
        self.blocking(move |repository| {
            let _held = hold;
            repository.clear(&slug)?;
            let mut folder = repository.root().to_path_buf();
            for part in BRANCHES.split('/').chain([slug.as_str()]) {
                folder.push(part);
                make_real_folder(&folder)?;
            }
            let admin = repository.admin_dir(&slug);
            let register = || {
                std::fs::create_dir_all(&admin)?;
                std::fs::write(admin.join("commondir"), "../..\n")?;
                std::fs::write(admin.join("gitdir"), format!("{}\n", folder.join(".git").display()))?;
                std::fs::write(admin.join("HEAD"), format!("{base}\n"))?;
                restore_link(&folder, &admin)
            };
            register().map_err(|error| io_error("make the checkout", &folder, &error))?;
            let fill = || {
                let git = git2::Repository::open(&admin)?;
                git.set_workdir(&folder, false)?;
                let commit = git.find_commit(oid(&base).map_err(|error| git2::Error::from_str(&error.what))?)?;
                git.checkout_tree(commit.as_object(), Some(git2::build::CheckoutBuilder::new().force()))
            };
            fill().map_err(|error| internal("check out the base", &error))?;
            Ok(folder)
        })
        .await
    }

    /// Removes it. Gone is done.
    pub async fn remove_base_checkout(&self, workspace: &Workspace) -> Result<(), GitError> {
        let slug = slug(workspace);
        let hold = self.hold(&slug).await?;
        self.blocking(move |repository| {
            let _held = hold;
            repository.clear(&slug)
        })
        .await
    }

    fn clear(&self, slug: &str) -> Result<(), GitError> {
        for path in [self.root().join(BRANCHES).join(slug), self.admin_dir(slug)] {
            remove_folder(&path).map_err(|error| io_error("remove", &path, &error))?;
        }
        Ok(())
    }
}

/// Its name: no worktree's, since those have no dot in them.
fn slug(workspace: &Workspace) -> String {
    format!("{}.base", workspace.slug)
}
