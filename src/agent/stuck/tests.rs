//! Sequences as they happen, with the turn in which trouble is noticed first; and what holds of any sequence.

mod sequences;

use proptest::prelude::*;
use serde_json::json;

use self::sequences::{CIRCLES, PROGRESS};
use super::{Help, Trouble, Watch, print};
use crate::agent::{Role, ToolCall, ToolName};
use crate::ids::CallId;
use crate::thread::event::ToolResult;

/// One call in a line: `Tool what = result`, `! complaint` of a command with an exit code, `!! error` of a tool.
fn see(watch: &mut Watch, line: &str) {
    let (call, text, error, failed) = match (line.split_once(" !! "), line.split_once(" ! ")) {
        (Some((call, text)), _) => (call, text, true, false),
        (None, Some((call, text))) => (call, text, false, true),
        (None, None) => {
            let (call, text) = line.split_once(" = ").expect("a result");
            (call, text, false, false)
        }
    };
    let (name, what) = call.trim().split_once(' ').unwrap_or((call.trim(), ""));
    let pair = || what.split_once(' ').expect("a file and more");
    let arguments = match name {
        "Read" => json!({ "file_path": what }),
        "Edit" => {
            let (old, new) = pair().1.split_once('>').expect("old>new");
            json!({ "file_path": pair().0, "old_string": old, "new_string": new })
        }
        "Write" => json!({ "file_path": pair().0, "content": pair().1 }),
        "Bash" => json!({ "command": what }),
        "TodoWrite" => json!({ "todos": [what] }),
        "AskPM" => json!({ "question": what }),
        _ => json!({ "pattern": what }),
    };
    let is_command = name == "Bash" && !error;
    let code = i32::from(failed);
    let text = if is_command { format!("{text}\nexit code {code}") } else { text.to_owned() };
    let text = text.replace('~', "\n");
    let call = ToolCall { id: CallId::new("c"), name: name.into(), arguments: arguments.to_string(), fault: None };
    let result = ToolResult { text, error, wrote: vec![], exit: is_command.then_some(code) };
    watch.see(&call, ToolName::parse(name), &result);
}

fn turn(watch: &mut Watch, calls: &str) {
    calls.split(" ; ").for_each(|call| see(watch, call));
    watch.end_turn();
}

/// The turn in which trouble is noticed first.
fn first(role: Role, turns: &[&str]) -> Option<(usize, Trouble)> {
    let mut watch = Watch::default();
    (1..).zip(turns).find_map(|(number, calls)| {
        turn(&mut watch, calls);
        watch.trouble(role).map(|found| (number, found.trouble))
    })
}

#[test]
fn going_in_circles_is_noticed() {
    for (name, turns, at, trouble) in CIRCLES {
        assert_eq!(first(Role::Coder, turns), Some((*at, *trouble)), "{name}");
    }
}

#[test]
fn work_that_gets_on_is_left_alone() {
    let reading: Vec<String> = (0..49).map(|number| format!("Read src/{number}.rs = fn f{number}() {{}}")).collect();
    let pages: Vec<String> = (0..40).map(|page| format!("Grep p{page} = No match.")).collect();
    let polls: Vec<String> = (0..30).map(|line| format!("Bash tail log = line {line}")).collect();
    let tests: Vec<String> = (0..24).map(|number| format!("Bash t{number} ! FAIL {number}")).collect();
    let counting: Vec<String> =
        (0..9).rev().map(|left| format!("Bash t ! {left} failed, {} passed", 9 - left)).collect();
    let long = |lines: &[String]| lines.iter().map(|line| line.clone().leak() as &str).collect::<Vec<&str>>();
    let cases: Vec<(&str, Vec<&str>)> = vec![
        ("a long look around", long(&reading)),
        ("searches that find nothing", long(&pages)),
        ("a log that grows", long(&polls)),
        ("a run of other tests", long(&tests)),
        ("fewer failures each time", long(&counting)),
    ];
    for (name, turns) in cases {
        assert_eq!(first(Role::Coder, &turns), None, "{name}");
    }
    for (name, turns) in PROGRESS {
        assert_eq!(first(Role::Coder, turns), None, "{name}");
    }
}

#[test]
fn many_turns_without_a_changed_file_are_noticed_whatever_they_bring() {
    let echo = |number: usize| format!("Bash echo {number}; true = {number}");
    let noticed = |role, line: &dyn Fn(usize) -> String, changes: &[usize]| {
        let mut watch = Watch::default();
        (1..=200_usize).find(|number| {
            if changes.contains(number) {
                watch.touch();
            }
            turn(&mut watch, &line(*number));
            watch.trouble(role).is_some_and(|found| found.trouble == Trouble::Unchanged)
        })
    };
    assert_eq!(noticed(Role::Coder, &echo, &[]), Some(25));
    assert_eq!(noticed(Role::Coder, &echo, &[20]), Some(45), "a command that was seen to change files");
    let reads = |number: usize| format!("Read f{number} = {number}");
    assert_eq!(noticed(Role::Coder, &reads, &[]), Some(50), "a look at something new counts half");
    let first = |number: usize| if number <= 20 { reads(number) } else { echo(number) };
    assert_eq!(noticed(Role::Coder, &first, &[]), Some(35));
    let edits =
        |number: usize| if number.is_multiple_of(20) { format!("Edit a {number}>x = ok") } else { echo(number) };
    assert_eq!(noticed(Role::Coder, &edits, &[]), None);
    assert_eq!(noticed(Role::Pm, &reads, &[]), None, "its limit of turns is its bound");
    assert_eq!(noticed(Role::Pm, &echo, &[]), None);
}

#[test]
fn whether_a_command_changes_files_matters_only_when_nothing_has_for_long() {
    let mut watch = Watch::default();
    (0..12).for_each(|number| turn(&mut watch, &format!("Bash echo {number}; true = {number}")));
    assert!(!watch.doubts());
    turn(&mut watch, "Bash echo more; true = more");
    assert!(watch.doubts());
    watch.forget();
    assert!(watch.doubts(), "a shorter conversation changes no file");
    watch.touch();
    turn(&mut watch, "Bash echo new > a = (no output)");
    assert!(!watch.doubts());
}

/// Repeats turns until the run has to end; gives what was done about it, by turn. A pause is a turn, too.
fn end_of(role: Role, circle: &[&str]) -> Vec<(usize, Help)> {
    let can_ask = role == Role::Coder;
    let (mut watch, mut helps, mut number) = (Watch::default(), Vec::new(), 0);
    for calls in circle.iter().cycle().take(200) {
        number += 1;
        turn(&mut watch, calls);
        let Some(found) = watch.trouble(role) else { continue };
        let help = watch.help(found.trouble, can_ask);
        watch.helped(found.trouble, help, &found.what);
        helps.push((number, help));
        match help {
            Help::End => return helps,
            Help::Pause => {
                number += 1;
                watch.end_pause("I do not know.");
            }
            Help::Note | Help::AskPm => {}
        }
    }
    helps
}

#[test]
fn help_comes_step_by_step_and_ends() {
    use Help::{AskPm, End, Note, Pause};
    let same = ["Bash t ! FAIL"];
    assert_eq!(end_of(Role::Coder, &same), [(3, Note), (5, Pause), (8, AskPm), (10, End)]);
    assert_eq!(end_of(Role::Pm, &same), [(3, Note), (5, Pause), (8, End)]);
    let circle: Vec<String> = (0..20).map(|number| format!("Read {number} = x")).collect();
    let circle: Vec<&str> = circle.iter().map(String::as_str).collect();
    assert_eq!(end_of(Role::Coder, &circle), [(28, Note), (32, Pause), (37, AskPm), (41, End)]);
    let flailing: Vec<String> =
        (0..60).map(|number| format!("Edit a {number}>{} = ok ; Bash t ! FAIL", number + 1)).collect();
    let flailing: Vec<&str> = flailing.iter().map(String::as_str).collect();
    assert_eq!(end_of(Role::Coder, &flailing), [(3, Note), (5, Pause), (8, AskPm), (10, End)], "edits do not hide it");
    let looking: Vec<String> = (0..200).map(|number| format!("Bash echo {number}; true = {number}")).collect();
    let looking: Vec<&str> = looking.iter().map(String::as_str).collect();
    assert_eq!(end_of(Role::Coder, &looking), [(25, Note), (38, Pause), (52, AskPm), (65, End)]);
}

#[test]
fn what_changes_forgives() {
    let mut watch = Watch::default();
    let note = |watch: &mut Watch| {
        (0..3).for_each(|_| turn(watch, "Bash t ! FAIL x"));
        let found = watch.trouble(Role::Coder).expect("trouble");
        let help = watch.help(found.trouble, true);
        watch.helped(found.trouble, help, &found.what);
        help
    };
    assert_eq!(note(&mut watch), Help::Note);
    turn(&mut watch, "Bash t ! FAIL y");
    ["Edit a 1>2 = ok", "Edit a 2>3 = ok", "Edit a 3>4 = ok"].iter().for_each(|edit| turn(&mut watch, edit));
    assert_eq!(note(&mut watch), Help::Note, "another failure came in between");
    watch.reset();
    assert_eq!(note(&mut watch), Help::Note, "a person spoke");
}

#[test]
fn it_says_what_was_done() {
    let mut watch = Watch::default();
    (0..3).for_each(|_| turn(&mut watch, "Bash make test ! one~error: no such function `f`~make: *** Error 1"));
    turn(&mut watch, "Edit a 1>2 = ok");
    let found = watch.trouble(Role::Coder).expect("trouble");
    assert_eq!(
        found.what,
        "run `make test` 3 times with the same failure, in spite of edits in between: “error: no such function `f`”"
    );
    watch.helped(found.trouble, Help::Pause, &found.what);
    assert!(watch.pauses() && watch.trouble(Role::Coder).is_none());
    watch.end_pause(" The header is missing. ");
    assert!(!watch.pauses());
    assert_eq!(
        watch.account(),
        "What it did last: run `make test` (3 times), edited `a`.\nWhat it believes itself: The header is missing."
    );
}

#[test]
fn prints_are_equal_for_what_a_reader_calls_the_same() {
    let same = [
        ("test a ... FAILED in 0.03s", "test a ... FAILED in 12.5s"),
        ("at src/x.rs:10:4", "at src/x.rs:99:1"),
        ("File \"x.py\", line 12, in f", "File \"x.py\", line 30, in f"),
        ("2026-11-21T22:41:18Z failed", "2027-01-02T03:04:05Z failed"),
        ("[12:31:02] failed", "[03:00:59] failed"),
        ("thread 'x' (48213) panicked", "thread 'x' (9921) panicked"),
        ("object 0xdeadbeef", "object 0x1f"),
        ("deps/x-3f2a1b9c77", "deps/x-99aa00bb11"),
        ("/tmp/abcXYZ/file", "/tmp/Q1w2e3/file"),
        ("took 3 ms", "took 47 ms"),
        ("a\nb", "b\na"),
        ("Compiling x v0.1.0\nerror", "error"),
    ];
    for (one, other) in same {
        assert_eq!(print::output(one), print::output(other), "{one} | {other}");
    }
    let different = [
        ("2 failed", "1 failed"),
        ("left: 1", "left: 2"),
        ("error in a", "error in b"),
        ("got (3)", "got (4)"),
        ("v1.2.3", "v1.2.4"),
        ("a", "a\na"),
        ("facade", "decade"),
    ];
    for (one, other) in different {
        assert_ne!(print::output(one), print::output(other), "{one} | {other}");
    }
    let call = |arguments: &str| {
        print::call(&ToolCall { id: CallId::new("c"), name: "Bash".into(), arguments: arguments.into(), fault: None })
    };
    let plain = call(r#"{"command":"make"}"#);
    assert_eq!(plain, call(r#"{ "description": "builds", "command": " make ", "timeout": 5 }"#));
    assert_ne!(plain, call(r#"{"command":"make x"}"#));
    let long = format!("{}é", "x".repeat(20_000));
    assert_ne!(print::output(&long), print::output(&format!("{long}y")));
}

/// A call of some kind, with its result as the world of a model that repeats itself gives it: always the same.
fn any_call() -> impl Strategy<Value = String> {
    (0..9_u8, 0..6_u8, 0..4_u8).prop_map(|(kind, what, other)| match kind {
        0 | 1 => format!("Read {what} = text {what}"),
        2 => format!("Bash t{what} ! FAIL {other}"),
        3 => format!("Bash u{what} = fine"),
        4 => format!("Edit f{what} {other}>{} = ok", (other + 1) % 4),
        5 => format!("Write g{what} {other} = ok"),
        6 => format!("Edit f{what} x{other}>y !! no match in f{what}"),
        7 => format!("TodoWrite {what} = saved"),
        _ => format!("Nonsense {what} !! There is no such tool"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The bound: a run that only repeats what it did once ends within 28 turns of a Coder and 13 of the others, beside
    /// the turns in which it did all of that for the first time.
    #[test]
    fn a_run_that_repeats_itself_forever_ends(circle in proptest::collection::vec(any_call(), 1..12), coder in any::<bool>()) {
        let (role, bound) = if coder { (Role::Coder, 28) } else { (Role::Pm, 13) };
        let circle: Vec<&str> = circle.iter().map(String::as_str).collect();
        let helps = end_of(role, &circle);
        let (at, last) = *helps.last().expect("it is noticed");
        prop_assert_eq!(last, Help::End, "{:?}", helps);
        prop_assert!(at <= circle.len() + bound, "{:?}", helps);
    }

    /// Whatever it does beside it: while each turn brings something new and no command fails as before, nothing is said.
    #[test]
    fn a_run_that_gets_on_is_never_disturbed(turns in proptest::collection::vec((0..4_u8, proptest::collection::vec(0..5_u8, 0..4)), 1..80)) {
        let mut watch = Watch::default();
        for (number, (kind, known)) in turns.into_iter().enumerate() {
            let new = match kind {
                0 => format!("Read {number} = text"),
                1 => format!("Edit f {number}>n{number} = ok"),
                2 => format!("Bash t{number} ! FAIL {number}"),
                _ => format!("Bash tail log = line {number}"),
            };
            // Not so long without a change that this alone is worth a word.
            let new = if number % 20 == 19 { format!("Edit g {number}>n{number} = ok") } else { new };
            let again = known.iter().map(|what| match what {
                4 => "Bash make = fine".to_owned(),
                what => format!("Read a{what} = text {what}"),
            });
            turn(&mut watch, &again.chain([new]).collect::<Vec<_>>().join(" ; "));
            prop_assert_eq!(watch.trouble(Role::Coder), None);
            prop_assert_eq!(watch.trouble(Role::Pm), None);
        }
    }

    /// Any text has a print, whatever it is cut from.
    #[test]
    fn any_output_has_a_print(text in "\\PC{0,200}", noise in "[0-9a-fx:./() -]{0,80}") {
        print::output(&text);
        print::output(&noise);
    }
}
