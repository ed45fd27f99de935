//! What each event means in a line, and that the log's part of it holds nothing that was said.

mod people;
mod roles;
mod upkeep;
mod work;

use super::{Line, Tag, doing, excerpt, line};
use crate::agent::stuck::{Help, Trouble};
use crate::agent::{Role, ToolCall, Usage};
use crate::ids::{CallId, CommitId, MessageTs, Millis, PlanId, QuestionId, RunId, UserId};
use crate::thread::Thread;
use crate::thread::budget::{Budget, Cap};
use crate::thread::checks::{Baseline, CheckEnd, CheckRun, Checks};
use crate::thread::command::{Action, Command};
use crate::thread::consult::{Knew, PmQuestion};
use crate::thread::context::{Change, Stub};
use crate::thread::event::{
    Answer, Base, Earlier, Event, Failure, InitStep, Message, Publication, PullRequest, Reply, RunOutcome, ToolResult,
    Workspace,
};
use crate::thread::outside::Outside;
use crate::thread::plan::{Plan, PlanStep, Todo, TodoStatus};
use crate::thread::question::Ask;
use crate::thread::spending::Spent;
use crate::thread::stalled::Part;
use crate::thread::tests::Story;

/// What people and models said, in every sample; it must not reach the log.
const SAID: &str = "SECRET words";

fn failure() -> Failure {
    Failure { what: "It broke.".into(), hint: "Mend it.".into() }
}

fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: CallId::new("c1"), name: name.into(), arguments: arguments.into(), fault: None }
}

fn reply(text: &str, calls: Vec<ToolCall>) -> Event {
    let usage = Usage {
        calls: 1,
        prompt_tokens: 100,
        cached_tokens: 90,
        completion_tokens: 5,
        cost_usd: 0.25,
        ..Usage::default()
    };
    let reply = Reply { text: text.into(), calls, reasoning: None, model: "m".into(), usage, ..Reply::default() };
    Event::ReplyReceived { run: RunId(1), turn: 2, reply }
}

fn done(error: bool, exit: Option<i32>) -> Event {
    let result = ToolResult { text: format!("{SAID}\nmore"), error, wrote: vec![], exit };
    Event::ToolFinished { run: RunId(1), call: CallId::new("c1"), result }
}

fn ended(outcome: RunOutcome) -> Event {
    Event::RunEnded { run: RunId(1), outcome }
}

fn asked(run: RunId) -> Event {
    let ask = Ask { question: SAID.into(), options: vec![SAID.into()] };
    Event::QuestionAsked { id: QuestionId::new("q1"), role: Role::Coder, run, call: CallId::new("c1"), ask }
}

/// The place of an event's variant among all. A new variant does not compile until it stands here and in the samples.
fn variant(event: &Event) -> usize {
    match event {
        Event::ThreadOpened { .. } => 0,
        Event::PersonNamed { .. } => 1,
        Event::MessageReceived { .. } => 2,
        Event::MessageEdited { .. } => 3,
        Event::MessageDeleted { .. } => 4,
        Event::CommandTaken { .. } => 5,
        Event::Refused { .. } => 6,
        Event::BaseReady { .. } => 7,
        Event::BaseFailed { .. } => 8,
        Event::ConversationOpened { .. } => 9,
        Event::RunStarted { .. } => 10,
        Event::Heard { .. } => 11,
        Event::Noted { .. } => 12,
        Event::ReplyReceived { .. } => 13,
        Event::ToolsStarted { .. } => 14,
        Event::ToolFinished { .. } => 15,
        Event::TodosWritten { .. } => 16,
        Event::NotePosted { .. } => 17,
        Event::RunEnded { .. } => 18,
        Event::PlanProposed { .. } => 19,
        Event::PlanChangeAsked { .. } => 20,
        Event::PlanApproved { .. } => 21,
        Event::PlanCancelled { .. } => 22,
        Event::WorkspaceReady { .. } => 23,
        Event::WorkspaceFailed { .. } => 24,
        Event::WorkspaceInitialised { .. } => 25,
        Event::Committed { .. } => 26,
        Event::Pushed { .. } => 27,
        Event::PullRequestOpened { .. } => 28,
        Event::WorkPublished { .. } => 29,
        Event::PublishFailed { .. } => 30,
        Event::MergeRequested { .. } => 31,
        Event::MergeRefused { .. } => 32,
        Event::Merged { .. } => 33,
        Event::CloseRequested { .. } => 34,
        Event::CleanedUp { .. } => 35,
        Event::ThreadClosed { .. } => 36,
        Event::PmModelChosen { .. } => 37,
        Event::StopRequested { .. } => 38,
        Event::RetryRequested { .. } => 39,
        Event::QuestionAsked { .. } => 40,
        Event::QuestionAnswered { .. } => 41,
        Event::RunQueued { .. } => 42,
        Event::Outside { .. } => 43,
        Event::TakenUp { .. } => 44,
        Event::MergeInDoubt { .. } => 45,
        Event::PmAsked { .. } => 46,
        Event::PmAnswered { .. } => 47,
        Event::StuckNoticed { .. } => 48,
        Event::ContextChanged { .. } => 49,
        Event::Checks { .. } => 50,
        Event::Budget { .. } => 51,
        Event::Spent { .. } => 52,
    }
}

/// How many variants there are.
const VARIANTS: usize = 53;

/// Every variant with the lines that it gives; `-` for none.
fn samples() -> Vec<(Event, &'static str)> {
    let families = [
        people::people(),
        roles::roles(),
        roles::circles(),
        upkeep::context(),
        work::work(),
        upkeep::money(),
        work::ends(),
    ];
    families.into_iter().flatten().collect()
}

/// A thread in which the PM is running a command.
fn thread() -> Thread {
    let mut story = Story::new();
    story.say("UANA", "hello");
    story.base();
    let mut thread = story.thread;
    thread.people.insert(UserId::new("UANA"), "Ana".into());
    thread.apply(&reply("", vec![call("Bash", r#"{"command":"SECRET command"}"#)]), Millis(0));
    thread.apply(&Event::ToolsStarted { run: RunId(1), calls: vec![CallId::new("c1")] }, Millis(2_000));
    thread
}

#[test]
fn every_event_has_its_line_and_what_was_said_is_not_for_the_log() {
    let before = thread();
    let mut seen = [false; VARIANTS];
    for (event, expected) in samples() {
        seen[variant(&event)] = true;
        let mut after = before.clone();
        after.apply(&event, Millis(2_040));
        let shown = match line(&before, &after, &event, Millis(2_040)) {
            None => "-".to_owned(),
            Some(Line { tag, text, told }) => {
                assert!(!text.contains("SECRET"), "{text}");
                let more = match told.strip_prefix(text.as_str()) {
                    Some("") => String::new(),
                    Some(rest) => format!(" |{rest}"),
                    None => format!(" | {told}"),
                };
                format!("{} {text}{more}", tag.as_str())
            }
        };
        assert_eq!(shown, expected, "{event:?}");
        let stored = serde_json::to_value(&event).expect("JSON");
        for name in ["seq", "time", "thread", "key"] {
            assert!(stored.get(name).is_none(), "a saved log has its own `{name}`: {event:?}");
        }
    }
    assert_eq!(seen, [true; VARIANTS], "every variant has a sample");
}

#[test]
fn events_of_runs_that_are_over_give_no_line_and_do_not_panic() {
    let empty = Thread::new(thread().key);
    for (event, _) in samples() {
        let mut after = empty.clone();
        after.apply(&event, Millis(0));
        let shown = line(&empty, &after, &event, Millis(0));
        let of_run = matches!(
            event,
            Event::ReplyReceived { .. }
                | Event::RunQueued { .. }
                | Event::ToolFinished { .. }
                | Event::TodosWritten { .. }
                | Event::RunEnded { .. }
                | Event::StuckNoticed { .. }
        );
        assert!(!of_run || shown.is_none(), "{shown:?}");
    }
}

#[test]
fn a_call_that_was_never_released_took_no_time() {
    let mut before = thread();
    before.runs.get_mut(&Role::Pm).expect("at work").calls[0].started = false;
    let shown = line(&before, &before, &done(true, None), Millis(9)).expect("a line");
    assert_eq!((shown.tag, shown.text.as_str()), (Tag::Role(Role::Pm), "Bash failed without having run"));
}

#[test]
fn a_thread_says_what_it_is_at() {
    let mut story = Story::new();
    let mut seen = vec![doing(&story.thread)];
    let mut look = |story: &Story| {
        let now = doing(&story.thread);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    };
    story.say("BEN", "the export drops the last row");
    look(&story);
    story.base();
    look(&story);
    story.reply(Role::Pm, "", &[("Grep", r#"{"pattern":"retry"}"#), ("Read", r#"{"file_path":"a"}"#)]);
    look(&story);
    story.tool(Role::Pm, "c0_1", "x", vec![]);
    story.tool(Role::Pm, "c0_2", "x", vec![]);
    story.propose("Keep the last row");
    look(&story);
    let id = story.plan_id();
    story.press("ANA", Action::PlanApprove, &id);
    look(&story);
    story.workspace();
    look(&story);
    let run = RunId(story.thread.last_run);
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure()) });
    look(&story);
    story.say("BEN", "!retry");
    story.reply(Role::Coder, "Done.", &[]);
    look(&story);
    story.published();
    look(&story);
    story.say("ANA", "merge");
    look(&story);
    story.act(Command::MergeDone(Ok(CommitId::new("abc"))));
    look(&story);
    story.act(Command::CleanUpDone(vec![]));
    look(&story);
    assert_eq!(
        seen,
        [
            "waits for a message",
            "fetching the code",
            "PM at work, turn 1: thinking",
            "PM at work, turn 1: searching `retry`, reading `a`",
            "waits for an approval of “Keep the last row”",
            "making the worktree",
            "Coder at work, turn 1: thinking",
            "stopped: the Coder stopped before it was done (`!retry` goes on)",
            "bringing the Coder's work to the pull request",
            "waits for the merge of pull request #7",
            "merging",
            "cleaning up",
            "closed, merged",
        ]
    );
}

#[test]
fn a_run_that_waits_says_for_what() {
    let mut thread = thread();
    let run = RunId(1);
    thread.apply(&Event::RunQueued { run, place: Some(2), build: None }, Millis(0));
    assert_eq!(doing(&thread), "PM waits for its turn, place 2");
    thread.apply(&Event::RunQueued { run, place: None, build: None }, Millis(0));
    assert_eq!(doing(&thread), "PM at work, turn 1: running `SECRET command`");
    thread.apply(&asked(run), Millis(0));
    assert_eq!(doing(&thread), "the Coder waits for an answer to “SECRET words”");
}

#[test]
fn an_excerpt_is_one_short_line() {
    assert_eq!(excerpt(" a\n\n b\tc "), "a b c");
    let long = excerpt(&"word ".repeat(1_000_000));
    assert!(long.chars().count() == 161 && long.ends_with('…'), "{long}");
    let spaces = excerpt(&format!("a{}b", " ".repeat(10_000)));
    assert_eq!(spaces, "a…");
}
