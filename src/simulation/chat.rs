//! A chat in memory: what it shows outlives the lives. Shows each post once; the same key twice in a thread is a
//! violation, as people would see it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::fate::{Fate, Trouble};
use crate::chat::{Chat, ChatError, Post};
use crate::ids::{MessageTs, ThreadKey};
use crate::thread::event::Earlier;

/// A post as people see it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub ts: MessageTs,
    pub key: String,
    pub post: Post,
    /// When it was posted or last changed.
    pub at: i64,
}

/// An ephemeral message.
#[derive(Clone, Debug)]
pub struct Whisper {
    pub key: String,
    pub at: i64,
}

/// What the chat shows.
#[derive(Default)]
pub struct Room {
    number: u64,
    pub posts: BTreeMap<ThreadKey, Vec<Shown>>,
    pub whispers: BTreeMap<ThreadKey, Vec<Whisper>>,
    pub reactions: BTreeMap<(ThreadKey, MessageTs), BTreeSet<String>>,
    /// What people said, as it stands now.
    pub said: BTreeMap<ThreadKey, Vec<Earlier>>,
    pub violations: Vec<String>,
}

impl Room {
    /// The timestamp of a message that is posted now.
    pub fn stamp(&mut self, now: i64) -> MessageTs {
        self.number += 1;
        MessageTs::new(format!("{}.{:06}", now / 1000, self.number))
    }

    pub fn thread(&self, key: &ThreadKey) -> &[Shown] {
        self.posts.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn has_reaction(&self, key: &ThreadKey, ts: &MessageTs, name: &str) -> bool {
        self.reactions.get(&(key.clone(), ts.clone())).is_some_and(|names| names.contains(name))
    }
}

/// The chat as the product sees it.
#[derive(Clone)]
pub struct SimulatedChat {
    room: Arc<Mutex<Room>>,
    changed: Arc<Notify>,
    fate: Fate,
}

impl SimulatedChat {
    pub fn new(fate: Fate) -> Self {
        Self { room: Arc::default(), changed: Arc::default(), fate }
    }

    pub fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notified when something new is shown.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Begins a call: says whether its answer will be lost.
    async fn begin(&self, call: &str, thread: &ThreadKey, key: &str) -> Result<bool, ChatError> {
        let thread = thread.to_text();
        self.fate.at(&format!("chat.{call}.start {key} in {thread}")).await;
        match self.fate.trouble(&format!("chat.{call} {key} in {thread}")) {
            Trouble::Before => Err(unreachable("no network")),
            Trouble::TooFast(ms) => Err(ChatError::RateLimited { retry_after_ms: ms }),
            // What people need to see is never refused for good; a progress message may be.
            Trouble::Refused if call == "edit" && key.starts_with("progress/") => {
                Err(ChatError::Refused { code: "msg_too_long".to_owned(), remedy: None })
            }
            Trouble::After => Ok(true),
            Trouble::Refused | Trouble::None => Ok(false),
        }
    }

    async fn end(&self, call: &str, thread: &ThreadKey, key: &str, lost: bool) -> Result<(), ChatError> {
        self.changed.notify_one();
        self.fate.at(&format!("chat.{call}.end {key} in {}", thread.to_text())).await;
        if lost { Err(unreachable("the answer was lost")) } else { Ok(()) }
    }
}

fn unreachable(why: &'static str) -> ChatError {
    ChatError::Unreachable(anyhow::anyhow!(why))
}

#[async_trait]
impl Chat for SimulatedChat {
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
        let _busy = self.fate.enter();
        let lost = self.begin("post", thread, key).await?;
        self.fate.note(&format!("in {thread} shows {post:?}"));
        let made = {
            let now = self.fate.now();
            let mut room = self.room();
            let ts = room.stamp(now);
            match post {
                Post::Message { .. } | Post::File { .. } => {
                    let posts = room.posts.entry(thread.clone()).or_default();
                    let twice = posts.iter().any(|shown| shown.key == key);
                    posts.push(Shown { ts: ts.clone(), key: key.to_owned(), post: post.clone(), at: now });
                    if twice {
                        room.violations.push(format!("{thread}: the post `{key}` was made twice"));
                    }
                    Some(ts)
                }
                Post::Ephemeral { .. } => {
                    let whisper = Whisper { key: key.to_owned(), at: now };
                    let whispers = room.whispers.entry(thread.clone()).or_default();
                    let twice = whispers.iter().any(|whisper| whisper.key == key);
                    whispers.push(whisper);
                    if twice {
                        room.violations.push(format!("{thread}: the ephemeral `{key}` was shown twice"));
                    }
                    None
                }
                Post::Reaction { ts: to, name } => {
                    room.reactions.entry((thread.clone(), to.clone())).or_default().insert(name.clone());
                    None
                }
            }
        };
        self.end("post", thread, key, lost).await?;
        Ok(made)
    }

    async fn edit(&self, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
        let _busy = self.fate.enter();
        let lost = self.begin("edit", thread, key).await?;
        self.fate.note(&format!("in {thread} changes {post:?}"));
        {
            let now = self.fate.now();
            let mut room = self.room();
            let shown = room.posts.entry(thread.clone()).or_default().iter_mut().find(|shown| shown.ts == *ts);
            match shown {
                Some(shown) if shown.key == key => {
                    shown.post = post.clone();
                    shown.at = now;
                }
                Some(_) | None => {
                    room.violations.push(format!("{thread}: an edit of {ts} as `{key}`, which it is not"));
                }
            }
        }
        self.end("edit", thread, key, lost).await
    }

    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
        let _busy = self.fate.enter();
        let lost = self.begin("find", thread, key).await?;
        let found = self.room().thread(thread).iter().find(|shown| shown.key == key).map(|shown| shown.ts.clone());
        self.end("find", thread, key, lost).await?;
        Ok(found)
    }

    async fn history(&self, thread: &ThreadKey, before: &MessageTs) -> Result<Vec<Earlier>, ChatError> {
        let _busy = self.fate.enter();
        let lost = self.begin("history", thread, thread.ts.as_str()).await?;
        let said = self.room().said.get(thread).cloned().unwrap_or_default();
        let said = said.into_iter().filter(|said| said.ts.as_ref() < Some(before)).collect();
        self.end("history", thread, thread.ts.as_str(), lost).await?;
        Ok(said)
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn permalink(&self, thread: &ThreadKey) -> Option<String> {
        Some(format!("https://chat.example/{}", thread.ts))
    }
}
