//! The chat port: what comes in from people, what goes out to them. `slack/` and `local/` implement it.
//!
//! The model here is the product's, not Slack's: Markdown, cards with buttons, files. Each adapter translates.

pub mod local;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};

/// Something that a person did in the chat, as it is stored in the inbox before anything else happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// The thread it belongs to. For a new thread: the message's own timestamp.
    pub thread: ThreadKey,
    /// Who did it.
    pub from: UserId,
    /// The name people know that person by; the id when it could not be had.
    pub name: String,
    /// What was done.
    pub what: IncomingKind,
    /// Keys under which the same thing may arrive again (`decisions.md` 4): event id, channel and ts, client id.
    pub dedupe: Vec<String>,
}

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IncomingKind {
    /// Wrote a message.
    Message {
        /// Its id.
        ts: MessageTs,
        /// Its text as Markdown, the bot's leading mention removed.
        text: String,
        /// Whether it began with the bot's mention.
        to_bot: bool,
        /// Names of attached files.
        files: Vec<String>,
    },
    /// Edited a message.
    Edited {
        /// Which.
        ts: MessageTs,
        /// The new text, as above.
        text: String,
    },
    /// Deleted a message.
    Deleted {
        /// Which.
        ts: MessageTs,
    },
    /// Pressed a button.
    Pressed {
        /// The button's action id.
        action: String,
        /// Its value.
        value: String,
    },
}

/// Takes what people do, durably. Returns only when it is stored; an error means that it is not, and that the chat
/// must deliver it again.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Stores one thing. `Ok(false)`: it was there already, or its channel is bound to no repository.
    async fn accept(&self, incoming: Incoming) -> Result<bool, IntakeError>;

    /// Sets the model that the PM uses by default in a channel, by its name in the pool; answers in words.
    async fn choose_channel_model(&self, channel: &ChannelId, name: &str) -> Result<String, IntakeError>;

    /// The channels that are bound to a repository, with their names.
    fn bound_channels(&self) -> Vec<(ChannelId, String)>;
}

/// Storing failed; the chat must deliver again.
#[derive(Debug, thiserror::Error)]
#[error("the message could not be stored")]
pub struct IntakeError(#[source] pub anyhow::Error);

/// What is to be seen in the chat. The outbox holds one such thing per key and brings the chat in line with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Post {
    /// A message; may be edited later by a newer version under the same key.
    Message {
        /// The role that speaks, as a title (`PM`); `None` for the daemon itself.
        role: Option<String>,
        /// Markdown.
        text: String,
        /// Buttons below it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        buttons: Vec<Button>,
    },
    /// A file.
    File {
        /// The role that shows it.
        role: Option<String>,
        /// Its name, with an extension.
        name: String,
        /// Its language for highlighting (`rust`); may be empty.
        syntax: String,
        /// Its content.
        content: String,
    },
    /// A reaction to a message.
    Reaction {
        /// The message.
        ts: MessageTs,
        /// Its name, `eyes` or `white_check_mark`.
        name: String,
    },
    /// A message that only one person sees. Never edited.
    Ephemeral {
        /// Who.
        to: UserId,
        /// Markdown.
        text: String,
    },
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// Its action id (`plan_approve`); unique within a message together with the value.
    pub action: String,
    /// The id of the thing it is about.
    pub value: String,
    /// What stands on it.
    pub label: String,
    /// How it looks.
    #[serde(default)]
    pub style: ButtonStyle,
    /// A page it opens in place of an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// How a button looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonStyle {
    /// As others.
    #[default]
    Plain,
    /// The one that most people press.
    Primary,
    /// Ends something.
    Danger,
}

/// Sends to a chat. One call is one try: the outbox orders, retries, coalesces, and stores the returned timestamp.
#[async_trait]
pub trait Chat: Send + Sync {
    /// Posts something new in the thread. `key` names it for ever: it is kept with the message, so that [`Chat::find`]
    /// knows it again. Reactions and ephemeral messages return `None`.
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError>;

    /// Replaces a message that was posted before.
    async fn edit(&self, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError>;

    /// Looks whether a post with this key is in the thread: its answer may have been lost.
    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError>;

    /// What was said in the thread before `before`, oldest first, as `Name: text`.
    async fn history(&self, thread: &ThreadKey, before: &MessageTs) -> Result<Vec<String>, ChatError>;

    /// Where the thread can be opened; `None` when it has no address that others can reach.
    fn permalink(&self, thread: &ThreadKey) -> Option<String>;
}

/// Why something could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// Too fast; try again after this many milliseconds.
    #[error("rate limited for {retry_after_ms} ms")]
    RateLimited {
        /// How long to wait.
        retry_after_ms: u64,
    },
    /// The service could not be reached, or its answer was lost: it may have happened. Look before trying again.
    #[error("the chat did not answer")]
    Unreachable(#[source] anyhow::Error),
    /// The service refuses for good; trying again does not help.
    #[error("the chat refused: {code}")]
    Refused {
        /// The service's error code.
        code: String,
    },
}
