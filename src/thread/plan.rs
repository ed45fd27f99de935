//! A plan as the PM proposes it, its id, and how it is written out for people and for the Coder; the checklist.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{CommitId, PlanId};

/// What the PM proposes: the arguments of `ProposePlan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// A short title in the imperative; it becomes the branch name and the pull request's title.
    pub title: String,
    /// The workflow of workflows.md that this follows, for example `bugfix`.
    pub workflow: String,
    /// What is wrong or wanted and why, in one to four sentences with `path:line` references.
    pub summary: String,
    /// What the Coder will do, in order.
    pub steps: Vec<PlanStep>,
    /// The files that will change.
    pub files: Vec<String>,
    /// How one can tell that it is done: observable facts, commands that must pass.
    pub acceptance: Vec<String>,
    /// What could go wrong, when there is something worth saying.
    #[serde(default, deserialize_with = "list_or_null", skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
}

/// Models write `null` for a list that they leave out.
pub(super) fn list_or_null<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStep {
    /// What to do.
    pub text: String,
    /// Where, as `path:line`.
    #[serde(default)]
    pub files: Vec<String>,
}

/// One entry of the Coder's checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Todo {
    /// What is to be done.
    pub content: String,
    /// How far it is.
    pub status: TodoStatus,
}

/// How far an entry of the checklist is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TodoStatus {
    /// Not begun.
    Pending,
    /// Being worked on.
    InProgress,
    /// Done.
    Completed,
}

/// The longest plan, in characters as Markdown: a Slack message holds 12,000 of blocks.
const LONGEST: usize = 9_000;

impl Plan {
    /// Says what keeps this from being a plan, for the model; `None` when it is one.
    pub fn fault(&self) -> Option<&'static str> {
        if self.title.trim().is_empty() {
            Some("`title` is empty: give a short title in the imperative")
        } else if self.steps.is_empty() {
            Some("`steps` is empty: list what the Coder will do, each with its files")
        } else if self.acceptance.is_empty() {
            Some("`acceptance` is empty: say how one can tell that the work is done")
        } else if self.to_markdown().chars().count() > LONGEST {
            Some("it is longer than a card can show, and people approve only what they see: make it shorter")
        } else {
            None
        }
    }

    /// The plan's id: a hash over its content, the base commit and the approval rules, so that a button pressed for
    /// one plan can never approve another (`decisions.md` 6).
    pub fn id(&self, base: &CommitId, approvers: &[String]) -> PlanId {
        let content = serde_json::json!([self, base, approvers]).to_string();
        let digest = Sha256::digest(content.as_bytes());
        let mut id = String::with_capacity(16);
        for byte in &digest[..8] {
            let _ = write!(id, "{byte:02x}");
        }
        PlanId::new(id)
    }

    /// The plan as Markdown, for the Coder and for the pull request.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("**{}** (workflow `{}`)\n\n{}\n\nSteps:\n", self.title, self.workflow, self.summary);
        for (number, step) in self.steps.iter().enumerate() {
            let _ = write!(text, "{}. {}", number + 1, step.text);
            if !step.files.is_empty() {
                let _ = write!(text, " ({})", code_list(&step.files));
            }
            text.push('\n');
        }
        text.push_str("\nDone when:\n");
        for criterion in &self.acceptance {
            let _ = writeln!(text, "- {criterion}");
        }
        if !self.risks.is_empty() {
            text.push_str("\nRisks:\n");
            for risk in &self.risks {
                let _ = writeln!(text, "- {risk}");
            }
        }
        text
    }
}

/// `` `a`, `b` ``
pub fn code_list(items: &[String]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}
