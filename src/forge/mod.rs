//! The forge port: pull requests. `github/` by `gh api`, `local/` as a record with our own merge.

pub mod body;
pub mod github;
pub mod local;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::CommitId;
use crate::thread::command::NotMerged;
use crate::thread::event::{Failure, PullRequest};
use crate::thread::outside::PullFate;

pub use github::GitHub;
pub use local::Local;

/// How the body of a pull request begins whose work is not finished. A body that we wrote so is replaced by what comes
/// after it; any other may be people's words, and gets such a line above it for as long as it holds.
pub const UNFINISHED: &str = "> **Draft:**";

/// What a pull request is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPullRequest {
    /// The thread's branch, already pushed.
    pub branch: String,
    /// The branch to merge into.
    pub base: String,
    /// The title.
    pub title: String,
    /// The body, as Markdown.
    pub body: String,
    /// What shows that the work is done, as Markdown: the part of the body that is brought up to date also in one that
    /// people may have written. `None`: it stays as it is.
    pub evidence: Option<String>,
    /// Whether it is a draft.
    pub draft: bool,
}

/// How a pull request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestStatus {
    /// `open`, `closed` or `merged`.
    pub state: String,
    /// Whether it can be merged; `None` while the forge still computes it.
    pub mergeable: Option<bool>,
    /// The forge's head of the branch.
    pub head: CommitId,
    /// Reviews, one line each: `Ana approved`.
    pub reviews: Vec<String>,
    /// Checks, one line each: `build: success`.
    pub checks: Vec<String>,
}

/// What a look at many pull requests gives of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullState {
    /// Its number.
    pub number: u64,
    /// What became of it.
    pub fate: PullFate,
    /// Its branch.
    pub branch: String,
    /// The branch's head; of a merged or closed one its last.
    pub head: CommitId,
    /// Whether the branch is gone from the remote.
    pub branch_gone: bool,
    /// Who merged, closed or opened it again last, as far as the forge knows.
    pub by: Option<String>,
    /// Who made the head, as far as the forge knows.
    pub author: Option<String>,
}

/// A merge to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRequest {
    /// The pull request's number.
    pub number: u64,
    /// Its branch.
    pub branch: String,
    /// The branch to merge into.
    pub base: String,
    /// The head that was reviewed; another head is refused.
    pub head: CommitId,
    /// First line of the squash commit.
    pub title: String,
    /// The rest of the squash commit's message.
    pub message: String,
}

/// Pull requests of one repository.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Opens a pull request, or returns the open one of that branch: its answer may have been lost. An open one that
    /// was not finished is brought up to date; each becomes a draft, or is one no longer, as the new one is to be.
    async fn open(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError>;

    /// The number of the open pull request of a branch; `None` when there is none.
    async fn find_open(&self, branch: &str) -> Result<Option<u64>, ForgeError>;

    /// How the pull request stands.
    async fn status(&self, number: u64) -> Result<PullRequestStatus, ForgeError>;

    /// How these pull requests stand, by one call whatever their number, up to a hundred (and a fetch of the base when
    /// it moved, where the forge is a git remote alone). One that the forge does not know is left out.
    async fn changes(&self, numbers: &[u64]) -> Result<Vec<PullState>, ForgeError>;

    /// Takes the draft mark off. One without it counts as done.
    async fn ready(&self, number: u64) -> Result<(), ForgeError>;

    /// Squash-merges exactly the head that was reviewed. An already merged one counts as done.
    async fn merge(&self, request: &MergeRequest) -> Result<CommitId, MergeError>;

    /// Closes the pull request without merging. An already closed one counts as done.
    async fn close(&self, number: u64) -> Result<(), ForgeError>;
}

/// What the forge refused, as what happened and what to do; both go to the thread as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ForgeError {
    /// What happened, as a sentence with a final dot.
    pub what: String,
    /// What to do about it, as a sentence with a final dot.
    pub hint: String,
}

/// Why a merge did not come about, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// It was not done.
    #[error(transparent)]
    Refused(#[from] ForgeError),
    /// The forge did not answer, and cannot be asked how the pull request stands: it may be merged.
    #[error("{0}")]
    Unknown(ForgeError),
}

impl From<MergeError> for NotMerged {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Refused(error) => Self::Refused(error.into()),
            MergeError::Unknown(error) => Self::Unknown(error.into()),
        }
    }
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Self {
        Self { what: error.what, hint: error.hint }
    }
}
