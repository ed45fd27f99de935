//! Sends posts: brings the chat in line with the outbox, at the chat's pace, each post once. New posts (in order within a
//! channel), edits and reactions go by lanes of their own: what holds one of them holds no other. A channel that lets
//! nothing in holds only what is for it.
//!
//! Knows a row only while it is on its way; everything else is read from the store again each time.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use crate::chat::{Chat, ChatError};
use crate::ids::{ChannelId, MessageTs};
use crate::render::post::Post;
use crate::store::{DuePost, Lane, Store, StoreError};

/// How long news are let come together while something waits or is under way: a run changes its progress message with
/// every turn, and each look costs the store a query.
const GATHER: Duration = Duration::from_millis(20);

/// The first and the longest wait between tries while the chat or the store does not answer.
const WAITS: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(30));

/// The longest wait between tries in a channel that lets nothing in: somebody must do something first, or never will.
const KEPT_OUT: Duration = Duration::from_secs(5 * 60);

/// How long the last round may take, in which what was decided at the end is brought out.
const LAST_ROUND: Duration = Duration::from_secs(2);

/// Sends until `stop`, and then what is due at once. `changed` is notified whenever the outbox has something new.
pub async fn send(store: Store, chat: Arc<dyn Chat>, changed: Arc<Notify>, stop: CancellationToken) {
    let mut sender = Sender {
        pace: Pace::new(chat.pace()),
        store,
        chat,
        calls: FuturesUnordered::new(),
        under_way: HashSet::new(),
        lanes: HashMap::new(),
        kept_out: HashMap::new(),
        outbox: Rest::default(),
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
    /// Rows with a call under way: never two for one row, for the second would not know of the first.
    under_way: HashSet<i64>,
    lanes: HashMap<Lane, LaneState>,
    /// What is let into no channel at the moment: a part of a lane.
    kept_out: HashMap<(Lane, ChannelId), KeptOut>,
    /// Holds back the next look after the store failed.
    outbox: Rest,
}

#[derive(Default)]
struct LaneState {
    calls: usize,
    rest: Rest,
}

/// A channel into which nothing of a lane is let.
#[derive(Default)]
struct KeptOut {
    rest: Rest,
    /// The code that the operator was told of.
    told: Option<String>,
}

/// A rest after trouble, longer each time.
#[derive(Default)]
struct Rest {
    until: Option<Instant>,
    wait: Option<Duration>,
}

/// A call that has ended.
struct Ended {
    row: i64,
    lane: Lane,
    channel: ChannelId,
    outcome: Outcome,
}

/// What a call came to.
enum Outcome {
    /// The row is where it should be, or never will be, and the store knows.
    Noted,
    /// The chat lets nothing of us into this channel until somebody does something about it.
    KeptOut { code: String, remedy: &'static str },
    /// The chat wants to be left alone for so long.
    TooFast(Duration),
    /// The chat or the store did not answer.
    Trouble,
}

impl Sender {
    /// Starts what may be sent now. Returns when to look again at the latest, if something waits for a moment.
    async fn start_due(&mut self) -> Option<Instant> {
        loop {
            if let Some(until) = self.outbox.until(Instant::now()) {
                return Some(until);
            }
            let mut ended = Vec::new();
            let due = meanwhile(&mut self.calls, self.store.due_posts(), &mut ended).await;
            let next = match due {
                Ok(mut due) => {
                    self.outbox = Rest::default();
                    self.pace.order(&mut due);
                    due.into_iter().filter_map(|row| self.start(row, Instant::now())).min()
                }
                Err(error) => {
                    complain(&error, "the outbox cannot be read");
                    Some(self.outbox.lengthen(Instant::now(), WAITS.1))
                }
            };
            // Only now: what was read may be older than what these calls did to their rows.
            if ended.is_empty() {
                return next;
            }
            ended.into_iter().for_each(|ended| self.settle(ended));
        }
    }

    /// Starts a call for this row, unless there is one, or its lane has no place for it. Returns how long it waits if it
    /// waits for a moment, and not for the end of a call.
    fn start(&mut self, row: DuePost, now: Instant) -> Option<Instant> {
        let (lane, channel) = (row.lane(), row.thread.channel.clone());
        let state = self.lanes.entry(lane.clone()).or_default();
        if self.under_way.contains(&row.id) || state.calls >= places(&lane) {
            return None;
        }
        if let Some(until) = state.rest.until(now) {
            return Some(until);
        }
        let place = (lane, channel);
        if let Some(until) = self.kept_out.get(&place).and_then(|kept_out| kept_out.rest.until(now)) {
            return Some(until);
        }
        if let Err(wait) = self.pace.take(&row, now) {
            return Some(now + wait);
        }
        state.calls += 1;
        self.under_way.insert(row.id);
        let (store, chat) = (self.store.clone(), Arc::clone(&self.chat));
        let (lane, channel) = place;
        let call = async move {
            let outcome = bring(&store, &*chat, &row).await;
            Ended { row: row.id, lane, channel, outcome }
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

    fn settle(&mut self, Ended { row, lane, channel, outcome }: Ended) {
        self.under_way.remove(&row);
        let state = self.lanes.entry(lane.clone()).or_default();
        state.calls = state.calls.saturating_sub(1);
        match outcome {
            Outcome::Noted => {
                state.rest.wait = None;
                if self.kept_out.remove(&(lane, channel.clone())).is_some() {
                    tracing::info!(%channel, "the chat lets us in again");
                }
            }
            Outcome::KeptOut { code, remedy } => {
                let kept_out = self.kept_out.entry((lane, channel.clone())).or_default();
                kept_out.rest.lengthen(Instant::now(), KEPT_OUT);
                // Once, and not with every try: it may last for ever.
                if kept_out.told.as_ref() != Some(&code) {
                    tracing::error!(%channel, code, hint = remedy, "the chat lets nothing be sent here; it is kept, and tried on");
                    kept_out.told = Some(code);
                }
            }
            Outcome::TooFast(pause) => state.rest.at_least(Instant::now() + pause),
            Outcome::Trouble => {
                state.rest.lengthen(Instant::now(), WAITS.1);
            }
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

/// How many calls of a lane are under way at once. Posts of a channel are seen in the order in which they were made.
fn places(lane: &Lane) -> usize {
    match lane {
        Lane::Posts(_) => 1,
        Lane::Edits | Lane::Reactions => 4,
    }
}

impl Rest {
    /// When the rest ends, if it has not.
    fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    fn at_least(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }

    /// Begins a rest twice as long as the last, up to `longest`; calls that fail together make one. Returns its end.
    fn lengthen(&mut self, now: Instant, longest: Duration) -> Instant {
        if let Some(until) = self.until(now) {
            return until;
        }
        let wait = self.wait.map_or(WAITS.0, |wait| (wait * 2).min(longest));
        self.wait = Some(wait);
        self.at_least(now + wait);
        now + wait
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

/// Brings one row to the chat and notes that it is there.
async fn bring(store: &Store, chat: &dyn Chat, row: &DuePost) -> Outcome {
    let (ts, fault) = match send_one(store, chat, row).await {
        Ok(ts) => {
            super::activity::sent(row);
            (ts, None)
        }
        Err(Fault::Chat(ChatError::RateLimited { retry_after_ms })) => {
            tracing::debug!(lane = ?row.lane(), retry_after_ms, "the chat wants a pause");
            return Outcome::TooFast(Duration::from_millis(retry_after_ms.max(100)));
        }
        Err(Fault::Chat(ChatError::Refused { code, remedy: Some(remedy) })) => {
            tracing::debug!(thread.ts = %row.thread, post.key = row.key, code, "kept out");
            return Outcome::KeptOut { code, remedy };
        }
        Err(Fault::Chat(ChatError::Refused { code, remedy: None })) => {
            tracing::error!(thread.ts = %row.thread, post.key = row.key, code, "the chat refused a post");
            (None, Some(code))
        }
        Err(Fault::Chat(error @ ChatError::Unreachable(_))) => {
            tracing::warn!(lane = ?row.lane(), error = &error as &dyn Error, "the chat cannot be reached");
            return Outcome::Trouble;
        }
        Err(Fault::Store(error)) => {
            complain(&error, "the outbox cannot be written");
            return Outcome::Trouble;
        }
    };
    note(store, row, ts, fault).await;
    Outcome::Noted
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
async fn send_one(store: &Store, chat: &dyn Chat, row: &DuePost) -> Result<Option<MessageTs>, Fault> {
    let DuePost { thread, key, post, .. } = row;
    let known = match (&row.ts, row.tried, post) {
        (Some(ts), ..) => Some(ts.clone()),
        (None, true, Post::Message { .. } | Post::File { .. }) => chat.find(thread, key).await?,
        // Nobody can look whether an ephemeral message was seen: rather once too few than twice.
        (None, true, Post::Ephemeral { .. }) => return Ok(None),
        (None, true, Post::Reaction { .. }) | (None, false, _) => None,
    };
    match (known, post) {
        (Some(ts), Post::Message { .. }) => {
            chat.edit(thread, &ts, key, post).await?;
            Ok(Some(ts))
        }
        (Some(ts), Post::File { .. } | Post::Reaction { .. } | Post::Ephemeral { .. }) => Ok(Some(ts)),
        // A reaction made twice is one reaction: there is nothing to look for later.
        (None, Post::Reaction { .. }) => Ok(chat.post(thread, key, post).await?),
        (None, Post::Message { .. } | Post::File { .. } | Post::Ephemeral { .. }) => {
            store.mark_tried(row.id).await.map_err(Fault::Store)?;
            Ok(chat.post(thread, key, post).await?)
        }
    }
}
