//! Plans: who may approve which, and what the Coder is given.

use std::collections::BTreeSet;

use super::{Story, refusal};
use crate::agent::Role;
use crate::ids::{CommitId, Millis, PlanId};
use crate::thread::command::{Action, Command, NotMerged};
use crate::thread::event::Failure;
use crate::thread::state::{PlanFate, WorkspaceState};
use crate::thread::{Event, Phase};

#[test]
fn only_an_approver_approves_and_only_the_newest_plan() {
    let mut story = Story::new();
    let first = story.plan();
    assert!(refusal(&story.press("BEN", Action::PlanApprove, &first)).contains("Only an approver"));
    assert!(refusal(&story.say("BEN", "Approve!")).contains("Only an approver"));
    story.say("BEN", "and an empty file?");
    story.propose("Keep the last row, also of an empty file");
    assert!(refusal(&story.press("ANA", Action::PlanApprove, &first)).contains("void"));
    assert_eq!(story.thread.workspace, WorkspaceState::None);
    let second = story.plan_id();
    story.press("ANA", Action::PlanApprove, &second);
    assert_eq!(story.pending(), ["workspace"]);
    assert!(refusal(&story.press("ANA", Action::PlanApprove, &second)).contains("already"));
}

#[test]
fn the_same_plan_again_is_another_request_however_often_it_comes() {
    let mut story = Story::new();
    let mut ids = vec![story.plan()];
    for title in ["Keep the first row", "Keep the last row", "Keep the first row", "Keep the last row"] {
        story.say("BEN", "no, the other one");
        story.propose(title);
        ids.push(story.plan_id());
    }
    let different: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "an id is the key of a card: {ids:?}");
    story.say("BEN", "again please");
    story.propose("Keep the last row");
    assert_eq!(story.plan_id(), *ids.last().expect("five"), "what waits already is not shown again");
}

#[test]
fn the_coder_gets_the_plan_that_was_approved_and_nothing_is_made_before() {
    let mut story = Story::new();
    story.plan();
    story.say("ANA", "LGTM");
    story.workspace();
    let opened = story.log.iter().find_map(|event| match event {
        Event::ConversationOpened { role: Role::Coder, system, .. } => Some(system.clone()),
        _ => None,
    });
    let system = opened.expect("the Coder's conversation");
    assert_eq!(system[0], "You are the Coder.");
    assert!(system[1].contains("Keep the last row") && system[1].contains("`a:1`"), "{}", system[1]);
    let heard = story.log.iter().rev().find_map(|event| match event {
        Event::Heard { role: Role::Coder, parts, .. } => Some(parts.concat()),
        _ => None,
    });
    assert!(heard.expect("told to begin").contains("BEN: the export drops the last row"));
}

#[test]
fn a_cancelled_plan_ends_the_thread_unless_a_pull_request_is_open() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("BEN", Action::PlanCancel, &id);
    assert_eq!((Phase::of(&story.thread), story.pending()), (Phase::Closed, vec![]));
    let mut story = Story::opened();
    story.say("BEN", "also trim spaces");
    story.propose("Trim spaces");
    let id = story.plan_id();
    story.press("BEN", Action::PlanCancel, &id);
    assert_eq!(Phase::of(&story.thread), Phase::Review);
}

#[test]
fn a_plan_keeps_its_fate_when_another_is_judged() {
    let mut story = Story::new();
    let first = story.plan();
    story.say("BEN", "no, differently");
    story.propose("Another way");
    story.press("ANA", Action::PlanCancel, &first);
    assert_eq!(story.thread.plan.as_ref().map(|plan| &plan.fate), Some(&PlanFate::Waiting));
}

#[test]
fn a_plan_cannot_be_approved_over_work_that_is_under_way() {
    let mut story = Story::opened();
    story.say("BEN", "also trim spaces");
    story.propose("Trim spaces");
    let first = story.plan_id();
    story.say("ANA", "merge");
    assert!(refusal(&story.press("ANA", Action::PlanApprove, &first)).contains("being merged"));
    story.act(Command::MergeDone(Err(NotMerged::Refused(Failure { what: "No.".into(), hint: "Wait.".into() }))));
    story.press("ANA", Action::PlanApprove, &first);
    assert_eq!(Phase::of(&story.thread), Phase::Coder);
    // The PM, asked by nobody, proposes once more while the Coder works.
    let base = CommitId::new("4f2c1aa9");
    let plan = story.thread.plan.clone().expect("approved").plan;
    let event = Event::PlanProposed { id: PlanId::new("other"), plan: (*plan).clone(), base, estimate: None };
    story.thread.apply(&event, Millis(0));
    assert!(refusal(&story.press("ANA", Action::PlanApprove, "other")).contains("still at work"));
}

#[test]
fn the_coder_works_on_what_was_approved_whatever_the_pm_proposes_meanwhile() {
    let mut story = Story::new();
    story.say("BEN", "the export drops the last row");
    story.base();
    let plan = |title: &str| {
        format!(
            r#"{{"title":"{title}","workflow":"w","summary":"s","steps":[{{"text":"t"}}],"files":[],"acceptance":["x"]}}"#
        )
    };
    story.reply(Role::Pm, "", &[("ProposePlan", &plan("One"))]);
    let first = story.plan_id();
    story.press("ANA", Action::PlanApprove, &first);
    story.reply(Role::Pm, "", &[("ProposePlan", &plan("Two"))]);
    story.workspace();
    assert!(story.thread.runs.contains_key(&Role::Coder), "the approved plan is carried out");
    let system = story.log.iter().find_map(|event| match event {
        Event::ConversationOpened { role: Role::Coder, system, .. } => Some(system.concat()),
        _ => None,
    });
    let system = system.expect("the Coder's conversation");
    assert!(system.contains("**One**") && !system.contains("**Two**"), "{system}");
    assert!(refusal(&story.press("ANA", Action::PlanApprove, "deadbeef")).contains("not part of this thread"));
}

#[test]
fn follow_up_work_goes_on_in_the_same_conversation_and_worktree() {
    let mut story = Story::opened();
    story.say("BEN", "also trim spaces");
    story.propose("Trim spaces");
    let id = story.plan_id();
    let events = story.press("ANA", Action::PlanApprove, &id);
    assert!(!events.iter().any(|event| matches!(event, Event::ConversationOpened { .. })));
    assert!(events.iter().any(|event| matches!(event, Event::Heard { parts, .. } if parts[0].contains("Trim spaces"))));
    assert_eq!(Phase::of(&story.thread), Phase::Coder);
}

#[test]
fn a_word_from_before_its_card_was_shown_is_no_word_on_it() {
    let mut story = Story::new();
    let plan = story.plan();
    story.rules.unseen = true;
    story.say("ANA", "ok");
    assert!(story.thread.approved.is_none(), "nobody has seen the plan");
    story.rules.unseen = false;
    story.say("ANA", "ok");
    assert!(story.thread.approved.is_some() && story.plan_id() == plan);
}
