//! Tells the log what happens in threads: a line per committed event worth reading, a line per post that was sent.
//! Decides nothing, and never logs what was said but at `debug`, and then its first words.

use tracing::Level;

use crate::ids::Millis;
use crate::render::post::Post;
use crate::render::posts::is_progress_key;
use crate::render::story::{self, Line, Tag};
use crate::store::DuePost;
use crate::thread::{Event, Thread};

/// How much of what was said stands in the log at `debug`, in characters.
const FIRST_WORDS: usize = 80;

/// Logs the events that a thread was just given; `before` is the thread without them.
pub fn log(before: &Thread, events: &[Event], at: Millis) {
    if !tracing::enabled!(Level::WARN) {
        return;
    }
    let mut thread = before.clone();
    for event in events {
        let mut after = thread.clone();
        after.apply(event, at);
        if let Some(line) = story::line(&thread, &after, event, at) {
            write(&after, &line);
        }
        thread = after;
    }
}

fn write(thread: &Thread, line: &Line) {
    let Line { tag, text, told } = line;
    match tag {
        Tag::Warning => tracing::warn!(thread.ts = %thread.key, "{text}"),
        Tag::Info => tracing::info!(thread.ts = %thread.key, "{text}"),
        Tag::Message | Tag::Role(_) => {
            tracing::info!(tag = tag.as_str(), thread.ts = %thread.key, "{text}");
        }
    }
    if told != text {
        let first_words: String = told.chars().take(FIRST_WORDS).collect();
        tracing::debug!(thread.ts = %thread.key, "in other words: {first_words}");
    }
}

/// Logs a post that the chat now shows. Progress changes with every turn, and is for `debug`.
pub fn sent(row: &DuePost) {
    let DuePost { thread, key, post, ts, .. } = row;
    let kind = match (post, ts) {
        (Post::Message { .. }, Some(_)) => "message edited",
        (Post::Message { .. }, None) => "message",
        (Post::File { .. }, _) => "file",
        (Post::Reaction { .. }, _) => "reaction",
        (Post::Ephemeral { .. }, _) => "message to one person",
    };
    if is_progress_key(key) {
        tracing::debug!(tag = "RSP", thread.ts = %thread, post.key = key, "{kind}");
    } else {
        tracing::info!(tag = "RSP", thread.ts = %thread, post.key = key, "{kind}");
    }
}
