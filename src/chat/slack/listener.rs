//! What is done with an envelope: it is stored, then acked; nothing that can wait is done before.
//!
//! What is said in channels without a repository is said by [`tell`], outside the way of the next frame. Knows nothing
//! of sockets.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use super::Connection;
use super::events::{Envelope, Heard, HeardKind};
use super::{mrkdwn, plain, thread_posts};
use crate::chat::{Incoming, IncomingKind, Intake, IntakeError};
use crate::ids::{ChannelId, ThreadKey, UserId};

/// Threads that are remembered to have been told that no repository is bound to their channel.
const TOLD: usize = 10_000;
/// What may be on its way to the store of one channel at once. Slack delivers 30,000 events an hour at most, and a store
/// waits half a minute for a lock, so only one that is in trouble for long comes to this. Some kB each: tens of MB, and
/// no more, however long the trouble lasts.
pub const UNDER_WAY: usize = 8_192;
/// Notices that may wait; more are dropped.
const NOTICES: usize = 64;

/// The answer to a command that could not be stored.
const UNSTORED: &str = "That could not be stored; nothing has changed. Try again in a moment.";

/// Something to be said in a thread of a channel without a repository.
pub struct Notice {
    thread: ThreadKey,
    text: String,
}

/// Says what waits to be said, for ever.
pub async fn tell(connection: &Connection, mut waiting: mpsc::Receiver<Notice>) {
    while let Some(Notice { thread, text }) = waiting.recv().await {
        if let Err(error) = thread_posts::say(&connection.web, &thread, &text).await {
            warn!(channel = %thread.channel, %error, "could not say that no repository is bound here");
        }
    }
}

/// Takes what people do.
pub struct Listener {
    /// Who we are, and how to ask for names.
    pub connection: Arc<Connection>,
    /// Where it goes.
    pub intake: Arc<dyn Intake>,
    /// Something could not be stored. Slack sends it again for a few minutes only; trouble with a disk may last longer.
    pub unstored: Notify,
    notices: mpsc::Sender<Notice>,
    /// A std lock: held for one look, never over an await.
    told: Mutex<HashSet<ThreadKey>>,
    /// What is on its way to the store of each channel; nothing of those that are not here. As above.
    under_way: Mutex<HashMap<ChannelId, UnderWay>>,
}

/// What is on its way to the store of a channel.
#[derive(Default)]
struct UnderWay {
    count: usize,
    /// Whether something found no place. Until all that did has left nothing else finds one, or it would overtake.
    refuses: bool,
}

/// A place on the way to the store of a channel.
struct Place<'a> {
    listener: &'a Listener,
    channel: ChannelId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut under_way = self.listener.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut channel) = under_way.entry(self.channel.clone()) {
            channel.get_mut().count -= 1;
            if channel.get().count == 0 {
                channel.remove();
            }
        }
    }
}

impl Listener {
    /// A listener, and what it wants to be said.
    pub fn new(connection: Arc<Connection>, intake: Arc<dyn Intake>) -> (Self, mpsc::Receiver<Notice>) {
        let (notices, waiting) = mpsc::channel(NOTICES);
        let (told, under_way) = (Mutex::default(), Mutex::default());
        (Self { connection, intake, unstored: Notify::new(), notices, told, under_way }, waiting)
    }

    /// Stores a message of a bound channel; false when it was there already.
    pub async fn accept(&self, heard: Heard) -> Result<bool, IntakeError> {
        self.intake.accept(self.incoming(heard).await).await
    }

    /// Takes an envelope. What comes back has been given to its store, after what was taken before it, and is to be
    /// awaited to its end while others are taken: it gives the frame that acks the envelope when that is stored, or
    /// nothing when Slack must send it again.
    pub async fn take(&self, envelope: String, what: Envelope) -> BoxFuture<'_, Option<String>> {
        let ack = json!({ "envelope_id": envelope }).to_string();
        let mut storing = match what {
            Envelope::Heard(heard) => {
                let bound = self.intake.bound_channels();
                if heard.direct || !bound.iter().any(|(channel, _)| *channel == heard.channel) {
                    self.notice(&heard, &bound);
                    return ready(Some(ack)).boxed();
                }
                // Before the next envelope is taken, so that what is said is stored in the order in which it came.
                let incoming = self.incoming(heard).await;
                async move { self.store(incoming).await.then_some(ack) }.boxed()
            }
            Envelope::Slash { channel, by, command, text } => async move {
                let words = self.slash(&channel, &by, &command, &text).await;
                let payload = json!({ "response_type": "ephemeral", "text": mrkdwn::from_markdown(&words) });
                Some(json!({ "envelope_id": envelope, "payload": payload }).to_string())
            }
            .boxed(),
            Envelope::Ignored(reason) => {
                debug!(envelope, reason, "not for us");
                return ready(Some(ack)).boxed();
            }
        };
        // The first poll gives it to its store; from there on the order is the store's.
        match futures_util::poll!(&mut storing) {
            Poll::Ready(ack) => ready(ack).boxed(),
            Poll::Pending => storing,
        }
    }

    /// Stores what somebody did; false when it could not be stored.
    async fn store(&self, incoming: Incoming) -> bool {
        let thread = incoming.thread.ts.to_string();
        let Some(_place) = self.place(&incoming.thread.channel) else {
            debug!(thread.ts = thread, "too much waits for this store; not acked, and Slack sends it again");
            self.unstored.notify_one();
            return false;
        };
        match self.intake.accept(incoming).await {
            Ok(fresh) => {
                debug!(thread.ts = thread, fresh, "stored");
                true
            }
            Err(error) => {
                let reason = anyhow::Error::from(error);
                warn!(
                    thread.ts = thread,
                    reason = format!("{reason:#}"),
                    "not stored and not acked; Slack sends it again"
                );
                self.unstored.notify_one();
                false
            }
        }
    }

    /// A place on the way to the store of a channel, if there is one.
    fn place(&self, channel: &ChannelId) -> Option<Place<'_>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let of_channel = under_way.entry(channel.clone()).or_default();
        of_channel.refuses |= of_channel.count >= UNDER_WAY;
        if of_channel.refuses {
            return None;
        }
        of_channel.count += 1;
        Some(Place { listener: self, channel: channel.clone() })
    }

    async fn incoming(&self, heard: Heard) -> Incoming {
        let text = match &heard.what {
            HeardKind::Message { text, .. } | HeardKind::Edited { text, .. } => text.as_str(),
            HeardKind::Deleted { .. } | HeardKind::Pressed { .. } => "",
        };
        let mut people = plain::mentioned(text);
        people.push(heard.from.clone());
        let names = self.connection.names.of(&self.connection.web, &people).await;
        let name = names.get(&heard.from).cloned().unwrap_or_else(|| heard.from.to_string());
        let what = match heard.what {
            HeardKind::Message { ts, text, to_bot, mentions_bot: _, files } => {
                IncomingKind::Message { ts, text: plain::to_markdown(&text, &names), to_bot, files }
            }
            HeardKind::Edited { ts, text, at } => {
                IncomingKind::Edited { ts, text: plain::to_markdown(&text, &names), at }
            }
            HeardKind::Deleted { ts } => IncomingKind::Deleted { ts },
            HeardKind::Pressed { action, value } => IncomingKind::Pressed { action, value },
        };
        let thread =
            ThreadKey { workspace: self.connection.own.team.clone(), channel: heard.channel, ts: heard.thread };
        Incoming { thread, from: heard.from, name, what, dedupe: heard.dedupe }
    }

    /// Has it said, once per thread, that no repository is bound to the channel.
    fn notice(&self, heard: &Heard, bound: &[(ChannelId, String)]) {
        let HeardKind::Message { mentions_bot, .. } = &heard.what else { return };
        if !mentions_bot && !heard.direct {
            return;
        }
        let (workspace, channel) = (self.connection.own.team.clone(), heard.channel.clone());
        let thread = ThreadKey { workspace, channel, ts: heard.thread.clone() };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD {
            told.clear();
        }
        if told.insert(thread.clone()) && self.notices.try_send(Notice { thread, text: bound_words(bound) }).is_err() {
            debug!("too many notices wait; one is dropped");
        }
    }

    async fn slash(&self, channel: &ChannelId, by: &UserId, command: &str, text: &str) -> String {
        let bound = self.intake.bound_channels();
        if command != "/pm" {
            return format!("I do not know `{command}`. In a thread, `!help` lists the commands.");
        }
        if !bound.iter().any(|(id, _)| id == channel) {
            return bound_words(&bound);
        }
        let Some(_place) = self.place(channel) else { return UNSTORED.to_owned() };
        match self.intake.choose_channel_model(channel, by, text).await {
            Ok(words) => format!("{words}\nIn a thread it is `!pm NAME`."),
            Err(error) => {
                let reason = anyhow::Error::from(error);
                warn!(%channel, reason = format!("{reason:#}"), "the channel's model was not stored");
                UNSTORED.to_owned()
            }
        }
    }
}

/// Which channels are bound, in one line.
fn bound_words(bound: &[(ChannelId, String)]) -> String {
    let names: Vec<String> = bound.iter().map(|(_, name)| format!("#{name}")).collect();
    match names.as_slice() {
        [] => "No repository is bound to this channel.".to_owned(),
        names => format!("No repository is bound to this channel. I work in {}.", names.join(", ")),
    }
}
