//! The five roles as values: name, prefix in chat, tools. One loop serves them all.
//!
//! The table of tools is `contract.md` 5 for the tools built so far; limits and models come from the settings.

use serde::{Deserialize, Serialize};

use super::ToolName;

/// A member of the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Talks to people, explores the code read-only, proposes plans.
    Pm,
    /// Searches the web for the PM.
    Researcher,
    /// Writes code in the thread's worktree.
    Coder,
    /// Makes and edits images.
    Artist,
    /// Looks back over the thread and proposes better workflows and memory.
    Lead,
}

impl Role {
    /// All roles, in the order in which they appear in listings.
    pub const ALL: [Self; 5] = [Self::Pm, Self::Researcher, Self::Coder, Self::Artist, Self::Lead];

    /// The name that people read: `PM`, `Coder`. In chat it is the message's prefix (`*PM:*`).
    pub fn title(self) -> &'static str {
        match self {
            Self::Pm => "PM",
            Self::Researcher => "Researcher",
            Self::Coder => "Coder",
            Self::Artist => "Artist",
            Self::Lead => "Lead",
        }
    }

    /// The name in files and keys: `pm` as in `prompts/pm.md`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Pm => "pm",
            Self::Researcher => "researcher",
            Self::Coder => "coder",
            Self::Artist => "artist",
            Self::Lead => "lead",
        }
    }

    /// The tools this role is offered, in the fixed order in which the model sees them.
    pub fn tools(self) -> Vec<ToolName> {
        ToolName::ALL.into_iter().filter(|tool| tool.roles().contains(&self)).collect()
    }
}
