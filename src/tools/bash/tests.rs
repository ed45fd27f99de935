//! Bash by cases: ends, limits, environment, output.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::tools::testing::Ground;

async fn bash(ground: &Ground, command: &str) -> ToolOutput {
    ground.run(&Bash, &json!({"command": command}).to_string()).await.expect("it runs")
}

#[tokio::test]
async fn output_and_exit_code_are_told() {
    let ground = Ground::new(&[("a", "text\n")]);
    for (command, text, exit) in [
        ("cat a", "text\nexit code 0", 0),
        ("true", "(no output)\nexit code 0", 0),
        ("echo out; echo err >&2; exit 3", "out\nerr\nexit code 3", 3),
        ("no-such-program", "", 127),
        ("kill -9 $$", "(no output)\nexit code 137 (killed by signal 9)", 137),
        ("sh -c 'kill -9 $$'; exit $?", "", 137),
        ("printf 'a\\r\\033[32mb\\033[0m\\n'", "b\nexit code 0", 0),
        ("printf '\\377\\n'", "\u{fffd}\nexit code 0", 0),
        ("cat; echo end of input", "end of input\nexit code 0", 0),
    ] {
        let output = bash(&ground, command).await;
        assert_eq!(output.exit, Some(exit), "{command}");
        assert!(output.text.ends_with(&format!("exit code {exit}")) || text.contains("signal"), "{}", output.text);
        if !text.is_empty() {
            assert_eq!(output.text, text, "{command}");
        }
    }
}

#[tokio::test]
async fn each_command_begins_in_the_workspace() {
    let ground = Ground::new(&[("src/a", "")]);
    bash(&ground, "cd src && cd ..; X=1; export X; cd /").await;
    let output = bash(&ground, "pwd -P; echo \"[$X]\"").await;
    let root = std::fs::canonicalize(ground.root()).expect("resolves");
    assert_eq!(output.text, format!("{}\n[]\nexit code 0", root.display()));
}

#[tokio::test]
async fn the_environment_is_an_allow_list_with_a_private_home() {
    let ground = Ground::new(&[("Cargo.toml", ""), (".venv/bin/tool", "")]);
    let output = bash(&ground, "env -0 | tr '\\n\\0' ' \\n'").await;
    let env: BTreeMap<&str, &str> = output.text.lines().filter_map(|line| line.split_once('=')).collect();
    for name in env.keys() {
        let secret = ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.to_uppercase().contains(word));
        assert!(!secret, "{name}");
    }
    let home = ground.context.home.display().to_string();
    let root = ground.root().display().to_string();
    for (name, wanted) in [
        ("HOME", home.clone()),
        ("TMPDIR", format!("{home}/tmp")),
        ("CI", "1".to_owned()),
        ("TERM", "dumb".to_owned()),
        ("NO_COLOR", "1".to_owned()),
        ("PAGER", "cat".to_owned()),
        ("GIT_PAGER", "cat".to_owned()),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("CARGO_TARGET_DIR", format!("{root}/.target")),
        ("VIRTUAL_ENV", format!("{root}/.venv")),
    ] {
        assert_eq!(env.get(name), Some(&wanted.as_str()), "{name}");
    }
    assert!(env["PATH"].starts_with(&format!("{root}/.venv/bin:")), "{}", env["PATH"]);
    // cargo sets this for its tests; it is on no list, as a key in the daemon's environment would be on none.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !env.contains_key("CARGO_MANIFEST_DIR"));
    let mode = bash(&ground, "ls -ld \"$TMPDIR\" | cut -c1-10").await;
    assert_eq!(mode.text, "drwx------\nexit code 0");
}

#[tokio::test]
async fn a_command_dies_at_its_time_limit_with_all_it_started() {
    let ground = Ground::new(&[]);
    let command =
        "sh -c 'while :; do date +%s%N > beat; sleep 0.01; done' & until [ -s beat ]; do :; done; echo begun; wait";
    // How long it takes to begin is the machine's affair.
    let mut limit = 300;
    let output = loop {
        let arguments = json!({"command": command, "timeout": limit}).to_string();
        let output = ground.run(&Bash, &arguments).await.expect("it runs");
        if output.text.starts_with("begun") || limit > 60_000 {
            break output;
        }
        limit *= 4;
    };
    assert_eq!(output.exit, None);
    let killed = "no exit code: killed with all it started after its time limit of";
    let wanted = format!("begun\n{killed} {limit} ms. Raise `timeout` (at most 600000 ms), or do less at once.");
    assert_eq!(output.text, wanted);
    let beat = || std::fs::read_to_string(ground.root().join("beat")).expect("it ran");
    // A beat that was under way may still end; then there is none for so long that there would be many.
    for _ in 0..100 {
        let last = beat();
        bash(&ground, "sleep 0.2").await;
        if beat() == last {
            return;
        }
    }
    panic!("what it started still runs");
}

#[tokio::test]
async fn the_limit_comes_from_the_config_when_none_is_given_and_never_exceeds_the_longest() {
    let mut ground = Ground::new(&[]);
    ground.context.bash_timeout = Duration::from_millis(50);
    let output = bash(&ground, "sleep 60").await;
    assert!(output.text.contains("time limit of 50 ms"), "{}", output.text);
    let finished = |exit| Finished { exit, stdout: Default::default(), stderr: Default::default(), left: false };
    let output = told(finished(Exit::TimedOut), Duration::from_millis(MAX_TIMEOUT_MS));
    assert!(output.text.ends_with("Do less at once: this is the longest time there is."), "{}", output.text);
}

#[tokio::test]
async fn a_stop_kills_the_command_at_once() {
    let ground = Ground::new(&[]);
    let cancel = ground.context.cancel.clone();
    let started = Instant::now();
    let stop = async {
        while !ground.root().join("begun").exists() {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (output, ()) = tokio::join!(bash(&ground, "touch begun; sleep 600"), stop);
    assert!(output.text.ends_with("because the run was stopped") && output.exit.is_none(), "{}", output.text);
    assert!(started.elapsed() < Duration::from_secs(300));
}

#[tokio::test]
async fn output_comes_whole_up_to_what_is_kept_and_beyond_it_loses_its_middle() {
    let ground = Ground::new(&[]);
    let output = bash(&ground, "seq 1 20000; exit 4").await;
    assert!(output.text.starts_with("1\n2\n3\n") && output.text.contains("\n10000\n"));
    assert!(output.text.ends_with("19999\n20000\nexit code 4"));
    let output = bash(&ground, "head -c 50000000 /dev/zero | tr '\\0' 'x'").await;
    assert!((KEPT_BYTES * 2..KEPT_BYTES * 2 + 150).contains(&output.text.len()), "{}", output.text.len());
    let dropped = format!("… {} bytes left out …", 50_000_000 - KEPT_BYTES * 2);
    assert!(output.text.contains(&dropped) && output.text.ends_with("x\nexit code 0"));
}

#[tokio::test]
async fn what_cannot_run_is_answered_clearly() {
    let ground = Ground::new(&[]);
    for (arguments, wanted) in [
        (json!({"command": "true", "run_in_background": true}), "cannot run in the background yet; nothing was run"),
        (json!({"command": " "}), "`command` is empty"),
        (json!({"command": "echo \0"}), "NUL"),
        (json!({"cmd": "true"}), "It takes `command` (required), `timeout`, `description`."),
    ] {
        let text = ground.text(&Bash, &arguments.to_string()).await;
        assert!(text.starts_with("error: ") && text.contains(wanted), "{text}");
    }
    let output = ground.text(&Bash, &json!({"command": "true", "run_in_background": false}).to_string()).await;
    assert_eq!(output, "(no output)\nexit code 0");
}
