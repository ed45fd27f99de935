//! The way from an open pull request to a closed thread.

use super::{Story, refusal};
use crate::agent::Role;
use crate::ids::CommitId;
use crate::thread::command::{Action, Command, NotMerged};
use crate::thread::event::Failure;
use crate::thread::{Effect, Event, Phase, pending};

#[test]
fn a_merge_is_pinned_to_the_head_and_closes_the_thread() {
    let mut story = Story::opened();
    assert_eq!((Phase::of(&story.thread), story.pending()), (Phase::Review, vec![]));
    assert!(matches!(&story.say("BEN", "merge")[0], Event::CommandTaken { .. }), "only an approver merges");
    story.say("ANA", "dale");
    let effects = pending(&story.thread, |_| 3);
    assert!(matches!(&effects[..], [Effect::Merge { head, .. }] if head.as_str() == "beef"), "{effects:?}");
    let failure = Failure { what: "Conflicts.".into(), hint: "Rebase.".into() };
    story.act(Command::MergeDone(Err(NotMerged::Refused(failure))));
    assert_eq!(Phase::of(&story.thread), Phase::Review);
    story.press("ANA", Action::PrMerge, "beef");
    story.act(Command::MergeDone(Ok(CommitId::new("9be01d3"))));
    assert_eq!(story.pending(), ["cleanup"]);
    story.act(Command::CleanUpDone(vec![]));
    assert_eq!((Phase::of(&story.thread), story.pending()), (Phase::Closed, vec![]));
    story.say("BEN", "what was it?");
    assert_eq!(story.pending(), ["run/3/turn/1"], "questions are still answered");
    let plan = r#"{"title":"t","workflow":"w","summary":"s","steps":[{"text":"t"}],"files":[],"acceptance":["x"]}"#;
    let events = story.reply(Role::Pm, "", &[("ProposePlan", plan)]);
    assert!(matches!(&events[1], Event::ToolFinished { result, .. } if result.text.contains("new thread")));
}

#[test]
fn work_that_could_not_be_pushed_is_not_merged_over() {
    let mut story = Story::opened();
    story.say("BEN", "also trim spaces");
    story.propose("Trim spaces");
    let id = story.plan_id();
    story.press("ANA", Action::PlanApprove, &id);
    story.reply(Role::Coder, "Done.", &[]);
    let run = story.thread.publishing.as_ref().expect("work to publish").run;
    let failure = Failure { what: "No network.".into(), hint: "Wait.".into() };
    story.act(Command::PublishDone { run, result: Err(failure), deeds: vec![] });
    assert!(matches!(&story.say("ANA", "merge")[..], [Event::CommandTaken { .. }]));
    story.say("ANA", "!retry");
    assert_eq!(story.pending(), [format!("publish/{run}")]);
    story.published();
    story.say("ANA", "merge");
    assert_eq!(story.pending(), ["merge/1"]);
}

#[test]
fn stale_buttons_do_nothing_to_newer_things() {
    let mut story = Story::opened();
    assert!(refusal(&story.press("ANA", Action::PrMerge, "0ld")).contains("newest card"));
    story.say("BEN", "hello");
    assert!(refusal(&story.press("BEN", Action::RunStop, "1")).contains("has ended"));
    story.press("ANA", Action::PrMerge, "beef");
    assert_eq!(story.pending()[0], "merge/1");
}
