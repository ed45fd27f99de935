//! What a run does next: ask the model, run calls, wait, or end. One function for all roles.

use super::tool_name::Conduct;
use crate::thread::state::Run;

/// The next step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the model.
    CallModel {
        /// Ask for the last words: the run has used up its turns, or went in circles.
        last: bool,
        /// Without tools, for the last words or to think.
        no_tools: bool,
    },
    /// Deal with these calls of the last reply, by index; those the core answers itself may be among them.
    RunCalls(Vec<usize>),
    /// Released calls are still running, or the PM was asked.
    Await,
}

/// Says what a run that may take `limit` turns does next.
///
/// Calls that change nothing run beside each other; a changing call waits for everything before it and holds back
/// everything after it.
pub fn next_step(run: &Run, limit: u32) -> Step {
    if run.asks.is_some() {
        return Step::Await;
    }
    let mut ready = Vec::new();
    let mut running = false;
    for (index, state) in run.calls.iter().enumerate() {
        if state.done {
            continue;
        }
        let alone = state.tool.is_some_and(|tool| tool.conduct() != Conduct::Reads) && state.call.fault.is_none();
        if alone && (running || !ready.is_empty()) {
            break;
        }
        if state.started {
            running = true;
        } else {
            ready.push(index);
        }
        if alone {
            break;
        }
    }
    if !ready.is_empty() {
        Step::RunCalls(ready)
    } else if running {
        Step::Await
    } else {
        let last = run.turns >= limit || run.watch.ending().is_some();
        Step::CallModel { last, no_tools: last || run.watch.pauses() }
    }
}
