//! Effects: what must be done outside, derived from the state. What is pending after a crash is pending again.

use super::state::{Publishing, Run, Thread, WorkspaceState};
use crate::agent::tool_name::Conduct;
use crate::agent::{Role, Step, ToolCall, ToolName, next_step};
use crate::ids::{CommitId, EffectId, RunId};

/// Something that must be done outside the core. Its outcome comes back as a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Fetch the base, make its snapshot, assemble the prompts.
    PrepareBase,
    /// Ask a role's model for its next reply.
    CallModel {
        /// The run.
        run: RunId,
        /// The role.
        role: Role,
        /// The model.
        model: String,
        /// Which turn this is, from 1.
        turn: u32,
        /// Without tools: the run has to end, or to think.
        no_tools: bool,
    },
    /// Run one tool call.
    RunTool {
        /// The run.
        run: RunId,
        /// The role.
        role: Role,
        /// The tool.
        tool: ToolName,
        /// The call.
        call: ToolCall,
    },
    /// Make branch and worktree for the approved plan.
    PrepareWorkspace {
        /// The plan's title, from which the branch is named.
        title: String,
    },
    /// Initialise the worktree for its platform.
    InitWorkspace,
    /// Run the repository's checks on the untouched base, in a place of their own.
    TakeBaseline {
        /// The base.
        commit: CommitId,
        /// The checks.
        commands: Vec<String>,
    },
    /// Run one of the repository's checks on the Coder's work.
    RunCheck {
        /// The Coder's run.
        run: RunId,
        /// Which of the checks, from 0.
        number: usize,
        /// The check.
        command: String,
    },
    /// Commit what is uncommitted, push, open or update the pull request.
    Publish {
        /// The Coder's work.
        publishing: Publishing,
    },
    /// Merge the pull request.
    Merge {
        /// The head that is merged.
        head: CommitId,
        /// Number of the attempt.
        attempt: u32,
    },
    /// Remove remote branch, worktree and local branch; close an unmerged pull request.
    CleanUp {
        /// Whether the work was merged.
        merged: bool,
    },
}

/// What a restart does with an effect that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Simply again: it changes nothing, or doing it twice is the same as once.
    Again,
    /// Again, and the effect itself first looks whether it already happened.
    LookFirst,
    /// Not again: the model is told that it was cut and checks for itself.
    Report,
}

impl Effect {
    /// The effect's name within its thread, the same after a restart.
    pub fn id(&self) -> EffectId {
        EffectId::new(match self {
            Self::PrepareBase => "base".to_owned(),
            // With the model: a person who chooses another one does not wait for this one's answer, or for its retries.
            Self::CallModel { run, turn, model, .. } => format!("run/{run}/turn/{turn}/{model}"),
            Self::RunTool { run, call, .. } => format!("run/{run}/call/{}", call.id),
            Self::PrepareWorkspace { .. } => "workspace".to_owned(),
            Self::InitWorkspace => "workspace/init".to_owned(),
            Self::TakeBaseline { .. } => "baseline".to_owned(),
            Self::RunCheck { run, number, .. } => format!("publish/{run}/check/{number}"),
            Self::Publish { publishing } => format!("publish/{}", publishing.run),
            Self::Merge { attempt, .. } => format!("merge/{attempt}"),
            Self::CleanUp { .. } => "cleanup".to_owned(),
        })
    }

    /// Whether it has something to tidy up when it is not wanted any more. Then it is asked to end, and not cut.
    pub fn tidies_up(&self) -> bool {
        matches!(self, Self::TakeBaseline { .. } | Self::RunCheck { .. })
    }

    /// What a restart does with it.
    pub fn restart(&self) -> Restart {
        match self {
            // A check is for being run, again and again.
            Self::PrepareBase
            | Self::CallModel { .. }
            | Self::InitWorkspace
            | Self::TakeBaseline { .. }
            | Self::RunCheck { .. } => Restart::Again,
            Self::RunTool { tool, .. } => match tool.conduct() {
                Conduct::Reads | Conduct::Core | Conduct::Waits => Restart::Again,
                Conduct::Changes => Restart::Report,
                Conduct::Acts => Restart::LookFirst,
            },
            Self::PrepareWorkspace { .. } | Self::Publish { .. } | Self::Merge { .. } | Self::CleanUp { .. } => {
                Restart::LookFirst
            }
        }
    }
}

/// Everything that the thread needs done now. `limit` gives the turns that a role's run may take.
pub fn pending(thread: &Thread, limit: impl Fn(Role) -> u32) -> Vec<Effect> {
    let mut effects = Vec::new();
    let stalled_early = thread.is_stalled_early();
    let asked = thread.conversations.get(&Role::Pm).is_some_and(|pm| !pm.unheard.is_empty());
    let wanted = asked || !thread.is_closed();
    if thread.opened_by.is_some() && thread.base.is_none() && !stalled_early && wanted {
        effects.push(Effect::PrepareBase);
    }
    if let Some(closing) = &thread.closing {
        if !closing.cleaned && !closing.closed {
            effects.push(Effect::CleanUp { merged: closing.merged });
        }
    } else {
        match &thread.workspace {
            WorkspaceState::Wanted if !stalled_early => {
                let title = thread.approved.as_ref().map_or_else(String::new, |(plan, _)| plan.title.clone());
                effects.push(Effect::PrepareWorkspace { title });
            }
            WorkspaceState::Ready { initialised: false, .. } => effects.push(Effect::InitWorkspace),
            WorkspaceState::None | WorkspaceState::Wanted | WorkspaceState::Ready { .. } | WorkspaceState::Removed => {}
        }
        effects.extend(thread.baseline_effect());
        effects.extend(thread.publishing_effect());
        if let Some(merging) = &thread.merging {
            effects.push(Effect::Merge { head: merging.head.clone(), attempt: merging.attempt });
        }
    }
    for (role, run) in &thread.runs {
        run_effects(thread, *role, run, limit(*role), &mut effects);
    }
    effects
}

fn run_effects(thread: &Thread, role: Role, run: &Run, limit: u32, effects: &mut Vec<Effect>) {
    if run.paused.is_none()
        && let Step::CallModel { no_tools, .. } = next_step(run, limit)
    {
        let model = run.model.clone();
        effects.push(Effect::CallModel { run: run.id, role, model, turn: run.turns + 1, no_tools });
    }
    let initialising = matches!(thread.workspace, WorkspaceState::Ready { initialised: false, .. });
    for state in run.calls.iter().filter(|state| state.started && !state.done) {
        let Some(tool) = state.tool.filter(|tool| tool.conduct() != Conduct::Waits) else { continue };
        // Only commands need what the initialisation makes (`decisions.md` 22).
        if tool == ToolName::Bash && initialising {
            continue;
        }
        effects.push(Effect::RunTool { run: run.id, role, tool, call: state.call.clone() });
    }
}
