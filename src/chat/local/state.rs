//! What is on the page: messages by timestamp, the keys that name posts, and which message changed when.
//!
//! Plain data without clock, lock or IO. Every change raises the version by one and files the message under it, so
//! that a client which knows a version can be told everything that came after it, in order and without a gap.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::mention;
use super::message::{Body, Message, YOU};
use crate::chat::Button;
use crate::ids::MessageTs;

/// The reaction that says that a message's run ended (`contract.md` 3).
const DONE: &str = "white_check_mark";

/// Characters of a thread's title.
const TITLE_CHARS: usize = 80;

/// The whole chat.
pub struct State {
    messages: BTreeMap<MessageTs, Entry>,
    keys: HashMap<(MessageTs, String), MessageTs>,
    changes: BTreeMap<u64, MessageTs>,
    version: u64,
    latest: u64,
    /// Threads in which a person did something and nothing was posted since.
    awaited: HashSet<MessageTs>,
}

struct Entry {
    message: Message,
    /// False while the daemon has not yet stored what a person wrote.
    shown: bool,
}

/// What the list of threads shows of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its first message.
    pub ts: MessageTs,
    /// The first line of its first message.
    pub title: String,
    /// Whose turn it is.
    pub state: Turn,
}

/// Whose turn it is in a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// A card waits for the person.
    Waiting,
    /// A role works.
    Working,
    /// Nobody's.
    Idle,
}

/// A thread with everything in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ThreadView {
    #[serde(flatten)]
    summary: Summary,
    messages: Vec<Message>,
}

/// One changed message and its thread as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The version that the change made.
    pub version: u64,
    thread: Summary,
    message: Message,
}

impl State {
    /// An empty chat. `version` must be greater than any that an earlier process on this port has given out: its
    /// clients come back with it.
    pub fn new(version: u64) -> Self {
        let (messages, keys, changes) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        Self { messages, keys, changes, version, latest: 0, awaited: HashSet::new() }
    }

    /// The number of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A timestamp that no message has and that is later than all of them. `now` is in microseconds since 1970.
    fn fresh_ts(&mut self, now: u64) -> MessageTs {
        self.latest = now.max(self.latest + 1);
        MessageTs::new(format!("{}.{:06}", self.latest / 1_000_000, self.latest % 1_000_000))
    }

    /// Keeps what a person wrote, not yet shown. Without a thread it begins one. Returns thread and timestamp.
    pub fn hold(&mut self, thread: Option<MessageTs>, body: Body, now: u64) -> (MessageTs, MessageTs) {
        let ts = self.fresh_ts(now);
        let thread = thread.unwrap_or_else(|| ts.clone());
        self.expect_post(&thread);
        self.insert(thread.clone(), ts.clone(), format!("you/{ts}"), body, false);
        (thread, ts)
    }

    /// Shows what was held.
    pub fn show(&mut self, ts: &MessageTs) {
        if let Some(entry) = self.messages.get_mut(ts)
            && !entry.shown
        {
            entry.shown = true;
            self.touch(ts);
        }
    }

    /// Forgets what was held and could not be stored.
    pub fn forget(&mut self, ts: &MessageTs) {
        if let Some(entry) = self.messages.get(ts)
            && !entry.shown
        {
            self.awaited.remove(&entry.message.thread);
            self.messages.remove(ts);
        }
    }

    /// Something was done in a thread that will lead to a post: until then the thread counts as being worked on. What
    /// comes at once, such as an approved card, changes known messages only.
    pub fn expect_post(&mut self, thread: &MessageTs) {
        self.awaited.insert(thread.clone());
    }

    /// What was done in a thread was not taken.
    pub fn expect_nothing(&mut self, thread: &MessageTs) {
        self.awaited.remove(thread);
    }

    /// Shows a post under a fresh timestamp, or under its own when the key is known: a key names one post for ever.
    pub fn post(&mut self, thread: &MessageTs, key: &str, body: Body, now: u64) -> MessageTs {
        if let Some(ts) = self.find(thread, key) {
            self.edit(&ts, body);
            return ts;
        }
        let ts = self.fresh_ts(now);
        self.awaited.remove(thread);
        self.restore(thread, key, &ts, body);
        ts
    }

    /// Shows a post as it was before a restart.
    pub fn restore(&mut self, thread: &MessageTs, key: &str, ts: &MessageTs, body: Body) {
        self.keys.insert((thread.clone(), key.to_owned()), ts.clone());
        self.insert(thread.clone(), ts.clone(), key.to_owned(), body, true);
    }

    /// Shows what a person wrote before a restart.
    pub fn restore_said(&mut self, thread: &MessageTs, ts: &MessageTs, body: Body) {
        self.insert(thread.clone(), ts.clone(), format!("you/{ts}"), body, true);
    }

    /// Replaces what a message says; false when there is no such message.
    pub fn edit(&mut self, ts: &MessageTs, body: Body) -> bool {
        let Some(entry) = self.messages.get_mut(ts) else { return false };
        if entry.message.body != body {
            entry.message.body = body;
            entry.message.edited = true;
            self.touch(ts);
        }
        true
    }

    /// Adds a reaction. One to a held message proves that the daemon has stored it, so it is shown.
    pub fn react(&mut self, ts: &MessageTs, name: &str) {
        if let Some(entry) = self.messages.get_mut(ts) {
            let reactions = &mut entry.message.reactions;
            if !reactions.iter().any(|known| known == name) {
                reactions.push(name.to_owned());
                entry.shown = true;
                self.touch(ts);
            }
        }
    }

    /// The message with this key.
    pub fn find(&self, thread: &MessageTs, key: &str) -> Option<MessageTs> {
        self.keys.get(&(thread.clone(), key.to_owned())).cloned()
    }

    /// Whether there is such a thread.
    pub fn has_thread(&self, thread: &MessageTs) -> bool {
        self.thread(thread).next().is_some()
    }

    /// The first change after a version.
    pub fn change_after(&self, version: u64) -> Option<Change> {
        let (version, ts) = self.changes.range(version.saturating_add(1)..).next()?;
        let message = self.messages.get(ts)?.message.clone();
        Some(Change { version: *version, thread: self.summary(&message.thread), message })
    }

    /// All threads, oldest first.
    pub fn threads(&self) -> Vec<ThreadView> {
        let mut threads: BTreeMap<&MessageTs, Vec<Message>> = BTreeMap::new();
        for message in self.shown() {
            threads.entry(&message.thread).or_default().push(message.clone());
        }
        let view = |(ts, messages)| ThreadView { summary: self.summary(ts), messages };
        threads.into_iter().map(view).collect()
    }

    fn shown(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.values().filter(|entry| entry.shown).map(|entry| &entry.message)
    }

    fn thread(&self, thread: &MessageTs) -> impl DoubleEndedIterator<Item = &Message> {
        self.shown().filter(move |message| message.thread == *thread)
    }

    fn insert(&mut self, thread: MessageTs, ts: MessageTs, key: String, body: Body, shown: bool) {
        self.latest = self.latest.max(micros(&ts));
        let message = Message { thread, ts: ts.clone(), key, body, reactions: Vec::new(), edited: false, version: 0 };
        self.messages.insert(ts.clone(), Entry { message, shown });
        if shown {
            self.touch(&ts);
        }
    }

    /// Files a message under the next version.
    fn touch(&mut self, ts: &MessageTs) {
        if let Some(entry) = self.messages.get_mut(ts) {
            self.version += 1;
            self.changes.remove(&entry.message.version);
            self.changes.insert(self.version, ts.clone());
            entry.message.version = self.version;
        }
    }

    fn summary(&self, thread: &MessageTs) -> Summary {
        let title = self.thread(thread).next().map_or_else(String::new, |first| title(&first.body.markdown));
        Summary { ts: thread.clone(), title, state: self.turn(thread) }
    }

    fn turn(&self, thread: &MessageTs) -> Turn {
        let last = self.thread(thread).next_back().map(|message| &message.ts);
        let asks =
            |message: &Message| message.body.buttons.iter().any(|button| asks(button, last == Some(&message.ts)));
        if self.thread(thread).any(asks) {
            return Turn::Waiting;
        }
        let stoppable = |message: &Message| message.body.buttons.iter().any(|button| button.action == "run_stop");
        let said = self.thread(thread).rfind(|message| message.body.author == YOU);
        let unanswered = said.is_some_and(|message| !message.reactions.iter().any(|name| name == DONE));
        let works = unanswered || self.awaited.contains(thread) || self.thread(thread).any(stoppable);
        if works { Turn::Working } else { Turn::Idle }
    }
}

/// Whether a button waits for the person. Stopping a run and choosing a model are offers; a retry is one as soon as
/// the thread went on.
fn asks(button: &Button, last: bool) -> bool {
    match button.action.as_str() {
        "run_stop" | "pm_model" => false,
        "run_retry" => last,
        _ => button.url.is_none(),
    }
}

/// The first line that says something, without the bot's mention and the marks of Markdown.
fn title(markdown: &str) -> String {
    let (text, _) = mention::split(markdown);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.replace('`', "").replace("**", "");
    match line.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// A timestamp in microseconds since 1970; 0 when it has another shape.
fn micros(ts: &MessageTs) -> u64 {
    let parsed = ts.as_str().split_once('.').and_then(|(seconds, micros)| {
        let (seconds, micros) = (seconds.parse::<u64>().ok()?, micros.parse::<u64>().ok()?);
        seconds.checked_mul(1_000_000)?.checked_add(micros)
    });
    parsed.unwrap_or_default()
}
