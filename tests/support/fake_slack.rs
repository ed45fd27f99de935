//! A Slack in this process: Web API and Socket Mode on a loopback port, as strict and unkind as the original.
//!
//! Knows nothing of CodeButler. A test plays the people ([`FakeSlack::say`], [`FakeSlack::press`], …), waits for what
//! the bot does ([`FakeSlack::wait_for`]), and breaks things ([`FakeSlack::fail_next`], [`FakeSlack::cut_sockets`]).

#[path = "fake_slack/limits.rs"]
mod limits;
#[path = "fake_slack/past.rs"]
mod past;
#[path = "fake_slack/people.rs"]
mod people;
#[path = "fake_slack/server.rs"]
mod server;
#[path = "fake_slack/state.rs"]
mod state;
#[path = "fake_slack/web_methods.rs"]
mod web_methods;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::state::{Agent, Fault, Message, State};

/// The bot token that it accepts.
pub const BOT_TOKEN: &str = "xoxb-fake-bot";
/// The app token that it accepts.
pub const APP_TOKEN: &str = "xapp-fake-app";
/// Its workspace.
pub const TEAM: &str = "T0TEAM";
/// The bot's user id.
pub const BOT_USER: &str = "U0BOT";
/// A channel with the bot in it, `#shop`.
pub const SHOP: &str = "C0SHOP";
/// A channel without the bot, `#random`.
pub const RANDOM: &str = "C0RANDOM";
/// A channel with the bot in it that tests leave unbound, `#lobby`.
pub const LOBBY: &str = "C0LOBBY";
/// Ana's direct messages with the bot.
pub const ANA_DM: &str = "D0ANA";
/// A person, shown as `Ana`.
pub const ANA: &str = "U0ANA";
/// Another, shown as `Ben`.
pub const BEN: &str = "U0BEN";

/// What faults call the host that takes the bytes of uploads; it has no method.
pub const UPLOAD: &str = "upload";

/// How long [`FakeSlack::wait_for`] waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The running fake. Its port is free again when it is dropped.
pub struct FakeSlack {
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    changes: tokio::sync::watch::Sender<()>,
    address: String,
}

impl FakeSlack {
    /// Starts one, with two people and the channels above.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("the listener has an address").to_string();
        let changes = tokio::sync::watch::Sender::new(());
        let shared = Arc::new(Shared { state: Mutex::new(State::new(&address)), changes, address });
        let router = server::router(shared.clone());
        #[expect(clippy::disallowed_methods, reason = "a test's server, owned and aborted by the fake")]
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the loopback listener works");
        });
        Self { shared, server }
    }

    /// The base of its Web API, for `slack.apiUrl`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api", self.shared.address)
    }

    /// Keeps no transcript and shows histories in long pages from now on: for measuring.
    pub fn be_quiet(&self) {
        self.shared.change(|state| (state.quiet, state.page) = (true, 200));
    }

    /// Offers this from now on for showing work.
    pub fn offer(&self, agent: Agent) {
        self.shared.change(|state| state.agent = agent);
    }

    /// Makes a further channel with both people and the bot in it.
    pub fn add_channel(&self, id: &str, name: &str) {
        let members = [ANA, BEN, BOT_USER].map(str::to_owned).into();
        let channel = state::Channel { name: name.to_owned(), direct: false, members };
        self.shared.change(|state| state.channels.insert(id.to_owned(), channel));
    }

    /// Shows of every history only the first page from now on, and says that there is more.
    pub fn refuse_cursors(&self) {
        self.shared.change(|state| state.no_cursors = true);
    }

    /// Waits until `look` finds what it looks for; panics with everything that happened when it never does.
    pub async fn wait_for<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.shared.changes.subscribe();
        let looking = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(&self.shared.lock()) {
                    return found;
                }
                changes.changed().await.expect("the fake lives as long as its users");
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}\n{}", self.shared.lock().transcript.join("\n")),
        }
    }

    /// Waits until so many sockets are open.
    pub async fn wait_for_sockets(&self, count: usize) {
        self.wait_for(&format!("{count} sockets"), |state| (state.sockets.len() == count).then_some(())).await;
    }

    /// Waits until every envelope that was delivered is acked, and not given up or sent again.
    pub async fn wait_until_acked(&self) {
        self.wait_for("every ack", |state| {
            state.envelopes.iter().all(|envelope| envelope.ack.is_some() || envelope.superseded).then_some(())
        })
        .await;
    }

    /// The messages of a thread, oldest first, without what was deleted.
    pub fn thread(&self, ts: &str) -> Vec<Message> {
        self.shared.lock().thread(ts)
    }

    /// Looks at everything at once.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Makes the next call of a method go wrong.
    pub fn fail_next(&self, method: &str, fault: Fault) {
        self.shared.change(|state| state.faults.push((method.to_owned(), fault)));
    }

    /// Makes every call of a method go wrong, until [`FakeSlack::mend`].
    pub fn break_method(&self, method: &str, fault: Fault) {
        self.shared.change(|state| state.broken.insert(method.to_owned(), fault));
    }

    /// Calls of a method go well again.
    pub fn mend(&self, method: &str) {
        self.shared.change(|state| state.broken.remove(method));
    }

    /// Sends every envelope that was not acked again, as Slack does after a while: under a new envelope id, with a
    /// higher attempt. Says how many these were.
    pub fn redeliver_unacked(&self) -> usize {
        self.shared.change(State::redeliver)
    }

    /// Tells every socket that it is about to be closed (`warning`, `refresh_requested`).
    pub fn disconnect_sockets(&self, reason: &str) {
        self.shared.change(|state| state.announce_disconnect(reason));
    }

    /// Breaks every socket without a word.
    pub fn cut_sockets(&self) {
        self.shared.change(State::cut_sockets);
    }

    /// Nobody can reach it, and every socket breaks, until [`FakeSlack::go_online`].
    pub fn go_offline(&self) {
        self.shared.change(|state| {
            state.log("offline".to_owned());
            state.offline = true;
            state.cut_sockets();
        });
    }

    /// It can be reached again.
    pub fn go_online(&self) {
        self.shared.change(|state| {
            state.log("online".to_owned());
            state.offline = false;
        });
    }

    /// Makes the first so many sockets half-open: nothing passes, not even pongs, and Slack still sends events there.
    pub fn freeze_sockets(&self, count: usize) {
        self.shared.change(|state| state.freeze(count));
    }

    /// Slack notices that the half-open sockets are dead.
    pub fn drop_frozen(&self) {
        self.shared.change(State::drop_frozen);
    }

    /// The next so many acks never arrive.
    pub fn lose_acks(&self, count: usize) {
        self.shared.change(|state| state.lose_acks += count);
    }

    /// Sends every event of a message again, acked or not; how many these were.
    pub fn redeliver(&self, ts: &str) -> usize {
        self.shared.change(|state| state.redeliver_message(ts))
    }

    /// Slack gives up on what was not acked: it will never come.
    pub fn give_up_unacked(&self) {
        self.shared.change(|state| {
            let unacked = state.envelopes.iter_mut().filter(|envelope| envelope.ack.is_none());
            unacked.for_each(|envelope| envelope.superseded = true);
        });
    }

    /// How often events of a message were sent.
    pub fn deliveries(&self, ts: &str) -> usize {
        self.look(|state| state.envelopes.iter().filter(|envelope| envelope.payload["event"]["ts"] == ts).count())
    }

    /// Makes so much time pass at Slack: later messages have timestamps that much later.
    pub fn pass(&self, seconds: u64) {
        self.shared.change(|state| state.pass(seconds));
    }

    /// Sends to one socket what is no frame.
    pub fn send_garbage(&self, text: &str) {
        self.shared.change(|state| state.send_text(text.to_owned()));
    }

    /// Sends a frame as it is to one socket.
    pub fn send_frame(&self, frame: &serde_json::Value) {
        self.shared.change(|state| state.send(frame));
    }

    /// Delivers an envelope of any kind.
    pub fn send_envelope(&self, kind: &'static str, payload: serde_json::Value) {
        self.shared.change(|state| state.deliver(kind, payload, 0));
    }

    /// Delivers an event as it is. Gives its event id.
    pub fn send_event(&self, event: serde_json::Value) -> String {
        self.shared.change(|state| state.deliver_event(event))
    }
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changes.send_replace(());
        result
    }
}
