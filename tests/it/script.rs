//! What the model says in these stories: small, and chosen by what was said and what the tools returned.

#[path = "../support/replacement.rs"]
mod replacement;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::json;

pub use self::replacement::plan;
use self::replacement::task;

/// The PM's default model, the other one in its pool, and the Coder's.
pub const PM: &str = "test/pm";
/// The other model of the PM's pool.
pub const CLAUDE: &str = "anthropic/test-claude";
/// The Coder's model.
pub const CODER: &str = "test/coder";

/// A model whose next faults a test can choose.
#[derive(Clone, Default)]
pub struct Trouble(Arc<Mutex<VecDeque<ScriptedFault>>>);

impl Trouble {
    /// The next requests go wrong in this way, so many times.
    pub fn next(&self, fault: ScriptedFault, times: usize) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.extend(std::iter::repeat_n(fault, times));
    }

    fn take(&self) -> Option<ScriptedFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A status with OpenRouter's error body.
pub fn status(code: u16, message: &str) -> ScriptedFault {
    let body = json!({ "error": { "code": code, "message": message } }).to_string();
    ScriptedFault::Status { code, body, retry_after: None }
}

/// The script of most stories. The PM reads the file that the first message names in backticks and proposes to replace
/// its first line by what stands in double quotes; a message that ends in `?` is answered in words. The Coder does what
/// the plan says.
pub fn standard(trouble: Trouble) -> impl FnMut(&ScriptedRequest) -> ScriptedReply + Send {
    move |request| {
        if let Some(fault) = trouble.take() {
            return ScriptedReply::fault(fault);
        }
        let reply = if request.model == CODER { coder(request) } else { pm(request) };
        reply.cost(0.001).tokens(1000, 900, 50)
    }
}

/// The same PM with another Coder.
pub fn with_coder(
    coder: impl Fn(&ScriptedRequest) -> ScriptedReply + Send,
) -> impl FnMut(&ScriptedRequest) -> ScriptedReply + Send {
    move |request| if request.model == CODER { coder(request) } else { pm(request) }
}

/// A Coder that runs this command and says what came of it.
pub fn running(command: &str) -> impl Fn(&ScriptedRequest) -> ScriptedReply + Send + use<> {
    let call = json!({ "command": command });
    move |request| match last_calls(request).as_slice() {
        [] => ScriptedReply::text("").call("Bash", &call),
        ["Bash"] => ScriptedReply::text(request.last_result("Bash").unwrap_or_default()),
        other => ScriptedReply::text(format!("lost after {other:?}")),
    }
}

/// Whether the last word is a person's or the daemon's, so that a run begins here.
pub fn spoken_to(request: &ScriptedRequest) -> bool {
    request.messages.last().is_some_and(|message| message.role == "user")
}

/// The names of the calls in the model's last reply.
pub fn last_calls(request: &ScriptedRequest) -> Vec<&str> {
    let last = request.messages.iter().rfind(|message| message.role == "assistant");
    last.into_iter().flat_map(|message| &message.calls).map(|call| call.name.as_str()).collect()
}

/// The file in backticks and the line in double quotes of a person's wish, which is one line, the last.
fn wish(text: &str) -> Option<(String, String)> {
    let text = text.trim_end().lines().next_back()?;
    let file = text.split('`').nth(1)?;
    let line = text.split('"').nth(1)?;
    Some((file.to_owned(), line.to_owned()))
}

fn pm(request: &ScriptedRequest) -> ScriptedReply {
    let asked = request.last_user_text();
    if spoken_to(request) {
        if asked.trim_end().ends_with("code?") {
            let code: String = (1..=25).map(|line| format!("line {line}\n")).collect();
            return ScriptedReply::text(format!("Here it is:\n```rust\n{code}```"));
        }
        let Some((file, _)) = wish(&asked) else {
            return ScriptedReply::text(format!("{} says: I heard “{}”.", request.model, asked.trim()));
        };
        return ScriptedReply::text("")
            .call("Read", &json!({ "file_path": file }))
            .call("Grep", &json!({ "pattern": ".", "path": file, "output_mode": "content" }))
            .call("Glob", &json!({ "pattern": "**/*" }))
            .call("GitLog", &json!({}))
            .call("GitDiff", &json!({}));
    }
    match last_calls(request).as_slice() {
        ["Read", ..] => {
            let (file, line) = wish(&asked).expect("a wish began this");
            let read = request.last_result("Read").unwrap_or_default();
            let Some((_, old)) = read.lines().next().and_then(|line| line.trim_start().split_once('\t')) else {
                return ScriptedReply::text(format!("I cannot read {file}: {read}"));
            };
            ScriptedReply::text("").call("ProposePlan", &plan(&file, old, &line))
        }
        ["ProposePlan"] => ScriptedReply::text(""),
        other => ScriptedReply::text(format!("lost after {other:?}")),
    }
}

fn coder(request: &ScriptedRequest) -> ScriptedReply {
    let system = request.messages.first().map(|message| message.text()).unwrap_or_default();
    let told = format!("{system}\n{}", request.user_text());
    let Some((file, old, new)) = task(&told) else { return ScriptedReply::text("There is no plan.") };
    if spoken_to(request) {
        return ScriptedReply::text("")
            .call("TodoWrite", &json!({ "todos": [{ "content": format!("say {new}"), "status": "in_progress" }] }))
            .call("Read", &json!({ "file_path": file }));
    }
    match last_calls(request).as_slice() {
        ["TodoWrite", "Read"] => ScriptedReply::text("")
            .call("Edit", &json!({ "file_path": file, "old_string": old, "new_string": new }))
            .call("Bash", &json!({ "command": format!("head -n 1 {file}") })),
        ["Edit", "Bash"] => {
            let said = request.last_result("Bash").unwrap_or_default();
            if !said.contains(&new) {
                return ScriptedReply::text(format!("The edit did not work: {said}"));
            }
            ScriptedReply::text("")
                .call("GitCommit", &json!({ "message": format!("Say {new}") }))
                .call("GitPush", &json!({}))
                .call("GHCreatePR", &json!({ "title": format!("Say {new}"), "body": "Because it was asked for." }))
                .call("GHStatus", &json!({}))
        }
        ["GitCommit", ..] => {
            let opened = request.last_result("GHCreatePR").unwrap_or_default();
            ScriptedReply::text(format!("Done: {file} says {new}. {opened}"))
        }
        other => ScriptedReply::text(format!("lost after {other:?}")),
    }
}
