//! What people do to a pull request outside the chat: how the forge shows it, the events that come of it, their fold.
//!
//! Whether it is news is decided in `decide/pulls.rs`; this file asks nobody and decides nothing.

use serde::{Deserialize, Serialize};

use super::stalled::{Part, Stalled};
use super::state::{Closing, Publishing, Thread};
use crate::agent::Role;
use crate::ids::{CommitId, MessageTs, RunId, UserId};

/// What became of a pull request on its forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PullFate {
    /// It is open.
    Open,
    /// It was closed without a merge.
    Closed,
    /// It was merged.
    Merged {
        /// The commit on the base branch.
        commit: CommitId,
    },
}

/// A thread's pull request as the forge showed it at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its number.
    pub number: u64,
    /// What became of it.
    pub fate: PullFate,
    /// The branch's head; of a branch that is gone its last one.
    pub head: CommitId,
    /// Whether that head is a commit that the thread's own branch has not; only told of an open one.
    #[serde(default)]
    pub foreign: bool,
    /// Whether the branch is gone from the remote.
    #[serde(default)]
    pub branch_gone: bool,
    /// Who closed, merged or opened it again, or made the foreign head; as far as the forge tells.
    #[serde(default)]
    pub by: Option<String>,
}

impl Sighting {
    /// How every pull request begins: open, with commits of ours only.
    pub fn begin(number: u64, head: CommitId) -> Self {
        Self { number, fate: PullFate::Open, head, foreign: false, branch_gone: false, by: None }
    }

    /// Whether a thread that knows `other` learns nothing by this. Our own pushes are no news.
    pub fn is_known_by(&self, other: &Self) -> bool {
        let same_fate = std::mem::discriminant(&self.fate) == std::mem::discriminant(&other.fate);
        let same_head = self.foreign == other.foreign && (!self.foreign || self.head == other.head);
        self.number == other.number && same_fate && same_head
    }
}

/// Something that people did to the pull request outside the chat, or what was asked to be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outside {
    /// It was merged.
    Merged {
        /// The commit on the base branch.
        commit: CommitId,
        /// The head that was merged.
        head: CommitId,
        /// Who did it.
        #[serde(default)]
        by: Option<String>,
    },
    /// It was closed without a merge.
    Closed {
        /// Who did it.
        #[serde(default)]
        by: Option<String>,
        /// Whether its branch is gone from the remote.
        #[serde(default)]
        branch_gone: bool,
    },
    /// It is open again.
    Reopened {
        /// Who did it.
        #[serde(default)]
        by: Option<String>,
    },
    /// Its branch has commits of someone else on the remote.
    Moved {
        /// The branch's head there.
        head: CommitId,
        /// Who made that commit.
        #[serde(default)]
        by: Option<String>,
    },
    /// Its branch has no commits of others on the remote any more.
    Restored {
        /// The branch's head there.
        head: CommitId,
    },
    /// A person asked that the Coder takes over the commits of others.
    TakeOver {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
    },
    /// A person asked to publish the work again, whose pull request was closed.
    PublishAgain {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
        /// The number under which it is published: of a run that is none.
        run: RunId,
    },
}

/// How a thread's pull request differs from what the thread made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// It was closed without a merge.
    pub closed: bool,
    /// The head that someone else pushed to its branch.
    pub head: Option<CommitId>,
}

/// A merge that nobody asked the thread for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedElsewhere {
    /// Who did it.
    pub by: Option<String>,
    /// The head that was merged.
    pub head: CommitId,
    /// Whether the Coder's work was cut by it.
    pub cut: bool,
}

impl Thread {
    /// Folds what happened outside.
    pub(super) fn apply_outside(&mut self, news: &Outside) {
        match news {
            Outside::Merged { commit, head, by } => {
                let cut = self.runs.remove(&Role::Coder).is_some() | self.publishing.take().is_some();
                self.drop_consults();
                let unfinished = cut || self.has_stalled_work();
                let elsewhere = MergedElsewhere { by: by.clone(), head: head.clone(), cut };
                self.merged = Some(commit.clone());
                self.merging = None;
                self.in_doubt = None;
                self.stalled.clear();
                let elsewhere = Some(elsewhere);
                self.closing =
                    Some(Closing { ts: None, merged: true, cleaned: false, closed: false, unfinished, elsewhere });
            }
            Outside::Closed { .. } => (self.elsewhere.closed, self.in_doubt) = (true, None),
            Outside::Reopened { .. } => self.elsewhere.closed = false,
            Outside::Moved { head, .. } => self.elsewhere.head = Some(head.clone()),
            Outside::Restored { .. } => self.elsewhere.head = None,
            Outside::TakeOver { .. } => self.stalled.retain(|stalled| match stalled {
                Stalled::Publish(_) | Stalled::Merge(_) => false,
                Stalled::Run(role) => *role != Role::Coder,
                Stalled::Base(_) | Stalled::Workspace(_) => true,
            }),
            Outside::PublishAgain { run, .. } => self.publish_again(*run),
        }
    }

    fn publish_again(&mut self, run: RunId) {
        self.last_run = self.last_run.max(run.0);
        self.unstall(Part::Merge);
        if let Some(published) = &self.published {
            let (report, draft) = (published.report.clone(), published.cut.clone());
            let (wrote, checked) = (self.wrote.clone(), published.checked.clone());
            self.publishing = Some(Publishing { run, report, draft, wrote, checked });
        }
    }
}
