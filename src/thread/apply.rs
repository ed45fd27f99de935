//! The fold: one event changes the state. Total: any prefix of any log applies without a panic; an event that fits
//! nowhere changes nothing but the count.

mod context;
mod messages;

use std::sync::Arc;

use super::checks::Checked;
use super::consult::Consult;
use super::event::{Event, Failure, Publication, PullRequest, Reply, RunOutcome, ToolResult, Workspace};
use super::evidence;
use super::plan::Plan;
use super::question::Question;
use super::stalled::{Part, Stalled};
use super::state::{
    CallState, Closing, ConversationState, Merging, PlanFate, PlanState, Published, Publishing, Queue, Run, Thread,
    WorkspaceState,
};
use crate::agent::estimate::Estimate;
use crate::agent::{Role, ToolName};
use crate::ids::{CallId, CommitId, MessageTs, Millis, PlanId, RunId, UserId};

impl Thread {
    /// Applies one event that happened at `at`.
    pub fn apply(&mut self, event: &Event, at: Millis) {
        self.seq += 1;
        self.note_work(event);
        match event {
            Event::ThreadOpened { by } => self.opened_by = Some(by.clone()),
            Event::PersonNamed { user, name } => {
                self.people.insert(user.clone(), name.clone());
            }
            Event::MessageReceived { message } => self.receive(message),
            Event::MessageEdited { ts, text } => self.edit(ts, text),
            Event::MessageDeleted { ts } => self.forget(ts),
            Event::NotePosted { role, .. } => self.mark_spoken(*role),
            Event::BaseReady { base } => self.base = Some(Arc::new(base.clone())),
            Event::BaseFailed { failure } => self.stall(Stalled::Base(failure.clone())),
            Event::ConversationOpened { role, .. } => self.open_conversation(*role),
            Event::RunStarted { run, role, model, by } => self.start_run(*run, *role, model, by.as_ref(), at),
            Event::Heard { role, messages, .. } => {
                self.checks.untold &= *role != Role::Coder;
                self.hear(*role, messages);
            }
            Event::Noted { role, text } => self.conversation(*role).notes.push(text.clone()),
            Event::ReplyReceived { run, reply, .. } => self.receive_reply(*run, reply),
            Event::ToolsStarted { run, calls } => self.with_calls(*run, |state| {
                if calls.contains(&state.call.id) && !state.started {
                    (state.started, state.since) = (true, at);
                }
            }),
            Event::ToolFinished { run, call, result } => {
                self.trace(*run, call, result, at);
                self.finish_call(*run, call, result);
            }
            Event::QuestionAsked { id, role, run, call, ask } => {
                let (id, call, ask) = (id.clone(), call.clone(), ask.clone());
                self.question = Some(Question { id, role: *role, run: *run, call, ask });
            }
            Event::QuestionAnswered { by, ts, .. } => self.answer_question(by, ts.as_ref()),
            Event::PmAsked { id, role, run, call, asked } => {
                let (id, call, asked) = (id.clone(), call.clone(), asked.clone());
                self.ask_pm(Consult { id, role: *role, run: *run, call, asked, pm: None });
            }
            Event::PmAnswered { id, .. } => self.end_consult(id),
            Event::StuckNoticed { run, trouble, help, what } => {
                self.with_run(*run, |run| Arc::make_mut(&mut run.watch).helped(*trouble, *help, what));
            }
            Event::RunQueued { run, place, build } => {
                self.with_run(*run, |run| run.queue = place.map(|place| Queue { place, build: build.clone() }));
            }
            Event::TodosWritten { run, todos } => self.with_run(*run, |run| run.todos.clone_from(todos)),
            Event::RunEnded { run, outcome } => self.end_run(*run, outcome, at),
            Event::PlanProposed { id, plan, base, estimate } => self.propose(id, plan, base, *estimate, at),
            Event::PlanApproved { id, by } => self.approve(id, by),
            Event::PlanCancelled { id, .. } => self.judge_plan(id, PlanFate::Cancelled),
            Event::WorkspaceReady { workspace } => self.settle_in(workspace),
            Event::WorkspaceFailed { failure } => self.stall(Stalled::Workspace(failure.clone())),
            Event::WorkspaceInitialised { .. } => self.mark_initialised(),
            Event::Pushed { head } => self.push(head),
            Event::PullRequestOpened { pull } => self.open_pull(pull),
            Event::WorkPublished { run, summary } => self.publish(*run, summary),
            Event::PublishFailed { .. } => self.stall_publishing(),
            Event::MergeRequested { by, ts, head } => self.begin_merge(by, ts.as_ref(), head),
            Event::MergeRefused { failure } => self.refuse_merge(failure),
            Event::MergeInDoubt { failure } => self.doubt_merge(failure),
            Event::Merged { commit } => self.end_merge(commit),
            Event::CloseRequested { ts, .. } => self.begin_close(ts.as_ref()),
            Event::CleanedUp { .. } => self.clean_up(),
            Event::ThreadClosed { merged } => self.close(*merged),
            Event::PmModelChosen { name, model, .. } => self.choose_model(name, model),
            Event::RetryRequested { .. } => self.take_up_newest(),
            Event::TakenUp { parts, .. } => self.take_up(parts),
            Event::ContextChanged { run, change } => self.change_context(*run, change),
            Event::Outside { news } => self.apply_outside(news),
            Event::Checks { news } => self.apply_checks(news),
            Event::Budget { news } => self.apply_budget(news),
            Event::Spent { spent } => self.spend(spent),
            Event::CommandTaken { .. }
            | Event::Refused { .. }
            | Event::PlanChangeAsked { .. }
            | Event::Committed { .. }
            | Event::StopRequested { .. } => {}
        }
    }

    /// The role's conversation, made when it is not there.
    fn conversation(&mut self, role: Role) -> &mut ConversationState {
        self.conversations.entry(role).or_default()
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.runs.values_mut().find(|run| run.id == id)
    }

    fn with_run(&mut self, id: RunId, change: impl FnMut(&mut Run)) {
        self.run_mut(id).into_iter().for_each(change);
    }

    fn with_calls(&mut self, id: RunId, change: impl Fn(&mut CallState)) {
        if let Some(run) = self.run_mut(id) {
            run.calls.iter_mut().for_each(change);
        }
    }

    fn start_run(&mut self, id: RunId, role: Role, model: &str, by: Option<&UserId>, at: Millis) {
        self.last_run = self.last_run.max(id.0);
        let stopped = self.stalled.iter().any(|stalled| stalled.part() == Part::Run(role));
        self.unstall(Part::Run(role));
        let answers = if role == Role::Pm { self.begin_consult(id) } else { None };
        // A run for another role takes up nothing of what people were to be told.
        self.owes_answers |= stopped && answers.is_some();
        let owes = role == Role::Pm && answers.is_none() && std::mem::take(&mut self.owes_answers);
        if role == Role::Coder {
            self.begin_trace();
            self.published.iter_mut().for_each(|published| published.overtaken = true);
        }
        self.runs.insert(
            role,
            Run {
                id,
                model: model.to_owned(),
                stand_in: None,
                cut: false,
                by: by.cloned(),
                paused: None,
                turns: 0,
                exceeded: 0,
                answer: None,
                queue: None,
                calls: Vec::new(),
                started: at,
                messages: Vec::new(),
                stale: false,
                todos: Vec::new(),
                doing: Vec::new(),
                // What was said to others may have been all that there was to say.
                spoke: owes,
                calls_done: 0,
                read: Default::default(),
                wrote: Default::default(),
                usage: Default::default(),
                watch: Default::default(),
                answers,
                asks: None,
                told_by: None,
            },
        );
    }

    fn answer_question(&mut self, by: &UserId, ts: Option<&MessageTs>) {
        let Some(question) = self.question.take() else { return };
        if let Some(run) = self.run_mut(question.run) {
            (run.answer, run.told_by) = (ts.cloned(), Some(by.clone()));
        }
    }

    fn receive_reply(&mut self, id: RunId, reply: &Reply) {
        let Some((role, _)) = self.run(id) else { return };
        self.usage.entry(role).or_default().add(&reply.usage);
        let conversation = self.conversation(role);
        conversation.model_spoke_last = true;
        if reply.usage.prompt_tokens > 0 {
            conversation.tokens = reply.usage.prompt_tokens + reply.usage.completion_tokens;
        }
        if !reply.calls.is_empty() {
            let ids = reply.calls.iter().map(|call| call.id.as_str().to_owned());
            Arc::make_mut(&mut conversation.call_ids).extend(ids);
        }
        let Some(run) = self.run_mut(id) else { return };
        run.turns += 1;
        run.cut = reply.cut && reply.calls.is_empty();
        run.stand_in = reply.instead_of.as_ref().map(|_| reply.model.clone());
        run.exceeded = 0;
        run.usage.add(&reply.usage);
        if run.watch.pauses() {
            Arc::make_mut(&mut run.watch).end_pause(&reply.text);
        }
        run.calls = reply
            .calls
            .iter()
            .map(|call| CallState {
                call: call.clone(),
                tool: ToolName::parse(&call.name).filter(|tool| tool.roles().contains(&role)),
                started: false,
                since: Millis::default(),
                done: false,
            })
            .collect();
        let doing: Vec<String> =
            run.calls.iter().map(|state| crate::render::progress::call_line(&state.call)).collect();
        if !doing.is_empty() {
            run.doing = doing;
        }
        if role == Role::Pm {
            self.take_model();
        }
    }

    fn finish_call(&mut self, id: RunId, call: &CallId, result: &ToolResult) {
        let Some((role, _)) = self.run(id) else { return };
        let Some(run) = self.run_mut(id) else { return };
        let mut read = None;
        for state in run.calls.iter_mut().filter(|state| state.call.id == *call && !state.done) {
            state.done = true;
            run.calls_done += 1;
            Arc::make_mut(&mut run.watch).see(&state.call, state.tool, result);
            if state.tool == Some(ToolName::Read) && !result.error {
                read = crate::render::progress::argument(&state.call.arguments, "file_path")
                    .filter(|path| crate::agent::output::call_of(path).is_none());
            }
        }
        run.wrote.extend(result.wrote.iter().cloned());
        run.read.extend(read.clone());
        let finished = run.calls.iter().all(|state| state.done);
        if finished {
            Arc::make_mut(&mut run.watch).end_turn();
        }
        if role == Role::Coder {
            self.wrote.extend(result.wrote.iter().cloned());
        }
        let conversation = self.conversation(role);
        for file in read.iter().chain(&result.wrote) {
            if !conversation.known_files.contains(file) {
                Arc::make_mut(&mut conversation.known_files).insert(file.clone());
            }
        }
        if finished {
            conversation.model_spoke_last = false;
        }
    }

    fn end_run(&mut self, id: RunId, outcome: &RunOutcome, at: Millis) {
        let Some((role, run)) = self.run(id) else { return };
        self.worked_ms += if role == Role::Coder { at.since(run.started) } else { 0 };
        let consults = self.run(id).is_some_and(|(_, run)| run.answers.is_some());
        self.runs.remove(&role);
        self.question.take_if(|question| question.run == id);
        self.drop_consults();
        if consults {
            // Who asked hears how it ended, and goes on.
            return;
        }
        let (report, draft) = match outcome {
            RunOutcome::Answered { text } => (text.clone(), None),
            RunOutcome::Stopped { by, .. } => {
                self.stall(Stalled::Run(role));
                let why = format!("{} stopped the Coder before it was done", self.name_of(by));
                (String::new(), Some(why))
            }
            RunOutcome::LimitReached { turns, text } => {
                self.stall(Stalled::Run(role));
                (text.clone(), Some(format!("the Coder used up its {turns} turns")))
            }
            RunOutcome::Stuck { what, text } => {
                self.stall(Stalled::Run(role));
                (text.clone(), Some(format!("the Coder went in circles: it had {what}")))
            }
            RunOutcome::Failed { .. } => {
                self.stall(Stalled::Run(role));
                return;
            }
        };
        if role == Role::Coder {
            // Who stops the work does not wait for checks of it.
            let checked = matches!(outcome, RunOutcome::Stopped { .. }).then(Checked::default);
            self.publishing = Some(Publishing { run: id, report, draft, wrote: self.wrote.clone(), checked });
        }
    }

    fn mark_spoken(&mut self, role: Role) {
        if let Some(run) = self.runs.get_mut(&role) {
            run.spoke = true;
        }
    }

    fn propose(&mut self, id: &PlanId, plan: &Plan, base: &CommitId, estimate: Option<Estimate>, at: Millis) {
        self.mark_spoken(Role::Pm);
        self.plan_ids.insert(id.clone());
        self.plan = Some(PlanState {
            id: id.clone(),
            plan: Arc::new(plan.clone()),
            base: base.clone(),
            fate: PlanFate::Waiting,
            proposed: at,
            estimate,
        });
    }

    fn approve(&mut self, id: &PlanId, by: &UserId) {
        self.judge_plan(id, PlanFate::Approved { by: by.clone() });
        if let Some(plan) = self.plan.as_ref().filter(|plan| plan.id == *id) {
            self.approved = Some((Arc::clone(&plan.plan), by.clone()));
        }
        if self.workspace == WorkspaceState::None {
            self.workspace = WorkspaceState::Wanted;
        }
        self.stalled.clear();
    }

    fn settle_in(&mut self, workspace: &Workspace) {
        self.workspace = WorkspaceState::Ready { workspace: Arc::new(workspace.clone()), initialised: false };
    }

    fn mark_initialised(&mut self) {
        if let WorkspaceState::Ready { initialised, .. } = &mut self.workspace {
            *initialised = true;
        }
    }

    /// A push is never forced: the remote's branch has nothing now that ours has not.
    fn push(&mut self, head: &CommitId) {
        self.head = Some(head.clone());
        self.elsewhere.head = None;
    }

    fn open_pull(&mut self, pull: &PullRequest) {
        self.pull = Some(pull.clone());
        self.elsewhere.closed = false;
    }

    fn publish(&mut self, run: RunId, summary: &Publication) {
        self.elsewhere.closed &= summary.head.is_none();
        if let Some(publishing) = self.publishing.take() {
            self.wrote.clear();
            let unchanged = summary.head.is_none();
            let evidence = Arc::new(evidence::report(self, &publishing, unchanged));
            // Where there is no work, checks do not say that it is unfinished.
            let draft = if unchanged { publishing.draft.clone() } else { publishing.missing() };
            let Publishing { report, draft: cut, checked, .. } = publishing;
            // What could not be brought out before went with it.
            self.unstall(Part::Publish);
            // Publishing may have failed in between and stood in its place.
            if draft.is_some() && !self.runs.contains_key(&Role::Coder) {
                self.stall(Stalled::Run(Role::Coder));
            }
            let (pull, summary) = (self.pull.clone(), summary.clone());
            self.published =
                Some(Published { run, report, draft, cut, checked, evidence, pull, summary, overtaken: false });
        }
    }

    fn stall_publishing(&mut self) {
        if let Some(publishing) = self.publishing.take() {
            self.stall(Stalled::Publish(publishing));
        }
    }

    fn begin_merge(&mut self, by: &UserId, ts: Option<&MessageTs>, head: &CommitId) {
        self.merges += 1;
        self.merging = Some(Merging { by: by.clone(), ts: ts.cloned(), head: head.clone(), attempt: self.merges });
        self.in_doubt = None;
        self.unstall(Part::Merge);
        // A draft that a person takes as it is: what is tried again after this is its merge.
        self.unstall(Part::Run(Role::Coder));
    }

    fn refuse_merge(&mut self, failure: &Failure) {
        self.merging = None;
        self.stall(Stalled::Merge(failure.clone()));
    }

    fn doubt_merge(&mut self, failure: &Failure) {
        self.in_doubt = self.merging.take();
        self.stall(Stalled::Merge(failure.clone()));
    }

    fn end_merge(&mut self, commit: &CommitId) {
        self.merged = Some(commit.clone());
        let ts = self.merging.take().or(self.in_doubt.take()).and_then(|merging| merging.ts);
        self.unstall(Part::Merge);
        let (merged, elsewhere) = (true, None);
        self.closing = Some(Closing { ts, merged, cleaned: false, closed: false, unfinished: false, elsewhere });
    }

    fn begin_close(&mut self, ts: Option<&MessageTs>) {
        // A Coder at work was ended before; it is being published then.
        let unfinished = self.publishing.is_some() || self.has_stalled_work();
        self.runs.clear();
        self.consults.clear();
        self.question = None;
        self.publishing = None;
        self.unstall_work();
        let (ts, elsewhere) = (ts.cloned(), None);
        self.closing = Some(Closing { ts, merged: false, cleaned: false, closed: false, unfinished, elsewhere });
    }

    fn clean_up(&mut self) {
        self.workspace = WorkspaceState::Removed;
        if let Some(closing) = &mut self.closing {
            closing.cleaned = true;
        }
    }

    fn close(&mut self, merged: bool) {
        let elsewhere = None;
        let ended = Closing { ts: None, merged, cleaned: true, closed: true, unfinished: false, elsewhere };
        self.closing.get_or_insert(ended).closed = true;
        self.unstall_work();
    }

    fn judge_plan(&mut self, id: &PlanId, fate: PlanFate) {
        if let Some(plan) = self.plan.as_mut().filter(|plan| plan.id == *id) {
            plan.fate = fate;
        }
    }

    fn choose_model(&mut self, name: &str, model: &str) {
        self.purse.is_chosen |= self.purse.told_limit.is_some() || self.purse.told_day.is_some();
        self.pm_choice = Some((name.to_owned(), model.to_owned()));
        self.take_model();
    }
}
