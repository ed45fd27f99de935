//! The tools by name: who may call each and how it may run beside others.
//!
//! The one table from which role limits, parallel running and restart rules follow. What a tool does is in `tools/`;
//! tools that are events of the thread (plan, checklist) are handled in `thread/decide/`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Role;

/// A tool that a model can be offered; names and arguments as in `contract.md` 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ToolName {
    Read,
    Grep,
    Glob,
    Write,
    Edit,
    Bash,
    TodoWrite,
    GitLog,
    GitDiff,
    GitCommit,
    GitPush,
    #[serde(rename = "GHCreatePR")]
    GhCreatePr,
    #[serde(rename = "GHStatus")]
    GhStatus,
    ProposePlan,
    AskUser,
    #[serde(rename = "AskPM")]
    AskPm,
    SlackNotify,
}

/// How a call may run, and what a restart in the middle of it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Changes nothing: runs beside other such calls, and simply again after a restart.
    Reads,
    /// Changes files or runs commands: alone, in order; cut by a restart, the model is told and checks for itself.
    Changes,
    /// Acts on git or the forge in a way that can be looked up: alone, in order; done again after a restart, where it
    /// first looks whether it happened.
    Acts,
    /// An event of the thread, decided by the core; no effect outside.
    Core,
    /// Waits for a person or for the PM, in the log and for as long as it takes: alone, in order; nothing of its run goes
    /// on meanwhile.
    Waits,
}

impl ToolName {
    /// Every tool built so far, in the order in which models see them.
    pub const ALL: [Self; 17] = [
        Self::Read,
        Self::Grep,
        Self::Glob,
        Self::Write,
        Self::Edit,
        Self::Bash,
        Self::TodoWrite,
        Self::GitLog,
        Self::GitDiff,
        Self::GitCommit,
        Self::GitPush,
        Self::GhCreatePr,
        Self::GhStatus,
        Self::ProposePlan,
        Self::AskUser,
        Self::AskPm,
        Self::SlackNotify,
    ];

    /// The name as the model writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Grep => "Grep",
            Self::Glob => "Glob",
            Self::Write => "Write",
            Self::Edit => "Edit",
            Self::Bash => "Bash",
            Self::TodoWrite => "TodoWrite",
            Self::GitLog => "GitLog",
            Self::GitDiff => "GitDiff",
            Self::GitCommit => "GitCommit",
            Self::GitPush => "GitPush",
            Self::GhCreatePr => "GHCreatePR",
            Self::GhStatus => "GHStatus",
            Self::ProposePlan => "ProposePlan",
            Self::AskUser => "AskUser",
            Self::AskPm => "AskPM",
            Self::SlackNotify => "SlackNotify",
        }
    }

    /// The tool of exactly that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == name)
    }

    /// The roles that are offered it.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::Read | Self::Grep | Self::Glob | Self::SlackNotify => {
                &[Role::Pm, Role::Coder, Role::Artist, Role::Lead]
            }
            Self::GitLog | Self::GitDiff | Self::GhStatus => &[Role::Pm, Role::Coder, Role::Lead],
            Self::Write
            | Self::Edit
            | Self::Bash
            | Self::TodoWrite
            | Self::GitCommit
            | Self::GitPush
            | Self::GhCreatePr => &[Role::Coder],
            Self::ProposePlan | Self::AskUser => &[Role::Pm],
            Self::AskPm => &[Role::Coder, Role::Artist, Role::Lead],
        }
    }

    /// How its calls may run.
    pub fn conduct(self) -> Conduct {
        match self {
            Self::Read | Self::Grep | Self::Glob | Self::GitLog | Self::GitDiff | Self::GhStatus => Conduct::Reads,
            Self::Write | Self::Edit | Self::Bash => Conduct::Changes,
            Self::GitCommit | Self::GitPush | Self::GhCreatePr => Conduct::Acts,
            Self::TodoWrite | Self::ProposePlan | Self::SlackNotify => Conduct::Core,
            Self::AskUser | Self::AskPm => Conduct::Waits,
        }
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
