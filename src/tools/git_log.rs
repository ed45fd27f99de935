//! `GitLog`: the history.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::thread_work::unless_stopped;
use super::{Tool, ToolContext, ToolError, ToolOutput, arguments};
use crate::agent::ToolName;

/// Commits shown when no number is given.
pub const DEFAULT_COMMITS: u64 = 20;
/// Commits shown at most.
pub const MAX_COMMITS: u64 = 100;

/// The tool.
pub struct GitLog;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: Option<String>,
    /// 20 by default, at most 100.
    #[serde(default, deserialize_with = "arguments::number")]
    limit: Option<u64>,
}

#[async_trait]
impl Tool for GitLog {
    fn name(&self) -> ToolName {
        ToolName::GitLog
    }

    fn description(&self) -> &'static str {
        include_str!("git_log.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let path = context.git_path(arguments.path.as_deref())?;
        let limit = arguments.limit.unwrap_or(DEFAULT_COMMITS).clamp(1, MAX_COMMITS);
        let limit = usize::try_from(limit).expect("a hundred fits");
        let git = &context.work.git;
        let text = unless_stopped(context, async { Ok(git.log(path.as_deref(), limit).await?) }).await?;
        match path {
            Some(path) if text.is_empty() => Ok(ToolOutput::text(format!("No commit changed `{path}`."))),
            _ => Ok(ToolOutput::text(text)),
        }
    }
}
