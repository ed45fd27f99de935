//! A forge in memory: one open pull request per branch, a squash merge onto the simulated remote, a second pull request
//! or merge of the same branch a violation. What it holds outlives the lives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::fate::{Fate, Trouble};
use crate::forge::{Forge, ForgeError, MergeError, MergeRequest, NewPullRequest, PullRequestStatus, PullState, body};
use crate::git::simulated::SimulatedGit;
use crate::ids::CommitId;
use crate::thread::event::PullRequest;
use crate::thread::outside::PullFate;

/// A pull request as the forge has it.
#[derive(Clone, Debug)]
pub struct Pull {
    pub number: u64,
    pub branch: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub draft: bool,
    pub state: State,
    /// The head when it was merged.
    pub head: CommitId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Closed,
    Merged(CommitId),
}

/// What the forge holds.
#[derive(Default)]
pub struct Held {
    pub pulls: Vec<Pull>,
    pub violations: Vec<String>,
}

/// The forge as the product sees it.
#[derive(Clone)]
pub struct SimulatedForge {
    held: Arc<Mutex<Held>>,
    remote: SimulatedGit,
    fate: Fate,
}

impl SimulatedForge {
    pub fn new(fate: Fate, remote: SimulatedGit) -> Self {
        Self { held: Arc::default(), remote, fate }
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A person closes the open pull request of a branch.
    pub fn close_by_hand(&self, branch: &str) {
        if let Some(pull) = self.held().open(branch) {
            pull.state = State::Closed;
        }
    }

    /// A person merges the open pull request of a branch.
    pub fn merge_by_hand(&self, branch: &str) {
        let mut held = self.held();
        let Some(pull) = held.open(branch) else { return };
        if let Ok(commit) = self.squash(&pull.branch, &pull.base, &pull.title) {
            pull.head = self.head(&pull.branch).unwrap_or_else(|| pull.head.clone());
            pull.state = State::Merged(commit);
        }
    }

    /// Whether a branch has an open pull request.
    pub fn has_open(&self, branch: &str) -> bool {
        self.held().open(branch).is_some()
    }

    fn head(&self, branch: &str) -> Option<CommitId> {
        self.remote.remote_heads().get(branch).cloned()
    }

    fn squash(&self, branch: &str, base: &str, message: &str) -> Result<CommitId, String> {
        let head = self.head(branch).ok_or_else(|| format!("The branch `{branch}` is gone."))?;
        self.remote.squash(&head, base, message).map_err(|files| format!("Conflicts in {}.", files.join(", ")))
    }

    async fn begin(&self, call: &str, deed: bool) -> Result<bool, ForgeError> {
        let label = format!("forge.{call}.start");
        if deed {
            self.fate.at(&label).await
        } else {
            self.fate.at_look(&label).await
        }
        let no_answer = || error("GitHub did not answer.", "Try again in a moment.");
        match self.fate.trouble(&format!("forge.{call}")) {
            Trouble::None => Ok(false),
            Trouble::After => Ok(true),
            Trouble::Before => Err(no_answer()),
            Trouble::TooFast(_) => Err(error("GitHub's rate limit is used up.", "Try again in a minute.")),
            Trouble::Refused => Err(error("GitHub had an error (502).", "Try again in a moment.")),
        }
    }

    async fn end(&self, call: &str, deed: bool, lost: bool) -> Result<(), ForgeError> {
        let label = format!("forge.{call}.end");
        if deed {
            self.fate.at(&label).await
        } else {
            self.fate.at_look(&label).await
        }
        if lost { Err(error("GitHub's answer was lost.", "Try again in a moment.")) } else { Ok(()) }
    }
}

impl Held {
    fn open(&mut self, branch: &str) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|pull| pull.branch == branch && pull.state == State::Open)
    }

    fn numbered(&mut self, number: u64) -> Result<&mut Pull, ForgeError> {
        let found = self.pulls.iter_mut().find(|pull| pull.number == number);
        found.ok_or_else(|| error(format!("There is no pull request #{number}."), "Look at GitHub."))
    }
}

fn error(what: impl Into<String>, hint: &str) -> ForgeError {
    ForgeError { what: what.into(), hint: hint.to_owned() }
}

fn shown(pull: &Pull) -> PullRequest {
    let Pull { number, title, draft, .. } = pull.clone();
    PullRequest { number, url: format!("https://forge.example/pull/{number}"), title, draft }
}

#[async_trait]
impl Forge for SimulatedForge {
    async fn open(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("open", true).await?;
        let made = {
            let mut held = self.held();
            let number = held.pulls.len() as u64 + 1;
            if let Some(pull) = held.open(&new.branch) {
                if let Some(body) = body::updated(&pull.body, new) {
                    pull.body = body;
                }
                pull.draft = new.draft;
                shown(pull)
            } else {
                let Some(head) = self.head(&new.branch) else {
                    return Err(error(format!("GitHub has no branch `{}`.", new.branch), "Push it first."));
                };
                let body = body::fresh(new);
                let NewPullRequest { branch, base, title, draft, .. } = new.clone();
                let pull = Pull { number, branch, base, title, body, draft, state: State::Open, head };
                held.pulls.push(pull.clone());
                shown(&pull)
            }
        };
        self.end("open", true, lost).await?;
        Ok(made)
    }

    async fn find_open(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("find_open", false).await?;
        let found = self.held().open(branch).map(|pull| pull.number);
        self.end("find_open", false, lost).await?;
        Ok(found)
    }

    async fn status(&self, number: u64) -> Result<PullRequestStatus, ForgeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("status", false).await?;
        let status = {
            let mut held = self.held();
            let pull = held.numbered(number)?;
            let state = match &pull.state {
                State::Open => "open",
                State::Closed => "closed",
                State::Merged(_) => "merged",
            };
            let head = self.head(&pull.branch).unwrap_or_else(|| pull.head.clone());
            let (reviews, checks) = Default::default();
            PullRequestStatus { state: state.to_owned(), mergeable: Some(true), head, reviews, checks }
        };
        self.end("status", false, lost).await?;
        Ok(status)
    }

    async fn changes(&self, numbers: &[u64]) -> Result<Vec<PullState>, ForgeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("changes", false).await?;
        let pulls: Vec<Pull> =
            self.held().pulls.iter().filter(|pull| numbers.contains(&pull.number)).cloned().collect();
        let state = |pull: Pull| {
            let fate = match pull.state {
                State::Open => PullFate::Open,
                State::Closed => PullFate::Closed,
                State::Merged(commit) => PullFate::Merged { commit },
            };
            let there = self.head(&pull.branch);
            let head = there.clone().filter(|_| fate == PullFate::Open).unwrap_or(pull.head);
            PullState {
                number: pull.number,
                fate,
                branch: pull.branch,
                head,
                branch_gone: there.is_none(),
                by: None,
                author: None,
            }
        };
        let states = pulls.into_iter().map(state).collect();
        self.end("changes", false, lost).await?;
        Ok(states)
    }

    async fn ready(&self, number: u64) -> Result<(), ForgeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("ready", true).await?;
        self.held().numbered(number)?.draft = false;
        self.end("ready", true, lost).await
    }

    async fn merge(&self, request: &MergeRequest) -> Result<CommitId, MergeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("merge", true).await?;
        let merged = {
            let mut held = self.held();
            let pull = held.numbered(request.number)?;
            match &pull.state {
                State::Merged(commit) => commit.clone(),
                State::Closed => {
                    let what = format!("Pull request #{} was closed on GitHub.", pull.number);
                    return Err(error(what, "Open it again there and say `merge`, or `!close` this thread.").into());
                }
                State::Open => {
                    let head = self.head(&pull.branch);
                    if head.as_ref() != Some(&request.head) {
                        let what = "Someone pushed to the branch since it was reviewed.";
                        let hint = "Look at the new commits, then merge on GitHub or ask for more work.";
                        return Err(error(what, hint).into());
                    }
                    let message = format!("{}\n\n{}", request.title, request.message);
                    let commit = self
                        .squash(&pull.branch, &pull.base, &message)
                        .map_err(|what| error(what, "Ask here for the conflict to be solved."))?;
                    pull.head = request.head.clone();
                    pull.state = State::Merged(commit.clone());
                    commit
                }
            }
        };
        self.end("merge", true, lost).await.map_err(MergeError::Unknown)?;
        Ok(merged)
    }

    async fn close(&self, number: u64) -> Result<(), ForgeError> {
        let _busy = self.fate.enter();
        let lost = self.begin("close", true).await?;
        {
            let mut held = self.held();
            let pull = held.numbered(number)?;
            if pull.state == State::Open {
                pull.state = State::Closed;
            }
        }
        self.end("close", true, lost).await
    }
}
