//! Slack as the chat: Socket Mode for what comes in, the Web API for what goes out and for what was missed.
//!
//! Never keeps anything that must last (the inbox and the outbox do), never repeats a call (the outbox does).

mod blocks;
mod catch_up;
mod change_keys;
mod events;
mod files;
mod listener;
mod message;
mod mrkdwn;
mod names;
mod pages;
mod plain;
mod presence;
mod remedies;
mod socket;
mod sockets;
mod start;
mod table;
mod thread_posts;
mod web_api;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use self::events::Own;
use self::files::Uploads;
use self::names::Names;
use self::start::Identity;
pub use self::start::StartProblem;
use self::web_api::WebApi;
use super::{Chat, ChatError, Intake, Kept, Post, Presence};
use crate::ids::{ChannelId, MessageTs, ThreadKey};
use crate::thread::event::Earlier;

/// How to reach Slack.
#[derive(Clone, Debug)]
pub struct SlackOptions {
    /// The bot's token (`xoxb-…`).
    pub bot_token: SecretString,
    /// The app's token for Socket Mode (`xapp-…`).
    pub app_token: SecretString,
    /// Where the Web API is: `https://slack.com/api`.
    pub api_url: String,
    /// Waiting times.
    pub timing: SlackTiming,
}

/// Waiting times of Slack's connections.
#[derive(Clone, Copy, Debug)]
pub struct SlackTiming {
    /// The first pause after something failed; each further one is twice as long, up to some seconds.
    pub retry_base: Duration,
    /// How often a socket is asked for a sign of life; after three times in vain it is given up.
    pub ping: Duration,
}

impl Default for SlackTiming {
    fn default() -> Self {
        Self { retry_base: Duration::from_millis(500), ping: Duration::from_secs(5) }
    }
}

/// Slack, checked and ready to listen and to send.
#[derive(Clone)]
pub struct SlackChat {
    connection: Arc<Connection>,
    app_token: SecretString,
    timing: SlackTiming,
}

/// What listening and sending share.
struct Connection {
    web: WebApi,
    own: Own,
    /// The workspace's address, with a slash at its end.
    url: String,
    names: Names,
    uploads: Uploads,
    presence: presence::Ways,
}

impl SlackChat {
    /// Checks both tokens and that the bot is in all these channels; says everything that is wrong at once.
    pub async fn start(options: SlackOptions, channels: &[(ChannelId, String)]) -> Result<Self, Vec<StartProblem>> {
        let web = WebApi::new(&options.api_url, &options.bot_token).map_err(|error| {
            let hint = "install the system's CA certificates, or set SSL_CERT_FILE".to_owned();
            vec![StartProblem { what: format!("no secure connection is possible: {error}"), hint }]
        })?;
        let Identity { own, url } = start::check(&web, &options, channels).await?;
        let connection = Connection {
            web,
            own,
            url,
            names: Names::default(),
            uploads: Uploads::default(),
            presence: presence::Ways::default(),
        };
        let connection = Arc::new(connection);
        Ok(Self { connection, app_token: options.app_token, timing: options.timing })
    }

    /// Listens until `stop`: hands everything that people do to `intake`, and acks it when it is stored. `on_ready` is
    /// called once, when the first connection is up. Lost connections are opened again for ever, and what was missed
    /// meanwhile is fetched.
    pub async fn run(
        &self,
        intake: Arc<dyn Intake>,
        on_ready: impl Fn() + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        sockets::run(self.connection.clone(), &self.app_token, self.timing, intake, on_ready, stop).await;
    }
}

#[async_trait]
impl Chat for SlackChat {
    async fn post(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
        let Connection { web, uploads, .. } = &*self.connection;
        thread_posts::post(web, uploads, thread, key, post).await
    }

    async fn edit(&self, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
        thread_posts::edit(&self.connection.web, thread, ts, key, post).await
    }

    async fn find(&self, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
        thread_posts::find(&self.connection.web, &self.connection.own, thread, key).await
    }

    async fn history(&self, thread: &ThreadKey, before: &MessageTs) -> Result<Vec<Earlier>, ChatError> {
        let Connection { web, own, names, .. } = &*self.connection;
        thread_posts::history(web, own, names, thread, before).await
    }

    /// Slack's rule for messages: one a second in a channel, short bursts beyond that.
    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn show_presence(&self, thread: &ThreadKey, presence: &Presence) -> Result<(), ChatError> {
        let Connection { web, presence: ways, .. } = &*self.connection;
        presence::show(web, ways, thread, presence).await
    }

    fn presence_kept(&self) -> Kept {
        presence::kept(&self.connection.presence)
    }

    fn permalink(&self, thread: &ThreadKey) -> Option<String> {
        let ts = thread.ts.as_str().replace('.', "");
        Some(format!("{}archives/{}/p{ts}", self.connection.url, thread.channel))
    }
}
