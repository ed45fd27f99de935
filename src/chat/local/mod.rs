//! The local web chat: a page on this machine that stands in for Slack in `codebutler chat` and `codebutler demo`.
//!
//! Owns the page, its JSON API (described in [`http`]), and what is on it. That is kept in memory only: the daemon's
//! store is the truth and fills it again at start. Decides nothing about threads, and never runs anything by itself:
//! the caller polls what [`LocalChat::serve`] returns.

mod deeds;
mod door;
mod http;
mod log;
mod markdown;
mod mention;
mod message;
mod room;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::deeds::Deeds;
use self::door::Door;
use self::http::Site;
pub use self::log::{LogLine, LogQuery, LogReader};
use self::message::Body;
use self::room::Room;
use self::state::State;
use super::{Chat, ChatError, Intake, Post};
use crate::ids::{ChannelId, MessageTs, ThreadKey};
use crate::thread::event::Earlier;

/// The workspace of every thread on the local page.
pub const WORKSPACE: &str = "local";

/// How the page is served.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Where to listen; port 0 takes a free one. The page answers to loopback names and to exactly this address, so
    /// to reach it from a phone it must be the machine's own address and not `0.0.0.0`.
    pub listen: SocketAddr,
    /// The token that opens the page. `None` makes a random one, which is enough on loopback addresses only.
    pub token: Option<String>,
    /// The repository's name, shown on top.
    pub title: String,
    /// What the reader must know at all times, such as `scripted model, real tools · sandbox: none`.
    pub notice: Option<String>,
    /// The channel of its threads.
    pub channel: ChannelId,
    /// The daemon's log.
    pub log: Arc<dyn LogReader>,
}

/// What was in the chat before a restart, oldest first.
#[derive(Clone, Debug)]
pub enum Restored {
    /// A person's message.
    Said {
        /// Its thread.
        thread: ThreadKey,
        /// Its id.
        ts: MessageTs,
        /// Its text.
        text: String,
    },
    /// A post. Ephemeral ones have no id and do not come back.
    Posted {
        /// Its thread.
        thread: ThreadKey,
        /// Its key.
        key: String,
        /// Its id; a reaction has none, and neither has what was never sent.
        ts: Option<MessageTs>,
        /// Its newest version that was sent.
        post: Post,
    },
}

/// The page as a chat.
pub struct LocalChat {
    listener: TcpListener,
    address: SocketAddr,
    door: Arc<Door>,
    room: Arc<Room>,
    options: LocalOptions,
}

impl LocalChat {
    /// Takes the port and fills the page. Nothing is answered before [`LocalChat::serve`] is polled.
    pub fn bind(options: LocalOptions, restored: Vec<Restored>) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let door = Arc::new(Door::new(address, options.token.as_deref())?);
        let mut state = State::new(room::now());
        for item in restored {
            restore(&mut state, &options.channel, item);
        }
        Ok(Self { listener, address, door, room: Arc::new(Room::new(state)), options })
    }

    /// The address to open, with the token: whoever has it is the local user.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}/?t={}", self.door.token())
    }

    /// Serves the page until `stop`; then open connections end and the future completes.
    pub fn serve(
        &self,
        intake: Arc<dyn Intake>,
        stop: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (deeds, carrying_out) = Deeds::new();
        let site = Site {
            door: Arc::clone(&self.door),
            room: Arc::clone(&self.room),
            intake,
            channel: self.options.channel.clone(),
            title: self.options.title.clone(),
            notice: self.options.notice.clone(),
            log: Arc::clone(&self.options.log),
            deeds,
            stop,
        };
        let listener = self.listener.try_clone();
        async move { http::serve(tokio::net::TcpListener::from_std(listener?)?, site, carrying_out).await }
    }

    fn is_ours(&self, thread: &ThreadKey) -> Result<(), ChatError> {
        let ours = thread.workspace == WORKSPACE && thread.channel == self.options.channel;
        if ours { Ok(()) } else { Err(refused("channel_not_found")) }
    }
}

#[async_trait]
impl Chat for LocalChat {
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
        self.is_ours(thread)?;
        if let Post::Reaction { ts, name } = post {
            self.room.write(|state| state.react(ts, name));
            return Ok(None);
        }
        let Some(body) = Body::of(post) else { return Ok(None) };
        let ephemeral = body.ephemeral;
        let ts = self.room.write(|state| state.post(&thread.ts, key, body, room::now()));
        Ok((!ephemeral).then_some(ts))
    }

    async fn edit(&self, thread: &ThreadKey, ts: &MessageTs, _key: &str, post: &Post) -> Result<(), ChatError> {
        self.is_ours(thread)?;
        let (Post::Message { .. } | Post::File { .. }, Some(body)) = (post, Body::of(post)) else {
            return Err(refused("cant_update_message"));
        };
        let found = self.room.write(|state| state.edit(ts, body));
        if found { Ok(()) } else { Err(refused("message_not_found")) }
    }

    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
        self.is_ours(thread)?;
        Ok(self.room.read(|state| state.find(&thread.ts, key)))
    }

    async fn history(&self, _thread: &ThreadKey, _before: &MessageTs) -> Result<Vec<Earlier>, ChatError> {
        // Every thread of the page began with us.
        Ok(Vec::new())
    }

    fn permalink(&self, _thread: &ThreadKey) -> Option<String> {
        None
    }
}

fn refused(code: &str) -> ChatError {
    ChatError::Refused { code: code.to_owned(), remedy: None }
}

fn restore(state: &mut State, channel: &ChannelId, item: Restored) {
    match item {
        Restored::Said { thread, ts, text } if thread.channel == *channel => {
            state.restore_said(&thread.ts, &ts, Body::said(&text));
        }
        Restored::Posted { thread, post: Post::Reaction { ts, name }, .. } if thread.channel == *channel => {
            state.react(&ts, &name);
        }
        Restored::Posted { thread, key, ts: Some(ts), post } if thread.channel == *channel => {
            if let Some(body) = Body::of(&post) {
                state.restore(&thread.ts, &key, &ts, body);
            }
        }
        Restored::Said { .. } | Restored::Posted { .. } => {}
    }
}
