//! What events carry: messages, replies, results, the worktree, the pull request.
//!
//! Stored for years with the events: fields are only added, with a default; nothing is renamed.

use serde::{Deserialize, Serialize};

use crate::agent::{Role, ToolCall, Usage};
use crate::ids::{CommitId, MessageTs, UserId};

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
        /// The fallback that gave the last answer in its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stand_in: Option<String>,
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
    /// What was said in the chat thread before the bot was part of it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Earlier>,
    /// Something that people should know: for example that the remote could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Something that was said in the chat thread before the bot was part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredEarlier")]
pub struct Earlier {
    /// Its id; `None` for a remark of ours about what could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<MessageTs>,
    /// The name people know the writer by; `None` for a remark of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was said, as Markdown.
    pub text: String,
    /// Names of attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl Earlier {
    /// A remark of ours, which nobody can change.
    pub fn remark(text: impl Into<String>) -> Self {
        Self { ts: None, name: None, text: text.into(), files: Vec::new() }
    }

    /// As the PM is told of it: `Name: text [file: name]`.
    pub fn line(&self) -> String {
        let files = self.files.iter().map(|file| format!("[file: {file}]"));
        let text = Some(self.text.clone()).filter(|text| !text.trim().is_empty());
        let said = text.into_iter().chain(files).collect::<Vec<_>>().join(" ");
        self.name.iter().map(|name| format!("{name}: ")).collect::<String>() + &said
    }

    /// Takes a line of an earlier log apart. Its parts are those it was made of, unless a name has `: ` in it or a text
    /// what a file looks like; the line they make is the same.
    fn read(ts: Option<MessageTs>, line: &str) -> Self {
        let (name, said) = line.split_once(": ").map_or((None, line), |(name, said)| (Some(name.to_owned()), said));
        let files_at = if said.starts_with("[file: ") { Some(0) } else { said.find(" [file: ") };
        let parts = files_at.map(|at| said.split_at(at)).and_then(|(text, files)| {
            let names = files.trim_start().strip_prefix("[file: ")?.strip_suffix(']')?;
            Some((text, names.split("] [file: ").map(str::to_owned).collect()))
        });
        let (text, files) = parts.unwrap_or((said, Vec::new()));
        Self { ts, name, text: text.to_owned(), files }
    }
}

/// As it is stored: the first logs had the line alone, later ones the line with its id.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredEarlier {
    Line(String),
    Whole {
        #[serde(default)]
        ts: Option<MessageTs>,
        line: String,
    },
    Parts {
        #[serde(default)]
        ts: Option<MessageTs>,
        #[serde(default)]
        name: Option<String>,
        text: String,
        #[serde(default)]
        files: Vec<String>,
    },
}

impl From<StoredEarlier> for Earlier {
    fn from(stored: StoredEarlier) -> Self {
        match stored {
            StoredEarlier::Line(line) => Self::read(None, &line),
            StoredEarlier::Whole { ts, line } => Self::read(ts, &line),
            StoredEarlier::Parts { ts, name, text, files } => Self { ts, name, text, files },
        }
    }
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
    /// Whether it ended at the output limit, in the middle of what the model had to say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The model that answered.
    pub model: String,
    /// The model that was meant, when a fallback answered in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
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
        /// What it was at then, a few words each: the calls that were cut.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        doing: Vec<String>,
        /// Whether the thread ends with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        closing: bool,
    },
    /// It used up its turns.
    LimitReached {
        /// The limit.
        turns: u32,
        /// The role's last words.
        text: String,
    },
    /// It went in circles, whatever help it got.
    Stuck {
        /// What it did, after “it had”.
        what: String,
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
