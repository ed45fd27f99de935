//! The adapter against the fake Slack: over real HTTP and real sockets.

mod backlog;
#[path = "../../../tests/support/fake_slack.rs"]
#[expect(dead_code, reason = "some of what can go wrong is played through the binary only")]
mod fake_slack;
mod files;
mod heard;
mod missed;
mod posts;
mod sockets;
mod start;

use std::collections::HashSet;
use std::sync::Mutex;

use serde_json::json;

use self::fake_slack::{ANA, ANA_DM, APP_TOKEN, BEN, BOT_TOKEN, BOT_USER, FakeSlack, Fault, LOBBY, RANDOM, SHOP, TEAM};
use super::*;
use crate::chat::{Button, ButtonStyle, CatchUp, Hearing, Incoming, IncomingKind, IntakeError};
use crate::ids::UserId;

/// An inbox in memory that can be out of order.
struct Inbox {
    inner: Mutex<Inner>,
    changes: tokio::sync::watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    stored: Vec<Incoming>,
    keys: HashSet<String>,
    refuse: usize,
    refused: usize,
    ready: usize,
    /// What is said of where the channel stands.
    standing: CatchUp,
    noted: Vec<Hearing>,
    /// Whether `#lobby` is bound, too.
    with_lobby: bool,
    /// Whether the store of `#shop` is locked: what it is given waits.
    locked: bool,
    /// What `#shop` was given, in order.
    given: Vec<MessageTs>,
}

impl Inbox {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), changes: tokio::sync::watch::Sender::new(()) })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().expect("no test panics within"));
        self.changes.send_replace(());
        result
    }

    async fn wait_for(&self, what: &str, there: impl Fn(&Inner) -> bool) {
        let mut changes = self.changes.subscribe();
        let waiting = changes.wait_for(|()| there(&self.inner.lock().expect("no test panics within")));
        let waited = tokio::time::timeout(std::time::Duration::from_secs(120), waiting).await;
        waited.unwrap_or_else(|_| panic!("waited in vain for {what}")).expect("the inbox lives");
    }

    async fn unlocked(&self) {
        self.wait_for("the lock", |inner| !inner.locked).await;
    }

    async fn stored(&self, count: usize) -> Vec<Incoming> {
        self.wait_for(&format!("{count} stored"), |inner| inner.stored.len() >= count).await;
        self.change(|inner| inner.stored.clone())
    }
}

#[async_trait]
impl Intake for Inbox {
    async fn accept(&self, incoming: Incoming) -> Result<bool, IntakeError> {
        if incoming.thread.channel.as_str() == SHOP {
            self.change(|inner| inner.given.extend(incoming.said_at().cloned()));
            self.unlocked().await;
        }
        self.change(|inner| {
            if inner.refuse > 0 {
                inner.refuse -= 1;
                inner.refused += 1;
                return Err(IntakeError(anyhow::anyhow!("the disk is full")));
            }
            let known = incoming.dedupe.iter().any(|key| inner.keys.contains(key));
            inner.keys.extend(incoming.dedupe.iter().cloned());
            if !known {
                inner.stored.push(incoming);
            }
            Ok(!known)
        })
    }

    async fn choose_channel_model(&self, channel: &ChannelId, _by: &UserId, name: &str) -> Result<String, IntakeError> {
        self.change(|inner| match inner.refuse {
            0 => Ok(format!("The PM of **{channel}** uses `{name}` now.")),
            _ => Err(IntakeError(anyhow::anyhow!("the disk is full"))),
        })
    }

    fn bound_channels(&self) -> Vec<(ChannelId, String)> {
        let with_lobby = self.change(|inner| inner.with_lobby);
        bound(if with_lobby { &[(SHOP, "shop"), (LOBBY, "lobby")] } else { &[(SHOP, "shop")] })
    }

    async fn heard_until(&self, _channel: &ChannelId) -> Result<CatchUp, IntakeError> {
        Ok(self.change(|inner| inner.standing.clone()))
    }

    async fn note(&self, channel: &ChannelId, hearing: Hearing) -> Result<(), IntakeError> {
        if channel.as_str() == SHOP {
            self.unlocked().await;
        }
        self.change(|inner| inner.noted.push(hearing));
        Ok(())
    }
}

/// Pauses that nobody waits for; pings as in life.
fn timing() -> SlackTiming {
    SlackTiming { retry_base: Duration::from_millis(1), ..SlackTiming::default() }
}

fn options(slack: &FakeSlack) -> SlackOptions {
    let (bot_token, app_token) = (BOT_TOKEN.into(), APP_TOKEN.into());
    SlackOptions { bot_token, app_token, api_url: slack.api_url(), timing: timing() }
}

fn bound(channels: &[(&str, &str)]) -> Vec<(ChannelId, String)> {
    channels.iter().map(|(id, name)| (ChannelId::new(*id), (*name).to_owned())).collect()
}

async fn chat(slack: &FakeSlack) -> SlackChat {
    SlackChat::start(options(slack), &bound(&[(SHOP, "shop")])).await.expect("everything is right")
}

/// Runs `test` while the adapter listens; then stops it and waits for its end.
async fn listening(test: impl AsyncFnOnce(&FakeSlack, &Inbox)) {
    listening_to(FakeSlack::start().await, Inbox::new(), timing(), test).await;
}

async fn listening_to(
    slack: FakeSlack,
    inbox: Arc<Inbox>,
    timing: SlackTiming,
    test: impl AsyncFnOnce(&FakeSlack, &Inbox),
) {
    let options = SlackOptions { timing, ..options(&slack) };
    let chat = SlackChat::start(options, &bound(&[(SHOP, "shop")])).await.expect("everything is right");
    let stop = CancellationToken::new();
    let counting = inbox.clone();
    let on_ready = move || counting.change(|inner| inner.ready += 1);
    tokio::join!(chat.run(inbox.clone(), on_ready, stop.clone()), async {
        slack.wait_for_sockets(2).await;
        test(&slack, &inbox).await;
        stop.cancel();
    });
    slack.wait_for_sockets(0).await;
    assert_eq!(inbox.change(|inner| inner.ready), 1, "ready is said once");
}

fn thread(ts: &str) -> ThreadKey {
    ThreadKey { workspace: TEAM.into(), channel: ChannelId::new(SHOP), ts: MessageTs::new(ts) }
}

fn said(role: &str, text: &str) -> Post {
    Post::Message { role: Some(role.into()), text: text.into(), buttons: vec![] }
}

fn options_of_a_card() -> Vec<Button> {
    let button = |action: &str, value: &str, style, url: Option<&str>| Button {
        action: action.into(),
        value: value.into(),
        label: "Label".into(),
        style,
        url: url.map(Into::into),
    };
    vec![
        button("plan_approve", "p1", ButtonStyle::Primary, None),
        button("plan_cancel", "p1", ButtonStyle::Danger, None),
        button("ask_option", "1", ButtonStyle::Plain, None),
        button("ask_option", "2", ButtonStyle::Plain, None),
        button("open", "", ButtonStyle::Plain, Some("https://example.com/pr/1")),
    ]
}
