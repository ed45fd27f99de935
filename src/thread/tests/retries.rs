//! What was stopped or failed, and how it is taken up again.

use super::Story;
use crate::agent::Role;
use crate::ids::{CallId, RunId};
use crate::thread::Event;
use crate::thread::command::Command;
use crate::thread::event::{Failure, Reply, ToolResult};

#[test]
fn stop_ends_the_run_and_leaves_no_call_without_a_result() {
    let mut story = Story::at_work();
    story.reply(Role::Coder, "", &[("Bash", r#"{"command":"sleep 9"}"#), ("Bash", r#"{"command":"make"}"#)]);
    let events = story.say("BEN", "!stop");
    let finished = events.iter().filter(|event| matches!(event, Event::ToolFinished { .. })).count();
    assert_eq!((finished, story.pending()), (2, vec!["publish/2".to_owned()]));
    story.published();
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["run/3/turn/1"]);
}

#[test]
fn a_failed_model_leaves_everything_for_a_retry() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    story.act(Command::ModelAnswered { run: RunId(1), turn: 1, result: Err(failure) });
    assert_eq!(story.pending(), Vec::<String>::new());
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["run/2/turn/1"]);
    let late = Reply { text: "late".into(), ..Reply::default() };
    assert_eq!(story.act(Command::ModelAnswered { run: RunId(1), turn: 1, result: Ok(late) }), []);
}

#[test]
fn a_stopped_coder_is_not_forgotten_when_the_pm_speaks_in_between() {
    let mut story = Story::at_work();
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    let run = story.thread.runs[&Role::Coder].id;
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure.clone()) });
    story.say("BEN", "what happened?");
    let run = story.thread.runs[&Role::Pm].id;
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure) });
    story.say("BEN", "!retry");
    assert_eq!(story.thread.runs.keys().collect::<Vec<_>>(), [&Role::Pm, &Role::Coder], "one word takes up both");
}

#[test]
fn what_the_coder_wrote_is_published_also_after_a_failure_and_a_retry() {
    let mut story = Story::at_work();
    story.reply(Role::Coder, "", &[("Write", r#"{"file_path":"b.txt","content":"x"}"#)]);
    let run = story.thread.runs[&Role::Coder].id;
    let result = ToolResult { text: "written".into(), error: false, wrote: vec!["b.txt".into()], exit: None };
    story.act(Command::ToolDone { run, call: CallId::new("c0_1"), result, deeds: vec![] });
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    story.act(Command::ModelAnswered { run, turn: 2, result: Err(failure) });
    story.say("BEN", "!retry");
    story.reply(Role::Coder, "Done.", &[]);
    let wrote = &story.thread.publishing.as_ref().expect("work to publish").wrote;
    assert_eq!(wrote.iter().map(String::as_str).collect::<Vec<_>>(), ["b.txt"]);
}
