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
/// Bytes of raw output kept of its beginning, and as many of its end.
const KEPT_BYTES: usize = crate::agent::output::KEPT_BYTES / 2;

/// The tool.
pub struct Bash;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The command, as one would type it in a shell.
    command: String,
    /// Time limit in milliseconds; 120000 by default, at most 600000.
    #[serde(default, deserialize_with = "number")]
    timeout: Option<u64>,
    /// What the command does, in 5 to 10 words.
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
            Ok(finished) => Ok(told(finished, timeout)),
            Err(error) => Err(ToolError::ForModel(format!("The command was not run: {error}."))),
        }
    }
}

/// The output, and on the last line how the command ended. How much of it is shown is not decided here.
fn told(finished: Finished, timeout: Duration) -> ToolOutput {
    let Finished { exit, stdout, .. } = finished;
    let mut text = terminal::plain(&stdout.into_text());
    text.truncate(text.trim_end().len());
    if text.is_empty() {
        text.push_str("(no output)");
    }
    let (end, exit) = match exit {
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
    text.push('\n');
    text.push_str(&end);
    ToolOutput { text, exit, ..ToolOutput::default() }
}
