//! The terminal as a chat, for `codebutler exec`: what is posted is handed to whoever prints it, what the person says comes in
//! like a message anywhere else.
//!
//! Keeps only what the outbox asks again, in memory: each life of the program has one thread and begins it itself. Posts
//! of other chats' threads that the store may hold are left to those chats.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::{Chat, ChatError, Incoming, IncomingKind, Post};
use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};
use crate::thread::event::Earlier;

/// The workspace and the channel of every thread of the terminal.
pub const PLACE: &str = "terminal";

/// The name by which roles know the person.
const NAME: &str = "you";

/// A post as it is now.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its id.
    pub ts: MessageTs,
    /// Its key.
    pub key: String,
    /// What it says.
    pub post: Post,
}

/// The terminal as a chat.
pub struct TerminalChat {
    show: Box<dyn Fn(Shown) + Send + Sync>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The last id that was given, in microseconds.
    latest: u64,
    keys: HashMap<(MessageTs, String), MessageTs>,
}

impl TerminalChat {
    /// A chat whose posts are given to `show`, and each again when it has changed.
    pub fn new(show: impl Fn(Shown) + Send + Sync + 'static) -> Self {
        Self { show: Box::new(show), kept: Mutex::default() }
    }

    /// The channel of its threads.
    pub fn channel() -> ChannelId {
        ChannelId::new(PLACE)
    }

    /// What the person writes, in this thread or as the first message of a new one.
    pub fn say(&self, thread: Option<&ThreadKey>, text: &str) -> Incoming {
        let ts = self.lock().fresh();
        let message = IncomingKind::Message { ts: ts.clone(), text: text.to_owned(), to_bot: false, files: Vec::new() };
        let place = || ThreadKey { workspace: PLACE.into(), channel: Self::channel(), ts: ts.clone() };
        incoming(thread.cloned().unwrap_or_else(place), message, &ts)
    }

    /// A button that the person presses.
    pub fn press(&self, thread: &ThreadKey, action: &str, value: &str) -> Incoming {
        let ts = self.lock().fresh();
        incoming(thread.clone(), IncomingKind::Pressed { action: action.to_owned(), value: value.to_owned() }, &ts)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn incoming(thread: ThreadKey, what: IncomingKind, ts: &MessageTs) -> Incoming {
    let dedupe = vec![format!("terminal/{ts}")];
    Incoming { thread, from: UserId::local(), name: NAME.to_owned(), what, dedupe }
}

impl Kept {
    /// An id later than all before it.
    fn fresh(&mut self) -> MessageTs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.latest = u64::try_from(since.as_micros()).unwrap_or_default().max(self.latest + 1);
        MessageTs::new(format!("{}.{:06}", self.latest / 1_000_000, self.latest % 1_000_000))
    }
}

/// Whose posts are not for the terminal.
fn is_ours(thread: &ThreadKey) -> Result<(), ChatError> {
    let remedy = Some("start `codebutler run` or `codebutler chat`, whichever had that thread");
    let ours = thread.workspace == PLACE;
    if ours { Ok(()) } else { Err(ChatError::Refused { code: "thread_of_another_chat".to_owned(), remedy }) }
}

#[async_trait]
impl Chat for TerminalChat {
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
        is_ours(thread)?;
        let ts = match post {
            // The person sees what became of it anyway.
            Post::Reaction { .. } => return Ok(None),
            Post::Ephemeral { .. } | Post::Message { .. } | Post::File { .. } => {
                let mut kept = self.lock();
                let fresh = kept.fresh();
                kept.keys.entry((thread.ts.clone(), key.to_owned())).or_insert(fresh).clone()
            }
        };
        (self.show)(Shown { ts: ts.clone(), key: key.to_owned(), post: post.clone() });
        Ok((!matches!(post, Post::Ephemeral { .. })).then_some(ts))
    }

    async fn edit(&self, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
        is_ours(thread)?;
        (self.show)(Shown { ts: ts.clone(), key: key.to_owned(), post: post.clone() });
        Ok(())
    }

    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
        is_ours(thread)?;
        Ok(self.lock().keys.get(&(thread.ts.clone(), key.to_owned())).cloned())
    }

    async fn history(&self, _thread: &ThreadKey, _before: &MessageTs) -> Result<Vec<Earlier>, ChatError> {
        // Every thread of the terminal began with us.
        Ok(Vec::new())
    }

    fn permalink(&self, _thread: &ThreadKey) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn message(text: &str) -> Post {
        Post::Message { role: None, text: text.to_owned(), buttons: Vec::new() }
    }

    #[tokio::test]
    async fn a_post_is_shown_under_its_key_and_found_again_and_others_are_left_alone() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&seen);
        let chat = TerminalChat::new(move |post| shown.lock().expect("no panic").push((post.key, post.ts)));
        let begun = chat.say(None, "do it");
        let thread = begun.thread.clone();
        assert!(matches!(&begun.what, IncomingKind::Message { ts, .. } if *ts == thread.ts));
        let ts = chat.post(&thread, "plan/1", &message("a")).await.expect("posted").expect("an id");
        assert!(ts > thread.ts, "cards are later than what they answer");
        assert_eq!(chat.post(&thread, "plan/1", &message("a")).await.expect("posted"), Some(ts.clone()));
        chat.edit(&thread, &ts, "plan/1", &message("b")).await.expect("edited");
        assert_eq!(chat.find(&thread, "plan/1").await.expect("looked"), Some(ts.clone()));
        let expected = vec![("plan/1".to_owned(), ts); 3];
        assert_eq!(*seen.lock().expect("no panic"), expected);
        let answer = chat.say(Some(&thread), "yes");
        assert!(answer.thread == thread && matches!(&answer.what, IncomingKind::Message { ts, .. } if *ts > thread.ts));
        let other = ThreadKey { workspace: "T1".into(), ..thread };
        let refused = chat.post(&other, "plan/1", &message("a")).await;
        assert!(matches!(refused, Err(ChatError::Refused { remedy: Some(_), .. })), "it waits for its own chat");
    }
}
