//! `GHCreatePR`: opens the thread's pull request.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::thread_work::unless_stopped;
use super::{Tool, ToolContext, ToolError, ToolOutput, arguments};
use crate::agent::ToolName;
use crate::thread::command::Deed;

/// The tool.
pub struct GhCreatePr;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    title: String,
    body: String,
}

#[async_trait]
impl Tool for GhCreatePr {
    fn name(&self) -> ToolName {
        ToolName::GhCreatePr
    }

    fn description(&self) -> &'static str {
        include_str!("gh_create_pr.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        if arguments.title.trim().is_empty() {
            return Err(ToolError::for_model("`title` is empty: give a short title in the imperative."));
        }
        let work = &context.work;
        let uncommitted = context.uncommitted().await?;
        if !work.git.has_commits().await? {
            return Err(ToolError::for_model(format!(
                "The branch has no commits of its own yet. Commit with GitCommit first.{uncommitted}"
            )));
        }
        let mut deeds = Vec::new();
        let delivered = work.deliver(&arguments.title, &arguments.body, None, false, &mut deeds);
        let delivered = unless_stopped(context, async { Ok(delivered.await) }).await?;
        let text = match delivered {
            Ok(pull) => {
                let known = work.pull.as_ref().is_some_and(|known| known.number == pull.number);
                let what = if known { "was open already and has your commits now" } else { "is open" };
                let place = if pull.url.is_empty() { String::new() } else { format!(": {}", pull.url) };
                format!("Pull request #{} “{}” {what}{place}.{uncommitted}", pull.number, pull.title)
            }
            // A push that succeeded before is a deed to be known, so this is no bare error.
            Err(failure) if deeds.iter().any(|deed| matches!(deed, Deed::Pushed(_))) => {
                format!("The branch was pushed, but there is no pull request: {} {}", failure.what, failure.hint)
            }
            Err(failure) => return Err(ToolError::for_model(format!("{} {}", failure.what, failure.hint))),
        };
        Ok(ToolOutput { deeds, ..ToolOutput::text(text) })
    }
}
