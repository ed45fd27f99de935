//! `GitCommit`: commits the worktree.

use std::fmt::Write as _;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Tool, ToolContext, ToolError, ToolOutput, arguments};
use crate::agent::ToolName;
use crate::git::Selection;
use crate::thread::command::Deed;

/// Files named at most.
const NAMED: usize = 50;

/// The tool.
pub struct GitCommit;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    message: String,
}

#[async_trait]
impl Tool for GitCommit {
    fn name(&self) -> ToolName {
        ToolName::GitCommit
    }

    fn description(&self) -> &'static str {
        include_str!("git_commit.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        // Not cut by a stop: it is short, and a half-made commit helps nobody.
        let done = context.work.git.commit_all(&arguments.message, Selection::Everything).await?;
        let mut output = ToolOutput::default();
        match done.commit {
            Some(commit) => {
                let count = done.files.len();
                let files = if count == 1 { "file" } else { "files" };
                let _ = write!(output.text, "Committed `{}` with {count} {files}:", commit.short());
                for file in done.files.iter().take(NAMED) {
                    let _ = write!(output.text, "\n- {file}");
                }
                if count > NAMED {
                    let _ = write!(output.text, "\n- … and {} more", count - NAMED);
                }
                output.deeds.push(Deed::Committed(commit));
            }
            None => output.text.push_str("There was nothing to commit: the workspace is as in the last commit."),
        }
        if !done.left_out.is_empty() {
            output.text.push_str("\nLeft out:");
            for line in done.left_out.iter().take(NAMED) {
                let _ = write!(output.text, "\n- {line}");
            }
        }
        Ok(output)
    }
}
