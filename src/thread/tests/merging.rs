//! The way from an open pull request to a closed thread.

use super::{Story, refusal};
use crate::agent::Role;
use crate::ids::CommitId;
use crate::thread::command::{Action, Command, Deed, NotMerged};
use crate::thread::event::{Failure, PullRequest};
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
fn what_the_coder_did_since_its_last_report_is_not_merged() {
    let mut opened = Story::opened();
    opened.propose_more();
    let mut unpublished = Story::at_work();
    for (story, head) in [(&mut opened, "cafe"), (&mut unpublished, "beef")] {
        story.reply(Role::Coder, "", &[("GitPush", "{}"), ("GHCreatePR", r#"{"title":"t","body":"b"}"#)]);
        let pull = PullRequest { number: 7, url: "https://x/7".into(), title: "t".into(), draft: false };
        story.tool(Role::Coder, "c0_1", "pushed", vec![Deed::Pushed(CommitId::new(head)), Deed::Opened(pull)]);
        story.tool(Role::Coder, "c0_2", "opened", vec![]);
        let run = story.thread.runs[&Role::Coder].clone();
        let result = Err(Failure { what: "No credit.".into(), hint: "Add some.".into() });
        story.act(Command::ModelAnswered { run: run.id, turn: run.turns + 1, result });
        let told = format!("{:?}", story.say("ANA", "merge"));
        assert!(told.contains("stopped before it could report") && told.contains("`!retry`"), "{told}");
        story.say("ANA", "!retry");
        story.reply(Role::Coder, "Done.", &[]);
        story.published();
        story.say("ANA", "merge");
        assert_eq!(story.pending(), ["merge/1"]);
    }
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
