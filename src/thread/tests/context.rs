//! A conversation that is replaced carries the facts of the log; people's words as they stand now, each once.

use super::Story;
use crate::agent::compaction::{MARK, SUMMARY_MARK};
use crate::agent::{Role, Usage};
use crate::ids::{CallId, CommitId, MessageTs, Millis, RunId};
use crate::render::post::Post;
use crate::render::posts::posts;
use crate::thread::Event;
use crate::thread::checks::{Baseline, CheckEnd, CheckRun};
use crate::thread::command::{Action, Command, Deed};
use crate::thread::context::{Change, Wanted, Work};
use crate::thread::event::{Failure, RunOutcome, ToolResult};
use crate::thread::outside::{PullFate, Sighting};

pub(super) fn replacement(kept: u32, told: &[&str], summary: Option<&str>) -> Wanted {
    Wanted::Replacement {
        kept,
        told: told.iter().map(|ts| MessageTs::new(*ts)).collect(),
        stubs: vec![],
        before: 182_000,
        rest: 30_000,
        summary: summary.map(str::to_owned),
        usage: Usage { calls: u32::from(summary.is_some()), cost_usd: 0.5, ..Usage::default() },
        work: None,
    }
}

impl Story {
    pub(super) fn want(&mut self, role: Role, wanted: Wanted) -> Vec<Event> {
        let run = &self.thread.runs[&role];
        self.act(Command::ContextWanted { run: run.id, turn: run.turns + 1, wanted })
    }

    fn bash(&mut self, call: &str, command: &str, exit: i32) {
        let arguments = format!(r#"{{"command":"{command}"}}"#);
        self.reply(Role::Coder, "", &[("Bash", &arguments)]);
        let run = self.thread.runs[&Role::Coder].id;
        let wrote = vec!["src/export.rs".to_owned()];
        let result = ToolResult { text: "out".into(), error: false, wrote, exit: Some(exit) };
        self.act(Command::ToolDone { run, call: CallId::new(call), result, deeds: vec![] });
    }
}

/// The parts of the message that replaced the earlier part.
pub(super) fn parts(events: &[Event]) -> Vec<String> {
    let parts = events.iter().find_map(|event| match event {
        Event::ContextChanged { change: Change::Compacted { parts, .. }, .. } => Some(parts.clone()),
        _ => None,
    });
    parts.expect("it was replaced")
}

#[test]
fn the_coder_is_told_plan_words_files_commands_and_checklist_from_the_log() {
    let mut story = Story::at_work();
    story.rules.coder_turns = 20;
    story.rules.checks = vec!["cargo test".into(), "cargo clippy".into()];
    let work =
        Work { files: vec!["src/export.rs".into(), "by/sed.rs new".into()], commit: Some(CommitId::new("abcdef12")) };
    story.bash("c0_1", "cargo test --lib", 101);
    story.bash("c1_1", "ls", 0);
    story.bash("c2_1", "cargo test --lib", 0);
    story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[{"content":"mend it","status":"in_progress"}]}"#)]);
    story.say("BEN", "mind the last row, too");
    // The Coder hears it with the next result; the PM has not read it yet.
    story.reply(Role::Coder, "", &[("GitCommit", r#"{"message":"m"}"#)]);
    story.tool(Role::Coder, "c4_1", "ok", vec![Deed::Committed(CommitId::new("abcdef12"))]);
    let mut wanted = replacement(2, &[], Some("It was the loop."));
    if let Wanted::Replacement { work: of_git, .. } = &mut wanted {
        *of_git = Some(work);
    }
    let events = story.want(Role::Coder, wanted);
    let parts = parts(&events);
    let text = parts.join("\n");
    assert!(parts[0].starts_with(MARK));
    for wanted in [
        "# The plan approved by ANA",
        "**Keep the last row**",
        "Done when:\n- x",
        "- `src/export.rs`\n- `by/sed.rs new`",
        "- `ls` → exit code 0\n- `cargo test --lib` → exit code 0",
        "- `cargo test` → not run yet\n- `cargo clippy` → not run yet",
        "the last commit is `abcdef1`, not pushed",
        "there is no pull request yet",
        "- in progress: mend it",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("exit code 101"), "how it ended last");
    let words = ["BEN: the export drops the last row", "BEN: mind the last row, too"];
    for words in words {
        assert_eq!(parts.iter().filter(|part| *part == words).count(), 1, "{words}: {parts:#?}");
    }
    assert_eq!(parts.last().map(String::as_str), Some(format!("{SUMMARY_MARK}\n\nIt was the loop.").as_str()));
    assert_eq!(story.pending(), ["run/2/turn/6"], "the call is due again");
    assert!(story.thread.runs[&Role::Coder].usage.cost_usd > 0.4, "the summary's cost counts");
}

#[test]
fn people_s_words_are_taken_as_they_stand_now_and_never_told_twice() {
    let mut story = Story::new();
    story.say("BEN", "first wish");
    story.base();
    story.reply(Role::Pm, "heard", &[]);
    story.say("BEN", "second wish");
    story.reply(Role::Pm, "heard", &[]);
    story.say("BEN", "third wish");
    story.reply(Role::Pm, "heard", &[]);
    let by = crate::ids::UserId::new("BEN");
    story.act(Command::Edit { ts: MessageTs::new("1.0"), by: by.clone(), text: "better wish".into() });
    story.act(Command::Delete { ts: MessageTs::new("2.0"), by });
    story.say("BEN", "fourth wish");
    let events = story.want(Role::Pm, replacement(1, &["4.0"], None));
    let text = parts(&events).join("\n");
    for (words, times) in
        [("better wish", 1), ("first wish", 0), ("second wish", 0), ("third wish", 1), ("fourth wish", 0)]
    {
        assert_eq!(text.matches(words).count(), times, "{words}: {text}");
    }
    assert!(text.contains("There is none: it could not be written"), "{text}");
}

#[test]
fn the_pm_is_told_answers_the_newest_plan_and_what_waits() {
    let mut story = Story::new();
    story.say("BEN", "the export drops the last row");
    story.base();
    let ask = r#"{"question":"Which export?","options":["csv","xml"]}"#;
    story.reply(Role::Pm, "", &[("AskUser", ask)]);
    story.press("ANA", Action::AskOption, &format!("{}/0", story.question_id()));
    story.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Since when?"}"#)]);
    story.say("BEN", "since monday");
    story.propose("Keep the last row");
    story.say("ANA", "is it safe?");
    let events = story.want(Role::Pm, replacement(1, &[], Some("They want csv.")));
    let text = parts(&events).join("\n");
    for wanted in [
        "# The newest plan: it waits for a person's approval",
        "- Which export? → “csv”",
        "- Since when? → answered in a message",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(text.matches("since monday").count(), 1, "{text}");
    // The summary of one time is what the next time has, when none can be written.
    story.reply(Role::Pm, "yes", &[]);
    story.say("ANA", "sure?");
    let again = parts(&story.want(Role::Pm, replacement(1, &[], None))).join("\n");
    assert!(again.contains("They want csv."), "{again}");
}

#[test]
fn people_see_one_quiet_line() {
    let mut story = Story::at_work();
    let before = story.thread.clone();
    let said = |story: &mut Story, summary| {
        let events = story.want(Role::Coder, replacement(1, &[], summary));
        let posts = posts(&before, &story.thread, &events[0], Millis(0));
        let [(_, Post::Message { text, .. })] = posts.as_slice() else { panic!("{posts:?}") };
        text.clone()
    };
    assert!(said(&mut story, None).contains("A summary could not be had"));
    let text = said(&mut story, Some("s"));
    assert!(text.starts_with("I summarised the earlier part of my work to go on (182k → 30k tokens)."), "{text}");
    // At a second cut no model is asked: the summary of the first stands in the message.
    assert!(said(&mut story, None).starts_with("I summarised the earlier part"));
    let stubs = Wanted::Stubs { stubs: vec![], before: 9, after: 5 };
    let events = story.want(Role::Coder, stubs);
    assert!(posts(&before, &story.thread, &events[0], Millis(0)).is_empty());
}

#[test]
fn a_server_that_refuses_again_and_again_ends_the_run_with_its_failure() {
    let mut story = Story::at_work();
    let failure = Failure { what: "Too long.".into(), hint: "!retry".into() };
    let exceeded = |context| Wanted::Exceeded { model: "anthropic/opus".into(), context, failure: failure.clone() };
    for context in [9_000, 8_000] {
        let events = story.want(Role::Coder, exceeded(context));
        assert!(matches!(events.as_slice(), [Event::ContextChanged { change: Change::Exceeded { .. }, .. }]));
        assert_eq!(story.pending(), ["run/2/turn/1"]);
        story.want(Role::Coder, replacement(0, &[], None));
    }
    assert_eq!(story.thread.contexts["anthropic/opus"], 8_000);
    let events = story.want(Role::Coder, exceeded(7_000));
    let ended = |event: &Event| matches!(event, Event::RunEnded { outcome: RunOutcome::Failed { failure }, .. } if failure.what == "Too long.");
    assert!(events.iter().any(ended), "{events:?}");
    // A reply in between begins the count anew.
    story.say("BEN", "!retry");
    for _ in 0..3 {
        story.want(Role::Coder, exceeded(9_000));
        assert!(story.thread.runs.contains_key(&Role::Coder));
        story.reply(Role::Coder, "", &[("Read", "{}")]);
        let call = story.thread.runs[&Role::Coder].calls[0].call.id.as_str().to_owned();
        story.tool(Role::Coder, &call, "x", vec![]);
        story.rules.coder_turns = 20;
    }
}

#[test]
fn late_news_of_another_turn_or_run_changes_nothing() {
    let mut story = Story::at_work();
    for (run, turn) in [(RunId(2), 2), (RunId(1), 1), (RunId(9), 1)] {
        let command = Command::ContextWanted { run, turn, wanted: replacement(1, &[], None) };
        assert!(story.act(command).is_empty());
    }
}

#[test]
fn what_was_said_meanwhile_is_read_with_the_replacement() {
    let mut story = Story::at_work();
    story.reply(Role::Coder, "", &[("Read", "{}")]);
    story.tool(Role::Coder, "c0_1", "x", vec![]);
    story.say("BEN", "wait, not that file");
    let events = story.want(Role::Coder, replacement(2, &[], Some("s")));
    let heard = |event: &Event| matches!(event, Event::Heard { parts, .. } if parts == &["BEN: wait, not that file"]);
    assert!(events.iter().any(heard), "{events:?}");
    assert!(!parts(&events).join("\n").contains("not that file"), "once");
}

#[test]
fn the_state_of_the_checks_is_that_of_whoever_ran_them_last() {
    let check = |command: &str, code, output: &str| CheckRun {
        command: command.into(),
        end: CheckEnd::Exit { code },
        millis: 1,
        counts: None,
        output: output.into(),
    };
    let told = |story: &mut Story| parts(&story.want(Role::Coder, replacement(1, &[], None))).join("\n");
    let mut story = Story::new();
    story.rules.checks = vec!["make test".into(), "make lint".into()];
    story.rules.coder_turns = 20;
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.workspace();
    let checks = vec![check("make test", 2, "row 3 is missing"), check("make lint", 0, "")];
    let baseline = Baseline { commit: CommitId::new("4f2c1aa9"), checks, missing: None };
    story.act(Command::BaselineTaken(baseline));
    let text = told(&mut story);
    assert!(text.contains("- `make test` → not run yet; on the base, before any change of yours: exit code 2\n  The end of its output:\nrow 3 is missing"), "{text}");
    assert!(
        text.contains("- `make lint` → not run yet; on the base, before any change of yours: exit code 0"),
        "{text}"
    );
    // Not the check itself: what it does is not what the check does.
    story.bash("c0_1", "make test --no-run", 0);
    story.bash("c1_1", "make test || true", 0);
    assert!(told(&mut story).contains("`make test` → not run yet"));
    story.bash("c2_1", "make test", 0);
    story.bash("c3_1", "ls", 0);
    assert!(told(&mut story).contains("- `make test` → exit code 0; nothing was changed after that;"));
    story.bash("c4_1", "sed -i s/a/b/ x", 0);
    assert!(told(&mut story).contains("- `make test` → exit code 0; files were or may have been changed after that;"));
    story.reply(Role::Coder, "Done.", &[]);
    for run in [check("make test", 1, "row 4 is missing"), check("make lint", 0, "")] {
        let of = story.thread.publishing.as_ref().expect("work").run;
        story.act(Command::CheckDone { run: of, check: Some(run) });
    }
    story.published();
    story.say("BEN", "!retry");
    let text = told(&mut story);
    assert!(text.contains("- `make test` → exit code 1, run by CodeButler after your run; nothing was changed after that; on the base, before any change of yours: exit code 2\n  The end of its output:\nrow 4 is missing"), "{text}");
    assert!(text.contains("- `make lint` → exit code 0, run by CodeButler after your run;"), "{text}");
}

#[test]
fn pull_request_and_plan_are_told_as_they_are_in_a_closed_thread() {
    let told = |story: &mut Story| {
        story.say("BEN", "what became of it?");
        parts(&story.want(Role::Pm, replacement(1, &[], None))).join("\n")
    };
    let mut story = Story::opened();
    let sighting = Sighting { fate: PullFate::Closed, ..Sighting::begin(7, CommitId::new("beef")) };
    story.act(Command::PullChanged(sighting));
    let text = told(&mut story);
    assert!(text.contains("pull request #7 “Keep” was closed outside this thread, not merged"), "{text}");
    let mut story = Story::opened();
    story.say("ANA", "!close");
    let text = told(&mut story);
    assert!(text.contains("pull request #7 “Keep” is closed with this thread, not merged"), "{text}");
    let mut story = Story::new();
    story.plan();
    story.say("ANA", "!close");
    let text = told(&mut story);
    assert!(text.contains("# The newest plan: never approved, and void: this thread is closed"), "{text}");
    assert!(text.contains("there is no pull request yet; this thread is closed"), "{text}");
}
