//! The lines of the demo's model. It plays one bug from report to pull request, and what it says next depends on what
//! the tools really returned: a broken tool breaks the demo, with the reason in the thread.

use serde_json::{Value, json};

use crate::scripted::{Script, ScriptedMessage, ScriptedReply, ScriptedRequest};

/// The model name under which the PM's lines are asked for.
pub const PM: &str = "scripted/pm";

/// The model name under which the Coder's lines are asked for.
pub const CODER: &str = "scripted/coder";

/// The command that runs the sample's tests: what the Coder runs, and the repository's check.
pub const TESTS: &str = "sh tests/run.sh";

/// The file of the sample's tests.
const TEST_FILE: &str = "tests/run.sh";

/// Plays the demo.
pub struct DemoScript;

impl Script for DemoScript {
    fn reply(&mut self, request: &ScriptedRequest) -> ScriptedReply {
        let scene = Scene::new(request);
        let reply = match request.model.as_str() {
            CODER => coder(&scene),
            _ => pm(&scene),
        };
        reply.unwrap_or_else(|surprise| ScriptedReply::text(surprise.0)).cost(0.0)
    }
}

/// What came back was not what the script can go on with.
struct Surprise(String);

impl Surprise {
    fn new(what: &str, came: &str) -> Self {
        Self(format!("I am a scripted model and cannot go on: {what}. What came back:\n```\n{}\n```", came.trim()))
    }
}

type Line = Result<ScriptedReply, Surprise>;

/// Where the conversation stands.
struct Scene<'a> {
    request: &'a ScriptedRequest,
    /// The calls of the model's last reply, with their results.
    done: Vec<Done>,
}

/// A call and its result.
struct Done {
    tool: String,
    arguments: Value,
    result: String,
}

impl<'a> Scene<'a> {
    fn new(request: &'a ScriptedRequest) -> Self {
        let last = request.messages.iter().rposition(|message| message.role == "assistant").unwrap_or_default();
        let results = &request.messages[last..];
        let result_of = |id: &str| {
            let found = results.iter().find(|message| message.call_id.as_deref() == Some(id));
            found.map(ScriptedMessage::text).unwrap_or_default()
        };
        let done = request.messages.get(last).into_iter().flat_map(|message| &message.calls).map(|call| Done {
            tool: call.name.clone(),
            arguments: serde_json::from_str(&call.arguments).unwrap_or_default(),
            result: result_of(&call.id),
        });
        Self { request, done: done.collect() }
    }

    /// The result of a call of the last reply, by tool and by a text among its arguments.
    fn result(&self, tool: &str, argument: &str) -> Option<&str> {
        let fits = |done: &&Done| done.tool == tool && done.arguments.to_string().contains(argument);
        self.done.iter().find(fits).map(|done| done.result.as_str())
    }

    fn was_called(&self, tool: &str) -> bool {
        self.done.iter().any(|done| done.tool == tool)
    }

    /// Whether a person or the daemon spoke since the model's last reply.
    fn is_spoken_to(&self) -> bool {
        self.request.messages.last().is_some_and(|message| message.role == "user")
    }
}

fn pm(scene: &Scene<'_>) -> Line {
    if scene.is_spoken_to() {
        let said = scene.request.last_user_text().to_lowercase();
        if !said.contains("last row") {
            return Ok(ScriptedReply::text(
                "I am a scripted model: I can only play the bug of the last row. Start the demo with \
                 `--model-url URL --model NAME` or with `OPENROUTER_API_KEY` to talk to a real model.",
            ));
        }
        return Ok(ScriptedReply::text("")
            .call("Grep", &json!({"pattern": r"while .*\bread\b", "output_mode": "content", "-n": true}))
            .call("Glob", &json!({"pattern": "tests/**"})));
    }
    if let Some(found) = scene.result("Grep", "read") {
        let (file, _, _) =
            found.lines().find_map(grep_line).ok_or_else(|| Surprise::new("no reading loop was found", found))?;
        let tests = scene.result("Glob", "tests").unwrap_or_default();
        if !tests.contains(TEST_FILE) {
            return Err(Surprise::new("the tests were not found", tests));
        }
        return Ok(ScriptedReply::text("")
            .call("Read", &json!({"file_path": file}))
            .call("Read", &json!({"file_path": TEST_FILE}))
            .call("GitLog", &json!({"path": file, "limit": 5})));
    }
    if let Some(tests) = scene.result("Read", TEST_FILE) {
        return propose(scene, tests);
    }
    if let Some(answer) = scene.result("ProposePlan", "") {
        if answer.contains("waits for a person") {
            return Ok(ScriptedReply::text(""));
        }
        return Err(Surprise::new("the plan was not taken", answer));
    }
    Err(Surprise::new("this part of the conversation is not in the script", &scene.request.last_user_text()))
}

fn propose(scene: &Scene<'_>, tests: &str) -> Line {
    let source = scene.done.iter().find(|done| done.tool == "Read" && done.result.contains("while "));
    let source = source.ok_or_else(|| Surprise::new("the report's source could not be read", tests))?;
    let file = source.arguments["file_path"].as_str().unwrap_or_default();
    let (at, _) =
        numbered_line(&source.result, "while ").ok_or_else(|| Surprise::new("the loop is gone", &source.result))?;
    let (test, _) =
        numbered_line(tests, "trailing newline").ok_or_else(|| Surprise::new("the failing test is gone", tests))?;
    let history = scene.result("GitLog", "").unwrap_or_default();
    if !history.contains("Print order files") {
        return Err(Surprise::new("the history could not be read", history));
    }
    Ok(ScriptedReply::text("").call(
        "ProposePlan",
        &json!({
            "title": "Keep the last row without a trailing newline",
            "workflow": "bugfix",
            "summary": format!(
                "`read` returns false on a last line that has no newline, although it has filled the variables, so the \
                 loop ends before that row is printed and counted (`{file}:{at}`). A test for it exists and fails \
                 (`{TEST_FILE}:{test}`)."
            ),
            "steps": [
                {"text": "Go on with the loop when `read` fails but has read a name", "files": [format!("{file}:{at}")]},
                {"text": "Add a case for a file that has only a header", "files": [format!("{TEST_FILE}:{test}")]},
            ],
            "files": [file, TEST_FILE],
            "acceptance": ["a file without a trailing newline reports all its rows", format!("`{TESTS}` passes")],
        }),
    ))
}

fn coder(scene: &Scene<'_>) -> Line {
    if scene.is_spoken_to() {
        return begin(scene);
    }
    if let Some(tests) = scene.result("Bash", TESTS) {
        return after_tests(scene, tests);
    }
    if scene.was_called("Edit") {
        return after_edit(scene);
    }
    if let Some(diff) = scene.result("GitDiff", "") {
        if !diff.contains("+while ") {
            return Err(Surprise::new("the change is not in the diff", diff));
        }
        let message = "Keep the last row without a trailing newline\n\nread returns false on a last line without a \
                       newline, although it has filled the variables.";
        return Ok(ScriptedReply::text("")
            .call("GitCommit", &json!({"message": message}))
            .call("GitPush", &json!({}))
            .call("GHCreatePR", &json!({"title": "Keep the last row without a trailing newline", "body": PULL_BODY}))
            .call("TodoWrite", &checklist(["completed"; 3])));
    }
    if let Some(opened) = scene.result("GHCreatePR", "") {
        if !opened.contains('#') {
            return Err(Surprise::new("the pull request was not opened", opened));
        }
        return Ok(ScriptedReply::text(report(scene)));
    }
    Err(Surprise::new("this part of the work is not in the script", &scene.request.last_user_text()))
}

/// The body of the pull request.
const PULL_BODY: &str = "`read` returns false on a last line that has no newline, so the report lost that row. The loop \
    now goes on when a name was read.\n\nA case for a file with only a header is new. Tested with `sh tests/run.sh`.";

fn begin(scene: &Scene<'_>) -> Line {
    let plan = scene.request.messages.first().map(ScriptedMessage::text).unwrap_or_default();
    let file = plan.split('`').find(|text| text.starts_with("src/") && text.contains(':'));
    let file = file.and_then(|text| text.split(':').next());
    let file = file.ok_or_else(|| Surprise::new("the plan names no source file", &plan))?;
    Ok(todos(["in_progress", "pending", "pending"])
        .call("Read", &json!({"file_path": file}))
        .call("Read", &json!({"file_path": TEST_FILE}))
        .call("Bash", &json!({"command": TESTS, "description": "Run the tests before the change"})))
}

fn todos(status: [&str; 3]) -> ScriptedReply {
    ScriptedReply::text("").call("TodoWrite", &checklist(status))
}

fn checklist(status: [&str; 3]) -> Value {
    let contents = ["see the test fail", "go on with the loop on a last line", "run the tests, open the pull request"];
    let list: Vec<Value> =
        contents.iter().zip(status).map(|(content, status)| json!({"content": content, "status": status})).collect();
    json!({ "todos": list })
}

fn after_tests(scene: &Scene<'_>, tests: &str) -> Line {
    let first_time = scene.was_called("Read");
    if !first_time {
        if !tests.contains(", 0 failed") || !tests.contains("exit code 0") {
            return Err(Surprise::new("the tests do not pass after the change", tests));
        }
        return Ok(todos(["completed", "completed", "in_progress"]).call("GitDiff", &json!({})));
    }
    if !tests.contains("FAIL  last row") || !tests.contains("exit code 1") {
        return Err(Surprise::new("the test that should fail does not", tests));
    }
    let is_source = |done: &&Done| done.tool == "Read" && done.arguments["file_path"] != TEST_FILE;
    let source = scene.done.iter().find(is_source).ok_or_else(|| Surprise::new("the source was not read", tests))?;
    let (_, line) =
        numbered_line(&source.result, "while ").ok_or_else(|| Surprise::new("the loop is gone", &source.result))?;
    let fixed = line.replacen("; do", r#" || [ -n "$name" ]; do"#, 1);
    let test_file = scene.result("Read", TEST_FILE).unwrap_or_default();
    let (_, case) =
        numbered_line(test_file, "trailing newline").ok_or_else(|| Surprise::new("the case is gone", test_file))?;
    let more = format!("{case}\ncheck 'only a header' 'rows 0, total 0' 'name,quantity,price'");
    Ok(todos(["completed", "in_progress", "pending"])
        .call("Edit", &json!({"file_path": source.arguments["file_path"], "old_string": line, "new_string": fixed}))
        .call("Edit", &json!({"file_path": TEST_FILE, "old_string": case, "new_string": more})))
}

fn after_edit(scene: &Scene<'_>) -> Line {
    for done in scene.done.iter().filter(|done| done.tool == "Edit") {
        if !done.result.contains("[ -n") && !done.result.contains("only a header") {
            return Err(Surprise::new("an edit did not succeed", &done.result));
        }
    }
    Ok(ScriptedReply::text("").call("Bash", &json!({"command": TESTS, "description": "Run the tests"})))
}

fn report(scene: &Scene<'_>) -> String {
    let tests = scene.request.last_result("Bash").unwrap_or_default();
    let figures = tests.lines().find(|line| line.contains(" passed, ")).unwrap_or("no figures");
    format!(
        "Done. The report now prints and counts a last row that has no newline at its end; one new case.\n\
         `{TESTS}` → exit code 0 ({figures}); before the change one case failed."
    )
}

/// `path:line:text` of a Grep result.
fn grep_line(line: &str) -> Option<(&str, &str, &str)> {
    let mut parts = line.splitn(3, ':');
    let (path, number, text) = (parts.next()?, parts.next()?, parts.next()?);
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((path, number, text))
}

/// The first line of a Read result that contains `needle`: its number and its text.
fn numbered_line<'a>(result: &'a str, needle: &str) -> Option<(&'a str, &'a str)> {
    result.lines().filter_map(|line| line.trim_start().split_once('\t')).find(|(_, text)| text.contains(needle))
}
