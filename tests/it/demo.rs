//! The newcomer's command, as a newcomer types it.

use std::process::{Command, Output};

use codebutler::scripted::{ScriptedReply, ScriptedRequest, ScriptedServer};
use serde_json::json;

/// Runs `codebutler demo` with an empty home.
async fn demo(arguments: Vec<String>) -> (Output, String) {
    let ran = tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().expect("a folder");
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_codebutler"));
        command
            .arg("demo")
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("TMPDIR", home.path());
        let output = command.output().expect("it runs");
        let left: Vec<_> = std::fs::read_dir(home.path()).expect("read").filter_map(Result::ok).collect();
        assert_eq!(left.len(), 0, "the demo leaves nothing behind: {left:?}");
        output
    });
    let output = ran.await.expect("joined");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

fn arguments(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_plays_from_the_bug_report_to_the_merge() {
    let (output, text) = demo(arguments(&["--auto"])).await;
    assert!(output.status.success(), "{text}");
    for part in [
        "scripted model, real tools",
        "the report drops the last row",
        "Plan: Keep the last row without a trailing newline",
        "src/report.sh:8",
        "[Approve] [Change] [Cancel]",
        "Approved by you",
        "4 passed, 0 failed",
        "+while IFS=, read -r name quantity price || [ -n \"$name\" ]; do",
        "Merged as",
        "merged in ",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

/// A model on another server that fixes the bug in its own way.
fn other_model(request: &ScriptedRequest) -> ScriptedReply {
    let last = request.messages.iter().rfind(|message| message.role == "assistant");
    let calls: Vec<&str> = last.into_iter().flat_map(|message| &message.calls).map(|call| call.name.as_str()).collect();
    let coder = request.tools.iter().any(|tool| tool == "Edit");
    let read = "while IFS=, read -r name quantity price";
    match (coder, calls.as_slice()) {
        (false, []) => ScriptedReply::text("").call(
            "ProposePlan",
            &json!({
                "title": "Fix the loop", "workflow": "bugfix", "summary": "`src/report.sh:8` stops early.",
                "steps": [{ "text": "fix it", "files": ["src/report.sh:8"] }], "files": ["src/report.sh"],
                "acceptance": ["the tests pass"],
            }),
        ),
        (true, []) => ScriptedReply::text("").call("Read", &json!({ "file_path": "src/report.sh" })),
        (true, ["Read"]) => ScriptedReply::text("").call(
            "Edit",
            &json!({
                "file_path": "src/report.sh", "old_string": read,
                "new_string": "while IFS=, read -r name quantity price || test \"$name\"",
            }),
        ),
        (true, ["Edit"]) => ScriptedReply::text("Fixed, and left to the daemon to commit."),
        (_, _) => ScriptedReply::text(""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_compatible_server_can_play_it_when_the_sandbox_level_is_accepted() {
    let server = ScriptedServer::start(other_model).expect("a free port");
    let (url, log) = (server.url(), server.log());
    #[expect(clippy::disallowed_methods, reason = "a test's server; it ends with the test's runtime")]
    tokio::spawn(server.serve(std::future::pending()));
    let (output, text) = demo(arguments(&["--auto", "--model-url", &url, "--model", "some/model"])).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("error: commands are to run at sandbox level full") && text.contains("hint: add --sandbox none"),
        "{text}"
    );
    assert!(log.requests().is_empty(), "nothing was asked");
    let wanted = ["--auto", "--model-url", &url, "--model", "some/model", "--sandbox", "none"];
    let (output, text) = demo(arguments(&wanted)).await;
    assert!(output.status.success(), "{text}");
    assert!(text.contains("model: some/model") && !text.contains("scripted"), "it is not called scripted: {text}");
    assert_eq!(log.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_that_goes_another_way_fails_with_the_reason() {
    let server =
        ScriptedServer::start(|_: &ScriptedRequest| ScriptedReply::text("I would rather not.")).expect("a port");
    let url = server.url();
    #[expect(clippy::disallowed_methods, reason = "a test's server; it ends with the test's runtime")]
    tokio::spawn(server.serve(std::future::pending()));
    let wanted = ["--auto", "--model-url", &url, "--model", "lazy", "--sandbox", "none"];
    let (output, text) = demo(arguments(&wanted)).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: the PM ended without a plan; its last words: I would rather not."), "{text}");
}
