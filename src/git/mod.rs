//! Git: the owner's repository, its base, snapshots of it, and a worktree per thread.
//!
//! Reads and commits by libgit2, which runs no hook, filter or monitor program; talks to the remote by the `git`
//! program, which knows the user's credentials. Never forces, never writes to the owner's checkout, and knows nothing
//! of pull requests.

pub mod base;
mod base_checkout;
mod command;
pub mod commit;
pub mod diff;
mod exclude;
pub mod guard;
mod hold;
pub mod leftover;
mod locks;
mod log;
pub mod port;
pub mod push;
pub mod remote_work;
pub mod restore;
mod slug;
pub mod snapshot;
pub mod thread_git;
pub mod worktree;

#[cfg(test)]
pub mod simulated;
#[cfg(test)]
pub mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use base::BaseCommit;
pub use commit::{Author, Selection};
pub use port::{BranchGit, Git};
pub use restore::Condition;
pub use thread_git::{ThreadGit, View};

use crate::ids::CommitId;
use crate::offload::offload;
use crate::thread::event::Failure;

/// What git refused, as what happened and what to do; both go to people as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct GitError {
    /// What happened, as a sentence with a final dot.
    pub what: String,
    /// What to do about it, as a sentence with a final dot.
    pub hint: String,
    /// The remote's head of the thread's branch, when commits of someone else are the reason.
    pub foreign: Option<CommitId>,
}

impl GitError {
    /// An error from its two sentences.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), foreign: None }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        Self { what: error.what, hint: error.hint }
    }
}

/// The owner's repository. Clones share its locks.
#[derive(Clone, Debug)]
pub struct Repository(Arc<Inner>);

/// Pieces of work with libgit2 at once in one repository.
const AT_ONCE: usize = 4;

#[derive(Debug)]
struct Inner {
    /// The owner's checkout.
    root: PathBuf,
    /// Its `.git` folder, shared by all worktrees.
    common: PathBuf,
    remote: Option<Remote>,
    /// The repository's own settings when it was opened.
    settings: guard::Settings,
    /// When it was opened: what is older and unfinished was left by another life of the program.
    opened: SystemTime,
    /// Names this opening among others.
    life: u64,
    /// Variables that the git program gets beside those passed on; for tests.
    env: Vec<(OsString, OsString)>,
    /// Turns of work with libgit2.
    turns: Arc<tokio::sync::Semaphore>,
    /// The last fetch of a base.
    bases: base::Bases,
    /// One fetch at a time: two that move the same ref refuse each other.
    fetching: tokio::sync::Mutex<()>,
    /// One worktree is made or removed at a time: the choice of a name must hold until it is taken.
    worktrees: Arc<tokio::sync::Mutex<()>>,
    /// One piece of work at a time on each.
    holds: hold::Holds,
}

/// The remote that fetches and pushes go to, as it was when the repository was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name, usually `origin`.
    pub name: String,
    /// Its URL as configured, before `insteadOf`.
    pub url: String,
    /// Where pushes go, as configured.
    pub push_url: String,
    /// Protocols beside https and ssh that it needs: `file`, `http`, `git`.
    protocols: Vec<&'static str>,
}

impl Repository {
    /// Opens the checkout at `path` or around it.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        Self::open_with(path, Vec::new())
    }

    fn open_with(path: &Path, env: Vec<(OsString, OsString)>) -> Result<Self, GitError> {
        let shown = path.display();
        let repository = git2::Repository::discover(path).map_err(|error| match error.code() {
            git2::ErrorCode::NotFound => GitError::new(
                format!("`{shown}` is not in a git repository."),
                "Go to the project's folder, or make one with `git init` and a first commit.",
            ),
            git2::ErrorCode::Owner => GitError::new(
                format!("`{shown}` belongs to another user of this machine."),
                format!("Trust it with `git config --global --add safe.directory {shown}`."),
            ),
            _ => internal("open the repository", &error),
        })?;
        let common = absolute(repository.commondir());
        // Inside a linked worktree, ours or the owner's, the owner's checkout is meant.
        let root = if repository.is_worktree() {
            common.file_name().filter(|name| *name == ".git").and(common.parent()).map(Path::to_path_buf)
        } else {
            repository.workdir().map(absolute)
        };
        let root = root.ok_or_else(|| {
            GitError::new(
                format!("`{shown}` is a bare repository."),
                "Give the path of a checkout: `git clone` makes one of it.",
            )
        })?;
        let remote = Remote::find(&repository).map_err(|error| internal("read the remotes", &error))?;
        let (bases, fetching, worktrees, holds) = Default::default();
        let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let settings = guard::read(&common);
        let (opened, life) = (SystemTime::now(), snapshot::random());
        Ok(Self(Arc::new(Inner {
            root,
            common,
            remote,
            settings,
            opened,
            life,
            env,
            turns,
            bases,
            fetching,
            worktrees,
            holds,
        })))
    }

    /// The owner's checkout.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The `.git` folder that all worktrees share.
    pub fn common_dir(&self) -> &Path {
        &self.0.common
    }

    /// The remote, when there is one.
    pub fn remote(&self) -> Option<&Remote> {
        self.0.remote.as_ref()
    }

    /// Runs something that uses libgit2 where blocking is allowed, a few at a time: when hundreds of threads begin, as
    /// many of the system's would leave no processor to whoever acks what people say.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let turn = Arc::clone(&self.0.turns).acquire_owned().await;
        let repository = self.clone();
        let work = move || {
            // Held by the work itself, which goes on when nobody waits for it any more.
            let _turn = turn;
            work(&repository)
        };
        offload(work).await.unwrap_or_else(|| {
            Err(GitError::new("CodeButler is stopping; nothing was done.", "It goes on after the next start."))
        })
    }

    /// libgit2's view of the repository. Not kept: it cannot be shared between threads, and opening is cheap.
    fn git2(&self) -> Result<git2::Repository, GitError> {
        git2::Repository::open(&self.0.common).map_err(|error| internal("open the repository", &error))
    }

    /// The ref under which the remote's branch is known here.
    fn tracking(&self, branch: &str) -> Option<String> {
        self.remote().map(|remote| format!("refs/remotes/{}/{branch}", remote.name))
    }
}

impl Remote {
    /// `origin`, else the only remote, else none.
    fn find(repository: &git2::Repository) -> Result<Option<Self>, git2::Error> {
        let names = repository.remotes()?;
        let names: Vec<&str> = names.iter().filter_map(|name| name.ok().flatten()).collect();
        let name = match names.as_slice() {
            names if names.contains(&"origin") => "origin",
            [only] => only,
            _ => return Ok(None),
        };
        let config = repository.config()?.snapshot()?;
        // The raw value: `Remote::url` has `insteadOf` applied, which hides the name on GitHub.
        let Ok(url) = config.get_string(&format!("remote.{name}.url")) else { return Ok(None) };
        let push_url = config.get_string(&format!("remote.{name}.pushurl")).unwrap_or_else(|_| url.clone());
        let resolved = repository.find_remote(name)?;
        let used = [resolved.url().ok(), resolved.pushurl().ok().flatten()];
        let all = used.into_iter().flatten().chain([url.as_str(), push_url.as_str()]);
        let mut protocols: Vec<&'static str> = all.filter_map(extra_protocol).collect();
        protocols.sort_unstable();
        protocols.dedup();
        Ok(Some(Self { name: name.to_owned(), url, push_url, protocols }))
    }
}

/// The protocol of a URL when it is one that must be allowed by name. Helpers that run programs never are.
fn extra_protocol(url: &str) -> Option<&'static str> {
    let scp_like = || url.split(':').next().is_some_and(|host| host.len() < url.len() && !host.contains('/'));
    match url.split_once("://") {
        Some(("http", _)) => Some("http"),
        Some(("git", _)) => Some("git"),
        Some(("file", _)) => Some("file"),
        Some(_) => None,
        None if scp_like() => None,
        None => Some("file"),
    }
}

/// The path with links resolved, so that it can be compared.
fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// An error of libgit2 that has no better words.
fn internal(doing: &str, error: &git2::Error) -> GitError {
    match error.code() {
        git2::ErrorCode::Locked => GitError::new(
            format!("Could not {doing}: another git command is at work in this repository."),
            "Wait until it ended and try again. If none runs, delete the `.lock` file that it left in `.git`.",
        ),
        _ => GitError::new(
            format!("Could not {doing}: {}.", error.message().trim_end_matches('.')),
            "Look at the repository with `git status` and `git fsck`, then try again.",
        ),
    }
}

/// An error of the file system.
fn io_error(doing: &str, path: &Path, error: &std::io::Error) -> GitError {
    GitError::new(
        format!("Could not {doing} `{}`: {error}.", path.display()),
        "Check the folder's permissions and the free disk space, then try again.",
    )
}

/// Reads a commit's hash.
fn oid(commit: &crate::ids::CommitId) -> Result<git2::Oid, GitError> {
    git2::Oid::from_str(commit.as_str()).map_err(|error| internal("read a commit's hash", &error))
}

/// A commit's hash as an id.
fn commit_id(oid: git2::Oid) -> crate::ids::CommitId {
    crate::ids::CommitId::new(oid.to_string())
}
