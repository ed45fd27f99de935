//! One socket of Socket Mode, from its opening to its end: frames are given to their stores in the order in which they
//! come, and each is acked when it is stored. Many may be on their way at once: a store commits them together, and one
//! that is slow delays no ack of another's.
//!
//! Opening has a time limit, and a socket that gives no sign of life is dead. Never opens another in its place:
//! `sockets.rs` does.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use slack_morphism::SlackApiToken;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::events::{self, Frame, Own};
use super::listener::Listener;
use super::web_api::WebApi;
use crate::chat::ChatError;

/// How long a socket may take until it says hello.
const OPENING: Duration = Duration::from_secs(15);
/// Pings that may stay without any sign of life; then the socket is dead. Counted and not timed: while we do not come to
/// reading we do not ask, either.
const SILENT_PINGS: u32 = 3;
/// How long a socket that is left is listened to after the last ack: something may be on its way.
const QUIET: Duration = Duration::from_millis(200);
/// How long a frame may take to go out.
const SENDING: Duration = Duration::from_secs(5);

/// A socket that has said hello.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What was taken and is on its way to its store; each gives the frame that acks it.
pub type Taken<'a> = FuturesUnordered<BoxFuture<'a, Option<String>>>;

/// Why a socket is not listened to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// We left it: another has taken its place, or we stop.
    Left,
    /// Slack closed it, as it had announced.
    Closed,
    /// It ended without a word: something that was sent over it may be lost.
    Lost(String),
    /// Slack does not want it (`too_many_websockets`, `link_disabled`); another will fare no better at once.
    Unwanted(String),
}

#[derive(Deserialize)]
struct Opened {
    url: String,
}

/// Opens a socket and waits for its hello.
pub async fn open(web: &WebApi, app_token: &SlackApiToken, own: &Own) -> Result<Socket, ChatError> {
    let Opened { url } = web.post_as(app_token, "apps.connections.open", &json!({})).await?;
    // Boxed: what a TLS handshake needs is large, and every socket that is held would carry it for life.
    match tokio::time::timeout(OPENING, Box::pin(connect(&url, own))).await {
        Ok(opened) => opened.map_err(ChatError::Unreachable),
        Err(_) => Err(ChatError::Unreachable(anyhow::anyhow!("no hello within {} s", OPENING.as_secs()))),
    }
}

async fn connect(url: &str, own: &Own) -> anyhow::Result<Socket> {
    let (mut stream, _) = tokio_tungstenite::connect_async(url).await?;
    while let Some(message) = stream.next().await {
        let Message::Text(body) = message? else { continue };
        match events::read(&body, own) {
            Frame::Hello => return Ok(Socket { stream }),
            Frame::Disconnect { reason } => anyhow::bail!("Slack closes it at once: {reason}"),
            // Not acked, so it comes again.
            Frame::Envelope { .. } | Frame::Other => debug!("a frame before the hello"),
        }
    }
    anyhow::bail!("it ended before its hello")
}

/// What a socket is told while it serves.
pub struct Signals<'a> {
    /// Another has taken its place.
    pub leave: &'a CancellationToken,
    /// Nothing more is to be taken.
    pub stop: &'a CancellationToken,
    /// How often it is asked for a sign of life.
    pub ping: Duration,
}

impl Socket {
    /// Listens until its end. `on_renewal` is called when Slack announces that it will close the socket. What is put
    /// into `taken` is to be brought to its end by [`Self::close`].
    pub async fn listen<'a>(
        &mut self,
        listener: &'a Listener,
        signals: Signals<'_>,
        mut on_renewal: impl FnMut(&str),
        taken: &mut Taken<'a>,
    ) -> End {
        let Signals { leave, stop, ping } = signals;
        let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut unanswered, mut announced) = (0, false);
        loop {
            let quiet = async {
                leave.cancelled().await;
                tokio::time::sleep(QUIET).await;
            };
            let message = tokio::select! {
                // What has come is read before anything is made of the time that went by.
                biased;
                () = stop.cancelled() => return End::Left,
                Some(ack) = taken.next(), if !taken.is_empty() => {
                    match self.ack(ack).await {
                        Ok(()) => continue,
                        Err(reason) => return End::Lost(reason),
                    }
                }
                message = self.stream.next() => message,
                // Until the goodbye Slack sends events over it; while a store is slow they must be read.
                () = quiet, if taken.is_empty() => return End::Left,
                _ = pings.tick(), if !leave.is_cancelled() => {
                    if unanswered >= SILENT_PINGS {
                        return End::Lost(format!("no sign of life after {unanswered} pings"));
                    }
                    unanswered += 1;
                    match self.send(Message::Ping(Bytes::new())).await {
                        Ok(()) => continue,
                        Err(reason) => return End::Lost(reason),
                    }
                }
            };
            unanswered = 0;
            let body = match message {
                Some(Ok(Message::Text(body))) => body,
                Some(Ok(Message::Close(_))) | None if announced => return End::Closed,
                Some(Ok(Message::Close(_))) | None => return End::Lost("it was closed".to_owned()),
                Some(Err(error)) if announced => {
                    debug!(%error, "an announced end");
                    return End::Closed;
                }
                Some(Err(error)) => return End::Lost(error.to_string()),
                Some(Ok(_)) => continue,
            };
            match events::read(&body, &listener.connection.own) {
                Frame::Disconnect { reason } if matches!(reason.as_str(), "warning" | "refresh_requested") => {
                    if !std::mem::replace(&mut announced, true) {
                        on_renewal(&reason);
                    }
                }
                Frame::Disconnect { reason } => return End::Unwanted(reason),
                Frame::Envelope { id, what } => {
                    let storing = listener.take(id, what).await;
                    taken.push(storing);
                }
                Frame::Hello | Frame::Other => debug!("a frame of an unknown kind"),
            }
        }
    }

    /// Brings what was taken to its end, however the socket ended, or its threads would not be woken; acks it, and says
    /// goodbye, as far as there is anybody to hear it.
    pub async fn close(mut self, end: &End, mut taken: Taken<'_>) {
        match end {
            End::Left | End::Unwanted(_) => {
                while let Some(ack) = taken.next().await {
                    let _ = self.ack(ack).await;
                }
                self.say_goodbye().await;
            }
            // Dropped first: as long as it is open and nobody reads it, Slack may take it for alive.
            End::Lost(_) | End::Closed => {
                drop(self);
                while taken.next().await.is_some() {}
            }
        }
    }

    async fn ack(&mut self, ack: Option<String>) -> Result<(), String> {
        match ack {
            Some(ack) => self.send(Message::text(ack)).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), String> {
        match tokio::time::timeout(SENDING, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("it takes nothing any more".to_owned()),
        }
    }

    /// Says goodbye, as far as that still reaches anybody.
    async fn say_goodbye(&mut self) {
        let _ = tokio::time::timeout(QUIET, self.stream.close(None)).await;
    }
}
