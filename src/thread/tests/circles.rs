//! A run that goes in circles is helped step by step, and ended when nothing helps.

use super::Story;
use crate::agent::Role;
use crate::agent::stuck::Help;
use crate::ids::{CallId, RunId};
use crate::thread::command::Command;
use crate::thread::event::{RunOutcome, ToolResult};
use crate::thread::{Effect, Event, pending};

/// A Coder with many turns.
fn at_work() -> Story {
    let mut story = Story::at_work();
    story.rules.coder_turns = 100;
    story
}

/// Runs a test that fails as ever; gives what came of it.
fn fail(story: &mut Story) -> Vec<Event> {
    let run = &story.thread.runs[&Role::Coder];
    let (id, call) = (run.id, CallId::new(format!("c{}_1", run.turns)));
    story.reply(Role::Coder, "", &[("Bash", r#"{"command":"make test"}"#)]);
    let text = "error: no such function\nexit code 2".to_owned();
    let result = ToolResult { text, error: false, wrote: vec![], exit: Some(2) };
    story.act(Command::ToolDone { run: id, call, result, deeds: vec![] })
}

/// What was done about it, in order.
fn helps(story: &Story) -> Vec<Help> {
    let help = |event: &Event| match event {
        Event::StuckNoticed { help, .. } => Some(*help),
        _ => None,
    };
    story.log.iter().filter_map(help).collect()
}

fn has_tools(story: &Story) -> bool {
    let effects = pending(&story.thread, |role| story.rules.turns(role));
    let Some(Effect::CallModel { no_tools, .. }) = effects.last() else { panic!("{effects:?}") };
    !no_tools
}

/// Up to the turn without tools.
fn paused() -> Story {
    let mut story = at_work();
    (0..5).for_each(|_| drop(fail(&mut story)));
    assert_eq!(helps(&story), [Help::Note, Help::Pause]);
    story
}

/// Up to the question to the PM.
fn asking() -> Story {
    let mut story = paused();
    story.reply(Role::Coder, "The header is missing.", &[]);
    (0..2).for_each(|_| drop(fail(&mut story)));
    assert_eq!(helps(&story), [Help::Note, Help::Pause, Help::AskPm]);
    story
}

#[test]
fn it_is_told_then_thinks_then_the_pm_is_asked_then_people() {
    let mut story = at_work();
    (0..3).for_each(|_| drop(fail(&mut story)));
    let heard = story.heard(Role::Coder);
    assert!(
        heard.contains("You have run `make test` 3 times with the same failure: “error: no such function”"),
        "{heard}"
    );
    assert!(has_tools(&story));
    (0..2).for_each(|_| drop(fail(&mut story)));
    assert!(!has_tools(&story));
    // A server that does not heed it: the calls are left out, and the text ends nothing.
    story.reply(Role::Coder, "The header is missing.", &[("Bash", r#"{"command":"make test"}"#)]);
    assert!(has_tools(&story) && story.thread.runs.contains_key(&Role::Coder));
    assert!(story.heard(Role::Coder).contains("Tools are on again"));
    (0..2).for_each(|_| drop(fail(&mut story)));
    assert_eq!(story.pending(), ["run/3/turn/1"], "the Coder waits for the PM");
    let heard = story.heard(Role::Pm);
    assert!(
        heard.contains("goes in circles") && heard.contains("What it believes itself: The header is missing."),
        "{heard}"
    );
    story.reply(Role::Pm, "Include `x.h`.", &[]);
    assert!(story.heard(Role::Coder).contains("The PM was asked about it, and says:\nInclude `x.h`."));
    assert!(has_tools(&story));
    (0..2).for_each(|_| drop(fail(&mut story)));
    assert!(!has_tools(&story), "its last words");
    let events = story.reply(Role::Coder, "I need the header.", &[]);
    let stuck = |event: &Event| matches!(event, Event::RunEnded { outcome: RunOutcome::Stuck { text, .. }, .. } if text == "I need the header.");
    assert!(events.iter().any(stuck), "{events:?}");
    let draft = story.thread.publishing.as_ref().and_then(|publishing| publishing.draft.clone()).expect("a draft");
    assert!(draft.starts_with("the Coder went in circles: it had run `make test` 9 times"), "{draft}");
    story.published();
    story.say("BEN", "!retry");
    (0..2).for_each(|_| drop(fail(&mut story)));
    assert_eq!(helps(&story).len(), 4, "it begins anew");
}

#[test]
fn what_a_person_says_begins_it_anew() {
    let mut story = paused();
    story.say("BEN", "try the other compiler");
    story.reply(Role::Coder, "I will.", &[]);
    (0..3).for_each(|_| drop(fail(&mut story)));
    assert_eq!(helps(&story), [Help::Note, Help::Pause, Help::Note]);
    let mut story = asking();
    let events = story.say("BEN", "try the other compiler");
    assert!(events.iter().any(|event| matches!(event, Event::PmAnswered { .. })), "it waits for the PM no longer");
    assert_eq!(story.thread.runs.keys().collect::<Vec<_>>(), [&Role::Coder]);
    assert!(story.heard(Role::Coder).contains("BEN: try the other compiler") && has_tools(&story));
    (0..3).for_each(|_| drop(fail(&mut story)));
    assert_eq!(helps(&story).last(), Some(&Help::Note));
}

#[test]
fn stop_in_every_step_keeps_the_work_and_says_where_it_stood() {
    for mut story in [at_work(), paused(), asking()] {
        let events = story.say("BEN", "!stop");
        assert!(story.thread.runs.is_empty() && story.thread.publishing.is_some(), "{events:?}");
        let doing = events.iter().find_map(|event| match event {
            Event::RunEnded { run: RunId(2), outcome: RunOutcome::Stopped { doing, .. } } => Some(doing.clone()),
            _ => None,
        });
        let waits = story.thread.last_run == 3;
        assert_eq!(doing.expect("stopped"), if waits { vec!["waiting for the PM's help"] } else { vec![] });
    }
}

#[test]
fn a_pm_that_goes_in_circles_ends_with_a_word() {
    let mut story = Story::new();
    story.say("BEN", "where is it?");
    story.base();
    for turn in 0..8 {
        let thinks = !has_tools(&story);
        story.reply(Role::Pm, "I look again.", if thinks { &[] } else { &[("Read", r#"{"file_path":"a"}"#)] });
        if !story.thread.runs.contains_key(&Role::Pm) {
            break;
        }
        if !thinks {
            story.tool(Role::Pm, &format!("c{turn}_1"), "text", vec![]);
        }
    }
    story.reply(Role::Pm, "I cannot find it.", &[]);
    assert_eq!(helps(&story), [Help::Note, Help::Pause, Help::End]);
    assert!(story.thread.runs.is_empty() && story.pending().is_empty());
}

#[test]
fn a_small_limit_comes_before_any_help() {
    let mut story = Story::at_work();
    (0..3).for_each(|_| drop(fail(&mut story)));
    assert!(!has_tools(&story) && helps(&story).is_empty());
    let events = story.reply(Role::Coder, "Half done.", &[]);
    let limit = |event: &Event| matches!(event, Event::RunEnded { outcome: RunOutcome::LimitReached { .. }, .. });
    assert!(events.iter().any(limit));
}
