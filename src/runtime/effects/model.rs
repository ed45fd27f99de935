//! One model call: the conversation's bytes go out, a reply or a failure comes back.

use std::future::Future;
use std::sync::Arc;

use super::context;
use crate::agent::Role;
use crate::ids::RunId;
use crate::llm::transcript::Transcript;
use crate::llm::{Bill, Fallback, ModelError, ModelRequest};
use crate::runtime::kit::Kit;
use crate::runtime::project::Project;
use crate::thread::event::{Failure, Reply};
use crate::thread::spending::Spent;
use crate::thread::{Command, Thread};

/// Which call.
pub(super) struct Call {
    pub(super) run: RunId,
    pub(super) role: Role,
    pub(super) model: String,
    pub(super) turn: u32,
    pub(super) no_tools: bool,
    /// Whether the model may say nothing: it showed what it had to say by a tool.
    pub(super) may_be_empty: bool,
}

pub(super) fn call(
    project: &Arc<Project>,
    thread: &Thread,
    kit: &Kit,
    call: Call,
) -> impl Future<Output = Command> + use<> {
    let transcript = kit.transcript(call.role).filter(|transcript| transcript.is_complete());
    let before = transcript.and_then(|transcript| context::before(project, thread, kit, transcript, &call));
    let reads = context::context(project, thread, &call.model);
    let size = transcript.map_or(0, |transcript| transcript.size());
    let Call { run, role, model, turn, no_tools, may_be_empty } = call;
    let project = Arc::clone(project);
    let request = transcript.filter(|_| before.is_none()).map(|transcript| ModelRequest {
        messages: transcript.bytes(&model),
        tools: transcript.tools(),
        no_tools,
        cache_key: format!("{}/{}", kit.thread(), role.key()),
        model: model.clone(),
        may_be_empty,
        fallback: fallback(&project, thread, role, &model, transcript),
        bill: bill(&project, thread, kit, run),
    });
    async move {
        if let Some(before) = before {
            return before.await;
        }
        let result = match request {
            Some(request) => match project.model.complete(request).await {
                Ok(reply) => Ok(priced(&project, reply)),
                Err(error) => {
                    tracing::warn!(run = %run, model, error = &error as &dyn std::error::Error, "a model call failed");
                    let failure = failure(&project, &error, &model, role);
                    if let Some(message) = too_long(&error) {
                        let wanted = context::refused(reads, size, &model, message, failure);
                        return Command::ContextWanted { run, turn, wanted };
                    }
                    Err(failure)
                }
            },
            None => Err(Failure {
                what: "The conversation is not in a state in which a model can be asked.".to_owned(),
                hint: "This is an error in CodeButler itself; the log has the thread's name.".to_owned(),
            }),
        };
        Command::ModelAnswered { run, turn, result }
    }
}

/// The server's words, when the role's own model refused the conversation as too long, whatever others said then.
fn too_long(error: &ModelError) -> Option<&str> {
    match error {
        ModelError::TooLong { message } => Some(message),
        ModelError::Fallbacks { first, .. } => too_long(first),
        _ => None,
    }
}

/// The reply with its cost taken from the list price of the model that answered, when the server did not state it.
fn priced(project: &Project, reply: Reply) -> Reply {
    let usage = project.models.known().priced(&reply.model, reply.usage);
    Reply { usage, ..reply }
}

/// The failure for the thread; how much a model reads is told when that was too little.
fn failure(project: &Project, error: &ModelError, model: &str, role: Role) -> Failure {
    let mut failure = error.failure(model, role);
    if let (ModelError::TooLong { .. }, Some(context)) = (error, project.models.known().context(model)) {
        failure.hint = format!("`{model}` reads {context} tokens. {}", failure.hint);
    }
    failure
}

/// What is asked when the role's model fails. It shares the conversation, and copies it only for a model it asks.
fn fallback(project: &Project, thread: &Thread, role: Role, model: &str, transcript: &Arc<Transcript>) -> Fallback {
    let models = others(project, thread, role, model, transcript.size());
    if models.is_empty() {
        return Fallback::default();
    }
    let transcript = Arc::clone(transcript);
    Fallback::new(models, move |model| transcript.bytes(model))
}

/// The models that are asked in place of a role's. One that cannot read so many tokens is not asked.
pub(super) fn others(project: &Project, thread: &Thread, role: Role, model: &str, size: u64) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    for slug in project.settings.fallback(role) {
        let reads = context::context(project, thread, slug);
        let is_enough = !reads.known || size < reads.tokens;
        if slug != model && !models.contains(slug) && is_enough {
            models.push(slug.clone());
        }
    }
    models
}

/// What a call of this run spends on attempts that bring nothing goes to the thread's worker, priced like a reply.
pub(super) fn bill(project: &Arc<Project>, thread: &Thread, kit: &Kit, run: RunId) -> Bill {
    let Some((role, active)) = thread.run(run) else { return Bill::default() };
    let (project, till, by) = (Arc::clone(project), kit.till(), active.by.clone());
    Bill::new(move |model, usage| {
        let usage = project.models.known().priced(model, usage);
        // Nobody takes it when the worker itself is gone.
        let _ = till.send(Spent { role, run, by: by.clone(), model: model.to_owned(), usage });
    })
}
