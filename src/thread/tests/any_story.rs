//! Any story that could happen: random commands, fitting or not, and what must be true of every thread at every moment.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Story;
use crate::agent::stuck::Help;
use crate::agent::{Role, ToolCall, ToolName, Usage};
use crate::ids::{CommitId, MessageTs, Millis, RunId};
use crate::thread::budget::Budget;
use crate::thread::checks::{Baseline, CheckEnd, CheckRun, Checks};
use crate::thread::command::{Action, Command, NotMerged};
use crate::thread::context::{Wanted, Work};
use crate::thread::event::Failure;
use crate::thread::outside::{Outside, PullFate, Sighting};
use crate::thread::spending::Spent;
use crate::thread::stalled::Part;
use crate::thread::state::{CallState, WorkspaceState};
use crate::thread::{Effect, Event, Phase, Thread, pending};

/// Any command that could come, fitting or not.
fn any_command() -> impl Strategy<Value = u16> {
    any::<u16>()
}

/// Carries out the command that a number stands for, chosen so that stories get far and nonsense happens on the way.
fn carry_out(story: &mut Story, number: u16) {
    let who = ["ANA", "BEN", "EVE"][usize::from(number / 32) % 3];
    match number % 32 {
        0 => drop(story.base()),
        1 => drop(story.say(who, "please fix it")),
        2 => drop(story.say(who, "approve")),
        3 => drop(story.say(who, "merge")),
        4 => drop(story.say(who, ["!stop", "!retry", "!close", "!pm claude"][usize::from(number / 96) % 4])),
        5 => story.workspace(),
        6 => {
            let failure = Failure { what: "x".into(), hint: "y".into() };
            drop(story.act(Command::MergeDone(match number / 32 % 4 {
                0 => Err(NotMerged::Refused(failure)),
                1 => Err(NotMerged::Unknown(failure)),
                _ => Ok(CommitId::new("abc")),
            })));
        }
        7 => drop(story.act(Command::CleanUpDone(vec![]))),
        21 => story.initialised(),
        22 | 23 => story_check(story, number),
        12 if (number / 32).is_multiple_of(2) => drop(story.act(Command::PullChanged(sighting(number / 64)))),
        8 if story.thread.publishing.is_some() => story.published(),
        9 if story.thread.plan.is_some() => drop(story.press(who, Action::PlanCancel, &story.plan_id())),
        10 if (number / 32).is_multiple_of(4) => {
            let part =
                [Part::Base, Part::Workspace, Part::Publish, Part::Merge, Part::Run(Role::Coder), Part::Run(Role::Pm)];
            drop(story.press(who, Action::RunRetry, &part[usize::from(number / 128) % part.len()].name()));
        }
        10 => {
            let failure = Failure { what: "x".into(), hint: "y".into() };
            let run = RunId(story.thread.last_run);
            drop(story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure) }));
        }
        11 => {
            let calls = story
                .thread
                .runs
                .values()
                .flat_map(|run| run.calls.iter().map(|state| (run.id, state.call.id.clone())));
            let calls = calls.collect();
            drop(story.act(Command::Interrupted { calls }));
        }
        31 if number.is_multiple_of(3) => {
            // Of any run, also of one that has ended or never was.
            let (role, run) = ([Role::Pm, Role::Coder][usize::from(number / 32) % 2], RunId(story.thread.last_run));
            let usage = Usage { calls: 1, calls_without_cost: 1, ..Usage::default() };
            drop(story.act(Command::Spent(Spent { role, run, by: None, model: "m".into(), usage })));
        }
        31 => drop(context(story, number)),
        other => advance(story, other, number),
    }
}

/// Something about the length of the conversation of whoever is at work, in time or late.
fn context(story: &mut Story, number: u16) -> Option<Vec<Event>> {
    let (_, run) = story.thread.runs.iter().nth(usize::from(number / 256) % 2)?;
    let (run, turn) = (run.id, run.turns + u32::from(!number.is_multiple_of(7)));
    let wanted = match number / 32 % 4 {
        0 => Wanted::Exceeded {
            model: "m".into(),
            context: 9_000,
            failure: Failure { what: "x".into(), hint: "y".into() },
        },
        1 => Wanted::Stubs { stubs: vec![], before: 2, after: 1 },
        kept => Wanted::Replacement {
            kept: u32::from(kept),
            told: vec![],
            stubs: vec![],
            before: 2,
            rest: 1,
            summary: (kept == 2).then(|| "sum".into()),
            usage: Usage::default(),
            work: (kept == 1).then(Work::default),
        },
    };
    Some(story.act(Command::ContextWanted { run, turn, wanted }))
}

/// Something that others may have done to the pull request.
fn sighting(number: u16) -> Sighting {
    let fate = match number % 8 {
        0 => PullFate::Merged { commit: CommitId::new("fed") },
        1..=3 => PullFate::Closed,
        _ => PullFate::Open,
    };
    let (foreign, head) =
        (fate == PullFate::Open && number.is_multiple_of(2), CommitId::new(format!("f{}", number % 3)));
    let number = if number % 16 == 15 { 8 } else { 7 };
    Sighting { fate, foreign, ..Sighting::begin(number, head) }
}

/// Lets the role at work take a step.
fn advance(story: &mut Story, choice: u16, number: u16) {
    let Some((role, run)) = story.thread.runs.iter().next().map(|(role, run)| (*role, run.clone())) else { return };
    if run.thinks() && !at_a_cap(story, role, number) {
        return;
    }
    let asks = |state: &CallState| matches!(state.tool, Some(ToolName::AskUser | ToolName::AskPm));
    if let Some(open) = run.calls.iter().find(|state| state.started && !state.done && !asks(state)) {
        let id = open.call.id.as_str().to_owned();
        let exit = (open.tool == Some(ToolName::Bash)).then_some(i32::from(number.is_multiple_of(64)));
        drop(story.tool_with(role, &id, "done", exit, vec![]));
        return;
    }
    let waits = run.calls.iter().any(|state| !state.done);
    if waits {
        // Nothing but a person takes a question further.
        match number % 2 {
            0 => drop(story.say("BEN", "2")),
            _ => drop(story.press("ANA", Action::AskOption, &format!("{}/0", story.question_id()))),
        }
        return;
    }
    match choice {
        12..=14 if role == Role::Pm => story_plan(story, number),
        15..=16 if role == Role::Pm => {
            let ask = r#"{"question":"Which?","options":["this","that"]}"#;
            drop(story.reply(Role::Pm, "", &[("AskUser", ask), ("Read", "{}"), ("AskUser", ask)]));
        }
        15..=16 if role == Role::Coder => {
            let ask = r#"{"question":"Which?"}"#;
            drop(story.reply(role, "", &[("AskPM", ask), ("Read", "{}"), ("AskPM", ask)]));
        }
        12..=20 => drop(story.reply(role, "text", &[])),
        _ => {
            let names = ["Read", "Bash", "Edit", "Nonsense", "TodoWrite", "GitCommit", "ProposePlan"];
            let first = names[usize::from(number / 64) % names.len()];
            let bash = [r#"{"command":"make  a"}"#, r#"{"command":"ls"}"#, "{}"][usize::from(number / 448) % 3];
            drop(story.reply(role, "", &[(first, "{}"), ("Read", "{}"), ("Bash", bash)]));
        }
    }
}

/// A check or the baseline ends, one way or another.
fn story_check(story: &mut Story, number: u16) {
    let run = RunId(story.thread.last_run);
    let command = ["make a", "make b", "make c"][usize::from(number / 32) % 3].to_owned();
    let end = match number / 96 % 4 {
        0 => CheckEnd::Exit { code: 1 },
        1 => CheckEnd::TimedOut { seconds: 600 },
        _ => CheckEnd::Exit { code: 0 },
    };
    let check = CheckRun { command, end, millis: 1, counts: None, output: String::new() };
    if number % 32 == 22 {
        let commit = CommitId::new("4f2c1aa9");
        let baseline = Baseline { commit, checks: vec![check], missing: None };
        drop(story.act(Command::BaselineTaken(baseline)));
    } else {
        let check = (number / 96 % 8 < 7).then_some(check);
        drop(story.act(Command::CheckDone { run, check }));
    }
}

/// Asks whether the model may be called; where it may not, people decide. Whether it may.
fn at_a_cap(story: &mut Story, role: Role, number: u16) -> bool {
    let id = story.thread.runs[&role].id;
    drop(story.act(Command::CallDue { run: id }));
    let Some(card) = story.thread.runs[&role].paused.as_ref().map(|paused| paused.id) else { return true };
    let who = ["ANA", "BEN"][usize::from(number / 32) % 2];
    match number / 64 % 8 {
        0..=3 => drop(story.press(who, Action::BudgetRaise, &card.to_string())),
        4 => drop(story.press(who, Action::BudgetStop, &card.to_string())),
        5 => drop(story.press("ANA", Action::BudgetRaise, &(card - 1).to_string())),
        6 => drop(story.say(who, "!retry")),
        _ => drop(story.say(who, "go on, please")),
    }
    false
}

fn story_plan(story: &mut Story, number: u16) {
    let plan = format!(
        r#"{{"title":"p{}","workflow":"w","summary":"s","steps":[{{"text":"t"}}],"files":[],"acceptance":["x"]}}"#,
        number % 3
    );
    drop(story.reply(Role::Pm, "", &[("ProposePlan", &plan)]));
}

/// What must be true of every thread at every moment.
fn check(story: &Story) {
    let thread = &story.thread;
    let mut folded = Thread::new(thread.key.clone());
    for event in &story.log {
        folded.apply(event, Millis(0));
    }
    assert_eq!(folded, *thread, "the log folds to the state");
    let effects = pending(thread, |role| story.rules.turns(role));
    let ids: BTreeSet<_> = effects.iter().map(Effect::id).collect();
    assert_eq!(ids.len(), effects.len(), "no effect twice");
    assert_eq!(effects, slow_pending(story), "pending equals its slow derivation");
    let approved = story.log.iter().any(|event| matches!(event, Event::PlanApproved { .. }));
    assert!(approved || thread.workspace == WorkspaceState::None, "no worktree before an approval");
    assert!(approved || !thread.runs.contains_key(&Role::Coder), "no Coder before an approval");
    let asked = |state: &CallState| state.tool == Some(ToolName::AskUser) && state.started && !state.done;
    let open: Vec<_> = thread.runs.values().flat_map(|run| &run.calls).filter(|state| asked(state)).collect();
    let waiting: Vec<_> = thread.question.iter().map(|question| &question.call).collect();
    assert_eq!(open.iter().map(|state| &state.call.id).collect::<Vec<_>>(), waiting, "a call per waiting question");
    let open = thread.runs.values().flat_map(|run| &run.calls);
    let open = open.filter(|state| state.tool == Some(ToolName::AskPm) && state.started && !state.done);
    let asked: Vec<_> = thread.consults.iter().filter_map(|consult| consult.call.as_ref()).collect();
    assert_eq!(open.map(|state| &state.call.id).collect::<Vec<_>>(), asked, "a call per question to the PM");
    for consult in &thread.consults {
        assert!(
            thread.run(consult.run).is_some_and(|(_, run)| run.asks.as_ref() == Some(&consult.id)),
            "its asker waits"
        );
        assert!(thread.runs.contains_key(&Role::Pm), "and the PM is at work for it, or for others before it");
    }
    let waits = thread.runs.values().filter(|run| run.asks.is_some()).count();
    assert_eq!(waits, thread.consults.len(), "nobody waits for nothing");
    let merges = story
        .log
        .iter()
        .filter(|e| matches!(e, Event::Merged { .. } | Event::Outside { news: Outside::Merged { .. } }));
    assert!(merges.count() <= 1, "merged once");
    check_budget(story);
    let calls = story.log.iter().map(|event| match event {
        Event::ReplyReceived { reply, .. } => reply.usage.calls,
        Event::Spent { spent } => spent.usage.calls,
        _ => 0,
    });
    assert_eq!(thread.total_usage().calls, calls.sum::<u32>(), "every call is counted once");
    let last = story.log.iter().rposition(|e| matches!(e, Event::Outside { news: Outside::Moved { .. } }));
    let pushed = story.log.iter().rposition(|e| matches!(e, Event::Pushed { .. }));
    assert!(last > pushed || thread.elsewhere.head.is_none(), "our own push has what others pushed");
}

/// No call begins at the thread's cap, and a raise adds just the cap.
fn check_budget(story: &Story) {
    let (mut spent, mut limit) = (0.0, 3.0);
    for event in &story.log {
        match event {
            Event::ReplyReceived { reply, .. } => {
                assert!(spent < limit || reply.usage.cost_usd == 0.0, "a call was made at {spent} of {limit}");
                spent += reply.usage.cost_usd;
            }
            Event::Budget { news: Budget::Raised { amount, .. } } => {
                assert!(spent >= limit && *amount == 3.0, "raised by {amount} at {spent} of {limit}");
                limit += amount;
            }
            _ => {}
        }
    }
}

/// `pending` once more, from the log's last words on each thing in place of the state.
fn slow_pending(story: &Story) -> Vec<Effect> {
    let log = &story.log;
    let last = |is: &dyn Fn(&Event) -> bool| log.iter().rposition(is);
    let after = |a: Option<usize>, b: Option<usize>| a.is_some() && a > b;
    let thread = &story.thread;
    let merged = last(&|e| matches!(e, Event::Merged { .. } | Event::Outside { news: Outside::Merged { .. } }));
    let closing = merged.max(last(&|e| matches!(e, Event::CloseRequested { .. })));
    let closed = last(&|e| matches!(e, Event::ThreadClosed { .. }));
    let cleaned = last(&|e| matches!(e, Event::CleanedUp { .. }));
    let ended = closing.is_some() || closed.is_some();
    let mut effects: Vec<Effect> = Vec::new();
    let failed = last(&|e| matches!(e, Event::BaseFailed { .. } | Event::WorkspaceFailed { .. }));
    let taken_up = last(&|e| match e {
        Event::RetryRequested { .. } | Event::PlanApproved { .. } => true,
        Event::TakenUp { parts, .. } => parts.contains(&Part::Base) || parts.contains(&Part::Workspace),
        _ => false,
    });
    let stalled = after(failed, taken_up) && !after(last(&|e| matches!(e, Event::MergeRequested { .. })), failed);
    let has_base = last(&|e| matches!(e, Event::BaseReady { .. })).is_some();
    let heard = log.iter().filter_map(|e| match e {
        Event::Heard { role: Role::Pm, messages, .. } => Some(messages.clone()),
        _ => None,
    });
    let heard: BTreeSet<MessageTs> = heard.flatten().collect();
    let asked = log.iter().any(|e| matches!(e, Event::MessageReceived { message } if !heard.contains(&message.ts)));
    if !log.is_empty() && !has_base && !stalled && (!ended || asked) {
        effects.push(Effect::PrepareBase);
    }
    if ended {
        if closed.is_none() && cleaned.is_none() {
            effects.push(Effect::CleanUp { merged: merged.is_some() });
        }
    } else {
        let approved = last(&|e| matches!(e, Event::PlanApproved { .. }));
        let ready = last(&|e| matches!(e, Event::WorkspaceReady { .. }));
        let initialised = last(&|e| matches!(e, Event::WorkspaceInitialised { .. }));
        if approved.is_some() && ready.is_none() && !stalled {
            let title = thread.approved.as_ref().expect("approved").0.title.clone();
            effects.push(Effect::PrepareWorkspace { title });
        }
        if ready.is_some() && initialised.is_none() {
            effects.push(Effect::InitWorkspace);
        }
        slow_checks(story, ready.is_some() && initialised.is_some(), &mut effects);
        let asked = last(&|e| matches!(e, Event::MergeRequested { .. }));
        if after(asked, last(&|e| matches!(e, Event::MergeRefused { .. } | Event::MergeInDoubt { .. }))) {
            let merging = thread.merging.clone().expect("asked for");
            effects.push(Effect::Merge { head: merging.head, attempt: merging.attempt });
        }
    }
    for role in Role::ALL {
        slow_run(story, role, &mut effects);
    }
    effects
}

fn slow_checks(story: &Story, initialised: bool, effects: &mut Vec<Effect>) {
    let (log, thread) = (&story.log, &story.thread);
    let last = |is: &dyn Fn(&Checks) -> bool| log.iter().rposition(|e| matches!(e, Event::Checks { news } if is(news)));
    let coder = |e: &Event| matches!(e, Event::RunStarted { role: Role::Coder, .. });
    let mut wanted = last(&|news| matches!(news, Checks::BaselineWanted { .. }));
    let stopped = last(&|news| matches!(news, Checks::Stopped { .. }));
    let taken = last(&|news| matches!(news, Checks::BaselineTaken { .. }));
    if wanted.is_some() && taken.is_none() && stopped > wanted {
        wanted = log.iter().rposition(coder).filter(|at| Some(*at) > stopped);
    }
    let open = wanted.is_some() && taken.is_none();
    if open && initialised {
        let commit = thread.workspace().expect("ready").base.clone();
        effects.push(Effect::TakeBaseline { commit, commands: story.rules.checks.clone() });
    }
    let Some(publishing) = &thread.publishing else { return };
    let of_run = |news: &Checks| match news {
        Checks::Due { run, .. } | Checks::Ran { run, .. } | Checks::Unneeded { run } => *run == publishing.run,
        _ => false,
    };
    let mut due: Vec<String> = Vec::new();
    let mut done = 0;
    for event in log {
        match event {
            Event::Checks { news: Checks::Due { known, commands, .. } } if of_run_due(event, publishing.run) => {
                (done, due) = (known.len(), commands.clone());
            }
            Event::Checks { news: news @ Checks::Ran { check, .. } } if of_run(news) => {
                due.retain(|command| *command != check.command);
                done += 1;
            }
            Event::Checks { news: Checks::Stopped { .. } } => due.clear(),
            Event::Checks { news } if of_run(news) => due.clear(),
            _ => {}
        }
    }
    if let Some(command) = due.first() {
        if initialised {
            effects.push(Effect::RunCheck { run: publishing.run, number: done, command: command.clone() });
        }
    } else if done == 0 || !open {
        effects.push(Effect::Publish { publishing: publishing.clone() });
    }
}

fn of_run_due(event: &Event, of: RunId) -> bool {
    matches!(event, Event::Checks { news: Checks::Due { run, .. } } if *run == of)
}

fn slow_run(story: &Story, role: Role, effects: &mut Vec<Effect>) {
    let started = story.log.iter().rposition(|e| matches!(e, Event::RunStarted { role: of, .. } if *of == role));
    let Some(position) = started else { return };
    let Event::RunStarted { run, .. } = story.log[position] else { return };
    let since = &story.log[position..];
    let ends = |e: &Event| match e {
        Event::RunEnded { run: of, .. } => *of == run,
        Event::CloseRequested { .. } => true,
        Event::Outside { news: Outside::Merged { .. } } => role == Role::Coder,
        _ => false,
    };
    if since.iter().any(ends) {
        return;
    }
    let is_of = |of: &RunId| *of == run;
    let paused = since.iter().rev().find_map(|e| match e {
        Event::Budget { news: Budget::Reached { run: of, .. } } if is_of(of) => Some(true),
        Event::Budget { news: Budget::Raised { run: of, .. } | Budget::Freed { run: of, .. } } if is_of(of) => {
            Some(false)
        }
        _ => None,
    });
    let mut turns = 0;
    let mut open: Vec<ToolCall> = Vec::new();
    let mut released = BTreeSet::new();
    let (mut pauses, mut ending, mut asks) = (false, false, None);
    for event in since {
        match event {
            Event::StuckNoticed { run: of, help, .. } if *of == run => {
                pauses |= *help == Help::Pause;
                ending |= *help == Help::End;
            }
            Event::Heard { role: of, messages, .. } if *of == role && !messages.is_empty() => {
                (pauses, ending) = (false, false);
            }
            Event::PmAsked { run: of, id, .. } if *of == run => asks = Some(id),
            Event::PmAnswered { id, .. } if asks == Some(id) => asks = None,
            Event::ReplyReceived { run: of, reply, .. } if *of == run => {
                pauses = false;
                turns += 1;
                open.clone_from(&reply.calls);
            }
            Event::ToolsStarted { run: of, calls } if *of == run => released.extend(calls.iter().cloned()),
            Event::ToolFinished { run: of, call, .. } if *of == run => open.retain(|other| other.id != *call),
            _ => {}
        }
    }
    let model = story.thread.runs[&role].model.clone();
    if open.is_empty() && asks.is_none() && paused != Some(true) {
        let last = turns >= story.rules.turns(role) || ending;
        effects.push(Effect::CallModel { run, role, model, turn: turns + 1, no_tools: last || pauses });
    }
    let init = matches!(story.thread.workspace, WorkspaceState::Ready { initialised: false, .. });
    for call in open.into_iter().filter(|call| released.contains(&call.id)) {
        let tool = ToolName::parse(&call.name).expect("only known tools are released");
        if matches!(tool, ToolName::AskUser | ToolName::AskPm) {
            continue;
        }
        if !(tool == ToolName::Bash && init) {
            effects.push(Effect::RunTool { run, role, tool, call });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_holds_the_invariants_and_any_prefix_of_its_log_applies(
        opened in any::<bool>(),
        checks in 0usize..3,
        numbers in proptest::collection::vec(any_command(), 0..80)
    ) {
        // Half of them begin where others can do something to the pull request.
        let mut story = if opened { Story::opened() } else { Story::new() };
        // In some of these the Coder has the time to go in circles.
        story.rules.coder_turns = if opened { 30 } else { 3 };
        story.rules.checks = ["make a", "make b"][..checks].iter().map(|check| (*check).to_owned()).collect();
        (story.cost, story.rules.caps.thread_usd) = (1.0, Some(3.0));
        let mut phases = vec![Phase::of(&story.thread)];
        for number in numbers {
            if !story.log.is_empty() || number % 32 == 1 {
                carry_out(&mut story, number);
                check(&story);
                phases.push(Phase::of(&story.thread));
            }
        }
        for pair in phases.windows(2) {
            prop_assert!(allowed(pair[0], pair[1]), "{pair:?}");
        }
        // Events out of their order are nonsense, but must not panic.
        let mut thread = Thread::new(story.thread.key.clone());
        for event in story.log.iter().rev() {
            thread.apply(event, Millis(0));
        }
    }
}

/// The moves of a thread's life.
fn allowed(from: Phase, to: Phase) -> bool {
    match (from, to) {
        (from, to) if from == to => true,
        (Phase::Pm, Phase::Coder | Phase::Closed) => true,
        (Phase::Coder, Phase::Review | Phase::Closed) => true,
        (Phase::Review, Phase::Coder | Phase::Closed) => true,
        (_, _) => false,
    }
}
