//! The repository's checks in the core: the baseline beside the work, what is due after it, what the Coder is told.

use super::Story;
use crate::agent::Role;
use crate::ids::{CommitId, Millis, RunId};
use crate::thread::Event;
use crate::thread::checks::{Baseline, CheckEnd, CheckRun, Checks};
use crate::thread::command::{Action, Command};
use crate::thread::event::Publication;
use crate::thread::evidence::Earlier;

fn check(command: &str, code: i32) -> CheckRun {
    let output = if code == 0 { String::new() } else { format!("{command} FAILED") };
    CheckRun { command: command.into(), end: CheckEnd::Exit { code }, millis: 5, counts: None, output }
}

fn baseline(checks: Vec<CheckRun>) -> Command {
    Command::BaselineTaken(Baseline { commit: CommitId::new("4f2c1aa9"), checks, missing: None })
}

impl Story {
    /// Up to the Coder, who begins, in a repository with these checks.
    fn checked(checks: &[&str]) -> Self {
        let mut story = Self::new();
        story.rules.checks = checks.iter().map(|check| (*check).to_owned()).collect();
        let id = story.plan();
        story.press("ANA", Action::PlanApprove, &id);
        story.workspace();
        story
    }

    fn check_done(&mut self, check: CheckRun) -> Vec<Event> {
        let run = self.thread.publishing.as_ref().expect("a run to publish").run;
        self.act(Command::CheckDone { run, check: Some(check) })
    }
}

#[test]
fn the_baseline_is_taken_beside_the_coder_once_and_after_the_initialisation() {
    let mut story = Story::new();
    story.rules.checks = vec!["make a".into(), "make a".into(), " ".into()];
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    let mut twin = story.clone();
    twin.workspace();
    assert_eq!(twin.pending(), ["baseline", "run/2/turn/1"]);
    story.workspace();
    story.act(baseline(vec![check("make a", 0)]));
    assert_eq!(story.pending(), ["run/2/turn/1"]);
    story.reply(Role::Coder, "Done.", &[]);
    story.check_done(check("make a", 0));
    story.published();
    story.say("BEN", "more");
    story.propose("More");
    let id = story.plan_id();
    story.press("ANA", Action::PlanApprove, &id);
    assert!(!story.pending().contains(&"baseline".to_owned()), "the first one is kept");
}

#[test]
fn a_red_baseline_is_told_at_the_coders_next_step() {
    let mut story = Story::checked(&["make a"]);
    story.reply(Role::Coder, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.act(baseline(vec![check("make a", 2)]));
    let events = story.tool(Role::Coder, "c0_1", "read", vec![]);
    let told = events.iter().find_map(|event| match event {
        Event::Heard { role: Role::Coder, parts, .. } => Some(parts.concat()),
        _ => None,
    });
    let told = told.expect("it hears of it");
    assert!(told.contains("`make a` fails on the base already") && told.contains("make a FAILED"), "{told}");
    story.reply(Role::Coder, "", &[("Read", r#"{"file_path":"b"}"#)]);
    let events = story.tool(Role::Coder, "c1_1", "read", vec![]);
    assert!(!events.iter().any(|event| matches!(event, Event::Heard { .. })), "once");
}

#[test]
fn a_late_red_baseline_does_not_keep_the_coder_from_its_end() {
    let mut story = Story::checked(&["make a"]);
    story.act(baseline(vec![check("make a", 2)]));
    story.reply(Role::Coder, "Done.", &[]);
    assert_eq!(story.pending(), ["publish/2/check/0"]);
}

#[test]
fn checks_are_run_one_by_one_and_published_when_the_baseline_is_there_too() {
    let mut story = Story::checked(&["make a", "make b"]);
    story.reply(Role::Coder, "Done.", &[]);
    assert_eq!(story.pending(), ["baseline", "publish/2/check/0"]);
    story.check_done(check("make a", 0));
    assert_eq!(story.pending(), ["baseline", "publish/2/check/1"]);
    assert_eq!(story.check_done(check("make a", 1)), [], "a late end of one that was run again");
    story.check_done(check("make b", 1));
    assert_eq!(story.pending(), ["baseline"]);
    story.act(baseline(vec![check("make a", 0), check("make b", 0)]));
    assert_eq!(story.pending(), ["publish/2"]);
    story.published();
    let published = story.thread.published.as_ref().expect("published");
    assert_eq!(published.draft.as_deref(), Some("`make b` fails (exit code 1)"));
    assert!(!published.can_be_merged());
}

#[test]
fn what_the_coder_ran_is_not_due_and_nothing_is_checked_when_nothing_changed() {
    let mut story = Story::checked(&["make a", "make b"]);
    story.act(baseline(vec![check("make a", 0), check("make b", 0)]));
    story.reply(Role::Coder, "", &[("Edit", "{}")]);
    story.tool(Role::Coder, "c0_1", "edited", vec![]);
    story.reply(Role::Coder, "", &[("Bash", r#"{"command":"make  b"}"#)]);
    story.tool_with(Role::Coder, "c1_1", "ok", Some(0), vec![]);
    let mut twin = story.clone();
    story.reply(Role::Coder, "Done.", &[]);
    assert_eq!(story.pending(), ["publish/2/check/1"]);
    story.check_done(check("make a", 0));
    assert_eq!(story.pending(), ["publish/2"]);

    twin.reply(Role::Coder, "Done.", &[]);
    twin.act(Command::CheckDone { run: RunId(2), check: None });
    assert_eq!(twin.pending(), ["publish/2"]);
}

#[test]
fn with_nothing_changed_the_base_tells_how_the_checks_are_and_makes_no_draft() {
    let mut story = Story::checked(&["make a"]);
    story.reply(Role::Coder, "All checks pass.", &[]);
    story.act(Command::CheckDone { run: RunId(2), check: None });
    assert_eq!(story.pending(), ["baseline"], "it is all that will be known");
    let mut stopped = story.clone();
    stopped.say("BEN", "!stop");
    assert_eq!(stopped.pending(), ["publish/2"]);
    story.act(baseline(vec![check("make a", 2)]));
    let events = story.act(Command::PublishDone { run: RunId(2), result: Ok(Publication::default()), deeds: vec![] });
    let published = story.thread.published.as_ref().expect("published");
    assert_eq!(published.draft, None);
    assert_eq!(published.evidence.checks, [(check("make a", 2), Earlier::Base)]);
    assert!(story.thread.stalled.is_empty(), "there is nothing to go on with");
    let told = format!("{events:?}");
    assert!(told.contains("since nothing was changed; `make a` fails (exit code 2). Its report"), "{told}");
    assert!(!told.contains("draft") && !told.contains("Mend them"), "{told}");
}

#[test]
fn only_the_log_says_that_there_are_no_checks() {
    let mut story = Story::at_work();
    story.reply(Role::Coder, "Done.", &[]);
    let none = Checks::Due { run: RunId(2), known: vec![], commands: vec![] };
    assert!(story.log.contains(&Event::Checks { news: none }));
    story.published();
    assert_eq!(story.thread.published.as_ref().expect("published").evidence.configured, Some(false));
    // A log from before this was asked; and a run that was stopped.
    let mut old = Story::at_work();
    old.reply(Role::Coder, "Done.", &[]);
    old.thread.publishing.as_mut().expect("to publish").checked = None;
    let mut taken_up = old.clone();
    taken_up.rules.checks = vec!["make a".into()];
    taken_up.act(Command::Interrupted { calls: vec![] });
    assert_eq!(taken_up.pending(), ["publish/2/check/0"], "it does not go out unchecked");
    let publication = Publication { head: Some(CommitId::new("beef")), ..Publication::default() };
    old.thread.apply(&Event::WorkPublished { run: RunId(2), summary: publication }, Millis(0));
    let mut stopped = Story::at_work();
    stopped.say("BEN", "!stop");
    stopped.published();
    for story in [old, stopped] {
        assert_eq!(story.thread.published.as_ref().expect("published").evidence.configured, None);
    }
}

#[test]
fn a_stop_ends_run_baseline_and_checks_and_the_baseline_is_wanted_again() {
    let mut story = Story::checked(&["make a"]);
    story.say("BEN", "!stop");
    assert_eq!(story.pending(), ["publish/2"], "what is stopped is published as it is");
    story.published();
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["baseline", "run/3/turn/1"]);
    story.reply(Role::Coder, "Done.", &[]);
    story.say("BEN", "!stop");
    assert_eq!(story.pending(), ["publish/3"]);
    story.published();
    let draft = story.thread.published.as_ref().expect("published").draft.clone();
    assert_eq!(draft.as_deref(), Some("BEN stopped the checks before they had ended"));
}

#[test]
fn a_failure_that_was_there_before_is_a_draft_that_a_person_may_merge() {
    for (before, merges) in [(2, true), (0, false), (3, false)] {
        let mut story = Story::checked(&["make a"]);
        story.act(baseline(vec![check("make a", before)]));
        story.reply(Role::Coder, "Done.", &[]);
        story.check_done(check("make a", 2));
        story.published();
        let events = story.say("ANA", "merge");
        let merged = events.iter().any(|event| matches!(event, Event::MergeRequested { .. }));
        assert_eq!(merged, merges, "{before}: {events:?}");
    }
}

#[test]
fn a_baseline_that_nobody_wants_any_more_is_dropped() {
    let mut story = Story::checked(&["make a"]);
    story.act(baseline(vec![check("make a", 0)]));
    assert_eq!(story.act(baseline(vec![check("make a", 1)])), []);
    let taken = story.log.iter().filter(|event| matches!(event, Event::Checks { news: Checks::BaselineTaken { .. } }));
    assert_eq!(taken.count(), 1);
}
