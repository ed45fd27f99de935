//! A chat that lives in memory and is as unkind as it is told to be.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::chat::{Chat, ChatError};
use crate::ids::{MessageTs, ThreadKey};
use crate::render::post::Post;
use crate::thread::event::Earlier;

/// How the chat treats one call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    TooFast(u64),
    /// Does it or not, but the answer is lost after so many milliseconds.
    Lost {
        done: bool,
        after: u64,
    },
    /// Does it, slowly.
    Slow(u64),
    Refuses,
    /// Does not let us in for the moment.
    KeepsOut,
    /// What speaks to it has a bug.
    Bug,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) channel: String,
    pub(super) key: String,
    pub(super) ts: MessageTs,
    pub(super) text: String,
    pub(super) edits: usize,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) messages: Vec<Message>,
    pub(super) reactions: Vec<String>,
    /// What comes next for a key; a friendly answer when nothing is left.
    pub(super) moods: HashMap<String, VecDeque<Mood>>,
    /// Which keys have a call under way, the most reactions at once, and when each call began.
    pub(super) now: HashSet<String>,
    pub(super) most_reactions: usize,
    pub(super) began: Vec<(String, Duration)>,
    pub(super) finds: usize,
    /// The channel into which the bot is not let.
    pub(super) closed: Option<&'static str>,
    /// Nothing can be reached.
    pub(super) down: bool,
    /// Texts that the chat fails for, whatever else it takes.
    pub(super) poison: HashSet<String>,
    pub(super) pace: Duration,
    /// The most calls at once for what is not a reaction.
    pub(super) most_posts: usize,
    pub(super) start: Option<Instant>,
}

#[derive(Clone, Default)]
pub(super) struct Room(Arc<Mutex<State>>);

impl Room {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }

    pub(super) fn mood(&self, key: &str, moods: &[Mood]) {
        self.state().moods.insert(key.to_owned(), moods.iter().copied().collect());
    }

    /// One call: `act` is done unless the mood is against it.
    async fn call<T>(
        &self,
        thread: &ThreadKey,
        key: &str,
        shown: &str,
        reaction: bool,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<T, ChatError> {
        let mood = {
            let mut state = self.state();
            let start = *state.start.get_or_insert_with(Instant::now);
            state.began.push((key.to_owned(), Instant::now() - start));
            assert!(state.now.insert(key.to_owned()), "two calls at once for {key}");
            let reactions = state.now.iter().filter(|key| key.starts_with("eyes/")).count();
            state.most_reactions = state.most_reactions.max(if reaction { reactions } else { 0 });
            let posts = state.now.len() - reactions;
            state.most_posts = state.most_posts.max(posts);
            let fails = state.down || state.poison.contains(shown);
            let closed = state.closed == Some(thread.channel.as_str());
            let mood = state.moods.get_mut(key).and_then(VecDeque::pop_front);
            let lost = fails.then_some(Mood::Lost { done: false, after: 1 });
            if closed { Some(Mood::KeepsOut) } else { lost.or(mood) }
        };
        let lost = || ChatError::Unreachable(anyhow::anyhow!("lost"));
        let (wait, done, result) = match mood {
            None => (0, true, Ok(())),
            Some(Mood::Slow(wait)) => (wait, true, Ok(())),
            Some(Mood::TooFast(retry_after_ms)) => (1, false, Err(ChatError::RateLimited { retry_after_ms })),
            Some(Mood::Refuses) => (1, false, Err(ChatError::Refused { code: "no".into(), remedy: None })),
            Some(Mood::KeepsOut) => {
                (1, false, Err(ChatError::Refused { code: "not_in_channel: x".into(), remedy: Some("invite the bot") }))
            }
            Some(Mood::Lost { done, after }) => (after, done, Err(lost())),
            Some(Mood::Bug) => {
                self.state().now.remove(key);
                panic!("a bug with {key}");
            }
        };
        let acted = done.then(|| act(&mut self.state()));
        // At once, but not always equally fast, so that calls end at every point of what the sender does.
        let turns = self.state().began.len() % 7;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        self.state().now.remove(key);
        result.map(|()| acted.expect("it was done"))
    }

    pub(super) fn keys(&self, channel: &str) -> Vec<String> {
        self.state().messages.iter().filter(|message| message.channel == channel).map(|m| m.key.clone()).collect()
    }

    /// When the calls for a key began, in seconds.
    pub(super) fn began(&self, key: &str) -> Vec<f64> {
        self.state().began.iter().filter(|(of, _)| of == key).map(|(_, at)| at.as_secs_f64()).collect()
    }
}

fn text(post: &Post) -> String {
    match post {
        Post::Message { text, .. } | Post::Ephemeral { text, .. } => text.clone(),
        Post::File { content, .. } => content.clone(),
        Post::Reaction { name, .. } => name.clone(),
    }
}

#[async_trait]
impl Chat for Room {
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
        let (channel, shown) = (thread.channel.to_string(), text(post));
        let (reaction, ephemeral) = (matches!(post, Post::Reaction { .. }), matches!(post, Post::Ephemeral { .. }));
        let words = shown.clone();
        let act = |state: &mut State| {
            if reaction {
                state.reactions.push(key.to_owned());
                return None;
            }
            let ts = MessageTs::new(format!("5.{}", state.messages.len()));
            let message = Message { channel, key: key.to_owned(), ts: ts.clone(), text: shown, edits: 0 };
            state.messages.push(message);
            (!ephemeral).then_some(ts)
        };
        self.call(thread, key, &words, reaction, act).await
    }

    async fn edit(&self, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
        let act = |state: &mut State| {
            let message = state.messages.iter_mut().find(|message| message.ts == *ts).expect("an edit after its post");
            message.text = text(post);
            message.edits += 1;
        };
        self.call(thread, key, &text(post), false, act).await
    }

    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
        let mut state = self.state();
        state.finds += 1;
        if state.down {
            return Err(ChatError::Unreachable(anyhow::anyhow!("no network")));
        }
        let is_it = |message: &&Message| message.channel == thread.channel.as_str() && message.key == key;
        Ok(state.messages.iter().find(is_it).map(|message| message.ts.clone()))
    }

    async fn history(&self, _thread: &ThreadKey, _before: &MessageTs) -> Result<Vec<Earlier>, ChatError> {
        Ok(Vec::new())
    }

    fn pace(&self) -> Duration {
        self.state().pace
    }

    fn permalink(&self, _thread: &ThreadKey) -> Option<String> {
        None
    }
}
