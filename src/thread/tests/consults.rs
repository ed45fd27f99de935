//! A role asks the PM in the middle of its run: who waits, who answers, and what becomes of it when somebody stops.

use super::Story;
use crate::agent::Role;
use crate::ids::{CallId, CommitId, RunId};
use crate::thread::command::Command;
use crate::thread::consult::Knew;
use crate::thread::event::{Failure, RunOutcome};
use crate::thread::outside::{PullFate, Sighting};
use crate::thread::{Event, Phase};

const ASK: &str = r#"{"question":"Refuse or renew?","context":"`login` refuses."}"#;

/// A Coder that asked the PM and waits; run 2 is the Coder's, run 3 the PM's.
fn asked() -> Story {
    let mut story = Story::at_work();
    story.rules.coder_turns = 100;
    story.reply(Role::Coder, "", &[("AskPM", ASK)]);
    story
}

/// What the PM reads comes back.
fn read(story: &mut Story) {
    let id = story.thread.runs[&Role::Pm].calls[0].call.id.clone();
    story.tool(Role::Pm, id.as_str(), "text", vec![]);
}

fn result_of(events: &[Event]) -> String {
    let result = events.iter().find_map(|event| match event {
        Event::ToolFinished { run: RunId(2), result, .. } => Some(result.text.clone()),
        _ => None,
    });
    result.expect("a result for the Coder")
}

fn knew(events: &[Event]) -> Knew {
    let knew = events.iter().find_map(|event| match event {
        Event::PmAnswered { knew, .. } => Some(knew.clone()),
        _ => None,
    });
    knew.expect("an answer")
}

#[test]
fn the_pm_answers_and_its_last_text_is_the_result() {
    let mut story = asked();
    assert_eq!(story.pending(), ["run/3/turn/1"], "the Coder waits, the PM is asked");
    assert_eq!(Phase::of(&story.thread), Phase::Coder);
    let heard = story.heard(Role::Pm);
    assert!(
        heard.contains("The Coder asks you")
            && heard.contains("Refuse or renew?")
            && heard.contains("`login` refuses.")
    );
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    assert!(
        story.act(Command::Interrupted { calls: vec![(RunId(2), CallId::new("c0_1"))] }).is_empty(),
        "it was not cut"
    );
    read(&mut story);
    let events = story.reply(Role::Pm, "Renew it.", &[]);
    assert_eq!((result_of(&events).as_str(), knew(&events)), ("Renew it.", Knew::Pm));
    assert_eq!(story.pending(), ["run/2/turn/2"], "the Coder goes on, the PM rests");
}

#[test]
fn questions_of_one_turn_are_answered_in_order() {
    let mut story = Story::at_work();
    story.reply(
        Role::Coder,
        "",
        &[("AskPM", ASK), ("Read", r#"{"file_path":"a"}"#), ("AskPM", r#"{"question":"And then?"}"#)],
    );
    assert_eq!(story.pending(), ["run/3/turn/1"]);
    story.reply(Role::Pm, "Renew it.", &[]);
    assert_eq!(story.pending(), ["run/2/call/c0_2"]);
    story.tool(Role::Coder, "c0_2", "text", vec![]);
    assert_eq!(story.pending(), ["run/4/turn/1"]);
    assert!(story.heard(Role::Pm).contains("And then?"));
    story.reply(Role::Pm, "Log it.", &[]);
    assert_eq!(story.pending(), ["run/2/turn/2"]);
}

#[test]
fn the_pm_may_ask_people_first_and_then_it_was_they_who_knew() {
    let mut story = asked();
    story.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Refuse or renew?","options":["Refuse","Renew"]}"#)]);
    assert!(story.pending().is_empty(), "everybody waits for a person");
    story.say("BEN", "renew");
    assert_eq!(story.pending(), ["run/3/turn/2"]);
    let events = story.reply(Role::Pm, "Renew it: BEN says so.", &[]);
    assert!(matches!(knew(&events), Knew::Person { by } if by.as_str() == "BEN"));
    assert!(!story.heard(Role::Coder).contains("BEN: renew"), "the answer was the PM's to pass on");
    assert!(!story.thread.owes_answers, "an answer to a question wants none itself");
}

#[test]
fn a_question_waits_while_the_pm_is_at_something_else() {
    let mut story = Story::new();
    let id = story.plan();
    story.say("BEN", "and why does it crash?");
    story.press("ANA", crate::thread::command::Action::PlanApprove, &id);
    story.workspace();
    story.reply(Role::Coder, "", &[("AskPM", ASK)]);
    let pm = story.thread.runs[&Role::Pm].id;
    assert_eq!(story.pending(), [format!("run/{pm}/turn/1")], "its own run first");
    assert!(!story.heard(Role::Pm).contains("Refuse or renew?"));
    story.reply(Role::Pm, "Because of a null.", &[]);
    assert_ne!(story.thread.runs[&Role::Pm].id, pm);
    assert!(story.heard(Role::Pm).contains("Refuse or renew?"));
}

#[test]
fn a_pm_that_fails_or_says_nothing_leaves_the_coder_to_its_own_judgement() {
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    for silent in [false, true] {
        let mut story = asked();
        let events = if silent {
            story.reply(Role::Pm, "", &[("SlackNotify", r#"{"text":"hm"}"#)]);
            story.reply(Role::Pm, " ", &[])
        } else {
            story.act(Command::ModelAnswered { run: RunId(3), turn: 1, result: Err(failure.clone()) })
        };
        assert!(result_of(&events).starts_with("The PM did not answer:"), "{events:?}");
        assert_eq!(knew(&events), Knew::Nobody);
        assert_eq!(story.pending(), ["run/2/turn/2"]);
        assert!(story.thread.stalled.is_empty(), "nothing that a person would have to take up");
    }
}

#[test]
fn stop_ends_both_and_retry_takes_up_the_coder() {
    for waits_for_a_person in [false, true] {
        let mut story = asked();
        if waits_for_a_person {
            story.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Which?"}"#)]);
        }
        let events = story.say("BEN", "!stop");
        assert_eq!(result_of(&events), "Not answered: a person stopped the run.");
        assert!(story.thread.consults.is_empty() && story.thread.runs.is_empty());
        assert!(!events.iter().any(|event| matches!(event, Event::PmAnswered { .. })));
        story.published();
        story.say("BEN", "!retry");
        assert_eq!(story.thread.runs.keys().collect::<Vec<_>>(), [&Role::Coder], "the PM has nothing to go on with");
    }
}

#[test]
fn a_close_or_a_merge_elsewhere_ends_the_question() {
    let mut story = asked();
    story.say("BEN", "!close");
    assert!(story.thread.consults.is_empty() && story.thread.runs.is_empty());
    let mut story = Story::opened();
    story.propose_more();
    story.reply(Role::Coder, "", &[("AskPM", ASK)]);
    assert_eq!(story.thread.consults.len(), 1);
    assert!(!story.say("ANA", "merge").iter().any(|event| matches!(event, Event::MergeRequested { .. })));
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    let fate = PullFate::Merged { commit: CommitId::new("fed") };
    let events = story.act(Command::PullChanged(Sighting { fate, ..Sighting::begin(7, CommitId::new("beef")) }));
    assert!(story.thread.consults.is_empty() && story.thread.runs.is_empty(), "{events:?}");
}

#[test]
fn who_writes_meanwhile_is_heard_by_the_pm_and_then_by_the_coder() {
    let mut story = asked();
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.say("BEN", "use the new clock");
    read(&mut story);
    assert!(story.heard(Role::Pm).contains("BEN: use the new clock"));
    story.reply(Role::Pm, "Renew, by the new clock.", &[]);
    assert!(story.heard(Role::Coder).contains("BEN: use the new clock"));
    // Whom it heard while it spoke to the Coder only it has yet to answer.
    story.reply(Role::Coder, "Done.", &[]);
    story.published();
    assert_eq!(story.pending(), ["run/4/turn/1"]);
    assert!(story.heard(Role::Pm).contains("If something that people wrote meanwhile"));
    let events = story.reply(Role::Pm, "", &[]);
    assert!(
        matches!(&events[1], Event::RunEnded { outcome: RunOutcome::Answered { .. }, .. }),
        "it may be silent: {events:?}"
    );
    assert!(story.pending().is_empty() && !story.thread.owes_answers);
}

#[test]
fn a_question_that_cannot_be_asked_goes_back_to_the_model() {
    let mut story = Story::at_work();
    let long = format!(r#"{{"question":"{}"}}"#, "x".repeat(13_000));
    for (ask, fault) in [
        (r#"{"question":" "}"#, "`question` is empty"),
        (r#"{"question":"x","why":"y"}"#, "unknown field"),
        (long.as_str(), "13000 characters"),
    ] {
        let events = story.reply(Role::Coder, "", &[("AskPM", ask)]);
        assert!(result_of(&events).contains(fault), "{events:?}");
        assert!(story.thread.consults.is_empty());
    }
}
