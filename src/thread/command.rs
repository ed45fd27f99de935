//! What someone wants of a thread: a person spoke or pressed, a model replied, an effect finished.
//!
//! Commands are not stored; the events that they lead to are.

use super::checks::{Baseline, CheckRun};
use super::context::{Change, Wanted};
use super::event::{Base, Failure, InitStep, Message, Publication, PullRequest, Reply, ToolResult, Workspace};
use super::outside::Sighting;
use super::spending::Spent;
use crate::ids::{CallId, CommitId, MessageTs, RunId, UserId};

/// Something that a thread is asked to deal with.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A person wrote a message in the thread.
    Say {
        /// The message.
        message: Message,
        /// Whether it began with the bot's mention, so that its first word may be a command.
        to_bot: bool,
    },
    /// A person edited a message.
    Edit {
        /// Which.
        ts: MessageTs,
        /// Who.
        by: UserId,
        /// The new text.
        text: String,
    },
    /// A person deleted a message.
    Delete {
        /// Which.
        ts: MessageTs,
        /// Who wrote it.
        by: UserId,
    },
    /// A person pressed a button.
    Press {
        /// The button's action id.
        action: Action,
        /// The id of the thing it is about.
        value: String,
        /// Who.
        by: UserId,
        /// The name that person is known by.
        name: String,
    },
    /// Preparing the base ended.
    BasePrepared(Result<Base, Failure>),
    /// A run is about to ask its model.
    CallDue {
        /// The run.
        run: RunId,
    },
    /// A request to a model used something and brought nothing.
    Spent(Spent),
    /// A model call ended.
    ModelAnswered {
        /// The run.
        run: RunId,
        /// The turn.
        turn: u32,
        /// What came.
        result: Result<Reply, Failure>,
    },
    /// Before a model can be asked, something must be done about the conversation's length.
    ContextWanted {
        /// The run.
        run: RunId,
        /// The turn.
        turn: u32,
        /// What.
        wanted: Wanted,
    },
    /// A tool call ended.
    ToolDone {
        /// The run.
        run: RunId,
        /// The call.
        call: CallId,
        /// What the model reads.
        result: ToolResult,
        /// What it did to the world that the thread must know.
        deeds: Vec<Deed>,
    },
    /// Making the worktree ended.
    WorkspacePrepared(Result<Workspace, Failure>),
    /// Initialising the worktree ended.
    WorkspaceInitialised(Vec<InitStep>),
    /// Running the checks on the untouched base ended.
    BaselineTaken(Baseline),
    /// A check of the Coder's work ended.
    CheckDone {
        /// The run.
        run: RunId,
        /// How it ended; `None`: nothing was changed that could be checked.
        check: Option<CheckRun>,
    },
    /// Publishing the Coder's work ended.
    PublishDone {
        /// The run.
        run: RunId,
        /// What was done.
        result: Result<Publication, Failure>,
        /// What it did to the world.
        deeds: Vec<Deed>,
    },
    /// The merge ended.
    MergeDone(Result<CommitId, NotMerged>),
    /// The clean-up ended; what is left is named.
    CleanUpDone(Vec<String>),
    /// A run's place in the queue changed.
    Queued {
        /// The run.
        run: RunId,
        /// Its place from 1; `None`: it goes on.
        place: Option<u32>,
        /// The platform of the build that it waits to begin; `None`: it waits for its role's turn.
        build: Option<String>,
    },
    /// The pull request was seen on its forge otherwise than the thread left it.
    PullChanged(Sighting),
    /// The process began anew; these calls were cut.
    Interrupted {
        /// Calls that change something and had been released.
        calls: Vec<(RunId, CallId)>,
    },
}

/// Why a merge did not come about, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMerged {
    /// It was not done.
    Refused(Failure),
    /// It may have been done: the answer was lost, and nobody could be asked.
    Unknown(Failure),
}

/// Something that was done to git, the forge or the conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A commit was made.
    Committed(CommitId),
    /// The branch was pushed up to here.
    Pushed(CommitId),
    /// The pull request was opened or found.
    Opened(PullRequest),
    /// Something was done about the length of the conversation.
    Context(Change),
    /// A command changed files of the worktree.
    Touched,
    /// A push was refused: someone else had made this the head of the branch.
    FoundForeign(CommitId),
}

/// A button, by its action id (`contract.md` 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    PlanApprove,
    PlanChange,
    PlanCancel,
    AskOption,
    PrMerge,
    RunRetry,
    RunStop,
    PmModel,
    BudgetRaise,
    BudgetStop,
}

impl Action {
    /// All actions built so far.
    pub const ALL: [Self; 10] = [
        Self::PlanApprove,
        Self::PlanChange,
        Self::PlanCancel,
        Self::AskOption,
        Self::PrMerge,
        Self::RunRetry,
        Self::RunStop,
        Self::PmModel,
        Self::BudgetRaise,
        Self::BudgetStop,
    ];

    /// The action id as chats carry it.
    pub fn id(self) -> &'static str {
        match self {
            Self::PlanApprove => "plan_approve",
            Self::PlanChange => "plan_change",
            Self::PlanCancel => "plan_cancel",
            Self::AskOption => "ask_option",
            Self::PrMerge => "pr_merge",
            Self::RunRetry => "run_retry",
            Self::RunStop => "run_stop",
            Self::PmModel => "pm_model",
            Self::BudgetRaise => "budget_raise",
            Self::BudgetStop => "budget_stop",
        }
    }

    /// The action of that id.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.id() == id)
    }
}
