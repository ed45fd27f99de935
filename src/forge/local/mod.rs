//! Pull requests without a forge: a record each, and a merge of our own (`contract.md` 2).
//!
//! Records lie in `.git/codebutler/pulls/`. The squash commit is made in memory; it carries a trailer by which a merge
//! whose record was lost is known again. Talks to no remote itself: [`Upstream`] does.

mod changes;
mod checkout;
mod records;
mod squash;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Forge, ForgeError, MergeError, MergeRequest, NewPullRequest, PullRequestStatus, PullState};
use crate::ids::CommitId;
use crate::offload::offload;
use crate::thread::event::PullRequest;
use records::{Record, State};

/// The remote of a repository that is not on GitHub.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// The head of a branch there, its commits fetched; `None` when there is no such branch.
    async fn head(&self, branch: &str) -> Result<Option<CommitId>, ForgeError>;

    /// The heads of these branches there, by one call and without their commits; one that is not there is left out.
    async fn heads(&self, branches: &[String]) -> Result<BTreeMap<String, CommitId>, ForgeError>;

    /// Makes a commit the head of a branch there; `false` when the branch moved and the commit does not build on it.
    async fn advance(&self, branch: &str, commit: &CommitId) -> Result<bool, ForgeError>;
}

/// Pull requests as records of a repository.
#[derive(Clone)]
pub struct Local(Arc<Inner>);

struct Inner {
    /// The owner's checkout.
    root: PathBuf,
    /// Its `.git` folder.
    git_dir: PathBuf,
    /// Name and mail of the squash commit's author.
    author: (String, String),
    upstream: Option<Arc<dyn Upstream>>,
    /// One act at a time: numbers are given once, and merges onto one base wait for each other.
    acting: tokio::sync::Mutex<()>,
}

impl Local {
    /// The records of the repository at `root` whose shared `.git` folder is `git_dir`.
    pub fn new(root: PathBuf, git_dir: PathBuf, author: (String, String), upstream: Option<Arc<dyn Upstream>>) -> Self {
        Self(Arc::new(Inner { root, git_dir, author, upstream, acting: tokio::sync::Mutex::default() }))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ForgeError> + Send + 'static,
    ) -> Result<T, ForgeError> {
        let inner = Arc::clone(&self.0);
        offload(move || work(&inner)).await.unwrap_or_else(|| {
            Err(refused("CodeButler is stopping; nothing was done.", "It goes on after the next start."))
        })
    }

    /// The head of a branch: the remote's where there is one, else the local one.
    async fn head(&self, branch: &str) -> Result<Option<CommitId>, ForgeError> {
        if let Some(upstream) = &self.0.upstream {
            return upstream.head(branch).await;
        }
        let branch = branch.to_owned();
        self.blocking(move |inner| inner.local_head(&branch)).await
    }

    async fn expect_head(&self, branch: &str) -> Result<CommitId, ForgeError> {
        self.head(branch).await?.ok_or_else(|| gone(branch))
    }

    /// A merge may have been done by an attempt that was killed: what cannot be looked at is not known.
    async fn head_to_merge(&self, branch: &str) -> Result<CommitId, MergeError> {
        Ok(self.head(branch).await.map_err(MergeError::Unknown)?.ok_or_else(|| gone(branch))?)
    }

    async fn done_already(&self, request: &MergeRequest, base: &CommitId) -> Result<Option<CommitId>, MergeError> {
        let (asked, base) = (request.clone(), base.clone());
        self.blocking(move |inner| inner.merged_by_hand(&asked, &base)).await.map_err(MergeError::Unknown)
    }

    async fn merge_once(&self, request: &MergeRequest) -> Result<Option<CommitId>, MergeError> {
        let base = self.head_to_merge(&request.base).await?;
        if let Some(done) = self.done_already(request, &base).await? {
            return Ok(Some(done));
        }
        if self.head_to_merge(&request.branch).await? != request.head {
            let error = refused(
                format!(
                    "The branch `{}` has another head than the reviewed `{}`: someone committed to it.",
                    request.branch,
                    request.head.short()
                ),
                "Look at the new commits (`git log`) and merge the branch by hand, or ask here for more work.",
            );
            return Err(error.into());
        }
        let (asked, onto) = (request.clone(), base.clone());
        let squash = self.blocking(move |inner| inner.squash(&asked, &onto)).await?;
        match &self.0.upstream {
            Some(upstream) => match upstream.advance(&request.base, &squash).await {
                Ok(done) => Ok(done.then_some(squash)),
                // The answer may be all that failed, and someone may have pushed on top since.
                Err(error) => match upstream.head(&request.base).await {
                    Ok(Some(head)) => match self.done_already(request, &head).await {
                        Ok(Some(done)) => Ok(Some(done)),
                        Ok(None) => Err(MergeError::Refused(error)),
                        Err(_) => Err(MergeError::Unknown(error)),
                    },
                    Ok(None) => Err(MergeError::Refused(error)),
                    Err(_) => Err(MergeError::Unknown(error)),
                },
            },
            None => {
                let (asked, commit) = (request.clone(), squash.clone());
                self.blocking(move |inner| inner.advance_local(&asked, &base, &commit)).await?;
                Ok(Some(squash))
            }
        }
    }
}

#[async_trait]
impl Forge for Local {
    async fn open(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        let _one_at_a_time = self.0.acting.lock().await;
        let new = new.clone();
        self.blocking(move |inner| {
            let open = inner.records()?.into_iter().find(|pull| pull.branch == new.branch && pull.state == State::Open);
            let record = match open {
                Some(record) => inner.save(record.brought_up_to_date(&new))?,
                None => inner.add(&new)?,
            };
            Ok(record.into())
        })
        .await
    }

    async fn find_open(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        let _one_at_a_time = self.0.acting.lock().await;
        let branch = branch.to_owned();
        self.blocking(move |inner| {
            let is_it = |pull: &Record| pull.branch == branch && pull.state == State::Open;
            Ok(inner.records()?.into_iter().find(is_it).map(|pull| pull.number))
        })
        .await
    }

    async fn status(&self, number: u64) -> Result<PullRequestStatus, ForgeError> {
        let record = self.blocking(move |inner| inner.record(number)).await?;
        let state = record.state.as_str().to_owned();
        let none = Vec::new;
        if record.state != State::Open {
            let head = record.merged.unwrap_or(record.head);
            return Ok(PullRequestStatus { state, mergeable: None, head, reviews: none(), checks: none() });
        }
        let (base, head) = (self.expect_head(&record.base).await?, self.expect_head(&record.branch).await?);
        let tip = head.clone();
        let conflicts = self.blocking(move |inner| inner.conflicts(&base, &tip)).await?;
        let mergeable = Some(conflicts.is_empty());
        Ok(PullRequestStatus { state, mergeable, head, reviews: none(), checks: none() })
    }

    async fn changes(&self, numbers: &[u64]) -> Result<Vec<PullState>, ForgeError> {
        self.look(numbers).await
    }

    async fn ready(&self, number: u64) -> Result<(), ForgeError> {
        let _one_at_a_time = self.0.acting.lock().await;
        self.blocking(move |inner| {
            let record = inner.record(number)?;
            if record.draft { inner.save(Record { draft: false, ..record }).map(drop) } else { Ok(()) }
        })
        .await
    }

    async fn merge(&self, request: &MergeRequest) -> Result<CommitId, MergeError> {
        let _one_at_a_time = self.0.acting.lock().await;
        let number = request.number;
        let record = self.blocking(move |inner| inner.record(number)).await?;
        match (record.state, record.merged.clone()) {
            (State::Merged, Some(commit)) => return Ok(commit),
            (State::Closed, _) => {
                let what = format!("Pull request #{number} is closed.");
                return Err(refused(what, "Open a new thread for the work.").into());
            }
            (State::Open | State::Merged, _) if record.draft => {
                let what = format!("Pull request #{number} is a draft: its work is not finished.");
                return Err(refused(what, "Ask here for what is missing, then say `merge` again.").into());
            }
            (State::Open | State::Merged, _) => {}
        }
        // The base moved while we pushed: once more from where it is now.
        let mut commit = self.merge_once(request).await?;
        if commit.is_none() {
            commit = self.merge_once(request).await?;
        }
        let commit = commit.ok_or_else(|| {
            refused(
                format!("`{}` moves on the remote faster than it can be merged to.", request.base),
                "Say `merge` again.",
            )
        })?;
        let merged = Record { state: State::Merged, merged: Some(commit.clone()), moving: None, ..record };
        // It is merged whatever becomes of the record: the next look finds it in the base.
        if let Err(error) = self.blocking(move |inner| inner.save(merged)).await {
            tracing::warn!(pull = number, commit = %commit, error = error.what, "a merge could not be recorded");
        }
        Ok(commit)
    }

    async fn close(&self, number: u64) -> Result<(), ForgeError> {
        let _one_at_a_time = self.0.acting.lock().await;
        self.blocking(move |inner| match inner.record(number)? {
            record if record.state == State::Open => inner.save(Record { state: State::Closed, ..record }).map(drop),
            _ => Ok(()),
        })
        .await
    }
}

fn gone(branch: &str) -> ForgeError {
    refused(format!("The branch `{branch}` is gone."), "Push it again, or `!close` this thread.")
}

fn refused(what: impl Into<String>, hint: impl Into<String>) -> ForgeError {
    ForgeError { what: what.into(), hint: hint.into() }
}

fn git_error(doing: &str, error: &git2::Error) -> ForgeError {
    if error.code() == git2::ErrorCode::Locked {
        return refused(
            format!("Could not {doing}: another git command is at work in this repository."),
            "Wait until it ended and try again. If none runs, delete the `.lock` file that it left in `.git`.",
        );
    }
    refused(
        format!("Could not {doing}: {}.", error.message().trim_end_matches('.')),
        "Look at the repository with `git status` and `git fsck`, then try again.",
    )
}
