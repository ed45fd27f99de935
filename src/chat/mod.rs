//! The chat port: what comes in from people, what goes out to them. `slack/`, `local/` and
//! `terminal` implement it.
//!
//! The model here is the product's, not Slack's: Markdown, cards with buttons, files. Each adapter translates.

pub mod local;
pub mod slack;
pub mod terminal;

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};
pub use crate::render::post::{Button, ButtonStyle, Post};
use crate::thread::event::Earlier;
use crate::thread::outside::Sighting;

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

impl Incoming {
    /// Which message it is or changes, which says when that was written; `None` for what is no message.
    pub fn said_at(&self) -> Option<&MessageTs> {
        match &self.what {
            IncomingKind::Message { ts, .. } | IncomingKind::Edited { ts, .. } | IncomingKind::Deleted { ts } => {
                Some(ts)
            }
            IncomingKind::Pressed { .. } | IncomingKind::PullChanged { .. } => None,
        }
    }
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
        /// When, as far as the chat says: the newer of two edits counts, whichever comes first.
        #[serde(default)]
        at: Option<MessageTs>,
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
    /// Changed the thread's pull request on its forge. No chat gives this: the watch over pull requests does.
    PullChanged {
        /// How it was seen there.
        seen: Sighting,
    },
}

/// Takes what people do, durably. Returns only when it is stored; an error means that it is not, and that the chat
/// must deliver it again.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Stores one thing. `Ok(false)`: it was there already, or its channel is bound to no repository.
    async fn accept(&self, incoming: Incoming) -> Result<bool, IntakeError>;

    /// Sets the model that the PM uses by default in a channel, by its name in the pool; answers in words.
    async fn choose_channel_model(&self, channel: &ChannelId, by: &UserId, name: &str) -> Result<String, IntakeError>;

    /// The channels that are bound to a repository, with their names.
    fn bound_channels(&self) -> Vec<(ChannelId, String)>;

    /// Where a channel stands, for a chat that fetches what came while it did not listen. The others need not ask.
    async fn heard_until(&self, _channel: &ChannelId) -> Result<CatchUp, IntakeError> {
        Ok(CatchUp::default())
    }

    /// Remembers, durably, how well a channel is heard.
    async fn note(&self, _channel: &ChannelId, _hearing: Hearing) -> Result<(), IntakeError> {
        Ok(())
    }
}

/// Where a channel stands when what was missed is to be fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// What is newer than this may have been missed; nothing older may be taken in. `None`: the channel was never
    /// served, and nothing that is there already is for us.
    pub since: Option<MessageTs>,
    /// Threads in which we were active of late, the latest first.
    pub threads: Vec<MessageTs>,
    /// The dedupe keys of everything that is stored since then. They hold however long ago it came.
    pub known: HashSet<String>,
    /// Those that are open and in which something happened in the last days: what was changed in them is looked for.
    pub open: Vec<MessageTs>,
    /// Messages of the last days that were received before anything could be missed, and are not known to be deleted.
    pub held: Vec<Incoming>,
}

/// How well a channel is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It is served for the first time; what is not newer than this is none of our business.
    First(MessageTs),
    /// From now on something may be missed.
    Gap,
    /// Nothing is missed: everything up to this message was heard or fetched.
    Whole(MessageTs),
}

/// The timestamp of a message that is so much older. A timestamp of another form stays as it is.
pub fn earlier(ts: &MessageTs, by: Duration) -> MessageTs {
    let parts = ts.as_str().split_once('.').and_then(|(seconds, rest)| Some((seconds.parse::<u64>().ok()?, rest)));
    match parts {
        Some((seconds, rest)) => MessageTs::new(format!("{:010}.{rest}", seconds.saturating_sub(by.as_secs()))),
        None => ts.clone(),
    }
}

/// Storing failed; the chat must deliver again.
#[derive(Debug, thiserror::Error)]
#[error("the message could not be stored")]
pub struct IntakeError(#[source] pub anyhow::Error);

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

    /// What was said in the thread before `before`, oldest first.
    async fn history(&self, thread: &ThreadKey, before: &MessageTs) -> Result<Vec<Earlier>, ChatError>;

    /// The least time between two posts of one channel, after a short burst, and between two versions of one message;
    /// zero where nothing limits them.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    /// Shows, by a way of the chat's own if it has one, whether we are at work in a thread. Nobody depends on it: what
    /// must be seen is posted. What the chat does not offer is no error.
    async fn show_presence(&self, _thread: &ThreadKey, _presence: &Presence) -> Result<(), ChatError> {
        Ok(())
    }

    /// How the chat keeps what it shows so.
    fn presence_kept(&self) -> Kept {
        Kept::Nothing
    }

    /// Where the thread can be opened; `None` when it has no address that others can reach.
    fn permalink(&self, thread: &ThreadKey) -> Option<String>;
}

/// What we do in a thread, as a chat itself may show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// We are at work, on this; said when it begins, and from time to time again, since chats forget it.
    Works(String),
    /// We still are, on something else.
    Says(String),
    /// We are not any more.
    Rests,
}

/// How a chat keeps what is shown of our presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It shows nothing of the kind, or does not offer it now.
    Nothing,
    /// It forgets it soon by itself.
    Awhile,
    /// It goes on showing it when we are gone, so that it must be known to the next life.
    Long,
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
    /// The service refuses.
    #[error("the chat refused: {code}")]
    Refused {
        /// The service's error code.
        code: String,
        /// What somebody can do about it, a main clause, when it is us that are refused and not the post: the bot was taken
        /// out of the channel, the token changed. `None`: it is refused for good, and trying again does not help.
        remedy: Option<&'static str>,
    },
}
