//! Runs effects: each is one future that ends in a command, whatever happens. One file per family.
//!
//! An effect may be run again after a crash; each looks first whether it already happened where that matters.

mod base;
mod context;
mod finish;
mod model;
mod outputs;
mod tool;
mod workspace;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::kit::Kit;
use super::project::Project;
use super::tasks::panic_text;
use crate::thread::command::NotMerged;
use crate::thread::event::{Failure, ToolResult};
use crate::thread::{Command, Effect, Thread};

pub use workspace::init_commands;

/// Starts an effect; its outcome is a command for the thread. Dropping the future ends it, and `cancel` tells what it
/// started elsewhere.
pub fn run(
    project: &Arc<Project>,
    thread: &Thread,
    kit: &mut Kit,
    effect: Effect,
    cancel: CancellationToken,
) -> BoxFuture<'static, Command> {
    let id = effect.id();
    let otherwise = failed(&effect, internal_error(&id.to_string()));
    let project = Arc::clone(project);
    let work: BoxFuture<'static, Command> = match effect {
        Effect::PrepareBase => base::prepare(project, thread).boxed(),
        Effect::CallModel { run, role, model, turn, last } => {
            let may_be_empty = thread.run(run).is_some_and(|(_, run)| last || run.spoke);
            model::call(&project, thread, kit, model::Call { run, role, model, turn, last, may_be_empty }).boxed()
        }
        Effect::RunTool { run, role, tool, call } => {
            tool::run(project, thread, kit, tool::Call { run, role, tool, call }, cancel).boxed()
        }
        Effect::PrepareWorkspace { title } => workspace::prepare(project, thread, title).boxed(),
        Effect::InitWorkspace => workspace::initialise(project, thread, cancel).boxed(),
        Effect::Publish { publishing } => finish::publish(project, thread, publishing).boxed(),
        Effect::Merge { head, .. } => finish::merge(project, thread, head).boxed(),
        Effect::CleanUp { merged } => finish::clean_up(project, thread, merged).boxed(),
    };
    let key = thread.key.clone();
    async move {
        tracing::debug!(thread.ts = %key, effect.id = %id, "an effect begins");
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(command) => command,
            Err(panic) => {
                tracing::error!(thread.ts = %key, effect.id = %id, panic = panic_text(&*panic), "an effect panicked");
                otherwise
            }
        }
    }
    .boxed()
}

fn internal_error(id: &str) -> Failure {
    Failure {
        what: format!("An error in CodeButler itself stopped this step (`{id}`)."),
        hint: "The log has the details under that name.".to_owned(),
    }
}

/// The command that says that an effect failed.
fn failed(effect: &Effect, failure: Failure) -> Command {
    match effect {
        Effect::PrepareBase => Command::BasePrepared(Err(failure)),
        Effect::CallModel { run, turn, .. } => Command::ModelAnswered { run: *run, turn: *turn, result: Err(failure) },
        Effect::RunTool { run, call, .. } => {
            let text = format!("{} Try another way.", failure.what);
            let result = ToolResult { text, error: true, wrote: Vec::new(), exit: None };
            Command::ToolDone { run: *run, call: call.id.clone(), result, deeds: Vec::new() }
        }
        Effect::PrepareWorkspace { .. } => Command::WorkspacePrepared(Err(failure)),
        Effect::InitWorkspace => Command::WorkspaceInitialised(Vec::new()),
        Effect::Publish { publishing } => {
            Command::PublishDone { run: publishing.run, result: Err(failure), deeds: Vec::new() }
        }
        Effect::Merge { .. } => Command::MergeDone(Err(NotMerged::Unknown(failure))),
        Effect::CleanUp { .. } => Command::CleanUpDone(vec![failure.what]),
    }
}
