//! What is to be seen in a chat, as data: messages with buttons, files, reactions. Adapters translate it.

use serde::{Deserialize, Serialize};

use crate::ids::{MessageTs, UserId};

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
