//! What a model asks a person, and what counts as an answer.

use super::{Story, refusal};
use crate::agent::Role;
use crate::thread::Event;
use crate::thread::command::{Action, Command};

/// A PM that asked and waits.
fn asked() -> Story {
    let mut story = Story::new();
    story.say("BEN", "the export crashes on an empty name");
    story.base();
    let ask = r#"{"question":"Refuse it?","options":["Refuse it","Use unknown"]}"#;
    story.reply(Role::Pm, "", &[("AskUser", ask)]);
    story
}

fn result_of(events: &[Event]) -> &str {
    let result = events.iter().find_map(|event| match event {
        Event::ToolFinished { result, .. } => Some(result.text.as_str()),
        _ => None,
    });
    result.expect("a result")
}

#[test]
fn a_question_waits_for_a_person_and_for_nothing_else() {
    let mut story = asked();
    assert!(story.pending().is_empty(), "nothing runs while it waits: {:?}", story.pending());
    assert!(story.act(Command::Interrupted { calls: vec![] }).is_empty());
    let id = story.question_id();
    let stale = story.press("ANA", Action::AskOption, "q99/0");
    assert!(refusal(&stale).contains("does not wait"));
    assert!(refusal(&story.press("ANA", Action::AskOption, &format!("{id}/7"))).contains("does not wait"));
    let events = story.press("BEN", Action::AskOption, &format!("{id}/1"));
    assert_eq!(result_of(&events), "BEN chose “Use unknown”.");
    assert_eq!(story.pending(), ["run/1/turn/2"]);
    assert!(refusal(&story.press("ANA", Action::AskOption, &format!("{id}/1"))).contains("does not wait"));
}

#[test]
fn whatever_is_typed_answers_the_question_that_waits_and_is_read_once_as_a_message() {
    for (typed, told) in [
        ("refuse it!", "BEN chose “Refuse it”; the message itself follows."),
        ("2", "BEN chose “Use unknown”; the message itself follows."),
        ("yes", "BEN answered; the message follows."),
        ("let me think: both", "BEN answered; the message follows."),
    ] {
        let mut story = asked();
        let events = story.say("BEN", typed);
        assert_eq!(result_of(&events), told);
        let heard = events.iter().filter(|event| matches!(event, Event::Heard { messages, .. } if messages.len() == 1));
        assert_eq!(heard.count(), 1, "{typed}: {events:?}");
        assert_eq!(story.pending(), ["run/1/turn/2"]);
    }
}

#[test]
fn commands_pass_by_a_question_and_a_stop_voids_it() {
    let mut story = asked();
    story.say("BEN", "!pm claude");
    story.say("BEN", "!status");
    assert!(story.thread.question.is_some());
    let events = story.say("BEN", "!stop");
    assert_eq!(result_of(&events), "Not answered: a person stopped the run.");
    assert!(story.thread.question.is_none() && story.pending().is_empty());
}

#[test]
fn a_question_that_cannot_be_shown_goes_back_to_the_model() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    for (ask, fault) in [
        (r#"{"question":" "}"#, "`question` is empty"),
        (r#"{"question":"x","options":["a",""]}"#, "one of the `options` is empty"),
        (r#"{"question":"x","choices":["a"]}"#, "unknown field"),
    ] {
        let events = story.reply(Role::Pm, "", &[("AskUser", ask)]);
        assert!(result_of(&events).contains(fault), "{events:?}");
        assert!(story.thread.question.is_none());
    }
}

#[test]
fn what_was_said_before_the_question_was_shown_is_a_message_like_any_other() {
    let mut story = Story::new();
    story.say("BEN", "hello?");
    story.base();
    story.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Which?","options":["One","Two"]}"#)]);
    story.rules.unseen = true;
    story.say("BEN", "and make it blue");
    assert!(story.thread.question.is_some(), "nobody has seen it");
    story.rules.unseen = false;
    story.say("BEN", "Two");
    assert!(story.thread.question.is_none());
    assert!(story.heard(Role::Pm).contains("and make it blue"), "{}", story.heard(Role::Pm));
}
