//! Which events must outlive a power failure and not only a crash of the program: the disk has them before anything acts
//! on them. What is simply done again needs no such wait.

use super::event::Event;
use super::state::Thread;
use crate::agent::tool_name::Conduct;

/// Decisions of people and deeds in the world must outlive a power failure, and so must the beginning of what may not
/// simply be done again; a turn that is lost is made again.
pub fn must_last(before: &Thread, event: &Event) -> bool {
    let changes = |run, call| {
        let state = before.run(run).and_then(|(_, run)| run.open_call(call));
        state.and_then(|state| state.tool).is_some_and(|tool| tool.conduct() == Conduct::Changes)
    };
    match event {
        Event::ToolsStarted { run, calls } => calls.iter().any(|call| changes(*run, call)),
        Event::ThreadOpened { .. }
        | Event::MessageReceived { .. }
        | Event::QuestionAnswered { .. }
        | Event::PlanApproved { .. }
        | Event::Pushed { .. }
        | Event::PullRequestOpened { .. }
        | Event::Merged { .. }
        | Event::Budget { .. }
        | Event::ThreadClosed { .. } => true,
        _ => false,
    }
}
