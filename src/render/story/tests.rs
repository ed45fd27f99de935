//! What each event means in a line, and that the log's part of it holds nothing that was said.

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
    }
}

/// How many variants there are.
const VARIANTS: usize = 52;

/// Every variant with the lines that it gives; `-` for none.
fn samples() -> Vec<(Event, &'static str)> {
    [people(), roles(), circles(), context(), work(), money(), ends()].into_iter().flatten().collect()
}

fn people() -> Vec<(Event, &'static str)> {
    let (by, ts) = (UserId::new("UANA"), MessageTs::new("2.0"));
    let message = |files: &[&str]| Message {
        ts: ts.clone(),
        from: by.clone(),
        name: "Ana".into(),
        text: SAID.into(),
        files: files.iter().map(ToString::to_string).collect(),
    };
    let taken = |answer| Event::CommandTaken { ts: None, by: by.clone(), answer };
    vec![
        (Event::ThreadOpened { by: by.clone() }, "INF Ana (UANA) opened the thread"),
        (Event::PersonNamed { user: by.clone(), name: SAID.into() }, "-"),
        (
            Event::MessageReceived { message: message(&[]) },
            "MSG Ana (UANA) wrote 12 characters | Ana (UANA) wrote: SECRET words",
        ),
        (
            Event::MessageReceived { message: message(&["SECRET.png"]) },
            "MSG Ana (UANA) wrote 12 characters and sent 1 file | Ana (UANA) wrote and sent 1 file: SECRET words",
        ),
        (
            Event::MessageEdited { ts: ts.clone(), text: SAID.into() },
            "MSG an unread message was changed to 12 characters | an unread message was changed: SECRET words",
        ),
        (Event::MessageDeleted { ts: ts.clone() }, "MSG an unread message was deleted"),
        (taken(Answer::None), "MSG Ana (UANA) gave a command"),
        (taken(Answer::Text { text: SAID.into() }), "MSG Ana (UANA) gave a command and was answered |: SECRET words"),
        (
            taken(Answer::ModelPool { pool: vec![], current: "m".into(), stand_in: None }),
            "MSG Ana (UANA) was shown the PM's models",
        ),
        (
            Event::Refused { ts: None, by: UserId::new("UEVE"), reason: SAID.into() },
            "MSG UEVE was refused |: SECRET words",
        ),
        (
            Event::PmModelChosen { by: by.clone(), ts: None, name: "kimi".into(), model: "moon/kimi".into() },
            "INF Ana (UANA) chose kimi (moon/kimi) as PM",
        ),
        (
            Event::QuestionAnswered { id: QuestionId::new("q1"), by: by.clone(), ts: None, answer: SAID.into() },
            "MSG Ana (UANA) answered question q1 | Ana (UANA) answered: SECRET words",
        ),
        (Event::StopRequested { by: by.clone(), ts: None }, "INF Ana (UANA) stopped what was running"),
        (Event::RetryRequested { by: by.clone(), ts: None }, "INF Ana (UANA) wants it tried again"),
        (
            Event::TakenUp { by: by.clone(), ts: None, parts: vec![Part::Run(Role::Coder), Part::Workspace] },
            "INF Ana (UANA) wants it tried again: run/coder, workspace",
        ),
        (Event::CloseRequested { by: by.clone(), ts: None }, "INF Ana (UANA) wants the thread closed"),
        (
            Event::MergeRequested { by, ts: None, head: CommitId::new("abcdef1234") },
            "INF Ana (UANA) wants abcdef1 merged",
        ),
    ]
}

fn roles() -> Vec<(Event, &'static str)> {
    let (run, role) = (RunId(1), Role::Pm);
    let todo = |status| Todo { content: SAID.into(), status };
    let todos = vec![todo(TodoStatus::Completed), todo(TodoStatus::Pending)];
    let twice = vec![call("Read", "{}"), call("Grep", "{}"), call("Read", "{}")];
    vec![
        (Event::ConversationOpened { role, system: vec![SAID.into()], tools: SAID.into() }, "-"),
        (
            Event::RunStarted { run: RunId(2), role: Role::Coder, model: "m".into(), by: None },
            "CLD run 2 begins with m",
        ),
        (Event::Heard { role, parts: vec![SAID.into()], messages: vec![] }, "-"),
        (Event::Noted { role, text: SAID.into() }, "-"),
        (
            reply(SAID, vec![]),
            "PM run 1, turn 2: says 12 characters · m · 100 tokens in (90 cached), 5 out · $0.25 | turn 2 says: SECRET words",
        ),
        (
            reply("", twice),
            "PM run 1, turn 2: calls Read ×2, Grep · m · 100 tokens in (90 cached), 5 out · $0.25 | turn 2 calls Read ×2, Grep",
        ),
        (
            reply(" ", vec![]),
            "PM run 1, turn 2: says nothing · m · 100 tokens in (90 cached), 5 out · $0.25 | turn 2 says nothing",
        ),
        (Event::ToolsStarted { run, calls: vec![] }, "-"),
        (done(false, None), "PM Bash done in 40 ms | · running `SECRET command`"),
        (done(true, None), "PM Bash failed in 40 ms | · running `SECRET command`: SECRET words"),
        (done(false, Some(3)), "PM Bash ended with exit code 3 in 40 ms | · running `SECRET command`"),
        (asked(run), "CLD asks question q1 with 1 option | asks: SECRET words"),
        (Event::RunQueued { run, place: Some(2), build: None }, "PM run 1 waits for its turn, place 2"),
        (Event::RunQueued { run, place: Some(1), build: Some("ios".into()) }, "PM run 1 waits to build (ios), place 1"),
        (Event::RunQueued { run, place: None, build: None }, "PM run 1 goes on"),
        (Event::TodosWritten { run, todos }, "PM checklist: 1 of 2 done"),
        (
            Event::NotePosted { role: Role::Lead, text: SAID.into() },
            "LED posts a note of 12 characters | posts a note: SECRET words",
        ),
        (ended(RunOutcome::Answered { text: SAID.into() }), "PM run 1 ended · 1 turn, 0 calls, 2 s, $0.25"),
        (
            ended(RunOutcome::Stopped { by: UserId::new("UANA"), doing: vec![SAID.into()] }),
            "PM run 1 was stopped by Ana (UANA) · 1 turn, 0 calls, 2 s, $0.25",
        ),
        (
            ended(RunOutcome::LimitReached { turns: 9, text: SAID.into() }),
            "WRN run 1 of the PM used up its 9 turns · 1 turn, 0 calls, 2 s, $0.25",
        ),
        (
            ended(RunOutcome::Failed { failure: failure() }),
            "WRN run 1 of the PM failed: It broke. · 1 turn, 0 calls, 2 s, $0.25",
        ),
    ]
}

fn circles() -> Vec<(Event, &'static str)> {
    let (run, id, by) = (RunId(1), QuestionId::new("q1"), UserId::new("UANA"));
    let asked = PmQuestion { question: SAID.into(), context: Some(SAID.into()) };
    let noticed = |trouble, help| Event::StuckNoticed { run, trouble, help, what: SAID.into() };
    let answered = |knew| Event::PmAnswered { id: id.clone(), answer: SAID.into(), knew };
    vec![
        (
            Event::PmAsked { id: id.clone(), role: Role::Coder, run, call: None, asked },
            "CLD asks the PM question q1 with 12 characters | asks the PM: SECRET words",
        ),
        (answered(Knew::Pm), "PM answers question q1 | answers: SECRET words"),
        (
            answered(Knew::Person { by: by.clone() }),
            "PM answers question q1, as Ana (UANA) told it | answers, as Ana (UANA) told it: SECRET words",
        ),
        (answered(Knew::Nobody), "WRN question q1 to the PM has no answer | the PM has no answer: SECRET words"),
        (answered(Knew::Overtaken { by }), "INF Ana (UANA) wrote before question q1 was answered"),
        (
            noticed(Trouble::SameFailure, Help::Note),
            "WRN run 1 goes in circles (the same failure): it is told |; it had: SECRET words",
        ),
        (
            noticed(Trouble::Repeat, Help::Pause),
            "WRN run 1 goes in circles (the same call): a turn without tools |; it had: SECRET words",
        ),
        (
            noticed(Trouble::Idle, Help::AskPm),
            "WRN run 1 goes in circles (nothing new): the PM is asked |; it had: SECRET words",
        ),
        (
            noticed(Trouble::Undone, Help::End),
            "WRN run 1 goes in circles (edits that undo each other): it has to end |; it had: SECRET words",
        ),
        (
            ended(RunOutcome::Stuck { what: SAID.into(), text: SAID.into() }),
            "WRN run 1 of the PM went in circles · 1 turn, 0 calls, 2 s, $0.25",
        ),
    ]
}

fn work() -> Vec<(Event, &'static str)> {
    let (id, by, commit) = (PlanId::new("p1"), UserId::new("UANA"), CommitId::new("abcdef1234"));
    let plan = Plan {
        title: SAID.into(),
        workflow: SAID.into(),
        summary: SAID.into(),
        steps: vec![PlanStep { text: SAID.into(), files: vec![] }],
        files: vec![SAID.into()],
        acceptance: vec![],
        risks: vec![],
    };
    let base = |notice: Option<&str>| Base {
        commit: commit.clone(),
        branch: "main".into(),
        prompts: vec![],
        history: vec![Earlier::remark(SAID)],
        notice: notice.map(str::to_owned),
    };
    let step = |ok| InitStep { command: SAID.into(), ok, output: SAID.into() };
    let workspace =
        Workspace { slug: "x".into(), branch: "codebutler/x".into(), base: commit.clone(), base_branch: "main".into() };
    vec![
        (Event::BaseReady { base: base(None) }, "INF stands on main@abcdef1"),
        (Event::BaseReady { base: base(Some(SAID)) }, "INF stands on main@abcdef1 |: SECRET words"),
        (Event::BaseFailed { failure: failure() }, "WRN no base: It broke."),
        (
            Event::PlanProposed { id: id.clone(), plan, base: commit.clone(), estimate: None },
            "PM proposes plan p1 with 1 step |: SECRET words",
        ),
        (Event::PlanChangeAsked { id: id.clone(), by: by.clone() }, "INF Ana (UANA) wants plan p1 changed"),
        (Event::PlanApproved { id: id.clone(), by: by.clone() }, "INF Ana (UANA) approved plan p1"),
        (Event::PlanCancelled { id, by }, "INF Ana (UANA) cancelled plan p1"),
        (
            Event::Outside {
                news: Outside::Merged { commit: commit.clone(), head: commit.clone(), by: Some("eve".into()) },
            },
            "INF merged as abcdef1 outside the chat by eve",
        ),
        (
            Event::Outside { news: Outside::Closed { by: None, branch_gone: true } },
            "INF the pull request was closed outside the chat, its branch is gone",
        ),
        (
            Event::Outside { news: Outside::Moved { head: commit.clone(), by: None } },
            "INF the branch was moved to abcdef1",
        ),
        (Event::WorkspaceReady { workspace }, "INF worktree on codebutler/x from main@abcdef1"),
        (Event::WorkspaceFailed { failure: failure() }, "WRN no worktree: It broke."),
        (Event::WorkspaceInitialised { steps: vec![] }, "-"),
        (Event::WorkspaceInitialised { steps: vec![step(true)] }, "INF worktree initialised by 1 command, 0 failed"),
        (
            Event::WorkspaceInitialised { steps: vec![step(true), step(false)] },
            "WRN worktree initialised by 2 commands, 1 failed",
        ),
    ]
}

fn context() -> Vec<(Event, &'static str)> {
    let changed = |change| Event::ContextChanged { run: RunId(1), change };
    let kept = Change::OutputKept { call: CallId::new("c1"), blob: "abc".into(), bytes: 60_000 };
    let stub = Stub { call: CallId::new("c1"), text: SAID.into() };
    let stubbed = |stubs| Change::Stubbed { stubs, before: 70_000, after: 40_000 };
    let compacted = |summary: Option<&str>, calls| Change::Compacted {
        parts: vec![SAID.into()],
        kept: 3,
        stubs: vec![stub.clone()],
        before: 182_000,
        after: 31_000,
        summary: summary.map(str::to_owned),
        usage: Usage { calls, ..Usage::default() },
    };
    vec![
        (changed(kept), "PM a result of about 20k tokens is shown in part"),
        (
            changed(Change::Exceeded { model: "m".into(), context: 8_192 }),
            "PM m refused the conversation as too long: it reads about 8k tokens",
        ),
        (changed(stubbed(vec![stub.clone()])), "PM 1 old result taken out of the conversation: 70k → 40k tokens"),
        (
            changed(stubbed(vec![stub.clone(), stub.clone()])),
            "PM 2 old results taken out of the conversation: 70k → 40k tokens",
        ),
        (changed(compacted(Some(SAID), 1)), "PM the earlier part of the conversation is summarised: 182k → 31k tokens"),
        (
            changed(compacted(None, 0)),
            "PM the earlier part of the conversation is replaced without a summary: 182k → 31k tokens",
        ),
    ]
}

fn money() -> Vec<(Event, &'static str)> {
    let (run, by) = (RunId(1), UserId::new("UANA"));
    let (cap, spent, limit) = (Cap::Thread, 4.5, 5.0);
    let events = [
        (
            Budget::Reached { run, cap: Cap::UserHour, spent: 100.0, limit: 100.0, raise: 100.0 },
            "WRN run 1 is paused at the person's hourly limit: 100 of 100",
        ),
        (
            Budget::Raised { run, cap, amount: 5.0, by: by.clone() },
            "PM Ana (UANA) raised the thread's limit by $5.00; run 1 goes on",
        ),
        (Budget::Freed { run, by, ts: None }, "PM run 1 goes on: there is room again"),
        (
            Budget::Near { cap, spent, limit, day: None, model: None, after_reply: false },
            "INF 80 % of the thread's limit is used: $4.50 of $5.00",
        ),
        (
            {
                let model = Some(("gpt".into(), "a/b".into()));
                Budget::Near { cap: Cap::Day, spent, limit, day: Some(7), model, after_reply: true }
            },
            "INF 80 % of the day's limit is used: $4.50 of $5.00; the PM uses a/b",
        ),
    ];
    events.map(|(news, line)| (Event::Budget { news }, line)).to_vec()
}

fn ends() -> Vec<(Event, &'static str)> {
    let (run, commit) = (RunId(1), CommitId::new("abcdef1234"));
    let pull = PullRequest { number: 7, url: String::new(), title: SAID.into(), draft: true };
    let summary = Publication {
        head: Some(commit.clone()),
        files: 2,
        added: 3,
        removed: 1,
        diff: Some(SAID.into()),
        left_out: vec![SAID.into()],
    };
    let check = |code| CheckRun {
        command: "make test".into(),
        end: CheckEnd::Exit { code },
        millis: 40,
        counts: None,
        output: SAID.into(),
    };
    let checks = |news| Event::Checks { news };
    let baseline = |checks, missing: Option<&str>| Checks::BaselineTaken {
        baseline: Baseline { commit: commit.clone(), checks, missing: missing.map(str::to_owned) },
    };
    vec![
        (checks(Checks::BaselineWanted { commands: vec!["a".into()] }), "INF 1 check to be run on the base first"),
        (
            checks(baseline(vec![check(0), check(2)], None)),
            "INF before the work at abcdef1: `make test` exit code 0 (40 ms), `make test` exit code 2 (40 ms)",
        ),
        (checks(baseline(vec![], Some("no disk"))), "WRN how the checks were before is not known: no disk"),
        (
            checks(Checks::Due { run, known: vec![check(0)], commands: vec!["b".into()] }),
            "CLD after run 1 1 check due; run by the Coder: `make test` exit code 0 (40 ms)",
        ),
        (checks(Checks::Ran { run, check: check(1) }), "WRN check of run 1: `make test` exit code 1 (40 ms)"),
        (checks(Checks::Unneeded { run }), "CLD run 1 changed nothing, so nothing is checked"),
        (checks(Checks::Stopped { by: UserId::new("UANA"), ts: None }), "INF Ana (UANA) stopped the checks"),
        (Event::Committed { commit: commit.clone() }, "CLD commit abcdef1"),
        (Event::Pushed { head: commit.clone() }, "CLD pushed abcdef1"),
        (Event::PullRequestOpened { pull }, "CLD draft pull request #7 is open |: SECRET words"),
        (Event::WorkPublished { run, summary }, "CLD work of run 1 published at abcdef1: 2 files, +3 −1, 1 left out"),
        (Event::WorkPublished { run, summary: Publication::default() }, "CLD run 1 changed nothing"),
        (Event::PublishFailed { run, failure: failure() }, "WRN the work is not published: It broke."),
        (Event::MergeRefused { failure: failure() }, "WRN not merged: It broke."),
        (Event::MergeInDoubt { failure: failure() }, "WRN not known whether it is merged: It broke."),
        (Event::Merged { commit }, "INF merged as abcdef1"),
        (Event::CleanedUp { leftovers: vec![] }, "INF cleaned up"),
        (Event::CleanedUp { leftovers: vec!["the branch".into()] }, "WRN cleaned up but for the branch"),
        (Event::ThreadClosed { merged: true }, "INF closed, merged"),
        (Event::ThreadClosed { merged: false }, "INF closed without a merge"),
    ]
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
