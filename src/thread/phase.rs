//! Where a thread stands, as people would say it; folded from events, never a timer's guess (`decisions.md` 27).

use std::fmt;

use super::state::Thread;
use crate::agent::Role;

/// The phases of the specification's section 13, with the pull request's review and the end as their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The PM talks with people.
    Pm,
    /// A plan was approved; the Coder works.
    Coder,
    /// The pull request is open.
    Review,
    /// The thread is closed.
    Closed,
}

impl Phase {
    /// The phase of a thread.
    pub fn of(thread: &Thread) -> Self {
        if thread.is_closed() {
            Self::Closed
        } else if thread.runs.contains_key(&Role::Coder) || thread.publishing.is_some() {
            Self::Coder
        } else if thread.pull.is_some() {
            Self::Review
        } else if thread.workspace == super::state::WorkspaceState::None {
            Self::Pm
        } else {
            Self::Coder
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pm => "pm",
            Self::Coder => "coder",
            Self::Review => "review",
            Self::Closed => "closed",
        })
    }
}
