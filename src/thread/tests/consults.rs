//! A role asks the PM in the middle of its run: who waits, who answers, and what becomes of it when somebody stops.

use super::Story;
use super::context::{parts, replacement};
use crate::agent::Role;
use crate::ids::{CallId, CommitId, RunId};
use crate::thread::command::{Action, Command};
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

/// What the Coder is told in place of the earlier part.
fn compacted(story: &mut Story, role: Role) -> String {
    parts(&story.want(role, replacement(1, &[], None))).join("\n")
}

#[test]
fn a_pm_whose_conversation_is_replaced_knows_whom_it_answers() {
    let mut story = asked();
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.say("BEN", "and tell me, too");
    read(&mut story);
    let told = compacted(&mut story, Role::Pm);
    for wanted in [
        "The Coder asks you, in the middle of its work:\nRefuse or renew?\n\nWhat it knows:\n`login` refuses.",
        "The text with which you end goes to the Coder, not to the people",
        "To what people wrote meanwhile you have given no answer yet",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let mut story = Story::new();
    story.say("BEN", "why does it crash?");
    story.base();
    assert!(compacted(&mut story, Role::Pm).contains("The text with which you end goes to the people in the thread."));
}

#[test]
fn what_the_pm_decided_outlives_the_replacement_of_either_conversation() {
    let mut story = asked();
    story.reply(Role::Pm, "Use port 4711 and never touch legacy.txt", &[]);
    let answer = "Refuse or renew? → the PM: “Use port 4711 and never touch legacy.txt”";
    let told = compacted(&mut story, Role::Coder);
    assert!(told.contains(&format!("- asked by you: {answer}")), "{told}");
    story.reply(Role::Coder, "", &[("AskPM", r#"{"question":"And then?"}"#)]);
    let told = compacted(&mut story, Role::Pm);
    assert!(told.contains(&format!("- asked by the Coder: {answer}")), "{told}");
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    let run = story.thread.runs[&Role::Pm].id;
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure) });
    let told = compacted(&mut story, Role::Coder);
    assert!(told.contains("- asked by you: And then? → no answer: No credit."), "{told}");
}

#[test]
fn many_long_answers_do_not_fill_the_replacement() {
    let mut story = Story::at_work();
    story.rules.coder_turns = 100;
    for number in 0..30 {
        let ask = format!(r#"{{"question":"Number {number}?"}}"#);
        story.reply(Role::Coder, "", &[("AskPM", &ask)]);
        story.reply(Role::Pm, &format!("It is {number}. {}", "x".repeat(3_000)), &[]);
    }
    let told = compacted(&mut story, Role::Coder);
    assert!(told.len() < 20_000 && told.contains("It is 29.") && !told.contains("It is 20."), "{}", told.len());
}

/// The PM is at something for BEN when the Coder asks it; run 2 is the PM's, run 3 the Coder's.
fn asked_beside() -> Story {
    let mut story = Story::new();
    let id = story.plan();
    story.say("BEN", "and why does it crash?");
    story.press("ANA", Action::PlanApprove, &id);
    story.rules.coder_turns = 100;
    story.workspace();
    story.reply(Role::Coder, "", &[("AskPM", ASK)]);
    assert_eq!(story.pending(), ["run/2/turn/1"]);
    story
}

#[test]
fn however_the_pm_s_run_for_people_ends_the_coder_s_question_comes_next_and_people_are_not_forgotten() {
    type Exit = (&'static str, fn(&mut Story));
    let exits: [Exit; 5] = [
        ("failure", |story| {
            let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
            story.act(Command::ModelAnswered { run: RunId(2), turn: 1, result: Err(failure) });
        }),
        ("silence", |story| drop(story.reply(Role::Pm, " ", &[]))),
        ("budget", |story| {
            story.rules.caps.thread_usd = Some(0.0);
            story.act(Command::CallDue { run: RunId(2) });
            let card = story.thread.pauses().next().expect("a pause").2.id.to_string();
            story.rules.caps.thread_usd = None;
            story.press("ANA", Action::BudgetStop, &card);
        }),
        ("limit", |story| {
            story.rules.pm_turns = 1;
            story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
            read(story);
            story.reply(Role::Pm, "I do not know.", &[]);
            story.rules.pm_turns = 15;
        }),
        ("answer", |story| drop(story.reply(Role::Pm, "Because of a null.", &[]))),
    ];
    for (name, exit) in exits {
        let mut story = asked_beside();
        exit(&mut story);
        assert_eq!(story.pending(), ["run/4/turn/1"], "{name}");
        assert!(story.heard(Role::Pm).contains("Refuse or renew?"), "{name}");
        let owes = name != "answer";
        assert_eq!(story.thread.owes_answers, owes, "{name}");
        let events = story.press("BEN", Action::RunRetry, "run/pm");
        assert_eq!(story.thread.runs.len(), 2, "{name}: nothing begins by it");
        if owes {
            assert!(super::refusal(&events).contains("when the Coder's run has ended"), "{name}: {events:?}");
        }
        let events = story.reply(Role::Pm, "Renew it.", &[]);
        let result = events
            .iter()
            .any(|event| matches!(event, Event::ToolFinished { result, .. } if result.text == "Renew it."));
        assert!(result, "{name}: {events:?}");
        assert_eq!(story.pending(), ["run/3/turn/2"], "{name}");
        story.reply(Role::Coder, "Done.", &[]);
        story.published();
        let asked_again = story.thread.runs.contains_key(&Role::Pm);
        assert_eq!(asked_again, owes, "{name}");
        assert_eq!(story.heard(Role::Pm).contains("still wants an answer"), owes, "{name}");
    }
}

#[test]
fn a_stop_or_close_of_all_leaves_no_question_behind() {
    for word in ["!stop", "!close"] {
        let mut story = asked_beside();
        story.say("BEN", word);
        assert!(story.thread.consults.is_empty() && story.thread.runs.is_empty(), "{word}");
        assert!(story.pending().iter().all(|id| !id.starts_with("run/")), "{word}");
    }
    let mut story = Story::opened();
    story.say("BEN", "why did it crash?");
    let pm = story.thread.runs[&Role::Pm].id;
    story.act(Command::PullChanged(Sighting {
        fate: PullFate::Merged { commit: CommitId::new("fed") },
        ..Sighting::begin(7, CommitId::new("beef"))
    }));
    assert!(story.thread.consults.is_empty() && story.thread.runs[&Role::Pm].id == pm, "BEN gets an answer");
}
