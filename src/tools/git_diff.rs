//! `GitDiff`: the thread's changes.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::thread_work::unless_stopped;
use super::{Tool, ToolContext, ToolError, ToolOutput, arguments};
use crate::agent::ToolName;

/// The tool.
pub struct GitDiff;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    base: Option<String>,
    /// File or folder.
    path: Option<String>,
}

#[async_trait]
impl Tool for GitDiff {
    fn name(&self) -> ToolName {
        ToolName::GitDiff
    }

    fn description(&self) -> &'static str {
        include_str!("git_diff.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let path = context.git_path(arguments.path.as_deref())?;
        let base = arguments.base.as_deref().map(str::trim).filter(|base| !base.is_empty());
        let git = &context.work.git;
        let text = unless_stopped(context, async { Ok(git.diff(base, path.as_deref()).await?) }).await?;
        Ok(ToolOutput::text(text))
    }
}
