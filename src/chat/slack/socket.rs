//! Socket Mode by slack-morphism's raw listener: a frame is stored, then acked; nothing that can wait is done before.
//!
//! slack-morphism awaits the listener in each socket's read loop, so a slow frame delays those behind it: what is said
//! in channels without a repository is said by [`run`], outside the listener.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::json;
use slack_morphism::clients_manager::{SlackSocketModeClientsManager, SlackSocketModeClientsManagerFactory as _};
use slack_morphism::listener::SlackClientEventsListenerEnvironment;
use slack_morphism::prelude::{SlackClientSocketModeConfig, SlackSocketModeWssClientId};
use slack_morphism::{ClientResult, SlackSocketModeClientListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::Connection;
use super::events::{self, Envelope, Frame, Heard, HeardKind};
use super::web_api::token;
use super::{mrkdwn, plain, thread_posts};
use crate::chat::{Incoming, IncomingKind, Intake};
use crate::ids::{ChannelId, ThreadKey, UserId};

/// Two, so that one still hears while Slack renews the other.
const CONNECTIONS: u32 = 2;
/// Seconds between opening the first and the second.
const STAGGER_S: u64 = 1;
/// Seconds before a failed connection is tried again.
const RECONNECT_S: u64 = 10;
/// Seconds between our pings, and how many may stay unanswered before a socket counts as dead.
const PING_S: u64 = 10;
const PINGS_LOST: u64 = 3;
/// Threads that are remembered to have been told that no repository is bound to their channel.
const TOLD: usize = 10_000;
/// Notices that may wait; more are dropped.
const NOTICES: usize = 64;

type Sockets = dyn SlackSocketModeClientsManager + Send + Sync;
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Listens until it is stopped. What was being stored then is stored to its end.
pub async fn run(
    connection: Arc<Connection>,
    app_token: &SecretString,
    intake: Arc<dyn Intake>,
    on_ready: impl Fn() + Send + Sync + 'static,
    stop: CancellationToken,
) -> ClientResult<()> {
    let client = connection.web.client.clone();
    let environment = SlackClientEventsListenerEnvironment::new(client.clone());
    let sockets = client.http_api.connector.new_clients_manager(Arc::new(environment));
    let (notices, mut waiting) = mpsc::channel(NOTICES);
    let listener = Arc::new(Listener {
        connection: connection.clone(),
        intake,
        on_ready: Mutex::new(Some(Box::new(on_ready))),
        sockets: Arc::downgrade(&sockets),
        up: Mutex::default(),
        notices,
        told: Mutex::default(),
        stop: stop.clone(),
        storing: TaskTracker::new(),
    });
    let config = SlackClientSocketModeConfig::new()
        .with_max_connections_count(CONNECTIONS)
        .with_initial_backoff_in_seconds(STAGGER_S)
        .with_reconnect_timeout_in_seconds(RECONNECT_S)
        .with_ping_interval_in_seconds(PING_S)
        .with_ping_failure_threshold_times(PINGS_LOST);
    sockets.register_new_token(&config, token(app_token), listener.clone()).await?;
    sockets.start().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(notice) = waiting.recv() => tell(&connection, notice, &stop).await,
        }
    }
    sockets.shutdown().await;
    listener.storing.close();
    listener.storing.wait().await;
    Ok(())
}

/// Something to be said in a thread of a channel without a repository.
struct Notice {
    thread: ThreadKey,
    text: String,
}

async fn tell(connection: &Connection, notice: Notice, stop: &CancellationToken) {
    let said = thread_posts::say(&connection.web, &notice.thread, &notice.text);
    if let Some(Err(error)) = stop.run_until_cancelled(said).await {
        warn!(channel = %notice.thread.channel, %error, "could not say that no repository is bound here");
    }
}

struct Listener {
    connection: Arc<Connection>,
    intake: Arc<dyn Intake>,
    /// Called and dropped at the first hello. A std lock: taken once.
    on_ready: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
    /// Weak, because the sockets own the listener.
    sockets: Weak<Sockets>,
    /// The sockets that have said hello. A std lock: held for one change.
    up: Mutex<HashSet<SlackSocketModeWssClientId>>,
    notices: mpsc::Sender<Notice>,
    /// A std lock: held for one look, never over an await.
    told: Mutex<HashSet<ThreadKey>>,
    stop: CancellationToken,
    /// What is being stored; stopping waits for it.
    storing: TaskTracker,
}

#[async_trait]
impl SlackSocketModeClientListener for Listener {
    async fn on_message(&self, id: &SlackSocketModeWssClientId, body: String) -> Option<String> {
        let _storing = self.storing.token();
        if self.stop.is_cancelled() {
            return None;
        }
        match events::read(&body, &self.connection.own) {
            Frame::Hello => self.hello(id),
            Frame::Disconnect { reason } => self.renew(id, &reason).await,
            Frame::Envelope { id, what } => return self.take(&id, what).await,
            Frame::Other => debug!(socket = id.to_string(), "a frame of an unknown kind"),
        }
        None
    }

    async fn on_error(&self, error: Error) {
        warn!(%error, "a Slack connection failed");
    }

    async fn on_disconnect(&self, id: &SlackSocketModeWssClientId) {
        info!(socket = id.to_string(), "a Slack connection ended; opening another");
        let was_up = self.up.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.restart(id, was_up).await;
    }
}

impl Listener {
    fn hello(&self, id: &SlackSocketModeWssClientId) {
        debug!(socket = id.to_string(), "a Slack connection is up");
        self.up.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        let first = self.on_ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(on_ready) = first {
            on_ready();
        }
    }

    /// Opens another connection in place of one that Slack is about to close.
    async fn renew(&self, id: &SlackSocketModeWssClientId, reason: &str) {
        self.up.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        // Its two ordinary reasons; any other (`too_many_websockets`, `link_disabled`) will be the same at once.
        let ordinary = matches!(reason, "warning" | "refresh_requested");
        if ordinary {
            info!(socket = id.to_string(), reason, "Slack renews a connection");
        } else {
            warn!(socket = id.to_string(), reason, "Slack does not want this connection");
        }
        self.restart(id, ordinary).await;
    }

    /// Opens another connection in place of this one; after a pause, if there is no reason to think it will fare better.
    async fn restart(&self, id: &SlackSocketModeWssClientId, at_once: bool) {
        if !at_once {
            self.stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(RECONNECT_S))).await;
        }
        if self.stop.is_cancelled() {
            return;
        }
        if let Some(sockets) = self.sockets.upgrade() {
            sockets.restart_client(id).await;
        }
    }

    /// Takes an envelope; the frame that acks it, or nothing when Slack must send it again.
    async fn take(&self, envelope: &str, what: Envelope) -> Option<String> {
        let ack = json!({ "envelope_id": envelope });
        match what {
            Envelope::Heard(heard) => self.hear(heard).await.then(|| ack.to_string()),
            Envelope::Slash { channel, by, command, text } => {
                let words = self.slash(&channel, &by, &command, &text).await;
                let payload = json!({ "response_type": "ephemeral", "text": mrkdwn::from_markdown(&words) });
                Some(json!({ "envelope_id": envelope, "payload": payload }).to_string())
            }
            Envelope::Ignored(reason) => {
                debug!(envelope, reason, "not for us");
                Some(ack.to_string())
            }
        }
    }

    /// Stores what somebody did; false when it could not be stored.
    async fn hear(&self, heard: Heard) -> bool {
        let bound = self.intake.bound_channels();
        if heard.direct || !bound.iter().any(|(channel, _)| *channel == heard.channel) {
            self.notice(&heard, &bound);
            return true;
        }
        let thread = heard.thread.to_string();
        match self.intake.accept(self.incoming(heard).await).await {
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
                false
            }
        }
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
            HeardKind::Edited { ts, text } => IncomingKind::Edited { ts, text: plain::to_markdown(&text, &names) },
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
        match self.intake.choose_channel_model(channel, by, text).await {
            Ok(words) => format!("{words}\nIn a thread it is `!pm NAME`."),
            Err(error) => {
                let reason = anyhow::Error::from(error);
                warn!(%channel, reason = format!("{reason:#}"), "the channel's model was not stored");
                "That could not be stored; nothing has changed. Try again in a moment.".to_owned()
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
