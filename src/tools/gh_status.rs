//! `GHStatus`: how the pull request stands.

use std::fmt::Write as _;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::thread_work::unless_stopped;
use super::{Tool, ToolContext, ToolError, ToolOutput, arguments};
use crate::agent::ToolName;
use crate::forge::PullRequestStatus;
use crate::thread::event::PullRequest;

/// The tool.
pub struct GhStatus;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {}

#[async_trait]
impl Tool for GhStatus {
    fn name(&self) -> ToolName {
        ToolName::GhStatus
    }

    fn description(&self) -> &'static str {
        include_str!("gh_status.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let Arguments {} = arguments::parse(self.name(), arguments)?;
        let Some(pull) = &context.work.pull else {
            return Ok(ToolOutput::text("This thread has no pull request yet."));
        };
        let status = unless_stopped(context, async {
            let status = context.work.forge.status(pull.number).await;
            status.map_err(|error| ToolError::for_model(format!("{} {}", error.what, error.hint)))
        });
        Ok(ToolOutput::text(text(pull, &status.await?)))
    }
}

fn text(pull: &PullRequest, status: &PullRequestStatus) -> String {
    let draft = if pull.draft { ", a draft" } else { "" };
    let mut text = format!("Pull request #{} “{}”: {}{draft}.", pull.number, pull.title, status.state);
    if !pull.url.is_empty() {
        let _ = write!(text, " {}", pull.url);
    }
    let _ = write!(text, "\nHead: {}", status.head.short());
    if status.state == "open" {
        let mergeable = match status.mergeable {
            Some(true) => "no conflicts with its base",
            Some(false) => "it conflicts with its base",
            None => "not known yet",
        };
        let _ = write!(text, "\nMergeable: {mergeable}");
    }
    for (name, lines) in [("Reviews", &status.reviews), ("Checks", &status.checks)] {
        let lines = if lines.is_empty() { "none".to_owned() } else { lines.join(", ") };
        let _ = write!(text, "\n{name}: {lines}");
    }
    text
}
