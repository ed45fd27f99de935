//! Looking at threads: the log of a story, `threads`, `show`, `replay`, beside a running daemon and without one.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::fake_slack::{ANA, APP_TOKEN, BEN, BOT_TOKEN, SHOP};
use super::world::World;

const WISH: &str = "please let `greeting.txt` say \"good morning\"";

/// Runs a command of the program in the world's checkout.
fn ask(world: &World, arguments: &[&str]) -> Output {
    ask_with(world, arguments, &[])
}

/// The same with something on standard input.
fn ask_with(world: &World, arguments: &[&str], input: &[u8]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_codebutler"));
    let mut child = command
        .args(arguments)
        .current_dir(world.checkout())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", world.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that found its fault early does not read on.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

/// What a command prints when it succeeds.
pub(super) fn told(world: &World, arguments: &[&str]) -> String {
    let output = ask(world, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What a command says when it fails.
fn refused(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: ") && error.contains("\nhint: "), "{error}");
    error
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The last object that `replay --json` prints for a log.
fn replayed(world: &World, log: &str) -> Value {
    let output = ask_with(world, &["replay", "-", "--json"], log.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&String::from_utf8_lossy(&output.stdout)).pop().expect("an end")
}

/// The lines of the log with this tag and thread.
fn tagged<'a>(log: &'a str, tag: &str, thread: &str) -> Vec<&'a str> {
    let fits = |line: &&str| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(tag) && words.next() == Some(thread)
    };
    log.lines().filter(fits).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_is_seen_while_it_happens_and_afterwards() {
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, WISH, None);
    world.card(&ts, "plan_approve").await;
    world.is_done(&ts).await;

    // While the daemon runs.
    let listed = told(&world, &["threads"]);
    for part in [ts.as_str(), SHOP, "pm", "Say good morning", "waits for an approval of “Say good morning”", "$0.00"]
    {
        assert!(listed.contains(part), "{part:?} is missing in:\n{listed}");
    }
    let running = lines(&told(&world, &["threads", "--json"]));
    assert_eq!(running.len(), 1);
    assert_eq!(
        (&running[0]["thread"], &running[0]["phase"], &running[0]["unread"]),
        (&ts.clone().into(), &"pm".into(), &0.into())
    );
    let log = told(&world, &["show", &ts, "--events", "--json"]);
    assert_eq!(replayed(&world, &log)["phase"], "pm");

    world.press(&ts, "plan_approve").await;
    world.card(&ts, "pr_merge").await;
    world.slack.say(ANA, SHOP, "merge", Some(&ts));
    world.says(&ts, "Merged as").await;
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    the_log_tells_it(&log, &ts);

    // After the daemon.
    let open = told(&world, &["threads"]);
    assert!(open.starts_with("no open thread") && open.contains("--all"), "{open}");
    assert!(told(&world, &["threads", "--all"]).contains("closed, merged"));
    let story = told(&world, &["show", &ts[..8]]);
    for part in [
        "Say good morning\n",
        "phase         closed",
        "pull request  #1 Say good morning",
        "people        Ana, Ben, opened by Ben",
        "cost          $0.0",
        "PM $0.0",
        "MSG  Ben (U0BEN) wrote: please let `greeting.txt` say \"good morning\"",
        "PM   proposes plan ",
        "INF  Ana (U0ANA) approved plan ",
        "CLD  Bash ended with exit code 0 in ",
        "running `head -n 1 greeting.txt`",
        "INF  merged as ",
        "\nclosed, merged\n",
    ] {
        assert!(story.contains(part), "{part:?} is missing in:\n{story}");
    }
    assert!(!story.contains('\x1b'), "no colour where there is no terminal");
    let events = told(&world, &["show", &ts, "--events"]);
    let log = told(&world, &["show", &ts, "--events", "--json"]);
    assert_eq!(events.lines().count(), log.lines().count());
    assert!(events.lines().next().is_some_and(|line| line.contains("thread_opened  by=U0BEN")), "{events}");
    let end = replayed(&world, &log);
    let summary = lines(&told(&world, &["show", &ts, "--json"])).remove(0);
    for name in ["phase", "doing", "thread", "cost_usd"] {
        assert_eq!(end[name], summary[name], "{name}");
    }
    assert_eq!((&end["phase"], &end["events"]), (&"closed".into(), &log.lines().count().into()));
    assert_eq!(end["fingerprint"], replayed(&world, &log)["fingerprint"]);
    let shorter: String = log.lines().take(10).map(|line| format!("{line}\n")).collect();
    assert_ne!(end["fingerprint"], replayed(&world, &shorter)["fingerprint"]);

    let file = world.folder.path().join("log.jsonl");
    std::fs::write(&file, &log).expect("written");
    let text = told(&world, &["replay", file.to_str().expect("text")]);
    for part in ["phase pm → coder", "+workspace", "−workspace", "phase         closed", "pending       nothing"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert!(text.contains(end["fingerprint"].as_str().expect("a hash")));
}

/// The log names thread, role and deed of everything, and nothing that was said.
fn the_log_tells_it(log: &str, ts: &str) {
    for (tag, part) in [
        ("MSG", "Ben (U0BEN) wrote 44 characters"),
        ("PM", "run 1, turn 1: calls Read, Grep, Glob, GitLog, GitDiff · test/pm · 1000 tokens in (900 cached)"),
        ("PM", "Read done in "),
        ("PM", "proposes plan "),
        ("INF", "Ana (U0ANA) approved plan "),
        ("CLD", "run 2 begins with test/coder"),
        ("CLD", "Bash ended with exit code 0 in "),
        ("CLD", "pull request #1 is open"),
        ("CLD", "run 2 ended · 4 turns, 8 calls"),
        ("RSP", "message post.key=plan/"),
        ("RSP", "reaction post.key=eyes/"),
        ("INF", "merged as "),
        ("INF", "closed, merged"),
    ] {
        let lines = tagged(log, tag, ts);
        assert!(lines.iter().any(|line| line.contains(part)), "no {tag} line with {part:?} in:\n{log}");
    }
    for said in
        ["please let", "good morning", "head -n", "Replace <", "Because it was asked", BOT_TOKEN, APP_TOKEN, "sk-test"]
    {
        // The branch is named after the plan, with hyphens.
        assert!(!log.contains(said), "{said:?} is in the log:\n{log}");
    }
    // Before it is ready the command line has the word.
    for line in log.lines().skip_while(|line| !line.starts_with("ready ")).skip(1) {
        let time = line.split(' ').next().unwrap_or_default();
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_is_found_by_the_beginning_of_its_name() {
    let world = World::new().await;
    let before = told(&world, &["threads"]);
    assert!(before.starts_with("no codebutler has run in "), "{before}");
    let daemon = world.start();
    let one = world.slack.say(BEN, SHOP, "what is one?", None);
    let two = world.slack.say(ANA, SHOP, "what is two?", None);
    world.is_done(&one).await;
    world.is_done(&two).await;
    daemon.kill();

    let both = told(&world, &["threads"]);
    assert!(both.contains("what is one?") && both.contains("what is two?") && both.contains("waits for a message"));
    let error = refused(&ask(&world, &["show", "1"]));
    for part in ["2 threads begin with `1`", one.as_str(), two.as_str(), "what is one?", SHOP] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
    let error = refused(&ask(&world, &["show", "99"]));
    assert!(
        error.contains("no thread of the repository begins with `99`") && error.contains("codebutler threads"),
        "{error}"
    );
    assert!(told(&world, &["show", &two]).contains("what is two?"));

    // From elsewhere it must be named, or configured.
    let place = world.folder.path().to_str().expect("text").to_owned();
    let error = refused(&ask(&world, &["-C", &place, "threads"]));
    assert!(error.contains("there is no repository here and none is configured"), "{error}");
    let shop = world.checkout().to_str().expect("text").to_owned();
    assert!(told(&world, &["-C", &place, "threads", "--repo", &shop]).contains("what is one?"));
    let mut world = world;
    world.global["repos"] = serde_json::json!([shop]);
    world.write_config();
    assert!(told(&world, &["-C", &place, "show", &one]).contains("what is one?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_refused_with_the_line() {
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "what is it?", None);
    world.is_done(&ts).await;
    daemon.kill();
    let log = told(&world, &["show", &ts, "--events", "--json"]);
    let lines: Vec<&str> = log.lines().collect();
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        lines.join("\n").into_bytes()
    };
    let half = &lines[2][..lines[2].len() / 2];
    let unknown = lines[2].replacen("\"type\":\"", "\"type\":\"later_", 1);
    let other = lines[2].replace(&ts, "9.0");
    let cases = [
        (Vec::new(), "the log holds no event"),
        (with(2, half), "line 3 of the log: no JSON object"),
        (with(2, &unknown), "line 3 of the log: this program knows no event of type `later_"),
        (with(2, &other), "line 3 of the log: it is of thread T0TEAM/C0SHOP/9.0"),
        (with(2, lines[1]), "line 3 of the log: event 2 stands where event 3 belongs"),
        (with(0, lines[1]), "line 1 of the log: event 2 stands where event 1 belongs"),
        ([with(2, lines[2]), b"\n\xff\xfe\n".to_vec()].concat(), "no UTF-8 text"),
    ];
    for (log, expected) in cases {
        let error = refused(&ask_with(&world, &["replay", "-"], &log));
        assert!(error.contains(expected), "{expected:?} is not in {error}");
    }
    refused(&ask(&world, &["replay", "nowhere.jsonl"]));
    assert_eq!(ask(&world, &["replay"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_program_is_refused_and_the_others_are_shown() {
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "what is it?", None);
    world.is_done(&ts).await;
    daemon.kill();
    let newer = world.folder.path().join("newer");
    std::fs::create_dir_all(newer.join(".codebutler")).expect("made");
    let connection = rusqlite::Connection::open(newer.join(".codebutler/store.db")).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("set");
    drop(connection);
    let (newer, shop) = (newer.to_str().expect("text").to_owned(), world.checkout());
    let output = ask(&world, &["threads", "--repo", &newer, "--repo", shop.to_str().expect("text")]);
    let error = refused(&output);
    assert!(
        error.contains("was written by a newer codebutler") && error.contains("hint: update codebutler"),
        "{error}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains(&ts), "the other repository is shown");
}
