//! What shows what, as tables.

use super::*;

fn ran(command: &str, exit: Option<i32>) -> Trace {
    Trace::Ran(Ran { command: normal(command), exit, millis: 7, counts: None, output: String::new() })
}

fn checks() -> Vec<String> {
    ["cargo fmt --check", "cargo test"].map(str::to_owned).to_vec()
}

#[test]
fn what_the_coder_ran_counts_only_with_nothing_changed_since() {
    let (fmt, test) = (|| ran("cargo fmt --check", Some(0)), |code| ran("cargo  test", Some(code)));
    type Case = (Vec<Trace>, Vec<(&'static str, i32)>);
    let cases: Vec<Case> = vec![
        (vec![], vec![]),
        (vec![fmt(), test(0)], vec![("cargo fmt --check", 0), ("cargo test", 0)]),
        (vec![test(0), fmt()], vec![("cargo fmt --check", 0), ("cargo test", 0)]),
        (vec![test(101)], vec![("cargo test", 101)]),
        (vec![test(101), test(0)], vec![("cargo test", 0)]),
        (vec![test(0), test(101)], vec![("cargo test", 101)]),
        (vec![test(0), Trace::Changed], vec![]),
        (vec![test(0), Trace::Changed, fmt()], vec![("cargo fmt --check", 0)]),
        (vec![test(0), ran("sed -i s/a/b/ x", Some(0))], vec![]),
        (vec![test(0), ran("git status", Some(0)), ran("cat a.rs", Some(0))], vec![("cargo test", 0)]),
        (vec![test(0), ran("cat a.rs > b.rs", Some(0))], vec![]),
        (vec![test(0), ran("git diff --output=a.rs", Some(0))], vec![]),
        (vec![test(0), ran("git checkout a.rs", Some(0))], vec![]),
        (vec![ran("cargo test", None)], vec![]),
        (vec![test(0), ran("cargo test", None)], vec![("cargo test", 0)]),
        (vec![ran("cargo test | tail", Some(0)), ran("cargo test; true", Some(0))], vec![]),
        (vec![ran("cd x && cargo test", Some(0))], vec![]),
    ];
    for (trace, expected) in cases {
        let known = known(&trace, &checks());
        let told: Vec<(&str, CheckEnd)> =
            known.iter().map(|check| (check.command.as_str(), check.end.clone())).collect();
        let expected: Vec<(&str, CheckEnd)> =
            expected.into_iter().map(|(command, code)| (command, CheckEnd::Exit { code })).collect();
        assert_eq!(told, expected, "{trace:?}");
    }
}

#[test]
fn white_space_counts_only_where_a_shell_minds_it() {
    for (one, two, same) in [
        ("cargo test", " cargo   test ", true),
        ("echo 'a  b'", "echo 'a b'", false),
        ("a\nb", "a b", false),
        ("cargo test", "cargo test -q", false),
    ] {
        assert_eq!(normal(one) == normal(two), same, "{one:?} {two:?}");
    }
}

#[test]
fn counts_come_from_known_lines_only() {
    let counted = |passed, failed| Some(Counts { passed, failed });
    for (output, expected) in [
        (
            "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\ntest result: FAILED. 1 passed; 3 failed;",
            counted(3, 3),
        ),
        ("===== 1 failed, 12 passed in 0.12s =====", counted(12, 1)),
        ("12 passed in 1.2s", counted(12, 0)),
        ("==== no tests ran in 0.01s ====", None),
        ("Tests:       1 failed, 11 passed, 12 total", counted(11, 1)),
        ("Test Suites: 1 passed, 1 total\nTests:       12 passed, 12 total", counted(12, 0)),
        ("      Tests  1 failed | 11 passed (12)", counted(11, 1)),
        ("  12 passing (30ms)\n  1 failing", counted(12, 1)),
        ("ok  \tgithub.com/a/b\t0.1s", None),
        ("all 12 tests passed", None),
        ("test result: ok. 0 passed; 0 failed;", None),
        (
            "test result: ok. 2 passed; 0 failed;\n… 300 lines left out here …\ntest result: ok. 1 passed; 0 failed;",
            None,
        ),
        ("12 passing thoughts in 3 days", counted(12, 0)),
        ("", None),
    ] {
        assert_eq!(counts(output), expected, "{output:?}");
    }
}

fn check(code: i32, output: &str) -> CheckRun {
    let end = CheckEnd::Exit { code };
    CheckRun { command: "cargo test".into(), end, millis: 1, counts: None, output: output.into() }
}

#[test]
fn a_failure_is_the_same_when_it_complains_of_the_same() {
    let old = "Compiling shop v1\ntest a ... ok\ntest b ... FAILED\nthread 'b' (123) panicked at src/lib.rs:7:5:\n\
               test result: FAILED. 1 passed; 1 failed; finished in 0.01s";
    let new = "test a ... ok\ntest b ... FAILED\nthread 'b' (98) panicked at src/lib.rs:7:5:\n\
               test result: FAILED. 1 passed; 1 failed; finished in 1.30s";
    let late = |output| CheckRun { end: CheckEnd::TimedOut { seconds: 9 }, ..check(0, output) };
    for (before, now, expected) in [
        (check(0, ""), check(0, ""), Earlier::Green),
        (check(0, ""), check(101, new), Earlier::Green),
        (check(101, old), check(101, new), Earlier::SameFailure),
        (check(101, old), check(1, new), Earlier::OtherFailure),
        (check(101, old), check(101, &new.replace("test b", "test c")), Earlier::OtherFailure),
        (check(101, old), check(101, &new.replace("1 failed", "2 failed")), Earlier::OtherFailure),
        (check(1, "x"), check(1, "x"), Earlier::SameFailure),
        (check(1, "x"), check(1, "y"), Earlier::OtherFailure),
        (check(1, ""), check(1, ""), Earlier::Failed),
        (check(1, ""), check(1, "x"), Earlier::OtherFailure),
        (late(old), late(old), Earlier::Failed),
        (late(old), check(101, old), Earlier::OtherFailure),
    ] {
        let baseline = Baseline { commit: crate::ids::CommitId::new("a"), checks: vec![before], missing: None };
        assert_eq!(earlier(&now, Some(&baseline)), expected, "{now:?}");
    }
    assert_eq!(earlier(&check(1, ""), None), Earlier::Unknown);
}

#[test]
fn a_criterion_is_shown_by_the_command_in_it_that_was_run() {
    let done = [check(0, ""), CheckRun { command: "cargo clippy".into(), ..check(1, "") }];
    let done = done.map(|check| (check, Earlier::Unknown));
    let trace = [ran("sh tests/run.sh export", Some(0))];
    for (criterion, expected) in [
        ("`cargo test` passes", Some(("cargo test", true))),
        ("`cargo clippy` is quiet", Some(("cargo clippy", false))),
        ("`cargo test` and `cargo clippy` pass", Some(("cargo clippy", false))),
        ("`sh tests/run.sh export` passes", Some(("sh tests/run.sh export", true))),
        ("`src/a.rs` says so", None),
        ("cargo test passes", None),
        ("all rows are exported", None),
        ("a stray ` in it", None),
    ] {
        let shown = shown(criterion, &done, &trace);
        assert_eq!(shown.as_ref().map(|shown| (shown.command.as_str(), shown.green)), expected, "{criterion}");
    }
    let later = [ran("sh tests/run.sh export", Some(0)), Trace::Changed];
    assert_eq!(shown("`sh tests/run.sh export` passes", &done, &later), None, "changed since");
}

#[test]
fn commands_like_tests_are_known_by_their_words() {
    for (command, expected) in [
        ("cargo test", true),
        ("npm run lint", true),
        ("sh tests/run.sh", true),
        ("./run_tests.sh -v", true),
        ("python -m pytest -q", true),
        ("make check", true),
        ("git status", false),
        ("cargo build", false),
        ("cat latest.txt", true),
        ("ls src", false),
    ] {
        assert_eq!(is_test_like(command), expected, "{command}");
    }
}

#[test]
fn test_runs_tell_the_last_end_of_each_and_whether_it_is_old() {
    let trace = [
        ran("cargo test", Some(101)),
        Trace::Changed,
        ran("cargo test", Some(0)),
        ran("make check", Some(0)),
        ran("git commit -am x", Some(0)),
    ];
    let told: Vec<(String, Option<i32>, bool)> =
        test_runs(&trace).into_iter().map(|(ran, old)| (ran.command, ran.exit, old)).collect();
    assert_eq!(told, [("cargo test".to_owned(), Some(0), true), ("make check".to_owned(), Some(0), true)]);
}
