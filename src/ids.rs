//! Newtypes for everything that has an identity, so that no two kinds of id can be swapped by mistake.
//!
//! Parsed once at the edge; never empty. No behaviour beyond parsing and display.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a text that is known to be such an id.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_id! {
    /// A chat user: Slack's `U…`, or `local` for the local page and the terminal.
    UserId
}
text_id! {
    /// A chat channel: Slack's `C…` or `G…`, or `local`.
    ChannelId
}
text_id! {
    /// A message's timestamp within its channel (`1700000000.000100`): its id there, and its order.
    MessageTs
}
text_id! {
    /// The id that a model gave to one tool call; unique within one request.
    CallId
}
text_id! {
    /// A plan's id: a hash of its content, base commit and approval rules. A changed plan is another plan.
    PlanId
}
text_id! {
    /// A question's id within its thread: `q` and the number of the event that asked it.
    QuestionId
}
text_id! {
    /// A commit's full hexadecimal hash.
    CommitId
}
text_id! {
    /// Names one effect of one thread, stable over restarts: `run/3/turn/2`, `merge/1`.
    EffectId
}

impl UserId {
    /// The user of the local page and of the terminal, who is always an approver (`contract.md` 3).
    pub fn local() -> Self {
        Self::new("local")
    }

    /// Whoever does something on the forge: not known as a person of the chat, so that it may nothing here.
    pub fn forge() -> Self {
        Self::new("forge")
    }
}

impl MessageTs {
    /// Whether this was said before that in the same channel.
    pub fn is_before(&self, other: &Self) -> bool {
        // Digits of the same length, but for a thread's own made-up ids.
        (self.0.len(), &self.0) < (other.0.len(), &other.0)
    }
}

impl CommitId {
    /// The first seven characters, as people write commits.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

/// Number of a run within its thread, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which load of a thread this is: whoever loads it later takes a higher one, and then the older may not write any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A thread: workspace, channel, and the timestamp of its first message. The timestamp alone is unique
/// only within a channel (`decisions.md` 5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ThreadKey {
    /// Slack's team id (`T…`), or `local`.
    pub workspace: String,
    /// The channel.
    pub channel: ChannelId,
    /// The first message's timestamp.
    pub ts: MessageTs,
}

impl ThreadKey {
    /// The text form under which a store files it: `T1/C1/1700000000.000100`.
    pub fn to_text(&self) -> String {
        format!("{}/{}/{}", self.workspace, self.channel, self.ts)
    }

    /// Reads [`ThreadKey::to_text`] back; `None` when the text has another shape.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (workspace, channel, ts) = (parts.next()?, parts.next()?, parts.next()?);
        if workspace.is_empty() || channel.is_empty() || ts.is_empty() {
            return None;
        }
        Some(Self { workspace: workspace.to_owned(), channel: ChannelId::new(channel), ts: MessageTs::new(ts) })
    }
}

impl fmt::Display for ThreadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.ts.as_str())
    }
}

/// A moment: milliseconds since 1970 in UTC, given to the pure core from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Milliseconds from `earlier` to this moment, 0 when the clock went backwards.
    pub fn since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).max(0)
    }
}
