//! The settings that decisions depend on, as one pure value: who may what, which models, which limits.

use std::sync::Arc;

use super::budget::Caps;
use super::spending::Spending;
use crate::agent::estimate::Past;
use crate::agent::{Catalogue, Role};
use crate::ids::{Millis, UserId};

/// What the configuration says, as far as a thread's decisions need it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// People who may use the bot; empty = every member of the channel.
    pub allowed: Vec<UserId>,
    /// People who may approve and merge; empty = every allowed person.
    pub approvers: Vec<UserId>,
    /// The PM's models by name, in the order of the file.
    pub pm_pool: Vec<(String, String)>,
    /// The PM's default model.
    pub pm_model: String,
    /// The Coder's model.
    pub coder_model: String,
    /// Turns per run of the PM and of the Coder.
    pub pm_turns: u32,
    /// See `pm_turns`.
    pub coder_turns: u32,
    /// What may be spent and started.
    pub caps: Caps,
    /// What was, lately, in all repositories.
    pub spending: Arc<Spending>,
    /// What is known of the models.
    pub models: Arc<Catalogue>,
    /// Finished threads like the one that is being planned.
    pub similar: Vec<Past>,
    /// The repository's checks: commands whose exit code is the evidence that work is done.
    pub checks: Vec<String>,
    /// The tool list of each role as JSON text, as sent to models.
    pub tool_lists: Arc<[(Role, String)]>,
    /// Whether `/pm …` can be typed in a thread: in the local chat, not in Slack.
    pub slash: bool,
    /// The moment of the decision.
    pub now: Millis,
    /// Whether the message was written before people could see the card that waits for their word.
    pub unseen: bool,
}

impl Rules {
    /// Whether this person may use the bot at all.
    pub fn may_use(&self, user: &UserId) -> bool {
        *user == UserId::local()
            || self.allowed.is_empty()
            || self.allowed.contains(user)
            || self.approvers.contains(user)
    }

    /// Whether this person may approve plans and merges.
    pub fn may_approve(&self, user: &UserId) -> bool {
        if *user == UserId::local() {
            return true;
        }
        self.may_use(user) && (self.approvers.is_empty() || self.approvers.contains(user))
    }

    /// Turns that a run of this role may take.
    pub fn turns(&self, role: Role) -> u32 {
        match role {
            Role::Coder => self.coder_turns,
            Role::Pm | Role::Researcher | Role::Artist | Role::Lead => self.pm_turns,
        }
    }

    /// The tool list of a role as JSON text.
    pub fn tool_list(&self, role: Role) -> &str {
        self.tool_lists.iter().find(|(of, _)| *of == role).map_or("[]", |(_, list)| list)
    }
}
