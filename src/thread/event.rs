//! What happened in a thread, in the past tense: the one truth from which everything else is folded.
//!
//! Stored for years: variants and fields are only added, with a default; nothing is renamed. Texts that a model reads
//! stand here literally, so that a newer program rebuilds the same bytes.

mod values;

use serde::{Deserialize, Serialize};

pub use values::*;

use super::budget::Budget;
use super::checks::Checks;
use super::consult::{Knew, PmQuestion};
use super::context::Change;
use super::outside::Outside;
use super::plan::{Plan, Todo};
use super::question::Ask;
use super::spending::Spent;
use super::stalled::Part;
use crate::agent::Role;
use crate::agent::estimate::Estimate;
use crate::agent::stuck::{Help, Trouble};
use crate::ids::{CallId, CommitId, MessageTs, PlanId, QuestionId, RunId, UserId};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first person's message opened the thread.
    ThreadOpened {
        /// Who wrote it.
        by: UserId,
    },
    /// A person became known by a name.
    PersonNamed {
        /// Who.
        user: UserId,
        /// The name.
        name: String,
    },
    /// A person wrote something meant for a role.
    MessageReceived {
        /// The message.
        message: Message,
    },
    /// A message was edited. Roles that had read it already are told by a note.
    MessageEdited {
        /// Which message.
        ts: MessageTs,
        /// Its new text.
        text: String,
    },
    /// A message was deleted. Roles that had read it already are told by a note.
    MessageDeleted {
        /// Which message.
        ts: MessageTs,
    },
    /// A typed word or command was carried out; it goes to no model.
    CommandTaken {
        /// The message that was the command; `None` for a button.
        ts: Option<MessageTs>,
        /// Who gave it.
        by: UserId,
        /// What the daemon answers, as Markdown; empty when another event answers.
        answer: Answer,
    },
    /// Something was refused; only the one who tried is told.
    Refused {
        /// The message, when it was typed.
        ts: Option<MessageTs>,
        /// Who tried.
        by: UserId,
        /// Why not, and what to do, for that person.
        reason: String,
    },
    /// The base commit was fetched, its snapshot is there, the prompts are assembled.
    BaseReady {
        /// What the thread stands on.
        base: Base,
    },
    /// The base could not be had.
    BaseFailed {
        /// What happened and what to do.
        failure: Failure,
    },
    /// A role's conversation began. System prompt and tool list hold for its whole life.
    ConversationOpened {
        /// Whose.
        role: Role,
        /// The system prompt's parts.
        system: Vec<String>,
        /// The tool list as JSON text, as sent.
        tools: String,
    },
    /// A role began to work.
    RunStarted {
        /// Its number.
        run: RunId,
        /// Who works.
        role: Role,
        /// The model it uses.
        model: String,
        /// The person whose message or approval started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// Texts entered a role's conversation as one message of role `user`.
    Heard {
        /// Whose conversation.
        role: Role,
        /// The literal parts.
        parts: Vec<String>,
        /// The people's messages among them.
        messages: Vec<MessageTs>,
    },
    /// The daemon left a note that a role reads when its model is next called.
    Noted {
        /// For whom.
        role: Role,
        /// The text.
        text: String,
    },
    /// The model answered.
    ReplyReceived {
        /// The run.
        run: RunId,
        /// Which of the run's turns, from 1.
        turn: u32,
        /// The reply.
        reply: Reply,
    },
    /// Calls were released to run. Those that change something and were cut by a restart are known by this.
    ToolsStarted {
        /// The run.
        run: RunId,
        /// The calls.
        calls: Vec<CallId>,
    },
    /// A call has its result.
    ToolFinished {
        /// The run.
        run: RunId,
        /// The call.
        call: CallId,
        /// The result.
        result: ToolResult,
    },
    /// A role asked the people in the thread; its run waits.
    QuestionAsked {
        /// The question's id.
        id: QuestionId,
        /// Who asks.
        role: Role,
        /// The run that waits.
        run: RunId,
        /// The call whose result the answer will be.
        call: CallId,
        /// What is asked.
        ask: Ask,
    },
    /// A person answered a question.
    QuestionAnswered {
        /// The question.
        id: QuestionId,
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
        /// The choice, or the words.
        answer: String,
    },
    /// A run must wait for others to end before it goes on, or need not any more.
    RunQueued {
        /// The run.
        run: RunId,
        /// Its place in the queue, from 1; `None`: it goes on.
        place: Option<u32>,
        /// The platform whose builds it waits for, the first of several; `None`: it waits for its role's turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        build: Option<String>,
    },
    /// The checklist was rewritten.
    TodosWritten {
        /// The run.
        run: RunId,
        /// The whole list.
        todos: Vec<Todo>,
    },
    /// A role posted something of its own accord (`SlackNotify`).
    NotePosted {
        /// Who.
        role: Role,
        /// The text.
        text: String,
    },
    /// A run ended.
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        outcome: RunOutcome,
    },
    /// The PM proposed a plan; older ones are void.
    PlanProposed {
        /// Its id.
        id: PlanId,
        /// Its content.
        plan: Plan,
        /// The commit it was made on.
        base: CommitId,
        /// What similar threads took, when there are some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        estimate: Option<Estimate>,
    },
    /// A person asked for changes to the plan.
    PlanChangeAsked {
        /// The plan.
        id: PlanId,
        /// Who.
        by: UserId,
    },
    /// A person approved the plan.
    PlanApproved {
        /// The plan.
        id: PlanId,
        /// Who.
        by: UserId,
    },
    /// A person cancelled the plan, which ends the thread.
    PlanCancelled {
        /// The plan.
        id: PlanId,
        /// Who.
        by: UserId,
    },
    /// The thread's worktree and branch exist.
    WorkspaceReady {
        /// The worktree.
        workspace: Workspace,
    },
    /// The worktree could not be made.
    WorkspaceFailed {
        /// What happened and what to do.
        failure: Failure,
    },
    /// The worktree was initialised for its platform.
    WorkspaceInitialised {
        /// What was run and how it ended; empty when nothing was needed.
        steps: Vec<InitStep>,
    },
    /// A commit was made on the thread's branch.
    Committed {
        /// The commit.
        commit: CommitId,
    },
    /// The branch was pushed.
    Pushed {
        /// The remote branch's head now.
        head: CommitId,
    },
    /// The pull request exists.
    PullRequestOpened {
        /// The pull request.
        pull: PullRequest,
    },
    /// The Coder's work was looked through at the end of a run and brought to the pull request.
    WorkPublished {
        /// The run.
        run: RunId,
        /// What was done.
        summary: Publication,
    },
    /// The Coder's work could not be brought to a pull request.
    PublishFailed {
        /// The run.
        run: RunId,
        /// What happened and what to do.
        failure: Failure,
    },
    /// A person asked for the merge.
    MergeRequested {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
        /// The head that is merged and no other.
        head: CommitId,
    },
    /// The merge did not happen.
    MergeRefused {
        /// What happened and what to do.
        failure: Failure,
    },
    /// The merge was asked for, its answer was lost, and the forge does not say whether it was done.
    MergeInDoubt {
        /// What happened and what to do.
        failure: Failure,
    },
    /// The pull request is merged.
    Merged {
        /// The commit on the base branch.
        commit: CommitId,
    },
    /// A person asked to close the thread without merging.
    CloseRequested {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
    },
    /// Remote branch, worktree and local branch are gone; what could not be removed is named.
    CleanedUp {
        /// What is left, with the reason.
        leftovers: Vec<String>,
    },
    /// The thread is closed.
    ThreadClosed {
        /// Whether its work was merged.
        merged: bool,
    },
    /// A person chose the PM's model.
    PmModelChosen {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
        /// The name in the pool.
        name: String,
        /// The model's slug.
        model: String,
    },
    /// A person stopped what was running.
    StopRequested {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
    },
    /// A person asked to try again what stopped last. Only in old logs: nothing makes it any more, since a retry takes
    /// up everything that stopped ([`Event::TakenUp`]).
    RetryRequested {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
    },
    /// A person asked to go on with what had stopped.
    TakenUp {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
        /// What goes on.
        parts: Vec<Part>,
    },
    /// A role asked the PM, or the core did for a run that is stuck; the run waits.
    PmAsked {
        /// The question's id.
        id: QuestionId,
        /// Who asks.
        role: Role,
        /// The run that waits.
        run: RunId,
        /// The call whose result the answer will be; `None`: the core asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<CallId>,
        /// What is asked.
        asked: PmQuestion,
    },
    /// A question to the PM waits no more.
    PmAnswered {
        /// The question.
        id: QuestionId,
        /// The answer; why there is none, when nobody knew it.
        answer: String,
        /// Who knew it.
        knew: Knew,
    },
    /// A run was found to go in circles, and is helped.
    StuckNoticed {
        /// The run.
        run: RunId,
        /// The kind of trouble.
        trouble: Trouble,
        /// What is done about it.
        help: Help,
        /// What the run did, after “it had”.
        what: String,
    },
    /// Something was done so that a run's conversation fits into what its model can read.
    ContextChanged {
        /// The run.
        run: RunId,
        /// What.
        change: Change,
    },
    /// Something happened to the pull request outside the chat.
    Outside {
        /// What.
        news: Outside,
    },
    /// Something became of the repository's checks.
    Checks {
        /// What.
        news: Checks,
    },
    /// A request to a model used something and brought nothing.
    Spent {
        /// What it used.
        spent: Spent,
    },
    /// Something happened to what may be spent.
    Budget {
        /// What.
        news: Budget,
    },
}
