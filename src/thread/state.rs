//! The state of a thread, folded from its events: only what decisions and effects need. What models have read and said
//! is another fold of the same events (`llm::transcript`), so that this stays small and cheap to copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::budget::{Paused, Purse};
use super::checks::{Checked, Known};
use super::consult::Consult;
use super::event::{Base, Earlier, Message, Publication, PullRequest, Workspace};
use super::evidence::Report;
use super::outside::{Elsewhere, MergedElsewhere};
use super::plan::{Plan, Todo};
use super::question::Question;
use super::record::Record;
use crate::agent::estimate::Estimate;
use crate::agent::stuck::Watch;
use crate::agent::{Role, ToolCall, ToolName, Usage};
use crate::ids::{CommitId, MessageTs, Millis, PlanId, QuestionId, RunId, ThreadKey, UserId};

pub use super::stalled::Stalled;

/// One thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    /// Which thread.
    pub key: ThreadKey,
    /// How many events were applied.
    pub seq: u64,
    /// Who opened it; `None` before the first event.
    pub opened_by: Option<UserId>,
    /// The first message written to us.
    pub first: Option<MessageTs>,
    /// People who wrote in it, by the name they are known by.
    pub people: BTreeMap<UserId, String>,
    /// What people said that the PM has read, as it stands now. Shared between copies, like all that grows with the
    /// thread.
    pub said: Arc<Vec<Arc<Message>>>,
    /// The commit, prompts and history it stands on.
    pub base: Option<Arc<Base>>,
    /// Each role's conversation, as far as decisions need it.
    pub conversations: BTreeMap<Role, ConversationState>,
    /// Roles at work, at most one run each.
    pub runs: BTreeMap<Role, Run>,
    /// Number of the last run.
    pub last_run: u32,
    /// The question that waits for a person.
    pub question: Option<Question>,
    /// Questions to the PM that wait, in order.
    pub consults: Vec<Consult>,
    /// Whether the PM heard people while it answered another role, so that it has yet to speak to them.
    pub owes_answers: bool,
    /// The newest plan.
    pub plan: Option<PlanState>,
    /// The plan that was approved last, and by whom: what the Coder works on, whatever is proposed meanwhile.
    pub approved: Option<(Arc<Plan>, UserId)>,
    /// Ids of all plans that were proposed.
    pub plan_ids: BTreeSet<PlanId>,
    /// The worktree.
    pub workspace: WorkspaceState,
    /// The pull request.
    pub pull: Option<PullRequest>,
    /// The head that we pushed last.
    pub head: Option<CommitId>,
    /// What others did to the pull request.
    pub elsewhere: Elsewhere,
    /// Files that the Coder wrote since its work was last published.
    pub wrote: BTreeSet<String>,
    /// A Coder run whose work is still to be published.
    pub publishing: Option<Publishing>,
    /// What was published last.
    pub published: Option<Published>,
    /// What is known of the repository's checks.
    pub checks: Known,
    /// How many merges were asked for.
    pub merges: u32,
    /// A merge in progress.
    pub merging: Option<Merging>,
    /// A merge of which nobody knows whether it was done.
    pub in_doubt: Option<Merging>,
    /// The commit of the merge.
    pub merged: Option<CommitId>,
    /// A close in progress or done.
    pub closing: Option<Closing>,
    /// The PM's model, when a person chose one: name and slug.
    pub pm_choice: Option<(String, String)>,
    /// Why the thread does not go on by itself; `!retry` takes it up.
    pub stalled: Vec<Stalled>,
    /// What each role used.
    pub usage: BTreeMap<Role, Usage>,
    /// How many tokens models read, by what servers said when they refused a conversation.
    pub contexts: BTreeMap<String, u64>,
    /// What the log says of the work.
    pub record: Arc<Record>,
    /// What is known of its budget beside that.
    pub purse: Purse,
    /// For how long Coders were at work in it, in milliseconds.
    pub worked_ms: i64,
}

/// What decisions need to know of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationState {
    /// Messages that the role has not read. A flood of them must not make each copy of the state dear.
    pub unheard: Vec<Arc<Message>>,
    /// Messages that the role has read, or was told of when its conversation began.
    pub read: Arc<BTreeSet<MessageTs>>,
    /// Notes of the daemon that the role has not read.
    pub notes: Vec<String>,
    /// Whether system prompt and tools are set.
    pub open: bool,
    /// Whether its last entry is the model's, so that something must be said before it can be called again.
    pub model_spoke_last: bool,
    /// Ids of all calls made in it, to keep them unique.
    pub call_ids: Arc<BTreeSet<String>>,
    /// Files the role has read or written, as it named them; an edit needs it.
    pub known_files: Arc<BTreeSet<String>>,
    /// What a model wrote of the part that was replaced, when something was.
    pub summary: Option<Arc<str>>,
    /// How long it was when its model answered last or when it was cut since, in tokens; 0: nobody said.
    pub tokens: u64,
}

/// A role at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The model.
    pub model: String,
    /// The fallback that gave the last reply in its place.
    pub stand_in: Option<String>,
    /// Whether its last reply was a text cut at the output limit.
    pub cut: bool,
    /// The person who started it.
    pub by: Option<UserId>,
    /// Where it waits at a cap.
    pub paused: Option<Paused>,
    /// Replies received.
    pub turns: u32,
    /// How often the server refused this turn as too long.
    pub exceeded: u32,
    /// The message by which its question was answered, until the role has read it.
    pub answer: Option<MessageTs>,
    /// What it waits for before it goes on, when others are before it.
    pub queue: Option<Queue>,
    /// Calls of the last reply; empty while the model is asked.
    pub calls: Vec<CallState>,
    /// When it began.
    pub started: Millis,
    /// Messages of people that it answers.
    pub messages: Vec<MessageTs>,
    /// Whether one of them was changed since the role read it; then the run does not end before it has read the change.
    pub stale: bool,
    /// The checklist.
    pub todos: Vec<Todo>,
    /// What it did last, for the progress message.
    pub doing: Vec<String>,
    /// Whether it showed something by a tool: a plan or a note. Then it may end without a text.
    pub spoke: bool,
    /// Calls that ran.
    pub calls_done: u32,
    /// Files it read.
    pub read: BTreeSet<String>,
    /// Files it wrote.
    pub wrote: BTreeSet<String>,
    /// What it used.
    pub usage: Usage,
    /// Whether it gets on. Shared between copies.
    pub watch: Arc<Watch>,
    /// Of the PM: the question of another role that this run answers. Its last text goes there.
    pub answers: Option<QuestionId>,
    /// The question to the PM that it waits for.
    pub asks: Option<QuestionId>,
    /// Who answered its last question to people.
    pub told_by: Option<UserId>,
}

/// A run's place among those that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its place, from 1.
    pub place: u32,
    /// The platform of the build that it waits to begin; `None`: it waits for its role's turn.
    pub build: Option<String>,
}

/// One call of the last reply.
#[derive(Clone, Debug, PartialEq)]
pub struct CallState {
    /// The call.
    pub call: ToolCall,
    /// The tool, when the role has one of that name.
    pub tool: Option<ToolName>,
    /// Whether it was released.
    pub started: bool,
    /// When it was released; 0 before.
    pub since: Millis,
    /// Whether its result is there.
    pub done: bool,
}

/// The newest plan and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanState {
    /// Its id.
    pub id: PlanId,
    /// Its content.
    pub plan: Arc<Plan>,
    /// The commit it was made on.
    pub base: CommitId,
    /// What became of it.
    pub fate: PlanFate,
    /// When it was proposed.
    pub proposed: Millis,
    /// What similar threads took.
    pub estimate: Option<Estimate>,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanFate {
    /// It waits for a person.
    Waiting,
    /// It was approved.
    Approved {
        /// By whom.
        by: UserId,
    },
    /// It was cancelled.
    Cancelled,
}

/// How far the worktree is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum WorkspaceState {
    /// Nothing was approved yet.
    #[default]
    None,
    /// A plan was approved; the worktree is being made.
    Wanted,
    /// It is there.
    Ready {
        /// The worktree.
        workspace: Arc<Workspace>,
        /// Whether its initialisation has ended.
        initialised: bool,
    },
    /// It was removed.
    Removed,
}

/// A Coder run whose work is to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Publishing {
    /// The run.
    pub run: RunId,
    /// The Coder's report.
    pub report: String,
    /// Why the pull request is only a draft, when it is.
    pub draft: Option<String>,
    /// Files the run wrote.
    pub wrote: BTreeSet<String>,
    /// How far the repository's checks are; `None`: there are none, or nobody has looked yet.
    pub checked: Option<Checked>,
}

/// What a Coder run led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The run.
    pub run: RunId,
    /// The Coder's report.
    pub report: String,
    /// Why the pull request is only a draft, when it is.
    pub draft: Option<String>,
    /// The same without what the checks say.
    pub cut: Option<String>,
    /// The checks as they were published.
    pub checked: Option<Checked>,
    /// What shows that the work is done, or that it is not.
    pub evidence: Arc<Report>,
    /// The pull request as it was then.
    pub pull: Option<PullRequest>,
    /// What was done.
    pub summary: Publication,
    /// Whether the Coder has been at work again since: what it did then is in none of this.
    pub overtaken: bool,
}

/// A merge in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Merging {
    /// Who asked.
    pub by: UserId,
    /// The message, when typed.
    pub ts: Option<MessageTs>,
    /// The head that is merged.
    pub head: CommitId,
    /// Counts the attempts, so that each is an effect of its own.
    pub attempt: u32,
}

/// A close in progress or done.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// The message that asked for it, when typed.
    pub ts: Option<MessageTs>,
    /// Whether the work was merged.
    pub merged: bool,
    /// Whether everything is cleaned up.
    pub cleaned: bool,
    /// Whether the thread is closed.
    pub closed: bool,
    /// Whether the worktree may hold work that was not brought out.
    pub unfinished: bool,
    /// The merge, when the thread was not asked for it.
    pub elsewhere: Option<MergedElsewhere>,
}

impl Thread {
    /// A thread before its first event.
    pub fn new(key: ThreadKey) -> Self {
        Self {
            key,
            seq: 0,
            opened_by: None,
            first: None,
            people: BTreeMap::new(),
            said: Arc::default(),
            base: None,
            conversations: BTreeMap::new(),
            runs: BTreeMap::new(),
            last_run: 0,
            question: None,
            consults: Vec::new(),
            owes_answers: false,
            plan: None,
            approved: None,
            plan_ids: BTreeSet::new(),
            workspace: WorkspaceState::None,
            pull: None,
            head: None,
            elsewhere: Elsewhere::default(),
            wrote: BTreeSet::new(),
            publishing: None,
            published: None,
            checks: Known::default(),
            merges: 0,
            merging: None,
            in_doubt: None,
            merged: None,
            closing: None,
            pm_choice: None,
            stalled: Vec::new(),
            usage: BTreeMap::new(),
            contexts: BTreeMap::new(),
            record: Arc::default(),
            purse: Purse::default(),
            worked_ms: 0,
        }
    }

    /// What was said under that id before the bot was part of the thread, as the PM is told in its first run.
    pub fn earlier(&self, ts: &MessageTs) -> Option<&Earlier> {
        self.base.as_ref()?.history.iter().find(|said| said.ts.as_ref() == Some(ts))
    }

    /// The message of that id and writer that some role has read or will read, as it stands now.
    pub fn known_message(&self, ts: &MessageTs, by: &UserId) -> Option<&Arc<Message>> {
        let unread = self.conversations.values().flat_map(|conversation| &conversation.unheard);
        // The newest first: it is what people change.
        unread.chain(self.said.iter().rev()).find(|message| message.ts == *ts && message.from == *by)
    }

    /// Roles that have read the message and will not see by themselves that it was changed.
    pub fn readers(&self, ts: &MessageTs) -> Vec<Role> {
        let of = self.conversations.iter().filter(|(_, conversation)| conversation.read.contains(ts));
        of.map(|(role, _)| *role).collect()
    }

    /// The first message that people wrote to us in it.
    pub fn first_message(&self) -> Option<&MessageTs> {
        self.first.as_ref()
    }

    /// Whether the thread is closed or about to be.
    pub fn is_closed(&self) -> bool {
        self.closing.is_some()
    }

    /// The worktree while it is there.
    pub fn workspace(&self) -> Option<&Arc<Workspace>> {
        match &self.workspace {
            WorkspaceState::Ready { workspace, .. } => Some(workspace),
            WorkspaceState::None | WorkspaceState::Wanted | WorkspaceState::Removed => None,
        }
    }

    /// Whether base or worktree failed, so that they are not made again before a person says so.
    pub fn is_stalled_early(&self) -> bool {
        self.stalled.iter().any(|stalled| matches!(stalled, Stalled::Base(_) | Stalled::Workspace(_)))
    }

    /// The plan that waits for a person.
    pub fn waiting_plan(&self) -> Option<&PlanState> {
        self.plan.as_ref().filter(|plan| plan.fate == PlanFate::Waiting)
    }

    /// The run of that number, with its role, while it is active.
    pub fn run(&self, id: RunId) -> Option<(Role, &Run)> {
        self.runs.iter().find(|(_, run)| run.id == id).map(|(role, run)| (*role, run))
    }

    /// The name a person is known by.
    pub fn name_of<'a>(&'a self, user: &'a UserId) -> &'a str {
        self.people.get(user).map_or(user.as_str(), String::as_str)
    }

    /// The sum over all roles.
    pub fn total_usage(&self) -> Usage {
        let mut total = Usage::default();
        for usage in self.usage.values() {
            total.add(usage);
        }
        total
    }
}

impl Published {
    /// Whether its pull request may be merged. Of drafts only one whose single fault is a check that failed in the same
    /// way before the work: its card says so, and a person decides.
    pub fn can_be_merged(&self) -> bool {
        let stopped = self.checked.as_ref().is_some_and(|checked| checked.stopped.is_some());
        self.draft.is_none() || self.cut.is_none() && !stopped && self.evidence.fails_as_before()
    }
}

impl Run {
    /// The call of that id that has no result yet.
    pub fn open_call(&self, id: &crate::ids::CallId) -> Option<&CallState> {
        self.calls.iter().find(|state| state.call.id == *id && !state.done)
    }

    /// Whether the model is to be asked, or is being asked.
    pub fn thinks(&self) -> bool {
        self.asks.is_none() && self.calls.iter().all(|state| state.done)
    }
}
