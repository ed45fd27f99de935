//! Sends posts: brings the chat in line with the outbox, at the chat's pace, each post once. New posts, edits and reactions
//! of a channel go by lanes of their own, in which threads take turns; only the posts of one thread are kept in order. So
//! what holds one thread, a flood of posts or one that fails, holds no other. A channel that lets nothing in holds only
//! what is for it.
//!
//! Knows a row only while it is on its way or in trouble; everything else is read from the store again each time.

mod holds;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::holds::{Holds, Rest, Subject, WAITS};
use super::pace::Pace;
use super::tasks::panic_text;
use crate::chat::{Chat, ChatError};
use crate::ids::{MessageTs, ThreadKey};
use crate::render::cards;
use crate::render::post::Post;
use crate::store::{Ask, Due, DuePost, Lane, Store, StoreError, Turn};

/// How long news are let come together while something waits or is under way: a run changes its progress message with
/// every turn, and each look costs the store a query.
const GATHER: Duration = Duration::from_millis(20);

/// How many calls of a lane of a channel are under way at once, each post of another thread; and how many of them for
/// what failed before, so that what hangs leaves places for the others.
const PLACES: usize = 4;
const TROUBLED: usize = 2;

/// How long the last round may take, in which what was decided at the end is brought out.
const LAST_ROUND: Duration = Duration::from_secs(2);

/// What the store notes of a post that was given up.
const GIVEN_UP: &str = "given_up";

/// Sends until `stop`, and then what is due at once. `changed` is notified whenever the outbox has something new.
pub async fn send(store: Store, chat: Arc<dyn Chat>, changed: Arc<Notify>, stop: CancellationToken) {
    let mut sender = Sender {
        pace: Pace::new(chat.pace()),
        store,
        chat,
        calls: FuturesUnordered::new(),
        under_way: HashMap::new(),
        lanes: HashMap::new(),
        holds: Holds::default(),
        ask: Arc::default(),
        newest: 0,
        served: 0,
        outbox: Rest::default(),
        ended: Vec::new(),
    };
    let sending = async {
        loop {
            let next = sender.start_due().await;
            sender.rest(next, &changed).await;
        }
    };
    tokio::select! {
        biased;
        () = sending => {}
        () = stop.cancelled() => {}
    }
    // What it does not bring out, and what waits for the pace, is for the next life.
    let _ = tokio::time::timeout(LAST_ROUND, sender.last_round()).await;
}

/// The calls under way and what holds back others.
struct Sender {
    store: Store,
    chat: Arc<dyn Chat>,
    pace: Pace,
    calls: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Rows with a call under way, and threads of which it is a post: never two for one of them, for the second would not
    /// know of the first.
    under_way: HashMap<i64, Subject>,
    lanes: HashMap<Lane, Calls>,
    holds: Holds,
    /// What the store is asked for next. Of this only the turns are kept from one look to the next.
    ask: Arc<Ask>,
    /// The newest row at the last look.
    newest: i64,
    /// How many rows were served.
    served: u64,
    /// Holds back the next look after the store failed.
    outbox: Rest,
    /// Calls that ended during a look.
    ended: Vec<Ended>,
}

/// The calls of a lane that are under way.
#[derive(Default)]
struct Calls {
    all: usize,
    /// Those for what failed before.
    troubled: usize,
}

/// A call that has ended.
struct Ended {
    row: i64,
    thread: ThreadKey,
    lane: Lane,
    /// Whether others of its thread wait behind it.
    more: bool,
    /// Whether it was in trouble before.
    troubled: bool,
    outcome: Outcome,
}

/// What the chat said to a row that is dealt with.
#[derive(Clone, Copy)]
enum Reply {
    /// It took it.
    Shown,
    /// It never will.
    Refused,
    /// Nothing: it was not asked, or gave no answer.
    Unasked,
}

/// What a call came to.
enum Outcome {
    /// The row is where it should be, or never will be, and the store knows.
    Noted(Reply),
    /// The chat lets nothing of us into this channel until somebody does something about it.
    KeptOut { code: String, remedy: &'static str },
    /// The chat wants to be left alone for so long.
    TooFast(Duration),
    /// The chat did not answer, or only that it has trouble.
    Trouble,
    /// The store did not answer.
    NotStored,
}

impl Sender {
    /// Starts what may be sent now. Returns when to look again at the latest, if something waits for a moment.
    async fn start_due(&mut self) -> Option<Instant> {
        loop {
            // Only now: what the last look read may be older than what these calls did to their rows.
            std::mem::take(&mut self.ended).into_iter().for_each(|ended| self.settle(ended));
            if let Some(until) = self.outbox.until(Instant::now()) {
                return Some(until);
            }
            let held = self.hold_back(Instant::now());
            let due = meanwhile(&mut self.calls, self.store.due(&self.ask), &mut self.ended).await;
            let next = match due {
                Ok(Due { mut posts, newest }) => {
                    self.outbox = Rest::default();
                    self.newest = newest;
                    self.pace.order(&mut posts);
                    self.holds.order(&mut posts);
                    posts.into_iter().filter_map(|row| self.start(row, Instant::now())).chain(held).min()
                }
                Err(error) => {
                    complain(&error, "the outbox cannot be read");
                    Some(self.outbox.lengthen(Instant::now(), WAITS.1))
                }
            };
            if self.ended.is_empty() {
                return next;
            }
        }
    }

    /// Leaves out of the next look what cannot be sent now. Returns when some of it can at the earliest.
    fn hold_back(&mut self, now: Instant) -> Option<Instant> {
        let ask = Arc::make_mut(&mut self.ask);
        ask.shut = self.lanes.iter().filter(|(_, calls)| calls.all >= PLACES).map(|(lane, _)| lane.clone()).collect();
        ask.threads.clear();
        ask.rows.clear();
        for (row, subject) in &self.under_way {
            match subject {
                Subject::Thread(thread) => drop(ask.threads.insert(thread.clone())),
                Subject::Row(_) => drop(ask.rows.insert(*row)),
            }
        }
        let lanes = &self.lanes;
        let full = |lane: &Lane| lanes.get(lane).is_some_and(|calls| calls.troubled >= TROUBLED);
        let mut next = self.holds.fill(ask, now, self.calls.len(), full);
        for (channel, until) in self.pace.held(now) {
            ask.shut.insert(Lane::Posts(channel.clone()));
            next = next.into_iter().chain([until]).min();
        }
        next
    }

    /// Starts a call for this row, unless there is one, or its lane has no place for it. Returns how long it waits if it
    /// waits for a moment, and not for the end of a call.
    fn start(&mut self, row: DuePost, now: Instant) -> Option<Instant> {
        let (lane, subject, troubled) = (row.lane(), Subject::of(&row), self.holds.is_troubled(&row));
        let state = self.lanes.entry(lane.clone()).or_default();
        let busy = self.under_way.contains_key(&row.id) || self.under_way.values().any(|other| *other == subject);
        // Into a channel that let nothing in one goes ahead.
        let places = if self.holds.is_kept_out(&lane) { 1 } else { PLACES };
        if busy || state.all >= places || (troubled && state.troubled >= TROUBLED) {
            return None;
        }
        if let Err(wait) = self.holds.check(&row, now, self.calls.len()) {
            return wait;
        }
        if let Err(wait) = self.pace.take(&row, now) {
            return Some(now + wait);
        }
        state.all += 1;
        state.troubled += usize::from(troubled);
        self.holds.started(&row, now);
        self.under_way.insert(row.id, subject);
        let last_try = self.holds.is_last_try(&row, now);
        let (store, chat) = (self.store.clone(), Arc::clone(&self.chat));
        let call = async move {
            let outcome = bring_whatever_happens(&store, &*chat, &row, last_try).await;
            Ended { row: row.id, thread: row.thread, lane, more: row.more, troubled, outcome }
        };
        self.calls.push(call.boxed());
        None
    }

    /// Brings what is under way to its end and starts what may be sent now.
    async fn last_round(&mut self) {
        loop {
            self.start_due().await;
            let Some(ended) = self.calls.next().await else { return };
            self.settle(ended);
        }
    }

    fn settle(&mut self, Ended { row, thread, lane, more, troubled, outcome }: Ended) {
        let subject = self.under_way.remove(&row).unwrap_or(Subject::Row(row));
        if let Some(calls) = self.lanes.get_mut(&lane) {
            calls.all = calls.all.saturating_sub(1);
            calls.troubled = calls.troubled.saturating_sub(usize::from(troubled));
        }
        self.take_turn(&thread, &lane, more || !matches!(outcome, Outcome::Noted(_)));
        let now = Instant::now();
        match outcome {
            Outcome::Noted(reply) => self.holds.noted(&subject, &lane, reply),
            Outcome::KeptOut { code, remedy } => self.holds.kept_out(&lane, code, remedy, now),
            Outcome::TooFast(pause) => self.holds.too_fast(&lane, now + pause),
            Outcome::Trouble => self.holds.failed(subject, lane, thread, now),
            Outcome::NotStored => self.holds.not_stored(subject, lane, now),
        }
    }

    /// Notes that a thread has had its turn, if it has `more` to send. Otherwise its next is newer than what waits now.
    fn take_turn(&mut self, thread: &ThreadKey, lane: &Lane, more: bool) {
        self.served += 1;
        let turn = Turn { newest: self.newest, number: self.served };
        let ask = Arc::make_mut(&mut self.ask);
        let turns = match lane {
            Lane::Posts(_) => &mut ask.posted,
            Lane::Reactions(_) => &mut ask.reacted,
            Lane::Edits(_) => return,
        };
        if more {
            turns.insert(thread.clone(), turn);
        } else {
            turns.remove(thread);
        }
    }

    /// Waits until there may be something to start: a call has ended, the outbox has news, or `next` has come.
    async fn rest(&mut self, next: Option<Instant>, changed: &Notify) {
        let idle = self.calls.is_empty() && next.is_none();
        let news = async {
            if !idle {
                tokio::time::sleep(GATHER).await;
            }
            changed.notified().await;
        };
        let moment = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(ended) = self.calls.next(), if !self.calls.is_empty() => self.settle(ended),
            () = moment => {}
            () = news => {}
        }
    }
}

/// Awaits `work` while the calls go on; those that end meanwhile are put into `ended`.
async fn meanwhile<T>(
    calls: &mut FuturesUnordered<BoxFuture<'static, Ended>>,
    work: impl Future<Output = T>,
    ended: &mut Vec<Ended>,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            Some(one) = calls.next(), if !calls.is_empty() => ended.push(one),
        }
    }
}

/// Brings one row to the chat; one over which our own code panics makes way. It would end the sender, and again after
/// each restart.
async fn bring_whatever_happens(store: &Store, chat: &dyn Chat, row: &DuePost, last_try: bool) -> Outcome {
    let panic = match AssertUnwindSafe(bring(store, chat, row, last_try)).catch_unwind().await {
        Ok(outcome) => return outcome,
        Err(panic) => panic,
    };
    let error = ChatError::Unreachable(anyhow::anyhow!("a bug of ours: {}", panic_text(&*panic)));
    // The bug may be in what looks for it.
    let ts = match AssertUnwindSafe(make_way(chat, row, &error)).catch_unwind().await {
        Ok(Ok(ts)) => ts,
        Ok(Err(outcome)) => return outcome,
        Err(_) => None,
    };
    note(store, row, ts, Some(GIVEN_UP.to_owned())).await;
    Outcome::Noted(Reply::Unasked)
}

/// Brings one row to the chat and notes that it is there. If it fails on its last try, it makes way.
async fn bring(store: &Store, chat: &dyn Chat, row: &DuePost, last_try: bool) -> Outcome {
    let (ts, fault, reply) = match send_one(store, chat, row).await {
        Ok(Sent::Now(ts)) => {
            super::activity::sent(row);
            (ts, None, Reply::Shown)
        }
        Ok(Sent::Before(ts)) => (ts, None, Reply::Unasked),
        Err(Fault::Chat(error @ ChatError::Unreachable(_))) if last_try => match make_way(chat, row, &error).await {
            Ok(ts) => (ts, Some(GIVEN_UP.to_owned()), Reply::Unasked),
            Err(outcome) => return outcome,
        },
        Err(Fault::Chat(error)) => match outcome_of(row, error) {
            Ok(code) => (None, Some(code), Reply::Refused),
            Err(outcome) => {
                take_back(store, row, &outcome).await;
                return outcome;
            }
        },
        Err(Fault::Store(error)) => {
            complain(&error, "the outbox cannot be written");
            return Outcome::NotStored;
        }
    };
    note(store, row, ts, fault).await;
    Outcome::Noted(reply)
}

/// Notes that a message is not there: the chat said so. It need not be looked for, which nobody can for one that only one
/// person sees; and nobody has read it.
async fn take_back(store: &Store, row: &DuePost, outcome: &Outcome) {
    let refused = matches!(outcome, Outcome::KeptOut { .. } | Outcome::TooFast(_));
    if refused
        && row.ts.is_none()
        // What may have been there before that try still may.
        && !row.tried
        && matches!(row.post, Post::Message { .. } | Post::Ephemeral { .. })
        && let Err(error) = store.mark_untried(row.id).await
    {
        complain(&error, "it cannot be noted that a post was not sent");
    }
}

/// What an error of the chat means: the code, when the row is refused for good.
fn outcome_of(row: &DuePost, error: ChatError) -> Result<String, Outcome> {
    match error {
        ChatError::RateLimited { retry_after_ms } => {
            tracing::debug!(lane = ?row.lane(), retry_after_ms, "the chat wants a pause");
            Err(Outcome::TooFast(Duration::from_millis(retry_after_ms.max(100))))
        }
        ChatError::Refused { code, remedy: Some(remedy) } => {
            tracing::debug!(thread.ts = %row.thread, post.key = row.key, code, "kept out");
            Err(Outcome::KeptOut { code, remedy })
        }
        ChatError::Refused { code, remedy: None } => {
            tracing::error!(thread.ts = %row.thread, post.key = row.key, code, "the chat refused a post");
            Ok(code)
        }
        error @ ChatError::Unreachable(_) => {
            let error = &error as &dyn Error;
            tracing::warn!(thread.ts = %row.thread, post.key = row.key, error, "the chat cannot be reached");
            Err(Outcome::Trouble)
        }
    }
}

/// Gives a row up that the chat fails for although it takes others. In a new post's place, under its key, comes a message
/// that says so: whoever waits in the thread sees that something is missing, and what comes behind it. Returns where it is.
async fn make_way(chat: &dyn Chat, row: &DuePost, error: &ChatError) -> Result<Option<MessageTs>, Outcome> {
    let DuePost { thread, key, post, ts, .. } = row;
    let mut shown = None;
    if ts.is_none() && matches!(post, Post::Message { .. } | Post::File { .. }) {
        let found = chat.find(thread, key).await;
        shown = match found {
            Ok(Some(ts)) => Some(ts),
            Ok(None) => match chat.post(thread, key, &cards::missing(&thread.ts)).await {
                Ok(ts) => ts,
                Err(ChatError::RateLimited { retry_after_ms }) => {
                    return Err(Outcome::TooFast(Duration::from_millis(retry_after_ms.max(100))));
                }
                Err(ChatError::Refused { code, remedy: Some(remedy) }) => {
                    return Err(Outcome::KeptOut { code, remedy });
                }
                Err(ChatError::Refused { .. } | ChatError::Unreachable(_)) => None,
            },
            // It is not the post, then.
            Err(_) => return Err(Outcome::Trouble),
        };
    }
    let hint = format!("`codebutler show {}` has its text", thread.ts);
    let error = error as &dyn Error;
    tracing::error!(thread.ts = %thread, post.key = key, error, hint, "a post that cannot be brought to the chat is given up");
    Ok(shown)
}

/// Notes what became of a row, again and again until the store takes it: as long as it does not, the row keeps its place,
/// so that what the chat shows is not sent a second time.
async fn note(store: &Store, row: &DuePost, ts: Option<MessageTs>, fault: Option<String>) {
    let mut rest = Rest::default();
    while let Err(error) = store.mark_sent(row.id, row.revision, ts.clone(), fault.clone()).await {
        complain(&error, "it cannot be noted that a post was sent");
        tokio::time::sleep_until(rest.lengthen(Instant::now(), WAITS.1)).await;
    }
}

fn complain(error: &StoreError, what: &str) {
    tracing::error!(error = error as &dyn Error, hint = error.hint(), "{what}");
}

/// How a row came to be where it should be, and the place of its message.
enum Sent {
    /// The chat took it.
    Now(Option<MessageTs>),
    /// It was there, or may have been.
    Before(Option<MessageTs>),
}

/// Why a row was not sent.
#[derive(Debug)]
enum Fault {
    Chat(ChatError),
    Store(StoreError),
}

impl From<ChatError> for Fault {
    fn from(error: ChatError) -> Self {
        Self::Chat(error)
    }
}

/// Brings one row to the chat. A post whose answer may have been lost is looked for before it is made again.
async fn send_one(store: &Store, chat: &dyn Chat, row: &DuePost) -> Result<Sent, Fault> {
    let DuePost { thread, key, post, .. } = row;
    let known = match (&row.ts, row.tried, post) {
        (Some(ts), ..) => Some(ts.clone()),
        (None, true, Post::Message { .. } | Post::File { .. }) => chat.find(thread, key).await?,
        // Nobody can look whether an ephemeral message was seen: rather once too few than twice.
        (None, true, Post::Ephemeral { .. }) => return Ok(Sent::Before(None)),
        (None, true, Post::Reaction { .. }) | (None, false, _) => None,
    };
    match (known, post) {
        (Some(ts), Post::Message { .. }) => {
            chat.edit(thread, &ts, key, post).await?;
            Ok(Sent::Now(Some(ts)))
        }
        (Some(ts), Post::File { .. } | Post::Reaction { .. } | Post::Ephemeral { .. }) => Ok(Sent::Before(Some(ts))),
        // A reaction made twice is one reaction: there is nothing to look for later.
        (None, Post::Reaction { .. }) => Ok(Sent::Now(chat.post(thread, key, post).await?)),
        (None, Post::Message { .. } | Post::File { .. } | Post::Ephemeral { .. }) => {
            store.mark_tried(row.id).await.map_err(Fault::Store)?;
            Ok(Sent::Now(chat.post(thread, key, post).await?))
        }
    }
}
