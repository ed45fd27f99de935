//! `codebutler exec`: one task from the terminal, without Slack and without anybody to ask.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use codebutler::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest};
use serde_json::{Value, json};

use super::script::{running, status, with_coder};
use super::world::World;

const WISH: &str = "let `greeting.txt` say \"good morning\"";

/// The program with these arguments and a task, without Slack in its configuration.
fn spawn(world: &mut World, arguments: &[&str]) -> Child {
    spawn_onto(world, arguments, Stdio::piped())
}

fn spawn_onto(world: &mut World, arguments: &[&str], output: Stdio) -> Child {
    world.global.as_object_mut().expect("an object").remove("slack");
    world.repo.as_object_mut().expect("an object").remove("slack");
    world.write_config();
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_codebutler"));
    command
        .arg("exec")
        .args(arguments)
        .current_dir(world.checkout())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", world.home())
        .envs(world.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// What it printed, and its exit code.
struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

fn ended(child: Child) -> Ran {
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran { out: text(stdout), err: text(stderr), code: status.code() }
}

async fn exec(world: &mut World, arguments: &[&str]) -> Ran {
    let child = spawn(world, arguments);
    tokio::task::spawn_blocking(move || ended(child)).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered() {
    let mut world = World::new().await;
    let Ran { out, err, code } = exec(&mut world, &["where is the greeting made?"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("PM") && out.contains("I heard “you: where is the greeting made?”."), "{out}");
    assert_eq!(world.git(&["branch", "--list", "codebutler/*"]), "");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_not_approved_by_nobody_and_says_the_flag() {
    let mut world = World::new().await;
    let Ran { out, err, code } = exec(&mut world, &[WISH]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("Plan: Say good morning"), "the plan is shown: {out}");
    assert!(err.contains("error: a plan waits for an approval") && err.contains("hint: add --approve"), "{err}");
    assert_eq!(world.git(&["branch", "--list", "codebutler/*"]), "", "nothing was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_flag_it_becomes_a_pull_request_of_the_repository() {
    let mut world = World::new().await;
    world.repo["checks"] = json!(["grep -q morning greeting.txt"]);
    let Ran { out, err, code } = exec(&mut world, &["--approve", WISH]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let last = "pull request #1 is open: Say good morning · branch codebutler/say-good-morning";
    assert!(out.trim_end().ends_with(last), "{out}");
    assert!(out.contains("`grep -q morning greeting.txt` → exit 0"), "{out}");
    assert_eq!(world.at_remote("codebutler/say-good-morning", "greeting.txt"), "good morning\nworld\n");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_github_too_and_the_task_may_come_from_standard_input() {
    let (mut world, github) = World::new().await.with_github().await;
    let mut child = spawn(&mut world, &["--approve", "-"]);
    child.stdin.take().expect("piped").write_all(WISH.as_bytes()).expect("written");
    let Ran { out, err, code } = tokio::task::spawn_blocking(move || ended(child)).await.expect("no panic");
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(github.pull(1)["draft"], false);
    assert!(out.contains("pull request #1 is open"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_fail_are_a_failure() {
    let mut world = World::new().await;
    world.repo["checks"] = json!(["! grep -q morning greeting.txt"]);
    let Ran { out, err, code } = exec(&mut world, &["--approve", WISH]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("error: pull request #1 is only a draft: `! grep -q morning greeting.txt` fails"), "{err}");
    assert!(err.contains("hint: the work is on the branch codebutler/say-good-morning"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_said_with_what_to_do() {
    let mut world = World::new().await;
    world.trouble.next(status(402, "no credit"), 50);
    let Ran { out, err, code } = exec(&mut world, &["where is it?"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("error: ") && err.contains("hint: ") && err.contains("402"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_json_every_line_is_an_event_and_nothing_else() {
    let mut world = World::new().await;
    let Ran { out, err, code } = exec(&mut world, &["--json", "--approve", WISH]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    for wanted in ["thread_opened", "plan_approved", "tool_finished", "pull_request_opened", "work_published"] {
        assert!(types.contains(&wanted), "{wanted} in {types:?}");
    }
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert!(events.iter().all(|event| event["time"].is_string() && event["thread"] == events[0]["thread"]));
    assert!(err.contains("pull request #1 is open"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_it_and_keeps_the_work() {
    let command = "echo more >>greeting.txt; touch ../../../../begun; sleep 600";
    let mut world = World::with_script(with_coder(running(command))).await;
    let child = spawn(&mut world, &["--approve", WISH]);
    let begun = world.folder.path().join("begun");
    world.until("the command", || begun.exists()).await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let Ran { out, err, code } = tokio::task::spawn_blocking(move || ended(child)).await.expect("no panic");
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("error: stopped before it was done"), "{err}");
    assert!(err.contains("the work is kept on the branch codebutler/say-good-morning"), "{err}");
    let kept = world.at_remote("codebutler/say-good-morning", "greeting.txt");
    assert_eq!(kept, "hello\nworld\nmore\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_a_failure_that_names_where_it_is_set() {
    let mut world = World::new().await;
    world.global["limits"] = json!({ "perThreadUsd": 0.0015 });
    let Ran { out, err, code } = exec(&mut world, &["--approve", WISH]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("error: this thread's limit of $0.0015 is used up"), "{err}");
    assert!(err.contains("hint: raise limits.perThreadUsd in the configuration, then run it again"), "{err}");
    assert!(!out.contains("`!"), "nobody can say a command here: {out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_one_over_the_repositories_of_all_processes() {
    let mut world = World::new().await;
    world.global["limits"] = json!({ "perDayUsd": 0.0005 });
    let Ran { out, err, code } = exec(&mut world, &["where is the greeting made?"]).await;
    assert_eq!(code, Some(0), "nothing was spent before: {out}{err}");
    let other = world.folder.path().join("other");
    world.git_in(&world.checkout(), &["clone", "-q", ".", other.to_str().expect("text")]);
    let other = ["--repo", other.to_str().expect("text")];
    let Ran { out, err, code } = exec(&mut world, &[other[0], other[1], "and here?"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("error: today's limit of $0.0005 for all repositories is used up ($0.0010 spent"), "{err}");
    let Ran { out, .. } = exec(&mut world, &[other[0], other[1], "!cost"]).await;
    assert!(out.contains("$0.0010"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_also_when_nobody_reads_what_it_says() {
    let long = "words ".repeat(100_000);
    let script = move |request: &ScriptedRequest| match request.last_result("Read") {
        None => ScriptedReply::text(long.clone()).call("Read", &json!({ "file_path": "greeting.txt" })),
        Some(_) => ScriptedReply { fault: Some(ScriptedFault::Stall), ..ScriptedReply::text("too late") },
    };
    let mut world = World::with_script(script).await;
    let mut child = spawn(&mut world, &["--json", "what does it say?"]);
    world.until("the second request", || world.model.requests().len() == 2).await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let ended = tokio::task::spawn_blocking(move || (child.wait(), child));
    let (status, _unread) = ended.await.expect("no panic");
    assert_eq!(status.expect("it ends").code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn what_cannot_be_written_is_no_success() {
    let mut world = World::new().await;
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
    let child = spawn_onto(&mut world, &["where is the greeting made?"], full.into());
    let Ran { err, code, .. } = tokio::task::spawn_blocking(move || ended(child)).await.expect("no panic");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("error: it is done, but what was said could not be written"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_daemon_of_the_same_repository_it_says_so() {
    let mut world = World::new().await;
    let _daemon = world.start();
    let Ran { err, code, .. } = exec(&mut world, &["hello?"]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("error: ") && err.contains("hint: stop the other one first"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_task_and_an_unknown_flag_are_wrong_usage() {
    let mut world = World::with_script(|_| ScriptedReply::text("nobody asks")).await;
    for arguments in [&["  "][..], &["--no-such-flag", "x"], &[]] {
        let Ran { err, code, .. } = exec(&mut world, arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(err.contains("error: ") && err.contains("hint: "), "{err}");
    }
}
