//! `GitPush`: brings the thread's branch to the remote.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::thread_work::unless_stopped;
use super::{Tool, ToolContext, ToolError, ToolOutput, arguments};
use crate::agent::ToolName;
use crate::thread::command::Deed;

/// The tool.
pub struct GitPush;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {}

#[async_trait]
impl Tool for GitPush {
    fn name(&self) -> ToolName {
        ToolName::GitPush
    }

    fn description(&self) -> &'static str {
        include_str!("git_push.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let Arguments {} = arguments::parse(self.name(), arguments)?;
        let git = &context.work.git;
        let branch = git.workspace()?.branch.clone();
        let uncommitted = context.uncommitted().await?;
        if !git.has_commits().await? {
            return Err(ToolError::for_model(format!(
                "The branch `{branch}` has no commits of its own yet. Commit with GitCommit first.{uncommitted}"
            )));
        }
        let pushed = unless_stopped(context, async { Ok(git.push().await?) }).await?;
        let head = pushed.head.short().to_owned();
        let text = match pushed.remote {
            Some(remote) => format!("`{branch}` on `{remote}` is at `{head}`.{uncommitted}"),
            None => format!(
                "The repository has no remote: nothing was pushed, `{branch}` is at `{head}` here.{uncommitted}"
            ),
        };
        Ok(ToolOutput { deeds: vec![Deed::Pushed(pushed.head)], ..ToolOutput::text(text) })
    }
}
