//! `Bash`: runs a shell command in the workspace and tells its output and how it ended.

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{self, number, switch};
use super::{Tool, ToolContext, ToolError, ToolOutput};
use crate::agent::ToolName;
use crate::process::{Exit, Finished};
use crate::sandbox::{Script, terminal};

/// The time limit of a command that names none, in ms, unless the config says another.
#[cfg(test)]
pub const DEFAULT_TIMEOUT_MS: u64 = 120_000;
/// The longest time limit in ms.
pub const MAX_TIMEOUT_MS: u64 = 600_000;
/// Characters of output shown at most.
pub const MAX_OUTPUT: usize = 30_000;
/// Bytes of raw output kept of its beginning, and as many of its end: escape sequences and overwritten lines, which
/// are not shown, may be a large part of it.
const KEPT_BYTES: usize = 512 << 10;

/// The tool.
pub struct Bash;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    command: String,
    /// Milliseconds; 120000 by default, at most 600000.
    #[serde(default, deserialize_with = "number")]
    timeout: Option<u64>,
    #[expect(dead_code, reason = "for the model's own clarity; people are shown the command")]
    description: Option<String>,
    #[serde(default, deserialize_with = "switch")]
    #[schemars(skip)]
    run_in_background: Option<bool>,
}

#[async_trait]
impl Tool for Bash {
    fn name(&self) -> ToolName {
        ToolName::Bash
    }

    fn description(&self) -> &'static str {
        include_str!("bash.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        if arguments.run_in_background == Some(true) {
            return Err(ToolError::for_model(
                "Commands cannot run in the background yet; nothing was run. Run it in the foreground with a `timeout`. \
                 To try out a server, start it with `&`, use it and let it end within one command.",
            ));
        }
        if arguments.command.trim().is_empty() {
            return Err(ToolError::for_model("`command` is empty; nothing was run."));
        }
        if arguments.command.contains('\0') {
            return Err(ToolError::for_model("`command` has a NUL character in it; nothing was run."));
        }
        let longest = Duration::from_millis(MAX_TIMEOUT_MS);
        let timeout = arguments.timeout.filter(|timeout| *timeout > 0).map(Duration::from_millis);
        let timeout = timeout.unwrap_or(context.bash_timeout).min(longest);
        let script = Script {
            root: context.place.root().to_owned(),
            home: context.home.clone(),
            text: arguments.command,
            timeout,
            keep: (KEPT_BYTES, KEPT_BYTES),
            cancel: context.cancel.clone(),
        };
        match context.shell.run(script).await {
            Ok(finished) => Ok(told(&finished, timeout)),
            Err(error) => Err(ToolError::ForModel(format!("The command was not run: {error}."))),
        }
    }
}

/// The output, and on the last line how the command ended.
fn told(finished: &Finished, timeout: Duration) -> ToolOutput {
    let text = terminal::plain(&finished.stdout.text());
    let shown = head_and_tail(text.trim_end());
    let shown = if shown.is_empty() { "(no output)" } else { &shown };
    let (end, exit) = match finished.exit {
        Exit::Code(code) => (format!("exit code {code}"), Some(code)),
        Exit::Signal(signal) => (format!("exit code {} (killed by signal {signal})", 128 + signal), Some(128 + signal)),
        Exit::TimedOut => {
            let ms = timeout.as_millis();
            let more = if timeout < Duration::from_millis(MAX_TIMEOUT_MS) {
                format!("Raise `timeout` (at most {MAX_TIMEOUT_MS} ms), or do less at once.")
            } else {
                "Do less at once: this is the longest time there is.".to_owned()
            };
            (format!("no exit code: killed with all it started after its time limit of {ms} ms. {more}"), None)
        }
        Exit::Cancelled => ("no exit code: killed with all it started, because the run was stopped".to_owned(), None),
    };
    ToolOutput { text: format!("{shown}\n{end}"), exit, ..ToolOutput::default() }
}

/// The text, or its beginning and end with a word on what is left out between.
fn head_and_tail(text: &str) -> String {
    let count = text.chars().count();
    if count <= MAX_OUTPUT {
        return text.to_owned();
    }
    let at = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    let (head, tail) = (&text[..at(MAX_OUTPUT / 2)], &text[at(count - MAX_OUTPUT / 2)..]);
    let left_out = text[head.len()..text.len() - tail.len()].lines().count();
    format!("{head}\n… {left_out} lines left out here; use `head`, `tail` or `grep` to see them …\n{tail}")
}
