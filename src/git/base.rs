//! The base: the commit that a thread stands on, fetched fresh from the remote.
//!
//! Never touches the owner's checkout or his local branches; only the remote-tracking ref moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::command::GitFault;
use super::{GitError, Remote, Repository, commit_id, internal};
use crate::ids::CommitId;

/// A commit that a thread can stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseCommit {
    /// The commit.
    pub commit: CommitId,
    /// The branch it is the head of.
    pub branch: String,
    /// What people should know about it, as a sentence: that the remote could not be reached.
    pub notice: Option<String>,
}

const ASK: Duration = Duration::from_secs(45);
const FETCH: Duration = Duration::from_secs(600);

/// The last fetch of a base, for those who asked before it began: hundreds of threads may want one at once.
#[derive(Debug, Default)]
pub(super) struct Bases {
    begun: AtomicU64,
    last: tokio::sync::Mutex<Option<Fetched>>,
}

#[derive(Debug)]
struct Fetched {
    number: u64,
    base: Option<String>,
    result: Result<BaseCommit, GitError>,
}

impl Bases {
    /// How many fetches there were.
    #[cfg(test)]
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Repository {
    /// Fetches the head of the base branch: `base`, else the remote's default branch. Without a remote it is the local
    /// branch `base`, else `main`, `master`, or the one that is checked out. Those who ask while another fetch is under
    /// way share the next.
    pub async fn fetch_base(&self, base: Option<&str>) -> Result<BaseCommit, GitError> {
        let bases = &self.0.bases;
        let before = bases.begun.load(Ordering::SeqCst);
        let mut last = bases.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.number > before && last.base.as_deref() == base) {
            return last.result.clone();
        }
        let number = bases.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = self.fetch_base_now(base).await;
        *last = Some(Fetched { number, base: base.map(str::to_owned), result: result.clone() });
        result
    }

    async fn fetch_base_now(&self, base: Option<&str>) -> Result<BaseCommit, GitError> {
        if let Some(base) = base.filter(|base| !git2::Branch::name_is_valid(base).unwrap_or(false)) {
            return Err(GitError::new(
                format!("`{base}` is no name of a branch."),
                "Correct `git.base` in `.codebutler/config.json`.",
            ));
        }
        let Some(remote) = self.remote() else {
            let base = base.map(str::to_owned);
            return self.blocking(move |repository| repository.local_base(base.as_deref())).await;
        };
        let branch = match base {
            Some(base) => base.to_owned(),
            None => match self.default_branch(remote).await {
                Ok(branch) => branch,
                Err(Unreachable::Empty) => return Err(empty_remote(remote)),
                Err(Unreachable::Fault(fault)) => return self.last_fetched(None, fault).await,
            },
        };
        match self.fetch_branch(&branch).await {
            Ok(Some(commit)) => Ok(BaseCommit { commit, branch, notice: None }),
            Ok(None) => Err(GitError::new(
                format!("The remote `{}` has no branch `{branch}`.", remote.name),
                "Push that branch, or set `git.base` in `.codebutler/config.json` to one that is there.",
            )),
            Err(fault) => self.last_fetched(Some(branch), fault).await,
        }
    }

    /// Fetches one branch of the remote and gives its head; `None` when the remote has no such branch.
    pub(super) async fn fetch_branch(&self, branch: &str) -> Result<Option<CommitId>, GitFault> {
        let (Some(remote), Some(tracking)) = (self.remote(), self.tracking(branch)) else { return Ok(None) };
        let refspec = format!("+refs/heads/{branch}:{tracking}");
        let flags = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"];
        let mut args = vec!["fetch"];
        args.extend(flags);
        args.extend(["--upload-pack=git-upload-pack", "--", &remote.url, &refspec]);
        let _one_at_a_time = self.0.fetching.lock().await;
        let mut result = self.run_git(FETCH, &args).await;
        // Someone else, the owner perhaps, moved the same ref at the same time.
        if result.as_ref().is_err_and(|fault| fault.says("cannot lock ref") || fault.says("unable to update local ref"))
        {
            result = self.run_git(FETCH, &args).await;
        }
        match result {
            Ok(_) => {}
            Err(fault) if fault.says("couldn't find remote ref") => return Ok(None),
            Err(fault) => return Err(fault),
        }
        let found = self.blocking(move |repository| repository.commit_of_ref(&tracking)).await;
        found.map_err(|error| GitFault::Failed(error.what))
    }

    async fn default_branch(&self, remote: &Remote) -> Result<String, Unreachable> {
        let args = ["ls-remote", "--symref", "--upload-pack=git-upload-pack", "--", &remote.url, "HEAD"];
        let listing = self.run_git(ASK, &args).await.map_err(Unreachable::Fault)?;
        let named = listing.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
        named.map(str::to_owned).ok_or(Unreachable::Empty)
    }

    /// The remote could not be reached: what is known of it must do.
    async fn last_fetched(&self, branch: Option<String>, fault: GitFault) -> Result<BaseCommit, GitError> {
        let error = fault.into_error("fetch from the remote");
        let found = self.blocking(move |repository| repository.last_known(branch)).await?;
        let Some((branch, commit)) = found else { return Err(error) };
        let notice = format!("{} Working from the last fetched commit `{}` of `{branch}`.", error.what, commit.short());
        Ok(BaseCommit { commit, branch, notice: Some(notice) })
    }

    fn last_known(&self, branch: Option<String>) -> Result<Option<(String, CommitId)>, GitError> {
        let candidates = match branch {
            Some(branch) => vec![branch],
            None => {
                let head = self.tracking("HEAD").and_then(|head| {
                    let target = self.git2().ok()?.find_reference(&head).ok()?.symbolic_target().ok()??.to_owned();
                    target.strip_prefix(&self.tracking("")?).map(str::to_owned)
                });
                head.into_iter().chain(["main".to_owned(), "master".to_owned()]).collect()
            }
        };
        for branch in candidates {
            let Some(tracking) = self.tracking(&branch) else { continue };
            if let Some(commit) = self.commit_of_ref(&tracking)? {
                return Ok(Some((branch, commit)));
            }
        }
        Ok(None)
    }

    fn local_base(&self, base: Option<&str>) -> Result<BaseCommit, GitError> {
        let repository = self.git2()?;
        let head = repository.find_reference("HEAD").ok();
        let head = head.and_then(|head| head.symbolic_target().ok()??.strip_prefix("refs/heads/").map(str::to_owned));
        let candidates: Vec<String> = match base {
            Some(base) => vec![base.to_owned()],
            None => ["main", "master"].into_iter().map(str::to_owned).chain(head).collect(),
        };
        for branch in candidates {
            if let Some(commit) = self.commit_of_ref(&format!("refs/heads/{branch}"))? {
                return Ok(BaseCommit { commit, branch, notice: None });
            }
        }
        Err(match base {
            Some(base) if !repository.is_empty().unwrap_or(true) => GitError::new(
                format!("There is no branch `{base}`."),
                "Make it, or correct `git.base` in `.codebutler/config.json`.",
            ),
            _ => GitError::new(
                "The repository has no commit yet.",
                "Make a first one: `git add -A && git commit -m \"First commit\"`; then `!retry`.",
            ),
        })
    }

    /// The commit a ref leads to; `None` when there is no such ref.
    pub(super) fn commit_of_ref(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        let repository = self.git2()?;
        let found = repository.find_reference(name).and_then(|found| found.peel_to_commit());
        match found {
            Ok(commit) => Ok(Some(commit_id(commit.id()))),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(internal(&format!("read `{name}`"), &error)),
        }
    }
}

/// Why the default branch is not known.
enum Unreachable {
    /// The remote has no branch at all.
    Empty,
    /// The remote did not answer.
    Fault(GitFault),
}

fn empty_remote(remote: &Remote) -> GitError {
    GitError::new(
        format!("The remote `{}` has no commit on its default branch yet.", remote.name),
        format!("Push a first commit: `git push {} HEAD`; then `!retry`.", remote.name),
    )
}
