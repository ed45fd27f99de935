//! What a model can do: one file and one description per tool, all of them in one table.
//!
//! A tool gets a context and its arguments as JSON text and gives text for the model. It never decides who may call it
//! (`agent::tool_name`), never posts in the chat, and touches files only through [`Place`]. Tools whose calls are
//! events of the thread (checklist, plan, note) have only a description and a schema here; `thread::decide` answers
//! them.

pub mod arguments;
pub mod bash;
mod core_tools;
pub mod edit;
pub mod gh_create_pr;
pub mod gh_status;
pub mod git_commit;
pub mod git_diff;
pub mod git_log;
pub mod git_push;
pub mod glob;
pub mod grep;
pub mod known;
pub mod outputs;
pub mod read;
pub mod table;
#[cfg(test)]
mod testing;
mod text;
pub mod thread_work;
mod walk;
pub mod workspace;
pub mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::agent::ToolName;
use crate::agent::output::Caps;
use crate::offload::offload;
use crate::sandbox::Shell;
use crate::thread::command::Deed;
pub use known::KnownFiles;
pub use outputs::Outputs;
pub use thread_work::ThreadWork;
pub use workspace::Place;

/// A tool that runs outside the core.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Its name.
    fn name(&self) -> ToolName;

    /// What the model reads about it: the Markdown file beside the code.
    fn description(&self) -> &'static str;

    /// The JSON schema of its arguments, from [`arguments::schema_of`].
    fn schema(&self) -> serde_json::Value;

    /// Runs one call. `arguments` is JSON text as the model wrote it; [`arguments::parse`] reads it. Gives up soon
    /// after `context.cancel`; nobody reads the result then.
    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError>;
}

/// What a call may use.
#[derive(Clone)]
pub struct ToolContext {
    /// The folder it works in: the thread's worktree for the Coder, a read-only snapshot of the base for the others.
    pub place: Arc<Place>,
    /// What this conversation has read and written.
    pub known_files: KnownFiles,
    /// Cancelled when the run is stopped.
    pub cancel: CancellationToken,
    /// The time limit of a command that names none (`timing.bashTimeoutMs`).
    pub bash_timeout: Duration,
    /// A private folder of the thread that commands see as their home; made when first needed.
    pub home: PathBuf,
    /// Where commands run.
    pub shell: Arc<dyn Shell>,
    /// The thread's git and pull request.
    pub work: Arc<ThreadWork>,
    /// How much of anything is shown.
    pub caps: Caps,
    /// The results of earlier calls.
    pub outputs: Arc<dyn Outputs>,
}

/// What a call gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolOutput {
    /// What the model reads; never empty.
    pub text: String,
    /// Files it wrote, relative to the place.
    pub wrote: Vec<String>,
    /// A command's exit code.
    pub exit: Option<i32>,
    /// What it did to git or the forge.
    pub deeds: Vec<Deed>,
}

impl ToolOutput {
    /// A result that is only text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// For the model: what happened and what to do next, in one short paragraph.
    #[error("{0}")]
    ForModel(String),
}

impl ToolError {
    /// An error that the model reads.
    pub fn for_model(text: impl Into<String>) -> Self {
        Self::ForModel(text.into())
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let stopping = || Err(ToolError::for_model("The program is stopping; nothing was done."));
    offload(work).await.unwrap_or_else(stopping)
}
