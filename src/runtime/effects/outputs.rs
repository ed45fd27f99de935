//! Long results of tools: the whole goes to the store, the model is shown a part with the path of the rest; `Read` comes
//! back for it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::agent::output::{self, Caps};
use crate::agent::{Role, ToolName};
use crate::ids::{CallId, ThreadKey};
use crate::runtime::project::Project;
use crate::store::Store;
use crate::thread::command::Deed;
use crate::thread::context::Change;
use crate::tools::{Outputs, ToolError, outputs};

/// The results of one role's conversation.
pub(super) struct Kept {
    pub(super) store: Store,
    pub(super) thread: ThreadKey,
    pub(super) role: Role,
}

#[async_trait]
impl Outputs for Kept {
    async fn read(&self, call: &str) -> Result<String, ToolError> {
        match self.store.output(&self.thread, self.role, &CallId::new(call)).await {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(outputs::missing(call)),
            Err(error) => {
                tracing::warn!(thread.ts = %self.thread, error = &error as &dyn std::error::Error, "no kept result");
                Err(ToolError::for_model("The results of earlier calls cannot be read just now; try again."))
            }
        }
    }
}

/// What the model is shown of a result, and what was kept of it.
pub(super) async fn fit(
    project: &Arc<Project>,
    thread: &ThreadKey,
    (role, tool, call): (Role, ToolName, &CallId),
    caps: Caps,
    text: String,
) -> (String, Option<Deed>) {
    // It fits its answer by itself: what it left out is asked for with another offset.
    if tool == ToolName::Read || text.len() <= caps.result {
        return (text, None);
    }
    let path = ToolName::Read.roles().contains(&role).then(|| output::path(call.as_str()));
    let shown = |path: Option<&str>| output::cut(&text, caps.result, path).unwrap_or_default();
    let (with, without) = (shown(path.as_deref()), shown(None));
    if path.is_none() {
        return (without, None);
    }
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    match project.store.keep(text).await {
        Ok(blob) => (with, Some(Deed::Context(Change::OutputKept { call: call.clone(), blob, bytes }))),
        Err(error) => {
            tracing::warn!(thread.ts = %thread, error = &error as &dyn std::error::Error, "a result was not kept");
            (without, None)
        }
    }
}
