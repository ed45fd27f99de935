//! What the fake remembers, and how it delivers envelopes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::{ANA, ANA_DM, BEN, BOT_USER, LOBBY, RANDOM, SHOP, TEAM};

/// The app's id.
pub const APP: &str = "A0APP";
/// The bot's bot id.
pub const BOT: &str = "B0BOT";

/// A message as it stands now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub ts: String,
    pub channel: String,
    pub user: String,
    /// The bot id of whoever posted it, when that is a bot.
    pub bot: Option<String>,
    pub text: String,
    pub thread_ts: Option<String>,
    /// The id that a person's program gave it.
    pub client_msg_id: Option<String>,
    pub blocks: Vec<Value>,
    pub metadata: Value,
    pub reactions: Vec<String>,
    pub files: Vec<File>,
    /// How often it was edited.
    pub edits: usize,
    /// When a person edited it last, in whole seconds.
    pub edited: Option<String>,
    pub deleted: bool,
}

/// A file of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub id: String,
    pub name: String,
    pub title: String,
    pub syntax: Option<String>,
    pub content: Option<String>,
    /// How long its content was said to be.
    pub length: usize,
}

/// A message that only one person sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Ephemeral {
    pub channel: String,
    pub user: String,
    pub text: String,
    pub thread_ts: Option<String>,
}

/// One delivery.
pub struct Envelope {
    pub id: String,
    pub kind: &'static str,
    pub payload: Value,
    pub attempt: u32,
    /// The frame that acked it.
    pub ack: Option<Value>,
    /// Whether it was sent again under another id.
    pub superseded: bool,
    /// When it was given to a socket, and when its ack came.
    pub times: (Instant, Option<Instant>),
}

/// What goes wrong with a call of a method.
#[derive(Clone, Copy)]
pub enum Fault {
    /// 429, to be tried again after so many seconds.
    TooFast(u32),
    /// It does not happen, and there is no answer.
    Cut,
    /// It happens, and the answer is lost.
    LoseAnswer,
    /// It is refused with this code.
    Refuse(&'static str),
    /// It happens, and the answer is this error all the same.
    RefuseAfter(&'static str),
    /// It does not happen; the answer is this HTTP status with a page that is not Slack's.
    Status(u16),
    /// Nothing happens, and no answer ever comes.
    Silence,
}

/// What the workspace offers an app to show its work by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Nothing: an older Slack.
    Unknown,
    /// The words beneath a thread: the app is not declared as an agent.
    NotDeclared,
    /// The session with its Stop button, too.
    Declared,
}

pub struct Channel {
    pub name: String,
    pub direct: bool,
    pub members: BTreeSet<String>,
}

pub struct Socket {
    pub number: usize,
    pub out: UnboundedSender<Outgoing>,
}

pub enum Outgoing {
    Frame(String),
    /// Nothing is read or written any more, pings neither.
    Freeze,
    Cut,
}

/// Everything.
pub struct State {
    pub address: String,
    pub channels: BTreeMap<String, Channel>,
    /// Display names by user id.
    pub users: BTreeMap<String, String>,
    pub messages: Vec<Message>,
    pub ephemerals: Vec<Ephemeral>,
    pub uploads: BTreeMap<String, File>,
    pub envelopes: Vec<Envelope>,
    pub sockets: Vec<Socket>,
    /// Sockets that Slack believes to be open and nothing passes through.
    pub frozen: Vec<Socket>,
    /// Whether nobody can reach it.
    pub offline: bool,
    /// So many acks get lost on their way.
    pub lose_acks: usize,
    /// Events that are not delivered until a test says so, by the message's ts.
    pub held: BTreeMap<String, Value>,
    /// How many sockets were ever opened.
    pub opened: usize,
    pub tickets: BTreeSet<String>,
    pub faults: Vec<(String, Fault)>,
    /// Methods of which every call goes wrong.
    pub broken: BTreeMap<String, Fault>,
    pub agent: Agent,
    /// The words beneath threads, and the states of their sessions, by their first message.
    pub words: BTreeMap<String, String>,
    pub sessions: BTreeMap<String, String>,
    /// Every call, as method and arguments.
    pub calls: Vec<(String, Value)>,
    /// Everything that happened, in lines; not kept when `quiet`.
    pub transcript: Vec<String>,
    /// Whether only the outcome matters, not the way there: for long runs and for measuring.
    pub quiet: bool,
    /// Most messages per page of a history: fewer than anybody asks for, as Slack may give.
    pub page: usize,
    /// Whether no page says where the next begins.
    pub no_cursors: bool,
    counter: u64,
    later: u64,
    sent: usize,
}

impl State {
    pub fn new(address: &str) -> Self {
        let channel = |name: &str, direct, members: &[&str]| Channel {
            name: name.to_owned(),
            direct,
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        };
        let channels = [
            (SHOP, channel("shop", false, &[ANA, BEN, BOT_USER])),
            (RANDOM, channel("random", false, &[ANA, BEN])),
            (LOBBY, channel("lobby", false, &[ANA, BEN, BOT_USER])),
            (ANA_DM, channel("", true, &[ANA, BOT_USER])),
        ];
        let users = [(ANA, "Ana"), (BEN, "Ben"), (BOT_USER, "CodeButler")];
        Self {
            address: address.to_owned(),
            channels: channels.into_iter().map(|(id, channel)| (id.to_owned(), channel)).collect(),
            users: users.into_iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect(),
            messages: Vec::new(),
            ephemerals: Vec::new(),
            uploads: BTreeMap::new(),
            envelopes: Vec::new(),
            sockets: Vec::new(),
            frozen: Vec::new(),
            offline: false,
            lose_acks: 0,
            held: BTreeMap::new(),
            opened: 0,
            tickets: BTreeSet::new(),
            faults: Vec::new(),
            broken: BTreeMap::new(),
            agent: Agent::NotDeclared,
            words: BTreeMap::new(),
            sessions: BTreeMap::new(),
            calls: Vec::new(),
            transcript: Vec::new(),
            quiet: false,
            page: 4,
            no_cursors: false,
            counter: 0,
            later: 0,
            sent: 0,
        }
    }

    /// A number that was never given before.
    pub fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A timestamp later than all before it.
    pub fn next_ts(&mut self) -> String {
        let count = self.count();
        format!("{}.{:06}", 1_700_000_000 + self.later + count, 100 + count % 7)
    }

    /// Makes so much time pass.
    pub fn pass(&mut self, seconds: u64) {
        self.later += seconds;
    }

    /// What goes wrong with this call of a method.
    pub fn next_fault(&mut self, method: &str) -> Option<Fault> {
        let next = self.faults.iter().position(|(name, _)| name == method);
        next.map(|at| self.faults.remove(at).1).or_else(|| self.broken.get(method).copied())
    }

    pub fn log(&mut self, line: String) {
        if !self.quiet {
            self.transcript.push(line);
        }
    }

    /// The messages of a thread, oldest first, without what was deleted.
    pub fn thread(&self, ts: &str) -> Vec<Message> {
        let of_thread = |message: &&Message| message.ts == ts || message.thread_ts.as_deref() == Some(ts);
        self.messages.iter().filter(of_thread).filter(|message| !message.deleted).cloned().collect()
    }

    pub fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.channel == channel && message.ts == ts && !message.deleted)
    }

    pub fn message_mut(&mut self, ts: &str) -> &mut Message {
        self.messages.iter_mut().find(|message| message.ts == ts).expect("the message exists")
    }

    /// Keeps a message and reports it to the app, when the bot is there to see it.
    pub fn add(&mut self, message: Message) {
        let event = self.keep(message);
        self.deliver_in_channel(event);
    }

    /// Keeps a message; the event that tells of it.
    pub fn keep(&mut self, message: Message) -> Value {
        let mut event = self.message_event(&message);
        if !message.files.is_empty() {
            event["subtype"] = json!("file_share");
        }
        self.messages.push(message);
        event
    }

    /// A message in the form of an event.
    pub fn message_event(&self, message: &Message) -> Value {
        let mut event = self.message_json(message);
        event["channel"] = json!(message.channel);
        event["channel_type"] = json!(if self.channels[&message.channel].direct { "im" } else { "channel" });
        event["event_ts"] = json!(message.ts);
        event
    }

    /// A message in the form in which methods and edits show it.
    pub fn message_json(&self, message: &Message) -> Value {
        let files: Vec<Value> = message
            .files
            .iter()
            .map(|file| json!({ "id": file.id, "name": file.name, "title": file.title, "mimetype": "text/plain" }))
            .collect();
        let mut shown = json!({
            "type": "message", "ts": message.ts, "user": message.user, "text": message.text, "team": TEAM,
            "blocks": message.blocks,
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown[name] = value;
            }
        };
        set("thread_ts", message.thread_ts.clone().map(Value::from));
        set("client_msg_id", message.client_msg_id.clone().map(Value::from));
        set("bot_id", message.bot.clone().map(Value::from));
        set("app_id", (message.bot.as_deref() == Some(BOT)).then(|| json!(APP)));
        set("files", (!files.is_empty()).then(|| Value::from(files)));
        set("edited", message.edited.as_ref().map(|at| json!({ "user": message.user, "ts": at })));
        shown
    }

    /// Tells of a message that was edited.
    pub fn deliver_edit(&mut self, before: &Message, after: &Message) {
        let event_ts = self.next_ts();
        let channel_type = self.message_event(after)["channel_type"].clone();
        let event = json!({
            "type": "message", "subtype": "message_changed", "hidden": true, "channel": after.channel,
            "channel_type": channel_type, "ts": event_ts, "event_ts": event_ts,
            "message": self.message_json(after), "previous_message": self.message_json(before),
        });
        self.deliver_in_channel(event);
    }

    /// Delivers an event of a channel, if the bot is in that channel.
    pub fn deliver_in_channel(&mut self, event: Value) {
        let channel = event["channel"].as_str().unwrap_or_default();
        if self.channels.get(channel).is_some_and(|channel| channel.members.contains(BOT_USER)) {
            self.deliver_event(event);
        }
    }

    /// Delivers an event; its event id.
    pub fn deliver_event(&mut self, event: Value) -> String {
        let event_id = format!("Ev{:08}", self.count());
        let payload = json!({
            "token": "verification", "team_id": TEAM, "context_team_id": TEAM, "api_app_id": APP, "event": event,
            "type": "event_callback", "event_id": event_id, "event_time": 1_700_000_000, "is_ext_shared_channel": false,
            "authorizations": [{ "team_id": TEAM, "user_id": BOT_USER, "is_bot": true }], "event_context": "4-abc",
        });
        self.deliver("events_api", payload, 0);
        event_id
    }

    /// Delivers an envelope to one of the sockets; without any it waits for [`State::redeliver`]. Its id.
    pub fn deliver(&mut self, kind: &'static str, payload: Value, attempt: u32) -> String {
        let id = format!("00000000-0000-4000-8000-{:012}", self.count());
        let accepts = kind != "events_api";
        let mut frame =
            json!({ "envelope_id": id, "type": kind, "payload": payload, "accepts_response_payload": accepts });
        if kind == "events_api" {
            frame["retry_attempt"] = json!(attempt);
            frame["retry_reason"] = json!(if attempt == 0 { "" } else { "timeout" });
        }
        self.envelopes.push(Envelope {
            id: id.clone(),
            kind,
            payload,
            attempt,
            ack: None,
            superseded: false,
            times: (Instant::now(), None),
        });
        self.send(&frame);
        id
    }

    /// Sends a frame to one socket, each time to another; a dead one that Slack takes for open loses it.
    pub fn send(&mut self, frame: &Value) {
        self.send_text(frame.to_string());
    }

    /// Sends what may be no JSON at all.
    pub fn send_text(&mut self, frame: String) {
        self.log(format!("frame: {frame}"));
        self.sent += 1;
        let all: Vec<&Socket> = self.sockets.iter().chain(&self.frozen).collect();
        if !all.is_empty() {
            // A socket that is just ending loses the frame, as it would at Slack.
            let _ = all[self.sent % all.len()].out.send(Outgoing::Frame(frame));
        }
    }

    /// Delivers every event of a message again, as if its ack had never come; how many these were.
    pub fn redeliver_message(&mut self, ts: &str) -> usize {
        self.deliver_again(|envelope| envelope.payload["event"]["ts"] == ts)
    }

    /// Takes the first so many sockets out of service without anybody being told.
    pub fn freeze(&mut self, count: usize) {
        self.log(format!("{count} sockets are half-open now"));
        for socket in self.sockets.drain(..count).collect::<Vec<_>>() {
            let _ = socket.out.send(Outgoing::Freeze);
            self.frozen.push(socket);
        }
    }

    /// Slack notices that the frozen sockets are dead.
    pub fn drop_frozen(&mut self) {
        for socket in self.frozen.drain(..) {
            let _ = socket.out.send(Outgoing::Cut);
        }
    }

    /// Sends what was not acked again; how many these were.
    pub fn redeliver(&mut self) -> usize {
        self.deliver_again(|envelope| envelope.ack.is_none())
    }

    fn deliver_again(&mut self, which: impl Fn(&Envelope) -> bool) -> usize {
        let again: Vec<_> = self
            .envelopes
            .iter_mut()
            .filter(|envelope| !envelope.superseded && which(envelope))
            .map(|envelope| {
                envelope.superseded = true;
                (envelope.kind, envelope.payload.clone(), envelope.attempt + 1)
            })
            .collect();
        let count = again.len();
        for (kind, payload, attempt) in again {
            self.deliver(kind, payload, attempt);
        }
        count
    }

    pub fn announce_disconnect(&mut self, reason: &str) {
        let frame = json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "wss-1" } }).to_string();
        self.log(format!("to all sockets: {frame}"));
        for socket in &self.sockets {
            let _ = socket.out.send(Outgoing::Frame(frame.clone()));
        }
    }

    pub fn cut_sockets(&mut self) {
        self.log("all sockets are cut".to_owned());
        for socket in self.sockets.drain(..) {
            let _ = socket.out.send(Outgoing::Cut);
        }
    }

    /// Takes what a client sent over a socket: an ack, or nonsense.
    pub fn acked(&mut self, text: &str) {
        if self.lose_acks > 0 {
            self.lose_acks -= 1;
            return self.log(format!("lost ack: {text}"));
        }
        self.log(format!("ack: {text}"));
        let frame: Value = serde_json::from_str(text).expect("clients send JSON");
        let id = frame["envelope_id"].as_str().expect("every client frame is an ack").to_owned();
        let known = self.envelopes.iter_mut().rfind(|envelope| envelope.id == id);
        let known = known.expect("only what was delivered is acked");
        (known.ack, known.times.1) = (Some(frame), Some(Instant::now()));
    }
}
