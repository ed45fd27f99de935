//! What a whole story looks like in the chat, as text: every post, in order, under its key.

use super::post::Post;
use super::posts::posts;
use crate::agent::Role;
use crate::ids::{CommitId, Millis, RunId};
use crate::thread::command::{Action, Command};
use crate::thread::event::Failure;
use crate::thread::tests::Story;
use crate::thread::{Event, Thread};

/// The posts of a story's log, one line each; texts are cut to their first and last line.
fn shown(story: &Story) -> String {
    let mut thread = Thread::new(story.thread.key.clone());
    let mut lines = String::new();
    for event in &story.log {
        let before = thread.clone();
        thread.apply(event, Millis(50_520_000));
        for (key, post) in posts(&before, &thread, event, Millis(50_520_000)) {
            lines.push_str(&format!("{key} {}\n", line(&post)));
        }
    }
    lines
}

fn line(post: &Post) -> String {
    match post {
        Post::Message { role, text, buttons } => {
            let role = role.as_deref().unwrap_or("-");
            let first = text.lines().next().unwrap_or_default();
            let last = text.lines().last().filter(|last| *last != first).map(|last| format!(" … {last}"));
            let labels: String = buttons.iter().map(|button| format!(" [{}]", button.label)).collect();
            format!("{role}: {first}{}{labels}", last.unwrap_or_default())
        }
        Post::File { name, .. } => format!("file {name}"),
        Post::Reaction { ts, name } => format!("{name} on {ts}"),
        Post::Ephemeral { to, text } => format!("only {to}: {text}"),
    }
}

fn check(story: &Story, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = shown(story);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "\n{shown}");
}

#[test]
fn a_question_is_one_progress_message_one_answer_and_a_tick() {
    let mut story = Story::new();
    story.say("BEN", "where are retries decided?");
    story.base();
    story.reply(Role::Pm, "", &[("Grep", r#"{"pattern":"retry"}"#), ("Read", r#"{"file_path":"a"}"#)]);
    story.tool(Role::Pm, "c0_1", "a:1", vec![]);
    story.tool(Role::Pm, "c0_2", "text of a", vec![]);
    story.reply(Role::Pm, "In `a:1`.", &[]);
    check(
        &story,
        "progress/1 PM: searching `retry`, reading `a` …
         progress/1 PM: searching `retry`, reading `a` …
         progress/1 PM: searching `retry`, reading `a` … … _1 call_
         progress/1 PM: searching `retry`, reading `a` … … _1 file read · 2 calls_
         progress/1 PM: searching `retry`, reading `a` … … _1 file read · 2 calls_
         say/12/1 PM: In `a:1`.
         progress/1 PM: _1 file read · 2 calls_
         done/1.0 white_check_mark on 1.0",
    );
}

#[test]
fn a_plan_is_a_card_that_is_voided_approved_and_followed_by_the_pull_requests_card() {
    let mut story = Story::new();
    let first = story.plan();
    story.say("BEN", "and an empty file?");
    story.propose("Keep all rows");
    let second = story.plan_id();
    story.press("ANA", Action::PlanApprove, &second);
    story.workspace();
    story.reply(Role::Coder, "Done.", &[]);
    story.published();
    let shown = shown(&story);
    let cards: Vec<&str> =
        shown.lines().filter(|line| line.starts_with("plan/") || line.starts_with("pull/")).collect();
    let buttons = "[Approve] [Change] [Cancel]";
    let touches = "_Touches 1 file · base `main@4f2c1aa`_";
    let expected = [
        format!("plan/{first} PM: **Plan: Keep the last row** · workflow `bugfix` … {touches} {buttons}"),
        format!(
            "plan/{first} PM: **Plan: Keep the last row** · workflow `bugfix` … **Void:** there is a newer plan below."
        ),
        format!("plan/{second} PM: **Plan: Keep all rows** · workflow `bugfix` … {touches} {buttons}"),
        format!("plan/{second} PM: **Plan: Keep all rows** · workflow `bugfix` … **Approved by ANA** · 14:02 UTC"),
        "pull/3 Coder: Done. … **[#7 Keep](https://x/7)** · +2 −0 · 1 file [Merge] [Open on GitHub]".to_owned(),
    ];
    assert_eq!(cards, expected, "\n{shown}");
}

#[test]
fn the_end_takes_the_merge_button_away_and_ticks_the_word() {
    let mut story = Story::opened();
    let from = story.log.len();
    story.say("ANA", "merge");
    story.act(Command::MergeDone(Ok(CommitId::new("9be01d3aaaa"))));
    story.act(Command::CleanUpDone(vec!["branch `x`: it is protected.".into()]));
    let before = story.log.split_off(from);
    let earlier = shown(&story).lines().count();
    story.log.extend(before);
    let shown = shown(&story);
    let lines: Vec<&str> = shown.lines().skip(earlier).collect();
    assert_eq!(
        lines,
        [
            "say/30/0 Lead: Merged as `9be01d3`. Still there: … - branch `x`: it is protected.",
            "pull/2 Coder: Done. … **[#7 Keep](https://x/7)** · +2 −0 · 1 file",
            "done/2.0 white_check_mark on 2.0",
        ],
        "\n{shown}"
    );
}

#[test]
fn every_post_of_a_thread_has_a_key_of_its_own_or_replaces_its_own_kind() {
    let story = Story::opened();
    let mut thread = Thread::new(story.thread.key.clone());
    let mut kinds = std::collections::BTreeMap::new();
    for event in &story.log {
        let before = thread.clone();
        thread.apply(event, Millis(0));
        for (key, post) in posts(&before, &thread, event, Millis(0)) {
            let kind = std::mem::discriminant(&post);
            assert_eq!(*kinds.entry(key.clone()).or_insert(kind), kind, "{key} changes what it is");
        }
        assert!(!matches!(event, Event::Refused { .. }), "nothing was refused in this story");
    }
}

#[test]
fn what_a_stop_a_failure_or_a_close_overtakes_is_ticked_too() {
    let failure = || Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    let ends: [fn(&mut Story, Failure) -> Vec<Event>; 3] = [
        |story, _| story.say("BEN", "!stop"),
        |story, failure| story.act(Command::ModelAnswered { run: RunId(1), turn: 1, result: Err(failure) }),
        |story, _| story.say("BEN", "!close"),
    ];
    for end in ends {
        let mut story = Story::new();
        story.say("BEN", "hello");
        story.base();
        story.say("BEN", "one more thing");
        end(&mut story, failure());
        let shown = shown(&story);
        assert!(story.thread.runs.is_empty(), "nobody is left who reads it");
        for ts in ["1.0", "2.0"] {
            assert!(shown.contains(&format!("done/{ts} ")), "{ts}:\n{shown}");
        }
    }
}

#[test]
fn what_a_close_overtook_while_the_coder_worked_is_ticked_too() {
    let mut story = Story::at_work();
    story.say("BEN", "and an empty file?");
    story.say("BEN", "!close");
    story.act(Command::CleanUpDone(vec![]));
    let shown = shown(&story);
    assert!(shown.contains("done/2.0 ") && shown.contains("done/3.0 "), "\n{shown}");
}
