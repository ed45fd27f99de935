//! What happened in a thread, in the past tense: the one truth from which everything else is folded.
//!
//! Stored for years: variants and fields are only added, with a default; nothing is renamed. Texts that a model reads
//! stand here literally, so that a newer program rebuilds the same bytes.

use serde::{Deserialize, Serialize};

use super::outside::Outside;
use super::plan::{Plan, Todo};
use crate::agent::{Role, ToolCall, Usage};
use crate::ids::{CallId, CommitId, MessageTs, PlanId, RunId, UserId};

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
    /// A message that no role had read yet was edited.
    MessageEdited {
        /// Which message.
        ts: MessageTs,
        /// Its new text.
        text: String,
    },
    /// A message that no role had read yet was deleted.
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
    /// A person asked to try again.
    RetryRequested {
        /// Who.
        by: UserId,
        /// The message, when typed.
        ts: Option<MessageTs>,
    },
    /// Something happened to the pull request outside the chat.
    Outside {
        /// What.
        news: Outside,
    },
}

/// A person's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id and place in the channel.
    pub ts: MessageTs,
    /// Who wrote it.
    pub from: UserId,
    /// The name people know the writer by.
    pub name: String,
    /// The text as Markdown, mentions as names.
    pub text: String,
    /// Names of attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// What the daemon answers to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// Nothing: another event speaks.
    None,
    /// A text.
    Text {
        /// Markdown.
        text: String,
    },
    /// The PM's models, as buttons.
    ModelPool {
        /// Names in the pool with their slugs.
        pool: Vec<(String, String)>,
        /// The one in use.
        current: String,
    },
}

/// What the thread stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The fetched commit.
    pub commit: CommitId,
    /// The branch it is the head of.
    pub branch: String,
    /// The assembled system prompts, one text per role that has one.
    pub prompts: Vec<(Role, String)>,
    /// What was said in the chat thread before the bot was part of it, as `Name: text`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<String>,
    /// Something that people should know: for example that the remote could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// What went wrong, in words for the thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened, as a sentence.
    pub what: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

/// A model's reply, complete and checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Its text.
    #[serde(default)]
    pub text: String,
    /// Its calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// The provider's reasoning array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<serde_json::Value>,
    /// The model that answered.
    pub model: String,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// What the model reads.
    pub text: String,
    /// Whether it is an error.
    #[serde(default)]
    pub error: bool,
    /// Files it wrote, relative to the worktree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrote: Vec<String>,
    /// A command's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunOutcome {
    /// With a text.
    Answered {
        /// The text; may be empty.
        text: String,
    },
    /// A person stopped it.
    Stopped {
        /// Who.
        by: UserId,
    },
    /// It used up its turns.
    LimitReached {
        /// The limit.
        turns: u32,
        /// The role's last words.
        text: String,
    },
    /// The model could not be reached or refused.
    Failed {
        /// What happened and what to do.
        failure: Failure,
    },
}

/// The thread's worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The folder's name under `.codebutler/branches/`.
    pub slug: String,
    /// The branch.
    pub branch: String,
    /// The commit it began at.
    pub base: CommitId,
    /// The branch that it will be merged into.
    pub base_branch: String,
}

/// One command of the platform's initialisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitStep {
    /// The command.
    pub command: String,
    /// Whether it succeeded.
    pub ok: bool,
    /// The end of its output, when it did not.
    #[serde(default)]
    pub output: String,
}

/// A pull request, on GitHub or local.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Where people see it; empty for a local one.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Whether it is a draft.
    #[serde(default)]
    pub draft: bool,
}

/// What publishing the Coder's work did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The head of the branch, when there is work on it.
    pub head: Option<CommitId>,
    /// Files changed against the base.
    pub files: u32,
    /// Lines added.
    pub added: u32,
    /// Lines removed.
    pub removed: u32,
    /// The whole diff, for a pull request that has no page of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// New files that were left out, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}
