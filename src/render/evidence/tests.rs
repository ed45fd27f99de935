//! How evidence reads.

use super::*;
use crate::thread::checks::{CheckEnd, Ran};
use crate::thread::evidence::{Report, Shown};

fn check(command: &str, end: CheckEnd, output: &str) -> CheckRun {
    CheckRun { command: command.into(), end, millis: 41_500, counts: None, output: output.into() }
}

fn exit(code: i32) -> CheckEnd {
    CheckEnd::Exit { code }
}

fn report(checks: Vec<(CheckRun, Earlier)>) -> Report {
    Report { checks, configured: Some(true), ..Report::default() }
}

#[test]
fn green_checks_are_one_line() {
    let test = CheckRun { counts: Some(Counts { passed: 212, failed: 0 }), ..check("cargo test", exit(0), "") };
    let clippy = CheckRun { millis: 900, ..check("cargo clippy", exit(0), "") };
    let told = |earlier| card(&report(vec![(test.clone(), Earlier::Green), (clippy.clone(), earlier)]));
    let begin = "`cargo test` → exit 0 (212 passed) in 41 s · `cargo clippy` → exit 0 · was green before: ";
    assert_eq!(told(Earlier::Green), format!("{begin}yes"));
    assert_eq!(told(Earlier::OtherFailure), format!("{begin}no, `cargo clippy` failed"));
    assert_eq!(told(Earlier::Unknown), format!("{begin}not known"));
    let all = report(vec![(test, Earlier::Green), (clippy, Earlier::Green)]);
    assert_eq!(headline(&all), None);
}

#[test]
fn what_fails_is_said_first_with_the_end_of_its_output() {
    let output = (1..=30).map(|line| format!("line {line}\n")).collect::<String>() + "``` done";
    let failing = report(vec![(check("cargo test", exit(101), &output), Earlier::Green)]);
    let text = headline(&failing).expect("it fails");
    assert!(
        text.starts_with("**Not done: `cargo test` fails** · exit code 101 · was green before: yes\n```\nline 22\n")
    );
    assert!(text.ends_with("''' done\n```"), "{text}");
    assert_eq!(text.lines().count(), 13);
    let late = report(vec![(check("x", CheckEnd::TimedOut { seconds: 600 }, ""), Earlier::Unknown)]);
    let expected = "**Not done: `x` fails** · did not end within 600 s · was green before: not known";
    assert_eq!(headline(&late).as_deref(), Some(expected));
    let not_run = report(vec![(check("x", CheckEnd::NotRun { why: "no shell".into() }, ""), Earlier::Unknown)]);
    let expected = "**Not done: `x` is not shown to pass** · could not be run: no shell · was green before: not known";
    assert_eq!(headline(&not_run).as_deref(), Some(expected));
}

#[test]
fn criteria_say_what_shows_them() {
    let shown = |green: bool| {
        Some(Shown { command: "cargo test".into(), how: format!("exit code {}", i32::from(!green)), green })
    };
    let criteria = vec![
        ("`cargo test` passes".to_owned(), shown(true)),
        ("`cargo test` passes twice".to_owned(), shown(false)),
        ("it looks good".to_owned(), None),
    ];
    let told = card(&Report { criteria, configured: Some(true), ..Report::default() });
    let expected = "**Done when**\n✔ `cargo test` passes · `cargo test` → exit code 0\n\
                    ✘ `cargo test` passes twice · `cargo test` → exit code 1\n\
                    · it looks good · _no command shows it: to be looked at_";
    assert_eq!(told, expected);
    let many = vec![("x".repeat(500), None); 20];
    let told = card(&Report { criteria: many, configured: Some(true), ..Report::default() });
    assert!(told.lines().count() == 10 && told.ends_with("_12 more_") && told.chars().count() < 2_000, "{told}");
}

#[test]
fn without_checks_it_says_what_the_coder_ran_and_no_more() {
    let ran = |command: &str, code| Ran {
        command: command.into(),
        exit: code,
        millis: 1,
        counts: None,
        output: String::new(),
    };
    let told = |ran| card(&Report { ran, configured: Some(false), ..Report::default() });
    assert_eq!(told(vec![]), "no checks are configured · no test was run");
    assert_eq!(told(vec![(ran("make test", None), false)]), "no checks are configured · no test was run");
    let both = vec![(ran("make test", Some(0)), false), (ran("make lint", Some(2)), true)];
    let expected = "no checks are configured · the Coder ran `make test` → exit 0 · \
                    the Coder ran `make lint` → exit 2, before later changes";
    assert_eq!(told(both.clone()), expected);
    // An older log does not say whether there are checks.
    assert_eq!(card(&Report::default()) + &section(&Report::default()), "");
    let expected = expected.trim_start_matches("no checks are configured · ");
    assert_eq!(card(&Report { ran: both, ..Report::default() }), expected);
}

#[test]
fn with_nothing_changed_it_says_how_the_base_is() {
    let unchanged = |checks| Report { unchanged: true, ..report(checks) };
    let base = |code| (check("make a", exit(code), ""), Earlier::Base);
    let red = unchanged(vec![base(2)]);
    assert_eq!(headline(&red).as_deref(), Some("**`make a` fails** · exit code 2 · on the untouched base"));
    assert_eq!(card(&red), "");
    assert_eq!(card(&unchanged(vec![base(0)])), "`make a` → exit 0 in 41 s · on the untouched base");
    let unknown = Report { unknown: Some("no space".into()), ..unchanged(vec![]) };
    assert_eq!(card(&unknown), "how the checks end is not known (no space)");
}

#[test]
fn the_section_of_the_body_has_all_of_it() {
    let mut report = report(vec![
        (check("cargo fmt", exit(0), ""), Earlier::Green),
        (check("cargo test", exit(101), "test b ... FAILED"), Earlier::SameFailure),
    ]);
    report.criteria = vec![("it looks good".to_owned(), None)];
    let expected = "### Evidence\n\nFrom the log of what was run, not from the model's words.\n\n\
                    - ✔ `cargo fmt` → exit code 0 in 41 s · was green before: yes\n\
                    - ✘ `cargo test` → exit code 101 in 41 s · failed in the same way before this work\n\n\
                    ```\ntest b ... FAILED\n```\n\n\nDone when:\n\n\
                    - · it looks good · _no command shows it: to be looked at_";
    assert_eq!(section(&report), expected);
    assert_eq!(section(&Report { configured: Some(true), ..Report::default() }), "");
}
