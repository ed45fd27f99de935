//! The core as data: commands in, events and effects out. No IO, no async.

use std::collections::BTreeSet;

use super::command::{Action, Command, Deed, NotMerged};
use super::event::{Base, Event, Failure, Message, Publication, PullRequest, Reply, RunOutcome, ToolResult, Workspace};
use super::rules::Rules;
use super::state::{PlanFate, Thread, WorkspaceState};
use super::{Effect, Phase, decide, pending};
use crate::agent::{Role, ToolCall};
use crate::ids::{CallId, ChannelId, CommitId, MessageTs, Millis, RunId, ThreadKey, UserId};

/// A thread with its log, driven by commands.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) thread: Thread,
    pub(crate) log: Vec<Event>,
    pub(crate) rules: Rules,
    messages: u32,
}

impl Story {
    pub(crate) fn new() -> Self {
        let key = ThreadKey { workspace: "T1".into(), channel: ChannelId::new("C1"), ts: MessageTs::new("1.0") };
        let rules = Rules {
            approvers: vec![UserId::new("ANA")],
            pm_pool: vec![("kimi".into(), "moon/kimi".into()), ("claude".into(), "anthropic/claude".into())],
            pm_model: "moon/kimi".into(),
            coder_model: "anthropic/opus".into(),
            pm_turns: 15,
            coder_turns: 3,
            ..Rules::default()
        };
        Self { thread: Thread::new(key), log: Vec::new(), rules, messages: 0 }
    }

    pub(crate) fn act(&mut self, command: Command) -> Vec<Event> {
        let events = decide(&self.thread, command, &self.rules);
        for event in &events {
            self.thread.apply(event, Millis(0));
        }
        self.log.extend(events.iter().cloned());
        events
    }

    pub(crate) fn say(&mut self, from: &str, text: &str) -> Vec<Event> {
        self.messages += 1;
        let ts = MessageTs::new(format!("{}.0", self.messages));
        let message = Message { ts, from: UserId::new(from), name: from.to_owned(), text: text.into(), files: vec![] };
        self.act(Command::Say { message, to_bot: false })
    }

    pub(crate) fn press(&mut self, from: &str, action: Action, value: &str) -> Vec<Event> {
        self.act(Command::Press { action, value: value.into(), by: UserId::new(from), name: from.into() })
    }

    pub(crate) fn base(&mut self) -> Vec<Event> {
        let base = Base {
            commit: CommitId::new("4f2c1aa9"),
            branch: "main".into(),
            prompts: vec![(Role::Pm, "You are the PM.".into()), (Role::Coder, "You are the Coder.".into())],
            history: vec![],
            notice: None,
        };
        self.act(Command::BasePrepared(Ok(base)))
    }

    /// The model's answer to the call that is pending for this role.
    pub(crate) fn reply(&mut self, role: Role, text: &str, calls: &[(&str, &str)]) -> Vec<Event> {
        let run = self.thread.runs.get(&role).expect("the role is at work").clone();
        let calls = (1..).zip(calls).map(|(number, (name, arguments))| ToolCall {
            id: CallId::new(format!("c{}_{number}", run.turns)),
            name: (*name).to_owned(),
            arguments: (*arguments).to_owned(),
            fault: None,
        });
        let reply = Reply { text: text.into(), calls: calls.collect(), model: run.model, ..Reply::default() };
        self.act(Command::ModelAnswered { run: run.id, turn: run.turns + 1, result: Ok(reply) })
    }

    pub(crate) fn tool(&mut self, role: Role, call: &str, text: &str, deeds: Vec<Deed>) -> Vec<Event> {
        let run = self.thread.runs.get(&role).expect("the role is at work").id;
        let result = ToolResult { text: text.into(), error: false, wrote: vec![], exit: None };
        self.act(Command::ToolDone { run, call: CallId::new(call), result, deeds })
    }

    pub(crate) fn pending(&self) -> Vec<String> {
        let limits = |role| self.rules.turns(role);
        pending(&self.thread, limits).iter().map(|effect| effect.id().to_string()).collect()
    }

    pub(crate) fn plan(&mut self) -> String {
        self.say("BEN", "the export drops the last row");
        self.base();
        self.propose("Keep the last row");
        self.plan_id()
    }

    pub(crate) fn propose(&mut self, title: &str) {
        let plan = format!(
            r#"{{"title":"{title}","workflow":"bugfix","summary":"s","steps":[{{"text":"t","files":["a:1"]}}],"files":["a"],"acceptance":["x"]}}"#
        );
        self.reply(Role::Pm, "", &[("ProposePlan", &plan)]);
        self.reply(Role::Pm, "", &[]);
    }

    pub(crate) fn question_id(&self) -> String {
        self.thread.question.as_ref().map_or_else(String::new, |question| question.id.to_string())
    }

    pub(crate) fn plan_id(&self) -> String {
        self.thread.plan.as_ref().expect("a plan").id.to_string()
    }

    pub(crate) fn workspace(&mut self) {
        let workspace = Workspace {
            slug: "row".into(),
            branch: "codebutler/row".into(),
            base: CommitId::new("4f2c1aa9"),
            base_branch: "main".into(),
        };
        self.act(Command::WorkspacePrepared(Ok(workspace)));
        self.act(Command::WorkspaceInitialised(vec![]));
    }

    /// Up to the open pull request.
    pub(crate) fn opened() -> Self {
        let mut story = Self::new();
        let id = story.plan();
        story.press("ANA", Action::PlanApprove, &id);
        story.workspace();
        story.reply(Role::Coder, "Done.", &[]);
        story.published();
        story
    }

    pub(crate) fn published(&mut self) {
        let run = self.thread.publishing.as_ref().expect("work to publish").run;
        let summary = Publication { head: Some(CommitId::new("beef")), files: 1, added: 2, ..Publication::default() };
        let pull = PullRequest { number: 7, url: "https://x/7".into(), title: "Keep".into(), draft: false };
        let deeds = vec![Deed::Pushed(CommitId::new("beef")), Deed::Opened(pull)];
        self.act(Command::PublishDone { run, result: Ok(summary), deeds });
    }
}

fn refusal(events: &[Event]) -> &str {
    match events {
        [Event::PersonNamed { .. }, rest @ ..] => refusal(rest),
        [Event::Refused { reason, .. }] => reason,
        other => panic!("not a refusal: {other:?}"),
    }
}

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
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
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
fn approval_words_and_commands_reach_no_model() {
    let mut story = Story::new();
    story.plan();
    for text in ["!pm claude", "!status", "!cost", "!help", "!pm", "merge", "approve"] {
        let events = story.say("ANA", text);
        assert!(!events.iter().any(|event| matches!(event, Event::MessageReceived { .. })), "{text}: {events:?}");
    }
    let spoken = story.log.iter().filter_map(|event| match event {
        Event::Heard { parts, .. } => Some(parts.concat()),
        _ => None,
    });
    assert_eq!(spoken.collect::<Vec<_>>(), ["BEN: the export drops the last row"]);
}

#[test]
fn yes_is_an_answer_to_the_pm_when_nothing_waits() {
    let mut story = Story::new();
    story.say("BEN", "can you check the tests too?");
    story.base();
    story.reply(Role::Pm, "All of them?", &[]);
    assert!(matches!(story.say("BEN", "yes")[0], Event::MessageReceived { .. }));
    assert_eq!(story.pending(), ["run/2/turn/1"]);
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
    assert!(results[0].starts_with("There is no tool `Bash` for you. You have: Read,"), "{}", results[0]);
    assert!(results[2].starts_with("The arguments of `ProposePlan` do not fit"), "{}", results[2]);
    assert_eq!(story.pending(), ["run/1/turn/2"]);
}

#[test]
fn a_message_during_a_run_is_heard_at_its_next_step() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.workspace();
    story.reply(Role::Coder, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.say("BEN", "use the old name");
    assert_eq!(story.pending(), ["run/2/call/c0_1"], "the running call is not disturbed");
    let events = story.tool(Role::Coder, "c0_1", "text", vec![]);
    assert!(matches!(&events[1], Event::Heard { role: Role::Coder, parts, .. } if parts == &["BEN: use the old name"]));
    story.say("BEN", "and add a test");
    let events = story.reply(Role::Coder, "Done.", &[]);
    assert!(matches!(&events[1], Event::Heard { role: Role::Coder, .. }), "a late message keeps the run going");
}

#[test]
fn stop_ends_the_run_and_leaves_no_call_without_a_result() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.workspace();
    story.reply(Role::Coder, "", &[("Bash", r#"{"command":"sleep 9"}"#), ("Bash", r#"{"command":"make"}"#)]);
    let events = story.say("BEN", "!stop");
    let finished = events.iter().filter(|event| matches!(event, Event::ToolFinished { .. })).count();
    assert_eq!((finished, story.pending()), (2, vec!["publish/2".to_owned()]));
    story.published();
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["run/3/turn/1"]);
}

#[test]
fn turns_are_limited_and_the_last_one_has_no_tools() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.workspace();
    for turn in 0..3 {
        story.reply(Role::Coder, "", &[("Read", r#"{"file_path":"a"}"#)]);
        story.tool(Role::Coder, &format!("c{turn}_1"), "text", vec![]);
    }
    let effects = pending(&story.thread, |_| 3);
    assert!(matches!(&effects[..], [Effect::CallModel { turn: 4, last: true, .. }]), "{effects:?}");
    story.reply(Role::Coder, "Half done.", &[("Read", "{}")]);
    let publishing = story.thread.publishing.as_ref().expect("published as a draft");
    assert_eq!(publishing.draft.as_deref(), Some("the Coder used up its 3 turns"));
}

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
fn a_failed_model_leaves_everything_for_a_retry() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    story.act(Command::ModelAnswered { run: RunId(1), turn: 1, result: Err(failure) });
    assert_eq!(story.pending(), Vec::<String>::new());
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["run/2/turn/1"]);
    let late = Reply { text: "late".into(), ..Reply::default() };
    assert_eq!(story.act(Command::ModelAnswered { run: RunId(1), turn: 1, result: Ok(late) }), []);
}

#[test]
fn unread_messages_can_be_edited_and_deleted_by_their_writer_only() {
    let mut story = Story::new();
    story.say("BEN", "fix teh export");
    story.say("BEN", "oops");
    let edit = |by: &str| Command::Edit { ts: MessageTs::new("1.0"), by: UserId::new(by), text: "fix it".into() };
    assert_eq!(story.act(edit("EVE")), []);
    story.act(edit("BEN"));
    story.act(Command::Delete { ts: MessageTs::new("2.0"), by: UserId::new("BEN") });
    let events = story.base();
    assert!(events.iter().any(|event| matches!(event, Event::Heard { parts, .. } if parts == &["BEN: fix it"])));
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
fn a_stopped_coder_is_not_forgotten_when_the_pm_speaks_in_between() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.workspace();
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    let run = story.thread.runs[&Role::Coder].id;
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure.clone()) });
    story.say("BEN", "what happened?");
    let run = story.thread.runs[&Role::Pm].id;
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure) });
    story.say("BEN", "!retry");
    assert!(story.thread.runs.contains_key(&Role::Pm), "the newest first");
    story.reply(Role::Pm, "No credit.", &[]);
    story.say("BEN", "!retry");
    assert!(story.thread.runs.contains_key(&Role::Coder));
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
    let event = Event::PlanProposed { id: crate::ids::PlanId::new("other"), plan: (*plan).clone(), base };
    story.thread.apply(&event, Millis(0));
    assert!(refusal(&story.press("ANA", Action::PlanApprove, "other")).contains("still at work"));
}

#[test]
fn what_the_coder_wrote_is_published_also_after_a_failure_and_a_retry() {
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.workspace();
    story.reply(Role::Coder, "", &[("Write", r#"{"file_path":"b.txt","content":"x"}"#)]);
    let run = story.thread.runs[&Role::Coder].id;
    let result = ToolResult { text: "written".into(), error: false, wrote: vec!["b.txt".into()], exit: None };
    story.act(Command::ToolDone { run, call: CallId::new("c0_1"), result, deeds: vec![] });
    let failure = Failure { what: "No credit.".into(), hint: "Add credit.".into() };
    story.act(Command::ModelAnswered { run, turn: 2, result: Err(failure) });
    story.say("BEN", "!retry");
    story.reply(Role::Coder, "Done.", &[]);
    let wrote = &story.thread.publishing.as_ref().expect("work to publish").wrote;
    assert_eq!(wrote.iter().map(String::as_str).collect::<Vec<_>>(), ["b.txt"]);
}

#[test]
fn every_message_is_answered_also_when_the_base_failed_or_the_model_says_nothing() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    let failure = Failure { what: "No network.".into(), hint: "Wait.".into() };
    story.act(Command::BasePrepared(Err(failure)));
    assert_eq!(story.pending(), Vec::<String>::new());
    story.say("BEN", "are you there?");
    assert_eq!(story.pending(), ["base"], "a message tries again");
    story.base();
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    story.tool(Role::Pm, "c0_1", "text", vec![]);
    let events = story.reply(Role::Pm, " ", &[]);
    let failed = |event: &Event| matches!(event, Event::RunEnded { outcome: RunOutcome::Failed { .. }, .. });
    assert!(events.iter().any(failed), "{events:?}");
    let mut story = Story::new();
    story.say("BEN", "!close");
    story.say("BEN", "what is this?");
    assert_eq!(story.pending(), ["base"], "a closed thread still answers questions");
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

/// A PM that asked and waits.
fn asked() -> Story {
    let mut story = Story::new();
    story.say("BEN", "the export crashes on an empty name");
    story.base();
    let ask = r#"{"question":"Refuse it?","options":["Refuse it","Use unknown"]}"#;
    story.reply(Role::Pm, "", &[("AskUser", ask)]);
    story
}

fn result_of(events: &[Event]) -> &str {
    let result = events.iter().find_map(|event| match event {
        Event::ToolFinished { result, .. } => Some(result.text.as_str()),
        _ => None,
    });
    result.expect("a result")
}

#[test]
fn a_question_waits_for_a_person_and_for_nothing_else() {
    let mut story = asked();
    assert!(story.pending().is_empty(), "nothing runs while it waits: {:?}", story.pending());
    assert!(story.act(Command::Interrupted { calls: vec![] }).is_empty());
    let id = story.question_id();
    let stale = story.press("ANA", Action::AskOption, "q99/0");
    assert!(refusal(&stale).contains("does not wait"));
    assert!(refusal(&story.press("ANA", Action::AskOption, &format!("{id}/7"))).contains("does not wait"));
    let events = story.press("BEN", Action::AskOption, &format!("{id}/1"));
    assert_eq!(result_of(&events), "BEN chose “Use unknown”.");
    assert_eq!(story.pending(), ["run/1/turn/2"]);
    assert!(refusal(&story.press("ANA", Action::AskOption, &format!("{id}/1"))).contains("does not wait"));
}

#[test]
fn whatever_is_typed_answers_the_question_that_waits_and_is_read_once_as_a_message() {
    for (typed, told) in [
        ("refuse it!", "BEN chose “Refuse it”; the message itself follows."),
        ("2", "BEN chose “Use unknown”; the message itself follows."),
        ("yes", "BEN answered; the message follows."),
        ("let me think: both", "BEN answered; the message follows."),
    ] {
        let mut story = asked();
        let events = story.say("BEN", typed);
        assert_eq!(result_of(&events), told);
        let heard = events.iter().filter(|event| matches!(event, Event::Heard { messages, .. } if messages.len() == 1));
        assert_eq!(heard.count(), 1, "{typed}: {events:?}");
        assert_eq!(story.pending(), ["run/1/turn/2"]);
    }
}

#[test]
fn commands_pass_by_a_question_and_a_stop_voids_it() {
    let mut story = asked();
    story.say("BEN", "!pm claude");
    story.say("BEN", "!status");
    assert!(story.thread.question.is_some());
    let events = story.say("BEN", "!stop");
    assert_eq!(result_of(&events), "Not answered: a person stopped the run.");
    assert!(story.thread.question.is_none() && story.pending().is_empty());
}

#[test]
fn a_question_that_cannot_be_shown_goes_back_to_the_model() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.base();
    for (ask, fault) in [
        (r#"{"question":" "}"#, "`question` is empty"),
        (r#"{"question":"x","options":["a",""]}"#, "one of the `options` is empty"),
        (r#"{"question":"x","choices":["a"]}"#, "unknown field"),
    ] {
        let events = story.reply(Role::Pm, "", &[("AskUser", ask)]);
        assert!(result_of(&events).contains(fault), "{events:?}");
        assert!(story.thread.question.is_none());
    }
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
