//! A thread with its log, for tests: commands in, events and effects out. What happens in a story is said in one line
//! each; what a test is about stands in the test.

use crate::agent::{Role, ToolCall, Usage};
use crate::ids::{CallId, ChannelId, CommitId, MessageTs, Millis, ThreadKey, UserId};
use crate::thread::command::{Action, Command, Deed};
use crate::thread::event::{Base, Message, Publication, PullRequest, Reply, ToolResult, Workspace};
use crate::thread::{Effect, Event, Rules, Thread, decide, pending};

/// A thread with its log, driven by commands.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) thread: Thread,
    pub(crate) log: Vec<Event>,
    pub(crate) rules: Rules,
    /// What each reply costs.
    pub(crate) cost: f64,
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
        Self { thread: Thread::new(key), log: Vec::new(), rules, cost: 0.0, messages: 0 }
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
        let usage = Usage { calls: 1, cost_usd: self.cost, ..Usage::default() };
        let reply = Reply { text: text.into(), calls: calls.collect(), model: run.model, usage, ..Reply::default() };
        self.act(Command::ModelAnswered { run: run.id, turn: run.turns + 1, result: Ok(reply) })
    }

    pub(crate) fn tool(&mut self, role: Role, call: &str, text: &str, deeds: Vec<Deed>) -> Vec<Event> {
        self.tool_with(role, call, text, None, deeds)
    }

    pub(crate) fn tool_with(
        &mut self,
        role: Role,
        call: &str,
        text: &str,
        exit: Option<i32>,
        deeds: Vec<Deed>,
    ) -> Vec<Event> {
        let run = self.thread.runs.get(&role).expect("the role is at work").id;
        let result = ToolResult { text: text.into(), error: false, wrote: vec![], exit };
        self.act(Command::ToolDone { run, call: CallId::new(call), result, deeds })
    }

    /// The ids of what has to be done outside, those of model calls without the model.
    pub(crate) fn pending(&self) -> Vec<String> {
        let limits = |role| self.rules.turns(role);
        let id = |effect: &Effect| match effect {
            Effect::CallModel { run, turn, .. } => format!("run/{run}/turn/{turn}"),
            _ => effect.id().to_string(),
        };
        pending(&self.thread, limits).iter().map(id).collect()
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
        self.initialised();
    }

    pub(crate) fn initialised(&mut self) {
        self.act(Command::WorkspaceInitialised(vec![]));
    }

    /// Up to the Coder, who begins.
    pub(crate) fn at_work() -> Self {
        let mut story = Self::new();
        let id = story.plan();
        story.press("ANA", Action::PlanApprove, &id);
        story.workspace();
        story
    }

    /// Up to the open pull request.
    pub(crate) fn opened() -> Self {
        let mut story = Self::at_work();
        story.reply(Role::Coder, "Done.", &[]);
        story.published();
        story
    }

    /// From the open pull request on to the Coder at work on a further plan.
    pub(crate) fn propose_more(&mut self) {
        self.say("BEN", "and the header, too");
        self.propose("Keep the header");
        let id = self.plan_id();
        self.press("ANA", Action::PlanApprove, &id);
    }

    pub(crate) fn published(&mut self) {
        let run = self.thread.publishing.as_ref().expect("work to publish").run;
        let summary = Publication { head: Some(CommitId::new("beef")), files: 1, added: 2, ..Publication::default() };
        let pull = PullRequest { number: 7, url: "https://x/7".into(), title: "Keep".into(), draft: false };
        let deeds = vec![Deed::Pushed(CommitId::new("beef")), Deed::Opened(pull)];
        self.act(Command::PublishDone { run, result: Ok(summary), deeds });
    }
}

/// Why a person was refused.
pub(super) fn refusal(events: &[Event]) -> &str {
    match events {
        [Event::PersonNamed { .. }, rest @ ..] => refusal(rest),
        [Event::Refused { reason, .. }] => reason,
        other => panic!("not a refusal: {other:?}"),
    }
}
