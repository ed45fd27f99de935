//! What comes before a model call: a conversation that is too long for the model is made shorter first, by an event of
//! its own, after which the call is due again. All of it is simply done again after a restart.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::model::{self, Call};
use super::tool::thread_work;
use crate::agent::compaction::{self, Context, Verdict};
use crate::agent::{Role, ToolName, Usage, output, tokens};
use crate::git::BranchGit;
use crate::ids::CallId;
use crate::llm::transcript::Transcript;
use crate::llm::{Fallback, ModelRequest, too_long};
use crate::runtime::kit::Kit;
use crate::runtime::project::Project;
use crate::thread::context::{Wanted, Work};
use crate::thread::event::Failure;
use crate::thread::{Command, Thread, facts};

/// A server that refuses a conversation and does not say what it reads is taken to read this much of it.
const LESS: u64 = 9;
/// No model is taken to read less, whatever a server refuses.
const LEAST: u64 = 2_048;

/// How much a model reads: what servers said when they refused, what their list says, or a guess.
pub(super) fn context(project: &Project, thread: &Thread, model: &str) -> Context {
    let learned = thread.contexts.get(model).copied();
    let listed = project.models.known().context(model);
    let known = learned.into_iter().chain(listed).min();
    Context { tokens: known.unwrap_or(tokens::DEFAULT_CONTEXT), known: known.is_some() }
}

/// What must be done before this call; nothing, when the conversation fits.
pub(super) fn before(
    project: &Arc<Project>,
    thread: &Thread,
    kit: &Kit,
    transcript: &Transcript,
    call: &Call,
) -> Option<BoxFuture<'static, Command>> {
    let Call { run, role, model, turn, .. } = call;
    let (run, role, turn) = (*run, *role, *turn);
    let context = context(project, thread, model);
    let size = transcript.size();
    if !transcript.is_exceeded() && compaction::is_far(size, context.tokens) {
        return None;
    }
    let measure = transcript.measure();
    let most = compaction::summary_tokens(measure.fixed, context.tokens);
    let facts = facts::size(thread, role, &project.settings.rules.checks) + most;
    let wanted = move |wanted| Command::ContextWanted { run, turn, wanted };
    match compaction::judge(&measure, context, facts) {
        Verdict::Fits => None,
        Verdict::Stub(items) => {
            let stubs = transcript.stubs(&items, |call, did, size| stub(role, call, did, size));
            let gone: u64 = items.iter().map(|item| measure.items[*item].tokens).sum();
            let stay = compaction::STUB_TOKENS * u64::try_from(items.len()).unwrap_or_default();
            let after = (measure.total + stay).saturating_sub(gone);
            let command = wanted(Wanted::Stubs { stubs, before: measure.total, after });
            Some(std::future::ready(command).boxed())
        }
        Verdict::Compact { from, stubs } => {
            let items = &measure.items;
            let stay: u64 = (from..items.len())
                .map(|index| if stubs.contains(&index) { compaction::STUB_TOKENS } else { items[index].tokens })
                .sum();
            let (before, rest) = (measure.total, measure.fixed + stay);
            let kept = u32::try_from(items.len() - from).unwrap_or(u32::MAX);
            let told = transcript.told_from(from);
            let stubs = transcript.stubs(&stubs, |call, did, size| stub(role, call, did, size));
            // What the server refused although it was cut just now is cut once more without asking anybody.
            let request = (measure.cuts == 0).then(|| {
                let most = context.tokens.saturating_mul(6) / 10;
                let messages = transcript.summary_request(from, most);
                ModelRequest {
                    messages: messages.clone(),
                    tools: None,
                    no_tools: false,
                    cache_key: format!("{}/{}/summary", thread.key.to_text(), role.key()),
                    model: model.clone(),
                    may_be_empty: false,
                    // The same bytes for all: they carry nobody's reasoning and no marks.
                    fallback: Fallback::new(model::others(project, thread, role, model, most), move |_| {
                        messages.clone()
                    }),
                    bill: model::bill(project, thread, kit, run),
                }
            });
            let git = thread_work(project, thread, role).filter(|_| role == Role::Coder).map(|work| work.git);
            let both = futures_util::future::join(work(git), summary(Arc::clone(project), request, most));
            let command = both.map(move |(work, (summary, usage))| {
                wanted(Wanted::Replacement { kept, told, stubs, before, rest, summary, usage, work })
            });
            Some(command.boxed())
        }
        Verdict::Never { least } => {
            let failure = never(model, context, least);
            Some(std::future::ready(Command::ModelAnswered { run, turn, result: Err(failure) }).boxed())
        }
    }
}

/// What follows from the server's refusal of a conversation as too long.
pub(super) fn refused(known: Context, size: u64, model: &str, message: &str, failure: Failure) -> Wanted {
    let learned = too_long::limit_in(message).unwrap_or(size / 10 * LESS);
    let context = if known.known { learned.min(known.tokens) } else { learned };
    Wanted::Exceeded { model: model.to_owned(), context: context.max(LEAST), failure }
}

/// What git says of the Coder's work; `None` before there is a worktree, or when git cannot say.
async fn work(git: Option<Arc<dyn BranchGit>>) -> Option<Work> {
    let git = git?;
    let base = git.workspace().ok()?.base.clone();
    let (files, head) = (git.changed().await.ok()?, git.head().await.ok()?);
    Some(Work { files, commit: Some(head).filter(|head| *head != base) })
}

/// What the model wrote of the earlier part, of bounded length, and what it cost. Whatever goes wrong, the run goes on.
async fn summary(project: Arc<Project>, request: Option<ModelRequest>, most: u64) -> (Option<String>, Usage) {
    let Some(request) = request else { return (None, Usage::default()) };
    let model = request.model.clone();
    match project.model.complete(request).await {
        Ok(reply) => {
            let usage = project.models.known().priced(&reply.model, reply.usage);
            let text = reply.text.trim();
            let text = output::cut(text, tokens::bytes(most), None).unwrap_or_else(|| text.to_owned());
            (Some(text).filter(|text| !text.is_empty()), usage)
        }
        Err(error) => {
            tracing::warn!(model, error = &error as &dyn std::error::Error, "no summary; it goes on without");
            (None, Usage::default())
        }
    }
}

/// What stands in place of a result, after the words that all of them begin with.
fn stub(role: Role, call: &CallId, did: &str, size: u64) -> String {
    let size = tokens::short(size);
    let way = if !ToolName::Read.roles().contains(&role) {
        "make the call again if you need it".to_owned()
    } else if did.starts_with("reading `") {
        "read the file again if you need it".to_owned()
    } else {
        format!("Read `{}` if you need it again", output::path(call.as_str()))
    };
    format!(" to save space ({did}, about {size} tokens): {way}.")
}

fn never(model: &str, context: Context, least: u64) -> Failure {
    let (reads, least) = (tokens::short(context.tokens), tokens::short(least));
    Failure {
        what: format!(
            "This conversation does not fit into what `{model}` reads ({reads} tokens), not even cut down to its \
             instructions, the plan and your words (about {least} tokens)."
        ),
        hint: "Choose a model that reads more (`!pm NAME`, or `models` in `.codebutler/config.json`), then say \
               `!retry`; or open a new thread with less text."
            .to_owned(),
    }
}
