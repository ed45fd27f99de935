//! One message as the page and terminal clients see it (the JSON form of the API), and how a post becomes one.
//!
//! Never keeps anything: `state.rs` does.

use serde::Serialize;

use super::markdown;
use crate::chat::{Button, Post};
use crate::ids::{MessageTs, UserId};

/// The author of what the person at the page wrote.
pub const YOU: &str = "you";

/// The author of what the daemon itself says.
const DAEMON: &str = "codebutler";

/// A message with its place in the chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The thread it is in.
    pub thread: MessageTs,
    /// Its id and its order.
    pub ts: MessageTs,
    /// The post's key, or `you/<ts>`.
    pub key: String,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
    /// Names of the reactions to it, oldest first.
    pub reactions: Vec<String>,
    /// Whether it was replaced since it was posted.
    pub edited: bool,
    /// The version of the chat in which it last changed.
    pub version: u64,
}

/// What a message says: everything that an edit replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Body {
    /// `you`, a role's title (`PM`), or `codebutler`.
    pub author: String,
    /// The text as it was written.
    pub markdown: String,
    /// The text as HTML without anything active in it.
    pub html: String,
    /// Buttons below it.
    pub buttons: Vec<Button>,
    /// The file it shows.
    pub file: Option<File>,
    /// Whether it is for the reader only and will not be there again after a restart.
    pub ephemeral: bool,
}

/// A file that is shown in the thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its language; `diff` is coloured.
    pub syntax: String,
    /// Its content.
    pub content: String,
}

impl Body {
    /// What the person at the page wrote.
    pub fn said(text: &str) -> Self {
        Self::text(YOU, text)
    }

    /// What a post shows; `None` for a reaction, which is part of another message, and for what is meant for
    /// somebody who is not at this page.
    pub fn of(post: &Post) -> Option<Self> {
        match post {
            Post::Message { role, text, buttons } => {
                Some(Self { buttons: buttons.clone(), ..Self::text(author(role.as_ref()), text) })
            }
            Post::File { role, name, syntax, content } => {
                let file = File { name: name.clone(), syntax: syntax.clone(), content: content.clone() };
                Some(Self { file: Some(file), ..Self::text(author(role.as_ref()), "") })
            }
            Post::Ephemeral { to, text } if *to == UserId::local() => {
                Some(Self { ephemeral: true, ..Self::text(DAEMON, text) })
            }
            Post::Ephemeral { .. } | Post::Reaction { .. } => None,
        }
    }

    fn text(author: &str, text: &str) -> Self {
        Self {
            author: author.to_owned(),
            markdown: text.to_owned(),
            html: markdown::html(text),
            buttons: Vec::new(),
            file: None,
            ephemeral: false,
        }
    }
}

fn author(role: Option<&String>) -> &str {
    role.map_or(DAEMON, String::as_str)
}
