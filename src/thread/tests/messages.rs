//! What people say: who hears it, when, and what never reaches a model.

use super::Story;
use crate::agent::Role;
use crate::ids::{MessageTs, UserId};
use crate::thread::Event;
use crate::thread::command::Command;
use crate::thread::event::{Failure, Message, RunOutcome};

#[test]
fn approval_words_and_commands_reach_no_model() {
    let mut story = Story::new();
    story.plan();
    for text in ["!pm claude", "!status", "!cost", "!help", "!pm", "merge", "approve"] {
        let events = story.say("ANA", text);
        assert!(!events.iter().any(|event| matches!(event, Event::MessageReceived { .. })), "{text}: {events:?}");
    }
    let spoken = story.log.iter().filter_map(|event| match event {
        Event::Heard { parts, .. } => Some(parts.concat()),
        _ => None,
    });
    assert_eq!(spoken.collect::<Vec<_>>(), ["BEN: the export drops the last row"]);
}

#[test]
fn yes_is_an_answer_to_the_pm_when_nothing_waits() {
    let mut story = Story::new();
    story.say("BEN", "can you check the tests too?");
    story.base();
    story.reply(Role::Pm, "All of them?", &[]);
    assert!(matches!(story.say("BEN", "yes")[0], Event::MessageReceived { .. }));
    assert_eq!(story.pending(), ["run/2/turn/1"]);
}

#[test]
fn a_message_during_a_run_is_heard_at_its_next_step() {
    let mut story = Story::at_work();
    story.reply(Role::Coder, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.say("BEN", "use the old name");
    assert_eq!(story.pending(), ["run/2/call/c0_1"], "the running call is not disturbed");
    let events = story.tool(Role::Coder, "c0_1", "text", vec![]);
    assert!(matches!(&events[1], Event::Heard { role: Role::Coder, parts, .. } if parts == &["BEN: use the old name"]));
    story.say("BEN", "and add a test");
    let events = story.reply(Role::Coder, "Done.", &[]);
    assert!(matches!(&events[1], Event::Heard { role: Role::Coder, .. }), "a late message keeps the run going");
}

#[test]
fn unread_messages_can_be_edited_and_deleted_by_their_writer_only() {
    let mut story = Story::new();
    story.say("BEN", "fix teh export");
    story.say("BEN", "oops");
    let edit = |by: &str| Command::Edit { ts: MessageTs::new("1.0"), by: UserId::new(by), text: "fix it".into() };
    assert_eq!(story.act(edit("EVE")), []);
    story.act(edit("BEN"));
    story.act(Command::Delete { ts: MessageTs::new("2.0"), by: UserId::new("BEN") });
    let events = story.base();
    assert!(events.iter().any(|event| matches!(event, Event::Heard { parts, .. } if parts == &["BEN: fix it"])));
}

#[test]
fn every_message_is_answered_also_when_the_base_failed_or_the_model_says_nothing() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    let failure = Failure { what: "No network.".into(), hint: "Wait.".into() };
    story.act(Command::BasePrepared(Err(failure)));
    assert_eq!(story.pending(), Vec::<String>::new());
    story.say("BEN", "are you there?");
    assert_eq!(story.pending(), ["base"], "a message tries again");
    story.base();
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.tool(Role::Pm, "c0_1", "text", vec![]);
    let events = story.reply(Role::Pm, " ", &[]);
    let failed = |event: &Event| matches!(event, Event::RunEnded { outcome: RunOutcome::Failed { .. }, .. });
    assert!(events.iter().any(failed), "{events:?}");
    let mut story = Story::new();
    story.say("BEN", "!close");
    story.say("BEN", "what is this?");
    assert_eq!(story.pending(), ["base"], "a closed thread still answers questions");
}

#[test]
fn messages_that_two_sockets_brought_in_another_order_are_read_as_they_were_said() {
    let mut story = Story::new();
    for (ts, text) in [("1700.5", "first"), ("1700.9", "third"), ("1700.7", "second")] {
        let (ts, from) = (MessageTs::new(ts), UserId::new("BEN"));
        let message = Message { ts, from, name: "BEN".into(), text: text.into(), files: vec![] };
        story.act(Command::Say { message, to_bot: false });
    }
    let read = ["BEN: first", "BEN: second", "BEN: third"];
    assert!(story.base().iter().any(|event| matches!(event, Event::Heard { parts, .. } if parts == &read)));
}
