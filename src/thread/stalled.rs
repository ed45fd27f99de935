//! What stopped in a thread and waits for a person's `!retry`: its name, on cards and in events, and how it is taken up.
//!
//! What a retry takes up together is decided in `decide/retry.rs`; this file decides nothing.

use serde::{Deserialize, Serialize};

use super::event::Failure;
use super::state::{Publishing, Thread, WorkspaceState};
use crate::agent::Role;

/// Something that stopped before it was done.
#[derive(Clone, Debug, PartialEq)]
pub enum Stalled {
    /// Preparing the base.
    Base(Failure),
    /// Making the worktree.
    Workspace(Failure),
    /// A role's run.
    Run(Role),
    /// Publishing the Coder's work.
    Publish(Publishing),
    /// The merge.
    Merge(Failure),
}

/// What stopped, without the particulars. A thread has stalled in each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Preparing the base.
    Base,
    /// Making the worktree.
    Workspace,
    /// A role's run.
    Run(Role),
    /// Publishing the Coder's work.
    Publish,
    /// The merge.
    Merge,
}

impl Stalled {
    /// What stopped.
    pub fn part(&self) -> Part {
        match self {
            Self::Base(_) => Part::Base,
            Self::Workspace(_) => Part::Workspace,
            Self::Run(role) => Part::Run(*role),
            Self::Publish(_) => Part::Publish,
            Self::Merge(_) => Part::Merge,
        }
    }
}

impl Part {
    /// Its name on a card's button.
    pub fn name(self) -> String {
        match self {
            Self::Base => "base".to_owned(),
            Self::Workspace => "workspace".to_owned(),
            Self::Run(role) => format!("run/{}", role.key()),
            Self::Publish => "publish".to_owned(),
            Self::Merge => "merge".to_owned(),
        }
    }

    /// The part of that name; `None` for what older cards carry.
    pub fn parse(name: &str) -> Option<Self> {
        let runs = Role::ALL.into_iter().map(Self::Run);
        [Self::Base, Self::Workspace, Self::Publish, Self::Merge]
            .into_iter()
            .chain(runs)
            .find(|part| part.name() == name)
    }

    /// Whether it works in the worktree or brings out what was worked there: one of these at a time.
    pub fn is_work(self) -> bool {
        match self {
            Self::Run(Role::Coder) | Self::Publish => true,
            Self::Run(Role::Pm | Role::Researcher | Role::Artist | Role::Lead)
            | Self::Base
            | Self::Workspace
            | Self::Merge => false,
        }
    }
}

impl Thread {
    /// What is being prepared now, so that a run begins of it.
    pub fn prepares(&self) -> Option<Part> {
        let asked = self.conversations.get(&Role::Pm).is_some_and(|pm| !pm.unheard.is_empty());
        if self.is_stalled_early() {
            None
        } else if self.base.is_none() && asked {
            Some(Part::Base)
        } else {
            (self.workspace == WorkspaceState::Wanted && !self.is_closed()).then_some(Part::Workspace)
        }
    }

    /// Notes why the thread does not go on; the same part again replaces the older reason.
    pub(super) fn stall(&mut self, stalled: Stalled) {
        self.unstall(stalled.part());
        self.stalled.push(stalled);
    }

    /// Forgets that this stopped.
    pub(super) fn unstall(&mut self, part: Part) {
        self.stalled.retain(|stalled| stalled.part() != part);
    }

    /// Whether the Coder's work stopped, or what brings it out.
    pub(super) fn has_stalled_work(&self) -> bool {
        self.stalled.iter().any(|stalled| stalled.part().is_work())
    }

    /// Forgets what stopped of a thread's work, which is over. What was asked before there was a base waits still.
    pub(super) fn unstall_work(&mut self) {
        self.stalled.retain(|stalled| stalled.part() == Part::Base);
    }

    /// Takes up what stopped last.
    pub(super) fn take_up_newest(&mut self) {
        if let Some(part) = self.stalled.last().map(Stalled::part) {
            self.take_up(&[part]);
        }
    }

    /// Takes these up. What a run or a merge needs beside that comes with events of its own.
    pub(super) fn take_up(&mut self, parts: &[Part]) {
        for stalled in std::mem::take(&mut self.stalled) {
            match stalled {
                stalled if !parts.contains(&stalled.part()) => self.stalled.push(stalled),
                Stalled::Publish(publishing) => self.publishing = Some(publishing),
                Stalled::Base(_) | Stalled::Workspace(_) | Stalled::Run(_) | Stalled::Merge(_) => {}
            }
        }
    }
}
