//! What a run does turn by turn: model calls, tool calls and their order, its limits and its place in the queue.

use std::collections::BTreeSet;

use super::Story;
use crate::agent::{Role, ToolCall};
use crate::ids::{CallId, CommitId, RunId};
use crate::thread::command::{Action, Command};
use crate::thread::event::{Reply, RunOutcome, Workspace};
use crate::thread::state::WorkspaceState;
use crate::thread::{Effect, Event, Phase, pending};

#[test]
fn a_question_is_answered_without_a_worktree() {
    let mut story = Story::new();
    story.say("BEN", "where are retries decided?");
    assert_eq!(story.pending(), ["base"]);
    story.base();
    assert_eq!(story.pending(), ["run/1/turn/1"]);
    story.reply(Role::Pm, "", &[("Grep", r#"{"pattern":"retry"}"#), ("Read", r#"{"file_path":"a"}"#)]);
    assert_eq!(story.pending(), ["run/1/call/c0_1", "run/1/call/c0_2"]);
    story.tool(Role::Pm, "c0_2", "text of a", vec![]);
    story.tool(Role::Pm, "c0_1", "a:1", vec![]);
    assert_eq!(story.pending(), ["run/1/turn/2"]);
    let events = story.reply(Role::Pm, "In a:1.", &[]);
    assert!(matches!(&events[1], Event::RunEnded { outcome: RunOutcome::Answered { text }, .. } if text == "In a:1."));
    assert_eq!(story.pending(), Vec::<String>::new());
    assert_eq!((Phase::of(&story.thread), &story.thread.workspace), (Phase::Pm, &WorkspaceState::None));
}

#[test]
fn changing_calls_run_alone_and_in_order_and_bash_waits_for_the_init() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    let workspace = Workspace {
        slug: "row".into(),
        branch: "codebutler/row".into(),
        base: CommitId::new("4f2c1aa9"),
        base_branch: "main".into(),
    };
    story.act(Command::WorkspacePrepared(Ok(workspace)));
    let edit = r#"{"file_path":"a","old_string":"x","new_string":"y"}"#;
    let calls = [("Read", r#"{"file_path":"a"}"#), ("Edit", edit), ("Bash", r#"{"command":"make"}"#), ("Glob", "{}")];
    story.reply(Role::Coder, "", &calls);
    assert_eq!(story.pending(), ["workspace/init", "run/2/call/c0_1"]);
    story.tool(Role::Coder, "c0_1", "", vec![]);
    assert_eq!(story.pending(), ["workspace/init", "run/2/call/c0_2"]);
    story.tool(Role::Coder, "c0_2", "", vec![]);
    assert_eq!(story.pending(), ["workspace/init"], "Bash was released but waits");
    story.act(Command::WorkspaceInitialised(vec![]));
    assert_eq!(story.pending(), ["run/2/call/c0_3"]);
    story.tool(Role::Coder, "c0_3", "", vec![]);
    assert_eq!(story.pending(), ["run/2/call/c0_4"]);
}

#[test]
fn mistakes_of_the_model_are_answered_and_it_goes_on() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    let events = story.reply(Role::Pm, "", &[("Bash", "{}"), ("Write", "{}"), ("ProposePlan", r#"{"title":"x"}"#)]);
    let results = events.iter().filter_map(|event| match event {
        Event::ToolFinished { result, .. } => Some(result.text.as_str()),
        _ => None,
    });
    let results: Vec<&str> = results.into_iter().collect();
    assert_eq!(results.len(), 3);
    assert!(
        results[0].starts_with("There is no tool `Bash` for you. Nothing was done. You have: Read,"),
        "{}",
        results[0]
    );
    assert!(results[2].starts_with("The arguments of `ProposePlan` do not fit"), "{}", results[2]);
    assert_eq!(story.pending(), ["run/1/turn/2"]);
}

#[test]
fn call_ids_are_unique_whatever_the_model_calls_them() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    let mut seen = BTreeSet::new();
    for ids in [["call_2", "call_2"], ["call_2", ""], ["call_4", "call_3"], ["", "call_1"]] {
        let run = story.thread.runs[&Role::Pm].clone();
        let calls = ids.map(|id| ToolCall {
            id: CallId::new(id),
            name: "Read".into(),
            arguments: r#"{"file_path":"a"}"#.into(),
            fault: None,
        });
        let reply = Reply { calls: calls.into(), model: run.model, ..Reply::default() };
        story.act(Command::ModelAnswered { run: run.id, turn: run.turns + 1, result: Ok(reply) });
        let made: Vec<_> = story.thread.runs[&Role::Pm].calls.iter().map(|state| state.call.id.clone()).collect();
        for id in made {
            assert!(seen.insert(id.clone()), "{id} comes twice");
            story.tool(Role::Pm, id.as_str(), "text", vec![]);
        }
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn the_new_model_takes_over_in_the_middle() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.say("BEN", "!pm CLAUDE");
    story.tool(Role::Pm, "c0_1", "text", vec![]);
    let effects = pending(&story.thread, |_| 15);
    assert!(matches!(&effects[..], [Effect::CallModel { model, turn: 2, .. }] if model == "anthropic/claude"));
    assert!(matches!(&story.say("BEN", "!pm gemini")[0], Event::CommandTaken { .. }));
}

#[test]
fn turns_are_limited_and_the_last_one_has_no_tools() {
    let mut story = Story::at_work();
    for turn in 0..3 {
        story.reply(Role::Coder, "", &[("Read", r#"{"file_path":"a"}"#)]);
        story.tool(Role::Coder, &format!("c{turn}_1"), "text", vec![]);
    }
    let effects = pending(&story.thread, |_| 3);
    assert!(matches!(&effects[..], [Effect::CallModel { turn: 4, no_tools: true, .. }]), "{effects:?}");
    story.reply(Role::Coder, "Half done.", &[("Read", "{}")]);
    let publishing = story.thread.publishing.as_ref().expect("published as a draft");
    assert_eq!(publishing.draft.as_deref(), Some("the Coder used up its 3 turns"));
}

#[test]
fn a_place_in_the_queue_is_told_when_it_changes_and_only_then() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    let run = RunId(1);
    let queued = |place| Command::Queued { run, place, build: None };
    assert!(story.act(queued(None)).is_empty(), "nobody waits");
    assert_eq!(story.act(queued(Some(2))).len(), 1);
    assert!(story.act(queued(Some(2))).is_empty());
    assert_eq!(story.act(queued(Some(1))).len(), 1);
    assert_eq!(story.act(queued(None)).len(), 1);
    assert!(story.act(Command::Queued { run: RunId(9), place: Some(1), build: None }).is_empty(), "no such run");
}
