//! Shows in the chat's own way in which threads we are at work: workers say what goes on, a task brings the chat in line.
//!
//! Best effort beside the posts: one call at a time, few a minute, nothing that lasts no longer than a moment, and a
//! chat that wants to be left alone is. It owns nothing that must last but a mark of what the next life has to take back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::chat::{Chat, ChatError, Kept, Presence};
use crate::ids::ThreadKey;
use crate::store::Store;

/// What lasts no longer than this is not shown, and words stay so long before others replace them.
const WORTH: Duration = Duration::from_secs(1);
const WORDS_STAY: Duration = Duration::from_secs(3);
/// After this it is said again: Slack forgets the words after two minutes.
const AGAIN: Duration = Duration::from_secs(90);
/// The least time between two calls: fifty a minute is what Slack takes.
const PACE: Duration = Duration::from_millis(1_200);
/// How long the chat is left alone after it did not answer.
const TROUBLE: Duration = Duration::from_secs(15);
/// How long it may take to take everything back at the end.
const LAST: Duration = Duration::from_secs(2);

/// What goes on in threads now. A std lock, held for one look.
#[derive(Default)]
pub struct Board {
    wanted: Mutex<BTreeMap<ThreadKey, Wanted>>,
    changed: Notify,
}

#[derive(Clone)]
struct Wanted {
    text: String,
    /// Since when something goes on in this thread.
    since: Instant,
}

impl Board {
    /// Says what goes on in a thread; `None`: nothing.
    pub fn set(&self, thread: &ThreadKey, text: Option<String>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match (wanted.get_mut(thread), text) {
            (None, None) => false,
            (Some(known), Some(text)) => {
                let changed = known.text != text;
                known.text = text;
                changed
            }
            (Some(_), None) => wanted.remove(thread).is_some(),
            (None, Some(text)) => {
                wanted.insert(thread.clone(), Wanted { text, since: Instant::now() });
                true
            }
        };
        if changed {
            self.changed.notify_one();
        }
    }

    fn wanted(&self) -> BTreeMap<ThreadKey, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the chat shows of a thread.
struct Shown {
    text: String,
    at: Instant,
    /// Whether the store has a mark of it.
    marked: bool,
}

/// Brings the chat in line with the board until `stop`, and then takes everything back.
pub async fn show(board: Arc<Board>, store: Store, chat: Arc<dyn Chat>, stop: CancellationToken) {
    if chat.presence_kept() == Kept::Nothing {
        return stop.cancelled().await;
    }
    let mut showing = Showing { store, chat, shown: BTreeMap::new() };
    let work = async {
        showing.take_over().await;
        loop {
            let wait = match showing.next(&board.wanted(), Instant::now()) {
                Next::Do(thread, presence) => Instant::now() + showing.carry_out(thread, presence).await,
                Next::Wait(Some(until)) => until,
                Next::Wait(None) => {
                    board.changed.notified().await;
                    continue;
                }
            };
            tokio::select! {
                biased;
                () = sleep_until(wait) => {}
                // Only what comes while nothing is due is news.
                () = board.changed.notified(), if wait > Instant::now() + PACE => {}
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
    let _ = timeout(LAST, showing.take_back()).await;
}

/// What is to be done next.
enum Next {
    Do(ThreadKey, Presence),
    Wait(Option<Instant>),
}

struct Showing {
    store: Store,
    chat: Arc<dyn Chat>,
    shown: BTreeMap<ThreadKey, Shown>,
}

impl Showing {
    /// What an earlier life left in the chat counts as shown; what does not go on is taken back then.
    async fn take_over(&mut self) {
        let left = self.store.presences().await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "where the chat shows us at work is not known");
            Vec::new()
        });
        let shown = || Shown { text: String::new(), at: Instant::now(), marked: true };
        self.shown.extend(left.into_iter().map(|thread| (thread, shown())));
    }

    /// What is over goes first, then what was longest as it is.
    fn next(&self, wanted: &BTreeMap<ThreadKey, Wanted>, now: Instant) -> Next {
        if let Some(over) = self.shown.keys().find(|thread| !wanted.contains_key(*thread)) {
            return Next::Do(over.clone(), Presence::Rests);
        }
        let due = |(thread, wanted): (&ThreadKey, &Wanted)| {
            let text = wanted.text.clone();
            let (at, presence) = match self.shown.get(thread) {
                None => (wanted.since + WORTH, Presence::Works(text)),
                Some(shown) if shown.text.is_empty() => (shown.at, Presence::Works(text)),
                Some(shown) if shown.text == text => (shown.at + AGAIN, Presence::Works(text)),
                Some(shown) => (shown.at + WORDS_STAY, Presence::Says(text)),
            };
            (at, thread.clone(), presence)
        };
        match wanted.iter().map(due).min_by_key(|(at, ..)| *at) {
            Some((at, thread, presence)) if at <= now => Next::Do(thread, presence),
            first => Next::Wait(first.map(|(at, ..)| at)),
        }
    }

    /// Tells the chat; gives how long to leave it alone then.
    async fn carry_out(&mut self, thread: ThreadKey, presence: Presence) -> Duration {
        let rests = presence == Presence::Rests;
        let long = self.chat.presence_kept() == Kept::Long;
        let mut marked = self.shown.get(&thread).is_some_and(|shown| shown.marked);
        if !rests {
            // A call that is cut or fails may be seen all the same: from here on there is something to take back.
            let unsaid = Shown { text: String::new(), at: Instant::now(), marked: long };
            self.shown.entry(thread.clone()).or_insert(unsaid);
            if long && !marked {
                // First the mark: whoever comes after a crash must know of it.
                marked = self.note(&thread, true).await;
            }
        }
        match self.chat.show_presence(&thread, &presence).await {
            Err(ChatError::RateLimited { retry_after_ms }) => Duration::from_millis(retry_after_ms.max(100)),
            Err(error) => {
                tracing::debug!(thread.ts = %thread, error = &error as &dyn std::error::Error, "presence not shown");
                TROUBLE
            }
            Ok(()) => {
                if marked && (rests || self.chat.presence_kept() != Kept::Long) {
                    marked = !self.note(&thread, false).await;
                }
                match presence {
                    Presence::Works(text) | Presence::Says(text) => {
                        self.shown.insert(thread, Shown { text, at: Instant::now(), marked });
                    }
                    Presence::Rests => drop(self.shown.remove(&thread)),
                }
                if self.chat.presence_kept() == Kept::Nothing { TROUBLE } else { PACE }
            }
        }
    }

    async fn note(&self, thread: &ThreadKey, shown: bool) -> bool {
        let noted = self.store.note_presence(thread, shown).await;
        noted.inspect_err(|error| tracing::warn!(%error, "where the chat shows us at work is not noted")).is_ok()
    }

    async fn take_back(&mut self) {
        for thread in std::mem::take(&mut self.shown).into_keys() {
            self.carry_out(thread, Presence::Rests).await;
        }
    }
}
